"""Every scenario against every promise of a system, as a machine and as a person reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from ..model import Severity
from ..simulate.composite_course import usable_composites
from ..simulate.template import Unsupported, read_template
from ..units import format_duration, format_number, format_ratio
from .judge import Run, run_scenario
from .outcome import Outcome, Remark, Verdict
from .promises import Promise
from .scenarios import SCENARIOS, USUAL, Scenario
from .theory import Expected
from .year import Year, healthy_year

_HEAD = (
    "scenario",
    "tells",
    "expected",
    "in theory",
    "in ALARM after",
    "told after",
    "budget gone",
    "told",
    "reset after",
    "verdict",
)
_NOTHING = "–"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A scenario that was not run for a promise, and why."""

    slo: str
    scenario: str
    reason: str


@dataclass(frozen=True, slots=True)
class ScenarioReport:
    """What the alarms of ``template`` did in every scenario.

    ``usual``: events a minute in ordinary times.  ``years`` is empty where only some scenarios were asked for.
    ``refused`` are alarms of the template that cannot be evaluated.
    """

    system: str
    template: str
    seed: int
    usual: float
    runs: tuple[Run, ...]
    left_out: tuple[LeftOut, ...]
    years: tuple[Year, ...] = field(default=())
    refused: tuple[Unsupported, ...] = field(default=())

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """By promise, scenario and severity, in the order of the declaration and of the library."""
        return tuple(outcome for run in self.runs for outcome in run.outcomes)

    @property
    def told_per_year(self) -> Mapping[Severity, int]:
        """How often somebody is told of nothing in a healthy year of all promises together."""
        return {severity: sum(year.told.get(severity, 0) for year in self.years) for severity in Severity}

    @property
    def pages_per_year(self) -> int:
        """Pages in a healthy year of all promises together."""
        return self.told_per_year[Severity.PAGE]

    @property
    def findings(self) -> tuple[str, ...]:
        """A sentence for each alarm that did not do what it should."""
        return (
            *(_finding(outcome) for outcome in self.outcomes if not outcome.good),
            *(
                f"{year.slo}: {_times(pages)} paged in a healthy year"
                for year in self.years
                if (pages := year.told.get(Severity.PAGE, 0))
            ),
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth knowing and no finding."""
        outcomes = self.outcomes
        return (
            *(
                ["told late or never: a ticket waits while the page of its promise is out"]
                if any(one.held_back for one in outcomes)
                else []
            ),
            *(
                f"{one.slo}, {one.scenario}: the {one.severity.value} told {_times(one.notifications)} of one incident: "
                "between two bad events its short window is empty"
                for one in outcomes
                if one.remark is Remark.QUIET
            ),
            *(f"not evaluated: {one.name}: {one.reason}" for one in self.refused),
        )

    def as_json(self) -> dict[str, Any]:
        """All figures; durations in seconds, ``budget_gone`` as a share."""
        return {
            "system": self.system,
            "template": self.template,
            "seed": self.seed,
            "events_per_minute": self.usual,
            "scenarios": {name: SCENARIOS[name].about for name in sorted({run.scenario for run in self.runs})},
            "outcomes": [outcome.as_json() for outcome in self.outcomes],
            "left_out": [{"slo": one.slo, "scenario": one.scenario, "reason": one.reason} for one in self.left_out],
            "healthy_year": [year.as_json() for year in self.years],
            "refused": {one.name: one.reason for one in self.refused},
            "findings": list(self.findings),
        }

    def lines(self) -> Iterator[str]:
        """The same for a terminal: a table for each promise, then the findings."""
        yield (
            f"{self.system}: the alarms of {self.template}, {format_number(self.usual)} events a minute, seed {self.seed}"
        )
        slos = dict.fromkeys([run.slo.name for run in self.runs] + [year.slo for year in self.years])
        for name in slos:
            yield ""
            yield from self._of(name)
        yield ""
        yield from self._end()

    def _of(self, name: str) -> Iterator[str]:
        runs = [run for run in self.runs if run.slo.name == name]
        if runs:
            slo = runs[0].slo
            promise = (
                f"{format_ratio(slo.objective)} over {format_duration(slo.window)}"
                if slo.objective is not None and slo.window is not None
                else "kept or broken"
            )
            gate = slo.minimum_bad_events
            fewest = f"; only {gate} bad events in a long window tell anybody" if gate > 1 else ""
            yield f"{name}: {promise}{fewest}"
            yield from aligned(_HEAD, [row for run in runs for row in _rows(run)])
        out_of_reach = [one for one in self.left_out if one.slo == name and SCENARIOS[one.scenario].burn is not None]
        for one in out_of_reach:
            if one.reason.startswith("out of reach"):
                yield f"not run: {one.scenario}: {one.reason}"
        for year in self.years:
            if year.slo == name:
                counts = " and ".join(f"{number} {severity.value}s" for severity, number in year.told.items())
                yield f"a healthy year of {name}: {counts}"

    def _end(self) -> Iterator[str]:
        yield from self.notes
        for finding in self.findings:
            yield f"finding: {finding}"
        good = sum(outcome.good for outcome in self.outcomes)
        yield f"{good} of {len(self.outcomes)} outcomes as expected" + (
            f"; a healthy year of all promises: {self.pages_per_year} pages, {self.told_per_year[Severity.TICKET]} tickets"
            if self.years
            else ""
        )


def run_library(
    promises: Sequence[Promise],
    scenarios: Sequence[Scenario],
    template: str,
    *,
    seed: int,
    usual: float = USUAL,
    years: bool,
    refused: Sequence[Unsupported] = (),
    step: Callable[[str], None] = lambda what: None,
) -> ScenarioReport:
    """Run each scenario against each promise it is about; ``years``: also a healthy year of each.

    ``step`` is told what is about to be run; ``refused`` is only handed on.  Raises SimulationError.
    """
    runs, left_out, healthy = [], [], []
    for promise in promises:
        for scenario in scenarios:
            if reason := scenario.left_out(promise.slo):
                left_out.append(LeftOut(promise.slo.name, scenario.name, reason))
                continue
            step(f"{promise.slo.name}: {scenario.name}")
            runs.append(run_scenario(promise, scenario, seed, usual=usual))
        if years:
            step(f"{promise.slo.name}: a healthy year")
            healthy.append(healthy_year(promise, seed, usual=usual))
    system = promises[0].system if promises else ""
    return ScenarioReport(system, template, seed, usual, tuple(runs), tuple(left_out), tuple(healthy), tuple(refused))


def not_evaluated(path: Path, parameters: Mapping[str, str]) -> tuple[Unsupported, ...]:
    """The alarms of the rendered template at ``path`` that cannot be evaluated, with the reason."""
    template = read_template(path, parameters)
    return (*template.unsupported, *usable_composites(template)[1])


def steps(promises: Sequence[Promise], scenarios: Sequence[Scenario], *, years: bool) -> int:
    """How many steps ``run_library`` takes."""
    runs = sum(scenario.left_out(promise.slo) is None for promise in promises for scenario in scenarios)
    return runs + (len(promises) if years else 0)


def _rows(run: Run) -> Iterator[tuple[str, ...]]:
    name = run.scenario
    for one in run.outcomes:
        yield (
            name,
            one.severity.value,
            one.expected.value,
            _theory(one),
            _spoken(one.in_alarm_after) if one.in_alarm_after is not None else "yes" if one.fired else _NOTHING,
            _spoken(one.told_after) if one.told_after is not None else "yes" if one.told_at else _NOTHING,
            _NOTHING if one.budget_gone is None else f"{format_number(one.budget_gone * 100, 3)} %",
            str(one.notifications) if one.fired else _NOTHING,
            _spoken(one.reset_after),
            f"{one.verdict.value}, {one.remark.value}" if one.remark else one.verdict.value,
        )
        name = ""


def _theory(outcome: Outcome) -> str:
    if outcome.theory is None:
        return _NOTHING
    text = _spoken(outcome.theory)
    if outcome.theory_at_latest is not None and outcome.theory_at_latest > outcome.theory:
        text += f", then up to {_spoken(outcome.theory_at_latest - outcome.theory)}"
    return text


def _spoken(value: timedelta | None) -> str:
    """A duration to the second, to the minute from an hour on; a dash for none."""
    if value is None:
        return _NOTHING
    unit = timedelta(minutes=1) if value >= timedelta(hours=1) else timedelta(seconds=1)
    rounded = round(value / unit) * unit
    return format_duration(rounded) if rounded else "0 s"


def _finding(outcome: Outcome) -> str:
    what = f"{outcome.slo}, {outcome.scenario}: the {outcome.severity.value}"
    match outcome.verdict:
        case Verdict.MISSED:
            return f"{what} never fired; in theory after {_theory(outcome)}"
        case Verdict.LATE:
            when = outcome.in_alarm_after if outcome.told_after is None else outcome.told_after
            return f"{what} told somebody after {_spoken(when)}; in theory after {_theory(outcome)}"
        case Verdict.TOLD_NOBODY:
            after = _spoken(outcome.in_alarm_after)
            return f"{what} was in ALARM after {after} and told nobody: look at its actions and its suppressor"
        case Verdict.FLAPS:
            return f"{what} told {_times(outcome.notifications)} of one incident"
        case Verdict.STUCK:
            after = "until the end" if outcome.reset_after is None else f"for {_spoken(outcome.reset_after)}"
            return f"{what} stayed in ALARM {after} after the incident was over"
        case _:
            before = ", before the incident" if outcome.expected is not Expected.SILENT else ""
            return f"{what} fired{before}; nobody should have been told"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def aligned(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """A table in columns as wide as their widest cell."""
    widths = [max(len(row[index]) for row in (head, *rows)) for index in range(len(head))]
    for row in (head, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
