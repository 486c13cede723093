"""``tocsin simulate``: what a template's alarms would have done."""

from __future__ import annotations

from pathlib import Path

import click

from .options import PATH, examples, json_option, param_option
from .output import echo, print_json


@click.command(
    epilog=examples(
        "tocsin simulate --template alarms/checkout.yaml --series traffic.json",
        "tocsin simulate --template alarms/checkout.yaml --series a.json b.json --param CheckoutApiName=checkout --json",
        "tocsin simulate --template alarms.yaml --series errors.csv --metric 'AWS/Lambda/Errors{FunctionName=checkout}'",
    ),
)
@click.option("--template", type=PATH, required=True, help="A rendered CloudFormation template with alarms.")
@click.option("--series", type=PATH, multiple=True, required=True, help="A file of metric series; may be repeated.")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAMESPACE/NAME{DIM=VALUE}",
    help="What a .csv file of lines timestamp,value holds; one for each such file, in their order.",
)
@click.argument("more_series", type=PATH, nargs=-1)
@click.option("--from", "start", metavar="TIME", help="First moment to evaluate, such as 2026-01-01T00:00:00Z.")
@click.option("--to", "end", metavar="TIME", help="Last moment to evaluate.")
@param_option
@json_option
def simulate(
    template: Path,
    series: tuple[Path, ...],
    metrics: tuple[str, ...],
    more_series: tuple[Path, ...],
    start: str | None,
    end: str | None,
    parameters: dict[str, str],
    as_json: bool,
) -> None:
    """Say when each alarm of a template would have changed state, and what would have been told to whom."""
    from ..simulate.report import lines, run

    result = run(template, (*series, *more_series), parameters, start, end, metrics)
    if as_json:
        print_json(result.as_json())
        return
    echo(lines(result))
