"""Reads label files: when there was an incident, as a JSON array or one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from ..errors import SimulationError, nearest
from .incident import Incident

_KEYS = ("Name", "Start", "End", "Alarms")
_MAX_BYTES = 64 * 1024 * 1024


def read_labels(path: Path) -> tuple[Incident, ...]:
    """The incidents of a file, by start.

    Each object: ``Start`` and ``End`` (ISO 8601 with zone; the end is the first moment after the incident), optional
    ``Name``, and ``Alarms``: glob patterns of the alarms that should see it, any alarm if left out.  An incident
    without a name is called by its start.  Raises SimulationError with file and position: not JSON, unknown keys, a
    time without zone, an end before its start, one incident given twice, incidents for the same alarms that overlap.
    """
    found = [(_incident(record, where), where) for record, where in _records(path)]
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


def _records(path: Path) -> Iterator[tuple[Any, str]]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise SimulationError(f"{path}: larger than {_MAX_BYTES // 1024**2} MiB; this is no file of labels")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SimulationError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise SimulationError(f"{path}: is not UTF-8 text") from None
    except OSError as error:
        raise SimulationError(f"{path}: {error.strerror}") from None
    if not text.strip():
        raise SimulationError(f"{path}: is empty; a history without incidents is []")
    if text.lstrip().startswith("["):
        for index, record in enumerate(_parse(text, str(path)), 1):
            yield record, f"{path}: incident {index}"
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _parse(line, f"{path}:{number}", line=True), f"{path}:{number}"


def _parse(text: str, where: str, *, line: bool = False) -> Any:
    def refuse(name: str) -> NoReturn:
        raise SimulationError(f"{where}: {name} is no value of a label")

    try:
        return json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        place = f"{where}:{error.colno}" if line else f"{where}:{error.lineno}:{error.colno}"
        raise SimulationError(
            f"{place}: not JSON: {error.msg}; a file holds one array or one object per line"
        ) from None
    except RecursionError:
        raise SimulationError(f"{where}: nested too deeply for a label") from None
    except ValueError as error:  # an integer of thousands of digits
        raise SimulationError(f"{where}: {error}") from None


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
