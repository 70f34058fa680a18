//! What a run's report says of discovery.

use std::{collections::BTreeMap, fmt};

use chrono::NaiveDate;
use serde::Serialize;

use crate::{
    journal::{DateListing, Discovered},
    meeting::AttendanceKind,
    words::Count,
};

/// What has been discovered of the run's dates, by this run and those before it.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Discovery {
    /// How each date stands.
    dates: BTreeMap<String, &'static str>,
    meetings: u64,
    /// Of the meetings: not over when they were last listed.
    not_over: u64,
    /// Of the meetings: longer than a day, so that the API cannot be asked for them.
    pub(super) too_long: u64,
    /// Of the meetings: with an end before their start.
    broken_meetings: u64,
    /// Items of this run's pages that are no meeting that can be told from others.
    pub(super) unreadable_meetings: u64,
    pub(super) attendances: u64,
    /// Of the attendances: distinct stays.
    stays: u64,
    /// Of the attendances: without an id, by what they are.
    without_id: BTreeMap<&'static str, u64>,
    /// Of the attendances: with an id, and no stay all the same, by why.
    rejected_attendances: BTreeMap<&'static str, u64>,
    /// Of the stays: of another tenant.
    external: u64,
    /// Of these, refused by the API for their ids.
    pub(super) external_refused: u64,
    /// Pages of listings that this run landed.
    pub(super) pages: u64,
    pub(super) listings_failed: u64,
    pub(super) listings_pending: u64,
    /// Meetings whose participants were not there yet: later runs ask again.
    listings_young: u64,
    /// Attendances that give a stay; several may give the same one.
    #[serde(skip)]
    pub(super) with_stay: u64,
}

impl Discovery {
    /// Takes in what the journal says.
    pub(super) fn take(&mut self, found: &Discovered, dates: &[(NaiveDate, DateListing)]) {
        let by_kind = |is_it: fn(AttendanceKind) -> bool| {
            let of_kind = found.attendances.iter().filter(|(kind, _)| is_it(*kind));
            of_kind.map(|(kind, count)| (kind.name(), *count)).collect()
        };
        *self = Self {
            dates: dates.iter().map(|(date, listing)| (date.to_string(), listing.name())).collect(),
            meetings: found.meetings,
            not_over: found.not_over,
            too_long: found.too_long,
            broken_meetings: found.broken,
            attendances: found.attendances(),
            stays: found.stays,
            without_id: by_kind(AttendanceKind::is_without_id),
            rejected_attendances: by_kind(|kind| matches!(kind, AttendanceKind::TwoIds | AttendanceKind::Broken)),
            external: found.external,
            external_refused: found.external_refused,
            listings_failed: found.listings_failed,
            listings_pending: found.listings_pending,
            listings_young: found.listings_young,
            with_stay: found.attendances_of(|kind| kind == AttendanceKind::Stay),
            ..std::mem::take(self)
        };
    }

    /// Attendances without an id.
    pub(super) fn without_id(&self) -> u64 {
        self.without_id.values().sum()
    }

    /// Attendances with an id that give no stay.
    pub(super) fn rejected(&self) -> u64 {
        self.rejected_attendances.values().sum()
    }
}

impl fmt::Display for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stand = |as_what: DateListing| self.dates.values().filter(|listing| **listing == as_what.name()).count();
        let meetings = Count(self.meetings, "meeting");
        write!(f, "discovered {} ({} of them open", Count(self.dates.len(), "date"), stand(DateListing::Open))?;
        match stand(DateListing::Unlisted) {
            0 => write!(f, "), {meetings}")?,
            unlisted => write!(f, ", {unlisted} not listed as a whole), {meetings}")?,
        }
        writeln!(f, ", {}, {}", Count(self.attendances, "attendance"), Count(self.stays, "stay"))?;
        for (kind, count) in &self.without_id {
            writeln!(f, "           {} without an id: {kind}", Count(*count, "attendance"))?;
        }
        for (why, count) in &self.rejected_attendances {
            writeln!(f, "           {} without a stay: {why}", Count(*count, "attendance"))?;
        }
        for (count, what, how) in [
            (self.too_long, "meeting", "longer than a day: the API cannot be asked who took part"),
            (self.not_over, "meeting", "not over; a later run lists the date again"),
            (self.broken_meetings, "meeting", "that would end before the begin, not asked for"),
            (self.unreadable_meetings, "meeting", "without a number or a start that can be read"),
            (self.external_refused, "stay", "of other tenants, whose ids the API lets no app use"),
            (self.listings_young, "meeting", "without participants so far; later runs ask again"),
            (self.listings_failed, "listing", "given up; a run that names the date asks again"),
            (self.listings_pending, "listing", "pending"),
        ] {
            if count > 0 {
                writeln!(f, "           {} {how}", Count(count, what))?;
            }
        }
        Ok(())
    }
}
