//! Datasets that are tables: what the log says is what the tenant says, whoever is killed, and whoever else writes to it.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    os::fd::AsRawFd as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use arrow::{
    array::{RecordBatch, UInt32Array},
    compute::{concat_batches, take_record_batch},
};
use bytes::Bytes;
use chrono::{FixedOffset, NaiveDate, TimeDelta};
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};
use serde_json::{Value, json};
use vcq::{
    command::{
        adopt::adopt,
        rebuild::{make_tables_anew, rebuild},
        status::status,
        verify::{Verified, verify},
    },
    config::{Config, Form},
    error::{Chain, Error, ExitCode},
    simulator::{Settings, tenant::TenantSettings},
    store::{
        FileName,
        disk::{Disk, LocalDisk},
        table::{Claim, Entered, Entry, FileStatistics},
    },
};

use crate::{
    discover::discover,
    frail::{FrailDisk, Trouble},
    frail_buckets::{FrailBuckets, Ill},
    invariants::{check, check_complete, check_idle, check_rebuild},
    oracle::{Files, LOG, check_rows, files, read_files},
    settings, some_stays,
    world::{Orders, World, until_killed},
};

const SEED: u64 = 1;

/// No run here has so many effects on its disk.
const EFFECTS_MAX: u64 = 300;

/// A world whose dataset is a table, in a folder.
pub(crate) fn world() -> World {
    world_of("delta")
}

/// A world whose dataset is one thing or the other.
pub(crate) fn world_of(table: &str) -> World {
    let flags = [("table", table), ("discover.meetings", ""), ("discover.participants", "")];
    World::new(settings(SEED), &flags, some_stays(&settings(SEED), 5, 1))
}

/// A world whose dataset is a table in a bucket.
pub(crate) fn world_in_bucket() -> (World, FrailBuckets) {
    let flags = [
        ("table", "delta"),
        ("output", "s3://lake/vcq/quality"),
        ("discover.meetings", ""),
        ("discover.participants", ""),
    ];
    let mut world = World::new(settings(SEED), &flags, some_stays(&settings(SEED), 5, 1));
    let buckets = FrailBuckets::new(world.path("buckets"), true);
    fs::create_dir_all(world.output()).unwrap();
    world.buckets = Arc::new(buckets.clone());
    (world, buckets)
}

/// The same with a disk on which something may happen.
fn world_on_frail_disk() -> (World, Arc<FrailDisk>) {
    let mut world = world();
    let disk = Arc::new(FrailDisk::new(world.path("limbo"), SEED));
    world.disk = disk.clone();
    (world, disk)
}

/// Half of the stays are published, and then the others: most dates have two files.
pub(crate) fn publish_twice(world: &mut World) {
    let half = world.write_manifest("half.csv", world.stays.iter().step_by(2));
    let orders = Orders { manifest: half, ..world.orders() };
    assert_eq!(world.live_one(orders).exit, Some(0));
    assert_eq!(world.export().exit, Some(0));
}

pub(crate) fn rebuild_all(world: &World) {
    let rebuilt = rebuild(&world.config, (None, None), &world.start(), |_| ()).unwrap();
    assert_eq!(rebuilt.exit_code(), ExitCode::Complete, "{rebuilt}");
}

pub(crate) fn verified(world: &World) -> Verified {
    verify(&world.config, &world.start()).unwrap()
}

pub(crate) fn expect_sound(world: &World, what: &str) {
    let verified = verified(world);
    assert_eq!(verified.exit_code(), ExitCode::Complete, "{what}: {verified}");
    check_complete(world);
}

/// The world's configuration with datasets of the other form.
pub(crate) fn as_form(world: &World, table: Form) -> Config {
    Config { table, ..world.config.clone() }
}

/// The log's commits, each with its actions.
pub(crate) fn commits(dataset: &Path) -> Vec<Vec<Value>> {
    let all = files(dataset);
    let commits = all.iter().filter(|(name, _)| name.starts_with(LOG) && name.strip_suffix(".json").is_some());
    let lines = |bytes: &[u8]| {
        String::from_utf8(bytes.to_vec()).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    commits.map(|(_, bytes)| lines(bytes)).collect()
}

/// Another program commits.
pub(crate) fn commit_foreign(dataset: &Path, actions: &[Value]) {
    let version = commits(dataset).len();
    let lines: Vec<String> = actions.iter().map(Value::to_string).collect();
    fs::write(dataset.join(format!("{LOG}{version:020}.json")), lines.join("\n") + "\n").unwrap();
}

/// Another program puts all rows of the first date into a file of its own, as OPTIMIZE does; `rows` is what it says of them.
fn optimize(world: &World, rows: impl Fn(u64) -> u64) -> (String, BTreeSet<String>) {
    let read = read_files(&world.output());
    let (first, _) = read.first_key_value().unwrap();
    optimize_date(&world.output(), first.split_once('/').unwrap().0, rows)
}

/// The same of the date of this folder.
pub(crate) fn optimize_date(dataset: &Path, folder: &str, rows: impl Fn(u64) -> u64) -> (String, BTreeSet<String>) {
    let mut read = read_files(dataset);
    read.retain(|name, _| name.starts_with(folder));
    let (bytes, counted) = in_one_file(read.values());
    let path = format!("{folder}/part-00000-of-another.zstd.parquet");
    fs::write(dataset.join(&path), &bytes).unwrap();
    let value = folder.strip_prefix("date=").unwrap();
    let mut actions = vec![json!({ "add": {
        "path": path, "partitionValues": { "date": value }, "size": bytes.len(), "modificationTime": 0, "dataChange": false,
        "stats": json!({ "numRecords": rows(counted) }).to_string(),
    } })];
    actions.extend(read.keys().map(|path| removal(path)));
    commit_foreign(dataset, &actions);
    (path, read.into_keys().collect())
}

/// What takes a file out of a table.
pub(crate) fn removal(path: &str) -> Value {
    let value = path.strip_prefix("date=").unwrap().split_once('/').unwrap().0;
    json!({ "remove": { "path": path, "deletionTimestamp": 1, "dataChange": false, "extendedFileMetadata": true,
        "partitionValues": { "date": value }, "size": 1 } })
}

/// All rows of some files in one, the last first, and how many there are.
fn in_one_file<'a>(files: impl Iterator<Item = &'a Vec<u8>>) -> (Vec<u8>, u64) {
    let batches: Vec<RecordBatch> = files
        .flat_map(|bytes| {
            ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes.clone())).unwrap().build().unwrap()
        })
        .map(Result::unwrap)
        .collect();
    let all = concat_batches(&batches[0].schema(), &batches).unwrap();
    let rows = u32::try_from(all.num_rows()).unwrap();
    let reversed = take_record_batch(&all, &UInt32Array::from_iter_values((0..rows).rev())).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), reversed.schema(), None).unwrap();
    writer.write(&reversed).unwrap();
    (writer.into_inner().unwrap(), u64::from(rows))
}

#[test]
fn a_run_makes_a_table_that_has_what_the_tenant_has() {
    let mut world = world();
    let life = world.export();
    assert_eq!((life.exit, life.error.as_deref()), (Some(0), None));
    check(&world, &life);
    check_complete(&world);
    check_idle(&mut world, &life);
    check_rebuild(&world);
    let mut plain = world_of("files");
    assert_eq!(plain.export().exit, Some(0));
    assert_eq!(read_files(&world.output()), files(&plain.output()), "the files are those of a dataset of files");
}

#[test]
fn in_a_bucket_it_is_the_same_table() {
    let (mut world, _) = world_in_bucket();
    let life = world.export();
    assert_eq!((life.exit, life.error.as_deref()), (Some(0), None));
    check(&world, &life);
    check_complete(&world);
    check_idle(&mut world, &life);
    check_rebuild(&world);
    let mut local = self::world();
    local.export();
    assert_eq!(read_files(&world.output()), read_files(&local.output()));
}

#[test]
fn a_replaced_date_is_one_commit_and_an_equal_one_is_none() {
    let mut world = world();
    publish_twice(&mut world);
    let before = commits(&world.output()).len();
    let dates: BTreeSet<_> =
        read_files(&world.output()).keys().map(|name| name.split_once('/').unwrap().0.to_owned()).collect();
    rebuild_all(&world);
    let after = commits(&world.output());
    assert!(after.len() > before && after.len() <= before + dates.len(), "{before}, {}", after.len());
    for commit in &after[before..] {
        let count = |kind: &str| commit.iter().filter(|action| !action[kind].is_null()).count();
        assert_eq!((count("add"), count("remove"), count("txn")), (1, 2, 1), "{commit:?}");
    }
    rebuild_all(&world);
    assert_eq!(commits(&world.output()).len(), after.len(), "nothing is to be done where the sets are equal");
    expect_sound(&world, "rebuilt twice");
}

#[test]
fn an_entry_says_rows_size_and_the_range_of_its_keys() {
    let mut world = world();
    world.export();
    let all = files(&world.output());
    let commits = commits(&world.output());
    let mut rows = 0;
    for add in commits.iter().flatten().map(|action| &action["add"]).filter(|add| !add.is_null()) {
        let path = add["path"].as_str().unwrap();
        assert_eq!(add["size"].as_u64().unwrap(), all[path].len() as u64);
        assert_eq!(
            format!("date={}", add["partitionValues"]["date"].as_str().unwrap()),
            path.split_once('/').unwrap().0
        );
        let stats: Value = serde_json::from_str(add["stats"].as_str().unwrap()).unwrap();
        rows += stats["numRecords"].as_u64().unwrap();
        for column in ["meeting_no", "meeting_start_time", "meeting_end_time", "join_time"] {
            let (least, greatest) = (&stats["minValues"][column], &stats["maxValues"][column]);
            assert!(least.as_str().unwrap() <= greatest.as_str().unwrap(), "{column}: {stats}");
            assert_eq!(stats["nullCount"][column], 0);
        }
    }
    let expected: u64 = world.stays.iter().map(|stay| world.server().expected(stay).samples.len() as u64).sum();
    assert_eq!(rows, expected);
    let intents: BTreeSet<_> = commits.iter().flatten().filter_map(|action| action["txn"]["appId"].as_str()).collect();
    assert_eq!(intents.len(), read_files(&world.output()).len(), "an application for each date: {intents:?}");
}

#[test]
fn files_become_a_table_and_files_again_and_none_is_written_anew() {
    let mut world = world_of("files");
    publish_twice(&mut world);
    let before = files(&world.output());
    world.config = as_form(&world, Form::Delta);
    let said = verified(&world).to_string();
    assert!(said.contains("the table has 0 files"), "{said}");
    let life = world.export();
    assert_eq!((life.exit, life.sent), (Some(0), 0));
    assert_eq!(read_files(&world.output()), before);
    expect_sound(&world, "a table");
    rebuild_all(&world);
    let rebuilt = read_files(&world.output());
    assert!(rebuilt.len() < before.len());
    assert!(files(&world.output()).len() > rebuilt.len() + before.len(), "old files are kept");

    world.config = as_form(&world, Form::Files);
    let life = world.export();
    assert_eq!(life.exit, Some(ExitCode::Disk as u8));
    assert!(life.error.as_deref().is_some_and(|error| error.contains("_delta_log")), "{:?}", life.error);
    assert!(life.hint.as_deref().is_some_and(|hint| hint.contains("remove the folder")), "{:?}", life.hint);
    fs::remove_dir_all(world.output().join("_delta_log")).unwrap();
    let life = world.export();
    assert_eq!((life.exit, life.sent), (Some(0), 0));
    assert_eq!(files(&world.output()), rebuilt, "old files are gone");
    expect_sound(&world, "files again");
    check_rebuild(&world);
}

#[test]
fn old_files_go_when_their_time_is_over_and_not_before() {
    let mut world = world();
    publish_twice(&mut world);
    let old: Files = read_files(&world.output());
    rebuild_all(&world);
    let new = read_files(&world.output());
    let there = |world: &World| old.keys().filter(|name| files(&world.output()).contains_key(*name)).count();
    assert_eq!(there(&world), old.len());
    expect_sound(&world, "just replaced");
    assert_eq!(status(&world.config, &world.start()).unwrap().exit_code(), ExitCode::Complete);
    world.rest(TimeDelta::days(7) - TimeDelta::hours(1));
    assert_eq!(world.export().exit, Some(0));
    assert_eq!(there(&world), old.len(), "a snapshot within the retention needs them");
    world.rest(TimeDelta::hours(2));
    assert_eq!(world.export().exit, Some(0));
    let kept: BTreeSet<_> = new.keys().filter(|name| old.contains_key(*name)).collect();
    assert_eq!(there(&world), kept.len());
    assert_eq!(read_files(&world.output()), new);
    expect_sound(&world, "swept");
}

/// A date that comes back to what it was: its old file is the table's again, and is not deleted when its time would have come.
#[test]
fn an_old_file_that_is_read_again_is_kept() {
    let mut world = world();
    publish_twice(&mut world);
    let old = read_files(&world.output());
    rebuild_all(&world);
    let new = read_files(&world.output());
    let removed: Vec<_> = old.keys().filter(|name| !new.contains_key(*name)).cloned().collect();
    // What RESTORE does.
    let (name, bytes) = (removed[0].clone(), &old[&removed[0]]);
    let date = name.split_once('/').unwrap().0.strip_prefix("date=").unwrap();
    commit_foreign(
        &world.output(),
        &[json!({ "add": {
        "path": name, "partitionValues": { "date": date }, "size": bytes.len(), "modificationTime": 0, "dataChange": true,
    } })],
    );
    world.rest(TimeDelta::days(8));
    world.export();
    assert!(files(&world.output()).contains_key(&name), "the table has it");
    let said = verified(&world).to_string();
    assert!(said.contains("the table has 2 files"), "{said}");
    rebuild_all(&world);
    expect_sound(&world, "rebuilt");
}

#[test]
fn another_program_may_rewrite_a_date_and_a_replace_takes_all_of_it() {
    let mut world = world();
    publish_twice(&mut world);
    let (foreign, replaced) = optimize(&world, |rows| rows);
    let verified_now = verified(&world);
    assert_eq!(verified_now.exit_code(), ExitCode::Complete, "{verified_now}");
    // What VACUUM does.
    for path in &replaced {
        fs::remove_file(world.output().join(path)).unwrap();
    }
    assert_eq!(status(&world.config, &world.start()).unwrap().exit_code(), ExitCode::Complete);
    let life = world.export();
    assert_eq!((life.exit, life.sent), (Some(0), 0), "{:?}", life.error);
    rebuild_all(&world);
    expect_sound(&world, "rebuilt");
    let there = files(&world.output());
    assert!(there.contains_key(&foreign), "no file is deleted that vcq did not put there");
    assert!(!read_files(&world.output()).contains_key(&foreign));
    world.rest(TimeDelta::days(8));
    world.export();
    assert!(files(&world.output()).contains_key(&foreign));
    expect_sound(&world, "a week later");
}

/// A disk on which another program commits first, so many times.
#[derive(Debug)]
struct Rival {
    left: AtomicU32,
}

impl Disk for Rival {
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
        if name.strip_suffix(".json").is_some()
            && !name.starts_with("00000000000000000000.")
            && self.left.load(Ordering::Relaxed) > 0
        {
            self.left.fetch_sub(1, Ordering::Relaxed);
            let log = fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd()))?;
            fs::write(log.join(name), "{\"txn\":{\"appId\":\"another\",\"version\":1}}\n")?;
        }
        LocalDisk.rename(from, folder, name)
    }

    fn exchange(&self, path: &Path, folder: &File, name: &str) -> io::Result<()> {
        LocalDisk.exchange(path, folder, name)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        LocalDisk.remove(path)
    }
}

#[test]
fn a_commit_of_another_program_in_between_is_a_conflict_that_is_tried_again() {
    for (rivals, exit) in [(1, 0), (9, 0), (100, ExitCode::Disk as u8)] {
        let mut world = world();
        world.disk = Arc::new(Rival { left: AtomicU32::new(rivals) });
        let life = world.export();
        assert_eq!(life.exit, Some(exit), "{rivals} rivals: {:?}", life.error);
        world.disk = Arc::new(LocalDisk);
        let life = world.export();
        assert_eq!((life.exit, life.sent), (Some(0), 0), "{rivals} rivals");
        expect_sound(&world, &format!("{rivals} rivals"));
    }
}

/// A lower number after a higher one is no reason to pass over a date, neither of another date nor of the same.
#[test]
fn no_publish_is_lost_where_intents_end_in_another_order() {
    let mut world = world();
    world.export();
    let read = read_files(&world.output());
    let name = read.keys().next().unwrap();
    let part = name.split_once("/part-").unwrap().1.strip_suffix(".parquet").unwrap();
    let bytes = read[name].len() as u64;
    let stores = world.start().stores(&world.config);
    let store = stores.open(&world.config.output).unwrap();
    let lock = store.lock().unwrap();
    let digits = u64::from_str_radix(part, 16).unwrap();
    let enter = |day: u32, name: u64, claim: Claim| {
        let file = File::open(world.output().join(read.keys().next().unwrap())).unwrap();
        let date = NaiveDate::from_ymd_opt(2030, 1, day).unwrap();
        let statistics = FileStatistics::read(file).unwrap();
        lock.enter(&Entry { date, name: FileName::new(name), bytes, statistics, modified_ms: 0 }, claim).unwrap()
    };
    let here = || Entered::Here { removed: BTreeSet::new() };
    let first = |number| Claim { number, replaces: false, is_first: true };
    let again = |number| Claim { number, replaces: false, is_first: false };
    assert_eq!(enter(1, digits, first(6)), here());
    assert_eq!(enter(2, digits, first(5)), here());
    assert_eq!(enter(1, digits + 1, first(4)), here(), "of the same date");
    assert_eq!(enter(2, digits, again(5)), here(), "it is there");
    let of = |day| store.table_state().unwrap().unwrap().on(NaiveDate::from_ymd_opt(2030, 1, day).unwrap()).len();
    assert_eq!((of(1), of(2)), (2, 1));
    // Another program rewrites the date before the intent is recorded as done.
    let path = format!("date=2030-01-02/part-{digits:016x}.parquet");
    commit_foreign(
        &world.output(),
        &[
            json!({ "remove": { "path": path, "deletionTimestamp": 1, "dataChange": false } }),
            json!({ "add": { "path": "date=2030-01-02/of-another.parquet", "partitionValues": { "date": "2030-01-02" }, "size": 1,
            "modificationTime": 0, "dataChange": false } }),
        ],
    );
    assert_eq!(enter(2, digits, again(5)), Entered::Rewritten, "its rows are in the table");
    assert_eq!(enter(2, digits, again(3)), Entered::Superseded, "of a journal from before");
    assert_eq!(of(2), 1);
    assert_eq!(enter(2, digits, again(7)), here(), "this one has never been");
}

#[test]
fn a_date_that_another_program_has_cut_is_told_and_rebuilt() {
    let mut world = world();
    publish_twice(&mut world);
    optimize(&world, |rows| rows - 1);
    let verified_now = verified(&world);
    assert_eq!(verified_now.exit_code(), ExitCode::Disk);
    assert!(verified_now.to_string().contains("the table has 1 file with"), "{verified_now}");
    rebuild_all(&world);
    expect_sound(&world, "rebuilt");
}

#[test]
fn a_log_that_cannot_be_gone_on_with_stops_a_run_and_is_made_anew() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm, &str); 5] = [
        ("missing", |log| fs::remove_dir_all(log).unwrap(), "the table's log is missing"),
        (
            "damaged",
            |log| fs::write(log.join("00000000000000000000.json"), "{\"metaData\": oh").unwrap(),
            "the table's log cannot be read",
        ),
        (
            "cut",
            |log| fs::remove_file(log.join("00000000000000000001.json")).unwrap(),
            "the table's log cannot be read",
        ),
        (
            "of another table",
            |log| {
                let path = log.join("00000000000000000000.json");
                let text = fs::read_to_string(&path).unwrap();
                let (before, rest) = text.split_once("\"metaData\":{\"id\":\"").unwrap();
                fs::write(path, format!("{before}\"metaData\":{{\"id\":\"00000000{}", &rest[8..])).unwrap();
            },
            "the log is of another table",
        ),
        (
            "newer",
            |log| {
                let path = log.join("00000000000000000000.json");
                let text = fs::read_to_string(&path).unwrap();
                let newer = text.replace("\"readerFeatures\":[", "\"readerFeatures\":[\"ofTomorrow\"");
                fs::write(path, newer.replace("\"writerFeatures\":[", "\"writerFeatures\":[\"ofTomorrow\",")).unwrap();
            },
            "the table asks for more than this version of vcq can do",
        ),
    ];
    for (what, harm, expected) in harms {
        let mut world = world();
        publish_twice(&mut world);
        let before = read_files(&world.output());
        harm(&world.output().join("_delta_log"));
        let error = rebuild(&world.config, (None, None), &world.start(), |_| ()).unwrap_err();
        let said = Chain(&error).to_string();
        assert_eq!(error.exit_code(), ExitCode::Disk, "{what}: {said}");
        assert!(said.contains(expected) && said.contains("_delta_log"), "{what}: {said}");
        assert!(error.hint().is_some_and(|hint| hint.contains("vcq rebuild --new-table")), "{what}");
        let anew = make_tables_anew(&world.config, &world.start(), |_| ()).unwrap();
        assert!(anew.to_string().contains(&format!("quality: a new table of {} files", before.len())), "{anew}");
        assert_eq!(read_files(&world.output()), before, "{what}");
        expect_sound(&world, what);
        rebuild_all(&world);
        expect_sound(&world, what);
    }
}

#[test]
fn files_alone_have_no_table_to_make() {
    let mut world = world_of("files");
    world.export();
    let error = make_tables_anew(&world.config, &world.start(), |_| ()).unwrap_err();
    assert!(matches!(error, Error::Usage(_)), "{error:?}");
}

#[test]
fn a_lost_journal_adopts_what_the_table_has_and_no_old_file() {
    let mut world = world();
    publish_twice(&mut world);
    rebuild_all(&world);
    let (read, all) = (read_files(&world.output()), files(&world.output()));
    fs::remove_dir_all(&world.config.state).unwrap();
    assert_eq!(world.export().exit, Some(ExitCode::Disk as u8), "files are there that nobody knows");
    let adopted = adopt(&world.config, &world.start()).unwrap();
    assert_eq!((adopted.files, adopted.refused.len()), (read.len() as u64, 0), "{adopted}");
    assert!(adopted.old > 0);
    expect_sound(&world, "adopted");
    assert_eq!(files(&world.output()), all);
    let life = world.export();
    assert_eq!(life.exit, Some(0), "{:?}", life.error);
    world.rest(TimeDelta::days(8));
    world.export();
    assert!(files(&world.output()).len() < all.len(), "old files are gone");
    assert_eq!(read_files(&world.output()), read);
}

/// A dataset of files whose journal is lost becomes a table, whatever was first.
#[test]
fn a_lost_journal_adopts_files_into_a_new_table() {
    for begins_before in [false, true] {
        let mut world = world_of("files");
        publish_twice(&mut world);
        let before = files(&world.output());
        fs::remove_dir_all(&world.config.state).unwrap();
        world.config = as_form(&world, Form::Delta);
        if begins_before {
            assert_eq!(world.export().exit, Some(ExitCode::Disk as u8));
            rebuild(&world.config, (None, None), &world.start(), |_| ()).unwrap();
        }
        let adopted = adopt(&world.config, &world.start()).unwrap();
        assert_eq!((adopted.files, adopted.old, adopted.refused.len()), (before.len() as u64, 0, 0), "{adopted}");
        assert_eq!(read_files(&world.output()), before);
        expect_sound(&world, "adopted");
    }
}

#[test]
fn a_checkpoint_is_written_every_ten_commits_and_says_the_same() {
    let mut world = world();
    publish_twice(&mut world);
    for hours in [7, 8, 7, 8] {
        // What decides a file's name decides that the date is replaced.
        world.config.api.naive_utc_offset = FixedOffset::east_opt(hours * 3600).unwrap();
        rebuild_all(&world);
    }
    let names: Vec<_> = files(&world.output()).into_keys().filter(|name| name.starts_with(LOG)).collect();
    assert!(names.contains(&format!("{LOG}00000000000000000010.checkpoint.parquet")), "{names:?}");
    assert!(names.contains(&format!("{LOG}_last_checkpoint")));
    expect_sound(&world, "with checkpoints");
    rebuild_all(&world);
    expect_sound(&world, "rebuilt after a checkpoint");
}

/// A disk that is full from some effect on, or does not keep what it is given.
#[test]
fn a_disk_that_fails_at_any_effect_loses_nothing() {
    let (mut world, disk) = world_on_frail_disk();
    publish_twice(&mut world);
    disk.meet(Trouble::None);
    rebuild_all(&world);
    let expected = read_files(&world.output());
    // What would come after the last effect harms nobody.
    for effect in (0..EFFECTS_MAX / 3).step_by(7) {
        for trouble in [Trouble::Full { from: effect, count: 2 }, Trouble::Sync { from: effect }] {
            let (mut world, disk) = world_on_frail_disk();
            publish_twice(&mut world);
            disk.meet(trouble);
            drop(rebuild(&world.config, (None, None), &world.start(), |_| ()));
            disk.cut_power();
            check_complete(&world);
            disk.meet(Trouble::None);
            rebuild_all(&world);
            expect_sound(&world, &format!("{trouble:?}"));
            assert_eq!(read_files(&world.output()), expected, "{trouble:?}");
        }
    }
}

#[test]
fn killed_at_any_effect_on_the_disk_a_run_gives_the_same_table() {
    let (mut world, _) = world_on_frail_disk();
    assert_eq!(world.export().exit, Some(0));
    let expected = read_files(&world.output());
    for (effect, is_done) in (0..EFFECTS_MAX).map(|effect| (effect, effect % 2 == 0)) {
        let (mut world, disk) = world_on_frail_disk();
        disk.meet(Trouble::Kill { effect, is_done });
        if world.export().exit == Some(0) {
            assert!(effect > 30 && !disk.is_dead(), "{effect} effects");
            return;
        }
        disk.cut_power();
        if world.output().exists() {
            check_rows(&world);
        }
        disk.meet(Trouble::None);
        let life = world.export();
        assert_eq!(life.exit, Some(0), "effect {effect}, done: {is_done}: {:?}", life.error);
        check(&world, &life);
        check_complete(&world);
        assert_eq!(read_files(&world.output()), expected, "effect {effect}, done: {is_done}");
    }
    panic!("a run has more than {EFFECTS_MAX} effects");
}

#[test]
fn a_rebuild_that_is_killed_at_any_effect_is_finished_by_the_next() {
    let (mut world, disk) = world_on_frail_disk();
    publish_twice(&mut world);
    let old = read_files(&world.output());
    disk.meet(Trouble::None);
    rebuild_all(&world);
    let expected = read_files(&world.output());
    for (effect, is_done) in (0..EFFECTS_MAX).map(|effect| (effect, effect % 2 == 1)) {
        let (mut world, disk) = world_on_frail_disk();
        publish_twice(&mut world);
        disk.meet(Trouble::Kill { effect, is_done });
        let killed = catch_unwind(AssertUnwindSafe(|| rebuild(&world.config, (None, None), &world.start(), |_| ())));
        if until_killed(killed).is_some() {
            assert!(effect > 30, "{effect} effects");
            return;
        }
        disk.cut_power();
        // Each date is as it was or as it is to be.
        for (name, _) in read_files(&world.output()) {
            assert!(old.contains_key(&name) || expected.contains_key(&name), "{name}");
        }
        check_complete(&world);
        disk.meet(Trouble::None);
        rebuild_all(&world);
        expect_sound(&world, &format!("effect {effect}, done: {is_done}"));
        assert_eq!(read_files(&world.output()), expected, "effect {effect}, done: {is_done}");
    }
    panic!("a rebuild has more than {EFFECTS_MAX} effects");
}

#[test]
fn killed_at_any_request_to_the_bucket_a_rebuild_is_finished_by_the_next() {
    let two_runs = || {
        let (mut world, buckets) = world_in_bucket();
        publish_twice(&mut world);
        buckets.meet(Ill::None);
        (world, buckets)
    };
    let (world, buckets) = two_runs();
    rebuild_all(&world);
    let (expected, calls) = (read_files(&world.output()), buckets.calls());
    for (call, is_done) in (0..calls).map(|call| (call, call % 2 == 0)) {
        let (world, buckets) = two_runs();
        buckets.meet(Ill::Kill { call, is_done });
        let killed = catch_unwind(AssertUnwindSafe(|| rebuild(&world.config, (None, None), &world.start(), |_| ())));
        if until_killed(killed).is_some() {
            // Dates that are built side by side ask for each other's commits now and then.
            assert!(call + 4 > calls, "call {call} of {calls}");
            break;
        }
        check_complete(&world);
        buckets.meet(Ill::None);
        rebuild_all(&world);
        expect_sound(&world, &format!("call {call}, done: {is_done}"));
        assert_eq!(read_files(&world.output()), expected, "call {call}, done: {is_done}");
    }
}

#[test]
fn a_request_without_an_answer_is_settled_by_the_table() {
    let (mut world, buckets) = world_in_bucket();
    assert_eq!(world.export().exit, Some(0));
    let (expected, calls) = (read_files(&world.output()), buckets.calls());
    for (call, is_done) in (0..calls).map(|call| (call, call % 2 == 1)) {
        let (mut world, buckets) = world_in_bucket();
        buckets.meet(Ill::Away { from: call, count: 1, is_done });
        let first = world.export();
        buckets.meet(Ill::None);
        let life = if first.exit == Some(0) { first } else { world.export() };
        assert_eq!(life.exit, Some(0), "call {call}, done: {is_done}: {:?}", life.error);
        check(&world, &life);
        check_complete(&world);
        assert_eq!(read_files(&world.output()), expected, "call {call}, done: {is_done}");
    }
}

#[test]
fn lists_are_tables_too() {
    let settings =
        Settings { tenant: TenantSettings { days: 2, stays: 40, ..TenantSettings::default() }, ..Settings::default() };
    let mut world = World::new(settings, &[("table", "delta")], Vec::new());
    let orders = Orders { fetches_samples: false, ..discover(&world) };
    assert_eq!(world.live_one(orders.clone()).exit, Some(0));
    for dataset in ["meetings", "participants"] {
        let read = read_files(&world.path(dataset));
        assert_eq!(read.len(), 2, "{dataset}: a file for each date");
        assert_eq!(commits(&world.path(dataset)).len(), 3, "{dataset}: the table, and a commit for each date");
    }
    rebuild_all(&world);
    assert_eq!(commits(&world.path("meetings")).len(), 3, "nothing has changed");
    // A column that only some want.
    world.config.discover.personal = vec!["participant_name".into()];
    rebuild_all(&world);
    let read = read_files(&world.path("participants"));
    assert_eq!(read.len(), 2);
    let commits = commits(&world.path("participants"));
    assert!(commits.iter().flatten().any(|action| {
        action["metaData"]["schemaString"].as_str().is_some_and(|schema| schema.contains("participant_name"))
    }));
    let verified = verified(&world);
    assert_eq!(verified.exit_code(), ExitCode::Complete, "{verified}");
    make_tables_anew(&world.config, &world.start(), |_| ()).unwrap();
    assert_eq!(read_files(&world.path("participants")), read);
}

/// A world with lists of two dates, asked for, whose datasets have this form.
pub(crate) fn lists(table: &str) -> World {
    let tenant = TenantSettings { days: 2, stays: 40, ..TenantSettings::default() };
    let mut world = World::new(Settings { tenant, ..Settings::default() }, &[("table", table)], Vec::new());
    ask_for_lists(&mut world);
    world
}

pub(crate) fn ask_for_lists(world: &mut World) {
    let life = world.live_one(Orders { fetches_samples: false, ..discover(world) });
    assert_eq!(life.exit, Some(0), "{:?}", life.error);
}

#[test]
fn lists_go_from_files_to_tables_and_back_and_none_is_read_twice() {
    let mut world = lists("files");
    let folders = ["meetings", "participants"].map(|dataset| world.path(dataset));
    let before = folders.each_ref().map(|folder| files(folder));
    world.config = as_form(&world, Form::Delta);
    ask_for_lists(&mut world);
    assert_eq!(
        folders.each_ref().map(|folder| read_files(folder)),
        before,
        "tables, though nothing has changed in the lists"
    );
    assert!(folders.iter().all(|folder| folder.join(LOG).is_dir()));
    assert_eq!(verified(&world).exit_code(), ExitCode::Complete);

    world.config.discover.personal = vec!["participant_name".into()];
    rebuild_all(&world);
    let rebuilt = folders.each_ref().map(|folder| read_files(folder));
    assert_ne!(rebuilt[1], before[1]);
    world.config = as_form(&world, Form::Files);
    for folder in folders.iter().chain([&world.output()]).filter(|folder| folder.join(LOG).exists()) {
        fs::remove_dir_all(folder.join(LOG)).unwrap();
    }
    let told = verified(&world);
    assert_eq!(told.exit_code(), ExitCode::Disk);
    assert!(told.to_string().contains("was replaced in the table that is no more"), "{told}");
    ask_for_lists(&mut world);
    assert_eq!(folders.each_ref().map(|folder| files(folder)), rebuilt, "old files are gone");
    assert_eq!(verified(&world).exit_code(), ExitCode::Complete);
}

#[test]
fn a_table_of_lists_that_another_program_has_cut_is_rebuilt() {
    let mut world = lists("delta");
    let meetings = world.path("meetings");
    let before = read_files(&meetings);
    let (path, _) = before.first_key_value().unwrap();
    let date = path.split_once('/').unwrap().0.strip_prefix("date=").unwrap();
    let remove = json!({ "remove": { "path": path, "deletionTimestamp": 1, "dataChange": true, "extendedFileMetadata": true,
        "partitionValues": { "date": date }, "size": 1 } });
    commit_foreign(&meetings, &[remove]);
    assert_eq!(verified(&world).exit_code(), ExitCode::Disk);
    rebuild_all(&world);
    assert_eq!(read_files(&meetings), before);
    assert_eq!(verified(&world).exit_code(), ExitCode::Complete);
    ask_for_lists(&mut world);
    assert_eq!(read_files(&meetings), before);
}

pub(crate) fn copy(from: &Path, to: &Path) {
    for (name, bytes) in files(from) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn a_log_of_before_is_refused() {
    let mut world = world();
    publish_twice(&mut world);
    let (log, backup) = (world.output().join(LOG), world.path("backup"));
    copy(&log, &backup);
    rebuild_all(&world);
    let rebuilt = read_files(&world.output());
    fs::remove_dir_all(&log).unwrap();
    copy(&backup, &log);
    let refuse = |world: &mut World, expected: &str| {
        let life = world.export();
        assert_eq!((life.exit, life.sent), (Some(ExitCode::Disk as u8), 0));
        assert!(life.error.as_deref().is_some_and(|error| error.contains(expected)), "{:?}", life.error);
        assert!(life.hint.as_deref().is_some_and(|hint| hint.contains("--new-table")), "{:?}", life.hint);
    };
    refuse(&mut world, "the journal has seen version");
    make_tables_anew(&world.config, &world.start(), |_| ()).unwrap();
    assert_eq!(read_files(&world.output()), rebuilt);
    expect_sound(&world, "made anew");

    // The journal forgets the table, and the log of before comes back.
    fs::remove_dir_all(&log).unwrap();
    world.config = as_form(&world, Form::Files);
    assert_eq!(world.export().exit, Some(0));
    copy(&backup, &log);
    world.config = as_form(&world, Form::Delta);
    refuse(&mut world, "it has other files");
    make_tables_anew(&world.config, &world.start(), |_| ()).unwrap();
    expect_sound(&world, "made anew again");
}

#[test]
fn no_new_table_is_made_where_only_another_program_has_the_rows() {
    let mut world = world();
    publish_twice(&mut world);
    let (_, replaced) = optimize(&world, |rows| rows);
    for path in &replaced {
        fs::remove_file(world.output().join(path)).unwrap();
    }
    let before = commits(&world.output());
    let anew = make_tables_anew(&world.config, &world.start(), |_| ()).unwrap();
    assert_eq!(anew.exit_code(), ExitCode::Complete, "{anew}");
    assert!(anew.to_string().contains("quality: its log is sound"), "{anew}");
    assert_eq!(commits(&world.output()), before, "nothing has been done");
    rebuild_all(&world);
    make_tables_anew(&world.config, &world.start(), |_| ()).unwrap();
    expect_sound(&world, "rebuilt");
}

/// Another program rewrites a date in between, and takes away what it has rewritten.
#[test]
fn what_another_program_rewrites_after_a_cut_is_neither_doubled_nor_in_the_way() {
    for (effect, takes_away) in (0..EFFECTS_MAX).map(|effect| (effect, effect % 2 == 0)) {
        let (mut world, disk) = world_on_frail_disk();
        publish_twice(&mut world);
        let old = read_files(&world.output());
        disk.meet(Trouble::Kill { effect, is_done: true });
        let killed = catch_unwind(AssertUnwindSafe(|| rebuild(&world.config, (None, None), &world.start(), |_| ())));
        if until_killed(killed).is_some() {
            assert!(effect > 30, "{effect} effects");
            return;
        }
        disk.cut_power();
        let is_replaced = !read_files(&world.output()).keys().all(|name| old.contains_key(name));
        let (foreign, replaced) = optimize(&world, |rows| rows);
        for path in replaced.iter().filter(|_| takes_away) {
            fs::remove_file(world.output().join(path)).unwrap();
        }
        disk.meet(Trouble::None);
        let life = world.export();
        assert_eq!(life.exit, Some(0), "effect {effect}: {:?}", life.error);
        let date = foreign.split_once('/').unwrap().0;
        let read: Vec<_> = read_files(&world.output()).into_keys().filter(|name| name.starts_with(date)).collect();
        let has_foreign = read.contains(&foreign);
        assert!(!has_foreign || read.len() == 1, "effect {effect}: {read:?} (replaced before: {is_replaced})");
        rebuild_all(&world);
        expect_sound(&world, &format!("effect {effect}"));
    }
    panic!("a rebuild has more than {EFFECTS_MAX} effects");
}
