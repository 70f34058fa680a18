#!/usr/bin/env python3
"""Compares `vcq rebuild` with other engines that do the same job on the same pages.

    cargo build --release
    python3 benches/compare.py [PAGES.ndjson] [--samples 1000000] [--pairs 3] [--peers duckdb,polars,python]

PAGES are raw pages in the form of `vcq archive export FILE.ndjson`; without them, pages are made (`peers/pages.py`). They
are landed in a journal, then `vcq rebuild` and each peer run in turn, after a first run that is not counted. Every output
must have the same rows, in every column; then the ratios are printed pair by pair.

What is measured is what the system counts for the whole process: CPU seconds, user and system, of all threads; wall time;
most memory. vcq reads compressed pages from its journal, syncs its files, reads them back and compares them with the
journal; the peers read uncompressed JSON and do none of that.

Needs Python 3.11 with `venv`; what the peers need (`peers/requirements.txt`) is installed into an environment under
`target/` at the first start.
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
TARGET = HERE.parent / "target"


class Run(NamedTuple):
    """One run of a whole process."""

    cpu_s: float
    wall_s: float
    peak_mib: float


def environment():
    """The Python of an environment that holds the pinned packages."""
    requirements = PEERS / "requirements.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = TARGET / "compare" / f"python-{digest}"
    python, complete = folder / "bin/python", folder / "complete"
    if not complete.exists():
        print(f"setting up {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]
        subprocess.run(pip, check=True)
        complete.touch()
    return python


def measure(command):
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command[0]} failed with {process.returncode}: {' '.join(map(str, command))}")
    return Run(usage.ru_utime + usage.ru_stime, wall_s, usage.ru_maxrss / 1024)


class Job:
    """A command that writes a dataset into a folder."""

    def __init__(self, name, folder, command):
        self.name = name
        self.output = folder / name
        self.command = command(self.output)

    def run(self):
        if self.name != "vcq":
            # vcq replaces what is there, as it does in use; the peers write anew.
            shutil.rmtree(self.output, ignore_errors=True)
        return measure(self.command)

    def check(self, python):
        output = subprocess.run([python, PEERS / "check.py", self.output], check=True, capture_output=True, text=True)
        return json.loads(output.stdout)


def land(vcq, work, pages):
    """A journal with the pages, and the arguments by which vcq finds it."""
    config = work / "vcq.toml"
    config.write_text(f'timezone = "Asia/Shanghai"\nstate = "{work}/state"\noutput = "{work}/vcq"\n')
    subprocess.run([vcq, "--config", config, "archive", "import", pages], check=True, stdout=subprocess.DEVNULL)
    return ["--config", config]


def generate(python, work, samples):
    pages = work / f"pages-{samples}.ndjson"
    if not pages.exists():
        print(f"making {samples} samples", file=sys.stderr)
        partial = pages.with_suffix(".partial")
        with open(partial, "w", encoding="utf-8") as file:
            subprocess.run([python, PEERS / "pages.py", str(samples), "1"], check=True, stdout=file)
        partial.rename(pages)
    return pages


def compare_outputs(jobs, python):
    """Prints what each output holds; ends the program if they differ."""
    print(f"{'':8} {'rows':>10} {'files':>6} {'bytes':>12} {'bytes/row':>9} {'out of order':>12}")
    found = {job.name: job.check(python) for job in jobs}
    for name, output in found.items():
        per_row = output["bytes"] / max(1, output["rows"])
        print(
            f"{name:8} {output['rows']:>10} {output['files']:>6} {output['bytes']:>12} {per_row:>9.2f}"
            f" {output['breaks']:>12}"
        )
    if len({(output["rows"], output["hash"]) for output in found.values()}) != 1:
        sys.exit(f"the outputs differ: {json.dumps(found, indent=2)}")
    print("all outputs have the same rows in every column\n")
    return found["vcq"]["rows"]


def report(pairs, rows):
    """Medians of each job, and the peers' ratios to vcq pair by pair. `pairs` are the runs of vcq and a peer in turn."""
    print(f"{'':8} {'CPU s':>8} {'wall s':>8} {'peak MiB':>9} {'rows/CPU s':>11}  CPU, pair by pair: times vcq's")
    report_line("vcq", [own for of_peer in pairs.values() for own, _ in of_peer], rows, "")
    for name, of_peer in pairs.items():
        ratios = [run.cpu_s / own.cpu_s for own, run in of_peer]
        text = f"{statistics.median(ratios):.2f} ({', '.join(f'{ratio:.2f}' for ratio in ratios)})"
        report_line(name, [run for _, run in of_peer], rows, text)


def report_line(name, runs, rows, ratios):
    cpu_s, wall_s, peak_mib = (statistics.median(figures) for figures in zip(*runs))
    print(f"{name:8} {cpu_s:>8.2f} {wall_s:>8.2f} {peak_mib:>9.0f} {rows / cpu_s:>11.0f}  {ratios}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="?", type=Path)
    parser.add_argument("--samples", type=int, default=1_000_000, help="how many to make where no pages are given")
    parser.add_argument("--pairs", type=int, default=3, help="counted runs of each peer")
    parser.add_argument("--peers", default="duckdb,polars,python")
    parser.add_argument("--threads", type=int, default=2, help="of the peers; vcq uses one or two")
    parser.add_argument("--vcq", type=Path, default=TARGET / "release/vcq")
    parser.add_argument("--work", type=Path, default=TARGET / "compare", help="a folder for pages, journal and outputs")
    return parser.parse_args()


def main():
    asked = arguments()
    python, work = environment(), asked.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    pages = asked.pages.resolve() if asked.pages else generate(python, work, asked.samples)
    for old in ["state", "vcq", "vcq.staging"]:
        shutil.rmtree(work / old, ignore_errors=True)
    vcq = asked.vcq.resolve()
    ours = Job("vcq", work, lambda _: [vcq, *land(vcq, work, pages), "rebuild"])
    theirs = [
        Job(name, work, lambda output, name=name: [python, PEERS / f"{name}_job.py", pages, output, str(asked.threads)])
        for name in asked.peers.split(",")
    ]
    for job in [ours, *theirs]:
        job.run()
    rows = compare_outputs([ours, *theirs], python)
    pairs = {peer.name: [] for peer in theirs}
    for _ in range(asked.pairs):
        for peer in theirs:
            pairs[peer.name].append((ours.run(), peer.run()))
    report(pairs, rows)


if __name__ == "__main__":
    main()
