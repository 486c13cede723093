"""examples/month/ is what its seed says: the counts, the alarms, and the review that is shown of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from examples.make_month import DRILLED, NAME, PULLS, drill, make
from examples.month_traffic import BEGIN, END, EVENTS, FIRST, SEED, Samples, month, store

from documents import ROOT, broken_links, fences, steps
from tocsin.alarm import AlarmState
from tocsin.declarations import load_systems
from tocsin.history.counts import counts_of, needs_before, queries_of
from tocsin.history.engine import open_duckdb
from tocsin.history.partitions import Partition, read_rows
from tocsin.history.schema import ALARM_COVERAGE, ALARM_STATE, COVERAGE, PROMISE, SLI
from tocsin.history.store import open_store
from tocsin.model import Slo, System
from tocsin.plan import plan
from tocsin.review.make import make_pack
from tocsin.review.markdown import render_markdown
from tocsin.review.pack import Pack, State
from tocsin.simulate.changes import Forced
from tocsin.simulate.series import Store
from tocsin.simulate.template import read_template
from tocsin.simulate.timeline import simulate

pytest.importorskip("duckdb", reason="histories need duckdb")
pytestmark = pytest.mark.long

FOLDER = ROOT / "examples" / "month"
SYSTEMS = {system.name: system for system in load_systems(ROOT, "monitoring/systems")}
SLOS = [(system, slo) for system in SYSTEMS.values() for slo in system.slos]


@pytest.fixture(scope="module")
def samples() -> tuple[Samples, ...]:
    return month()


@pytest.fixture(scope="module")
def series(samples: tuple[Samples, ...]) -> Store:
    return store(samples)


def rows(table, system: str) -> list[tuple]:
    return read_rows(open_store(str(FOLDER)), Partition(table, NAME, system, "2026-10"))


def aware(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)


@pytest.fixture(scope="module")
def recorded() -> dict[str, list[tuple]]:
    return {name: rows(SLI, name) for name in SYSTEMS}


@pytest.mark.parametrize(("system", "slo"), SLOS, ids=lambda one: one.name)
def test_every_count_is_that_of_the_seeded_traffic(
    system: System, slo: Slo, series: Store, recorded: dict[str, list[tuple]]
) -> None:
    found = [row[1:] for row in recorded[system.name] if row[0] == slo.name]
    spans = [(aware(row[1]), aware(row[2]), row[3]) for row in rows(COVERAGE, system.name) if row[0] == slo.name]
    assert sum((end - start for start, end, _ in spans), timedelta()) == END - FIRST
    assert {period for _, _, period in spans} == {60, 300}
    meant = []
    for start, end, period in spans:
        step = timedelta(seconds=period)
        values = {}
        for query in queries_of(slo, period):
            before = step if query.id in needs_before(slo) else timedelta()
            points = series.datapoints(query.stat, start - before, (end - start + before) // step)
            at = {start - before + number * step: value for number, value in enumerate(points) if value is not None}
            values[query.id] = at
        for at, good, valid in counts_of(slo, period, values):
            if start <= at < end:
                meant.append((at.replace(tzinfo=None), period, good, valid))
    assert [(at, period, Fraction(good), Fraction(valid)) for at, period, good, valid in found] == meant
    assert isinstance(found[0][2], Decimal)


@pytest.mark.parametrize("system", sorted(SYSTEMS))
def test_every_change_of_an_alarm_is_the_simulators(system: str, series: Store) -> None:
    template = read_template(ROOT / "alarms" / f"{system}.yaml", {"Environment": NAME})
    drilled = f"{NAME}-{DRILLED}"
    known = {one.name for one in template.composites}
    forced = [
        Forced(at, drilled, state)
        for at, state in zip(drill(), (AlarmState.ALARM, AlarmState.OK), strict=True)
        if drilled in known
    ]
    changes = simulate(template, series, BEGIN, END, keep_going=True, forced=forced).changes
    found = {(name, aware(at), before, after) for name, at, before, after, _ in rows(ALARM_STATE, system)}
    telling = {name for name, *_ in found}
    meant = {
        (name, one.at, one.from_state.value, one.state.value)
        for name in changes
        for one in changes[name]
        if FIRST <= one.at < END and one.from_state != one.state and name in told(system)
    }
    assert found == meant
    assert any(name.endswith("-page") for name in telling)


def told(system: str) -> set[str]:
    from tocsin.history.watched import read_template as read

    return {alarm.name for alarm in read(ROOT / "alarms" / f"{system}.yaml", NAME).alarms}


def test_the_alarm_history_has_no_hole() -> None:
    for system in SYSTEMS:
        spans = [(aware(start), aware(end)) for start, end in rows(ALARM_COVERAGE, system)]
        assert (spans[0][0], spans[-1][1]) == (FIRST, END)
        assert all(one[1] == other[0] for one, other in itertools.pairwise(spans))
        assert {row[1] for row in rows(PROMISE, system)} == {PULLS[0].replace(tzinfo=None)}


def test_it_is_small_and_is_nobodys_machine() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 2_000_000
    for path in files:
        content = path.read_bytes()
        assert not any(word in content for word in (b"/tmp/", b"/home/", b"127.0.0.1")), path.name


@pytest.mark.timeout(600)
def test_its_first_day_can_be_made_again_on_an_embedded_aws(tmp_path: Path, recorded: dict[str, list[tuple]]) -> None:
    pytest.importorskip("ministack", reason="the embedded AWS is not installed")
    make(SEED, tmp_path, FIRST + timedelta(days=1))
    until = (FIRST + timedelta(days=1)).replace(tzinfo=None)
    for system, whole in recorded.items():
        part = read_rows(open_store(str(tmp_path)), Partition(SLI, NAME, system, "2026-10"))
        assert part == [row for row in whole if row[1] < until]
        changes = read_rows(open_store(str(tmp_path)), Partition(ALARM_STATE, NAME, system, "2026-10"))
        assert changes == [row for row in rows(ALARM_STATE, system) if row[1] < until]


def test_the_same_seed_gives_the_same_traffic_and_another_does_not(samples: tuple[Samples, ...]) -> None:
    again, other = month(), month(seed=11)
    assert all((one.counts == same.counts).all() for one, same in zip(samples, again, strict=True))
    assert any(
        (one.counts != same.counts).any()
        for one, same in zip(samples, other, strict=True)
        if one.counts.shape == same.counts.shape
    )


@pytest.fixture(scope="module")
def pack() -> Pack:
    plans = [plan(system) for system in SYSTEMS.values()]
    engine = open_duckdb(open_store(str(FOLDER)))
    now = datetime(2026, 11, 2, tzinfo=UTC)
    return make_pack(engine, "2026-10", NAME, "UTC", None, now, plans, FOLDER / "actions.toml")


def test_its_review_is_the_committed_one(pack: Pack) -> None:
    assert render_markdown(pack) == (FOLDER / "review-2026-10.md").read_text(encoding="utf-8")


def test_its_review_tells_what_happened(pack: Pack) -> None:
    states = {one.slo: one.state for one in pack.slos}
    assert states["readable-in-time"] is State.BROKEN
    assert {name for name, state in states.items() if state is State.AT_RISK} == {
        "api-availability",
        "api-latency",
        "load-success",
    }
    assert not pack.gaps
    by_name = {one.slo: one for one in pack.slos}
    for slo, text in (
        ("api-availability", "13 13:07"),
        ("generation-freshness", "16 05:45"),
        ("readable-in-time", "23 06:30"),
        ("load-runs", "29 14:14"),
    ):
        at = datetime.strptime(f"2026-10-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
        near = [one for one in by_name[slo].incidents if abs(one.span.start - at) <= timedelta(minutes=6)]
        assert near, f"{slo} has no incident at {text}"
        assert near[0].told is not None
        assert near[0].delay is not None
        assert near[0].delay < timedelta(minutes=15)
    quality = {one.alarm: one for one in pack.alarms}[f"{NAME}-{DRILLED}"]
    assert quality.burning is not None
    assert quality.burning == quality.told - 1, "the drill is a page while nothing burns"
    assert [one.key for one in pack.actions if one.overdue] == ["api-canary"]


def test_its_page_tells_the_events_of_the_traffic() -> None:
    page = FOLDER / "README.md"
    assert not broken_links(page)
    text = page.read_text(encoding="utf-8")
    for when, what in EVENTS.items():
        assert f"| {int(when[:2])} October, {when[3:]} | {what} |" in text


def test_its_command_works_right_after_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from command_line import tocsin

    monkeypatch.chdir(ROOT)
    for step in commands():
        words = step.split()[1:]
        done = tocsin(*(str(tmp_path / word) if word.endswith(".html") else word for word in words))
        assert done.exit_code == 0, done.output
    assert (tmp_path / "2026-10.html").stat().st_size > 10_000


def commands() -> Iterator[str]:
    for fence in fences(FOLDER / "README.md"):
        for step in steps(fence):
            yield step.command
