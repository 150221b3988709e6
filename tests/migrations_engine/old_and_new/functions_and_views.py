"""Functions and views that change, and what uses them."""

from __future__ import annotations

from .history import GIVEN, MADE, TR, VIEW, History, T, tables

ONE = "CREATE FUNCTION f(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x';"
ONE_FOR_TEXT = "CREATE FUNCTION f(x text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT x';"
LOUDER = "CREATE FUNCTION louder() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
LOUD = "CREATE TRIGGER loud BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION louder();"
TWO = "CREATE FUNCTION f(x int, y int DEFAULT 0) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x + y';"
CALLING = (
    "CREATE FUNCTION atomic() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT f(1) + {0}; END;"
    "CREATE FUNCTION plain() RETURNS int LANGUAGE sql AS 'SELECT f(1) + {0}';"
)
CALLERS = (
    "ALTER TABLE t ADD CHECK (f(a) > 0); CREATE INDEX i ON t (f(a));"
    "CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW WHEN (f(NEW.a) > 5) EXECUTE FUNCTION tr();"
)
MATERIALIZED = "CREATE MATERIALIZED VIEW v AS SELECT a, b FROM t{};"
STORED = "ALTER MATERIALIZED VIEW v ALTER b SET STORAGE MAIN, ALTER a SET STATISTICS 50, ALTER a SET (n_distinct = 7);"
MADE_BY_MIGRATION = (
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; COMMENT ON FUNCTION f() IS 'x';"
    "REVOKE ALL ON FUNCTION f() FROM PUBLIC;"
)

WITHOUT_NAME = (
    "CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq);"
    "CREATE CAST (text AS mood) WITH INOUT AS ASSIGNMENT;"
    "CREATE TEXT SEARCH CONFIGURATION tsc (COPY = simple);"
)
MOOD = T + "CREATE TYPE mood AS ENUM ('calm', 'glad');"
MOVES = {
    "move from functions/ to a migration": (tables(MOOD, functions=WITHOUT_NAME), tables(MOOD, WITHOUT_NAME)),
    "move from tables/ to a migration": (tables(MOOD + WITHOUT_NAME), tables(MOOD, WITHOUT_NAME)),
    "of a migration are declared in functions/": (
        tables(MOOD, WITHOUT_NAME),
        tables(MOOD, WITHOUT_NAME, functions=WITHOUT_NAME),
    ),
    "of a migration are declared in tables/": (tables(MOOD, WITHOUT_NAME), tables(MOOD + WITHOUT_NAME, WITHOUT_NAME)),
}

HISTORIES = (
    *(History(name=f"operators and casts {what}", versions=versions) for what, versions in MOVES.items()),
    History(
        name="functions move to migrations",
        versions=(
            tables(T, functions=MADE_BY_MIGRATION.partition("COMMENT")[0] + ONE),
            tables(T, MADE_BY_MIGRATION + "--" + ONE.replace("CREATE", "CREATE OR REPLACE").replace("SELECT", "SELECT -")),
        ),
    ),
    History(
        name="functions move to a migration that creates them with other bodies",
        versions=(
            {"tables/1.pssql": T, "functions/f.pssql": ONE + ONE_FOR_TEXT, "functions/t.pssql": LOUDER + LOUD},
            {
                "tables/1.pssql": T,
                "functions/t.pssql": LOUD,
                "migrations/001.pssql": (ONE + LOUDER).replace("SELECT", "SELECT -").replace("NEW;", "NULL;"),
            },
        ),
    ),
    History(
        name="a function that a migration makes is declared and then not declared",
        versions=(
            tables(T, ONE),
            tables(T, ONE, functions=ONE.replace("CREATE", "CREATE OR REPLACE")),
            tables(T, ONE),
        ),
    ),
    History(
        name="what is new uses functions whose results change",
        versions=(
            {
                "tables/1.pssql": T,
                "functions/f.pssql": "CREATE FUNCTION f() RETURNS TABLE (n int) LANGUAGE sql AS 'SELECT 1';"
                "CREATE FUNCTION g(i int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT i';",
            },
            {
                "tables/1.pssql": T + "CREATE POLICY p ON t USING (g(a)); CREATE INDEX ON t (a) WHERE g(a);"
                "CREATE VIEW v AS SELECT * FROM f() AS f (x, y);",
                "functions/f.pssql": "CREATE FUNCTION f() RETURNS TABLE (n int, m text) LANGUAGE sql AS $$ SELECT 1, 'x' $$;"
                "CREATE FUNCTION g(i int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT i > 0';",
                "functions/h.pssql": "CREATE FUNCTION h() RETURNS SETOF v LANGUAGE sql AS 'SELECT * FROM v';",
            },
        ),
        rows="INSERT INTO t VALUES (1, 1, 'y')",
    ),
    History(
        name="a view changes in casts and parentheses alone",
        versions=(
            tables(T + "CREATE VIEW v AS SELECT (a + id) * 2 AS n, (a + 1)::bigint AS m FROM t;"),
            tables(T + "CREATE VIEW v AS SELECT a + id * 2 AS n, (a + 1)::numeric AS m FROM t;"),
        ),
    ),
    History(
        name="a migration drops views, a policy and a trigger only to make a column wider",
        versions=tuple(
            tables(
                f"CREATE TABLE t (id int PRIMARY KEY, a {type}, b text);" + VIEW + "CREATE VIEW w AS SELECT a FROM v;"
                "CREATE POLICY p ON t USING (a > 0);" + TR + GIVEN.format("UPDATE OF a"),
                *migrations,
            )
            for type, migrations in (
                ("int", ()),
                (
                    "bigint",
                    ("DROP VIEW v CASCADE; DROP POLICY p ON t; DROP TRIGGER g ON t; ALTER TABLE t ALTER a TYPE bigint;",),
                ),
            )
        ),
        rows="INSERT INTO t VALUES (1, 1, 'y')",
    ),
    History(
        name="a column becomes wider under a view, and another one needs a function that is new",
        versions=(
            tables(T + VIEW + "CREATE TABLE u (t int REFERENCES t);"),
            tables(
                "CREATE TABLE t (id int PRIMARY KEY, a bigint, b text, g text GENERATED ALWAYS AS (f(b)) STORED);"
                + VIEW + "CREATE TABLE u (t int REFERENCES t); CREATE INDEX t_g ON t (g);",
                functions="CREATE FUNCTION f(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';",
            ),
        ),
        rows="INSERT INTO t VALUES (1, 1, 'A')",
    ),
    History(
        name="a function that the check of a domain uses changes its signature",
        versions=tuple(
            {
                "types/d.pssql": "CREATE DOMAIN d AS int CONSTRAINT x CHECK (good(VALUE));",
                "tables/t.pssql": "CREATE TABLE t (id int PRIMARY KEY, a d);",
                "functions/good.pssql": f"CREATE FUNCTION good({name} int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0';",
            }
            for name in ("p_a", "p_b")
        ),
        rows="INSERT INTO t VALUES (1, 2)",
    ),
    History(
        name="a migration drops a view to make room for another one of its columns",
        versions=(tables(T + VIEW), tables(T + "CREATE VIEW v AS SELECT b, a, id FROM t;", "DROP VIEW v;")),
        warnings=(MADE.format("v as view", "drops or renames it", "what is declared"),),
    ),
    History(
        name="a parameter with a default is added, and other functions, a view, a check, an index and a trigger call it",
        versions=(
            tables(T + CALLERS, functions=ONE + TR + CALLING.format(0)),
            tables(T + CALLERS + "CREATE VIEW v AS SELECT f(a) AS b FROM t;", functions=TWO + TR + CALLING.format(1)),
        ),
        rows="INSERT INTO t VALUES (1, 1)",
    ),
    History(
        name="a parameter with a default is added, and a migration calls the function and another new one",
        versions=(
            tables(T, functions=ONE),
            tables(
                T,
                "UPDATE t SET a = n(); UPDATE t SET a = f(a);",
                functions=TWO + "CREATE FUNCTION n() RETURNS int LANGUAGE sql AS 'SELECT 5';",
            ),
        ),
        rows="INSERT INTO t VALUES (1, 1)",
    ),
    History(
        name="a column grows under a view whose name has as many characters as PostgreSQL allows, and a schema",
        versions=tuple(
            tables(
                f"CREATE TABLE t (id int PRIMARY KEY, a {type_}); CREATE SCHEMA reports;"
                f"CREATE VIEW reports.{'v' * 63} AS SELECT id, a FROM t;"
            )
            for type_ in ("int", "bigint")
        ),
    ),
    History(
        name="a migration makes a materialized view with other columns, and an index on them",
        versions=(
            tables(T),
            tables(
                T + "CREATE MATERIALIZED VIEW m AS SELECT id, a FROM t; CREATE INDEX m_a ON m (a);",
                "DROP MATERIALIZED VIEW IF EXISTS m; CREATE MATERIALIZED VIEW m AS SELECT count(*) AS n FROM t;"
                "CREATE INDEX m_n ON m (n);",
            ),
        ),
        warnings=(MADE.format("m.m_a as USING btree (a)", "drops or renames it", "what is declared"),),
    ),
    History(
        name="a migration changes the type of a column under views, a policy and a function",
        versions=tuple(
            {
                "tables/t.pssql": f"CREATE TABLE t (id int PRIMARY KEY, a {kind}); CREATE VIEW v AS SELECT a FROM t;"
                "CREATE VIEW w AS TABLE v; CREATE POLICY p ON t USING (a > 0); GRANT SELECT ON w TO pg_monitor;",
                "functions/f.pssql": f"CREATE FUNCTION f() RETURNS SETOF {kind} LANGUAGE sql BEGIN ATOMIC SELECT a FROM v; END;",
            }
            | more
            for kind, more in (
                ("int", {}),
                ("numeric(9,2)", {"migrations/001.pssql": "ALTER TABLE t ALTER a TYPE numeric(9,2) USING a * 2;"}),
            )
        ),
        rows="INSERT INTO t VALUES (1, 1)",
        dangers=("t.a alter_column_type 0 migrations/001.pssql",),
    ),
    History(
        name="a view becomes a table, another one a materialized view, and a table becomes a view",
        versions=(
            tables(T + VIEW + "CREATE VIEW m AS SELECT a FROM v; CREATE TABLE s (a int);"),
            tables(
                T + "CREATE TABLE v (a int); CREATE MATERIALIZED VIEW m AS SELECT a FROM v; CREATE VIEW s AS SELECT a FROM t;",
                "DROP VIEW m; DROP VIEW v; DROP TABLE s;",
            ),
        ),
        dangers=("s drop_table 0 migrations/001.pssql",),
    ),
    History(
        name="the default of a view's column, text search, casts and privileges change",
        versions=(
            tables(T + VIEW + "CREATE TYPE c AS (x int); CREATE TEXT SEARCH CONFIGURATION s (COPY = simple);"),
            tables(
                T + VIEW + "ALTER VIEW v ALTER COLUMN a SET DEFAULT 5; CREATE TYPE c AS (x int); REVOKE USAGE ON TYPE c FROM PUBLIC;"
                "CREATE TEXT SEARCH CONFIGURATION s (COPY = simple); ALTER TEXT SEARCH CONFIGURATION s DROP MAPPING FOR email;"
                "CREATE CAST (varchar AS c) WITH INOUT AS ASSIGNMENT;"
            ),
        ),
    ),
    History(
        name="a view becomes a materialized view by its declaration alone",
        versions=(tables(T + VIEW), tables(T + VIEW.replace("VIEW", "MATERIALIZED VIEW") + "CREATE INDEX v_a ON v (a);")),
    ),
    *(
        History(name=f"functions/ makes {what}", versions=tuple({f"{table}/1.sql": T, "functions/f.sql": TR + text}
                                                               | more for text in texts))
        for table, more in (("tables", {}), ("migrations", {}), ("tables", {"migrations/2.sql": "SELECT 1"}))
        for what, texts in {
            f"a trigger ({table}{more and ', a migration'})": (GIVEN.format("INSERT"), GIVEN.format("UPDATE OF a")),
            f"a trigger no more ({table}{more and ', a migration'})": (GIVEN.format("INSERT"), ""),
            f"a replaced trigger ({table}{more and ', a migration'})":
                ("DROP TRIGGER IF EXISTS g ON t;" + GIVEN.format("INSERT"), "CREATE OR REPLACE" + GIVEN.format("DELETE")[6:]),
        }.items()
    ),
    History(
        name="functions/ makes triggers in blocks, where they are missing",
        versions=tuple(
            {"tables/t.sql": T, "functions/f.sql": TR + "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'g')"
             f" THEN {GIVEN.format(event)} END IF; END $$;"} for event in ("INSERT", "DELETE")
        ),
    ),
    History(
        name="functions/ makes a view, its privileges and its comment over one of its functions, and changes both",
        versions=tuple(
            {"tables/t.sql": T, "functions/f.sql": f"CREATE FUNCTION g(i int) RETURNS {result} LANGUAGE sql AS"
             f" 'SELECT i::{result}'; CREATE VIEW v AS SELECT {columns} FROM t; COMMENT ON VIEW v IS '{columns}';"
             " GRANT SELECT ON v TO pg_monitor;"}
            for result, columns in (("int", "g(a)"), ("bigint", "b, g(a)"), ("text", "id"))
        ),
    ),
    History(
        name="functions/ makes a type, a function over it, and a cast with that",
        versions=tuple(
            {"functions/f.sql": "CREATE TYPE c AS (a int); CREATE FUNCTION f(c) RETURNS int LANGUAGE sql AS"
             f" 'SELECT ($1).a'; CREATE CAST (c AS int) WITH FUNCTION f(c) {way};"} for way in ("", "AS IMPLICIT")
        ),
    ),
    History(
        name="a function that a migration has created moves to functions/ without its privileges and comment",
        versions=(
            tables(T, MADE_BY_MIGRATION),
            tables(T, MADE_BY_MIGRATION, functions="CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2';"),
        ),
    ),
    History(
        name="a function that a migration has created moves to functions/ with some of its privileges",
        versions=(
            tables(T, MADE_BY_MIGRATION),
            tables(
                T,
                MADE_BY_MIGRATION,
                functions="CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;"
                "REVOKE ALL ON FUNCTION f() FROM PUBLIC; COMMENT ON FUNCTION f() IS 'y';",
            ),
        ),
    ),
    History(
        name="a file has a view over one of its functions, and a function that returns the view's rows",
        versions=tuple(
            tables(
                T + VIEW,
                functions="CREATE FUNCTION f() RETURNS SETOF v LANGUAGE sql AS 'SELECT * FROM v';"
                f"CREATE VIEW w AS SELECT {columns} FROM f();"
                f"CREATE FUNCTION g() RETURNS SETOF w LANGUAGE sql BEGIN ATOMIC SELECT {columns} FROM w; END;",
            )
            for columns in ("a", "b, a")
        ),
        rows="INSERT INTO t VALUES (1, 1, 'y')",
    ),
    History(
        name="a migration sets how a column of a materialized view is stored and analyzed, and the view changes later",
        versions=(
            tables(T + MATERIALIZED.format("")),
            tables(T + MATERIALIZED.format(""), STORED),
            tables(T + MATERIALIZED.format(" WHERE a > 0"), STORED),
        ),
    ),
)  # fmt: skip
