//! The tenant's access token: asking for one and reading the answer.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{Token, TokenError, renew_in};
use crate::{
    feishu::{
        answer::{Remedy, Said, envelope, is_passing, said},
        transport::{Answer, Call, Request, TransportError},
    },
    read::decode::without_bom,
};

const PATH: &str = "/open-apis/auth/v3/tenant_access_token/internal";

/// The longest life that a token has, whatever the answer says.
const LIFE_MAX: Duration = Duration::from_secs(2 * 3600);

/// The life of a token whose answer does not say it.
const LIFE_DEFAULT: Duration = Duration::from_secs(30 * 60);

/// The custom app's id and secret.
#[derive(Clone)]
pub struct Credentials {
    /// `cli_…`.
    pub app_id: String,
    /// Its secret.
    pub app_secret: SecretString,
}

pub(super) const CREDENTIALS_REMEDY: Remedy = Remedy(
    "check VCQ_APP_ID and VCQ_APP_SECRET (or `app_id` and `app_secret_file`), and that `base_url` is the host of this \
     app: open.feishu.cn for Feishu, open.larksuite.com for Lark",
);

/// The request for a token.
pub fn token_request(credentials: &Credentials) -> Request {
    let body = serde_json::json!({
        "app_id": credentials.app_id,
        "app_secret": credentials.app_secret.expose_secret(),
    });
    Request { path_and_query: PATH.into(), call: Call::Post { json: SecretString::from(body.to_string()) } }
}

#[derive(Deserialize)]
struct TokenBody {
    tenant_access_token: String,
    #[serde(default)]
    expire: serde_json::Value,
}

/// Reads the token endpoint's answer. Its errors come as HTTP 200 with a code.
pub fn read_token(answer: &Result<Answer, TransportError>) -> Result<Token, TokenError> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Err(TokenError::NoWay(error.clone())),
    };
    let unreadable = || {
        let text = format!("HTTP {} without a readable answer to the request for a token", answer.status);
        TokenError::Transient(Said { text, log_id: answer.log_id.clone() })
    };
    let envelope = envelope(&answer.body).ok_or_else(unreadable)?;
    if envelope.code != 0 {
        let said = said(answer, &envelope);
        let passes = is_passing(envelope.code) || answer.status >= 500 || answer.status == 429;
        return Err(if passes { TokenError::Transient(said) } else { TokenError::Denied(said, CREDENTIALS_REMEDY) });
    }
    let body: TokenBody = serde_json::from_slice(without_bom(&answer.body)).map_err(|_| unreadable())?;
    if body.tenant_access_token.is_empty() {
        return Err(unreadable());
    }
    let life = life_of(&body.expire);
    Ok(Token { secret: body.tenant_access_token.into(), renew_in: renew_in(life), life })
}

fn life_of(expire: &serde_json::Value) -> Duration {
    expire.as_u64().filter(|seconds| *seconds > 0).map_or(LIFE_DEFAULT, Duration::from_secs).min(LIFE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feishu::transport::Cause;

    fn read(status: u16, body: &str) -> Result<Token, TokenError> {
        read_token(&Ok(Answer { status, body: body.to_owned().into(), ..Answer::default() }))
    }

    #[test]
    fn a_token_is_renewed_five_minutes_before_its_end() {
        for (expire, seconds) in [
            ("7200", 6900),
            ("4567", 4267),
            ("1800", 1500),
            ("600", 300),
            ("200", 100),
            ("999999", 6900),
            ("0", 1500),
            ("-1", 1500),
            ("\"7200\"", 1500),
            ("null", 1500),
        ] {
            let body = format!(r#"{{"code":0,"msg":"ok","tenant_access_token":"t-1","expire":{expire}}}"#);
            for body in [&body, &format!("\u{feff}{body}")] {
                let token = read(200, body).ok().unwrap();
                assert_eq!(token.renew_in, Duration::from_secs(seconds), "{expire}");
                assert_eq!(token.secret.expose_secret(), "t-1");
            }
        }
    }

    #[test]
    fn errors_come_as_http_200_with_a_code() {
        for (status, body, passes) in [
            (200, r#"{"code":10003,"msg":"invalid param"}"#, false),
            (200, r#"{"code":10014,"msg":"app secret invalid"}"#, false),
            (200, r#"{"code":99991543,"msg":"app not found"}"#, false),
            (200, r#"{"code":2200,"msg":"internal error"}"#, true),
            (200, r#"{"code":99991400,"msg":"frequency limit"}"#, true),
            (503, r#"{"code":7,"msg":"?"}"#, true),
            (502, "<html>", true),
            (200, r#"{"code":0,"msg":"ok"}"#, true),
            (200, r#"{"code":0,"tenant_access_token":""}"#, true),
        ] {
            let error = read(status, body).err().unwrap();
            assert_eq!(matches!(error, TokenError::Transient(_)), passes, "{body}");
        }
        let cut = TransportError::from(Cause::Cut);
        assert_eq!(read_token(&Err(cut.clone())).err(), Some(TokenError::NoWay(cut)));
    }

    #[test]
    fn the_request_carries_id_and_secret_as_json() {
        let credentials = Credentials { app_id: "cli_1".into(), app_secret: "s\"ecret".into() };
        let Call::Post { json } = token_request(&credentials).call else { panic!("a token is asked for by POST") };
        assert_eq!(json.expose_secret(), r#"{"app_id":"cli_1","app_secret":"s\"ecret"}"#);
    }
}
