//! What a hostile server, a hostile manifest or a careless umask cannot do.
//!
//! | promise | test |
//! | --- | --- |
//! | a redirect is not followed, so no token and no secret reaches another host | `no_redirect_is_followed` |
//! | no text of the server steers a terminal or forges a line | `texts_of_the_server_are_escaped` |
//! | no id becomes part of a path | `no_id_is_part_of_a_path` |
//! | journal, locks, rejects and report are their owner's alone | `state_is_private_whatever_the_umask` |

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::json;
use tempfile::TempDir;

const TOKEN_PATH: &str = "/open-apis/auth/v3/tenant_access_token/internal";

/// A server that answers as it is told to. It serves until the test process ends.
struct Server {
    url: String,
    requests: Arc<AtomicUsize>,
}

impl Server {
    /// `answer` gives the whole answer to a request for a path.
    fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let (counted, answer) = (Arc::clone(&requests), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (counted, answer) = (Arc::clone(&counted), Arc::clone(&answer));
                thread::spawn(move || {
                    counted.fetch_add(1, Ordering::Relaxed);
                    // A client that goes away is none of the server's business.
                    drop(serve(stream.unwrap(), &*answer));
                });
            }
        });
        Self { url, requests }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

#[path = "support/request.rs"]
mod request;

/// Answers one request and closes the connection.
fn serve(mut stream: TcpStream, answer: &dyn Fn(&str) -> String) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let first = request::read_request(&mut reader)?.unwrap_or_default();
    let path = first.split(' ').nth(1).unwrap_or_default();
    stream.write_all(answer(path).as_bytes())
}

/// An answer of JSON.
fn reply(status: &str, body: &serde_json::Value) -> String {
    let body = body.to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

fn token() -> String {
    reply("200 OK", &json!({"code": 0, "msg": "ok", "tenant_access_token": "t-canary", "expire": 7200}))
}

/// A folder with a manifest of these users.
fn home(users: &[&str]) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let row = |user: &&str| {
        let (meeting_no, start, end) = ("123456789", "1740787315", "1740789130");
        json!({"meeting_no": meeting_no, "meeting_start_time": start, "meeting_end_time": end, "join_time": start, "user_id": user})
            .to_string()
    };
    fs::write(home.path().join("manifest.jsonl"), users.iter().map(row).collect::<Vec<_>>().join("\n")).unwrap();
    home
}

fn vcq(home: &Path, url: &str, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vcq"));
    command.current_dir(home).args(line.split(' ')).env_clear().stdin(Stdio::null());
    command.envs([("VCQ_APP_ID", "cli_canary"), ("VCQ_APP_SECRET", "secret"), ("VCQ_API_BASE_URL", url)]);
    command.envs([("VCQ_RATE_REQUESTS_PER_MINUTE", "10000"), ("VCQ_RETRY_ATTEMPTS_MAX", "1")]);
    command.env("VCQ_RETRY_OUTAGE_MAX", "0s");
    command
}

const EXPORT: &str = "export --manifest manifest.jsonl --report report.json --log vcq=trace";

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Everything under a folder.
fn tree(folder: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            paths.extend(tree(&path));
        }
        paths.push(path);
    }
    paths.sort();
    paths
}

#[test]
fn no_redirect_is_followed() {
    for status in
        ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        let elsewhere = Server::start(|_| token());
        let to = elsewhere.url.clone();
        let redirect = move |path: &str| {
            format!("HTTP/1.1 {status}\r\nlocation: {to}{path}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        };
        let of_tokens = Server::start(redirect.clone());
        let of_data = Server::start(move |path| if path == TOKEN_PATH { token() } else { redirect(path) });

        let home = home(&["ou_1"]);
        let export = vcq(home.path(), &of_data.url, EXPORT).output().unwrap();
        assert_eq!(export.status.code(), Some(65), "{}", said(&export));
        assert!(said(&export).contains("not followed"), "{}", said(&export));
        let check = vcq(home.path(), &of_tokens.url, "check").output().unwrap();
        assert_ne!(check.status.code(), Some(0), "{}", said(&check));
        assert!(of_data.requests() >= 2 && of_tokens.requests() >= 1, "both were asked");
        assert_eq!(elsewhere.requests(), 0, "{status}");
    }
}

#[test]
fn texts_of_the_server_are_escaped() {
    const HOSTILE: &str = "\u{1b}[2Jred\u{1b}]0;title\u{7}\r\nvcq: forged\nhint: forged\u{9b}31m\u{202e}\u{8}\0";
    for (status, code) in [
        ("400 Bad Request", 777_777),
        ("400 Bad Request", 121_003),
        ("404 Not Found", 121_004),
        ("403 Forbidden", 121_005),
        ("429 Too Many Requests", 99_991_403),
        ("500 Internal Server Error", 121_001),
    ] {
        let hostile = move |path: &str| match path {
            TOKEN_PATH => token(),
            _ => reply(status, &json!({"code": code, "msg": HOSTILE, "error": {"log_id": HOSTILE}})),
        };
        check_escaped(&Server::start(hostile), code);
    }
    let of_tokens = Server::start(|_| reply("200 OK", &json!({"code": 10_014, "msg": HOSTILE})));
    check_escaped(&of_tokens, 10_014);
}

/// Exports from a server that answers with `code` and a hostile text, and looks for the text wherever it may stand.
fn check_escaped(server: &Server, code: u64) {
    let home = home(&["ou_1"]);
    let export = vcq(home.path(), &server.url, EXPORT).output().unwrap();
    let mut texts = vec![("what was said".to_owned(), said(&export))];
    for path in ["report.json", "report.rejects.csv"].map(|name| home.path().join(name)) {
        texts.extend(fs::read_to_string(&path).map(|text| (path.display().to_string(), text)));
    }
    let status = vcq(home.path(), &server.url, "status").output().unwrap();
    texts.push(("status".to_owned(), said(&status)));
    assert!(texts[0].1.contains("forged"), "{code}: the text is told: {}", texts[0].1);
    for (place, text) in texts {
        let steering = text.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(steering, None, "{code}: {place}: {text:?}");
        let forged = text.lines().find(|line| line.starts_with("vcq: forged") || line.starts_with("hint: forged"));
        assert_eq!(forged, None, "{code}: {place}: {text}");
    }
}

#[test]
fn no_id_is_part_of_a_path() {
    const IDS: [&str; 8] =
        ["../../evil", "/evil", "..", "evil/evil", "evil\\evil", "%2e%2e%2fevil", "evil%00", "date=2025-01-01"];
    let server = Server::start(|path| match path {
        TOKEN_PATH => token(),
        _ => reply(
            "200 OK",
            &json!({"code": 0, "data": {"participant_quality_list": [{"network": {"time": "2025.03.01 08:02:00"}}], "has_more": false}}),
        ),
    });
    let around = home(&IDS);
    let home = around.path().join("inner");
    fs::create_dir(&home).unwrap();
    fs::rename(around.path().join("manifest.jsonl"), home.join("manifest.jsonl")).unwrap();
    let export = vcq(&home, &server.url, EXPORT).output().unwrap();
    assert_eq!(export.status.code(), Some(0), "{}", said(&export));
    assert!(said(&export).contains("8 done"), "{}", said(&export));

    let names: Vec<_> = tree(around.path())
        .iter()
        .map(|path| path.strip_prefix(around.path()).unwrap().display().to_string())
        .collect();
    let part = names.iter().find(|name| name.ends_with(".parquet")).unwrap();
    let is_part = part
        .strip_prefix("inner/quality/date=2025-03-01/part-")
        .is_some_and(|rest| rest.len() == 16 + ".parquet".len());
    assert!(is_part, "{part}");
    let others: Vec<_> = names.iter().filter(|name| *name != part).map(String::as_str).collect();
    let expected = [
        "inner",
        "inner/manifest.jsonl",
        "inner/quality",
        "inner/quality/date=2025-03-01",
        "inner/quality.staging",
        "inner/report.json",
        "inner/state",
        "inner/state/fetch.lock",
        "inner/state/journal.sqlite",
        "inner/state/publish.lock",
        "inner/state/runs.jsonl",
    ];
    assert_eq!(others, expected);
}

#[test]
fn state_is_private_whatever_the_umask() {
    let hangs = |path: &str| match path {
        TOKEN_PATH => token(),
        _ => loop {
            thread::park();
        },
    };
    let rejects = |path: &str| match path {
        TOKEN_PATH => token(),
        _ => reply("400 Bad Request", &json!({"code": 121_003, "msg": "param error"})),
    };
    let (hanging, rejecting) = (Server::start(hangs), Server::start(rejects));
    for umask in ["000", "022", "077"] {
        let home = home(&["ou_1"]);
        let mut at_work =
            with_umask(umask, &vcq(home.path(), &hanging.url, EXPORT)).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(at_work.stderr.take().unwrap()).lines().map(Result::unwrap);
        assert!(log.any(|line| line.contains("access token renewed")), "the export has begun");
        let under_way = check_private(home.path(), umask);
        at_work.kill().unwrap();
        at_work.wait().unwrap();
        assert!(under_way.iter().any(|name| name == "journal.sqlite-wal"), "{under_way:?}");

        let ended = with_umask(umask, &vcq(home.path(), &rejecting.url, EXPORT)).output().unwrap();
        assert_eq!(ended.status.code(), Some(65), "{}", said(&ended));
        let names = check_private(home.path(), umask);
        assert!(
            ["journal.sqlite", "report.json", "report.rejects.csv"]
                .iter()
                .all(|name| names.contains(&(*name).to_owned())),
            "{names:?}"
        );
    }
}

/// The same command under a umask.
fn with_umask(umask: &str, vcq: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]).arg(vcq.get_program()).args(vcq.get_args());
    shell.current_dir(vcq.get_current_dir().unwrap()).env_clear();
    shell.envs(vcq.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    shell
}

/// Everything but the dataset and the manifest is its owner's alone; returns the names.
fn check_private(home: &Path, umask: &str) -> Vec<String> {
    let outside = |path: &PathBuf| !path.starts_with(home.join("quality")) && !path.ends_with("manifest.jsonl");
    let private: Vec<_> = tree(home).into_iter().filter(outside).collect();
    for path in &private {
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "umask {umask}: `{}` has mode {mode:o}", path.display());
    }
    private.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}
