"""Functions beside what uses them or is used by them: tables, triggers, migrations, blocks."""

from __future__ import annotations

import pytest

from migrations_engine import EngineError
from tests.migrations_engine.deploy.functions.conftest import function, identities, one


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
        "functions/f.pssql": "CREATE FUNCTION f(x t.a%/* of t */TYPE) RETURNS t.a% TYPE LANGUAGE sql AS 'SELECT x'",
        "functions/g.pssql": one("g"),
    }
    tenant.register(files)
    report = tenant.migrate(files | {"tables/t.pssql": "CREATE TABLE t (a bigint)"})
    assert (report.functions_updated, report.functions_skipped) == (1, 1)
    assert tenant.rows(
        "SELECT oid::regprocedure::text, prorettype::regtype::text FROM pg_proc WHERE proname = 'f'"
    ) == [("f(bigint)", "bigint")]


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


def test_a_migration_renames_a_function_whose_new_name_an_earlier_one_has_needed(tenant):
    """The function is made for the earlier migration, so its name is taken when the rename comes."""
    text = "CREATE FUNCTION {0}(a int) RETURNS int IMMUTABLE RETURN a + 1; CREATE INDEX i ON t ({0}(id));"
    table = {"tables/t.pssql": "CREATE TABLE t (id int PRIMARY KEY, a int);"}
    tenant.register(table | {"functions/f.pssql": text.format("f")})
    tenant.execute("INSERT INTO t VALUES (1)")
    files = table | {
        "functions/f.pssql": text.format("g"),
        "migrations/1.pssql": "UPDATE t SET a = g(id);",
        "migrations/2.pssql": "ALTER FUNCTION f RENAME TO g;",
    }
    report = tenant.migrate(files)
    assert (report.warnings, report.differences) == ((), ())
    assert tenant.rows("SELECT * FROM t") == [(1, 2)]
    assert tenant.rows("SELECT to_regproc('f'), to_regproc('g') IS NOT NULL") == [(None, True)]
    mistake = "CREATE FUNCTION h(a int) RETURNS int LANGUAGE sql AS 'SELECT a'; ALTER FUNCTION h RENAME TO g;"
    with pytest.raises(EngineError, match="already exists"):
        tenant.migrate(files | {"migrations/3.pssql": mistake})


def test_all_columns_in_a_parsed_body_are_those_that_the_table_has_now(tenant):
    """PostgreSQL stores such a body with the columns of its time."""
    files = {
        "tables/t.pssql": "CREATE TABLE t (id int, a text); CREATE TABLE log (id int, a text);",
        "functions/f.pssql": "CREATE FUNCTION f() RETURNS SETOF t BEGIN /* parsed */ ATOMIC SELECT * FROM t; END;"
        "CREATE FUNCTION note() RETURNS void BEGIN ATOMIC INSERT INTO log SELECT * FROM t; END;",
    }
    tenant.register(files)
    tenant.execute("INSERT INTO t VALUES (1, 'x')")
    files["tables/t.pssql"] = files["tables/t.pssql"].replace("text", "text, b int DEFAULT 7")
    report = tenant.migrate(files)
    assert (report.warnings, report.differences) == ((), ())
    assert tenant.rows("SELECT * FROM f()") == [(1, "x", 7)]
    tenant.execute("SELECT note()")
    assert tenant.rows("SELECT * FROM log") == [(1, "x", 7)]
    assert tenant.migrate(files).functions_updated == 0
