"""Builds the zip of a Lambda function: our own handlers and the pure-Python distributions they name.

The same sources give the same bytes on every machine: entries are sorted, carry one fixed date and mode, and are stored
without compression, whose output differs between versions of zlib.  The key of a package is made of its content, so a
changed handler is a changed key, which is what makes CloudFormation take it.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from tocsin.errors import InputError

PROJECT = Path(__file__).resolve().parent.parent
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold
SHARED = ("deploy/__init__.py", "deploy/clients.py", "deploy/metrics.py", "deploy/structured_log.py")

# Beside their code: certificates of authorities they trust, and the database's migrations.
HANDLER_FILES = ("handlers/*.py", "handlers/*.pem", "migrations/*.sql")

# In a distribution's folder of facts about itself, only these are the same wherever it is installed.
KEPT_FACTS = re.compile(r"\.dist-info/(METADATA|licenses/.*|LICEN[CS]E.*|COPYING.*|NOTICE.*)$", re.IGNORECASE)
LEFT_OUT = re.compile(r"(^|/)(__pycache__|tests?)/|\.py[co]$|\.dist-info/|^\.\.")
NATIVE = re.compile(r"\.(so|pyd|dylib|dll)$|\.so\.")
REQUIREMENT = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True, slots=True)
class Package:
    """One zip: the template parameter that takes its key, the key in the code bucket, and the bytes."""

    parameter: str
    key: str
    content: bytes = field(repr=False)


def packages(system: str) -> list[Package]:
    """The packages of one reference system, by parameter.  Functions of the same content share one key.

    Raises InputError when a distribution the handlers need is not installed or holds compiled code.
    """
    stack = importlib.import_module(f"deploy.{system}.stack")
    engine = getattr(stack, "ENGINE", ())
    return [
        package(f"{function}CodeKey", system, distributions, engine)
        for function, distributions in sorted(stack.PACKAGES.items())
    ]


def package(parameter: str, system: str, distributions: Sequence[str], engine: Sequence[str] = ()) -> Package:
    """The package of one function: all handlers of its system, and the distributions with all that they require.

    Handlers come without exception, so that what one imports of another is there; distributions only where named.
    ``engine`` are files of ours that the handlers share with the commands, by their path in the engine.
    """
    files = handler_files(system) | engine_files(engine)
    for name in closure(distributions):
        files |= distribution_files(name)
    content = write_zip(files)
    return Package(parameter, f"{system}/{hashlib.sha256(content).hexdigest()[:32]}.zip", content)


def handler_files(system: str) -> dict[str, bytes]:
    """The handlers of a system and what they read and share, by the path they are imported from."""
    folder = PROJECT / "deploy" / system
    paths = [PROJECT / name for name in SHARED] + [folder / "__init__.py"]
    paths += [path for pattern in HANDLER_FILES for path in folder.glob(pattern)]
    # Line ends are made equal, because a checkout may have changed them.
    return {path.relative_to(PROJECT).as_posix(): path.read_text(encoding="utf-8").encode() for path in paths}


def engine_files(names: Sequence[str]) -> dict[str, bytes]:
    """Those files of the engine, by the path they are imported from.

    The engine's own ``__init__.py`` would import all of it; an empty one stands in its place.
    """
    folder = PROJECT / "monitoring" / "tocsin"
    files = {f"tocsin/{name}": (folder / name).read_text(encoding="utf-8").encode() for name in names}
    return {"tocsin/__init__.py": b"", **files} if files else {}


def closure(distributions: Iterable[str]) -> list[str]:
    """The distributions and everything they require without extras, sorted.  boto3 and its kin are in the runtime."""
    found: set[str] = set()
    waiting = list(distributions)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        for requirement in _installed(name).requires or ():
            if ";" not in requirement and (match := REQUIREMENT.match(requirement)):
                waiting.append(match[1])
    return sorted(found)


def distribution_files(name: str) -> dict[str, bytes]:
    """The files of one installed distribution, by path.  Raises InputError if it is not pure Python."""
    files = {}
    for entry in _installed(name).files or ():
        path = entry.as_posix()
        if NATIVE.search(path):
            raise InputError(f"{name}: {path} is compiled code, which a package for every architecture cannot hold")
        if KEPT_FACTS.search(path) or not LEFT_OUT.search(path):
            files[path] = Path(str(entry.locate())).read_bytes()
    if not files:
        raise InputError(f"{name}: its installation lists no files; install it again with pip")
    return files


def write_zip(files: dict[str, bytes]) -> bytes:
    """A zip of the files that depends on their paths and bytes alone."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(files):
            info = zipfile.ZipInfo(path, EPOCH)
            info.create_system = 3  # Unix, also when built elsewhere, so that the mode counts
            info.external_attr = 0o100644 << 16
            archive.writestr(info, files[path])
    return buffer.getvalue()


def _installed(name: str) -> metadata.Distribution:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise InputError(f"{name} is not installed here, so it cannot be packaged: run `make setup`") from None
