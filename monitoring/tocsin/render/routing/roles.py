"""Roles that services take on for the routing, within the permissions boundary if there is one."""

from __future__ import annotations

from typing import Any

from troposphere import Equals, If, Not, NoValue, Parameter, Ref, Template
from troposphere.iam import Policy, Role

BOUNDARY = "PermissionsBoundaryArn"


def add_boundary(template: Template) -> None:
    """The parameter that names the boundary of all roles."""
    template.add_parameter(
        Parameter(
            BOUNDARY,
            Type="String",
            Default="",
            Description="Permissions boundary of the roles made here; empty for none",
        )
    )
    template.add_condition("HasBoundary", Not(Equals(Ref(BOUNDARY), "")))


def add_role(
    template: Template,
    name: str,
    description: str,
    trust: dict[str, Any],
    statements: list[dict[str, Any]],
    condition: str | None = None,
) -> Role:
    """A role with no more than these statements; with none, one that can do nothing."""
    role = Role(
        name,
        Description=description,
        AssumeRolePolicyDocument={"Version": "2012-10-17", "Statement": [trust]},
        PermissionsBoundary=If("HasBoundary", Ref(BOUNDARY), NoValue),
    )
    if statements:
        role.Policies = [Policy(PolicyName=name, PolicyDocument={"Version": "2012-10-17", "Statement": statements})]
    if condition is not None:
        role.Condition = condition
    return template.add_resource(role)
