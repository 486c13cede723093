"""The sentence on each promise in the generated documents."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.backtest.promised import FAILED, KINDS, ORDERS, READER, ratio

from tocsin.backtest.outage import proofs
from tocsin.model import Slo, System
from tocsin.plan import plan
from tocsin.project import Project
from tocsin.workspace import generate

_BUSY = "a full outage at 100 events a minute"


def said(slo: Slo) -> str:
    (text,) = proofs([plan(System("shop", "payments", (READER, ORDERS, FAILED), (slo,)))]).values()
    assert text.startswith("Proven by simulation: ")
    assert text.endswith(".")
    return text.removeprefix("Proven by simulation: ").removesuffix(".")


@pytest.mark.parametrize(
    ("slo", "text"),
    [
        (
            ratio(),
            f"{_BUSY} pages after 1 min with 2.48 % of the budget gone, and is over 30 min after the service is back; "
            "at 10 events an hour it pages after 7 min",
        ),
        (
            # 67.2 % of an hour must be bad, then 28 % of five minutes.
            ratio("95%"),
            f"{_BUSY} pages after 41 min with 2.03 % of the budget gone, and is over 2 min after the service is back; "
            "at 10 events an hour it pages after 37 min",
        ),
        (
            ratio(fewest=100),
            f"{_BUSY} pages after 1 min with 2.48 % of the budget gone, and is over 30 min after the service is back; "
            "at 10 events an hour it pages nobody in 6 h",
        ),
        (
            KINDS["gauge"](),
            "a full outage pages after 5 min with 2.48 % of the budget gone, and is over 30 min after the service is back",
        ),
        (
            KINDS["daily"](),
            "a run that is missed pages between 2 h 1 min and 3 h 59 min after it was due, "
            "and that is over within 2 h of the next success",
        ),
        (
            KINDS["hourly"](),
            "a run that is missed pages 21 min after it was due, and that is over within 1 min of the next success",
        ),
    ],
    ids=["99.9", "95", "gate", "gauge", "daily", "hourly"],
)
def test_what_is_said(slo: Slo, text: str) -> None:
    assert said(slo) == text


def test_without_a_page_the_ticket_is_told_of() -> None:
    """One in ten may fail, over 90 days: only the burn rates of tickets are within reach."""
    text = said(ratio("90%", window="90d"))
    assert text.startswith(f"{_BUSY} opens no ticket in 6 h")


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_same_each_time(kind: str) -> None:
    assert said(KINDS[kind]()) == said(KINDS[kind]())


def test_it_stands_in_the_document_of_the_promises(tmp_path: Path) -> None:
    slo = ratio()
    one = plan(System("shop", "payments", (READER,), (slo,)))
    files = {file.path: file.text for file in generate([one], Project(tmp_path))}
    assert f"\n\nProven by simulation: {said(slo)}.\n\n" in files["SLOs.md"]
