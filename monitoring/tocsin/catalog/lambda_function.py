"""AWS::Lambda::Function: invocations that fail, are throttled, run close to the timeout, or never happen."""

from __future__ import annotations

from datetime import timedelta

from ..alarm import Comparison
from ..errors import DeclarationError
from ..model import Counted, Ranked, Resource, SinceSuccess, SliKind
from ..units import format_duration, in_milliseconds
from .entry import (
    AlarmKind,
    Condition,
    Inapplicable,
    Meaning,
    NameSource,
    Nature,
    Panel,
    Proposal,
    Publication,
    PublishedMetric,
    ResourceType,
    Series,
    SliOffer,
)
from .expressions import above, compare, number, percent_of, share
from .invokers import (
    expected_interval,
    invokers,
    is_asynchronous,
    is_invoked_by_rest_api,
    is_request_driven,
)
from .lambda_asynchronous import (
    ASYNCHRONOUS_KINDS,
    ASYNCHRONOUS_METRICS,
    DIMENSIONS,
    METRICS_PAGE,
    NAMESPACE,
    function_metric,
)
from .lambda_timeout import IN_WORDS, PERIOD_S, reported_late, timeout_of
from .stream_sources import STREAMS, source_of

RECOMMENDED = (
    "https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Best_Practice_Recommended_Alarms_AWS_Services.html"
)
TIMEOUT_PAGE = "https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html"

#: API Gateway gives up on an integration after this long (API Gateway guide, "Quotas for configuring and running a REST API").
REST_API_TIMEOUT_S = 29


def _errors(function: Resource) -> tuple[Condition, ...]:
    late, why = reported_late(function)
    queries = share(function_metric(function, "Errors"), function_metric(function, "Invocations"), period=300)
    if is_request_driven(function):
        because = (
            f"more than 5 % of invocations fail in two of {IN_WORDS[3 + late]} five-minute periods; a single odd "
            f"failure is not news{why}"
        )
        return (compare(queries, Comparison.GREATER, 5, because, evaluation_periods=3 + late, datapoints_to_alarm=2),)
    because = (
        "more than 5 % of invocations fail within five minutes; for a function that runs seldom that is any failure"
        f"{why}"
    )
    return (compare(queries, Comparison.GREATER, 5, because, evaluation_periods=1 + late, datapoints_to_alarm=1),)


def _throttles(function: Resource) -> tuple[Condition, ...] | Inapplicable:
    if number(function, "ReservedConcurrentExecutions") == 0:
        return Inapplicable("its reserved concurrency is 0: the function is switched off on purpose")
    if (
        function.properties.get("ReservedConcurrentExecutions") is not None
        and is_asynchronous(function)
        and not is_request_driven(function)
        and expected_interval(function) is None
    ):
        return Inapplicable(
            "its reserved concurrency holds a burst of events back by throttling, and they are tried again: "
            "how long they wait is watched instead"
        )
    queries = share(
        function_metric(function, "Throttles"), function_metric(function, "Invocations"), period=300, bad_in_valid=False
    )
    if is_request_driven(function):
        because = "more than 1 % of calls are turned away in two of three five-minute periods"
        return (compare(queries, Comparison.GREATER, 1, because, evaluation_periods=3, datapoints_to_alarm=2),)
    because = "more than 1 % of calls are turned away within five minutes; for a function that runs seldom that is any throttle"
    return (compare(queries, Comparison.GREATER, 1, because),)


def _duration(function: Resource) -> tuple[Condition, ...] | Inapplicable:
    timeout = timeout_of(function)
    if timeout is None:
        return Inapplicable("its timeout is only known when it is deployed; give it with --param")
    what = "the timeout"
    if is_invoked_by_rest_api(function) and timeout > REST_API_TIMEOUT_S:
        timeout, what = REST_API_TIMEOUT_S, "the time API Gateway waits"
    because = percent_of(80, timeout, "s", what)
    threshold = timeout * 1000 * 0.8
    late, why = reported_late(function)
    if is_request_driven(function):
        return (
            above(
                function_metric(function, "Duration"),
                "p99",
                threshold,
                f"{because}, at the 99th percentile for 15 minutes{why}",
                period=PERIOD_S,
                evaluation_periods=3 + late,
                datapoints_to_alarm=3,
            ),
        )
    return (
        above(
            function_metric(function, "Duration"),
            "Maximum",
            threshold,
            f"{because}, by any single run{why}",
            period=PERIOD_S,
            evaluation_periods=1 + late,
            datapoints_to_alarm=1,
        ),
    )


def _concurrency(function: Resource) -> tuple[Condition, ...] | Inapplicable:
    reserved = function.properties.get("ReservedConcurrentExecutions")
    if reserved is None:
        return Inapplicable("it reserves no concurrency; the account's limit belongs to no single template")
    limit = number(function, "ReservedConcurrentExecutions")
    if limit is None:
        return Inapplicable("its reserved concurrency is only known when it is deployed; give it with --param")
    if limit < 2:
        return Inapplicable(f"it reserves a concurrency of {limit:g}: full use is its normal state")
    because = percent_of(90, limit, "executions", "the reserved concurrency") + ", for 10 minutes"
    return (
        above(
            function_metric(function, "ConcurrentExecutions"), "Maximum", limit * 0.9, because, evaluation_periods=10
        ),
    )


def _may_read_a_stream(function: Resource) -> bool:
    """Whether an iterator age may be published for it; no, where all that it reads from are known to be no streams."""
    sources = [source_of(one) for one in invokers(function) if one.type == "AWS::Lambda::EventSourceMapping"]
    return not sources or any(source is None or source in STREAMS for source in sources)


def _since_success(function: Resource, limit: timedelta | None) -> SinceSuccess:
    if limit is None:
        interval = expected_interval(function)
        if interval is None:
            raise DeclarationError(
                f"{function.logical_id}: no schedule in the template tells how often it runs; say so with every=…"
            )
        limit = interval
    return SinceSuccess(function_metric(function, "Invocations"), function_metric(function, "Errors"), limit)


def _latency(function: Resource, limit: timedelta | None) -> Ranked:
    if limit is None:
        raise DeclarationError(f'{function.logical_id}: a latency SLO needs a limit, such as below="800ms"')
    timeout = timeout_of(function)
    if timeout is not None and limit >= timedelta(seconds=timeout):
        raise DeclarationError(
            f"{function.logical_id}: no run can take longer than its timeout of {timeout:g} s, "
            f"so below={format_duration(limit)!r} is always met; choose less"
        )
    return Ranked(function_metric(function, "Duration"), in_milliseconds(limit))


def _panels(function: Resource) -> tuple[Panel, ...]:
    return (
        Panel(
            title="Are invocations failing?",
            description="Invocations beside errors and throttles. Errors and throttles are normally 0; read the log of the failing runs first.",
            unit="short",
            series=(
                Series(function_metric(function, "Invocations"), "Sum", "invocations"),
                Series(function_metric(function, "Errors"), "Sum", "errors", Meaning.FAILED),
                Series(function_metric(function, "Throttles"), "Sum", "throttles", Meaning.THROTTLED),
            ),
            no_value="did not run in this time",
        ),
        Panel(
            title="How close to the timeout does it run?",
            description="Duration of a run. The line is the alarm threshold; a rise without more work points at a dependency.",
            unit="ms",
            series=(
                Series(function_metric(function, "Duration"), "p50", "median"),
                Series(function_metric(function, "Duration"), "p99", "99th percentile"),
                Series(function_metric(function, "Duration"), "Maximum", "longest"),
            ),
            alarm_kinds=("lambda-function-duration",),
            no_value="did not run in this time",
        ),
        Panel(
            title="How many run at once?",
            description="Concurrent executions. The line, if any, is 90 % of the reserved concurrency.",
            unit="short",
            series=(Series(function_metric(function, "ConcurrentExecutions"), "Maximum", "concurrent"),),
            alarm_kinds=("lambda-function-concurrency",),
            no_value="did not run in this time",
        ),
    )


def _longest_run(function: Resource) -> float | None:
    timeout = timeout_of(function)
    return None if timeout is None else timeout * 1000


def _most_at_once(function: Resource) -> float | None:
    return number(function, "ReservedConcurrentExecutions")


TYPES = (
    ResourceType(
        type="AWS::Lambda::Function",
        aliases=("AWS::Serverless::Function",),
        slug="lambda-function",
        title="Lambda function",
        name_property="FunctionName",
        name_source=NameSource.PHYSICAL_ID,
        own_dimension="FunctionName",
        metrics=(
            PublishedMetric(NAMESPACE, "Invocations", "Count", Nature.COUNTER, DIMENSIONS),
            PublishedMetric(NAMESPACE, "Errors", "Count", Nature.COUNTER, DIMENSIONS),
            PublishedMetric(NAMESPACE, "Throttles", "Count", Nature.COUNTER, DIMENSIONS),
            PublishedMetric(NAMESPACE, "Duration", "Milliseconds", Nature.DURATION, DIMENSIONS, highest=_longest_run),
            PublishedMetric(
                NAMESPACE, "ConcurrentExecutions", "Count", Nature.GAUGE, DIMENSIONS, highest=_most_at_once
            ),
            *ASYNCHRONOUS_METRICS,
            PublishedMetric(
                NAMESPACE,
                "IteratorAge",
                "Milliseconds",
                Nature.DURATION,
                (("FunctionName",), ("FunctionName", "Resource")),
                Publication.OPT_IN,
                opted_in=_may_read_a_stream,
            ),
        ),
        alarm_kinds=(
            AlarmKind(
                id="lambda-function-errors",
                symptom="invocations fail",
                because="A failed run is work not done: a job missed, a message back in its queue, a request answered with an error.",
                source=METRICS_PAGE,
                conditions=_errors,
            ),
            AlarmKind(
                id="lambda-function-throttles",
                symptom="invocations are throttled",
                because="A throttled call is neither an invocation nor an error, so no other alarm sees it.",
                source=METRICS_PAGE,
                conditions=_throttles,
            ),
            AlarmKind(
                id="lambda-function-duration",
                symptom="runs come close to the timeout",
                because="A run that reaches the timeout is cut off half done and counts as an error; 80 % leaves time to act.",
                source=TIMEOUT_PAGE,
                conditions=_duration,
            ),
            AlarmKind(
                id="lambda-function-concurrency",
                symptom="the reserved concurrency is nearly used up",
                because="At the reserved concurrency every further call is throttled; AWS advises an alarm at about 90 %.",
                source=RECOMMENDED,
                conditions=_concurrency,
            ),
            *ASYNCHRONOUS_KINDS,
        ),
        slis=(
            SliOffer(
                kind=SliKind.AVAILABILITY,
                proposed=Proposal.WITHOUT_FRONT,
                good="invocations that end without an error",
                source=METRICS_PAGE,
                measure=lambda function, limit: Counted(
                    function_metric(function, "Errors"), function_metric(function, "Invocations")
                ),
            ),
            SliOffer(
                kind=SliKind.LATENCY,
                good="invocations that end in time",
                source=METRICS_PAGE,
                measure=_latency,
                needs_limit=True,
                objective="99%",
                limit="1s",
            ),
            SliOffer(
                kind=SliKind.FRESHNESS,
                good="time with a recent successful run",
                source=METRICS_PAGE,
                measure=_since_success,
                needs_limit=True,
                limit="1h",
            ),
            SliOffer(
                kind=SliKind.HEARTBEAT,
                proposed=Proposal.ALWAYS,
                good="scheduled runs that succeed",
                source=METRICS_PAGE,
                measure=_since_success,
                applies=lambda function: (
                    None
                    if expected_interval(function)
                    else "no schedule in the template invokes it, or others do too, so nobody knows when it should run; say every=…"
                ),
            ),
        ),
        panels=_panels,
        expected_interval=expected_interval,
        not_alarmed={
            "ClaimedAccountConcurrency": "belongs to the account, not to a resource of any template; alarm on it once per account",
            "IteratorAge": "belongs to the event source mapping, and only stream sources publish it",
            "ProvisionedConcurrencySpilloverInvocations": "published for an alias or version only; a spill runs as an ordinary invocation",
            "Invocations": "too few invocations is a promise (a heartbeat SLO), not a cause",
            "memory_utilization": "published by Lambda Insights only, a paid opt-in layer",
        },
    ),
)
