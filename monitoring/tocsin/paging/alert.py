"""What an alert says of an alarm: from CloudWatch's notification, and what the committed template promises of it.

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
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit, urlunsplit

from ..errors import InputError
from ..model import Severity
from .declared import Way
from .drill_marks import is_drill

if TYPE_CHECKING:
    from ..cloudformation.document import Document
    from .tool import ToolAlert

MOST_MESSAGE, MOST_DESCRIPTION, MOST_TAG = 130, 15_000, 50
MOST_DETAIL = 500
"""Of one detail that is no address; all together may have 8,000 characters, and the description holds the rest."""

#: Severity → the on-call tool's priority.  An alarm that does not say its severity wakes nobody.
PRIORITIES = {Severity.PAGE: "P1", Severity.TICKET: "P3"}
UNKNOWN_PRIORITY = "P3"

#: What a dashboard shows from: the longest burn-rate window of the severity before the change of state.
_BEFORE = {"page": timedelta(hours=6), "ticket": timedelta(days=3)}
_BEFORE_UNKNOWN = timedelta(hours=3)
_AFTER = timedelta(minutes=10)

BUDGET = "budget left"
"""The detail that only the metrics can tell; see `with_budget`."""

# Partition → domain of the console.  AWS General Reference; China regions and GovCloud have consoles of their own.
_CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}

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
        priority=_priority(facts.get("severity")),
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


def console_address(name: str, region: str, partition: str = "aws") -> str:
    """The alarm in the CloudWatch console; its name is encoded as JavaScript's encodeURIComponent does it."""
    if not region:
        return ""
    domain = _CONSOLES.get(partition, _CONSOLES["aws"])
    alarm = quote(name, safe="!~*'()")
    return f"https://{region}.{domain}/cloudwatch/home?region={region}#alarmsV2:alarm/{alarm}"


def dashboard_address(address: str, severity: str, changed_at: datetime, state: str) -> str:
    """The dashboard around the change of state, in Grafana's ``from`` and ``to`` (milliseconds); to now while it lasts."""
    if not address:
        return ""
    begin = changed_at - _BEFORE.get(severity, _BEFORE_UNKNOWN)
    end = "now" if state == "ALARM" else str(_milliseconds(changed_at + _AFTER))
    parts = urlsplit(address)
    span = urlencode({"from": _milliseconds(begin), "to": end})
    return urlunsplit(parts._replace(query=f"{parts.query}&{span}" if parts.query else span))


def expected_alert(
    document: Document,
    parameters: Mapping[str, str],
    alarm: str,
    *,
    reason: str,
    changed_at: datetime,
    account: str,
    region: str,
    partition: str = "aws",
) -> Alert:
    """What a committed alarm template promises that the alert of ``alarm``, forced with ``reason``, says.

    Severity, SLO and runbook are those of the template's Metadata, so that they are held against what the description
    makes of them.  Raises InputError if the template has no such alarm.
    """
    from ..cloudformation.intrinsics import resolve
    from ..errors import nearest

    pseudo = {"AWS::AccountId": account, "AWS::Region": region, "AWS::Partition": partition}
    found = {
        str(each.properties["AlarmName"]): each
        for each in resolve(document, parameters, pseudo=pseudo)
        if "AlarmName" in each.properties
    }
    if alarm not in found:
        raise InputError(f"{document.path}: no alarm {alarm!r}; {nearest(alarm, found)}")
    properties = found[alarm].properties
    # The notification carries the description without placeholders: a literal ${ is written ${! in a template's Sub.
    said = alert_of(
        {
            "AlarmName": alarm,
            "AlarmDescription": str(properties.get("AlarmDescription") or "").replace("${!", "${"),
            "AlarmArn": f"arn:{partition}:cloudwatch:{region}:{account}:alarm:{alarm}",
            "AlarmRule": properties.get("AlarmRule"),
            "NewStateValue": "ALARM",
            "NewStateReason": reason,
            "StateChangeTime": changed_at.isoformat(),
        }
    )
    facts = ((found[alarm].metadata or {}).get("Tocsin") or {}) if isinstance(found[alarm].metadata, Mapping) else {}
    details = {
        **said.details,
        **{key: str(facts[name]) for key, name in (("severity", "Severity"), ("slo", "Slo")) if name in facts},
    }
    runbook = str(facts.get("Runbook", ""))
    if not details.get("runbook", "").endswith(runbook):
        details["runbook"] = runbook
    return replace(said, priority=_priority(details.get("severity")), details=details)


def differences(expected: Alert, told: ToolAlert, way: Way) -> tuple[str, ...]:
    """Where an alert that the tool tells is not the promised one, a line each.

    The tool's own integration shows a notification and nothing of ours beside it: of its alerts, alias, priority and
    the description with the addresses are compared.  The forwarder's are compared in every field; where a dashboard
    begins and ends is held against the moment the state changed, which the tool may tell a little later.
    """
    whole = way is Way.FORWARDER
    found: list[tuple[str, str, str]] = [
        ("alias", expected.alias, told.alias),
        ("priority", expected.priority, told.priority),
    ]
    lines = [f"{name}: expected {want!r}, found {got!r}" for name, want, got in found if want != got]
    for name in ("reason", "runbook", "dashboard"):
        want = expected.details.get(name, "")
        where = want.partition("?")[0] if name == "dashboard" else want
        if where not in told.description:
            lines.append(f"description: {name} {where!r} is not in it")
    if not whole:
        return tuple(lines)
    if told.message != expected.message:
        lines.append(f"message: expected {expected.message!r}, found {told.message!r}")
    if missing := sorted(set(expected.tags) - set(told.tags)):
        lines.append(f"tags: {', '.join(missing)} missing")
    for name, want in expected.details.items():
        got = told.details.get(name, "")
        if name == "changed at":
            continue
        if name == "dashboard":
            if not _shows(got, want, expected.changed_at):
                lines.append(f"dashboard: expected {want!r}, found {got!r}")
        elif got != want:
            lines.append(f"{name}: expected {want!r}, found {got!r}")
    if expected.promise is not None and BUDGET not in told.details:
        lines.append(f"{BUDGET}: missing")
    return tuple(lines)


def _shows(address: str, expected: str, moment: datetime) -> bool:
    """Whether a dashboard's address is the expected one with a time range that holds the moment."""
    span = parse_qs(urlsplit(address).query)
    try:
        begin, end = span["from"][0], span["to"][0]
        held = int(begin) <= _milliseconds(moment) and (end == "now" or int(end) >= _milliseconds(moment))
    except (KeyError, ValueError):
        return False
    return held and address.partition("?")[0] == expected.partition("?")[0]


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


def _priority(severity: str | None) -> str:
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


def _milliseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
