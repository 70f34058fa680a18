//! `vcq rebuild`: published dates again from their landed pages, without a request.

use std::fmt;

use chrono::NaiveDate;

use crate::{
    config::Config,
    dataset::Dataset,
    error::Error,
    journal::Journal,
    publish::{Publication, Publisher},
    report::Texts,
    run::identity,
    start::Start,
};

/// What was rebuilt.
#[derive(Debug, Default)]
pub struct Rebuilt {
    /// What an earlier process had meant to publish.
    pub finished: Vec<Publication>,
    /// The dates' new files, one each.
    pub files: Vec<Publication>,
    /// What went wrong, if something did: the first of it. Its date is as it was, all others are rebuilt.
    pub failure: Option<Error>,
}

/// Builds each date from `from` to `to` that has landed pages anew, and puts it in the place of the published one.
///
/// # Errors
///
/// [`Error::Pruned`], before anything is replaced, if landed pages of one of the dates have been dropped.
pub fn rebuild(config: &Config, from: Option<NaiveDate>, to: Option<NaiveDate>, start: &Start) -> Result<Rebuilt, Error> {
    let (from, to) = (from.unwrap_or(NaiveDate::MIN), to.unwrap_or(NaiveDate::MAX));
    if from > to {
        return Err(Error::Usage(format!("--from {from} lies after --to {to}")));
    }
    let mut journal = Journal::open_existing(&config.state, &identity(config))?;
    let publisher = Publisher::new(Dataset::open(start.disk.clone(), &config.output)?, config);
    let mut rebuilt = Rebuilt::default();
    let publishing = journal.lock_publishing()?;
    let finished =
        publisher.finish_intents(&mut journal, &publishing, |publication| rebuilt.finished.push(publication));
    let dates = journal.landed_dates(from, to)?;
    match publisher.replace(&mut journal, &dates, &publishing, |publication| rebuilt.files.push(publication)) {
        Err(pruned @ Error::Pruned(_)) => return Err(pruned),
        replaced => rebuilt.failure = finished.and(replaced).err(),
    }
    Ok(rebuilt)
}

impl fmt::Display for Rebuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Publication { file, name, bytes, .. } in self.finished.iter().chain(&self.files) {
            writeln!(f, "date={}/{name}  {} stays  {} rows  {bytes} bytes", file.date, file.stays, file.samples)?;
        }
        write!(f, "{}", Texts::of(self.finished.iter().chain(&self.files)))?;
        writeln!(f, "{} dates rebuilt", self.files.len())
    }
}
