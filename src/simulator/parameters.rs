//! The parameters of a request, and the refusals of those that the API's documentation forbids.

use std::collections::BTreeMap;

use serde_json::json;

use super::{reply::Reply, tenant::UserIdType};

/// Why the API refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    status: u16,
    code: u64,
    msg: &'static str,
    field: &'static str,
}

impl Violation {
    pub(super) const fn new(status: u16, code: u64, msg: &'static str) -> Self {
        Self { status, code, msg, field: "" }
    }

    pub(super) const fn missing(field: &'static str) -> Self {
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

pub(super) const DATA_NOT_EXIST: Violation = Violation::new(404, 121_004, "data not exist");
pub(super) const NO_PERMISSION: Violation = Violation::new(403, 121_005, "no permission");
pub(super) const PARAM_ERROR: Violation = Violation::new(400, 121_003, "param error");
pub(super) const NUMBER_NEGATIVE: Violation =
    Violation::new(400, 126_003, "meeting number invalid (cannot smaller than 0)");
pub(super) const NUMBER_LENGTH: Violation =
    Violation::new(400, 126_004, "meeting number length not correct (supposed to be 9)");
pub(super) const START_TIME: Violation =
    Violation::new(400, 126_005, "start time error (cannot larger than now or smaller than 0)");
pub(super) const END_TIME: Violation =
    Violation::new(400, 126_006, "end time cannot exceed start time for one day or smaller than start time");
pub(super) const TWO_IDS: Violation = Violation::new(400, 126_007, "userID and roomID cannot be set concurrently");
pub(super) const PERIOD: Violation =
    Violation::new(400, 126_006, "end time cannot exceed start time for one year or smaller than start time");
pub(super) const TWO_FILTERS: Violation = Violation::new(400, 126_008, "only one filter can be set");
pub(super) const NO_ROOM_FILTER: Violation = Violation::new(400, 126_015, "not support room_id");
pub(super) const TOO_FAR_AHEAD: Violation =
    Violation::new(400, 126_016, "future meetings can be queried for one month");
pub(super) const NO_MEETING: Violation =
    Violation::new(400, 126_009, "cannot find meeting according to the params you provide");
pub(super) const NO_DEVICE: Violation =
    Violation::new(400, 126_010, "cannot find device according to the params you provide");
pub(super) const NO_SUCH_ID: Violation =
    Violation::new(400, 99_992_351, "not a valid {open_id}, {union_id} or {user_id}");

/// The query's parameters; an empty one counts as missing.
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    pub(super) fn read(query: &str) -> Result<Self, Violation> {
        let mut parameters = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()).filter(|(_, value)| !value.is_empty()) {
            if parameters.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(PARAM_ERROR);
            }
        }
        Ok(Self(parameters))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn require(&self, name: &'static str) -> Result<&str, Violation> {
        self.get(name).ok_or(Violation::missing(name))
    }

    /// How the request names users.
    pub(super) fn id_type(&self) -> Result<UserIdType, Violation> {
        match self.get("user_id_type").unwrap_or("open_id") {
            "open_id" => Ok(UserIdType::OpenId),
            "union_id" => Ok(UserIdType::UnionId),
            "user_id" => Ok(UserIdType::UserId),
            _ => Err(PARAM_ERROR),
        }
    }

    /// How many items a page is to have: 20 unless told otherwise.
    pub(super) fn page_size(&self) -> Result<u32, Violation> {
        let page_size = self.get("page_size").map_or(Ok(20), |text| text.parse().map_err(|_| PARAM_ERROR))?;
        (20..=100).contains(&page_size).then_some(page_size).ok_or(PARAM_ERROR)
    }

    /// A parameter that is `true` or `false`, the default. The official Python SDK writes `True` and `False`.
    pub(super) fn truth(&self, name: &str) -> Result<bool, Violation> {
        match self.get(name) {
            None | Some("false" | "False") => Ok(false),
            Some("true" | "True") => Ok(true),
            Some(_) => Err(PARAM_ERROR),
        }
    }

    /// Whether ongoing meetings are asked for rather than ended ones.
    pub(super) fn is_ongoing(&self) -> Result<bool, Violation> {
        match self.get("meeting_status") {
            None | Some("2") => Ok(false),
            Some("1") => Ok(true),
            Some(_) => Err(PARAM_ERROR),
        }
    }

    pub(super) fn number(&self, name: &'static str) -> Result<i64, Violation> {
        self.require(name)?.parse().map_err(|_| PARAM_ERROR)
    }
}

pub(super) fn check_times(parameters: &Parameters, now_s: i64) -> Result<(i64, i64), Violation> {
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

pub(super) fn check_number(text: &str) -> Result<u64, Violation> {
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

/// Refuses a user's id that is not of the given type.
pub(super) fn check_user_id(id: &str, id_type: UserIdType) -> Result<(), Violation> {
    let has_form = match id_type {
        UserIdType::OpenId => id.starts_with("ou_"),
        UserIdType::UnionId => id.starts_with("on_"),
        UserIdType::UserId => !id.contains('_'),
    };
    if has_form { Ok(()) } else { Err(NO_SUCH_ID) }
}
