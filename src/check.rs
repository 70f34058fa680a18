//! `vcq check`: one line per matter, each with its remedy.

use std::{fmt, fs, os::unix::fs::PermissionsExt, path::Path};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use secrecy::SecretString;

use crate::{
    config::Config,
    credentials::credentials,
    dataset::Dataset,
    error::{Chain, Error, ExitCode},
    feishu::{
        api::{NO_PERMISSION_REMEDY, Outcome, classify, page_request},
        token::{Credentials, TokenError, read_token, token_request},
        transport::{Call, HttpTransport, Request, Transport},
    },
    fetch::{
        calendar::quota_day,
        month_reached,
        pace::{HOLD, slot_time},
    },
    journal::Journal,
    printable::Printable,
    run::identity,
    start::Start,
    stay::{MeetingNo, Participant, Stay},
};

/// What was looked at, in order.
#[derive(Debug, Default)]
pub struct Checked {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    matter: &'static str,
    finding: String,
    /// The exit code and the remedy of what is wrong, if something is.
    fault: Option<(ExitCode, String)>,
}

/// Looks at everything that a nightly run needs. Permission is tried with one request, which counts for the quota.
pub async fn check(config: &Config, secret: Option<SecretString>, start: &Start) -> Checked {
    let mut checked = Checked::default();
    checked.add("time zone", Ok(zone_finding(config.timezone, start.now())));
    let dataset = Dataset::open(start.disk.clone(), &config.output).map_err(Error::from);
    checked.add("dataset", dataset.map(|_| writable(&config.output.display())).map_err(|error| fault_of(&error)));
    let journal = Journal::open(&config.state, &identity(config)).map_err(Error::from);
    checked.add("journal", journal.as_ref().map(|_| writable(&config.state.display())).map_err(fault_of));
    if journal.is_ok() {
        checked.add("state folder", state_finding(&config.state));
    }
    let credentials = credentials(config, secret);
    checked.add("credentials", credentials.as_ref().map(|c| format!("app id {}", c.app_id)).map_err(fault_of));
    if let (Ok(credentials), Ok(journal)) = (credentials, journal) {
        check_api(&mut checked, config, &credentials, journal, start).await;
    }
    checked
}

async fn check_api(
    checked: &mut Checked,
    config: &Config,
    credentials: &Credentials,
    mut journal: Journal,
    start: &Start,
) {
    let transport = match HttpTransport::new(&config.api) {
        Ok(transport) => transport,
        Err(error) => return checked.add("network", Err(fault_of(&Error::Usage(Chain(&error).to_string())))),
    };
    let token = match read_token(&transport.send(token_request(credentials)).await) {
        Ok(token) => token,
        Err(error) => {
            let error = match error {
                TokenError::Transient(said) => Error::Upstream(said.text),
                TokenError::Denied(said, remedy) => Error::Access { what: said.text, remedy },
            };
            return checked.add("access token", Err(fault_of(&error)));
        }
    };
    checked.add("access token", Ok(format!("issued by {}", config.api.base_url)));
    let finding = try_permission(&transport, config, token.secret, &mut journal, start).await;
    checked.add("permission", finding.map_err(|error| fault_of(&error)));
}

/// Asks for a stay that does not exist: an app that may ask is told so.
async fn try_permission(
    transport: &HttpTransport,
    config: &Config,
    bearer: SecretString,
    journal: &mut Journal,
    start: &Start,
) -> Result<String, Error> {
    let Some(_fetching) = journal.try_lock_fetching()? else {
        return Ok("not tried: a run of this state folder is fetching".into());
    };
    if let Some(reached) = month_reached(journal, config, start.now())? {
        return Ok(format!("not tried: {reached}"));
    }
    let now = start.now();
    let free_at = now + slot_time(&config.api);
    let taken = journal.slots()?.iter().filter(|slot| slot.free_ms > now.timestamp_millis()).count();
    if taken >= config.rate.requests_per_minute as usize {
        return Ok("not tried: the last minute's quota is used up; try again in a minute".into());
    }
    if journal.gate_ms()?.is_some_and(|gate_ms| gate_ms > now.timestamp_millis()) {
        return Ok("not tried: the API refuses requests for now".into());
    }
    let slot = journal.spend(now.timestamp_millis(), free_at.timestamp_millis(), quota_day(now))?;
    let path_and_query = page_request(&nobody(now), config.api.user_id_type, None);
    let answer = transport.send(Request { path_and_query, call: Call::Get { bearer } }).await;
    journal.free_slot(slot, (start.now() + HOLD).timestamp_millis() + 1);
    journal.write_slots()?;
    match classify(&answer, start.now()) {
        Outcome::Page(_) | Outcome::Absent(_) | Outcome::Rejected(_) => Ok("the app may read meeting quality".into()),
        Outcome::NoPermission(said) => Err(Error::Access { what: said.text, remedy: NO_PERMISSION_REMEDY }),
        Outcome::Denied(said, remedy) => Err(Error::Access { what: said.text, remedy }),
        Outcome::Throttled { wait } => {
            journal.set_gate_ms((start.now() + wait).timestamp_millis())?;
            Ok("not known: the API refuses requests for now".into())
        }
        Outcome::MonthUsedUp(said)
        | Outcome::TokenRefused(said)
        | Outcome::Transient(said)
        | Outcome::OffContract(said)
        | Outcome::Failed(said) => Err(Error::Upstream(said.text)),
    }
}

fn nobody(now: DateTime<Utc>) -> Stay {
    let start_s = now.timestamp() - 86_400;
    Stay {
        meeting_no: MeetingNo::parse("000000000").expect("nine digits"),
        meeting_start_s: start_s,
        meeting_end_s: start_s + 60,
        join_s: start_s,
        participant: Participant::User("ou_00000000000000000000000000000000".into()),
    }
}

fn zone_finding(zone: Tz, now: DateTime<Utc>) -> String {
    format!("{zone}, where it is {}", now.with_timezone(&zone).format("%Y-%m-%d %H:%M"))
}

fn writable(folder: &dyn fmt::Display) -> String {
    format!("`{folder}` can be written")
}

/// A folder that vcq has made is closed to others; one that was there is left as it is, but not without a word.
fn state_finding(folder: &Path) -> Result<String, (ExitCode, String, Option<String>)> {
    let name = folder.display();
    let metadata = fs::metadata(folder).map_err(|error| {
        let failed = Error::File { operation: "look at", path: name.to_string(), source: error };
        fault_of(&failed)
    })?;
    let mode = metadata.permissions().mode() & 0o7777;
    let is_open = mode & 0o077 > 0;
    let finding = format!("`{name}` has mode {mode:04o}: others can see what is in it");
    let fault = || (ExitCode::Usage, finding, Some(format!("chmod 700 {name}")));
    if is_open { Err(fault()) } else { Ok(format!("`{name}` is closed to others")) }
}

fn fault_of(error: &Error) -> (ExitCode, String, Option<String>) {
    (error.exit_code(), Chain(error).to_string(), error.hint())
}

impl Checked {
    fn add(&mut self, matter: &'static str, finding: Result<String, (ExitCode, String, Option<String>)>) {
        self.lines.push(match finding {
            Ok(finding) => Line { matter, finding, fault: None },
            Err((code, finding, remedy)) => Line { matter, finding, fault: Some((code, remedy.unwrap_or_default())) },
        });
    }

    /// That of the first fault, or 0.
    pub fn exit_code(&self) -> ExitCode {
        self.lines.iter().find_map(|line| line.fault.as_ref()).map_or(ExitCode::Complete, |(code, _)| *code)
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Line { matter, finding, fault } in &self.lines {
            match fault {
                None => writeln!(f, "ok    {matter}: {}", Printable(finding))?,
                Some((_, remedy)) if remedy.is_empty() => writeln!(f, "FAIL  {matter}: {}", Printable(finding))?,
                Some((_, remedy)) => {
                    writeln!(f, "FAIL  {matter}: {}\n      {}", Printable(finding), Printable(remedy))?
                }
            }
        }
        Ok(())
    }
}
