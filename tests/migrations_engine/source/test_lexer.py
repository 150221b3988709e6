"""Tokens: what PostgreSQL's scanner would see."""

from __future__ import annotations

import itertools

import psycopg
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.source.lexer import content_of, fold, folded_tokens, name_of, tokens


def texts(sql: str) -> list[str]:
    return [token.text for token in tokens(sql)]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("a->>'b'", ["a", "->>", "'b'"]),
        ("a @> b #- c", ["a", "@>", "b", "#-", "c"]),
        ("1<-2", ["1", "<", "-", "2"]),
        ("1 @-2", ["1", "@-", "2"]),
        ("a=-b", ["a", "=", "-", "b"]),
        ("a*-+b", ["a", "*", "-", "+", "b"]),
        ("a-*b", ["a", "-*", "b"]),
        ("a+/*c*/b", ["a", "+", "b"]),
        ("a@--c\nb", ["a", "@", "b"]),
        ("a/*b*/", ["a"]),
        ("x::int[]", ["x", "::", "int", "[", "]"]),
        ("a[1:2]", ["a", "[", "1", ":", "2", "]"]),
        ("p := 1..10", ["p", ":=", "1", "..", "10"]),
        ("f(a=>1)", ["f", "(", "a", "=>", "1", ")"]),
        ("1_000 0x_1F 1.5e-3 .5 1. 1e5", ["1_000", "0x_1F", "1.5e-3", ".5", "1.", "1e5"]),
        ("$1+$23", ["$1", "+", "$23"]),
        ("a$1$b", ["a$1$b"]),
        ("$$a'b$$c", ["$$a'b$$", "c"]),
        ("$a$ $b$ $$ $a$x", ["$a$ $b$ $$ $a$", "x"]),
        ("$Ä$;$Ä$", ["$Ä$;$Ä$"]),
        ("'it''s' 'x'", ["'it''s'", "'x'"]),
        (r"E'\'' 'b\'", [r"E'\''", r"'b\'"]),
        ("E'a'\n  -- still\n'\\'b'", ["E'a'\n  -- still\n'\\'b'"]),
        ("E'a' 'b\\'", ["E'a'", "'b\\'"]),
        ("U&'d\\0061t' U&\"x\"\"y\" b'01' X'1F' n'q'", ["U&'d\\0061t'", 'U&"x""y"', "b'01'", "X'1F'", "n'q'"]),
        ("type'x' e&f u&g", ["type", "'x'", "e", "&", "f", "u", "&", "g"]),
        ('"a""b".c', ['"a""b"', ".", "c"]),
        ("/* a /* b */ c */ d", ["d"]),
        ("/*/ */ a", ["a"]),
        ("/* a **/ b", ["b"]),
        ("/* /* /* x */ */ */ a /* y */ b", ["a", "b"]),
        ("-- 'a\r'b'", ["'b'"]),
        ("'--' -- '\nx", ["'--'", "x"]),
        ("straße\u00a0x", ["straße\u00a0x"]),
        ("\\restrict abc\na", ["\\restrict abc", "a"]),
        ("a\vb\fc", ["a", "b", "c"]),
        ("", []),
        ("  -- only\n/* comments */", []),
    ],
)
def test_tokens_are_those_of_postgresql(sql: str, expected: list[str]) -> None:
    assert texts(sql) == expected


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("a\n'b", "line 2: the string that begins here with ' is never closed; close it with '"),
        ("E'a\\'", "line 1: the string that begins here with E' is never closed; close it with '"),
        ('\n\n"a', 'line 3: the quoted name that begins here with " is never closed; close it with "'),
        ("$x$ a $$", "line 1: the dollar-quoted string that begins here with $x$ is never closed; close it with $x$"),
        ("/* a /* b */", "line 1: the comment that begins here with /* is never closed; close it with */"),
    ],
)
def test_an_unclosed_token_is_named_with_its_line(sql: str, words: str) -> None:
    with pytest.raises(SchemaExtractionFailed) as caught:
        texts(sql)
    assert caught.value.message == words


def test_positions_are_those_of_the_text() -> None:
    sql = "SELECT /* x */ 'ä' ||\n\t\"b\"  ;"

    assert all(sql[token.start : token.end] == token.text for token in tokens(sql))


def test_only_ascii_letters_are_folded() -> None:
    assert fold("ÄrGER_İ") == "ÄrGER_İ".replace("G", "g").replace("E", "e").replace("R", "r")
    assert list(folded_tokens("SELECT Ä FROM \"T\" WHERE a = 'X'")) == [
        "select",
        "Ä",
        "from",
        '"T"',
        "where",
        "a",
        "=",
        "'X'",
    ]


@pytest.mark.parametrize("size", [1, 254, 300, 3999, 4001, 65_535, 65_537, 200_000])
@pytest.mark.parametrize(
    ("before", "unit", "after"),
    [
        ("", "x", ""),
        ("'", "x", "'"),
        ("'", "''", "'"),
        ("'", "x''", "'"),
        ("E'", "\\'", "'"),
        ("E'a'\n'", "x", "'"),
        ('"', "x", '"'),
        ('U&"', '""', '"'),
        ("$$", "'", "$$"),
        ("$a$", "$b$", "$a$"),
        ("$", "t", "$ ' $" + "t" * 300 + "$"),
        ("\\", "x", ""),
    ],
)
def test_long_tokens_end_where_short_ones_do(before: str, unit: str, after: str, size: int) -> None:
    if unit == "t":
        unit, size = "t" * 300, 1
    token = before + unit * size + after

    assert texts(f"a {token}\nb;") == ["a", token, "b", ";"]


@pytest.mark.parametrize("size", [1, 101, 4001, 70_000])
def test_long_comments_and_white_space_are_passed_over_as_short_ones_are(size: int) -> None:
    for unit in ("x", "*", "/ ", " ", "-"):
        assert texts(f"a --{unit * size}\nb") == ["a", "b"]
        assert texts(f"a /* {unit * size} */ b") == ["a", "b"]
        assert texts(f"a /* /* {unit * size} */ {unit * size} */ b") == ["a", "b"]
    assert texts(f"a{' ' * size}\t{chr(10) * size}b{' ' * size}") == ["a", "b"]


NAMES = [
    "Users",
    '"Users"',
    '"a""b"',
    "Ärger",
    "İ",
    "x" * 70,
    "ä" * 40,
    '"' + "ä" * 40 + '"',
    'U&"d\\0061t\\+000061"',
    'U&"\\D83D\\DE00\\\\"',
    "a$B",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_folded_and_cut_as_the_server_does(name: str, connection: psycopg.Connection) -> None:
    cursor = connection.execute(b"SELECT 1 AS " + name.encode())

    assert cursor.description is not None
    assert name_of(name) == cursor.description[0].name


def test_only_names_have_a_name() -> None:
    assert [name_of(text) for text in ("'a'", "E'a'", "$$a$$", "1", "+", "$1")] == [None] * 6
    assert name_of('U&"d!0061t!!"', "!") == "dat!"


def test_the_content_of_strings() -> None:
    assert content_of("'it''s'") == "it's"
    assert content_of("$a$it''s$a$") == "it''s"
    assert [content_of(text) for text in ("E'a'", "a", "$1", '"a"')] == [None] * 4


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="abE'\"$;-/*\\ \n\t()+<=@.1_&Uu!", max_size=60))
def test_any_text_is_read_to_its_end_or_refused(sql: str) -> None:
    try:
        found = list(tokens(sql))
    except SchemaExtractionFailed:
        return
    assert all(sql[token.start : token.end] == token.text for token in found)
    assert all(before.end <= after.start for before, after in itertools.pairwise(found))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(alphabet="+-*/<>=~!@#%^&|?", min_size=1, max_size=4).filter(lambda op: "--" not in op and "/*" not in op)
)
def test_operators_end_where_the_server_ends_them(connection: psycopg.Connection, operator: str) -> None:
    assume(operator != "=>")  # no operator, but the mark of a named argument
    sql = f"SELECT 1 {operator} 2"
    is_one = texts(sql) == ["SELECT", "1", operator, "2"]

    try:
        connection.execute(sql.encode())
    except psycopg.errors.UndefinedFunction as refusal:
        assert (refusal.diag.message_primary == f"operator does not exist: integer {operator} integer") is is_one
    except psycopg.Error as refusal:
        assert not is_one or refusal.sqlstate != "42601"
