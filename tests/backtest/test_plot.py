"""Pictures: drawn for everything that can happen, the same bytes each time, and one line where they cannot be."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="drawing needs the extra tocsin[plot]")

from tocsin.alarm import Actions, Alarm, AlarmState, Comparison, Metric, MetricQuery, MetricStat
from tocsin.backtest.curves import Clock, in_order, measured, shared_start, short
from tocsin.backtest.incident import Incident
from tocsin.backtest.judge import Run, run_scenario
from tocsin.backtest.plot import plot_format, plot_run, plot_timeline
from tocsin.backtest.promises import promises
from tocsin.backtest.scenarios import SCENARIOS
from tocsin.declare import availability, heartbeat, latency
from tocsin.errors import InputError
from tocsin.model import Resource, System
from tocsin.plan import plan
from tocsin.simulate.series import Series, Store
from tocsin.simulate.template import AlarmTemplate
from tocsin.simulate.timeline import Timeline, simulate

START = datetime(2026, 3, 2, 22, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
READER = Resource("AWS::Lambda::Function", "Reader", "reader", {"Timeout": 10})
SIGNATURES = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.fixture(scope="module")
def run() -> Callable[[str, str], Run]:
    planned = plan(
        System(
            "shop",
            "payments",
            [READER],
            [
                availability(READER, objective="99.9%", window="28d", name="works"),
                latency(READER, below="800ms", objective="99%", window="28d", name="fast"),
                heartbeat(READER, every="1d", tolerates="2h", name="beats"),
            ],
        )
    )
    template = AlarmTemplate(
        tuple(one.alarm for one in planned.alarms if isinstance(one.alarm, Alarm)),
        tuple(one.alarm for one in planned.alarms if not isinstance(one.alarm, Alarm)),
    )
    found = {promise.slo.name: promise for promise in promises(planned, template, "here", {})}
    return lambda slo, scenario: run_scenario(found[slo], SCENARIOS[scenario], seed=1)


def texts(path: Path) -> str:
    """The words of an SVG, which matplotlib repeats in comments where it draws outlines."""
    return "\n".join(re.findall(r"<!-- (.*?) -->", path.read_text(encoding="utf-8"), re.DOTALL))


@pytest.mark.parametrize("suffix", SIGNATURES)
def test_each_format_is_what_its_name_says(run: Callable[[str, str], Run], suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"outage.{suffix.upper()}"
    plot_run(run("works", "full-outage"), path)
    assert path.read_bytes().startswith(SIGNATURES[suffix])


@pytest.mark.parametrize("suffix", SIGNATURES)
def test_the_same_run_is_the_same_picture(run: Callable[[str, str], Run], suffix: str, tmp_path: Path) -> None:
    first, second = tmp_path / f"first.{suffix}", tmp_path / f"second.{suffix}"
    plot_run(run("works", "spike-10-minutes"), first)
    plot_run(run("works", "spike-10-minutes"), second)
    assert first.read_bytes() == second.read_bytes()
    for told in (b"<dc:date", b"CreationDate", b"matplotlib.org", b"Matplotlib v"):
        assert told not in first.read_bytes()


@pytest.mark.parametrize(
    ("slo", "scenario"),
    [
        *(("works", one) for one in ("half-budget-noise", "traffic-stops", "gap-in-outage", "late-data")),
        *(("fast", one) for one in ("single-failure-when-quiet", "slow-leak", "full-outage")),
        *(("beats", one) for one in ("job-in-time", "job-fails-once", "job-never-runs")),
    ],
)
def test_every_kind_of_run_is_drawn(run: Callable[[str, str], Run], slo: str, scenario: str, tmp_path: Path) -> None:
    path = tmp_path / "run.svg"
    plot_run(run(slo, scenario), path)
    ET.parse(path)
    assert f"shop · {slo}: {scenario}" in texts(path)


def test_a_run_shows_objective_limits_states_and_who_was_told(run: Callable[[str, str], Run], tmp_path: Path) -> None:
    path = tmp_path / "run.svg"
    plot_run(run("works", "full-outage"), path)
    said = texts(path)
    assert "promised 99.9 %" in said
    assert "page: burn rate above 13.44 over 1 h (dark) and 5 min (light)" in said
    assert "ticket: burn rate above 1 over 3 d (dark, looked at hourly) and 6 h (light)" in said
    assert re.search(r"page: after 1 min \(theory 48 s\), [0-9.]+ % of the budget gone", said)
    assert re.search(r"ticket: after [45] min .*, told 1 h .* later", said), "it waits until the page is over"
    for word in ("OK", "ALARM", "incident", "somebody is told", "+1 h", "burn-3d-long"):
        assert word in said.splitlines(), word


def test_a_picture_is_drawn_whatever_the_readers_own_settings_are(
    run: Callable[[str, str], Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib as mpl

    plain, other = tmp_path / "plain.svg", tmp_path / "other.svg"
    plot_run(run("beats", "job-fails-once"), plain)
    with mpl.rc_context({"lines.linewidth": 9, "figure.facecolor": "black", "font.size": 20}):
        plot_run(run("beats", "job-fails-once"), other)
        assert mpl.rcParams["font.size"] == 20, "and they stay as they were"
    assert plain.read_bytes() == other.read_bytes()


def recorded(count: int, hours: int = 30, *, name: str = "Faults", period: int = 60) -> tuple[Store, AlarmTemplate]:
    """So many metrics, each with an alarm; every other one has an hour of faults in the middle."""
    store, alarms = Store(), []
    length = hours * 3600 // period
    middle = range(length // 2, length // 2 + max(1, 3600 // period))
    for number in range(count):
        metric = Metric("Shop", name, (("Queue", f"${{Orders}}$-{number:02}"),))
        values = [float(at in middle and number % 2 == 0) for at in range(length)]
        store.add_series(Series(metric, START, period, values=values))
        queries = (MetricQuery("m1", MetricStat(metric, "Maximum", max(300, period))),)
        actions = Actions(alarm=("arn:page",), ok=("arn:page",))
        alarm_name = f"prod-shop-orders-{number:02}-with-a-name-that-nobody-can-read-at-a-glance"
        alarms.append(Alarm(alarm_name, queries, Comparison.GREATER, 0.5, 1, 1, actions=actions))
    return store, AlarmTemplate(tuple(alarms))


def played(store: Store, template: AlarmTemplate) -> Timeline:
    span = store.span()
    assert span is not None
    return simulate(template, store, *span)


def test_a_timeline_shows_metrics_thresholds_and_alarms_that_changed(tmp_path: Path) -> None:
    store, template = recorded(3)
    path = tmp_path / "timeline.svg"
    incidents = [Incident("faults", START + 15 * HOUR, START + 16 * HOUR)]
    plot_timeline(played(store, template), store, incidents, path, template=template)
    said = texts(path)
    assert "Shop Faults (${Orders}$-00): Maximum, threshold 0.5" in said
    assert "alarm states: prod-shop-orders-…" in said
    assert "somebody is told 2 times that something is wrong" in said
    assert "2026-03-03" in said
    assert "incident" in said.splitlines()
    assert "INSUFFICIENT_DATA" in said.splitlines()


def test_many_alarms_and_metrics_are_counted(tmp_path: Path) -> None:
    store, template = recorded(120, hours=4)
    path = tmp_path / "many.svg"
    timeline = played(store, template)
    plot_timeline(timeline, store, [], path, template=template)
    said = texts(path)
    assert "6 of 120 metrics are shown" in said
    assert "80 more changed too" in said
    assert len(re.findall(r"^\d+-with", said, re.MULTILINE)) == 40


def test_an_hourly_metric_without_template_is_a_line_and_not_dust(tmp_path: Path) -> None:
    store, template = recorded(1, hours=72, period=3600)
    timeline = played(store, template)
    (metric,) = store.metrics()
    curve = measured(store, metric, None, timeline, Clock(START, dated=True))
    assert len(curve.hours) >= 71
    assert curve.high.max() == 1
    plot_timeline(timeline, store, [], tmp_path / "hourly.png")


def test_a_spike_of_a_minute_survives_a_year(tmp_path: Path) -> None:
    store = Store()
    metric = Metric("Shop", "Faults")
    values = [0.0] * (365 * 1440)
    values[200_000] = 7.0
    store.add_series(Series(metric, START, 60, values=values))
    alarm = Alarm("faults", (MetricQuery("m1", MetricStat(metric, "Maximum", 3600)),), Comparison.GREATER, 5, 1, 1)
    template = AlarmTemplate((alarm,))
    timeline = played(store, template)
    curve = measured(store, metric, alarm, timeline, Clock(START, dated=True))
    assert len(curve.hours) <= 2400
    assert curve.high.max() == 7
    plot_timeline(timeline, store, [], tmp_path / "year.png", template=template)


def test_names_with_dollars_foreign_scripts_and_line_ends_are_drawn(tmp_path: Path) -> None:
    store = Store()
    metric = Metric("店", "a$b$\n^{", (("D", "x" * 300),))
    store.add_series(Series(metric, START, 60, values=[1.0] * 60))
    alarm = Alarm("$x^$ 店", (MetricQuery("m1", MetricStat(metric, "Sum", 60)),), Comparison.GREATER, 0.5, 1, 1)
    template = AlarmTemplate((alarm,))
    plot_timeline(played(store, template), store, [], tmp_path / "odd.png", template=template)


def test_an_empty_timeline_is_drawn(tmp_path: Path) -> None:
    timeline = simulate(AlarmTemplate(()), Store(), START, START)
    plot_timeline(timeline, Store(), [], tmp_path / "empty.png")
    plot_timeline(timeline, Store(), [Incident("i", START, START + HOUR)], tmp_path / "empty.svg")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("outage.jpg", "outage.jpg: a picture's name ends with one of .png, .svg, .pdf"),
        ("outage", "outage: a picture's name ends with one of .png, .svg, .pdf"),
        ("nowhere/outage.png", "nowhere/outage.png: cannot be written: there is no folder nowhere"),
        ("folder.png", "folder.png: cannot be written: Is a directory"),
    ],
)
def test_what_cannot_be_written_is_one_line(
    run: Callable[[str, str], Run], name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.png").mkdir()
    with pytest.raises(InputError) as error:
        plot_run(run("beats", "job-in-time"), Path(name))
    assert str(error.value) == said


def test_a_missing_matplotlib_is_one_line_and_nothing_else_needs_it() -> None:
    """In a process of its own, whose imports of matplotlib fail as they do where it is not installed."""
    program = """
import sys
sys.modules["matplotlib"] = None
from pathlib import Path
from tocsin.backtest.plot import plot_format
try:
    plot_format(Path("outage.png"))
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "InputError drawing needs matplotlib, which is not installed; install tocsin[plot]\n"
    assert plot_format(Path("outage.PNG")) == "png"


def test_alarms_stand_in_the_order_of_their_windows() -> None:
    names = ["s-burn-1d-long", "s-burn-1h-short", "s-burn-6h-long", "s-burn-1h-long", "s-burn-30m-short", "s-a", "7"]
    assert in_order(names) == [
        "7", "s-a", "s-burn-30m-short", "s-burn-1h-long", "s-burn-1h-short", "s-burn-6h-long", "s-burn-1d-long"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "start"),
    [(["a-b-c", "a-b-d"], "a-b-"), (["a-b", "a-b-d"], "a-"), (["ab", "ac"], ""), (["alone-one"], ""), ([], "")],
)
def test_what_names_share_is_said_once(names: list[str], start: str) -> None:
    assert shared_start(names) == start
    assert all(len(name) > len(start) for name in names)


def test_long_text_keeps_its_ends() -> None:
    assert short("begin" + "x" * 100 + "end").startswith("begin")
    assert short("begin" + "x" * 100 + "end").endswith("end")
    assert len(short("x" * 100)) <= 46
    assert short("as\nit is") == "as it is"


@pytest.mark.parametrize("hours", [0.2, 1, 5, 9, 30, 100, 800, 9000, 90_000])
@pytest.mark.parametrize("dated", [True, False])
def test_there_are_at_most_a_dozen_ticks(hours: float, dated: bool) -> None:
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    places, labels = Clock(midnight, dated).ticks(-hours / 10, hours)
    assert 2 <= len(places) <= 13
    assert not dated or re.search("20[0-9]{2}-", labels[0])
    days = [label for label in labels if "-" in label] if dated else labels
    assert len(set(days)) == len(days)


def test_states_need_no_colour(run: Callable[[str, str], Run], tmp_path: Path) -> None:
    """OK is light, ALARM is dark, INSUFFICIENT_DATA is hatched: on a printer without colours as well."""
    from matplotlib.colors import to_rgb

    from tocsin.backtest.plot import _STATE

    def lightness(colour: str) -> float:
        red, green, blue = to_rgb(colour)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    assert lightness(_STATE[AlarmState.OK]["facecolor"]) - lightness(_STATE[AlarmState.ALARM]["facecolor"]) > 0.4
    assert _STATE[AlarmState.INSUFFICIENT_DATA]["hatch"]


def test_a_line_breaks_where_nothing_was_measured_however_long_the_history_is() -> None:
    """Three weeks of minutes, which are thinned, with a pause of a week; and a pause of two minutes, which is none."""
    metric, store = Metric("Shop", "Faults"), Store()
    values: list[float | None] = [1.0] * (21 * 1440)
    values[7 * 1440 : 14 * 1440] = [None] * (7 * 1440)
    values[100:102] = [None, None]
    store.add_series(Series(metric, START, 60, values=values))
    timeline = simulate(AlarmTemplate(()), store, START, START + timedelta(days=21))
    curve = measured(store, metric, None, timeline, Clock(START, dated=True))
    (hole,) = (index for index, value in enumerate(curve.high) if math.isnan(value))
    assert curve.hours[hole] <= 7 * 24 + 1
    assert curve.hours[hole + 1] >= 14 * 24
    assert len(curve.hours) <= 2400 + 2


@pytest.mark.parametrize(("missing", "breaks"), [(1, 0), (2, 1), (5, 1)])
def test_a_line_breaks_beyond_twice_the_usual_distance(missing: int, breaks: int) -> None:
    metric, store = Metric("Shop", "Faults"), Store()
    store.add_series(Series(metric, START, 3600, values=[1.0] * 30 + [None] * missing + [2.0] * 30))
    span = store.span()
    assert span is not None
    curve = measured(store, metric, None, simulate(AlarmTemplate(()), store, *span), Clock(START, dated=True))
    assert sum(math.isnan(value) for value in curve.high) == breaks


def test_a_spike_of_a_minute_survives_where_its_alarm_reads_minutes() -> None:
    metric, store = Metric("Shop", "Faults"), Store()
    values = [0.0] * (100 * 1440)
    values[50_001] = 7.0
    store.add_series(Series(metric, START, 60, values=values))
    alarm = Alarm("faults", (MetricQuery("m1", MetricStat(metric, "Maximum", 60)),), Comparison.GREATER, 9, 1, 1)
    timeline = simulate(AlarmTemplate(()), store, START, START + timedelta(days=100))
    assert measured(store, metric, alarm, timeline, Clock(START, dated=True)).high.max() == 7


def test_incidents_have_an_edge_and_lines_of_being_told_are_thinner_than_it() -> None:
    from tocsin.backtest.plot import _SHADE, _TOLD

    assert _SHADE["linewidth"] > _TOLD["linewidth"] > 0


def test_a_home_that_cannot_be_written_is_no_news(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from tocsin.backtest.plot import plot_timeline
from tocsin.simulate.series import Store
from tocsin.simulate.template import AlarmTemplate
from tocsin.simulate.timeline import simulate
from datetime import UTC, datetime
at = datetime(2026, 3, 2, tzinfo=UTC)
plot_timeline(simulate(AlarmTemplate(()), Store(), at, at), Store(), [], Path({str(tmp_path / "x.png")!r}))
"""
    environment = {"HOME": "/dev/null", "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert (done.stdout, done.stderr) == ("", "")
