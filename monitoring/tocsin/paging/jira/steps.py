"""Brings one thing of Jira Service Management operations to what is wanted, or takes it away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from ...errors import PagingError
from ..changes import is_marked
from ..rest import Rest, RestError
from ..tool import Action, Change, Found, Kind, MadeKey, Thing
from .account import JiraAccount, by_team, incoming_action
from .bodies import Ids

#: What closes an alert, where Jira brings no such action with an integration.
_CLOSING: Final = {
    "type": "close",
    "name": "Close the alert",
    "domain": "alert",
    "direction": "incoming",
    "groupType": "updating",
    "enabled": True,
    "filter": {
        "conditionMatchType": "match-all-conditions",
        "conditions": [{"field": "NewStateValue", "not": False, "operation": "equals", "expectedValue": "OK"}],
    },
}


class JiraSteps:
    """The writing side of one site.

    ``keys`` are those of the integrations that were made in this run, by name: they are told no second time.
    """

    def __init__(self, ops: Rest, account: JiraAccount) -> None:
        self._ops, self._account = ops, account
        self.keys: dict[str, MadeKey] = {}

    def do(self, change: Change, ids: Ids, project: str, rules: Sequence[Thing]) -> None:
        """One step.  ``rules`` are all routing rules that are wanted, for their order."""
        if change.action is Action.DELETE:
            if change.found is not None:
                self._delete(change.found)
            return
        assert change.wanted is not None
        wanted = change.wanted
        match change.kind:
            case Kind.SCHEDULE:
                self._schedule(change, wanted, ids, project)
            case Kind.ESCALATION:
                self._escalation(change, wanted, ids, project)
            case Kind.ROUTING_RULE:
                self._routing_rule(wanted, ids, rules)
            case Kind.INTEGRATION:
                self._integration(wanted, ids)
            case Kind.HEARTBEAT:
                self._heartbeat(wanted, ids)
            case Kind.TEAM:
                raise PagingError(f"Jira: the team {wanted.name!r} is a person's to make; no API does it by name")

    def replace_integration(self, wanted: Thing, ids: Ids) -> None:
        """Make an integration, switched off and with a new key, in place of those of its name."""
        for one in list(self._account.integrations()):
            if one.get("name") == wanted.name:
                self._remove(f"/v1/integrations/{quoted(one['id'])}")
        made = self._ops.post(
            "/v1/integrations",
            {
                "name": wanted.name,
                "type": wanted.body["type"],
                "teamId": ids.id_of("team", wanted.body["team"]),
                "enabled": False,
            },
        )
        if not isinstance(made, dict) or not made.get("apiKey") or not made.get("id"):
            raise PagingError(f"Jira: the answer to making the integration {wanted.name!r} holds no key; apply again")
        self._set_actions(made["id"], wanted)
        self.keys[wanted.name] = MadeKey(str(made["id"]), str(made["apiKey"]))

    def _schedule(self, change: Change, wanted: Thing, ids: Ids, project: str) -> None:
        body = wanted.body
        plain = {
            "name": wanted.name,
            "teamId": ids.id_of("team", body["team"]),
            **{key: body[key] for key in ("description", "timezone", "enabled")},
        }
        there = _there(change, self._account.schedules(), project)
        if there is None:
            made = self._ops.post("/v1/schedules", plain)
            if not isinstance(made, dict) or not made.get("id"):
                raise PagingError("Jira: POST /v1/schedules: the answer tells of no schedule: is this Jira's address?")
            there = str(made["id"])
        else:
            self._ops.patch(f"/v1/schedules/{quoted(there)}", plain)
        address = f"/v1/schedules/{quoted(there)}/rotations"
        present: dict[str, list[str]] = {}
        for one in self._account.rotations(there):
            present.setdefault(str(one.get("name") or ""), []).append(str(one["id"]))
        for rotation in body["rotations"]:
            people = [{"type": "user", "id": ids.id_of("user", who)} for who in rotation["participants"]]
            sent = {**rotation, "participants": people}
            if same := present.get(rotation["name"]):
                # Null takes a restriction or an end away that was there before.
                self._ops.patch(f"{address}/{quoted(same.pop(0))}", sent)
            else:
                self._ops.post(address, {key: value for key, value in sent.items() if value is not None})
        for left in (one for same in present.values() for one in same):
            self._remove(f"{address}/{quoted(left)}")

    def _escalation(self, change: Change, wanted: Thing, ids: Ids, project: str) -> None:
        body = wanted.body
        sent = {"name": wanted.name, **{key: body[key] for key in ("description", "enabled", "repeat")}}
        sent["rules"] = [{**rule, "recipient": _recipient(rule["recipient"], ids)} for rule in body["rules"]]
        team = ids.id_of("team", body["team"])
        address = f"/v1/teams/{quoted(team)}/escalations"
        there = _there(change, self._account.under_team(team, "escalations"), project)
        if there is None:
            self._ops.post(address, {key: value for key, value in sent.items() if value is not None})
        else:
            self._ops.patch(f"{address}/{quoted(there)}", sent)

    def _routing_rule(self, wanted: Thing, ids: Ids, rules: Sequence[Thing]) -> None:
        body = wanted.body
        notify = dict(body["notify"])
        if named := notify.pop("name", None):
            notify["id"] = ids.id_of(notify["type"], named, body["team"])
        sent = {"name": wanted.name, "criteria": body["criteria"], "notify": notify}
        address = f"/v1/teams/{quoted(ids.id_of('team', body['team']))}/routing-rules"
        there = next((one["id"] for one in self._rules(body["team"]) if one.get("name") == wanted.name), None)
        if there is None:
            self._ops.post(address, {**sent, "order": body["position"]})
        else:
            self._ops.patch(f"{address}/{quoted(there)}", sent)
        order = sorted((one for one in rules if one.body["team"] == body["team"]), key=lambda one: one.body["position"])
        self._put_first(body["team"], address, [one.name for one in order])

    def _put_first(self, team: str, address: str, order: Sequence[str]) -> None:
        """Move the rules of these names, as far as they are there, before all others."""
        rules = self._rules(team)
        names = {one.get("name") for one in rules}
        for place, name in enumerate(name for name in order if name in names):
            if rules[place].get("name") != name:
                moved = next(one["id"] for one in rules if one.get("name") == name)
                self._ops.patch(f"{address}/{quoted(moved)}/change-order", {"order": place})
                rules = self._rules(team)

    def _rules(self, team: str) -> list[dict[str, Any]]:
        return next((rules for name, rules in by_team(self._account, (team,)) if name == team), [])

    def _integration(self, wanted: Thing, ids: Ids) -> None:
        there = next((one for one in self._account.integrations() if one.get("name") == wanted.name), None)
        if there is not None and wanted.name in self.keys:
            return  # made in this run; it is switched on once its key is kept
        if there is None or there.get("type") != wanted.body["type"] or not there.get("enabled"):
            self.replace_integration(wanted, ids)
            return
        team = ids.id_of("team", wanted.body["team"])
        if there.get("teamId") != team:
            self._ops.patch(f"/v1/integrations/{quoted(there['id'])}", {"teamId": team})
        self._set_actions(there["id"], wanted)

    def _set_actions(self, integration: str, wanted: Thing) -> None:
        """Say what an alert holds and by what it is closed; filters stay Jira's own, which knows its fields best."""
        path = f"/v1/integrations/{quoted(integration)}/actions"
        actions = list(self._account.actions(integration))
        creating = incoming_action(actions, "create")
        if creating is None:
            raise PagingError(
                f"Jira: integration {wanted.name!r} has no action that creates alerts; delete it there, and apply again"
            )
        stated = {**wanted.body.get("alerts", {}), "priority": wanted.body["priority"]}
        self._set_mappings(path, creating, stated)
        if "closes" not in wanted.body:
            return
        closes = {"alias": wanted.body["closes"]}
        closing = incoming_action(actions, "close")
        if closing is None:
            self._ops.post(path, {**_CLOSING, "fieldMappings": closes})
        else:
            self._set_mappings(path, closing, closes)

    def _set_mappings(self, path: str, action: Mapping[str, Any], stated: Mapping[str, Any]) -> None:
        mappings = dict(action.get("fieldMappings") or {})
        if any(mappings.get(name) != value for name, value in stated.items()):
            sent = {key: value for key, value in action.items() if key not in ("id", "order")}
            sent["fieldMappings"] = {**mappings, **stated}
            self._ops.patch(f"{path}/{quoted(str(action['id']))}", sent)

    def _heartbeat(self, wanted: Thing, ids: Ids) -> None:
        address = f"/v1/teams/{quoted(ids.id_of('team', wanted.body['team']))}/heartbeats"
        sent = {"name": wanted.name, **{key: value for key, value in wanted.body.items() if key != "team"}}
        there = False
        for team, one in list(self._account.under_teams("heartbeats")):
            if one.get("name") == wanted.name and team == wanted.body["team"]:
                there = True
            elif one.get("name") == wanted.name:  # its name is the site's, so it goes before it comes elsewhere
                other = quoted(self._account.teams()[team])
                self._remove(f"/v1/teams/{other}/heartbeats", {"name": wanted.name})
        if there:
            self._ops.patch(address, sent, {"name": wanted.name})
        else:
            self._ops.post(address, sent)

    def _delete(self, found: Found) -> None:
        team = f"/v1/teams/{quoted(self._account.teams().get(str(found.body.get('team')), ''))}"
        if found.kind is Kind.HEARTBEAT:
            self._remove(f"{team}/heartbeats", {"name": found.id})
            return
        where = {
            Kind.SCHEDULE: "/v1/schedules",
            Kind.INTEGRATION: "/v1/integrations",
            Kind.ESCALATION: f"{team}/escalations",
            Kind.ROUTING_RULE: f"{team}/routing-rules",
        }
        self._remove(f"{where[found.kind]}/{quoted(found.id)}")

    def _remove(self, path: str, query: Mapping[str, str] | None = None) -> None:
        """Delete; what is gone already is gone."""
        try:
            self._ops.delete(path, query=query)
        except RestError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise


def _recipient(recipient: Mapping[str, Any], ids: Ids) -> dict[str, Any]:
    return {"type": recipient["type"], "id": ids.id_of(recipient["type"], recipient["name"])}


def _there(change: Change, present: Iterable[Mapping[str, Any]], project: str) -> str | None:
    """The id of what is to be changed; of what is to be made, if an earlier run was cut off after making it.

    Raises PagingError if somebody else has made a thing of that name since the plan.
    """
    if change.found is not None:
        return change.found.id
    same = [one for one in present if one.get("name") == change.name]
    ours = [one for one in same if is_marked(one.get("description"), project)]
    if same and not ours:
        raise PagingError(f"Jira: somebody made the {change.kind.value} {change.name!r} meanwhile; plan again")
    return str(ours[0]["id"]) if ours else None


def quoted(text: str) -> str:
    """One segment of a path."""
    return quote(text, safe="")
