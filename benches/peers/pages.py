"""Makes raw pages for the comparison, in the archive's envelope. Usage: pages.py SAMPLES SEED > PAGES

As the API sends them: times that rise by the minute, values that stay near one another and repeat, sections and keys that
are missing for a while, another time zone here and there, full pages of 100 samples and shorter last ones.
"""

import random
import sys
from datetime import datetime, timedelta, timezone

from columns import SECTIONS, ZONE_OFFSET_S, metrics_of

START = datetime(2025, 3, 3, 1, 0, tzinfo=timezone.utc)
DAYS = 90
PAGE_SAMPLES = 100

#: How many of the participants never send a section.
ABSENT = {"network": 0.0, "audio": 0.02, "video": 0.2, "screen_sharing": 0.7, "cpu_usage": 0.05}
#: The usual range of a value, by the unit of its column.
RANGES = {"ms": (5, 220), "kbps": (8, 2400), "%": (0, 120), "dB": (-45, 20), "fps": (5, 30), "px": (0, 5)}
LINES = ["180P", "360P", "720P", "1080P", "2K", "4K"]
ZONES = {8: "GMT+08:00", 7: "GMT+07:00", -5: "GMT-05:00"}


class Walk:
    """One metric of one participant: a value that moves in small steps, or stays."""

    def __init__(self, metric, chance):
        self.metric = metric
        low, high = RANGES[metric.unit]
        self.low, self.high, self.step = low, high, max(1, (high - low) // 40)
        self.value = chance.randint(low, high)

    def text(self, chance):
        if chance.random() < 0.4:
            self.value = min(self.high, max(self.low, self.value + chance.randint(-self.step, self.step)))
        if chance.random() < 0.01:
            return chance.choice(["", "-"])
        if self.metric.unit == "px":
            return LINES[self.value]
        if self.metric.unit == "%":
            # Tenths of a percent, without a zero at the end.
            return f"{self.value / 10:g}%"
        return f"{self.value}{self.metric.unit}"


def sample(participant, time, chance):
    sections = []
    for section, walks in participant["sections"].items():
        zone = participant["zone"]
        local = time + timedelta(hours=8 if section == "cpu_usage" else zone)
        suffix = "" if section == "cpu_usage" else f" ({ZONES[zone]})"
        fields = [f'"time":"{local:%Y.%m.%d %H:%M}:00{suffix}"']
        fields += [f'"{walk.metric.key}":"{walk.text(chance)}"' for walk in walks]
        sections.append(f'"{section}":{{{",".join(fields)}}}')
    return f"{{{','.join(sections)}}}"


def participant(number, chance):
    sections = {}
    for section in SECTIONS:
        if chance.random() >= ABSENT[section]:
            sections[section] = [Walk(metric, chance) for metric in metrics_of(section) if metric.type != "timestamp"]
    is_room = chance.random() < 0.05
    key, id_ = ("room_id", f"omm_{chance.getrandbits(128):032x}") if is_room else ("user_id", f"ou_{number:032x}")
    zone = 8 if chance.random() < 0.97 else chance.choice([7, -5])
    return {"key": key, "id": id_, "zone": zone, "sections": sections}


def pages(meeting_no, start, minutes, person, chance):
    """The pages of one stay: its samples, a page each hundred of them."""
    join = start + timedelta(seconds=chance.randint(0, 90))
    count = max(1, minutes - chance.randint(0, 4))
    first = join.replace(second=0)
    end = start + timedelta(minutes=minutes)
    envelope = (
        f'"meeting_no":"{meeting_no:09}","meeting_start_time":"{start.timestamp():.0f}",'
        f'"meeting_end_time":"{end.timestamp():.0f}","join_time":"{join.timestamp():.0f}",'
        f'"{person["key"]}":"{person["id"]}"'
    )
    for page, done in enumerate(range(0, count, PAGE_SAMPLES)):
        minutes_of_page = range(done, min(count, done + PAGE_SAMPLES))
        samples = ",".join(sample(person, first + timedelta(minutes=minute), chance) for minute in minutes_of_page)
        more = done + PAGE_SAMPLES < count
        token = f'"page_token":"{done + PAGE_SAMPLES}",' if more else ""
        data = f'{{"participant_quality_list":[{samples}],{token}"has_more":{str(more).lower()}}}'
        yield f'{{{envelope},"page":{page},"body":{{"code":0,"msg":"success","data":{data}}}}}\n', len(minutes_of_page)


def main(samples, seed):
    samples, chance = int(samples), random.Random(int(seed))
    written, meeting = 0, 0
    while written < samples:
        meeting += 1
        # Sorted by nothing, like the pages of several lanes.
        start = START + timedelta(days=chance.randrange(DAYS), seconds=chance.randrange(10 * 3600))
        minutes = chance.choice([15, 30, 30, 45, 60, 60, 90, 120])
        meeting_no = chance.randrange(10**9)
        for number in range(chance.randint(2, 14)):
            person = participant(meeting * 100 + number, chance)
            for line, count in pages(meeting_no, start, minutes, person, chance):
                sys.stdout.write(line)
                written += count


if __name__ == "__main__":
    main(*sys.argv[1:])
