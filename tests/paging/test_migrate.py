"""Leaving Opsgenie: what is read from an account, what becomes of each thing, and that nothing is written."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from declared_teams import LEAD, MAIL, PRIMARY, TOOL, escalation, file_of, schedule, team, turns

from tocsin.errors import PagingError
from tocsin.paging.changes import find_changes
from tocsin.paging.declared import (
    ToolName,
)
from tocsin.paging.embedded import EmbeddedOnCall, embedded_oncall
from tocsin.paging.migrate import END_OF_OPSGENIE, Fate, Migration, Moved, open_migration
from tocsin.paging.opsgenie import Opsgenie

TODAY = date(2026, 11, 21)
TEAM = team(
    TOOL, MAIL, people=(PRIMARY, LEAD), schedules=(schedule(turns("week", PRIMARY, LEAD)),), escalated=escalation()
)
DECLARED = file_of(ToolName.OPSGENIE, "OPSGENIE_API_KEY", TEAM, region="eu")
#: What the embedded account does not have.
BESIDES: Mapping[str, Any] = {
    "/v2/roles": [{"id": "r1", "name": "Observer"}],
    "/v2/policies/alert": [{"id": "p1", "name": "quiet nights", "type": "alert", "enabled": True}],
    "/v2/policies/notification": [{"id": "p2", "name": "delay", "type": "notification", "enabled": True}],
    "/v1/maintenance": [{"id": "m1", "description": "database move", "status": "planned"}],
    "/v2/forwarding-rules": [
        {"id": "f1", "fromUser": {"username": PRIMARY}, "toUser": {"username": LEAD}, "startDate": "a", "endDate": "b"}
    ],
    "/v1/services": [{"id": "s1", "name": "checkout"}],
    "/v1/incidents": [{"id": "i1", "message": "Payments are slow"}],
}
BY_TAIL: Mapping[str, Any] = {
    "/notification-rules": [{"id": "n1", "name": "new alert"}],
    "/overrides": [{"alias": "holiday", "startDate": "2026-12-24T08:00:00Z", "endDate": "2026-12-27T08:00:00Z"}],
    "/roles": [{"id": "t1", "name": "Deputy"}],
}


@contextmanager
def account_before(oncall: EmbeddedOnCall, besides: bool, methods: list[str]) -> Iterator[str]:
    """The embedded account, with what it does not have added to it; ``methods`` are all that was asked with."""
    there = urlsplit(oncall.url)

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            methods.append(self.command)
            path = urlsplit(self.path).path
            status, content = 200, b""
            added = BESIDES.get(path) or next((one for tail, one in BY_TAIL.items() if path.endswith(tail)), None)
            if besides and added is not None:
                team = parse_qs(urlsplit(self.path).query).get("teamId")
                content = json.dumps({"data": [] if team and path.endswith("alert") else added}).encode()
            else:
                connection = http.client.HTTPConnection(there.hostname or "", there.port, timeout=20)
                connection.request(self.command, self.path, headers=dict(self.headers))
                answer = connection.getresponse()
                status, content = answer.status, answer.read()
                connection.close()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def oncall() -> Iterator[EmbeddedOnCall]:
    """An account that Tocsin configured, and people beside it."""
    with embedded_oncall(users=(PRIMARY, LEAD)) as running:
        tool = Opsgenie.open(DECLARED, running.key, running.url)
        for change in find_changes(tool.wanted(DECLARED, "live"), tool.present(DECLARED, "live")):
            tool.apply(change, DECLARED, "live")
        state = running.state
        state.teams.add({"name": "people", "description": "", "members": []})
        state.schedules.add(
            {
                "name": "by hand",
                "description": "",
                "timezone": "UTC",
                "enabled": False,
                "rotations": [
                    {
                        "id": "1",
                        "name": "",
                        "type": "daily",
                        "length": 1,
                        "startDate": "2026-01-01T00:00:00Z",
                        "participants": [{"type": "team", "id": "x", "name": "people"}],
                        "timeRestriction": {"type": "time-of-day", "restriction": {}},
                    }
                ],
            }
        )
        state.integrations.add({"name": "grafana", "type": "API", "enabled": True, "apiKey": "a-key-of-grafana-s"})
        yield running


@pytest.fixture(scope="module")
def migration(oncall: EmbeddedOnCall) -> Migration:
    methods: list[str] = []
    with account_before(oncall, True, methods) as url:
        found = open_migration(DECLARED, oncall.key, TODAY, url)
    assert set(methods) == {"GET"}, "it never writes"
    return found


def one(migration: Migration, kind: str, name: str) -> Moved:
    (found,) = [item for item in migration.items if (item.kind, item.name) == (kind, name)]
    return found


@pytest.mark.parametrize(
    ("kind", "name", "fate", "becomes", "why"),
    [
        ("user", PRIMARY, Fate.MOVES, "account with the role agent", "takes a licence"),
        ("notification rules of", PRIMARY, Fate.BY_HAND, "1 notification rules", "each person's own"),
        ("role", "Observer", Fate.BY_HAND, "custom role", "rights have other names"),
        ("team", "payments", Fate.MOVES, "Atlassian team of 2 with operations", "a person makes it"),
        ("team", "people", Fate.MOVES, "Atlassian team of 0 with operations", "a person makes it"),
        ("team role", "payments/Deputy", Fate.BY_HAND, "team role", ""),
        ("schedule", "payments-primary", Fate.APPLIED, "schedule with rotations: 1 weekly", ""),
        (
            "schedule",
            "by hand",
            Fate.BY_HAND,
            "1 daily, 1 of them within hours",
            "participants that are no users: team",
        ),
        ("schedule", "by hand", Fate.BY_HAND, "1 daily", "switched off; belongs to no team"),
        ("override", "payments-primary/holiday", Fate.BY_HAND, "override", "2026-12-24T08:00:00Z to"),
        ("escalation", "payments", Fate.APPLIED, "escalation of 1 steps", ""),
        ("routing rule", "payments/tocsin-shop payments 0 drills", Fate.APPLIED, "routing rule", "over description"),
        ("routing rule", "payments/Default Routing Rule", Fate.BY_HAND, "default routing rule", "Jira makes one"),
        ("integration", "tocsin-shop-live-payments-page", Fate.APPLIED, "integration CloudWatch", "deployed again"),
        ("integration", "grafana", Fate.BY_HAND, "integration API", "whoever sends to it is to be told"),
        ("integration", "tocsin-shop-live-heartbeat", Fate.NONE, "", "the account's own token"),
        ("heartbeat", "tocsin-shop-live", Fate.APPLIED, "heartbeat of 10 minutes", "not in every plan"),
        ("alert policy", "quiet nights", Fate.BY_HAND, "alert policy", "responders"),
        ("maintenance", "database move", Fate.BY_HAND, "maintenance window", "planned"),
        ("forwarding rule", f"{PRIMARY} to {LEAD}", Fate.BY_HAND, "forwarding rule", "a to b"),
        ("service", "checkout", Fate.BY_HAND, "service of the site", "the site's own services"),
        ("open incident", "Payments are slow", Fate.NONE, "", "work item"),
    ],
)
def test_what_becomes_of_each_thing(
    migration: Migration, kind: str, name: str, fate: Fate, becomes: str, why: str
) -> None:
    found = one(migration, kind, name)
    assert found.fate is fate
    assert becomes in found.becomes
    assert why in found.why


def test_each_kind_of_thing_is_told(migration: Migration) -> None:
    assert "notification policy" in {item.kind for item in migration.items}
    assert not [item for item in migration.items if item.fate is Fate.UNKNOWN]
    for item in migration.items:
        assert item.why or item.becomes, item
        if item.fate is Fate.NONE:
            assert item.why, "what has no counterpart says why"


def test_the_steps_stand_in_their_order(migration: Migration) -> None:
    tasks = list(migration.tasks)
    places = [
        next(number for number, task in enumerate(tasks) if words in task)
        for words in (
            "Atlassian's own migration",
            'write name = "jira"',
            "oncall plan ENV",
            "oncall apply ENV",
            "Switch the heartbeats",
            "drill ENV",
            "Make by hand",
            "remove Opsgenie's side",
        )
    ]
    assert places == sorted(places)
    already = [task for task in replace(migration).tasks if "120 days" in task and END_OF_OPSGENIE.isoformat() in task]
    assert len(already) == 1


def test_it_says_how_long_there_is(migration: Migration, oncall: EmbeddedOnCall) -> None:
    assert migration.days_left == 135
    assert "support ends on 2027-04-05, 135 days are left" in migration.lines()[0]
    late = open_migration(DECLARED, oncall.key, date(2027, 4, 6), oncall.url)
    assert "it has ended" in late.lines()[0]


def test_lines_and_json_tell_the_same_and_no_key(migration: Migration, oncall: EmbeddedOnCall) -> None:
    text, tree = "\n".join(migration.lines()), migration.as_json()
    assert json.loads(json.dumps(tree)) == tree
    assert len(tree["items"]) == len(migration.items)
    assert tree["tasks"] == list(migration.tasks)
    for item in migration.items:
        assert f"  {item.kind} {item.name}" in text
    for key in (oncall.key, "a-key-of-grafana-s"):
        assert key not in text
        assert key not in json.dumps(tree)
    assert {entry["fate"] for entry in tree["items"]} == {"applied", "moves", "by-hand", "none"}


def test_two_readings_of_one_account_are_equal(migration: Migration, oncall: EmbeddedOnCall) -> None:
    with account_before(oncall, True, []) as url:
        assert replace(open_migration(DECLARED, oncall.key, TODAY, url), read=migration.read) == migration


def test_what_cannot_be_read_is_told_and_not_failed_over(oncall: EmbeddedOnCall) -> None:
    found = open_migration(DECLARED, oncall.key, TODAY, oncall.url)
    unread = {item.kind: item.why for item in found.items if item.fate is Fate.UNKNOWN}
    assert {"policies", "services", "maintenance", "forwarding rules"} <= set(unread)
    assert unread["services"] == "GET /v1/services answers 404: the key's rights, or the plan"
    assert "could not be read" in found.tasks[0]


def test_a_file_that_names_jira_already_is_told_no_more_to_do_so(oncall: EmbeddedOnCall) -> None:
    declared = replace(DECLARED, tool=replace(DECLARED.tool, name=ToolName.JIRA))
    found = open_migration(declared, oncall.key, TODAY, oncall.url)
    assert not [task for task in found.tasks if 'name = "jira"' in task]


def test_a_revoked_key_is_named_and_never_told(oncall: EmbeddedOnCall) -> None:
    with pytest.raises(PagingError, match="the variable OPSGENIE_API_KEY is missing, wrong or revoked") as caught:
        open_migration(DECLARED, "a-key-that-is-revoked", TODAY, oncall.url)
    assert "a-key-that-is-revoked" not in str(caught.value)


def test_an_unknown_region_is_refused() -> None:
    declared = replace(DECLARED, tool=replace(DECLARED.tool, region="moon"))
    with pytest.raises(PagingError, match="Opsgenie has us and eu"):
        open_migration(declared, "k" * 20, TODAY)
