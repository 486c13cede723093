"""The report for machines: everything, exact, with keys that stay."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from fractions import Fraction
from typing import Any

import pytest
from tests.review.packs import PACKS, full

from tocsin.review import as_json as module
from tocsin.review.as_json import as_json


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


def exact(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if set(value) == {"exact", "value"}:
            yield value
        for inner in value.values():
            yield from exact(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from exact(inner)


@pytest.mark.parametrize("name", PACKS)
def test_it_is_json_and_the_same_again(name: str) -> None:
    text = json.dumps(as_json(PACKS[name]()), allow_nan=False)
    assert text == json.dumps(as_json(PACKS[name]()), allow_nan=False)
    assert json.loads(text)["version"] == 1


def test_numbers_are_exact_and_the_floats_beside_them_agree() -> None:
    found = list(exact(as_json(full())))
    assert len(found) > 100
    for one in found:
        assert float(Fraction(one["exact"])) == one["value"]
        assert "/" in one["exact"]


def test_a_pack_can_be_read_back_from_it() -> None:
    pack = full()
    for review, said in zip(pack.slos, as_json(pack)["slos"], strict=True):
        assert (said["system"], said["slo"], said["state"]) == (review.system, review.slo, review.state.value)
        assert Fraction(said["month"]["valid"]["exact"]) == review.month.valid
        left = said["burn_down"]
        points = zip(left["at"], left["left_exact"], strict=True)
        assert tuple((datetime.fromisoformat(at), Fraction(value)) for at, value in points) == review.burn_down
        for window in said["burn_rates"]:
            rates = review.burn_rates[window["window_seconds"]]
            assert [value is None for value in window["rate"]] == [value is None for _, value in rates]
        assert len(said["incidents"]) == len(review.incidents)


def test_what_is_unknown_is_null() -> None:
    (only,) = as_json(PACKS["not-pulled"]())["slos"]
    assert only["month"]["attained"] is None
    assert only["month"]["spent"] is None
    assert only["days"][0]["attained"] is None


def test_every_key_is_documented() -> None:
    documented = set(re.findall(r"\w+", module.__doc__ or ""))
    assert set(keys(as_json(full()))) <= documented
