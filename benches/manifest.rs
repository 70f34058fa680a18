//! Rows a second of each manifest format, from a stream that is made as it is read: no length of manifest needs memory.

use std::{
    fs::File,
    hint::black_box,
    io::{self, Read},
    sync::Arc,
};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use chrono::FixedOffset;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use parquet::arrow::ArrowWriter;
use vcq::manifest::{ManifestError, ManifestReader, rules::Rules};

const ROWS: u64 = 200_000;
const START_S: u64 = 1_740_921_000;
const CSV_HEADER: &str = "meeting_no,meeting_start_time,meeting_end_time,join_time,user_id,room_id\n";

fn rules() -> Rules {
    Rules { now_s: 2_000_000_000, naive_times: FixedOffset::east_opt(8 * 3600) }
}

fn csv_row(n: u64) -> String {
    let (start_s, end_s) = (START_S + n, START_S + n + 3600);
    format!("{:09},{start_s},{end_s},{start_s},ou_{n:032x},\n", n % 1_000_000_000)
}

fn json_row(n: u64) -> String {
    let (start_s, end_s) = (START_S + n, START_S + n + 3600);
    format!(
        "{{\"meeting_no\":\"{:09}\",\"meeting_start_time\":{start_s},\"meeting_end_time\":{end_s},\
         \"join_time\":{start_s},\"user_id\":\"ou_{n:032x}\"}}\n",
        n % 1_000_000_000
    )
}

fn time_text_row(n: u64) -> String {
    let clock = format!("{:02}:{:02}", n / 60 % 60, n % 60);
    let time = |hour: u32| format!("2025.03.02 {hour}:{clock} (GMT+08:00)");
    format!("{:09},{},{},{},ou_{n:032x},\n", n % 1_000_000_000, time(10), time(11), time(10))
}

/// A manifest of `rows` rows, of which a thousand are made at a time, and those again and again: making them would
/// otherwise take longer than reading them.
struct Generated {
    rows: u64,
    thousand: Vec<u8>,
    piece: io::Cursor<Vec<u8>>,
}

impl Generated {
    fn new(header: &str, row: fn(u64) -> String, rows: u64) -> Self {
        let thousand = (0..1000).flat_map(|n| row(n).into_bytes()).collect();
        Self { rows, thousand, piece: io::Cursor::new(header.as_bytes().to_vec()) }
    }
}

impl Read for Generated {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.piece.read(buffer)?;
        if count > 0 || self.rows == 0 {
            return Ok(count);
        }
        self.rows -= 1000;
        self.piece = io::Cursor::new(self.thousand.clone());
        self.piece.read(buffer)
    }
}

fn parquet_file() -> io::Result<File> {
    let numbers = |add: u64| (0..ROWS).map(move |n| (START_S + n + add).cast_signed());
    let columns: [(&str, ArrayRef); 5] = [
        ("meeting_no", Arc::new(StringArray::from_iter_values((0..ROWS).map(|n| format!("{n:09}"))))),
        ("meeting_start_time", Arc::new(Int64Array::from_iter_values(numbers(0)))),
        ("meeting_end_time", Arc::new(Int64Array::from_iter_values(numbers(3600)))),
        ("join_time", Arc::new(Int64Array::from_iter_values(numbers(5)))),
        ("user_id", Arc::new(StringArray::from_iter_values((0..ROWS).map(|n| format!("ou_{n:032x}"))))),
    ];
    let batch = RecordBatch::try_from_iter(columns).map_err(io::Error::other)?;
    let file = tempfile::tempfile()?;
    let mut writer = ArrowWriter::try_new(file.try_clone()?, batch.schema(), None)?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(file)
}

/// Reads all rows; all of them must be good.
fn read_all(reader: Result<ManifestReader, ManifestError>) {
    let reader = reader.expect("the manifest is one");
    let stays = reader.map(|row| black_box(row.expect("the manifest is whole").stay).expect("the row is good"));
    assert_eq!(stays.count() as u64, ROWS);
}

fn manifest(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("manifest");
    group.throughput(Throughput::Elements(ROWS)).sample_size(10);
    for (name, row) in [("csv", csv_row as fn(u64) -> String), ("csv with time texts", time_text_row)] {
        let input = || Box::new(Generated::new(CSV_HEADER, row, ROWS));
        group.bench_function(name, |bencher| {
            bencher.iter_batched(input, |input| read_all(ManifestReader::csv(input, rules())), BatchSize::PerIteration);
        });
    }
    let input = || Box::new(Generated::new("", json_row, ROWS));
    group.bench_function("json lines", |bencher| {
        bencher.iter_batched(
            input,
            |input| read_all(ManifestReader::json_lines(input, rules())),
            BatchSize::PerIteration,
        );
    });
    let file = parquet_file().expect("a temporary file can be written");
    let input = || file.try_clone().expect("a file handle can be had twice");
    group.bench_function("parquet", |bencher| {
        bencher.iter_batched(input, |file| read_all(ManifestReader::parquet(file, rules())), BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, manifest);
criterion_main!(benches);
