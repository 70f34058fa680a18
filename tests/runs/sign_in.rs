//! Runs of somebody who signed in, in simulated time: renewals by the hundred, two processes at once, clocks that jump, answers
//! that are lost.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use chrono::TimeDelta;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::sync::mpsc;
use vcq::{
    access::{Asker, NoToken, asker, sign_in_file::SignInFile},
    command::login::{Login, SignedInAs, login},
    config::AuthAs,
    error::Error,
    feishu::transport::Transport,
    simulator::{
        Settings, Simulator,
        in_process::{InProcess, wall_from},
        reply::Request,
        sign_in::{SignInFault, SignInFaultKind, SignInSettings, SignInWhen},
    },
    start::{Start, Stop},
};

use super::{
    invariants::{check, check_complete},
    settings, some_stays,
    world::{Kill, Orders, World, credentials},
};

const AS_USER: [(&str, &str); 2] = [("auth.as", "user"), ("app_id", "cli_simulated")];

/// A world of a tenant that refuses apps, where nobody has signed in yet.
fn world(sign_in: SignInSettings, flags: &[(&'static str, &str)], short: usize) -> World {
    let settings = Settings { sign_in: SignInSettings { refuses_tenants: true, ..sign_in }, ..settings(31) };
    let stays = some_stays(&settings, short, 0);
    World::new(settings, &[&AS_USER, flags].concat(), stays)
}

/// What `work` comes to in a runtime of its own, with the way to the server and the start of a command.
fn at_once<T>(world: &mut World, work: impl AsyncFnOnce(&dyn Transport, &Start) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (done, now) = runtime.block_on(async {
        let wall = wall_from(world.now);
        let start = Start::new(wall.clone(), 1, Stop::new().1);
        let transport = InProcess::new(world.simulator.clone(), wall.clone(), world.config.api.request_timeout);
        (work(&transport, &start).await, wall())
    });
    world.now = now;
    done
}

/// Somebody signs in: opens the address, follows the link of the page that says yes, and pastes where it leads.
fn sign_in(world: &mut World) -> Result<SignedInAs, Error> {
    let (config, simulator) = (world.config.clone(), world.simulator.clone());
    at_once(world, async |transport, start| {
        let (sender, pasted) = mpsc::channel(1);
        let print = |address: &str| {
            let query = address.trim().split_once('?').unwrap().1;
            let answer = consent(&mut simulator.lock().unwrap(), start, query);
            sender.try_send(answer).unwrap();
            Ok(())
        };
        let (credentials, tell) = (credentials(), |_: &str| {});
        let task = Login { config: &config, credentials: &credentials, transport, start, tell: &tell, print: &print };
        login(&task, None, pasted).await
    })
}

fn consent(simulator: &mut Simulator, start: &Start, query: &str) -> String {
    let request =
        Request { method: "GET".into(), path_and_query: format!("/_sim/consent/allow?{query}"), ..Request::default() };
    let (_, reply) = simulator.handle(start.now(), &request);
    reply.headers.into_iter().find(|(name, _)| *name == "location").unwrap().1
}

/// The sign-in as it is kept.
fn kept(world: &World) -> Value {
    serde_json::from_slice(&fs::read(world.path("state/sign-in.json")).unwrap()).unwrap()
}

fn refresh_token(world: &World) -> String {
    kept(world)["refresh"]["token"].as_str().unwrap().to_owned()
}

/// The sign-in that is kept is the one that the server would renew.
fn check_kept(world: &World) {
    assert!(world.server().honours(&refresh_token(world)), "the kept refresh token is good for nothing");
    let names: Vec<_> = fs::read_dir(world.path("state")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| Path::new(name) == Path::new("sign-in.next")), "{names:?}");
}

#[test]
fn a_backfill_of_weeks_renews_its_sign_in_by_itself() {
    // The lives are so short against the work as two hours are against ten days.
    let lives = SignInSettings { access_life_s: 60, refresh_life_s: 5000, ..SignInSettings::default() };
    let mut world = world(lives, &[("rate.requests_per_minute", "2")], 130);
    sign_in(&mut world).unwrap();
    let start = world.now;
    let life = world.export();
    assert_eq!(life.exit, Some(0), "{:?} {}", life.error, life.report);
    let renewals = world.server().sign_in_books().renewals;
    assert!(renewals >= 100, "{renewals} renewals in {}", world.now - start);
    assert_eq!(life.report["requests"]["token_renewals"].as_u64(), Some(1 + renewals));
    assert_eq!(world.books().token_requests, 0, "never as the app");
    check_kept(&world);
    check(&world, &life);
    check_complete(&world);
}

/// What renews a sign-in lives for a week: nights on which there is nothing to ask for must not let it lapse.
#[test]
fn nights_without_work_keep_the_sign_in() {
    let mut world = world(SignInSettings::default(), &[], 4);
    sign_in(&mut world).unwrap();
    let empty = world.write_manifest("empty.csv", std::iter::empty());
    for night in 1..=21 {
        world.rest(TimeDelta::days(1));
        let life = world.live_one(Orders { manifest: empty.clone(), ..world.orders() });
        assert_eq!((life.exit, life.sent), (Some(0), 0));
        assert_eq!(world.server().sign_in_books().renewals, night);
        assert_eq!(life.report["requests"]["token_renewals"], 1);
    }
    let life = world.export();
    assert_eq!(life.exit, Some(0));
    check_complete(&world);
    check_kept(&world);
}

#[test]
fn nobody_else_asks_where_nobody_is_signed_in() {
    let mut world = world(SignInSettings::default(), &[], 5);
    let life = world.export();
    assert_eq!((life.exit, life.sent), (Some(77), 0));
    assert_eq!(life.error.as_deref(), Some("nobody is signed in, and `auth.as` is `user`"));
    assert_eq!(life.hint.as_deref(), Some("sign in: `vcq login`"));
    assert_eq!(world.books().token_requests, 0);
}

#[test]
fn two_processes_that_renew_at_once_take_the_same_token() {
    let lives = SignInSettings { access_life_s: 30, ..SignInSettings::default() };
    let mut world = world(lives, &[], 5);
    sign_in(&mut world).unwrap();
    let (config, simulator) = (world.config.clone(), world.simulator.clone());
    for round in 1..=1000 {
        world.rest(TimeDelta::seconds(40));
        let tokens = at_once(&mut world, async |transport, start| {
            let askers: Vec<Asker> = (0..3).map(|_| asker(&config, Some("simulated".into())).unwrap()).collect();
            let tokens = askers.iter().map(|asker| asker.token(transport, start, None));
            futures_util::future::join_all(tokens).await
        });
        let secrets = tokens.into_iter().map(|token| token.ok().unwrap().secret.expose_secret().to_owned());
        let secrets: Vec<_> = secrets.collect();
        assert!(secrets.windows(2).all(|pair| pair[0] == pair[1]), "round {round}");
        assert_eq!(simulator.lock().unwrap().sign_in_books().renewals, round, "one of them has asked");
    }
    check_kept(&world);
}

#[test]
fn a_refused_token_is_renewed_once_and_taken_from_who_renewed_it() {
    let mut world = world(SignInSettings::default(), &[], 60);
    sign_in(&mut world).unwrap();
    // Another process renews in the middle of the run: a minute later the old token is refused.
    let orders = world.orders();
    let (config, simulator) = (world.config.clone(), world.simulator.clone());
    let old = SignInFile::new(&config.state).read().unwrap().unwrap().access_token().clone();
    let renewed = at_once(&mut world, async |transport, start| {
        asker(&config, Some("simulated".into())).unwrap().token(transport, start, Some(&old)).await
    });
    assert!(renewed.is_ok());
    let life = world.live_one(Orders { starts_after: Duration::from_secs(90), ..orders });
    assert_eq!(life.exit, Some(0), "{:?}", life.error);
    assert_eq!(simulator.lock().unwrap().sign_in_books().renewals, 1, "it takes the one that is kept");
    check_kept(&world);
}

/// A clock that is set back must not make a token immortal, and one that is set forward must not end a sign-in.
#[test]
fn a_clock_that_jumps_ends_no_sign_in() {
    for jump in
        [TimeDelta::days(-400), TimeDelta::hours(-3), TimeDelta::hours(3), TimeDelta::days(8), TimeDelta::days(400)]
    {
        let lives = SignInSettings { access_life_s: 600, ..SignInSettings::default() };
        let mut world = world(lives, &[("rate.requests_per_minute", "10")], 200);
        sign_in(&mut world).unwrap();
        let orders = world.orders();
        let life = world.live_one(Orders { clock_jump: Some((Duration::from_secs(300), jump)), ..orders });
        assert_eq!(life.exit, Some(0), "{jump}: {:?}", life.error);
        check_kept(&world);
        let renewals = world.server().sign_in_books().renewals;
        assert!((1..=5).contains(&renewals), "{jump}: {renewals}");
    }
}

fn fault(kind: SignInFaultKind, renewal: u64) -> SignInFault {
    SignInFault { kind, when: SignInWhen::Renewal(renewal) }
}

#[test]
fn what_passes_is_borne_and_costs_no_sign_in() {
    let faults = [
        SignInFaultKind::Code(20_050),
        SignInFaultKind::Code(20_072),
        SignInFaultKind::Reset,
        SignInFaultKind::Slow,
        SignInFaultKind::Code(20_050),
    ];
    let faults = faults.into_iter().zip(1..).map(|(kind, renewal)| fault(kind, renewal)).collect();
    let lives = SignInSettings { access_life_s: 400, faults, ..SignInSettings::default() };
    let mut world = world(lives, &[("rate.requests_per_minute", "10")], 200);
    sign_in(&mut world).unwrap();
    let life = world.export();
    assert_eq!(life.exit, Some(0), "{:?} {}", life.error, life.report);
    check_kept(&world);
    check_complete(&world);
}

#[test]
fn a_lost_answer_of_a_renewal_is_said_and_another_sign_in_goes_on() {
    let faults = vec![fault(SignInFaultKind::LostAnswer, 1)];
    let lives = SignInSettings { access_life_s: 400, faults, ..SignInSettings::default() };
    let mut world = world(lives, &[("rate.requests_per_minute", "10")], 200);
    sign_in(&mut world).unwrap();
    let life = world.export();
    assert_eq!(life.exit, Some(77), "{:?} {}", life.error, life.report);
    let why = life.report["stopped"].to_string();
    assert!(why.contains("code 20073") && why.contains("its answer was lost"), "{why}");
    assert_eq!(life.hint.as_deref(), Some("sign in again: `vcq login`"));
    assert_eq!(world.books().token_requests, 0, "never as the app");
    // The next run asks the server once more, and says the same.
    let life = world.export();
    assert_eq!((life.exit, life.sent), (Some(77), 0));
    assert!(life.report["stopped"].to_string().contains("its answer was lost"), "{}", life.report);
    sign_in(&mut world).unwrap();
    let life = world.export();
    assert_eq!(life.exit, Some(0), "{:?}", life.error);
    check_kept(&world);
    check_complete(&world);
}

#[test]
fn what_ends_a_sign_in_stops_the_run_and_says_what_to_do() {
    for (code, remedy) in [
        (20_026, "sign in again: `vcq login`"),
        (20_037, "sign in again: `vcq login`"),
        (20_064, "sign in again: `vcq login`"),
        (20_073, "sign in again: `vcq login`"),
        (20_066, "the account that signed in is suspended or gone"),
        (20_010, "the person who signed in may not use this app"),
    ] {
        let faults = vec![fault(SignInFaultKind::Code(code), 1)];
        let lives = SignInSettings { access_life_s: 400, faults, ..SignInSettings::default() };
        let mut world = world(lives, &[("rate.requests_per_minute", "10")], 100);
        sign_in(&mut world).unwrap();
        let life = world.export();
        assert_eq!(life.exit, Some(77), "{code}: {:?}", life.error);
        assert!(life.hint.unwrap().starts_with(remedy), "{code}");
        assert!(life.report["stopped"].to_string().contains(&code.to_string()), "{}", life.report);
        assert!(kept(&world)["refused"]["said"].to_string().contains(&code.to_string()), "{code}");
    }
}

/// The stop signal while an answer is under way that nobody can ask for a second time.
#[test]
fn a_stop_waits_for_the_answer_of_a_renewal() {
    let faults = vec![fault(SignInFaultKind::Slow, 1)];
    let lives = SignInSettings { access_life_s: 400, faults, ..SignInSettings::default() };
    let mut world = world(lives, &[("rate.requests_per_minute", "10")], 100);
    sign_in(&mut world).unwrap();
    // The renewal is asked for after 200 s, and answered 25 s later.
    let orders = world.orders();
    let life = world.live_one(Orders { stop_after: Some(Duration::from_secs(210)), ..orders });
    assert_eq!((life.exit, world.server().sign_in_books().renewals), (Some(130), 1));
    check_kept(&world);
    let life = world.export();
    assert_eq!(life.exit, Some(0), "{:?}", life.error);
}

/// Killed at any moment of its work, a run leaves a sign-in that goes on, or a message that says to sign in again.
#[test]
fn killed_at_any_moment_a_run_leaves_a_sign_in_or_says_so() {
    let lives = SignInSettings { access_life_s: 60, ..SignInSettings::default() };
    let mut lost = 0;
    for moment_ms in (29_000..33_000).step_by(40) {
        let mut world = world(lives.clone(), &[("rate.requests_per_minute", "10")], 12);
        sign_in(&mut world).unwrap();
        let orders = world.orders();
        world.live_one(Orders { kill: Kill::After(Duration::from_millis(moment_ms)), ..orders });
        let is_honoured = world.server().honours(&refresh_token(&world));
        let life = world.export();
        let expected = if is_honoured { 0 } else { 77 };
        assert_eq!(life.exit, Some(expected), "{moment_ms} ms: {:?}", life.error);
        if is_honoured {
            check_kept(&world);
        } else {
            lost += 1;
            assert!(life.report["stopped"].to_string().contains("its answer was lost"), "{}", life.report);
        }
    }
    // Only while the answer is on its way.
    assert!(lost < 30, "{lost} of 100");
}

#[test]
fn another_person_is_never_taken_for_the_first() {
    let lives = SignInSettings { access_life_s: 400, ..SignInSettings::default() };
    let mut world = world(lives, &[("rate.requests_per_minute", "10")], 100);
    sign_in(&mut world).unwrap();
    let first = asker(&world.config, Some("simulated".into())).unwrap();
    world.server().sign_in_settings_mut().person = 2;
    sign_in(&mut world).unwrap();
    let token = at_once(&mut world, async |transport, start| first.token(transport, start, None).await);
    match token.err().unwrap() {
        NoToken::Local(Error::Access { what, .. }) => {
            assert_eq!(what, "Person 1 was signed in when this run began, and now it is Person 2");
        }
        other => panic!("{other:?}"),
    }
    // A run that begins now is that person's.
    assert_eq!(world.export().exit, Some(0));
}

/// Keeps the access token of the sign-in in a file, as something else would that issues tokens.
fn give_token(world: &World) {
    let path = world.path("token");
    fs::write(&path, kept(world)["access"]["token"].as_str().unwrap()).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_given_token_is_replaced_while_a_run_is_under_way() {
    let lives = SignInSettings { access_life_s: 200, ..SignInSettings::default() };
    let mut world = world(lives, &[("rate.requests_per_minute", "10")], 80);
    sign_in(&mut world).unwrap();
    give_token(&world);
    let asks_as_user = world.config.auth.clone();
    world.config.auth.identity = AuthAs::Given;
    world.config.auth.access_token_file = Some(world.path("token"));
    let as_given = world.config.auth.clone();
    let life = world.export();
    assert_eq!(life.exit, Some(77), "{:?}", life.error);
    assert!(life.hint.unwrap().starts_with("the API refuses the access token in `auth.access_token_file`"));
    assert!(
        life.report["stopped"].to_string().contains("nobody has put another one there for 120 s"),
        "{}",
        life.report
    );

    world.config.auth = asks_as_user;
    sign_in(&mut world).unwrap();
    give_token(&world);
    world.server().sign_in_settings_mut().access_life_s = 7200;
    sign_in(&mut world).unwrap();
    let next = kept(&world)["access"]["token"].as_str().unwrap().to_owned();
    world.config.auth = as_given;
    let (path, replaced_from) = (world.path("token"), world.now + TimeDelta::seconds(100));
    world.watch = Some(Box::new(move |at, _| {
        if at >= replaced_from {
            fs::write(&path, &next).unwrap();
        }
    }));
    let life = world.export();
    assert_eq!(life.exit, Some(0), "{:?} {}", life.error, life.report);
    assert_eq!(world.server().sign_in_books().renewals, 0);
}

#[test]
fn an_app_that_may_not_refresh_ends_with_its_access_token() {
    let lives = SignInSettings { access_life_s: 400, may_refresh: false, ..SignInSettings::default() };
    let mut world = world(lives, &[("rate.requests_per_minute", "10")], 100);
    let said = sign_in(&mut world).unwrap().to_string();
    assert!(said.contains("and it cannot be renewed"), "{said}");
    let life = world.export();
    assert_eq!(life.exit, Some(77), "{:?}", life.error);
    assert!(life.hint.unwrap().starts_with("switch on the refreshing of user tokens"), "{}", life.report);
}

#[test]
fn a_code_that_has_been_used_or_has_grown_old_is_refused_by_name() {
    let mut world = world(SignInSettings::default(), &[], 1);
    let (config, simulator) = (world.config.clone(), world.simulator.clone());
    let error = at_once(&mut world, async |transport, start| {
        let (sender, pasted) = mpsc::channel(1);
        let print = |address: &str| {
            let query = address.trim().split_once('?').unwrap().1;
            let early = start.now() - TimeDelta::seconds(301);
            let request = Request {
                method: "GET".into(),
                path_and_query: format!("/_sim/consent/allow?{query}"),
                ..Request::default()
            };
            let (_, reply) = simulator.lock().unwrap().handle(early, &request);
            let answer = reply.headers.into_iter().find(|(name, _)| *name == "location").unwrap().1;
            sender.try_send(answer).unwrap();
            Ok(())
        };
        let (credentials, tell) = (credentials(), |_: &str| {});
        let task = Login { config: &config, credentials: &credentials, transport, start, tell: &tell, print: &print };
        login(&task, None, pasted).await.err().unwrap()
    });
    assert!(error.to_string().contains("code 20004"), "{error}");
    assert!(error.hint().unwrap().contains("five minutes"), "{:?}", error.hint());
}
