//! The bucket under a dataset: every request that a fault can strike, and the error that tells of it.

use std::{fmt, fs::File, io::Write, ops::Range, sync::Arc};

use crate::config::ObjectStores;

/// Reaches buckets. Tests put another one in its place.
pub trait Buckets: fmt::Debug + Send + Sync {
    /// The bucket of this name; nothing is asked of it yet.
    fn open(&self, bucket: &str, settings: &ObjectStores) -> Result<Arc<dyn Bucket>, BucketError>;
}

/// What a dataset does to a bucket. Keys are whole, without a slash before them; prefixes end with one. Each call waits for its
/// answer, and tries again within bounds where nobody can have been harmed by the first try.
pub trait Bucket: fmt::Debug + Send + Sync {
    /// Puts an object, whole or not at all, with its digest beside it. Where the store can tell, a key that is taken fails with
    /// [`Trouble::Taken`]; where it cannot, whoever calls has looked before.
    fn put_new(&self, upload: &Upload<'_>) -> Result<(), BucketError>;

    /// What stands under a key; `None` if there is nothing.
    fn look(&self, key: &str) -> Result<Option<Object>, BucketError>;

    /// Writes these bytes of an object to `into`.
    fn get(&self, key: &str, range: Range<u64>, into: &mut dyn Write) -> Result<(), BucketError>;

    /// What stands right under a prefix, in no order.
    fn list(&self, prefix: &str) -> Result<Vec<Entry>, BucketError>;

    /// All objects under a prefix, however deep, by their names without it, in no order: a thousand for each request.
    fn list_all(&self, prefix: &str) -> Result<Vec<(String, u64)>, BucketError>;

    /// Deletes an object. That there is none is no error.
    fn delete(&self, key: &str) -> Result<(), BucketError>;
}

/// An object to be put.
#[derive(Clone, Copy, Debug)]
pub struct Upload<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its content, from the beginning.
    pub file: &'a File,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its content.
    pub sha256: [u8; 32],
}

/// What a bucket says of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its size.
    pub bytes: u64,
    /// The digest that was put with it, if one was.
    pub sha256: Option<[u8; 32]>,
}

/// What stands right under a prefix, by its name without the prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    /// Keys that go on behind a slash.
    Folder(String),
    /// An object.
    Object {
        /// Its name.
        name: String,
        /// Its size.
        bytes: u64,
    },
}

/// What stands in the way, by what the operator does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is an object under the key.
    Taken,
    /// There is no such bucket, or it is somewhere else.
    NoBucket,
    /// What answers is no object store.
    NoStore,
    /// There is no object under the key that was to be read.
    Gone,
    /// The store does not know these credentials, or does not let them do this.
    Denied,
    /// There are no credentials, or the settings cannot be used.
    Setup,
    /// The store knows no such request.
    Unsupported,
    /// The store does not take it as it is.
    Refused,
    /// The store is away, too busy, or was cut off: nobody knows whether what was asked for has been done.
    Away,
    /// The store has answered something else.
    Other,
}

/// Why a bucket has not done what it was asked for. What a store says is told by its code and message alone: whole answers quote
/// what was signed.
#[derive(Debug, thiserror::Error)]
#[error("{said}")]
pub struct BucketError {
    /// What stands in the way.
    pub trouble: Trouble,
    /// What was said, on one line.
    pub said: String,
}

impl BucketError {
    /// With what was said.
    pub fn new(trouble: Trouble, said: impl Into<String>) -> Self {
        Self { trouble, said: said.into() }
    }

    /// True if what was asked for may have come about, or still may.
    pub fn is_unclear(&self) -> bool {
        matches!(self.trouble, Trouble::Away | Trouble::Other)
    }

    /// What the operator can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self.trouble {
            Trouble::Taken | Trouble::Refused | Trouble::Other => None,
            Trouble::Gone => Some("run again: it may have been replaced while it was read"),
            Trouble::NoBucket => Some("create the bucket, or correct its name, `store.endpoint` or `store.region`"),
            Trouble::NoStore => Some(
                "this is no object store: correct `store.endpoint` (a console or a portal answers there, or a proxy; a store's own \
                 console has another port)",
            ),
            Trouble::Denied => Some(
                "let the credentials read, list, put and delete objects under this prefix; with a wrong clock, or a wrong \
                 `store.region`, a store denies too",
            ),
            Trouble::Setup => Some(
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a web identity, the container or the instance has \
                 a role; and look at [store] in the configuration",
            ),
            Trouble::Unsupported => {
                Some("look at `store.virtual_hosted` and at what this store can do: `vcq check` tries it")
            }
            Trouble::Away => Some("run again when the store answers: nothing is lost"),
        }
    }
}
