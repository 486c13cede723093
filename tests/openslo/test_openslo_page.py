"""docs/openslo.md shows what the code says, and its commands do what it shows."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from command_line import tocsin
from documents import ROOT, SHELL, broken_links, fences, ignored, missing, steps
from tocsin.openslo.mapping import MAPPED, NOT_EXPORTED, NOT_IMPORTED

PAGE = ROOT / "docs" / "openslo.md"


def tables() -> list[list[tuple[str, ...]]]:
    """The rows of each table of the page, without its head."""
    found: list[list[tuple[str, ...]]] = []
    inside = False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| ---"):
            found.append([])
            inside = True
        elif inside and line.startswith("|"):
            found[-1].append(tuple(cell.strip() for cell in line.strip("|").split("|")))
        else:
            inside = False
    return found


def test_the_tables_are_those_of_the_code() -> None:
    assert tables() == [list(MAPPED), list(NOT_EXPORTED), list(NOT_IMPORTED)]


def test_its_links_lead_somewhere() -> None:
    assert not broken_links(PAGE)


def test_its_commands_do_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "monitoring" / "systems", tmp_path / "monitoring" / "systems")
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy", ignore=shutil.ignore_patterns(*ignored()))
    monkeypatch.chdir(tmp_path)
    run = 0
    for fence in fences(PAGE):
        assert fence.language in SHELL
        for step in steps(fence):
            done = tocsin(*shlex.split(step.command)[1:])
            assert done.exit_code == 0
            assert missing(list(step.shown), done.output, whole=True) is None, done.output
            run += 1
    assert run == 2
