//! Published files in a bucket: `<prefix>/date=YYYY-MM-DD/part-<16 hex digits>.parquet`.
//!
//! An object becomes visible whole, and a key never gets other bytes: it is looked at before it is put, and again whenever it is
//! not certain what came of that. The bytes tell: what has the size and the digest that were to be put is what was put, whoever
//! heard the answer. There is no step that changes several keys at once, so a reader can see a date while it is replaced with its
//! new file and its old ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::File,
    hash::{BuildHasher, Hasher, RandomState},
    io::{self, Seek, SeekFrom, Write},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::NaiveDate;
use sha2::{Digest, Sha256};

use super::{
    FileName, Listing, PartFile, Partitions,
    bucket::{Bucket, BucketError, Entry, Object, Trouble, Upload},
    disk::DiskError,
    folder_name, parse_folder_name, sha256_of,
    staging::Sealed,
};
use crate::place::BucketPlace;

/// How often an object is put while nobody knows what came of it.
const PUTS_MAX: usize = 3;

/// What the key of an object that is tried begins with: readers pass over what begins with an underscore.
const PROBE_KEY: &str = "_vcq_check_";

/// What a bucket can do, once it was tried.
#[derive(Debug)]
pub struct Tried {
    place: BucketPlace,
    puts_only_new: bool,
    /// Whether the dataset is a table.
    is_table: bool,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match (self.puts_only_new, self.is_table) {
            (true, _) => "puts a file only where there is none",
            (false, false) => {
                "does not put a file only where there is none: vcq looks first, and nothing else may write there"
            }
            (false, true) => {
                "does not put a file only where there is none: vcq looks first, nothing else may write there, and a commit to the \
                 table can be lost to one that arrives late"
            }
        };
        let place = &self.place;
        write!(f, "`{place}` can be listed, written, read and deleted, and {how}")?;
        if self.is_table { Ok(()) } else { f.write_str("; readers can see a date twice while it is replaced") }
    }
}

/// A dataset in a bucket.
#[derive(Clone, Debug)]
pub(super) struct Objects {
    place: BucketPlace,
    bucket: Arc<dyn Bucket>,
    /// A folder of this machine for what is read.
    scratch: PathBuf,
    /// What was there at one moment, if listings are answered from that.
    seen: Option<Arc<Seen>>,
}

/// All that was in a dataset at one moment.
#[derive(Debug, Default)]
struct Seen {
    dates: BTreeMap<NaiveDate, Listing>,
    strangers: Vec<PathBuf>,
}

impl Objects {
    pub(super) fn new(place: BucketPlace, bucket: Arc<dyn Bucket>, scratch: &Path) -> Self {
        Self { place, bucket, scratch: scratch.to_owned(), seen: None }
    }

    /// The address of a published file, whether it is there or not.
    pub(super) fn path_of(&self, date: NaiveDate, name: FileName) -> PathBuf {
        self.address(&self.key_of(date, name))
    }

    /// The key of what has this name under the dataset.
    pub(super) fn key_under(&self, name: &str) -> String {
        format!("{}/{name}", self.place.prefix())
    }

    /// The address of what has this name under the dataset.
    pub(super) fn address_of(&self, name: &str) -> PathBuf {
        self.address(&self.key_under(name))
    }

    /// All objects under a folder of the dataset, by their names in it, with their sizes.
    pub(super) fn list_under(&self, folder: &str) -> Result<Vec<(String, u64)>, DiskError> {
        let prefix = format!("{}/", self.key_under(folder));
        self.bucket.list_all(&prefix).map_err(self.failed("list", &prefix))
    }

    /// The content of what has this name under the dataset; `None`, if there is nothing.
    pub(super) fn read_whole(&self, name: &str, bytes: Option<u64>) -> Result<Option<Vec<u8>>, DiskError> {
        let key = self.key_under(name);
        let bytes = match bytes {
            Some(bytes) => bytes,
            None => match self.bucket.look(&key).map_err(self.failed("look at", &key))? {
                Some(object) => object.bytes,
                None => return Ok(None),
            },
        };
        let mut content = Vec::new();
        self.bucket.get(&key, 0..bytes, &mut content).map_err(self.failed("read", &key))?;
        Ok(Some(content))
    }

    /// Deletes what has this name under the dataset. That there is nothing is no error.
    pub(super) fn delete_under(&self, name: &str) -> Result<(), DiskError> {
        let key = self.key_under(name);
        self.bucket.delete(&key).map_err(self.failed("remove", &key))
    }

    /// What stands where a file of this name would.
    pub(super) fn look(&self, date: NaiveDate, name: FileName) -> Result<Option<Object>, DiskError> {
        let key = self.key_of(date, name);
        self.bucket.look(&key).map_err(self.failed("look at", &key))
    }

    /// The size of what has this name under the dataset; `None`, if there is nothing.
    pub(super) fn size_at(&self, name: &str) -> Result<Option<u64>, DiskError> {
        let key = self.key_under(name);
        let object = self.bucket.look(&key).map_err(self.failed("look at", &key))?;
        Ok(object.map(|object| object.bytes))
    }

    /// Fetches a file that is visible into one that nobody else sees and that goes when it is closed.
    pub(super) fn fetch(&self, date: NaiveDate, name: FileName) -> Result<File, DiskError> {
        self.fetch_at(&format!("{}/{name}", folder_name(date)))
    }

    /// The same of what has this name under the dataset.
    pub(super) fn fetch_at(&self, name: &str) -> Result<File, DiskError> {
        let key = self.key_under(name);
        let object = self.bucket.look(&key).map_err(self.failed("look at", &key))?;
        let object =
            object.ok_or_else(|| DiskError::io("read", &self.address(&key))(io::ErrorKind::NotFound.into()))?;
        let mut file = self.scratch_file()?;
        self.bucket.get(&key, 0..object.bytes, &mut file).map_err(self.failed("read", &key))?;
        let fetched = file.metadata().map_err(DiskError::io("look at", &self.scratch))?.len();
        if fetched != object.bytes {
            let said = format!("{fetched} of {} bytes came", object.bytes);
            return Err(self.failed("read", &key)(BucketError::new(Trouble::Away, said)));
        }
        file.rewind().map_err(DiskError::io("read in", &self.scratch))?;
        Ok(file)
    }

    /// A file of which nothing is here but its size; see [`Objects::bring`].
    pub(super) fn unread(&self, part: &PartFile) -> Result<File, DiskError> {
        let file = self.scratch_file()?;
        file.set_len(part.bytes).map_err(DiskError::io("write in", &self.scratch))?;
        Ok(file)
    }

    /// A file for what is read, that nobody else sees and that goes when it is closed: in the state folder, where that is; whoever only
    /// reads a dataset has none.
    fn scratch_file(&self) -> Result<File, DiskError> {
        let file = if self.scratch.is_dir() { tempfile::tempfile_in(&self.scratch) } else { tempfile::tempfile() };
        file.map_err(DiskError::io("create a file in", &self.scratch))
    }

    /// Brings some bytes of a visible file to their place in `file`.
    pub(super) fn bring(&self, part: &PartFile, range: Range<u64>, mut file: &File) -> Result<(), DiskError> {
        let key = self.key_of(part.date, part.name);
        file.seek(SeekFrom::Start(range.start)).map_err(DiskError::io("write in", &self.scratch))?;
        self.bucket.get(&key, range, &mut file).map_err(self.failed("read", &key))
    }

    /// The same dataset, whose listings tell what is there at this moment.
    pub(super) fn at_once(&self) -> Result<Self, DiskError> {
        let mut seen = Seen::default();
        let prefix = format!("{}/", self.place.prefix());
        for (name, bytes) in self.bucket.list_all(&prefix).map_err(self.failed("list", &prefix))? {
            let (first, rest) = name.split_once('/').map_or((name.as_str(), None), |(first, rest)| (first, Some(rest)));
            let date = parse_folder_name(first.as_ref());
            // What some programs put to have an empty folder; its name has lost the slash at its end.
            if let Some(date) = date.filter(|_| rest.is_none() && bytes == 0) {
                seen.dates.entry(date).or_default();
                continue;
            }
            let Some((date, rest)) = date.zip(rest) else {
                seen.strangers.push(self.address(&format!("{prefix}{first}")));
                continue;
            };
            let listing = seen.dates.entry(date).or_default();
            if let Some(name) = FileName::parse(rest) {
                listing.files.push(PartFile { date, name, bytes });
            } else {
                if !rest.contains('/') {
                    listing.sizes.insert(rest.to_owned(), bytes);
                }
                let stranger = rest.split('/').next().unwrap_or(rest);
                listing.strangers.push(self.address(&format!("{}{stranger}", self.prefix_of(date))));
            }
        }
        sort_once(&mut seen.strangers);
        for listing in seen.dates.values_mut() {
            listing.files.sort_unstable();
            sort_once(&mut listing.strangers);
        }
        Ok(Self { seen: Some(Arc::new(seen)), ..self.clone() })
    }

    /// The partitions that have objects, and what is none of them.
    pub(super) fn partitions(&self) -> Result<Partitions, DiskError> {
        if let Some(seen) = &self.seen {
            return Ok(Partitions { dates: seen.dates.keys().copied().collect(), strangers: seen.strangers.clone() });
        }
        let mut found = Partitions::default();
        let prefix = format!("{}/", self.place.prefix());
        for entry in self.bucket.list(&prefix).map_err(self.failed("list", &prefix))? {
            match entry {
                Entry::Folder(name) => match parse_folder_name(name.as_ref()) {
                    Some(date) => found.dates.push(date),
                    None => found.strangers.push(self.address(&format!("{prefix}{name}"))),
                },
                Entry::Object { name, .. } => found.strangers.push(self.address(&format!("{prefix}{name}"))),
            }
        }
        found.dates.sort_unstable();
        found.strangers.sort_unstable();
        Ok(found)
    }

    /// Everything in the partition `date`.
    pub(super) fn list(&self, date: NaiveDate) -> Result<Listing, DiskError> {
        if let Some(seen) = &self.seen {
            return Ok(seen.dates.get(&date).cloned().unwrap_or_default());
        }
        let mut listing = Listing::default();
        let prefix = self.prefix_of(date);
        for entry in self.bucket.list(&prefix).map_err(self.failed("list", &prefix))? {
            let (name, part) = match entry {
                Entry::Folder(name) => (name, None),
                Entry::Object { name, bytes } => {
                    let part = FileName::parse(&name).map(|name| PartFile { date, name, bytes });
                    if part.is_none() {
                        listing.sizes.insert(name.clone(), bytes);
                    }
                    (name, part)
                }
            };
            match part {
                Some(part) => listing.files.push(part),
                None => listing.strangers.push(self.address(&format!("{prefix}{name}"))),
            }
        }
        listing.files.sort_unstable();
        listing.strangers.sort_unstable();
        Ok(listing)
    }

    /// Makes a sealed file visible in the partition `date`, unless it is.
    ///
    /// # Errors
    ///
    /// [`DiskError::Exists`] if a file of this name and other bytes is visible, which stays as it is.
    pub(super) fn put_if_absent(&self, date: NaiveDate, part: &Sealed) -> Result<PartFile, DiskError> {
        let key = self.key_of(date, part.name());
        let file = part.reopen()?;
        let sha256 = sha256_of(&file).map_err(DiskError::io("read", part.path()))?;
        let upload = Upload { key: &key, file: &file, bytes: part.bytes(), sha256 };
        self.put(&upload).map(|()| PartFile { date, name: part.name(), bytes: part.bytes() })
    }

    /// Puts an object whole, unless it is there.
    ///
    /// # Errors
    ///
    /// [`DiskError::Exists`] if one with other bytes is there, which stays as it is.
    pub(super) fn put(&self, upload: &Upload<'_>) -> Result<(), DiskError> {
        for put in 1..=PUTS_MAX {
            // Also before the first: an earlier process may have put it, and not every store tells a key that is taken.
            if self.is_there(upload)? {
                return Ok(());
            }
            match self.bucket.put_new(upload) {
                Ok(()) => {}
                // Our own put, sent twice by whoever sends, or another's: the bytes tell.
                Err(error) if error.trouble == Trouble::Taken => {}
                // It may have come about, or come about still, with the same bytes.
                Err(error) if error.is_unclear() && put < PUTS_MAX => {}
                Err(error) => {
                    return match self.is_there(upload) {
                        Ok(true) => Ok(()),
                        Err(exists @ DiskError::Exists { .. }) => Err(exists),
                        _ => Err(self.failed("publish", upload.key)(error)),
                    };
                }
            }
        }
        if self.is_there(upload)? {
            return Ok(());
        }
        let said = "the store takes it, and then there is nothing";
        Err(self.failed("publish", upload.key)(BucketError::new(Trouble::Other, said)))
    }

    /// Whether the object is there as it is to be.
    ///
    /// # Errors
    ///
    /// [`DiskError::Exists`] if another one is.
    fn is_there(&self, upload: &Upload<'_>) -> Result<bool, DiskError> {
        let looked = self.bucket.look(upload.key).map_err(self.failed("look at", upload.key))?;
        let Some(object) = looked else { return Ok(false) };
        let is_same = object.bytes == upload.bytes
            && match object.sha256 {
                Some(sha256) => sha256 == upload.sha256,
                None => self.read_sha256(upload.key, object.bytes)? == upload.sha256,
            };
        if is_same { Ok(true) } else { Err(DiskError::Exists { path: self.address(upload.key) }) }
    }

    /// The digest that the store keeps of a file, if that is visible; of one that it keeps none of, the digest of its bytes.
    pub(super) fn kept_sha256(&self, date: NaiveDate, name: FileName) -> Result<Option<[u8; 32]>, DiskError> {
        match self.look(date, name)? {
            Some(Object { bytes, sha256: None }) => self.read_sha256(&self.key_of(date, name), bytes).map(Some),
            looked => Ok(looked.and_then(|object| object.sha256)),
        }
    }

    fn read_sha256(&self, key: &str, bytes: u64) -> Result<[u8; 32], DiskError> {
        let mut hash = Sha256::new();
        self.bucket.get(key, 0..bytes, &mut hash).map_err(self.failed("read", key))?;
        Ok(hash.finalize().into())
    }

    /// Puts `part` into the partition, and takes the files `known` away once it is there.
    pub(super) fn replace(
        &self,
        date: NaiveDate,
        part: &Sealed,
        known: &BTreeSet<FileName>,
    ) -> Result<PartFile, DiskError> {
        let put = self.put_if_absent(date, part)?;
        self.retire(date, put.name, known)?;
        Ok(put)
    }

    /// Takes the files `known` away, but for the one of this name. One that is gone already is no error.
    pub(super) fn retire(&self, date: NaiveDate, name: FileName, known: &BTreeSet<FileName>) -> Result<(), DiskError> {
        known.iter().filter(|old| **old != name).try_for_each(|old| {
            let key = self.key_of(date, *old);
            self.bucket.delete(&key).map_err(self.failed("remove", &key))
        })
    }

    /// Puts, looks at, reads, lists and deletes an object of a name of its own, and puts it twice: whatever a run needs.
    pub(super) fn try_out(&self, is_table: bool) -> Result<Tried, DiskError> {
        self.partitions()?;
        // Two that are tried at the same time do not meet.
        let key = format!("{}/{PROBE_KEY}{:016x}", self.place.prefix(), RandomState::new().build_hasher().finish());
        let tried = self.try_key(&key);
        let deleted = self.bucket.delete(&key).map_err(self.failed("remove", &key));
        let puts_only_new = tried?;
        deleted?;
        if self.bucket.look(&key).map_err(self.failed("look at", &key))?.is_some() {
            return Err(self.failed("remove", &key)(BucketError::new(Trouble::Refused, "it is still there")));
        }
        Ok(Tried { place: self.place.clone(), puts_only_new, is_table })
    }

    /// Whether the store keeps what is there.
    fn try_key(&self, key: &str) -> Result<bool, DiskError> {
        let [first, second] = ["first", "second"];
        match self.put_text(key, first) {
            // The answer was lost, and the library has asked again: the key is nobody else's, and what is read says whether it was that.
            Err(DiskError::Bucket { source, .. }) if source.trouble == Trouble::Taken => {}
            put => put?,
        }
        let puts_only_new = match self.put_text(key, second) {
            Ok(()) => false,
            Err(DiskError::Bucket { source, .. }) if source.trouble == Trouble::Taken => true,
            Err(error) => return Err(error),
        };
        let expected = if puts_only_new { first } else { second };
        let mut read = Vec::new();
        let object = self.bucket.look(key).map_err(self.failed("look at", key))?;
        let bytes = object.map_or(0, |object| object.bytes);
        self.bucket.get(key, 0..bytes, &mut read).map_err(self.failed("read", key))?;
        if read != expected.as_bytes() {
            let said = "what is read is not what was put";
            return Err(self.failed("read", key)(BucketError::new(Trouble::Refused, said)));
        }
        Ok(puts_only_new)
    }

    fn put_text(&self, key: &str, text: &str) -> Result<(), DiskError> {
        let here = |error| DiskError::io("write in", &self.scratch)(error);
        let mut file = self.scratch_file()?;
        file.write_all(text.as_bytes()).map_err(here)?;
        file.rewind().map_err(here)?;
        let sha256 = Sha256::digest(text).into();
        let upload = Upload { key, file: &file, bytes: text.len() as u64, sha256 };
        self.bucket.put_new(&upload).map_err(self.failed("write", key))
    }

    fn prefix_of(&self, date: NaiveDate) -> String {
        format!("{}/{}/", self.place.prefix(), folder_name(date))
    }

    fn key_of(&self, date: NaiveDate, name: FileName) -> String {
        format!("{}{name}", self.prefix_of(date))
    }

    fn address(&self, key: &str) -> PathBuf {
        format!("s3://{}/{key}", self.place.bucket()).into()
    }

    fn failed(&self, operation: &'static str, key: &str) -> impl FnOnce(BucketError) -> DiskError {
        let path = self.address(key);
        move |source| DiskError::Bucket { operation, path, source }
    }
}

fn sort_once(paths: &mut Vec<PathBuf>) {
    paths.sort_unstable();
    paths.dedup();
}
