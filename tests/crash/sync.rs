//! A kill does not lose what the system has, a power cut does: so what is promised has to be synced.

use super::{
    scene::{Scene, simulator},
    server::serve_while,
    strace::count,
};

#[test]
fn every_request_and_every_page_is_synced_before_it_counts() {
    let scene = Scene::new();
    let fresh = &scene.acts[0];
    let stage = fresh.stage();
    let log_of_sqlite = [stage.path().join("state/journal.sqlite-wal")];
    let (simulator, (output, counts)) =
        serve_while(simulator(), |url| count(&fresh.command(&stage, url), &["fsync", "fdatasync"], &log_of_sqlite));
    assert_eq!(output.status.code(), Some(fresh.exit_code));
    let syncs: u64 = counts.values().copied().map(u64::from).sum();
    // A request is recorded before it is sent, and its answer - a page or a verdict - before it counts.
    let effects = 2 * simulator.books().arrivals;
    assert!(effects >= 18 && syncs >= effects, "{syncs} syncs for {effects} requests and answers");
}
