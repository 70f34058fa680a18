//! Pages as the API sends them, and a journal in which they have landed.

use std::{fmt::Write as _, path::Path};

use chrono_tz::Tz;
use vcq::{
    journal::{Identity, Journal, Lane, Manifested, NewPage},
    stay::{MeetingNo, Participant, Stay},
};

pub(crate) use self::page::{SAMPLES_PER_PAGE, page};

#[path = "page.rs"]
mod page;

/// As many stays as a large tenant has in a day.
pub(crate) const STAYS_PER_DATE: u32 = 400;

const FIRST_MEETING_START_S: i64 = 1_671_765_360;

/// One page for each of so many stays.
pub(crate) fn pages(stays: u32) -> Vec<String> {
    (0..stays).map(|stay| page(stay.into())).collect()
}

/// A stay of one page, [`STAYS_PER_DATE`] of them on each date.
pub(crate) fn stay(number: u32) -> Stay {
    let mut id = String::from("ou_");
    write!(id, "{:032x}", u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
        .expect("a string takes all there is memory for");
    let start_s = FIRST_MEETING_START_S + i64::from(number / STAYS_PER_DATE) * 24 * 3600;
    Stay {
        meeting_no: MeetingNo::parse("123456789").expect("nine digits"),
        meeting_start_s: start_s,
        meeting_end_s: start_s + 7200,
        join_s: start_s + i64::from(number % STAYS_PER_DATE),
        participant: Participant::User(id),
    }
}

/// The journal in `folder`, new, in which these pages have landed, one for each of as many stays.
pub(crate) fn journal_of(folder: &Path, pages: &[String]) -> Journal {
    let identity = Identity {
        timezone: "Asia/Shanghai".into(),
        user_id_type: "open_id".into(),
        app_id: String::new(),
        host: String::new(),
    };
    let mut journal = Journal::open(folder, &identity).expect("a new journal");
    let mut staging = journal.stage().expect("a temporary file");
    for (number, line) in (0..).zip(1..).take(pages.len()) {
        staging.push(&stay(number), Manifested { file: 0, line }).expect("a new stay");
    }
    let staged = staging.finish().expect("staged rows");
    let merging = journal.enqueue(staged, Lane::Backfill, Tz::Asia__Shanghai).expect("a new journal");
    merging.finish().expect("staged stays");
    for page in pages {
        let stay = journal.next(1, |_| false).expect("a queue").expect("a stay for each page");
        let body = page.as_bytes();
        let page = NewPage { stay: stay.id, number: 0, samples: SAMPLES_PER_PAGE, next_token: None, body };
        journal.land(&page, FIRST_MEETING_START_S).expect("a page to land");
    }
    journal
}
