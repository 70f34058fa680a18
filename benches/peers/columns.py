"""The columns of the dataset `quality`, read from the reference of the project: config/COLUMNS.md."""

import re
from pathlib import Path
from typing import NamedTuple

REFERENCE = Path(__file__).parents[2] / "config" / "COLUMNS.md"

#: Decides the date of a meeting, and is the zone of time texts that carry none.
ZONE = "Asia/Shanghai"
ZONE_OFFSET_S = 8 * 3600

#: By these the rows of a date are sorted; for nulls see the jobs.
ORDER = ("meeting_start_time", "meeting_no", "join_time", "user_id", "room_id", "sample_index")


class Metric(NamedTuple):
    """A column that comes from a text of a sample."""

    name: str
    #: "timestamp", "double" or "int32".
    type: str
    #: The unit as the API writes it after a number; empty for a timestamp, "px" for a resolution.
    unit: str
    section: str
    key: str


def read():
    """All columns in the dataset's order as (name, type), and the metrics among them."""
    row = re.compile(r"\| `(\w+)` \| (\w+) \|(?: ([^|]*?) \| `(\w+)\.(\w+)` \|)?")
    columns, metrics = [], []
    quality, _, _ = REFERENCE.read_text(encoding="utf-8").partition("\n## meetings\n")
    for line in quality.splitlines():
        if match := row.match(line):
            name, type_, unit, section, key = match.groups()
            columns.append((name, type_))
            if section:
                metrics.append(Metric(name, type_, unit.strip(), section, key))
    assert len(columns) == 53 and len(metrics) == 44, "the column reference has another form"
    return columns, metrics


COLUMNS, METRICS = read()
NAMES = [name for name, _ in COLUMNS]
SECTIONS = list(dict.fromkeys(metric.section for metric in METRICS))
SECTION_TIMES = [metric.name for metric in METRICS if metric.type == "timestamp"]


def metrics_of(section):
    return [metric for metric in METRICS if metric.section == section]
