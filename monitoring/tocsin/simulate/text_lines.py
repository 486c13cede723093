"""The lines of a text file of any size, none longer than can be held at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from ..errors import SimulationError


def limited_lines(file: TextIO, path: Path, most: int, what: str) -> Iterator[str]:
    """The lines of ``file``.  Raises SimulationError, with its number, for one of more than ``most`` characters.

    ``what`` ends that error: what is to be done.
    """
    number = 0
    while line := file.readline(most + 1):
        number += 1
        if len(line) > most:
            raise SimulationError(f"{path}:{number}: a line of more than {most:,} characters; {what}")
        yield line
