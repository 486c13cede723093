"""The rules for Prometheus page and open tickets when the alarms in CloudWatch do, and end when they do: within minutes.

The alarms are simulated on the events themselves.  Prometheus' own rule tester gets the counters that the exporter would
show of the same events, as late as it shows them, and the generated rules.  Skipped where promtool cannot be had.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from tests.debian_programs import NoProgramError, debian_program
from tests.promtool.test_promtool_agrees import (
    DAY,
    FAST,
    HOUR,
    READER,
    WORKS,
    Traffic,
    burn,
    by_minute,
    chance,
    leak,
    quiet,
    simulated,
    steady,
    stops,
)

from tocsin.exporter.refresh import SETTLED_AFTER
from tocsin.model import Severity, Slo, System
from tocsin.plan import plan
from tocsin.render.alarms import alarm_template
from tocsin.render.prometheus import prometheus_rules
from tocsin.simulate.template import AlarmTemplate, read_template

pytestmark = pytest.mark.long

MINUTE = timedelta(minutes=1)
#: Minutes until the exporter shows a minute's events: it has ended, is settled, and the next refresh has read it.
SHOWN_AFTER = 1 + SETTLED_AFTER // MINUTE
#: What docs/exporter.md states: so many minutes later than the alarms, at most.
LATER = 5
#: A window over a day is looked at every minute, and by CloudWatch once an hour.
EARLIER_OVER_A_DAY = 60

PLAN = plan(System("shop", "payments", [READER], [WORKS, FAST]))
PAGE, TICKET = Severity.PAGE, Severity.TICKET


def small(length: int = DAY) -> Traffic:
    """Ten requests an hour, of which two in a row fail at night, and from the evening on every one."""
    asked = [int(minute % 6 == 0) for minute in range(length)]
    return Traffic(asked, [int(one and (at in (180, 186) or at >= 20 * HOUR)) for at, one in enumerate(asked)])


TRAFFIC: dict[str, tuple[Slo, Callable[[], Traffic]]] = {
    "outage and recovery": (WORKS, lambda: steady(DAY, lambda at: 1000 if 8 * HOUR <= at < 8 * HOUR + 20 else 0)),
    "burns ten times too fast": (WORKS, lambda: burn(WORKS, "10")),
    "burns twenty times too fast": (FAST, lambda: burn(FAST, "20")),
    "slow burn": (WORKS, lambda: steady(36 * HOUR, lambda at: 4 if 8 * HOUR <= at < 24 * HOUR else 0)),
    "slow leak": (WORKS, lambda: leak(WORKS, 30 * HOUR)),
    "traffic stops": (WORKS, stops),
    "ten requests an hour": (WORKS, quiet),
    "too few to page": (FAST, small),
    "chance 5": (FAST, partial(chance, FAST, seed=5)),
}


@pytest.fixture(scope="module")
def program() -> Path:
    try:
        return debian_program("promtool")
    except NoProgramError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> AlarmTemplate:
    path = tmp_path_factory.mktemp("rendered") / "shop.yaml"
    path.write_text(alarm_template(PLAN), encoding="utf-8")
    return read_template(path)


@dataclass(frozen=True)
class Case:
    """Traffic of one kind in an environment of its own, and the state of each severity's alarm at every minute."""

    environment: str
    slo: Slo
    traffic: Traffic
    states: dict[Severity, list[bool]]


def case(template: AlarmTemplate, kind: str, until: int | None = None) -> Case:
    """The case of that kind, or its first minutes."""
    slo, make = TRAFFIC[kind]
    traffic = make()
    timeline = simulated(template, slo, traffic)
    states = {severity: by_minute(timeline, f"prod-shop-{slo.name}-{severity}") for severity in Severity}
    traffic = Traffic(traffic.valid[:until], traffic.bad[:until])
    return Case(kind.replace(" ", "-"), slo, traffic, {severity: one[:until] for severity, one in states.items()})


def counters(one: Case) -> list[dict[str, str]]:
    """What the exporter shows of the events at every minute, from the first on, in promtool's notation."""
    slo, traffic = one.slo.name, one.traffic
    labels = f'{{environment="{one.environment}",instance="a",job="slo",owner="payments",slo="{slo}",system="shop"}}'
    series = []
    for name, values in (
        ("good", [valid - bad for valid, bad in zip(traffic.valid, traffic.bad, strict=True)]),
        ("valid", traffic.valid),
    ):
        shown = [0] * SHOWN_AFTER + list(accumulate(values))
        series.append({"series": f"slo_sli_{name}_total{labels}", "values": " ".join(map(str, shown))})
    return series


def expectation(environment: str, severity: Severity) -> str:
    labels = f'alertname="SloErrorBudgetBurn",alertstate="firing",environment="{environment}",severity="{severity}"'
    return f"count(ALERTS{{{labels}}}) or vector(0)"


def write_test(folder: Path, rules: str, cases: Iterable[Case]) -> Path:
    """promtool's files: each severity's state at every minute of each case."""
    (folder / "shop.rules.yaml").write_text(rules, encoding="utf-8")
    cases = list(cases)
    test = {
        "interval": "1m",
        "input_series": [series for one in cases for series in counters(one)],
        "promql_expr_test": [
            {
                "expr": expectation(one.environment, severity),
                "eval_time": f"{minute}m",
                "exp_samples": [{"labels": "{}", "value": int(fires)}],
            }
            for one in cases
            for severity, minutes in one.states.items()
            for minute, fires in enumerate(minutes)
        ],
    }
    path = folder / "test.json"
    whole = {"rule_files": ["shop.rules.yaml"], "evaluation_interval": "1m", "tests": [test]}
    path.write_text(json.dumps(whole), encoding="utf-8")
    return path


_FAILED = re.compile(
    r'environment=\\?"([^"\\]+)\\?",severity=\\?"(page|ticket)\\?".*?time: ?([0-9dhms]+)',
    re.DOTALL,
)
_UNITS = {"d": DAY, "h": HOUR, "m": 1, "s": 0}


def differing(program: Path, test: Path) -> dict[tuple[str, Severity], set[int]]:
    """The minutes in which promtool found another state, by environment and severity."""
    done = subprocess.run(
        [str(program), "test", "rules", test.name],
        cwd=test.parent,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    said = done.stdout + done.stderr
    found: dict[tuple[str, Severity], set[int]] = defaultdict(set)
    for environment, severity, at in _FAILED.findall(said):
        minute = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)([dhms])", at))
        found[environment, Severity(severity)].add(minute)
    assert (done.returncode == 0) == (not found), said[:2000]
    assert found or "SUCCESS" in said, said[:2000]
    return found


def unexplained(alarm: list[bool], different: set[int], earlier: int) -> list[int]:
    """The minutes in which the alert has a state that the alarm has neither shortly before nor, where it may, after."""
    return [
        at
        for at in sorted(different)
        if all(state is alarm[at] for state in alarm[max(0, at - LATER) : at + earlier + 1])
    ]


@pytest.fixture(scope="module")
def cases(template: AlarmTemplate) -> dict[str, Case]:
    return {kind: case(template, kind) for kind in TRAFFIC}


@pytest.fixture(scope="module")
def different(
    program: Path, cases: dict[str, Case], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, Severity], set[int]]:
    """Of all cases, each in its environment: what evaluating the rules costs is the same for one and for many.

    Those of a day and those of more go apart, since the rules are evaluated until the last minute of any.
    """
    rules = prometheus_rules(PLAN)
    assert rules is not None
    found: dict[tuple[str, Severity], set[int]] = {}
    for long in (False, True):
        some = [one for one in cases.values() if (len(one.traffic) > DAY) is long]
        found |= differing(program, write_test(tmp_path_factory.mktemp("rules"), rules, some))
    return found


@pytest.mark.parametrize("kind", TRAFFIC)
def test_alerts_follow_the_alarms(
    cases: dict[str, Case], different: dict[tuple[str, Severity], set[int]], kind: str
) -> None:
    one = cases[kind]
    for severity, earlier in ((PAGE, 0), (TICKET, EARLIER_OVER_A_DAY)):
        minutes = different.get((one.environment, severity), set())
        assert unexplained(one.states[severity], minutes, earlier) == []


def test_the_traffic_makes_both_fire_and_rest(cases: dict[str, Case]) -> None:
    """Agreement on alarms that never change would say little."""
    for slo in (WORKS, FAST):
        seen: dict[Severity, set[bool]] = {severity: set() for severity in Severity}
        resets = 0
        for one in cases.values():
            if one.slo is slo:
                for severity, states in one.states.items():
                    seen[severity].update(states)
                    resets += sum(before and not after for before, after in pairwise(states))
        assert all(states == {True, False} for states in seen.values()), seen
        assert resets


@pytest.mark.parametrize(
    ("kind", "until", "of", "to"),
    [
        ("burns ten times too fast", 15 * HOUR, "> 0.006\n", "> 0.012\n"),  # the burn rate of another tier
        ("too few to page", 5 * HOUR, ">= 2.5", ">= 0.5"),  # no gate for low traffic
        ("outage and recovery", 10 * HOUR, "ratio_increase5m{slo", "ratio_increase1h{slo"),  # no short window
    ],
)
def test_the_comparison_notices(
    program: Path, template: AlarmTemplate, kind: str, until: int, of: str, to: str, tmp_path: Path
) -> None:
    """Rules with one thing wrong are found out."""
    rules = prometheus_rules(PLAN)
    assert rules is not None
    assert of in rules
    one = case(template, kind, until)
    different = differing(program, write_test(tmp_path, rules.replace(of, to), [one]))
    assert unexplained(one.states[PAGE], different[one.environment, PAGE], earlier=0)
