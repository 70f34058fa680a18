//! The endpoints that data come from. Each has a quota and books of its own.

/// An endpoint for data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// `participant_quality_list`: the samples of a stay.
    Quality,
    /// `meeting_list`: the meetings of a window of time.
    Meetings,
    /// `participant_list`: the attendances of a meeting.
    Participants,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Quality, Self::Meetings, Self::Participants];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quality => "quality",
            Self::Meetings => "meetings",
            Self::Participants => "participants",
        }
    }

    /// The endpoint of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.name() == name)
    }

    /// Its path.
    pub fn path(self) -> &'static str {
        match self {
            Self::Quality => "/open-apis/vc/v1/participant_quality_list",
            Self::Meetings => "/open-apis/vc/v1/meeting_list",
            Self::Participants => "/open-apis/vc/v1/participant_list",
        }
    }

    /// The endpoint that a path and query name.
    pub(super) fn of_path(path_and_query: &str) -> Option<Self> {
        let path = path_and_query.split('?').next().unwrap_or_default();
        Self::ALL.into_iter().find(|endpoint| endpoint.path() == path)
    }

    /// The key of a page's items, under `data`.
    pub(super) fn items_key(self) -> &'static str {
        match self {
            Self::Quality => "participant_quality_list",
            Self::Meetings => "meeting_list",
            Self::Participants => "participants",
        }
    }
}
