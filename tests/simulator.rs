//! The simulated tenant keeps to the API's documentation, and its books to the truth.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use vcq::{
    feishu::transport::{Call, Cause, Request as Sent, Step, Transport as _},
    simulator::{
        Settings, Simulator,
        attendances::{AttendanceKind, SimulatedAttendance},
        endpoint::Endpoint,
        faults::{Fault, FaultKind, Settling, Strike, When, parse},
        http,
        in_process::{InProcess, wall_from},
        latency::Latency,
        lists::Lists,
        manifest::{self, ManifestFormat},
        meetings::SimulatedMeeting,
        quota::{QuotaSettings, WindowKind},
        reply::{Delivery, Reply, Request},
        rows::{Cell, Cells},
        tenant::{SimulatedStay, Tenant, TenantSettings, UserIdType},
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
        self.ask_at(Endpoint::Quality, parameters)
    }

    fn ask_at(&mut self, endpoint: Endpoint, parameters: &[(&str, String)]) -> Reply {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        self.handle(&Request {
            method: "GET".into(),
            path_and_query: format!("{}?{query}", endpoint.path()),
            authorization: Some(format!("Bearer {}", self.token)),
            ..Request::default()
        })
    }

    fn code_at(&mut self, endpoint: Endpoint, parameters: &[(&str, String)]) -> i64 {
        body(&self.ask_at(endpoint, parameters))["code"].as_i64().unwrap()
    }

    /// All items of a list page by page, an item that comes again left out, and how many pages that took.
    fn list(&mut self, endpoint: Endpoint, parameters: &[(&str, String)]) -> (Vec<Value>, usize) {
        let key = if endpoint == Endpoint::Meetings { "meeting_list" } else { "participants" };
        let (mut items, mut pages, mut token) = (Vec::<Value>::new(), 0, None::<String>);
        loop {
            let mut asked = parameters.to_vec();
            asked.extend(token.map(|token| ("page_token", token)));
            let answer = body(&self.ask_at(endpoint, &asked));
            assert_eq!(answer["code"], 0, "{parameters:?}");
            for item in answer["data"][key].as_array().into_iter().flatten() {
                if items.last() != Some(item) {
                    items.push(item.clone());
                }
            }
            pages += 1;
            token = answer["data"]["page_token"].as_str().map(str::to_owned);
            assert_eq!(answer["data"]["has_more"], token.is_some());
            if token.is_none() {
                return (items, pages);
            }
        }
    }

    /// The meetings that are listed now for a window, by number and start text, 100 a page.
    fn listed(&mut self, (start_s, end_s): (i64, i64), more: &[(&'static str, &str)]) -> Vec<Value> {
        let mut asked = window(start_s, end_s);
        asked.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        self.list(Endpoint::Meetings, &asked).0
    }

    fn meetings(&self) -> Vec<SimulatedMeeting> {
        self.simulator.tenant().meetings().collect()
    }

    fn attendances(&self, meeting: &SimulatedMeeting) -> Vec<SimulatedAttendance> {
        self.simulator.tenant().attendances(meeting)
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

/// The parameters that ask for the meetings of a window, 100 a page.
fn window(start_s: i64, end_s: i64) -> Vec<(&'static str, String)> {
    vec![("start_time", start_s.to_string()), ("end_time", end_s.to_string()), ("page_size", "100".to_owned())]
}

/// The parameters that ask for a meeting's participants, 100 a page.
fn meeting(meeting: &SimulatedMeeting) -> Vec<(&'static str, String)> {
    vec![
        ("meeting_start_time", meeting.start_s.to_string()),
        ("meeting_end_time", meeting.end_s.to_string()),
        ("meeting_no", meeting.meeting_no.clone()),
        ("page_size", "100".to_owned()),
    ]
}

/// A day of the default tenant, in unix seconds.
fn day(number: i64) -> (i64, i64) {
    let start_s = DateTime::parse_from_rfc3339("2025-03-03T00:00:00+08:00").unwrap().timestamp() + number * 86_400;
    (start_s, start_s + 86_400)
}

/// All days of the default tenant and those around them.
const ALL_DAYS: std::ops::Range<i64> = -1..12;

fn all_days() -> (i64, i64) {
    (day(ALL_DAYS.start).0, day(ALL_DAYS.end).0)
}

fn with_lists(lists: Lists) -> Settings {
    Settings { tenant: TenantSettings { lists, ..TenantSettings::default() }, ..settings() }
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
    let tokens: HashSet<_> = endless.iter().map(|page| &page.2).collect();
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

#[test]
fn the_default_tenant_is_what_it_has_always_been() {
    let mut csv = Vec::new();
    manifest::write(&Tenant::new(TenantSettings::default()), ManifestFormat::Csv, &mut csv).unwrap();
    let digest = Sha256::digest(&csv).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    assert_eq!(digest, "e5ff7068201c17db628177f466d484147f3af65ec9c160a4c2a032a6862050ed");
}

#[test]
fn by_default_the_lists_have_every_stay_once_and_nothing_else() {
    let mut client = Client::new(settings());
    let mut keys = Vec::new();
    let meetings = client.meetings();
    let listed = client.listed(all_days(), &[]);
    let numbers =
        |meetings: &[Value]| -> Vec<_> { meetings.iter().map(|item| item["meeting_id"].to_string()).collect() };
    let mut expected: Vec<_> = meetings.iter().map(|meeting| (meeting.start_s, json!(meeting.meeting_no))).collect();
    expected.sort_by_key(|(start_s, number)| (*start_s, number.to_string()));
    let expected: Vec<_> = expected.into_iter().map(|(_, number)| number.to_string()).collect();
    assert_eq!(numbers(&listed), expected);
    for simulated in &meetings {
        let attendances = client.attendances(simulated);
        let (participants, pages) = client.list(Endpoint::Participants, &meeting(simulated));
        assert_eq!((participants.len(), pages), (simulated.attendances, 1));
        for (item, attendance) in participants.iter().zip(&attendances) {
            check(item, attendance.cells(), &["meeting_no", "meeting_start_time", "meeting_end_time"]);
            keys.push(attendance.stay.unwrap());
        }
    }
    keys.sort();
    let mut stays: Vec<_> = client.stays().iter().map(|stay| stay.key).collect();
    stays.sort();
    assert_eq!(keys, stays);
}

/// Every cell is what its text says; of the columns that the item does not name itself, `known`, nothing is said.
fn check(item: &Value, cells: &Cells, known: &[&str]) {
    for (column, cell) in cells.all().iter().filter(|(column, _)| !known.contains(column)) {
        let key = match *column {
            "meeting_no" => "meeting_id",
            "organizer_user_id" => "user_id",
            "meeting_duration_s" => "meeting_duration",
            "time_in_meeting_s" => "time_in_meeting",
            "room_id" => "meeting_room_id",
            column => column,
        };
        let value = item.get(key).unwrap_or(&Value::Null);
        let unparsed = cells.unparsed().iter().find(|(name, _)| name == column).map(|(_, text)| text.as_str());
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match cell {
            None if unparsed.is_some() => assert_eq!(value.as_str(), unparsed, "{column}"),
            None => assert!(matches!(text.as_str(), "null" | "" | "-"), "{column}: {value}"),
            Some(Cell::Text(expected)) => assert_eq!(text, *expected, "{column}"),
            Some(Cell::Boolean(expected)) => assert_eq!(*value, json!(expected), "{column}"),
            Some(Cell::Integer(expected)) if text.contains(':') => {
                let seconds = text.split(':').fold(0, |sum, part| sum * 60 + part.parse::<i64>().unwrap());
                assert_eq!(seconds, *expected, "{column}");
            }
            Some(Cell::Integer(expected)) => assert_eq!(text, expected.to_string(), "{column}"),
            Some(Cell::Time(expected)) => {
                let local = chrono::NaiveDateTime::parse_from_str(&text[..19], "%Y.%m.%d %H:%M:%S").unwrap();
                let ahead_s = local.and_utc().timestamp() - expected;
                let is_plain = text.ends_with(" (GMT+08:00)");
                assert!(ahead_s == 8 * 3600 || !is_plain && ahead_s.abs() < 86_400, "{column}: {text}");
            }
        }
    }
}

#[test]
fn a_list_refuses_what_its_page_forbids() {
    let mut client = Client::new(settings());
    let simulated = client.meetings().remove(0);
    let (start_s, _) = day(0);
    let at = |seconds: i64| (now().timestamp() + seconds).to_string();
    let (in_future, in_a_month, in_two_months) = (at(60), at(29 * 86_400), at(31 * 86_400));
    let (over_a_year, before_start) = ((start_s + 365 * 86_400 + 1).to_string(), (start_s - 1).to_string());
    let (over_a_day, an_hour_early) =
        ((simulated.start_s + 86_401).to_string(), (simulated.start_s - 3600).to_string());
    let other_end = (simulated.end_s + 60).to_string();
    let of_window = [
        ("start_time", Some("-1"), 126_005),
        ("start_time", Some(in_future.as_str()), 126_005),
        ("start_time", Some("soon"), 121_003),
        ("start_time", None, 99_992_402),
        ("end_time", Some(before_start.as_str()), 126_006),
        ("end_time", Some(over_a_year.as_str()), 126_006),
        ("end_time", Some(in_two_months.as_str()), 126_016),
        ("end_time", Some(in_a_month.as_str()), 0),
        ("end_time", None, 99_992_402),
        ("meeting_no", Some("12345678"), 126_004),
        ("meeting_no", Some("-12345678"), 126_003),
        ("meeting_no", Some(simulated.meeting_no.as_str()), 0),
        ("user_id", Some("on_union"), 99_992_351),
        ("user_id", Some("ou_nobody"), 0),
        ("room_id", Some("omm_1"), 0),
        ("meeting_type", Some("3"), 0),
        ("meeting_type", Some("4"), 121_003),
        ("meeting_status", Some("1"), 0),
        ("meeting_status", Some("3"), 121_003),
        ("include_webinar", Some("yes"), 121_003),
        ("include_external_meetings", Some("true"), 0),
        ("page_size", Some("19"), 121_003),
        ("page_size", Some("101"), 121_003),
        ("page_token", Some("20"), 121_003),
        ("page_token", Some("20.0.1744243200-0123456789abcdef"), 121_003),
        ("user_id_type", Some("email"), 121_003),
    ];
    let of_meeting = [
        ("meeting_start_time", Some(in_future.as_str()), 126_005),
        ("meeting_start_time", Some(an_hour_early.as_str()), 126_009),
        ("meeting_start_time", None, 99_992_402),
        ("meeting_end_time", Some(over_a_day.as_str()), 126_006),
        ("meeting_end_time", Some(other_end.as_str()), 126_009),
        ("meeting_no", Some("999999999"), 126_009),
        ("meeting_no", Some("12345678"), 126_004),
        ("meeting_no", None, 99_992_402),
        ("room_id", Some("omm_1"), 0),
        ("user_id", Some("ou_nobody"), 0),
        ("webinar_user_role", Some("1"), 121_003),
        ("webinar_user_role", Some("0"), 0),
        ("page_size", Some("1000"), 121_003),
        ("page_token", Some("0-0123456789abcdef"), 121_003),
    ];
    let asked = window(start_s, start_s + 86_400);
    for (endpoint, usual, rules) in [
        (Endpoint::Meetings, asked, of_window.as_slice()),
        (Endpoint::Participants, meeting(&simulated), of_meeting.as_slice()),
    ] {
        for (parameter, value, code) in rules {
            let mut asked = usual.clone();
            asked.retain(|(name, _)| name != parameter);
            asked.extend(value.map(|value| (*parameter, value.to_owned())));
            // A window into the future begins not long ago.
            if *value == Some(in_a_month.as_str()) || *value == Some(in_two_months.as_str()) {
                asked[0].1 = at(-60);
            }
            let reply = client.ask_at(endpoint, &asked);
            assert_eq!(body(&reply)["code"], *code, "{endpoint:?} {parameter}={value:?}");
            assert_eq!(reply.status, if *code == 0 { 200 } else { 400 });
        }
    }
}

#[test]
fn filters_of_a_list_exclude_one_another() {
    let mut client = Client::new(settings());
    let simulated = client.meetings().remove(0);
    let attendances = client.attendances(&simulated);
    let is_user = |attendance: &&SimulatedAttendance| attendance.room_id().is_none();
    let user_id = attendances.iter().find(is_user).unwrap().user_id(UserIdType::OpenId).unwrap();
    let names: [(&'static str, &str); 4] =
        [("meeting_no", &simulated.meeting_no), ("user_id", &user_id), ("room_id", "omm_1"), ("meeting_type", "2")];
    for (first, second) in [(0, 1), (0, 3), (1, 2), (2, 3)] {
        let mut asked = window(day(0).0, day(0).1);
        asked.extend([first, second].map(|index| (names[index].0, names[index].1.to_owned())));
        assert_eq!(client.code_at(Endpoint::Meetings, &asked), 126_008, "{asked:?}");
    }
    let by_number = client.listed((simulated.start_s, simulated.end_s), &names[..1]);
    assert_eq!(by_number.len(), 1);
    let of_user = client.listed(all_days(), &names[1..2]);
    assert!(of_user.iter().any(|item| item["meeting_id"] == *simulated.meeting_no));
    let all = client.listed(all_days(), &[]);
    assert!(of_user.len() < all.len() && client.listed(all_days(), &[("meeting_type", "3")]).is_empty());

    let mut asked = meeting(&simulated);
    asked.push(("user_id", user_id.clone()));
    let (participants, _) = client.list(Endpoint::Participants, &asked);
    assert!(!participants.is_empty() && participants.iter().all(|item| item["user_id"] == *user_id));
    asked.push(("room_id", "omm_1".to_owned()));
    assert_eq!(client.code_at(Endpoint::Participants, &asked), 126_007);

    let mut strict = Client::new(with_lists(Lists { refuses_room_filter: true, ..Lists::default() }));
    for (endpoint, mut asked) in
        [(Endpoint::Meetings, window(day(0).0, day(0).1)), (Endpoint::Participants, meeting(&simulated))]
    {
        asked.push(("room_id", "omm_1".to_owned()));
        assert_eq!(strict.code_at(endpoint, &asked), 126_015);
    }
}

#[test]
fn a_list_is_read_page_by_page_with_tokens_of_its_own() {
    let mut client = Client::new(settings());
    let (start_s, end_s) = all_days();
    let count = client.meetings().len();
    for (page_size, per_page) in [(None, 20), (Some("20"), 20), (Some("100"), 100)] {
        let mut asked = window(start_s, end_s);
        asked.retain(|(name, _)| *name != "page_size");
        asked.extend(page_size.map(|size| ("page_size", size.to_owned())));
        let (meetings, pages) = client.list(Endpoint::Meetings, &asked);
        assert_eq!((meetings.len(), pages), (count, count.div_ceil(per_page)));
    }
    let first = body(&client.ask_at(Endpoint::Meetings, &window(start_s, end_s)))["data"].clone();
    let mut elsewhere = window(start_s + 1, end_s);
    elsewhere.push(("page_token", first["page_token"].as_str().unwrap().to_owned()));
    assert_eq!(client.code_at(Endpoint::Meetings, &elsewhere), 121_003);
    let books = client.simulator.books_of(Endpoint::Meetings);
    let pages: BTreeMap<_, _> =
        books.pages_of_windows().map(|(start_s, first, page)| ((start_s, first), page)).collect();
    assert_eq!(pages[&(start_s, 100)].answered, 3, "{pages:?}");
    assert!(pages.keys().all(|(window, first)| *window == start_s && first % 20 == 0));
}

#[test]
fn a_list_that_changes_between_two_pages_is_read_on_as_it_was() {
    let lists = Lists { late_listings: 0.2, late_by_s: 30 * 86_400, ..Lists::default() };
    let start = DateTime::from_timestamp(day(9).0, 0).unwrap();
    let mut client = Client::at(start, with_lists(lists));
    let mut asked = window(all_days().0, day(9).0);
    let first = body(&client.ask_at(Endpoint::Meetings, &asked))["data"].clone();
    asked.push(("page_token", first["page_token"].as_str().unwrap().to_owned()));
    let second = body(&client.ask_at(Endpoint::Meetings, &asked));
    client.now += TimeDelta::days(31);
    client.renew_token();
    assert_eq!(body(&client.ask_at(Endpoint::Meetings, &asked)), second);
    let then = client.listed((all_days().0, day(9).0), &[]).len();
    assert_eq!(then, client.meetings().len());
    assert!(second["data"]["meeting_list"].as_array().unwrap().len() + 100 < then);
}

#[test]
fn each_endpoint_has_a_quota_and_books_of_its_own() {
    let quota = QuotaSettings { requests_per_month: 304, ..QuotaSettings::default() };
    let mut client = Client::new(Settings { quota, ..settings() });
    let (stay, simulated) = (client.stay_of(1), client.meetings().remove(0));
    let asked = [parameters(&stay), window(day(0).0, day(0).1), meeting(&simulated)];
    for (endpoint, asked) in Endpoint::ALL.into_iter().zip(&asked) {
        for _ in 0..100 {
            assert_eq!(client.code_at(endpoint, asked), 0);
        }
        assert_eq!(client.code_at(endpoint, asked), 99_991_400);
        let books = client.simulator.books_of(endpoint);
        assert_eq!((books.arrivals, books.accepted, books.refused, books.most_in_60_s), (101, 100, 1, 101));
        assert_eq!((books.answers_by_code[&0], books.token_requests), (100, u64::from(endpoint == Endpoint::Quality)));
    }
    let of_meeting: Vec<_> = client.simulator.books_of(Endpoint::Participants).pages_of_meetings().collect();
    assert_eq!(of_meeting.len(), 1);
    assert_eq!((of_meeting[0].0, of_meeting[0].1, of_meeting[0].2.answered), (simulated.key, 0, 100));
    // The month is one for all of them.
    client.now += TimeDelta::minutes(2);
    for (endpoint, code) in Endpoint::ALL.into_iter().cycle().zip([0, 0, 0, 0, 99_991_403, 99_991_403]) {
        assert_eq!(client.code_at(endpoint, &asked[endpoint as usize]), code, "{endpoint:?}");
    }
    let asked = Request { method: "GET".into(), path_and_query: "/_sim/books".into(), ..Request::default() };
    let books = body(&client.handle(&asked));
    assert_eq!(books["meeting_list"]["requests_by_window"][0]["start_time"], day(0).0);
    let by_meeting = &books["participant_list"]["requests_by_meeting"][0];
    assert_eq!(by_meeting["meeting_no"], *simulated.meeting_no);
    assert_eq!(by_meeting["pages_by_first_item"]["0"]["answered"], 101);
    assert_eq!(books["participant_list"]["refused_for_month"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_witness_counts_each_endpoint_by_itself() {
    let client = Client::new(settings());
    let witness = Simulator::shared(Settings::default());
    let token = client.token.clone();
    let simulator = std::sync::Arc::new(std::sync::Mutex::new(client.simulator));
    let transport = InProcess::new(simulator, wall_from(now()), Duration::from_secs(30)).seen_by(vec![witness.clone()]);
    for (endpoint, requests) in Endpoint::ALL.into_iter().zip([1, 2, 3]) {
        for _ in 0..requests {
            let bearer = SecretString::from(token.clone());
            transport.send(Sent { path_and_query: endpoint.path().into(), call: Call::Get { bearer } }).await.unwrap();
        }
    }
    let witness = witness.lock().unwrap();
    let seen = Endpoint::ALL.map(|endpoint| witness.books_of(endpoint).arrivals);
    assert_eq!(seen, [1, 2, 3]);
}

#[test]
fn faults_strike_lists_as_they_strike_stays() {
    for (kind, code, outcome) in [
        (FaultKind::AbsentMeeting, 126_009, Settling::Absent),
        (FaultKind::NoPermission, 121_005, Settling::Failed),
        (FaultKind::RejectedRow, 121_003, Settling::Rejected),
    ] {
        let mut client = Client::new(with_faults([(kind, When::Rate(0.3))]));
        let mut struck = [0, 0];
        for number in ALL_DAYS.start..ALL_DAYS.end + 20 {
            let (start_s, end_s) = day(number);
            let is_struck = client.simulator.outcome_of_window(start_s) == outcome;
            for _ in 0..2 {
                let found = client.code_at(Endpoint::Meetings, &window(start_s, end_s));
                assert_eq!(found, if is_struck { code } else { 0 }, "{kind:?}");
            }
            struck[0] += u32::from(is_struck);
        }
        for simulated in client.meetings() {
            let is_struck = client.simulator.outcome_of_meeting(simulated.key) == outcome;
            let found = client.code_at(Endpoint::Participants, &meeting(&simulated));
            assert_eq!(found, if is_struck { code } else { 0 }, "{kind:?}");
            struck[1] += u32::from(is_struck);
        }
        assert!(struck[0] > 0 && struck[1] > 10, "{kind:?}: {struck:?}");
    }
}

#[test]
fn a_fault_of_one_endpoint_leaves_the_others_alone() {
    let once = When::Only(Endpoint::Meetings, Strike::Request(2));
    let lasting = parse("no-permission@participants=1").unwrap();
    let faults = vec![lasting, Fault { kind: FaultKind::Reset, when: once }];
    let mut client = Client::new(Settings { faults, ..settings() });
    let (stay, simulated) = (client.stay_of(1), client.meetings().remove(0));
    assert_eq!(client.code_at(Endpoint::Quality, &parameters(&stay)), 0);
    assert_eq!(client.code_at(Endpoint::Participants, &meeting(&simulated)), 121_005);
    let deliveries = [1, 2, 3].map(|_| client.ask_at(Endpoint::Meetings, &window(day(0).0, day(0).1)).delivery);
    assert_eq!(deliveries, [Delivery::Whole, Delivery::Reset, Delivery::Whole]);
    let faults = Endpoint::ALL.map(|endpoint| client.simulator.books_of(endpoint).faults.clone());
    assert_eq!(faults, [[].into(), [("reset", 1)].into(), [("no-permission", 1)].into()]);
}

#[test]
fn faults_of_paging_lead_nowhere_in_lists_either() {
    let ask = |kind| {
        let mut client = Client::new(with_faults([(kind, When::Rate(1.0))]));
        let (start_s, end_s) = all_days();
        let (mut pages, mut token) = (Vec::new(), None::<String>);
        for _ in 0..5 {
            let mut asked = window(start_s, end_s);
            asked.extend(token.clone().map(|token| ("page_token", token)));
            let data = body(&client.ask_at(Endpoint::Meetings, &asked))["data"].clone();
            token = data["page_token"].as_str().map(str::to_owned);
            pages.push((data["has_more"] == true, data["meeting_list"].as_array().map_or(0, Vec::len), token.clone()));
        }
        pages
    };
    let repeated = ask(FaultKind::PageTokenRepeated);
    assert!(repeated.iter().all(|page| page.0 && page.2 == repeated[0].2 && page.2.is_some()));
    assert!(ask(FaultKind::PageTokenMissing).iter().all(|page| page.0 && page.2.is_none()));
    assert!(ask(FaultKind::EndlessEmptyPages).iter().all(|page| page.0 && page.1 == 0 && page.2.is_some()));
    let endless = ask(FaultKind::EndlessPages);
    let tokens: HashSet<_> = endless.iter().map(|page| &page.2).collect();
    assert!(endless.iter().all(|page| page.0 && page.1 > 0) && tokens.len() == 5);
    let before_each = ask(FaultKind::EmptyPage);
    assert_eq!((&before_each[0].1, &before_each[1].1, &before_each[2].1), (&0, &100, &0));
    assert!(ask(FaultKind::ShortPages)[..2].iter().all(|page| page.0 && page.1 == 50));
    let (nothing, whole) = (ask(FaultKind::NoSamples), ask(FaultKind::HasMoreMissing));
    assert!(nothing.iter().all(|page| page.1 == 0) && whole.iter().all(|page| !page.0 && page.1 > 0));
}

/// The item of a listing that is the given meeting; times are not compared by their text.
fn find<'a>(items: &'a [Value], meeting: &SimulatedMeeting) -> Option<&'a Value> {
    let instance = meeting.cells().text("meeting_instance_id");
    items.iter().find(|item| item["meeting_instance_id"].as_str() == instance.as_deref())
}

const ON_DEMAND: [(&str, &str); 2] = [("include_external_meetings", "true"), ("include_webinar", "true")];

#[test]
fn oddities_occur_and_mean_what_is_expected() {
    let mut client = Client::new(with_lists(Lists { odd_forms: 0.1, ..Lists::odd(0.3) }));
    let listed = client.listed(all_days(), &ON_DEMAND);
    let meetings = client.meetings();
    assert_eq!(listed.len(), meetings.len());
    let (mut kinds, mut of_nobody) = (BTreeSet::new(), BTreeSet::new());
    let (mut unparsed, mut absent, mut several_pages) = (0, 0, 0);
    for simulated in &meetings {
        check(find(&listed, simulated).unwrap(), simulated.cells(), &[]);
        if simulated.is_too_long {
            assert_eq!(client.code_at(Endpoint::Participants, &meeting(simulated)), 126_006);
            continue;
        }
        let attendances = client.attendances(simulated);
        let attendances: Vec<_> = attendances.iter().filter(|attendance| attendance.lost_at_s.is_none()).collect();
        if attendances.is_empty() {
            of_nobody.insert(client.code_at(Endpoint::Participants, &meeting(simulated)));
            continue;
        }
        let (participants, pages) = client.list(Endpoint::Participants, &meeting(simulated));
        assert_eq!((participants.len(), simulated.attendances), (attendances.len(), attendances.len()));
        several_pages += usize::from(pages > 1);
        for (item, attendance) in participants.iter().zip(attendances) {
            check(item, attendance.cells(), &["meeting_no", "meeting_start_time", "meeting_end_time"]);
            kinds.insert(attendance.kind);
            unparsed += attendance.cells().unparsed().len();
            absent += attendance.cells().all().iter().filter(|(_, cell)| cell.is_none()).count();
        }
    }
    assert_eq!(kinds.len(), 9, "{kinds:?}");
    assert_eq!(of_nobody, [0, 121_004].into());
    assert!(unparsed > 10 && absent > 1000 && several_pages > 10, "{unparsed} {absent} {several_pages}");
    let of_day = |meeting: &SimulatedMeeting| (meeting.meeting_no.clone(), (meeting.start_s + 8 * 3600) / 86_400);
    let numbers: HashSet<_> = meetings.iter().map(of_day).collect();
    assert!(numbers.len() < meetings.len(), "no number is used twice a day");
}

#[test]
fn every_stay_that_the_lists_add_can_be_read() {
    let mut client = Client::new(with_lists(Lists::odd(0.3)));
    let stays = client.stays();
    let plain = Client::new(settings()).stays();
    assert!(stays.len() > plain.len() + 100);
    assert!(stays.iter().zip(&plain).all(|(stay, plain)| stay.key == plain.key && stay.join_s == plain.join_s));
    let keys: HashSet<_> = stays.iter().map(|stay| stay.key).collect();
    assert_eq!(keys.len(), stays.len());
    for stay in stays[plain.len()..].iter().step_by(5) {
        assert_eq!(client.code_at(Endpoint::Quality, &parameters(stay)), 0);
        assert_eq!(client.simulator.tenant().stay(stay.key).unwrap().sample_count, stay.sample_count);
    }
    let mut of_lists = HashSet::new();
    for simulated in client.meetings() {
        for attendance in client.attendances(&simulated) {
            of_lists.extend(attendance.stay);
            let user_id = attendance.user_id(UserIdType::OpenId);
            if attendance.kind == AttendanceKind::External {
                let mut asked = meeting(&simulated);
                asked.extend([("join_time", attendance.join_s.to_string()), ("user_id", user_id.unwrap())]);
                assert_eq!(client.code_at(Endpoint::Quality, &asked), 99_992_351);
            }
        }
    }
    assert_eq!(of_lists, keys);
}

#[test]
fn a_second_device_gives_the_same_stay_or_another() {
    let client = Client::new(with_lists(Lists { second_devices: 0.5, ..Lists::default() }));
    let (mut equal, mut different) = (0, 0);
    for simulated in client.meetings() {
        let attendances = client.attendances(&simulated);
        let is_second = |attendance: &&SimulatedAttendance| attendance.kind == AttendanceKind::SecondDevice;
        for second in attendances.iter().filter(is_second) {
            let is_first = |first: &&SimulatedAttendance| {
                first.kind == AttendanceKind::User && first.cells().text("user_id") == second.cells().text("user_id")
            };
            let firsts: Vec<_> = attendances.iter().filter(is_first).collect();
            let same = firsts.iter().any(|first| first.join_s == second.join_s);
            assert_eq!(firsts.iter().any(|first| first.stay == second.stay), same);
            if same { equal += 1 } else { different += 1 }
        }
    }
    assert!(equal > 50 && different > 50, "{equal} {different}");
}

#[test]
fn meetings_are_listed_late_or_with_an_end_that_changes() {
    let lists = Lists { late_listings: 0.3, changed_ends: 0.5, lost_participants: 0.3, ..Lists::default() };
    let settings = with_lists(lists);
    let mut seen = [0, 0, 0];
    for simulated in Client::new(settings.clone()).meetings() {
        let within = (simulated.start_s, simulated.end_s + 1);
        let codes = |client: &mut Client| {
            let mut early = meeting(&simulated);
            early[1].1 = simulated.first_end_s.map_or(simulated.end_s, |(end_s, _)| end_s).to_string();
            [meeting(&simulated), early].map(|asked| client.code_at(Endpoint::Participants, &asked))
        };
        if simulated.listed_from_s > simulated.end_s {
            let mut client =
                Client::at(DateTime::from_timestamp(simulated.listed_from_s - 1, 0).unwrap(), settings.clone());
            assert!(find(&client.listed(within, &[]), &simulated).is_none());
            assert_eq!(codes(&mut client), [126_009, 126_009]);
            client.now += TimeDelta::seconds(1);
            assert!(find(&client.listed(within, &[]), &simulated).is_some());
            seen[0] += 1;
        } else if let Some((_, until_s)) = simulated.first_end_s {
            let mut client = Client::at(DateTime::from_timestamp(until_s - 1, 0).unwrap(), settings.clone());
            let before = find(&client.listed(within, &[]), &simulated).unwrap()["meeting_end_time"].clone();
            assert_eq!(codes(&mut client), [126_009, 0]);
            client.now += TimeDelta::seconds(1);
            let after = find(&client.listed(within, &[]), &simulated).unwrap()["meeting_end_time"].clone();
            assert_ne!(before, after);
            assert_eq!(codes(&mut client), [0, 126_009]);
            seen[1] += 1;
        }
        let attendances = Client::new(settings.clone()).attendances(&simulated);
        if let Some(lost_at_s) = attendances.iter().find_map(|attendance| attendance.lost_at_s) {
            let mut client = Client::at(DateTime::from_timestamp(lost_at_s - 1, 0).unwrap(), settings.clone());
            let count = |client: &mut Client| client.list(Endpoint::Participants, &meeting(&simulated)).0.len();
            assert_eq!(count(&mut client), attendances.len());
            client.now += TimeDelta::seconds(1);
            assert_eq!(count(&mut client), simulated.attendances);
            seen[2] += 1;
        }
    }
    assert!(seen.iter().all(|count| *count > 20), "{seen:?}");
}

#[test]
fn meetings_besides_are_listed_where_they_belong() {
    let lists = Lists {
        across_midnight: 0.05,
        over_a_day: 0.05,
        webinars: 0.05,
        external_meetings: 0.05,
        not_over: 0.1,
        ..Lists::default()
    };
    let settings = with_lists(lists);
    let mut client = Client::new(settings.clone());
    let days: Vec<_> = ALL_DAYS.map(|number| client.listed(day(number), &ON_DEMAND)).collect();
    let by_default = client.listed(all_days(), &[]);
    let (mut over_midnight, mut too_long, mut ends) = (0, 0, BTreeSet::new());
    for simulated in client.meetings() {
        let date = |unix_s: i64| (unix_s + 8 * 3600).div_euclid(86_400);
        let expected = date(simulated.end_s) - date(simulated.start_s) + 1;
        let listed = days.iter().filter(|day| find(day, &simulated).is_some()).count();
        assert_eq!(i64::try_from(listed), Ok(expected));
        assert_eq!(find(&by_default, &simulated).is_some(), simulated.is_listed_by_default());
        over_midnight += usize::from(expected == 2);
        too_long += usize::from(simulated.is_too_long);
        if simulated.is_listed_early() {
            let mut client = Client::at(DateTime::from_timestamp(simulated.end_s - 1, 0).unwrap(), settings.clone());
            let listed = client.listed((simulated.start_s, simulated.end_s), &[]);
            let end = find(&listed, &simulated).unwrap()["meeting_end_time"].as_str().unwrap().to_owned();
            ends.insert(if end.len() > 1 { "a time".to_owned() } else { end });
        }
    }
    assert!(over_midnight > 10 && too_long > 5, "{over_midnight} {too_long}");
    assert_eq!(ends, ["", "-", "a time"].map(str::to_owned).into());
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
