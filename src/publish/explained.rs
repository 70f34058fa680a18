//! Whether the journal explains all that a dataset's table has.

use std::collections::BTreeSet;

use chrono::NaiveDate;

use super::{
    active::TableLook,
    fault::{Depth, Fault, mismatch},
    listed, look,
    table::check,
};
use crate::{dataset::Dataset, error::Error, journal::Journal, store::Store};

/// A table that a run would go on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundTable {
    /// Its id.
    pub id: String,
    /// Whether it is the journal's; otherwise another journal has made it, or another program.
    pub is_known: bool,
    /// How many files it has.
    pub files: usize,
    /// The dataset's columns that it lacks; the run gives them to it.
    pub lacking: Vec<String>,
}

/// Looks for a dataset's table as a run does, and changes nothing; `None` if there is none, or none is to be. The journal may be
/// still to be made.
///
/// # Errors
///
/// [`DiskError::Table`](crate::store::disk::DiskError::Table) if a run would stop at it, [`Error::Mismatch`] if it would stop at what is in it.
pub fn find_table(journal: Option<&Journal>, store: &Store, dataset: Dataset) -> Result<Option<FoundTable>, Error> {
    let (found, known) = match journal {
        Some(journal) => (check(journal, store, dataset)?, journal.table_id(dataset)?),
        None => (store.table_state()?, None),
    };
    let Some(found) = found else { return Ok(None) };
    check_explained(journal, store, dataset)?;
    let lacking = store.lacking_columns()?;
    Ok(Some(FoundTable { is_known: known.is_some(), files: found.file_count(), id: found.id, lacking }))
}

/// Makes sure that the journal explains all that the dataset's table has: of other programs, and, where it is the journal's own
/// table, of vcq. Without a journal nothing of other programs is explained.
///
/// # Errors
///
/// [`Error::Mismatch`] with the dates of which it does not.
pub(super) fn check_explained(journal: Option<&Journal>, store: &Store, dataset: Dataset) -> Result<(), Error> {
    let at_once = store.at_once()?;
    let is_known = journal.map(|journal| journal.table_id(dataset)).transpose()?.flatten().is_some();
    let mut found = Vec::new();
    for date in at_once.partitions()?.dates {
        let faults = match (journal, dataset) {
            (None, _) => {
                let listing = at_once.list(date)?;
                TableLook::new((listing.active.as_ref(), &listing.sizes), (&BTreeSet::new(), 0), false)
                    .fault(&[])
                    .into_iter()
                    .collect()
            }
            (Some(journal), Dataset::Quality) => {
                look::look(journal, &at_once, date, at_once.list(date)?, Depth::Names)?.faults
            }
            (Some(journal), listed) => listed::look(journal, &at_once, (listed, date), Depth::Names)?.faults,
        };
        let is_unexplained = |fault: &Fault| match fault {
            Fault::Unexplained { .. } => true,
            Fault::Unknown(_) => is_known,
            _ => false,
        };
        found.extend(faults.into_iter().filter(is_unexplained).map(|fault| (date, fault)));
    }
    let of = if dataset == Dataset::Quality { String::new() } else { format!("{} ", dataset.name()) };
    let told = |(date, fault): &(NaiveDate, Fault)| (format!("{of}date={date}: {fault}"), fault.remedy(dataset, *date));
    mismatch(found.iter().map(told))
}
