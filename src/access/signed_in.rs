//! The access token of the person who signed in, and its renewal.
//!
//! A refresh token is single-use, and the server has used it up whether its answer arrives or not. So one process at a time asks,
//! under the lock of [`super::sign_in_file`]; another one waits and takes what the first has brought. The clock of this machine
//! decides when to ask and never whether a sign-in is over: that is for the server to say. After an answer that was lost the old
//! refresh token is tried again, for the request may never have arrived; if it has, the server says so, and only a new sign-in helps.

use std::cell::{Cell, RefCell};

use chrono_tz::Tz;
use secrecy::{ExposeSecret, SecretString};

use super::{
    NoToken,
    sign_in::{Ends, Refused, SignIn, shown},
    sign_in_file::{Found, Locked, SignInFile},
};
use crate::{
    config::Config,
    error::{Chain, Error},
    feishu::{
        answer::{Remedy, Said},
        auth::{
            Token, TokenError, renew_in,
            tenant::Credentials,
            user::{
                Person, first_login_remedy, is_refused, is_used_up, login_remedy, person_request, read_person,
                read_tokens, refresh_request, switch_remedy,
            },
        },
        transport::Transport,
    },
    printable::{AppId, Printable},
    start::Start,
};

const OTHER_APP_REMEDY: Remedy =
    Remedy("sign in for this app with `vcq login`, or configure the app and host that the sign-in is of");
const OTHER_PERSON_REMEDY: Remedy =
    Remedy("run again to go on as the one who is signed in now, or let the former one sign in again with `vcq login`");

/// The person who signed in, for one process.
pub struct SignedIn {
    base_url: String,
    zone: Tz,
    credentials: Credentials,
    file: SignInFile,
    /// Who that is: a process asks for one person from beginning to end.
    person: RefCell<Option<Person>>,
    ends: Cell<Option<Ends>>,
    is_asking: Cell<bool>,
}

impl SignedIn {
    /// The one who is signed in in the configured state folder.
    ///
    /// # Errors
    ///
    /// [`Error::Access`] if nobody is, or for another app.
    pub fn open(config: &Config, credentials: Credentials) -> Result<Self, Error> {
        let file = SignInFile::new(&config.state);
        let sign_in = file.read()?;
        let this = Self {
            base_url: config.api.base_url.to_string(),
            zone: config.timezone,
            credentials,
            file,
            person: RefCell::default(),
            ends: Cell::default(),
            is_asking: Cell::default(),
        };
        this.accept(sign_in)?;
        Ok(this)
    }

    /// The app that they signed in for.
    pub fn app_id(&self) -> &str {
        &self.credentials.app_id
    }

    /// Who they are, as far as it is known.
    pub fn person(&self) -> Option<Person> {
        self.person.borrow().clone()
    }

    /// When the sign-in ends, as far as it is known.
    pub fn ends(&self) -> Option<Ends> {
        self.ends.get()
    }

    /// True while an answer is under way that nobody can ask for a second time.
    pub(super) fn is_asking(&self) -> bool {
        self.is_asking.get()
    }

    /// That `sign_in` is there, and is that of this app and of nobody else than before.
    fn accept(&self, sign_in: Option<SignIn>) -> Result<SignIn, Error> {
        let refused = |what: String, remedy| Err(Error::Access { what, remedy });
        let Some(sign_in) = sign_in else {
            return refused("nobody is signed in, and `auth.as` is `user`".into(), first_login_remedy());
        };
        let here = (self.credentials.app_id.as_str(), self.base_url.as_str());
        if (sign_in.app_id.as_str(), sign_in.base_url.as_str()) != here {
            let what = format!(
                "the sign-in is for app {} at {}, and configured is {} at {}",
                AppId(&sign_in.app_id),
                Printable(&sign_in.base_url),
                AppId(here.0),
                here.1
            );
            return refused(what, OTHER_APP_REMEDY);
        }
        let mut person = self.person.borrow_mut();
        if let (Some(before), Some(now)) = (person.as_ref(), sign_in.person())
            && (&before.open_id, &before.tenant_key) != (&now.open_id, &now.tenant_key)
        {
            let names = [&before.name, &now.name].map(|name| Printable(name).to_string());
            let what = format!("{} was signed in when this run began, and now it is {}", names[0], names[1]);
            return refused(what, OTHER_PERSON_REMEDY);
        }
        if let Some(known) = sign_in.person() {
            *person = Some(known.clone());
        }
        self.ends.set(Some(sign_in.ends()));
        Ok(sign_in)
    }

    /// The access token that is kept, or a new one if that is refused or near its end: one attempt to get it.
    pub(super) async fn token(
        &self,
        transport: &dyn Transport,
        start: &Start,
        refused: Option<&SecretString>,
    ) -> Result<Token, NoToken> {
        let locked = self.file.lock().await?;
        let Found { sign_in, is_cut } = locked.load()?;
        let sign_in = self.accept(sign_in)?;
        let is_refused = refused.is_some_and(|old| old.expose_secret() == sign_in.access_token().expose_secret());
        let left = sign_in.access_left(start.now());
        let margin = sign_in.access_life().saturating_sub(renew_in(sign_in.access_life()));
        if !is_refused && left > margin {
            return Ok(Token {
                secret: sign_in.access_token().clone(),
                renew_in: left.saturating_sub(margin),
                life: left,
            });
        }
        // Nothing comes between the question and the keeping of its answer; a signal waits.
        let _held = start.hold();
        let _asking = Asking::begin(&self.is_asking);
        self.renew(&locked, &sign_in, is_cut, (transport, start)).await
    }

    /// The same, tried by asking who it is of, which is kept; one that the API does not take any more is renewed. An API that does
    /// not say who it is of leaves it as it is.
    ///
    /// # Errors
    ///
    /// If there is no token, or no way to the API.
    pub async fn tried_token(&self, transport: &dyn Transport, start: &Start) -> Result<Token, NoToken> {
        let mut token = self.token(transport, start, None).await?;
        let mut answer = transport.send(person_request(&token.secret)).await;
        if is_refused(&answer) {
            token = self.token(transport, start, Some(&token.secret)).await?;
            answer = transport.send(person_request(&token.secret)).await;
        }
        if let Err(error) = &answer {
            return Err(TokenError::NoWay(error.clone()).into());
        }
        if let Ok(person) = read_person(&answer) {
            let locked = self.file.lock().await?;
            let sign_in = self.accept(locked.load()?.sign_in)?;
            let is_its = sign_in.access_token().expose_secret() == token.secret.expose_secret();
            if is_its && sign_in.person() != Some(&person) {
                locked.put(&SignIn { person: Some(person), serial: sign_in.serial + 1, ..sign_in })?;
            }
        }
        Ok(token)
    }

    async fn renew(
        &self,
        locked: &Locked<'_>,
        old: &SignIn,
        is_cut: bool,
        (transport, start): (&dyn Transport, &Start),
    ) -> Result<Token, NoToken> {
        let zone = self.zone;
        let Some(refresh) = &old.refresh else {
            let text = format!(
                "the sign-in ended on {}, and the app gives no refresh tokens",
                shown(old.ends().unless_renewed, zone)
            );
            return Err(denied(text, switch_remedy()));
        };
        locked.make_room()?;
        let answer = transport.send(refresh_request(&self.credentials, &refresh.token)).await;
        match read_tokens(&answer) {
            Ok(tokens) => {
                let here = (self.credentials.app_id.as_str(), self.base_url.as_str());
                let sign_in = old.renewed(tokens, here, start.now());
                locked.put(&sign_in).map_err(|error| lost(&error))?;
                self.ends.set(Some(sign_in.ends()));
                let life = sign_in.access_life();
                Ok(Token { secret: sign_in.access_token().clone(), renew_in: renew_in(life), life })
            }
            Err(TokenError::Denied(said, remedy)) => {
                let is_cut = is_cut || old.refused.as_ref().is_some_and(|refused| refused.is_cut);
                let why = if is_used_up(&answer) { used_up(is_cut) } else { "" };
                let text = format!("the sign-in cannot be renewed: {said}{why}");
                let refused = Some(Refused { at: start.now(), said: said.text, is_cut });
                // Kept for `status`; the next run asks the server all the same, which knows best.
                locked.put(&SignIn { serial: old.serial + 1, refused, ..old.clone() })?;
                Err(denied(text, remedy))
            }
            Err(error) => {
                // What never left is no renewal; of everything else the answer may be lost, and the room that was made says so.
                if matches!(&error, TokenError::NoWay(way) if way.is_unsent()) && !is_cut {
                    locked.forget_next()?;
                }
                Err(error.into())
            }
        }
    }
}

/// For as long as it lives, an answer is under way.
struct Asking<'a>(&'a Cell<bool>);

impl<'a> Asking<'a> {
    fn begin(is_asking: &'a Cell<bool>) -> Self {
        is_asking.set(true);
        Self(is_asking)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

fn denied(text: String, remedy: Remedy) -> NoToken {
    TokenError::Denied(Said { text, log_id: None }, remedy).into()
}

/// How it may have come about that a refresh token is used up.
fn used_up(is_cut: bool) -> &'static str {
    if is_cut {
        "; an earlier renewal was cut off, or its answer was lost, after the server had used the refresh token up"
    } else {
        "; the refresh token was used by somebody else: a copy of the state folder, or an older one that was restored"
    }
}

/// The server has given new tokens, and they cannot be kept.
fn lost(error: &Error) -> NoToken {
    let text = format!("the renewed sign-in could not be kept, and the old one is used up: {}", Chain(error));
    denied(text, login_remedy())
}

/// Asks who a sign-in is of, and keeps that with it.
///
/// # Errors
///
/// What the API said in its place; the sign-in is as good as before.
pub async fn ask_person(locked: &Locked<'_>, sign_in: &SignIn, transport: &dyn Transport) -> Result<SignIn, Error> {
    let person = read_person(&transport.send(person_request(sign_in.access_token())).await);
    let person = person.map_err(|said| Error::Upstream(format!("the API does not say who has signed in: {said}")))?;
    let known = SignIn { person: Some(person), serial: sign_in.serial + 1, ..sign_in.clone() };
    locked.put(&known)?;
    Ok(known)
}
