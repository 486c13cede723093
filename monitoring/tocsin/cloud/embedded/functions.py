"""Lambda: what ministack's functions do otherwise than AWS's, put right.

An exception ends the invocation and not its process, and the answer names the exception's type; ministack kills the
process of a Python handler that raised, which makes every call of a broken function a cold start.

VpcConfig and RecursiveLoop of a template are kept and read back.  A function in a VPC runs in this machine's network.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from ...errors import CloudError, InputError
from .base import core, service

_REPORTED = '{"status": "error", "error": str(e), "trace": traceback.format_exc()}'
_RAISED = (
    '{"status": "ok", "result": None, "raised": {"errorMessage": str(e), "errorType": type(e).__name__, '
    '"stackTrace": traceback.format_tb(e.__traceback__)}, "trace": traceback.format_exc()}'
)
_present = threading.local()


def install() -> None:
    """Change what the worker process reports, and read it accordingly.  Raises CloudError if that does not fit."""
    runtime, functions = core("lambda_runtime"), service("lambda_svc")
    if runtime._PYTHON_WORKER_SCRIPT.count(_REPORTED) != 1:
        raise CloudError(
            "ministack's Lambda worker is not the one this version was made for; install the pinned ministack"
        )
    runtime._PYTHON_WORKER_SCRIPT = runtime._PYTHON_WORKER_SCRIPT.replace(_REPORTED, _RAISED)
    invoke, execute = runtime.Worker.invoke, functions._execute_function_warm

    def invoke_worker(worker: Any, *arguments: Any, **options: Any) -> Any:
        answer = invoke(worker, *arguments, **options)
        raised = answer.get("raised")
        _present.raised = raised
        if raised:
            return {**answer, "status": "error", "error": raised["errorMessage"]}
        return answer

    def execute_warm(function: dict[str, Any], event: Any, request_id: str) -> Any:
        _present.raised = None
        result = execute(function, event, request_id)
        if _present.raised and result.get("error"):
            result["body"] = {**_present.raised, "requestId": request_id}
        return result

    runtime.Worker.invoke = invoke_worker
    functions._execute_function_warm = execute_warm
    _keep_properties(functions)


def call_endpoint(url: str) -> dict[str, Any]:
    """Let functions call AWS at another address of this machine from now on; functions that are warm start anew.

    Raises InputError unless it is an http or https URL of 127.0.0.1.
    """
    if not url.startswith(("http://127.0.0.1:", "https://127.0.0.1:")):
        raise InputError(
            f"the endpoint of functions is a URL of this machine, such as http://127.0.0.1:8080, not {url}"
        )
    os.environ["AWS_ENDPOINT_URL"] = url
    core("lambda_runtime").reset()
    return {"url": url}


def _keep_properties(functions: Any) -> None:
    handlers = service("cloudformation").provisioners._RESOURCE_HANDLERS
    handler = handlers["AWS::Lambda::Function"]

    def keep(name: str, properties: dict[str, Any]) -> None:
        record = functions._functions[name]
        # AWS answers with empty lists for a function that is in no VPC.
        record["config"]["VpcConfig"] = functions._vpc_config_with_id(properties.get("VpcConfig") or {})
        record["recursive_loop"] = str(properties.get("RecursiveLoop") or "Terminate")

    def create(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        made = handler["create"](logical_id, properties, stack)
        keep(made[0], properties)
        return made

    def update(physical_id: str, old: dict[str, Any], new: dict[str, Any], *arguments: Any) -> Any:
        made = handler["update"](physical_id, old, new, *arguments)
        keep(made[0], new)
        return made

    handlers["AWS::Lambda::Function"] = {**handler, "create": create, "update": update}
