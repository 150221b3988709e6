"""Functions that are not as in a new database are named, with the privileges and comments on them."""

from __future__ import annotations

import pytest

T = {"tables/t.pssql": "CREATE TABLE t (id int PRIMARY KEY);"}
F = "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT {}';"
ONE, TWO = F.format(1), F.format(2).replace("CREATE", "CREATE OR REPLACE")
AGGREGATE = "CREATE AGGREGATE f(int) (SFUNC = int4pl, STYPE = int);"
IN_A_FILE = T | {"functions/f.pssql": ONE}
BY_A_MIGRATION = T | {"migrations/001.pssql": ONE}
MADE = "here, not in a new database; it was made by hand, or by a file that is gone"


@pytest.mark.parametrize(
    ("first", "by_hand", "second", "named"),
    [
        (BY_A_MIGRATION, "", T, f"public.f(): {MADE}"),
        (T, ONE, T, f"public.f(): {MADE}"),
        (T, AGGREGATE, T, f"public.f(integer): {MADE}"),
        (T, "CREATE PROCEDURE f() LANGUAGE sql AS 'SELECT 1'", T, f"public.f(): {MADE}"),
        (
            BY_A_MIGRATION,
            "DROP FUNCTION f()",
            BY_A_MIGRATION,
            "public.f(): not here, in a new database; it was dropped by hand, or by a file that is gone",
        ),
        (
            BY_A_MIGRATION,
            TWO,
            BY_A_MIGRATION,
            "public.f(): here another definition than in a new database; "
            "it was changed by hand, or by a file that is gone",
        ),
        *(
            (
                files,
                "GRANT EXECUTE ON FUNCTION f() TO pg_monitor",
                files,
                "public.f(): here GRANT EXECUTE TO pg_monitor, not in a new database; "
                "it was done by hand, or by a file that is gone",
            )
            for files in (IN_A_FILE, BY_A_MIGRATION)
        ),
        (
            IN_A_FILE,
            "REVOKE EXECUTE ON FUNCTION f() FROM PUBLIC",
            IN_A_FILE,
            "public.f(): here REVOKE EXECUTE FROM PUBLIC, not in a new database; "
            "it was done by hand, or by a file that is gone",
        ),
        (
            IN_A_FILE,
            "COMMENT ON FUNCTION f() IS 'by hand'",
            IN_A_FILE,
            "public.f() (comment): here by hand, in a new database not there; "
            "it was changed by hand, or by a file that is gone",
        ),
    ],
)
def test_a_difference_is_named_until_it_is_gone(tenant, first, by_hand, second, named):
    tenant.register(first)
    if by_hand:
        tenant.execute(by_hand)
    assert tenant.migrate(second).differences == (named,)
    assert tenant.migrate(second).differences == (named,)
    assert tenant.migrate(second | {"seeders/none.pssql": ""}).differences == (named,)


@pytest.mark.parametrize(
    "files",
    [
        {"functions/f.pssql": f"{ONE} GRANT EXECUTE ON FUNCTION f() TO pg_monitor; COMMENT ON FUNCTION f() IS 'x';"},
        {"functions/f.pssql": f"{ONE} REVOKE ALL ON FUNCTION f() FROM PUBLIC;"},
        {
            "functions/f.pssql": ONE,
            "functions/z.pssql": "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO pg_monitor;",
        },
        {
            "tables/a.pssql": "ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO pg_monitor;",
            "functions/f.pssql": ONE,
        },
        {"tables/a.pssql": f"{ONE} GRANT EXECUTE ON FUNCTION f() TO pg_monitor;"},
        {"migrations/001.pssql": f"{ONE} GRANT EXECUTE ON FUNCTION f() TO pg_monitor; COMMENT ON FUNCTION f() IS 'x';"},
        {"migrations/001.pssql": ONE, "functions/f.pssql": TWO},
        {
            "types/c.pssql": "CREATE TYPE c AS (a int);",
            "migrations/001.pssql": AGGREGATE + ONE.replace("f()", "f(p c)"),
        },
    ],
)
def test_what_the_files_make_is_no_difference(tenant, make_database, files):
    tenant.register(T)
    assert tenant.migrate(T | files).differences == ()
    assert tenant.migrate(T | files | {"seeders/none.pssql": ""}).differences == ()
    assert type(tenant)(make_database()).register(T | files).differences == ()
