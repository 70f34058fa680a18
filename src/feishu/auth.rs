//! Where an access token comes from, as far as the vendor decides it: what is asked, and what the answers mean.
//!
//! A token that somebody else keeps in a file is no matter of the protocol, and is not here.

pub mod tenant;
pub mod user;

use std::time::Duration;

use secrecy::SecretString;

use super::{
    answer::{Remedy, Said},
    transport::TransportError,
};

/// A token that was just issued, or is still good.
pub struct Token {
    /// The value for `Authorization: Bearer`.
    pub secret: SecretString,
    /// How long to use it before another one is asked for.
    pub renew_in: Duration,
    /// How long the API accepts it.
    pub life: Duration,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// Worth another attempt.
    Transient(Said),
    /// No answer came: worth another attempt, unless the cause is one that lasts and there never was an answer.
    NoWay(TransportError),
    /// Only a person can mend this: the credentials are wrong, the app is not usable, or a sign-in is over.
    Denied(Said, Remedy),
}

impl TokenError {
    /// What was said, for log lines, and where no answer came, what to look at.
    pub fn why(&self) -> String {
        match self {
            Self::Transient(said) | Self::Denied(said, _) => format!("no access token: {said}"),
            Self::NoWay(error) => format!("no access token: {error}; {}", error.remedy()),
        }
    }
}

/// A token is renewed when less than this is left of its life.
const RENEW_BEFORE_END: Duration = Duration::from_secs(5 * 60);

/// How long to use a token of this life: a token of a short life for half of it, for waiting for its last five minutes would
/// mean asking all the time.
pub fn renew_in(life: Duration) -> Duration {
    life.saturating_sub(RENEW_BEFORE_END).max(life / 2)
}
