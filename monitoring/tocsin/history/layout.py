"""How the files of a history lie and what they are called, in a folder and in a bucket alike."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..errors import InputError
from .schema import PARTITIONS, VERSION, Table

#: The one file of a partition.
FILE = "rows.parquet"
#: The name of a file that could not be read, before a number.  Athena reads every object below a table's location but
#: those whose name begins with _ or a dot (Athena user guide, "Create tables", considerations).
CORRUPT = f"_{FILE}.corrupt-"
#: Name of the lock, beside the first folder.
LOCK = ".lock"

_ANY = "/".join(f"{name}=([^/=]+)" for name in PARTITIONS)
_PATH = re.compile(rf"(?P<version>[^/]+)/(?P<table>[^/]+)/{_ANY}/{re.escape(FILE)}")


def is_table_file(path: str, table: Table) -> bool:
    """Whether ``path`` is a file of ``table`` in the version that is read here."""
    found = _PATH.fullmatch(path)
    return found is not None and found["version"] == VERSION and found["table"] == table.name


def keys_of(path: str) -> tuple[str, str, str]:
    """Environment, system and month of a table's file."""
    found = _PATH.fullmatch(path)
    if found is None:
        raise ValueError(path)
    return found[3], found[4], found[5]


def next_corrupt(path: str, taken: Callable[[str], bool]) -> str:
    """The first free name beside ``path`` for a file that could not be read."""
    beside = path.removesuffix(FILE) + CORRUPT
    number = 1
    while taken(f"{beside}{number}"):
        number += 1
    return f"{beside}{number}"


def busy(where: str, since: str, mend: str) -> InputError:
    """What a second writer is told."""
    return InputError(f"another pull of {where} is running{since and f' (since {since})'}; {mend}")
