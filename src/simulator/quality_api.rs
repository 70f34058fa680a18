//! `GET /open-apis/vc/v1/participant_quality_list` as its page documents it: what is checked.

use super::{
    endpoint::Endpoint,
    page::{Asked, Place, What, read_token},
    parameters::{
        NO_DEVICE, NO_MEETING, NO_SUCH_ID, PARAM_ERROR, Parameters, TWO_IDS, Violation, check_number, check_times,
        check_user_id,
    },
    tenant::{Named, SimulatedStay, Tenant, UserIdType},
};

/// Checks a request for the samples of a stay.
pub(super) fn check_stay(tenant: &Tenant, now_s: i64, parameters: &Parameters) -> Result<Asked, Violation> {
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
    let is_partial = stay.meeting_end_s + i64::from(tenant.settings().partial_for_s) > now_s;
    let count = if is_partial { stay.sample_count.div_ceil(3) } else { stay.sample_count };
    let has_token = token.is_some();
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
