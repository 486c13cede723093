"""FindDailyNotifications: which day, what is queued, that the number due is known first, and synthetic notifications."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from deploy.notification.handlers import find_daily_notifications as finder
from deploy.notification.handlers.find_daily_notifications import Order
from deploy.notification.handlers.message import Due, parse_message
from notification_tools import DAY, Context, Place, find, logged, metrics

SYNTHETIC = {
    "source": "tocsin.validation",
    "detail-type": "Synthetic notification",
    "time": "2026-02-05T05:00:00Z",
    "detail": {"stack": "dev-notification", "day": "2026-01-31", "notification": "synthetic-1"},
}


@pytest.mark.parametrize(
    ("event", "order"),
    [
        ({"time": "2026-01-31T04:30:00Z", "source": "aws.events", "detail-type": "Scheduled Event"}, Order(DAY)),
        ({"day": "2026-01-31"}, Order(DAY)),
        ({"day": "2026-01-31", "time": "2026-02-05T05:00:00Z"}, Order(DAY)),
        (SYNTHETIC, Order(DAY, "synthetic-1")),
    ],
)
def test_schedule_person_and_validation_say_what_they_want(event: dict[str, Any], order: Order) -> None:
    assert finder.parse_event(event) == order


@pytest.mark.parametrize(
    "event", [{}, {"time": ""}, {"time": "soon"}, {"day": "2026-02-30"}, {"day": 7}, {"day": None}]
)
def test_an_event_without_a_day_is_an_error_that_shows_what_to_pass(event: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r'"day": "2026-01-31"'):
        finder.parse_event(event)


@pytest.mark.parametrize("detail", [None, {}, {"notification": 7}, {"notification": "storm", "day": "2026-01-31"}])
def test_a_validation_cannot_start_anything_real(detail: Any) -> None:
    with pytest.raises(ValueError, match="a synthetic notification's id begins with 'synthetic-'"):
        finder.parse_event(SYNTHETIC | {"detail": detail})


def test_a_validation_without_a_day_is_refused() -> None:
    with pytest.raises(ValueError, match="None is not a date"):
        finder.parse_event(SYNTHETIC | {"detail": {"notification": "synthetic-1"}})


def queued(place: Place) -> list[Due]:
    found = []
    while records := place.receive():
        for record in records:
            found.append(parse_message(record["body"]))
            place.delete(record)
    return found


def test_one_message_for_each_notification_of_the_day_and_no_other(place: Place) -> None:
    for number in range(23):
        place.define(DAY, f"n{number:02} ☂", "weather")
    place.define(date(2026, 2, 1), "tomorrow", "weather")
    place.define(DAY, "synthetic-1", "weather")
    with logged() as log:
        assert find(DAY) == {"day": "2026-01-31", "queued": 23}
    assert sorted(due.notification for due in queued(place)) == [f"n{number:02} ☂" for number in range(23)]
    assert metrics(log, "NotificationsDue") == [23]
    assert metrics(log, "RunCompleted") == []
    assert place.run(DAY)["#run"]["due"] == {"N": "23"}


def test_definitions_are_read_page_by_page(place: Place) -> None:
    # A page is 1 MB: three definitions of 390 kB do not fit into one.
    for number in range(4):
        place.put(
            "Definitions", day=DAY.isoformat(), notification=f"n{number}", topic="t", title="t", body="b" * 390_000
        )
    assert find(DAY)["queued"] == 4


def test_a_day_without_notifications_is_completed_at_once_and_once(place: Place) -> None:
    with logged() as log:
        find(DAY)
        find(DAY)
    assert metrics(log, "NotificationsDue") == [0, 0]
    assert metrics(log, "RunCompleted") == [1]
    assert len(metrics(log, "SecondsToReadable")) == 1
    assert queued(place) == []


def test_how_many_are_due_is_known_before_the_first_is_queued(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.define(DAY, "storm", "weather")
    monkeypatch.setenv("QUEUE_URL", place.environment["QUEUE_URL"] + "-is-not-there")
    with pytest.raises(Exception, match="NonExistentQueue"):
        find(DAY)
    assert place.run(DAY)["#run"]["due"] == {"N": "1"}


def test_a_synthetic_notification_is_queued_alone_and_leaves_the_run_alone(place: Place) -> None:
    place.define(DAY, "storm", "weather")
    with logged() as log:
        assert finder.handler(SYNTHETIC, Context()) == {"day": "2026-01-31", "queued": 1}
    assert queued(place) == [Due(DAY, "synthetic-1")]
    assert place.run(DAY) == {}
    assert [line["event"] for line in log] == ["synthetic-notification-queued"]


def test_a_queue_that_refuses_some_gets_them_again_and_one_that_always_will_is_an_error(place: Place) -> None:
    from deploy import clients

    for number in range(12):
        place.define(DAY, f"n{number:02}", "weather")
    calls: list[int] = []
    fault = [False]

    class Answered:
        status_code = 200

    def refuse_all_but_one(params: dict[str, Any], **_: Any) -> Any:
        entries = json.loads(params["body"])["Entries"]
        calls.append(len(entries))
        if len(calls) > 3:
            return None  # the queue itself answers
        failed = [{"Id": e["Id"], "SenderFault": fault[0], "Code": "Busy", "Message": "later"} for e in entries]
        return Answered(), {"Successful": [], "Failed": failed}

    events = clients.client("sqs").meta.events
    events.register("before-call.sqs.SendMessageBatch", refuse_all_but_one)
    find(DAY)
    assert len(queued(place)) == 12
    assert sorted(calls) == [2] * calls.count(2) + [10] * calls.count(10)
    assert len(calls) == 5
    calls.clear()
    fault[0] = True
    with pytest.raises(ValueError, match="the queue refuses a message: Busy later"):
        find(DAY)
