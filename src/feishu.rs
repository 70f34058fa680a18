//! The vendor's protocol: nothing outside of this module knows it.
//!
//! What the endpoints do not share stands in a file for each of them, and in the table here.

/// What to do where somebody may not list `$what` at `$endpoint`.
macro_rules! permission_to_list {
    ($what:literal, $endpoint:literal) => {
        Remedies {
            tenant: Remedy(concat!(
                "listing ",
                $what,
                " (`",
                $endpoint,
                "`) needs the scope `vc:room:readonly` or `vc:rooms.room.detailinfo:read`, and the person who created the app the \
                 admin right \"Video conferencing > Meeting management\"; many tenants let only a signed-in user list ",
                $what,
                ", not an app: then somebody with that right signs in with `vcq login`, and `[auth] as = \"user\"`; `vcq check` tells \
                 which is missing",
            )),
            user: Remedy(concat!(
                "listing ",
                $what,
                " (`",
                $endpoint,
                "`) needs the admin right \"Video conferencing > Meeting management\" of the person who signed in: let an \
                 administrator give it, or let somebody who has it sign in with `vcq login`",
            )),
            given: Remedy(concat!(
                "for listing ",
                $what,
                " (`",
                $endpoint,
                "`) the access token in `auth.access_token_file` must be that of a person with the admin right \"Video conferencing \
                 > Meeting management\", or of an app that such a person created",
            )),
        }
    };
}

/// What to do where there is no scope for it.
macro_rules! scope_to_list {
    ($what:literal, $endpoint:literal) => {
        Remedies {
            tenant: Remedy(concat!(
                "listing ",
                $what,
                " (`",
                $endpoint,
                "`) needs the scope `vc:room:readonly` or `vc:rooms.room.detailinfo:read`: grant it to the app and publish a version \
                 of the app; where your console offers it for users only, let somebody sign in with `vcq login`, and set `[auth] as = \
                 \"user\"`",
            )),
            user: Remedy(concat!(
                "listing ",
                $what,
                " (`",
                $endpoint,
                "`) needs the scope `vc:room:readonly` or `vc:rooms.room.detailinfo:read`: give it to the app for users and publish a \
                 version of it, name it in `auth.scopes`, and sign in again with `vcq login`",
            )),
            given: Remedy(concat!(
                "for listing ",
                $what,
                " (`",
                $endpoint,
                "`) the access token in `auth.access_token_file` must have the scope `vc:room:readonly` or \
                 `vc:rooms.room.detailinfo:read`",
            )),
        }
    };
}

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
