use std::{fs, path::Path};

use arrow::{
    array::{Array, AsArray},
    datatypes::{Float64Type, Int32Type, TimestampMicrosecondType},
};

use super::*;
use crate::{
    quality::decode::{Unknown, decode},
    stay::{MeetingNo, Participant},
};

/// The example of the API's documentation.
const EXAMPLE: &str = r#"{
    "code": 0,
    "msg": "success",
    "data": {
        "participant_quality_list": [
            {
                "network": {
                    "time": "2022.12.23 11:16:00 (GMT+08:00)",
                    "network_delay": "100ms",
                    "bitrate_received": "8kbps",
                    "packet_loss_avg_received": "8%",
                    "packet_loss_max_received": "9%",
                    "bitrate_sent": "9kbps",
                    "packet_loss_avg_sent": "8%",
                    "packet_loss_max_sent": "10%"
                },
                "audio": {
                    "time": "2022.12.23 11:16:00 (GMT+08:00)",
                    "mic_input_volume": "6dB",
                    "speaker_volume": "8dB",
                    "bitrate_received": "3kbps",
                    "latency_received": "100ms",
                    "jitter_received": "100ms",
                    "bitrate_sent": "9kbps",
                    "latency_sent": "100ms",
                    "jitter_sent": "100ms"
                },
                "video": {
                    "time": "2022.12.23 11:16:00 (GMT+08:00)",
                    "bitrate_received": "8kbps",
                    "latency_received": "100ms",
                    "jitter_received": "100ms",
                    "maximum_resolution_received": "1080P",
                    "framerate_received": "100fps",
                    "bitrate_sent": "9kbps",
                    "latency_sent": "100ms",
                    "jitter_sent": "100ms",
                    "maximum_resolution_sent": "4K",
                    "framerate_sent": "90fps"
                },
                "screen_sharing": {
                    "time": "2022.12.23 11:16:00 (GMT+08:00)",
                    "bitrate_received": "8kbps",
                    "latency_received": "100ms",
                    "jitter_received": "100ms",
                    "maximum_resolution_received": "1080P",
                    "framerate_received": "100fps",
                    "bitrate_sent": "9kbps",
                    "latency_sent": "100ms",
                    "jitter_sent": "100ms",
                    "maximum_resolution_sent": "4K",
                    "framerate_sent": "90fps"
                },
                "cpu_usage": {
                    "time": "2022.12.23 11:17:00",
                    "client_avg_cpu_usage": "0.8%",
                    "client_max_cpu_usage": "2.3%",
                    "system_avg_cpu_usage": "8.3%",
                    "system_max_cpu_usage": "30%"
                }
            }
        ],
        "page_token": "20",
        "has_more": true
    }
}"#;

/// 2022-12-23 11:16:00 in China.
const MINUTE_S: i64 = 1_671_765_360;

fn china() -> FixedOffset {
    FixedOffset::east_opt(8 * 3600).unwrap()
}

fn stay() -> Stay {
    Stay {
        meeting_no: MeetingNo::parse("012345678").unwrap(),
        meeting_start_s: MINUTE_S - 60,
        meeting_end_s: MINUTE_S + 3600,
        join_s: MINUTE_S - 30,
        participant: Participant::User("ou_1".into()),
    }
}

/// A cell of a batch; times in seconds.
#[derive(Clone, Debug, PartialEq)]
enum Cell {
    Null,
    Time(i64),
    Double(f64),
    Int(i32),
    Text(String),
    Map(Vec<(String, String)>),
}

fn cell(batch: &RecordBatch, name: &str, row: usize) -> Cell {
    let array = batch.column_by_name(name).unwrap();
    if array.is_null(row) {
        return Cell::Null;
    }
    match array.data_type() {
        DataType::Timestamp(..) => Cell::Time(array.as_primitive::<TimestampMicrosecondType>().value(row) / 1_000_000),
        DataType::Float64 => Cell::Double(array.as_primitive::<Float64Type>().value(row)),
        DataType::Int32 => Cell::Int(array.as_primitive::<Int32Type>().value(row)),
        DataType::Utf8 => Cell::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1).as_string::<i32>());
            let texts =
                keys.iter().zip(values).map(|(key, value)| (key.unwrap().to_owned(), value.unwrap().to_owned()));
            Cell::Map(texts.collect())
        }
        other => panic!("{other}"),
    }
}

fn push(batcher: &mut Batcher, stay: &Stay, pages: &[&str]) {
    let mut rows = batcher.stay(stay);
    for page in pages {
        decode(page.as_bytes(), &mut Unknown::default(), |sample| rows.push(sample)).unwrap();
    }
}

fn batch_of(pages: &[&str]) -> RecordBatch {
    let mut batcher = Batcher::new(china());
    push(&mut batcher, &stay(), pages);
    batcher.take()
}

fn page_of(items: &str) -> String {
    format!(r#"{{"data":{{"participant_quality_list":[{items}]}}}}"#)
}

#[test]
fn the_documented_example_comes_out_value_by_value() {
    use Cell::{Double, Int, Null, Text, Time};
    let expected = [
        ("meeting_no", Text("012345678".into())),
        ("meeting_start_time", Time(MINUTE_S - 60)),
        ("meeting_end_time", Time(MINUTE_S + 3600)),
        ("join_time", Time(MINUTE_S - 30)),
        ("user_id", Text("ou_1".into())),
        ("room_id", Null),
        ("sample_index", Int(0)),
        ("sample_time", Time(MINUTE_S)),
        ("network_time", Time(MINUTE_S)),
        ("network_delay_ms", Double(100.0)),
        ("network_bitrate_received_kbps", Double(8.0)),
        ("network_packet_loss_avg_received_pct", Double(8.0)),
        ("network_packet_loss_max_received_pct", Double(9.0)),
        ("network_bitrate_sent_kbps", Double(9.0)),
        ("network_packet_loss_avg_sent_pct", Double(8.0)),
        ("network_packet_loss_max_sent_pct", Double(10.0)),
        ("audio_time", Time(MINUTE_S)),
        ("audio_mic_input_volume_db", Double(6.0)),
        ("audio_speaker_volume_db", Double(8.0)),
        ("audio_bitrate_received_kbps", Double(3.0)),
        ("audio_latency_received_ms", Double(100.0)),
        ("audio_jitter_received_ms", Double(100.0)),
        ("audio_bitrate_sent_kbps", Double(9.0)),
        ("audio_latency_sent_ms", Double(100.0)),
        ("audio_jitter_sent_ms", Double(100.0)),
        ("video_time", Time(MINUTE_S)),
        ("video_bitrate_received_kbps", Double(8.0)),
        ("video_latency_received_ms", Double(100.0)),
        ("video_jitter_received_ms", Double(100.0)),
        ("video_maximum_resolution_received_px", Int(1080)),
        ("video_framerate_received_fps", Double(100.0)),
        ("video_bitrate_sent_kbps", Double(9.0)),
        ("video_latency_sent_ms", Double(100.0)),
        ("video_jitter_sent_ms", Double(100.0)),
        ("video_maximum_resolution_sent_px", Int(2160)),
        ("video_framerate_sent_fps", Double(90.0)),
        ("screen_sharing_time", Time(MINUTE_S)),
        ("screen_sharing_bitrate_received_kbps", Double(8.0)),
        ("screen_sharing_latency_received_ms", Double(100.0)),
        ("screen_sharing_jitter_received_ms", Double(100.0)),
        ("screen_sharing_maximum_resolution_received_px", Int(1080)),
        ("screen_sharing_framerate_received_fps", Double(100.0)),
        ("screen_sharing_bitrate_sent_kbps", Double(9.0)),
        ("screen_sharing_latency_sent_ms", Double(100.0)),
        ("screen_sharing_jitter_sent_ms", Double(100.0)),
        ("screen_sharing_maximum_resolution_sent_px", Int(2160)),
        ("screen_sharing_framerate_sent_fps", Double(90.0)),
        ("cpu_usage_time", Time(MINUTE_S + 60)),
        ("client_avg_cpu_usage_pct", Double(0.8)),
        ("client_max_cpu_usage_pct", Double(2.3)),
        ("system_avg_cpu_usage_pct", Double(8.3)),
        ("system_max_cpu_usage_pct", Double(30.0)),
        ("unparsed", Null),
    ];
    let batch = batch_of(&[EXAMPLE]);
    assert_eq!(batch.num_rows(), 1);
    let names: Vec<_> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(expected.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
    for (name, value) in expected {
        assert_eq!(cell(&batch, name, 0), value, "{name}");
    }
}

#[test]
fn rows_of_a_stay_are_numbered_over_its_pages() {
    let mut batcher = Batcher::new(china());
    let page = page_of("{},{}");
    let room = Stay { participant: Participant::Room("omm_1".into()), ..stay() };
    push(&mut batcher, &stay(), &[&page, &page]);
    push(&mut batcher, &stay(), &[]);
    push(&mut batcher, &room, &[&page]);
    let batch = batcher.take();
    let column = |name| (0..batch.num_rows()).map(|row| cell(&batch, name, row)).collect::<Vec<_>>();
    let text = |text: &str| Cell::Text(text.into());
    assert_eq!(column("sample_index"), [0, 1, 2, 3, 0, 1].map(Cell::Int));
    assert_eq!(column("user_id"), [vec![text("ou_1"); 4], vec![Cell::Null; 2]].concat());
    assert_eq!(column("room_id"), [vec![Cell::Null; 4], vec![text("omm_1"); 2]].concat());
    assert_eq!(column("sample_time"), vec![Cell::Null; 6]);
    assert_eq!(batcher.take().num_rows(), 0);
}

#[test]
fn a_batch_taken_in_the_middle_of_a_stay_does_not_restart_its_numbers() {
    let mut batcher = Batcher::new(china());
    push(&mut batcher, &stay(), &[&page_of("{},{},{}")]);
    assert_eq!(batcher.take().num_rows(), 3);
    push(&mut batcher, &stay(), &[&page_of("{}")]);
    let batch = batcher.take();
    assert_eq!(cell(&batch, "sample_index", 0), Cell::Int(0));
    assert_eq!(cell(&batch, "user_id", 0), Cell::Text("ou_1".into()));
}

#[test]
fn the_sample_time_is_the_first_that_can_be_read() {
    const FIRST: &str = "2022.12.23 11:16:00 (GMT+08:00)";
    const LATER: &str = "2022.12.23 11:17:00";
    for (sections, minutes_after) in [
        (vec![("network", FIRST), ("audio", LATER)], Some(0)),
        (vec![("network", LATER), ("audio", FIRST)], Some(1)),
        (vec![("audio", LATER), ("network", FIRST)], Some(0)),
        (vec![("video", LATER)], Some(1)),
        (vec![("screen_sharing", LATER), ("cpu_usage", FIRST)], Some(1)),
        (vec![("cpu_usage", LATER)], Some(1)),
        (vec![("network", "-"), ("audio", LATER)], Some(1)),
        (vec![("network", "at noon"), ("audio", LATER)], Some(1)),
        (vec![("network", "at noon")], None),
        (vec![], None),
    ] {
        let sections: Vec<_> = sections.iter().map(|(key, time)| format!(r#""{key}":{{"time":"{time}"}}"#)).collect();
        let page = page_of(&format!("{{{}}}", sections.join(",")));
        let expected = minutes_after.map_or(Cell::Null, |minutes: i64| Cell::Time(MINUTE_S + minutes * 60));
        assert_eq!(cell(&batch_of(&[&page]), "sample_time", 0), expected, "{page}");
    }
}

#[test]
fn what_cannot_be_read_stands_in_unparsed_as_it_came() {
    let page = page_of(
        r#"{"network":{"time":"at noon","network_delay":"<1ms","bitrate_received":"8kBps","bitrate_sent":"-"},
            "audio":{"mic_input_volume":6,"speaker_volume":null,"jitter_sent":"\u00b5s"},
            "video":{"maximum_resolution_sent":{"w": 1280},"framerate_sent":"\ud800"}},
           {"network":{"network_delay":"1ms"}},
           {"network":{"network_delay":"1"}}"#,
    );
    let mut batcher = Batcher::new(china());
    push(&mut batcher, &stay(), &[&page]);
    let batch = batcher.take();
    let texts = [
        ("network_time", "at noon"),
        ("network_delay_ms", "<1ms"),
        ("network_bitrate_received_kbps", "8kBps"),
        ("audio_mic_input_volume_db", "6"),
        ("audio_jitter_sent_ms", "µs"),
        ("video_maximum_resolution_sent_px", r#"{"w": 1280}"#),
        ("video_framerate_sent_fps", r#""\ud800""#),
    ];
    let map =
        |texts: &[(&str, &str)]| Cell::Map(texts.iter().map(|&(name, text)| (name.into(), text.into())).collect());
    assert_eq!(cell(&batch, "unparsed", 0), map(&texts));
    for (name, _) in texts {
        assert_eq!(cell(&batch, name, 0), Cell::Null, "{name}");
    }
    assert_eq!(cell(&batch, "network_bitrate_sent_kbps", 0), Cell::Null);
    assert_eq!(cell(&batch, "unparsed", 1), Cell::Null);
    assert_eq!(cell(&batch, "network_delay_ms", 1), Cell::Double(1.0));
    assert_eq!(cell(&batch, "unparsed", 2), map(&[("network_delay_ms", "1")]));

    let unreadable = batcher.into_unreadable();
    let counted: Vec<_> =
        unreadable.columns().map(|(name, count, samples)| (name, count, samples.join(" | "))).collect();
    let expected = texts.map(|(name, text)| match name {
        "network_delay_ms" => (name, 2, "<1ms | 1".to_owned()),
        _ => (name, 1, text.to_owned()),
    });
    assert_eq!(counted, expected);
}

#[test]
fn of_unreadable_texts_a_few_distinct_ones_are_kept_in_part() {
    let mut unreadable = Unreadable::default();
    assert_eq!(unreadable.columns().count(), 0);
    let long = "é".repeat(Unreadable::SAMPLE_CHARS_MAX + 1);
    for text in ["a", "b", "a", &long, "c", "d", "e", "a"] {
        unreadable.add(3, text);
    }
    let kept = ["a", "b", &long[..long.len() - "é".len()], "c", "d"].map(str::to_owned);
    let columns: Vec<_> = unreadable.columns().collect();
    assert_eq!(columns, [(COLUMNS[3].name, 8, kept.as_slice())]);
    assert_eq!(kept.len(), Unreadable::SAMPLES_MAX);
}

#[test]
fn a_batch_is_full_after_its_rows_and_empty_after_it_was_taken() {
    let mut batcher = Batcher::new(china());
    let page = page_of(&vec!["{}"; ROWS_MAX - 1].join(","));
    push(&mut batcher, &stay(), &[&page]);
    assert!(!batcher.is_full());
    push(&mut batcher, &stay(), &[&page_of("{}")]);
    assert!(batcher.is_full());
    assert_eq!(batcher.take().num_rows(), ROWS_MAX);
    assert!(!batcher.is_full());
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
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: Vec<_> = rows.map(|row| row.split(" | ").take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(documented, FROZEN.map(|(name, type_word, _)| format!("{name}` {type_word}")));
}
