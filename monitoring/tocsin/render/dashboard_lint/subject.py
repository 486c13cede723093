"""What a rule looks at: the dashboard as plain JSON, with the ways through it that every rule needs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: Panels without a query of their own.
WITHOUT_QUERY = frozenset({"row", "text", "dashlist", "news", "alertlist", "annolist", "library-panel-ref"})
NEEDS_UNIT = frozenset({"timeseries", "stat", "gauge", "bargauge", "singlestat", "graph"})
NEEDS_TEXT = NEEDS_UNIT | {"table", "state-timeline", "heatmap", "barchart"}

#: What a rule finds: the panel's title, empty for the dashboard itself, and what is wrong.
Found = Iterator[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Subject:
    """A dashboard under inspection; ``panels`` are those of every level, rows included."""

    dashboard: Mapping[str, Any]
    panels: tuple[Mapping[str, Any], ...]
    variables: tuple[Mapping[str, Any], ...]
    known_uids: Collection[str] | None


def inspect(dashboard: Mapping[str, Any], known_uids: Collection[str] | None) -> Subject:
    """Find a dashboard's panels and variables."""
    return Subject(
        dashboard=dashboard,
        panels=tuple(_all_panels(dashboard.get("panels", ()))),
        variables=tuple(dashboard.get("templating", {}).get("list", ())),
        known_uids=known_uids,
    )


def _all_panels(panels: Any) -> Iterator[Mapping[str, Any]]:
    for panel in panels:
        yield panel
        yield from _all_panels(panel.get("panels", ()))


def title(panel: Mapping[str, Any]) -> str:
    """How a finding names a panel."""
    return str(panel.get("title") or f"panel {panel.get('id', '?')}")


def cloudwatch_targets(panel: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The queries of a panel that go to CloudWatch."""
    for target in panel.get("targets") or ():
        reference = target.get("datasource") or panel.get("datasource")
        if isinstance(reference, dict) and reference.get("type") == "cloudwatch":
            yield target


def strings(value: Any) -> Iterator[str]:
    """Every text in plain JSON, keys left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings(item)
