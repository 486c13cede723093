"""History: a template, what its metrics were, and when there were incidents, read from files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ..errors import SimulationError, nearest
from ..simulate.options import parse_moment
from ..simulate.series import Store, load_series
from ..simulate.template import AlarmTemplate, read_template
from .coverage import read_by, unread
from .incident import Incident
from .labels import read_labels

# Of so many series that no alarm reads the nearest name is looked for.
_TRIED = 20


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
    labels: Iterable[Path] | None = None,
    start: str | None = None,
    end: str | None = None,
) -> History:
    """Read all files; without ``start`` and ``end`` the history is that of the series.

    Raises InputError, TemplateError or SimulationError: also for a template without alarms, for series without data, and
    for series of which the alarms read none: there would be nothing to judge.
    """
    read = read_template(template, parameters)
    if not read.alarms and not read.composites:
        reasons = "; ".join(f"{one.name}: {one.reason}" for one in read.unsupported[:3])
        raise SimulationError(f"{template}: no alarm that can be evaluated" + (f" ({reasons})" if reasons else ""))
    incidents = None if labels is None else read_labels(*labels)
    store = load_series(series, metrics)
    span = store.span()
    if span is None:
        raise SimulationError("the series hold no datapoint; there is nothing to evaluate")
    _refuse_unread(template, read, store)
    first = parse_moment(start, "--from") if start is not None else span[0]
    last = parse_moment(end, "--to") if end is not None else span[1]
    if last <= first:
        raise SimulationError(f"the history ends at {last:%Y-%m-%dT%H:%M:%SZ}, not after it begins")
    return History(read, store, incidents, first, last)


def _refuse_unread(path: Path, template: AlarmTemplate, store: Store) -> None:
    """Series that no alarm reads prove nothing, whatever they hold: most often a name is spelt in two ways."""
    wanted = sorted(map(str, read_by(template)))
    without = sorted(map(str, unread(template, store)))
    if not wanted or len(without) < len(store.metrics()):
        return
    hints = (nearest(name, wanted) for name in without[:_TRIED])
    hint = next((one for one in hints if one.startswith("did you mean")), "")
    raise SimulationError(
        f"no alarm of {path} reads any of the series; the series hold {_first(without)}, "
        f"the alarms read {_first(wanted)}" + (f"; {hint}" if hint else "")
    )


def _first(names: Sequence[str]) -> str:
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")
