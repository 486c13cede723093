"""How long simulations take, beside promtool on the same rules, and how much memory: ``python -m tests.bench_simulate``.

One promise is 8 metric alarms and 2 composite alarms over two series of a datapoint a minute.  Times in process are of
``simulate`` alone, on series that nothing has read before; memory is the most that a process of its own ever held.
Nothing is asserted: ratios of one run are what can be compared.
"""

# ruff: noqa: T201 - a program that prints

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from tests.bench import Measured, measure
from tests.debian_programs import NoProgramError, debian_program
from tests.promtool.translation import rules, write_test

from tocsin.alarm import Alarm, CompositeAlarm, Metric
from tocsin.burn_rate import tiers
from tocsin.declare import availability
from tocsin.model import Resource, System
from tocsin.plan import plan
from tocsin.render.alarms import alarm_template
from tocsin.simulate.series import Series, Store
from tocsin.simulate.template import AlarmTemplate, read_template
from tocsin.simulate.timeline import simulate

ROOT = Path(__file__).parents[1]
START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = 1440
YEAR = 365
READER = Resource("AWS::Lambda::Function", "Reader", "reader", {"Timeout": 10})
SLO = availability(READER, objective="99.9%", window="30d", name="works")
VALID, BAD = "Invocations", "Errors"


def promise(folder: Path) -> AlarmTemplate:
    """The rendered alarms of one promise, read back."""
    path = folder / "shop.yaml"
    path.write_text(alarm_template(plan(System("shop", "payments", [READER], [SLO]))), encoding="utf-8")
    read = read_template(path)
    alarms = tuple(alarm for alarm in read.alarms if "-works-" in alarm.name)
    return AlarmTemplate(alarms, tuple(one for one in read.composites if "-works-" in one.name))


def traffic(days: int, seed: int = 0) -> dict[str, list[int]]:
    """Days of requests with a failure here and there, and one bad hour in most weeks."""
    random = np.random.default_rng(seed)
    hour = np.arange(days * DAY) / 60
    valid = random.poisson(100 * (1 - 0.6 * np.cos(2 * np.pi * (hour - 2) / 24)))
    ratio = np.full(days * DAY, 0.0004)
    for _ in range(max(1, days // 8)):
        begin = int(random.integers(0, max(1, days * DAY - 60)))
        ratio[begin : begin + 60] = random.choice([0.005, 0.02, 1.0])
    bad = random.binomial(valid, ratio)
    return {"valid": valid.tolist(), "bad": bad.tolist()}


def store_of(series: dict[str, list[int]], function: str = "reader", store: Store | None = None) -> Store:
    store = Store() if store is None else store
    for name, values in ((VALID, series["valid"]), (BAD, series["bad"])):
        metric = Metric("AWS/Lambda", name, (("FunctionName", function),))
        store.add_series(Series(metric, START, 60, values=[float(value) for value in values]))
    return store


def copies(template: AlarmTemplate, function: str, number: int) -> AlarmTemplate:
    """The same alarms by other names, on the metrics of another function."""

    def named(text: str) -> str:
        return text.replace("prod-shop-", f"prod-shop-{function}-{number}-")

    def watching(alarm: Alarm) -> Alarm:
        queries = tuple(
            replace(
                query,
                stat=replace(query.stat, metric=replace(query.stat.metric, dimensions=(("FunctionName", function),))),
            )
            if query.stat
            else query
            for query in alarm.queries
        )
        return replace(alarm, name=named(alarm.name), queries=queries)

    def joined(composite: CompositeAlarm) -> CompositeAlarm:
        suppressor = named(composite.suppressor) if composite.suppressor else None
        return replace(composite, name=named(composite.name), rule=named(composite.rule), suppressor=suppressor)

    return AlarmTemplate(tuple(map(watching, template.alarms)), tuple(map(joined, template.composites)))


def year_of(systems: int, sets: int, days: int) -> None:
    """What a process of its own does: so many systems with series of their own, each watched by so many sets of alarms."""
    with tempfile.TemporaryDirectory() as place:
        template = promise(Path(place))
    store = Store()
    alarms: list[Alarm] = []
    composites: list[CompositeAlarm] = []
    for system in range(systems):
        store_of(traffic(days, system), f"reader{system}", store)
        for number in range(sets):
            copy = copies(template, f"reader{system}", number)
            alarms += copy.alarms
            composites += copy.composites
    timeline = simulate(AlarmTemplate(tuple(alarms), tuple(composites)), store, START, START + timedelta(days=days))
    assert not timeline.without_data


def median(action: Callable[[], object], runs: int) -> float:
    """Seconds of the action that ``action`` prepares and returns, the preparation not counted."""
    taken = []
    for _ in range(runs):
        begin = time.perf_counter()
        action()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def in_process(template: AlarmTemplate, days: int, runs: int) -> float:
    """Median seconds of one promise over so many days, each time on a store that nothing has read from."""
    series = traffic(days)
    stores = [store_of(series) for _ in range(runs)]
    end = START + timedelta(days=days)
    return median(lambda: simulate(template, stores.pop(), START, end), runs)


def beside_promtool(template: AlarmTemplate, days: int, runs: int, folder: Path) -> None:
    """The same windows, the same series: both as processes that read files."""
    try:
        program = debian_program("promtool")
    except NoProgramError as reason:
        print(f"promtool: skipped: {reason}")
        return
    series = traffic(days)
    found, _ = tiers(SLO)
    test = write_test(folder, rules(SLO, found), series, {})
    told = json.loads(test.read_text(encoding="utf-8"))
    # promtool evaluates up to the last moment that it is asked about.
    told["tests"][0]["promql_expr_test"] = [{"expr": "vector(1)", "eval_time": f"{days * DAY}m", "exp_samples": [{"labels": "{}", "value": 1}]}]  # fmt: skip
    test.write_text(json.dumps(told), encoding="utf-8")
    files = folder / "series.json"
    dimensions = {"FunctionName": "reader"}
    files.write_text(
        json.dumps(
            [
                {"Namespace": "AWS/Lambda", "MetricName": metric, "Dimensions": dimensions, "Period": 60}
                | {"Start": f"{START:%Y-%m-%dT%H:%M:%SZ}", "Values": series[name]}
                for metric, name in ((VALID, "valid"), (BAD, "bad"))
            ]
        ),
        encoding="utf-8",
    )
    simulated = ["-m", "tocsin", "simulate", "--template", str(folder / "shop.yaml"), "--series", str(files)]
    ours = measure([sys.executable, *simulated], runs, folder)
    theirs = measure([str(program), "test", "rules", str(test)], max(1, runs // 3), folder)
    inside = in_process(template, days, runs)
    alarm_minutes = (len(template.alarms) + len(template.composites)) * days * DAY
    print(f"one promise over {days} days, {alarm_minutes} alarm-minutes:")
    for title, wall, cpu in (
        ("promtool test rules", theirs.wall, theirs.cpu),
        ("tocsin simulate", ours.wall, ours.cpu),
        ("simulate in process", inside, inside),
    ):
        each = wall / alarm_minutes * 1e6
        print(f"  {title:22}{wall:9.3f} s{cpu:9.3f} s cpu{each:10.3f} µs each{theirs.cpu / cpu:10.1f} times as quick")


def memory(days: int) -> None:
    """Growth with series and with alarms."""
    plans = [(20, 1), (20, 2), (40, 1), (50, 1)]
    print(f"{days} days, series of their own for each system:")
    found: dict[tuple[int, int], Measured] = {}
    for systems, sets in plans:
        own = [sys.executable, "-m", "tests.bench_simulate", "--child", str(systems), str(sets), str(days)]
        found[systems, sets] = measure(own, 1, ROOT)
        one = found[systems, sets]
        aim = "   aim 2048 MB" if (systems, sets) == (50, 1) else ""
        print(
            f"  {systems:4} systems {systems * sets * 10:5} alarms{one.wall:9.1f} s{one.memory:9.0f} MB{aim}",
            flush=True,
        )
    base, alarms, series = (found[plan].memory for plan in ((20, 1), (20, 2), (40, 1)))
    print(f"  twice the alarms: {alarms / base:.2f} times the memory (1 is flat)")
    print(
        f"  twice the series: {series / base:.2f} times the memory, {(series - base) / 20:.1f} MB for each further system"
    )


def backtests(runs: int) -> None:
    """The scenario library over the two reference systems."""
    if not (ROOT / "monitoring" / "tocsin" / "cli" / "backtest.py").exists():
        print("tocsin backtest: skipped: there is no such command yet")
        return
    bare = measure([sys.executable, "-c", "pass"], runs, ROOT)
    for system in ("notification", "data_pipeline"):
        command = [sys.executable, "-m", "tocsin", "backtest", system]
        try:
            one = measure(command, 1, ROOT)
        except SystemExit as failed:
            print(f"tocsin backtest {system}: {failed}")
            continue
        print(
            f"tocsin backtest {system:14}{one.wall:9.1f} s{one.memory:9.0f} MB{one.cpu / bare.cpu:9.0f} times a bare interpreter"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench_simulate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=7, help="runs of each short measurement; long ones run less often")
    parser.add_argument("--days", type=int, default=4, help="length of the comparison with promtool")
    parser.add_argument("--child", type=int, nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        year_of(*arguments.child)
        return
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as place:
        folder = Path(place)
        template = promise(folder)
        print(f"one promise in process: {len(template.alarms)} alarms, {len(template.composites)} composites, medians")
        for days, aim in ((30, 0.2), (YEAR, 2)):
            print(f"  {days:4} days{in_process(template, days, arguments.runs):9.3f} s   aim {aim} s", flush=True)
        beside_promtool(template, arguments.days, arguments.runs, folder)
    os.chdir(ROOT)
    memory(YEAR)
    backtests(arguments.runs)


if __name__ == "__main__":
    main()
