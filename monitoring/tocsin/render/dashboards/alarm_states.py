"""What the alarms say, recomputed: Grafana cannot ask CloudWatch for states, so each alarm's own condition is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ...alarm import Alarm, Comparison, TreatMissingData
from ...model import Severity, SinceSuccess
from ...plan import Plan, PlannedAlarm
from ...units import format_duration
from .links import runbook_links, runbook_text
from .names import Names
from .page_states import draw_pages, page_queries, paging_tiers
from .panels import ALARM, BREACHING, FINE, NOW, OK, SOON, Block, block, states
from .promise_math import Promise
from .sliding import queries_for, sums_of_last
from .targets import Queries

_SIGNS: Mapping[Comparison, str] = {
    Comparison.GREATER: ">",
    Comparison.GREATER_OR_EQUAL: ">=",
    Comparison.LESS: "<",
    Comparison.LESS_OR_EQUAL: "<=",
}
_MAPPINGS: dict[str, Any] = {
    "type": "value",
    "options": {
        str(OK): {"text": "OK", "color": FINE, "index": 0},
        str(ALARM): {"text": "ALARM", "color": NOW, "index": 1},
        str(BREACHING): {"text": "breaching", "color": SOON, "index": 2},
    },
}
_NO_BAR = " A row without a bar: CloudWatch has nothing to judge it by."

#: More rows than this are no longer one look; the queries of a panel stay under CloudWatch's 500 a call.
_ROWS, _QUERIES = 40, 480
# A longer row of datapoints is a condition on silence, such as "nothing ran": every single one breaches, all day.
_MOST_DATAPOINTS = 60
# Longer names are cut off by Grafana, at their beginning.
_LONGEST_LABEL = 54


@dataclass(frozen=True, slots=True)
class Rows:
    """One or more rows of a timeline: what draws them, how many queries that takes, and the runbook's alarm kind."""

    draw: Callable[[Queries], None]
    rows: int
    queries: int
    kind: str


def page_rows(plan: Plan, promises: Sequence[Promise]) -> tuple[Rows, ...]:
    """Everything that pages and is not kept or broken as a whole, which the tiles of the jobs show."""
    burning = [
        Rows(
            partial(draw_pages, promise=promise),
            len(paging_tiers(promise)),
            page_queries(promise),
            f"slo-{promise.slo.sli.kind.value}",
        )
        for promise in promises
        if paging_tiers(promise)
    ]
    return (*burning, *_alarm_rows(plan, Severity.PAGE))


def ticket_rows(plan: Plan) -> tuple[Rows, ...]:
    """The metric alarms that write tickets: the causes."""
    return _alarm_rows(plan, Severity.TICKET)


def page_height(rows: Sequence[Rows]) -> int:
    """Grid units that the rows need to be read."""
    return max(4, 3 + -(-2 * sum(item.rows for item in rows) // 5))


def page_blocks(plan: Plan, names: Names, rows: Sequence[Rows], width: int, height: int) -> list[Block]:
    """The state timelines of what pages, as many as are needed."""
    pairs = {
        (tier.long_window, tier.short_window)
        for planned in plan.slos
        for tier in planned.tiers
        if tier.severity is Severity.PAGE
    }
    shorter = " and ".join(f"{format_duration(short)} to {format_duration(long)}" for long, short in sorted(pairs))
    named = f", a twelfth of it ({shorter})," if shorter else ""
    jobs = [planned.slo.name for planned in plan.slos if isinstance(planned.slo.sli.measure, SinceSuccess)]
    elsewhere = (
        f" Not here: {', '.join(jobs)}. What is kept or broken looks back further than this graph shows; somebody is paged "
        "when its tile of successful runs is red."
        if jobs
        else ""
    )
    description = (
        "Red: somebody is paged, for both windows of a pair burn too fast: the long one, by which the row is named, says "
        f"that it matters, the short one{named} that it is still going on. Orange: only the short one does, so far."
        f"{elsewhere} Drawn again from the metrics: "
        "CloudWatch's windows slide by the minute, these by the shortest one, so they may differ by that much, and more at "
        "the beginning, where what came before is not known."
    )
    return [
        _timeline(plan, names, f"Would it page?{number}", f"pages{number}", description, chunk, width, height)
        for number, chunk in _chunks(rows)
    ]


def ticket_blocks(plan: Plan, names: Names, rows: Sequence[Rows]) -> list[Block]:
    """The state timelines of the causes, as many as are needed."""
    description = (
        "The ticket alarms' own conditions, drawn again from their metrics. Red is a state of ALARM; orange a datapoint "
        "that breaches where the alarm needs several. A bar that starts with the trouble names its cause."
    )
    return [
        _timeline(
            plan,
            names,
            f"Which causes are in alarm?{number}",
            f"tickets{number}",
            description,
            chunk,
            24,
            page_height(chunk),
        )
        for number, chunk in _chunks(rows)
    ]


def _alarm_rows(plan: Plan, severity: Severity) -> tuple[Rows, ...]:
    jobs = {slo.slo.name for slo in plan.slos if isinstance(slo.slo.sli.measure, SinceSuccess)}
    return tuple(
        Rows(
            partial(_draw_alarm, planned=planned, alarm=planned.alarm),
            1,
            len(planned.alarm.queries) + 2 + queries_for(planned.alarm.evaluation_periods),
            planned.kind,
        )
        for planned in plan.alarms
        if isinstance(planned.alarm, Alarm)
        and planned.severity is severity
        and planned.slo not in jobs
        and planned.alarm.evaluation_periods <= _MOST_DATAPOINTS
    )


def _chunks(rows: Sequence[Rows]) -> list[tuple[str, Sequence[Rows]]]:
    """The rows of each timeline, with its number where there are several."""
    chunks: list[list[Rows]] = []
    count = queries = 0
    for item in rows:
        count, queries = count + item.rows, queries + item.queries
        if not chunks or count > _ROWS or queries > _QUERIES:
            chunks.append([])
            count, queries = item.rows, item.queries
        chunks[-1].append(item)
    return [(f" ({index})" if len(chunks) > 1 else "", chunk) for index, chunk in enumerate(chunks, start=1)]


def _timeline(
    plan: Plan,
    names: Names,
    title: str,
    key: str,
    description: str,
    rows: Sequence[Rows],
    width: int,
    height: int,
) -> Block:
    queries = Queries(names)
    for row in rows:
        row.draw(queries)
    kinds = sorted({row.kind for row in rows})
    panel = states(
        title,
        description + _NO_BAR + runbook_text(plan.settings, kinds),
        [_MAPPINGS],
        sum(row.rows for row in rows),
        runbook_links(plan.settings, kinds),
    )
    return block(f"states {key}", panel, queries, width, height)


def _draw_alarm(queries: Queries, planned: PlannedAlarm, alarm: Alarm) -> None:
    key = planned.logical_id
    queries.math(condition(queries, alarm, key), alarm.period, key, _label(planned))


def condition(queries: Queries, alarm: Alarm, key: str) -> str:
    """Math that is 0 where the alarm is fine, 1 where it is in ALARM, 2 where a datapoint breaches but more are needed.

    Missing datapoints follow the alarm: breaching and notBreaching count, missing and ignore leave a gap and are
    passed over, as CloudWatch does while it finds older ones.
    """
    value = queries.alarm(alarm.queries, alarm.period, key)
    text = f"IF({value} {_SIGNS[alarm.comparison]} {_number(alarm.threshold)}, 1, 0)"
    missing = {TreatMissingData.NOT_BREACHING: 0, TreatMissingData.BREACHING: 1}.get(alarm.treat_missing_data)
    if missing is not None:
        text = f"FILL({text}, {missing})"
    count = alarm.evaluation_periods
    if count == 1:
        return text
    breaches = queries.math(text, alarm.period, f"{key} breaches", hide=True)
    together = sums_of_last(queries, breaches, (count,), alarm.period, key, gaps=missing is None)[count]
    # A sum of ones and noughts is whole but for rounding.
    return f"IF({together} > {alarm.datapoints_to_alarm - 0.5}, {ALARM}, IF({breaches} > 0, {BREACHING}, {OK}))"


def _label(planned: PlannedAlarm) -> str:
    subject, colon, symptom = planned.title.partition(": ")
    too_long = len(planned.title) - _LONGEST_LABEL
    if too_long <= 0 or not colon:
        return planned.title
    return f"{subject[: max(8, len(subject) - too_long - 1)]}…: {symptom}"


def _number(value: float) -> str:
    return repr(int(value)) if value == int(value) else repr(value)
