"""Small SVG: few bytes, nothing lost that the eye would see, nothing dangerous."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.review.packs import HOSTILE

from tocsin.review import svg

START = datetime(2026, 10, 1, tzinfo=UTC)
FRAME = svg.Frame(960, 440, 100, 20, 50, 40, START, START + timedelta(days=31))
POINTS = st.lists(st.tuples(st.integers(0, 960), st.integers(-50, 500)), max_size=400).map(
    lambda points: sorted(points, key=lambda point: point[0])
)


def drawn(data: str) -> list[svg.Point]:
    """The corners of a path in steps of M, l, h and v."""
    x = y = 0
    corners = []
    for command, numbers in re.findall(r"([MlhvVHz])([^MlhvVHz]*)", data):
        values = [int(number) for number in re.findall(r"-?\d+", numbers)]
        match command:
            case "M":
                x, y = values
            case "l":
                x, y = x + values[0], y + values[1]
            case "h":
                x += values[0]
            case "v":
                y += values[0]
        corners.append((x, y))
    return corners


def extremes(points: Sequence[svg.Point], column: int) -> dict[int, tuple[int, int]]:
    found: dict[int, tuple[int, int]] = {}
    for x, y in points:
        low, high = found.get(x // column, (y, y))
        found[x // column] = (min(low, y), max(high, y))
    return found


@given(POINTS, st.integers(1, 8))
def test_no_column_loses_its_extremes(points: list[svg.Point], column: int) -> None:
    kept = svg.thinned(points, column)
    assert extremes(kept, column) == extremes(points, column)
    assert kept == [point for point in kept if point in points]
    assert len(kept) <= 4 * len({x // column for x, _ in points})


@given(POINTS)
def test_a_path_goes_through_every_extreme(points: list[svg.Point]) -> None:
    corners = drawn(svg.path(points))
    if not points:
        assert corners == []
        return
    assert corners[0] == points[0]
    if len(set(points)) > 1:
        assert corners[-1] == points[-1]
        assert (min(y for _, y in corners), max(y for _, y in corners)) == (
            min(y for _, y in points),
            max(y for _, y in points),
        )


def test_a_spike_of_one_minute_in_a_month_is_seen() -> None:
    flat = [(x // 20, 400) for x in range(20 * 900)]
    flat[7777] = (flat[7777][0], 3)
    assert min(y for _, y in drawn(svg.path(flat))) == 3


def test_a_flat_line_is_one_step() -> None:
    assert svg.path([(x, 7) for x in range(500)]) == "M0 7h499"


def test_a_way_back_is_not_taken_for_a_way_on() -> None:
    assert drawn(svg.path([(0, 0), (0, 10), (0, 4), (40, 4)])) == [(0, 0), (0, 10), (0, 4), (40, 4)]


def test_a_moment_outside_the_frame_stays_at_its_edge() -> None:
    assert FRAME.x(START - timedelta(days=3)) == 100
    assert FRAME.x(START + timedelta(days=99)) == 940


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("values", "lines", "missing"),
    [
        ([(1, 1.0), (2, 2.0)], 1, []),
        ([(1, 1.0), (2, None), (3, 2.0)], 2, [(1, 2)]),
        ([(1, 1.0), (5, 2.0)], 2, [(1, 4)]),
        ([(1, None)], 0, [(0, 1)]),
        ([], 0, []),
    ],
)
def test_what_is_missing_breaks_the_line(
    values: list[tuple[int, float | None]], lines: int, missing: list[tuple[int, int]]
) -> None:
    found, gaps = svg.pieces(FRAME, [(START + hour * HOUR, value) for hour, value in values], round, HOUR)
    assert len(found) == lines
    assert gaps == [(START + begin * HOUR, START + end * HOUR) for begin, end in missing]


def test_spans_that_touch_are_one_box() -> None:
    assert svg.boxes([(10, 20), (20, 30), (50, 50)], 0, 9) == "M10 0h20v9h-20zM50 0h1v9h-1z"


@pytest.mark.parametrize("content", HOSTILE)
def test_somebodys_text_stays_text(content: str) -> None:
    picture = svg.picture("a", content, content, 10, 10, "plot", [svg.text(1, 2, content)])
    tree = Xml.fromstring(picture)
    assert [node.tag for node in tree] == ["title", "desc", "text"]
    assert tree.get("role") == "img"
    assert tree.get("aria-labelledby") == "at ad"
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08]", picture)
