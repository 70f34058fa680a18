"""DuckDB: one COPY from JSON to partitioned Parquet. Usage: duckdb_job.py PAGES OUTPUT THREADS

At its best, as measured: columns given instead of inferred, structs instead of a JSON column, `left` and `try_cast` instead
of regular expressions.
"""

import sys

import duckdb
from columns import METRICS, NAMES, SECTION_TIMES, SECTIONS, ZONE_OFFSET_S, metrics_of


def struct(members):
    return f"STRUCT({', '.join(f'{name} {type_}' for name, type_ in members)})"


def page_type():
    sample = [(section, struct((metric.key, "VARCHAR") for metric in metrics_of(section))) for section in SECTIONS]
    data = struct([("participant_quality_list", f"{struct(sample)}[]")])
    return struct([("code", "INTEGER"), ("data", data)])


def source(pages):
    types = {
        "meeting_no": "VARCHAR",
        "meeting_start_time": "BIGINT",
        "meeting_end_time": "BIGINT",
        "join_time": "BIGINT",
        "user_id": "VARCHAR",
        "room_id": "VARCHAR",
        "page": "INTEGER",
        "body": page_type(),
    }
    columns = ", ".join(f"{name}: '{type_}'" for name, type_ in types.items())
    return f"read_json('{pages}', format = 'newline_delimited', maximum_object_size = 33554432, columns = {{{columns}}})"


def value(metric):
    text = f"sample.{metric.section}.{metric.key}"
    if metric.type == "int32":
        return f"CASE {text} WHEN '4K' THEN 2160 WHEN '2K' THEN 1440 ELSE try_cast(left({text}, -1) AS INTEGER) END"
    if metric.type == "double":
        return f"try_cast(left({text}, -{len(metric.unit)}) AS DOUBLE)"
    if metric.section == "cpu_usage":
        # The one section whose times carry no zone.
        return f"(try_strptime({text}, '%Y.%m.%d %H:%M:%S') - INTERVAL {ZONE_OFFSET_S} SECOND)::TIMESTAMPTZ"
    return f"try_strptime({text}, '%Y.%m.%d %H:%M:%S (GMT%z)')::TIMESTAMPTZ"


def query(pages):
    stay = "meeting_no, meeting_start_time, join_time, user_id, room_id"
    return f"""
        WITH page AS (
            SELECT *, body.data.participant_quality_list AS samples FROM {source(pages)} WHERE body.code = 0
        ), numbered AS (
            SELECT *, sum(len(samples)) OVER (PARTITION BY {stay} ORDER BY page) - len(samples) AS first FROM page
        ), sample AS (
            SELECT
                meeting_no, to_timestamp(meeting_start_time) AS meeting_start_time,
                to_timestamp(meeting_end_time) AS meeting_end_time, to_timestamp(join_time) AS join_time,
                user_id, room_id, make_timestamp((meeting_start_time + {ZONE_OFFSET_S}) * 1000000)::DATE AS date,
                unnest(samples) AS sample, (first + generate_subscripts(samples, 1) - 1)::INTEGER AS sample_index
            FROM numbered
        ), typed AS (
            SELECT * EXCLUDE sample, {", ".join(f"{value(metric)} AS {metric.name}" for metric in METRICS)},
                coalesce({", ".join(SECTION_TIMES)}) AS sample_time, NULL::MAP(VARCHAR, VARCHAR) AS unparsed
            FROM sample
        )
        SELECT {", ".join(NAMES)}, date FROM typed
        ORDER BY date, meeting_start_time, meeting_no, join_time, coalesce(user_id, room_id), sample_index
    """


def main(pages, output, threads):
    db = duckdb.connect()
    db.execute(f"SET threads = {threads}; SET TimeZone = 'UTC'; SET enable_progress_bar = false")
    db.execute(f"SET memory_limit = '16GB'; SET temp_directory = '{output}.tmp'")
    parquet = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, PARTITION_BY (date)"
    db.execute(f"COPY ({query(pages)}) TO '{output}' ({parquet})")


if __name__ == "__main__":
    main(*sys.argv[1:])
