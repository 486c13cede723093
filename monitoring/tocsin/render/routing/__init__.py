"""Owners and the on-call file → the routing template: the way of a page out of AWS, and the alarms of that way itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from troposphere import Parameter, Template

from ...errors import QuotaError
from ...model import Severity
from ...paging.declared import OnCall, Route
from ...plan import ENVIRONMENT
from ..alarms import HEADING
from ..template_text import to_yaml
from .chat import add_chat
from .conditions import add_on_call
from .delivery import add_subscriptions, add_ways
from .delivery_log import add_delivery_log
from .heartbeat import add_heartbeat
from .redrive import add_redrive
from .roles import add_boundary
from .second_way import add_second_way, add_topic_alarms
from .topics import OwnedTopic, add_key, add_topic


def routing_template(owners: Iterable[str], oncall: OnCall | None = None, runbooks: str = "runbooks") -> str:
    """The CloudFormation text of all topics; outputs are named ``<Owner>PageTopicArn`` and ``<Owner>TicketTopicArn``.

    With ``oncall`` the topics go the ways that the file says, by keys from Secrets Manager; without it only to the
    addresses that are given as parameters.  ``runbooks`` is the folder or address that alarms link to.  Raises QuotaError
    for more owners than fit into a template.
    """
    named = sorted(set(owners))
    try:
        return to_yaml(_tree(named, oncall, runbooks), HEADING)
    except ValueError as error:
        if not str(error).startswith("Maximum number of"):
            raise
        raise QuotaError(
            f"routing: the topics of {len(named)} owners are more than one template holds ({error}); "
            "let several systems have one owner"
        ) from None


def _tree(owners: list[str], oncall: OnCall | None, runbooks: str) -> dict[str, Any]:
    template = Template(
        Description="Topics that pages and tickets are sent to, who reads them, and who is told if not."
    )
    template.set_version()
    template.add_parameter(
        Parameter(
            ENVIRONMENT,
            Type="String",
            Default="prod",
            AllowedPattern="[a-z][a-z0-9-]{0,31}",
            Description="First part of every topic name",
        )
    )
    if oncall is not None:
        add_on_call(template, oncall.environments)
    topics = [OwnedTopic(owner, severity, _route(oncall, owner, severity)) for owner in owners for severity in Severity]
    add_boundary(template)
    add_key(template)
    add_ways(template, topics, oncall)
    log_role = add_delivery_log(template)
    add_redrive(template, topics)
    add_second_way(template, oncall, runbooks, topics)
    secrets: dict[str, dict[str, str]] = {}
    for topic in topics:
        add_topic(template, topic, log_role)
        secrets |= add_subscriptions(template, topic)
        add_topic_alarms(template, topic, runbooks)
    if oncall is not None:
        if oncall.environments:
            add_chat(template, topics)
        secrets |= add_heartbeat(template, oncall, runbooks)
    stated: dict[str, Any] = {"Owners": owners}
    if secrets:
        stated["Secrets"] = secrets
    template.set_metadata({"Tocsin": stated})
    tree: dict[str, Any] = template.to_dict()
    return tree


def _route(oncall: OnCall | None, owner: str, severity: Severity) -> Route | None:
    """The route of an owner's notifications; None without an on-call file, empty for an owner that it does not know."""
    if oncall is None:
        return None
    team = oncall.team_of(owner)
    return (team.routes.get(severity) if team is not None else None) or Route(ways=())


__all__ = ["routing_template"]
