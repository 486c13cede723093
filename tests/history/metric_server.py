"""A CloudWatch over HTTP that keeps to the limits of GetMetricData, counts what it is asked, and can fail; and systems."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tocsin.alarm import Metric
from tocsin.cloud.session import Cloud, connect
from tocsin.history.watched import PulledSystem, TellingAlarm
from tocsin.model import Counted, Measure, Resource, Severity, Sli, SliKind, Slo

NOW = datetime(2026, 11, 21, 12, 7, 31, tzinfo=UTC)
UNTIL = datetime(2026, 11, 21, 11, 50, tzinfo=UTC)
RESOURCE = Resource("AWS::Lambda::Function", "Orders")
_AGES = ((3600, 455), (300, 63), (60, 15))

Value = Callable[[dict[str, Any], datetime], float | None]


@dataclass
class Asked:
    """One request of GetMetricData as it was on the wire."""

    metrics: list[str]
    period: int
    start: datetime
    end: datetime

    @property
    def datapoints(self) -> int:
        return len(self.metrics) * int((self.end - self.start).total_seconds()) // self.period


@dataclass
class MetricServer:
    """``value`` gives each datapoint; ``faults`` are (status, code) answered first; ``page`` cuts answers into pages."""

    url: str = ""
    now: datetime = NOW
    value: Value | None = None
    faults: list[tuple[int, str]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    listed: list[dict[str, Any]] = field(default_factory=list)
    changes: list[tuple[str, datetime, str, str]] = field(default_factory=list)
    denied: set[str] = field(default_factory=set)
    refuse: Callable[[Asked], tuple[int, str] | None] = lambda asked: None
    forbidden: set[str] = field(default_factory=set)
    page: int = 100_800
    every: int = 60  # seconds between datapoints, where they are sparse

    def answer(self, operation: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if operation in self.denied:
            return 403, {"__type": "AccessDenied", "message": f"not authorized to perform: cloudwatch:{operation}"}
        if operation == "DescribeAlarmHistory":
            return 200, self.history(request)
        assert operation == "GetMetricData", operation
        if self.faults:
            status, code = self.faults.pop(0)
            return status, {"__type": code, "message": "Rate exceeded"}
        return self.metrics(request)

    def metrics(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        start, end = (datetime.fromtimestamp(request[key], UTC) for key in ("StartTime", "EndTime"))
        queries = request["MetricDataQueries"]
        [period] = {query["MetricStat"]["Period"] for query in queries}
        assert start.timestamp() % period == 0, "buckets are counted from the start"
        token = int(request.get("NextToken", 0))
        asked = Asked([name_of(query["MetricStat"]) for query in queries], period, start, end)
        assert len(set(asked.metrics)) == len(asked.metrics)
        refused = self.refuse(asked)
        if refused:
            return refused[0], {"__type": refused[1], "message": "Rate exceeded"}
        if not token:
            self.asked.append(asked)
        if len(queries) > 500 or asked.datapoints > 100_800:
            return 400, {"__type": "ValidationError", "message": "over a limit"}
        kept = self.now - timedelta(days=next(days for least, days in _AGES if period % least == 0))
        results = []
        count = 0
        for query in queries:
            points = []
            step = max(1, self.every // period)
            first = -int(start.timestamp() // period) % step
            for place in range(first, int((end - start).total_seconds()) // period if self.value else 0, step):
                at = start + timedelta(seconds=place * period)
                value = self.value(query["MetricStat"], at) if self.value and at >= kept else None
                if value is not None:
                    if token <= count < token + self.page:
                        points.append((at.timestamp(), value))
                    count += 1
            code = "Forbidden" if name_of(query["MetricStat"]) in self.forbidden else "Complete"
            results.append(
                {
                    "Id": query["Id"],
                    "Timestamps": [at for at, _ in points],
                    "Values": [value for _, value in points],
                    "StatusCode": code,
                }
            )
        more = {"NextToken": str(token + self.page)} if count > token + self.page else {}
        return 200, {"MetricDataResults": results, **more}

    def history(self, request: dict[str, Any]) -> dict[str, Any]:
        self.listed.append(request)
        start = datetime.fromtimestamp(request.get("StartDate", 0), UTC)
        end = datetime.fromtimestamp(request.get("EndDate", 4e9), UTC)
        name = request.get("AlarmName")
        items = [
            {
                "AlarmName": alarm,
                "Timestamp": at.timestamp(),
                "HistoryItemType": "StateUpdate",
                "HistorySummary": f"Alarm updated from {before} to {after}",
                "HistoryData": json.dumps(
                    {"oldState": {"stateValue": before}, "newState": {"stateValue": after, "stateReason": "because"}}
                ),
            }
            for alarm, at, before, after in sorted(self.changes, key=lambda change: change[1])
            if start <= at <= end and name in (None, alarm)
        ]
        first = int(request.get("NextToken", 0))
        last = first + request.get("MaxRecords", 50)
        more = {"NextToken": str(last)} if len(items) > last else {}
        return {"AlarmHistoryItems": items[first:last], **more}


def name_of(stat: dict[str, Any]) -> str:
    """The metric and statistic of a query."""
    metric = stat["Metric"]
    dimensions = ",".join(f"{one['Name']}={one['Value']}" for one in metric["Dimensions"])
    return f"{metric['Namespace']}/{metric['MetricName']}/{dimensions}/{stat['Stat']}"


@contextmanager
def serving(server: MetricServer | None = None) -> Iterator[MetricServer]:
    """The server on a free port of this machine, for the length of the block."""
    made = server or MetricServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            status, answer = made.answer(operation, json.loads(body))
            text = json.dumps(answer).encode()
            self.send_response_only(status)
            self.send_header("Date", formatdate(made.now.timestamp(), usegmt=True))
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        made.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield made
        finally:
            http.shutdown()
            thread.join()


def cloud_of(server: MetricServer, patch: pytest.MonkeyPatch) -> Cloud:
    """A connection to the server as a user's would be."""
    for name, value in environment_of(server).items():
        patch.setenv(name, value)
    return connect("eu-west-1", endpoint_url=server.url)


def environment_of(server: MetricServer) -> dict[str, str]:
    """What a process needs to reach the server."""
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL": server.url,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }


def counter(name: str, system: str = "shop") -> Metric:
    return Metric("Shop", name, (("System", system),))


def slo_of(name: str = "orders", system: str = "shop", measure: Measure | None = None, days: int = 28) -> Slo:
    made = measure or Counted(counter(f"{name}-bad", system), counter(f"{name}-valid", system))
    sli = Sli(SliKind.AVAILABILITY, RESOURCE, made, "orders that were taken", "here")
    return Slo(name, sli, Fraction(99, 100), timedelta(days=days))


def system_of(name: str = "shop", slos: int = 1, alarms: int = 1, days: int = 28) -> PulledSystem:
    """A system of so many SLOs of two counters, and alarms on them."""
    promised = tuple(slo_of(f"orders-{number}", name, days=days) for number in range(slos))
    telling = tuple(
        TellingAlarm(f"prod-{name}-orders-{number}-page", Severity.PAGE, f"orders-{number}", "slo-availability")
        for number in range(alarms)
    )
    return PulledSystem("prod", name, "sales", promised, telling)


def steady(stat: dict[str, Any], at: datetime) -> float:
    """Ten orders a minute, of which one fails in every minute that is a multiple of seven."""
    minutes = stat["Period"] // 60
    first = int(at.timestamp()) // 60
    if stat["Metric"]["MetricName"].endswith("-bad"):
        return float(sum(minute % 7 == 0 for minute in range(first, first + minutes)))
    return 10.0 * minutes
