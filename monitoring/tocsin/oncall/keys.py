"""The on-call tool's configuration key, from where ``deploy/oncall.toml`` says; its value is never shown."""

from __future__ import annotations

import os
from collections.abc import Callable

from ..cloud.session import Cloud, asking, error_code
from ..errors import CloudError, InputError
from ..paging.declared import OnCall, SecretSource, ToolName
from ..paging.oncall_tool import key_of_opsgenie

_ABSENT = ("ResourceNotFoundException", "ParameterNotFound")


def read_key(declared: OnCall, cloud: Callable[[], Cloud]) -> str:
    """The key of the declared tool; ``cloud`` is asked for only where it lies there.

    Raises InputError or CloudError that names where it should come from.
    """
    tool = declared.tool
    return _checked(tool.key, cloud, f"{declared.path}: tool.key", tool.name.value)


def read_opsgenie_key(declared: OnCall, cloud: Callable[[], Cloud]) -> str:
    """The key of the Opsgenie account that is left, whether the file names Jira already or not; as `read_key`."""
    key, source = key_of_opsgenie(declared)
    return _checked(source, cloud, f"{declared.path}: {key}", ToolName.OPSGENIE.value)


def _checked(source: SecretSource, cloud: Callable[[], Cloud], where: str, tool: str) -> str:
    key = _read(source, cloud, where, tool).strip()
    if not key:
        raise InputError(f"{where}: {source.shown} is empty; put the key of {tool} there")
    if any(not sign.isprintable() or sign.isspace() for sign in key):
        raise InputError(f"{where}: {source.shown} holds no key: it has blanks or line ends in it")
    return key


def _read(source: SecretSource, connect: Callable[[], Cloud], where: str, tool: str) -> str:
    if source.variable is not None:
        value = os.environ.get(source.variable)
        if value is None:
            raise InputError(
                f"{where}: {source.shown} is not set; set it to a key of {tool} that may change its configuration"
            )
        return value
    cloud = connect()
    with asking(f"read {source.shown}, which holds the key of {tool}"):
        try:
            if source.secret is not None:
                answer = cloud.client("secretsmanager").get_secret_value(SecretId=source.secret)
                return str(answer.get("SecretString") or "")
            answer = cloud.client("ssm").get_parameter(Name=source.parameter, WithDecryption=True)
            return str(answer["Parameter"]["Value"])
        except Exception as error:
            if error_code(error) in _ABSENT:
                raise CloudError(
                    f"{where}: {source.shown} does not exist in {cloud.region}; "
                    f"make it, and put a key of {tool} into it"
                ) from None
            raise
