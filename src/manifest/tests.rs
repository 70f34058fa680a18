use std::{error::Error as _, sync::Arc};

use ::csv as csv_crate;
use ::parquet::arrow::ArrowWriter;
use arrow::{
    array::{
        ArrayRef, AsArray, Float64Array, Int32Array, Int64Array, LargeStringArray, ListArray, NullArray, RecordBatch,
        StringArray, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
        TimestampSecondArray, UInt64Array,
    },
    compute::cast,
    datatypes::{DataType, Int32Type},
};
use chrono::{DateTime, FixedOffset};
use proptest::prelude::*;

use super::{
    column::IGNORED_NAMES_MAX,
    reject::{REJECT_TEXT_BYTES_MAX, RejectsWriter},
    *,
};
use crate::stay::{MeetingNo, Participant};

const HEADER: &str = "meeting_no,meeting_start_time,meeting_end_time,join_time,user_id,room_id";
const GOOD: &str = "012345678,1740921000,1740924600,1740921065,ou_1,";

fn china() -> FixedOffset {
    FixedOffset::east_opt(8 * 3600).unwrap()
}

fn rules() -> Rules {
    Rules { now_s: 1_740_930_000, naive_offset: china() }
}

/// Gives its bytes in pieces, with an interruption before each.
struct Pieces {
    bytes: Vec<u8>,
    start: usize,
    size: usize,
    is_interrupted: bool,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.is_interrupted = !self.is_interrupted;
        if self.is_interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let piece = &self.bytes[self.start..];
        let count = piece.len().min(buffer.len()).min(self.size);
        buffer[..count].copy_from_slice(&piece[..count]);
        self.start += count;
        Ok(count)
    }
}

fn in_pieces(bytes: &[u8], size: usize) -> Box<dyn Read + Send> {
    Box::new(Pieces { bytes: bytes.to_vec(), start: 0, size, is_interrupted: false })
}

fn csv(bytes: impl AsRef<[u8]>) -> Result<Reader, Error> {
    Reader::csv(in_pieces(bytes.as_ref(), usize::MAX), rules())
}

fn json_lines(bytes: impl AsRef<[u8]>) -> Result<Reader, Error> {
    Reader::json_lines(in_pieces(bytes.as_ref(), usize::MAX), rules())
}

fn parquet_file(columns: Vec<(&str, ArrayRef)>) -> File {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
    let batch = batch.unwrap();
    let file = tempfile::tempfile().unwrap();
    let mut writer = ArrowWriter::try_new(file.try_clone().unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    file
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Result<Reader, Error> {
    Reader::parquet(parquet_file(columns), rules())
}

fn strings(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// `line: stay` or `line: reason` of every row.
fn lines(reader: Result<Reader, Error>) -> Vec<String> {
    reader.unwrap().map(|row| line(&row.unwrap())).collect()
}

fn line(row: &Row) -> String {
    match &row.stay {
        Ok(stay) => format!("{}: {}", row.line, stay_text(stay)),
        Err(reject) => format!("{}: {reject}", row.line),
    }
}

fn stay_text(stay: &Stay) -> String {
    let Stay { meeting_no, meeting_start_s, meeting_end_s, join_s, participant } = stay;
    let kind = if participant.room_id().is_some() { "room" } else { "user" };
    format!("{meeting_no} {meeting_start_s} {meeting_end_s} {join_s} {kind} {}", participant.id())
}

const GOOD_STAY: &str = "012345678 1740921000 1740924600 1740921065 user ou_1";

fn error_text(reader: Result<Reader, Error>) -> String {
    match reader {
        Ok(_) => "no error".into(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_row_that_breaks_a_rule_is_rejected_with_the_reason() {
    let day_later = "1741007400";
    let long_id = "x".repeat(257);
    let cases: &[(&str, &str, &str)] = &[
        ("meeting_no", "", "`meeting_no` must be given"),
        ("meeting_no", " \u{3000}", "`meeting_no` must be given"),
        (
            "meeting_no",
            "12345678",
            "`meeting_no` is \"12345678\", must be nine digits (a leading zero lost by a spreadsheet?)",
        ),
        ("meeting_no", "1234567890", "`meeting_no` is \"1234567890\", must be nine digits"),
        ("meeting_no", "12345678a", "`meeting_no` is \"12345678a\", must be nine digits"),
        ("meeting_no", "１２３４５６７８９", "`meeting_no` is \"１２３４５６７８９\", must be nine digits"),
        ("meeting_no", "123 456 789", "`meeting_no` is \"123 456 789\", must be nine digits"),
        ("meeting_no", "123456789\t", "`meeting_no` is \"123456789\\t\", must be nine digits"),
        ("meeting_no", " 012345678 ", GOOD_STAY),
        ("meeting_start_time", "", "`meeting_start_time` must be given"),
        ("meeting_start_time", "-1", "`meeting_start_time` is \"-1\", must not be before 1970"),
        (
            "meeting_start_time",
            "-99999999999999999999",
            "`meeting_start_time` is \"-99999999999999999999\", must not be before 1970",
        ),
        (
            "meeting_start_time",
            "1740930001",
            "`meeting_start_time` is \"1740930001\", must not be in the future, is by 1 s",
        ),
        (
            "meeting_start_time",
            "1740921000000",
            "`meeting_start_time` is \"1740921000000\", must be in seconds, less than 100000000000 (are these milliseconds?)",
        ),
        (
            "meeting_start_time",
            "1740921000.0",
            "`meeting_start_time` is \"1740921000.0\", must be unix seconds, RFC 3339 or a time such as `2022.12.23 11:16:59 (GMT+08:00)`",
        ),
        (
            "meeting_start_time",
            "2025-03-02",
            "`meeting_start_time` is \"2025-03-02\", must be unix seconds, RFC 3339 or a time such as `2022.12.23 11:16:59 (GMT+08:00)`",
        ),
        ("meeting_start_time", "2025-03-02T21:10:00.999+08:00", GOOD_STAY),
        ("meeting_start_time", "2025-03-02T13:10:00Z", GOOD_STAY),
        ("meeting_start_time", "2025.03.02 21:10:00 (GMT+08:00)", GOOD_STAY),
        ("meeting_start_time", "2025.03.02 21:10:00", GOOD_STAY),
        (
            "meeting_end_time",
            "1740920999",
            "`meeting_end_time` is \"1740920999\", must not be before `meeting_start_time`, is by 1 s",
        ),
        (
            "meeting_end_time",
            "1741007401",
            "`meeting_end_time` is \"1741007401\", must be at most 86400 s after `meeting_start_time`, is 86401 s after it",
        ),
        ("meeting_end_time", day_later, "012345678 1740921000 1741007400 1740921065 user ou_1"),
        ("meeting_end_time", "1740921000", "012345678 1740921000 1740921000 1740921065 user ou_1"),
        (
            "join_time",
            "-",
            "`join_time` is \"-\", must be unix seconds, RFC 3339 or a time such as `2022.12.23 11:16:59 (GMT+08:00)`",
        ),
        (
            "join_time",
            "100000000000",
            "`join_time` is \"100000000000\", must be in seconds, less than 100000000000 (are these milliseconds?)",
        ),
        ("join_time", "99999999999", "012345678 1740921000 1740924600 99999999999 user ou_1"),
        (
            "join_time",
            "99999999999999999999",
            "`join_time` is \"99999999999999999999\", must be in seconds, less than 100000000000 (are these milliseconds?)",
        ),
        ("join_time", "0", "012345678 1740921000 1740924600 0 user ou_1"),
        ("user_id", "", "`user_id` and `room_id` are both empty, exactly one must be given"),
        ("room_id", "omm_1", "`user_id` is \"ou_1\" and `room_id` is \"omm_1\", exactly one must be given"),
        ("room_id", "\u{a0}", GOOD_STAY),
        ("user_id", "ou\u{7}1", "`user_id` is \"ou\\u{7}1\", must not hold control characters nor U+FFFD"),
        ("user_id", "ou_1\n", "`user_id` is \"ou_1\\n\", must not hold control characters nor U+FFFD"),
        ("user_id", "ou_\u{fffd}", "`user_id` is \"ou_\u{fffd}\", must not hold control characters nor U+FFFD"),
        ("user_id", &long_id, "…, must have at most 256 bytes, has 257"),
        ("user_id", &long_id[..256], &format!("{}{}", &GOOD_STAY[..GOOD_STAY.len() - 4], &long_id[..256])),
    ];
    for &(column, value, expected) in cases {
        let row: Vec<String> = HEADER
            .split(',')
            .zip(GOOD.split(','))
            .map(|(name, good)| format!("\"{}\"", if name == column { value } else { good }))
            .collect();
        let found = lines(csv(format!("{HEADER}\n{}\n", row.join(","))));
        assert_eq!(found.len(), 1, "{column} {value}");
        if let Some(ending) = expected.strip_prefix('…') {
            assert!(found[0].ends_with(ending), "{}", found[0]);
        } else {
            assert_eq!(found[0], format!("2: {expected}"), "{column} {value}");
        }
    }
}

#[test]
fn start_may_be_now() {
    let now_s = rules().now_s;
    assert_eq!(
        lines(csv(format!("{HEADER}\n012345678,{now_s},{now_s},{now_s},,omm_1"))),
        [format!("2: 012345678 {now_s} {now_s} {now_s} room omm_1")]
    );
}

#[test]
fn csv_is_read_in_all_its_layouts() {
    let good = |line: u64| format!("{line}: {GOOD_STAY}");
    let quoted = "\"012345678\",\"1740921000\",1740924600,1740921065,\"ou_1\",\"\"";
    let cases: Vec<(String, Vec<String>)> = vec![
        (format!("{HEADER}\n{GOOD}\n{GOOD}\n"), vec![good(2), good(3)]),
        (format!("{HEADER}\n{GOOD}\n{GOOD}"), vec![good(2), good(3)]),
        (format!("{HEADER}\r\n{GOOD}\r\n{GOOD}\r\n"), vec![good(2), good(3)]),
        (format!("{HEADER}\r{GOOD}\r{GOOD}\r"), vec![good(2), good(3)]),
        (format!("{HEADER}\n{GOOD}\r\n{GOOD}\r{GOOD}\n"), vec![good(2), good(3), good(4)]),
        (format!("\u{feff}{HEADER}\n{GOOD}\n"), vec![good(2)]),
        (format!("\n\r\n\n{HEADER}\n\n{GOOD}\r\r\n \n\n{GOOD}\n\n"), vec![good(6), good(10)]),
        (format!("{HEADER}\n{quoted}\n{quoted}"), vec![good(2), good(3)]),
        (format!(" {} \n{GOOD}\n", HEADER.replace(',', " , ")), vec![good(2)]),
        (format!("\"{}\"\n{GOOD}\n", HEADER.replace(',', "\",\"")), vec![good(2)]),
        (format!("{HEADER},topic\n{GOOD},\"a \"\"b\"\", c\nd\r\ne\rf\"\n{GOOD},\n"), vec![good(2), good(6)]),
        (
            "user_id,x,join_time,meeting_end_time,meeting_start_time,meeting_no\nou_1,y,1740921065,1740924600,1740921000,012345678\n"
                .into(),
            vec![good(2)],
        ),
        (HEADER.into(), vec![]),
        (format!("{HEADER}\n\n\n"), vec![]),
    ];
    for (text, expected) in cases {
        assert_eq!(lines(csv(&text)), expected, "{text:?}");
    }
}

#[test]
fn a_csv_row_that_cannot_be_taken_apart_is_rejected_alone() {
    let wide = ",".repeat(1_000_000);
    let long = "x".repeat(1_000_000);
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"012345678,1740921000".into(), "2: the row has 2 fields, must have 6 as the line of column names"),
        (format!("{GOOD},").into(), "2: the row has 7 fields, must have 6 as the line of column names"),
        (wide.into(), "2: the row has 1000001 fields, must have 6 as the line of column names"),
        (format!("{GOOD}{long}").into(), "2: the row ends on line 2 and is longer than 65536 bytes"),
        (format!("{GOOD},\"a\n{long}\"").into(), "2: the row ends on line 3 and is longer than 65536 bytes"),
        (b"\xff12345678,1740921000,1740924600,1740921065,ou_1,".into(), "2: the row is not UTF-8"),
        (b"012345678,1740921000,1740924600,1740921065,\xe4,\xb8\xad".into(), "2: the row is not UTF-8"),
    ];
    for (row, expected) in cases {
        let text = [HEADER.as_bytes(), b"\n", &row, b"\n", GOOD.as_bytes()].concat();
        let found = lines(csv(text));
        assert_eq!(found[0], expected);
        assert!(found[1].ends_with(GOOD_STAY), "{found:?}");
        assert_eq!(found.len(), 2);
    }
}

#[test]
fn a_quote_that_is_never_closed_names_the_lines_that_it_takes() {
    let long = "x".repeat(RECORD_BYTES_MAX);
    let cases = [
        ("", 3),
        ("a\nb", 4),
        ("a\nb\n", 4),
        ("a\r\nb\r\n", 4),
        ("\n\n", 4),
        (&format!("{long}\n{long}\n{long}"), 5),
        (&long[..RECORD_BYTES_MAX - 43], 3),
        (&long[..RECORD_BYTES_MAX - 44], 3),
    ];
    for (rest, last_line) in cases {
        let found = lines(csv(format!("{HEADER}\n{GOOD}\n{GOOD}\"{rest}")));
        let expected = format!("3: a quote is never closed, so that all lines to {last_line}, the last, are one row");
        assert_eq!(found, [format!("2: {GOOD_STAY}"), expected]);
    }
    assert_eq!(lines(csv(format!("{HEADER}\n\""))).len(), 1);
}

#[test]
fn a_csv_record_may_have_just_the_limit() {
    let fixed = GOOD.len() - GOOD.matches(',').count();
    for (excess, expected) in [(0, GOOD_STAY), (1, "the row ends on line 2 and is longer than 65536 bytes")] {
        let topic = "x".repeat(RECORD_BYTES_MAX - fixed + excess);
        assert_eq!(lines(csv(format!("{HEADER},topic\n{GOOD},{topic}"))), [format!("2: {expected}")]);
    }
    let names = HEADER.len() - HEADER.matches(',').count();
    let header = |name_bytes: usize| format!("{HEADER},{}\n{GOOD},", "x".repeat(name_bytes));
    assert_eq!(lines(csv(header(RECORD_BYTES_MAX - names))), [format!("2: {GOOD_STAY}")]);
    assert!(csv(header(RECORD_BYTES_MAX - names + 1)).is_err());
}

#[test]
fn a_header_that_is_none_stops_the_file() {
    let (names, long_name) = (",".repeat(5000), "x".repeat(70_000));
    let cases: &[(&[u8], &str)] = &[
        (b"", "the manifest is empty, must begin with a line of column names"),
        (b"\xef\xbb\xbf\r\n", "the manifest is empty, must begin with a line of column names"),
        (b"\xff\xfem\0e\0", "the manifest is UTF-16, must be UTF-8 (a spreadsheet saves it as `CSV UTF-8`)"),
        (b"\xfe\xff\0m\0e", "the manifest is UTF-16, must be UTF-8 (a spreadsheet saves it as `CSV UTF-8`)"),
        (b"meeting_no,\xff\n", "the line of column names is not UTF-8"),
        (b"meeting_no,\"user_id\n", "the line of column names has a quote that is never closed"),
        (names.as_bytes(), "the line of column names is longer than 65536 bytes or 4096 names"),
        (long_name.as_bytes(), "the line of column names is longer than 65536 bytes or 4096 names"),
        (
            b"meeting_no;user_id\n",
            "the manifest has no column `meeting_no`, `meeting_start_time`, `meeting_end_time`, `join_time`, `user_id` or \
             `room_id`; it has \"meeting_no;user_id\"",
        ),
        (
            b"Meeting_No,meeting_start_time,meeting_end_time,join_time,room_id\n",
            "the manifest has no column `meeting_no`; it has \
             \"Meeting_No,meeting_start_time,meeting_end_time,join_time,room_id\"",
        ),
        (b"join_time,user_id, join_time\n", "the manifest has column `join_time` twice"),
    ];
    for (text, expected) in cases {
        assert_eq!(error_text(csv(text)), *expected);
    }
}

#[test]
fn one_id_column_is_enough_and_others_are_named_once() {
    let text = "meeting_no,meeting_start_time,meeting_end_time,join_time,room_id,b,a,b\n012345678,1,2,3,omm_1,x,y,z\n";
    let mut reader = csv(text).unwrap();
    assert_eq!(line(&reader.next().unwrap().unwrap()), "2: 012345678 1 2 3 room omm_1");
    assert_eq!(reader.ignored_names(), ["b", "a"]);
}

#[test]
fn json_lines_are_read_line_by_line() {
    let good = |meeting_no: &str| {
        format!(
            r#"{{"meeting_no":{meeting_no},"meeting_start_time":1740921000,"meeting_end_time":"1740924600","join_time":"1740921065","user_id":"ou_1"}}"#
        )
    };
    let with = |more: &str| good("\"012345678\"").replace('}', &format!(",{more}}}"));
    let cases = [
        (good("\"012345678\""), GOOD_STAY),
        (good(" \"\\u0030\\u00312345678\" ") + "\r", GOOD_STAY),
        (with("\"room_id\":null,\"topic\":[{\"a\":1e5}]"), GOOD_STAY),
        (with("\"room_id\":\" \""), GOOD_STAY),
        (good("112345678"), "112345678 1740921000 1740924600 1740921065 user ou_1"),
        (good("12345678"), "`meeting_no` is \"12345678\", must be nine digits (a leading zero lost by a spreadsheet?)"),
        (good("012345678"), "the line is not one JSON object (reading stopped at byte 16)"),
        (good("null"), "`meeting_no` must be given"),
        (good("1e8"), "`meeting_no` must be a string or an integer, is a number with a fraction or an exponent"),
        (good("[1]"), "`meeting_no` must be a string or an integer, is a list"),
        (good("{}"), "`meeting_no` must be a string or an integer, is an object"),
        (good("true"), "`meeting_no` must be a string or an integer, is true or false"),
        (good("\"\\ud800\""), "`meeting_no` must be a string or an integer, is a string that is not Unicode"),
        (with("\"join_time\":1"), "`join_time` is there twice"),
        (with("\"room_id\":7"), "`user_id` is \"ou_1\" and `room_id` is \"7\", exactly one must be given"),
        ("{}".into(), "`meeting_no` must be given"),
        ("[1,2]".into(), "the line is not one JSON object (reading stopped at byte 1)"),
        ("{\"meeting_no\":".into(), "the line is not one JSON object (reading stopped at byte 14)"),
        (good("1") + "{}", "the line is not one JSON object (reading stopped at byte 123)"),
        ("x".repeat(1_000_000), "the row ends on line 2 and is longer than 65536 bytes"),
    ];
    for (text, expected) in cases {
        let found = lines(json_lines(format!(" \n{text}\n\n{}", good("\"012345678\""))));
        assert_eq!(found, [format!("2: {expected}"), format!("4: {GOOD_STAY}")], "{text:.200}");
    }
    assert_eq!(lines(json_lines(format!("\u{feff}{}", good("\"012345678\"")))), [format!("1: {GOOD_STAY}")]);
    assert_eq!(lines(json_lines(b"\n{\xff}\n")), ["2: the row is not UTF-8"]);
    assert_eq!(lines(json_lines("")), [""; 0]);
    assert_eq!(error_text(json_lines(b"\xff\xfe{\0}\0")), Error::Utf16.to_string());
}

#[test]
fn a_json_line_may_have_just_the_limit() {
    for (excess, end, expected) in [
        (0, "", "`meeting_no` must be given"),
        (0, "\n", "`meeting_no` must be given"),
        (1, "", "the row ends on line 1 and is longer than 65536 bytes"),
        (1, "\n", "the row ends on line 1 and is longer than 65536 bytes"),
    ] {
        let text = format!("{{\"topic\":\"{}\"}}{end}", "x".repeat(RECORD_BYTES_MAX - 12 + excess));
        assert_eq!(lines(json_lines(text)), [format!("1: {expected}")]);
    }
}

#[test]
fn unknown_json_keys_are_named_once_up_to_a_limit() {
    let long = "x".repeat(100);
    let text: Vec<String> = (0..1000).map(|n| format!("{{\"a\":1,\"{long}{n}\":2,\"a\":3}}")).collect();
    let mut reader = json_lines(text.join("\n")).unwrap();
    assert_eq!(reader.by_ref().count(), 1000);
    assert_eq!(reader.ignored_names(), ["a", &"x".repeat(80)]);
    let text: Vec<String> = (0..1000).map(|n| format!("{{\"{n}\":0}}")).collect();
    let mut reader = json_lines(text.join("\n")).unwrap();
    assert_eq!(reader.by_ref().count(), 1000);
    assert_eq!(reader.ignored_names().len(), IGNORED_NAMES_MAX);
}

/// Columns of one good row, with `array` for `join_time`.
fn parquet_columns(join_time: ArrayRef) -> Vec<(&'static str, ArrayRef)> {
    vec![
        ("meeting_no", strings(&["012345678"])),
        ("meeting_start_time", strings(&["1740921000"])),
        ("meeting_end_time", strings(&["2025-03-02T14:10:00Z"])),
        ("join_time", join_time),
        ("user_id", strings(&["ou_1"])),
    ]
}

#[test]
fn parquet_times_come_in_any_type_and_unit() {
    let s = 1_740_921_065_i64;
    let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    let arrays: Vec<ArrayRef> = vec![
        strings(&["1740921065"]),
        Arc::new(LargeStringArray::from(vec!["2025-03-02T13:11:05Z"])),
        cast(&strings(&["1740921065"]), &DataType::Utf8View).unwrap(),
        cast(&strings(&["1740921065"]), &dictionary).unwrap(),
        Arc::new(Int32Array::from(vec![1_740_921_065])),
        Arc::new(Int64Array::from(vec![s])),
        Arc::new(UInt64Array::from(vec![1_740_921_065])),
        Arc::new(TimestampSecondArray::from(vec![s])),
        Arc::new(TimestampMillisecondArray::from(vec![s * 1_000 + 999])),
        Arc::new(TimestampMicrosecondArray::from(vec![s * 1_000_000 + 1]).with_timezone("UTC")),
        Arc::new(TimestampMicrosecondArray::from(vec![s * 1_000_000 + 1]).with_timezone("Asia/Shanghai")),
        Arc::new(TimestampNanosecondArray::from(vec![s * 1_000_000_000 + 1])),
    ];
    for array in arrays {
        let data_type = array.data_type().clone();
        assert_eq!(lines(parquet(parquet_columns(array))), [format!("1: {GOOD_STAY}")], "{data_type}");
    }
    let rejected: [(ArrayRef, &str); 5] = [
        (Arc::new(Int64Array::from(vec![None])), "1: `join_time` must be given"),
        (Arc::new(TimestampSecondArray::from(vec![None])), "1: `join_time` must be given"),
        (Arc::new(NullArray::new(1)), "1: `join_time` must be given"),
        (Arc::new(TimestampMillisecondArray::from(vec![-1])), "1: `join_time` is \"-1\", must not be before 1970"),
        (
            Arc::new(UInt64Array::from(vec![u64::MAX])),
            "1: `join_time` is \"18446744073709551615\", must be in seconds, less than 100000000000 (are these milliseconds?)",
        ),
    ];
    for (array, expected) in rejected {
        assert_eq!(lines(parquet(parquet_columns(array))), [expected]);
    }
}

#[test]
fn parquet_that_cannot_be_a_manifest_stops_the_file() {
    let float: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
    assert_eq!(
        error_text(parquet(parquet_columns(Arc::clone(&float)))),
        "column `join_time` has type Float64, must be string, integer or timestamp"
    );
    assert_eq!(
        error_text(parquet(vec![("meeting_no", float)])),
        "the manifest has no column `meeting_start_time`, `meeting_end_time`, `join_time`, `user_id` or `room_id`; it has \
         \"meeting_no\""
    );
    let error = Reader::parquet(tempfile::tempfile().unwrap(), rules()).err().unwrap();
    assert_eq!(error.to_string(), "the manifest cannot be read as Parquet");
    assert!(error.source().is_some());
}

#[test]
fn parquet_rows_are_numbered_over_batches_and_other_columns_are_not_read() {
    let row_count = 20_000;
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some([Some(1)]); row_count]);
    let mut columns = vec![
        ("float", Arc::new(Float64Array::from(vec![0.5; row_count])) as ArrayRef),
        ("list", Arc::new(list) as ArrayRef),
    ];
    let repeated = parquet_columns(strings(&["1740921065"])).into_iter();
    columns.extend(repeated.map(|(name, array)| {
        let text = array.as_string::<i32>().value(0).to_owned();
        (name, Arc::new(StringArray::from(vec![text; row_count])) as ArrayRef)
    }));
    let mut reader = parquet(columns).unwrap();
    assert_eq!(reader.ignored_names(), ["float", "list"]);
    for number in 1..=row_count {
        assert_eq!(line(&reader.next().unwrap().unwrap()), format!("{number}: {GOOD_STAY}"));
    }
    assert!(reader.next().is_none());
}

#[test]
fn the_examples_are_manifests() {
    let csv_rows = lines(csv(include_bytes!("../../config/manifest.example.csv")));
    let json_rows = lines(json_lines(include_bytes!("../../config/manifest.example.jsonl")));
    let expected = [
        "012345678 1740921000 1740924600 1740921065 user ou_3ec3f6a28a0d08c45d895276e8e5e19b",
        "012345678 1740921000 1740924600 1740921150 room omm_eada1d61a550955240c28757e7dec3af",
        "123456789 1740921000 1740926400 1740921004 user ou_3ec3f6a28a0d08c45d895276e8e5e19b",
    ];
    for (index, stay) in expected.into_iter().enumerate() {
        assert_eq!(csv_rows[index], format!("{}: {stay}", index + 2));
        assert_eq!(json_rows[index], format!("{}: {stay}", index + 1));
    }
}

#[test]
fn the_ending_tells_the_format() {
    for (name, format) in [
        ("a.csv", Format::Csv),
        ("/x.parquet/a.JSONL", Format::JsonLines),
        ("a.b.ndjson", Format::JsonLines),
        ("a.Parquet", Format::Parquet),
    ] {
        assert_eq!(Format::of_file(Path::new(name)).unwrap(), format);
    }
    for name in ["-", "csv", ".csv", "a.csv.gz", "a.json", "a."] {
        assert_eq!(
            Format::of_file(Path::new(name)).unwrap_err().to_string(),
            format!("`{name}` ends in none of .csv, .jsonl, .ndjson and .parquet; name its format with --format")
        );
    }
}

/// `rejects.csv` of these rows.
fn rejects_csv<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Vec<u8> {
    let mut writer = RejectsWriter::new(Vec::new()).unwrap();
    for row in rows {
        if let Err(reject) = &row.stay {
            writer.write("nightly, \"1\".csv", row.line, reject).unwrap();
        }
    }
    writer.finish().unwrap()
}

#[test]
fn rejects_are_written_with_file_line_and_reason() {
    let rows: Vec<Row> =
        csv(format!("{HEADER}\n{GOOD}\n1,2,3,4,\"a\nb\",\n{GOOD},\n")).unwrap().map(Result::unwrap).collect();
    let expected = "meeting_no,meeting_start_time,meeting_end_time,join_time,user_id,room_id,file,line,reason\n\
        1,2,3,4,\"a\nb\",,\"nightly, \"\"1\"\".csv\",3,\
        \"`meeting_no` is \"\"1\"\", must be nine digits (a leading zero lost by a spreadsheet?)\"\n\
        012345678\u{fffd},1740921000,1740924600,1740921065,ou_1,,\"nightly, \"\"1\"\".csv\",5,\
        \"the row has 7 fields, must have 6 as the line of column names\"\n";
    assert_eq!(String::from_utf8(rejects_csv(&rows)).unwrap(), expected);
    assert_eq!(String::from_utf8(rejects_csv([])).unwrap(), expected.lines().next().unwrap().to_owned() + "\n");
}

#[test]
fn a_damaged_text_never_comes_back_as_a_good_one() {
    let id = "ou_123456789";
    let filler_bytes = RECORD_BYTES_MAX - GOOD.len();
    for filler in (filler_bytes..filler_bytes + 20).map(|count| "x".repeat(count)) {
        let header = "meeting_no,meeting_start_time,meeting_end_time,join_time,room_id,topic,user_id";
        for ids in [["", id], [id, id]] {
            let row = format!("012345678,1740921000,1740924600,1740921065,{},{filler},{}", ids[0], ids[1]);
            let rows: Vec<Row> = csv(format!("{header}\n{row}")).unwrap().map(Result::unwrap).collect();
            for again in csv(rejects_csv(&rows)).unwrap().map(Result::unwrap) {
                assert!(again.stay.is_err(), "{} {:?}", filler.len(), again);
            }
        }
    }
    let blanks = " ".repeat(REJECT_TEXT_BYTES_MAX);
    let cut = csv(format!("{HEADER}\n{}", GOOD.replacen(',', &format!("{blanks}x,"), 1)));
    let rows: Vec<Row> = cut.unwrap().map(Result::unwrap).collect();
    assert!(csv(rejects_csv(&rows)).unwrap().all(|row| row.unwrap().stay.is_err()));
    let lossy = csv([HEADER.as_bytes(), b"\n", &GOOD.as_bytes()[..GOOD.len() - 1], b"\xff,\n"].concat());
    let rows: Vec<Row> = lossy.unwrap().map(Result::unwrap).collect();
    assert!(csv(rejects_csv(&rows)).unwrap().all(|row| row.unwrap().stay.is_err()));
}

/// Bytes of which records are made, more often than others.
fn csv_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec!["\"", ",", "\n", "\r", "\r\n", " ", "\"\"", GOOD, "012345678", "1740921000", "é"])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
        1 => (0_usize..80_000).prop_map(|count| vec![b'x'; count]),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// How many records the crate `csv` finds, blank ones left out.
fn reference_record_count(text: &[u8]) -> usize {
    let mut reader = csv_crate::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(text);
    let is_blank = |record: &csv_crate::ByteRecord| {
        record.len() == 1 && std::str::from_utf8(&record[0]).is_ok_and(|text| text.trim().is_empty())
    };
    reader.byte_records().map(Result::unwrap).filter(|record| !is_blank(record)).count()
}

fn stay_strategy() -> impl Strategy<Value = Stay> {
    let id = prop_oneof![
        "[!-~]([ -~]{0,40}[!-~])?".prop_map(Participant::User),
        "[!-~]([ -~]{0,40}[!-~])?".prop_map(Participant::Room)
    ];
    ("[0-9]{9}", 0..=rules().now_s, 0..=86_400_i64, 0..4_000_000_000_i64, id).prop_map(
        |(meeting_no, meeting_start_s, length_s, join_s, participant)| Stay {
            meeting_no: MeetingNo::parse(&meeting_no).unwrap(),
            meeting_start_s,
            meeting_end_s: meeting_start_s + length_s,
            join_s,
            participant,
        },
    )
}

/// The time in the `form`-th of the four forms.
fn time_text(time_s: i64, form: usize) -> String {
    let time = DateTime::from_timestamp(time_s, 0).unwrap().with_timezone(&china());
    match form {
        0 => time_s.to_string(),
        1 => time.to_rfc3339(),
        2 => time.format("%Y.%m.%d %H:%M:%S (GMT+08:00)").to_string(),
        _ => time.format("%Y.%m.%d %H:%M:%S").to_string(),
    }
}

fn texts(stay: &Stay, form: usize) -> [String; 6] {
    [
        stay.meeting_no.to_string(),
        time_text(stay.meeting_start_s, form),
        time_text(stay.meeting_end_s, form),
        time_text(stay.join_s, form),
        stay.participant.user_id().unwrap_or_default().to_owned(),
        stay.participant.room_id().unwrap_or_default().to_owned(),
    ]
}

proptest! {
    #[test]
    fn any_bytes_give_the_same_rows_as_the_reference_and_in_any_pieces(
        bytes in csv_bytes(), size in 1_usize..200, long in 1000_usize..100_000
    ) {
        let text = [HEADER.as_bytes(), b"\n", &bytes].concat();
        let whole = lines(Reader::csv(in_pieces(&text, long), rules()));
        prop_assert_eq!(&whole, &lines(Reader::csv(in_pieces(&text, size), rules())));
        let is_open = whole.last().is_some_and(|line| line.contains("never closed"));
        prop_assert!(is_open || whole.len() == reference_record_count(&bytes), "{:?}", whole);
    }

    #[test]
    fn every_json_line_that_is_not_blank_gives_a_row(
        pieces in prop::collection::vec(prop_oneof![csv_bytes(), "[{}\":,0-9a-z\n]{0,20}".prop_map(String::into_bytes)], 0..4),
        size in 1_usize..200
    ) {
        let bytes = [b"{", pieces.concat().as_slice()].concat();
        let line_count = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
        let found = lines(Reader::json_lines(in_pieces(&bytes, size), rules()));
        prop_assert_eq!(found.len(), line_count);
    }

    #[test]
    fn headers_and_parquet_of_any_bytes_never_panic(bytes in csv_bytes(), flips in prop::collection::vec(any::<(u16, u8)>(), 1..8)) {
        for reader in [csv(&bytes), json_lines(&bytes)].into_iter().flatten() {
            reader.for_each(drop);
        }
        let mut file = parquet_file(parquet_columns(strings(&["1740921065"])));
        let mut bytes = Vec::new();
        io::Seek::rewind(&mut file).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        for (position, byte) in flips {
            let position = usize::from(position) % bytes.len();
            bytes[position] ^= byte;
        }
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, &bytes).unwrap();
        if let Ok(reader) = Reader::parquet(file, rules()) {
            reader.take(10).for_each(drop);
        }
    }

    #[test]
    fn good_rows_come_back_from_every_format_and_time_form(
        stays in prop::collection::vec(stay_strategy(), 1..20), form in 0_usize..4
    ) {
        let expected: Vec<String> = stays.iter().map(stay_text).collect();
        let rows: Vec<[String; 6]> = stays.iter().map(|stay| texts(stay, form)).collect();
        let mut csv_text = csv_crate::Writer::from_writer(Vec::new());
        csv_text.write_record(Column::ALL.map(Column::name)).unwrap();
        let mut json_text = Vec::new();
        for row in &rows {
            csv_text.write_record(row).unwrap();
            let object: serde_json::Map<_, _> =
                Column::ALL.into_iter().zip(row).map(|(column, text)| (column.name().into(), text.as_str().into())).collect();
            json_text.push(serde_json::Value::Object(object).to_string());
        }
        let columns = Column::ALL.into_iter().enumerate().map(|(index, column)| {
            let texts: Vec<Option<&str>> =
                rows.iter().map(|row| Some(row[index].as_str()).filter(|text| !text.is_empty())).collect();
            (column.name(), Arc::new(StringArray::from(texts)) as ArrayRef)
        });
        for reader in [
            csv(csv_text.into_inner().unwrap()),
            json_lines(json_text.join("\n")),
            parquet(columns.collect()),
        ] {
            let found: Vec<String> =
                reader.unwrap().map(|row| stay_text(&row.unwrap().stay.unwrap())).collect();
            prop_assert_eq!(&found, &expected);
        }
    }

    #[test]
    fn rejects_given_back_are_the_same_rejects(
        rows in prop::collection::vec(prop::array::uniform6("(|012345678|1740921000|ou_1|\\PC{0,6}|.{0,6}|[ \"\t\n\r,]{1,3}|x{5000})"), 1..10)
    ) {
        let mut text = csv_crate::Writer::from_writer(Vec::new());
        text.write_record(Column::ALL.map(Column::name)).unwrap();
        for row in &rows {
            text.write_record(row).unwrap();
        }
        let rows: Vec<Row> = csv(text.into_inner().unwrap()).unwrap().map(Result::unwrap).collect();
        let rejects: Vec<&Box<Reject>> = rows.iter().filter_map(|row| row.stay.as_ref().err()).collect();
        prop_assert!(rejects.iter().all(|reject| reject.texts.iter().all(|text| text.len() <= REJECT_TEXT_BYTES_MAX + 3)));
        let again: Vec<Row> = csv(rejects_csv(&rows)).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(again.len(), rejects.len());
        for (again, first) in again.iter().zip(rejects) {
            let again = again.stay.as_ref().unwrap_err();
            if !again.texts.iter().any(|text| text.contains(reject::DAMAGE)) {
                prop_assert_eq!(again, first);
            }
        }
    }
}
