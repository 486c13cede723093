"""What the tools find in our templates, held against `deploy/exceptions.toml`: what we keep, and why."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "deploy" / "exceptions.toml"
LINT = ROOT / ".venv-lint" / "bin"
ABSENT = ".venv-lint is not there: `make setup` makes it"
TOOLS = ("cfn-lint", "checkov", "cloudsplaining", "parliament")
SHORTEST_REASON = 40


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """One finding: what check of which tool, at ``<stack>.<logical id>``, about which action, if it is about one."""

    tool: str
    check: str
    at: str
    about: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """One entry of the file.  It covers every finding of the check at one of ``at`` and about one of ``about``, if any."""

    tool: str
    check: str
    at: tuple[str, ...]
    about: tuple[str, ...]
    reason: str

    def covers(self, found: Found) -> bool:
        """Whether this entry speaks of the finding."""
        same = (found.tool, found.check) == (self.tool, self.check) and found.at in self.at
        return same and (not self.about or found.about in self.about)


def templates() -> list[Path]:
    """The templates of the stacks: what ``deploy/`` holds, the alarms aside."""
    return sorted([*(ROOT / "deploy").glob("*.yaml"), *(ROOT / "deploy").glob("*/template.yaml")])


def stack_of(template: Path) -> str:
    """The name a template goes by in the file: its folder's, or its own."""
    return template.parent.name if template.name == "template.yaml" else template.stem


def read(path: Path = FILE) -> list[Kept]:
    """The entries of the file.  Raises ValueError for one that is not complete."""
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["exception"]
    return [_entry(entry) for entry in entries]


def _entry(entry: dict[str, object]) -> Kept:
    kept = Kept(
        tool=str(entry.get("tool", "")),
        check=str(entry.get("check", "")),
        at=_names(entry.get("at")),
        about=_names(entry.get("about")),
        reason=" ".join(str(entry.get("reason", "")).split()),
    )
    if (
        set(entry) - {"tool", "check", "at", "about", "reason"}
        or kept.tool not in TOOLS
        or not kept.check
        or not kept.at
    ):
        raise ValueError(f"an entry needs tool, check, at and reason, and may have about: {entry}")
    if len(kept.reason) < SHORTEST_REASON:
        raise ValueError(
            f"{kept.check} at {', '.join(kept.at)}: the reason must tell why, not only that: {kept.reason!r}"
        )
    return kept


def _names(value: object) -> tuple[str, ...]:
    return tuple(str(name) for name in value) if isinstance(value, list) else ()


def unexplained(found: Iterable[Found], kept: Iterable[Kept]) -> list[str]:
    """The findings that no entry covers, one line each."""
    entries = list(kept)
    return [
        f"{each.tool} {each.check} at {each.at} {each.about} {each.text}".rstrip()
        for each in sorted(set(found))
        if not any(entry.covers(each) for entry in entries)
    ]


def idle(tool: str, found: Iterable[Found], kept: Iterable[Kept]) -> list[str]:
    """What entries of the tool name and it no longer finds: every place and every action must still be needed."""
    findings = list(found)
    lines = []
    for entry in kept:
        if entry.tool != tool:
            continue
        covered = [each for each in findings if entry.covers(each)]
        gone = [name for name in entry.at if name not in {each.at for each in covered}]
        gone += [name for name in entry.about if name not in {each.about for each in covered}]
        lines += [
            f"{tool} {entry.check}: {name} is not found any more: take it out of deploy/exceptions.toml"
            for name in gone
        ]
    return lines
