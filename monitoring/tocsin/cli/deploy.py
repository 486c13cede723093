"""``tocsin deploy``: brings an environment's alarms and routing to what is committed."""

from __future__ import annotations

from contextlib import suppress

import click

from ..errors import InputError
from .here import project_here
from .options import examples, json_option, param_option
from .output import echo, print_json


@click.command(
    epilog=examples("tocsin deploy dev --plan", "tocsin deploy prod --system checkout", "tocsin deploy prod --yes"),
)
@click.argument("environment")
@click.option("--plan", "plan_only", is_flag=True, help="Show what would change and change nothing.")
@click.option("--system", "systems", multiple=True, help="Deploy the alarms of this system only; may be repeated.")
@click.option("--yes", is_flag=True, help="Do not ask, even for a protected environment.")
@param_option
@json_option
def deploy(
    environment: str, plan_only: bool, systems: tuple[str, ...], yes: bool, parameters: dict[str, str], as_json: bool
) -> None:
    """Bring ENVIRONMENT's alarms and routing to what is committed, by CloudFormation change sets.

    The names of what is watched come from its deployed stacks.  A second run changes nothing.
    """
    from ..cloud.committed import Committed
    from ..cloud.deploy import deploy as deploy_stacks
    from ..cloud.deploy import plan_deployment
    from ..cloud.environments import read_environment
    from ..cloud.wording import as_json as stack_json
    from ..cloud.wording import happened, planned

    project = project_here()
    target = read_environment(project.root / project.environments, environment)
    committed = Committed(project.root / project.alarms, project.root / project.routing)
    confirmed = yes or not target.protected
    if as_json and not plan_only and not confirmed:
        raise InputError(f"{environment} is protected and --json cannot ask; look at --plan, then give --yes")
    if plan_only or not confirmed:
        plans = plan_deployment(target, committed, systems, parameters=parameters)
        if as_json:
            print_json([stack_json(one) for one in plans])
        else:
            echo(line for one in plans for line in planned(one))
        if plan_only:
            return
        with suppress(click.Abort):  # nobody there to ask
            confirmed = click.confirm(f"{environment} is protected. Deploy this?", err=True)
        if not confirmed:
            raise InputError(f"{environment}: not confirmed, so nothing was changed; confirm it, or give --yes")
    outcomes = deploy_stacks(
        target,
        committed,
        systems,
        parameters=parameters,
        confirmed=confirmed,
        progress=lambda event: None if as_json else echo(happened(event)),
    )
    if as_json:
        print_json([stack_json(one) for one in outcomes])
