"""Functions: what counts as a change, what is replaced, and what goes."""

from __future__ import annotations

import pytest

from migrations_engine import EngineError

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
    "functions/e.pssql": "CREATE FUNCTION e_atomic() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT z_last(); END;",
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


def status(
    body: str, head: str = "CREATE OR REPLACE FUNCTION status() RETURNS text LANGUAGE plpgsql"
) -> dict[str, str]:
    return {"functions/status.pssql": f"{head} AS $$ {body} $$;"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("BEGIN RETURN 'Active'; END", "begin\n  -- why\n  return /* so */ 'Active';\nend"),
        ("BEGIN RETURN \"length\"('x'); END", "BEGIN   RETURN \"length\" ( 'x' ) ; END"),
    ],
)
def test_spelling_is_no_change(tenant, before, after):
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


def function(signature: str, body: str = "SELECT 1") -> dict[str, str]:
    return {"functions/f.pssql": f"CREATE OR REPLACE FUNCTION f({signature} LANGUAGE sql AS $$ {body} $$;"}


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


def test_dependants_of_a_function_to_be_dropped_are_named(tenant):
    tenant.register(function(") RETURNS int"))
    tenant.execute("CREATE VIEW v_uses AS SELECT f() AS x")
    for files in (
        function(") RETURNS bigint"),
        {"functions/g.pssql": "CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1'"},
    ):
        with pytest.raises(EngineError, match="view v_uses") as failure:
            tenant.migrate(files)
        assert failure.value.code == "function_deploy_failed"
    assert tenant.rows("SELECT x FROM v_uses") == [(1,)]
    assert tenant.migrate(function(") RETURNS int", "SELECT 7")).functions_updated == 1


def test_tables_triggers_and_views_may_use_functions(tenant):
    files = {
        "tables/t.pssql": """CREATE TABLE t (id int PRIMARY KEY, code text DEFAULT next_code(), touched boolean,
            CHECK (is_code(code)));
            CREATE TRIGGER touch BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION touch();
            CREATE VIEW codes AS SELECT upper_code(code) AS code FROM t;""",
        "functions/next_code.pssql": "CREATE FUNCTION next_code() RETURNS text LANGUAGE sql AS $$ SELECT 'c1' $$",
        "functions/is_code.pssql": "CREATE FUNCTION is_code(c text) RETURNS boolean LANGUAGE sql AS $$ SELECT c LIKE 'c%' $$",
        "functions/upper_code.pssql": "CREATE FUNCTION upper_code(c text) RETURNS text LANGUAGE sql AS $$ SELECT upper(c) $$",
        "functions/touch.pssql": "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.touched := true; RETURN NEW; END $$",
        "functions/all_t.pssql": "CREATE FUNCTION all_t() RETURNS SETOF t LANGUAGE sql AS 'SELECT * FROM t'",
    }
    assert tenant.register(files).functions_deployed == 5
    tenant.execute("INSERT INTO t (id) VALUES (1)")
    assert tenant.rows("SELECT * FROM all_t(), codes c(upper_code)") == [(1, "c1", True, "C1")]
    again = tenant.migrate(files)
    assert again.functions_skipped == 5
    assert again.schema_validation.is_empty


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
