"""GetNotifications: who may read what, pages, cursors, days, and what a caller is told when he asks wrongly."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from deploy.notification.handlers import get_notifications, request
from deploy.notification.handlers.request import BadRequestError, ForbiddenError, Request, parse_request, write_cursor
from hypothesis import given
from hypothesis import strategies as st
from notification_tools import Context, Place, logged

SESSIONS = "arn:aws:sts::111122223333:assumed-role/dev-UserRole-1X/"
TODAY = datetime.now(UTC).date()
WRONG_CURSOR = "cursor is not one that this API gave out for this user, since and until"


@pytest.fixture(autouse=True, scope="module")
def signed() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("API_AUTHORIZATION", "AWS_IAM")
        patch.setenv("USER_SESSIONS", SESSIONS)
        yield


def iam(arn: str) -> dict[str, Any]:
    """``requestContext.authorizer`` of a signed call, as API Gateway documents it."""
    caller = {"accessKey": "ASIA", "accountId": "111122223333", "callerId": "AROA:u1", "cognitoIdentity": None}
    return {"iam": {**caller, "principalOrgId": None, "userArn": arn, "userId": "AROA:u1"}}


def event(user: Any = "u1", authorizer: Any = None, **query: str) -> dict[str, Any]:
    return {
        "version": "2.0",
        "routeKey": "GET /users/{user}/notifications",
        "pathParameters": {"user": user},
        **({"queryStringParameters": query} if query else {}),
        "requestContext": {
            "http": {"method": "GET"},
            "authorizer": iam(f"{SESSIONS}{user}") if authorizer is None else authorizer,
        },
    }


def answer(*arguments: Any, **query: str) -> tuple[int, dict[str, Any]]:
    with logged():
        found = get_notifications.handler(event(*arguments, **query), Context())
    assert found["headers"] == {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return found["statusCode"], json.loads(found["body"])


class TestCaller:
    def test_a_user_may_read_his_own(self) -> None:
        assert parse_request(event("u1")) == Request("u1")

    @pytest.mark.parametrize(
        "authorizer",
        [
            iam(f"{SESSIONS}u2"),
            iam(SESSIONS),
            iam("arn:aws:sts::111122223333:assumed-role/dev-UserRole-1X-other/u1"),
            iam("arn:aws:sts::444455556666:assumed-role/dev-UserRole-1X/u1"),
            iam("arn:aws:sts::111122223333:assumed-role/Administrator/u1"),
            iam("arn:aws:iam::111122223333:user/u1"),
            iam("arn:aws:iam::111122223333:root"),
            {"jwt": {"claims": {"sub": "u1"}, "scopes": None}},
            {},
            {"iam": None},
        ],
    )
    def test_everybody_else_may_not(self, authorizer: Any) -> None:
        assert answer("u1", authorizer) == (403, {"error": "these notifications are another user's"})

    def test_nobody_may_when_no_authorizer_looked(self) -> None:
        with logged() as log:
            assert get_notifications.handler({"pathParameters": {"user": "u1"}}, Context())["statusCode"] == 403
        assert [(line["level"], line["event"]) for line in log] == [("WARN", "forbidden")]

    def test_the_log_says_who_asked_for_whom(self) -> None:
        with logged() as log:
            get_notifications.handler(event("u1", iam(f"{SESSIONS}u2")), Context())
        assert log[0]["reason"] == "'u2' asked for the notifications of 'u1'"

    def test_another_users_data_is_refused_before_anything_else_is_looked_at(self) -> None:
        assert answer("u1", iam(f"{SESSIONS}u2"), limit="x")[0] == 403

    def test_a_token_says_who_by_its_subject(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("API_AUTHORIZATION", "JWT")
        monkeypatch.setenv("USER_SESSIONS", "")
        token = {"jwt": {"claims": {"sub": "u1", "iss": "https://issuer.example"}, "scopes": ["notifications"]}}
        assert parse_request(event("u1", token)) == Request("u1")
        for user, other in (("u2", token), ("u1", iam(f"{SESSIONS}u1")), ("None", {"jwt": {"claims": {}}}), ("", {})):
            with pytest.raises((ForbiddenError, BadRequestError)):
                parse_request(event(user, other))

    def test_without_a_role_for_users_no_signed_call_is_a_users(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("USER_SESSIONS", "")
        assert answer("u1", iam("u1"))[0] == 403

    @given(st.text(), st.text() | st.sampled_from(["u1", "u2"]).map(SESSIONS.__add__))
    def test_whoever_the_caller_is_he_reads_only_what_bears_his_name(self, user: str, arn: str) -> None:
        with suppress(BadRequestError, ForbiddenError):
            assert f"{SESSIONS}{parse_request(event(user, iam(arn))).user}" == arn


DAYS = st.none() | st.dates()


class TestRequest:
    @given(DAYS, DAYS, st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200), st.data())
    def test_a_cursor_is_read_back_and_fits_into_a_query_string(
        self, since: date | None, until: date | None, notification: str, data: st.DataObject
    ) -> None:
        since, until = (until, since) if since and until and since > until else (since, until)
        day = data.draw(st.dates(since or date.min, until or date.max))
        asked = Request("u1", 20, since, until)
        cursor = write_cursor(asked, f"{day}#{notification}")
        assert cursor.replace("-", "").replace("_", "").isalnum()
        query = {name: str(value) for name, value in (("since", since), ("until", until)) if value}
        assert parse_request(event(cursor=cursor, **query)) == replace(asked, after=f"{day}#{notification}")

    def test_a_cursor_of_another_user_or_of_other_days_is_refused(self) -> None:
        key = "2026-01-31#storm"
        mine = Request("u1", 20, date(2026, 1, 1), date(2026, 2, 1))
        good = write_cursor(mine, key)
        assert answer(since="2026-01-01", until="2026-02-01", cursor="x")[0] == 400
        for query in (
            {"since": "2026-01-02", "until": "2026-02-01", "cursor": good},
            {"since": "2026-01-01", "cursor": good},
            {"cursor": good},
            {"since": "2026-01-01", "until": "2026-02-01", "cursor": write_cursor(replace(mine, user="u2"), key)},
            {"since": "2026-01-01", "until": "2026-02-01", "cursor": write_cursor(mine, "2025-12-31#storm")},
            {"since": "2026-01-01", "until": "2026-02-01", "cursor": write_cursor(mine, "2026-02-02#storm")},
        ):
            assert answer(**query) == (400, {"error": WRONG_CURSOR})

    def test_the_page_size_may_change_between_pages(self) -> None:
        cursor = write_cursor(Request("u1", 20), "2026-01-31#storm")
        assert parse_request(event(cursor=cursor, limit="5")) == Request("u1", 5, after="2026-01-31#storm")

    @given(st.binary(max_size=60), st.integers(0, 59), st.integers(1, 255))
    def test_a_changed_cursor_is_refused(self, name: bytes, place: int, change: int) -> None:
        good = bytearray(write_cursor(Request("u1"), f"2026-01-31#{name.hex()}x").encode())
        good[place % len(good)] = (good[place % len(good)] + change) % 256
        original = write_cursor(Request("u1"), f"2026-01-31#{name.hex()}x")
        with suppress(BadRequestError):
            # The last character has bits that mean nothing; whatever is still taken means the same.
            parsed = request.parse_cursor(good.decode("latin-1"), Request("u1"))
            assert parsed == request.parse_cursor(original, Request("u1"))

    @pytest.mark.parametrize(
        "cursor", ["", "x", "!!!!", "AAAA", "MjAyNi0wMS0zMSM", "_w", "é", "2026-01-31#n", "A" * 9000]
    )
    def test_other_cursors_are_the_callers_mistake(self, cursor: str) -> None:
        assert answer(cursor=cursor) == (400, {"error": WRONG_CURSOR})

    @pytest.mark.parametrize("limit", ["1", "20", "100", "007"])
    def test_limits_in_range_are_taken(self, limit: str) -> None:
        assert parse_request(event(limit=limit)).limit == int(limit)

    @pytest.mark.parametrize("limit", ["0", "101", "-1", "1.5", "", "ten", "٣", "1e1", " 5", "5,6", "9" * 5000])
    def test_other_limits_are_the_callers_mistake(self, limit: str) -> None:
        assert answer(limit=limit) == (400, {"error": "limit must be a whole number from 1 to 100"})

    @pytest.mark.parametrize("name", ["since", "until"])
    @pytest.mark.parametrize("day", ["", "yesterday", "2026-02-30", "20260131", "2026-1-1", "2026-01-31T00:00:00Z"])
    def test_other_days_are_the_callers_mistake(self, name: str, day: str) -> None:
        assert answer(**{name: day}) == (400, {"error": f"{name}: {day!r} is not a date like 2026-01-31"})

    def test_days_in_the_wrong_order_are_the_callers_mistake(self) -> None:
        assert answer(since="2026-02-01", until="2026-01-31") == (
            400,
            {"error": "since (2026-02-01) is later than until (2026-01-31)"},
        )

    @pytest.mark.parametrize("name", ["sinse", "Since", "", "limit ", "☂" * 200])
    def test_a_parameter_that_is_not_there_is_not_taken_for_granted(self, name: str) -> None:
        """Whoever misspells one would take what he gets for what he asked for."""
        said = f"unknown parameter {name[:60]!r}; there are cursor, limit, since, until"
        assert answer(**{"limit": "5", name: "2026-01-31"}) == (400, {"error": said})

    @pytest.mark.parametrize("user", ["", "u" * 257, "a\x00b", "\ud800", None, 7])
    def test_a_user_that_cannot_be_is_the_callers_mistake(self, user: Any) -> None:
        assert answer(user)[0] == 400

    def test_a_path_without_a_user_is_the_callers_mistake(self) -> None:
        with logged() as log:
            assert get_notifications.handler({}, Context())["statusCode"] == 400
        assert [(line["level"], line["event"]) for line in log] == [("WARN", "bad-request")]

    @given(st.text(), st.dictionaries(st.sampled_from(["limit", "since", "until", "cursor", "other"]), st.text()))
    def test_any_text_is_a_request_or_a_bad_request(self, user: str, query: dict[str, str]) -> None:
        with suppress(BadRequestError, ForbiddenError):
            parsed = parse_request(event(user, **query))
            assert parsed.user == user
            assert 1 <= parsed.limit <= 100


def fill(place: Place, user: str, days: Sequence[date], names: tuple[str, ...] = ("a", "b ☂")) -> list[tuple[str, str]]:
    """Store notifications; what is expected of them, newest first."""
    expires_at = int(datetime.now(UTC).timestamp()) + 3600
    for day in days:
        for name in names:
            texts = {"user": user, "day_notification": f"{day}#{name}", "day": f"{day}", "notification": name}
            texts |= {"topic": "weather", "title": "Storm", "body": "Stay in."}
            item: dict[str, Any] = {key: {"S": text} for key, text in texts.items()}
            item["expires_at"] = {"N": str(expires_at if day >= TODAY - timedelta(days=90) else 1)}
            place.dynamodb.put_item(TableName=place.environment["NOTIFICATIONS_TABLE"], Item=item)
    return [(str(day), name) for day in sorted(days, reverse=True) for name in sorted(names, reverse=True)]


def pages(**query: str) -> tuple[list[tuple[str, str]], int]:
    """All notifications that following the cursor shows, and in how many pages."""
    found, cursor, count = [], None, 0
    while count == 0 or cursor is not None:
        status, body = answer("u1", **query, **({} if cursor is None else {"cursor": cursor}))
        assert status == 200, body
        found += [(each["day"], each["notification"]) for each in body["notifications"]]
        assert len(body["notifications"]) <= int(query.get("limit", 20))
        cursor, count = body["cursor"], count + 1
    return found, count


class TestPages:
    DAYS = tuple(TODAY - timedelta(days=number) for number in range(12))

    def test_newest_first_and_every_page_size_shows_all_once(self, place: Place) -> None:
        stored = fill(place, "u1", self.DAYS)
        fill(place, "u2", self.DAYS)
        for limit, least in (("1", 24), ("7", 4), ("24", 1), ("100", 1)):
            found, count = pages(limit=limit)
            assert found == stored
            assert count in (least, least + 1)

    def test_a_notification_looks_as_documented(self, place: Place) -> None:
        fill(place, "u1", self.DAYS[:1], ("storm",))
        assert answer("u1") == (
            200,
            {
                "notifications": [
                    {
                        "day": f"{TODAY}",
                        "notification": "storm",
                        "topic": "weather",
                        "title": "Storm",
                        "body": "Stay in.",
                    }
                ],
                "cursor": None,
            },
        )

    def test_days_bound_what_is_shown_both_included(self, place: Place) -> None:
        stored = fill(place, "u1", self.DAYS)
        for first, last in ((3, 3), (2, 5), (0, 11)):
            since, until = str(self.DAYS[last]), str(self.DAYS[first])
            inside = [each for each in stored if since <= each[0] <= until]
            for limit in ("1", "3", "100"):
                assert pages(since=since, until=until, limit=limit)[0] == inside
        assert pages(since=str(self.DAYS[4]))[0] == [each for each in stored if each[0] >= str(self.DAYS[4])]
        assert pages(until=str(self.DAYS[4]))[0] == [each for each in stored if each[0] <= str(self.DAYS[4])]

    def test_a_user_without_notifications_has_an_empty_page(self, place: Place) -> None:
        assert answer("nobody") == (200, {"notifications": [], "cursor": None})

    def test_what_has_expired_is_not_shown_even_before_the_table_deletes_it(self, place: Place) -> None:
        stored = fill(place, "u1", [TODAY, TODAY - timedelta(days=91)])
        assert pages(limit="1")[0] == [each for each in stored if each[0] == str(TODAY)]


class TestFailure:
    def test_a_fault_of_ours_is_a_500_in_json_and_its_cause_is_in_the_log_only(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        monkeypatch.delenv("NOTIFICATIONS_TABLE", raising=False)
        with logged() as log:
            found = get_notifications.handler(event(), Context())
        assert found["statusCode"] == 500
        assert json.loads(found["body"]) == {"error": "internal error", "request_id": "request-1"}
        (line,) = log
        assert (line["level"], line["event"], line["error"]) == ("ERROR", "request-failed", "KeyError")
        assert "NOTIFICATIONS_TABLE" in line["traceback"]
