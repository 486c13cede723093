"""``make laptop``: a shell with an AWS of its own, in which the commands of an environment are tried as ``ENV=laptop``.

``python -m deploy.laptop COMMAND…`` runs a command in the place of the shell.  When it ends, the AWS and all that is in it
go.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from deploy.__main__ import ENVIRONMENTS_VARIABLE
from deploy.run.stage import NAME, believe, describe_environment
from tocsin.cloud.embedded import embedded
from tocsin.cloud.environments import Environment, Setting
from tocsin.errors import TocsinError
from tocsin.paging.embedded import embedded_oncall

WELCOME = """\
This shell has an AWS of its own, and nothing is in it yet:

  make bootstrap ENV={name}
  make deploy ENV={name}
  make validate ENV={name}

Its environment is described in {file}, what pages
and tickets tell arrives at {alerts}, and `exit` ends it with all that is in it.
"""


def main(command: Sequence[str]) -> int:
    """Run the command, by default the user's shell; its exit code, but 0 for a shell."""
    signal.signal(signal.SIGTERM, _leave)  # everything is taken down in order
    try:
        return run(command)
    except TocsinError as error:
        sys.stderr.write(f"laptop: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130


def run(command: Sequence[str]) -> int:
    """Start everything, run the command.  Raises TocsinError."""
    with ExitStack() as up:
        pager = up.enter_context(embedded_oncall())
        aws = up.enter_context(embedded(iam=True))
        believe(pager, aws)
        file = aws.directory / "environments.toml"
        file.write_text(written(describe_environment(aws, pager)), encoding="utf-8")
        # Settings for another account must not get in the way.
        variables = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        variables |= {**aws.boto3_environment(), ENVIRONMENTS_VARIABLE: str(file)}
        if not command:
            sys.stdout.write(WELCOME.format(name=NAME, file=file, alerts=f"{pager.url}/alerts") + "\n")
            sys.stdout.flush()
        shell = shlex.split(os.environ.get("SHELL", "")) or ["/bin/sh"]
        with _told_later():
            try:
                child = subprocess.Popen([*command] or shell, env=variables)
            except OSError as error:
                raise TocsinError(f"{' '.join(command or shell)} cannot be run: {error.strerror}") from None
            up.callback(_end, child)
        while True:
            try:
                code = child.wait()
            except KeyboardInterrupt:  # it was meant for what runs in the shell
                continue
            return code if command else 0


def written(environment: Environment) -> str:
    """The environment as a file like ``deploy/environments.toml``."""
    own = {
        name: getattr(environment, name)
        for name in ("account", "endpoint_url", "plain_endpoint_url", "region")
        if getattr(environment, name) is not None
    }
    tables: dict[str, Mapping[str, Setting]] = {"": own, ".routing": environment.routing_parameters}
    tables |= {f".stacks.{name}": stack.parameters for name, stack in environment.stacks.items()}
    tables |= {f".{name}": stacks.parameters for name, stacks in environment.systems.items()}
    return "\n".join(
        f"[{environment.name}{table}]\n"
        + "".join(f"{name} = {json.dumps(str(value))}\n" for name, value in sorted(values.items()))
        for table, values in tables.items()
    )


def _leave(number: int, _frame: object) -> None:
    sys.exit(128 + number)


@contextmanager
def _told_later() -> Iterator[None]:
    """A SIGTERM in this block takes effect at its end: a child that is just being started would be left behind."""
    told: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: told.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
    if told:
        _leave(told[0], None)


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
        child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
