//! The datasets that come from listings: of each date one file, folded from all pages that have landed, replaced when they say
//! something else.
//!
//! The file is built first, twice folded from the same pages: once for its name, which is a digest of its rows, and once for its
//! bytes. Then the intent is recorded, the file made visible, and that recorded. Cut anywhere, the next process finds the intent: a
//! file that is visible is recorded, one that is not has never been.

mod adopt;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{FixedOffset, NaiveDate};
use chrono_tz::Tz;
use sha2::{Digest, Sha256};

pub use self::adopt::ListedAdoption;
use super::{
    Publisher, Publishing,
    active::TableLook,
    fault::{Depth, Fault, mismatch},
    file::{has_left_nothing, parse_name, sha256},
    look::{self, unexplained},
    table::{self, Settled, Shelf},
};
use crate::{
    dataset::Dataset,
    error::{Chain, Error},
    journal::{Journal, ListedFile, ListedPageId},
    listings::{self, Attendances, SeenMeeting},
    parquet::listed::{ListedFacts, ListedWriter, encoder, read_back},
    place::Place,
    read::{
        decode::Unknown,
        listed::{PageError, Values},
        unread::Unread,
    },
    start::Stop,
    stay::{MeetingNo, partition_date},
    store::{FileName, Store, Trust, disk::DiskError, lock::StoreLock, table::Claim},
    tables::{listed::Table, meetings::MEETINGS, participants::PARTICIPANTS},
};

/// A file of a dataset that comes from listings, visible now.
#[derive(Debug)]
pub struct ListedPublication {
    /// What the journal says of it.
    pub file: ListedFile,
    /// Its name.
    pub name: String,
    /// Values in it that could not be read, by column.
    pub unparsed: BTreeMap<&'static str, Unread>,
    /// What the API sent that no column comes from.
    pub unknown: Unknown,
}

/// The table of a dataset that comes from listings.
fn table(dataset: Dataset) -> Option<&'static Table> {
    match dataset {
        Dataset::Quality => None,
        Dataset::Meetings => Some(&MEETINGS),
        Dataset::Participants => Some(&PARTICIPANTS),
    }
}

/// One dataset, and the right to change it.
struct Target<'a> {
    dataset: Dataset,
    table: &'static Table,
    store: Store,
    lock: StoreLock,
    settings: &'a Publisher,
}

impl Publisher {
    /// A dataset that comes from listings, to be read; none if it is not published.
    pub fn listed_store(&self, dataset: Dataset) -> Result<Option<Store>, Error> {
        let place = self.discover.place(dataset);
        Ok(place.map(|place| self.stores.existing(place)).transpose()?)
    }

    /// Makes sure that the datasets of discovery can be published, and are of this journal by names and sizes, before a request is
    /// spent on them. What another process is publishing is left out.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] with what is missing, changed or not known.
    pub fn check_listed(&self, journal: &Journal) -> Result<(), Error> {
        self.compare_listed(journal, |place| self.stores.open(place))
    }

    /// The same of datasets that `open` opens.
    pub(super) fn compare_listed(
        &self,
        journal: &Journal,
        open: impl Fn(&Place) -> Result<Store, DiskError>,
    ) -> Result<(), Error> {
        let mut found = Vec::new();
        for dataset in Dataset::LISTED {
            let Some(place) = self.discover.place(dataset) else { continue };
            let store = open(place)?;
            let is_begun = table::check(journal, &store, dataset)?.is_some();
            let at_once = store.at_once()?;
            for date in dates(journal, &at_once, dataset)? {
                if look(journal, &at_once, (dataset, date), Depth::Names)?.faults.is_empty() {
                    continue;
                }
                let before = journal.listed_file(dataset, date, true)?;
                let faults = look(journal, &store, (dataset, date), Depth::Names)?.faults;
                let is_at_work =
                    faults.contains(&Fault::Intended) || journal.listed_file(dataset, date, true)? != before;
                let is_unknown = faults.iter().any(|fault| matches!(fault, Fault::Unknown(_)));
                let stops = |fault: &Fault| match fault {
                    // An unknown file of the date is what took its place.
                    Fault::Missing { .. } => !is_unknown,
                    // A table that is still to be made has nothing yet.
                    Fault::Table { .. } => is_begun,
                    fault => fault.stops(date, None),
                };
                let told =
                    |fault: &Fault| (format!("{} date={date}: {fault}", dataset.name()), fault.remedy(dataset, date));
                found.extend(faults.iter().filter(|fault| !is_at_work && stops(fault)).map(told));
            }
            let published = journal.listed_files(dataset, true)?.len();
            if !found.is_empty() && published > 0 && at_once.partitions()?.dates.is_empty() {
                return Err(look::gone(&store, published));
            }
            let told = |(what, remedy)| (format!("{}: {what}", dataset.name()), remedy);
            found.extend(look::beside(&at_once)?.map(told));
        }
        mismatch(found.into_iter())
    }
}

impl Publishing {
    /// Makes sure that the datasets of discovery are what they are to be, tables or files.
    ///
    /// # Errors
    ///
    /// If a log cannot be gone on with, or none is there where one should be.
    pub(super) fn prepare_listed(&self, journal: &Journal) -> Result<(), Error> {
        for dataset in Dataset::LISTED {
            // What has nothing is made with its first file.
            let is_to_be =
                self.settings().store.retention().is_some() && !journal.listed_files(dataset, true)?.is_empty();
            if is_to_be || journal.table_id(dataset)?.is_some() {
                self.target(journal, dataset)?;
            }
        }
        Ok(())
    }

    /// Publishes what has landed of listings since it was published last, of all dates or of these, and tells what became of each
    /// date of which something has changed.
    ///
    /// # Errors
    ///
    /// If a dataset cannot be opened. A date that cannot be published is told, and holds up no other.
    pub fn publish_listed(
        &self,
        journal: &mut Journal,
        only: Option<NaiveDate>,
        mut told: impl FnMut(NaiveDate, Result<ListedPublication, Error>),
    ) -> Result<(), Error> {
        for dataset in Dataset::LISTED {
            let mut changes = journal.listed_changes(dataset)?;
            changes.retain(|(date, _)| only.is_none_or(|only| only == *date));
            let has_intents = only.is_none() && !journal.listed_files(dataset, false)?.is_empty();
            if changes.is_empty() && !has_intents {
                continue;
            }
            let Some(target) = self.target(journal, dataset)? else { continue };
            if has_intents {
                target.settle_intents(journal)?;
            }
            for (date, last_page) in changes {
                let published = target.publish(journal, date, last_page, false);
                published.transpose().into_iter().for_each(|published| told(date, published));
            }
        }
        Ok(())
    }

    /// Publishes these dates again from what has landed of listings, whether anything has changed or not; tells what became of each.
    /// Once the command is told to stop, no further date is begun.
    pub fn replace_listed(
        &self,
        journal: &mut Journal,
        is_wanted: impl Fn(Dataset, NaiveDate) -> bool,
        stop: &Stop,
        mut told: impl FnMut(NaiveDate, Result<ListedPublication, Error>),
    ) -> Result<(), Error> {
        for dataset in Dataset::LISTED {
            let mut dates = journal.listed_dates(dataset)?;
            dates.retain(|(date, _)| is_wanted(dataset, *date));
            if dates.is_empty() {
                continue;
            }
            let Some(target) = self.target(journal, dataset)? else { continue };
            target.settle_intents(journal)?;
            for (date, last_page) in dates {
                if stop.is_requested() {
                    break;
                }
                let published = target.publish(journal, date, last_page, true);
                published.transpose().into_iter().for_each(|published| told(date, published));
            }
        }
        Ok(())
    }

    fn target(&self, journal: &Journal, dataset: Dataset) -> Result<Option<Target<'_>>, Error> {
        let settings = self.settings();
        let Some((place, table)) = settings.discover.place(dataset).zip(table(dataset)) else { return Ok(None) };
        let store = settings.stores.open(place)?;
        let lock = store.lock()?;
        let target = Target { dataset, table, store, lock, settings };
        target.shelf().prepare(journal)?;
        Ok(Some(target))
    }
}

impl Target<'_> {
    /// The dataset, to be changed.
    fn shelf(&self) -> Shelf<'_> {
        let Self { dataset, store, lock, settings, .. } = self;
        Shelf { dataset: *dataset, store, lock, stores: &settings.stores }
    }

    /// The file that is published of a date, by its name.
    fn known(&self, journal: &Journal, date: NaiveDate) -> Result<BTreeSet<FileName>, Error> {
        journal.listed_file(self.dataset, date, true)?.iter().map(name_of).collect()
    }

    fn settle_intents(&self, journal: &mut Journal) -> Result<(), Error> {
        for file in journal.listed_files(self.dataset, false)? {
            self.settle(journal, &file)?;
        }
        Ok(())
    }

    /// Records that the file is visible, if it is, and forgets that it was to be, if it is not.
    fn settle(&self, journal: &mut Journal, file: &ListedFile) -> Result<(), Error> {
        let name = name_of(file)?;
        let known = self.known(journal, file.date)?;
        // Whatever else the table has of the date is of an earlier file, also where the journal does not know it.
        let claim =
            Claim { number: journal.listed_number(self.dataset, file.date, false)?, replaces: true, is_first: false };
        let Some(part) = self.store.confirm(file.date, name)? else {
            let is_rewritten = self.shelf().is_rewritten(journal, file.date, claim, &known)?;
            if is_rewritten {
                journal.published_listed(file)?;
            } else {
                journal.withdraw_listed(file)?;
            }
            return Ok(());
        };
        let found = self.store.sha256(file.date, name, Trust::Kept)?;
        match self.shelf().settle(journal, (part, found == Some(file.sha256)), claim, &known)? {
            Settled::Published => journal.published_listed(file)?,
            Settled::Superseded => journal.withdraw_listed(file)?,
        }
        if found == Some(file.sha256) { Ok(()) } else { Err(changed(self.dataset, file)) }
    }

    /// Publishes a date; `None` if what is visible says the same already, or nothing was listed. What is visible and not what was
    /// published is replaced if `is_forced`.
    fn publish(
        &self,
        journal: &mut Journal,
        date: NaiveDate,
        last_page: ListedPageId,
        is_forced: bool,
    ) -> Result<Option<ListedPublication>, Error> {
        if let Some(intent) = journal.listed_file(self.dataset, date, false)? {
            self.settle(journal, &intent)?;
        }
        let before = journal.listed_file(self.dataset, date, true)?;
        let is_sound = match &before {
            Some(file) if is_forced => self.is_sound(file)?,
            Some(file) => self.store.is_visible(date, name_of(file)?)?,
            None => true,
        };
        if before.is_some() && journal.is_kept_as_adopted(self.dataset, date)? {
            return Ok(None);
        }
        // What its rows come from has been dropped: the date stays as it was published, whatever a listing of its neighbour says
        // of a meeting that both have. What was listed of the date itself is not passed over in silence.
        if let Some(file) = before.as_ref().filter(|_| is_sound)
            && journal.is_listing_pruned(self.dataset, date)?
        {
            if journal.is_listed_after(date, file.last_page)? {
                return Err(Error::Pruned(date));
            }
            return self.leave_as_it_is(journal, file, last_page, is_forced);
        }
        let folded = self.fold(journal, date, last_page, |_| Ok(()))?;
        if folded.rows == 0 {
            return Ok(None);
        }
        let mends = before.as_ref().filter(|_| !is_sound).map(|file| file.name.as_str());
        let name = self.name(&folded, mends);
        if let Some(file) = before.as_ref().filter(|file| is_sound && name_of(file).is_ok_and(|known| known == name)) {
            return self.leave_as_it_is(journal, file, last_page, is_forced);
        }
        self.build_and_publish(journal, (date, last_page), (name, before.as_ref()), folded).map(Some)
    }

    /// Records that a published file says what was listed. If that `is_forced`, the table is to have it too, and nothing else.
    fn leave_as_it_is(
        &self,
        journal: &mut Journal,
        file: &ListedFile,
        last_page: ListedPageId,
        is_forced: bool,
    ) -> Result<Option<ListedPublication>, Error> {
        if is_forced && let Some(part) = self.store.confirm(file.date, name_of(file)?)? {
            let number = journal.listed_number(self.dataset, file.date, true)?;
            self.shelf().enter_again(journal, part, number)?;
        }
        journal.listed_unchanged(file, last_page)?;
        Ok(None)
    }

    fn build_and_publish(
        &self,
        journal: &mut Journal,
        (date, last_page): (NaiveDate, ListedPageId),
        (name, before): (FileName, Option<&ListedFile>),
        folded: Folded,
    ) -> Result<ListedPublication, Error> {
        let failed = |source| Error::Parquet { name: name.to_string(), source };
        let Publisher { zone, naive_offset, discover, .. } = self.settings;
        let facts = ListedFacts { date, timezone: zone.name(), naive_offset: *naive_offset, rows: folded.rows };
        let mut staged = self.lock.stage(name)?;
        let mut writer = ListedWriter::new(&mut staged, self.table, &discover.personal, &facts).map_err(failed)?;
        self.fold(journal, date, last_page, |row| writer.push(row).map_err(failed))?;
        writer.finish().map_err(failed)?;
        let sealed = staged.seal()?;
        let written = read_back(sealed.reopen()?, self.table).map_err(failed)?;
        if written.rows != folded.rows {
            let (rows, expected) = (written.rows, folded.rows);
            return Err(Error::Damaged(format!("file `{name}` of {date}: expected {expected} rows, found {rows}")));
        }
        let file = ListedFile {
            dataset: self.dataset,
            date,
            name: format!("{:016x}", name.digits()),
            last_page,
            published: false,
            rows: folded.rows,
            bytes: sealed.bytes(),
            sha256: sha256(&name.to_string(), sealed.reopen()?)?,
            adopted: false,
        };
        let number = journal.intend_listed(&file)?;
        let claim = Claim { number, replaces: before.is_some(), is_first: true };
        let known = before.map(name_of).transpose()?.into_iter().collect();
        if let Err(error) = self.shelf().publish(journal, date, sealed, claim, &known) {
            if has_left_nothing(&error, &self.store, (date, name)) {
                drop(journal.withdraw_listed(&file));
            }
            return Err(error);
        }
        journal.published_listed(&file)?;
        let Folded { unparsed, unknown, .. } = folded;
        Ok(ListedPublication {
            name: name.to_string(),
            file: ListedFile { published: true, ..file },
            unparsed,
            unknown,
        })
    }

    /// Whether a published file is there as it was published.
    fn is_sound(&self, file: &ListedFile) -> Result<bool, Error> {
        Ok(self.store.sha256(file.date, name_of(file)?, Trust::Kept)? == Some(file.sha256))
    }

    /// The name of a file with these rows. A visible name never gets other bytes: what takes the place of a damaged file has another.
    fn name(&self, folded: &Folded, mends: Option<&str>) -> FileName {
        let Publisher { zone, naive_offset, discover, .. } = self.settings;
        let version = env!("CARGO_PKG_VERSION");
        let encoder = encoder(self.table, &discover.personal);
        let mut hash = Sha256::new_with_prefix(format!("vcq {version} {zone} {naive_offset}, {encoder}\n"));
        hash.update(folded.digest);
        if let Some(mends) = mends {
            hash.update(format!("mends {mends}"));
        }
        let digest = hash.finalize();
        let first: [u8; 8] = digest[..8].try_into().expect("SHA-256 has 32 bytes");
        FileName::new(u64::from_be_bytes(first))
    }

    /// Hands every row of the date to `each`, in the dataset's order, as the pages up to `last_page` say.
    fn fold(
        &self,
        journal: &Journal,
        date: NaiveDate,
        last_page: ListedPageId,
        mut each: impl FnMut(&Values) -> Result<(), Error>,
    ) -> Result<Folded, Error> {
        let columns: Vec<usize> = self
            .table
            .published(&self.settings.discover.personal)
            .filter_map(|column| self.table.position(column.name))
            .collect();
        let mut folded = Folded { rows: 0, digest: [0; 32], unparsed: BTreeMap::new(), unknown: Unknown::default() };
        let mut hash = Sha256::new();
        let mut take = |row: &Values, folded: &mut Folded| {
            folded.rows += 1;
            for position in &columns {
                let name = self.table.columns[*position].name;
                hash.update(format!("{:?}\n", row.cells[*position]));
                if let Some(text) = row.unparsed.get(name) {
                    folded.unparsed.entry(name).or_default().add(text);
                    hash.update(format!("{text:?} "));
                }
            }
            each(row)
        };
        let offset = self.settings.naive_offset;
        let zone = self.settings.zone;
        let mut unknown = Unknown::default();
        let meetings = meetings_of(journal, (date, zone), last_page, offset, &mut unknown)?;
        if self.dataset == Dataset::Meetings {
            for seen in meetings.values() {
                take(&seen.values, &mut folded)?;
            }
            folded.unknown = unknown;
        } else {
            for (id, known) in journal.meetings_on(date)? {
                let Some(seen) = meetings.get(&(known.start_s, known.no)) else { continue };
                let mut attendances = Attendances::default();
                journal.each_page_of_participants(id, last_page, |listing, body| {
                    let page = listings::attendances(body, &seen.meeting, offset, i64::MAX, &mut folded.unknown);
                    page.map_err(|error| unreadable(&error))?
                        .into_iter()
                        .for_each(|seen| attendances.take(listing, seen));
                    Ok::<_, Error>(())
                })?;
                for row in attendances.rows(&seen.meeting) {
                    take(&row, &mut folded)?;
                }
            }
        }
        folded.digest = hash.finalize().into();
        Ok(folded)
    }
}

/// What the rows of a date come to.
struct Folded {
    rows: u64,
    digest: [u8; 32],
    unparsed: BTreeMap<&'static str, Unread>,
    unknown: Unknown,
}

/// The meetings of a date in the dataset's order, each as the last listing that has it says.
fn meetings_of(
    journal: &Journal,
    (date, zone): (NaiveDate, Tz),
    last_page: ListedPageId,
    offset: FixedOffset,
    unknown: &mut Unknown,
) -> Result<BTreeMap<(i64, MeetingNo), SeenMeeting>, Error> {
    let mut meetings = BTreeMap::new();
    journal.each_page_of_meetings(date, last_page, |_, body| {
        for seen in listings::meetings(body, offset, unknown).map_err(|error| unreadable(&error))?.meetings {
            if partition_date(seen.meeting.start_s, zone) == date {
                meetings.insert((seen.meeting.start_s, seen.meeting.no), seen);
            }
        }
        Ok::<_, Error>(())
    })?;
    Ok(meetings)
}

fn unreadable(source: &PageError) -> Error {
    Error::Damaged(format!("a landed page of a listing cannot be read: {source}"))
}

/// The name that the journal has of a file.
fn name_of(file: &ListedFile) -> Result<FileName, Error> {
    parse_name(&file.name)
}

fn path_of(dataset: Dataset, file: &ListedFile) -> String {
    format!("`{}/date={}/part-{}.parquet`", dataset.name(), file.date, file.name)
}

fn changed(dataset: Dataset, file: &ListedFile) -> Error {
    Error::Damaged(format!("{} has been changed", path_of(dataset, file)))
}

/// What was found of one date of a dataset that comes from listings.
#[derive(Debug, Default)]
pub struct ListedLook {
    /// Its published file, if that is as it should be, as far as was looked.
    pub sound: Option<ListedFile>,
    /// What is not as it should be.
    pub faults: Vec<Fault>,
    /// Whether another program has put its rows into files of its own in the table.
    pub is_rewritten: bool,
}

/// The dates of a dataset that have a folder, or anything listed, in order.
pub fn dates(journal: &Journal, store: &Store, dataset: Dataset) -> Result<Vec<NaiveDate>, Error> {
    let mut dates = store.partitions()?.dates;
    dates.extend(journal.listed_dates(dataset)?.into_iter().map(|(date, _)| date));
    dates.sort_unstable();
    dates.dedup();
    Ok(dates)
}

/// Looks at one date of a dataset that comes from listings.
pub fn look(
    journal: &Journal,
    store: &Store,
    (dataset, date): (Dataset, NaiveDate),
    depth: Depth,
) -> Result<ListedLook, Error> {
    let mut look = ListedLook::default();
    let listing = store.list(date)?;
    let published = journal.listed_file(dataset, date, true)?;
    let can_be_rebuilt = !journal.is_listing_pruned(dataset, date)?;
    let mut visible: BTreeMap<FileName, u64> = listing.files.iter().map(|part| (part.name, part.bytes)).collect();
    let old = journal.old_names(dataset, date)?;
    let names: BTreeSet<_> = published.iter().map(name_of).collect::<Result<_, _>>()?;
    let rows = published.as_ref().map_or(0, |file| file.rows);
    let in_table = TableLook::new((listing.active.as_ref(), &listing.sizes), (&names, rows), can_be_rebuilt);
    look.is_rewritten = in_table.is_rewritten();
    look.faults.extend(in_table.others_faults(store, None, depth)?);
    if let Some(intent) = journal.listed_file(dataset, date, false)? {
        look.faults.push(Fault::Intended);
        visible.remove(&name_of(&intent)?);
    }
    if let Some(file) = published {
        let name = name_of(&file)?;
        let is_lost = look.faults.iter().any(|fault| matches!(fault, Fault::Others { .. }));
        let difference = match visible.remove(&name) {
            _ if in_table.is_in_others(name) => None,
            None => Some(Fault::Missing { name, can_be_rebuilt }),
            Some(bytes) if bytes != file.bytes => {
                let what = format!("`{name}` has {bytes} bytes, not {}", file.bytes);
                Some(Fault::Changed { what, can_be_rebuilt })
            }
            Some(_) if depth == Depth::Names => None,
            Some(_) if depth == Depth::Kept && store.is_in_bucket() => {
                let is_same = store.sha256(date, name, Trust::Kept)? == Some(file.sha256);
                (!is_same).then(|| Fault::Changed { what: format!("`{name}` has been changed"), can_be_rebuilt })
            }
            Some(_) => read_and_compare(store, &file)?.map(|what| Fault::Changed { what, can_be_rebuilt }),
        };
        match difference {
            Some(fault) => look.faults.push(fault),
            None => look.sound = Some(file).filter(|_| !is_lost),
        }
    }
    let paths = visible.into_keys().map(|name| store.path_of(date, name)).collect();
    look.faults.extend(unexplained(paths, listing.strangers, listing.active.as_ref(), &old));
    look.faults.extend(in_table.fault(&look.faults));
    look.faults.extend(journal.is_outdated(dataset, date)?.then_some(Fault::Outdated));
    Ok(look)
}

/// How a file differs from what was published, read to its last row.
fn read_and_compare(store: &Store, file: &ListedFile) -> Result<Option<String>, Error> {
    let Some(table) = table(file.dataset) else { return Ok(None) };
    let name = name_of(file)?;
    if store.sha256(file.date, name, Trust::Bytes)? != Some(file.sha256) {
        return Ok(Some(format!("`{name}` has been changed")));
    }
    Ok(match read_back(store.open_file(file.date, name)?, table) {
        Ok(written) if written.rows == file.rows => None,
        Ok(written) => Some(format!("`{name}` has {} rows, not {}", written.rows, file.rows)),
        Err(error) => Some(format!("`{name}`: {}", Chain(&error))),
    })
}
