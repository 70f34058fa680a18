//! The columns that are in no file unless the configuration names them, by the contract and not by the code.

/// Their names, in no order that means anything.
pub(crate) const PERSONAL: [&str; 10] = [
    "participant_name",
    "department",
    "email",
    "phone",
    "mobile",
    "employee_id",
    "public_ip",
    "internal_ip",
    "meeting_topic",
    "organizer",
];
