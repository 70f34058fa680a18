//! The network as one function, from request to answer.

use std::{future::Future, pin::Pin};

use bytes::{Bytes, BytesMut};
use reqwest::header::CONTENT_TYPE;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::config::Api;

/// The largest body that is read, decompressed: 32 MiB. A page of 100 samples has about 0.14 MB.
pub const BODY_BYTES_MAX: usize = 32 << 20;

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

/// Why no answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No connection: name not found, refused, unreachable, TLS refused.
    #[error("could not connect")]
    Connect,
    /// No whole answer within the request's time.
    #[error("no answer within the time limit")]
    Timeout,
    /// The connection ended before the whole answer was there.
    #[error("connection cut before the whole answer was there")]
    Cut,
    /// The body is larger than [`BODY_BYTES_MAX`].
    #[error("body is larger than {} MiB", BODY_BYTES_MAX >> 20)]
    TooLarge,
}

/// A future that a [`Transport`] returns. Not `Send`: one thread runs the fetch loop.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<Answer, TransportError>> + 'a>>;

/// The network. An answer with a status other than 2xx is an answer, not an error.
pub trait Transport {
    /// Sends one request and waits for its whole answer.
    fn send(&self, request: Request) -> Sending<'_>;
}

/// The network itself. The only place that names reqwest.
#[derive(Debug)]
pub struct HttpTransport {
    client: reqwest::Client,
    base_url: Url,
}

impl HttpTransport {
    /// A client for one host: HTTPS by rustls unless the host is this machine, no redirects, no waiting longer than
    /// the configuration says.
    ///
    /// # Errors
    ///
    /// If the system has no usable root certificates.
    pub fn new(api: &Api) -> Result<Self, ClientError> {
        let is_https = api.base_url.scheme() == "https";
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("vcq/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .https_only(is_https)
            .connect_timeout(api.connect_timeout)
            .timeout(api.request_timeout);
        if !is_https {
            // Plain http is for loopback alone, and a proxy is not loopback.
            builder = builder.no_proxy();
        }
        Ok(Self { client: builder.build().map_err(ClientError)?, base_url: api.base_url.clone() })
    }

    async fn exchange(&self, request: Request) -> Result<Answer, TransportError> {
        let url = self.base_url.join(&request.path_and_query).map_err(|_| TransportError::Connect)?;
        let builder = match request.call {
            Call::Get { bearer } => self.client.get(url).bearer_auth(bearer.expose_secret()),
            Call::Post { json } => self
                .client
                .post(url)
                .header(CONTENT_TYPE, "application/json; charset=utf-8")
                .body(json.expose_secret().to_owned()),
        };
        let mut response = builder.send().await.map_err(kind_of)?;
        let mut answer = head_of(&response);
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(kind_of)? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(TransportError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        answer.body = body.freeze();
        Ok(answer)
    }
}

impl Transport for HttpTransport {
    fn send(&self, request: Request) -> Sending<'_> {
        Box::pin(self.exchange(request))
    }
}

/// The HTTP client cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the HTTPS client")]
pub struct ClientError(#[source] reqwest::Error);

fn head_of(response: &reqwest::Response) -> Answer {
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Answer {
        status: response.status().as_u16(),
        ratelimit_reset: header("x-ogw-ratelimit-reset"),
        retry_after: header("retry-after"),
        log_id: header("x-tt-logid"),
        location: header("location"),
        body: Bytes::new(),
    }
}

/// reqwest's error without its URL, which holds ids.
fn kind_of(error: reqwest::Error) -> TransportError {
    let error = error.without_url();
    tracing::debug!(?error, "no answer");
    if error.is_timeout() {
        TransportError::Timeout
    } else if error.is_connect() {
        TransportError::Connect
    } else {
        TransportError::Cut
    }
}
