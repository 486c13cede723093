"""What the alarms say, recomputed: Grafana cannot ask CloudWatch for states, so each alarm's own condition is drawn."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from ...alarm import Alarm, Comparison, CompositeAlarm, TreatMissingData
from ...model import Severity
from ...plan import Plan, PlannedAlarm
from ...units import format_duration
from .links import runbook_links, runbook_text
from .panels import FINE, NOW, SOON, Block, block, states
from .targets import Queries
from .variables import Names

_SIGNS: Mapping[Comparison, str] = {
    Comparison.GREATER: ">",
    Comparison.GREATER_OR_EQUAL: ">=",
    Comparison.LESS: "<",
    Comparison.LESS_OR_EQUAL: "<=",
}
_OK, _ALARM, _BREACHING = 0, 1, 2
_MAPPINGS: dict[str, Any] = {
    "type": "value",
    "options": {
        str(_OK): {"text": "OK", "color": FINE, "index": 0},
        str(_ALARM): {"text": "ALARM", "color": NOW, "index": 1},
        str(_BREACHING): {"text": "breaching", "color": SOON, "index": 2},
    },
}
_IN_RULE = re.compile(r'ALARM\("([^"]+)"\)')

#: More rows than this in one panel cannot be read, and 100 alarms stay well under CloudWatch's 500 queries a call.
_ROWS = 100
_HIGHEST = 14
# A heartbeat's hundreds of datapoints are each "nothing ran"; only all of them together mean something, and the tile
# "successful runs" says that.
_MOST_DATAPOINTS = 60


def page_alarms(plan: Plan) -> tuple[PlannedAlarm, ...]:
    """The metric alarms behind every page: those that page themselves and the windows of composites that do."""
    feeding = {
        name
        for planned in plan.alarms
        if planned.severity is Severity.PAGE and isinstance(planned.alarm, CompositeAlarm)
        for name in _IN_RULE.findall(planned.alarm.rule)
    }
    return tuple(
        planned
        for planned in plan.alarms
        if _drawable(planned) and (planned.severity is Severity.PAGE or planned.alarm.name in feeding)
    )


def ticket_alarms(plan: Plan) -> tuple[PlannedAlarm, ...]:
    """The metric alarms that write tickets: the causes."""
    return tuple(planned for planned in plan.alarms if _drawable(planned) and planned.severity is Severity.TICKET)


def page_blocks(plan: Plan, alarms: Sequence[PlannedAlarm], width: int, height: int) -> list[Block]:
    """The state timelines of what pages, as many as are needed."""
    description = (
        "The paging alarms' own conditions, drawn again from their metrics. For a promise somebody is paged while "
        "both windows of a pair are red: the long one says that it matters, the short one that it is still going on. "
        "CloudWatch's windows slide, the bars here begin at full periods, so they may differ by one period."
    )
    return [
        _timeline(plan, f"Would it page?{number}", f"pages{number}", description, chunk, width, height)
        for number, chunk in _chunks(alarms)
    ]


def ticket_blocks(plan: Plan, alarms: Sequence[PlannedAlarm]) -> list[Block]:
    """The state timelines of the causes, as many as are needed."""
    description = (
        "The ticket alarms' own conditions, drawn again from their metrics. Red is a state of ALARM; orange a datapoint "
        "that breaches where the alarm needs several (2 of 3). A bar that starts with the trouble names its cause."
    )
    return [
        _timeline(
            plan,
            f"Which causes are in alarm?{number}",
            f"tickets{number}",
            description,
            chunk,
            24,
            max(4, min(_HIGHEST, 3 + len(chunk))),
        )
        for number, chunk in _chunks(alarms)
    ]


def _chunks(alarms: Sequence[PlannedAlarm]) -> list[tuple[str, Sequence[PlannedAlarm]]]:
    """The alarms of each timeline, with its number where there are several."""
    return [
        (f" ({start // _ROWS + 1})" if len(alarms) > _ROWS else "", alarms[start : start + _ROWS])
        for start in range(0, len(alarms), _ROWS)
    ]


def _drawable(planned: PlannedAlarm) -> bool:
    return isinstance(planned.alarm, Alarm) and planned.alarm.evaluation_periods <= _MOST_DATAPOINTS


def _timeline(
    plan: Plan,
    title: str,
    key: str,
    description: str,
    alarms: Sequence[PlannedAlarm],
    width: int,
    height: int,
) -> Block:
    queries = Queries(Names())
    for planned in alarms:
        alarm = planned.alarm
        if isinstance(alarm, Alarm):
            queries.math(
                condition(queries, alarm, planned.logical_id), alarm.period, planned.logical_id, _label(planned)
            )
    kinds = sorted({planned.kind for planned in alarms})
    panel = states(
        title,
        description + runbook_text(plan.settings, kinds),
        [_MAPPINGS],
        runbook_links(plan.settings, kinds),
    )
    return block(f"states {key}", panel, queries, width, height)


def condition(queries: Queries, alarm: Alarm, key: str) -> str:
    """Math that is 0 where a datapoint is fine, 1 where it means ALARM, 2 where it breaches but more are needed.

    Missing datapoints follow the alarm: breaching and notBreaching count, missing and ignore leave a gap.
    """
    value = queries.alarm(alarm.queries, alarm.period, key)
    breach = _BREACHING if alarm.datapoints_to_alarm > 1 else _ALARM
    threshold = _number(alarm.threshold)
    test = f"{value} {_SIGNS[alarm.comparison]} {threshold}"
    text = f"IF({test}, {breach}, {_OK})"
    if alarm.treat_missing_data is TreatMissingData.NOT_BREACHING:
        return f"FILL({text}, {_OK})"
    if alarm.treat_missing_data is TreatMissingData.BREACHING:
        return f"FILL({text}, {breach})"
    return text


def _label(planned: PlannedAlarm) -> str:
    alarm = planned.alarm
    if not isinstance(alarm, Alarm):
        return planned.title
    if planned.slo is not None and planned.severity is None:
        return f"{planned.slo}, {format_duration(timedelta(seconds=alarm.period))}"
    needed = alarm.datapoints_to_alarm
    return f"{planned.title} ({needed} of {alarm.evaluation_periods})" if needed > 1 else planned.title


def _number(value: float) -> str:
    return repr(int(value)) if value == int(value) else repr(value)
