"""PagerDuty: plan, apply, deliveries and alerts by its REST API v2 and its CloudWatch and Events v2 endpoints.

How the plain words here become PagerDuty's:

- An owner's pages and tickets are a service each, of high and of low urgency, with one integration: for CloudWatch, or
  for the Events API v2 where the forwarder stands in between.  What low urgency does is each user's own choice; e-mail
  is what PagerDuty starts with.
- A team's escalation is an escalation policy of its users and schedules; teams as steps are refused.
- There are no routing rules: a service belongs to one policy.
- There are no heartbeats: silence does not page, and ``heartbeat`` is None.  ``docs/on-call.md`` says so.
- A drill cannot be promised to wake nobody.  What would do it is alert suppression, which PagerDuty sells with AIOps and
  its Enterprise plans only (https://support.pagerduty.com/docs/event-management); so ``drills_wake_nobody`` is False and
  a drill is for those who say that it may page.

The key is one of the account (REST API v2) that may write.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ...errors import PagingError
from ...model import Severity
from ..changes import is_marked
from ..declared import OnCall, RecipientKind, ToolName
from ..past_alerts import PastAlert, Span
from ..tool import Change, Delivery, Found, Kind, Thing, ToolAlert, heartbeat_name, integration_name
from .account import PagerDutyAccount, own_integrations, plain_type
from .bodies import integration_type, reaches_tool, refuse_impossible, things
from .steps import PagerDutySteps, quoted

if TYPE_CHECKING:
    from ..rest import Rest

#: Region → the addresses of the REST API and of events.
ADDRESSES = {
    "us": ("https://api.pagerduty.com", "https://events.pagerduty.com"),
    "eu": ("https://api.eu.pagerduty.com", "https://events.eu.pagerduty.com"),
}
#: Urgency → how alerts are told of here.
_PRIORITIES = {"high": "P1", "low": "P3"}


class PagerDuty:
    """One account.

    ``events`` is where notifications are posted to.  ``author`` is the address of a user, in whose name incidents are
    closed: PagerDuty wants one.
    """

    name = ToolName.PAGERDUTY.value
    drills_wake_nobody = False
    renews = True
    renews_heartbeat = False
    tells_no_past = "PagerDuty's list of incidents does not say when a resolved one was acknowledged"

    def __init__(
        self, rest: Rest, *, events: str, project: str, author: str = "", clock: Callable[[], datetime] | None = None
    ) -> None:
        now = clock or (lambda: datetime.now(UTC))
        self._rest, self._events, self._project, self._author = rest, events.rstrip("/"), project, author
        self._account = PagerDutyAccount(rest, now)
        self._steps = PagerDutySteps(rest, self._account, now)

    @classmethod
    def open(cls, declared: OnCall, key: str, url: str | None = None) -> PagerDuty:
        """The account that the key belongs to.  Raises PagingError for an unknown region."""
        from ..rest import Rest

        tool = declared.tool
        stand_in = url or tool.url
        if not stand_in and tool.region not in ADDRESSES:
            raise PagingError(f"{declared.path}: tool.region: {tool.region!r} is none of PagerDuty's: us or eu")
        api, events = (stand_in, stand_in) if stand_in else ADDRESSES[tool.region]
        headers = {"Authorization": f"Token token={key}", "Accept": "application/vnd.pagerduty+json;version=2"}
        rest = Rest(api, headers, key_shown=tool.key.shown, tool="PagerDuty", secrets=(key,))
        return cls(rest, events=events, project=declared.project, author=next(iter(_addresses(declared)), ""))

    def check(self, declared: OnCall, environment: str) -> None:
        """Refuse a revoked key, an unknown user, and what PagerDuty has no form for."""
        refuse_impossible(declared)
        self.wanted(declared, environment)
        for address in _addresses(declared):
            self._account.user(address)

    def wanted(self, declared: OnCall, environment: str) -> tuple[Thing, ...]:
        """Teams, schedules, escalation policies, and a service for each owner and severity."""
        return things(declared, environment)

    def present(self, declared: OnCall, environment: str) -> tuple[Found, ...]:
        """What is there in the account."""
        names = {(one.kind, one.name) for one in self.wanted(declared, environment)}
        roles = {one.name: one.body["members"] for one in self.wanted(declared, environment) if one.kind is Kind.TEAM}
        prefix = f"{heartbeat_name(declared.project, environment)}-"

        def owned(kind: Kind, name: str, description: str) -> bool:
            ours = is_marked(description, declared.project)
            return ours and (kind is not Kind.INTEGRATION or name.startswith(prefix))

        return self._account.present(_addresses(declared), roles, lambda kind, name: (kind, name) in names, owned)

    def apply(self, change: Change, declared: OnCall, environment: str) -> None:
        """Do one step."""
        del environment
        self._steps.do(change, declared.project)

    def delivery(self, declared: OnCall, environment: str, owner: str, severity: Severity) -> Delivery:
        """Where the topic, or the forwarder, posts to."""
        team = declared.team_of(owner)
        route = team.routes.get(severity) if team is not None else None
        if route is None or not reaches_tool(route):
            raise PagingError(f"{declared.path}: the {severity.value}s of {owner!r} do not go to the on-call tool")
        name, kind = integration_name(declared.project, environment, owner, severity), integration_type(route)
        for service in self._account.named(Kind.INTEGRATION, name):
            for one in own_integrations(service):
                if plain_type(one) == kind:
                    address = f"/services/{quoted(str(service['id']))}/integrations/{quoted(str(one['id']))}"
                    key = str(self._rest.get(address)["integration"]["integration_key"])
                    if kind.startswith("events_api"):
                        return Delivery(f"{self._events}/v2/enqueue", key=key)
                    return Delivery(f"{self._events}/integration/{quoted(key)}/enqueue", key=key)
        raise PagingError(f"PagerDuty: there is no service {name!r} with its integration; run `tocsin oncall apply`")

    def delivered(self, declared: OnCall, environment: str, owner: str, severity: Severity) -> None:
        """Nothing: an integration's key is told whenever it is asked for, so it is on from the beginning."""

    def renew(self, declared: OnCall, environment: str, owner: str, severity: Severity) -> Delivery:
        """Make the service's integration anew, with another key."""
        name = integration_name(declared.project, environment, owner, severity)
        wanted = [one for one in self.wanted(declared, environment) if (one.kind, one.name) == (Kind.INTEGRATION, name)]
        for one in wanted:
            self._steps.replace_integration(one)
        return self.delivery(declared, environment, owner, severity)

    def heartbeat(self, declared: OnCall, environment: str) -> Delivery | None:
        """None: PagerDuty has no heartbeats."""
        del declared, environment
        return None

    def heartbeat_delivered(self, declared: OnCall, environment: str) -> None:
        """Nothing: PagerDuty has no heartbeats."""

    def renew_heartbeat(self, declared: OnCall, environment: str) -> Delivery | None:
        """None: PagerDuty has no heartbeats."""
        return self.heartbeat(declared, environment)

    def hears_heartbeat(self, declared: OnCall, environment: str) -> bool | None:
        """None: PagerDuty has no heartbeats."""
        del declared, environment
        return None

    def find_alert(self, alias: str) -> ToolAlert | None:
        """The newest incident whose alert has that alias: as its key, or as the name of the alarm that it tells of.

        What key PagerDuty's CloudWatch integration gives its alerts is not documented, so where no incident has the
        alias as its key, the newest incidents of this project's services are looked through.
        """
        found = self._find(alias)
        if found is None:
            return None
        incident, alert = found
        return _alert(alias, incident, alert)

    def close_alert(self, alias: str, note: str) -> None:
        """Resolve the open incident of that alias."""
        found = self._find(alias)
        if found is None or found[0].get("status") == "resolved":
            return
        if not self._author:
            raise PagingError(
                "PagerDuty: an incident is resolved in a user's name; declare a member in deploy/oncall.toml"
            )
        address = f"/incidents/{quoted(str(found[0]['id']))}"
        author = {"From": self._author}
        self._rest.request("POST", f"{address}/notes", {"note": {"content": note}}, headers=author, repeatable=False)
        self._rest.request(
            "PUT", address, {"incident": {"type": "incident_reference", "status": "resolved"}}, headers=author
        )

    def past_alerts(self, spans: Sequence[Span], aliases: Collection[str]) -> tuple[PastAlert, ...]:
        """Only an incident's own log says so, and it is not read.  Raises PagingError."""
        del spans, aliases
        raise PagingError(f"PagerDuty: {self.tells_no_past}")

    def _find(self, alias: str) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
        newest = {"date_range": "all", "sort_by": "created_at:desc", "limit": "25", "offset": "0"}
        keyed = self._rest.get("/incidents", query={**newest, "incident_key": alias}).get("incidents") or []
        for incident in keyed:
            for alert in self._alerts(incident):
                if alert.get("alert_key") == alias:
                    return incident, alert
        for incident in self._rest.get("/incidents", query=newest).get("incidents") or []:
            service = str((incident.get("service") or {}).get("summary") or "")
            if service.startswith(f"tocsin-{self._project}-"):
                for alert in self._alerts(incident):
                    if _details(alert).get("AlarmName") == alias:
                        return incident, alert
        return None

    def _alerts(self, incident: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = self._rest.get(f"/incidents/{quoted(str(incident['id']))}/alerts")["alerts"]
        return found


def _addresses(declared: OnCall) -> tuple[str, ...]:
    """Everybody whom the file names, members first."""
    found = [member.user for team in declared.teams for member in team.members]
    for team in declared.teams:
        found += [who for one in team.schedules for rotation in one.rotations for who in rotation.participants]
        steps = team.escalation.steps if team.escalation else ()
        found += [step.recipient.name for step in steps if step.recipient.kind is RecipientKind.USER]
    return tuple(dict.fromkeys(found))


def _details(alert: Mapping[str, Any]) -> Mapping[str, Any]:
    details = (alert.get("body") or {}).get("details")
    return details if isinstance(details, Mapping) else {}


def _alert(alias: str, incident: Mapping[str, Any], alert: Mapping[str, Any]) -> ToolAlert:
    details = _details(alert)
    resolved = incident.get("status") == "resolved"
    texts = (details.get("NewStateReason"), details.get("AlarmDescription"), details.get("description"))
    ended = incident.get("resolved_at") or incident.get("last_status_change_at")
    return ToolAlert(
        id=str(incident["id"]),
        alias=alias,
        open=not resolved,
        acknowledged=incident.get("status") == "acknowledged",
        message=str(incident.get("title") or ""),
        description="\n\n".join(str(text) for text in texts if text),
        priority=str(details.get("priority") or _PRIORITIES.get(str(incident.get("urgency")), "")),
        tags=(),
        details={str(name): str(value) for name, value in details.items()},
        created_at=_moment(incident.get("created_at")),
        closed_at=_moment(ended) if resolved else None,
        count=int((incident.get("alert_counts") or {}).get("all") or 1),
    )


def _moment(text: Any) -> datetime:
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except ValueError:
        raise PagingError(f"PagerDuty: an incident's time is no time: {str(text)[:40]!r}") from None
