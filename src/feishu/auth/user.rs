//! The access token of a person: the address at which they consent, the exchange of what that brings, and its renewal.
//!
//! The token endpoint takes and gives JSON with codes of its own, so no general OAuth client fits it; what is left of the standard
//! is a random text and a digest.

use std::{fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls::crypto::{GetRandomFailed, aws_lc_rs};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{
    TokenError,
    tenant::{CREDENTIALS_REMEDY, Credentials},
};
use crate::{
    feishu::{
        answer::{Envelope, Remedy, Said, envelope, is_passing, is_token_refused, log_id, printable, said},
        transport::{Answer, Call, Request, TransportError},
    },
    read::decode::without_bom,
};

const CONSENT_PATH: &str = "/open-apis/authen/v1/authorize";
const TOKEN_PATH: &str = "/open-apis/authen/v2/oauth/token";
const PERSON_PATH: &str = "/open-apis/authen/v1/user_info";

/// Without it no refresh token is given.
const OFFLINE_ACCESS: &str = "offline_access";

/// The life of a token whose answer does not say it.
const LIFE_DEFAULT: Duration = Duration::from_secs(30 * 60);

/// The longest life that is believed.
const LIFE_MAX: Duration = Duration::from_secs(366 * 86_400);

/// The longest text of an answer that is kept of a name.
const NAME_CHARS_MAX: usize = 100;

const FIRST_LOGIN_REMEDY: Remedy = Remedy("sign in: `vcq login`");
const LOGIN_REMEDY: Remedy = Remedy("sign in again: `vcq login`");
const GONE_REMEDY: Remedy = Remedy(
    "the account that signed in is suspended or gone: let an administrator look at it, or sign in as somebody else with `vcq login`",
);
const MAY_NOT_REMEDY: Remedy = Remedy(
    "the person who signed in may not use this app: let an administrator add them to the app's range of users, or sign in as \
     somebody else with `vcq login`",
);
const SWITCH_REMEDY: Remedy = Remedy(
    "switch on the refreshing of user tokens in the app's security settings, publish a version of the app, and sign in again with \
     `vcq login`",
);
const REDIRECT_REMEDY: Remedy = Remedy(
    "`auth.redirect_uri` must be exactly one of the redirect URLs in the app's security settings; then `vcq login` again",
);
const SCOPES_REMEDY: Remedy = Remedy(
    "the app does not have all of `auth.scopes` for users: add them in the developer console and publish a version, or leave them \
     out of `auth.scopes`; then `vcq login` again",
);
const LONG_REMEDY: Remedy = Remedy("ask for fewer scopes in `auth.scopes`, then `vcq login` again");
const CODE_REMEDY: Remedy = Remedy(
    "what the consent page gives is good for five minutes and for one use: `vcq login` again, and answer sooner",
);

/// Codes of the token endpoint that a person has to do something about, and what. The documentation of the codes of an
/// exchange is not at hand; whatever is not here asks for a new sign-in.
const REMEDIES: [(&[i64], Remedy); 7] = [
    (&[20_002, 20_024, 20_048, 20_069], CREDENTIALS_REMEDY),
    (&[20_003, 20_004, 20_065], CODE_REMEDY),
    (&[20_008, 20_066], GONE_REMEDY),
    (&[20_010], MAY_NOT_REMEDY),
    (&[20_027, 20_067, 20_068], SCOPES_REMEDY),
    (&[20_029, 20_071], REDIRECT_REMEDY),
    (&[20_074], SWITCH_REMEDY),
];

/// Codes of the token endpoint that pass by themselves.
const PASSING: [i64; 2] = [20_050, 20_072];

/// Codes that say of a refresh token that it is used up.
const USED_UP: i64 = 20_073;

/// The longest token, and the longest list of scopes, that is kept: twice what the documentation tells to make room for.
const TEXT_BYTES_MAX: usize = 8 << 10;

/// What one sign-in asks a person, and recognises the answer by. Good for one answer.
pub struct Question {
    state: SecretString,
    /// Proves to the token endpoint that who exchanges the answer is who asked.
    verifier: SecretString,
}

/// What the consent page is told.
pub struct Consent<'a> {
    /// Its host.
    pub accounts_url: &'a Url,
    /// Who asks.
    pub app_id: &'a str,
    /// Where the answer goes.
    pub redirect_uri: &'a Url,
    /// For what, besides `offline_access`.
    pub scopes: &'a [String],
}

impl Question {
    /// A new one, by the source of randomness that TLS uses.
    ///
    /// # Errors
    ///
    /// If the system has none.
    pub fn new() -> Result<Self, GetRandomFailed> {
        Ok(Self { state: random()?, verifier: random()? })
    }

    /// The consent page's address. It holds nothing that could be used without the verifier, which is not in it.
    pub fn address(&self, consent: &Consent<'_>) -> Url {
        let mut url = consent.accounts_url.clone();
        url.set_path(CONSENT_PATH);
        let scopes = consent.scopes.iter().map(String::as_str).filter(|scope| *scope != OFFLINE_ACCESS);
        let scopes: Vec<_> = scopes.chain([OFFLINE_ACCESS]).collect();
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.expose_secret().as_bytes()));
        url.query_pairs_mut()
            .append_pair("client_id", consent.app_id)
            .append_pair("response_type", "code")
            .append_pair("redirect_uri", consent.redirect_uri.as_str())
            .append_pair("scope", &scopes.join(" "))
            .append_pair("state", self.state.expose_secret())
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        url
    }

    /// Reads the code out of the address to which the consent page has sent the browser.
    ///
    /// # Errors
    ///
    /// If it is another address, no answer to this question, or a refusal.
    pub fn read_answer(&self, address: &str, redirect_uri: &Url) -> Result<SecretString, NoAnswer> {
        let address = address.trim();
        // Some browsers leave out the scheme of what they show.
        let with_scheme = format!("{}://{address}", redirect_uri.scheme());
        let address = if address.contains("://") { address } else { &with_scheme };
        let address: Url = address.parse().map_err(|_| NoAnswer::OtherAddress)?;
        let is_there = address.origin() == redirect_uri.origin() && address.path() == redirect_uri.path();
        if !is_there {
            return Err(NoAnswer::OtherAddress);
        }
        let value = |key: &str| address.query_pairs().find(|(name, _)| name == key).map(|(_, value)| value);
        if value("state").as_deref() != Some(self.state.expose_secret()) {
            return Err(NoAnswer::OtherQuestion);
        }
        if let Some(error) = value("error") {
            return Err(NoAnswer::Denied(printable(&error)));
        }
        let code = value("code").filter(|code| !code.is_empty()).ok_or(NoAnswer::WithoutCode)?;
        Ok(SecretString::from(code.into_owned()))
    }

    /// The request that gives the code for tokens.
    pub fn exchange_request(&self, credentials: &Credentials, code: &SecretString, redirect_uri: &Url) -> Request {
        token_request(&json!({
            "grant_type": "authorization_code",
            "client_id": credentials.app_id,
            "client_secret": credentials.app_secret.expose_secret(),
            "code": code.expose_secret(),
            "redirect_uri": redirect_uri.as_str(),
            "code_verifier": self.verifier.expose_secret(),
        }))
    }
}

/// 256 random bits as text that may stand in an address.
fn random() -> Result<SecretString, GetRandomFailed> {
    let mut bytes = [0; 32];
    aws_lc_rs::default_provider().secure_random.fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes).into())
}

/// Why an address is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// It is not that of the redirect.
    OtherAddress,
    /// It answers another question: its `state` is not this one's.
    OtherQuestion,
    /// The person said no, or the vendor did.
    Denied(String),
    /// It has neither a code nor an error.
    WithoutCode,
    /// There is none.
    Nothing,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherAddress => {
                f.write_str("this is not the address of `auth.redirect_uri` to which the consent page leads")
            }
            Self::OtherQuestion => {
                f.write_str("this answers another sign-in than the one that waits (its `state` differs)")
            }
            Self::Denied(error) => write!(f, "the consent page says no: {error}"),
            Self::WithoutCode => f.write_str("this answer has no code: was all of the address copied?"),
            Self::Nothing => f.write_str("standard input ended before an address came"),
        }
    }
}

/// The request that gives a refresh token for new tokens. It can be used once: what comes back takes its place.
pub fn refresh_request(credentials: &Credentials, refresh_token: &SecretString) -> Request {
    token_request(&json!({
        "grant_type": "refresh_token",
        "client_id": credentials.app_id,
        "client_secret": credentials.app_secret.expose_secret(),
        "refresh_token": refresh_token.expose_secret(),
    }))
}

fn token_request(body: &Value) -> Request {
    Request { path_and_query: TOKEN_PATH.into(), call: Call::Post { json: body.to_string().into() } }
}

/// What the token endpoint gives.
pub struct UserTokens {
    /// The access token and its life.
    pub access: (SecretString, Duration),
    /// The refresh token and its life, if the app may refresh.
    pub refresh: Option<(SecretString, Duration)>,
    /// What the person has consented to, by now.
    pub scope: String,
}

#[derive(Deserialize)]
struct TokenBody {
    access_token: String,
    #[serde(default)]
    expires_in: Value,
    #[serde(default)]
    refresh_token: Option<String>,
    #[serde(default)]
    refresh_token_expires_in: Value,
    #[serde(default)]
    scope: Option<String>,
}

/// Reads the token endpoint's answer.
///
/// # Errors
///
/// [`TokenError::Denied`] if the person or the app has to do something first; everything else may pass.
pub fn read_tokens(answer: &Result<Answer, TransportError>) -> Result<UserTokens, TokenError> {
    let answer = answer.as_ref().map_err(|error| TokenError::NoWay(error.clone()))?;
    let unreadable = || {
        let text = format!("HTTP {} without a readable answer to the request for a user's token", answer.status);
        TokenError::Transient(Said { text, log_id: log_id(answer) })
    };
    let envelope = envelope(&answer.body).ok_or_else(unreadable)?;
    if envelope.code != 0 {
        return Err(refusal(answer, &envelope));
    }
    let body: TokenBody = serde_json::from_slice(without_bom(&answer.body)).map_err(|_| unreadable())?;
    if body.access_token.is_empty() {
        return Err(unreadable());
    }
    let texts = [Some(&body.access_token), body.refresh_token.as_ref(), body.scope.as_ref()];
    if texts.into_iter().flatten().any(|text| text.len() > TEXT_BYTES_MAX) {
        let text = format!(
            "the tokens that were issued, or their scopes, are longer than the {TEXT_BYTES_MAX} bytes that are kept"
        );
        return Err(TokenError::Denied(Said { text, log_id: log_id(answer) }, LONG_REMEDY));
    }
    let refresh_life = life_of(&body.refresh_token_expires_in);
    let refresh = body.refresh_token.filter(|token| !token.is_empty());
    Ok(UserTokens {
        access: (body.access_token.into(), life_of(&body.expires_in)),
        refresh: refresh.map(|token| (token.into(), refresh_life)),
        scope: body.scope.unwrap_or_default(),
    })
}

fn refusal(answer: &Answer, envelope: &Envelope) -> TokenError {
    #[derive(Deserialize)]
    struct Why {
        error_description: Option<String>,
    }
    let code = envelope.code;
    let why = serde_json::from_slice::<Why>(without_bom(&answer.body)).ok().and_then(|why| why.error_description);
    let why = printable(&why.unwrap_or_default());
    let refused = Said { text: format!("code {code} (HTTP {}): {why}", answer.status), log_id: log_id(answer) };
    if PASSING.contains(&code) || is_passing(code) || answer.status >= 500 || answer.status == 429 {
        return TokenError::Transient(refused);
    }
    let remedy = REMEDIES.iter().find(|(codes, _)| codes.contains(&code));
    TokenError::Denied(refused, remedy.map_or(LOGIN_REMEDY, |(_, remedy)| *remedy))
}

/// Whether the token endpoint says that a refresh token has been used before.
pub fn is_used_up(answer: &Result<Answer, TransportError>) -> bool {
    answer.as_ref().ok().and_then(|answer| envelope(&answer.body)).is_some_and(|envelope| envelope.code == USED_UP)
}

/// What to do where nobody is signed in.
pub fn first_login_remedy() -> Remedy {
    FIRST_LOGIN_REMEDY
}

/// What to do where nobody is signed in any more.
pub fn login_remedy() -> Remedy {
    LOGIN_REMEDY
}

/// What to do about an app that gives no refresh tokens.
pub fn switch_remedy() -> Remedy {
    SWITCH_REMEDY
}

fn life_of(seconds: &Value) -> Duration {
    seconds.as_u64().filter(|seconds| *seconds > 0).map_or(LIFE_DEFAULT, Duration::from_secs).min(LIFE_MAX)
}

/// Who has signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Their id within the app.
    pub open_id: String,
    /// Their name.
    pub name: String,
    /// Their tenant.
    pub tenant_key: String,
}

/// The request for who an access token is of.
pub fn person_request(bearer: &SecretString) -> Request {
    Request { path_and_query: PERSON_PATH.into(), call: Call::Get { bearer: bearer.clone() } }
}

/// Whether an answer says that the access token is not valid any more.
pub fn is_refused(answer: &Result<Answer, TransportError>) -> bool {
    let envelope = answer.as_ref().ok().and_then(|answer| envelope(&answer.body));
    envelope.is_some_and(|envelope| is_token_refused(envelope.code))
}

/// Reads who that is.
///
/// # Errors
///
/// What was said in its place.
pub fn read_person(answer: &Result<Answer, TransportError>) -> Result<Person, Said> {
    #[derive(Deserialize)]
    struct Body {
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        open_id: String,
        #[serde(default)]
        name: String,
        #[serde(default)]
        tenant_key: String,
    }
    let answer = answer.as_ref().map_err(|error| Said { text: error.to_string(), log_id: None })?;
    let text = format!("HTTP {} without a readable answer to who has signed in", answer.status);
    let unreadable = Said { text, log_id: log_id(answer) };
    match envelope(&answer.body) {
        Some(envelope) if envelope.code == 0 => {}
        Some(envelope) => return Err(said(answer, &envelope)),
        None => return Err(unreadable),
    }
    let body: Body = serde_json::from_slice(without_bom(&answer.body)).map_err(|_| unreadable)?;
    let short = |text: String| text.chars().take(NAME_CHARS_MAX).collect();
    let Data { open_id, name, tenant_key } = body.data;
    Ok(Person { open_id: short(open_id), name: short(name), tenant_key: short(tenant_key) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        Question { state: "the state".into(), verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into() }
    }

    fn redirect() -> Url {
        "http://127.0.0.1:8360/back".parse().unwrap()
    }

    #[test]
    fn the_consent_page_is_told_what_is_asked_and_nothing_that_is_secret() {
        let scopes = ["vc:room:readonly".to_owned()];
        let consent = Consent {
            accounts_url: &"https://accounts.feishu.cn".parse().unwrap(),
            app_id: "cli_1",
            redirect_uri: &redirect(),
            scopes: &scopes,
        };
        // The challenge is that of RFC 7636, appendix B.
        assert_eq!(
            question().address(&consent).as_str(),
            "https://accounts.feishu.cn/open-apis/authen/v1/authorize?client_id=cli_1&response_type=code\
             &redirect_uri=http%3A%2F%2F127.0.0.1%3A8360%2Fback&scope=vc%3Aroom%3Areadonly+offline_access&state=the+state\
             &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
        );
        let first = Question::new().unwrap();
        assert_eq!(first.state.expose_secret().len(), 43);
        assert_ne!(first.state.expose_secret(), first.verifier.expose_secret());
    }

    #[test]
    fn an_answer_is_believed_at_its_address_and_with_its_state_alone() {
        let read = |text: &str| question().read_answer(text, &redirect()).map(|code| code.expose_secret().to_owned());
        for (text, expected) in [
            ("http://127.0.0.1:8360/back?code=c-1&state=the%20state", Ok("c-1")),
            (" http://127.0.0.1:8360/back?state=the+state&code=c-1\n", Ok("c-1")),
            ("http://127.0.0.1:8360/back?code=c-1&state=another", Err(NoAnswer::OtherQuestion)),
            ("http://127.0.0.1:8360/back?code=c-1", Err(NoAnswer::OtherQuestion)),
            (
                "http://127.0.0.1:8360/back?error=access_denied&state=the+state",
                Err(NoAnswer::Denied("access_denied".into())),
            ),
            ("http://127.0.0.1:8360/back?state=the+state", Err(NoAnswer::WithoutCode)),
            ("http://127.0.0.1:8361/back?code=c-1&state=the+state", Err(NoAnswer::OtherAddress)),
            ("http://127.0.0.1:8360/?code=c-1&state=the+state", Err(NoAnswer::OtherAddress)),
            ("127.0.0.1:8360/back?code=c-1&state=the%20state", Ok("c-1")),
            ("c-1", Err(NoAnswer::OtherAddress)),
            ("", Err(NoAnswer::OtherAddress)),
        ] {
            assert_eq!(read(text), expected.map(str::to_owned), "{text}");
        }
    }

    fn read(status: u16, body: &str) -> Result<UserTokens, TokenError> {
        read_tokens(&Ok(Answer { status, body: body.to_owned().into(), ..Answer::default() }))
    }

    #[test]
    fn tokens_come_with_their_lives_and_a_refresh_token_may_be_missing() {
        let whole = read(
            200,
            r#"{"code":0,"access_token":"eyJ1","expires_in":7200,"refresh_token":"eyJ2","refresh_token_expires_in":604800,
                "token_type":"Bearer","scope":"a offline_access"}"#,
        );
        let whole = whole.ok().unwrap();
        assert_eq!((whole.access.0.expose_secret(), whole.access.1.as_secs()), ("eyJ1", 7200));
        let (refresh, life) = whole.refresh.unwrap();
        assert_eq!(
            (refresh.expose_secret(), life.as_secs(), whole.scope.as_str()),
            ("eyJ2", 604_800, "a offline_access")
        );
        for body in [
            r#"{"code":0,"access_token":"eyJ1","expires_in":7200}"#,
            r#"{"code":0,"access_token":"eyJ1","expires_in":7200,"refresh_token":"","refresh_token_expires_in":0}"#,
        ] {
            assert!(read(200, body).ok().unwrap().refresh.is_none(), "{body}");
        }
    }

    #[test]
    fn what_passes_is_told_from_what_a_person_has_to_do() {
        for (status, code, passes) in [
            (400, 20_026, false),
            (400, 20_037, false),
            (400, 20_064, false),
            (400, 20_073, false),
            (400, 20_066, false),
            (400, 20_010, false),
            (400, 29_999, false),
            (500, 20_050, true),
            (503, 20_072, true),
            (400, 20_050, true),
            (400, 99_991_400, true),
            (503, 1, true),
        ] {
            let body = format!(r#"{{"code":{code},"error":"x","error_description":"why\u001b[31m"}}"#);
            let error = read(status, &body).err().unwrap();
            assert_eq!(matches!(error, TokenError::Transient(_)), passes, "{code}");
            assert!(error.why().contains(&format!("code {code} (HTTP {status}): why\\u{{1b}}[31m")), "{}", error.why());
        }
        let long = |bytes: usize| format!(r#"{{"code":0,"access_token":"{}","refresh_token":"r"}}"#, "a".repeat(bytes));
        assert!(read(200, &long(TEXT_BYTES_MAX)).is_ok());
        let error = read(200, &long(TEXT_BYTES_MAX + 1)).err().unwrap();
        assert!(matches!(error, TokenError::Denied(..)) && error.why().contains("8192 bytes"), "{}", error.why());
        for (status, body) in [(502, "<html>"), (200, r#"{"code":0}"#), (200, r#"{"code":0,"access_token":""}"#)] {
            assert!(matches!(read(status, body).err(), Some(TokenError::Transient(_))), "{body}");
        }
    }
}
