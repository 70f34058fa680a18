//! A run at work: manifests into the queue, what is queued fetched, what is fetched published.

use std::{cell::Cell, time::Duration};

use chrono::TimeDelta;
use tokio::{
    sync::mpsc,
    task::yield_now,
    time::{Instant, sleep},
};

use super::{
    Export, Surroundings, markers,
    publishing::{self, Done, Ready, TURN_POLL},
    told::Told,
};
use crate::{
    command::standing::closes_at_s,
    endpoint::Endpoint,
    error::Error,
    event::{Emit, Event},
    fetch::{Ended, Scope, Terms, fetch},
    intake::{Intake, rejects::Rejects},
    journal::{Discovery, Enqueued, Journal, Lock, StayId},
    publish::Publisher,
};

/// Dates that are ready and wait to be published; one more is published at the end of the run.
const DATES_READY_MAX: usize = 1024;

/// How often a process that waits for another one says so.
const QUEUED_TOLD_EVERY: Duration = Duration::from_secs(60);

/// A stay of an earlier manifest is asked for again once its last answer is this old.
const ASKED_AGAIN_AFTER: TimeDelta = TimeDelta::hours(1);

/// What the parts of a run share.
pub(super) struct Run<'a> {
    task: &'a Export,
    around: &'a Surroundings<'a>,
    publisher: Publisher,
    emit: Emit<'a>,
    /// Whether manifests are still being merged into the queue.
    is_enqueuing: Cell<bool>,
    /// How long this process has fetched.
    fetched_for: Cell<Duration>,
}

impl<'a> Run<'a> {
    pub(super) fn new(task: &'a Export, around: &'a Surroundings<'a>, publisher: Publisher, emit: Emit<'a>) -> Self {
        Self { task, around, publisher, emit, is_enqueuing: Cell::new(true), fetched_for: Cell::default() }
    }

    /// How long this process has fetched.
    pub(super) fn fetched_for(&self) -> Duration {
        self.fetched_for.get()
    }

    /// Takes the manifests in and merges them into the queue, a little at a time: in between, what is queued is fetched.
    pub(super) async fn enqueue(&self, journal: &mut Journal, rejects: &mut Rejects) -> Result<(), Error> {
        let enqueued = self.merge_manifests(journal, rejects).await;
        self.is_enqueuing.set(false);
        enqueued
    }

    async fn merge_manifests(&self, journal: &mut Journal, rejects: &mut Rejects) -> Result<(), Error> {
        let Self { task, around, emit, .. } = *self;
        if let Some(dates) = task.discover {
            let discovery = Discovery { dates, lane: task.lane, refresh: task.refresh };
            let now_s = around.start.now().timestamp();
            journal.discover(&discovery, |date| closes_at_s(date, around.config), now_s)?;
        }
        let mut intake = Intake::begin(journal, &task.manifests, around.config, around.start, emit)?;
        loop {
            match intake.step(rejects) {
                Ok(true) => yield_now().await,
                Ok(false) => break,
                Err(error) => {
                    intake.cut();
                    return Err(error);
                }
            }
        }
        let mut merging = journal.enqueue(intake.finish(rejects)?, task.lane, around.config.timezone)?;
        while merging.step()? {
            if around.start.stop.is_requested() {
                return Err(Error::Interrupted { queued: merging.stays() });
            }
            yield_now().await;
        }
        let merged = merging.finish()?;
        self.own_earlier(journal, merged)
    }

    /// What the manifests do not name and this run asks for all the same.
    fn own_earlier(&self, journal: &mut Journal, merged: Enqueued) -> Result<(), Error> {
        let Self { task, around, emit, .. } = *self;
        let asked_before = around.start.now() - ASKED_AGAIN_AFTER;
        let young_from = around.start.now() - around.config.absent_retry_for;
        journal.list_young_again(asked_before.timestamp(), task.lane)?;
        let asked_again = if task.fetches_samples {
            journal.ask_earlier_again(asked_before.timestamp(), young_from.timestamp(), task.lane)?
                + journal.ask_early_ends_again(young_from.timestamp(), task.lane)?
        } else {
            0
        };
        let rereading = task.refresh.map(|dates| journal.reread(dates.first, dates.last, task.lane)).transpose()?;
        let reread = rereading.map_or(0, |rereading| rereading.stays);
        journal.take_back_own()?;
        markers::take_back(journal, around.config)?;
        emit(Event::Enqueued { lane: task.lane, rows: Enqueued { asked_again: asked_again + reread, ..merged } });
        if task.discover.is_some() {
            emit(Event::Discovering { left: journal.discovered_left()? });
        }
        if let Some(rereading) = rereading {
            emit(Event::Refreshing { rereading });
        }
        Ok(())
    }

    /// Fetches what an earlier process left in the queue until this one's manifests are merged into it: a restarted run
    /// need not read ten million rows before its first request.
    ///
    /// A manifest that is no file on a disk is waited for: its writer might keep answers under way from being taken in.
    pub(super) async fn fetch_queued(&self, queue: &mut Journal) -> Result<Ended, Error> {
        let can_wait = !self.is_enqueuing.get() || !self.task.manifests.are_on_disk();
        if can_wait || !self.is_anything_queued(queue)? {
            return Ok(Ended::Complete);
        }
        let Some(fetching) = queue.try_lock_fetching()? else { return Ok(Ended::Complete) };
        self.tell_holder(queue, &fetching);
        self.fetch_and_publish(queue, Scope::Queued(&self.is_enqueuing)).await
    }

    /// Says who fetches, since when.
    fn tell_holder(&self, journal: &Journal, fetching: &Lock) {
        let now = self.around.start.now().with_timezone(&self.around.config.timezone);
        let (process, lane) = (std::process::id(), self.task.lane.name());
        journal
            .tell_holder(fetching, &format!("process {process} ({lane}, since {})", now.format("%Y-%m-%d %H:%M %Z")));
    }

    fn is_anything_queued(&self, queue: &Journal) -> Result<bool, Error> {
        for endpoint in self.endpoints() {
            let is_queued = match endpoint {
                Endpoint::Quality => queue.next(1, |_| false)?.is_some(),
                Endpoint::Meetings | Endpoint::Participants => queue.next_listing(*endpoint, 1, |_| false)?.is_some(),
            };
            if is_queued {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where this run sends requests to.
    fn endpoints(&self) -> &'static [Endpoint] {
        const LISTS: [Endpoint; 2] = [Endpoint::Meetings, Endpoint::Participants];
        if self.task.fetches_samples { &Endpoint::ALL } else { &LISTS }
    }

    /// Whether anything of this process's own is not settled; `settled_before` is the first stay that was not.
    fn is_pending(&self, journal: &mut Journal, settled_before: &mut StayId) -> Result<bool, Error> {
        journal.own_discovered()?;
        for endpoint in [Endpoint::Meetings, Endpoint::Participants] {
            if journal.own_listing_pending(endpoint, StayId::MIN)?.is_some() {
                return Ok(true);
            }
        }
        if !self.task.fetches_samples {
            return Ok(false);
        }
        let first_pending = match journal.own_pending(*settled_before)? {
            // The process that fetches may have asked again for stays that were settled.
            None => {
                journal.own_discovered_rereads()?;
                journal.own_pending(StayId::MIN)?
            }
            first_pending => first_pending,
        };
        *settled_before = first_pending.unwrap_or(*settled_before);
        Ok(first_pending.is_some())
    }

    /// Waits for the right to fetch, and fetches, until this process's stays are settled.
    pub(super) async fn settle_own(&self, journal: &mut Journal) -> Result<Ended, Error> {
        let mut stop = self.around.start.stop.clone();
        let mut told = None;
        let mut waiting = None;
        let mut settled_before = StayId::MIN;
        loop {
            if !self.is_pending(journal, &mut settled_before)? {
                return Ok(Ended::Complete);
            }
            if let Some(fetching) = journal.try_lock_fetching()? {
                if waiting.take().is_some() {
                    // The other one may have published hours of work, perhaps elsewhere.
                    self.task.compare(journal, &self.publisher)?;
                }
                self.tell_holder(journal, &fetching);
                return self.fetch_and_publish(journal, Scope::Own).await;
            }
            if waiting.is_none() {
                waiting = Some(journal.wait_for_fetching()?);
            }
            if told.is_none_or(|told: Instant| told.elapsed() >= QUEUED_TOLD_EVERY) {
                let [nightly, backfill] = journal.queued()?;
                (self.emit)(Event::Queued { holder: journal.holder().as_deref(), left: nightly + backfill });
                told = Some(Instant::now());
            }
            if self.task.until.is_some_and(|until| until.is_reached(self.around.start.now())) {
                return Ok(Ended::Planned("the time limit is reached while another process fetches".into()));
            }
            tokio::select! {
                biased;
                () = stop.requested() => return Ok(Ended::Interrupted),
                () = sleep(TURN_POLL) => {}
            }
        }
    }

    /// Phase 1, with phase 2 at its side for each date that becomes ready.
    async fn fetch_and_publish(&self, journal: &mut Journal, scope: Scope<'_>) -> Result<Ended, Error> {
        (self.emit)(Event::Fetching);
        let began = Instant::now();
        let ended = self.fetch_beside_publishing(journal, scope).await;
        self.fetched_for.set(self.fetched_for.get() + began.elapsed());
        ended
    }

    async fn fetch_beside_publishing(&self, journal: &mut Journal, scope: Scope<'_>) -> Result<Ended, Error> {
        let Self { task, around, emit, .. } = *self;
        let (sender, receiver) = mpsc::channel(DATES_READY_MAX);
        let tell = |told: Told| told.emit(emit);
        let stop = around.start.stop.clone();
        let publishing = publishing::publish_ready(receiver, journal.another()?, self.publisher.clone(), stop, &tell);
        let sender = Cell::new(Some(sender));
        let ready = |ready| {
            if let Some(open) = sender.take() {
                // A full channel loses nothing: what is not published now is at the end of the run.
                let _ = open.try_send(ready);
                sender.set(Some(open));
            }
        };
        let fetching = async {
            let terms = Terms {
                transport: around.transport,
                config: around.config,
                asker: around.asker,
                until: task.until,
                scope,
                endpoints: self.endpoints(),
                start: around.start,
                emit,
                date_ready: &|date| ready(Ready::Settled(date)),
                date_listed: &|date| ready(Ready::Listed(date)),
            };
            let ended = fetch(journal, &terms).await;
            sender.take();
            ended
        };
        let (ended, ()) = tokio::join!(fetching, publishing);
        ended
    }

    /// What publishes.
    pub(super) fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// Publishes what is left, and gives the journal back.
    pub(super) async fn publish_rest(&self, journal: Journal) -> (Journal, Result<Done, Error>) {
        let tell = |told: Told| told.emit(self.emit);
        let stop = &self.around.start.stop;
        // What somebody has put beside the files since the beginning would be there twice. In a bucket the next run finds it: a look
        // costs requests.
        let compare = |journal: &Journal| {
            let compared =
                (!self.publisher.store().is_in_bucket()).then(|| self.task.compare(journal, &self.publisher));
            compared.transpose().map(drop)
        };
        publishing::publish_rest(journal, &self.publisher, (self.task.accept_fewer, &compare), stop, &tell).await
    }
}
