//! Whole exports in simulated time: what vcq promises of a run, held against the simulated tenant's own books.
//!
//! Every scenario ends with [`invariants::check`], which knows nothing of the scenario: the report adds up, no server
//! of any window kind would have refused a request, no landed page was asked for again, and each row of the dataset is
//! in every column what the tenant says. `VCQ_SIM_SEED=…` replays one seed, `VCQ_SIM_SECONDS=…` tries further ones.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use vcq::simulator::{
    Settings,
    faults::{Fault, FaultKind, When},
    latency::Latency,
    tenant::{SimulatedStay, Tenant, TenantSettings},
};

use crate::world::World;

mod adopt;
mod archive;
mod buckets;
mod calm;
mod clock;
mod discover;
mod early;
mod faults;
mod journal;
mod kills;
mod lanes;
mod limits;
mod lists;
mod matrix;
mod others;
mod quota;
mod refresh;
mod sign_in;
mod strangers;
mod table_kills;
mod table_requests;
mod tables;
mod upgrade;

#[path = "../support/frail.rs"]
mod frail;
#[path = "../support/buckets.rs"]
mod frail_buckets;
#[path = "../support/invariants.rs"]
mod invariants;
#[path = "../support/listed.rs"]
mod listed;
#[path = "../support/oracle.rs"]
mod oracle;
#[path = "../support/personal.rs"]
mod personal;
#[path = "../support/seeds.rs"]
mod seeds;
#[path = "../support/table.rs"]
mod table;
#[path = "../support/tests.rs"]
mod tests;
#[path = "../support/world.rs"]
mod world;

/// A tenant of three days, some of whose values are written in other than the documented forms.
fn settings(seed: u64) -> Settings {
    let tenant = TenantSettings { seed, days: 3, stays: 2000, other_forms: 0.02, ..TenantSettings::default() };
    Settings { tenant, ..Settings::default() }
}

/// The same with faults, and with answers that come in the order of their requests.
fn with_faults(seed: u64, faults: impl IntoIterator<Item = (FaultKind, When)>) -> Settings {
    let faults = faults.into_iter().map(|(kind, when)| Fault { kind, when }).collect();
    Settings { faults, latency: Latency::Constant(Duration::from_millis(350)), ..settings(seed) }
}

/// So many stays of one page, and so many of two to four, spread over all days.
fn some_stays(settings: &Settings, short: usize, long: usize) -> Vec<SimulatedStay> {
    let all: Vec<_> = Tenant::new(settings.tenant.clone()).stays().collect();
    let of_length = |samples: std::ops::Range<u32>, count: usize| {
        let fitting: Vec<_> = all.iter().filter(|stay| samples.contains(&stay.sample_count)).collect();
        let step = (fitting.len() / count.max(1)).max(1);
        fitting.into_iter().step_by(step).take(count).cloned().collect::<Vec<_>>()
    };
    let stays = [of_length(0..40, short), of_length(101..400, long)].concat();
    assert_eq!(stays.len(), short + long);
    stays
}

/// A world of so many short and long stays.
fn world(settings: Settings, short: usize, long: usize) -> World {
    let stays = some_stays(&settings, short, long);
    World::new(settings, &[], stays)
}
