//! A tenant, a folder of its own and a clock: what an export lives in, from its first process to its last.
//!
//! Journal and dataset are real files; the network is the simulator in this process; time is tokio's, paused, so that
//! hours of waiting pass at once. Each life of an export has a runtime of its own: dropping it waits for the publishing
//! that a killed process left under way, as a restart by hand would come after it.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    convert::Infallible,
    fmt::Write as _,
    fs,
    future::pending,
    panic::{AssertUnwindSafe, resume_unwind},
    path::PathBuf,
    sync::{Arc, MutexGuard},
    thread,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{FutureExt as _, future::join_all};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use vcq::{
    access::{Asker, asker},
    command::export::{Conclusion, Export, Surroundings, export},
    config::{AuthAs, Config},
    dates::Dates,
    error::{Chain, Error, ExitCode},
    event::Event,
    feishu::{
        auth::tenant::Credentials,
        transport::{Call, Request, Sending, Transport},
    },
    fetch::Until,
    intake::Manifests,
    journal::Lane,
    place::Place,
    simulator::{
        Settings, SharedSimulator, Simulator,
        books::Books,
        in_process::{InProcess, wall_from},
        quota::{QuotaSettings, WindowKind},
        tenant::{SimulatedStay, TenantSettings, UserIdType},
    },
    start::{Start, Stop},
    store::{
        bucket::Buckets,
        disk::{Disk, LocalDisk},
        s3::S3Buckets,
    },
};

/// One tenant, one state folder, one dataset.
pub(crate) struct World {
    folder: TempDir,
    pub(crate) config: Config,
    pub(crate) simulator: SharedSimulator,
    /// Servers that see the same requests arrive and count them by each kind of window, in several phases.
    pub(crate) witnesses: Vec<SharedSimulator>,
    /// The stays of all manifests.
    pub(crate) stays: Vec<SimulatedStay>,
    /// The wall clock, between two lives.
    pub(crate) now: DateTime<Utc>,
    /// Every request for data that any life has sent, in order; none while there is a [`Watch`].
    pub(crate) sent: Vec<SentRequest>,
    /// How many there were.
    pub(crate) sent_count: u64,
    /// Told of every request for data, where there are too many to keep.
    pub(crate) watch: Option<Watch>,
    /// Pages that were landed and had to be asked for again, because their stay started over.
    pub(crate) restarted_pages: u64,
    /// Requests whose sender was killed before the answer came.
    pub(crate) abandoned: u64,
    /// The disk under the dataset.
    pub(crate) disk: Arc<dyn Disk>,
    /// The buckets of a dataset that is in one.
    pub(crate) buckets: Arc<dyn Buckets>,
    seed: u64,
}

/// Sees the requests for data as they leave the client: when, path and query.
pub(crate) type Watch = Box<dyn Fn(DateTime<Utc>, &str)>;

/// A request for data as it left the client.
#[derive(Clone, Debug)]
pub(crate) struct SentRequest {
    pub(crate) at: DateTime<Utc>,
    /// The stay, as [`name_of`] names it.
    pub(crate) stay: String,
}

/// What one process is told to do, and how it dies.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    pub(crate) manifest: PathBuf,
    /// `--discover`; without a manifest unless [`Self::keeps_manifest`].
    pub(crate) discover: Option<Dates>,
    /// Whether the manifest is named beside `--discover`.
    pub(crate) keeps_manifest: bool,
    /// False: `vcq discover`.
    pub(crate) fetches_samples: bool,
    /// `--refresh`, without a manifest.
    pub(crate) refresh: Option<Dates>,
    /// `--accept-fewer`.
    pub(crate) accept_fewer: bool,
    pub(crate) lane: Lane,
    /// How long after the runtime's beginning the process starts.
    pub(crate) starts_after: Duration,
    /// `--until`, counted from the start.
    pub(crate) until: Option<TimeDelta>,
    /// When, counted from the start, the stop signal comes.
    pub(crate) stop_after: Option<Duration>,
    pub(crate) kill: Kill,
    /// From when on, counted from the start, the process's wall clock is off, and by how much. The server's is not.
    pub(crate) clock_jump: Option<(Duration, TimeDelta)>,
}

/// When a process is killed: nothing of it runs after that, and its connections are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kill {
    Never,
    /// So long after its start, at whatever it is waiting for.
    After(Duration),
    /// At its n-th event, from 0: between one effect and the next.
    AtEvent(u64),
}

/// What unwinds a process that is killed.
#[derive(Debug)]
pub(crate) struct Killed;

/// Runs a process, or a part of one, until it ends or is killed; then there is no answer.
pub(crate) fn until_killed<T>(ended: thread::Result<T>) -> Option<T> {
    match ended {
        Ok(answer) => Some(answer),
        Err(payload) if payload.is::<Killed>() => None,
        Err(panic) => resume_unwind(panic),
    }
}

/// How one process lived.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    /// What it exited with; none if it was killed.
    pub(crate) exit: Option<u8>,
    /// Why it could not begin, or not write its account.
    pub(crate) error: Option<String>,
    /// Its report; null if it was killed.
    pub(crate) report: Value,
    pub(crate) hint: Option<String>,
    /// Requests for data that it sent, by the transport's count.
    pub(crate) sent: u64,
    /// True if it was ready to send, token in hand, before its manifest was in the queue.
    pub(crate) ready_early: bool,
    /// Events that it emitted.
    pub(crate) events: u64,
    /// When it ended.
    pub(crate) ended: DateTime<Utc>,
}

impl Kill {
    fn time(self) -> Option<Duration> {
        match self {
            Self::After(time) => Some(time),
            Self::Never | Self::AtEvent(_) => None,
        }
    }
}

impl Life {
    fn new(outcome: Option<Result<Conclusion, Error>>) -> Self {
        let ended = Self {
            exit: None,
            error: None,
            report: Value::Null,
            hint: None,
            sent: 0,
            ready_early: false,
            events: 0,
            ended: DateTime::UNIX_EPOCH,
        };
        let outcome = match outcome {
            None => return ended,
            Some(Ok(outcome)) => outcome,
            Some(Err(error)) => {
                let (exit, said) = (error.exit_code() as u8, Chain(&error).to_string());
                return Self { exit: Some(exit), error: Some(said), hint: error.hint(), ..ended };
            }
        };
        let report = serde_json::from_str(&outcome.report.to_json()).unwrap();
        Self { exit: Some(outcome.exit_code as u8), report, hint: outcome.hint, ..ended }
    }

    /// A count of the report, by its JSON pointer.
    pub(crate) fn count(&self, pointer: &str) -> u64 {
        self.report.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
    }

    /// Answers of this outcome, by the report.
    pub(crate) fn outcomes(&self, outcome: &str) -> u64 {
        self.count(&format!("/requests/by_outcome/{outcome}"))
    }

    /// Duplicates, rejected, done, absent, failed and pending.
    pub(crate) fn account(&self) -> [u64; 6] {
        ["duplicates", "rejected", "done", "absent", "failed", "pending"]
            .map(|part| self.count(&format!("/manifest/{part}")))
    }
}

impl World {
    /// A month after the meetings, so that nothing is young; `stays` are those of the manifest.
    pub(crate) fn new(settings: Settings, flags: &[(&'static str, &str)], stays: Vec<SimulatedStay>) -> Self {
        let folder = tempfile::tempdir_in(fast_folder()).unwrap();
        let path = |name| folder.path().join(name).display().to_string();
        let mut all = vec![
            ("state", path("state")),
            ("output", path("quality")),
            ("discover.meetings", path("meetings")),
            ("discover.participants", path("participants")),
        ];
        all.extend(flags.iter().map(|(key, value)| (*key, (*value).to_owned())));
        let config = Config::load(None, [], &all).unwrap();
        let seed = settings.tenant.seed;
        let simulator = Simulator::shared(settings);
        let witnesses = witnesses(seed);
        let now = "2025-04-10T00:00:00Z".parse().unwrap();
        let world = Self {
            folder,
            config,
            simulator,
            witnesses,
            stays,
            now,
            sent: Vec::new(),
            sent_count: 0,
            watch: None,
            restarted_pages: 0,
            abandoned: 0,
            disk: Arc::new(LocalDisk),
            buckets: Arc::new(S3Buckets::default()),
            seed,
        };
        world.write_manifest("manifest.csv", world.stays.iter());
        world
    }

    /// Orders to export all stays, and to live until that is done.
    pub(crate) fn orders(&self) -> Orders {
        Orders {
            manifest: self.path("manifest.csv"),
            discover: None,
            keeps_manifest: false,
            fetches_samples: true,
            refresh: None,
            accept_fewer: false,
            lane: Lane::Nightly,
            starts_after: Duration::ZERO,
            until: None,
            stop_after: None,
            kill: Kill::Never,
            clock_jump: None,
        }
    }

    /// The start of a command that neither waits nor fetches.
    pub(crate) fn start(&self) -> Start {
        let now = self.now;
        Start::new(move || now, self.seed, Stop::new().1).on(self.disk.clone()).in_buckets(self.buckets.clone())
    }

    /// Where the files of the dataset lie; of one in a bucket, where the tests' buckets have them.
    pub(crate) fn output(&self) -> PathBuf {
        match &self.config.output {
            Place::Folder(folder) => folder.clone(),
            Place::Bucket(place) => self.path("buckets").join(place.bucket()).join(place.prefix()),
        }
    }

    /// Where its files are built.
    pub(crate) fn staging(&self) -> PathBuf {
        match &self.config.output {
            Place::Folder(folder) => folder.with_extension("staging"),
            Place::Bucket(place) => self.config.state.join("staging").join(place.folder_name()),
        }
    }

    /// A path in the world's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a manifest of some stays, and returns its path.
    pub(crate) fn write_manifest<'a>(&self, name: &str, stays: impl Iterator<Item = &'a SimulatedStay>) -> PathBuf {
        let mut text = "meeting_no,meeting_start_time,meeting_end_time,join_time,user_id,room_id\n".to_owned();
        for stay in stays {
            let user = stay.user_id(UserIdType::OpenId).unwrap_or_default();
            let room = stay.room_id().unwrap_or_default();
            let (start, end, join) = (stay.meeting_start_s, stay.meeting_end_s, stay.join_s);
            writeln!(text, "{},{start},{end},{join},{user},{room}", stay.meeting_no).unwrap();
        }
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Runs an export of all stays to its end.
    pub(crate) fn export(&mut self) -> Life {
        self.live_one(self.orders())
    }

    /// Runs one process to its end.
    pub(crate) fn live_one(&mut self, orders: Orders) -> Life {
        self.live(&[orders]).remove(0)
    }

    /// Another server takes the place of this one, whose books are closed: the same stays, by other settings.
    pub(crate) fn serve_anew(&mut self, settings: Settings) {
        self.rest(TimeDelta::minutes(2));
        self.witnesses = witnesses(settings.tenant.seed);
        self.simulator = Simulator::shared(settings);
        self.sent.clear();
        (self.sent_count, self.restarted_pages, self.abandoned) = (0, 0, 0);
    }

    /// Lets time pass while no process lives.
    pub(crate) fn rest(&mut self, time: TimeDelta) {
        self.now += time;
    }

    /// Runs processes side by side on the same folders until all have ended.
    pub(crate) fn live(&mut self, orders: &[Orders]) -> Vec<Life> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (sent, abandoned) = (RefCell::new(Vec::new()), Cell::new(0));
        let (lives, now) = runtime.block_on(async {
            let wall = wall_from(self.now);
            let life = |orders| Box::pin(self.life(orders, wall.clone(), &sent, &abandoned));
            (join_all(orders.iter().map(life)).await, wall())
        });
        drop(runtime);
        self.now = now;
        self.sent.extend(sent.into_inner());
        self.sent_count += lives.iter().map(|life| life.sent).sum::<u64>();
        self.abandoned += abandoned.into_inner();
        // The answer that was being taken in had come, but may not have landed.
        self.abandoned += orders.iter().filter(|orders| matches!(orders.kill, Kill::AtEvent(_))).count() as u64;
        lives
    }

    async fn life(
        &self,
        orders: &Orders,
        wall: impl Fn() -> DateTime<Utc> + Clone + Send + Sync + 'static,
        sent: &RefCell<Vec<SentRequest>>,
        abandoned: &Cell<u64>,
    ) -> Life {
        sleep(orders.starts_after).await;
        let (stop_sender, stop) = Stop::new();
        let start = Start::new(jumping(wall.clone(), orders.clock_jump), self.seed, stop)
            .on(self.disk.clone())
            .in_buckets(self.buckets.clone());
        let own_sent = Cell::new(0);
        let inner = InProcess::new(self.simulator.clone(), wall.clone(), self.config.api.request_timeout)
            .seen_by(self.witnesses.clone());
        let transport = Recorder { inner, wall: &wall, watch: &self.watch, sent, own_sent: &own_sent, abandoned };
        let events = Cell::new(0);
        let (is_ready, ready_early) = (Cell::new(false), Cell::new(false));
        let observe = |event: Event<'_>| {
            match event {
                Event::TokenRenewed => is_ready.set(true),
                Event::Enqueued { .. } => ready_early.set(is_ready.get()),
                _ => {}
            }
            if orders.kill == Kill::AtEvent(events.get()) {
                resume_unwind(Box::new(Killed));
            }
            events.set(events.get() + 1);
        };
        let asker = match self.config.auth.identity {
            AuthAs::Tenant => Ok(Asker::Tenant(credentials())),
            _ => asker(&self.config, Some("simulated".into())),
        };
        let asker = match asker {
            Ok(asker) => asker,
            Err(error) => return Life { ended: wall(), ..Life::new(Some(Err(error))) },
        };
        let around = Surroundings {
            config: &self.config,
            asker: &asker,
            transport: &transport,
            start: &start,
            observe: &observe,
        };
        let is_named = orders.keeps_manifest || orders.refresh.is_none() && orders.discover.is_none();
        let files = if is_named { vec![orders.manifest.clone()] } else { Vec::new() };
        let task = Export {
            manifests: Manifests { files, ..Manifests::default() },
            discover: orders.discover,
            fetches_samples: orders.fetches_samples,
            refresh: orders.refresh,
            accept_fewer: orders.accept_fewer,
            planned_end: ExitCode::Again,
            lane: orders.lane,
            until: orders.until.map(|after| Until::after(after.to_std().unwrap(), start.now()).unwrap()),
            report: Some(orders.manifest.with_extension("report.json")),
        };
        let stopping = async {
            passing(orders.stop_after).await;
            stop_sender.send(true).unwrap();
            pending::<Infallible>().await
        };
        let outcome = tokio::select! {
            biased;
            outcome = AssertUnwindSafe(Box::pin(export(&task, &around))).catch_unwind() => until_killed(outcome),
            () = passing(orders.kill.time()) => None,
            never = stopping => match never {},
        };
        Life {
            sent: own_sent.get(),
            ready_early: ready_early.get(),
            events: events.get(),
            ended: wall(),
            ..Life::new(outcome)
        }
    }

    /// The server's books.
    pub(crate) fn books(&self) -> Books {
        self.server().books().clone()
    }

    /// The server itself.
    pub(crate) fn server(&self) -> MutexGuard<'_, Simulator> {
        self.simulator.lock().unwrap()
    }
}

/// The app's own.
pub(crate) fn credentials() -> Credentials {
    Credentials { app_id: "cli_simulated".into(), app_secret: "simulated".into() }
}

/// Servers that count the requests and answer none: a strict one of every kind.
fn witnesses(seed: u64) -> Vec<SharedSimulator> {
    let quota = |window| QuotaSettings { window, count_refused: true, ..QuotaSettings::default() };
    let bucket = |bucket_capacity| QuotaSettings { bucket_capacity, ..quota(WindowKind::Bucket) };
    let single = [quota(WindowKind::Sliding), bucket(100), bucket(10)];
    // The seed decides the phase.
    let phases =
        (0..4).flat_map(|phase| [WindowKind::Fixed, WindowKind::Weighted].map(|window| (phase, quota(window))));
    let all = single.into_iter().map(|quota| (0, quota)).chain(phases);
    all.map(|(phase, quota)| {
        let tenant = TenantSettings { seed: seed.wrapping_add(1 + phase), stays: 0, ..TenantSettings::default() };
        Simulator::shared(Settings { tenant, quota, ..Settings::default() })
    })
    .collect()
}

/// A folder in memory where there is one with room: these tests cut no power, and a disk's syncs take most of their time.
fn fast_folder() -> PathBuf {
    const ROOM_BYTES: u64 = 1 << 30;
    let memory = PathBuf::from("/dev/shm");
    let has_room = rustix::fs::statvfs(&memory).is_ok_and(|disk| disk.f_bavail * disk.f_frsize > ROOM_BYTES);
    if has_room { memory } else { std::env::temp_dir() }
}

/// The wall clock, which is off by some time from a moment on, counted from now.
fn jumping<W: Fn() -> DateTime<Utc>>(wall: W, jump: Option<(Duration, TimeDelta)>) -> impl Fn() -> DateTime<Utc> {
    let began = Instant::now();
    move || match jump {
        Some((after, by)) if began.elapsed() >= after => wall() + by,
        _ => wall(),
    }
}

/// Ends after some time, or never.
async fn passing(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => pending().await,
    }
}

/// What names a stay in a request: meeting number, join time and participant.
pub(crate) fn name_of(stay: &SimulatedStay) -> String {
    let id = stay.user_id(UserIdType::OpenId).or_else(|| stay.room_id()).unwrap();
    format!("{} {} {} {id}", stay.meeting_no, stay.meeting_start_s, stay.join_s)
}

/// The way to the server, which remembers what went over it.
struct Recorder<'a, T, W> {
    inner: T,
    wall: W,
    watch: &'a Option<Watch>,
    sent: &'a RefCell<Vec<SentRequest>>,
    own_sent: &'a Cell<u64>,
    abandoned: &'a Cell<u64>,
}

impl<T: Transport, W: Fn() -> DateTime<Utc>> Transport for Recorder<'_, T, W> {
    fn send(&self, request: Request) -> Sending<'_> {
        if matches!(request.call, Call::Post { .. }) {
            return self.inner.send(request);
        }
        let at = (self.wall)();
        match self.watch {
            Some(watch) => watch(at, &request.path_and_query),
            None => self.sent.borrow_mut().push(SentRequest { at, stay: named_in(&request.path_and_query) }),
        }
        self.own_sent.set(self.own_sent.get() + 1);
        let flight = Flight { abandoned: self.abandoned, has_landed: false };
        Box::pin(async move {
            let answer = self.inner.send(request).await;
            flight.land();
            answer
        })
    }
}

/// A request under way; counts as abandoned if it is dropped before its answer is there.
struct Flight<'a> {
    abandoned: &'a Cell<u64>,
    has_landed: bool,
}

impl Flight<'_> {
    fn land(mut self) {
        self.has_landed = true;
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.abandoned.set(self.abandoned.get() + u64::from(!self.has_landed));
    }
}

/// The stay that a request asks for, as [`name_of`] names it; of a listing its path and query.
fn named_in(path_and_query: &str) -> String {
    let (path, query) = path_and_query.split_once('?').unwrap();
    if !path.ends_with("/participant_quality_list") {
        return path_and_query.to_owned();
    }
    let query: BTreeMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let id = query.get("user_id").or_else(|| query.get("room_id")).unwrap();
    format!("{} {} {} {id}", query["meeting_no"], query["meeting_start_time"], query["join_time"])
}
