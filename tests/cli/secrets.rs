//! App secret and access token are in nothing that vcq writes or says.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use vcq::simulator::{
    Settings,
    reply::Request,
    sign_in::{ConsentPage, SignInSettings},
    token::TokenSettings,
};

use super::{
    canary::{contains, forms},
    world::{World, small},
};

/// Has characters that every encoding changes.
const APP_SECRET: &str = "canary/app+secret=%&\"?canary";

#[test]
fn secret_and_token_are_nowhere() {
    let token = TokenSettings { app_secret: APP_SECRET.into(), ..TokenSettings::default() };
    let world = World::new(Settings { token, ..small() });
    let good = world.read("manifest.csv");
    world.write("manifest.csv", &format!("{good}1,2,3,4,5,\n"));
    world.write("secret", APP_SECRET);
    std::fs::set_permissions(world.path("secret"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut said = String::new();
    for line in [
        "export --manifest manifest.csv --report report.json",
        "plan --manifest manifest.csv",
        "check",
        "status",
        "verify",
        "rebuild",
    ] {
        for format in ["text", "json"] {
            let mut command = world.vcq(&format!("{line} --log trace --log-format {format}"));
            let ran = world.ran(
                command.env_remove("VCQ_APP_SECRET").env("VCQ_APP_SECRET_FILE", "secret").env("RUST_BACKTRACE", "1"),
            );
            assert!(matches!(ran.code, Some(0 | 65)), "{line}\n{}", ran.err);
            said.push_str(&ran.out);
            said.push_str(&ran.err);
        }
    }
    assert!(said.contains("page landed"), "the log is at its most talkative");
    std::fs::remove_file(world.path("secret")).unwrap();
    let mut written = world.files("");
    assert!(written.iter().any(|(name, _)| name == "state/journal.sqlite"));
    written.push(("what was said".into(), said.into_bytes()));
    for (what, canary) in [("secret", APP_SECRET.to_owned()), ("token", current_token(&world))] {
        let traces = forms(&canary);
        for (name, bytes) in &written {
            let found = traces.iter().find(|form| contains(bytes, form.as_bytes()));
            assert_eq!(found, None, "the {what} is in {name}");
        }
    }
}

/// The tokens of a sign-in are in the one file of mode 0600, and the code and what proves it in none.
#[test]
fn the_tokens_of_a_sign_in_are_in_one_file_alone() {
    let sign_in = SignInSettings { consent: ConsentPage::Allow, access_life_s: 1, ..SignInSettings::default() };
    let world = World::new(Settings { sign_in, ..small() });
    let mut said = String::new();
    let mut canaries = Vec::new();
    let ran = super::login::sign_in_with(&world, "login --paste --log trace", &mut canaries);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    // The consent page's address is not secret, and is printed.
    said.push_str(&ran.out);
    said.push_str(&ran.err);
    let tokens = |world: &World| {
        let kept: serde_json::Value = serde_json::from_str(&world.read("state/sign-in.json")).unwrap();
        ["access", "refresh"].map(|kind| kept[kind]["token"].as_str().unwrap().to_owned())
    };
    canaries.extend(tokens(&world));
    for line in
        ["export --manifest manifest.csv --report report.json", "check", "status", "plan --manifest manifest.csv"]
    {
        for format in ["text", "json"] {
            let mut command = world.vcq(&format!("{line} --log trace --log-format {format}"));
            let ran = world.ran(command.env("VCQ_AUTH_AS", "user").env("RUST_BACKTRACE", "1"));
            assert_eq!(ran.code, Some(0), "{line}\n{}", ran.err);
            said.push_str(&ran.out);
            said.push_str(&ran.err);
            canaries.extend(tokens(&world));
        }
    }
    assert!(said.contains("page landed") && world.simulator().sign_in_books().renewals > 0);
    let mut written = world.files("");
    written.retain(|(name, _)| name != "state/sign-in.json");
    written.push(("what was said".into(), said.into_bytes()));
    canaries.sort();
    canaries.dedup();
    for canary in canaries {
        let traces = forms(&canary);
        for (name, bytes) in &written {
            let found = traces.iter().find(|form| contains(bytes, form.as_bytes()));
            assert_eq!(found, None, "a secret of the sign-in is in {name}");
        }
    }
}

/// The token that the server gave vcq: it gives the same one to all until it grows old.
fn current_token(world: &World) -> String {
    let body = serde_json::json!({ "app_id": "cli_simulated", "app_secret": APP_SECRET }).to_string();
    let request = Request {
        method: "POST".into(),
        path_and_query: "/open-apis/auth/v3/tenant_access_token/internal".into(),
        authorization: None,
        content_type: Some("application/json".into()),
        body: body.into(),
    };
    let mut simulator = world.simulator();
    let (_, reply) = simulator.handle(chrono::DateTime::UNIX_EPOCH, &request);
    assert_eq!(simulator.books().tokens_issued, 1);
    let answer: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    answer["tenant_access_token"].as_str().unwrap().to_owned()
}

#[test]
fn the_search_finds_what_it_looks_for() {
    let credentials = STANDARD_NO_PAD.encode(format!("cli_simulated:{APP_SECRET}@"));
    for text in [APP_SECRET, &credentials, "secret=canary%2Fapp%2Bsecret%3D%25%26%22%3Fcanary"] {
        assert!(forms(APP_SECRET).iter().any(|form| text.contains(form.as_str())), "{text}");
    }
}
