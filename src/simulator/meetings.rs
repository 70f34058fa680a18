//! The meetings as `meeting_list` shows them: which ones at what time, and with which texts.

use rand::Rng as _;
use serde_json::Value;

use super::{
    lists::ExtraKind,
    random::{Purpose, one_of, one_text, stream},
    rows::{Cell, Cells, Writer},
    tenant::{DAY_S, Meeting, Tenant, UserIdType, user_id},
};

/// A meeting that is planned for a day may begin or end so many days later, as a second one after a long first one does.
const DAYS_LATER_MAX: i64 = 3;

/// Subtype of a webinar.
const WEBINAR: i64 = 8;

/// People of the tenant who organise meetings have numbers up to this one.
const ORGANISERS: u32 = 200;

/// The tenant's organisations: Feishu calls them departments.
pub(super) const ORGANISATIONS: &[&str] = &["平台研发部", "销售部", "Operations"];

/// Names a meeting of the tenant: equal for equal meetings, and nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MeetingKey(pub(super) u64);

/// A meeting as the lists have it in the end. Times are unix seconds.
#[derive(Clone, Debug)]
pub struct SimulatedMeeting {
    /// Names the meeting.
    pub key: MeetingKey,
    /// Its number: nine digits. Other meetings may have the same.
    pub meeting_no: String,
    /// When it began.
    pub start_s: i64,
    /// When it ended.
    pub end_s: i64,
    /// From when on it is listed among ended meetings.
    pub listed_from_s: i64,
    /// The end that is listed at first, and until when.
    pub first_end_s: Option<(i64, i64)>,
    /// Whether it is one of external meetings, listed on demand only.
    pub is_external: bool,
    /// Whether it is a webinar, listed on demand only.
    pub is_webinar: bool,
    /// Whether it lasted longer than a day, so that its participants and qualities cannot be asked for.
    pub is_too_long: bool,
    /// How many attendances can be asked for in the end.
    pub attendances: usize,
    cells: Cells,
}

impl SimulatedMeeting {
    /// What its row must hold after a listing at any time from which nothing changes any more.
    pub fn cells(&self) -> &Cells {
        &self.cells
    }

    /// Whether it is listed among ended meetings before its end.
    pub fn is_listed_early(&self) -> bool {
        self.listed_from_s < self.end_s
    }

    /// Whether it is listed when neither external meetings nor webinars are asked for.
    pub fn is_listed_by_default(&self) -> bool {
        !self.is_external && !self.is_webinar
    }
}

/// Which meetings are asked for. Times are unix seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) start_s: i64,
    pub(super) end_s: i64,
    pub(super) is_ongoing: bool,
    pub(super) with_external: bool,
    pub(super) with_webinars: bool,
}

/// How the listing of a meeting changes after its end.
struct Changes {
    listed_from_s: i64,
    first_end_s: Option<(i64, i64)>,
}

impl Tenant {
    /// All meetings, day by day, as they are listed in the end.
    pub fn meetings(&self) -> impl Iterator<Item = SimulatedMeeting> {
        let days = u64::from(self.settings().days);
        (0..days).flat_map(|day| self.on_day(day)).map(|index| self.simulated_meeting(&self.meeting(index)))
    }

    fn simulated_meeting(&self, meeting: &Meeting) -> SimulatedMeeting {
        let Changes { listed_from_s, first_end_s } = self.changes(meeting);
        SimulatedMeeting {
            key: MeetingKey(meeting.index),
            meeting_no: meeting.text(),
            start_s: meeting.start_s,
            end_s: meeting.end_s,
            listed_from_s,
            first_end_s,
            is_external: meeting.extra == Some(ExtraKind::External),
            is_webinar: meeting.extra == Some(ExtraKind::Webinar),
            is_too_long: meeting.end_s - meeting.start_s > DAY_S,
            attendances: self.attended_at(meeting, i64::MAX).len(),
            cells: self.meeting_item(meeting, i64::MAX).1,
        }
    }

    /// The meetings that a listing at `now_s` shows, by start and number.
    pub(super) fn listed(&self, wanted: Wanted, now_s: i64) -> Vec<Meeting> {
        let day_of = |unix_s: i64| (unix_s - self.first_day_s()).div_euclid(DAY_S);
        let last = day_of(wanted.end_s).min(i64::from(self.settings().days) - 1);
        let days = (day_of(wanted.start_s) - DAYS_LATER_MAX).max(0)..=last;
        let indexes = days.filter_map(|day| u64::try_from(day).ok()).flat_map(|day| self.on_day(day));
        let mut meetings: Vec<_> = indexes.map(|index| self.meeting(index)).collect();
        meetings.retain(|meeting| {
            let end_s = self.listed_end_s(meeting, now_s);
            let overlaps = meeting.start_s < wanted.end_s && end_s >= wanted.start_s;
            overlaps && self.is_listed(meeting, wanted, now_s)
        });
        meetings.sort_unstable_by_key(|meeting| (meeting.start_s, meeting.number, meeting.index));
        meetings
    }

    fn is_listed(&self, meeting: &Meeting, wanted: Wanted, now_s: i64) -> bool {
        let on_demand = match meeting.extra {
            Some(ExtraKind::External) => wanted.with_external,
            Some(ExtraKind::Webinar) => wanted.with_webinars,
            _ => true,
        };
        let is_ongoing = (meeting.start_s..meeting.end_s).contains(&now_s);
        on_demand && if wanted.is_ongoing { is_ongoing } else { self.is_listed_as_ended(meeting, now_s) }
    }

    /// Whether the meeting is listed among ended ones at `now_s`.
    pub(super) fn is_listed_as_ended(&self, meeting: &Meeting, now_s: i64) -> bool {
        self.changes(meeting).listed_from_s <= now_s
    }

    /// The meeting's end as it is listed at `now_s`.
    pub(super) fn listed_end_s(&self, meeting: &Meeting, now_s: i64) -> i64 {
        match self.changes(meeting).first_end_s {
            Some((end_s, until_s)) if now_s < until_s => end_s,
            _ => meeting.end_s,
        }
    }

    fn changes(&self, meeting: &Meeting) -> Changes {
        let lists = &self.settings().lists;
        let Meeting { index, start_s, end_s, .. } = *meeting;
        let mut rng = stream(self.settings().seed, Purpose::Changes, index, 0);
        let (is_late, is_changed) =
            (rng.random::<f64>() < lists.late_listings, rng.random::<f64>() < lists.changed_ends);
        let earlier_s = rng.random_range(60..=600).min((end_s - start_s) / 2);
        let late_s = if is_late { i64::from(lists.late_by_s) } else { 0 };
        if meeting.extra == Some(ExtraKind::NotOver) {
            return Changes { listed_from_s: start_s, first_end_s: None };
        }
        let first_end_s = (end_s - earlier_s, end_s + i64::from(lists.changed_after_s));
        // A shorter change might not be seen by the minute.
        let is_seen = is_changed && earlier_s >= 60;
        Changes { listed_from_s: end_s + late_s, first_end_s: is_seen.then_some(first_end_s) }
    }

    /// The meeting as it is listed at `now_s`, and what its row must hold then.
    pub(super) fn meeting_item(&self, meeting: &Meeting, now_s: i64) -> (Value, Cells) {
        let seed = self.settings().seed;
        let facts = &mut stream(seed, Purpose::MeetingFacts, meeting.index, 0);
        let forms = stream(seed, Purpose::MeetingForms, meeting.index, 0);
        let mut writer = Writer::new(forms, self.settings().lists.odd_forms);
        let organiser = facts.random_range(0..ORGANISERS);
        writer.name("meeting_id", "meeting_no", &meeting.text());
        writer.time("meeting_start_time", "meeting_start_time", meeting.start_s);
        let is_over = meeting.end_s <= now_s;
        let end_s = self.listed_end_s(meeting, now_s);
        match one_of(facts, &[None, Some(""), Some("-")]) {
            Some(text) if !is_over => writer.blank_time("meeting_end_time", "meeting_end_time", text),
            _ => writer.time("meeting_end_time", "meeting_end_time", end_s),
        }
        let instance = 7_500_000_000_000_000_000 + meeting.index;
        writer.name("meeting_instance_id", "meeting_instance_id", &instance.to_string());
        writer.text("meeting_topic", "meeting_topic", &format!("讨论会 {}", facts.random_range(1..1000)));
        writer.text("organizer", "organizer", &format!("organiser {organiser}"));
        writer.text("department", "department", one_text(facts, ORGANISATIONS));
        writer.id("user_id", "organizer_user_id", Some(&user_id(seed, organiser, UserIdType::OpenId)));
        writer.text("employee_id", "employee_id", &format!("{:012}", 202_100_000_000 + u64::from(organiser)));
        writer.text("email", "email", &format!("organiser-{organiser}@example.com"));
        writer.text("mobile", "mobile", &format!("+86139{organiser:08}"));
        let length_s = is_over.then_some(end_s - meeting.start_s);
        writer.duration("meeting_duration", "meeting_duration_s", length_s);
        self.write_counts(&mut writer, meeting, now_s);
        for key in ["audio", "video", "sharing", "recording", "telephone", "has_related_document", "ai_note"] {
            writer.boolean(key, key, facts.random_bool(0.4));
        }
        writer.boolean("is_external", "is_external", meeting.extra == Some(ExtraKind::External));
        writer.integer("meeting_type", "meeting_type", 2);
        let subtype = if meeting.extra == Some(ExtraKind::Webinar) { WEBINAR } else { 0 };
        writer.integer("meeting_subtype", "meeting_subtype", subtype);
        writer.finish()
    }
}

impl Meeting {
    /// The number as text: nine digits.
    pub(super) fn text(&self) -> String {
        format!("{:09}", self.number)
    }

    /// What the rows of the meeting's attendances must hold of the meeting itself.
    pub(super) fn write_known(&self, end_s: i64, writer: &mut Writer) {
        writer.known("meeting_no", Cell::Text(self.text()));
        writer.known("meeting_start_time", Cell::Time(self.start_s));
        writer.known("meeting_end_time", Cell::Time(end_s));
    }
}
