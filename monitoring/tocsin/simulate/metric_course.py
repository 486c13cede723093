"""The course of one metric alarm: all its evaluations between two moments, one by one or at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ..alarm import Actions, Alarm, AlarmState, EvaluationWindow, Metric, MetricStat
from ..errors import SimulationError
from .changes import Change, Evidence, Forced, actions_for
from .delay import Delays, LateSource, delays_of, hidden_seconds, horizon
from .metric_alarm import Evaluation, effective_treatment, evaluate
from .reading import Reading
from .reasons import INITIAL, explain
from .schedule import clip, is_multi_day, slots, step
from .source import MetricSource, RangeSource
from .verdict import Verdict

if TYPE_CHECKING:
    from .columns import Floats


class Watched:
    """A source that remembers which metrics had data."""

    def __init__(self, source: MetricSource) -> None:
        self._source = source
        self.heard: set[Metric] = set()

    def datapoints(self, stat: MetricStat, start: datetime, periods: int) -> Sequence[float | None]:
        values = self._source.datapoints(stat, start, periods)
        if any(value is not None for value in values):
            self.heard.add(stat.metric)
        return values


class WatchedRange(Watched):
    def __init__(self, source: RangeSource) -> None:
        super().__init__(source)
        self._range = source

    def windows(self, stat: MetricStat, start: datetime, step: int, count: int) -> Floats:
        import numpy as np

        values = self._range.windows(stat, start, step, count)
        if not np.isnan(values).all():
            self.heard.add(stat.metric)
        return values


@dataclass(frozen=True, slots=True)
class MetricCourse:
    start: datetime
    end: datetime
    evaluation_range: int | None
    reading: Reading
    literal: bool
    delays: Delays = field(default_factory=timedelta)

    def metric_alarm(
        self, alarm: Alarm, source: MetricSource, began: AlarmState, forced: Sequence[Forced]
    ) -> tuple[list[Change], Evidence]:
        sliding = alarm.evaluation_window is EvaluationWindow.SLIDING
        if sliding and not self.literal and isinstance(source, RangeSource):
            return self._at_once(alarm, source, began, forced)
        return self._one_by_one(alarm, source, began, forced)

    def moments(self, alarm: Alarm) -> Iterator[datetime]:
        """When the alarm is evaluated."""
        yield self.start
        pace = timedelta(seconds=step(alarm))
        at = clip(alarm, self.start)
        if is_multi_day(alarm):
            at += timedelta(minutes=self.reading.hourly_minute)
        while at <= self.end:
            if at > self.start:
                yield at
            at += pace

    def _evaluate(
        self, alarm: Alarm, source: MetricSource, at: datetime, state: AlarmState, *, doubt_range: bool = True
    ) -> Evaluation:
        late = delays_of(alarm, self.delays)
        if late:
            source = LateSource(source, {metric: horizon(alarm, at, delay) for metric, delay in late.items()})
        return evaluate(
            alarm,
            source,
            at,
            state,
            evaluation_range=self.evaluation_range,
            reading=self.reading,
            doubt_range=doubt_range,
        )

    def _one_by_one(
        self, alarm: Alarm, source: MetricSource, began: AlarmState, forced: Sequence[Forced]
    ) -> tuple[list[Change], Evidence]:
        changes: list[Change] = []
        state, waiting = began, sorted(forced, key=lambda one: one.at)
        count = with_data = dependent = 0
        last_read, last = None, None
        late = delays_of(alarm, self.delays)
        for at in self.moments(alarm):
            while waiting and waiting[0].at < at:
                state = self._force(alarm, waiting.pop(0), state, changes)
            read = slots(alarm, at, 1), _arrived(alarm, at, late)
            if last is None or read != last_read:
                # Between two boundaries of a wall clock every evaluation reads the same.
                last = self._evaluate(alarm, source, at, state)
                last_read = read
            new = state if last.kept else last.state
            count += 1
            with_data += any(value is not None for _, value in last.datapoints)
            dependent += last.depends_on_range
            if new is not state or not changes:
                reason = INITIAL if last.kept else last.reason
                changes.append(_change(at, state, new, reason, alarm.actions, depends=last.depends_on_range))
            state = new
        for one in waiting:
            if one.at <= self.end:
                state = self._force(alarm, one, state, changes)
        return changes, Evidence(count, with_data, dependent)

    def _force(self, alarm: Alarm, one: Forced, state: AlarmState, changes: list[Change]) -> AlarmState:
        if one.at < self.start:
            raise SimulationError(f"a state is forced at {one.at:%Y-%m-%dT%H:%M:%SZ}, before the timeline begins")
        if one.state is not state:
            changes.append(_change(one.at, state, one.state, one.reason, alarm.actions))
        return one.state

    def _at_once(
        self, alarm: Alarm, source: RangeSource, began: AlarmState, forced: Sequence[Forced]
    ) -> tuple[list[Change], Evidence]:
        import numpy as np

        from . import sweep as fast

        pace = step(alarm)
        first = clip(alarm, self.start)
        lag = self.reading.hourly_minute * 60 if is_multi_day(alarm) else 0
        begin, stop = self.start.timestamp(), self.end.timestamp()
        # Evaluation i > 0 happens at first + shift + i * pace + lag and reads up to first + row * pace.
        origin = int(first.timestamp())
        earliest = int((begin - origin - lag) // pace) + 1
        latest = int((stop - origin - lag) // pace)
        rows = np.concatenate(([0], np.arange(earliest, latest + 1, dtype=np.int64)))
        moments = np.concatenate(([begin], origin + lag + rows[1:] * pace))

        def sweep(count: int, hidden: Mapping[Metric, int]) -> fast.Sweep:
            return fast.sweep(
                alarm,
                source,
                first,
                count,
                evaluation_range=self.evaluation_range,
                reading=self.reading,
                hidden=hidden,
            )

        late = delays_of(alarm, self.delays)
        hidden = hidden_seconds(alarm, first + timedelta(seconds=lag), late)
        before_first = hidden_seconds(alarm, self.start, late)
        swept = sweep(int(rows[-1]) + 1, hidden)
        # A multi-day alarm is evaluated at the start whatever the minute, and finds more or less arrived than later.
        at_start = swept if before_first == hidden else sweep(1, before_first)
        codes, depends, has_data = swept.codes[rows], swept.depends_on_range[rows], swept.has_data[rows]
        codes[0], depends[0], has_data[0] = at_start.codes[0], at_start.depends_on_range[0], at_start.has_data[0]
        manual: dict[int, Forced] = {}
        for one in sorted(forced, key=lambda one: one.at):
            if one.at < self.start:
                raise SimulationError(f"a state is forced at {one.at:%Y-%m-%dT%H:%M:%SZ}, before the timeline begins")
            if one.at <= self.end:
                place = int(np.searchsorted(moments, one.at.timestamp(), side="right"))
                code = fast.CODES.index(Verdict(one.state.value))
                codes, rows = np.insert(codes, place, code), np.insert(rows, place, -1)
                depends, has_data = np.insert(depends, place, False), np.insert(has_data, place, False)
                moments = np.insert(moments, place, one.at.timestamp())
                manual[place] = one
        start_code = fast.CODES.index(Verdict(began.value))
        told = np.maximum.accumulate(np.where(codes == fast.RETAIN, -1, np.arange(len(codes))))
        states = np.where(told < 0, start_code, codes[told])
        before = np.concatenate(([start_code], states[:-1]))
        changed = states != before
        changed[0] = True
        changes = []
        treat = effective_treatment(alarm, self.reading)
        for index in np.flatnonzero(changed).tolist():
            old, new = (AlarmState(fast.CODES[code].value) for code in (int(before[index]), int(states[index])))
            at, row = datetime.fromtimestamp(float(moments[index]), UTC), int(rows[index])
            if index in manual:
                changes.append(_change(at, old, new, manual[index].reason, alarm.actions))
                continue
            verdict = fast.CODES[int(codes[index])]
            if verdict is Verdict.RETAIN:
                reason = INITIAL
            elif swept.values is None:
                reason = self._evaluate(alarm, source, at, old, doubt_range=False).reason
            else:
                values = at_start.values if index == 0 and at_start.values is not None else swept.values
                reason = explain(alarm, fast.points(values, row, alarm, first), verdict, treat)
            changes.append(_change(at, old, new, reason, alarm.actions, depends=bool(depends[index])))
        read = rows >= 0
        return changes, Evidence(int(read.sum()), int(has_data[read].sum()), int(depends[read].sum()))


def _arrived(alarm: Alarm, at: datetime, late: Mapping[Metric, timedelta]) -> tuple[datetime, ...]:
    """Up to when each late metric can be read at ``at``, as far as the alarm reads it at all."""
    if not late:
        return ()
    start, length = slots(alarm, at, 1)[-1]
    end = start + timedelta(seconds=length)
    return tuple(min(horizon(alarm, at, delay), end) for delay in late.values())


def _change(
    at: datetime, old: AlarmState, new: AlarmState, reason: str, actions: Actions, *, depends: bool = False
) -> Change:
    run = actions_for(actions, new) if new is not old else ()
    return Change(at, old, new, reason, run, at if run else None, None, depends)
