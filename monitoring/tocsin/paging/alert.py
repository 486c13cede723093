"""What an alert says of an alarm, from CloudWatch's notification.

The forwarder's package holds this very file, so it needs no more than the standard library and the engine's plain values.
Limits are those of the alert API of Opsgenie and its successor (Opsgenie, "Alert API", "Create Alert").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from ..errors import InputError
from ..model import Severity
from .alert_addresses import console_address, dashboard_address
from .drill_marks import is_drill

MOST_MESSAGE, MOST_DESCRIPTION, MOST_TAG = 130, 15_000, 50
MOST_DETAIL = 500
"""Of one detail that is no address; all together may have 8,000 characters, and the description holds the rest."""

#: Severity → the on-call tool's priority.  An alarm that does not say its severity wakes nobody.
PRIORITIES = {Severity.PAGE: "P1", Severity.TICKET: "P3"}
UNKNOWN_PRIORITY = "P3"

BUDGET = "budget left"
"""The detail that only the metrics can tell; see `with_budget`."""

_ADDRESSES = ("runbook", "dashboard", "console")

# The lines that plan/texts.py writes into a description.
_FOR_WHOM = re.compile(r"^Severity: ([a-z]+)\. Owner: ([a-z][a-z0-9_-]*)\. System: ([a-z][a-z0-9_-]*)\.$", re.MULTILINE)
_SLO = re.compile(r"^SLO: ([^,\n]+?)(?:, ([0-9.]+) % over ([0-9]+) d)?\.$", re.MULTILINE)
_RUNBOOK = re.compile(r"^Runbook: (\S+)$", re.MULTILINE)
_DASHBOARD = re.compile(r"^Dashboard: (\S+?)(?: in Grafana)?$", re.MULTILINE)
_RESOURCE = re.compile(r"^Resource: (.+)\.$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Promise:
    """The SLO that an alarm watches: its name, its objective and the window it is promised over."""

    slo: str
    objective: Fraction
    window: timedelta


@dataclass(frozen=True, slots=True)
class Alert:
    """What the on-call tool is told.  ``alias`` joins what OK closes to what ALARM opened.

    ``state`` is CloudWatch's.  ``changed_at`` is aware, in UTC.  ``details`` are in the order they are to be read in;
    what is not known is not among them.
    """

    alias: str
    message: str
    description: str
    priority: str
    tags: tuple[str, ...]
    details: Mapping[str, str]
    state: str
    changed_at: datetime
    drill: bool = False
    promise: Promise | None = None
    long_window_alarm: str | None = field(default=None)
    """The metric alarm of the composite's longest-known window, whose metrics tell what is left of the budget."""


def alert_of(message: Mapping[str, Any], region: str = "") -> Alert:
    """The alert of a notification of CloudWatch's: of a metric alarm, a composite one or one that is not Tocsin's.

    ``region`` is for a message without the alarm's ARN.  Raises InputError for what is no such notification.
    """
    try:
        name, state = str(message["AlarmName"]), str(message["NewStateValue"])
        changed_at = datetime.fromisoformat(str(message["StateChangeTime"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"not a notification of a CloudWatch alarm, {type(error).__name__}: {error}; look at what was published"
        ) from None
    changed_at = (changed_at if changed_at.tzinfo else changed_at.replace(tzinfo=UTC)).astimezone(UTC)
    text = str(message.get("AlarmDescription") or "")
    reason = str(message.get("NewStateReason") or "")
    place = _Place.of(message, region)
    drill = is_drill(reason)
    facts = _facts(name, text)
    details = {
        **facts,
        "region": place.region,
        "account": place.account,
        "runbook": _last(_RUNBOOK, text),
        "dashboard": dashboard_address(_last(_DASHBOARD, text), facts.get("severity", ""), changed_at, state),
        "console": console_address(name, place.region, place.partition),
        "reason": reason,
        "changed at": changed_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "drill": "yes" if drill else "no",
    }
    return Alert(
        alias=name,
        message=_message(name, text, state, facts, drill),
        description=_shorten("\n\n".join(part for part in (reason, text) if part), MOST_DESCRIPTION),
        priority=priority_of(facts.get("severity")),
        tags=_tags(facts, drill),
        details={
            key: value if key in _ADDRESSES else _shorten(value, MOST_DETAIL) for key, value in details.items() if value
        },
        state=state,
        changed_at=changed_at,
        drill=drill,
        promise=_promise(text),
        long_window_alarm=_long_window_alarm(str(message.get("AlarmRule") or "")),
    )


def with_budget(alert: Alert, left: Fraction | None, why_not: str = "") -> Alert:
    """The alert with what is left of the error budget, 1 for all of it; or with why that is not known."""
    text = f"{_percent(left)} %" if left is not None else f"not known: {why_not}"
    return replace(alert, details={**alert.details, BUDGET: text})


def budget_left(promise: Promise, bad: Fraction, valid: Fraction) -> Fraction:
    """The share of the error budget that is left; below 0 when more is gone than there was.  All of it without events."""
    allowed = valid * (1 - promise.objective)
    if not bad:
        return Fraction(1)
    return 1 - bad / allowed if allowed else Fraction(0)


@dataclass(frozen=True, slots=True)
class _Place:
    partition: str
    region: str
    account: str

    @classmethod
    def of(cls, message: Mapping[str, Any], region: str) -> _Place:
        """Where the alarm is; ``Region`` in the message is a name for people, such as EU (Ireland)."""
        parts = str(message.get("AlarmArn") or "").split(":", 5)
        if len(parts) == 6:
            return cls(parts[1], parts[3], parts[4])
        partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
        return cls(partition, region, str(message.get("AWSAccountId") or ""))


def _facts(name: str, text: str) -> dict[str, str]:
    """What the description says in lines of its own.  The last counts: people's words come before those lines."""
    found = _FOR_WHOM.findall(text)
    severity, owner, system = found[-1] if found else ("", "", "")
    environment = name.partition(f"-{system}-")[0] if system and f"-{system}-" in name else ""
    slos = _SLO.findall(text)
    return {
        "system": system,
        "owner": owner,
        "slo": slos[-1][0] if slos else "",
        "severity": severity,
        "environment": environment,
        "resource": _last(_RESOURCE, text),
    }


def _promise(text: str) -> Promise | None:
    found = _SLO.findall(text)
    slo, objective, days = found[-1] if found else ("", "", "")
    if not objective:
        return None
    try:
        return Promise(slo, Fraction(Decimal(objective)) / 100, timedelta(days=int(days)))
    except ArithmeticError:  # digits that make no number, in a description that people wrote
        return None


def _long_window_alarm(rule: str) -> str | None:
    names = re.findall(r'ALARM\(\s*"?([^")]+)"?\s*\)', rule)
    short_names = (name.rpartition(":alarm:")[2] or name for name in names)
    return next((name for name in short_names if name.endswith("-long")), None)


def _message(name: str, text: str, state: str, facts: Mapping[str, str], drill: bool) -> str:
    title = text.partition("\n")[0].strip().rstrip(".") if facts["severity"] else ""
    where = f"[{facts['environment']}] " if facts["environment"] else ""
    system = f"{facts['system']}: " if facts["system"] else ""
    said = f"{where}{system}{title}" if title else f"{name} is in {state}"
    return _shorten(f"{'Drill: ' if drill else ''}{said}", MOST_MESSAGE)


def priority_of(severity: str | None) -> str:
    """The priority that alerts of a severity have in the tool."""
    return PRIORITIES.get(Severity(severity), UNKNOWN_PRIORITY) if severity in set(Severity) else UNKNOWN_PRIORITY


def _tags(facts: Mapping[str, str], drill: bool) -> tuple[str, ...]:
    named = (f"{key}:{facts[key]}" for key in ("environment", "owner", "severity", "slo", "system") if facts[key])
    return tuple(_shorten(tag, MOST_TAG) for tag in (*(("drill",) if drill else ()), *named, "tocsin"))


def _last(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.findall(text)
    return str(found[-1]) if found else ""


def _shorten(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _percent(share: Fraction) -> str:
    """In percent with one decimal, rounded down: never more than there is."""
    tenths = share * 1000 // 1
    return f"{'-' if tenths < 0 else ''}{abs(tenths) // 10}.{abs(tenths) % 10}"
