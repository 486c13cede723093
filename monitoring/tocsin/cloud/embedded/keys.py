"""Keys: who reads or writes what a customer's KMS key encrypts needs the key as well, with ``iam``.

The caller is checked for ``kms:Decrypt`` or ``kms:GenerateDataKey`` on the key, with ``kms:ViaService`` and
``kms:CallerAccount``, for objects of S3, secrets, messages of SQS and publications of SNS.  Nothing is encrypted.
Keys that AWS manages, such as ``alias/aws/s3``, ask nothing of the caller.  What services do of themselves with a key
(RDS, DynamoDB, logs) is not checked, but for alarms that publish and for what SNS and EventBridge redrive: `service_keys`.
Sources: Amazon S3 user guide, "Using server-side encryption with AWS KMS keys"; AWS Secrets Manager user guide, "Secret
encryption and decryption"; Amazon SQS developer guide, "Configuring KMS permissions"; Amazon SNS developer guide,
"Managing Amazon SNS encryption keys and costs".
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

from .base import core, here, service
from .parts import Parts

Handler = Callable[[str, str, dict[str, str], bytes, Any], Awaitable[Any]]

_HEADER = "x-amz-server-side-encryption-aws-kms-key-id"
_READ, _WRITE = ("kms:Decrypt",), ("kms:GenerateDataKey",)
_BOTH = _WRITE + _READ
_NEEDED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "s3": {"PutObject": _WRITE},
    "secretsmanager": {
        "CreateSecret": _BOTH,
        "GetSecretValue": _READ,
        "PutSecretValue": _BOTH,
        "UpdateSecret": _BOTH,
    },
    "sqs": {"SendMessage": _BOTH, "ReceiveMessage": _READ},
    "sns": {"Publish": _BOTH},
}


def install(parts: Parts) -> None:
    """Ask for the keys from now on, if ``iam`` is on."""
    if not parts.enforce_iam:
        return
    handlers = import_module("ministack.app").SERVICE_HANDLERS
    for name in _NEEDED:
        handlers[name] = _with_key(name, handlers[name])


def _with_key(name: str, handle: Handler) -> Handler:
    actions = core("iam_actions")
    app: Any = import_module("ministack.app")

    async def handler(method: str, path: str, headers: dict[str, str], body: bytes, parameters: Any) -> Any:
        merged = app._routing_params(method, path, headers, body, parameters)
        action = (actions.extract_iam_action(name, method, path, headers, body, merged) or "").partition(":")[2]
        caller = app.extract_access_key_id(headers, parameters)
        needed = _NEEDED[name].get(action)
        if needed and (key := _FIND[name](path, headers, body, merged)):
            if name == "s3" and "uploadId" in merged:
                needed = _BOTH  # each part is put together with what came before
            if (refused := _refused(name, key, needed, caller, headers)) is not None:
                return refused
        response = await handle(method, path, headers, body, parameters)
        if name == "s3" and method == "GET" and action.startswith("GetObject") and response[0] < 300:
            # What an object was encrypted with, the answer says itself.
            said = {field.lower(): value for field, value in response[1].items()}
            if (refused := _refused(name, said.get(_HEADER), _READ, caller, headers)) is not None:
                return refused
        return response

    return handler


def _refused(name: str, key: Any, needed: Iterable[str], caller: str, headers: dict[str, str]) -> Any:
    """The answer to a caller who may not use the key; None to one who may."""
    record = service("kms")._resolve_key(str(key)) if key else None
    if record is None or record.get("KeyManager") == "AWS":
        return None
    account, region = here()
    context = {"kms:ViaService": f"{name}.{region}.amazonaws.com", "kms:CallerAccount": account}
    for action in needed:
        denied = core("iam_evaluator").enforce(
            caller, action, "kms", region, resource_arn=record["Arn"], service_context=context
        )
        if denied is not None:
            return core("iam_actions").access_denied_response(
                name, action, getattr(denied, "principal_arn", ""), "kms", headers=headers, resource_arn=record["Arn"],
                explicit_deny=getattr(denied, "decision", "") == "Deny",
            )  # fmt: skip
    return None


def _of_object(path: str, headers: Mapping[str, str], _body: bytes, _parameters: Any) -> Any:
    bucket = path.lstrip("/").partition("/")[0]
    default = re.search(r"<KMSMasterKeyID>([^<]+)<", str(service("s3")._bucket_encryption.get(bucket) or ""))
    if headers.get("x-amz-server-side-encryption", "aws:kms") != "aws:kms":
        return None
    return headers.get(_HEADER) or (default[1] if default else None)


def _of_secret(_path: str, _headers: Mapping[str, str], body: bytes, _parameters: Any) -> Any:
    request = _json(body)
    _, record = service("secretsmanager")._resolve(str(request.get("SecretId", "")))
    return request.get("KmsKeyId") or (record or {}).get("KmsKeyId")


def _of_queue(_path: str, _headers: Mapping[str, str], body: bytes, parameters: Any) -> Any:
    given = _json(body).get("QueueUrl") or (parameters or {}).get("QueueUrl") or ""
    name = str(given[0] if isinstance(given, list) else given).rpartition("/")[2]
    queues = service("sqs")
    record = queues._queues.get(queues._queue_url(name)) or {}
    return (record.get("attributes") or {}).get("KmsMasterKeyId")


def _of_topic(_path: str, _headers: Mapping[str, str], _body: bytes, parameters: Any) -> Any:
    given = (parameters or {}).get("TopicArn") or ""
    topic = service("sns")._topic_by_arn_any_scope(str(given[0] if isinstance(given, list) else given))
    return ((topic or {}).get("attributes") or {}).get("KmsMasterKeyId")


_FIND: Mapping[str, Callable[[str, Mapping[str, str], bytes, Any], Any]] = {
    "s3": _of_object,
    "secretsmanager": _of_secret,
    "sqs": _of_queue,
    "sns": _of_topic,
}


def _json(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
