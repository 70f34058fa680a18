//! `GET /open-apis/vc/v1/participant_quality_list` as its page documents it: what is checked, and the page itself.

use std::{collections::BTreeMap, fmt::Write as _};

use rand::Rng;
use serde_json::json;

use super::{
    random::{Purpose, stream},
    reply::Reply,
    tenant::{NotFound, SimulatedStay, StayKey, Tenant, UserIdType},
    values::Samples,
};

/// Why the API refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    status: u16,
    code: u64,
    msg: &'static str,
    field: &'static str,
}

impl Violation {
    const fn new(status: u16, code: u64, msg: &'static str) -> Self {
        Self { status, code, msg, field: "" }
    }

    const fn missing(field: &'static str) -> Self {
        Self { status: 400, code: 99_992_402, msg: "field validation failed", field }
    }

    /// The refusal in the documented envelope.
    pub(super) fn reply(&self) -> Reply {
        if self.field.is_empty() {
            return Reply::failure(self.status, self.code, self.msg);
        }
        let violations = json!([{"field": self.field, "description": format!("{} is required", self.field)}]);
        let error = json!({"log_id": "", "field_violations": violations});
        let body = json!({"code": self.code, "msg": self.msg, "error": error});
        Reply::json(self.status, body.to_string()).with_code(self.code)
    }
}

const DATA_NOT_EXIST: Violation = Violation::new(404, 121_004, "data not exist");
const NO_PERMISSION: Violation = Violation::new(403, 121_005, "no permission");
pub(super) const PARAM_ERROR: Violation = Violation::new(400, 121_003, "param error");
const NUMBER_NEGATIVE: Violation = Violation::new(400, 126_003, "meeting number invalid (cannot smaller than 0)");
const NUMBER_LENGTH: Violation = Violation::new(400, 126_004, "meeting number length not correct (supposed to be 9)");
const START_TIME: Violation =
    Violation::new(400, 126_005, "start time error (cannot larger than now or smaller than 0)");
const END_TIME: Violation =
    Violation::new(400, 126_006, "end time cannot exceed start time for one day or smaller than start time");
const TWO_IDS: Violation = Violation::new(400, 126_007, "userID and roomID cannot be set concurrently");
const NO_MEETING: Violation = Violation::new(400, 126_009, "cannot find meeting according to the params you provide");
const NO_DEVICE: Violation = Violation::new(400, 126_010, "cannot find device according to the params you provide");
const NO_SUCH_ID: Violation = Violation::new(400, 99_992_351, "not a valid {open_id}, {union_id} or {user_id}");

/// The answers of lasting faults, so that they do not differ from the real ones.
pub(super) fn absent_meeting() -> Reply {
    NO_MEETING.reply()
}

/// See [`absent_meeting`].
pub(super) fn absent_device() -> Reply {
    NO_DEVICE.reply()
}

/// See [`absent_meeting`].
pub(super) fn absent_data() -> Reply {
    DATA_NOT_EXIST.reply()
}

/// See [`absent_meeting`].
pub(super) fn no_permission() -> Reply {
    NO_PERMISSION.reply()
}

/// See [`absent_meeting`].
pub(super) fn foreign_id() -> Reply {
    NO_SUCH_ID.reply()
}

/// What a request asks for, once checked.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) stay: SimulatedStay,
    pub(super) first_sample: u32,
    /// Empty pages that stood in its place before.
    pub(super) empty_pages: u32,
    pub(super) page_size: u32,
    pub(super) has_token: bool,
}

/// Checks the parameters of a request that arrives at `now_s` and finds the stay that they name.
pub(super) fn check(tenant: &Tenant, now_s: i64, query: &str) -> Result<Asked, Violation> {
    let parameters = Parameters::read(query)?;
    let id_type = match parameters.get("user_id_type").unwrap_or("open_id") {
        "open_id" => UserIdType::OpenId,
        "union_id" => UserIdType::UnionId,
        "user_id" => UserIdType::UserId,
        _ => return Err(PARAM_ERROR),
    };
    let page_size = parameters.get("page_size").map_or(Ok(20), |text| text.parse().map_err(|_| PARAM_ERROR))?;
    if !(20..=100).contains(&page_size) {
        return Err(PARAM_ERROR);
    }
    let times = check_times(&parameters, now_s)?;
    let meeting_no = check_number(parameters.require("meeting_no")?)?;
    let join_s = parameters.number("join_time")?;
    let is_participant = check_ids(&parameters, id_type)?;
    let is_stay = |stay: &SimulatedStay| stay.join_s == join_s && is_participant(stay);
    let found = tenant.find(meeting_no, times, is_stay);
    let stay = found.map_err(|missing| if missing == NotFound::Meeting { NO_MEETING } else { NO_DEVICE })?;
    if stay.meeting_end_s + i64::from(tenant.settings().data_delay_s) > now_s {
        return Err(NO_MEETING);
    }
    let token = parameters.get("page_token");
    let place = token.map_or(Some((0, 0)), |token| read_token(tenant.settings().seed, stay.key, token));
    let (first_sample, empty_pages) = place.ok_or(PARAM_ERROR)?;
    Ok(Asked { stay, first_sample, empty_pages, page_size, has_token: token.is_some() })
}

/// The query's parameters; an empty one counts as missing.
struct Parameters(BTreeMap<String, String>);

impl Parameters {
    fn read(query: &str) -> Result<Self, Violation> {
        let mut parameters = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()).filter(|(_, value)| !value.is_empty()) {
            if parameters.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(PARAM_ERROR);
            }
        }
        Ok(Self(parameters))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn require(&self, name: &'static str) -> Result<&str, Violation> {
        self.get(name).ok_or(Violation::missing(name))
    }

    fn number(&self, name: &'static str) -> Result<i64, Violation> {
        self.require(name)?.parse().map_err(|_| PARAM_ERROR)
    }
}

fn check_times(parameters: &Parameters, now_s: i64) -> Result<(i64, i64), Violation> {
    let start_s = parameters.number("meeting_start_time")?;
    let end_s = parameters.number("meeting_end_time")?;
    if !(0..=now_s).contains(&start_s) {
        return Err(START_TIME);
    }
    if !(start_s..=start_s.saturating_add(86_400)).contains(&end_s) {
        return Err(END_TIME);
    }
    Ok((start_s, end_s))
}

fn check_number(text: &str) -> Result<u64, Violation> {
    let number: i64 = text.parse().map_err(|_| PARAM_ERROR)?;
    if number < 0 {
        return Err(NUMBER_NEGATIVE);
    }
    if text.len() != 9 {
        return Err(NUMBER_LENGTH);
    }
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits.then_some(number.unsigned_abs()).ok_or(PARAM_ERROR)
}

/// A test for the participant that the request names.
fn check_ids(parameters: &Parameters, id_type: UserIdType) -> Result<impl Fn(&SimulatedStay) -> bool, Violation> {
    let (user, room) = (parameters.get("user_id"), parameters.get("room_id"));
    let (id, is_user) = match (user, room) {
        (Some(_), Some(_)) => return Err(TWO_IDS),
        (None, None) => return Err(PARAM_ERROR),
        (Some(user), None) => (user, true),
        (None, Some(room)) => (room, false),
    };
    let has_form = match id_type {
        _ if !is_user => true,
        UserIdType::OpenId => id.starts_with("ou_"),
        UserIdType::UnionId => id.starts_with("on_"),
        UserIdType::UserId => !id.contains('_'),
    };
    if !has_form {
        return Err(NO_SUCH_ID);
    }
    Ok(move |stay: &SimulatedStay| {
        let its_id = if is_user { stay.user_id(id_type) } else { stay.room_id() };
        its_id.as_deref() == Some(id)
    })
}

/// A page token: where the next page begins, after so many empty ones in its place, with a mark that only the server can
/// make for this stay.
pub(super) fn page_token(seed: u64, stay: StayKey, first_sample: u32, empty_pages: u32) -> String {
    let place = u64::from(empty_pages) << 32 | u64::from(first_sample);
    let mark: u64 = stream(seed, Purpose::PageToken, stay.0, place).random();
    if empty_pages == 0 {
        format!("{first_sample}-{mark:016x}")
    } else {
        format!("{first_sample}.{empty_pages}-{mark:016x}")
    }
}

fn read_token(seed: u64, stay: StayKey, token: &str) -> Option<(u32, u32)> {
    let place = token.split_once('-')?.0;
    let (first_sample, empty_pages) = place.split_once('.').unwrap_or((place, "0"));
    let (first_sample, empty_pages) = (first_sample.parse().ok()?, empty_pages.parse().ok()?);
    (page_token(seed, stay, first_sample, empty_pages) == token).then_some((first_sample, empty_pages))
}

/// A page, before it is written.
pub(super) struct Page {
    /// The samples in it, by index.
    pub(super) samples: std::ops::Range<u32>,
    pub(super) has_more: bool,
    /// The token of the page after this one.
    pub(super) next_token: Option<String>,
}

impl Page {
    /// The page that was asked for.
    pub(super) fn of(asked: &Asked, seed: u64) -> Self {
        let count = asked.stay.sample_count;
        let first = asked.first_sample.min(count);
        let end = first.saturating_add(asked.page_size).min(count);
        let has_more = end < count;
        Self { samples: first..end, has_more, next_token: has_more.then(|| page_token(seed, asked.stay.key, end, 0)) }
    }

    /// The page as the API writes it: without a page token where there is no more.
    pub(super) fn reply(&self, samples: Samples) -> Reply {
        let mut body = String::with_capacity(256 + 1300 * self.samples.len());
        body.push_str(r#"{"code":0,"msg":"success","data":{"participant_quality_list":["#);
        for index in self.samples.clone() {
            if index > self.samples.start {
                body.push(',');
            }
            samples.write(index, &mut body, |_, _| ());
        }
        body.push(']');
        if let Some(token) = &self.next_token {
            let _ = write!(body, ",\"page_token\":\"{token}\"");
        }
        let _ = write!(body, ",\"has_more\":{}}}}}", self.has_more);
        Reply::json(200, body).with_code(0)
    }
}
