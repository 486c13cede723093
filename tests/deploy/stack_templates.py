"""The rendered templates as the tests of this folder look at them: resources by type, and every policy statement."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SYSTEMS = ["data_pipeline", "notification"]
STACKS = ["delivery", "forwarder", "network", *SYSTEMS]


@cache
def tree(stack: str) -> dict[str, Any]:
    module = importlib.import_module("deploy.network" if stack == "network" else f"deploy.{stack}.stack")
    return json.loads(module.template().to_json())


def resources(stack: str, kind: str) -> dict[str, dict[str, Any]]:
    return {name: body.get("Properties", {}) for name, body in tree(stack)["Resources"].items() if body["Type"] == kind}


def flat(value: Any) -> list[Any]:
    """A list without its Fn::If: what is there if every condition holds, or fails."""
    found = []
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict) and "Fn::If" in item:
            found += [each for branch in item["Fn::If"][1:] for each in flat(branch) if each != {"Ref": "AWS::NoValue"}]
        else:
            found.append(item)
    return found


class Stated(NamedTuple):
    """One statement: the resource it is in, whether that is an identity's policy, and the statement."""

    where: str
    identity: bool
    statement: dict[str, Any]

    @property
    def actions(self) -> list[str]:
        return flat(self.statement["Action"])

    @property
    def texts(self) -> list[str]:
        """The resources, Fn::Sub as its text, anything else as JSON."""
        return [sub_text(each) for each in flat(self.statement.get("Resource", []))]


def sub_text(value: Any) -> str:
    if isinstance(value, dict) and "Fn::Sub" in value:
        text = value["Fn::Sub"]
        return text if isinstance(text, str) else text[0]
    return value if isinstance(value, str) else json.dumps(value)


POLICIES = {
    "AWS::EC2::VPCEndpoint": "PolicyDocument",
    "AWS::KMS::Key": "KeyPolicy",
    "AWS::S3::BucketPolicy": "PolicyDocument",
    "AWS::SQS::QueuePolicy": "PolicyDocument",
    "AWS::IAM::ManagedPolicy": "PolicyDocument",
}


def statements(stack: str) -> Iterator[Stated]:
    """Every statement of every policy of a template, trust policies left out."""
    for name, body in tree(stack)["Resources"].items():
        properties = body.get("Properties", {})
        if body["Type"] in POLICIES:
            for statement in flat(properties[POLICIES[body["Type"]]]["Statement"]):
                yield Stated(f"{stack}.{name}", body["Type"] == "AWS::IAM::ManagedPolicy", statement)
        for policy in properties.get("Policies", []) if body["Type"] == "AWS::IAM::Role" else []:
            for statement in flat(policy["PolicyDocument"]["Statement"]):
                yield Stated(f"{stack}.{name}", True, statement)


def allowed(stack: str) -> Iterator[Stated]:
    return (stated for stated in statements(stack) if stated.statement["Effect"] == "Allow")


def role_actions(stacks: Sequence[str] = ("network", *SYSTEMS)) -> dict[str, set[str]]:
    """What each role of the stacks, by default those in the network, may do: ``data_pipeline.LoaderRole`` -> actions."""
    found: dict[str, set[str]] = {}
    for stack in stacks:
        for stated in allowed(stack):
            if stated.identity:
                found.setdefault(stated.where, set()).update(stated.actions)
    return found
