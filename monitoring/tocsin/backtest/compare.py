"""What a change of alarms does: the difference between two backtests of the same scenarios or the same history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ..units import format_duration, format_number
from .labelled import Scores, aligned

if TYPE_CHECKING:
    from .report import ScenarioReport

# Which way each figure is better: +1 higher, -1 lower, 0 neither.  What is not named here follows from those that are.
_OUTCOME = {
    "verdict": 0,
    "fired": 0,
    "in_alarm_after": -1,
    "told_after": -1,
    "reset_after": -1,
    "budget_gone": -1,
    "notifications": -1,
}
_SCORE = {
    "recall": 1,
    "precision": 1,
    "firings": 0,
    "false_alarms_per_week": -1,
    "median_delay_seconds": -1,
    "in_alarm_outside_incidents": -1,
    "firings_per_week": 0,
}
_WORDS = {
    "in_alarm_after": "in ALARM after",
    "told_after": "told after",
    "reset_after": "reset after",
    "budget_gone": "budget gone",
    "false_alarms_per_week": "false alarms a week",
    "median_delay_seconds": "median delay",
    "in_alarm_outside_incidents": "in ALARM outside incidents",
    "firings_per_week": "firings a week",
}
_LENGTHS = frozenset({"in_alarm_after", "told_after", "reset_after", "median_delay_seconds"})
_SHARES = frozenset({"recall", "precision", "budget_gone", "in_alarm_outside_incidents"})
# When a ticket that waits for the page tells is up to the page.
_WAITS = frozenset({"told_after", "budget_gone", "notifications"})
_GOOD = "as expected"
# How an incident of the labels fared, from the worst to the best.
_FATES: tuple[str | bool, ...] = ("no data", False, True)


@dataclass(frozen=True, slots=True)
class Changed:
    """One figure that differs.  ``better``: whether it is better here than there; None if neither."""

    what: str
    figure: str
    here: Any
    there: Any
    better: bool | None

    def as_json(self) -> dict[str, Any]:
        """The same as JSON."""
        return {
            "what": self.what,
            "figure": self.figure,
            "here": self.here,
            "there": self.there,
            "better": self.better,
        }


@dataclass(frozen=True, slots=True)
class Difference:
    """What is different here from there, and only that.

    ``only_here`` and ``only_there`` are alarms or scenarios that one side does not have.
    """

    changes: tuple[Changed, ...]
    only_here: tuple[str, ...]
    only_there: tuple[str, ...]

    @property
    def worse(self) -> tuple[Changed, ...]:
        """What is worse here than there."""
        return tuple(one for one in self.changes if one.better is False)

    def as_json(self) -> dict[str, Any]:
        """The same as JSON."""
        return {
            "changes": [one.as_json() for one in self.changes],
            "only_here": list(self.only_here),
            "only_there": list(self.only_there),
            "better": sum(one.better is True for one in self.changes),
            "worse": len(self.worse),
        }

    def lines(self) -> Iterator[str]:
        """The same for a terminal."""
        if self.changes:
            rows = [
                (
                    one.what,
                    _WORDS.get(one.figure, one.figure),
                    _shown(one, one.here),
                    _shown(one, one.there),
                    _verdict(one),
                )
                for one in self.changes
            ]
            yield from aligned(("", "figure", "here", "there", ""), rows, names=2)
            better = sum(one.better is True for one in self.changes)
            yield f"{better} better here than there, {len(self.worse)} worse"
        elif not (self.only_here or self.only_there):
            yield "no difference"
        for names, where in ((self.only_here, "here"), (self.only_there, "there")):
            for name in names:
                yield f"only {where}: {name}"


def compare_scenarios(here: ScenarioReport, there: ScenarioReport) -> Difference:
    """The outcomes and healthy years that differ."""
    ours, theirs = _outcomes(here.as_json()), _outcomes(there.as_json())
    changes = []
    for what in [name for name in ours if name in theirs]:
        one, other = ours[what], theirs[what]
        for figure, way in _OUTCOME.items():
            if figure not in one or one[figure] == other[figure]:
                continue
            if figure == "verdict":
                better = None if _GOOD not in (one[figure], other[figure]) else one[figure] == _GOOD
            elif figure == "notifications" and one["fired"] != other["fired"]:
                continue
            elif figure in _WAITS and (one["held_back"] or other["held_back"]):
                better = None
            elif figure == "notifications":
                better = _fewer(one[figure], other[figure], one["expected"])
            else:
                # To be quick, or quick to be over, is no merit of an alarm that should have kept quiet.
                better = _better(one[figure], other[figure], 0 if one["expected"] == "silent" else way)
            changes.append(Changed(what, figure, one[figure], other[figure], better))
        for severity, told in one.get("told", {}).items():
            if told != other["told"].get(severity, 0):
                before = other["told"].get(severity, 0)
                changes.append(Changed(what, f"{severity}s", told, before, told < before))
    return Difference(tuple(changes), _only_outcomes(ours, theirs), _only_outcomes(theirs, ours))


def _fewer(one: int, other: int, expected: str) -> bool | None:
    """Whether it is better to tell ``one`` time than ``other`` times: of an incident once, of nothing never."""
    if expected != "silent" and not (one and other):
        return None if expected == "either" else one > other
    return one < other


def _outcomes(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found = {f"{one['slo']}, {one['scenario']}, {one['severity']}": one for one in report["outcomes"]}
    found |= {f"{one['slo']}, a healthy year": {"told": one["told"]} for one in report["healthy_year"]}
    return found


def compare_scores(here: Scores, there: Scores) -> Difference:
    """The figures of alarms and of the whole set that differ, and the incidents that only one side tells of.

    An incident that only alarms without data could have seen is worse off than one that was missed.
    """
    ours, theirs = here.as_json(), there.as_json()
    changes = []
    fates, others = _fates(here), _fates(there)
    for name in sorted(fates.keys() & others.keys()):
        fate, other = fates[name], others[name]
        if fate != other:
            changes.append(Changed(name, "told", fate, other, _FATES.index(fate) > _FATES.index(other)))
    pairs = [(here.whole.name, ours["whole"], theirs["whole"])]
    pairs += [
        (name, figures, theirs["alarms"][name]) for name, figures in ours["alarms"].items() if name in theirs["alarms"]
    ]
    for name, one, other in pairs:
        for figure, way in _SCORE.items():
            if figure in one and one[figure] != other[figure]:
                changes.append(
                    Changed(name, figure, one[figure], other[figure], _better(one[figure], other[figure], way))
                )
    return Difference(tuple(changes), _only(ours["alarms"], theirs["alarms"]), _only(theirs["alarms"], ours["alarms"]))


def _fates(scores: Scores) -> dict[str, str | bool]:
    """Of each incident in the time of the history, whether somebody was told, or that no alarm for it has data."""
    missed = {*scores.missed}
    told: dict[str, str | bool] = {name: name not in missed for name in scores.whole.incidents}
    return told | dict.fromkeys(scores.unseeable, _FATES[0])


def _only_outcomes(some: Mapping[str, Any], others: Mapping[str, Any]) -> tuple[str, ...]:
    """What only one side has; in one line a whole SLO, or one severity of it."""
    found: dict[str, None] = {}
    for name in _only(some, others):
        slo, severity = name.partition(", ")[0], name.rpartition(", ")[2]
        theirs = [other for other in others if other.partition(", ")[0] == slo]
        if not theirs:
            found[f"SLO {slo}"] = None
        elif "severity" in some[name] and not any(other.rpartition(", ")[2] == severity for other in theirs):
            found[f"the {severity} of SLO {slo}"] = None
        else:
            found[name] = None
    return tuple(found)


def _only(some: Mapping[str, Any], others: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for name in some if name not in others)


def _better(one: float | None, other: float | None, way: int) -> bool | None:
    """None where a figure is missing: without firings there is no precision, which is neither good nor bad."""
    if way == 0 or one is None or other is None:
        return None
    return (one - other) * way > 0


def _shown(one: Changed, value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if one.figure in _LENGTHS:
        return format_duration(timedelta(seconds=round(value))) if round(value) else "0 min"
    if one.figure in _SHARES:
        return f"{format_number(value * 100, 3)} %"
    return format_number(value, 3)


def _verdict(one: Changed) -> str:
    return "" if one.better is None else "better" if one.better else "worse"
