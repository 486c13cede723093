"""What a deployment must know before it changes anything: files, account, physical names, parameters of each stack."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import CloudError, InputError, nearest
from .artifacts import refuse_oversize
from .change_set import StackRequest
from .committed import (
    AlarmTemplate,
    Committed,
    CommittedTemplate,
    committed_systems,
    read_alarm_templates,
    read_routing,
)
from .environments import Environment, FromVariable, Setting
from .names import resolve_names
from .secrets import current_version
from .session import Cloud, connect
from .stacks import Readiness, Stack, find_stack, readiness, refuse_blocked

ENVIRONMENT_PARAMETER = "Environment"
ON_CALL_PARAMETER, PROTOCOL_PARAMETER = "OnCall", "EndpointProtocol"
KEY_VERSION, ENDPOINT = "KeyVersion", "Endpoint"
TOPIC_PARAMETERS = ("PageTopicArn", "TicketTopicArn")


@dataclass(frozen=True, slots=True)
class Job:
    """One stack to bring about.

    ``unknown`` are parameters whose value only the deployment of an earlier stack tells: such a job can only be planned.
    """

    request: StackRequest
    file: CommittedTemplate
    system: str | None
    names: Mapping[str, str] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything a deployment needs to know, read before anything is changed.

    ``names`` lacks the systems whose watched stack is yet to come.  ``versions`` are the routing's parameters that are
    the current version of a secret, empty for one that is not there, and the addresses that a secret replaces.
    """

    environment: Environment
    cloud: Cloud
    account: str
    routing: CommittedTemplate
    alarms: tuple[AlarmTemplate, ...]
    names: Mapping[str, Mapping[str, str]]
    given: Mapping[str, str]
    versions: Mapping[str, str] = field(default_factory=dict)

    def routing_job(self, stack: Stack | None) -> Job:
        """The routing, given its present stack."""
        request = stack_request(
            self.environment,
            self.routing,
            self.environment.routing_stack,
            stack,
            where=f"{self.environment.name}.routing",
            known={**_of_environment(self.environment, self.routing), **self.versions},
            configured=self.environment.routing_parameters,
            given=self.given,
            keeps=True,
            # Roles that AWS names itself, such as the one that SNS logs deliveries with.
            capabilities=("CAPABILITY_IAM",) if "AWS::IAM::Role" in self.routing.resources.values() else (),
        )
        return Job(request, self.routing, None)

    def alarm_job(self, template: AlarmTemplate, topics: Mapping[str, str]) -> Job:
        """The alarms of one system; ``topics`` are the values of its topic parameters."""
        stacks = self.environment.of(template.system)
        names = self.names.get(template.system, {})
        rules = () if template.system in self.names else template.names
        unknown = {rule.parameter for rule in rules} - stacks.alarm_parameters.keys() - self.given.keys()
        request = stack_request(
            self.environment,
            template.file,
            stacks.alarm_stack,
            find_stack(self.cloud, stacks.alarm_stack),
            where=f"{self.environment.name}.{template.system}.alarms",
            known={**names, **topics, **dict.fromkeys(unknown, "")},
            configured=stacks.alarm_parameters,
            given=self.given,
            keeps=False,
        )
        return Job(request, template.file, template.system, names, frozenset(unknown))

    @property
    def unknown_topic(self) -> str:
        """Stands for the ARN of a topic that is not there yet."""
        return f"arn:aws:sns:{self.cloud.region}:{self.account}:known-once-{self.environment.routing_stack}-is-deployed"

    def refuse_blocked(self) -> None:
        """Raise what would stop any of the stacks later, before the first is changed."""
        routing = find_stack(self.cloud, self.environment.routing_stack)
        refuse_blocked(self.cloud, routing)
        self.routing_job(routing)
        for template in self.alarms:
            refuse_blocked(self.cloud, find_stack(self.cloud, self.environment.of(template.system).alarm_stack))
            self.alarm_job(template, dict.fromkeys(topic_outputs(template), self.unknown_topic))


def _of_environment(environment: Environment, routing: CommittedTemplate) -> Mapping[str, str]:
    """What the environment itself says of the routing's parameters, beside those that are configured."""
    known: dict[str, str] = {}
    if environment.permissions_boundary is not None:
        known["PermissionsBoundaryArn"] = environment.permissions_boundary
    if ON_CALL_PARAMETER in routing.parameters:
        known[ON_CALL_PARAMETER] = "listed" if environment.oncall_url is None else "stand-in"
    protocol = routing.parameters.get(PROTOCOL_PARAMETER)
    if environment.oncall_url is not None:
        known[PROTOCOL_PARAMETER] = environment.oncall_url.partition("://")[0]
    elif routing.secrets and protocol is not None and protocol.default is not None:
        # Not what it was with a stand-in: from here on the addresses come out of secrets.
        known[PROTOCOL_PARAMETER] = protocol.default
    return known


def stack_request(
    environment: Environment,
    file: CommittedTemplate,
    name: str,
    present: Stack | None,
    *,
    where: str,
    known: Mapping[str, str],
    configured: Mapping[str, Setting],
    given: Mapping[str, str],
    keeps: bool,
    capabilities: tuple[str, ...] = (),
) -> StackRequest:
    """The stack ``name`` as ``file`` and the values say: first what was ``given``, then ``configured``, then ``known``.

    ``where`` is the dotted key of ``configured`` in the environment's file.  What nobody states goes back to the
    template's default, but stays as it is in the ``present`` stack when it is a secret, when it is read from a variable
    that is not set, or when ``keeps``.  Raises InputError for a parameter without any value.
    """
    before = present.parameters if present is not None and readiness(present) is Readiness.UPDATE else {}
    values: dict[str, str] = {}
    kept: set[str] = set()
    places = {name: f"{environment.path}: {where}.{name}" for name in configured}
    places |= {name: f"--param {name}" for name in given}
    for parameter in file.parameters.values():
        setting: Setting | None = given.get(parameter.name, configured.get(parameter.name))
        if isinstance(setting, FromVariable):
            setting = os.environ.get(setting.variable)
        if parameter.name == ENVIRONMENT_PARAMETER:
            values[parameter.name] = environment.name
        elif setting is not None:
            values[parameter.name] = setting
        elif parameter.name in known:
            values[parameter.name] = known[parameter.name]
        elif parameter.name in before and (keeps or parameter.secret or parameter.name in configured):
            kept.add(parameter.name)
        elif isinstance(variable := configured.get(parameter.name), FromVariable):
            raise InputError(
                f"{environment.path}: {where}.{parameter.name} is read from {variable.variable}, "
                "which is not set; set it for the first deployment"
            )
        elif parameter.default is None:
            raise InputError(
                f"{environment.path}: {where}.{parameter.name} is missing: {file.path} has no default for it; "
                f"state it under [{where}]"
            )
    return StackRequest(
        stack=name,
        template=file.text,
        source=file.path,
        parameters=values,
        kept=frozenset(kept),
        secrets=frozenset(name for name, parameter in file.parameters.items() if parameter.secret),
        capabilities=capabilities,
        artifacts_bucket=environment.artifacts_bucket,
        role=environment.execution_role,
        places=places,
    )


def prepare(
    environment: Environment,
    committed: Committed,
    systems: Sequence[str],
    given: Mapping[str, str],
    coming: Collection[str] = (),
) -> Prepared:
    """Read the committed files and the names of what they watch; changes nothing.

    ``coming`` are watched stacks that are to be changed first, so that names in them need not be there yet.
    Raises InputError, TemplateError and CloudError.
    """
    routing, alarms = read_committed(environment, committed, systems, given)
    cloud, account = _connect(environment)
    names: dict[str, Mapping[str, str]] = {}
    for template in alarms:
        stack = environment.of(template.system).stack
        try:
            names[template.system] = resolve_names(cloud, stack, template.names, template.file.path)
        except CloudError:
            if stack not in coming:
                raise
    versions = _versions(cloud, environment, routing)
    prepared = Prepared(environment, cloud, account, routing, alarms, names, given, versions)
    prepared.refuse_blocked()
    return prepared


def prepare_routing(environment: Environment, committed: Committed, given: Mapping[str, str]) -> Prepared:
    """The same for the routing alone.  Raises InputError, TemplateError, QuotaError and CloudError."""
    routing = read_routing(committed)
    refuse_unknown_keys(f"{environment.path}: {environment.name}.routing", environment.routing_parameters, routing)
    for name in given:
        if name not in routing.parameters:
            raise InputError(f"{routing.path} has no parameter {name!r}; {nearest(name, routing.parameters)}")
    refuse_oversize(routing.text, routing.path, environment.artifacts_bucket)
    cloud, account = _connect(environment)
    versions = _versions(cloud, environment, routing)
    prepared = Prepared(environment, cloud, account, routing, (), {}, given, versions)
    prepared.refuse_blocked()
    return prepared


def _versions(cloud: Cloud, environment: Environment, routing: CommittedTemplate) -> Mapping[str, str]:
    versions: dict[str, str] = {}
    for parameter, secret in sorted(routing.secrets.items()):
        versions[parameter] = current_version(cloud, secret.replace("{Environment}", environment.name)) or ""
        endpoint = parameter.removesuffix(KEY_VERSION) + ENDPOINT
        if versions[parameter] and endpoint in routing.parameters:
            versions[endpoint] = ""  # an address given once would otherwise stay, and go before the one of the secret
    return versions


def read_committed(
    environment: Environment, committed: Committed, systems: Sequence[str], given: Mapping[str, str]
) -> tuple[CommittedTemplate, tuple[AlarmTemplate, ...]]:
    """The routing and the alarms, whatever in them or in the environment would stop a deployment already refused.

    Asks AWS nothing.  Raises InputError, TemplateError, QuotaError and CloudError.
    """
    alarms = read_alarm_templates(committed, systems)
    routing = read_routing(committed)
    _refuse_unknown_systems(environment, committed_systems(committed))
    _refuse_unknown_parameters(environment, routing, alarms, given)
    _refuse_shared_stacks(environment, alarms)
    for file in (routing, *(template.file for template in alarms)):
        refuse_oversize(file.text, file.path, environment.artifacts_bucket)
    for template in alarms:
        for output in topic_outputs(template).values():
            if output not in routing.outputs:
                raise InputError(
                    f"{routing.path} has no output {output}, which {template.file.path} needs for its owner "
                    f"{template.owner}; run `tocsin build` again"
                )
    return routing, alarms


def topic_outputs(template: AlarmTemplate) -> Mapping[str, str]:
    """Topic parameters of the template → outputs of the routing: ``PaymentsPageTopicArn`` for owner ``payments``."""
    owner = "".join(word[0].upper() + word[1:] for word in re.findall(r"[A-Za-z0-9]+", template.owner))
    return {name: f"{owner}{name}" for name in TOPIC_PARAMETERS if name in template.file.parameters}


def _refuse_unknown_systems(environment: Environment, known: Iterable[str]) -> None:
    for system in environment.systems:
        if system not in known:
            raise InputError(
                f"{environment.path}: {environment.name}.{system}: no such system; {nearest(system, known)}"
            )


def _refuse_unknown_parameters(
    environment: Environment, routing: CommittedTemplate, alarms: Sequence[AlarmTemplate], given: Mapping[str, str]
) -> None:
    where = f"{environment.path}: {environment.name}"
    stated = [(f"{where}.routing", environment.routing_parameters, routing)]
    for template in alarms:
        alarms_where = f"{where}.{template.system}.alarms"
        stated.append((alarms_where, environment.of(template.system).alarm_parameters, template.file))
    for key, parameters, file in stated:
        refuse_unknown_keys(key, parameters, file)
    declared = {name for file in (routing, *(template.file for template in alarms)) for name in file.parameters}
    for name in given:
        if name not in declared:
            raise InputError(f"no template has a parameter {name!r}; {nearest(name, declared)}")


def refuse_unknown_keys(where: str, parameters: Iterable[str], file: CommittedTemplate) -> None:
    """Raise InputError for a key under ``where`` that is no parameter of the template."""
    for name in parameters:
        if name not in file.parameters:
            raise InputError(f"{where}.{name}: {file.path} has no such parameter; {nearest(name, file.parameters)}")


def _refuse_shared_stacks(environment: Environment, alarms: Sequence[AlarmTemplate]) -> None:
    """One stack would undo the other's changes.  Two systems may watch the same stack."""
    watched = {environment.of(template.system).stack: f"watched by {template.system}" for template in alarms}
    used = {environment.routing_stack: "that of the routing"}
    for name in watched.keys() & used.keys():
        raise InputError(f"{environment.path}: stack {name} is {used[name]}, but also {watched[name]}; rename one")
    used |= watched
    for template in alarms:
        name = environment.of(template.system).alarm_stack
        if name in used:
            raise InputError(
                f"{environment.path}: stack {name} is {used[name]}, but also the alarm stack of {template.system}; "
                "rename one"
            )
        used[name] = f"the alarm stack of {template.system}"


def connect_to(environment: Environment) -> Cloud:
    """A connection to the account and region of an environment.

    Raises CloudError when nothing answers or the credentials belong to another account.
    """
    return _connect(environment)[0]


def _connect(environment: Environment) -> tuple[Cloud, str]:
    cloud = connect(environment.region, profile=environment.profile, endpoint_url=environment.endpoint_url)
    account = cloud.account()
    if environment.account is not None and account != environment.account:
        raise CloudError(
            f"environment {environment.name} is account {environment.account}, but the credentials are of {account}; "
            f"use others, or mend {environment.path}"
        )
    return cloud, account
