"""Rights and comments on functions, which migrations change and files of ``functions/`` give again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.migrations_engine.conftest import Tenant
from tests.support.structure import structure_of

FILES = {
    "tables/t.pssql": "CREATE TABLE t (id int PRIMARY KEY, a int);",
    "functions/f.pssql": "CREATE FUNCTION f(x int) RETURNS int LANGUAGE sql AS 'SELECT x + 1';",
    "functions/g.pssql": "CREATE FUNCTION g() RETURNS SETOF v LANGUAGE sql AS 'SELECT * FROM v';",
    "functions/h.pssql": "CREATE FUNCTION h() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.a := 7; RETURN NEW; END';",
    "functions/tr.pssql": "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION h();",
    "functions/v.pssql": "CREATE VIEW u AS SELECT id, f(id) FROM t; CREATE VIEW v AS SELECT * FROM u;",
    "functions/p.pssql": "CREATE POLICY p ON t USING (f(a) > 1);",
}


def test_default_rights_on_functions_are_set_in_functions(tenant: Tenant, make_database: Callable[[], str]):
    tenant.register(FILES)

    files = {
        **FILES,
        "migrations/1.pssql": "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;",
    }
    (warning,) = tenant.migrate(files).warnings
    assert warning.startswith("migrations/1.pssql changes the default rights on functions, ")
    assert warning.endswith("set the rights ON ALL ROUTINES IN SCHEMA in a file of functions/")

    files["functions/z.pssql"] = "REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA public FROM PUBLIC;"
    assert not tenant.migrate(files).warnings
    new = Tenant(make_database())
    new.register(files)
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
def test_rights_and_comments_are_as_functions_give_them(tenant: Tenant, make_database: Callable[[], str], change: str):
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
