"""Reads Markdown as a test needs it: fenced blocks with their options, commands with what they print, links, anchors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHELL = ("console", "sh")
GAP = "…"

_FENCE = re.compile(r"^(\s*)(`{3,}|~{3,})\s*(.*)$")
_INLINE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(\s*<?([^()\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_DEFINED = re.compile(r"^\s{0,3}\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Fence:
    """A fenced block.  ``options`` are the ``key=value`` words after its language; ``line`` is where it begins."""

    document: str
    line: int
    language: str
    options: dict[str, str]
    text: str

    @property
    def where(self) -> str:
        return f"{self.document}:{self.line}"


@dataclass(frozen=True)
class Step:
    """One command as one types it, and the lines shown under it; none where the document shows no output."""

    where: str
    command: str
    shown: tuple[str, ...]


def ignored() -> tuple[str, ...]:
    """Names that are in no clone, from .gitignore."""
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    return (".git", *(line.strip("/") for line in lines))


def markdown_files() -> list[Path]:
    """Every Markdown file of the repository."""
    names = ignored()
    return sorted(
        path
        for path in ROOT.rglob("*.md")
        if not any(fnmatch(part, name) for part in path.relative_to(ROOT).parts for name in names)
    )


def fences(path: Path, document: str = "") -> list[Fence]:
    """The fenced blocks of a file, in order."""
    found: list[Fence] = []
    opened: tuple[int, str, str] | None = None
    lines: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = _FENCE.match(line)
        if opened is None:
            if match:
                opened, lines = (number, match[2], match[3]), []
        elif match and match[2].startswith(opened[1]) and not match[3]:
            language, *options = opened[2].split() or [""]
            pairs = dict(option.partition("=")[::2] for option in options)
            found.append(Fence(document or path.name, opened[0], language, pairs, "\n".join(lines) + "\n"))
            opened = None
        else:
            lines.append(line)
    assert opened is None, f"{path}:{opened and opened[0]}: a fence that is not closed"
    return found


def steps(fence: Fence) -> Iterator[Step]:
    """The commands of a block: those after ``$ `` with their output, or every line where there is no prompt."""
    lines = fence.text.splitlines()
    prompted = any(line.startswith("$ ") for line in lines)
    command, shown, at = "", [], 0
    for number, line in enumerate(lines, fence.line + 1):
        if command.endswith("\\"):
            command += "\n" + line
        elif (prompted and line.startswith("$ ")) or (not prompted and line.strip() and not line.startswith("#")):
            if command:
                yield Step(f"{fence.document}:{at}", command, tuple(shown))
            command, shown, at = line.removeprefix("$ "), [], number
        elif prompted:
            shown.append(line)
    if command:
        yield Step(f"{fence.document}:{at}", command, tuple(shown))


def without_comment(command: str) -> str:
    """A command without the remark behind it."""
    return re.sub(r"\s+#\s.*$", "", command).strip()


def missing(shown: list[str], text: str, *, whole: bool) -> str | None:
    """The first shown line that is not where it should be in ``text``; None if all are.

    A line that is ``…`` stands for any lines, ``…`` inside a line for any characters; blank lines and blanks at a
    line's end do not count.  With ``whole`` the shown lines begin with the first and end with the last.
    """
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    patterns = [line.rstrip() for line in shown if line.strip()]
    if not whole:
        patterns = [GAP, *patterns, GAP]
    segments: list[list[str]] = [[]]
    for pattern in patterns:
        if pattern == GAP:
            segments.append([])
        else:
            segments[-1].append(pattern)
    position = 0
    for index, segment in enumerate(segments):
        places = range(position, len(lines) - len(segment) + 1)
        if index == len(segments) - 1:
            places = range(max(position, len(lines) - len(segment)), len(lines) - len(segment) + 1)
        if index == 0:
            places = range(0, 1 if len(segment) <= len(lines) else 0)
            if len(segments) == 1 and len(segment) != len(lines):
                places = range(0)
        place = next((place for place in places if _alike(segment, lines[place : place + len(segment)])), None)
        if place is None:
            return "\n".join(segment) or "the end"
        position = place + len(segment)
    return None


def _alike(patterns: list[str], lines: list[str]) -> bool:
    return len(patterns) == len(lines) and all(
        re.fullmatch(".*".join(map(re.escape, pattern.split(GAP))), line)
        for pattern, line in zip(patterns, lines, strict=True)
    )


def prose(path: Path) -> str:
    """A file without its fenced blocks."""
    kept, opened = [], ""
    for line in path.read_text(encoding="utf-8").splitlines():
        match = _FENCE.match(line)
        if match and not opened:
            opened = match[2]
        elif match and match[2].startswith(opened) and not match[3]:
            opened = ""
        elif not opened:
            kept.append(line)
    return "\n".join(kept) + "\n"


def inline_code(path: Path) -> list[str]:
    """What stands in backticks in running text."""
    return [" ".join(match[2].split()) for match in _INLINE.finditer(prose(path))]


def links(path: Path) -> list[str]:
    """Where the links and pictures of a file lead."""
    text = _INLINE.sub("", prose(path))
    return [match[1] for match in (*_LINK.finditer(text), *_DEFINED.finditer(text))]


def anchors(path: Path) -> set[str]:
    """The anchors GitHub makes of a file's headings."""
    found: dict[str, int] = {}
    for match in _HEADING.finditer(prose(path)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match[1]).replace("`", "").lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
        if found[slug]:
            found[f"{slug}-{found[slug]}"] = 0
    return set(found)


def broken_links(path: Path) -> list[str]:
    """Relative links of a file that lead nowhere, each with the reason."""
    broken = []
    for link in links(path):
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name) if name else path
        if not target.exists():
            broken.append(f"{link}: no such file")
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            broken.append(f"{link}: no such heading")
    return broken
