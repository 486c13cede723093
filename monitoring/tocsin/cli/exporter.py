"""``tocsin exporter``: SLOs and alarm states for Prometheus."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError
from .here import planned_here
from .options import examples, json_option, param_option
from .output import count, print_json

if TYPE_CHECKING:
    from ..cloud.environments import Environment
    from ..exporter.refresh import Failure, Refresher

_PORT, _ADDRESS, _INTERVAL, _STALE = 9464, "127.0.0.1", "60s", "15min"
_SHORTEST = timedelta(seconds=10)
_FINDINGS = 1

# CloudWatch price list, US East (N. Virginia): USD 0.01 per 1,000 metrics asked with GetMetricData.
_USD_PER_METRIC = 0.00001
_MONTH = timedelta(hours=730)


@click.command(
    epilog=examples(
        "tocsin exporter prod",
        "tocsin exporter prod --port 9464 --interval 5min --system checkout",
        "tocsin exporter prod --push http://127.0.0.1:9091 --job slo",
    ),
)
@click.argument("environment")
@click.option("--port", type=click.IntRange(0, 65535), help=f"Port to serve at; 0 takes a free one (default: {_PORT}).")
@click.option("--address", help=f"Address to serve at (default: {_ADDRESS}, this machine only).")
@click.option("--interval", metavar="DURATION", help=f"How often CloudWatch is read (default: {_INTERVAL}).")
@click.option("--stale-after", metavar="DURATION", help=f"Age beyond which figures are withdrawn (default: {_STALE}).")
@click.option("--system", "systems", multiple=True, help="Show this system only; may be repeated.")
@click.option(
    "--history", metavar="FOLDER|S3", help="History that the budget is read from (default: that of the project)."
)
@click.option("--push", metavar="URL", help="Refresh once, push to this Pushgateway, and end.")
@click.option("--job", help="Name of the job at the Pushgateway (with --push; default: tocsin).")
@param_option
@json_option
def exporter(
    environment: str,
    port: int | None,
    address: str | None,
    interval: str | None,
    stale_after: str | None,
    systems: tuple[str, ...],
    history: str | None,
    push: str | None,
    job: str | None,
    parameters: dict[str, str],
    as_json: bool,
) -> None:
    """Show ENVIRONMENT's SLOs, error budgets, burn rates and alarm states to Prometheus, at /metrics.

    CloudWatch is read in the background: a scrape never asks AWS anything.  What is too old is withdrawn. SIGTERM ends
    it.  Exit code 1: what was pushed lacks a system.
    """
    if push is not None:
        for option, value in (("--port", port), ("--address", address), ("--interval", interval)):
            if value is not None:
                raise InputError(f"{option} goes without --push, which refreshes once")
        from ..exporter.push import check_address

        check_address(push)
        if job == "":
            raise InputError("--job: a job needs a name, such as slo")
    elif job is not None or as_json:
        raise InputError(f"{'--json' if as_json else '--job'} goes with --push")
    every = _duration("--interval", interval or _INTERVAL)
    stale = _duration("--stale-after", stale_after or _STALE)
    if every < _SHORTEST:
        raise InputError("--interval: CloudWatch has a datapoint a minute, and each question costs; give at least 10s")
    if push is None:
        _refuse_too_short(stale, every)
    target, refresher = _open(environment, systems, history, parameters, anchored=push is not None)
    if push is not None:
        _push(refresher, target, stale, push, "tocsin" if job is None else job, as_json)
    else:
        _serve(refresher, stale, every, _ADDRESS if address is None else address, _PORT if port is None else port)


def _open(
    name: str, systems: Sequence[str], history: str | None, parameters: dict[str, str], *, anchored: bool
) -> tuple[Environment, Refresher]:
    from ..cloud.committed import Committed
    from ..cloud.environments import read_environment
    from ..cloud.preparation import connect_to
    from ..exporter.refresh import Refresher
    from ..exporter.subject import find_sources
    from ..history.store import open_store

    project, plans = planned_here(parameters)
    target = read_environment(project.root / project.environments, name)
    committed = Committed(project.root / project.alarms, project.root / project.routing)
    sources = find_sources(plans, committed, systems)
    cloud = connect_to(target)
    where = project.history if history is None else history
    if not where.startswith("s3://") and history is None:
        where = str(project.root / where)
    store = open_store(where, lambda: cloud)
    return target, Refresher(sources, target, cloud, store=store, anchored=anchored, tell=_tell)


def _serve(refresher: Refresher, stale: timedelta, every: timedelta, address: str, port: int) -> None:
    from ..exporter.metrics import FiguresCollector, make_registry
    from ..exporter.serve import Loop, serving

    stop = Event()
    before = {number: signal.signal(number, _setter(stop)) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        registry = make_registry(FiguresCollector(lambda: refresher.figures, stale, _now), process=True)
        with serving(registry, address, port) as bound:
            host = f"[{address}]" if ":" in address else address
            click.echo(f"serving http://{host}:{bound}/metrics")
            loop = Loop(refresher, every, stop, _now, _Reporter(refresher, every))
            loop.start()
            stop.wait()
            loop.end()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    click.echo("ended")


def _push(refresher: Refresher, target: Environment, stale: timedelta, url: str, job: str, as_json: bool) -> None:
    from ..exporter.metrics import FiguresCollector, make_registry
    from ..exporter.push import push

    failures = refresher.refresh(_now())
    for failure in failures:
        _tell(f"{failure.system}: {failure.text}")
    figures = refresher.figures
    if not figures.systems:
        raise InputError(f"nothing of {target.name} could be read, so nothing was pushed; mend the above, run it again")
    registry = make_registry(FiguresCollector(lambda: figures, stale, _now, once=True), process=False)
    push(registry, url, job, target.name)
    shown = sum(len(system.slos) for system in figures.systems.values())
    if as_json:
        systems = {name: [slo.name for slo in system.slos] for name, system in figures.systems.items()}
        failed = [{"system": one.system, "reason": one.reason, "message": one.text} for one in failures]
        print_json({"pushed": systems, "failed": failed, "to": url, "job": job})
    else:
        click.echo(f"pushed {count(shown, 'SLO')} of {count(len(figures.systems), 'system')} to {url}")
    if failures:
        sys.exit(_FINDINGS)


class _Reporter:
    """Tells of what changes from one refresh to the next: the first success, a failure, its end."""

    def __init__(self, refresher: Refresher, every: timedelta) -> None:
        self._refresher, self._every = refresher, every
        self._failing: dict[str, str] = {}
        self._begun = False

    def __call__(self, failures: Sequence[Failure]) -> None:
        failing = {failure.system: failure.text for failure in failures}
        for system, text in failing.items():
            if self._failing.get(system) != text:
                _tell(f"{system}: {text}")
        for system in self._failing:
            if system not in failing:
                _tell(f"{system}: up to date again")
        self._failing = failing
        figures = self._refresher.figures
        if figures.systems and not self._begun:
            self._begun = True
            metrics = self._refresher.metrics
            usd = metrics * (_MONTH / self._every) * _USD_PER_METRIC
            calls = sum(figures.calls.values())
            click.echo(
                f"{count(self._refresher.slos, 'SLO')} of {count(len(figures.systems), 'system')} read with "
                f"{count(calls, 'request')}; {count(metrics, 'metric')} a refresh: USD {usd:.2f} a month"
            )


def _setter(stop: Event) -> Callable[[int, Any], None]:
    return lambda _number, _frame: stop.set()


def _refuse_too_short(stale: timedelta, every: timedelta) -> None:
    """Raise InputError where figures would come and go."""
    from ..exporter.refresh import AGE_WHEN_READ

    minute = timedelta(minutes=1)
    if stale < every + AGE_WHEN_READ:
        raise InputError(
            "--stale-after: figures would be withdrawn before the next refresh, for they are up to "
            f"{AGE_WHEN_READ // minute} minutes old when they are read; give at least {-(-(every + AGE_WHEN_READ) // minute)}min"
        )


def _duration(option: str, text: str) -> timedelta:
    from ..units import duration

    try:
        return duration(text)
    except InputError as error:
        raise InputError(f"{option}: {error}") from None


def _tell(line: str) -> None:
    click.echo(f"tocsin: {line}", err=True)


def _now() -> datetime:
    return datetime.now(UTC)
