"""Who is on call at a moment, by the rotations of a schedule as Opsgenie describes them.

A turn of days or weeks keeps to the wall clock of the schedule's time zone, one of hours to elapsed time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from .shapes import DAYS

_WEEK = 7 * 24 * 60


def zone_named(name: str) -> ZoneInfo | None:
    """The time zone of an IANA name; None if there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def participants_at(schedule: Mapping[str, Any], at: datetime, turns_ahead: int = 0) -> list[Mapping[str, Any]]:
    """The participants whose turn it is, one of each rotation; ``turns_ahead`` counts those who come after."""
    if not schedule.get("enabled", True):
        return []
    zone = ZoneInfo(schedule.get("timezone") or "UTC")
    found = (_participant(rotation, at, zone, turns_ahead) for rotation in schedule.get("rotations") or [])
    return [one for one in found if one is not None]


def in_hours(restriction: Mapping[str, Any] | None, at: datetime, zone: ZoneInfo) -> bool:
    """Whether a moment is within a time restriction; None restricts nothing."""
    if restriction is None:
        return True
    local = at.astimezone(zone)
    minute = local.hour * 60 + local.minute
    if restriction["type"] == "time-of-day":
        hours = restriction["restriction"]
        start, end = _minutes(hours, "start"), _minutes(hours, "end")
        return _within(minute, start, end, 24 * 60)
    in_week = local.weekday() * 24 * 60 + minute
    return any(
        _within(
            in_week,
            DAYS.index(hours["startDay"]) * 24 * 60 + _minutes(hours, "start"),
            DAYS.index(hours["endDay"]) * 24 * 60 + _minutes(hours, "end"),
            _WEEK,
        )
        for hours in restriction["restrictions"]
    )


def _participant(
    rotation: Mapping[str, Any], at: datetime, zone: ZoneInfo, turns_ahead: int
) -> Mapping[str, Any] | None:
    start = datetime.fromisoformat(rotation["startDate"])
    end = datetime.fromisoformat(rotation["endDate"]) if rotation.get("endDate") else None
    if at < start or (end is not None and at >= end) or not in_hours(rotation.get("timeRestriction"), at, zone):
        return None
    length = rotation.get("length") or 1
    if rotation["type"] == "hourly":
        turn = (at - start) // timedelta(hours=length)
    else:
        days = length * (7 if rotation["type"] == "weekly" else 1)
        wall = at.astimezone(zone).replace(tzinfo=None) - start.astimezone(zone).replace(tzinfo=None)
        turn = wall // timedelta(days=days)
    participants = rotation["participants"]
    found: Mapping[str, Any] = participants[(turn + turns_ahead) % len(participants)]
    return None if found["type"] == "none" else found


def _minutes(hours: Mapping[str, Any], name: str) -> int:
    return int(hours[f"{name}Hour"]) * 60 + int(hours[f"{name}Min"])


def _within(value: int, start: int, end: int, whole: int) -> bool:
    """Whether a point of a circle of that length is in [start, end); the whole circle when both are the same."""
    return start == end or (value - start) % whole < (end - start) % whole
