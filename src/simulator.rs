//! A simulated Feishu tenant: meetings, stays and samples made from a seed, behind the API as it is documented.
//!
//! [`Simulator`] is a pure state machine: a request and the time of its arrival go in, an answer and how long it takes
//! come out. It has no clock, no thread and no file, so the same seed and the same requests give the same bytes. Two
//! fronts give it time and a client: [`http`] over a socket, [`in_process`] under tokio's clock, which tests pause.
//!
//! It shares no code with the pacer, the classifier or the readers of units and times: it counts, judges and writes
//! values by itself ([`Simulator::books`], [`Simulator::expected`]), so that it can convict them. Of the lists of meetings
//! and participants, [`Tenant::meetings`] and [`Tenant::attendances`] say what must become of them.

pub mod attendances;
pub mod books;
pub mod endpoint;
pub mod faults;
pub mod forms;
pub mod http;
pub mod in_process;
pub mod latency;
pub mod lists;
pub mod manifest;
pub mod meetings;
pub mod quota;
pub mod reply;
pub mod rows;
pub mod sign_in;
pub mod tenant;
pub mod token;
pub mod values;

mod api;
mod list_api;
mod page;
mod parameters;
mod quality_api;
mod random;
mod twist;

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use chrono::{DateTime, Utc};

use books::{AllBooks, Books};
use endpoint::Endpoint;
use faults::{AskedPage, Fault, FaultKind, Faults, Occasion, Settling};
use latency::Latency;
use meetings::MeetingKey;
use page::{Asked, PageDraft, What};
use quota::{Limiter, MonthlyQuota, QuotaSettings};
use random::{Purpose, stream};
use reply::{Delivery, LATE, Reply, Request};
use sign_in::{SignInBooks, SignInSettings, SignIns};
use tenant::{SimulatedStay, Tenant, TenantSettings};
use token::{TokenSettings, Tokens};
use values::{ExpectedSample, Samples};

const TOKEN_PATH: &str = "/open-apis/auth/v3/tenant_access_token/internal";
const APP_TOKEN_PATH: &str = "/open-apis/auth/v3/app_access_token/internal";
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
    /// How people sign in.
    pub sign_in: SignInSettings,
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
    /// Those of the endpoints, each by itself.
    limiters: [Limiter; 3],
    month: MonthlyQuota,
    tokens: Tokens,
    sign_ins: SignIns,
    books: AllBooks,
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
            limiters: Endpoint::ALL.map(|_| Limiter::new(&settings.quota, seed)),
            quota: settings.quota,
            latency: settings.latency,
            faults: Faults::new(seed, settings.faults),
            month: MonthlyQuota::default(),
            sign_ins: SignIns::new(settings.sign_in, settings.token.clone(), seed),
            tokens: Tokens::new(settings.token, seed),
            books: AllBooks::default(),
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
        self.books.of_mut(Endpoint::Quality).expect_pages(pages);
    }

    /// What has arrived so far at the quality endpoint and the token endpoint.
    pub fn books(&self) -> &Books {
        self.books_of(Endpoint::Quality)
    }

    /// What has arrived so far at an endpoint.
    pub fn books_of(&self, endpoint: Endpoint) -> &Books {
        self.books.of(endpoint)
    }

    /// What has been asked for by people who sign in.
    pub fn sign_in_books(&self) -> &SignInBooks {
        self.sign_ins.books()
    }

    /// How people sign in from now on.
    pub fn sign_in_settings_mut(&mut self) -> &mut SignInSettings {
        self.sign_ins.settings_mut()
    }

    /// Whether a refresh token would be taken at the time of the last request.
    pub fn honours(&self, refresh_token: &str) -> bool {
        self.sign_ins.honours(self.now_us, refresh_token)
    }

    /// Takes back what everybody has consented to.
    pub fn revoke_sign_ins(&mut self) {
        self.sign_ins.revoke();
    }

    /// What a listing of the meetings of the window that begins at `start_s` comes to, as far as faults at a rate decide
    /// it.
    pub fn outcome_of_window(&self, start_s: i64) -> Settling {
        self.faults.outcome(Endpoint::Meetings, start_s.cast_unsigned())
    }

    /// What a listing of a meeting's participants comes to, as far as faults at a rate decide it.
    pub fn outcome_of_meeting(&self, meeting: MeetingKey) -> Settling {
        self.faults.outcome(Endpoint::Participants, meeting.0)
    }

    /// What a run must make of a stay, once its data are there.
    pub fn expected(&self, stay: &SimulatedStay) -> ExpectedStay {
        let outcome = self.faults.outcome(Endpoint::Quality, stay.key.0);
        let count = if outcome == Settling::Done { stay.sample_count } else { 0 };
        let samples = (0..count).map(|index| self.samples(stay).expected(index)).collect();
        ExpectedStay { outcome, samples }
    }

    /// How long the next request takes to arrive. Between this and [`Self::handle`] time must pass accordingly.
    pub fn travel_time(&mut self) -> Duration {
        self.travels += 1;
        self.latency.travel(&mut stream(self.seed(), Purpose::Travel, self.travels, 0))
    }

    /// Counts a request for data that arrives at `now`, by its endpoint's window and in its books, and answers nothing.
    pub fn witness(&mut self, now: DateTime<Utc>, path_and_query: &str) {
        let Some(endpoint) = Endpoint::of_path(path_and_query) else { return };
        self.now_us = self.now_us.max(now.timestamp_micros());
        let books = self.books.of_mut(endpoint);
        books.arrive(self.now_us);
        books.refused += u64::from(self.limiters[endpoint as usize].arrive(self.now_us).is_err());
    }

    /// Answers a request that arrives at `now`, and says after which time the answer reaches the client.
    ///
    /// A time that goes back is taken for the last one.
    pub fn handle(&mut self, now: DateTime<Utc>, request: &Request) -> (Duration, Reply) {
        self.now_us = self.now_us.max(now.timestamp_micros());
        let (path, query) = request.path_and_query.split_once('?').unwrap_or((&request.path_and_query, ""));
        let reply = match (request.method.as_str(), path, Endpoint::of_path(path)) {
            ("GET", BOOKS_PATH, _) => {
                return (Duration::ZERO, books::reply(&self.books, &self.tenant, self.sign_ins.books()));
            }
            ("POST", TOKEN_PATH | APP_TOKEN_PATH, _) => self.answer_token(request),
            ("GET", sign_in::CONSENT_PATH | sign_in::ALLOW_PATH | sign_in::DENY_PATH, _) => {
                self.sign_ins.consent(self.now_us, path, query)
            }
            ("POST", sign_in::TOKEN_PATH, _) => self.sign_ins.tokens(self.now_us, request),
            ("POST", sign_in::OIDC_TOKEN_PATH | sign_in::OIDC_REFRESH_PATH, _) => self.answer_oidc(request),
            ("GET", sign_in::PERSON_PATH, _) => self.sign_ins.person(self.now_us, request.authorization.as_deref()),
            ("GET", _, Some(endpoint)) => self.answer_data(endpoint, request, query),
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
        let TenantSettings { other_forms, good_connections, .. } = *self.tenant.settings();
        Samples { seed: self.seed(), other_forms, good_connections, stay }
    }

    fn answer_token(&mut self, request: &Request) -> Reply {
        let books = self.books.of_mut(Endpoint::Quality);
        books.token_requests += 1;
        let occasion = Occasion {
            endpoint: None,
            ordinal: books.token_requests,
            ordinal_there: books.token_requests,
            now_us: self.now_us,
            has_page_token: false,
            page: None,
        };
        let served = self.tokens.answer(self.now_us, request);
        books.tokens_issued = self.tokens.issued();
        match self.strike(&occasion) {
            Some(fault) => self.twist(fault, served, &occasion),
            None => served,
        }
    }

    fn answer_data(&mut self, endpoint: Endpoint, request: &Request, query: &str) -> Reply {
        let books = self.books.of_mut(endpoint);
        books.arrive(self.now_us);
        if let Err(refused) = self.limiters[endpoint as usize].arrive(self.now_us) {
            books.refused += 1;
            return twist::throttled(self.quota.refusal_status)
                .with_header("x-ogw-ratelimit-limit", self.quota.requests_per_minute.to_string())
                .with_header("x-ogw-ratelimit-reset", refused.reset_s().to_string());
        }
        if self.month.is_used_up(self.now_us, self.quota.requests_per_month) {
            books.refused_for_month += 1;
            return twist::month_used_up();
        }
        books.accepted += 1;
        let reply = self.serve(endpoint, request, query);
        if reply.status < 400 {
            self.month.count();
        }
        let code = reply.code.and_then(|code| i64::try_from(code).ok()).unwrap_or(-1);
        *self.books.of_mut(endpoint).answers_by_code.entry(code).or_default() += 1;
        reply
    }

    /// Serves a request that is within the quota: token, parameters, page, and the fault that strikes it.
    fn serve(&mut self, endpoint: Endpoint, request: &Request, query: &str) -> Reply {
        let token = self.check_token(endpoint, request.authorization.as_deref());
        let now_s = self.now_us.div_euclid(1_000_000);
        let check = |()| api::check(endpoint, &self.tenant, now_s, query).map_err(|violation| violation.reply());
        let asked = token.and_then(check);
        let occasion = self.occasion(endpoint, asked.as_ref().ok());
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
        if let Some(asked) = page {
            let (first, empty_pages) = (asked.place.first, asked.place.empty_pages);
            let is_spoilt = fault.is_some_and(|fault| fault.spoils_page(first, asked.count, empty_pages));
            self.books.of_mut(endpoint).page_mut(asked.thing(), first).enter(&reply, is_spoilt);
        }
        reply
    }

    /// Whether the bearer may ask this endpoint: the app, unless the tenant lets no app ask, or a person who consented.
    fn check_token(&mut self, endpoint: Endpoint, authorization: Option<&str>) -> Result<(), Reply> {
        let token = authorization.and_then(|header| header.strip_prefix("Bearer "));
        if let Some(token) = token.filter(|token| token.starts_with("eyJ")) {
            return self.sign_ins.check(self.now_us, token, Some(endpoint)).map(drop);
        }
        self.tokens.check(self.now_us, authorization)?;
        if self.sign_ins.refuses_tenants() { Err(parameters::NO_PERMISSION.reply()) } else { Ok(()) }
    }

    /// The historic token endpoints, which the official SDK has functions for.
    fn answer_oidc(&mut self, request: &Request) -> Reply {
        match self.tokens.check(self.now_us, request.authorization.as_deref()) {
            Ok(()) => self.sign_ins.oidc_tokens(self.now_us, request),
            Err(refusal) => refusal,
        }
    }

    fn serve_page(&self, asked: &Asked, fault: Option<FaultKind>) -> Reply {
        let mut page = PageDraft::of(asked, self.seed(), list_api::repeats_item(&self.tenant, asked));
        if let Some(fault) = fault {
            twist::twist_page(fault, &mut page, asked, self.seed());
        }
        match &asked.what {
            What::Stay(stay) => page.samples(self.samples(stay)),
            _ => list_api::write(&self.tenant, asked, &page),
        }
    }

    fn occasion(&self, endpoint: Endpoint, asked: Option<&Asked>) -> Occasion {
        let books = self.books.of(endpoint);
        let page = |asked: &Asked| {
            let (thing, first) = (asked.thing(), asked.place.first);
            AskedPage { thing, first, before: books.page_of(thing, first).asked }
        };
        Occasion {
            endpoint: Some(endpoint),
            ordinal: self.books.accepted(),
            ordinal_there: books.accepted,
            now_us: self.now_us,
            has_page_token: asked.is_some_and(|asked| asked.has_token),
            page: asked.map(page),
        }
    }

    fn strike(&mut self, occasion: &Occasion) -> Option<FaultKind> {
        let fault = self.faults.strike(occasion)?;
        let books = self.books.of_mut(occasion.endpoint.unwrap_or(Endpoint::Quality));
        *books.faults.entry(fault.name()).or_default() += 1;
        Some(fault)
    }

    fn twist(&self, fault: FaultKind, served: Reply, occasion: &Occasion) -> Reply {
        let is_for_token = u64::from(occasion.endpoint.is_none());
        let mut rng = stream(self.seed(), Purpose::FaultForm, occasion.ordinal, is_for_token);
        twist::twist_reply(fault, served, occasion.endpoint, &mut rng)
    }
}

/// The simulator, for as long as nothing is awaited.
fn lock(simulator: &SharedSimulator) -> MutexGuard<'_, Simulator> {
    simulator.lock().expect("nothing panics while it holds the simulator")
}
