"""The notification handlers' own decisions: dates, messages, batches, pages, answers.

How they work with the services is tried on the embedded AWS.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from deploy.notification.handlers import find_daily_notifications, get_notifications, message_generator
from deploy.notification.handlers.batches import LONGEST_PAUSE, in_batches, send_until_taken
from deploy.notification.handlers.message import Due, InvalidMessageError, parse_message, write_message
from hypothesis import given
from hypothesis import strategies as st

DAY = date(2026, 1, 31)
TEXTS = {"topic": "weather", "title": "Storm", "body": "Stay in."}


@dataclass(frozen=True)
class Context:
    aws_request_id: str = "request-1"


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


class TestDay:
    @pytest.mark.parametrize(
        "event",
        [
            {"time": "2026-01-31T05:00:00Z", "source": "aws.events"},
            {"day": "2026-01-31"},
            {"day": "2026-01-31", "time": "2026-02-05T05:00:00Z"},
        ],
    )
    def test_a_schedule_and_a_person_name_the_day(self, event: dict[str, str]) -> None:
        assert find_daily_notifications.day_of(event) == DAY

    @pytest.mark.parametrize("event", [{}, {"time": ""}, {"time": "soon"}, {"day": "2026-02-30"}, {"day": 7}])
    def test_an_event_without_a_day_is_an_error_that_shows_what_to_pass(self, event: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r'"day": "2026-01-31"'):
            find_daily_notifications.day_of(event)


class TestMessage:
    @given(st.dates(), st.text(min_size=1))
    def test_what_is_written_is_read_back(self, day: date, notification: str) -> None:
        assert parse_message(write_message(Due(day, notification))) == Due(day, notification)

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "not JSON"),
            ("poison", "not JSON"),
            ("[" * 100_000, "not JSON"),
            ("[]", "not a JSON object but list"),
            ("null", "not a JSON object but NoneType"),
            ('{"day": "2026-01-31", "notification": "n"}', "schema None is not 1"),
            ('{"schema": 0, "day": "2026-01-31", "notification": "n"}', "schema 0 is not 1"),
            ('{"schema": 1, "day": "2026-01-31"}', "notification is missing"),
            ('{"schema": 1, "day": "2026-01-31", "notification": ""}', "notification is missing"),
            ('{"schema": 1, "day": "2026-02-30", "notification": "n"}', "'2026-02-30' is not a date"),
            ('{"schema": 1, "day": 20260131, "notification": "n"}', "20260131 is not a date"),
            ('{"schema": 1, "notification": "n"}', "None is not a date"),
        ],
    )
    def test_a_message_nobody_can_use_is_refused_with_the_reason(self, text: str, reason: str) -> None:
        with pytest.raises(InvalidMessageError, match=reason):
            parse_message(text)

    @given(st.text())
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        with suppress(InvalidMessageError):
            assert parse_message(text).notification


class TestBatches:
    @given(st.lists(st.integers()), st.integers(min_value=1, max_value=30))
    def test_batches_hold_every_item_once_and_in_order(self, items: list[int], size: int) -> None:
        batches = list(in_batches(items, size))
        assert [item for batch in batches for item in batch] == items
        assert all(len(batch) == size for batch in batches[:-1])
        assert all(0 < len(batch) <= size for batch in batches)

    def test_what_was_not_taken_is_sent_again_and_nothing_else(self) -> None:
        sent: list[list[int]] = []

        def take_the_first(items: Any) -> Any:
            sent.append(list(items))
            return items[1:]

        pauses: list[float] = []
        send_until_taken([1, 2, 3], take_the_first, pause=pauses.append)
        assert sent == [[1, 2, 3], [2, 3], [3]]
        assert len(pauses) == 2
        assert all(0 <= pause <= LONGEST_PAUSE for pause in pauses)

    def test_a_service_that_never_takes_them_is_an_error(self) -> None:
        with pytest.raises(TimeoutError, match="2 of 3 items were not taken after 4 attempts"):
            send_until_taken([1, 2, 3], lambda items: items[-2:], attempts=4, pause=lambda seconds: None)


def record(name: str, body: str) -> dict[str, Any]:
    return {"messageId": name, "body": body, "attributes": {"ApproximateReceiveCount": "1"}}


GOOD = write_message(Due(DAY, "storm"))


class TestProcess:
    def test_only_the_failed_messages_go_back(self, capsys: pytest.CaptureFixture[str]) -> None:
        def generate(due: Due) -> int:
            if due.notification == "throttled":
                raise TimeoutError("9 of 25 items were not taken")
            return 3

        records = [record("a", GOOD), record("b", "poison"), record("c", write_message(Due(DAY, "throttled")))]
        assert message_generator.process(records, generate, "request-1") == {
            "batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "c"}]
        }
        logged = [(line["level"], line["event"], line["message_id"]) for line in lines(capsys)]
        assert logged == [
            ("INFO", "notification-generated", "a"),
            ("ERROR", "message-invalid", "b"),
            ("ERROR", "message-failed", "c"),
        ]

    def test_a_batch_that_worked_reports_no_failure(self) -> None:
        assert message_generator.process([record("a", GOOD)], lambda due: 0, "") == {"batchItemFailures": []}

    def test_a_batch_of_which_nothing_succeeded_is_an_error_of_the_function(self) -> None:
        with pytest.raises(InvalidMessageError, match="not JSON"):
            message_generator.process([record("a", "poison"), record("b", "poison")], lambda due: 0, "")

    def test_the_handler_itself_raises_for_a_poisoned_message(self) -> None:
        with pytest.raises(InvalidMessageError, match="not JSON"):
            message_generator.handler({"Records": [record("a", "poison")]}, Context())


class TestRecord:
    def test_a_record_follows_from_message_and_subscription_alone(self) -> None:
        item = message_generator.record_of(Due(DAY, "storm"), TEXTS, "u1", timedelta(days=14))
        expires = int(datetime(2026, 2, 14, tzinfo=UTC).timestamp())
        assert item == {
            "user": {"S": "u1"},
            "day_notification": {"S": "2026-01-31#storm"},
            "day": {"S": "2026-01-31"},
            "notification": {"S": "storm"},
            "topic": {"S": "weather"},
            "title": {"S": "Storm"},
            "body": {"S": "Stay in."},
            "expires_at": {"N": str(expires)},
        }

    def test_a_definition_that_lacks_a_text_is_refused_by_name(self) -> None:
        item = {"topic": {"S": "weather"}, "title": {"S": ""}, "body": {"N": "1"}}
        with pytest.raises(InvalidMessageError, match="'storm' on 2026-01-31 has no title, body"):
            message_generator.texts_of(Due(DAY, "storm"), item)

    def test_a_definition_that_is_gone_is_refused(self) -> None:
        with pytest.raises(InvalidMessageError, match="has no topic, title, body"):
            message_generator.texts_of(Due(DAY, "storm"), {})


def request(user: Any = "u1", **query: str) -> dict[str, Any]:
    return {"pathParameters": {"user": user}, "queryStringParameters": query or None}


class TestRequest:
    def test_without_a_query_the_first_page_is_meant(self) -> None:
        assert get_notifications.parse_request(request()) == get_notifications.Request("u1", 20, None)

    @given(st.dates(), st.text(min_size=1, max_size=200))
    def test_a_cursor_is_read_back_and_fits_into_a_query_string(self, day: date, notification: str) -> None:
        after = f"{day.isoformat()}#{notification}"
        cursor = get_notifications.write_cursor(after)
        assert cursor.replace("-", "").replace("_", "").isalnum()
        assert get_notifications.parse_cursor(cursor) == after

    @pytest.mark.parametrize("limit", ["1", "20", "100", "007"])
    def test_limits_in_range_are_taken(self, limit: str) -> None:
        assert get_notifications.parse_request(request(limit=limit)).limit == int(limit)

    @pytest.mark.parametrize("limit", ["0", "101", "-1", "1.5", "", "ten", "٣", "1e1", " 5", "9" * 5000])
    def test_other_limits_are_the_callers_mistake(self, limit: str) -> None:
        answer = get_notifications.handler(request(limit=limit), Context())
        assert answer["statusCode"] == 400
        assert json.loads(answer["body"]) == {"error": "limit must be a whole number from 1 to 100"}

    @pytest.mark.parametrize("cursor", ["", "x", "!!!!", "AAAA", "MjAyNi0wMS0zMSM", "_w", "é", "2026-01-31#n"])
    def test_other_cursors_are_the_callers_mistake(self, cursor: str) -> None:
        answer = get_notifications.handler(request(cursor=cursor), Context())
        assert answer["statusCode"] == 400
        assert json.loads(answer["body"]) == {"error": "cursor is not one that this API gave out"}

    @pytest.mark.parametrize("user", ["", "u" * 257, "a\x00b", "\ud800", None, 7])
    def test_a_user_that_cannot_be_is_the_callers_mistake(self, user: Any) -> None:
        assert get_notifications.handler(request(user), Context())["statusCode"] == 400

    def test_a_path_without_a_user_is_the_callers_mistake(self) -> None:
        assert get_notifications.handler({}, Context())["statusCode"] == 400

    @given(st.text(), st.text(), st.text())
    def test_any_text_is_a_request_or_a_bad_request(self, user: str, limit: str, cursor: str) -> None:
        event = request(user, limit=limit, cursor=cursor)
        with suppress(get_notifications.BadRequestError):
            parsed = get_notifications.parse_request(event)
            assert parsed.user == user
            assert 1 <= parsed.limit <= 100


class TestFailure:
    def test_a_fault_of_ours_is_a_500_in_json_and_its_cause_is_in_the_log_only(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("NOTIFICATIONS_TABLE", raising=False)
        answer = get_notifications.handler(request(), Context())
        assert answer["statusCode"] == 500
        assert answer["headers"]["Content-Type"] == "application/json"
        assert json.loads(answer["body"]) == {"error": "internal error", "request_id": "request-1"}
        (line,) = lines(capsys)
        assert (line["level"], line["event"], line["error"]) == ("ERROR", "request-failed", "KeyError")
        assert "NOTIFICATIONS_TABLE" in line["traceback"]
