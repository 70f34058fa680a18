//! The account of a run: a fold over its events, completed from the journal, which knows how every stay ended.

use std::{cell::RefCell, collections::BTreeSet, time::Duration};

use tokio::time::Instant;

use super::{Export, Surroundings};
use crate::{
    command::standing::{DateStatus, standing},
    error::{Error, ExitCode},
    event::Event,
    intake::rejects::Rejects,
    journal::{FileRow, Journal, State},
    observe::report::{Date, Report},
    publish::file::name_of,
};

/// The names of the files that were published before the run.
pub(super) struct Published(BTreeSet<String>);

impl Published {
    pub(super) fn by_now(journal: &Journal) -> Result<Self, Error> {
        let published = journal.files()?.into_iter().filter(|file| file.published);
        Ok(Self(published.map(|file| file.name).collect()))
    }

    fn has(&self, file: &FileRow) -> bool {
        self.0.contains(&file.name)
    }
}

/// The account of a run that is over.
pub(super) struct Closed {
    pub(super) report: Report,
    /// What the account comes to.
    pub(super) exit_code: ExitCode,
    /// Why the file of rejects could not be written, if it could not.
    pub(super) unwritten: Option<Error>,
}

/// The report of a run that goes on.
pub(super) struct Account<'a> {
    around: &'a Surroundings<'a>,
    began: Instant,
    report: RefCell<Report>,
}

impl<'a> Account<'a> {
    /// Of a run that begins now.
    pub(super) fn begin(task: &Export, around: &'a Surroundings<'a>) -> Self {
        let mut report = Report::new(around.start.now(), around.config.timezone);
        if !task.fetches_samples {
            report.only_lists();
        }
        report.means_naive_times(around.config.naive_times);
        Self { around, began: Instant::now(), report: RefCell::new(report) }
    }

    /// Takes one event in.
    pub(super) fn take(&self, event: &Event<'_>) {
        self.report.borrow_mut().take(event);
    }

    /// Whether it says why the run stopped.
    pub(super) fn is_stopped(&self) -> bool {
        self.report.borrow().is_stopped()
    }

    /// The whole report, with what the journal says of this process's stays, and the exit code that it comes to. Puts the file of
    /// rejects in place.
    ///
    /// `is_cut` says that not all of the manifests is queued; `fetched_for` is how long this process has fetched.
    pub(super) fn close(
        self,
        journal: &Journal,
        task: &Export,
        published_before: &Published,
        rejects: &mut Rejects,
        (is_cut, fetched_for): (bool, Duration),
    ) -> Result<Closed, Error> {
        let Self { around, began, report } = self;
        let mut report = report.into_inner();
        if is_cut {
            report.queueing_was_cut();
        }
        for file in journal.own_files()?.iter().filter(|file| !published_before.has(file)) {
            report.is_published(file.date, &name_of(file)?.to_string(), file.samples, file.bytes.unwrap_or_default());
        }
        let mut unwritten = take_refused(journal, task, rejects, &mut report)?;
        match rejects.finish() {
            Ok(Some(path)) if unwritten.is_none() => report.rejects_in(path.display().to_string()),
            Ok(_) => {}
            Err(error) => unwritten = unwritten.or(Some(error)),
        }
        take_dates(journal, around, &mut report)?;
        if journal.file_dates()?.is_empty() && task.fetches_samples {
            report.dataset_is_empty_at(&around.config.output);
        }
        let per_minute = around.config.rate.requests_per_minute;
        let closed = report.close(around.start.now(), (began.elapsed(), fetched_for), per_minute);
        let exit_code = closed.map_err(|error| Error::Bug(error.to_string()))?;
        Ok(Closed { report, exit_code, unwritten })
    }
}

/// Lists the stays that the API rejected or that failed. What is returned is why rejects could not be written, if they could not.
fn take_refused(
    journal: &Journal,
    task: &Export,
    rejects: &mut Rejects,
    report: &mut Report,
) -> Result<Option<Error>, Error> {
    let mut unwritten = None;
    journal.each_own(State::Rejected, |own| {
        if let Some(at) = own.manifested {
            let (file, reason) = (task.manifests.name(at.file), own.reason.unwrap_or_default());
            report.stay_rejected(&file, at.line, &own.stay, &reason);
            if unwritten.is_none() {
                unwritten = rejects.write_stay(&file, at.line, &own.stay, &reason).err();
            }
        }
        Ok::<_, Error>(())
    })?;
    journal.each_own(State::Failed, |own| {
        report.stay_failed(&own.stay, own.reason.as_deref(), own.log_id.as_deref());
        Ok::<_, Error>(())
    })?;
    journal.each_own(State::Absent, |own| {
        report.stay_absent(&own.stay, own.reason.as_deref(), own.log_id.as_deref());
        Ok::<_, Error>(())
    })?;
    Ok(unwritten)
}

/// Says how the dates stand that this run is about.
fn take_dates(journal: &Journal, around: &Surroundings<'_>, report: &mut Report) -> Result<(), Error> {
    let own: BTreeSet<_> = journal.own_dates()?.into_iter().collect();
    for stands in standing(journal, around.config, around.start, |date| own.contains(&date))? {
        let DateStatus { date, complete, listing, done, absent, rejected, failed, problems, .. } = stands;
        let pending = stands.pending + stands.refreshing;
        report.date_stands(Date { date, complete, listing, done, absent, rejected, failed, pending, problems });
    }
    Ok(())
}
