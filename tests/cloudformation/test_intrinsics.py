"""Intrinsic functions, parameters and conditions: what a template says before it is deployed."""

from __future__ import annotations

from typing import Any

import pytest

from tocsin.cloudformation.document import parse
from tocsin.cloudformation.intrinsics import Resolution, Resolved, resolve, resolve_all
from tocsin.cloudformation.symbolic import Reference, Symbolic, references
from tocsin.errors import InputError, TemplateError

HEAD = """
Parameters:
  Stage: {Type: String}
  Env: {Type: String, Default: dev, AllowedValues: [dev, prod]}
  Names: {Type: CommaDelimitedList, Default: "a, b,c"}
  Unknown: {Type: CommaDelimitedList}
  Subnets: {Type: "List<AWS::EC2::Subnet::Id>", Default: "subnet-1,subnet-2"}
  Limits: {Type: "List<Number>", Default: "1,2.5"}
  Timeout: {Type: Number, Default: 30}
  Account: {Type: Number, Default: "012"}
  Flag: {Type: String, Default: true}
  Image: {Type: "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>", Default: /aws/image}
Mappings:
  Sizes:
    dev: {Memory: 128, Timeout: 30, List: [x, y]}
    prod: {Memory: 512, Timeout: 30, List: [x, y]}
Conditions:
  IsDev: !Equals [!Ref Env, dev]
  IsProd: !Equals [!Ref Env, prod]
  IsLive: !Equals [!Ref Stage, live]
  SameStage: !Equals [!Sub "${Stage}", !Ref Stage]
  NotDev: !Not [!Condition IsDev]
  Either: !Or [!Condition IsLive, !Condition IsDev]
  Both: !And [!Condition IsLive, !Condition IsProd]
  Open: !And [!Condition IsLive, !Condition IsDev]
  FromFlag: !Equals [!Ref Flag, "true"]
  Numbers: !Equals [!Ref Timeout, "30"]
  Odd: !Equals [only one]
"""


def template(properties: str, head: str = HEAD) -> str:
    return f"{head}\nResources:\n  Thing:\n    Type: T::T::T\n    Properties:\n      Value: {properties}\n"


def outcome(text: str, **pseudo: str) -> Resolution:
    return resolve_all(parse(template(text), "t"), pseudo={f"AWS::{name}": value for name, value in pseudo.items()})


def value(text: str, **pseudo: str) -> Any:
    return outcome(text, **pseudo).resources[0].properties.get("Value", "absent")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("!Ref Env", "dev"),
        ("!Ref Names", ["a", "b", "c"]),
        ("!Ref Subnets", ["subnet-1", "subnet-2"]),
        ("!Ref Limits", [1, 2.5]),
        ("!Ref Timeout", 30),
        ("!Ref Account", "012"),
        ("!Ref Flag", "true"),
        ("!Ref AWS::NoValue", "absent"),
        ("[1, !Ref AWS::NoValue, 2]", [1, 2]),
        ("{a: !Ref AWS::NoValue, b: 1}", {"b": 1}),
        ("!Sub 'x-${Env}-${Timeout}-${Flag}'", "x-dev-30-true"),
        ("!Sub ['${a}${Env}', {a: !Ref Timeout}]", "30dev"),
        ("!Sub '${!Literal} ${Env}'", "${Literal} dev"),
        ("!Sub '${ Env }'", "dev"),
        ("!Join ['-', [a, !Ref Env, 1]]", "a-dev-1"),
        ("!Join [',', !Ref Names]", "a,b,c"),
        ("!Split ['-', 'a-b-c']", ["a", "b", "c"]),
        ("!Select [1, !Ref Names]", "b"),
        ("!Select ['1', [a, b]]", "b"),
        ("!Select [5, !Split [':', 'arn:aws:sqs:eu-west-1:1:orders']]", "orders"),
        ("!Select [5, !Split [':', !Sub 'arn:aws:sqs:${AWS::Region}:${AWS::AccountId}:orders']]", "orders"),
        ("!FindInMap [Sizes, !Ref Env, Memory]", 128),
        ("!FindInMap [Sizes, !Ref Stage, Timeout]", 30),
        ("!FindInMap [Sizes, dev, List]", ["x", "y"]),
        ("!FindInMap [Sizes, none, Memory, {DefaultValue: 64}]", 64),
        ("!FindInMap [None, none, Memory, {DefaultValue: !Ref Env}]", "dev"),
        ("!If [IsDev, 1, 2]", 1),
        ("!If [IsProd, 1, 2]", 2),
        ("!If [IsProd, 1, !Ref AWS::NoValue]", "absent"),
        ("!If [IsLive, 7, 7]", 7),
        ("!If [IsLive, {a: 1}, !Ref AWS::NoValue]", {"a": 1}),
        ("!If [IsLive, !Ref AWS::NoValue, {a: 1}]", {"a": 1}),
        ("!If [IsLive, {a: 1}, {a: 1, b: 2}]", {"a": 1, "b": 2}),
        ("!If [SameStage, 1, 2]", 1),
        ("!If [NotDev, 1, 2]", 2),
        ("!If [Either, 1, 2]", 1),
        ("!If [Both, 1, 2]", 2),
        ("!If [FromFlag, 1, 2]", 1),
        ("!If [Numbers, 1, 2]", 1),
        ("!Base64 abc", "YWJj"),
        ("!Cidr [10.0.0.0/16, 2, 8]", ["10.0.0.0/24", "10.0.1.0/24"]),
        ("!Select [1, !Cidr [10.0.0.0/16, 2, 8]]", "10.0.1.0/24"),
        ("!Length [a, b]", 2),
        ("{'Fn::Length': !Ref Names}", 3),
        ("!ToJsonString {a: [1, !Ref Env], b: !Ref AWS::NoValue}", '{"a":[1,"dev"]}'),
        ("{Ref: a, Other: b}", {"Ref": "a", "Other": "b"}),
        ("{Condition: {StringEquals: x}}", {"Condition": {"StringEquals": "x"}}),
    ],
)
def test_what_the_template_says_becomes_plain(text: str, expected: Any) -> None:
    found = value(text)
    assert found == expected
    assert not isinstance(found, Symbolic)
    assert outcome(text).warnings == ("condition Odd: Fn::Equals has the wrong arguments",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("!Ref Stage", "${Stage}"),
        ("!Ref Image", "${Image}"),
        ("!Ref Queue", "${Queue}"),
        ("!Ref AWS::Region", "${AWS::Region}"),
        ("!GetAtt Queue.Arn", "${Queue.Arn}"),
        ("!GetAtt [Queue, !Ref Env]", "${Queue.dev}"),
        ("!Sub '${Stage}-${Env}-${Queue.Arn}'", "${Stage}-dev-${Queue.Arn}"),
        ("!Sub '${!Literal}${Stage}'", "${!Literal}${Stage}"),
        ("!Sub ['${a}', {a: !GetAtt Queue.Arn}]", "${Queue.Arn}"),
        ("!Join ['-', [!Ref Stage, '${x}']]", "${Stage}-${!x}"),
        ("!Join ['-', !Ref Unknown]", "${Unknown}"),
        ("!Select [1, !Ref Unknown]", "${Unknown.[1]}"),
        ("!Select [5, !Split [':', !GetAtt Queue.Arn]]", "${Queue.Arn.[5]}"),
        ("!Select [4, !Split ['/', !Ref Queue]]", "${Queue.[4]}"),
        ("!Select [1, !Split ['-', !Sub 'a-${Stage}-b']]", "${Stage}"),
        ("!Select [3, !Split ['-', !Sub 'a-${Stage}-b']]", "${Fn::Select}"),
        ("!Select [!Ref Stage, [a, b]]", "${Fn::Select}"),
        ("!FindInMap [Sizes, !Ref Stage, Memory]", "${Fn::FindInMap.Sizes}"),
        ("!FindInMap [!Ref Stage, dev, Memory]", "${Fn::FindInMap}"),
        ("!FindInMap [Sizes, !Ref Stage, Timeout, {DefaultValue: 5}]", "${Fn::FindInMap.Sizes}"),
        ("!If [IsLive, a, b]", "a"),
        ("!If [IsLive, a, !GetAtt Queue.Arn]", "${Queue.Arn}"),
        ("!If [IsLive, !Ref AWS::NoValue, b]", "b"),
        ("!If [Open, a, b]", "a"),
        ("!If [Odd, a, b]", "a"),
        ("!Base64 {'Fn::Sub': 'a ${Stage}'}", "a ${Stage}"),
        ("!Cidr [!Ref Stage, 2, 8]", "${Fn::Cidr}"),
        ("!GetAZs ''", "${Fn::GetAZs}"),
        ("!Select [0, !GetAZs '']", "${Fn::GetAZs.[0]}"),
        ("!ImportValue vpc-id", "${Fn::ImportValue.vpc-id}"),
        ("!ImportValue {'Fn::Sub': '${Stage}-vpc'}", "${Fn::ImportValue}"),
        ("{'Fn::Length': !Ref Unknown}", "${Fn::Length}"),
        ("!ToJsonString {arn: !GetAtt Queue.Arn, text: '${x}'}", '{"arn":"${Queue.Arn}","text":"${!x}"}'),
        ("!Transform {Name: Other}", "${Fn::Transform}"),
        ("'{{resolve:ssm:/name}}'", "{{resolve:ssm:/name}}"),
        ("!Sub 'x-{{resolve:ssm:/${Env}}}'", "x-{{resolve:ssm:/dev}}"),
    ],
)
def test_what_only_a_deployment_tells_is_symbolic(text: str, expected: str) -> None:
    found = value(text)
    assert found == expected
    assert isinstance(found, Symbolic)


def test_a_piece_of_an_attribute_still_refers_to_its_resource() -> None:
    assert references(value("!Select [5, !Split [':', !GetAtt Queue.Arn]]")) == (Reference("Queue", "Arn.[5]"),)


def test_pseudo_parameters_can_be_given() -> None:
    assert value("!Sub '${AWS::Region}'", Region="eu-west-1") == "eu-west-1"
    assert value("!FindInMap [Sizes, !Ref 'AWS::StackName', Memory]", StackName="prod") == 512


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("!Join [1]", "Thing: Fn::Join needs a list of 2"),
        ("!Join [',', text]", "Thing: Fn::Join needs a list to join"),
        ("!Select [9, [a]]", "Thing: Fn::Select selects item 9 of a list of 1"),
        ("!Select [-1, [a]]", "Thing: Fn::Select selects item -1 of a list of 1"),
        ("!Select [x, [a]]", "Thing: Fn::Select needs a number"),
        ("!Split ['', a]", "Thing: Fn::Split needs a separator and a text"),
        ("!Sub [a]", "Thing: Fn::Sub needs a list of 2"),
        ("!If [IsDev]", "Thing: Fn::If needs a list of 3"),
        ("!If [Missing, 1, 2]", "Thing: the condition Missing is not in the template"),
        ("!FindInMap [Sizes, x, y]", "Thing: Fn::FindInMap finds nothing in Sizes for x, y"),
        ("!Cidr [a, b, c]", "Thing: Fn::Cidr needs an address block, a count and a number of bits"),
        ("!Equals [a, b]", "Thing: Fn::Equals stands where a value is needed"),
        ("!ToJsonString {Ref: 'AWS::NoValue'}", "Thing: Fn::ToJsonString needs a value"),
    ],
)
def test_what_cloudformation_would_refuse_is_a_warning(text: str, warning: str) -> None:
    assert warning in outcome(text).warnings


def given(**parameters: str) -> Any:
    return resolve(parse(template("!Ref " + next(iter(parameters))), "t"), parameters)[0].properties["Value"]


def test_given_parameters_beat_defaults() -> None:
    assert given(Env="prod") == "prod"
    assert given(Stage="live") == "live"
    assert given(Timeout="45") == 45
    assert given(Names="x") == ["x"]
    assert given(Unknown="") == []
    assert isinstance(given(Image="/other"), Symbolic)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"Stge": "x"}, "t: the template has no parameter 'Stge'; did you mean 'Stage'?"),
        ({"Zzzzzz": "x"}, "there are: Account, Env, "),
        ({"Env": "test"}, "t: the parameter Env must be one of dev, prod; got 'test'"),
        ({"Timeout": "soon"}, "t: the parameter Timeout must be a number; got 'soon'"),
        ({"Limits": "1,x"}, "t: the parameter Limits must be a number; got 'x'"),
    ],
)
def test_wrong_parameters_are_refused(parameters: dict[str, str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve(parse(template("1"), "t"), parameters)
    assert message in str(caught.value)


def test_a_template_without_parameters_says_so() -> None:
    with pytest.raises(InputError, match="no parameter 'A'; there are none"):
        resolve(parse("Resources: {}", "t"), {"A": "1"})


def resource(text: str, **parameters: str) -> Resolved:
    return resolve(parse(HEAD + "\nResources:\n  Thing: " + text, "t"), parameters)[0]


def test_a_resource_under_a_condition() -> None:
    plain = resource("{Type: A, Metadata: {a: 1}}")
    assert (plain.condition, plain.conditional, plain.exists, plain.metadata) == (None, False, True, {"a": 1})
    certain = resource("{Type: A, Condition: IsDev}")
    assert (certain.condition, certain.conditional, certain.exists) == ("IsDev", True, True)
    absent = resource("{Type: A, Condition: NotDev}")
    assert (absent.conditional, absent.exists, absent.decided_by) == (True, False, ("Env",))
    undecided = resource("{Type: A, Condition: IsLive}")
    assert (undecided.conditional, undecided.exists, undecided.decided_by) == (True, None, ("Stage",))
    assert resource("{Type: A, Condition: IsLive}", Stage="live").exists is True
    assert resource("{Type: A, Condition: Missing}").exists is None


def test_a_resource_that_is_none() -> None:
    for text in ("text", "[a]", "{}", "{Type: [a], Properties: b}"):
        assert (resource(text).type, resource(text).properties) == ("", {})


def test_conditions_in_a_circle_are_an_error() -> None:
    text = "Conditions:\n  A: !Not [!Condition B]\n  B: !Not [!Condition A]\nResources: {}"
    with pytest.raises(TemplateError, match="in a circle: A → B → A"):
        resolve(parse(text, "t"))


def test_a_very_long_chain_of_conditions_is_an_error() -> None:
    chain = "\n".join(f"  C{i}: !Not [!Condition C{i + 1}]" for i in range(5000))
    with pytest.raises(TemplateError, match="nested too deeply"):
        resolve(parse(f"Conditions:\n{chain}\nResources: {{}}", "t"))


def test_outputs_and_globals_are_resolved() -> None:
    text = HEAD + "Resources: {}\nOutputs: {Name: {Value: !Ref Env}}\nGlobals: {Function: {Timeout: !Ref Timeout}}"
    resolution = resolve_all(parse(text, "t"))
    assert resolution.outputs == {"Name": {"Value": "dev"}}
    assert resolution.globals == {"Function": {"Timeout": 30}}


@pytest.mark.parametrize(
    "bomb",
    [
        "!Sub ['" + "${a}" * 100 + "', {a: %s}]",
        "!Join ['', [" + ", ".join(["&x %s"] + ["*x"] * 50) + "]]",
        "!ToJsonString [%s]",
        "!Base64 {'Fn::Sub': ['${a}${a}', {a: %s}]}",
    ],
)
def test_functions_that_unfold_without_end_are_an_error(bomb: str) -> None:
    text = '"\\\\"'
    for level in range(24):
        text = bomb.replace("x", f"x{level}") % text
    with pytest.raises(TemplateError, match=r"unfold|nested|aliases written out"):
        resolve(parse(template(text), "t"))
