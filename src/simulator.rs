//! A simulated Feishu tenant: meetings, stays and samples made from a seed, behind the API as it is documented.
//!
//! [`Simulator`] is a pure state machine: a request and the time of its arrival go in, an answer and how long it takes
//! come out. It has no clock, no thread and no file, so the same seed and the same requests give the same bytes. Two
//! fronts give it time and a client: [`http`] over a socket, [`in_process`] under tokio's clock, which tests pause.
//!
//! It shares no code with the pacer, the classifier or the readers of units and times: it counts, judges and writes
//! values by itself ([`Simulator::books`], [`Simulator::expected`]), so that it can convict them.

pub mod books;
pub mod faults;
pub mod forms;
pub mod http;
pub mod in_process;
pub mod latency;
pub mod manifest;
pub mod quota;
pub mod reply;
pub mod tenant;
pub mod token;
pub mod values;

mod api;
mod random;
mod twist;

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use chrono::{DateTime, Utc};

use api::{Asked, Page};
use books::Books;
use faults::{Fault, FaultKind, Faults, Occasion, Settling};
use latency::Latency;
use quota::{Limiter, MonthlyQuota, QuotaSettings};
use random::{Purpose, stream};
use reply::{Delivery, LATE, Reply, Request};
use tenant::{SimulatedStay, Tenant, TenantSettings};
use token::{TokenSettings, Tokens};
use values::{ExpectedSample, Samples};

const TOKEN_PATH: &str = "/open-apis/auth/v3/tenant_access_token/internal";
const QUALITY_PATH: &str = "/open-apis/vc/v1/participant_quality_list";
const BOOKS_PATH: &str = "/_sim/books";

/// Everything that can be chosen about a simulated server.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The tenant.
    pub tenant: TenantSettings,
    /// The quotas.
    pub quota: QuotaSettings,
    /// The app and its tokens.
    pub token: TokenSettings,
    /// How long requests and answers travel.
    pub latency: Latency,
    /// Faults; at most one strikes a request, the first of the list that does.
    pub faults: Vec<Fault>,
}

/// What a run must make of a stay.
#[derive(Clone, Debug)]
pub struct ExpectedStay {
    /// What it comes to, as far as the tenant and faults at a rate decide it.
    pub outcome: Settling,
    /// Its samples; none unless the outcome is [`Settling::Done`].
    pub samples: Vec<ExpectedSample>,
}

/// A simulated server that several fronts can share.
pub type SharedSimulator = Arc<Mutex<Simulator>>;

/// The simulated server's state. See the [module](self).
pub struct Simulator {
    tenant: Tenant,
    quota: QuotaSettings,
    latency: Latency,
    faults: Faults,
    limiter: Limiter,
    month: MonthlyQuota,
    tokens: Tokens,
    books: Books,
    now_us: i64,
    travels: u64,
    answers: u64,
}

impl Simulator {
    /// A server that nobody has asked anything yet.
    pub fn new(settings: Settings) -> Self {
        let seed = settings.tenant.seed;
        Self {
            tenant: Tenant::new(settings.tenant),
            limiter: Limiter::new(&settings.quota, seed),
            quota: settings.quota,
            latency: settings.latency,
            faults: Faults::new(seed, settings.faults),
            month: MonthlyQuota::default(),
            tokens: Tokens::new(settings.token, seed),
            books: Books::default(),
            now_us: i64::MIN,
            travels: 0,
            answers: 0,
        }
    }

    /// The same, to be shared among fronts.
    pub fn shared(settings: Settings) -> SharedSimulator {
        Arc::new(Mutex::new(Self::new(settings)))
    }

    /// The tenant.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// Makes room for what will be asked for, so that memory no longer grows with the pages in the books.
    pub fn expect_pages(&mut self, pages: usize) {
        self.books.expect_pages(pages);
    }

    /// What has arrived so far.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// What a run must make of a stay, once its data are there.
    pub fn expected(&self, stay: &SimulatedStay) -> ExpectedStay {
        let outcome = self.faults.outcome(stay.key);
        let count = if outcome == Settling::Done { stay.sample_count } else { 0 };
        let samples = (0..count).map(|index| self.samples(stay).expected(index)).collect();
        ExpectedStay { outcome, samples }
    }

    /// How long the next request takes to arrive. Between this and [`Self::handle`] time must pass accordingly.
    pub fn travel_time(&mut self) -> Duration {
        self.travels += 1;
        self.latency.travel(&mut stream(self.seed(), Purpose::Travel, self.travels, 0))
    }

    /// Counts a request for data that arrives at `now`, by the window and in the books, and answers nothing.
    pub fn witness(&mut self, now: DateTime<Utc>) {
        self.now_us = self.now_us.max(now.timestamp_micros());
        self.books.arrive(self.now_us);
        self.books.refused += u64::from(self.limiter.arrive(self.now_us).is_err());
    }

    /// Answers a request that arrives at `now`, and says after which time the answer reaches the client.
    ///
    /// A time that goes back is taken for the last one.
    pub fn handle(&mut self, now: DateTime<Utc>, request: &Request) -> (Duration, Reply) {
        self.now_us = self.now_us.max(now.timestamp_micros());
        let (path, query) = request.path_and_query.split_once('?').unwrap_or((&request.path_and_query, ""));
        let reply = match (request.method.as_str(), path) {
            ("GET", BOOKS_PATH) => return (Duration::ZERO, books::reply(&self.books, &self.tenant)),
            ("POST", TOKEN_PATH) => self.answer_token(request),
            ("GET", QUALITY_PATH) => self.answer_quality(request, query),
            _ => Reply::not_found(),
        };
        self.answers += 1;
        let usual = self.latency.answer(&mut stream(self.seed(), Purpose::Answer, self.answers, 0));
        let delay = if reply.delivery == Delivery::Late { usual + LATE } else { usual };
        let log_id = format!("{:014}{:018X}", self.now_us / 1_000_000, self.answers);
        (delay, reply.signed(log_id))
    }

    fn seed(&self) -> u64 {
        self.tenant.settings().seed
    }

    fn samples<'a>(&self, stay: &'a SimulatedStay) -> Samples<'a> {
        Samples { seed: self.seed(), other_forms: self.tenant.settings().other_forms, stay }
    }

    fn answer_token(&mut self, request: &Request) -> Reply {
        self.books.token_requests += 1;
        let occasion = Occasion {
            ordinal: self.books.token_requests,
            now_us: self.now_us,
            is_for_token: true,
            has_page_token: false,
            page: None,
        };
        let served = self.tokens.answer(self.now_us, request);
        self.books.tokens_issued = self.tokens.issued();
        match self.strike(&occasion) {
            Some(fault) => self.twist(fault, served, &occasion),
            None => served,
        }
    }

    fn answer_quality(&mut self, request: &Request, query: &str) -> Reply {
        self.books.arrive(self.now_us);
        if let Err(refused) = self.limiter.arrive(self.now_us) {
            self.books.refused += 1;
            return twist::throttled(self.quota.refusal_status)
                .with_header("x-ogw-ratelimit-limit", self.quota.requests_per_minute.to_string())
                .with_header("x-ogw-ratelimit-reset", refused.reset_s().to_string());
        }
        if self.month.is_used_up(self.now_us, self.quota.requests_per_month) {
            self.books.refused_for_month += 1;
            return twist::month_used_up();
        }
        self.books.accepted += 1;
        let reply = self.serve(request, query);
        if reply.status < 400 {
            self.month.count();
        }
        let code = reply.code.and_then(|code| i64::try_from(code).ok()).unwrap_or(-1);
        *self.books.answers_by_code.entry(code).or_default() += 1;
        reply
    }

    /// Serves a request that is within the quota: token, parameters, page, and the fault that strikes it.
    fn serve(&mut self, request: &Request, query: &str) -> Reply {
        let token = self.tokens.check(self.now_us, request.authorization.as_deref());
        let now_s = self.now_us.div_euclid(1_000_000);
        let asked = token.and_then(|()| api::check(&self.tenant, now_s, query).map_err(|violation| violation.reply()));
        let occasion = self.occasion(asked.as_ref().ok());
        let fault = self.strike(&occasion);
        match fault {
            Some(FaultKind::TokenRevoked) => self.tokens.revoke(),
            Some(FaultKind::TokenDead) => self.tokens.kill(),
            _ => {}
        }
        let (served, page) = match asked {
            Ok(asked) => (self.serve_page(&asked, fault), Some(asked)),
            Err(refusal) => (refusal, None),
        };
        let reply = match fault {
            Some(fault) => self.twist(fault, served, &occasion),
            None => served,
        };
        if let Some(Asked { stay, first_sample, empty_pages, .. }) = page {
            let is_spoilt = fault.is_some_and(|fault| fault.spoils_page(first_sample, stay.sample_count, empty_pages));
            self.books.page_mut(stay.key, first_sample).enter(&reply, is_spoilt);
        }
        reply
    }

    fn serve_page(&self, asked: &Asked, fault: Option<FaultKind>) -> Reply {
        let mut page = Page::of(asked, self.seed());
        if let Some(fault) = fault {
            twist::twist_page(fault, &mut page, asked, self.seed());
        }
        page.reply(self.samples(&asked.stay))
    }

    fn occasion(&self, asked: Option<&Asked>) -> Occasion {
        let page = |asked: &Asked| {
            let before = self.books.page(asked.stay.key, asked.first_sample).asked;
            (asked.stay.key, asked.first_sample, before)
        };
        Occasion {
            ordinal: self.books.accepted,
            now_us: self.now_us,
            is_for_token: false,
            has_page_token: asked.is_some_and(|asked| asked.has_token),
            page: asked.map(page),
        }
    }

    fn strike(&mut self, occasion: &Occasion) -> Option<FaultKind> {
        let fault = self.faults.strike(occasion)?;
        *self.books.faults.entry(fault.name()).or_default() += 1;
        Some(fault)
    }

    fn twist(&self, fault: FaultKind, served: Reply, occasion: &Occasion) -> Reply {
        let endpoint = u64::from(occasion.is_for_token);
        let mut rng = stream(self.seed(), Purpose::FaultForm, occasion.ordinal, endpoint);
        twist::twist_reply(fault, served, &mut rng)
    }
}

/// The simulator, for as long as nothing is awaited.
fn lock(simulator: &SharedSimulator) -> MutexGuard<'_, Simulator> {
    simulator.lock().expect("nothing panics while it holds the simulator")
}
