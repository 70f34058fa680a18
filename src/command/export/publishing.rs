//! Phase 2 within a run: each date as soon as it is ready, beside phase 1, and what is left in the end.
//!
//! Building takes CPU time and a store may wait for a network, so all of it is done by a thread of its own, which tells the
//! runtime's thread what became of it.

use std::{cell::RefCell, panic::resume_unwind, time::Duration};

use chrono::NaiveDate;
use tokio::{sync::mpsc, task::spawn_blocking, time::sleep};

use super::{refresh, told::Told};
use crate::{
    error::Error,
    journal::Journal,
    publish::{Publication, Publisher, Publishing, listed::ListedPublication},
    start::Stop,
};

/// How often a process that waits for another one looks whether its turn has come.
pub(super) const TURN_POLL: Duration = Duration::from_millis(500);

/// What the thread that publishes may have told before the runtime's thread takes it in.
const TOLD_MAX: usize = 1024;

/// Finds whether journal and datasets are of each other.
pub(super) type Compare<'a> = &'a dyn Fn(&Journal) -> Result<(), Error>;

/// Whether a run has published what it meant to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// It has.
    Published,
    /// It was told to stop while another process was publishing: nothing is lost, the next run publishes it.
    LeftToTheNextRun,
}

/// What of a date is ready to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    /// All its stays are settled.
    Settled(NaiveDate),
    /// All that was asked for of its meetings is there.
    Listed(NaiveDate),
}

/// Settles what an earlier process left, then publishes what it is told is ready.
///
/// A failure is told and left to the end of the run: fetching must go on, for its pages land in the journal.
pub(super) async fn publish_ready(
    mut ready: mpsc::Receiver<Ready>,
    mut journal: Journal,
    publisher: Publisher,
    stop: Stop,
    tell: &dyn Fn(Told),
) {
    let mut next = None;
    loop {
        let publishing = match turn(&journal, &publisher, &stop).await {
            Ok(Some(publishing)) => publishing,
            Ok(None) => return,
            Err(error) if error.is_away() => {
                tell(Told::failed(None, &error));
                // What was to be published now is at the end of the run.
                next = ready.recv().await;
                if next.is_none() {
                    return;
                }
                continue;
            }
            Err(error) => return tell(Told::failed(None, &error)),
        };
        let work = spawn_blocking(move || {
            let told = publish_next(&mut journal, &publishing, next);
            (journal, told)
        });
        let told;
        (journal, told) = work.await.unwrap_or_else(|panic| resume_unwind(panic.into_panic()));
        told.into_iter().for_each(tell);
        next = ready.recv().await;
        if next.is_none() {
            return;
        }
    }
}

fn publish_next(journal: &mut Journal, publishing: &Publishing, next: Option<Ready>) -> Vec<Told> {
    let mut told = Vec::new();
    let (date, ended) = match next {
        None => (None, publishing.settle_intents(journal)),
        Some(Ready::Settled(date)) => {
            let published = publishing.append(journal, date);
            (Some(date), published.map(|publication| told.extend(publication.map(Told::Published))))
        }
        Some(Ready::Listed(date)) => {
            let take = |date, published| told.push(Told::of_listed(date, published));
            (Some(date), publishing.publish_listed(journal, Some(date), take))
        }
    };
    told.extend(ended.err().map(|error| Told::failed(date, &error)));
    told
}

/// Publishes what is left, and gives the journal back: of this run, dates that failed on the way, dates that are not
/// complete, and what has been asked for again; of earlier ones, dates that are settled and that no run has published, and where
/// nobody is fetching any more, those that are not settled too. Nothing is published if `compare` finds that journal and datasets are
/// not of each other.
pub(super) async fn publish_rest(
    mut journal: Journal,
    publisher: &Publisher,
    (accept_fewer, compare): (bool, Compare<'_>),
    stop: &Stop,
    tell: &dyn Fn(Told),
) -> (Journal, Result<Done, Error>) {
    let publishing = match turn(&journal, publisher, stop).await {
        Ok(Some(publishing)) => publishing,
        Ok(None) => return (journal, Ok(Done::LeftToTheNextRun)),
        Err(error) => return (journal, Err(error)),
    };
    if let Err(error) = compare(&journal) {
        return (journal, Err(error));
    }
    let (sender, mut receiver) = mpsc::channel(TOLD_MAX);
    let work = spawn_blocking(move || {
        // Whoever listens does so until the thread has ended.
        let done = publish_all(&mut journal, &publishing, accept_fewer, &|told| drop(sender.blocking_send(told)));
        (journal, done)
    });
    while let Some(told) = receiver.recv().await {
        tell(told);
    }
    work.await.unwrap_or_else(|panic| resume_unwind(panic.into_panic()))
}

fn publish_all(
    journal: &mut Journal,
    publishing: &Publishing,
    accept_fewer: bool,
    tell: &dyn Fn(Told),
) -> Result<Done, Error> {
    let failure = RefCell::new(publishing.settle_intents(journal).err());
    let told = |date, published: Result<Publication, Error>| match published {
        Ok(publication) => tell(Told::Published(publication)),
        Err(error) => {
            tell(Told::failed(Some(date), &error));
            failure.borrow_mut().get_or_insert(error);
        }
    };
    // What was fetched on the way to this run's own stays is left to nobody if nobody is fetching.
    let is_last = journal.try_lock_fetching()?.is_some();
    let is_due = |journal: &Journal, date| Ok(is_last || journal.is_own_unpublished(date)?);
    publishing.append_settled(journal, is_due, told)?;
    refresh::conclude(journal, publishing, accept_fewer, tell, told)?;
    let listed = |date, published: Result<ListedPublication, Error>| match published {
        Ok(publication) => tell(Told::Listed(publication)),
        Err(error) => {
            tell(Told::failed(Some(date), &error));
            failure.borrow_mut().get_or_insert(error);
        }
    };
    publishing.publish_listed(journal, None, listed)?;
    failure.into_inner().map_or(Ok(Done::Published), Err)
}

/// Waits for the right to change the dataset; `None` if the run is told to stop while another process has it.
async fn turn(journal: &Journal, publisher: &Publisher, stop: &Stop) -> Result<Option<Publishing>, Error> {
    let mut stop = stop.clone();
    loop {
        if let Some(publishing) = publisher.try_begin(journal)? {
            publisher.make_up(journal)?;
            return Ok(Some(publishing));
        }
        tokio::select! {
            biased;
            () = stop.requested() => return Ok(None),
            () = sleep(TURN_POLL) => {}
        }
    }
}
