"""Reading deploy/oncall.toml: what each key means, its defaults, and one line for each thing that is wrong."""

# ruff: noqa: DTZ001 - wall-clock times are naive, as in the file

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.errors import InputError
from tocsin.model import Severity
from tocsin.paging.declared import (
    Heartbeat,
    Hours,
    Member,
    OnCall,
    Recipient,
    RecipientKind,
    Route,
    SecretSource,
    Step,
    Tool,
    ToolName,
    Way,
)
from tocsin.paging.faults import find_faults
from tocsin.paging.oncall_file import DEFAULT_KEYS, read_oncall

ROOT = Path(__file__).parents[2]
PRIMARY, SECOND = "payments-primary@example.com", "payments-second@example.com"
KEY = "eb243592-faa2-4ba2-a551-1afdf565c889"  # the form of a key; it opens nothing
HOOK = "https://hooks.slack.com/services/TABCDEFGH/BABCDEFGH/abcdefghijklmnopqrstuvwx"
LONG_KEY = "u0Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8"

SMALL = """\
project = "shop"
environments = ["prod"]
time_zone = "Europe/Vienna"
second_way = "fallback@example.com"

[tool]
name = "opsgenie"

[heartbeat]
team = "payments"

[teams.payments]
members = ["payments-primary@example.com", { user = "payments-second@example.com", admin = true }]

[teams.payments.schedules.payments.rotations.week]
participants = ["payments-primary@example.com", "payments-second@example.com"]
starts = 2026-01-05T08:00:00

[teams.payments.escalation]
steps = [{ schedule = "payments" }, { after = "10min", team = "payments" }]
"""


def read(tmp_path: Path, text: str) -> OnCall:
    path = tmp_path / "oncall.toml"
    path.write_text(text, encoding="utf-8")
    return read_oncall(path)


def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> str:
    """The one line that is said, as somebody in the project's folder sees it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deploy").mkdir(exist_ok=True)
    path = tmp_path / "deploy" / "oncall.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as raised:
        read_oncall(path)
    said = str(raised.value)
    assert "\n" not in said
    assert KEY not in said
    assert LONG_KEY not in said
    assert HOOK not in said
    return said


# ---- What the keys mean ----


def test_a_small_file_and_all_that_goes_without_saying(tmp_path: Path) -> None:
    oncall = read(tmp_path, SMALL)
    assert (oncall.project, oncall.environments, oncall.second_way) == ("shop", ("prod",), "fallback@example.com")
    assert oncall.tool == Tool(ToolName.OPSGENIE, SecretSource(variable="OPSGENIE_API_KEY"), region="us")
    assert oncall.heartbeat == Heartbeat("payments", timedelta(minutes=1), timedelta(minutes=10))
    assert oncall.accepted_gaps == {}
    (team,) = oncall.teams
    assert (team.name, team.owners, team.description) == ("payments", ("payments",), "")
    assert team.members == (Member(PRIMARY), Member(SECOND, admin=True))
    assert team.routes == {Severity.PAGE: Route((Way.TOOL,)), Severity.TICKET: Route((Way.TOOL,))}
    assert oncall.team_of("payments") is team
    (schedule,) = team.schedules
    assert (schedule.name, schedule.time_zone) == ("payments", "Europe/Vienna")
    (rotation,) = schedule.rotations
    assert (rotation.name, rotation.participants) == ("week", (PRIMARY, SECOND))
    assert (rotation.turn, rotation.starts) == (timedelta(weeks=1), datetime(2026, 1, 5, 8))
    assert (rotation.ends, rotation.hours) == (None, ())
    assert team.escalation is not None
    assert (team.escalation.name, team.escalation.repeat_after) == ("payments", None)
    assert team.escalation.steps == (
        Step(timedelta(), Recipient(RecipientKind.SCHEDULE, "payments")),
        Step(timedelta(minutes=10), Recipient(RecipientKind.TEAM, "payments")),
    )


def test_the_worked_example_has_no_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    oncall = read_oncall(ROOT / "deploy" / "oncall.toml")
    assert oncall.path == "deploy/oncall.toml"
    assert {team.name for team in oncall.teams} == {"engagement", "data-platform"}
    for now in (datetime(2026, 11, 21, tzinfo=UTC), datetime(2031, 3, 30, 1, tzinfo=UTC)):
        assert find_faults(oncall, ["data-platform", "engagement"], now) == ()


def test_everything_stated(tmp_path: Path) -> None:
    oncall = read(
        tmp_path,
        SMALL.replace("[tool]\n", '[tool]\nregion = "eu"\nurl = "http://127.0.0.1:4580/"\nkey = { secret = "shop/opsgenie" }\n')
        .replace("[heartbeat]\n", '[heartbeat]\nevery = "5min"\nsilent_after = "1h"\n')
        .replace("[teams.payments]\n", '[teams.payments]\nowners = ["payments", "billing"]\npages = ["tool", "email", "chat"]\n' + ROUTES)
        .replace("[teams.payments.escalation]\n", '[teams.payments.escalation]\nname = "wake"\nrepeat_after = "30min"\n')
        .replace("rotations.week]\n", 'rotations.week]\nends = "2030-01-07 08:00"\nturn = "2 weeks"\nhours = ["mon 08:00 - fri 18:00", "sat 10:00-12:00"]\n')
        + '\n[teams.payments.schedules.payments]\ntime_zone = "Europe/London"\ngaps_because = "Closed at night."\noverlaps_because = "None."\n',
    )  # fmt: skip
    assert oncall.tool.key == SecretSource(secret="shop/opsgenie")
    assert (oncall.tool.region, oncall.tool.url) == ("eu", "http://127.0.0.1:4580")
    assert oncall.heartbeat == Heartbeat("payments", timedelta(minutes=5), timedelta(hours=1))
    (team,) = oncall.teams
    assert team.owners == ("payments", "billing")
    assert team.routes[Severity.PAGE].ways == (Way.TOOL, Way.EMAIL, Way.CHAT)
    assert team.routes[Severity.TICKET] == Route((Way.EMAIL, Way.CHAT), "tickets@example.com", "T0123ABCD", "C0123ABCD")
    assert oncall.accepted_gaps == {"payments": "Closed at night."}
    (schedule,) = team.schedules
    assert schedule.time_zone == "Europe/London"
    (rotation,) = schedule.rotations
    assert (rotation.ends, rotation.turn) == (datetime(2030, 1, 7, 8), timedelta(weeks=2))
    assert rotation.hours == (Hours(time(8), time(18), 0, 4), Hours(time(10), time(12), 5, 5))
    assert team.escalation is not None
    assert (team.escalation.name, team.escalation.repeat_after) == ("wake", timedelta(minutes=30))


ROUTES = 'tickets = { email = "tickets@example.com", chat = { workspace = "T0123ABCD", channel = "C0123ABCD" } }\n'


@pytest.mark.parametrize("tool", ToolName)
def test_each_tool_s_key_is_looked_for_in_a_variable_of_its_own(tool: ToolName, tmp_path: Path) -> None:
    more = {
        ToolName.JIRA: f'site = "{KEY}"\naccount = "on-call-robot@example.com"\n',
        ToolName.WEBHOOK: 'url = "https://hooks.example.com/pages"\n',
    }.get(tool, "")
    oncall = read(tmp_path, SMALL.replace('name = "opsgenie"\n', f'name = "{tool}"\n{more}'))
    assert oncall.tool.key == SecretSource(variable=DEFAULT_KEYS[tool])
    assert len(set(DEFAULT_KEYS.values())) == len(ToolName)


@pytest.mark.parametrize(
    ("written", "spans"),
    [
        ("18:00 - 08:00", [Hours(time(18), time(8))]),
        ("08:00-24:00", [Hours(time(8), time(0))]),
        ("mon 08:00 - fri 18:00", [Hours(time(8), time(18), 0, 4)]),
        ("Friday 18:00 – Monday 8:00", [Hours(time(18), time(8), 4, 0)]),
        ("sat 00:00 - sun 24:00", [Hours(time(0), time(0), 5, 0)]),
        ("sun 22:00 - 06:00", [Hours(time(22), time(6), 6, 0)]),
        ("sun 00:00 - 24:00", [Hours(time(0), time(0), 6, 0)]),
        ("tue 08:00 - 08:00", [Hours(time(8), time(8), 1, 2)]),
        ("mon 08:00 - mon 07:30", [Hours(time(8), time(7, 30), 0, 0)]),
        ("mon-wed 08:00 - 18:00", [Hours(time(8), time(18), day, day) for day in range(3)]),
        ("sat - mon 20:00 - 08:00", [Hours(time(20), time(8), day, (day + 1) % 7) for day in (5, 6, 0)]),
    ],
)
def test_hours(written: str, spans: list[Hours], tmp_path: Path) -> None:
    oncall = read(tmp_path, SMALL.replace("rotations.week]\n", f'rotations.week]\nhours = "{written}"\n'))
    assert list(oncall.teams[0].schedules[0].rotations[0].hours) == spans


@pytest.mark.parametrize(
    ("written", "turn"),
    [
        ("weekly", timedelta(weeks=1)), ("daily", timedelta(days=1)), ("1 week", timedelta(weeks=1)),
        ("2 weeks", timedelta(weeks=2)), ("2w", timedelta(weeks=2)), ("3 days", timedelta(days=3)), ("12h", timedelta(hours=12)),
    ],
)  # fmt: skip
def test_turns(written: str, turn: timedelta, tmp_path: Path) -> None:
    oncall = read(tmp_path, SMALL.replace("rotations.week]\n", f'rotations.week]\nturn = "{written}"\n'))
    assert oncall.teams[0].schedules[0].rotations[0].turn == turn


@pytest.mark.parametrize(
    "written", ['"2026-01-05 08:00"', '"2026-01-05T08:00"', "2026-01-05T08:00:00", "2026-01-05 08:00:00"]
)
def test_moments(written: str, tmp_path: Path) -> None:
    oncall = read(tmp_path, SMALL.replace("2026-01-05T08:00:00", written))
    assert oncall.teams[0].schedules[0].rotations[0].starts == datetime(2026, 1, 5, 8)


def test_a_date_is_its_midnight_and_who_is_alone_needs_none(tmp_path: Path) -> None:
    oncall = read(tmp_path, SMALL.replace("2026-01-05T08:00:00", "2026-01-05"))
    assert oncall.teams[0].schedules[0].rotations[0].starts == datetime(2026, 1, 5)
    alone = SMALL.replace("starts = 2026-01-05T08:00:00\n", "").replace(
        'participants = ["payments-primary@example.com", "payments-second@example.com"]',
        f'participants = ["{PRIMARY}"]',
    )
    assert read(tmp_path, alone).teams[0].schedules[0].rotations[0].participants == (PRIMARY,)


# ---- One line for each thing that is wrong ----

TEAM, ROTATION = "teams.payments", "teams.payments.schedules.payments.rotations.week"
PEOPLE = 'participants = ["payments-primary@example.com", "payments-second@example.com"]'
STEPS = 'steps = [{ schedule = "payments" }, { after = "10min", team = "payments" }]'

WRONG = [
    # Unknown and missing keys, wherever they stand
    ('project = "shop"', 'projet = "shop"', "projet: unknown key; did you mean 'project'?"),
    ('project = "shop"\n', "", "project: is missing: the name that marks what is Tocsin's in the tool"),
    ('project = "shop"', 'project = "The Shop"', "project: use at most 32 lower-case letters, digits and '-'"),
    ('environments = ["prod"]\n', "", 'environments: is missing: those whose alarms page, ["prod"]'),
    ('environments = ["prod"]', 'environments = "prod"', "environments: must be a list, got 'prod'; put it in brackets"),
    ('environments = ["prod"]', 'environments = ["prod", "prod"]', "environments: 'prod' stands twice"),
    ("[tool]\n", '[tool]\nregoin = "eu"\n', "tool.regoin: unknown key; did you mean 'region'?"),
    ("[heartbeat]\n", '[heartbeat]\nevry = "1min"\n', "heartbeat.evry: unknown key; did you mean 'every'?"),
    ("[teams.payments]\n", "[teams.payments]\nmember = []\n", f"{TEAM}.member: unknown key; did you mean 'members'?"),
    ("rotations.week]\n", "rotations.week]\nparticipant = []\n", f"{ROTATION}.participant: unknown key; did you mean 'participants'?"),
    (STEPS, 'step = []', f"{TEAM}.escalation.step: unknown key; did you mean 'steps'?"),
    ("admin = true", "admn = true", f"{TEAM}.members[2].admn: unknown key; did you mean 'admin'?"),
    ("admin = true", 'admin = "yes"', f"{TEAM}.members[2].admin: true or false, got 'yes'"),
    ('[teams.payments]\n', '[teams."on/call"]\nmembers = []\n[teams.payments]\n', 'teams."on/call": use at most 100 letters'),
    # The tool and its key
    ('name = "opsgenie"', 'name = "opsgenei"', "tool.name: no such tool; did you mean 'opsgenie'?"),
    ('name = "opsgenie"\n', "", 'tool.name: is missing: one of "opsgenie", "jira", "pagerduty", "webhook"'),
    ('name = "opsgenie"', "name = 3", "tool.name: no such tool; one of"),
    ("[tool]\n", '[tool]\nregion = "de"\n', """tool.region: must be "us" or "eu", got 'de'"""),
    ("[tool]\n", f'[tool]\nregion = "{KEY}"\n', 'tool.region: must be "us" or "eu", got something that is not shown'),
    ("[tool]\n", f'[tool]\nkey = "{KEY}"\n', "tool.key: a key never stands in this file; take it out, renew it if it was committed, and say where it is"),
    ("[tool]\n", '[tool]\nkey = "short"\n', "tool.key: a key never stands in this file"),
    ("[tool]\n", f'[tool]\nkey = {{ variable = "{KEY}" }}\n', "tool.key: not the name of a variable of the environment"),
    ("[tool]\n", f'[tool]\nkey = {{ variable = "{LONG_KEY}" }}\n', "tool.key: that looks like the key itself"),
    ("[tool]\n", f'[tool]\nkey = {{ secret = "{KEY}" }}\n', "tool.key: that looks like the key itself, not the name of a secret in Secrets Manager"),
    ("[tool]\n", f'[tool]\nkey = {{ parameter = "/a b/{KEY}" }}\n', "tool.key: not the name of an SSM parameter"),
    ("[tool]\n", f'[tool]\nkey = {{ value = "{KEY}" }}\n', "tool.key: no such place; did you mean 'variable'?"),
    ("[tool]\n", f'[tool]\nkey = {{ "{KEY}" = 1 }}\n', "tool.key: no such place; there are: parameter, secret, variable"),
    ("[tool]\n", '[tool]\nkey = { secret = "a", variable = "B" }\n', "tool.key: exactly one place; say where it is"),
    ("[tool]\n", f'[tool]\napi_key = "{KEY}"\n', "tool.api_key: unknown key; did you mean 'key'?"),
    ("[tool]\n", f'[tool]\n"{KEY}" = 1\n', "tool.something that is not shown, because it looks like a key: unknown key"),
    ("[tool]\n", '[tool]\nsite = "x"\n', "tool.site: is for jira only; take it out"),
    ('name = "opsgenie"', 'name = "jira"', "tool.site: is missing: the cloud id of your site"),
    ('name = "opsgenie"', f'name = "jira"\nsite = "{KEY}"', "tool.account: is missing: the e-mail address"),
    ('name = "opsgenie"', 'name = "jira"\nsite = "shop.atlassian.net"', "tool.site: must be the site's cloud id"),
    (
        'name = "opsgenie"',
        'name = "webhook"\nregion = "eu"',
        "tool.region: is for opsgenie, jira and pagerduty only; take it out",
    ),
    (
        'name = "opsgenie"',
        'name = "opsgenie"\nopsgenie_key = { variable = "KEY" }',
        "tool.opsgenie_key: is for jira only; take it out",
    ),
    ('name = "opsgenie"', 'name = "pagerduty"\nregion = "au"', """tool.region: must be "us" or "eu", got 'au'"""),
    ('name = "opsgenie"', 'name = "webhook"', "tool.url: is missing: the address that alerts are posted to, https://…"),
    # An endpoint that is not HTTPS, or that holds a key
    ("[tool]\n", '[tool]\nurl = "http://pages.example.com"\n', "tool.url: must begin with https://: over plain http anybody on the way reads the key"),
    ("[tool]\n", '[tool]\nurl = "http://127.0.0.1.example.com"\n', "tool.url: must begin with https://"),
    ("[tool]\n", '[tool]\nurl = "ftp://pages.example.com"\n', "tool.url: must be an address that begins with https:// and has a host"),
    ("[tool]\n", '[tool]\nurl = "https://"\n', "tool.url: must be an address that begins with https:// and has a host"),
    ("[tool]\n", '[tool]\nurl = "https://[::1"\n', "tool.url: not an address"),
    ("[tool]\n", '[tool]\nurl = "https://pages example.com"\n', "tool.url: not an address; it must not hold spaces"),
    ("[tool]\n", '[tool]\nurl = 3\n', "tool.url: must be an address that begins with https://"),
    ("[tool]\n", f'[tool]\nurl = "https://pages.example.com/?apiKey={KEY}"\n', "tool.url: must hold no user, password, question mark or #"),
    ("[tool]\n", f'[tool]\nurl = "https://robot:{KEY}@pages.example.com"\n', "tool.url: must hold no user, password"),
    # The dead-man's switch
    ('[heartbeat]\nteam = "payments"', "[heartbeat]", "heartbeat.team: is missing: the team that is paged when AWS falls silent"),
    ("[heartbeat]\n", '[heartbeat]\nevery = "30s"\n', "heartbeat.every: must be whole minutes, such as \"5min\", got '30s'"),
    ("[heartbeat]\n", '[heartbeat]\nsilent_after = 10\n', 'heartbeat.silent_after: must be whole minutes, such as "5min", got 10'),
    ("[heartbeat]\n", '[heartbeat]\nevery = "soon"\n', "heartbeat.every: not a duration: 'soon'"),
    ("[heartbeat]\n", '[heartbeat]\nevery = "61min"\n', "heartbeat.every: 1 h 1 min is too long: the dead-man's switch pings once an hour at least; state at most 1 h"),
    ("[heartbeat]\n", '[heartbeat]\nsilent_after = "900000d"\n', "heartbeat.silent_after: 900000 d is too long: a silence of more than a week is no watch; state at most 7 d"),
    ("[heartbeat]\n", f'[heartbeat]\nevery = "{KEY}"\n', 'heartbeat.every: must be whole minutes, such as "5min", got something that is not shown'),
    ("[heartbeat]\n", '[[heartbeat]]\n', "heartbeat: must be a table, got [{"),
    # People
    *((
        'second_way = "fallback@example.com"', f"second_way = {way}", "second_way: must be a phone number with its country, a plus and at most 15 digits and nothing between them",
    ) for way in ('"+43 1 234"', '"+4366012345678901"', '"+0660123456"', '"06601234567"', '"+43/660/1234567"')),
    *((
        'second_way = "fallback@example.com"', f"second_way = {way}", 'second_way: must be an e-mail address such as "on-call-fallback@example.com" or, for an SMS, a phone number such as "+436601234567"',
    ) for way in ('"fallback"', "436601234567", '"https://hooks.example.com/T0/B0/abcdefghijkl"', "[]")),
    ('"payments-primary@example.com", {', '"payments-primary", {', f"{TEAM}.members[1]: must be an e-mail address such as \"engagement-primary@example.com\", got 'payments-primary'"),
    ('"payments-primary@example.com", {', '"Primary <payments-primary@example.com>", {', f"{TEAM}.members[1]: must be an e-mail address"),
    ('"payments-primary@example.com", {', '"payments-second@example.com", {', f"{TEAM}.members: 'payments-second@example.com' stands twice"),
    ('"payments-primary@example.com", {', '{ admin = true }, {', f"{TEAM}.members[1].user: is missing: an e-mail address"),
    ('members = ["', 'members = "x"\ndescription = ["', f"{TEAM}.members: must be a list of e-mail addresses, got 'x'"),
    ("[teams.payments]\n", '[teams.payments]\nowners = "payments"\n', f"{TEAM}.owners: must be a list, got 'payments'"),
    ("[teams.payments]\n", '[teams.payments]\nowners = ["payments", "payments"]\n', f"{TEAM}.owners: 'payments' stands twice"),
    ("[teams.payments]\n", '[teams.payments]\ndescription = "two\\nlines"\n', f"{TEAM}.description: must be one line of text"),
    # Ways
    ("[teams.payments]\n", '[teams.payments]\npages = "tol"\n', f"{TEAM}.pages: no such way 'tol'; did you mean 'tool'?"),
    ("[teams.payments]\n", "[teams.payments]\npages = []\n", f'{TEAM}.pages: goes nowhere; name at least one way: "tool", "forwarder", "email" or "chat"'),
    ("[teams.payments]\n", "[teams.payments]\npages = {}\n", f"{TEAM}.pages: goes nowhere"),
    ("[teams.payments]\n", "[teams.payments]\npages = true\n", f"{TEAM}.pages: no such way True; one of"),
    ("[teams.payments]\n", '[teams.payments]\npages = ["tool", "tool"]\n', f"{TEAM}.pages: 'tool' stands twice"),
    ("[teams.payments]\n", '[teams.payments]\ntickets = { ways = "tool", email = "a@example.com" }\n', f"{TEAM}.tickets.email: is not among the ways; add \"email\" to them"),
    ("[teams.payments]\n", '[teams.payments]\ntickets = { emial = "a@example.com" }\n', f"{TEAM}.tickets.emial: unknown key; did you mean 'email'?"),
    ("[teams.payments]\n", '[teams.payments]\ntickets = { email = "tickets" }\n', f"{TEAM}.tickets.email: must be an e-mail address"),
    ("[teams.payments]\n", '[teams.payments]\ntickets = { chat = { workspace = "shop", channel = "C0123ABCD" } }\n', f"{TEAM}.tickets.chat.workspace: must be the id of a Slack workspace"),
    ("[teams.payments]\n", '[teams.payments]\ntickets = { chat = { workspace = "T0123ABCD", channel = "#tickets" } }\n', f"{TEAM}.tickets.chat.channel: must be the id of a Slack channel, such as \"C0123ABCD\", not its name"),
    ("[teams.payments]\n", '[teams.payments]\ntickets = { chat = "C0123ABCD" }\n', f"{TEAM}.tickets.chat: must be a table"),
    # Keys where none belongs
    ("[teams.payments]\n", f'[teams."{KEY}"]\nmembers = []\n[teams.payments]\n', "teams.something that is not shown, because it looks like a key: looks like a key, which never stands in this file"),
    ('project = "shop"', f'project = "{LONG_KEY.lower()}"', "project: looks like a key"),
    ('environments = ["prod"]', f'environments = ["{LONG_KEY.lower()}"]', "environments[1]: looks like a key"),
    ("[teams.payments]\n", f'[teams.payments]\ndescription = "Pages go to {KEY}."\n', f"{TEAM}.description: looks like a key"),
    ("[teams.payments]\n", f'[teams.payments]\ndescription = "Tell {HOOK}."\n', f"{TEAM}.description: looks like a key"),
    ("[teams.payments]\n", f'[teams.payments]\nowners = ["{KEY}"]\n', f"{TEAM}.owners[1]: looks like a key"),
    ("[teams.payments]\n", f'[teams.payments]\ntickets = {{ chat = "{HOOK}" }}\n', f"{TEAM}.tickets.chat: must be a table, got something that is not shown"),
    ("[teams.payments]\n", f'[teams.payments]\ntickets = {{ chat = {{ channel = "{HOOK}" }} }}\n', f"{TEAM}.tickets.chat.channel: must be the id of a Slack channel"),
    ("[teams.payments]\n", f'[teams.payments]\ntickets = {{ chat = {{ "{HOOK}" = 1 }} }}\n', f"{TEAM}.tickets.chat.something that is not shown"),
    ("[teams.payments]\n", f'[teams.payments]\ntickets = {{ email = "{HOOK}" }}\n', f"{TEAM}.tickets.email: must be an e-mail address"),
    ("[teams.payments]\n", f'[teams.payments]\ntickets = "{HOOK}"\n', f"{TEAM}.tickets: no such way something that is not shown"),
    ("[heartbeat]\nteam = \"payments\"", f'[heartbeat]\nteam = "{KEY}"', "heartbeat.team: looks like a key"),
    (STEPS, f'steps = [{{ team = "{KEY}" }}]', f"{TEAM}.escalation.steps[1].team: looks like a key"),
    # Schedules
    ('time_zone = "Europe/Vienna"', 'time_zone = "Europe/Viena"', "time_zone: no time zone 'Europe/Viena'; did you mean 'Europe/Vienna'?"),
    ('time_zone = "Europe/Vienna"', 'time_zone = "europe/vienna"', "time_zone: no time zone 'europe/vienna'; did you mean 'Europe/Vienna'?"),
    ('time_zone = "Europe/Vienna"', 'time_zone = "+01:00"', "time_zone: no time zone '+01:00'; use a name of the IANA database"),
    ('time_zone = "Europe/Vienna"', 'time_zone = "../../etc/passwd"', "time_zone: no time zone '../../etc/passwd'"),
    ('time_zone = "Europe/Vienna"', 'time_zone = "Europe"', "time_zone: no time zone 'Europe'"),
    ('time_zone = "Europe/Vienna"', 'time_zone = "localtime"', 'time_zone: "localtime" is another zone on each machine'),
    ('time_zone = "Europe/Vienna"\n', "", "teams.payments.schedules.payments.time_zone: is missing: here or at the top"),
    ("[teams.payments.escalation]", '[teams.payments.schedules.payments]\ngaps_because = " "\n[teams.payments.escalation]', "teams.payments.schedules.payments.gaps_because: must be text, got ' '"),
    ("[teams.payments.escalation]", '[teams.payments.schedules.empty]\n[teams.payments.escalation]', "teams.payments.schedules.empty: nobody is ever on call; add a table [teams.payments.schedules.empty.rotations.…]"),
    ("starts = 2026-01-05T08:00:00\n", "", f"{ROTATION}.starts: is missing: when the first turn begins, such as 2026-01-05T08:00:00"),
    ("2026-01-05T08:00:00", "2026-01-05T08:00:00Z", f"{ROTATION}.starts: leave the offset out: the time is that of the schedule's time_zone"),
    ("2026-01-05T08:00:00", "2026-01-05T08:00:30", f"{ROTATION}.starts: must be a whole minute"),
    ("2026-01-05T08:00:00", "08:00:00", f"{ROTATION}.starts: must be a day and a time such as \"2026-01-05 08:00\""),
    ("2026-01-05T08:00:00", '"monday"', f"{ROTATION}.starts: must be a day and a time such as \"2026-01-05 08:00\", got 'monday'"),
    ("2026-01-05T08:00:00", "9999-01-05T08:00:00", f"{ROTATION}.starts: must be a day of this century, got 9999-01-05"),
    ("2026-01-05T08:00:00", "2026-01-05T08:00:00\nends = 2026-01-05T08:00:00", f"{ROTATION}.ends: is not after starts"),
    (PEOPLE, "participants = []", f"{ROTATION}.participants: nobody takes turns; name at least one e-mail address"),
    (PEOPLE + "\n", "", f"{ROTATION}.participants: is missing: who takes turns"),
    (PEOPLE, 'participants = "payments-primary@example.com"', f"{ROTATION}.participants: must be a list"),
    (PEOPLE, 'participants = ["primary"]', f"{ROTATION}.participants[1]: must be an e-mail address"),
    *((
        "rotations.week]\n",
        f"rotations.week]\nturn = {turn}\n",
        f'{ROTATION}.turn: must be "weekly", "daily", or such as "2 weeks", "3 days" or "12h"',
    ) for turn in ('"monthly"', '"90min"', '"0 weeks"', "7", '"-1 week"', '"99999999999 weeks"')),
    ("rotations.week]\n", 'rotations.week]\nturn = "53 weeks"\n', f"{ROTATION}.turn: a turn of more than a year"),
    *((
        "rotations.week]\n",
        f"rotations.week]\nhours = {hours}\n",
        f'{ROTATION}.hours: must be such as "18:00 - 08:00" (each day)',
    ) for hours in ('"nights"', '"18 - 8"', '"mon"', '"mon 08:00"', '"mon 8:00 - tue"', '"mun 08:00 - fri 18:00"', '""', "8", '"24:00 - 08:00"', '"mon-fri"', '"08:00 - fri 18:00"')),
    ("rotations.week]\n", 'rotations.week]\nhours = "18:00 - 25:00"\n', f"{ROTATION}.hours: there is no time 25:00; hours go from 00:00 to 24:00"),
    ("rotations.week]\n", 'rotations.week]\nhours = "18:60 - 24:30"\n', f"{ROTATION}.hours: there is no time 18:60"),
    *((
        "rotations.week]\n", f'rotations.week]\nhours = "{hours}"\n', f"{ROTATION}.hours: that is always; leave hours out",
    ) for hours in ("08:00 - 08:00", "00:00 - 24:00", "mon 08:00 - mon 08:00", "mon 00:00 - sun 24:00")),
    # Escalations
    (STEPS, "steps = []", f'{TEAM}.escalation.steps: tells nobody; add a step such as {{ schedule = "…" }}'),
    (STEPS, 'repeat_after = "10min"', f"{TEAM}.escalation.steps: tells nobody"),
    (STEPS, 'steps = [{ after = "5min" }]', f"{TEAM}.escalation.steps[1]: tells nobody; state exactly one of schedule, user and team"),
    (STEPS, 'steps = [{ team = "payments", schedule = "payments" }]', f"{TEAM}.escalation.steps[1]: has schedule and team; state exactly one"),
    (STEPS, 'steps = [{ user = "payments" }]', f"{TEAM}.escalation.steps[1].user: must be an e-mail address"),
    (STEPS, 'steps = [{ usr = "payments" }]', f"{TEAM}.escalation.steps[1].usr: unknown key; did you mean 'user'?"),
    (STEPS, 'steps = [{ after = "10s", team = "payments" }]', f"{TEAM}.escalation.steps[1].after: must be whole minutes"),
    (STEPS, 'steps = [{ after = "25h", team = "payments" }]', f"{TEAM}.escalation.steps[1].after: 1 d 1 h is too long: a step waits for a day at most; state at most 1 d"),
    ("[teams.payments.escalation]\n", '[teams.payments.escalation]\nrepeat_after = "2d"\n', f"{TEAM}.escalation.repeat_after: 2 d is too long: an escalation begins again within a day; state at most 1 d"),
    (STEPS, 'steps = [{ after = "-5min", team = "payments" }]', f"{TEAM}.escalation.steps[1].after: not a duration: '-5min'"),
    (STEPS, 'steps = "payments"', f"{TEAM}.escalation.steps: must be a list of tables"),
    (STEPS, 'steps = ["payments"]', f"{TEAM}.escalation.steps[1]: must be a table, got 'payments'"),
]  # fmt: skip


@pytest.mark.parametrize(("good", "bad", "message"), WRONG, ids=[f"{number}" for number in range(len(WRONG))])
def test_wrong_values(good: str, bad: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert SMALL.count(good) == 1
    said = refused(tmp_path, monkeypatch, SMALL.replace(good, bad))
    assert said.startswith(f"deploy/oncall.toml: {message}")
    assert len(said) < 400


def test_no_teams_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = refused(tmp_path, monkeypatch, SMALL.partition("[teams.payments]")[0])
    assert said == "deploy/oncall.toml: teams: nobody is on call; add a table such as [teams.payments]"
    said = refused(tmp_path, monkeypatch, 'teams = ["payments"]\n')
    assert said.startswith("deploy/oncall.toml: teams: must be a table, got ['payments']")


def test_a_phone_number_is_a_second_way(tmp_path: Path) -> None:
    oncall = read(tmp_path, SMALL.replace("fallback@example.com", "+436601234567"))
    assert oncall.second_way == "+436601234567"
    assert find_faults(oncall, ["payments"], datetime(2026, 11, 21, tzinfo=UTC)) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = " + "[" * 5_000 + "]" * 5_000, "tables or lists stand too deep within each other; mend the file"),
        ("a = " + "{ a = " * 5_000 + "1" + " }" * 5_000, "tables or lists stand too deep within each other"),
        (f"a = {'9' * 5_000}", "a number has too many digits; mend the file"),
        (SMALL.replace('["prod"]', f"0x{'f' * 5_000}"), "environments: must be a list, got something"),
    ],
    ids=["lists", "tables", "digits", "hexadecimal"],
)
def test_absurd_files(text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = refused(tmp_path, monkeypatch, text)
    assert found.startswith(f"deploy/oncall.toml: {said}")
    assert len(found) < 400


@pytest.mark.parametrize(
    "text", ["[tool", 'a = "\x00"', "a = 1\na = 2", f"key = {KEY}", f"[teams.{KEY}]\n[teams.{KEY}]\n"]
)
def test_not_toml(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(tmp_path, monkeypatch, text).startswith("deploy/oncall.toml: not TOML: ")


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^oncall\.toml: no such file; say there who is on call"):
        read_oncall(tmp_path / "oncall.toml")
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(InputError, match=r"^elsewhere: cannot be read: Is a directory"):
        read_oncall(Path("elsewhere"))
    (tmp_path / "oncall.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"^oncall\.toml: not TOML: "):
        read_oncall(tmp_path / "oncall.toml")


anything = st.sampled_from(
    [
        "true",
        "3",
        '""',
        '"x"',
        "[]",
        "{}",
        "[3]",
        '[""]',
        "{ a = 1 }",
        "1979-05-27",
        "07:32:00",
        "1.5",
        "nan",
        '["x", {}]',
        "[[]]",
    ]
)


@given(st.integers(0, len(SMALL.splitlines()) - 1), anything, st.booleans())
def test_whatever_stands_for_a_value_is_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, line: int, value: str, drop: bool
) -> None:
    lines = SMALL.splitlines()
    key, equals, _ = lines[line].partition(" = ")
    if equals:
        lines[line] = f"{key} = {value}"
    elif drop:
        lines[line] = ""
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    try:
        said = find_faults(read_oncall(path), ["payments"], datetime(2026, 11, 21, tzinfo=UTC))
    except InputError as error:
        said = (str(error),)
    assert not any("\n" in one for one in said)


def test_zones_are_known_on_a_machine_without_a_database_of_them(tmp_path: Path) -> None:
    """Slim containers and Windows have none; the package that holds it is one of our dependencies."""
    read(tmp_path, SMALL)
    (path,) = tmp_path.rglob("*.toml")
    code = f"import pathlib, tocsin.paging.oncall_file as file; print(file.read_oncall(pathlib.Path({str(path)!r})).project)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONTZPATH": ""}, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("shop\n", "")
