"""Python with orjson and pyarrow, as a careful user would write it. Usage: python_job.py PAGES OUTPUT THREADS

Lists by column instead of a dictionary by row, and a cache of the texts that were read, which come again and again.
"""

import re
import sys
from datetime import datetime, timedelta, timezone

import orjson
import pyarrow as pa
import pyarrow.dataset as ds
from columns import COLUMNS, NAMES, SECTION_TIMES, SECTIONS, ZONE_OFFSET_S, metrics_of

ROWS_MAX = 50_000

CHINA = timezone(timedelta(seconds=ZONE_OFFSET_S))
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
TYPES = {
    "string": pa.string(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "double": pa.float64(),
    "int32": pa.int32(),
    "map": pa.map_(pa.string(), pa.string()),
}
#: What the pages are sorted by, and the partition.
ADDED = ["participant", "date"]
SCHEMA = pa.schema([*((name, TYPES[type_]) for name, type_ in COLUMNS), *((name, pa.string()) for name in ADDED)])

NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
LINES = {"2K": 1440, "4K": 2160}


class Cache(dict):
    """A function of one text that remembers all it was asked for."""

    def __init__(self, read):
        self.read = read
        self[None] = None

    def __missing__(self, text):
        value = self[text] = self.read(text)
        return value


def double(text):
    match = NUMBER.match(text)
    return float(match.group()) if match else None


def int32(text):
    if text in LINES:
        return LINES[text]
    return int(text[:-1]) if text.endswith("P") and text[:-1].isdigit() else None


def timestamp(text):
    try:
        if text.endswith(")"):
            time = datetime.strptime(text, "%Y.%m.%d %H:%M:%S (GMT%z)")
        else:
            time = datetime.strptime(text, "%Y.%m.%d %H:%M:%S").replace(tzinfo=CHINA)
    except ValueError:
        return None
    return (time - EPOCH) // timedelta(microseconds=1)


READERS = {"double": Cache(double), "int32": Cache(int32), "timestamp": Cache(timestamp)}
READ = {section: [(m.name, m.key, READERS[m.type]) for m in metrics_of(section)] for section in SECTIONS}


def page_columns(page, first, samples):
    """The columns of one page, whose first sample is the stay's `first`."""
    rows = len(samples)
    start_s = int(page["meeting_start_time"])
    user, room = page.get("user_id"), page.get("room_id")
    constant = {
        "meeting_no": page["meeting_no"],
        "meeting_start_time": start_s * 1_000_000,
        "meeting_end_time": int(page["meeting_end_time"]) * 1_000_000,
        "join_time": int(page["join_time"]) * 1_000_000,
        "user_id": user,
        "room_id": room,
        "unparsed": None,
        "participant": user or room,
        "date": datetime.fromtimestamp(start_s, CHINA).strftime("%Y-%m-%d"),
    }
    columns = {name: [value] * rows for name, value in constant.items()}
    columns["sample_index"] = range(first, first + rows)
    for section, metrics in READ.items():
        objects = [sample.get(section) or {} for sample in samples]
        for name, key, read in metrics:
            columns[name] = [read[fields.get(key)] for fields in objects]
    times = zip(*(columns[name] for name in SECTION_TIMES))
    columns["sample_time"] = [next((time for time in row if time is not None), None) for row in times]
    return columns


def batches(pages):
    """All pages as record batches; the pages of a stay come in their order."""
    columns, rows, firsts = {name: [] for name in SCHEMA.names}, 0, {}
    with open(pages, "rb") as lines:
        for line in lines:
            page = orjson.loads(line)
            if page["body"]["code"] != 0:
                continue
            samples = page["body"]["data"].get("participant_quality_list") or []
            stay = (page["meeting_no"], page["meeting_start_time"], page["join_time"], page.get("user_id") or page["room_id"])
            first = firsts.get(stay, 0)
            firsts[stay] = first + len(samples)
            for name, values in page_columns(page, first, samples).items():
                columns[name].extend(values)
            rows += len(samples)
            if rows >= ROWS_MAX:
                yield batch(columns)
                columns, rows = {name: [] for name in SCHEMA.names}, 0
    yield batch(columns)


def batch(columns):
    arrays = [pa.array(columns[field.name], field.type) for field in SCHEMA]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def main(pages, output, threads):
    pa.set_cpu_count(int(threads))
    table = pa.Table.from_batches(batches(pages))
    order = ["date", "meeting_start_time", "meeting_no", "join_time", "participant", "sample_index"]
    table = table.sort_by([(name, "ascending") for name in order]).select([*NAMES, "date"])
    parquet = ds.ParquetFileFormat()
    ds.write_dataset(
        table,
        output,
        format=parquet,
        file_options=parquet.make_write_options(compression="zstd", compression_level=1),
        partitioning=ds.partitioning(pa.schema([("date", pa.string())]), flavor="hive"),
        preserve_order=True,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
