"""What a REST API and an HTTP API have in common: their alarm kinds, SLIs and panels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from ..alarm import Comparison, Metric, MetricQuery, MetricStat
from ..errors import DeclarationError
from ..model import Counted, Ranked, Resource, SliKind
from ..units import format_duration, in_milliseconds
from .api_integrations import longest_wait
from .entry import (
    AlarmKind,
    Condition,
    Inapplicable,
    Meaning,
    Nature,
    Panel,
    Publication,
    PublishedMetric,
    Series,
    SliOffer,
)
from .expressions import above, compare, percent_of

NAMESPACE = "AWS/ApiGateway"
RECOMMENDED = (
    "https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Best_Practice_Recommended_Alarms_AWS_Services.html"
)
PERIOD = 300
#: Fewer refused requests than this in five minutes are one client's or a scanner's.
FEWEST_REFUSED = 20


@dataclass(frozen=True, slots=True)
class Family:
    """Where REST and HTTP APIs differ.

    ``metric`` names a metric of one API or stage, ``api`` finds the API that a resource is or belongs to,
    ``refused`` says why a resource is not alarmed itself.  ``longest`` is the longest integration in seconds.
    """

    slug: str
    client_errors: str
    server_errors: str
    longest: float
    metrics_page: str
    quotas_page: str
    metric: Callable[[Resource, str], Metric]
    api: Callable[[Resource], Resource | None]
    refused: Callable[[Resource], Inapplicable | None]


def alarm_kinds(family: Family) -> tuple[AlarmKind, ...]:
    """The alarm kinds of an API, or of one stage of it."""

    def unless_refused(
        conditions: Callable[[Resource], tuple[Condition, ...] | Inapplicable],
    ) -> Callable[[Resource], tuple[Condition, ...] | Inapplicable]:
        return lambda resource: family.refused(resource) or conditions(resource)

    def server_errors(resource: Resource) -> tuple[Condition, ...]:
        # The average of this 0-or-1 metric is the rate: one metric, half the price of a ratio.  FILL gives a quiet
        # period a value, so that CloudWatch does not judge an old burst again.
        queries = (
            MetricQuery(id="share", expression="100 * FILL(rate, 0)", label=f"{family.server_errors} in percent"),
            MetricQuery(
                id="rate",
                stat=MetricStat(family.metric(resource, family.server_errors), "Average", PERIOD),
                return_data=False,
            ),
        )
        because = "more than 5 % of requests end in a server error in two of three five-minute periods"
        return (compare(queries, Comparison.GREATER, 5, because, evaluation_periods=3, datapoints_to_alarm=2),)

    def client_errors(resource: Resource) -> tuple[Condition, ...]:
        bad, valid = family.metric(resource, family.client_errors), family.metric(resource, "Count")
        queries = (
            MetricQuery(
                id="share",
                expression=f"IF(FILL(bad, 0) >= {FEWEST_REFUSED}, 100 * FILL(bad, 0) / FILL(valid, 0), 0)",
                label=f"{family.client_errors} in percent",
            ),
            MetricQuery(id="bad", stat=MetricStat(bad, "Sum", PERIOD), return_data=False),
            MetricQuery(id="valid", stat=MetricStat(valid, "SampleCount", PERIOD), return_data=False),
        )
        because = (
            f"more than 25 % of requests, and at least {FEWEST_REFUSED}, are refused as the client's fault in two of three "
            "five-minute periods; below that it is the odd client or scanner"
        )
        return (compare(queries, Comparison.GREATER, 25, because, evaluation_periods=3, datapoints_to_alarm=2),)

    def latency(resource: Resource) -> tuple[Condition, ...] | Inapplicable:
        wait = longest_wait(family.api(resource) or resource, family.longest)
        if isinstance(wait, Inapplicable):
            return wait
        seconds, what = wait
        because = percent_of(80, seconds, "s", what) + ", at the 99th percentile for 15 minutes"
        metric = family.metric(resource, "Latency")
        return (above(metric, "p99", seconds * 1000 * 0.8, because, period=PERIOD, evaluation_periods=3),)

    return (
        AlarmKind(
            id=f"{family.slug}-server-errors",
            symptom="requests end in a server error",
            because="A server error is a request that the API or what stands behind it failed to answer.",
            source=RECOMMENDED,
            conditions=unless_refused(server_errors),
        ),
        AlarmKind(
            id=f"{family.slug}-client-errors",
            symptom="many requests are refused",
            because="When a large share of requests is refused, a route, key, authoriser or throttle limit has usually changed.",
            source=RECOMMENDED,
            conditions=unless_refused(client_errors),
        ),
        AlarmKind(
            id=f"{family.slug}-latency",
            symptom="requests come close to the time-out",
            because="A request that reaches the time-out is answered with a server error, whatever the work behind it does.",
            source=family.quotas_page,
            conditions=unless_refused(latency),
        ),
    )


def slis(family: Family, applies: Callable[[Resource], str | None]) -> tuple[SliOffer, ...]:
    """Availability and latency as the API's callers see them."""

    def availability(resource: Resource) -> Counted:
        # AWS documents SampleCount as the statistic that is the number of requests.
        return Counted(
            family.metric(resource, family.server_errors),
            family.metric(resource, "Count"),
            valid_statistic="SampleCount",
        )

    def latency(resource: Resource, limit: timedelta | None) -> Ranked:
        if limit is None:
            raise DeclarationError(f'{resource.logical_id}: a latency SLO needs a limit, such as below="800ms"')
        wait = longest_wait(family.api(resource) or resource, family.longest)
        if not isinstance(wait, Inapplicable) and limit >= timedelta(seconds=wait[0]):
            raise DeclarationError(
                f"{resource.logical_id}: no request takes longer than {wait[1]} ({wait[0]:g} s), "
                f"so below={format_duration(limit)!r} is always met; choose less"
            )
        return Ranked(family.metric(resource, "Latency"), in_milliseconds(limit))

    return (
        SliOffer(
            kind=SliKind.AVAILABILITY,
            good="requests answered without a server error",
            source=family.metrics_page,
            measure=lambda resource, limit: availability(resource),
            applies=applies,
        ),
        SliOffer(
            kind=SliKind.LATENCY,
            good="requests answered in time",
            source=family.metrics_page,
            measure=latency,
            needs_limit=True,
            objective="99%",
            limit="1s",
            applies=applies,
        ),
    )


def panels(family: Family, resource: Resource) -> tuple[Panel, ...]:
    """Traffic and errors; time, and whose it is.  Nothing where the resource is not alarmed itself."""
    if family.refused(resource):
        return ()
    metric = family.metric
    return (
        Panel(
            title="Are requests answered?",
            description="Requests beside errors. Server errors are normally 0; read the log of what stands behind the API first.",
            unit="short",
            series=(
                Series(metric(resource, "Count"), "SampleCount", "requests"),
                Series(metric(resource, family.server_errors), "Sum", "server errors (5xx)", Meaning.FAILED),
                Series(metric(resource, family.client_errors), "Sum", "client errors (4xx)", Meaning.REFUSED),
            ),
            no_value="no traffic in this time",
        ),
        Panel(
            title="How long do requests take?",
            description="Latency is what callers see; integration latency is the part behind the API. The alarm threshold is a line far above.",
            unit="ms",
            series=(
                Series(metric(resource, "Latency"), "p50", "median"),
                Series(metric(resource, "Latency"), "p99", "99th percentile"),
                Series(metric(resource, "IntegrationLatency"), "p99", "99th percentile behind the API"),
            ),
            alarm_kinds=(f"{family.slug}-latency",),
            no_value="no traffic in this time",
            stretched=False,  # 80 % of the time-out, half a minute, above milliseconds
        ),
    )


def published(family: Family, dimension_sets: tuple[tuple[str, ...], ...]) -> tuple[PublishedMetric, ...]:
    """The metrics of an API; all have datapoints only while requests come in."""
    units = (
        (family.server_errors, "Count", Nature.RATIO),
        (family.client_errors, "Count", Nature.RATIO),
        ("Count", "Count", Nature.COUNTER),
        ("Latency", "Milliseconds", Nature.DURATION),
        ("IntegrationLatency", "Milliseconds", Nature.DURATION),
    )
    return tuple(
        PublishedMetric(NAMESPACE, name, unit, nature, dimension_sets, Publication.WHEN_ACTIVE)
        for name, unit, nature in units
    )


NOT_ALARMED = {
    "Count": "too few requests is a promise about traffic nobody made; an SLO says nothing when nobody asks, and no more should an alarm",
    "IntegrationLatency": "is part of Latency, which is alarmed; the panel shows both, so one sees whose time it is",
}
