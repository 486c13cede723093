"""The mute rule calls of CloudWatch's API, and AWS::CloudWatch::AlarmMuteRule.

Source: CloudWatch API reference, PutAlarmMuteRule, GetAlarmMuteRule, ListAlarmMuteRules, DeleteAlarmMuteRule; AWS
CloudFormation template reference, AWS::CloudWatch::AlarmMuteRule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from ...errors import SimulationError
from .alarms import Alarms
from .base import here, service
from .clock import Clock
from .mutes import STATUSES, LimitExceeded, StoredRule
from .protocols import Call, Moment, Response, read_call

TYPE = "AWS::CloudWatch::AlarmMuteRule"
_DEFAULT_PAGE, _LARGEST_PAGE = 50, 100


def install(alarms: Alarms, clock: Clock) -> None:
    """Answer the four calls, let rules be tagged, and add the CloudFormation type."""
    calls = _Calls(alarms, clock)
    handlers: dict[str, Any] = import_module("ministack.app").SERVICE_HANDLERS
    handle = handlers["monitoring"]

    async def handler(method: str, path: str, headers: dict[str, str], body: bytes, parameters: Any) -> Any:
        if b"AlarmMuteRule" in body or "AlarmMuteRule" in path + headers.get("x-amz-target", ""):
            call = read_call(path, headers, body, parameters)
            if call.operation in calls.by_name:
                return calls.run(call)
        return await handle(method, path, headers, body, parameters)

    handlers["monitoring"] = handler
    cloudwatch = service("cloudwatch")
    validate = cloudwatch._validate_alarm_tag_arn

    def validate_tagged(arn: str, is_json: bool = False, is_cbor: bool = False) -> Any:
        if calls.tagged(arn):
            return None
        return validate(arn, is_json=is_json, is_cbor=is_cbor)

    cloudwatch._validate_alarm_tag_arn = validate_tagged
    provisioners = service("cloudformation").provisioners
    provisioners._RESOURCE_HANDLERS[TYPE] = calls.handler()
    provisioners._STACK_TAG_PROPERTY[TYPE] = ("Tags", "list")
    provisioners._REPLACING_PROPERTIES[TYPE] = ("Name",)


class _Calls:
    def __init__(self, alarms: Alarms, clock: Clock) -> None:
        self._alarms = alarms
        self._rules = alarms.mute_rules
        self._clock = clock
        self.by_name: Mapping[str, Callable[[Call], Response]] = {
            "PutAlarmMuteRule": self._put,
            "GetAlarmMuteRule": self._get,
            "ListAlarmMuteRules": self._list,
            "DeleteAlarmMuteRule": self._delete,
        }

    def run(self, call: Call) -> Response:
        """Answer one call."""
        try:
            return self.by_name[call.operation](call)
        except LimitExceeded as error:
            return call.refuse("LimitExceeded", str(error))
        except SimulationError as error:
            return call.refuse("ValidationError", str(error))

    def tagged(self, arn: str) -> bool:
        """Whether this is the ARN of a rule that is there."""
        return any(each.arn == arn for each in self._rules.ordered())

    def put(self, request: Mapping[str, Any]) -> StoredRule:
        """Store a rule and its tags; what it no longer mutes acts at once.  Raises SimulationError or LimitExceeded."""
        cloudwatch = service("cloudwatch")
        with self._alarms.change():
            known = {*cloudwatch._alarms.keys(), *cloudwatch._composite_alarms.keys()}
            new = self._rules.get(str(request.get("Name") or "")) is None
            stored = self._rules.put(request, known, self._clock.time())
            if request.get("Tags") and new:
                cloudwatch._resource_tags[stored.arn] = {
                    tag["Key"]: str(tag.get("Value", "")) for tag in request["Tags"]
                }
        return stored

    def delete(self, name: str) -> None:
        """Forget a rule; what it muted acts at once."""
        with self._alarms.change():
            stored = self._rules.delete(name)
            if stored is not None:
                service("cloudwatch")._resource_tags.pop(stored.arn, None)

    def _put(self, call: Call) -> Response:
        self.put(call.request)
        return call.answer()

    def _delete(self, call: Call) -> Response:
        self.delete(_named(call))
        return call.answer()

    def _get(self, call: Call) -> Response:
        name = _named(call)
        stored = self._rules.get(name)
        if stored is None:
            return call.refuse("ResourceNotFoundException", f"Alarm mute rule {name} does not exist", 404)
        request = stored.request
        return call.answer(
            {
                "Name": stored.name,
                "AlarmMuteRuleArn": stored.arn,
                "Description": request.get("Description"),
                "Rule": {"Schedule": dict(request["Rule"]["Schedule"])},
                "MuteTargets": {"AlarmNames": list(stored.rule.alarms)} if request.get("MuteTargets") else None,
                "StartDate": None if stored.starts is None else Moment(stored.starts),
                **self._summary(stored),
            }
        )

    def _list(self, call: Call) -> Response:
        wanted = tuple(call.request.get("Statuses") or ())
        if unknown := sorted(set(wanted) - set(STATUSES)):
            raise SimulationError(f"Statuses holds {unknown[0]!r}; it is one of {', '.join(STATUSES)}")
        size = int(call.request.get("MaxRecords") or _DEFAULT_PAGE)
        if not 1 <= size <= _LARGEST_PAGE:
            raise SimulationError(f"MaxRecords lies between 1 and {_LARGEST_PAGE}, not {size}")
        alarm, after = call.request.get("AlarmName"), ""
        if token := call.request.get("NextToken"):
            decoded = service("cloudwatch")._decode_page_token(str(token))
            if decoded is None:
                return call.refuse("InvalidNextToken", "Invalid NextToken")
            after = decoded
        now = self._clock.time()
        found = [
            each
            for each in self._rules.ordered()
            if each.name > after
            and (not alarm or alarm in each.rule.alarms)
            and (not wanted or each.status(now) in wanted)
        ]
        page = found[:size]
        more = service("cloudwatch")._encode_page_token(page[-1].name) if len(found) > size else None
        summaries = [{"AlarmMuteRuleArn": each.arn, **self._summary(each)} for each in page]
        return call.answer({"AlarmMuteRuleSummaries": summaries, "NextToken": more})

    def _summary(self, stored: StoredRule) -> dict[str, Any]:
        return {
            "ExpireDate": None if stored.expires is None else Moment(stored.expires),
            "Status": stored.status(self._clock.time()),
            "LastUpdatedTimestamp": Moment(stored.updated),
            "MuteType": stored.kind,
        }

    def handler(self) -> dict[str, Any]:
        """The CloudFormation handler: Ref is the name; everything but the name changes in place."""
        provisioners = service("cloudformation").provisioners

        def made(properties: Mapping[str, Any], name: str) -> tuple[str, dict[str, Any]]:
            request = {key: value for key, value in properties.items() if value not in (None, "")}
            try:
                stored = self.put({**request, "Name": name})
            except SimulationError as error:
                raise ValueError(str(error)) from None
            tags = {tag["Key"]: str(tag.get("Value", "")) for tag in properties.get("Tags") or ()}
            service("cloudwatch")._resource_tags[stored.arn] = tags
            summary = self._summary(stored)
            written = {"Arn": stored.arn, "Status": summary["Status"], "MuteType": summary["MuteType"]}
            return name, {**written, "LastUpdatedTimestamp": str(int(stored.updated))}

        def name_of(logical_id: str, properties: Mapping[str, Any], stack: str) -> str:
            return str(properties.get("Name") or provisioners._physical_name(stack, logical_id, max_len=255))

        def create(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
            name = name_of(logical_id, properties, stack)
            if self._rules.get(name) is not None:
                raise ValueError(f"alarm mute rule {name} already exists")
            return made(properties, name)

        def update(physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical_id: str = "") -> Any:
            result = made(new, name_of(logical_id or physical_id, new, stack))
            if result[0] != physical_id:
                provisioners._delete_predecessor(remove, physical_id, old)
            return result

        def remove(physical_id: str, _properties: dict[str, Any]) -> None:
            self.delete(physical_id)

        return {"create": create, "update": update, "update_with_logical_id": True, "delete": remove}


def _named(call: Call) -> str:
    name = str(call.request.get("AlarmMuteRuleName") or "")
    if not 1 <= len(name) <= 255:
        raise SimulationError("AlarmMuteRuleName has 1 to 255 characters")
    return name


def arns(request: Mapping[str, Any]) -> tuple[str, ...]:
    """What a call on mute rules is authorized on: the rule, and each alarm that PutAlarmMuteRule names."""
    account, region = here()
    base = f"arn:aws:cloudwatch:{region}:{account}"
    name = request.get("Name") or request.get("AlarmMuteRuleName") or "*"
    alarms = (request.get("MuteTargets") or {}).get("AlarmNames") or ()
    return (f"{base}:alarm-mute-rule:{name}", *(f"{base}:alarm:{each}" for each in alarms))
