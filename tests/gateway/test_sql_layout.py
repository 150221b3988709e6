"""SQL laid out for people: another layout, the same statement."""

from __future__ import annotations

import pytest

from gateway.sql_layout import lay_out
from migrations_engine.source.lexer import folded_tokens

QUERY = "CREATE VIEW v AS SELECT a.id, b.x FROM a JOIN b ON b.a_id = a.id WHERE b.x > 1 ORDER BY 1"


def test_each_clause_has_a_line():
    assert lay_out(QUERY).splitlines() == [
        "CREATE VIEW v AS", "SELECT a.id, b.x", "FROM a", "JOIN b ON b.a_id = a.id", "WHERE b.x > 1", "ORDER BY 1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    [
        QUERY,
        "ALTER TABLE t ADD COLUMN x text DEFAULT 'a,  b;  from --' NOT NULL",
        'CREATE TABLE "T  from" (id int PRIMARY KEY, name text CHECK (length(name) > 3), UNIQUE (name, id))',
        "CREATE UNIQUE INDEX i ON t USING btree (a, lower(b)) WHERE a > 1",
        "INSERT INTO t (a, b) VALUES (1, E'it\\'s'), (3, U&'d\\0061t')",
        "UPDATE t SET a = CASE WHEN b THEN 1 ELSE 2 END WHERE c IN (SELECT 1 FROM u WHERE d ~ '^x')",
        "CREATE POLICY p ON t AS PERMISSIVE FOR ALL TO PUBLIC USING ((id > 0) AND (name <> 'x'))",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT  1  FROM t $$",
    ],
)
def test_it_is_the_same_statement(statement):
    assert list(folded_tokens(lay_out(statement))) == list(folded_tokens(statement))


def test_a_type_modifier_stays_on_its_line():
    statement = 'ALTER TABLE "public"."t" ALTER COLUMN "id" TYPE bigint, ADD COLUMN "price" numeric(10,2) DEFAULT 0'
    assert "numeric(10,2) DEFAULT 0" in lay_out(statement)
    assert list(folded_tokens(lay_out(statement))) == list(folded_tokens(statement))


def test_lists_do_not_move_to_the_right():
    columns = ", ".join(f"column_{n} numeric(10,2) DEFAULT 0" for n in range(9))
    statement = f"CREATE TABLE items (id int, {columns})"
    assert lay_out(statement) == statement


@pytest.mark.parametrize("statement", ["SELECT 1\n  FROM t", "SELECT " + ", ".join(["a FROM b"] * 1_000)])
def test_what_is_laid_out_already_or_long_stays_as_it_is(statement):
    assert lay_out(f"  {statement} ") == statement
