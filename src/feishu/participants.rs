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
    no_permission: Remedies {
        tenant: Remedy(
            "listing participants (`participant_list`) needs the scope `vc:room:readonly` or `vc:rooms.room.detailinfo:read`, and the person who \
             created the app the admin right \"Video conferencing > Meeting management\"; many tenants let only a signed-in user \
             list participants, not an app: then somebody with that right signs in with `vcq login`, and `[auth] as = \"user\"`; \
             `vcq check` tells which is missing",
        ),
        user: Remedy(
            "listing participants (`participant_list`) needs the admin right \"Video conferencing > Meeting management\" of the person who signed \
             in: let an administrator give it, or let somebody who has it sign in with `vcq login`",
        ),
        given: Remedy(
            "for listing participants (`participant_list`) the access token in `auth.access_token_file` must be that of a person with the admin \
             right \"Video conferencing > Meeting management\", or of an app that such a person created",
        ),
    },
    no_scope: Remedies {
        tenant: Remedy(
            "listing participants (`participant_list`) needs the scope `vc:room:readonly` or `vc:rooms.room.detailinfo:read`: grant it to the app \
             and publish a version of the app; where your console offers it for users only, let somebody sign in with `vcq login`, \
             and set `[auth] as = \"user\"`",
        ),
        user: Remedy(
            "listing participants (`participant_list`) needs the scope `vc:room:readonly` or `vc:rooms.room.detailinfo:read`: give it to the app for \
             users and publish a version of it, name it in `auth.scopes`, and sign in again with `vcq login`",
        ),
        given: Remedy(
            "for listing participants (`participant_list`) the access token in `auth.access_token_file` must have the scope `vc:room:readonly` or \
             `vc:rooms.room.detailinfo:read`",
        ),
    },
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
