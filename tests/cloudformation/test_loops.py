"""Fn::ForEach: written out where its collection is known, said where it is not."""

from __future__ import annotations

import pytest

from tocsin.cloudformation.document import parse
from tocsin.cloudformation.intrinsics import Resolution, resolve_all
from tocsin.errors import TemplateError


def outcome(text: str, **parameters: str) -> Resolution:
    return resolve_all(parse(text, "t"), parameters)


TOPICS = """
Parameters:
  Names: {Type: CommaDelimitedList}
  Default: {Type: CommaDelimitedList, Default: "one.fifo,two"}
Resources:
  Fn::ForEach::Topics:
    - Name
    - %s
    - Topic&{Name}:
        Type: AWS::SNS::Topic
        Properties:
          TopicName: !Sub "${Name}"
          Plain: {Ref: Name}
          Arn: !GetAtt "Topic&{Name}.Arn"
          Kept: "${!Name}"
"""


@pytest.mark.parametrize("collection", ["[one.fifo, two]", "!Ref Default", "[one.fifo, !Select [1, !Ref Default]]"])
def test_resources(collection: str) -> None:
    one, two = outcome(TOPICS % collection).resources
    assert (one.logical_id, two.logical_id) == ("Topiconefifo", "Topictwo")
    assert one.properties == {
        "TopicName": "one.fifo",
        "Plain": "one.fifo",
        "Arn": "${Topiconefifo.Arn}",
        "Kept": "${!Name}",
    }


def test_a_collection_from_a_parameter_without_a_value() -> None:
    resolution = outcome(TOPICS % "!Ref Names")
    assert resolution.resources == ()
    (stuck,) = resolution.stuck
    assert (stuck.key, stuck.reason) == (
        "Fn::ForEach::Topics",
        "the values it loops over are not known without Names",
    )
    assert [r.logical_id for r in outcome(TOPICS % "!Ref Names", Names="a,b").resources] == ["Topica", "Topicb"]


@pytest.mark.parametrize(
    ("collection", "reason"),
    [
        ("text", "it does not loop over a list"),
        ("[{a: 1}]", "it loops over something other than text"),
        ("['{{resolve:ssm:x}}']", "the values it loops over are not known"),
        ("[!ImportValue x]", "the values it loops over are not known"),
    ],
)
def test_collections_that_cannot_be_walked(collection: str, reason: str) -> None:
    assert [stuck.reason for stuck in outcome(TOPICS % collection).stuck] == [reason]


def test_a_loop_of_the_wrong_shape() -> None:
    (stuck,) = outcome("Resources: {'Fn::ForEach::A': [X, [a]]}").stuck
    assert stuck.reason == "it is not a list of an identifier, a collection and a body"


def test_loops_in_loops() -> None:
    text = """
Mappings: {M: {a: {Inner: [x, y]}, b: {Inner: [z]}}}
Resources:
  Fn::ForEach::Outer:
    - O
    - [a, b]
    - Fn::ForEach::Inner:
        - I
        - !FindInMap [M, !Ref O, Inner]
        - Queue${O}${I}: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub "${O}-${I}"}}
"""
    assert [(r.logical_id, r.properties["QueueName"]) for r in outcome(text).resources] == [
        ("Queueax", "a-x"),
        ("Queueay", "a-y"),
        ("Queuebz", "b-z"),
    ]


def test_loops_in_properties_conditions_and_outputs() -> None:
    text = """
Parameters: {Env: {Type: String, Default: a}, Names: {Type: CommaDelimitedList}}
Conditions:
  Fn::ForEach::C: [E, [a, b], {"Is${E}": !Equals [!Ref Env, !Sub "${E}"]}]
Resources:
  Table:
    Type: T::T::T
    Condition: Isa
    Properties:
      Fn::ForEach::P: [N, [x, y], {"Key${N}": !Ref N}]
      Deep: {Fn::ForEach::D: [N, [x], {"Deep${N}": 1}]}
      Open: {Fn::ForEach::U: [N, !Ref Names, {"U${N}": 1}], Other: 1}
  Other: {Type: T::T::T, Condition: Isb}
Outputs:
  Fn::ForEach::O: [N, [x, y], {"Out${N}": {Value: !Ref N}}]
"""
    resolution = outcome(text)
    table, other = resolution.resources
    assert (table.exists, other.exists) == (True, False)
    assert table.properties == {"Keyx": "x", "Keyy": "y", "Deep": {"Deepx": 1}, "Open": {"Other": 1}}
    assert resolution.outputs == {"Outx": {"Value": "x"}, "Outy": {"Value": "y"}}
    assert resolution.warnings == (
        "Table: Fn::ForEach::U is left out: the values it loops over are not known without Names",
    )


def test_loops_that_multiply_without_end_are_an_error() -> None:
    items = ", ".join(f"i{number}" for number in range(300))
    body = "Q: {Type: T}"
    for level in range(4):
        body = f"Fn::ForEach::L{level}: [X{level}, [{items}], {{{body}}}]"
    with pytest.raises(TemplateError, match="unfold"):
        outcome(f"Resources: {{{body}}}")
