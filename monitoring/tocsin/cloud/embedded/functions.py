"""Lambda: an exception ends the invocation and not its process, and the answer names the exception's type, as at AWS.

ministack kills the process of a Python handler that raised, which makes every call of a broken function a cold start.
"""

from __future__ import annotations

import threading
from typing import Any

from ...errors import CloudError
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
