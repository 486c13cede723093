"""Reading: how to take the rules of CloudWatch that its documentation leaves open.

Each field is one question to which the user guide has no answer or two; the default is the reading that agrees with
every example the guide prints (page "Configuring how CloudWatch alarms treat missing data").
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from ..errors import SimulationError, nearest


class Premature(StrEnum):
    """Where the oldest breaching datapoint may lie for an alarm to fire although data is missing.

    One paragraph of the guide speaks of the evaluation range, the next of the evaluation periods.
    """

    RANGE = "range"
    WINDOW = "window"


class FreshBreach(StrEnum):
    """What breaching datapoints that are too few and too new make of an alarm that treats missing data as missing.

    ``OK`` agrees with the present guide; until July 2019 it printed INSUFFICIENT_DATA (and "retain" for ignore).
    """

    OK = "OK"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class DynamoDbMissing(StrEnum):
    """Alarms on AWS/DynamoDB: missing data is ignored unless the alarm says otherwise (guide), or always (API)."""

    DEFAULT_IGNORE = "default-ignore"
    ALWAYS_IGNORE = "always-ignore"


class Counted(StrEnum):
    """Which breaching datapoints count where more than N are there: those among the newest N, or all in the range.

    The guide says the newest N; emulators of CloudWatch have counted them all.
    """

    NEWEST = "newest"
    RANGE = "range"


class Precedence(StrEnum):
    """How the rule of a composite alarm without brackets is read; AWS documents no precedence.

    ``AND_FIRST``: NOT before AND before OR.  ``LEFT_TO_RIGHT``: AND and OR alike, in their order.
    """

    AND_FIRST = "and-first"
    LEFT_TO_RIGHT = "left-to-right"


class Share(StrEnum):
    """How AT_LEAST makes a number of alarms of a percentage; AWS does not document its rounding."""

    UP = "up"
    DOWN = "down"
    NEAREST = "nearest"


class AfterMute(StrEnum):
    """Which actions run when a mute ends: those of the state the alarm entered meanwhile and is still in.

    ``CHANGED``: only if that is not the state it had when the mute began, so that an alarm that came and went tells
    nobody that it is over.  The guide has no example of this.
    """

    HELD = "held"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Reading:
    """One consistent set of answers.

    ``extra_periods``: how many datapoints beyond N a sliding window reads when nothing else is said (the number
    is not published; the guide's tables read 5 for N = 3).  ``fill_empty``: FILL also fills a metric that has no
    datapoint at all in the range read.  ``hourly_minute``: in which minute of the hour a multi-day alarm is evaluated,
    on data up to the full hour (the guide's example is evaluated at 10:03, 11:03 and 12:03).
    """

    extra_periods: int = 2
    premature: Premature = Premature.RANGE
    fresh_breach: FreshBreach = FreshBreach.OK
    dynamodb: DynamoDbMissing = DynamoDbMissing.DEFAULT_IGNORE
    fill_empty: bool = True
    counted: Counted = Counted.NEWEST
    precedence: Precedence = Precedence.AND_FIRST
    at_least: Share = Share.UP
    after_mute: AfterMute = AfterMute.HELD
    hourly_minute: int = 0

    def __post_init__(self) -> None:
        if self.extra_periods < 0:
            raise SimulationError(f"extra_periods must be 0 or more, got {self.extra_periods}")
        if not 0 <= self.hourly_minute < 60:
            raise SimulationError(f"hourly_minute lies between 0 and 59, got {self.hourly_minute}")


DEFAULT = Reading()

_CHOICES: dict[str, type[StrEnum]] = {
    "premature": Premature,
    "fresh-breach": FreshBreach,
    "dynamodb": DynamoDbMissing,
    "counted": Counted,
    "precedence": Precedence,
    "at-least": Share,
    "after-mute": AfterMute,
}
_TRUTH = {"yes": True, "true": True, "no": False, "false": False}


def parse_reading(texts: Iterable[str]) -> Reading:
    """The reading that texts such as ``premature=window`` choose; the default for what none names.

    Names are the fields of Reading, written with ``-`` or ``_``.  Raises SimulationError.
    """
    chosen: dict[str, Any] = {}
    names = [one.name.replace("_", "-") for one in fields(Reading)]
    for text in texts:
        name, _, value = (part.strip() for part in text.partition("="))
        name = name.replace("_", "-")
        if name not in names:
            raise SimulationError(f"reading {text!r}: {nearest(name, names)}")
        if name in chosen:
            raise SimulationError(f"reading {text!r}: {name} is given twice")
        chosen[name] = _answer(name, value, text)
    return Reading(**{name.replace("-", "_"): value for name, value in chosen.items()})


def _answer(name: str, value: str, text: str) -> Any:
    if name in _CHOICES:
        known = {str(one).lower(): one for one in _CHOICES[name]}
        if value.lower() not in known:
            raise SimulationError(f"reading {text!r}: {name} is one of {', '.join(_CHOICES[name])}")
        return known[value.lower()]
    if name == "fill-empty":
        if value.lower() not in _TRUTH:
            raise SimulationError(f"reading {text!r}: {name} is yes or no")
        return _TRUTH[value.lower()]
    if not (value.isascii() and value.isdecimal()) or len(value) > 6:
        raise SimulationError(f"reading {text!r}: {name} is a whole number from 0")
    if name == "hourly-minute" and int(value) > 59:
        raise SimulationError(f"reading {text!r}: {name} lies between 0 and 59")
    return int(value)
