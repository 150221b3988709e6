"""The mark of the catalogs: another one after every change of an object, the same one after work on rows."""

from __future__ import annotations

import re

from migrations_engine.catalog import read_mark
from tests.support.servers import some_extension

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
#: The same without the objects that few applications have.
COMMON = re.sub(r"CREATE (STATISTICS|PUBLICATION|CAST|COLLATION|TEXT SEARCH CONFIGURATION)[^;]*;", "", OBJECTS)
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
    "ALTER PUBLICATION pub SET (publish = 'insert')", "ALTER COLLATION c RENAME TO cc", "CREATE EXTENSION {extension}",
    "ALTER TEXT SEARCH CONFIGURATION ts ADD MAPPING FOR word WITH simple", "CREATE OPERATOR === (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int)",
]  # fmt: skip


def unseen(database, objects, changes):
    """Return those of *changes*, each made in a database with *objects* and then undone, that leave the mark as it was."""
    with database.transaction():  # a number of its own, as of another session's transaction
        database.execute(objects.encode())
    before, found, extension = read_mark(database), [], some_extension(database)
    for change in changes:
        with database.transaction(force_rollback=True):
            database.execute(change.replace("{extension}", extension).encode())
            if read_mark(database) == before:
                found.append(change)
    assert read_mark(database) == before
    return found


def test_every_change_of_an_object_changes_it(database):
    assert unseen(database, OBJECTS, CHANGES) == []


NEW_OBJECTS = [
    "CREATE SCHEMA sales", "CREATE TABLE u (a int)", "CREATE TABLE u AS SELECT 1 AS a", "ALTER TABLE t ALTER a SET DEFAULT 1",
    "CREATE SEQUENCE q", "CREATE INDEX j ON t (b)", "CREATE VIEW w AS SELECT 1 AS a", "CREATE TYPE pair AS (a int, b int)",
    "CREATE TYPE span AS RANGE (subtype = int)", "ALTER TYPE mood ADD VALUE 'b'", "ALTER TABLE h ATTACH PARTITION h1 FOR VALUES IN (1)",
    "CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE POLICY q ON t USING (true)", "CREATE EXTENSION {extension}",
    "CREATE STATISTICS x ON a, b FROM t", "CREATE PUBLICATION p", "CREATE PUBLICATION p FOR TABLE t", "CREATE CAST (mood AS d) WITH INOUT",
    "CREATE COLLATION x FROM \"C\"", "CREATE TEXT SEARCH DICTIONARY x (TEMPLATE = simple)", "CREATE FOREIGN DATA WRAPPER x",
    "CREATE TEXT SEARCH CONFIGURATION x (PARSER = default)", "CREATE OPERATOR === (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int)",
    "CREATE OPERATOR FAMILY x USING btree", "CREATE CONVERSION x FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8",
    "CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal), TO SQL WITH FUNCTION int4recv(internal))", "COMMENT ON TABLE t IS 'x'",
    "CREATE CAST (text AS int) WITH INOUT AS ASSIGNMENT", "CREATE ACCESS METHOD x TYPE INDEX HANDLER bthandler", "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO pg_monitor",
]  # fmt: skip


def test_the_first_object_of_a_kind_changes_it(database):
    assert unseen(database, COMMON, NEW_OBJECTS) == []


def test_the_schemas_of_temporary_objects_do_not(database):
    before = read_mark(database)
    database.execute("CREATE TEMPORARY TABLE x (a int)")
    database.execute("DROP TABLE x")
    assert read_mark(database) == before


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
