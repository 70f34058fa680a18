use bytes::Bytes;

use super::*;
use crate::{
    endpoint::Endpoint,
    feishu::{meaning, page::Next},
};

fn classify(answer: &Result<Answer, TransportError>, now: DateTime<Utc>) -> Outcome {
    meaning(Endpoint::Quality, Bearer::Tenant, answer, now)
}

fn answer(status: u16, body: &str) -> Answer {
    Answer { status, body: Bytes::copy_from_slice(body.as_bytes()), ..Answer::default() }
}

fn at() -> DateTime<Utc> {
    "2026-11-01T00:00:00Z".parse().unwrap()
}

fn name(status: u16, body: &str) -> &'static str {
    classify(&Ok(answer(status, body)), at()).name()
}

#[test]
fn every_code_of_the_table_has_its_meaning_whatever_the_status() {
    let table: [(&str, &[i64]); 8] = [
        ("throttled", &[99_991_400, 1_000_004, 1_000_005]),
        ("month_used_up", &[99_991_403]),
        ("token_refused", &[99_991_663, 99_991_664, 99_991_665, 99_991_668, 99_991_671, 99_991_677]),
        ("denied", &[99_991_401, 99_991_543, 99_991_661, 99_991_662, 99_991_672, 99_991_673, 99_991_676, 99_991_679]),
        ("no_permission", &[121_005]),
        ("absent", &[126_009, 126_010, 121_004]),
        (
            "rejected",
            &[
                121_002, 121_003, 126_003, 126_004, 126_005, 126_006, 126_007, 126_008, 126_015, 126_016, 99_992_350,
                99_992_351, 99_992_361, 99_992_364, 99_992_376, 99_992_381, 99_992_389, 99_992_402,
            ],
        ),
        ("transient", &[121_001, 1500, 1663, 1668, 2200, 5000, 10_101, 55_001, 65_001, 105_001]),
    ];
    for (expected, codes) in table {
        for code in codes {
            for status in [200, 400, 403, 404, 429, 500] {
                let body = format!(r#"{{"code":{code},"msg":"m","data":{{}}}}"#);
                assert_eq!(name(status, &body), expected, "{code} with HTTP {status}");
            }
        }
    }
}

/// Some gateways put one before whatever they pass on.
#[test]
fn a_byte_order_mark_before_an_answer_is_passed_over() {
    let page = r#"{"code":0,"data":{"participant_quality_list":[{}],"has_more":false}}"#;
    let expected = Outcome::Page(Page { items: 1, next: Next::End });
    assert_eq!(classify(&Ok(answer(200, &format!("\u{feff}{page}"))), at()), expected);
    assert_eq!(name(400, "\u{feff}{\"code\":121005}"), "no_permission");
}

#[test]
fn a_success_is_a_page_whatever_the_status() {
    let page = Outcome::Page(Page { items: 1, next: Next::End });
    for status in [200, 404, 429, 500] {
        let body = r#"{"code":0,"msg":"success","data":{"participant_quality_list":[{}],"has_more":false}}"#;
        assert_eq!(classify(&Ok(answer(status, body)), at()), page, "HTTP {status}");
    }
}

/// What the endpoint needs is named by its row; what is wrong with the app is the same for every endpoint.
#[test]
fn a_missing_scope_is_that_of_the_endpoint() {
    for (code, is_named) in [(99_991_672, true), (99_991_676, true), (99_991_679, true), (99_991_543, false)] {
        let outcome = classify(&Ok(answer(400, &format!(r#"{{"code":{code},"msg":"m"}}"#))), at());
        let Outcome::Denied(_, remedy) = outcome else { panic!("{code} is a denial") };
        assert_eq!(remedy.to_string().contains("`vc:room:readonly`"), is_named, "{code}");
    }
}

/// Of one row such a code says little; of most rows it says that the app or the kind of ids is another one.
#[test]
fn codes_of_ids_are_told_from_those_of_other_parameters() {
    for (code, is_of_id) in [
        (99_992_350, true),
        (99_992_351, true),
        (99_992_389, true),
        (99_992_402, false),
        (121_003, false),
        (126_007, false),
    ] {
        let outcome = classify(&Ok(answer(400, &format!(r#"{{"code":{code},"msg":"m"}}"#))), at());
        assert_eq!(matches!(outcome, Outcome::Judged(Judgement::IdRefused, _)), is_of_id, "{code}");
    }
}

#[test]
fn other_codes_fail_their_stay_and_server_faults_pass() {
    for (status, code, expected) in [
        (200, 1, "failed"),
        (400, -1, "failed"),
        (404, 99_991_201, "failed"),
        (429, 99_991_406, "failed"),
        (400, 126_017, "failed"),
        (400, 99_992_349, "failed"),
        (400, 99_992_390, "failed"),
        (500, 42, "transient"),
        (503, 42, "transient"),
    ] {
        assert_eq!(name(status, &format!(r#"{{"code":{code}}}"#)), expected, "{code} with HTTP {status}");
    }
}

#[test]
fn a_page_of_html_is_told_by_its_title_if_it_has_one() {
    for (body, told) in [
        ("<html><title> Sign in </title>ok</html>", "an HTML page instead of JSON (`Sign in`)"),
        ("<!DOCTYPE html><body>ok</body>", "an HTML page without a title instead of JSON"),
        ("<html><title></title></html>", "an HTML page without a title instead of JSON"),
    ] {
        let answer = Answer { status: 200, body: Bytes::copy_from_slice(body.as_bytes()), ..Answer::default() };
        assert_eq!(said_unreadable(&answer).text, format!("HTTP 200 with {told}"));
    }
}

#[test]
fn what_is_not_the_documented_json_is_never_a_page() {
    for body in [
        "",
        "null",
        "[]",
        "[0]",
        r#"[0,"success",{}]"#,
        "{}",
        "<html>ok</html>",
        r#"{"code":"0","data":{}}"#,
        r#"{"code":0.5}"#,
        r#"{"code":100000000000000000000}"#,
        r#"{"code":0,"data":{}} x"#,
        r#"{"code":0,"code":0}"#,
        r#"{"code":0,"data":{"participant_quality_list":[{"#,
    ] {
        for status in [200, 302, 404, 503] {
            assert_eq!(name(status, body), "transient", "{body} with HTTP {status}");
        }
    }
    for body in [
        r#"{"code":0,"data":{"participant_quality_list":{}}}"#,
        r#"{"code":0,"data":{"participant_quality_list":"none"}}"#,
        r#"{"code":0,"data":{"has_more":"perhaps"}}"#,
        r#"{"code":0,"data":{"has_more":1}}"#,
        r#"{"code":0,"data":[1]}"#,
        r#"{"code":0,"data":[]}"#,
    ] {
        assert_eq!(name(200, body), "off_contract", "{body}");
    }
    assert_eq!(name(429, "slow down"), "throttled");
    assert_eq!(name(429, ""), "throttled");
    let not_utf8 =
        Answer { status: 200, body: Bytes::from_static(b"{\"code\":0,\"msg\":\"\xff\"}"), ..Answer::default() };
    assert_eq!(classify(&Ok(not_utf8), at()).name(), "transient");
}

#[test]
fn a_missing_answer_is_transient() {
    use crate::feishu::transport::{Cause, Step};
    for cause in [Cause::Refused, Cause::Timeout(Step::Answer), Cause::Cut, Cause::TooLarge] {
        assert_eq!(classify(&Err(cause.into()), at()).name(), "transient");
    }
}

#[test]
fn a_refusal_says_how_long_to_wait() {
    for (reset, retry_after, seconds) in [
        (Some("52"), None, 52.0),
        (Some(" 7 "), Some("9"), 7.0),
        (Some("0.5"), None, 0.5),
        (None, Some("9"), 9.0),
        (Some("soon"), Some("9"), 9.0),
        (None, Some("Sun, 01 Nov 2026 00:01:30 GMT"), 90.0),
        (None, Some("Sat, 31 Oct 2026 00:00:00 GMT"), 60.0),
        (None, None, 60.0),
        (Some("0"), None, 60.0),
        (Some("-5"), None, 60.0),
        (Some("NaN"), None, 60.0),
        (Some("inf"), None, 3600.0),
        (Some("1000000"), None, 3600.0),
    ] {
        let answer = Answer {
            status: 400,
            ratelimit_reset: reset.map(Into::into),
            retry_after: retry_after.map(Into::into),
            body: Bytes::from_static(br#"{"code":99991400,"msg":"request trigger frequency limit"}"#),
            ..Answer::default()
        };
        let expected = Outcome::Throttled { wait: Duration::from_secs_f64(seconds) };
        assert_eq!(classify(&Ok(answer), at()), expected, "{reset:?} {retry_after:?}");
    }
}

#[test]
fn what_the_server_says_cannot_steer_a_terminal() {
    let message = format!("\\u001b[2Jfine\\n{}", "x".repeat(1000));
    let body = format!(r#"{{"code":7,"msg":"{message}"}}"#);
    let log_id = Some("id\u{1b}[0m".to_owned());
    let answer = Answer { status: 400, body: body.into(), log_id, ..Answer::default() };
    let Outcome::Judged(Judgement::Failed, said) = classify(&Ok(answer), at()) else { panic!("an unknown code fails") };
    assert!(said.text.starts_with("code 7 (HTTP 400): \\u{1b}[2Jfine\\nxxx"), "{said}");
    assert!(said.text.len() < 300);
    assert_eq!(said.log_id.unwrap(), "id\\u{1b}[0m");
}

#[test]
fn a_redirect_is_named() {
    let location = Some("https://elsewhere.example/\u{7}".to_owned());
    let answer = Answer { status: 302, location, ..Answer::default() };
    let Outcome::Transient(said) = classify(&Ok(answer), at()) else { panic!("a redirect passes") };
    assert!(said.text.contains("redirect to `https://elsewhere.example/\\u{7}` not followed"), "{said}");
}
