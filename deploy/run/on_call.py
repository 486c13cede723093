"""On call on this machine: the tool as deploy/oncall.toml says, and what people are told, by it or by mail."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from deploy.run.stage import ROOT, Stage, in_environment
from tocsin.cloud.committed import Committed
from tocsin.cloud.embedded import EmbeddedAws
from tocsin.cloud.preparation import connect_to
from tocsin.errors import InputError
from tocsin.oncall.apply import apply_oncall, plan_oncall
from tocsin.oncall.opening import declared_for, open_oncall
from tocsin.paging.declared import OnCall
from tocsin.paging.embedded import EmbeddedOnCall, Told
from tocsin.paging.oncall_file import read_oncall

ON_CALL = ROOT / "deploy" / "oncall.toml"
COMMITTED = Committed(ROOT / "alarms", ROOT / "deploy" / "routing.yaml")

_MAILS_SECONDS = 0.1  # between two looks into the mailbox


def people(declared: OnCall) -> tuple[str, ...]:
    """Everybody whom the file names: the users that the tool has to know."""
    return tuple(sorted({member.user for team in declared.teams for member in team.members}))


def key_variable(declared: OnCall) -> str:
    """The variable that the file reads the tool's key from.  Raises InputError for a file that reads it elsewhere."""
    variable = declared.tool.key.variable
    if variable is None:
        raise InputError(
            f"{declared.path}: tool.key: on this machine it must be a variable, for there is no other place"
        )
    return variable


def declaration() -> OnCall:
    """What the committed file says.  Raises InputError."""
    return read_oncall(ON_CALL)


def set_up_on_call(stage: Stage, pager: EmbeddedOnCall) -> Stage:
    """Do what ``tocsin oncall apply`` does, as an administrator.  The stage with an environment that is on call.

    Raises InputError, CloudError and PagingError.
    """
    environment = replace(stage.environment, oncall_url=pager.url)
    wanted = declared_for(ON_CALL, environment)
    with in_environment({key_variable(wanted): pager.key}):
        opened = open_oncall(wanted, environment, connect_to(environment))
    apply_oncall(opened, COMMITTED, plan_oncall(opened, COMMITTED))
    return replace(stage, environment=environment)


@dataclass(frozen=True)
class People:
    """Who is told: those that the on-call tool tells, and those that SNS writes to."""

    pager: EmbeddedOnCall
    aws: EmbeddedAws

    def told(self) -> tuple[Told, ...]:
        """All that they were told so far: what the tool took, then the mails."""
        with self.pager.state.lock:
            received = tuple(self.pager.received)
        return (*received, *self._mailed())

    def wait_for(self, alarm: str, state: str, after: datetime, seconds: float) -> Told | None:
        """The first word that the alarm entered ``state`` at ``after`` or later; None if none comes in real ``seconds``."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if told := self.pager.wait_for(alarm, state, after, _MAILS_SECONDS):
                return told
            for told in self._mailed():
                if (told.alarm, told.state) == (alarm, state) and told.changed_at >= after:
                    return told
        return None

    def still_open(self) -> tuple[str, ...]:
        """The alerts that are open in the tool, and the alarms whose last mail is not of their end; sorted."""
        last = {told.alarm: told.state for told in self._mailed()}
        return tuple(sorted({*self.pager.open_alerts(), *(alarm for alarm, state in last.items() if state == "ALARM")}))

    def _mailed(self) -> tuple[Told, ...]:
        return tuple(_told(mail) for mail in self.aws.mails if mail["kind"] == "notification")


def _told(mail: dict[str, Any]) -> Told:
    alarm = json.loads(mail["body"])
    return Told(
        severity="",
        alarm=alarm["AlarmName"],
        state=alarm["NewStateValue"],
        reason=alarm["NewStateReason"],
        description=alarm.get("AlarmDescription") or "",
        changed_at=_moment(alarm["StateChangeTime"]),
        sent_at=_moment(mail["at"]),
        integration=f"mail to {mail['to']}",
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("+0000", "+00:00")).astimezone(UTC)
