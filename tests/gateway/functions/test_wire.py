"""The two readers of an answer agree with each other, and with the server, wherever the answer is divided."""

from __future__ import annotations

import pytest

from gateway.functions.collected_rows import CollectedRows
from gateway.functions.refusals import ConnectionBroken
from gateway.functions.wire import (
    BIND_COMPLETE,
    IDLE,
    PARSE_COMPLETE,
    READY,
    AnswerReader,
    UsualAnswer,
    complete,
    joined_rows,
    message,
    row,
)

NOTICE = message(b"N", b"SWARNING\0Mtext\0\0")
NULL_ROW = message(b"D", b"\0\1\xff\xff\xff\xff")
ERROR = message(b"E", b"SERROR\0C22012\0Mdivision by zero\0\0")
END = BIND_COMPLETE + row(b"", b"f") + complete(b"SELECT 1") + READY + IDLE
VALUES = [b'{"a":1}', b'{"b":"C D Z SELECT 1"}', b"{}", b'{"c":"' + b"D" * 70_000 + b'"}']


def read(*parts: bytes) -> tuple[AnswerReader, CollectedRows]:
    rows = CollectedRows(1_000_000)
    reader = AnswerReader(rows)
    for part in parts:
        reader.feed(part)
    return reader, rows


@pytest.mark.parametrize("values", [[], VALUES[:1], VALUES[3:], VALUES, VALUES * 9, [b"{}"] * 68, [b"x" * 68] * 257])
def test_rows_are_found_at_once_and_one_by_one(values: list[bytes]) -> None:
    answer = b"".join(row(value) for value in values) + complete(b"SELECT %d" % len(values))
    assert joined_rows(PARSE_COMPLETE + answer + END, 5, 5 + len(answer)) == (b",".join(values), len(values))
    usual = UsualAnswer(PARSE_COMPLETE, END)
    assert usual.rows(PARSE_COMPLETE + answer + END) == (b",".join(values), len(values))
    assert usual.only_row(PARSE_COMPLETE + answer + END) == (values[0] if len(values) == 1 else None)
    assert usual.rows(BIND_COMPLETE + answer + END) is None
    assert usual.only_row(BIND_COMPLETE + answer + END) is None
    reader, rows = read(BIND_COMPLETE + answer + END)
    assert reader.done
    assert (rows.json, rows.count) == (b"[%b]" % b",".join(values), len(values))


@pytest.mark.parametrize(
    "answer",
    [
        NULL_ROW + complete(b"SELECT 1"),
        row(b"{}") + NULL_ROW + complete(b"SELECT 2"),
        row(b"{}", b"{}") + complete(b"SELECT 1"),
        NOTICE + row(b"{}") + complete(b"SELECT 1"),
        row(b"{}") + NOTICE + complete(b"SELECT 1"),
        row(b"{}") + NOTICE + row(b"{}") + complete(b"SELECT 2"),
        row(b"{}") + complete(b"SELECT 2"),
        row(b"{}") + complete(b"INSERT 0 1"),
        row(b"{}") + ERROR,
        message(b"N", b"\0\1\0\0\0\2{}") + complete(b"SELECT 1"),
        row(b"{}"),
        b"",
    ],
)
def test_rows_with_anything_else_are_not_read_at_once(answer: bytes) -> None:
    assert joined_rows(BIND_COMPLETE + answer + END, 5, 5 + len(answer)) is None
    assert UsualAnswer(BIND_COMPLETE, END).only_row(BIND_COMPLETE + answer + END) is None


def test_an_answer_may_be_divided_anywhere() -> None:
    answer = b"".join(
        [
            BIND_COMPLETE + NOTICE + row(b'{"a":1}') + NULL_ROW + message(b"S", b"TimeZone\0UTC\0") + row(b"{}"),
            complete(b"SELECT 3") + message(b"A", b"\0\0\0\1here\0\0") + END + b"rest",
        ]
    )
    for at in range(len(answer)):
        reader, rows = read(answer[:at], answer[at:])
        assert (reader.done, reader.failed) == (True, None)
        assert (rows.json, rows.count) == (b'[{"a":1},null,{}]', 3)
        assert reader.tail_rows == [row(b"", b"f")]
        if at < len(answer) - 4:
            assert reader.rest == b"rest"
    reader, rows = read(*(answer[at : at + 1] for at in range(len(answer) - 4)))
    assert reader.done
    assert rows.count == 3


def test_the_first_error_counts_and_has_the_number_of_its_statement() -> None:
    reader, rows = read(row(b"{}"), complete(b"SELECT 1"), ERROR, READY + b"E")
    assert (reader.failed, rows.count) == (1, 1)
    assert reader.error[ord("C")] == b"22012"
    assert reader.error[ord("M")] == b"division by zero"


@pytest.mark.parametrize("answer", [message(b"D", b"\0\0"), row(b"{}", b"{}"), message(b"T", b"\0\0"), b"D\0\0\0\1"])
def test_what_was_not_requested_breaks_the_connection(answer: bytes) -> None:
    with pytest.raises(ConnectionBroken):
        read(BIND_COMPLETE + answer + END)


def test_rows_beyond_the_limit_are_not_kept() -> None:
    rows = CollectedRows(10)
    reader = AnswerReader(rows)
    for _ in range(3):
        reader.feed(row(b"{}" * 3))
    assert rows.too_large
    assert rows.json == b"[{}{}{}]"
