"""Tocsin's simulator and Prometheus' own rule tester say the same of the same burn rates, in every minute.

The alarms are rendered, read back and simulated by Tocsin; Prometheus gets rules translated from the promise
itself, the same traffic, and Tocsin's verdicts as what to expect.  Skipped where promtool cannot be had.
"""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.debian_programs import NoProgramError, debian_program
from tests.promtool.translation import alert_of, rules, write_test

from tocsin.alarm import AlarmState, Metric
from tocsin.burn_rate import Tier, tiers
from tocsin.declare import availability, latency
from tocsin.model import Resource, Severity, Slo, System
from tocsin.plan import plan
from tocsin.render.alarms import alarm_template
from tocsin.simulate.series import Series, Store
from tocsin.simulate.template import AlarmTemplate, read_template
from tocsin.simulate.timeline import Timeline, simulate

pytestmark = pytest.mark.long

START = datetime(2026, 1, 5, tzinfo=UTC)  # a full hour, as the hours of the rule tester begin at 0
MINUTE = timedelta(minutes=1)
HOUR, DAY = 60, 1440

READER = Resource("AWS::Lambda::Function", "Reader", "reader", {"Timeout": 10})
WORKS = availability(READER, objective="99.9%", window="30d", name="works")
FAST = latency(READER, below="800ms", objective="99%", window="28d", name="fast", minimum_bad_events=3)
SLOS = {slo.name: slo for slo in (WORKS, FAST)}
FUNCTION = (("FunctionName", "reader"),)
BELOW, ABOVE = 120.0, 2500.0


@dataclass(frozen=True)
class Traffic:
    """Valid and bad events of each minute; a minute without events has no datapoint."""

    valid: list[int]
    bad: list[int]

    def __len__(self) -> int:
        return len(self.valid)

    def counts(self, values: list[int]) -> list[int | None]:
        return [value if valid else None for value, valid in zip(values, self.valid, strict=True)]

    @property
    def series(self) -> dict[str, list[int | None]]:
        good = [valid - bad for valid, bad in zip(self.valid, self.bad, strict=True)]
        return {"valid": self.counts(self.valid), "bad": self.counts(self.bad), "good": self.counts(good)}


def steady(length: int, bad: Callable[[int], int], each_minute: int = 1000) -> Traffic:
    """The same number of requests every minute."""
    return Traffic([each_minute] * length, [bad(minute) for minute in range(length)])


def burn(slo: Slo, rate: str, length: int = DAY) -> Traffic:
    """Ten quiet hours, then four at exactly this burn rate, then recovery."""
    ratio = Fraction(rate) * slo.error_budget
    valid = ratio.denominator
    return steady(length, lambda minute: int(ratio * valid) if 10 * HOUR <= minute < 14 * HOUR else 0, valid)


def stops(length: int = DAY) -> Traffic:
    """Everything fails for ten minutes, then nothing is asked any more."""
    fault, end = 8 * HOUR, 8 * HOUR + 10
    return Traffic(
        [60 if minute < end else 0 for minute in range(length)],
        [60 if fault <= minute < end else 0 for minute in range(length)],
    )


def quiet(length: int = DAY) -> Traffic:
    """Ten requests an hour: one fails at night, some hours later every one does."""
    asked = [int(minute % 6 == 0) for minute in range(length)]
    return Traffic(
        asked, [int(one and (minute == 3 * HOUR or minute >= 20 * HOUR)) for minute, one in enumerate(asked)]
    )


def leak(slo: Slo, length: int = 2 * DAY) -> Traffic:
    """The share of failures grows from nothing to four times the budget, beginning off the hour."""
    valid = 10_000
    budget = float(slo.error_budget)

    def bad(minute: int) -> int:
        return int(valid * 4 * budget * max(0, minute - 127) / length)

    return steady(length, bad, valid)


def chance(slo: Slo, seed: int) -> Traffic:
    """Random load and faults: any height, any length, with minutes and hours that nobody asks anything in."""
    chooser = random.Random(seed)
    length = 4 * DAY if seed == 1 else 2 * DAY
    load = chooser.choice([1, 30, 2000])
    valid, bad = [], []
    rate = 0.0
    silent = 0
    for _ in range(length):
        if chooser.random() < 1 / 180:
            burning = chooser.choice([0, 0, 0.5, 1, 3, 7, 15, 100])
            rate = min(1.0, burning * float(slo.error_budget))
        if chooser.random() < 1 / 600:
            silent = chooser.choice([3, 40, 200])
        silent = max(0, silent - 1)
        count = 0 if silent else chooser.randrange(2 * load)
        valid.append(count)
        expected = count * rate
        bad.append(min(count, int(expected) + (chooser.random() < expected % 1)))
    return Traffic(valid, bad)


TRAFFIC: dict[str, Callable[[Slo], Traffic]] = {
    "full outage and recovery": lambda slo: steady(DAY, lambda at: 1000 if 8 * HOUR <= at < 8 * HOUR + 20 else 0),
    "burn 1": lambda slo: burn(slo, "1"),
    "burn 2": lambda slo: burn(slo, "2"),
    "burn 6": lambda slo: burn(slo, "6"),
    "burn 14.4": lambda slo: burn(slo, "14.4"),
    "burn 100": lambda slo: burn(slo, "100"),
    "ten-minute spike": lambda slo: steady(DAY, lambda at: 300 if 8 * HOUR + 7 <= at < 8 * HOUR + 17 else 0),
    "slow leak": leak,
    "traffic stops": lambda slo: stops(),
    "ten requests an hour": lambda slo: quiet(),
    **{f"chance {seed}": partial(chance, seed=seed) for seed in range(1, 7)},
}


@pytest.fixture(scope="module")
def program() -> Path:
    try:
        return debian_program("promtool")
    except NoProgramError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> AlarmTemplate:
    """The rendered alarms, read back."""
    path = tmp_path_factory.mktemp("rendered") / "shop.yaml"
    path.write_text(alarm_template(plan(System("shop", "payments", [READER], [WORKS, FAST]))), encoding="utf-8")
    return read_template(path)


def simulated(template: AlarmTemplate, slo: Slo, traffic: Traffic) -> Timeline:
    """What Tocsin says of the alarms of one promise."""
    store = Store()
    if slo is WORKS:
        for metric, values in (("Invocations", traffic.counts(traffic.valid)), ("Errors", traffic.counts(traffic.bad))):
            store.add_series(Series(Metric("AWS/Lambda", metric, FUNCTION), START, 60, values=values))
    else:
        times = int(START.timestamp()) + 60 * np.arange(len(traffic), dtype=np.int64)
        for value, values in ((BELOW, traffic.series["good"]), (ABOVE, traffic.series["bad"])):
            store.add_samples(
                Metric("AWS/Lambda", "Duration", FUNCTION),
                times,
                np.full(len(traffic), value),
                np.array([count or 0 for count in values], dtype=np.float64),
            )
    return simulate(of(template, slo), store, START, START + len(traffic) * MINUTE)


def of(template: AlarmTemplate, slo: Slo) -> AlarmTemplate:
    begins = f"prod-shop-{slo.name}-"
    return AlarmTemplate(
        tuple(alarm for alarm in template.alarms if alarm.name.startswith(begins)),
        tuple(composite for composite in template.composites if composite.name.startswith(begins)),
    )


def by_minute(timeline: Timeline, alarm: str) -> list[bool]:
    """Whether the alarm is in ALARM, at every minute."""
    firing = [False] * ((timeline.end - timeline.start) // MINUTE + 1)
    for change in timeline.changes[alarm]:
        begin = (change.at - timeline.start) // MINUTE
        firing[begin:] = [change.state is AlarmState.ALARM] * (len(firing) - begin)
    return firing


def firing(timeline: Timeline, slo: Slo, found: tuple[Tier, ...]) -> dict[str, list[bool]]:
    """By alert: a tier fires while both its windows are in ALARM, a severity when its composite alarm is."""
    states = {}
    for tier in found:
        name = alert_of(tier)
        long, short = (by_minute(timeline, f"prod-shop-{slo.name}-{name}-{which}") for which in ("long", "short"))
        states[name] = [one and other for one, other in zip(long, short, strict=True)]
    for severity in Severity:
        states[severity.value] = by_minute(timeline, f"prod-shop-{slo.name}-{severity.value}")
    return states


_FAILED = re.compile(r"alertname: ?([a-z0-9-]+), time: ?([0-9a-z]+)")


def disagreements(program: Path, test: Path) -> Iterator[tuple[str, str]]:
    """(alert, time since the start) of every minute in which promtool expected another state."""
    done = subprocess.run(
        [str(program), "test", "rules", test.name],
        cwd=test.parent,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    said = done.stdout + done.stderr
    found = _FAILED.findall(said)
    assert (done.returncode == 0) == (not found), said[:2000]
    assert found or "SUCCESS" in said, said[:2000]
    yield from found


# One promise goes through everything, the other, whose share is a percentile rank, through some.
CASES = [(WORKS, kind) for kind in TRAFFIC if kind not in ("chance 5", "chance 6")]
CASES += [
    (FAST, kind) for kind in ("full outage and recovery", "ten requests an hour", "slow leak", "chance 5", "chance 6")
]


@pytest.mark.parametrize(("slo", "kind"), CASES, ids=[f"{slo.name}: {kind}" for slo, kind in CASES])
def test_prometheus_agrees_in_every_minute(
    program: Path, template: AlarmTemplate, slo: Slo, kind: str, tmp_path: Path
) -> None:
    traffic = TRAFFIC[kind](slo)
    found, _ = tiers(slo)
    states = firing(simulated(template, slo, traffic), slo, found)
    test = write_test(tmp_path, rules(slo, found), traffic.series, states)
    assert list(disagreements(program, test)) == []


def test_the_series_make_every_tier_fire_and_rest(template: AlarmTemplate) -> None:
    """Agreement on alarms that never fire would say little."""
    for slo in (WORKS, FAST):
        found, _ = tiers(slo)
        seen: dict[str, set[bool]] = {}
        for of_slo, kind in CASES:
            if of_slo is slo:
                for alert, states in firing(simulated(template, slo, TRAFFIC[kind](slo)), slo, found).items():
                    seen.setdefault(alert, set()).update(states)
        assert all(states == {True, False} for states in seen.values()), seen


@pytest.mark.parametrize(
    ("kind", "broken", "noticed"),
    [
        ("burn 14.4", {"factors": {"burn-1h": Fraction(143, 144)}}, {"burn-1h", "page"}),
        ("slow leak", {"hourly": False}, {"burn-3d", "ticket"}),
        ("ten requests an hour", {"gate": False}, {"burn-1h", "burn-6h", "burn-1d", "burn-3d", "page", "ticket"}),
    ],
    ids=["another burn rate", "windows over a day in every minute", "no gate for low traffic"],
)
def test_the_comparison_notices(
    program: Path, template: AlarmTemplate, kind: str, broken: dict[str, Any], noticed: set[str], tmp_path: Path
) -> None:
    """Each of these rules is Prometheus' usual way or an error, and the states differ as the documents say."""
    traffic = TRAFFIC[kind](WORKS)
    found, _ = tiers(WORKS)
    states = firing(simulated(template, WORKS, traffic), WORKS, found)
    test = write_test(tmp_path, rules(WORKS, found, **broken), traffic.series, states)
    differing = list(disagreements(program, test))
    assert {alert for alert, _ in differing} == noticed
    if "hourly" in broken:
        assert all(at.endswith("m") for _, at in differing), "at full hours there is no difference"
