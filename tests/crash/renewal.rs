//! A renewal of a sign-in, cut off at every system call, and by a disk that fails; then started again.
//!
//! The server uses a refresh token up when it is asked, so what is lost while its answer is on the way is lost for good. Everywhere
//! else the sign-in goes on, and where it does not, the next run says to sign in again.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use vcq::{
    access::{sign_in::SignIn, sign_in_file::SignInFile},
    config::Config,
    feishu::auth::user::UserTokens,
    simulator::{Settings, Simulator, latency::Latency, reply::Request},
};

use super::{
    chosen,
    each::each,
    server::serve_while,
    strace::{Blow, Cut, EFFECTS, count},
    trial::said,
};

/// All of the calls: a trial takes a tenth of a second.
const EVERY: usize = 1;

fn at() -> DateTime<Utc> {
    "2025-04-10T00:00:00Z".parse().unwrap()
}

fn ask(simulator: &mut Simulator, method: &str, path: &str, body: &str) -> vcq::simulator::reply::Reply {
    let request = Request {
        method: method.into(),
        path_and_query: path.into(),
        content_type: Some("application/json; charset=utf-8".into()),
        body: body.to_owned().into(),
        ..Request::default()
    };
    simulator.handle(at(), &request).1
}

/// A server at which somebody has signed in, and a folder that holds that sign-in, whose access token has ended.
fn stage(folder: &Path, url: &str, simulator: &mut Simulator) {
    let query = "client_id=cli_simulated&response_type=code&redirect_uri=http://127.0.0.1:8360/&scope=vc:room:readonly%20offline_access&state=s";
    let reply = ask(simulator, "GET", &format!("/_sim/consent/allow?{query}"), "");
    let location = &reply.headers.iter().find(|(name, _)| *name == "location").unwrap().1;
    let code = location.split("code=").nth(1).unwrap().split('&').next().unwrap();
    let body = serde_json::json!({
        "grant_type": "authorization_code", "client_id": "cli_simulated", "client_secret": "simulated", "code": code,
        "redirect_uri": "http://127.0.0.1:8360/",
    });
    let reply = ask(simulator, "POST", "/open-apis/authen/v2/oauth/token", &body.to_string());
    let answer: Value = serde_json::from_slice(&reply.body).unwrap();
    let token = |key: &str| (answer[key].as_str().unwrap().into(), Duration::from_secs(7200));
    let tokens = UserTokens { access: token("access_token"), refresh: Some(token("refresh_token")), scope: "s".into() };
    let flags = [("app_id", "cli_simulated".to_owned()), ("api.base_url", url.to_owned())];
    let config = Config::load(None, [], &flags).unwrap();
    let file = SignInFile::new(&folder.join("state"));
    file.try_lock().unwrap().unwrap().put(&SignIn::new(&config, tokens, DateTime::UNIX_EPOCH)).unwrap();
}

fn command(folder: &Path, url: &str) -> Command {
    let mut command = super::scene::vcq(folder, url, "check");
    command.env("VCQ_AUTH_AS", "user");
    command
}

fn simulator() -> Simulator {
    Simulator::new(Settings { latency: Latency::Constant(Duration::ZERO), ..Settings::default() })
}

/// The refresh token that counts, by what stands in the folder.
fn kept(folder: &Path) -> String {
    let refresh = |name: &str| {
        let text = fs::read(folder.join("state").join(name)).ok()?;
        let sign_in: Value = serde_json::from_slice(&text).ok()?;
        Some((sign_in["serial"].as_u64()?, sign_in["refresh"]["token"].as_str()?.to_owned()))
    };
    ["sign-in.json", "sign-in.next"].into_iter().filter_map(refresh).max().unwrap().1
}

/// What a trial came to: how the cut process ended, whether the server had renewed, and whether the sign-in was lost.
struct Came {
    output: Output,
    renewals: u64,
    is_lost: bool,
}

/// Lets one process renew to where `cut` ends it, at a call on one of `files` if any are named, and another one go on.
fn cut_and_go_on(cut: &Cut, files: &[&str]) -> Came {
    let home = tempfile::tempdir().unwrap();
    let mut staged = simulator();
    // The sign-in names the host, which is known once the server is there.
    let url_of = "http://127.0.0.1:1";
    stage(home.path(), url_of, &mut staged);
    let set_host = |url: &str| {
        let path = home.path().join("state/sign-in.json");
        let text = fs::read_to_string(&path).unwrap();
        if text.contains(url_of) {
            fs::write(&path, text.replace(url_of, url)).unwrap();
        }
    };
    let paths: Vec<_> = files.iter().map(|name| home.path().join("state").join(name)).collect();
    // Both processes speak to one server.
    let (simulator, (output, is_honoured, next)) = serve_while(staged, |url| {
        set_host(url);
        let (output, _) = cut.run(&command(home.path(), url), &paths);
        let token = kept(home.path());
        let next = command(home.path(), url).output().unwrap();
        (output, token, next)
    });
    let (token, renewals) = (is_honoured, simulator.sign_in_books().renewals);
    let code = next.status.code();
    let is_lost = code != Some(0);
    if is_lost {
        let text = said(&next);
        assert_eq!(code, Some(77), "{cut}: {text}");
        assert!(text.contains("20073") && text.contains("sign in again: `vcq login`"), "{cut}: {text}");
        assert_eq!(renewals, 1, "{cut}: it was lost although the server had not renewed");
        assert!(!simulator.honours(&token), "{cut}: the server still honours it");
    } else {
        assert!(simulator.honours(&kept(home.path())), "{cut}: what is kept is good for nothing");
        assert!(!home.path().join("state/sign-in.next").exists(), "{cut}");
    }
    Came { output, renewals, is_lost }
}

fn points() -> Vec<Cut> {
    let home = tempfile::tempdir().unwrap();
    let mut staged = simulator();
    stage(home.path(), "http://127.0.0.1:1", &mut staged);
    let (_, counts) = serve_while(staged, |url| {
        let path = home.path().join("state/sign-in.json");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("http://127.0.0.1:1", url)).unwrap();
        let (output, counts) = count(&command(home.path(), url), &EFFECTS, &[]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        counts
    });
    let cuts =
        |(call, count): (String, u32)| (1..=count).map(move |k| Cut::new(&call, k, Blow::Kill)).collect::<Vec<_>>();
    counts.into_iter().flat_map(cuts).collect()
}

#[test]
fn a_renewal_killed_at_every_system_call_goes_on_or_says_so() {
    let points = points();
    assert!(points.len() > 40, "{}", points.len());
    let lost = std::sync::Mutex::new(Vec::new());
    each(&chosen(&points, EVERY), |cut| {
        let came = cut_and_go_on(cut, &[]);
        if came.is_lost {
            lost.lock().unwrap().push(cut.to_string());
        }
    });
    let lost = lost.into_inner().unwrap();
    println!("{} points, lost at {lost:?}", points.len());
    // While the answer is on its way: when it is received, and when it is written.
    assert!(lost.len() <= 12, "{lost:?}");
}

#[test]
fn a_renewal_on_a_disk_that_fails_goes_on_or_says_so() {
    let calls = ["write", "fsync", "ftruncate", "rename", "openat"];
    let blows = ["ENOSPC", "EIO"].into_iter().flat_map(|error| [Blow::Fail(error), Blow::FailForGood(error)]);
    let of_blow = |blow| calls.into_iter().flat_map(move |call| (1..=4).map(move |k| Cut::new(call, k, blow)));
    let cuts: Vec<Cut> = blows.flat_map(of_blow).collect();
    each(&chosen(&cuts, EVERY), |cut| {
        let came = cut_and_go_on(cut, &["sign-in.next"]);
        let code = came.output.status.code();
        assert!(code.is_some_and(|code| code != 101 && code != 70), "{cut}: {}", said(&came.output));
        assert!(!came.is_lost || came.renewals == 1, "{cut}");
    });
}
