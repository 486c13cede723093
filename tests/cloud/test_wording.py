"""A deployment in words."""

from __future__ import annotations

from dataclasses import replace

from tocsin.cloud.deploy import ParameterChange, StackOutcome, StackPlan, Work
from tocsin.cloud.differences import Action, PropertyChange, Replacement, ResourceChange
from tocsin.cloud.stacks import StackEvent
from tocsin.cloud.wording import as_json, happened, planned

ALARM = "AWS::CloudWatch::Alarm"
CHANGES = (
    ResourceChange(Action.ADD, "New", ALARM),
    ResourceChange(
        Action.CHANGE,
        "Old",
        ALARM,
        "prod-shop-Old",
        Replacement.YES,
        (
            PropertyChange("AlarmName", cause="Environment"),
            PropertyChange("Threshold", "1", "2"),
            PropertyChange("TreatMissingData", None, "ignore"),
        ),
    ),
    ResourceChange(Action.REMOVE, "Gone", ALARM),
)


def plan(work: Work, unknown: tuple[str, ...] = ()) -> StackPlan:
    return StackPlan("prod-shop-alarms", "alarms/shop.yaml", "shop", work, CHANGES, {"OrdersName": "o"}, unknown)


def test_changes_are_told_one_by_one() -> None:
    assert list(planned(plan(Work.UPDATE))) == [
        "prod-shop-alarms (alarms/shop.yaml): to be changed",
        "  + New (AWS::CloudWatch::Alarm)",
        "  ~ Old (AWS::CloudWatch::Alarm, replaced)",
        "      AlarmName (because of Environment)",
        "      Threshold: 1 → 2",
        "      TreatMissingData: nothing → ignore",
        "  - Gone (AWS::CloudWatch::Alarm)",
    ]


def test_a_new_stack_is_told_in_numbers() -> None:
    first, second, last = planned(plan(Work.CREATE, ("PageTopicArn",)))
    assert first.endswith(": to be created")
    assert second == "  + 3 AWS::CloudWatch::Alarm"
    assert last == "  known only once the routing is there: PageTopicArn"


def test_parameters_are_told_with_their_values() -> None:
    changed = (
        ParameterChange("Class", "large", "small"),
        ParameterChange("Name", None, "a"),
        ParameterChange("Old", "", None),
    )
    one = StackPlan("dev-shop", "shop.yaml", "shop", Work.UPDATE, (), parameters=changed)
    assert list(planned(one)) == [
        "dev-shop (shop.yaml): to be changed",
        "  parameter Class: large → small",
        "  parameter Name: nothing → a",
        "  parameter Old: empty → nothing",
    ]
    assert as_json(one)["parameters"] == [
        {"name": "Class", "before": "large", "after": "small"},
        {"name": "Name", "before": None, "after": "a"},
        {"name": "Old", "before": "", "after": None},
    ]
    assert list(planned(replace(one, work=Work.NOTHING))) == ["dev-shop (shop.yaml): is as committed"]


def test_of_the_steps_only_failures_are_told() -> None:
    def step(status: str, reason: str = "") -> StackEvent:
        return StackEvent("1", "prod-shop-alarms", "Old", ALARM, status, reason)

    assert list(happened(step("UPDATE_IN_PROGRESS"))) == []
    assert list(happened(step("UPDATE_COMPLETE"))) == []
    assert list(happened(step("UPDATE_FAILED", "no\n room"))) == ["  Old failed: no room"]
    assert list(happened(step("UPDATE_FAILED", "Resource update cancelled"))) == []


def test_a_stack_that_is_as_committed_is_told_once() -> None:
    outcome = StackOutcome("prod-shop-alarms", "alarms/shop.yaml", "shop", Work.NOTHING, (), {})
    assert list(happened(plan(Work.NOTHING))) == []
    assert list(happened(outcome)) == ["prod-shop-alarms: is as committed"]


def test_a_machine_gets_everything() -> None:
    shown = as_json(plan(Work.UPDATE))
    assert (shown["stack"], shown["work"], len(shown["changes"])) == ("prod-shop-alarms", "update", 3)
    assert shown["changes"][1] == {
        "action": "change",
        "logical_id": "Old",
        "type": ALARM,
        "physical_id": "prod-shop-Old",
        "replacement": "yes",
        "properties": [
            {"name": "AlarmName", "before": None, "after": None, "cause": "Environment"},
            {"name": "Threshold", "before": "1", "after": "2", "cause": None},
            {"name": "TreatMissingData", "before": None, "after": "ignore", "cause": None},
        ],
    }
