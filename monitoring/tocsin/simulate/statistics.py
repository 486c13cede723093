"""Statistic: the name of a CloudWatch statistic, taken apart.

Definitions: Amazon CloudWatch user guide, page "CloudWatch statistics definitions".
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from ..errors import SimulationError


class Kind(StrEnum):
    """What a statistic does with the samples of one period."""

    SAMPLE_COUNT = "SampleCount"
    SUM = "Sum"
    AVERAGE = "Average"
    MINIMUM = "Minimum"
    MAXIMUM = "Maximum"
    PERCENTILE = "p"
    TRIMMED_MEAN = "TM"
    TRIMMED_COUNT = "TC"
    TRIMMED_SUM = "TS"
    WINSORIZED_MEAN = "WM"
    PERCENTILE_RANK = "PR"


# Four figures that were each rounded to three digits still belong to one set.
_ROUNDING = 0.01
STANDARD = frozenset({Kind.SAMPLE_COUNT, Kind.SUM, Kind.AVERAGE, Kind.MINIMUM, Kind.MAXIMUM})


@dataclass(frozen=True, slots=True)
class Statistic:
    """``kind`` between ``low`` and ``high``: shares (0 to 1) if ``relative``, else values of the metric.

    A percentile has its share in ``high``.  Absolute bounds exclude ``low`` and include ``high``.
    """

    kind: Kind
    low: float = -math.inf
    high: float = math.inf
    relative: bool = False


@dataclass(frozen=True, slots=True)
class StatisticSet:
    """What is left of the samples of one moment: their number, sum and extremes.  Raises SimulationError."""

    sample_count: float
    sum: float
    minimum: float
    maximum: float

    def __post_init__(self) -> None:
        values = (self.sample_count, self.sum, self.minimum, self.maximum)
        if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
            raise SimulationError(f"a statistic set holds finite numbers only, got {values}")
        if self.sample_count <= 0:
            raise SimulationError(f"SampleCount of a statistic set must be above 0, got {self.sample_count}")
        if self.minimum > self.maximum:
            raise SimulationError(f"Minimum {self.minimum} of a statistic set is above its Maximum {self.maximum}")
        average = self.sum / self.sample_count
        slack = _ROUNDING * max(abs(self.minimum), abs(self.maximum))
        if not self.minimum - slack <= average <= self.maximum + slack:
            raise SimulationError(
                f"the average of a statistic set, Sum / SampleCount = {average:g}, lies outside its Minimum "
                f"{self.minimum:g} and Maximum {self.maximum:g}"
            )


_NUMBER = r"(?:[0-9]+(?:\.[0-9]+)?)"
_SIGNED = rf"(?:-?{_NUMBER})"
_SHORT = re.compile(rf"(p|tm|tc|ts|wm)({_NUMBER})", re.IGNORECASE)
_BOUNDED = re.compile(rf"(TM|TC|TS|WM|PR)\(({_SIGNED}%?)?:({_SIGNED}%?)?\)", re.IGNORECASE)
_STANDARD = {str(kind): kind for kind in STANDARD}


@lru_cache(maxsize=1024)
def parse_statistic(text: str) -> Statistic:
    """``Sum``, ``p99.9``, ``tm95``, ``TM(10%:90%)``, ``IQM``, ``PR(:0.8)`` … as a Statistic.  Raises SimulationError."""
    if text in _STANDARD:
        return Statistic(_STANDARD[text])
    if text.upper() == "IQM":
        return Statistic(Kind.TRIMMED_MEAN, 0.25, 0.75, relative=True)
    if match := _SHORT.fullmatch(text):
        name, number = match.group(1).lower(), float(match.group(2)) / 100
        if number > 1:
            raise SimulationError(f"statistic {text!r}: a percentage ends at 100")
        kind = Kind.PERCENTILE if name == "p" else Kind(name.upper())
        return Statistic(kind, 0.0, number, relative=True)
    if match := _BOUNDED.fullmatch(text):
        return _bounded(text, Kind(match.group(1).upper()), match.group(2), match.group(3))
    raise SimulationError(
        f"unknown statistic {text!r}; known are SampleCount, Sum, Average, Minimum, Maximum, pNN, tmNN, tcNN, tsNN, "
        "wmNN, IQM, TM(a:b), TC(a:b), TS(a:b), WM(a:b) and PR(a:b)"
    )


def _bounded(text: str, kind: Kind, low: str | None, high: str | None) -> Statistic:
    if low is None and high is None:
        raise SimulationError(f"statistic {text!r} needs at least one bound")
    marks = {bound.endswith("%") for bound in (low, high) if bound is not None}
    if len(marks) == 2:
        raise SimulationError(f"statistic {text!r}: both bounds are percentages or none is")
    relative = marks == {True}
    if relative and kind is Kind.PERCENTILE_RANK:
        raise SimulationError(f"statistic {text!r}: the bounds of PR are values of the metric, not percentages")
    if relative:
        lowest = float(low[:-1]) / 100 if low else 0.0
        highest = float(high[:-1]) / 100 if high else 1.0
        if not 0 <= lowest < highest <= 1:
            raise SimulationError(f"statistic {text!r}: percentages rise and lie between 0 and 100")
        return Statistic(kind, lowest, highest, relative=True)
    lowest = float(low) if low else -math.inf
    highest = float(high) if high else math.inf
    if lowest >= highest:
        raise SimulationError(f"statistic {text!r}: the lower bound must be below the upper one")
    return Statistic(kind, lowest, highest)


def low_sample_limit(statistic: Statistic) -> float | None:
    """How many samples a percentile needs to count as significant: 10/(1-p) from p50 on, 10/p below; else None.

    User guide, page "Percentile-based CloudWatch alarms and low data samples".
    """
    if statistic.kind is not Kind.PERCENTILE or not 0 < statistic.high < 1:
        return None
    # Rounded, because 10 / (1 - 0.99) as a float is a hair above 1,000.
    share = statistic.high
    return round(10 / (1 - share) if share >= 0.5 else 10 / share, 6)
