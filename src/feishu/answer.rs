//! What an answer means: the same for every endpoint but for what a page holds.
//!
//! The meaning is decided here alone: by the body's code first, then by the HTTP status, never by the message.

use std::{fmt, ops::RangeInclusive, time::Duration};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Bearer, Row,
    page::{Page, object},
    transport::{Answer, TransportError},
};
use crate::read::decode::without_bom;

/// The wait after a refusal that does not say how long.
const THROTTLED_DEFAULT: Duration = Duration::from_secs(60);

/// The longest wait that is taken from a refusal.
pub const THROTTLED_MAX: Duration = Duration::from_secs(3600);

/// Characters kept of a server's message.
const MESSAGE_CHARS_MAX: usize = 200;

/// What one answer means.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A page of what was asked for.
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
    /// Worth another attempt.
    Transient(Said),
    /// Something about what was asked for.
    Judged(Judgement, Said),
}

/// What an answer says of what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Code 121005: no permission for this, or for anything of the endpoint.
    NoPermission,
    /// The API knows no such thing, such as a meeting or a device.
    Absent,
    /// The API refuses the parameters.
    Rejected,
    /// The API refuses an id: it is none of this app's, or of another kind than the request says.
    IdRefused,
    /// The API calls it a success, but it is not of the documented form.
    OffContract,
    /// An unknown code: not worth another attempt.
    Failed,
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
            Self::Transient(_) => "transient",
            Self::Judged(Judgement::NoPermission, _) => "no_permission",
            Self::Judged(Judgement::Absent, _) => "absent",
            Self::Judged(Judgement::Rejected | Judgement::IdRefused, _) => "rejected",
            Self::Judged(Judgement::OffContract, _) => "off_contract",
            Self::Judged(Judgement::Failed, _) => "failed",
        }
    }
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
    /// The app, or the token, lacks the endpoint's scope.
    NoScope,
    Transient,
    Judged(Judgement),
}

const APP_REMEDY: Remedy = Remedy("check app id and secret, and that the app is enabled and installed in this tenant");
const ADDRESS_REMEDY: Remedy = Remedy("add this machine's public address to the app's IP allowlist");
const HEADER_REMEDY: Remedy = Remedy("the API did not see the access token: is there a proxy that drops headers?");

/// Every code whose meaning is known; any other is a failure of what was asked for.
const CODES: &[(RangeInclusive<i64>, Meaning)] = &[
    (99_991_400..=99_991_400, Meaning::Throttled),
    (1_000_004..=1_000_005, Meaning::Throttled),
    (99_991_403..=99_991_403, Meaning::MonthUsedUp),
    (99_991_663..=99_991_665, Meaning::TokenRefused),
    (99_991_668..=99_991_668, Meaning::TokenRefused),
    (99_991_671..=99_991_671, Meaning::TokenRefused),
    (99_991_677..=99_991_677, Meaning::TokenRefused),
    (121_005..=121_005, Meaning::Judged(Judgement::NoPermission)),
    (99_991_401..=99_991_401, Meaning::Denied(ADDRESS_REMEDY)),
    (99_991_543..=99_991_543, Meaning::Denied(APP_REMEDY)),
    (99_991_661..=99_991_661, Meaning::Denied(HEADER_REMEDY)),
    (99_991_662..=99_991_662, Meaning::Denied(APP_REMEDY)),
    (99_991_672..=99_991_672, Meaning::NoScope),
    (99_991_673..=99_991_673, Meaning::Denied(APP_REMEDY)),
    (99_991_676..=99_991_676, Meaning::NoScope),
    (99_991_679..=99_991_679, Meaning::NoScope),
    (126_009..=126_010, Meaning::Judged(Judgement::Absent)),
    (121_004..=121_004, Meaning::Judged(Judgement::Absent)),
    (121_002..=121_003, Meaning::Judged(Judgement::Rejected)),
    (126_003..=126_008, Meaning::Judged(Judgement::Rejected)),
    (126_015..=126_016, Meaning::Judged(Judgement::Rejected)),
    (99_992_350..=99_992_389, Meaning::Judged(Judgement::IdRefused)),
    (99_992_402..=99_992_402, Meaning::Judged(Judgement::Rejected)),
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

/// Decides what an answer to this bearer, or its absence, means. `now` resolves a `Retry-After` date; `row` is that of the endpoint.
pub(super) fn classify(
    answer: &Result<Answer, TransportError>,
    now: DateTime<Utc>,
    row: &Row,
    bearer: Bearer,
) -> Outcome {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Outcome::Transient(Said { text: error.to_string(), log_id: None }),
    };
    match envelope(&answer.body) {
        Some(Envelope { code: 0, .. }) => {
            let off_contract = || Outcome::Judged(Judgement::OffContract, said_unreadable(answer));
            (row.read_page)(&answer.body).map_or_else(off_contract, Outcome::Page)
        }
        Some(envelope) => by_code(answer, &envelope, now, (row, bearer)),
        None if answer.status == 429 => Outcome::Throttled { wait: throttled_for(answer, now) },
        None => Outcome::Transient(said_unreadable(answer)),
    }
}

fn by_code(answer: &Answer, envelope: &Envelope, now: DateTime<Utc>, (row, bearer): (&Row, Bearer)) -> Outcome {
    let said = said(answer, envelope);
    let meaning = CODES.iter().find(|(codes, _)| codes.contains(&envelope.code)).map(|(_, meaning)| *meaning);
    match meaning {
        Some(Meaning::Throttled) => Outcome::Throttled { wait: throttled_for(answer, now) },
        Some(Meaning::MonthUsedUp) => Outcome::MonthUsedUp(said),
        Some(Meaning::TokenRefused) => Outcome::TokenRefused(said),
        Some(Meaning::Denied(remedy)) => Outcome::Denied(said, remedy),
        Some(Meaning::NoScope) => Outcome::Denied(said, row.no_scope.of(bearer)),
        Some(Meaning::Transient) => Outcome::Transient(said),
        Some(Meaning::Judged(judgement)) => Outcome::Judged(judgement, said),
        None if answer.status >= 500 => Outcome::Transient(said),
        None => Outcome::Judged(Judgement::Failed, said),
    }
}

/// True if `code` is a fault that passes; the token endpoint shares these codes.
pub(super) fn is_passing(code: i64) -> bool {
    CODES
        .iter()
        .any(|(codes, meaning)| codes.contains(&code) && matches!(meaning, Meaning::Transient | Meaning::Throttled))
}

/// True if `code` says that the access token is not valid any more.
pub(super) fn is_token_refused(code: i64) -> bool {
    CODES.iter().any(|(codes, meaning)| codes.contains(&code) && matches!(meaning, Meaning::TokenRefused))
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
    object(std::str::from_utf8(without_bom(body)).ok()?)
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
    let body = title_of_page(&answer.body).map_or_else(
        || format!("a body of {} bytes that is not the documented JSON", answer.body.len()),
        |title| match title {
            title if title.is_empty() => "an HTML page without a title instead of JSON".into(),
            title => format!("an HTML page instead of JSON (`{title}`)"),
        },
    );
    let text = format!("HTTP {} with {body}{}", answer.status, redirect.unwrap_or_default());
    Said { text, log_id: log_id(answer) }
}

/// The title of an HTML page, such as a gateway answers with; an empty one if it has none.
fn title_of_page(body: &[u8]) -> Option<String> {
    /// Where a page's title stands.
    const HEAD_BYTES: usize = 16 << 10;
    let head = String::from_utf8_lossy(&body[..body.len().min(HEAD_BYTES)]);
    let lower = head.to_ascii_lowercase();
    let start = lower.trim_start();
    if !start.starts_with("<!doctype html") && !start.starts_with("<html") {
        return None;
    }
    let title = lower.split_once("<title>").map_or(0..0, |(before, rest)| {
        let begin = before.len() + "<title>".len();
        begin..begin + rest.find("</title>").unwrap_or(0)
    });
    Some(printable(head[title].trim()))
}

pub(super) fn log_id(answer: &Answer) -> Option<String> {
    answer.log_id.as_deref().map(printable)
}

/// A server's text, cut short and with everything escaped that could steer a terminal or forge a log line.
pub(super) fn printable(text: &str) -> String {
    text.chars().take(MESSAGE_CHARS_MAX).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests;
