"""Where Prometheus, promtool and the Pushgateway come from: the system, or Debian's packages unpacked below ``.cache``.

Nothing is installed and no service is started: a package is downloaded with apt's own client and only unpacked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

CACHE = Path(__file__).parents[1] / ".cache" / "prometheus"

# Program -> the package that holds it, where that has another name.
PACKAGES = {"promtool": "prometheus"}


class NoProgramError(Exception):
    """A program cannot be had here, and why."""


@cache
def debian_program(name: str) -> Path:
    """``prometheus``, ``promtool`` or ``prometheus-pushgateway``, fetched once if it is not there.  Raises NoProgramError."""
    found = shutil.which(name)
    if found:
        return Path(found)
    kept = CACHE / name
    if not kept.exists():
        _fetch(name, kept)
    return kept


def _fetch(name: str, kept: Path) -> None:
    if not all(map(shutil.which, ("apt-get", "dpkg"))):
        raise NoProgramError(f"{name} is not installed, and there is no apt-get to download Debian's package with")
    package = PACKAGES.get(name, name)
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as place:
        folder = Path(place)
        # apt's own downloader is another user, who may not look into this folder.
        download = ["apt-get", "--option", "APT::Sandbox::User=", "--quiet=2"]
        try:
            _run([*download, "download", package], folder, package)
        except NoProgramError:
            # The system's package lists may be missing or old: a list of our own needs no rights on the system.
            for part in ("lists/partial", "archives/partial"):
                (folder / part).mkdir(parents=True)
            own = ["--option", f"Dir::State::Lists={folder / 'lists'}", "--option", f"Dir::Cache={folder}"]
            own += ["--option", f"Dir::Cache::Archives={folder / 'archives'}"]
            _run([*download, *own, "update"], folder, package)
            _run([*download, *own, "download", package], folder, package)
        (archive,) = folder.glob("*.deb")
        _run(["dpkg", "--extract", str(archive), "unpacked"], folder, package)
        # At once or not at all, for two processes that both find nothing.
        (folder / "unpacked" / "usr" / "bin" / name).replace(kept)


def _run(command: list[str], folder: Path, package: str) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | {"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NoProgramError(f"{' '.join(command)} did not end within three minutes") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no word why"]
        raise NoProgramError(f"Debian's package {package} cannot be had: {said[-1]}")
