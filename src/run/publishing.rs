//! Phase 2 within a run: each date as soon as it is ready, beside phase 1, and what is left in the end.

use chrono::NaiveDate;
use tokio::{sync::mpsc, task::spawn_blocking, time::sleep};

use super::TURN_POLL;
use crate::{
    error::{Chain, Error},
    event::{Emit, Event},
    journal::{Journal, JournalError, Lock},
    publish::{Publication, Publisher},
    refresh,
    start::Stop,
};

/// Whether a run has published what it meant to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// It has.
    Published,
    /// It was told to stop while another process was publishing: nothing is lost, the next run publishes it.
    LeftToTheNextRun,
}

/// Publishes what an earlier process left, then each date that it is told, on a thread of its own: building a file takes
/// CPU time.
///
/// A failure is told and left to the end of the run: fetching must go on, for its pages land in the journal.
pub(super) async fn publish_ready(
    mut dates: mpsc::Receiver<NaiveDate>,
    mut journal: Journal,
    publisher: Publisher,
    (stop, emit): (Stop, Emit<'_>),
) {
    let mut date = None;
    loop {
        let publisher = publisher.clone();
        let publishing = match turn(&journal, &stop).await {
            Ok(Some(publishing)) => publishing,
            Ok(None) => return,
            Err(error) => return emit(Event::PublishFailed { date, why: &Chain(&error).to_string() }),
        };
        let work = spawn_blocking(move || {
            let mut done = Vec::new();
            let ended = match date {
                None => publisher.finish_intents(&mut journal, &publishing, |publication| done.push(publication)),
                Some(date) => {
                    publisher.append(&mut journal, date, &publishing).map(|publication| done.extend(publication))
                }
            };
            (journal, done, ended)
        });
        let done: Vec<Publication>;
        let ended;
        (journal, done, ended) = work.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        for publication in &done {
            emit_published(publication, emit);
        }
        if let Err(error) = ended {
            emit(Event::PublishFailed { date, why: &Chain(&error).to_string() });
        }
        date = dates.recv().await;
        if date.is_none() {
            return;
        }
    }
}

/// Publishes what is left of this run: dates that failed on the way, dates that are not complete, and what has been asked
/// for again.
pub(super) async fn publish_own(
    journal: &mut Journal,
    publisher: &Publisher,
    stop: &Stop,
    emit: Emit<'_>,
) -> Result<Done, Error> {
    let Some(publishing) = turn(journal, stop).await? else { return Ok(Done::LeftToTheNextRun) };
    let told = |publication: &Publication| emit_published(publication, emit);
    let finished = publisher.finish_intents(journal, &publishing, |publication| told(&publication));
    let mut failure = finished.err();
    let mut failed = |date, error: Error| {
        emit(Event::PublishFailed { date, why: &Chain(&error).to_string() });
        failure.get_or_insert(error);
    };
    for date in journal.own_unpublished()? {
        match publisher.append(journal, date, &publishing) {
            Ok(publication) => publication.iter().for_each(told),
            Err(error) => failed(Some(date), error),
        }
    }
    if let Err(error) = refresh::conclude(journal, publisher, &publishing, emit, told) {
        failed(None, error);
    }
    failure.map_or(Ok(Done::Published), Err)
}

/// Waits for the right to change the dataset; `None` if the run is told to stop while another process has it.
async fn turn(journal: &Journal, stop: &Stop) -> Result<Option<Lock>, JournalError> {
    let mut stop = stop.clone();
    loop {
        if let Some(publishing) = journal.try_lock_publishing()? {
            return Ok(Some(publishing));
        }
        tokio::select! {
            biased;
            () = stop.requested() => return Ok(None),
            () = sleep(TURN_POLL) => {}
        }
    }
}

fn emit_published(publication: &Publication, emit: Emit<'_>) {
    emit(Event::Published {
        date: publication.file.date,
        name: &publication.name,
        samples: publication.file.samples,
        bytes: publication.bytes,
        unreadable: &publication.unreadable,
        unknown: &publication.unknown,
    });
}
