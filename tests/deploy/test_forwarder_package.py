"""The forwarder's package: the engine's very files beside the handlers, importable without anything else."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

from deploy.forwarder import stack
from deploy.package import packages

ROOT = Path(__file__).resolve().parents[2]


def test_the_package_holds_the_engines_very_files() -> None:
    (package,) = packages("forwarder")
    with zipfile.ZipFile(io.BytesIO(package.content)) as archive:
        held = {name: archive.read(name) for name in archive.namelist() if name.startswith("tocsin/")}
    assert held.pop("tocsin/__init__.py") == b""
    assert held == {f"tocsin/{name}": (ROOT / "monitoring" / "tocsin" / name).read_bytes() for name in stack.ENGINE}
    assert "tocsin/paging/alert.py" in held


def test_the_handler_imports_from_the_zip_and_the_runtime_alone(tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    for name in ("boto3.py", "botocore/__init__.py", "botocore/config.py", "botocore/exceptions.py"):
        (runtime / name).parent.mkdir(parents=True, exist_ok=True)
        (runtime / name).write_text(
            "class Config:\n    def __init__(self, **settings): pass\n"
            "def __getattr__(name):\n    if name.endswith('Error'): return type(name, (Exception,), {})\n"
            "    raise AttributeError(name)\n"
        )
    (package,) = packages("forwarder")
    zipped = tmp_path / "package.zip"
    zipped.write_bytes(package.content)
    code = f"import sys; sys.path[:0] = {[str(zipped), str(runtime)]!r}; import deploy.forwarder.handlers.forward"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], cwd=tmp_path, check=True)
