//! Keeps `config/COLUMNS.md` and the tables of columns true to each other.

use std::{fs, path::Path};

use vcq::tables::reference;

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
