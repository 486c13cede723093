"""Any template at all gives a Stack or an error of ours, and a Stack holds each resource exactly once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stand_in import STAND_IN

from tocsin.catalog import CATALOG
from tocsin.cloudformation.document import parse
from tocsin.discovery import as_json
from tocsin.discovery.template import discover_in
from tocsin.errors import TocsinError

CATALOGS: dict[str, Any] = {"small": STAND_IN, "real": CATALOG}
FUNCTIONS = [
    "Ref",
    "Fn::GetAtt",
    "Fn::Sub",
    "Fn::Join",
    "Fn::Split",
    "Fn::Select",
    "Fn::If",
    "Fn::FindInMap",
    "Fn::Base64",
    "Fn::Cidr",
    "Fn::GetAZs",
    "Fn::ImportValue",
    "Fn::Length",
    "Fn::ToJsonString",
    "Fn::Transform",
    "Fn::And",
    "Fn::Or",
    "Fn::Not",
    "Fn::Equals",
    "Condition",
]
NAMES = ("A", "B", "P", "Q", "AWS::NoValue", "AWS::Region", "X", "A.Arn", "Arn")
PROPERTIES = [
    "RedrivePolicy",
    "deadLetterTargetArn",
    "maxReceiveCount",
    "QueueName",
    "FunctionName",
    "Timeout",
    "DeadLetterConfig",
    "TargetArn",
    "Arn",
    "Targets",
    "ScheduleExpression",
    "State",
    "Events",
    "Type",
    "Properties",
    "Queue",
    "Schedule",
    "VisibilityTimeout",
    "MessageRetentionPeriod",
    "Engine",
    "EventSourceArn",
    "GlobalSecondaryIndexes",
    "IndexName",
    "BillingMode",
    "DBInstanceClass",
    "AllocatedStorage",
    "NotificationConfiguration",
    "ReservedConcurrentExecutions",
    "StageName",
    "RestApiId",
    "Name",
    "Primary",
    "Principal",
    "Target",
    "Endpoint",
    "RedriveAllowPolicy",
]
TYPES = sorted(
    {*CATALOG, *STAND_IN, "AWS::IAM::Role", "AWS::Lambda::EventSourceMapping", "AWS::Lambda::Permission", "T"}
)

texts = st.sampled_from(
    [*NAMES, "${A}", "${A.Arn}-${P}", "a-b", "rate(1 day)", "{{resolve:ssm:x}}", "", "30", "${!x}", "${"]
)
leaves = st.one_of(texts, st.integers(-5, 10**6), st.booleans(), st.none(), st.floats(), st.text(max_size=5))


def _branches(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    arguments = st.one_of(children, st.lists(children, max_size=4), texts)
    return st.one_of(
        st.lists(children, max_size=4),
        st.dictionaries(st.sampled_from(PROPERTIES), children, max_size=4),
        st.builds(lambda name, argument: {name: argument}, st.sampled_from(FUNCTIONS), arguments),
        st.builds(lambda name, argument: {name: argument}, st.sampled_from(FUNCTIONS), arguments),
        st.builds(
            lambda name, collection, body: {"Fn::ForEach::L": [name, collection, {f"${{{name}}}": body}]},
            st.sampled_from(NAMES),
            children,
            children,
        ),
    )


trees = st.recursive(leaves, _branches, max_leaves=12)
resources = st.one_of(
    st.fixed_dictionaries(
        {"Type": st.sampled_from(TYPES), "Properties": st.dictionaries(st.sampled_from(PROPERTIES), trees, max_size=5)},
        optional={"Condition": st.sampled_from(["A", "B", "C"]), "Metadata": trees},
    ),
    trees,
)
templates = st.fixed_dictionaries(
    {"Resources": st.dictionaries(st.sampled_from([*NAMES, "Fn::ForEach::R"]), resources, max_size=4)},
    optional={
        "Parameters": st.dictionaries(
            st.sampled_from(["P", "Q"]),
            st.one_of(
                trees,
                st.fixed_dictionaries(
                    {"Type": st.sampled_from(["String", "Number", "CommaDelimitedList", "List<Number>", "x"])},
                    optional={"Default": leaves},
                ),
            ),
        ),
        "Conditions": st.one_of(st.dictionaries(st.sampled_from(["A", "B"]), trees), trees),
        "Mappings": trees,
        "Outputs": st.one_of(st.dictionaries(st.just("O"), trees), trees),
        "Globals": st.dictionaries(st.sampled_from(["Function", "Api"]), trees),
        "Transform": trees,
    },
)


def check(text: str, catalog: Any) -> None:
    try:
        stack = discover_in(parse(text, "t"), catalog=catalog)
    except TocsinError:
        return
    listing = as_json(stack)
    json.dumps(listing)
    identities = [one["logical_id"] for one in (*listing["resources"], *listing["unwatched"])]
    assert len(identities) == len(set(identities))
    assert all(one["reason"] for one in listing["unwatched"])


@pytest.mark.parametrize("catalog", sorted(CATALOGS))
@settings(max_examples=400, deadline=None)
@given(template=templates)
def test_random_templates(catalog: str, template: Any) -> None:
    check(json.dumps(template), CATALOGS[catalog])


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet="{}[]:,-&*!<|>'\"#\n\t aA1Resources%@\ud800\x00é", max_size=60))
def test_random_text(text: str) -> None:
    check(text, STAND_IN)
    check("Resources:\n  A:\n" + text, STAND_IN)


@settings(max_examples=100, deadline=None)
@given(template=templates)
def test_every_resource_is_in_exactly_one_list(template: dict[str, Any]) -> None:
    written = {name: {"Type": "AWS::SQS::Queue"} for name in template["Resources"] if not name.startswith("Fn::")}
    stack = discover_in(parse(json.dumps({"Resources": written}), "t"), catalog=STAND_IN)
    assert {resource.logical_id for resource in stack.resources} == set(written)


@pytest.mark.parametrize(
    "properties",
    [
        "{RedrivePolicy: {deadLetterTargetArn: '%s'}}" % ("${a" * 300_000),
        "{RedrivePolicy: {deadLetterTargetArn: '%s:'}}" % (":x" * 300_000),
        "{RedrivePolicy: '%s'}" % ("[" * 300_000),
        "{QueueName: !Sub '%s'}" % ("${" * 300_000),
        "{QueueName: !Ref '%s'}" % ("${" * 300_000),
        "{QueueName: !Split ['-', !Sub '%s']}" % ("-${A}" * 100_000),
    ],
    ids=["open placeholders", "colons", "open JSON", "open Sub", "open Ref", "split"],
)
def test_long_hostile_texts_end_in_time(properties: str) -> None:
    """Each would run for hours if its time grew with the square of its length."""
    queue = f"{{Type: AWS::SQS::Queue, Properties: {properties}}}"
    check(f"Resources:\n  D: {{Type: AWS::SQS::Queue}}\n  Q: {queue}\n", STAND_IN)
