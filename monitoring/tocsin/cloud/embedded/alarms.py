"""Alarms: states from `tocsin.simulate` over the recorded metrics, each simulated minute, instead of ministack's own.

A round evaluates the metric alarms that are due, then the composite alarms over them, then the waits of suppressed and
muted actions.  States change through one function, which SetAlarmState uses too, so that history and actions follow
whoever changed them.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from ...alarm import Alarm, AlarmState
from ...errors import SimulationError
from ...simulate.composite import evaluate_rule, names_in, parse_rule
from ...simulate.metric_alarm import Evaluation, evaluate, is_due
from ...simulate.suppression import ActionGate, Release
from . import notifications
from .alarm_actions import AlarmActions, write_history
from .alarm_records import alarm_of
from .base import here, scope, service
from .mutes import MuteRules
from .parts import Parts

_log = logging.getLogger("tocsin.alarms")


class Alarms:
    """The alarms of every account and region, kept in ministack's own store."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._cloudwatch = service("cloudwatch")
        # One round or one API call changes states at a time.
        self._lock = threading.RLock()
        self._values: dict[str, tuple[dict[str, Any], Alarm]] = {}
        self._gates: dict[str, ActionGate] = {}
        self._last_change: dict[str, tuple[str, float, list[dict[str, Any]]]] = {}
        self._changed: deque[str] = deque()
        self._actions = AlarmActions(parts)
        self.mute_rules = MuteRules()
        # By ARN: the state whose actions a mute holds back.
        self._held: dict[str, str] = {}

    def round(self, at: datetime) -> None:
        """Evaluate everything that is due at ``at``, in every account and region.

        Between full minutes only the alarms with a period below a minute are due (CloudWatch user guide, "Alarm
        evaluation").
        """
        stores = (self._cloudwatch._alarms, self._cloudwatch._composite_alarms)
        for account, region in sorted({key[:2] for store in stores for key in list(store._data)}):
            with scope(account, region):
                # The calculation needs no lock, so that calls of the API do not wait for it.
                verdicts = self._evaluate_metric_alarms(at)
                with self.change(at.timestamp()):
                    for record, verdict in verdicts:
                        still_there = self._cloudwatch._alarms.get(record["AlarmName"]) is record
                        if still_there and str(verdict.state) != record["StateValue"]:
                            state, reason = str(verdict.state), verdict.reason
                            self.set_state(record, state, reason, verdict.reason_data, at.timestamp())

    def quick(self) -> bool:
        """True if some alarm is evaluated more often than each minute."""
        return any(
            (record.get("Period") or 60) < 60 for record in list(self._cloudwatch._alarms._data.values())
        ) or any(
            query.get("MetricStat", {}).get("Period", 60) < 60
            for record in list(self._cloudwatch._alarms._data.values())
            for query in record.get("Metrics") or ()
        )

    @contextmanager
    def change(self, at: float | None = None) -> Iterator[None]:
        """What happens to alarm states inside is followed up at the end: composites, suppressors, actions."""
        with self._lock:
            yield
            self._follow_up(self._parts.clock.time() if at is None else at)

    def set_state(
        self, record: dict[str, Any], state: str, reason: str, reason_data: Any = None, at: float | None = None
    ) -> None:
        """Give an alarm a state; inside `change`.  ``reason_data`` is a mapping or JSON text."""
        moment = self._parts.clock.time() if at is None else at
        old = record["StateValue"]
        text = reason_data if isinstance(reason_data, str) else json.dumps(reason_data) if reason_data else ""
        previous = _state_of(record)
        record["StateValue"], record["StateReason"], record["StateUpdatedTimestamp"] = state, reason, moment
        record.pop("StateReasonData", None)
        if text:
            record["StateReasonData"] = text
        if old == state:
            return
        record["StateTransitionedTimestamp"] = moment
        write_history(
            record,
            "StateUpdate",
            f"Alarm updated from {old} to {state}",
            moment,
            {
                "version": "1.0",
                "oldState": previous,
                "newState": _state_of(record),
            },
        )
        self._last_change[record["AlarmArn"]] = (old, moment, [])
        self._changed.append(record["AlarmArn"])

    def created(self, record: dict[str, Any]) -> None:
        """A composite alarm was created or changed: its rule is evaluated at once; inside `change`."""
        # Another suppressor drops a wait or an extension that runs.
        self._gates.pop(record["AlarmArn"], None)
        self._evaluate_composite(record, None, self._parts.clock.time())

    def configuration_changed(self, record: dict[str, Any], what: str) -> None:
        """Write a ConfigurationUpdate ("created", "updated", "deleted") to the alarm's history."""
        composite = "AlarmRule" in record
        write_history(
            record,
            "ConfigurationUpdate",
            f'Alarm "{record["AlarmName"]}" {what}',
            self._parts.clock.time(),
            {
                "version": "1.0",
                "type": "Update" if what == "updated" else what.capitalize().removesuffix("d"),
                "createdOrUpdated": {
                    "alarmName": record["AlarmName"],
                    "alarmType": "Composite" if composite else "Metric",
                },
            },
        )
        if what == "deleted":
            for held in (self._values, self._gates, self._last_change, self._held):
                held.pop(record["AlarmArn"], None)

    def truth(self, record: dict[str, Any]) -> str:
        """ALARM or OK: what a composite alarm's rule says of the present states.  Raises SimulationError."""
        rule = parse_rule(record["AlarmRule"])
        states = {}
        for reference in names_in(rule):
            child = self._record(reference)
            if child is None:
                raise SimulationError(
                    f"alarm {record['AlarmName']}: its rule names {reference!r}, which does not exist"
                )
            states[reference] = AlarmState(child["StateValue"])
        return "ALARM" if evaluate_rule(rule, states) else "OK"

    def _evaluate_metric_alarms(self, at: datetime) -> list[tuple[dict[str, Any], Evaluation]]:
        due = []
        with self._lock:  # An alarm that is being stored is not seen half made.
            for record in self._cloudwatch._alarms.values():
                alarm = self._value(record)
                if alarm and is_due(alarm, at) and (at.second == 0 or alarm.period < 60):
                    due.append((record, alarm))
        verdicts = []
        for record, alarm in due:
            try:
                verdict = evaluate(alarm, self._parts.recorder, at, AlarmState(record["StateValue"]))
            except SimulationError as error:
                _fail(record, error)
            else:
                verdicts.append((record, verdict))
                record.pop("EvaluationState", None)
        return verdicts

    def _value(self, record: dict[str, Any]) -> Alarm | None:
        known = self._values.get(record["AlarmArn"])
        if known is None or known[0] is not record:
            try:
                known = self._values[record["AlarmArn"]] = record, alarm_of(record)
            except SimulationError as error:
                _fail(record, error)
                return None
        return known[1]

    def _follow_up(self, at: float) -> None:
        composites = self._cloudwatch._composite_alarms
        when = datetime.fromtimestamp(at, UTC)
        turns: dict[str, int] = {}
        while self._changed:
            record = self._record(self._changed.popleft())
            if record is None:
                continue
            self._enter(record, when)
            turns[record["AlarmArn"]] = turns.get(record["AlarmArn"], 0) + 1
            for parent in list(composites.values()):
                # A circle of composite alarms would never come to rest; CloudWatch stops evaluating it, too.
                calm = turns.get(parent["AlarmArn"], 0) <= len(composites)
                if calm and record["AlarmName"] in self._cloudwatch._composite_children(parent):
                    self._evaluate_composite(parent, record, at)
                if parent.get("ActionsSuppressor") in (record["AlarmName"], record["AlarmArn"]):
                    gate = self._gate(parent, when)
                    in_alarm = record["StateValue"] == "ALARM"
                    self._run(parent, gate, gate.suppressor_changed(when, in_alarm=in_alarm), when)
        for record in list(composites.values()):
            held = self._gates.get(record["AlarmArn"])
            if held is not None:
                self._run(record, held, held.advance(when), when)
        self._unmute(when)

    def _evaluate_composite(self, record: dict[str, Any], child: dict[str, Any] | None, at: float) -> None:
        try:
            state = self.truth(record)
        except SimulationError as error:
            _log.warning("composite alarm %s is not evaluated: %s", record["AlarmName"], error)
            return
        if state == record["StateValue"]:
            return
        if child is None:
            reason = f"{record['AlarmArn']} was created and its alarm rule evaluates to {state}"
            names = list(self._cloudwatch._matching_children(record, state))
        else:
            when = datetime.fromtimestamp(child["StateUpdatedTimestamp"], UTC)
            reason = f"{child['AlarmArn']} transitioned to {child['StateValue']} at {when:%A %d %B, %Y %H:%M:%S} UTC"
            names = [child["AlarmName"]]
        triggering = [
            {
                "arn": each["AlarmArn"],
                "state": {
                    "value": each["StateValue"],
                    "timestamp": notifications.moment(each["StateUpdatedTimestamp"]),
                },
            }
            for name in names
            if (each := self._cloudwatch._alarms.get(name) or self._cloudwatch._composite_alarms.get(name))
        ]
        self.set_state(record, state, reason, {"triggeringAlarms": triggering}, at)
        old, moment, _ = self._last_change[record["AlarmArn"]]
        children = [
            {"Arn": each["arn"], "State": {"Value": each["state"]["value"], "Timestamp": each["state"]["timestamp"]}}
            for each in triggering
        ]
        self._last_change[record["AlarmArn"]] = (old, moment, children)

    def _enter(self, record: dict[str, Any], when: datetime) -> None:
        """The alarm is in a new state: run its actions, unless a suppressor or a mute holds them."""
        self._held.pop(record["AlarmArn"], None)
        if "AlarmRule" in record:
            gate = self._gate(record, when)
            self._run(record, gate, gate.composite_changed(when, AlarmState(record["StateValue"])), when)
        else:
            self._act(record, when)

    def _gate(self, record: dict[str, Any], when: datetime) -> ActionGate:
        arn = record["AlarmArn"]
        if arn not in self._gates:
            suppressor = self._record(record.get("ActionsSuppressor") or "")
            gate = self._gates[arn] = ActionGate(
                suppressor=suppressor is not None,
                wait=int(record.get("ActionsSuppressorWaitPeriod") or 0),
                extension=int(record.get("ActionsSuppressorExtensionPeriod") or 0),
            )
            if suppressor is not None and suppressor["StateValue"] == "ALARM":
                gate.suppressor_changed(when, in_alarm=True)
        return self._gates[arn]

    def _run(self, record: dict[str, Any], gate: ActionGate, released: tuple[Release, ...], when: datetime) -> None:
        record.pop("ActionsSuppressedBy", None)
        record.pop("ActionsSuppressedReason", None)
        if gate.suppressed_by:
            record["ActionsSuppressedBy"] = str(gate.suppressed_by)
            record["ActionsSuppressedReason"] = f"Actions suppressed by {gate.suppressed_by}"
        for _ in released:
            self._act(record, when)

    def _act(self, record: dict[str, Any], when: datetime) -> None:
        if not record.get("ActionsEnabled", True):
            return
        arn = record["AlarmArn"]
        old, changed_at, children = self._last_change.get(arn, (record["StateValue"], self._parts.clock.time(), []))
        if muted := self.mute_rules.muted(record["AlarmName"], when):
            self._held[arn] = record["StateValue"]
            self._actions.note_muted(record, changed_at, muted)
            return
        self._actions.run(record, old, changed_at, children)

    def _unmute(self, when: datetime) -> None:
        """Run what mutes held back and hold no longer, if the alarm is still in that state and no suppressor holds it."""
        account, region = here()
        for arn, state in list(self._held.items()):
            if arn.split(":")[3:5] != [region, account]:
                continue
            record = self._record(arn)
            if record is None or record["StateValue"] != state:
                del self._held[arn]
                continue
            gate = self._gates.get(arn)
            suppressed = gate is not None and gate.suppressed_by is not None
            if not suppressed and self.mute_rules.muted(record["AlarmName"], when) is None:
                del self._held[arn]
                self._act(record, when)

    def _record(self, reference: str) -> dict[str, Any] | None:
        name = self._cloudwatch._rule_ref_name(reference)
        found: dict[str, Any] | None = self._cloudwatch._alarms.get(name) or self._cloudwatch._composite_alarms.get(
            name
        )
        return found


def _fail(record: dict[str, Any], error: SimulationError) -> None:
    """What DescribeAlarms shows of an alarm that cannot be evaluated; it keeps its state."""
    _log.warning("alarm %s is not evaluated: %s", record["AlarmName"], error)
    record["EvaluationState"] = "EVALUATION_ERROR"


def _state_of(record: dict[str, Any]) -> dict[str, Any]:
    state = {"stateValue": record["StateValue"], "stateReason": record["StateReason"]}
    if record.get("StateReasonData"):
        state["stateReasonData"] = json.loads(record["StateReasonData"])
    return state
