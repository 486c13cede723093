"""EventBridge of the embedded AWS: connections and their secrets, API destinations, retries, queues for the rest."""

from __future__ import annotations

import base64
import json
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError
from embedded_tools import eventually
from hypothesis import given
from hypothesis import strategies as st

from tocsin.cloud.embedded.api_destinations import _retry_after

KEY = {"ApiKeyAuthParameters": {"ApiKeyName": "Authorization", "ApiKeyValue": "GenieKey not-shown"}}


@dataclass
class Endpoint:
    """An HTTP endpoint: what it got, and the (status, headers) it answers with first."""

    url: str
    got: list[dict[str, Any]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            one.got.append({"path": self.path, "headers": headers, "body": body})
            status, answer = one.answers.pop(0) if one.answers else (200, {})
            self.send_response(status)
            for name, value in {"Content-Length": "0", **answer}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        one = Endpoint(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield one
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def quick(aws) -> Iterator[None]:
    aws.set_deliveries(speed=36000)
    yield
    aws.set_deliveries(speed=360)


def heartbeat(endpoint: Endpoint, name: str, **target: Any) -> dict[str, Any]:
    """A rule that pings the endpoint, as a dead-man's switch does."""
    return {
        "Connection": {
            "Type": "AWS::Events::Connection",
            "Properties": {"Name": name, "AuthorizationType": "API_KEY", "AuthParameters": KEY},
        },
        "Destination": {
            "Type": "AWS::Events::ApiDestination",
            "Properties": {
                "Name": name, "ConnectionArn": {"Fn::GetAtt": ["Connection", "Arn"]}, "HttpMethod": "POST",
                "InvocationEndpoint": f"{endpoint.url}/v2/heartbeats/{name}/ping",
            },
        },
        "Dead": {"Type": "AWS::SQS::Queue"},
        "Rule": {
            "Type": "AWS::Events::Rule",
            "Properties": {
                "Name": name, "ScheduleExpression": "rate(1 minute)",
                "Targets": [
                    {
                        "Id": "ping", "Arn": {"Fn::GetAtt": ["Destination", "Arn"]}, "Input": '{"source": "test"}',
                        "RoleArn": "arn:aws:iam::000000000000:role/ping",
                        "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["Dead", "Arn"]}}, **target,
                    }
                ],
            },
        },
    }  # fmt: skip


def redriven(client: Any, queue: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        client("sqs")
        .receive_message(QueueUrl=queue, MessageAttributeNames=["All"], MaxNumberOfMessages=10)
        .get("Messages", [])
    )
    return found


def counted(client: Any, aws: Any, rule: str, name: str) -> float:
    points = client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Events", MetricName=name, Dimensions=[{"Name": "RuleName", "Value": rule}],
        StartTime=aws.now() - timedelta(days=1), EndTime=aws.now() + timedelta(days=1), Period=86400, Statistics=["Sum"],
    )["Datapoints"]  # fmt: skip
    return sum(point["Sum"] for point in points)


@pytest.mark.parametrize(
    ("kind", "parameters", "shown", "secret"),
    [
        ("API_KEY", KEY, {"ApiKeyAuthParameters": {"ApiKeyName": "Authorization"}},
         {"api_key_name": "Authorization", "api_key_value": "GenieKey not-shown"}),
        ("BASIC", {"BasicAuthParameters": {"Username": "u", "Password": "not-shown"}},
         {"BasicAuthParameters": {"Username": "u"}}, {"username": "u", "password": "not-shown"}),
    ],
)  # fmt: skip
def test_connection_keeps_its_authorization_in_a_secret(client, kind, parameters, shown, secret, aws):
    events, secrets, name = client("events"), client("secretsmanager"), f"kept-{kind.lower().replace('_', '-')}"
    made = events.create_connection(Name=name, AuthorizationType=kind, AuthParameters=parameters, Description="d")
    assert made["ConnectionState"] == "AUTHORIZED"
    got = events.describe_connection(Name=name)
    assert got["ConnectionArn"].startswith(f"arn:aws:events:{aws.region}:000000000000:connection/{name}/")
    assert got["AuthParameters"] == shown
    assert f":secret:events!connection/{name}/" in got["SecretArn"]
    # botocore leaves out what it does not know, so the answer itself is looked at.
    request = urllib.request.Request(
        f"{aws.endpoint}/", json.dumps({"Name": name}).encode(),
        {"X-Amz-Target": "AWSEvents.DescribeConnection", "Content-Type": "application/x-amz-json-1.1"},
    )  # fmt: skip
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        assert b"not-shown" not in answer.read()
    assert json.loads(secrets.get_secret_value(SecretId=got["SecretArn"])["SecretString"]) == secret
    changed = json.loads(json.dumps(parameters).replace("not-shown", "other"))
    events.update_connection(Name=name, AuthorizationType=kind, AuthParameters=changed)
    assert "other" in secrets.get_secret_value(SecretId=got["SecretArn"])["SecretString"]
    assert [each["Name"] for each in events.list_connections(NamePrefix=name)["Connections"]] == [name]
    events.delete_connection(Name=name)
    for call in (
        lambda: secrets.get_secret_value(SecretId=got["SecretArn"]),
        lambda: events.describe_connection(Name=name),
    ):
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            call()


def test_what_eventbridge_refuses_is_refused_without_the_secret(client, endpoint):
    events = client("events")
    events.create_connection(Name="fine", AuthorizationType="API_KEY", AuthParameters=KEY)
    arn = events.describe_connection(Name="fine")["ConnectionArn"]
    only_name = {"ApiKeyAuthParameters": {"ApiKeyName": "a", "ApiKeyValue": ""}}
    import boto3
    from botocore.config import Config

    plain = boto3.client(
        "events", endpoint_url=events.meta.endpoint_url, region_name=events.meta.region_name, aws_access_key_id="test",
        aws_secret_access_key="test", config=Config(parameter_validation=False),
    )  # fmt: skip
    destination = {"Name": "d", "ConnectionArn": arn, "HttpMethod": "POST", "InvocationEndpoint": endpoint.url}
    for call, given_, said in (
        (
            plain.create_connection,
            {"Name": "n", "AuthorizationType": "API_KEY", "AuthParameters": only_name},
            "ApiKeyValue",
        ),
        (plain.create_connection, {"Name": "n/m", "AuthorizationType": "API_KEY", "AuthParameters": KEY}, "Name"),
        (plain.create_connection, {"Name": "n", "AuthParameters": KEY}, "AuthorizationType"),
        (
            plain.create_connection,
            {"Name": "fine", "AuthorizationType": "API_KEY", "AuthParameters": KEY},
            "already exists",
        ),
        (plain.create_api_destination, {**destination, "InvocationEndpoint": "http://example.com/x"}, "HTTPS"),
        (plain.create_api_destination, {**destination, "ConnectionArn": arn + "x"}, "does not exist"),
        (plain.create_api_destination, {**destination, "HttpMethod": "BREW"}, "httpMethod"),
        (
            plain.create_api_destination,
            {**destination, "InvocationRateLimitPerSecond": 0},
            "InvocationRateLimitPerSecond",
        ),
    ):
        with pytest.raises(ClientError) as refused:
            call(**given_)
        assert said in str(refused.value)
        assert "not-shown" not in str(refused.value)
    events.delete_connection(Name="fine")


def test_api_destination_is_read_back_changed_and_deleted(client, endpoint, aws):
    events = client("events")
    events.create_connection(Name="reads", AuthorizationType="API_KEY", AuthParameters=KEY)
    connection = events.describe_connection(Name="reads")["ConnectionArn"]
    wanted = {"ConnectionArn": connection, "InvocationEndpoint": endpoint.url, "HttpMethod": "PUT", "Description": "d"}
    arn = events.create_api_destination(Name="reads", InvocationRateLimitPerSecond=7, **wanted)["ApiDestinationArn"]
    assert arn.startswith(f"arn:aws:events:{aws.region}:000000000000:api-destination/reads/")
    got = events.describe_api_destination(Name="reads")
    assert {name: got[name] for name in wanted} == wanted
    assert (got["InvocationRateLimitPerSecond"], got["ApiDestinationState"]) == (7, "ACTIVE")
    events.update_api_destination(Name="reads", HttpMethod="POST")
    assert events.describe_api_destination(Name="reads")["HttpMethod"] == "POST"
    listed = events.list_api_destinations(ConnectionArn=connection)["ApiDestinations"]
    assert [each["ApiDestinationArn"] for each in listed] == [arn]
    events.delete_api_destination(Name="reads")
    assert events.list_api_destinations(ConnectionArn=connection)["ApiDestinations"] == []
    events.delete_connection(Name="reads")


def test_rule_pings_the_endpoint_each_minute_of_the_clock(stack, client, endpoint, aws):
    made = stack("beats", heartbeat(endpoint, "beats"), {
        each: {"Value": {"Fn::GetAtt": [name, attribute]}}
        for each, name, attribute in (
            ("Arn", "Destination", "Arn"), ("ForPolicy", "Destination", "ArnForPolicy"), ("Secret", "Connection", "SecretArn"),
        )
    })  # fmt: skip
    outputs = made.outputs()
    assert outputs["Arn"].startswith(outputs["ForPolicy"] + "/")
    assert outputs["Secret"] == client("events").describe_connection(Name="beats")["SecretArn"]
    assert made.ids()["Destination"] == made.ids()["Connection"] == "beats"
    for beats in (1, 2, 3):
        aws.advance(60)
        eventually(lambda beats=beats: len(endpoint.got) >= beats, f"beat {beats}")
    ping = endpoint.got[0]
    assert ping["path"] == "/v2/heartbeats/beats/ping"
    assert json.loads(ping["body"]) == {"source": "test"}
    assert ping["headers"]["authorization"] == "GenieKey not-shown"
    assert ping["headers"]["user-agent"] == "Amazon/EventBridge/ApiDestinations"
    eventually(lambda: counted(client, aws, "beats", "Invocations") >= 3, "the count")
    assert counted(client, aws, "beats", "FailedInvocations") == 0


def test_stack_changes_connection_and_destination_in_place(stack, client, endpoint, aws):
    resources = heartbeat(endpoint, "changes")
    made = stack("changes", resources)
    before = client("events").describe_connection(Name="changes")["ConnectionArn"]
    basic = {"BasicAuthParameters": {"Username": "u", "Password": "p"}}
    resources["Connection"]["Properties"] |= {"AuthorizationType": "BASIC", "AuthParameters": basic}
    resources["Destination"]["Properties"] |= {"InvocationEndpoint": f"{endpoint.url}/other", "Description": "new"}
    assert made.update(resources) == "UPDATE_COMPLETE"
    assert client("events").describe_connection(Name="changes")["ConnectionArn"] == before
    assert client("events").describe_api_destination(Name="changes")["Description"] == "new"
    aws.fire("changes")
    got = eventually(lambda: endpoint.got, "the ping")[-1]
    assert got["path"] == "/other"
    assert got["headers"]["authorization"] == "Basic " + base64.b64encode(b"u:p").decode()
    resources["Connection"]["Properties"]["AuthParameters"] = {"BasicAuthParameters": {"Username": "u", "Password": ""}}
    assert made.update(resources) == "UPDATE_ROLLBACK_COMPLETE"
    made.delete()
    assert client("events").list_connections(NamePrefix="changes")["Connections"] == []
    assert client("secretsmanager").list_secrets(Filters=[{"Key": "name", "Values": ["changes"]}])["SecretList"] == []


@pytest.mark.parametrize("status", [401, 407, 409, 429, 500, 502, 503])
def test_which_answers_are_retried(stack, client, endpoint, aws, status):
    name = f"retried-{status}"
    made = stack(name, heartbeat(endpoint, name))
    endpoint.answers = [(status, {})] * 3
    aws.fire(name)
    eventually(lambda: len(endpoint.got) == 4, "four attempts")
    eventually(lambda: aws.deliveries_under_way == 0, "the end")
    assert redriven(client, made.ids()["Dead"]) == []
    assert counted(client, aws, name, "RetryInvocationAttempts") == 3
    assert counted(client, aws, name, "FailedInvocations") == 0


@pytest.mark.parametrize("status", [301, 400, 403, 404, 410])
def test_which_answers_are_final(stack, client, endpoint, aws, status):
    name = f"final-{status}"
    made = stack(name, heartbeat(endpoint, name))
    endpoint.answers = [(status, {"Location": f"{endpoint.url}/elsewhere"})] * 9
    aws.fire(name)
    (message,) = eventually(lambda: redriven(client, made.ids()["Dead"]), "the message in the queue")
    assert len(endpoint.got) == 1
    event = json.loads(message["Body"])
    assert (event["source"], event["detail-type"]) == ("aws.events", "Scheduled Event")
    attributes = {key: value["StringValue"] for key, value in message["MessageAttributes"].items()}
    assert attributes["RULE_ARN"].endswith(f":rule/{name}")
    assert f":api-destination/{name}/" in attributes["TARGET_ARN"]
    assert (attributes["ERROR_CODE"], attributes["RETRY_ATTEMPTS"]) == (f"HTTP_{status}", "0")
    assert "EXHAUSTED_RETRY_CONDITION" not in attributes
    assert counted(client, aws, name, "InvocationsSentToDlq") == 1


@pytest.mark.parametrize(
    ("policy", "attempts", "condition"),
    [
        ({"MaximumRetryAttempts": 2}, 3, "MaximumRetryAttempts"),
        ({"MaximumRetryAttempts": 0}, 1, "MaximumRetryAttempts"),
        # Seconds of 1, 2, 4, 8, 16 and 32 fit into 65 of them, the next 64 do not.
        ({"MaximumEventAgeInSeconds": 65}, 7, "MaximumEventAgeInSeconds"),
    ],
)
def test_retry_policy_of_the_target_is_kept(stack, client, endpoint, aws, policy, attempts, condition):
    name = f"policy-{attempts}"
    made = stack(name, heartbeat(endpoint, name, RetryPolicy=policy))
    endpoint.answers = [(500, {})] * 20
    aws.fire(name)
    (message,) = eventually(lambda: redriven(client, made.ids()["Dead"]), "the message in the queue")
    assert len(endpoint.got) == attempts
    attributes = {key: value["StringValue"] for key, value in message["MessageAttributes"].items()}
    assert attributes["EXHAUSTED_RETRY_CONDITION"] == condition
    assert attributes["RETRY_ATTEMPTS"] == str(attempts - 1)


def test_retry_after_is_honoured_and_a_negative_one_ends_the_retries(stack, client, endpoint, aws):
    made = stack("asks", heartbeat(endpoint, "asks", RetryPolicy={"MaximumEventAgeInSeconds": 60}))
    endpoint.answers = [(429, {"Retry-After": "3600"})] * 9  # more than the event may live
    aws.fire("asks")
    (message,) = eventually(lambda: redriven(client, made.ids()["Dead"]), "the message in the queue")
    assert message["MessageAttributes"]["EXHAUSTED_RETRY_CONDITION"]["StringValue"] == "MaximumEventAgeInSeconds"
    client("sqs").delete_message(QueueUrl=made.ids()["Dead"], ReceiptHandle=message["ReceiptHandle"])
    endpoint.answers = [(503, {"Retry-After": "-1"})] * 9
    aws.fire("asks")
    eventually(lambda: redriven(client, made.ids()["Dead"]), "the message in the queue")
    assert len(endpoint.got) == 2


def test_endpoint_that_is_gone_and_a_queue_that_is_gone(stack, client, endpoint, aws):
    resources = heartbeat(endpoint, "nobody", RetryPolicy={"MaximumRetryAttempts": 1})
    resources["Destination"]["Properties"]["InvocationEndpoint"] = "http://127.0.0.1:9/?apiKey=not-shown"
    made = stack("nobody", resources)
    aws.fire("nobody")
    (message,) = eventually(lambda: redriven(client, made.ids()["Dead"]), "the message in the queue")
    attributes = {key: value["StringValue"] for key, value in message["MessageAttributes"].items()}
    assert attributes["ERROR_CODE"] == "SDK_CLIENT_ERROR"
    assert "not-shown" not in json.dumps(message)
    client("sqs").delete_queue(QueueUrl=made.ids()["Dead"])
    aws.fire("nobody")
    eventually(lambda: counted(client, aws, "nobody", "InvocationsFailedToBeSentToDlq") == 1, "the count")
    assert b"not-shown" not in (aws.directory / "embedded-aws.log").read_bytes()


@given(st.floats(-1000, 1000))
def test_retry_after_reads_numbers(seconds):
    assert _retry_after({"Retry-After": repr(seconds)}) == seconds


def test_retry_after_reads_dates_and_nothing_else():
    from datetime import UTC, datetime

    soon = _retry_after({"Retry-After": format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)})
    assert soon is not None
    assert 3500 < soon <= 3600
    assert _retry_after({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert _retry_after({"Retry-After": "soon"}) is None
    assert _retry_after({}) is None
