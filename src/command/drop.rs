//! `vcq drop`: takes a manifest's stays out of the queue again. No request is made, and what has landed stays.

use std::{cell::Cell, fmt};

use crate::{
    config::Config,
    error::Error,
    event::Event,
    intake::{Intake, Manifests, rejects::Rejects},
    journal::{Identity, Journal, Unqueued},
    start::Start,
    words::Count,
};

/// What was taken out of the queue, or would be.
#[derive(Clone, Copy, Debug)]
pub struct Dropped {
    rows: u64,
    rejected: u64,
    unqueued: Unqueued,
    is_dry: bool,
}

/// Takes every stay that the manifests name and of which nothing has landed out of the queue; with `is_dry` it only counts.
///
/// # Errors
///
/// If a manifest cannot be read, there is no journal, or a run is fetching: it might be asking for these stays.
pub fn drop(manifests: &Manifests, config: &Config, start: &Start, is_dry: bool) -> Result<Dropped, Error> {
    let mut journal = Journal::open_existing(&config.state, &Identity::of(config))?;
    let (rows, rejected) = (Cell::new(0), Cell::new(0));
    let emit = |event: Event<'_>| match event {
        Event::ManifestRead { rows: read, .. } => rows.set(rows.get() + read),
        Event::RowRejected { .. } => rejected.set(rejected.get() + 1),
        _ => {}
    };
    let manifests = &manifests.listed()?;
    let mut rejects = Rejects::at(config.state.join("drop-rejects.csv"), &manifests.files);
    let staged = Intake::begin(&journal, manifests, config, start, &emit)?.finish(&mut rejects)?;
    let fetching = journal.try_lock_fetching()?;
    if fetching.is_none() && !is_dry {
        return Err(Error::Upstream(
            "a run of this state folder is fetching, perhaps these stays: stop it first".into(),
        ));
    }
    let unqueued = journal.unqueue(staged, is_dry)?;
    Ok(Dropped { rows: rows.get(), rejected: rejected.get(), unqueued, is_dry })
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unqueued { stays, duplicates, dropped, kept, unknown } = self.unqueued;
        let (rows, rejected) = (self.rows, self.rejected);
        let (all, rows) = (Count(stays, "stay"), Count(rows, "row"));
        writeln!(f, "manifest   {rows} = {duplicates} duplicate + {rejected} rejected + {all}")?;
        let what = if self.is_dry { "to be dropped" } else { "dropped from the queue" };
        writeln!(f, "stays      {stays} = {dropped} {what} + {kept} landed or settled, kept + {unknown} not known")
    }
}
