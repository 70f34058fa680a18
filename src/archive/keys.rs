//! Whose a page is: the keys of the envelope, under their names, and what they must say.

use std::ops::Range;

use super::{FIRST_SAMPLE_MAX, Refusal};
use crate::{
    endpoint::Endpoint,
    manifest::{column::Fields, reject::Reject, rules::Rules},
    meeting::Meeting,
    stay::Stay,
};

/// Whose a page is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Of {
    /// Samples of a stay.
    Stay(Stay),
    /// A listing.
    Listing(ArchivedListing),
}

impl Of {
    /// The endpoint that it came from.
    pub fn endpoint(&self) -> Endpoint {
        match self {
            Self::Stay(_) => Endpoint::Quality,
            Self::Listing(listing) => listing.of.endpoint(),
        }
    }
}

/// Which page of a listing it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedListing {
    /// What was listed.
    pub of: ListingOf,
    /// When its first page landed, in unix seconds.
    pub begun_at_s: i64,
    /// The page's place among all pages of listings that are in the archive, from 0, in the order in which they landed: what
    /// was listed later counts.
    pub landed: u64,
}

/// What was listed, as the API was asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListingOf {
    /// The meetings of a span of unix seconds.
    Window(Range<i64>),
    /// The participants of a meeting, whose end is known.
    Meeting(Meeting),
}

impl ListingOf {
    /// The endpoint that it came from.
    pub fn endpoint(&self) -> Endpoint {
        match self {
            Self::Window(_) => Endpoint::Meetings,
            Self::Meeting(_) => Endpoint::Participants,
        }
    }
}

/// A key of the envelope that the manifest has not: all but the last are of pages of listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Endpoint,
    WindowStart,
    WindowEnd,
    BegunAt,
    Landed,
    FirstSample,
}

impl Key {
    /// All of them, in the order of the columns.
    pub(super) const ALL: [Self; 6] =
        [Self::Endpoint, Self::WindowStart, Self::WindowEnd, Self::BegunAt, Self::Landed, Self::FirstSample];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::WindowStart => "window_start_time",
            Self::WindowEnd => "window_end_time",
            Self::BegunAt => "begun_at",
            Self::Landed => "landed",
            Self::FirstSample => "first_sample",
        }
    }
}

/// The texts of one envelope, empty where it has none.
pub(super) struct Keys<'a> {
    /// Those that the manifest has too.
    pub(super) fields: Fields<'a>,
    /// The others, by [`Key`].
    pub(super) others: [&'a str; Key::ALL.len()],
}

impl Keys<'_> {
    /// Whose the page is. An envelope that names no endpoint is of samples.
    pub(super) fn check(&self, rules: &Rules) -> Result<Of, Refusal> {
        let endpoint = match self.text(Key::Endpoint) {
            "" => Endpoint::Quality,
            name => Endpoint::ALL.into_iter().find(|endpoint| endpoint.name() == name).ok_or(Refusal::Endpoint)?,
        };
        let refuse = |reason| Refusal::Keys(Box::new(Reject::new(&self.fields, reason)));
        let of = match endpoint {
            Endpoint::Quality => return rules.check_answered(&self.fields).map(Of::Stay).map_err(refuse),
            Endpoint::Meetings => {
                ListingOf::Window(self.time(Key::WindowStart, rules)?..self.time(Key::WindowEnd, rules)?)
            }
            Endpoint::Participants => ListingOf::Meeting(rules.check_meeting(&self.fields).map_err(refuse)?),
        };
        let landed =
            self.text(Key::Landed).parse().map_err(|_| Refusal::Key(Key::Landed.name(), "a whole number from 0"))?;
        Ok(Of::Listing(ArchivedListing { of, begun_at_s: self.time(Key::BegunAt, rules)?, landed }))
    }

    /// Where the page's samples begin among those of its stay; none if the envelope does not say, as those of before did not.
    pub(super) fn first_sample(&self) -> Result<Option<u32>, Refusal> {
        match self.text(Key::FirstSample) {
            "" => Ok(None),
            text => text.parse().ok().filter(|first| *first <= FIRST_SAMPLE_MAX).map(Some).ok_or(Refusal::FirstSample),
        }
    }

    fn text(&self, key: Key) -> &str {
        self.others[key as usize]
    }

    fn time(&self, key: Key, rules: &Rules) -> Result<i64, Refusal> {
        rules.seconds(self.text(key)).map_err(|_| Refusal::Key(key.name(), "a time in unix seconds or as RFC 3339"))
    }
}
