"""Writes the files of a report so that none is ever half written: all beside their places first, then each in one step."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ..errors import InputError


def write_files(texts: Mapping[Path, str]) -> None:
    """Write each text to its path; folders are made.  Raises InputError, and then leaves every file as it was.

    Only losing the disk between the last steps, which rename files, could leave an old one beside a new one.
    """
    pending: list[tuple[Path, Path]] = []
    try:
        for path, text in texts.items():
            if path.is_dir():
                raise InputError(f"{path}: is a folder; name a file")
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_name(f".{path.name}.{os.getpid()}.tocsin")
            pending.append((beside, path))
            with beside.open("w", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
        for beside, path in pending:
            beside.replace(path)
    except OSError as error:
        raise InputError(f"{error.filename or 'the report'}: cannot be written: {error.strerror}") from None
    finally:
        for beside, _ in pending:
            beside.unlink(missing_ok=True)
