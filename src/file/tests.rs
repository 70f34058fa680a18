use std::{
    os::unix::fs::{PermissionsExt, symlink},
    thread,
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::*;

fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_is_replaced_whole_in_folders_that_need_not_be_there() {
    let home = home();
    let path = home.path().join("new/folder/report.json");
    for (readers, mode) in [(Readers::Owner, 0o600), (Readers::Everybody, 0o644)] {
        replace(&path, readers, b"text").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"text");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
    }
    let failed = replace_with(&path, Readers::Owner, |file| {
        file.write_all(b"half")?;
        Err::<(), _>(io::Error::other("the rest is missing"))
    });
    assert!(failed.is_err());
    assert_eq!(fs::read(&path).unwrap(), b"text", "what could not be written whole is not seen");
    remove(&path).unwrap();
    remove(&path).unwrap();
    assert_eq!(names(path.parent().unwrap()), Vec::<String>::new(), "nothing is left beside it");
}

#[test]
fn a_link_is_followed() {
    let home = home();
    let at = |name: &str| home.path().join(name);
    fs::create_dir(at("elsewhere")).unwrap();
    symlink("elsewhere/report.json", at("first")).unwrap();
    symlink("first", at("second")).unwrap();
    for text in [b"one", b"two"] {
        replace(&at("second"), Readers::Owner, text).unwrap();
        assert_eq!(fs::read(at("elsewhere/report.json")).unwrap(), text);
    }
    assert!(fs::symlink_metadata(at("second")).unwrap().is_symlink());
    symlink("circle", at("circle")).unwrap();
    assert!(replace(&at("circle"), Readers::Owner, b"").is_err());
}

#[test]
fn what_is_no_file_is_written_to_and_stays() {
    let home = home();
    let pipe = home.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    assert!(replace(&pipe, Readers::Owner, b"text").is_err(), "nobody reads it");
    prepare(&pipe).unwrap();
    let mut reader =
        OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(&pipe).unwrap();
    replace(&pipe, Readers::Owner, b"text").unwrap();
    let mut read = String::new();
    reader.read_to_string(&mut read).unwrap();
    assert_eq!(read, "text");
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());

    prepare(Path::new("/dev/null")).unwrap();
    replace(Path::new("/dev/null"), Readers::Owner, b"text").unwrap();
    remove(Path::new("/dev/null")).unwrap();
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    assert!(replace(Path::new("/dev/full"), Readers::Owner, b"text").is_err());

    // Who has the file open goes on writing behind what was put there.
    let open = File::create(home.path().join("out")).unwrap();
    (&open).write_all(b"before ").unwrap();
    let descriptor = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&open));
    replace(Path::new(&descriptor), Readers::Owner, b"report").unwrap();
    assert_eq!(fs::read(home.path().join("out")).unwrap(), b"before report");
    assert!(!is_file(Path::new(&descriptor)) && !is_file(&pipe) && is_file(&home.path().join("none")));
}

#[test]
fn what_a_killed_process_left_is_taken_away() {
    let home = home();
    fs::write(home.path().join(".report.json.vcq-partial"), "half of it").unwrap();
    replace(&home.path().join("report.json"), Readers::Owner, b"whole").unwrap();
    assert_eq!(names(home.path()), ["report.json"]);
    // Somebody else's link leads nowhere.
    fs::write(home.path().join("theirs"), "theirs").unwrap();
    symlink("theirs", home.path().join(".report.json.vcq-partial")).unwrap();
    assert!(replace(&home.path().join("report.json"), Readers::Owner, b"again").is_err());
    assert_eq!(fs::read(home.path().join("theirs")).unwrap(), b"theirs");
}

#[test]
fn changes_of_one_file_do_not_lose_each_other() {
    const CHANGES: usize = 50;
    let home = home();
    let path = home.path().join("metrics.prom");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..CHANGES {
                    update(&path, Readers::Everybody, |before| format!("{before}+")).unwrap();
                }
            });
        }
    });
    assert_eq!(fs::read_to_string(&path).unwrap().len(), 4 * CHANGES);
}

fn config(home: &Path, state: &str, output: &str) -> Config {
    let folder = |name: &str| home.join(name).display().to_string();
    Config::load(None, [], &[("state", folder(state)), ("output", folder(output))]).unwrap()
}

#[test]
fn folders_that_hold_one_another_are_refused() {
    let home = home();
    fs::create_dir(home.path().join("there")).unwrap();
    symlink("there", home.path().join("link")).unwrap();
    symlink("not-there-yet", home.path().join("ahead")).unwrap();
    for (state, output, said) in [
        ("state", "quality", None),
        ("a/state", "a/quality", None),
        ("quality.state", "quality", None),
        ("there/state", "link/quality", None),
        ("quality", "quality", Some("which is the dataset's folder")),
        ("quality/state", "quality", Some("which lies in the dataset's folder")),
        ("quality/../quality/a/b", "quality", Some("which lies in the dataset's folder")),
        ("a", "a/quality", Some("which holds the dataset's folder")),
        (".", "quality", Some("which holds the dataset's folder")),
        ("quality.staging", "quality", Some("which is the staging folder")),
        ("quality.staging/state", "quality", Some("which lies in the staging folder")),
        ("link", "there", Some("which is the dataset's folder")),
        ("link/state", "there", Some("which lies in the dataset's folder")),
        ("there/state", "link", Some("which lies in the dataset's folder")),
        ("there.staging", "link", Some("which is the staging folder")),
        ("not-there-yet/state", "ahead", Some("which lies in the dataset's folder")),
    ] {
        let refused = refuse_overlap(&config(home.path(), state, output)).err().map(|error| error.to_string());
        let as_expected = refused.as_deref().zip(said).is_some_and(|(refused, said)| refused.contains(said));
        assert!(as_expected || (refused.is_none() && said.is_none()), "{state} {output}: {refused:?}");
    }
}

#[test]
fn no_output_takes_the_place_of_an_input() {
    let home = home();
    let at = |name: &str| home.path().join(name);
    fs::write(at("manifest.csv"), "").unwrap();
    fs::write(at("vcq.toml"), "").unwrap();
    fs::hard_link(at("manifest.csv"), at("hard.json")).unwrap();
    symlink("manifest.csv", at("soft.json")).unwrap();
    fs::create_dir(at("quality")).unwrap();
    symlink("quality", at("link")).unwrap();
    let config = Config { file: Some(at("vcq.toml")), ..config(home.path(), "state", "quality") };
    for (path, said) in [
        ("report.json", None),
        ("quality.json", None),
        ("manifest.csv", Some("is a manifest")),
        ("./state/../manifest.csv", Some("is a manifest")),
        ("hard.json", Some("is a manifest")),
        ("soft.json", Some("is a manifest")),
        ("vcq.toml", Some("is the configuration")),
        ("quality/report.json", Some("lies in the dataset's folder")),
        ("quality/date=2026-03-01/x", Some("lies in the dataset's folder")),
        ("link/report.json", Some("lies in the dataset's folder")),
        ("quality.staging/report.json", Some("lies in the staging folder")),
        ("state/journal.sqlite", Some("lies in the state folder")),
    ] {
        let refused = refuse_input("--report", &at(path), &[at("manifest.csv")], &config);
        let refused = refused.err().map(|error| error.to_string());
        let as_expected = refused.as_deref().zip(said).is_some_and(|(refused, said)| refused.contains(said));
        assert!(as_expected || (refused.is_none() && said.is_none()), "{path}: {refused:?}");
    }
    refuse_input("--report", Path::new("/dev/null"), &[], &config).unwrap();
}

#[test]
fn only_a_small_file_is_read() {
    let home = home();
    let at = |name: &str| home.path().join(name);
    fs::write(at("small"), "12345").unwrap();
    assert_eq!(read_small(&at("small"), 5).unwrap(), b"12345");
    assert!(read_small(&at("small"), 4).unwrap_err().to_string().contains("larger than 4 bytes"));
    mknodat(CWD, at("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    for path in [at("pipe"), "/dev/zero".into(), home.path().into()] {
        assert!(read_small(&path, 4096).unwrap_err().to_string().contains("no regular file"), "{}", path.display());
    }
}
