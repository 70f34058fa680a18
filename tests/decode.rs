//! `vcq decode`: the same rows as those that are published, whatever the order of the pages and whoever runs it; and what is not a
//! page is told.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use arrow::{
    array::{ArrayRef, RecordBatch},
    ipc::{reader::StreamReader, writer::StreamWriter},
    json::{LineDelimitedWriter, WriterBuilder, writer::LineDelimited},
};
use chrono::{DateTime, NaiveDate};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use vcq::simulator::{
    Settings, Simulator,
    forms::Expected,
    latency::Latency,
    lists::Lists,
    manifest,
    quota::QuotaSettings,
    tenant::{TenantSettings, UserIdType},
};

#[path = "support/python.rs"]
mod python;
#[path = "support/server.rs"]
mod server;

const REQUESTS_PER_MINUTE: u32 = 10_000;

/// A tenant that has been exported: its datasets, and its pages in archives of each form.
struct Home {
    dir: TempDir,
    simulator: Simulator,
}

impl Home {
    fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tenant = TenantSettings {
            first_day: NaiveDate::from_ymd_opt(2025, 3, 1).unwrap(),
            days: 3,
            stays: 150,
            meeting_minutes_max: 600,
            other_forms: 0.1,
            seed,
            lists: Lists { without_id: 0.2, over_a_day: 0.1, odd_forms: 0.1, ..Lists::default() },
            ..TenantSettings::default()
        };
        let quota = QuotaSettings { requests_per_minute: REQUESTS_PER_MINUTE, ..QuotaSettings::default() };
        let settings = Settings { tenant, quota, latency: Latency::Constant(Duration::ZERO), ..Settings::default() };
        let simulator = Simulator::new(settings);
        let home = dir.path();
        manifest::write_file(simulator.tenant(), &home.join("manifest.csv")).unwrap();
        let (simulator, ()) = server::serve_while(simulator, |url| {
            let export = ["export", "--discover", "2025-03-01..2025-03-03", "--manifest", "manifest.csv"];
            let flags = ["--base-url", url, "--requests-per-minute", "10000", "--quiet"];
            run(vcq().current_dir(home).args(flags).args(export));
        });
        for name in ["pages.ndjson", "pages.ndjson.zst", "pages.parquet"] {
            run(vcq().current_dir(home).args(["archive", "export", "2025-02-27..2025-03-05", name]));
        }
        Self { dir, simulator }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The archive's lines.
    fn lines(&self) -> Vec<String> {
        fs::read_to_string(self.path("pages.ndjson")).unwrap().lines().map(str::to_owned).collect()
    }

    /// The published rows of a dataset, as NDJSON with the date, sorted.
    fn published(&self, dataset: &str) -> Vec<String> {
        let mut rows = Vec::new();
        for date in fs::read_dir(self.path(dataset)).unwrap() {
            let date = date.unwrap().path();
            let day = date.file_name().unwrap().to_str().unwrap().strip_prefix("date=").unwrap().to_owned();
            for file in fs::read_dir(&date).unwrap() {
                let file = File::open(file.unwrap().path()).unwrap();
                let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
                let batches: Vec<_> = batches.map(Result::unwrap).collect();
                rows.extend(ndjson(&batches).lines().map(|line| {
                    let mut row: Map<String, Value> = serde_json::from_str(line).unwrap();
                    row.insert("date".into(), day.clone().into());
                    Value::from(row).to_string()
                }));
            }
        }
        rows.sort_unstable();
        rows
    }
}

fn ndjson(batches: &[RecordBatch]) -> String {
    let mut out: LineDelimitedWriter<Vec<u8>> =
        WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
    for batch in batches {
        out.write(batch).unwrap();
    }
    out.finish().unwrap();
    String::from_utf8(out.into_inner()).unwrap()
}

fn vcq() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vcq"));
    command.envs([("VCQ_APP_ID", "cli_simulated"), ("VCQ_APP_SECRET", "simulated")]);
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What a `vcq decode` came to.
struct Decoded {
    code: Option<i32>,
    out: Vec<u8>,
    err: String,
}

impl Decoded {
    fn text(&self) -> &str {
        str::from_utf8(&self.out).unwrap()
    }

    /// The rows of NDJSON, each written alike, sorted.
    fn rows(&self) -> Vec<String> {
        let alike = |line: &str| serde_json::from_str::<Value>(line).unwrap().to_string();
        let mut rows: Vec<String> = self.text().lines().map(alike).collect();
        rows.sort_unstable();
        rows
    }

    fn batches(&self) -> Vec<RecordBatch> {
        StreamReader::try_new(&self.out[..], None).unwrap().map(Result::unwrap).collect()
    }

    /// The lines that tell of pages.
    fn told(&self) -> Vec<&str> {
        self.err.lines().filter(|line| line.starts_with("vcq: ")).collect()
    }
}

fn decode(input: &[u8], flags: &[&str]) -> Decoded {
    // Whatever stands in a folder or in the environment, it reads flags alone.
    let mut child = vcq()
        .args(["decode"])
        .args(flags)
        .env("VCQ_TIMEZONE", "Mars")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    // With --strict it does not read to the end.
    let feeding = thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    Decoded { code: output.status.code(), out: output.stdout, err: String::from_utf8(output.stderr).unwrap() }
}

fn decode_lines(lines: &[String], flags: &[&str]) -> Decoded {
    decode(lines.join("\n").as_bytes(), &[&["--to", "ndjson"], flags].concat())
}

/// A stay's page of so many samples, as an archive has it.
fn page(user: u32, number: u32, first_sample: Option<u32>, samples: usize) -> Value {
    let sample = json!({"network": {"time": "2025.03.03 11:16:00 (GMT+08:00)", "network_delay": "7ms"}});
    let mut page = json!({
        "meeting_no": "123456789", "meeting_start_time": "1740931200", "meeting_end_time": "1740934800",
        "join_time": "1740931260", "user_id": format!("ou_{user}"), "page": number, "first_sample": first_sample,
        "body": {"code": 0, "data": {"participant_quality_list": vec![sample; samples], "has_more": false}},
    });
    if first_sample.is_none() {
        page.as_object_mut().unwrap().remove("first_sample");
    }
    page
}

#[test]
fn pages_in_any_order_and_form_give_the_published_rows_and_what_the_tenant_wrote() {
    let home = Home::new(5);
    let mut lines = home.lines();
    lines.shuffle(&mut StdRng::seed_from_u64(1));
    let published = home.published("quality");
    let further_pages = lines.iter().filter(|line| line.contains("\"page\":1,")).count();
    assert!(further_pages > 5 && published.len() > 1_000, "{further_pages} {}", published.len());

    let decoded = decode_lines(&lines, &[]);
    assert_eq!(decoded.code, Some(0), "{}", decoded.err);
    assert_eq!(decoded.rows(), published);
    assert_eq!(decoded.rows(), written_by(&home.simulator));

    let parquet = ParquetRecordBatchReaderBuilder::try_new(File::open(home.path("pages.parquet")).unwrap()).unwrap();
    let decoded = decode(&arrow_stream(parquet.with_batch_size(7).build().unwrap().map(Result::unwrap)), &[]);
    assert_eq!(decoded.code, Some(0), "{}", decoded.err);
    let batches = decoded.batches();
    assert!(batches.iter().all(|batch| batch.num_rows() <= 16_384));
    let mut rows: Vec<String> =
        ndjson(&batches).lines().map(|line| serde_json::from_str::<Value>(line).unwrap().to_string()).collect();
    rows.sort_unstable();
    assert_eq!(rows, published);
    assert!(decoded.err.contains("decoded=") && decoded.err.contains("bad=0"), "{}", decoded.err);
}

fn arrow_stream(batches: impl Iterator<Item = RecordBatch>) -> Vec<u8> {
    let mut batches = batches.peekable();
    let mut out = StreamWriter::try_new(Vec::new(), &batches.peek().unwrap().schema()).unwrap();
    batches.for_each(|batch| out.write(&batch).unwrap());
    out.into_inner().unwrap()
}

/// The rows of `quality`, by the tenant's own account.
fn written_by(simulator: &Simulator) -> Vec<String> {
    let time = |time_s: i64| DateTime::from_timestamp(time_s, 0).unwrap().format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut rows = Vec::new();
    for stay in simulator.tenant().stays() {
        let date = DateTime::from_timestamp(stay.meeting_start_s + 8 * 3600, 0).unwrap().date_naive();
        for sample in simulator.expected(&stay).samples {
            let mut row = json!({
                "meeting_no": stay.meeting_no, "meeting_start_time": time(stay.meeting_start_s),
                "meeting_end_time": time(stay.meeting_end_s), "join_time": time(stay.join_s),
                "user_id": stay.user_id(UserIdType::OpenId), "room_id": stay.room_id(), "sample_index": sample.index,
                "sample_time": sample.sample_time_s.map(time), "date": date.to_string(),
            });
            let mut unparsed = Map::new();
            for (column, value) in &sample.values {
                row[*column] = match value {
                    Expected::Absent => Value::Null,
                    Expected::Number(number) => json!(number),
                    Expected::Pixels(pixels) => json!(pixels),
                    Expected::Time(time_s) => json!(time(*time_s)),
                    Expected::Unparsed(text) => {
                        unparsed.insert((*column).to_owned(), json!(text));
                        Value::Null
                    }
                };
            }
            row["unparsed"] = if unparsed.is_empty() { Value::Null } else { unparsed.into() };
            rows.push(row.to_string());
        }
    }
    rows.sort_unstable();
    rows
}

#[test]
fn rows_of_lists_give_the_published_ones_where_what_landed_last_counts() {
    let home = Home::new(7);
    for (dataset, key) in [
        ("meetings", &["meeting_no", "meeting_start_time"][..]),
        ("participants", &["meeting_no", "meeting_start_time", "join_time", "user_id", "room_id", "device"]),
    ] {
        let decoded = decode_lines(&home.lines(), &["--endpoint", dataset]);
        assert_eq!(decoded.code, Some(0), "{}", decoded.err);
        let mut last: BTreeMap<String, (u64, Vec<String>)> = BTreeMap::new();
        for row in decoded.rows() {
            let mut row: Map<String, Value> = serde_json::from_str(&row).unwrap();
            let landed = row.remove("landed").unwrap().as_u64().unwrap();
            row.remove("begun_at").unwrap();
            let key = key.iter().map(|name| row[*name].to_string()).collect();
            let known = last.entry(key).or_insert_with(|| (landed, Vec::new()));
            if landed > known.0 {
                *known = (landed, Vec::new());
            }
            known.1.push(Value::from(row).to_string());
        }
        let mut rows: Vec<String> = last.into_values().flat_map(|(_, rows)| rows).collect();
        rows.sort_unstable();
        let published = home.published(dataset);
        assert!(!published.is_empty());
        // A listing of the days around has meetings of dates that were not asked for.
        rows.retain(|row| {
            ["2025-03-01", "2025-03-02", "2025-03-03"].iter().any(|date| row.contains(&format!("\"date\":\"{date}\"")))
        });
        assert_eq!(rows, published, "{dataset}");
    }
}

#[test]
fn a_page_that_cannot_be_read_is_told_with_its_key_and_leaves_no_row() {
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut page = page(1, 1, Some(100), 3);
        change(&mut page);
        page.to_string()
    };
    let body = page(1, 1, Some(100), 3)["body"].to_string();
    let lines = [
        page(0, 0, Some(0), 2).to_string(),
        broken(&|page| page["body"] = json!(format!("{}]", body.strip_suffix('}').unwrap()))),
        broken(&|page| page["body"] = json!({"code": 121_005, "msg": "no permission"})),
        broken(&|page| page["body"] = json!("cut")),
        broken(&|page| page["first_sample"] = json!(-1)),
        broken(&|page| page["page"] = Value::Null),
        broken(&|page| page["meeting_no"] = json!("12")),
        "no JSON".to_owned(),
        page(2, 0, Some(0), 2).to_string(),
        broken(&|page| page["endpoint"] = json!("meeting_list")),
    ];
    let decoded = decode_lines(&lines, &[]);
    assert_eq!(decoded.code, Some(65), "{}", decoded.err);
    let user = |row: &String| serde_json::from_str::<Value>(row).unwrap()["user_id"].clone().to_string();
    let mut users: Vec<String> = decoded.rows().iter().map(user).collect();
    users.sort_unstable();
    assert_eq!(users, ["\"ou_0\"", "\"ou_0\"", "\"ou_2\"", "\"ou_2\""]);
    let key =
        "meeting_no=123456789 meeting_start_time=2025-03-02T16:00:00+00:00 join_time=2025-03-02T16:01:00+00:00 id=ou_1";
    let told = decoded.told();
    for (told, expected) in told.iter().zip([
        format!("vcq: standard input:2: {key} page=1: `body`: page is not valid JSON at byte "),
        format!("vcq: standard input:3: {key} page=1: `body` is the API's error 121005"),
        format!("vcq: standard input:4: {key} page=1: `body`: page is not valid JSON at byte 1"),
        format!(
            "vcq: standard input:5: {key} page=1: `first_sample` must be a whole number from 0 to 1000000000, or not"
        ),
        format!("vcq: standard input:6: {key}: `page` must be a whole number from 0"),
        "vcq: standard input:7: ".to_owned(),
        "vcq: standard input:8: the line is not one JSON object".to_owned(),
        // Not known to be of another endpoint, for its keys cannot be read.
        "vcq: standard input:10: ".to_owned(),
    ]) {
        assert!(told.starts_with(&expected), "{told}\n{expected}");
    }
    assert_eq!(told.len(), 8, "{told:#?}");
    assert!(decoded.err.contains("bad=8") && decoded.err.contains("decoded=2"), "{}", decoded.err);

    let strict = decode_lines(&lines, &["--strict"]);
    assert_eq!((strict.code, strict.told().len()), (Some(65), 1), "{}", strict.err);
    let kept = decode_lines(&lines, &["--keep-bad"]);
    assert_eq!((kept.code, kept.told().len()), (Some(0), 0), "{}", kept.err);
    let kept: Vec<Value> = kept.text().lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    let bad: Vec<&Value> = kept.iter().filter(|row| !row["bad_page"].is_null()).collect();
    assert_eq!((kept.len(), bad.len()), (12, 8));
    assert_eq!(bad[1]["bad_page"], "`body` is the API's error 121005");
    assert_eq!((&bad[1]["user_id"], &bad[1]["sample_index"]), (&json!("ou_1"), &Value::Null));
}

#[test]
fn an_archive_without_first_sample_is_read_where_a_stay_has_one_page() {
    let mut more = page(1, 0, None, 2);
    more["body"]["data"]["has_more"] = json!(true);
    more["body"]["data"]["page_token"] = json!("2");
    let lines = [page(0, 0, None, 2), more, page(1, 1, None, 2)].map(|page| page.to_string());
    let decoded = decode_lines(&lines, &[]);
    assert_eq!(decoded.code, Some(65));
    assert_eq!(decoded.rows().len(), 2, "{}", decoded.text());
    let told = decoded.told();
    assert!(
        told.len() == 2 && told.iter().all(|line| line.contains("id=ou_1") && line.contains("no `first_sample`")),
        "{told:?}"
    );
}

#[test]
fn a_page_of_any_size_is_split_by_rows_and_numbered_through() {
    let lines = [page(0, 3, Some(300), 40_000).to_string(), page(1, 0, Some(0), 1).to_string()];
    let decoded = decode(lines.join("\n").as_bytes(), &[]);
    assert_eq!(decoded.code, Some(0), "{}", decoded.err);
    let batches = decoded.batches();
    assert!(batches.len() >= 3 && batches.iter().all(|batch| batch.num_rows() <= 16_384));
    let index = |batch: &RecordBatch| -> ArrayRef { batch.column_by_name("sample_index").unwrap().clone() };
    let indices: Vec<i32> = batches
        .iter()
        .flat_map(|batch| {
            arrow::array::AsArray::as_primitive::<arrow::datatypes::Int32Type>(&index(batch)).values().to_vec()
        })
        .collect();
    assert_eq!(indices, (300..40_300).chain([0]).collect::<Vec<_>>());
    // One that is damaged at its end leaves nothing, though it is too large to be held.
    let cut = lines[0].replace("\"has_more\":false", "\"has_more\":fals");
    let mut whole: Value = serde_json::from_str(&lines[0]).unwrap();
    whole["body"] = json!(
        serde_json::from_str::<Value>(&lines[0]).unwrap()["body"]
            .to_string()
            .replace("\"has_more\":false", "\"has_more\":fals")
    );
    let decoded = decode_lines(&[cut, whole.to_string()], &[]);
    assert_eq!((decoded.code, decoded.text(), decoded.told().len()), (Some(65), "", 2), "{}", decoded.err);
}

#[test]
fn an_input_that_is_none_is_an_error_and_a_reader_that_goes_away_is_not() {
    let nothing = decode(b"", &[]);
    assert_eq!((nothing.code, nothing.batches().len()), (Some(0), 0), "{}", nothing.err);
    assert_eq!(nothing.told(), Vec::<&str>::new());

    let garbage = decode(b"{\"meeting_no\": 1}\n", &["--from", "arrow"]);
    assert_eq!(garbage.code, Some(74), "{}", garbage.err);
    let parquet = decode(b"PAR1 and so on", &[]);
    assert!(parquet.code == Some(2) && parquet.err.contains("Parquet, which no pipe can give"), "{}", parquet.err);
    let huge = [&[0xff; 4][..], &[0xff, 0xff, 0xff, 0x7f], b"...."].concat();
    let huge = decode(&huge, &[]);
    assert!(huge.code == Some(74) && huge.err.contains("no Arrow IPC stream"), "{}", huge.err);
    let other =
        RecordBatch::try_from_iter([("a", std::sync::Arc::new(arrow::array::Int32Array::from(vec![1])) as ArrayRef)]);
    let other = decode(&arrow_stream([other.unwrap()].into_iter()), &[]);
    assert!(other.code == Some(2) && other.err.contains("has no column `meeting_no`"), "{}", other.err);
    let refused = decode(b"", &["--output", "x"]);
    assert_eq!(refused.code, Some(2), "{}", refused.err);

    let lines: Vec<String> = (0..300).map(|user| page(user, 0, Some(0), 100).to_string()).collect();
    let mut child = vcq()
        .args(["decode", "--to", "ndjson"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeding = thread::spawn(move || drop(stdin.write_all(lines.join("\n").as_bytes())));
    let mut first = String::new();
    BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with('{'));
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{err}");
    assert!(!err.contains("vcq: ") && err.contains("is_closed=true"), "{err}");
    feeding.join().unwrap();
}

#[test]
fn every_cut_and_many_flipped_bytes_of_an_arrow_stream_are_no_panic() {
    let home = tempfile::tempdir().unwrap();
    let lines: Vec<String> = (0..3).map(|user| page(user, 0, Some(0), 2).to_string()).collect();
    let stream = envelope_stream(home.path(), &lines);
    // The mark of the end has eight bytes: without it all messages are whole, and still something may be missing.
    let without_end = stream.len() - 8;
    for at in (0..stream.len()).step_by(stream.len() / 40).chain([without_end]) {
        let cut = decode(&stream[..at], &[]);
        assert_eq!(cut.code == Some(0), at == 0, "cut at {at}: {:?} {}", cut.code, cut.err);
        assert!(
            matches!(cut.code, Some(0 | 65 | 74)) && !cut.err.contains("panic"),
            "cut at {at}: {:?} {}",
            cut.code,
            cut.err
        );
    }
    for at in (0..stream.len()).step_by(stream.len() / 40) {
        let mut flipped = stream.clone();
        flipped[at] ^= 0x40;
        let flipped = decode(&flipped, &[]);
        assert!(matches!(flipped.code, Some(0 | 2 | 65 | 74)), "flipped at {at}: {:?} {}", flipped.code, flipped.err);
        assert!(!flipped.err.contains("panic"), "flipped at {at}: {}", flipped.err);
    }
}

/// As several files of lines are: nothing of what follows the first one is passed over.
#[test]
fn several_arrow_streams_one_after_another_are_read_to_their_end() {
    let [first, second] = [0, 1].map(|number: u32| {
        let home = tempfile::tempdir().unwrap();
        let lines: Vec<String> = (0..3).map(|user| page(number * 3 + user, 0, Some(0), 2).to_string()).collect();
        envelope_stream(home.path(), &lines)
    });
    let both = decode(&[&first[..], &second].concat(), &["--to", "ndjson", "--strict"]);
    assert_eq!((both.code, both.rows().len()), (Some(0), 12), "{}", both.err);
    for follows in [&b"garbage"[..], &second[..second.len() / 2]] {
        let torn = decode(&[&first[..], follows].concat(), &["--to", "ndjson"]);
        assert_eq!(torn.code, Some(74), "{}", torn.err);
    }
}

/// An Arrow stream of pages: written by way of a journal, which writes them as Parquet.
fn envelope_stream(home: &Path, lines: &[String]) -> Vec<u8> {
    fs::write(home.join("pages.ndjson"), lines.join("\n")).unwrap();
    run(vcq().current_dir(home).args(["archive", "import", "pages.ndjson"]));
    run(vcq().current_dir(home).args(["archive", "export", "2025-03-01..2025-03-05", "pages.parquet"]));
    let parquet = File::open(home.join("pages.parquet")).unwrap();
    let batches = ParquetRecordBatchReaderBuilder::try_new(parquet).unwrap().build().unwrap();
    arrow_stream(batches.map(Result::unwrap))
}

#[test]
fn spark_duckdb_and_polars_get_the_published_rows() {
    let home = Home::new(40_961);
    run(vcq().current_dir(home.dir.path()).args(["rebuild"]));
    let pins: Vec<&str> = include_str!("python/spark.txt").lines().filter(|line| !line.starts_with('#')).collect();
    let python = python::environment("spark", &pins);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/decode.py");
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
    let ran =
        Command::new(python).args([script, env!("CARGO_BIN_EXE_vcq"), config]).arg(home.dir.path()).output().unwrap();
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{}\n{errors}", String::from_utf8_lossy(&ran.stdout));
}
