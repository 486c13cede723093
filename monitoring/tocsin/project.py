"""The project's folder and its settings: ``tocsin.toml``, or ``[tool.tocsin]`` in ``pyproject.toml``."""

from __future__ import annotations

import posixpath
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .errors import InputError, nearest
from .plan import Settings

_SYSTEMS = "monitoring/systems"


@dataclass(frozen=True, slots=True)
class Project:
    """Where things are, relative to ``root``; ``source`` is the file that says so, for error messages.

    ``runbooks_url`` and ``dashboards_url`` are what a page links to: the addresses the runbooks and Grafana have
    for whoever is woken.  Empty means the path inside the repository, or no link.
    """

    root: Path
    source: str = "tocsin.toml"
    systems: str = _SYSTEMS
    alarms: str = "alarms"
    dashboards: str = "dashboards"
    runbooks: str = "runbooks"
    slos: str = "SLOs.md"
    routing: str = "deploy/routing.yaml"
    environments: str = "deploy/environments.toml"
    oncall: str = "deploy/oncall.toml"
    history: str = "history"
    review: str = "review"
    timezone: str = "UTC"
    runbooks_url: str = ""
    dashboards_url: str = ""

    @property
    def settings(self) -> Settings:
        """What generated texts point at."""
        return Settings(runbooks=self.runbooks_url or self.runbooks, dashboards=self.dashboards_url)


_KEYS = tuple(field.name for field in fields(Project) if field.name not in ("root", "source"))
_ADDRESSES = ("runbooks_url", "dashboards_url")
_BUCKET = "s3://"


def find_project(start: Path) -> Project:
    """The project that ``start`` lies in: the nearest folder upwards with settings or with declarations in the usual
    place; ``start`` itself if there is none.

    Raises InputError for a file that is not TOML, an unknown key, a value that is not text or a path that leads out
    of the project.
    """
    for folder in (start, *start.parents):
        own, shared = folder / "tocsin.toml", folder / "pyproject.toml"
        if own.is_file():
            return _read(folder, own.name, _load(own))
        if shared.is_file():
            table = _load(shared).get("tool", {})
            if isinstance(table, dict) and isinstance(table.get("tocsin"), dict):
                return _read(folder, "pyproject.toml [tool.tocsin]", table["tocsin"])
        if (folder / _SYSTEMS).is_dir():
            return Project(folder)
    return Project(start)


def _load(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path.name}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path.name}: not TOML: {error}; mend the file") from None


def _read(root: Path, source: str, table: dict[str, object]) -> Project:
    texts: dict[str, str] = {}
    for key, value in table.items():
        if key not in _KEYS:
            raise InputError(f"{source}: unknown key {key!r}; {nearest(key, _KEYS)}")
        if not isinstance(value, str):
            raise InputError(f"{source}: {key} must be text, got {value!r}")
        if key == "timezone":
            texts[key] = _zone(source, value)
        elif key in _ADDRESSES or (key == "history" and value.startswith(_BUCKET)):
            texts[key] = value
        else:
            texts[key] = _inside(source, key, value)
    return Project(root, source, **texts)


def _zone(source: str, name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(f"{source}: timezone {name!r} is not known; name one such as Europe/Berlin or UTC") from None
    return name


def _inside(source: str, key: str, text: str) -> str:
    """A path below the project's folder, in its shortest form."""
    path = posixpath.normpath(text.strip() or ".")
    if path.startswith(("/", "..")) or path == "." or "\\" in path or "\0" in path:
        raise InputError(f"{source}: {key} must be a path inside the project, with '/', got {text!r}")
    return path
