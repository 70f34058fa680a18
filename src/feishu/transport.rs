//! The network as one function, from request to answer.
//!
//! The real one is [`HttpTransport`]. What it needs besides the configuration it takes from where other programs take it:
//! the proxy and the certificate authorities from the environment.

mod cause;
mod http;
mod proxy;
mod roots;
mod steps;

use std::{future::Future, pin::Pin};

use bytes::Bytes;
use secrecy::SecretString;

#[cfg(doc)]
use crate::limits::BODY_BYTES_MAX;

pub use self::{
    cause::{Cause, Peer, TransportError},
    http::HttpTransport,
    steps::Step,
};

/// What is sent. The path begins with `/`; the transport adds scheme and host.
pub struct Request {
    /// The path and query, percent-encoded.
    pub path_and_query: String,
    /// What the request carries besides its path.
    pub call: Call,
}

/// The two ways in which the API is called.
pub enum Call {
    /// A `GET` with `Authorization: Bearer <token>`.
    Get {
        /// The tenant's access token.
        bearer: SecretString,
    },
    /// A `POST` of a JSON body, which holds a secret.
    Post {
        /// The body, `application/json; charset=utf-8`.
        json: SecretString,
    },
}

/// What came back, whole: a body cut short is a [`TransportError`].
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// `x-ogw-ratelimit-reset`, as sent.
    pub ratelimit_reset: Option<String>,
    /// `Retry-After`, as sent.
    pub retry_after: Option<String>,
    /// `X-Tt-Logid`: names the call to the vendor's support.
    pub log_id: Option<String>,
    /// `Location` of a redirect, which is never followed.
    pub location: Option<String>,
    /// The body, decompressed, at most [`BODY_BYTES_MAX`] long.
    pub body: Bytes,
}

/// A future that a [`Transport`] returns. Not `Send`: one thread runs the fetch loop.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<Answer, TransportError>> + 'a>>;

/// The network. An answer with a status other than 2xx is an answer, not an error.
pub trait Transport {
    /// Sends one request and waits for its whole answer.
    fn send(&self, request: Request) -> Sending<'_>;
}

/// The HTTP client cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// No server's certificate could be believed.
    #[error(
        "no certificate authorities: {}{why}: {}",
        variable.map_or("this system has none".into(), |variable| format!("{variable} names none that can be read")),
        if variable.is_some() { "it must be the path of PEM certificates, or unset for those of the system" }
        else { "install the package `ca-certificates`, or set SSL_CERT_FILE to a PEM file with them" }
    )]
    NoAuthorities {
        /// The variable that takes the system's place, if one does.
        variable: Option<&'static str>,
        /// The first thing that could not be read, if there was one.
        why: String,
    },
    /// The environment names a proxy that cannot be used.
    #[error("{variable} {what}")]
    Proxy {
        /// The variable.
        variable: &'static str,
        /// What is wrong with its value, which may hold a password.
        what: &'static str,
    },
    /// The TLS library refuses its own defaults.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
    /// The HTTP library refuses.
    #[error("cannot set up the HTTP client")]
    Client(#[source] reqwest::Error),
}
