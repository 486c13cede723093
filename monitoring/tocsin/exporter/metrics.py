"""Figures → Prometheus metrics: one table of families, and the collector that a scrape reads.  Asks nobody anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ..alarm import AlarmState
from .figures import Figures, SloFigures, SystemFigures

_SLO = ("environment", "owner", "slo", "system")
_SYSTEM = ("environment", "system")


@dataclass(frozen=True, slots=True)
class Family:
    """One metric.  ``counter``: it never falls while the exporter runs, and its name ends in ``_total``."""

    name: str
    labels: tuple[str, ...]
    help: str
    counter: bool = False


FAMILIES = (
    Family("slo_objective_ratio", _SLO, "Share of valid events that is promised to be good."),
    Family("slo_window_seconds", _SLO, "Length of the rolling window that the objective is promised over."),
    Family("slo_sli_good_total", _SLO, "Good events; of a heartbeat, runs that succeeded.", counter=True),
    Family("slo_sli_valid_total", _SLO, "Valid events; of a heartbeat, runs begun.", counter=True),
    Family(
        "slo_error_budget_remaining_ratio",
        _SLO,
        "Share of the error budget of the rolling window that is left; below 0 it is overspent. Absent where nothing valid happened.",
    ),
    Family(
        "slo_burn_rate",
        (*_SLO, "window"),
        "How many times as fast as allowed the error budget was spent over the window; 0 where nothing valid happened.",
    ),
    Family(
        "slo_heartbeat_limit_seconds",
        _SLO,
        "For so long a heartbeat may be without a success before its promise breaks.",
    ),
    Family(
        "slo_heartbeat_last_success_timestamp_seconds",
        _SLO,
        "Start of the newest period with a success; 0 where there was none for seven days.",
    ),
    Family(
        "slo_alarm_state",
        ("alarm", "environment", "owner", "severity", "slo", "state", "system"),
        "1 for the state that the alarm is in, 0 for the other two.",
    ),
    Family("slo_data_timestamp_seconds", _SYSTEM, "End of the newest minute that the figures of the system include."),
    Family("slo_data_age_seconds", _SYSTEM, "How long ago that was. Beyond the limit the figures are withdrawn."),
    Family(
        "slo_exporter_last_success_timestamp_seconds",
        _SYSTEM,
        "When the figures of the system were last brought up to date.",
    ),
    Family("slo_exporter_refreshes_total", ("environment",), "Attempts to bring all figures up to date.", counter=True),
    Family(
        "slo_exporter_refresh_failures_total",
        ("environment", "reason", "system"),
        "Attempts that failed for the system, by reason: throttled, denied, unreachable or failed.",
        counter=True,
    ),
    Family(
        "slo_exporter_api_calls_total",
        ("environment", "operation", "outcome"),
        "Requests to AWS, repeated ones too, by operation and outcome: ok, throttled, denied or failed.",
        counter=True,
    ),
    Family("slo_exporter_missing_alarms", _SYSTEM, "Alarms that are declared and not in CloudWatch."),
    Family("slo_exporter_missing_slos", _SYSTEM, "SLOs that are declared on something that is not in the account."),
)
_BY_NAME = {family.name: family for family in FAMILIES}

Sample = tuple[str, Mapping[str, str], float]


class FiguresCollector(Collector):
    """Shows what ``figures`` returns, as of ``now``.

    Figures older than ``stale_after`` are withdrawn: a series that ends says that nobody knows, one that stands still
    would say that nothing happens.  Their age stays, and what the exporter says of itself.  ``once``: what is shown is
    pushed and then stands, so that nothing is shown that changes by itself.
    """

    def __init__(
        self,
        figures: Callable[[], Figures],
        stale_after: timedelta,
        now: Callable[[], datetime],
        *,
        once: bool = False,
    ) -> None:
        self._figures, self._stale_after, self._now, self._once = figures, stale_after, now, once

    def collect(self) -> Iterator[Metric]:
        """Every family in the table's order."""
        found: dict[str, list[Sample]] = {}
        for sample in self._samples(self._figures()):
            found.setdefault(sample[0], []).append(sample)
        for family in FAMILIES:
            if self._once and family.name == "slo_data_age_seconds":
                continue
            metric: CounterMetricFamily | GaugeMetricFamily
            if family.counter:
                metric = CounterMetricFamily(family.name, family.help, labels=family.labels)
            else:
                metric = GaugeMetricFamily(family.name, family.help, labels=family.labels)
            for _, labels, value in sorted(found.get(family.name, ()), key=lambda one: sorted(one[1].items())):
                metric.add_metric([labels.get(label, "") for label in family.labels], value)
            yield metric

    def describe(self) -> Iterator[Metric]:
        """Nothing is read only because the collector is registered."""
        return iter(())

    def _samples(self, figures: Figures) -> Iterator[Sample]:
        here = {"environment": figures.environment}
        for name, system in figures.systems.items():
            labels = {**here, "system": name}
            age = self._now() - system.until
            yield "slo_data_timestamp_seconds", labels, system.until.timestamp()
            yield "slo_data_age_seconds", labels, age.total_seconds()
            yield "slo_exporter_last_success_timestamp_seconds", labels, system.refreshed.timestamp()
            yield "slo_exporter_missing_alarms", labels, system.missing_alarms
            yield "slo_exporter_missing_slos", labels, system.missing_slos
            if age <= self._stale_after:
                yield from _of_system(system, {**labels, "owner": system.owner})
        yield "slo_exporter_refreshes_total", here, figures.refreshes
        for (name, reason), count in figures.failures.items():
            yield "slo_exporter_refresh_failures_total", {**here, "system": name, "reason": reason}, count
        for (operation, outcome), count in figures.calls.items():
            yield "slo_exporter_api_calls_total", {**here, "operation": operation, "outcome": outcome}, count


def _of_system(system: SystemFigures, labels: Mapping[str, str]) -> Iterator[Sample]:
    for slo in system.slos:
        yield from _of_slo(slo, {**labels, "slo": slo.name})
    for alarm in system.alarms:
        told = {**labels, "alarm": alarm.name, "severity": alarm.severity, "slo": alarm.slo}
        for state in AlarmState:
            yield "slo_alarm_state", {**told, "state": state.value}, float(alarm.state is state)


def _of_slo(slo: SloFigures, labels: Mapping[str, str]) -> Iterator[Sample]:
    yield "slo_sli_good_total", labels, float(slo.good)
    yield "slo_sli_valid_total", labels, float(slo.valid)
    if slo.objective is not None and slo.window is not None:
        yield "slo_objective_ratio", labels, slo.objective
        yield "slo_window_seconds", labels, slo.window.total_seconds()
    if slo.remaining is not None:
        yield "slo_error_budget_remaining_ratio", labels, slo.remaining
    for window, rate in slo.burn_rates:
        yield "slo_burn_rate", {**labels, "window": window_label(window)}, rate
    if slo.within is not None:
        yield "slo_heartbeat_limit_seconds", labels, slo.within.total_seconds()
        last = 0.0 if slo.last_success is None else slo.last_success.timestamp()
        yield "slo_heartbeat_last_success_timestamp_seconds", labels, last


def window_label(window: timedelta) -> str:
    """A window as Prometheus writes durations, in its largest whole unit: ``5m``, ``1h``, ``3d``."""
    seconds = int(window.total_seconds())
    unit, size = next(one for one in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)) if seconds % one[1] == 0)
    return f"{seconds // size}{unit}"


def make_registry(collector: FiguresCollector, *, process: bool) -> CollectorRegistry:
    """What is exposed; with ``process`` also what the client library says of its process, as everywhere."""
    registry = CollectorRegistry()
    registry.register(collector)
    if process:
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
    return registry
