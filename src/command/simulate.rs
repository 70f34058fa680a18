//! `vcq simulate`: the simulated tenant as a server.

use std::{
    fmt::Write as _,
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{self, PathBuf},
    time::Duration,
};

use chrono::{DateTime, Days, FixedOffset, NaiveDate, Utc};
use clap::{ValueEnum, builder::PossibleValue};
use tokio::net::TcpListener;

use crate::{
    config::REQUESTS_PER_MINUTE_MAX,
    simulator::{
        Settings, Simulator,
        faults::{self, Fault},
        http,
        latency::Latency,
        lists::Lists,
        manifest,
        quota::{QuotaSettings, WindowKind},
        sign_in::{ConsentPage, SignInFault, SignInSettings, parse_fault},
        tenant::{STAYS_MAX, Tenant, TenantSettings},
        token::TokenSettings,
    },
};

impl ValueEnum for WindowKind {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Sliding, Self::Fixed, Self::Bucket, Self::Weighted]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Sliding => PossibleValue::new("sliding").help("The last 60 s before each request"),
            Self::Fixed => {
                PossibleValue::new("fixed").help("Minutes one after the other, with a phase that the seed decides")
            }
            Self::Bucket => PossibleValue::new("bucket").help("A token bucket that is refilled evenly"),
            Self::Weighted => PossibleValue::new("weighted")
                .help("Fixed minutes, the one before weighted by the share of it that lies in the last 60 s"),
        })
    }
}

impl ValueEnum for ConsentPage {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Ask, Self::Allow, Self::Deny]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Ask => PossibleValue::new("ask").help("Shows what is asked, with two links"),
            Self::Allow => PossibleValue::new("allow").help("Says yes at once"),
            Self::Deny => PossibleValue::new("deny").help("Says no at once"),
        })
    }
}

/// Run the simulated Feishu tenant as a server, for trying things out and for tests.
///
/// The tenant is made from a seed: the same seed gives the same meetings, the same manifest and the same values.
/// What arrived can be read at `/_sim/books`. On standard error stands what to type to export from it.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:
  vcq simulate --stays 500 --days 3 --requests-per-minute 6000 --write-manifest manifest.csv")]
pub struct SimulateArgs {
    /// Where to listen; port 0 takes any free port. The address is printed as one line on stdout
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8350")]
    pub listen: SocketAddr,
    /// Decides meetings, values, latencies and faults
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// First day with meetings, in UTC+8 [default: so that the last day is the one before yesterday]
    #[arg(long, value_name = "DATE")]
    pub from: Option<NaiveDate>,
    /// How many days have meetings
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=3660))]
    pub days: u32,
    /// How many stays there are, exactly
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(..=STAYS_MAX))]
    pub stays: u64,
    /// Longest planned meeting in minutes; short ones make small tenants
    #[arg(long, value_name = "N", default_value_t = 1440, value_parser = clap::value_parser!(u32).range(1..=1440))]
    pub meeting_minutes_max: u32,
    /// Share of values written in other than the documented forms, 0 to 1
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    pub other_forms: f64,
    /// How long after a meeting's end its data appear; before that it is not found
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    pub data_delay: Duration,
    /// How long after a meeting's end its stays have the first third of their samples alone
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    pub partial_for: Duration,
    /// Share, 0 to 1, of each oddity that the lists of meetings and participants may have: attendances without an id or
    /// with a second device, meetings over midnight or over a day, ends that change, rarer texts, and the like
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    pub odd_lists: f64,
    /// How long after its end a meeting is listed
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    pub late_lists: Duration,
    /// How the requests of a minute are counted
    #[arg(long, value_enum, default_value_t = WindowKind::Sliding)]
    pub window: WindowKind,
    /// Requests that a full bucket holds, for `--window bucket`
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub bucket_capacity: u32,
    /// Count refused requests as well, except for `--window bucket`
    #[arg(long)]
    pub count_refused: bool,
    /// HTTP status of a refusal: 429, or 400 as with older APIs
    #[arg(long, value_name = "STATUS", default_value = "429", value_parser = refusal_status)]
    pub refusal_status: u16,
    /// Most requests a minute
    // The type must be that of the client's option of this name: clap keeps one value for both.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub requests_per_minute: u32,
    /// Most successful requests a calendar month of UTC+8; 0 for no limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub requests_per_month: u64,
    /// How long a token holds, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 7200, value_parser = clap::value_parser!(u32).range(1..))]
    pub token_life: u32,
    /// Refuse tenant tokens at the endpoints for data with 121005, as tenants do whose apps may not ask for themselves
    #[arg(long)]
    pub tenant_tokens_refused: bool,
    /// What the consent page of a sign-in does
    #[arg(long, value_enum, default_value_t = ConsentPage::Ask)]
    pub consent: ConsentPage,
    /// A redirect URL of the app's settings [default: any on a loopback address]
    #[arg(long = "redirect-uri", value_name = "URL")]
    pub redirect_uris: Vec<String>,
    /// Give no refresh tokens, as an app whose switch for it is off
    #[arg(long)]
    pub no_refresh: bool,
    /// How long a user's access token holds, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 7200, value_parser = clap::value_parser!(u32).range(1..))]
    pub user_token_life: u32,
    /// How long a refresh token holds, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 604_800, value_parser = clap::value_parser!(u32).range(1..))]
    pub refresh_token_life: u32,
    /// Which person consents: different numbers are different people
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub person: u32,
    /// A fault of renewals and its rate: lost-answer, reset, slow, or one of the codes 20050, 20072 (passing), 20010,
    /// 20026, 20037, 20064, 20066, 20073
    #[arg(long = "sign-in-fault", value_name = "KIND=RATE", value_parser = parse_fault)]
    pub sign_in_faults: Vec<SignInFault>,
    /// How long every answer takes [default: drawn, about 350ms with a tail]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub latency: Option<Duration>,
    /// A fault and its rate; see `--help` for the kinds
    #[arg(long = "fault", value_name = "KIND=RATE", value_parser = faults::parse, long_help = faults::help())]
    pub faults: Vec<Fault>,
    /// Write the tenant's manifest before serving, as CSV or JSON Lines by its ending
    #[arg(long, value_name = "FILE")]
    pub write_manifest: Option<PathBuf>,
    /// App id that the token endpoint accepts
    #[arg(long, value_name = "ID", default_value = "cli_simulated")]
    pub app_id: String,
    /// App secret that the token endpoint accepts: a made-up one
    #[arg(long, value_name = "SECRET", default_value = APP_SECRET)]
    pub app_secret: String,
}

/// The secret of a tenant that nobody has given another one.
const APP_SECRET: &str = "simulated";

/// Why the simulator cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The manifest could not be written.
    #[error("could not write the manifest `{}`", path.display())]
    Manifest {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The address is not to be had.
    #[error("could not listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The address could not be printed.
    #[error("could not print the address")]
    Print(#[source] io::Error),
    /// No more connections could be accepted.
    #[error("could not go on serving")]
    Serve(#[source] io::Error),
}

impl SimulateArgs {
    /// What the arguments ask for, when today is the day of `now` in UTC+8.
    pub fn settings(&self, now: DateTime<Utc>) -> Settings {
        let zone = FixedOffset::east_opt(8 * 3600).expect("eight hours are a zone's offset");
        let today = now.with_timezone(&zone).date_naive();
        // A meeting lasts a day at most, so all have ended by today.
        let days_back = Days::new(u64::from(self.days) + 1);
        let first_day = self.from.or_else(|| today.checked_sub_days(days_back)).unwrap_or(today);
        Settings {
            tenant: TenantSettings {
                seed: self.seed,
                first_day,
                days: self.days,
                stays: self.stays,
                meeting_minutes_max: self.meeting_minutes_max,
                other_forms: self.other_forms,
                good_connections: true,
                missing_samples: 0,
                data_delay_s: u32::try_from(self.data_delay.as_secs()).unwrap_or(u32::MAX),
                partial_for_s: u32::try_from(self.partial_for.as_secs()).unwrap_or(u32::MAX),
                lists: self.lists(),
            },
            quota: QuotaSettings {
                window: self.window,
                requests_per_minute: self.requests_per_minute,
                bucket_capacity: self.bucket_capacity,
                count_refused: self.count_refused,
                refusal_status: self.refusal_status,
                requests_per_month: self.requests_per_month,
            },
            token: TokenSettings {
                app_id: self.app_id.clone(),
                app_secret: self.app_secret.clone(),
                life_s: self.token_life,
            },
            sign_in: SignInSettings {
                consent: self.consent,
                redirect_uris: self.redirect_uris.clone(),
                may_refresh: !self.no_refresh,
                access_life_s: self.user_token_life,
                refresh_life_s: self.refresh_token_life,
                refuses_tenants: self.tenant_tokens_refused,
                person: self.person,
                faults: self.sign_in_faults.clone(),
            },
            latency: self.latency.map_or(Latency::Drawn, Latency::Constant),
            faults: self.faults.clone(),
        }
    }
}

impl SimulateArgs {
    /// What a shell is told to export from the tenant that listens at `address`, from the credentials to the page; in a new folder,
    /// so that nothing simulated comes into a real dataset.
    pub fn next_steps(&self, address: SocketAddr, now: DateTime<Utc>) -> String {
        let tenant = self.settings(now).tenant;
        let last_day = tenant.first_day.checked_add_days(Days::new(u64::from(tenant.days) - 1));
        let dates = format!("{}..{}", tenant.first_day, last_day.unwrap_or(tenant.first_day));
        let mut text =
            format!("A tenant with {} stays on {dates}, until Ctrl-C. In another terminal:\n\n", tenant.stays);
        let mut variable = |name: &str, value: &str| _ = writeln!(text, "  export {name}={}", quoted(value));
        variable("VCQ_APP_ID", &self.app_id);
        variable("VCQ_APP_SECRET", if self.app_secret == APP_SECRET { APP_SECRET } else { "the one of --app-secret" });
        variable("VCQ_API_BASE_URL", &format!("http://{}", reachable(address)));
        variable("VCQ_RATE_REQUESTS_PER_MINUTE", &self.requests_per_minute.min(REQUESTS_PER_MINUTE_MAX).to_string());
        let of_what = self.write_manifest.as_ref().map_or_else(
            || format!("--discover {dates}"),
            |path| {
                let path = path::absolute(path).unwrap_or_else(|_| path.clone());
                format!("--manifest {}", quoted(&path.display().to_string()))
            },
        );
        for command in [
            "cd \"$(mktemp -d)\"",
            "vcq check",
            &format!("vcq export {of_what} --report report.json"),
            "vcq status",
            "vcq report --html report.html",
        ] {
            let _ = writeln!(text, "  {command}");
        }
        text
    }

    fn lists(&self) -> Lists {
        let odd = Lists::odd(self.odd_lists);
        if self.late_lists.is_zero() {
            return odd;
        }
        let late_by_s = u32::try_from(self.late_lists.as_secs()).unwrap_or(u32::MAX);
        Lists { late_listings: 1.0, late_by_s, ..odd }
    }
}

/// Writes the manifest if asked to, hands the bound address to `announce`, and serves until `shutdown` is ready.
///
/// # Errors
///
/// File or address cannot be used, or the address not be printed: see [`SimulateError`].
pub async fn run(
    args: &SimulateArgs,
    wall: impl Fn() -> DateTime<Utc>,
    announce: impl FnOnce(SocketAddr) -> io::Result<()>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), SimulateError> {
    let settings = args.settings(wall());
    if let Some(path) = &args.write_manifest {
        manifest::write_file(&Tenant::new(settings.tenant.clone()), path)
            .map_err(|source| SimulateError::Manifest { path: path.clone(), source })?;
    }
    let in_listening = |source| SimulateError::Listen { address: args.listen, source };
    let listener = TcpListener::bind(args.listen).await.map_err(in_listening)?;
    let address = listener.local_addr().map_err(in_listening)?;
    announce(address).map_err(SimulateError::Print)?;
    http::serve(listener, Simulator::shared(settings), wall, shutdown).await.map_err(SimulateError::Serve)
}

/// Where a client on this machine finds what listens at `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        _ => address,
    }
}

/// `text` as one word of a shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:".contains(c);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "must be between 0 and 1".to_owned())
}

fn refusal_status(text: &str) -> Result<u16, String> {
    match text {
        "429" => Ok(429),
        "400" => Ok(400),
        _ => Err("must be 429 or 400".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::simulator::endpoint::Endpoint;

    #[derive(clap::Parser)]
    struct Simulate {
        #[command(flatten)]
        args: SimulateArgs,
    }

    fn parse(line: &str) -> Result<SimulateArgs, clap::Error> {
        Simulate::try_parse_from(line.split(' ')).map(|simulate| simulate.args)
    }

    fn now() -> DateTime<Utc> {
        "2025-04-10T18:00:00Z".parse().unwrap()
    }

    #[test]
    fn without_options_all_is_as_the_api_documents_it() {
        let settings = parse("simulate").unwrap().settings(now());
        let tenant = TenantSettings { first_day: "2025-04-03".parse().unwrap(), ..TenantSettings::default() };
        let expected = Settings { tenant, ..Settings::default() };
        assert_eq!(format!("{settings:?}"), format!("{expected:?}"));
    }

    #[test]
    fn options_are_checked() {
        for wrong in [
            "--days 0",
            "--stays 100000001",
            "--other-forms 1.1",
            "--odd-lists 1.1",
            "--late-lists soon",
            "--fault reset@elsewhere=0.1",
            "--refusal-status 500",
            "--requests-per-minute 0",
            "--fault nonsense=0.1",
            "--window slidng",
            "--token-life 0",
            "--from yesterday",
        ] {
            assert!(parse(&format!("simulate {wrong}")).is_err(), "{wrong}");
        }
        let args = parse("simulate --fault reset=0.1 --fault hang=0.2 --latency 20ms --window weighted").unwrap();
        let settings = args.settings(now());
        assert_eq!(settings.faults.len(), 2);
        assert_eq!(settings.latency, Latency::Constant(Duration::from_millis(20)));
        assert_eq!(settings.quota.window, WindowKind::Weighted);
        let args = parse("simulate --odd-lists 0.2 --late-lists 2h --fault no-permission@participants=1").unwrap();
        let settings = args.settings(now());
        let lists = Lists { late_listings: 1.0, late_by_s: 7200, ..Lists::odd(0.2) };
        assert_eq!(settings.tenant.lists, lists);
        assert_eq!(settings.faults[0].only(), Some(Endpoint::Participants));
    }

    #[test]
    fn the_help_names_every_fault() {
        let help = Simulate::command().render_long_help().to_string();
        assert!(faults::FaultKind::ALL.iter().all(|kind| help.contains(kind.name())));
    }

    #[tokio::test]
    async fn the_manifest_is_written_before_the_address_is_printed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.csv");
        let line = format!("simulate --listen 127.0.0.1:0 --stays 10 --write-manifest {}", path.display());
        let announce = |address: SocketAddr| {
            assert_ne!(address.port(), 0);
            assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 11);
            Ok(())
        };
        run(&parse(&line).unwrap(), now, announce, std::future::ready(())).await.unwrap();
    }

    #[test]
    fn what_to_type_next_leaves_no_word_to_the_shell() {
        let address = "0.0.0.0:8350".parse().unwrap();
        let said = parse("simulate --days 2 --requests-per-minute 20000").unwrap().next_steps(address, now());
        for line in [
            "  export VCQ_APP_SECRET=simulated\n",
            "  export VCQ_API_BASE_URL=http://127.0.0.1:8350\n",
            "  export VCQ_RATE_REQUESTS_PER_MINUTE=10000\n",
            "  vcq export --discover 2025-04-08..2025-04-09 --report report.json\n",
        ] {
            assert!(said.contains(line), "{line}{said}");
        }
        let args = parse("simulate --app-secret it's --app-id a$b --write-manifest /it's.csv").unwrap();
        let said = args.next_steps(address, now());
        assert!(said.contains("APP_ID='a$b'\n") && said.contains("--manifest '/it'\\''s.csv' --report"), "{said}");
        assert!(!said.contains("APP_SECRET='it"), "a secret that somebody has given is not told: {said}");
    }

    #[tokio::test]
    async fn what_cannot_be_used_is_named() {
        for (option, message) in [
            ("--write-manifest /nowhere/m.csv", "could not write the manifest `/nowhere/m.csv`"),
            ("--write-manifest manifest.txt", "could not write the manifest `manifest.txt`"),
            ("--listen 192.0.2.1:1", "could not listen on 192.0.2.1:1"),
        ] {
            let args = parse(&format!("simulate {option}")).unwrap();
            let result = run(&args, now, |_| Ok(()), std::future::ready(())).await;
            assert_eq!(result.unwrap_err().to_string(), message);
        }
    }
}
