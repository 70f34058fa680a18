//! Pages as the API sends them, and a journal in which they have landed.

use std::{fmt::Write as _, path::Path};

use chrono_tz::Tz;
use rand::{Rng, SeedableRng, rngs::StdRng};
use vcq::{
    journal::{Identity, Journal, Lane, Manifested, NewPage},
    quality::column::{COLUMNS, Kind, Section},
    stay::{MeetingNo, Participant, Stay},
};

/// A full page.
pub(crate) const SAMPLES_PER_PAGE: u32 = 100;

/// As many stays as a large tenant has in a day.
pub(crate) const STAYS_PER_DATE: u32 = 400;

const FIRST_MEETING_START_S: i64 = 1_671_765_360;

/// One page of a stay as the API sends it: times that rise by the minute, values that stay near one another, no shared
/// screen in two samples of three.
pub(crate) fn page(seed: u64) -> String {
    let mut random = StdRng::seed_from_u64(seed);
    let base = random.random_range(20..80);
    let items: Vec<_> = (0..SAMPLES_PER_PAGE).map(|minute| item(&mut random, base, minute)).collect();
    let list = items.join(",");
    format!(r#"{{"code":0,"msg":"success","data":{{"participant_quality_list":[{list}],"has_more":false}}}}"#)
}

fn item(random: &mut StdRng, base: u32, minute: u32) -> String {
    let shares_screen = random.random_ratio(1, 3);
    let shown = Section::ALL.into_iter().filter(|section| *section != Section::ScreenSharing || shares_screen);
    let sections: Vec<_> = shown
        .map(|section| {
            let columns = COLUMNS.iter().filter(|column| column.section == section);
            let members: Vec<_> = columns
                .map(|column| format!(r#""{}":"{}""#, column.key, text(random, column.kind, base, minute)))
                .collect();
            format!(r#""{}":{{{}}}"#, section.key(), members.join(","))
        })
        .collect();
    format!("{{{}}}", sections.join(","))
}

fn text(random: &mut StdRng, kind: Kind, base: u32, minute: u32) -> String {
    let near = base + random.random_range(0..20);
    match kind {
        Kind::Time => format!("2022.12.23 {:02}:{:02}:00 (GMT+08:00)", 11 + minute / 60, minute % 60),
        Kind::Delay => format!("{near}ms"),
        Kind::BitRate => format!("{}kbps", near * 10),
        Kind::Percent => format!("{}.{}%", near / 10, near % 10),
        Kind::Volume => format!("-{near}dB"),
        Kind::FrameRate => format!("{}fps", near % 30),
        Kind::Resolution => "1080P".to_owned(),
    }
}

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
    let identity = Identity { timezone: "Asia/Shanghai".into(), user_id_type: "open_id".into() };
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
