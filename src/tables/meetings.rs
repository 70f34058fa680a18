//! The columns of the dataset `meetings`: one row a meeting, from the items of `meeting_list`.

use super::listed::{Table, columns};

/// The dataset `meetings`.
pub static MEETINGS: Table = Table {
    name: "meetings",
    endpoint: "meeting_list",
    list_key: "meeting_list",
    columns: columns! {
        /// The meeting's number: nine digits, leading zeros included. Not unique by itself.
        "meeting_no" = "meeting_id": Text not_null,
        /// When the meeting began. Decides `date`.
        "meeting_start_time" = "meeting_start_time": Time not_null,
        /// When the meeting ended; null while it goes on.
        "meeting_end_time" = "meeting_end_time": Time,
        /// The API's own id of this meeting, unique where the number is not.
        "meeting_instance_id" = "meeting_instance_id": Text,
        /// 2 for a video meeting, 3 for casting a screen.
        "meeting_type" = "meeting_type": Count,
        /// 1 casting, 2 wired casting, 3 Magic Share, 4 chat room, 5 reading meeting, 6 enterprise phone, 7 IP phone, 8 webinar, 9 offline meeting, 10 Minutes meeting.
        "meeting_subtype" = "meeting_subtype": Count,
        /// How long the meeting lasted, in seconds.
        "meeting_duration_s" = "meeting_duration": Duration,
        /// How many took part.
        "number_of_participants" = "number_of_participants": Count,
        /// How many devices joined, each join counted.
        "number_of_devices" = "number_of_devices": Count,
        /// How many watched the webinar.
        "number_of_webinar_viewers" = "number_of_webinar_viewers": Count,
        /// Whether sound was used at least once.
        "audio" = "audio": Flag,
        /// Whether pictures of cameras were used at least once.
        "video" = "video": Flag,
        /// Whether something was shared at least once.
        "sharing" = "sharing": Flag,
        /// Whether the meeting was recorded.
        "recording" = "recording": Flag,
        /// Whether somebody took part by telephone.
        "telephone" = "telephone": Flag,
        /// Whether the meeting is one of another organisation.
        "is_external" = "is_external": Flag,
        /// Whether a document belongs to the meeting.
        "has_related_document" = "has_related_document": Flag,
        /// Whether notes were taken by AI.
        "ai_note" = "ai_note": Flag,
        /// The user who organised the meeting.
        "organizer_user_id" = "user_id": Text,
        /// The organiser's department.
        "department" = "department": Text personal,
        /// The organiser's email address.
        "email" = "email": Text personal,
        /// The organiser's mobile number.
        "mobile" = "mobile": Text personal,
        /// The organiser's number as an employee.
        "employee_id" = "employee_id": Text personal,
        /// What the meeting is called.
        "meeting_topic" = "meeting_topic": Text personal,
        /// The organiser's name.
        "organizer" = "organizer": Text personal,
    },
    // Only of meetings to be held, which are not asked for.
    keys_without_column: &["reserved_rooms"],
    doc: "\
One row is one meeting: a number from a start on. Rows are sorted by meeting start, meeting number. They join with those of
the other datasets on `meeting_no` and `meeting_start_time`.
",
};
