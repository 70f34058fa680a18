use std::{
    collections::BTreeSet,
    fs::File,
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::{disk::LocalDisk, staging::Sealed, *};

fn local(output: &Path) -> Result<Store, DiskError> {
    Store::open(Arc::new(LocalDisk), output)
}

const FIRST: FileName = FileName(0x1);
const SECOND: FileName = FileName(0x2);

/// A disk that keeps a log, and on which effect number `fails_at` and, if `stays_broken`, all after it fail.
#[derive(Debug)]
struct FaultyDisk {
    home: PathBuf,
    log: Mutex<Vec<String>>,
    effects: AtomicUsize,
    fault: Fault,
}

#[derive(Clone, Copy, Debug)]
struct Fault {
    fails_at: usize,
    stays_broken: bool,
    /// The effect comes about all the same: its answer is lost.
    is_done: bool,
}

const NO_FAULT: Fault = Fault { fails_at: usize::MAX, stays_broken: false, is_done: false };

impl FaultyDisk {
    fn new(home: &Path, fault: Fault) -> Arc<Self> {
        Arc::new(Self { home: home.to_owned(), log: Mutex::default(), effects: AtomicUsize::new(0), fault })
    }

    fn effect<T>(&self, line: &str, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.log.lock().unwrap().push(line.replace(&self.home.display().to_string(), "."));
        let number = self.effects.fetch_add(1, Ordering::Relaxed);
        let Fault { fails_at, stays_broken, is_done } = self.fault;
        if number == fails_at || stays_broken && number > fails_at {
            if is_done {
                drop(run());
            }
            return Err(io::ErrorKind::StorageFull.into());
        }
        run()
    }

    fn has_failed(&self) -> bool {
        self.effects.load(Ordering::Relaxed) > self.fault.fails_at
    }
}

fn path_behind(file: &File) -> String {
    use std::os::fd::AsRawFd;
    fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap().display().to_string()
}

impl Disk for FaultyDisk {
    fn create_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.effect(&format!("create {}", path.display()), || LocalDisk.create_folder(path, mode))
    }

    fn create_file(&self, path: &Path) -> io::Result<File> {
        self.effect(&format!("create {}", path.display()), || LocalDisk.create_file(path))
    }

    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<usize> {
        self.effect(&format!("write {}", path_behind(file)), || LocalDisk.write(file, bytes))
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        // Nothing here cuts the power, and a real sync takes milliseconds.
        self.effect(&format!("sync {}", path_behind(file)), || Ok(()))
    }

    fn rename(&self, from: &Path, folder: &File, name: &str) -> io::Result<()> {
        let line = format!("rename {} to {}/{name}", from.display(), path_behind(folder));
        self.effect(&line, || LocalDisk.rename(from, folder, name))
    }

    fn exchange(&self, path: &Path, folder: &File, name: &str) -> io::Result<()> {
        let line = format!("exchange {} and {}/{name}", path.display(), path_behind(folder));
        self.effect(&line, || LocalDisk.exchange(path, folder, name))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.effect(&format!("remove {}", path.display()), || LocalDisk.remove(path))
    }
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn home() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let output = home.path().join("quality");
    (home, output)
}

fn sealed(publisher: &StoreLock, name: FileName, content: &str) -> Result<Sealed, DiskError> {
    let mut staged = publisher.stage(name)?;
    staged.write_all(content.as_bytes()).map_err(|error| error.downcast::<DiskError>().unwrap())?;
    staged.seal()
}

/// What stands in the dataset's folder and in its partitions.
fn everything(dataset: &Store) -> Listing {
    let Partitions { dates, strangers } = dataset.partitions().unwrap();
    let mut everything = Listing { strangers, ..Listing::default() };
    for date in dates {
        let Listing { files, strangers, .. } = dataset.list(date).unwrap();
        everything.files.extend(files);
        everything.strangers.extend(strangers);
    }
    everything.strangers.sort();
    everything
}

/// Every file under `output` with its content, by the path in it.
fn visible(output: &Path) -> Vec<(String, String)> {
    let dataset = local(output).unwrap();
    let listing = everything(&dataset);
    assert_eq!(listing.strangers, Vec::<PathBuf>::new());
    let content = |file: &PartFile| fs::read_to_string(dataset.path_of(file.date, file.name)).unwrap();
    listing.files.iter().map(|file| (format!("{}/{}", file.date, file.name), content(file))).collect()
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

/// What a run does whose journal says that these two files are to be published.
fn publish_night(disk: Arc<dyn Disk>, output: &Path) -> Result<(), DiskError> {
    let dataset = Store::open(disk, output)?;
    let publisher = dataset.lock()?;
    for (day, name, content) in [("2025-03-02", FIRST, "one"), ("2025-03-03", SECOND, "two")] {
        if dataset.confirm(date(day), name)?.is_none() {
            publisher.put_if_absent(date(day), sealed(&publisher, name, content)?)?;
        }
    }
    Ok(())
}

fn rebuild_day(disk: Arc<dyn Disk>, output: &Path) -> Result<(), DiskError> {
    let publisher = Store::open(disk, output)?.lock()?;
    let part = sealed(&publisher, FileName(3), "three")?;
    publisher.replace(date("2025-03-03"), part, &known(output, "2025-03-03"))?;
    Ok(())
}

/// The names of the files that a date holds.
fn known(output: &Path, day: &str) -> BTreeSet<FileName> {
    local(output).unwrap().list(date(day)).unwrap().files.iter().map(|file| file.name).collect()
}

fn owned(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect()
}

/// The dataset after each step of the two runs above.
fn states() -> [Vec<(String, String)>; 4] {
    let one = ("2025-03-02/part-0000000000000001.parquet", "one");
    let two = ("2025-03-03/part-0000000000000002.parquet", "two");
    let three = ("2025-03-03/part-0000000000000003.parquet", "three");
    [owned(&[]), owned(&[one]), owned(&[one, two]), owned(&[one, three])]
}

/// Lets each effect of `run` fail in turn, in every manner, until a run passes without a fault.
fn fail_everywhere(
    prepare: impl Fn(&Path),
    run: impl Fn(Arc<dyn Disk>, &Path) -> Result<(), DiskError>,
    allowed: &[Vec<(String, String)>],
) {
    for (stays_broken, is_done) in [(false, false), (true, false), (false, true), (true, true)] {
        for fails_at in 0.. {
            assert!(fails_at < 1000, "the run does not come to an end");
            let (home, output) = home();
            prepare(&output);
            let disk = FaultyDisk::new(home.path(), Fault { fails_at, stays_broken, is_done });
            let outcome = run(disk.clone(), &output);
            if !disk.has_failed() {
                outcome.unwrap();
                break;
            }
            let failed = disk.log.lock().unwrap()[fails_at].clone();
            // A staged file is tidied away when it is dropped; what is left then, the next publisher removes.
            assert!(
                outcome.is_err() || failed.starts_with("remove ./quality.staging/part-"),
                "nobody is told: {failed}"
            );
            assert!(allowed.contains(&visible(&output)), "after effect {fails_at}: {:?}", visible(&output));
            run(FaultyDisk::new(home.path(), NO_FAULT), &output).unwrap();
            assert_eq!(Some(&visible(&output)), allowed.last());
            drop(local(&output).unwrap().lock().unwrap());
            assert!(is_empty(&home.path().join("quality.staging")));
        }
    }
}

#[test]
fn a_fault_at_any_effect_leaves_whole_files_and_the_next_run_completes() {
    let states = states();
    fail_everywhere(|_| {}, publish_night, &states[..3]);
    fail_everywhere(|output| publish_night(Arc::new(LocalDisk), output).unwrap(), rebuild_day, &states[2..]);
}

#[test]
fn an_effect_that_failed_is_reported_with_path_and_remedy() {
    let staged = "create ./quality.staging/part-0000000000000001.parquet";
    let (home, output) = home();
    let calm = FaultyDisk::new(home.path(), NO_FAULT);
    publish_night(calm.clone(), &output).unwrap();
    let fails_at = calm.log.lock().unwrap().iter().position(|line| line == staged).unwrap();

    let (home, output) = self::home();
    let error = publish_night(FaultyDisk::new(home.path(), Fault { fails_at, ..NO_FAULT }), &output).unwrap_err();
    let path = home.path().join("quality.staging/part-0000000000000001.parquet");
    assert_eq!(error.to_string(), format!("cannot create `{}`", path.display()));
    assert_eq!(error.hint(), Some("free space and run again: nothing is lost"));
}

#[test]
fn everything_is_synced_before_the_next_step_relies_on_it() {
    let (home, output) = home();
    let disk = FaultyDisk::new(home.path(), NO_FAULT);
    let take_log = || std::mem::take(&mut *disk.log.lock().unwrap()).join("\n");
    let dataset = Store::open(disk.clone(), &output.join("of")).unwrap();
    insta::assert_snapshot!(take_log(), @r"
    create ./quality
    sync .
    create ./quality/of
    sync ./quality
    create ./quality/of.staging
    sync ./quality
    ");
    let publisher = dataset.lock().unwrap();
    insta::assert_snapshot!(take_log(), @r"
    create ./quality/of.staging/probe
    write ./quality/of.staging/probe
    sync ./quality/of.staging/probe
    rename ./quality/of.staging/probe to ./quality/of.staging/probed
    remove ./quality/of.staging/probed
    ");
    publisher.put_if_absent(date("2025-03-02"), sealed(&publisher, FIRST, "one").unwrap()).unwrap();
    insta::assert_snapshot!(take_log(), @r"
    create ./quality/of.staging/part-0000000000000001.parquet
    write ./quality/of.staging/part-0000000000000001.parquet
    sync ./quality/of.staging/part-0000000000000001.parquet
    create ./quality/of/date=2025-03-02
    sync ./quality/of
    rename ./quality/of.staging/part-0000000000000001.parquet to ./quality/of/date=2025-03-02/part-0000000000000001.parquet
    sync ./quality/of/date=2025-03-02
    ");
    publisher.replace(date("2025-03-02"), sealed(&publisher, SECOND, "two").unwrap(), &[FIRST].into()).unwrap();
    insta::assert_snapshot!(take_log(), @r"
    create ./quality/of.staging/part-0000000000000002.parquet
    write ./quality/of.staging/part-0000000000000002.parquet
    sync ./quality/of.staging/part-0000000000000002.parquet
    create ./quality/of.staging/date=2025-03-02.0
    rename ./quality/of.staging/part-0000000000000002.parquet to ./quality/of.staging/date=2025-03-02.0/part-0000000000000002.parquet
    sync ./quality/of.staging/date=2025-03-02.0
    exchange ./quality/of.staging/date=2025-03-02.0 and ./quality/of/date=2025-03-02
    sync ./quality/of
    sync ./quality/of.staging
    ");
    dataset.confirm(date("2025-03-02"), SECOND).unwrap();
    insta::assert_snapshot!(take_log(), @r"
    sync ./quality/of/date=2025-03-02
    sync ./quality/of
    ");
}

#[test]
fn a_visible_name_never_gets_other_bytes() {
    let (_home, output) = home();
    let dataset = local(&output).unwrap();
    let publisher = dataset.lock().unwrap();
    let day = date("2025-03-02");
    let visible = publisher.put_if_absent(day, sealed(&publisher, FIRST, "one").unwrap()).unwrap();
    assert_eq!(dataset.confirm(day, FIRST).unwrap(), Some(visible));

    let again = publisher.put_if_absent(day, sealed(&publisher, FIRST, "two").unwrap());
    assert!(matches!(again, Err(DiskError::Exists { path }) if path == dataset.path_of(day, FIRST)));
    let known = [FIRST].into();
    let part = sealed(&publisher, FIRST, "two").unwrap();
    assert!(matches!(publisher.replace(day, part, &known), Err(DiskError::Exists { .. })));
    let part = sealed(&publisher, SECOND, "three").unwrap();
    let replaced = publisher.replace(day, part, &BTreeSet::new());
    assert!(matches!(replaced, Err(DiskError::Unknown { path }) if path == dataset.path_of(day, FIRST)));
    assert_eq!(fs::read_to_string(dataset.path_of(day, FIRST)).unwrap(), "one");
    assert_eq!(everything(&dataset).files, [visible]);

    publisher.replace(day, sealed(&publisher, FIRST, "one").unwrap(), &known).unwrap();
    assert_eq!(everything(&dataset).files, [visible]);
}

#[test]
fn a_partition_without_a_folder_can_be_replaced_too() {
    let (home, output) = home();
    let publisher = local(&output).unwrap().lock().unwrap();
    let day = date("2025-03-02");
    let file = publisher.replace(day, sealed(&publisher, FIRST, "one").unwrap(), &BTreeSet::new()).unwrap();
    assert_eq!(file, PartFile { date: day, name: FIRST, bytes: 3 });
    assert_eq!(visible(&output), owned(&[("2025-03-02/part-0000000000000001.parquet", "one")]));
    assert!(is_empty(&home.path().join("quality.staging")));
}

#[test]
fn whether_a_partition_can_be_exchanged_is_asked_without_a_change() {
    let (home, output) = home();
    let publisher = local(&output).unwrap().lock().unwrap();
    let day = date("2025-03-02");
    publisher.check_exchangeable(day).unwrap();
    publisher.put_if_absent(day, sealed(&publisher, FIRST, "one").unwrap()).unwrap();
    publisher.check_exchangeable(day).unwrap();
    assert_eq!(visible(&output), owned(&[("2025-03-02/part-0000000000000001.parquet", "one")]));
    assert!(is_empty(&home.path().join("quality.staging")));
}

#[test]
fn a_reader_sees_the_old_partition_or_the_new_one() {
    const GENERATION_COUNT: u64 = 300;
    let (home, output) = home();
    let dataset = Store::open(FaultyDisk::new(home.path(), NO_FAULT), &output).unwrap();
    let publisher = dataset.lock().unwrap();
    let day = date("2025-03-02");
    let replace = |generation: u64| {
        let part = sealed(&publisher, FileName(generation), &generation.to_string()).unwrap();
        let known = dataset.list(day).unwrap().files.iter().map(|file| file.name).collect();
        publisher.replace(day, part, &known).unwrap();
    };
    for half in [1000, 1001] {
        publisher.put_if_absent(day, sealed(&publisher, FileName(half), "0").unwrap()).unwrap();
    }
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (1..=GENERATION_COUNT).for_each(replace));
        while !writer.is_finished() {
            let names: Vec<_> = fs::read_dir(dataset.path_of(day, FIRST).parent().unwrap())
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect();
            let contents: io::Result<Vec<String>> = names.iter().map(fs::read_to_string).collect();
            match contents {
                Ok(contents) => assert!(contents.len() == 1 || contents == ["0", "0"], "{contents:?}"),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound),
            }
        }
    });
    assert_eq!(everything(&dataset).files.len(), 1);
}

#[test]
fn what_is_not_published_is_removed() {
    let (home, output) = home();
    let staging = home.path().join("quality.staging");
    let dataset = local(&output).unwrap();
    assert_eq!(fs::metadata(&staging).unwrap().permissions().mode() & 0o077, 0);
    fs::write(staging.join("part-0000000000000009.parquet"), "cut").unwrap();
    fs::create_dir(staging.join("date=2025-03-02.0")).unwrap();
    fs::write(staging.join("date=2025-03-02.0/part-0000000000000009.parquet"), "old").unwrap();

    let publisher = dataset.lock().unwrap();
    assert!(is_empty(&staging));
    let staged = publisher.stage(FIRST).unwrap();
    assert!(!is_empty(&staging));
    drop(staged);
    drop(sealed(&publisher, FIRST, "not what was meant").unwrap());
    assert!(is_empty(&staging));
    assert!(is_empty(&output));
}

#[test]
fn staging_that_is_somebody_elses_is_left_alone() {
    let (home, output) = home();
    let staging = home.path().join("quality.staging");
    local(&output).unwrap();
    for name in ["thesis.txt", "part-1.parquet", "date=2025-03-02", "probe.bak"] {
        fs::write(staging.join("part-0000000000000009.parquet"), "cut").unwrap();
        fs::write(staging.join(name), "of a person").unwrap();
        let refused = local(&output).unwrap().lock();
        assert!(matches!(refused, Err(DiskError::InStaging { path }) if path.ends_with(name)));
        assert_eq!(fs::read_dir(&staging).unwrap().count(), 2, "nothing is removed");
        fs::remove_file(staging.join(name)).unwrap();
    }
    local(&output).unwrap().lock().unwrap();
    assert!(is_empty(&staging));
}

#[test]
fn a_sealed_file_can_be_read_before_it_is_published() {
    let (_home, output) = home();
    let publisher = local(&output).unwrap().lock().unwrap();
    let part = sealed(&publisher, FIRST, "one").unwrap();
    assert_eq!(io::read_to_string(part.reopen().unwrap()).unwrap(), "one");
}

#[test]
fn there_is_one_publisher_at_a_time() {
    let (_home, output) = home();
    let first = local(&output).unwrap().lock().unwrap();
    let second = local(&output).unwrap();
    assert!(matches!(second.lock(), Err(DiskError::Busy { .. })));
    drop(first);
    second.lock().unwrap();
}

#[test]
fn what_readers_could_take_for_data_is_listed() {
    let (_home, output) = home();
    let dataset = local(&output).unwrap();
    let publisher = dataset.lock().unwrap();
    let day = date("2025-03-02");
    let visible = publisher.put_if_absent(day, sealed(&publisher, FIRST, "one").unwrap()).unwrap();
    fs::create_dir(output.join("date=2025-03-03")).unwrap();
    assert_eq!(everything(&dataset), Listing { files: vec![visible], ..Listing::default() });

    let strangers = [
        "_SUCCESS",
        "date=2025-03-02/.part-0000000000000002.parquet",
        "date=2025-03-02/part-0000000000000002.parquet.tmp",
        "date=2025-03-02/part-000000000000000A.parquet",
        "date=2025-03-02/part-2.parquet",
        "date=2025-03-04",
        "part-0000000000000002.parquet",
    ]
    .map(|stranger| output.join(stranger));
    for stranger in &strangers {
        fs::write(stranger, "").unwrap();
    }
    let folders = ["date=2025-02-30", "date=2025-3-2", "date=unknown", "date=2025-03-03/part-0000000000000002.parquet"];
    let folders = folders.map(|folder| output.join(folder));
    for folder in &folders {
        fs::create_dir(folder).unwrap();
    }
    let link = output.join("date=2025-03-05");
    symlink(output.join("date=2025-03-02"), &link).unwrap();

    let mut expected: Vec<PathBuf> = strangers.into_iter().chain(folders).chain([link]).collect();
    expected.sort();
    assert_eq!(everything(&dataset), Listing { files: vec![visible], strangers: expected, ..Listing::default() });
}

#[test]
fn a_partition_with_a_stranger_in_it_is_not_replaced() {
    let (_home, output) = home();
    let dataset = local(&output).unwrap();
    let publisher = dataset.lock().unwrap();
    let day = date("2025-03-02");
    publisher.put_if_absent(day, sealed(&publisher, FIRST, "one").unwrap()).unwrap();
    let notes = output.join("date=2025-03-02/notes.txt");
    fs::write(&notes, "of a person").unwrap();
    let replaced = publisher.replace(day, sealed(&publisher, SECOND, "two").unwrap(), &[FIRST].into());
    assert!(matches!(replaced, Err(DiskError::Stranger { path }) if path == notes));
    assert_eq!(fs::read_dir(output.join("date=2025-03-02")).unwrap().count(), 2);
}

#[test]
fn a_link_is_followed_to_the_output_and_nowhere_else() {
    let (home, output) = home();
    let elsewhere = home.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, &output).unwrap();
    let dataset = local(&output).unwrap();
    let publisher = dataset.lock().unwrap();
    assert!(home.path().join("elsewhere.staging").is_dir());

    let (day, target) = (date("2025-03-02"), home.path().join("target"));
    fs::create_dir(&target).unwrap();
    fs::write(target.join(FIRST.to_string()), "one").unwrap();
    symlink(&target, elsewhere.join("date=2025-03-02")).unwrap();
    let part = || sealed(&publisher, SECOND, "two").unwrap();
    assert!(matches!(publisher.put_if_absent(day, part()), Err(DiskError::NoFolder { .. })));
    assert!(matches!(publisher.replace(day, part(), &[FIRST].into()), Err(DiskError::NoFolder { .. })));
    assert!(matches!(dataset.confirm(day, FIRST), Err(DiskError::NoFolder { .. })));
    assert_eq!(fs::read_dir(&target).unwrap().count(), 1);

    symlink(&target, home.path().join("other.staging")).unwrap();
    assert!(matches!(local(&home.path().join("other")), Err(DiskError::NoFolder { .. })));
    assert_eq!(fs::read_dir(&target).unwrap().count(), 1);
}

#[test]
fn an_output_that_is_a_file_or_vanishes_is_reported() {
    let (home, output) = home();
    let file = home.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(local(&file), Err(DiskError::NoFolder { .. })));
    assert!(matches!(local(&file.join("quality")), Err(DiskError::Io { operation: "create", .. })));

    let publisher = local(&output).unwrap().lock().unwrap();
    fs::remove_dir(&output).unwrap();
    let part = sealed(&publisher, FIRST, "one").unwrap();
    let error = publisher.put_if_absent(date("2025-03-02"), part).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot create `{}`", output.join("date=2025-03-02").display()));
    assert!(!output.exists());
}

#[test]
fn staging_on_another_file_system_is_refused() {
    let (_home, output) = home();
    local(&output).unwrap();
    let error = check_one_file_system(&output, Path::new("/proc")).unwrap_err();
    assert!(matches!(error, DiskError::OtherFileSystem { .. }));
    assert_eq!(error.hint(), Some("set `output` to a folder inside of the mounted file system"));
}

#[test]
fn a_refusal_by_the_system_has_a_remedy_where_one_is_known() {
    let hint = |kind: io::ErrorKind| DiskError::io("write", Path::new("x"))(kind.into()).hint();
    for (kind, word) in [
        (io::ErrorKind::StorageFull, "free space"),
        (io::ErrorKind::QuotaExceeded, "free space"),
        (io::ErrorKind::ReadOnlyFilesystem, "writable"),
        (io::ErrorKind::PermissionDenied, "user"),
        (io::ErrorKind::Unsupported, "local file system"),
        (io::ErrorKind::CrossesDevices, "volume"),
    ] {
        assert!(hint(kind).unwrap().contains(word), "{kind:?}");
    }
    assert_eq!(hint(io::ErrorKind::Other), None);
}

proptest! {
    #[test]
    fn a_name_is_read_as_it_is_written(digits: u64) {
        let name = FileName::new(digits);
        prop_assert_eq!(FileName::parse(&name.to_string()), Some(name));
    }

    #[test]
    fn only_a_name_as_written_is_read(text in "part-[0-9a-fA-F+]{14,18}\\.(parquet|PARQUET|parquet\\.tmp)") {
        if let Some(name) = FileName::parse(&text) {
            prop_assert_eq!(name.to_string(), text);
        }
    }

    #[test]
    fn only_a_folder_name_as_written_is_read(text in "date=[0-9]{3,5}-[0-9]{1,2}-[0-9]{1,2}") {
        if let Some(date) = parse_folder_name(OsStr::new(&text)) {
            prop_assert_eq!(folder_name(date), text);
        }
    }
}
