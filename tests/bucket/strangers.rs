//! What is no store, or misbehaves like none, gets no secret and is told with a remedy; so is an environment that no request can be
//! made of.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use vcq::{
    error::Chain,
    store::{disk::DiskError, s3::Patience},
};

use crate::{CREDENTIALS, store_with};

const LISTING: &str = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";

/// Gives every request the same answer.
struct Stranger {
    address: String,
    /// The first lines of the requests, and their headers.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Stranger {
    /// One whose answers have this status, these further headers, and this body, in which `{HEADERS}` is what it was sent.
    fn answering(status: &str, headers: &str, body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (status, headers, body, kept) =
            (status.to_owned(), headers.to_owned(), body.to_owned(), Arc::clone(&asked));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let head = read_head(&stream);
                let body = body.replace("{HEADERS}", &head);
                kept.lock().unwrap().push(head);
                let answer = format!(
                    "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                // Whoever asked may have seen enough.
                drop((&stream).write_all(answer.as_bytes()));
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn read_head(stream: &TcpStream) -> String {
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// What trying the store at this address out comes to.
fn try_out(address: &str, environment: &[(&str, &str)]) -> DiskError {
    let folder = tempfile::tempdir().unwrap();
    let patience = Patience { retries_max: 0, ..Patience::default() };
    match store_with(address, folder.path(), environment, patience).map(|store| store.try_out()) {
        Ok(tried) => tried.unwrap_err(),
        Err(error) => error,
    }
}

/// The same, in words.
fn told(error: &DiskError) -> String {
    Chain(error).to_string()
}

#[test]
fn a_redirect_is_not_followed_and_names_what_to_look_at() {
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let elsewhere = Stranger::answering("200 OK", "", LISTING);
        let location = format!("location: {}/lake\r\n", elsewhere.address);
        let store = Stranger::answering(status, &location, "");
        let lent = [&CREDENTIALS[..], &[("AWS_SESSION_TOKEN", "canary-session-token")]].concat();
        let error = try_out(&store.address, &lent);
        assert!(told(&error).contains("a redirect to another address"), "{}", told(&error));
        let hint = error.hint().unwrap();
        assert!(["bucket", "`store.endpoint`", "`store.region`"].iter().all(|name| hint.contains(name)), "{hint}");
        assert!(store.asked()[0].contains("canary-session-token"), "the store is asked as ever");
        assert_eq!(elsewhere.asked(), [""; 0], "{status}");
    }
}

#[test]
fn whoever_gives_credentials_sends_nobody_elsewhere() {
    let elsewhere = Stranger::answering("200 OK", "", "{}");
    let giver = Stranger::answering("302 Found", &format!("location: {}/x\r\n", elsewhere.address), "");
    let store = Stranger::answering("200 OK", "", LISTING);
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "canary-container-token").unwrap();
    let error = try_out(&store.address, &container_with(&giver.address, token.to_str().unwrap()));
    assert!(
        told(&error).contains("the container (AWS_CONTAINER_CREDENTIALS_FULL_URI) gives no credentials"),
        "{}",
        told(&error)
    );
    assert!(giver.asked()[0].contains("canary-container-token"));
    assert_eq!((elsewhere.asked().len(), store.asked().len()), (0, 0));
}

#[test]
fn what_is_no_store_is_told_as_none() {
    for (headers, body, said) in [
        ("content-type: text/html\r\n", "<html><body>Welcome</body></html>", "is no `ListBucketResult`"),
        ("", "", "is no `ListBucketResult`"),
        ("content-type: application/json\r\n", "{\"status\":\"ok\"}", "is no `ListBucketResult`"),
    ] {
        let error = try_out(&Stranger::answering("200 OK", headers, body).address, &CREDENTIALS);
        assert!(told(&error).contains(said), "{}", told(&error));
        assert!(error.hint().unwrap().contains("no object store: correct `store.endpoint`"));
        assert!(!error.is_away() && !error.is_unclear());
    }
    // It lists, and knows no object.
    let error = try_out(&Stranger::answering("200 OK", "", LISTING).address, &CREDENTIALS);
    assert!(told(&error).contains("no ETag"), "{}", told(&error));
    assert!(error.hint().unwrap().contains("`store.endpoint`"));
}

#[test]
fn a_listing_that_is_cut_or_an_error_is_asked_for_again() {
    for (body, said) in [
        ("<?xml version=\"1.0\"?><ListBucketResult><Contents><Key>a</Key>", "cut off"),
        ("<Error><Code>Busy</Code><Message>later</Message></Error>", "500 Busy: later"),
    ] {
        let error = try_out(&Stranger::answering("200 OK", "", body).address, &CREDENTIALS);
        assert!(told(&error).contains(said) && error.is_away(), "{}", told(&error));
    }
}

#[test]
fn what_a_store_quotes_of_a_request_is_told_without_its_secrets() {
    let quoting = "<Error><Code>AccessDenied</Code><Message>{HEADERS} SECRETCANARY456</Message></Error>";
    let store = Stranger::answering("403 Forbidden", "", quoting);
    let environment = [
        ("AWS_ACCESS_KEY_ID", "AKIACANARY123"),
        ("AWS_SECRET_ACCESS_KEY", "SECRETCANARY456"),
        ("AWS_SESSION_TOKEN", "TOKENCANARY789"),
    ];
    // What is told of a text is its beginning.
    let short =
        "<Error><Code>AccessDenied</Code><Message>SECRETCANARY456 TOKENCANARY789 Signature=0a1b</Message></Error>";
    for store in [&store, &Stranger::answering("403 Forbidden", "", short)] {
        let error = try_out(&store.address, &environment);
        let said = told(&error);
        assert!(said.contains("403 AccessDenied"), "{said}");
        for canary in ["SECRETCANARY456", "TOKENCANARY789", "Credential=AKIA", "0a1b"] {
            assert!(!said.contains(canary), "{said}");
        }
    }
}

/// The environment in which a container's credentials are asked for at this address, with the token in this file.
fn container_with<'a>(address: &'a str, token_file: &'a str) -> Vec<(&'static str, &'a str)> {
    vec![("AWS_CONTAINER_CREDENTIALS_FULL_URI", address), ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token_file)]
}

#[test]
fn an_environment_that_no_request_can_be_made_of_is_told_before_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let (ended, absent) = (folder.path().join("ended"), folder.path().join("absent"));
    fs::write(&ended, "token\n").unwrap();
    let keys = "{\"AccessKeyId\":\"AKIA\\nA\",\"SecretAccessKey\":\"S\",\"Token\":\"T\\r\\nX\",\"Expiration\":\"2099-01-01T00:00:00Z\"}";
    let bent = Stranger::answering("200 OK", "", keys);
    let role = Stranger::answering("200 OK", "", "a\u{1b}\nrole");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("http://{nobody}");
    let [ended, absent] = [&ended, &absent].map(|path| path.to_str().unwrap());
    let good = folder.path().join("good");
    fs::write(&good, "token").unwrap();
    let good = good.to_str().unwrap();
    let store = Stranger::answering("200 OK", "", LISTING);
    for (environment, said) in [
        (vec![("AWS_REGION", "us east")], "the variable AWS_REGION holds no region"),
        (vec![("AWS_METADATA_ENDPOINT", "nonsense")], "the variable AWS_METADATA_ENDPOINT holds no"),
        (vec![("AWS_METADATA_ENDPOINT", &*role.address)], "no request can be made of"),
        (container_with(&bent.address, ended), "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names holds a line end"),
        (container_with(&bent.address, absent), "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names cannot be read"),
        (container_with(&bent.address, good), "the credentials that were given hold a line end"),
        (container_with(&nobody, good), "the container (AWS_CONTAINER_CREDENTIALS_FULL_URI) gives no credentials"),
        (
            vec![("AWS_WEB_IDENTITY_TOKEN_FILE", absent), ("AWS_ROLE_ARN", "arn:aws:iam::1:role/a")],
            "the web identity (AWS_WEB_IDENTITY_TOKEN_FILE) gives no credentials",
        ),
    ] {
        let error = try_out(&store.address, &environment);
        assert!(told(&error).contains(said), "{environment:?}: {}", told(&error));
        assert!(error.hint().unwrap().starts_with("set AWS_ACCESS_KEY_ID"), "{environment:?}");
        assert!(!error.is_away(), "{environment:?}");
    }
    assert_eq!(store.asked(), [""; 0]);
    // Blanks and line ends around a value are none of it.
    let padded = [&CREDENTIALS[..], &[("AWS_REGION", "eu-central-1 \n"), ("AWS_SESSION_TOKEN", " session\n")]].concat();
    assert!(told(&try_out(&store.address, &padded)).contains("no ETag"));
    assert!(store.asked()[0].contains("/eu-central-1/s3/"), "{}", store.asked()[0]);
}
