//! The same of tables: by the log, while dates are replaced.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Child, Command, Stdio},
};

use serde::Deserialize;

use super::{check_sums, export, pins, python, written_by};

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

/// How many rebuilds a reader of the table is at work beside: `REBUILDS_BESIDE_READERS=1000` tries more.
#[expect(clippy::disallowed_methods, reason = "whoever runs the tests says how long they go on")]
fn rebuilds() -> usize {
    std::env::var("REBUILDS_BESIDE_READERS").map_or(100, |count| count.parse().unwrap())
}

#[test]
fn duckdb_polars_deltalake_and_spark_read_the_tables() {
    let home = tempfile::tempdir().unwrap();
    // Of files with other bytes, old ones among them: a pattern would find each row twice.
    let simulator = export(home.path(), &[("VCQ_TABLE", "delta"), ("VCQ_API_NAIVE_UTC_OFFSET", "+07:00")]);
    vcq(home.path(), &["rebuild"], &[("VCQ_TABLE", "delta")]);
    let old = home.path().join("quality").read_dir().unwrap().map(Result::unwrap);
    let parts =
        old.filter(|entry| entry.file_name() != "_delta_log").map(|entry| entry.path().read_dir().unwrap().count());
    assert!(parts.sum::<usize>() > 4, "no file was replaced");

    let python = python::environment("tables", &pins(include_str!("../python/tables.txt")));
    let mut read: BTreeMap<String, BTreeMap<String, TableReading>> =
        run_tables(&python, &["read", home.path().to_str().unwrap(), "duckdb", "polars", "deltalake"]);
    let files: serde_json::Value = run_tables(&python, &["files", home.path().to_str().unwrap()]);
    let listed = home.path().join("files.json");
    std::fs::write(&listed, files.to_string()).unwrap();
    let spark = python::environment("spark", &pins(include_str!("../python/spark.txt")));
    read.extend(run_tables::<BTreeMap<_, _>>(&spark, &["spark", listed.to_str().unwrap()]));
    assert_eq!(read.len(), 4);
    let expected = written_by(&simulator);
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

/// Rebuilds by turns with one offset and another: the table is one of two, and every query sees one of them.
#[test]
fn a_reader_of_a_table_sees_one_of_two_numbers() {
    let home = tempfile::tempdir().unwrap();
    export(home.path(), &[("VCQ_TABLE", "delta")]);
    let python = python::environment("tables", &pins(include_str!("../python/tables.txt")));
    let table = home.path().join("quality");
    let watch = |engine: &str| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/tables.py");
        let mut watch = Command::new(&python);
        watch.arg(script).arg("watch").arg(&table).arg(engine).stdin(Stdio::piped()).stdout(Stdio::piped());
        watch.spawn().unwrap()
    };
    let seen = |child: Child| -> Watched {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "the reader's own errors stand above");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let offsets = ["+07:00", "+08:00"];
    let rebuild = |turn: usize| {
        let environment = [("VCQ_TABLE", "delta"), ("VCQ_API_NAIVE_UTC_OFFSET", offsets[turn % 2])];
        vcq(home.path(), &["rebuild", "2025-03-02"], &environment);
    };
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
    (0..rebuilds()).for_each(rebuild);
    for watched in readers.map(seen) {
        assert!(
            watched.queries > 2 && watched.seen.iter().all(|seen| states.contains(seen)),
            "{watched:?}, {states:?}"
        );
    }
}

fn run_tables<T: serde::de::DeserializeOwned>(python: &Path, arguments: &[&str]) -> T {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/tables.py");
    let output = Command::new(python).arg(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn vcq(home: &Path, arguments: &[&str], environment: &[(&str, &str)]) {
    let output = Command::new(env!("CARGO_BIN_EXE_vcq"))
        .current_dir(home)
        .envs([("VCQ_APP_ID", "cli_simulated"), ("VCQ_APP_SECRET", "simulated")])
        .envs(environment.iter().copied())
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}:\n{}", String::from_utf8_lossy(&output.stderr));
}
