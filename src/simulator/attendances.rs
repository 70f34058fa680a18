//! The attendances as `participant_list` shows them: those of the stays, and the company that the lists add to them.

use rand::{Rng as _, rngs::StdRng};
use serde_json::Value;

use super::{
    lists::ExtraKind,
    meetings::{ORGANISATIONS, SimulatedMeeting},
    random::{Purpose, one_of, one_text, stream},
    rows::{Cells, Writer},
    tenant::{Meeting, Participant, SimulatedStay, StayKey, Tenant, UserIdType, room_id, user_id},
};

/// Numbers of people and rooms that are not the tenant's, apart from those that are.
const LOST: u32 = 1 << 28;
const TWO_IDS: u32 = 2 << 28;
const EXTERNAL: u32 = 4 << 28;

/// Ranks of attendances beside those of the stays. Only the first two have stays of their own.
const SECOND_DEVICE_RANK: u64 = 1;
const LOST_RANK: u64 = 2;
const EXTERNAL_RANK: u64 = 3;
const TWO_IDS_RANK: u64 = 4;
const WITHOUT_ID_RANK: u64 = 5;
const CROWD_RANK: u64 = 16;

/// Slots of a rank: more than a meeting has stays.
const SLOTS_PER_RANK: u64 = 64;

/// A webinar has so many people on the stage; the others watch.
const PANELISTS: u64 = 3;

/// What kind of attendance it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttendanceKind {
    /// A user of the tenant.
    User,
    /// A room of the tenant.
    Room,
    /// Another device of a user who has an attendance already.
    SecondDevice,
    /// Somebody of another organisation: the id is none that the app may use.
    External,
    /// One with the ids of a user and of a room.
    TwoIds,
    /// A telephone, without an id.
    Telephone,
    /// A SIP device, without an id.
    Sip,
    /// A guest, without an id.
    Guest,
    /// A document user, without an id.
    Document,
}

const WITHOUT_ID: &[AttendanceKind] =
    &[AttendanceKind::Telephone, AttendanceKind::Sip, AttendanceKind::Guest, AttendanceKind::Document];

/// One row of `participant_list`, as it is listed in the end. Times are unix seconds.
#[derive(Clone, Debug)]
pub struct SimulatedAttendance {
    /// What kind it is.
    pub kind: AttendanceKind,
    /// When the participant joined.
    pub join_s: i64,
    /// When the participant left, as far as the list says so.
    pub leave_s: Option<i64>,
    /// The device, whether or not the list names it.
    pub device: &'static str,
    /// The type of network, whether or not the list names it.
    pub network_type: &'static str,
    /// The stay that it gives, if the quality endpoint knows it. Two attendances may give the same.
    pub stay: Option<StayKey>,
    /// From when on the list has it no more, if it is lost.
    pub lost_at_s: Option<i64>,
    attended: Attended,
    seed: u64,
    cells: Cells,
}

impl SimulatedAttendance {
    /// The user's id of the given type, if the list names one.
    pub fn user_id(&self, id_type: UserIdType) -> Option<String> {
        self.attended.user.map(|number| user_id(self.seed, number, id_type))
    }

    /// The room's id, if the list names one.
    pub fn room_id(&self) -> Option<String> {
        self.attended.room.map(|number| room_id(self.seed, number))
    }

    /// What its row must hold after a listing at any time from which nothing changes any more. Users by open id.
    pub fn cells(&self) -> &Cells {
        &self.cells
    }
}

/// An attendance, before it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attended {
    pub(super) kind: AttendanceKind,
    pub(super) user: Option<u32>,
    pub(super) room: Option<u32>,
    pub(super) join_s: i64,
    pub(super) left_s: i64,
    stay: Option<StayKey>,
    lost_at_s: Option<i64>,
    /// Its own number within the meeting.
    slot: u64,
}

impl Attended {
    fn of_stay(position: u64, stay: &SimulatedStay) -> Self {
        let (kind, user, room) = match stay.participant {
            Participant::User(number) => (AttendanceKind::User, Some(number), None),
            Participant::Room(number) => (AttendanceKind::Room, None, Some(number)),
        };
        let SimulatedStay { join_s, left_s, key, .. } = *stay;
        Self { kind, user, room, join_s, left_s, stay: Some(key), lost_at_s: None, slot: position }
    }

    /// Names the participant within the meeting; whoever has no id is somebody else each time.
    pub(super) fn person(&self) -> (Option<u32>, Option<u32>, u64) {
        let is_nameless = self.user.is_none() && self.room.is_none();
        (self.user, self.room, if is_nameless { self.slot } else { 0 })
    }

    /// Whether it is one of the audience of a webinar.
    pub(super) fn is_viewer(&self, meeting: &Meeting) -> bool {
        meeting.extra == Some(ExtraKind::Webinar) && self.slot >= PANELISTS
    }

    /// Whether it is the user of that id.
    pub(super) fn is_user(&self, seed: u64, id: &str, id_type: UserIdType) -> bool {
        self.user.is_some_and(|number| user_id(seed, number, id_type) == id)
    }

    /// Whether it is the room of that id.
    pub(super) fn is_room(&self, seed: u64, id: &str) -> bool {
        self.room.is_some_and(|number| room_id(seed, number) == id)
    }

    /// The same attendance on another occasion.
    fn beside(self, kind: AttendanceKind, rank: u64) -> Self {
        Self { kind, stay: None, slot: rank * SLOTS_PER_RANK + self.slot, ..self }
    }
}

impl Tenant {
    /// The attendances of a meeting, as they are listed in the end, by time of joining; those that are lost included.
    pub fn attendances(&self, meeting: &SimulatedMeeting) -> Vec<SimulatedAttendance> {
        let meeting = self.meeting(meeting.key.0);
        let simulated = |attended: Attended| {
            let (device, network_type) = self.device_of(&meeting, &attended);
            let cells = self.attendance_item(&meeting, &attended, UserIdType::OpenId, i64::MAX).1;
            SimulatedAttendance {
                kind: attended.kind,
                join_s: attended.join_s,
                leave_s: cells.integer("leave_time"),
                device,
                network_type,
                stay: attended.stay,
                lost_at_s: attended.lost_at_s,
                attended,
                seed: self.settings().seed,
                cells,
            }
        };
        self.attended(&meeting).into_iter().map(simulated).collect()
    }

    /// The attendances that a listing at `now_s` shows, by time of joining.
    pub(super) fn attended_at(&self, meeting: &Meeting, now_s: i64) -> Vec<Attended> {
        let until_s = self.listed_end_s(meeting, now_s).min(now_s);
        let mut attended = self.attended(meeting);
        attended.retain(|attended| {
            attended.join_s <= until_s && attended.lost_at_s.is_none_or(|lost_at_s| now_s < lost_at_s)
        });
        attended
    }

    fn attended(&self, meeting: &Meeting) -> Vec<Attended> {
        let stays = self.stays_of(meeting);
        let mut all: Vec<_> = (0..).zip(&stays).map(|(position, stay)| Attended::of_stay(position, stay)).collect();
        all.extend(self.company(meeting, &stays));
        all.sort_by_key(|attended| (attended.join_s, attended.slot));
        all
    }

    /// The attendances besides those of the planned stays.
    fn company(&self, meeting: &Meeting, stays: &[SimulatedStay]) -> Vec<Attended> {
        if self.settings().lists.has_stays_only() {
            return Vec::new();
        }
        let mut company = Vec::new();
        for (position, stay) in (0..).zip(stays) {
            let attended = Attended::of_stay(position, stay);
            let mut rng = stream(self.settings().seed, Purpose::Company, meeting.index, position);
            company.extend(self.second_device(&mut rng, attended, stays));
            company.extend(self.others_beside(&mut rng, meeting, attended));
        }
        company.extend(self.crowd(meeting));
        company
    }

    fn second_device(&self, rng: &mut StdRng, first: Attended, stays: &[SimulatedStay]) -> Option<Attended> {
        let is_there = rng.random::<f64>() < self.settings().lists.second_devices;
        let (is_later, join_s) = (rng.random_bool(0.5), first.join_s + rng.random_range(61..360));
        first.user.filter(|_| is_there)?;
        let is_taken = |stay: &SimulatedStay| stay.join_s == join_s && Attended::of_stay(0, stay).user == first.user;
        let is_later = is_later && join_s <= first.left_s && !stays.iter().any(is_taken);
        let second = first.beside(AttendanceKind::SecondDevice, SECOND_DEVICE_RANK);
        Some(if is_later {
            let stay = first.stay.map(|key| key.of_company(SECOND_DEVICE_RANK));
            Attended { join_s, stay, ..second }
        } else {
            Attended { stay: first.stay, ..second }
        })
    }

    fn others_beside(&self, rng: &mut StdRng, meeting: &Meeting, first: Attended) -> Vec<Attended> {
        let lists = &self.settings().lists;
        #[expect(clippy::cast_possible_truncation, reason = "the remainder fits")]
        let number = ((meeting.index * SLOTS_PER_RANK + first.slot) % u64::from(LOST)) as u32;
        let (user, room) = (Some(LOST | number), None);
        let lost_at_s = Some(meeting.end_s + i64::from(lists.lost_after_s));
        let stay = first.stay.map(|key| key.of_company(LOST_RANK));
        let lost = Attended { user, room, stay, lost_at_s, ..first.beside(AttendanceKind::User, LOST_RANK) };
        let external = first.beside(AttendanceKind::External, EXTERNAL_RANK);
        let external = Attended { user: Some(EXTERNAL | number), room: None, ..external };
        let (user, room) = (Some(TWO_IDS | number), Some(TWO_IDS | number));
        let two_ids = Attended { user, room, ..first.beside(AttendanceKind::TwoIds, TWO_IDS_RANK) };
        let without_id = first.beside(*one_of(rng, WITHOUT_ID), WITHOUT_ID_RANK);
        let without_id = Attended { user: None, room: None, ..without_id };
        let mut drawn = |share: f64, attended: Attended| (rng.random::<f64>() < share).then_some(attended);
        [
            drawn(lists.lost_participants, lost),
            drawn(lists.external_participants, external),
            drawn(lists.both_ids, two_ids),
            drawn(lists.without_id, without_id),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The many guests of a crowded meeting.
    fn crowd(&self, meeting: &Meeting) -> Vec<Attended> {
        if meeting.extra != Some(ExtraKind::Crowded) {
            return Vec::new();
        }
        let mut rng = stream(self.settings().seed, Purpose::Company, meeting.index, u64::MAX);
        let count = rng.random_range(100..=300);
        let guest = |number| Attended {
            kind: AttendanceKind::Guest,
            user: None,
            room: None,
            join_s: meeting.start_s + rng.random_range(0..=meeting.end_s - meeting.start_s),
            left_s: meeting.end_s,
            stay: None,
            lost_at_s: None,
            slot: CROWD_RANK * SLOTS_PER_RANK + number,
        };
        (0..count).map(guest).collect()
    }

    /// The stays of a meeting's company that no planned stay is equal to.
    pub(super) fn stays_of_company(&self, meeting: &Meeting) -> Vec<SimulatedStay> {
        let stays = self.stays_of(meeting);
        let stay = |attended: &Attended| {
            let key = attended.stay.filter(|key| stays.iter().all(|stay| stay.key != *key))?;
            Some(SimulatedStay {
                key,
                meeting_no: meeting.text(),
                meeting_start_s: meeting.start_s,
                meeting_end_s: meeting.end_s,
                join_s: attended.join_s,
                sample_count: self.samples_between(attended.join_s, attended.left_s),
                left_s: attended.left_s,
                participant: Participant::User(attended.user?),
                seed: self.settings().seed,
            })
        };
        self.company(meeting, &stays).iter().filter_map(stay).collect()
    }

    /// Whether somebody of another organisation with that id took part in the meeting.
    pub(super) fn is_external_user(&self, meeting: &Meeting, id: &str, id_type: UserIdType) -> bool {
        let is_one = |attended: &Attended| {
            attended.kind == AttendanceKind::External && attended.is_user(self.settings().seed, id, id_type)
        };
        self.company(meeting, &self.stays_of(meeting)).iter().any(is_one)
    }

    /// Writes how many people and devices a listing of the meeting at `now_s` counts.
    pub(super) fn write_counts(&self, writer: &mut Writer, meeting: &Meeting, now_s: i64) {
        let attended = self.attended_at(meeting, now_s);
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let mut people: Vec<_> = attended.iter().map(Attended::person).collect();
        people.sort_unstable();
        people.dedup();
        let viewers = attended.iter().filter(|attended| attended.is_viewer(meeting)).count();
        writer.count("number_of_participants", "number_of_participants", count(people.len()));
        writer.count("number_of_devices", "number_of_devices", count(attended.len()));
        writer.count("number_of_webinar_viewers", "number_of_webinar_viewers", count(viewers));
    }

    fn device_of(&self, meeting: &Meeting, attended: &Attended) -> (&'static str, &'static str) {
        let rng = &mut stream(self.settings().seed, Purpose::AttendanceFacts, meeting.index, attended.slot);
        let (usual, network) = (one_text(rng, DEVICES), one_text(rng, NETWORKS));
        let network = if self.settings().good_connections { self.network_of(attended, network) } else { network };
        let device = match attended.kind {
            AttendanceKind::Room => "rooms",
            AttendanceKind::Telephone => "pstn",
            AttendanceKind::Sip => "sip",
            AttendanceKind::Guest | AttendanceKind::Document => "web",
            _ => usual,
        };
        (device, network)
    }

    /// The network of which the samples tell: a weak one is 4g, and 4g is a weak one.
    fn network_of(&self, attended: &Attended, drawn: &'static str) -> &'static str {
        let user = attended.user.map(Participant::User);
        match drawn {
            _ if user.is_some_and(|user| user.is_weak(self.settings().seed)) => WEAK_NETWORK,
            WEAK_NETWORK => NETWORKS[0],
            other => other,
        }
    }

    /// The attendance as it is listed at `now_s`, and what its row must hold then.
    pub(super) fn attendance_item(
        &self,
        meeting: &Meeting,
        attended: &Attended,
        id_type: UserIdType,
        now_s: i64,
    ) -> (Value, Cells) {
        let seed = self.settings().seed;
        let forms = stream(seed, Purpose::AttendanceForms, meeting.index, attended.slot);
        let mut writer = Writer::new(forms, self.settings().lists.odd_forms);
        let end_s = self.listed_end_s(meeting, now_s);
        meeting.write_known(end_s, &mut writer);
        writer.time("join_time", "join_time", attended.join_s);
        let left_s = attended.left_s.min(end_s);
        let left_s = (left_s <= now_s).then_some(left_s);
        writer.optional_time("leave_time", "leave_time", left_s);
        writer.duration("time_in_meeting", "time_in_meeting_s", left_s.map(|left_s| left_s - attended.join_s));
        let user = attended.user.map(|number| user_id(seed, number, id_type));
        writer.id("user_id", "user_id", user.as_deref());
        writer.id("meeting_room_id", "room_id", attended.room.map(|number| room_id(seed, number)).as_deref());
        self.write_circumstances(&mut writer, meeting, attended);
        if meeting.extra == Some(ExtraKind::Webinar) {
            let role = if attended.is_viewer(meeting) { "3" } else { "0" };
            writer.text("webinar_user_role", "webinar_user_role", role);
        } else {
            writer.id("webinar_user_role", "webinar_user_role", None);
        }
        writer.finish()
    }

    /// Writes who took part and with what: what does not depend on the time of the listing.
    fn write_circumstances(&self, writer: &mut Writer, meeting: &Meeting, attended: &Attended) {
        let (device, network_type) = self.device_of(meeting, attended);
        let rng = &mut stream(self.settings().seed, Purpose::AttendanceFacts, meeting.index, attended.slot + (1 << 32));
        let person = attended.user.or(attended.room).map_or_else(|| attended.slot, u64::from);
        writer.text("device", "device", device);
        writer.text("network_type", "network_type", network_type);
        writer.text("participant_name", "participant_name", &format!("participant {person}"));
        writer.text("department", "department", one_text(rng, ORGANISATIONS));
        writer.text("employee_id", "employee_id", &format!("{:012}", 202_200_000_000 + person));
        writer.text("email", "email", &format!("participant-{person}@example.com"));
        writer.text("phone", "phone", &format!("+86138{person:010}"));
        writer.text(
            "app_version",
            "app_version",
            &format!("7.{}.{}", rng.random_range(20..40), rng.random_range(0..9)),
        );
        writer.text("public_ip", "public_ip", &format!("203.0.113.{}", rng.random_range(1..255)));
        writer.text("internal_ip", "internal_ip", &format!("10.0.{}.{}", person % 256, rng.random_range(1..255)));
        writer.text("protocol", "protocol", one_text(rng, &["udp", "udp", "tcp"]));
        writer.text("location", "location", one_text(rng, LOCATIONS));
        writer.text("microphone", "microphone", one_text(rng, MICROPHONES));
        writer.text("speaker", "speaker", one_text(rng, &["与系统一致", "Speakers (Realtek(R) Audio)"]));
        writer.text("camera", "camera", one_text(rng, &["HD Camera", "FaceTime HD", ""]));
        writer.text("leave_reason", "leave_reason", one_text(rng, LEAVE_REASONS));
        writer.boolean("use_rtc_proxy", "use_rtc_proxy", rng.random_bool(0.1));
        for key in ["audio", "video", "sharing"] {
            writer.boolean(key, key, rng.random_bool(0.5));
        }
        writer.boolean("is_external", "is_external", attended.kind == AttendanceKind::External);
        writer.integer("accept_status", "accept_status", rng.random_range(1..=4));
    }
}

const DEVICES: &[&str] = &["windows", "mac", "ios", "android", "linux", "WINDOWS"];

const NETWORKS: &[&str] = &["wifi", "wired", WEAK_NETWORK, "5g"];

/// Of users whose line is a weak one.
const WEAK_NETWORK: &str = "4g";

const LOCATIONS: &[&str] = &["东莞", "上海", "Jakarta", "Berlin", "中国大陆", ""];

const MICROPHONES: &[&str] = &["麦克风阵列 (Realtek(R) Audio)", "\"Studio\" Microphone \\ 2", "与系统一致"];

const LEAVE_REASONS: &[&str] = &["主持人结束会议", "left the meeting", "network disconnected"];
