"""Metrics that a team publishes itself, as measures of a promise: counted, ranked, succeeded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction

from .alarm import Metric
from .catalog import CATALOG
from .catalog.entry import name_of
from .cloudformation.symbolic import escape
from .errors import DeclarationError, nearest
from .model import Counted, Measure, Ranked, Reported, Resource, SinceSuccess, Sli, SliKind
from .units import in_microseconds, in_milliseconds, in_seconds

#: Such metrics are best written as log lines, which CloudWatch turns into metrics.
SOURCE = "https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html"

# CloudWatch's names of the units of time, and a duration in each (API reference, MetricDatum).
_IN_UNIT = {"Seconds": in_seconds, "Milliseconds": in_milliseconds, "Microseconds": in_microseconds}

# CloudWatch API reference, PutMetricData: a namespace has up to 255 of these, and no colon first; AWS/ is AWS's own.
_NAMESPACE = re.compile(r"(?!:)[A-Za-z0-9 ._/#:-]{1,255}")
# ASCII without control characters; "${" would be taken for a placeholder of the alarm template.
_NAME = re.compile(r"(?!:)(?!\s*$)(?!.*\$\{)[ -~]{1,255}")
_MOST_DIMENSIONS = 30

Dimensions = Mapping[str, "str | Resource"]


@dataclass(frozen=True, slots=True)
class _Own:
    """What every own measure says: whose metrics they are, and what a reader is told that they count."""

    namespace: str
    dimensions: Dimensions | None
    share_of: str

    def metric(self, name: str, resource: Resource) -> Metric:
        """The metric of that name that ``resource`` reports.  Raises DeclarationError."""
        chosen = _own_dimension(resource) if self.dimensions is None else self.dimensions
        return Metric(
            self.namespace,
            name,
            tuple(
                (key, name_of(value) if isinstance(value, Resource) else escape(value)) for key, value in chosen.items()
            ),
        )


@dataclass(frozen=True, slots=True)
class OwnCounts(_Own):
    """Two counters: bad events, and good ones or all of them."""

    bad: str
    good: str | None
    valid: str | None

    def sli(self, kind: SliKind, resource: Resource) -> Sli:
        """The share of events that are not bad."""
        beside = self.good or self.valid or ""
        measure = Counted(
            self.metric(self.bad, resource), self.metric(beside, resource), bad_in_valid=self.good is None
        )
        says = f"events counted as {self.good}, not {self.bad}" if self.good else f"{self.valid} that are no {self.bad}"
        return _sli(kind, resource, measure, self.share_of or says)


@dataclass(frozen=True, slots=True)
class OwnSamples(_Own):
    """One sample an event: how long it took, or how old it was."""

    name: str
    unit: str

    def sli(self, kind: SliKind, resource: Resource, limit: timedelta) -> Sli:
        """The share of samples at or below ``limit``."""
        measure = Ranked(self.metric(self.name, resource), self.limit(limit), self.unit)
        return _sli(kind, resource, measure, self.share_of or f"events whose {self.name} is low enough")

    def limit(self, limit: timedelta) -> Fraction:
        """``limit`` in the metric's unit."""
        return _IN_UNIT[self.unit](limit)


@dataclass(frozen=True, slots=True)
class OwnSuccesses(_Own):
    """A counter of successes, perhaps reported by several resources."""

    name: str
    reported_by: tuple[Resource, ...]

    def sli(self, kind: SliKind, resource: Resource, within: timedelta) -> Sli:
        """Time since the last success."""
        first, *others = dict.fromkeys(self.metric(self.name, one) for one in self.reported_by or (resource,))
        measure = SinceSuccess(first, None, within, tuple(others))
        return _sli(kind, resource, measure, self.share_of or f"runs that report {self.name}")


OwnMeasure = OwnCounts | OwnSamples | OwnSuccesses

# Which own measure each promise takes, and how it is written.
_TAKES: Mapping[SliKind, tuple[type[OwnMeasure], ...]] = {
    SliKind.AVAILABILITY: (OwnCounts,),
    SliKind.COMPLETENESS: (OwnCounts,),
    SliKind.LATENCY: (OwnSamples,),
    SliKind.FRESHNESS: (OwnSamples, OwnCounts, OwnSuccesses),
    SliKind.HEARTBEAT: (OwnSuccesses,),
}
_SPELLING = {OwnCounts: "counted(…)", OwnSamples: "ranked(…)", OwnSuccesses: "succeeded(…)"}


def counted(
    *,
    namespace: str,
    bad: str | None = None,
    good: str | None = None,
    valid: str | None = None,
    share_of: str = "",
    dimensions: Dimensions | None = None,
) -> OwnCounts:
    """Events that your own metrics count: ``bad`` ones beside the ``good`` ones, or beside all the ``valid`` ones.

    ``bad``, ``good`` and ``valid`` are metric names in ``namespace``; their Sum counts.  ``share_of`` completes "the
    share of …" in documents: "files that are loaded".  The metrics carry the dimension that AWS's own metrics of the
    resource carry (a function's FunctionName); ``dimensions`` names others, a Resource standing for its physical name.
    Raises DeclarationError.
    """
    names = {"bad": bad, "good": good, "valid": valid}
    given = [f"{key}={name!r}" for key, name in names.items() if name is not None]
    what = f"counted({', '.join(given)})"
    if bad is None and good is None:
        raise DeclarationError(f'{what}: say which metric counts bad events, bad="…", and which good ones, good="…"')
    if bad is None:
        beside = "all events" if good is None else "those that are not good"
        raise DeclarationError(f'{what}: say which metric counts bad events, bad="…"; {beside} alone tell no failure')
    if (good is None) == (valid is None):
        too_few = 'say beside what: good="…" where a metric counts the good events, valid="…" where one counts all'
        raise DeclarationError(f"{what}: {too_few if good is None else 'good= or valid=, not both'}")
    if bad in (good, valid):
        raise DeclarationError(f"{what}: {bad} cannot count both")
    _refuse(what, namespace, (bad, good or valid or ""), dimensions)
    return OwnCounts(namespace, dimensions, share_of, bad, good, valid)


def ranked(
    metric: str,
    *,
    namespace: str,
    unit: str,
    share_of: str = "",
    dimensions: Dimensions | None = None,
) -> OwnSamples:
    """Events whose time your own ``metric`` reports, one sample an event; ``below`` of the promise is held against it.

    ``unit`` is the metric's: "Seconds", "Milliseconds" or "Microseconds".  ``share_of`` and ``dimensions`` as for
    ``counted``.  Raises DeclarationError.
    """
    what = f"ranked({metric!r})"
    if unit not in _IN_UNIT:
        raise DeclarationError(f"{what}: unit {unit!r} is no time of CloudWatch's; {nearest(unit, _IN_UNIT)}")
    _refuse(what, namespace, (metric,), dimensions)
    return OwnSamples(namespace, dimensions, share_of, metric, unit)


def succeeded(
    metric: str,
    *,
    namespace: str,
    reported_by: Iterable[Resource] = (),
    share_of: str = "",
    dimensions: Dimensions | None = None,
) -> OwnSuccesses:
    """Successes that your own ``metric`` counts: 1 or more when a run is done, 0 or nothing when it is not.

    ``reported_by`` are the resources that may report it, where that is not the promise's resource alone.
    ``share_of`` and ``dimensions`` as for ``counted``.  Raises DeclarationError.
    """
    what = f"succeeded({metric!r})"
    reporters = tuple(reported_by)
    if reporters and dimensions is not None:
        raise DeclarationError(f"{what}: reported_by= or dimensions=, not both: each reporter has its own dimension")
    _refuse(what, namespace, (metric,), dimensions)
    return OwnSuccesses(namespace, dimensions, share_of, metric, reporters)


def report(
    resource: Resource,
    *metrics: str,
    namespace: str,
    unit: str = "Count",
    dimensions: Dimensions | None = None,
) -> Reported:
    """Metrics of your own that the dashboard shows with ``resource`` and that promise nothing.

    ``unit`` is theirs: "Count", or one of time as for ``ranked``.  ``dimensions`` as for ``counted``.
    Raises DeclarationError.
    """
    what = f"report of {resource.logical_id}"
    if not metrics:
        raise DeclarationError(f"{what}: name at least one metric")
    if unit != "Count" and unit not in _IN_UNIT:
        raise DeclarationError(f"{what}: unit {unit!r}; {nearest(unit, ('Count', *_IN_UNIT))}")
    _refuse(what, namespace, metrics, dimensions)
    own = _Own(namespace, dimensions, "")
    return Reported(resource, tuple(own.metric(name, resource) for name in metrics), unit)


def require(kind: SliKind, resource: Resource, measure: object) -> OwnMeasure:
    """``measure`` if a promise of that kind takes it.  Raises DeclarationError."""
    what = f"{kind.value} of {resource.logical_id}"
    takes = " or ".join(_SPELLING[one] for one in _TAKES[kind])
    if not isinstance(measure, OwnCounts | OwnSamples | OwnSuccesses):
        raise DeclarationError(f"{what}: measure= takes {takes}, got {measure!r}")
    if not isinstance(measure, _TAKES[kind]):
        raise DeclarationError(f"{what}: measure= takes {takes}, not {_SPELLING[type(measure)]}")
    return measure


def _sli(kind: SliKind, resource: Resource, measure: Measure, good: str) -> Sli:
    return Sli(kind, resource, measure, good, SOURCE, own=True)


def _own_dimension(resource: Resource) -> Dimensions:
    entry = CATALOG[resource.type]
    if entry.own_dimension is None:
        raise DeclarationError(
            f"{resource.logical_id} ({entry.title}) has no dimension that its own metrics would carry; put the promise "
            'on the function that reports them, or say which they carry: dimensions={"Service": "…"}'
        )
    return {entry.own_dimension: resource}


def _refuse(what: str, namespace: str, names: Iterable[str], dimensions: Dimensions | None) -> None:
    """Names that CloudWatch would not take.  Raises DeclarationError."""
    if not isinstance(namespace, str) or not _NAMESPACE.fullmatch(namespace):
        raise DeclarationError(
            f"{what}: namespace {namespace!r}: use at most 255 letters, digits, spaces and . _ / # : -, no colon first"
        )
    if namespace.startswith("AWS/"):
        raise DeclarationError(f"{what}: {namespace} is AWS's own; leave measure= out, or say which namespace is yours")
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise DeclarationError(f"{what}: {name!r} is no name of a metric: 1 to 255 printable ASCII characters")
    if dimensions is None:
        return
    if len(dimensions) > _MOST_DIMENSIONS:
        raise DeclarationError(f"{what}: {len(dimensions)} dimensions; CloudWatch takes {_MOST_DIMENSIONS}")
    for key, value in dimensions.items():
        if not _NAME.fullmatch(key) or not (isinstance(value, Resource) or (isinstance(value, str) and value.strip())):
            raise DeclarationError(f"{what}: dimension {key!r}: {value!r}: a name, and text or a resource as its value")
