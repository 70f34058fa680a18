"""Figures of a month by vcq and by DuckDB, each as a whole process: CPU seconds, wall seconds, most memory.

    VCQ_BENCH_DATASET=FOLDER/quality cargo bench --bench figures
    cargo build --release
    python3 benches/figures.py FOLDER [RUNS]

DuckDB (of the Python that runs this) computes what takes most of the time: rows and bad minutes, and of each of the 21 judged
metrics its count, median, 95th percentile and the minutes beyond the limit, by date and in all; bad minutes by date and hour, by
meeting and by user. Its median is exact (`quantile_cont`) or, as `approx`, a t-digest.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

RULES = [
    (r"network_delay_ms|\w+_latency_\w+_ms", "{c} > 150"),
    (r"network_packet_loss_avg_\w+_pct", "{c} > 3"),
    (r"\w+_jitter_\w+_ms", "{c} > 30"),
    (r"\w+_avg_cpu_usage_pct", "{c} > 90"),
    (r"video_framerate_\w+_fps", "{c} > 0 AND {c} < 10"),
    (r"screen_sharing_framerate_\w+_fps", "{c} > 0 AND {c} < 5"),
]


def duckdb_job(folder, quantile):
    import duckdb

    db = duckdb.connect()
    source = f"read_parquet('{folder}/quality/*/*.parquet', hive_partitioning = true)"
    columns = [name for name, *_ in db.execute(f"DESCRIBE FROM {source}").fetchall()]
    rules = {c: rule.format(c=c) for c in columns for pattern, rule in RULES if re.fullmatch(pattern, c)}
    assert len(rules) == 21
    quantiles = "quantile_cont({c}, [0.5, 0.95])" if quantile == "exact" else "approx_quantile({c}, [0.5, 0.95])"
    metrics = ", ".join(f"count({c}), {quantiles.format(c=c)}, count_if({rule})" for c, rule in rules.items())
    bad = " OR ".join(f"coalesce({rule}, false)" for rule in rules.values())
    for query in [
        f"SELECT date, count(*), {metrics} FROM {source} GROUP BY GROUPING SETS ((date), ())",
        f"SELECT date, hour(sample_time), meeting_no, meeting_start_time, user_id, count(*), count_if({bad}) FROM {source} "
        f"GROUP BY GROUPING SETS ((date, hour(sample_time)), (meeting_no, meeting_start_time), (user_id))",
    ]:
        db.execute(query).fetchall()


def measure(command):
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, command
    return usage.ru_utime + usage.ru_stime, time.monotonic() - began, usage.ru_maxrss / 1024


def main(folder, runs=3):
    folder = str(Path(folder).resolve())
    vcq = os.environ.get("VCQ", str(Path(__file__).parent.parent / "target/release/vcq"))
    lists = ["env", "VCQ_DISCOVER_MEETINGS=", "VCQ_DISCOVER_PARTICIPANTS="]
    jobs = {
        "vcq": [*lists, vcq, "-q", "--output", f"{folder}/quality", "report", "2022-12-01..2022-12-30", "--json"],
        "DuckDB": [sys.executable, __file__, "--duckdb", folder, "exact"],
        "DuckDB, approx": [sys.executable, __file__, "--duckdb", folder, "approx"],
    }
    measured = {name: [] for name in jobs}
    for _ in range(int(runs)):
        for name, command in jobs.items():
            measured[name].append(measure(command))
    print("| | CPU s | wall s | most memory |\n| --- | --- | --- | --- |")
    for name, values in measured.items():
        cpu, wall, memory = (median(column) for column in zip(*values))
        print(f"| {name} | {cpu:.1f} | {wall:.1f} | {memory:.0f} MiB |")


if sys.argv[1] == "--duckdb":
    duckdb_job(*sys.argv[2:])
else:
    main(*sys.argv[1:])
