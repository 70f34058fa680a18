//! A reject keeps what it was, and given back unmended it is a reject again.

use flate2::{Compression, write::GzEncoder};

use super::{reason::Rule, shown::DAMAGE, *};

/// The rows of a manifest.
fn rows(reader: Result<ManifestReader, ManifestError>) -> Vec<Row> {
    reader.unwrap().map(Result::unwrap).collect()
}

/// Gives the rejects among the rows back as a manifest: all of them must be rejects again, one for one.
fn check_again(rows: &[Row]) -> Vec<Row> {
    let written = rejects_csv(rows);
    let again: Vec<Row> = csv(&written).unwrap().map(Result::unwrap).collect();
    let rejects: Vec<&Box<Reject>> = rows.iter().filter_map(|row| row.stay.as_ref().err()).collect();
    assert_eq!(again.len(), rejects.len(), "{}", String::from_utf8_lossy(&written));
    for (again, first) in again.iter().zip(rejects) {
        let Err(found) = &again.stay else { panic!("{first:?} came back as good") };
        // What was wrong with a value is wrong with it again, unless it was the type that CSV does not have.
        let is_of_value = matches!(&first.reason, Reason::Value { rule, .. } if !matches!(rule, Rule::JsonType { .. }));
        let is_marked = found.texts.iter().any(|text| text.contains(DAMAGE));
        assert!(is_marked || !is_of_value || found.reason == first.reason, "{first:?} {found:?}");
    }
    again
}

#[test]
fn a_json_line_that_is_rejected_keeps_its_text_and_stays_rejected() {
    let base = r#""meeting_no":"012345678","meeting_start_time":1740921000,"meeting_end_time":1740924600"#;
    let line = |more: &str| format!("{{{base},{more}}}");
    for (more, column, cell) in [
        (r#""join_time":1740921065,"user_id":"ou_1","room_id":{"id":"omm_9"}"#, Column::RoomId, r#"{"id":"omm_9"}"#),
        (r#""join_time":1740921065,"user_id":{"id":"ou_1"}"#, Column::UserId, "{\"id\":\"ou_1\"}\u{fffd}"),
        (r#""join_time":1740921065,"user_id":true"#, Column::UserId, "true\u{fffd}"),
        (r#""join_time":1740921065,"user_id":7.5"#, Column::UserId, "7.5\u{fffd}"),
        (r#""join_time":1740921065,"user_id":["ou_1"]"#, Column::UserId, "[\"ou_1\"]\u{fffd}"),
        (r#""join_time":1740921065,"user_id":"\ud800""#, Column::UserId, "\"\\ud800\"\u{fffd}"),
        (r#""join_time":1740921065.0,"user_id":"ou_1""#, Column::JoinTime, "1740921065.0"),
        (r#""join_time":1,"join_time":1740921065,"user_id":"ou_1""#, Column::JoinTime, "1740921065\u{fffd}"),
        (r#""join_time":1740921065,"user_id":"ou_1","user_id":"ou_2""#, Column::UserId, "ou_2\u{fffd}"),
        (r#""join_time":1740921065,"user_id":NaN"#, Column::UserId, ""),
        (r#""join_time":1740921065,"user_id":"ou_1","score":Infinity"#, Column::UserId, ""),
        (r#""join_time":1740921065,"user_id":"ou_1"},{"a":1"#, Column::UserId, ""),
    ] {
        let line = line(more);
        let rows = rows(json_lines(&line));
        let reject = rows[0].stay.as_ref().unwrap_err();
        assert_eq!((reject.as_read.as_str(), reject.texts[column as usize].as_str()), (line.as_str(), cell));
        check_again(&rows);
    }
}

#[test]
fn a_row_of_too_few_fields_keeps_those_that_it_has() {
    let header = format!("{HEADER},topic");
    let found = rows(csv(format!("{header}\n{GOOD}\n012345678,1740921000\n")));
    let texts = |row: &Row| row.stay.as_ref().unwrap_err().texts.clone();
    assert_eq!(texts(&found[0]), ["012345678", "1740921000", "1740924600", "1740921065", "ou_1", "\u{fffd}"]);
    assert_eq!(texts(&found[1]), ["012345678", "1740921000", "", "", "", ""]);
    assert!(line(&found[0]).ends_with("; missing: `topic`"), "{}", line(&found[0]));
    check_again(&found);
}

#[test]
fn a_damaged_text_never_comes_back_as_a_good_one() {
    let id = "ou_123456789";
    let filler_bytes = RECORD_BYTES_MAX - GOOD.len();
    for filler in (filler_bytes - 20..filler_bytes + 20).map(|count| "x".repeat(count)) {
        let header = "meeting_no,meeting_start_time,meeting_end_time,join_time,room_id,topic,user_id";
        for ids in [["", id], [id, id]] {
            let row = format!("012345678,1740921000,1740924600,1740921065,{},{filler},{}", ids[0], ids[1]);
            check_again(&rows(csv(format!("{header}\n{row}"))));
        }
    }
    let blanks = " ".repeat(REJECT_TEXT_BYTES_MAX);
    check_again(&rows(csv(format!("{HEADER}\n{}", GOOD.replacen(',', &format!("{blanks}x,"), 1)))));
    let lossy = [HEADER.as_bytes(), b"\n", &GOOD.as_bytes()[..GOOD.len() - 1], b"\xff,\n"].concat();
    check_again(&rows(csv(lossy)));
    check_again(&rows(csv(format!("{HEADER},topic\n{GOOD},\"{}\"x\n", "\"\"\n".repeat(20_000)))));
}

#[test]
fn rejects_of_rejects_stay_one_row_each() {
    let mut found = rows(csv(format!("{HEADER}\n\"1\"\"\",2,3,4,\"a\n\"\"b\"\"\",\n{GOOD},\"\"\"\",\n")));
    for _ in 0..20 {
        found = check_again(&found);
        assert_eq!(found.len(), 2);
    }
}

fn compressed(text: &[u8], members: usize) -> Vec<u8> {
    let piece = text.len().div_ceil(members).max(1);
    let member = |piece: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        io::Write::write_all(&mut encoder, piece).unwrap();
        encoder.finish().unwrap()
    };
    text.chunks(piece).flat_map(member).collect()
}

#[test]
fn compressed_texts_are_read_as_they_are_and_cut_ones_are_not() {
    let text = format!("\u{feff}{HEADER}\n{}", format!("{GOOD}\n").repeat(20_000));
    let objects = r#"{"meeting_no":"012345678","meeting_start_time":1740921000,"meeting_end_time":1740924600,"join_time":1740921065,"user_id":"ou_1"}"#;
    let objects = format!("{objects}\n").repeat(1000);
    let frame = |text: &str| zstd::bulk::compress(text.as_bytes(), 1).unwrap();
    let two_frames = [frame(&text[..text.len() / 2]), frame(&text[text.len() / 2..])].concat();
    for bytes in [compressed(text.as_bytes(), 1), compressed(text.as_bytes(), 3), frame(&text), two_frames] {
        for size in [1000, usize::MAX] {
            let found = rows(ManifestReader::csv(in_pieces(&bytes, size), rules()));
            assert_eq!((found.len(), found.last().map(line)), (20_000, Some(format!("20001: {GOOD_STAY}"))));
        }
        for cut in [bytes.len() - 1, bytes.len() - 9, bytes.len() / 2, 30] {
            let error = csv(&bytes[..cut]).and_then(|mut reader| reader.find_map(Result::err).map_or(Ok(()), Err));
            let Err(ManifestError::Read(source)) = error else { panic!("cut at {cut}: {error:?}") };
            assert!(
                source.to_string().ends_with("cannot be decompressed to their end (cut off, or damaged?)"),
                "{source}"
            );
        }
    }
    for bytes in [compressed(objects.as_bytes(), 2), frame(&objects)] {
        assert_eq!(rows(json_lines(&bytes)).len(), 1000);
        let cut = json_lines(&bytes[..bytes.len() - 1])
            .and_then(|mut reader| reader.find_map(Result::err).map_or(Ok(()), Err));
        assert!(matches!(cut, Err(ManifestError::Read(_))), "{cut:?}");
    }
}

#[test]
fn a_file_that_asks_for_much_memory_is_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    io::Write::write_all(&mut encoder, HEADER.as_bytes()).unwrap();
    let error = csv(encoder.finish().unwrap()).err().unwrap();
    assert!(error.source().unwrap().source().unwrap().to_string().contains("memory"), "{error:?}");
}

/// Texts of one column: good ones, and ones of every rule.
fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(vec![
            "012345678", "1740921000", "1740924600", "1740921065", "ou_1", "", "nan", "NULL", "\\N", "ou\u{200b}1", "-1",
            "1740930001", "1741007401", "1740924601", "100000000000", "2025-03-02T13:10:60Z", "12345678", "ou_\u{fffd}",
            "2025-03-02 21:10:00", "true", "7.5",
        ]).prop_map(str::to_owned),
        1 => "(\\PC{0,6}|.{0,6}|[ \"\t\n\r,\\\\]{1,3}|x{5000}|x{257})",
    ]
}

/// A row of which most cells are good ones of their columns.
fn row() -> impl Strategy<Value = Vec<String>> {
    let good = GOOD.split(',').map(str::to_owned).collect::<Vec<_>>();
    prop::collection::vec(prop::option::weighted(0.25, cell()), 6).prop_map(move |cells| {
        cells.into_iter().zip(&good).map(|(cell, good)| cell.unwrap_or_else(|| good.clone())).collect()
    })
}

/// A JSON value, as text, that may or may not be what a column takes.
fn json_value() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => cell().prop_map(|cell| serde_json::Value::from(cell).to_string()),
        2 => prop::sample::select(vec![
            "null", "1740921000", "1740924600", "true", "false", "1.5", "1e9", "-0.0", "[]", "[\"ou_1\"]", "{\"id\":\"ou_1\"}",
            "{}", "NaN", "Infinity", "-Infinity", "nan", "None", "'ou_1'", "\"\\ud800\"", "012345678", "", "\"open",
        ]).prop_map(str::to_owned),
    ]
}

fn json_line() -> impl Strategy<Value = String> {
    let base = [
        ("meeting_no", "\"012345678\""),
        ("meeting_start_time", "1740921000"),
        ("meeting_end_time", "1740924600"),
        ("join_time", "1740921065"),
        ("user_id", "\"ou_1\""),
        ("room_id", "null"),
    ];
    let values = prop::collection::vec(prop::option::weighted(0.2, json_value()), 6);
    let more = prop::option::weighted(
        0.2,
        (prop::sample::select(vec!["user_id", "join_time", "meeting_no", "x"]), json_value()),
    );
    (values, more).prop_map(move |(values, more)| {
        let base =
            base.iter().zip(values).map(|((key, good), value)| (*key, value.unwrap_or_else(|| (*good).to_owned())));
        let pairs: Vec<String> = base.chain(more).map(|(key, value)| format!("\"{key}\":{value}")).collect();
        format!("{{{}}}", pairs.join(",")).replace('\n', " ")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn rejects_of_csv_given_back_are_rejects(
        records in prop::collection::vec((row(), prop::option::weighted(0.1, 0_usize..9)), 1..10)
    ) {
        let mut text = csv_crate::WriterBuilder::new().flexible(true).from_writer(Vec::new());
        text.write_record(Column::ALL.map(Column::name)).unwrap();
        for (row, width) in &records {
            let mut row = row.clone();
            row.resize(width.unwrap_or(6).max(1), "x".into());
            text.write_record(&row).unwrap();
        }
        let rows = rows(csv(text.into_inner().unwrap()));
        let rejects = rows.iter().filter_map(|row| row.stay.as_ref().err());
        for reject in rejects {
            prop_assert!(reject.texts.iter().all(|text| text.len() <= REJECT_TEXT_BYTES_MAX + 6));
            prop_assert!(!reject.as_read.is_empty());
        }
        check_again(&rows);
    }

    #[test]
    fn rejects_of_json_lines_given_back_are_rejects(json in prop::collection::vec(json_line(), 1..10)) {
        let rows = rows(json_lines(json.join("\n")));
        prop_assert_eq!(rows.len(), json.len());
        for (row, line) in rows.iter().zip(&json) {
            if let Err(reject) = &row.stay {
                prop_assert_eq!(&reject.as_read, line);
            }
        }
        check_again(&rows);
    }

    #[test]
    fn rejects_of_parquet_given_back_are_rejects(table in prop::collection::vec(row(), 1..10)) {
        let columns = Column::ALL.into_iter().enumerate().map(|(index, column)| {
            let texts: Vec<Option<&str>> = table.iter().map(|row| Some(row[index].as_str()).filter(|text| !text.is_empty())).collect();
            (column.name(), Arc::new(StringArray::from(texts)) as ArrayRef)
        });
        check_again(&rows(parquet(columns.collect())));
    }
}

proptest! {
    #[test]
    fn rejects_of_stray_quotes_given_back_are_rejects(bytes in csv_bytes()) {
        check_again(&rows(csv([HEADER.as_bytes(), b"\n", &bytes].concat())));
    }
}
