//! What the simulated server says: status, headers, body, and how much of it reaches the client.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

/// A request as the server sees it.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path and query, percent-encoded.
    pub path_and_query: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The `Content-Type` header.
    pub content_type: Option<String>,
    /// The body.
    pub body: Bytes,
}

/// An answer of the simulated server.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The headers, by lower-case name.
    pub headers: Vec<(&'static str, String)>,
    /// The body, uncompressed.
    pub body: Bytes,
    /// The code that the body names, for the books; none if it names none that can be read.
    pub code: Option<u64>,
    /// How much of the answer reaches the client.
    pub delivery: Delivery,
}

/// How much later a late answer comes: just before the default limit of a request.
pub(super) const LATE: Duration = Duration::from_secs(25);

/// How much of an answer reaches the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// All of it.
    Whole,
    /// All of it, compressed with gzip.
    Gzipped,
    /// All of it, [`LATE`] later than other answers.
    Late,
    /// Headers and the first half of the body, then the connection is cut.
    CutBody,
    /// Headers and the first half of the body, then nothing more.
    StalledBody,
    /// Nothing: the connection is cut before the headers.
    Reset,
    /// Nothing: the connection stays open in silence.
    Hang,
    /// Nothing: the connection is refused. Over a socket this is the same as [`Delivery::Reset`].
    NoConnection,
}

impl Delivery {
    /// Whether the client gets to see the whole answer.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Whole | Self::Gzipped | Self::Late)
    }
}

impl Reply {
    /// An answer with the given media type and body, delivered whole.
    pub(super) fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let headers = vec![("content-type", content_type.to_owned())];
        Self { status, headers, body: body.into(), code: None, delivery: Delivery::Whole }
    }

    /// A JSON answer.
    pub(super) fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self::new(status, "application/json; charset=utf-8", body)
    }

    /// A failure in the documented envelope. The log id is put in by [`Self::signed`].
    pub(super) fn failure(status: u16, code: u64, msg: &str) -> Self {
        Self::json(status, json!({"code": code, "msg": msg, "error": {"log_id": ""}}).to_string()).with_code(code)
    }

    /// What the API's gateway says about a path or method that it does not know.
    pub(super) fn not_found() -> Self {
        Self::new(404, "text/plain", "404 page not found")
    }

    /// The same answer, whose body names `code`.
    pub(super) fn with_code(mut self, code: u64) -> Self {
        self.code = Some(code);
        self
    }

    /// The same answer with one more header.
    pub(super) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same answer, of which only a part reaches the client.
    pub(super) fn delivered(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// The same answer with its log id, which the header `x-tt-logid` and a failure's body both name.
    pub(super) fn signed(mut self, log_id: String) -> Self {
        if self.code.is_some_and(|code| code != 0)
            && let Ok(mut body) = serde_json::from_slice::<Value>(&self.body)
            && let Some(place) = body.pointer_mut("/error/log_id")
        {
            *place = Value::from(log_id.as_str());
            self.body = body.to_string().into();
        }
        self.with_header("x-tt-logid", log_id)
    }
}
