//! What passes on the way to the server in a week, in memory that does not grow with it.

use std::{
    alloc::System,
    collections::HashSet,
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use cap::Cap;
use chrono::{DateTime, Utc};

/// Counts what the process has allocated, in bytes.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// What was found at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) requests: u64,
    /// What is allocated and not given back: the same in every run of a seed, but for threads that publish just then.
    pub(crate) allocated_bytes: u64,
    /// What the operating system has given: with it SQLite's memory, and the gaps among what is allocated, which come as they come.
    pub(crate) resident_bytes: u64,
}

/// The requests for data since `start`.
pub(crate) struct Seen {
    start: DateTime<Utc>,
    /// Meetings from here on, in unix seconds, are those of the nights.
    nights_from_s: i64,
    pub(crate) nights: Vec<Night>,
    /// Requests by minute.
    pub(crate) minutes: Vec<u32>,
    /// When the memory is to be measured.
    measure_after: Vec<Duration>,
    pub(crate) memory: Vec<Memory>,
    count: u64,
}

/// The requests of a nightly export.
pub(crate) struct Night {
    pub(crate) starts_after: Duration,
    pub(crate) stays: usize,
    /// Hashes of what was asked for.
    asked: HashSet<u64>,
    /// Requests of the backfill after the start, while some of the stays had not been asked for.
    pub(crate) behind_backfill: u64,
}

impl Night {
    pub(crate) fn new(starts_after: Duration, stays: usize) -> Self {
        Self { starts_after, stays, asked: HashSet::with_capacity(stays), behind_backfill: 0 }
    }
}

impl Seen {
    pub(crate) fn new(
        start: DateTime<Utc>,
        nights_from_s: i64,
        nights: Vec<Night>,
        measure_after: Vec<Duration>,
    ) -> Self {
        Self { start, nights_from_s, nights, minutes: Vec::new(), measure_after, memory: Vec::new(), count: 0 }
    }

    pub(crate) fn request(&mut self, at: DateTime<Utc>, path_and_query: &str) {
        self.count += 1;
        let since = (at - self.start).to_std().unwrap();
        let minute = usize::try_from(since.as_secs() / 60).unwrap();
        self.minutes.resize(self.minutes.len().max(minute + 1), 0);
        self.minutes[minute] += 1;
        if self.measure_after.get(self.memory.len()).is_some_and(|after| since >= *after) {
            self.memory.push(Memory {
                requests: self.count,
                allocated_bytes: u64::try_from(ALLOCATOR.allocated()).unwrap(),
                resident_bytes: resident_bytes(),
            });
        }
        let night = (meeting_start_s(path_and_query) - self.nights_from_s).div_euclid(86_400);
        if let Ok(night) = usize::try_from(night) {
            let mut hasher = DefaultHasher::new();
            path_and_query.hash(&mut hasher);
            self.nights[night].asked.insert(hasher.finish());
        } else {
            for night in self.nights.iter_mut().filter(|night| since >= night.starts_after) {
                night.behind_backfill += u64::from(night.asked.len() < night.stays);
            }
        }
    }
}

fn meeting_start_s(path_and_query: &str) -> i64 {
    let (_, rest) = path_and_query.split_once("meeting_start_time=").unwrap();
    rest.split('&').next().unwrap().parse().unwrap()
}

/// The memory of this process in RAM that is of no file.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}
