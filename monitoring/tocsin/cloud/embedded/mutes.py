"""Mute rules: the records PutAlarmMuteRule makes, their status, and which alarms they mute at a moment.

Schedules are those of `tocsin.simulate.mute`, so that what was simulated is what happens here.
Source: CloudWatch API reference, PutAlarmMuteRule, GetAlarmMuteRule, ListAlarmMuteRules; quotas as in its user guide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ...errors import SimulationError
from ...simulate.mute import MuteRule, parse_length
from ...simulate.muting import Muted, windows_by_alarm
from .base import here

MOST_RULES = 2000
STATUSES = ("SCHEDULED", "ACTIVE", "EXPIRED")
_FAR = timedelta(days=36500)


class LimitExceeded(ValueError):  # noqa: N818  # an answer, not our error
    """The account has as many rules as a region takes."""


@dataclass(frozen=True, slots=True)
class StoredRule:
    """One rule as it was put; moments are seconds since 1970."""

    request: Mapping[str, Any]
    rule: MuteRule
    starts: float | None
    expires: float | None
    updated: float
    arn: str

    @property
    def name(self) -> str:
        """The rule's own name."""
        return self.rule.name

    @property
    def kind(self) -> str:
        """MuteType."""
        return "ONE_TIME" if self.rule.expression.strip().startswith("at(") else "RECURRING"

    def status(self, now: float) -> str:
        """SCHEDULED, ACTIVE or EXPIRED.

        A one-time rule whose window is over has expired, too; the reference speaks of the expiration date only.
        """
        at = datetime.fromtimestamp(now, UTC)
        if any(begin <= at < end for begin, end in self.rule.windows(at, at)):
            return "ACTIVE"
        ahead = self.kind == "RECURRING" or any(begin > at for begin, _ in self.rule.windows(at, at + _FAR))
        return "EXPIRED" if (self.expires is not None and self.expires <= now) or not ahead else "SCHEDULED"


class MuteRules:
    """The mute rules of every account and region."""

    def __init__(self) -> None:
        self._rules: dict[tuple[str, str], dict[str, StoredRule]] = {}

    def put(self, request: Mapping[str, Any], known: Iterable[str], now: float) -> StoredRule:
        """Create or replace a rule.  Raises SimulationError for what CloudWatch refuses, LimitExceeded for one too many."""
        held = self._rules.setdefault(here(), {})
        stored = _stored(request, frozenset(known), now)
        if stored.name not in held and len(held) >= MOST_RULES:
            raise LimitExceeded(f"an account has at most {MOST_RULES} alarm mute rules in a region")
        held[stored.name] = stored
        return stored

    def get(self, name: str) -> StoredRule | None:
        """A rule by its name."""
        return self._rules.get(here(), {}).get(name)

    def delete(self, name: str) -> StoredRule | None:
        """Forget a rule; what it was, if there was one."""
        return self._rules.get(here(), {}).pop(name, None)

    def ordered(self) -> Iterator[StoredRule]:
        """All rules of this account and region, by name."""
        held = self._rules.get(here(), {})
        return (held[name] for name in sorted(held))

    def muted(self, alarm: str, at: datetime) -> Muted | None:
        """By which rule an alarm is muted at a moment, and until when; None if by none."""
        rules = [each.rule for each in self._rules.get(here(), {}).values() if alarm in each.rule.alarms]
        spans = windows_by_alarm(rules, (alarm,), at, at).get(alarm, ())
        return next((span for span in spans if span.begin <= at < span.end), None)


def _stored(request: Mapping[str, Any], known: frozenset[str], now: float) -> StoredRule:
    name = str(request.get("Name") or "")
    schedule = (request.get("Rule") or {}).get("Schedule") or {}
    for field in ("Expression", "Duration"):
        if not schedule.get(field):
            raise SimulationError(f"Rule.Schedule.{field} is required")
    if len(str(request.get("Description") or "")) > 1024:
        raise SimulationError("Description has at most 1024 characters")
    alarms = tuple(str(each) for each in (request.get("MuteTargets") or {}).get("AlarmNames") or ())
    starts, expires = (_seconds(request.get(field), schedule.get("Timezone")) for field in ("StartDate", "ExpireDate"))
    rule = MuteRule(
        name=name,
        expression=str(schedule["Expression"]),
        duration=parse_length(str(schedule["Duration"])),
        alarms=alarms,
        timezone=schedule.get("Timezone"),
        starts=None if starts is None else _iso(starts),
        expires=None if expires is None else _iso(expires),
    )
    if lost := sorted({each for each in alarms if each not in known}):
        raise SimulationError(f"MuteTargets names alarms that do not exist: {', '.join(lost[:5])}")
    account, region = here()
    arn = f"arn:aws:cloudwatch:{region}:{account}:alarm-mute-rule:{name}"
    return StoredRule(dict(request), rule, starts, expires, now, arn)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _seconds(value: Any, timezone: Any) -> float | None:
    """A moment of a request: seconds, a datetime, or text, which is in the rule's time zone unless it names its own."""
    from ...simulate.schedule import zone

    if value in (None, ""):
        return None
    if isinstance(value, int | float):
        return float(value)
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise SimulationError(f"{str(value)[:40]!r} is no time; write 2026-01-31T14:00:00Z") from None
    return (at if at.tzinfo else at.replace(tzinfo=zone(timezone))).timestamp()
