"""What ``import tocsin`` offers, whatever was imported before."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

import tocsin


@pytest.mark.parametrize("name", tocsin.__all__)
def test_each_public_name_is_there_and_documented(name: str) -> None:
    for module in ("discovery", "plan", "declare", "simulate.timeline"):
        importlib.import_module(f"tocsin.{module}")
    value = getattr(tocsin, name)
    assert not inspect.ismodule(value), f"{name} must not be shadowed by a module of that name"
    assert inspect.getdoc(value)


def test_the_design_s_first_example_can_be_written() -> None:
    from tocsin import System, availability, discover, freshness, latency

    assert all(map(callable, (System, availability, discover, freshness, latency)))


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'alarm_bell'"):
        tocsin.alarm_bell  # noqa: B018


@pytest.mark.parametrize("module", ["tocsin", "tocsin.cli"])
def test_importing_is_light(module: str) -> None:
    """Nothing heavy on the way to ``tocsin --help``."""
    heavy = ("boto3", "botocore", "cfnlint", "grafanalib", "numpy", "rich", "troposphere", "yaml")
    code = f"import sys, {module}; print([name for name in {heavy!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
