//! The vendor's protocol: nothing outside of this module knows it.
//!
//! What the endpoints do not share stands in a file for each of them, and in the table here.

pub mod answer;
pub mod auth;
pub mod body;
pub mod meetings;
pub mod page;
pub mod participants;
pub mod quality;
pub mod transport;

use chrono::{DateTime, Utc};

use self::{
    answer::{Outcome, Remedy, classify, envelope},
    transport::{Answer, TransportError},
};
use crate::endpoint::Endpoint;

/// Whose token a request carries: what a refusal means, and what helps, depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer {
    /// The app's own.
    Tenant,
    /// That of a person who signed in.
    User,
    /// Somebody's: it was given.
    Given,
}

/// What of the protocol is an endpoint's own, besides the request for a page.
struct Row {
    /// Reads the body of a success.
    read_page: fn(&[u8]) -> Option<page::Page>,
    /// What to do about its 121005.
    no_permission: Remedies,
    /// What to do when the app, or the token, lacks its scope.
    no_scope: Remedies,
}

/// What to do, by whose token was refused.
struct Remedies {
    tenant: Remedy,
    user: Remedy,
    given: Remedy,
}

impl Remedies {
    fn of(&self, bearer: Bearer) -> Remedy {
        match bearer {
            Bearer::Tenant => self.tenant,
            Bearer::User => self.user,
            Bearer::Given => self.given,
        }
    }
}

fn row(endpoint: Endpoint) -> Row {
    match endpoint {
        Endpoint::Quality => quality::ROW,
        Endpoint::Meetings => meetings::ROW,
        Endpoint::Participants => participants::ROW,
    }
}

/// Decides what an endpoint's answer to this bearer, or its absence, means. `now` resolves a `Retry-After` date.
pub fn meaning(
    endpoint: Endpoint,
    bearer: Bearer,
    answer: &Result<Answer, TransportError>,
    now: DateTime<Utc>,
) -> Outcome {
    classify(answer, now, &row(endpoint), bearer)
}

/// Why a stored body cannot be landed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is an error of the API with this code.
    Error(i64),
    /// It is not the documented JSON.
    Unreadable,
}

/// Checks a body that was stored earlier, perhaps by another program, as strictly as the body of an answer.
pub fn read_stored(endpoint: Endpoint, body: &[u8]) -> Result<page::Page, Unusable> {
    match envelope(body).ok_or(Unusable::Unreadable)?.code {
        0 => (row(endpoint).read_page)(body).ok_or(Unusable::Unreadable),
        code => Err(Unusable::Error(code)),
    }
}

/// What to do when an endpoint refuses everything of this bearer with "no permission".
pub fn no_permission_remedy(endpoint: Endpoint, bearer: Bearer) -> Remedy {
    row(endpoint).no_permission.of(bearer)
}
