"""CloudWatch's alarm mute rules: list, read, put, delete, and the limits AWS sets.

Limits: CloudWatch API reference, PutAlarmMuteRule (100 alarms a rule, PT1M to P15D, a description of 1,024 characters);
CloudWatch user guide, "CloudWatch service quotas" (2,000 rules in a Region).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from ..errors import CloudError
from .session import Cloud, asking, error_code

MOST_ALARMS = 100
MOST_RULES = 2_000
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=15)
MOST_CHARACTERS = 1_024


class RuleStatus(StrEnum):
    """Whether a rule mutes."""

    SCHEDULED = "SCHEDULED"
    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class ListedRule:
    """A rule as the list tells it.  ``status`` is None for one that AWS does not tell."""

    name: str
    status: RuleStatus | None
    expires: datetime | None


@dataclass(frozen=True, slots=True)
class MuteRule:
    """One rule: ``alarms`` (names) tell nobody from ``starts`` (a full minute, UTC) for ``length`` (full minutes)."""

    name: str
    description: str
    starts: datetime
    length: timedelta
    alarms: tuple[str, ...]

    @property
    def ends(self) -> datetime:
        """When the alarms tell again."""
        return self.starts + self.length


@dataclass(frozen=True, slots=True)
class DeployedRule:
    """A rule as it stands: ``expression`` and ``length`` as AWS writes them, for rules of people, too."""

    name: str
    description: str
    expression: str
    length: str
    status: RuleStatus | None
    expires: datetime | None
    alarms: tuple[str, ...]


def list_rules(
    cloud: Cloud, *, alarm: str | None = None, statuses: Collection[RuleStatus] = ()
) -> tuple[ListedRule, ...]:
    """The rules of the account and region, of all or of one ``alarm``, by name.  Raises CloudError."""
    asked: dict[str, Any] = {"MaxRecords": MOST_ALARMS}
    if alarm is not None:
        asked["AlarmName"] = alarm
    if statuses:
        asked["Statuses"] = [status.value for status in statuses]
    found = []
    with asking("list the alarm mute rules"):
        while True:
            answer = cloud.client("cloudwatch").list_alarm_mute_rules(**asked)
            found += [
                ListedRule(
                    item["AlarmMuteRuleArn"].rpartition(":alarm-mute-rule:")[2],
                    _status(item.get("Status")),
                    item.get("ExpireDate"),
                )
                for item in answer.get("AlarmMuteRuleSummaries") or ()
            ]
            if not answer.get("NextToken"):
                break
            asked["NextToken"] = answer["NextToken"]
    return tuple(sorted(found, key=lambda rule: rule.name))


def find_rule(cloud: Cloud, name: str) -> DeployedRule | None:
    """The rule of that name, or None.  Raises CloudError."""
    with asking(f"read mute rule {name}"):
        try:
            answer = cloud.client("cloudwatch").get_alarm_mute_rule(AlarmMuteRuleName=name)
        except Exception as error:
            if error_code(error) in ("ResourceNotFound", "ResourceNotFoundException"):
                return None
            raise
    schedule = answer["Rule"]["Schedule"]
    return DeployedRule(
        name=answer["Name"],
        description=answer.get("Description") or "",
        expression=schedule["Expression"],
        length=schedule["Duration"],
        status=_status(answer.get("Status")),
        expires=answer.get("ExpireDate"),
        alarms=tuple(sorted((answer.get("MuteTargets") or {}).get("AlarmNames") or ())),
    )


def put_rule(cloud: Cloud, rule: MuteRule) -> None:
    """Make the rule.  Raises CloudError."""
    with asking(f"put mute rule {rule.name}"):
        try:
            cloud.client("cloudwatch").put_alarm_mute_rule(
                Name=rule.name,
                Description=rule.description,
                Rule={
                    "Schedule": {"Expression": f"at({rule.starts:%Y-%m-%dT%H:%M})", "Duration": written(rule.length)}
                },
                MuteTargets={"AlarmNames": list(rule.alarms)},
                ExpireDate=rule.ends,  # without one it would never count as expired
            )
        except Exception as error:
            if error_code(error) in ("LimitExceeded", "LimitExceededFault"):
                raise CloudError(
                    f"cannot put mute rule {rule.name}: {cloud.region} has as many as AWS allows; delete some that are over"
                ) from None
            raise


def delete_rule(cloud: Cloud, name: str) -> None:
    """Delete a rule; what it mutes tells again at once.  One that is gone is no harm.  Raises CloudError."""
    with asking(f"delete mute rule {name}"):
        cloud.client("cloudwatch").delete_alarm_mute_rule(AlarmMuteRuleName=name)


def written(length: timedelta) -> str:
    """A length of full minutes as ISO 8601 writes it: ``PT2H``, ``P1DT30M``."""
    minutes = length // timedelta(minutes=1)
    days, hours, minutes = minutes // 1440, minutes % 1440 // 60, minutes % 60
    time = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "")
    return "P" + (f"{days}D" if days else "") + (f"T{time}" if time else "")


def _status(text: str | None) -> RuleStatus | None:
    try:
        return RuleStatus(text or "")
    except ValueError:
        return None
