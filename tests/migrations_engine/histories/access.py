"""Policies, row security, privileges and comments."""

from __future__ import annotations

from .features import Feature, Table
from .history import Kind

ROWS = "INSERT INTO t (id, a) VALUES (1, 1), (2, 2)"

POLICIES = Table(
    features=(
        Feature(
            "policy",
            (
                "",
                "CREATE POLICY p ON t USING ({a} > 0);",
                "CREATE POLICY p ON t FOR UPDATE TO pg_monitor USING ({a} > 0) WITH CHECK ({a} < 9);",
                "CREATE POLICY p ON t AS RESTRICTIVE USING (note IS NULL);",
                "CREATE POLICY p ON t USING ({a} > 1); COMMENT ON POLICY p ON t IS 'x';",
            ),
            drop="DROP POLICY IF EXISTS p ON t;",
        ),
        Feature(
            "another policy",
            ("CREATE POLICY q ON t FOR SELECT USING (id IN (SELECT x.id FROM t AS x WHERE x.{a} > 0));", ""),
            drop="DROP POLICY IF EXISTS q ON t;",
        ),
        Feature(
            "row security",
            (
                "",
                "ALTER TABLE t ENABLE ROW LEVEL SECURITY;",
                "ALTER TABLE t FORCE ROW LEVEL SECURITY;",
            ),
            drop="ALTER TABLE t DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;",
        ),
    )
)

PRIVILEGES = Table(
    features=(
        Feature(
            "view",
            (
                "CREATE VIEW v AS SELECT id, {a} FROM t;",
                "CREATE VIEW v AS SELECT id, {a} FROM t; GRANT SELECT ON v TO pg_monitor; COMMENT ON VIEW v IS 'x';",
                "CREATE VIEW v AS SELECT {a}, id FROM t; GRANT SELECT ({a}) ON v TO pg_monitor;",
                "CREATE VIEW v AS SELECT id, {a} FROM t; GRANT ALL ON v TO PUBLIC; COMMENT ON COLUMN v.{a} IS 'x';",
            ),
            drop="DROP VIEW IF EXISTS v;",
            alters=("REVOKE ALL ON v FROM PUBLIC;", "COMMENT ON VIEW v IS 'migrated';"),
        ),
        Feature(
            "table",
            (
                "",
                "GRANT SELECT ON t TO pg_monitor WITH GRANT OPTION;",
                "GRANT SELECT, INSERT ON t TO pg_monitor, PUBLIC;",
                "REVOKE TRUNCATE ON t FROM CURRENT_USER;",
            ),
            drop="REVOKE ALL ON t FROM pg_monitor, PUBLIC; GRANT ALL ON t TO CURRENT_USER;",
        ),
        Feature(
            "column",
            ("", "GRANT UPDATE ({a}) ON t TO pg_monitor;", "GRANT SELECT ({a}, b) ON t TO PUBLIC;"),
            drop="REVOKE ALL ({a}, b) ON t FROM pg_monitor, PUBLIC;",
        ),
        Feature(
            "comments",
            (
                "",
                "COMMENT ON TABLE t IS 'one'; COMMENT ON COLUMN t.{a} IS 'two';",
                "COMMENT ON COLUMN t.{a} IS 'three'; COMMENT ON CONSTRAINT t_pkey ON t IS 'four';",
                "COMMENT ON INDEX t_pkey IS 'five';",
            ),
            drop="COMMENT ON TABLE t IS NULL; COMMENT ON CONSTRAINT t_pkey ON t IS NULL;",
        ),
        Feature(
            "function",
            (
                "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';",
                "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION f() FROM PUBLIC;",
                "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; COMMENT ON FUNCTION f() IS 'x';"
                " GRANT EXECUTE ON FUNCTION f() TO pg_monitor;",
            ),
            drop="DROP FUNCTION IF EXISTS f();",
            folder="functions",
        ),
        Feature(
            "type",
            (
                "CREATE TYPE kind AS ENUM ('x');",
                "CREATE TYPE kind AS ENUM ('x'); REVOKE ALL ON TYPE kind FROM PUBLIC;",
                "CREATE TYPE kind AS ENUM ('x'); GRANT USAGE ON TYPE kind TO pg_monitor; COMMENT ON TYPE kind IS 'x';",
            ),
            drop="",
            alters=("COMMENT ON TYPE kind IS 'migrated';", "GRANT USAGE ON TYPE kind TO pg_read_all_data;"),
            folder="types",
        ),
    )
)

KINDS = (
    Kind("policies", POLICIES, ROWS),
    Kind("privileges and comments", PRIVILEGES, ROWS),
)
