"""How the tests use the command line: in this process, as a process of its own, and what a folder holds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from click.testing import CliRunner, Result

from tocsin.cli import main

ROOT = Path(__file__).parents[1]
NOTIFICATION = ROOT / "deploy" / "notification" / "template.yaml"
DATA_PIPELINE = ROOT / "deploy" / "data_pipeline" / "template.yaml"


def named_commands(group: click.Group = main, before: str = "") -> dict[str, click.Command]:
    """Every command by the words it is called with after ``tocsin``, those of groups among them: ``oncall plan``."""
    found: dict[str, click.Command] = {}
    for name, command in sorted(group.commands.items()):
        found[f"{before}{name}"] = command
        if isinstance(command, click.Group):
            found |= named_commands(command, f"{before}{name} ")
    return found


#: A small system with something to promise.
SHOP = """\
Parameters:
  Timeout: {Type: Number, Default: 10}
  Stage: {Type: String, Default: live, AllowedValues: [live, test]}
Resources:
  Api: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: shop, ProtocolType: HTTP}}
  Reader: {Type: AWS::Lambda::Function, Properties: {Timeout: !Ref Timeout}}
  Orders:
    Type: AWS::SQS::Queue
    Properties: {RedrivePolicy: {deadLetterTargetArn: !GetAtt Failed.Arn, maxReceiveCount: 3}}
  Failed: {Type: AWS::SQS::Queue}
  Role: {Type: AWS::IAM::Role}
"""

#: Its declaration; ``{slos}`` is filled in.
DECLARATION = """\
from tocsin import System, availability, completeness, discover, freshness, heartbeat, latency, override

stack = discover("template.yaml")
system = System(name="shop", owner="payments", resources=stack, slos=[{slos}])
"""


def tocsin(*arguments: str | Path) -> Result:
    """Run a command in this process.  A mistake of the program itself is raised here instead of being told."""
    before = os.environ.get("TOCSIN_TRACEBACK")
    os.environ["TOCSIN_TRACEBACK"] = "1"
    try:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="tocsin")
    finally:
        del os.environ["TOCSIN_TRACEBACK"]
        if before is not None:
            os.environ["TOCSIN_TRACEBACK"] = before
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def process(
    *arguments: str | Path, cwd: Path, environment: Mapping[str, str | None] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command as a process of its own in ``cwd``.  A variable that is None is taken away."""
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        env={name: value for name, value in {**os.environ, **(environment or {})}.items() if value is not None},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def command(*arguments: str | Path) -> Sequence[str]:
    """The program and its arguments."""
    return [sys.executable, "-m", "tocsin", *map(str, arguments)]


def only_line(text: str) -> str:
    """The one line that a failing command prints on standard error."""
    lines = text.splitlines()
    assert len(lines) == 1, text
    assert lines[0].startswith("tocsin: ")
    assert "Traceback" not in text
    assert "a mistake in Tocsin" not in text
    return lines[0].removeprefix("tocsin: ")


def refused(*arguments: str | Path, folder: Path | None = None) -> str:
    """Run a command that must fail with wrong input: one line, nothing on standard output, no file changed."""
    here = folder or Path.cwd()
    before = snapshot(here)
    result = tocsin(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert snapshot(here) == before, "a command that fails leaves everything as it was"
    return only_line(result.stderr)


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder: the bytes of each file, None for a folder.  Python's own caches are left out."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if "__pycache__" not in path.parts
    }


def declare(folder: Path, slos: str = "", *, text: str | None = None, file: str = "shop.py") -> Path:
    """A project in ``folder`` that declares the shop, or whatever ``text`` says."""
    systems = folder / "monitoring" / "systems"
    systems.mkdir(parents=True, exist_ok=True)
    (folder / "template.yaml").write_text(SHOP, encoding="utf-8")
    path = systems / file
    path.write_text(DECLARATION.format(slos=slos) if text is None else text, encoding="utf-8")
    return path
