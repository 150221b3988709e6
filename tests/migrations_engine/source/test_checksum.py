"""Folded checksums: what counts as a change and what does not."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.source.checksum import folded_checksum
from migrations_engine.source.lexer import Kind, tokens


def function(body: str, language: str = "plpgsql") -> str:
    return f"CREATE OR REPLACE FUNCTION f(p int) RETURNS text LANGUAGE {language} AS $$ {body} $$;"


SAME = [
    ("SELECT  1", "select 1"),
    ("SELECT a+b,c FROM t;", "select a + b , c\n\tFROM T ;"),
    ("SELECT 1 -- one\n, 2", "SELECT /* two /* deep */ */ 1,2"),
    ("SELECT a FROM Users", "SELECT A from USERS"),
    (function("BEGIN RETURN 'Active'; END"), function("begin\n  return 'Active' ; -- done\nend")),
    (function("BEGIN RETURN 'A'; END"), function("BEGIN RETURN 'A'; END").replace("$$", "$body$")),
    (function("SELECT P", "SQL"), function("select p", "sql")),
    (
        "CREATE FUNCTION f() RETURNS int AS 'select 1' LANGUAGE sql",
        "create function F() returns INT as 'SELECT  1' language SQL",
    ),
    (
        "CREATE FUNCTION f() RETURNS int AS 'select ''a''' LANGUAGE sql",
        "CREATE FUNCTION f() RETURNS int AS $$SELECT 'a'$$ LANGUAGE sql",
    ),
    (
        "CREATE FUNCTION f() RETURNS int AS $$ begin end $$ LANGUAGE 'plpgsql'",
        "CREATE FUNCTION f() RETURNS int AS $$ BEGIN END $$ LANGUAGE 'plpgsql'",
    ),
    ("DO $$ BEGIN NULL; END $$", "do $x$ begin null; end $x$"),
    ("DO LANGUAGE plpgsql $$ BEGIN NULL; END $$", "DO LANGUAGE plpgsql $$ begin null; end $$"),
    (
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END",
        "create function f() returns int begin atomic select 1 ; end",
    ),
    (
        "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN END $$",
        "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ begin end $$",
    ),
    ("\\restrict abc\nSELECT 1", "\\restrict def\nSELECT 1"),
    ("SELECT x::int", "SELECT x :: int"),
    (
        function("SELECT 1", "sql") + function("x", "plpython3u"),
        function("select 1", "sql") + function("x", "plpython3u"),
    ),
]
DIFFERENT = [
    (function("BEGIN RETURN 'Active'; END"), function("BEGIN RETURN 'ACTIVE'; END")),
    (function("RETURN 'a  b'"), function("RETURN 'a b'")),
    (function("RETURN 'a--b'"), function("RETURN 'a--c'")),
    (function("RETURN 'a/*b*/'"), function("RETURN 'a/*c*/'")),
    (function("EXECUTE 'select  1'"), function("EXECUTE 'select 1'")),
    (function("EXECUTE $q$select A$q$"), function("EXECUTE $q$select a$q$")),
    (function('SELECT "A"', "sql"), function('SELECT "a"', "sql")),
    (function("x = 1\ny = 2", "plpython3u"), function("x = 1 y = 2", "plpython3u")),
    (function("Return 1", "plv8"), function("return 1", "plv8")),
    ("SELECT a b", "SELECT ab"),
    ("SELECT 1 - -2", "SELECT 1--2"),
    ("SELECT 1 2", "SELECT 12"),
    ("SELECT 1. 5", "SELECT 1.5"),
    ("SELECT a < - 1", "SELECT a <- 1, 1"),
    ("SELECT a @- 1", "SELECT a @ - 1"),
    ("SELECT : :a", "SELECT ::a"),
    ("SELECT 'a' 'b'", "SELECT 'a''b'"),
    ("SELECT 'Ä'", "SELECT 'ä'"),
    ("SELECT Ä", "SELECT ä"),
    ('SELECT a AS "b"', "SELECT a AS b"),
    ("SELECT $$A$$", "SELECT $$a$$"),
    ("CREATE TABLE t (a text DEFAULT 'X')", "CREATE TABLE t (a text DEFAULT 'x')"),
    ("DO LANGUAGE plpython3u $$ X $$", "DO LANGUAGE plpython3u $$ x $$"),
    ("COMMENT ON FUNCTION f() IS 'A  b'", "COMMENT ON FUNCTION f() IS 'A b'"),
    ("SELECT a; SELECT b", "SELECT b; SELECT a"),
    (function("SELECT 1", "sql"), function("SELECT 1", "plpgsql")),
    ("DO 'a'\n'B'", "DO 'a'\n'b'"),
    ("SELECT '$body', 'x', '$end'", "SELECT $body$x$body$"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_formatting_does_not_count(one: str, other: str) -> None:
    assert folded_checksum(one) == folded_checksum(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_meaning_counts(one: str, other: str) -> None:
    assert folded_checksum(one) != folded_checksum(other)


def test_a_body_that_cannot_be_cut_into_tokens_counts_as_it_stands() -> None:
    assert folded_checksum(function("x := 'open", "sql")) != folded_checksum(function("x  := 'open", "sql"))


def test_an_unclosed_string_is_refused() -> None:
    with pytest.raises(SchemaExtractionFailed):
        folded_checksum("SELECT 'a")


SOURCES = st.sampled_from(
    [
        function("DECLARE v text := 'It''s'; BEGIN IF p > 1 THEN RETURN v || E'\\n'; END IF; RETURN $q$A  b$q$; END"),
        function("SELECT a.b, \"C d\", 1.5 - -2 FROM t a WHERE x ->> 'k' = $1 AND y @> ARRAY[1, 2]", "sql"),
        "CREATE FUNCTION g(a int DEFAULT 1) RETURNS int BEGIN ATOMIC SELECT CASE a WHEN 1 THEN 2 END; END;",
        "CREATE TABLE t (a numeric(10, 2) DEFAULT 1.5 CHECK (a <> -1), \"B\" text[] DEFAULT '{}');",
        "INSERT INTO t VALUES (1, 'x--y'), (2, U&'\\0041');",
    ]
)
GAPS = ["", " ", "\n", "\t\t", ' -- note: it\'s "odd"\n', "/* a /* b */ ' */", " /**/ "]


def rewritten(sql: str, chance: random.Random) -> str:
    """The same tokens with other white space, other comments and another case of words, within function bodies too."""
    pieces = []
    for token in tokens(sql):
        text = token.text
        if token.kind is Kind.WORD:
            text = "".join(chance.choice((letter.lower(), letter.upper())) for letter in text)
        elif text.startswith("$$"):
            text = f"$$ {rewritten(text[2:-2], chance)} $$"
        gap = chance.choice(GAPS)
        pieces.append((gap if gap.strip(" ") or gap == " " else " ") + text)
    return "".join(pieces)


@settings(max_examples=200, deadline=None)
@given(SOURCES, st.randoms(use_true_random=False))
def test_rewriting_white_space_comments_and_case_changes_nothing(sql: str, chance: random.Random) -> None:
    assert folded_checksum(rewritten(sql, chance)) == folded_checksum(sql)


@settings(max_examples=200, deadline=None)
@given(SOURCES, st.data())
def test_changing_any_token_changes_the_checksum(sql: str, data: st.DataObject) -> None:
    found = list(tokens(sql))
    spoiled = data.draw(st.sampled_from(found))

    assert folded_checksum(f"{sql[: spoiled.start]} {sql[spoiled.end :]}") != folded_checksum(sql)
    assert folded_checksum(f"{sql[: spoiled.end]} x {sql[spoiled.end :]}") != folded_checksum(sql)
