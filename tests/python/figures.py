"""The numbers of `vcq report --json`, computed by DuckDB on the same files.

    figures.py FOLDER ZONE FIRST LAST MINUTES_MIN

The folder holds the datasets quality and, if they are there, meetings and participants. Prints what the figures of these dates
must have, as JSON of the same form, shown by day, with the default limits. What is not here is compared elsewhere.
"""

import json
import re
import sys
from pathlib import Path

import duckdb

KEY = "meeting_no, meeting_start_time, join_time, user_id, room_id"
CAUSES = ["delay", "loss", "jitter", "cpu", "frame_rate"]
DIMENSIONS = ["network_type", "device", "app_version", "location", "microphone"]


def judged(column):
    """Cause, unit, limit, and the condition of what is beyond it, by the documentation of `[report]`."""
    rules = [
        (r"network_delay_ms|\w+_latency_\w+_ms", "delay", "ms", 150, "{c} > 150"),
        (r"network_packet_loss_avg_\w+_pct", "loss", "%", 3, "{c} > 3"),
        (r"\w+_jitter_\w+_ms", "jitter", "ms", 30, "{c} > 30"),
        (r"\w+_avg_cpu_usage_pct", "cpu", "%", 90, "{c} > 90"),
        (r"video_framerate_\w+_fps", "frame_rate", "fps", 10, "{c} > 0 AND {c} < 10"),
        (r"screen_sharing_framerate_\w+_fps", "frame_rate", "fps", 5, "{c} > 0 AND {c} < 5"),
    ]
    for pattern, cause, unit, limit, condition in rules:
        if re.fullmatch(pattern, column):
            return cause, unit, limit, condition.format(c=column)
    return None


class Figures:
    def __init__(self, folder, zone, first, last, minutes_min):
        self.db = duckdb.connect()
        self.db.execute(f"SET TimeZone = '{zone}'")
        self.minutes_min = minutes_min
        for name in ["quality", "meetings", "participants"]:
            files = f"{folder}/{name}/*/*.parquet"
            if any(Path(folder).glob(f"{name}/*/*.parquet")):
                self.db.execute(
                    f"CREATE TABLE {name} AS SELECT * FROM read_parquet('{files}', hive_partitioning = true, "
                    f"filename = true, file_row_number = true) WHERE date BETWEEN '{first}' AND '{last}'"
                )
        self.tables = {name for (name,) in self.rows("SELECT table_name FROM duckdb_tables()")}
        columns = [name for name, *_ in self.rows("DESCRIBE quality")]
        self.metrics = {column: judged(column) for column in columns if judged(column)}
        beyond = {
            cause: " OR ".join(f"coalesce({rule}, false)" for of, _, _, rule in self.metrics.values() if of == cause)
            for cause in CAUSES
        }
        flags = ", ".join(f"({condition}) AS is_{cause}" for cause, condition in beyond.items())
        self.db.execute(
            f"CREATE TABLE minutes AS SELECT *, is_delay OR is_loss OR is_jitter OR is_cpu OR is_frame_rate AS is_bad "
            f"FROM (SELECT *, {flags} FROM quality)"
        )

    def rows(self, query):
        return self.db.execute(query).fetchall()

    def tallies(self, by="NULL", source="minutes"):
        """Group -> tally."""
        counts = ", ".join(f"count_if(is_{cause})" for cause in CAUSES)
        query = f"SELECT {by}, count(*), count_if(is_bad), {counts} FROM {source} GROUP BY ALL"
        return {
            tuple(row[: -len(CAUSES) - 2]): {
                "minutes": row[-len(CAUSES) - 2],
                "bad_minutes": row[-len(CAUSES) - 1],
                "bad_share": row[-len(CAUSES) - 1] / row[-len(CAUSES) - 2],
                "beyond": dict(zip(CAUSES, row[-len(CAUSES) :])),
            }
            for row in self.rows(query)
        }

    def measured(self, where="true"):
        found = []
        for column, (cause, unit, limit, rule) in self.metrics.items():
            minutes, median, p95, beyond = self.rows(
                f"SELECT count({column}), quantile_cont({column}, 0.5), quantile_cont({column}, 0.95), count_if({rule}) "
                f"FROM minutes WHERE {where}"
            )[0]
            found.append(
                {
                    "column": column,
                    "cause": cause,
                    "unit": unit,
                    "limit": limit,
                    "minutes": minutes,
                    "median": median,
                    "p95": p95,
                    "beyond": beyond,
                    "share": beyond / minutes if minutes else None,
                }
            )
        return found

    def coverage(self, where="true"):
        (found,) = self.rows(
            f"SELECT count(*), count(DISTINCT ({KEY})), count(DISTINCT (meeting_no, meeting_start_time)), "
            f"coalesce(sum(cardinality(unparsed)), 0)::BIGINT FROM quality WHERE {where}"
        )
        coverage = dict(zip(["minutes", "stays", "meetings", "unparsed"], found))
        if "meetings" in self.tables:
            coverage["meetings_listed"] = self.rows(f"SELECT count(*) FROM meetings WHERE {where}")[0][0]
        if "participants" in self.tables:
            has_id = "join_time IS NOT NULL AND coalesce(user_id, room_id) IS NOT NULL"
            is_long = "coalesce(meeting_end_time - meeting_start_time > INTERVAL 1 DAY, false)"
            first = f"(SELECT DISTINCT ON ({KEY}) * FROM participants WHERE {where} AND {has_id} AND NOT {is_long} ORDER BY file_row_number)"
            attendances, without_id, too_long = self.rows(
                f"SELECT count(*), count_if(NOT ({has_id})), count_if({has_id} AND {is_long}) FROM participants WHERE {where}"
            )[0]
            expected = self.rows(f"SELECT count(*) FROM {first}")[0][0]
            by_date = self.rows(f"SELECT coalesce(sum(time_in_meeting_s), 0)::BIGINT // 60 FROM {first} GROUP BY date")
            found = self.rows(
                f"SELECT count(*) FROM (SELECT DISTINCT {KEY} FROM quality WHERE {where}) AS stay WHERE EXISTS (FROM participants AS person "
                f"WHERE person.meeting_no = stay.meeting_no AND person.meeting_start_time = stay.meeting_start_time AND "
                f"person.join_time = stay.join_time AND person.user_id IS NOT DISTINCT FROM stay.user_id AND "
                f"person.room_id IS NOT DISTINCT FROM stay.room_id)"
            )[0][0]
            coverage |= {
                "attendances": attendances,
                "attendances_without_id": without_id,
                "attendances_too_long": too_long,
                "stays_expected": expected,
                "stays_found": found,
                "minutes_expected": sum(minutes for (minutes,) in by_date),
            }
        return coverage

    def ranking(self, tallies, most, name):
        enough = [(key, tally) for key, tally in tallies.items() if tally["minutes"] >= self.minutes_min]
        few = [tally["minutes"] for tally in tallies.values() if tally["minutes"] < self.minutes_min]
        # Nulls first, as in the figures.
        enough.sort(key=lambda group: (-group[1]["bad_share"], -group[1]["minutes"], [(k is not None, k) for k in group[0]]))
        return {
            "worst": [name(key) | tally for key, tally in enough[:most]],
            "ranked": len(enough),
            "too_few": len(few),
            "too_few_minutes": sum(few),
        }

    def place(self):
        def meeting(key):
            return {"date": str(key[0]), "meeting_no": key[2]}

        place = {
            "meetings": self.ranking(self.tallies("date, epoch_us(meeting_start_time), meeting_no"), 10, meeting),
        }
        for kind in ["room", "user"]:
            ids = self.tallies(f"{kind}_id", f"(FROM minutes WHERE {kind}_id IS NOT NULL)")
            place[f"{kind}s"] = self.ranking(ids, 10, lambda key: {"name": key[0]})
        if "participants" not in self.tables:
            return place
        self.db.execute(
            f"CREATE TABLE joined AS SELECT minutes.*, {', '.join(DIMENSIONS)} FROM minutes JOIN "
            f"(SELECT DISTINCT ON ({KEY}) * FROM participants ORDER BY file_row_number) AS person ON "
            f"minutes.meeting_no = person.meeting_no AND minutes.meeting_start_time = person.meeting_start_time AND "
            f"minutes.join_time = person.join_time AND minutes.user_id IS NOT DISTINCT FROM person.user_id AND "
            f"minutes.room_id IS NOT DISTINCT FROM person.room_id"
        )
        place["joined"] = next(iter(self.tallies(source="joined").values()), {"minutes": 0})
        for column in DIMENSIONS:
            place[column] = self.ranking(self.tallies(column, "joined"), 20, lambda key: {"name": key[0]})
        means = self.tallies(
            "CASE WHEN room_id IS NOT NULL THEN 'room' WHEN device IS NULL THEN 'unknown' "
            "WHEN lower(device) IN ('windows', 'mac', 'linux') THEN 'computer' "
            "WHEN lower(device) IN ('ios', 'android') THEN 'mobile' ELSE 'other' END",
            "(SELECT *, NULL AS device FROM minutes WHERE false UNION ALL BY NAME "
            f"SELECT minutes.*, device FROM minutes LEFT JOIN (SELECT DISTINCT ON ({KEY}) * FROM participants "
            "ORDER BY file_row_number) AS person ON minutes.meeting_no = person.meeting_no AND "
            "minutes.meeting_start_time = person.meeting_start_time AND minutes.join_time = person.join_time AND "
            "minutes.user_id IS NOT DISTINCT FROM person.user_id AND minutes.room_id IS NOT DISTINCT FROM person.room_id)",
        )
        order = ["room", "computer", "mobile", "other", "unknown"]
        place["means"] = sorted(({"name": name} | tally for (name,), tally in means.items()), key=lambda m: order.index(m["name"]))
        return place

    def all(self):
        days = self.tallies("date")
        hours = self.tallies("date, hour(sample_time)", "(FROM minutes WHERE sample_time IS NOT NULL)")
        dates = sorted({date for table in self.tables - {"minutes", "joined"} for (date,) in self.rows(f"SELECT DISTINCT date FROM {table}")})
        unparsed = self.rows("SELECT k, count(*) FROM (SELECT unnest(map_keys(unparsed)) AS k FROM quality) GROUP BY k")
        return {
            "complete": {
                "total": self.coverage(),
                "unparsed": dict(unparsed),
                "dates": [{"date": str(date)} | self.coverage(f"date = '{date}'") for date in dates],
            },
            "good": {
                **next(iter(self.tallies().values())),
                "metrics": self.measured(),
                "periods": [
                    {"first": str(date), "last": str(date)} | days[date,] | {"metrics": self.measured(f"date = '{date}'")}
                    for (date,) in sorted(days)
                ],
            },
            "when": [
                {
                    "first": str(date),
                    "hours": [hours.get((date, hour), {"minutes": 0, "bad_minutes": 0}) for hour in range(24)],
                }
                for (date,) in sorted(days)
            ],
            "minutes_without_time": self.rows("SELECT count(*) FROM quality WHERE sample_time IS NULL")[0][0],
            "where": self.place(),
        }


folder, zone, first, last, minutes_min = sys.argv[1:]
print(json.dumps(Figures(folder, zone, first, last, int(minutes_min)).all()))
