use std::{
    fs::{self, File},
    io::{Seek, SeekFrom},
    path::Path,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch, StringArray},
    compute::concat_batches,
    datatypes::{Float64Type, TimestampMicrosecondType},
};
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::{Compression, Encoding},
    column::page::Page,
    file::{
        metadata::{ParquetMetaData, RowGroupMetaData},
        properties::WriterPropertiesBuilder,
        reader::{FileReader, SerializedFileReader},
        statistics::Statistics,
    },
};

use super::*;
use crate::{
    read::decode::{Unknown, decode},
    stay::{MeetingNo, Participant, Stay},
};

const MINUTE_S: i64 = 1_671_765_360;

fn china() -> FixedOffset {
    FixedOffset::east_opt(8 * 3600).unwrap()
}

fn stay(participant: Participant, join_s: i64) -> Stay {
    Stay {
        meeting_no: MeetingNo::parse("012345678").unwrap(),
        meeting_start_s: MINUTE_S,
        meeting_end_s: MINUTE_S + 3600,
        join_s,
        participant,
    }
}

/// Stays that differ from the one before in the join time, in the kind of participant, in the id.
fn stays() -> [(Stay, u64); 4] {
    [
        (stay(Participant::User("ou_1".into()), MINUTE_S), 3),
        (stay(Participant::User("ou_1".into()), MINUTE_S + 60), 1),
        (stay(Participant::Room("ou_1".into()), MINUTE_S + 60), 2),
        (stay(Participant::Room("omm_2".into()), MINUTE_S + 60), 2),
    ]
}

/// A batch of these stays, each sample of which has a time, a delay, and one text that cannot be read.
fn batch_of(stays: &[(Stay, u64)]) -> Batch {
    let mut batch = Batch::new(china());
    for (stay, samples) in stays {
        let mut rows = batch.stay(stay);
        let items: Vec<_> = (0..*samples).map(item).collect();
        decode(page_of(&items.join(",")).as_bytes(), &mut Unknown::default(), |sample| rows.push(sample)).unwrap();
    }
    batch
}

fn item(minute: u64) -> String {
    let time = format!("2022.12.23 11:{:02}:00", 16 + minute % 30);
    format!(r#"{{"network":{{"time":"{time}","network_delay":"{minute}ms","bitrate_sent":"?"}}}}"#)
}

fn page_of(items: &str) -> String {
    format!(r#"{{"data":{{"participant_quality_list":[{items}]}}}}"#)
}

fn facts() -> FileFacts<'static> {
    FileFacts {
        date: NaiveDate::from_ymd_opt(2022, 12, 23).unwrap(),
        timezone: "Asia/Shanghai",
        naive_offset: china(),
        stays: 4,
        samples: 8,
    }
}

/// A file with a row group for each of `groups`.
fn bytes_of(groups: &[&[(Stay, u64)]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = PartWriter::new(&mut bytes, &facts()).unwrap();
    for stays in groups {
        writer.write(&mut batch_of(stays)).unwrap();
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

fn runs_of(bytes: &[u8]) -> Result<Vec<StayRun>, ParquetFileError> {
    StayRuns::open(file_of(bytes))?.collect()
}

/// The rows of a file.
fn rows_of(bytes: &[u8]) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file_of(bytes)).unwrap().build().unwrap();
    concat_batches(&SCHEMA, &reader.map(Result::unwrap).collect::<Vec<_>>()).unwrap()
}

/// The file of these rows, but with another column in the place of the one of this name.
fn bytes_with(rows: &RecordBatch, name: &str, column: ArrayRef) -> Vec<u8> {
    let mut columns = rows.columns().to_vec();
    columns[SCHEMA.index_of(name).unwrap()] = column;
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, Arc::clone(&SCHEMA), None).unwrap();
    writer.write(&RecordBatch::try_new(Arc::clone(&SCHEMA), columns).unwrap()).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    let stays = stays();
    assert_eq!(bytes_of(&[&stays]), bytes_of(&[&stays]));
    assert_ne!(bytes_of(&[&stays[1..]]), bytes_of(&[&stays]));
}

#[test]
fn no_setting_changes_without_a_change_of_what_names_the_files() {
    let ours = properties(metadata(&facts()));
    assert_eq!(settings(&ours, &PARQUET_SCHEMA), encoder(), "what a file says of itself is in its name already");
    let delay = || ColumnPath::from("network_delay_ms");
    let unparsed_text = || ColumnPath::from(["unparsed", "key_value", "value"].map(String::from).to_vec());
    let with = |change: fn(WriterPropertiesBuilder) -> WriterPropertiesBuilder| change(ours.clone().into_builder());
    for changed in [
        with(|builder| builder.set_writer_version(WriterVersion::PARQUET_2_0)),
        with(|builder| builder.set_max_row_group_row_count(Some(1000))),
        with(|builder| builder.set_data_page_row_count_limit(1000)),
        with(|builder| builder.set_data_page_size_limit(1000)),
        with(|builder| builder.set_dictionary_page_size_limit(1000)),
        with(|builder| builder.set_write_batch_size(1000)),
        ours.clone().into_builder().set_column_dictionary_enabled(delay(), false),
        ours.clone().into_builder().set_column_encoding(delay(), Encoding::BYTE_STREAM_SPLIT),
        ours.clone().into_builder().set_column_statistics_enabled(delay(), EnabledStatistics::Page),
        ours.clone().into_builder().set_column_bloom_filter_enabled(delay(), true),
        ours.clone().into_builder().set_column_statistics_enabled(unparsed_text(), EnabledStatistics::None),
        with(|builder| builder.set_statistics_truncate_length(Some(8))),
    ] {
        assert_ne!(settings(&changed.build(), &PARQUET_SCHEMA), encoder());
    }
}

/// Texts of a column, times in seconds.
fn texts(rows: &RecordBatch, name: &str) -> Vec<Option<String>> {
    let column = rows.column_by_name(name).unwrap();
    let text = |row| match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Int32 => column.as_primitive::<arrow::datatypes::Int32Type>().value(row).to_string(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_string(),
        DataType::Timestamp(..) => {
            (column.as_primitive::<TimestampMicrosecondType>().value(row) / 1_000_000).to_string()
        }
        DataType::Map(..) => {
            let entries = column.as_map().value(row);
            let texts = |index: usize| entries.column(index).as_string::<i32>().clone();
            let pairs: Vec<_> =
                texts(0).iter().zip(&texts(1)).map(|(k, v)| [k.unwrap(), v.unwrap()].join("=")).collect();
            pairs.join(",")
        }
        other => panic!("{other}"),
    };
    (0..rows.num_rows()).map(|row| column.is_valid(row).then(|| text(row))).collect()
}

#[test]
fn a_reader_finds_every_value_in_its_row_and_column() {
    let [(user, _), .., (room, _)] = stays();
    let mut batch = Batch::new(china());
    let first = r#"{"network":{"network_delay":"1.5ms","bitrate_sent":"?"},"video":{"framerate_sent":"?"}},{}"#;
    let second = r#"{"cpu_usage":{"time":"2022.12.23 11:17:00"},"video":{"maximum_resolution_sent":"4K"}},
                    {"network":{"time":"noon"}}"#;
    for (stay, items) in [(&user, first), (&room, second)] {
        let mut rows = batch.stay(stay);
        decode(page_of(items).as_bytes(), &mut Unknown::default(), |sample| rows.push(sample)).unwrap();
    }
    let mut bytes = Vec::new();
    let mut writer = PartWriter::new(&mut bytes, &facts()).unwrap();
    writer.write(&mut batch).unwrap();
    writer.finish().unwrap();
    let rows = rows_of(&bytes);
    let (start, end) = (MINUTE_S.to_string(), (MINUTE_S + 3600).to_string());
    let (join, later) = (MINUTE_S.to_string(), (MINUTE_S + 60).to_string());
    for (name, expected) in [
        ("meeting_no", [Some("012345678"); 4]),
        ("meeting_start_time", [Some(start.as_str()); 4]),
        ("meeting_end_time", [Some(end.as_str()); 4]),
        ("join_time", [Some(join.as_str()), Some(&join), Some(&later), Some(&later)]),
        ("user_id", [Some("ou_1"), Some("ou_1"), None, None]),
        ("room_id", [None, None, Some("omm_2"), Some("omm_2")]),
        ("sample_index", [Some("0"), Some("1"), Some("0"), Some("1")]),
        ("sample_time", [None, None, Some(later.as_str()), None]),
        ("cpu_usage_time", [None, None, Some(later.as_str()), None]),
        ("network_time", [None; 4]),
        ("network_delay_ms", [Some("1.5"), None, None, None]),
        ("video_maximum_resolution_sent_px", [None, None, Some("2160"), None]),
        (
            "unparsed",
            [Some("network_bitrate_sent_kbps=?,video_framerate_sent_fps=?"), None, None, Some("network_time=noon")],
        ),
    ] {
        assert_eq!(texts(&rows, name), expected.map(|text| text.map(str::to_owned)), "{name}");
    }
}

#[test]
fn the_footer_says_what_the_file_is() {
    let bytes = bytes_of(&[&stays()]);
    let metadata = metadata_of(&bytes);
    let file = metadata.file_metadata();
    assert_eq!(file.created_by(), Some(concat!("vcq version ", env!("CARGO_PKG_VERSION"))));
    assert_eq!(file.num_rows(), 8);
    let facts: Vec<_> =
        file.key_value_metadata().unwrap().iter().map(|pair| (&*pair.key, pair.value.as_deref())).collect();
    assert_eq!(
        facts,
        [
            ("vcq.version", Some(env!("CARGO_PKG_VERSION"))),
            ("vcq.schema_version", Some("1")),
            ("vcq.date", Some("2022-12-23")),
            ("vcq.timezone", Some("Asia/Shanghai")),
            ("vcq.naive_utc_offset", Some("+08:00")),
            ("vcq.stays", Some("4")),
            ("vcq.samples", Some("8")),
        ]
    );
}

#[test]
fn every_column_is_compressed_and_has_the_encoding_and_statistics_that_fit_it() {
    let metadata = metadata_of(&bytes_of(&[&stays()]));
    let [group] = metadata.row_groups() else { panic!("{metadata:?}") };
    let plain: Vec<_> = plain().collect();
    assert_eq!(plain.len(), 5 + 5, "sample_index, four key times, five section times");
    assert_eq!(group.num_columns(), KEY_COLUMNS.len() + COLUMNS.len() + 2);
    for column in group.columns() {
        let path = column.column_path().string();
        assert!(matches!(column.compression(), Compression::ZSTD(_)), "{path}");
        let encodings: Vec<_> = column.encodings().collect();
        let is_plain = plain.contains(&path.as_str());
        assert_eq!(encodings.contains(&Encoding::RLE_DICTIONARY), !is_plain, "{path}: {encodings:?}");
        let is_measured = COLUMNS.iter().any(|column| column.name == path && column.kind != Kind::Time);
        let nulls = column.statistics().and_then(Statistics::null_count_opt);
        assert_eq!(nulls.is_none(), is_measured, "{path}");
    }
}

/// What every reader understands since there is Parquet: pages of the first version, plain, run lengths, dictionaries.
#[test]
fn no_page_has_an_encoding_that_a_reader_may_not_know() {
    let (few, many) = (stays(), (0..40).map(|n| (stay(Participant::User(format!("ou_{n}")), MINUTE_S), 900)));
    let many: Vec<_> = many.collect();
    let bytes = bytes_of(&[&few, &many]);
    let metadata = metadata_of(&bytes);
    let file = SerializedFileReader::new(file_of(&bytes)).unwrap();
    for (index, group) in metadata.row_groups().iter().enumerate() {
        for (leaf, column) in group.columns().iter().enumerate() {
            let path = column.column_path().string();
            let known = [Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY];
            let encodings: Vec<_> = column.encodings().collect();
            assert!(encodings.iter().all(|encoding| known.contains(encoding)), "{path}: {encodings:?}");
            let pages = file.get_row_group(index).unwrap().get_column_page_reader(leaf).unwrap();
            for page in pages.map(Result::unwrap) {
                assert!(!matches!(page, Page::DataPageV2 { .. }), "{path}");
                assert!(known.contains(&page.encoding()), "{path}: {}", page.encoding());
            }
        }
    }
}

#[test]
fn a_batch_is_a_row_group_and_empty_afterwards() {
    let stays = stays();
    let mut bytes = Vec::new();
    let mut writer = PartWriter::new(&mut bytes, &facts()).unwrap();
    let mut batch = batch_of(&stays);
    writer.write(&mut batch).unwrap();
    assert_eq!(batch.rows(), 0);
    writer.write(&mut batch).unwrap();
    writer.write(&mut batch_of(&stays[..1])).unwrap();
    writer.finish().unwrap();
    let rows: Vec<_> = metadata_of(&bytes).row_groups().iter().map(RowGroupMetaData::num_rows).collect();
    assert_eq!(rows, [8, 3]);
    assert_eq!(rows_of(&bytes).num_rows(), 11);
}

#[test]
fn reading_back_gives_the_stays_and_their_samples() {
    let stays = stays();
    let (first, rest) = stays.split_at(2);
    let runs = runs_of(&bytes_of(&[first, rest])).unwrap();
    assert_eq!(runs.len(), stays.len());
    for (run, (stay, samples)) in runs.iter().zip(&stays) {
        assert!(run.is(stay), "{run:?} {stay:?}");
        assert_eq!(run.samples, *samples, "{run:?}");
        let others = stays.iter().filter(|(other, _)| run.is(other)).count();
        assert_eq!(others, 1, "{run:?}");
    }
    assert_eq!(runs_of(&bytes_of(&[])).unwrap(), []);
}

#[test]
fn a_stay_that_goes_on_in_the_next_row_group_is_one() {
    let samples = ROWS_MAX as u64 + 2;
    let stay = stay(Participant::User("ou_1".into()), MINUTE_S);
    let mut bytes = Vec::new();
    let mut writer = PartWriter::new(&mut bytes, &facts()).unwrap();
    let mut batch = Batch::new(china());
    let mut rows = batch.stay(&stay);
    let page = page_of(&vec!["{}"; ROWS_MAX + 2].join(","));
    let decoded = decode(page.as_bytes(), &mut Unknown::default(), |sample| {
        rows.push(sample);
        if let Some(batch) = rows.full() {
            writer.write(batch).unwrap();
        }
    });
    decoded.unwrap();
    writer.write(&mut batch).unwrap();
    writer.finish().unwrap();
    assert_eq!(metadata_of(&bytes).num_row_groups(), 2);
    let counts: Vec<_> = runs_of(&bytes).unwrap().iter().map(|run| run.samples).collect();
    assert_eq!(counts, [samples]);
}

#[test]
fn samples_that_are_not_numbered_from_0_on_are_refused() {
    let rows = rows_of(&bytes_of(&[&stays()]));
    for (numbers, found) in [
        ([0, 1, 3, 0, 0, 1, 0, 1], "sample_index is 3 where 2 follows"),
        ([0, 1, 1, 0, 0, 1, 0, 1], "sample_index is 1 where 2 follows"),
        ([0, 1, 2, 1, 0, 1, 0, 1], "sample_index is 1 where 0 follows"),
        ([-1, 1, 2, 0, 0, 1, 0, 1], "sample_index is -1 where 0 follows"),
        ([0, 1, 2, 0, 0, 1, 0, 0], "sample_index is 0 where 1 follows"),
    ] {
        let numbered = bytes_with(&rows, "sample_index", Arc::new(Int32Array::from(numbers.to_vec())));
        let error = runs_of(&numbered).unwrap_err().to_string();
        assert!(error.starts_with(found), "{error}");
    }
}

#[test]
fn a_stay_that_comes_twice_in_a_row_is_refused() {
    let twice = [stays()[0].clone(), stays()[0].clone()];
    let error = runs_of(&bytes_of(&[&twice])).unwrap_err().to_string();
    assert!(error.starts_with("sample_index is 0 where 3 follows"), "{error}");
}

#[test]
fn rows_without_exactly_one_participant_or_with_another_number_are_refused() {
    let rows = rows_of(&bytes_of(&[&stays()[..1]]));
    let none: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>; 3]));
    let room: ArrayRef = Arc::new(StringArray::from(vec!["omm_1"; 3]));
    let letters: ArrayRef = Arc::new(StringArray::from(vec!["12345678a"; 3]));
    for (name, column, expected) in [
        ("user_id", none, "a row has not exactly one participant"),
        ("room_id", room, "a row has not exactly one participant"),
        ("meeting_no", letters, "a meeting_no is not nine digits"),
    ] {
        let error = runs_of(&bytes_with(&rows, name, column)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

/// A file with the dataset's columns, but this one of another type or nullability.
fn file_with_field(name: &str, field: &Field) -> Vec<u8> {
    let index = SCHEMA.index_of(name).unwrap();
    let mut fields: Vec<_> = SCHEMA.fields().iter().map(|field| field.as_ref().clone()).collect();
    fields[index] = field.clone();
    let schema = Arc::new(Schema::new(fields));
    let mut bytes = Vec::new();
    let writer = ArrowWriter::try_new(&mut bytes, Arc::clone(&schema), None).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn files_of_another_schema_are_refused() {
    for (name, field) in [
        ("user_id", Field::new("user", DataType::Utf8, true)),
        ("user_id", Field::new("user_id", DataType::Utf8, false)),
        ("user_id", Field::new("user_id", DataType::Int64, true)),
        ("sample_index", Field::new("sample_index", DataType::Int64, false)),
        ("join_time", Field::new("join_time", DataType::Int64, false)),
        ("network_delay_ms", Field::new("network_delay_ms", DataType::Float32, true)),
    ] {
        let error = runs_of(&file_with_field(name, &field)).unwrap_err();
        assert!(matches!(error, ParquetFileError::Contents(_)), "{name} as {field}: {error:?}");
    }
    let same = SCHEMA.field_with_name("user_id").unwrap();
    assert_eq!(runs_of(&file_with_field("user_id", same)).unwrap(), []);
}

#[test]
fn a_file_that_is_cut_or_damaged_is_an_error() {
    let bytes = bytes_of(&[&stays()]);
    for end in (0..bytes.len()).step_by(97).chain([bytes.len() - 1]) {
        assert!(runs_of(&bytes[..end]).is_err(), "{end} of {} bytes", bytes.len());
    }
}

/// The dataset's columns as they were promised: name, type, whether they can be null. A change here is a change for
/// every reader of the dataset, and needs a new schema version.
#[rustfmt::skip]
const FROZEN: [(&str, &str, bool); 53] = [
    ("meeting_no", "string", false),
    ("meeting_start_time", "timestamp", false),
    ("meeting_end_time", "timestamp", false),
    ("join_time", "timestamp", false),
    ("user_id", "string", true),
    ("room_id", "string", true),
    ("sample_index", "int32", false),
    ("sample_time", "timestamp", true),
    ("network_time", "timestamp", true),
    ("network_delay_ms", "double", true),
    ("network_bitrate_received_kbps", "double", true),
    ("network_packet_loss_avg_received_pct", "double", true),
    ("network_packet_loss_max_received_pct", "double", true),
    ("network_bitrate_sent_kbps", "double", true),
    ("network_packet_loss_avg_sent_pct", "double", true),
    ("network_packet_loss_max_sent_pct", "double", true),
    ("audio_time", "timestamp", true),
    ("audio_mic_input_volume_db", "double", true),
    ("audio_speaker_volume_db", "double", true),
    ("audio_bitrate_received_kbps", "double", true),
    ("audio_latency_received_ms", "double", true),
    ("audio_jitter_received_ms", "double", true),
    ("audio_bitrate_sent_kbps", "double", true),
    ("audio_latency_sent_ms", "double", true),
    ("audio_jitter_sent_ms", "double", true),
    ("video_time", "timestamp", true),
    ("video_bitrate_received_kbps", "double", true),
    ("video_latency_received_ms", "double", true),
    ("video_jitter_received_ms", "double", true),
    ("video_maximum_resolution_received_px", "int32", true),
    ("video_framerate_received_fps", "double", true),
    ("video_bitrate_sent_kbps", "double", true),
    ("video_latency_sent_ms", "double", true),
    ("video_jitter_sent_ms", "double", true),
    ("video_maximum_resolution_sent_px", "int32", true),
    ("video_framerate_sent_fps", "double", true),
    ("screen_sharing_time", "timestamp", true),
    ("screen_sharing_bitrate_received_kbps", "double", true),
    ("screen_sharing_latency_received_ms", "double", true),
    ("screen_sharing_jitter_received_ms", "double", true),
    ("screen_sharing_maximum_resolution_received_px", "int32", true),
    ("screen_sharing_framerate_received_fps", "double", true),
    ("screen_sharing_bitrate_sent_kbps", "double", true),
    ("screen_sharing_latency_sent_ms", "double", true),
    ("screen_sharing_jitter_sent_ms", "double", true),
    ("screen_sharing_maximum_resolution_sent_px", "int32", true),
    ("screen_sharing_framerate_sent_fps", "double", true),
    ("cpu_usage_time", "timestamp", true),
    ("client_avg_cpu_usage_pct", "double", true),
    ("client_max_cpu_usage_pct", "double", true),
    ("system_avg_cpu_usage_pct", "double", true),
    ("system_max_cpu_usage_pct", "double", true),
    ("unparsed", "map", true),
];

fn type_word(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "string".into(),
        DataType::Int32 => "int32".into(),
        DataType::Float64 => "double".into(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if &**zone == "UTC" => "timestamp".into(),
        DataType::Map(entry, false) if !entry.is_nullable() => match entry.data_type() {
            DataType::Struct(fields)
                if fields.iter().all(|field| *field.data_type() == DataType::Utf8 && !field.is_nullable()) =>
            {
                "map".into()
            }
            other => other.to_string(),
        },
        other => other.to_string(),
    }
}

#[test]
fn the_schema_is_as_promised() {
    let schema: Vec<_> = SCHEMA
        .fields()
        .iter()
        .map(|field| (field.name().clone(), type_word(field.data_type()), field.is_nullable()))
        .collect();
    let frozen = FROZEN.map(|(name, type_word, nullable)| (name.to_owned(), type_word.to_owned(), nullable));
    assert_eq!(schema, frozen);
}

#[test]
fn the_column_reference_names_the_types_of_the_schema() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/COLUMNS.md")).unwrap();
    let lines = page.lines().take_while(|line| *line != "## meetings");
    let rows = lines.filter_map(|line| line.strip_prefix("| `"));
    let documented: Vec<_> = rows.map(|row| row.split(" | ").take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(documented, FROZEN.map(|(name, type_word, _)| format!("{name}` {type_word}")));
}
