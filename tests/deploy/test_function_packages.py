"""Lambda packages: the same bytes every time, complete enough to run, and never compiled code."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from deploy.package import closure, distribution_files, packages, write_zip
from hypothesis import given
from hypothesis import strategies as st

from deploy import package as packaging
from tocsin.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


def test_every_code_key_of_the_templates_has_a_package() -> None:
    for system in ("data_pipeline", "notification"):
        template = __import__(f"deploy.{system}.stack", fromlist=["template"]).template().to_dict()
        keys = [name for name in template["Parameters"] if name.endswith("CodeKey")]
        assert [package.parameter for package in packages(system)] == sorted(keys)


def test_two_processes_build_the_same_bytes() -> None:
    code = (
        "import hashlib; from deploy.package import packages; "
        "print([(p.parameter, p.key, hashlib.sha256(p.content).hexdigest()) "
        "for s in ('data_pipeline', 'notification') for p in packages(s)])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env={"PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_the_date_of_a_source_does_not_matter_but_its_text_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packaging, "PROJECT", tmp_path)
    for name in (*packaging.SHARED, "deploy/toy/__init__.py", "deploy/toy/handlers/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("# toy\n")
    first = packaging.package("ToyCodeKey", "toy", ())
    os.utime(tmp_path / "deploy/toy/__init__.py", (0, 0))
    assert packaging.package("ToyCodeKey", "toy", ()) == first
    (tmp_path / "deploy/toy/__init__.py").write_text("# another\n")
    assert packaging.package("ToyCodeKey", "toy", ()).key != first.key


def test_what_the_handlers_read_is_beside_them_as_in_the_sources() -> None:
    folder = ROOT / "deploy" / "data_pipeline"
    read = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8").encode()
        for path in (*folder.glob("handlers/*.pem"), *folder.glob("migrations/*.sql"))
    }
    assert read
    for package in packages("data_pipeline"):
        with zipfile.ZipFile(io.BytesIO(package.content)) as archive:
            assert read == {name: archive.read(name) for name in archive.namelist() if name.endswith((".pem", ".sql"))}


def test_only_what_talks_to_the_database_carries_the_driver() -> None:
    for system, carries in (("data_pipeline", True), ("notification", False)):
        for package in packages(system):
            with zipfile.ZipFile(io.BytesIO(package.content)) as archive:
                assert any(name.startswith("pg8000/") for name in archive.namelist()) == carries


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8}){0,2}", fullmatch=True), st.binary(max_size=50)))
def test_a_zip_depends_on_paths_and_bytes_alone(files: dict[str, bytes]) -> None:
    content = write_zip(files)
    assert content == write_zip(dict(reversed(files.items())))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files


@pytest.mark.parametrize("system", ["data_pipeline", "notification"])
def test_the_handlers_import_from_the_zip_alone(system: str, tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    handlers = {
        properties["Properties"]["Handler"].rsplit(".", 1)[0]
        for properties in __import__(f"deploy.{system}.stack", fromlist=["template"])
        .template()
        .to_dict()["Resources"]
        .values()
        if properties["Type"] == "AWS::Lambda::Function"
    }
    # What the Lambda runtime brings along is stood in for by empty modules; the rest must be in the zip.
    for name in (
        "boto3.py",
        "botocore/__init__.py",
        "botocore/config.py",
        "botocore/exceptions.py",
        "urllib3/__init__.py",
        "urllib3/exceptions.py",
    ):
        (runtime / name).parent.mkdir(parents=True, exist_ok=True)
        (runtime / name).write_text(
            "class Config:\n    def __init__(self, **settings): pass\n    def merge(self, other): return self\n"
            "def __getattr__(name):\n    if name.endswith('Error'): return type(name, (Exception,), {})\n"
            "    raise AttributeError(name)\n"
        )
    for number, package in enumerate(packages(system)):
        zipped = tmp_path / f"{number}.zip"
        zipped.write_bytes(package.content)
        code = f"import sys; sys.path[:0] = {[str(zipped), str(runtime)]!r}; import {', '.join(sorted(handlers))}"
        subprocess.run([sys.executable, "-I", "-S", "-c", code], cwd=tmp_path, check=True)


def test_the_driver_brings_what_it_needs() -> None:
    assert set(closure(["pg8000"])) >= {"pg8000", "scramp", "asn1crypto", "python-dateutil", "six"}


def test_no_machine_leaves_a_trace() -> None:
    paths = [path for name in closure(["pg8000"]) for path in distribution_files(name)]
    assert not [path for path in paths if "__pycache__" in path or path.endswith(("RECORD", "INSTALLER", "REQUESTED"))]
    assert [path for path in paths if "LICENSE" in path]


def test_compiled_code_is_refused() -> None:
    with pytest.raises(InputError, match=r"numpy: .* is compiled code"):
        distribution_files("numpy")


def test_a_distribution_that_is_not_installed_is_named() -> None:
    with pytest.raises(InputError, match=r"no-such-distribution is not installed here.*make setup"):
        closure(["no-such-distribution"])
