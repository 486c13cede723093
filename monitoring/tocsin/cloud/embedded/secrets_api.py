"""Secrets Manager calls that ministack answers otherwise than AWS.

- ClientRequestToken names the version; the same token with the same value changes nothing, with another it is refused.
- A secret without a value has no version yet.
- A name that is scheduled for deletion is taken until its recovery window, by this AWS's clock, has passed; then the
  secret is gone.
- GetSecretValue with a version and a stage that do not belong together finds nothing.
Source: AWS Secrets Manager API reference, CreateSecret, PutSecretValue, UpdateSecret, GetSecretValue, DeleteSecret.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .base import core, service
from .clock import Clock, ClockedTime

Response = tuple[int, dict[str, str], bytes]
Answer = Callable[[dict[str, Any]], Response]


def install(clock: Clock) -> None:
    """Put ours before ministack's."""
    store = service("secretsmanager")
    store.time = ClockedTime(clock)
    resolve, create, put, update, get = (
        store._resolve, store._create_secret, store._put_secret_value, store._update_secret, store._get_secret_value,
    )  # fmt: skip

    def resolve_secret(secret_id: Any, *, use_arn_scope: bool = False) -> Any:
        key, secret = resolve(secret_id, use_arn_scope=use_arn_scope)
        if secret and secret.get("DeletedDate") and secret["DeletedDate"] <= clock.time():
            store._purge_secret(key, secret)
            return None, None
        return key, secret

    def create_secret(data: dict[str, Any]) -> Response:
        _, present = resolve_secret(data.get("Name"))
        if present and present.get("DeletedDate"):
            return _refusal(
                "InvalidRequestException",
                "You can't create this secret because a secret with this name is already scheduled for deletion.",
            )
        token = data.get("ClientRequestToken")
        if present and token and _same(present, token, data):
            return _answer({"ARN": present["ARN"], "Name": present["Name"], "VersionId": token})
        answer: Response = create(data)
        if answer[0] >= 400:
            return answer
        secret, made = store._secrets[data["Name"]], json.loads(answer[2])
        if data.get("SecretString") is None and data.get("SecretBinary") is None:
            secret["Versions"].clear()
            del made["VersionId"]
        elif token:
            secret["Versions"] = {token: secret["Versions"].pop(made["VersionId"])}
            made["VersionId"] = token
        return _answer(made)

    def put_secret_value(data: dict[str, Any]) -> Response:
        return _repeatable(data) or put(data)

    def update_secret(data: dict[str, Any]) -> Response:
        if repeated := _repeatable(data):
            return repeated
        answer: Response = update(data)
        token = data.get("ClientRequestToken")
        if answer[0] >= 400 or not token:
            return answer
        made = json.loads(answer[2])
        if "VersionId" in made:
            _, secret = resolve_secret(data.get("SecretId"))
            secret["Versions"][token] = secret["Versions"].pop(made["VersionId"])
            made["VersionId"] = token
        return _answer(made)

    def get_secret_value(data: dict[str, Any]) -> Response:
        _, secret = resolve_secret(data.get("SecretId"))
        version, stage = data.get("VersionId"), data.get("VersionStage")
        held = (secret or {}).get("Versions", {}).get(version)
        if held and stage and stage not in held["Stages"]:
            return _refusal(
                "ResourceNotFoundException",
                f"Secrets Manager can't find the specified secret value for VersionId: {version} and staging label: {stage}",
            )
        answer: Response = get(data)
        return answer

    def _repeatable(data: dict[str, Any]) -> Response | None:
        """The answer to a token that was used before: the same again, or a refusal; None to a new one."""
        token = data.get("ClientRequestToken")
        _, secret = resolve_secret(data.get("SecretId"))
        if not token or not secret or secret.get("DeletedDate") or token not in secret["Versions"]:
            return None
        if not _same(secret, token, data):
            return _refusal(
                "ResourceExistsException",
                "You can't use ClientRequestToken "
                f"{token} because that value is already in use for a version of secret {secret['ARN']}.",
            )
        stages = list(secret["Versions"][token]["Stages"])
        return _answer({"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token, "VersionStages": stages})

    store._resolve, store._create_secret, store._put_secret_value = resolve_secret, create_secret, put_secret_value
    store._update_secret, store._get_secret_value = update_secret, get_secret_value


def _same(secret: dict[str, Any], token: str, data: dict[str, Any]) -> bool:
    held = secret["Versions"].get(token)
    return bool(held) and all(held.get(name) == data.get(name) for name in ("SecretString", "SecretBinary"))


def _answer(content: dict[str, Any]) -> Response:
    made: Response = core("responses").json_response(content)
    return made


def _refusal(code: str, message: str) -> Response:
    made: Response = core("responses").error_response_json(code, message, 400)
    return made
