//! Phase 2 stage by stage: landed bodies out of the journal, pages → samples, samples → columns, columns → Parquet.

use std::{hint::black_box, io};

use chrono::{FixedOffset, NaiveDate};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use vcq::{
    journal::JournalError,
    parquet::{FileFacts, PartWriter},
    read::batch::Batch,
    read::decode::{Unknown, decode},
};

use self::pages::{SAMPLES_PER_PAGE, STAYS_PER_DATE, journal_of, page, pages, stay};

#[path = "support/pages.rs"]
mod pages;

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
    let pages = pages(STAYS_PER_DATE);
    let mut group = criterion.benchmark_group("columns");
    group.throughput(Throughput::Elements(u64::from(STAYS_PER_DATE * SAMPLES_PER_PAGE)));
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
        stays: u64::from(STAYS_PER_DATE),
        samples: u64::from(STAYS_PER_DATE * SAMPLES_PER_PAGE),
    };
    let full = || {
        let mut batch = Batch::new(china());
        fill(&mut batch, &pages);
        batch
    };
    group.bench_function("batch to Parquet", |bencher| {
        let write = |mut batch: Batch| {
            let mut writer = PartWriter::new(io::sink(), &facts).expect("nothing to fail on");
            writer.write(&mut batch).expect("nothing to fail on");
            writer.finish().expect("nothing to fail on");
        };
        bencher.iter_batched(full, write, BatchSize::PerIteration);
    });
    group.finish();
}

fn landed(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pages = pages(STAYS_PER_DATE);
    let journal = journal_of(folder.path(), &pages);
    let mut group = criterion.benchmark_group("journal");
    group.throughput(Throughput::Bytes(pages.iter().map(|page| page.len() as u64).sum()));
    group.sample_size(20);
    group.bench_function("landed bodies", |bencher| {
        bencher.iter(|| {
            let mut bodies = journal.bodies().expect("a prepared statement");
            for id in 1..=i64::from(STAYS_PER_DATE) {
                bodies
                    .each(id, |_, body| {
                        black_box(body);
                        Ok::<_, JournalError>(())
                    })
                    .expect("bodies as they landed");
            }
        });
    });
    group.finish();
}

criterion_group!(benches, decoding, columns, landed);
criterion_main!(benches);
