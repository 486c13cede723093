"""AWS::DynamoDB::Table: requests that are throttled or fail inside DynamoDB, and capacity that is nearly used up."""

from __future__ import annotations

from collections.abc import Callable

from ..alarm import Comparison, Metric, MetricQuery, MetricStat
from ..model import Resource
from ..units import format_number
from .dynamodb_operations import operations
from .dynamodb_parts import NAMESPACE, limit_of, parts_of
from .entry import (
    AlarmKind,
    Condition,
    Inapplicable,
    NameSource,
    Nature,
    Panel,
    Publication,
    PublishedMetric,
    ResourceType,
    Series,
    name_of,
)
from .expressions import above, compare, percent_of, share

_GUIDE = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide"
METRICS_PAGE = f"{_GUIDE}/metrics-dimensions.html"
THROTTLING_PAGE = f"{_GUIDE}/TroubleshootingThrottling-cloudwatch.html"
ERRORS_PAGE = f"{_GUIDE}/Programming.Errors.html"
CAPACITY_PAGE = f"{_GUIDE}/burst-adaptive-capacity.html"

#: botocore's legacy mode, the most patient of the SDKs' defaults, makes ten attempts at a DynamoDB request.
MOST_ATTEMPTS = 10
#: Requests that meet a server error are few and retried; fewer than this in five minutes is not news.
FEWEST_ERRORS = 5
PERIOD = 300


def _throttles(direction: str) -> Callable[[Resource], tuple[Condition, ...]]:
    def conditions(table: Resource) -> tuple[Condition, ...]:
        found = []
        for part in parts_of(table):
            queries = share(
                part.metric(f"{direction}ThrottleEvents"),
                part.metric(f"Consumed{direction}CapacityUnits"),
                period=PERIOD,
                bad_in_valid=False,
                minimum_bad=MOST_ATTEMPTS + 1,
            )
            because = (
                f"within five minutes {part.what} throttles more than {MOST_ATTEMPTS} {direction.lower()}s, which one "
                f"patient SDK call cannot cause, and more than 1 for every 100 {direction.lower()} units consumed"
            )
            found.append(compare(queries, Comparison.GREATER, 1, because, suffix=part.suffix))
        return tuple(found)

    return conditions


def _capacity(direction: str) -> Callable[[Resource], tuple[Condition, ...] | Inapplicable]:
    def conditions(table: Resource) -> tuple[Condition, ...] | Inapplicable:
        found, reasons = [], []
        for part in parts_of(table):
            limit = limit_of(table, part, direction)
            if isinstance(limit, Inapplicable):
                reasons.append(limit)
                continue
            units, what = limit
            because = percent_of(80, units, "units a second", f"{what} of {part.what}") + ", for 15 minutes"
            metric = part.metric(f"Consumed{direction}CapacityUnits")
            threshold = 0.8 * units * PERIOD
            found.append(
                above(metric, "Sum", threshold, because, period=PERIOD, evaluation_periods=3, suffix=part.suffix)
            )
        return tuple(found) or reasons[0]

    return conditions


def _system_errors(table: Resource) -> tuple[Condition, ...]:
    watched = operations(table)
    own = (("TableName", name_of(table)),)
    errors = [Metric(NAMESPACE, "SystemErrors", (*own, ("Operation", operation))) for operation in watched]
    total = " + ".join(f"FILL(e{number}, 0)" for number in range(1, len(errors) + 1))
    stats = [("e" + str(number), metric) for number, metric in enumerate(errors, 1)]
    stats += [(f"{d.lower()}s", Metric(NAMESPACE, f"Consumed{d}CapacityUnits", own)) for d in ("Read", "Write")]
    queries = (
        MetricQuery(
            id="share",
            expression=f"IF(errors > {FEWEST_ERRORS}, 100 * errors / (errors + FILL(reads, 0) + FILL(writes, 0)), 0)",
            label="SystemErrors for every 100 capacity units",
        ),
        MetricQuery(id="errors", expression=total, return_data=False),
        *(MetricQuery(id=id_, stat=MetricStat(metric, "Sum", PERIOD), return_data=False) for id_, metric in stats),
    )
    because = (
        f"in two of three five-minute periods more than {format_number(FEWEST_ERRORS)} requests, and more than 1 for every "
        f"100 capacity units, fail inside DynamoDB ({', '.join(watched)}); SDKs retry a passing error"
    )
    return (compare(queries, Comparison.GREATER, 1, because, evaluation_periods=3, datapoints_to_alarm=2),)


_CAUSES = (
    ("ProvisionedThroughput", "provisioned capacity"),
    ("MaxOnDemandThroughput", "on-demand maximum"),
    ("KeyRangeThroughput", "hot key or partition"),
    ("AccountLimit", "account limit"),
)


def _panels(table: Resource) -> tuple[Panel, ...]:
    parts = parts_of(table)
    own = (("TableName", name_of(table)),)
    return (
        Panel(
            title="Are requests throttled?",
            description="Throttled reads and writes of the table and each index. Normally empty; the next panel says why.",
            unit="short",
            series=tuple(
                Series(part.metric(f"{d}ThrottleEvents"), "Sum", f"{d.lower()}s, {part.what}")
                for part in parts
                for d in ("Read", "Write")
            ),
            no_value="nothing throttled in this time",
        ),
        Panel(
            title="Why is the table throttled?",
            description="Throttled requests by cause. More capacity helps with the first two; a hot key needs another key design.",
            unit="short",
            series=tuple(
                Series(parts[0].metric(f"{d}{cause}ThrottleEvents"), "Sum", f"{d.lower()}s: {label}")
                for cause, label in _CAUSES
                for d in ("Read", "Write")
            ),
            no_value="nothing throttled in this time",
        ),
        Panel(
            title="How much capacity is consumed?",
            description="Units consumed in each period. A jump without more traffic points at a scan or larger items.",
            unit="short",
            series=tuple(
                Series(part.metric(f"Consumed{d}CapacityUnits"), "Sum", f"{d.lower()} units, {part.what}")
                for part in parts
                for d in ("Read", "Write")
            ),
            no_value="no requests in this time",
        ),
        Panel(
            title="How fast does DynamoDB answer?",
            description="Time inside DynamoDB, without network and retries: a few milliseconds for one item is normal.",
            unit="ms",
            series=tuple(
                Series(Metric(NAMESPACE, "SuccessfulRequestLatency", (*own, ("Operation", name))), "p99", f"{name} p99")
                for name in operations(table)
            ),
            no_value="no requests in this time",
        ),
    )


_TABLE = (("TableName",), ("TableName", "GlobalSecondaryIndexName"))
_OPERATION = (("TableName", "Operation"),)


def _counter(name: str, dimension_sets: tuple[tuple[str, ...], ...], publication: Publication) -> PublishedMetric:
    return PublishedMetric(NAMESPACE, name, "Count", Nature.COUNTER, dimension_sets, publication)


TYPES = (
    ResourceType(
        type="AWS::DynamoDB::Table",
        aliases=("AWS::DynamoDB::GlobalTable", "AWS::Serverless::SimpleTable"),
        slug="dynamodb-table",
        title="DynamoDB table",
        name_property="TableName",
        name_source=NameSource.PHYSICAL_ID,
        own_dimension="TableName",
        metrics=(
            *(
                _counter(f"{direction}{cause}ThrottleEvents", _TABLE, Publication.ONLY_NON_ZERO)
                for direction in ("Read", "Write")
                for cause in ("", *(cause for cause, _ in _CAUSES))
            ),
            _counter("ConsumedReadCapacityUnits", _TABLE, Publication.WHEN_ACTIVE),
            _counter("ConsumedWriteCapacityUnits", _TABLE, Publication.WHEN_ACTIVE),
            _counter("SystemErrors", _OPERATION, Publication.ONLY_NON_ZERO),
            PublishedMetric(
                NAMESPACE,
                "SuccessfulRequestLatency",
                "Milliseconds",
                Nature.DURATION,
                _OPERATION,
                Publication.WHEN_ACTIVE,
            ),
        ),
        alarm_kinds=(
            AlarmKind(
                id="dynamodb-table-read-throttles",
                symptom="reads are throttled",
                because="A throttled read is retried and slow, and fails when the retries run out.",
                source=THROTTLING_PAGE,
                conditions=_throttles("Read"),
            ),
            AlarmKind(
                id="dynamodb-table-write-throttles",
                symptom="writes are throttled",
                because="A throttled write is retried and slow, and lost when the retries run out; a throttled index "
                "holds up every write to its table.",
                source=THROTTLING_PAGE,
                conditions=_throttles("Write"),
            ),
            AlarmKind(
                id="dynamodb-table-system-errors",
                symptom="requests fail inside DynamoDB",
                because="A server error is not the caller's fault; where it lasts, retries run out and requests fail.",
                source=ERRORS_PAGE,
                conditions=_system_errors,
            ),
            AlarmKind(
                id="dynamodb-table-read-capacity",
                symptom="the read capacity is nearly used up",
                because="Above its capacity a table lives on at most five minutes of saved bursts, then throttles.",
                source=CAPACITY_PAGE,
                conditions=_capacity("Read"),
            ),
            AlarmKind(
                id="dynamodb-table-write-capacity",
                symptom="the write capacity is nearly used up",
                because="Above its capacity a table lives on at most five minutes of saved bursts, then throttles.",
                source=CAPACITY_PAGE,
                conditions=_capacity("Write"),
            ),
        ),
        panels=_panels,
        not_alarmed={
            "AccountProvisionedReadCapacityUtilization": "belongs to the account, not to a table; alarm on it once per account",
            "AccountProvisionedWriteCapacityUtilization": "belongs to the account, not to a table; alarm on it once per account",
            "AgeOfOldestUnreplicatedRecord": "published only with a Kinesis stream attached; the stream's reader is what to watch",
            "ConditionalCheckFailedRequests": "a condition that fails is how programs lock, not a fault",
            "FailedToReplicateRecordCount": "published only with a Kinesis stream attached; the stream's reader is what to watch",
            "ReplicationLatency": "published per receiving Region, and which replica is the local one is known only when deployed",
            "SuccessfulRequestLatency": "time inside DynamoDB is not ours to mend; promise the latency of what calls it. The panel shows it",
            "ThrottledPutRecordCount": "published only with a Kinesis stream attached; the stream's reader is what to watch",
            "ThrottledRequests": "published per operation, and a batch counts only when all of it is throttled; the throttle events see each",
            "TransactionConflict": "a conflict is retried by the SDK; what persists shows in the errors of the caller",
            "UserErrors": "has no TableName: it counts the whole account, so it belongs to no table",
        },
    ),
)
