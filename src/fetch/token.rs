//! The access token of a run: renewed before it ends, by one request at a time.

use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use rand::{Rng, SeedableRng, rngs::StdRng};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep};

use super::{Ended, Terms, retry};
use crate::{
    access::NoToken,
    error::Error,
    event::Event,
    feishu::{
        answer::{Remedy, Said},
        auth::{Token, TokenError},
    },
};

type Renewal<'a> = LocalBoxFuture<'a, Result<Token, NoToken>>;

/// The current token and the request for the next one.
pub(super) struct Tokens<'a> {
    terms: &'a Terms<'a>,
    current: Option<Current>,
    /// Counts the tokens issued, so that a refusal of an older one is not held against the current one.
    generation: u64,
    /// The token that the API has refused, if that is why another one is asked for.
    refused: Option<SecretString>,
    renewal: Option<Renewal<'a>>,
}

struct Current {
    secret: SecretString,
    renew_at: Instant,
    ends_at: Instant,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(terms: &'a Terms<'a>) -> Self {
        Self { terms, current: None, generation: 0, refused: None, renewal: None }
    }

    /// True if there is a token that the API should still accept.
    pub(super) fn is_ready(&self, now: Instant) -> bool {
        self.current.as_ref().is_some_and(|current| current.ends_at > now)
    }

    /// True if a new token should be asked for, beside the requests that the current one still serves.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.current.as_ref().is_none_or(|current| current.renew_at <= now)
    }

    /// The token and its generation.
    ///
    /// # Panics
    ///
    /// If no token was ever issued: [`Tokens::is_ready`] says so.
    pub(super) fn current(&self) -> (SecretString, u64) {
        let current = self.current.as_ref().expect("a request is sent only once a token is ready");
        (current.secret.clone(), self.generation)
    }

    /// Forgets the current token if it is of this generation.
    pub(super) fn drop_generation(&mut self, generation: u64) {
        if self.generation == generation {
            self.refused = self.current.take().map(|current| current.secret).or(self.refused.take());
        }
    }

    /// Waits for a token, and says whether it is another one. May be dropped and called again: the request under way goes on.
    ///
    /// # Errors
    ///
    /// If this machine cannot keep it; what the API says is how the run ends.
    pub(super) async fn renew(&mut self) -> Result<Result<bool, Ended>, Error> {
        let terms = self.terms;
        let is_first = self.generation == 0;
        let refused = &self.refused;
        let renewal = self.renewal.get_or_insert_with(|| Box::pin(request_token(terms, is_first, refused.clone())));
        let renewed = renewal.await;
        self.renewal = None;
        let token = match renewed {
            Ok(token) => token,
            Err(NoToken::Local(error)) => return Err(error),
            Err(NoToken::Refused(TokenError::Transient(said))) => {
                return Ok(Err(Ended::Early(format!("no access token: {said}"))));
            }
            Err(NoToken::Refused(TokenError::NoWay(error))) => {
                return Ok(Err(Ended::Early(format!("no access token: {error}; {}", error.remedy()))));
            }
            Err(NoToken::Refused(TokenError::Denied(said, remedy))) => return Ok(Err(Ended::Denied(said, remedy))),
        };
        // A given token that has not changed is the same one, whose refusal counts.
        let is_same = |current: &Current| current.secret.expose_secret() == token.secret.expose_secret();
        let is_new = !self.current.as_ref().is_some_and(is_same);
        self.generation += u64::from(is_new);
        self.refused = None;
        let now = Instant::now();
        let (renew_at, ends_at) = (now + token.renew_in, now + token.life);
        self.current = Some(Current { secret: token.secret, renew_at, ends_at });
        Ok(Ok(is_new))
    }

    /// Waits for an answer that nobody can ask for a second time, if one is under way. What it brings is kept for the next run.
    pub(super) async fn settle(&mut self) {
        if let Some(mut renewal) = self.renewal.take() {
            self.terms.asker.settle(renewal.as_mut()).await;
        }
    }
}

/// Asks for a token, again after each fault that passes, for as long as an outage is sat out. What keeps every answer away from the
/// start on, before there was a first token, may not pass.
async fn request_token(terms: &Terms<'_>, is_first: bool, refused: Option<SecretString>) -> Result<Token, NoToken> {
    let mut jitter = StdRng::seed_from_u64(terms.start.seed);
    let mut attempts = 0;
    let mut is_start = is_first;
    let began = Instant::now();
    loop {
        let error = match terms.asker.token(terms.transport, terms.start, refused.as_ref()).await {
            Ok(token) => return Ok(token),
            Err(NoToken::Refused(TokenError::NoWay(error))) if is_start && error.is_lasting() => {
                let said = Said { text: error.to_string(), log_id: None };
                return Err(TokenError::Denied(said, Remedy(error.remedy())).into());
            }
            Err(NoToken::Refused(error)) => error,
            Err(error) => return Err(error),
        };
        is_start &= matches!(error, TokenError::NoWay(_));
        attempts += 1;
        let wait = match &error {
            TokenError::Transient(_) | TokenError::NoWay(_) => {
                let is_sat_out = began.elapsed() < terms.config.retry.outage_max;
                retry::backoff(attempts, if is_sat_out { u32::MAX } else { 0 }, jitter.random())
            }
            TokenError::Denied(..) => None,
        };
        match wait {
            Some(wait) => {
                let wait = wait.max(Duration::from_millis(1));
                (terms.emit)(Event::NoToken { why: &error.why(), wait });
                sleep(wait).await;
            }
            None => return Err(error.into()),
        }
    }
}
