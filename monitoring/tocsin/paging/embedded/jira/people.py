"""Users of the site and teams with operations, which a person makes: `add_team`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from ..routing_table import Response, Route
from ..state import State
from .answers import Answerer, Call, guarded

if TYPE_CHECKING:
    from ..oncall import EmbeddedOnCall


def add_team(state: State, name: str, members: Collection[str] = (), *, operations: bool = True) -> dict[str, Any]:
    """A team, as a person makes it, with the schedule, escalation and default rule that come with operations."""
    with state.lock:
        people = [user for user in state.users if user["username"] in members]
        team = state.teams.add(
            {
                "name": name,
                "description": "",
                "members": [{"user": {"id": one["id"], "username": one["username"]}, "role": "user"} for one in people],
                "operations": operations,
            }
        )
        owner = {"ownerTeam": {"id": team["id"], "name": name}}
        schedule = state.schedules.add(
            {
                "name": f"{name}_schedule",
                "description": "",
                "timezone": "UTC",
                "enabled": True,
                "rotations": [],
                **owner,
            }
        )
        step = {
            "condition": "if-not-acked",
            "notifyType": "default",
            "delay": {"timeAmount": 0, "timeUnit": "minutes"},
            "recipient": {"type": "schedule", "id": schedule["id"], "name": schedule["name"]},
        }
        escalation = state.escalations.add({"name": f"{name}_escalation", "description": "", "rules": [step], **owner})
        state.routing_rules.add(
            {
                "name": "Default Routing Rule",
                "teamId": team["id"],
                "isDefault": True,
                "order": 0,
                "criteria": {"type": "match-all"},
                "timezone": "UTC",
                "timeRestriction": None,
                "notify": {"type": "escalation", "id": escalation["id"], "name": escalation["name"]},
            }
        )
        return team


def routes(oncall: EmbeddedOnCall) -> Sequence[Route]:
    """Both are only listed."""

    def route(method: str, pattern: str, answerer: Answerer) -> Route:
        return guarded(oncall, method, pattern, answerer)

    return (
        guarded(oncall, "GET", "/rest/api/3/user/search", _people, "/ex/jira/{cloudId}"),
        route("GET", "/teams", _teams),
    )


def _people(call: Call) -> Response:
    wanted = call.request.query.get("query", "").lower()
    found = [
        {
            "accountId": user["id"],
            "accountType": "atlassian",
            "emailAddress": user["username"],
            "displayName": user["fullName"],
            "active": not user.get("blocked", False),
        }
        for user in call.state.users
        if wanted and (user["username"].lower().startswith(wanted) or user["fullName"].lower().startswith(wanted))
    ]
    return Response(200, found)


def _teams(call: Call) -> Response:
    shown = [team for team in call.state.teams if team.get("operations", True)]
    return Response(200, {"platformTeams": [{"teamId": one["id"], "teamName": one["name"]} for one in shown]})
