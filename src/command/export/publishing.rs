//! Phase 2 within a run: each date as soon as it is ready, beside phase 1, and what is left in the end.

use std::cell::RefCell;

use chrono::NaiveDate;
use tokio::{sync::mpsc, task::spawn_blocking, time::sleep};

use super::TURN_POLL;
use crate::{
    command::export::refresh,
    error::{Chain, Error},
    event::{Emit, Event},
    journal::Journal,
    publish::{Publication, Publisher, Publishing},
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

/// Settles what an earlier process left, then publishes each date that it is told, on a thread of its own: building a file
/// takes CPU time.
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
        let publishing = match turn(&journal, &publisher, &stop).await {
            Ok(Some(publishing)) => publishing,
            Ok(None) => return,
            Err(error) => return emit(Event::PublishFailed { date, why: &Chain(&error).to_string() }),
        };
        let work = spawn_blocking(move || {
            let ended = match date {
                None => publishing.settle_intents(&mut journal).map(|()| None),
                Some(date) => publishing.append(&mut journal, date),
            };
            (journal, ended)
        });
        let ended;
        (journal, ended) = work.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        match ended {
            Ok(publication) => publication.iter().for_each(|publication| emit_published(publication, emit)),
            Err(error) => emit(Event::PublishFailed { date, why: &Chain(&error).to_string() }),
        }
        date = dates.recv().await;
        if date.is_none() {
            return;
        }
    }
}

/// Publishes what is left: of this run, dates that failed on the way, dates that are not complete, and what has been asked
/// for again; of earlier ones, dates that are settled and that no run has published.
pub(super) async fn publish_rest(
    journal: &mut Journal,
    publisher: &Publisher,
    (accept_fewer, stop): (bool, &Stop),
    emit: Emit<'_>,
) -> Result<Done, Error> {
    let Some(publishing) = turn(journal, publisher, stop).await? else { return Ok(Done::LeftToTheNextRun) };
    let failure = RefCell::new(publishing.settle_intents(journal).err());
    let told = |date, published: Result<Publication, Error>| match published {
        Ok(publication) => emit_published(&publication, emit),
        Err(error) => {
            emit(Event::PublishFailed { date: Some(date), why: &Chain(&error).to_string() });
            failure.borrow_mut().get_or_insert(error);
        }
    };
    let is_own = |journal: &Journal, date| Ok(journal.is_own_unpublished(date)?);
    publishing.append_settled(journal, is_own, told)?;
    refresh::conclude(journal, &publishing, accept_fewer, emit, told)?;
    failure.into_inner().map_or(Ok(Done::Published), Err)
}

/// Waits for the right to change the dataset; `None` if the run is told to stop while another process has it.
async fn turn(journal: &Journal, publisher: &Publisher, stop: &Stop) -> Result<Option<Publishing>, Error> {
    let mut stop = stop.clone();
    loop {
        if let Some(publishing) = publisher.try_begin(journal)? {
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
