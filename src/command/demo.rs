//! `vcq demo`: the simulated tenant, and an export of all that it had on two days, in one process, over a loopback socket.

mod joined;

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use chrono::{Days, NaiveDate};
use tokio::net::TcpListener;

use crate::{
    access::Asker,
    command::{
        export::{Conclusion, Export, Surroundings, export},
        report::{self, Report},
    },
    config::Config,
    dates::{Dates, NamedDates},
    error::{Error, ExitCode},
    event::Emit,
    feishu::{auth::tenant::Credentials, transport::HttpTransport},
    intake::Manifests,
    journal::Lane,
    page::Language,
    simulator::{Settings, Simulator, http, lists::Lists, tenant::TenantSettings},
    start::Start,
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
pub async fn demo(folder: &Path, start: &Start, observe: Emit<'_>) -> Result<Conclusion, Error> {
    let settings = settings();
    std::fs::create_dir_all(folder).map_err(file_error("create", folder))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = TcpListener::bind(address).await.map_err(file_error("listen on", Path::new("127.0.0.1")))?;
    let address = listener.local_addr().map_err(file_error("listen on", Path::new("127.0.0.1")))?;
    let (app_id, app_secret) = (settings.token.app_id.clone(), settings.token.app_secret.clone().into());
    let asker = Asker::Tenant(Credentials { app_id, app_secret });
    let config = config(folder, address)?;
    let transport = HttpTransport::new(&config.api).map_err(|error| Error::Usage(error.to_string()))?;
    let around = Surroundings { config: &config, asker: &asker, transport: &transport, start, observe };
    let task = Export {
        accept_fewer: false,
        planned_end: ExitCode::Again,
        manifests: Manifests::default(),
        discover: Some(dates()),
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

/// What to print after the demo: a table joined from the Parquet files of two datasets, how to go on, and where the page is
/// that this writes.
///
/// # Errors
///
/// If the files that were just published cannot be read.
pub fn summary(folder: &Path, outcome: &Conclusion, start: &Start) -> Result<String, Error> {
    let mut text = outcome.report.to_string();
    if outcome.exit_code == ExitCode::Interrupted {
        return Ok(text);
    }
    let _ = writeln!(text, "\nnetwork  minutes  median delay  median loss   (quality and participants, joined)");
    for (network, samples) in joined::by_network(folder)? {
        let minutes = samples.rows;
        let [delay, loss] = samples.medians();
        let _ = writeln!(text, "{network:<7}  {minutes:>7}  {delay:>9.1} ms  {loss:>9.2} %");
    }
    let [quality, participants] = ["quality", "participants"].map(|name| folder.join(name).join("*/*.parquet"));
    let (quality, participants) = (quality.display(), participants.display());
    let _ = writeln!(
        text,
        "\nGo on with DuckDB:\n  duckdb -c \"SELECT network_type, count(*) AS minutes, median(network_delay_ms) AS delay_ms, \
         median(network_packet_loss_avg_received_pct) AS loss_pct FROM read_parquet('{quality}') AS quality JOIN \
         read_parquet('{participants}') AS participants USING (meeting_no, meeting_start_time, join_time) WHERE \
         coalesce(quality.user_id, quality.room_id) = coalesce(participants.user_id, participants.room_id) GROUP BY \
         network_type ORDER BY network_type\""
    );
    let page = write_page(folder, start)?;
    let _ = writeln!(text, "\nA page to look at, in a browser:\n  {}", page.display());
    Ok(text)
}

/// Writes the page of the demo's own data beside them, and says where it stands.
fn write_page(folder: &Path, start: &Start) -> Result<PathBuf, Error> {
    let path = std::path::absolute(folder.join("report.html")).map_err(file_error("find", folder))?;
    let task = Report { dates: Some(NamedDates::Span(dates())), against: None };
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let figures = report::report(&task, &config(folder, nobody)?, start)?;
    report::write_page(&path, &figures, Language::English, start)?;
    Ok(path)
}

fn dates() -> Dates {
    let last = FIRST_DAY.checked_add_days(Days::new(u64::from(DAYS) - 1)).unwrap_or(FIRST_DAY);
    Dates { first: FIRST_DAY, last }
}

fn settings() -> Settings {
    let tenant = TenantSettings {
        seed: 1,
        first_day: FIRST_DAY,
        days: DAYS,
        stays: STAYS,
        meeting_minutes_max: MEETING_MINUTES_MAX,
        other_forms: OTHER_FORMS,
        lists: Lists { without_id: 0.1, external_participants: 0.05, over_a_day: 0.01, ..Lists::default() },
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

fn file_error(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path: PathBuf = path.to_owned();
    move |source| Error::File { operation, path: path.display().to_string(), source }
}
