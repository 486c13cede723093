"""What the committed alarms of the notification system do, by the simulator: who would be told of what, and who not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tocsin.alarm import AlarmState, Metric
from tocsin.simulate.reading import Reading
from tocsin.simulate.series import Store
from tocsin.simulate.statistics import StatisticSet
from tocsin.simulate.template import read_template
from tocsin.simulate.timeline import Timeline, simulate

ROOT = Path(__file__).parents[1]
START = datetime(2026, 1, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

NAMES = {
    "NotificationsApiName": "api",
    "GenerateMessageName": "queue",
    "GenerateMessageDeadLettersName": "letters",
    "FindDailyNotificationsName": "find",
    "MessageGeneratorName": "generate",
}
API = (("ApiId", "api"),)
COUNT, ERRORS = Metric("AWS/ApiGateway", "Count", API), Metric("AWS/ApiGateway", "5xx", API)
LETTERS = Metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", (("QueueName", "letters"),))
DELETED = Metric("AWS/SQS", "NumberOfMessagesDeleted", (("QueueName", "queue"),))
AGE = Metric("AWS/SQS", "ApproximateAgeOfOldestMessage", (("QueueName", "queue"),))
GENERATOR, FINDER = (("FunctionName", "generate"),), (("FunctionName", "find"),)
COMPLETED = Metric("Notification", "RunCompleted", GENERATOR)
NOTHING_DUE = Metric("Notification", "RunCompleted", FINDER)
ON_TIME, LATE = Metric("Notification", "RecordsOnTime", GENERATOR), Metric("Notification", "RecordsLate", GENERATOR)

Traffic = Callable[[datetime], tuple[int, int]]


def requests(traffic: Traffic, length: timedelta) -> Store:
    """API traffic: (requests, failures) of each minute."""
    store = Store()
    at = START
    while at < START + length:
        count, bad = traffic(at)
        if count:
            store.add_statistics(COUNT, at, StatisticSet(count, count, 1, 1))
            store.add_statistics(ERRORS, at, StatisticSet(count, bad, int(bad == count), int(bad > 0)))
        at += MINUTE
    return store


def run(store: Store, length: timedelta, evaluated: int = 0) -> Timeline:
    """``evaluated``: in which minute of the hour alarms over more than a day are, which AWS does not document."""
    template = read_template(ROOT / "alarms" / "notification.yaml", NAMES)
    states = {one.name: AlarmState.OK for one in (*template.alarms, *template.composites)}
    reading = Reading(hourly_minute=evaluated)
    return simulate(template, store, START, START + length, initial=states, reading=reading)


def alarmed(timeline: Timeline, name: str) -> list[datetime]:
    """When the alarm went into ALARM."""
    changes = timeline.changes[f"prod-notification-{name}"]
    return [change.at for change in changes if change.state is AlarmState.ALARM and change.from_state is AlarmState.OK]


def after(start: datetime, *moments: timedelta) -> list[datetime]:
    return [start + moment for moment in moments]


def test_a_full_outage_pages_within_two_minutes_and_closes_after_the_short_window() -> None:
    fault = START + 8 * HOUR
    timeline = run(requests(lambda at: (60, 60 if fault <= at < fault + 20 * MINUTE else 0), 12 * HOUR), 12 * HOUR)
    assert alarmed(timeline, "api-availability-page") == after(fault, MINUTE), (
        "48 s by the workbook, then the next minute"
    )
    page = timeline.changes["prod-notification-api-availability-page"]
    assert page[-1].state is AlarmState.OK
    assert page[-1].at == fault + 50 * MINUTE, "30 minutes after the fault the 30-minute window is clean"


def test_a_single_failure_in_a_quiet_hour_wakes_nobody_and_an_outage_in_it_does() -> None:
    """Ten requests an hour: one failure is a burn rate of 1,000 in five minutes."""
    odd = START + 5 * HOUR

    def quiet(failing: Callable[[datetime], bool]) -> Traffic:
        return lambda at: (1, int(failing(at))) if at.minute % 6 == 0 else (0, 0)

    timeline = run(requests(quiet(lambda at: at == odd), 12 * HOUR), 12 * HOUR)
    assert alarmed(timeline, "api-availability-page") == []
    assert alarmed(timeline, "api-availability-ticket") == []
    outage = run(requests(quiet(lambda at: at >= odd), 8 * HOUR), 8 * HOUR)
    assert alarmed(outage, "api-availability-page") == after(odd, 7 * MINUTE), (
        "the second failure comes after six minutes"
    )


def latencies(slow: Callable[[datetime], int], length: timedelta, each: timedelta = 6 * MINUTE) -> Store:
    """One request every so often; those for which ``slow`` is not 0 take that many milliseconds, others 50."""
    store = Store()
    at = START
    while at < START + length:
        store.add(Metric("AWS/ApiGateway", "Latency", API), at, slow(at) or 50)
        at += each
    return store


def test_one_slow_request_in_a_quiet_night_wakes_nobody_and_many_do() -> None:
    odd = START + 3 * HOUR
    once = run(latencies(lambda at: 2500 if at == odd else 0, 12 * HOUR), 12 * HOUR)
    assert alarmed(once, "api-latency-page") == []
    alone = run(latencies(lambda at: 2500, DAY, each=2 * DAY), DAY)
    assert alarmed(alone, "api-latency-page") == [], "not even as the only request of the night"
    apart = run(latencies(lambda at: 2500 if at in (odd, odd + 30 * MINUTE) else 0, 12 * HOUR), 12 * HOUR)
    assert alarmed(apart, "api-latency-page") == alarmed(apart, "api-latency-ticket") == []
    slow = run(latencies(lambda at: 2500 if at >= odd else 0, 12 * HOUR), 12 * HOUR)
    (page,) = alarmed(slow, "api-latency-page")
    assert odd < page <= odd + 5 * HOUR, "ten requests an hour, all of them slow: fifty of them"


@pytest.mark.parametrize("cold", [(0,), (0, 30), (0, 6)], ids=["one an hour", "two an hour", "two in a row"])
@pytest.mark.parametrize("alone", [False, True], ids=["of ten requests", "and no other requests"])
def test_a_day_of_cold_starts_pages_nobody_and_tickets_nobody(cold: tuple[int, ...], alone: bool) -> None:
    store, at = Store(), START
    while at < START + DAY:
        if at.minute in cold or (at.minute % 6 == 0 and not alone):
            store.add(Metric("AWS/ApiGateway", "Latency", API), at, 1400 if at.minute in cold else 50)
        at += MINUTE
    timeline = run(store, DAY)
    assert alarmed(timeline, "api-latency-page") == alarmed(timeline, "api-latency-ticket") == []


@pytest.mark.parametrize("each_minute", [10, 60, 6000])
def test_a_tenth_of_the_answers_slow_at_real_traffic_pages(each_minute: int) -> None:
    """10 % where 1 % is allowed: by the second tier, 5.6 % of six hours."""
    fault, store, at = START + 6 * HOUR, Store(), START
    while at < START + 12 * HOUR:
        slow = each_minute // 10 if at >= fault else 0
        store.add(Metric("AWS/ApiGateway", "Latency", API), at, 50, count=each_minute - slow)
        if slow:
            store.add(Metric("AWS/ApiGateway", "Latency", API), at, 1400, count=slow)
        at += MINUTE
    (page,) = alarmed(run(store, 12 * HOUR), "api-latency-page")
    assert fault + 3 * HOUR < page <= fault + 4 * HOUR


def test_all_answers_slow_at_real_traffic_page_within_ten_minutes() -> None:
    fault = START + HOUR
    timeline = run(latencies(lambda at: 1400 if at >= fault else 0, 3 * HOUR, each=timedelta(seconds=5)), 3 * HOUR)
    (page,) = alarmed(timeline, "api-latency-page")
    assert fault < page <= fault + 10 * MINUTE


def test_noise_at_half_the_budget_tells_nobody() -> None:
    """One failure in 2,000 requests where one in 1,000 is allowed, spread evenly over four days."""
    timeline = run(requests(lambda at: (100, int(at.minute % 20 == 0)), 4 * DAY), 4 * DAY)
    assert alarmed(timeline, "api-availability-page") == []
    assert alarmed(timeline, "api-availability-ticket") == []


def test_a_slow_burn_opens_a_ticket_and_no_page() -> None:
    """Four times the allowed rate: 0.4 %."""
    timeline = run(requests(lambda at: (250, 1), 2 * DAY), 2 * DAY)
    assert alarmed(timeline, "api-availability-page") == []
    assert len(alarmed(timeline, "api-availability-ticket")) == 1


def test_a_page_does_not_hang_when_traffic_stops_in_the_outage() -> None:
    fault = START + 8 * HOUR
    timeline = run(
        requests(lambda at: (60, 60 if at >= fault else 0) if at < fault + 10 * MINUTE else (0, 0), 12 * HOUR),
        12 * HOUR,
    )
    page = timeline.changes["prod-notification-api-availability-page"]
    assert alarmed(timeline, "api-availability-page") == after(fault, MINUTE)
    assert page[-1].state is AlarmState.OK
    assert page[-1].at <= fault + 41 * MINUTE, "not kept in ALARM by datapoints from before"


def test_the_ticket_is_held_back_while_the_page_is_out() -> None:
    fault = START + 8 * HOUR
    timeline = run(requests(lambda at: (60, 60 if fault <= at < fault + 30 * MINUTE else 0), 12 * HOUR), 12 * HOUR)
    told = [
        one
        for one in timeline.notifications
        if one.alarm.endswith("api-availability-ticket") and one.state is AlarmState.ALARM
    ]
    closed = timeline.changes["prod-notification-api-availability-page"][-1].at
    assert [one.at >= closed for one in told] == [True]


# The run starts at 04:30 and everything is promised to be readable by 06:30.
SOON, DEADLINE = timedelta(hours=4, minutes=40), timedelta(hours=6, minutes=30)
Clock = timedelta | None


def clock(text: str) -> timedelta:
    return timedelta(hours=int(text[:2]), minutes=int(text[3:]))


def days(*completed: Clock, metric: Metric = COMPLETED) -> Store:
    """RunCompleted of each day, by the time of day; None on a day whose run never completes."""
    store = Store()
    for day, at in enumerate(completed):
        if at is not None:
            store.add(metric, START + day * DAY + at, 1)
    return store


def daily_pages(store: Store, length: int, evaluated: int = 0) -> list[tuple[int, str]]:
    """(day, time of day) of each daily-run page; the first day has nothing to look back on."""
    found = alarmed(run(store, length * DAY, evaluated), "daily-run-page")
    return [((at - START) // DAY, f"{at:%H:%M}") for at in found if at >= START + DAY]


in_whatever_minute = pytest.mark.parametrize("evaluated", [0, 3, 59])


@in_whatever_minute
def test_days_in_time_page_nobody(evaluated: int) -> None:
    """From one minute after the start to one minute before the deadline, in any order."""
    times = ["04:31", "06:29", "04:31", "05:55", "05:00", "06:29", "06:29", "04:59", "06:00"]
    assert daily_pages(days(*map(clock, times)), len(times), evaluated) == []


def test_days_without_anything_due_page_nobody() -> None:
    """The finder says so itself, and the generator does not run."""
    assert daily_pages(days(*[clock("04:30")] * 5, metric=NOTHING_DUE), 5) == []


@in_whatever_minute
@pytest.mark.parametrize(
    ("before", "paged"),
    [
        ("04:31", "07"),
        ("04:59", "07"),
        ("05:00", "08"),
        ("05:55", "08"),
        ("06:29", "09"),
    ],
)
def test_a_missed_or_failed_day_pages_in_the_hours_after_the_deadline(before: str, paged: str, evaluated: int) -> None:
    """No RunCompleted comes of a run that is not started, nor of one that fails: 26 hours after the hour of the last
    one, evaluated on data up to the full hour.  The page closes in the hour after that of the next day's run."""
    store = days(SOON, clock(before), None, SOON, SOON)
    assert daily_pages(store, 5, evaluated) == [(2, f"{paged}:{evaluated:02}")]
    changes = run(store, 5 * DAY, evaluated).changes["prod-notification-daily-run-page"]
    closed = START + 3 * DAY + 5 * HOUR + evaluated * MINUTE
    assert (changes[-1].state, changes[-1].at) == (AlarmState.OK, closed)
    assert closed - (START + 3 * DAY + SOON) < 2 * HOUR


@in_whatever_minute
def test_a_day_mended_by_hand_in_the_evening_lets_a_missed_next_day_page_late_in_its_own(evaluated: int) -> None:
    """It has paged in the hour from 07:00 itself; the 26 hours then begin at 20:00."""
    found = daily_pages(days(SOON, clock("20:00"), None, SOON), 4, evaluated)
    assert found == [(1, f"07:{evaluated:02}"), (2, f"23:{evaluated:02}")]


@in_whatever_minute
def test_a_new_environment_pages_until_a_run_has_ended(evaluated: int) -> None:
    """There is no day before to look back on: the first run is started by hand, or the page is expected."""
    template = read_template(ROOT / "alarms" / "notification.yaml", NAMES)
    store, length = Store(), DAY
    store.add(COMPLETED, START + clock("10:20"), 1)
    timeline = simulate(template, store, START, START + length, reading=Reading(hourly_minute=evaluated))
    changes = timeline.changes["prod-notification-daily-run-page"]
    assert [(change.state, change.at - START) for change in changes] == [
        (AlarmState.ALARM, timedelta()),
        (AlarmState.OK, clock("11:00") + evaluated * MINUTE),
    ]


@in_whatever_minute
@pytest.mark.parametrize(("completed", "told"), [("05:55", False), ("06:29", False), ("06:59", False), ("07:10", True)])
def test_a_late_day_pages_in_the_hour_from_seven(completed: str, told: bool, evaluated: int) -> None:
    """Half an hour late is forgiven by the full hour: readable-in-time counts those records."""
    found = daily_pages(days(SOON, SOON, clock(completed), SOON), 4, evaluated)
    assert found == ([(2, f"07:{evaluated:02}")] if told else [])


def written(until: str, each_minute: int = 1000) -> Store:
    """Records of one day, from 04:35 on: in time until 06:30, late after it."""
    store = Store()
    at, end = START + clock("04:35"), START + clock(until)
    while at < end:
        late = at >= START + DEADLINE
        store.add(ON_TIME, at, 0 if late else each_minute)
        store.add(LATE, at, each_minute if late else 0)
        at += MINUTE
    return store


def test_records_in_time_tell_nobody_and_late_ones_page_a_minute_after_the_deadline() -> None:
    in_time = run(written("06:30"), DAY)
    assert alarmed(in_time, "readable-in-time-page") == alarmed(in_time, "readable-in-time-ticket") == []
    (page,) = alarmed(run(written("07:10"), DAY), "readable-in-time-page")
    assert page == START + DEADLINE + MINUTE


@pytest.mark.parametrize(("late", "at"), [(2, "06:30"), (500, "09:30"), (999, "06:31")])
def test_few_late_records_wake_nobody(late: int, at: str) -> None:
    """Such as those of a notification that was sent back from the dead-letter queue."""
    store = written("06:30")
    store.add(LATE, START + clock(at), late)
    timeline = run(store, DAY)
    assert alarmed(timeline, "readable-in-time-page") == alarmed(timeline, "readable-in-time-ticket") == []


def queue(processed: Traffic, letters: Callable[[datetime], int], length: timedelta) -> Store:
    """A queue: messages processed in each minute (the second number is not used), and the depth of its dead letters."""
    store = Store()
    at = START
    while at < START + length:
        deleted, _ = processed(at)
        if deleted:
            store.add(DELETED, at, deleted)
        store.add(LETTERS, at, letters(at))
        at += MINUTE
    return store


def morning(each_minute: int) -> Traffic:
    """Work from six to seven every day, nothing else."""
    return lambda at: (each_minute if at.hour == 6 else 0, 0)


def test_two_dead_letters_among_thousands_wake_nobody_however_long_they_lie() -> None:
    """Half of what the promise allows.  A level would page at night, when nothing is processed beside it."""
    first = START + 6 * HOUR + 30 * MINUTE
    timeline = run(queue(morning(70), lambda at: 2 if at >= first else 0, 2 * DAY), 2 * DAY)
    assert alarmed(timeline, "generation-completeness-page") == []
    letters = alarmed(timeline, "GenerateMessageDeadLetters-sqs-dead-letter-queue-not-empty")
    assert letters == after(first, MINUTE), "the ticket of the cause still comes"


def test_clearing_dead_letters_is_no_incident() -> None:
    first = START + 6 * HOUR + 30 * MINUTE
    cleared = START + DAY + 10 * HOUR
    timeline = run(queue(morning(70), lambda at: 2 if first <= at < cleared else 0, 2 * DAY), 2 * DAY)
    assert alarmed(timeline, "generation-completeness-page") == []
    assert [at for at in alarmed(timeline, "generation-completeness-ticket") if at >= cleared] == []


def test_many_dead_letters_page() -> None:
    first = START + 6 * HOUR + 30 * MINUTE
    timeline = run(queue(morning(10), lambda at: max(0, min(200, (at - first) // MINUTE * 10)), DAY), DAY)
    pages = alarmed(timeline, "generation-completeness-page")
    assert len(pages) == 1
    assert first < pages[0] <= first + 5 * MINUTE


def ages(oldest: Callable[[datetime], float], length: timedelta = DAY) -> Store:
    """The age of the oldest message in each minute, in seconds."""
    store, at = Store(), START
    while at < START + length:
        store.add(AGE, at, oldest(at))
        at += MINUTE
    return store


@pytest.mark.parametrize("longest", [36, 45, 50, 74])
def test_a_run_whose_messages_wait_for_less_than_75_minutes_pages_nobody(longest: int) -> None:
    """Queued at 04:30 and worked off one after the other: the last has waited for as long as all took."""
    first = START + clock("04:30")
    store = ages(lambda at: (at - first).total_seconds() if first <= at < first + longest * MINUTE else 0)
    assert alarmed(run(store, DAY), "generation-freshness-page") == []
    assert alarmed(run(store, DAY), "generation-freshness-ticket") == []


def test_a_run_that_is_stuck_pages_before_its_notifications_are_late() -> None:
    first = START + clock("04:30")
    store = ages(lambda at: max(0.0, (at - first).total_seconds()))
    (page,) = alarmed(run(store, DAY), "generation-freshness-page")
    assert START + clock("05:45") < page < START + clock("06:00")
