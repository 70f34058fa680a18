//! How often a store is asked for a table, besides what it is asked for files: what `config/BUCKETS.md` says of it.

use crate::{
    frail_buckets::{Asked, FrailBuckets, Ill},
    oracle::{LOG, read_files},
    tables::{commits, publish_twice, rebuild_all, world_in_bucket},
    world::Orders,
};

fn is_documented(what: &str, count: usize) {
    let line = format!("| {what} | {count} |");
    assert!(include_str!("../../config/BUCKETS.md").contains(&line), "{line}");
}

fn is_of_log(asked: &Asked) -> bool {
    format!("{}/", asked.1).contains(LOG)
}

/// The calls about the log since the last time, by what was put: each ends with a file that was put, but for the last.
fn asked(buckets: &FrailBuckets) -> Vec<usize> {
    let asked = buckets.asked();
    buckets.meet(Ill::None);
    let is_put = |asked: &Asked| asked.0 == "put_new" && !is_of_log(asked);
    asked.split(is_put).map(|calls| calls.iter().filter(|asked| is_of_log(asked)).count()).collect()
}

#[test]
fn a_run_asks_the_store_for_a_table_as_often_as_is_documented() {
    let (run, file) = (13, 7);
    is_documented("a run, for each dataset that is a table", run);
    is_documented("a file that is published into a table", file);
    for stays in [1, usize::MAX] {
        let (mut world, buckets) = world_in_bucket();
        let manifest = world.write_manifest("some.csv", world.stays.iter().take(stays));
        let orders = Orders { manifest, ..world.orders() };
        assert_eq!(world.live_one(orders.clone()).exit, Some(0));
        let first = asked(&buckets);
        let files = read_files(&world.output()).len();
        assert_eq!(first.len(), files + 1);
        assert_eq!(first[1..files], vec![file; files - 1], "from file to file");
        assert_eq!(world.live_one(orders).exit, Some(0));
        let commits = commits(&world.output()).len();
        assert_eq!(commits, files + 1);
        assert_eq!(asked(&buckets), [run + 2 * commits], "a night without anything new, {files} files");
    }
}

#[test]
fn a_rebuild_asks_the_store_for_a_table_as_often_as_is_documented() {
    let (rebuild, replaced, same) = (4, 5, 1);
    is_documented("a rebuild, for each dataset that is a table", rebuild);
    is_documented("a date that it replaces in a table, at most", replaced);
    is_documented("a date of a table that it finds as it would make it", same);
    let (mut world, buckets) = world_in_bucket();
    publish_twice(&mut world);
    let before = commits(&world.output()).len();
    asked(&buckets);
    rebuild_all(&world);
    let after = commits(&world.output()).len();
    let (dates, changed) = (read_files(&world.output()).len(), after - before);
    assert!((1..dates).contains(&changed), "{changed} of {dates} dates");
    let at_most = rebuild + before + replaced * changed + same * (dates - changed);
    let counted: usize = asked(&buckets).iter().sum();
    // A commit is read once more, if anything comes after it.
    assert!((at_most - changed..=at_most).contains(&counted), "{counted}, not {at_most}");
    rebuild_all(&world);
    assert_eq!(asked(&buckets), [rebuild + after + same * dates], "a rebuild that finds all as it would make it");
}
