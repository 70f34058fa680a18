//! What a nightly run verifies by itself, before anybody needs it: some dates and some landed pages, others every night.

use chrono::NaiveDate;

use super::Surroundings;
use crate::{
    dataset::Dataset,
    error::Error,
    journal::{Journal, Share},
    observe::report::SpotCheck,
    publish::{
        Publisher,
        listed::{self, ListedLook},
        look::{Depth, Fault, Look, look},
    },
};

/// Of so many dates, and of so many stays, one is looked at: in so many nights each has had its turn. No multiple of seven, so that
/// each has it too where runs are of some days of the week alone.
const ONE_IN: u32 = 29;

/// Compares the files of the dates whose turn it is with the journal, byte by byte and row by row (in a bucket by the digests that
/// it keeps), and a share of the landed pages with their digests. None if another process is publishing, or if it was told to stop.
pub(super) fn spot_check(
    journal: &Journal,
    publisher: &Publisher,
    around: &Surroundings<'_>,
) -> Result<Option<SpotCheck>, Error> {
    let Some(_publishing) = publisher.try_begin(journal)? else { return Ok(None) };
    let start = around.start;
    let share = Share::on(start.now().with_timezone(&around.config.timezone).date_naive(), ONE_IN);
    let mut check = SpotCheck::default();
    for date in journal.file_dates()?.into_iter().filter(|date| share.has(*date)) {
        if start.stop.is_requested() {
            return Ok(None);
        }
        let Look { sound, faults, .. } =
            look(journal, publisher.store(), date, publisher.store().list(date)?, Depth::Kept)?;
        check.files += sound.len() as u64;
        take(&mut check, date, &faults);
    }
    for dataset in Dataset::LISTED {
        let Some(place) = around.config.discover.place(dataset) else { continue };
        let store = start.stores(around.config).existing(place)?;
        for (date, _) in journal.listed_dates(dataset)?.into_iter().filter(|(date, _)| share.has(*date)) {
            if start.stop.is_requested() {
                return Ok(None);
            }
            let ListedLook { sound, faults, .. } = listed::look(journal, &store, (dataset, date), Depth::Kept)?;
            check.files += u64::from(sound.is_some());
            take(&mut check, date, &faults);
        }
    }
    let Some(pages) = journal.damaged_pages(share, || start.stop.is_requested())? else { return Ok(None) };
    check.landed_pages = pages.looked_at;
    for (date, count) in pages.damaged.iter().chain(&pages.damaged_listed) {
        let of = date.map_or_else(|| "journal".to_owned(), |date| format!("date={date}"));
        check.problems.push(format!("{of}: {count} landed pages are damaged"));
    }
    check.dates.sort_unstable();
    check.dates.dedup();
    Ok(Some(check))
}

/// Takes a date in. What is only not there yet is no problem: a later run publishes it.
fn take(check: &mut SpotCheck, date: NaiveDate, faults: &[Fault]) {
    check.dates.push(date);
    let is_problem = |fault: &&Fault| !matches!(fault, Fault::Unpublished(_) | Fault::Outdated | Fault::Intended);
    check.problems.extend(faults.iter().filter(is_problem).map(|fault| format!("date={date}: {fault}")));
}
