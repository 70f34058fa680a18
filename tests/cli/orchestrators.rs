//! The examples for Airflow and Dagster: each exit code comes to what the table says, and what has been published is loaded.

use std::{fs, path::Path, process::Command};

use super::{
    python,
    world::{Ran, World, small},
};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config");

/// The mapping alone, which needs none of the two: they are stood in for.
const OUTCOMES: &str = "
import sys, types
from unittest.mock import MagicMock
for name in ['dagster', 'pendulum', 'airflow', 'airflow.sdk', 'airflow.sdk.exceptions']:
    sys.modules[name] = MagicMock()
sys.path.insert(0, sys.argv[1])
import airflow_vcq, dagster_vcq
for code in map(int, sys.argv[2:]):
    print(code, *(example.outcome(code) for example in (airflow_vcq, dagster_vcq)))
";

/// Every code of the README, and what a signal that cannot be caught leaves.
#[test]
fn exit_codes_become_success_retry_or_failure() {
    let codes = super::readme::exit_codes(super::readme::README, "## Exit codes");
    let codes: Vec<_> = codes.iter().map(ToString::to_string).chain(["-9".to_owned()]).collect();
    let mut python = Command::new("python3");
    let said = python.args(["-B", "-c", OUTCOMES, EXAMPLES]).args(&codes).output().unwrap();
    let expected = [
        (0, "success"),
        (2, "fail"),
        (3, "success"),
        (65, "success"),
        (70, "fail"),
        (74, "retry"),
        (75, "retry"),
        (76, "fail"),
        (77, "fail"),
        (130, "retry"),
        (-9, "retry"),
    ];
    let expected: String = expected.map(|(code, outcome)| format!("{code} {outcome} {outcome}\n")).concat();
    assert_eq!(String::from_utf8_lossy(&said.stdout), expected, "{}", String::from_utf8_lossy(&said.stderr));
}

/// Runs `script` beside the examples, with the tenant's dates to export.
fn run(world: &World, python: &Path, script: &str) -> Ran {
    let mut command = world.vcq("");
    let of_tenant: Vec<_> =
        command.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
    command = Command::new(python);
    command.current_dir(world.path("")).env_clear().args(["-B", "-c", script]);
    command.envs(of_tenant.into_iter().filter_map(|(name, value)| Some((name, value?))));
    command.env("HOME", world.path("")).env("PATH", python.parent().unwrap()).env("PYTHONPATH", EXAMPLES);
    command.env("QUALITY_HOME", world.path("")).env("QUALITY_BINARY", assert_cmd::cargo::cargo_bin!("vcq"));
    command.env("AIRFLOW_HOME", world.path("airflow")).env("AIRFLOW__CORE__LOAD_EXAMPLES", "False");
    world.ran(command.env("QUALITY_DATES", "2025-03-03..2025-03-04"))
}

/// Reports that a loader has taken in, and those that wait for one.
fn reports(world: &World) -> (usize, usize) {
    let names = fs::read_dir(world.path("reports")).unwrap().map(|entry| entry.unwrap().path());
    let (loaded, waiting): (Vec<_>, Vec<_>) = names.partition(|path| path.extension().unwrap() == "loaded");
    (loaded.len(), waiting.len())
}

#[test]
fn dagster_exports_and_loads() {
    let world = World::new(small());
    let python = python::environment("dagster", &["dagster==1.13.29"]);
    let ran = run(
        &world,
        &python,
        "
import os, dagster, dagster_vcq as example
def night(**more):
    return dagster.materialize([example.quality, example.loaded], raise_on_error=False, **more)
first = night()
rows = first.asset_materializations_for_node('loaded')[0].metadata['rows'].value
print('first', first.success, rows, [check.passed for check in first.get_asset_check_evaluations()])
print('again', night().asset_materializations_for_node('loaded')[0].metadata['rows'].value)
os.environ['QUALITY_DATES'] = 'someday'
print('wrong', night().success)
os.environ['QUALITY_DATES'] = '2025-03-05'
os.environ['VCQ_API_BASE_URL'] = 'http://127.0.0.1:1'
os.environ['VCQ_RETRY_OUTAGE_MAX'] = '0s'
class Asked(Exception):
    def __init__(self, max_retries, seconds_to_wait):
        print('dead', max_retries, seconds_to_wait)
dagster.RetryRequested = Asked  # which would be waited for
night()
",
    );
    let told = |line: &&str| ["first", "again", "wrong", "dead"].contains(&line.split(' ').next().unwrap());
    let told: Vec<_> = ran.out.lines().filter(told).collect();
    let rows = world.rows().len();
    let expected = [&*format!("first True {rows} [True]"), "again 0", "wrong False", "dead 8 900"];
    assert_eq!(told, expected, "{}{}", ran.out, ran.err);
    assert_eq!(reports(&world).0, 2);
}

/// A run tells that it has failed, though what waits is loaded. Airflow takes minutes to install, so only who asks gets it.
#[test]
fn airflow_exports_and_loads_whatever_became_of_the_export() {
    #[expect(clippy::disallowed_methods, reason = "what a test is asked for")]
    if std::env::var_os("VCQ_AIRFLOW").is_none() {
        eprintln!("skipped: VCQ_AIRFLOW=1 installs Airflow and runs the example");
        return;
    }
    let world = World::new(small());
    let python =
        python::environment("airflow", &["apache-airflow-core==3.3.2", "apache-airflow-providers-standard==1.21.0"]);
    fs::create_dir_all(world.path("airflow/dags")).unwrap();
    fs::copy(Path::new(EXAMPLES).join("airflow_vcq.py"), world.path("airflow/dags/airflow_vcq.py")).unwrap();
    let ran = run(
        &world,
        &python,
        "
import os, subprocess, sys
subprocess.run([sys.executable, '-m', 'airflow', 'db', 'migrate'], check=True, stdout=subprocess.DEVNULL)
sys.path.insert(0, 'airflow/dags')
import airflow_vcq as example
def night(name):
    run = example.dag.test()
    print('\\n' + name, run.state, *sorted(f'{task.task_id}={task.state}' for task in run.get_task_instances()), flush=True)
night('FIRST')
os.environ['QUALITY_DATES'] = 'someday'
night('WRONG')
",
    );
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for said in [
        "\nFIRST success both=success load=success nightly=success\n",
        "\nWRONG failed both=upstream_failed load=success nightly=failed\n",
    ] {
        assert!(ran.out.contains(said), "{said}{}{}", ran.out, ran.err);
    }
    assert!(ran.out.contains("rows of 2025-03-04, complete: True"), "{}", ran.out);
    assert_eq!(reports(&world), (1, 0));
}
