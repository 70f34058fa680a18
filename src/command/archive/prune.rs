//! `vcq archive prune`: landed pages of published dates are dropped, and their space goes back to the disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use chrono::NaiveDate;

use crate::{
    command::standing::closes_at_s,
    config::Config,
    dataset::Dataset,
    error::Error,
    journal::{DateListing, Dropped, Identity, Journal},
    publish::{
        Publisher, listed,
        look::{Depth, Fault, Look, look},
    },
    start::Start,
    words::Count,
};

/// What was pruned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The dates whose pages were dropped, and how many.
    pub dates: Vec<(NaiveDate, Dropped)>,
    /// Dates that were left alone because some of their done stays are in no visible file.
    pub unpublished: Vec<NaiveDate>,
    /// Dates that were left alone because another program has put their rows into files of its own in the table, which it may take
    /// away.
    pub rewritten: Vec<NaiveDate>,
    /// Dates that were left alone because stays of theirs are asked for again, or will be.
    pub asked_again: Vec<NaiveDate>,
    /// The dates whose pages of listings were dropped, and how many.
    pub listed: BTreeMap<NaiveDate, u64>,
    /// Dates whose pages of listings were left alone, and why.
    pub listed_kept: Vec<(NaiveDate, Kept)>,
    /// By how much the journal has become smaller.
    pub bytes: u64,
    /// Unused space that the journal could not give back.
    pub kept_bytes: u64,
}

/// Why a date is kept whose rows are in another program's files.
const IS_REWRITTEN: &str = "another program has put its rows into files of its own in the table, and vcq's own may be gone: \
                            `vcq rebuild` of the date puts vcq's file in their place";

/// Why the pages of a date's listings are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// More of it may come.
    NotClosed,
    /// Something of it has been asked for and not come yet.
    Pending,
    /// Its files are not visible as they should be.
    NotVisible,
    /// A dataset that comes from them is not published.
    NotPublished(Dataset),
    /// Another program has put what a dataset has of the date into files of its own.
    Rewritten(Dataset),
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotClosed => "the date is not closed: `vcq discover` lists it again once nothing more is to come",
            Self::Pending => "some of them are pending, or have failed: `vcq discover` asks for them",
            Self::NotVisible => {
                "not all that they say is in visible files of `meetings` and `participants`: `vcq verify` says what"
            }
            Self::Rewritten(dataset) => return write!(f, "of `{}` {IS_REWRITTEN}", dataset.name()),
            Self::NotPublished(dataset) => {
                return write!(
                    f,
                    "`discover.{0}` names no folder, so that all that is known of {0} is in them",
                    dataset.name()
                );
            }
        })
    }
}

/// Drops the landed pages of all published stays, and of all published listings, whose meetings started before the date `before`.
///
/// What has been published stays, can be verified and is never asked for again; `vcq rebuild` and `vcq archive export`
/// refuse these dates from then on, until an archive that holds the pages is imported. A listing that also has meetings of
/// a date that is not pruned keeps its pages.
///
/// # Errors
///
/// If there is no journal or its disk fails. [`Error::Stopped`] if it was told to stop. Cut anywhere, the same command
/// again continues.
pub fn prune(config: &Config, before: NaiveDate, start: &Start) -> Result<Pruned, Error> {
    let mut journal = Journal::open_existing(&config.state, &Identity::of_landed(config))?;
    let mut pruned = Pruned::default();
    let Some(last) = before.pred_opt() else { return Ok(pruned) };
    let dataset = start.stores(config).existing(&config.output)?;
    let publishing = journal.lock_publishing()?;
    // A date that is begun is finished.
    let _held = start.hold();
    let dates = journal.known_dates(NaiveDate::MIN, last)?;
    for (number, date) in (0..).zip(dates.iter().copied()) {
        start.count("dates", number, Some(dates.len() as u64));
        if start.stop.is_requested() {
            return Err(Error::Stopped(format!("{} of {} dates are pruned", pruned.dates.len(), dates.len())));
        }
        let Look { faults, is_rewritten, .. } = look(&journal, &dataset, date, dataset.list(date)?, Depth::Rows)?;
        if faults.iter().any(Fault::is_lack) {
            pruned.unpublished.push(date);
            continue;
        }
        if is_rewritten {
            pruned.rewritten.push(date);
            continue;
        }
        if journal.is_reread(date)? || journal.has_early_ends(date)? {
            pruned.asked_again.push(date);
            continue;
        }
        let dropped = journal.prune(date)?;
        if dropped.pages > 0 {
            pruned.dates.push((date, dropped));
        }
    }
    prune_listings(&mut journal, config, (before, start), &mut pruned)?;
    drop(publishing);
    (pruned.bytes, pruned.kept_bytes) = journal.shrink()?;
    Ok(pruned)
}

/// Drops the pages of listings of all dates before `before` that are closed and published.
fn prune_listings(
    journal: &mut Journal,
    config: &Config,
    (before, start): (NaiveDate, &Start),
    pruned: &mut Pruned,
) -> Result<(), Error> {
    let stores = start.stores(config);
    let publisher = Publisher::new(stores.existing(&config.output)?, stores, config);
    let mut prunable = Vec::new();
    for date in journal.listing_dates_before(before)? {
        if start.stop.is_requested() {
            return Err(Error::Stopped(format!("{} dates are pruned, and no listings", pruned.dates.len())));
        }
        match kept(journal, &publisher, config, date)? {
            None => prunable.push(date),
            Some(why) => pruned.listed_kept.push((date, why)),
        }
    }
    pruned.listed = journal.prune_listings(&prunable)?;
    Ok(())
}

/// Why the pages of the date's listings are to be kept, if they are.
fn kept(journal: &Journal, publisher: &Publisher, config: &Config, date: NaiveDate) -> Result<Option<Kept>, Error> {
    if journal.is_listing_queued(date)? {
        return Ok(Some(Kept::Pending));
    }
    if journal.date_listing(date, closes_at_s(date, config))? != DateListing::Closed {
        return Ok(Some(Kept::NotClosed));
    }
    for dataset in Dataset::LISTED {
        // One that is not published can be built from the pages alone.
        let Some(store) = publisher.listed_store(dataset)? else { return Ok(Some(Kept::NotPublished(dataset))) };
        let look = listed::look(journal, &store, (dataset, date), Depth::Rows)?;
        if look.faults.iter().any(Fault::is_lack) {
            return Ok(Some(Kept::NotVisible));
        }
        if look.is_rewritten {
            return Ok(Some(Kept::Rewritten(dataset)));
        }
    }
    Ok(None)
}

impl fmt::Display for Pruned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (date, Dropped { stays, pages }) in &self.dates {
            writeln!(f, "pruned    date={date}  {}  {}", Count(*stays, "stay"), Count(*pages, "page"))?;
        }
        for date in &self.unpublished {
            writeln!(
                f,
                "kept      date={date}  not all that is known of it is in visible files: `vcq verify` says what"
            )?;
        }
        for date in &self.rewritten {
            writeln!(f, "kept      date={date}  {IS_REWRITTEN}")?;
        }
        for date in &self.asked_again {
            writeln!(
                f,
                "kept      date={date}  stays of it are asked for again: the next `vcq export` ends that, once they are due"
            )?;
        }
        for (date, pages) in &self.listed {
            writeln!(f, "pruned    date={date}  {} of listings", Count(*pages, "page"))?;
        }
        for (date, why) in &self.listed_kept {
            writeln!(f, "kept      date={date}  pages of listings: {why}")?;
        }
        let dates: BTreeSet<_> = self.dates.iter().map(|(date, _)| date).chain(self.listed.keys()).collect();
        writeln!(f, "{} pruned; {} bytes given back to the disk", Count(dates.len(), "date"), self.bytes)?;
        match self.kept_bytes {
            0 => Ok(()),
            kept => writeln!(
                f,
                "{kept} bytes are unused inside the journal, and pages to come will use them. To give them back, with no vcq \
                 running and as much free space as the journal takes:\n\
                 sqlite3 STATE/journal.sqlite 'PRAGMA auto_vacuum = INCREMENTAL; VACUUM;'"
            ),
        }
    }
}
