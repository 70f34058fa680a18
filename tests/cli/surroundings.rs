//! What surrounds the process: time zone, locale, standard error, descriptors, and files that are no longer what they were.

use std::{fs, process::Command};

use super::world::{World, small};

/// A second command that must give the same files as a first one in the plainest environment.
fn shell(world: &World, script: &str) -> Command {
    let vcq = world.vcq("export --manifest manifest.csv");
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("{script}; exec \"$0\" \"$@\"")]).arg(vcq.get_program()).args(vcq.get_args());
    shell.current_dir(world.path("")).env_clear();
    shell.envs(vcq.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell
}

#[test]
fn time_zone_locale_and_home_change_no_byte() {
    let plain = World::new(small());
    plain.out("export --manifest manifest.csv");
    for (zone, locale) in [("America/New_York", "tr_TR.UTF-8"), ("Pacific/Kiritimati", "C"), ("no/zone", "no_locale")] {
        let world = World::new(small());
        let mut command = world.vcq("export --manifest manifest.csv");
        let ran = world.ran(command.env("TZ", zone).env("LC_ALL", locale).env("HOME", "/nowhere"));
        assert_eq!(ran.code, Some(0), "{zone} {locale}: {}", ran.err);
        assert_eq!(world.files("quality"), plain.files("quality"), "{zone} {locale}");
    }
}

#[test]
fn a_log_that_cannot_be_written_changes_no_byte() {
    let plain = World::new(small());
    plain.out("export --manifest manifest.csv");
    for script in ["exec 2>/dev/full", "exec 2>&-", "exec </dev/null"] {
        let world = World::new(small());
        let ran = world.ran(&mut shell(&world, script));
        assert_eq!(ran.code, Some(0), "{script}: {}", ran.err);
        assert_eq!(world.files("quality"), plain.files("quality"), "{script}");
    }
}

#[test]
fn too_few_descriptors_are_told_and_lose_nothing() {
    let world = World::new(small());
    let ran = world.ran(&mut shell(&world, "ulimit -n 10"));
    assert_eq!(ran.code, Some(74), "{}", ran.err);
    assert!(ran.err.contains("Too many open files") || ran.err.contains("unable to open"), "{}", ran.err);
    world.out("export --manifest manifest.csv");
    world.out("verify");
}

/// Whatever is wrong with it, a journal is never begun afresh in the place of one that is there.
#[test]
fn a_damaged_journal_is_told_and_left_as_it_is() {
    let world = World::new(small());
    world.out("export --manifest manifest.csv");
    let path = world.path("state/journal.sqlite");
    let (whole, files) = (fs::read(&path).unwrap(), world.files("quality"));
    let mut garbled = whole.clone();
    garbled[..100].fill(b'x');
    let mut holed = whole.clone();
    holed[4096..whole.len() / 2].fill(0);
    for (what, bytes) in [("garbled", &garbled), ("with a hole", &holed), ("cut", &whole[..whole.len() / 2].to_vec())] {
        fs::write(&path, bytes).unwrap();
        for line in ["export --manifest manifest.csv", "rebuild", "status", "verify"] {
            let ran = world.run(line);
            assert_eq!(ran.code, Some(74), "{what}, {line}: {}{}", ran.out, ran.err);
        }
        assert_eq!(world.files("quality"), files, "{what}");
        assert_eq!(fs::metadata(&path).unwrap().len(), bytes.len() as u64, "{what}: a new one is smaller");
    }
    fs::write(&path, whole).unwrap();
    world.out("verify");
}

#[test]
fn a_manifest_may_be_a_pipe_a_link_or_a_folder() {
    let world = World::new(small());
    let ran = world.ran(&mut shell(
        &world,
        "mkfifo pipe.csv && (cat manifest.csv > pipe.csv &) && set -- export --manifest pipe.csv",
    ));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    std::os::unix::fs::symlink(world.path("manifest.csv"), world.path("link.csv")).unwrap();
    assert!(world.out("plan --manifest link.csv").contains("60"));
    let piped = "set -- plan --manifest pipe.gz --format csv && mkfifo pipe.gz && (gzip < manifest.csv > pipe.gz &)";
    let ran = world.ran(&mut shell(&world, piped));
    assert!(ran.out.contains("60 rows"), "{}{}", ran.out, ran.err);
}

#[test]
fn a_folder_is_a_manifest_of_its_files() {
    let world = World::new(small());
    let manifest = world.read("manifest.csv");
    let mut lines = manifest.lines();
    let header = lines.next().unwrap();
    let rows: Vec<&str> = lines.collect();
    let part = |rows: &[&str]| format!("{header}\n{}\n", rows.join("\n"));
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    for folder in ["parts", "empty", "cut"] {
        fs::create_dir(world.path(folder)).unwrap();
    }
    for ignored in ["parts/_SUCCESS", "parts/.part-00000.csv.crc", "empty/_SUCCESS", "empty/part-00000.csv"] {
        world.write(ignored, "");
    }
    world.write("parts/part-00000-c000.csv", "");
    fs::write(world.path("parts/part-00001-c000.csv.gz"), gzip(&part(&rows[..30]))).unwrap();
    let zstd = zstd::bulk::compress(part(&rows[30..]).as_bytes(), 3).unwrap();
    fs::write(world.path("parts/part-00002-c000.csv.zst"), zstd).unwrap();
    let out = world.out("export --manifest parts --report report.json");
    assert!(out.contains("manifest   60 rows = 60 done"), "{out}");
    let report: serde_json::Value = serde_json::from_str(&world.read("report.json")).unwrap();
    let files = report["manifest"]["files"].as_array().unwrap();
    let files: Vec<_> =
        files.iter().map(|file| (file["file"].as_str().unwrap(), file["rows"].as_u64().unwrap())).collect();
    let expected =
        [("parts/part-00000-c000.csv", 0), ("parts/part-00001-c000.csv.gz", 30), ("parts/part-00002-c000.csv.zst", 30)];
    assert_eq!(files, expected);
    assert_eq!(report["manifest"]["without_rows"], serde_json::json!([]));

    let ran = world.run("plan --manifest empty parts");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("empty has no rows: is it the manifest that was meant?"), "{}", ran.out);
    let ran = world.run("plan --manifest parts empty --require-rows");
    let message = "vcq: manifest `empty`: has no rows, and --require-rows asks for at least one";
    assert_eq!((ran.code, ran.messages().as_str()), (Some(2), message));

    fs::write(world.path("cut/part-00000.csv.gz"), &gzip(&part(&rows))[..500]).unwrap();
    for (line, message) in [
        ("cut", "manifest `cut/part-00000.csv.gz`: cannot be read: its gzip data cannot be decompressed to their end"),
        (".", "manifest `.`: the folder has "),
    ] {
        let ran = world.run(&format!("plan --manifest {line}"));
        assert_eq!(ran.code, Some(2), "{line}");
        assert!(ran.messages().starts_with(&format!("vcq: {message}")), "{}", ran.messages());
    }
    for name in ["cut/part-00000.csv.gz", "none.jsonl.zst"] {
        fs::write(world.path(name), [0x1f]).unwrap();
        let ran = world.run(&format!("plan --manifest {name}"));
        let message =
            format!("vcq: manifest `{name}`: is cut off: its name says that it is compressed, but it has 1 bytes");
        assert_eq!((ran.code, ran.messages()), (Some(2), message));
    }
}

#[test]
fn an_input_without_end_comes_to_a_limit() {
    let world = World::new(small());
    for (format, message) in [
        ("csv", "the line of column names is longer than 65536 bytes or 4096 names"),
        ("jsonl", "cannot be read: more than 67108864 bytes without a usable line"),
    ] {
        let ran = world.run(&format!("plan --manifest /dev/zero --format {format}"));
        assert_eq!((ran.code, ran.messages()), (Some(2), format!("vcq: manifest `/dev/zero`: {message}")));
    }
}

#[test]
fn a_manifest_without_rows_is_complete() {
    let world = World::new(small());
    let header = world.read("manifest.csv").lines().next().unwrap().to_owned();
    world.write("none.csv", &header);
    let out = world.out("export --manifest none.csv");
    assert!(out.contains("manifest   0 rows\n") && out.contains("none.csv has no rows"), "{out}");
    assert!(out.contains("the dataset is empty so far"), "{out}");
    let ran = world.run("export --manifest manifest.csv none.csv --require-rows");
    let message = "vcq: manifest `none.csv`: has no rows, and --require-rows asks for at least one";
    assert_eq!((ran.code, ran.messages().as_str()), (Some(2), message));
    assert_eq!(world.simulator().books().token_requests, 0);
}

#[test]
fn metrics_that_cannot_be_written_stop_nothing() {
    let world = World::new(small());
    for path in ["/proc/vcq.prom", "/dev/full/vcq.prom"] {
        let mut command = world.vcq("export --manifest manifest.csv");
        let ran = world.ran(command.env("VCQ_METRICS_TEXTFILE", path));
        assert_eq!(ran.code, Some(0), "{path}: {}", ran.err);
        assert_eq!(ran.err.matches("metrics are not written any more").count(), 1, "{path}: {}", ran.err);
    }
}
