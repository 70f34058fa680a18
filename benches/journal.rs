//! The journal: rows a second of enqueue and plan, the time of a pick from a long queue, and of landing a page.

use std::{collections::BTreeSet, hint::black_box, path::Path};

use chrono_tz::Tz;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;
use vcq::{
    journal::{Identity, Journal, Lane, Manifested, NewPage, Staged, StayId},
    stay::{MeetingNo, Participant, Stay},
};

/// Few where nothing is measured: unoptimized, as the tests build it.
const ROWS: u32 = if cfg!(debug_assertions) { 5_000 } else { 200_000 };

/// As many stays as the fetch loop has taken at most.
const TAKEN: usize = 256;

/// 2025-03-03 00:00 in Shanghai.
const START_S: i64 = 1_740_931_200;

const SAMPLE: &str = r#"{"network":{"time":"2025.03.03 11:16:59 (GMT+08:00)","network_delay":"8ms"}}"#;

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
    let identity = Identity { timezone: "Asia/Shanghai".into(), user_id_type: "open_id".into() };
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
    while taken.len() < TAKEN {
        taken.insert(pick(&journal, &taken));
    }
    group.bench_function("pick with 256 taken", |bencher| bencher.iter(|| black_box(pick(&journal, &taken))));

    let body = format!(r#"{{"code":0,"data":{{"participant_quality_list":[{}]}}}}"#, vec![SAMPLE; 100].join(","));
    let untaken = BTreeSet::new();
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("land a page", |bencher| {
        let next = || pick(&journal.again().expect("a journal can be opened again"), &untaken);
        let mut landing = journal.again().expect("a journal can be opened again");
        bencher.iter_batched(
            next,
            |stay| {
                let page = NewPage { stay, number: 0, samples: 100, next_token: None, body: body.as_bytes() };
                landing.land(&page, START_S).expect("a page can be landed");
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn pick(journal: &Journal, taken: &BTreeSet<StayId>) -> StayId {
    let next = journal.next(taken.len() + 1, |id| taken.contains(&id)).expect("the queue can be read");
    next.expect("the queue is longer").id
}

criterion_group!(benches, rows, queue);
criterion_main!(benches);
