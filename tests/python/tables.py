"""Reads the datasets as Delta tables, and prints what each engine sees as one line of JSON.

    tables.py read FOLDER ENGINE...
    tables.py files FOLDER
    tables.py watch TABLE ENGINE
    tables.py spark FILE

`read`: the folder holds the tables quality, meetings and participants; an engine is one of duckdb, polars, deltalake. For each of them
the answer holds of each table:

    rows      how many there are
    sums      column -> sum, of the columns of numbers
    dates     date -> rows

`files`: the files of each table, by its log; `spark` takes that in a file and answers like `read`. `watch`: queries a table without a
pause until standard input ends: `queries`, and `seen`, the distinct answers (rows, sum of sample_time, sum of network_delay_ms) in
their order.
"""

import json
import os
import select
import sys
from pathlib import Path

DATASETS = ["quality", "meetings", "participants"]


def duckdb_with_delta():
    import duckdb
    import duckdb_extension_delta

    (file,) = Path(duckdb_extension_delta.__file__).parent.rglob("*.duckdb_extension")
    connection = duckdb.connect()
    connection.execute(f"INSTALL '{file}'")
    connection.execute("LOAD delta")
    return connection


def read_duckdb(table):
    connection = duckdb_with_delta()
    source = f"FROM delta_scan('{table}')"
    types = {column: type for column, type, *_ in connection.execute(f"DESCRIBE {source}").fetchall()}
    numbers = [column for column, type in types.items() if type in ("DOUBLE", "INTEGER")]
    sums = connection.execute(f"SELECT {', '.join(f'sum({c})::DOUBLE' for c in numbers)} {source}").fetchone()
    return {
        "rows": connection.execute(f"SELECT count(*) {source}").fetchone()[0],
        "sums": dict(zip(numbers, sums)),
        "dates": dict(connection.execute(f"SELECT date::VARCHAR, count(*) {source} GROUP BY ALL").fetchall()),
    }


def read_polars(table):
    import polars

    frame = polars.scan_delta(table).collect()
    numbers = [name for name, type in frame.schema.items() if type in (polars.Float64, polars.Int32)]
    return {
        "rows": frame.height,
        "sums": {name: frame[name].cast(polars.Float64).sum() for name in numbers if frame[name].count()},
        "dates": {str(date): rows for date, rows in frame.group_by("date").len().rows()},
    }


def read_deltalake(table):
    import pyarrow
    import pyarrow.compute as compute
    from deltalake import DeltaTable

    rows = DeltaTable(table).to_pyarrow_table()
    numbers = [field.name for field in rows.schema if field.type in (pyarrow.float64(), pyarrow.int32())]
    counts = rows.column("date").cast("string").value_counts().to_pylist()
    return {
        "rows": rows.num_rows,
        "sums": {name: compute.sum(rows.column(name)).as_py() for name in numbers},
        "dates": {count["values"]: count["counts"] for count in counts},
    }


def read_spark(files):
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as f

    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": "1",
        "spark.driver.memory": "512m",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }
    builder = SparkSession.builder.master("local[1]")
    for key, value in settings.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    answers = {}
    for name, (table, paths) in files.items():
        rows = spark.read.option("basePath", table).parquet(*paths)
        numbers = [column for column, type in rows.dtypes if type in ("double", "int")]
        sums = rows.select([f.sum(column).cast("double").alias(column) for column in numbers]).first()
        dates = rows.groupBy("date").count().collect()
        answers[name] = {
            "rows": rows.count(),
            "sums": sums.asDict(),
            "dates": {str(row["date"]): row["count"] for row in dates},
        }
    return answers


def files_of(table):
    from deltalake import DeltaTable

    return [table, DeltaTable(table).file_uris()]


def watch_duckdb(table):
    connection = duckdb_with_delta()
    query = f"""
        SELECT count(*), sum(epoch_us(sample_time))::VARCHAR, round(sum(network_delay_ms), 3)::VARCHAR FROM delta_scan('{table}')
    """
    return lambda: connection.execute(query).fetchone()


def watch_deltalake(table):
    import pyarrow.compute as compute
    from deltalake import DeltaTable

    def look():
        rows = DeltaTable(table).to_pyarrow_table(columns=["sample_time", "network_delay_ms"])
        times = compute.sum(rows.column("sample_time").cast("int64")).as_py()
        return [rows.num_rows, str(times), str(round(compute.sum(rows.column("network_delay_ms")).as_py(), 3))]

    return look


def watch(look):
    queries, seen = 0, []
    while True:
        state = list(look())
        queries += 1
        if state not in seen:
            seen.append(state)
        if select.select([sys.stdin], [], [], 0)[0]:
            return {"queries": queries, "seen": seen}


def main(verb, place, *engines):
    if verb == "watch":
        return watch({"duckdb": watch_duckdb, "deltalake": watch_deltalake}[engines[0]](place))
    if verb == "spark":
        return {"spark": read_spark(json.loads(Path(place).read_text()))}
    if verb == "files":
        return {name: files_of(f"{place}/{name}") for name in DATASETS}
    readers = {"duckdb": read_duckdb, "polars": read_polars, "deltalake": read_deltalake}
    read = {engine: {name: readers[engine](f"{place}/{name}") for name in DATASETS} for engine in engines}
    for tables in read.values():
        for table in tables.values():
            table["sums"] = {column: sum for column, sum in table["sums"].items() if sum is not None}
    return read


print(json.dumps(main(*sys.argv[1:])), flush=True)
if sys.argv[1] != "spark":
    # Threads that the engines have left may abort the interpreter while it ends; all is said.
    os._exit(0)
