//! A whole rebuild, samples a second: landed pages → published files, synced and compared with the journal.
//!
//! On a real disk: a part of the time is that of its syncs. `benches/compare.py` measures whole processes.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vcq::{
    command::rebuild::rebuild,
    config::Config,
    start::{Start, Stop},
};

use self::pages::{SAMPLES_PER_PAGE, STAYS_PER_DATE, journal_of, pages};

#[path = "support/pages.rs"]
mod pages;

/// Dates of a measured run: as many to each of two threads.
const DATES: u32 = 8;

/// Dates of the short run, which only shows that it works.
const DATES_SHORT: u32 = 1;

fn rebuilding(criterion: &mut Criterion) {
    let is_short = !std::env::args().any(|argument| argument == "--bench");
    let stays = STAYS_PER_DATE * if is_short { DATES_SHORT } else { DATES };
    let home = tempfile::tempdir().expect("a temporary folder");
    drop(journal_of(&home.path().join("state"), &pages(stays)));
    let folder = |name: &str| home.path().join(name).display().to_string();
    let settings =
        [("timezone", "Asia/Shanghai".to_owned()), ("state", folder("state")), ("output", folder("quality"))];
    let config = Config::load(None, [], &settings).expect("the settings are good");

    let start = Start::new(|| chrono::DateTime::UNIX_EPOCH, 1, Stop::new().1);
    let mut group = criterion.benchmark_group("rebuild");
    group.throughput(Throughput::Elements(u64::from(stays * SAMPLES_PER_PAGE))).sample_size(10);
    group.bench_function("landed pages to published files", |bencher| {
        bencher.iter(|| {
            black_box(rebuild(&config, (None, None), &start, |_| ()).expect("whole pages and room on the disk"))
        });
    });
    group.finish();
}

criterion_group!(benches, rebuilding);
criterion_main!(benches);
