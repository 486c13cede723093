"""YAML text as nodes that know their lines: hostile or wrong files become one-line errors that say where."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, nearest

if TYPE_CHECKING:
    import yaml

# Far beyond what people write: a service with a hundred SLOs is a tenth of it.
MAX_BYTES = 2_000_000

_NUMBER = re.compile(r"[+-]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][+-]?[0-9]{1,2})?")
_PLAIN_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp")}
_CORE_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("map", "seq")}


class LeftOutError(Exception):
    """Why something that OpenSLO allows has no place in a declaration; never leaves this package."""


def exact(text: str) -> Fraction | None:
    """A decimal number as it is written, without a float in between; None for anything else."""
    return Fraction(Decimal(text)) if _NUMBER.fullmatch(text) else None


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a YAML file and its place.  What is asked of it and is not so raises InputError with the line."""

    file: str
    name: str
    raw: yaml.Node

    @property
    def line(self) -> int:
        """From 1."""
        return int(self.raw.start_mark.line) + 1

    def error(self, message: str) -> InputError:
        """An error that says where."""
        return InputError(f"{self.file}:{self.line}: {self.name}: {message}")

    def _pairs(self) -> dict[str, Node]:
        import yaml

        if not isinstance(self.raw, yaml.MappingNode):
            raise self.error("not a mapping")
        found: dict[str, Node] = {}
        for key, value in self.raw.value:
            where = Node(self.file, self.name, key)
            if not isinstance(key, yaml.ScalarNode):
                raise where.error("a key that is not text")
            if key.value == "<<":
                raise where.error("merge keys (<<) are not read; write the fields out")
            if key.value in found:
                raise where.error(f"{key.value} stands here twice")
            found[key.value] = Node(self.file, key.value, value)
        return found

    def names(self) -> tuple[str, ...]:
        """The keys, in their order."""
        return tuple(self._pairs())

    def keys(self, *known: str) -> None:
        """Refuse any other key."""
        for key, node in self._pairs().items():
            if key not in known:
                raise node.error(f"OpenSLO v1 has no such field here; {nearest(key, known)}")

    def get(self, key: str) -> Node | None:
        """The value of a key; None where it is absent or null."""
        node = self._pairs().get(key)
        return None if node is None or node.is_null else node

    def has(self, key: str) -> bool:
        """Whether the key has a value."""
        return self.get(key) is not None

    def need(self, key: str) -> Node:
        """The value of a key that must be there."""
        node = self.get(key)
        if node is None:
            raise self.error(f"{key} is missing")
        return node

    def optional_text(self, key: str) -> str | None:
        """The text of a key, or None."""
        node = self.get(key)
        return None if node is None else node.text()

    def items(self) -> Iterator[Node]:
        """The entries of a list."""
        import yaml

        if not isinstance(self.raw, yaml.SequenceNode):
            raise self.error("not a list")
        return (Node(self.file, self.name, item) for item in self.raw.value)

    @property
    def is_null(self) -> bool:
        """Whether it is null."""
        return bool(self.raw.tag.endswith(":null"))

    @property
    def is_list(self) -> bool:
        """Whether it is a list."""
        import yaml

        return isinstance(self.raw, yaml.SequenceNode)

    def text(self) -> str:
        """The text as it is written; a number counts as its text."""
        import yaml

        if not isinstance(self.raw, yaml.ScalarNode) or self.is_null:
            raise self.error("not text")
        return str(self.raw.value)

    def number(self) -> Fraction:
        """The exact number as it is written."""
        value = exact(self.text())
        if value is None or self.raw.tag.endswith(":str"):
            raise self.error(f"not a number: {self.text()!r}")
        return value

    def boolean(self) -> bool:
        """True or false."""
        text = self.text()
        if text.lower() not in ("true", "false") or not self.raw.tag.endswith(":bool"):
            raise self.error(f"not true or false: {text!r}")
        return text.lower() == "true"


def read_documents(path: Path) -> list[Node]:
    """The documents of a file, those of lists among them.  Raises InputError."""
    shown = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{shown}: cannot be read: {reason}") from None
    if len(data) > MAX_BYTES:
        raise InputError(f"{shown}: larger than {MAX_BYTES // 1_000_000} MB, so not OpenSLO; split it")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(f"{shown}:{line}: not UTF-8; save it as UTF-8") from None
    documents: list[Node] = []
    for raw in _compose(text, shown):
        node = Node(shown, "document", raw)
        documents += node.items() if node.is_list else [node] if not node.is_null else []
    if not documents:
        raise InputError(f"{shown}: holds no document")
    return documents


def _compose(text: str, shown: str) -> list[Any]:
    import yaml

    # The loader in Python and not the one in C: deep nesting is an error of its own here, and ends the process there.
    try:
        raws = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{shown}:{mark.line + 1}" if mark is not None else shown
        raise InputError(f"{where}: not YAML: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise InputError(f"{shown}:{line}: not YAML: {error.reason}") from None
    except (RecursionError, ValueError):
        raise InputError(f"{shown}: nested too deep to be OpenSLO") from None
    for raw in raws:
        _refuse_tags(raw, shown)
    return [raw for raw in raws if raw is not None]


def _refuse_tags(raw: Any, shown: str) -> None:
    """Tags that would make objects of text; each node is looked at once, however often an alias names it."""
    import yaml

    pending, seen = [raw], set[int]()
    while pending:
        node = pending.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if node.tag not in _PLAIN_TAGS | _CORE_TAGS and not node.tag.endswith((":merge", ":value")):
            line = node.start_mark.line + 1
            raise InputError(
                f"{shown}:{line}: tag {node.tag} is not read; write plain text, numbers, lists and mappings"
            )
        if isinstance(node, yaml.SequenceNode):
            pending += node.value
        elif isinstance(node, yaml.MappingNode):
            pending += [one for pair in node.value for one in pair]
