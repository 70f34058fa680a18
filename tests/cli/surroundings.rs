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
fn a_manifest_may_be_a_pipe_or_a_link_and_no_folder() {
    let world = World::new(small());
    let ran = world.ran(&mut shell(
        &world,
        "mkfifo pipe.csv && (cat manifest.csv > pipe.csv &) && set -- export --manifest pipe.csv",
    ));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    std::os::unix::fs::symlink(world.path("manifest.csv"), world.path("link.csv")).unwrap();
    assert!(world.out("plan --manifest link.csv").contains("60"));
    fs::create_dir(world.path("folder.csv")).unwrap();
    let ran = world.run("plan --manifest folder.csv");
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("folder.csv"), "{}", ran.err);
}

#[test]
fn a_manifest_without_rows_is_complete() {
    let world = World::new(small());
    let header = world.read("manifest.csv").lines().next().unwrap().to_owned();
    world.write("none.csv", &header);
    let out = world.out("export --manifest none.csv");
    assert!(out.contains("0 rows = "), "{out}");
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
