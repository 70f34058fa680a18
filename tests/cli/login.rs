//! Signing in with the binary: by a browser of this machine, by a pasted address, and with a token of somebody else's.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use serde_json::Value;
use vcq::simulator::{
    Settings,
    reply::Request,
    sign_in::{ConsentPage, SignInFault, SignInFaultKind, SignInSettings, SignInWhen},
};

use super::world::{Ran, World, small};

/// A tenant that lets no app ask for itself, and where everybody says yes.
fn settings(sign_in: SignInSettings) -> Settings {
    let consent = if sign_in.consent == ConsentPage::Ask { ConsentPage::Allow } else { sign_in.consent };
    Settings { sign_in: SignInSettings { consent, refuses_tenants: true, ..sign_in }, ..small() }
}

/// `vcq login` under way: it has printed its address.
struct AtLogin {
    child: Child,
    out: BufReader<ChildStdout>,
    input: Option<ChildStdin>,
    address: String,
}

impl AtLogin {
    fn begin(world: &World, line: &str, redirect_uri: &str) -> Self {
        let mut command = world.vcq(line);
        command.env("VCQ_AUTH_REDIRECT_URI", redirect_uri).env("VCQ_AUTH_AS", "user");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut address = String::new();
        out.read_line(&mut address).unwrap();
        assert!(address.starts_with(world.url()), "{address}");
        let input = child.stdin.take();
        Self { child, out, input, address }
    }

    fn type_line(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    fn end(mut self) -> Ran {
        drop(self.input.take());
        let (mut out, mut err) = (self.address.clone(), String::new());
        self.out.read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        Ran { code: self.child.wait().unwrap().code(), out, err }
    }
}

/// Where the consent page sends the browser, or what it says.
fn browse(world: &World, address: &str) -> Result<String, String> {
    let path = address.trim().strip_prefix(world.url()).unwrap();
    let request = Request { method: "GET".into(), path_and_query: path.into(), ..Request::default() };
    let (_, reply) = world.simulator().handle(super::world::wall(), &request);
    let location = reply.headers.iter().find(|(name, _)| *name == "location").map(|(_, value)| value.clone());
    location.ok_or_else(|| String::from_utf8_lossy(&reply.body).into_owned())
}

const REDIRECT: &str = "http://127.0.0.1:8360/";

fn sign_in(world: &World) -> Ran {
    sign_in_with(world, "login --paste", &mut Vec::new())
}

/// Signs in by a pasted address, and notes the code that it has.
pub(crate) fn sign_in_with(world: &World, line: &str, codes: &mut Vec<String>) -> Ran {
    let mut login = AtLogin::begin(world, line, REDIRECT);
    let answer = browse(world, &login.address).unwrap();
    let url: url::Url = answer.parse().unwrap();
    codes.extend(url.query_pairs().filter(|(key, _)| key == "code").map(|(_, code)| code.into_owned()));
    login.type_line(&answer);
    login.end()
}

fn as_user(world: &World, line: &str) -> Ran {
    world.ran(world.vcq(line).env("VCQ_AUTH_AS", "user"))
}

#[test]
fn a_pasted_address_signs_in_and_the_export_asks_as_that_person() {
    let world = World::new(settings(SignInSettings::default()));
    let refused = world.run("export --manifest manifest.csv");
    assert_eq!(refused.code, Some(77), "{}", refused.err);
    assert!(refused.err.contains("121005") && refused.err.contains("`vcq login`"), "{}", refused.err);
    let ran = as_user(&world, "export --manifest manifest.csv");
    assert_eq!(ran.code, Some(77), "{}", ran.err);
    assert!(ran.messages().contains("nobody is signed in"), "{}", ran.err);

    let ran = sign_in(&world);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("signed in  Person 1 until ") && ran.out.contains("ou_"), "{}", ran.out);
    let path = world.path("state/sign-in.json");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let ran = as_user(&world, "check");
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    for line in
        ["ok    sign-in: Person 1 until ", "ok    permission: the person who signed in may read meeting quality"]
    {
        assert!(ran.out.contains(line), "{line}\n{}", ran.out);
    }
    let tokens_before = world.simulator().books().token_requests;
    let ran = as_user(&world, "export --manifest manifest.csv");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(world.simulator().books().token_requests, tokens_before, "never as the app");
    for line in ["plan --manifest manifest.csv", "plan --discover 2025-03-03", "status"] {
        let ran = as_user(&world, line);
        assert!(ran.out.contains("\nsign-in ") && !ran.out.contains("WARNING"), "{line}: {}", ran.out);
        let json: Value = serde_json::from_str(&as_user(&world, &format!("{line} --json")).out).unwrap();
        assert_eq!(json["sign_in"]["name"], "Person 1", "{json}");
    }

    let ran = world.run("logout");
    assert!(ran.code == Some(0) && ran.out.starts_with("signed out Person 1"), "{}", ran.out);
    assert!(!path.exists());
    assert_eq!(as_user(&world, "export --manifest manifest.csv").code, Some(77));
    assert_eq!(world.run("logout").out, "nobody was signed in\n");
}

#[test]
fn a_browser_of_this_machine_brings_the_answer() {
    let world = World::new(settings(SignInSettings::default()));
    // Below those that the system gives to whoever asks for any, and so still free when `vcq` asks for it.
    let port = (20_000..30_000).find(|port| TcpStream::connect(("127.0.0.1", *port)).is_err()).unwrap();
    let login = AtLogin::begin(&world, "login", &format!("http://127.0.0.1:{port}/back"));
    let get = |path: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    // A connection that is never used, as browsers make them.
    let _idle = TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert!(get("/favicon.ico").starts_with("HTTP/1.1 404"));
    assert!(get("/back?code=forged&state=forged").starts_with("HTTP/1.1 400"));
    let answer = browse(&world, &login.address).unwrap();
    let answer = get(answer.split_once(&format!(":{port}")).unwrap().1);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("This page can be closed"), "{answer}");
    let ran = login.end();
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("answers another sign-in"), "{}", ran.err);
    assert!(ran.out.contains("signed in  Person 1"), "{}", ran.out);
}

#[test]
fn each_way_in_which_nobody_signs_in_has_its_message() {
    let world = World::new(settings(SignInSettings { consent: ConsentPage::Deny, ..SignInSettings::default() }));
    let ran = sign_in(&world);
    assert_eq!(ran.code, Some(77), "{}", ran.err);
    assert!(ran.err.contains("the consent page says no: access_denied"), "{}", ran.err);

    let world = World::new(settings(SignInSettings::default()));
    for (line, said) in [
        ("http://127.0.0.1:8360/?code=c&state=another", "answers another sign-in than the one that waits"),
        ("https://example.com/?code=c", "this is not the address of `auth.redirect_uri`"),
        ("", "standard input ended before an address came"),
    ] {
        let mut login = AtLogin::begin(&world, "login --paste", REDIRECT);
        login.type_line(line);
        let ran = login.end();
        assert_eq!(ran.code, Some(77), "{line}: {}", ran.err);
        assert!(ran.err.contains(said) && ran.err.contains("hint: `vcq login` again"), "{line}: {}", ran.err);
    }
    // What is not the answer may be followed by it.
    let mut login = AtLogin::begin(&world, "login --paste", REDIRECT);
    login.type_line("https://example.com/");
    let answer = browse(&world, &login.address).unwrap();
    login.type_line(&answer);
    assert_eq!(login.end().code, Some(0));
    // The same answer again: the code has been used, and the question is another one.
    let mut login = AtLogin::begin(&world, "login --paste", REDIRECT);
    login.type_line(&answer);
    assert_eq!(login.end().code, Some(77));

    let registered = vec!["https://example.com/back".to_owned()];
    let world = World::new(settings(SignInSettings { redirect_uris: registered, ..SignInSettings::default() }));
    let login = AtLogin::begin(&world, "login --paste", REDIRECT);
    assert!(browse(&world, &login.address).unwrap_err().contains("redirect_uri"));
    assert_eq!(login.end().code, Some(77));

    let world = World::new(settings(SignInSettings { may_refresh: false, ..SignInSettings::default() }));
    let ran = sign_in(&world);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("WARNING: the app gave no refresh token"), "{}", ran.err);
    assert!(ran.out.contains("and it cannot be renewed"), "{}", ran.out);
}

#[test]
fn a_sign_in_that_ends_before_the_work_is_a_warning() {
    let lives = SignInSettings { may_refresh: false, access_life_s: 600, ..SignInSettings::default() };
    let world = World::new(settings(lives));
    assert_eq!(sign_in(&world).code, Some(0));
    let mut command = world.vcq("plan --manifest manifest.csv --requests-per-minute 1");
    let ran = world.ran(command.env("VCQ_AUTH_AS", "user"));
    assert!(ran.out.contains("WARNING: the work takes until"), "an hour is more than ten minutes: {}", ran.out);
    let mut command = world.vcq("plan --manifest manifest.csv --requests-per-minute 1000");
    let ran = world.ran(command.env("VCQ_AUTH_AS", "user"));
    assert!(!ran.out.contains("the work takes until"), "{}", ran.out);
    assert!(ran.out.contains("WARNING: this sign-in ends on ") && ran.out.contains("switch on the"), "{}", ran.out);
    let fault = |code| vec![SignInFault { kind: SignInFaultKind::Code(code), when: SignInWhen::Rate(1.0) }];
    let world =
        World::new(settings(SignInSettings { access_life_s: 1, faults: fault(20_064), ..SignInSettings::default() }));
    assert_eq!(sign_in(&world).code, Some(0));
    make_old(&world);
    let ran = as_user(&world, "check");
    assert_eq!(ran.code, Some(77), "{}", ran.out);
    assert!(ran.out.contains("FAIL  access token: the sign-in cannot be renewed: code 20064"), "{}", ran.out);
    let ran = as_user(&world, "plan --manifest manifest.csv");
    assert!(ran.out.contains("WARNING: it was refused on ") && ran.out.contains("`vcq login`"), "{}", ran.out);
}

/// The sign-in as it will be when its access token has ended.
fn make_old(world: &World) {
    let text = world.read("state/sign-in.json");
    let mut sign_in: Value = serde_json::from_str(&text).unwrap();
    sign_in["renewed_at"] = "2025-01-01T00:00:00Z".into();
    world.write("state/sign-in.json", &sign_in.to_string());
}

#[test]
fn a_given_token_is_read_from_its_file_and_again_when_it_is_refused() {
    let world = World::new(settings(SignInSettings::default()));
    assert_eq!(sign_in(&world).code, Some(0));
    let sign_in: Value = serde_json::from_str(&world.read("state/sign-in.json")).unwrap();
    assert_eq!(world.run("logout").code, Some(0));
    let given = |line: &str| {
        let mut command = world.vcq(line);
        command.env("VCQ_AUTH_AS", "given").env("VCQ_AUTH_ACCESS_TOKEN_FILE", "token");
        world.ran(command.env_remove("VCQ_APP_ID").env_remove("VCQ_APP_SECRET"))
    };
    let ran = given("export --manifest manifest.csv");
    assert_eq!(ran.code, Some(77), "{}", ran.err);
    assert!(ran.messages().contains("the file that `auth.access_token_file` names cannot be read"), "{}", ran.err);
    world.write("token", sign_in["access"]["token"].as_str().unwrap());
    fs::set_permissions(world.path("token"), fs::Permissions::from_mode(0o640)).unwrap();
    let ran = given("check");
    assert!(ran.out.contains("FAIL  credentials: access token file `token` has mode 0640"), "{}", ran.out);
    fs::set_permissions(world.path("token"), fs::Permissions::from_mode(0o400)).unwrap();
    let ran = given("check");
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    assert!(ran.out.contains("ok    permission: the given access token may read meeting quality"), "{}", ran.out);
    let ran = given("export --manifest manifest.csv");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(world.simulator().books().token_requests, 0);
}
