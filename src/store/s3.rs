//! Buckets of S3 and of what speaks like it. The one place that names `object_store`.
//!
//! The dataset's side waits for each answer; requests are sent by a thread of each bucket's own, so that it does not matter
//! whether whoever waits is itself within a runtime. Credentials are found by `object_store`: in the environment, by a web
//! identity, from the container or from the instance; they are neither shown nor kept here.

use std::{
    collections::HashMap,
    error, fmt,
    fs::File,
    io::{self, Read, Seek, Write},
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::sync_channel,
    },
    thread,
    time::Duration,
};

use futures_util::{TryStreamExt as _, future::BoxFuture};
use object_store::{
    Attribute, Attributes, BackoffConfig, ClientOptions, GetOptions, HeaderValue, ObjectStore, ObjectStoreExt as _,
    PutMode, PutOptions, PutPayload, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey},
    client::HttpError,
    path::Path as Key,
};
use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
    time::timeout,
};

use super::bucket::{Bucket, BucketError, Buckets, Entry, Object, Trouble, Upload};
use crate::config::ObjectStores;

/// The largest object that is put by one request, and the size of the parts of larger ones, in bytes.
const PART_BYTES: u64 = 16 * 1024 * 1024;

/// How much of an object is asked for at a time, in bytes.
const RANGE_BYTES: u64 = 8 * 1024 * 1024;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What an answer of 400 says by its code where the store does not know the condition that a put was sent with.
const UNKNOWN_CONDITION: [&str; 3] = ["NotImplemented", "InvalidArgument", "InvalidRequest"];

/// What an answer of 400 says by its code where the request was cut or bent on its way.
const BENT_ON_ITS_WAY: [&str; 4] = ["RequestTimeout", "IncompleteBody", "BadDigest", "XAmzContentSHA256Mismatch"];

/// What names whoever gives credentials, or is one; where none of them is set, the instance is asked.
const GIVE_CREDENTIALS: [AmazonS3ConfigKey; 4] = [
    AmazonS3ConfigKey::AccessKeyId,
    AmazonS3ConfigKey::WebIdentityTokenFile,
    AmazonS3ConfigKey::ContainerCredentialsRelativeUri,
    AmazonS3ConfigKey::ContainerCredentialsFullUri,
];

/// The metadata that holds an object's digest, in hexadecimal.
const SHA256: &str = "sha256";

/// The longest text of a store that is told, in characters.
const SAID_CHARS_MAX: usize = 200;

/// How long a store is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Longest wait for whoever gives credentials, each time that there are none at hand.
    pub credentials: Duration,
    /// Longest wait for a whole answer.
    pub answer: Duration,
    /// The same, once a store has not answered: further requests are told at once that it hangs, but for what is large.
    pub hasty_answer: Duration,
    /// How often a request is sent again that the store was too busy for, or that did not arrive.
    pub retries_max: usize,
    /// How long after its first try a request is no longer sent again.
    pub retries_for: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            credentials: Duration::from_secs(5),
            // A part is sent within this time over a line of 1 Mbit/s.
            answer: Duration::from_secs(150),
            hasty_answer: Duration::from_secs(10),
            retries_max: 4,
            retries_for: Duration::from_secs(60),
        }
    }
}

/// S3 buckets, each opened once.
#[derive(Default)]
pub struct S3Buckets {
    opened: Mutex<HashMap<String, Arc<S3>>>,
    patience: Patience,
    /// What the environment says of credentials and the like: secrets too.
    environment: Vec<(AmazonS3ConfigKey, String)>,
}

impl S3Buckets {
    /// Those that the variables of this environment which begin with `AWS_` give access to; others are passed over.
    pub fn new(environment: impl IntoIterator<Item = (String, String)>) -> Self {
        // Who sets a variable to nothing has not set it.
        let known = |(name, value): (String, String)| {
            let value = Some(value).filter(|value| !value.trim().is_empty())?;
            let key = name.strip_prefix("AWS_").and(name.to_ascii_lowercase().parse().ok())?;
            Some((key, value))
        };
        Self { environment: environment.into_iter().filter_map(known).collect(), ..Self::default() }
    }

    /// The same, waited for differently.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }
}

impl fmt::Debug for S3Buckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Buckets").finish_non_exhaustive()
    }
}

impl Buckets for S3Buckets {
    fn open(&self, bucket: &str, settings: &ObjectStores) -> Result<Arc<dyn Bucket>, BucketError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = opened.get(bucket) {
            return Ok(Arc::clone(bucket) as Arc<dyn Bucket>);
        }
        let new = Arc::new(S3::open(bucket, settings, (&self.environment, self.patience))?);
        opened.insert(bucket.to_owned(), Arc::clone(&new));
        Ok(new)
    }
}

/// One bucket.
struct S3 {
    client: Arc<AmazonS3>,
    /// The same, that sends nothing twice.
    hasty: Arc<AmazonS3>,
    /// Whether the last request has ended without an answer, for all its tries: further ones are not made to wait as long, each of
    /// them, until one is answered.
    is_away: AtomicBool,
    /// Longest wait for credentials; none: the environment says that none are needed.
    credentials_wait: Option<Duration>,
    /// Whether nothing but the instance can give any.
    asks_instance: bool,
    sender: Sender,
    /// The store has refused to put only where there is nothing, and taken the same put without that condition.
    refuses_condition: AtomicBool,
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3").finish_non_exhaustive()
    }
}

impl S3 {
    fn open(
        bucket: &str,
        settings: &ObjectStores,
        (environment, patience): (&[(AmazonS3ConfigKey, String)], Patience),
    ) -> Result<Self, BucketError> {
        let failed = |error| BucketError::new(Trouble::Setup, plain(&innermost(&error)));
        check_texts(bucket, settings, environment)?;
        let client = builder(bucket, settings, environment, patience).build().map_err(failed)?;
        // One asks for credentials, for both.
        let credentials = Arc::clone(client.credentials());
        let hasty = Patience { retries_max: 0, answer: patience.hasty_answer.min(patience.answer), ..patience };
        let hasty = builder(bucket, settings, environment, hasty).with_credentials(credentials);
        let sender = Sender::start().map_err(|error| BucketError::new(Trouble::Other, error.to_string()))?;
        let is_unsigned =
            environment.iter().any(|(key, value)| *key == AmazonS3ConfigKey::SkipSignature && value != "false");
        Ok(Self {
            client: Arc::new(client),
            hasty: Arc::new(hasty.build().map_err(failed)?),
            is_away: AtomicBool::new(false),
            credentials_wait: (!is_unsigned).then_some(patience.credentials),
            asks_instance: !environment.iter().any(|(key, _)| GIVE_CREDENTIALS.contains(key)),
            sender,
            refuses_condition: AtomicBool::new(false),
        })
    }

    /// Sends what `ask` makes of the client, and waits for what comes of it.
    fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(Arc<AmazonS3>) -> BoxFuture<'static, object_store::Result<T>> + Send + 'static,
    ) -> Result<T, BucketError> {
        self.send(ask)?.map_err(|error| read_error(&error))
    }

    /// The same, with the library's own errors.
    fn send<T: Send + 'static>(
        &self,
        ask: impl FnOnce(Arc<AmazonS3>) -> BoxFuture<'static, object_store::Result<T>> + Send + 'static,
    ) -> Result<object_store::Result<T>, BucketError> {
        let client = if self.is_away.load(Ordering::Relaxed) { &self.hasty } else { &self.client };
        let (client, wait) = (Arc::clone(client), self.credentials_wait);
        let sent = self.sender.wait_for(Box::pin(async move {
            if let Some(wait) = wait {
                // The library would wait for each of its tries.
                match timeout(wait, client.credentials().get_credential()).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => return Err(Some(error)),
                    Err(_) => return Err(None),
                }
            }
            Ok(ask(client).await)
        }))?;
        let sent = sent.map_err(|refused| self.without_credentials(refused.as_ref()));
        let is_away = match &sent {
            Ok(Ok(_)) => false,
            Ok(Err(error)) => read_error(error).trouble == Trouble::Away,
            Err(error) => error.trouble == Trouble::Away,
        };
        self.is_away.store(is_away, Ordering::Relaxed);
        sent
    }

    /// What it means that there are no credentials; none: nobody has answered.
    fn without_credentials(&self, refused: Option<&object_store::Error>) -> BucketError {
        let refused = refused.map(read_error);
        let said = refused.as_ref().map_or("nobody has answered in time", |refused| &refused.said);
        if self.asks_instance {
            let said = format!("the environment names no credentials, and the instance gives none: {said}");
            return BucketError::new(Trouble::Setup, plain(&said));
        }
        let said = plain(&format!("whoever gives credentials does not: {said}"));
        BucketError::new(refused.map_or(Trouble::Away, |refused| refused.trouble), said)
    }

    fn put_whole(&self, upload: &Upload<'_>, mode: PutMode) -> Result<(), BucketError> {
        let key = key(upload.key)?;
        rewind(upload.file)?;
        let content = read_part(upload.file, upload.bytes)?;
        let options = PutOptions { mode, attributes: attributes(upload), ..PutOptions::default() };
        self.ask(|client| Box::pin(async move { client.put_opts(&key, content, options).await.map(drop) }))
    }

    /// Puts an object part by part, one after another; what has been put of one that fails is taken back.
    fn put_in_parts(&self, upload: &Upload<'_>) -> Result<(), BucketError> {
        let key = key(upload.key)?;
        let options = object_store::PutMultipartOptions { attributes: attributes(upload), ..Default::default() };
        let mut parts = self.ask(|client| Box::pin(async move { client.put_multipart_opts(&key, options).await }))?;
        let mut put = || {
            rewind(upload.file)?;
            let mut left = upload.bytes;
            while left > 0 {
                let content = read_part(upload.file, left.min(PART_BYTES))?;
                left -= left.min(PART_BYTES);
                let part = parts.put_part(content);
                self.ask(|_| part)?;
            }
            Ok(())
        };
        let put: Result<(), BucketError> = put();
        let ended = self.ask(|_| {
            Box::pin(async move {
                let put = match put {
                    Ok(()) => parts.complete().await.map(drop).map_err(|error| read_error(&error)),
                    Err(error) => Err(error),
                };
                // Also where nobody knows whether they have become an object: of one that is there it takes nothing. What cannot be
                // taken back now, a rule of the bucket's for parts that were left takes away.
                if put.is_err() {
                    drop(parts.abort().await);
                }
                Ok(put)
            })
        });
        ended?
    }
}

impl Bucket for S3 {
    fn put_new(&self, upload: &Upload<'_>) -> Result<(), BucketError> {
        if upload.bytes > PART_BYTES {
            return self.put_in_parts(upload);
        }
        if self.refuses_condition.load(Ordering::Relaxed) {
            return self.put_whole(upload, PutMode::Overwrite);
        }
        match self.put_whole(upload, PutMode::Create) {
            Err(error) if error.trouble == Trouble::Unsupported => {
                self.put_whole(upload, PutMode::Overwrite)?;
                self.refuses_condition.store(true, Ordering::Relaxed);
                Ok(())
            }
            put => put,
        }
    }

    fn look(&self, key_text: &str) -> Result<Option<Object>, BucketError> {
        let key = key(key_text)?;
        let options = GetOptions { head: true, ..GetOptions::default() };
        match self.send(|client| Box::pin(async move { client.get_opts(&key, options).await }))? {
            Ok(found) => {
                let kept = found.attributes.get(&Attribute::Metadata(SHA256.into()));
                Ok(Some(Object { bytes: found.meta.size, sha256: kept.and_then(|text| read_sha256(text)) }))
            }
            Err(error) => match read_error(&error) {
                // Of a bucket that is not there, a HEAD says no more than this: the request that follows tells.
                _ if matches!(error, object_store::Error::NotFound { .. }) => Ok(None),
                error => Err(error),
            },
        }
    }

    fn get(&self, key_text: &str, wanted: Range<u64>, into: &mut dyn Write) -> Result<(), BucketError> {
        let mut from = wanted.start;
        while from < wanted.end {
            let range = from..wanted.end.min(from + RANGE_BYTES);
            from = range.end;
            let (key, expected) = (key(key_text)?, range.end - range.start);
            let part = self.ask(|client| Box::pin(async move { client.get_range(&key, range).await }))?;
            if part.len() as u64 != expected {
                let said = format!("{} of {expected} bytes came", part.len());
                return Err(BucketError::new(Trouble::Away, said));
            }
            into.write_all(&part).map_err(|error| BucketError::new(Trouble::Other, format!("here: {error}")))?;
        }
        Ok(())
    }

    fn list(&self, prefix: &str) -> Result<Vec<Entry>, BucketError> {
        let within = key(prefix)?;
        let listed = self.ask(|client| Box::pin(async move { client.list_with_delimiter(Some(&within)).await }))?;
        let folders =
            listed.common_prefixes.iter().filter_map(|path| path.filename()).map(|name| Entry::Folder(name.into()));
        // What some programs put to have an empty folder has lost the slash at its end, and is none of what stands in it.
        let objects = listed.objects.iter().filter_map(|object| {
            let name = object.location.as_ref().strip_prefix(prefix)?.to_owned();
            Some(Entry::Object { name, bytes: object.size })
        });
        Ok(folders.chain(objects).collect())
    }

    fn list_all(&self, prefix: &str) -> Result<Vec<(String, u64)>, BucketError> {
        let within = key(prefix)?;
        let listed =
            self.ask(|client| Box::pin(async move { client.list(Some(&within)).try_collect::<Vec<_>>().await }))?;
        let named = listed
            .iter()
            .filter_map(|object| Some((object.location.as_ref().strip_prefix(prefix)?.to_owned(), object.size)));
        Ok(named.collect())
    }

    fn delete(&self, key_text: &str) -> Result<(), BucketError> {
        let key = key(key_text)?;
        match self.send(|client| Box::pin(async move { client.delete(&key).await }))? {
            Err(object_store::Error::NotFound { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(read_error(&error)),
        }
    }
}

/// The thread that sends a bucket's requests, for as long as this is there.
struct Sender {
    runtime: Handle,
    /// Its end is the thread's.
    _alive: oneshot::Sender<()>,
}

impl Sender {
    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (alive, ended) = oneshot::channel();
        thread::Builder::new().name("bucket".into()).spawn(move || drop(runtime.block_on(ended)))?;
        Ok(Self { runtime: handle, _alive: alive })
    }

    /// Waits for what comes of `work`, by no runtime's clock: its own times bound it.
    fn wait_for<T: Send + 'static>(&self, work: BoxFuture<'static, T>) -> Result<T, BucketError> {
        let (sender, receiver) = sync_channel(1);
        self.runtime.spawn(async move { drop(sender.send(work.await)) });
        receiver.recv().map_err(|_| BucketError::new(Trouble::Other, "a request has ended without an answer"))
    }
}

/// Makes sure that what is sent with each request can be: the library panics over what cannot.
fn check_texts(
    bucket: &str,
    settings: &ObjectStores,
    environment: &[(AmazonS3ConfigKey, String)],
) -> Result<(), BucketError> {
    let setup = |said: String| Err(BucketError::new(Trouble::Setup, said));
    for (key, value) in environment {
        if value.chars().any(|c| c.is_control() || !c.is_ascii()) {
            let name = key.as_ref().to_ascii_uppercase();
            return setup(format!(
                "the variable {name} holds a line end or another character that no request can carry"
            ));
        }
    }
    if let Some(endpoint) = &settings.endpoint {
        let address = endpoint_of(bucket, endpoint, settings.virtual_hosted);
        if address.parse::<url::Url>().is_err() {
            return setup(format!(
                "`{address}` is no address: `store.virtual_hosted` needs a name in `store.endpoint`, not an IP address"
            ));
        }
    }
    Ok(())
}

/// What the client of a bucket is made of.
fn builder(
    bucket: &str,
    settings: &ObjectStores,
    environment: &[(AmazonS3ConfigKey, String)],
    patience: Patience,
) -> AmazonS3Builder {
    let agent = HeaderValue::from_static(concat!("vcq/", env!("CARGO_PKG_VERSION")));
    let is_http = settings.endpoint.as_ref().is_some_and(|endpoint| endpoint.scheme() == "http");
    let options = ClientOptions::new()
        .with_user_agent(agent)
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_timeout(patience.answer)
        .with_allow_http(is_http);
    let new = AmazonS3Builder::new();
    let mut builder = environment
        .iter()
        .fold(new, |builder, (key, value)| builder.with_config(*key, value))
        .with_client_options(options)
        .with_retry(retry(patience))
        .with_bucket_name(bucket)
        .with_virtual_hosted_style_request(settings.virtual_hosted)
        // One request for each object: what deletes many at once is asked for in a form that not every store knows.
        .with_disable_bulk_delete(true);
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint_of(bucket, endpoint, settings.virtual_hosted));
    }
    if let Some(region) = &settings.region {
        builder = builder.with_region(region);
    }
    builder
}

fn retry(patience: Patience) -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(5),
        ..BackoffConfig::default()
    };
    RetryConfig { backoff, max_retries: patience.retries_max, retry_timeout: patience.retries_for }
}

/// The address that the library is given: with the bucket in the host's name where the requests are to have it there.
fn endpoint_of(bucket: &str, endpoint: &url::Url, is_virtual_hosted: bool) -> String {
    let endpoint = endpoint.as_str().trim_end_matches('/');
    match endpoint.split_once("://") {
        Some((scheme, host)) if is_virtual_hosted => format!("{scheme}://{bucket}.{host}"),
        _ => endpoint.to_owned(),
    }
}

fn key(text: &str) -> Result<Key, BucketError> {
    Key::parse(text).map_err(|error| BucketError::new(Trouble::Other, error.to_string()))
}

fn attributes(upload: &Upload<'_>) -> Attributes {
    let mut attributes = Attributes::new();
    attributes.insert(Attribute::Metadata(SHA256.into()), hex(&upload.sha256).into());
    attributes.insert(Attribute::ContentType, "application/vnd.apache.parquet".into());
    attributes
}

/// An earlier try has read it.
fn rewind(mut file: &File) -> Result<(), BucketError> {
    file.rewind().map_err(|error| BucketError::new(Trouble::Refused, format!("here: {error}")))
}

fn read_part(file: &File, bytes: u64) -> Result<PutPayload, BucketError> {
    let mut content = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
    let read = file.take(bytes).read_to_end(&mut content);
    match read {
        Ok(read) if read as u64 == bytes => Ok(content.into()),
        Ok(read) => Err(BucketError::new(Trouble::Refused, format!("here: {read} of {bytes} bytes could be read"))),
        Err(error) => Err(BucketError::new(Trouble::Refused, format!("here: {error}"))),
    }
}

fn hex(digest: &[u8; 32]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
    digest.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

fn read_sha256(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (position, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * position..2 * position + 2)?, 16).ok()?;
    }
    Some(digest)
}

/// What an answer means. The library keeps the status and the body of an answer in the text of an error alone.
fn read_error(error: &object_store::Error) -> BucketError {
    use object_store::Error as E;
    let text = chain(error).last().map(ToString::to_string).unwrap_or_default();
    let whole = chain(error).map(ToString::to_string).find(|text| text.contains("status code: ")).unwrap_or_default();
    let status = whole.split_once("status code: ").and_then(|(_, rest)| rest.get(..3)?.parse::<u16>().ok());
    let (code, message) = (element(&whole, "Code"), element(&whole, "Message"));
    let said = match (status, code, message) {
        (Some(status), Some(code), Some(message)) => format!("{status} {code}: {message}"),
        (Some(status), Some(code), None) => format!("{status} {code}"),
        (Some(status), None, _) => format!("status {status}"),
        (None, ..) => text,
    };
    let is_of_network = chain(error).any(<dyn error::Error>::is::<HttpError>);
    let trouble = match error {
        E::AlreadyExists { .. } | E::Precondition { .. } | E::NotModified { .. } => Trouble::Taken,
        E::NotFound { .. } if code == Some("NoSuchKey") => Trouble::Gone,
        E::NotFound { .. } => Trouble::NoBucket,
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => Trouble::Denied,
        E::NotImplemented { .. } | E::NotSupported { .. } => Trouble::Unsupported,
        _ => match status {
            Some(501 | 405) => Trouble::Unsupported,
            Some(408 | 429) => Trouble::Away,
            // Of a listing the library says no more than the status.
            Some(301 | 307 | 404) => Trouble::NoBucket,
            Some(401 | 403) => Trouble::Denied,
            // What AWS says to a signature for another region.
            Some(400) if code == Some("AuthorizationHeaderMalformed") => Trouble::Denied,
            Some(400..=499) if code.is_some_and(|code| UNKNOWN_CONDITION.contains(&code)) => Trouble::Unsupported,
            Some(400..=499) if code.is_some_and(|code| BENT_ON_ITS_WAY.contains(&code)) => Trouble::Away,
            Some(400..=499) => Trouble::Refused,
            Some(_) => Trouble::Away,
            None if is_of_network => Trouble::Away,
            None if said.contains("redirect without LOCATION") => Trouble::NoBucket,
            None => Trouble::Other,
        },
    };
    BucketError::new(trouble, plain(&said))
}

/// The text in an element of a store's answer, which stands there once.
fn element<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = answer.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

/// A text on one line, as far as it is told.
fn plain(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(SAID_CHARS_MAX).collect()
}

fn innermost(error: &object_store::Error) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

fn chain<'a>(error: &'a (dyn error::Error + 'static)) -> impl Iterator<Item = &'a (dyn error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_is_in_the_host_s_name_where_it_is_to_be() {
        let endpoint = "https://oss-cn-hangzhou.aliyuncs.com".parse().unwrap();
        assert_eq!(endpoint_of("lake", &endpoint, true), "https://lake.oss-cn-hangzhou.aliyuncs.com");
        assert_eq!(endpoint_of("lake", &endpoint, false), "https://oss-cn-hangzhou.aliyuncs.com");
    }

    #[test]
    fn a_digest_is_read_as_it_is_written() {
        let digest = std::array::from_fn(|byte| u8::try_from(byte * 7 % 256).unwrap());
        assert_eq!(read_sha256(&hex(&digest)), Some(digest));
        for text in ["", "00", &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(read_sha256(text), None, "{text}");
        }
    }
}
