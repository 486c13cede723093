"""A drill: forces an alarm, follows it to the on-call tool and back, and leaves everything as it was.

The alarm is forced with SetAlarmState, so its actions run as they would for the real thing.  A composite alarm keeps a
state that is set until one of the alarms in its rule changes; so it is always set back, whatever goes wrong.  And so what
began for real during the drill would be told nobody: it is looked for, and told.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn, TypeVar

from ..alarm import AlarmState
from ..cloud.alarm_states import ActionRun, DeployedAlarm, actions_run, require_alarm, set_state
from ..cloud.session import Cloud
from ..errors import CloudError, InputError, PagingError, TocsinError
from ..paging.alert import Alert
from ..paging.alert_promise import differences
from ..paging.declared import Way
from ..paging.drill_marks import DrillRun, drill_reason
from ..paging.tool import OnCallTool, ToolAlert
from .before_drill import refuse_waking, rings_for_real
from .drill_runs import refuse_running, running
from .undisturbed import undisturbed
from .web import Answer, visit

_FORCED = "the alarm is set to ALARM"
_ACTIONS = "CloudWatch tells the topic"
_OPENED = "SNS delivers, {tool} opens an alert"
_BACK = "the alarm is set back"
_END_TOLD = "CloudWatch tells the topic of the end"
_CLOSED = "SNS delivers, {tool} closes the alert"
_PUT_BACK = "everything is put back"
_Found = TypeVar("_Found")
_SHOWN_BY_ALL = ("alias", "priority", "reason", "runbook", "dashboard")


@dataclass(frozen=True, slots=True)
class Hop:
    """One part of the way.  ``seconds`` since the hop before; ``problem`` says why it failed, empty when it did not."""

    name: str
    seconds: float
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Drill:
    """What a drill found.

    ``as_promised`` are the fields of the alert that are as the committed files promise, ``different`` a line for each
    that is not.  ``left`` is what could not be put back, with what to do.
    """

    alarm: str
    hops: tuple[Hop, ...]
    as_promised: tuple[str, ...] = ()
    different: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the page arrived, said what it should, and is over."""
        return not self.different and not self.left and not any(hop.problem for hop in self.hops)

    @property
    def failed_hop(self) -> str:
        """The name of the hop that failed; empty when none did."""
        return next((hop.name for hop in self.hops if hop.problem), "")


@dataclass(frozen=True, slots=True)
class Course:
    """How to follow: ``timeout`` seconds for each hop, a look each ``pause`` seconds.

    When the way ends early, an alert that may still come is waited for ``grace`` seconds.
    """

    timeout: float = 120.0
    pause: float = 1.0
    grace: float = 5.0
    page: bool = False
    because: str = "`tocsin drill` follows this page to whoever is on call"

    @property
    def longest(self) -> float:
        """Seconds that a drill takes at most: its hops, four of which are waited for, and what is asked in between."""
        return 4 * self.timeout + self.grace + 300.0


Promised = Callable[[str, datetime], Alert]
"""What the committed files promise of the alert, given the reason the alarm is forced with and when it changed."""


class _HopFailedError(Exception):
    """The way ends here."""


def drill(
    cloud: Cloud,
    tool: OnCallTool,
    alarm: DeployedAlarm,
    way: Way,
    promised: Promised,
    course: Course = Course(),
    *,
    progress: Callable[[Hop], None] = lambda hop: None,
    ask: Callable[[str], Answer] = visit,
) -> Drill:
    """Force ``alarm``, follow its page there and back, and say what was found.

    ``alarm`` is what `refuse_unfit` let through.  In every case, KeyboardInterrupt and SystemExit included, the alarm is
    set back and the alert closed.  Raises InputError as `refuse_waking` does and for an alarm that is in ALARM by now, and
    CloudError and PagingError for what is neither a hop nor a field.
    """
    refuse_waking(tool, page=course.page)
    as_promised: tuple[str, ...] = ()
    different: tuple[str, ...] = ()
    with running(course.longest) as this:
        run = _Run(cloud, tool, alarm, course, this, progress)
        try:
            try:
                alert = run.there()
                as_promised, different = _compare(promised(run.reason, run.changed_at), alert, way, ask)
                run.back_again()
            finally:
                left = run.put_back()
        except _HopFailedError:
            pass
    return Drill(alarm.name, tuple(run.hops), as_promised, different, left)


class _Run:
    """One drill on its way."""

    def __init__(
        self,
        cloud: Cloud,
        tool: OnCallTool,
        alarm: DeployedAlarm,
        course: Course,
        run: DrillRun,
        progress: Callable[[Hop], None],
    ) -> None:
        self._cloud, self._tool, self._alarm, self._course, self._progress = cloud, tool, alarm, course, progress
        self.reason = drill_reason(course.because, page=course.page, run=run)
        self._back_reason = drill_reason("the drill is over", page=course.page)
        self.changed_at = alarm.since
        self.hops: list[Hop] = []
        self._forced = self._told = self._arrived = self._over = False
        self._before: ToolAlert | None = None
        self._last = time.monotonic()

    def there(self) -> ToolAlert:
        """From the alarm to the alert."""
        name = self._alarm.name
        self._before = self._tool.find_alert(name)
        told = frozenset(actions_run(self._cloud, name))
        now = require_alarm(self._cloud, name)
        refuse_running(now, self._before)
        if now.state is AlarmState.ALARM:
            raise InputError(f"alarm {name} is in ALARM by now: {now.reason}; take another")
        self._last = time.monotonic()
        self._forced = True  # before it is true: cut off in between, setting back is no harm
        self._set(_FORCED, AlarmState.ALARM, self.reason)
        self._told = True  # as far as is known: what CloudWatch tells is on its way from here on
        self._wait_for_actions(_ACTIONS, self._alarm.alarm_actions, told)
        self.changed_at = require_alarm(self._cloud, name).since
        alert = self._wait(_OPENED.format(tool=self._tool.name), self._opened, "no alert of that alias has come")
        self._arrived = True
        return alert

    def back_again(self) -> None:
        """From the end of the alarm to the end of the alert."""
        name = self._alarm.name
        told = frozenset(actions_run(self._cloud, name))
        self._last = time.monotonic()
        self._set(_BACK, AlarmState.OK, self._back_reason)
        self._wait_for_actions(_END_TOLD, self._alarm.ok_actions, told)
        self._wait(_CLOSED.format(tool=self._tool.name), self._closed, "the alert is still open")
        self._over = True

    def put_back(self) -> tuple[str, ...]:
        """Whatever happened: the alarm as it was, no alert open.  Returns what could not be done."""
        if not self._forced:
            return ()
        left = []
        rings = False
        with undisturbed():
            name = self._alarm.name
            try:
                if not self._over:
                    set_state(self._cloud, name, AlarmState.OK, self._back_reason)
                if self._alarm.state is AlarmState.INSUFFICIENT_DATA:
                    set_state(self._cloud, name, self._alarm.state, "As it was before the drill.")
                rings = self._alarm.composite and rings_for_real(self._cloud, self._alarm)
            except CloudError as error:
                command = (
                    f"aws cloudwatch set-alarm-state --alarm-name {name} --state-value OK --state-reason 'drill over'"
                )
                left.append(f"the alarm could not be set back ({error}); run: {command}")
            try:
                if not self._over and not self._close():
                    left.append(f"no alert to close has come yet; should one come, close {name} in {self._tool.name}")
            except PagingError as error:
                left.append(f"the alert may still be open ({error}); close {name} in {self._tool.name}")
            if rings:  # only now: the end of the drill would close its alert
                left.append(self._ring())
        for problem in left:  # an exception on its way would hide the result
            self._progress(Hop(_PUT_BACK, 0.0, problem))
        return tuple(left)

    def _ring(self) -> str:
        name = self._alarm.name
        try:
            set_state(self._cloud, name, AlarmState.ALARM, "Its rule has been true since a drill of it was under way.")
        except CloudError as error:
            return f"{name} BEGAN TO RING FOR REAL during the drill, and could not be told ({error}): look at it now"
        return f"{name} began to ring for real during the drill: it is in ALARM now, and its page on the way"

    def _close(self) -> bool:
        """Close the drill's alert; SNS may still be trying to deliver what opens it, and the end may overtake that."""
        if self._opened() is None and (self._arrived or not self._told):
            return True
        end = time.monotonic() + self._course.grace
        while self._opened() is None:
            if time.monotonic() >= end:
                return False
            time.sleep(self._course.pause)
        self._tool.close_alert(self._alarm.name, "The drill is over.")
        return True

    def _opened(self) -> ToolAlert | None:
        """The drill's alert while it is open: not one that was there before."""
        found = self._tool.find_alert(self._alarm.name)
        if found is None or not found.open or (self._before is not None and found.id == self._before.id):
            return None
        return found

    def _closed(self) -> ToolAlert | None:
        found = self._tool.find_alert(self._alarm.name)
        return found if found is not None and not found.open else None

    def _wait_for_actions(self, hop: str, actions: tuple[str, ...], before: frozenset[ActionRun]) -> None:
        topics = [action for action in actions if ":sns:" in action]

        def told() -> bool | None:
            runs = [run for run in actions_run(self._cloud, self._alarm.name) if run not in before]
            for run in runs:
                if not run.succeeded:
                    self._told = self._arrived
                    self._fail(hop, run.summary)
            return all(any(topic in run.summary for run in runs) for topic in topics) or None

        self._wait(hop, told, "the alarm's history shows no action")

    def _wait(self, hop: str, look: Callable[[], _Found | None], problem: str) -> _Found:
        end = time.monotonic() + self._course.timeout
        while True:
            try:
                found = look()
            except TocsinError as error:
                self._fail(hop, str(error))
            if found is not None:
                self._done(hop)
                return found
            if time.monotonic() >= end:
                self._fail(hop, f"{problem} within {self._course.timeout:g} s")
            time.sleep(self._course.pause)

    def _set(self, hop: str, state: AlarmState, reason: str) -> None:
        try:
            set_state(self._cloud, self._alarm.name, state, reason)
        except CloudError as error:
            self._fail(hop, str(error))
        self._done(hop)

    def _done(self, hop: str) -> None:
        now = time.monotonic()
        one = Hop(hop, now - self._last)
        self._last = now
        self.hops.append(one)
        self._progress(one)

    def _fail(self, hop: str, problem: str) -> NoReturn:
        one = Hop(hop, time.monotonic() - self._last, problem)
        self.hops.append(one)
        self._progress(one)
        raise _HopFailedError


def _compare(
    expected: Alert, told: ToolAlert, way: Way, ask: Callable[[str], Answer]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields that are as promised, and a line for each that is not."""
    lines = list(differences(expected, told, way))
    fields = list(_SHOWN_BY_ALL)
    if way is Way.FORWARDER:
        fields += ["message", "tags", *(name for name in expected.details if name not in (*fields, "changed at"))]
    runbook = expected.details.get("runbook", "")
    if runbook.startswith(("http://", "https://")):
        answer = ask(runbook)
        if not 200 <= answer.status < 400:
            lines.append(f"runbook: {runbook} cannot be read: {answer.problem}")
    wrong = {word for line in lines for word in line.replace("description: ", "").split(" ", 1)[0].split(":")}
    return tuple(field for field in fields if field.split(" ")[0] not in wrong), tuple(lines)
