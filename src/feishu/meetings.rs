//! The endpoint `meeting_list`: the request for a page of the meetings of a span of time, and what the page holds.

use std::ops::Range;

use url::form_urlencoded;

use super::{
    Remedies, Row,
    answer::Remedy,
    page::{Page, list_page},
};
use crate::{
    config::{Discover, UserIdType},
    stay::SAMPLES_PER_PAGE,
    tables::meetings::MEETINGS,
};

const PATH: &str = "/open-apis/vc/v1/meeting_list";

/// What of the protocol is this endpoint's own.
pub(super) const ROW: Row = Row {
    read_page,
    no_permission: permission_to_list!("meetings", "meeting_list"),
    no_scope: scope_to_list!("meetings", "meeting_list"),
};

/// The path and query that ask for the page at `page_token`, or for the first one, of the ended meetings within a span of unix
/// seconds.
pub fn request(span_s: &Range<i64>, discover: &Discover, user_id_type: UserIdType, page_token: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::for_suffix(format!("{PATH}?"), PATH.len() + 1);
    query
        .append_pair("start_time", &span_s.start.to_string())
        .append_pair("end_time", &span_s.end.to_string())
        .append_pair("page_size", &SAMPLES_PER_PAGE.to_string())
        .append_pair("user_id_type", user_id_type.as_str());
    if discover.include_external_meetings {
        query.append_pair("include_external_meetings", "true");
    }
    if discover.include_webinar {
        query.append_pair("include_webinar", "true");
    }
    if let Some(token) = page_token {
        query.append_pair("page_token", token);
    }
    query.finish()
}

/// Reads the body of a success.
pub fn read_page(body: &[u8]) -> Option<Page> {
    list_page(body, &MEETINGS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_asks_for_what_the_configuration_includes() {
        let plain = Discover {
            meetings: None,
            participants: None,
            include_external_meetings: false,
            include_webinar: false,
            personal: Vec::new(),
        };
        let all = Discover { include_external_meetings: true, include_webinar: true, ..plain.clone() };
        let span = 1_000..2_000;
        let path = "/open-apis/vc/v1/meeting_list?start_time=1000&end_time=2000&page_size=100&user_id_type=open_id";
        assert_eq!(request(&span, &plain, UserIdType::OpenId, None), path);
        assert_eq!(
            request(&span, &all, UserIdType::OpenId, Some("a&b")),
            format!("{path}&include_external_meetings=true&include_webinar=true&page_token=a%26b")
        );
    }
}
