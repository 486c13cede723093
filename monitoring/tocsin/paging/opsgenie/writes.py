"""Carries out one step of a plan in Opsgenie, so that doing it twice, or half and then again, is no harm.

A creation looks for the name first.  Where its outcome is not known (the connection broke, the server failed) or the
name is taken meanwhile (409), it looks again and goes on with what it finds; it is never sent twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from ...errors import PagingError
from ..changes import is_marked
from ..declared import OnCall
from ..rest import Rest, RestError
from ..tool import Action, Change, Found, Kind, MadeKey, Thing
from .account import OpsgenieAccount
from .bodies import API, OWNED_BY, to_opsgenie
from .calls import OpsgenieCalls

_PATHS: Final = {Kind.TEAM: "/v2/teams", Kind.SCHEDULE: "/v2/schedules", Kind.ESCALATION: "/v2/escalations"}
#: Which messages of CloudWatch open and which close an alert, where Opsgenie brings no filter of its own for them.
_FILTERS: Final = {
    "create": ("NewStateValue", "ALARM"),
    "close": ("NewStateValue", "OK"),
}


class OpsgenieWrites:
    """Changes of one account.  ``keys`` takes the key of each integration that is made, by its name."""

    def __init__(self, rest: Rest, calls: OpsgenieCalls, keys: dict[str, MadeKey]) -> None:
        self._rest, self._calls, self._keys = rest, calls, keys

    def apply(self, change: Change, declared: OnCall) -> None:
        """Do one step.  Raises PagingError."""
        if change.action is Action.DELETE:
            if change.found is not None:
                self._delete(change.found, declared)
            return
        thing, found = change.wanted, change.found
        if thing is None:
            raise AssertionError("a creation or update has something wanted")
        if thing.kind is Kind.ROUTING_RULE:
            self._routing_rule(thing, change)
        elif thing.kind is Kind.INTEGRATION:
            self._integration(thing, found)
        elif thing.kind is Kind.HEARTBEAT:
            self._heartbeat(thing, found, declared)
        else:
            self._plain(thing, change, declared)

    # Teams, schedules, escalations

    def _plain(self, thing: Thing, change: Change, declared: OnCall) -> None:
        path, body = _PATHS[thing.kind], to_opsgenie(thing)
        if change.found is not None:
            if thing.kind is Kind.SCHEDULE and not _touches(change, "rotations"):
                del body["rotations"]  # stating them makes new ones, and people's overrides name rotations
            self._rest.patch(f"{path}/{_quoted(change.found.id)}", body)
            return
        there = self._named(thing)
        if there is None:
            there = self._create(path, body, lambda: self._named(thing))
            if there is None:
                return
        self._refuse_others(thing, there, declared)
        self._rest.patch(f"{path}/{_quoted(there['id'])}", body)

    def _named(self, thing: Thing) -> Mapping[str, Any] | None:
        account = OpsgenieAccount(self._rest)
        lists = {Kind.TEAM: "teams", Kind.SCHEDULE: "schedules", Kind.ESCALATION: "escalations"}
        return next((one for one in getattr(account, lists[thing.kind]) if one["name"] == thing.name), None)

    def _create(
        self, path: str, body: Mapping[str, Any], look: Callable[[], Mapping[str, Any] | None]
    ) -> Mapping[str, Any] | None:
        """Create something; what was there in its place all the same, None when all went well."""
        try:
            self._rest.post(path, body)
        except RestError as error:
            if not error.unknown and error.status != HTTPStatus.CONFLICT:
                raise
            there = look()
            if there is None:
                raise
            return there
        return None

    def _refuse_others(self, thing: Thing, there: Mapping[str, Any], declared: OnCall) -> None:
        if not is_marked(there.get("description"), declared.project):
            raise PagingError(
                f"Opsgenie: {thing.kind.value} {thing.name!r} has been made by somebody else meanwhile; "
                "run `tocsin oncall plan` again"
            )

    # Routing rules

    def _routing_rule(self, thing: Thing, change: Change) -> None:
        path = f"/v2/teams/{_quoted(self._team_id(thing.body['team']))}/routing-rules"
        body = to_opsgenie(thing)
        there = self._rule_named(thing)
        if there is not None and (_touches(change, "timeRestriction") or there.get("timeRestriction")):
            # There is no way to state that a rule holds at all times but to make it so.
            self._gone(f"{path}/{_quoted(there['id'])}")
            there = None
        if there is None:
            there = self._create(path, {**body, "order": thing.body["order"]}, lambda: self._rule_named(thing))
            if there is None:
                return
        self._rest.patch(f"{path}/{_quoted(there['id'])}", body)
        if (there.get("order") or 0) != thing.body["order"]:
            order = {"order": thing.body["order"]}
            self._rest.request("POST", f"{path}/{_quoted(there['id'])}/change-order", order, repeatable=True)

    def _rule_named(self, thing: Thing) -> Mapping[str, Any] | None:
        rules = OpsgenieAccount(self._rest).rules(self._team_id(thing.body["team"]))
        return next((rule for rule in rules if rule.get("name") == thing.name), None)

    def _team_id(self, name: str) -> str:
        for team in OpsgenieAccount(self._rest).teams:
            if team["name"] == name:
                return str(team["id"])
        raise PagingError(f"Opsgenie: no team {name!r}; run `tocsin oncall plan` again")

    # Integrations

    def _integration(self, thing: Thing, found: Found | None) -> None:
        meta = next((one for one in OpsgenieAccount(self._rest).integrations if one["name"] == thing.name), None)
        if meta is not None and thing.name not in self._keys:
            # Switched off, it is one whose key was lost before it lay in its secret; and no type changes into another.
            if not meta.get("enabled") or meta.get("type") != thing.body["type"]:
                self._gone(f"/v2/integrations/{_quoted(meta['id'])}")
                meta = None
            elif found is not None:
                self._update_integration(thing, meta["id"])
        if meta is None:
            meta = self.make_integration(thing)
        if "alerts" in thing.body:
            self._set_actions(thing, str(meta["id"]))

    def make_integration(self, thing: Thing) -> Mapping[str, Any]:
        """Make an integration that is switched off until `enable`; its key is told once."""
        body = {**self._integration_body(thing), "enabled": False}
        if thing.body["type"] == API:
            body |= {"allowReadAccess": False, "allowWriteAccess": True, "allowDeleteAccess": False}
        try:
            made = self._made(body)
        except RestError as error:
            if not error.unknown and error.status != HTTPStatus.CONFLICT:
                raise
            there = next((one for one in OpsgenieAccount(self._rest).integrations if one["name"] == thing.name), None)
            if there is None or not error.unknown:
                raise
            # Made, but its key was in the answer that did not come.
            self._gone(f"/v2/integrations/{_quoted(there['id'])}")
            made = self._made(body)
        if key := made.get("apiKey"):
            self._keys[thing.name] = MadeKey(str(made["id"]), str(key))
        if made.get("enabled"):
            self._rest.request("POST", f"/v2/integrations/{_quoted(made['id'])}/disable", repeatable=True)
        return made

    def enable(self, name: str) -> None:
        """Let an integration in: its key lies where it is used."""
        for one in OpsgenieAccount(self._rest).integrations:
            if one["name"] == name and not one.get("enabled"):
                self._rest.request("POST", f"/v2/integrations/{_quoted(one['id'])}/enable", repeatable=True)

    def replace_integration(self, thing: Thing) -> None:
        """Make an integration anew, with a new key."""
        self.drop_integrations(thing.name)
        self._keys.pop(thing.name, None)
        self._integration(thing, None)

    def make_closing_integration(self, name: str, mark: str) -> str:
        """Make an integration of no team, which sees all alerts and may change them; its key is returned."""
        body = {
            "type": API,
            "name": name,
            "allowReadAccess": True,
            "allowWriteAccess": True,
            "allowDeleteAccess": False,
            "allowConfigurationAccess": False,
            "suppressNotifications": True,
            "extraProperties": {OWNED_BY: mark},
        }
        try:
            made = self._made(body)
        except PagingError:
            self.drop_integrations(name)  # it may be there all the same
            raise
        if not (key := str(made.get("apiKey") or "")):
            self.drop_integrations(name)
            raise PagingError("Opsgenie: POST /v2/integrations: the answer holds no key of the integration")
        return key

    def drop_integrations(self, name: str) -> None:
        """Remove the integrations of that name."""
        for one in OpsgenieAccount(self._rest).integrations:
            if one["name"] == name:
                self._gone(f"/v2/integrations/{_quoted(one['id'])}")

    def _made(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make an integration.  Raises PagingError for an answer that does not tell of it."""
        answer = self._rest.post("/v2/integrations", body)
        made = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(made, dict) or not made.get("id"):
            raise PagingError(
                "Opsgenie: POST /v2/integrations: the answer tells of no integration: is this Opsgenie's address?"
            )
        return made

    def _update_integration(self, thing: Thing, identifier: str) -> None:
        whole = OpsgenieAccount(self._rest).integration(identifier)
        if whole is None:
            return
        # There is no partial update: what is there, less what may not be written, with what is wanted.
        kept = {name: value for name, value in whole.items() if name not in (*whole.get("_readOnly", ()), "_readOnly")}
        properties = {**(whole.get("extraProperties") or {}), OWNED_BY: thing.body["for"]}
        body = {**kept, **self._integration_body(thing), "extraProperties": properties}
        self._rest.put(f"/v2/integrations/{_quoted(identifier)}", body)

    def _integration_body(self, thing: Thing) -> dict[str, Any]:
        return {
            "type": thing.body["type"],
            "name": thing.name,
            "ownerTeam": {"name": thing.body["team"]},
            "responders": [{"type": "team", "name": thing.body["team"]}],
            "suppressNotifications": False,
            "allowConfigurationAccess": False,
            "extraProperties": {OWNED_BY: thing.body["for"]},
        }

    def _set_actions(self, thing: Thing, identifier: str) -> None:
        try:
            self._put_actions(thing, identifier)
        except RestError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            raise PagingError(
                f"Opsgenie: integration {thing.name!r} was deleted or replaced by somebody else meanwhile; run "
                "`tocsin oncall plan` again"
            ) from None

    def _put_actions(self, thing: Thing, identifier: str) -> None:
        path = f"/v2/integrations/{_quoted(identifier)}/actions"
        there = OpsgenieAccount(self._rest).actions(identifier)
        opens = {**thing.body["alerts"], "name": "Open an alert", "type": "create", **_filter(there, "create")}
        # The alarm's own facts only: what the notification brings besides is Opsgenie's default for it.
        opens |= {"ignoreTagsFromPayload": False, "ignoreExtraPropertiesFromPayload": False}
        closes = {
            **{name: thing.body["alerts"][name] for name in ("user", "note")},
            "alias": thing.body["closes"],
            "name": "Close the alert",
            "type": "close",
            **_filter(there, "close"),
        }
        others = {name: there.get(name) or [] for name in ("ignore", "acknowledge", "addNote")}
        self._rest.put(path, {**others, "create": [opens], "close": [closes]})

    # Heartbeats

    def _heartbeat(self, thing: Thing, found: Found | None, declared: OnCall) -> None:
        body = to_opsgenie(thing)
        there = found.body if found else OpsgenieAccount(self._rest).heartbeat(thing.name)
        if there is None:
            try:
                self._calls.create_heartbeat(body)
            except RestError as error:
                if not error.unknown and error.status != HTTPStatus.CONFLICT:
                    raise
                there = OpsgenieAccount(self._rest).heartbeat(thing.name)
                if there is None:
                    raise
            else:
                return
        if found is None:
            self._refuse_others(thing, there, declared)
        del body["name"]
        self._rest.patch(f"/v2/heartbeats/{_quoted(thing.name)}", body)

    # Deletions

    def _delete(self, found: Found, declared: OnCall) -> None:
        if found.kind is Kind.HEARTBEAT:
            self._calls.delete_heartbeat(found.name)
        elif found.kind is Kind.ROUTING_RULE:
            teams = {team["name"]: team["id"] for team in OpsgenieAccount(self._rest).teams}
            if (team := teams.get(found.body["team"])) is not None:
                self._gone(f"/v2/teams/{_quoted(team)}/routing-rules/{_quoted(found.id)}")
        elif found.kind is Kind.INTEGRATION:
            self._gone(f"/v2/integrations/{_quoted(found.id)}")
        else:
            if found.kind is Kind.TEAM:
                self._refuse_to_empty(found, declared)
            self._gone(f"{_PATHS[found.kind]}/{_quoted(found.id)}")

    def _refuse_to_empty(self, team: Found, declared: OnCall) -> None:
        account = OpsgenieAccount(self._rest)
        if team.id not in {one["id"] for one in account.teams}:
            return
        kept = account.kept_by({"id": team.id, "name": team.name}, declared.project)
        ours = [f"integration {one['name']!r}" for one in account.integrations_of(team.id)]
        if kept or ours:
            raise PagingError(
                f"Opsgenie: team {team.name!r} stays: with it would go {', '.join(dict.fromkeys((*kept, *ours)))}; "
                "move them to another team, or run `tocsin oncall apply` for the environments they are of"
            )

    def _gone(self, path: str) -> None:
        try:
            self._rest.delete(path)
        except RestError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise


def _filter(there: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The filter that Opsgenie brings for such an integration: it knows the names of its fields best."""
    for action in there.get(kind) or ():
        if (filtered := action.get("filter")) and filtered.get("conditions"):
            return {"filter": filtered}
    field, value = _FILTERS[kind]
    condition = {"field": field, "not": False, "operation": "equals", "expectedValue": value}
    return {"filter": {"conditionMatchType": "match-all-conditions", "conditions": [condition]}}


def _touches(change: Change, part: str) -> bool:
    return any(one.path.partition(".")[0] == part for one in change.differences)


def _quoted(text: str) -> str:
    return quote(text, safe="")
