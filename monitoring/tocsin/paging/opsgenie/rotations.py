"""A schedule's rotations in one spelling, from what is declared and from what Opsgenie has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from ...errors import PagingError
from ..declared import Hours, OnCall, Rotation, Schedule

_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
#: How many weekday restrictions a rotation has at most (the description's maxItems).
_MOST_RESTRICTIONS: Final = 15


def rotation_wanted(declared: OnCall, schedule: Schedule, rotation: Rotation) -> dict[str, Any]:
    """What a declared rotation should be.  Raises PagingError for what Opsgenie cannot hold."""
    where = f"{declared.path}: schedule {schedule.name!r}, rotation {rotation.name!r}"
    kind, length = _turn(rotation.turn, where)
    restriction = _restriction_wanted(rotation.hours, where)
    for clock in (rotation.starts.time(), *([rotation.ends.time()] if rotation.ends else [])):
        _refuse_odd_minutes(clock, where)
    return {
        "name": rotation.name,
        "type": kind,
        "length": length,
        "startDate": _moment(rotation.starts, schedule.time_zone),
        "endDate": _moment(rotation.ends, schedule.time_zone) if rotation.ends else None,
        "participants": [f"user {one.lower()}" for one in rotation.participants],
        "timeRestriction": restriction,
    }


def _turn(turn: timedelta, where: str) -> tuple[str, int]:
    for kind, unit in (("weekly", timedelta(weeks=1)), ("daily", timedelta(days=1)), ("hourly", timedelta(hours=1))):
        if turn and not turn % unit:
            return kind, turn // unit
    raise PagingError(f"{where}: a turn of {turn}: Opsgenie takes whole hours, days or weeks")


def _restriction_wanted(hours: Sequence[Hours], where: str) -> dict[str, Any] | None:
    for one in hours:
        _refuse_odd_minutes(one.start, where)
        _refuse_odd_minutes(one.end, where)
    # Each day round the clock is no restriction; Opsgenie has no word for it.
    if not hours or any(one.start_day is None and one.start == one.end for one in hours):
        return None
    if len(hours) == 1 and hours[0].start_day is None:
        return {"type": "time-of-day", "restriction": _clock(hours[0])}
    spans = [span for one in hours for span in _by_weekday(one)]
    if len(spans) > _MOST_RESTRICTIONS:
        raise PagingError(
            f"{where}: {len(spans)} spans of hours in a week: Opsgenie takes {_MOST_RESTRICTIONS}; split the rotation"
        )
    return {"type": "weekday-and-time-of-day", "restrictions": sorted(spans, key=_place_in_week)}


def _by_weekday(hours: Hours) -> Iterator[dict[str, Any]]:
    if hours.start_day is not None and hours.end_day is not None:
        yield {"startDay": _DAYS[hours.start_day], "endDay": _DAYS[hours.end_day], **_clock(hours)}
        return
    nights = 0 if hours.end > hours.start else 1
    for day in range(7):
        yield {"startDay": _DAYS[day], "endDay": _DAYS[(day + nights) % 7], **_clock(hours)}


def _clock(hours: Hours) -> dict[str, int]:
    return {
        "startHour": hours.start.hour,
        "startMin": hours.start.minute,
        "endHour": hours.end.hour,
        "endMin": hours.end.minute,
    }


def _place_in_week(span: Mapping[str, Any]) -> tuple[int, int, int]:
    return _DAYS.index(span["startDay"]), span["startHour"], span["startMin"]


def _refuse_odd_minutes(clock: time, where: str) -> None:
    # The description: "Minutes may take 0 or 30 as value"; others are moved, and a plan would never become empty.
    if clock.minute not in (0, 30) or clock.second or clock.microsecond:
        raise PagingError(f"{where}: {clock.isoformat()}: Opsgenie changes turns at full and half hours only")


def _moment(wall: datetime, time_zone: str) -> str:
    return _as_text(wall.replace(tzinfo=ZoneInfo(time_zone)) if wall.tzinfo is None else wall)


def _as_text(moment: datetime) -> str:
    """The one spelling of a moment: UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rotation_there(rotation: Mapping[str, Any], recipient: Callable[[Mapping[str, Any]], str]) -> dict[str, Any]:
    """What a rotation of Opsgenie's is; ``recipient`` writes a participant."""
    return {
        "name": rotation.get("name") or "",
        "type": rotation.get("type"),
        "length": rotation.get("length") or 1,
        "startDate": _date(rotation.get("startDate")),
        "endDate": _date(rotation.get("endDate")),
        "participants": [recipient(one) for one in rotation.get("participants") or ()],
        "timeRestriction": restriction_there(rotation.get("timeRestriction")),
    }


def restriction_there(restriction: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The hours that a rotation or a routing rule is limited to; None for all."""
    if not restriction or not restriction.get("type"):
        return None
    if restriction["type"] == "time-of-day":
        return {"type": "time-of-day", "restriction": dict(restriction.get("restriction") or {})}
    spans = [dict(one) for one in restriction.get("restrictions") or ()]
    spans.sort(key=lambda one: (_DAYS.index(one["startDay"]), one["startHour"], one["startMin"]))
    return {"type": restriction["type"], "restrictions": spans}


def _date(text: str | None) -> str | None:
    return _as_text(datetime.fromisoformat(text)) if text else None
