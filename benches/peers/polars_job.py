"""Polars: a lazy query, streamed into partitioned Parquet. Usage: polars_job.py PAGES OUTPUT THREADS

At its best, as measured: lines read as text and `json_decode`d, which takes half as long as `scan_ndjson`.
"""

import os
import sys

os.environ["POLARS_MAX_THREADS"] = sys.argv[3]

import polars as pl  # noqa: E402
from columns import METRICS, NAMES, SECTION_TIMES, SECTIONS, ZONE, metrics_of  # noqa: E402

STAY = ["meeting_no", "meeting_start_time", "join_time", "user_id", "room_id"]
TIME_FORMAT = "%Y.%m.%d %H:%M:%S"

SAMPLE = pl.Struct({section: pl.Struct({metric.key: pl.String for metric in metrics_of(section)}) for section in SECTIONS})
PAGE = pl.Struct(
    {
        "meeting_no": pl.String,
        "meeting_start_time": pl.String,
        "meeting_end_time": pl.String,
        "join_time": pl.String,
        "user_id": pl.String,
        "room_id": pl.String,
        "page": pl.Int32,
        "body": pl.Struct({"code": pl.Int32, "data": pl.Struct({"participant_quality_list": pl.List(SAMPLE)})}),
    }
)


def value(metric):
    text = pl.col("sample").struct.field(metric.section).struct.field(metric.key)
    if metric.type == "int32":
        lines = text.str.strip_suffix("P").cast(pl.Int32, strict=False)
        named = pl.when(text == "4K").then(pl.lit(2160, pl.Int32)).when(text == "2K").then(pl.lit(1440, pl.Int32))
        return named.otherwise(lines).alias(metric.name)
    if metric.type == "double":
        return text.str.strip_suffix(metric.unit).cast(pl.Float64, strict=False).alias(metric.name)
    if metric.section == "cpu_usage":
        # The one section whose times carry no zone.
        naive = text.str.to_datetime(TIME_FORMAT, time_unit="us", strict=False)
        return naive.dt.replace_time_zone(ZONE).dt.convert_time_zone("UTC").alias(metric.name)
    zoned = text.str.to_datetime(f"{TIME_FORMAT} (GMT%z)", time_unit="us", time_zone="UTC", strict=False)
    return zoned.alias(metric.name)


def unix(name):
    return (pl.col(name).cast(pl.Int64) * 1_000_000).cast(pl.Datetime("us", "UTC")).alias(name)


def query(pages):
    lines = pl.scan_csv(
        pages, has_header=False, new_columns=["line"], schema={"line": pl.String}, quote_char=None, separator="\x01"
    )
    page = lines.select(pl.col("line").str.json_decode(PAGE).alias("page")).unnest("page")
    samples = pl.col("body").struct.field("data").struct.field("participant_quality_list").alias("sample")
    first = (pl.col("samples").cum_sum().over(STAY, order_by="page") - pl.col("samples")).alias("first")
    typed = (
        page.filter(pl.col("body").struct.field("code") == 0)
        .select("meeting_no", *map(unix, ["meeting_start_time", "meeting_end_time", "join_time"]), "user_id", "room_id",
                "page", samples)
        .with_columns(pl.col("sample").list.len().cast(pl.Int32).alias("samples"))
        .with_columns(first)
        .with_columns(pl.int_ranges("first", pl.col("first") + pl.col("samples"), dtype=pl.Int32).alias("sample_index"))
        .explode("sample", "sample_index", empty_as_null=False)
        .with_columns(value(metric) for metric in METRICS)
        .with_columns(
            pl.coalesce(SECTION_TIMES).alias("sample_time"),
            pl.col("meeting_start_time").dt.convert_time_zone(ZONE).dt.strftime("%Y-%m-%d").alias("date"),
            pl.lit(None, pl.String).alias("unparsed"),
            pl.coalesce("user_id", "room_id").alias("participant"),
        )
    )
    order = ["date", "meeting_start_time", "meeting_no", "join_time", "participant", "sample_index"]
    return typed.sort(order).select(*NAMES, "date")


def main(pages, output):
    partitions = pl.PartitionBy(output, key="date", include_key=False, approximate_bytes_per_file=None)
    query(pages).sink_parquet(partitions, compression="zstd", compression_level=1, mkdir=True, engine="streaming")


if __name__ == "__main__":
    main(*sys.argv[1:3])
