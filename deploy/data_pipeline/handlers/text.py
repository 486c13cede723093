"""From the bytes of a file to UTF-8: which encoding it has, and its header, read before anything goes to the database."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from .errors import RejectedError

HEAD = 1 << 16  # bytes in which encoding and header are looked for
DELIMITERS = (",", ";", "\t", "|")
LINE_END = re.compile(rb"\r\n|\n|\r")
BLANK_LINES = re.compile(rb"(?:[ \t]*(?:\r\n|\n|\r))*+[ \t]*+")
MULTI_BYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
FIRST_MARK = 0xDC00  # a byte that is no text in another encoding than UTF-8 is marked by the lone surrogate this far on
MARKED = re.compile(rb"\xed[\xb0-\xb3][\x80-\xbf]")  # such a one, written as UTF-8
MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass(frozen=True, slots=True)
class Header:
    """The columns in the file's order, what separates them, and the number of the line after them."""

    columns: tuple[str, ...]
    delimiter: str
    next_line: int


@dataclass(frozen=True, slots=True)
class Text:
    """An opened file.  ``body`` is what follows the header, as UTF-8; bytes that are no text stay invalid in it."""

    encoding: str
    header: Header
    body: Iterator[bytes]


def open_text(chunks: Iterable[bytes], columns: Collection[str]) -> Text:
    """Read encoding and header.  Raises RejectedError when there is no header of these columns."""
    stream = iter(chunks)
    head, whole = b"", True
    for chunk in stream:
        head += chunk
        if len(head) >= HEAD:
            whole = False
            break
    encoding, mark = detect_encoding(head)
    decode = codecs.getincrementaldecoder(encoding)(errors=UNDECODABLE)

    def utf_8(raw: bytes, final: bool = False) -> bytes:
        if encoding == "utf-8":
            return raw
        # Marked bytes become surrogates, which no UTF-8 text may hold: invalid before, invalid after.
        return decode.decode(raw, final).encode("utf-8", "surrogatepass")

    start = utf_8(head[mark:], whole)
    header, length, line_end = read_header(start, columns, whole)

    def body() -> Iterator[bytes]:
        yield start[length:]
        for chunk in stream:
            yield utf_8(chunk)
        if not whole:
            yield utf_8(b"", final=True)

    # Lines that end in CR alone, as old Mac programs write them, are read as if they ended in LF.
    rest = (chunk.replace(b"\r", b"\n") for chunk in body()) if line_end == b"\r" else body()
    return Text(encoding, header, (chunk for chunk in rest if chunk))


def detect_encoding(head: bytes) -> tuple[str, int]:
    """The encoding and the length of the byte order mark.

    A file without a mark is UTF-8, or windows-1252 when its head is not UTF-8.  A head that holds both broken bytes
    and real UTF-8 characters is a damaged UTF-8 file: taken for windows-1252 every umlaut in it would be garbled.  So is
    one whose only broken bytes are the beginning of a character at its very end: it was cut off there.
    """
    for mark, encoding in MARKS:
        if head.startswith(mark):
            return encoding, len(mark)
    try:
        # Not as the end of a text, also when it is: a character that is cut off there is no sign of another encoding.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return ("utf-8" if MULTI_BYTE.search(head) else "windows-1252"), 0
    return "utf-8", 0


def read_header(head: bytes, columns: Collection[str], whole: bool) -> tuple[Header, int, bytes]:
    """The header, its length in bytes with its line end, and that line end.  Raises RejectedError."""
    blank = BLANK_LINES.match(head)
    begin = blank.end() if blank else 0
    if begin == len(head):
        raise RejectedError("the file is empty: it has not even a header")
    found: list[tuple[str, ...]] = []
    for delimiter in DELIMITERS:
        match = record_pattern(delimiter).match(head, begin)
        if match is None or (match.end() == len(head) and not whole):
            continue
        names = _names(match[0], delimiter)
        found.append(names)
        if len(names) == len(columns) and set(names) == set(columns):
            line_end = LINE_END.match(head, match.end())
            end = line_end.end() if line_end else len(head)
            lines = len(LINE_END.findall(head, 0, end))
            return Header(names, delimiter, lines + 1), end, line_end[0] if line_end else b""
    raise RejectedError(_mismatch(found, columns, head[begin:]))


def field_pattern(delimiter: str) -> bytes:
    """One value: in quotes as a whole, or not beginning with one.  A quote further on is a character like any other."""
    return rb'(?:"[^"]*+(?:""[^"]*+)*+"|(?! *")[^\r\n%b]*+)' % re.escape(delimiter.encode())


def record_pattern(delimiter: str) -> re.Pattern[bytes]:
    """A pattern for one whole record, of any number of values, up to its line end or the end of what is there."""
    field = field_pattern(delimiter)
    return re.compile(rb"%b(?:%b%b)*+(?=[\r\n]|\Z)" % (field, re.escape(delimiter.encode()), field))


def _names(record: bytes, delimiter: str) -> tuple[str, ...]:
    text = record.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
    return tuple(name.strip(" \t\ufeff") for name in next(csv.reader([text], delimiter=delimiter), ()))


def _mismatch(found: list[tuple[str, ...]], columns: Collection[str], text: bytes) -> str:
    if not found:
        return f"no header: the first {HEAD // 1024} KiB hold no line that could be one"
    names = max(found, key=lambda names: (len(set(names) & set(columns)), len(names)))
    said = []
    if missing := [name for name in columns if name not in names]:
        said.append(f"missing {_listed(missing)}")
    if extra := sorted({name for name in names if name not in columns}):
        said.append(f"not in the contract {_listed(extra)}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        said.append(f"more than once {_listed(twice)}")
    kind = " (this is not a text file)" if b"\0" in text[:1024] else ""
    return f"another header{kind}: {'; '.join(said)}"


def _listed(names: Iterable[str], limit: int = 20) -> str:
    names = [name if len(name) <= 60 else name[:60] + "…" for name in names]
    shown = ", ".join(repr(name) for name in names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


def _mark_undecodable(error: UnicodeError) -> tuple[str, int]:
    """Each byte that is no text becomes a lone surrogate."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(FIRST_MARK + byte) for byte in error.object[error.start : error.end]), error.end


UNDECODABLE = "data-pipeline-undecodable"
codecs.register_error(UNDECODABLE, _mark_undecodable)
