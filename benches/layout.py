"""Compares the layout of vcq's files with others that hold the same rows.

    python3 benches/compare.py ...                                                      # sets up the environment
    target/compare/python-*/bin/python benches/layout.py DATASET WORK [--runs 7]

Each layout is written by pyarrow from the files of DATASET; the first line is those files as they are. Bytes are of all
files; the queries run in DuckDB with one thread, the layouts in turn, and what is printed is the median of the CPU time:
q1 the 95th percentile of the delay by day, q2 the share of participants that lose more than 5 % by day, q3 one meeting
minute by minute, found by its number, and the same with its date.
"""

import argparse
import shutil
import statistics
import time
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

KEYS = ["meeting_no", "user_id", "room_id"]


def is_plain(field):
    return pa.types.is_timestamp(field.type) or field.name == "sample_index"


def encodings(schema):
    """Dictionaries, but times and indices as they are: what vcq does."""
    return {
        "use_dictionary": [field.name for field in schema if not is_plain(field) and field.name != "unparsed"],
        "column_encoding": None,
    }


def layouts(schema):
    """By name, what differs from the first: zstd 1, one row group a day, pages of 1 MiB, statistics of keys and times."""
    unmeasured = [field.name for field in schema if is_plain(field) or field.name in KEYS]
    base = {
        **encodings(schema),
        "compression": "zstd",
        "compression_level": 1,
        "row_group_size": 1 << 20,
        "write_statistics": unmeasured,
        "write_page_index": False,
    }
    differences = {field.name: "DELTA_BINARY_PACKED" for field in schema if is_plain(field)}
    return {
        "the same by pyarrow": base,
        "times as dictionaries": {**base, "use_dictionary": True},
        "times as differences": {**base, "column_encoding": differences},
        "plain": {**base, "use_dictionary": False, "column_encoding": None},
        "zstd 3": {**base, "compression_level": 3},
        "zstd 9": {**base, "compression_level": 9},
        "snappy": {**base, "compression": "snappy", "compression_level": None},
        "row groups of 4 k": {**base, "row_group_size": 4096},
        "row groups of 16 k": {**base, "row_group_size": 16384},
        "pages of 64 KiB": {**base, "data_page_size": 64 << 10},
        "pages of 8 KiB": {**base, "data_page_size": 8 << 10},
        "statistics of all": {**base, "write_statistics": True},
        "all, and a page index": {**base, "write_statistics": True, "write_page_index": True},
        "bloom filter of meeting_no": {**base, "bloom_filter_options": {"meeting_no": {"ndv": 512, "fpp": 0.01}}},
    }


def write(source, output, options):
    """Writes the files anew and returns the CPU seconds of writing alone."""
    shutil.rmtree(output, ignore_errors=True)
    spent = 0.0
    for file in sorted(source.glob("date=*/*.parquet")):
        table = pq.ParquetFile(file).read(use_threads=False)
        target = output / file.parent.name / file.name
        target.parent.mkdir(parents=True)
        before = time.process_time()
        pq.write_table(table, target, **options)
        spent += time.process_time() - before
    return spent


def queries(folder):
    rows = f"read_parquet('{folder}/*/*.parquet', hive_partitioning = true)"
    db = duckdb.connect()
    meeting_no, date = db.execute(f"""
        SELECT meeting_no, min(date) FROM {rows} GROUP BY meeting_no
        HAVING count(*) BETWEEN 200 AND 400 AND count(DISTINCT date) = 1 ORDER BY 2, 1 LIMIT 1 OFFSET 100
    """).fetchone()
    stay = "meeting_no, join_time, user_id, room_id"
    loss = "network_packet_loss_avg_received_pct"
    meeting = f"""SELECT join_time, user_id, sample_time, network_delay_ms, {loss}, video_framerate_received_fps,
        client_avg_cpu_usage_pct FROM {rows} WHERE meeting_no = '{meeting_no}'"""
    by_stay = f"SELECT date, avg({loss}) AS loss FROM {rows} GROUP BY date, {stay}"
    return {
        "q1": f"SELECT date, quantile_cont(network_delay_ms, 0.95) FROM {rows} GROUP BY date ORDER BY date",
        "q2": f"SELECT date, avg((loss > 5)::INT) FROM ({by_stay}) GROUP BY date ORDER BY date",
        "q3": f"{meeting} ORDER BY join_time, sample_time",
        "q3 + date": f"{meeting} AND date = '{date}' ORDER BY join_time, sample_time",
    }


def time_queries(folders, runs):
    """For each folder, the median milliseconds of each query; the first round is not counted."""
    db = duckdb.connect()
    db.execute("SET threads = 1; SET TimeZone = 'UTC'")
    asked = {folder: queries(folder) for folder in folders}
    spent = {folder: {name: [] for name in asked[folder]} for folder in folders}
    answers = {}
    for number in range(runs + 1):
        for folder in folders:
            for name, sql in asked[folder].items():
                before = time.process_time()
                answer = db.execute(sql).fetchall()
                if number > 0:
                    spent[folder][name].append(1000 * (time.process_time() - before))
                assert answers.setdefault(name, answer) == answer, f"{name} differs in {folder}"
    return {folder: [statistics.median(times) for times in spent[folder].values()] for folder in folders}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--runs", type=int, default=7)
    asked = parser.parse_args()
    files = sorted(asked.dataset.glob("date=*/*.parquet"))
    schema = pq.read_schema(files[0])
    folders, written = {"vcq": asked.dataset}, {"vcq": ""}
    for name, options in layouts(schema).items():
        folders[name] = asked.work / name.replace(" ", "-").replace(",", "")
        written[name] = f"{write(asked.dataset, folders[name], options):.2f}"
    times = time_queries(list(folders.values()), asked.runs)
    rows = sum(pq.read_metadata(file).num_rows for file in files)
    print("| layout | bytes a row | write CPU s | q1 ms | q2 ms | q3 ms | q3 + date ms |\n| --- | --- | --- | --- | --- | --- | --- |")
    for name, folder in folders.items():
        size = sum(file.stat().st_size for file in folder.glob("date=*/*.parquet"))
        cells = " | ".join(f"{figure:.1f}" for figure in times[folder])
        print(f"| {name} | {size / rows:.2f} | {written[name]} | {cells} |")


if __name__ == "__main__":
    main()
