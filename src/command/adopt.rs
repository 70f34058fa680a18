//! `vcq adopt`: the stays of published files that the journal does not know, taken into it: a journal that was lost, or
//! restored from before, goes on without asking for them twice or publishing them twice.
//!
//! A file's rows say whose they are. Their landed pages are gone, as after a prune: the files can be read and verified, and
//! not be built again, until an archive of them is imported or `--refresh` asks for them again. Files of meetings and
//! participants are taken whole, and replaced once their dates have been listed again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
};

use chrono::NaiveDate;

use crate::{
    config::Config,
    dataset::Dataset,
    error::{Chain, Error, ExitCode},
    journal::{FileId, Identity, Journal, JournalError, NewFile},
    parquet::StayRuns,
    printable::Printable,
    publish::{
        Publisher, Publishing,
        file::{name_of, sha256},
        listed::{self, ListedAdoption},
        look::{self, Depth, Fault},
    },
    start::Start,
    store::{FileName, Listing, PartFile, Store},
    words::Count,
};

/// What was taken into the journal.
#[derive(Debug, Default)]
pub struct Adopted {
    /// Files that it knows now.
    pub files: u64,
    /// Their stays.
    pub stays: u64,
    /// Their samples.
    pub samples: u64,
    /// Files of the datasets that come from listings, with their rows.
    pub listed: BTreeMap<Dataset, (u64, u64)>,
    /// Files that a table no longer has, which it keeps until their time has come.
    pub old: u64,
    /// Files that it does not take, and why.
    pub refused: Vec<(PathBuf, String)>,
    /// The same of the datasets that come from listings.
    pub refused_listed: Vec<(PathBuf, String)>,
    /// Dates of which a table has rows of other programs that the journal does not explain, and what to do about each: their files are
    /// not taken.
    pub unexplained: Vec<(String, String)>,
    /// Files that it knows and that are not what was published: what is wrong, and what to do about it.
    pub differing: Vec<(String, String)>,
}

/// Takes the stays of every file that the journal does not know into it.
///
/// A file is taken whole or not at all. What has landed of its stays is kept if it comes to as many samples.
///
/// # Errors
///
/// [`JournalError::Missing`] if there is neither a journal nor a file. [`Error::Upstream`] while another process fetches. If journal
/// or dataset cannot be read; what was taken stays taken.
pub fn adopt(config: &Config, start: &Start) -> Result<Adopted, Error> {
    if !Journal::exists(&config.state)? && !has_any_date(config, start)? {
        return Err(JournalError::Missing(config.state.clone()).into());
    }
    let publisher = Publisher::of(&start.stores(config), config)?;
    let mut journal = Journal::open(&config.state, &Identity::of(config))?;
    let Some(_fetching) = journal.try_lock_fetching()? else {
        return Err(Error::Upstream("another process is fetching into this journal".into()));
    };
    let publishing = publisher.begin(&journal)?;
    publishing.settle_intents(&mut journal)?;
    let mut adopted = Adopted::default();
    adopted.take_samples(&mut journal, &publishing, &publisher, (config, start))?;
    publishing.adopt_listed(&mut journal, &start.stop, |dataset, adoption| adopted.add_listed(dataset, adoption))?;
    if start.stop.is_requested() {
        return Err(Error::Stopped(format!("{} files taken", adopted.files)));
    }
    adopted.find_differing(&journal, &publisher)?;
    Ok(adopted)
}

/// Whether any dataset has a date.
fn has_any_date(config: &Config, start: &Start) -> Result<bool, Error> {
    let stores = start.stores(config);
    for place in Dataset::ALL.into_iter().filter_map(|dataset| config.place(dataset)) {
        if !stores.existing(place)?.partitions()?.dates.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Adopted {
    /// Takes what the dataset of samples holds.
    fn take_samples(
        &mut self,
        journal: &mut Journal,
        publishing: &Publishing,
        publisher: &Publisher,
        (config, start): (&Config, &Start),
    ) -> Result<(), Error> {
        let dataset = publisher.store();
        for date in dataset.partitions()?.dates {
            if start.stop.is_requested() {
                return Err(Error::Stopped(format!("{} files taken", self.files)));
            }
            let Listing { files: mut parts, active, .. } = dataset.list(date)?;
            let is_active =
                |part: &PartFile| active.as_ref().is_none_or(|active| active.contains_key(&part.name.to_string()));
            let visible: BTreeSet<FileName> = parts.iter().map(|part| part.name).collect();
            let is_rewritten =
                active.iter().flat_map(|active| active.keys()).any(|name| FileName::parse(name).is_none());
            let old = journal.old_names(Dataset::Quality, date)?;
            parts.retain(|part| !old.contains(&part.name.to_string()));
            let mut rewritten = Vec::new();
            // What the table has comes first: what else there is holds the same stays, if it is old.
            parts.sort_by_key(|part| !is_active(part));
            for part in parts {
                let known = journal.files_on(date)?.iter().map(name_of).collect::<Result<BTreeSet<_>, _>>()?;
                if known.contains(&part.name) {
                    continue;
                }
                if !is_active(&part) && is_rewritten {
                    rewritten.push(dataset.path_of(date, part.name));
                    continue;
                }
                let is_taken = self.take(journal, config, dataset, part, &visible, start)?;
                if is_taken && !is_active(&part) {
                    publishing.take_in(journal, part)?;
                } else if !is_taken && active.is_some() && !is_active(&part) {
                    self.refused.pop();
                    self.old += 1;
                    journal.retire((Dataset::Quality, date), [part.name.to_string()], None, start.now().timestamp())?;
                }
            }
            journal.forget_empty_files(date)?;
            let faults = look::look(journal, dataset, date, dataset.list(date)?, Depth::Names)?.faults;
            // Of a date that is told as a whole the files are not told too.
            if !faults.iter().any(|fault| matches!(fault, Fault::Unexplained { .. })) {
                let why = "another program has rewritten its date in the table";
                self.refused.extend(rewritten.into_iter().map(|path| (path, why.to_owned())));
            }
        }
        Ok(())
    }

    /// Takes a file; false if it does not, and tells why.
    fn take(
        &mut self,
        journal: &mut Journal,
        config: &Config,
        dataset: &Store,
        part: PartFile,
        visible: &BTreeSet<FileName>,
        start: &Start,
    ) -> Result<bool, Error> {
        let PartFile { date, name, bytes } = part;
        let path = dataset.path_of(date, name);
        let others = visible_files(journal, date, visible)?;
        let open = || dataset.open_file(date, name).map_err(Error::from);
        let taken = open().and_then(|file| sha256(&name.to_string(), file)).and_then(|sha256| {
            let unreadable = |source| Error::Parquet { name: name.to_string(), source };
            let runs = StayRuns::open(open()?).map_err(unreadable)?;
            let stays = runs.map(|run| run.map(|run| (run.stay(), run.samples)).map_err(unreadable));
            let file = NewFile { date, digits: name.digits(), bytes, sha256 };
            journal.take_over(&file, stays, &others, (config.timezone, start.now().timestamp()))
        });
        match taken {
            Ok(Ok((stays, samples))) => {
                self.files += 1;
                self.stays += stays;
                self.samples += samples;
                return Ok(true);
            }
            Ok(Err(refusal)) => self.refused.push((path, refusal)),
            Err(error @ Error::Journal(_)) => return Err(error),
            Err(error) => self.refused.push((path, Chain(&error).to_string())),
        }
        Ok(false)
    }

    fn add_listed(&mut self, dataset: Dataset, adoption: ListedAdoption) {
        match adoption {
            ListedAdoption::Taken(taken) => {
                let (files, rows) = self.listed.entry(dataset).or_default();
                (*files, *rows) = (*files + 1, *rows + taken);
            }
            ListedAdoption::Old => self.old += 1,
            ListedAdoption::Refused(path, why) => self.refused_listed.push((path, why)),
        }
    }

    /// Finds what the journal knows, and is missing or something else, and what a table has that it does not explain: there is nothing to
    /// take of either.
    fn find_differing(&mut self, journal: &Journal, publisher: &Publisher) -> Result<(), Error> {
        let mut take = |dataset: Dataset, date, faults: Vec<Fault>| {
            // What a table has that nothing explains is why published files are gone.
            let is_unexplained = faults.iter().any(|fault| matches!(fault, Fault::Unexplained { .. }));
            for fault in faults {
                let told = (format!("{} date={date}: {fault}", dataset.name()), fault.remedy(dataset, date));
                match fault {
                    Fault::Missing { .. } | Fault::Changed { .. } if !is_unexplained => self.differing.push(told),
                    Fault::Unexplained { .. } => self.unexplained.push(told),
                    _ => {}
                }
            }
        };
        let store = publisher.store();
        for date in look::dates(journal, store)? {
            let look = look::look(journal, store, date, store.list(date)?, Depth::Names)?;
            take(Dataset::Quality, date, look.faults);
        }
        for dataset in Dataset::LISTED {
            let Some(store) = publisher.listed_store(dataset)? else { continue };
            for date in listed::dates(journal, &store, dataset)? {
                take(dataset, date, listed::look(journal, &store, (dataset, date), Depth::Names)?.faults);
            }
        }
        Ok(())
    }

    /// 74 if a file that the journal knows is not what was published, 65 if some files were refused, or cannot be taken.
    pub fn exit_code(&self) -> ExitCode {
        if !self.differing.is_empty() {
            ExitCode::Disk
        } else if self.refused.is_empty() && self.refused_listed.is_empty() && self.unexplained.is_empty() {
            ExitCode::Complete
        } else {
            ExitCode::SomeFailed
        }
    }
}

/// The numbers of the journal's files of a date that are there.
fn visible_files(journal: &Journal, date: NaiveDate, visible: &BTreeSet<FileName>) -> Result<BTreeSet<FileId>, Error> {
    let mut ids = BTreeSet::new();
    for file in journal.files_on(date)? {
        if visible.contains(&name_of(&file)?) {
            ids.insert(file.id);
        }
    }
    Ok(ids)
}

impl fmt::Display for Adopted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, stays, samples, listed, old, refused, refused_listed, unexplained, differing } = self;
        let (files, stays, rows) = (Count(*files, "file"), Count(*stays, "stay"), Count(*samples, "row"));
        writeln!(f, "adopted    {files}, {stays}, {rows}")?;
        for (dataset, (files, rows)) in listed {
            let (files, rows) = (Count(*files, "file"), Count(*rows, "row"));
            writeln!(f, "           {files} of {}, {rows}", dataset.name())?;
        }
        if *old > 0 {
            writeln!(
                f,
                "old        {}: the table no longer has them, and they go after `table_retention`",
                Count(*old, "file")
            )?;
        }
        for (path, why) in refused.iter().chain(refused_listed) {
            writeln!(f, "refused    `{}`: {}", Printable(path.display()), Printable(why))?;
        }
        if !refused.is_empty() {
            writeln!(f, "           move these away: their stays are asked for again, unless another file holds them")?;
        }
        if !refused_listed.is_empty() {
            writeln!(
                f,
                "           move those of meetings and participants away: `vcq discover DATES` lists their dates again"
            )?;
        }
        for (what, remedy) in unexplained {
            writeln!(f, "refused    {what}; only vcq's own files can be taken: {remedy}")?;
        }
        for (what, remedy) in differing {
            writeln!(f, "FAIL       {what}: {remedy}")?;
        }
        Ok(())
    }
}
