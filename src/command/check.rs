//! `vcq check`: one line per matter, each with its remedy.

use std::{
    fmt, fs, io,
    os::unix::fs::PermissionsExt,
    path::{self, Path},
    time::Duration,
};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use rustix::fs::Access;
use secrecy::SecretString;
use serde::{Serialize, Serializer};
use serde_json::json;

use crate::{
    access::{Asker, NoToken, asker, sign_in::Standing, sign_in_file::SignInFile},
    config::{Config, Form},
    dataset::Dataset,
    endpoint::Endpoint,
    error::{Chain, Error, ExitCode},
    feishu::{
        Bearer,
        answer::{Judgement, Outcome},
        auth::{Token, TokenError},
        meaning, meetings, no_permission_remedy, participants, quality,
        transport::{Call, HttpTransport, Request, Step, Transport, TransportError},
    },
    fetch::{
        calendar::quota_day,
        month_reached,
        pace::{HOLD, slot_time},
        refuse_for, refused_for,
    },
    journal::{Identity, Journal, JournalError},
    meeting::Meeting,
    place::Place,
    printable::{AppId, Printable},
    publish::{FoundTable, Publisher, find_table},
    start::Start,
    stay::{MeetingNo, Participant, Stay},
    store::{Store, disk::DiskError},
};

/// What was looked at, in order.
#[derive(Debug, Default)]
pub struct Checked {
    lines: Vec<Line>,
    /// True if the stop signal came before everything was looked at.
    is_stopped: bool,
}

#[derive(Debug)]
struct Line {
    matter: &'static str,
    finding: String,
    /// The exit code and the remedy of what is wrong, if something is.
    fault: Option<(ExitCode, String)>,
    /// Whether it is wrong only for those who discover.
    is_note: bool,
}

/// Looks at everything that a nightly run needs, until it is told to stop; creates nothing.
///
/// Permission is tried with one request to each endpoint, which counts for its quota.
pub async fn check(config: &Config, secret: Option<SecretString>, start: &Start) -> Checked {
    let mut checked = Checked::default();
    checked.add("time zone", Ok(zone_finding(config.timezone, start.now())));
    let mut reached = Vec::new();
    for dataset in Dataset::ALL {
        let Some(place) = config.place(dataset) else { continue };
        let finding = dataset_finding(place, config, start);
        reached.extend(finding.is_ok().then_some((dataset, place)));
        let matter = if dataset == Dataset::Quality { "dataset" } else { dataset.name() };
        checked.add(matter, finding.map_err(|error| fault_of(&error)));
    }
    let journal = open_journal(config).map_err(Error::from);
    let finding = match &journal {
        Ok(Some(_)) => Ok(writable(&config.state.display())),
        Ok(None) => creatable(&config.state).map_err(|error| fault_of(&error)),
        Err(error) => Err(fault_of(error)),
    };
    checked.add("journal", finding);
    if let Ok(journal) = &journal {
        let has_lists = Dataset::LISTED.into_iter().all(|listed| reached.iter().any(|(dataset, _)| *dataset == listed));
        if reached.iter().any(|(dataset, _)| *dataset == Dataset::Quality)
            && let Some(finding) = agreement(journal.as_ref(), config, has_lists, start).transpose()
        {
            checked.add("journal and datasets", finding.map_err(|error| fault_of(&error)));
        }
        for (dataset, place) in reached {
            let finding = table_finding(dataset, place, config, journal.as_ref(), start).transpose();
            if let Some(finding) = finding {
                checked.add(table_matter(dataset), finding.map_err(|error| fault_of(&error)));
            }
        }
    }
    if journal.is_ok() && config.state.exists() {
        checked.add("state folder", state_finding(&config.state));
    }
    let asker = asker(config, secret);
    checked.add("credentials", asker.as_ref().map(|asker| credentials_finding(asker, config)).map_err(fault_of));
    if let (Ok(asker), Ok(journal)) = (asker, journal) {
        let mut stop = start.stop.clone();
        let mut work = Box::pin(check_api(&mut checked, config, &asker, journal, start));
        let is_stopped = tokio::select! {
            biased;
            () = stop.requested() => true,
            () = &mut work => false,
        };
        if is_stopped {
            asker.settle(work.as_mut()).await;
        }
        drop(work);
        checked.is_stopped = is_stopped;
    }
    checked
}

fn credentials_finding(asker: &Asker, config: &Config) -> String {
    let given = || config.auth.access_token_file.as_deref().unwrap_or(Path::new("")).display().to_string();
    match asker {
        Asker::Tenant(credentials) => format!("app id {}", AppId(&credentials.app_id)),
        Asker::User(signed_in) => format!("app id {}, for somebody who signed in", AppId(signed_in.app_id())),
        Asker::Given(_) => format!("the access token in `{}`", given()),
    }
}

/// The journal, if there is one.
fn open_journal(config: &Config) -> Result<Option<Journal>, JournalError> {
    match Journal::open_existing(&config.state, &Identity::of(config)) {
        Err(JournalError::Missing(_)) => Ok(None),
        opened => opened.map(Some),
    }
}

fn dataset_finding(place: &Place, config: &Config, start: &Start) -> Result<String, Error> {
    match place {
        Place::Folder(folder) => folder_finding(folder, start),
        Place::Bucket(_) => {
            let tried = start.stores(config).existing(place)?.try_out()?;
            Ok(tried.map_or_else(|| writable(place), |tried| tried.to_string()))
        }
    }
}

fn folder_finding(folder: &Path, start: &Start) -> Result<String, Error> {
    if !folder.exists() {
        return creatable(folder);
    }
    let existing = Store::existing(start.disk.clone(), folder)?;
    existing.staged()?;
    let is_new = folder.is_dir() && !existing.has_staging();
    if is_new {
        // Opening would make it.
        let parent = fs::canonicalize(folder).ok().and_then(|root| root.parent().map(Path::to_owned));
        writable_folder(&parent.unwrap_or_else(|| folder.to_owned()))?;
    } else {
        Store::open(start.disk.clone(), folder)?;
    }
    Ok(writable(&folder.display()))
}

/// Whether a run would find journal and datasets to be of each other; nothing, where there is neither.
fn agreement(
    journal: Option<&Journal>,
    config: &Config,
    has_lists: bool,
    start: &Start,
) -> Result<Option<String>, Error> {
    let stores = start.stores(config);
    let publisher = Publisher::new(stores.existing(&config.output)?, stores, config);
    let compared = match journal {
        Some(journal) => publisher.compare(journal, has_lists),
        None => publisher.compare(&Journal::nowhere(&config.state)?, has_lists),
    };
    match compared {
        // The line of the table tells it.
        Err(Error::Disk(DiskError::Table { .. })) => Ok(None),
        compared => compared.map(|()| journal.map(|_| "what is published is there, and nothing else".to_owned())),
    }
}

/// What the line of a dataset's table is about.
fn table_matter(dataset: Dataset) -> &'static str {
    match dataset {
        Dataset::Quality => "table of the dataset",
        Dataset::Meetings => "table of meetings",
        Dataset::Participants => "table of participants",
    }
}

/// Whether there is a table's log, whose it is, and that it can be gone on with; `None` where there is none and none is to be.
fn table_finding(
    dataset: Dataset,
    place: &Place,
    config: &Config,
    journal: Option<&Journal>,
    start: &Start,
) -> Result<Option<String>, Error> {
    let store = start.stores(config).existing(place)?;
    let log = store.log_path();
    let log = log.display();
    let Some(FoundTable { id, is_known, files, lacking }) = find_table(journal, &store, dataset)? else {
        let is_to_be = config.table == Form::Delta;
        return Ok(
            is_to_be.then(|| format!("none yet: the first run begins `{log}` with the files that the journal knows"))
        );
    };
    let whose = if is_known {
        "is this journal's"
    } else {
        "is not this journal's: the next run takes it over, `vcq adopt` its files"
    };
    let gains = if lacking.is_empty() {
        String::new()
    } else {
        format!("; the next run gives it the columns `{}`", lacking.join("`, `"))
    };
    Ok(Some(format!("`{log}`, of table {id} with {files} files, can be gone on with; it {whose}{gains}")))
}

/// That a folder which is not there can be made.
fn creatable(folder: &Path) -> Result<String, Error> {
    let absolute = path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let above = absolute.ancestors().find(|folder| folder.exists()).unwrap_or(&absolute);
    writable_folder(above)?;
    Ok(format!("the first export begins it in `{}`", folder.display()))
}

fn writable_folder(folder: &Path) -> Result<(), Error> {
    let failed = |source: io::Error| Error::File { operation: "write in", path: folder.display().to_string(), source };
    if !folder.is_dir() {
        return Err(failed(io::ErrorKind::NotADirectory.into()));
    }
    rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(|errno| failed(errno.into()))
}

async fn check_api(checked: &mut Checked, config: &Config, asker: &Asker, mut journal: Option<Journal>, start: &Start) {
    let transport = match HttpTransport::new(&config.api) {
        Ok(transport) => transport,
        Err(error) => return checked.add("network", Err(fault_of(&Error::Usage(Chain(&error).to_string())))),
    };
    let token = token_of(asker, &transport, start).await;
    let failure = match &token {
        Err(NoToken::Refused(TokenError::NoWay(error))) => Some(error),
        _ => None,
    };
    // With a given token nothing has been asked yet: whether there is a way to the API, the first endpoint says.
    if !matches!(asker, Asker::Given(_)) {
        add_way(checked, &transport, failure);
    }
    let token = match token {
        Ok(token) => token,
        Err(NoToken::Refused(TokenError::NoWay(error))) if error.is_unsent() => return,
        Err(NoToken::Refused(TokenError::NoWay(error))) => {
            return checked.add("access token", Err(fault_of_way(&error)));
        }
        Err(NoToken::Refused(TokenError::Transient(said))) => {
            return checked.add("access token", Err(fault_of(&Error::Upstream(said.text))));
        }
        Err(NoToken::Refused(TokenError::Denied(said, remedy))) => {
            return checked.add("access token", Err(fault_of(&Error::Access { what: said.text, remedy })));
        }
        Err(NoToken::Local(error)) => return checked.add("access token", Err(fault_of(&error))),
    };
    let from = match asker {
        Asker::Given(_) => "read from its file".to_owned(),
        _ => format!("issued by {}", config.api.base_url),
    };
    checked.add("access token", Ok(from));
    if let Asker::User(_) = asker {
        let sign_in = SignInFile::new(&config.state).read();
        let standing =
            sign_in.map(|sign_in| Standing::of(sign_in.as_ref(), config.timezone, start.now(), 0).to_string());
        checked.add("sign-in", standing.map_err(|error| fault_of(&error)));
    }
    for endpoint in Endpoint::ALL {
        let ask = Question { transport: &transport, config, bearer: &token.secret, asker, start, endpoint };
        let finding = match &mut journal {
            Some(journal) => ask.within_quota(journal).await,
            // Nobody has asked for anything yet.
            None => ask.permission().await.map(|tried| tried.finding),
        };
        checked.add_permission(endpoint, finding.map_err(|error| fault_of(&error)));
    }
}

/// The token; that of a person is tried, and renewed if the API does not take it any more.
async fn token_of(asker: &Asker, transport: &HttpTransport, start: &Start) -> Result<Token, NoToken> {
    match asker {
        Asker::User(signed_in) => signed_in.tried_token(transport, start).await,
        _ => asker.token(transport, start, None).await,
    }
}

/// What the line of an endpoint's permission is about.
fn matter(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Quality => "permission",
        Endpoint::Meetings => "permission to list meetings",
        Endpoint::Participants => "permission to list participants",
    }
}

/// One line for each step on the way to an answer, as far as it went.
fn add_way(checked: &mut Checked, transport: &HttpTransport, failure: Option<&TransportError>) {
    let name = transport.name().map_or("no name has to be resolved".into(), |name| format!("`{name}` is known"));
    let target = transport.target();
    let connection = match transport.proxy() {
        Some((proxy, variable)) => format!("{target} by the proxy {proxy} ({variable})"),
        None => target.clone(),
    };
    let certificate = if transport.is_https() {
        format!("that of {target} is trusted")
    } else {
        "none: plain http, which does not leave this machine".into()
    };
    let steps = [
        ("name", Step::Name, name),
        ("connection", Step::Connection, connection),
        ("certificate", Step::Tls, certificate),
    ];
    for (matter, step, finding) in steps {
        match failure.filter(|error| error.step() <= step) {
            Some(error) => return checked.add(matter, Err(fault_of_way(error))),
            None => checked.add(matter, Ok(finding)),
        }
    }
}

/// The question whether the app may ask an endpoint.
struct Question<'a> {
    transport: &'a HttpTransport,
    config: &'a Config,
    bearer: &'a SecretString,
    asker: &'a Asker,
    start: &'a Start,
    endpoint: Endpoint,
}

/// What the question for a permission came to.
struct Tried {
    finding: String,
    /// How long the API refuses all requests, if it does.
    refused_for: Option<Duration>,
}

impl Question<'_> {
    /// Asks, if the quota has room for it.
    async fn within_quota(&self, journal: &mut Journal) -> Result<String, Error> {
        let Self { config, start, endpoint, .. } = *self;
        let Some(_fetching) = journal.try_lock_fetching()? else {
            return Ok("not tried: a run of this state folder is fetching".into());
        };
        if let Some(reached) = month_reached(journal, config, start.now())? {
            return Ok(format!("not tried: {reached}"));
        }
        let now = start.now();
        let free_at = now + slot_time(&config.api);
        let is_taken = |free_ms: i64| free_ms > now.timestamp_millis() && free_ms <= free_at.timestamp_millis();
        let taken = journal.slots(endpoint)?.iter().filter(|slot| is_taken(slot.free_ms)).count();
        if taken >= config.rate.requests_per_minute as usize {
            return Ok("not tried: the last minute's quota is used up; try again in a minute".into());
        }
        if refused_for(journal, endpoint, now)?.is_some() {
            return Ok("not tried: the API refuses requests for now".into());
        }
        let slot = journal.spend(endpoint, now.timestamp_millis(), free_at.timestamp_millis(), quota_day(now))?;
        let tried = self.permission().await;
        journal.free_slot(slot, (start.now() + HOLD).timestamp_millis() + 1);
        journal.write_slots()?;
        let Tried { finding, refused_for } = tried?;
        if let Some(wait) = refused_for {
            refuse_for(journal, endpoint, start.now(), wait)?;
        }
        Ok(finding)
    }

    /// Asks for what does not exist: an app that may ask is told so.
    async fn permission(&self) -> Result<Tried, Error> {
        let Self { transport, bearer, asker, start, endpoint, .. } = *self;
        let path_and_query = self.request();
        let answer = transport.send(Request { path_and_query, call: Call::Get { bearer: bearer.clone() } }).await;
        let found = |finding: &str, refused_for| Ok(Tried { finding: finding.into(), refused_for });
        let who = match asker.bearer() {
            Bearer::Tenant => "the app",
            Bearer::User => "the person who signed in",
            Bearer::Given => "the given access token",
        };
        match meaning(endpoint, asker.bearer(), &answer, start.now()) {
            Outcome::Page(_) | Outcome::Judged(Judgement::Absent | Judgement::Rejected | Judgement::IdRefused, _) => {
                let may = match endpoint {
                    Endpoint::Quality => "may read meeting quality",
                    Endpoint::Meetings => "may list meetings",
                    Endpoint::Participants => "may list participants",
                };
                found(&format!("{who} {may}"), None)
            }
            Outcome::Judged(Judgement::NoPermission, said) => {
                Err(Error::Access { what: said.text, remedy: no_permission_remedy(endpoint, asker.bearer()) })
            }
            Outcome::Denied(said, remedy) => Err(Error::Access { what: said.text, remedy }),
            Outcome::Throttled { wait } => found("not known: the API refuses requests for now", Some(wait)),
            Outcome::TokenRefused(said) => Err(Error::Access { what: said.text, remedy: asker.refused_again_remedy() }),
            Outcome::MonthUsedUp(said)
            | Outcome::Transient(said)
            | Outcome::Judged(Judgement::OffContract | Judgement::Failed, said) => Err(Error::Upstream(said.text)),
        }
    }

    /// A request for what does not exist, or for a minute of meetings.
    fn request(&self) -> String {
        let ids = self.config.api.user_id_type;
        let nobody = nobody(self.start.now());
        match self.endpoint {
            Endpoint::Quality => quality::request(&nobody, ids, None),
            Endpoint::Meetings => {
                let span_s = nobody.meeting_start_s..nobody.meeting_end_s;
                meetings::request(&span_s, &self.config.discover, ids, None)
            }
            Endpoint::Participants => {
                let Stay { meeting_no: no, meeting_start_s: start_s, meeting_end_s, .. } = nobody;
                participants::request(&Meeting { start_s, no, end_s: Some(meeting_end_s) }, ids, None)
            }
        }
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

fn fault_of_way(error: &TransportError) -> (ExitCode, String, Option<String>) {
    let code = if error.is_lasting() { ExitCode::Access } else { ExitCode::Again };
    (code, error.to_string(), Some(error.remedy().to_owned()))
}

/// What is wrong, without the word for the matter that its line begins with.
fn fault_of(error: &Error) -> (ExitCode, String, Option<String>) {
    let said = match error {
        Error::Disk(source) => Chain(source).to_string(),
        Error::Journal(source) => Chain(source).to_string(),
        error => Chain(error).to_string(),
    };
    (error.exit_code(), said, error.hint())
}

impl Checked {
    fn add(&mut self, matter: &'static str, finding: Result<String, (ExitCode, String, Option<String>)>) {
        self.lines.push(match finding {
            Ok(finding) => Line { matter, finding, fault: None, is_note: false },
            Err((code, finding, remedy)) => {
                Line { matter, finding, fault: Some((code, remedy.unwrap_or_default())), is_note: false }
            }
        });
    }

    /// Whoever names manifests needs no permission to list: that it is missing is told, and no fault.
    fn add_permission(&mut self, endpoint: Endpoint, finding: Result<String, (ExitCode, String, Option<String>)>) {
        let is_missing = finding.as_ref().is_err_and(|(code, ..)| *code == ExitCode::Access);
        self.add(matter(endpoint), finding);
        if let Some(line) = self.lines.last_mut().filter(|_| endpoint != Endpoint::Quality && is_missing) {
            line.is_note = true;
        }
    }

    /// That of the first fault, or 0; that of an interruption, if there was one.
    pub fn exit_code(&self) -> ExitCode {
        if self.is_stopped {
            return ExitCode::Interrupted;
        }
        let mut faults = self.lines.iter().filter(|line| !line.is_note);
        faults.find_map(|line| line.fault.as_ref()).map_or(ExitCode::Complete, |(code, _)| *code)
    }
}

/// Version of the JSON's form: within one, keys are only added.
const CHECK_VERSION: u32 = 1;

/// The JSON of `vcq check`.
impl Serialize for Checked {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let matter = |line: &Line| {
            let standing = match &line.fault {
                None => "ok",
                Some(_) if line.is_note => "note",
                Some(_) => "fault",
            };
            let remedy = line.fault.as_ref().map(|(_, remedy)| remedy).filter(|remedy| !remedy.is_empty());
            json!({ "matter": line.matter, "standing": standing, "finding": line.finding, "remedy": remedy })
        };
        let matters: Vec<_> = self.lines.iter().map(matter).collect();
        let exit_code = self.exit_code() as u8;
        json!({ "check_version": CHECK_VERSION, "exit_code": exit_code, "interrupted": self.is_stopped, "matters": matters })
            .serialize(serializer)
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Line { matter, finding, fault, is_note } in &self.lines {
            match fault {
                Some((_, remedy)) if *is_note => {
                    let (finding, remedy) = (Printable(finding), Printable(remedy));
                    writeln!(f, "note  {matter}: {finding}; only discovery needs it\n      {remedy}")?;
                }
                None => writeln!(f, "ok    {matter}: {}", Printable(finding))?,
                Some((_, remedy)) if remedy.is_empty() => writeln!(f, "FAIL  {matter}: {}", Printable(finding))?,
                Some((_, remedy)) => {
                    writeln!(f, "FAIL  {matter}: {}\n      {}", Printable(finding), Printable(remedy))?;
                }
            }
        }
        if self.is_stopped {
            writeln!(f, "interrupted: what is not listed was not looked at")?;
        }
        Ok(())
    }
}
