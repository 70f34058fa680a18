//! `GET /open-apis/vc/v1/meeting_list` and `…/participant_list` as their pages document them: what is checked, and the
//! items of a page.

use rand::Rng as _;
use serde_json::Value;

use super::{
    attendances::Attended,
    endpoint::Endpoint,
    lists::ExtraKind,
    meetings::Wanted,
    page::{Asked, AskedMeeting, PageDraft, Place, What, read_list_token},
    parameters::{
        DATA_NOT_EXIST, NO_MEETING, NO_ROOM_FILTER, PARAM_ERROR, PERIOD, Parameters, START_TIME, TOO_FAR_AHEAD,
        TWO_FILTERS, TWO_IDS, Violation, check_number, check_times, check_user_id,
    },
    random::{Purpose, stream},
    reply::Reply,
    tenant::{DAY_S, Meeting, Named, Tenant, UserIdType},
};

/// A window of `meeting_list` is at most a year long.
const WINDOW_S_MAX: i64 = 365 * DAY_S;

/// It ends at most a month from now.
const AHEAD_S_MAX: i64 = 30 * DAY_S;

/// Which meetings or attendances are wanted, besides those of the window or meeting.
enum Filter<'a> {
    Everything,
    Nothing,
    Number(u64),
    User(&'a str, UserIdType),
    Room(&'a str),
}

impl<'a> Filter<'a> {
    /// The one participant that is wanted.
    fn by_id(tenant: &Tenant, parameters: &'a Parameters) -> Result<Self, Violation> {
        let id_type = parameters.id_type()?;
        match (parameters.get("user_id"), parameters.get("room_id")) {
            (Some(_), Some(_)) => Err(TWO_IDS),
            (Some(user), None) => check_user_id(user, id_type).map(|()| Self::User(user, id_type)),
            (None, Some(_)) if tenant.settings().lists.refuses_room_filter => Err(NO_ROOM_FILTER),
            (None, Some(room)) => Ok(Self::Room(room)),
            (None, None) => Ok(Self::Everything),
        }
    }

    fn of_window(tenant: &Tenant, parameters: &'a Parameters) -> Result<Self, Violation> {
        let names = ["meeting_no", "user_id", "room_id", "meeting_type"];
        if names.iter().filter(|name| parameters.get(name).is_some()).count() > 1 {
            return Err(TWO_FILTERS);
        }
        match (parameters.get("meeting_no"), parameters.get("meeting_type")) {
            (Some(number), _) => check_number(number).map(Self::Number),
            (None, None) => Self::by_id(tenant, parameters),
            (None, Some("1" | "2")) => Ok(Self::Everything),
            (None, Some("3")) => Ok(Self::Nothing),
            (None, Some(_)) => Err(PARAM_ERROR),
        }
    }

    fn has_attended(&self, tenant: &Tenant, attended: &Attended) -> bool {
        let seed = tenant.settings().seed;
        match self {
            Self::Everything | Self::Number(_) => true,
            Self::Nothing => false,
            Self::User(id, id_type) => attended.is_user(seed, id, *id_type),
            Self::Room(id) => attended.is_room(seed, id),
        }
    }

    fn has_meeting(&self, tenant: &Tenant, meeting: &Meeting, now_s: i64) -> bool {
        match self {
            Self::Everything => true,
            Self::Nothing => false,
            Self::Number(number) => meeting.number == *number,
            Self::User(..) | Self::Room(_) => {
                tenant.attended_at(meeting, now_s).iter().any(|attended| self.has_attended(tenant, attended))
            }
        }
    }
}

/// Checks a request for the meetings of a window of time.
pub(super) fn check_window(tenant: &Tenant, now_s: i64, parameters: &Parameters) -> Result<Asked, Violation> {
    parameters.id_type()?;
    let page_size = parameters.page_size()?;
    let (start_s, end_s) = (parameters.number("start_time")?, parameters.number("end_time")?);
    if !(0..=now_s).contains(&start_s) {
        return Err(START_TIME);
    }
    if !(start_s..=start_s.saturating_add(WINDOW_S_MAX)).contains(&end_s) {
        return Err(PERIOD);
    }
    if end_s > now_s + AHEAD_S_MAX {
        return Err(TOO_FAR_AHEAD);
    }
    let wanted = Wanted {
        start_s,
        end_s,
        is_ongoing: parameters.is_ongoing()?,
        with_external: parameters.truth("include_external_meetings")?,
        with_webinars: parameters.truth("include_webinar")?,
    };
    let filter = Filter::of_window(tenant, parameters)?;
    let what = What::Window { start_s, meetings: Vec::new() };
    let mut asked = asked(Endpoint::Meetings, what, now_s, page_size).at(tenant, parameters)?;
    let mut meetings = tenant.listed(wanted, asked.listed_s);
    meetings.retain(|meeting| filter.has_meeting(tenant, meeting, asked.listed_s));
    asked.count = u32::try_from(meetings.len()).unwrap_or(u32::MAX);
    asked.what = What::Window { start_s, meetings };
    Ok(asked)
}

/// Checks a request for the participants of a meeting.
pub(super) fn check_meeting(tenant: &Tenant, now_s: i64, parameters: &Parameters) -> Result<Asked, Violation> {
    let (id_type, page_size) = (parameters.id_type()?, parameters.page_size()?);
    let (start_s, end_s) = check_times(parameters, now_s)?;
    let number = check_number(parameters.require("meeting_no")?)?;
    let filter = Filter::by_id(tenant, parameters)?;
    let is_viewer = match parameters.get("webinar_user_role") {
        None => None,
        Some("0") => Some(false),
        Some("3") => Some(true),
        Some(_) => return Err(PARAM_ERROR),
    };
    let is_ongoing = parameters.is_ongoing()?;
    let find = |now_s| {
        let is_there =
            |meeting: &Meeting| is_ongoing && meeting.end_s > now_s || tenant.is_listed_as_ended(meeting, now_s);
        tenant.find_meeting(Named { number, start_s, end_s }, now_s).filter(is_there).ok_or(NO_MEETING)
    };
    let asked_meeting = |meeting| AskedMeeting { meeting, attended: Vec::new(), id_type };
    let what = What::Meeting(asked_meeting(find(now_s)?));
    let mut asked = asked(Endpoint::Participants, what, now_s, page_size).at(tenant, parameters)?;
    let What::Meeting(AskedMeeting { meeting, attended, .. }) = &mut asked.what else { return Ok(asked) };
    *attended = tenant.attended_at(meeting, asked.listed_s);
    if attended.is_empty() && !has_empty_list(tenant, meeting) {
        return Err(DATA_NOT_EXIST);
    }
    attended.retain(|attended| {
        filter.has_attended(tenant, attended) && is_viewer.is_none_or(|viewer| attended.is_viewer(meeting) == viewer)
    });
    asked.count = u32::try_from(attended.len()).unwrap_or(u32::MAX);
    Ok(asked)
}

fn asked(endpoint: Endpoint, what: What, now_s: i64, page_size: u32) -> Asked {
    Asked { endpoint, what, count: 0, listed_s: now_s, page_size, has_token: false, place: Place::default() }
}

impl Asked {
    /// The same, for the page that the request's page token names.
    fn at(self, tenant: &Tenant, parameters: &Parameters) -> Result<Self, Violation> {
        let Some(token) = parameters.get("page_token") else { return Ok(self) };
        let (place, listed_s) = read_list_token(tenant.settings().seed, &self, token).ok_or(PARAM_ERROR)?;
        Ok(Self { place, listed_s, has_token: true, ..self })
    }
}

/// Whether a list of no participants is a success.
fn has_empty_list(tenant: &Tenant, meeting: &Meeting) -> bool {
    let mut rng = stream(tenant.settings().seed, Purpose::EmptyList, meeting.index, 0);
    meeting.extra == Some(ExtraKind::WithoutParticipants)
        && rng.random::<f64>() < tenant.settings().lists.null_participants
}

/// Whether the page that is asked for begins with the last item of the page before.
pub(super) fn repeats_item(tenant: &Tenant, asked: &Asked) -> bool {
    let mut rng = stream(tenant.settings().seed, Purpose::Repeat, asked.thing(), u64::from(asked.place.first));
    let is_list = asked.endpoint != Endpoint::Quality;
    is_list && asked.place.first > 0 && rng.random::<f64>() < tenant.settings().lists.repeated_items
}

/// The page as the API writes it.
pub(super) fn write(tenant: &Tenant, asked: &Asked, page: &PageDraft) -> Reply {
    let key = asked.endpoint.items_key();
    let range = page.items.start as usize..page.items.end as usize;
    let items: Vec<Value> = match &asked.what {
        What::Stay(_) => Vec::new(),
        What::Window { meetings, .. } => {
            let item = |meeting: &Meeting| tenant.meeting_item(meeting, asked.listed_s).0;
            meetings.get(range).unwrap_or_default().iter().map(item).collect()
        }
        What::Meeting(AskedMeeting { meeting, attended, id_type }) => {
            let item = |attended: &Attended| tenant.attendance_item(meeting, attended, *id_type, asked.listed_s).0;
            attended.get(range).unwrap_or_default().iter().map(item).collect()
        }
    };
    let lists = &tenant.settings().lists;
    if asked.count == 0 && (lists.null_participants > 0.0 || lists.odd_forms > 0.0) {
        let way = stream(tenant.settings().seed, Purpose::EmptyList, asked.thing(), 1).random_range(0..3);
        return page.empty_list(key, way);
    }
    page.list(key, &Value::Array(items))
}
