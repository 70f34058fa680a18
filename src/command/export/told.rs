//! What the thread that publishes tells: events that own what they tell of.

use chrono::NaiveDate;

use crate::{
    error::{Chain, Error},
    event::{Emit, Event, Refreshed},
    publish::{Publication, listed::ListedPublication},
    stay::Stay,
};

/// An event of the thread that publishes.
pub(super) enum Told {
    Published(Publication),
    Listed(ListedPublication),
    Failed { date: Option<NaiveDate>, why: String },
    Refreshed { stay: Stay, refreshed: Refreshed, reason: Option<String>, log_id: Option<String> },
}

impl Told {
    pub(super) fn emit(&self, emit: Emit<'_>) {
        emit(match self {
            Self::Published(publication) => Event::Published {
                date: publication.file.date,
                name: &publication.name,
                samples: publication.file.samples,
                bytes: publication.bytes,
                unreadable: &publication.unreadable,
                unknown: &publication.unknown,
            },
            Self::Listed(publication) => Event::ListedPublished {
                dataset: publication.file.dataset,
                date: publication.file.date,
                name: &publication.name,
                rows: publication.file.rows,
                bytes: publication.file.bytes,
                unparsed: &publication.unparsed,
                unknown: &publication.unknown,
            },
            Self::Failed { date, why } => Event::PublishFailed { date: *date, why },
            Self::Refreshed { stay, refreshed, reason, log_id } => {
                Event::Refreshed { stay, refreshed: *refreshed, reason: reason.as_deref(), log_id: log_id.as_deref() }
            }
        });
    }

    pub(super) fn of_listed(date: NaiveDate, published: Result<ListedPublication, Error>) -> Self {
        published.map_or_else(|error| Self::failed(Some(date), &error), Self::Listed)
    }

    pub(super) fn failed(date: Option<NaiveDate>, error: &Error) -> Self {
        Self::Failed { date, why: Chain(error).to_string() }
    }
}
