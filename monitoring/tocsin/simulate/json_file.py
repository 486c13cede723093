"""The objects of a JSON file: an array, or one object per line, which may be of any number."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from ..errors import SimulationError
from .text_lines import limited_lines

# What looks like a number inside a text is none.
_TEXT_OR_INTEGER = re.compile(r'"(?:[^"\\]|\\.)*"|-?(?P<digits>[0-9]+)(?![0-9.eE])')


def read_objects(path: Path, one: str, *, most: int, empty: str) -> Iterator[tuple[Any, str]]:
    """Each object with its place in the file, as errors name it.

    ``one`` is what an object is called, ``most`` the characters of an array, or of a line, that are read at once, and
    ``empty`` what is said of a file without any.  Raises SimulationError with file and position.
    """
    try:
        size = path.stat().st_size
        with path.open(encoding="utf-8-sig") as file:
            first = file.read(1)
            while first and first.isspace():
                first = file.read(1)
            file.seek(0)
            if not first:
                raise SimulationError(f"{path}: {empty}")
            if first != "[":
                lines = limited_lines(file, path, most, "give a long time as several objects, one after another")
                for number, line in enumerate(lines, 1):
                    if line.strip():
                        yield _parse(line, f"{path}:{number}", line=True), f"{path}:{number}"
                return
            if size > most:
                raise SimulationError(
                    f"{path}: a JSON array of {size // 1024**2} MiB is too large to read at once; "
                    "write one object per line, without the brackets around them"
                )
            for index, record in enumerate(_parse(file.read(), str(path), line=False), 1):
                yield record, f"{path}: {one} {index}"
    except FileNotFoundError:
        raise SimulationError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise SimulationError(f"{path}: is not UTF-8 text") from None
    except IsADirectoryError:
        raise SimulationError(f"{path}: is a folder; name a file") from None
    except OSError as error:
        raise SimulationError(f"{path}: {error.strerror}") from None


def _parse(text: str, where: str, *, line: bool) -> Any:
    def refuse(name: str) -> NoReturn:
        raise SimulationError(f"{where}: {name} is no value here; write null for missing data")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in made if names.count(name) > 1)
            raise SimulationError(f"{where}: the key {twice!r} is given twice in one object")
        return made

    try:
        return json.loads(text, parse_constant=refuse, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        place = f"{where}:{error.colno}" if line else f"{where}:{error.lineno}:{error.colno}"
        raise SimulationError(
            f"{place}: not JSON: {error.msg}; a file holds one array or one object per line"
        ) from None
    except RecursionError:
        raise SimulationError(f"{where}: nested too deeply") from None
    except ValueError:  # an integer of more digits than Python reads
        raise SimulationError(_too_many_digits(text, where, line=line)) from None


def _too_many_digits(text: str, where: str, *, line: bool) -> str:
    most = sys.get_int_max_str_digits()
    for found in _TEXT_OR_INTEGER.finditer(text):
        digits = len(found["digits"] or "")
        if digits > most:
            before = text[: found.start()]
            column = found.start() - before.rfind("\n")
            place = f"{where}:{column}" if line else f"{where}:{before.count(chr(10)) + 1}:{column}"
            return f"{place}: a number of {digits} digits is too long"
    return f"{where}: a number has too many digits"
