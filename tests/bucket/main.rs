//! A dataset in a bucket over HTTP: what is put is there once and whole, whatever the store answers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "where it was killed, shown with a failure")]

use std::{
    io::Write as _,
    net::TcpListener,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chrono::NaiveDate;
use vcq::{
    config::Config,
    error::Chain,
    place::Place,
    store::{
        FileName, Listing, Store, Stores, Trust,
        disk::{DiskError, LocalDisk},
        s3::{Patience, S3Buckets},
    },
};

use self::server::{Condition, Fault, Faults, Server};

mod black_box;
mod commands;
mod kills;
mod lake;
mod server;
mod strangers;

#[path = "../support/canary.rs"]
mod canary;
#[path = "../support/moto.rs"]
mod moto;
#[path = "../support/python.rs"]
mod python;
#[expect(dead_code, reason = "the seeds of other tests")]
#[path = "../support/seeds.rs"]
mod seeds;
#[expect(dead_code, reason = "the rows of datasets in folders")]
#[path = "../cli/world.rs"]
mod world;

const CREDENTIALS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "simulated"), ("AWS_SECRET_ACCESS_KEY", "s3cret")];
const NAME: FileName = FileName::new(0xabc);
const KEY: &str = "lake/vcq/quality/date=2025-04-01/part-0000000000000abc.parquet";

fn date() -> NaiveDate {
    "2025-04-01".parse().unwrap()
}

fn calm() -> Faults {
    Box::new(|_, _, _| None)
}

/// What a store may do about conditions.
const CONDITIONS: [Condition; 5] = [
    Condition::Kept,
    Condition::Refused(400, "NotImplemented"),
    Condition::Refused(400, "InvalidArgument"),
    Condition::Refused(501, "NotImplemented"),
    Condition::Ignored,
];

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
    store_with(address, folder, &CREDENTIALS, Patience { retries_max: 2, ..Patience::default() }).unwrap()
}

/// The same, with this environment, waited for so long.
fn store_with(
    address: &str,
    folder: &Path,
    environment: &[(&str, &str)],
    patience: Patience,
) -> Result<Store, DiskError> {
    let flags = [
        ("state", folder.join("state").display().to_string()),
        ("output", "s3://lake/vcq/quality".to_owned()),
        ("store.endpoint", address.to_owned()),
        ("store.allow_http", "true".to_owned()),
    ];
    let config = Config::load(None, [], &flags).unwrap();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let buckets = S3Buckets::new(environment).with_patience(patience);
    let stores = Stores::new(Arc::new(LocalDisk), Arc::new(buckets), &config);
    assert!(matches!(config.output, Place::Bucket(_)));
    stores.open(&config.output)
}

fn publish(store: &Store, content: &[u8]) -> Result<u64, DiskError> {
    let lock = store.lock()?;
    let mut staged = lock.stage(NAME)?;
    staged.write_all(content).unwrap();
    lock.put_if_absent(date(), staged.seal()?).map(|part| part.bytes)
}

#[test]
fn what_is_put_is_there_whatever_the_store_does_about_conditions() {
    for condition in CONDITIONS {
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
    for fault in [
        Fault::Refuse(503, "SlowDown"),
        Fault::Refuse(500, "InternalError"),
        Fault::Refuse(400, "RequestTimeout"),
        Fault::Refuse(400, "BadDigest"),
        Fault::Refuse(409, "ConditionalRequestConflict"),
        Fault::DoneAnd500,
        Fault::DoneAndCut,
    ] {
        let home = Home::new(Condition::Kept, first("PUT", 1, fault));
        home.publish(b"a file").unwrap_or_else(|error| panic!("{fault:?}: {}", Chain(&error)));
        assert_eq!(home.server.objects()[KEY].content, b"a file", "{fault:?}");
    }
}

#[test]
fn what_was_put_and_not_answered_in_time_is_found() {
    let home = Home::new(Condition::Kept, first("PUT", 1, Fault::DoneAndHeld));
    let patience = Patience { answer: Duration::from_millis(500), ..Patience::default() };
    let store = store_with(&home.server.address, home.folder.path(), &CREDENTIALS, patience).unwrap();
    publish(&store, b"a file").unwrap();
    let puts = home.server.requests().iter().filter(|asked| asked.starts_with("PUT")).count();
    assert_eq!((puts, &*home.server.objects()[KEY].content), (1, &b"a file"[..]));
}

#[test]
fn bytes_that_are_bent_on_their_way_are_not_those_that_were_put() {
    let home = Home::new(Condition::Kept, first("GET", 1, Fault::BentBody));
    home.publish(b"a file").unwrap();
    let store = home.store();
    let [read, kept] = [Trust::Bytes, Trust::Kept].map(|trust| store.sha256(date(), NAME, trust).unwrap());
    assert_ne!(read, kept);
    assert_eq!(store.sha256(date(), NAME, Trust::Bytes).unwrap(), kept, "the object is as it was");
}

#[test]
fn a_store_that_is_away_is_told_and_put_to_when_it_is_back() {
    let mut home = Home::new(Condition::Kept, calm());
    let store = home.store();
    home.server.stop();
    for _ in 0..2 {
        let error = publish(&store, b"a file").unwrap_err();
        assert!(error.is_away() && error.hint().unwrap().contains("nothing is lost"), "{}", Chain(&error));
    }
    home.server.restart();
    assert_eq!(publish(&store, b"a file").unwrap(), 6);
}

/// The instance takes connections, and says nothing.
#[test]
fn an_instance_without_credentials_is_not_waited_for_long() {
    let home = Home::new(Condition::Kept, calm());
    let instance = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", instance.local_addr().unwrap());
    let patience = Patience { credentials: Duration::from_millis(200), ..Patience::default() };
    let environment = [("AWS_METADATA_ENDPOINT", &*address)];
    let store = store_with(&home.server.address, home.folder.path(), &environment, patience).unwrap();
    let error = store.try_out().unwrap_err();
    let told = Chain(&error).to_string();
    assert!(told.contains("the environment names no credentials, and the instance gives none"), "{told}");
    assert!(error.hint().unwrap().starts_with("set AWS_ACCESS_KEY_ID"));
    assert_eq!(home.server.requests(), [""; 0]);
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
fn a_listing_that_is_refused_names_the_remedy() {
    for (status, code, remedy) in [
        (404, "NoSuchBucket", "create the bucket"),
        (403, "AccessDenied", "let the credentials read, list"),
        (403, "SignatureDoesNotMatch", "let the credentials read, list"),
        (301, "redirect", "create the bucket, or correct its name, `store.endpoint` or `store.region`"),
        (400, "AuthorizationHeaderMalformed", "wrong `store.region`"),
    ] {
        let home = Home::new(Condition::Kept, first("GET", 100, Fault::Refuse(status, code)));
        let error = home.store().try_out().unwrap_err();
        assert!(Chain(&error).to_string().contains(code), "{}", Chain(&error));
        assert!(error.hint().is_some_and(|hint| hint.contains(remedy)), "{}: {:?}", Chain(&error), error.hint());
    }
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

/// Whether the answer says so or not, and whether or not its parts are told from those of an upload that is over.
#[test]
fn parts_that_were_put_together_without_an_answer_are_the_file() {
    let large = vec![7; 20 * 1024 * 1024];
    for fault in [Fault::DoneAnd500, Fault::DoneAndCut] {
        let mut met = false;
        let complete = move |_, method: &str, target: &str| {
            let is_it = method == "POST" && target.contains("uploadId") && !met;
            met |= is_it;
            is_it.then_some(fault)
        };
        let home = Home::new(Condition::Kept, Box::new(complete));
        home.publish(&large).unwrap_or_else(|error| panic!("{fault:?}: {}", Chain(&error)));
        assert!(home.server.objects()[KEY].content == large, "{fault:?}");
        assert_eq!(home.server.parts(), 0, "{fault:?}");
    }
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
    // What some programs put to have empty folders is none.
    home.server.put("lake/vcq/quality/", b"");
    home.server.put("lake/vcq/quality/date=2025-04-01/", b"");
    home.server.put("lake/vcq/quality/date=2025-04-03/", b"");
    let found = store.partitions().unwrap();
    let empty = "2025-04-03".parse().unwrap();
    assert_eq!(store.list(empty).unwrap(), Listing::default());
    assert_eq!(
        (found.dates, found.strangers),
        (vec![date(), empty], vec![PathBuf::from("s3://lake/vcq/quality/notes.txt")])
    );
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
    assert_eq!(at_once.list(empty).unwrap(), Listing::default());
    assert_eq!(home.server.requests().len(), before + 2);
}

#[test]
fn a_check_tries_all_and_leaves_nothing() {
    for condition in CONDITIONS {
        let told = match condition {
            Condition::Kept => "puts a file only where there is none",
            Condition::Refused(..) | Condition::Ignored => "does not put a file only where there is none",
        };
        let home = Home::new(condition, calm());
        let tried = home.store().try_out().unwrap().unwrap().to_string();
        assert!(tried.contains(told), "{condition:?}: {tried}");
        assert!(home.server.objects().is_empty());
    }
}

/// Each section that stands commented in the example.
#[test]
fn the_examples_of_stores_can_be_read() {
    let example = include_str!("../../config/stores.example.toml");
    let sections = example.split("# [store]\n").skip(1).map(|section| {
        let keys = section.lines().take_while(|line| line.contains(" = ")).map(|line| line.trim_start_matches("# "));
        format!("output = \"s3://lake/vcq/quality\"\n[store]\n{}\n", keys.collect::<Vec<_>>().join("\n"))
    });
    let mut count = 0;
    for section in sections {
        let loaded = Config::load(Some(("vcq.toml", &*section)), [], &[]);
        let config = loaded.unwrap_or_else(|error| panic!("{section}: {}", Chain(&error)));
        assert!(config.store.endpoint.is_some() || config.store.region.is_some(), "{section}");
        count += 1;
    }
    assert_eq!(count, 6);
}

#[test]
fn no_secret_is_shown() {
    let home = Home::new(Condition::Kept, calm());
    assert!(!format!("{:?}", home.store()).contains("s3cret"));
}
