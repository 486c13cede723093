"""The whole line: a handler breaks, its metrics say so, the alarms turn, SNS posts a signed page; mended, it closes."""

from __future__ import annotations

import json

import pytest
from embedded_tools import ROLE, Stack, clients_of, eventually, function, http, rest_api, verify

from tocsin.cloud.embedded import embedded

FACTOR = 120
HANDLER = """
import json, os
def handler(event, context):
    if os.environ["MODE"] == "broken" or "poison" in json.dumps(event):
        raise RuntimeError("broken on purpose")
    return {"statusCode": 200, "body": "[]"}
"""
ALARM = {
    "EvaluationPeriods": 1,
    "ComparisonOperator": "GreaterThanThreshold",
    "TreatMissingData": "notBreaching",
}


def gateway_metric(identifier: str, name: str, statistic: str) -> dict:
    dimensions = [{"Name": "ApiName", "Value": "orders-api"}, {"Name": "Stage", "Value": "prod"}]
    metric = {"Namespace": "AWS/ApiGateway", "MetricName": name, "Dimensions": dimensions}
    return {"Id": identifier, "MetricStat": {"Metric": metric, "Period": 300, "Stat": statistic}, "ReturnData": False}


def system(endpoint: str) -> dict:
    mapping = {"FunctionName": {"Ref": "Worker"}, "EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]}, "BatchSize": 1}
    redrive = {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}, "maxReceiveCount": 2}
    topic = [{"Ref": "Topic"}]
    return {
        "Role": ROLE,
        "Function": function("orders-read", HANDLER, Environment={"Variables": {"MODE": "fine"}}),
        "Worker": function("orders-work", HANDLER, Environment={"Variables": {"MODE": "fine"}}),
        **rest_api("orders-api"),
        "Dead": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "orders-dead"}},
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": 1, "RedrivePolicy": redrive}},
        "Mapping": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": mapping},
        "Topic": {"Type": "AWS::SNS::Topic"},
        "Subscription": {
            "Type": "AWS::SNS::Subscription",
            "Properties": {"TopicArn": {"Ref": "Topic"}, "Protocol": "http", "Endpoint": endpoint},
        },
        "Failures": {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                "AlarmName": "orders-failures",
                "Metrics": [
                    {"Id": "share", "Expression": "IF(all >= 3, 100 * bad / all, 0)", "Label": "failed requests (%)"},
                    gateway_metric("bad", "5XXError", "Sum"),
                    gateway_metric("all", "Count", "SampleCount"),
                ],
                "Threshold": 20,
                **ALARM,
            },
        },
        "DeadLetters": {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                "AlarmName": "orders-dead-letters",
                "Namespace": "AWS/SQS",
                "MetricName": "ApproximateNumberOfMessagesVisible",
                "Dimensions": [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["Dead", "QueueName"]}}],
                "Statistic": "Maximum",
                "Period": 60,
                "Threshold": 0,
                "AlarmActions": topic,
                **ALARM,
            },
        },
        "Page": {
            "Type": "AWS::CloudWatch::CompositeAlarm",
            "DependsOn": ["Failures"],
            "Properties": {
                "AlarmName": "orders-page",
                "AlarmRule": 'ALARM("orders-failures")',
                "AlarmActions": topic,
                "OKActions": topic,
            },
        },
    }


@pytest.mark.timeout(120)
def test_fault_pages_and_recovery_closes_it(tmp_path, receiver):
    with embedded(tmp_path, clock_factor=FACTOR) as aws:
        client = clients_of(aws)
        stack = Stack(client("cloudformation"), "orders")
        stack.create(system(receiver.url))
        ids = stack.ids()
        url = f"{aws.endpoint}/_aws/execute-api/{ids['Api']}/prod/items"

        def state(name: str) -> str:
            found = client("cloudwatch").describe_alarms(
                AlarmNames=[name], AlarmTypes=["MetricAlarm", "CompositeAlarm"]
            )
            return (found["MetricAlarms"] + found["CompositeAlarms"])[0]["StateValue"]

        def ask_until(name: str, wanted: str, status: int) -> None:
            def asked() -> bool:
                assert http(url)[0] == status
                return state(name) == wanted

            eventually(asked, f"{name} to be {wanted}", 40)

        def pages(name: str) -> list[str]:
            return [alarm["NewStateValue"] for alarm in receiver.alarms() if alarm["AlarmName"] == name]

        def switch(mode: str) -> None:
            client("lambda").update_function_configuration(
                FunctionName="orders-read", Environment={"Variables": {"MODE": mode}}
            )

        ask_until("orders-failures", "OK", 200)
        switch("broken")
        ask_until("orders-page", "ALARM", 502)
        client("sqs").send_message(QueueUrl=ids["Queue"], MessageBody="poison")
        eventually(lambda: state("orders-dead-letters") == "ALARM", "the dead letter's alarm", 40)
        switch("fine")
        ask_until("orders-page", "OK", 200)
        # The composite alarm's creation ends in OK, too; that message may come before the subscription is confirmed.
        eventually(lambda: pages("orders-page")[-2:] == ["ALARM", "OK"], "the page and its end")
        assert pages("orders-dead-letters") == ["ALARM"]
        for message in receiver.messages():
            verify(message)
        page = next(alarm for alarm in receiver.alarms() if alarm["NewStateValue"] == "ALARM")
        assert page["AlarmName"] == "orders-page"
        history = client("cloudwatch").describe_alarm_history(
            AlarmName="orders-failures", HistoryItemType="StateUpdate"
        )
        newest, before = history["AlarmHistoryItems"][:2]
        assert (newest["HistorySummary"], before["HistorySummary"]) == (
            "Alarm updated from ALARM to OK",
            "Alarm updated from OK to ALARM",
        )
        assert json.loads(before["HistoryData"])["newState"]["stateReasonData"]["threshold"] == 20
        assert stack.delete() == "DELETE_COMPLETE"
