//! An access token that something else keeps in a file: a vault, or the service of a store app.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use tokio::time::sleep;

use super::NoToken;
use crate::{
    credentials::{SecretFile, read_secret},
    error::Error,
    feishu::{
        answer::{Remedy, Said},
        auth::{Token, TokenError},
    },
};

/// How long a token is used before its file is read again.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(55);

/// How long what was read is used while the file cannot be read; the API says by itself when a token is over.
const LIFE: Duration = Duration::from_secs(24 * 3600);

/// How often, and how many times, the file is looked at after the API has refused what it holds: whoever issues tokens may be
/// about to put the next one there.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const LOOKS_MAX: u32 = 24;

/// What to do about a file that is none.
pub(super) const FILE_REMEDY: Remedy =
    Remedy("`auth.access_token_file` must name a file that holds an access token and nothing else");

/// What to do when nobody replaces a token that is refused.
pub(super) const REFUSED: Remedy = Remedy(
    "the API refuses the access token in `auth.access_token_file`: whoever issues it must put a new one there, of this app and \
     this tenant, before the old one ends",
);

/// The file.
pub struct TokenFile {
    path: PathBuf,
    /// What it held when it could last be read.
    last: RefCell<SecretString>,
}

fn read(path: &Path) -> Result<SecretString, Error> {
    let kind =
        SecretFile { key: "auth.access_token_file", name: "access token file", remedy: FILE_REMEDY, is_owners: true };
    let token = read_secret(path, &kind)?;
    // What stands in an HTTP header.
    if token.expose_secret().trim().chars().all(|c| c.is_ascii_graphic()) {
        return Ok(token.expose_secret().trim().into());
    }
    Err(Error::Access { what: "the access token file holds something else than a token".into(), remedy: FILE_REMEDY })
}

impl TokenFile {
    /// The file at `path`, which is read once to see that it can be.
    ///
    /// # Errors
    ///
    /// [`Error::Access`] if it holds no token, or others have access to it.
    pub fn new(path: &Path) -> Result<Self, Error> {
        let last = RefCell::new(read(path)?);
        Ok(Self { path: path.to_owned(), last })
    }

    fn read_again(&self) -> Result<SecretString, Error> {
        let token = read(&self.path)?;
        self.last.replace(token.clone());
        Ok(token)
    }

    /// What the file holds now. After a refusal it is looked at again for two minutes.
    pub(super) async fn token(&self, refused: Option<&SecretString>) -> Result<Token, NoToken> {
        for look in 0..LOOKS_MAX {
            let token = self.read_again();
            let is_old = |token: &SecretString| refused.is_some_and(|old| old.expose_secret() == token.expose_secret());
            match token {
                Ok(token) if !is_old(&token) => {
                    return Ok(Token { secret: token, renew_in: READ_AGAIN_AFTER, life: LIFE });
                }
                // The API says by itself when a token is over; until then the last one serves while its file is away.
                Err(_) if refused.is_none() => {
                    let secret = self.last.borrow().clone();
                    return Ok(Token { secret, renew_in: READ_AGAIN_AFTER, life: LIFE });
                }
                // It may be in the middle of being written.
                Err(error) if look + 1 == LOOKS_MAX => return Err(NoToken::Local(error)),
                _ => sleep(LOOK_EVERY).await,
            }
        }
        let seconds = LOOK_EVERY.as_secs() * u64::from(LOOKS_MAX);
        let text =
            format!("the API refuses the given access token, and nobody has put another one there for {seconds} s");
        Err(TokenError::Denied(Said { text, log_id: None }, REFUSED).into())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_token_serves_while_its_file_is_away_and_the_api_takes_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "u-1\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let file = TokenFile::new(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let token = file.token(None).await.map_err(|_| "none").unwrap();
        assert_eq!(token.secret.expose_secret(), "u-1");
        assert!(matches!(file.token(Some(&token.secret)).await, Err(NoToken::Local(_))), "it is refused, and away");
    }
}
