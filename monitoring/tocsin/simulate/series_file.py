"""Reads files of metric series: JSON, as an array or one object per line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..alarm import Metric
from ..errors import SimulationError
from .json_file import read_objects
from .statistics import Kind, StatisticSet, parse_statistic

_FORMS = ("Values", "StatisticSets", "Samples")
_KEYS = frozenset({"Namespace", "MetricName", "Dimensions", "Period", "Start", "Unit", "Statistic", *_FORMS})
_SET_KEYS = ("SampleCount", "Sum", "Minimum", "Maximum")
# An array, and an object on one line, are read at once, and parsed take many times the memory of their text.
_MAX_AT_ONCE = 128 * 1024 * 1024
_MAX_SECONDS = 253_402_300_800  # the year 10000, where datetime ends
# CloudWatch is of 2009; what lies decades before is a count or a time in another unit.
EARLIEST_YEAR = 1971
_MAX_PERIOD = 31 * 86_400


@dataclass(frozen=True, slots=True)
class Series:
    """Data of one metric for consecutive periods (seconds) from ``start``, in exactly one of three forms.

    ``values``: one number per period, NaN or None where there is none.  ``statistic`` says that they are that
    statistic and no other; without it each counts as one sample.  ``where`` names the place in a file.
    """

    metric: Metric
    start: datetime
    period: int
    values: Sequence[float | None] | None = None
    statistic_sets: Sequence[StatisticSet | None] | None = None
    samples: Sequence[Sequence[float] | None] | None = None
    unit: str | None = None
    statistic: str | None = None
    where: str = ""

    def __len__(self) -> int:
        return max(len(one) for one in (self.values, self.statistic_sets, self.samples, ()) if one is not None)


def read_series(path: Path) -> Iterator[Series]:
    """Every series of a file, in order.  Raises SimulationError with file and position."""
    for record, where in read_objects(path, "series", most=_MAX_AT_ONCE, empty="holds no series"):
        yield _series(record, where)


def _series(record: Any, where: str) -> Series:
    if not isinstance(record, dict):
        raise SimulationError(f"{where}: a series is an object, got {_shown(record)}")
    if unknown := sorted(set(record) - _KEYS):
        raise SimulationError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(sorted(_KEYS))}")
    forms = [form for form in _FORMS if form in record]
    if len(forms) != 1:
        raise SimulationError(f"{where}: give exactly one of Values, StatisticSets and Samples")
    metric = Metric(_text(record, "Namespace", where), _text(record, "MetricName", where), _dimensions(record, where))
    period = _period(record, where)
    start = _start(record, period, where)
    data = record[forms[0]]
    if not isinstance(data, list):
        raise SimulationError(f"{where}: {forms[0]} is a list, got {_shown(data)}")
    if start.timestamp() + period * len(data) > _MAX_SECONDS:
        raise SimulationError(f"{where}: the series ends after the year 9999; Start or Period is in the wrong unit")
    unit = _text(record, "Unit", where) if "Unit" in record else None
    statistic = _statistic(record, forms[0], where)
    if forms[0] == "Values":
        _numbers(data, f"{where}: Values", None)
        if statistic is not None:
            _refuse_negative_counts(data, statistic, f"{where}: Values")
        return Series(metric, start, period, values=data, unit=unit, statistic=statistic, where=where)
    if forms[0] == "StatisticSets":
        sets = tuple(_statistic_set(one, f"{where}: StatisticSets[{i}]") for i, one in enumerate(data))
        return Series(metric, start, period, statistic_sets=sets, unit=unit, where=where)
    for index, values in enumerate(data):
        if values is not None and not isinstance(values, list):
            raise SimulationError(f"{where}: Samples[{index}] is a list of values or null, got {_shown(values)}")
        _numbers(values or [], f"{where}: Samples[{index}]", "a sample")
    return Series(metric, start, period, samples=data, unit=unit, where=where)


def _text(record: Mapping[str, Any], key: str, where: str) -> str:
    value = record.get(key)
    if not isinstance(value, str) or not value:
        raise SimulationError(f"{where}: {key} is missing or not text")
    return value


def _dimensions(record: Mapping[str, Any], where: str) -> tuple[tuple[str, str], ...]:
    value = record.get("Dimensions", {})
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise SimulationError(f'{where}: Dimensions is an object of texts such as {{"QueueName": "orders"}}')
    return tuple(value.items())


def _period(record: Mapping[str, Any], where: str) -> int:
    value = record.get("Period")
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0 or (value % 60 and 60 % value):
        raise SimulationError(f"{where}: Period is a number of seconds that divides 60 or is a multiple of it")
    if value > _MAX_PERIOD or (value >= 10_000 and value % 1000 == 0 and value % 3600):
        raise SimulationError(f"{where}: Period {value} is in seconds; are these milliseconds?")
    return value


def _start(record: Mapping[str, Any], period: int, where: str) -> datetime:
    if isinstance(record.get("Start"), int | float):
        raise SimulationError(f'{where}: Start is text such as "2026-01-01T00:00:00Z", got {_shown(record["Start"])}')
    text = _text(record, "Start", where)
    try:
        start = datetime.fromisoformat(text)
    except ValueError:
        raise SimulationError(f'{where}: Start {text!r} is no time; write it as "2026-01-01T00:00:00Z"') from None
    if start.tzinfo is None:
        raise SimulationError(f"{where}: Start {text!r} has no time zone; end it with Z for UTC")
    if start.year < EARLIEST_YEAR:
        raise SimulationError(f"{where}: Start {text!r} is before {EARLIEST_YEAR}; check its unit")
    unit = min(period, 60)
    if start.microsecond or start.timestamp() % unit:
        raise SimulationError(f"{where}: Start {text!r} is not on a boundary of {unit} s")
    return start


def _statistic(record: Mapping[str, Any], form: str, where: str) -> str | None:
    if "Statistic" not in record:
        return None
    if form != "Values":
        raise SimulationError(f"{where}: Statistic belongs to Values; {form} yield every statistic they can")
    name = _text(record, "Statistic", where)
    try:
        parse_statistic(name)
    except SimulationError as error:
        raise SimulationError(f"{where}: {error}") from None
    return name


def _numbers(values: list[Any], where: str, what: str | None) -> None:
    """Refuse anything but finite numbers, and null unless ``what`` names something that cannot be missing."""
    allowed = {int, float} if what else {int, float, type(None)}
    if set(map(type, values)) <= allowed:
        try:
            if all(math.isfinite(value) for value in values if value is not None):
                return
        except OverflowError:
            pass
    for index, value in enumerate(values):
        if type(value) not in allowed:
            hint = f"{what} is a number" if what else "a value is a number, or null where it is missing"
            raise SimulationError(f"{where}[{index}]: {hint}, got {_shown(value)}")
        if value is not None and abs(value) > 1.7e308:
            raise SimulationError(f"{where}[{index}]: {_shown(value)} is beyond what a metric can hold")


def _refuse_negative_counts(values: Sequence[float | None], statistic: str, where: str) -> None:
    if parse_statistic(statistic).kind in (Kind.SAMPLE_COUNT, Kind.TRIMMED_COUNT):
        for index, value in enumerate(values):
            if value is not None and value < 0:
                raise SimulationError(f"{where}[{index}]: {statistic} counts samples, got {_shown(value)}")


def _statistic_set(value: Any, where: str) -> StatisticSet | None:
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != set(_SET_KEYS):
        raise SimulationError(f"{where}: a statistic set has exactly SampleCount, Sum, Minimum and Maximum")
    numbers = [value[key] for key in _SET_KEYS]
    _numbers(numbers, where, "each of its four")
    try:
        return StatisticSet(*map(float, numbers))
    except SimulationError as error:
        raise SimulationError(f"{where}: {error}") from None


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str) if not isinstance(value, int) else str(value)[:40]
    return text if len(text) <= 40 else text[:39] + "…"
