"""Jira Service Management operations, Opsgenie's successor: plan, apply, deliveries and alerts by its REST API.

What the API cannot do shapes this file (``tests/paging/jira_shapes.json`` holds the sources):

- Teams are Atlassian teams.  A person makes them, adds their members and switches operations on; the operations API
  lists teams, no more.  So teams and members are people's here, and ``check`` refuses a team that is not there.
- An integration's key is told once, in the answer to its creation.  So an integration is made switched off, and
  switched on by `delivered`, once its key lies in its secret: one that is off has a key that nobody knows, and the next
  ``apply`` makes it anew.
- A heartbeat is pinged with the account's own token: give the account that Tocsin uses no more rights than it needs.
- Heartbeats are not part of every plan (402).

The token is one with scopes: ``read:jira-user``, and ``read:``, ``write:`` and ``delete:ops-config:jira-service-management``
with ``read:`` and ``write:ops-alert:jira-service-management``.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from ...errors import PagingError
from ...model import Severity
from ..changes import is_marked, mark
from ..declared import OnCall, RecipientKind, Route, ToolName
from ..drill_marks import SILENT_DRILL
from ..past_alerts import PastAlert, Span
from ..tool import (
    Change,
    Delivery,
    Found,
    KeyNotToldError,
    Kind,
    Thing,
    ToolAlert,
    heartbeat_name,
    integration_name,
)
from .account import JiraAccount, found_things
from .alerts import moment, past_alerts, tool_alert
from .bodies import integration_type, reaches_tool, things
from .steps import JiraSteps, quoted

if TYPE_CHECKING:
    from ..rest import Rest

ADDRESS = "https://api.atlassian.com"


class Jira:
    """One site's operations.

    ``url`` stands in for Atlassian's address.  ``drills_wake_nobody``: the first routing rule of each team notifies
    nobody of a drill.
    """

    name = ToolName.JIRA.value
    drills_wake_nobody = True
    renews = True
    renews_heartbeat = False
    tells_no_past = ""

    def __init__(self, ops: Rest, jira: Rest, *, site: str, authorization: str, url: str = "") -> None:
        self._ops = ops
        self._account = JiraAccount(ops, jira)
        self._base = (url or ADDRESS).rstrip("/")
        self._site = site
        self._authorization = authorization
        self._steps = JiraSteps(ops, self._account)

    @classmethod
    def open(cls, declared: OnCall, key: str, url: str | None = None) -> Jira:
        """The site that the file names, with its account's token.  Raises PagingError if site or account is missing."""
        from ..rest import Rest

        tool = declared.tool
        for field, value, where in (
            ("tool.site", tool.site, "the cloud id, from https://<site>.atlassian.net/_edge/tenant_info"),
            ("tool.account", tool.account, "the e-mail address of the account that the API token belongs to"),
        ):
            if not value:
                raise PagingError(f"{declared.path}: {field}: missing; it is {where}")
        base = (url or tool.url or ADDRESS).rstrip("/")
        authorization = "Basic " + base64.b64encode(f"{tool.account}:{key}".encode()).decode()
        headers = {"Authorization": authorization}
        site = quote(tool.site, safe="")
        return cls(
            Rest(f"{base}/jsm/ops/api/{site}", headers, key_shown=tool.key.shown, tool="Jira", secrets=(key,)),
            Rest(f"{base}/ex/jira/{site}", headers, key_shown=tool.key.shown, tool="Jira", secrets=(key,)),
            site=tool.site,
            authorization=authorization,
            url=base,
        )

    # What is and what should be

    def check(self, declared: OnCall, environment: str) -> None:
        """Refuse a revoked token, a team that no person has made, an unknown user, minutes that are moved."""
        there = self._account.teams()
        beat = [declared.heartbeat.team] if declared.heartbeat is not None else []
        for name in (*(team.name for team in declared.teams), *beat):
            if name not in there:
                raise PagingError(
                    f"Jira: no team {name!r} with operations; a person makes it (Teams, Create team), adds its"
                    " members and switches operations on (the team's Operations page): no API does that by name"
                )
        for team in declared.teams:
            for schedule in team.schedules:
                for rotation in schedule.rotations:
                    clocks = [one for hours in rotation.hours for one in (hours.start, hours.end)]
                    clocks += [one.time() for one in (rotation.starts, rotation.ends) if one is not None]
                    if any(one.minute not in (0, 30) or one.second for one in clocks):
                        raise PagingError(
                            f"Jira: schedule {schedule.name!r}, rotation {rotation.name!r}: turns and hours begin and"
                            " end at full or half hours; others would be moved to the nearest"
                        )
        for address in _addresses(declared):
            self._account.account(address)
        if declared.heartbeat is not None:
            list(self._account.under_team(there[declared.heartbeat.team], "heartbeats"))
        self.wanted(declared, environment)

    def wanted(self, declared: OnCall, environment: str) -> tuple[Thing, ...]:
        """Schedules, escalations, routing rules, integrations and the heartbeat; teams are people's."""
        return things(declared, environment, mark(declared.project), SILENT_DRILL)

    def present(self, declared: OnCall, environment: str) -> tuple[Found, ...]:
        """What is there in all teams that the account sees."""
        names = {(one.kind, one.name): str(one.body["team"]) for one in self.wanted(declared, environment)}
        project = declared.project

        def owned(kind: Kind, name: str, description: str) -> bool:
            if kind in (Kind.SCHEDULE, Kind.ESCALATION):
                return is_marked(description, project)
            if kind is Kind.ROUTING_RULE:
                return name.startswith(f"tocsin-{project} ")
            if kind is Kind.HEARTBEAT:
                return name == heartbeat_name(project, environment)
            return name.startswith(f"{heartbeat_name(project, environment)}-")

        return found_things(
            self._account, self._account.ids(_addresses(declared)), lambda kind, name: names.get((kind, name)), owned
        )

    def apply(self, change: Change, declared: OnCall, environment: str) -> None:
        """Do one step; what was done already is brought to what is wanted once more."""
        rules = [one for one in self.wanted(declared, environment) if one.kind is Kind.ROUTING_RULE]
        self._steps.do(change, self._account.ids(_addresses(declared), change.kind), declared.project, rules)

    # Deliveries

    def delivery(self, declared: OnCall, environment: str, owner: str, severity: Severity) -> Delivery:
        """Where the topic posts to, for an integration that this run has made.

        Raises KeyNotToldError for one that was there before: its key lies in its secret, or `renew` makes a new one.
        """
        name = integration_name(declared.project, environment, owner, severity)
        by_forwarder = integration_type(_route(declared, owner, severity)) == "API"
        address = f"{self._base}/jsm/ops/integration/{'v2/alerts' if by_forwarder else 'v1/json/cloudwatch'}"
        made = self._steps.keys.get(name)
        if made is None:
            there = next((one for one in self._account.integrations() if one.get("name") == name), None)
            if there is None:
                raise PagingError(f"Jira: no integration {name!r}; run `tocsin oncall apply`")
            raise KeyNotToldError(
                f"Jira: the key of the integration {name!r} was told when it was made, and is told no more;"
                " it lies in its secret, or a new one is made by `tocsin oncall apply`",
                address,
                str(there["id"]),
            )
        if by_forwarder:
            return Delivery(address, f"GenieKey {made.key}", made.key, made.integration)
        return Delivery(f"{address}?{urlencode({'apiKey': made.key})}", key=made.key, integration=made.integration)

    def delivered(self, declared: OnCall, environment: str, owner: str, severity: Severity) -> None:
        """The delivery lies in its secret: switch the integration on.  For one that is on, nothing happens."""
        name = integration_name(declared.project, environment, owner, severity)
        if name in self._steps.keys:
            for one in self._account.integrations():
                if one.get("name") == name and not one.get("enabled"):
                    self._ops.patch(f"/v1/integrations/{quoted(one['id'])}", {"enabled": True})

    def renew(self, declared: OnCall, environment: str, owner: str, severity: Severity) -> Delivery:
        """Replace the integration by one with a new key: for a secret that is lost, or a key that leaked."""
        name = integration_name(declared.project, environment, owner, severity)
        wanted = next(
            (one for one in self.wanted(declared, environment) if (one.kind, one.name) == (Kind.INTEGRATION, name)),
            None,
        )
        if wanted is None:
            raise PagingError(f"Jira: {declared.path} wants no integration {name!r}; run `tocsin oncall plan`")
        self._steps.replace_integration(wanted, self._account.ids((), Kind.INTEGRATION))
        return self.delivery(declared, environment, owner, severity)

    def heartbeat(self, declared: OnCall, environment: str) -> Delivery | None:
        """Where the dead-man's switch posts to; None if none is declared."""
        if declared.heartbeat is None:
            return None
        team = self._account.teams().get(declared.heartbeat.team)
        if team is None:
            raise PagingError(f"Jira: no team {declared.heartbeat.team!r} with operations; run `tocsin oncall plan`")
        query = urlencode({"name": heartbeat_name(declared.project, environment)})
        path = f"/jsm/ops/api/{quoted(self._site)}/v1/teams/{quoted(team)}/heartbeats/ping?{query}"
        return Delivery(f"{self._base}{path}", self._authorization)

    def heartbeat_delivered(self, declared: OnCall, environment: str) -> None:
        """Nothing: a heartbeat is pinged with the account's own token."""

    def renew_heartbeat(self, declared: OnCall, environment: str) -> Delivery | None:
        """What is there: a heartbeat is pinged with the account's own token."""
        return self.heartbeat(declared, environment)

    def hears_heartbeat(self, declared: OnCall, environment: str) -> bool | None:
        """Whether Jira calls the heartbeat responsive; it is pending until its first ping.  None if none is declared."""
        if declared.heartbeat is None:
            return None
        name = heartbeat_name(declared.project, environment)
        there = next((one for _, one in self._account.under_teams("heartbeats") if one.get("name") == name), None)
        return there is not None and there.get("status") == "Responsive"

    # Alerts

    def find_alert(self, alias: str) -> ToolAlert | None:
        """The newest alert of that alias.  The list tells no description, so the alert is asked for by its id."""
        escaped = alias.replace("\\", "\\\\").replace('"', '\\"')
        answer = self._ops.get("/v1/alerts", query={"query": f'alias: "{escaped}"', "size": "100"})
        found = [one for one in answer.get("values") or () if one.get("alias") == alias]
        if not found:
            return None
        newest = max(found, key=lambda one: (moment(one.get("createdAt")), one.get("status") == "open"))
        return tool_alert(self._ops.get(f"/v1/alerts/{quoted(newest['id'])}"))

    def close_alert(self, alias: str, note: str) -> None:
        """Close the open alert of that alias."""
        found = self.find_alert(alias)
        if found is not None and found.open:
            self._ops.post(f"/v1/alerts/{quoted(found.id)}/close", {"note": note})

    def past_alerts(self, spans: Sequence[Span], aliases: Collection[str]) -> tuple[PastAlert, ...]:
        """What was opened in the spans.  The list tells no description, so each of our alerts is asked for by its id."""
        return tuple(past_alerts(self._ops, spans, aliases))


def _addresses(declared: OnCall) -> tuple[str, ...]:
    """Everybody whom the file names."""
    found = {member.user for team in declared.teams for member in team.members}
    for team in declared.teams:
        found |= {who for one in team.schedules for rotation in one.rotations for who in rotation.participants}
        steps = team.escalation.steps if team.escalation else ()
        found |= {step.recipient.name for step in steps if step.recipient.kind is RecipientKind.USER}
    return tuple(sorted(found))


def _route(declared: OnCall, owner: str, severity: Severity) -> Route:
    team = declared.team_of(owner)
    route = team.routes.get(severity) if team is not None else None
    if route is None or not reaches_tool(route):
        raise PagingError(f"{declared.path}: the {severity.value}s of {owner!r} do not go to the on-call tool")
    return route
