//! `vcq demo`: the simulated tenant and an export of all its stays, in one process, over a loopback socket.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::File,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::array::{AsArray, RecordBatchReader};
use arrow::datatypes::Float64Type;
use chrono::NaiveDate;
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};
use tokio::net::TcpListener;

use crate::{
    command::export::{Export, Outcome, Surroundings, export},
    config::Config,
    error::{Error, ExitCode},
    event::Emit,
    feishu::{auth::tenant::Credentials, transport::HttpTransport},
    intake::Manifests,
    journal::Lane,
    simulator::{
        Settings, Simulator, http, manifest,
        tenant::{Tenant, TenantSettings},
    },
    start::Start,
    store::{Store, disk::LocalDisk},
};

/// Small enough for half a minute at the API's real rate.
const STAYS: u64 = 42;

/// Two working days with meetings.
const FIRST_DAY: NaiveDate = NaiveDate::from_ymd_opt(2026, 3, 2).expect("the second of March exists");
const DAYS: u32 = 2;
const MEETING_MINUTES_MAX: u32 = 180;

/// Some of the values are written in the rarer forms, so that the demo shows what is made of them.
const OTHER_FORMS: f64 = 0.0005;

/// Runs the demo in `folder`.
///
/// # Errors
///
/// As [`export`].
pub async fn demo(folder: &Path, start: &Start, observe: Emit<'_>) -> Result<Outcome, Error> {
    let settings = settings();
    std::fs::create_dir_all(folder).map_err(file_error("create", folder))?;
    let manifest = folder.join("manifest.csv");
    manifest::write_file(&Tenant::new(settings.tenant.clone()), &manifest).map_err(file_error("write", &manifest))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = TcpListener::bind(address).await.map_err(file_error("listen on", Path::new("127.0.0.1")))?;
    let address = listener.local_addr().map_err(file_error("listen on", Path::new("127.0.0.1")))?;
    let credentials =
        Credentials { app_id: settings.token.app_id.clone(), app_secret: settings.token.app_secret.clone().into() };
    let config = config(folder, address)?;
    let transport = HttpTransport::new(&config.api).map_err(|error| Error::Usage(error.to_string()))?;
    let around = Surroundings { config: &config, credentials: &credentials, transport: &transport, start, observe };
    let task = Export {
        accept_fewer: false,
        manifests: Manifests { files: vec![manifest], ..Manifests::default() },
        discover: None,
        fetches_samples: true,
        refresh: None,
        lane: Lane::Nightly,
        until: None,
        report: Some(folder.join("report.json")),
    };
    let wall_start = start.clone();
    let serving = http::serve(listener, Simulator::shared(settings), move || wall_start.now(), std::future::pending());
    tokio::select! {
        outcome = export(&task, &around) => outcome,
        served = serving => Err(Error::Bug(format!("the simulator ended before the export: {served:?}"))),
    }
}

/// What to print after the demo: a table read back from the Parquet files, and how to go on.
///
/// # Errors
///
/// If the files that were just published cannot be read.
pub fn summary(folder: &Path, outcome: &Outcome) -> Result<String, Error> {
    let mut text = outcome.report.to_string();
    if outcome.exit_code == ExitCode::Interrupted {
        return Ok(text);
    }
    let output = folder.join("quality");
    let _ = writeln!(text, "\ndate        rows  median delay  median loss   (read back from the Parquet files)");
    for (date, columns) in medians(&output)? {
        let rows = columns.rows;
        let [delay, loss] = columns.medians();
        let _ = writeln!(text, "{date}  {rows:>4}  {delay:>9.1} ms  {loss:>9.2} %");
    }
    let glob = output.join("*/*.parquet");
    let _ = writeln!(
        text,
        "\nGo on with DuckDB:\n  duckdb -c \"SELECT date, count(*), median(network_delay_ms) FROM read_parquet('{}', \
         hive_partitioning = true) GROUP BY date ORDER BY date\"",
        glob.display()
    );
    Ok(text)
}

fn settings() -> Settings {
    let tenant = TenantSettings {
        seed: 1,
        first_day: FIRST_DAY,
        days: DAYS,
        stays: STAYS,
        meeting_minutes_max: MEETING_MINUTES_MAX,
        other_forms: OTHER_FORMS,
        ..TenantSettings::default()
    };
    Settings { tenant, ..Settings::default() }
}

fn config(folder: &Path, address: SocketAddr) -> Result<Config, Error> {
    let folder = |name: &str| folder.join(name).display().to_string();
    Ok(Config::load(
        None,
        [],
        &[("state", folder("state")), ("output", folder("quality")), ("api.base_url", format!("http://{address}"))],
    )?)
}

/// The two columns of the table, by date.
#[derive(Default)]
struct Columns {
    rows: usize,
    values: [Vec<f64>; 2],
}

const TABLE: [&str; 2] = ["network_delay_ms", "network_packet_loss_avg_received_pct"];

impl Columns {
    fn medians(self) -> [f64; 2] {
        self.values.map(|mut values| {
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or_default()
        })
    }
}

fn medians(output: &Path) -> Result<BTreeMap<NaiveDate, Columns>, Error> {
    let dataset = Store::open(Arc::new(LocalDisk), output)?;
    let mut dates: BTreeMap<NaiveDate, Columns> = BTreeMap::new();
    for date in dataset.partitions()?.dates {
        for part in dataset.list(date)?.files {
            let path = dataset.path_of(date, part.name);
            read_columns(&path, dates.entry(date).or_default()).map_err(file_error("read", &path))?;
        }
    }
    Ok(dates)
}

fn read_columns(path: &Path, columns: &mut Columns) -> std::io::Result<()> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), TABLE);
    let reader = builder.with_projection(mask).build()?;
    let positions = TABLE.map(|name| reader.schema().index_of(name));
    for batch in reader {
        let batch = batch.map_err(std::io::Error::other)?;
        columns.rows += batch.num_rows();
        for (values, position) in columns.values.iter_mut().zip(&positions) {
            let Ok(position) = position else { continue };
            values.extend(batch.column(*position).as_primitive::<Float64Type>().iter().flatten());
        }
    }
    Ok(())
}

fn file_error(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path: PathBuf = path.to_owned();
    move |source| Error::File { operation, path: path.display().to_string(), source }
}
