//! `vcq logout`: the sign-in is removed from this machine.

use std::fmt;

use super::error_of;
use crate::{
    access::{sign_in::Standing, sign_in_file::SignInFile},
    config::Config,
    error::Error,
    start::Start,
};

/// What was removed.
#[derive(Debug)]
pub struct SignedOut {
    /// How it stood; none: it could not be read, or nobody was signed in.
    standing: Option<Standing>,
    was_there: bool,
}

/// Removes the sign-in of the state folder, once no process is renewing it.
///
/// # Errors
///
/// If it cannot be removed.
pub async fn logout(config: &Config, start: &Start) -> Result<SignedOut, Error> {
    if !config.state.exists() {
        return Ok(SignedOut { standing: None, was_there: false });
    }
    let file = SignInFile::new(&config.state);
    let locked = file.lock().await.map_err(error_of)?;
    // What cannot be read is removed all the same.
    let sign_in = locked.load().ok().and_then(|found| found.sign_in);
    let standing = sign_in.map(|sign_in| Standing::of(Some(&sign_in), config.timezone, start.now(), 0));
    Ok(SignedOut { was_there: locked.remove()?, standing })
}

impl fmt::Display for SignedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.standing, self.was_there) {
            (Some(standing), _) => writeln!(
                f,
                "signed out {standing}\n           its tokens are removed here; that they end at the API at once is not known: the person \
                 can take the consent back in their account"
            ),
            (None, true) => writeln!(f, "signed out a sign-in that could not be read"),
            (None, false) => writeln!(f, "nobody was signed in"),
        }
    }
}
