"""The types of a catalog entry: what a resource type publishes, alarms on, promises and shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from ..alarm import Comparison, Metric, MetricQuery, TreatMissingData
from ..model import Measure, Resource, Severity, SliKind


class NameSource(StrEnum):
    """How the value of a name parameter follows from the deployed resource."""

    PHYSICAL_ID = "PhysicalId"
    LAST_PATH_SEGMENT = "LastPathSegment"  # a queue's physical id is its URL
    LAST_ARN_SEGMENT = "LastArnSegment"  # a topic's physical id is its ARN
    AFTER_BAR = "AfterBar"  # a rule on its own bus is "bus|rule"
    REST_API_NAME = "RestApiName"  # metrics carry the API's name, its physical id is another


class Nature(StrEnum):
    """What a datapoint of a metric is; decides which statistics make sense."""

    COUNTER = "counter"  # events in the period: Sum
    GAUGE = "gauge"  # a level that is sampled: Average, Maximum, Minimum, percentiles; never Sum
    DURATION = "duration"  # one sample an event: percentiles, Average, Maximum; never Sum
    RATIO = "ratio"  # 0 or 1 an event: Average is the ratio, Sum the count


class Publication(StrEnum):
    """When a metric has datapoints."""

    ALWAYS = "always"
    WHEN_ACTIVE = "when active"
    ONLY_NON_ZERO = "only when not zero"
    OPT_IN = "opt-in"


@dataclass(frozen=True, slots=True)
class PublishedMetric:
    """A metric as its service publishes it.

    ``unit`` is CloudWatch's unit name.  ``dimension_sets``: the exact sets of dimension names it exists under.
    ``resolution`` is in seconds.  ``opted_in`` tells, for OPT_IN metrics, whether a resource switches it on.
    ``highest`` is the most a datapoint can be on a resource, in the metric's unit; None where nothing limits it;
    ``lowest`` the least on any resource.
    """

    namespace: str
    name: str
    unit: str
    nature: Nature
    dimension_sets: tuple[tuple[str, ...], ...]
    publication: Publication = Publication.ALWAYS
    resolution: int = 60
    opted_in: Callable[[Resource], bool] | None = None
    highest: Callable[[Resource], float | None] | None = None
    lowest: float = 0
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """What one alarm compares: the data half of an Alarm, with the reason for its number.

    ``because`` names the figures of this resource ("80 % of the timeout of 30 s").  ``suffix`` (CamelCase)
    tells several alarms of one kind on one resource apart, such as the name of an index.  ``subject`` takes the
    resource's place in names where the alarm is about something else that outlives it, such as a schedule group.
    """

    queries: tuple[MetricQuery, ...]
    comparison: Comparison
    threshold: float
    evaluation_periods: int
    datapoints_to_alarm: int
    treat_missing_data: TreatMissingData
    because: str
    suffix: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Inapplicable:
    """Why an alarm kind makes no sense on this resource: said in the documents, never silently left out."""

    reason: str


@dataclass(frozen=True, slots=True)
class AlarmKind:
    """One thing that can go wrong with a resource type.  ``id`` is ``<resource-type>-<symptom>``, also the runbook's name.

    ``symptom`` completes "<resource>: …" in titles.  ``because`` says why it is worth a ticket, ``source`` is the
    page the rule or number comes from.  Severity is TICKET unless the kind itself is an exception with a reason.
    """

    id: str
    symptom: str
    because: str
    source: str
    conditions: Callable[[Resource], tuple[Condition, ...] | Inapplicable]
    severity: Severity = Severity.TICKET


class Proposal(StrEnum):
    """When ``tocsin init`` proposes an SLI, apart from those of a type that users meet themselves."""

    NEVER = "never"
    ALWAYS = "always"
    WITHOUT_FRONT = "without a front"  # where users meet nothing in the template, and nothing else is proposed here


@dataclass(frozen=True, slots=True)
class SliOffer:
    """An SLI that a resource type can be held to.

    ``measure`` gets the resource and the limit (``below``; None unless ``needs_limit``).  ``objective`` and
    ``limit`` are what ``tocsin init`` proposes.  ``applies`` returns a reason where this resource has no such SLI.
    """

    kind: SliKind
    good: str
    source: str
    measure: Callable[[Resource, timedelta | None], Measure]
    needs_limit: bool = False
    objective: str = "99.9%"
    limit: str | None = None
    applies: Callable[[Resource], str | None] = lambda resource: None
    proposed: Proposal = Proposal.NEVER


class Meaning(StrEnum):
    """What a line counts, where its colour is to say so: the same colour for the same meaning on every graph."""

    FAILED = "failed"
    THROTTLED = "throttled"
    REFUSED = "refused"  # the caller's fault


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a panel.  ``label`` is what the legend shows."""

    metric: Metric
    statistic: str
    label: str
    meaning: Meaning | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph: ``title`` asks one question; ``description`` says what is normal and what to do.

    ``unit`` is Grafana's unit id (``ms``, ``s``, ``short``, ``percent``, ``percentunit``, ``bytes`` …).  Threshold
    lines come from the planned alarms of ``alarm_kinds`` on the resource; ``stretched``: the axis reaches up to
    them, which is wrong where the normal level is so far below that it would lie flat on the ground.

    ``key`` makes the panel's id, so a title may change without breaking links to it; empty stands for the title.
    ``no_value`` is what an empty graph says: often that is good news.  ``time_from``: the time it always shows, for
    metrics that are published too seldom for the dashboard's own range; ``period``: their datapoints.
    """

    title: str
    description: str
    unit: str
    series: tuple[Series, ...]
    alarm_kinds: tuple[str, ...] = ()
    key: str = ""
    no_value: str = "nothing reported in this time"
    time_from: timedelta | None = None
    period: timedelta | None = None
    stretched: bool = True


@dataclass(frozen=True, slots=True)
class ResourceType:
    """All that Tocsin knows of one CloudFormation type.

    ``slug`` begins every alarm kind's id.  ``name_property`` is the property that holds the physical name.
    ``not_alarmed``: AWS's recommended alarms and peers' alarms that are left out, metric name → reason.
    ``unwatched`` returns a reason where this particular resource is not watched.  ``expected_interval``: the longest
    regular gap between two invocations, as far as the template tells (a daily schedule: one day).  ``user_facing``:
    users meet it themselves, so all its SLIs are worth a promise.  ``own_dimension``: the one dimension that metrics of
    its own, published by its code, are expected to carry; its value is the physical name.
    """

    type: str
    slug: str
    title: str
    name_property: str | None
    name_source: NameSource
    metrics: tuple[PublishedMetric, ...]
    alarm_kinds: tuple[AlarmKind, ...]
    slis: tuple[SliOffer, ...] = ()
    panels: Callable[[Resource], tuple[Panel, ...]] = lambda resource: ()
    not_alarmed: Mapping[str, str] = field(default_factory=dict)
    unwatched: Callable[[Resource], str | None] = lambda resource: None
    expected_interval: Callable[[Resource], timedelta | None] = lambda resource: None
    aliases: tuple[str, ...] = ()
    user_facing: bool = False
    own_dimension: str | None = None


def name_of(resource: Resource) -> str:
    """The physical name of a resource as the alarm template writes it: a parameter filled in at deploy time."""
    return f"${{{parameter_name(resource.logical_id)}}}"


def parameter_name(logical_id: str) -> str:
    """The parameter of the alarm template that holds the physical name of a watched resource."""
    return f"{logical_id}Name"
