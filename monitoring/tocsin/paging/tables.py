"""Checked access to the tables of a TOML file: what is unknown, missing or of the wrong kind is said with its dotted key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ..errors import InputError, nearest
from .oncall_values import looks_like_key, shown

_T = TypeVar("_T")


@dataclass(frozen=True)
class Tables:
    """The tables of the file ``path``; ``where`` is always the dotted key of a table, empty for the file itself."""

    path: str

    def keys(self, table: Mapping[str, Any], where: str, known: Sequence[str]) -> None:
        """Refuse keys that are not among the known ones."""
        for key in table:
            if key not in known:
                raise self.error(
                    f"{where}.{quoted(key)}" if where else quoted(key), f"unknown key; {nearest(key, known)}"
                )

    def table(self, value: Any, where: str) -> Mapping[str, Any]:
        """A table."""
        if not isinstance(value, dict):
            raise self.error(where, f"must be a table, got {shown(value)}")
        return value

    def read(self, where: str, check: Callable[[Any], _T], value: Any) -> _T:
        """What ``check`` makes of a value; its InputError is given the place."""
        try:
            return check(value)
        except InputError as error:
            raise self.error(where, str(error)) from None

    def optional(self, table: Mapping[str, Any], where: str, key: str, check: Callable[[Any], _T], default: _T) -> _T:
        """The value of a key, or the default where it is not stated."""
        return self.read(f"{where}.{key}" if where else key, check, table[key]) if key in table else default

    def required(self, table: Mapping[str, Any], where: str, key: str, check: Callable[[Any], _T], what: str) -> _T:
        """The value of a key that must be stated; ``what`` says what belongs there."""
        dotted = f"{where}.{key}" if where else key
        if key not in table:
            raise self.error(dotted, f"is missing: {what}")
        return self.read(dotted, check, table[key])

    def several(
        self, table: Mapping[str, Any], where: str, key: str, check: Callable[[Any], _T], what: str = ""
    ) -> tuple[_T, ...]:
        """A list, each of its values once."""
        dotted = f"{where}.{key}" if where else key
        if key not in table:
            raise self.error(dotted, f"is missing: {what}")
        if not isinstance(table[key], list):
            raise self.error(dotted, f"must be a list, got {shown(table[key])}; put it in brackets")
        found = tuple(self.read(f"{dotted}[{number}]", check, one) for number, one in enumerate(table[key], 1))
        if key != "participants":  # somebody may take two turns of three
            self.once(found, dotted)
        return found

    def once(self, names: Sequence[Any], where: str) -> None:
        """Refuse a value that stands twice."""
        for number, one in enumerate(names):
            if one in names[:number]:
                raise self.error(where, f"{shown(one)} stands twice; leave one")

    def error(self, where: str, problem: str) -> InputError:
        """An error with file and place."""
        return InputError(f"{self.path}: {where}: {problem}")


def quoted(name: str) -> str:
    """A key as TOML writes it; not shown where it looks like a key to a tool."""
    plain = name and all(letter.isascii() and (letter.isalnum() or letter in "_-") for letter in name)
    return name if plain and len(name) <= 63 and not looks_like_key(name) else shown(name).replace("'", '"')
