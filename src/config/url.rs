//! Addresses to which something secret may go.

use toml::Value;
use url::Url;

/// What is accepted as `api.base_url`.
pub(super) const BASE_URL_RULE: &str =
    "an https URL of a host without path, query or user (http on a loopback address only)";

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether nobody can listen on the way there: https, or http that does not leave this machine.
pub fn is_private_way(url: &Url) -> bool {
    url.host().is_some() && (url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url)))
}

/// A token must not leave over plain http, so that is accepted on a loopback address alone.
pub(super) fn base_url(value: &Value) -> Option<Url> {
    bare_url(value.as_str()?).filter(is_private_way)
}

/// A URL of a host and nothing else.
pub(super) fn bare_url(text: &str) -> Option<Url> {
    let url: Url = text.parse().ok()?;
    let is_bare = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    is_bare.then_some(url)
}
