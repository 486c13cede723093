"""A simulation from files, as a machine and as a person reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ..alarm import Alarm, AlarmState, EvaluationWindow, Metric
from ..errors import InputError, SimulationError
from .changes import Change, Evidence, actions_for
from .composite import names_in, parse_rule
from .delay import delays_of
from .mute import MuteRule
from .options import parse_delays, parse_forced, parse_moment
from .reading import DEFAULT, Reading
from .schedule import refuse_too_long
from .series import load_series
from .template import AlarmTemplate, Unsupported, read_template
from .timeline import Timeline, simulate

_STRIP = {AlarmState.OK: "·", AlarmState.ALARM: "█", AlarmState.INSUFFICIENT_DATA: " "}
_STRIP_WIDTH = 60
# Series of one symptom say nothing about most alarms of a template; their names would bury what happened.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Simulation:
    """A timeline with the template it is of, and the metrics in the series that none of its alarms reads."""

    template: AlarmTemplate
    timeline: Timeline
    unread: tuple[Metric, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """``alarms``: by name, the state at the start and every change; ``evidence``: what each of them saw.

        Beside them what was not evaluated, saw no data, has no value or is read by no alarm.
        """
        return {
            "from": _stamp(self.timeline.start),
            "to": _stamp(self.timeline.end),
            "alarms": {
                name: [_change(change) for change in changes] for name, changes in self.timeline.changes.items()
            },
            "evidence": {name: self._evidence(name) for name in self.timeline.changes},
            "mute_rules": {
                rule.name: {
                    "alarms": list(rule.alarms),
                    "unknown": list(self.timeline.mute_targets_unknown.get(rule.name, ())),
                }
                for rule in self.template.mutes
            },
            "refused": {refused.name: refused.reason for refused in self.timeline.refused},
            "without_data": list(self.timeline.without_data),
            "unresolved": list(self.template.unresolved),
            "unread": [str(metric) for metric in self.unread],
            "notes": list(self.template.notes),
        }

    def _evidence(self, name: str) -> dict[str, Any]:
        """Of a metric alarm what its evaluations saw, of a composite the alarms it watches."""
        seen = self.timeline.evidence.get(name)
        if seen is None:
            rule = next(one.rule for one in self.template.composites if one.name == name)
            return {"watches": list(names_in(parse_rule(rule)))}
        return {
            "evaluations": seen.evaluations,
            "with_data": seen.with_data,
            "range_dependent": seen.range_dependent,
            "silent_metrics": [str(metric) for metric in seen.silent_metrics],
        }


def _change(change: Change) -> dict[str, Any]:
    return {
        "at": _stamp(change.at),
        "from": change.from_state.value,
        "state": change.state.value,
        "reason": change.reason,
        "actions": list(change.actions),
        "acted_at": _stamp(change.acted_at) if change.acted_at else None,
        "suppressed_by": change.suppressed_by.value if change.suppressed_by else None,
        "muted_by": change.muted_by,
        "depends_on_range": change.depends_on_range,
    }


def run(
    template: Path,
    series: Iterable[Path],
    parameters: Mapping[str, str],
    start: str | None,
    end: str | None,
    metrics: Sequence[str] = (),
    *,
    evaluation_range: int | None = None,
    reading: Reading = DEFAULT,
    forced: Sequence[str] = (),
    delays: Sequence[str] = (),
    mutes: Sequence[MuteRule] = (),
) -> Simulation:
    """Evaluate the template over the series, by default from their first datapoint to their last.

    ``metrics`` names what the CSV files among ``series`` hold, in their order; ``forced`` and ``delays`` are texts such
    as ``2026-01-01T00:10:00Z ALARM NAME`` and ``Namespace/Name{Dim=V}=120s``.  An alarm that the series do not fit is
    refused and the rest is evaluated.
    Raises InputError, TemplateError or SimulationError, also if no alarm can be evaluated.
    """
    read = read_template(template, parameters)
    if not read.alarms and not read.composites:
        raise _nothing(template, read.unsupported)
    _check_range(read.alarms, evaluation_range)
    used = tuple(dict.fromkeys(metric for alarm in read.alarms for metric in alarm.metrics))
    by_hand, late = [parse_forced(text) for text in forced], parse_delays(delays, used)
    for alarm in read.alarms:
        try:
            delays_of(alarm, late)
        except SimulationError as error:
            raise InputError(f"--delay: {error}") from None
    store = load_series(series, metrics)
    edges = store.edges()
    if edges is None:
        raise SimulationError("the series hold no datapoint; there is nothing to evaluate")
    (first, earliest), (last, latest) = edges
    begins, ends = f"the first datapoint of {earliest}", f"the last datapoint of {latest}"
    if start is not None:
        first, begins = parse_moment(start, "--from"), "--from"
    if end is not None:
        last, ends = parse_moment(end, "--to"), "--to"
    if last < first:
        raise InputError(f"{ends}, {_stamp(last)}, is before {begins}, {_stamp(first)}; give --from and --to in order")
    refuse_too_long(first, last, begins, ends)
    timeline = simulate(
        read,
        store,
        first,
        last,
        forced=by_hand,
        evaluation_range=evaluation_range,
        reading=reading,
        mutes=mutes,
        delays=late,
        keep_going=True,
    )
    if not timeline.changes:
        raise _nothing(template, timeline.refused)
    return Simulation(read, timeline, tuple(metric for metric in store.metrics() if metric not in set(used)))


def _nothing(template: Path, refused: Sequence[Unsupported]) -> SimulationError:
    reasons = "; ".join(f"{one.name}: {one.reason}" for one in refused[:_NAMED])
    return SimulationError(f"{template}: no alarm that can be evaluated" + (f" ({reasons})" if reasons else ""))


def _check_range(alarms: Sequence[Alarm], length: int | None) -> None:
    """Refuse a range that is shorter than what a sliding window needs at least."""
    sliding = [one for one in alarms if one.evaluation_window is EvaluationWindow.SLIDING]
    longest = max(sliding, key=lambda one: one.evaluation_periods, default=None)
    if length is not None and longest is not None and length < longest.evaluation_periods:
        raise InputError(
            f"--evaluation-range {length} is shorter than the EvaluationPeriods of {longest.name}; "
            f"give at least {longest.evaluation_periods}"
        )


def lines(simulation: Simulation) -> Iterator[str]:
    """The same for a terminal: every change, then a strip of states for each alarm that is or was not OK."""
    timeline = simulation.timeline
    composites = {one.name: one for one in simulation.template.composites}
    yield f"{_stamp(timeline.start)} to {_stamp(timeline.end)}"
    changes = sorted(
        (
            (change.at, name, change)
            for name, record in timeline.changes.items()
            for index, change in enumerate(record)
            if index or change.state is AlarmState.ALARM
        ),
        key=lambda one: (one[0], one[1]),
    )
    for at, name, change in changes:
        yield ""
        first = change is timeline.changes[name][0]
        yield f"{_stamp(at)}  {name}: {'ALARM from the start' if first else _step(change)}"
        yield f"  {change.reason}"
        if change.actions:
            when = f" at {_stamp(change.acted_at)}" if change.acted_at and change.acted_at != at else ""
            muted = f" (muted before by {change.muted_by})" if change.muted_by else ""
            yield f"  tells{when} {', '.join(change.actions)}{muted}"
        elif change.muted_by is not None:
            yield f"  tells nobody: muted by {change.muted_by}"
        elif change.suppressed_by is not None and actions_for(composites[name].actions, change.state):
            yield f"  tells nobody: suppressed ({change.suppressed_by.value})"
        if change.depends_on_range:
            yield "  depends on how far back CloudWatch looks, which AWS does not publish"
    if not any(len(record) > 1 for record in timeline.changes.values()):
        yield "no alarm changed its state"
    width = max(map(len, timeline.changes), default=0)
    drawn = [
        name for name, record in timeline.changes.items() if any(change.state is not AlarmState.OK for change in record)
    ]
    if drawn:
        yield ""
        yield f"{_STRIP[AlarmState.OK]} OK  {_STRIP[AlarmState.ALARM]} ALARM  (blank: insufficient data)"
    for name in drawn:
        yield f"{name:<{width}}  |{_strip(timeline, name)}|"
    quiet = len(timeline.changes) - len(drawn)
    if quiet:
        yield f"{quiet} alarm{' was' if quiet == 1 else 's were'} OK all the time"
    for refused in timeline.refused:
        yield f"not evaluated: {refused.name}: {refused.reason}"
    for rule, unknown in timeline.mute_targets_unknown.items():
        yield f"mute rule {rule} names {_some([repr(name) for name in unknown])}, not evaluated here"
    yield from _accounts(timeline.evidence)
    if simulation.unread:
        yield f"read by no alarm: {_some([str(metric) for metric in simulation.unread])}"
    yield from simulation.template.notes
    if simulation.template.unresolved:
        yield f"without a value: {', '.join(simulation.template.unresolved)}; give them with --param NAME=VALUE"


def _accounts(evidence: Mapping[str, Evidence]) -> Iterator[str]:
    """What the metric alarms saw: a line for each case, however many alarms it is true of."""
    heard = {name: seen for name, seen in evidence.items() if not seen.silent}
    always = [name for name, seen in heard.items() if seen.with_data == seen.evaluations]
    if always:
        yield f"{_alarms(always)} had data at every evaluation"
    cases = (
        (
            "had data at some evaluations",
            {
                name: f"{seen.with_data} of {seen.evaluations}"
                for name, seen in heard.items()
                if seen.with_data < seen.evaluations
            },
        ),
        (
            "saw only some of their metrics",
            {name: f"without {seen.silent_metrics[0]}" for name, seen in heard.items() if seen.silent_metrics},
        ),
        (
            "had verdicts that depend on how far back CloudWatch looks",
            {
                name: f"{seen.range_dependent} of {seen.evaluations}"
                for name, seen in heard.items()
                if seen.range_dependent
            },
        ),
    )
    for what, found in cases:
        if found:
            yield f"{_alarms(found)} {what}: {_some([f'{name} ({how})' for name, how in sorted(found.items())])}"
    if silent := sorted(name for name, seen in evidence.items() if seen.silent):
        yield f"{_alarms(silent)} saw no data: {_some(silent)}"


def _step(change: Change) -> str:
    return f"{change.from_state.value} → {change.state.value}"


def _alarms(names: Sized) -> str:
    return f"{len(names)} alarm{'' if len(names) == 1 else 's'}"


def _some(names: Sequence[str]) -> str:
    """A few names, however many there are."""
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more, all named by --json" if rest > 0 else "")


def _strip(timeline: Timeline, name: str) -> str:
    """States over time in _STRIP_WIDTH cells; one that saw ALARM at any moment shows it, the last the state at the end."""
    record = timeline.changes[name]
    length = (timeline.end - timeline.start) / _STRIP_WIDTH or timedelta(minutes=1)
    cells = []
    for index in range(_STRIP_WIDTH):
        begin, end = timeline.start + length * index, timeline.start + length * (index + 1)
        states = {timeline.state_at(name, begin)} | {change.state for change in record if begin <= change.at < end}
        cells.append(_STRIP[AlarmState.ALARM if AlarmState.ALARM in states else timeline.state_at(name, begin)])
    cells[-1] = _STRIP[record[-1].state]
    return "".join(cells)


def _stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
