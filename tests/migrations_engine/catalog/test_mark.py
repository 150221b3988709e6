"""The mark of the catalogs: another one after every change of an object, the same one after work on rows."""

from __future__ import annotations

import pytest

from migrations_engine.catalog import read_mark

OBJECTS = """
    CREATE SCHEMA app; CREATE TABLE t (id serial PRIMARY KEY, a int, b text); CREATE SEQUENCE s; CREATE INDEX i ON t (a);
    CREATE VIEW v AS SELECT a FROM t; CREATE TYPE mood AS ENUM ('a'); CREATE DOMAIN d AS int CHECK (VALUE > 0);
    CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE POLICY p ON t USING (true);
    CREATE FUNCTION tr() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE STATISTICS st ON a, b FROM t;
    CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tr(); CREATE RULE r AS ON UPDATE TO v DO INSTEAD NOTHING;
    CREATE TABLE h (a int) PARTITION BY LIST (a); CREATE TABLE h1 (a int); CREATE TABLE child () INHERITS (t);
    CREATE PUBLICATION pub; CREATE CAST (mood AS d) WITH INOUT; CREATE COLLATION c FROM "C";
    CREATE TEXT SEARCH CONFIGURATION ts (PARSER = default); INSERT INTO t (a) SELECT generate_series(1, 10);
"""
CHANGES = [
    "ALTER TABLE t ADD COLUMN c int", "ALTER TABLE t DROP COLUMN b", "ALTER TABLE t RENAME a TO z",
    "ALTER TABLE t ALTER b TYPE varchar", "ALTER TABLE t ALTER a SET DEFAULT 1", "ALTER TABLE t ALTER a SET NOT NULL",
    "ALTER TABLE t ALTER b SET STORAGE PLAIN", "ALTER TABLE t ALTER a SET STATISTICS 7", "ALTER TABLE t SET (fillfactor = 50)",
    "ALTER TABLE t ADD CHECK (a > 0)", "ALTER TABLE t ENABLE ROW LEVEL SECURITY", "ALTER TABLE t DISABLE TRIGGER g",
    "ALTER TABLE t CLUSTER ON i", "ALTER TABLE t REPLICA IDENTITY FULL", "ALTER TABLE t RENAME TO u", "DROP TABLE h1",
    "ALTER TABLE h ATTACH PARTITION h1 FOR VALUES IN (1)", "ALTER TABLE child NO INHERIT t", "ALTER TABLE h1 SET SCHEMA app",
    "ALTER SEQUENCE s OWNED BY t.a", "ALTER SEQUENCE s INCREMENT 2", "DROP SEQUENCE s", "ALTER INDEX i RENAME TO j", "DROP INDEX i",
    "CREATE OR REPLACE VIEW v AS SELECT a, b FROM t", "ALTER VIEW v ALTER a SET DEFAULT 1", "DROP VIEW v", "DROP RULE r ON v",
    "ALTER TYPE mood RENAME VALUE 'a' TO 'z'", "ALTER DOMAIN d SET DEFAULT 1", "ALTER DOMAIN d ADD CHECK (VALUE < 9)",
    "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'", "ALTER FUNCTION f() STABLE", "DROP FUNCTION f()",
    "GRANT EXECUTE ON FUNCTION f() TO pg_monitor", "GRANT SELECT ON t TO pg_monitor", "GRANT SELECT (a) ON t TO pg_monitor",
    "GRANT USAGE ON SCHEMA app TO pg_monitor", "REVOKE ALL ON SCHEMA public FROM PUBLIC", "GRANT USAGE ON TYPE mood TO pg_monitor",
    "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO pg_monitor", "ALTER POLICY p ON t USING (false)", "DROP POLICY p ON t",
    "COMMENT ON TABLE t IS 'x'", "COMMENT ON COLUMN t.a IS 'x'", "COMMENT ON FUNCTION f() IS 'x'", "DROP TRIGGER g ON t",
    "ALTER STATISTICS st SET STATISTICS 5", "DROP STATISTICS st", "ALTER PUBLICATION pub ADD TABLE h1", "DROP CAST (mood AS d)",
    "ALTER PUBLICATION pub SET (publish = 'insert')", "ALTER COLLATION c RENAME TO cc", "CREATE EXTENSION vector",
    "ALTER TEXT SEARCH CONFIGURATION ts ADD MAPPING FOR word WITH simple", "CREATE OPERATOR === (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int)",
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_an_object_changes_it(database, change):
    with database.transaction():  # a number of its own, as of another session's transaction
        database.execute(OBJECTS.encode())
    before = read_mark(database)
    with database.transaction():
        database.execute(change.encode())
    assert read_mark(database) != before


def test_work_on_rows_does_not(database):
    with database.transaction():
        database.execute(OBJECTS.encode())
    before = read_mark(database)
    for work in (
        "INSERT INTO t (a) VALUES (11)",
        "UPDATE t SET a = 0",
        "DELETE FROM t",
        "SELECT nextval('s')",
        "ANALYZE t",
    ):
        with database.transaction():
            database.execute(work.encode())
    assert read_mark(database) == before
