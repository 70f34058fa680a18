//! A promise of vcq's own that does not hold: here because somebody else wrote into the journal.

use rusqlite::Connection;

use super::world::{World, small};

/// The only code that asks to be reported; the dataset is left as it was.
fn check(sql: &str, said: &str) {
    let world = World::new(small());
    world.out("export --manifest manifest.csv");
    let files = world.files("quality");
    let journal = Connection::open(world.path("state/journal.sqlite")).unwrap();
    assert!(journal.execute(sql, []).unwrap() > 0);
    drop(journal);
    let ran = world.run("rebuild");
    assert_eq!(ran.code, Some(70), "{sql}: {}", ran.err);
    assert!(ran.err.contains(said), "{sql}: {}", ran.err);
    assert!(ran.err.ends_with("hint: please report this; the journal is untouched since its last commit\n"));
    assert_eq!(world.files("quality"), files, "{sql}");
}

#[test]
fn a_journal_that_cannot_be_its_own_ends_with_70() {
    check("UPDATE file SET name = 'zz'", "vcq: the journal names a file `zz`\n");
}

#[cfg(debug_assertions)] // Other builds do not look for overflows.
#[test]
fn a_panic_ends_with_70() {
    check("UPDATE stay SET meeting_start = 9000000000000000000", "vcq: panicked\n");
}
