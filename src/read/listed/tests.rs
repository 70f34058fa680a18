use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::tables::{meetings::MEETINGS, participants::PARTICIPANTS};

const JOIN_S: i64 = 1_671_765_419;

fn china() -> FixedOffset {
    FixedOffset::east_opt(8 * 3600).unwrap()
}

fn values_of(table: &Table, item: &Value) -> (Values, Unknown) {
    let mut unknown = Unknown::default();
    let values = read(table, item.as_object().unwrap(), china(), &mut unknown);
    (values, unknown)
}

/// What one value is read as, and what of it is unparsed.
fn reading(kind: Kind, value: &Value) -> (Cell, Option<String>) {
    let (table, name, key) = match kind {
        Kind::Text => (&PARTICIPANTS, "device", "device"),
        Kind::Time => (&PARTICIPANTS, "leave_time", "leave_time"),
        Kind::Duration => (&PARTICIPANTS, "time_in_meeting_s", "time_in_meeting"),
        Kind::Count => (&MEETINGS, "number_of_participants", "number_of_participants"),
        Kind::Flag => (&MEETINGS, "recording", "recording"),
    };
    let (mut values, unknown) = values_of(table, &json!({ key: value }));
    assert!(unknown.is_empty(), "{unknown:?}");
    (values.cell(table, name).clone(), values.unparsed.remove(name))
}

const KINDS: [Kind; 5] = [Kind::Text, Kind::Time, Kind::Duration, Kind::Count, Kind::Flag];

#[test]
fn what_each_kind_reads() {
    let text = |text: &str| Cell::Text(text.to_owned());
    for (kind, value, cell) in [
        (Kind::Text, json!("wifi"), text("wifi")),
        (Kind::Text, json!(" 麦克风阵列 (Realtek(R) Audio) "), text(" 麦克风阵列 (Realtek(R) Audio) ")),
        (Kind::Text, json!("0"), text("0")),
        (Kind::Text, json!(705_605_196), text("705605196")),
        (Kind::Text, json!(u64::MAX), text("18446744073709551615")),
        (Kind::Text, json!(-1), text("-1")),
        (Kind::Time, json!("2022.12.23 11:16:59 (GMT+08:00)"), Cell::Time(JOIN_S)),
        (Kind::Time, json!("2022.12.23 11:16:59"), Cell::Time(JOIN_S)),
        (Kind::Time, json!("2022.12.23 03:16:59 (GMT)"), Cell::Time(JOIN_S)),
        (Kind::Time, json!("1671765419"), Cell::Time(JOIN_S)),
        (Kind::Time, json!(" 1671765419 "), Cell::Time(JOIN_S)),
        (Kind::Time, json!(JOIN_S), Cell::Time(JOIN_S)),
        (Kind::Time, json!("99999999999"), Cell::Time(99_999_999_999)),
        (Kind::Duration, json!("00:01:52"), Cell::Int(112)),
        (Kind::Duration, json!("1:00:00"), Cell::Int(3600)),
        (Kind::Duration, json!("25:00:01"), Cell::Int(90_001)),
        (Kind::Duration, json!("100:59:59"), Cell::Int(363_599)),
        (Kind::Duration, json!(" 00:00:00 "), Cell::Int(0)),
        (Kind::Duration, json!("0"), Cell::Int(0)),
        (Kind::Duration, json!(0), Cell::Int(0)),
        (Kind::Duration, json!("596523:14:07"), Cell::Int(i32::MAX)),
        (Kind::Count, json!("1"), Cell::Int(1)),
        (Kind::Count, json!("007"), Cell::Int(7)),
        (Kind::Count, json!(12), Cell::Int(12)),
        (Kind::Count, json!(i32::MAX), Cell::Int(i32::MAX)),
        (Kind::Flag, json!(true), Cell::Flag(true)),
        (Kind::Flag, json!(false), Cell::Flag(false)),
        (Kind::Flag, json!("true"), Cell::Flag(true)),
        (Kind::Flag, json!("False"), Cell::Flag(false)),
    ] {
        assert_eq!(reading(kind, &value), (cell, None), "{kind:?} {value}");
    }
}

#[test]
fn what_says_that_there_is_no_value() {
    for kind in KINDS {
        assert_eq!(reading(kind, &Value::Null), (Cell::Null, None), "{kind:?}");
        for text in ["", "-", "--", "—", "N/A", "n/a", "null", "/", " ", " \u{3000}- "] {
            assert_eq!(reading(kind, &json!(text)), (Cell::Null, None), "{kind:?} {text:?}");
        }
    }
}

#[test]
fn what_is_not_read_is_kept() {
    for (kind, value, text) in [
        (Kind::Text, json!(true), "true"),
        (Kind::Text, json!(1.5), "1.5"),
        (Kind::Text, json!(["a", 1]), r#"["a",1]"#),
        (Kind::Text, json!({"zh_cn": "东莞"}), r#"{"zh_cn":"东莞"}"#),
        (Kind::Time, json!("soon"), "soon"),
        (Kind::Time, json!("0"), "0"),
        (Kind::Time, json!(0), "0"),
        (Kind::Time, json!(-5), "-5"),
        (Kind::Time, json!("+1671765419"), "+1671765419"),
        (Kind::Time, json!("1671765419000"), "1671765419000"),
        (Kind::Time, json!(1.5), "1.5"),
        (Kind::Time, json!(" 2022-12-23 11:16:59"), " 2022-12-23 11:16:59"),
        (Kind::Time, json!(false), "false"),
        (Kind::Duration, json!("112"), "112"),
        (Kind::Duration, json!(112), "112"),
        (Kind::Duration, json!("01:52"), "01:52"),
        (Kind::Duration, json!("00:01:52:00"), "00:01:52:00"),
        (Kind::Duration, json!("00:60:00"), "00:60:00"),
        (Kind::Duration, json!("00:00:60"), "00:00:60"),
        (Kind::Duration, json!("00:1:52"), "00:1:52"),
        (Kind::Duration, json!(":01:52"), ":01:52"),
        (Kind::Duration, json!("-1:00:00"), "-1:00:00"),
        (Kind::Duration, json!("1:00:+1"), "1:00:+1"),
        (Kind::Duration, json!("596523:14:08"), "596523:14:08"),
        (Kind::Duration, json!("18446744073709551615:00:00"), "18446744073709551615:00:00"),
        (Kind::Count, json!("many"), "many"),
        (Kind::Count, json!("-1"), "-1"),
        (Kind::Count, json!(-1), "-1"),
        (Kind::Count, json!("+1"), "+1"),
        (Kind::Count, json!("1,000"), "1,000"),
        (Kind::Count, json!(1.0), "1.0"),
        (Kind::Count, json!(2_147_483_648_i64), "2147483648"),
        (Kind::Count, json!("１"), "１"),
        (Kind::Flag, json!(1), "1"),
        (Kind::Flag, json!("yes"), "yes"),
        (Kind::Flag, json!({}), "{}"),
    ] {
        assert_eq!(reading(kind, &value), (Cell::Null, Some(text.to_owned())), "{kind:?} {value}");
    }
}

/// As the API's documentation shows one.
fn meeting() -> Value {
    json!({
        "meeting_id": "012345678",
        "meeting_topic": "讨论会",
        "meeting_type": 2,
        "organizer": "kehan",
        "department": "development",
        "user_id": "92f879",
        "employee_id": "202105149765",
        "email": "kehan@example.com",
        "mobile": "+8612345678901",
        "meeting_start_time": "2022.12.23 11:16:59 (GMT+08:00)",
        "meeting_end_time": "2022.12.23 11:18:51 (GMT+08:00)",
        "meeting_duration": "00:01:52",
        "number_of_participants": "1",
        "number_of_devices": "2",
        "audio": true, "video": false, "sharing": true, "recording": false, "telephone": true,
        "reserved_rooms": [{"room_id": "omm_1", "room_name": "VIP"}],
        "has_related_document": false, "ai_note": true, "is_external": false,
        "meeting_subtype": 8,
        "meeting_instance_id": "7529416531681214468",
        "number_of_webinar_viewers": "30",
    })
}

#[test]
fn a_meeting_as_documented_fills_every_column() {
    let (values, unknown) = values_of(&MEETINGS, &meeting());
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(values.unparsed.is_empty(), "{values:?}");
    let empty = MEETINGS.columns.iter().zip(&values.cells).filter(|(_, cell)| cell.is_null()).count();
    assert_eq!(empty, 0, "{values:?}");
    assert_eq!(values.cell(&MEETINGS, "meeting_no").text(), Some("012345678"));
    assert_eq!(values.cell(&MEETINGS, "meeting_start_time").time_s(), Some(JOIN_S));
    assert_eq!(values.cell(&MEETINGS, "meeting_duration_s").int(), Some(112));
    assert_eq!(values.cell(&MEETINGS, "ai_note").flag(), Some(true));
    assert_eq!(values.cell(&MEETINGS, "organizer_user_id").text(), Some("92f879"));
    let other_kinds = values.cell(&MEETINGS, "ai_note");
    assert_eq!((other_kinds.text(), other_kinds.time_s(), other_kinds.int()), (None, None, None));
    assert_eq!(values.cell(&MEETINGS, "meeting_no").flag(), None);
}

#[test]
fn a_participant_has_the_meeting_that_was_asked_for() {
    let item =
        json!({"": "nameless", "meeting_no": "987654321", "meeting_start_time": "0", "meeting_room_id": "omm_1"});
    let (mut values, unknown) = values_of(&PARTICIPANTS, &item);
    assert_eq!(values.cell(&PARTICIPANTS, "room_id").text(), Some("omm_1"));
    for name in ["meeting_no", "meeting_start_time", "meeting_end_time"] {
        assert!(values.cell(&PARTICIPANTS, name).is_null(), "{name}");
    }
    let counts: Vec<_> = unknown.counts().collect();
    assert_eq!(counts, [("participants.", 1), ("participants.meeting_no", 1), ("participants.meeting_start_time", 1)],);
    values.set(&PARTICIPANTS, "meeting_no", Cell::Text("012345678".into()));
    assert_eq!(values.cell(&PARTICIPANTS, "meeting_no").text(), Some("012345678"));
}

#[test]
fn what_is_set_is_no_longer_unparsed() {
    let (mut values, _) = values_of(&MEETINGS, &json!({"meeting_end_time": "soon", "meeting_start_time": "now"}));
    values.set(&MEETINGS, "meeting_end_time", Cell::Time(JOIN_S));
    assert_eq!(values.unparsed.keys().collect::<Vec<_>>(), [&"meeting_start_time"]);
}

fn any_json() -> impl Strategy<Value = Value> {
    let text =
        prop_oneof!["\\PC{0,8}", "[0-9:. +-]{0,24}", "20[0-9]{2}\\.[01][0-9]\\.[0-3][0-9] [0-2][0-9]:[0-5][0-9]:00"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z]{0,3}", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn any_item(table: &'static Table) -> impl Strategy<Value = Map<String, Value>> {
    let keys: Vec<_> = table.columns.iter().map(|column| column.key.to_owned()).collect();
    let key = prop_oneof![4 => prop::sample::select(keys), 1 => "[a-z_]{0,12}"];
    prop::collection::hash_map(key, any_json(), 0..30).prop_map(|map| map.into_iter().collect())
}

proptest! {
    /// A column has a value, or its text is kept, or there was none; every other key is counted.
    #[test]
    fn nothing_is_dropped(meeting in any_item(&MEETINGS), participant in any_item(&PARTICIPANTS)) {
        for (table, item) in [(&MEETINGS, meeting), (&PARTICIPANTS, participant)] {
            let mut unknown = Unknown::default();
            let values = read(table, &item, china(), &mut unknown);
            prop_assert_eq!(values.cells.len(), table.columns.len());
            for (column, cell) in table.columns.iter().zip(&values.cells) {
                let value = item.get(column.key).filter(|_| !column.key.is_empty());
                let is_absent = value.is_none_or(|value| reading(Kind::Text, value) == (Cell::Null, None));
                let is_unparsed = values.unparsed.contains_key(column.name);
                let fates = [!cell.is_null(), is_unparsed, is_absent];
                prop_assert_eq!(fates.into_iter().filter(|is| *is).count(), 1, "{}: {:?}", column.name, value);
            }
            let has_column = |key: &str| !key.is_empty() && table.columns.iter().any(|column| column.key == key);
            let others = item.keys().filter(|key| !has_column(key) && !table.keys_without_column.contains(&key.as_str()));
            prop_assert_eq!(unknown.counts().map(|(_, count)| count).sum::<u64>(), others.count() as u64);
        }
    }

    #[test]
    fn a_duration_is_read_as_it_is_written(seconds in 0..=i32::MAX) {
        let text = format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
        prop_assert_eq!(duration_s(&text), Some(seconds));
        prop_assert_eq!(duration_s(&format!("0{text}")), Some(seconds));
    }
}
