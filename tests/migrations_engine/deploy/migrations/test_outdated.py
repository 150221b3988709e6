"""Migrations over later declarations: in a new database, and in one that never had what they are about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from migrations_engine import MigrationFailed
from tests.migrations_engine.conftest import Tenant
from tests.support.structure import structure_of


@dataclass(frozen=True, kw_only=True)
class Past:
    """Migrations, divided by ``--``, and the tables as they are declared in the end."""

    tables: str
    migrations: str
    rows: tuple[str, ...] = ()  #: rows of the table ``t`` in a new database
    told: str = ""  #: a warning


T = "CREATE TABLE t (id int PRIMARY KEY, {});"
PASTS = {
    "a column is renamed twice": Past(
        tables=T.format("c int"), migrations="ALTER TABLE t RENAME a TO b;--ALTER TABLE t RENAME COLUMN b TO c;"
    ),
    "a table is renamed twice": Past(
        tables=T.format("a int"), migrations="ALTER TABLE r RENAME TO s;--ALTER TABLE IF EXISTS s RENAME TO t;"
    ),
    "a column is added, filled and renamed": Past(
        tables=T.format("b int"),
        migrations="ALTER TABLE t ADD COLUMN a int; INSERT INTO t (id, a) VALUES (1, 2);--ALTER TABLE t RENAME a TO b;",
        rows=("(1,2)",),
    ),
    "a table is created, filled and renamed": Past(
        tables=T.format("a int"),
        migrations="CREATE TABLE s (id int PRIMARY KEY, a int); INSERT INTO s VALUES (1, 2);"
        "--ALTER TABLE s RENAME TO t;",
        rows=("(1,2)",),
    ),
    "a table is moved to another schema": Past(
        tables="CREATE SCHEMA s; CREATE TABLE s.t (a int);",
        migrations="ALTER TABLE t ADD COLUMN a int;--CREATE SCHEMA IF NOT EXISTS s; ALTER TABLE t SET SCHEMA s;",
    ),
    "an index, a constraint, a trigger, a type and one of its values are renamed twice": Past(
        tables="CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TYPE y AS ENUM ('c');" + T.format("a y CONSTRAINT k CHECK (a IS NOT NULL)") + "CREATE INDEX i ON t (a);"
        "CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f();",
        migrations="ALTER INDEX i1 RENAME TO i2; ALTER TABLE t RENAME CONSTRAINT k1 TO k2; ALTER TRIGGER g1 ON t RENAME"
        " TO g2; ALTER TYPE y1 RENAME TO y2; ALTER TYPE y2 RENAME VALUE 'a' TO 'b';"
        "--ALTER INDEX i2 RENAME TO i; ALTER TABLE t RENAME CONSTRAINT k2 TO k; ALTER TRIGGER g2 ON t RENAME TO g;"
        " ALTER TYPE y2 RENAME TO y; ALTER TYPE y RENAME VALUE 'b' TO 'c';",
    ),
    "a column is replaced by another one of its name": Past(
        tables=T.format("a bigint UNIQUE"),
        migrations="ALTER TABLE t ADD COLUMN new bigint; UPDATE t SET new = a; ALTER TABLE t DROP COLUMN a;"
        "ALTER TABLE t RENAME new TO a;",
    ),
    "a key gets another name, and its name and constraint a new key": Past(
        tables="CREATE TABLE t (token uuid NOT NULL UNIQUE, id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
        " a int CONSTRAINT k_old CHECK (a > 0), CONSTRAINT k CHECK (a < 9));",
        migrations="ALTER TABLE t RENAME COLUMN id TO token; ALTER TABLE t DROP CONSTRAINT t_pkey;"
        "--ALTER TABLE t ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY; ALTER TABLE t ADD PRIMARY KEY (id);"
        "ALTER TABLE t ADD CONSTRAINT t_token_key UNIQUE (token); ALTER TABLE t RENAME CONSTRAINT k TO k_old;"
        "ALTER TABLE t ADD CONSTRAINT k CHECK (a < 9);",
    ),
    "what a later migration drops": Past(
        tables=T.format("a int"),
        migrations="UPDATE t SET gone = 1 WHERE gone IS NULL; ALTER TABLE t ALTER gone SET NOT NULL; CREATE INDEX i ON"
        " t (gone); COMMENT ON COLUMN t.gone IS 'x'; ALTER TABLE u ADD COLUMN x int; DELETE FROM u; INSERT INTO t (id)"
        " SELECT x FROM u;--ALTER TABLE t DROP COLUMN gone; DROP TABLE u;",
    ),
    "the sequences of what a later migration drops": Past(
        tables=T.format("a int"),
        migrations="ALTER SEQUENCE u_id_seq AS bigint; ALTER SEQUENCE t_b_seq CYCLE; GRANT USAGE ON u_id_seq TO PUBLIC;"
        "--DROP TABLE u; ALTER TABLE t DROP COLUMN b;",
    ),
    "a renamed column that a later migration drops": Past(
        tables=T.format("a int"), migrations="ALTER TABLE t RENAME x TO y;--ALTER TABLE t DROP COLUMN y;"
    ),
    "an index that has gone with its column": Past(
        tables=T.format("a int"),
        migrations="ALTER INDEX i RENAME TO j;--ALTER TABLE t DROP COLUMN y;",
    ),
    "rows with a table that a later migration drops": Past(
        tables=T.format("a int"),
        migrations="INSERT INTO gone (id) VALUES (1);--DROP TABLE gone;",
    ),
    "identity and generated columns": Past(
        tables="CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, g int);",
        migrations="CREATE SEQUENCE q; ALTER TABLE t ALTER id SET DEFAULT nextval('q');--ALTER TABLE t ALTER id DROP"
        " DEFAULT; DROP SEQUENCE q; ALTER TABLE t ALTER id ADD GENERATED ALWAYS AS IDENTITY; ALTER TABLE t ALTER g"
        " DROP EXPRESSION;",
    ),
    "a type that a view, a policy and a generated column use": Past(
        tables=T.format("a varchar(9), h text GENERATED ALWAYS AS (a || 'x') STORED")
        + "CREATE VIEW v AS SELECT a FROM t; CREATE POLICY p ON t USING (a = 'x');",
        migrations="ALTER TABLE t ALTER a TYPE char(7);"
        "--ALTER TABLE t ALTER COLUMN a SET DATA TYPE varchar(9) USING a::text;",
    ),
    "an enum that loses a value, with a view over it": Past(
        tables="CREATE TYPE y AS ENUM ('a', 'c');" + T.format("a y DEFAULT 'a'") + "CREATE VIEW v AS SELECT a FROM t;",
        migrations="UPDATE t SET a = 'a' WHERE a = 'b'; ALTER TYPE y RENAME TO y_old; CREATE TYPE y AS"
        " ENUM ('a', 'c'); ALTER TABLE t ALTER a DROP DEFAULT, ALTER a TYPE y USING a::text::y,"
        " ALTER a SET DEFAULT 'a'; DROP TYPE y_old;",
    ),
    "an enum that loses a value, created before its rows change": Past(
        tables="CREATE TYPE y AS ENUM ('a');" + T.format("a y"),
        migrations="ALTER TYPE y RENAME TO y_old; CREATE TYPE y AS ENUM ('a'); UPDATE t SET a = 'a' WHERE a = 'b';"
        "ALTER TABLE t ALTER a TYPE y USING a::text::y; DROP TYPE y_old;",
    ),
    "an enum that loses a value, created under a name of its own": Past(
        tables="CREATE TYPE y AS ENUM ('a');" + T.format("a y"),
        migrations="CREATE TYPE y_new AS ENUM ('a'); DELETE FROM t WHERE a = 'b'; ALTER TABLE t ALTER a TYPE y_new"
        " USING a::text::y_new; DROP TYPE y; ALTER TYPE y_new RENAME TO y;",
    ),
    "attributes of a type": Past(
        tables="CREATE TYPE y AS (a int, c text);" + T.format("a y"),
        migrations="ALTER TYPE y DROP ATTRIBUTE b, ADD ATTRIBUTE c text;--ALTER TYPE y DROP ATTRIBUTE IF EXISTS d;",
    ),
    "constraints of a domain": Past(
        tables="CREATE DOMAIN y AS int CONSTRAINT k CHECK (VALUE > 0);" + T.format("a y"),
        migrations="ALTER DOMAIN y DROP CONSTRAINT j;--ALTER DOMAIN y ADD CONSTRAINT k CHECK (VALUE > 0);",
    ),
    "a rule is renamed": Past(
        tables=T.format("a int") + "CREATE VIEW v AS SELECT a FROM t;"
        "CREATE RULE r AS ON INSERT TO v DO INSTEAD NOTHING;",
        migrations="ALTER RULE q ON v RENAME TO r;",
    ),
    "settings, privileges and comments of functions that are gone": Past(
        tables=T.format("a int"),
        migrations="ALTER FUNCTION f() SECURITY DEFINER; GRANT EXECUTE ON FUNCTION f() TO pg_monitor;"
        "COMMENT ON FUNCTION f() IS 'x'; REVOKE ALL ON PROCEDURE g(int) FROM PUBLIC;--SELECT 1;",
    ),
    "types that nothing declares any more": Past(
        tables=T.format("a int"),
        migrations="ALTER TYPE y ADD VALUE 'b'; ALTER TYPE z DROP ATTRIBUTE a; ALTER DOMAIN d SET DEFAULT 1;"
        "COMMENT ON TYPE y IS 'x'; COMMENT ON DOMAIN d IS 'x';--SELECT 1;",
    ),
    "a table of a name that a migration has given to one of another schema": Past(
        tables="CREATE SCHEMA s; CREATE TABLE s.t (a int, b int);",
        migrations="CREATE SCHEMA q; CREATE TABLE q.t (a int); ALTER TABLE q.t ADD b int;"
        "--CREATE TABLE s.t (a int); ALTER TABLE s.t ADD b int;--DROP SCHEMA q CASCADE;",
    ),
    "a declared table is created from a query": Past(
        tables="CREATE TABLE s (x int); CREATE TABLE t (id int, a int);",
        migrations="INSERT INTO s VALUES (1);--CREATE TABLE IF NOT EXISTS public.s (x int);"
        "CREATE TABLE t AS SELECT x * 2 AS a, x AS id FROM s;",
        rows=("(1,2)",),
    ),
    "a declared table is created from a query with a column that has gone": Past(
        tables="CREATE TABLE t (id int);",
        migrations="CREATE TABLE t AS SELECT 1 AS id, 2 AS gone;--ALTER TABLE t DROP COLUMN gone;",
        told='001.sql, line 1 has not filled t, which is declared otherwise: column "gone"',
    ),
    "a child that has left its parent": Past(
        tables="CREATE TABLE p (a int); CREATE TABLE c (a int);", migrations="ALTER TABLE c NO INHERIT p;"
    ),
    "a view and a key that others use are created anew": Past(
        tables=T.format("a int") + "CREATE TABLE u (t_id int REFERENCES t); CREATE VIEW v AS SELECT a FROM t;"
        "CREATE VIEW w AS SELECT a FROM v;",
        migrations="DROP VIEW v; CREATE VIEW v AS SELECT a FROM t;"
        "--ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY (id);",
    ),
    "a partition and a child table": Past(
        tables="CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);"
        "CREATE TABLE q (a int); CREATE TABLE q1 () INHERITS (q);",
        migrations="CREATE TABLE p1 (a int); ALTER TABLE p ATTACH PARTITION p1 FOR VALUES IN (1);"
        "--ALTER TABLE q1 INHERIT q;",
    ),
    "a table is rebuilt, whose sequence another one uses": Past(
        tables="CREATE TABLE t (id serial, a int) PARTITION BY LIST (a);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1);"
        "CREATE TABLE u (LIKE t INCLUDING DEFAULTS);",
        migrations="ALTER TABLE t RENAME TO t_old; ALTER SEQUENCE t_id_seq RENAME TO t_old_id_seq;"
        "CREATE TABLE t (LIKE t_old INCLUDING DEFAULTS) PARTITION BY LIST (a); CREATE SEQUENCE t_id_seq OWNED BY t.id;"
        "ALTER TABLE t ALTER id SET DEFAULT nextval('t_id_seq'); CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1);"
        "INSERT INTO t SELECT * FROM t_old; DROP TABLE t_old;",
    ),
    "types that rows are converted to by functions of the earlier types": Past(
        tables=T.format("a int[], b text, c timestamptz, d jsonb NOT NULL DEFAULT '{}'"),
        migrations="ALTER TABLE t ALTER a TYPE int[] USING string_to_array(a, ',')::int[], ALTER b TYPE text USING CASE"
        " WHEN b THEN 'yes' ELSE 'no' END, ALTER c TYPE timestamptz USING to_timestamp(c); UPDATE t SET d = '{}' WHERE"
        " d = ''; DELETE FROM t WHERE d !~ '{'; ALTER TABLE t ALTER d TYPE jsonb USING coalesce(d, 'none')::jsonb;",
    ),
    "a type that was declared after its migration": Past(
        tables=T.format("a bigint"), migrations="ALTER TABLE t ALTER a TYPE int USING length(a);--SELECT 1;"
    ),
    "a type that a later migration changes again": Past(
        tables=T.format("a bigint"),
        migrations="ALTER TABLE t ALTER a TYPE int USING length(a);--ALTER TABLE t ALTER a TYPE bigint;",
    ),
    "rows that later migrations make meet a constraint": Past(
        tables="CREATE TABLE u (id int PRIMARY KEY);"
        + T.format("a text CONSTRAINT k CHECK (a <> ''), u int NOT NULL CONSTRAINT f REFERENCES u ON DELETE CASCADE"),
        migrations="INSERT INTO t (id, a) VALUES (1, '');--ALTER TABLE t ADD COLUMN u int; UPDATE t SET u = 7, a = 'x';"
        "ALTER TABLE t ALTER u SET NOT NULL, ADD CONSTRAINT k CHECK (a <> '');"
        "--INSERT INTO u VALUES (7); ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (u) REFERENCES u ON DELETE CASCADE;",
        rows=("(1,x,7)",),
    ),
    "rows that later migrations make meet a constraint, with other names": Past(
        tables=T.format("a text NOT NULL"),
        migrations="INSERT INTO r (id) VALUES (1);--UPDATE r SET b = 'x'; ALTER TABLE r ALTER b SET NOT NULL;"
        "ALTER TABLE r RENAME TO s;"
        "--ALTER TABLE s RENAME TO t; ALTER TABLE t RENAME b TO a;",
        rows=("(1,x)",),
    ),
    "an extension that has gone with the type": Past(
        tables=T.format("a jsonb"),
        migrations="ALTER TABLE t ALTER a TYPE jsonb USING hstore_to_jsonb(a); DROP EXTENSION hstore;",
    ),
    "a function of the migration that changes a column of the earlier type, or that is gone": Past(
        tables=T.format("a int[]"),
        migrations="CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET a = upper(a); END $$;"
        "SELECT f(); CREATE FUNCTION g() RETURNS void LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET b = 1; END $$;"
        "SELECT g(); DROP FUNCTION f(), g(); ALTER TABLE t ALTER a TYPE int[] USING string_to_array(a, ',')::int[];"
        "--ALTER TABLE t DROP COLUMN b;",
    ),
}  # fmt: skip


def migrations(text: str) -> dict[str, str]:
    return {f"migrations/{number:03}.sql": part for number, part in enumerate(text.split("--"), 1)}


@pytest.mark.parametrize("name", PASTS)
def test_a_new_database_is_as_declared(make_database: Callable[[], str], name: str):
    past = PASTS[name]
    declared, new = Tenant(make_database()), Tenant(make_database())
    declared.register({"tables/t.sql": past.tables})
    report = new.register({"tables/t.sql": past.tables} | migrations(past.migrations))
    assert structure_of(new.conninfo) == structure_of(declared.conninfo)
    assert [warning for warning in report.warnings if "declares" not in warning] == [
        warning for warning in report.warnings if past.told and past.told in warning
    ]
    assert bool(past.told) == any(past.told in warning for warning in report.warnings if past.told)
    if past.rows:
        assert new.rows("SELECT t::text FROM t") == [(row,) for row in past.rows]


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER INDEX nowhere RENAME TO by_nothing",
        "UPDATE t SET nowhere = 1",
        "ALTER TYPE nowhere RENAME TO by_nothing",
        "COMMENT ON VIEW nowhere IS 'x'",
        "ALTER FUNCTION nowhere() SECURITY DEFINER",
        "ALTER TYPE nowhere DROP ATTRIBUTE a",
        "ALTER DOMAIN nowhere ADD CONSTRAINT k CHECK (VALUE > 0)",
        "ALTER TABLE t ALTER a TYPE text USING nowhere(a)",
        "UPDATE t SET a = nowhere(a)",
    ],
)
def test_a_mistake_in_the_last_migration_is_reported(tenant: Tenant, statement: str):
    with pytest.raises(MigrationFailed, match="nowhere"):
        tenant.register({"tables/t.sql": T.format("a int"), "migrations/001.sql": statement})


@pytest.mark.parametrize("statement", ["UPDATE t SET a = 'x' WHERE a > 0", "DELETE FROM t WHERE a = 'nowhere'"])
def test_rows_of_an_existing_database_are_never_passed_over(tenant: Tenant, statement: str):
    files = {"tables/t.sql": T.format("a int")}
    tenant.register(files)
    tenant.execute("INSERT INTO t VALUES (1, 1)")
    migration = f"{statement}; ALTER TABLE t ALTER a TYPE bigint;"
    with pytest.raises(MigrationFailed, match="invalid input syntax for type integer"):
        tenant.migrate(files | {"migrations/001.sql": migration})


OLD_ROWS = {
    "a column that is required now": (
        (T.format("a text"), T.format("a text, b text NOT NULL")),
        "INSERT INTO t VALUES (1, 'a');",
        "ALTER TABLE t ADD COLUMN b text NOT NULL DEFAULT 'b'; ALTER TABLE t ALTER b DROP DEFAULT;",
    ),
    "a function that is gone": (
        (
            "CREATE FUNCTION fill() RETURNS void LANGUAGE sql AS $$ INSERT INTO t VALUES (1, 'a') $$;"
            + T.format("a text"),
            T.format("a text"),
        ),
        "SELECT fill();",
        "UPDATE t SET a = 'a';",
    ),
}


@pytest.mark.parametrize("name", OLD_ROWS)
def test_the_advice_about_rows_of_earlier_declarations_works(make_database: Callable[[], str], name: str):
    tables, insert, later = OLD_ROWS[name]
    old, new = Tenant(make_database()), Tenant(make_database())
    old.register({"tables/t.sql": tables[0], "migrations/001.sql": insert})
    second = {"tables/t.sql": tables[1], "migrations/001.sql": insert, "migrations/002.sql": later}
    old.migrate(second)
    with pytest.raises(MigrationFailed, match="put the rows that a new database needs into seeders/, take the stat"):
        new.register(second)
    values = ", ".join(f"'{value}'" for value in old.rows("SELECT * FROM t")[0][1:])
    advised = second | {"seeders/t.sql": f"INSERT INTO t VALUES (1, {values});", "migrations/001.sql": "SELECT 1;"}
    new.register(advised, force=True)
    assert old.migrate(advised, force=True).differences == ()
    assert new.rows("SELECT * FROM t") == old.rows("SELECT * FROM t")
    assert structure_of(new.conninfo) == structure_of(old.conninfo)


OLD_STATEMENTS = {
    "a column": ("ALTER TABLE t ALTER a SET DEFAULT '1';", "declarations: take the statement out, and repeat"),
    "a view": ("CREATE VIEW v AS SELECT a FROM t;", "declarations: take the statement out, and repeat"),
    "changed rows": (
        "INSERT INTO t (id) VALUES (1); UPDATE t SET a = '2' WHERE id = 1;",
        "put the rows that a new database needs into seeders/, take the statement out with those that insert these",
    ),
}


@pytest.mark.parametrize("name", OLD_STATEMENTS)
def test_the_advice_about_statements_of_earlier_declarations_works(make_database: Callable[[], str], name: str):
    statements, advice = OLD_STATEMENTS[name]
    old, new = Tenant(make_database()), Tenant(make_database())
    old.register({"tables/t.sql": T.format("a text"), "migrations/001.sql": statements})
    last = {"tables/t.sql": "CREATE TABLE t (id int PRIMARY KEY);", "migrations/001.sql": statements}
    with pytest.raises(MigrationFailed, match=advice):
        new.register(last)
    old.migrate(last, force=True)
    advised = last | {"migrations/001.sql": ""}
    if "seeders/" in advice:
        advised["seeders/t.sql"] = "INSERT INTO t VALUES (1);"
    new.register(advised)
    old.migrate(advised, force=True)
    assert new.rows("SELECT id FROM t") == old.rows("SELECT id FROM t")


def test_a_table_that_is_created_of_a_dropped_one_is_named(make_database: Callable[[], str]):
    old, new = Tenant(make_database()), Tenant(make_database())
    first = {"tables/t.sql": T.format("a text"), "migrations/001.sql": "INSERT INTO t VALUES (1, 'x');"}
    old.register(first)
    last = {"tables/u.sql": "CREATE TABLE u (id int);"} | {
        "migrations/001.sql": first["migrations/001.sql"],
        "migrations/002.sql": "CREATE TABLE kept AS SELECT id FROM t; DROP TABLE t;",
    }
    old.migrate(last)
    [warning] = new.register(last).warnings
    assert warning.endswith("declare kept in tables/, and put rows that a database without it needs into seeders/")
    advised = last | {"tables/k.sql": "CREATE TABLE kept (id int);", "seeders/k.sql": "INSERT INTO kept VALUES (1);"}
    other = Tenant(make_database())
    other.register(advised)
    assert old.migrate(advised).differences == ()
    assert structure_of(other.conninfo) == structure_of(old.conninfo)


@pytest.mark.parametrize("statement", ["REFRESH MATERIALIZED VIEW mv", "TRUNCATE gone", "LOCK TABLE gone"])
def test_nothing_is_missing_where_a_statement_without_rows_is_left_out(tenant: Tenant, statement: str):
    removal = "DROP TABLE gone; DROP MATERIALIZED VIEW mv;"
    migrations = {"migrations/001.sql": statement, "migrations/002.sql": removal}
    assert not tenant.register({"tables/t.sql": T.format("a text"), **migrations}).warnings


def test_an_index_outside_a_transaction_on_a_column_that_was_dropped_later(make_database: Callable[[], str]):
    old, new = Tenant(make_database()), Tenant(make_database())
    first = "-- gateway: no-transaction\nCREATE INDEX CONCURRENTLY i ON t (a);"
    old.register({"tables/t.sql": T.format("a int"), "migrations/001.sql": first})
    last = {"tables/t.sql": "CREATE TABLE t (id int PRIMARY KEY);"} | {
        "migrations/001.sql": first,
        "migrations/002.sql": "ALTER TABLE t DROP COLUMN a;",
    }
    old.migrate(last)
    new.register(last)
    assert structure_of(old.conninfo) == structure_of(new.conninfo)


def test_a_table_has_a_composite_type_for_a_time(make_database: Callable[[], str]):
    old, new = Tenant(make_database()), Tenant(make_database())
    files = {"types/k.sql": "CREATE TYPE k AS (id int, a text);", "tables/t.sql": "CREATE TABLE t (id int, a text);"}
    old.register(files)
    old.migrate(files | {"tables/t.sql": "CREATE TABLE t OF k;", "migrations/001.sql": "ALTER TABLE t OF k;"})
    last = files | {
        "tables/t.sql": "CREATE TABLE t (id int, a text, b int);",
        "migrations/001.sql": "ALTER TABLE t OF k;",
        "migrations/002.sql": "ALTER TABLE t NOT OF; ALTER TABLE t ADD b int;",
    }
    assert (old.migrate(last).differences, new.register(last).differences) == ((), ())
    assert structure_of(old.conninfo) == structure_of(new.conninfo)
