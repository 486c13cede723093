"""One SLO of OpenSLO as a promise of a declaration: which function says it, of which resource, with which arguments."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction
from typing import Any

from .. import declare, own_metrics
from ..alarm import Metric
from ..catalog import CATALOG
from ..catalog.entry import name_of
from ..cloudformation.symbolic import Symbolic, escape
from ..errors import DeclarationError, nearest
from ..model import Counted, Measure, Ranked, Resource, SliKind, Slo, Stack
from ..own_metrics import OwnMeasure
from .code import Call, Code, quoted
from .documents import decimals
from .indicator import read_measure
from .node import LeftOutError
from .reading import ReadSlo

# "Names of SLOs stand in the names and rules of alarms": what else a name may hold in OpenSLO becomes a hyphen.
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9 ._-]")
_PLACEHOLDER = re.compile(r"\$\{(\w+)Name\}")
_SHARE_OF = "the share of "
_UNITS = ("Milliseconds", "Seconds", "Microseconds")
_PER_SECOND = {"Seconds": 1, "Milliseconds": 1_000, "Microseconds": 1_000_000}


@dataclass(frozen=True, slots=True)
class Promise:
    """One call of a declaration: ``function`` and its arguments as Python writes them; ``slo`` is what it makes."""

    function: str
    arguments: tuple[Code, ...]
    slo: Slo
    uses: tuple[str, ...] = ()


def promise(read: ReadSlo, stack: Stack, sources: Mapping[str, str], variable: str = "stack") -> Promise:
    """The promise that says the same of a resource of ``stack``, which the declaration calls ``variable``.

    Raises LeftOutError for what a declaration cannot say, and InputError.
    """
    objective, days = read.objective(), read.window()
    if read.indicator is None:
        reference = read.spec.optional_text("indicatorRef")
        if reference is None:
            raise read.spec.error("indicator or indicatorRef is missing")
        raise LeftOutError(f"its SLI {reference!r} is in none of the files")
    if read.indicator.has("thresholdMetric"):
        raise LeftOutError("it compares single samples (thresholdMetric), which CloudWatch does not keep")
    measure = _named(read_measure(read.indicator.need("ratioMetric"), sources), stack)
    common = _common(read, objective, days)
    refused: list[str] = []
    for resource in _resources(read, measure, stack):
        try:
            return _of_resource(read, measure, resource, common, variable)
        except LeftOutError as why:
            refused.append(str(why))
    raise LeftOutError(refused[0])


def _of_resource(read: ReadSlo, measure: Measure, resource: Resource, common: dict[str, Any], variable: str) -> Promise:
    """The promise on that resource.  Raises LeftOutError."""
    for function, arguments, own in _calls(read, measure, resource):
        call = getattr(declare, function)
        whole = {**arguments, **({"measure": own} if own else {})}
        try:  # with an objective that is always possible: whether it counts the same
            counted: Slo = call(resource, **whole, objective=Fraction(99, 100), window=timedelta(days=28))
        except DeclarationError:
            continue
        if _open(counted.sli.measure) == measure:
            try:
                slo: Slo = call(resource, **whole, **common)
            except DeclarationError as error:
                raise LeftOutError(str(error)) from None
            return _written(slo, function, resource, arguments, common, own, variable)
    raise LeftOutError(f"no SLI of {resource.logical_id} ({CATALOG[resource.type].title}) is counted by its metrics")


def _common(read: ReadSlo, objective: Fraction, days: Fraction) -> dict[str, Any]:
    name = _NOT_IN_NAMES.sub("-", read.what).lstrip(" ._-") or read.name
    found: dict[str, Any] = {
        "name": name,
        "objective": objective,
        "window": timedelta(seconds=int(days * 86_400)),
        "because": read.description,
    }
    if (least := read.notes.get("minimum-bad-events")) is not None:
        if not re.fullmatch(r"[1-9][0-9]{0,8}", least):
            raise read.spec.error(f"annotation tocsin/minimum-bad-events: {least!r} is not a whole number from 1")
        found["minimum_bad_events"] = int(least)
    return found


def _resources(read: ReadSlo, measure: Measure, stack: Stack) -> list[Resource]:
    """The resource that an annotation names, or else those that the metrics are of.  Raises LeftOutError."""
    named = read.notes.get("resource")
    if named is not None:
        chosen = [one for one in stack.resources if one.logical_id == named]
        if not chosen:
            known = nearest(named, (one.logical_id for one in stack.resources))
            raise LeftOutError(f"{stack.path} has no resource {named!r}; {known}")
        return chosen
    values = {value for metric in _metrics(measure) for _, value in metric.dimensions}
    chosen = [one for one in stack.resources if name_of(one) in values]
    if not chosen:
        shown = ", ".join(sorted(values)) or "no dimension"
        raise LeftOutError(
            f"its metrics are of {shown}, which {stack.path} does not name; add the annotation tocsin/resource"
        )
    return chosen


def _metrics(measure: Measure) -> tuple[Metric, ...]:
    if isinstance(measure, Counted):
        return measure.bad, measure.valid
    return (measure.metric,) if isinstance(measure, Ranked) else ()


def _named(measure: Measure, stack: Stack) -> Measure:
    """The measure with physical names, as far as the template states them, as their placeholders."""
    known: dict[tuple[str, str], list[Resource]] = {}
    for one in stack.resources:
        dimension = CATALOG[one.type].own_dimension
        if dimension is not None and one.name is not None and not isinstance(one.name, Symbolic):
            known.setdefault((dimension, escape(one.name)), []).append(one)

    def renamed(metric: Metric) -> Metric:
        found = tuple((key, known.get((key, value), ())) for key, value in metric.dimensions)
        pairs = zip(metric.dimensions, found, strict=True)
        return replace(
            metric,
            dimensions=tuple(
                (key, name_of(these[0]) if len(these) == 1 else value) for (key, value), (_, these) in pairs
            ),
        )

    if isinstance(measure, Counted):
        return replace(measure, bad=renamed(measure.bad), valid=renamed(measure.valid))
    return replace(measure, metric=renamed(measure.metric)) if isinstance(measure, Ranked) else measure


def _calls(
    read: ReadSlo, measure: Measure, resource: Resource
) -> Iterator[tuple[str, dict[str, Any], OwnMeasure | None]]:
    """The calls that may make the measure, the likeliest first: function, its own arguments, and a measure= of its own."""
    kinds = _kinds(read, resource, measure)
    limits: list[timedelta | None] = [None]
    own: OwnMeasure | None = None
    if isinstance(measure, Ranked):
        units = _UNITS if read.notes.get("unit") is None else (read.notes["unit"],)
        limits = [_limit(measure.limit, unit) for unit in units if unit in _PER_SECOND]
    if not _metrics(measure)[0].namespace.startswith("AWS/"):
        own, limits = _own(read, measure, resource), limits[:1]
    for kind in kinds:
        for limit in limits:
            if limit is None and (isinstance(measure, Ranked) or kind == SliKind.LATENCY):
                continue
            yield kind, {} if limit is None else {"below": limit}, own


def _kinds(read: ReadSlo, resource: Resource, measure: Measure) -> tuple[str, ...]:
    said = read.notes.get("kind")
    if said is not None:
        known = [kind.value for kind in SliKind if kind is not SliKind.HEARTBEAT]
        if said not in known:
            raise read.spec.error(f"annotation tocsin/kind: {said!r}; {nearest(said, known)}")
        return (said,)
    offered = [offer.kind for offer in CATALOG[resource.type].slis if offer.kind is not SliKind.HEARTBEAT]
    usual = [SliKind.AVAILABILITY] if isinstance(measure, Counted) else [SliKind.LATENCY]
    return tuple(dict.fromkeys(kind.value for kind in (*offered, *usual)))


def _limit(limit: Fraction, unit: str) -> timedelta | None:
    microseconds = limit * 1_000_000 / _PER_SECOND[unit]
    return timedelta(microseconds=int(microseconds)) if microseconds.denominator == 1 and microseconds > 0 else None


def _own(read: ReadSlo, measure: Measure, resource: Resource) -> OwnMeasure:
    """``counted`` or ``ranked`` of metrics that are not AWS's.  Raises LeftOutError."""
    said = read.indicator.optional_text("description") if read.indicator is not None else None
    share_of = (said or "").removeprefix(_SHARE_OF)
    first = _metrics(measure)[0]
    dimensions = _dimensions(first, resource)
    try:
        if isinstance(measure, Ranked):
            unit = read.notes.get("unit")
            if unit is None:
                raise LeftOutError(
                    f"the unit of {first.name} is not said; add the annotation tocsin/unit, such as Seconds"
                )
            return own_metrics.ranked(
                first.name, namespace=first.namespace, unit=unit, share_of=share_of, dimensions=dimensions
            )
        assert isinstance(measure, Counted)
        beside = measure.valid
        if (beside.namespace, beside.dimensions) != (first.namespace, first.dimensions):
            raise LeftOutError("its two metrics differ in namespace or dimensions")
        return own_metrics.counted(
            namespace=first.namespace,
            bad=first.name,
            good=None if measure.bad_in_valid else beside.name,
            valid=beside.name if measure.bad_in_valid else None,
            share_of=share_of,
            dimensions=dimensions,
        )
    except DeclarationError as error:
        raise LeftOutError(str(error)) from None


def _dimensions(metric: Metric, resource: Resource) -> dict[str, str | Resource] | None:
    """What ``dimensions=`` has to say; None where they are those of AWS's own metrics.  Raises LeftOutError."""
    usual = CATALOG[resource.type].own_dimension
    if usual is not None and metric.dimensions == ((usual, name_of(resource)),):
        return None
    found: dict[str, str | Resource] = {}
    others = {name_of(one): one for one in (*resource.surroundings.values(), resource)}
    for key, value in metric.dimensions:
        if value in others and _PLACEHOLDER.fullmatch(value):
            found[key] = others[value]
        elif "${" in value.replace("${!", ""):
            raise LeftOutError(f"dimension {key} of {metric.name} is {value}, which is no resource of the template")
        else:
            found[key] = value.replace("${!", "${")
    return found


def _open(measure: Measure) -> Measure:
    """A measure without what a document cannot say of it."""
    if isinstance(measure, Counted) and measure.bad_is_level:  # read by its maximum, whatever its statistic says
        return replace(measure, bad_statistic="Sum")
    return replace(measure, unit="", each_minute=False) if isinstance(measure, Ranked) else measure


def _written(
    slo: Slo,
    function: str,
    resource: Resource,
    own_arguments: Mapping[str, Any],
    common: Mapping[str, Any],
    own: OwnMeasure | None,
    variable: str,
) -> Promise:
    arguments: list[Code] = [f"{variable}[{quoted(resource.logical_id)}]"]
    if slo.name != f"{resource.logical_id}-{function}":
        arguments.append(f"name={quoted(slo.name)}")
    if "below" in own_arguments:
        arguments.append(f"below={quoted(_duration(own_arguments['below']))}")
    assert slo.objective is not None
    arguments.append(f"objective={quoted(f'{decimals(slo.objective * 100)}%')}")
    arguments.append(f"window={quoted(_duration(common['window']))}")
    uses = []
    if own is not None:
        arguments.append(_measure(own, variable))
        uses.append("ranked" if isinstance(own, own_metrics.OwnSamples) else "counted")
    usual = inspect.signature(getattr(declare, function)).parameters["minimum_bad_events"].default
    if slo.minimum_bad_events != usual:
        arguments.append(f"minimum_bad_events={slo.minimum_bad_events}")
    if slo.because:
        arguments.append(f"because={quoted(slo.because)}")
    return Promise(function, tuple(arguments), slo, tuple(uses))


def _measure(own: OwnMeasure, variable: str) -> Call:
    ranked = isinstance(own, own_metrics.OwnSamples)
    parts: list[Code] = [quoted(own.name)] if isinstance(own, own_metrics.OwnSamples) else []
    for key in ("namespace", "valid", "good", "bad", "unit", "share_of"):
        if value := getattr(own, key, None):
            parts.append(f"{key}={quoted(value)}")
    if own.dimensions is not None:
        pairs = (
            f"{quoted(key)}: {f'{variable}[{quoted(one.logical_id)}]' if isinstance(one, Resource) else quoted(one)}"
            for key, one in own.dimensions.items()
        )
        parts.append(Call("dimensions={", tuple(pairs), "}"))
    return Call(f"measure={'ranked' if ranked else 'counted'}(", tuple(parts))


def _duration(value: timedelta) -> str:
    """The shortest text that ``units.duration`` reads as the same."""
    microseconds = value // timedelta(microseconds=1)
    for unit, size in (("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000), ("s", 1_000_000)):
        if microseconds % size == 0:
            return f"{microseconds // size}{unit}"
    return f"{decimals(Fraction(microseconds, 1000))}ms"
