"""Alarm mute rules of the embedded AWS: the calls in each protocol, limits, status, and what muted actions do."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from botocore.exceptions import ClientError
from embedded_tools import Receiver, eventually

from tocsin.cloud.embedded import EmbeddedAws

METRIC = {
    "Namespace": "Test", "MetricName": "Mutes", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1,
    "Threshold": 1, "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "ignore",
}  # fmt: skip


@pytest.fixture
def alarm(client, receiver) -> Any:
    """``alarm("name")``: an alarm whose every state tells the receiver; deleted after the test."""
    sns, cloudwatch = client("sns"), client("cloudwatch")
    topic = sns.create_topic(Name=f"mutes-{receiver.url.rpartition(':')[2].partition('/')[0]}")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=receiver.url)
    confirmed = lambda: sns.get_topic_attributes(TopicArn=topic)["Attributes"]["SubscriptionsConfirmed"] == "1"  # noqa: E731
    eventually(confirmed, "the confirmation")
    made: list[str] = []

    def create(name: str, rule: str = "", **rest: Any) -> str:
        actions = {field: [topic] for field in ("AlarmActions", "OKActions", "InsufficientDataActions")}
        if rule:
            cloudwatch.put_composite_alarm(AlarmName=name, AlarmRule=rule, **actions, **rest)
        else:
            cloudwatch.put_metric_alarm(AlarmName=name, **METRIC, **actions)
        made.insert(0, name)
        return name

    yield create
    for name in made:
        cloudwatch.delete_alarms(AlarmNames=[name])
    sns.delete_topic(TopicArn=topic)


@pytest.fixture
def rule(client, aws) -> Any:
    """``rule("name", alarms)``: a rule from the present minute on; deleted after the test."""
    cloudwatch = client("cloudwatch")
    made: list[str] = []

    def put(name: str, alarms: list[str], duration: str = "PT30M", **rest: Any) -> str:
        schedule = {"Expression": f"at({aws.now():%Y-%m-%dT%H:%M})", "Duration": duration, **rest.pop("schedule", {})}
        cloudwatch.put_alarm_mute_rule(
            Name=name, Rule={"Schedule": schedule}, MuteTargets={"AlarmNames": alarms}, **rest
        )
        made.append(name)
        return name

    yield put
    for name in made:
        cloudwatch.delete_alarm_mute_rule(AlarmMuteRuleName=name)


def told(receiver: Receiver) -> list[tuple[str, str]]:
    return [(message["AlarmName"], message["NewStateValue"]) for message in receiver.alarms()]


def force(client: Callable[..., Any], name: str, state: str) -> None:
    client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason=f"test: {state}")


def end(aws: EmbeddedAws) -> None:
    """Let the rules of `rule` come to their end."""
    aws.advance(1800)
    aws.next_minute()


def history(client: Callable[..., Any], name: str, kind: str = "MetricAlarm") -> list[dict[str, Any]]:
    items = client("cloudwatch").describe_alarm_history(
        AlarmName=name, HistoryItemType="Action", AlarmTypes=[kind], ScanBy="TimestampAscending"
    )["AlarmHistoryItems"]
    return [{"summary": item["HistorySummary"], **json.loads(item["HistoryData"])} for item in items]


def test_rule_is_read_back_as_it_was_put(client, aws, alarm):
    cloudwatch = client("cloudwatch")
    names = [alarm("read-1"), alarm("read-2")]
    starts = datetime(2035, 1, 1, tzinfo=UTC)
    schedule = {"Expression": "cron(0 2 * * SUN)", "Duration": "P2DT12H", "Timezone": "Europe/Berlin"}
    cloudwatch.put_alarm_mute_rule(
        Name="nightly", Description="backup", Rule={"Schedule": schedule}, MuteTargets={"AlarmNames": names},
        Tags=[{"Key": "team", "Value": "a"}], StartDate=starts, ExpireDate=starts + timedelta(days=30),
    )  # fmt: skip
    got = cloudwatch.get_alarm_mute_rule(AlarmMuteRuleName="nightly")
    arn = f"arn:aws:cloudwatch:{aws.region}:000000000000:alarm-mute-rule:nightly"
    assert (got["Name"], got["AlarmMuteRuleArn"], got["Description"]) == ("nightly", arn, "backup")
    assert got["Rule"] == {"Schedule": schedule}
    assert got["MuteTargets"] == {"AlarmNames": names}
    assert (got["StartDate"], got["ExpireDate"]) == (starts, starts + timedelta(days=30))
    assert (got["Status"], got["MuteType"]) == ("SCHEDULED", "RECURRING")
    assert abs(got["LastUpdatedTimestamp"] - aws.now()) < timedelta(minutes=2)
    assert cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "team", "Value": "a"}]
    cloudwatch.put_alarm_mute_rule(Name="nightly", Rule={"Schedule": schedule}, MuteTargets={"AlarmNames": names[:1]})
    changed = cloudwatch.get_alarm_mute_rule(AlarmMuteRuleName="nightly")
    assert changed["MuteTargets"] == {"AlarmNames": names[:1]}
    assert not {"StartDate", "Description"} & set(changed)
    for _ in range(2):  # deleting what is not there is fine
        cloudwatch.delete_alarm_mute_rule(AlarmMuteRuleName="nightly")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        cloudwatch.get_alarm_mute_rule(AlarmMuteRuleName="nightly")


def test_rules_are_listed_by_alarm_by_status_and_in_pages(client, alarm, rule, aws):
    cloudwatch = client("cloudwatch")
    first, second = alarm("list-1"), alarm("list-2")
    rule("list-active", [first, second])
    rule("list-future", [first], schedule={"Expression": "at(2035-01-01T00:00)"})
    rule("list-past", [second], schedule={"Expression": "at(2020-01-01T00:00)"})
    rule(
        "list-ended", [second], schedule={"Expression": "cron(* * * * *)"}, ExpireDate=aws.now() - timedelta(minutes=1)
    )

    def listed(**query: Any) -> dict[str, str]:
        pages = cloudwatch.get_paginator("list_alarm_mute_rules").paginate(PaginationConfig={"PageSize": 2}, **query)
        found = [each for page in pages for each in page["AlarmMuteRuleSummaries"]]
        return {each["AlarmMuteRuleArn"].rpartition(":")[2]: each["Status"] for each in found}

    every = {"list-active": "ACTIVE", "list-future": "SCHEDULED", "list-past": "EXPIRED", "list-ended": "EXPIRED"}
    assert listed() == every
    assert listed(AlarmName=first) == {"list-active": "ACTIVE", "list-future": "SCHEDULED"}
    assert listed(Statuses=["EXPIRED"]) == {"list-past": "EXPIRED", "list-ended": "EXPIRED"}
    assert listed(AlarmName=second, Statuses=["ACTIVE", "SCHEDULED"]) == {"list-active": "ACTIVE"}
    with pytest.raises(ClientError, match="InvalidNextToken"):
        cloudwatch.list_alarm_mute_rules(NextToken="\u00e9")


GOOD = {"Expression": "cron(0 2 * * *)", "Duration": "PT1M"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"Duration": "PT0M"}, "between PT1M and P15D"),
        ({"Duration": "P15DT1M"}, "between PT1M and P15D"),
        ({"Duration": "1h"}, "Duration '1h'"),
        ({"Expression": "rate(1 hour)"}, "write it as cron"),
        ({"Expression": "cron(0 2 * *)"}, "has 4 fields"),
        ({"Expression": "at(2026-13-01T00:00)"}, "is no time"),
        ({"Timezone": "Mars/Olympus"}, "Mars/Olympus"),
    ],
)
def test_schedule_that_cloudwatch_refuses_is_refused(client, change, said):
    with pytest.raises(ClientError, match="ValidationError") as refused:
        client("cloudwatch").put_alarm_mute_rule(Name="bad", Rule={"Schedule": {**GOOD, **change}})
    assert said in str(refused.value)


def test_limits_of_names_alarms_and_rules(client, alarm, aws):
    import boto3
    from botocore.config import Config

    # botocore checks lengths itself; the service is to check them as well.
    plain = boto3.client(
        "cloudwatch", endpoint_url=aws.endpoint, region_name="eu-central-1", aws_access_key_id="test",
        aws_secret_access_key="test", config=Config(parameter_validation=False),
    )  # fmt: skip
    for name, alarms, said in (
        ("", [], "1 to 255"), ("n" * 256, [], "1 to 255"), ("many", ["a"] * 101, "at most 100"), ("lost", ["none"], "do not exist"),
    ):  # fmt: skip
        with pytest.raises(ClientError, match=said):
            plain.put_alarm_mute_rule(Name=name, Rule={"Schedule": GOOD}, MuteTargets={"AlarmNames": alarms})
    for number in range(2000):
        plain.put_alarm_mute_rule(Name=f"rule-{number}", Rule={"Schedule": GOOD})
    with pytest.raises(ClientError, match="LimitExceeded") as refused:
        plain.put_alarm_mute_rule(Name="one-too-many", Rule={"Schedule": GOOD})
    assert refused.value.response["Error"]["Code"] == "LimitExceeded"
    plain.put_alarm_mute_rule(Name="rule-7", Rule={"Schedule": GOOD}, Description="a change is no new rule")


def test_query_and_json_protocols_know_the_calls_too(aws, alarm, client):
    name = alarm("protocols")
    parameters = {
        "Action": "PutAlarmMuteRule", "Version": "2010-08-01", "Name": "by-query",
        "Rule.Schedule.Expression": "at(2035-01-01T00:00)", "Rule.Schedule.Duration": "PT1H",
        "MuteTargets.AlarmNames.member.1": name, "StartDate": "2034-12-31T00:00:00Z",
    }  # fmt: skip

    def query(**given: str) -> ElementTree.Element:
        body = urllib.parse.urlencode({"Version": "2010-08-01", **given}).encode()
        request = urllib.request.Request(f"{aws.endpoint}/", body, {"Authorization": signed(aws.region)})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            return ElementTree.fromstring(answer.read())

    query(**parameters)
    space = {"c": "http://monitoring.amazonaws.com/doc/2010-08-01/"}
    got = query(Action="GetAlarmMuteRule", AlarmMuteRuleName="by-query")
    assert got.findtext(".//c:MuteTargets/c:AlarmNames/c:member", namespaces=space) == name
    assert got.findtext(".//c:StartDate", namespaces=space).startswith("2034-12-31T00:00:00")
    assert got.findtext(".//c:Rule/c:Schedule/c:Duration", namespaces=space) == "PT1H"
    listed = query(**{"Action": "ListAlarmMuteRules", "Statuses.member.1": "SCHEDULED", "AlarmName": name})
    assert listed.findtext(".//c:AlarmMuteRuleArn", namespaces=space).endswith(":by-query")

    def as_json(operation: str, content: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{aws.endpoint}/", json.dumps(content).encode(),
            {"X-Amz-Target": f"GraniteServiceVersion20100801.{operation}", "Content-Type": "application/x-amz-json-1.0",
             "Authorization": signed(aws.region)},
        )  # fmt: skip
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            return json.loads(answer.read())

    found = as_json("GetAlarmMuteRule", {"AlarmMuteRuleName": "by-query"})
    assert found["StartDate"] == datetime(2034, 12, 31, tzinfo=UTC).timestamp()
    assert found["MuteType"] == "ONE_TIME"
    as_json("DeleteAlarmMuteRule", {"AlarmMuteRuleName": "by-query"})
    assert as_json("ListAlarmMuteRules", {"AlarmName": name})["AlarmMuteRuleSummaries"] == []


def signed(region: str) -> str:
    return (
        f"AWS4-HMAC-SHA256 Credential=test/20261121/{region}/monitoring/aws4_request, SignedHeaders=host, Signature=0"
    )


@pytest.mark.parametrize("state", ["ALARM", "OK", "INSUFFICIENT_DATA"])
def test_actions_of_each_state_wait_for_the_end_of_the_mute(client, aws, alarm, rule, receiver, state):
    name = alarm(f"muted-{state.lower()}")
    before = "OK" if state != "OK" else "ALARM"
    force(client, name, before)
    eventually(lambda: told(receiver) == [(name, before)] or before == "INSUFFICIENT_DATA", "the state before")
    rule("maintenance", [name])
    force(client, name, state)
    (item,) = [each for each in history(client, name) if each["actionState"] == "Muted"]
    assert "maintenance" in item["summary"]
    aws.next_minute()
    assert told(receiver) == [(name, before)]
    end(aws)
    eventually(lambda: told(receiver) == [(name, before), (name, state)], "the action after the mute")
    assert history(client, name)[-1]["actionState"] == "Succeeded"
    aws.next_minute()
    assert len(told(receiver)) == 2


def test_alarm_that_is_over_before_the_mute_ends_tells_of_its_last_state_only(client, aws, alarm, rule, receiver):
    name = alarm("flaps")
    rule("maintenance", [name])
    for state in ("OK", "ALARM", "OK", "ALARM"):
        force(client, name, state)
    end(aws)
    eventually(lambda: told(receiver), "the action after the mute")
    aws.next_minute()
    assert told(receiver) == [(name, "ALARM")]


def test_deleting_or_changing_the_rule_unmutes_at_once(client, alarm, rule, receiver):
    first, second = alarm("deleted-rule"), alarm("changed-rule")
    rule("gone", [first])
    rule("smaller", [second])
    for name in (first, second):
        force(client, name, "ALARM")
    assert told(receiver) == []
    client("cloudwatch").delete_alarm_mute_rule(AlarmMuteRuleName="gone")
    eventually(lambda: told(receiver) == [(first, "ALARM")], "the first action")
    rule("smaller", [first])
    eventually(lambda: told(receiver) == [(first, "ALARM"), (second, "ALARM")], "the second action")


def test_mute_comes_before_a_suppressor_which_still_holds_afterwards(client, aws, alarm, rule, receiver):
    child, suppressor = alarm("page-child"), alarm("page-suppressor")
    for name in (child, suppressor):
        force(client, name, "OK")
    eventually(lambda: len(told(receiver)) == 2, "the first states")
    page = alarm(
        "page", "ALARM(page-child)", ActionsSuppressor=suppressor, ActionsSuppressorWaitPeriod=0,
        ActionsSuppressorExtensionPeriod=0,
    )  # fmt: skip
    eventually(lambda: (page, "OK") in told(receiver), "the state at creation")
    rule("maintenance", [page, child, suppressor])
    force(client, child, "ALARM")
    force(client, suppressor, "ALARM")  # it is too late to suppress, but still holds when the mute ends
    already = len(told(receiver))
    end(aws)
    eventually(lambda: len(told(receiver)) >= already + 2, "the unsuppressed alarms")
    assert (page, "ALARM") not in told(receiver)
    force(client, suppressor, "OK")
    eventually(lambda: (page, "ALARM") in told(receiver), "the page")


def test_states_go_on_while_muted(client, aws, alarm, rule):
    child = alarm("muted-child")
    page = alarm("muted-page", "ALARM(muted-child)")
    rule("maintenance", [child, page])
    force(client, child, "ALARM")
    found = client("cloudwatch").describe_alarms(AlarmNames=[page], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
    assert found[0]["StateValue"] == "ALARM"


def test_stack_makes_changes_and_deletes_a_rule(stack, client, alarm):
    name = alarm("of-a-stack")

    def resources(duration: str, **rest: Any) -> dict[str, Any]:
        schedule = {"Expression": "cron(0 2 * * *)", "Duration": duration, "Timezone": "Europe/Berlin"}
        properties = {"Rule": {"Schedule": schedule}, "MuteTargets": {"AlarmNames": [name]}, **rest}
        return {"Quiet": {"Type": "AWS::CloudWatch::AlarmMuteRule", "Properties": properties}}

    outputs = {each: {"Value": {"Fn::GetAtt": ["Quiet", each]}} for each in ("Arn", "Status", "MuteType")}
    made = stack(
        "mute-rule", resources("PT1H", StartDate="2035-06-01T08:00", Tags=[{"Key": "k", "Value": "v"}]), outputs
    )
    identifier = made.ids()["Quiet"]
    got = client("cloudwatch").get_alarm_mute_rule(AlarmMuteRuleName=identifier)
    assert made.outputs() == {"Arn": got["AlarmMuteRuleArn"], "Status": "SCHEDULED", "MuteType": "RECURRING"}
    assert got["StartDate"] == datetime(2035, 6, 1, 6, tzinfo=UTC)  # eight o'clock in Berlin's summer
    tags = client("cloudwatch").list_tags_for_resource(ResourceARN=got["AlarmMuteRuleArn"])["Tags"]
    assert {"Key": "k", "Value": "v"} in tags
    assert made.update(resources("PT3H")) == "UPDATE_COMPLETE"
    assert made.ids()["Quiet"] == identifier
    changed = client("cloudwatch").get_alarm_mute_rule(AlarmMuteRuleName=identifier)
    assert changed["Rule"]["Schedule"]["Duration"] == "PT3H"
    assert "StartDate" not in changed
    assert made.update(resources("P30D")) == "UPDATE_ROLLBACK_COMPLETE"
    made.delete()
    assert client("cloudwatch").list_alarm_mute_rules(AlarmName=name)["AlarmMuteRuleSummaries"] == []


def test_composite_set_by_hand_stays_until_a_child_changes(client, aws, alarm, receiver):
    child = alarm("by-hand-child")
    force(client, child, "OK")
    page = alarm("by-hand", "ALARM(by-hand-child)")

    def state() -> str:
        found = client("cloudwatch").describe_alarms(AlarmNames=[page], AlarmTypes=["CompositeAlarm"])
        return found["CompositeAlarms"][0]["StateValue"]

    assert state() == "OK"
    force(client, page, "ALARM")
    aws.next_minute()
    aws.next_minute()
    assert state() == "ALARM"
    force(client, child, "INSUFFICIENT_DATA")
    assert state() == "OK"
    eventually(lambda: told(receiver)[-1] == (page, "OK") or (page, "OK") in told(receiver)[-2:], "the closing")


def test_history_says_what_became_of_each_action(client, aws):
    cloudwatch, sns = client("cloudwatch"), client("sns")
    topic = sns.create_topic(Name="history")["TopicArn"]
    missing = topic.replace("history", "nowhere")
    cloudwatch.put_metric_alarm(AlarmName="history", **METRIC, AlarmActions=[topic, missing])
    force(client, "history", "ALARM")
    fine, failed = history(client, "history")
    assert fine["summary"] == f"Successfully executed action {topic}"
    assert (fine["actionState"], fine["notificationResource"], fine["error"]) == ("Succeeded", topic, None)
    assert json.loads(json.loads(fine["publishedMessage"])["default"])["AlarmName"] == "history"
    assert failed["summary"].startswith(f"Failed to execute action {missing}. Received error:")
    assert (failed["actionState"], failed["publishedMessage"]) == ("Failed", None)
    assert missing in failed["error"]
    assert abs(failed["stateUpdateTimestamp"] / 1000 - aws.now().timestamp()) < 120
    cloudwatch.delete_alarms(AlarmNames=["history"])
