//! The server's own books: what really arrived, whatever the client believes.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    quota::MINUTE_US,
    reply::Reply,
    tenant::{StayKey, Tenant, UserIdType},
};

/// What happened to one page of one stay. A page that is answered once and never lost was never paid for twice.
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

/// The books of a simulated server's whole life.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Books {
    /// Requests for quality data that reached the server.
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
    /// Pages by stay and index of their first sample.
    #[serde(skip)]
    pages: HashMap<(StayKey, u32), PageBook>,
    #[serde(skip)]
    last_minute_us: VecDeque<i64>,
}

impl Books {
    /// Enters a request for quality data, whatever becomes of it. Times do not go back.
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

    /// The entry of the page that begins with sample `first_sample`, for entering something.
    pub(super) fn page_mut(&mut self, stay: StayKey, first_sample: u32) -> &mut PageBook {
        self.pages.entry((stay, first_sample)).or_default()
    }

    /// What happened to the page that begins with sample `first_sample`.
    pub fn page(&self, stay: StayKey, first_sample: u32) -> PageBook {
        self.pages.get(&(stay, first_sample)).copied().unwrap_or_default()
    }

    /// All pages that were asked for, in no order: stay, index of the page's first sample, entry.
    pub fn pages(&self) -> impl Iterator<Item = (StayKey, u32, PageBook)> {
        self.pages.iter().map(|((stay, first_sample), page)| (*stay, *first_sample, *page))
    }
}

/// The books as JSON: the counts, and the pages asked for under `requests_by_stay`, named as in a manifest.
pub(super) fn reply(books: &Books, tenant: &Tenant) -> Reply {
    let mut stays = BTreeMap::<StayKey, BTreeMap<u32, PageBook>>::new();
    for (stay, first_sample, page) in books.pages() {
        stays.entry(stay).or_default().insert(first_sample, page);
    }
    let by_stay: Vec<Value> = stays.iter().filter_map(|(key, pages)| stay_json(tenant, *key, pages)).collect();
    let mut all = json!(books);
    all["requests_by_stay"] = Value::from(by_stay);
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
