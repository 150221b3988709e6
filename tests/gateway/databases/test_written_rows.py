"""Waiting until the rows that others have written are known, only as long as that can help."""

from __future__ import annotations

import psycopg
import pytest

from gateway.databases import WrittenRows, read_mark
from gateway.databases.written_rows import _counts

ROWS = "gateway.databases.written_rows"


@pytest.fixture
def waits(monkeypatch) -> list[str]:
    """The function that counted rows, for each time. None waits for the other sessions of the database."""
    found = []

    def counted(connection):
        found.append("counts")
        return _counts(connection)

    monkeypatch.setattr(f"{ROWS}._ALONE_SECONDS", 0.0)
    monkeypatch.setattr(f"{ROWS}._counts", counted)
    return found


def test_rows_are_not_counted_again_in_a_database_that_is_in_use(make_database, waits):
    conninfo = make_database()
    with psycopg.connect(conninfo, autocommit=True) as connection:
        written = WrittenRows.now(connection)
        with connection.transaction():
            written.before_commit(connection)
        assert written.is_known
        with psycopg.connect(conninfo):
            assert written.mark(connection) is None
        assert waits == ["counts"]


def test_without_others_the_mark_is_that_of_the_rows(make_database, waits):
    with psycopg.connect(make_database(), autocommit=True) as connection:
        written = WrittenRows.now(connection)
        with connection.transaction():
            written.before_commit(connection)
        assert written.mark(connection) == read_mark(connection) is not None
        assert waits == ["counts", "counts"]


def test_nothing_is_known_of_a_database_that_was_in_use_before(make_database, waits):
    conninfo = make_database()
    with psycopg.connect(conninfo, autocommit=True) as connection, psycopg.connect(conninfo):
        written = WrittenRows.now(connection)
        with connection.transaction():
            written.before_commit(connection)
        assert not written.is_known
