//! `vcq demo`: the simulated tenant, and a discovery and export of all its stays, in one process, over a loopback socket.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::File,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{Array, AsArray, RecordBatch, StringArray},
    datatypes::{Float64Type, TimestampMicrosecondType},
};
use chrono::{Days, NaiveDate};
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};
use tokio::net::TcpListener;

use crate::{
    command::export::{Export, Outcome, Surroundings, export},
    config::Config,
    dates::Dates,
    error::{Error, ExitCode},
    event::Emit,
    feishu::{auth::tenant::Credentials, transport::HttpTransport},
    intake::Manifests,
    journal::Lane,
    simulator::{Settings, Simulator, http, lists::Lists, tenant::TenantSettings},
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

/// Runs the demo in `folder`: discovers two dates, and exports their stays.
///
/// # Errors
///
/// As [`export`].
pub async fn demo(folder: &Path, start: &Start, observe: Emit<'_>) -> Result<Outcome, Error> {
    let settings = settings();
    std::fs::create_dir_all(folder).map_err(file_error("create", folder))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = TcpListener::bind(address).await.map_err(file_error("listen on", Path::new("127.0.0.1")))?;
    let address = listener.local_addr().map_err(file_error("listen on", Path::new("127.0.0.1")))?;
    let credentials =
        Credentials { app_id: settings.token.app_id.clone(), app_secret: settings.token.app_secret.clone().into() };
    let config = config(folder, address)?;
    let transport = HttpTransport::new(&config.api).map_err(|error| Error::Usage(error.to_string()))?;
    let around = Surroundings { config: &config, credentials: &credentials, transport: &transport, start, observe };
    let last = FIRST_DAY.checked_add_days(Days::new(u64::from(DAYS) - 1)).unwrap_or(FIRST_DAY);
    let task = Export {
        accept_fewer: false,
        manifests: Manifests::default(),
        discover: Some(Dates { first: FIRST_DAY, last }),
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
    let quality = folder.join("quality");
    let participants = folder.join("participants");
    let _ = writeln!(text, "\nnetwork     rows  median delay  median loss   (joined from the Parquet files)");
    for (network, columns) in by_network(&quality, &participants)? {
        let rows = columns.rows;
        let [delay, loss] = columns.medians();
        let _ = writeln!(text, "{network:<9} {rows:>6}  {delay:>9.1} ms  {loss:>9.2} %");
    }
    let [quality, participants] =
        [quality, participants].map(|folder| folder.join("*/*.parquet").display().to_string());
    let _ = writeln!(
        text,
        "\nThe same with DuckDB:\n  duckdb -c \"SELECT network_type, count(*), median(network_delay_ms), \
         median(network_packet_loss_avg_received_pct) FROM read_parquet('{quality}') JOIN (SELECT meeting_no, \
         meeting_start_time, join_time, coalesce(user_id, room_id) AS id, any_value(network_type) AS network_type FROM \
         read_parquet('{participants}') GROUP BY ALL) AS people USING (meeting_no, meeting_start_time, join_time) WHERE id = \
         coalesce(user_id, room_id) GROUP BY ALL ORDER BY ALL\""
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
        lists: Lists { without_id: 0.1, second_devices: 0.1, ..Lists::default() },
        ..TenantSettings::default()
    };
    Settings { tenant, ..Settings::default() }
}

fn config(folder: &Path, address: SocketAddr) -> Result<Config, Error> {
    let folder = |name: &str| folder.join(name).display().to_string();
    Ok(Config::load(
        None,
        [],
        &[
            ("state", folder("state")),
            ("output", folder("quality")),
            ("discover.meetings", folder("meetings")),
            ("discover.participants", folder("participants")),
            ("api.base_url", format!("http://{address}")),
        ],
    )?)
}

/// The two columns of the table, of one type of network.
#[derive(Default)]
struct Columns {
    rows: usize,
    values: [Vec<f64>; 2],
}

const VALUES: [&str; 2] = ["network_delay_ms", "network_packet_loss_avg_received_pct"];

impl Columns {
    fn medians(self) -> [f64; 2] {
        self.values.map(|mut values| {
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or_default()
        })
    }
}

/// What a sample and its attendance have in common: meeting number and start, join time, and the id.
type Key = (String, i64, i64, String);

const KEY_COLUMNS: [&str; 5] = ["meeting_no", "meeting_start_time", "join_time", "user_id", "room_id"];

/// Joins the samples with the attendances that they are of.
fn by_network(quality: &Path, participants: &Path) -> Result<BTreeMap<String, Columns>, Error> {
    let mut networks = BTreeMap::new();
    each_batch(participants, &["network_type"], |batch| {
        let types = text_column(batch, "network_type");
        for row in 0..batch.num_rows() {
            if let Some(key) = key(batch, row) {
                networks.insert(key, types.and_then(|types| types.iter().nth(row)?).unwrap_or("not said").to_owned());
            }
        }
    })?;
    let mut table: BTreeMap<String, Columns> = BTreeMap::new();
    each_batch(quality, &VALUES, |batch| {
        for row in 0..batch.num_rows() {
            let Some(network) = key(batch, row).and_then(|key| networks.get(&key)) else { continue };
            let columns = table.entry(network.clone()).or_default();
            columns.rows += 1;
            for (values, name) in columns.values.iter_mut().zip(VALUES) {
                let column = batch.column_by_name(name).map(AsArray::as_primitive::<Float64Type>);
                values.extend(column.filter(|column| column.is_valid(row)).map(|column| column.value(row)));
            }
        }
    })?;
    Ok(table)
}

fn key(batch: &RecordBatch, row: usize) -> Option<Key> {
    let text = |name| text_column(batch, name).filter(|column| column.is_valid(row)).map(|column| column.value(row));
    let time = |name| Some(batch.column_by_name(name)?.as_primitive::<TimestampMicrosecondType>().value(row));
    let [number, start, join, user, room] = KEY_COLUMNS;
    Some((text(number)?.to_owned(), time(start)?, time(join)?, text(user).or_else(|| text(room))?.to_owned()))
}

fn text_column<'a>(batch: &'a RecordBatch, name: &str) -> Option<&'a StringArray> {
    batch.column_by_name(name)?.as_string_opt()
}

/// Hands the key columns and these of every file of a dataset to `each`.
fn each_batch(folder: &Path, columns: &[&str], mut each: impl FnMut(&RecordBatch)) -> Result<(), Error> {
    let dataset = Store::open(Arc::new(LocalDisk), folder)?;
    for date in dataset.partitions()?.dates {
        for part in dataset.list(date)?.files {
            let path = dataset.path_of(date, part.name);
            let mut read = || -> std::io::Result<()> {
                let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(&path)?)?;
                let names = KEY_COLUMNS.iter().chain(columns).copied();
                let mask = ProjectionMask::columns(builder.parquet_schema(), names);
                for batch in builder.with_projection(mask).build()? {
                    each(&batch.map_err(std::io::Error::other)?);
                }
                Ok(())
            };
            read().map_err(file_error("read", &path))?;
        }
    }
    Ok(())
}

fn file_error(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path: PathBuf = path.to_owned();
    move |source| Error::File { operation, path: path.display().to_string(), source }
}
