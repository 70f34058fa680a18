#!/usr/bin/env python3
"""Decodes an archive of raw pages on Spark: `vcq decode` beside the data, as a child process of each task.

    vcq archive export 2026-01-01..2026-03-31 pages.parquet        # or one file a month, into a bucket
    spark-submit --files $(command -v vcq) spark_decode.py s3a://bucket/pages/ s3a://bucket/quality/

writes the rows of all pages, partitioned by `date`: those that `vcq rebuild` publishes, where each date is in one archive that was
exported when it was complete (DECODE.md). It needs pyarrow and pandas beside PySpark, and vcq on every
executor: as a wheel in their Python (`pip install vcq-….whl`), on their PATH, or by `--files` as above. Spark's own fault
handling holds: where a child fails, its task fails with what the child said, and is tried again.

As a library: `decode(frame)` turns a frame of pages into one of samples.
"""

import argparse
import os
import shutil
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

#: Pages of a batch that is handed to a child: it is in memory as a whole, and a page has up to 100 kB.
PAGES_PER_BATCH = 200

#: The last lines of a child's standard error that an exception carries.
LINES_KEPT = 20

#: How the dataset is sorted.
ORDER = ["meeting_start_time", "meeting_no", "join_time", "user_id", "room_id", "sample_index"]


def decode(pages, vcq="vcq", arguments=()):
    """The rows of a frame of pages, which has the columns of an archive. `arguments` are further ones of `vcq decode`."""
    import pyarrow
    from pyspark.sql.pandas.types import from_arrow_schema

    arguments = ["decode", "--from", "arrow", "--to", "arrow", "--quiet", *arguments]
    # What it writes of no page has the schema.
    nothing = subprocess.run([find(vcq), *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    schema = pyarrow.ipc.open_stream(nothing.stdout).schema
    if __name__ != "__main__":
        pages.sparkSession.sparkContext.addPyFile(__file__)
    pages.sparkSession.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", PAGES_PER_BATCH)
    # Spark's default for timestamps in Parquet is a form that only it takes for an instant.
    pages.sparkSession.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    return pages.mapInArrow(lambda batches: decode_batches(batches, vcq, arguments), from_arrow_schema(schema))


def decode_batches(batches, vcq, arguments):
    """Decodes the batches of one task; raises an exception if the child does not exit with 0."""
    import pyarrow

    batches = iter(batches)
    first = next(batches, None)
    if first is None:
        return
    pipe = subprocess.PIPE
    child = subprocess.Popen([find(vcq), *arguments], stdin=pipe, stdout=pipe, stderr=pipe)
    said, failures = deque(maxlen=LINES_KEPT), []

    def feed():
        try:
            with child.stdin, pyarrow.ipc.new_stream(child.stdin, first.schema) as stream:
                stream.write_batch(first)
                for batch in batches:
                    stream.write_batch(batch)
        except BrokenPipeError:
            pass  # The child has ended, and its exit code says why.
        except Exception as error:
            failures.append(error)
            # Without the end of its input the child would take what it has for everything.
            child.kill()

    # A pipe that nobody empties would stop the child.
    threads = [threading.Thread(target=feed, daemon=True), threading.Thread(target=said.extend, args=[child.stderr])]
    for thread in threads:
        thread.start()
    unread = None
    try:
        try:
            with pyarrow.ipc.open_stream(child.stdout) as rows:
                yield from rows
        except (pyarrow.ArrowException, OSError) as error:
            unread = error
        child.stdout.close()
        code = child.wait()
    finally:
        # Also where nobody wants the rest of the rows.
        child.kill()
        child.wait()
        threads[1].join()
    threads[0].join()
    if failures:
        raise failures[0]
    if code != 0:
        told = b"".join(said).decode(errors="replace")
        raise RuntimeError(f"vcq decode exited with {code}:\n{told}") from unread
    if unread is not None:
        raise unread


def find(vcq):
    """The program: by its path, from `--files`, beside the Python of the executor, or on the PATH."""
    from pyspark import SparkFiles

    if os.sep in vcq:
        return vcq
    shipped = SparkFiles.get(vcq)
    if os.path.exists(shipped):
        # What Spark has shipped has lost its run bit.
        os.chmod(shipped, 0o755)
        return shipped
    beside = Path(sys.executable).with_name(vcq)
    found = str(beside) if beside.exists() else shutil.which(vcq)
    if found is None:
        raise FileNotFoundError(f"no `{vcq}`: install its wheel on the executors, or hand it on with --files")
    return found


def main():
    from pyspark.sql import SparkSession

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", help="archives as Parquet: a file, a folder or a pattern")
    parser.add_argument("output", help="folder of the dataset, or table of Delta")
    parser.add_argument("--format", default="parquet", choices=["parquet", "delta"])
    parser.add_argument("--vcq", default="vcq", help="path of the program on the executors")
    parser.add_argument("--sorted", action="store_true", help="one file a date, sorted as vcq does; this costs a shuffle")
    parser.add_argument("arguments", nargs="*", help="further arguments of `vcq decode`, after `--`")
    asked = parser.parse_args()
    session = SparkSession.builder.appName("vcq decode").getOrCreate()
    rows = decode(session.read.parquet(asked.pages), asked.vcq, asked.arguments)
    if asked.sorted:
        rows = rows.repartition("date").sortWithinPartitions(*ORDER)
    rows.write.partitionBy("date").format(asked.format).mode("errorifexists").save(asked.output)


if __name__ == "__main__":
    main()
