"""What a dataset holds, for comparison with another. Usage: check.py OUTPUT

Prints rows, a hash of every row and column that does not depend on the order of the rows, how often a row comes before
one that it should follow, files and bytes, as JSON.
"""

import json
import sys
from pathlib import Path

import duckdb
from columns import COLUMNS

#: By these the rows of a file should rise.
ORDER = "meeting_start_time, meeting_no, join_time, coalesce(user_id, room_id), user_id IS NULL, sample_index"


def text(name, type_):
    """A column so that equal values have one text, whatever wrote them."""
    return f"epoch_us({name})::VARCHAR" if type_ == "timestamp" else f"{name}::VARCHAR"


def main(output):
    db = duckdb.connect()
    db.execute("SET enable_progress_bar = false")
    files = sorted(Path(output).glob("date=*/*.parquet"))
    source = f"read_parquet('{output}/*/*.parquet', hive_partitioning = true, filename = true, file_row_number = true)"
    cells = ", ".join(text(name, type_) for name, type_ in COLUMNS)
    rows, digest = db.execute(f"SELECT count(*), sum(hash(row({cells}, date::VARCHAR))) FROM {source}").fetchone()
    (breaks,) = db.execute(f"""
        WITH row_pair AS (
            SELECT row({ORDER}) AS here,
                lag(row({ORDER})) OVER (PARTITION BY filename ORDER BY file_row_number) AS before
            FROM {source}
        )
        SELECT count(*) FROM row_pair WHERE before >= here
    """).fetchone()
    total = sum(file.stat().st_size for file in files)
    print(json.dumps({"rows": rows, "hash": str(digest), "breaks": breaks, "files": len(files), "bytes": total}))


if __name__ == "__main__":
    main(*sys.argv[1:])
