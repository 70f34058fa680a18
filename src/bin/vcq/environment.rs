//! What the environment says: every variable that is read is read here.

use std::{
    env,
    ffi::OsString,
    fs::File,
    io::{self, ErrorKind, Read as _},
    path::{self, Path, PathBuf},
    sync::OnceLock,
};

use secrecy::SecretString;
use vcq::{
    cli::Cli, command::notify::NotifySecrets, config::Config, error::Error, file, printable::Printable,
    store::s3::S3Buckets,
};

static WITHOUT_CONFIG: OnceLock<PathBuf> = OnceLock::new();

/// The folder in which a configuration file was looked for and is not.
pub(crate) fn folder_without_config() -> Option<&'static Path> {
    WITHOUT_CONFIG.get().map(PathBuf::as_path)
}

/// The largest configuration file, in bytes.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// Reads `--config`, or `vcq.toml` in the current folder if it is there.
pub(crate) fn load_config(cli: &Cli) -> Result<Config, Error> {
    let global = &cli.global;
    let path = global.config.clone().unwrap_or_else(|| PathBuf::from("vcq.toml"));
    let text = match read_config(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound && global.config.is_none() => {
            if let Some(folder) = path::absolute(&path).ok().as_deref().and_then(Path::parent) {
                WITHOUT_CONFIG.get_or_init(|| folder.to_owned());
            }
            None
        }
        Err(source) => {
            return Err(Error::Usage(format!(
                "cannot read configuration file `{}`: {source}",
                Printable(path.display())
            )));
        }
    };
    let name = path.display().to_string();
    let file = text.as_deref().map(|text| (name.as_str(), text));
    #[expect(clippy::disallowed_methods, reason = "main reads the environment for all others")]
    let environment = env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("VCQ_"));
    let environment = environment.map(variable).collect::<Result<Vec<_>, Error>>()?;
    let config = Config::load(file, environment, &cli.overrides())?;
    file::refuse_overlap(&config)?;
    Ok(config)
}

/// What a configuration file, or a pipe in its place, says.
fn read_config(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(CONFIG_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > CONFIG_BYTES_MAX {
        let what = format!("it is larger than {CONFIG_BYTES_MAX} bytes, and so none");
        return Err(io::Error::new(ErrorKind::InvalidData, what));
    }
    Ok(text)
}

/// A variable as text; the value of one that is none is not told, for it may be the secret.
fn variable((name, value): (OsString, OsString)) -> Result<(String, String), Error> {
    let shown = Printable(name.display()).to_string();
    match (name.into_string(), value.into_string()) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        (Ok(_), Err(_)) => Err(Error::Usage(format!("the value of `{shown}` in the environment is not UTF-8"))),
        (Err(_), _) => Err(Error::Usage(format!("the environment has a variable `{shown}`, which is not UTF-8"))),
    }
}

/// Whether the environment wants no colours (<https://no-color.org>).
pub(crate) fn is_color_refused() -> bool {
    #[expect(clippy::disallowed_methods, reason = "main reads the environment for all others")]
    let no_color = env::var_os("NO_COLOR");
    no_color.is_some_and(|value| !value.is_empty())
}

pub(crate) fn app_secret() -> Option<SecretString> {
    secret_of_environment("VCQ_APP_SECRET")
}

pub(crate) fn notify_secrets() -> NotifySecrets {
    let [url, secret] = ["VCQ_NOTIFY_URL", "VCQ_NOTIFY_SECRET"].map(secret_of_environment);
    NotifySecrets { url, secret }
}

fn secret_of_environment(variable: &str) -> Option<SecretString> {
    #[expect(clippy::disallowed_methods, reason = "main reads the environment for all others")]
    let secret = env::var(variable).ok();
    secret.filter(|secret| !secret.is_empty()).map(SecretString::from)
}

/// Buckets, with what the environment says of credentials.
#[expect(clippy::disallowed_methods, reason = "main reads the environment for all others")]
pub(crate) fn buckets() -> S3Buckets {
    // A value that is no text is refused by the name of its variable.
    S3Buckets::new(
        env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))),
    )
}
