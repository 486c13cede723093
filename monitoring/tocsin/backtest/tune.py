"""Proposes thresholds and M of N for alarms on causes, from history: never edits, and says where history is not enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..alarm import Alarm, Metric, TreatMissingData
from ..errors import SimulationError
from ..simulate.reading import DEFAULT, Reading
from ..simulate.schedule import refuse_too_long
from ..simulate.template import AlarmTemplate
from ..simulate.timeline import simulate
from ..units import format_duration
from .coverage import pauses, recorded
from .incident import Incident
from .labelled import aligned, figures_shown, score_timeline
from .scoring import Score, Span, subtract, total
from .search import LOUDEST, SHAPES, Found, best_of_healthy, best_with_incidents
from .subject import Declared, Subject, plain
from .trial import Figures, Part, Setting, Trial, unfit

if TYPE_CHECKING:
    from ..simulate.series import Store

#: What a proposal has to rest on at least.
LEAST_DATAPOINTS = 200
LEAST_INCIDENTS = 2
LEAST_QUIET = timedelta(days=1)
LEAST_HEALTHY = timedelta(days=7)
_LONGEST_SHAPE = max(n for _, n in SHAPES)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A better setting of one alarm, with what it does and did in a full simulation.

    Between ``low`` and ``high`` every threshold that was tried does as well.  ``confirmed`` is what the second half of the
    history says to a proposal made from the first: True, False, or None where that cannot be told; ``check`` in words.
    ``lines`` are to be pasted.
    """

    alarm: str
    now: Setting
    new: Setting
    before: Score
    after: Score
    low: float
    high: float
    confirmed: bool | None
    check: str
    lines: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The same as JSON."""
        return {
            "now": _setting(self.now),
            "proposed": _setting(self.new),
            "as_good_between": [self.low, self.high],
            "before": self.before.as_json(),
            "after": self.after.as_json(),
            "confirmed": self.confirmed,
            "check": self.check,
            "paste": list(self.lines),
        }


@dataclass(frozen=True, slots=True)
class Tuning:
    """The proposals by alarm, and why every other alarm is left as it is."""

    start: datetime
    end: datetime
    labelled: bool
    incidents: int
    proposals: tuple[Proposal, ...]
    kept: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """The same as JSON."""
        return {
            "from": f"{self.start:%Y-%m-%dT%H:%M:%SZ}",
            "to": f"{self.end:%Y-%m-%dT%H:%M:%SZ}",
            "labelled": self.labelled,
            "incidents": self.incidents,
            "proposals": {one.alarm: one.as_json() for one in self.proposals},
            "kept": dict(self.kept),
        }

    def lines(self) -> Iterator[str]:
        """The same for a terminal."""
        history = f"{self.start:%Y-%m-%dT%H:%M:%SZ} to {self.end:%Y-%m-%dT%H:%M:%SZ}"
        if self.labelled:
            yield f"{history}, {self.incidents} incident{'' if self.incidents == 1 else 's'}"
        else:
            yield f"{history}, taken as healthy: without --labels every firing counts as false"
        for one in self.proposals:
            yield ""
            yield f"{one.alarm}: {_worded(one.now)} → {_worded(one.new)}"
            head, rows = figures_shown([replace(one.before, name="now"), replace(one.after, name="proposed")])
            yield from (f"  {line}" for line in aligned(("", *head[1:]), rows))
            if one.low < one.high:
                yield f"  as good anywhere between {one.low:.4g} and {one.high:.4g}"
            yield f"  {one.check}"
            yield from (f"    {line}" for line in one.lines)
        yield ""
        if not self.proposals:
            yield "nothing to propose"
        reasons: dict[str, list[str]] = {}
        for name, reason in self.kept.items():
            reasons.setdefault(reason, []).append(name)
        for reason, names in sorted(reasons.items()):
            yield f"left as they are, {reason}: {', '.join(sorted(names))}"


def tune(
    template: AlarmTemplate,
    store: Store,
    incidents: Sequence[Incident] | None,
    start: datetime,
    end: datetime,
    subjects: Mapping[str, Subject],
    *,
    reading: Reading = DEFAULT,
) -> Tuning:
    """Look for better settings of the ``subjects`` among the template's alarms; others are not touched.

    ``incidents`` is None where there are no labels: then the history is taken as healthy.  The figures of each proposal
    come from a full simulation with it.  Raises SimulationError for a history of more than ten years.
    """
    refuse_too_long(start, end)
    paused = pauses(template, store, start, end)
    given = None if incidents is None else [*recorded(incidents, start, end, store.span(), paused).scored]
    paused = subtract(paused, [(one.start, one.end) for one in given or ()])
    work = _Work(store, given, start, end, paused, reading)
    proposals, kept, held = [], {}, {*store.metrics()}
    for alarm in sorted(template.alarms, key=lambda one: one.name):
        if alarm.name not in subjects:
            continue
        try:
            outcome = work.consider(alarm, subjects[alarm.name], held)
        except SimulationError as error:  # a statistic that the series cannot yield
            outcome = f"because {error}"
        if isinstance(outcome, Proposal):
            proposals.append(outcome)
        else:
            kept[alarm.name] = outcome
    return Tuning(start, end, given is not None, len(given or ()), tuple(proposals), kept)


@dataclass(frozen=True, slots=True)
class _Work:
    store: Store
    incidents: list[Incident] | None
    start: datetime
    end: datetime
    paused: list[Span]
    reading: Reading

    def consider(self, alarm: Alarm, subject: Subject, held: Set[Metric]) -> Proposal | str:
        """A proposal, or why there is none; ``held`` are the metrics there is data for."""
        if isinstance(subject, Declared) and subject.siblings:
            return "because one override would change several alarms of this kind at once"
        if alarm.treat_missing_data is TreatMissingData.BREACHING:
            return "because they tell of missing data, which has no threshold"
        if (reason := unfit(alarm)) is not None:
            return f"because {reason}" if reason.startswith("it ") else reason
        if held.isdisjoint(alarm.metrics):
            return "without data"
        longest = max(alarm.evaluation_periods, _LONGEST_SHAPE)
        mine = [one for one in self.incidents or () if one.concerns(alarm.name)]
        marks = {moment for one in mine for moment in (one.start, one.end)}
        marks |= {moment for span in self.paused for moment in span}
        trial = Trial(alarm, self.store, self.start, self.end, longest, marks=marks, reading=self.reading)
        if not trial.fixed:
            return "because their datapoints depend on how many are read"
        if (reason := self._too_little(trial, mine)) is not None:
            return reason
        whole = trial.part(self.start, self.end, mine, self._recorded())
        found = self._best(trial, whole)
        if found is None:
            return "nothing better was found" if trial.figures(Setting.of(alarm), whole).firings else "they never fired"
        return self._prove(trial, found, subject, mine)

    def _best(self, trial: Trial, part: Part) -> Found | None:
        return best_of_healthy(trial, part) if self.incidents is None else best_with_incidents(trial, part)

    def _recorded(self) -> list[Span]:
        return subtract([(self.start, self.end)], self.paused)

    def _too_little(self, trial: Trial, mine: Sequence[Incident]) -> str | None:
        """Why the history is not enough for this alarm; None if it is."""
        present = trial.present()
        count = total(present) // timedelta(seconds=trial.alarm.period)
        if not count:
            return "because they saw no data"
        if count < LEAST_DATAPOINTS:
            return f"because they saw fewer than {LEAST_DATAPOINTS} datapoints"
        if len(trial.distinct()) < 2:
            return "because their metric never changed"
        # From the first datapoint to the last: a counter of errors is silent while all is well.
        own = subtract([(present[0][0], present[-1][1])], self.paused)
        if self.incidents is None:
            return None if total(own) >= LEAST_HEALTHY else f"because they saw less than {_length(LEAST_HEALTHY)}"
        if len(mine) < LEAST_INCIDENTS:
            return f"because fewer than {LEAST_INCIDENTS} incidents are theirs to see"
        quiet = total(subtract(own, [(one.start, one.end) for one in mine]))
        return None if quiet >= LEAST_QUIET else f"because they saw less than {_length(LEAST_QUIET)} outside incidents"

    def _prove(self, trial: Trial, found: Found, subject: Subject, mine: Sequence[Incident]) -> Proposal | str:
        """The figures of the full simulation, and what the halves of the history say."""
        alarm, now = trial.alarm, Setting.of(trial.alarm)
        before, after = self._score(alarm), self._score(found.setting.applied(alarm))
        if not _improves(before, after, alarm.period):
            return "nothing better held in the full simulation"
        confirmed, check = self._halves(trial, mine)
        because = self._because(before, after)
        lines = subject.change(now, found.setting, because)
        return Proposal(alarm.name, now, found.setting, before, after, found.low, found.high, confirmed, check, lines)

    def _score(self, alarm: Alarm) -> Score:
        template = AlarmTemplate((alarm,))
        timeline = simulate(template, self.store, self.start, self.end, reading=self.reading)
        (score,) = score_timeline(template, timeline, self.store, self.incidents, paused=self.paused).alarms
        return score

    def _halves(self, trial: Trial, mine: Sequence[Incident]) -> tuple[bool | None, str]:
        """What the first half proposes, held against the second."""
        middle = self._middle(trial, mine)
        recorded, now = self._recorded(), Setting.of(trial.alarm)
        first = trial.part(self.start, middle, mine, recorded)
        second = trial.part(middle, self.end, mine, recorded)
        if self.incidents is not None and not (first.incidents and second.incidents):
            return None, "not confirmed: the incidents do not lie in both halves of the history"
        if min(int(one.outside.sum()) for one in (first, second)) < LEAST_QUIET.total_seconds():
            return (
                None,
                f"not confirmed: one half of the history has less than {_length(LEAST_QUIET)} outside incidents",
            )
        found = self._best(trial, first)
        if found is None:
            return None, f"not confirmed: the history up to {_day(middle)} alone proposes nothing"
        was, would = trial.figures(now, second), trial.figures(found.setting, second)
        what = f"what the history up to {_day(middle)} proposes ({_worded(found.setting)})"
        figures = f"{_told(would)}; now {_told(was)}"
        if would.seen < was.seen or would.fresh < was.fresh or would.loud > max(was.loud, LOUDEST):
            return False, f"doubtful: {what} does worse after it: {figures}"
        if would.fresh > was.fresh:
            if would.cost - was.cost < would.fresh - was.fresh:
                return True, f"confirmed: {what} sees more after it too: {figures}"
            return False, f"doubtful: {what} is wrong too often after it: {figures}"
        if would.cost == was.cost:
            return None, f"not confirmed: {what} makes no difference after it: {figures}"
        if would.cost < was.cost:
            return True, f"confirmed: {what} is wrong less often after it too: {figures}"
        return False, f"doubtful: {what} is wrong more often after it: {figures}"

    def _middle(self, trial: Trial, mine: Sequence[Incident]) -> datetime:
        """Where the halves meet: half of the incidents before it, or half of the time with data."""
        if len(mine) >= LEAST_INCIDENTS:
            ordered = sorted(mine, key=lambda one: one.start)
            one, other = ordered[(len(mine) - 1) // 2], ordered[(len(mine) - 1) // 2 + 1]
            return one.end + (other.start - one.end) / 2
        left = total(trial.present()) / 2
        for begin, end in trial.present():
            if end - begin >= left:
                return begin + left
            left -= end - begin
        return self.end

    def _because(self, before: Score, after: Score) -> str:
        """A reason to begin with; the person who pastes it knows a better one."""
        parts = [f"history of {_day(self.start)} to {_day(self.end)}"]
        if after.incidents and self.incidents is not None:
            parts.append(
                f"sees {len(after.detections)} of {len(after.incidents)} incidents (before: {len(before.detections)})"
            )
        parts.append(f"false alarms: {after.false_alarms} (before: {before.false_alarms})")
        return "Tuned: " + ", ".join(parts) + "."


def _improves(before: Score, after: Score, period: int) -> bool:
    """Whether the full simulation bears a proposal out."""

    def rank(one: Score) -> tuple[int, int, int]:
        days = (one.in_alarm_outside or timedelta()) // timedelta(days=1)
        return -(len(one.detections) - one.already), -len(one.detections), one.false_alarms + days

    if rank(after) != rank(before):
        return rank(after) < rank(before)
    if after.median_delay is None or before.median_delay is None:
        return False
    return after.median_delay + timedelta(seconds=period) < before.median_delay


def _told(figures: Figures) -> str:
    seen = f"{figures.seen}/{figures.incidents} seen, " if figures.incidents else ""
    return f"{seen}{figures.false_alarms} false, {figures.loud:.1%} of healthy time in ALARM"


def _setting(setting: Setting) -> dict[str, float | int]:
    return {
        "threshold": setting.threshold,
        "evaluation_periods": setting.evaluation_periods,
        "datapoints_to_alarm": setting.datapoints_to_alarm,
    }


def _worded(setting: Setting) -> str:
    return f"{plain(setting.threshold)}, {setting.datapoints_to_alarm} of {setting.evaluation_periods}"


def _length(length: timedelta) -> str:
    return format_duration(length)


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"
