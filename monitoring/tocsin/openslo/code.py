"""Python text as a formatter leaves it: calls in one line while they are short, else one item a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

# The least line length that formatters are set to; what fits stays as it is written under any longer one.
WIDTH = 88


@dataclass(frozen=True, slots=True)
class Call:
    """What stands between ``begin`` and ``end`` may be broken over lines: ``counted(``, items, ``)``."""

    begin: str
    items: tuple[Code, ...]
    end: str = ")"

    def __str__(self) -> str:
        return f"{self.begin}{', '.join(str(item) for item in self.items)}{self.end}"


Code = str | Call


def lines(code: Code, indent: str = "", after: str = "") -> list[str]:
    """The lines of a piece of code; ``after`` is what follows it, such as a comma."""
    line = f"{indent}{code}{after}"
    if isinstance(code, str) or len(line) <= WIDTH:
        return [line]
    inside = [line for item in code.items for line in lines(item, f"{indent}    ", ",")]
    return [f"{indent}{code.begin}", *inside, f"{indent}{code.end}{after}"]


def import_line(module: str, names: Sequence[str]) -> list[str]:
    """``from module import names``."""
    line = f"from {module} import {', '.join(names)}"
    return [line] if len(line) <= WIDTH else lines(Call(f"from {module} import (", tuple(names)))


def quoted(text: str) -> str:
    """Text as Python writes it, in the quotes that need fewer backslashes."""
    if not text.isprintable():  # escaped as Python does, which is not as JSON does
        plain = text.encode("unicode_escape").decode("ascii")
    else:
        plain = json.dumps(text, ensure_ascii=False)[1:-1].replace('\\"', '"')
    if plain.count('"') > plain.count("'"):
        return "'" + plain.replace("'", "\\'") + "'"
    return '"' + plain.replace('"', '\\"') + '"'
