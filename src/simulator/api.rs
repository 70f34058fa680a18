//! What a request for data asks for, at each of the three endpoints.

use super::{
    endpoint::Endpoint,
    list_api,
    page::Asked,
    parameters::{Parameters, Violation},
    quality_api,
    tenant::Tenant,
};

/// Checks the parameters of a request that arrives at `now_s` and finds what they name.
pub(super) fn check(endpoint: Endpoint, tenant: &Tenant, now_s: i64, query: &str) -> Result<Asked, Violation> {
    let parameters = Parameters::read(query)?;
    match endpoint {
        Endpoint::Quality => quality_api::check_stay(tenant, now_s, &parameters),
        Endpoint::Meetings => list_api::check_window(tenant, now_s, &parameters),
        Endpoint::Participants => list_api::check_meeting(tenant, now_s, &parameters),
    }
}
