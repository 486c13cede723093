"""Change sets: the diff, the change, the rollback, and the states of a stack that must not be touched."""

from __future__ import annotations

from typing import Any

import pytest
from plain_server import Server, is_there, make_stack, wait_for

from tocsin.cloud.change_set import ChangeSet, StackRequest, create_change_set, discard, execute, remove_stack
from tocsin.cloud.differences import Action, PropertyChange, Replacement, TemplatePair, read_changes, template_pair
from tocsin.cloud.session import Cloud
from tocsin.cloud.stacks import (
    Readiness,
    Stack,
    StackEvent,
    explain_failure,
    find_stack,
    last_operation,
    readiness,
    refuse_blocked,
)
from tocsin.errors import CloudError, QuotaError

pytest_plugins = ["plain_ministack"]

ALARM = """
  {name}:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmName: !Sub '${{AWS::StackName}}-{name}'
      Namespace: AWS/SQS
      MetricName: ApproximateAgeOfOldestMessage
      Statistic: Maximum
      Period: 60
      EvaluationPeriods: 1
      ComparisonOperator: GreaterThanThreshold
      Threshold: {threshold}
"""
# The plain server knows no metric math in a stack, so this one always fails there.
BROKEN = """
  Broken:
    Type: AWS::CloudWatch::Alarm
    Properties:
      ComparisonOperator: GreaterThanThreshold
      EvaluationPeriods: 1
      Threshold: 1
      Metrics: [{Id: a, Expression: '1'}]
"""


def template(*resources: str) -> str:
    return "Resources:" + "".join(resources)


def alarm(name: str, threshold: int = 1) -> str:
    return ALARM.format(name=name, threshold=threshold)


def request(stack: str, *resources: str) -> StackRequest:
    return StackRequest(stack, template(*resources), "alarms/shop.yaml")


def change(cloud: Cloud, wanted: StackRequest) -> Stack:
    return execute(cloud, create_change_set(cloud, wanted))


def alarms(server: Server, stack: str) -> dict[str, float]:
    found = server.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{stack}-")["MetricAlarms"]
    return {item["AlarmName"].removeprefix(f"{stack}-"): item["Threshold"] for item in found}


def change_sets(server: Server, stack: str) -> list[Any]:
    return list(server.client("cloudformation").list_change_sets(StackName=stack)["Summaries"])


def test_a_stack_is_created_and_progress_is_told(plain_aws: Server, plain_cloud: Cloud, unused: str) -> None:
    planned = create_change_set(plain_cloud, request(unused, alarm("Old", 7)))
    assert planned.creates
    assert [(item.action, item.logical_id, item.type) for item in planned.changes] == [
        (Action.ADD, "Old", "AWS::CloudWatch::Alarm")
    ]
    assert alarms(plain_aws, unused) == {}

    events: list[StackEvent] = []
    stack = execute(plain_cloud, planned, events.append)

    assert stack.status == "CREATE_COMPLETE"
    assert alarms(plain_aws, unused) == {"Old": 7}
    assert [(event.logical_id, event.status) for event in events] == [
        (unused, "CREATE_IN_PROGRESS"),
        ("Old", "CREATE_IN_PROGRESS"),
        ("Old", "CREATE_COMPLETE"),
        (unused, "CREATE_COMPLETE"),
    ]


def test_a_second_run_finds_nothing_and_leaves_nothing(plain_aws: Server, plain_cloud: Cloud, unused: str) -> None:
    change(plain_cloud, request(unused, alarm("Old")))
    left = len(change_sets(plain_aws, unused))
    planned = create_change_set(plain_cloud, request(unused, alarm("Old")))
    assert planned == ChangeSet(unused, None, creates=False, changes=())
    assert planned.unchanged
    assert execute(plain_cloud, planned).status == "CREATE_COMPLETE"
    assert len(change_sets(plain_aws, unused)) == left


def test_added_changed_removed_replaced(plain_aws: Server, plain_cloud: Cloud, unused: str) -> None:
    change(plain_cloud, request(unused, alarm("Changed", 1), alarm("Removed"), alarm("Renamed")))
    renamed = alarm("Renamed").replace("-Renamed'", "-NewName'")
    planned = create_change_set(plain_cloud, request(unused, alarm("Added"), alarm("Changed", 2), renamed))

    assert not planned.creates
    by_id = {item.logical_id: item for item in planned.changes}
    assert [(item.action, item.logical_id) for item in planned.changes] == [
        (Action.ADD, "Added"),
        (Action.CHANGE, "Changed"),
        (Action.CHANGE, "Renamed"),
        (Action.REMOVE, "Removed"),
    ]
    assert by_id["Changed"].physical_id == f"{unused}-Changed"
    assert by_id["Changed"].properties == (PropertyChange("Threshold", "1", "2"),)
    assert [item.name for item in by_id["Renamed"].properties] == ["AlarmName"]
    assert alarms(plain_aws, unused) == {"Changed": 1, "Removed": 1, "Renamed": 1}

    assert execute(plain_cloud, planned).status == "UPDATE_COMPLETE"
    assert alarms(plain_aws, unused) == {"Added": 1, "Changed": 2, "NewName": 1}


TABLE = """
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: {name}
      DeletionProtectionEnabled: {protected}
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{{AttributeName: id, AttributeType: S}}]
      KeySchema: [{{AttributeName: id, KeyType: HASH}}]
"""


@pytest.mark.parametrize(
    ("name", "protected", "replacement"), [("old", "true", Replacement.NO), ("new", "false", Replacement.YES)]
)
def test_what_is_made_anew_is_told(
    plain_aws: Server, plain_cloud: Cloud, unused: str, name: str, protected: str, replacement: Replacement
) -> None:
    def table(end: str, protected: str) -> StackRequest:
        return request(unused, TABLE.format(name=f"{unused}-{end}", protected=protected))

    change(plain_cloud, table("old", "false"))
    planned = create_change_set(plain_cloud, table(name, protected))
    [changed] = planned.changes
    assert changed.replacement is replacement
    execute(plain_cloud, planned)
    tables = plain_aws.client("dynamodb").list_tables()["TableNames"]
    assert [table for table in tables if unused in table] == [f"{unused}-{name}"]


def test_a_parameter_is_named_as_the_cause(plain_aws: Server, plain_cloud: Cloud, unused: str) -> None:
    text = "Parameters: {Limit: {Type: Number}}\n" + template(
        alarm("One").replace("Threshold: 1", "Threshold: !Ref Limit")
    )
    change(plain_cloud, StackRequest(unused, text, "a.yaml", {"Limit": "3"}))
    planned = create_change_set(plain_cloud, StackRequest(unused, text, "a.yaml", {"Limit": "4"}))
    [changed] = planned.changes
    assert [(item.name, item.cause) for item in changed.properties] == [("Threshold", "Limit")]
    discard(plain_cloud, planned)
    kept = create_change_set(plain_cloud, StackRequest(unused, text, "a.yaml", {}, kept=frozenset({"Limit"})))
    assert kept.unchanged


def test_discarding_leaves_no_trace(plain_aws: Server, plain_cloud: Cloud, unused: str) -> None:
    discard(plain_cloud, create_change_set(plain_cloud, request(unused, alarm("Old"))))
    assert not is_there(plain_aws, unused)
    change(plain_cloud, request(unused, alarm("Old")))
    left = len(change_sets(plain_aws, unused))
    planned = create_change_set(plain_cloud, request(unused, alarm("New")))
    discard(plain_cloud, planned)
    discard(plain_cloud, planned)
    assert len(change_sets(plain_aws, unused)) == left
    assert alarms(plain_aws, unused) == {"Old": 1}


def test_a_failed_creation_says_why_and_can_be_repeated(plain_aws: Server, plain_cloud: Cloud, unused: str) -> None:
    with pytest.raises(
        CloudError, match=rf"stack {unused} was rolled back, nothing of it is in service: Broken \(AWS::Cl"
    ):
        change(plain_cloud, request(unused, alarm("Old"), BROKEN))
    assert alarms(plain_aws, unused) == {}
    stack = find_stack(plain_cloud, unused)
    assert stack is not None
    assert readiness(stack) is Readiness.RECREATE
    remove_stack(plain_cloud, stack)
    assert not is_there(plain_aws, unused)
    change(plain_cloud, request(unused, alarm("Old")))
    assert alarms(plain_aws, unused) == {"Old": 1}


def test_a_failed_update_is_rolled_back(plain_aws: Server, plain_cloud: Cloud, unused: str) -> None:
    change(plain_cloud, request(unused, alarm("Old", 1)))
    with pytest.raises(CloudError, match=r"was rolled back, it is as it was before: Broken .*metric math") as caught:
        change(plain_cloud, request(unused, alarm("Old", 2), BROKEN))
    assert "\n" not in str(caught.value)
    assert alarms(plain_aws, unused) == {"Old": 1}
    # After a clean rollback the next change is free to come, and only its own failures would be told.
    assert change(plain_cloud, request(unused, alarm("Old", 3))).status == "UPDATE_COMPLETE"
    assert alarms(plain_aws, unused) == {"Old": 3}


def test_a_template_cloudformation_refuses_leaves_no_stack(plain_aws: Server, plain_cloud: Cloud, unused: str) -> None:
    with pytest.raises(CloudError, match=rf"cannot plan stack {unused} from alarms/shop\.yaml: .*Nonsense"):
        create_change_set(plain_cloud, request(unused, "\n  A: {Type: 'AWS::Nonsense::Thing'}"))
    assert not is_there(plain_aws, unused)


def test_a_stack_left_failed_is_refused_with_the_remedy(plain_aws: Server, plain_cloud: Cloud, unused: str) -> None:
    plain_aws.client("cloudformation").create_stack(
        StackName=unused, TemplateBody=template(BROKEN), OnFailure="DO_NOTHING"
    )
    wait_for(plain_aws, unused, "CREATE_FAILED")
    with pytest.raises(
        CloudError, match=rf"{unused} is stuck in CREATE_FAILED: Broken .*; delete it \(aws .*--stack-name {unused}\)"
    ):
        create_change_set(plain_cloud, request(unused, alarm("Old")))


# Nobody signals, so this one takes its second and then fails.
SLOW = """
  Handle: {Type: 'AWS::CloudFormation::WaitConditionHandle'}
  Slow:
    Type: AWS::CloudFormation::WaitCondition
    DependsOn: [Handle, Old]
    Properties: {Handle: !Ref Handle, Timeout: '1'}
"""


def test_a_change_that_takes_its_time_is_waited_for_and_told_once(
    plain_aws: Server, plain_cloud: Cloud, unused: str
) -> None:
    events: list[StackEvent] = []
    planned = create_change_set(plain_cloud, request(unused, alarm("Old"), SLOW))
    with pytest.raises(CloudError, match=r"was rolled back.*Slow \(AWS::CloudFormation::WaitCondition\)"):
        execute(plain_cloud, planned, events.append)
    told = [(event.logical_id, event.status) for event in events]
    assert len(told) == len({event.id for event in events})
    assert told.index(("Old", "CREATE_COMPLETE")) < told.index(("Slow", "CREATE_FAILED"))
    assert told[-1] == (unused, "ROLLBACK_COMPLETE")


def test_patience_runs_out_and_a_busy_stack_is_refused(plain_aws: Server, plain_cloud: Cloud, unused: str) -> None:
    planned = create_change_set(plain_cloud, request(unused, alarm("Old"), SLOW.replace("'1'", "'3'")))
    with pytest.raises(CloudError, match=rf"stack {unused} is still being changed after 0 s; look at it"):
        execute(plain_cloud, planned, patience=0.1)
    with pytest.raises(CloudError, match=r"is being changed by somebody else \(CREATE_IN_PROGRESS\): wait until"):
        create_change_set(plain_cloud, request(unused, alarm("Old")))


@pytest.mark.parametrize(
    ("status", "can"),
    [
        ("CREATE_COMPLETE", Readiness.UPDATE),
        ("UPDATE_ROLLBACK_COMPLETE", Readiness.UPDATE),
        ("IMPORT_COMPLETE", Readiness.UPDATE),
        ("REVIEW_IN_PROGRESS", Readiness.CREATE),
        ("ROLLBACK_COMPLETE", Readiness.RECREATE),
        ("UPDATE_IN_PROGRESS", Readiness.BUSY),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", Readiness.BUSY),
        ("DELETE_FAILED", Readiness.STUCK),
        ("UPDATE_ROLLBACK_FAILED", Readiness.STUCK),
        ("SOMETHING_NEW", Readiness.STUCK),
    ],
)
def test_what_each_state_allows(status: str, can: Readiness) -> None:
    assert readiness(Stack("s", "arn", status)) is can


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        ("UPDATE_IN_PROGRESS", "wait until that has finished"),
        ("ROLLBACK_FAILED", "aws cloudformation delete-stack --stack-name STACK"),
        ("DELETE_FAILED", "FORCE_DELETE_STACK"),
        ("UPDATE_FAILED", "aws cloudformation rollback-stack --stack-name STACK"),
        (
            "UPDATE_ROLLBACK_FAILED",
            "aws cloudformation continue-update-rollback --stack-name STACK, with --resources-to-skip",
        ),
        ("SOMETHING_NEW", "mend it in CloudFormation"),
    ],
)
def test_blocked_states_say_what_to_do(
    plain_aws: Server, plain_cloud: Cloud, unused: str, status: str, advice: str
) -> None:
    make_stack(plain_aws, unused, "Resources: {Q: {Type: 'AWS::SQS::Queue'}}")
    real = find_stack(plain_cloud, unused)
    assert real is not None
    refuse_blocked(plain_cloud, real)
    with pytest.raises(CloudError, match=advice.replace("name STACK", f"name {unused}")):
        refuse_blocked(plain_cloud, Stack(unused, real.id, status))


def test_of_a_stuck_stack_only_what_stopped_it_is_told() -> None:
    """Not what went wrong in the deployments before, and not what the rollback was for."""

    def event(logical_id: str, status: str, reason: str = "") -> StackEvent:
        return StackEvent(f"{logical_id}-{status}", "s", logical_id, "AWS::SQS::Queue", status, reason)

    def of_stack(status: str) -> StackEvent:
        return StackEvent(status, "s", "s", "AWS::CloudFormation::Stack", status)

    events = (
        of_stack("UPDATE_IN_PROGRESS"),
        *(event(name, "UPDATE_FAILED", "an old story") for name in ("A", "B", "C")),
        of_stack("UPDATE_ROLLBACK_IN_PROGRESS"),
        of_stack("UPDATE_ROLLBACK_COMPLETE"),
        of_stack("UPDATE_IN_PROGRESS"),
        event("D", "UPDATE_FAILED", "no room"),
        of_stack("UPDATE_ROLLBACK_IN_PROGRESS"),
        event("E", "UPDATE_FAILED", "somebody deleted it"),
        of_stack("UPDATE_ROLLBACK_FAILED"),
    )
    assert explain_failure(last_operation(events)) == "E (AWS::SQS::Queue): somebody deleted it"
    assert last_operation(events[1:4]) == events[1:4]
    assert last_operation(()) == ()


def test_causes_come_before_consequences() -> None:
    def event(logical_id: str, status: str, reason: str) -> StackEvent:
        return StackEvent(logical_id, "s", logical_id, "AWS::SQS::Queue", status, reason)

    events = (
        event("Fine", "CREATE_COMPLETE", ""),
        event("First", "CREATE_FAILED", "no\nroom"),
        event("Other", "CREATE_FAILED", "Resource creation cancelled"),
        *(event(name, "CREATE_FAILED", "too late") for name in ("Second", "Third", "Fourth", "Fifth")),
    )
    assert explain_failure(events) == (
        "First (AWS::SQS::Queue): no room; Second (AWS::SQS::Queue): too late; "
        "Third (AWS::SQS::Queue): too late; and 2 more"
    )


# Templates that are too large to send along.


def large(size: int) -> str:
    return template(alarm("Old")) + "\n" + "# filling\n" * (size // 10 + 1)


def test_a_large_template_needs_a_bucket(plain_cloud: Cloud, unused: str) -> None:
    with pytest.raises(CloudError, match=r"alarms/shop\.yaml: 5\d,\d+ bytes, more than the 51,200 .* artifacts_bucket"):
        create_change_set(plain_cloud, StackRequest(unused, large(51_200), "alarms/shop.yaml"))


def test_a_large_template_goes_through_the_bucket(plain_aws: Server, plain_cloud: Cloud, unused: str) -> None:
    s3 = plain_aws.client("s3")
    s3.create_bucket(Bucket=unused, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    text = large(51_200)
    wanted = StackRequest(unused, text, "a.yaml", artifacts_bucket=unused)
    change(plain_cloud, wanted)
    assert alarms(plain_aws, unused) == {"Old": 1}
    assert create_change_set(plain_cloud, wanted).unchanged
    [stored] = s3.list_objects_v2(Bucket=unused)["Contents"]  # equal content is one object
    assert s3.get_object(Bucket=unused, Key=stored["Key"])["Body"].read().decode() == text


def test_a_bucket_that_is_not_there(plain_cloud: Cloud, unused: str) -> None:
    with pytest.raises(CloudError, match=f"bucket {unused} does not exist; create it"):
        create_change_set(plain_cloud, StackRequest(unused, large(51_200), "a.yaml", artifacts_bucket=unused))


def test_a_template_over_a_megabyte_is_refused(plain_cloud: Cloud, unused: str) -> None:
    with pytest.raises(QuotaError, match="at most 1,000,000"):
        create_change_set(plain_cloud, StackRequest(unused, large(1_000_000), "a.yaml", artifacts_bucket=unused))


# What CloudFormation describes, in its own words, which the stand-in does not speak completely.


def described(before: str | None = None, after: str | None = None, cause: str | None = None) -> dict[str, Any]:
    target = {"Attribute": "Properties", "Name": "Endpoint", "RequiresRecreation": "Always"}
    if before is not None:
        target |= {"BeforeValue": before, "AfterValue": str(after)}
    detail = {"Target": target, "Evaluation": "Static", **({"CausingEntity": cause} if cause else {})}
    return {
        "Action": "Modify",
        "LogicalResourceId": "A",
        "ResourceType": "AWS::SNS::Subscription",
        "Replacement": "Conditional",
        "Details": [detail],
    }


def test_values_that_aws_tells_are_shown() -> None:
    [changed] = read_changes((described("old", "new"),), TemplatePair({}, {}))
    assert changed.replacement is Replacement.MAYBE
    assert changed.properties == (PropertyChange("Endpoint", "old", "new"),)


@pytest.mark.parametrize("cause", [None, "Address"])
def test_secrets_are_not_shown(cause: str | None) -> None:
    secrets = frozenset({"Address", "https://pager/?key=1"})
    [changed] = read_changes((described("https://old", "https://pager/?key=1", cause),), TemplatePair({}, {}), secrets)
    assert changed.properties == (PropertyChange("Endpoint", None, None, cause),)


def test_one_line_for_each_property() -> None:
    item = described("1", "2")
    item["Details"] += described("1", "2", "Limit")["Details"]
    [changed] = read_changes((item,), TemplatePair({}, {}))
    assert changed.properties == (PropertyChange("Endpoint", "1", "2", "Limit"),)


def test_a_deployed_template_nobody_can_read_costs_only_the_values() -> None:
    assert template_pair("]", "Resources: {}") == TemplatePair({}, {})
