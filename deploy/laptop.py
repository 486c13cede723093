"""``make laptop``: a shell with an AWS and an on-call tool of its own, in which an environment's commands are tried as
``ENV=laptop``.

``python -m deploy.laptop COMMAND…`` runs a command in the place of the shell.  When it ends, the AWS, the tool and all that
is in them go.
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
from dataclasses import replace
from pathlib import Path

from deploy.__main__ import ENVIRONMENTS_VARIABLE
from deploy.run.on_call import COMMITTED, ON_CALL, declaration, key_variable, people
from deploy.run.stage import NAME, believe, describe_environment
from tocsin.cloud.embedded import embedded
from tocsin.cloud.environments import Environment, Setting
from tocsin.errors import TocsinError
from tocsin.paging.embedded import embedded_oncall

WELCOME = """\
This shell has an AWS and an on-call tool of its own, and nothing is in them yet:

  make bootstrap ENV={name}
  make deploy ENV={name}
  tocsin oncall apply {name}
  make validate ENV={name}
  tocsin drill {name}

Who is told of what can be looked at in {alerts} and, what goes by mail, at
{mails}. The environment is described in
{file}. `exit` ends it with all that is in it.
"""

# In the place of `tocsin`: what works on an environment knows this one, and has the committed files beside it.
LAUNCHER = """\
#!/bin/sh
case "$1" in
  deploy | drill | exporter | mute | oncall) cd {project} || exit 2 ;;
esac
exec {python} -m tocsin "$@"
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
        on_call = declaration()
        pager = up.enter_context(embedded_oncall(users=people(on_call)))
        aws = up.enter_context(embedded(iam=True))
        believe(pager, aws)
        environment = replace(describe_environment(aws), oncall_url=pager.url)
        programs, file = _write_project(aws.directory / NAME, environment)
        # Settings for another account must not get in the way.
        variables = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        variables |= {**aws.boto3_environment(), ENVIRONMENTS_VARIABLE: str(file), key_variable(on_call): pager.key}
        variables["PATH"] = os.pathsep.join((str(programs), *filter(None, [variables.get("PATH")])))
        if not command:
            mails = f"{aws.endpoint}/_tocsin/mails"
            sys.stdout.write(WELCOME.format(name=NAME, file=file, alerts=pager.url, mails=mails) + "\n")
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
        for name in ("account", "endpoint_url", "oncall_url", "plain_endpoint_url", "region")
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


def _write_project(folder: Path, environment: Environment) -> tuple[Path, Path]:
    """A project of the committed files in which this environment is the only one: where its `tocsin` is, and its file."""
    deploy, programs = folder / "deploy", folder / "bin"
    for each in (deploy, programs):
        each.mkdir(parents=True)
    file = deploy / "laptop.toml"
    # The declarations read what production states, so the file of the other environments has to keep its place.
    (folder / "tocsin.toml").write_text('environments = "deploy/laptop.toml"\n', encoding="utf-8")
    root = COMMITTED.alarms.parent
    for committed in (COMMITTED.alarms, root / "monitoring"):
        (folder / committed.name).symlink_to(committed)
    for committed in COMMITTED.routing.parent.iterdir():
        if committed != ON_CALL.parent / file.name:
            (deploy / committed.name).symlink_to(committed)
    file.write_text(written(environment), encoding="utf-8")
    launcher = programs / "tocsin"
    launcher.write_text(
        LAUNCHER.format(project=shlex.quote(str(folder)), python=shlex.quote(sys.executable)), encoding="utf-8"
    )
    launcher.chmod(0o755)
    return programs, file


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
