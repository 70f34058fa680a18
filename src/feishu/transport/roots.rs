//! TLS: which certificate authorities are trusted.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, client::Resumption, crypto::aws_lc_rs, pki_types::ServerName};
use rustls_native_certs::load_native_certs;

use super::{SetupError, steps::Greeting};

/// What HTTP is spoken over TLS, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The authorities that the machine trusts, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR` where one of them is set.
///
/// # Errors
///
/// If there is none: no server could be believed.
pub(super) fn of_system() -> Result<RootCertStore, SetupError> {
    let found = load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "certificate authorities that cannot be read are not trusted");
    }
    let mut roots = RootCertStore::empty();
    let (_, ignored) = roots.add_parsable_certificates(found.certs);
    if ignored > 0 {
        tracing::debug!(ignored, "certificates that are no authority");
    }
    if roots.is_empty() {
        let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(SetupError::NoAuthorities { variable: variable(), why });
    }
    Ok(roots)
}

/// The variable that takes the system's place, if one does.
#[expect(clippy::disallowed_methods, reason = "the library that loads certificates reads it; this only says so")]
fn variable() -> Option<&'static str> {
    ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find(|name| std::env::var_os(name).is_some())
}

/// A client's side of TLS with `host`.
pub(super) fn tls(roots: RootCertStore, host: &str) -> Result<ClientConfig, SetupError> {
    let mut tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(SetupError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    let host = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).ok();
    tls.resumption = Resumption::store(Arc::new(Greeting { host }));
    Ok(tls)
}
