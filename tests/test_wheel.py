"""The wheel holds the package `tocsin` with its runbooks and nothing else, and works where nothing of the clone is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from documents import ROOT, ignored

PYTHON = Path(sys.executable)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the repository by the backend that pyproject.toml names."""
    folder = tmp_path_factory.mktemp("wheel")
    source, backend = folder / "source", folder / "backend"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*ignored()))
    fetched = run(
        "-m",
        "pip",
        "install",
        "--quiet",
        "--retries",
        "1",
        "--target",
        str(backend),
        *PROJECT["build-system"]["requires"],
    )
    if fetched.returncode:
        pytest.skip(f"the build backend cannot be had: {fetched.stderr.strip().splitlines()[-1]}")
    built = run("-m", "hatchling", "build", "--target", "wheel", cwd=source, PYTHONPATH=str(backend))
    assert built.returncode == 0, built.stderr
    (path,) = (source / "dist").glob("*.whl")
    return path


def run(
    *arguments: str, program: Path = PYTHON, cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *arguments],
        check=False,
        cwd=cwd,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **variables},
        capture_output=True,
        text=True,
        timeout=240,
    )


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_it_holds_one_name(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in names(wheel)}
    assert tops == {"tocsin", f"tocsin-{PROJECT['project']['version']}.dist-info"}


def test_it_holds_all_modules_and_all_runbooks(wheel: Path) -> None:
    package = ROOT / "monitoring" / "tocsin"
    wanted = {f"tocsin/{path.relative_to(package).as_posix()}" for path in package.rglob("*.py")}
    wanted |= {f"tocsin/runbooks/{path.name}" for path in (ROOT / "runbooks").glob("*.md")}
    wanted |= {"tocsin/py.typed"}
    held = {name for name in names(wheel) if name.startswith("tocsin/")}
    assert wanted <= held
    assert not {name for name in held if name.endswith((".pyc", ".orig")) or "__pycache__" in name}


def test_it_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (inside,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        text = archive.read(inside).decode()
    wanted = {re.split(r"[<>=~! ;]", line)[0] for line in PROJECT["project"]["dependencies"]}
    assert wanted == set(re.findall(r"^Requires-Dist: ([\w-]+)(?!.*extra ==)", text, re.MULTILINE))
    assert "License-Expression: Apache-2.0" in text


def test_it_builds_with_runbooks_where_nothing_of_the_clone_is(wheel: Path, tmp_path: Path) -> None:
    away = tmp_path / "away"
    done = run("-m", "venv", "--without-pip", str(away))
    assert done.returncode == 0, done.stderr
    done = run(
        "-m",
        "pip",
        "--python",
        str(away / "bin" / "python"),
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        str(wheel),
    )
    assert done.returncode == 0, done.stderr
    shutil.copy(ROOT / "docs" / "example" / "template.yaml", tmp_path)
    # The dependencies are those of this environment; its own tocsin is reached by a .pth file, which PYTHONPATH skips.
    import click

    dependencies = str(Path(click.__file__).parents[1])
    where = run("-c", "import tocsin; print(tocsin.__file__)", program=away / "bin" / "python", PYTHONPATH=dependencies)
    assert where.stdout.startswith(str(away)), where.stdout + where.stderr
    build = ("build", "--template", "template.yaml", "--name", "checkout", "--out", "watch")
    built = run(*build, program=away / "bin" / "tocsin", cwd=tmp_path, PYTHONPATH=dependencies)
    assert built.returncode == 0, built.stderr
    written = {path.name for path in (tmp_path / "watch" / "runbooks").iterdir()}
    assert "sqs-queue-age.md" in written
    for name in written:
        assert (tmp_path / "watch" / "runbooks" / name).read_bytes() == (ROOT / "runbooks" / name).read_bytes()
