//! Log lines: a fold over the run's events. Ids of participants appear at level debug alone.

use tracing::{debug, info, trace, warn};

use crate::{event::Event, journal::Rereading};

/// Writes the line of one event, if it has one.
pub fn log(event: &Event<'_>) {
    match event {
        Event::ManifestRead { file, rows, ignored_columns } => {
            info!(file, rows, ?ignored_columns, "manifest read");
        }
        Event::NoRows { manifest } => warn!(manifest, "the manifest has no rows"),
        Event::RowRejected { file, lines, reject } => debug!(file, %lines, %reject, "row rejected"),
        Event::Enqueued { lane, rows } => info!(
            ?lane,
            stays = rows.stays,
            duplicates = rows.duplicates,
            landed = rows.landed,
            requests = rows.requests,
            asked_again = rows.asked_again,
            "stays queued"
        ),
        Event::Refreshing { rereading: Rereading { stays, continued } } => {
            info!(stays, continued, "asking again for the stays of chosen dates");
        }
        Event::Refreshed { stay, refreshed, reason, log_id } => {
            debug!(?stay, refreshed = refreshed.name(), reason, log_id, "asked again");
        }
        Event::Queued => info!("another process of this state folder is fetching; waiting for it"),
        Event::Fetching => info!("fetching"),
        Event::Sent | Event::Waiting { .. } | Event::Waited { .. } => {}
        Event::Answered { outcome, took } => trace!(outcome, ?took, "answer"),
        Event::Refused { wait } => warn!(?wait, "the API refuses requests; all of them wait"),
        Event::Retry { stay, why, wait } => {
            debug!(?stay, why, ?wait, "fault, to be asked again");
        }
        Event::Restarted { stay } => {
            debug!(?stay, "restarted");
            warn!("the API no longer knows a page token; the stay is read from its first page again");
        }
        Event::Landed { samples } => trace!(samples, "page landed"),
        Event::Settled { stay, state, reason, log_id } => debug!(?stay, ?state, reason, log_id, "settled"),
        Event::Outage { lasted, why } => warn!(?lasted, why, "no useful answer from the API; trying once a minute"),
        Event::Unsettled { stays } => info!(stays, "stays that failed are pending again"),
        Event::TokenRenewed => info!("access token renewed"),
        Event::Published { date, name, samples, bytes, .. } => {
            info!(%date, name, samples, bytes, "published");
        }
        Event::PublishFailed { date, why } => warn!(?date, why, "could not be published, to be tried again"),
        Event::Stopping { why } => warn!(why, "no more requests"),
    }
}
