//! The page of what is asked for: where it begins, which items it has, and the token of the next one.

use std::{fmt::Write as _, ops::Range};

use rand::Rng as _;
use serde_json::Value;

use super::{
    attendances::Attended,
    endpoint::Endpoint,
    random::{Purpose, stream},
    reply::Reply,
    tenant::{Meeting, SimulatedStay, UserIdType},
    values::Samples,
};

/// What a request asks for, once checked.
pub(super) struct Asked {
    pub(super) endpoint: Endpoint,
    pub(super) what: What,
    /// How many items there are in all.
    pub(super) count: u32,
    /// The time for which a list is read: that of its first page.
    pub(super) listed_s: i64,
    pub(super) page_size: u32,
    pub(super) has_token: bool,
    pub(super) place: Place,
}

/// What a page is a part of.
pub(super) enum What {
    Stay(SimulatedStay),
    Window { start_s: i64, meetings: Vec<Meeting> },
    Meeting(AskedMeeting),
}

/// A meeting whose participants are asked for.
pub(super) struct AskedMeeting {
    pub(super) meeting: Meeting,
    pub(super) attended: Vec<Attended>,
    pub(super) id_type: UserIdType,
}

/// Where a page begins: at an item, after so many empty pages in its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) first: u32,
    pub(super) empty_pages: u32,
}

impl Asked {
    /// Names what is asked for among all that the endpoint can be asked for.
    pub(super) fn thing(&self) -> u64 {
        match &self.what {
            What::Stay(stay) => stay.key.0,
            What::Window { start_s, .. } => start_s.cast_unsigned(),
            What::Meeting(asked) => asked.meeting.index,
        }
    }

    /// The page token of another page.
    pub(super) fn token(&self, seed: u64, place: Place) -> String {
        match self.endpoint {
            Endpoint::Quality => page_token(seed, self.thing(), place),
            _ => list_token(seed, self, self.listed_s, place),
        }
    }
}

/// A page, before it is written.
pub(super) struct PageDraft {
    /// The items in it, by index.
    pub(super) items: Range<u32>,
    pub(super) has_more: bool,
    /// The token of the page after this one.
    pub(super) next_token: Option<String>,
}

impl PageDraft {
    /// The page that was asked for. It may begin with the last item of the page before.
    pub(super) fn of(asked: &Asked, seed: u64, repeats_item: bool) -> Self {
        let count = asked.count;
        let first = asked.place.first.min(count).saturating_sub(u32::from(repeats_item));
        let end = first.saturating_add(asked.page_size).min(count);
        let has_more = end < count;
        let token = || asked.token(seed, Place { first: end, empty_pages: 0 });
        Self { items: first..end, has_more, next_token: has_more.then(token) }
    }

    /// The page of samples as the API writes it: without a page token where there is no more.
    pub(super) fn samples(&self, samples: Samples) -> Reply {
        let mut body = String::with_capacity(256 + 1300 * self.items.len());
        body.push_str(r#"{"code":0,"msg":"success","data":{"participant_quality_list":["#);
        for index in self.items.clone() {
            if index > self.items.start {
                body.push(',');
            }
            samples.write(index, &mut body, |_, _| ());
        }
        body.push(']');
        self.end(body)
    }

    /// The page of a list as the API writes it.
    pub(super) fn list(&self, key: &str, items: &Value) -> Reply {
        self.end(format!(r#"{{"code":0,"msg":"success","data":{{"{key}":{items}"#))
    }

    /// The page of a list that has no items, in one of the ways to write none.
    pub(super) fn empty_list(&self, key: &str, way: u32) -> Reply {
        match way {
            0 => self.end(r#"{"code":0,"msg":"success","data":{"total":0"#.into()),
            1 => self.list(key, &Value::Null),
            _ => self.list(key, &Value::Array(Vec::new())),
        }
    }

    fn end(&self, mut body: String) -> Reply {
        if let Some(token) = &self.next_token {
            let _ = write!(body, ",\"page_token\":\"{token}\"");
        }
        let _ = write!(body, ",\"has_more\":{}}}}}", self.has_more);
        Reply::json(200, body).with_code(0)
    }
}

/// A page token: where the next page begins, after so many empty ones in its place, with a mark that only the server can
/// make for this stay.
fn page_token(seed: u64, stay: u64, Place { first, empty_pages }: Place) -> String {
    let place = u64::from(empty_pages) << 32 | u64::from(first);
    let mark: u64 = stream(seed, Purpose::PageToken, stay, place).random();
    if empty_pages == 0 { format!("{first}-{mark:016x}") } else { format!("{first}.{empty_pages}-{mark:016x}") }
}

/// The place that a page token of the stay names, if the server has made it.
pub(super) fn read_token(seed: u64, stay: u64, token: &str) -> Option<Place> {
    let place = token.split_once('-')?.0;
    let (first, empty_pages) = place.split_once('.').unwrap_or((place, "0"));
    let place = Place { first: first.parse().ok()?, empty_pages: empty_pages.parse().ok()? };
    (page_token(seed, stay, place) == token).then_some(place)
}

/// A page token: where the next page begins, for what time the list is read, and a mark that only the server can make.
/// A list that changes between two pages is read on as it was.
fn list_token(seed: u64, asked: &Asked, listed_s: i64, Place { first, empty_pages }: Place) -> String {
    let place = u64::from(empty_pages) << 32 | u64::from(first);
    let thing = asked.thing() << 2 | asked.endpoint as u64;
    let mark = stream(seed, Purpose::ListToken, thing, place).random::<u64>().wrapping_add(listed_s.cast_unsigned());
    format!("{first}.{empty_pages}.{listed_s}-{mark:016x}")
}

/// The place that a page token of the list names, and the time for which the list is read, if the server has made it.
pub(super) fn read_list_token(seed: u64, asked: &Asked, token: &str) -> Option<(Place, i64)> {
    let mut parts = token.split_once('-')?.0.split('.');
    let place = Place { first: parts.next()?.parse().ok()?, empty_pages: parts.next()?.parse().ok()? };
    let listed_s = parts.next()?.parse().ok()?;
    (list_token(seed, asked, listed_s, place) == token).then_some((place, listed_s))
}
