"""Reads a CloudFormation template, JSON or YAML, into plain data with every short-form tag written out.

What CloudFormation keeps as text stays text: dates, numbers with leading zeros, and every key.  Limits on size,
depth and aliases make hostile files an error instead of a hang.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import TemplateError
from .yaml_reader import MAX_DEPTH, Duplicate, read_yaml

__all__ = ["Document", "Duplicate", "load", "parse"]

# CloudFormation itself refuses templates over 1 MB (AWS CloudFormation quotas); comments and spaces may go before.
MAX_BYTES = 5_000_000

_BEGINS_AS_JSON = re.compile(r'\s*(\{\s*["}]|\[)')  # {Resources: …} is YAML in flow style
_JSON_SIGN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\n]')
_COLON = re.compile(r"\s*:")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"


@dataclass(frozen=True, slots=True)
class Document:
    """One template as it was written: ``tree`` in long form, ``duplicates`` the keys that stand twice in one mapping."""

    path: str
    tree: dict[str, Any]
    duplicates: tuple[Duplicate, ...] = ()


def load(path: Path, *, shown_as: str | None = None) -> Document:
    """Read the template at ``path``, which errors call ``shown_as``.

    Raises TemplateError, with line and column where there are any, if the file cannot be read, is neither JSON nor
    YAML, or is not a template.
    """
    shown = str(path) if shown_as is None else shown_as
    try:
        if path.is_dir():
            raise TemplateError(f"a folder, not a template{_templates_in(path)}", path=shown)
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise TemplateError("no such file", path=shown) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise TemplateError(f"cannot be read: {reason}", path=shown) from None
    if len(data) > MAX_BYTES:
        raise TemplateError(f"larger than {MAX_BYTES // 1_000_000} MB, so not a template", path=shown)
    return parse(_decode(data, shown), shown)


def parse(text: str, path: str) -> Document:
    """Read the template in ``text``; ``path`` only names it in errors.  Raises TemplateError."""
    text = text.removeprefix("\ufeff")
    if "\0" in text:
        raise TemplateError("a binary file, not a template", path=path)
    tree: Any
    if _BEGINS_AS_JSON.match(text):
        tree, duplicates = _read_json(text, path)
    else:
        tree, duplicates = read_yaml(text, path)
    if not isinstance(tree, dict) or not isinstance(tree.get("Resources"), dict):
        raise TemplateError("not a CloudFormation template: it has no mapping named Resources", path=path)
    return Document(path, tree, duplicates)


def _templates_in(folder: Path) -> str:
    found = sorted(entry.name for entry in folder.glob("*.template.json"))
    return f"; name one of its templates: {', '.join(found[:5])}" if found else "; name a file"


def _decode(data: bytes, path: str) -> str:
    encoding = "utf-8-sig"
    if data.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        encoding = "utf-32"
    elif data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif data[1:2] == b"\0" and data[:1] != b"\0":
        encoding = "utf-16-le"
    elif data[:1] == b"\0" and data[1:2] != b"\0":
        encoding = "utf-16-be"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8-sig" or b"\0" in data[:1024]:
            raise TemplateError("a binary file, not a template", path=path) from None
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise TemplateError("not UTF-8; save the file as UTF-8", path=path, line=line, column=column) from None


def _read_json(text: str, path: str) -> tuple[Any, tuple[Duplicate, ...]]:
    repeated = False

    def keep(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeated
        made = dict(pairs)
        repeated = repeated or len(made) != len(pairs)
        return made

    try:
        tree = json.loads(text, object_pairs_hook=keep, parse_constant=str)
        if _SURROGATE.search(text):
            json.dumps(tree, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        message = f"not JSON: {error.msg[0].lower()}{error.msg[1:]}"
        raise TemplateError(message, path=path, line=error.lineno, column=error.colno) from None
    except RecursionError:
        raise TemplateError(_TOO_DEEP, path=path) from None
    except UnicodeEncodeError:
        raise TemplateError("not JSON: half of a surrogate pair in a text", path=path) from None
    except ValueError:
        raise TemplateError("not JSON: a number with too many digits", path=path) from None
    _refuse_depth(tree, path)
    return tree, _json_duplicates(text) if repeated else ()


def _refuse_depth(tree: Any, path: str) -> None:
    level = [tree]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return
    raise TemplateError(_TOO_DEEP, path=path)


def _json_duplicates(text: str) -> tuple[Duplicate, ...]:
    """Where keys stand twice in one object of well-formed JSON."""
    open_objects: list[set[str]] = []
    found = []
    line, line_start = 1, 0
    for match in _JSON_SIGN.finditer(text):
        sign, start = match.group(), match.start()
        if sign == "\n":
            line, line_start = line + 1, match.end()
        elif sign == "{":
            open_objects.append(set())
        elif sign == "}":
            open_objects.pop()
        elif _COLON.match(text, match.end()):
            key = json.loads(sign)
            if key in open_objects[-1]:
                found.append(Duplicate(key, line, start - line_start + 1))
            open_objects[-1].add(key)
    return tuple(found)
