//! The endpoint `participant_list`: the request for a page of a meeting's participants, and what the page holds.

use url::form_urlencoded;

use super::{
    Remedies, Row,
    answer::Remedy,
    page::{Page, list_page},
};
use crate::{config::UserIdType, meeting::Meeting, stay::SAMPLES_PER_PAGE, tables::participants::PARTICIPANTS};

const PATH: &str = "/open-apis/vc/v1/participant_list";

/// What of the protocol is this endpoint's own.
pub(super) const ROW: Row = Row {
    read_page,
    no_permission: permission_to_list!("participants", "participant_list"),
    no_scope: scope_to_list!("participants", "participant_list"),
};

/// The path and query that ask for the page at `page_token`, or for the first one. The meeting is over, and its end is known.
pub fn request(meeting: &Meeting, user_id_type: UserIdType, page_token: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::for_suffix(format!("{PATH}?"), PATH.len() + 1);
    query
        .append_pair("meeting_start_time", &meeting.start_s.to_string())
        .append_pair("meeting_end_time", &meeting.end_s.unwrap_or(meeting.start_s).to_string())
        .append_pair("meeting_no", meeting.no.as_str())
        .append_pair("page_size", &SAMPLES_PER_PAGE.to_string())
        .append_pair("user_id_type", user_id_type.as_str());
    if let Some(token) = page_token {
        query.append_pair("page_token", token);
    }
    query.finish()
}

/// Reads the body of a success.
pub fn read_page(body: &[u8]) -> Option<Page> {
    list_page(body, &PARTICIPANTS)
}
