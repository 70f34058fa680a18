//! What stands between vcq and the API: connections that go silent, proxies, certificates, names.

use std::{
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
};

use super::{
    tls::{Authority, Manner, Peer},
    world::{Ran, Running, World, small},
};

/// How long a silence is waited for.
const SILENCE: &str = "3s";

/// A command against a host, that may try once.
fn vcq(world: &World, line: &str, base_url: &str, authorities: &Path) -> Command {
    let mut command = world.vcq(line);
    command.env("VCQ_API_BASE_URL", base_url).env("SSL_CERT_FILE", authorities);
    command.env("VCQ_API_REQUEST_TIMEOUT", "2m").env("VCQ_API_CONNECT_TIMEOUT", "2m");
    command.env("VCQ_RETRY_ATTEMPTS_MAX", "1").env("VCQ_RETRY_OUTAGE_MAX", "0s");
    command
}

fn said(ran: &Ran) -> String {
    format!("{}{}", ran.out, ran.err)
}

fn first(connection: usize, manner: Manner) -> Manner {
    if connection == 1 { manner } else { Manner::Serves }
}

/// However a connection is lost, it costs what was on it, and the next requests go over another one.
#[test]
fn a_connection_that_is_lost_costs_its_own_requests_and_nothing_else() {
    let calm = World::new(small());
    calm.out("export --manifest manifest.csv");
    let pages = usize::try_from(calm.simulator().books().arrivals).unwrap();
    let in_flight_max = 16;
    let cases: [fn(usize) -> Manner; 6] = [
        |it| first(it, Manner::Ignores(6)),
        |it| first(it, Manner::Dies(6)),
        |it| first(it, Manner::Dies(1)),
        |it| first(it, Manner::Dies(40)),
        |it| first(it, Manner::HalfCloses(6)),
        |it| if it < 4 { Manner::Dies(6) } else { Manner::Serves },
    ];
    for manner in cases {
        let (world, authority) = (World::new(small()), Authority::new("own"));
        let peer = Peer::tls(&world, authority.acceptor("localhost", 2999), manner);
        let url = format!("https://localhost:{}", peer.address.port());
        let mut command =
            vcq(&world, "export --manifest manifest.csv", &url, &authority.write(&world, "authority.pem"));
        let ran = world.ran(command.env("VCQ_RETRY_ATTEMPTS_MAX", "8").env("VCQ_API_REQUEST_TIMEOUT", SILENCE));
        let (asked, what) = (peer.asked(), manner(1));
        assert_eq!(ran.code, Some(0), "{what:?} {asked:?}: {}", said(&ran));
        for (connection, asked) in (1..).zip(&asked) {
            let answers = manner(connection).answers();
            assert!(*asked <= answers.saturating_add(in_flight_max), "{what:?}, connection {connection}: {asked}");
        }
        assert!(asked[0] > manner(1).answers() && asked.iter().sum::<usize>() <= 1 + pages + 3 * in_flight_max);
        assert!(!said(&ran).contains("once a minute"), "{what:?}: {}", said(&ran));
        assert_eq!(world.rows(), calm.rows(), "{what:?}");
    }
}

/// What is wrong, the host, variables, the exit code, what is said, and a word of the remedy.
type Case<'a> = (&'a str, String, Vec<(&'a str, String)>, i32, String, &'a str);

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_keeps_answers_away_is_told_by_step_and_cause_with_a_remedy() {
    let world = World::new(small());
    let (own, foreign) = (Authority::new("own"), Authority::new("foreign"));
    let trusted = own.write(&world, "authority.pem");
    let serves = |_| Manner::Serves;
    let good = Peer::tls(&world, own.acceptor("localhost", 2999), serves);
    let expired = Peer::tls(&world, own.acceptor("localhost", 2020), serves);
    let strange = Peer::tls(&world, foreign.acceptor("localhost", 2999), serves);
    let hung = Peer::tls(&world, own.acceptor("localhost", 2999), |_| Manner::Ignores(0));
    let silent = Peer::silent();
    let plain = Peer::plain();
    let inspecting = Peer::proxy(strange.address);
    let wants = Peer::saying("HTTP/1.1 407 Proxy Authentication Required");
    let forbids = Peer::saying("HTTP/1.1 403 Forbidden");
    let host = |peer: &Peer| format!("localhost:{}", peer.address.port());
    let by = |peer: &Peer| vec![("HTTPS_PROXY", format!("http://someone:canary@{}", peer.address))];
    let no_proxy = Vec::new;
    let name = "vcq.invalid".to_owned();
    let canary = |place: &str| vec![("ALL_PROXY", format!("http://someone:canary@{place}"))];
    let target = host(&good);
    let cases: Vec<Case<'_>> = vec![
        (
            "no such name",
            name.clone(),
            no_proxy(),
            75,
            format!("the name of {name}:443 cannot be resolved ("),
            "api.base_url",
        ),
        (
            "nobody listens",
            "127.0.0.1:1".into(),
            no_proxy(),
            75,
            "no connection to 127.0.0.1:1: refused (".into(),
            "firewall",
        ),
        (
            "no route",
            "255.255.255.255".into(),
            no_proxy(),
            75,
            "no connection to 255.255.255.255:443: no route leads there (".into(),
            "network",
        ),
        (
            "a strange authority",
            host(&strange),
            no_proxy(),
            77,
            format!(
                "no TLS with {}: its certificate is of an authority that this machine does not trust (",
                host(&strange)
            ),
            "SSL_CERT_FILE",
        ),
        (
            "the name of another host",
            good.address.to_string(),
            no_proxy(),
            77,
            format!("no TLS with {}: its certificate is for another host (", good.address),
            "api.base_url",
        ),
        (
            "an old certificate",
            host(&expired),
            no_proxy(),
            77,
            format!("no TLS with {}: its certificate is not valid at this time (", host(&expired)),
            "clock",
        ),
        (
            "no TLS",
            host(&plain),
            no_proxy(),
            75,
            // What it says of the greeting, or nothing at all.
            format!("no TLS with {}", host(&plain)),
            "port",
        ),
        (
            "silence before TLS",
            host(&silent),
            no_proxy(),
            75,
            format!("no TLS with {} within", host(&silent)),
            "firewall",
        ),
        ("silence after it", host(&hung), no_proxy(), 75, format!("no answer from {} within", host(&hung)), "firewall"),
        (
            "a proxy that inspects",
            target.clone(),
            by(&inspecting),
            77,
            format!("no TLS with {target} by the proxy {}: its certificate is of an authority", inspecting.address),
            "SSL_CERT_FILE",
        ),
        (
            "a proxy that wants a password",
            target.clone(),
            by(&wants),
            77,
            format!("the proxy {} wants a user and a password", wants.address),
            "HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT",
        ),
        (
            "a proxy that forbids",
            target.clone(),
            by(&forbids),
            75,
            format!("the proxy {} does not connect to {target}", forbids.address),
            "403",
        ),
        (
            "a proxy that is not there",
            target.clone(),
            canary("127.0.0.1:1"),
            75,
            "no connection to the proxy 127.0.0.1:1: refused (".into(),
            "HTTPS_PROXY",
        ),
        (
            "a proxy without an address",
            target.clone(),
            canary(&format!("{name}:3128")),
            75,
            format!("the name of the proxy {name}:3128 cannot be resolved ("),
            "HTTPS_PROXY",
        ),
        (
            "a proxy that is silent",
            target.clone(),
            by(&silent),
            75,
            format!("no connection to the proxy {} within the time limit", silent.address),
            "HTTPS_PROXY",
        ),
    ];
    for (what, host, variables, code, message, remedy) in cases {
        let export = format!("export --manifest manifest.csv --log vcq=trace --state {}", what.replace(' ', "-"));
        for line in [&export, "check --state none --output nothing"] {
            let mut command = vcq(&world, line, &format!("https://{host}"), &trusted);
            if message.contains("within") {
                command.env("VCQ_API_REQUEST_TIMEOUT", SILENCE).env("VCQ_API_CONNECT_TIMEOUT", SILENCE);
            }
            let ran = world.ran(command.envs(variables.clone()));
            let said = said(&ran);
            assert_eq!(ran.code, Some(code), "{what}: {said}");
            assert!(said.contains(&message) && said.contains(remedy), "{what}: {message} {remedy}\n{said}");
            assert!(!said.contains("canary") && !said.contains("/open-apis/"), "{what}: {said}");
        }
        assert!(!world.path("none").exists() && !world.path("nothing").exists(), "{what}: `check` creates nothing");
    }
    assert_eq!(world.simulator().books().token_requests, 0, "nobody got so far");
}

#[test]
fn check_has_a_line_for_each_step() {
    let world = World::new(small());
    let authority = Authority::new("own");
    let trusted = authority.write(&world, "authority.pem");
    let peer = Peer::tls(&world, authority.acceptor("localhost", 2999), |_| Manner::Serves);
    let place = format!("localhost:{}", peer.address.port());
    let ran = world.ran(&mut vcq(&world, "check", &format!("https://{place}"), &trusted));
    assert_eq!(ran.code, Some(0), "{}", said(&ran));
    let api: Vec<_> = ran.out.lines().skip_while(|line| !line.contains(" name:")).collect();
    assert_eq!(
        api,
        [
            "ok    name: `localhost` is known",
            &format!("ok    connection: {place}"),
            &format!("ok    certificate: that of {place} is trusted"),
            &format!("ok    access token: issued by https://{place}/"),
            "ok    permission: the app may read meeting quality",
            "ok    permission to list meetings: the app may list meetings",
            "ok    permission to list participants: the app may list participants",
        ]
    );
    assert!(!world.path("state").exists() && !world.path("quality").exists(), "`check` creates nothing");
    assert!(ran.out.contains("journal: the first export begins it in `state`"), "{}", ran.out);
}

/// Behind a proxy that inspects TLS, its authority in `SSL_CERT_FILE` is all that is needed.
#[test]
fn an_export_works_behind_a_proxy_that_inspects_tls() {
    let (world, foreign) = (World::new(small()), Authority::new("own"));
    let server = Peer::tls(&world, foreign.acceptor("open.feishu.cn", 2999), |_| Manner::Serves);
    let proxy = Peer::proxy(server.address);
    let trusted = foreign.write(&world, "company.pem");
    let mut command = vcq(&world, "export --manifest manifest.csv", "https://open.feishu.cn", &trusted);
    let ran = world.ran(command.env("https_proxy", proxy.address.to_string()));
    assert_eq!(ran.code, Some(0), "{}", said(&ran));
    assert_eq!(server.asked().len(), 1, "one connection serves all");
}

#[test]
fn plain_http_needs_no_certificate_authority_and_https_says_how_to_get_one() {
    let world = World::new(small());
    let run = |line: &str, base_url: &str| {
        let ran = world.ran(&mut vcq(&world, line, base_url, Path::new("absent.pem")));
        (ran.code, said(&ran))
    };
    let (code, all) = run("export --manifest manifest.csv", world.url());
    assert_eq!(code, Some(0), "{all}");
    let (code, all) = run("demo --dir demo", world.url());
    assert_eq!(code, Some(0), "{all}");
    let joined = all.lines().skip_while(|line| !line.starts_with("network  minutes")).skip(1);
    let networks: Vec<_> = joined.map_while(|line| line.split(' ').next().filter(|name| !name.is_empty())).collect();
    assert_eq!(networks, ["4g", "5g", "wifi", "wired"], "the demo ends with a joined table: {all}");
    for line in ["export --manifest manifest.csv", "check"] {
        let (code, all) = run(&format!("{line} --state other --output others"), "https://localhost:1");
        assert_eq!(code, Some(2), "{line}: {all}");
        assert!(all.contains("no certificate authorities: SSL_CERT_FILE names none that can be read ("), "{all}");
        assert!(all.contains("it must be the path of PEM certificates"), "{all}");
    }
}

#[test]
fn a_proxy_that_cannot_be_used_is_no_direct_connection() {
    let (world, authority) = (World::new(small()), Authority::new("own"));
    let peer = Peer::tls(&world, authority.acceptor("localhost", 2999), |_| Manner::Serves);
    let (url, trusted) =
        (format!("https://localhost:{}", peer.address.port()), authority.write(&world, "authority.pem"));
    for (variable, value, message) in [
        ("HTTPS_PROXY", "http://someone:canary@[proxy", "HTTPS_PROXY names no proxy: it must be a URL such as"),
        ("ALL_PROXY", "socks5://someone:canary@127.0.0.1:1080", "ALL_PROXY names a SOCKS proxy"),
    ] {
        for line in ["export --manifest manifest.csv", "check"] {
            let ran = world.ran(vcq(&world, &format!("{line} --state other"), &url, &trusted).env(variable, value));
            assert_eq!(ran.code, Some(2), "{}", said(&ran));
            assert!(said(&ran).contains(message) && !said(&ran).contains("canary"), "{}", said(&ran));
        }
        let plain = world.ran(world.vcq("check").env(variable, value));
        assert_eq!(plain.code, Some(0), "plain http needs no proxy: {}", said(&plain));
    }
    assert_eq!(peer.asked(), Vec::<usize>::new());
}

/// The server takes the connection and says nothing: the first signal ends the command all the same.
#[test]
fn the_first_signal_ends_a_check_that_waits() {
    let world = World::new(small());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = world.vcq("check");
    command.env("VCQ_API_BASE_URL", format!("http://{}", listener.local_addr().unwrap()));
    let mut running = Running(command.stdout(Stdio::null()).spawn().unwrap());
    let _held = listener.accept().unwrap();
    running.signal(rustix::process::Signal::TERM);
    assert_eq!(running.0.wait().unwrap().code(), Some(130));
}
