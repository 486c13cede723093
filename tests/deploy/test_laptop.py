"""``make laptop`` from the outside: what the how-to shows goes in its shell, and nothing is left of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from documents import fences, missing, steps

pytestmark = pytest.mark.long

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

ROOT = Path(__file__).parents[2]
SHOWN = (
    (ROOT / "docs" / "how-to.md").read_text(encoding="utf-8").partition("```sh\nmake laptop\n")[2].partition("```")[0]
)


def laptop(folder: Path, *command: str, **variables: str) -> subprocess.Popen[str]:
    """The command as make runs it; what is temporary is in ``folder``."""
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.laptop", *command],
        cwd=ROOT,
        env={
            **os.environ,
            "TMPDIR": str(folder),
            "AWS_PROFILE": "another",
            "AWS_ACCESS_KEY_ID": "another",
            **variables,
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.timeout(280)
def test_what_is_shown_goes(tmp_path: Path) -> None:
    """Typed into the shell; make itself would look after the virtual environment first."""
    typed = re.sub(r"^make (\w+) ENV=(\w+)$", rf"{sys.executable} -m deploy \1 \2 || exit", SHOWN, flags=re.M)
    assert typed.count(" -m deploy ") == 4
    with laptop(tmp_path / "t", SHELL="/bin/sh") as shell:
        out, err = shell.communicate(f"set -e\n{typed}", timeout=270)
    assert (shell.returncode, err) == (0, "")
    assert out.startswith("This shell has an AWS and an on-call tool of its own")
    assert "6 stacks: 6 created; now check it: `make validate ENV=laptop`" in out
    assert "laptop: on call as deploy/oncall.toml says; try it with `tocsin drill laptop`" in out
    (drill,) = [
        step for fence in fences(ROOT / "README.md") for step in steps(fence) if step.command == "tocsin drill laptop"
    ]
    shown = [re.sub(r"\s*\d+\.\d\d s", "… s", line) for line in drill.shown]
    assert missing(shown, out, whole=False) is None, out
    assert re.search(r"^laptop: validated: \d+ checks", out, re.M), out
    assert re.search(r"^applied \d{4}_contract_", out, re.M), out
    assert list((tmp_path / "t").iterdir()) == []


@pytest.mark.parametrize("code", [0, 3])
def test_a_command_takes_the_place_of_the_shell(tmp_path: Path, code: int) -> None:
    with laptop(tmp_path / "t", "sh", "-c", f"echo $AWS_ACCESS_KEY_ID ${{AWS_PROFILE-none}}; exit {code}") as command:
        out, err = command.communicate(timeout=60)
    assert (command.returncode, out, err) == (code, "test none\n", "")


def test_a_command_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with laptop(tmp_path / "t", "no-such-command") as command:
        _, err = command.communicate(timeout=60)
    assert (command.returncode, err) == (2, "laptop: no-such-command cannot be run: No such file or directory\n")


def test_a_shell_that_is_told_to_end_leaves_nothing(tmp_path: Path) -> None:
    with laptop(tmp_path / "t", "sh", "-c", "echo up; exec sleep 600") as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "up\n"
        command.send_signal(signal.SIGTERM)
        _, err = command.communicate(timeout=60)
    assert (command.returncode, err) == (128 + signal.SIGTERM, "")
    assert list((tmp_path / "t").iterdir()) == []
