"""Discovery from outside: what is watched, what is not and why, names, conditions, warnings, and the listing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from stand_in import STAND_IN

from tocsin.cloudformation.document import parse
from tocsin.discovery import as_json, discover
from tocsin.discovery.reasons import why_unwatched
from tocsin.discovery.template import discover_in
from tocsin.errors import DeclarationError, InputError, TemplateError
from tocsin.model import Stack


def found(text: str, **parameters: str) -> Stack:
    return discover_in(parse(text, "t.yaml"), parameters, catalog=STAND_IN)


SHOP = """
Parameters:
  Stage: {Type: String}
  Env: {Type: String, Default: dev}
  Queues: {Type: CommaDelimitedList}
Conditions:
  IsProd: !Equals [!Ref Env, prod]
  IsLive: !Equals [!Ref Stage, live]
Resources:
  Worker: {Type: AWS::Lambda::Function, Properties: {FunctionName: worker, Timeout: 5}}
  Named: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub "${Env}-orders"}}
  Open: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub "${Stage}-orders"}}
  Numbered: {Type: AWS::SQS::Queue, Properties: {QueueName: 123}}
  Guessed: {Type: AWS::SQS::Queue, Properties: {QueueName: !If [IsLive, a, b]}}
  Secret: {Type: AWS::SQS::Queue, Properties: {QueueName: "{{resolve:ssm:/q}}"}}
  Nameless: {Type: AWS::DynamoDB::Table}
  Sometimes: {Type: AWS::SQS::Queue, Condition: IsLive}
  Never: {Type: AWS::SQS::Queue, Condition: IsProd}
  Off: {Type: AWS::Events::Rule, Properties: {State: DISABLED}}
  Role: {Type: AWS::IAM::Role, Condition: IsProd}
  Machine: {Type: AWS::StepFunctions::StateMachine}
  Nested: {Type: AWS::CloudFormation::Stack}
  Typeless: {Properties: {}}
  Text: text
  Fn::ForEach::More:
    - Name
    - !Ref Queues
    - Queue${Name}: {Type: AWS::SQS::Queue}
"""


def test_each_resource_is_watched_or_listed_with_a_reason() -> None:
    stack = found(SHOP)
    assert as_json(stack)["resources"] == [
        {"type": type_name, "logical_id": logical_id, "name": name, "conditional": conditional, "role": None}
        for type_name, logical_id, name, conditional in (
            ("AWS::SQS::Queue", "Guessed", None, False),
            ("AWS::SQS::Queue", "Named", "dev-orders", False),
            ("AWS::DynamoDB::Table", "Nameless", None, False),
            ("AWS::SQS::Queue", "Never", None, True),
            ("AWS::SQS::Queue", "Numbered", "123", False),
            ("AWS::SQS::Queue", "Open", None, False),
            ("AWS::SQS::Queue", "Secret", None, False),
            ("AWS::SQS::Queue", "Sometimes", None, True),
            ("AWS::Lambda::Function", "Worker", "worker", False),
        )
    ]
    assert {u["logical_id"]: (u["type"], u["reason"]) for u in as_json(stack)["unwatched"]} == {
        "Fn::ForEach::More": (
            "AWS::SQS::Queue",
            "the values it loops over are not known without Queues; give them with --param",
        ),
        "Machine": ("AWS::StepFunctions::StateMachine", "not in the catalog yet"),
        "Nested": ("AWS::CloudFormation::Stack", "a nested stack: run Tocsin on its own template"),
        "Off": ("AWS::Events::Rule", "it is switched off"),
        "Role": ("AWS::IAM::Role", "no metrics of its own: permissions"),
        "Text": ("", "it has no Type, so CloudFormation would refuse it"),
        "Typeless": ("", "it has no Type, so CloudFormation would refuse it"),
    }


def test_parameters_decide_names_conditions_and_loops() -> None:
    stack = found(SHOP, Env="prod", Stage="test", Queues="A,B")
    assert stack["Never"].conditional
    assert stack["Open"].name == "test-orders"
    assert stack["Guessed"].name == "b"
    assert stack["QueueA"].type == stack["QueueB"].type == "AWS::SQS::Queue"
    reasons = {unwatched.logical_id: unwatched.reason for unwatched in stack.unwatched}
    assert reasons["Sometimes"].startswith("its condition IsLive is false with these parameters")


def test_a_condition_that_only_default_values_make_false_is_another_environments() -> None:
    assert found(SHOP)["Never"].conditional
    assert "Never" in {unwatched.logical_id for unwatched in found(SHOP, Env="dev").unwatched}


def test_a_condition_that_no_parameter_decides_is_final() -> None:
    stack = found("Conditions: {Never: !Equals [a, b]}\nResources: {Q: {Type: AWS::SQS::Queue, Condition: Never}}")
    assert [u.reason for u in stack.unwatched] == ["its condition Never is false with these parameters"]


def test_surroundings_are_all_resources_of_the_template() -> None:
    stack = found(SHOP)
    surroundings = stack["Worker"].surroundings
    assert {"Worker", "Role", "Never", "Nested", "Typeless"} <= surroundings.keys()
    assert surroundings["Worker"] is stack["Worker"]
    assert all(resource.surroundings is surroundings for resource in surroundings.values())
    with pytest.raises(TypeError):
        surroundings["New"] = stack["Worker"]  # type: ignore[index]


def test_asking_for_an_unwatched_resource_says_why() -> None:
    with pytest.raises(DeclarationError, match=r"Nested .* is not watched: a nested stack"):
        found(SHOP)["Nested"]


def test_warnings() -> None:
    text = """
Transform: [AWS::Serverless-2016-10-31, {Name: OurMacro}, AWS::LanguageExtensions]
Resources:
  A: {Type: AWS::IAM::Role}
  A: {Type: AWS::SQS::Queue, Properties: {QueueName: !Join [x]}}
"""
    assert found(text).warnings == (
        "line 5, column 3: the key 'A' stands twice; the last one counts",
        "the macro OurMacro may add or change resources; run Tocsin on the template that CloudFormation makes of it",
        "A: Fn::Join needs a list of 2",
    )


def test_a_sam_template_keeps_its_types_and_implies_sources() -> None:
    stack = found(
        """
Transform: AWS::Serverless-2016-10-31
Resources:
  Q: {Type: AWS::SQS::Queue}
  F:
    Type: AWS::Serverless::Function
    Properties: {FunctionName: f, Events: {Work: {Type: SQS, Properties: {Queue: !GetAtt Q.Arn}}}}
  T: {Type: AWS::Serverless::SimpleTable, Properties: {TableName: t}}
  A: {Type: AWS::Serverless::Application}
"""
    )
    assert [(r.type, r.name) for r in stack.resources] == [
        ("AWS::Serverless::Function", "f"),
        ("AWS::SQS::Queue", None),
        ("AWS::Serverless::SimpleTable", "t"),
    ]
    assert [u.logical_id for u in stack.unwatched] == ["A"]
    assert stack["Q"].surroundings["FWork"].type == "AWS::Lambda::EventSourceMapping"


@pytest.mark.parametrize(
    ("type_name", "reason"),
    [
        ("Custom::Thing", "a custom resource"),
        ("AWS::CloudFormation::CustomResource", "a custom resource"),
        ("Our::Team::Thing::MODULE", "a module"),
        ("Datadog::Monitors::Monitor", "not a type of AWS"),
        ("AWS::EC2::Subnet", "no metrics of its own: network layout"),
        ("AWS::EC2::NatGateway", "not in the catalog yet"),
        ("AWS::CloudWatch::Alarm", "it watches other resources itself"),
        ("AWS::CDK::Metadata", "no metrics of its own"),
        ("AWS::Brand::New", "not in the catalog yet"),
        ("AWS", "not a type of AWS"),
    ],
)
def test_reasons_help(type_name: str, reason: str) -> None:
    assert why_unwatched(type_name).startswith(reason)


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    file.write_text(json.dumps({"Parameters": {"A": {}}, "Resources": {"Q": {"Type": "AWS::SQS::Queue"}}}))
    stack = discover(file, {"A": "1", "B": "2"}, shown_as="shop/t.json", ignore_unknown=["B"], catalog=STAND_IN)
    assert (stack.path, len(stack.resources)) == ("shop/t.json", 1)
    assert discover(str(file), catalog=STAND_IN).path == str(file)
    with pytest.raises(InputError, match=r"^shop/t\.json: the template has no parameter 'B'"):
        discover(file, {"B": "2"}, shown_as="shop/t.json", catalog=STAND_IN)
    with pytest.raises(TemplateError, match="no such file"):
        discover(tmp_path / "missing", catalog=STAND_IN)


DEAD_LETTERS: list[tuple[str, str]] = [
    ("SQS::Queue", "{RedrivePolicy: {deadLetterTargetArn: !GetAtt D.Arn, maxReceiveCount: 3}}"),
    ("SQS::Queue", '{RedrivePolicy: !Sub \'{"deadLetterTargetArn": "${D.Arn}", "maxReceiveCount": 3}\'}'),
    ("SQS::Queue", "{RedrivePolicy: {deadLetterTargetArn: 'arn:aws:sqs:eu-west-1:1:lost'}}"),
    ("SQS::Queue", '{RedrivePolicy: \'{"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:1:lost"}\'}'),
    ("SQS::Queue", "{RedrivePolicy: {deadLetterTargetArn: !Sub 'arn:aws:sqs:${AWS::Region}:${AWS::AccountId}:lost'}}"),
    ("SQS::Queue", "{RedrivePolicy: {Fn::If: [Maybe, {deadLetterTargetArn: !GetAtt D.Arn}, !Ref AWS::NoValue]}}"),
    ("Lambda::Function", "{DeadLetterConfig: {TargetArn: !GetAtt D.Arn}}"),
    ("Lambda::EventInvokeConfig", "{DestinationConfig: {OnFailure: {Destination: !GetAtt D.Arn}}}"),
    ("Lambda::EventSourceMapping", "{DestinationConfig: {OnFailure: {Destination: !GetAtt D.Arn}}}"),
    ("Events::Rule", "{Targets: [{Arn: x, DeadLetterConfig: {Arn: !GetAtt D.Arn}}]}"),
    ("SNS::Subscription", "{RedrivePolicy: {deadLetterTargetArn: !GetAtt D.Arn}}"),
    ("Scheduler::Schedule", "{Target: {Arn: x, DeadLetterConfig: {Arn: !GetAtt D.Arn}}}"),
    ("Pipes::Pipe", "{SourceParameters: {KinesisStreamParameters: {DeadLetterConfig: {Arn: !GetAtt D.Arn}}}}"),
    ("Serverless::Function", "{DeadLetterQueue: {Type: SQS, TargetArn: !GetAtt D.Arn}}"),
    (
        "Serverless::Function",
        "{EventInvokeConfig: {DestinationConfig: {OnFailure: {Type: SQS, Destination: !GetAtt D.Arn}}}}",
    ),
    (
        "Serverless::Function",
        "{Events: {E: {Type: Schedule, Properties: {Schedule: rate(1 day), DeadLetterConfig: {QueueLogicalId: D}}}}}",
    ),
]


@pytest.mark.parametrize(("type_name", "properties"), DEAD_LETTERS)
def test_dead_letter_queues_are_told_apart(type_name: str, properties: str) -> None:
    stack = found(f"""
Conditions: {{Maybe: !Equals [!Ref Unknown, a]}}
Resources:
  D: {{Type: AWS::SQS::Queue, Properties: {{QueueName: lost}}}}
  Other: {{Type: AWS::SQS::Queue, Properties: {{QueueName: other}}}}
  Source: {{Type: "AWS::{type_name}", Properties: {properties}}}
""")
    assert {name: stack[name].role for name in ("D", "Other")} == {"D": "dlq", "Other": None}


def test_a_queue_can_declare_itself_a_dead_letter_queue() -> None:
    stack = found(
        """
Resources:
  D: {Type: AWS::SQS::Queue, Properties: {RedriveAllowPolicy: {redrivePermission: byQueue, sourceQueueArns: [x]}}}
  E: {Type: AWS::SQS::Queue, Properties: {RedriveAllowPolicy: {redrivePermission: denyAll}}}
"""
    )
    assert (stack["D"].role, stack["E"].role) == ("dlq", None)


@pytest.mark.parametrize(
    "properties",
    [
        "{DestinationConfig: {OnSuccess: {Destination: !GetAtt D.Arn}}}",
        "{RedrivePolicy: not json}",
        "{RedrivePolicy: '[1]'}",
        "{DeadLetterConfig: [1]}",
        "{RedrivePolicy: {deadLetterTargetArn: 5}}",
        "{Environment: {Variables: {QUEUE: !GetAtt D.Arn}}}",
    ],
)
def test_other_references_make_no_dead_letter_queue(properties: str) -> None:
    text = (
        f"Resources:\n  D: {{Type: AWS::SQS::Queue}}\n  S: {{Type: AWS::Lambda::Function, Properties: {properties}}}\n"
    )
    assert found(text)["D"].role is None


def test_names_with_placeholders_find_their_dead_letter_queue() -> None:
    stack = found("""
Resources:
  D: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub "${Stage}-lost"}}
  Q:
    Type: AWS::SQS::Queue
    Properties:
      RedrivePolicy: {deadLetterTargetArn: !Sub "arn:aws:sqs:${AWS::Region}:${AWS::AccountId}:${Stage}-lost"}
""")
    assert stack["D"].role == "dlq"


def test_the_listing_is_plain_json() -> None:
    listing: Any = as_json(found(SHOP))
    assert json.loads(json.dumps(listing)) == listing
