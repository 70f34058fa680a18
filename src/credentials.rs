//! The app's id and secret, from the environment and the file that the configuration names.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use secrecy::SecretString;

use crate::{config::Config, error::Error, feishu::token::Credentials};

/// The secret file's mode bits that give others access.
const OTHERS: u32 = 0o077;

/// Puts the credentials together. `secret` is what `VCQ_APP_SECRET` holds; it comes before the file.
///
/// # Errors
///
/// [`Error::Usage`] if one is missing, or the file can be read by others.
pub fn credentials(config: &Config, secret: Option<SecretString>) -> Result<Credentials, Error> {
    if config.app_id.is_empty() {
        return Err(Error::Usage("no app id: set VCQ_APP_ID, or `app_id` in the configuration".into()));
    }
    let app_secret = match (secret, &config.app_secret_file) {
        (Some(secret), _) => secret,
        (None, Some(path)) => read_secret(path)?,
        (None, None) => {
            return Err(Error::Usage(
                "no app secret: set VCQ_APP_SECRET, or `app_secret_file` in the configuration".into(),
            ));
        }
    };
    Ok(Credentials { app_id: config.app_id.clone(), app_secret })
}

fn read_secret(path: &Path) -> Result<SecretString, Error> {
    let failed = |source| Error::File { operation: "read app secret file", path: path.display().to_string(), source };
    let mode = fs::metadata(path).map_err(failed)?.mode();
    if mode & OTHERS != 0 {
        let (path, mode) = (path.display(), mode & 0o777);
        return Err(Error::Usage(format!(
            "`{path}` has mode {mode:03o}, others can read the secret: chmod 600 {path}"
        )));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let secret = text.trim();
    if secret.is_empty() {
        return Err(Error::Usage(format!("`{}` is empty: it must hold the app's secret", path.display())));
    }
    Ok(secret.into())
}
