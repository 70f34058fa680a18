//! The publications of discovery: killed at system calls while it lists and publishes, and while a rebuild puts other files
//! of `meetings` and `participants` in the place of those that are there.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, Output},
    sync::atomic::{AtomicUsize, Ordering},
};

use chrono::NaiveDate;
use parquet::file::reader::SerializedFileReader;
use tempfile::TempDir;
use vcq::simulator::{
    Settings, Simulator, endpoint::Endpoint, latency::Latency, lists::Lists, quota::QuotaSettings,
    tenant::TenantSettings,
};

use super::{
    chosen,
    each::each,
    scene::{REQUESTS_PER_MINUTE, copy, entries, name_of, vcq},
    server::serve_while,
    strace::{Blow, Cut, EFFECTS, count},
    trial::said,
};

const DATASETS: [&str; 3] = ["meetings", "participants", "quality"];

/// What is played, and how often a call of it is tried.
const ACTS: [(Act, usize); 2] = [
    (Act { line: "export --discover 2025-03-01..2025-03-02", personal: "" }, 150),
    (Act { line: "rebuild 2025-03-01..2025-03-02", personal: "email,meeting_topic" }, 12),
];

#[derive(Clone, Copy, Debug)]
struct Act {
    line: &'static str,
    /// The personal columns that are published.
    personal: &'static str,
}

impl Act {
    fn command(self, folder: &Path, url: &str) -> Command {
        let mut command = vcq(folder, url, self.line);
        command.env("VCQ_DISCOVER_PERSONAL", self.personal);
        command
    }
}

fn simulator() -> Simulator {
    let first_day = NaiveDate::from_ymd_opt(2025, 3, 1).unwrap();
    let lists = Lists::odd(0.1);
    Simulator::new(Settings {
        tenant: TenantSettings {
            first_day,
            days: 2,
            stays: 40,
            meeting_minutes_max: 60,
            lists,
            ..TenantSettings::default()
        },
        quota: QuotaSettings { requests_per_minute: REQUESTS_PER_MINUTE, ..QuotaSettings::default() },
        latency: Latency::Constant(std::time::Duration::from_millis(1)),
        ..Settings::default()
    })
}

/// Every row of the three datasets as text: all files must be whole, and of the lists there is one a date at most.
fn rows(folder: &Path) -> BTreeSet<String> {
    let mut rows = BTreeSet::new();
    for dataset in DATASETS {
        for date in entries(&folder.join(dataset)) {
            let files = entries(&date);
            assert!(dataset == "quality" || files.len() <= 1, "{files:?}");
            for path in files {
                let reader = SerializedFileReader::new(File::open(&path).unwrap());
                let reader = reader.unwrap_or_else(|error| panic!("`{}` is not whole: {error}", path.display()));
                for row in reader {
                    let row = format!("{dataset} {} {}", name_of(&date), row.unwrap());
                    assert!(rows.insert(row.clone()), "twice in the dataset: {row}");
                }
            }
        }
    }
    rows
}

/// An act, what it finds, and what there is when nobody has disturbed it.
struct Played {
    act: Act,
    before: TempDir,
    rows: BTreeSet<String>,
    after: TempDir,
}

fn copied(folder: &Path) -> TempDir {
    let stage = tempfile::tempdir().unwrap();
    copy(folder, stage.path());
    stage
}

fn play(act: Act, before: TempDir) -> Played {
    let after = copied(before.path());
    let (_, output) = serve_while(simulator(), |url| act.command(after.path(), url).output().unwrap());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    Played { act, before, rows: rows(after.path()), after }
}

/// Kills the act at a call, plays it to its end, and compares.
fn cut_and_play_again(played: &Played, cut: &Cut) -> Output {
    let what = format!("{}, {cut}", played.act.line);
    let stage = copied(played.before.path());
    let (folder, before) = (stage.path(), rows(played.before.path()));
    let (simulator, output) = serve_while(simulator(), |url| cut.run(&played.act.command(folder, url), &[]).0);
    // A rebuild's date has the old rows or the new ones; what an export has published are rows of the end, but for lists.
    let seen = rows(folder);
    let is_rebuild = played.act.line.starts_with("rebuild");
    assert!(
        !is_rebuild || seen.iter().all(|row| before.contains(row) || played.rows.contains(row)),
        "{what}: other rows"
    );
    let (simulator, again) = serve_while(simulator, |url| played.act.command(folder, url).output().unwrap());
    assert_eq!(again.status.code(), Some(0), "{what}: {}", said(&again));
    assert!(rows(folder) == played.rows, "{what}: other rows than undisturbed");
    let verified = Act { line: "verify", ..played.act }.command(folder, "http://127.0.0.1:1").output().unwrap();
    assert_eq!(verified.status.code(), Some(0), "{what}: {}", said(&verified));
    for dataset in DATASETS {
        let left = entries(&folder.join(format!("{dataset}.staging")));
        // What a rebuild retires stays until there is another publisher: someone may be reading it.
        let left: Vec<_> = left.iter().filter(|path| !is_rebuild || !name_of(path).starts_with("date=")).collect();
        assert!(left.is_empty(), "{what}: left in staging: {left:?}");
    }
    let windows = simulator.books_of(Endpoint::Meetings).pages_of_windows().map(|(.., page)| page.asked);
    let meetings = simulator.books_of(Endpoint::Participants).pages_of_meetings().map(|(.., page)| page.asked);
    let most = windows.chain(meetings).max().unwrap_or(0);
    assert!(most <= 2, "{what}: a page was asked for {most} times by two processes");
    output
}

#[test]
fn killed_at_system_calls_discovery_publishes_whole_lists() {
    let empty = tempfile::tempdir().unwrap();
    fs::create_dir(empty.path().join("state")).unwrap();
    let mut before = empty;
    for (act, usual) in ACTS {
        let played = play(act, before);
        assert!(DATASETS.iter().all(|dataset| played.rows.iter().any(|row| row.starts_with(dataset))));
        let stage = copied(played.before.path());
        let (_, (output, counts)) =
            serve_while(simulator(), |url| count(&act.command(stage.path(), url), &EFFECTS, &[]));
        assert_eq!(output.status.code(), Some(0));
        let of_call =
            |(call, count): (String, u32)| (1..=count).map(move |ordinal| Cut::new(&call, ordinal, Blow::Kill));
        let points: Vec<_> = counts.into_iter().flat_map(of_call).collect();
        let chosen = chosen(&points, usual);
        let killed = AtomicUsize::new(0);
        each(&chosen, |cut| {
            let output = cut_and_play_again(&played, cut);
            killed.fetch_add(usize::from(output.status.signal() == Some(9)), Ordering::Relaxed);
        });
        let killed = killed.into_inner();
        println!("{}: {} system calls, {} of them tried, {killed} kills", act.line, points.len(), chosen.len());
        assert!(killed * 10 > chosen.len() * 8, "{killed} of {} trials reached their call", chosen.len());
        before = played.after;
    }
}
