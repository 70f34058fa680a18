//! Every command on datasets in a bucket does what it does in folders, and no secret of the bucket is in anything that it leaves.

use std::fs;

use crate::{
    calm,
    canary::{contains, forms},
    lake::{Objects, PLACES, SECRET_KEY, check_nothing_else, objects, tiny, vcq},
    server::{Condition, Server},
    world::World,
};

/// What has to be kept too, where credentials are lent.
const SESSION_TOKEN: &str = "canary/aws+session=%&canary";

/// What is done, one after the other, with the exit code that it comes to.
const LINES: [(&str, i32); 16] = [
    ("export --discover 2025-03-03..2025-03-04 --manifest manifest.csv --report report.json", 0),
    ("status --all", 0),
    ("verify", 0),
    ("verify --deep", 0),
    ("report --html page.html", 0),
    ("report --json", 0),
    ("check", 0),
    ("export --refresh 2025-03-03", 0),
    ("rebuild", 0),
    ("archive export 2025-03-03..2025-03-04 pages.ndjson.zst", 0),
    ("archive prune --before 2025-03-05", 0),
    ("archive import pages.ndjson.zst", 0),
    ("rebuild --from 2025-03-04 --to 2025-03-04", 0),
    // The journal is lost before this.
    ("adopt", 0),
    ("status --all", 0),
    // Of the datasets of discovery there is nothing to adopt: they are listed again.
    ("verify --deep", 74),
];

/// The datasets of a world in folders.
fn in_folder(world: &World, dataset: &str) -> Objects {
    world.files(dataset).into_iter().collect()
}

#[test]
fn every_command_does_in_a_bucket_what_it_does_in_folders_and_tells_no_secret() {
    let [local, lake] = [(); 2].map(|()| World::new(tiny()));
    let store = Server::start(Condition::Kept, calm());
    let mut said = String::new();
    for (line, code) in LINES {
        if line == "adopt" {
            for world in [&local, &lake] {
                fs::rename(world.path("state"), world.path("lost")).unwrap();
            }
        }
        let here = local.run(line);
        assert_eq!(here.code, Some(code), "{line}\n{}{}", here.out, here.err);
        let mut command = vcq(&lake, &store, &format!("{line} --log trace"));
        let there = lake.ran(command.env("AWS_SESSION_TOKEN", SESSION_TOKEN).env("RUST_BACKTRACE", "1"));
        assert_eq!(there.code, Some(code), "{line}\n{}{}", there.out, there.err);
        for (dataset, _) in PLACES {
            let files = in_folder(&local, dataset);
            assert!(!files.is_empty() && objects(&store, dataset) == files, "{line}: {dataset}");
        }
        check_nothing_else(&store);
        if line.starts_with("report") {
            assert_eq!(there.out, here.out, "{line}");
        }
        said.push_str(&there.out);
        said.push_str(&there.err);
    }
    assert!(said.contains("page landed"), "the log is at its most talkative");
    let mut written = lake.files("");
    written.extend(store.objects().into_iter().map(|(name, kept)| (name, kept.content)));
    written.push(("what was said".into(), said.into_bytes()));
    for canary in [SECRET_KEY, SESSION_TOKEN] {
        let traces = forms(canary);
        for (name, bytes) in &written {
            let found = traces.iter().find(|form| contains(bytes, form.as_bytes()));
            assert_eq!(found, None, "{canary} is in {name}");
        }
    }
}
