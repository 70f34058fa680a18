//! Buckets of S3 and of what speaks like it. With its folder the one place that names `object_store`.
//!
//! The dataset's side waits for each answer; requests are sent by a thread of each bucket's own, so that it does not matter
//! whether whoever waits is itself within a runtime. Credentials are found by `object_store`: in the environment, by a web
//! identity, from the container or from the instance; they are not shown.

mod answer;
mod credentials;
mod http;
mod secrets;
mod surroundings;

use std::{
    any::Any,
    collections::HashMap,
    fmt,
    fs::File,
    io::{self, Read, Seek, Write},
    ops::Range,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::sync_channel,
    },
    thread,
    time::Duration,
};

use futures_util::{FutureExt as _, TryStreamExt as _, future::BoxFuture};
use object_store::{
    Attribute, Attributes, BackoffConfig, ClientOptions, GetOptions, HeaderValue, ObjectStore, ObjectStoreExt as _,
    PutMode, PutOptions, PutPayload, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path as Key,
};
use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
    time::timeout,
};

use self::{
    answer::{innermost, plain, read_error},
    credentials::Checked,
    http::Connector,
    secrets::Secrets,
    surroundings::Surroundings,
};
use super::bucket::{Bucket, BucketError, Buckets, Entry, Object, Trouble, Upload};
use crate::{config::ObjectStores, guard};

/// The largest object that is put by one request, and the size of the parts of larger ones, in bytes.
const PART_BYTES: u64 = 16 * 1024 * 1024;

/// How much of an object is asked for at a time, in bytes.
const RANGE_BYTES: u64 = 8 * 1024 * 1024;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The metadata that holds an object's digest, in hexadecimal.
const SHA256: &str = "sha256";

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
    surroundings: Surroundings,
}

impl S3Buckets {
    /// Those that the documented variables of this environment give access to; others are passed over.
    pub fn new(environment: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { surroundings: Surroundings::of(environment), ..Self::default() }
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
        let new = Arc::new(S3::open(bucket, settings, &self.surroundings, self.patience)?);
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
    /// Longest wait for credentials.
    credentials_wait: Duration,
    credentials: Arc<Checked>,
    /// Who gives them, in words for people; none: the instance, if anybody.
    giver: Option<String>,
    secrets: Arc<Secrets>,
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
        surroundings: &Surroundings,
        patience: Patience,
    ) -> Result<Self, BucketError> {
        let secrets = Arc::new(Secrets::default());
        surroundings.keep_secrets(&secrets);
        let failed = |error| BucketError::new(Trouble::Setup, plain(&innermost(&error), &secrets));
        surroundings.check(settings)?;
        check_address(bucket, settings)?;
        let builder = |patience| builder(bucket, settings, surroundings, (patience, &secrets));
        // One asks for credentials, for both.
        let asks = builder(patience).build().map_err(failed)?;
        let credentials = Arc::new(Checked::new(asks.credentials(), surroundings, &secrets));
        let client = builder(patience).with_credentials(Arc::clone(&credentials) as _);
        let hasty = Patience { retries_max: 0, answer: patience.hasty_answer.min(patience.answer), ..patience };
        let hasty = builder(hasty).with_credentials(Arc::clone(&credentials) as _);
        Ok(Self {
            client: Arc::new(client.build().map_err(failed)?),
            hasty: Arc::new(hasty.build().map_err(failed)?),
            is_away: AtomicBool::new(false),
            credentials_wait: patience.credentials,
            credentials,
            giver: surroundings.giver(),
            sender: Sender::start().map_err(|error| BucketError::new(Trouble::Other, error.to_string()))?,
            refuses_condition: AtomicBool::new(false),
            secrets,
        })
    }

    /// Sends what `ask` makes of the client, and waits for what comes of it.
    fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(Arc<AmazonS3>) -> BoxFuture<'static, object_store::Result<T>> + Send + 'static,
    ) -> Result<T, BucketError> {
        self.send(ask)?.map_err(|error| self.read_error(&error))
    }

    /// The same, with the library's own errors.
    fn send<T: Send + 'static>(
        &self,
        ask: impl FnOnce(Arc<AmazonS3>) -> BoxFuture<'static, object_store::Result<T>> + Send + 'static,
    ) -> Result<object_store::Result<T>, BucketError> {
        let client = if self.is_away.load(Ordering::Relaxed) { &self.hasty } else { &self.client };
        let (client, wait) = (Arc::clone(client), self.credentials_wait);
        let sent = self.sender.wait_for(Box::pin(async move {
            // The library would wait for each of its tries.
            match timeout(wait, client.credentials().get_credential()).await {
                Ok(Ok(_)) => Ok(ask(client).await),
                Ok(Err(error)) => Err(Some(error)),
                Err(_) => Err(None),
            }
        }));
        let sent = sent.map_err(|ended| BucketError::new(ended.trouble, plain(&ended.said, &self.secrets)))?;
        let sent = sent.map_err(|refused| self.without_credentials(refused.as_ref()));
        let is_away = match &sent {
            Ok(Ok(_)) => false,
            Ok(Err(error)) => self.read_error(error).trouble == Trouble::Away,
            Err(error) => error.trouble == Trouble::Away,
        };
        self.is_away.store(is_away, Ordering::Relaxed);
        sent
    }

    fn read_error(&self, error: &object_store::Error) -> BucketError {
        read_error(error, &self.secrets)
    }

    /// What it means that there are no credentials; none: nobody has answered. Whoever never gave any is set up wrongly; whoever did
    /// can be away.
    fn without_credentials(&self, refused: Option<&object_store::Error>) -> BucketError {
        let refused = refused.map(|error| self.read_error(error));
        let said = refused.as_ref().map_or("nobody has answered in time", |refused| &refused.said);
        let said = match &self.giver {
            None => format!("the environment names no credentials, and the instance gives none: {said}"),
            Some(giver) => format!("{giver} gives no credentials: {said}"),
        };
        let is_away = refused.is_none_or(|refused| refused.trouble == Trouble::Away);
        let trouble = if is_away && self.credentials.was_given() { Trouble::Away } else { Trouble::Setup };
        BucketError::new(trouble, plain(&said, &self.secrets))
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
        let secrets = Arc::clone(&self.secrets);
        let ended = self.ask(|_| {
            Box::pin(async move {
                let put = match put {
                    Ok(()) => parts.complete().await.map(drop).map_err(|error| read_error(&error, &secrets)),
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
            Err(error) => match self.read_error(&error) {
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
            Err(error) => Err(self.read_error(&error)),
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
        thread::Builder::new().name("bucket".into()).spawn(move || {
            guard::guard_thread();
            drop(runtime.block_on(ended));
        })?;
        Ok(Self { runtime: handle, _alive: alive })
    }

    /// Waits for what comes of `work`, by no runtime's clock: its own times bound it. The library panics over what no request can
    /// be made of.
    fn wait_for<T: Send + 'static>(&self, work: BoxFuture<'static, T>) -> Result<T, BucketError> {
        let (sender, receiver) = sync_channel(1);
        let work = AssertUnwindSafe(work).catch_unwind();
        self.runtime.spawn(async move { drop(sender.send(work.await)) });
        let no_answer = |_| BucketError::new(Trouble::Other, "a request has ended without an answer");
        receiver.recv().map_err(no_answer)?.map_err(|panic| {
            let said = format!("no request can be made of these settings and credentials: {}", text_of(&*panic));
            BucketError::new(Trouble::Setup, said)
        })
    }
}

/// What a panic says.
fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it does not say why")
}

/// Makes sure that there is a host to send requests to.
fn check_address(bucket: &str, settings: &ObjectStores) -> Result<(), BucketError> {
    let Some(endpoint) = &settings.endpoint else { return Ok(()) };
    let address = endpoint_of(bucket, endpoint, settings.virtual_hosted);
    if address.parse::<url::Url>().is_ok() {
        return Ok(());
    }
    let said = format!(
        "`{address}` is no address: `store.virtual_hosted` needs a name in `store.endpoint`, not an IP address"
    );
    Err(BucketError::new(Trouble::Setup, said))
}

/// What the client of a bucket is made of.
fn builder(
    bucket: &str,
    settings: &ObjectStores,
    surroundings: &Surroundings,
    (patience, secrets): (Patience, &Arc<Secrets>),
) -> AmazonS3Builder {
    let agent = HeaderValue::from_static(concat!("vcq/", env!("CARGO_PKG_VERSION")));
    let is_http = settings.endpoint.as_ref().is_some_and(|endpoint| endpoint.scheme() == "http");
    let options = ClientOptions::new()
        .with_user_agent(agent)
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_timeout(patience.answer)
        .with_allow_http(is_http);
    let new = AmazonS3Builder::new();
    let mut builder = surroundings
        .values()
        .fold(new, |builder, (key, value)| builder.with_config(*key, value))
        .with_client_options(options)
        .with_http_connector(Connector { secrets: Arc::clone(secrets) })
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
