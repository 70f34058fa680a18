use super::*;
use crate::{
    read::decode::{Unknown, decode},
    stay::{MeetingNo, Participant},
    tables::quality::UNPARSED,
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
    Map(Vec<(String, String)>),
}

/// The cells of one column, row by row.
fn cells(batch: &Batch, name: &str) -> Vec<Cell> {
    if name == "sample_time" {
        return cells_of(&batch.sample_time_us, |time_us| Cell::Time(time_us / 1_000_000));
    }
    if name == UNPARSED.name {
        return (0..batch.rows).map(|row| unparsed_of(batch, row)).collect();
    }
    let index = COLUMNS.iter().position(|column| column.name == name).unwrap();
    match &batch.metrics[index] {
        Metric::Time(values) => cells_of(values, |time_us| Cell::Time(time_us / 1_000_000)),
        Metric::Number(_, values) => cells_of(values, Cell::Double),
        Metric::Resolution(values) => cells_of(values, Cell::Int),
    }
}

fn cells_of<T: Copy>(values: &Values<T>, cell: impl Fn(T) -> Cell) -> Vec<Cell> {
    let mut present = values.values.iter();
    let cells = values.levels.iter().map(|level| match level {
        0 => Cell::Null,
        1 => cell(*present.next().unwrap()),
        other => panic!("{other}"),
    });
    let cells = cells.collect();
    assert_eq!(present.next().map(|_| "a value without a row"), None);
    cells
}

fn unparsed_of(batch: &Batch, row: usize) -> Cell {
    let texts = batch.unparsed.iter().filter(|unparsed| unparsed.row == row);
    let texts: Vec<_> = texts.map(|unparsed| (unparsed.column.to_owned(), unparsed.text.clone())).collect();
    if texts.is_empty() { Cell::Null } else { Cell::Map(texts) }
}

fn push(batch: &mut Batch, stay: &Stay, pages: &[&str]) {
    let mut rows = batch.stay(stay);
    for page in pages {
        decode(page.as_bytes(), &mut Unknown::default(), |sample| rows.push(sample)).unwrap();
    }
}

fn batch_of(pages: &[&str]) -> Batch {
    let mut batch = Batch::new(china());
    push(&mut batch, &stay(), pages);
    batch
}

/// Each run's participant, first sample index and rows.
fn runs_of(batch: &Batch) -> Vec<(&str, i32, usize)> {
    batch.runs.iter().map(|run| (run.stay.participant.id(), run.sample_index, run.rows)).collect()
}

fn page_of(items: &str) -> String {
    format!(r#"{{"data":{{"participant_quality_list":[{items}]}}}}"#)
}

#[test]
fn the_documented_example_comes_out_value_by_value() {
    use Cell::{Double, Int, Null, Time};
    let expected = [
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
    assert_eq!(batch.rows(), 1);
    for (name, value) in expected {
        assert_eq!(cells(&batch, name), [value], "{name}");
    }
}

#[test]
fn rows_of_a_stay_are_numbered_over_its_pages() {
    let mut batch = Batch::new(china());
    let page = page_of("{},{}");
    let room = Stay { participant: Participant::Room("omm_1".into()), ..stay() };
    push(&mut batch, &stay(), &[&page, &page]);
    push(&mut batch, &stay(), &[]);
    push(&mut batch, &room, &[&page]);
    assert_eq!(runs_of(&batch), [("ou_1", 0, 4), ("omm_1", 0, 2)]);
    assert_eq!(cells(&batch, "sample_time"), vec![Cell::Null; 6]);
}

#[test]
fn a_stay_goes_on_in_the_next_batch() {
    let mut batch = Batch::new(china());
    let almost_full = page_of(&vec!["{}"; ROWS_MAX - 1].join(","));
    let stay = stay();
    let mut rows = batch.stay(&stay);
    let mut push = |page: &str| {
        let mut taken = Vec::new();
        let samples = decode(page.as_bytes(), &mut Unknown::default(), |sample| {
            rows.push(sample);
            if let Some(batch) = rows.full() {
                taken.push((batch.rows(), batch.runs()[0].sample_index));
                batch.clear();
            }
        });
        samples.unwrap();
        taken
    };
    assert_eq!(push(&almost_full), []);
    assert_eq!(push(&page_of("{},{},{}")), [(ROWS_MAX, 0)]);
    assert_eq!(runs_of(&batch), [("ou_1", i32::try_from(ROWS_MAX).unwrap(), 2)]);
}

#[test]
fn a_batch_that_was_cleared_is_as_new() {
    let mut batch = batch_of(&[EXAMPLE, &page_of(r#"{"network":{"network_delay":"?"}}"#)]);
    batch.clear();
    assert_eq!((batch.rows(), batch.runs().len(), batch.unparsed().len()), (0, 0, 0));
    push(&mut batch, &stay(), &[&page_of(r#"{},{"network":{"network_delay":"7ms"}}"#)]);
    assert_eq!(runs_of(&batch), [("ou_1", 0, 2)]);
    assert_eq!(cells(&batch, "network_delay_ms"), [Cell::Null, Cell::Double(7.0)]);
    for column in COLUMNS.iter().filter(|column| column.name != "network_delay_ms") {
        assert_eq!(cells(&batch, column.name), [Cell::Null, Cell::Null], "{}", column.name);
    }
    assert_eq!(batch.take_unreadable().columns().count(), 1, "what was counted stays counted");
    assert_eq!(batch.take_unreadable().columns().count(), 0);
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
        assert_eq!(cells(&batch_of(&[&page]), "sample_time"), [expected], "{page}");
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
    let mut batch = batch_of(&[&page]);
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
    let expected = [map(&texts), Cell::Null, map(&[("network_delay_ms", "1")])];
    assert_eq!(cells(&batch, "unparsed"), expected);
    for (name, _) in texts {
        assert_eq!(cells(&batch, name)[0], Cell::Null, "{name}");
    }
    assert_eq!(cells(&batch, "network_bitrate_sent_kbps"), vec![Cell::Null; 3]);
    assert_eq!(cells(&batch, "network_delay_ms"), [Cell::Null, Cell::Double(1.0), Cell::Null]);

    let unreadable = batch.take_unreadable();
    let counted: Vec<_> =
        unreadable.columns().map(|(name, unread)| (name, unread.count, unread.samples.join(" | "))).collect();
    let expected = texts.map(|(name, text)| match name {
        "network_delay_ms" => (name, 2, "<1ms | 1".to_owned()),
        _ => (name, 1, text.to_owned()),
    });
    assert_eq!(counted, expected);
}

#[test]
fn a_batch_is_full_after_its_rows_or_too_much_unreadable_text() {
    let mut batch = Batch::new(china());
    push(&mut batch, &stay(), &[&page_of(&vec!["{}"; ROWS_MAX - 1].join(","))]);
    assert!(!batch.is_full());
    push(&mut batch, &stay(), &[&page_of("{}")]);
    assert!(batch.is_full());
    batch.clear();
    let long = "x".repeat(UNPARSED_BYTES_MAX - UNPARSED_ENTRY_BYTES - 1);
    push(&mut batch, &stay(), &[&page_of(&format!(r#"{{"network":{{"network_delay":"{long}"}}}}"#))]);
    assert!(!batch.is_full());
    push(&mut batch, &stay(), &[&page_of(r#"{"network":{"network_delay":"?"}}"#)]);
    assert!(batch.is_full());
    batch.clear();
    assert!(!batch.is_full());
    let short = r#"{"network":{"network_delay":"?"}}"#;
    push(&mut batch, &stay(), &[&page_of(&vec![short; UNPARSED_BYTES_MAX / UNPARSED_ENTRY_BYTES].join(","))]);
    assert!(batch.is_full(), "many short texts take memory, too");
}
