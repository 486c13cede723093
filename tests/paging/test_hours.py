"""Who is on call when: exact spans, held against a slow reading of the clock minute by minute, also where clocks change."""

# ruff: noqa: DTZ001 - wall-clock times are naive, as in the file

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tocsin.errors import InputError
from tocsin.paging.declared import Hours, Rotation, Schedule
from tocsin.paging.hours import find_gaps, find_overlaps, instant, on_call_at, who_when
from tocsin.paging.hours_in_words import describe_gaps, describe_overlaps

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
# The days of 2026 on which clocks change, in local time.
CHANGES = [
    ("Europe/Vienna", datetime(2026, 3, 29)),
    ("Europe/Vienna", datetime(2026, 10, 25)),
    ("America/New_York", datetime(2026, 3, 8)),
    ("America/New_York", datetime(2026, 11, 1)),
    ("Australia/Lord_Howe", datetime(2026, 4, 5)),  # by half an hour
    ("Australia/Lord_Howe", datetime(2026, 10, 4)),
    ("Africa/Cairo", datetime(2026, 4, 24)),  # at midnight
    ("UTC", datetime(2026, 5, 1)),
]
PRIMARY, SECOND, THIRD = (f"engagement-{role}@example.com" for role in ("primary", "second", "third"))
NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)  # a Monday


# ---- A slow reading: walk through the minutes and look at the clock on the wall ----


def readings(zone: str, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Each minute with the latest time the wall clock has shown so far; an hour shown again is not lived again."""
    latest, moment = datetime(2000, 1, 1), start
    while moment < end:
        latest = max(latest, moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None))
        yield moment, latest
        moment += MINUTE


def inside(hours: Hours, wall: datetime) -> bool:
    minute = wall.hour * 60 + wall.minute
    start, end = hours.start.hour * 60 + hours.start.minute, hours.end.hour * 60 + hours.end.minute
    if hours.start_day is not None and hours.end_day is not None:
        minute += wall.weekday() * 1440
        start += hours.start_day * 1440
        end += hours.end_day * 1440
    return start <= minute < end if start < end else not end <= minute < start


def read_slowly(
    schedule: Schedule, start: datetime, end: datetime
) -> list[tuple[datetime, tuple[tuple[str, str], ...]]]:
    """Who is on call in each minute.  Every rotation must start after ``start``."""
    began: dict[str, datetime] = {}
    found = []
    for moment, wall in readings(schedule.time_zone, start, end):
        who = []
        for rotation in schedule.rotations:
            if wall < rotation.starts or (rotation.ends is not None and wall >= rotation.ends):
                continue
            began.setdefault(rotation.name, moment)
            passed = moment - began[rotation.name] if rotation.turn % DAY else wall - rotation.starts
            if not rotation.hours or any(inside(one, wall) for one in rotation.hours):
                who.append((rotation.name, rotation.participants[passed // rotation.turn % len(rotation.participants)]))
        found.append((moment, tuple(who)))
    return found


half_hours = st.builds(lambda half: time(half // 2, half % 2 * 30), st.integers(0, 47))
minutes_of_the_night = st.builds(time, st.integers(0, 4), st.integers(0, 59))
clocks = half_hours | minutes_of_the_night


@st.composite
def some_hours(draw: st.DrawFn) -> Hours:
    start, end = draw(clocks), draw(clocks)
    if draw(st.booleans()):
        days = draw(st.integers(0, 6)), draw(st.integers(0, 6))
        if (days[0], start) == (days[1], end):
            end = time(start.hour, (start.minute + 1) % 60)
        return Hours(start, end, *days)
    return Hours(start, end if end != start else time((start.hour + 5) % 24, start.minute))


@st.composite
def schedules(draw: st.DrawFn, zone: str, day: datetime) -> Schedule:
    """Rotations that start within the two days before ``day``, or on it."""
    rotations = []
    for number in range(draw(st.integers(1, 3))):
        starts = day + draw(st.integers(-2 * 1440, 1440)) * MINUTE
        ends = draw(st.none() | st.integers(1, 4 * 1440).map(lambda minutes, starts=starts: starts + minutes * MINUTE))
        rotations.append(
            Rotation(
                name=f"r{number}",
                participants=tuple(draw(st.permutations([PRIMARY, SECOND, THIRD]))[: draw(st.integers(1, 3))]),
                turn=draw(st.sampled_from([HOUR, 5 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY])),
                starts=starts,
                ends=ends,
                hours=tuple(draw(st.lists(some_hours(), max_size=3))),
            )
        )
    return Schedule("s", zone, tuple(rotations))


@st.composite
def schedules_around_a_change(draw: st.DrawFn) -> tuple[Schedule, datetime]:
    zone, day = draw(st.sampled_from(CHANGES))
    return draw(schedules(zone, day)), day


def around(schedule: Schedule, day: datetime) -> tuple[datetime, datetime]:
    noon = day.replace(hour=12, tzinfo=ZoneInfo(schedule.time_zone)).astimezone(UTC)
    return noon - 4 * DAY, noon + 3 * DAY


NIGHT = Schedule(
    "night",
    "Europe/Vienna",
    (
        Rotation(
            "early", (PRIMARY, SECOND), HOUR, datetime(2026, 10, 24, 2, 30), None, (Hours(time(20), time(2, 30)),)
        ),
        Rotation("late", (SECOND, THIRD), DAY, datetime(2026, 10, 24, 2, 30), None, (Hours(time(2, 30), time(20)),)),
    ),
)


@settings(max_examples=60, deadline=None)
@given(schedules_around_a_change())
@example((NIGHT, datetime(2026, 10, 25)))
def test_the_spans_are_what_a_slow_reading_finds(drawn: tuple[Schedule, datetime]) -> None:
    schedule, day = drawn
    start, end = around(schedule, day)
    spans = iter(who_when(schedule, start, end))
    span = next(spans)
    for moment, who in read_slowly(schedule, start, end):
        while span.end <= moment:
            span = next(spans)
        assert (moment, span.who) == (moment, who)


@settings(max_examples=60, deadline=None)
@given(schedules_around_a_change(), st.integers(0, 7 * 1440 - 1))
def test_gaps_overlaps_and_moments_are_of_the_same_spans(drawn: tuple[Schedule, datetime], minute: int) -> None:
    schedule, day = drawn
    start, end = around(schedule, day)
    spans = who_when(schedule, start, end)
    assert (spans[0].start, spans[-1].end) == (start, end)
    for one, following in pairwise(spans):
        assert one.end == following.start
        assert one.who != following.who
    assert find_gaps(schedule, start, end) == tuple(span for span in spans if len(span.who) == 0)
    assert find_overlaps(schedule, start, end) == tuple(span for span in spans if len(span.who) >= 2)
    moment = start + minute * MINUTE
    assert on_call_at(schedule, moment) == next(span.who for span in spans if span.start <= moment < span.end)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(CHANGES), st.lists(st.integers(0, 1439), min_size=2, max_size=6, unique=True), st.integers(1, 200)
)
def test_hours_that_follow_on_each_other_leave_neither_gap_nor_overlap(
    change: tuple[str, datetime], cuts: list[int], weeks: int
) -> None:
    zone, day = change
    times = [time(cut // 60, cut % 60) for cut in sorted(cuts)]
    rotations = tuple(
        Rotation(f"r{number}", (PRIMARY, SECOND), 7 * DAY, datetime(2024, 1, 1, 8), None, (Hours(begin, end),))
        for number, (begin, end) in enumerate(zip(times, [*times[1:], times[0]], strict=True))
    )
    start = day.replace(tzinfo=UTC) - weeks * DAY
    schedule = Schedule("s", zone, rotations)
    assert find_gaps(schedule, start, start + 371 * DAY) == ()
    assert find_overlaps(schedule, start, start + 371 * DAY) == ()


@given(
    st.sampled_from(sorted({zone for zone, _ in CHANGES})),
    st.datetimes(datetime(2020, 1, 1), datetime(2060, 1, 1)).map(lambda wall: wall.replace(second=0, microsecond=0)),
    st.integers(0, 180),
)
def test_a_later_wall_clock_time_is_never_an_earlier_moment(zone: str, wall: datetime, minutes: int) -> None:
    place = ZoneInfo(zone)
    moment = instant(wall, place)
    assert moment <= instant(wall + minutes * MINUTE, place)
    assert moment.astimezone(place).replace(tzinfo=None) >= wall
    assert (moment - MINUTE).astimezone(place).replace(tzinfo=None) < wall


# ---- What happens to the hour that is skipped, and to the one that is repeated ----


@pytest.mark.parametrize(
    ("zone", "wall", "moment"),
    [
        ("Europe/Vienna", "2026-03-29 01:59", "2026-03-29T00:59"),
        ("Europe/Vienna", "2026-03-29 02:00", "2026-03-29T01:00"),  # skipped: when the clocks jump
        ("Europe/Vienna", "2026-03-29 02:30", "2026-03-29T01:00"),
        ("Europe/Vienna", "2026-03-29 03:00", "2026-03-29T01:00"),
        ("Europe/Vienna", "2026-10-25 02:00", "2026-10-25T00:00"),  # repeated: the first time
        ("Europe/Vienna", "2026-10-25 02:59", "2026-10-25T00:59"),
        ("Europe/Vienna", "2026-10-25 03:00", "2026-10-25T02:00"),
        ("America/New_York", "2026-03-08 02:15", "2026-03-08T07:00"),
        ("America/New_York", "2026-11-01 01:30", "2026-11-01T05:30"),
        ("Australia/Lord_Howe", "2026-10-04 02:15", "2026-10-03T15:30"),  # half an hour is skipped
        ("Australia/Lord_Howe", "2026-10-04 02:30", "2026-10-03T15:30"),
        ("Australia/Lord_Howe", "2026-04-05 01:45", "2026-04-04T14:45"),  # half an hour is repeated
        ("Australia/Lord_Howe", "2026-04-05 02:00", "2026-04-04T15:30"),
        ("Africa/Cairo", "2026-04-24 00:00", "2026-04-23T22:00"),  # there is no midnight
    ],
)
def test_moments_of_the_wall_clock(zone: str, wall: str, moment: str) -> None:
    assert instant(datetime.fromisoformat(wall), ZoneInfo(zone)) == datetime.fromisoformat(moment).replace(tzinfo=UTC)


def rotation(
    name: str,
    *hours: Hours,
    who: tuple[str, ...] = (PRIMARY,),
    turn: timedelta = 7 * DAY,
    starts: str = "2026-01-05 08:00",
    ends: str | None = None,
) -> Rotation:
    return Rotation(
        name, who, turn, datetime.fromisoformat(starts), None if ends is None else datetime.fromisoformat(ends), hours
    )


def schedule(*rotations: Rotation, zone: str = "Europe/Vienna") -> Schedule:
    return Schedule("engagement", zone, rotations)


def test_a_weekly_turn_keeps_to_the_wall_clock_and_one_of_hours_to_time_that_passes() -> None:
    weekly = schedule(rotation("week", who=(PRIMARY, SECOND)))
    # 08:00 in Vienna is 07:00 UTC in winter and 06:00 in summer.
    turns = [
        span.start for span in who_when(weekly, datetime(2026, 3, 20, tzinfo=UTC), datetime(2026, 4, 10, tzinfo=UTC))
    ]
    assert [f"{turn:%m-%d %H:%M}" for turn in turns[1:]] == ["03-23 07:00", "03-30 06:00", "04-06 06:00"]
    half_days = schedule(rotation("half", who=(PRIMARY, SECOND), turn=12 * HOUR, starts="2026-03-28 08:00"))
    turns = [
        span.start
        for span in who_when(half_days, datetime(2026, 3, 28, 7, tzinfo=UTC), datetime(2026, 3, 30, tzinfo=UTC))
    ]
    assert [f"{turn:%m-%d %H:%M}" for turn in turns] == ["03-28 07:00", "03-28 19:00", "03-29 07:00", "03-29 19:00"]


def test_turns_follow_the_order_of_the_file() -> None:
    weekly = schedule(rotation("week", who=(PRIMARY, SECOND, THIRD)))
    found = [on_call_at(weekly, datetime(2026, 1, 6, tzinfo=UTC) + week * 7 * DAY)[0][1] for week in range(4)]
    assert found == [PRIMARY, SECOND, THIRD, PRIMARY]
    assert on_call_at(weekly, datetime(2026, 1, 5, 6, 59, tzinfo=UTC)) == ()
    assert on_call_at(weekly, datetime(2026, 1, 5, 7, tzinfo=UTC)) == (("week", PRIMARY),)


def test_hours_that_end_when_they_start_are_a_day_or_a_week() -> None:
    for hours in (Hours(time(8), time(8)), Hours(time(8), time(8), 2, 2)):
        assert find_gaps(schedule(rotation("all", hours)), NOW, NOW + 30 * DAY) == ()


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(InputError, match="a moment without a time zone"):
        on_call_at(schedule(rotation("week")), datetime(2026, 1, 6))


def test_no_time_has_no_spans() -> None:
    assert who_when(schedule(rotation("week")), NOW, NOW) == ()


# ---- In words ----

WORKDAYS = Hours(time(8), time(18), 0, 4)
ZONE = "Europe/Vienna"


@pytest.mark.parametrize(
    ("rotations", "lines"),
    [
        ([rotation("week")], []),
        (
            [rotation("week", Hours(time(8), time(18), 0, 5))],
            [f"nobody is on call Sat 18:00 to Mon 08:00 {ZONE}, first 2026-11-28"],
        ),
        ([rotation("day", Hours(time(8), time(18)))], [f"nobody is on call every day 18:00 to 08:00 {ZONE}, first 2026-11-23"]),
        (
            [rotation("day", *(Hours(time(8), time(18), day, day) for day in range(5)))],
            [
                f"nobody is on call Fri 18:00 to Mon 08:00 {ZONE}, first 2026-11-27",
                f"nobody is on call Mon to Thu 18:00 to 08:00 {ZONE}, first 2026-11-23",
            ],
        ),
        (
            [rotation("day", Hours(time(13), time(12)), Hours(time(12), time(13), 1, 1), Hours(time(12), time(13), 3, 6))],
            [f"nobody is on call Mon, Wed 12:00 to 13:00 {ZONE}, first 2026-11-23"],
        ),
        ([rotation("week", starts="2026-12-07 08:00")], [f"nobody is on call until Mon 2026-12-07 08:00 {ZONE}"]),
        ([rotation("week", ends="2027-02-01 08:00")], [f"nobody is on call from Mon 2027-02-01 08:00 {ZONE} on"]),
        ([rotation("week", ends="2026-02-02 08:00")], ["nobody is on call at any time"]),
        (
            [rotation("old", ends="2027-02-01 08:00"), rotation("new", starts="2027-02-02 20:00")],
            [f"nobody is on call Mon 2027-02-01 08:00 to Tue 2027-02-02 20:00 {ZONE}"],
        ),
        (
            [rotation("old", ends="2027-02-01 08:00"), rotation("new", starts="2027-02-01 08:30")],
            [f"nobody is on call Mon 2027-02-01 08:00 to 08:30 {ZONE}"],
        ),
    ],
)  # fmt: skip
def test_gaps_in_words(rotations: list[Rotation], lines: list[str]) -> None:
    assert sorted(describe_gaps(schedule(*rotations), NOW)) == sorted(lines)


BOTH = f"{PRIMARY} and {SECOND} are both on call"


@pytest.mark.parametrize(
    ("rotations", "lines"),
    [
        ([rotation("a", WORKDAYS), rotation("b", Hours(time(18), time(8), 4, 0))], []),
        (
            [rotation("a", WORKDAYS), rotation("b", Hours(time(18), time(9), 4, 0), who=(SECOND,))],
            [f"{BOTH} (rotations a and b) Mon 08:00 to Mon 09:00 {ZONE}, first 2026-11-30"],
        ),
        (
            [rotation("day", Hours(time(8), time(20))), rotation("night", Hours(time(19), time(8)), who=(SECOND,))],
            [f"{BOTH} (rotations day and night) every day 19:00 to 20:00 {ZONE}, first 2026-11-23"],
        ),
        # One handover or more within what overlaps is still one overlap, told by who meets first.
        ([rotation("a"), rotation("b", who=(SECOND, THIRD), turn=DAY)], [f"{BOTH} (rotations a and b) at any time"]),
        (
            [rotation("a"), rotation("b", Hours(time(10), time(11), 1, 1))],
            [f"{PRIMARY} is on call more than once (rotations a and b) Tue 10:00 to Tue 11:00 {ZONE}, first 2026-11-24"],
        ),
        (
            [rotation("a"), rotation("b", Hours(time(8), time(12)), who=(SECOND,)), rotation("c", Hours(time(12), time(18)), who=(THIRD,))],
            [
                f"{BOTH} (rotations a and b) every day 08:00 to 12:00 {ZONE}, first 2026-11-23",
                f"{PRIMARY} and {THIRD} are both on call (rotations a and c) every day 12:00 to 18:00 {ZONE}, first 2026-11-23",
            ],
        ),
        (
            [rotation("a"), rotation("b", who=(SECOND,)), rotation("c", who=(THIRD,))],
            [f"{PRIMARY}, {SECOND} and {THIRD} are all on call (rotations a, b and c) at any time"],
        ),
        (
            [rotation("a"), rotation("b", who=(SECOND,), ends="2026-12-01 08:00")],
            [f"{BOTH} (rotations a and b) until Tue 2026-12-01 08:00 {ZONE}"],
        ),
    ],
)  # fmt: skip
def test_overlaps_in_words(rotations: list[Rotation], lines: list[str]) -> None:
    assert sorted(describe_overlaps(schedule(*rotations), NOW)) == sorted(lines)


def test_the_overlap_of_a_single_night_is_found_a_year_ahead() -> None:
    """One minute of the next 53 weeks, in a night in which the clocks change."""
    nightly = schedule(rotation("a", ends="2027-10-31 02:30"), rotation("b", starts="2027-10-31 02:29", who=(SECOND,)))
    assert describe_overlaps(nightly, NOW) == (f"{BOTH} (rotations a and b) Sun 2027-10-31 02:29 to 02:30 {ZONE}",)
    later = schedule(rotation("a", ends="2027-12-31 02:30"), rotation("b", starts="2027-12-31 02:29", who=(SECOND,)))
    assert describe_overlaps(later, NOW) == ()  # more than 53 weeks away


def test_of_many_kinds_the_rest_is_counted() -> None:
    odd = [Hours(time(hour, 7 * hour), time(hour + 1), None, None) for hour in range(8)]
    lines = describe_gaps(schedule(rotation("odd", *odd)), NOW)
    assert len(lines) == 6
    assert lines[-1] == "3 more of other hours follow in the next 53 weeks"
