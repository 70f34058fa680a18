//! The columns of the dataset `participants`: one row an attendance, from the items of `participant_list`.

use super::listed::{Table, columns};

/// The dataset `participants`.
pub static PARTICIPANTS: Table = Table {
    name: "participants",
    endpoint: "participant_list",
    list_key: "participants",
    columns: columns! {
        /// The meeting's number, as in `meetings`.
        "meeting_no" = "": Text not_null,
        /// When the meeting began, as in `meetings`. Decides `date`.
        "meeting_start_time" = "": Time not_null,
        /// When the meeting ended, as in `meetings`.
        "meeting_end_time" = "": Time,
        /// When the participant joined first.
        "join_time" = "join_time": Time,
        /// When the participant left last; null for who had not left yet.
        "leave_time" = "leave_time": Time,
        /// How long the participant was there, all times together, in seconds.
        "time_in_meeting_s" = "time_in_meeting": Duration,
        /// The user who took part; null for a room, and for who has no account.
        "user_id" = "user_id": Text,
        /// The meeting room that took part; null for a user.
        "room_id" = "meeting_room_id": Text,
        /// The kind of device, such as `windows`.
        "device" = "device": Text,
        /// The version of the client.
        "app_version" = "app_version": Text,
        /// The kind of network, such as `wifi`.
        "network_type" = "network_type": Text,
        /// The protocol of the media, such as `udp`.
        "protocol" = "protocol": Text,
        /// Whether the media went through a proxy.
        "use_rtc_proxy" = "use_rtc_proxy": Flag,
        /// Where the participant was, in the API's language.
        "location" = "location": Text,
        /// The microphone's name.
        "microphone" = "microphone": Text,
        /// The speaker's name.
        "speaker" = "speaker": Text,
        /// The camera's name.
        "camera" = "camera": Text,
        /// Whether the participant used sound.
        "audio" = "audio": Flag,
        /// Whether the participant used the picture of a camera.
        "video" = "video": Flag,
        /// Whether the participant shared something.
        "sharing" = "sharing": Flag,
        /// Whether the participant is of another organisation.
        "is_external" = "is_external": Flag,
        /// Why the participant left, in the API's language.
        "leave_reason" = "leave_reason": Text,
        /// The answer to the invitation: 1 accepted, 2 declined, 3 tentative, 4 none.
        "accept_status" = "accept_status": Count,
        /// What the participant was in a webinar: `0` panelist, `3` viewer.
        "webinar_user_role" = "webinar_user_role": Text,
        /// The participant's name.
        "participant_name" = "participant_name": Text personal,
        /// The participant's department.
        "department" = "department": Text personal,
        /// The participant's email address.
        "email" = "email": Text personal,
        /// The participant's telephone number.
        "phone" = "phone": Text personal,
        /// The participant's number as an employee.
        "employee_id" = "employee_id": Text personal,
        /// The participant's address in the internet.
        "public_ip" = "public_ip": Text personal,
        /// The participant's address in the local network.
        "internal_ip" = "internal_ip": Text personal,
    },
    keys_without_column: &[],
    doc: "\
One row is one attendance: one participant with one device, from one join on, as the API lists it. Rows are sorted by meeting
start, meeting number, join time, participant. They join with those of `meetings` on `meeting_no` and
`meeting_start_time`, with those of `quality` on these, `join_time` and `user_id` or `room_id`.
",
};
