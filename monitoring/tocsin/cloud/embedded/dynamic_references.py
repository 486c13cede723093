"""Dynamic references of stacks: whoever deploys, by himself or in a role, must be allowed to read what they name.

With ``iam``, ``{{resolve:secretsmanager:…}}`` needs ``secretsmanager:GetSecretValue`` on the secret, and ``kms:Decrypt`` on
a customer's key it has; ``{{resolve:ssm…}}`` needs ``ssm:GetParameters``.  The stack's role is asked if it has one, the
last one given to it, else the caller.
Source: AWS CloudFormation user guide, "Get values stored in other services using dynamic references".
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from importlib import import_module
from typing import Any

from .base import core, here, service
from .parts import Parts
from .service_roles import allowed

Handler = Callable[[str, str, dict[str, str], bytes, Any], Awaitable[Any]]

_deployer: ContextVar[tuple[str, str] | None] = ContextVar("deployer", default=None)
"""Access key of the caller and ARN of the role, of the deployment under way; its task inherits them."""
_DEPLOYING = ("CreateStack", "UpdateStack", "CreateChangeSet", "ExecuteChangeSet")


def install(parts: Parts) -> None:
    """Ask from now on, if ``iam`` is on."""
    if not parts.enforce_iam:
        return
    handlers: dict[str, Handler] = import_module("ministack.app").SERVICE_HANDLERS
    handlers["cloudformation"] = _remembering(handlers["cloudformation"])
    engine: Any = import_module("ministack.services.cloudformation.engine")
    resolve = engine._resolve_dynamic_reference

    def resolve_reference(literal: str) -> str:
        _check(literal)
        value: str = resolve(literal)
        return value

    engine._resolve_dynamic_reference = resolve_reference


def _remembering(handle: Handler) -> Handler:
    app = import_module("ministack.app")
    change_sets = import_module("ministack.services.cloudformation.changesets")
    roles: dict[tuple[str, str, str], str] = {}

    async def handler(method: str, path: str, headers: dict[str, str], body: bytes, parameters: Any) -> Any:
        merged = app._routing_params(method, path, headers, body, parameters)

        def given(name: str) -> str:
            value = merged.get(name) or ""
            return str(value[0] if isinstance(value, list) else value)

        if given("Action") in _DEPLOYING:
            stack = given("StackName")
            if given("Action") == "ExecuteChangeSet":
                _, record = change_sets._find_change_set(given("ChangeSetName"), stack)
                stack = (record or {}).get("StackName", stack)
            # A stack may be named by its ARN, arn:…:stack/NAME/ID.
            name = stack.split("/")[1] if stack.startswith("arn:") else stack
            if given("RoleARN"):
                roles[*here(), name] = given("RoleARN")
            _deployer.set((app.extract_access_key_id(headers, parameters), roles.get((*here(), name), "")))
        return await handle(method, path, headers, body, parameters)

    return handler


def _check(literal: str) -> None:
    match = re.fullmatch(r"\{\{resolve:([a-z-]+):([^}]*)\}\}", literal)
    deployer = _deployer.get()
    if match is None or deployer is None:
        return
    account, region = here()
    if match[1] != "secretsmanager":
        name = match[2].partition(":")[0]
        _require(deployer, "ssm:GetParameters", f"arn:aws:ssm:{region}:{account}:parameter/{name.lstrip('/')}")
        return
    parts = match[2].split(":")
    _, secret = service("secretsmanager")._resolve(":".join(parts[:7]) if parts[0] == "arn" else parts[0])
    if not secret:
        return  # ministack says so
    _require(deployer, "secretsmanager:GetSecretValue", secret["ARN"])
    key = service("kms")._resolve_key(str(secret.get("KmsKeyId") or ""))
    if key and key.get("KeyManager") != "AWS":
        through = {"kms:ViaService": f"secretsmanager.{region}.amazonaws.com", "kms:CallerAccount": account}
        _require(deployer, "kms:Decrypt", key["Arn"], through)


def _require(deployer: tuple[str, str], action: str, resource: str, conditions: dict[str, str] | None = None) -> None:
    key, role = deployer
    if role:
        fine = allowed(role, "AWSCloudFormation", action, resource, conditions)
    else:
        kind = action.partition(":")[0]
        fine = (
            core("iam_evaluator").enforce(
                key, action, kind, here()[1], resource_arn=resource, service_context=conditions
            )
            is None
        )
    if not fine:
        raise ValueError(
            f"{role or 'User'} is not authorized to perform: {action} on resource: {resource} because no identity-based "
            f"policy allows the {action} action (Status Code: 400; Error Code: AccessDeniedException)"
        )
