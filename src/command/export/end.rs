//! How a run ends, of all that may have happened in it: decided here alone.

use super::publishing::Done;
use crate::{
    config::UserIdType,
    error::{Error, ExitCode},
    fetch::Ended,
};

/// The end of a run.
#[derive(Debug)]
pub(super) struct End {
    /// What decides it.
    pub(super) ended: Result<Ended, Error>,
    /// An error that is told besides.
    pub(super) besides: Option<Error>,
    /// Whether not all of the manifest could be queued.
    pub(super) is_cut: bool,
}

impl End {
    /// The first of these that is there decides:
    ///
    /// 1. not all of the manifest could be queued: the run's own work has hardly begun
    /// 2. the answers say that somebody has to look, or to mend rights: a run again would only spend requests
    /// 3. an error of the journal while fetching
    /// 4. an error while publishing
    /// 5. a limit, a signal, or what is left to another process
    pub(super) fn of(
        enqueued: Result<(), Error>,
        fetched: Result<Ended, Error>,
        published: Result<Done, Error>,
    ) -> Self {
        let is_cut = enqueued.is_err();
        let (ended, besides) = match (enqueued, fetched, published) {
            (Err(error), fetched, published) => (Err(error), fetched.err().or(published.err())),
            (Ok(()), Ok(ended @ (Ended::Suspicious(..) | Ended::Denied(..))), published) => {
                (Ok(ended), published.err())
            }
            (Ok(()), Err(error), published) => (Err(error), published.err()),
            (Ok(()), Ok(_), Err(error)) => (Err(error), None),
            (Ok(()), Ok(Ended::Complete), Ok(Done::LeftToTheNextRun)) => (Ok(Ended::Interrupted), None),
            (Ok(()), ended, Ok(_)) => (ended, None),
        };
        Self { ended, besides, is_cut }
    }

    /// Why the run stopped before its end, if it did; an alarm names who asked, an app by ids of a kind.
    pub(super) fn stopped(&self, (app_id, ids): (&str, UserIdType)) -> Option<String> {
        match &self.ended {
            Ok(Ended::Complete) => None,
            Ok(Ended::Interrupted) => Some("interrupted".into()),
            Ok(Ended::Early(why) | Ended::Planned(why)) => Some(why.clone()),
            Ok(Ended::Suspicious(of, alarm)) => Some(alarm.why(*of, app_id, ids)),
            Ok(Ended::Denied(said, _)) => Some(said.to_string()),
            Err(error) => Some(crate::error::Chain(error).to_string()),
        }
    }

    /// What the process exits with, where `account` is what the report's account says and `planned` what tells a limit that
    /// somebody has set; and what a person has to do.
    pub(super) fn exit(
        &self,
        account: ExitCode,
        planned: ExitCode,
        (app_id, ids): (&str, UserIdType),
    ) -> (ExitCode, Option<String>) {
        let again = || Some("run the same command again to continue".to_owned());
        match &self.ended {
            Ok(Ended::Complete) => (account, (account == ExitCode::Again).then(again).flatten()),
            Ok(Ended::Interrupted) => (ExitCode::Interrupted, again()),
            Ok(Ended::Early(_)) => (ExitCode::Again, again()),
            Ok(Ended::Planned(_)) => (planned, again()),
            Ok(Ended::Suspicious(of, alarm)) => (ExitCode::Suspicious, Some(alarm.remedy(*of, app_id, ids))),
            Ok(Ended::Denied(_, remedy)) => (ExitCode::Access, Some(remedy.to_string())),
            Err(error) => (error.exit_code(), error.hint()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feishu::answer::{Remedy, Said};

    const WHO: (&str, UserIdType) = ("cli_1", UserIdType::OpenId);

    type Case = (Result<(), Error>, Result<Ended, Error>, Result<Done, Error>, ExitCode, Option<&'static str>);

    #[test]
    fn what_has_to_be_looked_at_first_decides() {
        let usage = || Err(Error::Usage("manifest".into()));
        let bug = || Err(Error::Bug("journal".into()));
        let disk = || Err(Error::Damaged("dataset".into()));
        let early = || Ok(Ended::Early("outage".into()));
        let planned = || Ok(Ended::Planned("month".into()));
        let denied = || Ok(Ended::Denied(Said { text: "code 121005".into(), log_id: None }, Remedy("grant it")));
        let left = || Ok(Done::LeftToTheNextRun);
        let done = || Ok(Done::Published);
        let cases: [Case; 17] = [
            (Ok(()), Ok(Ended::Complete), done(), ExitCode::SomeFailed, None),
            (Ok(()), Ok(Ended::Complete), left(), ExitCode::Interrupted, None),
            (Ok(()), Ok(Ended::Complete), disk(), ExitCode::Disk, None),
            (Ok(()), Ok(Ended::Interrupted), done(), ExitCode::Interrupted, None),
            (Ok(()), Ok(Ended::Interrupted), disk(), ExitCode::Disk, None),
            (Ok(()), early(), done(), ExitCode::Again, None),
            (Ok(()), early(), left(), ExitCode::Again, None),
            (Ok(()), early(), disk(), ExitCode::Disk, None),
            (Ok(()), planned(), done(), ExitCode::Planned, None),
            (Ok(()), planned(), disk(), ExitCode::Disk, None),
            (Ok(()), denied(), done(), ExitCode::Access, None),
            (Ok(()), denied(), disk(), ExitCode::Access, Some("dataset")),
            (Ok(()), bug(), done(), ExitCode::Bug, None),
            (Ok(()), bug(), disk(), ExitCode::Bug, Some("dataset")),
            (usage(), Ok(Ended::Complete), done(), ExitCode::Usage, None),
            (usage(), denied(), disk(), ExitCode::Usage, Some("dataset")),
            (usage(), bug(), disk(), ExitCode::Usage, Some("journal")),
        ];
        for (row, (enqueued, fetched, published, code, besides)) in cases.into_iter().enumerate() {
            let end = End::of(enqueued, fetched, published);
            assert_eq!(end.exit(ExitCode::SomeFailed, ExitCode::Planned, WHO).0, code, "row {row}");
            assert_eq!(end.besides.as_ref().map(ToString::to_string).as_deref(), besides, "row {row}");
            assert_eq!(end.stopped(WHO).is_none(), code == ExitCode::SomeFailed, "row {row}");
        }
    }
}
