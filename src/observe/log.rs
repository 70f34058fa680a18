//! Log lines: a fold over the run's events, and the check of the filter that chooses among them. Ids of participants
//! appear at level debug alone.

use tracing::{debug, info, trace, warn};

use crate::{
    endpoint::Endpoint,
    event::Event,
    journal::{Left, Rereading, State},
    printable::Printable,
    words::duration,
};

/// Writes the line of one event, if it has one.
pub fn log(event: &Event<'_>) {
    match event {
        Event::ManifestRead { file, rows, ignored_columns } => {
            let ignored_columns = serde_json::to_string(ignored_columns).unwrap_or_default();
            info!(file, rows, %ignored_columns, "manifest read");
        }
        Event::NoRows { manifest } => warn!(manifest, "the manifest has no rows"),
        Event::ManifestCut { file, rows } => info!(file, rows, "manifest not read to its end"),
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
        Event::Queued { holder, left } => {
            info!(holder, left, "another process of this state folder is fetching; waiting for it");
        }
        Event::Fetching => info!("fetching"),
        Event::Sent { .. } | Event::Waiting { .. } | Event::Waited { .. } | Event::Tallied { .. } => {}
        Event::Answered { endpoint, outcome, took } => {
            trace!(endpoint = endpoint.name(), outcome, took = duration(*took), "answer");
        }
        Event::Refused { endpoint, wait } => {
            warn!(endpoint = endpoint.name(), wait = duration(*wait), "the API refuses requests; all of them wait");
        }
        Event::Retry { subject, why, wait } => {
            debug!(%subject, why, wait = duration(*wait), "fault, to be asked again");
        }
        Event::Restarted { subject } => {
            debug!(%subject, "restarted");
            warn!("the API no longer knows a page token; what it was for is read from its first page again");
        }
        Event::Landed { samples } => trace!(samples, "page landed"),
        Event::Discovering { left: Left { listings, stays, requests } } => {
            info!(listings, stays, requests, "discovering; what is left to be asked for so far");
        }
        Event::PageListed { items, unreadable: 0, .. } => trace!(items, "page of a listing landed"),
        Event::PageListed { items, unreadable, .. } => {
            warn!(
                items,
                unreadable, "meetings without a number or a start that can be read: they are in the landed page alone"
            );
        }
        Event::AttendanceRejected { meeting, reason } => {
            debug!(%meeting, reason, "an attendance with an id gives no stay");
        }
        Event::Listed { subject, items, state: State::Failed | State::Rejected, reason, log_id } => {
            warn!(%subject, items, reason, log_id, "could not be listed");
        }
        Event::Listed { subject, items, state, reason, log_id } => {
            debug!(%subject, items, ?state, reason, log_id, "listed");
        }
        Event::Discovered { found, dates } => info!(
            dates = dates.len(),
            meetings = found.meetings,
            attendances = found.attendances(),
            stays = found.stays,
            "discovered"
        ),
        Event::Settled { stay, state, reason, log_id } => debug!(?stay, ?state, reason, log_id, "settled"),
        Event::Outage { lasted, why } => {
            warn!(lasted = duration(*lasted), why, "no useful answer from the API; trying once a minute");
        }
        Event::NoToken { why, wait } => debug!(why, wait = duration(*wait), "no access token, to be asked again"),
        Event::Unsettled { endpoint: Endpoint::Quality, state, count } => {
            info!(stays = count, was = state.name(), "settled stays are pending again");
        }
        Event::Unsettled { endpoint, state, count } => {
            info!(endpoint = endpoint.name(), lists = count, was = state.name(), "settled lists are pending again");
        }
        Event::TokenRenewed => info!("access token renewed"),
        Event::SignedIn { unless_renewed, at_the_latest: None } => {
            warn!(ends_at = %unless_renewed, "the sign-in cannot be renewed: the app gives no refresh token");
        }
        Event::SignedIn { unless_renewed, .. } => debug!(ends_at = %unless_renewed, "signed in"),
        Event::Published { date, name, samples, bytes, .. } => {
            info!(%date, name, samples, bytes, "published");
        }
        Event::ListedPublished { dataset, date, name, rows, bytes, .. } => {
            info!(dataset = dataset.name(), %date, name, rows, bytes, "published");
        }
        Event::PublishFailed { date, why } => {
            warn!(date = date.map(display), why, "could not be published, to be tried again");
        }
        Event::Stopping { why } => warn!(why, "no more requests"),
    }
}

/// Levels that `--log` knows.
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// Names of the parts of this program that write log lines: its own, and the libraries that it asks the network and tables through.
const TARGETS: [&str; 9] = ["vcq", "delta_kernel", "h2", "hyper", "hyper_util", "reqwest", "rustls", "tokio", "tower"];

/// Looks for a word of a filter that is neither a level nor the name of a part: a filter with one would log nothing, in
/// silence.
///
/// # Errors
///
/// The word, and the known one that looks most like it.
pub fn check_filter(filter: &str) -> Result<(), UnknownWord> {
    filter.split(',').map(str::trim).filter(|directive| !directive.is_empty()).try_for_each(check_directive)
}

fn check_directive(directive: &str) -> Result<(), UnknownWord> {
    let is_level = |word: &str| {
        LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word)) || matches!(word, "0" | "1" | "2" | "3" | "4" | "5")
    };
    // A span's filter is the subscriber's to understand.
    let (target, level) = match directive.split_once('[') {
        Some((target, _)) => (target, None),
        None => directive.split_once('=').map_or((directive, None), |(target, level)| (target, Some(level))),
    };
    if let Some(level) = level.filter(|level| !is_level(level)) {
        return Err(UnknownWord::among(level, &LEVELS));
    }
    let part = target.split("::").next().unwrap_or_default();
    let is_known = target.is_empty() || TARGETS.contains(&part) || (level.is_none() && is_level(target));
    if is_known { Ok(()) } else { Err(UnknownWord::among(target, &[LEVELS.as_slice(), &TARGETS].concat())) }
}

/// A word of a filter that means nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("knows no `{}`{}", Printable(word), nearest.map(|known| format!("; did you mean `{known}`?")).unwrap_or_default())]
pub struct UnknownWord {
    word: String,
    nearest: Option<&'static str>,
}

impl UnknownWord {
    fn among(word: &str, known: &[&'static str]) -> Self {
        let similarity = |known: &str| strsim::normalized_damerau_levenshtein(known, &word.to_ascii_lowercase());
        let nearest = known.iter().copied().max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
        Self { word: word.into(), nearest: nearest.filter(|known| similarity(known) >= 0.5) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_means_nothing_is_told_with_the_nearest_that_does() {
        for (filter, expected) in [
            ("info", None),
            ("WARN", None),
            ("off", None),
            ("vcq=debug", None),
            ("vcq", None),
            ("warn, vcq::fetch=trace,hyper=0", None),
            ("vcq[span{field=1}]=debug", None),
            ("", None),
            ("wran", Some("knows no `wran`; did you mean `warn`?")),
            ("vqc=debug", Some("knows no `vqc`; did you mean `vcq`?")),
            ("info,inof", Some("knows no `inof`; did you mean `info`?")),
            ("vcq=loud", Some("knows no `loud`")),
            ("vcq=debgu", Some("knows no `debgu`; did you mean `debug`?")),
            ("verbose", Some("knows no `verbose`")),
            ("\u{1b}[2J", Some("knows no `\\u{1b}`")),
        ] {
            let unknown = check_filter(filter).err().map(|unknown| unknown.to_string());
            assert_eq!(unknown.as_deref(), expected, "{filter}");
        }
    }
}
