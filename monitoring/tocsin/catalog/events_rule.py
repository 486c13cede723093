"""AWS::Events::Rule: targets that a rule cannot reach, and schedules that stay silent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from ..alarm import Metric
from ..errors import DeclarationError
from ..model import Resource, SinceSuccess, SliKind
from .entry import (
    AlarmKind,
    Condition,
    Inapplicable,
    Meaning,
    NameSource,
    Nature,
    Panel,
    Publication,
    PublishedMetric,
    ResourceType,
    Series,
    SliOffer,
    name_of,
)
from .expressions import above
from .properties import is_switched_off, mappings, named_by, physical_name
from .schedules import interval_of

NAMESPACE = "AWS/Events"
METRICS_PAGE = "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html"
DEAD_LETTER_PAGE = "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html"
QUOTAS_PAGE = "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html"

_UNKNOWN_BUS = Inapplicable("its event bus is only known when it is deployed; give it with --param")


def _bus(rule: Resource) -> str | None:
    """The name of the event bus, ``"default"`` for the account's own; None where only a deployment can tell."""
    value = rule.properties.get("EventBusName")
    return "default" if value is None else physical_name(value, rule, separators="/")


def _metric(rule: Resource, bus: str, name: str) -> Metric:
    # Rules of the default bus publish without the bus's name.
    rule_name = ("RuleName", name_of(rule))
    return Metric(NAMESPACE, name, (rule_name,) if bus == "default" else (("EventBusName", bus), rule_name))


def _targets(rule: Resource) -> tuple[Mapping[str, Any], ...]:
    return mappings(rule.properties.get("Targets"))


def _failed(rule: Resource) -> tuple[Condition, ...] | Inapplicable:
    bus = _bus(rule)
    if bus is None:
        return _UNKNOWN_BUS
    because = "EventBridge counts a failure when it gives the event up for good; a rule that runs once a day fails once"
    return (above(_metric(rule, bus, "FailedInvocations"), "Sum", 0, because, period=300),)


def _throttled(rule: Resource) -> tuple[Condition, ...] | Inapplicable:
    bus = _bus(rule)
    if bus is None:
        return _UNKNOWN_BUS
    metric = _metric(rule, bus, "ThrottledRules")
    if rule.properties.get("ScheduleExpression") is not None:
        because = "a scheduled run that is throttled comes late, and it may be the only one today"
        return (above(metric, "Sum", 0, because, period=300),)
    because = "throttled in two of three five-minute periods; EventBridge retries, so a single burst only delays events"
    return (above(metric, "Sum", 0, because, period=300, evaluation_periods=3, datapoints_to_alarm=2),)


def _dead_letters(rule: Resource) -> bool:
    return any(target.get("DeadLetterConfig") for target in _targets(rule))


def _dead_letter_kind(name: str, because: str, rule: Resource) -> tuple[Condition, ...] | Inapplicable:
    bus = _bus(rule)
    if not _dead_letters(rule):
        return Inapplicable("none of its targets has a dead-letter queue")
    if bus is None:
        return _UNKNOWN_BUS
    return (above(_metric(rule, bus, name), "Sum", 0, because, period=300),)


def _dead_lettered(rule: Resource) -> tuple[Condition, ...] | Inapplicable:
    because = "FailedInvocations leaves out what is dead-lettered, so one event here is news"
    return _dead_letter_kind("InvocationsSentToDlq", because, rule)


def _dead_letter_failed(rule: Resource) -> tuple[Condition, ...] | Inapplicable:
    return _dead_letter_kind("InvocationsFailedToBeSentToDlq", "an event that cannot be dead-lettered is lost", rule)


def invoked_function(resource: Resource, *targets: Mapping[str, Any]) -> Resource | None:
    """The Lambda function of the template that a rule or schedule invokes, if it is its only target."""
    found = [named_by(target.get("Arn"), resource) for target in targets]
    function = found[0] if len(found) == 1 else None
    return function if function and function.type in ("AWS::Lambda::Function", "AWS::Serverless::Function") else None


def _no_heartbeat(rule: Resource) -> str | None:
    if interval_of(rule) is None:
        return "it has no schedule that can be read, so nobody knows when it should run"
    if _bus(rule) is None:
        return _UNKNOWN_BUS.reason
    if function := invoked_function(rule, *_targets(rule)):
        return (
            f"promise the heartbeat of {function.logical_id}: that the work was done says more than that it was started"
        )
    return None


def _heartbeat(rule: Resource, limit: timedelta | None) -> SinceSuccess:
    bus, interval = _bus(rule), limit or interval_of(rule)
    if bus is None or interval is None:
        raise DeclarationError(f"{rule.logical_id} has no heartbeat SLI: {_no_heartbeat(rule)}")
    # Neither counter is published while it is 0, so silence is the broken promise itself.
    return SinceSuccess(_metric(rule, bus, "Invocations"), _metric(rule, bus, "FailedInvocations"), interval)


def _panels(rule: Resource) -> tuple[Panel, ...]:
    bus = _bus(rule)
    if bus is None:
        return ()
    return (
        Panel(
            title="Does the rule reach its targets?",
            description="Invocations of targets beside failures. Nothing is drawn while nothing happens; failed and throttled are normally absent.",
            unit="short",
            series=(
                Series(_metric(rule, bus, "Invocations"), "Sum", "invocations"),
                Series(_metric(rule, bus, "FailedInvocations"), "Sum", "failed", Meaning.FAILED),
                Series(_metric(rule, bus, "ThrottledRules"), "Sum", "throttled", Meaning.THROTTLED),
            ),
            alarm_kinds=("events-rule-failed",),
            no_value="no event matched in this time",
        ),
    )


def _counter(
    name: str,
    publication: Publication = Publication.ONLY_NON_ZERO,
    opted_in: Callable[[Resource], bool] | None = None,
) -> PublishedMetric:
    dimension_sets = (("RuleName",), ("EventBusName", "RuleName"))
    return PublishedMetric(NAMESPACE, name, "Count", Nature.COUNTER, dimension_sets, publication, opted_in=opted_in)


TYPES = (
    ResourceType(
        type="AWS::Events::Rule",
        slug="events-rule",
        title="EventBridge rule",
        name_property="Name",
        name_source=NameSource.AFTER_BAR,
        own_dimension="RuleName",
        metrics=(
            _counter("Invocations"),
            _counter("FailedInvocations"),
            _counter("ThrottledRules", Publication.WHEN_ACTIVE),
            _counter("InvocationsSentToDlq", Publication.OPT_IN, _dead_letters),
            _counter("InvocationsFailedToBeSentToDlq", Publication.OPT_IN, _dead_letters),
        ),
        alarm_kinds=(
            AlarmKind(
                id="events-rule-failed",
                symptom="targets cannot be invoked",
                because="An event that EventBridge gives up is lost, mostly for a missing permission or a deleted target.",
                source=METRICS_PAGE,
                conditions=_failed,
            ),
            AlarmKind(
                id="events-rule-throttled",
                symptom="the rule is throttled",
                because="Over the account's rate EventBridge holds events back, and no target's metric shows it.",
                source=QUOTAS_PAGE,
                conditions=_throttled,
            ),
            AlarmKind(
                id="events-rule-dead-lettered",
                symptom="events are dead-lettered",
                because="The event can still be saved, but nobody does it unless told.",
                source=DEAD_LETTER_PAGE,
                conditions=_dead_lettered,
            ),
            AlarmKind(
                id="events-rule-dead-letter-failed",
                symptom="failed events cannot be dead-lettered",
                because="The dead-letter queue is the last place an event can go; a missing permission loses it.",
                source=DEAD_LETTER_PAGE,
                conditions=_dead_letter_failed,
            ),
        ),
        slis=(
            SliOffer(
                kind=SliKind.HEARTBEAT,
                good="scheduled runs that reach their target",
                source=METRICS_PAGE,
                measure=_heartbeat,
                applies=_no_heartbeat,
            ),
        ),
        panels=_panels,
        unwatched=lambda rule: "the template switches it off" if is_switched_off(rule) else None,
        expected_interval=interval_of,
        not_alarmed={
            "TriggeredRules": "a rule that matches nothing may be right; for a schedule it is a promise (a heartbeat SLO)",
            "RetryInvocationAttempts": "a retry that succeeds harms nobody, and one that does not is counted as failed",
            "IngestionToInvocationSuccessLatency": "only a person can say how late an event may be; it is seconds unless retried",
        },
    ),
)
