//! The simulated tenant keeps to the API's documentation, and its books to the truth.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use vcq::{
    feishu::transport::{Call, Cause, Request as Sent, Step, Transport as _},
    simulator::{
        Settings, Simulator,
        faults::{Fault, FaultKind, Settling, When},
        http,
        in_process::{InProcess, wall_from},
        latency::Latency,
        quota::{QuotaSettings, WindowKind},
        reply::{Delivery, Reply, Request},
        tenant::{SimulatedStay, TenantSettings, UserIdType},
    },
};

const QUALITY: &str = "/open-apis/vc/v1/participant_quality_list";
const TOKEN: &str = "/open-apis/auth/v3/tenant_access_token/internal";
const CREDENTIALS: &str = r#"{"app_id":"cli_simulated","app_secret":"simulated"}"#;

/// A month after the tenant's meetings.
fn now() -> DateTime<Utc> {
    "2025-04-10T00:00:00Z".parse().unwrap()
}

fn settings() -> Settings {
    let quota = QuotaSettings { requests_per_minute: 1_000_000, ..QuotaSettings::default() };
    Settings { quota, latency: Latency::Constant(Duration::from_millis(400)), ..Settings::default() }
}

fn with_faults(faults: impl IntoIterator<Item = (FaultKind, When)>) -> Settings {
    let faults = faults.into_iter().map(|(kind, when)| Fault { kind, when }).collect();
    Settings { faults, ..settings() }
}

fn body(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    reply.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.as_str())
}

/// A client that knows nothing but the documentation.
struct Client {
    simulator: Simulator,
    token: String,
    now: DateTime<Utc>,
}

impl Client {
    fn new(settings: Settings) -> Self {
        Self::at(now(), settings)
    }

    fn at(now: DateTime<Utc>, settings: Settings) -> Self {
        let mut client = Self { simulator: Simulator::new(settings), token: String::new(), now };
        client.renew_token();
        client
    }

    fn renew_token(&mut self) {
        let answer = body(&self.ask_token(CREDENTIALS));
        answer["tenant_access_token"].as_str().unwrap().clone_into(&mut self.token);
    }

    fn handle(&mut self, request: &Request) -> Reply {
        self.simulator.handle(self.now, request).1
    }

    fn ask_token(&mut self, credentials: &str) -> Reply {
        self.handle(&Request {
            method: "POST".into(),
            path_and_query: TOKEN.into(),
            content_type: Some("application/json; charset=utf-8".into()),
            body: credentials.to_owned().into(),
            ..Request::default()
        })
    }

    fn ask(&mut self, parameters: &[(&str, String)]) -> Reply {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        self.handle(&Request {
            method: "GET".into(),
            path_and_query: format!("{QUALITY}?{query}"),
            authorization: Some(format!("Bearer {}", self.token)),
            ..Request::default()
        })
    }

    fn stays(&self) -> Vec<SimulatedStay> {
        self.simulator.tenant().stays().collect()
    }

    /// A stay of a user with at least so many samples.
    fn stay_of(&self, samples: u32) -> SimulatedStay {
        let is_long = |stay: &SimulatedStay| stay.sample_count >= samples && stay.room_id().is_none();
        self.simulator.tenant().stays().find(is_long).unwrap()
    }

    /// All samples of a stay, page by page.
    fn read(&mut self, stay: &SimulatedStay) -> Vec<Value> {
        let mut samples = Vec::new();
        let mut token = None;
        loop {
            let mut asked = parameters(stay);
            asked.extend(token.map(|token| ("page_token", token)));
            let answer = body(&self.ask(&asked));
            assert_eq!(answer["code"], 0);
            samples.extend(answer["data"]["participant_quality_list"].as_array().unwrap().iter().cloned());
            token = answer["data"]["page_token"].as_str().map(str::to_owned);
            assert_eq!(answer["data"]["has_more"], token.is_some());
            if token.is_none() {
                return samples;
            }
        }
    }
}

/// The parameters that ask for a stay, 100 samples a page.
fn parameters(stay: &SimulatedStay) -> Vec<(&'static str, String)> {
    let mut parameters = vec![
        ("meeting_start_time", stay.meeting_start_s.to_string()),
        ("meeting_end_time", stay.meeting_end_s.to_string()),
        ("meeting_no", stay.meeting_no.clone()),
        ("join_time", stay.join_s.to_string()),
        ("page_size", "100".to_owned()),
    ];
    parameters.extend(stay.user_id(UserIdType::OpenId).map(|id| ("user_id", id)));
    parameters.extend(stay.room_id().map(|id| ("room_id", id)));
    parameters
}

#[test]
fn every_violation_gets_the_documented_status_and_code() {
    let mut client = Client::new(settings());
    let stay = client.stay_of(10);
    let in_future = (now().timestamp() + 60).to_string();
    let late_end = (stay.meeting_start_s + 86_401).to_string();
    let early_end = (stay.meeting_start_s - 1).to_string();
    let other_start = (stay.meeting_start_s - 3600).to_string();
    let other_join = (stay.join_s + 1).to_string();
    let union_id = stay.user_id(UserIdType::UnionId).unwrap();
    for (parameter, value, status, code) in [
        ("meeting_start_time", Some("-1"), 400, 126_005),
        ("meeting_start_time", Some(in_future.as_str()), 400, 126_005),
        ("meeting_start_time", Some("soon"), 400, 121_003),
        ("meeting_start_time", None, 400, 99_992_402),
        ("meeting_start_time", Some(other_start.as_str()), 400, 126_009),
        ("meeting_end_time", Some(late_end.as_str()), 400, 126_006),
        ("meeting_end_time", Some(early_end.as_str()), 400, 126_006),
        ("meeting_end_time", None, 400, 99_992_402),
        ("meeting_end_time", Some(""), 400, 99_992_402),
        ("meeting_no", Some("-12345678"), 400, 126_003),
        ("meeting_no", Some("12345678"), 400, 126_004),
        ("meeting_no", Some("1234567890"), 400, 126_004),
        ("meeting_no", Some("12345678x"), 400, 121_003),
        ("meeting_no", Some("+12345678"), 400, 121_003),
        ("meeting_no", None, 400, 99_992_402),
        ("meeting_no", Some("999999999"), 400, 126_009),
        ("join_time", None, 400, 99_992_402),
        ("join_time", Some("1.5"), 400, 121_003),
        ("join_time", Some(other_join.as_str()), 400, 126_010),
        ("user_id", None, 400, 121_003),
        ("user_id", Some("ou_of_nobody"), 400, 126_010),
        ("user_id", Some(union_id.as_str()), 400, 99_992_351),
        ("room_id", Some("omm_1"), 400, 126_007),
        ("page_size", Some("19"), 400, 121_003),
        ("page_size", Some("101"), 400, 121_003),
        ("page_size", Some("many"), 400, 121_003),
        ("page_token", Some("20"), 400, 121_003),
        ("page_token", Some("0-0123456789abcdef"), 400, 121_003),
        ("user_id_type", Some("email"), 400, 121_003),
    ] {
        let mut asked = parameters(&stay);
        asked.retain(|(name, _)| *name != parameter);
        asked.extend(value.map(|value| (parameter, value.to_owned())));
        let reply = client.ask(&asked);
        let answer = body(&reply);
        assert_eq!((reply.status, &answer["code"]), (status, &json!(code)), "{parameter}={value:?}");
        assert_eq!(answer["error"]["log_id"].as_str(), header(&reply, "x-tt-logid"), "{parameter}={value:?}");
    }
    let mut twice = parameters(&stay);
    twice.push(("meeting_no", stay.meeting_no.clone()));
    assert_eq!(body(&client.ask(&twice))["code"], 121_003);
}

#[test]
fn a_path_or_method_that_does_not_exist_is_no_json() {
    let mut client = Client::new(settings());
    for (method, path) in [("POST", QUALITY), ("GET", TOKEN), ("GET", "/open-apis/vc/v1/elsewhere")] {
        let reply =
            client.handle(&Request { method: method.into(), path_and_query: path.into(), ..Request::default() });
        assert_eq!((reply.status, reply.body.as_ref()), (404, b"404 page not found".as_slice()), "{method} {path}");
        assert_eq!(header(&reply, "content-type"), Some("text/plain"));
    }
}

#[test]
fn tokens_are_refused_as_documented() {
    let mut client = Client::new(settings());
    let stay = client.stay_of(1);
    let good = client.token.clone();
    for (token, code) in [("t-g1nobody", 99_991_663), ("u-user", 99_991_668), ("nonsense", 99_991_671), (&good, 0)] {
        token.clone_into(&mut client.token);
        assert_eq!(body(&client.ask(&parameters(&stay)))["code"], code, "{token}");
    }
    let nameless = Request { method: "GET".into(), path_and_query: QUALITY.into(), ..Request::default() };
    let reply = client.handle(&nameless);
    assert_eq!((reply.status, &body(&reply)["code"]), (400, &json!(99_991_661)));
    client.now += TimeDelta::hours(2);
    let reply = client.ask(&parameters(&stay));
    assert_eq!((reply.status, &body(&reply)["code"]), (400, &json!(99_991_663)));
}

#[test]
fn the_token_endpoint_reports_errors_as_http_200() {
    let mut client = Client::new(settings());
    for (credentials, code) in [
        (CREDENTIALS, 0),
        (r#"{"app_id":"cli_simulated","app_secret":"wrong"}"#, 10014),
        (r#"{"app_id":"cli_other","app_secret":"simulated"}"#, 10003),
        (r#"{"app_id":"cli_simulated"}"#, 10003),
        ("app_id=cli_simulated", 10003),
    ] {
        let reply = client.ask_token(credentials);
        assert_eq!((reply.status, &body(&reply)["code"]), (200, &json!(code)), "{credentials}");
    }
}

#[test]
fn pages_hold_every_sample_once_and_what_is_expected_of_it() {
    let mut client = Client::new(settings());
    let stays = client.stays();
    for stay in stays.iter().filter(|stay| stay.sample_count > 95).take(10).chain(&stays[..20]) {
        let samples = client.read(stay);
        let expected = client.simulator.expected(stay);
        assert_eq!(expected.outcome, Settling::Done);
        assert_eq!((samples.len(), expected.samples.len()), (stay.sample_count as usize, stay.sample_count as usize));
        for (sample, expected) in samples.iter().zip(&expected.samples) {
            let delay = expected.values.iter().find(|(column, _)| *column == "network_delay_ms").unwrap();
            let written = sample["network"]["network_delay"].as_str().and_then(|text| text.strip_suffix("ms"));
            let meaning = written.map(|number| number.parse().unwrap());
            let number = match delay.1 {
                vcq::simulator::forms::Expected::Number(number) => Some(number),
                _ => None,
            };
            assert_eq!(meaning, number);
        }
        let pages = stay.sample_count.div_ceil(100).max(1);
        for page in 0..pages {
            let book = client.simulator.books().page(stay.key, page * 100);
            assert!(book.asked >= 1 && book.asked == book.answered && book.lost == 0);
        }
    }
}

#[test]
fn the_page_size_is_20_unless_told_otherwise() {
    let mut client = Client::new(settings());
    let stay = client.stay_of(101);
    for (page_size, samples) in [(None, 20), (Some("20"), 20), (Some("100"), 100)] {
        let mut asked = parameters(&stay);
        asked.retain(|(name, _)| *name != "page_size");
        asked.extend(page_size.map(|size| ("page_size", size.to_owned())));
        let answer = body(&client.ask(&asked));
        assert_eq!(answer["data"]["participant_quality_list"].as_array().unwrap().len(), samples);
        assert_eq!(answer["data"]["has_more"], true);
    }
}

#[test]
fn users_are_found_by_each_id_type() {
    let mut client = Client::new(settings());
    let stay = client.stay_of(1);
    for (name, id_type) in
        [("open_id", UserIdType::OpenId), ("union_id", UserIdType::UnionId), ("user_id", UserIdType::UserId)]
    {
        let mut asked = parameters(&stay);
        asked.retain(|(name, _)| *name != "user_id");
        asked.extend([("user_id_type", name.to_owned()), ("user_id", stay.user_id(id_type).unwrap())]);
        assert_eq!(body(&client.ask(&asked))["code"], 0, "{name}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let session = |seed| {
        let tenant = TenantSettings { seed, other_forms: 0.3, ..TenantSettings::default() };
        let faults = [FaultKind::InternalError, FaultKind::OddCode, FaultKind::CutBody];
        let faults = with_faults(faults.map(|kind| (kind, When::Rate(0.2)))).faults;
        let mut client = Client::new(Settings { tenant, faults, ..settings() });
        let stays = client.stays();
        let bytes: Vec<_> = stays.iter().take(50).map(|stay| client.ask(&parameters(stay)).body).collect();
        (bytes, client.token)
    };
    assert_eq!(session(1), session(1));
    assert_ne!(session(1), session(2));
}

#[test]
fn data_of_a_young_meeting_are_not_there_yet() {
    let tenant = TenantSettings { data_delay_s: 7200, ..TenantSettings::default() };
    let settings = Settings { tenant, ..settings() };
    let stay = Client::new(settings.clone()).stay_of(1);
    for (seconds_after_end, code) in [(-1, 126_009), (7199, 126_009), (7200, 0)] {
        let now = DateTime::from_timestamp(stay.meeting_end_s + seconds_after_end, 0).unwrap();
        let mut client = Client::at(now, settings.clone());
        assert_eq!(body(&client.ask(&parameters(&stay)))["code"], code, "{seconds_after_end}");
    }
}

#[test]
fn a_burst_is_refused_with_status_and_headers_and_entered_in_the_books() {
    for (window, refusal_status) in
        [(WindowKind::Sliding, 429), (WindowKind::Fixed, 400), (WindowKind::Weighted, 429), (WindowKind::Bucket, 400)]
    {
        let quota = QuotaSettings { window, refusal_status, ..QuotaSettings::default() };
        let mut client = Client::new(Settings { quota, ..settings() });
        let stay = client.stay_of(1);
        for _ in 0..100 {
            assert_eq!(client.ask(&parameters(&stay)).status, 200);
        }
        let refused = client.ask(&parameters(&stay));
        assert_eq!((refused.status, &body(&refused)["code"]), (refusal_status, &json!(99_991_400)), "{window:?}");
        assert_eq!(header(&refused, "x-ogw-ratelimit-limit"), Some("100"));
        let reset_s: i64 = header(&refused, "x-ogw-ratelimit-reset").unwrap().parse().unwrap();
        assert!((1..=60).contains(&reset_s));
        let books = client.simulator.books();
        assert_eq!((books.arrivals, books.accepted, books.refused, books.most_in_60_s), (101, 100, 1, 101));
        assert_eq!(books.page(stay.key, 0).asked, 100);
    }
}

#[test]
fn the_months_quota_counts_successes_and_ends_with_the_month() {
    let quota = QuotaSettings { requests_per_month: 2, ..settings().quota };
    let mut client = Client::new(Settings { quota, ..settings() });
    let stay = client.stay_of(1);
    let code = |client: &mut Client, asked: &[(&str, String)]| body(&client.ask(asked))["code"].as_i64().unwrap();
    assert_eq!(code(&mut client, &parameters(&stay)[1..]), 99_992_402);
    assert_eq!(code(&mut client, &parameters(&stay)), 0);
    assert_eq!(code(&mut client, &parameters(&stay)), 0);
    let refused = client.ask(&parameters(&stay));
    assert_eq!((refused.status, &body(&refused)["code"]), (429, &json!(99_991_403)));
    client.now = "2025-04-30T16:00:00Z".parse().unwrap();
    client.renew_token();
    assert_eq!(code(&mut client, &parameters(&stay)), 0);
}

#[test]
fn lasting_faults_decide_what_becomes_of_a_stay() {
    for (kind, status, code, outcome) in [
        (FaultKind::AbsentMeeting, 400, 126_009, Settling::Absent),
        (FaultKind::AbsentDevice, 400, 126_010, Settling::Absent),
        (FaultKind::AbsentData, 404, 121_004, Settling::Absent),
        (FaultKind::RejectedRow, 400, 121_003, Settling::Rejected),
        (FaultKind::NoPermission, 403, 121_005, Settling::Failed),
        (FaultKind::UnknownCode, 400, 777_777, Settling::Failed),
    ] {
        let mut client = Client::new(with_faults([(kind, When::Rate(0.3))]));
        let mut struck = 0;
        for stay in client.stays().iter().take(100) {
            let expected = client.simulator.expected(stay);
            let reply = client.ask(&parameters(stay));
            if expected.outcome == Settling::Done {
                assert_eq!(reply.status, 200);
            } else {
                assert_eq!(expected.outcome, outcome);
                assert_eq!((reply.status, &body(&reply)["code"]), (status, &json!(code)), "{kind:?}");
                assert_eq!(client.ask(&parameters(stay)).status, status, "{kind:?} does not last");
                struck += 1;
            }
        }
        assert!((10..60).contains(&struck), "{kind:?}: {struck}");
        assert_eq!(client.simulator.books().faults[kind.name()], 2 * struck);
    }
}

#[test]
fn faults_of_paging_lead_nowhere() {
    let ask = |kind| {
        let mut client = Client::new(with_faults([(kind, When::Rate(1.0))]));
        let stay = client.stay_of(150);
        let mut pages = Vec::new();
        let mut token = None;
        for _ in 0..6 {
            let mut asked = parameters(&stay);
            asked.extend(token.clone().map(|token| ("page_token", token)));
            let answer = body(&client.ask(&asked))["data"].clone();
            token = answer["page_token"].as_str().map(str::to_owned);
            let samples = answer["participant_quality_list"].as_array().map_or(0, Vec::len);
            pages.push((answer["has_more"] == true, samples, token.clone()));
        }
        pages
    };
    let repeated = ask(FaultKind::PageTokenRepeated);
    assert!(repeated.iter().all(|page| page.0 && page.2 == repeated[0].2 && page.2.is_some()));
    assert!(ask(FaultKind::PageTokenMissing).iter().all(|page| page.0 && page.2.is_none()));
    assert!(ask(FaultKind::EndlessEmptyPages).iter().all(|page| page.0 && page.1 == 0 && page.2.is_some()));
    // One that leads somewhere: an empty page before each page. After the last one it begins again.
    let before_each: Vec<_> = ask(FaultKind::EmptyPage).iter().map(|page| (page.0, page.1)).collect();
    assert_eq!(before_each, [(true, 0), (true, 100), (true, 0), (false, 51), (true, 0), (true, 100)]);
    let endless = ask(FaultKind::EndlessPages);
    let tokens: std::collections::HashSet<_> = endless.iter().map(|page| &page.2).collect();
    assert!(endless.iter().all(|page| page.0 && page.1 > 0));
    assert_eq!(tokens.len(), 6);
}

#[test]
fn a_scripted_fault_strikes_once_and_the_books_say_so() {
    for (kind, is_seen) in [
        (FaultKind::GatewayHtml, (|reply| reply.status >= 500) as fn(&Reply) -> bool),
        (FaultKind::GatewayJson, |reply| reply.status >= 500 && body(reply).get("code").is_none()),
        (FaultKind::InternalError, |reply| body(reply)["code"].as_u64().is_some_and(|code| code >= 1500)),
        (FaultKind::ThrottledEmpty, |reply| reply.status == 429 && reply.body.is_empty()),
        (FaultKind::ThrottledNoReset, |reply| {
            body(reply)["code"] == 99_991_400 && header(reply, "x-ogw-ratelimit-reset").is_none()
        }),
        (FaultKind::ThrottledBriefly, |reply| header(reply, "x-ogw-ratelimit-reset") == Some("1")),
        (FaultKind::ThrottledOddReset, |reply| header(reply, "x-ogw-ratelimit-reset").is_some()),
        (FaultKind::ThrottledOtherCode, |reply| body(reply)["code"].as_u64() >= Some(1_000_004)),
        (FaultKind::MonthUsedUp, |reply| body(reply)["code"] == 99_991_403),
        (FaultKind::NoConnection, |reply| reply.delivery == Delivery::NoConnection),
        (FaultKind::Reset, |reply| reply.delivery == Delivery::Reset && reply.code.is_none()),
        (FaultKind::LostAnswer, |reply| reply.delivery == Delivery::Reset && reply.code == Some(0)),
        (FaultKind::CutBody, |reply| reply.delivery == Delivery::CutBody),
        (FaultKind::Hang, |reply| reply.delivery == Delivery::Hang),
        (FaultKind::StalledBody, |reply| reply.delivery == Delivery::StalledBody),
        (FaultKind::InvalidJson, |reply| serde_json::from_slice::<Value>(&reply.body).is_err()),
        (FaultKind::EmptyBody, |reply| reply.status == 200 && reply.body.is_empty()),
        (FaultKind::OtherForm, |reply| body(reply).get("code").and_then(Value::as_u64) == Some(0)),
        (FaultKind::OddCode, |reply| body(reply).get("code").and_then(Value::as_u64).is_none()),
        (FaultKind::OversizedBody, |reply| reply.body.len() > 32 << 20),
        (FaultKind::GzipBomb, |reply| reply.body.len() > 32 << 20 && reply.delivery == Delivery::Gzipped),
        (FaultKind::Redirect, |reply| reply.status == 302 && header(reply, "location").is_some()),
        (FaultKind::TokenRejected, |reply| body(reply)["code"] == 99_991_663),
        (FaultKind::NoScope, |reply| body(reply)["code"] == 99_991_672),
        (FaultKind::PortalHtml, |reply| reply.status == 200 && reply.body.starts_with(b"<html>")),
        (FaultKind::OddStatus, |reply| reply.status != 200 && reply.body.is_empty()),
        (FaultKind::TrailingBytes, |reply| {
            reply.body.starts_with(b"{\"code\":0") && serde_json::from_slice::<Value>(&reply.body).is_err()
        }),
        (FaultKind::OddJson, |reply| reply.body.starts_with(b"{\"code\":0") && reply.code.is_none()),
    ] {
        let mut client = Client::new(with_faults([(kind, When::Request(2))]));
        let stay = client.stay_of(1);
        let calm: Vec<_> = [1, 2, 3].map(|_| client.ask(&parameters(&stay))).into();
        assert!(is_seen(&calm[1]), "{kind:?}: {:?}", calm[1]);
        for reply in [&calm[0], &calm[2]] {
            assert_eq!((reply.status, reply.code, reply.delivery), (200, Some(0), Delivery::Whole), "{kind:?}");
        }
        let books = client.simulator.books();
        assert_eq!(books.faults, [(kind.name(), 1)].into());
        let lost = u32::from(matches!(kind, FaultKind::LostAnswer | FaultKind::CutBody | FaultKind::StalledBody));
        let page = books.page(stay.key, 0);
        assert_eq!((page.asked, page.answered, page.lost), (3, 2, lost), "{kind:?}");
    }
}

#[test]
fn tokens_can_go_bad_with_and_without_a_remedy() {
    for (kind, code_after) in [(FaultKind::TokenRevoked, 0), (FaultKind::TokenDead, 99_991_663)] {
        let mut client = Client::new(with_faults([(kind, When::Request(1))]));
        let stay = client.stay_of(1);
        assert_eq!(body(&client.ask(&parameters(&stay)))["code"], 99_991_663);
        assert_eq!(body(&client.ask(&parameters(&stay)))["code"], 99_991_663);
        client.renew_token();
        assert_eq!(body(&client.ask(&parameters(&stay)))["code"], code_after, "{kind:?}");
    }
}

#[test]
fn an_outage_strikes_both_endpoints_and_ends() {
    let (from_s, until_s) = (now().timestamp() + 10, now().timestamp() + 20);
    let mut client = Client::new(with_faults([(FaultKind::Reset, When::Between { from_s, until_s })]));
    let stay = client.stay_of(1);
    for (second, delivery) in
        [(9, Delivery::Whole), (10, Delivery::Reset), (19, Delivery::Reset), (20, Delivery::Whole)]
    {
        client.now = now() + TimeDelta::seconds(second);
        assert_eq!(client.ask_token(CREDENTIALS).delivery, delivery, "{second}");
        assert_eq!(client.ask(&parameters(&stay)).delivery, delivery, "{second}");
    }
}

fn sent(client: &Client, stay: &SimulatedStay) -> Sent {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters(stay)).finish();
    let bearer = SecretString::from(client.token.clone());
    Sent { path_and_query: format!("{QUALITY}?{query}"), call: Call::Get { bearer } }
}

#[tokio::test(start_paused = true)]
async fn in_process_the_client_sees_what_a_socket_would_show() {
    let kinds = [
        (FaultKind::CutBody, Some(Cause::Cut), 400),
        (FaultKind::Reset, Some(Cause::Cut), 400),
        (FaultKind::NoConnection, Some(Cause::Refused), 400),
        (FaultKind::Hang, Some(Cause::Timeout(Step::Answer)), 30_000),
        (FaultKind::StalledBody, Some(Cause::Timeout(Step::Answer)), 30_000),
        (FaultKind::GzipBomb, Some(Cause::TooLarge), 400),
        (FaultKind::Redirect, None, 400),
    ];
    let client = Client::new(with_faults((1..).zip(kinds).map(|(k, (kind, ..))| (kind, When::Request(k)))));
    let stay = client.stay_of(1);
    let request = || sent(&client, &stay);
    let requests: Vec<_> = std::iter::repeat_with(request).take(kinds.len() + 1).collect();
    let simulator = std::sync::Arc::new(std::sync::Mutex::new(client.simulator));
    let transport = InProcess::new(simulator.clone(), wall_from(now()), Duration::from_secs(30));
    for (request, (kind, error, milliseconds)) in
        requests.into_iter().zip(kinds.into_iter().chain([(FaultKind::Hang, None, 400)]))
    {
        let start = tokio::time::Instant::now();
        let answer = transport.send(request).await;
        assert_eq!(answer.as_ref().err().map(|error| error.cause), error, "{kind:?}");
        assert_eq!(start.elapsed().as_millis(), milliseconds, "{kind:?}");
        if let Ok(answer) = answer {
            assert!(answer.log_id.is_some());
            assert_eq!(answer.location.is_some(), kind == FaultKind::Redirect);
        }
    }
    assert_eq!(simulator.lock().unwrap().books().arrivals, 8);
}

/// Serves a simulator on a socket of its own while `talk` speaks to it, and gives back the simulator.
fn over_a_socket(simulator: Simulator, talk: impl FnOnce(SocketAddr)) -> Simulator {
    let simulator = std::sync::Arc::new(std::sync::Mutex::new(simulator));
    let shared = simulator.clone();
    let (address_sender, address) = std::sync::mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                address_sender.send(listener.local_addr().unwrap()).unwrap();
                http::serve(listener, shared, now, async {
                    let _ = stopped.await;
                })
                .await
                .unwrap();
            });
        });
        let stop = stop;
        talk(address.recv().unwrap());
        drop(stop);
    });
    std::sync::Arc::into_inner(simulator).unwrap().into_inner().unwrap()
}

/// What comes over the wire until the connection ends or falls silent.
fn raw_answer(address: SocketAddr, request: &str) -> (Vec<u8>, std::io::Result<usize>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes);
    (bytes, end)
}

#[test]
fn over_a_socket_connections_are_really_cut() {
    let kinds = [FaultKind::CutBody, FaultKind::Reset, FaultKind::LostAnswer, FaultKind::Hang, FaultKind::StalledBody];
    let faults = (1..).zip(kinds).map(|(k, kind)| (kind, When::Request(k)));
    let client = Client::new(Settings { latency: Latency::Constant(Duration::ZERO), ..with_faults(faults) });
    let stay = client.stay_of(100);
    let request = sent(&client, &stay);
    let head = format!(
        "GET {} HTTP/1.1\r\nhost: simulator\r\nconnection: close\r\nauthorization: Bearer {}\r\n\r\n",
        request.path_and_query, client.token
    );
    over_a_socket(client.simulator, |address| {
        for kind in kinds {
            let (bytes, end) = raw_answer(address, &head);
            let text = String::from_utf8_lossy(&bytes);
            let ended = end.is_ok();
            match kind {
                FaultKind::Reset | FaultKind::LostAnswer => assert!(ended && bytes.is_empty(), "{kind:?}: {text}"),
                FaultKind::Hang => assert!(!ended && bytes.is_empty(), "{kind:?}: {text}"),
                _ => {
                    assert_eq!(ended, kind == FaultKind::CutBody, "{kind:?}");
                    assert_half(&text);
                }
            }
        }
        let (bytes, end) = raw_answer(address, &head);
        assert!(end.is_ok() && String::from_utf8_lossy(&bytes).ends_with('}'));
        let (books, _) =
            raw_answer(address, "GET /_sim/books HTTP/1.1\r\nhost: simulator\r\nconnection: close\r\n\r\n");
        let books = String::from_utf8(books).unwrap();
        let books: Value = serde_json::from_str(books.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!((&books["arrivals"], &books["faults"]["cut-body"]), (&json!(6), &json!(1)));
        let page = &books["requests_by_stay"][0]["pages_by_first_sample"]["0"];
        assert_eq!(*page, json!({"asked": 6, "answered": 1, "lost": 3}));
    });
}

/// The body is half as long as the header promises.
fn assert_half(text: &str) {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let headers: HashMap<_, _> = head.lines().filter_map(|line| line.split_once(": ")).collect();
    let length: usize = headers["content-length"].parse().unwrap();
    assert_eq!(body.len(), length / 2);
}
