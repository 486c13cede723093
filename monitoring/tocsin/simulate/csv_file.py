"""Reads one metric from a CSV file of two columns: time and value."""

from __future__ import annotations

import csv
import math
import re
from array import array
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from ..alarm import Metric
from ..errors import SimulationError
from .series_file import EARLIEST_YEAR, Series
from .text_lines import limited_lines

# Namespace/Name{Dimension=Value,…}; a namespace has slashes of its own, so the last one before the brace divides.
_METRIC = re.compile(r"(?P<namespace>[^{}]+)/(?P<name>[^/{}]+)(?:\{(?P<dimensions>.*)\})?")
_DIMENSION = re.compile(r'\s*(?P<name>[^={},"]+?)\s*=\s*(?:"(?P<quoted>[^"]*)"|(?P<plain>[^,"{}]*?))\s*(?:,|$)')
_HEADER = {"timestamp", "time", "date", "datetime", "at"}
# Less than Python reads as a number: neither 1_000 nor the digits of other scripts.
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_LONELY_PERIOD = 60
# More missing values than these are the work of a wrong unit: ten years of minutes, or twenty for each that is there.
_LONGEST, _SPARSEST = 5_300_000, 20
_MAX_LINE = 10_000
_FORM = "a line is timestamp,value"
_SHORT_PERIODS = (30, 10, 5, 1)
# Seconds since 1970 beyond this are milliseconds in disguise: the year 2286 is not in anybody's history.
_MAX_SECONDS = 10_000_000_000
_MIN_SECONDS = (EARLIEST_YEAR - 1970) * 365 * 86_400


def parse_metric(text: str) -> Metric:
    """``AWS/Lambda/Errors{FunctionName=checkout}`` as a metric; a value with a comma or brace goes in double quotes.

    Raises SimulationError.
    """
    match = _METRIC.fullmatch(text.strip())
    if match is None:
        raise SimulationError(
            f"metric {text!r}: write it as Namespace/Name{{Dimension=Value}}, such as "
            "AWS/Lambda/Errors{FunctionName=checkout}"
        )
    inside = match["dimensions"] or ""
    dimensions, at = [], 0
    while at < len(inside):
        one = _DIMENSION.match(inside, at)
        if one is None:
            raise SimulationError(f"metric {text!r}: {inside[at:]!r} is not Dimension=Value")
        dimensions.append((one["name"], one["plain"] if one["quoted"] is None else one["quoted"]))
        at = one.end()
    return Metric(match["namespace"], match["name"], tuple(dimensions))


def read_csv(path: Path, metric: Metric) -> Series:
    """The series of a file with lines ``timestamp,value`` in order of time, with a header or without.

    Times are ISO 8601 with a zone, or seconds since 1970.  An empty value and a missing line are missing data.  The
    period is the largest that all times fit, at least the distance of the closest two.  Raises SimulationError
    with file and line.
    """
    import numpy as np

    times, values = array("q"), array("d")
    for line, at, value in _rows(path):
        if times and at <= times[-1]:
            problem = "the time of the line before again" if at == times[-1] else "before the line above"
            raise SimulationError(f"{path}:{line}: {_shown(at)} is {problem}; sort the file by time, each moment once")
        times.append(at)
        values.append(value)
    if not times:
        raise SimulationError(f"{path}: holds no datapoint")
    moments = np.frombuffer(times, dtype=np.int64)
    period = _legal(int(np.gcd.reduce(np.diff(moments))) or _LONELY_PERIOD, times, path)
    start = times[0]
    held = np.full((times[-1] - start) // period + 1, np.nan)
    held[(moments - start) // period] = np.frombuffer(values, dtype=np.float64)
    # An array, not a list: a file of a gigabyte must not become ten of them.
    series = cast("Sequence[float | None]", held)
    return Series(metric, datetime.fromtimestamp(start, UTC), period, values=series, where=str(path))


def _legal(period: int, times: array[int], path: Path) -> int:
    """The longest period that CloudWatch has and all times fit."""
    if period % 60:
        period = next(one for one in _SHORT_PERIODS if period % one == 0)
    unit = min(period, 60)
    if times[0] % unit:
        raise SimulationError(f"{path}: {_shown(times[0])} is not on a boundary of {unit} s; round the times down")
    if (times[-1] - times[0]) // period > max(_LONGEST, _SPARSEST * len(times)):
        raise SimulationError(f"{path}: spans too long a time at {period} s a value; check the unit of its times")
    return period


def _rows(path: Path) -> Iterator[tuple[int, int, float]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = True
            for row in (reader := csv.reader(limited_lines(file, path, _MAX_LINE, _FORM), strict=True)):
                if not row or not "".join(row).strip():
                    continue
                where = f"{path}:{reader.line_num}"
                heads, first = first and row[0].strip().lower() in _HEADER, False
                if heads:
                    continue
                if len(row) != 2:
                    raise SimulationError(
                        f"{where}: a line is timestamp,value; this one has {len(row)} field{'s' * (len(row) != 1)}"
                    )
                yield reader.line_num, _time(row[0].strip(), where), _value(row[1].strip(), where)
    except FileNotFoundError:
        raise SimulationError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise SimulationError(f"{path}: is not UTF-8 text") from None
    except csv.Error as error:
        raise SimulationError(f"{path}: not CSV: {error}") from None
    except IsADirectoryError:
        raise SimulationError(f"{path}: is a folder; name a file") from None
    except OSError as error:
        raise SimulationError(f"{path}: {error.strerror}") from None


def _time(text: str, where: str) -> int:
    if re.fullmatch(r"[0-9]+(\.0+)?", text):
        seconds = int(text.partition(".")[0])
        if seconds > _MAX_SECONDS:
            raise SimulationError(f"{where}: {text} is too late for seconds since 1970; are these milliseconds?")
        if seconds < _MIN_SECONDS:
            raise SimulationError(f"{where}: {text} seconds since 1970 are before {EARLIEST_YEAR}; check the unit")
        return seconds
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise SimulationError(
            f"{where}: {text!r} is no time; write 2026-01-01T00:00:00Z or seconds since 1970"
        ) from None
    if at.year < EARLIEST_YEAR:
        raise SimulationError(f"{where}: {text!r} is before {EARLIEST_YEAR}, which no metric is of")
    if at.tzinfo is None:
        raise SimulationError(f"{where}: {text!r} has no time zone; end it with Z for UTC")
    if at.microsecond:
        raise SimulationError(f"{where}: {text!r} is finer than a second, which CloudWatch is not")
    return int(at.timestamp())


def _value(text: str, where: str) -> float:
    if not text:
        return math.nan
    if not _DECIMAL.fullmatch(text) and not _NOT_FINITE.fullmatch(text):
        raise SimulationError(
            f"{where}: {text[:40]!r} is no number such as 1000, 2.5 or 1e3; leave the value empty where it is missing"
        )
    value = float(text)
    if not math.isfinite(value):
        raise SimulationError(
            f"{where}: {text[:40]} is no value of a metric; leave the value empty where it is missing"
        )
    return value


def _shown(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
