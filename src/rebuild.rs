//! `vcq rebuild`: published dates again from their landed pages, without a request.

use std::fmt;

use chrono::NaiveDate;

use crate::{
    config::Config,
    dataset::Dataset,
    error::Error,
    journal::Journal,
    publish::{Publication, Publisher},
    run::identity,
};

/// What was rebuilt.
#[derive(Debug, Default)]
pub struct Rebuilt {
    /// The date's new files, one each.
    pub files: Vec<Publication>,
}

/// Builds each date from `from` to `to` that has landed pages anew, and puts it in the place of the published one.
///
/// # Errors
///
/// [`Error::Pruned`], before anything is replaced, if landed pages of one of the dates have been dropped.
/// If a page is damaged or the disk fails: dates before that one are rebuilt, later ones are as they were.
pub fn rebuild(config: &Config, from: Option<NaiveDate>, to: Option<NaiveDate>) -> Result<Rebuilt, Error> {
    let (from, to) = (from.unwrap_or(NaiveDate::MIN), to.unwrap_or(NaiveDate::MAX));
    if from > to {
        return Err(Error::Usage(format!("--from {from} lies after --to {to}")));
    }
    let mut journal = Journal::open_existing(&config.state, &identity(config))?;
    let publisher = Publisher::new(Dataset::open(&config.output)?, config);
    publisher.finish_intents(&mut journal)?;
    let dates = journal.landed_dates(from, to)?;
    Ok(Rebuilt { files: publisher.replace(&mut journal, &dates)? })
}

impl fmt::Display for Rebuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Publication { file, name, bytes, .. } in &self.files {
            writeln!(f, "date={}/{name}  {} stays  {} rows  {bytes} bytes", file.date, file.stays, file.samples)?;
        }
        writeln!(f, "{} dates rebuilt", self.files.len())
    }
}
