"""Mute rules: when they are open, daylight saving included, and what becomes of actions meanwhile."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shorthand import METRIC, NOON, alarm, minutes, store

from tocsin.alarm import Actions, Alarm, AlarmState, CompositeAlarm, Metric, TreatMissingData
from tocsin.cloudformation.document import parse
from tocsin.cloudformation.intrinsics import resolve
from tocsin.errors import SimulationError
from tocsin.simulate.mute import MuteRule, parse_length
from tocsin.simulate.reading import AfterMute, Reading
from tocsin.simulate.series import Series, Store
from tocsin.simulate.template import AlarmTemplate, read_alarms
from tocsin.simulate.timeline import Timeline, simulate

A, O, I = AlarmState.ALARM, AlarmState.OK, AlarmState.INSUFFICIENT_DATA  # noqa: E741
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def rule(expression: str, length: timedelta = HOUR, **more: Any) -> MuteRule:
    return MuteRule("quiet", expression, length, ("one",), **more)


def windows(one: MuteRule, start: str, end: str) -> list[str]:
    return [f"{a:%d %H:%M}-{b:%d %H:%M}" for a, b in one.windows(utc(start), utc(end))]


@pytest.mark.parametrize(
    ("one", "start", "end", "expected"),
    [
        (rule("cron(0 2 * * *)"), "2026-03-01", "2026-03-03", ["01 02:00-01 03:00", "02 02:00-02 03:00"]),
        (rule("cron(0 2 * * SUN)"), "2026-03-01", "2026-03-09", ["01 02:00-01 03:00", "08 02:00-08 03:00"]),
        (
            rule("cron(0 18 * * FRI)", timedelta(days=2, hours=12)),
            "2026-03-02T06:00",
            "2026-03-09",
            ["06 18:00-09 06:00"],
        ),
        (rule("cron(0 1 1 * *)"), "2026-02-15", "2026-03-15", ["01 01:00-01 02:00"]),
        (rule("cron(0 1 ? MAR mon-tue)"), "2026-03-01", "2026-03-06", ["02 01:00-02 02:00", "03 01:00-03 02:00"]),
        (rule("cron(0 1 L * *)"), "2026-02-20", "2026-03-05", ["28 01:00-28 02:00"]),
        (rule("cron(0 1 * * MON#1)"), "2026-03-01", "2026-03-31", ["02 01:00-02 02:00"]),
        # Windows that touch or overlap are one; one that is open at the start belongs to it.
        (rule("cron(0 * * * *)"), "2026-03-01", "2026-03-01T03:30", ["01 00:00-01 04:00"]),
        (rule("cron(0 2 * * *)", 2 * HOUR), "2026-03-01T03:00", "2026-03-01T12:00", ["01 02:00-01 04:00"]),
        (rule("cron(0 2 * * *)"), "2026-03-01T03:00", "2026-03-01T12:00", []),
        (rule("at(2026-03-01T14:00)"), "2026-03-01", "2026-03-02", ["01 14:00-01 15:00"]),
        (rule("at(2026-03-01T14:00)"), "2026-03-01T14:59", "2026-03-02", ["01 14:00-01 15:00"]),
        (rule("at(2026-03-01T14:00)"), "2026-03-01T15:00", "2026-03-02", []),
        (rule("at(2026-03-01T14:00)"), "2027-03-01", "2027-03-02", []),
        (rule("at(2026-03-01T14:00)", timezone="Asia/Tokyo"), "2026-03-01", "2026-03-02", ["01 05:00-01 06:00"]),
        # From StartDate on, and no longer than to ExpireDate.
        (rule("cron(0 2 * * *)", starts="2026-03-02"), "2026-03-01", "2026-03-03", ["02 02:00-02 03:00"]),
        (rule("cron(0 2 * * *)", starts="2026-03-01T02:20:00Z"), "2026-03-01", "2026-03-02", ["01 02:20-01 03:00"]),
        (rule("cron(0 2 * * *)", expires="2026-03-01T02:20"), "2026-03-01", "2026-03-03", ["01 02:00-01 02:20"]),
        (
            rule("cron(0 2 * * *)", timezone="Europe/Berlin", expires="2026-03-02T03:00"),
            "2026-03-01",
            "2026-03-05",
            ["01 01:00-01 02:00", "02 01:00-02 02:00"],
        ),
    ],
)
def test_windows(one: MuteRule, start: str, end: str, expected: list[str]) -> None:
    assert windows(one, start, end) == expected


@pytest.mark.parametrize(
    ("expression", "zone", "day", "expected"),
    [
        # Clocks go forward at 02:00 on 29 March in Berlin: 02:30 does not exist and becomes 03:00, which is 01:00 UTC.
        ("cron(30 2 * * *)", "Europe/Berlin", "2026-03-29", ["29 01:00-29 02:00"]),
        ("at(2026-03-29T02:30)", "Europe/Berlin", "2026-03-29", ["29 01:00-29 02:00"]),
        ("cron(30 1 * * *)", "Europe/Berlin", "2026-03-29", ["29 00:30-29 01:30"]),
        ("cron(30 3 * * *)", "Europe/Berlin", "2026-03-29", ["29 01:30-29 02:30"]),
        # They go back at 03:00 on 25 October: 02:30 comes twice, and counts the first time.
        ("cron(30 2 * * *)", "Europe/Berlin", "2026-10-25", ["25 00:30-25 01:30"]),
        ("at(2026-10-25T02:30)", "Europe/Berlin", "2026-10-25", ["25 00:30-25 01:30"]),
        # With a minute or an hour that begins with * it goes by elapsed time.
        ("cron(*/50 2 * * *)", "Europe/Berlin", "2026-03-29", []),
        ("cron(10/50 2 * * *)", "Europe/Berlin", "2026-03-29", ["29 01:00-29 02:00"]),
        ("cron(*/50 2 * * *)", "Europe/Berlin", "2026-10-25", ["25 00:00-25 02:50"]),
        (
            "cron(30 */2 * * *)",
            "Europe/Berlin",
            "2026-10-25",
            ["25 00:30-25 02:30", *(f"25 {hour:02}:30-25 {hour + 1:02}:30" for hour in range(3, 17, 2))],
        ),
        ("cron(0 9 * * *)", "America/New_York", "2026-03-07", ["07 14:00-07 15:00"]),
        ("cron(0 9 * * *)", "America/New_York", "2026-03-08", ["08 13:00-08 14:00"]),
    ],
)
def test_daylight_saving(expression: str, zone: str, day: str, expected: list[str]) -> None:
    one = rule(expression, timezone=zone)
    found = [f"{a:%d %H:%M}-{b:%d %H:%M}" for a, b in one.windows(utc(day), utc(day) + 16 * HOUR)]
    assert found == expected


def test_a_day_that_is_muted_for_a_day_stays_muted_when_clocks_change() -> None:
    # A duration is elapsed time: 24 hours do not reach from one midnight to the next when the day has 25.
    one = rule("cron(0 0 * * *)", DAY, timezone="Europe/Berlin")
    assert windows(one, "2026-10-24T12:00", "2026-10-26") == ["23 22:00-25 22:00", "25 23:00-26 23:00"]
    assert windows(one, "2026-03-28T12:00", "2026-03-30") == ["27 23:00-30 22:00"]


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("PT1M", minutes(1)),
        ("PT90M", minutes(90)),
        ("P15D", 15 * DAY),
        ("P2DT12H", timedelta(days=2, hours=12)),
        ("P1DT2H3M", timedelta(days=1, hours=2, minutes=3)),
    ],
)
def test_durations(text: str, length: timedelta) -> None:
    assert parse_length(text) == length


@pytest.mark.parametrize("text", ["", "P", "PT", "P1DT", "1H", "PT1.5H", "P1M", "PT-1H", "pt1h", "P1W"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(SimulationError, match="is not one of days, hours and minutes"):
        parse_length(text)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"expression": "rate(5 minutes)"}, "write it as cron"),
        ({"expression": "cron(0 2 * *)"}, "has 4 fields"),
        ({"expression": "cron(0 0 2 * * *)"}, "has 6 fields"),
        ({"expression": "cron(60 2 * * *)"}, "bad minute"),
        ({"expression": "cron(0 2 30 FEB *)"}, "bad day-of-month"),
        ({"expression": "cron(0 2 * * FRI-SUN)"}, "bad day-of-week"),
        ({"expression": "at(2026-13-01T00:00)"}, "at '2026-13-01T00:00' is no time"),
        ({"expression": "at(2026-01-01)"}, "is no time"),
        ({"expression": "at(2026-01-01T00:00:00Z)"}, "is no time"),
        ({"duration": timedelta(seconds=59)}, "between PT1M and P15D"),
        ({"duration": timedelta(days=15, minutes=1)}, "between PT1M and P15D"),
        ({"timezone": "Mars/Olympus"}, "unknown time zone 'Mars/Olympus'"),
        ({"alarms": tuple(f"a{i}" for i in range(101))}, "over 101 alarms; CloudWatch takes at most 100"),
        ({"starts": "soon"}, "StartDate 'soon' is no time"),
        ({"expires": "2026-01-01T00:00:00Z", "starts": "2026-01-02"}, "ExpireDate .* is not after StartDate"),
        ({"name": ""}, "1 to 255 characters"),
        ({"name": "x" * 256}, "1 to 255 characters"),
    ],
)
def test_rules_that_cloudwatch_would_refuse(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(SimulationError, match=message) as raised:
        replace(rule("cron(0 2 * * *)"), **changed)
    assert "\n" not in str(raised.value)


def test_a_hundred_alarms_are_fine() -> None:
    assert len(MuteRule("m", "cron(0 2 * * *)", HOUR, tuple(map(str, range(100)))).alarms) == 100


@settings(deadline=None, max_examples=60)
@given(
    st.tuples(*(st.sampled_from(field) for field in (["0", "30", "*/20"], ["*", "2", "1,3"], ["*", "29"], ["*"], ["*", "SUN"]))),
    st.integers(1, 300),
    st.sampled_from([None, "Europe/Berlin", "America/New_York", "UTC+05:30"]),
    st.integers(0, 60 * 24 * 3),
)  # fmt: skip
def test_windows_are_ordered_apart_and_the_same_from_wherever_one_looks(
    fields: tuple[str, ...], length: int, zone: str | None, offset: int
) -> None:
    one = rule(f"cron({' '.join(fields)})", minutes(length), timezone=zone)
    start, end = utc("2026-03-27"), utc("2026-03-31")
    found = list(one.windows(start, end))
    assert all(begin < close for begin, close in found)
    assert all(left[1] < right[0] for left, right in pairwise(found))

    def muted(spans: list[tuple[datetime, datetime]], at: datetime) -> bool:
        return any(begin <= at < close for begin, close in spans)

    at = start + minutes(offset)
    assert muted(found, at) is muted(list(one.windows(at, end)), at) is muted(list(one.windows(start, at)), at)


# ---- what becomes of actions

TOLD = Actions(alarm=("page",), ok=("clear",), insufficient_data=("shrug",))
ONE = replace(alarm(1, 1, TreatMissingData.NOT_BREACHING, name="one"), actions=TOLD)
OTHER = Metric("Test", "Other")
TWO = replace(ONE, name="two", queries=alarm(metric=OTHER).queries, actions=Actions())


def at(minute: int, length: int, name: str = "quiet", alarms: tuple[str, ...] = ("one",)) -> MuteRule:
    return MuteRule(name, f"at({NOON + minutes(minute):%Y-%m-%dT%H:%M})", minutes(length), alarms)


def run(*alarms: Alarm | CompositeAlarm, first: str, second: str = "", length: int = 20, **more: Any) -> Timeline:
    made = store(first, end=NOON + minutes(len(first)))
    if second:
        values = [{"0": 0.0, "X": 1.0}[sign] for sign in second]
        made.add_series(Series(OTHER, NOON, 60, values=values))
    template = AlarmTemplate(
        tuple(one for one in alarms if isinstance(one, Alarm)),
        tuple(one for one in alarms if isinstance(one, CompositeAlarm)),
    )
    initial = {one.name: O for one in alarms}
    return simulate(template, made, NOON, NOON + minutes(length), initial=initial, **more)


def acts(found: Timeline, name: str = "one") -> list[tuple[int, str]]:
    return [
        (round((one.at - NOON).total_seconds() / 60), one.actions[0])
        for one in found.notifications
        if one.alarm == name
    ]


def states(found: Timeline, name: str = "one") -> list[tuple[int, AlarmState]]:
    return [(round((one.at - NOON).total_seconds() / 60), one.state) for one in found.changes[name]]


FAULT = "00" + "X" * 5 + "0" * 13  # in ALARM from minute 3, OK again at minute 8


@pytest.mark.parametrize(
    ("mutes", "expected"),
    [
        ((), [(3, "page"), (8, "clear")]),
        # The guide's first scenario: ALARM and back while muted; nobody hears of the ALARM.
        ((at(1, 9),), [(10, "clear")]),
        # The second: the mute ends while the alarm is still in ALARM.
        ((at(1, 4),), [(5, "page"), (8, "clear")]),
        # The third: overlapping rules count as one, and so do rules that touch.
        ((at(1, 3, "a"), at(2, 4, "b")), [(6, "page"), (8, "clear")]),
        ((at(1, 3, "a"), at(4, 2, "b")), [(6, "page"), (8, "clear")]),
        ((at(1, 3, "a"), at(5, 2, "b")), [(4, "page"), (8, "clear")]),
        # A window is open from its first moment and no longer at its end.
        ((at(3, 2),), [(5, "page"), (8, "clear")]),
        ((at(1, 2),), [(3, "page"), (8, "clear")]),
        # It ends exactly when the state changes: the old state is gone, the new one is not muted.
        ((at(1, 7),), [(8, "clear")]),
        ((at(8, 3),), [(3, "page"), (11, "clear")]),
        # Still open when the timeline ends.
        ((at(1, 60),), []),
        # In the past, and for another alarm.
        ((at(-60, 30),), [(3, "page"), (8, "clear")]),
        ((at(1, 9, alarms=("two",)),), [(3, "page"), (8, "clear")]),
    ],
)
def test_muted_actions(mutes: tuple[MuteRule, ...], expected: list[tuple[int, str]]) -> None:
    for literal in (False, True):
        found = run(ONE, first=FAULT, mutes=mutes, literal=literal)
        assert acts(found) == expected
        # States go on as if nothing were muted.
        assert states(found) == [(0, O), (3, A), (8, O)]


def test_what_an_alarm_that_came_and_went_tells_is_a_reading() -> None:
    changed = Reading(after_mute=AfterMute.CHANGED)
    assert acts(run(ONE, first=FAULT, mutes=[at(1, 9)], reading=changed)) == []
    assert acts(run(ONE, first=FAULT, mutes=[at(1, 4)], reading=changed)) == [(5, "page"), (8, "clear")]
    assert acts(run(ONE, first=FAULT, mutes=[at(6, 4)], reading=changed)) == [(3, "page"), (10, "clear")]


def test_a_change_says_which_rule_muted_it() -> None:
    found = run(ONE, first=FAULT, mutes=[at(1, 4, "deploy")])
    _, alarming, clear = found.changes["one"]
    assert (alarming.muted_by, alarming.actions, alarming.acted_at) == ("deploy", ("page",), NOON + minutes(5))
    assert (clear.muted_by, clear.acted_at) == (None, NOON + minutes(8))
    lost = run(ONE, first=FAULT, mutes=[at(1, 60, "night")]).changes["one"][1]
    assert (lost.muted_by, lost.actions, lost.acted_at) == ("night", (), None)


def test_all_actions_of_all_states_are_muted() -> None:
    patchy = replace(ONE, treat_missing_data=TreatMissingData.MISSING)
    pattern = "0X0" + "-" * 10
    assert [what for _, what in acts(run(patchy, first=pattern))] == ["shrug", "clear", "page", "clear", "shrug"]
    assert acts(run(patchy, first=pattern, mutes=[at(0, 60)])) == []


def test_an_alarm_without_actions_is_not_said_to_be_muted() -> None:
    found = run(replace(ONE, actions=Actions()), first=FAULT, mutes=[at(0, 60)])
    assert [one.muted_by for one in found.changes["one"]] == [None, None, None]


GATED = CompositeAlarm(
    "all", "ALARM(one)", actions=TOLD, suppressor="two", suppressor_wait=120, suppressor_extension=180
)


@pytest.mark.parametrize(
    ("first", "second", "mute", "expected"),
    [
        # The wait ends at minute 5; muted until 7.
        ("00" + "X" * 18, "0" * 20, (4, 3), [(7, "page")]),
        # The wait goes on while muted, and is over when the mute ends.
        ("00" + "X" * 18, "0" * 20, (1, 3), [(5, "page")]),
        # Suppressed when the mute ends: held until the suppressor lets go, at 9 + 3.
        ("00" + "X" * 18, "00000" + "XXX" + "0" * 12, (4, 3), [(12, "page")]),
        # The suppressor comes and goes within the mute.
        ("00" + "X" * 18, "00000" + "X" + "0" * 14, (4, 9), [(13, "page")]),
        # Suppressed all the time: the mute's end changes nothing.
        ("00" + "X" * 18, "X" * 20, (1, 5), []),
        # The composite changes before anything ran.
        ("00XXX" + "0" * 15, "0" * 20, (4, 3), [(8, "clear")]),
    ],
)
def test_a_mute_and_a_suppressor(
    first: str, second: str, mute: tuple[int, int], expected: list[tuple[int, str]]
) -> None:
    quiet = replace(ONE, actions=Actions())
    found = run(quiet, TWO, GATED, first=first, second=second, mutes=[at(*mute, alarms=("all",))])
    assert acts(found, "all") == expected


@settings(deadline=None, max_examples=100)
@given(
    st.text(alphabet="0X", min_size=1, max_size=20),
    st.text(alphabet="0X", min_size=20, max_size=20),
    st.lists(st.tuples(st.integers(-5, 20), st.integers(1, 12)), max_size=3),
)
def test_no_action_runs_while_muted_and_none_of_a_state_that_is_over(
    first: str, second: str, mutes: list[tuple[int, int]]
) -> None:
    rules = [at(begin, length, f"m{number}", ("one", "all")) for number, (begin, length) in enumerate(mutes)]
    found = run(ONE, TWO, GATED, first=first, second=second, mutes=rules)
    free = run(ONE, TWO, GATED, first=first, second=second)
    spans = [span for one in rules for span in one.windows(NOON, NOON + minutes(20))]
    for name in ("one", "all"):
        assert states(found, name) == states(free, name)
    for one in found.notifications:
        assert not any(begin <= one.at < end for begin, end in spans)
        # A wait that ends as the state changes is over a moment before.
        assert one.state in (found.state_at(one.alarm, one.at), found.state_at(one.alarm, one.at - minutes(0.1)))
    # What is not muted runs as before.
    before = {one for one in free.notifications if not any(begin <= one.at < end for begin, end in spans)}
    assert before <= set(found.notifications)
    assert len(found.notifications) <= len(free.notifications)


# ---- in a template


def read(properties: dict[str, Any]) -> AlarmTemplate:
    body = {
        "Namespace": METRIC.namespace, "MetricName": METRIC.name, "Statistic": "Sum", "Period": 60,
        "EvaluationPeriods": 1, "Threshold": 0.5, "ComparisonOperator": "GreaterThanThreshold",
    }  # fmt: skip
    tree = {
        "Parameters": {"Zone": {"Type": "String"}},
        "Resources": {
            "One": {"Type": "AWS::CloudWatch::Alarm", "Properties": body | {"AlarmName": "one"}},
            "All": {
                "Type": "AWS::CloudWatch::CompositeAlarm",
                "Properties": {"AlarmName": "all", "AlarmRule": "ALARM(one)"},
            },
            "Quiet": {"Type": "AWS::CloudWatch::AlarmMuteRule", "Properties": properties},
        },
    }
    return read_alarms(resolve(parse(json.dumps(tree), "t.json")))


SCHEDULE = {"Schedule": {"Expression": "cron(0 2 * * *)", "Duration": "PT2H", "Timezone": "Europe/Berlin"}}


def test_a_mute_rule_is_read() -> None:
    targets = {"AlarmNames": [{"Ref": "One"}, {"Ref": "All"}, "elsewhere"]}
    dates = {"StartDate": "2026-01-01T00:00", "ExpireDate": "2027-01-01T00:00:00Z"}
    found = read({"Name": "nightly", "Rule": SCHEDULE, "MuteTargets": targets, **dates})
    assert found.unsupported == ()
    assert found.mutes == (
        MuteRule(
            "nightly",
            "cron(0 2 * * *)",
            2 * HOUR,
            ("one", "all", "elsewhere"),
            "Europe/Berlin",
            "2026-01-01T00:00",
            "2027-01-01T00:00:00Z",
        ),
    )
    ran = simulate(found, Store(), NOON, NOON)
    assert ran.mute_targets_unknown == {"nightly": ("elsewhere",)}


def test_a_mute_rule_without_name_or_targets() -> None:
    (one,) = read({"Rule": SCHEDULE}).mutes
    assert (one.name, one.alarms) == ("Quiet", ())


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({}, "Rule.Schedule with Expression and Duration"),
        ({"Rule": {"Schedule": "cron(0 2 * * *)"}}, "Rule.Schedule with Expression and Duration"),
        ({"Rule": {"Schedule": {"Expression": "cron(0 2 * * *)"}}}, "Duration is missing"),
        ({"Rule": {"Schedule": {"Duration": "PT1H"}}}, "Expression is missing"),
        ({"Rule": {"Schedule": SCHEDULE["Schedule"] | {"Duration": "an hour"}}}, "Duration 'an hour'"),
        ({"Rule": {"Schedule": SCHEDULE["Schedule"] | {"Expression": "daily"}}}, "schedule 'daily'"),
        ({"Rule": {"Schedule": SCHEDULE["Schedule"] | {"Timezone": {"Ref": "Zone"}}}}, "Timezone is ${Zone}"),
        ({"Rule": SCHEDULE, "MuteTargets": {"AlarmNames": "one"}}, "AlarmNames, a list"),
        ({"Rule": SCHEDULE, "MuteTargets": ["one"]}, "AlarmNames, a list"),
        ({"Rule": SCHEDULE, "MuteTargets": {"AlarmNames": [1.5, None]}}, "an entry of AlarmNames"),
        ({"Rule": SCHEDULE, "MuteTargets": {"AlarmNames": [str(i) for i in range(101)]}}, "over 101 alarms"),
    ],
)
def test_a_broken_mute_rule_is_listed_and_the_rest_is_read(properties: dict[str, Any], reason: str) -> None:
    found = read(properties)
    assert [one.name for one in found.alarms] == ["one"]
    (refused,) = found.unsupported
    assert refused.logical_id == "Quiet"
    assert reason in refused.reason
