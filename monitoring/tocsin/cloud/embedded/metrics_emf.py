"""Embedded metric format: log lines of functions and tasks that carry metrics become samples of those metrics.

A line that is no JSON object or breaks the format is a log line and nothing more, as at AWS.  The timestamp a handler
writes is real time; the sample stands at that moment of the embedded clock.
Source: Amazon CloudWatch user guide, "Specification: Embedded metric format".
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .base import service
from .parts import Parts

# A timestamp is cut to whole milliseconds: the moment itself is later, and so behind a change of the clock just before.
CUT_OFF = 0.001

MOST_METRICS = 100
MOST_VALUES = 100
MOST_DIMENSIONS = 30


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one metric; ``at`` in real seconds since 1970."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    value: float
    unit: str
    at: float


def install(parts: Parts) -> None:
    """Read every line that reaches a log group, whoever writes it."""
    logs = service("cloudwatch_logs")
    append = logs._append_log_events

    def append_log_events(stream: Any, events: Sequence[Mapping[str, Any]], *more: Any, **named: Any) -> Any:
        result = append(stream, events, *more, **named)
        for event in events:
            for sample in read(str(event.get("message", ""))):
                parts.recorder.record(
                    sample.namespace, sample.name, sample.dimensions, sample.value, sample.unit,
                    at=parts.clock.at_real(sample.at + CUT_OFF),
                )  # fmt: skip
        return result

    logs._append_log_events = append_log_events


def read(line: str) -> tuple[Sample, ...]:
    """The samples in one log line; none if it is not in the format."""
    if '"_aws"' not in line:
        return ()
    try:
        root = json.loads(line, parse_constant=_no_constant)
        metadata = root["_aws"]
        at = metadata["Timestamp"]
        if isinstance(at, bool) or not isinstance(at, int):
            return ()
        found: list[Sample] = []
        for directive in metadata["CloudWatchMetrics"]:
            found.extend(_samples(root, directive, at / 1000))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ()
    return tuple(found)


def _samples(root: Mapping[str, Any], directive: Mapping[str, Any], at: float) -> Iterator[Sample]:
    """Raises ValueError or TypeError for a directive that breaks the format."""
    namespace, sets, metrics = directive["Namespace"], directive["Dimensions"], directive["Metrics"]
    if not isinstance(namespace, str) or not namespace or not isinstance(sets, list) or not isinstance(metrics, list):
        raise TypeError("a directive has Namespace, Dimensions and Metrics")
    if len(metrics) > MOST_METRICS:
        raise ValueError("too many metrics")
    chosen = [dimensions for dimensions in (_dimensions(root, names) for names in sets) if dimensions is not None]
    for metric in metrics:
        name, unit = metric["Name"], metric.get("Unit", "None")
        if not isinstance(name, str) or not isinstance(unit, str):
            raise TypeError("Name and Unit are text")
        for value in _values(root.get(name)):
            for dimensions in chosen:
                yield Sample(namespace, name, dimensions, value, unit, at)


def _dimensions(root: Mapping[str, Any], names: Any) -> dict[str, str] | None:
    """The set's dimensions; None if the line lacks one of them."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError("a dimension set is a list of names")
    if len(names) > MOST_DIMENSIONS:
        raise ValueError("too many dimensions")
    values = {name: root.get(name) for name in names}
    if not all(isinstance(value, str) and value for value in values.values()):
        return None
    return values  # type: ignore[return-value]  # all are text


def _values(target: Any) -> Sequence[float]:
    """The numbers a metric's name refers to; none if it refers to anything else."""
    values = target if isinstance(target, list) else [target]
    if len(values) > MOST_VALUES or not all(_is_number(value) for value in values):
        return ()
    return [float(value) for value in values]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
