//! The binary between a simulated tenant and an object store, both on loopback.

use std::{
    collections::BTreeMap,
    process::{Child, Command, Stdio},
};

use rustix::process::Pid;
use vcq::simulator::{Settings, tenant::TenantSettings};

use crate::{
    server::Server,
    world::{Ran, Running, World, small},
};

/// Where the datasets are, by their names.
pub(crate) const PLACES: [(&str, &str); 3] =
    [("quality", "lake/vcq/quality/"), ("meetings", "lake/vcq/meetings/"), ("participants", "lake/vcq/participants/")];

/// Has characters that every encoding changes.
pub(crate) const SECRET_KEY: &str = "canary/aws+secret=%&\"?canary";

/// Publishes all that the manifest names.
pub(crate) const EXPORT: &str = "export --manifest manifest.csv";

/// Files by their names.
pub(crate) type Objects = BTreeMap<String, Vec<u8>>;

/// A tenant of two days and few stays.
pub(crate) fn tiny() -> Settings {
    Settings { tenant: TenantSettings { stays: 16, meeting_minutes_max: 120, ..small().tenant }, ..small() }
}

/// The binary with this line, all of whose datasets are in the bucket `lake` of the store.
pub(crate) fn vcq(world: &World, store: &Server, line: &str) -> Command {
    let mut command = world.vcq(line);
    command.env("AWS_ACCESS_KEY_ID", "simulated").env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    command.env("VCQ_STORE_ENDPOINT", &store.address).env("VCQ_STORE_ALLOW_HTTP", "true");
    command.env("VCQ_OUTPUT", "s3://lake/vcq/quality");
    command.env("VCQ_DISCOVER_MEETINGS", "s3://lake/vcq/meetings");
    command.env("VCQ_DISCOVER_PARTICIPANTS", "s3://lake/vcq/participants");
    command
}

/// Runs it to its end.
pub(crate) fn run(world: &World, store: &Server, line: &str) -> Ran {
    world.ran(&mut vcq(world, store, line))
}

/// The same, which must be success.
pub(crate) fn out(world: &World, store: &Server, line: &str) -> String {
    let ran = run(world, store, line);
    assert_eq!(ran.code, Some(0), "{line}\n{}{}\n{:#?}", ran.out, ran.err, store.requests());
    ran.out
}

/// Runs it until it ends or the store kills it; whether it was killed.
pub(crate) fn run_as_victim(world: &World, store: &Server, line: &str) -> bool {
    let child: Child = vcq(world, store, line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    store.name_victim(Pid::from_child(&child));
    let mut running = Running(child);
    running.0.wait().unwrap().code().is_none()
}

/// The objects of a dataset, by their names in it.
pub(crate) fn objects(store: &Server, dataset: &str) -> Objects {
    let (_, prefix) = PLACES.iter().find(|(name, _)| *name == dataset).unwrap();
    let of = |(path, kept): (String, crate::server::Kept)| Some((path.strip_prefix(prefix)?.to_owned(), kept.content));
    store.objects().into_iter().filter_map(of).collect()
}

/// Nothing is in the store but the files of datasets.
pub(crate) fn check_nothing_else(store: &Server) {
    for path in store.objects().keys() {
        let name = PLACES.iter().find_map(|(_, prefix)| path.strip_prefix(prefix));
        let date = name.and_then(|name| name.strip_prefix("date=")?.split_once("/part-"));
        let is_file = date.is_some_and(|(date, rest)| date.len() == 10 && rest.len() == 16 + ".parquet".len());
        assert!(is_file, "nothing explains `{path}`");
    }
    assert_eq!(store.parts(), 0, "parts that nobody put together");
}

/// What the same line gives in folders.
pub(crate) fn in_folders(settings: Settings, line: &str, dataset: &str) -> Objects {
    let world = World::new(settings);
    world.out(line);
    world.files(dataset).into_iter().collect()
}
