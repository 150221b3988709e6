"""Messages of PostgreSQL's protocol, version 3, as far as a call needs them.

See "Message Formats" in PostgreSQL's manual. All statements are prepared, and no description of a result is requested:
a call has one column, whose type is known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from struct import Struct
from typing import Final

from psycopg.pq import Format

from gateway.functions.collected_rows import NULL, CollectedRows
from gateway.functions.refusals import ConnectionBroken, too_large

_UINT32: Final = Struct("!I")
_UINT16: Final = Struct("!H")
_HEADERS: Final = 1024  #: bytes of a message, at most, that are not the value of its row
_NO_VALUE: Final = b"\xff\xff\xff\xff"  #: the length of NULL
_FORMATS: Final = {Format.TEXT: b"\0\1\0\0", Format.BINARY: b"\0\1\0\1"}  #: of one result column

EXECUTE: Final = b"E\0\0\0\x09\0\0\0\0\0"  #: the unnamed portal, without a limit of rows
SYNC: Final = b"S\0\0\0\4"
PARSE_COMPLETE: Final = b"1\0\0\0\4"
BIND_COMPLETE: Final = b"2\0\0\0\4"
CLOSE_COMPLETE: Final = b"3\0\0\0\4"
READY: Final = b"Z\0\0\0\5"  #: followed by the state of the transaction
IDLE: Final = b"I"  #: the state of no transaction


def message(kind: bytes, body: bytes) -> bytes:
    """Return a message of either side."""
    return b"%b%b%b" % (kind, _UINT32.pack(len(body) + 4), body)


def parse(name: bytes, statement: bytes, types: Sequence[int] = ()) -> bytes:
    """Return the message that prepares a statement; the empty name is the unnamed statement.

    :param types: the OIDs of its parameters' types
    """
    return message(
        b"P", b"%b\0%b\0%b%b" % (name, statement, _UINT16.pack(len(types)), b"".join(map(_UINT32.pack, types)))
    )


def close(name: bytes) -> bytes:
    """Return the message that drops a prepared statement, if there is one."""
    return message(b"C", b"S%b\0" % name)


def execute(name: bytes) -> bytes:
    """Return the messages that execute a prepared statement without parameters."""
    return message(b"B", b"\0%b\0\0\0\0\0\0\0" % name) + EXECUTE


def call(name: bytes, values: Sequence[bytes | None], result_format: Format) -> bytes:
    """Return the messages that execute a prepared statement with *values* in their text form."""
    parts = [b"\0%b\0\0\0" % name, _UINT16.pack(len(values))]
    for value in values:
        if value is None:
            parts.append(_NO_VALUE)
        else:
            parts.append(_UINT32.pack(len(value)))
            parts.append(value)
    parts.append(_FORMATS[result_format])
    body = b"".join(parts)
    return b"B%b%b%b" % (_UINT32.pack(len(body) + 4), body, EXECUTE)


def row(*values: bytes) -> bytes:
    """Return a row as the server sends it."""
    columns = b"".join(_UINT32.pack(len(value)) + value for value in values)
    return message(b"D", _UINT16.pack(len(values)) + columns)


def complete(tag: bytes) -> bytes:
    """Return the end of a statement's answer as the server sends it."""
    return message(b"C", tag + b"\0")


_DATA_ROW: Final = ord("D")
_ROW: Final = Struct("!IHI")  #: the length of the message, the number of columns, the length of the value
_ROW_HEADER: Final = 11
_ROW_START: Final = Struct("!cIHI")  #: the kind of the message, and as _ROW
_ONE_SELECTED: Final = complete(b"SELECT 1")
#: The header of a row below 16 MB. JSON has no zero byte, so this matches nothing inside a value.
_SHORT_ROW: Final = re.compile(rb"D\x00.{3}\x00\x01\x00.{3}", re.DOTALL)


class UsualAnswer:
    """An answer of constant bytes with the rows of a call in the middle, which is recognized as a whole."""

    __slots__ = ("_head", "_overhead", "_tail", "_tail_of_one")

    def __init__(self, head: bytes, tail: bytes) -> None:
        """Expect *head* before the rows, and *tail* after the completion of the call."""
        self._head, self._tail = head, tail
        self._tail_of_one = _ONE_SELECTED + tail
        self._overhead = len(head) + _ROW_HEADER + len(self._tail_of_one)

    def only_row(self, answer: bytes) -> bytes | None:
        """Return the only row of *answer*; None if it is not this answer with one row of one JSON value."""
        size = len(answer) - self._overhead
        if size < 0 or not answer.endswith(self._tail_of_one):
            return None
        start = self._head + _ROW_START.pack(b"D", size + _ROW_HEADER - 1, 1, size)
        return answer[len(start) : len(start) + size] if answer.startswith(start) else None

    def rows(self, answer: bytes) -> tuple[bytes, int] | None:
        """Return the rows of *answer* with commas between them, and their number; None if it is not this answer."""
        if not (answer.endswith(self._tail) and answer.startswith(self._head)):
            return None
        return joined_rows(answer, len(self._head), len(answer) - len(self._tail))


def joined_rows(answer: bytes, start: int, end: int) -> tuple[bytes, int] | None:
    """Return the rows between *start* and *end* with commas between them, and their number.

    None if there is anything else than rows of one JSON value and the completion of a SELECT.
    """
    after = answer.rfind(b"C\0\0\0", start, end)
    tag = answer[after + 5 : end - 1]
    if after < 0 or not tag.startswith(b"SELECT ") or complete(tag) != answer[after:end]:
        return None
    rows, count = _SHORT_ROW.subn(b",", answer[start:after])
    if b"\0" in rows or tag != b"SELECT %d" % count:
        return None
    return rows[1:], count


class AnswerReader:
    """Reads the answer to a message of several statements, of which the first is a call, in parts of any size.

    :ivar failed: the number of the first statement that ended with an error
    :ivar error: the fields of that error
    :ivar tail_rows: the rows of all statements but the call, as they were sent
    :ivar done: the answer is complete
    :ivar rest: data received after the answer
    """

    def __init__(self, rows: CollectedRows) -> None:
        """Read an answer from its first byte, and add the rows of the call to *rows*."""
        self.failed: int | None = None
        self.error: dict[int, bytes] = {}
        self.tail_rows: list[bytes] = []
        self.done = False
        self.rest = b""
        self._rows = rows
        self._longest = rows.max_bytes + _HEADERS
        self._number = 0  # of the statement whose answer is being read
        self._parts: list[bytes] = []
        self._missing = 0  # bytes of the message that has begun, at least

    def feed(self, data: bytes) -> None:
        """Read the next part of the answer.

        :raises ConnectionBroken: it is not an answer to such a message
        :raises ResponseTooLarge: a row, an error or a notice in it is longer than all rows may be
        """
        self._parts.append(data)
        self._missing -= len(data)
        if self._missing > 0:
            return
        answer = b"".join(self._parts)
        at, missing, found = 0, 0, []
        while not self.done:
            if len(answer) - at < 5:
                missing = 5 - (len(answer) - at)
                break
            (length,) = _UINT32.unpack_from(answer, at + 1)
            if length > self._longest:
                raise too_large(self._rows.max_bytes)
            end = at + 1 + length
            if end > len(answer):
                missing = end - len(answer)
                break
            if answer[at] == _DATA_ROW and self._number == 0:
                found.append(_value_of(answer, at, end))
            else:
                self._take(answer[at : at + 1], answer[at:end])
            at = end
        self._rows.add(found)
        self._missing = missing
        self.rest = answer[at:]
        self._parts = [self.rest]

    def _take(self, kind: bytes, whole: bytes) -> None:
        if kind == b"C":
            self._number += 1
        elif kind == b"E":
            if self.failed is None:
                self.failed, self.error = self._number, _fields_of(whole[5:])
        elif kind == b"Z":
            self.done = True
        elif kind == b"D":
            self.tail_rows.append(whole)
        elif kind not in _IGNORED:
            raise ConnectionBroken(f"the server sent an unexpected message: {kind!r}", sent=True)


#: The completions of Parse, Bind and Close; notices, notifications, and changed settings.
_IGNORED: Final = frozenset({b"1", b"2", b"3", b"N", b"A", b"S"})


def _value_of(answer: bytes, start: int, end: int) -> bytes:
    """Return the JSON value of the row between *start* and *end*."""
    if end - start < _ROW_HEADER:
        raise ConnectionBroken("the server sent a row without a column", sent=True)
    _, columns, size = _ROW.unpack_from(answer, start + 1)
    if columns == 1 and size == end - start - _ROW_HEADER:
        return answer[start + _ROW_HEADER : end]
    if columns == 1 and answer[end - 4 : end] == _NO_VALUE and end - start == _ROW_HEADER:
        return NULL
    raise ConnectionBroken("the server sent a row of another form than requested", sent=True)


def _fields_of(body: bytes) -> dict[int, bytes]:
    """Return the fields of an error by their keys."""
    return {field[0]: field[1:] for field in body.split(b"\0") if field}
