"""A recorded folder as the source of a pull: series, changes of alarm states and names, as files.

    <folder>/*.jsonl, *.json       series, in the format of `tocsin simulate --series`
    <folder>/alarm-history.jsonl   a line for each change: {"alarm": "prod-…", "at": "2026-10-03T04:12:07Z",
                                   "before": "OK", "after": "ALARM", "reason": "Threshold Crossed: …"}
    <folder>/names.json            {"<system>": {"<parameter of its alarm template>": "<name that the metrics have>"}}

Only series are needed.  What names.json does not name stands in the series as the alarm template has it:
``${ParameterName}``.  ``before`` may be null.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..alarm import AlarmState, Metric, MetricStat
from ..errors import InputError, SimulationError
from .gaps import Kept, periods_between

if TYPE_CHECKING:
    from ..cloud.alarm_history import AlarmHistory
    from ..cloud.metric_data import MetricData
    from ..cloud.metrics import StateChange
    from ..simulate.series import Store

ALARM_HISTORY, NAMES = "alarm-history.jsonl", "names.json"
_SERIES = (".json", ".jsonl")
_KEYS = frozenset({"alarm", "at", "before", "after", "reason"})
_STATES = tuple(AlarmState)
_MOST = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Recorded:
    """A folder's content.  Nothing of it fades: each metric is had in the period it was recorded in."""

    store: Store
    history: tuple[StateChange, ...]
    names: Mapping[str, Mapping[str, str]]
    periods: Mapping[Metric, int]
    start: datetime
    end: datetime

    @property
    def kept_changes(self) -> timedelta | None:
        """For ever."""
        return None

    def kept(self, stats: Collection[MetricStat]) -> Sequence[Kept]:
        """The period of the coarsest of these metrics, at least a minute."""
        return (Kept(max([60, *(self.periods.get(stat.metric, 60) for stat in stats)]), None),)

    def read(self, stats: Mapping[str, MetricStat], start: datetime, end: datetime) -> MetricData:
        """What a call of GetMetricData would give; a statistic that the series cannot tell is refused."""
        from ..cloud.metric_data import MetricData

        values: dict[str, dict[datetime, float]] = {}
        refused: dict[str, str] = {}
        for name, stat in stats.items():
            try:
                points = self.store.datapoints(stat, start, periods_between(start, end, stat.period))
            except SimulationError as error:
                refused[name] = str(error)
                continue
            step = timedelta(seconds=stat.period)
            values[name] = {start + place * step: value for place, value in enumerate(points) if value is not None}
        return MetricData(values, refused, 1)

    def changes(self, alarms: Collection[str], start: datetime, end: datetime) -> AlarmHistory:
        """The recorded changes of these alarms."""
        from ..cloud.alarm_history import AlarmHistory

        wanted = set(alarms)
        return AlarmHistory(
            tuple(one for one in self.history if one.alarm in wanted and start <= one.at < end), 1 if wanted else 0
        )


def read_recorded(folder: Path) -> Recorded:
    """Read a recorded folder whole.  Raises InputError and SimulationError with file and position."""
    from ..simulate.series import Store
    from ..simulate.series_file import read_series

    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name one with recorded series")
    store = Store()
    periods: dict[Metric, int] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in _SERIES and path.name not in (ALARM_HISTORY, NAMES):
            for series in read_series(path):
                store.add_series(series)
                periods[series.metric] = max(periods.get(series.metric, 60), series.period)
    span = store.span()
    if span is None:
        raise InputError(f"{folder}: holds no series; record some, in the format of `tocsin simulate --series`")
    longest = max(periods.values())
    return Recorded(
        store, _history(folder / ALARM_HISTORY), _names(folder / NAMES), periods, span[0], _end(span[1], longest)
    )


def _end(end: datetime, period: int) -> datetime:
    """The last datapoint stands for its whole period."""
    from .gaps import rounded_up

    return rounded_up(end, period)


def _history(path: Path) -> tuple[StateChange, ...]:
    from ..simulate.json_file import read_objects

    if not path.exists():
        return ()
    found = [
        _change(record, where) for record, where in read_objects(path, "change", most=_MOST, empty="holds no change")
    ]
    return tuple(sorted(found, key=lambda one: (one.at, one.alarm)))


def _change(record: Any, where: str) -> StateChange:
    from ..cloud.metrics import StateChange
    from ..simulate.options import parse_moment

    if not isinstance(record, dict) or set(record) - _KEYS:
        raise InputError(f"{where}: a change is an object with {', '.join(sorted(_KEYS))}")
    alarm, at, reason = (record.get(key, "") for key in ("alarm", "at", "reason"))
    if not all(isinstance(text, str) for text in (alarm, at, reason)) or not alarm:
        raise InputError(f"{where}: alarm, at and reason are texts, and alarm is not empty")
    before, after = record.get("before"), record.get("after")
    if after not in _STATES or before not in (None, *_STATES):
        raise InputError(f"{where}: before and after are one of {', '.join(_STATES)}; before may be null")
    return StateChange(
        alarm=alarm,
        at=parse_moment(at, where),
        before=None if before is None else AlarmState(before),
        after=AlarmState(after),
        reason=reason,
    )


def _names(path: Path) -> Mapping[str, Mapping[str, str]]:
    if not path.exists():
        return {}
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    if not isinstance(names, dict) or not all(
        isinstance(those, dict) and all(isinstance(name, str) for name in those.values()) for those in names.values()
    ):
        raise InputError(f'{path}: must be an object such as {{"shop": {{"OrdersName": "prod-orders"}}}}')
    return names
