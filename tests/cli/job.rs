//! The main job by the binary: manifest to Parquet, again, mended, rebuilt, verified.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::Stdio,
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use parquet::arrow::ArrowWriter;
use serde_json::Value;
use vcq::simulator::{Settings, manifest};

use super::world::{Ran, Running, World, small};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn report(world: &World) -> Value {
    json(&world.read("report.json"))
}

#[test]
fn the_same_rows_come_from_csv_json_lines_and_parquet() {
    let csv = World::new(small());
    csv.out("export --manifest manifest.csv");
    let expected: usize = {
        let simulator = csv.simulator();
        simulator.tenant().stays().map(|stay| stay.sample_count as usize).sum()
    };
    assert_eq!(csv.rows().len(), expected);

    let lines = World::new(small());
    let mut text = Vec::new();
    manifest::write(lines.simulator().tenant(), manifest::ManifestFormat::JsonLines, &mut text).unwrap();
    let ran = piped(&lines, "export --manifest - --format jsonl", &text);
    assert_eq!((ran.code, lines.rows()), (Some(0), csv.rows()), "{}", ran.err);

    let parquet = World::new(small());
    let bytes = parquet_manifest(&parquet);
    fs::write(parquet.path("manifest.parquet"), &bytes).unwrap();
    parquet.out("export --manifest manifest.parquet");
    assert_eq!(parquet.rows(), csv.rows());
    let ran = piped(&parquet, "plan --manifest - --format parquet --json", &bytes);
    assert_eq!(json(&ran.out)["landed"], 60);
}

fn piped(world: &World, line: &str, input: &[u8]) -> Ran {
    let mut child =
        world.vcq(line).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn parquet_manifest(world: &World) -> Vec<u8> {
    let csv = world.read("manifest.csv");
    let rows: Vec<Vec<&str>> = csv.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let texts = |at: usize| {
        let column = rows.iter().map(|row| Some(row[at]).filter(|text| !text.is_empty()));
        Arc::new(column.collect::<StringArray>()) as ArrayRef
    };
    let times = |at: usize| {
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row[at].parse::<i64>().unwrap()))) as ArrayRef
    };
    let columns = [texts(0), times(1), times(2), times(3), texts(4), texts(5)];
    let names = csv.lines().next().unwrap().split(',');
    let field = |(name, column): (&str, &ArrayRef)| Field::new(name, column.data_type().clone(), true);
    let schema = Arc::new(Schema::new(names.zip(&columns).map(field).collect::<Vec<_>>()));
    assert_eq!(schema.field(1).data_type(), &DataType::Int64);
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, Arc::clone(&schema), None).unwrap();
    writer.write(&RecordBatch::try_new(schema, columns.to_vec()).unwrap()).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn the_same_command_again_asks_for_nothing_and_changes_no_file() {
    let world = World::new(small());
    let before = json(&world.out("plan --manifest manifest.csv --json"));
    assert_eq!((&before["stays"], &before["landed"]), (&60.into(), &0.into()));
    world.out("export --manifest manifest.csv --report report.json");
    let (first, files, arrivals) = (report(&world), world.files("quality"), world.simulator().books().arrivals);
    assert_eq!(
        before["requests"].as_u64(),
        Some(arrivals),
        "the plan is exact where meetings are attended to their end"
    );
    assert_eq!(first["requests"]["sent"].as_u64(), Some(arrivals));
    assert_eq!(first["files"].as_array().unwrap().len(), 2);

    world.out("export --manifest manifest.csv --report report.json");
    let again = report(&world);
    assert_eq!((&again["manifest"]["done"], &again["requests"]["sent"]), (&60.into(), &0.into()));
    assert_eq!(again["files"], json("[]"));
    let after = json(&world.out("plan --manifest manifest.csv --json"));
    assert_eq!((&after["landed"], &after["requests"], &after["seconds"]), (&60.into(), &0.into(), &0.into()));
    assert_eq!(world.files("quality"), files);
    let simulator = world.simulator();
    assert_eq!((simulator.books().arrivals, simulator.books().token_requests), (arrivals, 1), "no request, no token");
    assert!(simulator.books().pages().all(|(_, _, page)| (page.asked, page.answered) == (1, 1)));
}

#[test]
fn rejects_can_be_mended_and_given_back() {
    let world = World::new(small());
    let good = world.read("manifest.csv");
    let lines: Vec<&str> = good.lines().collect();
    // Milliseconds, and the leading zeros lost, as spreadsheets do; and one row twice.
    let millis = lines[1].replacen(lines[1].split(',').nth(3).unwrap(), "1740963600000", 1);
    let short = lines[2].trim_start_matches('0');
    let rest = lines[3..].join("\n");
    world.write("bad.csv", &format!("\u{feff}{}\r\n{millis}\r\n{short}\r\n{rest}\n{}\n", lines[0], lines[3]));
    let ran = world.run("export --manifest bad.csv --report out/report.json");
    assert_eq!(ran.code, Some(65));
    let report = json(&world.read("out/report.json"));
    let Value::Object(manifest) = &report["manifest"] else { panic!("an object") };
    let count = |key: &str| manifest[key].as_u64().unwrap();
    assert_eq!([count("rows"), count("duplicates"), count("rejected"), count("done")], [61, 1, 2, 58]);
    let places: Vec<_> = report["rejects"].as_array().unwrap().iter().map(|row| (&row["file"], &row["line"])).collect();
    assert_eq!(places, [(&"bad.csv".into(), &2.into()), (&"bad.csv".into(), &3.into())]);
    assert!(ran.out.contains("bad.csv:2: `join_time` is \"1740963600000\", must be in seconds"), "{}", ran.out);
    assert!(ran.out.contains("(a leading zero lost by a spreadsheet?)"), "{}", ran.out);

    let rejects = world.read("out/report.rejects.csv");
    let mended = rejects.replace("1740963600000", lines[1].split(',').nth(3).unwrap());
    let mended = mended.replace(short, lines[2]);
    assert_ne!(mended, rejects);
    world.write("out/report.rejects.csv", &mended);
    world.out("export --manifest out/report.rejects.csv --report out/report.json");
    let calm = World::new(small());
    calm.out("export --manifest manifest.csv");
    assert_eq!(world.rows(), calm.rows());
    assert!(world.simulator().books().pages().all(|(_, _, page)| page.asked == 1));
}

#[test]
fn a_stray_quote_costs_its_line_and_every_line_is_named() {
    let world = World::new(small());
    let good = world.read("manifest.csv");
    let mut lines: Vec<String> = good.lines().take(7).map(|line| format!("{line},plain")).collect();
    lines[0] = lines[0].replace("plain", "topic");
    for stray in [2, 5] {
        lines[stray] = lines[stray].replace("plain", "\"24 monitor check");
    }
    lines[4] = lines[4].replace("plain", "\"two\nlines\"").replace("17", "x17");
    world.write("stray.csv", &lines.join("\n"));
    let ran = world.run("export --manifest stray.csv --report report.json");
    assert_eq!(ran.code, Some(65), "{}", ran.err);
    assert!(ran.out.contains("6 rows = 3 rejected + 3 done"), "{}", ran.out);
    for place in [
        "stray.csv:3: field 7 goes on with \"t\" after its closing quote on line 5",
        "stray.csv:5-6: `meeting_",
        "stray.csv:7: field 7 opens a quote",
    ] {
        assert!(ran.out.contains(&format!("rejected   {place}")), "{place}\n{}", ran.out);
    }
    let rejects = report(&world)["rejects"].clone();
    let places: Vec<_> =
        rejects.as_array().unwrap().iter().map(|row| (row["line"].as_u64(), row["last_line"].as_u64())).collect();
    assert_eq!(places, [(Some(3), Some(3)), (Some(5), Some(6)), (Some(7), Some(7))]);
    let written = world.read("report.rejects.csv");
    let texts: Vec<String> =
        csv::Reader::from_reader(written.as_bytes()).records().map(|record| record.unwrap()[9].to_owned()).collect();
    assert_eq!(texts, [lines[2].as_str(), &lines[4], &lines[5]]);
    let again = world.run("export --manifest report.rejects.csv");
    assert!(again.out.contains("3 rows = 3 rejected"), "{}", again.out);
}

#[test]
fn status_counts_what_is_there_while_an_export_runs_too() {
    // Slow enough that there is a middle.
    let world = World::new(small());
    let mut command = world.vcq("export --manifest manifest.csv --log trace --requests-per-minute 600");
    let mut export = Running(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let mut log = BufReader::new(export.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(log.any(|line| line.contains("page landed")));
    let status = json(&world.out("status --json"));
    let pending = status["queue"]["nightly"].as_u64().unwrap();
    assert!((1..60).contains(&pending), "{status}");
    assert_eq!(sum(&status, "pending") + sum(&status, "done"), 60);
    assert!(status["requests"]["last_minute"].as_u64() > Some(0));
    assert!(status["dates"].as_array().unwrap().iter().any(|date| date["complete"] == false));
    assert_eq!(json(&world.out("plan --manifest manifest.csv --json"))["stays"], 60, "so can be planned");
    world.out("verify");
    log.for_each(drop);
    assert!(export.0.wait().unwrap().success());

    let status = json(&world.out("status --json"));
    assert_eq!((sum(&status, "done"), sum(&status, "files")), (60, 2));
    assert_eq!(sum(&status, "samples"), world.rows().len() as u64);
    assert!(status["dates"].as_array().unwrap().iter().all(|date| date["complete"] == true));
    let sent = world.simulator().books().arrivals;
    for span in ["last_minute", "today", "this_month"] {
        assert_eq!(status["requests"][span].as_u64(), Some(sent), "{span}");
    }
    let text = world.out("status --all");
    let complete = text.lines().filter(|line| line.starts_with("2025-03-0") && line[10..].starts_with(" # ")).count();
    assert_eq!(complete, 2, "{text}");
    assert!(text.contains("queue       0 nightly, 0 backfill"), "{text}");
}

fn sum(status: &Value, key: &str) -> u64 {
    status["dates"].as_array().unwrap().iter().map(|date| date[key].as_u64().unwrap()).sum()
}

#[test]
fn a_rebuild_makes_the_same_files_without_a_request() {
    let world = World::new(small());
    let ran = world.run("export --manifest manifest.csv --until 1ms");
    assert_eq!(ran.code, Some(75));
    world.out("export --manifest manifest.csv");
    let (files, arrivals) = (world.files("quality"), world.simulator().books().arrivals);
    for _ in 0..2 {
        let out = world.out("rebuild");
        assert!(out.ends_with("2 dates rebuilt\n"), "{out}");
        assert_eq!(world.files("quality"), files, "names and bytes");
    }
    world.out("rebuild --from 2025-03-04 --to 2025-03-04");
    assert_eq!(world.files("quality"), files);
    assert_eq!(
        world.out("rebuild --from 2026-01-01"),
        "there are no landed pages of these dates: nothing is rebuilt\n"
    );
    assert_eq!(world.simulator().books().arrivals, arrivals);
    assert!(world.out("verify").ends_with("dataset and journal agree\n"));
}

#[test]
fn verify_finds_what_was_done_to_the_dataset_and_rebuild_mends_it() {
    let world = World::new(small());
    world.out("export --manifest manifest.csv");
    let files = world.files("quality");
    let (name, bytes) = &files[0];
    let path = world.path("quality").join(name);
    let write = |bytes: &[u8]| fs::write(&path, bytes).unwrap();
    let check = |said: &str| {
        let ran = world.run("verify");
        assert_eq!(ran.code, Some(74), "{said}\n{}", ran.out);
        let faults: Vec<_> = ran.out.lines().filter(|line| line.starts_with("FAIL  ")).collect();
        assert!(faults.len() == 1 && faults[0].contains(said), "{said}\n{}", ran.out);
        assert!(ran.out.contains("ok    date=2025-03-04  1 file "), "{}", ran.out);
    };
    write(&bytes[..bytes.len() - 1]);
    let part = name.rsplit('/').next().unwrap();
    check(&format!("`{part}` has {} bytes, not {}", bytes.len() - 1, bytes.len()));
    fs::remove_file(&path).unwrap();
    check(&format!("`{}` is missing", name.rsplit('/').next().unwrap()));
    world.out("rebuild");
    assert_eq!(world.files("quality"), files);

    for stranger in ["quality/notes.txt", "quality/date=2025-03-03/_SUCCESS", "quality/date=2025-03-03/part-1.parquet"]
    {
        world.write(stranger, "");
        check(&format!("`HOME/{stranger}` is no file of vcq's"));
        fs::remove_file(world.path(stranger)).unwrap();
    }
    world.write("quality/date=2025-03-03/part-00000000000000aa.parquet", "");
    check("`HOME/quality/date=2025-03-03/part-00000000000000aa.parquet` is not in this journal");
    fs::remove_file(world.path("quality/date=2025-03-03/part-00000000000000aa.parquet")).unwrap();
    world.out("verify");
}

#[test]
fn verify_finds_a_flipped_byte_wherever_it_is() {
    let world = World::new(small());
    world.out("export --manifest manifest.csv");
    let (name, bytes) = world.files("quality").swap_remove(0);
    let path = world.path("quality").join(&name);
    let mut unnoticed = Vec::new();
    for part in 0..40 {
        let at = bytes.len() * part / 40;
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        fs::write(&path, flipped).unwrap();
        if world.run("verify").code != Some(74) {
            unnoticed.push(at);
        }
    }
    assert_eq!(unnoticed, Vec::<usize>::new(), "of {} bytes", bytes.len());
    for _ in 0..2 {
        world.out("rebuild");
        world.out("verify");
        let (mended_name, mended) = world.files("quality").swap_remove(0);
        assert!(
            mended_name != name && mended == bytes,
            "the bytes that were published, by a name that never had others"
        );
        fs::write(world.path("quality").join(mended_name), "damaged again").unwrap();
    }
}

#[test]
fn check_says_one_line_of_each_matter() {
    let world = World::new(small());
    let lines = |out: &str| out.lines().map(|line| line.split(':').next().unwrap().to_owned()).collect::<Vec<_>>();
    let own = ["time zone", "dataset", "meetings", "participants", "journal", "credentials"];
    let way = ["name", "connection", "certificate", "access token", "permission"];
    let lists = ["permission to list meetings", "permission to list participants"];
    let ok = |matters: &[&str]| matters.iter().map(|matter| format!("ok    {matter}")).collect::<Vec<_>>();
    assert_eq!(lines(&world.out("check")), ok(&[&own[..], &way, &lists].concat()));
    assert_eq!(world.simulator().books().arrivals, 1);
    world.out("export --manifest manifest.csv");
    assert_eq!(
        lines(&world.out("check")),
        ok(&[&own[..5], &["journal and datasets", "state folder"], &own[5..], &way, &lists].concat())
    );
    world.write("file", "");
    let ran = world.ran(world.vcq("check --output file").env_remove("VCQ_APP_SECRET"));
    assert_eq!(ran.code, Some(74), "that of the first fault");
    assert!(
        ran.out.contains("FAIL  dataset: `HOME/file` is no folder, or a link to one\n      move it away"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("FAIL  credentials: no app secret\n      set VCQ_APP_SECRET"), "{}", ran.out);
    let ran = world.ran(world.vcq("check").env("VCQ_API_BASE_URL", "http://127.0.0.1:1"));
    assert_eq!(ran.code, Some(75));
    assert!(ran.out.contains("FAIL  connection: no connection to 127.0.0.1:1: refused ("), "{}", ran.out);
}

#[test]
fn check_says_whose_table_there_is_and_whether_it_can_be_gone_on_with() {
    let world = World::new(small());
    let check = |table: &str, code: i32, line: &str| {
        let before = world.files("");
        let ran = world.ran(world.vcq("check").env("VCQ_TABLE", table));
        assert_eq!(ran.code, Some(code), "{}", ran.out);
        assert!(ran.out.contains(line), "{line}\n{}", ran.out);
        let names = |files: Vec<(String, Vec<u8>)>| files.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        let of_datasets = |name: &String| !name.contains("state/");
        let [before, after] =
            [before, world.files("")].map(|files| names(files).into_iter().filter(of_datasets).collect::<Vec<_>>());
        assert_eq!(before, after, "check creates nothing");
        ran.out
    };
    check("delta", 0, "ok    table of the dataset: none yet: the first run begins `");
    check("delta", 0, "ok    table of participants: none yet");
    let ran = world.ran(world.vcq("export --manifest manifest.csv").env("VCQ_TABLE", "delta"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    check("delta", 0, "files, can be gone on with; it is this journal's\n");
    check("files", 74, "FAIL  table of the dataset: ");
    fs::rename(world.path("state"), world.path("lost_state")).unwrap();
    check(
        "delta",
        74,
        "can be gone on with; it is not this journal's: the next run takes it over, `vcq adopt` its files\n",
    );
    fs::rename(world.path("lost_state"), world.path("state")).unwrap();
    let first = world.path("quality/_delta_log/00000000000000000000.json");
    let log = fs::read_to_string(&first).unwrap();
    // What writers have to know and readers have not.
    fs::write(&first, log.replace("\"writerFeatures\":[", "\"writerFeatures\":[\"ofTomorrow\",")).unwrap();
    check("delta", 74, "the table asks for more than this version of vcq can do");
    fs::remove_dir_all(world.path("quality/_delta_log")).unwrap();
    let said = check("delta", 74, "the table's log is missing\n");
    assert!(said.contains("or `vcq rebuild --new-table` takes the log"), "{said}");
}

#[test]
fn the_simulator_as_a_command_serves_what_export_asks_for() {
    let world = World::new(Settings::default());
    let mut command = world.vcq("simulate --listen 127.0.0.1:0 --stays 20 --days 2 --meeting-minutes-max 60 --latency 1ms --requests-per-minute 6000 --write-manifest served.csv");
    let mut server = Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let mut address = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let ran = world.ran(
        world
            .vcq("export --manifest served.csv --requests-per-minute 6000")
            .env("VCQ_API_BASE_URL", format!("http://{}", address.trim())),
    );
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("20 rows = 20 done"), "{}", ran.out);
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
}

#[test]
fn check_says_what_the_next_run_would_say() {
    let world = World::new(small());
    world.out("export --manifest manifest.csv");
    let state = world.path("state");
    let check = |said: &str| {
        let ran = world.run("check");
        let faults: Vec<_> = ran.out.lines().filter(|line| line.starts_with("FAIL")).collect();
        assert!(ran.code == Some(74) && faults.len() == 1 && faults[0].contains(said), "{said}\n{}", ran.out);
        assert_eq!(world.run("export --manifest manifest.csv").code, Some(74), "{said}");
    };
    fs::rename(world.path("quality"), world.path("moved")).unwrap();
    check("none of its ");
    fs::remove_dir_all(world.path("quality")).unwrap();
    fs::rename(world.path("moved"), world.path("quality")).unwrap();
    fs::create_dir(world.path("quality.staging/mine")).unwrap();
    check("quality.staging/mine` is none of vcq's");
    fs::remove_dir(world.path("quality.staging/mine")).unwrap();
    fs::rename(&state, world.path("backup")).unwrap();
    check("is not in this journal");
    fs::remove_dir_all(&state).unwrap();
    fs::rename(world.path("backup"), &state).unwrap();
    assert_eq!(world.run("check").code, Some(0));
}

/// Another program's folder is not begun in, and nothing is created by commands that have nothing to work with.
#[test]
fn what_needs_a_journal_creates_none() {
    let world = World::new(small());
    for line in ["adopt", "rebuild", "archive export 7d pages.ndjson", "archive prune --before yesterday", "status"] {
        let ran = world.run(line);
        assert!(ran.code == Some(2) && ran.err.contains("there is no journal"), "{line}: {}", ran.err);
        assert!(!world.path("state").exists() && !world.path("quality").exists(), "{line}");
    }
}
