//! Faults: which ones there are, and when one fires. What a fault does to an answer stands in `twist.rs`.

use std::fmt::Write as _;

use rand::Rng;

use super::{
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
    /// For this share of the requests, or of the stays if the fault is [lasting](FaultKind::lasting).
    Rate(f64),
    /// For the k-th request for data that the quota lets through.
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
    /// For every request in a span of time, in unix seconds, the end excluded; faults of the network and the gateway
    /// strike the token endpoint as well then.
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

/// A request that may be struck.
#[derive(Clone, Copy)]
pub(super) struct Occasion {
    /// Counted from 1, apart for data and for tokens.
    pub(super) ordinal: u64,
    pub(super) now_us: i64,
    pub(super) is_for_token: bool,
    /// Whether it carries a page token.
    pub(super) has_page_token: bool,
    /// The page asked for, and how often it has been asked for before.
    pub(super) page: Option<(StayKey, u32, u32)>,
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

    /// What the stay comes to, as far as faults at a rate decide it.
    pub(super) fn outcome(&self, stay: StayKey) -> Settling {
        let lasting = |fault: &Fault| match (fault.when, fault.kind.lasting()) {
            (When::Rate(rate), Some(outcome)) if self.draw(fault.kind, stay.0) < rate => Some(outcome),
            _ => None,
        };
        self.list.iter().find_map(lasting).unwrap_or(Settling::Done)
    }

    fn fires(&self, fault: &Fault, occasion: &Occasion) -> bool {
        match fault.when {
            When::Rate(rate) => {
                let whom = match fault.kind.lasting() {
                    Some(_) => occasion.page.map(|(stay, ..)| stay.0),
                    None => Some(occasion.ordinal),
                };
                whom.is_some_and(|whom| self.draw(fault.kind, whom) < rate)
            }
            When::Request(ordinal) | When::TokenRequest(ordinal) => ordinal == occasion.ordinal,
            When::Page { stay, first_sample, times } => occasion
                .page
                .is_some_and(|(asked, first, before)| (asked, first) == (stay, first_sample) && before < times),
            When::Between { from_s, until_s } => (from_s * 1_000_000..until_s * 1_000_000).contains(&occasion.now_us),
        }
    }

    fn draw(&self, kind: FaultKind, whom: u64) -> f64 {
        stream(self.seed, Purpose::Fault, kind as u64, whom).random()
    }
}

/// Whether the fault is meant for such a request: one for a token, or one for data.
fn concerns(fault: &Fault, occasion: &Occasion) -> bool {
    let of_token = fault.kind.is_of_token_endpoint();
    match fault.when {
        When::TokenRequest(_) => occasion.is_for_token,
        When::Between { .. } if occasion.is_for_token => of_token || fault.kind.is_of_network(),
        _ if fault.kind == FaultKind::PageTokenRefused => occasion.has_page_token,
        _ => of_token == occasion.is_for_token,
    }
}

/// Reads `KIND=RATE`.
///
/// # Errors
///
/// A kind that does not exist, or a rate that is not between 0 and 1.
pub fn parse(text: &str) -> Result<Fault, String> {
    let (name, rate) = text.split_once('=').ok_or("expected KIND=RATE")?;
    let kind = FaultKind::by_name(name).ok_or_else(|| format!("no such kind of fault: `{name}`"))?;
    let rate = rate.parse().ok().filter(|rate| (0.0..=1.0).contains(rate));
    let rate = rate.ok_or_else(|| format!("the rate of `{name}` must be between 0 and 1"))?;
    Ok(Fault { kind, when: When::Rate(rate) })
}

/// The help text: what a fault is given as, and the list of kinds.
pub fn help() -> String {
    let mut text = String::from(
        "A fault and its share of the requests or stays, between 0 and 1; may be given several times. \
         Kinds that strike a stay strike it for good.\n\nKinds:\n",
    );
    for kind in FaultKind::ALL {
        let whom = if kind.lasting().is_some() { "stay" } else { "request" };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:<22}{}, by {whom}", kind.name(), kind.about().trim());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let page = Some((StayKey(stay), 0, 0));
            faults.strike(&Occasion { ordinal, now_us: 0, is_for_token: false, has_page_token: false, page }).is_some()
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
        let strikes = |when, ordinal, now_us, page| {
            let faults = Faults::new(3, vec![Fault { kind: FaultKind::Hang, when }]);
            faults.strike(&Occasion { ordinal, now_us, is_for_token: false, has_page_token: false, page }).is_some()
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
