//! Who is told how a run ends: what arrives at a server of this test's own, and what is said where it does not.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    thread::{self, JoinHandle},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use super::world::{World, small};

/// Answers requests with these statuses and bodies, one connection each, and gives what was asked: its path and its body.
fn serve(answers: &[(u16, &'static str)]) -> (String, JoinHandle<Vec<(String, Value)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answers = answers.to_vec();
    let server = thread::spawn(move || {
        let mut asked = Vec::new();
        for (status, body) in answers {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(&stream);
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let path = line.split(' ').nth(1).unwrap().to_owned();
            let mut length = 0;
            while line != "\r\n" {
                line.clear();
                reader.read_line(&mut line).unwrap();
                let (name, value) = line.split_once(':').unwrap_or_default();
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut json = vec![0; length];
            reader.read_exact(&mut json).unwrap();
            asked.push((path, serde_json::from_slice(&json).unwrap()));
            let length = body.len();
            write!(&stream, "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
                .unwrap();
        }
        asked
    });
    (url, server)
}

/// A bad row makes an end that is a problem.
const BAD_ROW: &str = "meeting_no,meeting_start_time,meeting_end_time,join_time,user_id,room_id\n1,2,3,4,ou_1,\n";

#[test]
fn an_end_is_told_as_json_and_a_good_one_only_if_all_are() {
    let world = World::new(small());
    world.write("bad.csv", BAD_ROW);
    let (url, server) = serve(&[(200, ""), (200, "")]);
    let told = |line: &str, of: &str| {
        let mut command = world.vcq(line);
        command.env("VCQ_NOTIFY_URL", format!("{url}/hook/s3cret?key=s3cret")).env("VCQ_NOTIFY_OF", of);
        world.ran(&mut command)
    };
    let line = "export --manifest manifest.csv --log trace";
    assert_eq!(told(line, "problems").code, Some(0), "a good end is not told");
    assert_eq!(told("export --manifest bad.csv", "problems").code, Some(65));
    let all = told(line, "all");
    assert_eq!(all.code, Some(0));
    assert!(!format!("{}{}", all.out, all.err).contains("s3cret"), "{}", all.err);
    let asked = server.join().unwrap();
    let [(path, problem), (_, good)] = &asked[..] else { panic!("{asked:#?}") };
    assert_eq!(path, "/hook/s3cret?key=s3cret");
    assert_eq!((&problem["exit_code"], &problem["is_problem"]), (&65.into(), &true.into()));
    assert_eq!(problem["text"][0], "vcq export (nightly): finished, but some rows were rejected or failed, exit 65");
    assert!(problem["text"].to_string().contains("1 row was refused"), "{problem:#}");
    assert_eq!((&good["exit_code"], &good["run"]["exit_code"]), (&0.into(), &0.into()));
    let documented = include_str!("../../config/JSON.md").lines();
    let documented: Vec<_> = documented.filter_map(|line| line.strip_prefix("| `notify.")?.split('`').next()).collect();
    let mut found: Vec<_> = good.as_object().unwrap().keys().map(String::as_str).collect();
    found.sort_by_key(|key| documented.iter().position(|name| name == key));
    assert_eq!(found, documented);
}

#[test]
fn a_run_that_could_not_begin_is_told_too() {
    let world = World::new(small());
    let (url, server) = serve(&[(200, "")]);
    let ran = world.ran(world.vcq("export --manifest none.csv").env("VCQ_NOTIFY_URL", url));
    assert_eq!(ran.code, Some(2));
    let (_, notice) = &server.join().unwrap()[0];
    assert_eq!(notice["text"][1], "manifest `none.csv`: there is no such file", "{notice:#}");
    assert_eq!(notice["run"], Value::Null);
}

#[test]
fn a_bot_s_message_is_signed_and_its_refusal_is_told() {
    let world = World::new(small());
    world.write("secret", "b0t-s3cret\n");
    world.write("url", "");
    let refusal = r#"{"code":19021,"msg":"sign match fail or timestamp is not within one hour from current time"}"#;
    let (url, server) = serve(&[(200, r#"{"code":0,"msg":"success"}"#), (500, ""), (200, refusal)]);
    world.write("url", &format!("{url}/open-apis/bot/v2/hook/t0ken\n"));
    let toml = "[notify]\nurl_file = 'url'\nsecret_file = 'secret'\nform = 'bot'\n";
    world.write("vcq.toml", toml);
    let ran = world.run("notify");
    assert!(ran.err.contains("notify.url_file `url` has mode 0644: others have access to it"), "{}", ran.err);
    assert_eq!(ran.code, Some(77));
    for name in ["url", "secret"] {
        fs::set_permissions(world.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let ran = world.run("notify");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.ends_with(" has taken the notice\n"), "{}", ran.out);
    // A server in trouble is asked again; a refusal is told.
    let ran = world.run("notify --log trace");
    assert_eq!(ran.code, Some(75), "{}", ran.err);
    let said = "the bot answers with 19021 sign match fail or timestamp is not within one hour from current time: check the \
                bot's secret (VCQ_NOTIFY_SECRET or `notify.secret_file`) and this machine's clock";
    assert!(ran.err.contains(said), "{}", ran.err);
    assert!(!ran.err.contains("t0ken") && !ran.err.contains("b0t-s3cret"), "{}", ran.err);
    for (path, message) in server.join().unwrap() {
        assert_eq!(path, "/open-apis/bot/v2/hook/t0ken");
        assert!(message["content"]["text"].as_str().unwrap().contains("a test"), "{message}");
        let key = format!("{}\nb0t-s3cret", message["timestamp"].as_str().unwrap());
        let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap().finalize();
        assert_eq!(message["sign"], STANDARD.encode(mac.into_bytes()));
    }
}

#[test]
fn who_cannot_be_told_changes_no_exit_code() {
    let world = World::new(small());
    world.write("bad.csv", BAD_ROW);
    let (url, server) = serve(&[(404, "")]);
    let ran = world.ran(world.vcq("export --manifest bad.csv").env("VCQ_NOTIFY_URL", url));
    assert_eq!(ran.code, Some(65));
    assert!(ran.err.contains("vcq: nobody was told how this run ended: 127.0.0.1:"), "{}", ran.err);
    assert!(ran.err.contains(": HTTP 404"), "{}", ran.err);
    assert_eq!(server.join().unwrap().len(), 1);
    // Before the first request, and without the address.
    for (url, why) in [
        ("http://example.org/s3cret", "the address for notices is none"),
        ("s3cret", "the address for notices is none"),
    ] {
        let ran = world.ran(world.vcq("export --manifest manifest.csv").env("VCQ_NOTIFY_URL", url));
        assert_eq!(ran.code, Some(77));
        assert!(ran.err.contains(why) && !ran.err.contains("s3cret"), "{}", ran.err);
    }
    let ran = world.run("notify");
    assert!(ran.err.contains("nobody is told how runs end: set VCQ_NOTIFY_URL, or `notify.url_file`"), "{}", ran.err);
    assert_eq!(world.simulator().books().pages().count(), 0);
}
