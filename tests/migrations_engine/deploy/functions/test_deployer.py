"""Functions: what counts as a change, what is replaced, and what is dropped."""

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
        "functions/is_code.pssql": "CREATE FUNCTION is_code(c text) RETURNS boolean LANGUAGE sql AS"
        " $$ SELECT c LIKE 'c%' $$",
        "functions/upper_code.pssql": "CREATE FUNCTION upper_code(c text) RETURNS text LANGUAGE sql AS"
        " $$ SELECT upper(c) $$",
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


def one(
    name: str, arguments: str = "", result: str = "int", value: str = "1", create: str = "CREATE OR REPLACE"
) -> str:
    return f"{create} FUNCTION {name}({arguments}) RETURNS {result} LANGUAGE sql AS $$ SELECT {value} $$;"


def identities(tenant) -> list[str]:
    rows = tenant.rows(
        "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE pronamespace NOT IN ('pg_catalog'::regnamespace,"
        " 'information_schema'::regnamespace) ORDER BY 1"
    )
    return [identity for (identity,) in rows]


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


def test_plain_create_keeps_what_uses_the_function(tenant):
    def files(value: int) -> dict[str, str]:
        return {
            "tables/t.pssql": "CREATE TABLE t (a int DEFAULT f(), b int CHECK (b > f()));"
            "CREATE TRIGGER stamp BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION stamp();",
            "functions/f.pssql": one("f", value=str(value), create="CREATE"),
            "functions/stamp.pssql": "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN NEW.b := {value + 1}; RETURN NEW; END $$;",
        }

    tenant.register(files(1))
    tenant.execute("INSERT INTO t DEFAULT VALUES")
    assert tenant.migrate(files(7)).functions_updated == 2
    tenant.execute("INSERT INTO t DEFAULT VALUES")
    assert tenant.rows("SELECT a, b FROM t ORDER BY a") == [(1, 2), (7, 8)]


def test_a_file_may_make_the_trigger_of_its_function(tenant):
    def files(value: int) -> dict[str, str]:
        return {
            "tables/t.pssql": "CREATE TABLE t (a int)",
            "functions/stamp.pssql": "CREATE OR REPLACE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN NEW.a := {value}; RETURN NEW; END $$;"
            "CREATE TRIGGER stamp BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION stamp();",
        }

    tenant.register(files(1))
    assert tenant.migrate(files(2)).functions_updated == 1
    assert tenant.migrate(files(2)).functions_skipped == 1
    tenant.execute("INSERT INTO t DEFAULT VALUES")
    assert tenant.rows("SELECT a FROM t") == [(2,)]


def test_a_function_that_cannot_be_replaced_is_an_error_with_advice(tenant):
    block = "; DO $$ BEGIN CREATE SEQUENCE s; CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1'; END $$;"
    tenant.register({"functions/first.pssql": one("first") + block})
    with pytest.raises(EngineError, match="write CREATE OR REPLACE FUNCTION") as failure:
        tenant.migrate({"functions/first.pssql": one("first", value="2") + block})
    assert (failure.value.file, failure.value.server.sqlstate) == ("functions/first.pssql", "42P07")


@pytest.mark.parametrize("order", ["ab", "ba"])
@pytest.mark.parametrize("caller", ["int", "bigint"])
def test_functions_bound_to_a_replaced_one_are_created_again(tenant, order, caller):
    first, second = order
    atomic = "CREATE FUNCTION f() RETURNS {} LANGUAGE sql BEGIN ATOMIC SELECT g()::{}; END"
    tenant.register({f"functions/{first}.pssql": atomic.format("int", "int"), f"functions/{second}.pssql": one("g")})
    changed = {
        f"functions/{first}.pssql": atomic.format(caller, caller),
        f"functions/{second}.pssql": one("g", result="bigint", value="2::bigint"),
    }
    assert tenant.migrate(changed).functions_deployed == 2
    assert tenant.rows("SELECT f()") == [(2,)]
    assert tenant.migrate(changed).functions_skipped == 2
    assert identities(tenant) == ["f()", "g()"]


def test_an_aggregate_follows_its_function(tenant):
    files = {
        "functions/a.pssql": "CREATE AGGREGATE total (int) (SFUNC = plus, STYPE = int, INITCOND = '0');",
        "functions/plus.pssql": one("plus", "int, int", value="$1 + $2"),
    }
    assert tenant.register(files).functions_deployed == 2
    files["functions/plus.pssql"] = one("plus", "a int, b int", value="a + 2 * b")
    assert tenant.migrate(files).functions_deployed == 2
    files["functions/plus.pssql"] = one("plus", "x int, y int", value="x + 3 * y")
    tenant.migrate(files)
    assert tenant.rows("SELECT total(n) FROM generate_series(1, 2) n") == [(9,)]


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


@pytest.mark.parametrize("value", ["g()", "g() + 1"])
def test_a_body_must_not_call_what_is_dropped_with_the_deploy(tenant, value):
    tenant.register({"functions/f.pssql": one("f", value="g()"), "functions/g.pssql": one("g")})
    with pytest.raises(EngineError, match=r"function g\(\) does not exist") as failure:
        tenant.migrate({"functions/f.pssql": one("f", value=value)})
    assert failure.value.file == "functions/f.pssql"
    assert tenant.rows("SELECT f()") == [(1,)]


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE t (a int, b text); CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION stamp();",
        "CREATE TABLE t (a int, b text DEFAULT five());",
        "CREATE TABLE t (a int CHECK (a < five()::int), b text);",
        "CREATE TABLE t (a int, b text, c text DEFAULT five()); CREATE INDEX i ON t (is_five(b)) WHERE is_five(b);",
        "CREATE TABLE t (a int, b text); CREATE VIEW v AS SELECT five() FROM t;",
    ],
)
def test_an_old_table_may_use_new_functions(tenant, text):
    tenant.register({"tables/t.pssql": "CREATE TABLE t (a int, b text);"})
    tenant.execute("INSERT INTO t VALUES (1, 'b')")
    files = {
        "tables/t.pssql": text,
        "functions/five.pssql": "CREATE FUNCTION five() RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT '5' $$;",
        "functions/is_five.pssql": "CREATE FUNCTION is_five(x text) RETURNS boolean IMMUTABLE LANGUAGE sql AS"
        " $$ SELECT x = public.five() $$;",
        "functions/stamp.pssql": "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.b := five(); RETURN NEW; END $$;",
        "functions/u.pssql": "CREATE FUNCTION all_t() RETURNS SETOF t LANGUAGE sql AS 'SELECT * FROM t';",
    }
    assert tenant.migrate(files).functions_deployed == 4
    tenant.execute("INSERT INTO t VALUES (2, 'c')")
    again = tenant.migrate(files)
    assert again.schema_validation.is_empty
    assert again.functions_skipped == 4


def test_functions_in_files_of_tables_change_like_others(tenant):
    def files(value: str, more: str = "") -> dict[str, str]:
        text = f"""CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN NEW.a := {value}; RETURN NEW; END $$; CREATE TABLE t (a int);
            CREATE TRIGGER stamp BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION stamp();"""
        return {"tables/t.pssql": text + more, "functions/f.pssql": one("f")}

    first = tenant.register(files("1"))
    assert (first.functions_deployed, first.functions_updated) == (2, 2)
    assert tenant.migrate(files("1")).functions_skipped == 2
    more = one("seven", value="7", create="CREATE") + "CREATE TABLE u (b int DEFAULT seven());"
    report = tenant.migrate(files("2", more))
    assert (report.functions_updated, report.functions_skipped, report.tables_created) == (2, 1, 1)
    tenant.execute("INSERT INTO t DEFAULT VALUES; INSERT INTO u DEFAULT VALUES")
    assert tenant.rows("SELECT a, b FROM t, u") == [(2, 7)]
    assert tenant.migrate(files("2", more)).functions_skipped == 3


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("folder", ["tables", "functions"])
@pytest.mark.parametrize("deed", ["REPLACE", "DROP FUNCTION f()", "DROP FUNCTION f(); CREATE FUNCTION f() RETURNS text "
                                  "LANGUAGE sql AS 'SELECT 2::text'"])  # fmt: skip
def test_function_files_replace_changes_of_migrations(tenant, together, folder, deed):
    text = one("f", value="2") if deed == "REPLACE" else deed
    files = {"tables/t.pssql": "CREATE TABLE t (a int);"}
    files[f"{folder}/t.pssql"] = files.get(f"{folder}/t.pssql", "") + one("f")
    later = files | {"migrations/001.pssql": text}
    if not together:
        tenant.register(files)
    elif folder == "functions":
        later |= {"tables/u.pssql": "CREATE TABLE u (a int DEFAULT f())"} if deed == "REPLACE" else {}
        later |= {} if deed == "REPLACE" else {"migrations/000.pssql": "SELECT f()"}
    for _ in range(2):
        assert tenant.migrate(later).verification.passed
        assert tenant.rows("SELECT f()") == [(1,)]


def test_a_function_of_an_unchanged_file_that_the_deploy_breaks_fails_it_and_is_named(tenant):
    files = {
        "tables/t.pssql": "CREATE TABLE t (a int, b int)",
        "functions/a.pssql": "CREATE FUNCTION a(i int) RETURNS boolean LANGUAGE sql AS 'SELECT i > 0'",
        "functions/b.pssql": "CREATE FUNCTION b() RETURNS bigint LANGUAGE sql AS"
        " 'SELECT count(*) FROM t WHERE public.a(a) AND true'",
    }
    tenant.register(files)
    changed = files | {"functions/a.pssql": "CREATE FUNCTION a(i int) RETURNS int LANGUAGE sql AS 'SELECT i'"}
    renamed = files | {
        "tables/t.pssql": "CREATE TABLE t (c int, b int)",
        "migrations/1.pssql": "ALTER TABLE t RENAME a TO c",
    }
    for broken in (changed, renamed):
        with pytest.raises(
            EngineError, match=r"functions/b\.pssql has not changed, but this deploy breaks it"
        ) as failure:
            tenant.migrate(broken)
        assert (failure.value.file, failure.value.code) == ("functions/b.pssql", "function_deploy_failed")
    assert tenant.rows("SELECT b()") == [(0,)]


def test_a_body_is_checked_under_the_search_path_of_its_function(tenant):
    files = {
        "tables/t.pssql": "CREATE SCHEMA billing; CREATE TABLE billing.invoices (a int)",
        "functions/f.pssql": "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql SET search_path = billing AS"
        " 'SELECT count(*) FROM invoices'",
        "functions/g.pssql": "CREATE FUNCTION g() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM invoices'",
    }
    with pytest.raises(EngineError, match=r"invoices") as failure:
        tenant.register(files)
    assert failure.value.file == "functions/g.pssql"
    del files["functions/g.pssql"]
    tenant.register(files)
    assert tenant.migrate(files | {"functions/h.pssql": one("h")}).functions_skipped == 1


def test_a_type_taken_from_a_column_follows_the_column(tenant):
    files = {
        "tables/t.pssql": "CREATE TABLE t (a int)",
        "functions/f.pssql": "CREATE FUNCTION f(x t.a%TYPE) RETURNS t.a%TYPE LANGUAGE sql AS 'SELECT x'",
        "functions/g.pssql": one("g"),
    }
    tenant.register(files)
    report = tenant.migrate(files | {"tables/t.pssql": "CREATE TABLE t (a bigint)"})
    assert (report.functions_updated, report.functions_skipped) == (1, 1)
    assert tenant.rows(
        "SELECT oid::regprocedure::text, prorettype::regtype::text FROM pg_proc WHERE proname = 'f'"
    ) == [("f(bigint)", "bigint")]


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
def test_rights_and_comments_are_granted_and_revoked(tenant, superuser, where):
    superuser.execute("DO $$ BEGIN CREATE ROLE test_caller; EXCEPTION WHEN duplicate_object THEN END $$")
    without = {
        "tables/t.pssql": "CREATE TABLE t (a int);",
        "functions/f.pssql": one("f"),
        "functions/z.pssql": one("g"),
    }
    files = without | {where: without[where] + SETTINGS}

    def rights() -> tuple[list[str], str | None]:
        [(acl, comment)] = tenant.rows(
            "SELECT coalesce(proacl, acldefault('f', proowner))::text[], obj_description(oid)"
            " FROM pg_proc WHERE proname = 'f'"
        )
        return sorted(entry.split("=")[0] for entry in acl), comment

    tenant.register(without)
    before = rights()
    tenant.execute("GRANT EXECUTE ON FUNCTION f() TO pg_monitor")
    for _ in range(2):
        tenant.migrate(files)
        assert "test_caller" in rights()[0]
        assert "" not in rights()[0]
        tenant.migrate(files | {"migrations/1.pssql": "GRANT EXECUTE ON FUNCTION f() TO PUBLIC"})
        assert "" not in rights()[0]
        tenant.migrate(without)
        assert rights() == (sorted([*before[0], "pg_monitor"]), None)


def test_a_trigger_removed_from_a_file_of_functions_is_dropped(tenant):
    function = "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
    trigger = 'CREATE OR REPLACE TRIGGER "Stamp" BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION stamp();'
    files = {"tables/t.pssql": "CREATE TABLE t (a int)", "functions/stamp.pssql": function + trigger}
    tenant.register(files)
    tenant.execute("CREATE TRIGGER mine BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION stamp()")
    tenant.migrate(files | {"functions/stamp.pssql": function})
    assert tenant.rows("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal") == [("mine",)]


TRIGGER = "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tf();"
T = {"tables/t.pssql": "CREATE TABLE t (a int);"}


def trigger_function(number: int, replace: str = "OR REPLACE ") -> str:
    return (
        f"CREATE {replace}FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM {number}; RETURN NEW; END';"
    )


@pytest.mark.parametrize("replace", ["", "OR REPLACE "])
def test_the_advice_about_a_block_that_makes_a_function_works(tenant, replace):
    tenant.register(T | {"functions/f.pssql": f"DO $do$ BEGIN {trigger_function(1, replace)} {TRIGGER} END $do$;"})
    changed = {"functions/f.pssql": f"DO $do$ BEGIN {trigger_function(2, replace)} {TRIGGER} END $do$;"}
    with pytest.raises(
        EngineError, match="write CREATE OR REPLACE FUNCTION as a statement of its own, and leave in the"
    ):
        tenant.migrate(T | changed)
    advised = {"functions/f.pssql": f"{trigger_function(2)} DO $do$ BEGIN {TRIGGER} END $do$;"}
    assert tenant.migrate(T | advised).differences == ()
    assert tenant.rows("SELECT prosrc FROM pg_proc WHERE proname = 'tf'") == [("BEGIN PERFORM 2; RETURN NEW; END",)]
    third = {
        "functions/f.pssql": advised["functions/f.pssql"].replace("PERFORM 2", "PERFORM 3").replace("BEFORE", "AFTER")
    }
    assert tenant.migrate(T | third).differences == ()


def test_what_a_block_makes_beside_a_function_is_no_difference(tenant):
    text = "DO $do$ BEGIN {}CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';"
    text += "CREATE TABLE made (a int); END $do$;"
    for comment in ("", "/* the same */ ", "-- the same\n"):
        assert tenant.register(T | {"functions/f.pssql": text.format(comment)}).differences == ()


def test_a_function_that_a_block_makes_only_where_it_is_missing_stays(tenant):
    text = "DO $do$ BEGIN IF NOT EXISTS (SELECT FROM pg_proc WHERE proname = 'tf') THEN {} END IF; END $do$;"
    tenant.register(T | {"functions/f.pssql": text.format(trigger_function(1))})
    report = tenant.migrate(T | {"functions/f.pssql": text.format(trigger_function(2))})
    assert report.functions_dropped == 0
    assert report.warnings == (
        "functions/f.pssql ran again and left public.tf() as it was; if it is to change, write CREATE OR REPLACE",
    )
    assert tenant.rows("SELECT count(*) FROM pg_proc WHERE proname = 'tf'") == [(1,)]
    without = T | {"functions/g.pssql": "CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1'"}
    assert tenant.migrate(without).functions_dropped == 1


def test_a_block_in_tables_that_makes_a_function_is_named(tenant):
    block = {"tables/z.pssql": f"DO $do$ BEGIN {trigger_function(1)} END $do$;"}
    tenant.register(T | block)
    changed = {"tables/t.pssql": "CREATE TABLE t (a int, b int);"}
    (warning,) = tenant.migrate(block | changed).warnings
    assert warning.startswith("tables/z.pssql creates a function in a DO block, which runs only in new databases")


def test_an_aggregate_that_was_changed_by_hand_is_made_again(tenant):
    total = {"functions/s.pssql": "CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');"}
    tenant.register(total)
    tenant.execute("CREATE OR REPLACE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '5')")
    assert tenant.migrate(total).functions_updated == 1
    assert tenant.rows("SELECT total(1)") == [(1,)]
