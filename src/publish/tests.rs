use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex},
};

use chrono::NaiveDate;

use super::*;
use crate::{
    journal::{Identity, Lane, Manifested, NewPage},
    start::Stop,
    stay::{MeetingNo, Participant, Stay},
    store::{
        disk::{Disk, DiskError, LocalDisk},
        s3::S3Buckets,
    },
};

const DATES: u32 = 8;
const STAYS_PER_DATE: u32 = 3;

fn date(number: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2025, 3, 1 + number).unwrap()
}

fn dates() -> Vec<NaiveDate> {
    (0..DATES).map(date).collect()
}

fn stay(number: u32) -> Stay {
    let start = date(number / STAYS_PER_DATE).and_hms_opt(2, 0, 0).unwrap().and_utc().timestamp();
    Stay {
        meeting_no: MeetingNo::parse("123456789").unwrap(),
        meeting_start_s: start,
        meeting_end_s: start + 3600,
        join_s: start,
        participant: Participant::User(format!("ou_{number}")),
    }
}

/// A journal in which each of the dates has landed stays.
fn landed(home: &Path) -> Journal {
    let identity = Identity {
        timezone: "Asia/Shanghai".into(),
        user_id_type: "open_id".into(),
        app_id: String::new(),
        host: String::new(),
    };
    let mut journal = Journal::open(&home.join("state"), &identity).unwrap();
    let mut staging = journal.stage().unwrap();
    for number in 0..DATES * STAYS_PER_DATE {
        staging.push(&stay(number), Manifested { file: 0, line: u64::from(number) + 1 }).unwrap();
    }
    let staged = staging.finish().unwrap();
    journal.enqueue(staged, Lane::Nightly, Tz::Asia__Shanghai).unwrap().finish().unwrap();
    for number in 0..DATES * STAYS_PER_DATE {
        let stay = journal.next(1, |_| false).unwrap().unwrap().id;
        let sample = format!(r#"{{"network":{{"network_delay":"{number}ms"}}}}"#);
        let body = format!(r#"{{"code":0,"data":{{"participant_quality_list":[{sample},{sample}]}}}}"#);
        let page = NewPage { stay, number: 0, samples: 2, next_token: None, body: body.as_bytes() };
        journal.land(&page, 1_750_000_000).unwrap();
    }
    journal
}

fn publisher(disk: Arc<dyn Disk>, home: &Path, workers: usize) -> Publisher {
    let config = Config::load(None, [], &[("output", home.join("quality").display().to_string())]).unwrap();
    let stores = Stores::new(disk, Arc::new(S3Buckets::default()), &config);
    Publisher { workers, ..Publisher::of(&stores, &config).unwrap() }
}

fn replace(publisher: &Publisher, journal: &mut Journal) -> (Vec<Publication>, Result<(), Error>) {
    let (mut publications, mut ended) = (Vec::new(), Ok(()));
    let publishing = publisher.begin(journal).unwrap();
    let told = |_, replaced: Result<Publication, Error>| match replaced {
        Ok(publication) => publications.push(publication),
        Err(error) => ended = Err(error),
    };
    publishing.replace(journal, &dates(), &Stop::new().1, told).unwrap();
    publications.sort_by_key(|publication| publication.file.date);
    (publications, ended)
}

/// The visible files with their bytes.
fn visible(home: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let store = Store::open(Arc::new(LocalDisk), &home.join("quality")).unwrap();
    let found = store.partitions().unwrap();
    assert_eq!(found.strangers, Vec::<PathBuf>::new());
    let parts = found.dates.into_iter().flat_map(|date| store.list(date).unwrap().files);
    let paths = parts.map(|part| store.path_of(part.date, part.name));
    let within = |path: &Path| path.strip_prefix(home.canonicalize().unwrap()).unwrap().to_owned();
    paths.map(|path| (within(&path), fs::read(&path).unwrap())).collect()
}

#[test]
fn any_number_of_threads_builds_the_same_files() {
    let calm = tempfile::tempdir().unwrap();
    let (expected, ended) = replace(&publisher(Arc::new(LocalDisk), calm.path(), 1), &mut landed(calm.path()));
    ended.unwrap();
    assert_eq!(expected.iter().map(|publication| publication.file.date).collect::<Vec<_>>(), dates());
    assert_eq!(visible(calm.path()).len(), dates().len());
    for workers in [2, 3, 20] {
        let home = tempfile::tempdir().unwrap();
        let publisher = publisher(Arc::new(LocalDisk), home.path(), workers);
        let (publications, ended) = replace(&publisher, &mut landed(home.path()));
        ended.unwrap();
        let names = |publications: &[Publication]| {
            publications.iter().map(|publication| (publication.file.date, publication.name.clone())).collect::<Vec<_>>()
        };
        assert_eq!(names(&publications), names(&expected), "{workers} threads");
        assert_eq!(visible(home.path()), visible(calm.path()), "{workers} threads");
    }
}

/// A disk on which the partition of one date cannot be exchanged, and those of the others only after that has failed.
#[derive(Debug)]
struct StuckDate {
    date: NaiveDate,
    has_failed: Mutex<bool>,
    failed: Condvar,
}

impl StuckDate {
    fn new(date: NaiveDate) -> Arc<Self> {
        Arc::new(Self { date, has_failed: Mutex::new(false), failed: Condvar::new() })
    }
}

impl Disk for StuckDate {
    fn create_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        LocalDisk.create_folder(path, mode)
    }

    fn create_file(&self, path: &Path) -> io::Result<File> {
        LocalDisk.create_file(path)
    }

    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<usize> {
        LocalDisk.write(file, bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        LocalDisk.sync(file)
    }

    fn rename(&self, from: &Path, folder: &File, name: &str) -> io::Result<()> {
        LocalDisk.rename(from, folder, name)
    }

    fn exchange(&self, path: &Path, folder: &File, name: &str) -> io::Result<()> {
        let mut has_failed = self.has_failed.lock().unwrap();
        if name == format!("date={}", self.date) {
            *has_failed = true;
            self.failed.notify_all();
            return Err(io::ErrorKind::StorageFull.into());
        }
        drop(self.failed.wait_while(has_failed, |has_failed| !*has_failed).unwrap());
        LocalDisk.exchange(path, folder, name)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        LocalDisk.remove(path)
    }
}

#[test]
fn an_error_in_one_date_leaves_it_as_it_was_and_holds_up_no_other() {
    const WORKERS: usize = 2;
    let stuck = date(0);
    let home = tempfile::tempdir().unwrap();
    let mut journal = landed(home.path());
    replace(&publisher(Arc::new(LocalDisk), home.path(), WORKERS), &mut journal).1.unwrap();
    let before = visible(home.path());
    // Other settings, so that every file gets a new name.
    let anew = |disk: Arc<dyn Disk>| Publisher {
        naive_offset: FixedOffset::east_opt(7 * 3600).unwrap(),
        ..publisher(disk, home.path(), WORKERS)
    };
    let (publications, ended) = replace(&anew(StuckDate::new(stuck)), &mut journal);
    let error = ended.unwrap_err();
    assert_eq!(publications.len(), dates().len() - 1, "all others are told");
    assert!(matches!(error, Error::Disk(DiskError::Io { operation: "exchange", .. })), "{error:?}");

    let after = visible(home.path());
    assert_eq!(after.len(), before.len(), "one file a date");
    let is_old: Vec<_> = before.iter().zip(&after).map(|(before, after)| before == after).collect();
    let [true, rest @ ..] = is_old.as_slice() else { panic!("{is_old:?}") };
    assert!(rest.iter().all(|is_old| !*is_old), "{is_old:?}");
    for date in dates() {
        let published = journal.files_on(date).unwrap().into_iter().filter(|file| file.published);
        let names: Vec<_> = published.map(|file| format!("part-{}.parquet", file.name)).collect();
        let visible = after.iter().filter(|(path, _)| path.starts_with(format!("quality/date={date}")));
        let visible: Vec<_> = visible.map(|(path, _)| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, visible, "{date}");
    }
    assert_eq!(journal.intents().unwrap(), [], "the date is as it was");

    let mended = anew(Arc::new(LocalDisk));
    replace(&mended, &mut journal).1.unwrap();
    assert_eq!(journal.intents().unwrap(), []);
    let calm = tempfile::tempdir().unwrap();
    let calm_publisher =
        Publisher { store: Store::open(Arc::new(LocalDisk), &calm.path().join("quality")).unwrap(), ..mended };
    replace(&calm_publisher, &mut landed(calm.path())).1.unwrap();
    assert_eq!(visible(home.path()), visible(calm.path()));
}
