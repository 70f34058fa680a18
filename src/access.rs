//! Who asks the API, and where a process has its access token from.
//!
//! One of three, as the configuration says: the app itself, a person who signed in, or whoever keeps a token in a file. What is
//! missing or refused of one is never made up for by another.

pub mod given;
pub mod sign_in;
pub mod sign_in_file;
pub mod signed_in;

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

use secrecy::SecretString;

use self::{given::TokenFile, sign_in::Ends, signed_in::SignedIn};
use crate::{
    config::{AuthAs, Config},
    credentials::credentials,
    error::{Chain, Error},
    feishu::{
        Bearer,
        answer::Remedy,
        auth::{
            Token, TokenError,
            tenant::{Credentials, read_token, token_request},
        },
        transport::Transport,
    },
    start::Start,
};

/// Who asks.
pub enum Asker {
    /// The app itself.
    Tenant(Credentials),
    /// A person who signed in.
    User(Box<SignedIn>),
    /// Whoever keeps a token in a file.
    Given(TokenFile),
}

/// Why there is no token.
#[derive(Debug)]
pub enum NoToken {
    /// What the API said, or did not say, or what a person has to do.
    Refused(TokenError),
    /// This machine could not read or keep what is needed.
    Local(Error),
}

impl NoToken {
    /// For log lines.
    fn why(&self) -> String {
        match self {
            Self::Refused(error) => error.why(),
            Self::Local(error) => Chain(error).to_string(),
        }
    }
}

impl From<TokenError> for NoToken {
    fn from(error: TokenError) -> Self {
        Self::Refused(error)
    }
}

impl From<Error> for NoToken {
    fn from(error: Error) -> Self {
        Self::Local(error)
    }
}

/// The one who is configured. `secret` is what `VCQ_APP_SECRET` holds.
///
/// # Errors
///
/// [`Error::Access`] if something of it is missing: credentials, a sign-in, a token file.
pub fn asker(config: &Config, secret: Option<SecretString>) -> Result<Asker, Error> {
    match (config.auth.identity, &config.auth.access_token_file) {
        (AuthAs::Given, Some(path)) => Ok(Asker::Given(TokenFile::new(path)?)),
        (AuthAs::Given, None) => {
            let what = "`auth.as` is `given`, and `auth.access_token_file` names no file".into();
            Err(Error::Access { what, remedy: given::FILE_REMEDY })
        }
        (AuthAs::User, _) => Ok(Asker::User(Box::new(SignedIn::open(config, credentials(config, secret)?)?))),
        (AuthAs::Tenant, _) => credentials(config, secret).map(Asker::Tenant),
    }
}

const TENANT_REFUSED: Remedy = Remedy(
    "the API refuses the access token that it has just issued: check that `base_url` is the host of this app, and that \
     the app may use tenant access tokens for this API; where only users may ask, somebody signs in with `vcq login`, and \
     `[auth] as = \"user\"`",
);
const USER_REFUSED: Remedy = Remedy(
    "the API refuses the access token that it has just issued to the person who signed in: check that `base_url` is the host of \
     this app, and sign in again with `vcq login`",
);

impl Asker {
    /// The app's id; empty if a given token is used and none is configured.
    pub fn app_id(&self) -> &str {
        match self {
            Self::Tenant(credentials) => &credentials.app_id,
            Self::User(signed_in) => signed_in.app_id(),
            Self::Given(_) => "",
        }
    }

    /// Whose token its requests carry.
    pub fn bearer(&self) -> Bearer {
        match self {
            Self::Tenant(_) => Bearer::Tenant,
            Self::User(_) => Bearer::User,
            Self::Given(_) => Bearer::Given,
        }
    }

    /// A token that should be accepted: one attempt to get it. `refused` is the one that the API has just refused.
    ///
    /// May be dropped while it waits, but not while [`Asker::is_asking`].
    ///
    /// # Errors
    ///
    /// If there is none; whether another attempt is worth it stands in the error.
    pub async fn token(
        &self,
        transport: &dyn Transport,
        start: &Start,
        refused: Option<&SecretString>,
    ) -> Result<Token, NoToken> {
        match self {
            Self::Tenant(credentials) => Ok(read_token(&transport.send(token_request(credentials)).await)?),
            Self::User(signed_in) => signed_in.token(transport, start, refused).await,
            Self::Given(file) => file.token(refused).await,
        }
    }

    /// Renews a sign-in that is due although nothing was asked for: nights without work must not let it lapse. A failure is told
    /// and ends nothing, for nothing needs it yet. True if it was renewed.
    pub async fn keep(&self, transport: &dyn Transport, start: &Start) -> bool {
        let Self::User(signed_in) = self else { return false };
        let before = signed_in.ends();
        if let Err(error) = signed_in.token(transport, start, None).await {
            tracing::warn!("the sign-in could not be renewed: {}", error.why());
        }
        signed_in.ends() != before
    }

    /// True while an answer is under way that nobody can ask for a second time: whoever drops it has lost the sign-in.
    pub fn is_asking(&self) -> bool {
        matches!(self, Self::User(signed_in) if signed_in.is_asking())
    }

    /// Goes on with `work`, which is to be given up, for as long as [`Asker::is_asking`].
    pub async fn settle<F: Future + ?Sized>(&self, mut work: Pin<&mut F>) {
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Pending if self.is_asking() => Poll::Pending,
            _ => Poll::Ready(()),
        })
        .await;
    }

    /// When the sign-in ends, if that is who asks.
    pub fn ends(&self) -> Option<Ends> {
        match self {
            Self::User(signed_in) => signed_in.ends(),
            _ => None,
        }
    }

    /// What to do when the API refuses a token that it has just issued.
    pub fn refused_again_remedy(&self) -> Remedy {
        match self {
            Self::Tenant(_) => TENANT_REFUSED,
            Self::User(_) => USER_REFUSED,
            Self::Given(_) => given::REFUSED,
        }
    }
}
