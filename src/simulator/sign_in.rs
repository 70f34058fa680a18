//! People who sign in: the consent page, the token endpoint with single-use refresh tokens, and who a token is of.
//!
//! A refresh uses the refresh token up at once, whether its answer arrives or not; the access token before it holds for another
//! minute. That is how the vendor documents it.

use std::collections::{BTreeMap, HashMap};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::Rng as _;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::{Url, form_urlencoded};

use super::{
    endpoint::Endpoint,
    random::{Purpose, one_of, stream},
    reply::{Delivery, Reply, Request},
    token::TokenSettings,
};

pub(super) const CONSENT_PATH: &str = "/open-apis/authen/v1/authorize";
pub(super) const ALLOW_PATH: &str = "/_sim/consent/allow";
pub(super) const DENY_PATH: &str = "/_sim/consent/deny";
pub(super) const TOKEN_PATH: &str = "/open-apis/authen/v2/oauth/token";
pub(super) const OIDC_TOKEN_PATH: &str = "/open-apis/authen/v1/oidc/access_token";
pub(super) const OIDC_REFRESH_PATH: &str = "/open-apis/authen/v1/oidc/refresh_access_token";
pub(super) const PERSON_PATH: &str = "/open-apis/authen/v1/user_info";

const SECOND_US: i64 = 1_000_000;

/// How long a code of the consent page is good.
const CODE_LIFE_US: i64 = 5 * 60 * SECOND_US;

/// How long the access token before a renewal still holds.
const OLD_LIFE_US: i64 = 60 * SECOND_US;

/// After so long the person must consent anew.
const CONSENT_LIFE_US: i64 = 365 * 86_400 * SECOND_US;

/// Characters of a token, which are a kilobyte or two with the vendor.
const TOKEN_CHARS: usize = 1200;

const TOKEN_ALPHABET: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// What the consent page does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConsentPage {
    /// Shows what is asked, and two links.
    #[default]
    Ask,
    /// Says yes at once.
    Allow,
    /// Says no at once.
    Deny,
}

/// How people sign in.
#[derive(Clone, Debug)]
pub struct SignInSettings {
    /// What the consent page does.
    pub consent: ConsentPage,
    /// The redirect URLs of the app's settings; empty: any on a loopback address.
    pub redirect_uris: Vec<String>,
    /// Whether the app may refresh tokens.
    pub may_refresh: bool,
    /// How long a user's access token holds, in seconds.
    pub access_life_s: u32,
    /// How long a refresh token holds, in seconds.
    pub refresh_life_s: u32,
    /// Whether the endpoints for data refuse tenant tokens with 121005.
    pub refuses_tenants: bool,
    /// Who consents: different people have different numbers.
    pub person: u32,
    /// Faults of renewals; at most one strikes, the first that does.
    pub faults: Vec<SignInFault>,
}

impl Default for SignInSettings {
    fn default() -> Self {
        Self {
            consent: ConsentPage::Ask,
            redirect_uris: Vec::new(),
            may_refresh: true,
            access_life_s: 7200,
            refresh_life_s: 604_800,
            refuses_tenants: false,
            person: 1,
            faults: Vec::new(),
        }
    }
}

/// What may happen to a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInFaultKind {
    /// The refresh token is used up, and the connection is cut before the headers.
    LostAnswer,
    /// The connection is cut before anything is done.
    Reset,
    /// The answer comes after 25 seconds.
    Slow,
    /// This code; nothing is done.
    Code(u64),
}

/// The kinds by their names on the command line.
const FAULT_KINDS: [(&str, SignInFaultKind); 11] = [
    ("lost-answer", SignInFaultKind::LostAnswer),
    ("reset", SignInFaultKind::Reset),
    ("slow", SignInFaultKind::Slow),
    ("20050", SignInFaultKind::Code(20_050)),
    ("20072", SignInFaultKind::Code(20_072)),
    ("20010", SignInFaultKind::Code(20_010)),
    ("20026", SignInFaultKind::Code(20_026)),
    ("20037", SignInFaultKind::Code(20_037)),
    ("20064", SignInFaultKind::Code(20_064)),
    ("20066", SignInFaultKind::Code(20_066)),
    ("20073", SignInFaultKind::Code(20_073)),
];

/// A fault and when it strikes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignInFault {
    /// What happens.
    pub kind: SignInFaultKind,
    /// When.
    pub when: SignInWhen,
}

/// When a fault of a renewal strikes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SignInWhen {
    /// This share of them.
    Rate(f64),
    /// The k-th request for one, from 1.
    Renewal(u64),
}

/// Reads `KIND=RATE`.
///
/// # Errors
///
/// A kind that does not exist, or a rate that is not between 0 and 1.
pub fn parse_fault(text: &str) -> Result<SignInFault, String> {
    let (name, rate) = text.split_once('=').ok_or("expected KIND=RATE")?;
    let names = FAULT_KINDS.map(|(name, _)| name).join(", ");
    let kind = FAULT_KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
    let kind = kind.ok_or_else(|| format!("no such kind of fault: `{name}`; there are {names}"))?;
    let rate = rate.parse().ok().filter(|rate| (0.0..=1.0).contains(rate));
    let rate = rate.ok_or_else(|| format!("the rate of `{name}` must be between 0 and 1"))?;
    Ok(SignInFault { kind, when: SignInWhen::Rate(rate) })
}

/// What has been asked for so far.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SignInBooks {
    /// Codes that were given for tokens.
    pub exchanges: u64,
    /// Requests for a renewal.
    pub renewal_requests: u64,
    /// Refresh tokens that were used up.
    pub renewals: u64,
    /// Refusals of the token endpoint, by code.
    pub refusals: BTreeMap<u64, u64>,
}

/// What somebody has consented to.
struct Grant {
    person: u32,
    scope: String,
    consented_us: i64,
    is_revoked: bool,
}

struct Code {
    redirect_uri: String,
    challenge: Option<String>,
    scope: String,
    person: u32,
    issued_us: i64,
    is_used: bool,
}

struct Refresh {
    grant: usize,
    expires_us: i64,
    is_used: bool,
}

struct Access {
    grant: usize,
    expires_us: i64,
}

/// The people who have signed in.
pub(super) struct SignIns {
    settings: SignInSettings,
    app: TokenSettings,
    seed: u64,
    issued: u64,
    grants: Vec<Grant>,
    codes: HashMap<String, Code>,
    refresh: HashMap<String, Refresh>,
    access: HashMap<String, Access>,
    books: SignInBooks,
}

/// A refusal of the token endpoint.
type Refusal = (u16, u64, &'static str);

impl SignIns {
    pub(super) fn new(settings: SignInSettings, app: TokenSettings, seed: u64) -> Self {
        Self {
            settings,
            app,
            seed,
            issued: 0,
            grants: Vec::new(),
            codes: HashMap::new(),
            refresh: HashMap::new(),
            access: HashMap::new(),
            books: SignInBooks::default(),
        }
    }

    pub(super) fn settings_mut(&mut self) -> &mut SignInSettings {
        &mut self.settings
    }

    pub(super) fn books(&self) -> &SignInBooks {
        &self.books
    }

    pub(super) fn refuses_tenants(&self) -> bool {
        self.settings.refuses_tenants
    }

    /// Whether a refresh token would be taken now.
    pub(super) fn honours(&self, now_us: i64, refresh_token: &str) -> bool {
        self.refresh_grant(now_us, refresh_token).is_ok()
    }

    /// Takes all consents back.
    pub(super) fn revoke(&mut self) {
        self.grants.iter_mut().for_each(|grant| grant.is_revoked = true);
    }

    /// Answers a browser that opens the consent page, or one of its links.
    pub(super) fn consent(&mut self, now_us: i64, path: &str, query: &str) -> Reply {
        let page = match path {
            ALLOW_PATH => ConsentPage::Allow,
            DENY_PATH => ConsentPage::Deny,
            _ => self.settings.consent,
        };
        let values: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let value = |key: &str| values.get(key).map(String::as_str).unwrap_or_default();
        let (redirect_uri, scope) = (value("redirect_uri"), value("scope"));
        if value("client_id") != self.app.app_id || value("response_type") != "code" {
            return html(400, "<h1>20048</h1><p>There is no such app.</p>");
        }
        if !self.is_registered(redirect_uri) {
            return html(400, "<h1>20029</h1><p>The redirect URL is not in the app's settings (redirect_uri).</p>");
        }
        match page {
            ConsentPage::Ask => {
                let query = query.replace('&', "&amp;");
                html(
                    200,
                    format!(
                        "<h1>May the app act for you?</h1><p>{}</p><p><a href=\"{ALLOW_PATH}?{query}\">Allow</a> \
                         <a href=\"{DENY_PATH}?{query}\">Deny</a></p>",
                        scope.replace(['<', '&'], " ")
                    ),
                )
            }
            ConsentPage::Deny => redirect(redirect_uri, &[("error", "access_denied"), ("state", value("state"))]),
            ConsentPage::Allow => {
                let code = self.random(40);
                let challenge = values.get("code_challenge").cloned();
                let issued = Code {
                    redirect_uri: redirect_uri.into(),
                    challenge,
                    scope: scope.into(),
                    person: self.settings.person,
                    issued_us: now_us,
                    is_used: false,
                };
                self.codes.insert(code.clone(), issued);
                redirect(redirect_uri, &[("code", &code), ("state", value("state"))])
            }
        }
    }

    fn is_registered(&self, redirect_uri: &str) -> bool {
        let is_loopback = |url: Url| matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        if self.settings.redirect_uris.is_empty() {
            return redirect_uri.parse().is_ok_and(is_loopback);
        }
        self.settings.redirect_uris.iter().any(|registered| registered == redirect_uri)
    }

    /// Answers the token endpoint, which knows app and secret from the body.
    pub(super) fn tokens(&mut self, now_us: i64, request: &Request) -> Reply {
        let is_json = request.content_type.as_deref().is_some_and(|kind| kind.starts_with("application/json"));
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let text = |key: &str| body[key].as_str().unwrap_or_default();
        let served = if !is_json {
            Err((400, 20_063, "The request body must be JSON."))
        } else if text("client_id") != self.app.app_id {
            Err((400, 20_048, "The app does not exist."))
        } else if text("client_secret") != self.app.app_secret {
            Err((400, 20_002, "The client secret is invalid."))
        } else {
            self.grant(now_us, &body)
        };
        match served {
            Ok((answer, delivery)) => Reply::json(200, answer.to_string()).delivered(delivery),
            Err((status, code, why)) => {
                *self.books.refusals.entry(code).or_default() += 1;
                let body = json!({"code": code, "error": "invalid_grant", "error_description": why});
                Reply::json(status, body.to_string()).with_code(code)
            }
        }
    }

    /// Answers the historic token endpoints, which take the app's token and answer under `data`, errors as HTTP 200.
    pub(super) fn oidc_tokens(&mut self, now_us: i64, request: &Request) -> Reply {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        match self.grant(now_us, &body) {
            Ok((mut data, delivery)) => {
                data["refresh_expires_in"] = data["refresh_token_expires_in"].take();
                Reply::json(200, json!({"code": 0, "msg": "success", "data": data}).to_string()).delivered(delivery)
            }
            Err((_, code, why)) => Reply::json(200, json!({"code": code, "msg": why}).to_string()),
        }
    }

    /// New tokens for a code or a refresh token, and how much of that the client gets to see.
    fn grant(&mut self, now_us: i64, body: &Value) -> Result<(Value, Delivery), Refusal> {
        let text = |key: &str| body[key].as_str().unwrap_or_default();
        match text("grant_type") {
            "authorization_code" => {
                let grant = self.exchange(now_us, (text("code"), body))?;
                self.books.exchanges += 1;
                Ok((self.issue(now_us, grant), Delivery::Whole))
            }
            "refresh_token" => self.refresh(now_us, text("refresh_token")),
            _ => Err((400, 20_036, "The grant type is not supported.")),
        }
    }

    fn exchange(&mut self, now_us: i64, (code, body): (&str, &Value)) -> Result<usize, Refusal> {
        let code = self.codes.get_mut(code).ok_or((400, 20_003, "The code is not found."))?;
        if code.is_used {
            return Err((400, 20_065, "The code has been used."));
        }
        if now_us - code.issued_us > CODE_LIFE_US {
            return Err((400, 20_004, "The code has expired."));
        }
        // The historic endpoint names neither.
        if body.get("client_id").is_some() {
            if body["redirect_uri"].as_str() != Some(&code.redirect_uri) {
                return Err((400, 20_071, "The redirect URI is another one than that of the code."));
            }
            let digest = |verifier: &str| URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
            let proof = body["code_verifier"].as_str().map(digest);
            if code.challenge.is_some() && proof != code.challenge {
                return Err((400, 20_049, "The code challenge failed."));
            }
        }
        code.is_used = true;
        let grant = Grant { person: code.person, scope: code.scope.clone(), consented_us: now_us, is_revoked: false };
        self.grants.push(grant);
        Ok(self.grants.len() - 1)
    }

    fn refresh(&mut self, now_us: i64, token: &str) -> Result<(Value, Delivery), Refusal> {
        self.books.renewal_requests += 1;
        let fault = self.strike();
        match fault {
            Some(SignInFaultKind::Reset) => return Ok((Value::Null, Delivery::Reset)),
            Some(SignInFaultKind::Code(code)) => {
                let status = match code {
                    20_050 => 500,
                    20_072 => 503,
                    _ => 400,
                };
                return Err((status, code, "This is a fault that was ordered."));
            }
            Some(SignInFaultKind::LostAnswer | SignInFaultKind::Slow) | None => {}
        }
        let grant = self.refresh_grant(now_us, token)?;
        if let Some(used) = self.refresh.get_mut(token) {
            used.is_used = true;
        }
        self.books.renewals += 1;
        // What came before it ends in a minute.
        self.access.retain(|_, access| access.expires_us > now_us);
        for access in self.access.values_mut().filter(|access| access.grant == grant) {
            access.expires_us = access.expires_us.min(now_us + OLD_LIFE_US);
        }
        let delivery = match fault {
            Some(SignInFaultKind::LostAnswer) => Delivery::Reset,
            Some(SignInFaultKind::Slow) => Delivery::Late,
            _ => Delivery::Whole,
        };
        Ok((self.issue(now_us, grant), delivery))
    }

    /// The grant of a refresh token that is good.
    fn refresh_grant(&self, now_us: i64, token: &str) -> Result<usize, Refusal> {
        let refresh = self.refresh.get(token).ok_or((400, 20_026, "The refresh token is invalid."))?;
        let grant = &self.grants[refresh.grant];
        if grant.is_revoked {
            Err((400, 20_064, "The refresh token has been revoked."))
        } else if refresh.is_used {
            Err((400, 20_073, "The refresh token has been used."))
        } else if refresh.expires_us <= now_us || grant.consented_us + CONSENT_LIFE_US <= now_us {
            Err((400, 20_037, "The refresh token has expired."))
        } else if !self.settings.may_refresh {
            Err((400, 20_074, "The app may not refresh tokens."))
        } else {
            Ok(refresh.grant)
        }
    }

    fn issue(&mut self, now_us: i64, grant: usize) -> Value {
        let expires_us = |life_s: u32| now_us + i64::from(life_s) * SECOND_US;
        let scope = self.grants[grant].scope.clone();
        let access = self.random(TOKEN_CHARS);
        let (access_life_s, refresh_life_s) = (self.settings.access_life_s, self.settings.refresh_life_s);
        self.access.insert(access.clone(), Access { grant, expires_us: expires_us(access_life_s) });
        let mut answer = json!({
            "code": 0, "access_token": access, "expires_in": access_life_s, "token_type": "Bearer", "scope": scope,
        });
        if self.settings.may_refresh && scope.split(' ').any(|scope| scope == "offline_access") {
            let refresh = self.random(TOKEN_CHARS);
            let kept = Refresh { grant, expires_us: expires_us(refresh_life_s), is_used: false };
            self.refresh.insert(refresh.clone(), kept);
            answer["refresh_token"] = refresh.into();
            answer["refresh_token_expires_in"] = refresh_life_s.into();
        }
        answer
    }

    /// The first fault that strikes this request for a renewal.
    fn strike(&self) -> Option<SignInFaultKind> {
        let ordinal = self.books.renewal_requests;
        let strikes = |(place, fault): &(usize, &SignInFault)| match fault.when {
            SignInWhen::Renewal(which) => which == ordinal,
            SignInWhen::Rate(rate) => {
                stream(self.seed, Purpose::SignInFault, ordinal, *place as u64).random::<f64>() < rate
            }
        };
        self.settings.faults.iter().enumerate().find(strikes).map(|(_, fault)| fault.kind)
    }

    /// Checks a user's access token for an endpoint for data, or for who it is of.
    ///
    /// # Errors
    ///
    /// The documented refusal.
    pub(super) fn check(&self, now_us: i64, token: &str, endpoint: Option<Endpoint>) -> Result<u32, Reply> {
        let invalid = || Reply::failure(400, 99_991_668, "Invalid access token for authorization.");
        let access = self.access.get(token).ok_or_else(invalid)?;
        let grant = &self.grants[access.grant];
        if grant.is_revoked {
            return Err(invalid());
        }
        if access.expires_us <= now_us {
            return Err(Reply::failure(400, 99_991_677, "Authentication token expired."));
        }
        let accepted: &[&str] = match endpoint {
            None => return Ok(grant.person),
            Some(Endpoint::Quality) => &["vc:room:readonly"],
            Some(Endpoint::Meetings | Endpoint::Participants) => &["vc:room:readonly", "vc:rooms.room.detailinfo:read"],
        };
        if grant.scope.split(' ').any(|scope| accepted.contains(&scope)) {
            return Ok(grant.person);
        }
        let violations: Vec<_> =
            accepted.iter().map(|scope| json!({"type": "action_privilege_required", "subject": scope})).collect();
        let error = json!({"log_id": "", "permission_violations": violations});
        let body =
            json!({"code": 99_991_679, "msg": "Unauthorized. The user has not granted the scope.", "error": error});
        Err(Reply::json(400, body.to_string()).with_code(99_991_679))
    }

    /// Answers who a user's access token is of.
    pub(super) fn person(&self, now_us: i64, authorization: Option<&str>) -> Reply {
        let token = authorization.and_then(|header| header.strip_prefix("Bearer ")).unwrap_or_default();
        match self.check(now_us, token, None) {
            Err(refusal) => refusal,
            Ok(person) => {
                let data = json!({
                    "name": format!("Person {person}"),
                    "en_name": format!("Person {person}"),
                    "open_id": format!("ou_{person:032x}"),
                    "union_id": format!("on_{person:032x}"),
                    "tenant_key": format!("tenant{:010x}", self.seed),
                });
                Reply::json(200, json!({"code": 0, "msg": "success", "data": data}).to_string()).with_code(0)
            }
        }
    }

    fn random(&mut self, chars: usize) -> String {
        self.issued += 1;
        let mut rng = stream(self.seed, Purpose::UserToken, self.issued, 0);
        let mut text = "eyJ".to_owned();
        text.extend((text.len()..chars).map(|_| char::from(*one_of(&mut rng, TOKEN_ALPHABET))));
        text
    }
}

fn html(status: u16, body: impl Into<String>) -> Reply {
    Reply::new(status, "text/html; charset=utf-8", format!("<!doctype html><title>Consent</title>{}", body.into()))
}

fn redirect(to: &str, values: &[(&str, &str)]) -> Reply {
    let Ok(mut url) = to.parse::<Url>() else { return html(400, "<h1>20029</h1>") };
    url.query_pairs_mut().extend_pairs(values);
    Reply::new(302, "text/html", "").with_header("location", url.as_str())
}
