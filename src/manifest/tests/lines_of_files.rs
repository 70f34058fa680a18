//! Every line of a CSV file is in one row, an accepted or a rejected one, whatever quotes stand in it.

use super::*;

/// A record as the grammar has it, read without the reader: its first and last line, and its fields if it is one.
#[derive(Debug, PartialEq)]
struct Expected {
    lines: Lines,
    fields: Option<Vec<String>>,
}

/// The physical lines of the text, each with its end.
fn physical_lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = match rest.find(['\r', '\n']) {
            Some(at) if rest[at..].starts_with("\r\n") => at + 2,
            Some(at) => at + 1,
            None => rest.len(),
        };
        lines.push(&rest[..end]);
        rest = &rest[end..];
    }
    lines
}

/// The fields of a text that is one record: each quoted as a whole, or without any quote and line end.
fn record(text: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = if let Some(quoted) = rest.strip_prefix('"') {
            // A quote that is not one of a pair closes.
            let unpaired = quoted.replace("\"\"", "\u{1}\u{1}").find('"')?;
            (quoted[..unpaired].replace("\"\"", "\""), &quoted[unpaired + 1..])
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            if rest[..end].contains(['"', '\r', '\n']) {
                return None;
            }
            (rest[..end].to_owned(), &rest[end..])
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return after.is_empty().then_some(fields),
        }
    }
}

/// The rows of a file: the shortest run of lines that is a record, or if there is none the first line alone.
fn expected(text: &str) -> Vec<Expected> {
    let lines = physical_lines(text);
    let mut rows = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        if lines[at].trim().is_empty() {
            at += 1;
            continue;
        }
        let found = (at..lines.len()).find_map(|last| {
            let whole = lines[at..=last].concat();
            let whole = whole.strip_suffix("\r\n").or(whole.strip_suffix(['\r', '\n'])).unwrap_or(&whole);
            (whole.len() <= RECORD_BYTES_MAX).then(|| record(whole)).flatten().map(|fields| (last, fields))
        });
        let (last, fields) = found.map_or((at, None), |(last, fields)| (last, Some(fields)));
        rows.push(Expected { lines: Lines { first: at as u64 + 1, last: last as u64 + 1 }, fields });
        at = last + 1;
    }
    rows
}

/// Reads the file, whose first line is the header, and compares every row with what the grammar says.
fn check(text: &str, size: usize) {
    let rows: Vec<Row> =
        ManifestReader::csv(in_pieces(text.as_bytes(), size), rules()).unwrap().map(Result::unwrap).collect();
    let expected = &expected(text)[1..];
    assert_eq!(
        rows.iter().map(Row::lines).collect::<Vec<_>>(),
        expected.iter().map(|row| row.lines).collect::<Vec<_>>(),
        "{text:?}"
    );
    let lines = physical_lines(text);
    for (row, Expected { fields, .. }) in rows.iter().zip(expected) {
        let [first, last] = [row.line - 1, row.last_line].map(|line| usize::try_from(line).unwrap());
        let literal = lines[first..last].concat();
        match (&row.stay, fields) {
            (Ok(stay), Some(fields)) => assert_eq!(fields[0].trim(), stay.meeting_no.as_str()),
            (Ok(_), None) => panic!("{literal:?} is no record"),
            (Err(reject), _) => assert_eq!(reject.as_read, literal.trim_end_matches(['\r', '\n'])),
        }
    }
    // What is said above of rows, once more of lines: each that is not blank is in exactly one row.
    for (number, line) in (1..).zip(&lines).skip(1) {
        let rows = rows.iter().filter(|row| (row.line..=row.last_line).contains(&number)).count();
        assert!(rows == 1 || (rows == 0 && line.trim().is_empty()), "{number} {line:?} is in {rows} rows");
    }
}

#[test]
fn every_line_of_the_kinds_of_stray_quotes_is_in_one_row() {
    let good = |number: u32| format!("{number:09},1740921000,1740924600,1740921065,ou_{number},");
    let header = format!("{HEADER},topic");
    for topic in [
        "\"24 monitor",
        "24\" monitor",
        "24\"",
        "\"24\" monitor",
        "\"",
        "\"\"\"",
        "\"say \\\"hi\\\"\"",
        "\"ends with \\\"\"",
        "\"\\",
        " \"24\"",
        "\"24\" ",
        "\"a\nb",
        "\"a\nb\"c",
        "\"a\r\nb\r\n",
        "\"\n\n\"x",
    ] {
        let plain = |number| format!("{},plain", good(number));
        let stray = |number| format!("{},{topic}", good(number));
        check(&format!("{header}\n{}\n{}\n{}\n", stray(1), plain(2), plain(3)), 7);
        check(&format!("{header}\n{}\n{}\n{}\n{}\n{}", plain(1), stray(2), plain(3), stray(4), plain(5)), usize::MAX);
        check(&format!("{header}\r\n{}\r\n\r\n{}\r\n{}", stray(1), stray(2), stray(3)), 1);
    }
}

#[test]
fn a_quote_that_is_never_closed_costs_its_line_alone() {
    let filler = format!("{}\n", GOOD.replacen("ou_1", "ou_2", 1)).repeat(5000);
    for rest in ["", "\n", "a\nb\n"] {
        let text = format!("{HEADER}\n{GOOD}\n{GOOD}\"{rest}\n{filler}{GOOD}");
        let rows: Vec<Row> = csv(&text).unwrap().map(Result::unwrap).collect();
        let rejected: Vec<u64> = rows.iter().filter(|row| row.stay.is_err()).map(|row| row.line).collect();
        let extra = rest.matches('\n').count() as u64;
        assert_eq!(rejected[0], 3);
        assert!(rejected.iter().all(|line| (3..=3 + extra).contains(line)), "{rejected:?}");
        assert_eq!(rows.len() - rejected.len(), 5002);
    }
}

#[test]
fn a_record_of_several_lines_is_bounded() {
    let lines = "y\n".repeat(RECORD_BYTES_MAX / 2);
    let header = format!("{HEADER},topic");
    let found = lines_text(&format!("{header}\n{GOOD},\"{lines}\"\n{GOOD},\n"));
    assert!(found[0].starts_with("2: field 7 opens a quote that is not closed"), "{}", found[0]);
    assert_eq!(found.len(), 1 + RECORD_BYTES_MAX / 2 + 1, "each of the other lines is a row of its own");
    assert!(found.last().unwrap().ends_with(GOOD_STAY));
    check(&format!("{header}\n{GOOD},\"{}\"\n{GOOD},\n", &lines[..RECORD_BYTES_MAX - GOOD.len() - 3]), 1000);
}

fn lines_text(text: &str) -> Vec<String> {
    lines(csv(text))
}

#[test]
fn what_goes_on_and_on_ends_at_a_limit() {
    let message = "more than 67108864 bytes without a usable line";
    for (begin, byte) in [("", 0), (HEADER, 0), (HEADER, b'\n'), (HEADER, b' '), (HEADER, b'"'), (HEADER, b'x')] {
        let mut rows = Vec::new();
        let input = Cursor::new(format!("{begin}\n")).chain(io::repeat(byte));
        let found = ManifestReader::csv(Box::new(input), rules()).and_then(|reader| {
            for row in reader {
                rows.push(row?.lines());
            }
            Ok(())
        });
        match found.unwrap_err() {
            ManifestError::Read(source) => assert_eq!(source.to_string(), message, "{begin} {byte}"),
            error => assert_eq!(error.to_string(), "the line of column names is longer than 65536 bytes or 4096 names"),
        }
        assert!(rows.len() <= 1, "{rows:?}");
    }
    for byte in [0, b'\n', b' ', b'{'] {
        let error =
            ManifestReader::json_lines(Box::new(io::repeat(byte)), rules()).unwrap().find_map(Result::err).unwrap();
        assert_eq!(error.source().unwrap().to_string(), message, "{byte}");
    }
}

/// A file with good rows and rows with random pieces, some of them quotes.
fn file() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec!["\"", "\"\"", "\\\"", ",", "\n", "\r", "\r\n", " ", ",\"", "\",", "\"\n", "\n\""]),
        2 => prop::sample::select(vec![GOOD, "012345678", "1740921000", "é", "plain", "\u{feff}", "\t"]),
    ];
    let odd = prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat());
    let topic = prop_oneof![2 => Just("plain".to_owned()), 2 => odd.clone(), 1 => odd.clone().prop_map(|odd| format!("\"{odd}\""))];
    let row = prop_oneof![6 => topic.prop_map(|topic| format!("{GOOD},{topic}")), 1 => odd];
    let end = prop::sample::select(vec!["\n", "\r\n", "\r", "\n\n"]);
    (prop::collection::vec((row, end), 0..12), any::<bool>()).prop_map(|(rows, is_ended)| {
        let mut text = format!("{HEADER},topic\n");
        for (row, end) in &rows {
            text.extend([row, *end]);
        }
        if is_ended { text } else { text.trim_end_matches(['\r', '\n']).to_owned() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_line_is_in_one_accepted_row_or_one_reject(text in file(), size in 1_usize..100) {
        check(&text, size);
    }
}

proptest! {
    #[test]
    fn any_bytes_give_the_same_rows_in_any_pieces(bytes in csv_bytes(), size in 1_usize..200, long in 1000_usize..100_000) {
        let text = [HEADER.as_bytes(), b"\n", &bytes].concat();
        let whole = lines(ManifestReader::csv(in_pieces(&text, long), rules()));
        prop_assert_eq!(&whole, &lines(ManifestReader::csv(in_pieces(&text, size), rules())));
    }
}
