"""Evaluates metric math on arrays whose last axis is time; NaN is a missing datapoint (needs numpy).

Every rule on missing values, division and IF: user guide, page "Using math expressions with CloudWatch metrics".
The leading axes, if any, are separate evaluations: a scalar such as ``AVG(m1)`` is then one number for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..alarm import MetricStat
from ..errors import SimulationError
from . import math_syntax as syntax
from .columns import Floats, Indices
from .reading import Reading

Fetch = Callable[[MetricStat], Floats]


@dataclass(frozen=True, slots=True)
class Scalar:
    """One number for each evaluation; its last axis has length 1."""

    data: Floats


@dataclass(frozen=True, slots=True)
class Line:
    """A time series."""

    data: Floats


Lines = list[Line]
Value = Scalar | Line | Lines


@dataclass(slots=True)
class Calculation:
    """One run: where ids lead, where data comes from, and the start of each datapoint in seconds since 1970."""

    nodes: Mapping[str, syntax.Node]
    stats: Mapping[str, MetricStat]
    fetch: Fetch
    times: Indices
    period: int
    reading: Reading
    known: dict[str, Value] = field(default_factory=dict)
    _called: dict[syntax.Call, Value] = field(default_factory=dict)

    def series(self, name: str) -> Floats:
        """The time series of query ``name``.  Raises SimulationError if it is a number or several series."""
        value = self.id(name)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, Line):
            return self.spread(value)
        if isinstance(value, Scalar):
            raise SimulationError(
                f"query {name!r} gives a number, not one time series; TIME_SERIES(…) makes a series of it"
            )
        raise SimulationError(f"query {name!r} gives {len(value)} series, not one time series")

    def id(self, name: str) -> Value:
        value = self.known.get(name)
        if value is None:
            stat = self.stats.get(name)
            value = Line(self.fetch(stat)) if stat is not None else self.evaluate(self.nodes[name])
            self.known[name] = value
        return value

    def evaluate(self, node: syntax.Node) -> Value:
        match node:
            case syntax.Number(value):
                return Scalar(np.array([value]))
            case syntax.Id(name):
                return self.id(name)
            case syntax.Negative(operand):
                return _each(self.evaluate(operand), np.negative)
            case syntax.Chain(first, rest):
                result = self.evaluate(first)
                for operator, operand in rest:
                    result = _binary(operator, result, self.evaluate(operand))
                return result
            case syntax.Array(items):
                return [_line(self.evaluate(item), "an array") for item in items]
            case syntax.Call("IF", arguments):
                return self._if(*(self.evaluate(argument) for argument in arguments))
            case syntax.Call("FILL", (subject, filler)):
                return self._fill(self.evaluate(subject), filler)
            case syntax.Call("METRICS", arguments):
                part = arguments[0].value if arguments and isinstance(arguments[0], syntax.Text) else ""
                return [_line(self.id(name), "METRICS") for name in self.stats if part in name]
            case syntax.Call("DIFF", (subject,)):
                # Written twice in an expression, it is calculated once.
                if node not in self._called:
                    self._called[node] = _FUNCTIONS["DIFF"](self, self.evaluate(subject))
                return self._called[node]
            case syntax.Call("PERIOD", _):
                return Scalar(np.array([float(self.period)]))
            case syntax.Call("SORT", arguments):
                return self._sort(*arguments)
            case syntax.Call("SLICE", (subject, *bounds)):
                start, *end = (int(_number(self.evaluate(bound), "SLICE")) for bound in bounds)
                return _lines(self.evaluate(subject), "SLICE")[start : end[0] if end else None]
            case syntax.Call(name, arguments):
                return _FUNCTIONS[name](self, *(self.evaluate(argument) for argument in arguments))
            case _:
                raise SimulationError(f"{node} stands where a value was expected")

    def spread(self, value: Scalar | Line) -> Floats:
        """The value at every datapoint."""
        shape = np.broadcast_shapes(value.data.shape, self.times.shape)
        return np.broadcast_to(value.data, shape)

    def _if(self, condition: Value, then: Value, otherwise: Value | None = None) -> Value:
        if isinstance(condition, list) or isinstance(then, list) or isinstance(otherwise, list):
            raise SimulationError("IF takes numbers and single time series, not an array of series")
        one, yes, no = condition, then, otherwise
        met, unknown = one.data != 0, np.isnan(one.data)
        if isinstance(one, Scalar):
            if isinstance(yes, Scalar) and isinstance(no, Scalar):
                return Scalar(np.where(unknown, np.nan, np.where(met, yes.data, no.data)))
            chosen = np.where(met, self.spread(yes), np.nan if no is None else self.spread(no))
            return Line(np.where(unknown, np.nan, chosen))
        when_met = yes.data if isinstance(yes, Scalar) else np.nan_to_num(yes.data)
        if no is None:
            when_not: Floats | float = np.nan
        elif isinstance(no, Line) and isinstance(yes, Line):
            when_not = np.nan_to_num(no.data)
        else:
            when_not = no.data
        return Line(np.where(unknown, np.nan, np.where(met, when_met, when_not)))

    def _fill(self, subject: Value, filler: syntax.Node) -> Value:
        if isinstance(subject, list):
            return [_line(self._fill(line, filler), "FILL") for line in subject]
        if isinstance(subject, Scalar):
            raise SimulationError("FILL fills a time series, not a number")
        data, missing = subject.data, np.isnan(subject.data)
        if isinstance(filler, syntax.Keyword) and filler.name in ("REPEAT", "LINEAR"):
            previous = _previous(data)
            before = _take(data, previous)
            if filler.name == "REPEAT":
                return Line(np.where(missing, before, data))
            following = _following(data)
            after = _take(data, following)
            index = np.arange(data.shape[-1])
            share = (index - previous) / np.maximum(following - previous, 1)
            return Line(np.where(missing, before + (after - before) * share, data))
        value = self.evaluate(filler)
        if isinstance(value, list):
            raise SimulationError("FILL fills from a number or one series, not from an array of series")
        filled = np.where(missing, value.data, data)
        if not self.reading.fill_empty:
            filled = np.where(missing.all(axis=-1, keepdims=True), np.nan, filled)
        return Line(filled)

    def _sort(self, subject: syntax.Node, by: syntax.Node, order: syntax.Node, *limit: syntax.Node) -> Value:
        lines = _lines(self.evaluate(subject), "SORT")
        if not lines:
            return lines
        if not isinstance(by, syntax.Keyword) or by.name not in _AGGREGATES or not isinstance(order, syntax.Keyword):
            raise SimulationError("SORT is written SORT(series, AVG|MAX|MIN|STDDEV|SUM, ASC|DESC, number)")
        stack = np.stack(np.broadcast_arrays(*(line.data for line in lines)))
        keys = np.stack([_over_time(by.name, line).data for line in lines])
        keys = np.where(np.isnan(keys), -np.inf, keys)
        ranks = np.argsort(-keys if order.name == "DESC" else keys, axis=0, kind="stable")
        ordered = np.take_along_axis(stack, np.broadcast_to(ranks, stack.shape), axis=0)
        count = int(_number(self.evaluate(limit[0]), "SORT")) if limit else len(lines)
        return [Line(one) for one in ordered[:count]]


def _finite(data: Floats) -> Floats:
    """Without a value where there is none: division by zero, logarithm of zero, overflow."""
    return np.where(np.isfinite(data), data, np.nan)


def _each(value: Value, function: Callable[[Floats], Floats]) -> Value:
    if isinstance(value, list):
        return [Line(_finite(function(line.data))) for line in value]
    with np.errstate(all="ignore"):
        data = _finite(function(value.data))
    return Scalar(data) if isinstance(value, Scalar) else Line(data)


_OPERATORS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "^": np.power,
    "==": lambda a, b: (a == b).astype(np.float64),
    "!=": lambda a, b: (a != b).astype(np.float64),
    "<": lambda a, b: (a < b).astype(np.float64),
    "<=": lambda a, b: (a <= b).astype(np.float64),
    ">": lambda a, b: (a > b).astype(np.float64),
    ">=": lambda a, b: (a >= b).astype(np.float64),
    "AND": lambda a, b: ((a != 0) & (b != 0)).astype(np.float64),
    "OR": lambda a, b: ((a != 0) | (b != 0)).astype(np.float64),
}


def _binary(operator: str, left: Value, right: Value) -> Value:
    if isinstance(left, list):
        if isinstance(right, list):
            raise SimulationError(f"{operator} between two arrays of series is not defined")
        return [_line(_binary(operator, line, right), operator) for line in left]
    if isinstance(right, list):
        return [_line(_binary(operator, left, line), operator) for line in right]
    a, b = left.data, right.data
    function = _OPERATORS[operator]
    with np.errstate(all="ignore"):
        if isinstance(left, Line) and isinstance(right, Line):
            # One side missing counts as 0; where both are missing there is no datapoint.
            gone = np.isnan(a) & np.isnan(b)
            return Line(np.where(gone, np.nan, _finite(function(np.nan_to_num(a), np.nan_to_num(b)))))
        data = np.where(np.isnan(a) | np.isnan(b), np.nan, _finite(function(a, b)))
    return Scalar(data) if isinstance(left, Scalar) and isinstance(right, Scalar) else Line(data)


def _line(value: Value, what: str) -> Line:
    if isinstance(value, Line):
        return value
    raise SimulationError(f"{what} takes time series, not {'an array' if isinstance(value, list) else 'numbers'}")


def _lines(value: Value, what: str) -> Lines:
    if isinstance(value, list):
        return value
    raise SimulationError(f"{what} takes an array of time series, such as METRICS() or [m1, m2]")


def _number(value: Value, what: str) -> float:
    if isinstance(value, Scalar) and value.data.size == 1:
        return float(value.data.reshape(-1)[0])
    raise SimulationError(f"{what} takes a plain number here")


def _previous(data: Floats) -> Indices:
    """Index of the last datapoint at or before each place, -1 where there is none."""
    return np.maximum.accumulate(np.where(np.isnan(data), -1, np.arange(data.shape[-1])), axis=-1)


def _following(data: Floats) -> Indices:
    """Index of the first datapoint at or after each place, -1 where there is none."""
    size = data.shape[-1]
    flipped = np.where(np.isnan(data), size, np.arange(size))[..., ::-1]
    found = np.minimum.accumulate(flipped, axis=-1)[..., ::-1]
    return np.where(found == size, -1, found)


def _take(data: Floats, index: Indices) -> Floats:
    taken = np.take_along_axis(data, np.maximum(index, 0), axis=-1)
    return np.where(index < 0, np.nan, taken)


def _before(data: Floats) -> Indices:
    """Index of the datapoint before each datapoint, -1 where there is none."""
    shifted = np.concatenate([np.full((*data.shape[:-1], 1), np.nan), data[..., :-1]], axis=-1)
    found = _previous(shifted)
    return np.where(found < 0, -1, found - 1)


def _difference(calculation: Calculation, value: Value, *, rate: bool, time: bool) -> Value:
    if isinstance(value, list):
        return [_line(_difference(calculation, line, rate=rate, time=time), "DIFF") for line in value]
    data = _line(value, "RATE and DIFF").data
    if not rate and not time and not np.isnan(data).any():
        # The usual case, of a series without holes: what is before each datapoint is its neighbour.
        return Line(np.diff(data, axis=-1, prepend=np.nan))
    index = _before(data)
    times = np.broadcast_to(calculation.times, data.shape).astype(np.float64)
    change, lapse = data - _take(data, index), times - _take(times, index)
    result = change / lapse if rate else lapse if time else change
    return Line(np.where(np.isnan(data), np.nan, result))


def _counted(data: Floats) -> Floats:
    return (~np.isnan(data)).astype(np.float64)


def _deviation(data: Floats, axis: int) -> Floats:
    count = _counted(data).sum(axis=axis, keepdims=True)
    mean = np.nansum(data, axis=axis, keepdims=True) / count
    spread: Floats = np.sqrt(np.nansum((data - mean) ** 2, axis=axis, keepdims=True) / count)
    return spread


_AGGREGATES: dict[str, Callable[[Floats, int], Floats]] = {
    "AVG": lambda data, axis: np.nansum(data, axis=axis, keepdims=True) / _counted(data).sum(axis=axis, keepdims=True),
    "SUM": lambda data, axis: np.nansum(data, axis=axis, keepdims=True),
    "MIN": lambda data, axis: np.min(np.where(np.isnan(data), np.inf, data), axis=axis, keepdims=True),
    "MAX": lambda data, axis: np.max(np.where(np.isnan(data), -np.inf, data), axis=axis, keepdims=True),
    "STDDEV": _deviation,
}


def _over_time(name: str, line: Line) -> Scalar:
    with np.errstate(all="ignore"):
        data = _AGGREGATES[name](line.data, -1)
    return Scalar(np.where(np.isnan(line.data).all(axis=-1, keepdims=True), np.nan, data))


def _aggregate(name: str, value: Value) -> Value:
    """Of one series the number over the whole range; of an array the series over its members."""
    if isinstance(value, Scalar):
        return value
    if isinstance(value, Line):
        return _over_time(name, value)
    if not value:
        raise SimulationError(f"{name} of no series: METRICS() found none")
    stack = np.stack(np.broadcast_arrays(*(line.data for line in value)))
    gone = np.isnan(stack).all(axis=0)
    with np.errstate(all="ignore"):
        # The average of an array counts a missing member as 0; the others leave it out.
        data = _AGGREGATES[name](np.nan_to_num(stack) if name == "AVG" else stack, 0)[0]
    return Line(np.where(gone, np.nan, data))


def _datapoint_count(value: Value) -> Value:
    if isinstance(value, list):
        return Line(np.sum([_counted(line.data) for line in value], axis=0))
    return Scalar(_counted(_line(value, "DATAPOINT_COUNT").data).sum(axis=-1, keepdims=True))


def _running_sum(value: Value) -> Value:
    if isinstance(value, list):
        return [_line(_running_sum(line), "RUNNING_SUM") for line in value]
    data = _line(value, "RUNNING_SUM").data
    return Line(np.where(np.isnan(data), np.nan, np.cumsum(np.nan_to_num(data), axis=-1)))


def _remove_empty(value: Value) -> Value:
    if isinstance(value, list):
        return [line for line in value if not np.isnan(line.data).all()]
    return value


def _edge(value: Value, index: int, what: str) -> Value:
    lines = _lines(value, what)
    if not lines:
        raise SimulationError(f"{what} of no series: the array is empty")
    return lines[index]


def _clock(part: Callable[[Indices], Indices]) -> Callable[[Calculation, Value], Value]:
    def read(calculation: Calculation, value: Value) -> Value:
        if isinstance(value, list):
            raise SimulationError("a function of time takes one time series, not an array")
        return Line(calculation.spread(Scalar(part(calculation.times).astype(np.float64))))

    return read


def _calendar(times: Indices, unit: str) -> Indices:
    stamps = times.astype("datetime64[s]")
    years, months = stamps.astype("datetime64[Y]"), stamps.astype("datetime64[M]")
    if unit == "year":
        return years.astype(np.int64) + 1970
    if unit == "month":
        return months.astype(np.int64) % 12 + 1
    dates: Indices = (stamps.astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64) + 1
    return dates


_FUNCTIONS: dict[str, Callable[..., Value]] = {
    "ABS": lambda _, value: _each(value, np.abs),
    "CEIL": lambda _, value: _each(value, np.ceil),
    "FLOOR": lambda _, value: _each(value, np.floor),
    "LOG": lambda _, value: _each(value, np.log),
    "LOG10": lambda _, value: _each(value, np.log10),
    "AVG": lambda _, value: _aggregate("AVG", value),
    "SUM": lambda _, value: _aggregate("SUM", value),
    "MIN": lambda _, value: _aggregate("MIN", value),
    "MAX": lambda _, value: _aggregate("MAX", value),
    "STDDEV": lambda _, value: _aggregate("STDDEV", value),
    "RATE": lambda run, value: _difference(run, value, rate=True, time=False),
    "DIFF": lambda run, value: _difference(run, value, rate=False, time=False),
    "DIFF_TIME": lambda run, value: _difference(run, value, rate=False, time=True),
    "DATAPOINT_COUNT": lambda _, value: _datapoint_count(value),
    "RUNNING_SUM": lambda _, value: _running_sum(value),
    "REMOVE_EMPTY": lambda _, value: _remove_empty(value),
    "METRIC_COUNT": lambda _, value: Scalar(np.array([float(len(_lines(value, "METRIC_COUNT")))])),
    "FIRST": lambda _, value: _edge(value, 0, "FIRST"),
    "LAST": lambda _, value: _edge(value, -1, "LAST"),
    "TIME_SERIES": lambda run, value: Line(run.spread(value)) if not isinstance(value, list) else value,
    "EPOCH": _clock(lambda times: times),
    "MINUTE": _clock(lambda times: times // 60 % 60),
    "HOUR": _clock(lambda times: times // 3600 % 24),
    # 1 January 1970 was a Thursday; Monday is 1.
    "DAY": _clock(lambda times: (times // 86_400 + 3) % 7 + 1),
    "DATE": _clock(lambda times: _calendar(times, "date")),
    "MONTH": _clock(lambda times: _calendar(times, "month")),
    "YEAR": _clock(lambda times: _calendar(times, "year")),
}
