//! What must hold after every act, and what in the end. Nothing here asks the program, except to compare its words with
//! what stands on the disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use chrono::NaiveDate;
use rusqlite::{Connection, OpenFlags};
use vcq::{
    command::{adopt::adopt, rebuild::rebuild, status::status, verify::verify},
    error::{Error, ExitCode},
    simulator::{
        SharedSimulator,
        tenant::{SimulatedStay, StayKey},
        values::ExpectedSample,
    },
};

use crate::{
    oracle::{StayOrder, order_of},
    sight::{FoundStay, read_file},
    stage::{Ill, Server, Span, Stage, date_of, day_of, parts},
};

/// Attempts to heal what `verify` finds, each of which follows its words.
const CURES_MAX: usize = 4;

/// What the journal says of a stay.
struct Known {
    id: i64,
    is_done: bool,
    is_pending: bool,
    samples: i64,
    /// All its landed pages have their bodies.
    is_paged: bool,
}

/// What stands in the dataset.
#[derive(Default)]
struct Sight {
    /// Readable stays with their samples, and the bytes of their files' names.
    stays: BTreeMap<StayKey, usize>,
    files: usize,
    rows: usize,
}

impl Stage {
    /// Looks at the disk, and compares what the program says with it.
    pub(crate) fn look(&mut self) -> Result<(), String> {
        let sight = self.see()?;
        let vanished: Vec<_> =
            self.visible.keys().filter(|key| !sight.stays.contains_key(key) && !self.taken.contains(key)).collect();
        if !vanished.is_empty() {
            return Err(format!("{} stays that were visible are gone: {vanished:?}", vanished.len()));
        }
        for (key, samples) in &sight.stays {
            if self.visible.get(key).is_some_and(|before| before > samples) && !self.taken.contains(key) {
                return Err(format!("{key:?} has {samples} rows, and had {:?}", self.visible.get(key)));
            }
        }
        self.taken.retain(|key| !sight.stays.contains_key(key));
        self.cut.retain(|key| self.taken.contains(key));
        let known = self.known();
        self.check_bodies(&known, &sight)?;
        self.check_words(&known, &sight)?;
        self.check_requests()?;
        self.visible = sight.stays;
        self.forget_ended_refreshes();
        Ok(())
    }

    /// Whatever run has come to the end of a refresh: the same command begins it anew.
    fn forget_ended_refreshes(&mut self) {
        let Ok(status) = status(&self.world.config, &self.world.start()) else { return };
        let is_open = |days: &Span| {
            let is_in = |date: NaiveDate| (date_of(days.0)..=date_of(days.1)).contains(&date);
            status.dates.iter().any(|date| date.refreshing > 0 && is_in(date.date))
        };
        self.refreshing.retain(|days, _| is_open(days));
    }

    /// Reads every file of the dataset.
    fn see(&self) -> Result<Sight, String> {
        let mut sight = Sight::default();
        let output = self.world.config.output.folder().unwrap();
        if !output.exists() {
            return Ok(sight);
        }
        for folder in entries(output) {
            let day = (0..self.days()).find(|day| folder.ends_with(format!("date={}", date_of(*day))));
            let Some(day) = day else { return Err(format!("`{}` does not belong there", folder.display())) };
            for path in entries(&folder) {
                if self.strangers.contains(&path) {
                    continue;
                }
                if !parts(&folder).contains(&path) {
                    return Err(format!("`{}` does not belong there", path.display()));
                }
                sight.files += 1;
                if self.is_harmed(&path) {
                    continue;
                }
                for (key, samples) in self.read(&path)? {
                    sight.rows += samples;
                    if self.day_of(key) != day || sight.stays.insert(key, samples).is_some() {
                        return Err(format!("{key:?} of day {day} is there twice, or on another day"));
                    }
                }
            }
        }
        Ok(sight)
    }

    /// The stays of a file, each of which has the rows of a server that was asked for it. Bytes that were read before are not
    /// read again: what a server has answered it has answered.
    fn read(&self, path: &Path) -> Result<Vec<(StayKey, usize)>, String> {
        let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        if let Some(stays) = self.read_before.borrow().get(&bytes) {
            return Ok(stays.clone());
        }
        let stays: BTreeMap<StayOrder, &SimulatedStay> =
            self.world.stays.iter().map(|stay| (order_of(stay), stay)).collect();
        let found = read_file(path).map_err(|why| format!("{}: {why}", path.display()))?;
        let known = found.iter().map(|found| match stays.get(&found.order) {
            None => Err(format!("{}: nobody asked for {:?}", path.display(), found.order)),
            Some(stay) => self.check_stay(stay, found).map(|()| (stay.key, found.samples.len())),
        });
        let known = known.collect::<Result<Vec<_>, _>>()?;
        self.read_before.borrow_mut().insert(bytes, known.clone());
        Ok(known)
    }

    /// After a run that ends well nothing waits to be published on a date that is settled.
    pub(crate) fn check_none_lacks(&self) -> Result<(), String> {
        let (known, sight) = (self.known(), self.see()?);
        let pending: BTreeSet<usize> =
            known.iter().filter(|(_, known)| known.is_pending).map(|(key, _)| self.day_of(*key)).collect();
        let lacking = known.iter().find(|(key, known)| {
            let is_settled = !pending.contains(&self.day_of(**key));
            known.is_done && known.samples > 0 && is_settled && !sight.stays.contains_key(key)
        });
        lacking.map_or(Ok(()), |(key, _)| {
            Err(format!("a run is complete, but the rows of {key:?} on day {} are not there", self.day_of(*key)))
        })
    }

    /// What was to be read again and could be is visible.
    pub(crate) fn check_refreshed(&self, days: Span) -> Result<(), String> {
        let sight = self.see()?;
        let has_stranger = |day: usize| {
            let name = format!("date={}", date_of(day));
            self.strangers.iter().any(|path| path.parent().unwrap().ends_with(&name))
        };
        for (key, known) in self.known() {
            let day = self.day_of(key);
            if !known.is_done || !(days.0..=days.1).contains(&day) || has_stranger(day) {
                continue;
            }
            let (before, now) =
                (self.visible.get(&key).copied().unwrap_or(0), expected(&self.world.simulator, key).len());
            let found = sight.stays.get(&key).copied().unwrap_or(0);
            if found < before.max(now) && !self.taken.contains(&key) {
                return Err(format!(
                    "after a refresh {found} rows of {key:?} on day {day}: {before} before, {now} now"
                ));
            }
        }
        Ok(())
    }

    fn days(&self) -> usize {
        self.world.stays.iter().map(day_of).max().unwrap() + 1
    }

    /// The rows are those of a server that was asked for them.
    fn check_stay(&self, stay: &SimulatedStay, found: &FoundStay) -> Result<(), String> {
        let is_of = |server: &SharedSimulator| found.is(&expected(server, stay.key)) && has_answered(server, stay.key);
        let is_true = self.servers.iter().rev().any(is_of);
        if is_true { Ok(()) } else { Err(format!("{} rows of {:?} are no server's", found.samples.len(), stay.key)) }
    }

    fn is_harmed(&self, path: &Path) -> bool {
        self.harmed.get(path).is_some_and(|bytes| fs::read(path).is_ok_and(|found| found == *bytes))
    }

    /// The stays that can be read in a file.
    pub(crate) fn stays_in(&self, path: &Path) -> BTreeSet<StayKey> {
        if self.is_harmed(path) {
            BTreeSet::new()
        } else {
            self.read(path).unwrap().into_iter().map(|(key, _)| key).collect()
        }
    }

    fn database(&self) -> Option<Connection> {
        let path = self.world.config.state.join("journal.sqlite");
        path.exists().then(|| Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap())
    }

    /// What the journal says of the stays that it knows.
    fn known(&self) -> BTreeMap<StayKey, Known> {
        let keys: BTreeMap<StayOrder, StayKey> =
            self.world.stays.iter().map(|stay| (order_of(stay), stay.key)).collect();
        let Some(database) = self.database() else { return BTreeMap::new() };
        let sql = "SELECT meeting_start, printf('%09d', meeting_no), join_time, participant, id, state = 1, state = 0, samples, \
                   EXISTS (SELECT 1 FROM page WHERE page.stay = stay.id) AND \
                   (SELECT count(*) FROM page LEFT JOIN body ON body.id = page.body \
                    WHERE page.stay = stay.id AND body.id IS NULL) = 0 \
                   FROM stay WHERE rereads IS NULL";
        let Ok(mut statement) = database.prepare(sql) else { return BTreeMap::new() };
        let rows = statement.query_map([], |row| {
            let order: StayOrder = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            let known = Known {
                id: row.get(4)?,
                is_done: row.get(5)?,
                is_pending: row.get(6)?,
                samples: row.get(7)?,
                is_paged: row.get(8)?,
            };
            Ok((keys[&order], known))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    /// Landed pages, by the journal.
    pub(crate) fn landed_pages(&self) -> u64 {
        let database = self.database();
        database.map_or(0, |database| database.query_row("SELECT count(*) FROM page", [], |row| row.get(0)).unwrap())
    }

    /// Changes bytes of a landed page, if there is one.
    pub(crate) fn harm_page(&mut self, stay: usize) {
        let key = self.world.stays[stay].key;
        let known = self.known();
        let Some(known) = known.get(&key).filter(|known| known.is_paged && known.samples > 0) else { return };
        let database = self.database().unwrap();
        let sql =
            "UPDATE body SET zstd = x'00010203' WHERE id = (SELECT body FROM page WHERE stay = ?1 AND number = 0)";
        if database.execute(sql, [known.id]).unwrap() > 0 {
            self.pages_harmed.insert(key);
            self.ever_harmed.insert(key);
        }
    }

    /// What was paid for is in a file or in the journal.
    fn check_bodies(&mut self, known: &BTreeMap<StayKey, Known>, sight: &Sight) -> Result<(), String> {
        let paged: BTreeSet<StayKey> = known
            .iter()
            .filter(|(_, known)| known.is_done && known.samples > 0 && known.is_paged)
            .map(|(key, _)| *key)
            .collect();
        for key in self.paged.difference(&paged) {
            if !sight.stays.contains_key(key) {
                return Err(format!("the pages of {key:?} are gone, and its rows are not visible"));
            }
        }
        self.paged = paged;
        Ok(())
    }

    /// Where rows are missing, `verify` and `status` say so.
    fn check_words(&self, known: &BTreeMap<StayKey, Known>, sight: &Sight) -> Result<(), String> {
        let dates_of = |keys: &mut dyn Iterator<Item = StayKey>| -> BTreeSet<NaiveDate> {
            keys.map(|key| date_of(self.day_of(key))).collect()
        };
        let mut lacking = known
            .iter()
            .filter(|(key, known)| known.is_done && known.samples > 0 && !sight.stays.contains_key(key))
            .map(|(key, _)| *key);
        let lacking = dates_of(&mut lacking);
        match verify(&self.world.config, &self.world.start()) {
            Err(Error::Bug(why)) => return Err(format!("verify: a bug: {why}")),
            Err(_) => {}
            Ok(verified) => {
                let said = verified.to_string();
                let names = |date: &NaiveDate| {
                    said.lines().any(|line| !line.starts_with("ok") && line.contains(&date.to_string()))
                };
                let unnamed: Vec<_> = lacking.iter().filter(|date| !names(date)).collect();
                if !unnamed.is_empty() || !lacking.is_empty() && verified.exit_code() == ExitCode::Complete {
                    return Err(format!("rows are missing on {lacking:?}, but verify says\n{said}"));
                }
            }
        }
        // Bits that flip are seen by whoever reads the file, which `status` does not.
        let is_flipped = |path: &PathBuf, bytes: &Vec<u8>| bytes.len() > 100 && self.is_harmed(path);
        let flipped: BTreeSet<String> = self
            .harmed
            .iter()
            .filter(|(path, bytes)| is_flipped(path, bytes))
            .map(|(path, _)| path.parent().unwrap().file_name().unwrap().to_str().unwrap()[5..].to_owned())
            .collect();
        match status(&self.world.config, &self.world.start()) {
            Err(Error::Bug(why)) => Err(format!("status: a bug: {why}")),
            Err(_) => Ok(()),
            Ok(status) => {
                let is_wrong = |date: &NaiveDate| lacking.contains(date) && !flipped.contains(&date.to_string());
                let wrong = status.dates.iter().find(|date| date.complete && is_wrong(&date.date));
                wrong.map_or(Ok(()), |date| Err(format!("rows are missing, but status says {date:?}")))
            }
        }
    }

    /// By the servers' books nothing was asked for twice that had landed.
    fn check_requests(&self) -> Result<(), String> {
        let again = |server: &SharedSimulator| {
            let server = server.lock().unwrap();
            server.books().pages().map(|(.., page)| u64::from(page.answered.saturating_sub(1))).sum::<u64>()
        };
        let again: u64 = self.servers.iter().map(again).sum();
        let forgiven = self.forgiven + self.world.abandoned;
        if again <= forgiven { Ok(()) } else { Err(format!("{again} pages were paid for twice, {forgiven} explained")) }
    }

    /// Takes every obstacle away, runs once more, follows what `verify` says, and sees whether all is there then.
    pub(crate) fn end(&mut self) -> Result<(), String> {
        self.strangers_go();
        let all: Vec<usize> = self.asked.iter().copied().collect();
        if self.is_foreign {
            self.adopt(&all)?;
        }
        self.export_some(&[&all], Ill::No)?;
        self.look()?;
        let mut is_whole = false;
        for _ in 0..CURES_MAX {
            is_whole = self.cure()?;
            if is_whole {
                break;
            }
            self.export_some(&[&all], Ill::No)?;
            self.look()?;
        }
        if !is_whole {
            let verified = verify(&self.world.config, &self.world.start());
            let said = verified.map(|verified| verified.to_string());
            return Err(format!("neither `rebuild` nor `--refresh` mends it: {said:?}"));
        }
        let life = self.export_some(&[&all], Ill::No)?.remove(0);
        self.look()?;
        let [_, rejected, done, absent, failed, pending] = life.account();
        let counts = (life.exit, rejected + absent + failed + pending, done);
        if !all.is_empty() && counts != (Some(0), 0, all.len() as u64) || life.sent > 0 {
            return Err(format!("the last run ends with {counts:?}: {life:#?}"));
        }
        self.check_all()
    }

    /// One step towards the whole; true if there is nothing to do.
    fn cure(&mut self) -> Result<bool, String> {
        let verified = verify(&self.world.config, &self.world.start()).map_err(|error| format!("verify: {error:?}"))?;
        let is_whole = verified.exit_code() == ExitCode::Complete;
        let said = verified.to_string();
        let ill: Vec<usize> = (0..self.days())
            .filter(|day| {
                let date = date_of(*day).to_string();
                said.lines().any(|line| !line.starts_with("ok") && line.contains(&date))
            })
            .collect();
        let harmed: BTreeSet<usize> =
            self.world.stays.iter().filter(|stay| self.pages_harmed.contains(&stay.key)).map(day_of).collect();
        if is_whole && harmed.is_empty() {
            let Some(days) = self.refreshing.keys().next().copied() else { return Ok(true) };
            self.refresh_again(days, Ill::No)?;
            return Ok(false);
        }
        if ill.is_empty() && harmed.is_empty() {
            return Err(format!("verify names no date:\n{said}"));
        }
        for day in ill {
            let date = date_of(day);
            let rebuilt = rebuild(&self.world.config, (Some(date), Some(date)), &self.world.start(), |_| ());
            if rebuilt.is_ok_and(|rebuilt| rebuilt.failures.is_empty()) {
                self.look()?;
                continue;
            }
            // No page to build it from: it is asked for again, of a server that has all.
            self.serve(Server::Whole);
            self.refresh(&[(day, day)], Ill::No)?;
            self.look()?;
        }
        for day in harmed {
            self.serve(Server::Same);
            self.refresh(&[(day, day)], Ill::No)?;
            self.look()?;
        }
        Ok(false)
    }

    /// A journal that is older than the dataset, or knows nothing of it: the run stops before its first request.
    fn adopt(&mut self, all: &Vec<usize>) -> Result<(), String> {
        let fits = self.database().is_some_and(|_| {
            verify(&self.world.config, &self.world.start())
                .is_ok_and(|verified| verified.exit_code() == ExitCode::Complete)
        });
        let is_empty = self.see()?.files == 0;
        let life = self.export_some(&[all], Ill::No)?.remove(0);
        if !fits && !is_empty && (life.exit, life.sent) != (Some(74), 0) {
            return Err(format!("the journal does not know the dataset, but the run goes on: {life:#?}"));
        }
        if life.exit == Some(74) {
            let adopted = adopt(&self.world.config, &self.world.start());
            let adopted = adopted.map_err(|error| format!("adopt: {error:?}"))?;
            if !adopted.refused.is_empty() && self.harmed.is_empty() {
                return Err(format!("not adopted: {:?}", adopted.refused));
            }
            self.look()?;
        }
        self.is_foreign = false;
        Ok(())
    }

    /// Every stay that was asked for is there, once, with its rows, and everybody says so.
    fn check_all(&self) -> Result<(), String> {
        let sight = self.see()?;
        for stay in self.asked.iter().map(|stay| &self.world.stays[*stay]) {
            let readings: Vec<usize> = self
                .servers
                .iter()
                .filter(|server| has_answered(server, stay.key))
                .map(|server| expected(server, stay.key).len())
                .collect();
            let most = readings.iter().copied().max().unwrap_or(0);
            let found = sight.stays.get(&stay.key).copied().unwrap_or(0);
            // An answer may have been on its way to a process that was killed; and where file and pages were harmed, what a
            // later server has is all there is.
            let is_excused = (self.forgiven + self.world.abandoned > 0 || self.ever_harmed.contains(&stay.key))
                && readings.contains(&found);
            if found != most && !is_excused {
                return Err(format!("{found} of {most} rows of {:?} on day {}", stay.key, day_of(stay)));
            }
        }
        let verified = verify(&self.world.config, &self.world.start()).map_err(|error| format!("verify: {error:?}"))?;
        if verified.exit_code() != ExitCode::Complete {
            return Err(format!("all is there, but verify says\n{verified}"));
        }
        if self.asked.is_empty() {
            return Ok(());
        }
        let status = status(&self.world.config, &self.world.start()).map_err(|error| format!("status: {error:?}"))?;
        let (samples, files) =
            status.dates.iter().fold((0, 0), |(samples, files), date| (samples + date.samples, files + date.files));
        let is_asked =
            |date: NaiveDate| self.asked.iter().any(|stay| date_of(day_of(&self.world.stays[*stay])) == date);
        let is_complete = status
            .dates
            .iter()
            .filter(|date| is_asked(date.date))
            .all(|date| date.complete && date.refreshing + date.pending + date.failed == 0);
        if !is_complete || (samples, files) != (sight.rows as u64, sight.files as u64) {
            return Err(format!(
                "{} files with {} rows are there, but status says {status:#?}",
                sight.files, sight.rows
            ));
        }
        Ok(())
    }
}

/// What a server has of a stay.
fn expected(server: &SharedSimulator, key: StayKey) -> Vec<ExpectedSample> {
    let server = server.lock().unwrap();
    let stay = server.tenant().stay(key).unwrap();
    server.expected(&stay).samples
}

/// Whether a server has answered every page of a stay.
fn has_answered(server: &SharedSimulator, key: StayKey) -> bool {
    let server = server.lock().unwrap();
    let stay = server.tenant().stay(key).unwrap();
    (0..stay.sample_count.max(1)).step_by(100).all(|first| server.books().page(key, first).answered > 0)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}
