//! Chromium, headless, as Debian and Ubuntu package it; what it needs is set up by the test itself.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde::Deserialize;

use super::{data::Data, python};

/// What happened; `browse.py` tells it in this form.
#[derive(Debug, Deserialize)]
pub(crate) struct Seen {
    pub(crate) console: Vec<String>,
    pub(crate) requests: Vec<String>,
    pub(crate) views: BTreeMap<String, View>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct View {
    overflow: i64,
    elements: usize,
    pub(crate) scripts: usize,
    ids: Vec<String>,
    pictures: usize,
    colors: [String; 2],
    pub(crate) text: String,
}

/// Chromium's path.
///
/// # Panics
///
/// If there is none and it cannot be installed: the message says what to do.
fn chromium() -> &'static Path {
    static CHROMIUM: OnceLock<PathBuf> = OnceLock::new();
    CHROMIUM.get_or_init(|| {
        let find = || {
            let folders = ["/usr/bin", "/usr/local/bin", "/snap/bin"].map(Path::new);
            let names = ["chromium", "chromium-browser", "google-chrome"];
            folders.iter().flat_map(|folder| names.map(|name| folder.join(name))).find(|path| path.exists())
        };
        find().unwrap_or_else(|| {
            let install =
                "apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-noto-cjk";
            let _ = Command::new("sh").args(["-c", install]).env("DEBIAN_FRONTEND", "noninteractive").output();
            find().expect("this test needs Chromium (on Debian: `apt install chromium`)")
        })
    })
}

/// Opens a page from disk. Screenshots of it are in the `screenshots` folder of cargo's folder for tests, for a person to look
/// at.
pub(crate) fn open(data: &Data, page: &str) -> Seen {
    let python = python::environment("browser", &["playwright==1.65.2"]);
    let path = data.path("opened.html");
    fs::write(&path, page).unwrap();
    let test = std::thread::current().name().unwrap_or("page").replace("::", "-");
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots").join(test);
    fs::create_dir_all(&shots).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/browse.py");
    let output = Command::new(python).arg(script).args([chromium(), &path, &shots]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Makes sure that a page asks for nothing, complains of nothing, fits a telephone, and is dark in the dark.
pub(crate) fn check(data: &Data, page: &str) {
    let seen = open(data, page);
    assert_eq!(seen.console, [""; 0]);
    assert_eq!(seen.requests, [""; 0]);
    for (name, view) in &seen.views {
        assert!(view.overflow <= 0, "{name}: the page is {} px wider than the window", view.overflow);
        assert!(view.elements > 50 && view.scripts == 0, "{name}: {} elements", view.elements);
        assert_eq!(view.ids, [""; 0], "{name}: an answer leads nowhere");
        assert_eq!(view.pictures, 0, "{name}: pictures without a text");
    }
    let [light, dark] = ["wide", "dark"].map(|name| seen.views[name].colors.clone());
    assert_eq!(light, ["rgb(255, 255, 255)", "rgb(28, 33, 40)"]);
    assert_eq!(dark, ["rgb(20, 23, 28)", "rgb(228, 232, 238)"]);
}
