"""What is remembered of a statement."""

from __future__ import annotations

import pytest

from migrations_engine.source.statements import SqlStatement, remembered, split


@pytest.mark.parametrize(
    ("text", "read_again"),
    [
        ("ALTER TABLE t ADD a int", False),
        (f"ALTER TABLE t ADD a text DEFAULT '{'x' * 300}'", True),  # nothing long is kept
        ("DROP TABLE t", True),
    ],
)
def test_short_statements_of_one_verb_are_read_once(text: str, read_again: bool) -> None:
    reads = []

    @remembered("ALTER")
    def read(statement: SqlStatement) -> str:
        reads.append(statement)
        return statement.text.lower()

    (statement,) = split(text)
    assert [read(statement), read(statement)] == [text.lower()] * 2
    assert len(reads) == 1 + read_again
