//! The endpoint `participant_quality_list`: the request for a page, and what an answer means.
//!
//! The meaning is decided here alone: by the body's code first, then by the HTTP status, never by the message.

use std::{fmt, ops::RangeInclusive, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, value::RawValue};
use url::form_urlencoded;

use super::transport::{Answer, TransportError};
use crate::{
    config::UserIdType,
    read::decode::{Unknown, decode},
    stay::{Participant, SAMPLES_PER_PAGE, Stay},
};

const PATH: &str = "/open-apis/vc/v1/participant_quality_list";

/// The wait after a refusal that does not say how long.
const THROTTLED_DEFAULT: Duration = Duration::from_secs(60);

/// The longest wait that is taken from a refusal.
pub const THROTTLED_MAX: Duration = Duration::from_secs(3600);

/// Characters kept of a server's message.
const MESSAGE_CHARS_MAX: usize = 200;

/// The path and query that ask for the page at `page_token`, or for the first one.
pub fn page_request(stay: &Stay, user_id_type: UserIdType, page_token: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::for_suffix(format!("{PATH}?"), PATH.len() + 1);
    query
        .append_pair("meeting_start_time", &stay.meeting_start_s.to_string())
        .append_pair("meeting_end_time", &stay.meeting_end_s.to_string())
        .append_pair("meeting_no", stay.meeting_no.as_str())
        .append_pair("join_time", &stay.join_s.to_string());
    match &stay.participant {
        Participant::User(id) => query.append_pair("user_id", id).append_pair("user_id_type", user_id_type.as_str()),
        Participant::Room(id) => query.append_pair("room_id", id),
    };
    query.append_pair("page_size", &SAMPLES_PER_PAGE.to_string());
    if let Some(token) = page_token {
        query.append_pair("page_token", token);
    }
    query.finish()
}

/// What one answer means for its stay.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Samples.
    Page(Page),
    /// The quota is used up for now: nobody may ask before `wait` is over.
    Throttled {
        /// From now on.
        wait: Duration,
    },
    /// The month's quota is used up.
    MonthUsedUp(Said),
    /// The access token is not valid any more.
    TokenRefused(Said),
    /// The app may not do this at all.
    Denied(Said, Remedy),
    /// Code 121005: no permission for this stay, or for all of them.
    NoPermission(Said),
    /// The API knows no such meeting or device.
    Absent(Said),
    /// The API refuses the row.
    Rejected(Said),
    /// The API refuses the row for its id: it is none of this app's, or of another kind than the request says.
    IdRefused(Said),
    /// Worth another attempt.
    Transient(Said),
    /// The API calls it a success, but it is not of the documented form.
    OffContract(Said),
    /// An unknown code: not worth another attempt.
    Failed(Said),
}

impl Outcome {
    /// The word for reports and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Page(_) => "page",
            Self::Throttled { .. } => "throttled",
            Self::MonthUsedUp(_) => "month_used_up",
            Self::TokenRefused(_) => "token_refused",
            Self::Denied(..) => "denied",
            Self::NoPermission(_) => "no_permission",
            Self::Absent(_) => "absent",
            Self::Rejected(_) | Self::IdRefused(_) => "rejected",
            Self::Transient(_) => "transient",
            Self::OffContract(_) => "off_contract",
            Self::Failed(_) => "failed",
        }
    }
}

/// A page: how many samples it has, and what comes after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Samples in it.
    pub samples: u32,
    /// What `has_more` and `page_token` say.
    pub next: Next,
}

/// What comes after a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: the stay is complete.
    End,
    /// The page that this token asks for.
    Token(String),
    /// `has_more` without a token.
    TokenMissing,
}

/// What the API, or the way to it, said: fit for reports and terminals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Code, status and message, with control characters escaped.
    pub text: String,
    /// The answer's `X-Tt-Logid`.
    pub log_id: Option<String>,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a person has to do before it makes sense to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remedy(pub &'static str);

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The meaning of an error code.
#[derive(Clone, Copy, Debug)]
enum Meaning {
    Throttled,
    MonthUsedUp,
    TokenRefused,
    Denied(Remedy),
    NoPermission,
    Absent,
    Rejected,
    IdRefused,
    Transient,
}

/// What to do about 121005.
pub const NO_PERMISSION_REMEDY: Remedy = Remedy(
    "the app needs the scope `vc:room:readonly`, and the person who created it the admin right \"Video conferencing > \
     Meeting management\"; `vcq check` tells which is missing",
);

const APP_REMEDY: Remedy = Remedy("check app id and secret, and that the app is enabled and installed in this tenant");
const SCOPE_REMEDY: Remedy = Remedy("grant the app the scope `vc:room:readonly` and publish a version of the app");
const ADDRESS_REMEDY: Remedy = Remedy("add this machine's public address to the app's IP allowlist");
const HEADER_REMEDY: Remedy = Remedy("the API did not see the access token: is there a proxy that drops headers?");

/// Every code whose meaning is known; any other is a failure of its stay.
const CODES: &[(RangeInclusive<i64>, Meaning)] = &[
    (99_991_400..=99_991_400, Meaning::Throttled),
    (1_000_004..=1_000_005, Meaning::Throttled),
    (99_991_403..=99_991_403, Meaning::MonthUsedUp),
    (99_991_663..=99_991_665, Meaning::TokenRefused),
    (99_991_668..=99_991_668, Meaning::TokenRefused),
    (99_991_671..=99_991_671, Meaning::TokenRefused),
    (99_991_677..=99_991_677, Meaning::TokenRefused),
    (121_005..=121_005, Meaning::NoPermission),
    (99_991_401..=99_991_401, Meaning::Denied(ADDRESS_REMEDY)),
    (99_991_543..=99_991_543, Meaning::Denied(APP_REMEDY)),
    (99_991_661..=99_991_661, Meaning::Denied(HEADER_REMEDY)),
    (99_991_662..=99_991_662, Meaning::Denied(APP_REMEDY)),
    (99_991_672..=99_991_672, Meaning::Denied(SCOPE_REMEDY)),
    (99_991_673..=99_991_673, Meaning::Denied(APP_REMEDY)),
    (99_991_676..=99_991_676, Meaning::Denied(SCOPE_REMEDY)),
    (99_991_679..=99_991_679, Meaning::Denied(SCOPE_REMEDY)),
    (126_009..=126_010, Meaning::Absent),
    (121_004..=121_004, Meaning::Absent),
    (121_002..=121_003, Meaning::Rejected),
    (126_003..=126_007, Meaning::Rejected),
    (99_992_350..=99_992_389, Meaning::IdRefused),
    (99_992_402..=99_992_402, Meaning::Rejected),
    (121_001..=121_001, Meaning::Transient),
    (1500..=1500, Meaning::Transient),
    (1663..=1663, Meaning::Transient),
    (1668..=1668, Meaning::Transient),
    (2200..=2200, Meaning::Transient),
    (5000..=5000, Meaning::Transient),
    (10_101..=10_101, Meaning::Transient),
    (55_001..=55_001, Meaning::Transient),
    (65_001..=65_001, Meaning::Transient),
    (105_001..=105_001, Meaning::Transient),
];

/// Decides what an answer, or its absence, means. `now` resolves a `Retry-After` date.
pub fn classify(answer: &Result<Answer, TransportError>, now: DateTime<Utc>) -> Outcome {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Outcome::Transient(Said { text: error.to_string(), log_id: None }),
    };
    match envelope(&answer.body) {
        Some(Envelope { code: 0, .. }) => {
            read_page(&answer.body).map_or_else(|| Outcome::OffContract(said_unreadable(answer)), Outcome::Page)
        }
        Some(envelope) => by_code(answer, &envelope, now),
        None if answer.status == 429 => Outcome::Throttled { wait: throttled_for(answer, now) },
        None => Outcome::Transient(said_unreadable(answer)),
    }
}

fn by_code(answer: &Answer, envelope: &Envelope, now: DateTime<Utc>) -> Outcome {
    let said = said(answer, envelope);
    let meaning = CODES.iter().find(|(codes, _)| codes.contains(&envelope.code)).map(|(_, meaning)| *meaning);
    match meaning {
        Some(Meaning::Throttled) => Outcome::Throttled { wait: throttled_for(answer, now) },
        Some(Meaning::MonthUsedUp) => Outcome::MonthUsedUp(said),
        Some(Meaning::TokenRefused) => Outcome::TokenRefused(said),
        Some(Meaning::Denied(remedy)) => Outcome::Denied(said, remedy),
        Some(Meaning::NoPermission) => Outcome::NoPermission(said),
        Some(Meaning::Absent) => Outcome::Absent(said),
        Some(Meaning::Rejected) => Outcome::Rejected(said),
        Some(Meaning::IdRefused) => Outcome::IdRefused(said),
        Some(Meaning::Transient) => Outcome::Transient(said),
        None if answer.status >= 500 => Outcome::Transient(said),
        None => Outcome::Failed(said),
    }
}

/// True if `code` is a fault that passes; the token endpoint shares these codes.
pub(super) fn is_passing(code: i64) -> bool {
    CODES
        .iter()
        .any(|(codes, meaning)| codes.contains(&code) && matches!(meaning, Meaning::Transient | Meaning::Throttled))
}

/// The part of every JSON answer that says whether it succeeded.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope {
    pub(super) code: i64,
    #[serde(default)]
    msg: Value,
}

/// Reads the envelope of a body, if it is JSON with a numeric code.
pub(super) fn envelope(body: &[u8]) -> Option<Envelope> {
    object(std::str::from_utf8(body).ok()?)
}

/// Reads a JSON object. serde would take a list for one, its items for the fields in their order.
fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    json.trim_start().starts_with('{').then(|| serde_json::from_str(json).ok())?
}

#[derive(Debug, Deserialize)]
struct PageBody<'a> {
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
struct PageData {
    /// Missing and null mean no samples; anything else than a list is not the documented form.
    #[serde(default, rename = "participant_quality_list")]
    _list: Option<Vec<IgnoredAny>>,
    #[serde(default)]
    has_more: Value,
    #[serde(default)]
    page_token: Value,
}

/// Why a stored body cannot be landed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is an error of the API with this code.
    Error(i64),
    /// It is not the documented JSON.
    Unreadable,
}

/// Checks a body that was stored earlier, perhaps by another program, as strictly as the body of an answer.
pub fn read_stored(body: &[u8]) -> Result<Page, Unusable> {
    match envelope(body).ok_or(Unusable::Unreadable)?.code {
        0 => read_page(body).ok_or(Unusable::Unreadable),
        code => Err(Unusable::Error(code)),
    }
}

/// A page is landed only if phase 2 can read it, so it is decoded once here.
fn read_page(body: &[u8]) -> Option<Page> {
    let samples = decode(body, &mut Unknown::default(), |_| {}).ok()?;
    let data = serde_json::from_slice::<PageBody<'_>>(body).ok()?.data;
    let data = data.map_or_else(|| Some(PageData::default()), |data| object(data.get()))?;
    Some(Page { samples, next: next_of(&data)? })
}

/// What comes after a page. The two fields are read leniently: a page that was paid for is not thrown away because a
/// truth value comes as text or a token as number. Where `has_more` says nothing, the token speaks for it.
fn next_of(data: &PageData) -> Option<Next> {
    let has_more = match &data.has_more {
        Value::Null => None,
        Value::Bool(has_more) => Some(*has_more),
        Value::String(text) => Some(text.parse().ok()?),
        _ => return None,
    };
    let token = match &data.page_token {
        Value::String(token) if token.trim().is_empty() => None,
        Value::String(token) => Some(token.clone()),
        Value::Number(token) => Some(token.to_string()),
        _ => None,
    };
    Some(match (has_more, token) {
        (Some(false), _) | (None, None) => Next::End,
        (Some(true), None) => Next::TokenMissing,
        (Some(true) | None, Some(token)) => Next::Token(token),
    })
}

fn throttled_for(answer: &Answer, now: DateTime<Utc>) -> Duration {
    let seconds = |text: &str| text.trim().parse::<f64>().ok().filter(|seconds| *seconds > 0.0);
    let reset = answer.ratelimit_reset.as_deref().and_then(seconds);
    let retry_after = || {
        let text = answer.retry_after.as_deref()?;
        let date = || DateTime::parse_from_rfc2822(text).ok()?.signed_duration_since(now).to_std().ok();
        seconds(text).or_else(|| Some(date()?.as_secs_f64()))
    };
    reset
        .or_else(retry_after)
        .map_or(THROTTLED_DEFAULT, |seconds| Duration::from_secs_f64(seconds.min(THROTTLED_MAX.as_secs_f64())))
}

pub(super) fn said(answer: &Answer, envelope: &Envelope) -> Said {
    let message = envelope.msg.as_str().map(printable).unwrap_or_default();
    let text = format!("code {} (HTTP {}): {message}", envelope.code, answer.status);
    Said { text, log_id: log_id(answer) }
}

fn said_unreadable(answer: &Answer) -> Said {
    let redirect = answer.location.as_deref().map(|to| format!(", redirect to `{}` not followed", printable(to)));
    let text = format!(
        "HTTP {} with a body of {} bytes that is not the documented JSON{}",
        answer.status,
        answer.body.len(),
        redirect.unwrap_or_default()
    );
    Said { text, log_id: log_id(answer) }
}

fn log_id(answer: &Answer) -> Option<String> {
    answer.log_id.as_deref().map(printable)
}

/// A server's text, cut short and with everything escaped that could steer a terminal or forge a log line.
fn printable(text: &str) -> String {
    text.chars().take(MESSAGE_CHARS_MAX).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests;
