use serde_json::{Value, json};

use super::*;
use crate::meeting::Askable;

const NOW_S: i64 = 1_700_000_000;

fn offset() -> FixedOffset {
    FixedOffset::east_opt(8 * 3600).unwrap()
}

fn body(list: &str, items: &Value) -> Vec<u8> {
    json!({"code": 0, "data": {list: items, "has_more": false}}).to_string().into_bytes()
}

fn listed(items: &Value) -> MeetingPage {
    meetings(&body("meeting_list", items), offset(), &mut Unknown::default()).unwrap()
}

fn meeting() -> Meeting {
    // 2022.12.23 11:16:59 to 11:18:51 (GMT+08:00).
    Meeting::new(MeetingNo::parse("705605196").unwrap(), 1_671_765_419, Some(1_671_765_531)).unwrap()
}

fn attended(items: &Value) -> Vec<SeenAttendance> {
    let body = body("participants", items);
    attendances(&body, &meeting(), offset(), NOW_S, &mut Unknown::default()).unwrap()
}

fn with(fields: &Value) -> Value {
    let mut item = json!({
        "join_time": "2022.12.23 11:16:59 (GMT+08:00)", "user_id": "ou_1", "device": "windows",
        "leave_time": "2022.12.23 11:18:51 (GMT+08:00)", "is_external": false,
    });
    item.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    item
}

#[test]
fn whatever_the_api_may_say_of_a_meeting() {
    let start = "2022.12.23 11:16:59 (GMT+08:00)";
    let end = 1_671_765_531;
    for (fields, end_s, participants) in [
        (json!({}), None, None),
        (
            json!({"meeting_end_time": "2022.12.23 11:18:51 (GMT+08:00)", "number_of_participants": "12"}),
            Some(end),
            Some(12),
        ),
        (json!({"meeting_end_time": "2022.12.23 11:18:51 (GMT+8)", "number_of_participants": 12}), Some(end), Some(12)),
        (json!({"meeting_end_time": "2022.12.23 11:18:51", "number_of_participants": ""}), Some(end), None),
        (json!({"meeting_end_time": "1671765531", "number_of_participants": "-"}), Some(end), None),
        (json!({"meeting_end_time": 1_671_765_531, "number_of_participants": null}), Some(end), None),
        (json!({"meeting_end_time": "", "number_of_participants": "many"}), None, None),
        (json!({"meeting_end_time": "-", "number_of_participants": "0"}), None, Some(0)),
        (json!({"meeting_end_time": "soon"}), None, None),
    ] {
        let mut item = json!({"meeting_id": "705605196", "meeting_start_time": start});
        item.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let page = listed(&json!([item]));
        let [seen] = page.meetings.as_slice() else { panic!("{page:?}") };
        assert_eq!((seen.meeting.end_s, seen.participants), (end_s, participants), "{fields}");
        assert_eq!(seen.meeting.askable(NOW_S), end_s.map_or(Askable::NotOver, Askable::Until), "{fields}");
    }
}

#[test]
fn a_meeting_without_a_number_or_a_start_is_counted_and_no_more() {
    let page = listed(&json!([
        {"meeting_id": "12345678", "meeting_start_time": "2022.12.23 11:16:59"},
        {"meeting_id": "705605196", "meeting_start_time": "-"},
        {"meeting_start_time": "2022.12.23 11:16:59"},
        {"meeting_id": 705_605_196, "meeting_start_time": "2022.12.23 11:16:59"},
        {},
    ]));
    assert_eq!((page.meetings.len(), page.unreadable), (1, 4));
}

#[test]
fn a_list_that_is_missing_or_null_is_empty() {
    for text in
        [r#"{"code":0}"#, r#"{"code":0,"data":null}"#, r#"{"code":0,"data":{}}"#, r#"{"data":{"participants":null}}"#]
    {
        let page = attendances(text.as_bytes(), &meeting(), offset(), NOW_S, &mut Unknown::default());
        assert_eq!(page.unwrap(), [], "{text}");
    }
    let text = br#"{"code":0,"data":{"participants":"none"}}"#;
    assert!(attendances(text, &meeting(), offset(), NOW_S, &mut Unknown::default()).is_err());
}

#[test]
fn an_attendance_gives_a_stay_by_the_rules_of_a_manifest() {
    for (fields, kind) in [
        (json!({}), AttendanceKind::Stay),
        (json!({"user_id": "-", "meeting_room_id": "omm_1"}), AttendanceKind::Stay),
        (json!({"meeting_room_id": ""}), AttendanceKind::Stay),
        (json!({"leave_time": ""}), AttendanceKind::Stay),
        (json!({"join_time": "1671765419"}), AttendanceKind::Stay),
        (json!({"meeting_room_id": "omm_1"}), AttendanceKind::TwoIds),
        (json!({"user_id": null, "device": "PSTN"}), AttendanceKind::Telephone),
        (json!({"user_id": "", "device": "sip"}), AttendanceKind::Sip),
        (json!({"user_id": "-", "device": "web"}), AttendanceKind::Guest),
        (json!({"join_time": ""}), AttendanceKind::Broken),
        (json!({"join_time": "soon"}), AttendanceKind::Broken),
        // It joined after the end.
        (json!({"join_time": "2022.12.23 11:19:00 (GMT+08:00)"}), AttendanceKind::Broken),
        (json!({"user_id": "ou\u{7}1"}), AttendanceKind::Broken),
    ] {
        let [seen] = attended(&json!([with(&fields)])).try_into().unwrap();
        assert_eq!(seen.kind, kind, "{fields}");
        assert_eq!(seen.stay.is_some(), kind == AttendanceKind::Stay, "{fields}");
        assert_eq!(seen.reason.is_some(), matches!(kind, AttendanceKind::Broken | AttendanceKind::TwoIds), "{fields}");
    }
}

#[test]
fn who_may_be_of_another_tenant_is_taken_for_one() {
    for (flag, is_external) in
        [(json!(false), false), (json!("false"), false), (json!(true), true), (json!(null), true)]
    {
        let [seen] = attended(&json!([with(&json!({"is_external": flag}))])).try_into().unwrap();
        assert_eq!(seen.is_external, is_external, "{flag}");
    }
}

/// The rows that listings come to, each by its leave time and device.
fn folded(listings: &[&Value]) -> Vec<(Option<i64>, Option<String>)> {
    let mut all = Attendances::default();
    for (number, items) in (1..).zip(listings) {
        for seen in attended(items) {
            all.take(number, seen);
        }
    }
    let of_row = |row: Values| {
        let cell = |name| row.cell(&PARTICIPANTS, name);
        assert_eq!(cell("meeting_no").text(), Some("705605196"));
        (cell("leave_time").time_s(), cell("device").text().map(str::to_owned))
    };
    all.rows(&meeting()).into_iter().map(of_row).collect()
}

#[test]
fn of_several_listings_the_last_that_has_an_attendance_counts() {
    let early = with(&json!({"leave_time": "2022.12.23 11:17:51 (GMT+08:00)"}));
    let late = with(&json!({}));
    let phone = with(&json!({"device": "ios"}));
    let windows = |leave_s| (Some(leave_s), Some("windows".to_owned()));
    let ios = (Some(1_671_765_531), Some("ios".to_owned()));
    assert_eq!(folded(&[&json!([early]), &json!([late])]), [windows(1_671_765_531)], "what has changed");
    assert_eq!(folded(&[&json!([late, phone]), &json!([late])]), [ios.clone(), windows(1_671_765_531)], "what is lost");
    assert_eq!(folded(&[&json!([late, phone, late])]), [ios, windows(1_671_765_531)], "what a page repeats");
    let both = [windows(1_671_765_471), windows(1_671_765_531)];
    let mut found = folded(&[&json!([early, late])]);
    found.sort();
    assert_eq!(found, both, "two that nothing tells apart");
    let mut found = folded(&[&json!([early, late]), &json!([late, early])]);
    found.sort();
    assert_eq!(found, both, "in any order");
}
