//! Who asks, and how somebody signs in: the section `[auth]`.

use std::path::PathBuf;

use toml::Value;
use url::Url;

use super::{
    ConfigError,
    layers::Layers,
    url::{BASE_URL_RULE, base_url, is_loopback},
};

/// Who asks, and how somebody signs in.
#[derive(Clone, Debug, PartialEq)]
pub struct Auth {
    /// Whose access token is used.
    pub identity: AuthAs,
    /// The file that holds the access token, if somebody else keeps it.
    pub access_token_file: Option<PathBuf>,
    /// Where the consent page sends the browser afterwards; the app's settings must name it.
    pub redirect_uri: Url,
    /// The host of the consent page; none: it is not known, and has to be said before anybody can sign in.
    pub accounts_url: Option<Url>,
    /// What a person is asked to consent to besides `offline_access`.
    pub scopes: Vec<String>,
}

/// Whose access token is used. It is never changed for another one by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthAs {
    /// The app's own.
    Tenant,
    /// That of the person who signed in by `vcq login`.
    User,
    /// One that stands in a file.
    Given,
}

impl AuthAs {
    /// The word of the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::User => "user",
            Self::Given => "given",
        }
    }
}

impl Layers {
    pub(super) fn check_auth(&self) -> Result<Auth, ConfigError> {
        let all = [AuthAs::Tenant, AuthAs::User, AuthAs::Given];
        let identity = self.read("auth.as", "`tenant`, `user` or `given`", |value| {
            all.into_iter().find(|identity| value.as_str() == Some(identity.name()))
        })?;
        let accounts_url = self.read(
            "auth.accounts_url",
            "an https URL of a host without path, query or user (http on a loopback address only), or empty",
            |value| if value.as_str() == Some("") { Some(None) } else { base_url(value).map(Some) },
        )?;
        let api = self.read("api.base_url", BASE_URL_RULE, base_url)?;
        Ok(Auth {
            identity,
            access_token_file: self.optional_file("auth.access_token_file")?,
            redirect_uri: self.read(
                "auth.redirect_uri",
                "an https URL without a fragment (http on a loopback address with a port only)",
                redirect_uri,
            )?,
            accounts_url: accounts_url.or_else(|| accounts_of(&api)),
            scopes: self.read("auth.scopes", "a list of scopes without blanks, one at least", scopes)?,
        })
    }
}

/// The consent page's host of each host of the API; that of a loopback address is itself, where a simulated tenant has both.
fn accounts_of(api: &Url) -> Option<Url> {
    match api.host_str()? {
        "open.feishu.cn" => "https://accounts.feishu.cn".parse().ok(),
        "open.larksuite.com" => "https://accounts.larksuite.com".parse().ok(),
        _ if is_loopback(api) => Some(api.clone()),
        _ => None,
    }
}

/// The code that comes with it is good for a token, so it must not leave this machine over plain http.
fn redirect_uri(value: &Value) -> Option<Url> {
    let url: Url = value.as_str()?.parse().ok()?;
    let scheme_fits = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url) && url.port().is_some());
    let is_plain = url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    (scheme_fits && is_plain).then_some(url)
}

/// A list of scopes, or a text with blanks or commas between them, as the environment gives it.
fn scopes(value: &Value) -> Option<Vec<String>> {
    let named: Vec<&str> = match value {
        Value::Array(values) => values.iter().map(Value::as_str).collect::<Option<_>>()?,
        Value::String(text) => text.split([' ', ',']).filter(|scope| !scope.is_empty()).collect(),
        _ => return None,
    };
    let is_scope = |scope: &&str| !scope.is_empty() && scope.chars().all(|c| c.is_ascii_graphic());
    (!named.is_empty() && named.iter().all(is_scope)).then(|| named.into_iter().map(str::to_owned).collect())
}
