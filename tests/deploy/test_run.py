"""``make run`` from the outside: the whole story, and Ctrl-C in the middle of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

ROOT = Path(__file__).parents[2]


def start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    """The run as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.run", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def processes() -> dict[int, tuple[int, str]]:
    """Process id → parent and command line, of everything that runs."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,command="], capture_output=True, text=True, check=True
    ).stdout
    found = {}
    for line in listed.splitlines():
        pid, parent, command = line.split(None, 2)
        found[int(pid)] = (int(parent), command)
    return found


def descendants(root: int) -> dict[int, str]:
    """Everything that was started by a process, directly or not."""
    running = processes()
    found: dict[int, str] = {}
    waiting = [root]
    while waiting:
        parent = waiting.pop()
        for pid, (above, command) in running.items():
            if above == parent and pid not in found:
                found[pid] = command
                waiting.append(pid)
    return found


def still_there(before: dict[int, str]) -> dict[int, str]:
    """Those of ``before`` that run yet."""
    now = processes()
    return {pid: command for pid, command in before.items() if now.get(pid, (0, ""))[1] == command}


@pytest.mark.timeout(280)
def test_a_fault_becomes_a_page_that_closes() -> None:
    with start() as run:
        out, err = run.communicate(timeout=270)
    assert run.returncode == 0, err
    for said in (
        r"its clock runs 60 times as fast",
        r"reference systems deployed from deploy/: data_pipeline, notification",
        r"none of them differed from what is committed",
        r"on call as deploy/oncall.toml says",
        r"reader-1 reads two through the API",
        r"PostgreSQL holds its 3 rows",
        r"validated: 12 checks in [0-9.]+ s",
        r"fault: a deployment points GetNotifications",
        r"first bad datapoint: 5xx of the minute",
        r"composite alarm laptop-notification-api-availability-page in ALARM",
        r"page received by the on-call endpoint, signature verified",
        r"composite alarm OK, page closed",
        r"time to detect .*theory",
        r"requests failed: .* % of the 28-day budget",
        r"runbooks/slo-availability.md",
        r"dead-lettered after three receives",
        r"ticket received by mail",
        r"alarm sqs-dead-letter-queue-not-empty in ALARM, ticket sent by mail",
        r"alarm OK, ticket closed",
        r"alarms now: \d+ OK, \d+ ALARM, .*of those in ALARM \d+ are windows that tell nobody by themselves",
        r"tickets still open, until their windows have passed: laptop-notification-",
        r"windows that still hold the faults.*: laptop-notification-api-availability: 1d-long, 1d-short",
    ):
        assert re.search(said, out), f"{said!r} is not in\n{out}"
    assert "refused by the on-call endpoint" not in out
    assert "nobody was told" not in out


@pytest.mark.timeout(120)
def test_control_c_leaves_no_process_behind() -> None:
    with start() as run:
        assert run.stdout is not None
        for line in run.stdout:
            if "reference systems deployed" in line:
                break
        started = descendants(run.pid)
        assert any("tocsin.cloud.embedded" in command for command in started.values())
        assert any("postgres" in command for command in started.values()), "the database is up"
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=60)
    # Python ends itself by the signal where the interrupt fell into code that is compiled at run time, such as a
    # dataclass; a shell calls both 130.
    assert run.returncode in (130, -signal.SIGINT)
    assert err.strip().splitlines()[-1] == "stopped; nothing is left running"
    assert "Traceback" not in err
    assert still_there(started) == {}


@pytest.mark.timeout(120)
def test_told_to_end_it_leaves_nothing_behind(tmp_path: Path) -> None:
    """By SIGTERM, as `kill` sends it."""
    with start("--keep", TMPDIR=str(tmp_path)) as run:
        assert run.stdout is not None
        assert "embedded AWS is up" in run.stdout.readline()
        started = descendants(run.pid)
        assert list(tmp_path.iterdir()), "its state is there"
        run.send_signal(signal.SIGTERM)
        _, err = run.communicate(timeout=60)
    assert run.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in err
    assert still_there(started) == {}
    assert list(tmp_path.iterdir()) == []
