//! What a page of a listing says: items → meetings and attendances, with the values of their columns. Pure.
//!
//! What the API may do to a listing is decided here alone, so that phase 1, which asks on by it, and phase 2, which publishes
//! it, cannot differ.

use chrono::FixedOffset;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{
    manifest::{
        column::{Column, Fields},
        rules::Rules,
    },
    meeting::{AttendanceKind, Meeting},
    read::{
        decode::Unknown,
        listed::{Cell, PageError, Values, items, read},
    },
    stay::{MeetingNo, Stay},
    tables::{listed::Table, meetings::MEETINGS, participants::PARTICIPANTS},
};

/// Bytes of the digests by which attendances are told apart.
pub const DIGEST_BYTES: usize = 16;

/// A digest by which attendances are told apart.
pub type AttendanceDigest = [u8; DIGEST_BYTES];

/// A meeting as a page has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenMeeting {
    /// The meeting.
    pub meeting: Meeting,
    /// How many took part, by the API's own count.
    pub participants: Option<u32>,
    /// Its columns.
    pub values: Values,
}

/// An attendance as a page has it.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenAttendance {
    /// Digest of what tells it from others of its meeting: join time, ids, device, name and number.
    pub identity: AttendanceDigest,
    /// Digest of the whole of it.
    pub content: AttendanceDigest,
    /// What it comes to.
    pub kind: AttendanceKind,
    /// The stay that it gives.
    pub stay: Option<Stay>,
    /// Why it gives none although it has an id.
    pub reason: Option<String>,
    /// Whether it is of another tenant, or the list does not say otherwise.
    pub is_external: bool,
    /// Its columns; those that come from the meeting are null.
    pub values: Values,
}

/// A page of `meeting_list`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeetingPage {
    /// Its meetings, in the API's order.
    pub meetings: Vec<SeenMeeting>,
    /// Items without a number or a start that can be read: which meeting they are cannot be told.
    pub unreadable: u32,
}

/// Reads a page of `meeting_list`. `naive_offset` counts for time texts that carry no zone.
pub fn meetings(body: &[u8], naive_offset: FixedOffset, unknown: &mut Unknown) -> Result<MeetingPage, PageError> {
    let mut page = MeetingPage::default();
    for item in items(body, MEETINGS.list_key)? {
        let values = read(&MEETINGS, &item, naive_offset, unknown);
        let cell = |name| values.cell(&MEETINGS, name);
        let no = cell("meeting_no").text().and_then(|text| MeetingNo::parse(text.trim()));
        let start_s = cell("meeting_start_time").time_s();
        let meeting =
            no.zip(start_s).and_then(|(no, start_s)| Meeting::new(no, start_s, cell("meeting_end_time").time_s()));
        let participants = cell("number_of_participants").int().and_then(|count| u32::try_from(count).ok());
        match meeting {
            Some(meeting) => page.meetings.push(SeenMeeting { meeting, participants, values }),
            None => page.unreadable += 1,
        }
    }
    Ok(page)
}

/// Reads a page of `participant_list`, of a meeting whose end is the one that was asked with. The attendances are judged as rows
/// of a manifest are, at `now_s`.
pub fn attendances(
    body: &[u8],
    meeting: &Meeting,
    naive_offset: FixedOffset,
    now_s: i64,
    unknown: &mut Unknown,
) -> Result<Vec<SeenAttendance>, PageError> {
    let items = items(body, PARTICIPANTS.list_key)?;
    Ok(items.iter().map(|item| attendance(item, meeting, naive_offset, now_s, unknown)).collect())
}

fn attendance(
    item: &Map<String, Value>,
    meeting: &Meeting,
    naive_offset: FixedOffset,
    now_s: i64,
    unknown: &mut Unknown,
) -> SeenAttendance {
    let values = read(&PARTICIPANTS, item, naive_offset, unknown);
    let text = |name| cell(&values, name).text();
    let (kind, stay, reason) = match (text("user_id"), text("room_id")) {
        (None, None) => (AttendanceKind::without_id(text("device"), text("phone")), None, None),
        (Some(_), Some(_)) => (AttendanceKind::TwoIds, None, Some("it has the ids of a user and of a room".into())),
        (user_id, room_id) => match stay(meeting, cell(&values, "join_time").time_s(), user_id, room_id, now_s) {
            Ok(stay) => (AttendanceKind::Stay, Some(stay), None),
            Err(reason) => (AttendanceKind::Broken, None, Some(reason)),
        },
    };
    SeenAttendance {
        identity: identity(&values),
        content: digest(Value::from(item.clone()).to_string().as_bytes()),
        kind,
        stay,
        reason,
        is_external: cell(&values, "is_external").flag().unwrap_or(true),
        values,
    }
}

/// The stay that an attendance gives by the manifest's rules, or the rule that it breaks.
fn stay(
    meeting: &Meeting,
    join_s: Option<i64>,
    user_id: Option<&str>,
    room_id: Option<&str>,
    now_s: i64,
) -> Result<Stay, String> {
    let [start, end, join] =
        [Some(meeting.start_s), meeting.end_s, join_s].map(|time| time.map_or_else(String::new, |s| s.to_string()));
    let fields = Fields::of(|column| match column {
        Column::MeetingNo => meeting.no.as_str(),
        Column::MeetingStartTime => &start,
        Column::MeetingEndTime => &end,
        Column::JoinTime => &join,
        Column::UserId => user_id.unwrap_or_default(),
        Column::RoomId => room_id.unwrap_or_default(),
    });
    Rules { now_s, naive_times: None }.check(&fields).map_err(|reason| reason.to_string())
}

fn cell<'a>(values: &'a Values, name: &str) -> &'a Cell {
    values.cell(&PARTICIPANTS, name)
}

/// The columns that tell attendances of a meeting apart, besides their order.
const IDENTITY: [&str; 6] = ["join_time", "user_id", "room_id", "device", "participant_name", "phone"];

fn identity(values: &Values) -> AttendanceDigest {
    let of = |name: &'static str| format!("{:?} {:?}\n", cell(values, name), values.unparsed.get(name));
    digest(IDENTITY.map(of).concat().as_bytes())
}

fn digest(bytes: &[u8]) -> AttendanceDigest {
    let digest = Sha256::digest(bytes);
    digest[..DIGEST_BYTES].try_into().expect("SHA-256 has 32 bytes")
}

/// One attendance of a meeting, folded over its listings.
struct Folded {
    identity: AttendanceDigest,
    content: AttendanceDigest,
    listing: i64,
    values: Values,
}

/// The attendances of one meeting, folded over the pages of its listings in the order in which they landed: each once, as the last
/// listing that has it says; those that a later listing no longer has are kept.
///
/// The journal numbers attendances by the same rule: of those that nothing tells apart, one of a later listing takes the place of
/// the first that its listing has not named yet; the very same row twice in one listing is one.
#[derive(Default)]
pub struct Attendances(Vec<Folded>);

impl Attendances {
    /// Takes in an attendance that `listing` names.
    pub fn take(&mut self, listing: i64, seen: SeenAttendance) {
        let SeenAttendance { identity, content, values, .. } = seen;
        let is_it = |known: &&mut Folded| known.identity == identity;
        if self.0.iter_mut().filter(is_it).any(|known| known.listing == listing && known.content == content) {
            return;
        }
        let folded = Folded { identity, content, listing, values };
        match self.0.iter_mut().filter(is_it).find(|known| known.listing != listing) {
            Some(known) => *known = folded,
            None => self.0.push(folded),
        }
    }

    /// The rows of the dataset in its order: by join time, ids, device, and what else they hold. What comes from the meeting is
    /// put in.
    pub fn rows(self, meeting: &Meeting) -> Vec<Values> {
        let mut rows: Vec<(Vec<u8>, Values)> =
            self.0.into_iter().map(|folded| (order(&folded), folded.values)).collect();
        rows.sort_by(|(a, _), (b, _)| a.cmp(b));
        let put_in = |mut values: Values| {
            put_meeting(&mut values, &PARTICIPANTS, meeting);
            values
        };
        rows.into_iter().map(|(_, values)| put_in(values)).collect()
    }
}

/// Bytes that sort as the dataset's rows do.
fn order(folded: &Folded) -> Vec<u8> {
    let Folded { values, content, .. } = folded;
    let mut order = Vec::new();
    let join_s = cell(values, "join_time").time_s();
    order.push(u8::from(join_s.is_none()));
    order.extend(join_s.unwrap_or_default().to_be_bytes());
    for name in ["user_id", "room_id", "device"] {
        order.extend(cell(values, name).text().unwrap_or_default().as_bytes());
        order.push(0);
    }
    order.extend(content);
    order
}

/// Puts number, start and end of its meeting into a row.
fn put_meeting(values: &mut Values, table: &Table, meeting: &Meeting) {
    values.set(table, "meeting_no", Cell::Text(meeting.no.as_str().to_owned()));
    values.set(table, "meeting_start_time", Cell::Time(meeting.start_s));
    values.set(table, "meeting_end_time", meeting.end_s.map_or(Cell::Null, Cell::Time));
}

#[cfg(test)]
mod tests;
