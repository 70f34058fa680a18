//! The app's id and secret, from the environment and the file that the configuration names.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use secrecy::SecretString;

use crate::{
    config::Config,
    error::Error,
    feishu::{api::Remedy, token::Credentials},
};

/// The secret file's mode bits that give others access.
const OTHERS: u32 = 0o077;

const APP_ID_REMEDY: Remedy = Remedy("set VCQ_APP_ID, or `app_id` in the configuration");
const SECRET_REMEDY: Remedy = Remedy("set VCQ_APP_SECRET, or `app_secret_file` in the configuration");
const MODE_REMEDY: Remedy = Remedy("make it readable by its owner alone: chmod 600");
const FILE_REMEDY: Remedy = Remedy("`app_secret_file` must name a file that holds the app's secret and nothing else");

/// Puts the credentials together. `secret` is what `VCQ_APP_SECRET` holds; it comes before the file.
///
/// # Errors
///
/// [`Error::Access`] if one is missing, or the file cannot be read, or can be read by others.
pub fn credentials(config: &Config, secret: Option<SecretString>) -> Result<Credentials, Error> {
    if config.app_id.is_empty() {
        return Err(Error::Access { what: "no app id".into(), remedy: APP_ID_REMEDY });
    }
    let app_secret = match (secret, &config.app_secret_file) {
        (Some(secret), _) => secret,
        (None, Some(path)) => read_secret(path)?,
        (None, None) => return Err(Error::Access { what: "no app secret".into(), remedy: SECRET_REMEDY }),
    };
    Ok(Credentials { app_id: config.app_id.clone(), app_secret })
}

fn read_secret(path: &Path) -> Result<SecretString, Error> {
    let refused =
        |what: String, remedy| Error::Access { what: format!("secret file `{}` {what}", path.display()), remedy };
    let unreadable = |error: io::Error| refused(format!("cannot be read: {error}"), FILE_REMEDY);
    let mode = fs::metadata(path).map_err(unreadable)?.mode();
    if mode & OTHERS != 0 {
        return Err(refused(format!("has mode {:04o}: others have access to it", mode & 0o7777), MODE_REMEDY));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let secret = text.trim();
    if secret.is_empty() {
        return Err(refused("is empty".into(), FILE_REMEDY));
    }
    Ok(secret.into())
}
