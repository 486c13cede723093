"""The stacks of an environment in the order in which they need each other: planned, and brought about.

``delivery`` is set up once by an administrator; then come the network, the reference systems, the forwarder where an
environment has one, the routing and the alarms.  What a shared stack puts out fills the parameters of the same name in the
stacks after it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.network_facts import close_default_group, prefix_lists
from deploy.package import Package, packages
from deploy.render import DELIVERY, FORWARDER, NETWORK, difference, systems, template_path
from deploy.settings import refuse_delivery, refuse_environment, refuse_notification
from tocsin.cloud.artifacts import put_object, refuse_oversize
from tocsin.cloud.change_set import StackRequest
from tocsin.cloud.committed import Committed, CommittedTemplate, as_written, read_template
from tocsin.cloud.deploy import (
    DeployEvent,
    Progress,
    StackOutcome,
    StackPlan,
    Work,
    deploy,
    deploy_stack,
    plan_deployment,
    plan_stack,
)
from tocsin.cloud.environments import Environment, Setting
from tocsin.cloud.preparation import Job, connect_to, read_committed, refuse_unknown_keys, stack_request
from tocsin.cloud.session import Cloud
from tocsin.cloud.stacks import Readiness, Stack, deployed_defaults, find_stack, readiness, refuse_blocked
from tocsin.errors import CloudError, InputError, nearest

ROOT = Path(__file__).resolve().parent
COMMITTED = Committed(ROOT.parent / "alarms", ROOT / "routing.yaml")
SHARED = (DELIVERY, FORWARDER, NETWORK)
CODE_BUCKET = "CodeBucket"
BUCKET_OUTPUT, ROLE_OUTPUT, BOUNDARY_OUTPUT = "ArtifactsBucketName", "ExecutionRoleArn", "PermissionsBoundaryArn"
DEFAULT_GROUP_OUTPUT = "DefaultSecurityGroupId"
PROTECTION = "DeletionProtection"
FORWARDER_QUEUE = "ForwarderQueueArn"
CAPABILITIES = ("CAPABILITY_IAM", "CAPABILITY_NAMED_IAM")


@dataclass(frozen=True, slots=True)
class Part:
    """One stack: its template, its code, and what the environment says of it; ``system`` is None for a shared stack."""

    name: str
    system: str | None
    stack: str
    where: str
    file: CommittedTemplate
    configured: Mapping[str, Setting]
    packages: tuple[Package, ...] = ()


@dataclass(frozen=True, slots=True)
class Preparation:
    """Everything that has been read and asked before anything is changed."""

    environment: Environment
    cloud: Cloud
    parts: tuple[Part, ...]
    given: Mapping[str, str]
    known: Mapping[str, str]
    """What the present stacks and the account tell: values of parameters by name."""
    delivery: Part | None = None

    def job(self, part: Part, known: Mapping[str, str], coming: Collection[str] = ()) -> Job:
        """What has to be deployed for a part; of ``coming``, what is not ``known`` is told by an earlier stack."""
        stack = find_stack(self.cloud, part.stack)
        refuse_blocked(self.cloud, stack)
        values = {**known, **{package.parameter: package.key for package in part.packages}}
        stated = part.configured.keys() | self.given.keys() | values.keys()
        unknown = frozenset(name for name in part.file.parameters if name in coming and name not in stated)
        self._require_delivery(part, stated | unknown)
        request = stack_request(
            self.environment,
            part.file,
            part.stack,
            stack,
            where=part.where,
            known=values | dict.fromkeys(unknown, ""),
            configured=part.configured,
            given=self.given,
            keeps=False,
            capabilities=CAPABILITIES,
        )
        if self.environment.protected:
            self._refuse_forgotten(part, request, stack)
        return Job(request, part.file, part.system, unknown=unknown)

    def _require_delivery(self, part: Part, stated: frozenset[str] | set[str]) -> None:
        """Say that the environment was never set up, rather than that each of its outputs is missing."""
        if self.delivery is None:
            return
        for parameter in part.file.parameters.values():
            from_delivery = parameter.name in self.delivery.file.outputs and parameter.default is None
            if from_delivery and parameter.name not in stated:
                raise CloudError(
                    f"stack {self.delivery.stack} does not tell {parameter.name}, which {part.file.path} needs: an "
                    f"administrator runs `make bootstrap ENV={self.environment.name}` first"
                )

    def _refuse_forgotten(self, part: Part, request: StackRequest, stack: Stack | None) -> None:
        """Raise InputError for parameters that were stated before and are not any more: a table was lost, say.

        What has always been left to the template may change with it, and so may what the template did not know.
        """
        if stack is None or readiness(stack) is not Readiness.UPDATE:
            return
        silent = [
            parameter
            for name, parameter in part.file.parameters.items()
            if name not in request.parameters.keys() | request.kept
            and stack.parameters.get(name, parameter.default) != parameter.default
        ]
        if not silent:
            return
        defaults = deployed_defaults(self.cloud, stack.name)
        for parameter in silent:
            before = stack.parameters[parameter.name]
            if before != defaults.get(parameter.name):
                raise InputError(
                    f"{self.environment.path}: {part.where}.{parameter.name} is missing: stack {stack.name} has "
                    f"{before!r}, and the template's default would make it {parameter.default!r}; state which is meant"
                )

    def upload(self, part: Part) -> None:
        """Put the code of a system into the bucket; code that nothing uses yet does no harm."""
        for package in part.packages:
            put_object(self.cloud, self.known[CODE_BUCKET], package.key, package.content)


def plan(
    environment: Environment, *, parameters: Mapping[str, str] = {}, committed: Committed = COMMITTED
) -> tuple[StackPlan, ...]:
    """What ``deploy_all`` would do to each stack, in order, worked out by CloudFormation.  Nothing is left behind.

    Raises InputError, TemplateError, QuotaError and CloudError.
    """
    work = prepare(environment, (), parameters, committed)
    plans, known, coming = [], dict(work.known), set[str]()
    for part in work.parts:
        one = plan_stack(work.cloud, work.job(part, known, coming))
        plans.append(one)
        if part.system is None:
            known |= _outputs(work.cloud, part)
            coming |= set() if one.work is Work.NOTHING else part.file.outputs
    changing = {one.stack for one in plans if one.work is not Work.NOTHING}
    of_alarms = _of_alarms(work, committed, parameters) | _of_routing(work, committed, known)
    return (*plans, *plan_deployment(work.environment, committed, parameters=of_alarms, coming=changing))


def deploy_all(
    environment: Environment,
    *,
    parameters: Mapping[str, str] = {},
    committed: Committed = COMMITTED,
    confirmed: bool = False,
    progress: Progress = lambda event: None,
) -> tuple[StackOutcome, ...]:
    """Bring every stack of an environment to what is committed: network, systems, routing, alarms.

    A stack that is as committed is left alone.  When one fails, CloudFormation takes its changes back and the stacks
    after it are not touched.  Raises InputError, TemplateError, QuotaError and CloudError.
    """
    _require_confirmation(environment, confirmed)
    work = prepare(environment, (), parameters, committed)
    of_alarms = _of_alarms(work, committed, parameters)
    begun: set[str] = set()

    def listen(event: DeployEvent) -> None:
        if isinstance(event, StackPlan):
            begun.add(event.stack)
        progress(event)

    try:
        outcomes = _deploy_parts(work, listen)
        told = {name: value for one in outcomes if one.system is None for name, value in one.outputs.items()}
        of_alarms |= _of_routing(work, committed, told)
        return (
            *outcomes,
            *deploy(work.environment, committed, parameters=of_alarms, confirmed=True, progress=listen),
        )
    except CloudError as error:
        untouched = [name for name in stack_names(work.environment, committed) if name not in begun]
        raise CloudError(f"{error}; not touched: {', '.join(untouched)}" if untouched else str(error)) from error


def deploy_systems(
    environment: Environment,
    names: Sequence[str] = (),
    *,
    parameters: Mapping[str, str] = {},
    confirmed: bool = False,
    progress: Progress = lambda event: None,
) -> tuple[StackOutcome, ...]:
    """Bring the network and the reference systems ``names``, or all of them, to what is committed.

    Raises InputError, TemplateError, QuotaError and CloudError.
    """
    _require_confirmation(environment, confirmed)
    return _deploy_parts(prepare(environment, names, parameters), progress)


def plan_bootstrap(environment: Environment, *, parameters: Mapping[str, str] = {}) -> StackPlan:
    """What ``bootstrap`` would do.  Raises as it does."""
    work, job = _bootstrap_job(environment, parameters)
    return plan_stack(work, job)


def bootstrap(
    environment: Environment,
    *,
    parameters: Mapping[str, str] = {},
    confirmed: bool = False,
    progress: Progress = lambda event: None,
) -> StackOutcome:
    """Set up what the delivery of an environment needs: bucket, boundary, roles.  For an administrator, once.

    Raises InputError, TemplateError, QuotaError and CloudError.
    """
    _require_confirmation(environment, confirmed)
    cloud, job = _bootstrap_job(environment, parameters)
    return deploy_stack(cloud, job, progress)


def stack_names(environment: Environment, committed: Committed = COMMITTED) -> tuple[str, ...]:
    """The stacks of an environment in order, without the one that delivers it."""
    return (
        environment.other(NETWORK).stack,
        *(environment.of(system).stack for system in systems()),
        *((environment.other(FORWARDER).stack,) if FORWARDER in environment.stacks else ()),
        environment.routing_stack,
        *(environment.of(path.stem).alarm_stack for path in sorted(committed.alarms.glob("*.yaml"))),
    )


def prepare(
    environment: Environment,
    names: Sequence[str],
    given: Mapping[str, str],
    committed: Committed | None = None,
) -> Preparation:
    """Read the templates and the present stacks; with ``committed``, those of the alarms, too.  Changes nothing.

    Raises InputError, TemplateError, QuotaError and CloudError for everything that can be known beforehand.
    """
    _refuse_unknown_stacks(environment)
    network, delivery = _shared(environment, NETWORK), _shared(environment, DELIVERY)
    parts = (network, *(_system(environment, name) for name in sorted(set(names) or systems())))
    if FORWARDER in environment.stacks and not names:
        parts += (_forwarder(environment),)
    refuse_environment(environment)
    for part in parts:
        if part.name == "notification":
            refuse_notification(environment, part.where, part.file, part.configured, given)
    _refuse_shared_names(environment, committed)
    if committed is not None:
        _refuse_unknown_given(environment, parts, committed, given)
    cloud = connect_to(environment)
    told = _outputs(cloud, delivery)
    environment = replace(
        environment,
        artifacts_bucket=environment.artifacts_bucket or told.get(BUCKET_OUTPUT),
        execution_role=environment.execution_role or told.get(ROLE_OUTPUT),
        permissions_boundary=environment.permissions_boundary or told.get(BOUNDARY_OUTPUT),
    )
    bucket = environment.artifacts_bucket
    if bucket is None:
        raise InputError(
            f"{environment.path}: {environment.name}.artifacts_bucket is missing: functions need a bucket for their "
            f"code; name it there, or let an administrator run `make bootstrap ENV={environment.name}`"
        )
    known = {**told, **prefix_lists(cloud), CODE_BUCKET: bucket}
    work = Preparation(environment, cloud, parts, given, known, delivery)
    for part in parts:
        refuse_oversize(part.file.text, part.file.path, bucket)
        work.job(part, known, network.file.outputs)
    if committed is not None:
        read_committed(environment, committed, (), _of_alarms(work, committed, given))
    return work


def _deploy_parts(work: Preparation, progress: Progress) -> tuple[StackOutcome, ...]:
    known = dict(work.known)
    outcomes = []
    for part in work.parts:
        work.upload(part)
        outcome = _deploy_part(work, work.job(part, known), progress)
        outcomes.append(outcome)
        if part.name == NETWORK:
            known |= outcome.outputs
            close_default_group(work.cloud, outcome.outputs[DEFAULT_GROUP_OUTPUT])
    return tuple(outcomes)


def _deploy_part(work: Preparation, job: Job, progress: Progress) -> StackOutcome:
    """One stack; what is to be protected from deletion is so once it is all there, in a change of its own.

    CloudFormation could not take back a creation that fails half-way with a table or a database that refuses to go: the
    stack would be stuck in ROLLBACK_FAILED.
    """
    parameters = job.request.parameters
    present = find_stack(work.cloud, job.request.stack)
    if parameters.get(PROTECTION) != "true" or readiness(present) is Readiness.UPDATE:
        return deploy_stack(work.cloud, job, progress)
    open_yet = replace(job, request=replace(job.request, parameters={**parameters, PROTECTION: "false"}))
    created = deploy_stack(work.cloud, open_yet, progress)
    return replace(created, outputs=deploy_stack(work.cloud, job, progress).outputs)


def _bootstrap_job(environment: Environment, given: Mapping[str, str]) -> tuple[Cloud, Job]:
    _refuse_unknown_stacks(environment)
    part = _shared(environment, DELIVERY)
    refuse_environment(environment)
    refuse_delivery(environment, part.where, part.file, part.configured, given)
    for name in given:
        if name not in part.file.parameters:
            raise InputError(f"{part.file.path} has no parameter {name!r}; {nearest(name, part.file.parameters)}")
    cloud = connect_to(environment)
    # The role that CloudFormation acts as later is what this very stack makes; the bucket, too.
    alone = replace(environment, execution_role=None, artifacts_bucket=None)
    refuse_oversize(part.file.text, part.file.path, None)
    known = {} if environment.artifacts_bucket is None else {BUCKET_OUTPUT: environment.artifacts_bucket}
    return cloud, Preparation(alone, cloud, (part,), given, known).job(part, known)


def _shared(environment: Environment, name: str) -> Part:
    stated = environment.other(name)
    where = f"{environment.name}.stacks.{name}"
    file = _read(template_path(name))
    refuse_unknown_keys(f"{environment.path}: {where}", stated.parameters, file)
    return Part(name, None, stated.stack, where, file, stated.parameters)


def _forwarder(environment: Environment) -> Part:
    """The one shared stack with code; an environment that has a table for it has it."""
    part = _shared(environment, FORWARDER)
    _refuse_difference(part.file.path, FORWARDER)
    return replace(part, packages=tuple(packages(FORWARDER)))


def _system(environment: Environment, name: str) -> Part:
    if name not in systems():
        raise InputError(f"no reference system {name!r}; {nearest(name, systems())}")
    stated = environment.of(name)
    where = f"{environment.name}.{name}"
    file = _read(template_path(name))
    _refuse_difference(file.path, name)
    refuse_unknown_keys(f"{environment.path}: {where}", stated.parameters, file)
    return Part(name, name, stated.stack, where, file, stated.parameters, tuple(packages(name)))


def _refuse_difference(path: str, name: str) -> None:
    """The code is taken from the sources: with a template of others, a migration, say, would be there and not be run."""
    if difference(name):
        raise InputError(
            f"{path} is not what its sources say; run `python -m deploy.render`, look at the difference and commit it"
        )


def _read(path: Path) -> CommittedTemplate:
    return read_template(as_written(path))


def _outputs(cloud: Cloud, part: Part) -> Mapping[str, str]:
    stack = find_stack(cloud, part.stack)
    return stack.outputs if stack is not None and readiness(stack) is Readiness.UPDATE else {}


def _of_alarms(work: Preparation, committed: Committed, given: Mapping[str, str]) -> dict[str, str]:
    """Of the values given, those that are not meant for the watched stacks alone."""
    own = {name for part in work.parts for name in part.file.parameters}
    declared = _alarm_parameters(committed)
    return {name: value for name, value in given.items() if name in declared or name not in own}


def _of_routing(work: Preparation, committed: Committed, told: Mapping[str, str]) -> dict[str, str]:
    """The forwarder's queue, for a routing that has a route over it; one that the environment states itself stays.

    Its name is the stack's and its own, so that a plan knows it before it is there.
    """
    environment = work.environment
    stated = work.given.keys() | environment.routing_parameters.keys()
    wanted = FORWARDER_QUEUE in _read(committed.routing).parameters if committed.routing.exists() else False
    if FORWARDER not in environment.stacks or not wanted or FORWARDER_QUEUE in stated:
        return {}
    region, name = work.cloud.region, f"{environment.other(FORWARDER).stack}-Alerts"
    partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    return {FORWARDER_QUEUE: told.get(FORWARDER_QUEUE) or f"arn:{partition}:sqs:{region}:{work.cloud.account()}:{name}"}


def _alarm_parameters(committed: Committed) -> set[str]:
    paths = [committed.routing, *sorted(committed.alarms.glob("*.yaml"))]
    return {name for path in paths if path.exists() for name in _read(path).parameters}


def _refuse_unknown_given(
    environment: Environment, parts: Sequence[Part], committed: Committed, given: Mapping[str, str]
) -> None:
    declared = {name for part in parts for name in part.file.parameters} | _alarm_parameters(committed)
    for name in given:
        if name not in declared:
            raise InputError(f"no template of {environment.name} has a parameter {name!r}; {nearest(name, declared)}")


def _refuse_unknown_stacks(environment: Environment) -> None:
    for name in environment.stacks:
        if name not in SHARED:
            raise InputError(
                f"{environment.path}: {environment.name}.stacks.{name}: no such stack; {nearest(name, SHARED)}"
            )


def _refuse_shared_names(environment: Environment, committed: Committed | None) -> None:
    """One stack would undo the other's changes."""
    names = [environment.other(DELIVERY).stack, *stack_names(environment, committed or COMMITTED)]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{environment.path}: {environment.name}: two stacks are named {name}; rename one")


def _require_confirmation(environment: Environment, confirmed: bool) -> None:
    if environment.protected and not confirmed:
        raise InputError(f"environment {environment.name} is protected: look at the plan, then confirm the deployment")
