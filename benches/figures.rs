//! The figures of a month: published files → the numbers of the page. `benches/figures.py` computes the same by DuckDB.
//!
//! With `VCQ_BENCH_DATASET` the files stay in that folder, for other programs.

use std::{fs, hint::black_box, path::Path, sync::Arc};

use chrono::{Days, FixedOffset, NaiveDate};
use chrono_tz::Tz;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vcq::{
    config::Config,
    dates::Dates,
    figures::{Datasets, Terms, figures},
    parquet::{FileFacts, PartWriter},
    read::{
        batch::Batch,
        decode::{Unknown, decode},
    },
    start::Stop,
    stay::{MeetingNo, Participant, Stay},
    store::{Stores, disk::LocalDisk, s3::S3Buckets},
};

use self::page::{SAMPLES_PER_PAGE, page};

#[path = "support/page.rs"]
mod page;

const FIRST: NaiveDate = NaiveDate::from_ymd_opt(2022, 12, 1).expect("it is in the calendar");

/// A month of ten million samples.
const MONTH: (u64, u32) = (30, 3334);

/// Dates, and stays of each, of the short run, which only shows that it works.
const SHORT: (u64, u32) = (2, 20);

/// Pages that are told apart; others are the same again.
const PAGES: u32 = 500;

/// Stays of a meeting.
const STAYS_PER_MEETING: u32 = 10;

fn day(number: u64) -> NaiveDate {
    FIRST.checked_add_days(Days::new(number)).expect("it is in the calendar")
}

fn write_date(folder: &Path, date: NaiveDate, stays: u32, pages: &[String]) {
    let offset = FixedOffset::east_opt(8 * 3600).expect("eight hours are less than a day");
    let folder = folder.join(format!("date={date}"));
    fs::create_dir_all(&folder).expect("a folder to write in");
    let samples = u64::from(stays * SAMPLES_PER_PAGE);
    let facts = FileFacts { date, timezone: "Asia/Shanghai", naive_offset: offset, stays: u64::from(stays), samples };
    let file = fs::File::create(folder.join("part-0000000000000001.parquet")).expect("a folder to write in");
    let mut writer = PartWriter::new(file, &facts).expect("room on the disk");
    let mut batch = Batch::new(offset);
    for number in 0..stays {
        let meeting_start_s = date.and_hms_opt(1, 0, 0).expect("one o'clock").and_utc().timestamp()
            + i64::from(number / STAYS_PER_MEETING);
        let stay = Stay {
            meeting_no: MeetingNo::parse("123456789").expect("nine digits"),
            meeting_start_s,
            meeting_end_s: meeting_start_s + 7200,
            join_s: meeting_start_s + i64::from(number % STAYS_PER_MEETING),
            participant: Participant::User(format!("ou_{number:032x}")),
        };
        let page = &pages[number as usize % pages.len()];
        let mut rows = batch.stay(&stay);
        decode(page.as_bytes(), &mut Unknown::default(), |sample| rows.push(sample)).expect("the page is JSON");
        if batch.is_full() {
            writer.write(&mut batch).expect("room on the disk");
        }
    }
    writer.write(&mut batch).expect("room on the disk");
    writer.finish().expect("room on the disk");
}

fn reading(criterion: &mut Criterion) {
    let is_short = !std::env::args().any(|argument| argument == "--bench");
    let (dates, stays) = if is_short { SHORT } else { MONTH };
    let home = tempfile::tempdir().expect("a temporary folder");
    #[expect(clippy::disallowed_methods, reason = "a benchmark is told where its files are to stay")]
    let kept = std::env::var_os("VCQ_BENCH_DATASET").map(std::path::PathBuf::from);
    let output = kept.unwrap_or_else(|| home.path().join("quality"));
    let pages: Vec<_> = (0..u64::from(PAGES.min(stays))).map(page).collect();
    for number in 0..dates {
        write_date(&output, day(number), stays, &pages);
    }
    let settings = [
        ("output", output.display().to_string()),
        ("discover.meetings", String::new()),
        ("discover.participants", String::new()),
    ];
    let config = Config::load(None, [], &settings).expect("the settings are good");
    let stores = Stores::new(Arc::new(LocalDisk), Arc::new(S3Buckets::default()), &config);
    let datasets = Datasets::existing(&config, &stores).expect("a folder to read");
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let terms = Terms { limits: &config.report.limits, minutes_min: 30, zone: Tz::Asia__Shanghai, workers };
    let dates_read = Dates { first: day(0), last: day(dates - 1) };
    let before =
        Dates { first: FIRST.pred_opt().expect("not the first day"), last: FIRST.pred_opt().expect("as before") };
    let (_, stop) = Stop::new();

    let mut group = criterion.benchmark_group("figures");
    group.throughput(Throughput::Elements(dates * u64::from(stays * SAMPLES_PER_PAGE))).sample_size(10);
    group.bench_function("a month", |bencher| {
        bencher.iter(|| black_box(figures(&datasets, (dates_read, before), &terms, &stop).expect("whole files")));
    });
    group.finish();
}

criterion_group!(benches, reading);
criterion_main!(benches);
