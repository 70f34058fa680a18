//! Which proxy leads to the API, by the variables that other programs read too.

use std::env::VarError;

use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use super::SetupError;

/// The variables that name a proxy for https, the one that counts first.
const VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// The variables that name hosts to which no proxy leads, the one that counts first.
const EXCEPTIONS: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// A proxy as the environment names it.
#[derive(Clone)]
pub(super) struct Proxy {
    /// With user and password, if it wants them.
    pub(super) url: Url,
    /// The variable that names it.
    pub(super) variable: &'static str,
}

impl Proxy {
    /// Its host and port.
    pub(super) fn place(&self) -> String {
        place(&self.url)
    }

    /// Its host alone.
    pub(super) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }
}

/// Host and port of a URL, and nothing else of it.
pub(super) fn place(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

/// The proxy on the way to `target`, if there is one.
///
/// # Errors
///
/// If a variable names a proxy that cannot be used: no way around it is tried, for there may be a reason for it.
pub(super) fn on_the_way_to(
    target: &Url,
    read: impl Fn(&str) -> Result<String, VarError>,
) -> Result<Option<Proxy>, SetupError> {
    for variable in VARIABLES {
        let text = match read(variable) {
            Err(VarError::NotPresent) => continue,
            Err(VarError::NotUnicode(_)) => return Err(SetupError::Proxy { variable, what: MALFORMED }),
            Ok(text) => text,
        };
        let text = text.trim();
        // Set and empty: no proxy by this name, but perhaps by one further down.
        if text.is_empty() {
            continue;
        }
        let url = parse(text).map_err(|what| SetupError::Proxy { variable, what })?;
        return Ok(leads_to(target, &url, &read).then_some(Proxy { url, variable }));
    }
    Ok(None)
}

const MALFORMED: &str = "names no proxy: it must be a URL such as `http://proxy.example.com:3128`";
const SOCKS: &str = "names a SOCKS proxy, which vcq does not speak with: name an HTTP proxy, `http://HOST:PORT`";
const OTHER: &str = "names a proxy of a kind that vcq does not speak with: name an HTTP proxy, `http://HOST:PORT`";

/// Reads the URL of a proxy; `http://` may be left out.
fn parse(text: &str) -> Result<Url, &'static str> {
    // A URL would take a blank for a part of the user's name.
    if text.contains(char::is_whitespace) {
        return Err(MALFORMED);
    }
    let url = if text.contains("://") { Url::parse(text) } else { Url::parse(&format!("http://{text}")) };
    let url = url.map_err(|_| MALFORMED)?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        "http" | "https" => Err(MALFORMED),
        scheme if scheme.starts_with("socks") => Err(SOCKS),
        _ => Err(OTHER),
    }
}

/// True unless the environment excepts the target.
fn leads_to(target: &Url, proxy: &Url, read: impl Fn(&str) -> Result<String, VarError>) -> bool {
    let exceptions = EXCEPTIONS.into_iter().find_map(|variable| read(variable).ok()).unwrap_or_default();
    let matcher = Matcher::builder().https(proxy.as_str()).no(exceptions).build();
    target.as_str().parse().is_ok_and(|target| matcher.intercept(&target).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let read = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, text)| (*text).to_owned()).ok_or(VarError::NotPresent)
        };
        let target = "https://open.feishu.cn".parse().unwrap();
        let found = on_the_way_to(&target, read).map_err(|error| error.to_string())?;
        Ok(found.map(|proxy| format!("{} {}", proxy.variable, proxy.place())))
    }

    #[test]
    fn the_first_variable_that_names_a_proxy_counts() {
        let (a, b) = ("http://a.example:3128", "b.example:8080");
        for (variables, expected) in [
            (vec![], None),
            (vec![("HTTPS_PROXY", a)], Some("HTTPS_PROXY a.example:3128")),
            (vec![("https_proxy", b)], Some("https_proxy b.example:8080")),
            (vec![("ALL_PROXY", b), ("https_proxy", a)], Some("https_proxy a.example:3128")),
            (vec![("ALL_PROXY", b), ("HTTPS_PROXY", "")], Some("ALL_PROXY b.example:8080")),
            (vec![("HTTPS_PROXY", "user:canary@a.example")], Some("HTTPS_PROXY a.example:80")),
            (vec![("HTTPS_PROXY", "https://a.example")], Some("HTTPS_PROXY a.example:443")),
            (vec![("HTTPS_PROXY", "http://[::1]:3128")], Some("HTTPS_PROXY [::1]:3128")),
            (vec![("HTTP_PROXY", a), ("http_proxy", a)], None),
            (vec![("HTTPS_PROXY", a), ("NO_PROXY", "feishu.cn, example.com")], None),
            (vec![("HTTPS_PROXY", a), ("no_proxy", "*")], None),
            (vec![("HTTPS_PROXY", a), ("NO_PROXY", "larksuite.com")], Some("HTTPS_PROXY a.example:3128")),
        ] {
            assert_eq!(proxy(&variables).unwrap().as_deref(), expected, "{variables:?}");
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error_and_its_password_no_part_of_it() {
        for (text, what) in [
            ("http://user:canary@a.example:99999", MALFORMED),
            ("http://", MALFORMED),
            ("http:// user:canary@a.example", MALFORMED),
            ("socks5://user:canary@a.example:1080", SOCKS),
            ("socks5h://a.example", SOCKS),
            ("ftp://user:canary@a.example", OTHER),
        ] {
            let said = proxy(&[("HTTPS_PROXY", text), ("ALL_PROXY", "http://b.example")]).unwrap_err();
            assert_eq!(said, format!("HTTPS_PROXY {what}"), "{text}");
        }
    }
}
