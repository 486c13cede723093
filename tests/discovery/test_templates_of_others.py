"""Discovery on templates that nobody here wrote: those of cfn-lint's tests and of troposphere's examples.

Both source packages come from the package index, in the version that is installed, and stay in ``.cache``.  A
template is counted a second time by means that share nothing with ours.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from tocsin.cloudformation.document import parse
from tocsin.discovery import as_json, discover
from tocsin.discovery.template import discover_in
from tocsin.errors import TemplateError
from tocsin.model import Stack

CACHE = Path(__file__).parents[2] / ".cache" / "sdists"

# Readable, but no template that CloudFormation would take; anything else that is refused is no template at all.
REFUSED = {
    "bad/conditions/and.yaml": "in a circle",
    "bad/core/parse_invalid_map.yaml": "a key must be text",
    "integration/yaml-alias-amplification.yaml": "aliases written out",
}

# Runs the examples in one process and prints what each printed.
RUN_EXAMPLES = """
import contextlib, io, json, runpy, sys, warnings
warnings.simplefilter("ignore")
printed = {}
for path in sys.argv[1:]:
    text = io.StringIO()
    sys.argv = [path]
    with contextlib.suppress(ImportError, SystemExit), contextlib.redirect_stdout(text):
        runpy.run_path(path, run_name="__main__")
    printed[path] = text.getvalue()
print(json.dumps(printed))
"""


def members(package: str, folder: str) -> Iterator[tuple[str, bytes]]:
    """The files below ``folder`` in the source package, by their path there; skips the test if it cannot be had."""
    wanted = f"{package}=={version(package)}"
    pattern = f"{package.replace('-', '[-_]')}-{version(package)}.tar.gz"
    if not list(CACHE.glob(pattern)):
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", package, "--dest", str(CACHE)]
        try:
            outcome = subprocess.run(
                [*command, "--quiet", wanted], capture_output=True, text=True, timeout=120, check=False
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"the source package {wanted} did not come within two minutes")
        if outcome.returncode or not list(CACHE.glob(pattern)):
            last = (outcome.stderr.strip().splitlines() or ["no reason given"])[-1]
            pytest.skip(f"the source package {wanted} cannot be had from the package index: {last}")
    with tarfile.open(next(CACHE.glob(pattern))) as archive:
        for member in archive:
            path = member.name.partition("/")[2]
            file = archive.extractfile(member) if member.isfile() and path.startswith(folder) else None
            if file is not None:
                yield path.removeprefix(folder), file.read()


def all_logical_ids(stack: Stack) -> list[str]:
    listing = as_json(stack)
    return sorted(one["logical_id"] for one in (*listing["resources"], *listing["unwatched"]))


def counted(path: Path) -> list[str] | None:
    """The logical ids by PyYAML's own reader without any tags; None if there are none to be read."""
    text = path.read_text(encoding="utf-8-sig")
    try:
        tree: Any = json.loads(text) if path.suffix == ".json" else yaml.load(text, yaml.BaseLoader)
    except (yaml.YAMLError, ValueError):
        return None
    if not isinstance(tree, dict) or not isinstance(tree.get("Resources"), dict):
        return None
    if any(key.startswith("Fn::ForEach") for key in tree["Resources"]):
        return unrolled_by_cfn_lint(path)
    return sorted(tree["Resources"])


def unrolled_by_cfn_lint(path: Path) -> list[str]:
    from cfnlint.decode import decode
    from cfnlint.template import Template
    from cfnlint.template.transforms._language_extensions import language_extension

    tree, problems = decode(str(path))
    assert not problems
    problems, written_out = language_extension(Template(str(path), tree, ["eu-west-1"]))
    assert not problems
    assert written_out is not None
    return sorted(written_out["Resources"])


def test_templates_of_cfn_lint(tmp_path: Path) -> None:
    read, looped, wrong = 0, 0, []
    for name, data in members("cfn-lint", "test/fixtures/templates/"):
        if not name.endswith((".yaml", ".yml", ".json", ".template")):
            continue
        path = tmp_path / name.replace("/", "__")
        path.write_bytes(data)
        expected = counted(path) if name not in REFUSED else None
        try:
            found = all_logical_ids(discover(path))
        except TemplateError as error:
            if expected is not None or REFUSED.get(name, "") not in str(error):
                wrong.append(f"{name}: {error}")
            continue
        read += 1
        looped += b"Fn::ForEach" in data
        if found != expected:
            wrong.append(f"{name}: {found} instead of {expected}")
    assert wrong == []
    assert read >= 200
    assert looped >= 2


def test_examples_of_troposphere(tmp_path: Path) -> None:
    examples = []
    for name, data in members("troposphere", "examples/"):
        if name.endswith(".py"):
            (tmp_path / name).write_bytes(data)
            examples.append(str(tmp_path / name))
    outcome = subprocess.run(
        [sys.executable, "-c", RUN_EXAMPLES, *sorted(examples)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=tmp_path,
    )
    printed = {Path(path).stem: text for path, text in json.loads(outcome.stdout).items() if text.strip()}
    for name, text in printed.items():
        tree = yaml.load(text, yaml.BaseLoader)
        stack = discover_in(parse(text, name))
        assert all_logical_ids(stack) == sorted(tree["Resources"]), name
    assert len(printed) >= 70
