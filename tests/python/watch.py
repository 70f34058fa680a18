"""Queries a dataset by DuckDB without a pause until standard input ends, and prints what it saw as one line of JSON.

    watch.py DATASET

    queries   how many succeeded
    errors    what went wrong in the others -> how often
    seen      date -> its states in the order in which they were seen: rows, and the exclusive or of the rows' hashes

If standard input ends at once, there is one query.
"""

import json
import re
import select
import sys
from collections import Counter

import duckdb

dataset = sys.argv[1]
QUERY = f"""
    SELECT date::VARCHAR, count(*), bit_xor(hash(rows))::VARCHAR
    FROM read_parquet('{dataset}/*/*.parquet', hive_partitioning = true) AS rows
    GROUP BY date
"""


def is_over():
    return bool(select.select([sys.stdin], [], [], 0)[0])


kept, queries, errors, seen = duckdb.connect(), 0, Counter(), {}
while True:
    # A connection may keep what it knows of files: so every other query has one of its own.
    connection = kept if (queries + errors.total()) % 2 else duckdb.connect()
    try:
        for date, *state in connection.execute(QUERY).fetchall():
            states = seen.setdefault(date, [])
            if not states or states[-1] != state:
                states.append(state)
        queries += 1
    except duckdb.Error as error:
        # Without paths, which hold a file's digits.
        errors[re.sub(r'".*?"|/\S+', "…", str(error)).splitlines()[0]] += 1
    if is_over():
        break

print(json.dumps({"queries": queries, "errors": errors, "seen": seen}))
