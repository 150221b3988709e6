"""Whether a database may be a copy: found out from the text of files, of any size."""

from __future__ import annotations

import pytest

from gateway.operations.schema_template import has_volatile_rows
from migrations_engine import Schema, SchemaFile
from tests.support.cost import grows_faster_than_the_input, repeated

FUNCTION = SchemaFile(folder="functions", path="made_by_us.sql", content=b"")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("INSERT INTO t VALUES (1, 'Right now (live)'), (2, 'it''s random()');", False),
        ("-- now() would be wrong here\nINSERT INTO t VALUES (1);", False),
        ("INSERT INTO t VALUES (1, 'a', now());", True),
        ("INSERT INTO t VALUES (1, 'a', CURRENT_DATE);", True),
        ("INSERT INTO t VALUES ('don''t', 'now');", True),
        ("INSERT INTO t VALUES (1, public.gen_random_uuid ());", True),
        ("DO $$ BEGIN INSERT INTO t VALUES ('x', random()); END $$;", True),
        ("INSERT INTO t SELECT made_by_us(1);", True),
        ("INSERT INTO t VALUES (1, now /* the time */ ());", True),
        ('INSERT INTO t VALUES (1, "random" ());', True),
        ("INSERT INTO t VALUES (1, 'x') /* not closed in an \"/*\" identifier; now()", True),
    ],
)
def test_expressions_that_depend_on_the_time_are_found_in_text(text, expected) -> None:
    seeder = SchemaFile(folder="seeders", path="t.sql", content=text.encode())
    assert has_volatile_rows(Schema(seeders=(seeder,), functions=(FUNCTION,))) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CREATE TABLE t (a uuid);\nINSERT INTO t VALUES (gen_random_uuid());", True),
        ("CREATE TABLE t (a uuid); INSERT INTO t VALUES (gen_random_uuid());", True),
        ("/* rows */ INSERT INTO t VALUES (now());", True),
        ("CREATE TABLE t (at timestamptz DEFAULT now());", False),
    ],
)
def test_a_migration_that_writes_rows_is_found_by_its_statements(text, expected) -> None:
    migration = SchemaFile(folder="migrations", path="t.sql", content=text.encode())
    assert has_volatile_rows(Schema(migrations=(migration,))) is expected


SHAPES = {
    "an image as bytea": repeated("INSERT INTO t VALUES ('\\x", "de", "')"),
    "a long word": repeated("SELECT 1 AS ", "a"),
    "words of random": repeated("SELECT '\\", "random", "'"),
    "random before blanks": repeated("SELECT '\\random", " ", "'"),
    "blanks": repeated("SELECT '\\", " ", "'"),
    "empty lines": repeated("", "\n"),
    "comments that do not end": repeated('SELECT 1 AS "', "/* ", '"'),
    "words for the present": repeated("SELECT ", "'now' /* ", "*/"),
    "doubled quotes": repeated("SELECT '", "''", "'"),
    "names of times": repeated("SELECT ", "a_timestamp", " "),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_file_costs_in_proportion_to_its_size(shape: str) -> None:
    def read(text: str) -> None:
        file = SchemaFile(folder="seeders", path="t.sql", content=text.encode())
        has_volatile_rows(Schema(seeders=(file,), migrations=(file,), functions=(FUNCTION,)))

    assert not grows_faster_than_the_input(read, SHAPES[shape])
