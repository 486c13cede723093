"""Deploys the reference systems themselves: packages the functions, uploads them, brings each stack about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from deploy.package import packages
from deploy.render import systems
from tocsin.cloud.artifacts import put_object
from tocsin.cloud.committed import as_written, read_template
from tocsin.cloud.deploy import Progress, StackOutcome, deploy_stack
from tocsin.cloud.environments import Environment
from tocsin.cloud.preparation import Job, connect_to, refuse_unknown_keys, stack_request
from tocsin.cloud.session import Cloud
from tocsin.cloud.stacks import find_stack, refuse_blocked
from tocsin.errors import InputError

ROOT = Path(__file__).resolve().parent
CODE_BUCKET = "CodeBucket"


def deploy_systems(
    environment: Environment,
    names: Sequence[str] = (),
    *,
    parameters: Mapping[str, str] = {},
    confirmed: bool = False,
    progress: Progress = lambda event: None,
) -> tuple[StackOutcome, ...]:
    """Bring the stacks of the reference systems ``names``, or of all, to what is committed.

    Packages go into the environment's ``artifacts_bucket``, which must exist.  ``parameters`` are values for whichever
    template declares them.  A second run changes nothing.  Raises InputError, TemplateError and CloudError.
    """
    if environment.protected and not confirmed:
        raise InputError(f"environment {environment.name} is protected: confirm the deployment")
    if environment.artifacts_bucket is None:
        raise InputError(
            f"{environment.path}: {environment.name}: functions need a bucket for their code; give it an artifacts_bucket"
        )
    cloud = connect_to(environment)
    jobs = [
        _job(cloud, environment, system, environment.artifacts_bucket, parameters)
        for system in sorted(set(names) or systems())
    ]
    return tuple(deploy_stack(cloud, job, progress) for job in jobs)


def _job(cloud: Cloud, environment: Environment, system: str, bucket: str, parameters: Mapping[str, str]) -> Job:
    """What has to be deployed for a system, its code already uploaded: code that nothing uses yet does no harm."""
    stacks = environment.of(system)
    file = read_template(as_written(ROOT / system / "template.yaml"))
    refuse_unknown_keys(f"{environment.path}: {environment.name}.{system}", stacks.parameters, file)
    stack = find_stack(cloud, stacks.stack)
    refuse_blocked(cloud, stack)
    known = {CODE_BUCKET: bucket}
    for package in packages(system):
        put_object(cloud, bucket, package.key, package.content)
        known[package.parameter] = package.key
    request = stack_request(
        environment,
        file,
        stacks.stack,
        stack,
        known=known,
        configured=stacks.parameters,
        given=parameters,
        keeps=False,
    )
    return Job(replace(request, capabilities=("CAPABILITY_IAM",)), file, system)
