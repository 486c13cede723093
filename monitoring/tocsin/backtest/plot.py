"""Draws a run or a timeline on one time axis: what users saw, how fast the budget burned, what the alarms did.

The only home of matplotlib, which is imported when a picture is drawn.  Pictures are the same bytes for the same input
and the same release of matplotlib.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..alarm import AlarmState
from ..burn_rate import Tier
from ..errors import InputError
from ..model import SinceSuccess
from ..simulate.series import Store
from ..simulate.template import AlarmTemplate
from ..simulate.timeline import Timeline
from ..units import format_duration, format_number
from .curves import (
    DAY,
    Clock,
    Measured,
    burning,
    in_order,
    measured,
    metrics_to_draw,
    restless,
    runs_of,
    sentence,
    shared_start,
    short,
    sli_steps,
    stretches,
)
from .incident import Incident
from .traffic import MINUTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .judge import Run

# What each suffix is drawn as, and the metadata that would tell when or by which release.
_FORMATS: Mapping[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
_WIDTH = 11.0  # inches
_ROW = 0.24
_MOST_ROWS = 40
_MOST_METRICS = 6
_MOST_LINES = 12
# So few datapoints are marked one by one.
_FEW = 60
# Burn rates are drawn on a logarithmic axis, which has no zero.
_LEAST_BURN = 0.1

# Okabe and Ito's palette, which people with any colour vision tell apart; dark and light differ in print as well.
_DARK, _LIGHT, _ORANGE, _GREY = "#0072B2", "#56B4E9", "#D55E00", "#5F6A72"
# An edge, so that a short incident in a long time is seen; and lines thinner than it.
_SHADE: Mapping[str, Any] = {"facecolor": (0.94, 0.89, 0.26, 0.4), "edgecolor": "#8A7F00", "linewidth": 0.9}
_TOLD: Mapping[str, Any] = {"color": _ORANGE, "linewidth": 0.6, "linestyle": ":"}
_STATE: Mapping[AlarmState, Mapping[str, Any]] = {
    AlarmState.OK: {"facecolor": "#D5E3EC", "edgecolor": "none"},
    AlarmState.ALARM: {"facecolor": _ORANGE, "edgecolor": "none"},
    AlarmState.INSUFFICIENT_DATA: {"facecolor": "white", "edgecolor": "#9AA5AC", "hatch": "////", "linewidth": 0},
}
_STYLE: Mapping[str, Any] = {
    "svg.hashsalt": "tocsin",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
    "path.simplify": True,
    # A name may hold dollar signs, which are no formula.
    "text.parse_math": False,
}


@dataclass(frozen=True, slots=True)
class _Panel:
    """One part of the picture: its height in inches and what draws it."""

    height: float
    draw: Callable[[Axes], None]


def plot_format(path: Path) -> str:
    """The format that the path's suffix asks for: png, svg or pdf.

    Raises InputError for any other suffix, a folder that is not there, and a missing matplotlib: call it before a
    long calculation.
    """
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in _FORMATS:
        known = ", ".join(f".{name}" for name in _FORMATS)
        raise InputError(f"{path}: a picture's name ends with one of {known}")
    if not path.parent.is_dir():
        raise InputError(f"{path}: cannot be written: there is no folder {path.parent}")
    try:
        with _quietly():
            import matplotlib  # noqa: F401
    except ImportError:
        raise InputError("drawing needs matplotlib, which is not installed; install tocsin[plot]") from None
    return suffix


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what matplotlib says of its caches, such as that it has no folder for them: they are not the picture."""
    log = logging.getLogger("matplotlib")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def plot_run(run: Run, path: Path) -> None:
    """Draw one scenario: the SLI with its objective, burn rates with their limits, alarm states, who was told when.

    Raises InputError if it cannot be written or matplotlib is missing.
    """
    suffix = plot_format(path)
    timeline, slo = run.timeline, run.slo
    clock = Clock(run.incidents[0].start if run.incidents else timeline.start, dated=False)
    if isinstance(slo.sli.measure, SinceSuccess):
        within = slo.sli.measure.within
        panels = [_Panel(1.6, partial(_draw_heartbeat, run=run, within=within, clock=clock))]
    else:
        panels = [
            _Panel(1.5, partial(_draw_sli, run=run, clock=clock)),
            *(_Panel(0.85, partial(_draw_tier, run=run, tier=tier, clock=clock)) for tier in run.tiers),
        ]
    telling = list(run.promise.alarms.values())
    panels.append(_states(timeline, telling, clock))
    title = f"{run.promise.system} · {slo.name}: {run.scenario}"
    said = [sentence(outcome) for outcome in run.outcomes]
    what = "the incident began" if run.incidents else "the beginning"
    _draw(path, suffix, title, said, panels, timeline, run.incidents, clock, f"time since {what}")


def plot_timeline(
    timeline: Timeline,
    store: Store,
    incidents: Sequence[Incident],
    path: Path,
    *,
    template: AlarmTemplate | None = None,
) -> None:
    """Draw what happened to measured series: the metrics, alarm states, who was told when, incidents shaded.

    With ``template`` the metrics of alarms that were in ALARM come first, with the thresholds that apply to them.
    Raises InputError if it cannot be written or matplotlib is missing.
    """
    suffix = plot_format(path)
    clock = Clock(timeline.start.replace(hour=0, minute=0, second=0, microsecond=0), dated=True)
    telling = list(dict.fromkeys(one.alarm for one in timeline.notifications if one.state is AlarmState.ALARM))
    metrics = metrics_to_draw(timeline, store, template)
    panels = [
        _Panel(0.95, partial(_draw_metric, curve=measured(store, metric, watching, timeline, clock)))
        for metric, watching in list(metrics.items())[:_MOST_METRICS]
    ]
    panels.append(_states(timeline, telling, clock))
    alarms = sum(one.state is AlarmState.ALARM for one in timeline.notifications)
    said = [f"somebody is told {alarms} time{'' if alarms == 1 else 's'} that something is wrong"]
    if len(metrics) > _MOST_METRICS:
        said.append(f"{_MOST_METRICS} of {len(metrics)} metrics are shown")
    title = f"{len(timeline.changes)} alarm{'' if len(timeline.changes) == 1 else 's'} over measured series"
    _draw(path, suffix, title, ["; ".join(said)], panels, timeline, incidents, clock, "UTC")


def _draw(
    path: Path,
    suffix: str,
    title: str,
    said: Sequence[str],
    panels: Sequence[_Panel],
    timeline: Timeline,
    incidents: Sequence[Incident],
    clock: Clock,
    below: str,
) -> None:
    """Put the panels below each other and write the picture at once or not at all."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    # The reader's own matplotlibrc must not change the picture.
    settings: dict[Any, Any] = {
        key: value for key, value in mpl.rcParamsDefault.items() if not key.startswith(("backend", "webagg"))
    }
    with _quietly(), mpl.rc_context(settings | dict(_STYLE)):
        heights = [panel.height for panel in panels]
        head, foot = 0.3 + 0.17 * len(said), 0.75
        figure = Figure(
            figsize=(_WIDTH, sum(heights) + 0.24 * len(panels) + head + foot),
            layout=ConstrainedLayoutEngine(h_pad=0.02, hspace=0.01),
        )
        FigureCanvasAgg(figure)
        rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
        begin, end = clock(timeline.start), clock(timeline.end)
        for axes, panel in zip(rows, panels, strict=True):
            panel.draw(axes)
            for incident in incidents:
                left, right = max(begin, clock(incident.start)), min(end, clock(incident.end))
                if left < right:
                    axes.axvspan(left, right, zorder=0, **_SHADE)
            told = [one for one in timeline.notifications if one.state is AlarmState.ALARM]
            for one in told[:_MOST_LINES]:
                axes.axvline(clock(one.at), zorder=1.5, **_TOLD)
        last = rows[-1]
        last.set_xlim(begin, end if end > begin else begin + 1)
        places, labels = clock.ticks(*last.get_xlim())
        last.set_xticks(places, labels)
        last.set_xlabel(below)
        figure.suptitle("\n".join((title, *said)), x=0.01, ha="left", fontsize=9, linespacing=1.4)
        figure.legend(
            handles=_legend(incidents, timeline), loc="outside lower center", ncols=8, frameon=False, fontsize=8
        )
        held = BytesIO()
        with warnings.catch_warnings():
            # A name in a script that the font lacks is drawn as boxes.
            warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
            figure.savefig(held, format=suffix, dpi=120, metadata=_FORMATS[suffix])
    try:
        path.write_bytes(held.getvalue())
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None


def _legend(incidents: Sequence[Incident], timeline: Timeline) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    seen = {change.state for record in timeline.changes.values() for change in record}
    handles: list[Any] = [
        Patch(label=state.value, **look) for state, look in _STATE.items() if state in seen or state is AlarmState.ALARM
    ]
    if incidents:
        handles.append(Patch(label="incident", **_SHADE))
    handles += [
        Line2D([], [], label="somebody is told", **_TOLD, **_MARKS[AlarmState.ALARM]),
        Line2D([], [], color="none", label="… that it is over", **_MARKS[AlarmState.OK]),
    ]
    return handles


_MARKS: Mapping[AlarmState, Mapping[str, Any]] = {
    AlarmState.ALARM: {"marker": "v", "markersize": 6, "markerfacecolor": "black", "markeredgecolor": "white"},
    AlarmState.OK: {"marker": "o", "markersize": 5, "markerfacecolor": "white", "markeredgecolor": "black"},
    AlarmState.INSUFFICIENT_DATA: {
        "marker": "D",
        "markersize": 5,
        "markerfacecolor": "white",
        "markeredgecolor": "black",
    },
}


def _states(timeline: Timeline, telling: Sequence[str], clock: Clock) -> _Panel:
    """The strips: first alarms that tell somebody, then others in ALARM, then what changed; the rest is counted."""
    moving = in_order([name for name, record in timeline.changes.items() if len(record) > 1])
    first = [name for name in telling if name in timeline.changes]
    names = list(dict.fromkeys((*first, *restless(timeline), *moving)))
    shown = names[:_MOST_ROWS]
    hidden, quiet = len(names) - len(shown), len(timeline.changes) - len(names)
    notes = [f"{hidden} more changed too"] if hidden else []
    notes += [f"{quiet} alarm{'' if quiet == 1 else 's'} did not change"] if quiet else []
    heading = "alarm states" + (f" ({'; '.join(notes)})" if notes else "")
    drawn = partial(_draw_states, timeline=timeline, names=shown, heading=heading, clock=clock)
    return _Panel(_ROW * max(1, len(shown)), drawn)


def _draw_states(axes: Axes, timeline: Timeline, names: Sequence[str], heading: str, clock: Clock) -> None:
    shared = shared_start(list(timeline.changes))
    axes.set_title(f"{heading}{': ' + shared + '…' if shared else ''}", loc="left")
    for row, name in enumerate(names):
        for begin, end, state in stretches(timeline, name):
            axes.broken_barh([(clock(begin), clock(end) - clock(begin))], (row - 0.4, 0.8), **_STATE[state])
    for one in timeline.notifications:
        if one.alarm in names:
            axes.plot([clock(one.at)], [names.index(one.alarm)], zorder=3, clip_on=False, **_MARKS[one.state])
    axes.set_ylim(max(1, len(names)) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), [short(name.removeprefix(shared)) for name in names])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _draw_sli(axes: Axes, run: Run, clock: Clock) -> None:
    steps, objective = sli_steps(run, clock), run.slo.objective
    good = steps.good
    sparse = np.isfinite(good).mean() < 0.5
    look: dict[str, Any] = {"marker": ".", "linestyle": "none"} if sparse else {"linewidth": 1.1}
    axes.plot(steps.hours, good, color=_DARK, drawstyle="steps-post", **look)
    every = "each minute" if steps.size == MINUTE else f"every {format_duration(steps.size)}"
    axes.set_title(f"SLI: {run.slo.sli.good}, {every}, in %", loc="left")
    if objective is None:
        return
    promised = float(100 * objective)
    axes.axhline(promised, color="black", linestyle="--", linewidth=0.9)
    lowest = min([promised, *good[np.isfinite(good)].tolist()])
    room = max(100 - lowest, 2 * (100 - promised)) * 0.08
    axes.set_ylim(max(lowest, 0) - room, 100 + room)
    axes.annotate(
        f"promised {format_number(100 * objective)} %",
        (1, promised),
        xycoords=("axes fraction", "data"),
        xytext=(-2, -2),
        textcoords="offset points",
        ha="right",
        va="top",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.8},
    )


def _draw_tier(axes: Axes, run: Run, tier: Tier, clock: Clock) -> None:
    """The burn rate over both windows of a tier; it fires while both are above the limit."""
    curves, limit = burning(run, tier, clock), float(tier.burn_rate)
    axes.plot(curves.hours, np.fmax(curves.short, _LEAST_BURN), color=_LIGHT, linewidth=1.0)
    axes.plot(curves.hours, np.fmax(curves.long, _LEAST_BURN), color=_DARK, linewidth=1.7)
    across = axes.get_xaxis_transform()
    axes.fill_between(
        curves.hours, 0, 1, where=curves.fires.tolist(), transform=across, color=_ORANGE, alpha=0.25, linewidth=0
    )
    highest = float(np.nanmax([limit, *curves.short, *curves.long]))
    axes.axhline(limit, color="black", linestyle="--", linewidth=0.9)
    axes.set_yscale("log")
    axes.set_ylim(_LEAST_BURN * 0.8, highest * 2)
    axes.minorticks_off()
    powers = [power for power in (0.1, 1, 10, 100, 1000, 10_000) if power <= highest * 2]
    axes.set_yticks(powers, [f"{power:g}" for power in powers])
    hourly = ", looked at hourly" if tier.long_window > DAY else ""
    axes.set_title(
        f"{tier.severity.value}: burn rate above {format_number(tier.burn_rate)} over {format_duration(tier.long_window)} "
        f"(dark{hourly}) and {format_duration(tier.short_window)} (light)",
        loc="left",
    )


def _draw_heartbeat(axes: Axes, run: Run, within: timedelta, clock: Clock) -> None:
    """Hours since the last success, with what is promised; each run is a mark."""
    runs = runs_of(run, clock)
    axes.plot(runs.hours, runs.since, color=_DARK, linewidth=1.5)
    looks: tuple[dict[str, Any], ...] = (
        {"marker": "o", "color": _DARK, "label": "a run succeeds"},
        {"marker": "X", "color": _ORANGE, "label": "a run fails"},
    )
    for at, look in zip((runs.succeeded, runs.failed), looks, strict=True):
        if len(at):
            axes.plot(at, np.zeros(len(at)), linestyle="none", clip_on=False, zorder=3, **look)
    limit = within / timedelta(hours=1)
    axes.axhline(limit, color="black", linestyle="--", linewidth=0.9)
    axes.set_ylim(0, float(np.nanmax([limit, *runs.since])) * 1.12)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, borderaxespad=0)
    axes.set_title(f"hours since the last success; promised at most {format_duration(within)}", loc="left")


def _draw_metric(axes: Axes, curve: Measured) -> None:
    few = {"marker": "."} if len(curve.hours) < _FEW else {}
    axes.fill_between(curve.hours, curve.low, curve.high, color=_LIGHT, linewidth=0)
    axes.plot(curve.hours, curve.high, color=_DARK, linewidth=1.0, **few)  # type: ignore[arg-type]
    missing = np.concatenate(([True], np.isnan(curve.high), [True]))
    alone = ~missing[1:-1] & missing[:-2] & missing[2:]
    if alone.any() and not few:
        axes.plot(curve.hours[alone], curve.high[alone], color=_DARK, linestyle="none", marker=".", markersize=2)
    metric = curve.metric
    of = short(", ".join(value for _, value in metric.dimensions))
    heading = (
        f"{short(metric.namespace)} {short(metric.name)}{' (' + of + ')' if of else ''}: {curve.statistic or 'no data'}"
    )
    if curve.threshold is not None:
        axes.axhline(curve.threshold, color="black", linestyle="--", linewidth=0.9)
        heading += f", threshold {curve.threshold:g}"
    axes.set_title(heading, loc="left")
    axes.margins(y=0.12)
