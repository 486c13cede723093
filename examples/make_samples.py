"""Makes the small invented histories under examples/, in the forms that the importers read.

The same on every machine: run `python examples/make_samples.py` after a change here.
"""

from __future__ import annotations

import json
import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

HERE = Path(__file__).parent
START = datetime(2026, 3, 2, tzinfo=UTC)
STEP = timedelta(minutes=5)
DAYS = 8
ROWS = DAYS * 288


def main() -> None:
    for path, text in sorted(texts().items()):
        (HERE / path).parent.mkdir(parents=True, exist_ok=True)
        (HERE / path).write_text(text, encoding="utf-8", newline="\n")


def texts() -> dict[str, str]:
    """The files by path below this folder."""
    return {**servers(), **shop()}


def servers() -> dict[str, str]:
    """A web server and a database of eight days, as files of lines ``timestamp,value``."""
    chance = random.Random(4)  # noqa: S311  invented data
    # Row of the begin, and how many rows it lasts.
    web_incidents = [(300, 12), (820, 10), (1400, 14), (1990, 12)]
    database_incidents = [(310, 12), (1100, 16), (1410, 14), (2100, 12)]
    web, database = [], []
    for row in range(ROWS):
        day = math.sin(2 * math.pi * (row % 288) / 288)
        load = 38 + 14 * day + 6 * chance.random()
        if row % 288 in (250, 251):  # a backup, every night
            load = 83 + 3 * chance.random()
        if within(row, web_incidents):
            load = 93 + 5 * chance.random()
        web.append((row, load))
        load = 14 + 4 * day + 5 * chance.random()
        if within(row, database_incidents):
            load = 55 + 8 * chance.random()
        database.append((row, load))
    # As exports are: an hour is missing, and a moment is there twice.
    web = [one for one in web if not 600 <= one[0] < 612]
    database.insert(500, database[500])
    windows = {
        "ec2_cpu_utilization_web1.csv": [window(one) for one in web_incidents],
        "rds_cpu_utilization_db1.csv": [window(one) for one in database_incidents],
    }
    return {
        "nab/sample/ec2_cpu_utilization_web1.csv": table(web),
        "nab/sample/rds_cpu_utilization_db1.csv": table(database),
        "nab/sample/windows.json": json.dumps(windows, indent=1) + "\n",
    }


def shop() -> dict[str, str]:
    """Two quiet days of a shop, and four times an hour round an incident, as tables with a header of three rows."""
    chance = random.Random(7)  # noqa: S311  invented data
    found = {"petshop/sample/quiet/metrics.csv": wide(chance, START + timedelta(days=6), 576, ())}
    for number in range(4):
        begin = START + timedelta(days=number, hours=5 * number + 2)
        bad = range(5, 8)
        folder = f"petshop/sample/incident_{number}"
        found[f"{folder}/metrics.csv"] = wide(chance, begin, 12, bad, latency=number % 2 == 0)
        seen = {"timestamp": int((begin + 5 * STEP).timestamp()) + 40, "node": "Shop"}
        found[f"{folder}/target.json"] = json.dumps({"target": seen}) + "\n"
    return found


def wide(chance: random.Random, begin: datetime, rows: int, bad: range | tuple[()], *, latency: bool = True) -> str:
    """One metrics.csv; ``bad`` rows are slow, or fail."""
    names = [
        ("Shop", "latency", "Average"),
        ("Shop", "latency", "p99"),
        ("Shop", "availability", "Average"),
        ("Shop", "requests", "Sum"),
        ("Search", "latency", "Average"),
        ("Reports", "latency", "Average"),
    ]
    head = zip(("microservice", "metric", "statistic"), *names, strict=True)
    lines = [",".join(row) for row in head] + ["unix_timestamp" + "," * len(names)]
    for row in range(rows):
        slow, failing = row in bad and latency, row in bad and not latency
        latency_now = 0.09 + 0.02 * chance.random() + (0.08 if slow else 0)
        cells = [
            f"{latency_now:.4f}",
            f"{latency_now * (4 + chance.random()):.4f}",
            f"{100 - 0.5 * chance.random() - (4 if failing else 0):.2f}",
            str(600 + int(100 * chance.random())),
            f"{0.005 + 0.002 * chance.random() + (0.05 if slow else 0):.5f}",
            # Nobody asks for reports at most times.
            f"{1 + chance.random():.3f}" if chance.random() < 0.2 else "",
        ]
        lines.append(",".join([str(int((begin + row * STEP).timestamp())), *cells]))
    return "\n".join(lines) + "\n"


def within(row: int, incidents: list[tuple[int, int]]) -> bool:
    return any(begin <= row < begin + length for begin, length in incidents)


def window(incident: tuple[int, int]) -> list[str]:
    begin, length = incident
    return [moment(begin), moment(begin + length - 1)]


def moment(row: int) -> str:
    return f"{START + row * STEP:%Y-%m-%d %H:%M:%S}"


def table(points: list[tuple[int, float]]) -> str:
    return "timestamp,value\n" + "".join(f"{moment(row)},{value:.2f}\n" for row, value in points)


if __name__ == "__main__":
    main()
