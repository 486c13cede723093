"""Start the embedded AWS as a child process and stop it again: what a parent needs, and no ministack in the parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ...errors import CloudError

READY_SECONDS = 30.0
STOP_SECONDS = 10.0
ACCESS_KEY = "test"
"""The access key that acts as the account's root; other keys are IAM users' and roles' own."""


@dataclass(frozen=True, slots=True)
class Database:
    """A running PostgreSQL behind an RDS instance; the master password is the one given when it was created."""

    identifier: str
    host: str
    port: int
    user: str
    name: str


@dataclass(frozen=True, slots=True)
class EmbeddedAws:
    """A running embedded AWS: its endpoints, and a hand on its clock.

    ``endpoint`` is plain HTTP and ``tls_endpoint`` HTTPS; both lead to the same AWS.  ``ca_file`` is the authority
    (PEM) that certifies ``tls_endpoint`` and the databases.
    """

    endpoint: str
    tls_endpoint: str
    ca_file: Path
    region: str
    pid: int
    directory: Path
    _opener: urllib.request.OpenerDirector = field(
        default_factory=lambda: urllib.request.build_opener(urllib.request.ProxyHandler({})), repr=False, compare=False
    )

    def boto3_environment(self) -> dict[str, str]:
        """The environment variables under which plain ``boto3.client("sqs")`` reaches this AWS, over TLS, as its root."""
        return {
            "AWS_ENDPOINT_URL": self.tls_endpoint,
            "AWS_CA_BUNDLE": str(self.ca_file),
            "PGSSLROOTCERT": str(self.ca_file),
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    @property
    def databases(self) -> tuple[Database, ...]:
        """The PostgreSQL servers that run for RDS instances, in the order of their identifiers."""
        return tuple(Database(**each) for each in self.ask("databases")["databases"])

    @property
    def postgres(self) -> Database:
        """The one PostgreSQL.  Raises CloudError if there is none or more than one."""
        found = self.databases
        if len(found) != 1:
            raise CloudError(
                f"one RDS instance is expected, {len(found)} run; create a stack with one or use .databases"
            )
        return found[0]

    def now(self) -> datetime:
        """The simulated present, UTC."""
        return datetime.fromisoformat(self.ask("clock")["now"])

    @property
    def clock_factor(self) -> float:
        """Simulated seconds per real second."""
        return float(self.ask("clock")["factor"])

    def set_clock_factor(self, factor: float) -> None:
        """Let the clock run ``factor`` times as fast from now on."""
        self.ask("clock", {"factor": factor})

    def advance(self, seconds: float) -> None:
        """Move the clock forward.  Nothing is made up for the time skipped: it has no traffic and no metrics."""
        self.ask("advance", {"seconds": seconds})

    def fire(self, rule: str, bus: str = "default") -> int:
        """Run the targets of an EventBridge rule now, as its schedule would; how many were run."""
        return int(self.ask("fire", {"rule": rule, "bus": bus})["targets"])

    def set_function_endpoint(self, url: str | None) -> None:
        """Let functions call AWS through another address of this machine, such as a proxy that injects faults.

        None: at ``tls_endpoint`` again.  Warm functions start anew; one that runs is stopped, so wait for it first.
        """
        self.ask("functions-endpoint", {"url": url})

    @property
    def mails(self) -> tuple[dict[str, Any], ...]:
        """The e-mail SNS would have sent: ``to``, ``kind``, ``subject``, ``body``, ``topic``, ``at``, and ``confirm``.

        ``confirm`` is the address that confirms a subscription, in mails of the kind "confirmation".
        """
        return tuple(self.ask("mails")["mails"])

    def confirm_mail(self, confirms: bool = True) -> None:
        """Confirm subscriptions by e-mail without a click on their link from now on, or no longer."""
        self.ask("mails", {"confirms": confirms})

    @property
    def chats(self) -> tuple[dict[str, Any], ...]:
        """What AWS Chatbot would have shown: ``channel``, ``configuration``, ``topic``, ``subject``, ``message``, ``at``."""
        return tuple(self.ask("chats")["chats"])

    @property
    def deliveries_under_way(self) -> int:
        """How many messages of SNS and EventBridge are neither delivered nor given up; those that wait for a retry count."""
        return int(self.ask("deliveries")["under_way"])

    def set_deliveries(self, speed: float | None = None, timeout: float | None = None) -> None:
        """Change how deliveries of SNS and EventBridge to HTTP endpoints are retried; None leaves a value as it is.

        ``speed`` is AWS seconds of delay between retries per real second, 360 at first, so that an hour takes ten
        seconds; it is not the clock's.  ``timeout`` is how many real seconds an endpoint has to answer, 15 at first
        and at most 5 for EventBridge.
        """
        self.ask("deliveries", {"speed": speed, "timeout": timeout})

    def next_minute(self) -> None:
        """Move the clock to the next full minute; on return its gauges are sampled and its alarms evaluated."""
        self.ask("next-minute", {})

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """GET ``/_tocsin/<path>``, or POST it with a JSON body.  Raises CloudError with the server's words."""
        request = urllib.request.Request(  # noqa: S310  # the endpoint is ours
            f"{self.endpoint}/_tocsin/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with self._opener.open(request, timeout=60) as response:
                answer: dict[str, Any] = json.load(response)
                return answer
        except urllib.error.HTTPError as error:
            with error:
                message = error.read().decode(errors="replace")
            raise CloudError(f"the embedded AWS refused {path}: {message}") from None
        except OSError as error:
            raise CloudError(f"the embedded AWS at {self.endpoint} does not answer: {error}") from None


@contextmanager
def embedded(
    directory: Path | str | None = None,
    *,
    clock_factor: float = 1,
    clock_start: datetime | None = None,
    gauges: bool = True,
    region: str = "eu-west-1",
    iam: bool = False,
    log: Path | str | None = None,
) -> Iterator[EmbeddedAws]:
    """An AWS on 127.0.0.1 for the length of the block.

    ``directory`` holds its state, databases included; a temporary one by default, which goes with the block.
    ``clock_factor`` is simulated seconds per real second, ``clock_start`` (aware) when its time begins: now by default.
    Without ``gauges`` it samples no queue and no database each minute, for whoever puts such metrics in.  With ``iam`` every call is checked against the policies
    of its caller (see `iam` and `service_roles`); the access key ``test`` is the account's root and may do
    everything.  ``log`` is the file its log is appended to; ``embedded-aws.log`` in the directory by default.
    The child process ends with the block, and also when this process ends without leaving the block.
    Raises CloudError if it does not come up.
    """
    with _directory(directory) as state:
        log_path = Path(log) if log is not None else state / "embedded-aws.log"
        command = [sys.executable, "-m", "tocsin.cloud.embedded", "--directory", str(state), "--region", region]
        command += ["--clock-factor", repr(float(clock_factor)), "--until-stdin-closes", "--ready-line"]
        if iam:
            command.append("--iam")
        if clock_start is not None:
            command += ["--clock-start", clock_start.isoformat()]
        if not gauges:
            command.append("--no-gauges")
        with log_path.open("ab") as log_file:
            child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_file,
                env=_clean_environment(),
                # Ctrl-C at a terminal reaches the parent alone; the parent then stops the child in order.
                start_new_session=True,
            )
        try:
            ready = _wait_until_ready(child, log_path)
            yield EmbeddedAws(
                endpoint=ready["endpoint"],
                tls_endpoint=ready["tls_endpoint"],
                ca_file=Path(ready["ca_file"]),
                region=ready["region"],
                pid=child.pid,
                directory=state,
            )
        finally:
            _stop(child)


@contextmanager
def _directory(directory: Path | str | None) -> Iterator[Path]:
    if directory is not None:
        path = Path(directory)
        path.mkdir(parents=True, exist_ok=True)
        yield path.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="tocsin-aws-") as temporary:
        yield Path(temporary).resolve()


def _clean_environment() -> dict[str, str]:
    """Our own environment without the caller's AWS settings, which belong to another account."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MINISTACK_"))}


def _wait_until_ready(child: subprocess.Popen[bytes], log_path: Path) -> dict[str, str]:
    # The child prints one line when it answers; a timer ends a child that never gets so far.
    timer = threading.Timer(READY_SECONDS, child.kill)
    timer.start()
    try:
        assert child.stdout is not None  # for the type checker: stdout is a pipe
        line = child.stdout.readline()
    finally:
        timer.cancel()
    if not line:
        child.wait()
        try:
            last = log_path.read_text(errors="replace").strip().splitlines()[-1]
        except (OSError, IndexError):
            last = "no message"
        raise CloudError(f"the embedded AWS did not start: {last} (log: {log_path})")
    ready: dict[str, str] = json.loads(line)
    return ready


def _stop(child: subprocess.Popen[bytes]) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
