//! A folder with a manifest, a simulated tenant on a loopback socket, and the binary between the two.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use arrow::{
    array::{ArrayRef, RecordBatch},
    compute::cast,
    datatypes::DataType,
    util::display::{ArrayFormatter, FormatOptions},
};
use chrono::{DateTime, NaiveDate, Utc};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Builder, sync::oneshot};
use vcq::simulator::{
    Settings, SharedSimulator, Simulator, http,
    latency::Latency,
    manifest,
    quota::QuotaSettings,
    tenant::{Tenant, TenantSettings},
};

/// The quota on both sides, high enough for runs of a second.
pub(crate) const REQUESTS_PER_MINUTE: u32 = 10_000;

/// A small tenant whose meetings are over: two days, most stays of one page, some of several.
pub(crate) fn small() -> Settings {
    Settings {
        tenant: TenantSettings {
            first_day: NaiveDate::from_ymd_opt(2025, 3, 3).unwrap(),
            days: 2,
            stays: 60,
            meeting_minutes_max: 300,
            ..TenantSettings::default()
        },
        quota: QuotaSettings { requests_per_minute: REQUESTS_PER_MINUTE, ..QuotaSettings::default() },
        latency: Latency::Constant(Duration::from_millis(2)),
        ..Settings::default()
    }
}

/// See the module.
pub(crate) struct World {
    home: TempDir,
    simulator: SharedSimulator,
    url: String,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

impl World {
    /// A served tenant, and its manifest as `manifest.csv`.
    pub(crate) fn new(settings: Settings) -> Self {
        let home = tempfile::tempdir().unwrap();
        manifest::write_file(&Tenant::new(settings.tenant.clone()), &home.path().join("manifest.csv")).unwrap();
        let simulator = Arc::new(Mutex::new(Simulator::new(settings)));
        let shared = Arc::clone(&simulator);
        let (url_sender, url) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = thread::spawn(move || {
            Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                url_sender.send(format!("http://{}", listener.local_addr().unwrap())).unwrap();
                let ended = async { drop(stopped.await) };
                http::serve(listener, shared, wall, ended).await.unwrap();
            });
        });
        Self { home, simulator, url: url.recv().unwrap(), stop: Some(stop), server: Some(server) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The tenant, for a server that stands before it.
    pub(crate) fn shared(&self) -> SharedSimulator {
        Arc::clone(&self.simulator)
    }

    pub(crate) fn simulator(&self) -> MutexGuard<'_, Simulator> {
        self.simulator.lock().unwrap()
    }

    /// The binary with `line` as its arguments, in the folder, configured by the environment alone.
    pub(crate) fn vcq(&self, line: &str) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("vcq"));
        command.args(line.split_whitespace()).current_dir(self.home.path()).env_clear().stdin(Stdio::null());
        command.env("VCQ_APP_ID", "cli_simulated").env("VCQ_APP_SECRET", "simulated");
        command.env("VCQ_API_BASE_URL", &self.url);
        command.env("VCQ_RATE_REQUESTS_PER_MINUTE", REQUESTS_PER_MINUTE.to_string());
        command
    }

    /// Runs the binary to its end.
    pub(crate) fn run(&self, line: &str) -> Ran {
        self.ran(&mut self.vcq(line))
    }

    pub(crate) fn ran(&self, command: &mut Command) -> Ran {
        let output = command.output().unwrap();
        let home = self.home.path().to_str().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap().replace(home, "HOME").replace(&self.url, "URL");
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs the binary to its end, which must be success without a word on standard error but log lines.
    pub(crate) fn out(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!(ran.code, Some(0), "{line}\n{}{}", ran.out, ran.err);
        ran.out
    }

    /// The files under a folder, by path from there, with their bytes.
    pub(crate) fn files(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        let root = self.path(folder);
        each_file(&root, &mut |path| {
            files.push((path.strip_prefix(&root).unwrap().display().to_string(), fs::read(path).unwrap()));
        });
        files.sort();
        files
    }

    /// All rows of the dataset as text, in the order of dates and of the rows; files of one date are merged.
    pub(crate) fn rows(&self) -> Vec<String> {
        let mut rows = Vec::new();
        each_file(&self.path("quality"), &mut |path| read_rows(path, &mut rows));
        rows.sort();
        rows
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(server) = self.server.take() {
            let ended = server.join();
            assert!(ended.is_ok() || thread::panicking(), "the simulator panicked");
        }
    }
}

/// How a command ended. The folder's path is `HOME` in the texts, the simulator's `URL`.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Standard error without log lines.
    pub(crate) fn messages(&self) -> String {
        let is_log = |line: &&str| line.starts_with("20") && line.contains("Z ");
        self.err.lines().filter(|line| !is_log(line)).collect::<Vec<_>>().join("\n")
    }
}

/// A child that is killed, if it has not ended, when the test ends.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[expect(clippy::disallowed_methods, reason = "the binary under test lives in real time, so its server does")]
pub(crate) fn wall() -> DateTime<Utc> {
    Utc::now()
}

fn each_file(folder: &Path, each: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() { each_file(&entry.path(), each) } else { each(&entry.path()) }
    }
}

fn read_rows(path: &Path, rows: &mut Vec<String>) {
    let date = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap();
    for batch in reader {
        let batch: RecordBatch = batch.unwrap();
        // Times as microseconds: arrow prints no zones here.
        let plain = |column: &ArrayRef| match column.data_type() {
            DataType::Timestamp(..) => cast(column, &DataType::Int64).unwrap(),
            _ => Arc::clone(column),
        };
        let columns: Vec<ArrayRef> = batch.columns().iter().map(plain).collect();
        let options = FormatOptions::default().with_null("null");
        let columns: Vec<_> = columns.iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            let values: Vec<_> = columns.iter().map(|column| column.value(row).to_string()).collect();
            rows.push(format!("{date} {}", values.join("|")));
        }
    }
}
