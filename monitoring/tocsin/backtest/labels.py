"""Reads label files: when there was an incident, as a JSON array or one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..errors import SimulationError, nearest
from ..simulate.json_file import read_objects
from .incident import Incident

_KEYS = ("Name", "Start", "End", "Alarms")
_MOST_CHARACTERS = 64 * 1024 * 1024


def read_labels(*paths: Path) -> tuple[Incident, ...]:
    """The incidents of all files together, by start.

    Each object: ``Start`` and ``End`` (ISO 8601 with zone; the end is the first moment after the incident), optional
    ``Name``, and ``Alarms``: glob patterns of the alarms that should see it, any alarm if left out.  An incident
    without a name is called by its start.  Raises SimulationError with file and position: not JSON, unknown keys, a
    time without zone, an end before its start, one incident given twice, incidents for the same alarms that overlap.
    """
    found = [
        (_incident(record, where), where)
        for path in paths
        for record, where in read_objects(
            path, "incident", most=_MOST_CHARACTERS, empty="is empty; a history without incidents is []"
        )
    ]
    found.sort(key=lambda one: (one[0].start, one[0].end, one[0].name))
    _refuse_repeated_names(found)
    _refuse_overlaps(found)
    return tuple(incident for incident, _ in found)


def _refuse_repeated_names(found: list[tuple[Incident, str]]) -> None:
    places: dict[str, str] = {}
    for incident, where in found:
        if incident.name in places:
            raise SimulationError(
                f"{where}: incident {incident.name!r} is given twice, first in {places[incident.name]}; "
                "names tell incidents apart"
            )
        places[incident.name] = where


def _refuse_overlaps(found: list[tuple[Incident, str]]) -> None:
    """Two incidents of the same alarms at once would count one detection twice; they are one incident."""
    by_alarms: dict[tuple[str, ...], list[tuple[Incident, str]]] = {}
    for incident, where in found:
        by_alarms.setdefault(tuple(sorted(incident.alarms)), []).append((incident, where))
    for same in by_alarms.values():
        for (before, first), (after, second) in pairwise(same):
            if before.overlaps(after.start, after.end):
                raise SimulationError(
                    f"{second}: incident {after.name!r} overlaps {before.name!r} in {first}; make them one, or name "
                    "the Alarms each should be seen by"
                )


def _incident(record: Any, where: str) -> Incident:
    if not isinstance(record, dict):
        raise SimulationError(f"{where}: an incident is an object with Start and End, got {json.dumps(record)[:40]}")
    if unknown := sorted(set(record) - set(_KEYS)):
        raise SimulationError(f"{where}: unknown key {unknown[0]!r}; {nearest(unknown[0], _KEYS)}")
    start, end = _time(record, "Start", where), _time(record, "End", where)
    if end <= start:
        raise SimulationError(f"{where}: End {record['End']} is not after Start {record['Start']}")
    name = record.get("Name", f"{start:%Y-%m-%dT%H:%M:%SZ}")
    if not isinstance(name, str) or not name.strip():
        raise SimulationError(f"{where}: Name is text, or left out")
    return Incident(" ".join(name.split()), start, end, _patterns(record, where))


def _time(record: Mapping[str, Any], key: str, where: str) -> datetime:
    text = record.get(key)
    if not isinstance(text, str):
        raise SimulationError(f'{where}: {key} is missing or not text; write it as "2026-01-01T00:00:00Z"')
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise SimulationError(f'{where}: {key} {text!r} is no time; write it as "2026-01-01T00:00:00Z"') from None
    raise SimulationError(f"{where}: {key} {text!r} has no time zone; end it with Z for UTC")


def _patterns(record: Mapping[str, Any], where: str) -> tuple[str, ...]:
    value = record.get("Alarms", [])
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise SimulationError(f'{where}: Alarms is a list of names or patterns such as ["*-cpu-*"]')
    return tuple(value)
