"""Files that set a search path and then name objects without their schemas."""

from __future__ import annotations

from .history import History, tables

IN_APP = "CREATE SCHEMA IF NOT EXISTS app; CREATE TABLE app.{}; "
ROWS = "INSERT INTO app.t VALUES (1)"
ONE, SEVERAL = "SET search_path TO app; ", "SET search_path TO app, public; "
CALLED = "SELECT pg_catalog.set_config('search_path', 'app, public', false); "
RENAMED = "ALTER TABLE t RENAME f TO g; ALTER TABLE t RENAME TO u; CREATE INDEX ON u (g);"
DECLARED_AS = "u (id int PRIMARY KEY, g int); CREATE INDEX ON {}u (g)"
CHECKED = "ALTER TABLE t ADD CHECK (f > 0); CREATE INDEX i ON t (f);"
T = "t (id int PRIMARY KEY, f int)"
T_CHECKED = "t (id int PRIMARY KEY, f int CHECK (f > 0)); CREATE INDEX i ON {}t (f)"
FUNCTION = "CREATE FUNCTION app.g() RETURNS int LANGUAGE sql AS 'SELECT {}'; "
ON_FUNCTION = "COMMENT ON FUNCTION g() IS '{}'; REVOKE ALL ON FUNCTION g() FROM PUBLIC;"

HISTORIES = (
    *(
        History(name=f"a table that is renamed under {path}", versions=(tables(old), tables(new, path + RENAMED)))
        for path, old, new in (
            (ONE, IN_APP.format(T), IN_APP.format(DECLARED_AS.format("app."))),
            (SEVERAL, IN_APP.format(T), IN_APP.format(DECLARED_AS.format("app."))),
            (CALLED, f"CREATE TABLE {T};", f"CREATE TABLE {DECLARED_AS.format('')};"),
            (SEVERAL, f"CREATE TABLE {T};", f"CREATE TABLE {DECLARED_AS.format('')};"),
        )
    ),
    *(
        History(name=f"a check that is added under {path}", versions=(tables(old), tables(new, path + CHECKED)))
        for path, old, new in (
            (ONE, IN_APP.format(T), IN_APP.format(T_CHECKED.format("app."))),
            (SEVERAL, f"CREATE TABLE {T};", f"CREATE TABLE {T_CHECKED.format('')};"),
        )
    ),
    History(
        name="a column that is dropped under a search path",
        versions=(
            tables(IN_APP.format(T) + f"CREATE TABLE {T};"),
            tables(
                IN_APP.format("t (id int PRIMARY KEY)") + "CREATE TABLE t (id int PRIMARY KEY);",
                "SET LOCAL search_path = app; ALTER TABLE t DROP f; RESET search_path; ALTER TABLE t DROP f;",
            ),
        ),
        dangers=("app.t.f drop_column 0 migrations/001.pssql", "t.f drop_column 0 migrations/001.pssql"),
    ),
    History(
        name="migrations that each set the search path",
        versions=(
            tables(IN_APP.format("t (id int PRIMARY KEY)")),
            tables(IN_APP.format(T), f"{ONE} ALTER TABLE t ADD f int; UPDATE t SET f = id;"),
            tables(
                IN_APP.format("t (id int PRIMARY KEY, g int)"),
                f"{ONE} ALTER TABLE t ADD f int; UPDATE t SET f = id; --"
                f"{ONE} ALTER TABLE t RENAME f TO g; UPDATE t SET g = g + 1;",
            ),
        ),
        rows=ROWS,
    ),
    History(
        name="an enum, a view, a policy and an index that are renamed under a search path",
        versions=(
            tables(
                IN_APP.format("t (id int PRIMARY KEY, f app.e)") + "CREATE VIEW app.v AS SELECT id FROM app.t;"
                "CREATE INDEX i ON app.t (f); CREATE POLICY p ON app.t USING (true);",
                types="CREATE SCHEMA app; CREATE TYPE app.e AS ENUM ('a', 'b');",
            ),
            tables(
                IN_APP.format("t (id int PRIMARY KEY, f app.e2)") + "CREATE VIEW app.w AS SELECT id FROM app.t;"
                "CREATE INDEX j ON app.t (f); CREATE POLICY q ON app.t USING (true);",
                f"{ONE} ALTER TYPE e RENAME VALUE 'b' TO 'c'; ALTER TYPE e RENAME TO e2; DROP VIEW v;"
                "CREATE VIEW w AS SELECT id FROM t; ALTER INDEX i RENAME TO j; ALTER POLICY p ON t RENAME TO q;",
                types="CREATE SCHEMA app; CREATE TYPE app.e2 AS ENUM ('a', 'c');",
            ),
        ),
        rows="INSERT INTO app.t VALUES (1, 'b')",
    ),
    History(
        name="a file of tables that sets the search path and fills one",
        versions=(
            tables(f"CREATE SCHEMA app; {SEVERAL} CREATE TABLE {T}; CREATE TABLE r (id int REFERENCES t);"),
            tables(
                f"CREATE SCHEMA app; {SEVERAL} CREATE TABLE u (id int PRIMARY KEY, g int);"
                "CREATE TABLE r (id int REFERENCES u); CREATE TABLE n (i int); INSERT INTO n VALUES (5);",
                f"{SEVERAL} ALTER TABLE t RENAME f TO g; ALTER TABLE t RENAME TO u;",
            ),
        ),
        rows="INSERT INTO app.t VALUES (1); INSERT INTO app.r VALUES (1)",
    ),
    History(
        name="a comment and a privilege of a function, given and taken away under a search path",
        versions=(
            tables(IN_APP.format(T), functions=FUNCTION.format(1) + ONE + ON_FUNCTION.format("x")),
            tables(IN_APP.format(T), functions=FUNCTION.format(2) + ONE + ON_FUNCTION.format("y")),
            tables(IN_APP.format(T), functions=FUNCTION.format(2)),
        ),
    ),
    History(
        name="rows of a table that a seeder names under a search path",
        versions=(
            tables(f"CREATE TABLE {T};", seeders=f"{SEVERAL} INSERT INTO t VALUES (1, 2);"),
            tables(f"CREATE TABLE {T};".replace("int)", "bigint)"), seeders=f"{SEVERAL} INSERT INTO t VALUES (1, 2);"),
        ),
    ),
)
