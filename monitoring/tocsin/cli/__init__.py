"""The command line: parse, call, print, exit code.  One file a command.

0 is fine, 1 is findings, 2 is wrong input, 3 a mistake of Tocsin itself, 130 Ctrl-C.
"""

from __future__ import annotations

import click

from .backtest import backtest
from .build import build
from .check import check
from .deploy import deploy
from .discover import discover
from .drill import drill
from .explain import explain
from .exporter import exporter
from .failures import Group
from .history import history
from .init import init
from .mute import mute
from .oncall import oncall
from .openslo import export, import_
from .options import examples
from .review import review
from .simulate import simulate
from .tune import tune


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "tocsin discover template.yaml",
        "tocsin build --template template.yaml --name checkout --out monitoring-of-checkout",
        "tocsin init --template template.yaml --name checkout --owner payments",
        "tocsin build && tocsin check",
    ),
)
@click.version_option(package_name="tocsin")
def main() -> None:
    """Alarms, SLO burn-rate alarms, dashboards and runbooks for AWS, from what you promised your users."""


for _command in (
    backtest,
    build,
    check,
    deploy,
    discover,
    drill,
    explain,
    export,
    exporter,
    history,
    import_,
    init,
    mute,
    oncall,
    review,
    simulate,
    tune,
):
    main.add_command(_command)
