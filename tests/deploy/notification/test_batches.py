"""Batches: nothing is left out, doubled or sent twice without need; several at a time; a wait that grows."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from deploy.notification.handlers.batches import (
    IN_FLIGHT,
    LONGEST_PAUSE,
    THREADS,
    attempts,
    in_batches,
    in_parallel,
    send_until_taken,
)
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.integers()), st.integers(min_value=1, max_value=30))
def test_batches_hold_every_item_once_and_in_order(items: list[int], size: int) -> None:
    batches = list(in_batches(items, size))
    assert [item for batch in batches for item in batch] == items
    assert all(len(batch) == size for batch in batches[:-1])
    assert all(0 < len(batch) <= size for batch in batches)


@given(st.lists(st.integers(), max_size=60))
def test_results_come_with_their_items_in_order(items: list[int]) -> None:
    assert list(in_parallel(items, lambda item: item * 2)) == [(item, item * 2) for item in items]


def test_several_items_are_worked_on_at_once_and_not_all_are_taken_at_once() -> None:
    together = threading.Barrier(THREADS)
    taken: list[int] = []

    def items() -> Any:
        for item in range(THREADS * 10):
            taken.append(item)
            yield item

    given_back = 0
    for _ in in_parallel(items(), lambda _: together.wait(30)):
        given_back += 1
        assert len(taken) - given_back < IN_FLIGHT
    assert given_back == THREADS * 10


def test_an_error_comes_in_the_place_of_its_item_and_nothing_goes_on_after_it() -> None:
    done: list[int] = []

    def work(item: int) -> int:
        if item == 3:
            raise ValueError("three")
        done.append(item)
        return item

    results = in_parallel(range(1000), work)
    assert [next(results)[0] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert len(done) <= 3 + IN_FLIGHT


def test_what_was_not_taken_is_sent_again_and_nothing_else() -> None:
    sent: list[list[int]] = []

    def take_the_first(items: Any) -> Any:
        sent.append(list(items))
        return items[1:]

    pauses: list[float] = []
    send_until_taken([1, 2, 3], take_the_first, pause=pauses.append)
    assert sent == [[1, 2, 3], [2, 3], [3]]
    assert len(pauses) == 2


def test_a_service_that_never_takes_them_is_an_error() -> None:
    with pytest.raises(TimeoutError, match="2 of 3 items were not taken after 4 attempts"):
        send_until_taken([1, 2, 3], lambda items: items[-2:], count=4, pause=lambda seconds: None)


def test_waits_are_random_grow_and_have_an_end() -> None:
    waits: list[list[float]] = []
    for _ in range(200):
        waits.append([])
        assert list(attempts(8, pause=waits[-1].append)) == list(range(8))
    longest = [max(column) for column in zip(*waits, strict=True)]
    assert len(longest) == 7
    assert all(longest[index] < 0.1 * 2**index for index in range(7))
    assert longest[0] < longest[3] < longest[6] <= LONGEST_PAUSE
    assert len({wait[0] for wait in waits}) > 100
