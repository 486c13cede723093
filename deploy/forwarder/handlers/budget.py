"""What is left of the error budget, from the very metrics that the alarm reads, over the window that was promised.

The ids of an alarm's queries are those of the engine's burn-rate alarms: ``bad`` of ``valid`` events, where bad ones may
be a level that rises, or the share of ``good`` samples.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tocsin.paging.alert import Alert, Promise, budget_left, with_budget

from .routes import code_of

SECONDS = 2.0
# CloudWatch keeps datapoints of a minute for 15 days, of five minutes for 63 and of an hour for 455 (User Guide, "Metrics
# concepts", retention): hours can be had for every window that an SLO may have.
PERIOD = 3600
_CONFIG = Config(connect_timeout=1, read_timeout=1.5, retries={"mode": "standard", "total_max_attempts": 1})


class NoBudgetError(Exception):
    """The alarm is not one that a budget can be read from."""


def begin(alert: Alert) -> Callable[[], Alert]:
    """Begin to find out; the function returned waits for it, two seconds from now at most, and completes the alert.

    A detail is never worth a delay or a failure: whatever goes wrong, the alert is completed with that.
    """
    promise, child = alert.promise, alert.long_window_alarm
    if promise is None or child is None or alert.state != "ALARM":
        return lambda: alert
    found: list[Alert] = []

    def find_out() -> None:
        try:
            found.append(with_budget(alert, left(promise, child, alert.changed_at)))
        except NoBudgetError as error:
            found.append(with_budget(alert, None, str(error)))
        except (ClientError, BotoCoreError) as error:
            found.append(with_budget(alert, None, code_of(error)))
        except Exception as error:  # see above
            found.append(with_budget(alert, None, type(error).__name__))

    asking = threading.Thread(target=find_out, name="budget", daemon=True)
    asking.start()

    def wait() -> Alert:
        asking.join(SECONDS)
        return found[0] if found else with_budget(alert, None, f"CloudWatch did not tell in {SECONDS:g} s")

    return wait


def left(promise: Promise, child: str, at: datetime) -> Fraction:
    """The share of the budget that is left at ``at``.  Raises NoBudgetError and what boto3 raises."""
    described = _cloudwatch().describe_alarms(AlarmNames=[child], AlarmTypes=["MetricAlarm"])["MetricAlarms"]
    if not described:
        raise NoBudgetError(f"alarm {child} is not there")
    queries = {each["Id"]: each for each in described[0].get("Metrics", ())}
    # Whole hours, and the one that has begun.
    end = at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    start = end - promise.window
    bad, valid = _events(queries, start, lambda stats: _series(stats, start, end))
    return budget_left(promise, bad, valid)


Ask = Callable[[Mapping[str, dict[str, Any]]], Mapping[str, Mapping[datetime, Fraction]]]


def _events(queries: Mapping[str, Mapping[str, Any]], start: datetime, ask: Ask) -> tuple[Fraction, Fraction]:
    """How many events were bad, of how many."""
    if {"bad", "valid"} <= queries.keys():
        told = ask({name: _stat(queries[name]) for name in ("bad", "valid")})
        bad = _rises(told["bad"], start) if "added" in queries else sum(told["bad"].values(), Fraction(0))
        valid = sum(told["valid"].values(), Fraction(0))
        result = next((str(each.get("Expression")) for each in queries.values() if each.get("ReturnData")), "")
        return bad, valid if "(FILL(valid, 0) + " not in result else valid + bad
    if "good" in queries:
        good = _stat(queries["good"])
        told = ask({"good": good, "count": {**good, "Stat": "SampleCount"}})
        # A share is rounded by CloudWatch; samples are whole.
        bad = Fraction(0)
        for moment, count in told["count"].items():
            bad += round(count * (100 - told["good"].get(moment, Fraction(100))) / 100)
        return bad, sum(told["count"].values(), Fraction(0))
    raise NoBudgetError("the alarm's metrics are not those of a burn rate")


def _rises(level: Mapping[datetime, Fraction], start: datetime) -> Fraction:
    """What was added to a level; an hour without a value is one at zero, as in the alarm's own expression."""
    hour = timedelta(seconds=PERIOD)
    total = Fraction(0)
    for moment, value in level.items():
        if moment >= start + hour:
            total += max(Fraction(0), value - level.get(moment - hour, Fraction(0)))
    return total


def _stat(query: Mapping[str, Any]) -> dict[str, Any]:
    if "MetricStat" not in query:
        raise NoBudgetError("the alarm's metrics are not those of a burn rate")
    return {**query["MetricStat"], "Period": PERIOD}


def _series(
    stats: Mapping[str, dict[str, Any]], start: datetime, end: datetime
) -> Mapping[str, Mapping[datetime, Fraction]]:
    queries = [{"Id": name, "MetricStat": stat, "ReturnData": True} for name, stat in sorted(stats.items())]
    found: dict[str, dict[datetime, Fraction]] = {name: {} for name in stats}
    page: dict[str, Any] = {}
    while True:
        answer = _cloudwatch().get_metric_data(MetricDataQueries=queries, StartTime=start, EndTime=end, **page)
        for each in answer["MetricDataResults"]:
            _add(found[each["Id"]], each["Timestamps"], each["Values"])
        if not answer.get("NextToken"):
            return found
        page = {"NextToken": answer["NextToken"]}


def _add(series: dict[datetime, Fraction], moments: Sequence[datetime], values: Sequence[float]) -> None:
    series.update({moment: Fraction(value) for moment, value in zip(moments, values, strict=True)})


@cache
def _cloudwatch() -> Any:
    return boto3.client("cloudwatch", config=_CONFIG)


def forget_client() -> None:
    """Make the client anew: for whoever goes on in another AWS."""
    _cloudwatch.cache_clear()
