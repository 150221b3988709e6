"""Privileges and comments on objects that change, are dropped, or are created again by migrations."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .conftest import Tenant, files
from .histories.checks import structure

TABLE = "CREATE TABLE t (id int PRIMARY KEY, a int, b int);"
VIEW = "CREATE VIEW v AS SELECT id, a FROM t;"
RENAMED = "CREATE TABLE t (id int PRIMARY KEY, c int, b int); CREATE VIEW v AS SELECT id, c FROM t;"
NOTES = "COMMENT ON VIEW v IS 'v'; COMMENT ON COLUMN v.a IS 'a'; GRANT SELECT ON v TO PUBLIC;"
COLUMN_PRIVILEGES = "GRANT SELECT (a), UPDATE (id) ON v TO pg_monitor;"
STORED = "CREATE MATERIALIZED VIEW m AS SELECT id, a FROM t; COMMENT ON MATERIALIZED VIEW m IS 'm';"
INDEX = "CREATE INDEX i ON m (a); COMMENT ON INDEX i IS 'i'; COMMENT ON COLUMN m.a IS 'a';"
RULE = "CREATE RULE r AS ON DELETE TO v DO INSTEAD NOTHING; COMMENT ON RULE r ON v IS 'r';"

F = "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT {}';"
MIGRATED = (
    f"DROP FUNCTION IF EXISTS f(); {F.format(0)} COMMENT ON FUNCTION f() IS 'x';"
    "GRANT EXECUTE ON FUNCTION f() TO pg_monitor; REVOKE ALL ON FUNCTION f() FROM PUBLIC;"
)
DEFAULT_PRIVILEGES = (
    "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;"
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO pg_read_all_stats;"
)
ADDED = (
    "GRANT SELECT ON t TO PUBLIC; COMMENT ON TABLE t IS 't'; CREATE TRIGGER r BEFORE UPDATE ON t"
    " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();"
)
ADDED_AGAIN = f"DROP TRIGGER IF EXISTS r ON t; {ADDED}"
REVERTED = "REVOKE SELECT ON t FROM PUBLIC; COMMENT ON TABLE t IS NULL; DROP TRIGGER IF EXISTS r ON t;"

CASES = {
    "a migration renames a column of a view": [
        files(TABLE + VIEW + NOTES),
        files(RENAMED + NOTES.replace("v.a", "v.c"), "ALTER TABLE t RENAME a TO c;"),
    ],
    "a migration renames a column, and the view has no comments any more": [
        files(TABLE + VIEW + NOTES),
        files(RENAMED, "ALTER TABLE t RENAME a TO c;"),
    ],
    "a view loses a column": [
        files(TABLE + VIEW + NOTES + COLUMN_PRIVILEGES),
        files(TABLE + "CREATE VIEW v AS SELECT id FROM t; GRANT UPDATE (id) ON v TO pg_monitor;"),
    ],
    "a view goes": [files(TABLE + VIEW + NOTES + COLUMN_PRIVILEGES + RULE), files(TABLE)],
    "a view loses a column and a rule": [
        files(TABLE + VIEW + RULE),
        files(TABLE + "CREATE VIEW v AS SELECT id FROM t;"),
    ],
    "a materialized view loses a column and an index, under a view": [
        files(TABLE + STORED + INDEX + "CREATE VIEW v AS SELECT * FROM m;" + NOTES + COLUMN_PRIVILEGES),
        files(TABLE + STORED.replace("id, a", "id, b") + "CREATE VIEW v AS SELECT * FROM m; COMMENT ON VIEW v IS 'v';"),
    ],
    "a materialized view becomes a view": [
        files(TABLE + STORED + INDEX + "GRANT SELECT ON m TO PUBLIC;"),
        files(TABLE + "CREATE VIEW m AS SELECT id, a FROM t; COMMENT ON VIEW m IS 'm'; GRANT SELECT ON m TO PUBLIC;"),
    ],
    "a view becomes a materialized view": [
        files(TABLE + VIEW + NOTES + COLUMN_PRIVILEGES + RULE),
        files(TABLE + "CREATE MATERIALIZED VIEW v AS SELECT id, a FROM t;"),
    ],
    "a migration creates a function of functions/ again": [
        files(TABLE, functions=F.format(1) + "COMMENT ON FUNCTION f() IS 'said';"),
        files(TABLE, MIGRATED, functions=F.format(1) + "GRANT EXECUTE ON FUNCTION f() TO pg_read_all_stats;"),
        files(TABLE, MIGRATED, functions=F.format(2)),
    ],
    "a migration creates a function that functions/ declares in the same version": [
        files(TABLE),
        files(TABLE, MIGRATED, functions=F.format(1)),
        files(TABLE, MIGRATED, functions=F.format(1) + "COMMENT ON FUNCTION f() IS 'said';"),
    ],
    "a migration creates a function under default privileges": [
        files(TABLE + DEFAULT_PRIVILEGES),
        files(TABLE + DEFAULT_PRIVILEGES, MIGRATED, functions=F.format(1)),
    ],
    "what functions/ adds to a table moves to its file": [files(TABLE, functions=ADDED), files(TABLE + ADDED)],
    "what functions/ adds to a table moves to a migration": [
        files(TABLE, functions=ADDED),
        files(TABLE, ADDED_AGAIN),
    ],
    "functions/ no longer adds to a table what a migration adds": [
        files(TABLE, ADDED, functions=ADDED_AGAIN),
        files(TABLE, ADDED),
    ],
    "functions/ no longer adds to a table what a migration adds and a later one reverts": [
        files(TABLE, ADDED, REVERTED, functions=ADDED),
        files(TABLE, ADDED, REVERTED),
    ],
}

TAKEN_OUT = (
    "GRANT EXECUTE ON FUNCTION f() TO PUBLIC;",
    "GRANT EXECUTE ON FUNCTION f() TO CURRENT_USER, pg_monitor;",
    "REVOKE ALL ON FUNCTION f() FROM PUBLIC;",
    "REVOKE ALL ON FUNCTION f() FROM PUBLIC; GRANT EXECUTE ON FUNCTION f() TO PUBLIC;",
    "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;",
    "REVOKE ALL ON t FROM PUBLIC;",
    "GRANT ALL ON t TO CURRENT_USER;",
    "GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;",
    "REVOKE CREATE ON SCHEMA public FROM PUBLIC;",
    "REVOKE ALL ON SCHEMA public FROM PUBLIC;",
    "GRANT USAGE ON SCHEMA public TO PUBLIC;",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO pg_monitor;",
)
WITH_F = files(TABLE, functions=F.format(1))
HARDENED = files(TABLE + DEFAULT_PRIVILEGES, functions=F.format(1))
CASES |= {
    f"{where}functions/ no longer has {text}": [schema | {"functions/y.pssql": text}, schema]
    for where, schema in (("", WITH_F), ("under default privileges, ", HARDENED))
    for text in TAKEN_OUT
}

REVOKED = "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;"
OF_ROWS = "CREATE FUNCTION f(x t) RETURNS int LANGUAGE sql AS 'SELECT x.a'; CREATE FUNCTION g() RETURNS SETOF int"
OF_ROWS += " LANGUAGE sql AS 'SELECT f(t) FROM t';"
CASES["a function gets another argument while the privileges on all change"] = [
    WITH_F,
    files(TABLE, functions=OF_ROWS) | {"functions/y.pssql": F.format(1).replace("f()", "y()") + REVOKED},
]
BLOCK = "DO $$ BEGIN IF 1 = 1 THEN GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO pg_monitor; END IF; END $$;"
CASES["a block grants on all functions, of which there are more later"] = [
    WITH_F | {"functions/y.pssql": BLOCK},
    WITH_F | {"functions/y.pssql": BLOCK, "functions/z.pssql": F.format(1).replace("f()", "z()")},
]
CASES["a block no longer grants"] = [WITH_F | {"functions/y.pssql": BLOCK}, WITH_F]
G_AND_SECURE = "CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION f() SECURITY DEFINER;"
SECURE = "ALTER FUNCTION f() SECURITY DEFINER; "
CASES |= {
    f"a file alters the function of another one, {what}": [WITH_F | {"functions/y.pssql": then}, last]
    for what, then, last in (
        ("which changes", G_AND_SECURE, files(TABLE, functions=F.format(2)) | {"functions/y.pssql": G_AND_SECURE}),
        ("and no longer does", G_AND_SECURE, WITH_F | {"functions/y.pssql": G_AND_SECURE.partition(" ALTER")[0]}),
        ("and alters less", SECURE + "ALTER FUNCTION f() STABLE;", WITH_F | {"functions/y.pssql": SECURE}),
        ("and is gone", SECURE, WITH_F),
    )
}


@pytest.mark.parametrize("versions", CASES.values(), ids=CASES.keys())
def test_privileges_and_comments_are_those_of_a_new_database(
    make_database: Callable[[], str], versions: list[dict[str, str]]
):
    fresh = Tenant(make_database())
    assert fresh.register(versions[-1]).differences == ()
    for taken in (versions, [versions[0], versions[-1]]):
        tenant = Tenant(make_database())
        tenant.register(taken[0])
        for version in taken[1:]:
            report = tenant.migrate(version)
        assert report.differences == ()
        assert structure(tenant) == structure(fresh)
        assert tenant.migrate(versions[-1] | {"seeders/none.pssql": ""}).schema_validation.is_empty


def test_what_moves_from_functions_to_tables_stays_as_it_is(tenant: Tenant):
    tenant.register(files(TABLE, functions=ADDED))
    report = tenant.migrate(files(TABLE + ADDED))
    assert report.schema_validation.is_empty
    assert report.differences == ()
