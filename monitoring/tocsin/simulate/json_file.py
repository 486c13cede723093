"""The objects of a JSON file: an array, or one object per line, which may be of any number."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from ..errors import SimulationError
from .text_lines import limited_lines


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
    except OSError as error:
        raise SimulationError(f"{path}: {error.strerror}") from None


def _parse(text: str, where: str, *, line: bool) -> Any:
    def refuse(name: str) -> NoReturn:
        raise SimulationError(f"{where}: {name} is no value here; write null for missing data")

    try:
        return json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        place = f"{where}:{error.colno}" if line else f"{where}:{error.lineno}:{error.colno}"
        raise SimulationError(
            f"{place}: not JSON: {error.msg}; a file holds one array or one object per line"
        ) from None
    except RecursionError:
        raise SimulationError(f"{where}: nested too deeply") from None
    except ValueError as error:  # an integer of thousands of digits
        raise SimulationError(f"{where}: {error}") from None
