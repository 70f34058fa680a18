//! The server's own books: what really arrived, whatever the client believes.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    endpoint::Endpoint,
    meetings::MeetingKey,
    quota::MINUTE_US,
    reply::Reply,
    sign_in::SignInBooks,
    tenant::{StayKey, Tenant, UserIdType},
};

/// What happened to one page of one stay, of one window of meetings, or of one meeting's participants. A page that is answered once and never lost was never paid for twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PageBook {
    /// Requests for the page that passed quota, token and parameter checks.
    pub asked: u32,
    /// Answers with code 0 that reached the client whole and as they should be.
    pub answered: u32,
    /// Answers with code 0 that were served and counted, but were no use to the client: they did not reach it whole, or
    /// a fault of paging spoilt them.
    pub lost: u32,
}

impl PageBook {
    /// Enters the answer to a request for the page, which a fault may have spoilt.
    pub(super) fn enter(&mut self, reply: &Reply, is_spoilt: bool) {
        self.asked += 1;
        if reply.code == Some(0) {
            let is_of_use = reply.delivery.is_whole() && !is_spoilt;
            self.answered += u32::from(is_of_use);
            self.lost += u32::from(!is_of_use);
        }
    }
}

/// The books of one endpoint for a simulated server's whole life. Those of the quality endpoint count tokens as well.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Books {
    /// Requests for data that reached the endpoint.
    pub arrivals: u64,
    /// Those that were within the quota.
    pub accepted: u64,
    /// Those refused because of the minute's quota.
    pub refused: u64,
    /// Those refused because of the month's quota.
    pub refused_for_month: u64,
    /// The most arrivals in any 60 s, refused ones included: of two arrivals exactly 60 s apart, one counts.
    pub most_in_60_s: usize,
    /// Calls to the token endpoint.
    pub token_requests: u64,
    /// Different tokens issued.
    pub tokens_issued: u64,
    /// Accepted requests by the code of the answer; an answer without one counts as -1.
    pub answers_by_code: BTreeMap<i64, u64>,
    /// Faults that fired, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Pages by what they are a part of and the index of their first item.
    #[serde(skip)]
    pages: HashMap<(u64, u32), PageBook>,
    #[serde(skip)]
    last_minute_us: VecDeque<i64>,
}

impl Books {
    /// Enters a request for data, whatever becomes of it. Times do not go back.
    pub(super) fn arrive(&mut self, now_us: i64) {
        self.arrivals += 1;
        while self.last_minute_us.front().is_some_and(|first| *first <= now_us - MINUTE_US) {
            self.last_minute_us.pop_front();
        }
        self.last_minute_us.push_back(now_us);
        self.most_in_60_s = self.most_in_60_s.max(self.last_minute_us.len());
    }

    /// Makes room for so many pages.
    pub(super) fn expect_pages(&mut self, pages: usize) {
        self.pages.reserve(pages);
    }

    /// The entry of the page of `thing` that begins with item `first`, for entering something.
    pub(super) fn page_mut(&mut self, thing: u64, first: u32) -> &mut PageBook {
        self.pages.entry((thing, first)).or_default()
    }

    /// What happened to the page of `thing` that begins with item `first`.
    pub(super) fn page_of(&self, thing: u64, first: u32) -> PageBook {
        self.pages.get(&(thing, first)).copied().unwrap_or_default()
    }

    /// What happened to the page that begins with sample `first_sample`.
    pub fn page(&self, stay: StayKey, first_sample: u32) -> PageBook {
        self.page_of(stay.0, first_sample)
    }

    /// All pages that were asked for, in no order: stay, index of the page's first sample, entry.
    pub fn pages(&self) -> impl Iterator<Item = (StayKey, u32, PageBook)> {
        self.pages.iter().map(|((stay, first_sample), page)| (StayKey(*stay), *first_sample, *page))
    }

    /// In the books of `meeting_list`: all pages that were asked for, in no order: start of the window in unix seconds,
    /// index of the page's first meeting, entry.
    pub fn pages_of_windows(&self) -> impl Iterator<Item = (i64, u32, PageBook)> {
        self.pages.iter().map(|((start_s, first), page)| (start_s.cast_signed(), *first, *page))
    }

    /// In the books of `participant_list`: all pages that were asked for, in no order: meeting, index of the page's first
    /// attendance, entry.
    pub fn pages_of_meetings(&self) -> impl Iterator<Item = (MeetingKey, u32, PageBook)> {
        self.pages.iter().map(|((meeting, first), page)| (MeetingKey(*meeting), *first, *page))
    }

    /// The pages in order: what they are a part of, and the pages of each by the index of their first item.
    fn by_thing(&self) -> BTreeMap<u64, BTreeMap<u32, PageBook>> {
        let mut things = BTreeMap::<u64, BTreeMap<u32, PageBook>>::new();
        for ((thing, first), page) in &self.pages {
            things.entry(*thing).or_default().insert(*first, *page);
        }
        things
    }
}

/// The books of all endpoints.
#[derive(Debug, Default)]
pub(super) struct AllBooks([Books; 3]);

impl AllBooks {
    /// Those of an endpoint.
    pub(super) fn of(&self, endpoint: Endpoint) -> &Books {
        &self.0[endpoint as usize]
    }

    /// Those of an endpoint, for entering something.
    pub(super) fn of_mut(&mut self, endpoint: Endpoint) -> &mut Books {
        &mut self.0[endpoint as usize]
    }

    /// How many requests for data were within the quota.
    pub(super) fn accepted(&self) -> u64 {
        self.0.iter().map(|books| books.accepted).sum()
    }
}

/// The books as JSON: the counts of the quality endpoint and its pages under `requests_by_stay`, named as in a manifest;
/// those of the lists, and of people who sign in, under their names.
pub(super) fn reply(books: &AllBooks, tenant: &Tenant, sign_ins: &SignInBooks) -> Reply {
    let quality = books.of(Endpoint::Quality);
    let by_stay = quality.by_thing().into_iter().filter_map(|(key, pages)| stay_json(tenant, StayKey(key), &pages));
    let mut all = json!(quality);
    all["requests_by_stay"] = by_stay.collect();
    let meetings = books.of(Endpoint::Meetings);
    all["meeting_list"] = json!(meetings);
    let window =
        |(start_s, pages): (u64, _)| json!({"start_time": start_s.cast_signed(), "pages_by_first_item": pages});
    all["meeting_list"]["requests_by_window"] = meetings.by_thing().into_iter().map(window).collect();
    let participants = books.of(Endpoint::Participants);
    all["participant_list"] = json!(participants);
    let meeting = |(key, pages): (u64, _)| {
        let meeting = tenant.meeting(key);
        json!({"meeting_no": meeting.text(), "meeting_start_time": meeting.start_s, "pages_by_first_item": pages})
    };
    all["participant_list"]["requests_by_meeting"] = participants.by_thing().into_iter().map(meeting).collect();
    all["sign_in"] = json!(sign_ins);
    Reply::json(200, all.to_string())
}

fn stay_json(tenant: &Tenant, key: StayKey, pages: &BTreeMap<u32, PageBook>) -> Option<Value> {
    let stay = tenant.stay(key)?;
    Some(json!({
        "meeting_no": stay.meeting_no,
        "meeting_start_time": stay.meeting_start_s,
        "join_time": stay.join_s,
        "user_id": stay.user_id(UserIdType::OpenId),
        "room_id": stay.room_id(),
        "pages_by_first_sample": pages,
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_most_in_any_60_s_is_what_a_naive_count_finds(gaps in prop::collection::vec(0_i64..5_000_000, 0..400)) {
            let mut books = Books::default();
            let mut times = Vec::new();
            let mut now_us = 0;
            for gap in gaps {
                now_us += gap / 100_000 * 100_000;
                times.push(now_us);
                books.arrive(now_us);
            }
            let in_60_s = |from: &i64| times.iter().filter(|time| (*from..*from + MINUTE_US).contains(*time)).count();
            prop_assert_eq!(books.most_in_60_s, times.iter().map(in_60_s).max().unwrap_or(0));
            prop_assert_eq!(books.arrivals, times.len() as u64);
        }
    }
}
