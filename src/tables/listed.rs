//! Tables whose rows are the items of a list of the API, one row an item: what they have in common.
//!
//! Reader, Arrow schema, builders and the reference come from a [`Table`]; nothing else lists its columns. The dataset's
//! columns are those of [`Table::published`], then [`UNPARSED`].

use super::quality::UNPARSED;

/// What a column holds; decides how its JSON is read, and its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text, as it stands.
    Text,
    /// A point in time.
    Time,
    /// A length of time, in seconds.
    Duration,
    /// A number from 0 on: how many, or which of the API's numbered choices.
    Count,
    /// Yes or no.
    Flag,
}

/// One column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The column's name in the dataset.
    pub name: &'static str,
    /// The key of its value in an item; empty if it comes from the meeting that was asked for, not from the item.
    pub key: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it says who somebody is or what was talked about: such columns are published only if they are named.
    pub is_personal: bool,
    /// Whether it can be null.
    pub is_nullable: bool,
    /// What the value means, as a sentence for the reference.
    pub doc: &'static str,
}

/// The columns of a dataset, and the list that they come from.
#[derive(Debug)]
pub struct Table {
    /// The dataset's name.
    pub name: &'static str,
    /// The endpoint that the list comes from, by its name in the API's documentation.
    pub endpoint: &'static str,
    /// The key of the list in a page's `data`.
    pub list_key: &'static str,
    /// All columns but [`UNPARSED`], in the dataset's order.
    pub columns: &'static [Column],
    /// Keys of an item that are known, and have no column.
    pub keys_without_column: &'static [&'static str],
    /// What a row is and how rows are sorted, as text for the reference.
    pub doc: &'static str,
}

impl Table {
    /// The columns that are published when `personal` names the personal ones that are wanted: these, and all that are not
    /// personal, in the dataset's order.
    pub fn published(&self, personal: &[String]) -> impl Iterator<Item = &'static Column> {
        self.columns.iter().filter(move |column| !column.is_personal || is_named(column, personal))
    }

    /// Where the column of this name stands in [`columns`](Self::columns).
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The section of this table in the column reference.
    pub(super) fn reference(&self) -> String {
        let Self { name, endpoint, doc, .. } = self;
        let rows = self.columns.iter().map(|column| self.row(column)).collect::<Vec<_>>().join("\n");
        let unparsed = format!("| `{}` | map | yes |  |  | {} |", UNPARSED.name, UNPARSED.doc);
        format!("## {name}\n\n{doc}\nFrom the API's `{endpoint}`.\n\n{HEAD}\n{rows}\n{unparsed}\n")
    }

    fn row(&self, column: &Column) -> String {
        let Column { name, key, kind, is_personal, is_nullable, doc } = column;
        let type_name = match kind {
            Kind::Text => "string",
            Kind::Time => "timestamp",
            Kind::Duration | Kind::Count => "int32",
            Kind::Flag => "boolean",
        };
        let null = if *is_nullable { "yes" } else { "no" };
        let personal = if *is_personal { "yes" } else { "" };
        let source = if key.is_empty() { "the meeting".to_owned() } else { format!("`{}[].{key}`", self.list_key) };
        format!("| `{name}` | {type_name} | {null} | {personal} | {source} | {doc} |")
    }
}

fn is_named(column: &Column, names: &[String]) -> bool {
    names.iter().any(|name| name == column.name)
}

const HEAD: &str = "| column | type | null | personal | API | meaning |\n| --- | --- | --- | --- | --- | --- |";

/// Turns a table of columns into an array, so that a row says only what differs. Its doc comment becomes [`Column::doc`];
/// `not_null` or `personal` may follow the kind.
macro_rules! columns {
    (@nullable) => { true };
    (@nullable not_null) => { false };
    (@nullable personal) => { true };
    (@personal) => { false };
    (@personal not_null) => { false };
    (@personal personal) => { true };
    ($($(#[doc = $doc:literal])+ $name:literal = $key:literal: $kind:ident $($mark:ident)?,)*) => {
        &[$($crate::tables::listed::Column {
            name: $name,
            key: $key,
            kind: $crate::tables::listed::Kind::$kind,
            is_personal: $crate::tables::listed::columns!(@personal $($mark)?),
            is_nullable: $crate::tables::listed::columns!(@nullable $($mark)?),
            doc: concat!($($doc),+).trim_ascii(),
        },)*]
    };
}
pub(super) use columns;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{meetings::MEETINGS, participants::PARTICIPANTS};

    const TABLES: [&super::Table; 2] = [&MEETINGS, &PARTICIPANTS];

    /// The items as the pages of the endpoints list them.
    const API: [(&str, &str); 2] = [
        (
            "meeting_list",
            "meeting_id meeting_topic meeting_type organizer department user_id employee_id email mobile \
             meeting_start_time meeting_end_time meeting_duration number_of_participants number_of_devices audio video \
             sharing recording telephone reserved_rooms has_related_document ai_note is_external meeting_subtype \
             meeting_instance_id number_of_webinar_viewers",
        ),
        (
            "participant_list",
            "participant_name department user_id meeting_room_id employee_id phone email device app_version public_ip \
             internal_ip use_rtc_proxy location network_type protocol microphone speaker camera audio video sharing \
             join_time leave_time time_in_meeting leave_reason accept_status is_external webinar_user_role",
        ),
    ];

    #[test]
    fn every_key_of_the_api_has_a_column_or_is_known_to_have_none() {
        for (table, (endpoint, listed)) in TABLES.into_iter().zip(API) {
            assert_eq!(table.endpoint, endpoint);
            let keys = table.columns.iter().map(|column| column.key).filter(|key| !key.is_empty());
            let keys: Vec<_> = keys.chain(table.keys_without_column.iter().copied()).collect();
            let distinct: BTreeSet<_> = keys.iter().copied().collect();
            assert_eq!(distinct.len(), keys.len(), "{endpoint}: a key is read twice");
            assert_eq!(distinct, listed.split(' ').collect(), "{endpoint}");
        }
    }

    #[test]
    fn names_are_unique_and_say_the_key() {
        for table in TABLES {
            let names: BTreeSet<_> = table.columns.iter().map(|column| column.name).collect();
            assert_eq!(names.len(), table.columns.len());
            let renamed: Vec<_> = table
                .columns
                .iter()
                .filter(|column| !column.key.is_empty() && column.name.trim_end_matches("_s") != column.key)
                .map(|column| column.name)
                .collect();
            let expected: &[&str] =
                if table.name == "meetings" { &["meeting_no", "organizer_user_id"] } else { &["room_id"] };
            assert_eq!(renamed, expected);
        }
    }

    #[test]
    fn personal_columns_are_published_only_if_named() {
        let names = |personal: &[&str]| {
            let personal: Vec<_> = personal.iter().map(|name| (*name).to_owned()).collect();
            TABLES.map(|table| table.published(&personal).map(|column| column.name).collect::<Vec<_>>())
        };
        let [meetings, participants] = names(&[]);
        assert_eq!(meetings.last(), Some(&"organizer_user_id"));
        assert_eq!(participants.last(), Some(&"webinar_user_role"));
        let [meetings, participants] = names(&["public_ip", "email", "meeting_topic", "device", "unheard_of"]);
        assert_eq!(meetings[18..], ["organizer_user_id", "email", "meeting_topic"]);
        assert_eq!(participants[23..], ["webinar_user_role", "email", "public_ip"]);
        let all: Vec<_> = TABLES.iter().flat_map(|table| table.columns).map(|column| column.name).collect();
        let [meetings, participants] = names(&all);
        assert_eq!(meetings.len() + participants.len(), all.len());
    }

    #[test]
    fn personal_columns_stand_last_and_can_be_null() {
        for table in TABLES {
            assert!(table.columns.is_sorted_by_key(|column| column.is_personal));
            assert!(table.columns.iter().all(|column| column.is_nullable || !column.is_personal));
        }
    }
}
