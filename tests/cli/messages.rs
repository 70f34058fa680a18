//! Exit codes and messages: a contract with cron, systemd, scripts and the person who is called at night.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    process::Stdio,
};

use serde_json::Value;
use vcq::simulator::{
    Settings,
    faults::{self, Fault, FaultKind, When},
};

use super::world::{World, small};

const MANIFEST: &str = "meeting_no,meeting_start_time,meeting_end_time,join_time,user_id,room_id\n";

/// Standard error must be exactly this, standard output empty.
fn check(world: &World, line: &str, code: i32, message: &str) {
    let ran = world.run(line);
    assert_eq!((ran.code, ran.out.as_str(), ran.messages().as_str()), (Some(code), "", message), "vcq {line}");
}

fn fault(text: &str) -> Fault {
    faults::parse(text).unwrap()
}

#[test]
fn usage() {
    let world = World::new(small());
    world.write("manifest.txt", MANIFEST);
    for (line, said) in [
        ("", "Usage: vcq [OPTIONS] <COMMAND>"),
        ("exprt", "tip: some similar subcommands exist: 'report', 'export'"),
        ("export", "--manifest <FILE>..."),
        ("export --manifest manifest.csv --untill 8h", "tip: a similar argument exists: '--until'"),
        ("export --manifest manifest.csv --lane slow", "[possible values: nightly, backfill]"),
        ("plan --manifest manifest.csv --format xml", "[possible values: csv, jsonl, parquet]"),
        ("rebuild --from 20250303", "must be a date such as 2026-03-31"),
        ("export --manifest manifest.csv --requests-per-minute many", "invalid value 'many'"),
        ("completions tcl", "[possible values: bash"),
    ] {
        let ran = world.run(line);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "vcq {line}");
        assert!(ran.err.contains(said), "vcq {line}\n{}", ran.err);
    }
    for (line, message) in [
        (
            "plan --manifest manifest.txt",
            "vcq: manifest `manifest.txt`: `manifest.txt` ends in none of .csv, .jsonl, .ndjson, .json and .parquet, with .gz or .zst after it or not; name its \
             format with --format",
        ),
        ("plan --manifest -", "vcq: standard input has no name that tells its form: give --format"),
        (
            "export --manifest manifest.csv --until soon",
            "vcq: --until `soon` is neither a time of day such as `06:00` nor a duration such as `8h`",
        ),
        ("rebuild --from 2025-03-04 --to 2025-03-03", "vcq: --from 2025-03-04 lies after --to 2025-03-03"),
    ] {
        check(&world, line, 2, message);
    }
    for line in ["status", "verify", "rebuild"] {
        let hint = "hint: check `state` in the configuration, or run `vcq export` first";
        check(
            &world,
            &format!("{line} --state none"),
            2,
            &format!("vcq: journal: there is no journal at `none`\n{hint}"),
        );
        assert!(!world.path("none").exists());
    }
    check(&world, "status --log vcq=loud", 2, "vcq: --log knows no `loud`");
    check(&world, "status --log wran", 2, "vcq: --log knows no `wran`; did you mean `warn`?");
    check(
        &world,
        "status --log vcq=debug,info[",
        2,
        "vcq: --log `vcq=debug,info[` is no level and no filter: invalid filter directive",
    );
    assert_eq!(world.simulator().books().token_requests, 0, "nobody was asked anything");
}

#[test]
fn configuration() {
    let world = World::new(small());
    let cases = [
        (
            "requests_per_minute = 7",
            "vcq.toml: there is no key `requests_per_minute`; did you mean `rate.requests_per_minute`?",
        ),
        (
            "[rate]\nrequest_per_minute = 7",
            "vcq.toml: there is no key `rate.request_per_minute`; did you mean `rate.requests_per_minute`?",
        ),
        ("zzz = 1", "vcq.toml: there is no key `zzz`"),
        (
            "timezone = 'Mars'",
            "vcq.toml: `timezone` is \"Mars\", but must be an IANA time zone such as `Asia/Shanghai` or `UTC`",
        ),
        ("[retry]\nattempts_max = 0", "vcq.toml: `retry.attempts_max` is 0, but must be a number from 1 to 100"),
    ];
    for (text, message) in cases {
        world.write("vcq.toml", text);
        for line in ["status", "check", "plan --manifest manifest.csv", "export --manifest manifest.csv"] {
            check(&world, line, 2, &format!("vcq: configuration: {message}"));
        }
    }
    world.write("vcq.toml", "timezone =");
    let ran = world.run("status");
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.err.starts_with("vcq: configuration: `vcq.toml` is not TOML: line 1, column 11, the value of `timezone`: "),
        "{}",
        ran.err
    );
    world.run("completions fish");
    assert_eq!(world.run("completions fish").code, Some(0), "what needs no configuration does not read it");
    fs::remove_file(world.path("vcq.toml")).unwrap();
    check(
        &world,
        "--config no.toml status",
        2,
        "vcq: cannot read configuration file `no.toml`: No such file or directory (os error 2)",
    );
    check(
        &world,
        "status --requests-per-minute 20000",
        2,
        "vcq: configuration: command line: `rate.requests_per_minute` is \"20000\", but must be a number from 1 to 10000",
    );
    for (variable, value, message) in [
        ("VCQ_TIME_ZONE", "UTC", "environment: there is no key `VCQ_TIME_ZONE`; did you mean `VCQ_TIMEZONE`?"),
        (
            "VCQ_API_BASE_URL",
            "http://open.feishu.cn",
            "VCQ_API_BASE_URL: `api.base_url` is \"http://open.feishu.cn\", but must be an https URL of a host without path, query or user (http on a loopback address only)",
        ),
    ] {
        let ran = world.ran(world.vcq("status").env(variable, value));
        assert_eq!((ran.code, ran.err), (Some(2), format!("vcq: configuration: {message}\n")));
    }
}

#[test]
fn manifests() {
    let world = World::new(small());
    for (name, text, message) in [
        ("absent.csv", None, "there is no such file"),
        ("empty.csv", Some(""), "is empty, must begin with a line of column names"),
        (
            "few.csv",
            Some("meeting_no,topic\n"),
            "has no column `meeting_start_time`, `meeting_end_time`, `join_time`, `user_id` or `room_id`; it has \"meeting_no,topic\"",
        ),
        ("twice.csv", Some("meeting_no,meeting_no\n"), "has column `meeting_no` twice"),
        ("none.parquet", Some("PAR1"), "cannot be read as Parquet: "),
    ] {
        if let Some(text) = text {
            world.write(name, text);
        }
        for command in ["plan", "export"] {
            let ran = world.run(&format!("{command} --manifest manifest.csv {name}"));
            assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{command} {name}");
            let message = format!("vcq: manifest `{name}`: {message}");
            assert!(ran.messages().starts_with(&message), "{command} {name}\n{}", ran.err);
        }
    }
    let status: Value = serde_json::from_str(&world.out("status --json")).unwrap();
    assert_eq!(status["queue"]["nightly"], 0, "a manifest that cannot be read queues nothing, nor do those before it");
    assert_eq!(world.simulator().books().token_requests, 0);
}

#[test]
fn credentials() {
    let world = World::new(small());
    let run = |edit: &dyn Fn(&mut std::process::Command)| {
        let mut command = world.vcq("export --manifest manifest.csv");
        edit(command.env_remove("VCQ_APP_SECRET"));
        let ran = world.ran(&mut command);
        assert_eq!((ran.code, ran.out.as_str()), (Some(77), ""));
        ran.messages()
    };
    assert_eq!(
        run(&|vcq| _ = vcq.env_remove("VCQ_APP_ID")),
        "vcq: no app id\nhint: set VCQ_APP_ID, or `app_id` in the configuration\nhint: there is no vcq.toml in `HOME`, and no VCQ_CONFIG"
    );
    assert_eq!(
        run(&|_| ()),
        "vcq: no app secret\nhint: set VCQ_APP_SECRET, or `app_secret_file` in the configuration\nhint: there is no vcq.toml in `HOME`, and no VCQ_CONFIG"
    );
    let of_file = |mode: u32, text: &str| {
        world.write("secret", text);
        fs::set_permissions(world.path("secret"), Permissions::from_mode(mode)).unwrap();
        run(&|vcq| _ = vcq.env("VCQ_APP_SECRET_FILE", "secret"))
    };
    let needed = "hint: `app_secret_file` must name a file that holds the app's secret and nothing else";
    for mode in [0o644, 0o640, 0o604, 0o620] {
        let message = format!("vcq: secret file `secret` has mode {mode:04o}: others have access to it");
        assert_eq!(
            of_file(mode, "simulated"),
            format!("{message}\nhint: make it readable by its owner alone: chmod 600")
        );
    }
    assert_eq!(of_file(0o600, " \n"), format!("vcq: secret file `secret` is empty\n{needed}"));
    let absent = run(&|vcq| _ = vcq.env("VCQ_APP_SECRET_FILE", "absent"));
    assert_eq!(
        absent,
        format!(
            "vcq: the file that `app_secret_file` names cannot be read: No such file or directory (os error 2)\n{needed}"
        )
    );
    assert_eq!(world.simulator().books().token_requests, 0, "nothing was sent without credentials");

    world.write("secret", "simulated\n");
    let mut command = world.vcq("export --manifest manifest.csv");
    command.env_remove("VCQ_APP_SECRET").env("VCQ_APP_SECRET_FILE", "secret");
    assert_eq!(
        world.ran(&mut command).code,
        Some(0),
        "a file of mode 0600 is read, the line's end is no part of the secret"
    );
}

#[test]
fn a_wrong_secret_is_named_with_the_remedy() {
    let world = World::new(small());
    for line in ["export --manifest manifest.csv", "check"] {
        let ran = world.ran(world.vcq(line).env("VCQ_APP_SECRET", "wrong"));
        assert_eq!(ran.code, Some(77), "{line}");
        let said = format!("{}{}", ran.out, ran.err);
        assert!(
            said.contains("code 10014 (HTTP 200)") && said.contains("check VCQ_APP_ID and VCQ_APP_SECRET"),
            "{said}"
        );
        assert!(!said.contains("wrong"), "{said}");
    }
}

#[test]
fn want_of_permission_stops_the_run_at_the_first_answer() {
    for (kind, remedy) in [
        (
            FaultKind::NoPermission,
            "the app needs the scope `vc:room:readonly`, and the person who created it the admin right",
        ),
        (FaultKind::NoScope, "grant the app the scope `vc:room:readonly` and publish a version of the app"),
    ] {
        let always = When::Between { from_s: 0, until_s: 1 << 40 };
        let world = World::new(Settings { faults: vec![Fault { kind, when: always }], ..small() });
        let ran = world.run("export --manifest manifest.csv");
        assert_eq!(ran.code, Some(77), "{kind:?}");
        assert!(ran.messages().starts_with(&format!("hint: {remedy}")), "{}", ran.err);
        assert!(ran.out.contains("60 pending") && ran.out.contains("stopped early: code "), "{}", ran.out);
        let in_flight_max = 16;
        assert!(world.simulator().books().arrivals <= in_flight_max);
        let checked = world.run("check");
        assert_eq!(checked.code, Some(77));
        assert!(checked.out.contains("FAIL  permission: code ") && checked.out.contains(remedy), "{}", checked.out);
    }
}

#[test]
fn a_journal_belongs_to_one_time_zone_and_one_kind_of_ids() {
    let world = World::new(small());
    world.out("export --manifest manifest.csv");
    for (variable, value, key, begun) in [
        ("VCQ_TIMEZONE", "UTC", "timezone", "Asia/Shanghai"),
        ("VCQ_API_USER_ID_TYPE", "union_id", "api.user_id_type", "open_id"),
    ] {
        for line in ["export --manifest manifest.csv", "plan --manifest manifest.csv", "status", "verify", "rebuild"] {
            let ran = world.ran(world.vcq(line).env(variable, value));
            let message =
                format!("vcq: journal: the journal was begun with {key} `{begun}`, the configuration says `{value}`");
            let hint = "hint: put the key back, or use other `state` and `output` folders";
            assert_eq!((ran.code, ran.messages()), (Some(2), format!("{message}\n{hint}")), "{line}");
        }
    }
}

#[test]
fn a_journal_without_stays_takes_the_configuration_on() {
    let world = World::new(small());
    world.out("check");
    world.out("plan --manifest manifest.csv");
    let ran = world.ran(world.vcq("export --manifest manifest.csv").env("VCQ_TIMEZONE", "UTC"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(world.run("status").code, Some(2), "from the first stay on the zone is fixed");
}

#[test]
fn a_state_folder_that_others_can_open_is_told_of() {
    let world = World::new(small());
    fs::create_dir(world.path("state")).unwrap();
    for (mode, code, finding) in
        [(0o755, 2, "has mode 0755"), (0o750, 2, "has mode 0750"), (0o700, 0, "is closed to others")]
    {
        fs::set_permissions(world.path("state"), Permissions::from_mode(mode)).unwrap();
        let ran = world.run("check");
        assert_eq!(ran.code, Some(code), "{}", ran.out);
        assert!(ran.out.contains(finding), "{}", ran.out);
        assert_eq!(ran.out.contains("chmod 700 "), code != 0, "{}", ran.out);
    }
}

#[test]
fn the_demo_takes_no_option_in_silence() {
    let world = World::new(small());
    for option in
        ["--state elsewhere", "--output elsewhere", "--base-url http://127.0.0.1:1", "--requests-per-minute 5"]
    {
        let message = "vcq: the demo has a folder, an API and a rate of its own: of these it takes `--dir` alone";
        check(&world, &format!("demo --dir demo {option}"), 2, message);
        assert!(!world.path("demo").exists());
    }
}

#[test]
fn folders_and_files_that_cannot_be_written() {
    let world = World::new(small());
    world.write("file", "");
    fs::create_dir(world.path("folder")).unwrap();
    let moved = "hint: move it away, and run again: nothing is lost";
    for (options, message) in [
        ("--output file", format!("vcq: dataset: `HOME/file` is no folder, or a link to one\n{moved}")),
        ("--output file/quality", "vcq: dataset: cannot create `HOME/file/quality`: Not a directory (os error 20)".into()),
        ("--output /proc/quality", "vcq: dataset: cannot create `/proc/quality`: No such file or directory (os error 2)".into()),
        ("--state /proc/state", "vcq: journal: cannot create the state folder `/proc/state`: No such file or directory (os error 2)\nhint: check `state` in the configuration and the folder's permissions".into()),
        ("--report /proc/report.json", "vcq: cannot write `/proc/report.json`: ".into()),
        ("--report folder", "vcq: cannot write `folder`: is a directory".into()),
        ("--report file/report.json", "vcq: cannot write `file/report.json`: ".into()),
    ] {
        let ran = world.run(&format!("export --manifest manifest.csv {options}"));
        assert_eq!((ran.code, ran.out.as_str()), (Some(74), ""), "{options}");
        assert!(ran.messages().starts_with(&message), "{options}\n{}", ran.err);
    }
    assert_eq!(world.simulator().books().token_requests, 0, "found before the first request");
    world.out("export --manifest manifest.csv --report new/folder/report.json");
    assert!(world.path("new/folder/report.json").exists());
}

#[test]
fn rows_that_are_rejected_give_65_and_an_early_end_75() {
    let world = World::new(small());
    let good = world.read("manifest.csv");
    world.write("bad.csv", &format!("{good}12345678,1,2,1,ou_1,\n"));
    assert_eq!(world.run("plan --manifest bad.csv").code, Some(65));
    assert_eq!(world.run("export --manifest bad.csv").code, Some(65));

    let world = World::new(Settings { faults: vec![fault("month-used-up=1")], ..small() });
    let ran = world.run("export --manifest manifest.csv");
    assert_eq!((ran.code, ran.messages()), (Some(75), "hint: run the same command again to continue".to_owned()));
    assert!(
        ran.out.contains("stopped early: code 99991403 (HTTP 429)") && ran.out.contains("; run again from 20"),
        "{}",
        ran.out
    );

    let ran = world.run("export --manifest manifest.csv --until 1ms");
    assert_eq!(ran.code, Some(75));
    assert!(ran.out.contains("stopped early: the time limit ("), "{}", ran.out);

    let ran = world.ran(
        world
            .vcq("export --manifest manifest.csv")
            .env("VCQ_API_BASE_URL", "http://127.0.0.1:1")
            .env("VCQ_RETRY_OUTAGE_MAX", "0s"),
    );
    assert_eq!(ran.code, Some(75));
    assert!(ran.out.contains("stopped early: no access token: no connection to 127.0.0.1:1: refused ("), "{}", ran.out);
}

#[test]
fn standard_error_has_neither_progress_nor_colour_where_it_is_no_terminal() {
    let world = World::new(small());
    let mut command = world.vcq("export --manifest manifest.csv --log trace");
    let ran = world.ran(command.env("TERM", "xterm-256color").env("CLICOLOR_FORCE", "1"));
    assert_eq!(ran.code, Some(0));
    assert!(!ran.err.contains('\x1b') && !ran.err.contains('\r'), "{}", ran.err);
    assert!(!ran.out.contains('\x1b') && !ran.out.contains('\r'), "{}", ran.out);
    assert_eq!(ran.messages(), "", "nothing but log lines");

    let ran = world.run("export --manifest manifest.csv --log trace --log-format json");
    assert_eq!(ran.code, Some(0));
    let lines: Vec<Value> = ran.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["fields"]["message"] == "stays queued" && line["level"] == "INFO"));
}

#[test]
fn standard_output_that_is_closed_early_is_no_error() {
    let world = World::new(small());
    let mut child = world.vcq("completions bash").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let ran = world.ran(world.vcq("completions bash").stdout(full));
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (Some(74), "vcq: cannot write to `standard output`: No space left on device (os error 28)\n")
    );
}

/// A wrong manifest is taken back: what nobody has asked for vanishes, what has landed stays.
#[test]
fn a_manifest_is_taken_out_of_the_queue() {
    let world = World::new(small());
    assert_eq!(world.run("drop --manifest manifest.csv").code, Some(2), "there is no journal yet");
    assert_eq!(world.run("export --manifest manifest.csv --until 1ms").code, Some(75));
    let others = "100000000,1700000000,1700003600,1700000000,ou_nobody,\n123,1,2,1,ou_1,\n";
    let header = "meeting_no,meeting_start_time,meeting_end_time,join_time,user_id,room_id\n";
    world.write("other.csv", &format!("{header}{others}{others}"));
    assert_eq!(world.run("export --manifest other.csv --until 1ms").code, Some(75));
    let rows = "manifest   4 rows = 1 duplicate + 2 rejected + 1 stay\n";
    let said = |what| format!("{rows}stays      1 = {what}\n");
    let dry = world.out("drop --manifest other.csv --dry-run");
    assert_eq!(dry, said("1 to be dropped + 0 landed or settled, kept + 0 not known"));
    let dropped = world.out("drop --manifest other.csv");
    assert_eq!(dropped, said("1 dropped from the queue + 0 landed or settled, kept + 0 not known"));
    let status: Value = serde_json::from_str(&world.out("status --json")).unwrap();
    assert_eq!(status["queue"]["nightly"], 60);
    world.out("export --manifest manifest.csv");
    let kept = world.out("drop --manifest manifest.csv");
    assert!(kept.ends_with("60 = 0 dropped from the queue + 60 landed or settled, kept + 0 not known\n"), "{kept}");
    world.out("verify");
}

#[test]
fn every_command_has_an_example_and_shells_their_completions() {
    let world = World::new(small());
    let help = world.out("--help");
    assert!(help.contains("Exit codes: 0 complete"));
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names: Vec<_> = commands
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty())
        .collect();
    assert_eq!(
        names,
        [
            "demo",
            "export",
            "discover",
            "plan",
            "drop",
            "status",
            "report",
            "rebuild",
            "archive",
            "decode",
            "verify",
            "adopt",
            "check",
            "login",
            "logout",
            "runs",
            "notify",
            "simulate",
            "schema",
            "completions",
            "man",
            "help"
        ]
    );
    for name in names.iter().filter(|name| **name != "help") {
        let help = world.out(&format!("{name} --help"));
        let example = ["Example: vcq ", "Examples:\n  vcq "].map(|example| format!("{example}{name}"));
        assert!(example.iter().any(|example| help.contains(example)), "{help}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(world.out(&format!("completions {shell}")).contains("rebuild"), "{shell}");
    }
    assert_eq!(world.out("--version"), concat!("vcq ", env!("CARGO_PKG_VERSION"), "\n"));
}
