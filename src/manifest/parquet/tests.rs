use std::io::{Seek, SeekFrom, Write};

use ::parquet::{
    basic::{BrotliLevel, GzipLevel},
    data_type::{
        ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int64Type as ParquetInt64, Int96, Int96Type,
    },
    file::{
        properties::{WriterProperties, WriterPropertiesPtr},
        writer::SerializedFileWriter,
    },
    schema::parser::parse_message_type,
};
use arrow::array::{
    BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, DurationSecondArray,
    FixedSizeBinaryArray, Float32Array, Int8Array, Int32Array, LargeBinaryArray, LargeStringArray, ListArray,
    NullArray, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray,
    UInt16Array, UInt32Array, UInt64Array,
};
use arrow::datatypes::{Int32Type, i256};
use proptest::prelude::*;

use super::super::tests::{GOOD_STAY, china, line, parquet_columns, parquet_file, rules, strings};
use super::*;
use crate::manifest::ManifestReader;

const JOIN_S: i64 = 1_740_921_065;

fn read(file: File, naive_times: Option<FixedOffset>) -> Result<Vec<String>, ManifestError> {
    let rows = ManifestReader::parquet(file, Rules { naive_times, ..rules() })?;
    rows.map(|row| Ok(line(&row?))).collect()
}

/// The rows, or the error, of a manifest with this array in the place of `column`.
fn with(column: &str, array: ArrayRef, naive_times: Option<FixedOffset>) -> Result<Vec<String>, String> {
    let mut columns = parquet_columns(strings(&["1740921065"]));
    columns.iter_mut().find(|(name, _)| *name == column).unwrap().1 = array;
    read(parquet_file(columns), naive_times).map_err(|error| error.to_string())
}

fn decimal(unscaled: i128, precision: u8, scale: i8) -> ArrayRef {
    Arc::new(Decimal128Array::from(vec![unscaled]).with_precision_and_scale(precision, scale).unwrap())
}

fn fixed(values: &[&[u8]]) -> FixedSizeBinaryArray {
    FixedSizeBinaryArray::try_from_iter(values.iter()).unwrap()
}

fn dictionary(array: &ArrayRef, key: DataType) -> ArrayRef {
    let values = Box::new(array.data_type().clone());
    cast(array, &DataType::Dictionary(Box::new(key), values)).unwrap()
}

/// Each says the same second, or the same text, exactly.
#[test]
fn whatever_says_a_value_exactly_is_read() {
    let wide = Decimal256Array::from(vec![i256::from(JOIN_S)]).with_precision_and_scale(60, 0).unwrap();
    let integer: ArrayRef = Arc::new(Int64Array::from(vec![JOIN_S]));
    let text = strings(&["1740921065"]);
    let times: Vec<ArrayRef> = vec![
        Arc::clone(&text),
        Arc::new(LargeStringArray::from(vec!["2025-03-02T13:11:05Z"])),
        cast(&text, &DataType::Utf8View).unwrap(),
        dictionary(&text, DataType::Int8),
        dictionary(&text, DataType::UInt32),
        Arc::new(BinaryArray::from(vec![b"1740921065".as_slice()])),
        Arc::new(LargeBinaryArray::from(vec![b"1740921065".as_slice()])),
        Arc::new(fixed(&[b"1740921065".as_slice()])),
        Arc::new(Int32Array::from(vec![1_740_921_065])),
        Arc::clone(&integer),
        dictionary(&integer, DataType::Int8),
        Arc::new(UInt32Array::from(vec![1_740_921_065])),
        Arc::new(UInt64Array::from(vec![1_740_921_065])),
        decimal(JOIN_S.into(), 18, 0),
        decimal(JOIN_S.into(), 38, 0),
        decimal(i128::from(JOIN_S) * 1000, 20, 3),
        Arc::new(wide),
        Arc::new(Float64Array::from(vec![1_740_921_065.0])),
        Arc::new(TimestampSecondArray::from(vec![JOIN_S]).with_timezone("UTC")),
        Arc::new(TimestampMillisecondArray::from(vec![JOIN_S * 1_000 + 999]).with_timezone("+03:00")),
        Arc::new(TimestampMicrosecondArray::from(vec![JOIN_S * 1_000_000 + 1]).with_timezone("UTC")),
        Arc::new(TimestampMicrosecondArray::from(vec![JOIN_S * 1_000_000 + 1]).with_timezone("Asia/Shanghai")),
        Arc::new(TimestampNanosecondArray::from(vec![JOIN_S * 1_000_000_000 + 1]).with_timezone("UTC")),
    ];
    for array in times {
        let data_type = array.data_type().clone();
        assert_eq!(with("join_time", array, None).unwrap(), [format!("1: {GOOD_STAY}")], "{data_type}");
    }
    let numbers: [ArrayRef; 4] = [
        Arc::new(BinaryArray::from(vec![b"012345678".as_slice()])),
        Arc::new(fixed(&[b"012345678".as_slice()])),
        dictionary(&strings(&["012345678"]), DataType::Int16),
        cast(&strings(&["012345678"]), &DataType::Utf8View).unwrap(),
    ];
    for array in numbers {
        assert_eq!(with("meeting_no", array, None).unwrap(), [format!("1: {GOOD_STAY}")]);
    }
    for (array, id) in [
        (Arc::new(Int8Array::from(vec![7])) as ArrayRef, "7"),
        (Arc::new(UInt16Array::from(vec![u16::MAX])), "65535"),
        (decimal(-500, 5, 2), "-5"),
        (Arc::new(Float32Array::from(vec![-0.0_f32])), "0"),
        (Arc::new(BinaryArray::from(vec!["ou_\u{4f1a}".as_bytes()])), "ou_\u{4f1a}"),
    ] {
        let stay = GOOD_STAY.replace("ou_1", id);
        assert_eq!(with("user_id", array, None).unwrap(), [format!("1: {stay}")]);
    }
}

#[test]
fn what_says_no_value_exactly_rejects_its_row() {
    let cases: Vec<(&str, ArrayRef, &str)> = vec![
        ("join_time", Arc::new(Int64Array::from(vec![None])), "`join_time` must be given"),
        (
            "join_time",
            Arc::new(TimestampSecondArray::from(vec![None]).with_timezone("UTC")),
            "`join_time` must be given",
        ),
        ("join_time", Arc::new(NullArray::new(1)), "`join_time` must be given"),
        ("join_time", Arc::new(Float64Array::from(vec![f64::NAN])), "`join_time` must be given"),
        (
            "join_time",
            Arc::new(TimestampMillisecondArray::from(vec![-1]).with_timezone("UTC")),
            "`join_time` is \"-1\", must not be before 1970",
        ),
        (
            "join_time",
            Arc::new(UInt64Array::from(vec![u64::MAX])),
            "`join_time` is \"18446744073709551615\", must be in seconds, less than 100000000000 (are these milliseconds?)",
        ),
        (
            "join_time",
            decimal(17_409_210_655, 18, 1),
            "`join_time` is \"1740921065.5\u{fffd}\", must be a whole number, exactly",
        ),
        ("user_id", decimal(550, 5, 2), "`user_id` is \"5.50\u{fffd}\", must be a whole number, exactly"),
        (
            "join_time",
            Arc::new(Float64Array::from(vec![1_740_921_065.5])),
            "`join_time` is \"1740921065.5\u{fffd}\", must be a whole number, exactly",
        ),
        // A float of 32 bits cannot tell these seconds from others.
        (
            "join_time",
            Arc::new(Float32Array::from(vec![1_740_921_065.0])),
            "`join_time` is \"1740921088\u{fffd}\", must be a whole number, exactly",
        ),
        (
            "user_id",
            Arc::new(Float64Array::from(vec![f64::INFINITY])),
            "`user_id` is \"inf\u{fffd}\", must be a whole number, exactly",
        ),
        ("user_id", Arc::new(BinaryArray::from(vec![b"ou_\xff".as_slice()])), "the row is not UTF-8"),
    ];
    for (column, array, expected) in cases {
        assert_eq!(with(column, array, None).unwrap(), [format!("1: {expected}")]);
    }
}

#[test]
fn a_column_of_another_type_is_refused_with_the_file() {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some([Some(1)])]);
    let cases: [(ArrayRef, &str); 4] = [
        (Arc::new(BooleanArray::from(vec![true])), "Boolean"),
        (Arc::new(Date32Array::from(vec![20_000])), "Date32"),
        (Arc::new(DurationSecondArray::from(vec![JOIN_S])), "Duration(s)"),
        (Arc::new(list), "List"),
    ];
    for (array, found) in cases {
        let error = with("join_time", array, None).unwrap_err();
        assert!(error.starts_with(&format!("column `join_time` has type {found}")), "{error}");
        assert!(error.ends_with(", must be text, a whole number or a timestamp"), "{error}");
    }
}

#[test]
fn times_without_a_zone_are_refused_unless_it_is_said_what_they_mean() {
    let arrays: [ArrayRef; 4] = [
        Arc::new(TimestampSecondArray::from(vec![JOIN_S])),
        Arc::new(TimestampMillisecondArray::from(vec![JOIN_S * 1_000 + 999])),
        Arc::new(TimestampMicrosecondArray::from(vec![JOIN_S * 1_000_000 + 1])),
        Arc::new(TimestampNanosecondArray::from(vec![JOIN_S * 1_000_000_000 + 1])),
    ];
    for array in arrays {
        let error = with("join_time", Arc::clone(&array), None).unwrap_err();
        assert!(error.starts_with("column `join_time` has times without a zone (a timestamp "), "{error}");
        assert!(error.ends_with("--naive-times utc, or --naive-times +08:00"), "{error}");
        let utc = with("join_time", Arc::clone(&array), FixedOffset::east_opt(0)).unwrap();
        assert_eq!(utc, [format!("1: {GOOD_STAY}")]);
        let earlier = GOOD_STAY.replace("1740921065", &(JOIN_S - 8 * 3600).to_string());
        assert_eq!(with("join_time", array, Some(china())).unwrap(), [format!("1: {earlier}")]);
    }
}

/// A manifest of one row with this Parquet declaration of `join_time`, and this value.
fn declared(join_time: &str, properties: WriterProperties, value: &Value) -> File {
    let message = format!(
        "message m {{ required binary meeting_no (UTF8); required int64 meeting_start_time; required int64 meeting_end_time; \
         {join_time}; required binary user_id (UTF8); }}"
    );
    let schema = Arc::new(parse_message_type(&message).unwrap());
    let file = tempfile::tempfile().unwrap();
    let properties: WriterPropertiesPtr = Arc::new(properties);
    let mut writer = SerializedFileWriter::new(file.try_clone().unwrap(), schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let good = [
        Value::Bytes(b"012345678".to_vec()),
        Value::Int64(1_740_921_000),
        Value::Int64(1_740_924_600),
        value.clone(),
        Value::Bytes(b"ou_1".to_vec()),
    ];
    for value in good {
        let mut column = group.next_column().unwrap().unwrap();
        match value {
            Value::Bytes(bytes) => {
                column.typed::<ByteArrayType>().write_batch(&[ByteArray::from(bytes)], None, None).unwrap()
            }
            Value::Int64(number) => column.typed::<ParquetInt64>().write_batch(&[number], None, None).unwrap(),
            Value::Int96(time) => column.typed::<Int96Type>().write_batch(&[time], None, None).unwrap(),
            Value::Fixed(bytes) => column
                .typed::<FixedLenByteArrayType>()
                .write_batch(&[FixedLenByteArray::from(bytes)], None, None)
                .unwrap(),
        };
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    file
}

#[derive(Clone)]
enum Value {
    Bytes(Vec<u8>),
    Int64(i64),
    Int96(Int96),
    Fixed(Vec<u8>),
}

fn int96(seconds: i64, nanos: i64) -> Value {
    let (day, nanos) = (seconds.div_euclid(86_400) + 2_440_588, seconds.rem_euclid(86_400) * 1_000_000_000 + nanos);
    let mut time = Int96::new();
    let low = u32::try_from(nanos & 0xFFFF_FFFF).unwrap();
    time.set_data(low, u32::try_from(nanos >> 32).unwrap(), u32::try_from(day).unwrap());
    Value::Int96(time)
}

/// The annotations from before there was a word for it: their writers used them for both.
#[test]
fn the_old_annotations_do_not_say_whether_there_is_a_zone() {
    for (annotation, units) in [("TIMESTAMP_MILLIS", 1_000), ("TIMESTAMP_MICROS", 1_000_000)] {
        let declaration = format!("required int64 join_time ({annotation})");
        let file = || declared(&declaration, WriterProperties::default(), &Value::Int64(JOIN_S * units + 1));
        let error = read(file(), None).unwrap_err().to_string();
        assert!(error.contains(&format!("({annotation}, which does not say whether")), "{error}");
        assert_eq!(read(file(), FixedOffset::east_opt(0)).unwrap(), [format!("1: {GOOD_STAY}")]);
    }
    let file = declared(
        "required int64 join_time (TIMESTAMP(MICROS,true))",
        WriterProperties::default(),
        &Value::Int64(JOIN_S * 1_000_000),
    );
    assert_eq!(read(file, None).unwrap(), [format!("1: {GOOD_STAY}")]);
    let file = declared(
        "required int64 join_time (TIMESTAMP(MILLIS,false))",
        WriterProperties::default(),
        &Value::Int64(JOIN_S * 1_000),
    );
    assert!(read(file, None).unwrap_err().to_string().contains("not adjusted to UTC"));
}

#[test]
fn int96_is_an_instant_within_64_bits_of_nanoseconds() {
    let last_s = i64::MAX / 1_000_000_000;
    for (seconds, nanos) in [(JOIN_S, 0), (JOIN_S, 999_999_999), (0, 0), (last_s, 854_775_807)] {
        let file = declared("required int96 join_time", WriterProperties::default(), &int96(seconds, nanos));
        let expected = if seconds == last_s {
            format!(
                "`join_time` is \"{last_s}\", must not be after `meeting_end_time`, is by {} years",
                (last_s - 1_740_924_600) / (365 * 86_400)
            )
        } else {
            GOOD_STAY.replace("1740921065", &seconds.to_string())
        };
        assert_eq!(read(file, Some(china())).unwrap(), [format!("1: {expected}")], "{seconds}");
    }
    // The first is the year 2609, which wraps around to 2025.
    for (seconds, shown) in [
        (JOIN_S + (1 << 32) * 4 + 1_266_874_889, "2609"),
        (last_s + 1, "2262-04-11T23:47:17+00:00"),
        (-9_223_372_038, "1677-09-21T00:12:42+00:00"),
        (86_400 * 1_000_000_000, "86400000000000"),
    ] {
        let file = declared("required int96 join_time", WriterProperties::default(), &int96(seconds, 0));
        let found = read(file, None).unwrap();
        assert!(found[0].starts_with(&format!("1: `join_time` is \"{shown}")), "{found:?}");
        assert!(
            found[0].ends_with("out of the range of INT96: must lie between 1677-09-21 and 2262-04-11"),
            "{found:?}"
        );
    }
    let file = declared("required int96 join_time", WriterProperties::default(), &int96(-9_223_372_037, 0));
    assert_eq!(read(file, None).unwrap(), ["1: `join_time` is \"-9223372037\", must not be before 1970"]);
}

#[test]
fn bytes_are_text_only_where_nothing_else_is_said_of_them() {
    let bytes = b"1740921065".to_vec();
    for declaration in [
        "required binary join_time",
        "required binary join_time (UTF8)",
        "required binary join_time (STRING)",
        "required binary join_time (ENUM)",
        "required binary join_time (JSON)",
    ] {
        let file = declared(declaration, WriterProperties::default(), &Value::Bytes(bytes.clone()));
        assert_eq!(read(file, None).unwrap(), [format!("1: {GOOD_STAY}")], "{declaration}");
        let file = declared(declaration, WriterProperties::default(), &Value::Bytes(b"17409210\xe4".to_vec()));
        assert_eq!(read(file, None).unwrap(), ["1: the row is not UTF-8"], "{declaration}");
    }
    let uuid = Value::Fixed(b"1740921065123456".to_vec());
    let file = declared("required fixed_len_byte_array(16) join_time (UUID)", WriterProperties::default(), &uuid);
    assert!(read(file, None).unwrap_err().to_string().contains("has type"));
    let file = declared("required binary join_time (BSON)", WriterProperties::default(), &Value::Bytes(bytes));
    assert!(read(file, None).unwrap_err().to_string().contains("has type Binary"));
}

/// The bytes of a file whose codec is named otherwise in its footer: nothing here can write BROTLI or LZO.
fn recoded(file: &mut File, leaf: usize, codec: Compression) -> ArrowReaderMetadata {
    file.seek(SeekFrom::Start(0)).unwrap();
    let metadata = metadata(file).unwrap();
    let mut groups = metadata.metadata().row_groups().to_vec();
    let mut columns = groups[0].columns().to_vec();
    columns[leaf] = columns[leaf].clone().into_builder().set_compression(codec).build().unwrap();
    groups[0] = groups[0].clone().into_builder().set_column_metadata(columns).build().unwrap();
    let facts = metadata.metadata().file_metadata().clone();
    let metadata = ParquetMetaData::new(facts, groups);
    ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new()).unwrap()
}

#[test]
fn codecs_are_read_or_named() {
    for codec in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::ZSTD(::parquet::basic::ZstdLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
    ] {
        let properties = WriterProperties::builder().set_compression(codec).build();
        let file = declared("required int64 join_time", properties, &Value::Int64(JOIN_S));
        assert_eq!(read(file, None).unwrap(), [format!("1: {GOOD_STAY}")], "{codec}");
    }
    let mut file = declared("required int64 join_time", WriterProperties::default(), &Value::Int64(JOIN_S));
    for (codec, name) in [(Compression::BROTLI(BrotliLevel::default()), "BROTLI"), (Compression::LZO, "LZO")] {
        let metadata = recoded(&mut file, 3, codec);
        let at = |column: Column, position| (column.name(), Values::Any, Some(position));
        let wanted = [at(Column::MeetingNo, 0), at(Column::JoinTime, 3)];
        let Err(BeginError::Column(error)) = Batches::begin(file.try_clone().unwrap(), &metadata, &wanted, None) else {
            panic!("{name} is read")
        };
        let expected = format!(
            "column `join_time` is compressed with {name}, which is not read: write the file with zstd, snappy, gzip, lz4, or \
             uncompressed"
        );
        assert_eq!(error.to_string(), expected);
        let other = Batches::begin(file.try_clone().unwrap(), &metadata, &wanted[..1], None);
        assert!(other.is_ok(), "a column that is not read may be compressed as it likes");
    }
}

proptest! {
    #[test]
    fn numbers_come_back_exactly_or_reject_their_row(unscaled in any::<i64>(), scale in 0_i8..6, float in any::<f64>()) {
        let power = 10_i64.pow(u32::from(scale.unsigned_abs()));
        let texts = Texts::of(&decimal(unscaled.into(), 38, scale), Form::Decimal).unwrap();
        if unscaled % power == 0 {
            prop_assert_eq!(texts.texts.value(0).parse::<i64>().unwrap(), unscaled / power);
        }
        prop_assert_eq!(texts.broken.is_empty(), unscaled % power == 0);
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![float]));
        let texts = Texts::of(&floats, Form::Float { whole_below: 2_f64.powi(53) }).unwrap();
        if texts.broken.is_empty() && texts.texts.is_valid(0) {
            #[expect(clippy::cast_precision_loss, reason = "that is what is tried")]
            let back = texts.texts.value(0).parse::<i64>().unwrap() as f64;
            prop_assert_eq!(back, float);
        }
    }
}

/// A file on a disk whose sectors are gone for one page of `meeting_no`: what is not there is an error, never a panic.
#[test]
fn a_damaged_page_is_an_error() {
    let mut file = parquet_file(parquet_columns(strings(&["1740921065"])));
    file.seek(SeekFrom::Start(8)).unwrap();
    file.write_all(&[0xFF; 40]).unwrap();
    let rows = read(file, None);
    assert!(matches!(rows, Err(ManifestError::Parquet(_))), "{rows:?}");
}
