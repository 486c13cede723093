"""The course of all composite alarms: evaluated whenever something they mention changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from ..alarm import AlarmState, CompositeAlarm
from ..errors import SimulationError
from .changes import Change, Forced, actions_for
from .composite import CircleError, Rule, alarm_name, evaluate_rule, evaluation_order, names_in, parse_rule
from .reading import DEFAULT, Reading
from .reasons import INITIAL, explain_composite
from .suppression import ActionGate, Release
from .template import AlarmTemplate, Unsupported


def usable_composites(
    template: AlarmTemplate, reading: Reading = DEFAULT
) -> tuple[dict[str, tuple[CompositeAlarm, Rule]], list[Unsupported]]:
    """The composites whose rules can be evaluated, and the others with the reason."""
    refused: list[Unsupported] = []
    usable: dict[str, tuple[CompositeAlarm, Rule]] = {}
    for composite in template.composites:
        try:
            usable[composite.name] = composite, parse_rule(composite.rule, reading)
        except SimulationError as error:
            refused.append(Unsupported(composite.name, "", str(error)))
    metric_alarms = {alarm.name for alarm in template.alarms}
    _refuse_circles(usable, refused)
    while True:
        known = metric_alarms | usable.keys()
        lost = {
            name: missing
            for name, (composite, rule) in usable.items()
            if (missing := [one for one in _needed(composite, rule) if one not in known])
        }
        if not lost:
            return usable, refused
        for name, missing in lost.items():
            del usable[name]
            refused.append(Unsupported(name, "", f"it depends on {missing[0]!r}, which is not evaluated here"))


def _needed(composite: CompositeAlarm, rule: Rule) -> list[str]:
    return [*names_in(rule), *([alarm_name(composite.suppressor)] if composite.suppressor else [])]


def _refuse_circles(usable: dict[str, tuple[CompositeAlarm, Rule]], refused: list[Unsupported]) -> None:
    while True:
        try:
            evaluation_order({name: rule for name, (_, rule) in usable.items()})
        except CircleError as error:
            for name in sorted(error.names):
                del usable[name]
                refused.append(Unsupported(name, "", str(error)))
        else:
            return


def run_composites(
    composites: Mapping[str, tuple[CompositeAlarm, Rule]],
    initial: Mapping[str, AlarmState],
    metric_alarms: Mapping[str, Sequence[Change]],
    forced: Sequence[Forced],
    start: datetime,
    end: datetime,
) -> dict[str, list[Change]]:
    """The changes of all composites, by name.

    Those that have nothing to do with each other run on their own, so that time grows with their number, not its square.
    """
    records: dict[str, list[Change]] = {}
    for group in _groups(composites):
        states = {name: initial.get(name, AlarmState.INSUFFICIENT_DATA) for name in group}
        mentioned = {one for name in group for one in _needed(*composites[name])}
        course = CompositeCourse({name: composites[name] for name in group}, states, start)
        course.run(
            {name: changes for name, changes in metric_alarms.items() if name in mentioned},
            [one for one in forced if one.alarm in states],
            end,
        )
        records |= course.records
    return records


def _groups(composites: Mapping[str, tuple[CompositeAlarm, Rule]]) -> list[list[str]]:
    """Composites that mention each other or an alarm in common, in the order of the template."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    for name, (composite, rule) in composites.items():
        for one in _needed(composite, rule):
            leader[find(one)] = find(name)
    groups: dict[str, list[str]] = {}
    for name in composites:
        groups.setdefault(find(name), []).append(name)
    return list(groups.values())


class CompositeCourse:
    """Evaluates the composites whenever something they mention changes."""

    def __init__(
        self, composites: Mapping[str, tuple[CompositeAlarm, Rule]], states: dict[str, AlarmState], start: datetime
    ) -> None:
        self.composites = composites
        self.order = evaluation_order({name: rule for name, (_, rule) in composites.items()})
        self.children = {name: frozenset(names_in(rule)) for name, (_, rule) in composites.items()}
        self.suppressors = {
            name: alarm_name(composite.suppressor)
            for name, (composite, _) in composites.items()
            if composite.suppressor
        }
        self.gates = {
            name: ActionGate(
                suppressor=name in self.suppressors,
                wait=composite.suppressor_wait,
                extension=composite.suppressor_extension,
            )
            for name, (composite, _) in composites.items()
        }
        self.states = states
        self.start = start
        self.records: dict[str, list[Change]] = {name: [] for name in composites}

    def run(self, metric_alarms: Mapping[str, Sequence[Change]], forced: Iterable[Forced], end: datetime) -> None:
        moments: dict[datetime, tuple[dict[str, AlarmState], list[Forced]]] = {self.start: ({}, [])}
        for name, changes in metric_alarms.items():
            for change in changes:
                moments.setdefault(change.at, ({}, []))[0][name] = change.state
        for one in forced:
            if self.start <= one.at <= end:
                moments.setdefault(one.at, ({}, []))[1].append(one)
        for at in sorted(moments):
            self._moment(at, *moments[at])
        for name in self.order:
            self._act(name, self.gates[name].advance(end))

    def _moment(self, at: datetime, moved: dict[str, AlarmState], forced: list[Forced]) -> None:
        for name in self.order:
            self._act(name, self.gates[name].advance(at))
        before = dict(self.states)
        by_hand = {one.alarm: one for one in forced}
        self.states.update(moved)
        new: dict[str, str] = {}
        for name in self.order:
            causes = sorted(child for child in self.children[name] if child in moved or child in new)
            if causes or at == self.start:
                holds = evaluate_rule(self.composites[name][1], self.states)
                state = AlarmState.ALARM if holds else AlarmState.OK
                cause = next(
                    (child for child in causes if self._moved_into(child, state)), causes[0] if causes else None
                )
                reason = explain_composite(cause, self.states[cause], at) if cause is not None else INITIAL
            elif name in by_hand:
                state, reason = by_hand[name].state, by_hand[name].reason
            else:
                continue
            if state is not self.states[name] or at == self.start:
                new[name] = reason
                self.states[name] = state
        for name, suppressor in sorted(self.suppressors.items()):
            in_alarm = self.states[suppressor] is AlarmState.ALARM
            if at == self.start or in_alarm is not (before.get(suppressor) is AlarmState.ALARM):
                self._act(name, self.gates[name].suppressor_changed(at, in_alarm=in_alarm))
        for name, reason in new.items():
            old = before[name]
            self.records[name].append(Change(at, old, self.states[name], reason))
            if self.states[name] is not old:
                released = self.gates[name].composite_changed(at, self.states[name])
                self.records[name][-1] = replace(self.records[name][-1], suppressed_by=self.gates[name].suppressed_by)
                self._act(name, released)

    def _moved_into(self, child: str, state: AlarmState) -> bool:
        return self.states[child] is state

    def _act(self, name: str, released: Iterable[Release]) -> None:
        """The actions that run belong to the newest change: a release is always of the state held."""
        for release in released:
            run = actions_for(self.composites[name][0].actions, release.state)
            if run and self.records[name]:
                self.records[name][-1] = replace(self.records[name][-1], actions=run, acted_at=release.at)
