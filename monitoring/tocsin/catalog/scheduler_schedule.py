"""AWS::Scheduler::Schedule: runs that fail, are throttled or are given up, as its schedule group counts them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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
)
from .events_rule import invoked_function
from .expressions import above
from .properties import is_switched_off, mappings, physical_name
from .schedules import interval_of

NAMESPACE = "AWS/Scheduler"
METRICS_PAGE = "https://docs.aws.amazon.com/scheduler/latest/UserGuide/monitoring-cloudwatch.html"
RETRIES_PAGE = "https://docs.aws.amazon.com/scheduler/latest/APIReference/API_RetryPolicy.html"
DEAD_LETTER_PAGE = "https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html"
QUOTAS_PAGE = "https://docs.aws.amazon.com/scheduler/latest/UserGuide/scheduler-quotas.html"

_UNKNOWN_GROUP = "its schedule group is only known when it is deployed; give it with --param"


def _group(schedule: Resource) -> str | None:
    """The name of the schedule group, ``"default"`` unless one is named; None where only a deployment can tell."""
    value = schedule.properties.get("GroupName")
    return "default" if value is None else physical_name(value, schedule)


def _members(schedule: Resource) -> tuple[Resource, ...]:
    """The template's schedules of the same group that run, the one that carries the group's alarms first."""
    group = _group(schedule)
    members = {
        resource.logical_id: resource
        for resource in (*schedule.surroundings.values(), schedule)
        if resource.type == schedule.type and not is_switched_off(resource) and _group(resource) == group
    }
    # A schedule under a Condition may not be there, so one that always is comes first.
    return tuple(sorted(members.values(), key=lambda member: (member.conditional, member.logical_id)))


def _metric(schedule: Resource, name: str) -> Metric:
    return Metric(NAMESPACE, name, (("ScheduleGroup", _group(schedule) or ""),))


def _target(schedule: Resource) -> Mapping[str, Any]:
    return next(iter(mappings(schedule.properties.get("Target"))), {})


def _on_group(
    schedule: Resource, name: str, because: str, *, evaluation_periods: int = 1, datapoints_to_alarm: int | None = None
) -> tuple[Condition, ...] | Inapplicable:
    """One alarm for the whole group: Scheduler publishes nothing for a single schedule."""
    group = _group(schedule)
    if group is None:
        return Inapplicable(_UNKNOWN_GROUP)
    carrier = _members(schedule)[0]
    if carrier.logical_id != schedule.logical_id:
        return Inapplicable(f"Scheduler counts by schedule group, and the alarm of {carrier.logical_id} watches theirs")
    if group == "default":
        because += "; the group is the account's default, so schedules outside this system count too"
    condition = above(
        _metric(schedule, name),
        "Sum",
        0,
        because,
        period=300,
        evaluation_periods=evaluation_periods,
        datapoints_to_alarm=datapoints_to_alarm,
    )
    # The group's own name, so that another schedule in it changes no alarm's name.
    named = "".join(character for character in group if character.isalnum() or character in "-_")
    return (replace(condition, subject=f"ScheduleGroup-{named.removesuffix('Name') if '$' in group else named}"),)


def _target_errors(schedule: Resource) -> tuple[Condition, ...] | Inapplicable:
    because = "the target refuses in two of three five-minute periods, so the first retries did not help"
    return _on_group(schedule, "TargetErrorCount", because, evaluation_periods=3, datapoints_to_alarm=2)


def _target_throttled(schedule: Resource) -> tuple[Condition, ...] | Inapplicable:
    because = "the target throttles in two of three five-minute periods, so the first retries did not help"
    return _on_group(schedule, "TargetErrorThrottledCount", because, evaluation_periods=3, datapoints_to_alarm=2)


def _throttled(schedule: Resource) -> tuple[Condition, ...] | Inapplicable:
    because = "over the account's rate in two of three five-minute periods; a single burst only delays a run"
    return _on_group(schedule, "InvocationThrottleCount", because, evaluation_periods=3, datapoints_to_alarm=2)


def _dropped(schedule: Resource) -> tuple[Condition, ...] | Inapplicable:
    return _on_group(schedule, "InvocationDroppedCount", "a run that is given up after its last retry; one is enough")


def _dead_letter_failed(schedule: Resource) -> tuple[Condition, ...] | Inapplicable:
    if not any(_target(member).get("DeadLetterConfig") for member in _members(schedule)):
        return Inapplicable("no schedule of its group has a dead-letter queue")
    because = "a run that cannot be dead-lettered is lost; one is enough"
    return _on_group(schedule, "InvocationsFailedToBeSentToDeadLetterCount", because)


def _no_heartbeat(schedule: Resource) -> str | None:
    if interval_of(schedule) is None:
        return "it has no recurring schedule that can be read, so nobody knows when it should run"
    if function := invoked_function(schedule, _target(schedule)):
        return (
            f"promise the heartbeat of {function.logical_id}: that the work was done says more than that it was started"
        )
    group = _group(schedule)
    if group is None:
        return _UNKNOWN_GROUP
    if group == "default" or len(_members(schedule)) > 1:
        return "Scheduler counts by schedule group; give it a group of its own"
    return None


def _heartbeat(schedule: Resource, limit: timedelta | None) -> SinceSuccess:
    interval = limit or interval_of(schedule)
    if _group(schedule) is None or interval is None:
        raise DeclarationError(f"{schedule.logical_id} has no heartbeat SLI: {_no_heartbeat(schedule)}")
    return SinceSuccess(_metric(schedule, "InvocationAttemptCount"), _metric(schedule, "TargetErrorCount"), interval)


def _panels(schedule: Resource) -> tuple[Panel, ...]:
    if _group(schedule) is None or _members(schedule)[0].logical_id != schedule.logical_id:
        return ()
    return (
        Panel(
            title="Do the schedules of the group reach their targets?",
            description="Attempts beside errors, throttles and runs given up, for the whole schedule group. All but the attempts are normally 0.",
            unit="short",
            series=(
                Series(_metric(schedule, "InvocationAttemptCount"), "Sum", "attempts"),
                Series(_metric(schedule, "TargetErrorCount"), "Sum", "target errors", Meaning.FAILED),
                Series(_metric(schedule, "TargetErrorThrottledCount"), "Sum", "target throttles", Meaning.THROTTLED),
                Series(_metric(schedule, "InvocationDroppedCount"), "Sum", "given up", Meaning.FAILED),
            ),
            alarm_kinds=("scheduler-schedule-dropped",),
            no_value="nothing was due in this time",
        ),
    )


def _counter(name: str) -> PublishedMetric:
    return PublishedMetric(NAMESPACE, name, "Count", Nature.COUNTER, (("ScheduleGroup",), ()), Publication.WHEN_ACTIVE)


TYPES = (
    ResourceType(
        type="AWS::Scheduler::Schedule",
        slug="scheduler-schedule",
        title="EventBridge Scheduler schedule",
        name_property="Name",
        name_source=NameSource.PHYSICAL_ID,
        metrics=(
            _counter("InvocationAttemptCount"),
            _counter("TargetErrorCount"),
            _counter("TargetErrorThrottledCount"),
            _counter("InvocationThrottleCount"),
            _counter("InvocationDroppedCount"),
            _counter("InvocationsFailedToBeSentToDeadLetterCount"),
        ),
        alarm_kinds=(
            AlarmKind(
                id="scheduler-schedule-target-errors",
                symptom="the target refuses runs",
                because="With the default policy Scheduler retries for a day, so this is seen long before a run is given up.",
                source=RETRIES_PAGE,
                conditions=_target_errors,
            ),
            AlarmKind(
                id="scheduler-schedule-target-throttled",
                symptom="the target throttles runs",
                because="A throttled run comes late, or not at all once its retries are used up.",
                source=METRICS_PAGE,
                conditions=_target_throttled,
            ),
            AlarmKind(
                id="scheduler-schedule-throttled",
                symptom="Scheduler itself throttles runs",
                because="The account starts more runs a second than its quota, so runs come late.",
                source=QUOTAS_PAGE,
                conditions=_throttled,
            ),
            AlarmKind(
                id="scheduler-schedule-dropped",
                symptom="a run was given up",
                because="After the last retry the run does not happen; a dead-letter queue, if any, holds its event.",
                source=METRICS_PAGE,
                conditions=_dropped,
            ),
            AlarmKind(
                id="scheduler-schedule-dead-letter-failed",
                symptom="failed runs cannot be dead-lettered",
                because="The dead-letter queue is the last place a run can go; a missing permission loses it.",
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
        unwatched=lambda schedule: "the template switches it off" if is_switched_off(schedule) else None,
        expected_interval=interval_of,
        not_alarmed={
            "InvocationAttemptCount": "too few attempts is a promise (a heartbeat SLO), not a cause",
            "InvocationsSentToDeadLetterCount": "the same run is counted as dropped, and the dead-letter queue has its own alarm",
        },
    ),
)
