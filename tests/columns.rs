//! Keeps `config/COLUMNS.md` and the tables of columns true to each other.

use std::{collections::BTreeSet, fs, path::Path};

use personal::PERSONAL;
use vcq::{
    config::Config,
    tables::{personal_columns, reference},
};

#[path = "support/personal.rs"]
mod personal;

#[test]
#[expect(clippy::disallowed_methods, reason = "whoever changes the table asks for the new page this way")]
fn the_column_reference_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/COLUMNS.md");
    if std::env::var_os("VCQ_BLESS").is_some() {
        fs::write(&path, reference()).unwrap();
    }
    let page = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == reference(),
        "config/COLUMNS.md differs from the tables of columns; `VCQ_BLESS=1 cargo test --test columns` writes it anew, \
         `git diff` then shows what changed"
    );
}

#[test]
fn the_personal_columns_are_those_of_the_contract_wherever_they_are_named() {
    let contract = BTreeSet::from(PERSONAL);
    assert_eq!(personal_columns().into_iter().collect::<BTreeSet<_>>(), contract);
    let load = |named: &str| Config::load(None, [], &[("discover.personal", named.to_owned())]);
    let all = load(&PERSONAL.join(",")).unwrap().discover.personal;
    assert_eq!(all.iter().map(String::as_str).collect::<BTreeSet<_>>(), contract);
    let refused = load("user_id").unwrap_err().to_string();
    assert!(PERSONAL.iter().all(|column| refused.contains(column)), "{refused}");
    for (page, text) in [
        ("vcq.toml", include_str!("../config/vcq.toml")),
        ("DISCOVERY.md", include_str!("../config/DISCOVERY.md")),
        ("COLUMNS.md", include_str!("../config/COLUMNS.md")),
    ] {
        let missing: Vec<_> = PERSONAL.iter().filter(|column| !text.contains(*column)).collect();
        assert!(missing.is_empty(), "{page} does not name {missing:?}");
    }
}
