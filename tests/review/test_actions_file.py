"""review/actions.toml: what it holds, what is overdue, and what is wrong with it in one line."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from tests.review.reference_tables import utc

from tocsin.errors import InputError
from tocsin.review import actions
from tocsin.review.actions import due_in, read_actions
from tocsin.review.pack import ActionItem

VIENNA = ZoneInfo("Europe/Vienna")
GOOD = """
[retries]
what = "Give retries a budget of their own"
owner = "payments"
due = 2026-10-31
decided = "2026-09"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "actions.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_documented_example_can_be_read(tmp_path: Path) -> None:
    shown = (actions.__doc__ or "").split("\n\n")[1]
    example = "\n".join(line.strip() for line in shown.splitlines())
    (item,) = read_actions(written(tmp_path, example))
    assert item == ActionItem(
        key="retry-budget",
        what="Give the checkout's retries a budget of their own",
        owner="payments",
        due=date(2026, 11, 15),
        decided="2026-10",
        system="checkout",
        slo="api-availability",
        done=date(2026, 11, 12),
    )
    assert set(tomllib.loads(example)["retry-budget"]) == {*actions._KEYS}


def test_no_file_is_no_actions(tmp_path: Path) -> None:
    assert read_actions(tmp_path / "actions.toml") == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + 'onwer = "x"\n', "actions.toml: retries: unknown key 'onwer'; did you mean 'owner'?"),
        (
            GOOD.replace("2026-10-31", '"soon"'),
            "actions.toml: retries: due must be a date such as 2026-11-15, without quotes, got 'soon'",
        ),
        (GOOD.replace("2026-10-31", "2026-10-31T10:00:00"), "actions.toml: retries: due must be a date such as"),
        (GOOD.replace("2026-10-31", "2026-02-30"), "actions.toml: not TOML: "),
        (GOOD.replace('owner = "payments"', ""), "actions.toml: retries: owner is missing"),
        (GOOD.replace('"payments"', '" "'), "actions.toml: retries: owner must be text, got ' '"),
        (
            GOOD.replace('"2026-09"', '"September"'),
            'actions.toml: retries: decided must be the month of a review such as "2026-10"',
        ),
        (GOOD.replace('"2026-09"', "2026-09-01"), "actions.toml: retries: decided must be text, got 2026-09-01"),
        (GOOD + 'slo = "api"\n', "actions.toml: retries: slo needs system beside it"),
        (GOOD + GOOD, "actions.toml: retries: is there twice, again in line 8; give each action a key of its own"),
        ('what = "loose"', "actions.toml: what: must stand in a table of its own: write [what] and below it"),
        ("[[retries]]\n", "actions.toml: retries: must stand in a table of its own"),
        ("[retries\n", "actions.toml: not TOML: "),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        read_actions(written(tmp_path, text))
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "actions.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"actions\.toml: cannot be read: not UTF-8"):
        read_actions(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_actions(tmp_path)


def item(key: str, due: str, decided: str = "2026-09", done: str | None = None) -> ActionItem:
    return ActionItem(
        key, "…", "payments", date.fromisoformat(due), decided, done=date.fromisoformat(done) if done else None
    )


def test_what_a_review_looks_at() -> None:
    items = (
        item("done-before", "2026-09-20", "2026-08", "2026-09-30"),
        item("done-in-month", "2026-09-20", "2026-08", "2026-10-01"),
        item("done-after", "2026-10-20", done="2026-11-02"),
        item("last-day", "2026-10-31"),
        item("open", "2026-11-01"),
        item("late", "2026-10-30"),
        item("decided-here", "2026-12-01", "2026-10"),
        item("decided-later", "2026-10-01", "2026-11"),
    )
    start, end = utc("2026-09-30 22:00"), utc("2026-10-31 23:00")
    found = due_in(items, "2026-10", start, end, VIENNA)
    assert [(one.key, one.overdue) for one in found] == [
        ("late", True),
        ("last-day", True),
        ("open", False),
        ("decided-here", False),
        ("done-in-month", False),
        ("done-after", False),
    ]


def test_an_action_is_overdue_once_its_day_is_over_where_one_is() -> None:
    items, start = (item("today", "2026-10-20"),), utc("2026-09-30 22:00")
    for until, overdue in (("2026-10-20 21:00", False), ("2026-10-20 22:00", True)):
        (found,) = due_in(items, "2026-10", start, utc(until), VIENNA)
        assert found.overdue is overdue, until
