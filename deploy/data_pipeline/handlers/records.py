"""Where one record ends and the next begins, in constant memory: for the fast path as a guard, for the checking path line by line.

COPY itself reads a quote in the middle of a value as the beginning of a quoted part, and so can join two rows into one
without a word.  Here only a value's first character opens a quoted one, which then ends with it; a quote in the middle
of another value stands for itself, and a quote after a leading space is a bad row, for nobody can say what was meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from .long_record import LongRecord
from .text import FIRST_MARK, MARKED, Header, field_pattern, record_pattern

LONGEST = 1 << 20  # bytes of one record; a quote that is never closed must not eat the memory
LONGEST_SHOWN = 100_000  # characters of a bad row that go to quarantine; the object itself is kept whole


# How a record ends that was cut off within a character; in windows-1252 each byte is one.
_CUT_MARKED = re.compile(rb"%b\Z" % MARKED.pattern)
CUT_CHARACTER = {
    "utf-8": re.compile(rb"(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z"),
    "utf-16-le": _CUT_MARKED,
    "utf-16-be": _CUT_MARKED,
}
CARRIAGE_RETURN = "a carriage return inside a value that is not quoted"


class NotPlainError(Exception):
    """The file needs the checking path; what is wrong with it is said there."""


def plain(body: Iterable[bytes], delimiter: str) -> Iterator[bytes]:
    """The body as it is, in pieces of whole lines, as long as COPY reads it as RFC 4180 does.  Raises NotPlainError.

    Blank lines at the end are left off.
    """
    before, after = (delimiter + "\n").encode(), (delimiter + "\r\n").encode()
    inside = False  # a quoted value
    length = 0  # of that value so far
    held = b""
    for piece in _lines(body):
        if held:
            yield held
        held = piece
        if piece.startswith(b"\\.") or b"\n\\." in piece:  # PostgreSQL before 18 takes \. for the end of the data
            raise NotPlainError
        parts = piece.split(b'"')
        for index in range(inside, len(parts), 2):  # the parts outside quotes
            part, is_last = parts[index], index == len(parts) - 1
            if part and ((index and part[0] not in after) or (not is_last and part[-1] not in before)):
                raise NotPlainError
        was_inside, inside = inside, inside ^ (len(parts) % 2 == 0)
        length = (length if was_inside and len(parts) == 1 else 0) + (len(parts[-1]) if inside else 0)
        if length > LONGEST:
            raise NotPlainError
    if held := held if inside else held.rstrip(b"\r\n"):
        yield held


def _lines(body: Iterable[bytes]) -> Iterator[bytes]:
    """The body in pieces that end with a line, except perhaps the last."""
    waiting = b""
    for chunk in body:
        end = chunk.rfind(b"\n") + 1
        if end:
            yield waiting + chunk[:end]
            waiting = chunk[end:]
        else:
            waiting += chunk
            if len(waiting) > LONGEST:
                raise NotPlainError
    if waiting:
        yield waiting


class Scan:
    """Gives every record its line number and finds those that are no records of the table.

    ``cut_off`` says afterwards how the file ends in the middle of a record; None if it does not.  ``inside`` are the lines,
    first and last, that were staged as rows and turned out to be inside a quoted value that is too long.
    """

    def __init__(self, header: Header, encoding: str, null: str) -> None:
        self.cut_off: str | None = None
        self.inside: list[tuple[int, int]] = []
        self._long: LongRecord | None = None
        self._line = header.next_line
        self._delimiter = header.delimiter.encode()
        self._fields = len(header.columns)
        self._encoding = encoding
        self._skipping = False  # the rest of a line that was too long
        # A staged record is: line, reason, row as it was, and the values of the record.
        nulls = [null.encode().replace(b"%", b"%%")] * self._fields
        self._good = self._delimiter.join([b"%d", *nulls[:1] * 2, b"%b"])
        self._bad = self._delimiter.join([b"%d", b'"%b"', b'"%b"', *nulls])
        self._record = record_pattern(header.delimiter)
        field, delimiter = field_pattern(header.delimiter), re.escape(self._delimiter)
        self._value = re.compile(rb"(?:\A|%b)(%b)" % (delimiter, field))
        self._unclosed = re.compile(rb'(?:%b%b)*+"[^"]*+(?:""[^"]*+)*+\Z' % (field, delimiter))

    def staged(self, body: Iterable[bytes]) -> Iterator[bytes]:
        """The records as CSV for the staging table, a block for each piece of the body."""
        buffer = b""
        for chunk in body:
            buffer = self._after_long(buffer, chunk)
            staged: list[bytes] = []
            buffer = buffer[self._take(buffer, staged, final=False) :]
            if staged:
                yield b"\n".join(staged) + b"\n"
        staged = []
        self._take(self._after_long(buffer, b"", final=True), staged, final=True)
        if staged:
            yield b"\n".join(staged) + b"\n"

    def _after_long(self, buffer: bytes, chunk: bytes, *, final: bool = False) -> bytes:
        """What is to be read: all of it, or what follows a record that is too long and ends in this chunk."""
        if self._long is None:
            return buffer + chunk
        long, end = self._long, self._long.follow(chunk, final=final)
        if end is None:
            self._long = long if long.is_record else None
            return buffer + chunk
        self._long, self._skipping = None, False
        self._line = long.last_line + 1
        if long.last_line > long.first_line:
            self.inside.append((long.first_line + 1, long.last_line))
        return chunk[end:]

    def _take(self, buffer: bytes, staged: list[bytes], *, final: bool) -> int:
        """Stage the records that are complete; the position of the first that is not."""
        position = 0
        while position < len(buffer):
            if self._skipping:
                position = buffer.find(b"\n", position) + 1
                if not position:
                    return len(buffer)
                self._skipping = False
                self._line += 1
                continue
            quote = buffer.find(b'"', position)
            end = buffer.rfind(b"\n", position, quote if quote >= 0 else len(buffer)) + 1
            if end > position:  # whole lines without any quote
                self._take_lines(buffer[position : end - 1], staged)
                position = end
                continue
            long = len(buffer) - position > LONGEST
            at_end = unclosed = carriage_return = False
            if quote < 0:
                at_end = True
            elif (match := self._record.match(buffer, position)) is None:
                unclosed = self._unclosed.match(buffer, position) is not None
            else:
                tail = buffer[match.end() : match.end() + 2]
                if tail[:1] == b"\n" or tail == b"\r\n":
                    self._take_record(match[0], staged)
                    self._line += match[0].count(b"\n") + 1
                    position = match.end() + tail.index(b"\n") + 1
                    continue
                at_end = tail in {b"", b"\r"}
                carriage_return = not at_end
            if final and at_end:
                self._take_last(buffer[position:].removesuffix(b"\r"), staged)
                return len(buffer)
            if final and unclosed and not long:
                self.cut_off = f"line {self._line}: a quoted value is never closed, so the file looks cut off"
                return len(buffer)
            if (at_end or unclosed) and not long:
                return position
            # Only the first line of it is given up, so that what follows a stray quote is read as it should be.
            line_end = buffer.find(b"\n", position)
            if line_end < 0 and not final and not long:
                return position
            after = line_end + 1 if line_end >= 0 else len(buffer)
            if at_end or unclosed:
                if quote >= 0 and self._long is None:
                    self._long = LongRecord(self._line, self._delimiter)
                    self._long.follow(buffer[position:])
                reason = f"longer than {LONGEST:,} bytes" + (", or a quoted value is never closed" if unclosed else "")
            elif carriage_return:
                reason = CARRIAGE_RETURN
            else:
                reason = "a quoted value has something before or after its quotes"
            self._stage_bad(buffer[position:after].rstrip(b"\r\n"), reason, staged)
            self._line += line_end >= 0
            self._skipping = line_end < 0
            position = after
        return position

    def _take_lines(self, block: bytes, staged: list[bytes]) -> None:
        """Stage lines without quotes, the many; ``block`` is without its last line end."""
        good, delimiter, wanted = self._good, self._delimiter, self._fields - 1
        number = self._line
        clean = b"\0" not in block and b"\r" not in block and _is_text(block)
        for line in block.split(b"\n"):
            if clean and line.count(delimiter) == wanted and line:
                staged.append(good % (number, line))
            elif record := line.removesuffix(b"\r"):
                self._line = number
                self._take_record(record, staged)
            number += 1
        self._line = number

    def _take_last(self, record: bytes, staged: list[bytes]) -> None:
        """Stage a last line that has no line end, unless it shows that more was to follow."""
        count = len(self._values(record))
        if not record:
            return
        if self._encoding in CUT_CHARACTER and CUT_CHARACTER[self._encoding].search(record):
            self.cut_off = f"line {self._line}: the file ends within a character, so it looks cut off"
        elif count < self._fields:
            self.cut_off = (
                f"line {self._line}: the file ends after {count} of {self._fields} values, without a line end, "
                "so it looks cut off"
            )
        else:
            self._take_record(record, staged)

    def _take_record(self, record: bytes, staged: list[bytes]) -> None:
        values = self._values(record)
        if b"\0" in record:
            self._stage_bad(record, "holds a NUL byte", staged)
        elif not _is_text(record):
            self._stage_bad(record, f"holds bytes that are no {self._encoding} text", staged)
        elif len(values) != self._fields:
            self._stage_bad(record, f"{len(values)} values where {self._fields} are wanted", staged)
        elif any(b"\r" in value and not value.startswith(b'"') for value in values):
            self._stage_bad(record, CARRIAGE_RETURN, staged)
        else:
            staged.append(self._good % (self._line, self._delimiter.join(map(_as_copy_reads_it, values))))

    def _values(self, record: bytes) -> list[bytes]:
        return self._value.findall(record) if b'"' in record else record.split(self._delimiter)

    def _stage_bad(self, record: bytes, reason: str, staged: list[bytes]) -> None:
        if self._encoding != "utf-8":
            record = MARKED.sub(_byte_as_shown, record)
        row = record.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
        if len(row) > LONGEST_SHOWN:
            row = f"{row[:LONGEST_SHOWN]}… ({len(row):,} characters)"
        staged.append(self._bad % (self._line, reason.encode(), row.replace('"', '""').encode()))


def _byte_as_shown(marked: re.Match[bytes]) -> bytes:
    return b"\\x%02x" % (ord(marked[0].decode("utf-8", "surrogatepass")) - FIRST_MARK)


def _as_copy_reads_it(value: bytes) -> bytes:
    return value if value.startswith(b'"') or b'"' not in value else b'"' + value.replace(b'"', b'""') + b'"'


def _is_text(record: bytes) -> bool:
    try:
        record.decode()
    except UnicodeDecodeError:
        return False
    return True
