use super::*;
use crate::{
    endpoint::Endpoint,
    feishu::{Unusable, page::Next, read_stored},
    stay::MeetingNo,
};

#[test]
fn a_page_is_asked_for_by_the_documented_parameters() {
    let mut stay = Stay {
        meeting_no: MeetingNo::parse("012345678").unwrap(),
        meeting_start_s: 1,
        meeting_end_s: 2,
        join_s: 3,
        participant: Participant::User("ou_a b&c".into()),
    };
    assert_eq!(
        request(&stay, UserIdType::UnionId, None),
        "/open-apis/vc/v1/participant_quality_list?meeting_start_time=1&meeting_end_time=2&meeting_no=012345678\
         &join_time=3&user_id=ou_a+b%26c&user_id_type=union_id&page_size=100"
    );
    stay.participant = Participant::Room("omm_1".into());
    assert_eq!(
        request(&stay, UserIdType::OpenId, Some("t/1=")),
        "/open-apis/vc/v1/participant_quality_list?meeting_start_time=1&meeting_end_time=2&meeting_no=012345678\
         &join_time=3&room_id=omm_1&page_size=100&page_token=t%2F1%3D"
    );
}

#[test]
fn a_page_says_what_comes_after_it() {
    let token = |token: &str| Next::Token(token.to_owned());
    for (data, items, next) in [
        ("null", 0, Next::End),
        ("{}", 0, Next::End),
        (r#"{"participant_quality_list":null}"#, 0, Next::End),
        (r#"{"participant_quality_list":[]}"#, 0, Next::End),
        (r#"{"participant_quality_list":[{},{}],"has_more":false}"#, 2, Next::End),
        (r#"{"participant_quality_list":[{}],"has_more":false,"page_token":"9"}"#, 1, Next::End),
        (r#"{"participant_quality_list":[{}],"has_more":true,"page_token":"100"}"#, 1, token("100")),
        (r#"{"has_more":true,"page_token":"100"}"#, 0, token("100")),
        (r#"{"participant_quality_list":[{}],"has_more":"true","page_token":7}"#, 1, token("7")),
        (r#"{"participant_quality_list":[{}],"has_more":"false","page_token":7}"#, 1, Next::End),
        (r#"{"participant_quality_list":[{}],"has_more":null}"#, 1, Next::End),
        (r#"{"participant_quality_list":[{}],"has_more":null,"page_token":"100"}"#, 1, token("100")),
        (r#"{"participant_quality_list":[{}],"page_token":"100"}"#, 1, token("100")),
        (r#"{"participant_quality_list":[{}],"page_token":" "}"#, 1, Next::End),
        (r#"{"participant_quality_list":[],"has_more":true,"page_token":"100"}"#, 0, token("100")),
        (r#"{"participant_quality_list":[],"page_token":"100"}"#, 0, token("100")),
        (r#"{"participant_quality_list":[{}],"has_more":true}"#, 1, Next::TokenMissing),
        (r#"{"participant_quality_list":[{}],"has_more":true,"page_token":""}"#, 1, Next::TokenMissing),
        (r#"{"participant_quality_list":[{}],"has_more":true,"page_token":null}"#, 1, Next::TokenMissing),
    ] {
        let body = format!(r#"{{"code":0,"msg":"success","data":{data}}}"#);
        assert_eq!(read_page(body.as_bytes()), Some(Page { items, next }), "{data}");
    }
    let nothing = Page { items: 0, next: Next::End };
    assert_eq!(read_page(br#"{"code":0,"msg":"ok"}"#), Some(nothing));
}

#[test]
fn a_stored_body_is_read_as_strictly_as_an_answer() {
    let page = r#"{"code":0,"data":{"participant_quality_list":[{},{}],"has_more":false}}"#;
    let two = Page { items: 2, next: Next::End };
    for (body, expected) in [
        (page, Ok(two.clone())),
        (&format!("\u{feff}{page}"), Ok(two)),
        (r#"{"code":126009,"msg":"m"}"#, Err(Unusable::Error(126_009))),
        (r#"{"code":0,"data":[]}"#, Err(Unusable::Unreadable)),
        (r#"{"code":0,"data":{"has_more":1}}"#, Err(Unusable::Unreadable)),
        ("<html>", Err(Unusable::Unreadable)),
    ] {
        assert_eq!(read_stored(Endpoint::Quality, body.as_bytes()), expected, "{body}");
    }
}
