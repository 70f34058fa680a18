//! Faults: which ones there are, and when one fires. What a fault does to an answer stands in `twist.rs`.

use std::fmt::Write as _;

use rand::Rng;

use super::{
    endpoint::Endpoint,
    meetings::MeetingKey,
    random::{Purpose, stream},
    tenant::StayKey,
};

macro_rules! fault_kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident = $name:literal,)+) => {
        /// The kinds of faults.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FaultKind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl FaultKind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// The name on the command line and in the books.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }

            /// What the kind does, in one line.
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$kind => concat!($($doc),+),)+
                }
            }
        }
    };
}

fault_kinds! {
    /// HTTP 500, 502, 503 or 504 with an HTML page
    GatewayHtml = "gateway-html",
    /// HTTP 500, 502, 503 or 504 with JSON that carries no code
    GatewayJson = "gateway-json",
    /// a code that means "try again", such as 121001, with HTTP 500 or 200
    InternalError = "internal-error",
    /// HTTP 429 with an empty body and no headers
    ThrottledEmpty = "throttled-empty",
    /// a refusal with 99991400 that names no reset
    ThrottledNoReset = "throttled-no-reset",
    /// a refusal with 99991400 whose reset is no sensible number
    ThrottledOddReset = "throttled-odd-reset",
    /// a refusal with 1000004 or 1000005
    ThrottledOtherCode = "throttled-other-code",
    /// the month's quota is used up: 429 with 99991403
    MonthUsedUp = "month-used-up",
    /// the connection is refused; the books count the request all the same
    NoConnection = "no-connection",
    /// the connection is cut before the headers, nothing was served
    Reset = "reset",
    /// the page is served and counted, but the connection is cut before the headers
    LostAnswer = "lost-answer",
    /// the connection is cut in the middle of the body
    CutBody = "cut-body",
    /// no answer, the connection stays open
    Hang = "hang",
    /// the body stops in the middle, the connection stays open
    StalledBody = "stalled-body",
    /// HTTP 200 with JSON that ends too early
    InvalidJson = "invalid-json",
    /// HTTP 200 with an empty body
    EmptyBody = "empty-body",
    /// HTTP 200 whose code is a text, null, missing or huge
    OddCode = "odd-code",
    /// HTTP 200 with code 0, but `data` is not of the documented form
    OtherForm = "other-form",
    /// a body of more than 32 MiB
    OversizedBody = "oversized-body",
    /// a body of more than 32 MiB, small by gzip
    GzipBomb = "gzip-bomb",
    /// HTTP 302 to another host
    Redirect = "redirect",
    /// a good token is refused once
    TokenRejected = "token-rejected",
    /// the token is bad from now on, the token endpoint issues another
    TokenRevoked = "token-revoked",
    /// the token is bad from now on, the token endpoint goes on to hand it out
    TokenDead = "token-dead",
    /// the token endpoint answers HTTP 503
    TokenUnavailable = "token-unavailable",
    /// the token endpoint says 10014
    TokenDenied = "token-denied",
    /// 121005, no permission
    NoPermission = "no-permission",
    /// 99991672, the app lacks a scope
    NoScope = "no-scope",
    /// 126009, no such meeting
    AbsentMeeting = "absent-meeting",
    /// 126010, no such device
    AbsentDevice = "absent-device",
    /// 121004 with HTTP 404, no data
    AbsentData = "absent-data",
    /// 121003, parameter error
    RejectedRow = "rejected-row",
    /// a code that no documentation names, terminal escapes in its message
    UnknownCode = "unknown-code",
    /// a page token that was issued is refused with 121003
    PageTokenRefused = "page-token-refused",
    /// the same page token again and again
    PageTokenRepeated = "page-token-repeated",
    /// more pages are announced without a page token
    PageTokenMissing = "page-token-missing",
    /// each page is announced by an empty one before it
    EmptyPage = "empty-page",
    /// empty pages announce more for ever, always with a new page token
    EndlessEmptyPages = "endless-empty-pages",
    /// a success without samples: an empty list, no list or no data
    NoSamples = "no-samples",
    /// the page as it is, without `has_more`
    HasMoreMissing = "has-more-missing",
    /// 99992351, an id that is none of the app's
    ForeignId = "foreign-id",
    /// more pages are announced for ever, always with a new page token
    EndlessPages = "endless-pages",
    /// a refusal with 99991400 that is over after a second
    ThrottledBriefly = "throttled-briefly",
    /// HTTP 200 with a web page, as from the sign-in of a network
    PortalHtml = "portal-html",
    /// a status that the API does not document, such as 204, 304 or 408, with an empty body
    OddStatus = "odd-status",
    /// HTTP 200 whose body has bytes after its JSON
    TrailingBytes = "trailing-bytes",
    /// HTTP 200 whose body looks like the documented JSON and is none: no UTF-8, NaN, a key twice, a comma too many
    OddJson = "odd-json",
    /// the answer as it is, under another media type
    OtherMediaType = "other-media-type",
    /// the answer as it is, after 25 seconds
    SlowAnswer = "slow-answer",
    /// the page as it is, `has_more` written as text
    HasMoreAsText = "has-more-as-text",
    /// the last page as it is, with a page token all the same
    TokenAtEnd = "token-at-end",
    /// pages have half as many samples as were asked for
    ShortPages = "short-pages",
    /// a good token whose life is missing, zero, huge or a text
    TokenOddLife = "token-odd-life",
}

/// What a stay with a lasting fault comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settling {
    /// All its samples can be read.
    Done,
    /// The API says that there is nothing.
    Absent,
    /// The API refuses the row.
    Rejected,
    /// The API's answers lead nowhere.
    Failed,
    /// The API calls it a success and has no samples.
    Empty,
}

impl FaultKind {
    /// The kind of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// What a stay comes to that has this fault, if the fault is a matter of stays and not of single requests: at a
    /// rate, such a fault strikes a share of the stays, each for good.
    pub fn lasting(self) -> Option<Settling> {
        match self {
            Self::AbsentMeeting | Self::AbsentDevice | Self::AbsentData => Some(Settling::Absent),
            Self::RejectedRow | Self::ForeignId => Some(Settling::Rejected),
            Self::NoSamples => Some(Settling::Empty),
            Self::EmptyPage => Some(Settling::Done),
            Self::NoPermission
            | Self::UnknownCode
            | Self::PageTokenRepeated
            | Self::PageTokenMissing
            | Self::EndlessEmptyPages
            | Self::EndlessPages => Some(Settling::Failed),
            _ => None,
        }
    }

    /// Whether the fault spoils the page of a stay that begins with the given sample: what it says of the next one leads
    /// nowhere, or it holds none of its samples. So many empty pages stood in its place before.
    pub(super) fn spoils_page(self, first_sample: u32, sample_count: u32, empty_pages: u32) -> bool {
        match self {
            Self::EmptyPage => empty_pages == 0,
            // The token that comes again is the one that a first page names, unless that is empty.
            Self::PageTokenRepeated => first_sample > 0 || sample_count == 0,
            _ => {
                let leads_nowhere =
                    matches!(self, Self::PageTokenMissing | Self::EndlessEmptyPages | Self::EndlessPages);
                leads_nowhere || self == Self::NoSamples
            }
        }
    }

    /// Whether the fault is a matter of the token endpoint only.
    fn is_of_token_endpoint(self) -> bool {
        matches!(self, Self::TokenUnavailable | Self::TokenDenied | Self::TokenOddLife)
    }

    /// Whether the fault is one of network or gateway, and so strikes every endpoint while it lasts.
    fn is_of_network(self) -> bool {
        let of_gateway = matches!(self, Self::GatewayHtml | Self::GatewayJson | Self::PortalHtml);
        of_gateway || matches!(self, Self::NoConnection | Self::Reset | Self::Hang)
    }
}

/// When a fault fires. Requests are counted from 1, apart for data and for tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// For this share of the requests, or of the stays, windows and meetings that are asked for if the fault is
    /// [lasting](FaultKind::lasting).
    Rate(f64),
    /// For the k-th request for data, at any endpoint, that the quota lets through.
    Request(u64),
    /// For the k-th call to the token endpoint.
    TokenRequest(u64),
    /// For the first `times` requests for the page of a stay that begins with the given sample.
    Page {
        /// The stay.
        stay: StayKey,
        /// The index of the page's first sample.
        first_sample: u32,
        /// How many requests for the page are struck.
        times: u32,
    },
    /// For the first `times` requests for the page of a listing of meetings that begins with the given meeting.
    WindowPage {
        /// The start of the window, in unix seconds.
        start_s: i64,
        /// The index of the page's first meeting.
        first_item: u32,
        /// How many requests for the page are struck.
        times: u32,
    },
    /// For the first `times` requests for the page of a meeting's participants that begins with the given attendance.
    MeetingPage {
        /// The meeting.
        meeting: MeetingKey,
        /// The index of the page's first attendance.
        first_item: u32,
        /// How many requests for the page are struck.
        times: u32,
    },
    /// At one endpoint only.
    Only(Endpoint, Strike),
    /// For every request in a span of time, in unix seconds, the end excluded; faults of the network and the gateway
    /// strike the token endpoint as well then.
    Between {
        /// The beginning.
        from_s: i64,
        /// The end.
        until_s: i64,
    },
}

/// When a fault fires that is one endpoint's only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Strike {
    /// As [`When::Rate`].
    Rate(f64),
    /// For the k-th request at the endpoint that the quota lets through.
    Request(u64),
    /// As [`When::Between`].
    Between {
        /// The beginning.
        from_s: i64,
        /// The end.
        until_s: i64,
    },
}

/// A fault and when it fires.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    /// What happens.
    pub kind: FaultKind,
    /// When it happens.
    pub when: When,
}

impl Fault {
    /// The only endpoint that the fault strikes, if it does not strike all of them.
    pub fn only(&self) -> Option<Endpoint> {
        match self.when {
            When::Only(endpoint, _) => Some(endpoint),
            When::Page { .. } => Some(Endpoint::Quality),
            When::WindowPage { .. } => Some(Endpoint::Meetings),
            When::MeetingPage { .. } => Some(Endpoint::Participants),
            _ => None,
        }
    }

    /// The share of the requests or things that the fault strikes, if it strikes by a share.
    fn rate(&self) -> Option<f64> {
        match self.when {
            When::Rate(rate) | When::Only(_, Strike::Rate(rate)) => Some(rate),
            _ => None,
        }
    }
}

/// A page that is asked for.
#[derive(Clone, Copy)]
pub(super) struct AskedPage {
    /// The stay, window or meeting.
    pub(super) thing: u64,
    /// The index of its first item.
    pub(super) first: u32,
    /// How often it has been asked for before.
    pub(super) before: u32,
}

/// A request that may be struck.
#[derive(Clone, Copy)]
pub(super) struct Occasion {
    /// Where it arrives; nowhere if it is for a token.
    pub(super) endpoint: Option<Endpoint>,
    /// Counted from 1, apart for data and for tokens.
    pub(super) ordinal: u64,
    /// Counted from 1 at the endpoint.
    pub(super) ordinal_there: u64,
    pub(super) now_us: i64,
    /// Whether it carries a page token.
    pub(super) has_page_token: bool,
    pub(super) page: Option<AskedPage>,
}

/// The faults of a server.
pub(super) struct Faults {
    seed: u64,
    list: Vec<Fault>,
}

impl Faults {
    pub(super) fn new(seed: u64, list: Vec<Fault>) -> Self {
        Self { seed, list }
    }

    /// The first fault of the list that strikes.
    pub(super) fn strike(&self, occasion: &Occasion) -> Option<FaultKind> {
        let strikes = |fault: &&Fault| concerns(fault, occasion) && self.fires(fault, occasion);
        self.list.iter().find(strikes).map(|fault| fault.kind)
    }

    /// What a stay, window or meeting comes to, as far as faults at a rate decide it.
    pub(super) fn outcome(&self, endpoint: Endpoint, thing: u64) -> Settling {
        let lasting = |fault: &Fault| {
            let outcome = fault.kind.lasting()?;
            let is_there = fault.only().is_none_or(|only| only == endpoint);
            (is_there && self.draw_of(fault.kind, endpoint, thing) < fault.rate()?).then_some(outcome)
        };
        self.list.iter().find_map(lasting).unwrap_or(Settling::Done)
    }

    fn fires(&self, fault: &Fault, occasion: &Occasion) -> bool {
        let is_within =
            |from_s: i64, until_s: i64| (from_s * 1_000_000..until_s * 1_000_000).contains(&occasion.now_us);
        let is_page = |thing, first, times| {
            occasion.page.is_some_and(|page| (page.thing, page.first) == (thing, first) && page.before < times)
        };
        match fault.when {
            When::Rate(rate) | When::Only(_, Strike::Rate(rate)) => {
                let draw = match (fault.kind.lasting(), occasion.endpoint) {
                    (Some(_), Some(endpoint)) => {
                        occasion.page.map(|page| self.draw_of(fault.kind, endpoint, page.thing))
                    }
                    _ => Some(self.draw(fault.kind as u64, occasion.ordinal)),
                };
                draw.is_some_and(|draw| draw < rate)
            }
            When::Request(ordinal) | When::TokenRequest(ordinal) => ordinal == occasion.ordinal,
            When::Only(_, Strike::Request(ordinal)) => ordinal == occasion.ordinal_there,
            When::Page { stay, first_sample, times } => is_page(stay.0, first_sample, times),
            When::WindowPage { start_s, first_item, times } => is_page(start_s.cast_unsigned(), first_item, times),
            When::MeetingPage { meeting, first_item, times } => is_page(meeting.0, first_item, times),
            When::Between { from_s, until_s } | When::Only(_, Strike::Between { from_s, until_s }) => {
                is_within(from_s, until_s)
            }
        }
    }

    /// The draw of what is asked for at an endpoint.
    fn draw_of(&self, kind: FaultKind, endpoint: Endpoint, thing: u64) -> f64 {
        self.draw(kind as u64 | (endpoint as u64) << 32, thing)
    }

    fn draw(&self, kind: u64, whom: u64) -> f64 {
        stream(self.seed, Purpose::Fault, kind, whom).random()
    }
}

/// Whether the fault is meant for such a request: one for a token, or one for data at its endpoint.
fn concerns(fault: &Fault, occasion: &Occasion) -> bool {
    let of_token = fault.kind.is_of_token_endpoint();
    let is_for_token = occasion.endpoint.is_none();
    match fault.when {
        _ if fault.only().is_some_and(|only| occasion.endpoint != Some(only)) => false,
        When::TokenRequest(_) => is_for_token,
        When::Between { .. } if is_for_token => of_token || fault.kind.is_of_network(),
        _ if fault.kind == FaultKind::PageTokenRefused => occasion.has_page_token,
        _ => of_token == is_for_token,
    }
}

/// Reads `KIND=RATE` or, for one endpoint only, `KIND@ENDPOINT=RATE`.
///
/// # Errors
///
/// A kind or endpoint that does not exist, or a rate that is not between 0 and 1.
pub fn parse(text: &str) -> Result<Fault, String> {
    let (name, rate) = text.split_once('=').ok_or("expected KIND=RATE")?;
    let (name, endpoint) = name.split_once('@').map_or((name, None), |(name, endpoint)| (name, Some(endpoint)));
    let kind = FaultKind::by_name(name).ok_or_else(|| format!("no such kind of fault: `{name}`"))?;
    let rate = rate.parse().ok().filter(|rate| (0.0..=1.0).contains(rate));
    let rate = rate.ok_or_else(|| format!("the rate of `{name}` must be between 0 and 1"))?;
    let Some(endpoint) = endpoint else { return Ok(Fault { kind, when: When::Rate(rate) }) };
    if kind.is_of_token_endpoint() {
        return Err(format!("`{name}` strikes the token endpoint only"));
    }
    let only = Endpoint::by_name(endpoint).ok_or_else(|| format!("no such endpoint: `{endpoint}`"))?;
    Ok(Fault { kind, when: When::Only(only, Strike::Rate(rate)) })
}

/// The help text: what a fault is given as, and the list of kinds.
pub fn help() -> String {
    let mut text = String::from(
        "A fault and its share of the requests, or of the stays and lists, between 0 and 1; may be given several times. \
         Kinds that strike a stay or list strike it for good. `KIND@quality=RATE`, `KIND@meetings=RATE` and \
         `KIND@participants=RATE` strike at one endpoint only.\n\nKinds:\n",
    );
    for kind in FaultKind::ALL {
        let whom = if kind.lasting().is_some() { "stay or list" } else { "request" };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:<22}{}, by {whom}", kind.name(), kind.about().trim());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const OCCASION: Occasion = Occasion {
        endpoint: Some(Endpoint::Quality),
        ordinal: 1,
        ordinal_there: 1,
        now_us: 0,
        has_page_token: false,
        page: None,
    };

    #[test]
    fn a_fault_can_be_one_endpoints_only() {
        for endpoint in Endpoint::ALL {
            let fault = parse(&format!("reset@{}=1", endpoint.name())).unwrap();
            assert_eq!(fault.only(), Some(endpoint));
            for there in Endpoint::ALL {
                let occasion = Occasion { endpoint: Some(there), ..OCCASION };
                assert_eq!(Faults::new(3, vec![fault]).strike(&occasion).is_some(), there == endpoint);
            }
        }
        let outcome = |text, endpoint| Faults::new(3, vec![parse(text).unwrap()]).outcome(endpoint, 7);
        assert_eq!(outcome("no-permission@participants=1", Endpoint::Participants), Settling::Failed);
        assert_eq!(outcome("no-permission@participants=1", Endpoint::Quality), Settling::Done);
        assert_eq!(outcome("no-permission=1", Endpoint::Meetings), Settling::Failed);
        for wrong in ["reset@elsewhere=1", "reset@=1", "token-denied@quality=1"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_fault_is_read_by_its_name_and_rate() {
        for kind in FaultKind::ALL {
            let fault = parse(&format!("{}=0.25", kind.name())).unwrap();
            assert_eq!(fault, Fault { kind: *kind, when: When::Rate(0.25) });
            assert!(help().contains(kind.name()));
        }
        for wrong in ["", "reset", "reset=", "reset=2", "reset=-0.1", "reset=NaN", "resets=0.1"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_rate_strikes_requests_or_stays_for_good() {
        let strikes = |kind, ordinal, stay| {
            let faults = Faults::new(3, vec![Fault { kind, when: When::Rate(0.2) }]);
            let page = Some(AskedPage { thing: stay, first: 0, before: 0 });
            faults.strike(&Occasion { ordinal, page, ..OCCASION }).is_some()
        };
        let count = |hits: Vec<bool>| hits.into_iter().filter(|hit| *hit).count();
        let by_request = count((0..1000).map(|k| strikes(FaultKind::Reset, k, 5)).collect());
        assert!((150..250).contains(&by_request), "{by_request}");
        let by_stay = count((0..1000).map(|stay| strikes(FaultKind::AbsentData, 1, stay)).collect());
        assert!((150..250).contains(&by_stay), "{by_stay}");
        for stay in 0..50 {
            let always = strikes(FaultKind::AbsentData, 1, stay);
            assert!((2..50).all(|k| strikes(FaultKind::AbsentData, k, stay) == always));
        }
    }

    #[test]
    fn a_scripted_fault_strikes_where_it_is_told_to() {
        let stay = StayKey(9);
        let strikes = |when, ordinal, now_us, page: Option<(StayKey, u32, u32)>| {
            let faults = Faults::new(3, vec![Fault { kind: FaultKind::Hang, when }]);
            let asked = |(stay, first, before): (StayKey, u32, u32)| AskedPage { thing: stay.0, first, before };
            faults.strike(&Occasion { ordinal, now_us, page: page.map(asked), ..OCCASION }).is_some()
        };
        assert!(strikes(When::Request(4), 4, 0, None) && !strikes(When::Request(4), 5, 0, None));
        let page = When::Page { stay, first_sample: 100, times: 2 };
        for (asked, hit) in [((stay, 100, 0), true), ((stay, 100, 1), true), ((stay, 100, 2), false)] {
            assert_eq!(strikes(page, 1, 0, Some(asked)), hit);
        }
        assert!(!strikes(page, 1, 0, Some((stay, 0, 0))) && !strikes(page, 1, 0, Some((StayKey(8), 100, 0))));
        let between = When::Between { from_s: 10, until_s: 20 };
        for (now_s, hit) in [(9, false), (10, true), (19, true), (20, false)] {
            assert_eq!(strikes(between, 1, now_s * 1_000_000, None), hit);
        }
    }
}
