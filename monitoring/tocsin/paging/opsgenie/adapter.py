"""Opsgenie, in its US and EU instances: the on-call tool's interface over its REST API and opsgenie-sdk.

Not covered by opsgenie-sdk and so plain REST: users, teams, schedules, escalations, routing rules, integrations, and a
heartbeat's team and priority.  Opsgenie's description (https://github.com/opsgenie/opsgenie-oas) has an integration's
key nowhere; its Go SDK reads it from the answer to the creation alone, and the Terraform provider likewise.  So a key
counts as told once: an integration is switched off until `delivered` says that its key lies in its secret, one that is
still off in a later run is made anew, and `renew` makes one anew on purpose.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urlencode

from ...errors import PagingError
from ...model import Severity
from ..changes import is_marked
from ..declared import OnCall, RecipientKind, Route, ToolName
from ..past_alerts import PastAlert, Span
from ..rest import Rest, RestError
from ..tool import (
    Change,
    Delivery,
    Found,
    KeyNotToldError,
    Kind,
    MadeKey,
    Thing,
    ToolAlert,
    heartbeat_name,
    integration_name,
)
from .account import OpsgenieAccount
from .bodies import API, closing_mark, closing_prefix, integration_type, ping_name, things
from .calls import OpsgenieCalls
from .writes import OpsgenieWrites

#: https://docs.opsgenie.com/docs/api-overview
ADDRESSES: Final = {"us": "https://api.opsgenie.com", "eu": "https://api.eu.opsgenie.com"}
_NO_TEAM = "00000000-0000-0000-0000-000000000000"


class Opsgenie:
    """One Opsgenie account.

    ``drills_wake_nobody``: the first routing rule of each team notifies nobody of a drill.
    """

    name = ToolName.OPSGENIE.value
    drills_wake_nobody = True
    renews = renews_heartbeat = True
    tells_no_past = ""

    def __init__(self, rest: Rest, *, key_shown: str = "the key", project: str = "") -> None:
        self._rest, self._key_shown, self._project = rest, key_shown, project
        self._keys: dict[str, MadeKey] = {}  # by name of the integration, told in this run
        self._calls = OpsgenieCalls(rest)
        self._writes = OpsgenieWrites(rest, self._calls, self._keys)

    @classmethod
    def open(cls, declared: OnCall, key: str, url: str | None = None) -> Opsgenie:
        """The account that the file names.  Raises PagingError for an unknown region."""
        tool = declared.tool
        if tool.region not in ADDRESSES:
            raise PagingError(f"{declared.path}: tool.region: {tool.region!r}: Opsgenie has us and eu")
        headers = {"Authorization": f"GenieKey {key}"}
        where = url or tool.url or ADDRESSES[tool.region]
        rest = Rest(where, headers, key_shown=tool.key.shown, tool="Opsgenie")
        return cls(rest, key_shown=tool.key.shown, project=declared.project)

    # What is and what should be

    def check(self, declared: OnCall, environment: str) -> None:
        """Refuse what would fail later: the key, an unknown or blocked user, times Opsgenie does not know, a team that
        is to go and holds what people made."""
        self.wanted(declared, environment)
        self._rest.get("/v2/account")
        self._refuse_weak_key()
        account = OpsgenieAccount(self._rest)
        for address, where in sorted(_addresses(declared).items()):
            user = account.user(address)
            if user is None:
                raise PagingError(
                    f"{declared.path}: {where}: Opsgenie knows no user {address!r}: invite them there, or correct it"
                )
            if user.get("blocked"):
                raise PagingError(
                    f"{declared.path}: {where}: the user {address!r} is blocked in Opsgenie and is told nothing"
                )
        names = {team.name for team in declared.teams}
        going = [one for one in account.teams if one["name"] not in names]
        for team in going:
            ours = is_marked(team.get("description"), declared.project)
            if ours and (kept := account.kept_by(team, declared.project)):
                raise PagingError(
                    f"{declared.path}: team {team['name']!r} is to go, and with it would go {', '.join(kept)}, which"
                    " Tocsin did not make: move them to another team in Opsgenie, or keep the team"
                )

    def wanted(self, declared: OnCall, environment: str) -> tuple[Thing, ...]:
        """Teams, schedules, escalations, routing rules, integrations and the heartbeat."""
        order = {kind: number for number, kind in enumerate(Kind)}
        return tuple(sorted(things(declared, environment), key=lambda thing: (order[thing.kind], thing.name)))

    def present(self, declared: OnCall, environment: str) -> tuple[Found, ...]:
        """What is there and ours, or in the way."""
        return tuple(OpsgenieAccount(self._rest).find(self.wanted(declared, environment), declared, environment))

    def apply(self, change: Change, declared: OnCall, environment: str) -> None:  # noqa: ARG002 (the interface's)
        """Do one step."""
        self._writes.apply(change, declared)

    # Where AWS delivers to

    def delivery(self, declared: OnCall, environment: str, owner: str, severity: Severity) -> Delivery:
        """Where the topic posts to, for an integration that this run has made, or whose key Opsgenie tells again.

        Raises KeyNotToldError for another one: its key lies in its secret, or `renew` makes a new one.
        """
        name = integration_name(declared.project, environment, owner, severity)
        by_forwarder = integration_type(_route(declared, owner, severity)) == API
        address = f"{self._rest.base_url}{'/v2/alerts' if by_forwarder else '/v1/json/cloudwatch'}"
        made, key = self._key_of(name, address)
        if by_forwarder:
            return Delivery(address, f"GenieKey {key}", key, made)
        return Delivery(f"{address}?{urlencode({'apiKey': key})}", key=key, integration=made)

    def delivered(self, declared: OnCall, environment: str, owner: str, severity: Severity) -> None:
        """The delivery lies in its secret: switch the integration on.  For one that is on, nothing happens."""
        self._writes.enable(integration_name(declared.project, environment, owner, severity))

    def renew(self, declared: OnCall, environment: str, owner: str, severity: Severity) -> Delivery:
        """Make the integration anew, with a new key: for a secret that is lost, or a key that leaked."""
        name = integration_name(declared.project, environment, owner, severity)
        self._writes.replace_integration(self._wanted_integration(declared, environment, name))
        return self.delivery(declared, environment, owner, severity)

    def heartbeat(self, declared: OnCall, environment: str) -> Delivery | None:
        """Where the dead-man's switch pings, with the key of an integration that may do little else; None if none is
        declared.  Raises KeyNotToldError as `delivery` does."""
        if declared.heartbeat is None:
            return None
        beat = quote(heartbeat_name(declared.project, environment), safe="")
        address = f"{self._rest.base_url}/v2/heartbeats/{beat}/ping"
        made, key = self._key_of(ping_name(declared.project, environment), address)
        return Delivery(address, f"GenieKey {key}", key, made)

    def heartbeat_delivered(self, declared: OnCall, environment: str) -> None:
        """The heartbeat's delivery lies in its secret: switch its integration on."""
        self._writes.enable(ping_name(declared.project, environment))

    def renew_heartbeat(self, declared: OnCall, environment: str) -> Delivery | None:
        """Make the integration that the dead-man's switch pings with anew, with a new key."""
        if declared.heartbeat is None:
            return None
        name = ping_name(declared.project, environment)
        self._writes.replace_integration(self._wanted_integration(declared, environment, name))
        return self.heartbeat(declared, environment)

    def hears_heartbeat(self, declared: OnCall, environment: str) -> bool | None:
        """Whether the heartbeat is on, was pinged, and has not expired; None if none is declared.

        Opsgenie's documentation leaves the time of the last ping out, and the API tells it
        (https://jira.atlassian.com/browse/OPSGENIE-2492).
        """
        if declared.heartbeat is None:
            return None
        there = OpsgenieAccount(self._rest).heartbeat(heartbeat_name(declared.project, environment))
        return bool(there and there.get("enabled") and there.get("lastPingTime") and not there.get("expired"))

    # Alerts

    def find_alert(self, alias: str) -> ToolAlert | None:
        """The newest alert of that alias, open or closed."""
        return self._calls.find_alert(alias)

    def close_alert(self, alias: str, note: str) -> None:
        """Close the open alert of that alias, if there is one.

        A key of the account's settings may not
        (https://support.atlassian.com/opsgenie/docs/api-key-management/), but it may make an integration whose key may:
        that one closes the alert, and goes again.
        """
        try:
            self._calls.close_alert(alias, note)
        except RestError as error:
            if error.status != HTTPStatus.FORBIDDEN:
                raise
        else:
            return
        there = self._calls.find_alert(alias)
        if there is not None and there.open:
            self._close_by_integration(alias, note)

    def past_alerts(self, spans: Sequence[Span], aliases: Collection[str]) -> tuple[PastAlert, ...]:
        """What was opened in the spans.  The list tells no description, so each of our alerts is asked for by its id."""
        return tuple(self._calls.past_alerts(spans, aliases))

    def _close_by_integration(self, alias: str, note: str) -> None:
        name = closing_prefix(self._project) + secrets.token_hex(4)
        try:
            key = self._writes.make_closing_integration(name, closing_mark(self._project))
            try:
                OpsgenieCalls(self._rest.carrying({"Authorization": f"GenieKey {key}"})).close_alert(alias, note)
            finally:
                self._writes.drop_integrations(name)
        except PagingError as error:
            raise PagingError(
                f"Opsgenie: {self._key_shown} may not close alerts, as no key of its Settings, API key management, may,"
                f" and an integration of Tocsin's own could not do it and go again ({error}): close {alias} in"
                f" Opsgenie, and delete the integration {name} if it is there"
            ) from None

    def _key_of(self, name: str, address: str) -> MadeKey:
        if (made := self._keys.get(name)) is not None:
            return made
        account = OpsgenieAccount(self._rest)
        meta = next((one for one in account.integrations if one["name"] == name), None)
        if meta is None:
            raise PagingError(f"Opsgenie: no integration {name!r}; run `tocsin oncall apply`")
        told = str((account.integration(meta["id"]) or {}).get("apiKey") or "")
        if told and "*" not in told:
            return MadeKey(str(meta["id"]), told)
        raise KeyNotToldError(
            f"Opsgenie: the key of the integration {name!r} was told when it was made, and is told no more;"
            " it lies in its secret, or a new one is made by `tocsin oncall apply`",
            address,
            str(meta["id"]),
        )

    def _wanted_integration(self, declared: OnCall, environment: str, name: str) -> Thing:
        for thing in self.wanted(declared, environment):
            if (thing.kind, thing.name) == (Kind.INTEGRATION, name):
                return thing
        raise PagingError(f"{declared.path} wants no integration {name!r}; run `tocsin oncall plan`")

    def _refuse_weak_key(self) -> None:
        """A key that may read only is found by changing a team that cannot be: 404 is as it should be."""
        try:
            self._rest.patch(f"/v2/teams/{_NO_TEAM}", {"description": ""})
        except RestError as error:
            if error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                raise PagingError(
                    f"Opsgenie: {self._key_shown} may not change the configuration: give it the right to"
                    " (Settings, API key management: create and update, delete, configuration access)"
                ) from None
            if error.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.BAD_REQUEST):
                raise


def _route(declared: OnCall, owner: str, severity: Severity) -> Route:
    team = declared.team_of(owner)
    if team is None or severity not in team.routes:
        raise PagingError(f"{declared.path}: nobody takes {severity.value}s of {owner!r}")
    return team.routes[severity]


def _addresses(declared: OnCall) -> dict[str, str]:
    """Every user that is named, and where."""
    found: dict[str, str] = {}
    for team in declared.teams:
        for member in team.members:
            found.setdefault(member.user, f"team {team.name!r}")
        for schedule in team.schedules:
            for rotation in schedule.rotations:
                for participant in rotation.participants:
                    found.setdefault(participant, f"schedule {schedule.name!r}, rotation {rotation.name!r}")
        for step in team.escalation.steps if team.escalation else ():
            if step.recipient.kind is RecipientKind.USER:
                found.setdefault(step.recipient.name, f"escalation {team.escalation.name!r}" if team.escalation else "")
    return found
