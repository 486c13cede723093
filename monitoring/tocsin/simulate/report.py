"""A simulation from files, as a machine and as a person reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ..alarm import AlarmState
from ..errors import InputError, SimulationError
from .series import load_series
from .template import AlarmTemplate, read_template
from .timeline import Timeline, simulate

_STRIP = {AlarmState.OK: "·", AlarmState.ALARM: "█", AlarmState.INSUFFICIENT_DATA: " "}
_STRIP_WIDTH = 60
# Series of one symptom say nothing about most alarms of a template; their names would bury what happened.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Simulation:
    """A timeline with the template it is of."""

    template: AlarmTemplate
    timeline: Timeline

    def as_json(self) -> dict[str, Any]:
        """``alarms``: by name, the state at the start and every change; and what was not evaluated or saw no data."""
        return {
            "from": _stamp(self.timeline.start),
            "to": _stamp(self.timeline.end),
            "alarms": {
                name: [
                    {
                        "at": _stamp(change.at),
                        "from": change.from_state.value,
                        "state": change.state.value,
                        "reason": change.reason,
                        "actions": list(change.actions),
                        "acted_at": _stamp(change.acted_at) if change.acted_at else None,
                        "suppressed_by": change.suppressed_by.value if change.suppressed_by else None,
                        "depends_on_range": change.depends_on_range,
                    }
                    for change in changes
                ]
                for name, changes in self.timeline.changes.items()
            },
            "refused": {refused.name: refused.reason for refused in self.timeline.refused},
            "without_data": list(self.timeline.without_data),
            "unresolved": list(self.template.unresolved),
        }


def run(
    template: Path,
    series: Iterable[Path],
    parameters: Mapping[str, str],
    start: str | None,
    end: str | None,
    metrics: Sequence[str] = (),
) -> Simulation:
    """Evaluate the template over the series, by default from their first datapoint to their last.

    ``metrics`` names what the CSV files among ``series`` hold, in their order.  Raises InputError, TemplateError or SimulationError.
    """
    read = read_template(template, parameters)
    if not read.alarms and not read.composites:
        reasons = "; ".join(f"{one.name}: {one.reason}" for one in read.unsupported[:3])
        raise SimulationError(f"{template}: no alarm that can be evaluated" + (f" ({reasons})" if reasons else ""))
    store = load_series(series, metrics)
    span = store.span()
    if span is None:
        raise SimulationError("the series hold no datapoint; there is nothing to evaluate")
    first = _moment("--from", start) if start is not None else span[0]
    last = _moment("--to", end) if end is not None else span[1]
    return Simulation(read, simulate(read, store, first, last))


def _moment(option: str, text: str) -> datetime:
    """A time such as ``2026-01-01T00:00:00Z``; without a zone it is UTC.  Raises InputError."""
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InputError(f"{option}: not a time: {text!r}; write it as 2026-01-01T00:00:00Z") from None


def lines(simulation: Simulation) -> Iterator[str]:
    """The same for a terminal: every change, then a strip of states for each alarm that had any."""
    timeline = simulation.timeline
    yield f"{_stamp(timeline.start)} to {_stamp(timeline.end)}"
    changes = sorted(
        ((change.at, name, change) for name, record in timeline.changes.items() for change in record[1:]),
        key=lambda one: (one[0], one[1]),
    )
    for at, name, change in changes:
        yield ""
        yield f"{_stamp(at)}  {name}: {change.from_state.value} → {change.state.value}"
        yield f"  {change.reason}"
        if change.actions:
            when = f" at {_stamp(change.acted_at)}" if change.acted_at and change.acted_at != at else ""
            yield f"  tells{when} {', '.join(change.actions)}"
        elif change.suppressed_by is not None:
            yield f"  tells nobody: suppressed ({change.suppressed_by.value})"
        if change.depends_on_range:
            yield "  depends on how far back CloudWatch looks, which AWS does not publish"
    if not changes:
        yield "no alarm changed its state"
    width = max(map(len, timeline.changes), default=0)
    moving = [name for name, record in timeline.changes.items() if len(record) > 1]
    if moving:
        yield ""
        yield f"{_STRIP[AlarmState.OK]} OK  {_STRIP[AlarmState.ALARM]} ALARM  (blank: insufficient data)"
    for name in moving:
        yield f"{name:<{width}}  |{_strip(timeline, name)}|"
    quiet = len(timeline.changes) - len(moving)
    if quiet:
        yield f"{quiet} alarm{'' if quiet == 1 else 's'} did not change"
    for refused in timeline.refused:
        yield f"not evaluated: {refused.name}: {refused.reason}"
    if timeline.without_data:
        yield _without_data(timeline.without_data)
    if simulation.template.unresolved:
        yield f"without a value: {', '.join(simulation.template.unresolved)}; give them with --param NAME=VALUE"


def _without_data(names: Sequence[str]) -> str:
    """One line, however many alarms the series say nothing about."""
    shown, rest = names[:_NAMED], len(names) - _NAMED
    more = f" and {rest} more, all named by --json" if rest > 0 else ""
    return f"{len(names)} alarm{'' if len(names) == 1 else 's'} saw no data: {', '.join(shown)}{more}"


def _strip(timeline: Timeline, name: str) -> str:
    """States over time in _STRIP_WIDTH cells; a cell that saw ALARM at any moment shows it."""
    record = timeline.changes[name]
    length = (timeline.end - timeline.start) / _STRIP_WIDTH or timedelta(minutes=1)
    cells = []
    for index in range(_STRIP_WIDTH):
        begin, end = timeline.start + length * index, timeline.start + length * (index + 1)
        states = {timeline.state_at(name, begin)} | {change.state for change in record if begin <= change.at < end}
        cells.append(_STRIP[AlarmState.ALARM if AlarmState.ALARM in states else timeline.state_at(name, begin)])
    return "".join(cells)


def _stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
