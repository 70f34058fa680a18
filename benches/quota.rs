//! What a pattern of requests makes of a quota of 100 a minute, by the kind of window that the server counts with.
//!
//! In simulated time, against the simulator, which counts by itself: vcq's own pacer and the patterns that clients
//! usually follow. Answers take 0.35 s and sometimes seconds, one in 2000 never comes. `cargo bench --bench quota` takes
//! a week of vcq and four hours of each other pattern under each window, with several seeds, so phases of its minutes;
//! `cargo test --bench quota` a quarter of an hour. Either fails if vcq is refused once.

#![expect(clippy::print_stdout, reason = "the table is what this is for")]
#![expect(clippy::cast_precision_loss, reason = "no count is so large")]

use std::{sync::MutexGuard, time::Duration};

use chrono::{DateTime, Utc};
use futures_util::{FutureExt as _, StreamExt as _, future::join_all, stream::FuturesUnordered};
use secrecy::SecretString;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};
use vcq::{
    config::Config,
    feishu::transport::{Answer, Call, Request, Transport as _, TransportError},
    fetch::pace::{Pace, Turn, slot_time},
    simulator::{
        Settings, SharedSimulator, Simulator,
        faults::{Fault, FaultKind, When},
        in_process::{InProcess, wall_from},
        quota::{QuotaSettings, WindowKind},
        tenant::TenantSettings,
    },
};

const PER_MINUTE: u32 = 100;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// The pattern of requests of a client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pattern {
    Vcq,
    Burst,
    Even,
    Serial,
    Greedy,
}

impl Pattern {
    const ALL: [(Self, &str); 5] = [
        (Self::Vcq, "vcq"),
        (Self::Burst, "burst of 100 each 60 s"),
        (Self::Even, "even 0.600 s"),
        (Self::Serial, "answer, then sleep 0.6 s"),
        (Self::Greedy, "8 in flight, obeying the reset"),
    ];

    async fn follow(self, api: &Api) {
        match self {
            Self::Vcq => vcq(api).await,
            Self::Burst => burst(api).await,
            Self::Even => even(api).await,
            Self::Serial => serial(api).await,
            Self::Greedy => greedy(api).await,
        }
    }
}

/// Each kind of window; buckets of two sizes; where it makes a difference, refused requests counted or not.
fn windows() -> Vec<(&'static str, QuotaSettings)> {
    let of = |window, count_refused, bucket_capacity| QuotaSettings {
        window,
        count_refused,
        bucket_capacity,
        requests_per_minute: PER_MINUTE,
        ..QuotaSettings::default()
    };
    vec![
        ("fixed minute", of(WindowKind::Fixed, false, 0)),
        ("sliding", of(WindowKind::Sliding, false, 0)),
        ("sliding, strict", of(WindowKind::Sliding, true, 0)),
        ("weighted", of(WindowKind::Weighted, false, 0)),
        ("weighted, strict", of(WindowKind::Weighted, true, 0)),
        ("bucket of 100", of(WindowKind::Bucket, false, 100)),
        ("bucket of 10", of(WindowKind::Bucket, false, 10)),
    ]
}

/// A client's way to the server.
struct Api {
    inner: InProcess<Box<dyn Fn() -> DateTime<Utc>>>,
    config: Config,
}

impl Api {
    async fn ask(&self) -> Result<Answer, TransportError> {
        let path_and_query = "/open-apis/vc/v1/participant_quality_list".into();
        self.inner.send(Request { path_and_query, call: Call::Get { bearer: SecretString::default() } }).await
    }
}

/// The fetch loop's use of the pacer: one slot for each request, sixteen requests under way at most.
async fn vcq(api: &Api) {
    let mut pace = Pace::new(PER_MINUTE);
    let mut under_way = FuturesUnordered::new();
    let mut wake = Instant::now();
    for slot in 0.. {
        loop {
            let now = Instant::now();
            if under_way.len() < api.config.rate.in_flight_max {
                match pace.turn(now) {
                    Turn::Now => break,
                    Turn::Quota(at) | Turn::Gate(at) => wake = at,
                }
            }
            tokio::select! {
                biased;
                Some((slot, answer)) = under_way.next() => {
                    pace.answered(slot, Instant::now());
                    if let Some(wait) = refused_for(&answer) {
                        pace.close_gate(Instant::now() + wait);
                    }
                }
                () = sleep_until(wake), if wake > now => {}
            }
        }
        let now = Instant::now();
        pace.take(slot, now, now + slot_time(&api.config.api));
        under_way.push(api.ask().map(move |answer| (slot, answer)));
    }
}

async fn burst(api: &Api) {
    let mut minutes = interval(MINUTE);
    loop {
        minutes.tick().await;
        // An answer that does not come is not waited for.
        let _ = timeout(MINUTE / 2, join_all((0..PER_MINUTE).map(|_| api.ask()))).await;
    }
}

async fn even(api: &Api) {
    let mut turns = interval(MINUTE / PER_MINUTE);
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            _ = turns.tick() => under_way.push(api.ask()),
            Some(_) = under_way.next() => {}
        }
    }
}

async fn serial(api: &Api) {
    loop {
        let _ = api.ask().await;
        sleep(MINUTE / PER_MINUTE).await;
    }
}

async fn greedy(api: &Api) {
    let one = || async {
        loop {
            if let Some(wait) = refused_for(&api.ask().await) {
                sleep(wait).await;
            }
        }
    };
    join_all((0..8).map(|_| one())).await;
}

/// How long a refusal tells to wait, if the answer is one.
fn refused_for(answer: &Result<Answer, TransportError>) -> Option<Duration> {
    let reset_s = answer.as_ref().ok()?.ratelimit_reset.as_ref()?.parse().ok()?;
    Some(Duration::from_secs(reset_s))
}

/// What the servers of one window kind counted, over all seeds.
#[derive(Default)]
struct Count {
    minutes: f64,
    arrivals: u64,
    refused: u64,
    most_in_60_s: usize,
}

impl Count {
    fn add(&mut self, time: Duration, server: &MutexGuard<'_, Simulator>) {
        let books = server.books();
        self.minutes += time.as_secs_f64() / 60.0;
        self.arrivals += books.arrivals;
        self.refused += books.refused;
        self.most_in_60_s = self.most_in_60_s.max(books.most_in_60_s);
    }

    fn cell(&self) -> String {
        let through = (self.arrivals - self.refused) as f64 / self.minutes;
        let refused = 1000.0 * self.refused as f64 / self.arrivals as f64;
        format!("{:>22}", format!("{through:.2} / {refused:.1} / {}", self.most_in_60_s))
    }
}

/// A server without stays, which refuses every token after it has counted the request; the seed decides the phase.
fn server(quota: &QuotaSettings, seed: u64) -> SharedSimulator {
    let tenant = TenantSettings { seed, stays: 0, ..TenantSettings::default() };
    let faults = vec![Fault { kind: FaultKind::Hang, when: When::Rate(0.0005) }];
    Simulator::shared(Settings { tenant, quota: quota.clone(), faults, ..Settings::default() })
}

fn count(pattern: Pattern, quota: &QuotaSettings, seed: u64, time: Duration) -> (Duration, SharedSimulator) {
    let server = server(quota, seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without IO needs nothing").block_on(async {
        let config = Config::load(None, [], &[]).expect("the defaults are a configuration");
        let start = DateTime::from_timestamp(1_744_243_200, 0).expect("the time is in range");
        let wall = wall_from(start);
        let inner = InProcess::new(server.clone(), Box::new(wall) as Box<dyn Fn() -> _>, config.api.request_timeout);
        let _ = timeout(time, pattern.follow(&Api { inner, config })).await;
    });
    (time, server)
}

fn main() {
    // `cargo bench` says so; `cargo test` says nothing.
    let is_full = std::env::args().any(|argument| argument == "--bench");
    let seeds = if is_full { 1..=5 } else { 1..=1 };
    println!("requests let through a minute / refused of 1000 / most in any 60 s");
    print!("{:<32}", "");
    for (name, _) in windows() {
        print!("{name:>22}");
    }
    println!();
    for (pattern, name) in Pattern::ALL {
        let time = match (is_full, pattern) {
            (true, Pattern::Vcq) => 7 * 24 * HOUR,
            (true, _) => 4 * HOUR,
            (false, _) => HOUR / 4,
        };
        let mut line = format!("{name:<32}");
        for (_, quota) in windows() {
            let mut all = Count::default();
            for seed in seeds.clone() {
                let (time, server) = count(pattern, &quota, seed, time);
                all.add(time, &server.lock().expect("nobody panicked"));
            }
            assert!(pattern != Pattern::Vcq || all.refused == 0, "vcq was refused {} times: {quota:?}", all.refused);
            line += &all.cell();
        }
        println!("{line}");
    }
}
