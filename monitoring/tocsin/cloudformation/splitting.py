"""Splits text that is only partly known, and picks pieces of it: ``Fn::Split`` and ``Fn::Select``."""

from __future__ import annotations

import re
from typing import Any

from .symbolic import Symbolic

PLACEHOLDER = re.compile(r"\$\{([^${}]*)\}")
_SINGLE = re.compile(r"\$\{([^!.${}][^.${}]*(?:\.[^${}]*)?)\}")
_WITHOUT_SEPARATORS = {"AWS::Region", "AWS::AccountId", "AWS::Partition", "AWS::StackName"}


class Pieces(list[Any]):
    """The result of a split of which only the first ``certain`` pieces are known; ``of`` is the text that was split."""

    def __init__(self, pieces: list[Any], certain: int, of: str) -> None:
        super().__init__(pieces)
        self.certain, self.of = certain, of


def split(source: str, separator: str) -> list[Any]:
    """The pieces of ``source``.

    A placeholder may hold the separator or not; only what stands before the first such one is certain.
    """
    if not isinstance(source, Symbolic):
        return list(source.split(separator))
    pieces: list[str] = [""]
    certain: int | None = None
    end = 0
    for match in PLACEHOLDER.finditer(source):
        _extend(pieces, source[end : match.start()], separator)
        end = match.end()
        pieces[-1] += match.group()
        name = match.group(1)
        if certain is None and not name.startswith("!") and not _cannot_hold(name, separator):
            certain = len(pieces) - 1
    _extend(pieces, source[end:], separator)
    made = [Symbolic(piece) if "${" in piece else piece for piece in pieces]
    return Pieces(made, len(made) if certain is None else certain, source)


def select(items: list[Any] | Symbolic, index: int) -> Any:
    """Item ``index`` of a list that may be known in part or not at all.  Raises IndexError."""
    if isinstance(items, Symbolic):
        return _piece_of(items, index)
    if isinstance(items, Pieces) and index >= items.certain:
        guess = items[index] if index < len(items) else None
        return _piece_of(items.of, index, guess)
    if index < 0:
        raise IndexError(index)
    return items[index]


def _piece_of(text: str, index: int, guess: str | None = None) -> Symbolic:
    """``${Queue.Arn.[5]}`` if all is one placeholder, else the piece as if placeholders never held the separator."""
    if single := _SINGLE.fullmatch(text):
        return Symbolic(f"${{{single.group(1)}.[{index}]}}")
    return Symbolic("${Fn::Select}") if guess is None else Symbolic(guess)


def _extend(pieces: list[str], text: str, separator: str) -> None:
    first, *rest = text.split(separator)
    pieces[-1] += first
    pieces += rest


def _cannot_hold(name: str, separator: str) -> bool:
    """Whether the value of a pseudo parameter is sure not to contain the separator (regions and names do hold "-")."""
    return name in _WITHOUT_SEPARATORS and not any(sign.isalnum() or sign == "-" for sign in separator)
