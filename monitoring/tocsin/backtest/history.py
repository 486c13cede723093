"""History: a template, what its metrics were, and when there were incidents, read from files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ..errors import SimulationError
from ..simulate.options import parse_moment
from ..simulate.series import Store, load_series
from ..simulate.template import AlarmTemplate, read_template
from .incident import Incident
from .labels import read_labels


@dataclass(frozen=True, slots=True)
class History:
    """What a template's alarms can be judged by.  ``incidents`` is None where no labels were given."""

    template: AlarmTemplate
    store: Store
    incidents: tuple[Incident, ...] | None
    start: datetime
    end: datetime


def read_history(
    template: Path,
    series: Iterable[Path],
    parameters: Mapping[str, str],
    *,
    metrics: Sequence[str] = (),
    labels: Path | None = None,
    start: str | None = None,
    end: str | None = None,
) -> History:
    """Read all files; without ``start`` and ``end`` the history is that of the series.

    Raises InputError, TemplateError or SimulationError: also for a template without alarms and for series without data.
    """
    read = read_template(template, parameters)
    if not read.alarms and not read.composites:
        reasons = "; ".join(f"{one.name}: {one.reason}" for one in read.unsupported[:3])
        raise SimulationError(f"{template}: no alarm that can be evaluated" + (f" ({reasons})" if reasons else ""))
    incidents = None if labels is None else read_labels(labels)
    store = load_series(series, metrics)
    span = store.span()
    if span is None:
        raise SimulationError("the series hold no datapoint; there is nothing to evaluate")
    first = parse_moment(start, "--from") if start is not None else span[0]
    last = parse_moment(end, "--to") if end is not None else span[1]
    if last <= first:
        raise SimulationError(f"the history ends at {last:%Y-%m-%dT%H:%M:%SZ}, not after it begins")
    return History(read, store, incidents, first, last)
