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

# Far beyond what people write: a service with a hundred SLOs is a fifth of each at most.  The second keeps a file of nothing but
# commas from being read for a minute.
MAX_BYTES, MAX_VALUES = 2_000_000, 50_000

_NUMBER = re.compile(r"[+-]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][+-]?[0-9]{1,2})?")
_PLAIN_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp")}
_CORE_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("map", "seq")}


class LeftOutError(Exception):
    """Why something that OpenSLO allows has no place in a declaration; never leaves this package."""


def exact(text: str) -> Fraction | None:
    """A decimal number as it is written, without a float in between; None for anything else."""
    return Fraction(Decimal(text)) if _NUMBER.fullmatch(text) else None


def printable(text: str) -> str:
    """Text of a document for a message: one line, and nothing in it that a terminal would obey."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


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
        return InputError(f"{self.file}:{self.line}: {printable(self.name)}: {message}")

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
    class Loader(yaml.SafeLoader):
        """Counts the values of all documents."""

        values = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            self.values += 1
            if self.values > MAX_VALUES:
                raise InputError(f"{shown}: more than {MAX_VALUES:,} values, so not OpenSLO; split it")
            return super().compose_node(parent, index)

    try:
        raws = list(yaml.compose_all(text, Loader=Loader))
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
        _refuse(Node(shown, "document", raw))
    return [raw for raw in raws if raw is not None]


def _refuse(document: Node) -> None:
    """Tags that would make objects of text, and keys that stand twice, where nobody reads them too.

    Each node is looked at once, however often an alias names it.
    """
    import yaml

    pending, seen = [document], set[int]()
    while pending:
        node = pending.pop()
        raw = node.raw
        if raw is None or id(raw) in seen:
            continue
        seen.add(id(raw))
        if raw.tag not in _PLAIN_TAGS | _CORE_TAGS and not raw.tag.endswith((":merge", ":value")):
            raise InputError(
                f"{node.file}:{node.line}: tag {printable(raw.tag)} is not read; write plain text, numbers, lists and mappings"
            )
        if isinstance(raw, yaml.SequenceNode):
            pending += [Node(node.file, node.name, item) for item in raw.value]
        elif isinstance(raw, yaml.MappingNode):
            keys = set[str]()
            for key, value in raw.value:
                where = Node(node.file, node.name, key)
                pending += [where, Node(node.file, str(key.value) if isinstance(key, yaml.ScalarNode) else "", value)]
                if isinstance(key, yaml.ScalarNode):
                    if key.value in keys:
                        raise where.error(f"{printable(key.value)} stands here twice")
                    keys.add(key.value)
