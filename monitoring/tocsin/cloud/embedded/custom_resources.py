"""Custom resources of CloudFormation (``Custom::…``): the function is called, answers to a URL, and a refusal counts.

ministack does the asking; put right here: the URL is on the TLS endpoint that functions use, a function that raised is
not waited for (nobody is left to answer), an answer without a physical id is refused, and what failed to be created is
asked to delete itself, as at AWS.
Source: AWS CloudFormation user guide, "Custom resource request types" and "Custom resource response objects".
"""

from __future__ import annotations

import os
import ssl
from importlib import import_module
from pathlib import Path
from typing import Any

from .base import core, here, service
from .parts import Parts

DEFAULT_TIMEOUT_SECONDS = 3600
Answer = tuple[str, dict[str, Any]]


class Refused(ValueError):  # noqa: N818  # an answer, not our error
    """The function answered FAILED; ``physical_id`` is the one it gave, if any."""

    def __init__(self, reason: str, physical_id: str | None) -> None:
        super().__init__(reason)
        self.physical_id = physical_id


def install(parts: Parts) -> None:
    """Replace how ministack asks the function behind a ServiceToken."""
    _trust(parts)
    module = _module()
    module._gateway_url = lambda: parts.tls_endpoint
    provisioners = service("cloudformation").provisioners
    create = provisioners._custom_resource_create
    # The functions of the provisioners look the name up in the module at each call.
    module.invoke_custom_resource = _ask

    def create_resource(logical_id: str, properties: dict[str, Any], stack: str, kind: str = "") -> Answer:
        kind = kind or "AWS::CloudFormation::CustomResource"
        try:
            made: Answer = create(logical_id, properties, stack, kind)
        except Refused as refused:
            if refused.physical_id:
                _ask(
                    "Delete", logical_id, properties, stack, provisioners._cr_stack_id(stack), kind,
                    physical_id=refused.physical_id,
                )  # fmt: skip
            raise
        return made

    provisioners._custom_resource_create = create_resource
    handlers = provisioners._RESOURCE_HANDLERS
    handlers["AWS::CloudFormation::CustomResource"] = {"create": create_resource}


def _trust(parts: Parts) -> None:
    """Let functions send their answer with any client: what they trust by default includes our authority.

    Worker processes inherit the variable; this process, too, keeps trusting whom it trusted before.
    """
    usual = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    trusted = Path(usual).read_bytes() if usual and Path(usual).is_file() else b""
    bundle = parts.directory / "tls" / "trusted.pem"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_bytes(trusted.rstrip() + b"\n" + parts.authority.ca_file.read_bytes())
    os.environ["SSL_CERT_FILE"] = str(bundle)


def _module() -> Any:
    return import_module("ministack.services.cloudformation.custom_resource")


def _ask(
    request_type: str,
    logical_id: str,
    props: dict[str, Any],
    _stack: str,
    stack_id: str,
    resource_type: str,
    physical_id: str | None = None,
    old_props: dict[str, Any] | None = None,
) -> Answer:
    """Call the function and wait for its answer; the physical id and the attributes.  Raises ValueError.

    Blocks, so it runs in a thread of its own; ``_stack`` is not needed, but part of how ministack calls it.
    """
    custom, functions, token = _module(), service("lambda_svc"), str(props.get("ServiceToken", ""))
    _, region = here()
    if token.startswith("arn:") and token.split(":")[3:4] != [region]:
        raise ValueError(f"ServiceToken {token} must be a function of the stack's region {region}")
    record, config, _ = functions._get_func_record_for_ref(token)
    if record is None or config is None:
        raise ValueError(f"the function of ServiceToken {token} does not exist")
    seconds = _timeout(props)
    answer_id, request_id = (core("responses").new_uuid() for _ in range(2))
    request = {
        "RequestType": request_type,
        "ServiceToken": token,
        "RequestId": request_id,
        "StackId": stack_id,
        "ResponseURL": custom._response_url(answer_id),
        "ResourceType": resource_type,
        "LogicalResourceId": logical_id,
        "ResourceProperties": custom._normalise_resource_properties(props),
    }
    if physical_id is not None:
        request["PhysicalResourceId"] = physical_id
    if old_props is not None:
        request["OldResourceProperties"] = custom._normalise_resource_properties(old_props)
    answered = custom.register_token(answer_id)
    try:
        execution = functions._execution_record_for_config(record, config)
        result = functions._execute_function_with_config_scope(execution, request)
        ended = isinstance(result, dict) and (result.get("error") or result.get("throttle"))
        if not answered.is_set() and ended:
            raise ValueError(f"The function of {logical_id} ended without an answer: {_reason(result)}")
        if not answered.wait(seconds):
            raise ValueError(
                "CloudFormation did not receive a response from your Custom Resource within "
                f"{seconds} seconds. Please check your logs for requestId [{request_id}]."
            )
        answer = custom._pending[answer_id]["result"]
    finally:
        with custom._lock:
            custom._pending.pop(answer_id, None)
    return _read(answer, request_id)


def _read(answer: Any, request_id: str) -> Answer:
    status = answer.get("Status") if isinstance(answer, dict) else None
    if status not in ("SUCCESS", "FAILED"):
        raise ValueError(f"Invalid response status {status!r} from custom resource (RequestId: {request_id})")
    physical_id = answer.get("PhysicalResourceId")
    if status == "FAILED":
        raise Refused(
            "Received response status [FAILED] from custom resource. Message returned: "
            f"{answer.get('Reason') or 'no reason'} (RequestId: {request_id})",
            physical_id if isinstance(physical_id, str) else None,
        )
    if not isinstance(physical_id, str) or not physical_id:
        raise ValueError(f"Invalid PhysicalResourceId in the response of the custom resource (RequestId: {request_id})")
    return physical_id, answer.get("Data") or {}


def _timeout(properties: dict[str, Any]) -> int:
    """ServiceTimeout in seconds, from 1 to 3600."""
    given = properties.get("ServiceTimeout", DEFAULT_TIMEOUT_SECONDS)
    try:
        seconds = int(given)
    except (TypeError, ValueError):
        seconds = 0
    if not 1 <= seconds <= DEFAULT_TIMEOUT_SECONDS:
        raise ValueError(f"ServiceTimeout is a number of seconds from 1 to {DEFAULT_TIMEOUT_SECONDS}, not {given!r}")
    return seconds


def _reason(result: dict[str, Any]) -> str:
    body = result.get("body")
    if isinstance(body, dict) and body.get("errorMessage"):
        return f"{body.get('errorType', 'Error')}: {body['errorMessage']}"
    return str(body or result.get("log") or "no message")[-400:]
