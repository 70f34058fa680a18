//! `vcq plan`: what an export of a manifest would cost. No request is made, the queue is not
//! changed, and no folder or journal is created.

pub mod discovery;

use std::{cell::RefCell, collections::BTreeMap, fmt};

use serde::Serialize;

use super::{cost::Cost, standing::sign_in};
use crate::{
    access::sign_in::{Standing, write_sign_in},
    config::Config,
    error::{Error, ExitCode},
    event::Event,
    intake::{Intake, Manifests, rejects::Rejects},
    journal::{Identity, Journal, JournalError},
    printable::Printable,
    start::Start,
    words::Count,
};

/// The cost of an export.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Rows of the manifests.
    pub rows: u64,
    /// Manifests, files or folders, without a row.
    pub without_rows: Vec<String>,
    /// By file, the columns that are not used.
    pub columns_not_used: BTreeMap<String, Vec<String>>,
    /// What their times without a zone are taken for, if anything.
    pub naive_times: Option<String>,
    /// Rows that break a rule.
    pub rejected: u64,
    /// Rows that name a stay a second time.
    pub duplicates: u64,
    /// Distinct stays.
    pub stays: u64,
    /// Of these, stays whose pages have all landed.
    pub landed: u64,
    /// Stays of earlier runs whose samples ended early, and which the run would ask for once more.
    pub asked_once_more: u64,
    /// What asking for the others and for these costs.
    #[serde(flatten)]
    pub cost: Cost,
    /// How the sign-in stands for that time; none: nobody who signs in asks.
    pub sign_in: Option<Standing>,
    /// Where the rejected rows are listed, if there are any and there is a state folder that can be written.
    pub rejects_file: Option<String>,
    /// The first rejected rows.
    pub rejects: Vec<String>,
}

/// Rejected rows that the plan lists one by one.
const REJECTS_LISTED_MAX: usize = 20;

/// How many of them are told.
const REJECTS_TOLD_MAX: usize = 5;

/// Validates the manifests as an export does, and counts.
///
/// # Errors
///
/// If a manifest cannot be read, or the journal that is there was begun otherwise.
pub fn plan(manifests: &Manifests, config: &Config, start: &Start) -> Result<Plan, Error> {
    let journal = match Journal::read(&config.state, &Identity::of(config)) {
        // Nothing is known yet, and nothing is begun by asking what it would cost.
        Err(JournalError::Missing(_)) => Journal::nowhere(&config.state)?,
        opened => opened?,
    };
    let mut rejects = if journal.has_folder() {
        Rejects::at(config.state.join("plan-rejects.csv"), &manifests.files)
    } else {
        Rejects::unkept()
    };
    let counts = RefCell::new((0, 0, Vec::new()));
    let without_rows = RefCell::new(Vec::new());
    let not_used = RefCell::new(BTreeMap::new());
    let emit = |event: Event<'_>| {
        let (rows, rejected, listed) = &mut *counts.borrow_mut();
        match event {
            Event::ManifestRead { file, rows: read, ignored_columns } => {
                *rows += read;
                if !ignored_columns.is_empty() {
                    not_used.borrow_mut().insert(file.to_owned(), ignored_columns.to_vec());
                }
            }
            Event::NoRows { manifest } => without_rows.borrow_mut().push(manifest.to_owned()),
            Event::RowRejected { file, lines, reject } => {
                *rejected += 1;
                if listed.len() < REJECTS_LISTED_MAX {
                    listed.push(format!("{file}:{lines}: {reject}"));
                }
            }
            _ => {}
        }
    };
    let manifests = &manifests.listed()?;
    let staged = Intake::begin(&journal, manifests, config, start, &emit)?.finish(&mut rejects)?;
    let merged = journal.plan(staged)?;
    let young_from = start.now() - config.absent_retry_for;
    let (asked_once_more, once_more) = journal.early_ends_due(young_from.timestamp())?;
    let (rows, rejected, listed) = counts.into_inner();
    let cost = Cost::of(merged.requests + once_more, &journal, config, start)?;
    Ok(Plan {
        rows,
        without_rows: without_rows.into_inner(),
        columns_not_used: not_used.into_inner(),
        naive_times: config.naive_times.map(|offset| offset.to_string()),
        rejected,
        duplicates: merged.duplicates,
        stays: merged.stays,
        landed: merged.landed,
        asked_once_more,
        sign_in: sign_in(config, start, cost.seconds)?,
        cost,
        rejects_file: rejects.finish()?.map(|path| path.display().to_string()),
        rejects: listed,
    })
}

impl Plan {
    /// 65 if some rows would be rejected.
    pub fn exit_code(&self) -> ExitCode {
        if self.rejected > 0 { ExitCode::SomeFailed } else { ExitCode::Complete }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "manifest   {} = {} duplicate + {} rejected + {}",
            Count(self.rows, "row"),
            self.duplicates,
            self.rejected,
            Count(self.stays, "stay")
        )?;
        for manifest in &self.without_rows {
            writeln!(f, "           {manifest} has no rows: is it the manifest that was meant?")?;
        }
        for (file, columns) in &self.columns_not_used {
            let columns = columns.join(", ");
            writeln!(f, "           {}: columns not used: {}", Printable(file), Printable(columns))?;
        }
        if let Some(offset) = &self.naive_times {
            writeln!(f, "           times without a zone are taken for {offset}")?;
        }
        writeln!(f, "landed     {} already", Count(self.landed, "stay"))?;
        if self.asked_once_more > 0 {
            let stays = Count(self.asked_once_more, "stay");
            writeln!(f, "once more  {stays} of earlier runs, with samples that ended early")?;
        }
        write!(f, "{}", self.cost)?;
        write_sign_in(f, "sign-in    ", self.sign_in.as_ref())?;
        for reject in self.rejects.iter().take(REJECTS_TOLD_MAX) {
            writeln!(f, "rejected   {}", Printable(reject))?;
        }
        let more = self.rejected.saturating_sub(REJECTS_TOLD_MAX as u64);
        if more > 0 {
            writeln!(f, "           … {more} more")?;
        }
        match &self.rejects_file {
            Some(path) => writeln!(f, "           all rejects: {}", Printable(path)),
            None if more > 0 => {
                writeln!(f, "           there is no state folder that can be written: the others are in no file")
            }
            None => Ok(()),
        }
    }
}
