"""Tries many settings of one alarm over one history: its datapoints are computed once, each setting is then judged on them.

The judgement is the simulator's own, ``simulate.verdict.judge``: a setting turns each evaluation's datapoints into one of a
few hundred patterns (breaching, not breaching, missing), and every pattern is judged once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..alarm import Alarm, Comparison, EvaluationWindow, TreatMissingData
from ..simulate.metric_alarm import effective_treatment
from ..simulate.reading import DEFAULT, Reading
from ..simulate.schedule import DAY, clip, is_multi_day, step
from ..simulate.sweep import sweep
from ..simulate.verdict import Verdict, judge
from .incident import Incident
from .scoring import Span, merge

if TYPE_CHECKING:
    from ..simulate.source import RangeSource

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]

#: More datapoints than this are not told apart in one number.
MOST_PERIODS = 36
# Patterns of so many datapoints fit a table; of longer ones only those that occur are judged.
_TABLE_LENGTH = 9
_SLOT = (False, True, None)
_CODES = {Verdict.OK: 0, Verdict.ALARM: 1, Verdict.INSUFFICIENT_DATA: 2, Verdict.RETAIN: 3}
_COMPARE = {
    Comparison.GREATER_OR_EQUAL: np.greater_equal,
    Comparison.GREATER: np.greater,
    Comparison.LESS: np.less,
    Comparison.LESS_OR_EQUAL: np.less_equal,
}


@dataclass(frozen=True, slots=True)
class Setting:
    """What of an alarm is tuned: ``datapoints_to_alarm`` of ``evaluation_periods`` beyond ``threshold``."""

    threshold: float
    evaluation_periods: int
    datapoints_to_alarm: int

    @classmethod
    def of(cls, alarm: Alarm) -> Setting:
        return cls(alarm.threshold, alarm.evaluation_periods, alarm.datapoints_to_alarm)

    def applied(self, alarm: Alarm) -> Alarm:
        """The alarm with this setting."""
        return replace(
            alarm,
            threshold=self.threshold,
            evaluation_periods=self.evaluation_periods,
            datapoints_to_alarm=self.datapoints_to_alarm,
        )


@dataclass(frozen=True, slots=True)
class Figures:
    """What a setting does in a part of the history.

    ``fresh`` incidents saw the alarm fire, ``seen`` found it at least in ALARM.  ``loud`` is the share of the time outside
    incidents that it was in ALARM, ``days`` how many whole days; ``delay`` is the median in seconds, None if nothing was seen.
    """

    incidents: int
    fresh: int
    seen: int
    firings: int
    false_alarms: int
    loud: float
    days: int
    delay: float | None

    @property
    def cost(self) -> int:
        """False alarms, and one more for each day in ALARM: an alarm that is always on is not the quietest."""
        return self.false_alarms + self.days


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the history.

    ``rows`` of evaluations, whether each ``counts``, for how many seconds it stands ``outside`` incidents, and the incidents.
    """

    rows: slice
    counts: Flags
    outside: Indices
    incidents: tuple[tuple[int, int], ...]


def unfit(alarm: Alarm) -> str | None:
    """Why settings of the alarm cannot be tried like this; None if they can."""
    if alarm.evaluation_window is EvaluationWindow.WALL_CLOCK:
        return "it is evaluated by the clock, at full periods"
    if is_multi_day(alarm):
        return "it looks back more than a day and is evaluated hourly"
    if not alarm.evaluate_low_samples:
        return "it keeps its state while there are few samples"
    if alarm.evaluation_periods > MOST_PERIODS:
        return f"it looks at more than {MOST_PERIODS} datapoints"
    return None


class Trial:
    """One alarm over one history, for settings of up to ``longest`` datapoints that do not look back more than a day.

    Evaluations that read the same as the one before are left out, because they change nothing; ``marks`` are moments at which
    a row is kept all the same, so that parts can begin and end there.
    """

    def __init__(
        self,
        alarm: Alarm,
        source: RangeSource,
        start: datetime,
        end: datetime,
        longest: int,
        *,
        marks: Iterable[datetime] = (),
        reading: Reading = DEFAULT,
    ) -> None:
        self.alarm, self.reading = alarm, reading
        # No more datapoints than fit into a day: an alarm that looks back further is evaluated hourly.
        longest = max(alarm.evaluation_periods, min(longest, DAY // alarm.period))
        pace, first = step(alarm), clip(alarm, start)
        count = int((end - first).total_seconds()) // pace + 1
        swept = sweep(
            replace(alarm, evaluation_periods=longest, datapoints_to_alarm=longest),
            source,
            first,
            count,
            evaluation_range=longest + reading.extra_periods,
            reading=reading,
        )
        #: False where an expression depends on how many datapoints are read.
        self.fixed = swept.values is not None
        table = np.empty((count, 0)) if swept.values is None else swept.values.take(slice(None))
        origin = int(first.timestamp())
        kept = np.ones(count, dtype=bool)
        kept[1:] = ((table[1:] != table[:-1]) & ~(np.isnan(table[1:]) & np.isnan(table[:-1]))).any(axis=1)
        for mark in marks:
            if 0 <= (row := -(-(int(mark.timestamp()) - origin) // pace)) < count:
                kept[row] = True
        rows = np.flatnonzero(kept)
        self.times: Indices = origin + rows * pace
        self.until: Indices = np.append(self.times[1:], origin + count * pace)
        # Newest datapoint first.
        self._columns: list[Floats] = [np.ascontiguousarray(table[rows, -1 - age]) for age in range(table.shape[1])]
        self._absent = [np.isnan(column) for column in self._columns]
        self._tried: dict[Setting, NDArray[np.uint8]] = {}

    def distinct(self) -> Floats:
        """Every value that a datapoint had, ascending."""
        return np.unique(self._columns[0][~self._absent[0]])

    def median(self) -> float:
        """The middle of the values, each counted as long as it was the newest."""
        values = self._columns[0][~self._absent[0]]
        lengths = (self.until - self.times)[~self._absent[0]]
        order = np.argsort(values, kind="stable")
        half = np.searchsorted(lengths[order].cumsum(), lengths.sum() / 2)
        return float(values[order][half])

    def present(self) -> list[Span]:
        """When the newest datapoint was not missing."""
        there = ~self._absent[0]
        spans = zip(self.times[there].tolist(), self.until[there].tolist(), strict=True)
        return merge((datetime.fromtimestamp(begin, UTC), datetime.fromtimestamp(end, UTC)) for begin, end in spans)

    def part(self, start: datetime, end: datetime, incidents: Sequence[Incident], recorded: Sequence[Span]) -> Part:
        """The evaluations in [start, end) with the incidents that begin there; ``recorded`` is the time that counts."""
        low, high = np.searchsorted(self.times, [start.timestamp(), end.timestamp()]).tolist()
        times, lengths = self.times[low:high], (self.until - self.times)[low:high]
        counts = _within(times, recorded)
        aside = _within(times, [(one.start, one.end) for one in incidents])
        mine = tuple(
            (int(one.start.timestamp()), int(one.end.timestamp())) for one in incidents if start <= one.start < end
        )
        return Part(slice(low, high), counts, np.where(counts & ~aside, lengths, 0), mine)

    def in_alarm(self, setting: Setting) -> Flags:
        """Whether the alarm is in ALARM after each evaluation."""
        if setting not in self._tried:
            # Eight to the byte: a year of minutes has half a million, and hundreds of settings are tried.
            self._tried[setting] = np.packbits(self._run(setting))
        return np.unpackbits(self._tried[setting], count=len(self.times)).astype(bool)

    def _run(self, setting: Setting) -> Flags:
        length = setting.evaluation_periods + self.reading.extra_periods
        patterns = np.zeros(len(self.times), dtype=np.int64)
        compare = _COMPARE[self.alarm.comparison]
        with np.errstate(invalid="ignore"):
            for age in range(length):
                weight = 3**age
                patterns += weight * compare(self._columns[age], setting.threshold)
                patterns += 2 * weight * self._absent[age]
        treat = effective_treatment(self.alarm, self.reading)
        n, m = setting.evaluation_periods, setting.datapoints_to_alarm
        if length <= _TABLE_LENGTH:
            codes = _table(length, n, m, treat, self.reading)[patterns]
        else:
            found, place = np.unique(patterns, return_inverse=True)
            codes = np.array([_verdict(one, length, n, m, treat, self.reading) for one in found.tolist()])[place]
        told = np.maximum.accumulate(np.where(codes == _CODES[Verdict.RETAIN], -1, np.arange(len(codes))))
        alarm: Flags = np.where(told < 0, False, codes[told] == _CODES[Verdict.ALARM])
        return alarm

    def figures(self, setting: Setting, part: Part) -> Figures:
        """What the setting does in a part."""
        states = self.in_alarm(setting)[part.rows]
        times, until = self.times[part.rows], self.until[part.rows]
        edges = np.flatnonzero(np.diff(np.concatenate(([False], states, [False])).astype(np.int8)))
        begins, lasts = edges[::2], edges[1::2] - 1
        real = part.counts[begins]
        starts, ends = times[begins[real]], until[lasts[real]]
        overlapped = np.zeros(len(starts), dtype=bool)
        fresh, delays = 0, []
        for begin, end in part.incidents:
            overlaps = (starts < end) & (ends > begin)
            overlapped |= overlaps
            anew = starts[overlaps & (starts >= begin)]
            if len(anew):
                fresh += 1
                delays.append(float(anew[0] - begin))
            elif overlaps.any():
                delays.append(0.0)
        outside = int(part.outside.sum())
        loud = int(part.outside[states].sum())
        return Figures(
            incidents=len(part.incidents),
            fresh=fresh,
            seen=len(delays),
            firings=len(starts),
            false_alarms=int((~overlapped).sum()),
            loud=loud / outside if outside else 0.0,
            days=loud // 86_400,
            delay=float(np.median(delays)) if delays else None,
        )


def _within(times: Indices, spans: Iterable[Span]) -> Flags:
    """Whether each moment lies in one of the spans."""
    inside = np.zeros(len(times), dtype=bool)
    for begin, end in spans:
        inside |= (times >= begin.timestamp()) & (times < end.timestamp())
    return inside


@cache
def _table(length: int, n: int, m: int, treat: TreatMissingData, reading: Reading) -> NDArray[np.int8]:
    """The verdict on every pattern of so many datapoints."""
    return np.array([_verdict(one, length, n, m, treat, reading) for one in range(3**length)], dtype=np.int8)


def _verdict(pattern: int, length: int, n: int, m: int, treat: TreatMissingData, reading: Reading) -> int:
    slots = []
    for _ in range(length):
        pattern, slot = divmod(pattern, 3)
        slots.append(_SLOT[slot])
    return _CODES[judge(slots[::-1], n, m, treat, reading)]
