//! Markers of complete dates: an empty `date=YYYY-MM-DD/_SUCCESS` for each in the folder of `complete_markers`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use chrono::NaiveDate;

use crate::{
    command::standing::closes_at_s,
    config::Config,
    error::Error,
    file::{self, Readers},
    journal::{DateListing, Journal, State},
    observe::report::Report,
};

fn marker(folder: &Path, date: NaiveDate) -> PathBuf {
    folder.join(format!("date={date}")).join("_SUCCESS")
}

/// Puts the markers of the run's complete dates in place, and takes those of its others away.
pub(super) fn put(report: &Report, config: &Config) -> Result<(), Error> {
    let Some(folder) = &config.complete_markers else { return Ok(()) };
    let (complete, others) = report.dates_by_completeness();
    for date in complete {
        file::prepare(&marker(folder, date))?;
        file::replace(&marker(folder, date), Readers::Everybody, &[])?;
    }
    take_away(folder, others)
}

/// Takes the markers away of all dates of which something is still to be asked for or to be published: a run that is killed leaves
/// none that is no longer true.
pub(super) fn take_back(journal: &Journal, config: &Config) -> Result<(), Error> {
    let Some(folder) = config.complete_markers.as_ref().filter(|folder| folder.is_dir()) else { return Ok(()) };
    let is_open = |state| matches!(state, State::Pending | State::Young | State::Failed);
    let coverage = journal.coverage()?.into_iter().filter(|row| row.unpublished > 0 || is_open(row.state));
    let mut open: BTreeSet<NaiveDate> = coverage.map(|row| row.date).collect();
    open.extend(journal.rereads_by_date()?.into_iter().map(|(date, _)| date));
    for date in journal.listing_dates()? {
        if journal.date_listing(date, closes_at_s(date, config))? != DateListing::Closed {
            open.insert(date);
        }
    }
    take_away(folder, open)
}

fn take_away(folder: &Path, dates: impl IntoIterator<Item = NaiveDate>) -> Result<(), Error> {
    let markers = dates.into_iter().map(|date| marker(folder, date)).filter(|marker| marker.exists());
    markers.into_iter().try_for_each(|marker| file::remove(&marker))
}
