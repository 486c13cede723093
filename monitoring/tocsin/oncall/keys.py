"""The on-call tool's configuration key, from where ``deploy/oncall.toml`` says; its value is never shown."""

from __future__ import annotations

import os
from collections.abc import Callable

from ..cloud.session import Cloud, asking, error_code
from ..errors import CloudError, InputError
from ..paging.declared import OnCall, SecretSource

_ABSENT = ("ResourceNotFoundException", "ParameterNotFound")


def read_key(declared: OnCall, cloud: Callable[[], Cloud]) -> str:
    """The key; ``cloud`` is asked for only where it lies there.

    Raises InputError or CloudError that names where it should come from.
    """
    source = declared.tool.key
    key = _read(source, cloud, declared).strip()
    if not key:
        raise InputError(
            f"{_where(declared)}: {source.shown} is empty; put the key of {declared.tool.name.value} there"
        )
    if any(not sign.isprintable() or sign.isspace() for sign in key):
        raise InputError(f"{_where(declared)}: {source.shown} holds no key: it has blanks or line ends in it")
    return key


def _read(source: SecretSource, connect: Callable[[], Cloud], declared: OnCall) -> str:
    if source.variable is not None:
        value = os.environ.get(source.variable)
        if value is None:
            raise InputError(
                f"{_where(declared)}: {source.shown} is not set; set it to a key of {declared.tool.name.value} "
                "that may change its configuration"
            )
        return value
    cloud = connect()
    with asking(f"read {source.shown}, which holds the key of {declared.tool.name.value}"):
        try:
            if source.secret is not None:
                answer = cloud.client("secretsmanager").get_secret_value(SecretId=source.secret)
                return str(answer.get("SecretString") or "")
            answer = cloud.client("ssm").get_parameter(Name=source.parameter, WithDecryption=True)
            return str(answer["Parameter"]["Value"])
        except Exception as error:
            if error_code(error) in _ABSENT:
                raise CloudError(
                    f"{_where(declared)}: {source.shown} does not exist in {cloud.region}; "
                    f"make it, and put a key of {declared.tool.name.value} into it"
                ) from None
            raise


def _where(declared: OnCall) -> str:
    return f"{declared.path}: tool.key"
