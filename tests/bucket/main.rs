//! A dataset in a bucket over HTTP: what is put is there once and whole, whatever the store answers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::NaiveDate;
use vcq::{
    config::Config,
    error::Chain,
    place::Place,
    store::{
        FileName, Store, Stores, Trust,
        disk::{DiskError, LocalDisk},
        s3::S3Buckets,
    },
};

use self::server::{Condition, Fault, Faults, Server};

mod moto;
mod server;

#[path = "../support/python.rs"]
mod python;

const NAME: FileName = FileName::new(0xabc);
const KEY: &str = "lake/vcq/quality/date=2025-04-01/part-0000000000000abc.parquet";

fn date() -> NaiveDate {
    "2025-04-01".parse().unwrap()
}

fn calm() -> Faults {
    Box::new(|_, _, _| None)
}

/// What happens to the first request of this method, and to so many of that after it.
fn first(method: &'static str, count: usize, fault: Fault) -> Faults {
    let mut met = 0;
    Box::new(move |_, asked, _| {
        met += usize::from(asked == method);
        (asked == method && met <= count).then_some(fault)
    })
}

struct Home {
    server: Server,
    folder: tempfile::TempDir,
}

impl Home {
    fn new(condition: Condition, faults: Faults) -> Self {
        Self { server: Server::start(condition, faults), folder: tempfile::tempdir().unwrap() }
    }

    fn store(&self) -> Store {
        store_at(&self.server.address, self.folder.path())
    }

    /// Publishes these bytes.
    fn publish(&self, content: &[u8]) -> Result<u64, DiskError> {
        publish(&self.store(), content)
    }
}

/// A dataset in the store at this address; what is built for it stands in `folder`.
fn store_at(address: &str, folder: &Path) -> Store {
    let flags = [
        ("state", folder.join("state").display().to_string()),
        ("output", "s3://lake/vcq/quality".to_owned()),
        ("store.endpoint", address.to_owned()),
        ("store.allow_http", "true".to_owned()),
    ];
    let config = Config::load(None, [], &flags).unwrap();
    let credentials = [("AWS_ACCESS_KEY_ID", "simulated"), ("AWS_SECRET_ACCESS_KEY", "s3cret")];
    let credentials = credentials.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let stores = Stores::new(Arc::new(LocalDisk), Arc::new(S3Buckets::new(credentials)), &config);
    assert!(matches!(config.output, Place::Bucket(_)));
    stores.open(&config.output).unwrap()
}

fn publish(store: &Store, content: &[u8]) -> Result<u64, DiskError> {
    let lock = store.lock()?;
    let mut staged = lock.stage(NAME)?;
    staged.write_all(content).unwrap();
    lock.put_if_absent(date(), staged.seal()?).map(|part| part.bytes)
}

#[test]
fn what_is_put_is_there_whatever_the_store_does_about_conditions() {
    for condition in [Condition::Kept, Condition::Refused, Condition::Ignored] {
        let home = Home::new(condition, calm());
        assert_eq!(home.publish(b"a file").unwrap(), 6, "{condition:?}");
        let (requests, objects) = (home.server.requests(), home.server.objects());
        assert_eq!(objects.keys().collect::<Vec<_>>(), [KEY], "{requests:?}");
        assert_eq!(objects[KEY].content, b"a file");
        // The same again is a success, and other bytes under the name are not put.
        home.publish(b"a file").unwrap();
        let error = home.publish(b"another").unwrap_err();
        assert!(matches!(error, DiskError::Exists { .. }), "{condition:?}: {error}");
        assert_eq!(error.to_string(), format!("`s3://{KEY}` is published already"));
        assert_eq!(home.server.objects()[KEY].content, b"a file");
    }
}

#[test]
fn publishing_takes_three_requests() {
    let home = Home::new(Condition::Kept, calm());
    home.publish(b"a file").unwrap();
    let asked = ["HEAD", "PUT", "HEAD"].map(|method| format!("{method} {KEY}"));
    assert_eq!(home.server.requests(), asked);
}

#[test]
fn faults_that_pass_are_sat_out() {
    for fault in
        [Fault::Refuse(503, "SlowDown"), Fault::Refuse(500, "InternalError"), Fault::DoneAnd500, Fault::DoneAndCut]
    {
        let home = Home::new(Condition::Kept, first("PUT", 1, fault));
        home.publish(b"a file").unwrap_or_else(|error| panic!("{fault:?}: {}", Chain(&error)));
        assert_eq!(home.server.objects()[KEY].content, b"a file", "{fault:?}");
    }
}

#[test]
fn an_answer_that_is_cut_is_asked_for_again_or_told() {
    let home = Home::new(Condition::Kept, first("GET", 1, Fault::CutBody));
    home.publish(b"a file").unwrap();
    let store = home.store();
    match store.sha256(date(), NAME, Trust::Bytes) {
        Ok(digest) => assert_eq!(digest, store.sha256(date(), NAME, Trust::Kept).unwrap()),
        Err(error) => assert!(error.is_unclear(), "{}", Chain(&error)),
    }
    assert_eq!(store.sha256(date(), NAME, Trust::Bytes).unwrap(), store.sha256(date(), NAME, Trust::Kept).unwrap());
}

#[test]
fn a_refusal_names_the_object_and_the_remedy_and_no_more_of_the_answer() {
    let home = Home::new(Condition::Kept, first("PUT", 100, Fault::Refuse(403, "AccessDenied")));
    let error = home.publish(b"a file").unwrap_err();
    let told = Chain(&error).to_string();
    assert_eq!(told, format!("cannot publish `s3://{KEY}`: 403 AccessDenied: as it was told to"));
    assert!(!error.is_unclear() && error.hint().unwrap().starts_with("let the credentials read"));
    assert!(home.server.objects().is_empty());
}

#[test]
fn a_large_file_goes_in_parts_and_leaves_none_behind() {
    let large = vec![7; 40 * 1024 * 1024];
    let home = Home::new(Condition::Kept, calm());
    home.publish(&large).unwrap();
    let parts = |home: &Home| home.server.requests().iter().filter(|asked| asked.contains("partNumber")).count();
    assert_eq!((parts(&home), home.server.parts()), (3, 0));
    assert!(home.server.objects()[KEY].content == large);
    let store = home.store();
    assert_eq!(store.sha256(date(), NAME, Trust::Bytes).unwrap(), store.sha256(date(), NAME, Trust::Kept).unwrap());
    // The third part is refused each time that it is sent.
    let refused =
        |_, _: &str, target: &str| target.contains("partNumber=3").then_some(Fault::Refuse(403, "AccessDenied"));
    let home = Home::new(Condition::Kept, Box::new(refused));
    home.publish(&large).unwrap_err();
    assert_eq!((home.server.objects().len(), home.server.parts()), (0, 0), "{:?}", home.server.requests());
}

#[test]
fn a_listing_tells_files_from_strangers() {
    let home = Home::new(Condition::Kept, calm());
    home.publish(b"a file").unwrap();
    home.server.put("lake/vcq/quality/date=2025-04-01/notes.txt", b"mine");
    home.server.put("lake/vcq/quality/date=2025-04-01/deep/part-0000000000000001.parquet", b"mine");
    home.server.put("lake/vcq/quality/notes.txt", b"mine");
    home.server.put("lake/vcq/quality2/date=2025-04-02/part-0000000000000001.parquet", b"mine");
    let store = home.store();
    let found = store.partitions().unwrap();
    assert_eq!((found.dates, found.strangers), (vec![date()], vec![PathBuf::from("s3://lake/vcq/quality/notes.txt")]));
    let listing = store.list(date()).unwrap();
    assert_eq!(listing.files.iter().map(|part| (part.name, part.bytes)).collect::<Vec<_>>(), [(NAME, 6)]);
    let strangers =
        ["deep", "notes.txt"].map(|name| PathBuf::from(format!("s3://lake/vcq/quality/date=2025-04-01/{name}")));
    assert_eq!(listing.strangers, strangers);
    assert_eq!(store.list("2025-04-02".parse().unwrap()).unwrap().files, []);
    // All at once says the same, by one request.
    let before = home.server.requests().len();
    let at_once = store.at_once().unwrap();
    assert_eq!(at_once.partitions().unwrap(), store.partitions().unwrap());
    assert_eq!(at_once.list(date()).unwrap(), listing);
    assert_eq!(home.server.requests().len(), before + 2);
}

#[test]
fn a_check_tries_all_and_leaves_nothing() {
    for (condition, told) in [
        (Condition::Kept, "puts a file only where there is none"),
        (Condition::Refused, "does not put a file only where there is none"),
        (Condition::Ignored, "does not put a file only where there is none"),
    ] {
        let home = Home::new(condition, calm());
        let tried = home.store().try_out().unwrap().unwrap().to_string();
        assert!(tried.contains(told), "{condition:?}: {tried}");
        assert!(home.server.objects().is_empty());
    }
}

#[test]
fn no_secret_is_shown() {
    let home = Home::new(Condition::Kept, calm());
    assert!(!format!("{:?}", home.store()).contains("s3cret"));
}
