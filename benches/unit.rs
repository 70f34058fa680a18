//! Nanoseconds per value by kind: the forms the API sends, and the rare ones that must not be much slower.

use std::hint::black_box;

use chrono::FixedOffset;
use criterion::{Criterion, criterion_group, criterion_main};
use vcq::{
    read::{
        time::read_time,
        unit::{read_number, read_resolution},
    },
    tables::quality::Kind,
};

fn numbers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("number");
    for (kind, text) in [
        (Kind::Delay, "53ms"),
        (Kind::Delay, "1.5 s"),
        (Kind::Delay, "250\u{b5}s"),
        (Kind::BitRate, "1234kbps"),
        (Kind::BitRate, "1.2Mbps"),
        (Kind::Percent, "0.8%"),
        (Kind::Volume, "-23dB"),
        (Kind::FrameRate, "30fps"),
        (Kind::Delay, "0"),
        (Kind::Delay, "-"),
        (Kind::Delay, "about 5ms"),
        (Kind::Delay, "0.12345678901234567890ms"),
    ] {
        group.bench_function(text, |bencher| bencher.iter(|| read_number(black_box(kind), black_box(text))));
    }
    group.finish();
}

fn resolutions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("resolution");
    for text in ["1080P", "4K", "1280x720", "-"] {
        group.bench_function(text, |bencher| bencher.iter(|| read_resolution(black_box(text))));
    }
    group.finish();
}

fn times(criterion: &mut Criterion) {
    let china = FixedOffset::east_opt(8 * 3600).expect("eight hours are less than a day");
    let mut group = criterion.benchmark_group("time");
    for text in ["2022.12.23 11:16:00 (GMT+08:00)", "2022.12.23 11:16:00", "2022.12.23 11:16:00 （GMT+8）", "-"] {
        group.bench_function(text, |bencher| bencher.iter(|| read_time(black_box(text), black_box(china))));
    }
    group.finish();
}

criterion_group!(benches, numbers, resolutions, times);
criterion_main!(benches);
