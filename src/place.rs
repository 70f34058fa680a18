//! Where a dataset lies: a folder of this machine, or a prefix of a bucket.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Where a dataset lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A prefix of a bucket.
    Bucket(BucketPlace),
}

/// A prefix of a bucket: `s3://bucket/prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketPlace {
    bucket: String,
    prefix: String,
}

/// What a place is called in rules for people.
pub const PLACE_RULE: &str = "a folder's path other than `/`, or `s3://BUCKET/PREFIX` with letters, digits, `-`, `_`, `.` and \
                              `=`, and no part of which begins with `date=` or `_delta_log` (so for OSS, COS, TOS and MinIO too, with `store.endpoint`)";

/// What a part of a prefix does not begin with: readers would take the dataset for a date or for the log of another one.
const PARTS_OF_DATASETS: [&str; 2] = ["date=", "_delta_log"];

/// The longest prefix, in characters: a folder of this machine is named after the place.
const PREFIX_CHARS_MAX: usize = 160;

/// What a bucket's name may be long, in characters, by the rules of S3.
const BUCKET_CHARS: std::ops::RangeInclusive<usize> = 3..=63;

impl Place {
    /// Reads what [`PLACE_RULE`] says; anything else is `None`, and so is an address of another scheme.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(address) = text.strip_prefix("s3://") {
            return BucketPlace::parse(address).map(Self::Bucket);
        }
        let folder = PathBuf::from(text);
        // With a slash too few it is no address, and hardly a folder that anybody wants.
        let is_scheme = |scheme: &str| !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric());
        let is_address = text.split_once(":/").is_some_and(|(scheme, _)| is_scheme(scheme)) || text.contains("://");
        let is_folder = !is_address && !text.contains('\0') && folder.file_name().is_some();
        is_folder.then_some(Self::Folder(folder))
    }

    /// The folder, if it is one.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Bucket(_) => None,
        }
    }

    /// The bucket, if it is in one.
    pub fn bucket(&self) -> Option<&BucketPlace> {
        match self {
            Self::Folder(_) => None,
            Self::Bucket(place) => Some(place),
        }
    }
}

impl BucketPlace {
    /// Reads what stands behind `s3://`.
    fn parse(address: &str) -> Option<Self> {
        let (bucket, prefix) = address.split_once('/')?;
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let is_bucket = BUCKET_CHARS.contains(&bucket.len())
            && bucket.starts_with(is_plain)
            && bucket.ends_with(is_plain)
            && bucket.chars().all(|c| is_plain(c) || c == '-' || c == '.');
        // No other character means the same in a key, in an address and in the name of a folder.
        let is_part = |part: &str| {
            !part.is_empty()
                && part.chars().any(|c| c != '.')
                && !PARTS_OF_DATASETS.iter().any(|of| part.starts_with(of))
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.=".contains(c))
        };
        let is_prefix = prefix.len() <= PREFIX_CHARS_MAX && prefix.split('/').all(is_part);
        (is_bucket && is_prefix).then(|| Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// What all keys begin with, without a slash at either end; never empty.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A name for a folder that no other place has.
    pub fn folder_name(&self) -> String {
        format!("s3+{}+{}", self.bucket, self.prefix.replace('/', "+"))
    }

    /// Whether one of them holds the other, or both are one.
    pub fn overlaps(&self, other: &Self) -> bool {
        let begins = |whole: &str, with: &str| {
            whole.strip_prefix(with).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.bucket == other.bucket && (begins(&self.prefix, &other.prefix) || begins(&other.prefix, &self.prefix))
    }
}

impl fmt::Display for BucketPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(f),
            Self::Bucket(place) => place.fmt(f),
        }
    }
}

impl From<PathBuf> for Place {
    fn from(folder: PathBuf) -> Self {
        Self::Folder(folder)
    }
}

impl From<&str> for Place {
    fn from(folder: &str) -> Self {
        Self::Folder(folder.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_folder_or_a_prefix_of_a_bucket() {
        for (text, shown) in [
            ("quality", Some("quality")),
            ("/data/quality", Some("/data/quality")),
            ("s3:/data", None),
            ("oss:/data", None),
            ("./s3:/data", Some("./s3:/data")),
            ("s3://lake/_delta_log", None),
            ("s3://lake/quality/_delta_log", None),
            ("s3://lake/date=2025-04-01", None),
            ("s3://lake/date=2025-04-01/quality", None),
            ("s3://lake/update=daily/quality", Some("s3://lake/update=daily/quality")),
            ("s3://lake/quality", Some("s3://lake/quality")),
            ("s3://lake.of-us/vcq/quality/", Some("s3://lake.of-us/vcq/quality")),
            ("s3://lake/layer=bronze/quality", Some("s3://lake/layer=bronze/quality")),
            ("s3://lake", None),
            ("s3://lake/", None),
            ("s3://lake//quality", None),
            ("s3://lake/../quality", None),
            ("s3://la/quality", None),
            ("s3://Lake/quality", None),
            ("s3://key:secret@lake/quality", None),
            ("s3://lake/qual ity", None),
            ("s3a://lake/quality", None),
            ("oss://lake/quality", None),
            ("https://lake.example.com/quality", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(Place::parse(text).map(|place| place.to_string()).as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn a_prefix_holds_what_begins_with_it_and_a_slash() {
        let place = |text: &str| Place::parse(text).unwrap().bucket().unwrap().clone();
        for (one, other, overlaps) in [
            ("s3://lake/a", "s3://lake/a", true),
            ("s3://lake/a", "s3://lake/a/b", true),
            ("s3://lake/a", "s3://lake/ab", false),
            ("s3://lake/a", "s3://pond/a", false),
        ] {
            assert_eq!(place(one).overlaps(&place(other)), overlaps, "{one} {other}");
            assert_eq!(place(other).overlaps(&place(one)), overlaps, "{other} {one}");
        }
        assert_eq!(place("s3://lake/a/b").folder_name(), "s3+lake+a+b");
    }
}
