"""Metric math in alarms: checks a set of queries against CloudWatch's limits and evaluates it.

User guide, pages "Using math expressions with CloudWatch metrics" and "Alarms based on metric math".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from ..alarm import MetricQuery, MetricStat
from ..errors import SimulationError, nearest
from . import math_syntax as syntax
from .reading import DEFAULT, Reading
from .series import seconds
from .source import MetricSource, RangeSource
from .statistics import parse_statistic

if TYPE_CHECKING:
    from .columns import Floats, Indices
    from .math_evaluation import Fetch

_MAX_QUERIES, _MAX_STATS, _MAX_EXPRESSIONS = 20, 10, 10
_ID = re.compile(r"[a-z][A-Za-z0-9_]*")

# Functions by the number of their arguments.  Pointwise: the value at a datapoint depends on that datapoint only.
_POINTWISE = {
    "ABS": (1, 1), "CEIL": (1, 1), "FLOOR": (1, 1), "LOG": (1, 1), "LOG10": (1, 1), "IF": (2, 3),
    "FILL": (2, 2), "METRICS": (0, 1), "METRIC_COUNT": (1, 1), "PERIOD": (1, 1), "TIME_SERIES": (1, 1),
    "MINUTE": (1, 1), "HOUR": (1, 1), "DAY": (1, 1), "DATE": (1, 1), "MONTH": (1, 1), "YEAR": (1, 1), "EPOCH": (1, 1),
}  # fmt: skip
_OVER_TIME = {
    "AVG": (1, 1), "SUM": (1, 1), "MIN": (1, 1), "MAX": (1, 1), "STDDEV": (1, 1), "DATAPOINT_COUNT": (1, 1),
    "RATE": (1, 1), "DIFF": (1, 1), "DIFF_TIME": (1, 1), "RUNNING_SUM": (1, 1), "REMOVE_EMPTY": (1, 1),
    "SORT": (3, 4), "SLICE": (2, 3), "FIRST": (1, 1), "LAST": (1, 1),
}  # fmt: skip
# Where a bare word may stand: function and number of the argument.
_WORDS = {
    ("FILL", 1): ("REPEAT", "LINEAR"),
    ("SORT", 1): ("AVG", "MAX", "MIN", "STDDEV", "SUM"),
    ("SORT", 2): ("ASC", "DESC"),
}
_ARITY = _POINTWISE | _OVER_TIME
_ACROSS = frozenset({"AVG", "SUM", "MIN", "MAX", "STDDEV", "DATAPOINT_COUNT"})
_NOT_FROM_SERIES = {
    "SEARCH": "CloudWatch forbids it in alarms",
    "ANOMALY_DETECTION_BAND": "the band is a model that CloudWatch trains",
    "INSIGHT_RULE_METRIC": "it reads a Contributor Insights rule",
    "SERVICE_QUOTA": "it reads the quotas of an account",
    "DB_PERF_INSIGHTS": "it reads Performance Insights",
    "LAMBDA": "it runs a Lambda function",
}


@dataclass(frozen=True, slots=True)
class Program:
    """Queries, parsed and checked: what each id stands for."""

    nodes: Mapping[str, syntax.Node]
    stats: Mapping[str, MetricStat]

    def run(self, name: str, fetch: Fetch, times: Indices, period: int, reading: Reading) -> Floats:
        """The series of query ``name`` at ``times`` (seconds since 1970, last axis); NaN = missing."""
        from .math_evaluation import Calculation

        return Calculation(self.nodes, self.stats, fetch, times, period, reading).series(name)

    def is_pointwise(self, name: str, reading: Reading) -> bool:
        """True if each datapoint of ``name`` depends on the data of its own period only."""
        return name in self.stats or _pointwise(self, self.nodes[name], reading)


@lru_cache(maxsize=4096)
def compile_queries(queries: tuple[MetricQuery, ...]) -> Program:
    """Parse and check queries of one request.  Raises SimulationError naming the id."""
    nodes: dict[str, syntax.Node] = {}
    stats: dict[str, MetricStat] = {}
    for query in queries:
        if not _ID.fullmatch(query.id):
            raise SimulationError(f"query id {query.id!r}: begin with a small letter, then letters, digits and _")
        if query.id in nodes or query.id in stats:
            raise SimulationError(f"query id {query.id!r} is used twice")
        if (query.stat is None) == (query.expression is None):
            raise SimulationError(f"query {query.id!r}: give either a metric or an expression")
        if query.stat is not None:
            parse_statistic(query.stat.statistic)
            stats[query.id] = query.stat
        elif query.expression is not None:
            if query.expression.lstrip().upper().startswith("SELECT"):
                raise SimulationError(f"query {query.id!r} is a Metrics Insights query, which is not evaluated")
            nodes[query.id] = syntax.parse(query.expression)
    for name, node in nodes.items():
        _check(node, name, stats)
        if unknown := sorted(syntax.names(node) - nodes.keys() - stats.keys()):
            raise SimulationError(
                f"query {name!r} names the unknown id {unknown[0]!r}; {nearest(unknown[0], [*nodes, *stats])}"
            )
    _refuse_cycles({name: syntax.names(node) for name, node in nodes.items()})
    return Program(nodes, stats)


def check_alarm_queries(queries: Sequence[MetricQuery]) -> str:
    """The id of the series an alarm watches.  Raises SimulationError if CloudWatch would refuse the queries."""
    stats = sum(query.stat is not None for query in queries)
    if len(queries) > _MAX_QUERIES or stats > _MAX_STATS or len(queries) - stats > _MAX_EXPRESSIONS:
        raise SimulationError(
            f"{len(queries)} queries, {stats} of them metrics; an alarm has at most {_MAX_STATS} metrics and "
            f"{_MAX_EXPRESSIONS} expressions"
        )
    compile_queries(tuple(queries))
    returned = [query.id for query in queries if query.return_data]
    if len(returned) != 1:
        raise SimulationError(f"{len(returned)} queries return data ({', '.join(returned)}); exactly one must")
    periods = {period for query in queries if (period := query.stat.period if query.stat else query.period)}
    if len(periods) != 1:
        found = ", ".join(map(str, sorted(periods))) or "none"
        raise SimulationError(f"all queries of an alarm have one and the same period; found {found}")
    return returned[0]


def evaluate_queries(
    queries: Sequence[MetricQuery],
    source: MetricSource,
    start: datetime,
    periods: int,
    period: int,
    *,
    reading: Reading = DEFAULT,
) -> tuple[float | None, ...]:
    """The series an alarm watches: ``periods`` values from ``start``, one per ``period`` seconds; None = missing.

    Raises SimulationError.
    """
    name = check_alarm_queries(queries)
    return evaluate_expression(queries, name, source, start, periods, period, reading=reading)


def evaluate_expression(
    queries: Sequence[MetricQuery],
    name: str,
    source: MetricSource,
    start: datetime,
    periods: int,
    period: int,
    *,
    reading: Reading = DEFAULT,
) -> tuple[float | None, ...]:
    """The series of the query ``name`` among ``queries``, as GetMetricData gives it, None where it has no datapoint.

    All metrics it needs must have the same ``period`` (seconds).  Raises SimulationError.
    """
    import numpy as np

    program = compile_queries(tuple(queries))
    if name not in program.nodes and name not in program.stats:
        raise SimulationError(f"no query {name!r}; {nearest(name, [*program.nodes, *program.stats])}")

    def fetch(stat: MetricStat) -> Floats:
        if stat.period != period:
            raise SimulationError(f"{stat.metric} has a period of {stat.period} s among queries of {period} s")
        if isinstance(source, RangeSource):
            return source.windows(stat, start, period, periods)
        values = source.datapoints(stat, start, periods)
        return np.array([math.nan if value is None else value for value in values], dtype=np.float64)

    times = seconds(start) + np.arange(periods, dtype=np.int64) * period
    values = program.run(name, fetch, times, period, reading).tolist()
    return tuple(None if math.isnan(value) else value for value in values)


def _check(node: syntax.Node, query: str, stats: Mapping[str, MetricStat]) -> None:
    match node:
        case syntax.Call(name, arguments):
            if name in _NOT_FROM_SERIES:
                raise SimulationError(f"query {query!r}: {name} is not evaluated: {_NOT_FROM_SERIES[name]}")
            if name not in _ARITY:
                raise SimulationError(f"query {query!r}: unknown function {name}; {nearest(name, _ARITY)}")
            least, most = _ARITY[name]
            if not least <= len(arguments) <= most:
                wanted = str(least) if least == most else f"{least} to {most}"
                raise SimulationError(f"query {query!r}: {name} takes {wanted} arguments, got {len(arguments)}")
            _check_arguments(name, arguments, query, stats)
        case syntax.Negative(operand):
            _check_operand(operand, query, stats)
        case syntax.Chain(first, rest):
            for operand in (first, *(operand for _, operand in rest)):
                _check_operand(operand, query, stats)
        case syntax.Array(items):
            for item in items:
                _check_operand(item, query, stats)
        case syntax.Text() | syntax.Keyword():
            _check_operand(node, query, stats)
        case _:
            pass


def _check_operand(node: syntax.Node, query: str, stats: Mapping[str, MetricStat]) -> None:
    if isinstance(node, syntax.Text | syntax.Keyword):
        shown = node.value if isinstance(node, syntax.Text) else node.name
        raise SimulationError(f"query {query!r}: {shown!r} stands where a value was expected")
    _check(node, query, stats)


def _check_arguments(
    name: str, arguments: tuple[syntax.Node, ...], query: str, stats: Mapping[str, MetricStat]
) -> None:
    if name == "METRICS":
        if arguments and not isinstance(arguments[0], syntax.Text):
            raise SimulationError(f'query {query!r}: METRICS takes a quoted part of an id, such as METRICS("error")')
        return
    if name == "PERIOD" and not (isinstance(arguments[0], syntax.Id) and arguments[0].name in stats):
        raise SimulationError(f"query {query!r}: PERIOD takes the id of a metric")
    for index, argument in enumerate(arguments):
        allowed = _WORDS.get((name, index), ())
        if isinstance(argument, syntax.Keyword) and argument.name in allowed:
            continue
        if name == "SORT" and allowed:
            raise SimulationError(f"query {query!r}: argument {index + 1} of SORT is one of {', '.join(allowed)}")
        _check_operand(argument, query, stats)


def _refuse_cycles(uses: Mapping[str, frozenset[str]]) -> None:
    open_ids: list[str] = []
    done: set[str] = set()

    def visit(name: str) -> None:
        if name in open_ids:
            raise SimulationError(
                f"queries name each other in a circle: {' -> '.join([*open_ids[open_ids.index(name) :], name])}"
            )
        if name in done or name not in uses:
            return
        open_ids.append(name)
        for used in sorted(uses[name]):
            visit(used)
        done.add(open_ids.pop())

    for name in uses:
        # A chain is at most as long as there are queries; GetMetricData takes 500.
        visit(name)


def _pointwise(program: Program, node: syntax.Node, reading: Reading) -> bool:
    match node:
        case syntax.Id(name):
            return program.is_pointwise(name, reading)
        case syntax.Negative(operand):
            return _pointwise(program, operand, reading)
        case syntax.Chain(first, rest):
            return all(_pointwise(program, one, reading) for one in (first, *(operand for _, operand in rest)))
        case syntax.Array(items):
            return all(_pointwise(program, item, reading) for item in items)
        case syntax.Call(name, arguments):
            if name == "FILL":
                plain = reading.fill_empty and not isinstance(arguments[1], syntax.Keyword)
                return plain and all(_pointwise(program, one, reading) for one in arguments)
            if name in _ACROSS:
                # Over the members of an array, which is written in place, not over time.
                across = isinstance(arguments[0], syntax.Array) or (
                    isinstance(arguments[0], syntax.Call) and arguments[0].name == "METRICS"
                )
                return across and _pointwise(program, arguments[0], reading)
            return name in _POINTWISE and all(_pointwise(program, one, reading) for one in arguments)
        case _:
            return True
