use std::{
    fs,
    io::{Seek, SeekFrom},
    path::Path,
};

use arrow::{
    array::{Array, AsArray},
    compute::concat_batches,
    datatypes::{Int32Type, TimeUnit, TimestampMicrosecondType},
};
use parquet::{
    basic::Encoding,
    column::page::Page,
    file::{
        metadata::ParquetMetaData,
        reader::{FileReader, SerializedFileReader},
        statistics::Statistics,
    },
};

use super::*;
use crate::{
    read::{decode::Unknown, listed::read},
    tables::{meetings::MEETINGS, participants::PARTICIPANTS},
};

const START_S: i64 = 1_671_765_419;

fn china() -> FixedOffset {
    FixedOffset::east_opt(8 * 3600).unwrap()
}

fn facts(rows: usize) -> ListedFacts<'static> {
    ListedFacts {
        date: NaiveDate::from_ymd_opt(2022, 12, 23).unwrap(),
        timezone: "Asia/Shanghai",
        naive_offset: china(),
        rows: rows as u64,
    }
}

/// A participant of a meeting, from its JSON.
fn participant(item: &str) -> Values {
    let item = serde_json::from_str(item).unwrap();
    let mut values = read(&PARTICIPANTS, &item, china(), &mut Unknown::default());
    values.set(&PARTICIPANTS, "meeting_no", Cell::Text("012345678".into()));
    values.set(&PARTICIPANTS, "meeting_start_time", Cell::Time(START_S));
    values
}

/// One with values, one without any, one of which nothing can be read.
fn participants() -> [Values; 3] {
    [
        participant(
            r#"{"user_id": "ou_1", "join_time": "2022.12.23 11:17:00", "time_in_meeting": "00:01:52", "audio": false,
                "device": "windows", "email": "kehan@example.com", "use_rtc_proxy": true, "accept_status": 4}"#,
        ),
        participant("{}"),
        participant(r#"{"join_time": "soon", "accept_status": "maybe", "audio": "?", "device": ["x"], "email": {}}"#),
    ]
}

fn named(personal: &[&str]) -> Vec<String> {
    personal.iter().map(|name| (*name).to_owned()).collect()
}

fn written(table: &'static Table, personal: &[&str], rows: &[Values]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = ListedWriter::new(&mut bytes, table, &named(personal), &facts(rows.len())).unwrap();
    for values in rows {
        writer.push(values).unwrap();
    }
    writer.finish().unwrap();
    bytes
}

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file
}

fn metadata_of(bytes: &[u8]) -> ParquetMetaData {
    SerializedFileReader::new(file_of(bytes)).unwrap().metadata().clone()
}

fn rows_of(bytes: &[u8]) -> RecordBatch {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file_of(bytes)).unwrap();
    let schema = Arc::clone(builder.schema());
    let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

/// The values of a column as texts, times in seconds.
fn texts(rows: &RecordBatch, name: &str) -> Vec<Option<String>> {
    let column = rows.column_by_name(name).unwrap();
    let text = |row| match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Timestamp(..) => {
            (column.as_primitive::<TimestampMicrosecondType>().value(row) / 1_000_000).to_string()
        }
        DataType::Map(..) => {
            let entries = column.as_map().value(row);
            let [keys, values] = [0, 1].map(|index| entries.column(index).as_string::<i32>().clone());
            let pairs = keys.iter().zip(&values).map(|(key, value)| [key.unwrap(), value.unwrap()].join("="));
            pairs.collect::<Vec<_>>().join(",")
        }
        other => panic!("{other}"),
    };
    (0..rows.num_rows()).map(|row| column.is_valid(row).then(|| text(row))).collect()
}

#[test]
fn a_reader_finds_every_value_in_its_row_and_column() {
    let rows = rows_of(&written(&PARTICIPANTS, &["email"], &participants()));
    let start = START_S.to_string();
    for (name, expected) in [
        ("meeting_no", [Some("012345678"); 3]),
        ("meeting_start_time", [Some(start.as_str()); 3]),
        ("meeting_end_time", [None; 3]),
        ("join_time", [Some("1671765420"), None, None]),
        ("time_in_meeting_s", [Some("112"), None, None]),
        ("user_id", [Some("ou_1"), None, None]),
        ("room_id", [None; 3]),
        ("device", [Some("windows"), None, None]),
        ("audio", [Some("false"), None, None]),
        ("use_rtc_proxy", [Some("true"), None, None]),
        ("accept_status", [Some("4"), None, None]),
        ("email", [Some("kehan@example.com"), None, None]),
        ("unparsed", [None, None, Some(r#"join_time=soon,device=["x"],audio=?,accept_status=maybe,email={}"#)]),
    ] {
        assert_eq!(texts(&rows, name), expected.map(|text| text.map(str::to_owned)), "{name}");
    }
}

#[test]
fn nothing_of_a_personal_column_is_written_unless_it_is_named() {
    let rows = rows_of(&written(&PARTICIPANTS, &[], &participants()));
    assert!(rows.column_by_name("email").is_none());
    let unparsed = texts(&rows, "unparsed");
    assert_eq!(unparsed[2].as_deref(), Some(r#"join_time=soon,device=["x"],audio=?,accept_status=maybe"#));
    let only_personal = participant(r#"{"email": ["kehan"]}"#);
    let rows = rows_of(&written(&PARTICIPANTS, &[], &[only_personal]));
    assert_eq!(texts(&rows, "unparsed"), [None]);
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    let [first, second, third] = participants();
    let rows = [first.clone(), second.clone(), third.clone()];
    assert_eq!(written(&PARTICIPANTS, &[], &rows), written(&PARTICIPANTS, &[], &rows));
    assert_ne!(written(&PARTICIPANTS, &[], &rows), written(&PARTICIPANTS, &[], &[second, first, third]));
}

#[test]
fn the_schema_is_the_same_whatever_the_values() {
    for personal in [&[][..], &["email", "public_ip"]] {
        let expected = schema(&PARTICIPANTS, &named(personal));
        for rows in [&[][..], &[participant("{}")], &participants()] {
            let file = file_of(&written(&PARTICIPANTS, personal, rows));
            let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
            assert_eq!(builder.schema().fields(), expected.fields());
        }
    }
}

#[test]
fn the_footer_says_what_the_file_is() {
    let bytes = written(&PARTICIPANTS, &[], &participants());
    let metadata = metadata_of(&bytes);
    let file = metadata.file_metadata();
    assert_eq!(file.created_by(), Some(concat!("vcq version ", env!("CARGO_PKG_VERSION"))));
    let pairs: Vec<_> =
        file.key_value_metadata().unwrap().iter().map(|pair| (&*pair.key, pair.value.as_deref())).collect();
    let expected = [
        ("vcq.version", Some(env!("CARGO_PKG_VERSION"))),
        ("vcq.schema_version", Some("1")),
        ("vcq.date", Some("2022-12-23")),
        ("vcq.timezone", Some("Asia/Shanghai")),
        ("vcq.naive_utc_offset", Some("+08:00")),
        ("vcq.rows", Some("3")),
    ];
    assert_eq!(pairs, expected);
    let contents = read_back(file_of(&bytes), &PARTICIPANTS).unwrap();
    assert_eq!(contents.rows, 3);
    let expected = expected.map(|(key, value)| (key.to_owned(), value.unwrap().to_owned()));
    assert_eq!(contents.metadata, BTreeMap::from(expected));
}

/// Rows of more than one row group, in more than one batch.
fn many() -> Vec<Values> {
    let item = |n: usize| participant(&format!(r#"{{"user_id": "ou_{n}", "join_time": {}, "audio": true}}"#, 1 + n));
    (0..70_000).map(item).collect()
}

/// What every reader understands since there is Parquet: pages of the first version, plain, run lengths, dictionaries.
#[test]
fn no_page_has_an_encoding_that_a_reader_may_not_know() {
    let bytes = written(&PARTICIPANTS, &["email"], &many());
    let metadata = metadata_of(&bytes);
    assert_eq!(metadata.num_row_groups(), 2);
    let file = SerializedFileReader::new(file_of(&bytes)).unwrap();
    for (index, group) in metadata.row_groups().iter().enumerate() {
        for (leaf, column) in group.columns().iter().enumerate() {
            let path = column.column_path().string();
            assert!(matches!(column.compression(), Compression::ZSTD(_)), "{path}");
            assert!(column.statistics().and_then(Statistics::null_count_opt).is_some(), "{path}");
            let known = [Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY];
            let encodings: Vec<_> = column.encodings().collect();
            assert!(encodings.iter().all(|encoding| known.contains(encoding)), "{path}: {encodings:?}");
            assert!(!path.ends_with("_time") || !encodings.contains(&Encoding::RLE_DICTIONARY), "{path}");
            let pages = file.get_row_group(index).unwrap().get_column_page_reader(leaf).unwrap();
            for page in pages.map(Result::unwrap) {
                assert!(!matches!(page, Page::DataPageV2 { .. }), "{path}");
                assert!(known.contains(&page.encoding()), "{path}: {}", page.encoding());
            }
        }
    }
    assert_eq!(read_back(file_of(&bytes), &PARTICIPANTS).unwrap().rows, 70_000);
    let users = texts(&rows_of(&bytes), "user_id");
    assert!(users.iter().enumerate().all(|(n, user)| *user == Some(format!("ou_{n}"))));
}

/// Texts that compress to nothing would otherwise fill the memory: a row group ends when there are many.
#[test]
fn long_texts_end_a_batch() {
    let long = participant(&format!(r#"{{"device": "{}"}}"#, "x".repeat(TEXT_BYTES_PER_BATCH)));
    let mut writer = ListedWriter::new(Vec::new(), &PARTICIPANTS, &[], &facts(1)).unwrap();
    writer.push(&long).unwrap();
    assert_eq!((writer.rows.count, writer.rows_written), (0, 1));
    writer.finish().unwrap();
}

#[test]
fn rows_without_a_value_that_must_be_there_are_refused() {
    let [mut first, ..] = participants();
    first.set(&PARTICIPANTS, "meeting_start_time", Cell::Null);
    let mut writer = ListedWriter::new(Vec::new(), &PARTICIPANTS, &[], &facts(1)).unwrap();
    let error = writer.push(&first).unwrap_err();
    assert_eq!(error.to_string(), "`meeting_start_time` has no value");
    first.set(&PARTICIPANTS, "meeting_start_time", Cell::Text("now".into()));
    let mut writer = ListedWriter::new(Vec::new(), &PARTICIPANTS, &[], &facts(1)).unwrap();
    let error = writer.push(&first).unwrap_err();
    assert_eq!(error.to_string(), r#"`meeting_start_time` cannot be Text("now")"#);
}

#[test]
fn another_number_of_rows_than_promised_is_refused() {
    let mut writer = ListedWriter::new(Vec::new(), &PARTICIPANTS, &[], &facts(3)).unwrap();
    writer.push(&participants()[0]).unwrap();
    let error = writer.finish().unwrap_err();
    assert_eq!(error.to_string(), "1 rows were written where 3 were promised");
}

#[test]
fn files_that_are_not_whole_or_of_another_table_are_refused() {
    let bytes = written(&PARTICIPANTS, &["email"], &participants());
    assert!(read_back(file_of(&bytes), &PARTICIPANTS).is_ok());
    let error = read_back(file_of(&bytes), &MEETINGS).unwrap_err();
    assert_eq!(error.to_string(), "its columns are not those of this version");
    for end in (0..bytes.len()).step_by(97).chain([bytes.len() - 1]) {
        assert!(read_back(file_of(&bytes[..end]), &PARTICIPANTS).is_err(), "{end} of {} bytes", bytes.len());
    }
}

#[test]
fn what_decides_the_bytes_is_named() {
    let plain = encoder(&PARTICIPANTS, &[]);
    assert_eq!(plain, encoder(&PARTICIPANTS, &named(&["meeting_topic"])), "it has no such column");
    assert_ne!(plain, encoder(&PARTICIPANTS, &named(&["email"])));
    assert_ne!(plain, encoder(&MEETINGS, &[]));
}

type Promise = (&'static str, &'static str, bool);

/// The columns as they were promised: name, type, whether they can be null. A change here is a change for every reader of
/// the datasets, and needs a new schema version.
#[rustfmt::skip]
const FROZEN_MEETINGS: [Promise; 26] = [
    ("meeting_no", "string", false),
    ("meeting_start_time", "timestamp", false),
    ("meeting_end_time", "timestamp", true),
    ("meeting_instance_id", "string", true),
    ("meeting_type", "int32", true),
    ("meeting_subtype", "int32", true),
    ("meeting_duration_s", "int32", true),
    ("number_of_participants", "int32", true),
    ("number_of_devices", "int32", true),
    ("number_of_webinar_viewers", "int32", true),
    ("audio", "boolean", true),
    ("video", "boolean", true),
    ("sharing", "boolean", true),
    ("recording", "boolean", true),
    ("telephone", "boolean", true),
    ("is_external", "boolean", true),
    ("has_related_document", "boolean", true),
    ("ai_note", "boolean", true),
    ("organizer_user_id", "string", true),
    ("department", "string", true),
    ("email", "string", true),
    ("mobile", "string", true),
    ("employee_id", "string", true),
    ("meeting_topic", "string", true),
    ("organizer", "string", true),
    ("unparsed", "map", true),
];

#[rustfmt::skip]
const FROZEN_PARTICIPANTS: [Promise; 32] = [
    ("meeting_no", "string", false),
    ("meeting_start_time", "timestamp", false),
    ("meeting_end_time", "timestamp", true),
    ("join_time", "timestamp", true),
    ("leave_time", "timestamp", true),
    ("time_in_meeting_s", "int32", true),
    ("user_id", "string", true),
    ("room_id", "string", true),
    ("device", "string", true),
    ("app_version", "string", true),
    ("network_type", "string", true),
    ("protocol", "string", true),
    ("use_rtc_proxy", "boolean", true),
    ("location", "string", true),
    ("microphone", "string", true),
    ("speaker", "string", true),
    ("camera", "string", true),
    ("audio", "boolean", true),
    ("video", "boolean", true),
    ("sharing", "boolean", true),
    ("is_external", "boolean", true),
    ("leave_reason", "string", true),
    ("accept_status", "int32", true),
    ("webinar_user_role", "string", true),
    ("participant_name", "string", true),
    ("department", "string", true),
    ("email", "string", true),
    ("phone", "string", true),
    ("employee_id", "string", true),
    ("public_ip", "string", true),
    ("internal_ip", "string", true),
    ("unparsed", "map", true),
];

fn frozen() -> [(&'static Table, &'static [Promise]); 2] {
    [(&MEETINGS, &FROZEN_MEETINGS), (&PARTICIPANTS, &FROZEN_PARTICIPANTS)]
}

fn type_word(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Utf8 => "string",
        DataType::Int32 => "int32",
        DataType::Boolean => "boolean",
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if &**zone == "UTC" => "timestamp",
        DataType::Map(..) if *data_type == key_data_type(KeyType::TextMap) => "map",
        other => panic!("{other}"),
    }
}

#[test]
fn the_schemas_are_as_promised() {
    for (table, frozen) in frozen() {
        let all: Vec<_> = table.columns.iter().map(|column| column.name.to_owned()).collect();
        let schema = schema(table, &all);
        let fields = schema.fields().iter();
        let fields: Vec<_> =
            fields.map(|field| (field.name().as_str(), type_word(field.data_type()), field.is_nullable())).collect();
        assert_eq!(fields, frozen);
    }
}

#[test]
fn the_column_reference_names_the_types_of_the_schemas() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/COLUMNS.md")).unwrap();
    for (table, frozen) in frozen() {
        let heading = format!("## {}", table.name);
        let section = page.lines().skip_while(|line| *line != heading).skip(1);
        let section = section.take_while(|line| !line.starts_with("## "));
        let rows = section.filter_map(|line| line.strip_prefix("| `"));
        let documented: Vec<_> = rows.map(|row| row.split(" | ").take(3).collect::<Vec<_>>().join(" ")).collect();
        let null = |nullable| if nullable { "yes" } else { "no" };
        let frozen =
            frozen.iter().map(|(name, type_word, nullable)| format!("{name}` {type_word} {}", null(*nullable)));
        assert_eq!(documented, frozen.collect::<Vec<_>>());
    }
}
