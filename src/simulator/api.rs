//! What a request for data asks for, and the page that answers it, at each of the three endpoints.
//!
//! `GET /open-apis/vc/v1/participant_quality_list` is checked here, as its page documents it; the two lists in
//! `list_api.rs`.

use std::{fmt::Write as _, ops::Range};

use rand::Rng;
use serde_json::Value;

use super::{
    endpoint::Endpoint,
    list_api,
    parameters::{
        DATA_NOT_EXIST, NO_DEVICE, NO_MEETING, NO_PERMISSION, NO_SUCH_ID, PARAM_ERROR, Parameters, TWO_IDS, Violation,
        check_number, check_times, check_user_id,
    },
    random::{Purpose, stream},
    reply::Reply,
    tenant::{Meeting, Named, SimulatedStay, Tenant, UserIdType},
    values::Samples,
};

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
pub(super) struct Asked {
    pub(super) endpoint: Endpoint,
    pub(super) what: What,
    /// How many items there are in all.
    pub(super) count: u32,
    /// The time for which a list is read: that of its first page.
    pub(super) listed_s: i64,
    pub(super) page_size: u32,
    pub(super) has_token: bool,
    pub(super) place: Place,
}

/// What a page is a part of.
pub(super) enum What {
    Stay(SimulatedStay),
    Window { start_s: i64, meetings: Vec<Meeting> },
    Meeting(list_api::AskedMeeting),
}

/// Where a page begins: at an item, after so many empty pages in its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) first: u32,
    pub(super) empty_pages: u32,
}

impl Asked {
    /// Names what is asked for among all that the endpoint can be asked for.
    pub(super) fn thing(&self) -> u64 {
        match &self.what {
            What::Stay(stay) => stay.key.0,
            What::Window { start_s, .. } => start_s.cast_unsigned(),
            What::Meeting(asked) => asked.meeting.index,
        }
    }

    /// The page token of another page.
    pub(super) fn token(&self, seed: u64, place: Place) -> String {
        match self.endpoint {
            Endpoint::Quality => page_token(seed, self.thing(), place),
            _ => list_api::page_token(seed, self, self.listed_s, place),
        }
    }
}

/// Checks the parameters of a request that arrives at `now_s` and finds what they name.
pub(super) fn check(endpoint: Endpoint, tenant: &Tenant, now_s: i64, query: &str) -> Result<Asked, Violation> {
    let parameters = Parameters::read(query)?;
    match endpoint {
        Endpoint::Quality => check_stay(tenant, now_s, &parameters),
        Endpoint::Meetings => list_api::check_window(tenant, now_s, &parameters),
        Endpoint::Participants => list_api::check_meeting(tenant, now_s, &parameters),
    }
}

fn check_stay(tenant: &Tenant, now_s: i64, parameters: &Parameters) -> Result<Asked, Violation> {
    let (id_type, page_size) = (parameters.id_type()?, parameters.page_size()?);
    let (start_s, end_s) = check_times(parameters, now_s)?;
    let named = Named { number: check_number(parameters.require("meeting_no")?)?, start_s, end_s };
    let join_s = parameters.number("join_time")?;
    let id = check_ids(parameters, id_type)?;
    let meeting = tenant.find_meeting(named, now_s).ok_or(NO_MEETING)?;
    let is_stay = |stay: &SimulatedStay| stay.join_s == join_s && id.is_of(stay);
    let Some(stay) = tenant.all_stays_of(&meeting).into_iter().find(is_stay) else {
        let is_external = matches!(id, Id::User(user, _) if tenant.is_external_user(&meeting, user, id_type));
        return Err(if is_external { NO_SUCH_ID } else { NO_DEVICE });
    };
    if stay.meeting_end_s + i64::from(tenant.settings().data_delay_s) > now_s {
        return Err(NO_MEETING);
    }
    let token = parameters.get("page_token");
    let read = |token| read_token(tenant.settings().seed, stay.key.0, token).ok_or(PARAM_ERROR);
    let place = token.map_or(Ok(Place::default()), read)?;
    let (count, has_token) = (stay.sample_count, token.is_some());
    let (endpoint, what) = (Endpoint::Quality, What::Stay(stay));
    Ok(Asked { endpoint, what, count, listed_s: now_s, page_size, has_token, place })
}

/// The participant that a request names.
enum Id<'a> {
    User(&'a str, UserIdType),
    Room(&'a str),
}

impl Id<'_> {
    fn is_of(&self, stay: &SimulatedStay) -> bool {
        match self {
            Self::User(id, id_type) => stay.user_id(*id_type).as_deref() == Some(id),
            Self::Room(id) => stay.room_id().as_deref() == Some(id),
        }
    }
}

fn check_ids(parameters: &Parameters, id_type: UserIdType) -> Result<Id<'_>, Violation> {
    match (parameters.get("user_id"), parameters.get("room_id")) {
        (Some(_), Some(_)) => Err(TWO_IDS),
        (None, None) => Err(PARAM_ERROR),
        (Some(user), None) => check_user_id(user, id_type).map(|()| Id::User(user, id_type)),
        (None, Some(room)) => Ok(Id::Room(room)),
    }
}

/// A page token: where the next page begins, after so many empty ones in its place, with a mark that only the server can
/// make for this stay.
fn page_token(seed: u64, stay: u64, Place { first, empty_pages }: Place) -> String {
    let place = u64::from(empty_pages) << 32 | u64::from(first);
    let mark: u64 = stream(seed, Purpose::PageToken, stay, place).random();
    if empty_pages == 0 { format!("{first}-{mark:016x}") } else { format!("{first}.{empty_pages}-{mark:016x}") }
}

fn read_token(seed: u64, stay: u64, token: &str) -> Option<Place> {
    let place = token.split_once('-')?.0;
    let (first, empty_pages) = place.split_once('.').unwrap_or((place, "0"));
    let place = Place { first: first.parse().ok()?, empty_pages: empty_pages.parse().ok()? };
    (page_token(seed, stay, place) == token).then_some(place)
}

/// A page, before it is written.
pub(super) struct Page {
    /// The items in it, by index.
    pub(super) items: Range<u32>,
    pub(super) has_more: bool,
    /// The token of the page after this one.
    pub(super) next_token: Option<String>,
}

impl Page {
    /// The page that was asked for. It may begin with the last item of the page before.
    pub(super) fn of(asked: &Asked, seed: u64, repeats_item: bool) -> Self {
        let count = asked.count;
        let first = asked.place.first.min(count).saturating_sub(u32::from(repeats_item));
        let end = first.saturating_add(asked.page_size).min(count);
        let has_more = end < count;
        let token = || asked.token(seed, Place { first: end, empty_pages: 0 });
        Self { items: first..end, has_more, next_token: has_more.then(token) }
    }

    /// The page of samples as the API writes it: without a page token where there is no more.
    pub(super) fn samples(&self, samples: Samples) -> Reply {
        let mut body = String::with_capacity(256 + 1300 * self.items.len());
        body.push_str(r#"{"code":0,"msg":"success","data":{"participant_quality_list":["#);
        for index in self.items.clone() {
            if index > self.items.start {
                body.push(',');
            }
            samples.write(index, &mut body, |_, _| ());
        }
        body.push(']');
        self.end(body)
    }

    /// The page of a list as the API writes it.
    pub(super) fn list(&self, key: &str, items: &Value) -> Reply {
        self.end(format!(r#"{{"code":0,"msg":"success","data":{{"{key}":{items}"#))
    }

    /// The page of a list that has no items, in one of the ways to write none.
    pub(super) fn empty_list(&self, key: &str, way: u32) -> Reply {
        match way {
            0 => self.end(r#"{"code":0,"msg":"success","data":{"total":0"#.into()),
            1 => self.list(key, &Value::Null),
            _ => self.list(key, &Value::Array(Vec::new())),
        }
    }

    fn end(&self, mut body: String) -> Reply {
        if let Some(token) = &self.next_token {
            let _ = write!(body, ",\"page_token\":\"{token}\"");
        }
        let _ = write!(body, ",\"has_more\":{}}}}}", self.has_more);
        Reply::json(200, body).with_code(0)
    }
}
