"""Blocks → placed panels: each as high up as it fits, stable ids, and only so many panels open."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from grafanalib.core import GridPos, Panel, RowPanel

from ...errors import QuotaError
from .panels import Block

COLUMNS = 24
#: A person reads one screen at 03:00, and every open panel is queried on every refresh.
OPEN_PANELS = 20
#: CloudWatch answers at most 500 queries in one GetMetricData call (API reference); a panel is one call.  The same
#: number of metrics is the most a dashboard may read when it is opened.
METRICS = 500


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks that belong together under one row header; the one without a title stands on top and is always open.

    ``closed``: to be opened by whoever wants to know more.
    """

    key: str
    title: str
    blocks: tuple[Block, ...]
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Placed:
    """Panels in their places.  ``open_metrics`` are read whenever the dashboard is, ``all_metrics`` with all rows open."""

    panels: tuple[Panel, ...]
    open_metrics: int
    all_metrics: int


def place(where: str, sections: Sequence[Section]) -> Placed:
    """Stack the sections; from the first that would open too many panels or metrics on, they are collapsed.

    A collapsed row is not queried until somebody opens it.  ``where`` names the dashboard in errors.  Raises QuotaError.
    """
    panels: list[Panel] = []
    taken: dict[int, str] = {}
    y = opened = open_metrics = all_metrics = 0
    full = False
    for section in sections:
        if not section.blocks:
            continue
        _check(where, section)
        metrics = sum(block.metrics for block in section.blocks)
        all_metrics += metrics
        if not section.closed:
            full = full or opened + len(section.blocks) > OPEN_PANELS or open_metrics + metrics >= METRICS
        if section.title:
            collapsed = section.closed or full
            row = RowPanel(
                title=section.title,
                id=panel_id(f"row {section.key}", taken),
                gridPos=GridPos(h=1, w=COLUMNS, x=0, y=y),
                collapsed=collapsed,
            )
            panels.append(row)
            y += 1
            placed, bottom = _flow(section, y, taken)
            if collapsed:
                row.panels = placed
                continue
        else:
            placed, bottom = _flow(section, y, taken)
            if open_metrics + metrics >= METRICS:
                raise QuotaError(
                    f"{where}: {open_metrics + metrics} metrics would be read on opening, the limit is {METRICS}; "
                    "split the system into smaller ones"
                )
        panels.extend(placed)
        y = bottom
        opened += len(section.blocks)
        open_metrics += metrics
    return Placed(tuple(panels), open_metrics, all_metrics)


def _check(where: str, section: Section) -> None:
    for block in section.blocks:
        if block.queries > METRICS:
            raise QuotaError(
                f"{where}: panel {block.panel.title!r} has {block.queries} queries, CloudWatch answers at most {METRICS} "
                "at once; split the system into smaller ones"
            )


def _flow(section: Section, y: int, taken: dict[int, str]) -> tuple[list[Panel], int]:
    """Each block in turn at the highest, then leftmost place that is free down to the bottom."""
    placed: list[Panel] = []
    bottoms = [y] * COLUMNS
    for block in section.blocks:
        top, x = min(
            (max(bottoms[column : column + block.width]), column) for column in range(COLUMNS - block.width + 1)
        )
        bottoms[x : x + block.width] = [top + block.height] * block.width
        block.panel.id = panel_id(block.key, taken)
        block.panel.gridPos = GridPos(h=block.height, w=block.width, x=x, y=top)
        placed.append(block.panel)
    return placed, max(bottoms)


def panel_id(key: str, taken: dict[int, str]) -> int:
    """A positive 31-bit id made of what the panel shows, so that links to it survive any other change.

    ``taken`` maps ids in use to their keys; two keys with one hash, which is rare, are told apart by hashing again.
    """
    text = key
    while True:
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) & 0x7FFFFFFF
        if number and number not in taken:
            taken[number] = key
            return number
        text += "'"
