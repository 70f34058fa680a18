//! The end of a run, told to a web address: as JSON, or as the message of a Feishu or Lark bot.

use std::{path::PathBuf, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::time::sleep;
use url::Url;

use super::export::Conclusion;
use crate::{
    config::{Api, Config, NoticeForm, NoticeOf, is_private_way},
    credentials::{SecretFile, read_secret},
    error::{Chain, Error, ExitCode},
    feishu::{
        answer::Remedy,
        transport::{Answer, Call, HttpTransport, Request, Transport as _},
    },
    journal::Lane,
    printable::Printable,
    start::Start,
};

/// Version of the JSON's form: within one, keys are only added. `config/JSON.md` describes it.
const NOTIFY_VERSION: u32 = 1;

/// Longest wait for an answer: a run has ended, and whoever started it waits.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// What a bot answers that is told too much at a time.
const TOO_MANY: i64 = 11_232;

/// Waits before further attempts.
const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

const URL_FILE: SecretFile = SecretFile {
    key: "notify.url_file",
    name: "notify.url_file",
    remedy: Remedy("`notify.url_file` must name a file that holds one https address and nothing else"),
    is_owners: false,
};

const SECRET_FILE: SecretFile = SecretFile {
    key: "notify.secret_file",
    name: "notify.secret_file",
    remedy: Remedy("`notify.secret_file` must name a file that holds the bot's secret for signatures and nothing else"),
    is_owners: false,
};

const URL_REMEDY: Remedy = Remedy(
    "VCQ_NOTIFY_URL, or the file that `notify.url_file` names, must hold an https address (http on a loopback address only)",
);

/// What the environment holds of it; it comes before the files.
#[derive(Debug, Default)]
pub struct NotifySecrets {
    /// `VCQ_NOTIFY_URL`.
    pub url: Option<SecretString>,
    /// `VCQ_NOTIFY_SECRET`.
    pub secret: Option<SecretString>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Notice {
    is_problem: bool,
    lines: Vec<String>,
    json: Value,
}

impl Notice {
    /// The end of `command` in a lane: what the run came to, and what became of telling it.
    pub fn of_run(
        command: &str,
        lane: Lane,
        ended: Result<&Conclusion, &Error>,
        exited: Result<&ExitCode, &Error>,
    ) -> Self {
        let code = exited.copied().unwrap_or_else(Error::exit_code);
        let is_problem = !matches!(code, ExitCode::Complete | ExitCode::Planned);
        let mut lines = vec![format!("vcq {command} ({}): {}, exit {}", lane.name(), code.meaning(), code as u8)];
        let hint = match ended {
            Ok(conclusion) => {
                let verdict = conclusion.report.verdict().to_string();
                lines.extend(verdict.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")));
                lines.extend(conclusion.report.stopped().map(|why| format!("stopped early: {}", Printable(why))));
                lines.extend(conclusion.failures.iter().map(|error| Chain(error).to_string()));
                conclusion.hint.clone()
            }
            Err(error) => {
                lines.push(Chain(error).to_string());
                error.hint()
            }
        };
        lines.extend(exited.err().map(|error| Chain(error).to_string()));
        lines.extend(hint.map(|hint| format!("hint: {}", Printable(hint))));
        let json = json!({
            "notify_version": NOTIFY_VERSION,
            "vcq_version": env!("CARGO_PKG_VERSION"),
            "command": command,
            "lane": lane.name(),
            "exit_code": code as u8,
            "is_problem": is_problem,
            "text": lines,
            "run": ended.ok().map(|conclusion| conclusion.report.account()),
        });
        Self { is_problem, lines, json }
    }

    /// A notice that says that notices arrive.
    pub fn of_test() -> Self {
        let lines = vec!["vcq notify: a test; this is where the ends of runs are told".to_owned()];
        let json = json!({
            "notify_version": NOTIFY_VERSION,
            "vcq_version": env!("CARGO_PKG_VERSION"),
            "command": "notify",
            "lane": null,
            "exit_code": 0,
            "is_problem": false,
            "text": lines,
            "run": null,
        });
        Self { is_problem: true, lines, json }
    }

    /// What is sent; signed with `secret` at `unix_s`, if there is one, as the vendor's bots check it.
    fn body(&self, form: NoticeForm, secret: Option<&SecretString>, unix_s: i64) -> SecretString {
        let body = match form {
            NoticeForm::Json => self.json.clone(),
            NoticeForm::Bot => {
                let mut body = json!({ "msg_type": "text", "content": { "text": self.lines.join("\n") } });
                if let Some(secret) = secret {
                    body["timestamp"] = unix_s.to_string().into();
                    body["sign"] = signature(unix_s, secret).into();
                }
                body
            }
        };
        body.to_string().into()
    }
}

/// Base64 of HMAC-SHA256 of nothing, by the key of time and secret: the vendor's way.
fn signature(unix_s: i64, secret: &SecretString) -> String {
    let key = format!("{unix_s}\n{}", secret.expose_secret());
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Tells the ends of runs.
#[derive(Debug)]
pub struct Notifier {
    transport: HttpTransport,
    path_and_query: String,
    form: NoticeForm,
    of: NoticeOf,
    secret: Option<SecretString>,
}

impl Notifier {
    /// As the configuration says; none if it names no address.
    ///
    /// # Errors
    ///
    /// [`Error::Access`] if the address or the secret cannot be read, or is none, or others have access to its file.
    pub fn new(config: &Config, of_environment: NotifySecrets) -> Result<Option<Self>, Error> {
        let notify = &config.notify;
        let read = |given: Option<SecretString>, file: &Option<PathBuf>, kind| match (given, file) {
            (Some(given), _) => Ok(Some(given)),
            (None, Some(path)) => read_secret(path, kind).map(Some),
            (None, None) => Ok(None),
        };
        let Some(address) = read(of_environment.url, &notify.url_file, &URL_FILE)? else { return Ok(None) };
        let secret = read(of_environment.secret, &notify.secret_file, &SECRET_FILE)?;
        let url = address.expose_secret().parse::<Url>().ok().filter(is_private_way);
        let url = url.ok_or(Error::Access { what: "the address for notices is none".into(), remedy: URL_REMEDY })?;
        let path_and_query = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let mut base_url = url;
        base_url.set_path("/");
        base_url.set_query(None);
        base_url.set_fragment(None);
        let api = Api { base_url, request_timeout: ANSWER_MAX, ..config.api.clone() };
        let transport = HttpTransport::new(&api).map_err(|error| Error::Usage(Chain(&error).to_string()))?;
        Ok(Some(Self { transport, path_and_query, form: notify.form, of: notify.of, secret }))
    }

    /// The host that is told.
    pub fn target(&self) -> String {
        self.transport.target()
    }

    /// Tells it, if the configuration wants ends of this kind to be told.
    ///
    /// # Errors
    ///
    /// Why it did not arrive, after three attempts.
    pub async fn tell(&self, notice: &Notice, start: &Start) -> Result<(), String> {
        if self.of == NoticeOf::Problems && !notice.is_problem {
            return Ok(());
        }
        let mut waits = WAITS.into_iter();
        loop {
            let json = notice.body(self.form, self.secret.as_ref(), start.now().timestamp());
            let request = Request { path_and_query: self.path_and_query.clone(), call: Call::Post { json } };
            let refused = match self.transport.send(request).await {
                Ok(answer) => match self.judge(&answer) {
                    Ok(()) => return Ok(()),
                    Err((why, true)) => return Err(format!("{}: {why}", self.target())),
                    Err((why, false)) => format!("{}: {why}", self.target()),
                },
                Err(error) => Chain(&error).to_string(),
            };
            let Some(wait) = waits.next() else { return Err(refused) };
            sleep(wait).await;
        }
    }

    /// Why an answer says that the notice was not taken, and whether it will not be taken either when it is sent again.
    fn judge(&self, answer: &Answer) -> Result<(), (String, bool)> {
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let code = said["code"].as_i64().or_else(|| said["StatusCode"].as_i64());
        let passes = answer.status >= 500 || answer.status == 429 || code == Some(TOO_MANY);
        let is_good = (200..300).contains(&answer.status);
        if self.form == NoticeForm::Bot && is_good && code.is_none() {
            return Err(("the answer is not that of a bot: check the address".into(), true));
        }
        if let Some(code) = code.filter(|code| self.form == NoticeForm::Bot && *code != 0) {
            let remedy = match code {
                19_021 => {
                    ": check the bot's secret (VCQ_NOTIFY_SECRET or `notify.secret_file`) and this machine's clock"
                }
                19_022 => ": this machine's address is not on the bot's list",
                19_024 => ": the bot asks for a word that the message has not; let the word be `vcq`",
                _ => "",
            };
            let message = said["msg"].as_str().unwrap_or_default();
            return Err((format!("the bot answers with {code} {}{remedy}", Printable(message)), !passes));
        }
        if is_good { Ok(()) } else { Err((format!("HTTP {}", answer.status), !passes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value was computed by Python's `hmac` and `base64`.
    #[test]
    fn the_signature_is_the_vendor_s() {
        assert_eq!(signature(1_599_360_473, &"demo".into()), "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8=");
    }

    #[test]
    fn a_bot_s_message_is_signed_and_json_is_not() {
        let notice = Notice::of_test();
        let body = |form, secret: Option<&str>| -> Value {
            let body = notice.body(form, secret.map(Into::into).as_ref(), 7);
            serde_json::from_str(body.expose_secret()).unwrap()
        };
        let bot = body(NoticeForm::Bot, Some("s"));
        assert_eq!((&bot["timestamp"], &bot["msg_type"]), (&json!("7"), &json!("text")));
        assert!(bot["sign"].is_string() && bot["content"]["text"].as_str().unwrap().starts_with("vcq "));
        assert_eq!(body(NoticeForm::Bot, None)["sign"], Value::Null);
        assert_eq!(body(NoticeForm::Json, Some("s"))["notify_version"], 1);
    }
}
