use std::io::{Seek, SeekFrom};

use arrow::{
    array::{ArrayRef, Int32Array, StringArray},
    datatypes::{DataType, Field, Schema},
};
use parquet::file::{
    metadata::{ParquetMetaData, RowGroupMetaData},
    reader::{FileReader, SerializedFileReader},
    statistics::Statistics,
};

use super::*;
use crate::quality::{
    batch::Batcher,
    decode::{Unknown, decode},
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

fn batch_of(stays: &[(Stay, u64)]) -> RecordBatch {
    let mut batcher = Batcher::new(china());
    for (stay, samples) in stays {
        let items: Vec<_> = (0..*samples)
            .map(|minute| {
                let time = format!("2022.12.23 11:{:02}:00", 16 + minute % 30);
                format!(r#"{{"network":{{"time":"{time}","network_delay":"{minute}ms","bitrate_sent":"?"}}}}"#)
            })
            .collect();
        let page = format!(r#"{{"data":{{"participant_quality_list":[{}]}}}}"#, items.join(","));
        let mut rows = batcher.stay(stay);
        decode(page.as_bytes(), &mut Unknown::default(), |sample| rows.push(sample)).unwrap();
    }
    batcher.take()
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

fn bytes_of(batches: &[RecordBatch]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, &facts()).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
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

/// `batch` with another column in the place of the one of this name.
fn with_column(batch: &RecordBatch, name: &str, column: ArrayRef) -> RecordBatch {
    let mut columns = batch.columns().to_vec();
    columns[SCHEMA.index_of(name).unwrap()] = column;
    RecordBatch::try_new(Arc::clone(&SCHEMA), columns).unwrap()
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    let batch = batch_of(&stays());
    let bytes = bytes_of(std::slice::from_ref(&batch));
    assert_eq!(bytes_of(&[batch_of(&stays())]), bytes);
    assert_ne!(bytes_of(&[batch_of(&stays()[1..])]), bytes);
}

#[test]
fn the_footer_says_what_the_file_is() {
    let bytes = bytes_of(&[batch_of(&stays())]);
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
fn every_column_is_compressed_has_statistics_and_the_encoding_that_fits_it() {
    let batch = batch_of(&stays());
    let metadata = metadata_of(&bytes_of(&[batch]));
    let [group] = metadata.row_groups() else { panic!("{metadata:?}") };
    let delta: Vec<_> = delta_encoded().collect();
    assert_eq!(delta.len(), 5 + 5, "sample_index, four key times, five section times");
    assert_eq!(group.num_columns(), KEY_COLUMNS.len() + COLUMNS.len() + 2);
    for column in group.columns() {
        let path = column.column_path().string();
        assert!(matches!(column.compression(), Compression::ZSTD(_)), "{path}");
        let encodings: Vec<_> = column.encodings().collect();
        let is_delta = delta.contains(&path.as_str());
        assert_eq!(encodings.contains(&Encoding::DELTA_BINARY_PACKED), is_delta, "{path}: {encodings:?}");
        assert_eq!(encodings.contains(&Encoding::RLE_DICTIONARY), !is_delta, "{path}: {encodings:?}");
        let nulls = column.statistics().and_then(Statistics::null_count_opt);
        assert!(nulls.is_some(), "{path}");
    }
}

#[test]
fn a_row_group_ends_at_its_limit_and_leaves_nothing_in_memory() {
    const BATCH_ROWS: usize = 32_768;
    let batch = batch_of(&[(stay(Participant::User("ou_1".into()), MINUTE_S), BATCH_ROWS as u64)]);
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, &facts()).unwrap();
    let batches_per_group = ROW_GROUP_ROWS_MAX / BATCH_ROWS;
    let mut peaks = Vec::new();
    for _ in 0..3 {
        let mut peak = 0;
        for _ in 0..batches_per_group {
            writer.write(&batch).unwrap();
            peak = peak.max(writer.0.memory_size());
        }
        peaks.push(peak);
        assert_eq!(writer.0.in_progress_rows(), 0);
    }
    writer.write(&batch.slice(0, 1)).unwrap();
    writer.finish().unwrap();
    assert_eq!(peaks, [peaks[0]; 3]);
    let metadata = metadata_of(&bytes);
    let rows: Vec<_> = metadata.row_groups().iter().map(RowGroupMetaData::num_rows).collect();
    let full = i64::try_from(ROW_GROUP_ROWS_MAX).unwrap();
    assert_eq!(rows, [full, full, full, 1]);
}

#[test]
fn reading_back_gives_the_stays_and_their_samples() {
    let stays = stays();
    let (first, rest) = stays.split_at(2);
    let runs = runs_of(&bytes_of(&[batch_of(first), batch_of(rest)])).unwrap();
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
    let samples = ROW_GROUP_ROWS_MAX as u64 + 2;
    let long = [(stay(Participant::User("ou_1".into()), MINUTE_S), samples)];
    let bytes = bytes_of(&[batch_of(&long)]);
    assert_eq!(metadata_of(&bytes).num_row_groups(), 2);
    let counts: Vec<_> = runs_of(&bytes).unwrap().iter().map(|run| run.samples).collect();
    assert_eq!(counts, [samples]);
}

#[test]
fn samples_that_are_not_numbered_from_0_on_are_refused() {
    let batch = batch_of(&stays());
    for (numbers, found) in [
        ([0, 1, 3, 0, 0, 1, 0, 1], "sample_index is 3 where 2 follows"),
        ([0, 1, 1, 0, 0, 1, 0, 1], "sample_index is 1 where 2 follows"),
        ([0, 1, 2, 1, 0, 1, 0, 1], "sample_index is 1 where 0 follows"),
        ([-1, 1, 2, 0, 0, 1, 0, 1], "sample_index is -1 where 0 follows"),
        ([0, 1, 2, 0, 0, 1, 0, 0], "sample_index is 0 where 1 follows"),
    ] {
        let numbered = with_column(&batch, "sample_index", Arc::new(Int32Array::from(numbers.to_vec())));
        let error = runs_of(&bytes_of(&[numbered])).unwrap_err().to_string();
        assert!(error.starts_with(found), "{error}");
    }
}

#[test]
fn a_stay_that_comes_twice_in_a_row_is_refused() {
    let twice = [stays()[0].clone(), stays()[0].clone()];
    let error = runs_of(&bytes_of(&[batch_of(&twice)])).unwrap_err().to_string();
    assert!(error.starts_with("sample_index is 0 where 3 follows"), "{error}");
}

#[test]
fn rows_without_exactly_one_participant_or_with_another_number_are_refused() {
    let batch = batch_of(&stays()[..1]);
    let none: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>; 3]));
    let room: ArrayRef = Arc::new(StringArray::from(vec!["omm_1"; 3]));
    let letters: ArrayRef = Arc::new(StringArray::from(vec!["12345678a"; 3]));
    for (name, column, expected) in [
        ("user_id", none, "a row has not exactly one participant"),
        ("room_id", room, "a row has not exactly one participant"),
        ("meeting_no", letters, "a meeting_no is not nine digits"),
    ] {
        let error = runs_of(&bytes_of(&[with_column(&batch, name, column)])).unwrap_err();
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
    let bytes = bytes_of(&[batch_of(&stays())]);
    for end in (0..bytes.len()).step_by(97).chain([bytes.len() - 1]) {
        assert!(runs_of(&bytes[..end]).is_err(), "{end} of {} bytes", bytes.len());
    }
}
