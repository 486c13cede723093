"""``tocsin mute``: what is muted, for how long, what is said about it, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from importlib import import_module
from pathlib import Path

import pytest

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

from hypothesis import given
from hypothesis import strategies as st
from oncall_tools import (
    ACCOUNT,
    allow,
    as_caller,
    cloud_of,
    described,
    lessened,
    make_caller,
    page_policy,
    printed_json,
    project,
    put_alarm,
)

from command_line import refused, tocsin
from tocsin.cloud.embedded import EmbeddedAws, embedded
from tocsin.cloud.mute_rules import written
from tocsin.cloud.session import Cloud
from tocsin.oncall.mute import plan_mute
from tocsin.simulate.mute import parse_length

MANY = 130
BECAUSE = ("--because", "The tables move.")


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    with embedded(iam=True) as running:
        yield running


@pytest.fixture(scope="module")
def cloud(aws: EmbeddedAws) -> Cloud:
    cloud = cloud_of(aws)
    topic = cloud.client("sns").create_topic(Name="dev-tocsin-payments-page")["TopicArn"]
    put_alarm(cloud, "dev-shop-orders-page", described("shop"), topic)
    put_alarm(cloud, "dev-shop-books-page", described("shop", runbook="slo-heartbeat"), topic)
    put_alarm(cloud, "dev-shop-queue", described("shop", "ticket"), topic)
    put_alarm(cloud, "dev-shop-burn-1h-long", "feeds the composite")
    put_alarm(cloud, "dev-shop-off", described("shop"), topic, ActionsEnabled=False)
    put_alarm(cloud, "dev-shop-eu-orders-page", described("shop-eu"), topic)
    put_alarm(cloud, "prod-shop-orders-page", described("shop"), topic)
    for number in range(MANY):
        put_alarm(cloud, f"dev-large-{number:03}", described("large", "ticket"), topic)
    return cloud


@pytest.fixture(autouse=True)
def here(aws: EmbeddedAws, cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A project whose dev is the embedded AWS; what a test muted tells again after it."""
    monkeypatch.chdir(project(tmp_path, aws))
    with as_caller(aws):
        yield
    for name in rules(cloud):
        cloud.client("cloudwatch").delete_alarm_mute_rule(AlarmMuteRuleName=name)
    cloud.client("cloudwatch").set_alarm_state(AlarmName="dev-shop-orders-page", StateValue="OK", StateReason="test")


def rules(cloud: Cloud) -> list[str]:
    found = cloud.client("cloudwatch").list_alarm_mute_rules(MaxRecords=100)["AlarmMuteRuleSummaries"]
    return [each["AlarmMuteRuleArn"].rpartition(":")[2] for each in found]


def rule(cloud: Cloud, name: str) -> dict:
    return cloud.client("cloudwatch").get_alarm_mute_rule(AlarmMuteRuleName=name)


def put_rule(cloud: Cloud, name: str, expression: str, description: str, expires: datetime) -> None:
    cloud.client("cloudwatch").put_alarm_mute_rule(
        Name=name,
        Description=description,
        Rule={"Schedule": {"Expression": expression, "Duration": "PT1H"}},
        MuteTargets={"AlarmNames": ["dev-shop-queue"]},
        ExpireDate=expires,
    )


def test_every_alarm_of_the_system_that_tells_is_muted_and_no_other(cloud: Cloud) -> None:
    before = datetime.now(UTC)
    told = printed_json("mute", "dev", "--system", "shop", "--for", "2h", *BECAUSE)
    (name,) = rules(cloud)
    found = rule(cloud, name)
    assert re.fullmatch(r"dev-tocsin-shop-\d{8}T\d{6}-1", name)
    assert found["MuteTargets"]["AlarmNames"] == ["dev-shop-books-page", "dev-shop-orders-page", "dev-shop-queue"]
    assert found["Status"] == "ACTIVE"
    assert "The tables move." in found["Description"]
    assert f"arn:aws:iam::{ACCOUNT}:root" in found["Description"]
    ends = datetime.fromisoformat(told["ends"])
    assert timedelta(hours=2) <= ends - before <= timedelta(hours=2, minutes=2)
    assert found["ExpireDate"] == ends
    assert (told["pages"], told["heartbeats"]) == (2, 1)


def test_what_it_means_is_said(cloud: Cloud) -> None:
    cloud.client("cloudwatch").set_alarm_state(AlarmName="dev-shop-orders-page", StateValue="ALARM", StateReason="so")
    said = tocsin("mute", "dev", "--system", "shop", "--for", "90min", *BECAUSE).stdout
    assert "shop: 3 alarms muted from now until " in said
    assert "2 pages (1 missed job) and 1 ticket are muted: until then nobody hears of anything else in them" in said
    assert "in ALARM now: dev-shop-orders-page, since " in said
    assert re.search(r"what goes into ALARM meanwhile and is still there at \d\d:\d\d UTC is told then", said)
    assert f"tocsin mute dev --end {rules(cloud)[0].removesuffix('-1')}" in said


def test_more_alarms_than_a_rule_takes_make_several_rules(cloud: Cloud) -> None:
    tocsin("mute", "dev", "--system", "large", "--for", "1h", *BECAUSE)
    names = rules(cloud)
    sizes = [len(rule(cloud, name)["MuteTargets"]["AlarmNames"]) for name in names]
    assert sizes == [100, MANY - 100]
    ended = tocsin("mute", "dev", "--end", names[0].removesuffix("-1"))
    assert ended.stdout.count(": ended, ") == 2
    assert rules(cloud) == []


def test_a_second_mute_of_the_same_moment_replaces_nothing_and_each_ends_alone(cloud: Cloud) -> None:
    starts = (datetime.now(UTC) + timedelta(days=1)).replace(second=0, microsecond=0).isoformat()
    said = [
        tocsin(
            "mute", "dev", "--system", "shop", "--for", "1h", *BECAUSE, "--alarm", alarm, "--starts", starts
        ).stdout.splitlines()[-1]
        for alarm in ("dev-shop-queue", "dev-shop-orders-page")
    ]
    muted = {name: rule(cloud, name)["MuteTargets"]["AlarmNames"] for name in rules(cloud)}
    assert sorted(muted.values()) == [["dev-shop-orders-page"], ["dev-shop-queue"]]
    for line, alarm in zip(said, ("dev-shop-queue", "dev-shop-orders-page"), strict=True):
        ended = tocsin("mute", "dev", "--end", line.rpartition(" ")[2])
        assert ended.stdout.count(": ended, ") == 1, ended.output
        assert [alarm] not in [rule(cloud, name)["MuteTargets"]["AlarmNames"] for name in rules(cloud)]
    assert rules(cloud) == []


def test_mutes_of_one_minute_end_alone(cloud: Cloud) -> None:
    now = datetime(2026, 12, 1, 21, 5, 7, tzinfo=UTC)
    names = [
        plan_mute(cloud, "dev", "shop", timedelta(hours=1), "x", now + timedelta(seconds=more)).name for more in (0, 1)
    ]
    assert names == ["dev-tocsin-shop-20261201T210507", "dev-tocsin-shop-20261201T210508"]


class Late(datetime):
    """A command that took ten minutes until its rule was there."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        return datetime.now(tz) - timedelta(minutes=10)


def test_a_minute_that_was_over_meanwhile_is_made_up_for(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("tocsin.cli.mute"), "datetime", Late)
    before = datetime.now(UTC)
    said = tocsin("mute", "dev", "--system", "shop", "--for", "5min", *BECAUSE).stdout
    (name,) = rules(cloud)
    found = rule(cloud, name)
    starts = datetime.strptime(found["Rule"]["Schedule"]["Expression"], "at(%Y-%m-%dT%H:%M)").replace(tzinfo=UTC)
    assert timedelta(0) < starts - before <= timedelta(minutes=2)
    assert found["Status"] in ("SCHEDULED", "ACTIVE")
    assert found["Rule"]["Schedule"]["Duration"] == "PT5M"
    assert found["ExpireDate"] == starts + timedelta(minutes=5)
    assert f"muted from {starts:%Y-%m-%d %H:%M} UTC until {found['ExpireDate']:%Y-%m-%d %H:%M} UTC" in said
    assert f"not at once: CloudWatch had begun another minute; until {starts:%H:%M} UTC alarms still tell" in said


def test_one_that_begins_later_is_scheduled(cloud: Cloud) -> None:
    starts = (datetime.now(UTC) + timedelta(days=2)).replace(hour=22, minute=30, second=0, microsecond=0)
    written_elsewhere = starts.astimezone(datetime.fromisoformat("2026-01-01T00:00+05:30").tzinfo).isoformat()
    told = printed_json("mute", "dev", "--system", "shop", "--for", "1h", *BECAUSE, "--starts", written_elsewhere)
    schedule = rule(cloud, rules(cloud)[0])["Rule"]["Schedule"]
    assert schedule == {"Expression": f"at({starts:%Y-%m-%dT%H:%M})", "Duration": "PT1H"}
    assert told["rules"][0]["status"] == "SCHEDULED"


def test_only_ours_that_are_over_are_cleared_away(cloud: Cloud) -> None:
    past = datetime.now(UTC) - timedelta(days=3)
    at, expires = f"at({past:%Y-%m-%dT%H:%M})", past + timedelta(hours=1)
    mark = "Old. (somebody) Muted by Tocsin: shop of dev."
    put_rule(cloud, "dev-tocsin-shop-20260101T0000-1", at, mark, expires)
    put_rule(cloud, "dev-tocsin-shop-20260101T0000-2", at, "written by hand", expires)
    put_rule(cloud, "maintenance", at, mark, expires)
    listed = tocsin("mute", "dev", "--list")
    assert listed.stdout.splitlines() == ["dev: nothing is muted", "1 rule over; the next mute clears them away"]
    told = printed_json("mute", "dev", "--system", "shop", "--for", "1h", *BECAUSE)
    assert told["cleared"] == ["dev-tocsin-shop-20260101T0000-1"]
    assert rules(cloud) == sorted(
        ["dev-tocsin-shop-20260101T0000-2", "maintenance", *(each["name"] for each in told["rules"])]
    )


def test_the_list_says_until_when_by_whom_and_why(cloud: Cloud) -> None:
    soon = datetime.now(UTC) + timedelta(hours=3)
    put_rule(cloud, "nightly", "cron(0 2 * * *)", "by hand", soon + timedelta(days=90))
    tocsin("mute", "dev", "--system", "shop", "--for", "2h", *BECAUSE)
    lines = tocsin("mute", "dev", "--list").stdout.splitlines()
    assert re.fullmatch(r"dev-tocsin-shop-\S+: active, 3 alarms until \d{4}-\d\d-\d\d \d\d:\d\d UTC", lines[0])
    assert lines[1] == f"  The tables move. (arn:aws:iam::{ACCOUNT}:root) Muted by Tocsin: shop of dev."
    assert lines[2] == "nightly: scheduled, not made by Tocsin"
    assert [each["name"] for each in printed_json("mute", "dev", "--list")["others"]] == ["nightly"]


def test_ending_early_says_what_is_told_now(cloud: Cloud) -> None:
    tocsin("mute", "dev", "--system", "shop", "--for", "2h", *BECAUSE)
    cloud.client("cloudwatch").set_alarm_state(AlarmName="dev-shop-orders-page", StateValue="ALARM", StateReason="so")
    said = tocsin("mute", "dev", "--end", rules(cloud)[0]).stdout
    assert "3 alarms may tell again" in said
    assert "in ALARM: dev-shop-orders-page" in said
    assert rules(cloud) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--system", "shop"], "--for, --because: missing; or ask for --list, or --end a mute"),
        (["--system", "shop", "--for", "2h", "--because", "  "], "--because is empty"),
        (["--system", "shop", "--for", "30s", *BECAUSE], "--for 30 s: AWS mutes for 1 min to 15 d"),
        (["--system", "shop", "--for", "16d", *BECAUSE], "--for 16 d: AWS mutes for 1 min to 15 d"),
        (["--system", "shop", "--for", "soon", *BECAUSE], "not a duration: 'soon'"),
        (["--system", "shpo", "--for", "2h", *BECAUSE], "no alarm of system 'shpo' in dev tells anybody; did you mean"),
        (["--system", "shop", "--for", "2h", *BECAUSE, "--alarm", "dev-shop-order-page"], "did you mean"),
        (["--system", "shop", "--for", "2h", *BECAUSE, "--alarm", "dev-shop-burn-1h-long"], "tells nobody"),
        (["--system", "shop", "--for", "2h", *BECAUSE, "--alarm", "dev-shop-eu-orders-page"], "of system shop in dev"),
        (["--system", "shop", "--for", "2h", *BECAUSE, "--starts", "2026-01-01T10:00Z"], "is over"),
        (["--system", "shop", "--for", "2h", *BECAUSE, "--starts", "2026-12-01T10:00"], "say in which time zone"),
        (["--system", "shop", "--for", "2h", *BECAUSE, "--starts", "tomorrow"], "is no time; write it as"),
        (["--system", "shop", "--for", "2h", *BECAUSE, "--starts", "0001-01-01T00:00+14:00"], "is over"),
        (["--system", "shop", "--for", "2h", *BECAUSE, "--starts", "9999-12-31T23:59Z"], "the calendar ends before"),
        (
            ["--system", "shop", "--for", "2h", *BECAUSE, "--starts", "9999-12-31T23:59-14:00"],
            "the calendar ends before",
        ),
        (["--system", "shop", "--for", "2h", "--because", "x" * 2000], "has 2000 characters; there is room for"),
        (["--list", "--system", "shop"], "--list stands alone; leave out --system"),
        (["--list", "--end", "x"], "--list and --end: give one of them"),
        (["--end", "dev-tocsin-shop-20260101T0000-1"], "no mute rule 'dev-tocsin-shop-20260101T0000-1' in dev"),
    ],
)
def test_wrong_input_changes_nothing(cloud: Cloud, arguments: list[str], says: str) -> None:
    assert says in refused("mute", "dev", *arguments)
    assert rules(cloud) == []


def test_what_people_made_is_not_ended(cloud: Cloud) -> None:
    expires = datetime.now(UTC) + timedelta(days=90)
    put_rule(cloud, "dev-tocsin-shop-20260101T0000-1", "cron(0 2 * * *)", "by hand", expires)
    assert "was not made by `tocsin mute dev`" in refused("mute", "dev", "--end", "dev-tocsin-shop-20260101T0000-1")


def test_the_number_of_rules_that_aws_allows(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsin.oncall.mute.MOST_RULES", 1)
    said = refused("mute", "dev", "--system", "large", "--for", "1h", *BECAUSE)
    assert "has 0 alarm mute rules and AWS allows 1, but this needs 2" in said
    assert rules(cloud) == []


def test_the_permissions_of_the_page_are_enough_and_none_is_idle(aws: EmbeddedAws, cloud: Cloud) -> None:
    caller = make_caller(cloud, "muter")
    allow(cloud, caller, page_policy("mute"))
    with as_caller(aws, key=caller.key, secret=caller.secret):
        told = printed_json("mute", "dev", "--system", "shop", "--for", "1h", *BECAUSE)
        assert told["by"].endswith(":user/muter")
        assert tocsin("mute", "dev", "--end", told["rules"][0]["name"]).exit_code == 0
    for action, statements in lessened(page_policy("mute")):
        allow(cloud, caller, statements)
        with as_caller(aws, key=caller.key, secret=caller.secret):
            done = tocsin("mute", "dev", "--system", "shop", "--for", "1h", *BECAUSE)
            if done.exit_code == 0:
                name = rules(cloud)[0]
                done = tocsin("mute", "dev", "--end", name)
            assert done.exit_code == 2, f"{action} is idle"
            assert "not allowed to" in done.stderr
        for name in rules(cloud):
            cloud.client("cloudwatch").delete_alarm_mute_rule(AlarmMuteRuleName=name)


@given(st.integers(1, 15 * 24 * 60))
def test_a_length_is_written_as_aws_reads_it(minutes: int) -> None:
    length = timedelta(minutes=minutes)
    assert parse_length(written(length)) == length


def test_json_of_a_mute_is_one_document(cloud: Cloud) -> None:
    done = tocsin("mute", "dev", "--system", "shop", "--for", "1h", *BECAUSE, "--json")
    assert json.loads(done.stdout)["system"] == "shop"
    assert done.stderr == ""
    assert rules(cloud)
