//! The API's rules for one row, checked before a request is spent on it.

use std::num::IntErrorKind;

use chrono::{FixedOffset, NaiveDateTime, Timelike};

use super::{
    column::{Column, Fields},
    id::{first_refused, is_null_text},
    iso::instant_s,
    reason::{Reason, Rule},
    shown::DAMAGE,
};
use crate::{
    limits::{ID_BYTES_MAX, MEETING_LENGTH_MAX_S, TIME_MAX_S},
    meeting::Meeting,
    read::{
        time::{naive_time, read_time},
        unit::Reading,
    },
    stay::{MeetingNo, Participant, Stay},
};

/// What the rules take from outside, so that reading a manifest needs neither clock nor environment.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The wall time, in unix seconds: no meeting starts after it.
    pub now_s: i64,
    /// What a time without a zone means, whatever form it has; none: it is refused.
    pub naive_times: Option<FixedOffset>,
}

impl Rules {
    /// The stay that the texts describe, or the first rule that they break.
    pub(crate) fn check(&self, fields: &Fields) -> Result<Stay, Reason> {
        let stay = self.check_answered(fields)?;
        worth_a_request(&stay).map(|()| stay)
    }

    /// The stay that the texts of an answer's archive describe: its request has been sent, so that rules that only keep one
    /// from being sent in vain do not count.
    pub(crate) fn check_answered(&self, fields: &Fields) -> Result<Stay, Reason> {
        let meeting_no = meeting_no(fields)?;
        let meeting_start_s = self.start(fields)?;
        let meeting_end_s = self.end(fields, meeting_start_s)?;
        let join_s = self.time(fields, Column::JoinTime)?;
        let participant = participant(fields)?;
        Ok(Stay { meeting_no, meeting_start_s, meeting_end_s, join_s, participant })
    }

    /// The meeting that the texts of an answer's archive describe.
    pub(crate) fn check_meeting(&self, fields: &Fields) -> Result<Meeting, Reason> {
        let no = meeting_no(fields)?;
        let start_s = self.start(fields)?;
        Ok(Meeting { start_s, no, end_s: Some(self.end(fields, start_s)?) })
    }

    fn start(&self, fields: &Fields) -> Result<i64, Reason> {
        let column = Column::MeetingStartTime;
        let start_s = self.time(fields, column)?;
        let by_s = start_s - self.now_s;
        ensure(by_s <= 0, column, Rule::NotInFuture { start_s, by_s }).map(|()| start_s)
    }

    fn end(&self, fields: &Fields, start_s: i64) -> Result<i64, Reason> {
        let column = Column::MeetingEndTime;
        let end_s = self.time(fields, column)?;
        let length_s = end_s - start_s;
        ensure(length_s >= 0, column, Rule::NotBeforeStart { by_s: -length_s })?;
        ensure(length_s <= MEETING_LENGTH_MAX_S, column, Rule::LengthMax { length_s }).map(|()| end_s)
    }

    /// A time of the column in unix seconds, 0 ≤ time < [`TIME_MAX_S`].
    fn time(&self, fields: &Fields, column: Column) -> Result<i64, Reason> {
        let text = given(fields, column)?;
        self.seconds(text).map_err(|rule| Reason::Value { column, rule })
    }

    /// The time that a text says, in unix seconds, 0 ≤ time < [`TIME_MAX_S`].
    pub(crate) fn seconds(&self, text: &str) -> Result<i64, Rule> {
        let time_s = match text.parse::<i64>() {
            Ok(time_s) => time_s,
            Err(error) => match error.kind() {
                IntErrorKind::PosOverflow => i64::MAX,
                IntErrorKind::NegOverflow => i64::MIN,
                _ => self.time_text(text)?,
            },
        };
        match time_s {
            ..0 => Err(Rule::NotNegative),
            0..TIME_MAX_S => Ok(time_s),
            TIME_MAX_S.. => Err(Rule::Seconds),
        }
    }

    /// Reads RFC 3339, whose fraction of a second is dropped, or the API's own form; both without their zone where
    /// [`naive_times`](Self::naive_times) says which one is meant.
    fn time_text(&self, text: &str) -> Result<i64, Rule> {
        if let Some(time_s) = instant_s(text) {
            return Ok(time_s);
        }
        if let Some(local) = naive_time(text).or_else(|| naive_iso(text)) {
            return self.meant_s(local.and_utc().timestamp()).ok_or(Rule::Zone);
        }
        match read_time(text, NO_OFFSET) {
            Reading::Value(time_s) => Ok(time_s),
            _ => Err(Rule::TimeForm),
        }
    }

    /// The unix seconds of a local time, which is given as the unix seconds that it would be in UTC; none if nobody has
    /// said where it is local.
    fn meant_s(&self, local_s: i64) -> Option<i64> {
        self.naive_times.map(|offset| local_s.saturating_sub(i64::from(offset.local_minus_utc())))
    }
}

/// Nothing depends on it: texts without a zone have been read by then.
const NO_OFFSET: FixedOffset = FixedOffset::east_opt(0).expect("0 is an offset");

/// RFC 3339 without a zone, with `T` or a blank, and with or without a fraction of a second.
fn naive_iso(text: &str) -> Option<NaiveDateTime> {
    let forms = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
    let is_leap = |time: &NaiveDateTime| time.nanosecond() >= 1_000_000_000;
    forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()).filter(|time| !is_leap(time))
}

fn ensure(holds: bool, column: Column, rule: Rule) -> Result<(), Reason> {
    if holds { Ok(()) } else { Err(Reason::Value { column, rule }) }
}

/// The text without the blanks around it. Tabs and line ends stay: they are control characters, which rules refuse.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() && !c.is_control())
}

fn given<'a>(fields: &Fields<'a>, column: Column) -> Result<&'a str, Reason> {
    let text = trim(fields.get(column));
    ensure(!text.is_empty(), column, Rule::Given).map(|()| text)
}

fn meeting_no(fields: &Fields) -> Result<MeetingNo, Reason> {
    let column = Column::MeetingNo;
    MeetingNo::parse(given(fields, column)?).ok_or(Reason::Value { column, rule: Rule::NineDigits })
}

/// A text that stands for null in one of the columns counts as empty if the other one has an id: tools that write all
/// columns as texts write `nan` into the one of the two that a row has no use for.
fn participant(fields: &Fields) -> Result<Participant, Reason> {
    let [user, room] = [Column::UserId, Column::RoomId].map(|column| trim(fields.get(column)));
    match (user, room) {
        ("", "") => Err(Reason::NoParticipant),
        (user, room) if room.is_empty() || (is_null_text(room) && !is_null_text(user) && !user.is_empty()) => {
            id(Column::UserId, user).map(Participant::User)
        }
        (user, room) if user.is_empty() || (is_null_text(user) && !is_null_text(room)) => {
            id(Column::RoomId, room).map(Participant::Room)
        }
        (user, room) if is_null_text(user) && is_null_text(room) => id(Column::UserId, user).map(Participant::User),
        _ => Err(Reason::TwoParticipants),
    }
}

fn id(column: Column, text: &str) -> Result<String, Reason> {
    ensure(text.len() <= ID_BYTES_MAX, column, Rule::IdLength { bytes: text.len() })?;
    let is_refused = |c: char| c.is_control() || c == DAMAGE;
    let refused = text.chars().zip(1..).find(|(character, _)| is_refused(*character));
    refused.map_or_else(
        || Ok(text.to_owned()),
        |(character, place)| Err(Reason::Value { column, rule: Rule::IdCharacter { character, place } }),
    )
}

/// What the API could only answer with a refusal, or with nothing.
fn worth_a_request(stay: &Stay) -> Result<(), Reason> {
    let by_s = stay.join_s - stay.meeting_end_s;
    ensure(by_s <= 0, Column::JoinTime, Rule::NotAfterEnd { by_s })?;
    let (column, id) = match &stay.participant {
        Participant::User(id) => (Column::UserId, id),
        Participant::Room(id) => (Column::RoomId, id),
    };
    ensure(!is_null_text(id), column, Rule::NullText)?;
    match first_refused(id) {
        Some((character, place)) => Err(Reason::Value { column, rule: Rule::IdCharacter { character, place } }),
        None => Ok(()),
    }
}
