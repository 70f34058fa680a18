//! Phase 2 stage by stage: landed bodies out of the journal, pages → samples, samples → columns, columns → Parquet.

use std::{fmt::Write as _, hint::black_box, io};

use chrono::{FixedOffset, NaiveDate};
use chrono_tz::Tz;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use vcq::{
    journal::{Identity, Journal, Lane, Manifested, NewPage},
    quality::{
        batch::Batch,
        decode::{Unknown, decode},
        parquet::{FileFacts, Writer},
    },
    stay::{MeetingNo, Participant, Stay},
};

#[path = "support/page.rs"]
mod page;

use self::page::{SAMPLES_PER_PAGE, page};

/// As many stays as a large tenant has in a day.
const STAYS: u32 = 400;

const MEETING_START_S: i64 = 1_671_765_360;

fn pages() -> Vec<String> {
    (0..STAYS).map(|stay| page(stay.into())).collect()
}

fn stay(number: u32) -> Stay {
    let mut id = String::from("ou_");
    write!(id, "{:032x}", u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
        .expect("a string takes all there is memory for");
    Stay {
        meeting_no: MeetingNo::parse("123456789").expect("nine digits"),
        meeting_start_s: MEETING_START_S,
        meeting_end_s: MEETING_START_S + 7200,
        join_s: MEETING_START_S + i64::from(number),
        participant: Participant::User(id),
    }
}

fn china() -> FixedOffset {
    FixedOffset::east_opt(8 * 3600).expect("eight hours are less than a day")
}

fn fill(batch: &mut Batch, pages: &[String]) {
    for (page, number) in pages.iter().zip(0..) {
        let stay = stay(number);
        let mut rows = batch.stay(&stay);
        decode(page.as_bytes(), &mut Unknown::default(), |sample| rows.push(sample)).expect("the page is JSON");
    }
}

fn decoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("page");
    let compact = page(0);
    let spaced = compact.replacen('{', "{ ", 1);
    for (name, page) in [("fast path", compact), ("general path", spaced)] {
        group.throughput(Throughput::Bytes(page.len() as u64));
        group.bench_function(name, |bencher| {
            let mut unknown = Unknown::default();
            bencher.iter(|| decode(page.as_bytes(), &mut unknown, |sample| _ = black_box(sample)));
        });
    }
    group.finish();
}

fn columns(criterion: &mut Criterion) {
    let pages = pages();
    let mut group = criterion.benchmark_group("columns");
    group.throughput(Throughput::Elements(u64::from(STAYS * SAMPLES_PER_PAGE)));
    group.sample_size(20);
    let mut batch = Batch::new(china());
    group.bench_function("pages to batch", |bencher| {
        bencher.iter(|| {
            batch.clear();
            fill(&mut batch, black_box(&pages));
        });
    });

    let facts = FileFacts {
        date: NaiveDate::from_ymd_opt(2022, 12, 23).expect("it is in the calendar"),
        timezone: "Asia/Shanghai",
        naive_offset: china(),
        stays: u64::from(STAYS),
        samples: u64::from(STAYS * SAMPLES_PER_PAGE),
    };
    let full = || {
        let mut batch = Batch::new(china());
        fill(&mut batch, &pages);
        batch
    };
    group.bench_function("batch to Parquet", |bencher| {
        let write = |mut batch: Batch| {
            let mut writer = Writer::new(io::sink(), &facts).expect("nothing to fail on");
            writer.write(&mut batch).expect("nothing to fail on");
            writer.finish().expect("nothing to fail on");
        };
        bencher.iter_batched(full, write, BatchSize::PerIteration);
    });
    group.finish();
}

fn journal_of(folder: &std::path::Path, pages: &[String]) -> Journal {
    let identity = Identity { timezone: "Asia/Shanghai".into(), user_id_type: "open_id".into() };
    let mut journal = Journal::open(folder, &identity).expect("a new journal");
    let mut staging = journal.stage().expect("a temporary file");
    for (number, line) in (0..STAYS).zip(1..) {
        staging.push(&stay(number), Manifested { file: 0, line }).expect("a new stay");
    }
    let staged = staging.finish().expect("staged rows");
    let merging = journal.enqueue(staged, Lane::Backfill, Tz::Asia__Shanghai).expect("a new journal");
    merging.finish().expect("staged stays");
    for page in pages {
        let stay = journal.next(1, |_| false).expect("a queue").expect("a stay for each page");
        let body = page.as_bytes();
        let page = NewPage { stay: stay.id, number: 0, samples: SAMPLES_PER_PAGE, next_token: None, body };
        journal.land(&page, MEETING_START_S).expect("a page to land");
    }
    journal
}

fn landed(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pages = pages();
    let journal = journal_of(folder.path(), &pages);
    let mut group = criterion.benchmark_group("journal");
    group.throughput(Throughput::Bytes(pages.iter().map(|page| page.len() as u64).sum()));
    group.sample_size(20);
    group.bench_function("landed bodies", |bencher| {
        bencher.iter(|| {
            let mut bodies = journal.bodies().expect("a prepared statement");
            for id in 1..=i64::from(STAYS) {
                bodies
                    .each(id, |_, body| {
                        black_box(body);
                        Ok::<_, vcq::journal::JournalError>(())
                    })
                    .expect("bodies as they landed");
            }
        });
    });
    group.finish();
}

criterion_group!(benches, decoding, columns, landed);
criterion_main!(benches);
