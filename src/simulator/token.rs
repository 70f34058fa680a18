//! The tenant token: issued for app id and secret, kept while it is fresh, renewed while the old one still holds.

use std::collections::VecDeque;

use rand::Rng;
use serde::Deserialize;
use serde_json::json;

use super::{
    random::{Purpose, stream},
    reply::{Reply, Request},
};

/// A token with less life than this left is replaced by the next call.
const RENEWED_BELOW_US: i64 = 30 * 60 * 1_000_000;

/// The most tokens that are known at a time; the oldest are forgotten, which only an absurd client can notice.
const TOKENS_MAX: usize = 1024;

/// Who may ask for a token, and how long it holds.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// The app's id.
    pub app_id: String,
    /// The app's secret: a made-up one, so it may be shown.
    pub app_secret: String,
    /// How long a token holds, in seconds.
    pub life_s: u32,
}

impl Default for TokenSettings {
    fn default() -> Self {
        Self { app_id: "cli_simulated".into(), app_secret: "simulated".into(), life_s: 7200 }
    }
}

struct Token {
    text: String,
    expires_us: i64,
    state: TokenState,
}

#[derive(PartialEq, Eq)]
enum TokenState {
    Good,
    /// No longer accepted nor handed out.
    Revoked,
    /// No longer accepted, but handed out all the same.
    Dead,
}

/// The tokens issued so far.
pub(super) struct Tokens {
    settings: TokenSettings,
    seed: u64,
    issued: u64,
    known: VecDeque<Token>,
}

#[derive(Deserialize)]
struct Credentials {
    app_id: String,
    app_secret: String,
}

impl Tokens {
    pub(super) fn new(settings: TokenSettings, seed: u64) -> Self {
        Self { settings, seed, issued: 0, known: VecDeque::new() }
    }

    /// How many different tokens were issued.
    pub(super) fn issued(&self) -> u64 {
        self.issued
    }

    /// Answers `POST …/tenant_access_token/internal`. Errors come as HTTP 200, as the API documents it.
    pub(super) fn answer(&mut self, now_us: i64, request: &Request) -> Reply {
        // The official SDK names no type, so that is accepted.
        let is_json = request.content_type.as_deref().is_none_or(|kind| kind.starts_with("application/json"));
        let credentials = serde_json::from_slice::<Credentials>(&request.body);
        match credentials {
            Ok(given) if is_json && given.app_id == self.settings.app_id => {
                if given.app_secret != self.settings.app_secret {
                    return Reply::json(200, json!({"code": 10014, "msg": "app secret invalid"}).to_string());
                }
                let token = self.current(now_us);
                let expire_s = (token.expires_us - now_us).div_euclid(1_000_000);
                let mut body = json!({"code": 0, "msg": "ok", "tenant_access_token": token.text, "expire": expire_s});
                if request.path_and_query.contains("app_access_token") {
                    // The app's token, of the historic endpoints, is the same.
                    body["app_access_token"] = body["tenant_access_token"].clone();
                }
                Reply::json(200, body.to_string())
            }
            _ => Reply::json(200, json!({"code": 10003, "msg": "invalid param"}).to_string()),
        }
    }

    /// Checks an `Authorization` header.
    ///
    /// # Errors
    ///
    /// The documented refusal: nothing that looks like a token, none of this app, or one that has expired.
    pub(super) fn check(&mut self, now_us: i64, authorization: Option<&str>) -> Result<(), Reply> {
        let Some(text) = authorization.and_then(|header| header.strip_prefix("Bearer ")) else {
            return Err(Reply::failure(400, 99_991_661, "Missing access token for authorization."));
        };
        if text.starts_with("u-") {
            return Err(Reply::failure(400, 99_991_668, "Invalid access token for authorization."));
        }
        if !text.starts_with("t-") {
            return Err(Reply::failure(400, 99_991_671, "token format is invalid, it must start with t- or u-"));
        }
        let accepted =
            |token: &Token| token.text == text && token.expires_us > now_us && token.state == TokenState::Good;
        if self.known.iter().any(accepted) { Ok(()) } else { Err(rejected()) }
    }

    /// Makes the newest token bad: the next call to the token endpoint issues another one.
    pub(super) fn revoke(&mut self) {
        self.spoil(TokenState::Revoked);
    }

    /// Makes the newest token bad, while the token endpoint goes on to hand it out.
    pub(super) fn kill(&mut self) {
        self.spoil(TokenState::Dead);
    }

    fn spoil(&mut self, state: TokenState) {
        if let Some(token) = self.known.back_mut() {
            token.state = state;
        }
    }

    fn current(&mut self, now_us: i64) -> &Token {
        self.known.retain(|token| token.expires_us > now_us);
        let fresh = |token: &Token| token.expires_us - now_us >= RENEWED_BELOW_US && token.state != TokenState::Revoked;
        if !self.known.back().is_some_and(fresh) {
            self.issue(now_us);
        }
        self.known.back().expect("a token was issued if there was none")
    }

    fn issue(&mut self, now_us: i64) {
        self.issued += 1;
        let random: u128 = stream(self.seed, Purpose::Token, self.issued, 0).random();
        let life_us = i64::from(self.settings.life_s) * 1_000_000;
        let token = Token { text: format!("t-g1{random:032x}"), expires_us: now_us + life_us, state: TokenState::Good };
        self.known.push_back(token);
        if self.known.len() > TOKENS_MAX {
            self.known.pop_front();
        }
    }
}

/// What the API says about a token that has expired or was never issued.
pub(super) fn rejected() -> Reply {
    Reply::failure(400, 99_991_663, "Invalid access token for authorization. Please make a test with correct token.")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_US: i64 = 60_000_000;

    fn ask(tokens: &mut Tokens, minute: i64) -> (String, i64) {
        let request = Request {
            content_type: Some("application/json; charset=utf-8".into()),
            body: r#"{"app_id":"cli_simulated","app_secret":"simulated"}"#.into(),
            ..Request::default()
        };
        let body: serde_json::Value =
            serde_json::from_slice(&tokens.answer(minute * MINUTE_US, &request).body).unwrap();
        (body["tenant_access_token"].as_str().unwrap().to_owned(), body["expire"].as_i64().unwrap())
    }

    #[test]
    fn a_token_is_renewed_in_its_last_half_hour_and_the_old_one_holds_on() {
        let mut tokens = Tokens::new(TokenSettings::default(), 1);
        let (first, life_s) = ask(&mut tokens, 0);
        assert_eq!(life_s, 7200);
        assert_eq!(ask(&mut tokens, 90), (first.clone(), 1800));
        let (second, life_s) = ask(&mut tokens, 91);
        assert_eq!(life_s, 7200);
        assert_ne!(first, second);
        let good = |tokens: &mut Tokens, token: &str, minute: i64| {
            tokens.check(minute * MINUTE_US, Some(&format!("Bearer {token}"))).is_ok()
        };
        assert!(good(&mut tokens, &first, 119) && good(&mut tokens, &second, 119));
        assert!(!good(&mut tokens, &first, 120) && good(&mut tokens, &second, 120));
        assert_eq!(tokens.issued(), 2);
    }

    #[test]
    fn a_revoked_token_is_replaced_and_a_dead_one_is_not() {
        let mut tokens = Tokens::new(TokenSettings::default(), 1);
        let (first, _) = ask(&mut tokens, 0);
        tokens.revoke();
        let (second, _) = ask(&mut tokens, 0);
        assert_ne!(first, second);
        tokens.kill();
        assert_eq!(ask(&mut tokens, 0).0, second);
        assert!(tokens.check(0, Some(&format!("Bearer {second}"))).is_err());
    }
}
