"""Functions: what counts as a change, what is replaced, and what is dropped."""

from __future__ import annotations

import pytest

from migrations_engine import EngineError
from tests.migrations_engine.deploy.functions.conftest import function, identities, one, status

MANY = {
    "tables/t.pssql": "CREATE TABLE t (id serial PRIMARY KEY, v numeric(10,2));",
    "functions/a.pssql": """
        CREATE OR REPLACE FUNCTION a_typmods(p varchar(500), q numeric(10,2) DEFAULT 1.5, r text DEFAULT 'a,b)',
            s int = 5, t timestamptz DEFAULT now()) RETURNS text LANGUAGE sql AS $$ SELECT p $$;
        CREATE FUNCTION a_inout(INOUT x int, OUT y text, VARIADIC z int[] DEFAULT '{}') LANGUAGE plpgsql AS $tag$
            BEGIN y := format('%s $$ ; %%', x); END $tag$;
    """,
    "functions/b.pssql": "CREATE OR REPLACE FUNCTION b_table() RETURNS TABLE (id int, v numeric) LANGUAGE sql"
    " AS $$ SELECT id, v FROM t $$;",
    "functions/c.pssql": "CREATE FUNCTION public.\"Quoted name\"() RETURNS SETOF t LANGUAGE sql AS 'SELECT * FROM t';",
    "functions/d.pssql": "CREATE OR REPLACE PROCEDURE d_procedure(p int) LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;",
    "functions/e.pssql": "CREATE FUNCTION e_atomic() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1;"
    " SELECT z_last(); END;",
    "functions/f.pssql": "CREATE AGGREGATE f_sum (int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');",
    "functions/g.pssql": "CREATE OR REPLACE FUNCTION g_calls() RETURNS int LANGUAGE sql AS $$ SELECT z_last() $$;",
    "functions/z.pssql": "CREATE OR REPLACE FUNCTION z_last() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;",
}


def test_every_form_of_function_is_deployed_and_then_skipped(tenant):
    assert tenant.register(MANY).functions_deployed == 9
    assert tenant.rows("SELECT e_atomic(), g_calls()") == [(1, 1)]
    again = tenant.migrate(MANY)
    assert (again.functions_deployed, again.functions_skipped, again.functions_updated) == (9, 9, 0)
    changed = MANY | {
        "functions/z.pssql": "CREATE OR REPLACE FUNCTION z_last() RETURNS int LANGUAGE sql AS $$ SELECT 2 $$;"
    }
    report = tenant.migrate(changed)
    assert (report.functions_deployed, report.functions_skipped, report.functions_updated) == (9, 8, 1)
    assert tenant.rows("SELECT g_calls()") == [(2,)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("BEGIN RETURN 'Active'; END", "begin\n  -- why\n  return /* so */ 'Active';\nend"),
        ("BEGIN RETURN \"length\"('x'); END", "BEGIN   RETURN \"length\" ( 'x' ) ; END"),
    ],
)
def test_a_different_spelling_is_no_change(tenant, before, after):
    tenant.register(status(before))
    assert tenant.migrate(status(after)).functions_skipped == 1


@pytest.mark.parametrize(
    ("before", "after", "result"),
    [("'Active'", "'ACTIVE'", "ACTIVE"), ("'a  b'", "'a b'", "a b"), ("'a--b'", "'a--c'", "a--c")],
)
def test_a_literal_is_a_change(tenant, before, after, result):
    tenant.register(status(f"BEGIN RETURN {before}; END"))
    assert tenant.migrate(status(f"BEGIN RETURN {after}; END")).functions_updated == 1
    assert tenant.rows("SELECT status()") == [(result,)]


@pytest.mark.parametrize(
    ("before", "after", "identities"),
    [
        ("a int) RETURNS int", "a int) RETURNS bigint", ["f(a integer)"]),
        ("a int) RETURNS int", "a int, b int) RETURNS int", ["f(a integer, b integer)"]),
        ("a int) RETURNS int", "b int) RETURNS int", ["f(b integer)"]),
        ("a int DEFAULT 1) RETURNS int", "a int) RETURNS int", ["f(a integer)"]),
        ("a int) RETURNS int", "a text) RETURNS int", ["f(a text)"]),
        ("a int) RETURNS int", "a int) RETURNS TABLE (x int)", ["f(a integer)"]),
    ],
)
def test_a_changed_signature_replaces_the_function(tenant, before, after, identities):
    tenant.register(function(before))
    report = tenant.migrate(function(after))
    assert (report.functions_deployed, report.functions_updated) == (1, 1)
    assert tenant.rows(
        "SELECT format('%s(%s)', proname, pg_get_function_identity_arguments(oid)) FROM pg_proc"
        " WHERE pronamespace = 'public'::regnamespace"
    ) == [(identity,) for identity in identities]
    assert tenant.migrate(function(after)).functions_skipped == 1


def test_plain_create_function_is_replaced(tenant):
    plain = "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT {}'"
    tenant.register({"functions/f.pssql": plain.format(1)})
    assert tenant.migrate({"functions/f.pssql": plain.format(2)}).functions_updated == 1
    assert tenant.rows("SELECT f()") == [(2,)]


def test_a_function_becomes_a_procedure(tenant):
    tenant.register({"functions/f.pssql": "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'"})
    tenant.migrate({"functions/f.pssql": "CREATE PROCEDURE f() LANGUAGE sql AS 'SELECT 1'"})
    assert tenant.rows("SELECT prokind::text FROM pg_proc WHERE proname = 'f'") == [("p",)]


def test_another_spelling_of_a_type_makes_no_second_function(tenant):
    tenant.register(function("a INT) RETURNS INT"))
    tenant.migrate(function("a INTEGER) RETURNS INTEGER"))
    assert tenant.rows("SELECT count(*) FROM pg_proc WHERE proname = 'f'") == [(1,)]


def test_renamed_deleted_and_moved_functions(tenant):
    one = "CREATE FUNCTION {0}() RETURNS text LANGUAGE sql AS $$ SELECT '{0}' $$;"
    tenant.register(
        {
            "functions/old.pssql": one.format("old"),
            "functions/gone.pssql": one.format("gone"),
            "functions/stays.pssql": one.format("stays"),
        }
    )
    report = tenant.migrate({"functions/new.pssql": one.format("new"), "functions/moved.pssql": one.format("stays")})
    assert report.functions_dropped == 2
    assert tenant.rows("SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1") == [
        ("new",),
        ("stays",),
    ]


@pytest.mark.parametrize(
    "deed",
    [
        "DROP FUNCTION status()",
        "CREATE OR REPLACE FUNCTION status() RETURNS text LANGUAGE sql AS $$ SELECT 'hacked' $$",
    ],
)
def test_a_function_changed_behind_the_gateways_back_is_restored(tenant, deed):
    files = status("BEGIN RETURN 'right'; END")
    tenant.register(files)
    tenant.execute(deed)
    assert tenant.register(files).functions_updated == 1
    assert tenant.rows("SELECT status()") == [("right",)]


def test_functions_of_migrations_and_people_are_left_alone(tenant):
    tenant.register({"migrations/001.pssql": "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'"} | MANY)
    tenant.execute("CREATE FUNCTION a_hand_made() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    report = tenant.migrate(
        {
            "migrations/001.pssql": "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "tables/t.pssql": MANY["tables/t.pssql"],
        }
    )
    assert report.functions_dropped == 9
    assert tenant.rows("SELECT mine(), a_hand_made()") == [(1, 1)]


def test_a_broken_body_is_found_and_its_file_named(tenant):
    with pytest.raises(EngineError, match="no_such_table") as failure:
        tenant.register(
            {
                "functions/a.pssql": "CREATE FUNCTION a() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                "functions/b.pssql": "CREATE FUNCTION b() RETURNS int LANGUAGE sql AS 'SELECT x FROM no_such_table'",
            }
        )
    assert failure.value.file == "functions/b.pssql"
    assert failure.value.code == "function_deploy_failed"


def test_a_file_may_make_its_functions_dynamically(tenant):
    dynamic = (
        "DO $$ BEGIN EXECUTE 'CREATE OR REPLACE FUNCTION made_by_do() RETURNS int LANGUAGE sql AS ''SELECT 1'''; END $$"
    )
    assert tenant.register({"functions/d.pssql": dynamic}).functions_deployed == 1
    assert tenant.migrate({"functions/d.pssql": dynamic}).functions_skipped == 1


def test_each_of_several_files_may_make_functions_of_one_name(tenant):
    files = {
        "functions/a.pssql": one("f", "a int"),
        "functions/b.pssql": one("f", "a text"),
        "functions/c.pssql": one("f", "a int, b int"),
    }
    assert tenant.register(files).functions_deployed == 3
    assert tenant.migrate(files).functions_skipped == 3
    changed = tenant.migrate(files | {"functions/b.pssql": one("f", "a uuid")})
    assert (changed.functions_updated, changed.functions_skipped, changed.functions_dropped) == (1, 2, 1)
    assert identities(tenant) == ["f(integer)", "f(integer,integer)", "f(uuid)"]
    del files["functions/b.pssql"]
    assert tenant.migrate(files).functions_dropped == 1
    assert identities(tenant) == ["f(integer)", "f(integer,integer)"]


def test_files_may_exchange_their_functions(tenant):
    one_way = {"functions/a.pssql": one("f", "a int"), "functions/b.pssql": one("f", "a text")}
    other_way = {"functions/a.pssql": one_way["functions/b.pssql"], "functions/b.pssql": one_way["functions/a.pssql"]}
    tenant.register(one_way)
    assert tenant.migrate(other_way).functions_dropped == 0
    assert tenant.migrate(other_way).functions_skipped == 2
    assert identities(tenant) == ["f(integer)", "f(text)"]


@pytest.mark.parametrize("create", ["CREATE OR REPLACE", "CREATE"])
def test_of_a_function_that_two_files_make_the_last_is_in_place(tenant, create):
    files = {"functions/a.pssql": one("f", create=create), "functions/b.pssql": one("f", value="2", create=create)}
    report = tenant.register(files)
    assert (report.functions_deployed, tenant.rows("SELECT f()")) == (1, [(2,)])
    assert report.warnings == (
        "public.f() is made by functions/a.pssql and by functions/b.pssql; the latter's is in place",
    )
    assert tenant.migrate(files).functions_updated == 0
    for changed, result in (("functions/a.pssql", 2), ("functions/b.pssql", 4)):
        files = files | {changed: one("f", value="4", create=create)}
        tenant.migrate(files)
        assert tenant.rows("SELECT f()") == [(result,)]
    del files["functions/b.pssql"]
    tenant.migrate(files)
    assert tenant.rows("SELECT f()") == [(4,)]


def test_a_function_of_a_migration_is_not_taken_for_a_files(tenant):
    files = {"migrations/001.pssql": one("f", "a int"), "functions/f.pssql": one("f", "a text")}
    assert tenant.register(files).functions_deployed == 1
    files["functions/f.pssql"] = one("f", "a text", value="2")
    report = tenant.migrate(files)
    assert (report.functions_updated, report.functions_dropped) == (1, 0)
    assert identities(tenant) == ["f(integer)", "f(text)"]


def test_a_function_that_cannot_be_replaced_is_an_error_with_advice(tenant):
    block = "; DO $$ BEGIN CREATE SEQUENCE s; CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1'; END $$;"
    tenant.register({"functions/first.pssql": one("first") + block})
    with pytest.raises(EngineError, match="write CREATE OR REPLACE FUNCTION") as failure:
        tenant.migrate({"functions/first.pssql": one("first", value="2") + block})
    assert (failure.value.file, failure.value.server.sqlstate) == ("functions/first.pssql", "42P07")


def test_grants_are_repeated_for_a_recreated_function(tenant, superuser):
    superuser.execute("DO $$ BEGIN CREATE ROLE test_caller; EXCEPTION WHEN duplicate_object THEN END $$")
    files = {
        "functions/f.pssql": one("f"),
        "functions/z_grants.pssql": "REVOKE ALL ON FUNCTION f() FROM PUBLIC;"
        "GRANT EXECUTE ON FUNCTION f() TO test_caller;"
        "ALTER FUNCTION f() COST 7; COMMENT ON FUNCTION f() IS 'one';",
    }
    tenant.register(files)
    changed = files | {"functions/f.pssql": one("f", result="bigint", value="1::bigint")}
    tenant.migrate(changed)
    [(privileges, cost, comment)] = tenant.rows(
        "SELECT proacl::text, procost::int, obj_description(oid) FROM pg_proc WHERE proname = 'f'"
    )
    assert ("test_caller=X" in privileges, "{=X" in privileges, cost, comment) == (True, False, 7, "one")
    assert tenant.migrate(changed).functions_skipped == 1


def test_another_spelling_counts_as_skipped(tenant):
    tenant.register({"functions/f.pssql": "CREATE FUNCTION f(p INT) RETURNS INT LANGUAGE sql AS 'SELECT p'"})
    report = tenant.migrate(
        {"functions/f.pssql": "CREATE FUNCTION f(p INTEGER) RETURNS int4 LANGUAGE sql AS 'SELECT p'"}
    )
    assert (report.functions_deployed, report.functions_skipped, report.functions_updated) == (1, 1, 0)


SETTINGS = (
    "REVOKE ALL ON FUNCTION f() FROM PUBLIC; GRANT EXECUTE ON FUNCTION f() TO test_caller;"
    "COMMENT ON FUNCTION f() IS 'one';"
)


@pytest.mark.parametrize("where", ["functions/f.pssql", "functions/z.pssql", "tables/t.pssql"])
def test_privileges_and_comments_are_granted_and_revoked(tenant, superuser, where):
    superuser.execute("DO $$ BEGIN CREATE ROLE test_caller; EXCEPTION WHEN duplicate_object THEN END $$")
    without = {
        "tables/t.pssql": "CREATE TABLE t (a int);",
        "functions/f.pssql": one("f"),
        "functions/z.pssql": one("g"),
    }
    files = without | {where: without[where] + SETTINGS}

    def privileges() -> tuple[list[str], str | None]:
        [(acl, comment)] = tenant.rows(
            "SELECT coalesce(proacl, acldefault('f', proowner))::text[], obj_description(oid)"
            " FROM pg_proc WHERE proname = 'f'"
        )
        return sorted(entry.split("=")[0] for entry in acl), comment

    tenant.register(without)
    before = privileges()
    tenant.execute("GRANT EXECUTE ON FUNCTION f() TO pg_monitor")
    for _ in range(2):
        tenant.migrate(files)
        assert "test_caller" in privileges()[0]
        assert "" not in privileges()[0]
        tenant.migrate(files | {"migrations/1.pssql": "GRANT EXECUTE ON FUNCTION f() TO PUBLIC"})
        assert "" not in privileges()[0]
        tenant.migrate(without)
        assert privileges() == (sorted([*before[0], "pg_monitor"]), None)


def test_an_aggregate_that_was_changed_by_hand_is_made_again(tenant):
    total = {"functions/s.pssql": "CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');"}
    tenant.register(total)
    tenant.execute("CREATE OR REPLACE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '5')")
    assert tenant.migrate(total).functions_updated == 1
    assert tenant.rows("SELECT total(1)") == [(1,)]
