//! The journal: rows a second of enqueue and plan, the time of a pick and of landing a page, and the bytes that both leave.

#![expect(clippy::print_stdout, reason = "sizes are no durations, which criterion would print")]

use std::{collections::BTreeSet, fs, hint::black_box, path::Path};

use chrono_tz::Tz;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;
use vcq::{
    journal::{Identity, Journal, Lane, Manifested, NewPage, Staged, StayId},
    stay::{MeetingNo, Participant, Stay},
};

#[path = "support/page.rs"]
mod page;

use self::page::{SAMPLES_PER_PAGE, page};

/// Few where nothing is measured: unoptimized, as the tests build it.
const ROWS: u32 = if cfg!(debug_assertions) { 5_000 } else { 200_000 };

/// As many stays as the fetch loop has taken at most.
const TAKEN: usize = 256;

/// 2025-03-03 00:00 in Shanghai.
const START_S: i64 = 1_740_931_200;

/// Pages landed to see what one takes.
const PAGES: u64 = if cfg!(debug_assertions) { 20 } else { 1000 };

/// Ten stays a meeting, a meeting every ten seconds.
fn stay(n: u32) -> Stay {
    let meeting = i64::from(n / 10);
    let start_s = START_S + meeting * 10;
    Stay {
        meeting_no: MeetingNo::parse(&format!("{:09}", meeting % 5000)).expect("nine digits are a number"),
        meeting_start_s: start_s,
        meeting_end_s: start_s + 3600,
        join_s: start_s + i64::from(n % 10),
        participant: Participant::User(format!("ou_{:032x}", n % 50_000)),
    }
}

/// All rows, each once, as far from their order as a shuffle puts them.
fn shuffled() -> impl Iterator<Item = u32> {
    (0..ROWS).map(|n| u32::try_from(u64::from(n) * 7_919 % u64::from(ROWS)).expect("less than all rows"))
}

fn open(folder: &Path) -> Journal {
    let identity = Identity {
        timezone: "Asia/Shanghai".into(),
        user_id_type: "open_id".into(),
        app_id: String::new(),
        host: String::new(),
    };
    Journal::open(folder, &identity).expect("a temporary folder takes a journal")
}

fn stage(journal: &Journal, rows: impl Iterator<Item = u32>) -> Staged {
    let mut staging = journal.stage().expect("a journal can stage");
    for (line, n) in (1..).zip(rows) {
        staging.push(&stay(n), Manifested { file: 0, line }).expect("a row can be staged");
    }
    staging.finish().expect("the rows can be kept")
}

fn enqueue(journal: &mut Journal, rows: impl Iterator<Item = u32>) {
    let staged = stage(journal, rows);
    let merging = journal.enqueue(staged, Lane::Backfill, Tz::Asia__Shanghai).expect("staged rows can be merged");
    let merged = merging.finish().expect("staged rows can be merged");
    assert_eq!(merged.stays, u64::from(ROWS));
}

fn fresh() -> (TempDir, Journal) {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let journal = open(folder.path());
    (folder, journal)
}

fn rows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("journal rows");
    group.throughput(Throughput::Elements(ROWS.into())).sample_size(10);
    group.bench_function("enqueue sorted", |bencher| {
        bencher.iter_batched_ref(fresh, |(_, journal)| enqueue(journal, 0..ROWS), BatchSize::PerIteration);
    });
    group.bench_function("enqueue shuffled", |bencher| {
        bencher.iter_batched_ref(fresh, |(_, journal)| enqueue(journal, shuffled()), BatchSize::PerIteration);
    });
    let (folder, mut journal) = fresh();
    enqueue(&mut journal, 0..ROWS);
    let again = || open(folder.path());
    group.bench_function("enqueue again", |bencher| {
        bencher.iter_batched_ref(again, |journal| enqueue(journal, 0..ROWS), BatchSize::PerIteration);
    });
    group.bench_function("plan", |bencher| {
        let plan = |journal: &mut Journal| {
            let staged = stage(journal, 0..ROWS);
            journal.plan(staged).expect("staged rows can be counted")
        };
        bencher.iter_batched_ref(again, plan, BatchSize::PerIteration);
    });
    group.finish();
}

fn queue(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("journal queue");
    let (_folder, mut journal) = fresh();
    enqueue(&mut journal, 0..ROWS);
    let mut taken = BTreeSet::new();
    for (name, count) in [("pick with 16 taken", 16), ("pick with 256 taken", TAKEN)] {
        while taken.len() < count {
            taken.insert(pick(&journal, &taken));
        }
        group.bench_function(name, |bencher| bencher.iter(|| black_box(pick(&journal, &taken))));
    }
    let body = page(0);
    let queue = journal.another().expect("a journal can be opened again");
    group.bench_function("land a page", |bencher| {
        bencher.iter_batched(
            || pick(&queue, &BTreeSet::new()),
            |stay| land(&mut journal, stay, &body),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn sizes(_: &mut Criterion) {
    let (folder, mut journal) = fresh();
    enqueue(&mut journal, 0..ROWS);
    let queued = closed_bytes(journal, folder.path());
    let mut journal = open(folder.path());
    for seed in 0..PAGES {
        let stay = pick(&journal, &BTreeSet::new());
        land(&mut journal, stay, &page(seed));
    }
    let landed = closed_bytes(journal, folder.path()) - queued;
    println!(
        "journal bytes: {} a queued stay, {} a landed page of 100 samples",
        queued / u64::from(ROWS),
        landed / PAGES
    );
}

/// The journal's size once its last connection is closed, which leaves nothing beside the database.
fn closed_bytes(journal: Journal, folder: &Path) -> u64 {
    drop(journal);
    fs::metadata(folder.join("journal.sqlite")).expect("there is a database").len()
}

fn land(journal: &mut Journal, stay: StayId, body: &str) {
    let page = NewPage { stay, number: 0, samples: SAMPLES_PER_PAGE, next_token: None, body: body.as_bytes() };
    journal.land(&page, START_S).expect("a page can be landed");
}

fn pick(journal: &Journal, taken: &BTreeSet<StayId>) -> StayId {
    let next = journal.next(taken.len() + 1, |id| taken.contains(&id)).expect("the queue can be read");
    next.expect("the queue is longer").id
}

criterion_group!(benches, rows, queue, sizes);
criterion_main!(benches);
