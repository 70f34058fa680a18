//! Python environments for tests: set up once, pinned, kept under cargo's target folder.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest as _, Sha256};

/// The Python of a virtual environment that holds exactly `requirements`, each pinned as `name==version`.
///
/// The first call sets it up, later ones find it by a hash of the pins; parallel tests wait for each other.
///
/// # Panics
///
/// If there is no Python 3 with `venv`, or a package cannot be installed: the message says what to do.
pub(crate) fn environment(name: &str, requirements: &[&str]) -> PathBuf {
    let hash = format!("{:x}", Sha256::digest(requirements.join("\n")));
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let folder = root.join(format!("{name}-{}", &hash[..12]));
    let python = folder.join("bin/python");
    fs::create_dir_all(&root).expect("cargo's folder for tests can be written");
    // Released when the file is closed, also by a test that is killed.
    let lock = File::create(folder.with_extension("lock")).expect("the lock file can be written");
    lock.lock().expect("the lock file can be locked");
    // Written last: without it the environment is of a test that was cut off.
    let marker = folder.join("complete");
    if !marker.exists() {
        set_up(&folder, &python, requirements);
        fs::write(marker, requirements.join("\n")).expect("the marker can be written");
    }
    python
}

fn set_up(folder: &Path, python: &Path, requirements: &[&str]) {
    let venv = Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder).output();
    let remedy = "install Python 3 with `venv` (on Debian and Ubuntu: `apt install python3 python3-venv`)";
    let venv = venv.unwrap_or_else(|error| panic!("this test needs python3, which cannot be run ({error}): {remedy}"));
    let errors = String::from_utf8_lossy(&venv.stderr);
    assert!(venv.status.success(), "`python3 -m venv` failed: {remedy}\n{errors}");
    let pip = Command::new(python)
        .args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"])
        .args(requirements)
        .output()
        .expect("the environment's Python can be run");
    let errors = String::from_utf8_lossy(&pip.stderr);
    assert!(pip.status.success(), "pip could not install {requirements:?}: is the package index reachable?\n{errors}");
}
