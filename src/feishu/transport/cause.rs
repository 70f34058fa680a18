//! Why no answer came: reqwest's errors by their causes, in words for the person who has to act.
//!
//! The causes are found by the types under reqwest's error, never by its text. No URL is in them, which holds ids, and
//! nothing of a proxy but its host and port.

use std::{error::Error, fmt, io, iter, time::Duration};

use hyper_util::client::legacy::connect::{HttpConnector, proxy::Tunnel};
use rustls::CertificateError;
use tower_service::Service;

use super::steps::{NotConnected, Step};
use crate::limits::BODY_BYTES_MAX;

/// What goes wrong with a proxy's tunnel. hyper-util names the type by this alone.
type TunnelError = <Tunnel<HttpConnector> as Service<hyper::Uri>>::Error;

/// Characters kept of what the system or a library said.
const SAID_CHARS_MAX: usize = 200;

/// Why no answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The name leads to no address.
    UnknownHost,
    /// Nobody listens there, or somebody on the way says so.
    Refused,
    /// No way leads there.
    NoRoute,
    /// The system does not let this process connect.
    Forbidden,
    /// No connection, for another reason.
    NoConnection,
    /// The proxy wants to know who asks.
    ProxyWantsPassword,
    /// The proxy does not connect to the host.
    ProxyRefuses,
    /// What answers does not speak TLS.
    NoTls,
    /// The certificate is of an authority that this machine does not trust.
    Untrusted,
    /// The certificate is that of another host.
    WrongHost,
    /// The certificate is not valid any more, or not yet.
    Expired,
    /// The certificate is not accepted for another reason.
    BadCertificate,
    /// TLS failed for another reason.
    TlsFailed,
    /// The time was up.
    Timeout(Step),
    /// The connection ended before the whole answer was there.
    Cut,
    /// The body is larger than [`BODY_BYTES_MAX`].
    TooLarge,
}

/// With whom it went wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// The API's host and port.
    pub target: String,
    /// The proxy's, where there is one.
    pub proxy: Option<String>,
}

/// No answer, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportError {
    /// Why.
    pub cause: Cause,
    /// With whom.
    pub peer: Peer,
    /// True if it went wrong before the proxy had done its part.
    at_proxy: bool,
    /// What the system or a library said, if anything.
    said: Option<String>,
    /// True if this is only the next request to be lost with a connection that had served others before: the loss of that
    /// connection is known, and says nothing of the API.
    pub is_known: bool,
}

impl From<Cause> for TransportError {
    /// An error of the API's host, of which nothing else is known.
    fn from(cause: Cause) -> Self {
        let peer = Peer { target: "the API".into(), proxy: None };
        Self { cause, peer, at_proxy: false, said: None, is_known: false }
    }
}

impl TransportError {
    /// reqwest's error by its cause. `connecting` is the step of a connection that was being made when its time was up.
    pub(super) fn new(error: reqwest::Error, peer: Peer, connecting: Option<Step>) -> Self {
        let error = error.without_url();
        tracing::debug!(?error, "no answer");
        let not_connected = find::<NotConnected>(&error);
        let mut cause = match not_connected {
            Some(not_connected) => cause_of_connection(&error, not_connected),
            // The connection is given up when it answers no ping; that too is a time-out, but not of this request.
            None if error.is_timeout() && find::<hyper::Error>(&error).is_none() => {
                Cause::Timeout(connecting.unwrap_or(Step::Answer))
            }
            None => Cause::Cut,
        };
        let step = match (not_connected, cause) {
            (Some(not_connected), _) => not_connected.step,
            (None, Cause::Timeout(step)) => step,
            (None, _) => Step::Answer,
        };
        let tunnel = find::<TunnelError>(&error);
        if peer.proxy.is_none() && matches!(cause, Cause::ProxyWantsPassword | Cause::ProxyRefuses) {
            cause = Cause::NoConnection;
        }
        let at_proxy = peer.proxy.is_some() && (step < Step::Tls || tunnel.is_some());
        let said = match cause {
            Cause::Timeout(_) | Cause::ProxyWantsPassword | Cause::ProxyRefuses => None,
            _ => Some(innermost(&error)),
        };
        Self { cause, peer, at_proxy, said, is_known: false }
    }

    /// No answer came within `limit`; `connecting` is the step of a connection that was still being made.
    pub(super) fn timed_out(peer: Peer, connecting: Option<Step>, limit: Duration) -> Self {
        let step = connecting.unwrap_or(Step::Answer);
        let at_proxy = peer.proxy.is_some() && step < Step::Tls;
        let said = (step == Step::Answer).then(|| humantime::format_duration(limit).to_string());
        Self { cause: Cause::Timeout(step), peer, at_proxy, said, is_known: false }
    }

    /// The body is too large to be read.
    pub(super) fn too_large(peer: Peer) -> Self {
        Self { peer, ..Cause::TooLarge.into() }
    }

    /// Where on the way it ended.
    pub fn step(&self) -> Step {
        match self.cause {
            Cause::UnknownHost => Step::Name,
            Cause::Refused
            | Cause::NoRoute
            | Cause::Forbidden
            | Cause::NoConnection
            | Cause::ProxyWantsPassword
            | Cause::ProxyRefuses => Step::Connection,
            Cause::NoTls
            | Cause::Untrusted
            | Cause::WrongHost
            | Cause::Expired
            | Cause::BadCertificate
            | Cause::TlsFailed => Step::Tls,
            Cause::Timeout(step) => step,
            Cause::Cut | Cause::TooLarge => Step::Answer,
        }
    }

    /// True if it does not pass by itself: as long as there was no answer, somebody has to look. A name that cannot be resolved is not:
    /// where the network is away, no name is known.
    pub fn is_lasting(&self) -> bool {
        matches!(
            self.cause,
            Cause::ProxyWantsPassword | Cause::Untrusted | Cause::WrongHost | Cause::Expired | Cause::BadCertificate
        )
    }

    /// True if there was no connection: what was to be sent was not.
    pub fn is_unsent(&self) -> bool {
        self.step() < Step::Answer
    }

    /// What a person can do about it.
    pub fn remedy(&self) -> &'static str {
        match (self.cause, self.at_proxy) {
            (Cause::UnknownHost, false) => {
                "check the host in `api.base_url`, and that this machine reaches a name server (/etc/resolv.conf); where \
                 only a proxy leads out, name it in HTTPS_PROXY"
            }
            (Cause::UnknownHost, true) => {
                "check the proxy's host in HTTPS_PROXY, and that this machine reaches a name server (/etc/resolv.conf)"
            }
            (Cause::ProxyWantsPassword, _) => {
                "put user and password into the proxy's variable: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT, with \
                 characters such as `@` as %40"
            }
            (Cause::ProxyRefuses, _) => {
                "ask who runs the proxy to let this machine connect to that host and port (403), or whether the proxy can \
                 reach it (502, 503, 504); NO_PROXY names hosts that need no proxy"
            }
            (Cause::Untrusted | Cause::BadCertificate, _) => {
                "where a company's proxy or own server has a certificate authority of its own, set SSL_CERT_FILE to a PEM \
                 file with its certificate and those of the system; otherwise update the package `ca-certificates`"
            }
            (Cause::WrongHost, _) => {
                "check that `api.base_url` is the host for which the server has its certificate; if it is, somebody else \
                 answers in its place"
            }
            (Cause::Expired, _) => {
                "check this machine's clock; if it is right, who runs the server has to renew its certificate"
            }
            (Cause::NoTls, _) => {
                "check host and port in `api.base_url`, and whether the network asks for a sign-in first"
            }
            (Cause::TlsFailed, _) => "check whether something on the way breaks TLS: a firewall, a proxy, a wrong port",
            (Cause::Forbidden, _) => "a firewall or sandbox of this machine forbids it: allow vcq to connect there",
            (
                Cause::Refused | Cause::NoRoute | Cause::NoConnection | Cause::Timeout(Step::Name | Step::Connection),
                true,
            ) => "check host and port in HTTPS_PROXY and whether the proxy runs; without a proxy, unset it",
            (Cause::Refused | Cause::NoRoute | Cause::NoConnection, false)
            | (Cause::Timeout(Step::Name | Step::Connection | Step::Tls), _) => {
                "check host and port in `api.base_url`, this machine's network and its firewall; where only a proxy leads \
                 out, name it in HTTPS_PROXY"
            }
            (Cause::Timeout(_) | Cause::Cut | Cause::TooLarge, _) => {
                "usually this passes; if it does not, look for a firewall or a proxy on the way that holds answers back"
            }
        }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Peer { target, proxy } = &self.peer;
        let peer = match proxy {
            Some(proxy) if self.at_proxy => format!("the proxy {proxy}"),
            Some(proxy) => format!("{target} by the proxy {proxy}"),
            None => target.clone(),
        };
        let said = self.said.as_deref().map(|said| format!(" ({said})")).unwrap_or_default();
        match self.cause {
            Cause::UnknownHost => write!(f, "the name of {peer} cannot be resolved{said}"),
            Cause::Refused => write!(f, "no connection to {peer}: refused{said}"),
            Cause::NoRoute => write!(f, "no connection to {peer}: no route leads there{said}"),
            Cause::Forbidden => write!(f, "no connection to {peer}: this machine does not allow it{said}"),
            Cause::NoConnection => write!(f, "no connection to {peer}{said}"),
            Cause::ProxyWantsPassword => write!(f, "{peer} wants a user and a password, or others (HTTP 407)"),
            Cause::ProxyRefuses => write!(f, "{peer} does not connect to {target}"),
            Cause::NoTls => write!(f, "no TLS with {peer}: it does not speak TLS{said}"),
            Cause::Untrusted => write!(
                f,
                "no TLS with {peer}: its certificate is of an authority that this machine does not trust{said}"
            ),
            Cause::WrongHost => write!(f, "no TLS with {peer}: its certificate is for another host{said}"),
            Cause::Expired => write!(f, "no TLS with {peer}: its certificate is not valid at this time{said}"),
            Cause::BadCertificate => write!(f, "no TLS with {peer}: its certificate is not accepted{said}"),
            Cause::TlsFailed => write!(f, "no TLS with {peer}{said}"),
            Cause::Timeout(Step::Name) => write!(f, "the name of {peer} was not resolved within the time limit"),
            Cause::Timeout(Step::Connection) => write!(f, "no connection to {peer} within the time limit"),
            Cause::Timeout(Step::Tls) => write!(f, "no TLS with {peer} within the time limit"),
            Cause::Timeout(Step::Answer) => write!(f, "no answer from {peer} within the time limit{said}"),
            Cause::Cut => write!(f, "connection to {peer} cut before the whole answer was there{said}"),
            Cause::TooLarge => write!(f, "body from {peer} is larger than {} MiB", BODY_BYTES_MAX >> 20),
        }
    }
}

impl Error for TransportError {}

/// Why a connection was not made.
fn cause_of_connection(error: &reqwest::Error, not_connected: &NotConnected) -> Cause {
    let io = sources(error).filter_map(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind);
    let kinds: Vec<io::ErrorKind> = io.collect();
    let is = |kind: io::ErrorKind| kinds.contains(&kind);
    if not_connected.is_timeout() || is(io::ErrorKind::TimedOut) {
        return Cause::Timeout(not_connected.step);
    }
    if error.is_dns() {
        return Cause::UnknownHost;
    }
    if let Some(tls) = find::<rustls::Error>(error) {
        return cause_of_tls(tls);
    }
    match find::<TunnelError>(error) {
        Some(TunnelError::ProxyAuthRequired) => return Cause::ProxyWantsPassword,
        Some(TunnelError::TunnelUnsuccessful | TunnelError::TunnelUnexpectedEof | TunnelError::ProxyHeadersTooLong) => {
            return Cause::ProxyRefuses;
        }
        _ => {}
    }
    if is(io::ErrorKind::ConnectionRefused) {
        Cause::Refused
    } else if [io::ErrorKind::HostUnreachable, io::ErrorKind::NetworkUnreachable, io::ErrorKind::NetworkDown]
        .into_iter()
        .chain([io::ErrorKind::AddrNotAvailable])
        .any(is)
    {
        Cause::NoRoute
    } else if is(io::ErrorKind::PermissionDenied) {
        Cause::Forbidden
    } else if not_connected.step == Step::Tls {
        Cause::TlsFailed
    } else {
        Cause::NoConnection
    }
}

fn cause_of_tls(error: &rustls::Error) -> Cause {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
        UnknownIssuer,
    };
    match error {
        rustls::Error::InvalidCertificate(UnknownIssuer) => Cause::Untrusted,
        rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => Cause::WrongHost,
        rustls::Error::InvalidCertificate(
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. },
        ) => Cause::Expired,
        rustls::Error::InvalidCertificate(_) => Cause::BadCertificate,
        rustls::Error::InvalidMessage(_) => Cause::NoTls,
        _ => Cause::TlsFailed,
    }
}

/// An error and what lies under it, from outside in; an `io::Error` may hold one of another library.
fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        held.map(|held| held as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    sources(error).find_map(|source| source.downcast_ref())
}

/// What the last error under `error` said, cut short and with everything escaped that could steer a terminal.
fn innermost(error: &reqwest::Error) -> String {
    let said = sources(error).last().map(ToString::to_string).unwrap_or_default();
    said.chars().take(SAID_CHARS_MAX).flat_map(char::escape_debug).collect()
}
