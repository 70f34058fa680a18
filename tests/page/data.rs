//! Datasets with what a test needs to be in them, written as vcq writes them.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::Command,
    sync::Arc,
};

use arrow::{
    array::{
        ArrayRef, Float64Array, MapBuilder, RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray,
        new_null_array,
    },
    datatypes::{DataType, Field, Schema, TimeUnit},
};
use chrono::NaiveDate;
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;
use vcq::parquet::SCHEMA;

/// A folder with datasets.
pub(crate) struct Data(TempDir);

/// A row of `quality`; the meeting begins at one o'clock UTC of its date.
#[derive(Clone, Debug)]
pub(crate) struct Sample<'a> {
    pub(crate) meeting_no: &'a str,
    pub(crate) user_id: Option<&'a str>,
    pub(crate) room_id: Option<&'a str>,
    /// After the meeting's begin.
    pub(crate) join_s: i64,
    pub(crate) minute: i64,
    pub(crate) has_time: bool,
    pub(crate) delay_ms: Option<f64>,
    pub(crate) loss_pct: Option<f64>,
    /// Of every other metric.
    pub(crate) others: Option<f64>,
    pub(crate) unparsed: Option<(&'a str, &'a str)>,
}

impl Default for Sample<'_> {
    fn default() -> Self {
        Self {
            meeting_no: "123456789",
            user_id: None,
            room_id: None,
            join_s: 0,
            minute: 0,
            has_time: true,
            delay_ms: None,
            loss_pct: None,
            others: None,
            unparsed: None,
        }
    }
}

/// A row of `participants`, of a user who joined when the meeting began.
#[derive(Clone, Debug)]
pub(crate) struct Attendance<'a> {
    pub(crate) id: &'a str,
    pub(crate) network_type: &'a str,
    pub(crate) device: &'a str,
}

/// A day on which some users meet for some minutes; the second of them has a bad network.
pub(crate) fn day(date: &str, users: usize, minutes: i64) -> Vec<Sample<'static>> {
    const IDS: [&str; 3] = ["ou_0", "ou_1", "ou_2"];
    let wave = i64::from(date.bytes().map(u32::from).sum::<u32>() % 7);
    let sample = |user: usize, minute: i64| Sample {
        user_id: Some(IDS[user]),
        minute,
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        delay_ms: Some((if user == 1 { 130 } else { 20 } + (minute * 7 + wave) % 40) as f64),
        loss_pct: Some(if minute % 10 == 0 { 4.5 } else { 0.3 }),
        ..Sample::default()
    };
    (0..users).flat_map(|user| (0..minutes).map(move |minute| sample(user, minute))).collect()
}

impl Data {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn vcq(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vcq"));
        command.current_dir(self.0.path()).args(line.split_whitespace());
        command
    }

    /// The page of these arguments, as of a time that is always the same.
    pub(crate) fn page(&self, arguments: &str) -> String {
        let output = self.vcq(&format!("report {arguments} --html page.html")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let page = fs::read_to_string(self.path("page.html")).unwrap();
        let written = ["written ", "生成于 "].into_iter().find_map(|word| page.split_once(word)).unwrap().1;
        page.replace(&written[..16], "2026-03-04 08:00")
    }

    /// Publishes samples of a date, which come in the order of the dataset.
    pub(crate) fn quality(&self, date: &str, samples: &[Sample<'_>]) {
        let begin_us = begin_us(date);
        let column = |field: &Field| -> ArrayRef {
            let texts = |text: &dyn Fn(&Sample<'_>) -> Option<String>| -> ArrayRef {
                Arc::new(samples.iter().map(text).collect::<StringArray>())
            };
            let times = |time: &dyn Fn(&Sample<'_>) -> Option<i64>| -> ArrayRef {
                Arc::new(samples.iter().map(time).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
            };
            let numbers = |number: &dyn Fn(&Sample<'_>) -> Option<f64>| -> ArrayRef {
                Arc::new(samples.iter().map(number).collect::<Float64Array>())
            };
            match field.name().as_str() {
                "meeting_no" => texts(&|sample| Some(sample.meeting_no.to_owned())),
                "user_id" => texts(&|sample| sample.user_id.map(str::to_owned)),
                "room_id" => texts(&|sample| sample.room_id.map(str::to_owned)),
                "meeting_start_time" => times(&|_| Some(begin_us)),
                "meeting_end_time" => times(&|_| Some(begin_us + 7_200_000_000)),
                "join_time" => times(&|sample| Some(begin_us + sample.join_s * 1_000_000)),
                "sample_time" => times(&|sample| sample.has_time.then_some(begin_us + sample.minute * 60_000_000)),
                "sample_index" => Arc::new(
                    samples
                        .iter()
                        .map(|sample| i32::try_from(sample.minute).ok())
                        .collect::<arrow::array::Int32Array>(),
                ),
                "network_delay_ms" => numbers(&|sample| sample.delay_ms),
                "network_packet_loss_avg_received_pct" => numbers(&|sample| sample.loss_pct),
                "unparsed" => unparsed(samples, field.data_type()),
                _ if *field.data_type() == DataType::Float64 => numbers(&|sample| sample.others),
                _ => new_null_array(field.data_type(), samples.len()),
            }
        };
        let columns = SCHEMA.fields().iter().map(|field| column(field)).collect();
        self.write("quality", date, &RecordBatch::try_new(SCHEMA.clone(), columns).unwrap());
    }

    /// Publishes attendances of the meeting of a date, which come in the order of their ids.
    pub(crate) fn participants(&self, date: &str, attendances: &[Attendance<'_>]) {
        let begin_us = begin_us(date);
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let same = |time_us: i64| -> ArrayRef {
            Arc::new(TimestampMicrosecondArray::from(vec![time_us; attendances.len()]).with_timezone("UTC"))
        };
        let texts = |text: &dyn Fn(&Attendance<'_>) -> String| -> ArrayRef {
            Arc::new(attendances.iter().map(|attendance| Some(text(attendance))).collect::<StringArray>())
        };
        let columns: Vec<(&str, DataType, ArrayRef)> = vec![
            ("meeting_no", DataType::Utf8, texts(&|_| "123456789".into())),
            ("meeting_start_time", time.clone(), same(begin_us)),
            ("meeting_end_time", time.clone(), same(begin_us + 7_200_000_000)),
            ("join_time", time, same(begin_us)),
            ("user_id", DataType::Utf8, texts(&|attendance| attendance.id.into())),
            ("room_id", DataType::Utf8, new_null_array(&DataType::Utf8, attendances.len())),
            ("network_type", DataType::Utf8, texts(&|attendance| attendance.network_type.into())),
            ("device", DataType::Utf8, texts(&|attendance| attendance.device.into())),
        ];
        let fields: Vec<_> = columns.iter().map(|(name, kind, _)| Field::new(*name, kind.clone(), true)).collect();
        let arrays = columns.into_iter().map(|(_, _, array)| array).collect();
        self.write("participants", date, &RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap());
    }

    pub(crate) fn write(&self, dataset: &str, date: &str, batch: &RecordBatch) {
        let folder = self.path(dataset).join(format!("date={date}"));
        fs::create_dir_all(&folder).unwrap();
        let file = File::create(folder.join("part-0000000000000001.parquet")).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
    }
}

fn begin_us(date: &str) -> i64 {
    date.parse::<NaiveDate>().unwrap().and_hms_opt(1, 0, 0).unwrap().and_utc().timestamp_micros()
}

fn unparsed(samples: &[Sample<'_>], wanted: &DataType) -> ArrayRef {
    let DataType::Map(entries, _) = wanted else { panic!("unparsed is {wanted}") };
    let DataType::Struct(fields) = entries.data_type() else { panic!("unparsed has {entries}") };
    let names = arrow::array::MapFieldNames {
        entry: entries.name().clone(),
        key: fields[0].name().clone(),
        value: fields[1].name().clone(),
    };
    let mut builder =
        MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new()).with_values_field(fields[1].clone());
    for sample in samples {
        if let Some((column, text)) = sample.unparsed {
            builder.keys().append_value(column);
            builder.values().append_value(text);
        }
        builder.append(sample.unparsed.is_some()).unwrap();
    }
    Arc::new(builder.finish())
}
