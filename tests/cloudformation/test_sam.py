"""SAM templates: properties in CloudFormation's words, Globals, and what events imply."""

from __future__ import annotations

from tocsin.cloudformation.document import parse
from tocsin.cloudformation.intrinsics import Resolved, resolve_all
from tocsin.cloudformation.sam import translate

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    Timeout: 10
    MemorySize: 256
    Environment: {Variables: {A: 1, B: 1}}
    Layers: [shared]
  HttpApi: {Tags: {a: b}}
Resources:
  Orders: {Type: AWS::SQS::Queue}
  Lost: {Type: AWS::SQS::Queue}
  Files: {Type: AWS::S3::Bucket}
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Timeout: 20
      Environment: {Variables: {B: 2}}
      Layers: [own]
      Tracing: Active
      DeadLetterQueue: {Type: SQS, TargetArn: !GetAtt Lost.Arn}
      Events:
        FromQueue: {Type: SQS, Properties: {Queue: !GetAtt Orders.Arn, BatchSize: 5}}
        Daily: {Type: Schedule, Properties: {Schedule: rate(1 day)}}
        Off: {Type: Schedule, Properties: {Schedule: rate(1 hour), Enabled: false}}
        Nightly: {Type: ScheduleV2, Properties: {ScheduleExpression: "cron(0 2 * * ? *)"}}
        Web: {Type: HttpApi, Properties: {Path: /, Method: get}}
        Upload: {Type: S3, Properties: {Bucket: !Ref Files, Events: "s3:ObjectCreated:*"}}
        News: {Type: SNS, Properties: {Topic: arn:aws:sns:eu-west-1:1:news}}
        Happened: {Type: EventBridgeRule, Properties: {Pattern: {source: [x]}}}
        Alexa: {Type: AlexaSkill}
        Wrong: 5
  Table: {Type: AWS::Serverless::SimpleTable}
  Sized:
    Type: AWS::Serverless::SimpleTable
    Properties: {PrimaryKey: {Name: n, Type: Number}, ProvisionedThroughput: {ReadCapacityUnits: 5}}
  Rest:
    Type: AWS::Serverless::Api
    Properties: {StageName: live, DefinitionBody: {openapi: "3"}, MethodSettings: [{LoggingLevel: INFO}]}
  Http: {Type: AWS::Serverless::HttpApi}
"""


def translated(text: str = TEMPLATE) -> tuple[dict[str, Resolved], dict[str, Resolved]]:
    resolution = resolve_all(parse(text, "t"))
    resources, implied = translate(resolution.resources, resolution.globals)
    return {r.logical_id: r for r in resources}, {r.logical_id: r for r in implied}


def test_functions() -> None:
    worker = translated()[0]["Worker"]
    assert worker.type == "AWS::Serverless::Function"
    assert worker.properties["Timeout"] == 20
    assert worker.properties["MemorySize"] == 256
    assert worker.properties["Environment"] == {"Variables": {"A": 1, "B": 2}}
    assert worker.properties["Layers"] == ["shared", "own"]
    assert worker.properties["TracingConfig"] == {"Mode": "Active"}
    assert worker.properties["DeadLetterConfig"] == {"TargetArn": "${Lost.Arn}"}


def test_events_become_the_resources_that_sam_makes() -> None:
    resources, implied = translated()
    assert {name: made.type for name, made in implied.items() if name.startswith("Worker")} == {
        "WorkerFromQueue": "AWS::Lambda::EventSourceMapping",
        "WorkerDaily": "AWS::Events::Rule",
        "WorkerOff": "AWS::Events::Rule",
        "WorkerNightly": "AWS::Scheduler::Schedule",
        "WorkerWebPermission": "AWS::Lambda::Permission",
        "WorkerNews": "AWS::SNS::Subscription",
        "WorkerHappened": "AWS::Events::Rule",
    }
    mapping = implied["WorkerFromQueue"].properties
    assert (mapping["FunctionName"], mapping["EventSourceArn"], mapping["BatchSize"]) == (
        "${Worker}",
        "${Orders.Arn}",
        5,
    )
    daily = implied["WorkerDaily"].properties
    assert daily["ScheduleExpression"] == "rate(1 day)"
    assert daily["Targets"][0]["Arn"] == "${Worker.Arn}"
    assert implied["WorkerOff"].properties["State"] == "DISABLED"
    notified = resources["Files"].properties["NotificationConfiguration"]["LambdaConfigurations"]
    assert [configuration["Function"] for configuration in notified] == ["${Worker.Arn}"]


def test_tables() -> None:
    resources, _ = translated()
    assert resources["Table"].properties["BillingMode"] == "PAY_PER_REQUEST"
    assert resources["Table"].properties["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]
    sized = resources["Sized"].properties
    assert "BillingMode" not in sized
    assert sized["AttributeDefinitions"] == [{"AttributeName": "n", "AttributeType": "N"}]


def test_apis_imply_their_stages() -> None:
    resources, implied = translated()
    assert resources["Rest"].properties["Body"] == {"openapi": "3"}
    stage = implied["RestliveStage"]
    assert (stage.type, stage.properties["RestApiId"], stage.properties["StageName"]) == (
        "AWS::ApiGateway::Stage",
        "${Rest}",
        "live",
    )
    assert resources["Http"].properties == {"Tags": {"a": "b"}, "ProtocolType": "HTTP", "StageName": "$default"}
    assert implied["HttpApiGatewayDefaultStage"].properties["ApiId"] == "${Http}"


def test_what_a_template_has_is_not_implied_again() -> None:
    text = TEMPLATE.replace("  Orders: {", "  WorkerDaily: {Type: T::T::T}\n  Orders: {")
    resources, implied = translated(text)
    assert resources["WorkerDaily"].type == "T::T::T"
    assert "WorkerDaily" not in implied
