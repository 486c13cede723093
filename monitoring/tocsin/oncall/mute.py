"""Maintenance: lets the alarms of a system tell nobody for a while, by CloudWatch's alarm mute rules.

While a rule is in force CloudWatch runs no action of its alarms, for any state; states go on.  An action that was held
back runs at the end if the alarm is still in the state it belongs to (CloudWatch user guide, "How alarm mute rules
work").
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from ..alarm import AlarmState
from ..cloud.alarm_states import DeployedAlarm, list_alarms
from ..cloud.mute_rules import (
    LONGEST,
    MOST_ALARMS,
    MOST_CHARACTERS,
    MOST_RULES,
    SHORTEST,
    DeployedRule,
    ListedRule,
    MuteRule,
    RuleStatus,
    delete_rule,
    find_rule,
    list_rules,
    put_rule,
)
from ..cloud.session import Cloud, asking
from ..errors import CloudError, InputError, nearest
from ..units import format_duration

_MINUTE = timedelta(minutes=1)
_SYSTEM = re.compile(r"^(?:Severity: \w+\. )?Owner: \S+\. System: ([a-z][a-z0-9_-]*)\.$", re.MULTILINE)
_PAGE = re.compile(r"^Severity: page\.", re.MULTILINE)
_HEARTBEAT = re.compile(r"^Runbook: \S*/slo-heartbeat\.md$", re.MULTILINE)
_STAMP = "%Y%m%dT%H%M%S"
# What a rule of ours is called; those from before the seconds were told are four digits shorter.
_NAME = r"-[0-9]{8}T[0-9]{4}(?:[0-9]{2}(?:_[0-9]+)?)?-[0-9]+"


@dataclass(frozen=True, slots=True)
class Mute:
    """What is to be muted: all of it known, nothing of it done.

    ``length`` is as asked, in full minutes.  ``alarms`` are those that would tell somebody, by name.  ``outdated`` are
    rules of ours in this environment that are over.
    """

    environment: str
    system: str
    because: str
    by: str
    starts: datetime
    ends: datetime
    length: timedelta
    at_once: bool
    alarms: tuple[DeployedAlarm, ...]
    rules: tuple[MuteRule, ...]
    outdated: tuple[str, ...]

    @property
    def name(self) -> str:
        """What all of its rules are called, but for the number at the end."""
        return self.rules[0].name.rpartition("-")[0]

    @property
    def pages(self) -> int:
        """How many of the alarms page."""
        return sum(bool(_PAGE.search(alarm.description)) for alarm in self.alarms)

    @property
    def heartbeats(self) -> int:
        """How many of the alarms tell that a job was missed."""
        return sum(bool(_HEARTBEAT.search(alarm.description)) for alarm in self.alarms)

    @property
    def ringing(self) -> tuple[DeployedAlarm, ...]:
        """The alarms that are in ALARM now."""
        return tuple(alarm for alarm in self.alarms if alarm.state is AlarmState.ALARM)


@dataclass(frozen=True, slots=True)
class Muted:
    """What CloudWatch made of it.  ``late``: the minute was over before a rule was there, so that muting begins and ends
    with another one."""

    rules: tuple[DeployedRule, ...]
    starts: datetime
    ends: datetime
    late: bool = False


@dataclass(frozen=True, slots=True)
class Mutes:
    """The rules of one environment that are not over: ours with all they say, those of others by name."""

    ours: tuple[DeployedRule, ...]
    others: tuple[ListedRule, ...]
    outdated: tuple[str, ...]


def plan_mute(
    cloud: Cloud,
    environment: str,
    system: str,
    length: timedelta,
    because: str,
    now: datetime,
    *,
    starts: datetime | None = None,
    names: Sequence[str] = (),
) -> Mute:
    """What muting ``system``, or only the alarms ``names`` of it, means.  Changes nothing.

    A rule begins and ends with a full minute: one that begins now covers the minute that runs, and ends when ``length``
    is over or up to a minute later.  Raises InputError and CloudError.
    """
    reason = " ".join(because.split())
    if not reason:
        raise InputError("--because is empty; say why, for whoever wonders why nobody was told")
    begin, end = _span(length, now, starts)
    alarms = _alarms_of(cloud, environment, system, names)
    with asking("find out who mutes"):
        by = str(cloud.client("sts").get_caller_identity()["Arn"])
    marked = f" ({by}) {_mark(environment, system)}"
    if len(reason) + len(marked) > MOST_CHARACTERS:
        raise InputError(f"--because has {len(reason)} characters; there is room for {MOST_CHARACTERS - len(marked)}")
    listed = list_rules(cloud)
    outdated = _outdated(cloud, environment, listed)
    chunks = [alarms[at : at + MOST_ALARMS] for at in range(0, len(alarms), MOST_ALARMS)]
    remaining = len(listed) - len(outdated)
    if remaining + len(chunks) > MOST_RULES:
        raise CloudError(
            f"{cloud.region} has {remaining} alarm mute rules and AWS allows {MOST_RULES}, but this needs {len(chunks)}; "
            "delete some that are over"
        )
    named_after = now.astimezone(UTC) if starts is None else begin
    stem = _free(f"{environment}-tocsin-{system}-{named_after.strftime(_STAMP)}", {rule.name for rule in listed})
    rules = tuple(
        MuteRule(f"{stem}-{number}", reason + marked, begin, end - begin, tuple(alarm.name for alarm in chunk))
        for number, chunk in enumerate(chunks, 1)
    )
    asked = -(-length // _MINUTE) * _MINUTE
    return Mute(environment, system, reason, by, begin, end, asked, starts is None, alarms, rules, outdated)


def mute(cloud: Cloud, wanted: Mute) -> Muted:
    """Clear away the rules that are over, put the new ones, and read back what CloudWatch makes of them.

    One that is to mute at once begins with the minute that runs.  Where CloudWatch does not take it so, because that minute
    was over meanwhile, it is put again with the next one.  Raises CloudError.
    """
    for name in wanted.outdated:  # first, for they count towards what AWS allows
        delete_rule(cloud, name)
    for rule in wanted.rules:
        put_rule(cloud, rule)
    found = {rule.name: find_rule(cloud, rule.name) for rule in wanted.rules}
    idle = [
        rule
        for rule in wanted.rules
        if (there := found[rule.name]) is not None and there.status in (RuleStatus.SCHEDULED, RuleStatus.EXPIRED)
    ]
    starts, ends = wanted.starts, wanted.ends
    if wanted.at_once and idle:
        starts = datetime.now(UTC).replace(second=0, microsecond=0) + _MINUTE
        ends = max(wanted.ends, starts + wanted.length)
        for rule in idle:
            put_rule(cloud, replace(rule, starts=starts, length=min(ends - starts, LONGEST)))
            found[rule.name] = find_rule(cloud, rule.name)
    rules = []
    for name, deployed in found.items():
        if deployed is None or deployed.status is RuleStatus.EXPIRED:
            raise CloudError(f"CloudWatch took mute rule {name} but it mutes nothing; look at it in the console")
        rules.append(deployed)
    return Muted(tuple(rules), starts, min(ends, starts + LONGEST), late=starts != wanted.starts)


def list_mutes(cloud: Cloud, environment: str) -> Mutes:
    """The mute rules that matter to an environment.  Raises CloudError."""
    listed = list_rules(cloud)
    ours, others = [], []
    for rule in listed:
        if rule.status is RuleStatus.EXPIRED:
            continue
        deployed = find_rule(cloud, rule.name) if _system_in(environment, rule.name) else None
        if deployed is not None and _is_ours(environment, deployed):
            ours.append(deployed)
        elif not re.search(rf"-tocsin-.*{_NAME}$", rule.name):  # that of another environment
            others.append(rule)
    return Mutes(tuple(ours), tuple(others), _outdated(cloud, environment, listed))


def find_mute(cloud: Cloud, environment: str, name: str) -> tuple[DeployedRule, ...]:
    """The rules a name stands for: one rule, or all that were made with one command when its number is left off.

    Raises InputError for a name that is none of ours.
    """
    listed = [rule.name for rule in list_rules(cloud)]
    meant = [one for one in listed if one == name or re.fullmatch(re.escape(name) + r"-[0-9]+", one)]
    rules = [rule for one in meant if _system_in(environment, one) if (rule := find_rule(cloud, one)) is not None]
    if not rules or not all(_is_ours(environment, rule) for rule in rules):
        known = [one for one in listed if _system_in(environment, one)]
        if meant:
            raise InputError(f"mute rule {name} was not made by `tocsin mute {environment}`; end it where it was made")
        raise InputError(f"no mute rule {name!r} in {environment}; {nearest(name, known)}")
    return tuple(rules)


def end_mute(cloud: Cloud, environment: str, rules: Sequence[DeployedRule]) -> tuple[DeployedAlarm, ...]:
    """Delete the rules; the alarms of theirs that are in ALARM, which tell at once.  Raises CloudError."""
    muted = {name for rule in rules for name in rule.alarms}
    ringing = tuple(
        alarm
        for alarm in list_alarms(cloud, f"{environment}-")
        if alarm.name in muted and alarm.state is AlarmState.ALARM
    )
    for rule in rules:
        delete_rule(cloud, rule.name)
    for name in _outdated(cloud, environment, list_rules(cloud)):
        delete_rule(cloud, name)
    return ringing


def system_of(rule: DeployedRule | MuteRule, environment: str) -> str:
    """The system that a rule of ours mutes."""
    return _system_in(environment, rule.name) or ""


def _span(length: timedelta, now: datetime, starts: datetime | None) -> tuple[datetime, datetime]:
    if not SHORTEST <= length <= LONGEST:
        raise InputError(
            f"--for {format_duration(length)}: AWS mutes for {format_duration(SHORTEST)} to {format_duration(LONGEST)}"
        )
    if starts is not None and starts < now - _MINUTE:
        raise InputError(f"--starts {starts.isoformat()} is over; leave it out to begin now")
    try:
        begin = (starts or now).astimezone(UTC)
        first = begin.replace(second=0, microsecond=0)
        last = (begin + length).replace(second=0, microsecond=0)
        if last < begin + length:
            last += _MINUTE
        return first, min(last, first + LONGEST)
    except OverflowError:
        raise InputError(
            f"--starts {(starts or now).isoformat()}: the calendar ends before that mute does; begin earlier"
        ) from None


def _free(stem: str, taken: Collection[str]) -> str:
    """The stem, numbered where rules have it already: a rule that is put under a name that is taken replaces it."""
    for number in itertools.count(1):
        free = stem if number == 1 else f"{stem}_{number}"
        if not any(name.startswith(f"{free}-") for name in taken):
            return free
    raise AssertionError("numbers do not end")


def _alarms_of(cloud: Cloud, environment: str, system: str, names: Sequence[str]) -> tuple[DeployedAlarm, ...]:
    """The alarms of the system that tell somebody, or those of ``names``."""
    found = list_alarms(cloud, f"{environment}-{system}-")
    telling = {alarm.name: alarm for alarm in found if alarm.tells and _system(alarm) == system}
    silent = {alarm.name for alarm in found if not alarm.tells}
    if not telling:
        systems = {one for alarm in list_alarms(cloud, f"{environment}-") if alarm.tells and (one := _system(alarm))}
        raise InputError(f"no alarm of system {system!r} in {environment} tells anybody; {nearest(system, systems)}")
    for name in names:
        if name in silent:
            raise InputError(f"--alarm {name} tells nobody, so there is nothing to mute; {nearest(name, telling)}")
        if name not in telling:
            raise InputError(f"no alarm {name!r} of system {system} in {environment}; {nearest(name, telling)}")
    return tuple(telling[name] for name in sorted(set(names) or telling))


def _system(alarm: DeployedAlarm) -> str | None:
    """The system that the description names: names of systems may begin with one another."""
    match = _SYSTEM.search(alarm.description)
    return match[1] if match else None


def _mark(environment: str, system: str) -> str:
    return f"Muted by Tocsin: {system} of {environment}."


def _system_in(environment: str, name: str) -> str | None:
    match = re.fullmatch(rf"{re.escape(environment)}-tocsin-([a-z][a-z0-9_-]*?){_NAME}", name)
    return match[1] if match else None


def _is_ours(environment: str, rule: DeployedRule) -> bool:
    system = _system_in(environment, rule.name)
    return system is not None and rule.description.endswith(_mark(environment, system))


def _outdated(cloud: Cloud, environment: str, listed: Sequence[ListedRule]) -> tuple[str, ...]:
    """Rules of ours that are over; what people made under such a name lacks the mark."""
    return tuple(
        one.name
        for one in listed
        if one.status is RuleStatus.EXPIRED and _system_in(environment, one.name) is not None
        if (rule := find_rule(cloud, one.name)) is not None and _is_ours(environment, rule)
    )
