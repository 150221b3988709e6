"""Statements: where they begin and end, and what is refused among them."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.source.lexer import tokens
from migrations_engine.source.statements import directive, split, transaction_control

#: Bare labels that are no CASE and no END.
LABELLED = "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 case; SELECT (SELECT 2 case); SELECT 3 end; END"
ATOMIC = """CREATE OR REPLACE FUNCTION f(a int) RETURNS int LANGUAGE sql
BEGIN ATOMIC
  SELECT CASE WHEN a > 1 THEN 1 ELSE CASE a WHEN 0 THEN 2 END END;
  SELECT 1 AS end, t.end FROM (VALUES (1)) t("end");
END"""


def cut(sql: str) -> list[str]:
    return [statement.text for statement in split(sql)]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("", []),
        (" ; ;; -- nothing\n", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("-- first\nSELECT 1 /* in */ + 1 -- last\n; -- after\n", ["SELECT 1 /* in */ + 1"]),
        ("SELECT ';' || \";\" || $$;$$ || E'\\';'; SELECT 2", ["SELECT ';' || \";\" || $$;$$ || E'\\';'", "SELECT 2"]),
        ("CREATE RULE r AS ON INSERT TO t DO (a; b); c", ["CREATE RULE r AS ON INSERT TO t DO (a; b)", "c"]),
        (f"{ATOMIC}; SELECT 1", [ATOMIC, "SELECT 1"]),
        (f"{ATOMIC};\n{ATOMIC};", [ATOMIC, ATOMIC]),
        ("CREATE PROCEDURE p() BEGIN /* x */ ATOMIC END; a", ["CREATE PROCEDURE p() BEGIN /* x */ ATOMIC END", "a"]),
        ("CREATE FUNCTION f(begin atomic) AS 'x'; b", ["CREATE FUNCTION f(begin atomic) AS 'x'", "b"]),
        (f"{LABELLED}; ALTER ROLE x", [LABELLED, "ALTER ROLE x"]),
        (
            "CREATE VIEW procedure AS SELECT 1 FROM begin atomic; b",
            ["CREATE VIEW procedure AS SELECT 1 FROM begin atomic", "b"],
        ),
        ("BEGIN; SELECT CASE WHEN true THEN 1 END; END;", ["BEGIN", "SELECT CASE WHEN true THEN 1 END", "END"]),
        ("CREATE TABLE t (a int); CREATE FUNCTION", ["CREATE TABLE t (a int)", "CREATE FUNCTION"]),
    ],
)
def test_statements_end_where_the_server_ends_them(sql: str, expected: list[str]) -> None:
    assert cut(sql) == expected


def test_lines_and_words_are_those_of_the_first_token() -> None:
    found = split('\n-- about users\nCREATE TABLE "Users" (\n  id int\n);\r\n\r\ninsert into "Users" values (1);')

    assert [(statement.start_line, statement.words) for statement in found] == [
        (3, ("CREATE", "TABLE")),
        (7, ("INSERT", "INTO")),
    ]


def test_only_the_first_words_are_kept() -> None:
    assert split("a b c d e f g h i j")[0].words == tuple("ABCDEFGH")
    assert split("'x' y")[0].words == ()


class TestCommandsOfPsql:
    DUMP = b"\\restrict Abc123\n\nSELECT 1;\nSELECT '\\restrict x\n\\restrict Abc123\n';\n\\unrestrict Abc123\n"

    def test_restrict_lines_are_taken_out(self) -> None:
        found = split(self.DUMP.decode())

        assert [statement.text for statement in found] == ["SELECT 1", "SELECT '\\restrict x\n\\restrict Abc123\n'"]
        assert [statement.start_line for statement in found] == [3, 4]

    def test_a_restrict_line_within_a_statement_is_not_part_of_it(self) -> None:
        assert cut("SELECT 1,\n\\restrict abc\n2") == ["SELECT 1,\n             \n2"]

    @pytest.mark.parametrize("command", [r"\i other.sql", r"\connect x", r"\restrict", r"\restrict a; DROP", r"\."])
    def test_others_are_refused_with_their_line(self, command: str) -> None:
        sql = f"SELECT 1;\n{command}\nSELECT 2;"

        with pytest.raises(SchemaExtractionFailed) as caught:
            split(sql, file="seeders/a.sql")

        assert caught.value.message.startswith(f"seeders/a.sql, line 2: {command} is a command for psql and not SQL")
        assert caught.value.file == "seeders/a.sql"

    def test_control_characters_of_a_command_are_written_out(self) -> None:
        with pytest.raises(
            SchemaExtractionFailed, match=r"^seeders/a.sql, line 1: \\x\\x1b\[2J\\x9b is a command for psql"
        ):
            split("\\x\x1b[2J\x9b", file="seeders/a.sql")

    def test_restrict_after_something_else_is_refused(self) -> None:
        with pytest.raises(SchemaExtractionFailed, match="line 1"):
            split(r"SELECT 1 \restrict abc")

    @pytest.mark.parametrize(
        "copy", ["COPY t FROM stdin", "copy t (a, b) from STDIN with (format csv)", "COPY t FROM '/etc/passwd'"]
    )
    def test_copied_data_is_refused_before_it_is_read(self, copy: str) -> None:
        with pytest.raises(SchemaExtractionFailed) as caught:
            split(f"SELECT 1;\n{copy};\n1\tit's\n\\.\n", file="seeders/t.sql")

        assert caught.value.message.startswith("seeders/t.sql, line 2: COPY is not accepted")
        assert caught.value.file == "seeders/t.sql"


def test_an_unclosed_string_names_the_file() -> None:
    with pytest.raises(SchemaExtractionFailed) as caught:
        split("SELECT 'a", file="tables/a.sql")
    assert caught.value.file == "tables/a.sql"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("BEGIN", True),
        ("begin work", True),
        ("START TRANSACTION", True),
        ("COMMIT AND CHAIN", True),
        ("END", True),
        ("ROLLBACK TO s", True),
        ("ABORT", True),
        ("SAVEPOINT s", True),
        ("RELEASE s", True),
        ("PREPARE TRANSACTION 'x'", True),
        ("PREPARE p AS SELECT 1", False),
        ("SELECT 'COMMIT'", False),
        ('"begin"', False),
        ("DO $$ BEGIN COMMIT; END $$", False),
        ("(SELECT 1)", False),
    ],
)
def test_transaction_control_is_recognised(sql: str, expected: bool) -> None:
    assert transaction_control(split(sql)[0]) is expected


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("-- gateway: no-transaction\nCREATE INDEX", "gateway", "no-transaction"),
        ("--Gateway :  no-transaction \r\n", "gateway", "no-transaction"),
        ("\n-- Vector search\n\n-- version: 0.5.0\n-- schema: extensions", "version", "0.5.0"),
        ("-- version: 0.5.0\n-- schema: extensions", "schema", "extensions"),
        ("SELECT 1;\n-- gateway: no-transaction", "gateway", None),
        ("-- gateway no-transaction", "gateway", None),
        ("-- version: 1\n-- version: 2", "version", "1"),
        ("", "version", None),
    ],
)
def test_directives_are_comments_at_the_top(text: str, name: str, value: str | None) -> None:
    assert directive(text, name) == value


PIECES = st.sampled_from(
    [
        "'a'",
        "'it''s'",
        "'--'",
        "';'",
        "E'\\';'",
        "E'a'\n'\\';b'",
        "$$;'$$",
        "$q$ $$ ; $q$",
        "U&'\\0041;'",
        "(1)",
        "1 - -1",
    ]
)
SPACES = st.sampled_from([" ", "\n", "\t", " -- ; '\n", " /* ; /* ' */ ; */ ", "\v", "\f"])
SELECTS = st.lists(st.tuples(SPACES, PIECES, SPACES, st.sampled_from([";", ";;", "; ;"])), max_size=6)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SELECTS)
def test_the_server_finds_the_same_statements(
    connection: psycopg.Connection, selects: list[tuple[str, str, str, str]]
) -> None:
    sql = "".join(f"{before}SELECT{between}{value}{before}{end}" for before, value, between, end in selects)

    assume("\v" not in sql or connection.info.server_version >= 160000)  # white space since then
    whole = connection.execute(sql.encode())
    values = [whole.fetchall()] if selects else []
    while whole.nextset():
        values.append(whole.fetchall())

    assert [connection.execute(statement.text.encode()).fetchall() for statement in split(sql)] == values


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.one_of(PIECES, SPACES, st.sampled_from([";", "(", ")", "a", "BEGIN ATOMIC", "END", "CREATE FUNCTION"])))
)
def test_between_statements_there_are_only_semicolons_and_comments(pieces: list[str]) -> None:
    sql = " ".join(pieces)
    position = 0
    for statement in split(sql):
        assert sql[statement.start : statement.end] == statement.text
        assert {token.text for token in tokens(sql[position : statement.start])} <= {";"}
        position = statement.end
    assert {token.text for token in tokens(sql[position:])} <= {";"}
