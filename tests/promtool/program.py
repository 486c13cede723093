"""Where promtool comes from: the system, or Debian's ``prometheus`` package unpacked below ``.cache``.

Nothing is installed and no service is started: the package is downloaded with apt's own client and only unpacked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

CACHE = Path(__file__).parents[2] / ".cache" / "prometheus"
PACKAGE = "prometheus"


class NoPromtoolError(Exception):
    """promtool cannot be had here, and why."""


@cache
def promtool() -> Path:
    """The program, fetched once if it is not there.  Raises NoPromtoolError."""
    found = shutil.which("promtool")
    if found:
        return Path(found)
    kept = CACHE / "promtool"
    if not kept.exists():
        _fetch(kept)
    return kept


def _fetch(kept: Path) -> None:
    if not all(map(shutil.which, ("apt-get", "dpkg"))):
        raise NoPromtoolError("promtool is not installed, and there is no apt-get to download Debian's package with")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as place:
        folder = Path(place)
        # apt's own downloader is another user, who may not look into this folder.
        download = ["apt-get", "--option", "APT::Sandbox::User=", "--quiet=2"]
        try:
            _run([*download, "download", PACKAGE], folder)
        except NoPromtoolError:
            # The system's package lists may be missing or old: a list of our own needs no rights on the system.
            lists = folder / "lists"
            (lists / "partial").mkdir(parents=True)
            (folder / "archives" / "partial").mkdir(parents=True)
            own = [
                *("--option", f"Dir::State::Lists={lists}", "--option", f"Dir::Cache={folder}"),
                *("--option", f"Dir::Cache::Archives={folder / 'archives'}"),
            ]
            _run([*download, *own, "update"], folder)
            _run([*download, *own, "download", PACKAGE], folder)
        (archive,) = folder.glob("*.deb")
        _run(["dpkg", "--extract", str(archive), "unpacked"], folder)
        # At once or not at all, for two processes that both find nothing.
        (folder / "unpacked" / "usr" / "bin" / "promtool").replace(kept)


def _run(command: list[str], folder: Path) -> None:
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
        raise NoPromtoolError(f"{' '.join(command)} did not end within three minutes") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no word why"]
        raise NoPromtoolError(f"Debian's package {PACKAGE} cannot be had: {said[-1]}")
