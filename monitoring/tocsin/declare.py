"""What a person writes in a declaration: the promises, as functions named like the SLIs."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from .burn_rate import WINDOW_TABLE
from .catalog import CATALOG
from .catalog.entry import SliOffer
from .errors import DeclarationError, nearest
from .model import Override, Resource, Severity, SinceSuccess, Sli, SliKind, Slo
from .own_metrics import OwnCounts, OwnMeasure, OwnSamples, OwnSuccesses, require
from .units import duration, format_duration, format_ratio, ratio

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .model import Stack


@dataclass(frozen=True, slots=True)
class _Context:
    root: Path
    parameters: Mapping[str, str]
    declared: set[str]


_context: ContextVar[_Context | None] = ContextVar("declaring", default=None)


@contextmanager
def declaring(root: Path, parameters: Mapping[str, str], declared: set[str]) -> Iterator[None]:
    """While declarations are loaded: template paths are relative to ``root``, ``parameters`` go to each template.

    ``declared`` gathers the names of the parameters that the templates have.
    """
    context = _context.set(_Context(root, parameters, declared))
    try:
        yield
    finally:
        _context.reset(context)


def discover(template: str | Path, parameters: Mapping[str, str] | None = None) -> Stack:
    """Read a CloudFormation template.  A relative path is relative to the project's folder.

    Raises TemplateError.
    """
    from .discovery import discover as discover_template

    context, path = _context.get(), Path(template)
    if context is None:
        return discover_template(path, parameters or {})
    # What is given on the command line goes to the templates that have such a parameter, and beats the declaration.
    given = {**(parameters or {}), **context.parameters}
    stack = discover_template(
        context.root / path, given, shown_as=path.as_posix(), ignore_unknown=context.parameters.keys()
    )
    context.declared.update(stack.parameters)
    return stack


def availability(
    resource: Resource,
    *,
    objective: str | Fraction,
    window: str | timedelta,
    measure: OwnCounts | None = None,
    name: str | None = None,
    because: str = "",
    minimum_bad_events: int = 2,
) -> Slo:
    """At least ``objective`` of the events succeed over ``window``.

    ``measure=counted(…)`` counts events by metrics of your own instead of AWS's.
    A burn-rate alarm needs ``minimum_bad_events`` in its long window, so that at ten requests an hour a single
    failure wakes nobody.  Raises DeclarationError.
    """
    sli = _sli(SliKind.AVAILABILITY, resource, None, measure)
    return _share(sli, objective, window, name, because, minimum_bad_events)


def latency(
    resource: Resource,
    *,
    below: str | timedelta,
    objective: str | Fraction,
    window: str | timedelta,
    measure: OwnSamples | None = None,
    name: str | None = None,
    because: str = "",
    minimum_bad_events: int = 2,
) -> Slo:
    """At least ``objective`` of the events take ``below`` or less over ``window``.

    ``measure=ranked(…)`` takes the times from a metric of your own instead of AWS's.
    A burn-rate alarm needs ``minimum_bad_events`` slow ones in its long window; 1 leaves the gate out and saves a
    metric for each of the four.  Raises DeclarationError.
    """
    sli = _sli(SliKind.LATENCY, resource, duration(below), measure)
    return _share(sli, objective, window, name, because, minimum_bad_events)


def freshness(
    resource: Resource,
    *,
    below: str | timedelta | None = None,
    objective: str | Fraction | None = None,
    window: str | timedelta | None = None,
    measure: OwnMeasure | None = None,
    name: str | None = None,
    because: str = "",
    minimum_bad_events: int = 3,
) -> Slo:
    """What is read is no older than ``below``.

    On a queue: for ``objective`` of the minutes in ``window`` the oldest message is younger.  On something that
    runs: the last success is never longer ago, which is kept or broken and takes no objective.
    By metrics of your own: ``measure=ranked(…)`` is the age of each event, ``counted(…)`` counts what came late and
    takes no ``below``, ``succeeded(…)`` is the last success.
    A burn-rate alarm needs ``minimum_bad_events`` late samples in its long window; a queue is sampled once a minute.
    Raises DeclarationError.
    """
    if isinstance(measure, OwnCounts):
        if below is not None:
            raise DeclarationError(
                f"freshness of {resource.logical_id}: counted(…) counts what is late already; leave below= out"
            )
    elif below is None:
        raise DeclarationError(f'freshness of {resource.logical_id}: say how old at most, such as below="5min"')
    limit = duration(below) if below is not None else None
    sli = _sli(SliKind.FRESHNESS, resource, limit, measure)
    if isinstance(sli.measure, SinceSuccess):
        if objective is not None or window is not None:
            raise DeclarationError(
                f"freshness of {resource.logical_id}: time since the last success is kept or broken; "
                "leave objective and window out"
            )
        return Slo(_slo_name(name, sli), sli, None, None, because)
    if objective is None or window is None:
        raise DeclarationError(f"freshness of {resource.logical_id}: say which objective over which window")
    return _share(sli, objective, window, name, because, minimum_bad_events)


def completeness(
    resource: Resource,
    *,
    objective: str | Fraction,
    window: str | timedelta,
    measure: OwnCounts | None = None,
    name: str | None = None,
    because: str = "",
    minimum_bad_events: int = 2,
) -> Slo:
    """At least ``objective`` of what came in was processed and not dead-lettered.

    ``measure=counted(…)`` counts by metrics of your own instead of AWS's.  A burn-rate alarm needs
    ``minimum_bad_events`` in its long window: a single dead letter has the queue's own ticket and wakes nobody.
    Raises DeclarationError.
    """
    sli = _sli(SliKind.COMPLETENESS, resource, None, measure)
    return _share(sli, objective, window, name, because, minimum_bad_events)


def heartbeat(
    resource: Resource,
    *,
    every: str | timedelta | None = None,
    tolerates: str | timedelta = "1h",
    measure: OwnSuccesses | None = None,
    name: str | None = None,
    because: str = "",
) -> Slo:
    """A job succeeds at least once ``every`` so often; ``tolerates`` covers a late start and the run itself.

    ``every`` follows from the job's schedule if the template has one.  A daily job has no burn rate: a missed run
    is news at once.  ``measure=succeeded(…)`` counts successes by a metric of your own.  Raises DeclarationError.
    """
    interval = duration(every) if every is not None else None
    if measure is not None:
        interval = interval or CATALOG[resource.type].expected_interval(resource)
        if interval is None:
            raise DeclarationError(
                f"heartbeat of {resource.logical_id}: no schedule in the template tells how often it succeeds; "
                "say so with every=…"
            )
        sli = _sli(SliKind.HEARTBEAT, resource, interval + duration(tolerates), measure)
        if isinstance(sli.measure, SinceSuccess):
            sli = replace(sli, measure=replace(sli.measure, every=interval))
        return Slo(_slo_name(name, sli), sli, None, None, because)
    offer = _offer(SliKind.HEARTBEAT, resource, check=every is None)
    runs = offer.measure(resource, interval)
    if not isinstance(runs, SinceSuccess):
        raise DeclarationError(f"heartbeat of {resource.logical_id}: its SLI does not count runs")
    late = SinceSuccess(runs.started, runs.failed, runs.within + duration(tolerates), every=runs.within)
    sli = Sli(SliKind.HEARTBEAT, resource, late, offer.good, offer.source)
    return Slo(_slo_name(name, sli), sli, None, None, because)


def override(
    kind: str,
    resource: Resource,
    *,
    because: str,
    enabled: bool = True,
    threshold: float | None = None,
    severity: Severity | None = None,
    evaluation_periods: int | None = None,
    datapoints_to_alarm: int | None = None,
) -> Override:
    """An exception to one default alarm of one resource, with its reason.  Raises DeclarationError."""
    entry = CATALOG[resource.type]
    kinds = [alarm_kind.id for alarm_kind in entry.alarm_kinds]
    if kind not in kinds:
        raise DeclarationError(f"override of {resource.logical_id}: no alarm kind {kind!r}; {nearest(kind, kinds)}")
    if not because.strip():
        raise DeclarationError(f"override of {kind} on {resource.logical_id}: say why, in because=…")
    return Override(
        kind, resource.logical_id, because, enabled, threshold, severity, evaluation_periods, datapoints_to_alarm
    )


def _share(
    sli: Sli,
    objective: str | Fraction,
    window: str | timedelta,
    name: str | None,
    because: str,
    minimum_bad_events: int,
) -> Slo:
    share = ratio(objective)
    what = f"{sli.kind.value} of {sli.resource.logical_id}"
    if share > 1:
        raise DeclarationError(f'{what}: an objective of {format_ratio(share)} is above 100 %; write 99 % as "99%"')
    if share == 1:
        raise DeclarationError(
            f"{what}: an objective of {format_ratio(share)} leaves no error budget; 99.99 % is the most to promise"
        )
    if share <= 0:
        raise DeclarationError(f"{what}: an objective of {format_ratio(share)} promises nothing; promise 90 % or more")
    if not Fraction(9, 10) <= share <= Fraction(9999, 10000):
        raise DeclarationError(f"{what}: an objective of {format_ratio(share)} is outside 90 % to 99.99 %")
    if minimum_bad_events < 1:
        raise DeclarationError(f"{what}: minimum_bad_events must be 1 or more, got {minimum_bad_events}")
    length = duration(window)
    if length not in WINDOW_TABLE:
        known = ", ".join(f"{known.days}d" for known in WINDOW_TABLE)
        raise DeclarationError(
            f"{what}: a window of {format_duration(length)} has no burn-rate windows; use one of {known}"
        )
    return Slo(_slo_name(name, sli), sli, share, length, because, minimum_bad_events)


def _sli(kind: SliKind, resource: Resource, limit: timedelta | None, measure: OwnMeasure | None) -> Sli:
    if measure is not None:
        own = require(kind, resource, measure)
        if isinstance(own, OwnCounts):
            return own.sli(kind, resource)
        assert limit is not None  # the verbs that take other measures have seen to it
        return own.sli(kind, resource, limit)
    offer = _offer(kind, resource)
    return Sli(kind, resource, offer.measure(resource, limit), offer.good, offer.source)


def _offer(kind: SliKind, resource: Resource, *, check: bool = True) -> SliOffer:
    entry = CATALOG[resource.type]
    for offer in entry.slis:
        if offer.kind is kind:
            reason = offer.applies(resource) if check else None
            if reason is not None:
                raise DeclarationError(f"{kind.value} of {resource.logical_id}: {reason}")
            return offer
    offered = ", ".join(offer.kind.value for offer in entry.slis) or "none"
    raise DeclarationError(f"{resource.logical_id} ({entry.title}) has no {kind.value} SLI; it has: {offered}")


def _slo_name(name: str | None, sli: Sli) -> str:
    return name or f"{sli.resource.logical_id}-{sli.kind.value}"
