"""A digest inside a Parquet file, by which any damage to it is noticed.

Parquet itself has no checksum that DuckDB writes, so a flipped bit in a page may read as another number.  The digest stands
between the last page and the footer.  Readers find the footer from the file's end and the pages by their offsets from its
start (Parquet format, "File format"), so none of them looks there.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

_MAGIC = b"PAR1"
_MARK = b"tocsin.sha256:"
_DIGEST = 32
_TAIL = 8  # the footer's length and the magic


def seal(path: Path) -> None:
    """Put the digest into a complete Parquet file.  Raises OSError."""
    content = path.read_bytes()
    pages, footer = _split(content)
    with path.open("wb") as stream:
        stream.write(pages + _MARK + _digest(pages, footer) + footer)
        stream.flush()
        os.fsync(stream.fileno())


def broken(path: Path) -> str | None:
    """Why a file is not what was written, in words; empty text for one without a digest, None for a whole one.

    Raises OSError.
    """
    content = path.read_bytes()
    if len(content) < 2 * len(_MAGIC) + _TAIL or content[:4] != _MAGIC or content[-4:] != _MAGIC:
        return "it is no Parquet file, or only a part of one"
    before, footer = _split(content)
    if not before:
        return "its footer is damaged"
    start = len(before) - _DIGEST - len(_MARK)
    if start < len(_MAGIC) or before[start : start + len(_MARK)] != _MARK:
        return ""
    if before[start + len(_MARK) :] != _digest(before[:start], footer):
        return "its content is not what was written: the checksum differs"
    return None


def _split(content: bytes) -> tuple[bytes, bytes]:
    """Everything before the footer, and the footer with what follows it."""
    cut = max(0, len(content) - _TAIL - int.from_bytes(content[-_TAIL:-4], "little"))
    return content[:cut], content[cut:]


def _digest(pages: bytes, footer: bytes) -> bytes:
    found = hashlib.sha256(pages)
    found.update(footer)
    return found.digest()
