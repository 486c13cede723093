"""Follows a record that is too long to be kept, to learn whether it ends as a record must, and where.

A quote that is not closed within the longest record may be a stray one, and what follows it are rows; or it begins a value
that is just too long.  Only its closing quote tells, and that may be anywhere: so the one is read while the other is followed.
"""

from __future__ import annotations

import re
from enum import Enum, auto


class _At(Enum):
    START = auto()  # of a value
    SPACES = auto()  # a value that began with them
    QUOTED = auto()
    PLAIN = auto()
    END = auto()  # after the closing quote


class LongRecord:
    """One record from its first byte on, in constant memory.

    ``last_line`` is the line it ends in, as far as it was read; ``is_record`` is False once it cannot be one any more.
    """

    def __init__(self, line: int, delimiter: bytes) -> None:
        self.first_line = self.last_line = line
        self.is_record = True
        self._at = _At.START
        self._held = b""  # a quote or a carriage return whose meaning the next byte tells
        self._delimiter = delimiter
        self._plain = re.compile(rb"[^\r\n%b]*" % re.escape(delimiter))

    def follow(self, data: bytes, *, final: bool = False) -> int | None:
        """How many bytes of ``data`` still belong to it, its line end among them; None if it does not end there."""
        if not self.is_record:
            return None
        text, self._held = self._held + data, b""
        before = len(text) - len(data)
        position = 0
        while position < len(text) or final:
            if self._at is _At.QUOTED:
                quote = text.find(b'"', position)
                until = quote if quote >= 0 else len(text)
                self.last_line += text.count(b"\n", position, until)
                position = until
                if quote < 0:
                    self.is_record = not final  # with the file, but not with its quote
                    return None
                if len(text) == quote + 1 and not final:
                    break
                doubled = text[quote + 1 : quote + 2] == b'"'
                position += 1 + doubled
                self._at = _At.QUOTED if doubled else _At.END
                continue
            if self._at in {_At.START, _At.SPACES}:
                byte = text[position : position + 1]
                if byte == b'"':
                    self.is_record = self._at is _At.START
                    if not self.is_record:
                        return None
                    self._at = _At.QUOTED
                    position += 1
                elif byte == b" ":
                    self._at = _At.SPACES
                    position += 1
                else:
                    self._at = _At.PLAIN
                continue
            if self._at is _At.PLAIN and (match := self._plain.match(text, position)):
                position = match.end()
            rest = text[position : position + 2]
            if rest[:1] == self._delimiter:
                self._at = _At.START
                position += 1
            elif rest[:1] == b"\n" or rest == b"\r\n" or (final and rest in {b"", b"\r"}):
                return position + len(rest[: rest.find(b"\n") + 1] or rest) - before
            elif rest in {b"", b"\r"}:
                break
            else:
                self.is_record = False
                return None
        self._held = text[position:]
        return None
