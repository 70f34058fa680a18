//! `vcq archive prune`: landed pages of published dates are dropped, and their space goes back to the disk.

use std::fmt;

use chrono::NaiveDate;

use crate::{
    config::Config,
    error::Error,
    journal::{Dropped, Identity, Journal},
    publish::look::{Depth, look},
    start::Start,
    store::Store,
};

/// What was pruned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The dates whose pages were dropped, and how many.
    pub dates: Vec<(NaiveDate, Dropped)>,
    /// Dates that were left alone because some of their done stays are in no visible file, or are asked for again.
    pub unpublished: Vec<NaiveDate>,
    /// By how much the journal has become smaller.
    pub bytes: u64,
    /// Unused space that the journal could not give back.
    pub kept_bytes: u64,
}

/// Drops the landed pages of all published stays whose meetings started before the date `before`.
///
/// What has been published stays, can be verified and is never asked for again; `vcq rebuild` and `vcq archive export`
/// refuse these dates from then on, until an archive that holds the pages is imported.
///
/// # Errors
///
/// If there is no journal or its disk fails. [`Error::Stopped`] if it was told to stop. Cut anywhere, the same command
/// again continues.
pub fn prune(config: &Config, before: NaiveDate, start: &Start) -> Result<Pruned, Error> {
    let mut journal = Journal::open_existing(&config.state, &Identity::of_landed(config))?;
    let mut pruned = Pruned::default();
    let Some(last) = before.pred_opt() else { return Ok(pruned) };
    let dataset = Store::existing(start.disk.clone(), &config.output)?;
    let publishing = journal.lock_publishing()?;
    // A date that is begun is finished.
    let _held = start.hold();
    let dates = journal.known_dates(NaiveDate::MIN, last)?;
    for (number, date) in (0..).zip(dates.iter().copied()) {
        start.count("dates", number, Some(dates.len() as u64));
        if start.stop.is_requested() {
            return Err(Error::Stopped(format!("{} of {} dates are pruned", pruned.dates.len(), dates.len())));
        }
        let is_visible = look(&journal, &dataset, date, dataset.list(date)?, Depth::Rows)?
            .faults
            .iter()
            .all(|fault| !fault.is_lack());
        if !is_visible || journal.is_reread(date)? {
            pruned.unpublished.push(date);
            continue;
        }
        let dropped = journal.prune(date)?;
        if dropped.pages > 0 {
            pruned.dates.push((date, dropped));
        }
    }
    drop(publishing);
    (pruned.bytes, pruned.kept_bytes) = journal.shrink()?;
    Ok(pruned)
}

impl fmt::Display for Pruned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (date, Dropped { stays, pages }) in &self.dates {
            writeln!(f, "pruned    date={date}  {stays} stays  {pages} pages")?;
        }
        for date in &self.unpublished {
            writeln!(
                f,
                "kept      date={date}  not all that is known of it is in visible files: `vcq verify` says what"
            )?;
        }
        writeln!(f, "{} dates pruned; {} bytes given back to the disk", self.dates.len(), self.bytes)?;
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
