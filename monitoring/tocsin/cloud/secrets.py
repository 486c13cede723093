"""Secrets Manager: which version of a secret is the current one, and secrets written, read and removed.

A value never gets into an error, a log or a command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import CloudError
from .session import Cloud, asking, error_code

RECOVERY_DAYS = 7  # the shortest window that Secrets Manager gives; a removed key is revoked in the tool anyway
_CURRENT = "AWSCURRENT"
_GONE = "ResourceNotFoundException"
_TAKEN = "ResourceExistsException"
_MARKED_FOR_DELETION = "InvalidRequestException"


def current_version(cloud: Cloud, name: str) -> str | None:
    """The id of a secret's current version; None when there is no such secret, or it is on its way out.

    Needs ``secretsmanager:DescribeSecret`` only.  Raises CloudError.
    """
    described = _describe(cloud, name)
    return None if described is None or "DeletedDate" in described else _version(described)


def read_secret(cloud: Cloud, name: str) -> str | None:
    """The current value of a secret; None when there is no such secret, or it is on its way out.  Raises CloudError."""
    with asking(f"read the secret {name}"):
        try:
            return str(cloud.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"])
        except Exception as error:
            if error_code(error) in (_GONE, _MARKED_FOR_DELETION):
                return None
            raise


def write_secret(cloud: Cloud, name: str, value: str, tags: Mapping[str, str]) -> str:
    """Make the secret hold ``value``, and return the id of the version that does; an equal value makes no new version.

    ``tags`` say whose it is: one that is there with another value of the same tag is somebody else's.  A secret on its
    way out is taken back.  Encrypted with the account's default key.  Raises CloudError.
    """
    secrets = cloud.client("secretsmanager")
    described = _describe(cloud, name)
    if described is None:
        with asking(f"make the secret {name}"):
            try:
                made = secrets.create_secret(
                    Name=name,
                    Description="Where notifications go, with the key for it; written by tocsin oncall apply",
                    SecretString=value,
                    Tags=[{"Key": key, "Value": text} for key, text in sorted(tags.items())],
                )
            except Exception as error:
                if error_code(error) == _TAKEN:
                    raise CloudError(
                        f"another run has just made the secret {name}; run it again when that one is through"
                    ) from None
                raise
        return str(made["VersionId"])
    present = {str(tag["Key"]): str(tag["Value"]) for tag in described.get("Tags") or ()}
    for key, text in sorted(tags.items()):
        if present.get(key, text) != text:
            raise CloudError(
                f"secret {name} belongs to {present[key]!r} by its tag {key}, not to {text!r}; "
                "use another environment's name, or remove it"
            )
    with asking(f"write the secret {name}"):
        if "DeletedDate" in described:
            secrets.restore_secret(SecretId=name)
        if missing := sorted(tags.items() - present.items()):
            secrets.tag_resource(SecretId=name, Tags=[{"Key": key, "Value": text} for key, text in missing])
    version = _version(described)
    if version is not None and read_secret(cloud, name) == value:
        return version
    with asking(f"write the secret {name}"):
        return str(secrets.put_secret_value(SecretId=name, SecretString=value)["VersionId"])


def remove_secret(cloud: Cloud, name: str) -> None:
    """Let a secret go in `RECOVERY_DAYS` days; nothing happens where there is none.  Raises CloudError."""
    with asking(f"remove the secret {name}"):
        try:
            cloud.client("secretsmanager").delete_secret(SecretId=name, RecoveryWindowInDays=RECOVERY_DAYS)
        except Exception as error:
            if error_code(error) not in (_GONE, _MARKED_FOR_DELETION):
                raise


def _describe(cloud: Cloud, name: str) -> dict[str, Any] | None:
    with asking(f"look up the secret {name}"):
        try:
            described: dict[str, Any] = cloud.client("secretsmanager").describe_secret(SecretId=name)
        except Exception as error:
            if error_code(error) == _GONE:
                return None
            raise
    return described


def _version(described: Mapping[str, Any]) -> str | None:
    stages: Mapping[str, list[str]] = described.get("VersionIdsToStages") or {}
    return next((version for version, held in stages.items() if _CURRENT in held), None)
