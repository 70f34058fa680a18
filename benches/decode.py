#!/usr/bin/env python3
"""What `vcq decode` costs, beside `vcq rebuild` and beside what Spark does by itself.

    cargo build --release
    python3 benches/decode.py [--samples 1000000] [--runs 3] [--vcq target/release/vcq]

makes raw pages (`peers/pages.py`), lands them in a journal and exports them as an archive; then these run in turn:

    rebuild          landed pages -> published files, synced and compared
    decode           Arrow stream -> Arrow stream, both of them files
    spark decode     the archive as Parquet -> `vcq decode` as a child of Spark's tasks -> Parquet
    spark sql        the same by `from_json` and SQL expressions, generated from the column reference with the same rules
    spark python     the same by a Python function
    spark nothing    a Spark that starts, reads one page and ends: what the three others cost beside their work

CPU seconds are those of all processes that a command started, orphans too.
"""

import argparse
import ctypes
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import compare

PINS = Path(__file__).parents[1] / "tests/python/spark.txt"
MORE = ["orjson==3.13.0"]

#: Makes this process the parent of what others leave behind, so that their time is counted.
PR_SET_CHILD_SUBREAPER = 36


class Run(NamedTuple):
    cpu_s: float
    wall_s: float


def environment():
    folder = compare.TARGET / "compare/python-spark"
    python = folder / "bin/python"
    if not (folder / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", PINS, *MORE], check=True)
        (folder / "complete").touch()
    return python


def measure(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL):
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(list(map(str, command)), stdin=stdin, stdout=stdout, stderr=subprocess.PIPE)
    wall_s = time.monotonic() - start
    if done.returncode != 0:
        sys.exit(f"{command} failed with {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}")
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Run(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall_s)


TO_STREAM = """
import sys, pyarrow, pyarrow.parquet
pages = pyarrow.parquet.ParquetFile(sys.argv[1])
with pyarrow.ipc.new_stream(sys.argv[2], pages.schema_arrow) as stream:
    for batch in pages.iter_batches(200):
        stream.write_batch(batch)
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--vcq", type=Path, default=compare.TARGET / "release/vcq")
    parser.add_argument("--ways", default="nothing,decode,sql,python")
    parser.add_argument("--work", type=Path, default=compare.TARGET / "compare-decode")
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    vcq, work, python = asked.vcq.resolve(), asked.work.resolve(), environment()
    work.mkdir(parents=True, exist_ok=True)
    for old in ["state", "vcq", "vcq.staging"]:
        shutil.rmtree(work / old, ignore_errors=True)
    pages = compare.generate(python, work, asked.samples)
    config = compare.land(vcq, work, pages)
    archive, stream = work / "pages.parquet", work / "pages.arrows"
    subprocess.run([vcq, *config, "--quiet", "archive", "export", "2025-01-01..2025-12-31", archive], check=True)
    subprocess.run([python, "-c", TO_STREAM, archive, stream], check=True)

    def rebuild():
        return measure([vcq, *config, "--quiet", "rebuild"])

    def decode():
        with open(stream, "rb") as source, open(work / "rows.arrows", "wb") as rows:
            return measure([vcq, "--quiet", "decode"], source, rows)

    def spark(way):
        output = work / f"spark_{way}"
        shutil.rmtree(output, ignore_errors=True)
        return measure([python, compare.PEERS / "spark_job.py", archive, output, way, asked.threads, vcq])

    ways = {f"spark {way}": way for way in asked.ways.split(",") if way}
    jobs = {"rebuild": rebuild, "decode": decode, **{name: lambda way=way: spark(way) for name, way in ways.items()}}
    # The first run of each is looked at, and counts where no other is asked for.
    runs = {}
    for name, job in jobs.items():
        runs[name] = [job()]
        print(f"{name}: {runs[name][0]}", file=sys.stderr)
    check = lambda output: json.loads(subprocess.check_output([python, compare.PEERS / "check.py", output]))
    published = check(work / "vcq")
    for name, way in ways.items():
        if way == "nothing":
            continue
        found = check(work / f"spark_{way}")
        if (found["rows"], found["hash"]) != (published["rows"], published["hash"]):
            sys.exit(f"{name} has other rows: {found}, not {published}")
    for _ in range(1, asked.runs):
        for name, job in jobs.items():
            runs[name].append(job())
    own = statistics.median(run.cpu_s for run in runs["rebuild"])
    print(f"{'':14} {'CPU s':>8} {'wall s':>8} {'samples/CPU s':>14} {'times rebuild':>14}")
    for name, of_job in runs.items():
        cpu_s, wall_s = (statistics.median(figures) for figures in zip(*of_job))
        print(f"{name:14} {cpu_s:>8.2f} {wall_s:>8.2f} {published['rows'] / cpu_s:>14.0f} {cpu_s / own:>14.2f}")


if __name__ == "__main__":
    main()
