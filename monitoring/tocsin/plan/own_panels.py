"""Graphs of the metrics that a team publishes itself: those it holds itself to, and those it only wants to see."""

from __future__ import annotations

from collections.abc import Sequence

from ..alarm import Metric
from ..catalog.entry import Meaning, Panel, Series
from ..model import Counted, Ranked, Reported, Slo

# CloudWatch's units of time → Grafana's.
_TIMES = {"Seconds": "s", "Milliseconds": "ms", "Microseconds": "µs"}
# More counters than this in one graph cannot be told apart.
_MOST = 4


def own_panels(slos: Sequence[Slo], reports: Sequence[Reported]) -> tuple[Panel, ...]:
    """What one resource reports itself: what each promise counts, other counters, then times."""
    promised: list[Panel] = []
    shown: set[Metric] = set()
    counters: dict[Metric, None] = {}
    times: dict[Metric, str] = {}
    for slo in slos:
        measure = slo.sli.measure
        if not slo.sli.own:
            continue
        if isinstance(measure, Ranked):
            times.setdefault(measure.metric, measure.unit)
        elif isinstance(measure, Counted):
            promised.append(_promised(slo, measure))
            shown |= {measure.bad, measure.valid}
        else:
            counters.update(dict.fromkeys(slo.sli.metrics))
    for reported in reports:
        for metric in reported.metrics:
            if reported.unit in _TIMES:
                times.setdefault(metric, reported.unit)
            else:
                counters.setdefault(metric)
    others = [metric for metric in counters if metric not in shown]
    return (*promised, *_counted(others), *(_timed(metric, unit) for metric, unit in times.items()))


def _promised(slo: Slo, measure: Counted) -> Panel:
    """What one promise counts has a graph to itself: ten bad files beside a million bad rows would not be seen."""
    return Panel(
        title=f"Is {slo.name} kept?",
        description="What the promise counts. Red breaks it and is normally 0.",
        unit="short",
        series=(
            Series(measure.bad, "Sum", measure.bad.name, Meaning.FAILED),
            Series(measure.valid, "Sum", measure.valid.name),
        ),
        key=f"own counters of {slo.name}",
        no_value="reported nothing in this time",
    )


def _counted(metrics: Sequence[Metric]) -> tuple[Panel, ...]:
    """One graph, or several of equal parts."""
    graphs = -(-len(metrics) // _MOST)
    each = -(-len(metrics) // graphs) if graphs else 0
    panels = []
    for number in range(graphs):
        shown = metrics[number * each : (number + 1) * each]
        many = f" ({number + 1} of {graphs})" if graphs > 1 else ""
        panels.append(
            Panel(
                title=f"What does it report itself?{many}",
                description="Its own counters. None of them breaks a promise by itself.",
                unit="short",
                series=tuple(Series(metric, "Sum", metric.name) for metric in shown),
                key=f"own counters{many}",
                no_value="reported nothing in this time",
            )
        )
    return tuple(panels)


def _timed(metric: Metric, unit: str) -> Panel:
    return Panel(
        title=f"How long by its own clock ({metric.name})?",
        description="The time of each event as it reports it itself.",
        unit=_TIMES[unit],
        series=(
            Series(metric, "p50", "median"),
            Series(metric, "p95", "95th percentile"),
            Series(metric, "Maximum", "longest"),
        ),
        key=f"own {metric.name}",
        no_value="reported nothing in this time",
    )
