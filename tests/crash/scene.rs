//! What is cut: a small tenant with one of everything, and the acts that are played on it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use chrono::NaiveDate;
use parquet::file::reader::SerializedFileReader;
use tempfile::TempDir;
use vcq::simulator::{
    Settings, Simulator,
    faults::{Fault, FaultKind, When},
    latency::Latency,
    quota::QuotaSettings,
    tenant::{SimulatedStay, Tenant, TenantSettings, UserIdType},
};

use super::{
    server::serve_while,
    strace::{Blow, Cut, On, count},
    trial::Page,
};

/// High enough on both sides that nobody waits.
pub(crate) const REQUESTS_PER_MINUTE: u32 = 10_000;

/// One command, with what it finds and what it must end with.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    pub(crate) name: &'static str,
    /// The arguments.
    pub(crate) line: &'static str,
    /// A folder as this one is when it begins.
    before: PathBuf,
    /// What the process exits with, left alone.
    pub(crate) exit_code: i32,
    /// The rows that are there in the end.
    pub(crate) rows: BTreeSet<String>,
    /// The names that its files have on their way into the dataset.
    staged: Vec<String>,
}

/// The acts, each played once without disturbance.
pub(crate) struct Scene {
    _home: TempDir,
    pub(crate) acts: Vec<Act>,
    /// The export of both manifests, undisturbed.
    pub(crate) whole: Act,
}

const FIRST: &str = "export --manifest first.csv";
const BOTH: &str = "export --manifest first.csv second.csv";

const DAYS: u32 = 3;

/// 2025-03-01 in UTC+8.
const FIRST_DAY_START_S: i64 = 1_740_758_400;

/// Some stays were refused for good, so the exports do not end with 0.
const SOME_FAILED: i32 = 65;

impl Scene {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let folder = |name: &str| home.path().join(name);
        fs::create_dir(folder("empty")).unwrap();
        let Cast { first, second } = Cast::choose();
        fs::write(folder("empty/first.csv"), csv(&first)).unwrap();
        fs::write(folder("empty/second.csv"), csv(&second)).unwrap();

        let fresh = Act::play("fresh", FIRST, folder("empty"), SOME_FAILED).0;
        only_intents(&folder("empty"), &folder("intents"));
        let (resume, resumed) = Act::play("resume", BOTH, folder("intents"), SOME_FAILED);
        let publish = Act::play("publish", FIRST, folder("intents"), SOME_FAILED).0;
        copy(resumed.path(), &folder("resumed"));
        let rebuild = Act::play("rebuild", "rebuild", folder("resumed"), 0).0;
        assert_eq!(fresh.rows, publish.rows);
        assert_eq!(resume.rows, rebuild.rows);
        assert!(fresh.rows.len() > 300 && fresh.rows.is_subset(&resume.rows) && fresh.rows != resume.rows);
        let whole = resume.clone();
        Self { _home: home, acts: vec![fresh, resume, publish, rebuild], whole }
    }
}

impl Act {
    /// Plays the act without disturbance, and checks that its rows are as many as the tenant has samples.
    fn play(name: &'static str, line: &'static str, before: PathBuf, exit_code: i32) -> (Self, Stage) {
        let mut act = Self { name, line, before, exit_code, rows: BTreeSet::new(), staged: Vec::new() };
        let stage = act.stage();
        let (_, output) = serve_while(simulator(), |url| vcq(stage.path(), url, line).output().unwrap());
        assert_eq!(output.status.code(), Some(exit_code), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        act.rows = stage.rows();
        act.staged = files(stage.path()).iter().map(|file| name_of(file).to_owned()).collect();
        (act, stage)
    }

    /// An export of both manifests that begins where this act does, and ends with the rows of the `whole`.
    pub(crate) fn up_to(&self, whole: &Self) -> Self {
        Self { name: "varied", before: self.before.clone(), ..whole.clone() }
    }

    /// A folder in which the act can begin.
    pub(crate) fn stage(&self) -> Stage {
        let stage = Stage(tempfile::tempdir().unwrap());
        copy(&self.before, stage.path());
        stage
    }

    /// How many of `calls` the act makes, by name: of the thread that makes the most of them.
    pub(crate) fn count_calls(&self, calls: &[&str], on: On) -> BTreeMap<String, u32> {
        let stage = self.stage();
        let paths = self.paths(&stage, on);
        let counted = |url: &str| count(&self.command(&stage, url), calls, &paths);
        let (_, (output, counts)) = serve_while(simulator(), counted);
        assert_eq!(output.status.code(), Some(self.exit_code));
        counts
    }

    /// The files on which calls count; none stands for all.
    pub(crate) fn paths(&self, stage: &Stage, on: On) -> Vec<PathBuf> {
        let names = self.staged.iter().map(String::as_str).chain(["probe"]);
        match on {
            On::Everything => Vec::new(),
            On::Staging => names.map(|name| stage.path().join("quality.staging").join(name)).collect(),
            On::Journal => {
                ["journal.sqlite", "journal.sqlite-wal"].map(|name| stage.path().join("state").join(name)).into()
            }
        }
    }

    /// The act's command on `stage`, against the server at `url`.
    pub(crate) fn command(&self, stage: &Stage, url: &str) -> Command {
        vcq(stage.path(), url, self.line)
    }
}

/// A folder with manifests, journal and dataset.
pub(crate) struct Stage(TempDir);

impl Stage {
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Every row under the dataset as text. All files must be whole, and no row may be there twice.
    pub(crate) fn rows(&self) -> BTreeSet<String> {
        let mut rows = BTreeSet::new();
        for path in files(self.path()) {
            let date = name_of(path.parent().unwrap());
            let reader = SerializedFileReader::new(File::open(&path).unwrap());
            let reader = reader.unwrap_or_else(|error| panic!("`{}` is not whole: {error}", path.display()));
            for row in reader {
                let row = row.unwrap_or_else(|error| panic!("`{}` is not whole: {error}", path.display()));
                assert!(rows.insert(format!("{date} {row}")), "twice in the dataset: {date} {row}");
            }
        }
        rows
    }
}

/// The binary with the arguments in `line`, in `folder`.
pub(crate) fn vcq(folder: &Path, url: &str, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vcq"));
    command.current_dir(folder).args(line.split(' ')).env_clear();
    command.envs([("VCQ_APP_ID", "cli_simulated"), ("VCQ_APP_SECRET", "simulated"), ("VCQ_LOG", "warn")]);
    command.env("VCQ_API_BASE_URL", url);
    command.env("VCQ_RATE_REQUESTS_PER_MINUTE", REQUESTS_PER_MINUTE.to_string());
    command
}

/// Every file under the dataset in `folder`, each of which must have a name as the contract says.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for date in entries(&folder.join("quality")) {
        assert!(is_date_folder(&date), "`{}` is visible to readers", date.display());
        for file in entries(&date) {
            assert!(is_part_file(&file), "`{}` is visible to readers", file.display());
            files.push(file);
        }
    }
    files
}

/// What stands in a folder, in order; nothing if there is no such folder.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Whether a path under the dataset ends as the contract says: `date=YYYY-MM-DD`, `part-<16 hex digits>.parquet`.
fn is_date_folder(path: &Path) -> bool {
    name_of(path).strip_prefix("date=").is_some_and(|date| date.len() == 10 && date.parse::<NaiveDate>().is_ok())
}

/// See [`is_date_folder`].
fn is_part_file(path: &Path) -> bool {
    let digits = name_of(path).strip_prefix("part-").and_then(|rest| rest.strip_suffix(".parquet"));
    digits.is_some_and(|digits| {
        digits.len() == 16 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// The last part of a path.
pub(crate) fn name_of(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for path in entries(from) {
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
}

/// The tenant with its faults, which forgets everything from one trial to the next.
pub(crate) fn simulator() -> Simulator {
    let cast = Cast::choose();
    let fault = |kind, stay: &SimulatedStay, first_sample, times| {
        let stay = stay.key;
        Fault { kind, when: When::Page { stay, first_sample, times } }
    };
    let faults = vec![
        fault(FaultKind::AbsentMeeting, &cast.first[1], 0, u32::MAX),
        fault(FaultKind::RejectedRow, &cast.first[3], 0, u32::MAX),
        fault(FaultKind::ThrottledBriefly, cast.second.last().unwrap(), 100, 1),
    ];
    Simulator::new(Settings { faults, ..settings() })
}

/// The tenant without faults.
pub(crate) fn settings() -> Settings {
    Settings {
        tenant: TenantSettings {
            first_day: NaiveDate::from_ymd_opt(2025, 3, 1).unwrap(),
            days: DAYS,
            stays: 2000,
            meeting_minutes_max: 600,
            other_forms: 0.05,
            ..TenantSettings::default()
        },
        quota: QuotaSettings { requests_per_minute: REQUESTS_PER_MINUTE, ..QuotaSettings::default() },
        latency: Latency::Constant(Duration::from_millis(1)),
        ..Settings::default()
    }
}

/// The page whose first request is throttled.
pub(crate) fn throttled_page() -> Page {
    (Cast::choose().second.last().unwrap().key, 100)
}

/// The stays of the two manifests.
struct Cast {
    first: Vec<SimulatedStay>,
    second: Vec<SimulatedStay>,
}

impl Cast {
    /// On each of three dates two short stays first and one later; and a stay of three pages each.
    fn choose() -> Self {
        let tenant = Tenant::new(settings().tenant);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for day in 0..DAYS {
            let start_s = FIRST_DAY_START_S + i64::from(day) * 86_400;
            let of_day = |stay: &SimulatedStay| (start_s..start_s + 86_400).contains(&stay.meeting_start_s);
            let mut short = tenant.stays().filter(|stay| of_day(stay) && (1..=30).contains(&stay.sample_count));
            first.extend(short.by_ref().take(2));
            second.extend(short.next());
        }
        let mut long = tenant.stays().filter(|stay| (201..=300).contains(&stay.sample_count));
        first.extend(long.next());
        second.extend(long.next());
        assert_eq!((first.len(), second.len()), (7, 4), "the tenant has the stays for it");
        Self { first, second }
    }
}

/// A manifest of these stays.
pub(crate) fn csv(stays: &[SimulatedStay]) -> String {
    let mut csv = "meeting_no,meeting_start_time,meeting_end_time,join_time,user_id,room_id\n".to_owned();
    for stay in stays {
        let (user, room) = (stay.user_id(UserIdType::OpenId), stay.room_id());
        let (user, room) = (user.unwrap_or_default(), room.unwrap_or_default());
        let SimulatedStay { meeting_no, meeting_start_s, meeting_end_s, join_s, .. } = stay;
        writeln!(csv, "{meeting_no},{meeting_start_s},{meeting_end_s},{join_s},{user},{room}").unwrap();
    }
    csv
}

/// Plays a fresh export on a disk that renames nothing: all pages land, and what was to be published is only recorded.
fn only_intents(empty: &Path, to: &Path) {
    copy(empty, to);
    let cut = Cut::new("renameat2", 1, Blow::FailForGood("EIO"));
    let (_, (output, _)) = serve_while(simulator(), |url| cut.run(&vcq(to, url, FIRST), &[]));
    assert_eq!(output.status.code(), Some(74), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(files(to), Vec::<PathBuf>::new());
}
