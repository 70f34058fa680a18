//! Memory does not grow with the manifest or the size of a date.
//!
//! By default with a size that takes seconds. `MEMORY_ROWS=10000000 cargo test --release --test cli memory -- --nocapture`
//! takes the manifest of the largest tenant, and prints what was measured.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Write},
    process::Command,
    sync::{Barrier, LazyLock},
    time::Instant,
};

use serde_json::{Map, Value, json};
use vcq::{
    config::Config,
    journal::{Identity, Journal, Lane, Manifested, NewPage},
    stay::{MeetingNo, Participant, Stay},
    tables::quality::{COLUMNS, Kind},
};

use super::{
    way::{Peer, answer},
    world::{World, small},
};

/// The bound of every command, 150 MB, and what more of the program's own pages is in memory here: the code of this binary, which is
/// not optimised, is longer by more than ten MB than that of a released one.
const PEAK_MIB_MAX: f64 = 160e6 / 1024.0 / 1024.0;

#[test]
fn plan_export_and_status_of_a_large_manifest() {
    let rows = size("MEMORY_ROWS", 100_000);
    let world = World::new(small());
    write_manifest(&world, rows);
    // The limit is reached at once: what remains is reading, merging and the account.
    for (line, code) in [
        ("plan --manifest large.csv", 0),
        ("export --manifest large.csv --until 1ms", 75),
        ("export --manifest large.csv --until 1ms", 75),
        ("plan --manifest large.csv", 0),
        ("status", 0),
    ] {
        measure(&world, line, code, rows);
    }
    let status: Value = serde_json::from_str(&world.out("status --json")).unwrap();
    assert_eq!(status["queue"]["nightly"], rows);
    let bytes = world.path("state/journal.sqlite").metadata().unwrap().len();
    // Keys, and the index of keys: more of either shows here.
    assert!(bytes / rows < 300, "{} bytes of journal for each queued stay", bytes / rows);
}

/// Few bytes that stand for many: a long line, and rows without end to them.
#[test]
fn plan_of_compressed_manifests() {
    let world = World::new(small());
    let rows = size("MEMORY_ROWS", 100_000);
    write_manifest(&world, rows);
    let mut plain = File::open(world.path("large.csv")).unwrap();
    zstd::stream::copy_encode(&mut plain, File::create(world.path("large.csv.zst")).unwrap(), 1).unwrap();
    measure(&world, "plan --manifest large.csv.zst", 0, rows);
    for (name, line) in [("blank.csv.zst", b' '), ("long.csv.zst", b'x'), ("quote.csv.zst", b'"')] {
        let header = world.read("manifest.csv").lines().next().unwrap().to_owned() + "\n";
        let mut bomb = header.as_bytes().chain(io::repeat(line).take(200 << 20));
        zstd::stream::copy_encode(&mut bomb, File::create(world.path(name)).unwrap(), 1).unwrap();
        measure(&world, &format!("plan --manifest {name}"), 2, 0);
    }
}

#[test]
fn rebuild_and_verify_of_large_dates() {
    let read = |kind| match kind {
        Kind::Time => "2025.03.03 19:06:40 (GMT+08:00)".into(),
        Kind::Delay => "35ms".into(),
        Kind::BitRate => "812kbps".into(),
        Kind::Percent => "0.8%".into(),
        Kind::Volume => "-31dB".into(),
        Kind::FrameRate => "25fps".into(),
        Kind::Resolution => "1080P".into(),
    };
    rebuild_and_verify(&page(read));
}

/// As if the API left the units out: each value stands in `unparsed`.
#[test]
fn rebuild_and_verify_of_large_dates_that_cannot_be_read() {
    rebuild_and_verify(&page(|_| 35.into()));
}

/// Requests that are under way at a time.
const IN_FLIGHT: usize = 16;

/// Holds the answers back until so many requests are under way.
static UNDER_WAY: Barrier = Barrier::new(IN_FLIGHT);

/// A page of 31 MiB that is no smaller when it is compressed: one value is a text of digits at random.
static LARGE_PAGE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut random = 1_u64;
    let digits = (0..31 << 20).map(|_| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[(random >> 58) as usize]
    });
    let mut page = br#"{"code":0,"msg":"success","data":{"participant_quality_list":[{"other":""#.to_vec();
    page.extend(digits);
    page.extend_from_slice(br#""}],"has_more":false}}"#);
    page
});

/// The largest pages there may be, all on their way at the same time.
#[test]
fn answers_of_31_mib_that_come_at_the_same_time() {
    let world = World::new(small());
    let manifest = world.read("manifest.csv");
    world.write("some.csv", &manifest.lines().take(1 + IN_FLIGHT).collect::<Vec<_>>().join("\n"));
    world.write("vcq.toml", "[api]\nrequest_timeout = \"5m\"\n");
    let peer = Peer::start(|stream, number| {
        if number <= IN_FLIGHT {
            UNDER_WAY.wait();
        }
        answer(stream, "", &LARGE_PAGE)
    });
    let line = format!("export --manifest some.csv --base-url http://{}", peer.address);
    measure(&world, &line, 0, IN_FLIGHT as u64);
    assert_eq!(peer.asked(), IN_FLIGHT, "none was asked for twice");
}

/// More rows than a row group has, on as many dates as are built at the same time.
fn rebuild_and_verify(page: &[u8]) {
    let stays = size("MEMORY_STAYS", 100);
    let world = World::new(small());
    land(&world, stays, page);
    let samples = stays * u64::from(PAGES) * 100;
    measure(&world, "rebuild", 0, samples);
    measure(&world, "rebuild", 0, samples);
    measure(&world, "verify", 0, samples);
}

#[expect(clippy::disallowed_methods, reason = "the one size that is too large for every day is asked for from outside")]
fn size(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().expect("a number of rows"))
}

/// Runs the binary, and looks at the most memory it had.
#[expect(clippy::disallowed_methods, clippy::print_stdout, reason = "real time is measured, for people to read")]
fn measure(world: &World, line: &str, code: i32, rows: u64) {
    let vcq = world.vcq(line);
    let mut command = Command::new("python3");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/peak_memory.py")).arg(world.path("peak"));
    command.arg(vcq.get_program()).args(vcq.get_args()).current_dir(vcq.get_current_dir().unwrap());
    command.envs(vcq.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let began = Instant::now();
    let ran = world.ran(&mut command);
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(ran.code, Some(code), "{line}\n{}{}", ran.out, ran.err);
    let peak_mib = world.read("peak").parse::<f64>().unwrap() / 1024.0;
    println!("{line}: {rows} rows in {seconds:.1} s, peak {peak_mib:.1} MiB");
    assert!(peak_mib <= PEAK_MIB_MAX, "{line}: {peak_mib:.1} MiB");
}

/// Stays over a year, not in the order of the dataset.
fn write_manifest(world: &World, rows: u64) {
    let mut csv = BufWriter::new(File::create(world.path("large.csv")).unwrap());
    writeln!(csv, "meeting_no,meeting_start_time,meeting_end_time,join_time,user_id,room_id").unwrap();
    for row in 0..rows {
        let start = 1_700_000_000 + row * 7919 % 31_536_000;
        let (end, join) = (start + 3600, start + row % 60);
        let number = 100_000_000 + row / 10;
        writeln!(csv, "{number},{start},{end},{join},ou_{:032x},", u128::from(row) * 0x9e37_79b9_7f4a_7c15).unwrap();
    }
    csv.flush().unwrap();
}

/// Pages of a stay that lasts for a day.
const PAGES: u32 = 15;

/// Lands the pages of stays of two dates, as an export does, but without a network.
fn land(world: &World, stays: u64, page: &[u8]) {
    let state = world.path("state").display().to_string();
    // The host of the API is a part of what a journal is of.
    let settings = [("state", state), ("api.base_url", "http://127.0.0.1".to_owned())];
    let config = Config::load(None, [], &settings).unwrap();
    let mut journal = Journal::open(&config.state, &Identity::of(&config)).unwrap();
    let mut staging = journal.stage().unwrap();
    for number in 0..stays {
        let meeting_no = MeetingNo::parse(&format!("{number:09}")).unwrap();
        let start = 1_741_000_000 + i64::try_from(number % 2).unwrap() * 86_400;
        let participant = Participant::User(format!("ou_{number}"));
        let stay =
            Stay { meeting_no, meeting_start_s: start, meeting_end_s: start + 86_400, join_s: start, participant };
        staging.push(&stay, Manifested { file: 0, line: number + 2 }).unwrap();
    }
    let staged = staging.finish().unwrap();
    journal.enqueue(staged, Lane::Nightly, config.timezone).unwrap().finish().unwrap();
    while let Some(queued) = journal.next(1, |_| false).unwrap() {
        for number in 0..PAGES {
            let next_token = (number + 1 < PAGES).then_some("more");
            let landed = NewPage { stay: queued.id, number, samples: 100, next_token, body: page };
            journal.land(&landed, 1_741_200_000).unwrap();
        }
    }
}

/// A full page whose samples have every value.
fn page(value: impl Fn(Kind) -> Value) -> Vec<u8> {
    let mut sample = Map::new();
    for column in &COLUMNS {
        let section = sample.entry(column.section.key()).or_insert_with(|| Map::new().into());
        section[column.key] = value(column.kind);
    }
    let list = vec![Value::from(sample); 100];
    json!({ "code": 0, "msg": "success", "data": { "participant_quality_list": list } }).to_string().into()
}
