//! The way to the API over real sockets: what no simulation in the same process can show.

use std::{
    io::{BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};

use self::request::read_request;
use super::world::{Ran, World, small};

#[path = "../support/request.rs"]
mod request;

const PAGE: &str = r#"{"code":0,"msg":"success","data":{"participant_quality_list":[],"has_more":false}}"#;
const TOKEN: &str = r#"{"code":0,"msg":"ok","tenant_access_token":"t-1","expire":7200}"#;

/// More than is read of a body.
const TOO_MUCH: usize = (32 << 20) + 1;

/// A server that hands each request for data, counted from 1, to a talker. It serves until the test process ends.
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

/// Writes an answer, or what takes its place; whatever it returns, the connection is closed after it.
pub(super) type Talk = fn(&mut TcpStream, usize) -> std::io::Result<()>;

impl Peer {
    pub(super) fn start(talk: Talk) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let counted = Arc::clone(&counted);
                // A client that goes away is none of the server's business.
                thread::spawn(move || drop(serve(stream.unwrap(), talk, &counted)));
            }
        });
        Self { address, asked }
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Gives out tokens and keeps the connection for that; a request for data, or through a proxy, is for `talk`.
fn serve(mut stream: TcpStream, talk: Talk, asked: &AtomicUsize) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(first) = read_request(&mut reader)? {
        if !first.contains("tenant_access_token") {
            return talk(&mut stream, asked.fetch_add(1, Ordering::Relaxed) + 1);
        }
        answer(&mut stream, "", TOKEN.as_bytes())?;
    }
    Ok(())
}

pub(super) fn answer(stream: &mut TcpStream, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n")?;
    stream.write_all(body)
}

/// Sends the same bytes again and again until the client has had enough.
fn for_ever(stream: &mut TcpStream, bytes: &[u8], pause: Duration) -> std::io::Result<()> {
    loop {
        stream.write_all(bytes)?;
        #[expect(clippy::disallowed_methods, reason = "the other side waits in real time")]
        thread::sleep(pause);
    }
}

/// A world with a manifest of one row.
fn world() -> World {
    let world = World::new(small());
    let manifest = world.read("manifest.csv");
    world.write("one.csv", &manifest.lines().take(2).collect::<Vec<_>>().join("\n"));
    world
}

/// An export of one stay that may ask so many times.
fn export(world: &World, base_url: &str, attempts_max: u32) -> Command {
    let mut command = world.vcq("export --manifest one.csv --report report.json --log vcq=trace");
    command.env("VCQ_API_BASE_URL", base_url).env("VCQ_RETRY_ATTEMPTS_MAX", attempts_max.to_string());
    command.env("VCQ_API_REQUEST_TIMEOUT", "1s").env("VCQ_API_CONNECT_TIMEOUT", "1s");
    command
}

/// All that was said, the report too, if there is one.
fn said(world: &World, ran: &Ran) -> String {
    let report = std::fs::read_to_string(world.path("report.json")).unwrap_or_default();
    format!("{}{}{report}", ran.out, ran.err)
}

/// What the server does, what the run ends with, and why, as the report says it.
type Way = (&'static str, Talk, i32, &'static str);

#[test]
fn answers_that_no_simulation_sends() {
    const TIMEOUT: &str = "no answer within the time limit";
    const CUT: &str = "connection cut before the whole answer was there";
    let ways: [Way; 11] = [
        (
            "a byte of the body now and then",
            |stream, _| {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")?;
                for_ever(stream, b" ", Duration::from_millis(50))
            },
            65,
            TIMEOUT,
        ),
        (
            "a byte of the headers now and then",
            |stream, _| {
                stream.write_all(b"HTTP/1.1 200 OK\r\nx: ")?;
                for_ever(stream, b"x", Duration::from_millis(50))
            },
            65,
            TIMEOUT,
        ),
        (
            "a thousand provisional answers before the final one",
            |stream, _| {
                stream.write_all("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000).as_bytes())?;
                answer(stream, "", PAGE.as_bytes())
            },
            0,
            "",
        ),
        (
            "provisional answers without end",
            |stream, _| for_ever(stream, b"HTTP/1.1 103 Early Hints\r\n\r\n", Duration::from_millis(1)),
            65,
            TIMEOUT,
        ),
        ("ten thousand headers", |stream, _| answer(stream, &"x: y\r\n".repeat(10_000), PAGE.as_bytes()), 65, CUT),
        (
            "a header of a megabyte",
            |stream, _| answer(stream, &format!("x: {}\r\n", "y".repeat(1 << 20)), PAGE.as_bytes()),
            65,
            CUT,
        ),
        ("no HTTP", |stream, _| stream.write_all(b"SSH-2.0-OpenSSH_9.2p1\r\n"), 65, CUT),
        (
            "a body that is large once decompressed",
            |stream, _| {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(&vec![b' '; TOO_MUCH])?;
                answer(stream, "content-encoding: gzip\r\n", &encoder.finish()?)
            },
            65,
            "body is larger than 32 MiB",
        ),
        (
            "a body in chunks without end",
            |stream, _| {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
                let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
                for_ever(stream, &chunk, Duration::ZERO)
            },
            65,
            "",
        ),
        ("gzip that is none", |stream, _| answer(stream, "content-encoding: gzip\r\n", PAGE.as_bytes()), 65, CUT),
        (
            "an encoding that nobody asked for",
            |stream, _| answer(stream, "content-encoding: br\r\n", b"\x0b\x02\x80page\x03"),
            65,
            "is not the documented JSON",
        ),
    ];
    for (what, talk, exit, why) in ways {
        let (world, peer) = (world(), Peer::start(talk));
        let ran = world.ran(&mut export(&world, &format!("http://{}", peer.address), 1));
        let said = said(&world, &ran);
        assert_eq!((ran.code, peer.asked()), (Some(exit), 1), "{what}: {said}");
        assert!(said.contains(why), "{what}: {said}");
    }
}

/// The connection that brought the token is closed when the next request comes over it: that is asked for again.
#[test]
fn a_kept_connection_that_is_closed_costs_a_request() {
    let (world, peer) = (
        world(),
        Peer::start(|stream, asked| match asked {
            1 => Ok(()),
            _ => answer(stream, "", PAGE.as_bytes()),
        }),
    );
    let ran = world.ran(&mut export(&world, &format!("http://{}", peer.address), 2));
    assert_eq!((ran.code, peer.asked()), (Some(0), 2), "{}", said(&world, &ran));
}

/// Name, TLS and proxy: without a token nothing is asked, and the run says so at once.
#[test]
fn a_server_that_cannot_be_reached_is_told() {
    let refuses: Talk = |stream, _| stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    let peer = Peer::start(refuses);
    let proxy = format!("http://someone:canary@{}", peer.address);
    let plain = format!("https://{}", peer.address);
    for (what, base_url, proxy, is_asked) in [
        ("a name that does not exist", "https://vcq.invalid", "", false),
        ("a server without TLS", plain.as_str(), "", false),
        ("a proxy that wants another password", "https://open.feishu.cn", proxy.as_str(), true),
        ("a proxy that is not there", "https://open.feishu.cn", "http://someone:canary@127.0.0.1:1", false),
    ] {
        let (world, before) = (world(), peer.asked());
        let ran = world.ran(export(&world, base_url, 1).env("HTTPS_PROXY", proxy));
        let said = said(&world, &ran);
        assert_eq!(ran.code, Some(75), "{what}: {said}");
        assert!(said.contains("stopped early: no access token: could not connect"), "{what}: {said}");
        assert_eq!(peer.asked() > before, is_asked, "{what}: {said}");
        assert!(!said.contains("canary"), "{what}: {said}");
    }
}
