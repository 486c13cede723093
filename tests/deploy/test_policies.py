"""Every IAM policy of our templates: parliament and cloudsplaining find nothing in it that is not explained."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.deploy.exceptions import ABSENT, LINT, Found, idle, read, stack_of, templates, unexplained
from tests.deploy.policies import Policy, policies

TOOLS = ("cloudsplaining", "parliament")
pytestmark = pytest.mark.skipif(not LINT.is_dir(), reason=ABSENT)


def findings(documents: list[Policy]) -> list[Found]:
    """What the tools find, which run in an environment of their own."""
    program = Path(__file__).with_name("policy_findings.py")
    judged = subprocess.run(
        [LINT / "python", program],
        input=json.dumps([asdict(policy) for policy in documents]),
        check=True,
        capture_output=True,
        text=True,
    )
    return [Found(**each) for each in json.loads(judged.stdout)]


@pytest.fixture(scope="module")
def all_policies() -> list[Policy]:
    return [policy for template in templates() for policy in policies(stack_of(template), template)]


@pytest.fixture(scope="module")
def found(all_policies: list[Policy]) -> list[Found]:
    return findings(all_policies)


def test_nothing_is_found_that_is_not_explained(found: list[Found]) -> None:
    assert unexplained(found, read()) == []


@pytest.mark.parametrize("tool", TOOLS)
def test_no_explanation_has_outlived_its_finding(found: list[Found], tool: str) -> None:
    assert idle(tool, found, read()) == []


def test_policies_of_each_kind_are_judged_with_all_references_in_place(all_policies: list[Policy]) -> None:
    assert {policy.kind for policy in all_policies} == {"identity", "resource", "trust"}
    assert [policy.at for policy in all_policies if "${" in json.dumps(policy.document).replace("${aws:", "")] == []


def test_nobody_is_trusted_who_is_not_named(all_policies: list[Policy]) -> None:
    for policy in all_policies:
        if policy.kind == "trust":
            for statement in policy.document["Statement"]:
                assert "*" not in json.dumps(statement["Principal"]), policy.at


CARELESS = Policy(
    "careless.Role",
    "identity",
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["s3:GetObject", "iam:PassRole"], "Resource": "*"},
            {"Effect": "Allow", "Action": "dynamodb:*", "Resource": f"arn:aws:dynamodb:eu-west-1:{'1' * 12}:table/t"},
            {"Effect": "Allow", "Action": "sqs:SendMesage", "Resource": f"arn:aws:sqs:eu-west-1:{'1' * 12}:q"},
        ],
    },
)
OPEN = Policy(
    "careless.BucketPolicy",
    "resource",
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::open/*"}
        ],
    },
)


def test_careless_policies_are_found() -> None:
    found = {(each.tool, each.check, each.about) for each in findings([CARELESS, OPEN])}
    assert found >= {
        ("parliament", "RESOURCE_STAR", "s3:GetObject"),
        ("parliament", "UNKNOWN_ACTION", ""),
        ("cloudsplaining", "DataExfiltration", "s3:GetObject"),
        ("cloudsplaining", "ServiceWildcard", "dynamodb"),
        ("cloudsplaining", "InternetAccessible", "s3:GetObject"),
    }
