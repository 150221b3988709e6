"""Privileges and comments on functions, which migrations change and files of ``functions/`` give again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.migrations_engine.conftest import Tenant
from tests.support.structure import structure_of

FILES = {
    "functions/f.pssql": "CREATE FUNCTION f(x int) RETURNS int LANGUAGE sql AS 'SELECT x + 1';",
    "functions/g.pssql": "CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1';",
}


@pytest.mark.parametrize("file", ["migrations/1.pssql", "tables/privileges.pssql", "functions/z.pssql"])
def test_existing_functions_follow_the_default_privileges(tenant: Tenant, make_database: Callable[[], str], file: str):
    tenant.register(FILES)
    tenant.execute("GRANT EXECUTE ON FUNCTION f TO pg_monitor")
    hardened = {**FILES, file: "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;"}
    report = tenant.migrate(hardened)
    assert report.warnings == ()
    assert report.differences == (
        "public.f(integer): here GRANT EXECUTE TO pg_monitor, not in a new database; "
        "it was done by hand, or by a file that is gone",
    )
    tenant.execute("REVOKE EXECUTE ON FUNCTION f FROM pg_monitor")
    new = Tenant(make_database())
    new.register(hardened)
    assert structure_of(tenant.conninfo) == structure_of(new.conninfo)


@pytest.mark.parametrize(
    "change",
    [
        "GRANT EXECUTE ON FUNCTION f(int) TO pg_monitor",
        "REVOKE EXECUTE ON FUNCTION f(int) FROM PUBLIC, pg_read_all_stats",
        "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC",
        "COMMENT ON FUNCTION f(int) IS 'changed'",
        "DO 'BEGIN GRANT EXECUTE ON FUNCTION f(int) TO pg_monitor WITH GRANT OPTION; END'",
    ],
)
def test_privileges_and_comments_are_as_functions_give_them(
    tenant: Tenant, make_database: Callable[[], str], change: str
):
    files = {
        **FILES,
        "functions/r.pssql": "GRANT EXECUTE ON FUNCTION f(int) TO pg_read_all_stats; COMMENT ON FUNCTION f IS 'said';",
    }
    tenant.register(files)
    tenant.execute("GRANT EXECUTE ON FUNCTION g() TO pg_read_all_stats")
    before, new = structure_of(tenant.conninfo), Tenant(make_database())

    files["migrations/1.pssql"] = f"{change};"
    tenant.migrate(files)
    new.register(files)

    assert structure_of(tenant.conninfo) == before
    new.execute("GRANT EXECUTE ON FUNCTION g() TO pg_read_all_stats")
    assert structure_of(new.conninfo) == before


def test_a_function_with_a_comment_becomes_a_procedure_before_the_comment_is_removed(tenant: Tenant):
    """A migration needs another function, so all files run before it."""
    grants = "COMMENT ON FUNCTION f(int) IS 'one more'; REVOKE ALL ON FUNCTION f(int) FROM PUBLIC;"
    tenant.register({"functions/f.pssql": FILES["functions/f.pssql"] + grants})
    procedure = "CREATE PROCEDURE f(x int) LANGUAGE sql AS 'SELECT x';"
    report = tenant.migrate(FILES | {"functions/f.pssql": procedure, "migrations/1.pssql": "SELECT g();"})
    assert report.differences == ()
    left = "prokind::text, has_function_privilege('public', oid, 'EXECUTE'), obj_description(oid, 'pg_proc')"
    assert tenant.rows(f"SELECT {left} FROM pg_proc WHERE proname = 'f'") == [("p", True, None)]
