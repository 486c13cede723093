"""How many calls and how long a pull takes for 50 systems of 3 SLOs over 28 days, and the review that is made of it.

``python -m tests.bench_review``.  CloudWatch is a server in a process of its own on this machine, which keeps to the
limits of GetMetricData and counts what it is asked.  Seconds are this machine's; what can be compared between machines
are the calls, and the ratios to asking the same without keeping anything, and to a bare interpreter.
"""

# ruff: noqa: T201 - a program that prints

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent))

from tests.bench import measure

from history.metric_server import Asked, MetricServer, environment_of, name_of, serving, system_of
from tocsin.cloud.session import connect
from tocsin.history.cloudwatch import CloudWatch
from tocsin.history.pull import pull
from tocsin.history.store import open_store

#: 28 whole days of one month, and the time at which they are pulled.
SINCE, UNTIL = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 10, 29, tzinfo=UTC)
NOW = UNTIL + timedelta(minutes=15)
# API reference, GetMetricData.
MOST_QUERIES, MOST_DATAPOINTS = 500, 100_800


class Quick(MetricServer):
    """Ten orders in each minute, of which now and then one fails; made without a step for each datapoint."""

    def metrics(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer GetMetricData."""
        start, end = (datetime.fromtimestamp(request[key], UTC) for key in ("StartTime", "EndTime"))
        queries = request["MetricDataQueries"]
        period = queries[0]["MetricStat"]["Period"]
        asked = Asked([name_of(query["MetricStat"]) for query in queries], period, start, end)
        if len(queries) > MOST_QUERIES or asked.datapoints > MOST_DATAPOINTS:
            return 400, {"__type": "ValidationError", "message": "over a limit"}
        self.asked.append(asked)
        times = list(range(int(start.timestamp()), int(end.timestamp()), period))
        minutes = period // 60
        good = [10.0 * minutes] * len(times)
        bad = ([1.0 * minutes] + [0.0] * 96)[: len(times)] * (len(times) // 97 + 1)
        results = [
            {
                "Id": query["Id"],
                "Timestamps": times,
                "Values": bad[: len(times)] if query["MetricStat"]["Metric"]["MetricName"].endswith("-bad") else good,
                "StatusCode": "Complete",
            }
            for query in queries
        ]
        return 200, {"MetricDataResults": results}


@dataclass(frozen=True)
class Seen:
    """What one request of GetMetricData asked, at the wire."""

    metrics: int
    period: int
    datapoints: int


def serve(pipe: Connection) -> None:
    """The server, until told to stop; then what it was asked."""
    with serving(Quick(now=NOW)) as server:
        pipe.send(server.url)
        while pipe.recv() == "asked":
            pipe.send([Seen(len(one.metrics), one.period, one.datapoints) for one in server.asked])


@contextmanager
def cloudwatch() -> Iterator[tuple[str, Connection]]:
    """The server in a process of its own: its address, and the pipe to it."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(there,))
    process.start()
    try:
        yield here.recv(), here
    finally:
        here.send("end")
        process.join(10)


def floor(asked: list[Seen]) -> int:
    """The least number of requests that the limits allow for what was asked, whatever its cut."""
    total = 0
    for period in {one.period for one in asked}:
        points = sum(one.datapoints for one in asked if one.period == period)
        widest = max(one.metrics for one in asked if one.period == period)
        total += max(-(-points // MOST_DATAPOINTS), -(-widest // MOST_QUERIES))
    return total


def bare(url: str, asked: list[Seen]) -> float:
    """Seconds to ask for as much and drop it."""
    address = urlsplit(url)
    begin = time.perf_counter()
    for one in asked:
        start = int(SINCE.timestamp())
        stat = {"Metric": {"Namespace": "Bench", "MetricName": "x-valid", "Dimensions": []}, "Stat": "Sum"}
        queries = [{"Id": f"q{n}", "MetricStat": {**stat, "Period": one.period}} for n in range(one.metrics)]
        end = start + one.datapoints // one.metrics * one.period
        body = json.dumps({"StartTime": start, "EndTime": end, "MetricDataQueries": queries})
        connection = http.client.HTTPConnection(str(address.hostname), address.port)
        connection.request("POST", "/", body, {"X-Amz-Target": "GraniteServiceVersion20100801.GetMetricData"})
        connection.getresponse().read()
        connection.close()
    return time.perf_counter() - begin


@dataclass(frozen=True)
class Done:
    """What a pull took: seconds and MB, and whether nothing is missing."""

    complete: bool
    seconds: float
    memory: float


def pulled_into(folder: Path, url: str, systems: int, slos: int) -> Done:
    """A pull of everything, in a process of its own: what it takes there is not counted for what comes after it."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_pulled_into, (folder, url, systems, slos))


def _pulled_into(folder: Path, url: str, systems: int, slos: int) -> Done:
    os.environ |= environment_of(MetricServer(url=url))
    cloud = connect("eu-west-1", endpoint_url=url)
    promised = [system_of(f"system-{number:02}", slos=slos, alarms=slos) for number in range(systems)]
    begin = time.perf_counter()
    result = pull(CloudWatch(cloud), open_store(str(folder)), promised, SINCE, UNTIL, NOW)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)
    return Done(result.complete, time.perf_counter() - begin, memory)


def main() -> int:
    """Print the figures.  Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench_review", description=str(__doc__).split("\n\n", 1)[0])
    parser.add_argument("--systems", type=int, default=50)
    parser.add_argument("--slos", type=int, default=3, help="of each system")
    parser.add_argument("--runs", type=int, default=3, help="of the review")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder, cloudwatch() as (url, pipe):
        history = Path(folder) / "history"
        first = pulled_into(history, url, options.systems, options.slos)
        pipe.send("asked")
        asked: list[Seen] = pipe.recv()
        again = pulled_into(history, url, options.systems, options.slos)
        pipe.send("asked")
        more = len(pipe.recv()) - len(asked)
        dropped = bare(url, asked)
        print_pull(history, options, asked, first, dropped, again, more)
        print_review(Path(folder), history, options.runs)
    return 0


def print_pull(
    history: Path, options: argparse.Namespace, asked: list[Seen], first: Done, dropped: float, again: Done, more: int
) -> None:
    """Calls, seconds and memory of the first pull, and of the second."""
    size = sum(path.stat().st_size for path in history.rglob("*.parquet")) / 1e6
    points = sum(one.datapoints for one in asked)
    what = f"{options.systems} systems x {options.slos} SLOs x 28 days"
    print(f"{what}: {points:,} datapoints, {size:.1f} MB of Parquet")
    print(f"{'GetMetricData, at the wire':36}{len(asked):8} calls; the least that its limits allow: {floor(asked)}")
    ratio = first.seconds / dropped
    print(f"{'pull':36}{first.seconds:8.1f} s   {ratio:5.1f} times asking and dropping it ({dropped:.1f} s)")
    print(f"{'':36}{first.memory:8.0f} MB{'' if first.complete else ', INCOMPLETE'}")
    print(
        f"{'the same, pulled again':36}{more:8} calls in {again.seconds:.1f} s{'' if again.complete else ', INCOMPLETE'}"
    )


def print_review(folder: Path, history: Path, runs: int) -> None:
    """Seconds and memory of the review from what was pulled."""
    base = measure([sys.executable, "-c", "pass"], runs, folder)
    page = folder / "review.html"
    command = [sys.executable, "-m", "tocsin", "review", "--month", "2026-10", "--env", "prod"]
    made = measure([*command, "--history", str(history), "-o", str(page)], runs, folder)
    size = page.stat().st_size / 1e6
    print(
        f"{'review from stored history':36}{made.wall:8.2f} s   {made.wall / base.wall:5.0f} times a bare interpreter"
    )
    print(f"{'':36}{made.cpu:8.2f} s of the processor, {made.memory:.0f} MB, a page of {size:.1f} MB")


if __name__ == "__main__":
    sys.exit(main())
