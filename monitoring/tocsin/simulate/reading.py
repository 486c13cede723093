"""Reading: how to take the rules of CloudWatch that its documentation leaves open.

Each field is one question to which the user guide has no answer or two; the default is the reading that agrees with
every example the guide prints (page "Configuring how CloudWatch alarms treat missing data").
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..errors import SimulationError


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


@dataclass(frozen=True, slots=True)
class Reading:
    """One consistent set of answers.

    ``extra_periods``: how many datapoints beyond N a sliding window reads when nothing else is said (the number
    is not published; the guide's tables read 5 for N = 3).  ``fill_empty``: FILL also fills a metric that has no
    datapoint at all in the range read.
    """

    extra_periods: int = 2
    premature: Premature = Premature.RANGE
    fresh_breach: FreshBreach = FreshBreach.OK
    dynamodb: DynamoDbMissing = DynamoDbMissing.DEFAULT_IGNORE
    fill_empty: bool = True

    def __post_init__(self) -> None:
        if self.extra_periods < 0:
            raise SimulationError(f"extra_periods must be 0 or more, got {self.extra_periods}")


DEFAULT = Reading()
