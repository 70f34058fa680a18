//! The landing of `meeting_list` and `participant_list`: what an answer about a listing does to it.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Loop, WorkId,
    anomaly::Sign,
    work::{Task, Tries},
};
use crate::{
    endpoint::Endpoint,
    error::Error,
    event::{Event, Subject},
    feishu::{
        answer::Said,
        page::{Next, Page},
        transport::Answer,
    },
    journal::{Brought, Landed, Listed, NewListedPage, QueuedListing, State, Verdict},
    listings,
    read::decode::Unknown,
    stay::partition_date,
};

type ListingTask = Task<QueuedListing>;

/// Pages in a row that bring nothing which their listing had not named before: a server that says `has_more` for ever must not
/// eat the quota.
const BARREN_PAGES_MAX: u32 = 10;

/// The queue.
impl Loop<'_> {
    /// Whether a listing of this process is not settled.
    pub(super) fn is_listing_pending(&mut self, endpoint: Endpoint) -> Result<bool, Error> {
        self.journal.own_discovered()?;
        let settled_before = &mut self.tracks[endpoint].settled_before;
        let first_pending = match self.journal.own_listing_pending(endpoint, *settled_before)? {
            None => self.journal.own_listing_pending(endpoint, WorkId::MIN)?,
            first_pending => first_pending,
        };
        *settled_before = first_pending.unwrap_or(*settled_before);
        Ok(first_pending.is_some())
    }

    /// The next listing of the endpoint that is not begun yet.
    pub(super) fn next_listing(&self, endpoint: Endpoint) -> Result<Option<QueuedListing>, Error> {
        let taken = &self.tracks[endpoint].taken;
        Ok(self.journal.next_listing(endpoint, taken.len() + 1, |id| taken.contains(&id))?)
    }
}

/// Pages.
impl Loop<'_> {
    pub(super) fn page_of_listing(&mut self, mut task: ListingTask, page: &Page, answer: &Answer) -> Result<(), Error> {
        let endpoint = task.work.of.endpoint();
        if let Some(reason) = self.listing_fault(&task.work, page)? {
            if self.is_in_doubt(endpoint, task.work.id, Sign::OffContract)? {
                self.requeue(task, Duration::ZERO);
                return Ok(());
            }
            return self.fail_listing(&task.work, reason, answer.log_id.clone());
        }
        let Next::Token(token) = &page.next else { return self.last_page_of_listing(&task.work, page, answer) };
        let brought = self.land_listed(&task.work, page, answer)?;
        self.tracks[endpoint].anomaly.note(Sign::Known, task.work.id);
        let listing = &mut task.work;
        listing.pages += 1;
        listing.items += page.items;
        listing.barren_pages = if brought.items > 0 { 0 } else { listing.barren_pages + 1 };
        listing.page_token = Some(token.clone());
        task.tries = Tries::none(Instant::now());
        self.requeue(task, Duration::ZERO);
        Ok(())
    }

    /// The listing is read to its end. That nobody took part in a meeting which says that somebody did may change while it is
    /// young, and no page is kept of it.
    fn last_page_of_listing(&mut self, listing: &QueuedListing, page: &Page, answer: &Answer) -> Result<(), Error> {
        let is_empty = listing.items + page.items == 0;
        if is_empty && listing.pages == 0 && self.is_young_listing(listing) {
            return self.settle_listing(listing, State::Young, "no participants so far".into(), answer.log_id.clone());
        }
        self.land_listed(listing, page, answer)?;
        self.tracks[listing.of.endpoint()].anomaly.note(Sign::Known, listing.id);
        self.listed(listing, page.items, State::Done, None, None)
    }

    /// Lands a page with all that it brings.
    fn land_listed(&mut self, listing: &QueuedListing, page: &Page, answer: &Answer) -> Result<Brought, Error> {
        let next_token = match &page.next {
            Next::Token(token) => Some(token.as_str()),
            Next::End | Next::TokenMissing => None,
        };
        let body = answer.body.as_ref();
        let landed = NewListedPage { listing: listing.id, number: listing.pages, items: page.items, next_token, body };
        let config = self.terms.config;
        let now_s = self.terms.start.now().timestamp();
        let how = Landed { zone: config.timezone, now_s };
        let offset = config.api.naive_utc_offset;
        let unread = |_| Error::Bug("a page that was read for its paging cannot be read for its items".into());
        let unknown = &mut Unknown::default();
        let (brought, unreadable) = match &listing.of {
            Listed::Date(_) => {
                let listed = listings::meetings(body, offset, unknown).map_err(unread)?;
                (self.journal.land_meetings(&landed, &listed.meetings, &how)?, listed.unreadable)
            }
            Listed::Meeting(id, meeting) => {
                let listed = listings::attendances(body, meeting, offset, now_s, unknown).map_err(unread)?;
                for reason in listed.iter().filter_map(|seen| seen.reason.as_deref()) {
                    (self.terms.emit)(Event::AttendanceRejected { meeting, reason });
                }
                (self.journal.land_participants(&landed, (*id, meeting), &listed, &how)?, 0)
            }
        };
        (self.terms.emit)(Event::PageListed { items: page.items, unreadable, brought });
        self.journal.own_discovered()?;
        self.tracks.wake();
        Ok(brought)
    }

    /// What is wrong with the paging, if anything; the pages before it are sound.
    fn listing_fault(&self, listing: &QueuedListing, page: &Page) -> Result<Option<String>, Error> {
        let token = match &page.next {
            Next::End => return Ok(None),
            Next::TokenMissing => return Ok(Some("`has_more` without a `page_token`".into())),
            Next::Token(token) => token,
        };
        if self.journal.listing_token_seen(listing.id, token)? {
            return Ok(Some(format!("page {} repeats an earlier `page_token`", listing.pages)));
        }
        Ok((listing.barren_pages >= BARREN_PAGES_MAX)
            .then(|| format!("`has_more` after {BARREN_PAGES_MAX} pages in a row that brought nothing new")))
    }
}

/// Verdicts.
impl Loop<'_> {
    /// Nothing is there: no meetings on the date, or nobody in the meeting.
    pub(super) fn absent_listing(&mut self, task: ListingTask, said: Said) -> Result<(), Error> {
        let listing = &task.work;
        if listing.page_token.is_some() {
            return self.list_anew(listing, said);
        }
        if self.is_young_listing(listing) {
            return self.settle_listing(listing, State::Young, said.text, said.log_id);
        }
        let is_expected = listing.expected == Some(0) || matches!(listing.of, Listed::Date(_));
        if !is_expected && self.is_in_doubt(listing.of.endpoint(), listing.id, Sign::Unknown)? {
            self.requeue(task, Duration::ZERO);
            return Ok(());
        }
        self.settle_listing(listing, State::Absent, said.text, said.log_id)
    }

    /// Whether participants of a meeting may still come.
    fn is_young_listing(&self, listing: &QueuedListing) -> bool {
        let Listed::Meeting(_, meeting) = &listing.of else { return false };
        let age_s = self.terms.start.now().timestamp() - meeting.end_s.unwrap_or(meeting.start_s);
        listing.expected != Some(0)
            && u64::try_from(age_s)
                .map_or(true, |age_s| Duration::from_secs(age_s) < self.terms.config.absent_retry_for)
    }

    pub(super) fn rejected_listing(&mut self, task: ListingTask, said: Said) -> Result<(), Error> {
        let listing = &task.work;
        if listing.page_token.is_some() {
            return self.list_anew(listing, said);
        }
        if self.is_in_doubt(listing.of.endpoint(), listing.id, Sign::Unknown)? {
            self.requeue(task, Duration::ZERO);
            return Ok(());
        }
        self.settle_listing(listing, State::Rejected, said.text, said.log_id)
    }

    /// What could be asked for with its first page is not wrong: its page token has only grown too old. Another listing of the
    /// same takes its place in the queue.
    fn list_anew(&mut self, listing: &QueuedListing, said: Said) -> Result<(), Error> {
        if listing.restarts > 0 {
            let reason = format!("page token refused a second time: {said}");
            return self.fail_listing(listing, reason, said.log_id);
        }
        self.journal.list_anew(listing.id, self.terms.start.now().timestamp())?;
        self.tracks[listing.of.endpoint()].taken.remove(&listing.id);
        (self.terms.emit)(Event::Restarted { subject: Subject::from(&listing.of) });
        Ok(())
    }

    pub(super) fn fail_listing(
        &mut self,
        listing: &QueuedListing,
        reason: String,
        log_id: Option<String>,
    ) -> Result<(), Error> {
        self.settle_listing(listing, State::Failed, reason, log_id)
    }

    fn settle_listing(
        &mut self,
        listing: &QueuedListing,
        state: State,
        reason: String,
        log_id: Option<String>,
    ) -> Result<(), Error> {
        let verdict = Verdict { state, reason, log_id };
        self.journal.settle_listing(listing.id, &verdict, self.terms.start.now().timestamp())?;
        self.listed(listing, 0, state, Some(&verdict.reason), verdict.log_id.as_deref())
    }

    /// `last_items` are those of the last page, if it has one.
    fn listed(
        &mut self,
        listing: &QueuedListing,
        last_items: u32,
        state: State,
        reason: Option<&str>,
        log_id: Option<&str>,
    ) -> Result<(), Error> {
        self.tracks[listing.of.endpoint()].taken.remove(&listing.id);
        let (subject, items) = (Subject::from(&listing.of), listing.items + last_items);
        (self.terms.emit)(Event::Listed { subject, items, state, reason, log_id });
        let date = match &listing.of {
            Listed::Date(date) => *date,
            Listed::Meeting(_, meeting) => partition_date(meeting.start_s, self.terms.config.timezone),
        };
        if self.journal.is_listed(date)? {
            (self.terms.date_listed)(date);
        }
        Ok(())
    }
}

/// What is taken back.
impl Loop<'_> {
    /// Takes back what was settled by answers that were none of theirs, or are in doubt.
    pub(super) fn unsettle_listings(
        &mut self,
        endpoint: Endpoint,
        listings: &[WorkId],
        are_suspect: bool,
    ) -> Result<(), Error> {
        for (state, count) in self.journal.unsettle_listings(listings, are_suspect)? {
            (self.terms.emit)(Event::Unsettled { endpoint, state, count });
        }
        self.tracks[endpoint].settled_before = WorkId::MIN;
        Ok(())
    }

    /// The listings of the bad answers are pending again; later runs ask neither for them nor for those that waited beside them,
    /// unless they name their dates.
    pub(super) fn set_listings_aside(&mut self, endpoint: Endpoint) -> Result<(), Error> {
        let suspects = self.tracks[endpoint].anomaly.suspects();
        self.unsettle_listings(endpoint, &suspects, true)?;
        Ok(self.journal.set_listings_aside(endpoint)?)
    }
}
