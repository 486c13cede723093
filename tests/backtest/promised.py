"""Promises of a small shop with the alarms that are planned for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tocsin.alarm import Alarm, CompositeAlarm, MetricQuery
from tocsin.backtest.judge import run_scenario
from tocsin.backtest.outcome import Outcome
from tocsin.backtest.promises import Promise, promises
from tocsin.backtest.scenarios import SCENARIOS
from tocsin.declare import availability, completeness, freshness, heartbeat, latency
from tocsin.model import Resource, Severity, Slo, System
from tocsin.plan import plan
from tocsin.simulate.template import AlarmTemplate

READER = Resource("AWS::Lambda::Function", "Reader", None, {"Timeout": 10})
FAILED = Resource("AWS::SQS::Queue", "Failed", "failed", role="dlq")
ORDERS = Resource(
    "AWS::SQS::Queue",
    "Orders",
    "orders",
    {"RedrivePolicy": {"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:111122223333:failed", "maxReceiveCount": 3}},
)


def ratio(objective: str = "99.9%", *, window: str = "28d", fewest: int = 2) -> Slo:
    """Invocations without an error."""
    return availability(READER, objective=objective, window=window, minimum_bad_events=fewest)


KINDS: dict[str, Callable[[], Slo]] = {
    "counted": ratio,
    "ranked": lambda: latency(READER, below="800ms", objective="99%", window="28d"),
    "gauge": lambda: freshness(ORDERS, below="5min", objective="99.5%", window="28d"),
    "level": lambda: completeness(ORDERS, objective="99.9%", window="28d", minimum_bad_events=2),
    "daily": lambda: heartbeat(READER, every="1d", tolerates="2h"),
    "hourly": lambda: heartbeat(READER, every="1h", tolerates="20min"),
}


def promise(slo: Slo) -> Promise:
    """The promise with its planned alarms."""
    planned = plan(System("shop", "payments", (READER, ORDERS, FAILED), (slo,)))
    own = [one.alarm for one in planned.alarms if one.slo is not None]
    template = AlarmTemplate(
        tuple(alarm for alarm in own if isinstance(alarm, Alarm)),
        tuple(alarm for alarm in own if isinstance(alarm, CompositeAlarm)),
    )
    (only,) = promises(planned, template, "shop.yaml", {})
    return only


def changed(one: Promise, alarm: Callable[[Alarm], Alarm]) -> Promise:
    """The promise with each of its metric alarms changed."""
    return replace(one, template=replace(one.template, alarms=tuple(map(alarm, one.template.alarms))))


def rewritten(one: Promise, old: str, new: str) -> Promise:
    """The promise with other expressions."""

    def query(had: MetricQuery) -> MetricQuery:
        return had if had.expression is None else replace(had, expression=had.expression.replace(old, new))

    found = changed(one, lambda alarm: replace(alarm, queries=tuple(map(query, alarm.queries))))
    assert found.template != one.template, f"no expression holds {old!r}"
    return found


def outcomes(one: Promise, scenario: str, seed: int = 1, usual: float = 100) -> dict[Severity, Outcome]:
    """What came of a scenario, by severity."""
    run = run_scenario(one, SCENARIOS[scenario], seed, usual=usual)
    return {outcome.severity: outcome for outcome in run.outcomes}
