"""Reads the datasets as Delta tables, and prints what each engine sees as one line of JSON.

    tables.py read FOLDER ENGINE...
    tables.py files FOLDER
    tables.py watch TABLE ENGINE
    tables.py spark FILE

FOLDER, or a prefix `s3://BUCKET/PREFIX` of the store at AWS_ENDPOINT_URL, holds the tables; Spark, which has no way to a bucket without
jars of others, reads the objects of a list by pyarrow.

`read`: the folder holds the tables quality, meetings and participants; an engine is one of duckdb, polars, deltalake. For each of them
the answer holds of each table:

    rows      how many there are
    sums      column -> sum, of the columns of numbers
    dates     date -> rows

`files`: the files of each table, by its log; `spark` takes that in a file and answers like `read`. `watch`: queries a table without a
pause until standard input ends: `queries`, and `seen`, the distinct answers (rows, sum of sample_time, sum of network_delay_ms) in
their order.
"""

import importlib
import json
import os
import re
import select
import sys
from datetime import date
from pathlib import Path

STORE = os.environ.get("AWS_ENDPOINT_URL", "")
DATASETS = ["quality", "meetings", "participants"]
# What Polars and deltalake are told of the store; keys they find in the environment.
OPTIONS = {"aws_endpoint_url": STORE, "aws_region": "us-east-1", "aws_allow_http": "true"} if STORE else None


def duckdb_with_delta():
    import duckdb

    connection = duckdb.connect()
    for extension in ["httpfs", "delta"] if STORE else ["delta"]:
        package = importlib.import_module(f"duckdb_extension_{extension}")
        (file,) = Path(package.__file__).parent.rglob(f"{extension}.duckdb_extension")
        connection.execute(f"INSTALL '{file}'")
        connection.execute(f"LOAD {extension}")
    if STORE:
        key, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
        host = STORE.removeprefix("http://")
        connection.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{key}', SECRET '{secret}', REGION 'us-east-1', ENDPOINT '{host}', URL_STYLE 'path', USE_SSL false)"
        )
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

    frame = polars.scan_delta(table, storage_options=OPTIONS).collect()
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

    rows = DeltaTable(table, storage_options=OPTIONS).to_pyarrow_table()
    numbers = [field.name for field in rows.schema if field.type in (pyarrow.float64(), pyarrow.int32())]
    counts = rows.column("date").cast("string").value_counts().to_pylist()
    return {
        "rows": rows.num_rows,
        "sums": {name: compute.sum(rows.column(name)).as_py() for name in numbers},
        "dates": {count["values"]: count["counts"] for count in counts},
    }


def read_by_list(paths):
    """Reads the objects whose paths come in, as an executor does."""
    import pyarrow
    from pyarrow.fs import S3FileSystem
    from pyarrow.parquet import read_table

    store = S3FileSystem(endpoint_override=STORE, region="us-east-1")
    for batch in paths:
        for path in batch.column("path").to_pylist():
            rows = read_table(path.removeprefix("s3://"), filesystem=store, partitioning=None)
            day = date.fromisoformat(re.search("date=([^/]*)/", path)[1])
            rows = rows.append_column("date", pyarrow.array([day] * rows.num_rows, pyarrow.date32()))
            yield from rows.to_batches()


def spark_frame(spark, table, paths):
    if not STORE:
        return spark.read.option("basePath", table).parquet(*paths)
    from pyarrow import table as arrow_table
    from pyspark.sql.pandas.types import from_arrow_schema

    (first, *_) = read_by_list([arrow_table({"path": paths[:1]}).to_batches()[0]])
    listed = spark.createDataFrame([(path,) for path in paths], "path string")
    return listed.mapInArrow(read_by_list, from_arrow_schema(first.schema)).cache()


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
        rows = spark_frame(spark, table, paths)
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

    return [table, DeltaTable(table, storage_options=OPTIONS).file_uris()]


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
        rows = DeltaTable(table, storage_options=OPTIONS).to_pyarrow_table(columns=["sample_time", "network_delay_ms"])
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
