"""Turns tables with a header of three rows (service, metric, statistic) into a series file and a labels file of Tocsin.

The form is that of the PetShop dataset (https://github.com/amazon-science/petshop-root-cause-analysis): a folder for each
stretch of time with a metrics.csv of one row every five minutes, and beside it a target.json where there was an incident.
Typical of wide exports, and each one function here: columns named by several header rows (`columns`), empty cells
(`read`), several statistics of one metric (`name`), one metric spread over many files (`main`), and incidents of which only
the moment is known at which they were seen (`label`).  Only the standard library is used.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

PERIOD = 300
NAMESPACE, DIMENSION = "PetShop", "Service"
HEADER = ("microservice", "metric", "statistic")
INDEX = "unix_timestamp"

Record = dict[str, object]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="Then: tocsin backtest --template …")
    parser.add_argument("folder", type=Path, help="folder in which metrics.csv files are looked for, at any depth")
    parser.add_argument("--series", type=Path, required=True, help="series file to write, one JSON object per line")
    parser.add_argument("--labels", type=Path, help="labels file to write, from target.json beside a metrics.csv")
    parser.add_argument("--service", action="append", default=[], help="only this service; may be repeated")
    parser.add_argument(
        "--before",
        type=int,
        default=300,
        metavar="SECONDS",
        help="begin of an incident before it was seen (default 300)",
    )
    parser.add_argument(
        "--after", type=int, default=900, metavar="SECONDS", help="its end after it was seen (default 900)"
    )
    arguments = parser.parse_args()
    try:
        # One metric has a series for each folder; Tocsin puts them together as long as no moment is given twice.
        tables = sorted(arguments.folder.rglob("metrics.csv"))
        if not tables:
            return refuse(f"{arguments.folder}: holds no metrics.csv")
        write(arguments.series, [one for path in tables for one in read(path, arguments.service)])
        if arguments.labels:
            targets = sorted(arguments.folder.rglob("target.json"))
            found = [label(path, arguments.folder, arguments.before, arguments.after) for path in targets]
            write(arguments.labels, found)
    except (OSError, ValueError, KeyError) as error:
        return refuse(f"no {error} in a target.json" if isinstance(error, KeyError) else str(error))
    return 0


def read(path: Path, services: list[str]) -> list[Record]:
    """The series of one table: one for each column that has a value at all."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    names = columns(rows, path)
    body = [row for row in rows[len(HEADER) :] if row and row[0].strip() and row[0] != INDEX]
    if not body:
        return []
    times = [int(float(row[0])) for row in body]
    start = min(times) // 60 * 60
    found: list[Record] = []
    for column, (service, metric, statistic) in enumerate(names, 1):
        if services and service not in services:
            continue
        values: list[float | None] = [None] * ((max(times) - start) // PERIOD + 1)
        for at, row in zip(times, body, strict=True):
            # An empty cell is no data, which is not the same as a nought.
            values[(at - start) // PERIOD] = float(row[column]) if row[column].strip() else None
        if any(value is not None for value in values):
            found.append(
                {
                    "Namespace": NAMESPACE,
                    "MetricName": name(metric, statistic),
                    "Dimensions": {DIMENSION: service},
                    "Period": PERIOD,
                    "Start": stamp(start),
                    "Statistic": statistic,
                    "Values": values,
                }
            )
    return found


def columns(rows: list[list[str]], path: Path) -> list[tuple[str, str, str]]:
    """Service, metric and statistic of each column after the first."""
    head = rows[: len(HEADER)]
    if tuple(row[0] if row else "" for row in head) != HEADER:
        raise ValueError(f"{path}: its first rows are not {', '.join(HEADER)}")
    return list(zip(*(row[1:] for row in head), strict=True))


def name(metric: str, statistic: str) -> str:
    """A series of values holds one statistic, so each further one of a metric gets a name of its own."""
    return metric if statistic in ("Average", "Sum") else f"{metric}_{statistic}"


def label(path: Path, folder: Path, before: int, after: int) -> Record:
    """An incident from a bit before it was seen, because that is when it began, until it is over."""
    seen = int(json.loads(path.read_text(encoding="utf-8"))["target"]["timestamp"])
    where = path.parent.relative_to(folder).as_posix()
    return {
        "Name": where.replace("/train", "") if where != "." else path.parent.resolve().name,
        "Start": stamp(seen - before),
        "End": stamp(seen + after),
    }


def stamp(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def write(path: Path, records: list[Record]) -> None:
    text = "".join(json.dumps(record) + "\n" for record in records)
    path.write_text(text or "[]\n", encoding="utf-8")
    sys.stdout.write(f"wrote {path.name}: {len(records)}\n")


def refuse(why: str) -> int:
    sys.stderr.write(f"error: {why}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
