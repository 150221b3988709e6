"""What the first rows of a database depend on: found out from the text of files, of any size."""

from __future__ import annotations

import pytest

from migrations_engine import Schema, SchemaFile, first_rows
from migrations_engine.source.first_rows import FirstRows
from tests.support.cost import grows_faster_than_the_input, repeated

FUNCTION = SchemaFile(folder="functions", path="made_by_us.sql", content=b"")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("INSERT INTO t VALUES (1, 'Right now (live)'), (2, 'it''s random()');", False),
        ("-- now() would be wrong here\nINSERT INTO t VALUES (1);", False),
        ("INSERT INTO t VALUES (1, 'a', now());", True),
        ("INSERT INTO t VALUES (1, 'a', CURRENT_DATE);", True),
        ("INSERT INTO t VALUES ('now'::timestamptz);", True),
        ("INSERT INTO t VALUES (date 'tomorrow');", True),
        ("INSERT INTO t VALUES (1, 'cost: 5 $'), (2, 'C:\\'), (3, $$It's now (or never)$$);", False),
        ("UPDATE t SET a = 'today';", True),
        ("INSERT INTO t VALUES (user);", True),
        ("INSERT INTO t VALUES (current_schema());", True),
        ("DO $$ BEGIN EXECUTE 'UPDATE t SET a = now()'; END $$;", True),
        ("DO $$ BEGIN UPDATE t SET a = 'b'; END $$;", False),
        ("INSERT INTO t VALUES (1, public.gen_random_uuid ());", True),
        ("DO $$ BEGIN INSERT INTO t VALUES ('x', random()); END $$;", True),
        ("INSERT INTO t SELECT made_by_us(1);", True),
        ("INSERT INTO t VALUES (1, now /* the time */ ());", True),
        ('INSERT INTO t VALUES (1, "random" ());', True),
    ],
)
def test_expressions_that_depend_on_the_time_are_found_in_text(text, expected) -> None:
    seeder = SchemaFile(folder="seeders", path="t.sql", content=text.encode())
    assert first_rows(Schema(seeders=(seeder,), functions=(FUNCTION,))).are_volatile is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CREATE TABLE t (a uuid);\nINSERT INTO t VALUES (gen_random_uuid());", True),
        ("CREATE TABLE t (a uuid); INSERT INTO t VALUES (gen_random_uuid());", True),
        ("/* rows */ INSERT INTO t VALUES (now());", True),
        ("CREATE TABLE t (at timestamptz DEFAULT now());", False),
        ("CREATE TABLE t (at timestamptz DEFAULT now()); INSERT INTO t VALUES ('2020-01-01');", False),
        ("CREATE TABLE u AS SELECT now() AS at;", True),
        ("CREATE TABLE u (a int GENERATED ALWAYS AS IDENTITY, at timestamptz DEFAULT now());", False),
    ],
)
def test_a_migration_that_writes_rows_is_found_by_its_statements(text, expected) -> None:
    migration = SchemaFile(folder="migrations", path="t.sql", content=text.encode())
    assert first_rows(Schema(migrations=(migration,))).are_volatile is expected


def test_strings_that_are_times_only_in_columns_of_dates_are_returned_with_their_tables() -> None:
    rows = (
        "INSERT INTO songs VALUES (1, 'Tomorrow');"
        "INSERT INTO app.\"Visits\" (at) VALUES ('today 10:00'); INSERT INTO plain VALUES (1, 'nowhere');"
    )
    found = first_rows(Schema(seeders=(SchemaFile(folder="seeders", path="t.sql", content=rows.encode()),)))
    assert found == FirstRows(
        are_volatile=False,
        tables=frozenset({("public", "songs"), ("app", "Visits"), ("public", "plain")}),
        dated=frozenset({("public", "songs"), ("app", "Visits")}),
    )


def nested_blocks(size: int) -> str:
    tags = [f"$a{number}$" for number in range(size // 16)]
    return " ".join(["DO", *tags, *reversed(tags)])


SHAPES = {
    "an image as bytea": repeated("INSERT INTO t VALUES ('\\x", "de", "')"),
    "a long word": repeated("SELECT 1 AS ", "a"),
    "words of random": repeated("SELECT '\\", "random", "'"),
    "random before blanks": repeated("SELECT '\\random", " ", "'"),
    "blanks": repeated("SELECT '\\", " ", "'"),
    "empty lines": repeated("", "\n"),
    "comments that do not end": repeated('SELECT 1 AS "', "/* ", '"'),
    "words for the present": repeated("SELECT ", "'now' /* ", "*/"),
    "blocks in blocks": nested_blocks,
    "strings in a block": repeated("DO $$ ", "'a' ", "$$"),
    "doubled quotes": repeated("SELECT '", "''", "'"),
    "names of times": repeated("SELECT ", "a_timestamp", " "),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_file_costs_in_proportion_to_its_size(shape: str) -> None:
    def read(text: str) -> None:
        file = SchemaFile(folder="seeders", path="t.sql", content=text.encode())
        first_rows(Schema(seeders=(file,), migrations=(file,), functions=(FUNCTION,)))

    assert not grows_faster_than_the_input(read, SHAPES[shape])
