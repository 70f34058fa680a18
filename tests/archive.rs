//! The raw archive: what leaves a journal comes back whole, what is not as it should be is told, and what is pruned is
//! neither lost nor asked for again.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    compute::cast,
    datatypes::DataType,
};
use chrono::{DateTime, NaiveDate, Utc};
use parquet::{
    arrow::ArrowWriter,
    basic::Encoding,
    file::{
        metadata::RowGroupMetaData,
        reader::{FileReader, SerializedFileReader},
    },
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tempfile::TempDir;
use vcq::{
    access::Asker,
    archive::{ArchiveError, Form},
    command::{
        archive::{
            export::{Exported, export},
            import::{Imported, import},
            prune::prune,
        },
        export::{self, Conclusion, Surroundings},
        rebuild::rebuild,
        status::status,
        verify::verify,
    },
    config::Config,
    error::{Chain, Error, ExitCode},
    feishu::auth::tenant::Credentials,
    intake::Manifests,
    journal::{Identity, Journal, Lane, Manifested, NewPage, State, Verdict},
    simulator::{
        Settings, SharedSimulator, Simulator,
        in_process::{InProcess, wall_from},
        manifest,
        quota::QuotaSettings,
        tenant::TenantSettings,
    },
    start::{Start, Stop},
    stay::{MeetingNo, Participant, Stay},
};

const NOW: &str = "2025-04-10T00:00:00Z";

/// 2025-03-03 00:00 in Shanghai.
const DAY_S: i64 = 1_740_931_200;

/// A state folder, a dataset and whatever else a test writes.
struct Home {
    dir: TempDir,
    config: Config,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = |name: &str| dir.path().join(name).display().to_string();
        let flags = [("state", folder("state")), ("output", folder("quality"))];
        let config = Config::load(None, [("VCQ_RATE_REQUESTS_PER_MINUTE".into(), "10000".into())], &flags);
        Self { config: config.unwrap(), dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn import(&self, archives: &[PathBuf]) -> Imported {
        import(archives, &self.config, &start()).unwrap()
    }

    fn import_lines(&self, lines: &[String]) -> Imported {
        let archive = self.write("lines.ndjson", lines.join("\n"));
        self.import(&[archive])
    }

    fn export(&self, name: &str) -> Result<Exported, Error> {
        export(&self.config, (NaiveDate::MIN, NaiveDate::MAX), &self.path(name), &start())
    }

    /// Every file of the dataset.
    fn dataset(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let output = self.config.output.folder().unwrap();
        let dates = fs::read_dir(output).unwrap().map(|date| date.unwrap().path());
        let files = dates.flat_map(|date| fs::read_dir(date).unwrap().map(|file| file.unwrap().path()));
        files.map(|file| (file.strip_prefix(output).unwrap().to_owned(), fs::read(&file).unwrap())).collect()
    }

    fn journal_bytes(&self) -> u64 {
        fs::metadata(self.config.state.join("journal.sqlite")).unwrap().len()
    }

    fn journal(&self) -> Journal {
        Journal::open(&self.config.state, &Identity::of(&self.config)).unwrap()
    }

    /// Runs `vcq` in this home: its exit code, what it printed, and what it said.
    fn vcq(&self, args: &[&str]) -> (i32, String, String) {
        let (state, output) = (&self.config.state, self.config.output.folder().unwrap());
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_vcq"));
        let ran = command.current_dir(self.dir.path()).args(args).arg("--state").arg(state).arg("--output").arg(output);
        let ran = ran.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (ran.status.code().unwrap(), text(ran.stdout), text(ran.stderr))
    }
}

/// The start of a command that neither waits nor fetches.
fn start() -> Start {
    Start::new(|| NOW.parse().unwrap(), 1, Stop::new().1)
}

fn simulator(stays: u64) -> SharedSimulator {
    let tenant =
        TenantSettings { stays, days: 3, meeting_minutes_max: 600, other_forms: 0.02, seed: 5, ..Default::default() };
    let quota = QuotaSettings { requests_per_minute: 10_000, ..QuotaSettings::default() };
    Simulator::shared(Settings { tenant, quota, ..Settings::default() })
}

fn requests(simulator: &SharedSimulator) -> u64 {
    simulator.lock().unwrap().books().arrivals
}

/// `vcq export` of all the simulator's stays.
async fn fetch(home: &Home, simulator: &SharedSimulator) -> Conclusion {
    let path = home.path("manifest.csv");
    manifest::write_file(simulator.lock().unwrap().tenant(), &path).unwrap();
    let wall = wall_from(NOW.parse::<DateTime<Utc>>().unwrap());
    let transport = InProcess::new(Arc::clone(simulator), wall.clone(), Duration::from_secs(30));
    let settings = Settings::default();
    let app_secret = settings.token.app_secret.into();
    let asker = Asker::Tenant(Credentials { app_id: settings.token.app_id, app_secret });
    let (_stopper, stop) = Stop::new();
    let start = Start::new(wall, 1, stop);
    let around =
        Surroundings { config: &home.config, asker: &asker, transport: &transport, start: &start, observe: &|_| () };
    let task = export::Export {
        accept_fewer: false,
        planned_end: ExitCode::Again,
        manifests: Manifests { files: vec![path], ..Manifests::default() },
        discover: None,
        fetches_samples: true,
        refresh: None,
        lane: Lane::Nightly,
        until: None,
        report: None,
    };
    export::export(&task, &around).await.unwrap()
}

/// A line of an archive: page `number` of the stay of `ou_<who>`, with `samples` samples.
fn line(who: &str, number: u32, samples: usize, next: Option<&str>) -> String {
    let sample = json!({"network": {"time": "2025.03.03 11:16:59 (GMT+08:00)", "network_delay": "8ms"}});
    let list = vec![sample; samples];
    let mut data = json!({"participant_quality_list": list, "has_more": next.is_some()});
    if let Some(token) = next {
        data["page_token"] = token.into();
    }
    with(who, &[("page", number.into()), ("body", json!({"code": 0, "msg": "success", "data": data}))])
}

/// A line of an archive with these values instead of, or besides, the usual ones; null takes one away.
fn with(who: &str, changes: &[(&str, Value)]) -> String {
    let mut line = json!({
        "meeting_no": "012345678",
        "meeting_start_time": DAY_S.to_string(),
        "meeting_end_time": (DAY_S + 3600).to_string(),
        "join_time": DAY_S.to_string(),
        "user_id": format!("ou_{who}"),
        "page": 0,
        "body": {"code": 0, "data": {}},
    });
    for (key, value) in changes {
        line[key] = value.clone();
    }
    line.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    line.to_string()
}

/// Landed, known, restored, unreached, errors of the API, refused.
fn counts(imported: &Imported) -> [u64; 6] {
    let Imported { landed, known, restored, unreached, api_errors, refused, .. } = *imported;
    let counts = [landed, known, restored, unreached, api_errors, refused];
    assert_eq!(counts.iter().sum::<u64>(), imported.pages, "the pages are not accounted for: {imported}");
    counts
}

#[test]
fn the_name_tells_the_form() {
    let cases = [
        ("pages.ndjson", Some(Form::Ndjson)),
        ("a/b.PAGES.NDJSON.ZST", Some(Form::NdjsonZstd)),
        ("pages.parquet", Some(Form::Parquet)),
        ("pages.zst", None),
        ("pages", None),
        ("pages.json", None),
    ];
    for (name, form) in cases {
        assert_eq!(Form::of_file(Path::new(name)), form, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_form_gives_the_same_dataset_byte_for_byte() {
    let (tenant, home) = (simulator(60), Home::new());
    fetch(&home, &tenant).await;
    let dataset = home.dataset();
    assert!(dataset.len() >= 3);
    for file in dataset.keys() {
        assert_readable_by_all(&home.config.output.folder().unwrap().join(file));
    }
    for name in FORMS {
        let exported = home.export(name).unwrap();
        assert!(exported.pages > exported.stays, "no stay has two pages");
        let fresh = Home::new();
        let imported = fresh.import(&[home.path(name)]);
        assert_eq!(counts(&imported), [exported.pages, 0, 0, 0, 0, 0], "{name}");
        assert_eq!((imported.samples, imported.pending), (exported.samples, 0));
        assert_eq!(fresh.dataset(), dataset, "{name}");
        assert_eq!(counts(&fresh.import(&[home.path(name)])), [0, exported.pages, 0, 0, 0, 0], "{name} again");
        fresh.export(name).unwrap();
        assert_eq!(fs::read(fresh.path(name)).unwrap(), fs::read(home.path(name)).unwrap(), "{name} exported again");
        if name == "pages.parquet" {
            assert_readable_by_all(&home.path(name));
        }
        assert_eq!(rebuild(&fresh.config, (None, None), &start(), |_| ()).unwrap().dates, dataset.len() as u64);
        assert_eq!(fresh.dataset(), dataset, "{name} rebuilt");
    }
}

#[tokio::test(start_paused = true)]
async fn an_archive_holds_the_dates_asked_for_in_the_order_of_the_rows() {
    let (tenant, home) = (simulator(60), Home::new());
    fetch(&home, &tenant).await;
    let date = |day| NaiveDate::from_ymd_opt(2025, 3, day).unwrap();
    let path = home.path("day.ndjson");
    assert_eq!(export(&home.config, (date(4), date(4)), &path, &start()).unwrap().dates, 1);
    let mut keys = Vec::new();
    for line in fs::read_to_string(&path).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let number = |key: &str| line[key].as_str().unwrap().parse::<i64>().unwrap();
        let start_s = number("meeting_start_time");
        assert!((DAY_S + 86_400..DAY_S + 2 * 86_400).contains(&start_s), "{start_s} is another date");
        let id = line.get("user_id").or(line.get("room_id")).unwrap().to_string();
        keys.push((start_s, number("meeting_no"), number("join_time"), id, line["page"].as_u64().unwrap()));
    }
    assert!(!keys.is_empty() && keys.is_sorted());
    let backwards = export(&home.config, (date(5), date(4)), &path, &start()).unwrap_err();
    assert_eq!(backwards.to_string(), "--from 2025-03-05 lies after --to 2025-03-04");
}

/// What is under construction names participants: nothing of it stays behind.
#[tokio::test(start_paused = true)]
async fn an_export_and_a_prune_that_are_told_to_stop_leave_everything_as_it_was() {
    let (tenant, home) = (simulator(60), Home::new());
    fetch(&home, &tenant).await;
    let path = home.write("pages.ndjson", "of an earlier month");
    let before = home.journal_bytes();
    let (stopper, stop) = Stop::new();
    stopper.send_replace(true);
    let told_to_stop = Start::new(|| start().now(), 0, stop);
    let error = export(&home.config, (NaiveDate::MIN, NaiveDate::MAX), &path, &told_to_stop).unwrap_err();
    assert_eq!(
        (error.exit_code(), fs::read_to_string(&path).unwrap().as_str()),
        (ExitCode::Interrupted, "of an earlier month")
    );
    let partial = fs::read_dir(home.dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let partial: Vec<_> = partial.filter(|name| name.to_string_lossy().contains("partial")).collect();
    assert!(partial.is_empty(), "{partial:?}");
    let error = prune(&home.config, NaiveDate::MAX, &told_to_stop).unwrap_err();
    assert_eq!(error.to_string(), "interrupted; 0 of 3 dates are pruned");
    assert_eq!(home.journal_bytes(), before);
    assert!(export(&home.config, (NaiveDate::MIN, NaiveDate::MAX), &path, &start()).unwrap().pages > 0);
}

/// Blanks count where a value that is no string is kept as it stands.
#[test]
fn a_body_of_several_lines_comes_back_as_it_was_sent() {
    let body = "\n{\"code\": 0,\r\n \"data\": {\"participant_quality_list\": [{\"network\": {\"network_delay\":\n{ \"a\":  1 }}}]}}\n";
    comes_back(body, body);
}

#[test]
fn a_body_after_a_byte_order_mark_comes_back_as_it_was_sent() {
    let body = "{\"code\":0,\"data\":{\"participant_quality_list\":[{\"network\":{\"network_delay\":\"8ms\"}}]}}";
    comes_back(&format!("\u{feff}{body}"), body);
}

/// Archives a page with this body, and imports it elsewhere: the same dataset, and `json` for other engines.
fn comes_back(body: &str, json: &str) {
    let home = Home::new();
    let mut journal = home.journal();
    let stay = Stay {
        meeting_no: MeetingNo::parse("012345678").unwrap(),
        meeting_start_s: DAY_S,
        meeting_end_s: DAY_S + 60,
        join_s: DAY_S,
        participant: Participant::Room("omm_\"1\"".into()),
    };
    let mut staging = journal.stage().unwrap();
    staging.push(&stay, Manifested { file: 0, line: 1 }).unwrap();
    let staged = staging.finish().unwrap();
    journal.enqueue(staged, Lane::Nightly, home.config.timezone).unwrap().finish().unwrap();
    let id = journal.next(1, |_| false).unwrap().unwrap().id;
    let page = NewPage { stay: id, number: 0, samples: 1, next_token: None, body: body.as_bytes() };
    journal.land(&page, 0).unwrap();
    rebuild(&home.config, (None, None), &start(), |_| ()).unwrap();
    for name in ["pages.ndjson", "pages.parquet"] {
        home.export(name).unwrap();
        let fresh = Home::new();
        fresh.import(&[home.path(name)]);
        assert_eq!(fresh.dataset(), home.dataset(), "{name}");
    }
    let text = fs::read_to_string(home.path("pages.ndjson")).unwrap();
    assert_eq!(text.lines().count(), 1);
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["body"], serde_json::from_str::<Value>(json).unwrap());
}

#[tokio::test(start_paused = true)]
async fn pages_may_stand_in_any_order_and_between_errors() {
    let (tenant, home) = (simulator(60), Home::new());
    fetch(&home, &tenant).await;
    home.export("pages.ndjson").unwrap();
    let text = fs::read_to_string(home.path("pages.ndjson")).unwrap();
    let mut lines: Vec<String> = text.lines().rev().map(str::to_owned).collect();
    let pages = lines.len() as u64;
    let absent = json!({"code": 121_004, "msg": "data not exist", "data": {}});
    lines.insert(3, with("absent", &[("body", absent)]));
    lines.insert(5, String::new());
    let (first, second) = lines.split_at(lines.len() / 2);
    let fresh = Home::new();
    let archives = [fresh.write("1.ndjson", first.join("\n")), fresh.write("2.ndjson", second.join("\n"))];
    let imported = fresh.import(&archives);
    assert_eq!(counts(&imported), [pages, 0, 0, 0, 1, 0]);
    assert_eq!(fresh.dataset(), home.dataset());
}

#[tokio::test(start_paused = true)]
async fn the_next_export_asks_for_what_an_archive_lacks() {
    let (tenant, home) = (simulator(60), Home::new());
    fetch(&home, &tenant).await;
    let paid = requests(&tenant);
    home.export("pages.ndjson").unwrap();
    let text = fs::read_to_string(home.path("pages.ndjson")).unwrap();
    let is_later = |line: &str| serde_json::from_str::<Value>(line).unwrap()["page"].as_u64().unwrap() > 0;
    let later = text.lines().filter(|line| is_later(line)).count() as u64;
    let first: Vec<String> = text.lines().filter(|line| !is_later(line)).map(str::to_owned).collect();
    let fresh = Home::new();
    let imported = fresh.import_lines(&first);
    assert!(imported.pending > 0 && imported.done > 0 && !imported.unpublished.is_empty(), "{imported}");
    assert_eq!(status(&fresh.config, &start()).unwrap().queue.backfill, imported.pending);
    let absent = paid - text.lines().count() as u64;
    let outcome = fetch(&fresh, &tenant).await;
    assert_eq!(outcome.exit_code, ExitCode::Complete);
    assert_eq!(requests(&tenant) - paid, later + absent);
    rebuild(&fresh.config, (None, None), &start(), |_| ()).unwrap();
    assert_eq!(fresh.dataset(), home.dataset());
}

#[test]
fn a_stay_lands_from_its_first_page_to_the_first_gap() {
    let page = |number: u32, last: u32| {
        let token = format!("t{number}");
        line("1", number, 1, (number < last).then_some(token.as_str()))
    };
    // Pages in the archive, of three; then landed, unreached, complete stays.
    let cases: [(&[u32], [u64; 3]); 6] = [
        (&[0, 1, 2], [3, 0, 1]),
        (&[2, 1, 0], [3, 0, 1]),
        (&[0, 2], [1, 1, 0]),
        (&[1, 2], [0, 2, 0]),
        (&[0, 1], [2, 0, 0]),
        (&[2, 0], [1, 1, 0]),
    ];
    for (numbers, [landed, unreached, done]) in cases {
        let home = Home::new();
        let lines: Vec<String> = numbers.iter().map(|number| page(*number, 2)).collect();
        let imported = home.import_lines(&lines);
        assert_eq!(counts(&imported), [landed, 0, 0, unreached, 0, 0], "{numbers:?}");
        assert_eq!((imported.done, imported.pending), (done, 1 - done), "{numbers:?}");
        let queued = home.journal().next(1, |_| false).unwrap();
        assert_eq!(queued.map(|queued| u64::from(queued.pages)), (done == 0).then_some(landed), "{numbers:?}");
        let rest = home.import_lines(&[page(0, 2), page(1, 2), page(2, 2)]);
        assert_eq!(counts(&rest), [3 - landed, landed, 0, 0, 0, 0], "{numbers:?}, then all");
    }
}

/// The journal's pages, the archive's pages, its counts, and the first reason.
type Case<'a> = (&'a [String], &'a [String], [u64; 6], &'a str);

#[test]
fn a_page_that_has_landed_keeps_its_body() {
    let two = [line("1", 0, 2, Some("a")), line("1", 1, 2, None)];
    let other_cut = [line("1", 0, 1, Some("b")), line("1", 1, 1, Some("c")), line("1", 2, 2, None)];
    let cases: [Case<'_>; 4] = [
        (&two, &two, [0, 2, 0, 0, 0, 0], ""),
        (&two, &other_cut, [0, 0, 0, 2, 0, 1], "page 0 has landed already, with other content"),
        (&two[..1], &other_cut, [0, 0, 0, 2, 0, 1], "page 0 has landed already, with other content"),
        (&two, &[two[0].clone(), two[1].clone(), line("1", 2, 1, None)], [0, 2, 0, 0, 0, 1], "page 2 comes after"),
    ];
    for (landed, archive, expected, reason) in cases {
        let home = Home::new();
        home.import_lines(landed);
        home.export("before.ndjson").unwrap();
        let imported = home.import_lines(archive);
        assert_eq!(counts(&imported), expected);
        assert!(imported.refusals.first().is_none_or(|first| first.contains(reason)), "{:?}", imported.refusals);
        home.export("after.ndjson").unwrap();
        let text = |name| fs::read_to_string(home.path(name)).unwrap();
        assert_eq!(text("after.ndjson"), text("before.ndjson"));
    }
}

/// Whatever order other pages have: a page after one that differs never joins another crawl's pages.
#[test]
fn two_crawls_of_a_stay_are_never_mixed() {
    let home = Home::new();
    home.import_lines(&[line("1", 0, 2, Some("a"))]);
    let imported = home.import_lines(&[line("1", 1, 1, None), line("1", 0, 1, Some("b"))]);
    assert_eq!(counts(&imported), [0, 0, 0, 1, 0, 1]);
    assert_eq!(home.journal().next(1, |_| false).unwrap().unwrap().pages, 1);
}

#[test]
fn a_line_that_breaks_a_rule_is_told_and_the_others_land() {
    let body = |data: Value| json!({"code": 0, "data": data});
    let (one, long) = (json!([{}]), "x".repeat(300));
    let cases = [
        ("{\"page\":0".into(), "the line is not one JSON object with each key once (reading stopped at byte 9)"),
        ("[]".into(), "the line is not one JSON object with each key once (reading stopped at byte 1)"),
        (
            "{\"page\":0,\"page\":1}".into(),
            "the line is not one JSON object with each key once (reading stopped at byte 16)",
        ),
        (
            with("1", &[("meeting_no", "12345678".into())]),
            "`meeting_no` is \"12345678\", must be nine digits (a leading zero lost by a spreadsheet?)",
        ),
        (with("1", &[("meeting_no", true.into())]), "`meeting_no` must be a string or an integer, is true or false"),
        (with("1", &[("join_time", Value::Null)]), "`join_time` must be given"),
        (with("1", &[("user_id", Value::Null)]), "`user_id` and `room_id` are both empty, exactly one must be given"),
        (
            with("1", &[("room_id", "omm_1".into())]),
            "`user_id` is \"ou_1\" and `room_id` is \"omm_1\", exactly one must be given",
        ),
        (
            with(&long, &[]),
            "`user_id` is \"ou_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"…, must have at most 256 bytes, has 303",
        ),
        (with("1", &[("page", Value::Null)]), "`page` must be a whole number from 0"),
        (with("1", &[("page", (-1).into())]), "`page` must be a whole number from 0"),
        (with("1", &[("page", json!(0.5))]), "`page` must be a whole number from 0"),
        (with("1", &[("body", Value::Null)]), "`body` must be given"),
        (with("1", &[("body", "text".into())]), "`body` is not the documented JSON"),
        (with("1", &[("body", json!({"msg": "no code"}))]), "`body` is not the documented JSON"),
        (with("1", &[("body", body(json!({"participant_quality_list": 7})))]), "`body` is not the documented JSON"),
        (
            with("1", &[("body", body(json!({"participant_quality_list": one, "has_more": true})))]),
            "`has_more` without a `page_token`",
        ),
    ];
    for (bad, reason) in cases {
        let home = Home::new();
        let imported = home.import_lines(&[line("good", 0, 1, None), bad.clone(), line("better", 0, 1, None)]);
        assert_eq!(counts(&imported), [2, 0, 0, 0, 0, 1], "{bad}");
        let at = format!("{}:2: ", home.path("lines.ndjson").display());
        assert_eq!(imported.refusals[0].strip_prefix(&at), Some(reason));
        assert_eq!(imported.exit_code(), ExitCode::SomeFailed);
        assert_eq!(home.dataset().len(), 1);
    }
}

/// As an export takes it: an empty page may announce others.
#[test]
fn an_empty_page_with_a_token_is_a_page() {
    let home = Home::new();
    let imported = home.import_lines(&[line("1", 0, 0, Some("a")), line("1", 1, 1, None)]);
    assert_eq!(counts(&imported), [2, 0, 0, 0, 0, 0], "{imported}");
    assert_eq!(home.dataset().len(), 1);
}

#[test]
fn a_paging_that_never_ends_is_refused() {
    let home = Home::new();
    let lines = [line("1", 0, 1, Some("a")), line("1", 1, 1, Some("a")), line("1", 2, 1, None)];
    let imported = home.import_lines(&lines);
    assert_eq!(counts(&imported), [1, 0, 0, 1, 0, 1]);
    assert!(imported.refusals[0].ends_with("page 1 repeats an earlier `page_token`"), "{imported}");
}

#[test]
fn refusals_are_counted_beyond_those_listed() {
    let home = Home::new();
    let imported = home.import_lines(&vec!["{}".to_owned(); 50]);
    assert_eq!((imported.refused, imported.refusals.len()), (50, 20));
    assert!(imported.to_string().contains("all of them: --log debug"));
}

#[test]
fn parquet_of_other_writers_is_read_by_its_columns() {
    let home = Home::new();
    let texts = |texts: Vec<Option<&str>>| Arc::new(StringArray::from(texts)) as ArrayRef;
    let body = r#"{"code":0,"data":{"participant_quality_list":[{}]}}"#;
    let numbers = |value: i64| Arc::new(Int64Array::from(vec![value; 4])) as ArrayRef;
    let mut columns = vec![
        ("body", texts(vec![Some(body), Some("[]"), None, Some(body)])),
        ("meeting_no", texts(vec![Some("012345678"); 4])),
        ("meeting_start_time", numbers(DAY_S)),
        ("meeting_end_time", numbers(DAY_S + 60)),
        ("join_time", numbers(DAY_S)),
        ("user_id", texts(vec![Some("ou_1"), Some("ou_2"), Some("ou_3"), None])),
        ("page", numbers(0)),
        ("more", numbers(7)),
    ];
    write_parquet(&home.path("other.parquet"), &columns);
    let imported = home.import(&[home.path("other.parquet")]);
    assert_eq!(counts(&imported), [1, 0, 0, 0, 0, 3]);
    let reasons = ["is not the documented JSON", "`body` must be given", "are both empty, exactly one must be given"];
    for ((line, reason), refusal) in (2..).zip(reasons).zip(&imported.refusals) {
        assert!(refusal.contains(&format!(".parquet:{line}: ")) && refusal.ends_with(reason), "{refusal}");
    }
    columns.retain(|(name, _)| *name != "page");
    write_parquet(&home.path("other.parquet"), &columns);
    let error = import(&[home.path("other.parquet")], &home.config, &start()).unwrap_err();
    assert!(Chain(&error).to_string().ends_with("has no column `page`"), "{}", Chain(&error));
}

fn write_parquet(path: &Path, columns: &[(&str, ArrayRef)]) {
    let batch = RecordBatch::try_from_iter(columns.iter().cloned()).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn an_archive_goes_through_links_and_pipes_and_leaves_nothing_beside_it() {
    let home = Home::new();
    home.import_lines(&[line("1", 0, 2, None)]);
    fs::create_dir(home.path("far")).unwrap();
    for name in FORMS {
        home.export(name).unwrap();
        let expected = fs::read(home.path(name)).unwrap();
        let (link, far) = (home.path(&format!("link-{name}")), home.path(&format!("far/{name}")));
        for old in [None, Some("what was there before")] {
            if let Some(old) = old {
                fs::write(&far, old).unwrap();
            }
            if old.is_none() {
                std::os::unix::fs::symlink(&far, &link).unwrap();
            }
            home.export(&format!("link-{name}")).unwrap();
            assert!(link.is_symlink() && fs::read(&far).unwrap() == expected, "{name}");
        }
        let pipe = home.path(&format!("pipe-{name}"));
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        // Whoever writes finds a reader, however late the thread begins.
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK;
        let opened = File::from(rustix::fs::open(&pipe, flags, rustix::fs::Mode::empty()).unwrap());
        let reader = thread::spawn(move || read_once_written(opened));
        let exported = home.export(&format!("pipe-{name}")).unwrap();
        assert_eq!(reader.join().unwrap(), expected, "{name}");
        assert_eq!(exported.bytes, expected.len() as u64);
        assert!(fs::symlink_metadata(pipe).unwrap().file_type().is_fifo(), "{name}");
    }
    let names = |folder: PathBuf| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let hidden = |name: &std::ffi::OsString| name.to_string_lossy().starts_with('.');
    assert_eq!(names(home.path("far")).filter(hidden).count(), 0);
    assert_eq!(names(home.path("")).filter(hidden).count(), 0);
    let inside = export(
        &home.config,
        (NaiveDate::MIN, NaiveDate::MAX),
        &home.config.output.folder().unwrap().join("pages.ndjson"),
        &start(),
    );
    assert_eq!(inside.unwrap_err().exit_code(), ExitCode::Usage);
}

#[test]
fn a_span_without_pages_says_so() {
    let home = Home::new();
    home.import_lines(&[line("1", 0, 2, None)]);
    let (code, printed, _) =
        home.vcq(&["archive", "export", "--from", "2025-04-01", "--to", "2025-04-30", "april.ndjson"]);
    assert_eq!(code, 0);
    assert!(printed.ends_with("there are no landed pages of these dates: the archive holds nothing\n"), "{printed}");
    assert_eq!(home.import(&[home.path("april.ndjson")]).pages, 0);
}

/// All that is written to a pipe from now on, until its writer has closed it.
fn read_once_written(mut pipe: File) -> Vec<u8> {
    let (mut read, mut part) = (Vec::new(), [0; 4096]);
    loop {
        match pipe.read(&mut part) {
            Ok(0) if !read.is_empty() => return read,
            Ok(count) => read.extend_from_slice(&part[..count]),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        thread::yield_now();
    }
}

const FORMS: [&str; 3] = ["pages.ndjson", "pages.ndjson.zst", "pages.parquet"];

/// Pages that the import of a cut archive says have landed.
fn landed_of(home: &Home, archive: PathBuf) -> u64 {
    match import(&[archive], &home.config, &start()) {
        Ok(imported) => {
            counts(&imported);
            if let Some(unread) = &imported.unread {
                assert_eq!(unread.exit_code(), ExitCode::Disk, "{}", Chain(unread));
            }
            imported.landed
        }
        Err(error) => {
            assert!(matches!(error, Error::Archive { .. }), "{}", Chain(&error));
            0
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_said_to_have_landed_of_a_cut_archive_has_landed() {
    let (tenant, home) = (simulator(300), Home::new());
    fetch(&home, &tenant).await;
    let mut random = StdRng::seed_from_u64(9);
    for name in FORMS {
        let exported = home.export(name).unwrap();
        let bytes = fs::read(home.path(name)).unwrap();
        let mut landed_of_all = 0;
        for cut_at in [0, 3].into_iter().chain((0..6).map(|_| random.random_range(4..bytes.len()))) {
            let fresh = Home::new();
            let landed = landed_of(&fresh, fresh.write(name, &bytes[..cut_at]));
            let again = fresh.import(&[home.path(name)]);
            assert_eq!(counts(&again), [exported.pages - landed, landed, 0, 0, 0, 0], "{name} cut at {cut_at}");
            rebuild(&fresh.config, (None, None), &start(), |_| ()).unwrap();
            assert_eq!(fresh.dataset(), home.dataset(), "{name} cut at {cut_at}");
            landed_of_all += landed;
        }
        // Without its footer nothing can be known of a Parquet file.
        assert_eq!(landed_of_all > 0, name != "pages.parquet", "{name}");
    }
}

/// Pages of a megabyte each, so that some are read before the damage.
#[test]
fn what_was_read_of_a_damaged_parquet_file_has_landed_and_is_published() {
    let home = Home::new();
    let mut random = StdRng::seed_from_u64(3);
    let body = |_| {
        let noise: String = (0..1 << 20).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect();
        format!(r#"{{"code":0,"noise":"{noise}","data":{{"participant_quality_list":[{{}}]}}}}"#)
    };
    let bodies: Vec<String> = (0..20).map(body).collect();
    let ids: Vec<String> = (0..20).map(|number| format!("ou_{number}")).collect();
    let texts = |texts: Vec<&str>| Arc::new(StringArray::from(texts)) as ArrayRef;
    let numbers = |value: i64| Arc::new(Int64Array::from(vec![value; 20])) as ArrayRef;
    let columns = [
        ("meeting_no", texts(vec!["012345678"; 20])),
        ("meeting_start_time", numbers(DAY_S)),
        ("meeting_end_time", numbers(DAY_S + 60)),
        ("join_time", numbers(DAY_S)),
        ("user_id", texts(ids.iter().map(String::as_str).collect())),
        ("page", numbers(0)),
        ("body", texts(bodies.iter().map(String::as_str).collect())),
    ];
    let path = home.path("pages.parquet");
    write_parquet(&path, &columns);
    let mut bytes = fs::read(&path).unwrap();
    // The header of the page that begins after the last body but one or two.
    let last = bytes.len() - (3 << 20);
    bytes[last..last + (2 << 20)].fill(0xFF);
    home.write("pages.parquet", &bytes);
    let imported = home.import(&[path]);
    assert!((1..20).contains(&imported.landed), "{imported}");
    assert_eq!(imported.unread.as_ref().map(Error::exit_code), Some(ExitCode::Disk));
    assert_eq!((imported.done, imported.pending), (imported.landed, 0));
    let published: u64 = imported.publications.iter().map(|publication| publication.file.samples).sum();
    assert_eq!(published, imported.landed, "the date is published as after a whole archive");
}

/// Page 1 stands before page 0, and the archive is cut behind both.
#[test]
fn pages_that_waited_for_others_land_though_the_archive_is_cut() {
    let home = Home::new();
    let mut random = StdRng::seed_from_u64(4);
    let noise: String = (0..1 << 20).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect();
    let mut lines = vec![line("1", 1, 1, None), line("1", 0, 1, Some("a"))];
    lines.extend((0..4).map(|number| with(&format!("2{number}"), &[("noise", noise.as_str().into())])));
    let whole = zstd::encode_all(lines.join("\n").as_bytes(), 3).unwrap();
    let cut = home.write("pages.ndjson.zst", &whole[..whole.len() / 2]);
    let (code, printed, said) = home.vcq(&["archive", "import", &cut.display().to_string()]);
    assert_eq!(code, 74, "{printed}{said}");
    assert!(printed.contains(" landed + 0 known") && printed.contains("published  date=2025-03-03/"), "{printed}");
    assert!(
        said.contains("cannot be read after line ") && said.contains("hint: what was read before has landed"),
        "{said}"
    );
    let again = home.import_lines(&lines[..2]);
    assert_eq!(counts(&again), [0, 2, 0, 0, 0, 0]);
    assert_eq!(again.done, 1);
}

#[test]
fn a_text_that_ends_within_a_line_is_told_to_be_cut() {
    let home = Home::new();
    let text = [line("1", 0, 1, None), line("2", 0, 1, None)].join("\n");
    let imported = home.import(&[home.write("pages.ndjson", &text[..text.len() - 5])]);
    assert_eq!(counts(&imported), [1, 0, 0, 0, 0, 1]);
    assert!(imported.refusals[0].ends_with(":2: the archive ends within this line: it is cut"), "{imported}");
}

#[test]
fn what_is_no_archive_is_usage_and_what_the_disk_refuses_is_not() {
    let home = Home::new();
    let good = home.write("good.ndjson", line("1", 0, 1, None));
    fs::create_dir(home.path("folder.ndjson")).unwrap();
    let utf16: Vec<u8> = "\u{feff}{}\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    home.write("utf16.ndjson", utf16);
    home.write("text.ndjson.zst", "{}");
    home.write("text.parquet", "no Parquet");
    home.write("cut.parquet", "PAR1");
    home.write("empty.ndjson.zst", "");
    for (name, code, expected) in [
        ("none.ndjson", ExitCode::Usage, "there is no such file"),
        ("folder.ndjson", ExitCode::Usage, "cannot be read after line 0: Is a directory"),
        ("utf16.ndjson", ExitCode::Usage, "is UTF-16, must be UTF-8"),
        ("text.ndjson.zst", ExitCode::Usage, "is no zstd"),
        ("empty.ndjson.zst", ExitCode::Usage, "is no zstd"),
        ("text.parquet", ExitCode::Usage, "is no Parquet"),
        ("cut.parquet", ExitCode::Disk, "cannot be read as Parquet after row 0"),
    ] {
        let error = match import(&[home.path(name)], &home.config, &start()) {
            Ok(imported) => imported.unread.unwrap(),
            Err(error) => error,
        };
        assert_eq!(error.exit_code(), code, "{name}");
        assert!(Chain(&error).to_string().contains(expected), "{name}: {}", Chain(&error));
        assert_eq!(error.hint().is_some(), code == ExitCode::Disk, "{name}");
    }
    let broken = import(&[good, home.path("text.parquet")], &home.config, &start());
    assert!(matches!(broken, Err(Error::Archive { .. })), "found before anything lands");
    assert_eq!(home.import_lines(&[line("1", 0, 1, None)]).landed, 1);
    for (number, code) in [(5, ExitCode::Disk), (13, ExitCode::Disk), (2, ExitCode::Usage)] {
        let source = ArchiveError::Read { after_line: 7, source: io::Error::from_raw_os_error(number) };
        assert_eq!(Error::Archive { file: "pages.ndjson".into(), source }.exit_code(), code);
    }
}

#[test]
fn byte_order_marks_before_lines_are_passed_over() {
    let home = Home::new();
    let joined = format!("\u{feff}{}\n\u{feff}{}", line("1", 0, 1, None), line("2", 0, 1, None));
    assert_eq!(counts(&home.import_lines(&[joined])), [2, 0, 0, 0, 0, 0]);
}

/// However the body and the numbers stand in the archive: the bytes that the API sent are the same.
#[test]
fn every_form_that_says_the_same_exactly_lands_the_same() {
    let body = r#"{"code":0,"data":{"participant_quality_list":[{"network":{"network_delay":"8ms"}}]}}"#;
    let home = Home::new();
    home.import_lines(&[with("1", &[("body", serde_json::from_str(body).unwrap()), ("body_text", body.into())])]);
    let expected = home.dataset();
    let fresh = Home::new();
    assert_eq!(fresh.import_lines(&[with("1", &[("body", body.into()), ("page", "0".into())])]).landed, 1);
    assert_eq!(fresh.dataset(), expected);
    let text = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    let as_type = |array: &ArrayRef, data_type| cast(array, &data_type).unwrap();
    let dictionary = |values| DataType::Dictionary(Box::new(DataType::Int8), Box::new(values));
    let (body, zero) = (text(body), Arc::new(Int64Array::from(vec![0])) as ArrayRef);
    let start: ArrayRef = Arc::new(Int64Array::from(vec![DAY_S]));
    for (body, page, start) in [
        (body.clone(), zero.clone(), start.clone()),
        (
            as_type(&body, DataType::Binary),
            as_type(&zero, DataType::Int8),
            as_type(&start, DataType::Decimal128(38, 0)),
        ),
        (as_type(&body, DataType::LargeUtf8), as_type(&zero, DataType::UInt64), as_type(&start, DataType::Utf8)),
        (as_type(&body, dictionary(DataType::Utf8)), as_type(&zero, dictionary(DataType::Int64)), start.clone()),
        (
            as_type(&body, DataType::Utf8View),
            as_type(&zero, DataType::Decimal128(9, 2)),
            as_type(&start, DataType::Float64),
        ),
        (
            as_type(&body, DataType::BinaryView),
            as_type(&zero, DataType::Utf8),
            as_type(&start, dictionary(DataType::Int64)),
        ),
    ] {
        let fresh = Home::new();
        let end: ArrayRef = Arc::new(Int64Array::from(vec![DAY_S + 3600]));
        let types = format!("{} {} {}", body.data_type(), page.data_type(), start.data_type());
        let columns = [
            ("meeting_no", text("012345678")),
            ("meeting_start_time", start),
            ("meeting_end_time", end),
            ("join_time", Arc::new(Int64Array::from(vec![DAY_S])) as ArrayRef),
            ("user_id", text("ou_1")),
            ("page", page),
            ("body", body),
        ];
        write_parquet(&fresh.path("pages.parquet"), &columns);
        let imported = fresh.import(&[fresh.path("pages.parquet")]);
        assert_eq!(counts(&imported), [1, 0, 0, 0, 0, 0], "{types}: {imported}");
        assert_eq!(fresh.dataset(), expected, "{types}");
    }
}

#[test]
fn archived_times_without_a_zone_are_refused_unless_it_is_said_what_they_mean() {
    let naive = with("1", &[("join_time", "2025-03-03T00:00:00".into())]);
    let home = Home::new();
    let imported = home.import_lines(std::slice::from_ref(&naive));
    assert_eq!(counts(&imported), [0, 0, 0, 0, 0, 1]);
    assert!(imported.refusals[0].contains("--naive-times utc, or --naive-times +08:00"), "{imported}");
    let timestamps = |zone: Option<&str>| {
        let array = TimestampMicrosecondArray::from(vec![(DAY_S + 8 * 3600) * 1_000_000]);
        Arc::new(array.with_timezone_opt(zone)) as ArrayRef
    };
    let text = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    let columns = [
        ("meeting_no", text("012345678")),
        ("meeting_start_time", Arc::new(Int64Array::from(vec![DAY_S])) as ArrayRef),
        ("meeting_end_time", Arc::new(Int64Array::from(vec![DAY_S + 3600]))),
        ("join_time", timestamps(None)),
        ("user_id", text("ou_1")),
        ("page", Arc::new(Int64Array::from(vec![0]))),
        ("body", text(r#"{"code":0,"data":{}}"#)),
    ];
    write_parquet(&home.path("naive.parquet"), &columns);
    let error = import(&[home.path("naive.parquet")], &home.config, &start()).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Usage);
    let said = Chain(&error).to_string();
    assert!(said.contains("column `join_time` has times without a zone") && said.contains("--naive-times"), "{said}");
    home.write("naive.ndjson", naive);
    let (code, printed, _) =
        home.vcq(&["archive", "import", "naive.parquet", "naive.ndjson", "--naive-times", "+08:00"]);
    assert_eq!(code, 0, "{printed}");
    assert!(printed.contains("2 = 1 landed + 1 known"), "both mean the same stay: {printed}");
    assert!(printed.contains("times      those without a zone are taken for +08:00"), "{printed}");
    assert_eq!(home.import_lines(&[with("1", &[])]).known, 1, "and it is the stay that joined at {DAY_S}");
}

#[test]
fn stays_that_are_absent_do_not_count_as_pending() {
    let home = Home::new();
    home.import_lines(&[line("1", 0, 1, Some("a")), line("2", 0, 1, Some("a"))]);
    let journal = home.journal();
    let id = journal.next(1, |_| false).unwrap().unwrap().id;
    journal.settle(id, &Verdict { state: State::Absent, reason: String::new(), log_id: None }, 0).unwrap();
    drop(journal);
    let imported = home.import_lines(&[line("1", 0, 1, Some("a")), line("2", 0, 1, Some("a"))]);
    assert_eq!((imported.done, imported.pending, imported.absent, imported.failed), (0, 1, 1, 0));
    assert!(imported.to_string().contains("0 complete, 1 pending, 1 absent\n"), "{imported}");
}

/// No column chunk has an encoding that an old reader refuses or bends.
fn assert_readable_by_all(path: &Path) {
    let file = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    for chunk in file.metadata().row_groups().iter().flat_map(RowGroupMetaData::columns) {
        let known = [Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY];
        let unknown: Vec<_> = chunk.encodings().filter(|encoding| !known.contains(encoding)).collect();
        assert_eq!(unknown, [], "{} of {}", chunk.column_path(), path.display());
    }
}

#[test]
fn an_import_waits_for_nobody_and_lands_beside_nobody() {
    let home = Home::new();
    let journal = home.journal();
    let fetching = journal.try_lock_fetching().unwrap().unwrap();
    let archive = home.write("pages.ndjson", line("1", 0, 1, None));
    let error = import(std::slice::from_ref(&archive), &home.config, &start()).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Again);
    drop(fetching);
    assert_eq!(home.import(&[archive]).landed, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_pruned_is_neither_lost_nor_asked_for_again() {
    let (tenant, home) = (simulator(200), Home::new());
    fetch(&home, &tenant).await;
    let (dataset, paid) = (home.dataset(), requests(&tenant));
    home.export("all.parquet").unwrap();
    let before_bytes = home.journal_bytes();
    let third_day = NaiveDate::from_ymd_opt(2025, 3, 5).unwrap();
    let pruned = prune(&home.config, third_day, &start()).unwrap();
    assert_eq!((pruned.dates.len(), pruned.unpublished.len()), (2, 0), "{pruned}");
    let given_back = before_bytes - home.journal_bytes();
    assert!(given_back > before_bytes / 3, "{given_back} of {before_bytes} bytes were given back");
    assert_eq!(given_back, pruned.bytes);

    let (first, last) = (Some(pruned.dates[0].0), Some(pruned.dates[1].0));
    for (from, to) in [(None, last), (first, first), (last, None)] {
        let refused = rebuild(&home.config, (from, to), &start(), |_| ()).unwrap_err();
        assert!(matches!(refused, Error::Pruned(date) if Some(date) == from.or(first)), "{refused}");
    }
    assert!(matches!(home.export("no.ndjson"), Err(Error::Pruned(_))) && !home.path("no.ndjson").exists());
    rebuild(&home.config, (Some(third_day), None), &start(), |_| ()).unwrap();
    assert_eq!(verify(&home.config, &start()).unwrap().exit_code(), ExitCode::Complete);
    assert_eq!(home.dataset(), dataset);

    let outcome = fetch(&home, &tenant).await;
    assert_eq!((outcome.exit_code, requests(&tenant)), (ExitCode::Complete, paid));
    assert_eq!(prune(&home.config, third_day, &start()).unwrap().dates, []);

    let restored = home.import(&[home.path("all.parquet")]);
    let dropped: u64 = pruned.dates.iter().map(|(_, dropped)| dropped.pages).sum();
    assert_eq!(counts(&restored), [0, restored.pages - dropped, dropped, 0, 0, 0]);
    rebuild(&home.config, (None, None), &start(), |_| ()).unwrap();
    assert_eq!(home.dataset(), dataset);
}

#[test]
fn a_pruned_date_takes_further_stays() {
    let home = Home::new();
    home.import_lines(&[line("1", 0, 2, None)]);
    let later = DateTime::from_timestamp(DAY_S, 0).unwrap().date_naive() + chrono::Days::new(9);
    assert_eq!(prune(&home.config, later, &start()).unwrap().dates.len(), 1);
    let imported = home.import_lines(&[line("1", 0, 2, None), line("2", 0, 3, None)]);
    assert_eq!(counts(&imported), [1, 0, 1, 0, 0, 0]);
    prune(&home.config, later, &start()).unwrap();
    let imported = home.import_lines(&[line("3", 0, 4, None)]);
    assert_eq!(imported.publications[0].file.samples, 4);
    assert_eq!(home.dataset().len(), 3);
    assert_eq!(verify(&home.config, &start()).unwrap().exit_code(), ExitCode::Complete);
    let refused = rebuild(&home.config, (None, Some(later)), &start(), |_| ()).unwrap_err();
    assert!(matches!(refused, Error::Pruned(_)), "{refused}");
    let rebuilt = rebuild(&home.config, (None, None), &start(), |_| ()).unwrap();
    assert!(rebuilt.dates == 0 && rebuilt.skipped.len() == 1, "{rebuilt}");
    assert_eq!(home.dataset().len(), 3);
}

/// A stay that is not complete keeps its pages, and so does a date whose stays are not all published.
#[test]
fn only_what_is_published_is_pruned() {
    let home = Home::new();
    let next_day = (DAY_S + 86_400).to_string();
    let half = with("2", &[("meeting_start_time", next_day.clone().into()), ("meeting_end_time", next_day.into())]);
    let half = half.replace("{}", r#"{"participant_quality_list":[{}],"has_more":true,"page_token":"a"}"#);
    home.import_lines(&[line("1", 0, 1, None), line("3", 0, 1, Some("a")), half]);
    let (first, later) = (NaiveDate::from_ymd_opt(2025, 3, 3).unwrap(), NaiveDate::from_ymd_opt(2025, 4, 1).unwrap());
    let pruned = prune(&home.config, later, &start()).unwrap();
    assert_eq!((pruned.dates.len(), pruned.unpublished), (0, vec![first]));
    home.import_lines(&[line("3", 0, 1, Some("a")), line("3", 1, 1, None)]);
    assert_eq!(prune(&home.config, first, &start()).unwrap().dates.len(), 0, "the date itself is kept");
    let pruned = prune(&home.config, later, &start()).unwrap();
    assert_eq!((pruned.dates[0].0, pruned.dates[0].1.pages, pruned.dates.len()), (first, 3, 1));
    let second = export(&home.config, (first.succ_opt().unwrap(), later), &home.path("half.ndjson"), &start()).unwrap();
    assert_eq!((second.stays, second.pages), (1, 1), "the half-read stay lost its page");
}

#[test]
fn the_commands_say_what_they_did() {
    let home = Home::new();
    home.write("pages.ndjson", [line("1", 0, 2, None), "{".into(), line("2", 0, 1, Some("a"))].join("\n"));
    home.write("rest.ndjson", [line("2", 0, 1, Some("a")), line("2", 1, 1, None)].join("\n"));
    let span = ["--from", "2025-03-01", "--to", "2025-03-31"];
    let export = |file| [["archive", "export"].as_slice(), &span, &[file]].concat();
    // Arguments, exit code, and what is printed and said.
    let cases: [(Vec<&str>, i32, &str, &str); 10] = [
        (
            vec!["archive", "import", "pages.txt"],
            2,
            "",
            "`pages.txt` ends in none of .ndjson, .ndjson.zst and .parquet",
        ),
        (vec!["archive", "import", "none.ndjson"], 2, "", "archive `none.ndjson`: there is no such file"),
        (vec!["archive", "import", "pages.ndjson"], 65, "refused    pages.ndjson:2: the line is not", ""),
        (vec!["archive", "prune", "--before", "2026-01-01"], 0, "kept      date=2025-03-03", ""),
        (vec!["archive", "import", "rest.ndjson"], 0, "published  date=2025-03-03/part-", ""),
        (export("all.parquet"), 0, "all.parquet  1 date  2 stays  3 pages  4 samples", ""),
        (vec!["archive", "prune", "--before", "2026-01-01"], 0, "pruned    date=2025-03-03  2 stays  3 pages", ""),
        (
            export("all.ndjson"),
            2,
            "",
            "vcq: the landed pages of 2025-03-03 have been pruned\nhint: `vcq archive import`",
        ),
        (
            vec!["rebuild", "2025-03-03"],
            2,
            "",
            "vcq: the landed pages of 2025-03-03 have been pruned\nhint: `vcq archive import`",
        ),
        (vec!["rebuild"], 0, "skipped: 2025-03-03: their landed pages are dropped", ""),
    ];
    for (args, code, printed, said) in cases {
        let (exit, stdout, stderr) = home.vcq(&args);
        assert_eq!(exit, code, "{args:?}: {stdout}{stderr}");
        assert!(stdout.contains(printed) && stderr.contains(said), "{args:?}: {stdout}{stderr}");
    }
}
