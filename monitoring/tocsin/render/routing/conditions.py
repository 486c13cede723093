"""Conditions of the routing template: what is given, and which environments are on call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from troposphere import And, Condition, Equals, Not, Or, Parameter, Ref, Template

from ...plan import ENVIRONMENT

ON_CALL, IN_CHAT = "IsOnCall", "IsInChat"
_LISTED, _STAND_IN = "listed", "stand-in"
_MOST = 10  # conditions that one Fn::Or takes (CloudFormation User Guide, "Condition functions")


def add_on_call(template: Template, environments: Sequence[str]) -> None:
    """`ON_CALL`: the on-call file lists this environment, or a stand-in takes the place of its tool.

    `IN_CHAT`: it does, and nothing stands in; nothing can for Slack.  Not there when no environment is listed.
    """
    template.add_parameter(
        Parameter(
            "OnCall",
            Type="String",
            Default=_LISTED,
            AllowedValues=[_LISTED, _STAND_IN],
            Description="stand-in: on call even if the on-call file does not list this environment, but not in chat",
        )
    )
    stands_in = Equals(Ref("OnCall"), _STAND_IN)
    listed = _any(template, [Equals(Ref(ENVIRONMENT), name) for name in sorted(set(environments))])
    if listed is None:
        template.add_condition(ON_CALL, stands_in)
        return
    template.add_condition("IsListed", listed)
    template.add_condition(ON_CALL, Or(Condition("IsListed"), stands_in))
    template.add_condition(IN_CHAT, And(Condition("IsListed"), Not(stands_in)))


def _any(template: Template, conditions: list[Any]) -> Any | None:
    """One of them holds.  Where there are more than one Fn::Or takes, conditions of their own are made of them."""
    number = 0
    while len(conditions) > _MOST:
        number += 1
        template.add_condition(f"IsListedUpTo{number}", Or(*conditions[:_MOST]))
        conditions = [Condition(f"IsListedUpTo{number}"), *conditions[_MOST:]]
    if len(conditions) < 2:
        return conditions[0] if conditions else None
    return Or(*conditions)


def add_given(template: Template, parameter: str) -> str:
    """The name of the condition that a parameter is not empty."""
    name = f"Has{parameter}"
    if name not in template.conditions:
        template.add_condition(name, Not(Equals(Ref(parameter), "")))
    return name
