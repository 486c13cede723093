"""Turns CSV files of lines `timestamp,value` and a windows.json into a series file and a labels file of Tocsin.

The form is that of NAB (https://github.com/numenta/NAB, data/realAWSCloudwatch): one file a metric, one value every five
minutes, times without a zone.  Four things in it are typical of exports, and each is one function here: times that do not
say that they are UTC (`moment`), gaps and moments given twice (`slots`), file names that stand for metrics (`metric`),
and incidents as pairs of times under a file's name (`labels`).  Only the standard library is used.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

PERIOD = 300

# What a file's name begins with, and what it therefore holds: namespace, metric, dimension, statistic.
METRICS = {
    "ec2_cpu_utilization": ("AWS/EC2", "CPUUtilization", "InstanceId", "Average"),
    "ec2_disk_write_bytes": ("AWS/EC2", "DiskWriteBytes", "InstanceId", "Average"),
    "ec2_network_in": ("AWS/EC2", "NetworkIn", "InstanceId", "Average"),
    "elb_request_count": ("AWS/ELB", "RequestCount", "LoadBalancerName", "Sum"),
    "rds_cpu_utilization": ("AWS/RDS", "CPUUtilization", "DBInstanceIdentifier", "Average"),
}
OTHER = ("NAB", "Value", "Series", "Average")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="Then: tocsin backtest --template …")
    parser.add_argument("folder", type=Path, help="folder with the .csv files and windows.json")
    parser.add_argument("--series", type=Path, required=True, help="series file to write, one JSON object per line")
    parser.add_argument("--labels", type=Path, help="labels file to write; without it windows.json is not read")
    parser.add_argument("--only", metavar="TEXT", default="", help="only files whose name contains this")
    arguments = parser.parse_args()
    try:
        files = sorted(path for path in arguments.folder.glob("*.csv") if arguments.only in path.name)
        if not files:
            return refuse(f"{arguments.folder}: holds no such .csv file")
        series = [read(path) for path in files]
        write(arguments.series, series)
        if arguments.labels:
            windows = json.loads((arguments.folder / "windows.json").read_text(encoding="utf-8"))
            write(arguments.labels, labels(windows, [path.name for path in files]))
    except (OSError, ValueError) as error:
        return refuse(str(error))
    return 0


def read(path: Path) -> dict[str, object]:
    """One file as one series."""
    points: list[tuple[int, float]] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        for number, row in enumerate(csv.reader(file), 1):
            if row and row[0] != "timestamp":
                try:
                    at, value = row
                    points.append((int(moment(at).timestamp()), float(value)))
                except ValueError as error:
                    raise ValueError(f"{path}:{number}: {error}") from None
    if not points:
        raise ValueError(f"{path}: holds no datapoint")
    start, values, twice = slots(points)
    if twice:
        sys.stderr.write(f"{path.name}: {twice} of its moments are given more than once; the mean is taken\n")
    namespace, name, dimension, statistic, key = metric(path)
    return {
        "Namespace": namespace,
        "MetricName": name,
        "Dimensions": {dimension: key},
        "Period": PERIOD,
        "Start": stamp(datetime.fromtimestamp(start, UTC)),
        # These are values of one statistic; nothing else can be had from them, and Tocsin then says so.
        "Statistic": statistic,
        "Values": values,
    }


def moment(text: str) -> datetime:
    """A time without a zone is UTC here; your export may mean another."""
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def slots(points: list[tuple[int, float]]) -> tuple[int, list[float | None], int]:
    """The values on a grid of PERIOD from the first moment, None in gaps; and how many slots had more than one."""
    start = min(at for at, _ in points) // 60 * 60
    found: dict[int, list[float]] = {}
    for at, value in points:
        found.setdefault((at - start) // PERIOD, []).append(value)
    values = [sum(found[slot]) / len(found[slot]) if slot in found else None for slot in range(max(found) + 1)]
    return start, values, sum(len(one) > 1 for one in found.values())


def metric(path: Path) -> tuple[str, str, str, str, str]:
    """What a file holds, by its name: ``ec2_cpu_utilization_24ae8d.csv`` is the CPU of the instance 24ae8d."""
    kind, _, key = path.stem.rpartition("_")
    if kind in METRICS:
        return *METRICS[kind], key
    return *OTHER, path.stem


def labels(windows: dict[str, list[list[str]]], files: list[str]) -> list[dict[str, object]]:
    """Each window as an incident of the alarms that carry the series' key in their name."""
    found: list[dict[str, object]] = []
    for name in sorted(set(windows) & set(files)):
        key = metric(Path(name))[-1]
        for number, (first, last) in enumerate(windows[name], 1):
            found.append(
                {
                    "Name": f"{key} {number}",
                    "Start": stamp(moment(first)),
                    # The window ends with the datapoint of that moment, the incident after it.
                    "End": stamp(moment(last) + timedelta(seconds=PERIOD)),
                    "Alarms": [f"*{key}*"],
                }
            )
    return found


def stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def write(path: Path, records: list[dict[str, object]]) -> None:
    text = "".join(json.dumps(record) + "\n" for record in records)
    path.write_text(text or "[]\n", encoding="utf-8")
    sys.stdout.write(f"wrote {path.name}: {len(records)}\n")


def refuse(why: str) -> int:
    sys.stderr.write(f"error: {why}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
