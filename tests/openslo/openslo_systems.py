"""Systems for the tests of OpenSLO: every promise that three templates offer, and ones by metrics of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from command_line import DATA_PIPELINE, NOTIFICATION, SHOP
from tocsin import availability, completeness, counted, freshness, latency, ranked
from tocsin.catalog import CATALOG
from tocsin.discovery import discover
from tocsin.errors import TocsinError
from tocsin.model import Resource, Slo, Stack, System

FUNCTIONS: dict[str, Callable[..., Slo]] = {
    "availability": availability,
    "completeness": completeness,
    "freshness": freshness,
    "latency": latency,
}
TEMPLATES = {
    "notification.yaml": NOTIFICATION.read_text(encoding="utf-8"),
    "data_pipeline.yaml": DATA_PIPELINE.read_text(encoding="utf-8"),
    "shop.yaml": SHOP,
}


def write_templates(folder: Path) -> None:
    for name, text in TEMPLATES.items():
        (folder / name).write_text(text, encoding="utf-8")


@cache
def stack_of(folder: Path, name: str) -> Stack:
    return discover(folder / name, shown_as=name)


@dataclass(frozen=True)
class Offer:
    """A promise that can be made, but for its objective."""

    function: str
    resource: Resource
    arguments: tuple[tuple[str, Any], ...]


@cache
def offers(folder: Path, name: str) -> tuple[Offer, ...]:
    """Every promise that a template's resources can be held to; not those that are kept or broken."""
    found = []
    stack = stack_of(folder, name)
    for resource in stack.resources:
        for kind in FUNCTIONS:
            limits = (
                [()] if kind in ("availability", "completeness") else [(("below", "800ms"),), (("below", "75min"),)]
            )
            found += [Offer(kind, resource, limit) for limit in limits]
        usual = CATALOG[resource.type].own_dimension
        for dimensions in ({} if usual else None, {"dimensions": {"Stage": "live ${x}", "By": resource}}):
            if dimensions is None:
                continue
            for counts in ({"good": "Done"}, {"valid": "Asked", "share_of": 'orders "on time"'}):
                measure = counted(namespace="Shop", bad="Failed", **counts, **dimensions)
                found += [
                    Offer(kind, resource, (("measure", measure),))
                    for kind in ("availability", "completeness", "freshness")
                ]
            for unit in ("Seconds", "Milliseconds", "Microseconds"):
                times = ranked("Took", namespace="Shop", unit=unit, **dimensions)
                found += [
                    Offer(kind, resource, (("below", "1500ms"), ("measure", times)))
                    for kind in ("latency", "freshness")
                ]
    return tuple(offer for offer in found if made(offer, Fraction(99, 100), timedelta(days=28)) is not None)


def made(offer: Offer, objective: Fraction, window: timedelta, **more: Any) -> Slo | None:
    try:
        return FUNCTIONS[offer.function](
            offer.resource, objective=objective, window=window, **dict(offer.arguments), **more
        )
    except TocsinError:
        return None


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,80}", fullmatch=True).map(str.rstrip)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=1050)
SYSTEM_NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,62}", fullmatch=True)


@st.composite
def systems(draw: st.DrawFn, folder: Path) -> System:
    """A system over one of the templates with any of its promises."""
    name = draw(st.sampled_from(sorted(TEMPLATES)))
    slos = []
    for own in draw(st.lists(NAMES, min_size=1, max_size=5, unique=True)):
        slo = made(
            draw(st.sampled_from(offers(folder, name))),
            Fraction(draw(st.integers(90_000_000, 99_990_000)), 100_000_000),
            timedelta(days=draw(st.sampled_from([7, 28, 30, 90]))),
            name=own,
            because=draw(TEXTS),
            minimum_bad_events=draw(st.integers(1, 5000)),
        )
        assert slo is not None
        slos.append(slo)
    return System(draw(SYSTEM_NAMES), draw(SYSTEM_NAMES), stack_of(folder, name), slos, description=draw(TEXTS))
