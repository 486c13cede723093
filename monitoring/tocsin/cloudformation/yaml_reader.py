"""Reads YAML as CloudFormation does, event by event, so that depth and aliases are bounded and every key has a place.

Source of the tags and their long forms: AWS CloudFormation user guide, intrinsic function reference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ..errors import TemplateError

MAX_DEPTH = 100
MAX_NODES = 300_000  # aliases written out; a large template of 1 MB holds some 50,000

_FUNCTIONS = frozenset(
    [
        "And",
        "Base64",
        "Cidr",
        "Equals",
        "FindInMap",
        "GetAZs",
        "GetAtt",
        "GetStackOutput",
        "If",
        "ImportValue",
        "Join",
        "Length",
        "Not",
        "Or",
        "Select",
        "Split",
        "Sub",
        "ToJsonString",
        "Transform",
        "Contains",
        "EachMemberEquals",
        "EachMemberIn",
        "RefAll",
        "ValueOf",
        "ValueOfAll",
    ]
)
_STANDARD = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9_]{0,29})|0x[0-9a-fA-F]{1,16}")
_FLOAT = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)?\.[0-9]+(?:[eE][-+]?[0-9]{1,3})?|[-+]?(?:0|[1-9][0-9]*)\.")
_TWO_TAGS = re.compile(r"!([A-Za-z0-9]+) +![A-Za-z]")
_WORDS: dict[str, Any] = {"": None, "~": None} | {
    form: value
    for word, value in (
        ("null", None),
        ("true", True),
        ("yes", True),
        ("on", True),
        ("false", False),
        ("no", False),
        ("off", False),
    )
    for form in (word, word.capitalize(), word.upper())
}


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A key that already stands in the same mapping; ``line`` and ``column`` (from 1) are those of the later one."""

    key: str
    line: int
    column: int


@dataclass(slots=True)
class _Open:
    """A mapping or sequence that has begun and not ended."""

    into: dict[str, Any] | list[Any]
    anchor: str | None
    tag: str | None
    mark: Any
    key: str | None = None
    size: int = 1
    height: int = 1
    merged: list[Any] = field(default_factory=list)


class _Reader:
    """One pass over the events of one document."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.duplicates: list[Duplicate] = []
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[Any, int, int]] = {}
        self.root: Any = None

    def error(self, message: str, mark: Any) -> TemplateError:
        return TemplateError(message, path=self.path, line=mark.line + 1, column=mark.column + 1)

    def begin(self, into: dict[str, Any] | list[Any], event: Any) -> None:
        if self.open and isinstance(self.open[-1].into, dict) and self.open[-1].key is None:
            raise self.error("a key must be text; put quotes around a value that begins with { or [", event.start_mark)
        self.open.append(_Open(into, event.anchor, event.tag, event.start_mark))
        if len(self.open) > MAX_DEPTH:
            raise self.error(f"nested deeper than {MAX_DEPTH} levels", event.start_mark)

    def end(self) -> None:
        done = self.open.pop()
        value: Any = done.into
        if isinstance(value, dict):
            for other in done.merged:
                for key, item in other.items():
                    value.setdefault(key, item)
        height = done.height
        if done.tag is not None:
            value = self.tagged(done.tag, value, done.mark)
            height += 1
        self.add(value, done.anchor, done.size, height, done.mark)

    def scalar(self, event: Any) -> None:
        if self.open and isinstance(self.open[-1].into, dict) and self.open[-1].key is None:
            self.begin_pair(event)
            return
        text, tag = event.value, event.tag
        if tag is not None and tag != "!":
            value, height = self.tagged(tag, text, event.start_mark), 1
        else:
            value, height = (plain(text) if event.implicit[0] else text), 0
        self.add(value, event.anchor, 1, height, event.start_mark)

    def begin_pair(self, event: Any) -> None:
        top = self.open[-1]
        key: str = event.value
        if event.tag is not None and not event.tag.startswith(_STANDARD) and event.tag != "!":
            raise self.error(f"a key must be text, not {event.tag}", event.start_mark)
        if key == "<<" and event.implicit[0]:
            top.key = "<<"
            return
        if key in top.into:
            self.duplicates.append(Duplicate(key, event.start_mark.line + 1, event.start_mark.column + 1))
        top.key = key
        if event.anchor:
            self.anchors[event.anchor] = (key, 1, 0)

    def alias(self, event: Any) -> None:
        if event.anchor not in self.anchors:
            raise self.error(f"the alias *{event.anchor} has no anchor before it", event.start_mark)
        value, size, height = self.anchors[event.anchor]
        top = self.open[-1] if self.open else None
        if top and isinstance(top.into, dict) and top.key is None:
            if not isinstance(value, str):
                raise self.error("a key must be text", event.start_mark)
            top.key = value
            return
        self.add(value, None, size, height, event.start_mark)

    def add(self, value: Any, anchor: str | None, size: int, height: int, mark: Any) -> None:
        """Put a finished value where it belongs; ``size`` and ``height`` are those of the tree below it."""
        if anchor:
            self.anchors[anchor] = (value, size, height)
        if not self.open:
            self.root = value
            return
        top = self.open[-1]
        top.size += size
        top.height = max(top.height, height + 1)
        if top.size > MAX_NODES:
            raise self.error(f"holds more than {MAX_NODES:,} values, aliases written out", mark)
        if len(self.open) + height > MAX_DEPTH:
            raise self.error(f"nested deeper than {MAX_DEPTH} levels", mark)
        if isinstance(top.into, list):
            top.into.append(value)
            return
        if top.key == "<<":
            self.merge(top, value, mark)
        else:
            assert top.key is not None
            top.into[top.key] = value
        top.key = None

    def merge(self, top: _Open, value: Any, mark: Any) -> None:
        others = value if isinstance(value, list) else [value]
        if not all(isinstance(other, dict) for other in others):
            raise self.error("only mappings can be merged with <<", mark)
        top.merged += others

    def tagged(self, tag: str, value: Any, mark: Any) -> Any:
        """The long form of a tag."""
        if tag.startswith(_STANDARD):
            return self.standard(tag.removeprefix(_STANDARD), value, mark)
        name = tag.removeprefix("!")
        if name in ("Ref", "Condition"):
            return {name: value}
        if name == "GetAtt" and isinstance(value, str):
            return {"Fn::GetAtt": value.split(".", 1)}
        if name in _FUNCTIONS:
            return {f"Fn::{name}": value}
        raise self.error(f"unknown tag {tag}: CloudFormation has no such function", mark)

    def standard(self, name: str, value: Any, mark: Any) -> Any:
        if name in ("str", "binary", "timestamp") and isinstance(value, str):
            return value
        if name in ("int", "float", "bool", "null") and isinstance(value, str):
            return plain(value)
        if (name == "map" and isinstance(value, dict)) or (name == "seq" and isinstance(value, list)):
            return value
        raise self.error(f"CloudFormation has no values of type !!{name}", mark)


def plain(text: str) -> Any:
    """What an unquoted YAML scalar means: null, a boolean, a number, or text.

    Dates, base-60 numbers and numbers with a leading zero (account ids) stay text.
    """
    if text in _WORDS:
        return _WORDS[text]
    first = text[0]
    if first.isdigit() or first in "-+.":
        if _INTEGER.fullmatch(text):
            return int(text, 16) if text.startswith("0x") else int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
    return text


def read_yaml(text: str, path: str) -> tuple[Any, tuple[Duplicate, ...]]:
    """The one YAML document in ``text`` and its duplicate keys (the last wins).  Raises TemplateError."""
    import yaml

    loader_type: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    reader = _Reader(path)
    documents = 0
    loader = None
    try:
        loader = loader_type(text)
        while True:
            event = loader.get_event()
            kind = type(event)
            if kind is yaml.ScalarEvent:
                reader.scalar(event)
            elif kind is yaml.MappingStartEvent:
                reader.begin({}, event)
            elif kind is yaml.SequenceStartEvent:
                reader.begin([], event)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                reader.end()
            elif kind is yaml.AliasEvent:
                reader.alias(event)
            elif kind is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    raise reader.error("a second YAML document begins; a template is one", event.start_mark)
            elif kind is yaml.StreamEndEvent:
                break
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = "not YAML: " + " ".join(str(error.problem or error.context or "unreadable").split())
        if mark:
            message += _hint(message, text, mark.line)
        raise (reader.error(message, mark) if mark else TemplateError(message, path=path)) from None
    except (yaml.YAMLError, UnicodeError) as error:
        raise TemplateError(f"not YAML: {_character(error, text)}", path=path) from None
    finally:
        if loader is not None:
            loader.dispose()
    if documents == 0:
        raise TemplateError("empty: there is no template in it", path=path)
    return reader.root, tuple(reader.duplicates)


def _hint(message: str, text: str, line: int) -> str:
    """What to do about the two mistakes that templates show most."""
    wrong = next(iter(text.splitlines()[line : line + 1]), "")
    if "cannot start any token" in message and "\t" in wrong:
        return "; YAML is indented with spaces, not tabs"
    if found := _TWO_TAGS.search(wrong):
        return f"; two short forms in a row: write the first as Fn::{found.group(1)}:"
    return ""


def _character(error: Exception, text: str) -> str:
    character = getattr(error, "character", None)
    if isinstance(character, int):
        line = text.count("\n", 0, max(text.find(chr(character)), 0)) + 1
        return f"the control character U+{character:04X} in line {line}; remove it"
    return "characters that are not allowed in YAML"
