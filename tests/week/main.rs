//! A backfill of seven days at the API's real rate and latencies, in simulated time, in a process of its own because it
//! measures its memory.
//!
//! While it lasts, a nightly export starts each night, tokens end every two hours, faults of network, server and token
//! come at random, and the backfill is killed and started again, also while a nightly export runs. `cargo test` takes
//! one of the seven days; `VCQ_SIM_DAYS=7 cargo test --test week` takes all, `VCQ_SIM_SEED=…` another seed, and
//! `VCQ_SIM_SECONDS=…` goes on with further ones for so long.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::cast_precision_loss, reason = "no count is so large")]
#![expect(clippy::print_stdout, reason = "shown with a failure, or by --nocapture: what was measured")]

use std::{
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use vcq::{
    journal::Lane,
    simulator::{
        Settings,
        faults::{Fault, FaultKind, When},
        tenant::{SimulatedStay, Tenant, TenantSettings},
    },
};

use crate::{
    invariants::{check, check_complete, check_report},
    seen::{Night, Seen},
    world::{Kill, Life, Orders, World},
};

#[path = "../support/invariants.rs"]
#[expect(dead_code, reason = "the other runs need more of it")]
mod invariants;
#[path = "../support/oracle.rs"]
mod oracle;
#[path = "../support/seeds.rs"]
#[expect(dead_code, reason = "the other runs need more of it")]
mod seeds;
#[path = "../support/world.rs"]
#[expect(dead_code, reason = "the other runs need more of it")]
mod world;

mod seen;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Stays of a simulated day of requests: a few more than the quota allows after the faults.
const STAYS_PER_DAY: u64 = 140_000;

/// Days of meetings before the first night: their stays are what the backfill asks for.
const HISTORY_DAYS: u32 = 60;

/// The backfill starts at ten in the morning (UTC+8), the nightly exports at two.
const FIRST_NIGHT_AFTER: Duration = Duration::from_secs(16 * 3600);
const STARTS_AT_HOUR: i64 = 10;

/// After a kill nobody knows when the requests under way were answered: their slots are taken for that long.
const WAIT_AFTER_KILL: Duration = Duration::from_secs(101);

/// Before the end of the backfill nothing may be left but second attempts that wait.
const LAST_ATTEMPTS: TimeDelta = TimeDelta::minutes(10);

/// What may be added to the process's memory after the first restart: once by the journal's caches, by threads that publish,
/// each of which allocates for itself, and by what later restarts leave; and by each request, less than any leak would. From the
/// middle of the time on little is added once: so a leak of a kilobyte a request shows in a day, one of 20 bytes in the week.
/// What is added once depends on what the process has taken by the first look: weeks that ended with 306 and 308 MB began with 240 and 263.
const GROWTH_BYTES: u64 = 72 << 20;
const LATER_GROWTH_BYTES: u64 = 8 << 20;
const GROWTH_BYTES_PER_REQUEST: u64 = 4;
const REQUESTS_A_DAY: u64 = 100 * 60 * 24;

/// The code of an answer to a token that is not good, or not any more.
const TOKEN_REFUSED: i64 = 99_991_663;

/// Faults by request, and some that stay: all that pass without closing the gate for a minute.
const FAULTS: [(FaultKind, f64); 13] = [
    (FaultKind::GatewayHtml, 0.0005),
    (FaultKind::GatewayJson, 0.0003),
    (FaultKind::InternalError, 0.002),
    (FaultKind::NoConnection, 0.0005),
    (FaultKind::Reset, 0.0005),
    (FaultKind::LostAnswer, 0.0005),
    (FaultKind::CutBody, 0.0003),
    (FaultKind::Hang, 0.0001),
    (FaultKind::StalledBody, 0.0001),
    (FaultKind::InvalidJson, 0.0003),
    (FaultKind::TokenRejected, 0.0001),
    (FaultKind::AbsentData, 0.0005),
    (FaultKind::RejectedRow, 0.0002),
];

#[test]
fn a_backfill_of_days_with_nightly_exports_restarts_and_faults() {
    seeds::with_seeds_of(&[1], |seed| Week::new(seed, days()).run());
}

#[expect(clippy::disallowed_methods, reason = "the environment chooses how long the week is")]
fn days() -> u32 {
    std::env::var("VCQ_SIM_DAYS").map_or(1, |days| days.parse().unwrap())
}

struct Week {
    world: World,
    days: u32,
    /// When the backfill starts.
    start: DateTime<Utc>,
    backfill_stays: usize,
    /// When the backfill is killed and when it is started again, counted from its first start.
    kills: Vec<(Duration, Duration)>,
    seen: Arc<Mutex<Seen>>,
}

fn night_after(night: u32) -> Duration {
    FIRST_NIGHT_AFTER + DAY * night
}

fn night_name(night: u32) -> String {
    format!("night-{night}.csv")
}

/// When the memory is measured: first after a restart, which leaves gaps among what is allocated, and at no time during a
/// night, when two processes would be measured together.
fn measure_after(days: u32) -> Vec<Duration> {
    let (first, last) = (DAY * 65 / 100, DAY * days * 95 / 100);
    vec![first, (first + last) / 2, last]
}

/// The tenant's days are those of the history, then those before each night.
fn settings(seed: u64, days: u32) -> Settings {
    let tenant = TenantSettings {
        seed,
        days: HISTORY_DAYS + days,
        stays: STAYS_PER_DAY * u64::from(days),
        // A page of a few samples: what counts here are the requests.
        meeting_minutes_max: 0,
        other_forms: 0.02,
        ..TenantSettings::default()
    };
    let faults = FAULTS.map(|(kind, rate)| Fault { kind, when: When::Rate(rate) }).to_vec();
    Settings { tenant, faults, ..Settings::default() }
}

impl Week {
    fn new(seed: u64, days: u32) -> Self {
        let settings = settings(seed, days);
        let first_day = settings.tenant.first_day.and_time(NaiveTime::MIN).and_utc() - TimeDelta::hours(8);
        let nights_from = first_day + TimeDelta::days(i64::from(HISTORY_DAYS));
        let stays: Vec<SimulatedStay> = Tenant::new(settings.tenant.clone()).stays().collect();
        let mut world = World::new(settings, &[], stays);
        world.now = nights_from + TimeDelta::hours(STARTS_AT_HOUR);
        world.server().expect_pages(world.stays.len());
        let write = |name: &str, night: Option<u32>| {
            let night_of = |stay: &SimulatedStay| (stay.meeting_start_s - nights_from.timestamp()).div_euclid(86_400);
            let fits = |stay: &&SimulatedStay| u32::try_from(night_of(stay)).ok() == night;
            world.write_manifest(name, world.stays.iter().filter(fits));
            world.stays.iter().filter(fits).count()
        };
        let backfill_stays = write("backfill.csv", None);
        let nights = (0..days).map(|night| Night::new(night_after(night), write(&night_name(night), Some(night))));
        let watch = Seen::new(world.now, nights_from.timestamp(), nights.collect(), measure_after(days));
        let watch = Arc::new(Mutex::new(watch));
        let told = Arc::clone(&watch);
        let start = world.now;
        world.watch = Some(Box::new(move |at, path_and_query| told.lock().unwrap().request(at, path_and_query)));
        Self { world, days, start, backfill_stays, kills: kills(seed, days), seen: watch }
    }

    fn run(mut self) {
        let mut orders = self.backfill_orders();
        let lives_of_backfill = orders.len();
        orders.extend((0..self.days).map(|night| Orders {
            manifest: self.world.path(&night_name(night)),
            starts_after: night_after(night),
            until: Some(self.until()),
            ..self.world.orders()
        }));
        let lives = self.world.live(&orders);
        let (of_backfill, of_nights) = lives.split_at(lives_of_backfill);
        let (last, killed) = of_backfill.split_last().unwrap();
        assert!(killed.iter().all(|life| life.exit.is_none()), "the backfill ended before it was killed");
        Self::check_account(last, self.backfill_stays);
        let seen = self.seen.lock().unwrap();
        for (night, life) in seen.nights.iter().zip(of_nights) {
            Self::check_account(life, night.stays);
            self.check_not_late(night, life);
        }
        self.check_share(&seen, last);
        self.check_tokens_and_faults();
        check_memory(&seen);
        check(&self.world, last);
        check_complete(&self.world);
    }

    /// A run that is a day late will not come to its end by itself.
    fn until(&self) -> TimeDelta {
        TimeDelta::days(i64::from(self.days) + 1)
    }

    /// One life of the backfill after each kill.
    fn backfill_orders(&self) -> Vec<Orders> {
        let starts = std::iter::once(Duration::ZERO).chain(self.kills.iter().map(|(_, again)| *again));
        let ends = self.kills.iter().map(|(killed, _)| Some(*killed)).chain([None]);
        let kill = |start, end: Option<Duration>| end.map_or(Kill::Never, |end| Kill::After(end.saturating_sub(start)));
        let orders = |(starts_after, killed)| Orders {
            manifest: self.world.path("backfill.csv"),
            lane: Lane::Backfill,
            starts_after,
            kill: kill(starts_after, killed),
            until: Some(self.until()),
            ..self.world.orders()
        };
        starts.zip(ends).map(orders).collect()
    }

    fn check_account(life: &Life, stays: usize) {
        let stays = stays as u64;
        let [duplicates, rejected, done, absent, failed, pending] = life.account();
        assert_eq!((duplicates, failed, rejected + done + absent + pending), (0, 0, stays), "{:#}", life.report);
        // Of some the API has no samples, and while their meeting is young, a later run asks again.
        let young = life.count("/manifest/pending_young");
        assert!((done + young) * 1000 > stays * 995, "{:#}", life.report);
        check_report(life, life.exit.unwrap());
    }

    /// A nightly export ends as if there were no backfill: its stays at the pace, and what faults and kills cost it.
    fn check_not_late(&self, night: &Night, life: &Life) {
        let began = night.starts_after;
        let took = (life.ended - self.start).to_std().unwrap().saturating_sub(began);
        let kills = self.kills.iter().filter(|(killed, _)| (began..began + took).contains(killed)).count();
        let at_pace = Duration::from_secs_f64(night.stays as f64 * 0.6 / 0.985);
        // One request in 200 is a second one, and the last stays may wait for several.
        let for_faults = at_pace / 100 + Duration::from_secs(300);
        let longest = at_pace + for_faults + WAIT_AFTER_KILL * u32::try_from(kills).unwrap();
        assert!(took < longest, "the night after {began:?} took {took:?}, longer than {longest:?}");
        assert!(night.behind_backfill <= 2, "{} requests of the backfill came before it", night.behind_backfill);
    }

    /// Over all minutes in which there was work and no wait after a restart.
    fn check_share(&self, seen: &Seen, last: &Life) {
        let worked = (last.ended - self.start - LAST_ATTEMPTS).num_minutes();
        let waits = |minute: u32| {
            let (from, to) = (MINUTE * minute, MINUTE * (minute + 1));
            self.kills.iter().any(|(killed, again)| to > *killed && from < *again + WAIT_AFTER_KILL)
        };
        let working = seen.minutes.iter().zip(0..).take(usize::try_from(worked).unwrap());
        let counts: Vec<u32> = working.filter(|(_, minute)| !waits(*minute)).map(|(count, _)| *count).collect();
        let share = f64::from(counts.iter().sum::<u32>()) / counts.len() as f64;
        println!("{share:.2} % of the quota used over {} minutes", counts.len());
        assert!(share >= 98.5, "{share:.2} % of the quota used");
    }

    fn check_tokens_and_faults(&self) {
        let books = self.world.books();
        println!("{} arrivals, {} tokens, {:?}", books.arrivals, books.tokens_issued, books.faults);
        assert!(books.tokens_issued >= u64::from(self.days) * 12, "{} tokens", books.tokens_issued);
        let (refused, struck) = (books.answers_by_code[&TOKEN_REFUSED], books.faults[FaultKind::TokenRejected.name()]);
        assert_eq!(refused, struck, "a token was used after its end");
        for (kind, _) in FAULTS {
            assert!(books.faults.contains_key(kind.name()), "{kind:?} never struck");
        }
    }
}

fn check_memory(seen: &Seen) {
    let memory = &seen.memory;
    println!("memory, after requests: {memory:?}");
    let [first, .., last] = memory[..] else { panic!("{memory:?}") };
    let check = |(early, before): (u64, u64), once: u64| {
        let most = before + once + GROWTH_BYTES_PER_REQUEST * (last.0 - early);
        assert!(last.1 <= most, "more than {most} bytes of memory: {memory:?}");
    };
    check(first, GROWTH_BYTES);
    // Within a day the middle is no place from which all has been added that is added once.
    if let [_, middle, _] = memory[..]
        && last.0 - middle.0 > REQUESTS_A_DAY
    {
        check(middle, LATER_GROWTH_BYTES);
    }
}

/// Two kills on each day, one of them during a nightly export, which has to take over; after seconds or minutes the
/// backfill is started again.
fn kills(seed: u64, days: u32) -> Vec<(Duration, Duration)> {
    let mut rng = StdRng::seed_from_u64(seed);
    let at_night = FIRST_NIGHT_AFTER + MINUTE..FIRST_NIGHT_AFTER + MINUTE * 20;
    let mut kill = |day: u32, time: Range<Duration>| {
        let killed = DAY * day + rng.random_range(time);
        (killed, killed + rng.random_range(Duration::from_secs(1)..MINUTE * 10))
    };
    (0..days).flat_map(|day| [kill(day, MINUTE..MINUTE * 800), kill(day, at_night.clone())]).collect()
}
