"""A promise on a dashboard and the metric math of its share of bad events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Any

from ...alarm import Metric
from ...errors import PlanError
from ...model import Counted, Ranked, Slo
from ...plan import PlannedSlo
from ...units import format_number
from .names import Names
from .targets import Queries

#: Seconds: one datapoint an hour, under 2,200 for the longest window, and kept by CloudWatch for 15 months.
WINDOW_PERIOD = 3600


@dataclass(frozen=True, slots=True)
class Promise:
    """A planned SLO on a dashboard: ``label`` names it on the tiles, ``names`` writes its physical names."""

    planned: PlannedSlo
    label: str
    names: Names
    links: tuple[dict[str, Any], ...] = ()

    @property
    def slo(self) -> Slo:
        """What is promised."""
        return self.planned.slo


def spent(queries: Queries, slo: Slo, period: int) -> str:
    """Math for the share of bad events from the beginning of the panel's range up to each datapoint.

    The last datapoint is the share over the whole range.  Without any event there is no value: 0/0 is dropped.
    """
    bad, valid = events(queries, slo, period)
    return f"RUNNING_SUM({bad}) / RUNNING_SUM({valid})"


def events(queries: Queries, slo: Slo, period: int) -> tuple[str, str]:
    """Math for the bad and for the valid events of each period."""
    measure = slo.sli.measure
    if isinstance(measure, Counted):
        bad = _bad(queries, measure, period)
        valid = f"FILL({queries.stat(measure.valid, measure.valid_statistic, period)}, 0)"
        return bad, valid if measure.bad_in_valid else f"({valid} + {bad})"
    if isinstance(measure, Ranked):
        # A percentile rank cannot be added up; weighted by the number of samples it can.
        good = queries.stat(measure.metric, measure.statistic, period)
        count = queries.stat(measure.metric, "SampleCount", period)
        return f"((1 - FILL({good}, 100) / 100) * FILL({count}, 0))", f"FILL({count}, 0)"
    raise PlanError(f"SLO {slo.name} is kept or broken, not a share")


def _bad(queries: Queries, measure: Counted, period: int) -> str:
    """Math for the bad events of each period.

    A level, such as the depth of a dead-letter queue, counts what was added to it: a message that lies there for a
    week is one bad event, not one for each hour.  Where the level is missing it is 0, as for a queue out of use.
    """
    if not measure.bad_is_level:
        return f"FILL({queries.stat(measure.bad, measure.bad_statistic, period)}, 0)"
    rise = f"DIFF(FILL({queries.stat(measure.bad, 'Maximum', period)}, 0))"
    return f"FILL(IF({rise} > 0, {rise}, 0), 0)"


def promise_metrics(slos: Iterable[Slo]) -> list[Metric]:
    """The metrics that promises are measured by."""
    return [metric for slo in slos for metric in slo.sli.metrics]


def promise_windows(promises: Iterable[Promise]) -> list[tuple[timedelta, list[Promise]]]:
    """Promises by their SLO window, the shortest first."""
    groups: dict[timedelta, list[Promise]] = {}
    for promise in promises:
        if promise.slo.window is not None:
            groups.setdefault(promise.slo.window, []).append(promise)
    return sorted(groups.items())


def window_of(slo: Slo) -> timedelta:
    """The SLO window of a promise that has one."""
    if slo.window is None:
        raise PlanError(f"SLO {slo.name} is kept or broken, not a share: it has no window")
    return slo.window


def exact(value: Fraction) -> str:
    """A ratio as metric math writes it."""
    return format_number(value, 15)


def time_range(length: timedelta) -> str:
    """A duration as Grafana's relative time range."""
    seconds = length // timedelta(seconds=1)
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


# Promises of several systems stand in one panel, each with its own names for the physical names.


def queries_of(group: Sequence[Promise]) -> dict[Names, Queries]:
    """The queries of one panel, as each promise's names see them."""
    shared = Queries(group[0].names)
    return {promise.names: shared.named(promise.names) for promise in group}


def joined(queries: dict[Names, Queries]) -> Queries:
    """All the queries of the panel."""
    return next(iter(queries.values()))


def link_down(promise: Promise) -> dict[str, Any]:
    """The field option that leads from a tile to its system."""
    return {"links": list(promise.links)} if promise.links else {}
