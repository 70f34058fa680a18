//! The tests of this repository by their names, which texts about them use.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// Every test as the name of its function, and with the name of its file before it: `limits::a_time_limit_ends_the_run`.
static ALL: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = BTreeSet::new();
    for file in ["src", "tests"].iter().flat_map(|folder| sources(&root.join(folder))) {
        let text = fs::read_to_string(&file).unwrap();
        let module = module_of(&file);
        for name in functions(&text) {
            names.insert(format!("{module}::{name}"));
            names.insert(name.to_owned());
        }
    }
    names
});

/// Whether there is a test of that name.
pub(crate) fn exists(name: &str) -> bool {
    ALL.contains(name)
}

/// What a text names in the way of a test: code that is a name of four words or more, or has its file before it.
pub(crate) fn named_in(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |code: &&str| {
        let letters = code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | ':'));
        letters && (code.contains("::") || code.matches('_').count() >= 3)
    };
    // Every second piece between backticks is code.
    text.split('`').skip(1).step_by(2).filter(is_name)
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The name of the file, or of its folder where that says more.
fn module_of(file: &Path) -> &str {
    match stem(file) {
        "tests" | "main" => stem(file.parent().unwrap()),
        name => name,
    }
}

fn stem(path: &Path) -> &str {
    path.file_stem().unwrap().to_str().unwrap()
}

/// The functions that are marked as tests.
fn functions(text: &str) -> impl Iterator<Item = &str> {
    let mut is_marked = false;
    text.lines().filter_map(move |line| {
        let line = line.trim_start();
        if line.starts_with("#[") {
            is_marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            return None;
        }
        let rest = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?;
        std::mem::take(&mut is_marked).then(|| rest.split(['(', '<']).next().unwrap())
    })
}
