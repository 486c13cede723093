"""The process of an ECS task: what it runs, in which environment, as which role.

Of a container only its command counts: ``python -m MODULE …`` runs that module with this machine's Python, in a folder
of its own that goes with it.  Nobody looks into images, so the command is that of the task definition or, where it
names none, that of ``TOCSIN_TASK_COMMAND``.  The module is looked for in the folders named by ``TOCSIN_TASK_PATH``
(as PYTHONPATH; by default the folder that the embedded AWS was started in).  Sizes (CPU, memory, disk) are not limited.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import lifeline, tls
from .base import here, service
from .parts import Parts

PATH_VARIABLE = "TOCSIN_TASK_PATH"
COMMAND_VARIABLE = "TOCSIN_TASK_COMMAND"
SESSION_SECONDS = 6 * 3600
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "NO_PROXY", "SSL_CERT_FILE", "PYTHONDONTWRITEBYTECODE", "PG_BIN")


@dataclass
class TaskProcess:
    """A running process; what it writes is read from ``output``."""

    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def output(self) -> Any:
        """Lines of bytes: standard output and standard error as they come."""
        return self.process.stdout

    def terminate(self) -> None:
        """SIGTERM, and SIGKILL a little later if that does not end it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Wait for its end and clean up; the exit code a container would have."""
        code = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        return code


def command(container: Mapping[str, Any], override: Mapping[str, Any]) -> list[str]:
    """The command line of a container on this machine.  Raises ValueError unless it is a Python module."""
    words = [*(container.get("entryPoint") or ()), *(override.get("command") or container.get("command") or ())]
    words = [str(word) for word in words] or shlex.split(os.environ.get(COMMAND_VARIABLE, ""))
    if len(words) < 3 or not Path(words[0]).name.startswith("python") or words[1] != "-m":
        raise ValueError(
            "the embedded AWS runs containers whose command is python -m MODULE, not "
            f"{' '.join(words) or f'the one inside the image: name it in the task definition or in {COMMAND_VARIABLE}'}"
        )
    return [sys.executable, *words[1:]]


def environment(
    parts: Parts, container: Mapping[str, Any], override: Mapping[str, Any], credentials: Mapping[str, str]
) -> dict[str, str]:
    """What the process finds: the machine's, then the task definition's, then the override's."""
    _, region = here()
    given = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    given |= tls.function_environment(parts.tls_endpoint, parts.authority)
    given |= {
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONPATH": os.environ.get(PATH_VARIABLE) or str(Path.cwd()),
        "PYTHONUNBUFFERED": "1",
        **credentials,
    }
    for source in (container, override):
        given |= {str(each["name"]): str(each["value"]) for each in source.get("environment") or ()}
    # Secrets come from the definition; an override may replace them like any other variable.
    overridden = {each["name"] for each in override.get("environment") or ()}
    found: Mapping[str, str] = service("ecs")._resolve_container_secrets(container)
    return {**given, **{name: value for name, value in found.items() if name not in overridden}}


def role_credentials(role_arn: str, session: str) -> dict[str, str]:
    """Credentials of a session of the task role, six hours long; none without a role."""
    if not role_arn:
        return {}
    account, _ = here()
    name = role_arn.rpartition("/")[2]
    role = service("iam")._roles[name]
    key = "ASIA" + hashlib.sha256(f"{role_arn}:{session}".encode()).hexdigest()[:16].upper()
    made = {
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20),
        "AWS_SESSION_TOKEN": secrets.token_hex(32),
    }
    service("sts").register_session(
        key,
        {
            "Arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
            "UserId": f"{role.get('RoleId', '')}:{session}",
            "AccountId": account,
            "SecretAccessKey": made["AWS_SECRET_ACCESS_KEY"],
            "SessionToken": made["AWS_SESSION_TOKEN"],
            "Expiration": time.time() + SESSION_SECONDS,
        },
    )
    return made


def trusts_tasks(role_arn: str) -> bool:
    """True if the role is there and ECS tasks may assume it."""
    role = service("iam")._roles.get(role_arn.rpartition("/")[2])
    if role is None:
        return False
    return "ecs-tasks.amazonaws.com" in str(role.get("AssumeRolePolicyDocument"))


def start(parts: Parts, words: Sequence[str], variables: Mapping[str, str]) -> TaskProcess:
    """Start the process; it ends with this one, however that ends."""
    folder = Path(tempfile.mkdtemp(prefix="task-", dir=parts.directory / "tmp"))
    process = subprocess.Popen(
        [
            *(sys.executable, "-I", "-S", str(Path(lifeline.__file__))),
            *("--signal", str(int(signal.SIGTERM)), "--remove", str(folder), *words),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**variables, "TMPDIR": str(folder)},
        cwd=folder,
        start_new_session=True,
    )
    return TaskProcess(process, folder)
