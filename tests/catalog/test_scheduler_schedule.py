from __future__ import annotations

from datetime import timedelta

import pytest
from catalog_stacks import dimensions, offer, only, reason, ref, stack

from tocsin.catalog import CATALOG
from tocsin.cloudformation.symbolic import Symbolic
from tocsin.model import SliKind

SCHEDULE = "AWS::Scheduler::Schedule"
DROPPED = "scheduler-schedule-dropped"


def _schedule(**properties: object):
    return stack(
        Nightly=(SCHEDULE, {"ScheduleExpression": "rate(1 day)", **properties}),
        Find=("AWS::Lambda::Function", {}),
        Nights=("AWS::Scheduler::ScheduleGroup", {}),
    )["Nightly"]


@pytest.mark.parametrize(
    ("properties", "group"),
    [({}, "default"), ({"GroupName": "nights"}, "nights"), ({"GroupName": ref("Nights")}, "${NightsName}")],
)
def test_the_alarm_of_a_schedule_is_on_its_group(properties: dict[str, object], group: str) -> None:
    condition = only(_schedule(**properties), DROPPED)
    assert dimensions(condition) == {"ScheduleGroup": group}
    assert ("outside this system" in condition.because) == (group == "default")


def test_a_group_that_only_a_deployment_knows_is_said() -> None:
    assert "give it with --param" in reason(_schedule(GroupName=Symbolic("${Group}")), DROPPED)


def test_schedules_of_one_group_share_one_alarm() -> None:
    around = stack(
        A=(SCHEDULE, {"GroupName": "nights", "State": "DISABLED"}),
        B=(SCHEDULE, {"GroupName": "nights", "Target": {"DeadLetterConfig": {"Arn": ref("Dlq.Arn")}}}),
        C=(SCHEDULE, {"GroupName": "nights"}),
        D=(SCHEDULE, {}),
    )
    assert only(around["B"], DROPPED)
    assert "the alarm of B" in reason(around["C"], DROPPED)
    assert only(around["D"], DROPPED)
    assert CATALOG[SCHEDULE].panels(around["C"]) == ()
    assert CATALOG[SCHEDULE].unwatched(around["A"])


def test_a_dead_letter_queue_anywhere_in_the_group_is_watched() -> None:
    """Defect 15 of other tools; and AWS's 15 of 15 minutes could never fire on a run a day."""
    kind = "scheduler-schedule-dead-letter-failed"
    around = stack(
        A=(SCHEDULE, {"GroupName": "nights"}),
        B=(SCHEDULE, {"GroupName": "nights", "Target": {"DeadLetterConfig": {"Arn": ref("Dlq.Arn")}}}),
    )
    condition = only(around["A"], kind)
    assert (condition.threshold, condition.evaluation_periods) == (0, 1)
    assert "dead-letter queue" in reason(_schedule(), kind)


@pytest.mark.parametrize(
    ("properties", "gap"),
    [
        ({}, timedelta(days=1)),
        ({"FlexibleTimeWindow": {"Mode": "OFF"}}, timedelta(days=1)),
        ({"FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 30}}, timedelta(days=1, minutes=30)),
        ({"ScheduleExpressionTimezone": "UTC"}, timedelta(days=1)),
        # the day in autumn has 25 hours
        ({"ScheduleExpressionTimezone": "Europe/Berlin"}, timedelta(days=1, hours=1)),
        ({"ScheduleExpression": "rate(1 hour)", "ScheduleExpressionTimezone": "Europe/Berlin"}, timedelta(hours=1)),
        ({"ScheduleExpression": "at(2026-11-20T13:00:00)"}, None),
        ({"ScheduleExpression": Symbolic("${When}")}, None),
    ],
)
def test_the_longest_time_between_two_runs(properties: dict[str, object], gap: timedelta | None) -> None:
    assert CATALOG[SCHEDULE].expected_interval(_schedule(**properties)) == gap


@pytest.mark.parametrize(
    ("properties", "why"),
    [
        ({"Target": {"Arn": ref("Find.Arn")}}, "promise the heartbeat of Find"),
        ({"Target": {"Arn": "arn:aws:sqs:x:1:q"}}, "give it a group of its own"),
        ({"ScheduleExpression": "at(2026-11-20T13:00:00)"}, "nobody knows when it should run"),
        ({"GroupName": Symbolic("${Group}")}, "give it with --param"),
        ({"GroupName": "nights", "Target": {"Arn": "arn:aws:sqs:x:1:q"}}, None),
    ],
)
def test_a_heartbeat_needs_a_group_of_its_own(properties: dict[str, object], why: str | None) -> None:
    schedule = _schedule(**properties)
    applies = offer(schedule, SliKind.HEARTBEAT).applies(schedule)
    if why is None:
        assert applies is None
        assert offer(schedule, SliKind.HEARTBEAT).measure(schedule, None).within == timedelta(days=1)
    else:
        assert why in str(applies)
