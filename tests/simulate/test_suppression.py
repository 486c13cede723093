"""The six documented timelines of an actions suppressor, with a wait of 2 and an extension of 3."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tocsin.alarm import AlarmState
from tocsin.simulate.suppression import ActionGate, SuppressedBy

A, O = AlarmState.ALARM, AlarmState.OK  # noqa: E741
T0 = datetime(2026, 1, 1, tzinfo=UTC)


def t(tick: int) -> datetime:
    return T0 + timedelta(seconds=tick)


def run(
    events: list[tuple[int, str, AlarmState]], until: int = 20, *, wait: int = 2, extension: int = 3
) -> list[tuple[int, AlarmState]]:
    gate = ActionGate(suppressor=True, wait=wait, extension=extension)
    released = []
    for tick, who, state in events:
        if who == "composite":
            released += gate.composite_changed(t(tick), state)
        else:
            released += gate.suppressor_changed(t(tick), in_alarm=state is A)
    released += gate.advance(t(until))
    return [(int((one.at - T0).total_seconds()), one.state) for one in released]


@pytest.mark.parametrize(
    ("events", "acts"),
    [
        pytest.param([(2, "composite", A)], [(4, A)], id="1 acts after the wait"),
        pytest.param([(2, "composite", A), (3, "suppressor", A)], [], id="2 suppressed in the wait"),
        pytest.param([(2, "composite", A), (3, "composite", O)], [(5, O)], id="3 a change begins a new wait"),
        pytest.param([(1, "suppressor", A), (2, "composite", A)], [], id="4 suppressed from the beginning"),
        pytest.param(
            [(2, "composite", A), (3, "suppressor", A), (6, "suppressor", O)], [(9, A)], id="5 acts after the extension"
        ),
        pytest.param(
            [(2, "composite", A), (3, "suppressor", A), (6, "suppressor", O), (7, "composite", O)],
            [(9, O)],
            id="6 a change in the extension begins a wait",
        ),
    ],
)
def test_documented_timelines(events: list[tuple[int, str, AlarmState]], acts: list[tuple[int, AlarmState]]) -> None:
    assert run(events) == acts


def test_not_yet_beside_now() -> None:
    gate = ActionGate(suppressor=True, wait=2, extension=3)
    assert gate.composite_changed(t(2), A) == ()
    assert (gate.suppressed_by, gate.due) == (SuppressedBy.WAIT_PERIOD, t(4))
    assert gate.advance(t(3)) == ()
    assert [one.at for one in gate.advance(t(4))] == [t(4)]
    assert (gate.suppressed_by, gate.due) == (None, None)


def test_the_phases_are_named() -> None:
    gate = ActionGate(suppressor=True, wait=2, extension=3)
    gate.suppressor_changed(t(1), in_alarm=True)
    assert gate.suppressed_by is SuppressedBy.ALARM
    gate.suppressor_changed(t(2), in_alarm=False)
    assert (gate.suppressed_by, gate.due) == (SuppressedBy.EXTENSION_PERIOD, t(5))


@pytest.mark.parametrize(
    ("events", "acts"),
    [
        ([(1, "suppressor", A), (3, "suppressor", O)], []),
        ([(2, "composite", A), (6, "composite", O)], [(4, A), (8, O)]),
        ([(1, "suppressor", A), (2, "composite", A), (4, "suppressor", O), (5, "suppressor", A)], []),
        ([(1, "suppressor", A), (2, "composite", A), (3, "composite", O), (5, "suppressor", O)], [(8, O)]),
        ([(2, "composite", A), (4, "suppressor", A)], [(4, A)]),
    ],
)
def test_other_courses(events: list[tuple[int, str, AlarmState]], acts: list[tuple[int, AlarmState]]) -> None:
    assert run(events) == acts


def test_without_a_suppressor_or_with_no_wait_actions_run_at_once() -> None:
    free = ActionGate(suppressor=False)
    assert [one.state for one in free.composite_changed(t(1), A)] == [A]
    assert run([(2, "composite", A)], wait=0) == [(2, A)]
    assert run([(1, "suppressor", A), (2, "composite", A), (4, "suppressor", O)], extension=0) == [(4, A)]
