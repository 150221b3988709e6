"""Names in statements: what is made, removed, changed and filled."""

from __future__ import annotations

import pytest

from migrations_engine.source.alter_table import alter_table_actions
from migrations_engine.source.names import (
    InsertTarget,
    NamedObject,
    ObjectName,
    TableAction,
    created_name,
    dropped_names,
    insert_target,
)
from migrations_engine.source.references import references
from migrations_engine.source.statements import SqlStatement, split


def one(sql: str) -> SqlStatement:
    (statement,) = split(sql)
    return statement


def named(text: str) -> ObjectName:
    """``a.b`` or ``b`` as a qualified name."""
    schema, _, name = text.rpartition(".")
    return ObjectName(schema or None, name)


CREATED = [
    ("CREATE TABLE Users (id int)", "TABLE", "users", None),
    ('CREATE TABLE "Users" (id int)', "TABLE", "Users", None),
    ('CREATE UNLOGGED TABLE IF NOT EXISTS public."order" (id int)', "TABLE", "public.order", None),
    ("CREATE /* x */ GLOBAL TEMPORARY TABLE t AS SELECT 1", "TABLE", "t", None),
    ("CREATE TABLE db.app.t ()", "TABLE", "app.t", None),
    ("CREATE TABLE U&\"d!0061t\" UESCAPE '!' (id int)", "TABLE", "dat", None),
    ("CREATE FOREIGN TABLE f (a int) SERVER s", "FOREIGN TABLE", "f", None),
    ("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON ONLY app.t (a)", "INDEX", "i", "app.t"),
    ("CREATE INDEX ON t USING gin (a)", "INDEX", None, "t"),
    ("CREATE OR REPLACE TEMP RECURSIVE VIEW v (a) AS SELECT 1", "VIEW", "v", None),
    ("CREATE MATERIALIZED VIEW IF NOT EXISTS app.m AS SELECT 1", "MATERIALIZED VIEW", "app.m", None),
    ("CREATE TYPE status AS ENUM ('a')", "TYPE", "status", None),
    ("CREATE DOMAIN app.email AS text", "DOMAIN", "app.email", None),
    ("CREATE SEQUENCE IF NOT EXISTS s", "SEQUENCE", "s", None),
    (
        "CREATE CONSTRAINT TRIGGER tr AFTER INSERT OR UPDATE OF a, b ON app.t FROM u EXECUTE FUNCTION f()",
        "TRIGGER",
        "tr",
        "app.t",
    ),
    ("CREATE OR REPLACE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()", "TRIGGER", "tr", "t"),
    ("CREATE SCHEMA IF NOT EXISTS app", "SCHEMA", "app", None),
    ("CREATE SCHEMA AUTHORIZATION joe", "SCHEMA", "joe", None),
    ('CREATE EXTENSION IF NOT EXISTS "uuid-ossp"', "EXTENSION", "uuid-ossp", None),
    ("CREATE OR REPLACE FUNCTION app.f(a int) RETURNS int", "FUNCTION", "app.f", None),
    ("CREATE PROCEDURE p()", "PROCEDURE", "p", None),
    ("CREATE AGGREGATE agg (int) (sfunc = f)", "AGGREGATE", "agg", None),
    ("CREATE POLICY p ON app.t USING (true)", "POLICY", "p", "app.t"),
    ("CREATE RULE r AS ON UPDATE TO t WHERE (a TO b) DO NOTHING", "RULE", "r", "t"),
    ("CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION f()", "EVENT TRIGGER", "e", None),
    ("CREATE TEXT SEARCH CONFIGURATION c (COPY = english)", "TEXT SEARCH CONFIGURATION", "c", None),
    ("CREATE STATISTICS (ndistinct) ON a, b FROM t", "STATISTICS", None, None),
]


@pytest.mark.parametrize(("sql", "kind", "name", "table"), CREATED)
def test_what_is_created(sql: str, kind: str, name: str | None, table: str | None) -> None:
    expected = named(name) if name else ObjectName(None, "")

    assert created_name(one(sql)) == NamedObject(
        kind=kind, schema=expected.schema, name=expected.name or None, table=named(table) if table else None
    )


@pytest.mark.parametrize(
    "sql", ["SELECT 1", "CREATE", "CREATE CAST (a AS b) WITHOUT FUNCTION", "CREATE TABLE 1", "DROP TABLE t"]
)
def test_nothing_is_created(sql: str) -> None:
    assert created_name(one(sql)) is None


@pytest.mark.parametrize(
    ("sql", "kind", "expected"),
    [
        ("DROP TABLE IF EXISTS a, app.B CASCADE", "TABLE", [("a", None), ("app.b", None)]),
        ("DROP INDEX CONCURRENTLY i", "INDEX", [("i", None)]),
        ('DROP MATERIALIZED VIEW "V"', "MATERIALIZED VIEW", [("V", None)]),
        (
            "DROP FUNCTION f(int, text), g, app.h(numeric(10, 2))",
            "FUNCTION",
            [("f", None), ("g", None), ("app.h", None)],
        ),
        ("DROP TRIGGER IF EXISTS tr ON app.t RESTRICT", "TRIGGER", [("tr", "app.t")]),
        ("DROP POLICY p ON t", "POLICY", [("p", "t")]),
        ("DROP TYPE a RESTRICT", "TYPE", [("a", None)]),
    ],
)
def test_what_is_dropped(sql: str, kind: str, expected: list[tuple[str, str | None]]) -> None:
    assert dropped_names(one(sql)) == tuple(
        NamedObject(kind=kind, schema=named(name).schema, name=named(name).name, table=named(table) if table else None)
        for name, table in expected
    )


def test_other_statements_drop_nothing() -> None:
    assert dropped_names(one("ALTER TABLE t DROP COLUMN a")) == ()
    assert dropped_names(one("DROP OWNED BY joe")) == ()
    assert dropped_names(one("SELECT 1")) == ()


ACTIONS = [
    ("ADD COLUMN a numeric(10, 2) DEFAULT f(1, 2)", "ADD COLUMN", "a", None),
    ("ADD IF NOT EXISTS a int[]", "ADD COLUMN", "a", None),
    ('ADD "Check" text', "ADD COLUMN", "Check", None),
    ("ADD COLUMN check_in date", "ADD COLUMN", "check_in", None),
    ("ADD exclude int", "ADD COLUMN", "exclude", None),
    ("ADD CONSTRAINT c CHECK (a > 1)", "ADD CONSTRAINT", "c", None),
    ('ADD CONSTRAINT "C" FOREIGN KEY (a) REFERENCES t (a)', "ADD CONSTRAINT", "C", None),
    ("ADD PRIMARY KEY (a, b)", "ADD CONSTRAINT", None, None),
    ("ADD UNIQUE (a)", "ADD CONSTRAINT", None, None),
    ("ADD EXCLUDE USING gist (a WITH &&)", "ADD CONSTRAINT", None, None),
    ("ADD NOT NULL a", "ADD CONSTRAINT", None, None),
    ("DROP COLUMN IF EXISTS a CASCADE", "DROP COLUMN", "a", None),
    ("DROP a", "DROP COLUMN", "a", None),
    ("DROP CONSTRAINT IF EXISTS c", "DROP CONSTRAINT", "c", None),
    ("ALTER COLUMN a TYPE numeric(10, 2) USING a::numeric(10, 2)", "ALTER COLUMN", "a", None),
    ("ALTER a SET NOT NULL", "ALTER COLUMN", "a", None),
    ("ALTER CONSTRAINT c DEFERRABLE", "ALTER CONSTRAINT", "c", None),
    ("VALIDATE CONSTRAINT c", "VALIDATE CONSTRAINT", "c", None),
    ("RENAME COLUMN a TO B", "RENAME COLUMN", "a", "b"),
    ("RENAME a TO b", "RENAME COLUMN", "a", "b"),
    ("RENAME CONSTRAINT a TO b", "RENAME CONSTRAINT", "a", "b"),
    ("RENAME TO b", "RENAME TO", None, "b"),
    ("SET SCHEMA app", "SET SCHEMA", None, "app"),
    ("ENABLE ROW LEVEL SECURITY", "OTHER", None, None),
    ("ATTACH PARTITION p FOR VALUES IN (1, 2)", "OTHER", None, None),
]


@pytest.mark.parametrize(("action", "kind", "name", "new_name"), ACTIONS)
def test_actions_of_alter_table(action: str, kind: str, name: str | None, new_name: str | None) -> None:
    alteration = alter_table_actions(one(f"ALTER TABLE app.t {action}"))

    assert alteration is not None
    assert alteration.table == ("app", "t")
    assert alteration.actions == (TableAction(kind=kind, name=name, new_name=new_name, text=action),)


def test_actions_are_cut_at_the_outer_commas() -> None:
    actions = [action for action, *_ in ACTIONS]
    alteration = alter_table_actions(one(f'ALTER TABLE IF EXISTS ONLY "T" * {" , ".join(actions)}'))

    assert alteration is not None
    assert (alteration.table, alteration.only, alteration.if_exists) == ((None, "T"), True, True)
    assert [action.text for action in alteration.actions] == actions


def test_other_statements_alter_no_table() -> None:
    assert alter_table_actions(one("ALTER TYPE t ADD VALUE 'a'")) is None
    assert alter_table_actions(one("ALTER TABLE t")) is None


@pytest.mark.parametrize(
    ("sql", "table", "columns"),
    [
        ("INSERT INTO t VALUES (1)", "t", None),
        ('INSERT INTO app."T" AS x (a, "B") SELECT 1, 2', "app.T", ("a", "B")),
        ("INSERT INTO t (a, location.x, tags[1]) VALUES (1, 2, 3)", "t", ("a", "location", "tags")),
        ("INSERT INTO t (SELECT 1)", "t", None),
        ("INSERT INTO t ((SELECT 1))", "t", None),
        ("INSERT INTO t (VALUES (1))", "t", None),
        ("INSERT INTO t (values) VALUES (1)", "t", ("values",)),
        ("INSERT INTO t DEFAULT VALUES", "t", None),
        (
            "WITH a AS (SELECT 1), b (x) AS (INSERT INTO u VALUES (1) RETURNING 1) INSERT INTO t (c) SELECT 1",
            "t",
            ("c",),
        ),
    ],
)
def test_insert_targets(sql: str, table: str, columns: tuple[str, ...] | None) -> None:
    assert insert_target(one(sql)) == InsertTarget(table=named(table), columns=columns)


@pytest.mark.parametrize(
    "sql", ["SELECT 1", "WITH a AS (INSERT INTO t VALUES (1) RETURNING 1) SELECT 1", "INSERT INTO 1"]
)
def test_no_insert_target(sql: str) -> None:
    assert insert_target(one(sql)) is None


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ('CREATE TABLE t (a int REFERENCES u, b int REFERENCES app."V" (id) ON DELETE CASCADE)', "u app.V"),
        ("CREATE TABLE t (a int, b int, FOREIGN KEY (a, b) REFERENCES public.u (a, b))", "public.u"),
        ("CREATE TABLE t (LIKE u INCLUDING ALL, b text CHECK (b LIKE 'x%'))", "u"),
        ("CREATE TABLE t (a text CHECK (a like b)) INHERITS (u, app.v)", "u app.v"),
        ("CREATE TABLE t PARTITION OF app.p FOR VALUES IN (1) PARTITION BY LIST (b)", "app.p"),
        ("CREATE TABLE t (a int DEFAULT nextval('app.s'::regclass), CHECK (a > 1) NO INHERIT)", "app.s"),
        ("CREATE TABLE t (a text DEFAULT 'REFERENCES u', \"references\" int)", ""),
        ("ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u", "t u"),
        ("ALTER TABLE IF EXISTS t INHERIT u", "u"),
        ("ALTER TABLE t ATTACH PARTITION app.p DEFAULT", "t app.p"),
        ("ALTER TABLE t ADD CHECK (a > 1) NO INHERIT NOT VALID", "t"),
        ("CREATE INDEX i ON t (a)", "t"),
        (
            "CREATE CONSTRAINT TRIGGER x AFTER INSERT ON t FROM u WHEN (NEW.a IS DISTINCT FROM 1) EXECUTE FUNCTION f()",
            "t u",
        ),
        ("CREATE TRIGGER x AFTER INSERT ON t WHEN (NEW.a IS DISTINCT FROM NEW.b) EXECUTE FUNCTION f()", "t"),
        ("CREATE POLICY p ON t USING (a IN (SELECT b FROM u))", "t"),
        ("INSERT INTO t SELECT * FROM u", "t"),
        ("UPDATE ONLY t SET a = 1", "t"),
        ("DELETE FROM t USING u", "t"),
        ("DROP TABLE t", ""),
        ("CREATE CAST (a AS b) WITHOUT FUNCTION", ""),
        ("VACUUM t", ""),
        ("CREATE VIEW v AS SELECT * FROM t", ""),
        ("GRANT REFERENCES ON t TO joe", ""),
    ],
)
def test_references(sql: str, expected: str) -> None:
    assert references(one(sql)) == {named(name) for name in expected.split()}
