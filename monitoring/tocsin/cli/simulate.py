"""``tocsin simulate``: what a template's alarms would have done."""

from __future__ import annotations

from pathlib import Path

import click

from .options import PATH, examples, json_option, metric_option, param_option
from .output import echo, print_json


@click.command(
    epilog=examples(
        "tocsin simulate --template alarms/checkout.yaml --series traffic.json",
        "tocsin simulate --template alarms/checkout.yaml --series a.json b.json --param CheckoutApiName=checkout --json",
        "tocsin simulate --template alarms.yaml --series errors.csv --metric 'AWS/Lambda/Errors{FunctionName=checkout}'",
        "tocsin simulate --template alarms.yaml --series a.json --delay 2min --reading premature=window",
        "tocsin simulate --template alarms.yaml --series a.json --force '2026-01-01T00:10:00Z ALARM checkout-page'",
    ),
)
@click.option("--template", type=PATH, required=True, help="A rendered CloudFormation template with alarms.")
@click.option("--series", type=PATH, multiple=True, required=True, help="A file of metric series; may be repeated.")
@metric_option
@click.argument("more_series", type=PATH, nargs=-1)
@click.option("--from", "start", metavar="TIME", help="First moment to evaluate, such as 2026-01-01T00:00:00Z.")
@click.option("--to", "end", metavar="TIME", help="Last moment to evaluate.")
@click.option(
    "--evaluation-range",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many datapoints a sliding window reads; AWS does not say.  Default: two more than EvaluationPeriods.",
)
@click.option(
    "--reading",
    "readings",
    multiple=True,
    metavar="RULE=READING",
    help="How to read a rule that AWS leaves open, such as premature=window; docs/simulator.md lists them.",
)
@click.option(
    "--force",
    "forced",
    multiple=True,
    metavar="'TIME STATE ALARM'",
    help="Put an alarm into a state by hand, as a drill does; may be given several times.",
)
@click.option(
    "--delay",
    "delays",
    multiple=True,
    metavar="[METRIC=]TIME",
    help="How long after its minute data arrives, such as 2min, of all metrics or of one; may be given several times.",
)
@param_option
@json_option
def simulate(
    template: Path,
    series: tuple[Path, ...],
    metrics: tuple[str, ...],
    more_series: tuple[Path, ...],
    start: str | None,
    end: str | None,
    evaluation_range: int | None,
    readings: tuple[str, ...],
    forced: tuple[str, ...],
    delays: tuple[str, ...],
    parameters: dict[str, str],
    as_json: bool,
) -> None:
    """Say when each alarm of a template would have changed state, and what would have been told to whom."""
    from ..simulate.reading import parse_reading
    from ..simulate.report import lines, run

    result = run(
        template,
        (*series, *more_series),
        parameters,
        start,
        end,
        metrics,
        evaluation_range=evaluation_range,
        reading=parse_reading(readings),
        forced=forced,
        delays=delays,
    )
    if as_json:
        print_json(result.as_json())
        return
    echo(lines(result))
