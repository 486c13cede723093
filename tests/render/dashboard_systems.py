"""Systems made by hand for dashboards, and ways to look at a dashboard from outside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from tocsin.alarm import Alarm, Metric, MetricQuery, MetricStat
from tocsin.cloudformation.symbolic import Symbolic
from tocsin.declare import availability, completeness, heartbeat, latency
from tocsin.model import Resource, Slo, System
from tocsin.plan import Plan, Settings, plan
from tocsin.render.dashboards.names import Names
from tocsin.simulate.metric_math import evaluate_expression
from tocsin.simulate.series import Store

RUNBOOKS = "https://runbooks.example.com"
WITH_ADDRESS = Settings(runbooks=RUNBOOKS)


def function(logical_id: str, surroundings: dict[str, Resource] | None = None, **properties: Any) -> Resource:
    """A Lambda function."""
    return Resource("AWS::Lambda::Function", logical_id, properties=properties, surroundings=surroundings or {})


def daily(logical_id: str) -> Resource:
    """A function that a rule runs once a day."""
    surroundings: dict[str, Resource] = {}
    job = function(logical_id, surroundings, Timeout=60)
    surroundings[logical_id] = job
    return job


def checkout(*more: Resource, settings: Settings = WITH_ADDRESS, name: str = "checkout") -> Plan:
    """Two functions with promises of both kinds of share, a nightly job, and ``more``."""
    orders = function("Orders", Timeout=10, ReservedConcurrentExecutions=20)
    billing = function("Billing", FunctionName="billing", Timeout=30)
    nightly = daily("Nightly")
    slos: list[Slo] = [
        availability(orders, objective="99.9%", window="28d"),
        latency(orders, below="800ms", objective="99%", window="28d"),
        availability(billing, objective="99.5%", window="30d"),
        heartbeat(nightly, every="1d"),
    ]
    return plan(System(name, "payments", (orders, billing, nightly, *more), slos), settings)


def queues(name: str = "pickup") -> Plan:
    """A queue with its dead-letter queue, and the promise that nothing ends up there."""
    surroundings: dict[str, Resource] = {}
    redrive = {"deadLetterTargetArn": Symbolic("${Dead.Arn}"), "maxReceiveCount": 5}
    work = Resource("AWS::SQS::Queue", "Work", properties={"RedrivePolicy": redrive}, surroundings=surroundings)
    dead = Resource("AWS::SQS::Queue", "Dead", role="dlq", surroundings=surroundings)
    surroundings |= {"Work": work, "Dead": dead}
    return plan(System(name, "warehouse", (work, dead), [completeness(work, objective="99%", window="7d")]))


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Every panel of every level but rows."""
    return [panel for panel in every_panel(dashboard) if panel["type"] != "row"]


def every_panel(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every panel of every level, rows too."""
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", ())


def panel(dashboard: dict[str, Any], title: str, row: str = "") -> dict[str, Any]:
    """The one panel whose title contains ``title``, in the row whose title begins with ``row``."""
    current, found = "", []
    for item in every_panel(dashboard):
        if item["type"] == "row":
            current = item["title"]
        elif title in item["title"] and current.startswith(row):
            found.append(item)
    assert len(found) == 1, [item["title"] for item in found]
    return found[0]


def metrics_read(dashboard: dict[str, Any]) -> set[Metric]:
    """The metrics that the dashboard's builder queries name."""
    return {
        Metric(target["namespace"], target["metricName"], tuple((k, v[0]) for k, v in target["dimensions"].items()))
        for item in panels(dashboard)
        for target in item["targets"]
        if target["metricEditorMode"] == 0
    }


def shown(metric: Metric, names: Names) -> Metric:
    """A metric of the plan as a dashboard writes it."""
    return Metric(metric.namespace, metric.name, tuple((key, names(value)) for key, value in metric.dimensions))


def metrics_planned(planned: Plan) -> set[Metric]:
    """The metrics a plan knows, as its dashboard writes them."""
    found = {metric for item in planned.alarms if isinstance(item.alarm, Alarm) for metric in item.alarm.metrics}
    found |= {series.metric for group in planned.panels for item in group.panels for series in item.series}
    names = Names(planned)
    return {shown(metric, names) for metric in found}


def queries(item: dict[str, Any]) -> dict[str, MetricQuery]:
    """The panel's targets as CloudWatch gets them: GetMetricData queries by their label, or id if they have none."""
    found: dict[str, MetricQuery] = {}
    for target in item["targets"]:
        period = int(target["period"])
        if target["metricEditorMode"] == 1:
            query = MetricQuery(target["id"], expression=target["expression"], period=period)
        else:
            metric = Metric(
                target["namespace"], target["metricName"], tuple((k, v[0]) for k, v in target["dimensions"].items())
            )
            query = MetricQuery(target["id"], stat=MetricStat(metric, target["statistic"], period), return_data=False)
        found[target["label"] or target["id"]] = query
    return found


def evaluate(item: dict[str, Any], label: str, store: Store, now: datetime) -> tuple[float | None, ...]:
    """What CloudWatch would answer for one series of a panel, over the panel's range up to ``now``."""
    asked = queries(item)
    query = asked[label]
    period = query.period or (query.stat.period if query.stat else 0)
    length = timedelta_of(item.get("timeFrom", "6h"))
    used = [other for other in asked.values() if _period(other) == period]
    return evaluate_expression(used, query.id, store, now - length, length // timedelta(seconds=period), period)


def _period(query: MetricQuery) -> int:
    return query.stat.period if query.stat else query.period or 0


def timedelta_of(text: str) -> timedelta:
    """Grafana's "28d"."""
    count, unit = re.fullmatch(r"(\d+)([smhd])", text).groups()  # type: ignore[union-attr]
    return timedelta(seconds=int(count) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[unit])
