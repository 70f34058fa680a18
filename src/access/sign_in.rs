//! A sign-in: whose it is, its tokens and when they end. Pure; it is kept by [`super::sign_in_file`].

use std::{fmt, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{
    config::Config,
    feishu::auth::user::{Person, UserTokens},
    printable::Printable,
};

/// Version of the file's form. A newer one is refused.
pub(super) const SIGN_IN_VERSION: u32 = 1;

/// After so long the person must consent anew, however often the tokens are renewed.
const CONSENT_LIFE: TimeDelta = TimeDelta::days(365);

/// A sign-in as it is kept. It has no `Debug`: its tokens are secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct SignIn {
    #[serde(rename = "sign_in_version")]
    pub(super) version: u32,
    /// Grows with each change, so that of two files the newer one is known.
    pub(super) serial: u64,
    pub(super) app_id: String,
    pub(super) base_url: String,
    pub(super) person: Option<Person>,
    pub(super) scope: String,
    pub(super) consented_at: DateTime<Utc>,
    pub(super) renewed_at: DateTime<Utc>,
    pub(super) access: Kept,
    pub(super) refresh: Option<Kept>,
    /// What the API said, if it has refused to renew these tokens.
    pub(super) refused: Option<Refused>,
}

/// A token and how long it lives from when it was issued.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    #[serde(with = "exposed")]
    pub(super) token: SecretString,
    pub(super) life_s: u64,
}

/// A renewal that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// When.
    pub at: DateTime<Utc>,
    /// What was said.
    pub said: String,
    /// Whether the answer of a renewal before it had been lost.
    pub(super) is_cut: bool,
}

/// The one place where a token is written as text.
mod exposed {
    use secrecy::{ExposeSecret as _, SecretString};
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(token: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(token.expose_secret())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
        String::deserialize(deserializer).map(SecretString::from)
    }
}

impl SignIn {
    /// That of tokens which were given at `now` for a consent.
    pub fn new(config: &Config, tokens: UserTokens, now: DateTime<Utc>) -> Self {
        let kept = |(token, life): (SecretString, Duration)| Kept { token, life_s: life.as_secs() };
        Self {
            version: SIGN_IN_VERSION,
            serial: 1,
            app_id: config.app_id.clone(),
            base_url: config.api.base_url.to_string(),
            person: None,
            scope: tokens.scope,
            consented_at: now,
            renewed_at: now,
            access: kept(tokens.access),
            refresh: tokens.refresh.map(kept),
            refused: None,
        }
    }

    /// The same, to take the place of what was there before.
    #[must_use]
    pub fn after(self, before: Option<&Self>) -> Self {
        Self { serial: before.map_or(1, |before| before.serial + 1), ..self }
    }

    /// The same with the tokens that were given for its refresh token at `now`.
    pub(super) fn renewed(&self, tokens: UserTokens, config: (&str, &str), now: DateTime<Utc>) -> Self {
        let kept = |(token, life): (SecretString, Duration)| Kept { token, life_s: life.as_secs() };
        Self {
            serial: self.serial + 1,
            app_id: config.0.to_owned(),
            base_url: config.1.to_owned(),
            scope: if tokens.scope.is_empty() { self.scope.clone() } else { tokens.scope },
            renewed_at: now,
            access: kept(tokens.access),
            refresh: tokens.refresh.map(kept),
            refused: None,
            ..self.clone()
        }
    }

    /// Who signed in, as far as it is known.
    pub fn person(&self) -> Option<&Person> {
        self.person.as_ref()
    }

    /// What they consented to.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// The access token.
    pub fn access_token(&self) -> &SecretString {
        &self.access.token
    }

    /// How much of the access token's life is left at `now`: never more than it had, whatever the clock shows.
    pub(super) fn access_left(&self, now: DateTime<Utc>) -> Duration {
        let left = ends_at(self.renewed_at, self.access.life_s) - now;
        left.to_std().unwrap_or_default().min(self.access_life())
    }

    pub(super) fn access_life(&self) -> Duration {
        Duration::from_secs(self.access.life_s)
    }

    /// When it ends.
    pub fn ends(&self) -> Ends {
        let last = self.refresh.as_ref().unwrap_or(&self.access);
        Ends {
            unless_renewed: ends_at(self.renewed_at, last.life_s),
            at_the_latest: self.refresh.is_some().then(|| self.consented_at + CONSENT_LIFE),
        }
    }
}

fn ends_at(issued: DateTime<Utc>, life_s: u64) -> DateTime<Utc> {
    let life = i64::try_from(life_s).ok().and_then(TimeDelta::try_seconds).unwrap_or(TimeDelta::MAX);
    issued.checked_add_signed(life).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// When a sign-in ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// If nothing renews it before.
    pub unless_renewed: DateTime<Utc>,
    /// However often it is renewed, by the vendor's documentation; none: it cannot be renewed at all.
    pub at_the_latest: Option<DateTime<Utc>>,
}

impl Ends {
    /// When it ends for somebody who works all the time, and so renews it.
    pub fn at_work(&self) -> DateTime<Utc> {
        self.at_the_latest.unwrap_or(self.unless_renewed)
    }

    /// When it ends for somebody who does nothing.
    pub fn idle(&self) -> DateTime<Utc> {
        self.at_the_latest.map_or(self.unless_renewed, |latest| latest.min(self.unless_renewed))
    }
}

/// How a sign-in stands, for `plan` and `status`.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    /// The name of the person, as far as it is known.
    pub name: Option<String>,
    /// Their id within the app.
    pub open_id: Option<String>,
    /// When it ends if nothing renews it before; none: nobody is signed in.
    pub ends_at: Option<DateTime<Utc>>,
    /// When the person must consent anew, however often it is renewed; none: it cannot be renewed.
    pub consent_ends_at: Option<DateTime<Utc>>,
    /// What is wrong with it, or will be before the work is done.
    pub warning: Option<String>,
    #[serde(skip)]
    zone: Tz,
}

impl Standing {
    /// There is none that could be used.
    pub fn unusable(warning: String, zone: Tz) -> Self {
        Self { name: None, open_id: None, ends_at: None, consent_ends_at: None, warning: Some(warning), zone }
    }

    /// That of `sign_in` for somebody who has work for so many seconds from `now` on.
    pub fn of(sign_in: Option<&SignIn>, zone: Tz, now: DateTime<Utc>, work_s: u64) -> Self {
        let Some(sign_in) = sign_in else {
            return Self::unusable("nobody is signed in, and `auth.as` is `user`: `vcq login`".to_owned(), zone);
        };
        let ends = sign_in.ends();
        let person = sign_in.person.as_ref();
        Self {
            name: person.map(|person| person.name.clone()),
            open_id: person.map(|person| person.open_id.clone()),
            ends_at: Some(ends.unless_renewed),
            consent_ends_at: ends.at_the_latest,
            warning: warning(sign_in, zone, now, work_s),
            zone,
        }
    }
}

fn warning(sign_in: &SignIn, zone: Tz, now: DateTime<Utc>, work_s: u64) -> Option<String> {
    let ends = sign_in.ends();
    let work = i64::try_from(work_s).ok().and_then(TimeDelta::try_seconds).unwrap_or(TimeDelta::MAX);
    let done_at = now.checked_add_signed(work).unwrap_or(DateTime::<Utc>::MAX_UTC);
    let shown = |at: DateTime<Utc>| shown(at, zone);
    if let Some(Refused { at, said, .. }) = &sign_in.refused {
        return Some(format!(
            "it was refused on {} ({said}): `vcq check` tries it again and says what to do, or sign in again with `vcq login`",
            shown(*at)
        ));
    }
    if ends.idle() <= now {
        return Some("by this machine's clock it is over: sign in again with `vcq login`".into());
    }
    let is_too_short = ends.at_work() < done_at;
    let Some(latest) = ends.at_the_latest else {
        let work = if is_too_short {
            format!("the work takes until {} at least, and ", shown(done_at))
        } else {
            String::new()
        };
        return Some(format!(
            "{work}this sign-in ends on {} and cannot be renewed: switch on the refreshing of user tokens in the app's security \
             settings, and sign in again with `vcq login`",
            shown(ends.unless_renewed)
        ));
    };
    is_too_short.then(|| {
        format!(
            "the work takes until {} at least, and the consent ends on {}: sign in again with `vcq login` before that",
            shown(done_at),
            shown(latest)
        )
    })
}

/// A moment for people, in the configured zone.
pub fn shown(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).format("%Y-%m-%d %H:%M %Z").to_string()
}

/// The lines of a sign-in, if there is one to tell of: who and until when, and what is wrong with it.
pub fn write_sign_in(f: &mut fmt::Formatter<'_>, head: &str, standing: Option<&Standing>) -> fmt::Result {
    let Some(standing) = standing else { return Ok(()) };
    writeln!(f, "{head}{standing}")?;
    match &standing.warning {
        Some(warning) => writeln!(f, "{:width$}WARNING: {}", "", Printable(warning), width = head.len()),
        None => Ok(()),
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.ends_at, self.consent_ends_at) {
            (Some(ends_at), latest) => {
                let who = self.name.as_deref().or(self.open_id.as_deref()).unwrap_or("somebody");
                write!(f, "{} until {}", Printable(who), shown(ends_at, self.zone))?;
                match latest {
                    Some(latest) => write!(f, ", each run renews it; by consent until {}", shown(latest, self.zone)),
                    None => f.write_str(", and it cannot be renewed"),
                }
            }
            (None, _) => f.write_str("none"),
        }
    }
}
