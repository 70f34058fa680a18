//! The same of tables: by the log, in folders and in a bucket, while dates are replaced.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Child, Command, Stdio},
};

use serde::{Deserialize, de::DeserializeOwned};
use vcq::simulator::Simulator;

use super::{check_sums, export, moto::Moto, pins, python, written_by};

/// What a reader finds in a table, by the log; `tables.py` tells it in this form.
#[derive(Debug, Deserialize)]
struct TableReading {
    rows: u64,
    sums: BTreeMap<String, f64>,
    dates: BTreeMap<String, u64>,
}

/// What `tables.py` saw of a table that others were changing.
#[derive(Debug, Deserialize)]
struct Watched {
    queries: u64,
    seen: Vec<(u64, String, String)>,
}

/// How many rebuilds a reader of the table is at work beside, unless `REBUILDS_BESIDE_READERS=1000` says more.
#[expect(clippy::disallowed_methods, reason = "whoever runs the tests says how long they go on")]
fn rebuilds_or(usual: usize) -> usize {
    std::env::var("REBUILDS_BESIDE_READERS").map_or(usual, |count| count.parse().unwrap())
}

/// Where the tables are, and who looks after them from there.
struct Lake {
    home: tempfile::TempDir,
    /// The folder or the prefix that has them.
    place: String,
    /// What vcq and the readers are told of it.
    variables: Vec<(&'static str, String)>,
}

impl Lake {
    fn in_folder() -> Self {
        let home = tempfile::tempdir().unwrap();
        let place = home.path().display().to_string();
        Self { home, place, variables: vec![("VCQ_TABLE", "delta".into())] }
    }

    fn in_bucket(moto: &Moto) -> Self {
        let variables = [
            ("VCQ_TABLE", "delta"),
            ("VCQ_OUTPUT", "s3://lake/vcq/quality"),
            ("VCQ_DISCOVER_MEETINGS", "s3://lake/vcq/meetings"),
            ("VCQ_DISCOVER_PARTICIPANTS", "s3://lake/vcq/participants"),
            ("VCQ_STORE_ENDPOINT", &moto.address),
            ("VCQ_STORE_ALLOW_HTTP", "true"),
            ("AWS_ENDPOINT_URL", &moto.address),
            ("AWS_ACCESS_KEY_ID", "simulated"),
            ("AWS_SECRET_ACCESS_KEY", "simulated"),
        ];
        let variables = variables.map(|(name, value)| (name, value.to_owned())).into();
        Self { home: tempfile::tempdir().unwrap(), place: "s3://lake/vcq".into(), variables }
    }

    /// Exports all that a simulated tenant had, times without an offset taken for those of `offset`.
    fn export(&self, offset: Option<&str>) -> Simulator {
        let variables = self.variables.iter().map(|(name, value)| (*name, value.as_str()));
        let offset = offset.map(|offset| ("VCQ_API_NAIVE_UTC_OFFSET", offset));
        export(self.home.path(), &variables.chain(offset).collect::<Vec<_>>())
    }

    fn rebuild(&self, arguments: &[&str], environment: &[(&str, &str)]) {
        let output = Command::new(env!("CARGO_BIN_EXE_vcq"))
            .current_dir(self.home.path())
            .envs([("VCQ_APP_ID", "cli_simulated"), ("VCQ_APP_SECRET", "simulated")])
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .envs(environment.iter().copied())
            .arg("rebuild")
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    }

    /// `tables.py` with these arguments.
    fn tables(&self, python: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(python);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/tables.py")).args(arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// What it answers.
    fn told<T: DeserializeOwned>(&self, python: &Path, arguments: &[&str]) -> T {
        let output = self.tables(python, arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}:\n{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

#[test]
fn duckdb_polars_deltalake_and_spark_read_the_tables() {
    let lake = Lake::in_folder();
    // Of files with other bytes, old ones among them: a pattern would find each row twice.
    let simulator = lake.export(Some("+07:00"));
    lake.rebuild(&[], &[]);
    let old = lake.home.path().join("quality").read_dir().unwrap().map(Result::unwrap);
    let parts =
        old.filter(|entry| entry.file_name() != "_delta_log").map(|entry| entry.path().read_dir().unwrap().count());
    assert!(parts.sum::<usize>() > 4, "no file was replaced");
    check_tables(&lake, &simulator);
}

#[test]
fn from_a_bucket_they_read_the_same_tables() {
    let moto = Moto::start();
    let lake = Lake::in_bucket(&moto);
    let simulator = lake.export(Some("+07:00"));
    lake.rebuild(&[], &[]);
    check_tables(&lake, &simulator);
}

/// Every engine finds in the tables what the tenant has written.
fn check_tables(lake: &Lake, simulator: &Simulator) {
    let python = python::environment("tables", &pins(include_str!("../python/tables.txt")));
    let mut read: BTreeMap<String, BTreeMap<String, TableReading>> =
        lake.told(&python, &["read", &lake.place, "duckdb", "polars", "deltalake"]);
    let files: serde_json::Value = lake.told(&python, &["files", &lake.place]);
    let listed = lake.home.path().join("files.json");
    std::fs::write(&listed, files.to_string()).unwrap();
    let spark = python::environment("spark", &pins(include_str!("../python/spark.txt")));
    read.extend(lake.told::<BTreeMap<_, _>>(&spark, &["spark", listed.to_str().unwrap()]));
    assert_eq!(read.len(), 4);
    let expected = written_by(simulator);
    for (engine, tables) in &read {
        for (dataset, expected) in
            [("quality", &expected.quality), ("meetings", &expected.meetings), ("participants", &expected.participants)]
        {
            let (place, found) = (format!("{engine}, {dataset}"), &tables[dataset]);
            assert_eq!((found.rows, &found.dates), (expected.rows, &expected.dates), "{place}");
            check_sums(&place, &found.sums, &expected.sums);
        }
    }
}

#[test]
fn a_reader_of_a_table_sees_one_of_two_numbers() {
    check_readers_beside(&Lake::in_folder(), rebuilds_or(100));
}

#[test]
fn a_reader_of_a_table_in_a_bucket_sees_one_of_two_numbers() {
    let moto = Moto::start();
    check_readers_beside(&Lake::in_bucket(&moto), rebuilds_or(20));
}

/// Rebuilds by turns with one offset and another: the table is one of two, and every query sees one of them.
fn check_readers_beside(lake: &Lake, rebuilds: usize) {
    lake.export(None);
    let python = python::environment("tables", &pins(include_str!("../python/tables.txt")));
    let table = format!("{}/quality", lake.place);
    let watch = |engine: &str| {
        let mut watch = lake.tables(&python, &["watch", &table, engine]);
        watch.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    };
    let seen = |child: Child| -> Watched {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "the reader's own errors stand above");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let offsets = ["+07:00", "+08:00"];
    let rebuild = |turn: usize| lake.rebuild(&["2025-03-02"], &[("VCQ_API_NAIVE_UTC_OFFSET", offsets[turn % 2])]);
    let states: Vec<_> = (0..2)
        .map(|turn| {
            rebuild(turn);
            let mut seen = seen(watch("duckdb")).seen;
            assert_eq!(seen.len(), 1);
            seen.remove(0)
        })
        .collect();
    assert!(states[0].0 == states[1].0 && states[0] != states[1], "{states:?}");
    let readers = ["duckdb", "deltalake"].map(watch);
    (0..rebuilds).for_each(rebuild);
    for watched in readers.map(seen) {
        assert!(
            watched.queries > 2 && watched.seen.iter().all(|seen| states.contains(seen)),
            "{watched:?}, {states:?}"
        );
    }
}
