"""A writer that is killed, wherever it is, leaves every file whole, and the next one completes the work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long


@pytest.mark.parametrize("kind", ["at_any_step", "while_replacing", "from_outside"])
def test_killed_writers_damage_nothing(tmp_path, kind):
    """In a process without threads, so that it can fork: a child for each kill, and one for each look at the files."""
    command = [sys.executable, "-m", "tests.history.killed_writer", kind, tmp_path]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert ended.returncode == 0, ended.stderr
