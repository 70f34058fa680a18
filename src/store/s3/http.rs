//! The HTTP client under the library: it follows no redirect, and takes no page of another program for a store's answer.
//!
//! A redirect would take the session's token along: the library's own client follows it.

use std::{error, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use object_store::{
    ClientConfigKey, ClientOptions,
    client::{HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService},
};
use reqwest::{Client, StatusCode, redirect};

use super::secrets::Secrets;
use crate::store::bucket::{BucketError, Trouble};

/// Headers of requests that are secrets whole.
const SECRET_HEADERS: [&str; 3] = ["authorization", "x-amz-security-token", "x-aws-ec2-metadata-token"];

/// What a signed `authorization` begins with: of that the parts are struck, and each is another one.
const SIGNED: &str = "AWS4-";

/// The header that a request to a store has, and one for credentials has not.
const SIGNED_AT: &str = "x-amz-date";

/// The element around a listing.
const LISTING: &str = "ListBucketResult";

/// Makes clients.
#[derive(Debug)]
pub(super) struct Connector {
    /// Where the secrets of what is sent are remembered.
    pub(super) secrets: Arc<Secrets>,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let text = |key| options.get_config_value(&key);
        let time = |key| text(key).and_then(|text| humantime::parse_duration(&text).ok());
        let mut client = Client::builder()
            .redirect(redirect::Policy::none())
            .https_only(text(ClientConfigKey::AllowHttp).as_deref() != Some("true"))
            // As the library has it: of HTTP/2 it says that it is slower, and of compression that it hides the size.
            .http1_only()
            .no_gzip();
        if let Some(agent) = text(ClientConfigKey::UserAgent) {
            client = client.user_agent(agent);
        }
        if let Some(time) = time(ClientConfigKey::Timeout) {
            client = client.timeout(time);
        }
        if let Some(time) = time(ClientConfigKey::ConnectTimeout) {
            client = client.connect_timeout(time);
        }
        let client = client.pool_idle_timeout(POOL_IDLE).build();
        let client = client.map_err(|error| object_store::Error::Generic { store: "S3", source: Box::new(error) })?;
        Ok(HttpClient::new(Service { client, secrets: Arc::clone(&self.secrets) }))
    }
}

/// How long a connection is kept that nothing is sent over.
const POOL_IDLE: Duration = Duration::from_secs(90);

/// Sends requests.
#[derive(Debug)]
struct Service {
    client: Client,
    secrets: Arc<Secrets>,
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.keep_secrets(&request);
        let asked = Asked::of(&request);
        let answer = HttpService::call(&self.client, request).await.map_err(told)?;
        let status = answer.status();
        if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
            let said = format!("status {}, a redirect to another address, which vcq does not follow", status.as_u16());
            return Err(not_taken(Trouble::NoBucket, said));
        }
        if !status.is_success() || !asked.is_of_store {
            return Ok(answer);
        }
        if asked.is_listing {
            return check_listing(answer).await;
        }
        if asked.is_of_object && !answer.headers().contains_key("etag") {
            return Err(not_taken(Trouble::NoStore, "what answers tells no ETag of an object, as a store does"));
        }
        Ok(answer)
    }
}

impl Service {
    /// Whoever answers may quote them.
    fn keep_secrets(&self, request: &HttpRequest) {
        let sent = SECRET_HEADERS.iter().filter_map(|name| request.headers().get(*name)?.to_str().ok());
        sent.filter(|value| !value.starts_with(SIGNED)).for_each(|value| self.secrets.keep(value));
        let query = request.uri().query().unwrap_or_default();
        if let Some((_, token)) =
            url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "WebIdentityToken")
        {
            self.secrets.keep(&token);
        }
    }
}

/// What is asked for.
struct Asked {
    is_of_store: bool,
    is_listing: bool,
    /// Whether the answer is about one object, of which every store tells the `ETag`.
    is_of_object: bool,
}

impl Asked {
    fn of(request: &HttpRequest) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let method = request.method().as_str();
        let is_listing = method == "GET" && query.split('&').any(|part| part == "list-type=2");
        Self {
            is_of_store: request.headers().contains_key(SIGNED_AT),
            is_listing,
            is_of_object: !is_listing && matches!(method, "GET" | "HEAD" | "PUT"),
        }
    }
}

fn not_taken(trouble: Trouble, said: impl Into<String>) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, BucketError::new(trouble, said))
}

/// An error of the client. What cannot be sent at all is a matter of the set-up.
fn told(error: HttpError) -> HttpError {
    let mut source: Option<&(dyn error::Error + 'static)> = Some(&error);
    while let Some(found) = source {
        if found.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_builder) {
            return not_taken(Trouble::Setup, "no request can be made to this address: its scheme is not https");
        }
        source = found.source();
    }
    error
}

/// Passes on what is a whole listing. The library takes any page for one of nothing.
async fn check_listing(answer: HttpResponse) -> Result<HttpResponse, HttpError> {
    let (mut parts, body) = answer.into_parts();
    let body = body.bytes().await?;
    match judge(&body) {
        Judged::Listing => {}
        Judged::Cut => {
            let cut = BucketError::new(Trouble::Away, "a listing was cut off");
            return Err(HttpError::new(HttpErrorKind::Interrupted, cut));
        }
        // As an answer of 500, which is asked for again.
        Judged::Error => parts.status = StatusCode::INTERNAL_SERVER_ERROR,
        Judged::Other => {
            return Err(not_taken(
                Trouble::NoStore,
                "what answers a listing is no `ListBucketResult`, as a store's answer is",
            ));
        }
    }
    Ok(HttpResponse::from_parts(parts, Bytes::into(body)))
}

/// What an answer to a listing is.
#[derive(Debug, PartialEq, Eq)]
enum Judged {
    Listing,
    /// One that ends too early.
    Cut,
    /// An error that says that all is well.
    Error,
    Other,
}

fn judge(body: &[u8]) -> Judged {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    let root = text.strip_prefix("<?xml").and_then(|rest| rest.split_once("?>")).map_or(text, |(_, rest)| rest);
    let Some(root) = root.trim_start().strip_prefix('<') else { return Judged::Other };
    let name = root.split(|c: char| c.is_whitespace() || c == '>' || c == '/').next().unwrap_or_default();
    match name {
        LISTING if text.ends_with(&format!("</{LISTING}>")) => Judged::Listing,
        LISTING if text.ends_with("/>") && !root.contains("><") => Judged::Listing,
        LISTING => Judged::Cut,
        "Error" => Judged::Error,
        _ => Judged::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_listing_is_one() {
        for (body, judged) in [
            (
                "<?xml version=\"1.0\"?>\n<ListBucketResult xmlns=\"x\"><Name>a</Name></ListBucketResult>\n",
                Judged::Listing,
            ),
            ("<ListBucketResult></ListBucketResult>", Judged::Listing),
            ("<ListBucketResult xmlns=\"x\"/>", Judged::Listing),
            ("<?xml version=\"1.0\"?><ListBucketResult><Contents><Key>a</Key>", Judged::Cut),
            ("<ListBucketResult><Contents><Owner/>", Judged::Cut),
            ("<?xml version=\"1.0\"?><Error><Code>InternalError</Code></Error>", Judged::Error),
            ("<!DOCTYPE html><html></html>", Judged::Other),
            ("<html><body>Welcome</body></html>", Judged::Other),
            ("{\"ok\":true}", Judged::Other),
            ("", Judged::Other),
        ] {
            assert_eq!(judge(body.as_bytes()), judged, "{body}");
        }
    }
}
