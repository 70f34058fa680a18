use std::{error::Error as _, sync::Arc};

use ::csv as csv_crate;
use ::parquet::arrow::ArrowWriter;
use arrow::{
    array::{ArrayRef, AsArray, Float64Array, ListArray, RecordBatch, StringArray},
    datatypes::Int32Type,
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

pub(super) fn china() -> FixedOffset {
    FixedOffset::east_opt(8 * 3600).unwrap()
}

pub(super) fn rules() -> Rules {
    Rules { now_s: 1_740_930_000, naive_times: Some(china()) }
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

fn csv(bytes: impl AsRef<[u8]>) -> Result<ManifestReader, ManifestError> {
    ManifestReader::csv(in_pieces(bytes.as_ref(), usize::MAX), rules())
}

fn json_lines(bytes: impl AsRef<[u8]>) -> Result<ManifestReader, ManifestError> {
    ManifestReader::json_lines(in_pieces(bytes.as_ref(), usize::MAX), rules())
}

pub(super) fn parquet_file(columns: Vec<(&str, ArrayRef)>) -> File {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
    let batch = batch.unwrap();
    let file = tempfile::tempfile().unwrap();
    let mut writer = ArrowWriter::try_new(file.try_clone().unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    file
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Result<ManifestReader, ManifestError> {
    ManifestReader::parquet(parquet_file(columns), rules())
}

pub(super) fn strings(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// `line: stay` or `line: reason` of every row.
fn lines(reader: Result<ManifestReader, ManifestError>) -> Vec<String> {
    reader.unwrap().map(|row| line(&row.unwrap())).collect()
}

pub(super) fn line(row: &Row) -> String {
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

pub(super) const GOOD_STAY: &str = "012345678 1740921000 1740924600 1740921065 user ou_1";

fn error_text(reader: Result<ManifestReader, ManifestError>) -> String {
    match reader {
        Ok(_) => "no error".into(),
        Err(error) => error.to_string(),
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_row_that_breaks_a_rule_is_rejected_with_the_reason() {
    let day_later = "1741007400";
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
            "`meeting_start_time` is \"1740930001\", must not be in the future, is by 1 s (2025-03-02 15:40:01 UTC)",
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
        ("meeting_start_time", "2025-03-02 21:10:00+08", GOOD_STAY),
        ("meeting_start_time", "2025-03-02T13:10:00.000000+0000", GOOD_STAY),
        ("meeting_start_time", "2025-03-02T21:10:00.000000+0800", GOOD_STAY),
        (
            "meeting_start_time",
            "2025-03-02T13:09:60Z",
            "`meeting_start_time` is \"2025-03-02T13:09:60Z\", must be unix seconds, RFC 3339 or a time such as `2022.12.23 11:16:59 (GMT+08:00)`",
        ),
        (
            "meeting_start_time",
            "2025.03.02 21:09:60 (GMT+08:00)",
            "`meeting_start_time` is \"2025.03.02 21:09:60 (GMT+08:00)\", must be unix seconds, RFC 3339 or a time such as `2022.12.23 11:16:59 (GMT+08:00)`",
        ),
        ("meeting_start_time", "2025.03.02 21:10:00 (GMT+08:00)", GOOD_STAY),
        ("meeting_start_time", "2025.03.02 21:10:00", GOOD_STAY),
        ("meeting_start_time", "2025-03-02T21:10:00", GOOD_STAY),
        ("meeting_start_time", "2025-03-02 21:10:00.999", GOOD_STAY),
        (
            "meeting_start_time",
            "2025-03-02 21:09:60",
            "`meeting_start_time` is \"2025-03-02 21:09:60\", must be unix seconds, RFC 3339 or a time such as `2022.12.23 11:16:59 (GMT+08:00)`",
        ),
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
        ("meeting_end_time", "1740921065", "012345678 1740921000 1740921065 1740921065 user ou_1"),
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
        ("join_time", "1740924600", "012345678 1740921000 1740924600 1740924600 user ou_1"),
        ("join_time", "1740924601", "`join_time` is \"1740924601\", must not be after `meeting_end_time`, is by 1 s"),
        (
            "join_time",
            "99999999999",
            "`join_time` is \"99999999999\", must not be after `meeting_end_time`, is by 3115 years",
        ),
        (
            "join_time",
            "99999999999999999999",
            "`join_time` is \"99999999999999999999\", must be in seconds, less than 100000000000 (are these milliseconds?)",
        ),
        ("join_time", "0", "012345678 1740921000 1740924600 0 user ou_1"),
    ];
    check_cells(cases);
}

#[test]
fn an_id_that_can_be_none_is_rejected_with_what_it_looks_like() {
    let long_id = "x".repeat(257);
    let cases: &[(&str, &str, &str)] = &[
        ("user_id", "", "`user_id` and `room_id` are both empty, exactly one must be given"),
        ("room_id", "omm_1", "`user_id` is \"ou_1\" and `room_id` is \"omm_1\", exactly one must be given"),
        ("room_id", "\u{a0}", GOOD_STAY),
        (
            "user_id",
            "ou\u{7}1",
            "`user_id` is \"ou\\u{7}1\", must not hold U+0007 (control character), its character 3",
        ),
        ("user_id", "ou_1\n", "`user_id` is \"ou_1\\n\", must not hold U+000A (line feed), its character 5"),
        (
            "user_id",
            "ou_\u{fffd}",
            "`user_id` is \"ou_\u{fffd}\", must not hold U+FFFD (stands for damage), its character 4",
        ),
        (
            "user_id",
            "ou_\u{200b}1",
            "`user_id` is \"ou_\\u{200b}1\", must not hold U+200B (zero-width space), its character 4",
        ),
        (
            "user_id",
            "ou_1\u{feff}",
            "`user_id` is \"ou_1\\u{feff}\", must not hold U+FEFF (byte order mark), its character 5",
        ),
        ("user_id", "o\u{ad}u_1", "`user_id` is \"o\\u{ad}u_1\", must not hold U+00AD (soft hyphen), its character 2"),
        ("user_id", "ou\u{a0}1", "`user_id` is \"ou\\u{a0}1\", must not hold U+00A0 (no-break space), its character 3"),
        ("user_id", "\u{2060}", "`user_id` is \"\\u{2060}\", must not hold U+2060 (word joiner), its character 1"),
        (
            "user_id",
            "NaN",
            "`user_id` is \"NaN\", looks like a missing value that was written as a text; must be an id",
        ),
        (
            "user_id",
            "\\N",
            "`user_id` is \"\\\\N\", looks like a missing value that was written as a text; must be an id",
        ),
        (
            "user_id",
            " <NA> ",
            "`user_id` is \" <NA> \", looks like a missing value that was written as a text; must be an id",
        ),
        ("room_id", "nan", GOOD_STAY),
        ("room_id", "NULL", GOOD_STAY),
        ("user_id", "nano", "012345678 1740921000 1740924600 1740921065 user nano"),
        ("user_id", &long_id, "…, must have at most 256 bytes, has 257"),
        ("user_id", &long_id[..256], &format!("{}{}", &GOOD_STAY[..GOOD_STAY.len() - 4], &long_id[..256])),
    ];
    check_cells(cases);
}

/// Reads a good row with another value in one of its columns: the stay, or the reason that `expected` ends with.
fn check_cells(cases: &[(&str, &str, &str)]) {
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
    let doubled = "(a field with quotes stands in quotes, and those within it are doubled)";
    let goes_on = "after its closing quote on line";
    let cases: Vec<(Vec<u8>, String)> = vec![
        (
            b"012345678,1740921000".into(),
            "2: the row has 2 fields, must have 6 as the line of column names; missing: `meeting_end_time`, `join_time`, \
             `user_id`, `room_id`"
                .into(),
        ),
        (format!("{GOOD},").into(), "2: the row has 7 fields, must have 6 as the line of column names".into()),
        (wide.into(), "2: the row is longer than 65536 bytes".into()),
        (format!("{GOOD}{long}").into(), "2: the row is longer than 65536 bytes".into()),
        (format!("{GOOD}\"{long}\"").into(), "2: the row is longer than 65536 bytes".into()),
        (
            b"\xff12345678,1740921000,1740924600,1740921065,ou_1,".into(),
            "2: the row is not UTF-8".into(),
        ),
        (b"012345678,1740921000,1740924600,1740921065,\xe4,\xb8\xad".into(), "2: the row is not UTF-8".into()),
        (b"\"\"".into(), format!("2: the row has 1 fields, must have 6 as the line of column names; missing: {}", missing(1))),
        (
            format!("{GOOD}\"24 monitor").into(),
            "2: field 6 opens a quote that is not closed before the end of the file, or within 65536 bytes".into(),
        ),
        (format!("{GOOD}24\" monitor").into(), format!("2: field 6 has a quote but does not begin with one {doubled}")),
        (format!("{GOOD} \"24\"").into(), format!("2: field 6 has a quote but does not begin with one {doubled}")),
        (
            format!("{GOOD}\"24\" monitor").into(),
            format!("2: field 6 goes on with \" \" {goes_on} 2, where only a separator or a line end may come (quotes within a field are doubled)"),
        ),
        (
            format!("{GOOD}\"say \\\"hi\\\"\"").into(),
            format!("2: field 6 goes on with \"h\" {goes_on} 2, where only a separator or a line end may come (quotes within a field are doubled)"),
        ),
        (
            format!("{GOOD}\"24\"\u{a0}").into(),
            format!("2: field 6 goes on with byte 0xc2 {goes_on} 2, where only a separator or a line end may come (quotes within a field are doubled)"),
        ),
    ];
    for (row, expected) in cases {
        let text = [HEADER.as_bytes(), b"\n", &row, b"\n", GOOD.as_bytes()].concat();
        let found = lines(csv(text));
        assert_eq!(found, [expected, format!("3: {GOOD_STAY}")]);
    }
}

/// The names of the header from this one on, as a message lists them.
fn missing(from: usize) -> String {
    HEADER.split(',').skip(from).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_csv_record_may_have_just_the_limit() {
    for (excess, expected) in [(0, GOOD_STAY), (1, "the row is longer than 65536 bytes")] {
        for end in ["", "\n", "\r\n"] {
            let topic = "x".repeat(RECORD_BYTES_MAX - GOOD.len() - 1 + excess);
            assert_eq!(lines(csv(format!("{HEADER},topic\n{GOOD},{topic}{end}"))), [format!("2: {expected}")]);
            let quoted = format!("\"{}\"", &topic[2..]);
            assert_eq!(lines(csv(format!("{HEADER},topic\n{GOOD},{quoted}{end}"))), [format!("2: {expected}")]);
        }
    }
    let header = |bytes: usize| format!("{HEADER},{}\n{GOOD},", "x".repeat(bytes - HEADER.len() - 1));
    assert_eq!(lines(csv(header(RECORD_BYTES_MAX))), [format!("2: {GOOD_STAY}")]);
    assert!(csv(header(RECORD_BYTES_MAX + 1)).is_err());
}

#[test]
fn a_header_that_is_none_stops_the_file() {
    let (names, long_name) = (",".repeat(5000), "x".repeat(70_000));
    let cases: &[(&[u8], &str)] = &[
        (b"", "is empty, must begin with a line of column names"),
        (b"\xef\xbb\xbf\r\n", "is empty, must begin with a line of column names"),
        (b"\xff\xfem\0e\0", "is UTF-16, must be UTF-8 (a spreadsheet saves it as `CSV UTF-8`)"),
        (b"\xfe\xff\0m\0e", "is UTF-16, must be UTF-8 (a spreadsheet saves it as `CSV UTF-8`)"),
        (b"meeting_no,\xff\n", "the line of column names is not UTF-8"),
        (
            b"meeting_no,\"user_id\n",
            "the line of column names cannot be taken apart: field 2 opens a quote that is not closed before the end of the \
             file, or within 65536 bytes",
        ),
        (b"meeting_no;user_id\n", "the line of column names is separated by `;`, must be by commas"),
        (b"\"meeting_no\";\"user_id\"\r\n", "the line of column names is separated by `;`, must be by commas"),
        (b"Meeting_No;User_Id\n", "the line of column names is separated by `;`, must be by commas"),
        (b"join_time\tmeeting_no\n", "the line of column names is separated by tabs, must be by commas"),
        (
            b"BZh91AY&SY",
            "is no text: it begins like bzip2; read are CSV and JSON Lines, plain, gzip or zstd, and Parquet",
        ),
        (
            b"PAR1",
            "is no text: it begins like Parquet (--format parquet); read are CSV and JSON Lines, plain, gzip or zstd, and Parquet",
        ),
        (names.as_bytes(), "the line of column names is longer than 65536 bytes or 4096 names"),
        (long_name.as_bytes(), "the line of column names is longer than 65536 bytes or 4096 names"),
        (
            b"Meeting_No,meeting_start_time,meeting_end_time,join_time,room_id\n",
            "has no column `meeting_no`; it has \
             \"Meeting_No,meeting_start_time,meeting_end_time,join_time,room_id\" (names count in small letters)",
        ),
        (b"join_time,user_id, join_time\n", "has column `join_time` twice"),
    ];
    for (text, expected) in cases {
        assert_eq!(error_text(csv(text)), *expected);
    }
}

#[test]
fn one_id_column_is_enough_and_others_are_named_once() {
    let text = "meeting_no,meeting_start_time,meeting_end_time,join_time,room_id,b,a,b\n012345678,1,3,2,omm_1,x,y,z\n";
    let mut reader = csv(text).unwrap();
    assert_eq!(line(&reader.next().unwrap().unwrap()), "2: 012345678 1 3 2 room omm_1");
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
        ("x".repeat(1_000_000), "the row is longer than 65536 bytes"),
    ];
    for (text, expected) in cases {
        let found = lines(json_lines(format!(" \n{text}\n\n{}", good("\"012345678\""))));
        assert_eq!(found, [format!("2: {expected}"), format!("4: {GOOD_STAY}")], "{text:.200}");
    }
    assert_eq!(lines(json_lines(format!("\u{feff}{}", good("\"012345678\"")))), [format!("1: {GOOD_STAY}")]);
    assert_eq!(lines(json_lines(b"\n{\xff}\n")), ["2: the row is not UTF-8"]);
    assert_eq!(lines(json_lines("")), [""; 0]);
    assert_eq!(error_text(json_lines(b"\xff\xfe{\0}\0")), ManifestError::Utf16.to_string());
}

#[test]
fn a_json_line_may_have_just_the_limit() {
    for (excess, end, expected) in [
        (0, "", "`meeting_no` must be given"),
        (0, "\n", "`meeting_no` must be given"),
        (1, "", "the row is longer than 65536 bytes"),
        (1, "\n", "the row is longer than 65536 bytes"),
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
pub(super) fn parquet_columns(join_time: ArrayRef) -> Vec<(&'static str, ArrayRef)> {
    vec![
        ("meeting_no", strings(&["012345678"])),
        ("meeting_start_time", strings(&["1740921000"])),
        ("meeting_end_time", strings(&["2025-03-02T14:10:00Z"])),
        ("join_time", join_time),
        ("user_id", strings(&["ou_1"])),
    ]
}

#[test]
fn parquet_that_cannot_be_a_manifest_stops_the_file() {
    assert_eq!(
        error_text(parquet(vec![("meeting_no", strings(&["012345678"]))])),
        "has no column `meeting_start_time`, `meeting_end_time`, `join_time`, `user_id` or `room_id`; it has \
         \"meeting_no\""
    );
    let error = ManifestReader::parquet(tempfile::tempfile().unwrap(), rules()).err().unwrap();
    assert_eq!(error.to_string(), "cannot be read as Parquet");
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
        ("a.gz.parquet", Format::Parquet),
        ("a.0.parq", Format::Parquet),
        ("a.json", Format::JsonLines),
        ("a.csv.gz", Format::Csv),
        ("part-00000-c000.csv.GZIP", Format::Csv),
        ("a.jsonl.zst", Format::JsonLines),
        ("a.json.zstd", Format::JsonLines),
    ] {
        assert_eq!(Format::of_file(Path::new(name)).unwrap(), format);
    }
    for name in ["-", "csv", ".csv", "a.gz", "a.csv.bz2", "a.csv.gz.gz", "a.csv.gz.txt", "a."] {
        assert_eq!(
            Format::of_file(Path::new(name)).unwrap_err().to_string(),
            format!(
                "`{name}` ends in none of .csv, .jsonl, .ndjson, .json and .parquet, with .gz or .zst after it or not; name its \
                 format with --format"
            )
        );
    }
}

/// `rejects.csv` of these rows.
fn rejects_csv<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Vec<u8> {
    let mut writer = RejectsWriter::new(Vec::new()).unwrap();
    for row in rows {
        if let Err(reject) = &row.stay {
            writer.write("nightly, \"1\".csv", row.lines(), reject).unwrap();
        }
    }
    writer.finish().unwrap()
}

#[test]
fn rejects_are_written_with_file_line_reason_and_text() {
    let rows: Vec<Row> =
        csv(format!("{HEADER}\n{GOOD}\n1,2,3,4,\"a\nb\",\n{GOOD},x\n")).unwrap().map(Result::unwrap).collect();
    let expected = "meeting_no,meeting_start_time,meeting_end_time,join_time,user_id,room_id,file,line,reason,text\n\
        1,2,3,4,\"a\nb\",,\"nightly, \"\"1\"\".csv\",3-4,\
        \"`meeting_no` is \"\"1\"\", must be nine digits (a leading zero lost by a spreadsheet?)\",\
        \"1,2,3,4,\"\"a\nb\"\",\"\n\
        012345678,1740921000,1740924600,1740921065,ou_1,\u{fffd},\"nightly, \"\"1\"\".csv\",5,\
        \"the row has 7 fields, must have 6 as the line of column names\",\
        \"012345678,1740921000,1740924600,1740921065,ou_1,,x\"\n";
    assert_eq!(String::from_utf8(rejects_csv(&rows)).unwrap(), expected);
    assert_eq!(String::from_utf8(rejects_csv([])).unwrap(), expected.lines().next().unwrap().to_owned() + "\n");
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

/// Each time once as a text with a zone, and once without; a zone that is named is never overruled.
#[test]
fn times_without_a_zone_are_refused_unless_it_is_said_what_they_mean() {
    let utc = FixedOffset::east_opt(0);
    let cases = [
        ("2025.03.02 21:11:05", None, None),
        ("2025-03-02 21:11:05", None, None),
        ("2025-03-02T21:11:05.5", None, None),
        ("2025.03.02 21:11:05", Some(china()), Some(1_740_921_065)),
        ("2025-03-02 21:11:05", Some(china()), Some(1_740_921_065)),
        ("2025-03-02T21:11:05.999999", Some(china()), Some(1_740_921_065)),
        ("2025-03-02 13:11:05", utc, Some(1_740_921_065)),
        ("2025.03.02 13:11:05", utc, Some(1_740_921_065)),
        ("2025-03-02T09:41:05", FixedOffset::west_opt(3 * 3600 + 1800), Some(1_740_921_065)),
        ("2025-03-02T21:11:05+08:00", utc, Some(1_740_921_065)),
        ("2025.03.02 21:11:05 (GMT+08:00)", utc, Some(1_740_921_065)),
        ("1740921065", Some(china()), Some(1_740_921_065)),
    ];
    for (text, naive_times, expected) in cases {
        let rules = Rules { naive_times, ..rules() };
        let csv_text = format!("{HEADER}\n012345678,1740921000,1740924600,{text},ou_1,\n");
        let json_text = format!(
            "{{\"meeting_no\":\"012345678\",\"meeting_start_time\":1740921000,\"meeting_end_time\":1740924600,\
             \"join_time\":\"{text}\",\"user_id\":\"ou_1\"}}"
        );
        let parquet_columns = parquet_columns(strings(&[text]));
        for reader in [
            ManifestReader::csv(in_pieces(csv_text.as_bytes(), usize::MAX), rules),
            ManifestReader::json_lines(in_pieces(json_text.as_bytes(), usize::MAX), rules),
            ManifestReader::parquet(parquet_file(parquet_columns), rules),
        ] {
            let row = reader.unwrap().next().unwrap().unwrap();
            match expected {
                Some(join_s) => assert_eq!(row.stay.unwrap().join_s, join_s, "{text}"),
                None => assert_eq!(
                    row.stay.unwrap_err().to_string(),
                    format!(
                        "`join_time` is {text:?}, must name its zone as `+08:00` does; or say what is meant: \
                         --naive-times utc, or --naive-times +08:00"
                    )
                ),
            }
        }
    }
}

fn stay_strategy() -> impl Strategy<Value = Stay> {
    let id = prop_oneof![
        "[!-~]([ -~]{0,40}[!-~])?".prop_map(Participant::User),
        "[!-~]([ -~]{0,40}[!-~])?".prop_map(Participant::Room)
    ];
    let is_no_null = |participant: &Participant| !id::is_null_text(participant.id());
    ("[0-9]{9}", 0..=rules().now_s, 0..=86_400_i64, 0..=86_400_i64, id.prop_filter("an id", is_no_null)).prop_map(
        |(meeting_no, meeting_start_s, length_s, join_before_s, participant)| Stay {
            meeting_no: MeetingNo::parse(&meeting_no).unwrap(),
            meeting_start_s,
            meeting_end_s: meeting_start_s + length_s,
            join_s: (meeting_start_s + length_s - join_before_s).max(0),
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
    fn every_json_line_that_is_not_blank_gives_a_row(
        pieces in prop::collection::vec(prop_oneof![csv_bytes(), "[{}\":,0-9a-z\n]{0,20}".prop_map(String::into_bytes)], 0..4),
        size in 1_usize..200
    ) {
        let bytes = [b"{", pieces.concat().as_slice()].concat();
        let line_count = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
        let found = lines(ManifestReader::json_lines(in_pieces(&bytes, size), rules()));
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
        if let Ok(reader) = ManifestReader::parquet(file, rules()) {
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
}

mod lines_of_files;
mod rejects_again;
