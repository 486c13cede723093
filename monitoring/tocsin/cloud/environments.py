"""``deploy/environments.toml``: which account, region and stacks an environment's name stands for.

    [prod]
    region = "eu-west-1"                   # default: that of the AWS profile
    account = "111122223333"               # refuse to deploy with the credentials of any other
    protected = true                       # deploy only when confirmed
    artifacts_bucket = "prod-artifacts"    # for templates over 51,200 bytes, and for code
    profile = "prod"                       # AWS profile; default: the usual search
    endpoint_url = "https://127.0.0.1:4566" # a stand-in for AWS
    plain_endpoint_url = "http://127.0.0.1:4565"  # the same without TLS, where its address is another
    execution_role = "arn:aws:iam::111122223333:role/prod-execution"  # what CloudFormation acts as
    permissions_boundary = "arn:aws:iam::111122223333:policy/prod-boundary"  # of the roles that the routing makes
    oncall_url = "http://127.0.0.1:8080"   # a stand-in for the on-call tool; without TLS on this machine only
    validation_token = { variable = "VALIDATION_TOKEN" }  # a user's JSON Web Token, for validation only

    [prod.routing]
    stack = "prod-routing"                 # default: <environment>-routing
    PaymentsPageEndpoint = { variable = "PAYMENTS_PAGE_ENDPOINT" }

    [prod.checkout]                        # one table for each system that differs from the defaults
    stack = "prod-checkout"                # the watched stack; default: <environment>-<system>
    alarm_stack = "prod-checkout-alarms"   # default: <environment>-<system>-alarms
    LogRetentionDays = 90                  # a parameter of the watched stack's own template

    [prod.checkout.alarms]
    AnyParameter = "text"                  # a parameter of the alarm template

    [prod.stacks.network]                  # stacks that hold nothing to watch; `tocsin deploy` leaves them alone
    stack = "prod-network"                 # default: <environment>-<name>
    FlowLogRetentionDays = 90              # a parameter of that stack's template

Keys with a capital are template parameters.  Their value is text, a number, true or false, or
``{ variable = "NAME" }`` for what must not be committed: that is read from the process environment when deploying.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from ..errors import InputError, nearest
from .committed import as_written

# As the parameter Environment of the generated templates; stack names allow letters, digits and hyphens only.
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_STACK = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")
_ACCOUNT = re.compile(r"[0-9]{12}")

_ROLE = re.compile(r"arn:[a-z-]+:iam::[0-9]{12}:role/[\w+=,.@/-]+", re.ASCII)
_POLICY = re.compile(r"arn:[a-z-]+:iam::([0-9]{12}|aws):policy/[\w+=,.@/-]+", re.ASCII)

_ENVIRONMENT = (
    "account",
    "artifacts_bucket",
    "endpoint_url",
    "execution_role",
    "oncall_url",
    "permissions_boundary",
    "plain_endpoint_url",
    "profile",
    "protected",
    "region",
    "validation_token",
)
_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")
_TABLES = ("routing", "stacks")  # every other table is a system
_ROUTING = ("stack",)
_SYSTEM = ("alarm_stack", "alarms", "stack")
_OTHER = ("stack",)


@dataclass(frozen=True, slots=True)
class FromVariable:
    """A parameter's value that is read from the process environment when deploying."""

    variable: str


Setting = str | FromVariable


@dataclass(frozen=True, slots=True)
class SystemStacks:
    """The stacks of one system in one environment: the one that is watched, and the one that holds its alarms.

    ``parameters`` are those of the watched stack's template, which only its own deployment reads.
    """

    stack: str
    alarm_stack: str
    parameters: Mapping[str, Setting] = field(default_factory=dict)
    alarm_parameters: Mapping[str, Setting] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OtherStack:
    """A stack that holds nothing to watch, such as a network, and the parameters of its template."""

    stack: str
    parameters: Mapping[str, Setting] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment.

    ``path`` is the file it is described in.  ``plain_endpoint_url`` is where the stand-in for AWS answers without TLS,
    ``execution_role`` the ARN of the role CloudFormation acts as, ``permissions_boundary`` that of the policy which limits
    the routing's roles, ``oncall_url`` a stand-in for the on-call tool: such an environment is on call whatever the
    on-call file says.  ``validation_token`` is where a user's token comes from when the deployed systems are validated.
    """

    name: str
    path: str
    region: str | None = None
    account: str | None = None
    artifacts_bucket: str | None = None
    endpoint_url: str | None = None
    plain_endpoint_url: str | None = None
    profile: str | None = None
    execution_role: str | None = None
    permissions_boundary: str | None = None
    oncall_url: str | None = None
    validation_token: FromVariable | None = None
    protected: bool = False
    routing_stack: str = ""
    routing_parameters: Mapping[str, Setting] = field(default_factory=dict)
    systems: Mapping[str, SystemStacks] = field(default_factory=dict)
    stacks: Mapping[str, OtherStack] = field(default_factory=dict)

    def of(self, system: str) -> SystemStacks:
        """The stacks of a system: as configured, else ``<environment>-<system>`` and ``…-alarms``."""
        return self.systems.get(system) or _default_stacks(self.name, system)

    def other(self, name: str) -> OtherStack:
        """A stack that holds nothing to watch: as configured, else ``<environment>-<name>``."""
        return self.stacks.get(name) or OtherStack(_default_stacks(self.name, name).stack)


def read_environments(path: Path) -> Mapping[str, Environment]:
    """All environments of the file, by name.  Raises InputError that says where and names the nearest key."""
    shown = as_written(path).as_posix()
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{shown}: no such file; describe your environments there, each as a table [dev]") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{shown}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{shown}: not TOML: {error}") from None
    reader = _Reader(shown)
    return MappingProxyType({name: reader.environment(name, body) for name, body in sorted(tree.items())})


def read_environment(path: Path, name: str) -> Environment:
    """The environment of that name.  Raises InputError with the nearest name."""
    environments = read_environments(path)
    if name not in environments:
        raise InputError(f"{as_written(path).as_posix()}: no environment {name!r}; {nearest(name, environments)}")
    return environments[name]


def _default_stacks(environment: str, system: str) -> SystemStacks:
    stack = f"{environment}-{system.replace('_', '-')}"
    return SystemStacks(stack, f"{stack}-alarms")


@dataclass(frozen=True, slots=True)
class _Reader:
    """Checks values of one file; ``where`` is the dotted key, for errors."""

    path: str

    def environment(self, name: str, body: Any) -> Environment:
        if not isinstance(body, dict):
            raise self.error(name, f"must be a table, got {body!r}; a key stands under its environment, such as [dev]")
        if not _NAME.fullmatch(name):
            raise self.error(name, "name it with at most 32 lower-case letters, digits and '-', a letter first")
        table = self.table(body, name)
        for key, value in table.items():
            if key not in _ENVIRONMENT and not isinstance(value, dict):
                raise self.error(f"{name}.{key}", f"unknown key; {nearest(key, _ENVIRONMENT)}")
        account = self.text(table, name, "account")
        if account is not None and not _ACCOUNT.fullmatch(account):
            raise self.error(f"{name}.account", f"an account is text of 12 digits, got {account!r}")
        role = self.text(table, name, "execution_role")
        if role is not None and not _ROLE.fullmatch(role):
            raise self.error(f"{name}.execution_role", f"the ARN of a role (arn:aws:iam::…:role/…), got {role!r}")
        boundary = self.text(table, name, "permissions_boundary")
        if boundary is not None and not _POLICY.fullmatch(boundary):
            raise self.error(
                f"{name}.permissions_boundary", f"the ARN of a policy (arn:aws:iam::…:policy/…), got {boundary!r}"
            )
        protected = table.get("protected", False)
        if not isinstance(protected, bool):
            raise self.error(f"{name}.protected", f"true or false, got {protected!r}")
        routing = table.get("routing", {})
        others = table.get("stacks", {})
        return Environment(
            name=name,
            path=self.path,
            region=self.text(table, name, "region"),
            account=account,
            artifacts_bucket=self.text(table, name, "artifacts_bucket"),
            endpoint_url=self.text(table, name, "endpoint_url"),
            plain_endpoint_url=self.text(table, name, "plain_endpoint_url"),
            profile=self.text(table, name, "profile"),
            execution_role=role,
            permissions_boundary=boundary,
            oncall_url=self.oncall_url(table, name),
            validation_token=self.variable(table, name, "validation_token"),
            protected=protected,
            routing_stack=self.stack(routing, f"{name}.routing", "stack", f"{name}-routing"),
            routing_parameters=self.parameters(routing, f"{name}.routing", _ROUTING),
            systems=MappingProxyType(
                {
                    system: self.system(name, system, stated)
                    for system, stated in sorted(table.items())
                    if system not in (*_ENVIRONMENT, *_TABLES)
                }
            ),
            stacks=MappingProxyType(
                {
                    other: self.other(name, other, self.table(stated, f"{name}.stacks.{other}"))
                    for other, stated in sorted(others.items())
                }
            ),
        )

    def other(self, environment: str, name: str, table: Mapping[str, Any]) -> OtherStack:
        where = f"{environment}.stacks.{name}"
        default = _default_stacks(environment, name).stack
        return OtherStack(self.stack(table, where, "stack", default), self.parameters(table, where, _OTHER))

    def system(self, environment: str, system: str, table: Mapping[str, Any]) -> SystemStacks:
        where = f"{environment}.{system}"
        default = _default_stacks(environment, system)
        return SystemStacks(
            stack=self.stack(table, where, "stack", default.stack),
            alarm_stack=self.stack(table, where, "alarm_stack", default.alarm_stack),
            parameters=self.parameters(table, where, _SYSTEM),
            alarm_parameters=self.parameters(self.table(table.get("alarms", {}), f"{where}.alarms"), f"{where}.alarms"),
        )

    def table(self, value: Any, where: str) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self.error(where, f"must be a table, got {value!r}")
        return value

    def text(self, table: Mapping[str, Any], where: str, key: str) -> str | None:
        value = table.get(key)
        if value is not None and not (isinstance(value, str) and value.strip()):
            raise self.error(f"{where}.{key}", f"must be text, got {value!r}")
        return value

    def oncall_url(self, table: Mapping[str, Any], where: str) -> str | None:
        """The value is not shown: an address may hold a key."""
        url = self.text(table, where, "oncall_url")
        if url is None:
            return None
        try:
            parts = urlsplit(url)
            usable = bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _THIS_MACHINE)):
            raise self.error(
                f"{where}.oncall_url", "must be an address with https://; http:// is for 127.0.0.1 and localhost only"
            )
        return url

    def variable(self, table: Mapping[str, Any], where: str, key: str) -> FromVariable | None:
        match table.get(key):
            case None:
                return None
            case {"variable": str(variable)} if len(table[key]) == 1 and variable:
                return FromVariable(variable)
            case value:
                raise self.error(f"{where}.{key}", f'must be {{ variable = "NAME" }}, got {value!r}')

    def stack(self, table: Mapping[str, Any], where: str, key: str, default: str) -> str:
        name = self.text(table, where, key) or default
        if not _STACK.fullmatch(name):
            raise self.error(
                f"{where}.{key}", f"{name!r} is no stack name: use at most 128 letters, digits and '-', a letter first"
            )
        return name

    def parameters(self, table: Mapping[str, Any], where: str, own: tuple[str, ...] = ()) -> Mapping[str, Setting]:
        """The keys with a capital; others must be in ``own``."""
        found: dict[str, Setting] = {}
        for name, value in sorted(table.items()):
            if name in own:
                continue
            if not name[:1].isupper():
                raise self.error(f"{where}.{name}", f"unknown key; {nearest(name, own)}; parameters have a capital")
            match value:
                case bool():
                    found[name] = "true" if value else "false"
                case str() | int():
                    found[name] = str(value)
                case {"variable": str(variable)} if len(value) == 1 and variable:
                    found[name] = FromVariable(variable)
                case _:
                    raise self.error(
                        f"{where}.{name}",
                        f'must be text, a whole number, true, false or {{ variable = "NAME" }}, got {value!r}',
                    )
        return MappingProxyType(found)

    def error(self, where: str, problem: str) -> InputError:
        return InputError(f"{self.path}: {where}: {problem}")
