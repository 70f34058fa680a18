//! What an operator sees: how dates stand, what a run comes to, and the examples for every night.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use vcq::simulator::{Settings, faults::parse};

use super::world::{Ran, World, small};

const UNITS: [&str; 5] =
    ["vcq.service", "vcq.timer", "vcq-backfill.service", "vcq-backfill.timer", "vcq-failed@.service"];

fn example(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)).unwrap()
}

/// What cron gives to the shell.
fn cron_line() -> String {
    let cron = example("cron.example");
    let line = cron.lines().find(|line| line.contains("vcq --config") && !line.starts_with('#')).unwrap();
    line.split_once(" * * * ").unwrap().1.to_owned()
}

/// The command lines of the examples, as words without redirections.
fn command_lines() -> Vec<(&'static str, String)> {
    let of_unit = |name| {
        let text = example(name);
        let line = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap().to_owned();
        (name, line.replace("${DATES}", "2025-03-03..2025-03-04"))
    };
    let cron = cron_line().split_once("&& ").unwrap().1.split_once(" >").unwrap().0.to_owned();
    vec![of_unit("vcq.service"), of_unit("vcq-backfill.service"), ("cron.example", cron)]
}

/// Each names the binary where the header installs it, and arguments that it takes.
#[test]
fn the_examples_for_every_night_run_as_printed() {
    let world = World::new(small());
    world.write("vcq.toml", "");
    for (name, line) in command_lines() {
        let arguments = line.strip_prefix("/usr/local/bin/vcq ").unwrap_or_else(|| panic!("{name}: {line}"));
        assert!(example(name).contains("--root /usr/local") || name == "vcq-backfill.service", "{name}");
        let arguments =
            arguments.replace("/etc/vcq/vcq.toml", "vcq.toml").replace("--discover 3d", "--discover 2025-03-03");
        let ran = world.run(&arguments);
        assert_eq!(ran.code, Some(0), "{name}: {}{}", ran.out, ran.err);
    }
}

/// What cron mails of a night says by itself what to do, and nothing is mailed of one that went well.
#[test]
fn the_mail_of_a_bad_night_says_what_to_do() {
    let world = World::new(small());
    world.write("vcq.toml", "");
    let vcq = assert_cmd::cargo::cargo_bin!("vcq").display().to_string();
    let home = world.path("").display().to_string();
    let line = cron_line().replace("/usr/local/bin/vcq", &vcq).replace("/var/lib/vcq", &home);
    let line = line.replace("/etc/vcq/vcq.toml", "vcq.toml").replace("--discover 3d", "--discover 2025-03-03");
    let mail = |secret: &str| {
        let environment = world.vcq("");
        let mut night = Command::new("sh");
        night.args(["-c", &line]).env_clear().env("PATH", "/usr/bin:/bin");
        night.envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let ran = night.env("VCQ_APP_SECRET", secret).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&ran.stderr), "");
        String::from_utf8(ran.stdout).unwrap()
    };
    let bad = mail("wrong");
    assert!(bad.starts_with("vcq export: exit code 77\n") && bad.contains("hint: check VCQ_APP_ID"), "{bad}");
    assert_eq!(mail("simulated"), "");
    assert!(world.read("last-run.log").contains("verdict    "), "{}", world.read("last-run.log"));
}

/// By `systemd-analyze verify`, where there is one.
#[test]
fn the_units_are_sound() {
    let folder = tempfile::tempdir().unwrap();
    let vcq = assert_cmd::cargo::cargo_bin!("vcq").display().to_string();
    for name in UNITS {
        fs::write(folder.path().join(name), example(name).replace("/usr/local/bin/vcq", &vcq)).unwrap();
    }
    let verified =
        Command::new("systemd-analyze").arg("verify").args(UNITS.map(|name| folder.path().join(name))).output();
    let Ok(verified) = verified else { return };
    let said = String::from_utf8_lossy(&verified.stderr);
    let about_ours = said.lines().filter(|line| line.contains("vcq")).collect::<Vec<_>>();
    assert!(about_ours.is_empty(), "{said}");
}

/// What a run came to is told, marked and kept, though its report cannot be written.
fn check_unreported(world: &World, ran: &Ran, named: &str) {
    assert_eq!(ran.code, Some(74), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("published  "), "the summary: {}", ran.out);
    assert!(ran.err.contains(named), "{}", ran.err);
    assert!(world.path("complete/date=2025-03-03/_SUCCESS").exists());
    let runs: Value = serde_json::from_str(&world.run("runs --json").out).unwrap();
    assert_eq!(runs["runs"][0]["exit_code"], 74, "{runs}");
}

#[test]
fn a_report_that_cannot_be_written_takes_nothing_else_with_it() {
    let world = World::new(small());
    let mut command = world.vcq("export --manifest manifest.csv --report /dev/full");
    let ran = world.ran(command.env("VCQ_COMPLETE_MARKERS", "complete"));
    check_unreported(&world, &ran, "/dev/full");
}

#[test]
fn a_folder_of_reports_that_is_gone_takes_the_rejects_with_it_and_nothing_else() {
    let world = World::new(Settings { faults: vec![parse("rejected-row@quality=0.2").unwrap()], ..small() });
    assert!(Command::new("mkfifo").arg(world.path("pipe.csv")).status().unwrap().success());
    let mut command = world.vcq("export --manifest pipe.csv --report gone/report.json");
    command.env("VCQ_COMPLETE_MARKERS", "complete").stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = command.spawn().unwrap();
    // It is opened once all has been prepared.
    let mut pipe = fs::OpenOptions::new().write(true).open(world.path("pipe.csv")).unwrap();
    fs::remove_dir(world.path("gone")).unwrap();
    fs::write(world.path("gone"), "").unwrap();
    pipe.write_all(world.read("manifest.csv").as_bytes()).unwrap();
    drop(pipe);
    let output = running.wait_with_output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    let ran = Ran { code: output.status.code(), out, err };
    check_unreported(&world, &ran, "gone/report.rejects.csv");
    assert!(ran.err.contains("gone/report.json"), "both are told: {}", ran.err);
}

/// A marker goes when something of its date is queued, and not only at the end of a run that may be killed.
#[test]
fn a_run_that_is_killed_leaves_no_marker_of_a_date_that_is_not_complete() {
    let world = World::new(small());
    let manifest = world.read("manifest.csv");
    let rows = manifest.trim_end().rsplit_once('\n').unwrap().0;
    world.write("fewer.csv", rows);
    let export = |manifest: &str| {
        let mut command = world.vcq(&format!("export --manifest {manifest}"));
        command.env("VCQ_COMPLETE_MARKERS", "complete");
        command
    };
    let marked = || {
        let is_marked = |day: &&str| world.path(&format!("complete/date={day}/_SUCCESS")).exists();
        ["2025-03-03", "2025-03-04"].iter().filter(|day| is_marked(day)).count()
    };
    assert_eq!((world.ran(&mut export("fewer.csv")).code, marked()), (Some(0), 2));
    let mut waits = export("manifest.csv");
    waits.env("VCQ_API_BASE_URL", "http://127.0.0.1:1").stderr(Stdio::piped()).stdout(Stdio::null());
    let mut running = waits.spawn().unwrap();
    let said = BufReader::new(running.stderr.take().unwrap()).lines().map_while(Result::ok);
    let fetches = said.into_iter().any(|line| line.contains("INFO fetching"));
    running.kill().unwrap();
    running.wait().unwrap();
    assert!(fetches);
    assert_eq!(marked(), 1, "its date is not complete any more");
    assert_eq!((world.ran(&mut export("manifest.csv")).code, marked()), (Some(0), 2));
}

/// A unit that starts again on 75 leaves a planned end alone.
#[test]
fn a_planned_end_has_a_code_of_its_own_for_who_asks() {
    let world = World::new(small());
    for (flag, code) in [("", 75), ("--planned-end", 3)] {
        assert_eq!(world.run(&format!("export --manifest manifest.csv --until 1ms {flag}")).code, Some(code));
        assert_eq!(world.run(&format!("discover 2025-03-03 --until 1ms {flag}")).code, Some(code));
    }
    let month = |flag: &str| {
        let line = format!("export --manifest manifest.csv {flag}");
        world.ran(world.vcq(&line).env("VCQ_RATE_REQUESTS_PER_MONTH", "1")).code
    };
    assert_eq!([month(""), month("--planned-end")], [Some(75), Some(3)]);
    // An outage is none.
    let mut command = world.vcq("export --manifest manifest.csv --planned-end --until 1h");
    let ran = world.ran(command.env("VCQ_API_BASE_URL", "http://127.0.0.1:1").env("VCQ_RETRY_OUTAGE_MAX", "0s"));
    assert_eq!(ran.code, Some(75), "{}", ran.out);
}

#[test]
fn a_date_that_is_partly_there_says_so_everywhere() {
    let world = World::new(Settings { faults: vec![parse("absent-data=0.1").unwrap()], ..small() });
    let marked = |date: &str| world.path(&format!("complete/date={date}/_SUCCESS")).exists();
    let run = |line: &str| world.ran(world.vcq(line).env("VCQ_COMPLETE_MARKERS", "complete"));
    assert_eq!(run("export --manifest manifest.csv --until 1ms --report report.json").code, Some(75));
    let days = ["2025-03-03", "2025-03-04"];
    let report = || serde_json::from_str::<Value>(&world.read("report.json")).unwrap();
    for (index, day) in days.into_iter().enumerate() {
        let date = &report()["dates"][index];
        assert_eq!((date["date"].as_str(), date["complete"].as_bool()), (Some(day), Some(false)));
        assert!(date["pending"].as_u64() > Some(0) && !marked(day));
        assert_eq!(world.run(&format!("status --date {day}")).code, Some(75));
    }
    let verified = world.run("verify");
    assert_eq!(verified.code, Some(0), "{}", verified.out);
    assert!(verified.out.contains("60 stays of 2 dates are pending"), "{}", verified.out);

    let ran = run("export --manifest manifest.csv --report report.json");
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    assert!(ran.out.ends_with("verdict    2 of 2 dates are complete\n"), "{}", ran.out);
    for (index, day) in days.into_iter().enumerate() {
        assert!(report()["dates"][index]["complete"] == true && marked(day));
        assert_eq!(world.run(&format!("status --date {day}")).code, Some(0));
    }
    assert_eq!(
        report()["absentees"].as_array().unwrap().len() as u64,
        report()["manifest"]["absent"].as_u64().unwrap()
    );
    assert_eq!(world.run("status --date 2025-03-03..2025-03-05").code, Some(75), "nobody knows of the last one");
    assert!(!world.run("verify 2025-03-03").out.contains("2025-03-04"));
    // A refresh that is cut leaves the date complete for its readers, and not done for its operator.
    assert_eq!(run("export --refresh 2025-03-03 --until 1ms --report report.json").code, Some(75));
    assert!(!marked(days[0]) && marked(days[1]));
}

/// The forms of DATES wherever dates are meant.
#[test]
fn dates_have_the_same_forms_everywhere() {
    let world = World::new(small());
    assert_eq!(world.run("export --manifest manifest.csv").code, Some(0));
    for (line, expected) in [
        ("status 2025-03-03", "1 of 1 date is complete"),
        ("status --all", "2025-03-04 #"),
        ("status 7d", "0 of 7 dates are complete"),
        ("rebuild 2025-03-03..2025-03-03", "1 date rebuilt"),
        ("rebuild --from 2025-03-03 --to 2025-03-04", "2 dates rebuilt"),
        ("verify 2025-03-03..2025-03-04 --quick", "dataset and journal agree"),
        ("archive export 2025-03-03..2025-03-04 pages.ndjson", ""),
        ("archive export --from 2025-03-03 --to 2025-03-04 pages.ndjson", ""),
        ("archive prune --before 2025-03-04", ""),
        ("archive prune --before 7d", ""),
    ] {
        let ran = world.run(line);
        assert_eq!(ran.code, Some(0), "{line}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains(expected), "{line}: {}", ran.out);
    }
    assert!(!world.run("status").out.contains("2025-03-04 #"), "complete dates are in the calendar");
    for (line, named) in [
        ("export", "--manifest <FILE>...|--discover <DATES>|--refresh <DATES>"),
        ("plan", "--manifest <FILE>...|--discover <DATES>"),
        ("rebuild 7d --from 2025-03-03", "cannot be used with"),
        ("archive prune --before 2025-03-03..2025-03-04", "must be a date"),
        ("status yesteday", "must be a date such as"),
    ] {
        let ran = world.run(line);
        assert_eq!(ran.code, Some(2), "{line}");
        assert!(ran.err.contains(named), "{line}: {}", ran.err);
    }
}

/// Relative paths of a configuration file are relative to it; who only asks creates nothing.
#[test]
fn paths_of_a_file_follow_the_file() {
    let world = World::new(small());
    fs::create_dir(world.path("etc")).unwrap();
    world.write("etc/vcq.toml", "state = 'journal'\noutput = '../data/quality'\n");
    for line in ["check", "plan --manifest manifest.csv"] {
        let ran = world.run(&format!("--config etc/vcq.toml {line}"));
        assert_eq!(ran.code, Some(0), "{line}: {}{}", ran.out, ran.err);
        let there: Vec<_> = ["state", "etc/journal", "data", "etc/state"]
            .into_iter()
            .filter(|name| world.path(name).exists())
            .collect();
        assert!(there.is_empty(), "{line} has created {there:?}");
    }
    assert_eq!(world.run("--config etc/vcq.toml export --manifest manifest.csv").code, Some(0));
    assert!(world.path("etc/journal/journal.sqlite").exists() && world.path("data/quality").exists());
    assert!(!world.path("state").exists());
    assert_eq!(
        world.run("--config etc/vcq.toml --state elsewhere status").code,
        Some(2),
        "a flag is of the working directory"
    );
}

/// A stay of another tenant is in no manifest that is written, so that exporting it does not end with 65.
#[test]
fn a_written_manifest_leaves_out_what_cannot_be_asked_for() {
    let lists = vcq::simulator::lists::Lists { external_participants: 0.3, ..vcq::simulator::lists::Lists::default() };
    let tenant = vcq::simulator::tenant::TenantSettings { lists, ..small().tenant };
    let world = World::new(Settings { tenant, ..small() });
    let ran = world.run("discover 2025-03-03..2025-03-04 --write-manifest written.csv --report report.json");
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    let report: Value = serde_json::from_str(&world.read("report.json")).unwrap();
    let external = report["discovered"]["external"].as_u64().unwrap();
    assert!(
        external > 0 && ran.out.contains(&format!("{external} stays of other tenants are left out")),
        "{}",
        ran.out
    );
    let rows = world.read("written.csv").lines().count() as u64 - 1;
    assert_eq!(rows + external, report["discovered"]["stays"].as_u64().unwrap());
    assert_eq!(world.run("export --manifest written.csv --state other --output other-quality").code, Some(0));
}

/// The keys of `value`, as `config/JSON.md` writes them.
fn keys(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) if !path.ends_with("texts") => {
            object.iter().for_each(|(key, value)| keys(value, &format!("{path}.{key}"), into));
        }
        Value::Array(items) if items.first().is_some_and(Value::is_object) => {
            for item in items {
                keys(item, &format!("{path}[]"), into);
            }
        }
        _ => drop(into.insert(path.to_owned())),
    }
}

#[test]
fn json_has_the_documented_keys_and_runs_are_kept() {
    let world = World::new(Settings { faults: vec![parse("unknown-code@quality=0.1").unwrap()], ..small() });
    let ran = world.run("export --manifest manifest.csv --json --report reports/{lane}-{date}.json");
    assert_eq!(ran.code, Some(65), "{}", ran.err);
    let reports: Vec<_> =
        fs::read_dir(world.path("reports")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let name = reports.iter().filter_map(|name| name.to_str()).find(|name| !name.contains("rejects")).unwrap();
    let today = name.strip_prefix("nightly-").and_then(|rest| rest.strip_suffix(".json")).unwrap();
    assert!(today.parse::<chrono::NaiveDate>().is_ok(), "{name}");
    assert_eq!(ran.out, world.read(&format!("reports/{name}")), "the same report");
    assert_eq!(world.run("discover 2025-03-03 --json --lane backfill -q").code, Some(0));
    fs::write(world.path("quality/date=2025-03-03/notes.txt"), "").unwrap();
    fs::write(world.path("quality/notes.txt"), "").unwrap();

    let mut found = BTreeSet::new();
    for (command, code) in [("check", 0), ("verify", 74), ("rebuild", 0), ("runs", 0)] {
        if command == "rebuild" {
            fs::remove_file(world.path("quality/date=2025-03-03/notes.txt")).unwrap();
        }
        let ran = world.run(&format!("{command} --json"));
        assert_eq!(ran.code, Some(code), "{command}: {}{}", ran.out, ran.err);
        let json: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(json[format!("{command}_version")], 1);
        keys(&json, command, &mut found);
    }
    let documented = include_str!("../../config/JSON.md").lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: BTreeSet<_> = documented.map(|rest| rest.split('`').next().unwrap().to_owned()).collect();
    let undocumented: Vec<_> = found.difference(&documented).filter(|key| !key.ends_with("waiting")).collect();
    // A rebuild that fails, one of tables, and a process at work are not played here.
    let rare = ["verify.waiting[]", "rebuild.failures[]", "rebuild.tables[]", "rebuild.table_failures[]", "notify."];
    let missing: Vec<_> =
        documented.difference(&found).filter(|key| !rare.iter().any(|rare| key.starts_with(rare))).collect();
    assert!(
        undocumented
            .iter()
            .all(|key| ["rebuild.failures", "rebuild.tables", "rebuild.table_failures"].contains(&key.as_str()))
            && missing.is_empty(),
        "{undocumented:?} {missing:?}"
    );

    let runs = world.out("runs");
    let lines: Vec<_> = runs.lines().skip(1).collect();
    assert!(
        lines.len() == 2 && lines[0].contains("export   nightly    65") && lines[1].contains("discover backfill    0"),
        "{runs}"
    );
}
