"""``tocsin check``: findings, and what everything costs."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import click

from ..errors import InputError
from .here import planned_here
from .options import PATH, examples, json_option, param_option
from .output import count, print_json, print_table

FINDINGS = 1


@click.command(
    epilog=examples("tocsin check", "tocsin check --budget 50", "tocsin check --json", "tocsin explain T001"),
)
@click.option("--budget", type=click.FloatRange(min=0), help="Most US dollars a month that all alarms may cost.")
@click.option("--template", type=PATH, help="Check an alarm template that somebody else wrote.")
@param_option
@json_option
def check(budget: float | None, template: Path | None, parameters: dict[str, str], as_json: bool) -> None:
    """Find drift, broken quotas, alarms that can never fire and what it all costs.  Exit code 1 if there are findings."""
    if budget is not None and math.isnan(budget):
        raise InputError("--budget nan: give an amount in US dollars, such as 50")
    from ..check import check_project, check_template

    if template is not None:
        report = check_template(template, parameters, budget)
    else:
        project, plans = planned_here(parameters)
        report = check_project(project, plans, budget)
    if as_json:
        print_json(report.as_json())
    else:
        for finding in report.findings:
            click.echo(f"{finding.where}: {finding.id} {finding.message}")
            if finding.detail:
                click.echo(finding.detail.rstrip("\n"))
        print_table(
            "Monthly cost, US East list price",
            ("System", "SLO or resource", "Alarms", "USD"),
            [(line.system, line.subject, str(line.alarms), f"{line.usd:.2f}") for line in report.costs],
        )
        click.echo(
            f"{count(report.alarms, 'alarm')}, USD {report.usd:.2f} a month, {count(len(report.findings), 'finding')}"
        )
    if report.findings:
        sys.exit(FINDINGS)
