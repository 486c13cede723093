"""The one door to ministack, whose private names the modules of this folder replace.

ministack promises nothing about its private names, so exactly one version is accepted.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import import_module, metadata
from typing import Any

from ...errors import CloudError

VERSION = "1.5.33"
ACCOUNT = "000000000000"
"""The account everything belongs to when a caller's access key is not twelve digits."""


def check_version() -> None:
    """Raise CloudError unless exactly the supported ministack is installed."""
    try:
        found = metadata.version("ministack")
    except metadata.PackageNotFoundError:
        raise CloudError(
            f'the embedded AWS needs ministack {VERSION}, which is not installed; run: pip install "tocsin[embedded]"'
        ) from None
    if found != VERSION:
        raise CloudError(
            f"the embedded AWS needs exactly ministack {VERSION}, but {found} is installed; "
            f'run: pip install "ministack=={VERSION}"'
        )


def service(name: str) -> Any:
    """A ministack service module by its short name, such as ``cloudwatch`` or ``sqs``.

    Loaded through ministack's own registry, so that the module patched is the module that answers.
    """
    return import_module("ministack.app")._get_module(name)


def core(name: str) -> Any:
    """A module of ``ministack.core``."""
    return import_module(f"ministack.core.{name}")


def scope(account: str, region: str) -> AbstractContextManager[None]:
    """Act for one account and region: ministack's stores show only what belongs to the present scope."""
    return core("responses").request_scope(account, region)  # type: ignore[no-any-return]


def here() -> tuple[str, str]:
    """The account and region of the present request."""
    responses = core("responses")
    return responses.get_account_id(), responses.get_region()
