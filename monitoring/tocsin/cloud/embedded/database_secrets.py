"""ManageMasterUserPassword: a master password nobody was told, in a secret that belongs to the instance.

Rotating the secret (RotateSecret, or ModifyDBInstance with RotateMasterUserPassword) makes a new password and gives it
to the server; it happens when asked for and not by the clock.
Source: Amazon RDS user guide, "Password management with Amazon RDS and AWS Secrets Manager".
"""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from .alarm_records import truth
from .base import core, service


def managed(properties: Mapping[str, Any]) -> bool:
    """True if the properties of a DB instance ask for a managed password."""
    return truth(properties.get("ManageMasterUserPassword") or False)


def manage(record: dict[str, Any], key: str | None = None) -> None:
    """Give an instance's record a new password and the secret that holds it; ``key`` is the KMS key named for it."""
    store, name = service("secretsmanager"), f"rds!db-{uuid.uuid4()}"
    record["_MasterUserPassword"] = _password()
    store.create_secret_in_process(
        name, _content(record), f"The secret of the RDS instance {record['DBInstanceIdentifier']}"
    )
    secret = store._secrets[name]
    if key:
        secret["KmsKeyId"] = key
    record["MasterUserSecret"] = {"SecretArn": secret["ARN"], "SecretStatus": "active", "KmsKeyId": key, "Name": name}


def forget(record: Mapping[str, Any]) -> None:
    """Delete the secret of an instance, if it has one; the rest of the record is the caller's."""
    if secret := record.get("MasterUserSecret"):
        service("secretsmanager")._secrets.pop(secret["Name"], None)


def rotate(record: dict[str, Any]) -> None:
    """A new password in the record and in its secret; the caller brings it to the server."""
    record["_MasterUserPassword"] = _password()
    service("secretsmanager").put_secret_value_in_process(record["MasterUserSecret"]["SecretArn"], _content(record))


def answer_rotations(changed: Callable[[], None]) -> None:
    """Let RotateSecret on such a secret rotate it; ``changed`` is called with the new password in the record."""
    store = service("secretsmanager")
    original = store._rotate_secret

    def rotate_secret(data: dict[str, Any]) -> Any:
        _, secret = store._resolve(data.get("SecretId"))
        record = next((each for each in _records() if _owns(each, secret)), None)
        if record is None or secret.get("DeletedDate"):
            return original(data)
        if data.get("RotationLambdaARN"):
            return core("responses").error_response_json(
                "InvalidRequestException", "You can't change the rotation of a secret that is managed by RDS.", 400
            )
        if data.get("RotationRules"):
            secret["RotationRules"] = data["RotationRules"]
        secret["RotationEnabled"] = True
        if data.get("RotateImmediately", True):
            rotate(record)
            changed()
        version, _ = store._find_stage_version(secret, "AWSCURRENT")
        return core("responses").json_response({"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": version})

    store._rotate_secret = rotate_secret


def _records() -> list[dict[str, Any]]:
    return list(service("rds")._instances.values())


def _owns(record: Mapping[str, Any], secret: Mapping[str, Any] | None) -> bool:
    return bool(secret) and (record.get("MasterUserSecret") or {}).get("SecretArn") == (secret or {}).get("ARN")


def _password() -> str:
    return secrets.token_urlsafe(21)


def _content(record: Mapping[str, Any]) -> str:
    return json.dumps({"username": record["MasterUsername"], "password": record["_MasterUserPassword"]})
