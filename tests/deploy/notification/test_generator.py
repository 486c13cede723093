"""MessageGenerator: records, batches of messages, going on in further messages, and when a day counts as completed."""

from __future__ import annotations

import json
import threading
import time
from datetime import date, timedelta
from typing import Any

import pytest
from deploy.notification.handlers import batches, message_generator, records, runs
from deploy.notification.handlers.message import Due, InvalidMessageError, parse_message, write_message
from deploy.notification.handlers.records import LONGEST_TEXTS
from notification_tools import DAY, Context, Place, expected, find, logged, metrics, set_clock

from deploy import clients

USERS = [f"user-{number:03}" for number in range(60)]


def record(name: str, body: str) -> dict[str, Any]:
    return {"messageId": name, "body": body, "attributes": {"ApproximateReceiveCount": "1"}}


def generate(*bodies: str, context: Context | None = None) -> Any:
    event = {"Records": [record(f"m{index}", body) for index, body in enumerate(bodies)]}
    return message_generator.handler(event, context or Context())


class TestRecords:
    def test_every_subscriber_gets_the_record_and_nobody_else(self, place: Place) -> None:
        place.define(DAY, "storm", "weather")
        place.subscribe("weather", USERS)
        place.subscribe("sport", ["other"])
        assert generate(write_message(Due(DAY, "storm"))) == {"batchItemFailures": []}
        assert place.rows([*USERS, "other"], DAY) == {
            (user, "storm"): expected(DAY, "storm", "weather", user) for user in USERS
        }

    def test_a_topic_without_subscribers_is_done_all_the_same(self, place: Place) -> None:
        place.define(DAY, "storm", "weather")
        find(DAY)
        with logged() as log:
            place.drain()
        assert metrics(log, "NotificationsGenerated") == [1]
        assert metrics(log, "UsersReached") == [0]
        assert metrics(log, "RunCompleted") == [1]

    @pytest.mark.parametrize(
        ("item", "reason"),
        [
            (None, "there is no definition of 'storm' on 2026-01-31"),
            ({}, "has no topic, title, body"),
            ({"topic": {"S": "weather"}, "title": {"S": ""}, "body": {"N": "1"}}, "has no title, body"),
            (
                {"topic": {"S": "t"}, "title": {"S": "t"}, "body": {"S": "☂" * (LONGEST_TEXTS // 3)}},
                f"have {LONGEST_TEXTS + 2} bytes; a record takes {LONGEST_TEXTS}",
            ),
        ],
    )
    def test_a_definition_of_which_no_record_can_be_made_is_refused(self, item: Any, reason: str) -> None:
        with pytest.raises(InvalidMessageError, match=reason):
            records.texts_of(Due(DAY, "storm"), item)

    def test_the_largest_texts_and_longest_keys_still_make_a_record(self, place: Place) -> None:
        notification, user = "n" * 1013, "u" * 1024
        texts = {"topic": "t" * 1000, "title": "t" * 1000, "body": "b" * (LONGEST_TEXTS - 2000)}
        place.put("Definitions", day=DAY.isoformat(), notification=notification, **texts)
        place.subscribe("t" * 1000, [user])
        generate(write_message(Due(DAY, notification)))
        assert len(place.rows([user], DAY)) == 1

    def test_what_the_table_did_not_take_is_written_again(self, place: Place) -> None:
        place.define(DAY, "storm", "weather")
        place.subscribe("weather", USERS)
        written: list[int] = []

        class Answered:
            status_code = 200

        def leave_some(params: dict[str, Any], **_: Any) -> Any:
            ((table, requests),) = json.loads(params["body"])["RequestItems"].items()
            written.append(len(requests))
            if len(written) > 3:
                return None  # the table itself answers
            # Not one of them is written, and the answer says so.
            return Answered(), {"UnprocessedItems": {table: deserialized(requests)}}

        clients.client("dynamodb").meta.events.register("before-call.dynamodb.BatchWriteItem", leave_some)
        generate(write_message(Due(DAY, "storm")))
        assert len(place.rows(USERS, DAY)) == 60
        # The first three calls wrote nothing, whichever parts those were.
        assert len(written) == 6
        assert set(written) == {10, 25}


def deserialized(requests: list[Any]) -> list[Any]:
    """As botocore gives them; these have no binary values, so nothing is to be done."""
    return requests


class TestMessages:
    def test_only_the_failed_messages_go_back_and_the_reason_is_logged(self, place: Place) -> None:
        place.define(DAY, "storm", "weather")
        place.put("Definitions", day=DAY.isoformat(), notification="hollow", topic="weather")
        newer = json.dumps({"schema": 3, "day": "2026-01-31", "notification": "storm"})
        with logged() as log:
            answer = generate(
                write_message(Due(DAY, "storm")),
                "poison",
                write_message(Due(DAY, "hollow")),
                newer,
                write_message(Due(DAY, "gone")),
                '{"schema": 1, "day": "2026-01-31", "notification": "storm"}',
            )
        assert answer == {"batchItemFailures": [{"itemIdentifier": f"m{index}"} for index in (1, 2, 3, 4)]}
        refused = {line["message_id"]: line["reason"] for line in log if line["level"] == "ERROR"}
        assert refused == {
            "m1": "not JSON: Expecting value: line 1 column 1 (char 0)",
            "m2": "the definition of 'hollow' on 2026-01-31 has no title, body",
            "m3": "schema 3 is not one of (1, 2); it was written by a newer version: deploy that, then redrive",
            "m4": "there is no definition of 'gone' on 2026-01-31",
        }

    def test_a_batch_of_which_nothing_worked_fails_itself(self, place: Place) -> None:
        with logged(), pytest.raises(InvalidMessageError, match="not JSON"):
            generate("poison", "more poison")

    def test_a_fault_of_a_service_is_told_from_a_bad_message(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DEFINITIONS_TABLE", "is-not-there")
        with logged() as log, pytest.raises(Exception, match="ResourceNotFound"):
            generate(write_message(Due(DAY, "storm")))
        assert [line["event"] for line in log] == ["message-failed"]

    def test_messages_for_which_no_time_is_left_are_queued_again_instead_of_failing(self, place: Place) -> None:
        for name in ("a", "b", "c"):
            place.define(DAY, name, "weather")
        # Asked once for the length of the invocation, and then before each message but the first.
        place.subscribe("weather", USERS[:3])
        with logged() as log:
            answer = generate(
                write_message(Due(DAY, "a")),
                write_message(Due(DAY, "b", "user-001")),
                "poison",
                write_message(Due(DAY, "c")),
                context=Context(remaining=[60_000, 10]),
            )
        assert answer == {"batchItemFailures": [{"itemIdentifier": "m2"}]}
        assert [line["event"] for line in log if line.get("level") == "INFO"] == [
            "notification-generated",
            "message-postponed",
            "message-postponed",
        ]
        assert [parse_message(each["body"]) for each in place.receive()] == [Due(DAY, "b", "user-001"), Due(DAY, "c")]


class TestGoingOn:
    def test_when_time_is_short_the_rest_follows_in_another_message(self, place: Place) -> None:
        place.define(DAY, "storm", "weather")
        place.subscribe("weather", USERS)
        find(DAY)
        with logged() as log:
            invocations = place.drain(lambda: Context(remaining=[60_000, 10]))  # short from the first batch on
        assert invocations == 3
        assert place.rows(USERS, DAY) == {(user, "storm"): expected(DAY, "storm", "weather", user) for user in USERS}
        assert metrics(log, "UsersReached") == [25, 25, 10]
        assert metrics(log, "NotificationsGenerated") == [0, 0, 1]
        assert metrics(log, "RunCompleted") == [1]

    def test_time_that_ends_just_with_the_last_user_costs_one_empty_message(self, place: Place) -> None:
        place.define(DAY, "storm", "weather")
        place.subscribe("weather", USERS[:25])
        find(DAY)
        with logged() as log:
            assert place.drain(lambda: Context(remaining=[60_000, 10])) == 2
        assert metrics(log, "UsersReached") == [25, 0]
        assert metrics(log, "NotificationsGenerated") == [0, 1]

    def test_it_goes_on_after_a_user_who_left_meanwhile(self, place: Place) -> None:
        place.define(DAY, "storm", "weather")
        place.subscribe("weather", USERS[:20])
        generate(write_message(Due(DAY, "storm", "user-009-who-left")))
        assert sorted(user for user, _ in place.rows(USERS, DAY)) == USERS[10:20]

    def test_subscriptions_are_read_page_by_page(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(message_generator, "PAGE", 7)
        place.define(DAY, "storm", "weather")
        place.subscribe("weather", USERS)
        generate(write_message(Due(DAY, "storm")))
        assert len(place.rows(USERS, DAY)) == 60

    def test_a_quarter_of_the_time_but_not_more_than_is_needed_is_kept_for_the_rest(self, place: Place) -> None:
        place.define(DAY, "storm", "weather")
        place.subscribe("weather", USERS)
        for whole, left, goes_on in (
            (1000, 250, False),
            (1000, 249, True),
            (900_000, 15_000, False),
            (900_000, 14_999, True),
        ):
            generate(write_message(Due(DAY, "storm")), context=Context(remaining=[whole, left]))
            place.dynamodb.delete_item(
                TableName=place.environment["RUNS_TABLE"],
                Key={"day": {"S": DAY.isoformat()}, "item": {"S": "done#storm"}},
            )
            assert [each["receiptHandle"] for each in place.receive()] != [] if goes_on else place.receive() == []


class TestRun:
    def test_a_day_is_completed_when_the_last_of_its_notifications_is_done(self, place: Place) -> None:
        for name in ("a", "b", "c"):
            place.define(DAY, name, "weather")
        place.subscribe("weather", USERS[:3])
        find(DAY)
        completed = []
        with logged() as log:
            for message in place.receive():
                message_generator.handler({"Records": [message]}, Context())
                completed.append(place.run(DAY)["#run"].get("announced"))
        assert completed == [None, None, {"N": "3"}]
        assert metrics(log, "RunCompleted") == [1]
        (seconds,) = metrics(log, "SecondsToReadable")
        assert 0 <= seconds < 300
        run = place.run(DAY)
        assert sorted(run) == ["#run", "done#a", "done#b", "done#c"]
        assert (run["#run"]["due"], run["#run"]["done"]) == ({"N": "3"}, {"N": "3"})
        assert {item["expires_at"]["N"] for item in run.values()} == {
            expected(DAY, "a", "weather", "u")["expires_at"]["N"]
        }

    def test_doubled_messages_and_runs_count_once_and_write_the_same(self, place: Place) -> None:
        place.define(DAY, "storm", "weather")
        place.subscribe("weather", USERS[:3])
        with logged() as log:
            for _ in range(2):
                find(DAY)
                body = write_message(Due(DAY, "storm"))
                generate(body, body)
            place.drain()
        assert metrics(log, "NotificationsGenerated") == [1]
        assert metrics(log, "UsersReached") == [3]
        assert metrics(log, "RunCompleted") == [1]
        assert place.run(DAY)["#run"]["done"] == {"N": "1"}

    def test_a_completion_that_was_not_published_is_by_whoever_comes_next_with_the_same_duration(
        self, place: Place
    ) -> None:
        place.define(DAY, "storm", "weather")
        find(DAY)
        runs.mark_done(Due(DAY, "storm"))
        with logged() as first:
            assert runs.announce(DAY)
        # As if the function had ended between publishing and noting it.
        place.dynamodb.update_item(
            TableName=place.environment["RUNS_TABLE"],
            Key={"day": {"S": DAY.isoformat()}, "item": {"S": "#run"}},
            UpdateExpression="REMOVE announced",
        )
        time.sleep(0.01)  # so that a moment taken anew would differ
        with logged() as second:
            place.drain()
        assert metrics(second, "RunCompleted") == [1]
        assert metrics(second, "SecondsToReadable") == metrics(first, "SecondsToReadable")

    def test_a_notification_added_to_a_completed_day_completes_it_again_with_the_next_run(self, place: Place) -> None:
        place.define(DAY, "a", "weather")
        with logged() as log:
            find(DAY)
            place.drain()
            place.define(DAY, "b", "weather")
            find(DAY)
            place.drain()
        assert metrics(log, "RunCompleted") == [1, 1]
        assert place.run(DAY)["#run"]["done"] == {"N": "2"}

    def test_a_notification_taken_back_after_the_run_began_does_not_keep_the_next_run_from_completing(
        self, place: Place
    ) -> None:
        place.define(DAY, "a", "weather")
        place.define(DAY, "b", "weather")
        find(DAY)
        key = {"day": {"S": DAY.isoformat()}, "notification": {"S": "b"}}
        place.dynamodb.delete_item(TableName=place.environment["DEFINITIONS_TABLE"], Key=key)
        with logged() as log:
            for message in place.receive():
                name = parse_message(message["body"]).notification
                if name == "a":
                    message_generator.handler({"Records": [message]}, Context())
                place.delete(message)
            assert metrics(log, "RunCompleted") == []
            find(DAY)
            place.drain()
        assert metrics(log, "RunCompleted") == [1]

    def test_a_message_before_its_run_is_done_and_counted_but_completes_nothing_yet(self, place: Place) -> None:
        place.define(DAY, "storm", "weather")
        with logged() as log:
            generate('{"schema": 1, "day": "2026-01-31", "notification": "storm"}')
            assert metrics(log, "RunCompleted") == []
            find(DAY)
            place.drain()
        assert metrics(log, "RunCompleted") == [1]

    def test_a_synthetic_notification_is_written_but_no_part_of_the_run_and_of_no_metric(self, place: Place) -> None:
        place.define(DAY, "synthetic-1", "weather")
        place.subscribe("weather", USERS[:3])
        with logged() as log:
            generate(write_message(Due(DAY, "synthetic-1")))
        assert len(place.rows(USERS[:3], DAY)) == 3
        assert place.run(DAY) == {}
        assert not any("_aws" in line for line in log)

    def test_a_synthetic_notification_that_was_taken_back_is_no_failure(self, place: Place) -> None:
        with logged() as log:
            assert generate(write_message(Due(DAY, "synthetic-1"))) == {"batchItemFailures": []}
        assert [line["event"] for line in log] == ["synthetic-notification-withdrawn"]

    def test_two_transactions_at_once_on_the_counter_are_tried_again(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place.define(DAY, "storm", "weather")
        refusals = [0]

        class Refused:
            status_code = 400

        def refuse_twice(**_: Any) -> Any:
            refusals[0] += 1
            if refusals[0] > 2:
                return None
            return Refused(), {
                "Error": {"Code": "TransactionCanceledException", "Message": "cancelled"},
                "CancellationReasons": [{"Code": "None"}, {"Code": "TransactionConflict"}],
            }

        events = clients.client("dynamodb").meta.events
        events.register("before-call.dynamodb.TransactWriteItems", refuse_twice)
        assert runs.mark_done(Due(DAY, "storm"))
        assert refusals == [3]
        refusals[0] = -100
        monkeypatch.setattr(batches, "FIRST_PAUSE", 0.0001)
        with pytest.raises(Exception, match="cancelled"):
            runs.mark_done(Due(DAY, "storm"))

    def test_many_at_once_count_each_once_and_complete_the_day(self, place: Place) -> None:
        names = [f"n{number}" for number in range(8)]
        for name in names:
            place.define(DAY, name, "weather")
        place.subscribe("weather", USERS)
        find(DAY)
        bodies = [write_message(Due(DAY, name)) for name in names for _ in range(2)]
        threads = [threading.Thread(target=generate, args=(body,)) for body in bodies]
        with logged() as log:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert place.run(DAY)["#run"]["done"] == {"N": "8"}
        assert sum(metrics(log, "NotificationsGenerated")) == 8
        assert metrics(log, "RunCompleted")
        assert len(place.rows(USERS, DAY)) == 8 * 60


class TestInTime:
    @pytest.mark.parametrize(("clock", "in_time"), [("06:29", 3), ("06:31", 0), ("23:50", 0)])
    def test_records_are_counted_by_the_time_they_were_to_be_readable(
        self, place: Place, monkeypatch: pytest.MonkeyPatch, clock: str, in_time: int
    ) -> None:
        set_clock(monkeypatch, DAY, clock)
        place.define(DAY, "storm", "weather")
        place.subscribe("weather", USERS[:3])
        with logged() as log:
            generate(write_message(Due(DAY, "storm")))
        assert metrics(log, "RecordsOnTime") == [in_time]
        assert metrics(log, "RecordsLate") == [3 - in_time]

    @pytest.mark.parametrize("other", [DAY - timedelta(days=1), DAY - timedelta(days=40), DAY + timedelta(days=1)])
    def test_records_of_another_day_are_neither_in_time_nor_late(self, place: Place, other: date) -> None:
        place.define(other, "storm", "weather")
        place.subscribe("weather", USERS[:3])
        with logged() as log:
            generate(write_message(Due(other, "storm")))
        assert metrics(log, "UsersReached") == [3]
        assert metrics(log, "RecordsOnTime") == metrics(log, "RecordsLate") == []


class TestOtherDays:
    """RunCompleted stands for "today is done": another day's completion must not stand in for today's."""

    def complete(self, place: Place, day: date) -> list[dict[str, Any]]:
        with logged() as log:
            find(day)
            place.drain()
        return log

    @pytest.mark.parametrize("due", [0, 1])
    def test_a_day_mended_later_is_logged_and_not_counted(self, place: Place, due: int) -> None:
        yesterday = DAY - timedelta(days=1)
        for number in range(due):
            place.define(yesterday, f"n{number}", "weather")
        log = self.complete(place, yesterday)
        assert metrics(log, "RunCompleted") == metrics(log, "SecondsToReadable") == []
        assert [line["day"] for line in log if line.get("event") == "run-of-another-day-completed"] == ["2026-01-30"]
        assert place.run(yesterday)["#run"]["announced"] == {"N": str(due)}
        assert [line["event"] for line in self.complete(place, yesterday) if "complete" in line["event"]] == []

    def test_a_day_mended_by_hand_in_its_evening_counts(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        set_clock(monkeypatch, DAY, "20:00")
        place.define(DAY, "storm", "weather")
        assert metrics(self.complete(place, DAY), "RunCompleted") == [1]

    @pytest.mark.parametrize("due", [0, 1])
    def test_a_day_run_ahead_of_its_time_counts_with_its_own_run(
        self, place: Place, monkeypatch: pytest.MonkeyPatch, due: int
    ) -> None:
        tomorrow = DAY + timedelta(days=1)
        for number in range(due):
            place.define(tomorrow, f"n{number}", "weather")
        assert metrics(self.complete(place, tomorrow), "RunCompleted") == []
        set_clock(monkeypatch, tomorrow, "04:30")
        assert metrics(self.complete(place, tomorrow), "RunCompleted") == [1]
        assert place.run(tomorrow)["#run"]["due"] == {"N": str(due)}

    def test_a_run_that_crosses_midnight_is_of_the_day_it_ended_on(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place.define(DAY, "storm", "weather")
        set_clock(monkeypatch, DAY, "23:59")
        find(DAY)
        set_clock(monkeypatch, DAY + timedelta(days=1), "00:01")
        with logged() as log:
            place.drain()
        assert metrics(log, "RunCompleted") == []
