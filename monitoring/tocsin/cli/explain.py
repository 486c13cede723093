"""``tocsin explain``: what a finding means and how to mend it."""

from __future__ import annotations

import click

from ..errors import InputError
from .options import examples, json_option
from .output import print_json


@click.command(epilog=examples("tocsin explain", "tocsin explain T012"))
@click.argument("finding", required=False)
@json_option
def explain(finding: str | None, as_json: bool) -> None:
    """Explain a finding of `tocsin check`; without FINDING, list them all."""
    from ..errors import nearest
    from ..findings import FINDINGS as KNOWN

    if finding is None:
        if as_json:
            print_json([{"id": rule.id, "title": rule.title} for rule in KNOWN.values()])
            return
        for rule in KNOWN.values():
            click.echo(f"{rule.id}  {rule.title}")
        return
    rule = KNOWN.get(finding.upper())  # type: ignore[assignment]
    if rule is None:
        raise InputError(f"no finding {finding!r}; {nearest(finding.upper(), KNOWN)}")
    if as_json:
        print_json({"id": rule.id, "title": rule.title, "why": rule.why, "mend": rule.mend})
        return
    click.echo(f"{rule.id}  {rule.title}\n\n{rule.why}\n\nWhat to do: {rule.mend}")
