"""Deploy the committed templates: the routing first, then the alarms of each system, each stack by a change set."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ..errors import CloudError, InputError
from .change_set import create_change_set, discard, execute, remove_stack
from .committed import Committed
from .differences import Action, ResourceChange
from .environments import Environment
from .preparation import Job, prepare, prepare_routing, topic_outputs
from .session import Cloud
from .stacks import HIDDEN, Readiness, Stack, StackEvent, find_stack, readiness, refuse_blocked


class Work(StrEnum):
    """What a deployment does, or did, to a stack."""

    CREATE = "create"
    RECREATE = "recreate"  # delete what a failed creation left behind, then create
    UPDATE = "update"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class ParameterChange:
    """A parameter of a stack that is there already, and its value before and after; None where the stack has it not."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class StackPlan:
    """What a deployment would do to one stack.

    ``source`` is the committed file, ``system`` None for the routing and for what several systems share.  ``names`` are
    the physical names the alarms will carry.  ``unknown`` are parameters whose value only the deployment of an earlier
    stack tells, ``parameters`` those whose value changes, without the secret ones.
    """

    stack: str
    source: str
    system: str | None
    work: Work
    changes: tuple[ResourceChange, ...]
    names: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    parameters: tuple[ParameterChange, ...] = ()


@dataclass(frozen=True, slots=True)
class StackOutcome:
    """What a deployment did to one stack, and the stack's outputs now."""

    stack: str
    source: str
    system: str | None
    work: Work
    changes: tuple[ResourceChange, ...]
    outputs: Mapping[str, str]


_BEFORE_PLANNING = {
    Readiness.CREATE: Work.CREATE,
    Readiness.RECREATE: Work.RECREATE,
    Readiness.UPDATE: Work.UPDATE,
}

DeployEvent = StackPlan | StackEvent | StackOutcome
Progress = Callable[[DeployEvent], None]


def plan_deployment(
    environment: Environment,
    committed: Committed,
    systems: Sequence[str] = (),
    *,
    parameters: Mapping[str, str] = {},
    coming: Collection[str] = (),
) -> tuple[StackPlan, ...]:
    """What ``deploy`` would do, worked out by CloudFormation; nothing is left behind.

    ``coming`` are watched stacks that are to be deployed first.  Raises InputError, TemplateError and CloudError as ``deploy`` does.
    """
    work = prepare(environment, committed, systems, parameters, coming)
    routing = find_stack(work.cloud, environment.routing_stack)
    outputs = routing.outputs if routing is not None and readiness(routing) is Readiness.UPDATE else {}
    placeholder = work.unknown_topic
    plans = [plan_stack(work.cloud, work.routing_job(routing))]
    for template in work.alarms:
        topics = {name: outputs.get(output, placeholder) for name, output in topic_outputs(template).items()}
        plans.append(plan_stack(work.cloud, work.alarm_job(template, topics), placeholder))
    return tuple(plans)


def deploy(
    environment: Environment,
    committed: Committed,
    systems: Sequence[str] = (),
    *,
    parameters: Mapping[str, str] = {},
    confirmed: bool = False,
    progress: Progress = lambda event: None,
) -> tuple[StackOutcome, ...]:
    """Make the stacks of ``environment`` what the committed files say; ``systems`` limits it to some.

    ``parameters`` are values for whichever template declares them.  All files and all names are read before anything is
    changed, and a stack that is as committed is left alone.  ``progress`` hears of the plan, of every step and of
    the outcome of each stack.  Raises InputError when a protected environment is not ``confirmed``, TemplateError for
    a committed file that cannot be used, CloudError when AWS refuses or rolls back.
    """
    _require_confirmation(environment, confirmed)
    work = prepare(environment, committed, systems, parameters)
    routing = deploy_stack(work.cloud, work.routing_job(find_stack(work.cloud, environment.routing_stack)), progress)
    outcomes = [routing]
    for template in work.alarms:
        topics: dict[str, str] = {}
        for name, output in topic_outputs(template).items():
            if output not in routing.outputs:
                raise CloudError(f"stack {routing.stack} has no output {output}; look at it in CloudFormation")
            topics[name] = routing.outputs[output]
        outcomes.append(deploy_stack(work.cloud, work.alarm_job(template, topics), progress))
    return tuple(outcomes)


def plan_routing(environment: Environment, committed: Committed, *, parameters: Mapping[str, str] = {}) -> StackPlan:
    """What ``deploy_routing`` would do, with the secrets as they are now.  Raises as it does."""
    work = prepare_routing(environment, committed, parameters)
    return plan_stack(work.cloud, work.routing_job(find_stack(work.cloud, environment.routing_stack)))


def deploy_routing(
    environment: Environment,
    committed: Committed,
    *,
    parameters: Mapping[str, str] = {},
    confirmed: bool = False,
    progress: Progress = lambda event: None,
) -> StackOutcome:
    """Make the routing of ``environment`` what the committed file says, and leave the alarms alone.

    For what changes only the way of a page, such as a key.  Raises as ``deploy`` does.
    """
    _require_confirmation(environment, confirmed)
    work = prepare_routing(environment, committed, parameters)
    return deploy_stack(work.cloud, work.routing_job(find_stack(work.cloud, environment.routing_stack)), progress)


def plan_stack(cloud: Cloud, job: Job, placeholder: str | None = None) -> StackPlan:
    """What would be done to one stack; ``placeholder`` is the value of parameters that are not known yet.

    CloudFormation is not asked where it could not tell: for a stack whose creation failed, and for a job with
    ``unknown`` parameters, for it refuses a subnet that does not exist.
    """
    stack = find_stack(cloud, job.request.stack)
    refuse_blocked(cloud, stack)
    parameters = _parameter_changes(job, stack, placeholder)
    all_of_it = tuple(ResourceChange(Action.ADD, name, type_) for name, type_ in job.file.resources.items())
    if job.unknown:
        work = _BEFORE_PLANNING[readiness(stack)]
        changes = () if work is Work.UPDATE else all_of_it
        return StackPlan(
            job.request.stack,
            job.file.path,
            job.system,
            work,
            changes,
            job.names,
            tuple(sorted(job.unknown)),
            parameters,
        )
    if readiness(stack) is Readiness.RECREATE:
        changes, work = all_of_it, Work.RECREATE
    else:
        change_set = create_change_set(cloud, job.request)
        discard(cloud, change_set)
        changes, work = change_set.changes, _work(change_set.unchanged, change_set.creates)
    unknown = () if placeholder is None else (n for n, v in job.request.parameters.items() if v == placeholder)
    return StackPlan(
        job.request.stack, job.file.path, job.system, work, changes, job.names, tuple(sorted(unknown)), parameters
    )


def deploy_stack(cloud: Cloud, job: Job, progress: Progress) -> StackOutcome:
    """Bring one stack about.  Raises CloudError when it cannot be, after it is as it was before."""
    stack = find_stack(cloud, job.request.stack)
    refuse_blocked(cloud, stack)
    recreates = stack is not None and readiness(stack) is Readiness.RECREATE
    if stack is not None and recreates:
        remove_stack(cloud, stack, progress, role=job.request.role)
    change_set = create_change_set(cloud, job.request)
    work = Work.RECREATE if recreates else _work(change_set.unchanged, change_set.creates)
    try:
        parameters = _parameter_changes(job, stack)
        progress(
            StackPlan(
                job.request.stack,
                job.file.path,
                job.system,
                work,
                change_set.changes,
                job.names,
                parameters=parameters,
            )
        )
    except BaseException:
        discard(cloud, change_set)
        raise
    done = execute(cloud, change_set, progress)
    outcome = StackOutcome(job.request.stack, job.file.path, job.system, work, change_set.changes, done.outputs)
    progress(outcome)
    return outcome


def _require_confirmation(environment: Environment, confirmed: bool) -> None:
    if environment.protected and not confirmed:
        raise InputError(f"environment {environment.name} is protected: look at the plan, then confirm the deployment")


def _parameter_changes(job: Job, stack: Stack | None, placeholder: str | None = None) -> tuple[ParameterChange, ...]:
    """What becomes of the parameters of a stack that is there; one that nobody states goes back to its default."""
    if stack is None or readiness(stack) is not Readiness.UPDATE:
        return ()
    found = []
    for name in sorted(stack.parameters.keys() | job.file.parameters.keys()):
        declared = job.file.parameters.get(name)
        if name in job.unknown or name in job.request.kept or (declared is not None and declared.secret):
            continue
        before = stack.parameters.get(name)
        after = None if declared is None else job.request.parameters.get(name, declared.default)
        told_later = placeholder is not None and after == placeholder
        if before not in (after, HIDDEN) and not told_later:
            found.append(ParameterChange(name, before, after))
    return tuple(found)


def _work(unchanged: bool, creates: bool) -> Work:
    if unchanged:
        return Work.NOTHING
    return Work.CREATE if creates else Work.UPDATE
