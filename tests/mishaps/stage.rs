//! Acts, one after the other, on one state folder and one dataset, and what goes wrong while they are played.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Days, NaiveDate};
use vcq::{
    command::{archive, rebuild::rebuild},
    dates::Dates,
    error::{Chain, Error, ExitCode},
    simulator::{
        Settings, SharedSimulator,
        tenant::{SimulatedStay, StayKey, Tenant, TenantSettings},
    },
    start::Start,
    store::disk::Disk,
};

use crate::{
    frail::{FrailDisk, Trouble},
    world::{Kill, Life, Orders, World, until_killed},
};

/// Days with meetings.
pub(crate) const DAYS: usize = 3;
/// Stays of each day: all short, but for the last one, which has two pages.
pub(crate) const STAYS_PER_DAY: usize = 5;
/// The first server lacks so many of the last samples of each stay; later ones may have more of them.
const FIRST_MISSING: u32 = 2;
/// No stay has so many samples.
const ALL_MISSING: u32 = 100_000;

/// What is played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// `vcq export` of these stays, by their place among all.
    Export { stays: Vec<usize>, ill: Ill },
    /// Two of them side by side.
    Exports { first: Vec<usize>, second: Vec<usize>, ill: Ill },
    /// `vcq export --refresh`, of a server that is another one now.
    Refresh { days: Span, server: Server, ill: Ill },
    /// The same again, of the same server.
    RefreshAgain { days: Span, ill: Ill },
    /// Two of them side by side, the first of which is ill.
    Refreshes { first: Span, second: Span, server: Server, ill: Ill },
    /// `vcq rebuild`.
    Rebuild { days: Span, ill: Ill },
    /// `vcq archive export` and `vcq archive import` of the same pages.
    Archive { days: Span, ill: Ill },
    /// `vcq archive prune` of all days before this one.
    Prune { before: usize, ill: Ill },
    /// What happens between them.
    Mishap(Mishap),
}

/// The first and the last of some days, from 0.
pub(crate) type Span = (usize, usize);

/// All days.
pub(crate) const ALL: Span = (0, DAYS - 1);

/// What happens to a process, if anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ill {
    /// Nothing.
    No,
    /// It is killed at this event.
    Event(u64),
    /// It is told to stop after so many seconds.
    Stop(u64),
    /// Its disk.
    Disk(Trouble),
}

/// How a server differs from the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    /// Not at all.
    Same,
    /// It has one minute more of each stay.
    More,
    /// It has one minute less.
    Fewer,
    /// It has them all.
    Whole,
    /// It has none.
    None,
    /// As many, of other values.
    Other,
}

/// What happens between two processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// Somebody puts a file of their own into the folder of a day.
    Stranger { day: usize },
    /// They take them away again.
    StrangersGo,
    /// The bytes of a landed page change in the journal.
    Page { stay: usize },
    /// Something happens to a published file of a day.
    File { day: usize, harm: Harm },
    /// The state folder is copied.
    Copy,
    /// The copy takes the place of the state folder.
    Restore,
    /// The state folder is lost.
    Lose,
}

/// What happens to a published file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// It is cut short.
    Cut,
    /// Bits of it flip.
    Flip,
    /// It is deleted.
    Delete,
}

impl Act {
    /// The act as nothing disturbs it.
    pub(crate) fn calm(mut self) -> Self {
        match &mut self {
            Self::Export { ill, .. }
            | Self::Exports { ill, .. }
            | Self::Refresh { ill, .. }
            | Self::RefreshAgain { ill, .. }
            | Self::Refreshes { ill, .. }
            | Self::Rebuild { ill, .. }
            | Self::Archive { ill, .. }
            | Self::Prune { ill, .. } => *ill = Ill::No,
            Self::Mishap(_) => {}
        }
        self
    }
}

/// The stays of a file, with how many samples it has of each.
type StaysRead = Vec<(StayKey, usize)>;

/// Where the acts are played, and what is known of it by other ways than the program's own.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) disk: Arc<FrailDisk>,
    /// The servers, one after the other; the last one answers.
    pub(crate) servers: Vec<SharedSimulator>,
    /// Stays that somebody has asked for.
    pub(crate) asked: BTreeSet<usize>,
    /// Strangers' files that are there.
    pub(crate) strangers: BTreeSet<PathBuf>,
    /// Published files that were harmed, with the bytes that they have since.
    pub(crate) harmed: BTreeMap<PathBuf, Vec<u8>>,
    /// Stays whose visible rows were taken by a mishap, and that have not been visible since.
    pub(crate) taken: BTreeSet<StayKey>,
    /// Those of them whose file is gone or short.
    pub(crate) cut: BTreeSet<StayKey>,
    /// Stays of which a landed page was harmed, and that have not been read again since.
    pub(crate) pages_harmed: BTreeSet<StayKey>,
    /// Stays of which a page or a file has been harmed at any time.
    pub(crate) ever_harmed: BTreeSet<StayKey>,
    /// What was visible when somebody last looked, with the number of samples.
    pub(crate) visible: BTreeMap<StayKey, usize>,
    /// Done stays whose landed pages were there when somebody last looked.
    pub(crate) paged: BTreeSet<StayKey>,
    /// The journal may not be the one that belongs to the dataset.
    pub(crate) is_foreign: bool,
    /// Files that somebody has read, with their stays and samples.
    pub(crate) read_before: RefCell<HashMap<Vec<u8>, StaysRead>>,
    /// Requests that may have been made twice.
    pub(crate) forgiven: u64,
    /// Refreshes that have not come to their end: their days, and how many servers there were.
    pub(crate) refreshing: BTreeMap<Span, usize>,
    settings: Settings,
    has_copy: bool,
}

fn tenant(seed: u64) -> TenantSettings {
    TenantSettings {
        seed,
        days: 3,
        stays: 240,
        meeting_minutes_max: 110,
        other_forms: 0.02,
        missing_samples: FIRST_MISSING,
        ..TenantSettings::default()
    }
}

/// So many stays of each day, in their order.
fn some_stays(settings: &TenantSettings) -> Vec<SimulatedStay> {
    let all: Vec<_> = Tenant::new(settings.clone()).stays().collect();
    let mut chosen = Vec::new();
    for day in 0..DAYS {
        let mut of_day: Vec<_> = all.iter().filter(|stay| day_of(stay) == day && stay.sample_count > 4).collect();
        of_day.sort_by_key(|stay| stay.sample_count);
        let long = of_day.iter().position(|stay| stay.sample_count > 102).unwrap_or(of_day.len() - 1);
        let short = of_day.iter().take(STAYS_PER_DAY - 1);
        chosen.extend(short.chain([&of_day[long]]).map(|stay| (*stay).clone()));
    }
    chosen
}

fn first_date() -> NaiveDate {
    TenantSettings::default().first_day
}

/// The day of a number, as the dataset names it.
pub(crate) fn date_of(day: usize) -> NaiveDate {
    first_date() + Days::new(day as u64)
}

/// The day of a stay: those of the tenant are those of the default zone.
pub(crate) fn day_of(stay: &SimulatedStay) -> usize {
    let start = DateTime::from_timestamp(stay.meeting_start_s, 0).unwrap();
    let date = start.with_timezone(&chrono_tz::Asia::Shanghai).date_naive();
    usize::try_from((date - first_date()).num_days()).unwrap()
}

/// The stays of a day, by their places among all.
pub(crate) fn of_day(day: usize) -> Vec<usize> {
    (day * STAYS_PER_DAY..(day + 1) * STAYS_PER_DAY).collect()
}

fn dates(days: Span) -> Dates {
    Dates { first: date_of(days.0), last: date_of(days.1) }
}

impl Stage {
    pub(crate) fn new(seed: u64) -> Self {
        let settings = Settings { tenant: tenant(seed), ..Settings::default() };
        let stays = some_stays(&settings.tenant);
        let mut world = World::new(settings.clone(), &[("retry.stop_on_anomaly", "false")], stays);
        let disk = Arc::new(FrailDisk::new(world.path("limbo"), seed));
        world.disk = Arc::clone(&disk) as Arc<dyn Disk>;
        Self {
            servers: vec![Arc::clone(&world.simulator)],
            world,
            disk,
            asked: BTreeSet::new(),
            strangers: BTreeSet::new(),
            harmed: BTreeMap::new(),
            taken: BTreeSet::new(),
            cut: BTreeSet::new(),
            pages_harmed: BTreeSet::new(),
            ever_harmed: BTreeSet::new(),
            visible: BTreeMap::new(),
            paged: BTreeSet::new(),
            is_foreign: false,
            read_before: RefCell::default(),
            forgiven: 0,
            refreshing: BTreeMap::new(),
            settings,
            has_copy: false,
        }
    }

    /// Plays an act; what it may not do is an error.
    pub(crate) fn play(&mut self, act: &Act) -> Result<(), String> {
        match act {
            Act::Export { stays, ill } => self.export(&[stays], *ill),
            Act::Exports { first, second, ill } => self.export(&[first, second], *ill),
            Act::Refresh { days, server, ill } => {
                self.serve(*server);
                self.refresh(&[*days], *ill)
            }
            Act::RefreshAgain { days, ill } => self.refresh_again(*days, *ill),
            Act::Refreshes { first, second, server, ill } => {
                self.serve(*server);
                self.refresh(&[*first, *second], *ill)
            }
            Act::Rebuild { days, ill } => {
                let (from, to) = (date_of(days.0), date_of(days.1));
                let exit = self.command(*ill, |stage, start| {
                    let rebuilt = rebuild(&stage.world.config, (Some(from), Some(to)), start, |_| ())?;
                    rebuilt.failures.into_iter().next().map_or(Ok(ExitCode::Complete), |(_, error)| Err(error))
                })?;
                self.expect_calm(*ill, exit, "rebuild")
            }
            Act::Archive { days, ill } => {
                let path = self.world.path("pages.ndjson");
                self.command(*ill, |stage, start| {
                    let config = &stage.world.config;
                    archive::export::export(config, (date_of(days.0), date_of(days.1)), &path, start)?;
                    let imported = archive::import::import(std::slice::from_ref(&path), config, start)?;
                    let exit = imported.exit_code();
                    imported.unread.or(imported.failure).map_or(Ok(exit), Err)
                })
                .map(drop)
            }
            Act::Prune { before, ill } => self
                .command(*ill, |stage, start| {
                    archive::prune::prune(&stage.world.config, date_of(*before), start).map(|_| ExitCode::Complete)
                })
                .map(drop),
            Act::Mishap(mishap) => {
                self.happen(*mishap);
                Ok(())
            }
        }
    }

    /// Whether a published file is gone or cut short: no run may go on beside that.
    fn must_stop(&self) -> bool {
        !self.is_foreign && self.world.config.state.exists() && !self.cut.is_empty()
    }

    pub(crate) fn day_of(&self, key: StayKey) -> usize {
        day_of(self.world.stays.iter().find(|stay| stay.key == key).unwrap())
    }

    /// Whether nothing is wrong that an act could not help.
    fn is_calm(&self) -> bool {
        self.strangers.is_empty()
            && self.harmed.is_empty()
            && self.taken.is_empty()
            && self.pages_harmed.is_empty()
            && !self.is_foreign
    }

    fn expect_calm(&self, ill: Ill, exit: Option<ExitCode>, what: &str) -> Result<(), String> {
        let may_fail =
            ill != Ill::No || !self.is_calm() || exit == Some(ExitCode::Complete) || exit == Some(ExitCode::Usage);
        if may_fail { Ok(()) } else { Err(format!("{what} ended with {exit:?}, though nothing was wrong")) }
    }

    /// Runs a command on this thread; none if it was killed.
    pub(crate) fn command(
        &mut self,
        ill: Ill,
        run: impl FnOnce(&Self, &Start) -> Result<ExitCode, Error>,
    ) -> Result<Option<ExitCode>, String> {
        self.meet(ill);
        let start = self.world.start();
        let ended = catch_unwind(AssertUnwindSafe(|| run(self, &start)));
        let ended = until_killed(ended);
        self.recover(ended.is_none());
        match ended {
            None => Ok(None),
            Some(Ok(exit)) => Ok(Some(exit)),
            Some(Err(error @ Error::Bug(_))) => Err(format!("a bug: {}", Chain(&error))),
            Some(Err(error)) => Ok(Some(error.exit_code())),
        }
    }

    fn meet(&self, ill: Ill) {
        self.disk.meet(if let Ill::Disk(trouble) = ill { trouble } else { Trouble::None });
    }

    /// After a process: whoever was killed lost what was not synced.
    fn recover(&mut self, is_killed: bool) {
        if is_killed || self.disk.is_dead() {
            self.disk.cut_power();
            // The answer that was being taken in.
            self.world.abandoned += 1;
        }
        self.disk.meet(Trouble::None);
    }

    fn orders(&self, ill: Ill) -> Orders {
        let kill = if let Ill::Event(event) = ill { Kill::AtEvent(event) } else { Kill::Never };
        let stop_after = if let Ill::Stop(seconds) = ill { Some(Duration::from_secs(seconds)) } else { None };
        Orders { stop_after, kill, ..self.world.orders() }
    }

    fn live(&mut self, orders: &[Orders], ill: Ill) -> Result<Vec<Life>, String> {
        self.meet(ill);
        let lives = self.world.live(orders);
        self.recover(lives.iter().any(|life| life.exit.is_none()));
        let bug = lives.iter().find(|life| life.exit == Some(ExitCode::Bug as u8));
        bug.map_or(Ok(lives.clone()), |life| Err(format!("a bug: {life:?}")))
    }

    pub(crate) fn export_some(&mut self, stays: &[&Vec<usize>], ill: Ill) -> Result<Vec<Life>, String> {
        let orders: Vec<Orders> = stays
            .iter()
            .enumerate()
            .map(|(number, stays)| {
                self.asked.extend(stays.iter().copied());
                let stays = stays.iter().map(|stay| &self.world.stays[*stay]);
                let manifest = self.world.write_manifest(&format!("some-{number}.csv"), stays);
                // Only one of two is ill.
                Orders { manifest, ..self.orders(if number == 0 { ill } else { Ill::No }) }
            })
            .collect();
        let lives = self.live(&orders, ill)?;
        if lives.iter().any(|life| life.sent > 0) {
            // A refresh that has not come to its end asks for the same stays, of this server too.
            self.refreshing.values_mut().for_each(|servers| *servers = 0);
        }
        Ok(lives)
    }

    fn export(&mut self, stays: &[&Vec<usize>], ill: Ill) -> Result<(), String> {
        let must_stop = self.must_stop();
        let lives = self.export_some(stays, ill)?;
        if let Some(life) =
            lives.iter().find(|life| must_stop && life.exit.is_some() && (life.exit, life.sent) != (Some(74), 0))
        {
            return Err(format!("a file is missing, but a run goes on: {life:#?}"));
        }
        // Of two, one may end well before the other has settled its stays and dies.
        if self.is_calm() && lives.iter().all(|life| life.exit == Some(0)) {
            self.check_none_lacks()?;
        }
        let odd = lives.iter().find(|life| life.exit != Some(0));
        let may_fail = ill != Ill::No || !self.is_calm();
        odd.filter(|_| !may_fail)
            .map_or(Ok(()), |life| Err(format!("not complete, though nothing was wrong: {life:#?}")))
    }

    /// Another server takes the place of the last one.
    pub(crate) fn serve(&mut self, server: Server) {
        let tenant = &mut self.settings.tenant;
        match server {
            Server::Same => {}
            Server::More => tenant.missing_samples = tenant.missing_samples.saturating_sub(1),
            Server::Fewer => tenant.missing_samples += 1,
            Server::Whole => tenant.missing_samples = 0,
            Server::None => tenant.missing_samples = ALL_MISSING,
            Server::Other => tenant.other_forms = if tenant.other_forms > 0.03 { 0.02 } else { 0.04 },
        }
        self.forgiven += self.world.abandoned;
        self.world.serve_anew(self.settings.clone());
        self.servers.push(Arc::clone(&self.world.simulator));
        if server == Server::None {
            // For this one alone.
            self.settings.tenant.missing_samples = FIRST_MISSING;
        }
    }

    /// The same refresh again; of another server, unless one of this server has not come to its end.
    pub(crate) fn refresh_again(&mut self, days: Span, ill: Ill) -> Result<(), String> {
        if self.refreshing.get(&days) != Some(&self.servers.len()) {
            self.serve(Server::Same);
        }
        self.refresh(&[days], ill)
    }

    /// Refreshes side by side.
    pub(crate) fn refresh(&mut self, spans: &[Span], ill: Ill) -> Result<(), String> {
        let must_stop = self.must_stop();
        // What another one has read before, of an older server, is not read again.
        let is_first = self.refreshing.is_empty();
        self.refreshing.extend(spans.iter().map(|days| (*days, self.servers.len())));
        let orders: Vec<Orders> = spans
            .iter()
            .enumerate()
            .map(|(number, days)| {
                let manifest = self.world.path(&format!("refresh-{number}"));
                let ill = if number == 0 { ill } else { Ill::No };
                Orders { refresh: Some(dates(*days)), manifest, ..self.orders(ill) }
            })
            .collect();
        let lives = self.live(&orders, ill)?;
        for (days, life) in spans.iter().zip(&lives) {
            // Complete, or there was nothing to refresh.
            if matches!(life.exit, Some(0 | 2)) {
                self.refreshing.remove(days);
            }
            if life.exit == Some(0) {
                let is_left = |key: &StayKey| !(days.0..=days.1).contains(&self.day_of(*key));
                let left = self.pages_harmed.iter().copied().filter(is_left).collect();
                self.pages_harmed = left;
            }
        }
        // Nothing may be known of the days, or its pages may be pruned.
        let may_fail = ill != Ill::No || !self.is_calm() || lives.iter().all(|life| matches!(life.exit, Some(0 | 2)));
        if !may_fail {
            return Err(format!("a refresh is not complete, though nothing was wrong: {lives:#?}"));
        }
        if must_stop {
            return Ok(());
        }
        let has_run = lives.iter().any(|life| life.sent > 0) && ill == Ill::No && is_first;
        spans.iter().filter(|_| has_run).try_for_each(|days| self.check_refreshed(*days))
    }

    fn happen(&mut self, mishap: Mishap) {
        match mishap {
            Mishap::Stranger { day } => {
                let folder = self.world.config.output.folder().unwrap().join(format!("date={}", date_of(day)));
                fs::create_dir_all(&folder).unwrap();
                let path = folder.join("notes.txt");
                fs::write(&path, "not a file of ours").unwrap();
                self.strangers.insert(path);
            }
            Mishap::StrangersGo => self.strangers_go(),
            Mishap::Page { stay } => self.harm_page(stay),
            Mishap::File { day, harm } => self.harm_file(day, harm),
            Mishap::Copy => {
                if self.world.config.state.exists() {
                    copy_folder(&self.world.config.state, &self.world.path("copy"));
                    self.has_copy = true;
                }
            }
            Mishap::Restore => {
                if self.has_copy && self.lose_state() {
                    copy_folder(&self.world.path("copy"), &self.world.config.state);
                }
            }
            Mishap::Lose => drop(self.lose_state()),
        }
    }

    fn lose_state(&mut self) -> bool {
        // Nor of one that was harmed before.
        if !self.world.config.state.exists() || self.harmed.values().any(|bytes| bytes.len() > 100) {
            return false;
        }
        fs::remove_dir_all(&self.world.config.state).unwrap();
        self.is_foreign = true;
        // What has landed since the copy may be asked for again, and pages may be harmed no more, or again.
        self.forgiven += self.answered();
        self.paged.clear();
        self.pages_harmed.clear();
        self.refreshing.clear();
        true
    }

    /// Pages that any server has answered.
    pub(crate) fn answered(&self) -> u64 {
        let of_server = |server: &SharedSimulator| {
            let server = server.lock().unwrap();
            server.books().pages().map(|(.., page)| u64::from(page.answered)).sum::<u64>()
        };
        self.servers.iter().map(of_server).sum()
    }

    pub(crate) fn strangers_go(&mut self) {
        for path in std::mem::take(&mut self.strangers) {
            // It may have gone with its folder.
            drop(fs::remove_file(path));
        }
    }

    fn harm_file(&mut self, day: usize, harm: Harm) {
        let folder = self.world.config.output.folder().unwrap().join(format!("date={}", date_of(day)));
        let is_whole = |path: &PathBuf| !self.harmed.contains_key(path);
        let Some(path) = parts(&folder).into_iter().find(is_whole) else { return };
        let mut bytes = fs::read(&path).unwrap();
        let mut gone = self.stays_in(&path);
        self.ever_harmed.extend(&gone);
        match harm {
            // Nobody can know it of a file that the journal does not know.
            Harm::Flip if self.is_foreign => return,
            Harm::Cut => bytes.truncate(100),
            Harm::Flip => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x55;
            }
            Harm::Delete => {
                fs::remove_file(&path).unwrap();
                self.cut.extend(&gone);
                self.taken.append(&mut gone);
                return;
            }
        }
        fs::write(&path, &bytes).unwrap();
        self.harmed.insert(path, bytes);
        if harm == Harm::Cut {
            self.cut.extend(&gone);
        }
        self.taken.append(&mut gone);
    }
}

/// The part files of a folder, in their order.
pub(crate) fn parts(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut parts: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    parts.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    parts.sort();
    parts
}

fn copy_folder(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
