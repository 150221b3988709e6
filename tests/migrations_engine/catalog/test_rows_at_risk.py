"""Counting rows: read-only, in time, without trace, and honest where it cannot."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import psycopg
import pytest
from psycopg import sql

from migrations_engine.catalog import count_rows_at_risk


@dataclass(frozen=True)
class Asking:
    asked: tuple
    answers: dict = field(default_factory=dict)

    def row_queries(self):
        return self.asked

    def with_answers(self, answers):
        return replace(self, answers=dict(answers))


def ask(database, *questions, timeout_ms=5000):
    asked = tuple((place, question and sql.SQL(question)) for place, question in enumerate(questions))
    return count_rows_at_risk(database, Asking(asked), timeout_ms).answers


def test_counts_are_returned_by_position(database):
    assert ask(database, "SELECT 3", None, "SELECT 0") == {0: 3, 1: "no query can count them", 2: 0}


def test_without_questions_no_statement_is_sent(database, monkeypatch):
    monkeypatch.setattr(psycopg.Cursor, "execute", None)
    assert ask(database) == {}


def test_a_failing_count_has_its_reason_and_keeps_the_transaction(database):
    database.execute("CREATE TABLE t AS SELECT 1 AS a")
    assert ask(database, "SELECT a / 0 FROM t", "SELECT count(*) FROM t") == {0: "division by zero", 1: 1}
    assert database.execute("SELECT count(*) FROM t").fetchone() == (1,)


def test_a_count_cannot_change_anything(database):
    database.execute("CREATE TABLE t (a int)")
    (why,) = ask(database, "WITH made AS (INSERT INTO t VALUES (1) RETURNING 1) SELECT count(*) FROM made").values()
    assert why == "cannot execute SELECT in a read-only transaction"
    assert database.execute("SELECT count(*) FROM t").fetchone() == (0,)
    database.execute("INSERT INTO t VALUES (1)")


def test_the_time_limit_is_for_all_counts_together(database):
    answers = ask(database, "SELECT 1 FROM pg_sleep(60)", "SELECT 2", timeout_ms=150)
    assert answers[0].startswith("it took longer than ")
    assert answers[1] == "the time for counting was over"
    assert database.execute("SHOW statement_timeout").fetchone() == ("0",)


def test_settings_are_as_they_were(database):
    database.execute("SET LOCAL statement_timeout = '77s'")
    ask(database, "SELECT 1")
    settings = database.execute(
        "SELECT current_setting('statement_timeout'), current_setting('transaction_read_only'),"
        " current_setting('row_security')"
    ).fetchone()
    assert settings == ("77s", "off", "on")


def test_rows_hidden_by_a_policy_are_not_passed_over(database):
    database.execute("CREATE ROLE somebody; CREATE TABLE t AS SELECT 1 AS a; GRANT SELECT ON t TO somebody")
    database.execute("ALTER TABLE t ENABLE ROW LEVEL SECURITY; SET LOCAL ROLE somebody")
    (why,) = ask(database, "SELECT count(*) FROM t").values()
    assert why == 'query would be affected by row-level security policy for table "t"'


def test_a_lost_connection_is_not_an_answer(server):
    conninfo = psycopg.conninfo.make_conninfo(server.info.dsn)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        server.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
        with pytest.raises(psycopg.OperationalError):
            ask(connection, "SELECT 1")
