"""vcq every night by Airflow 3.2 or newer: one task exports, the next one loads what the reports say is new.

Exit codes become what Airflow does next:

    0, 3, 65     the task succeeds. 65 is told as a warning: the report lists rows that were rejected or failed. 3, with
                 --planned-end: the month's limit has ended the run, and the next night goes on
    74, 75, 130  disk, outage, interruption: retried after a quarter of an hour; the same command continues
    others       2, 70, 76, 77: somebody has to look first; it fails without a retry

Whatever the code, what a run has published is there to be loaded: each attempt has a report of its own, and the second task
takes in `files[]` of all that wait. (A process that was killed leaves no report: who must not depend on that compares the names in
the folder with those that are loaded. A name never gets other bytes.)

QUALITY_HOME is the folder of vcq.toml; variables named VCQ_… are keys of the configuration. vcq waits where another export is at
work: no pool and no lock is needed.
"""

import json
import os
import signal
import subprocess
from pathlib import Path

import pendulum
from airflow.sdk import DAG, get_current_context, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

HOME = Path(os.environ.get("QUALITY_HOME", "/var/lib/vcq"))
REPORTS = HOME / "reports"
VCQ = os.environ.get("QUALITY_BINARY", "/usr/local/bin/vcq")

SUCCESS, PLANNED_END, WITH_REJECTS = 0, 3, 65
AGAIN = {74, 75, 130, -signal.SIGTERM, -signal.SIGKILL}


def outcome(code):
    """What comes after an exit code: "success", "retry" or "fail"."""
    if code in (SUCCESS, PLANNED_END, WITH_REJECTS):
        return "success"
    return "retry" if code in AGAIN else "fail"


def export(dates, name):
    """Runs the export, and says what it came to; each attempt has a report of its own, `name`.json."""
    REPORTS.mkdir(exist_ok=True)
    command = [VCQ, "export", "--discover", dates, "--planned-end", "--report", str(REPORTS / f"{name}.json")]
    return subprocess.run(command, cwd=HOME, check=False).returncode


def waiting():
    """The reports that have not been taken in, the oldest first, with the files of samples that each brought.

    Two runs at the same time list what became visible meanwhile both, and a name is that of one file for ever: it is given once.
    """
    given = {file["name"] for path in REPORTS.glob("*.loaded") for file in json.loads(path.read_text())["files"]}
    for path in sorted(REPORTS.glob("*.json"), key=lambda path: path.stat().st_mtime):
        report = json.loads(path.read_text())
        complete = {date["date"]: date["complete"] for date in report["dates"]}
        files = [
            {
                "date": file["date"],
                "path": str(HOME / "quality" / f"date={file['date']}" / file["name"]),
                "rows": file["rows"],
                "complete": complete.get(file["date"], False),
            }
            for file in report["files"]
            if file["name"] not in given
        ]
        given |= {file["name"] for file in report["files"]}
        yield path, report, files


def taken_in(path):
    """Puts a report aside, so that its files are loaded once."""
    path.rename(path.with_suffix(".loaded"))


with DAG(
    dag_id="vcq",
    schedule="30 1 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Shanghai"),
    catchup=False,
    max_active_runs=1,
) as dag:

    @task(retries=8, retry_delay=pendulum.duration(minutes=15))
    def nightly():
        context = get_current_context()
        name = f"{context['dag_run'].run_id}.{context['ti'].try_number}".replace("/", "_")
        code = export(os.environ.get("QUALITY_DATES", "3d"), name)
        match outcome(code):
            case "retry":
                raise AirflowException(f"vcq ended with {code}: the same command continues")
            case "fail":
                raise AirflowFailException(f"vcq ended with {code}: see its log, and the table of exit codes")
        return code

    @task(trigger_rule="all_done")
    def load():
        for path, report, files in waiting():
            manifest = report["manifest"]
            if report["exit_code"] == WITH_REJECTS:
                print(f"WARNING: {manifest['rejected']} rejected, {manifest['failed']} failed: {path}")
            for file in files:
                # In place of this: COPY, MERGE, or an append to a table.
                print(f"load {file['path']}: {file['rows']} rows of {file['date']}, complete: {file['complete']}")
            taken_in(path)

    @task
    def both():
        """Without it a run would be as its last task ended, and hide that `nightly` has failed."""

    exported, loaded = nightly(), load()
    exported >> loaded
    [exported, loaded] >> both()
