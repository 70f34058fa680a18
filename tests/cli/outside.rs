//! Where the binary meets what is not its own: devices, links, pipes, signals, other processes' metrics.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write as _},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt, symlink},
        process::CommandExt,
    },
    process::Stdio,
};

use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::Signal,
};
use serde_json::Value;
use vcq::simulator::{Settings, faults::parse};

use super::world::{Running, World, small};

#[test]
fn a_report_goes_through_devices_and_links() {
    let world = World::new(small());
    world.out("export --manifest manifest.csv --report /dev/null");
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    symlink("elsewhere.json", world.path("link.json")).unwrap();
    world.out("export --manifest manifest.csv --report link.json");
    assert!(fs::symlink_metadata(world.path("link.json")).unwrap().is_symlink());
    assert!(world.read("elsewhere.json").contains("\"report_version\": 1"));
    let out = world.out("export --manifest manifest.csv --report /dev/stdout");
    assert!(out.contains("\"report_version\": 1") && out.contains("manifest   60 rows"), "{out}");
}

#[test]
fn no_report_takes_the_place_of_what_is_read() {
    let world = World::new(small());
    world.write("vcq.toml", "");
    let manifest = world.read("manifest.csv");
    for path in ["manifest.csv", "vcq.toml", "quality/report.json", "quality.staging/r.json", "state/report.json"] {
        let ran = world.run(&format!("export --manifest manifest.csv --report {path}"));
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{path}: {}", ran.err);
        assert!(ran.messages().starts_with(&format!("vcq: --report `{path}` ")), "{}", ran.err);
    }
    assert_eq!((world.read("manifest.csv"), world.read("vcq.toml")), (manifest, String::new()));
    let ran = world.ran(world.vcq("export --manifest manifest.csv").env("VCQ_METRICS_TEXTFILE", "manifest.csv"));
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert_eq!(world.simulator().books().token_requests, 0);
}

#[test]
fn folders_that_hold_one_another_are_refused_by_every_command() {
    let world = World::new(small());
    for options in ["--state quality", "--state quality/state", "--state quality.staging", "--state ."] {
        for line in
            ["status", "check", "verify", "rebuild", "plan --manifest manifest.csv", "export --manifest manifest.csv"]
        {
            let ran = world.run(&format!("{line} {options}"));
            assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{line} {options}: {}", ran.err);
            assert!(ran.err.starts_with("vcq: `state` is `HOME"), "{line} {options}: {}", ran.err);
        }
    }
    assert!(!world.path("quality").exists());
}

#[test]
fn a_clean_run_leaves_no_rejects_beside_its_report() {
    let world = World::new(small());
    let good = world.read("manifest.csv");
    world.write("bad.csv", &format!("{good}12345678,1,2,1,ou_1,\n"));
    for (report, rejects) in [("report.json", "report.rejects.csv"), ("night", "night.rejects.csv")] {
        assert_eq!(world.run(&format!("export --manifest bad.csv --report {report}")).code, Some(65));
        assert!(world.read(rejects).contains("12345678"));
    }
    world.out("export --manifest manifest.csv --report report.json");
    assert!(!world.path("report.rejects.csv").exists(), "the report says that there is none");
    assert!(world.path("night.rejects.csv").exists(), "another report's");
    // Two runs without a report have one each.
    let of_run = || {
        let ran = world.run("export --manifest bad.csv");
        ran.out.lines().find_map(|line| line.trim().strip_prefix("all rejects: ")).unwrap().to_owned()
    };
    assert_ne!(of_run(), of_run());
}

#[test]
fn settled_stays_are_not_pending_on_a_second_run() {
    let world = World::new(Settings { faults: vec![parse("absent-meeting=0.3").unwrap()], ..small() });
    let metrics = || {
        let mut command = world.vcq("export --manifest manifest.csv");
        let ran = world.ran(command.env("VCQ_METRICS_TEXTFILE", "vcq.prom"));
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        world.read("vcq.prom")
    };
    let first = metrics();
    assert!(first.contains("vcq_stays{lane=\"nightly\",state=\"absent\"} "), "{first}");
    for text in [first, metrics()] {
        assert!(text.contains("vcq_stays{lane=\"nightly\",state=\"pending\"} 0\n"), "{text}");
        assert!(text.contains("vcq_run_active{lane=\"nightly\"} 0\n"), "{text}");
    }
}

#[test]
fn a_backfill_at_work_keeps_the_nights_last_success() {
    let world = World::new(Settings { faults: vec![parse("hang=1").unwrap()], ..small() });
    world.write(
        "vcq.prom",
        "# HELP vcq_last_success_timestamp_seconds x\nvcq_last_success_timestamp_seconds 1700000000\n\
         vcq_lane_last_success_timestamp_seconds{lane=\"nightly\"} 1700000000\nvcq_exit_code{lane=\"nightly\"} 0\n",
    );
    let mut command = world.vcq("export --manifest manifest.csv --lane backfill");
    command.env("VCQ_METRICS_TEXTFILE", "vcq.prom").stdout(Stdio::null()).stderr(Stdio::piped());
    let mut backfill = Running(command.spawn().unwrap());
    let mut log = BufReader::new(backfill.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(log.any(|line| line.contains("access token renewed")), "it is at work");
    let check = |text: &str| {
        for line in [
            "vcq_last_success_timestamp_seconds 1700000000",
            "vcq_lane_last_success_timestamp_seconds{lane=\"nightly\"} 1700000000",
            "vcq_exit_code{lane=\"nightly\"} 0",
        ] {
            assert!(text.lines().any(|have| have == line), "{line}: {text}");
        }
    };
    let running = world.read("vcq.prom");
    check(&running);
    assert!(running.contains("vcq_run_active{lane=\"backfill\"} 1\n"), "from the start on: {running}");
    backfill.0.kill().unwrap();
    backfill.0.wait().unwrap();
    check(&world.read("vcq.prom"));
}

#[test]
fn the_first_signal_ends_a_command_that_waits_for_a_pipe() {
    let world = World::new(small());
    mknodat(CWD, world.path("pipe.csv"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    for line in ["plan --manifest pipe.csv", "export --manifest pipe.csv", "export --manifest - --format csv"] {
        // Who ignores a hang-up, as `nohup` does, hands that down.
        let hang_up = (!is_hang_up_ignored()).then_some(Signal::HUP);
        for signal in [Signal::INT, Signal::TERM].into_iter().chain(hang_up) {
            drop(fs::remove_dir_all(world.path("state")));
            let mut command = world.vcq(&format!("{line} --log debug"));
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
            let mut waiting = Running(command.spawn().unwrap());
            // It listens long before it asks for a row: a pipe that it reads can be written to, and an export has a journal.
            let _pipe =
                line.contains("pipe.csv").then(|| File::options().write(true).open(world.path("pipe.csv")).unwrap());
            while line.starts_with("export") && !world.path("state/journal.sqlite").exists() {
                std::thread::yield_now();
            }
            waiting.signal(signal);
            let mut said = String::new();
            waiting.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            assert_eq!(waiting.0.wait().unwrap().code(), Some(130), "{line} {signal:?}: {said}");
        }
    }
}

fn is_hang_up_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(ignored.trim(), 16).unwrap() & 1 == 1
}

#[test]
fn the_first_signal_ends_a_check_of_a_server_that_hangs() {
    let world = World::new(small());
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = world.vcq("check");
    command.env("VCQ_API_BASE_URL", format!("http://{}", server.local_addr().unwrap())).stdout(Stdio::null());
    let mut checking = Running(command.stderr(Stdio::piped()).spawn().unwrap());
    let _asked = server.accept().unwrap();
    checking.signal(Signal::TERM);
    assert_eq!(checking.0.wait().unwrap().code(), Some(130));
}

#[test]
fn a_secret_in_the_wrong_place_is_not_told() {
    let world = World::new(small());
    let run = |file: &str| {
        let mut command = world.vcq("export --manifest manifest.csv");
        world.ran(command.env_remove("VCQ_APP_SECRET").env("VCQ_APP_SECRET_FILE", file))
    };
    let ran = run("s3cret");
    assert_eq!(ran.code, Some(77));
    assert!(!ran.err.contains("s3cret"), "{}", ran.err);
    mknodat(CWD, world.path("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    for path in ["/dev/zero", "pipe", "."] {
        let ran = run(path);
        assert_eq!(ran.code, Some(77), "{path}");
        assert!(ran.err.contains("is no regular file"), "{path}: {}", ran.err);
    }
    world.write("large", &"s".repeat(9000));
    fs::set_permissions(world.path("large"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(run("large").err.contains("larger than 8192 bytes"));
    // What editors add is taken off, in the environment too.
    let ran = world.ran(world.vcq("export --manifest manifest.csv").env("VCQ_APP_SECRET", "\u{feff}simulated\r\n"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
}

#[test]
fn a_configuration_without_an_end_is_refused_and_one_from_a_pipe_is_read() {
    let world = World::new(small());
    let ran = world.run("status --config /dev/zero");
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.err.contains("cannot read configuration file `/dev/zero`: it is larger than 1048576 bytes"),
        "{}",
        ran.err
    );
    let mut command = world.vcq("plan --manifest manifest.csv --config /dev/stdin");
    let mut plan = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    plan.stdin.take().unwrap().write_all(b"timezone = 'UTC'").unwrap();
    assert_eq!(plan.wait().unwrap().code(), Some(0));
}

#[test]
fn this_process_cannot_be_dumped() {
    let world = World::new(small());
    mknodat(CWD, world.path("pipe.csv"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let mut command = world.vcq("plan --manifest pipe.csv");
    command.uid(65_534).stdout(Stdio::null()).stderr(Stdio::null());
    fs::set_permissions(world.path(""), fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(world.path("pipe.csv"), fs::Permissions::from_mode(0o666)).unwrap();
    let plan = Running(command.spawn().unwrap());
    // Opening it to write ends once the plan reads it.
    let _pipe = File::options().write(true).open(world.path("pipe.csv")).unwrap();
    // What cannot be dumped is not its user's to look into either.
    let memory = fs::metadata(format!("/proc/{}/mem", plan.0.id())).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&memory), 0);
}

#[test]
fn what_was_queued_and_spent_is_told_when_a_manifest_cannot_be_read() {
    let world = World::new(small());
    let ran = world.run("export --manifest manifest.csv --until 1ms");
    assert_eq!(ran.code, Some(75), "its stays are queued");
    world.write("bad.csv", "meeting_no,topic\n");
    let ran = world.run("export --manifest manifest.csv bad.csv --report report.json");
    assert_eq!(ran.code, Some(2), "{}{}", ran.out, ran.err);
    assert!(ran.messages().contains("vcq: manifest `bad.csv`"), "{}", ran.err);
    if world.simulator().books().arrivals > 0 {
        let report: Value = serde_json::from_str(&world.read("report.json")).unwrap();
        assert_eq!(report["exit_code"], 2);
        assert!(report["stopped"].as_str().unwrap().starts_with("manifest `bad.csv`"), "{report}");
        assert_eq!((&report["manifest"]["rows"], &report["manifest"]["pending"]), (&60.into(), &60.into()));
        assert_eq!(report["manifest"]["unqueued"], 60);
    }
}

#[test]
fn a_report_lists_what_another_run_published_of_its_stays() {
    let world = World::new(small());
    world.out("plan --manifest manifest.csv");
    let mut backfill =
        world.vcq("export --manifest manifest.csv --lane backfill --log trace --requests-per-minute 600");
    let mut backfill = Running(backfill.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let mut log = BufReader::new(backfill.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(log.any(|line| line.contains("page landed")), "it fetches");
    let mut nightly = world.vcq("export --manifest manifest.csv --report report.json");
    let nightly = nightly.stdout(Stdio::null()).stderr(File::create(world.path("nightly.log")).unwrap()).spawn();
    let mut nightly = Running(nightly.unwrap());
    log.for_each(drop);
    assert!(backfill.0.wait().unwrap().success() && nightly.0.wait().unwrap().success());
    let report: Value = serde_json::from_str(&world.read("report.json")).unwrap();
    let files = report["files"].as_array().unwrap();
    assert_eq!(files.len(), 2, "{report}");
    let rows: u64 = files.iter().map(|file| file["rows"].as_u64().unwrap()).sum();
    assert_eq!(rows, world.rows().len() as u64);
    assert!(files.iter().any(|file| file["by"] == "another run"), "{report}");
}

#[test]
fn who_only_asks_creates_nothing_and_reads_a_state_that_cannot_be_written() {
    let world = World::new(small());
    world.write("bad.csv", "meeting_no,meeting_start_time,meeting_end_time,join_time,user_id\n1,2,3,4,ou_1\n");
    let names = |folder: &str| world.files(folder).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let before = names("");
    world.out("plan --manifest manifest.csv");
    assert_eq!(world.run("plan --manifest bad.csv").code, Some(65));
    assert_eq!(world.run("status").code, Some(2));
    assert_eq!(world.run("verify").code, Some(2));
    world.out("check");
    assert_eq!(names(""), before);
    assert!(!world.path("state").exists() && !world.path("quality").exists());

    world.out("export --manifest manifest.csv");
    let before = names("");
    // Somebody else, who may read and no more; another app and host matter to none who asks for nothing.
    let open = |path: &str, mode| fs::set_permissions(world.path(path), fs::Permissions::from_mode(mode)).unwrap();
    open("", 0o755);
    open("state", 0o755);
    for name in names("state") {
        open(&format!("state/{name}"), 0o644);
    }
    for line in ["status", "verify", "verify --quick"] {
        let mut command = world.vcq(line);
        command.env("VCQ_APP_ID", "cli_other").env("VCQ_API_BASE_URL", "https://open.larksuite.com");
        let ran = world.ran(command.uid(65_534).gid(65_534));
        assert_eq!(ran.code, Some(0), "{line}: {}{}", ran.out, ran.err);
    }
    assert_eq!(names(""), before);
}

#[test]
fn damage_of_the_journal_itself_is_told_with_its_remedy() {
    let world = World::new(small());
    world.out("export --manifest manifest.csv");
    let sound = world.out("verify");
    assert!(sound.contains("structure is sound") && sound.contains("landed pages are what was landed"), "{sound}");
    let journal = rusqlite::Connection::open(world.path("state/journal.sqlite")).unwrap();
    journal.execute("UPDATE page SET digest = zeroblob(16) WHERE stay = 1", []).unwrap();
    let ran = world.run("verify");
    assert_eq!(ran.code, Some(74), "{}", ran.out);
    assert!(ran.out.contains(" landed pages are damaged: restore the journal"), "{}", ran.out);
    assert!(
        ran.out.contains("vcq export --refresh 20") && ran.out.ends_with("the journal is damaged\n"),
        "{}",
        ran.out
    );
    assert_eq!(world.run("verify --quick").code, Some(0), "it looks at the dataset only");
}
