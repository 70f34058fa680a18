//! `vcq login`: somebody signs in, so that vcq asks as them. The browser may be on another machine.

mod listener;
mod logout;

use std::{fmt, time::Duration};

use tokio::{net::TcpListener, sync::mpsc, time::sleep};

pub use self::logout::{SignedOut, logout};
use crate::{
    access::{
        NoToken,
        sign_in::{SignIn, Standing},
        sign_in_file::{Locked, SignInFile},
        signed_in::ask_person,
    },
    config::{AuthAs, Config, UserIdType},
    error::{Chain, Error},
    feishu::{
        answer::Remedy,
        auth::{
            TokenError,
            tenant::Credentials,
            user::{Consent, NoAnswer, Person, Question, UserTokens, read_tokens, switch_remedy},
        },
        transport::Transport,
    },
    printable::Printable,
    start::Start,
};

/// How long somebody may take to answer the consent page.
const ANSWER_MAX: Duration = Duration::from_secs(15 * 60);

/// How often the answer is given for tokens, where that fails for something that passes.
const EXCHANGES_MAX: u32 = 3;

/// The scope without which the API names no user by `user_id`.
const USER_ID_SCOPE: &str = "contact:user.employee_id:readonly";

const DENIED_REMEDY: Remedy = Remedy(
    "somebody with the admin right \"Video conferencing > Meeting management\" has to consent: `vcq login` again",
);
const ANSWER_REMEDY: Remedy = Remedy(
    "`vcq login` again, and paste all of the address at which the browser ends; if the consent page spoke of the redirect URL, add \
     `auth.redirect_uri` to the redirect URLs in the app's security settings first",
);

/// How somebody signs in.
pub struct Login<'a> {
    /// The checked configuration.
    pub config: &'a Config,
    /// The app that they sign in for.
    pub credentials: &'a Credentials,
    /// The network.
    pub transport: &'a dyn Transport,
    /// Wall time and the stop signal.
    pub start: &'a Start,
    /// Prints a line for the person, on standard error.
    pub tell: &'a dyn Fn(&str),
    /// Prints the consent page's address, on standard output.
    pub print: &'a dyn Fn(&str) -> Result<(), Error>,
}

/// Somebody has signed in.
#[derive(Debug)]
pub struct SignedInAs {
    standing: Standing,
    person: Option<Person>,
    scope: String,
}

/// Listens where the consent page sends the browser, if that is this machine.
///
/// # Errors
///
/// [`Error::Usage`] if another program listens there.
pub async fn listen(config: &Config) -> Result<Option<TcpListener>, Error> {
    let redirect = &config.auth.redirect_uri;
    let (true, Some(host), Some(port)) = (redirect.scheme() == "http", redirect.host_str(), redirect.port()) else {
        return Ok(None);
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let listener = TcpListener::bind((host, port)).await.map_err(|error| {
        Error::Usage(format!(
            "cannot listen on {host}:{port}, where `auth.redirect_uri` leads: {error}; end what listens there, or `vcq login --paste`"
        ))
    })?;
    Ok(Some(listener))
}

/// Asks somebody to consent, takes the answer, and keeps what it brings.
///
/// `pasted` brings the lines that somebody types; it ends with them.
///
/// # Errors
///
/// [`Error::Access`] if nobody consents, or what they answer is good for nothing.
pub async fn login(
    task: &Login<'_>,
    listener: Option<TcpListener>,
    pasted: mpsc::Receiver<String>,
) -> Result<SignedInAs, Error> {
    let Login { config, credentials, .. } = *task;
    let Some(accounts_url) = &config.auth.accounts_url else {
        let what =
            "`auth.accounts_url` must say where the consent page of this `api.base_url` is: the host is not known";
        return Err(Error::Usage(what.into()));
    };
    let question = Question::new().map_err(|_| Error::Bug("this system has no randomness".into()))?;
    let mut scopes = config.auth.scopes.clone();
    if config.api.user_id_type == UserIdType::UserId && !scopes.iter().any(|scope| scope == USER_ID_SCOPE) {
        scopes.push(USER_ID_SCOPE.into());
    }
    let redirect_uri = &config.auth.redirect_uri;
    let consent = Consent { accounts_url, app_id: &credentials.app_id, redirect_uri, scopes: &scopes };
    (task.tell)("Open this address in a browser, on whatever machine, and consent there:\n");
    (task.print)(&format!("{}\n", question.address(&consent)))?;
    (task.tell)(&instructions(config, listener.is_some()));
    let code = answer(task, &question, listener, pasted).await?;
    // From here on there is something to lose.
    let _held = task.start.hold();
    let file = SignInFile::new(&config.state);
    let locked = file.lock().await.map_err(error_of)?;
    let (before, is_cut) = before(&locked)?;
    locked.make_room()?;
    let tokens = match exchange(task, &question, &code).await {
        Ok(tokens) => tokens,
        Err(error) => {
            // The sign-in of before is as good as it was; that a renewal of it was cut stays known.
            if !is_cut {
                locked.forget_next()?;
            }
            return Err(error);
        }
    };
    let sign_in = SignIn::new(config, tokens, task.start.now());
    let sign_in = sign_in.after(before.as_ref());
    locked.put(&sign_in)?;
    let sign_in = ask_person(&locked, &sign_in, task.transport).await.unwrap_or_else(|error| {
        (task.tell)(&format!("vcq: {}", Chain(&error)));
        sign_in
    });
    tell_what_is_missing(task, &sign_in, before.as_ref(), &scopes);
    Ok(SignedInAs {
        standing: Standing::of(Some(&sign_in), config.timezone, task.start.now(), 0),
        person: sign_in.person().cloned(),
        scope: sign_in.scope().to_owned(),
    })
}

fn instructions(config: &Config, listens: bool) -> String {
    let redirect_uri = &config.auth.redirect_uri;
    let minutes = ANSWER_MAX.as_secs() / 60;
    if listens {
        format!(
            "\nThe answer is waited for at {redirect_uri} for {minutes} minutes. If the browser is on another machine it cannot open \
             that address in the end: copy the address from the browser, paste it here, and press Enter."
        )
    } else {
        format!(
            "\nIn the end the browser is at an address that begins with {redirect_uri} and may show an error: copy that address from \
             the browser, paste it here within {minutes} minutes, and press Enter."
        )
    }
}

/// What was kept before, and whether a renewal of it was cut; what cannot be read is given up, for it is to be replaced.
fn before(locked: &Locked<'_>) -> Result<(Option<SignIn>, bool), Error> {
    match locked.load() {
        Ok(found) => Ok((found.sign_in, found.is_cut)),
        Err(Error::Access { .. }) => locked.remove().map(|_| (None, false)),
        Err(error) => Err(error),
    }
}

/// The code of the first answer to this question, from wherever it comes.
async fn answer(
    task: &Login<'_>,
    question: &Question,
    listener: Option<TcpListener>,
    mut pasted: mpsc::Receiver<String>,
) -> Result<secrecy::SecretString, Error> {
    let redirect_uri = &task.config.auth.redirect_uri;
    let listens = listener.is_some();
    let read = |address: &str| question.read_answer(address, redirect_uri);
    let heard = async {
        match listener {
            Some(listener) => listener::heard(&listener, redirect_uri, &read, task.tell).await,
            None => std::future::pending().await,
        }
    };
    let typed = async {
        let mut last = None;
        while let Some(line) = pasted.recv().await {
            if line.trim().is_empty() {
                continue;
            }
            match read(&line) {
                Ok(code) => return Ok(code),
                Err(no @ NoAnswer::Denied(_)) => return Err(no),
                Err(no) => {
                    (task.tell)(&format!("{no}; paste another one"));
                    last = Some(no);
                }
            }
        }
        match last {
            _ if listens => std::future::pending().await,
            Some(no) => Err(no),
            None => Err(NoAnswer::Nothing),
        }
    };
    let mut stop = task.start.stop.clone();
    let answer = tokio::select! {
        biased;
        () = stop.requested() => return Err(Error::Stopped("nobody has signed in".into())),
        answer = heard => answer,
        answer = typed => answer,
        () = sleep(ANSWER_MAX) => {
            let what = format!("nobody has answered within {} minutes", ANSWER_MAX.as_secs() / 60);
            return Err(Error::Access { what, remedy: ANSWER_REMEDY });
        }
    };
    answer.map_err(|no| {
        let remedy = if matches!(no, NoAnswer::Denied(_)) { DENIED_REMEDY } else { ANSWER_REMEDY };
        Error::Access { what: no.to_string(), remedy }
    })
}

/// The tokens for a code.
async fn exchange(task: &Login<'_>, question: &Question, code: &secrecy::SecretString) -> Result<UserTokens, Error> {
    let redirect_uri = &task.config.auth.redirect_uri;
    let mut attempt = 1;
    loop {
        let request = question.exchange_request(task.credentials, code, redirect_uri);
        match read_tokens(&task.transport.send(request).await) {
            Err(TokenError::Transient(_) | TokenError::NoWay(_)) if attempt < EXCHANGES_MAX => {
                sleep(Duration::from_secs(u64::from(attempt))).await;
                attempt += 1;
            }
            tokens => return tokens.map_err(|error| error_of(error.into())),
        }
    }
}

/// What the person, or whoever set the app up, should know of what was granted.
fn tell_what_is_missing(task: &Login<'_>, sign_in: &SignIn, before: Option<&SignIn>, scopes: &[String]) {
    let tell = |text: String| (task.tell)(&text);
    let names = [before.and_then(SignIn::person), sign_in.person()];
    if let [Some(before), Some(now)] = names
        && before.open_id != now.open_id
    {
        tell(format!("before, {} was signed in here", Printable(&before.name)));
    }
    if sign_in.ends().at_the_latest.is_none() {
        tell(format!(
            "WARNING: the app gave no refresh token, so this sign-in ends with its access token: {}",
            switch_remedy()
        ));
    }
    let granted: Vec<_> = sign_in.scope().split_whitespace().collect();
    let missing: Vec<_> =
        scopes.iter().filter(|scope| !granted.contains(&scope.as_str())).map(String::as_str).collect();
    if !granted.is_empty() && !missing.is_empty() {
        tell(format!("not granted, though it was asked for: {}", missing.join(" ")));
    }
    let identity = task.config.auth.identity;
    if identity != AuthAs::User {
        tell(format!("`auth.as` is `{}`: set it to `user` for vcq to ask as this person", identity.name()));
    }
}

fn error_of(error: NoToken) -> Error {
    match error {
        NoToken::Local(error) => error,
        NoToken::Refused(TokenError::Denied(said, remedy)) => Error::Access { what: said.text, remedy },
        NoToken::Refused(TokenError::Transient(said)) => Error::Upstream(said.text),
        NoToken::Refused(TokenError::NoWay(error)) => Error::Upstream(format!("{error}; {}", error.remedy())),
    }
}

impl fmt::Display for SignedInAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "signed in  {}", self.standing)?;
        if let Some(Person { open_id, tenant_key, .. }) = &self.person {
            writeln!(f, "           {} of tenant {}", Printable(open_id), Printable(tenant_key))?;
        }
        writeln!(f, "scopes     {}", Printable(&self.scope))
    }
}
