//! The endpoint `participant_quality_list`: the request for a page of a stay's samples, and what the page holds.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;
use url::form_urlencoded;

use super::{
    Remedies, Row,
    answer::Remedy,
    page::{Page, data, next},
};
use crate::{
    config::UserIdType,
    read::decode::{Unknown, decode},
    stay::{Participant, SAMPLES_PER_PAGE, Stay},
};

const PATH: &str = "/open-apis/vc/v1/participant_quality_list";

/// What of the protocol is this endpoint's own.
pub(super) const ROW: Row = Row {
    read_page,
    no_permission: Remedies {
        tenant: Remedy(
            "the app needs the scope `vc:room:readonly`, and the person who created it the admin right \"Video conferencing > \
             Meeting management\"; many tenants let no app ask for itself: then somebody with that right signs in with `vcq login`, \
             and `[auth] as = \"user\"`; `vcq check` tells which is missing",
        ),
        user: Remedy(
            "the person who signed in needs the admin right \"Video conferencing > Meeting management\": let an administrator give \
             it, or let somebody who has it sign in with `vcq login`",
        ),
        given: Remedy(
            "the access token in `auth.access_token_file` must be that of a person with the admin right \"Video conferencing > \
             Meeting management\", or of an app that such a person created",
        ),
    },
    no_scope: Remedies {
        tenant: Remedy(
            "grant the app the scope `vc:room:readonly` and publish a version of the app; where your console offers it for users \
             only, let somebody sign in with `vcq login`, and set `[auth] as = \"user\"`",
        ),
        user: Remedy(
            "give the app the scope `vc:room:readonly` for users and publish a version of it, name it in `auth.scopes`, and sign in \
             again with `vcq login`",
        ),
        given: Remedy("the access token in `auth.access_token_file` must have the scope `vc:room:readonly`"),
    },
};

/// The path and query that ask for the page at `page_token`, or for the first one.
pub fn request(stay: &Stay, user_id_type: UserIdType, page_token: Option<&str>) -> String {
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

#[derive(Debug, Default, Deserialize)]
struct Data {
    /// Missing and null mean no samples; anything else than a list is not the documented form.
    #[serde(default, rename = "participant_quality_list")]
    _list: Option<Vec<IgnoredAny>>,
    #[serde(default)]
    has_more: Value,
    #[serde(default)]
    page_token: Value,
}

/// Reads the body of a success. A page is landed only if phase 2 can read it, so it is decoded once here.
fn read_page(body: &[u8]) -> Option<Page> {
    let items = decode(body, &mut Unknown::default(), |_| {}).ok()?;
    let data: Data = data(body)?;
    Some(Page { items, next: next(&data.has_more, &data.page_token)? })
}

#[cfg(test)]
mod tests;
