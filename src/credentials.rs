//! The app's id and secret, from the environment and the file that the configuration names; and how any file with a secret is read.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};

use crate::{
    config::Config,
    error::Error,
    feishu::{answer::Remedy, auth::tenant::Credentials},
    file,
    printable::Printable,
};

/// The largest secret file that is read.
const FILE_BYTES_MAX: u64 = 8 * 1024;

/// The secret file's mode bits that give others access.
const OTHERS: u32 = 0o077;

const APP_ID_REMEDY: Remedy = Remedy("set VCQ_APP_ID, or `app_id` in the configuration");
const SECRET_REMEDY: Remedy = Remedy("set VCQ_APP_SECRET, or `app_secret_file` in the configuration");
const MODE_REMEDY: Remedy = Remedy("make it readable by its owner alone: chmod 600");
const OWNER_REMEDY: Remedy = Remedy("let it belong to the user that runs vcq, or to root: chown");
const TEXT_REMEDY: Remedy = Remedy("set VCQ_APP_SECRET to the app's secret and nothing else");
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
        (Some(secret), _) => bare(secret.expose_secret())
            .map_err(|fault| Error::Access { what: format!("VCQ_APP_SECRET {fault}"), remedy: TEXT_REMEDY })?,
        (None, Some(path)) => read_secret(path, &APP_SECRET)?,
        (None, None) => return Err(Error::Access { what: "no app secret".into(), remedy: SECRET_REMEDY }),
    };
    Ok(Credentials { app_id: config.app_id.clone(), app_secret })
}

/// What is read from a file that holds a secret and nothing else.
pub(crate) struct SecretFile {
    /// The key of the configuration that names it.
    pub(crate) key: &'static str,
    /// What messages call it.
    pub(crate) name: &'static str,
    /// What to do if it is no such file.
    pub(crate) remedy: Remedy,
    /// Whether it has to belong to the user that runs vcq, or to root.
    pub(crate) is_owners: bool,
}

const APP_SECRET: SecretFile =
    SecretFile { key: "app_secret_file", name: "secret file", remedy: FILE_REMEDY, is_owners: false };

/// Reads the secret. The path is told only if there is such a file: what stands in its place by mistake may be the secret itself.
///
/// # Errors
///
/// [`Error::Access`] if there is none, or others have access to it.
pub(crate) fn read_secret(path: &Path, kind: &SecretFile) -> Result<SecretString, Error> {
    let SecretFile { key, remedy, is_owners, .. } = *kind;
    let name = format!("{} `{}`", kind.name, Printable(path.display()));
    let refused = |what: String| Error::Access { what: format!("{name} {what}"), remedy };
    let unreadable = |error: io::Error| refused(format!("cannot be read: {error}"));
    let metadata = fs::metadata(path).map_err(|error| Error::Access {
        what: format!("the file that `{key}` names cannot be read: {error}"),
        remedy,
    })?;
    if !metadata.is_file() {
        return Err(refused("is no regular file".into()));
    }
    check_private(&name, &metadata, is_owners)?;
    let bytes = Zeroizing::new(file::read_small(path, FILE_BYTES_MAX).map_err(unreadable)?);
    let text = str::from_utf8(&bytes).map_err(|_| refused("is not UTF-8".into()))?;
    bare(text).map_err(|fault| refused(fault.into()))
}

/// Makes sure that nobody else can read a file, and if `is_owners` that nobody else has put it there.
///
/// # Errors
///
/// [`Error::Access`] otherwise.
pub(crate) fn check_private(name: &str, metadata: &fs::Metadata, is_owners: bool) -> Result<(), Error> {
    let mode = metadata.mode();
    if mode & OTHERS != 0 {
        let what = format!("{name} has mode {:04o}: others have access to it", mode & 0o7777);
        return Err(Error::Access { what, remedy: MODE_REMEDY });
    }
    let (owner, this) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if is_owners && owner != this && owner != 0 {
        let what = format!("{name} belongs to user {owner}, and vcq runs as user {this}");
        return Err(Error::Access { what, remedy: OWNER_REMEDY });
    }
    Ok(())
}

/// The secret without what editors add: a byte order mark and the line's end.
fn bare(text: &str) -> Result<SecretString, &'static str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if text.trim().is_empty() {
        return Err("is empty");
    }
    if text.contains(char::is_control) {
        return Err("holds more than one line");
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_editors_add_is_no_part_of_a_secret() {
        for (text, expected) in [
            ("s3cret", Ok("s3cret")),
            ("s3cret\n", Ok("s3cret")),
            ("\u{feff}s3cret\r\n", Ok("s3cret")),
            (" s3cret ", Ok(" s3cret ")),
            ("", Err("is empty")),
            ("\u{feff}\n", Err("is empty")),
            (" \n", Err("is empty")),
            ("s3cret\n\n", Err("holds more than one line")),
            ("s3cret\nnote\n", Err("holds more than one line")),
        ] {
            let bare = bare(text);
            assert_eq!(bare.as_ref().map(ExposeSecret::expose_secret).map_err(|fault| *fault), expected, "{text:?}");
        }
    }
}
