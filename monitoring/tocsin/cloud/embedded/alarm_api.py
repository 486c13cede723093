"""The alarm calls of CloudWatch's API: what ministack drops is kept, what it decides itself is left to `Alarms`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import SimulationError
from .alarm_records import alarm_of, describe
from .alarms import Alarms
from .base import service

_SUPPRESSOR = ("ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod")
_MAX_ACTIONS = 5
Response = tuple[int, dict[str, str], bytes]


def install(alarms: Alarms) -> None:
    """Replace PutMetricAlarm, PutCompositeAlarm, SetAlarmState and DeleteAlarms, and switch off ministack's evaluation."""
    cloudwatch = service("cloudwatch")
    calls = _Calls(alarms, cloudwatch)
    for name in ("_evaluate_alarm", "_evaluate_all_alarms", "_evaluate_parent_alarms", "_transition_composite"):
        setattr(cloudwatch, name, _nothing)
    for name in ("_record_history", "_dispatch_alarm_actions"):
        setattr(cloudwatch, name, _nothing)
    cloudwatch._composite_rule_state = alarms.truth
    cloudwatch._put_metric_alarm = calls.put_metric_alarm
    cloudwatch._put_composite_alarm = calls.put_composite_alarm
    cloudwatch._set_alarm_state = calls.set_alarm_state
    cloudwatch._delete_alarms = calls.delete_alarms


def _nothing(*_arguments: Any, **_options: Any) -> None:
    """Stands where ministack would evaluate, record or act by itself."""


class _Calls:
    def __init__(self, alarms: Alarms, cloudwatch: Any) -> None:
        self._alarms = alarms
        self._cloudwatch = cloudwatch
        self._put_metric = cloudwatch._put_metric_alarm
        self._put_composite = cloudwatch._put_composite_alarm
        self._set_state = cloudwatch._set_alarm_state
        self._delete = cloudwatch._delete_alarms

    def put_metric_alarm(self, params: Any, data: dict[str, Any], is_cbor: bool, is_json: bool = False) -> Response:
        """PutMetricAlarm, refusing what could not be evaluated later."""
        modern = is_cbor or is_json
        if modern:
            try:
                _check_actions(data)
                alarm_of(data)
            except SimulationError as error:
                return self._refuse(str(error), is_cbor, is_json)
        elif "Metrics.member.1.Id" in params:
            return self._refuse("Metrics is understood in the JSON and CBOR protocols only", is_cbor, is_json)
        name = data.get("AlarmName") if modern else self._cloudwatch._p(params, "AlarmName")
        with self._alarms.change():
            new = name not in self._cloudwatch._alarms
            response: Response = self._put_metric(params, data, is_cbor, is_json)
            if response[0] < 400:
                record = self._cloudwatch._alarms[name]
                describe(record, data if modern else {})
                self._alarms.configuration_changed(record, "created" if new else "updated")
        return response

    def put_composite_alarm(self, params: Any, data: dict[str, Any], is_cbor: bool, is_json: bool = False) -> Response:
        """PutCompositeAlarm, with its suppressor."""
        modern = is_cbor or is_json
        name = data.get("AlarmName", "") if modern else self._cloudwatch._p(params, "AlarmName")
        suppressor = {field: data[field] for field in _SUPPRESSOR if data.get(field) is not None} if modern else {}
        try:
            _check_actions(data)
            self._check_suppressor(suppressor)
        except SimulationError as error:
            return self._refuse(str(error), is_cbor, is_json)
        with self._alarms.change():
            new = name not in self._cloudwatch._composite_alarms
            response: Response = self._put_composite(params, data, is_cbor, is_json)
            if response[0] < 400:
                record = self._cloudwatch._composite_alarms[name]
                record.update(suppressor)
                self._alarms.configuration_changed(record, "created" if new else "updated")
                self._alarms.created(record)
        return response

    def set_alarm_state(self, params: Any, data: dict[str, Any], is_cbor: bool, is_json: bool = False) -> Response:
        """SetAlarmState; the alarm's own evaluation corrects it later, as at AWS."""
        modern = is_cbor or is_json
        name, state, reason, reason_data = (
            (data.get(field) or "") if modern else self._cloudwatch._p(params, field)
            for field in ("AlarmName", "StateValue", "StateReason", "StateReasonData")
        )
        record = self._cloudwatch._alarms.get(name) or self._cloudwatch._composite_alarms.get(name)
        if record is None:
            refusal: Response = self._set_state(params, data, is_cbor, is_json)
            return refusal
        if state not in ("OK", "ALARM", "INSUFFICIENT_DATA"):
            return self._refuse(f"StateValue {state!r} is none of OK, ALARM, INSUFFICIENT_DATA", is_cbor, is_json)
        with self._alarms.change():
            self._alarms.set_state(record, state, reason, reason_data)
        return self._empty("SetAlarmState", is_cbor, is_json)

    def delete_alarms(self, params: Any, data: dict[str, Any], is_cbor: bool, is_json: bool = False) -> Response:
        """DeleteAlarms, which also stays in the history."""
        with self._alarms.change():
            before = {**dict(self._cloudwatch._alarms.items()), **dict(self._cloudwatch._composite_alarms.items())}
            response: Response = self._delete(params, data, is_cbor, is_json)
            for name, record in before.items():
                if name not in self._cloudwatch._alarms and name not in self._cloudwatch._composite_alarms:
                    self._alarms.configuration_changed(record, "deleted")
        return response

    def _check_suppressor(self, fields: Mapping[str, Any]) -> None:
        if "ActionsSuppressor" not in fields:
            return
        for field in _SUPPRESSOR[1:]:
            if field not in fields:
                raise SimulationError(f"{field} is required with ActionsSuppressor")
        name = self._cloudwatch._rule_ref_name(fields["ActionsSuppressor"])
        if name not in self._cloudwatch._alarms and name not in self._cloudwatch._composite_alarms:
            raise SimulationError(f"ActionsSuppressor {fields['ActionsSuppressor']} does not exist")

    def _refuse(self, message: str, is_cbor: bool, is_json: bool) -> Response:
        refusal: Response = self._cloudwatch._error("ValidationError", message, 400, use_json=is_json, use_cbor=is_cbor)
        return refusal

    def _empty(self, action: str, is_cbor: bool, is_json: bool) -> Response:
        answer: Response = (
            self._cloudwatch._cbor_ok({})
            if is_cbor
            else self._cloudwatch._json_ok({})
            if is_json
            else self._cloudwatch._xml(200, f"{action}Response", "")
        )
        return answer


def _check_actions(data: Mapping[str, Any]) -> None:
    for field in ("AlarmActions", "OKActions", "InsufficientDataActions"):
        if len(data.get(field) or ()) > _MAX_ACTIONS:
            raise SimulationError(f"{field} holds more than {_MAX_ACTIONS} actions")
