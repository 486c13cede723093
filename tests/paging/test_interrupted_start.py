"""Ctrl-C while the command line is still being read in."""

from __future__ import annotations

import subprocess
import sys

# The signal comes at the first look for a module of the command line, so in the middle of its imports.
_START = """
import os, runpy, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "tocsin.cli.backtest":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.argv = ["tocsin", "--help"]
runpy.run_module("tocsin", run_name="__main__", alter_sys=True)
"""


def test_ctrl_c_during_the_imports_is_an_end_in_order() -> None:
    done = subprocess.run([sys.executable, "-c", _START], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "tocsin: interrupted\n")
