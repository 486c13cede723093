"""AWS::SQS::Queue: work that waits too long, and dead letters nobody looks at."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from ..alarm import Metric
from ..errors import DeclarationError
from ..model import Counted, Ranked, Resource, SliKind
from ..units import format_duration, in_seconds
from .entry import (
    AlarmKind,
    Condition,
    Inapplicable,
    NameSource,
    Nature,
    Panel,
    Proposal,
    Publication,
    PublishedMetric,
    ResourceType,
    Series,
    SliOffer,
    name_of,
)
from .expressions import above
from .properties import known_when_deployed, physical_name
from .queues import is_read_at_once, most_in_flight, redrive_policy, retention_of, seconds, sources_of, time_to_give_up

NAMESPACE = "AWS/SQS"
_GUIDE = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide"
METRICS_PAGE = f"{_GUIDE}/sqs-available-cloudwatch-metrics.html"
RETENTION_PAGE = f"{_GUIDE}/setting-up-dead-letter-queue-retention.html"
QUOTAS_PAGE = f"{_GUIDE}/quotas-queues.html"

#: A shorter wait is an ordinary burst.
SHORTEST_AGE_S = 900
#: Standard and FIFO queues alike, since FIFO queues were raised from 20,000.
IN_FLIGHT_QUOTA = 120_000

_ONLY_DEAD_LETTERS = Inapplicable("it is an ordinary queue: messages in it are work to do, not failures")
_NOT_DEAD_LETTERS = Inapplicable("it is a dead-letter queue: its own alarms watch it")


def _metric(queue: Resource, name: str) -> Metric:
    return Metric(NAMESPACE, name, (("QueueName", name_of(queue)),))


def _is_dead_letter_queue(queue: Resource) -> bool:
    return queue.role == "dlq"


def _age(queue: Resource) -> tuple[Condition, ...] | Inapplicable:
    if _is_dead_letter_queue(queue):
        return _NOT_DEAD_LETTERS
    retention = retention_of(queue)
    if retention is None:
        return known_when_deployed("its retention period")
    threshold = retention / 2
    because = f"half of the {seconds(retention)} after which SQS deletes a message"
    if not is_read_at_once(queue):
        because += "; nothing in the template tells who reads the queue, or how often"
    else:
        give_up = time_to_give_up(queue)
        if give_up is None:
            return known_when_deployed("its visibility timeout or redrive policy")
        spent, words = give_up
        if max(spent, SHORTEST_AGE_S) < threshold:
            threshold = max(spent, SHORTEST_AGE_S)
            older = (
                "is older"
                if spent >= SHORTEST_AGE_S
                else f"is older than {seconds(SHORTEST_AGE_S)}, more than a burst,"
            )
            because = f"a message that keeps failing is through after {words}; one that {older} waits for a reader"
    # The age carries its own time, so five minutes only keep out a single late sample.
    metric = _metric(queue, "ApproximateAgeOfOldestMessage")
    return (above(metric, "Maximum", threshold, because + ", for 5 minutes", evaluation_periods=5),)


def _in_flight(queue: Resource) -> tuple[Condition, ...] | Inapplicable:
    if _is_dead_letter_queue(queue):
        return _NOT_DEAD_LETTERS
    most = most_in_flight(queue)
    if most is not None and most < IN_FLIGHT_QUOTA * 0.8:
        return Inapplicable(
            f"Lambda alone reads it, {most:,} messages at once at the most, far below the quota of {IN_FLIGHT_QUOTA:,}"
        )
    because = f"80 % of the {IN_FLIGHT_QUOTA:,} messages that may be in flight at once, for 5 minutes"
    metric = _metric(queue, "ApproximateNumberOfMessagesNotVisible")
    return (above(metric, "Maximum", IN_FLIGHT_QUOTA * 0.8, because, evaluation_periods=5),)


def _not_empty(queue: Resource) -> tuple[Condition, ...] | Inapplicable:
    if not _is_dead_letter_queue(queue):
        return _ONLY_DEAD_LETTERS
    because = "every message here is work that was given up; one minute with one message is enough"
    return (above(_metric(queue, "ApproximateNumberOfMessagesVisible"), "Maximum", 0, because),)


def _dead_letter_age(queue: Resource) -> tuple[Condition, ...] | Inapplicable:
    if not _is_dead_letter_queue(queue):
        return _ONLY_DEAD_LETTERS
    retention = retention_of(queue)
    if retention is None:
        return known_when_deployed("its retention period")
    spent, where = 0.0, ""
    # A standard queue deletes by the time of first sending, yet its age metric starts anew in the dead-letter queue.
    if queue.properties.get("FifoQueue") not in (True, "true"):
        for source in sources_of(queue):
            give_up = time_to_give_up(source)
            if give_up is None:
                return known_when_deployed(f"the visibility timeout or redrive policy of {source.logical_id}")
            if give_up[0] > spent:
                spent, where = give_up[0], source.logical_id
    if spent >= retention:
        return Inapplicable(
            f"a message is tried for {seconds(spent)} in {where} and deleted {seconds(retention)} after it was sent, "
            "so none ever stays here; raise MessageRetentionPeriod"
        )
    because = f"half of the {seconds(retention)} after which SQS deletes a message"
    if spent:
        because = (
            f"SQS deletes a message {seconds(retention)} after it was first sent, and it was tried for "
            f"{seconds(spent)} in {where} before it came here; this is half of the rest"
        )
    metric = _metric(queue, "ApproximateAgeOfOldestMessage")
    return (above(metric, "Maximum", (retention - spent) / 2, because, period=300),)


def _freshness(queue: Resource, limit: timedelta | None) -> Ranked:
    if limit is None:
        raise DeclarationError(f'{queue.logical_id}: a freshness SLO needs a limit, such as below="5min"')
    retention = retention_of(queue)
    if retention is not None and in_seconds(limit) >= retention:
        raise DeclarationError(
            f"{queue.logical_id}: SQS deletes a message after {seconds(retention)}, "
            f"so below={format_duration(limit)!r} is always met; choose less"
        )
    return Ranked(_metric(queue, "ApproximateAgeOfOldestMessage"), in_seconds(limit), each_minute=True)


def _no_freshness(queue: Resource) -> str | None:
    return "it is a dead-letter queue: nothing in it is ever fresh" if _is_dead_letter_queue(queue) else None


def _no_completeness(queue: Resource) -> str | None:
    if _is_dead_letter_queue(queue):
        return "it is a dead-letter queue; promise the completeness of the queue that feeds it"
    if queue.properties.get("RedrivePolicy") is None:
        return "it has no dead-letter queue, so nobody counts what was given up; give it a RedrivePolicy"
    target = redrive_policy(queue).get("deadLetterTargetArn")
    if physical_name(target, queue, separators=":") is None:
        return "its dead-letter queue is only known when it is deployed; give it with --param"
    others = [
        other.logical_id
        for _, other in sorted(queue.surroundings.items())
        if other.logical_id != queue.logical_id and redrive_policy(other).get("deadLetterTargetArn") == target
    ]
    if others:
        return f"its dead-letter queue also serves {', '.join(others)}, so its messages tell nothing of this one"
    return None


def _completeness(queue: Resource) -> Counted:
    if reason := _no_completeness(queue):
        raise DeclarationError(f"{queue.logical_id} has no completeness SLI: {reason}")
    dead_letters = physical_name(redrive_policy(queue)["deadLetterTargetArn"], queue, separators=":") or ""
    # NumberOfMessagesSent of a dead-letter queue leaves out what SQS itself moves there; its depth does not.
    return Counted(
        bad=Metric(NAMESPACE, "ApproximateNumberOfMessagesVisible", (("QueueName", dead_letters),)),
        valid=_metric(queue, "NumberOfMessagesDeleted"),
        bad_is_level=True,
        bad_in_valid=False,
    )


def _panels(queue: Resource) -> tuple[Panel, ...]:
    if _is_dead_letter_queue(queue):
        return (
            Panel(
                title="Was work given up?",
                description="Messages in the dead-letter queue. Normally 0. Read one before you send any of them back.",
                unit="short",
                series=(Series(_metric(queue, "ApproximateNumberOfMessagesVisible"), "Maximum", "dead letters"),),
                alarm_kinds=("sqs-dead-letter-queue-not-empty",),
                no_value="empty and out of use in this time",
            ),
            Panel(
                title="How long until they are deleted?",
                description="Age of the oldest dead letter. Above the line less than half of the time to save it is left.",
                unit="s",
                series=(Series(_metric(queue, "ApproximateAgeOfOldestMessage"), "Maximum", "oldest"),),
                alarm_kinds=("sqs-dead-letter-queue-age",),
                no_value="empty and out of use in this time",
            ),
        )
    return (
        Panel(
            title="Does work wait?",
            description="Age of the oldest message. A steady climb means that nobody reads; a saw-tooth is normal.",
            unit="s",
            series=(Series(_metric(queue, "ApproximateAgeOfOldestMessage"), "Maximum", "oldest"),),
            alarm_kinds=("sqs-queue-age",),
            no_value="out of use in this time",
        ),
        Panel(
            title="Does as much leave as arrives?",
            description="Messages sent and deleted. Deleted below sent for long means a backlog; received far above deleted means retries.",
            unit="short",
            series=(
                Series(_metric(queue, "NumberOfMessagesSent"), "Sum", "sent"),
                Series(_metric(queue, "NumberOfMessagesReceived"), "Sum", "received"),
                Series(_metric(queue, "NumberOfMessagesDeleted"), "Sum", "deleted"),
            ),
            no_value="out of use in this time",
        ),
        Panel(
            title="How much waits, how much is being worked on?",
            description="Waiting, in flight and delayed messages. In flight at the line, a standard queue hands out no more.",
            unit="short",
            series=(
                Series(_metric(queue, "ApproximateNumberOfMessagesVisible"), "Maximum", "waiting"),
                Series(_metric(queue, "ApproximateNumberOfMessagesNotVisible"), "Maximum", "in flight"),
                Series(_metric(queue, "ApproximateNumberOfMessagesDelayed"), "Maximum", "delayed"),
            ),
            alarm_kinds=("sqs-queue-in-flight",),
            no_value="out of use in this time",
            stretched=False,  # the quota is 120,000
        ),
    )


def _published(
    name: str, nature: Nature, unit: str = "Count", highest: Callable[[Resource], float | None] | None = None
) -> PublishedMetric:
    return PublishedMetric(NAMESPACE, name, unit, nature, (("QueueName",),), Publication.WHEN_ACTIVE, highest=highest)


TYPES = (
    ResourceType(
        type="AWS::SQS::Queue",
        slug="sqs",
        title="SQS queue",
        name_property="QueueName",
        name_source=NameSource.LAST_PATH_SEGMENT,
        own_dimension="QueueName",
        metrics=(
            _published("ApproximateAgeOfOldestMessage", Nature.GAUGE, "Seconds", highest=retention_of),
            _published("ApproximateNumberOfMessagesVisible", Nature.GAUGE),
            _published("ApproximateNumberOfMessagesNotVisible", Nature.GAUGE, highest=lambda queue: IN_FLIGHT_QUOTA),
            _published("ApproximateNumberOfMessagesDelayed", Nature.GAUGE),
            _published("NumberOfMessagesSent", Nature.COUNTER),
            _published("NumberOfMessagesReceived", Nature.COUNTER),
            _published("NumberOfMessagesDeleted", Nature.COUNTER),
        ),
        alarm_kinds=(
            AlarmKind(
                id="sqs-queue-age",
                symptom="messages wait too long",
                because="A message that waits is work not done, and one that waits until the end of its retention is deleted.",
                source=METRICS_PAGE,
                conditions=_age,
            ),
            AlarmKind(
                id="sqs-queue-in-flight",
                symptom="too many messages are in flight",
                because="At the quota a standard queue refuses to hand out messages, and a FIFO queue hands out none in silence.",
                source=QUOTAS_PAGE,
                conditions=_in_flight,
            ),
            AlarmKind(
                id="sqs-dead-letter-queue-not-empty",
                symptom="work was given up",
                because="A dead letter is a piece of work that failed every try; nobody will do it unless somebody looks.",
                source=f"{_GUIDE}/dead-letter-queues-alarms-cloudwatch.html",
                conditions=_not_empty,
            ),
            AlarmKind(
                id="sqs-dead-letter-queue-age",
                symptom="dead letters are about to be deleted",
                because="SQS deletes dead letters at the end of their retention, without a trace.",
                source=RETENTION_PAGE,
                conditions=_dead_letter_age,
            ),
        ),
        slis=(
            SliOffer(
                kind=SliKind.FRESHNESS,
                proposed=Proposal.ALWAYS,
                good="minutes in which no message waits too long",
                source=METRICS_PAGE,
                measure=_freshness,
                needs_limit=True,
                objective="99.5%",
                limit="5min",
                applies=_no_freshness,
            ),
            SliOffer(
                kind=SliKind.COMPLETENESS,
                proposed=Proposal.ALWAYS,
                good="messages that are worked off and not dead-lettered",
                source=METRICS_PAGE,
                measure=lambda queue, limit: _completeness(queue),
                applies=_no_completeness,
            ),
        ),
        panels=_panels,
        not_alarmed={
            "ApproximateNumberOfMessagesVisible": "of an ordinary queue: a long backlog that moves fast is fine, so the age is alarmed on",
            "NumberOfMessagesSent": "too few messages is a promise of the sender; a queue used once a day would be in ALARM all day",
            "TimeToDrain": "a forecast from two rates that are both 0 most of the time; the age says the same without guessing",
        },
    ),
)
