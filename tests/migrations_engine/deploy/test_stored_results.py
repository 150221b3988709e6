"""What has stored results of a function or text search configuration is rebuilt or named when that changes."""

from __future__ import annotations

import psycopg
import pytest

from migrations_engine import EngineError


def norm(suffix: str) -> str:
    return f"CREATE FUNCTION norm(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT lower($1) || '{suffix}' $$;"


def test_indexes_of_a_changed_function_are_rebuilt(tenant):
    table = {"tables/t.pssql": "CREATE TABLE t (a text); CREATE INDEX i ON t (norm(a));"}
    tenant.register(table | {"functions/n.pssql": norm("")})
    tenant.execute("INSERT INTO t VALUES ('A')")
    report = tenant.migrate(table | {"functions/n.pssql": norm("x")})
    assert (report.functions_updated, report.warnings) == (1, ())
    with psycopg.connect(tenant.conninfo) as connection:
        connection.execute("SET enable_seqscan = off")
        assert connection.execute("SELECT a FROM t WHERE norm(a) = 'ax'").fetchall() == [("A",)]


def test_a_changed_function_that_breaks_a_unique_index_is_refused(tenant):
    table = {"tables/t.pssql": "CREATE TABLE t (a text); CREATE UNIQUE INDEX i ON t (norm(a));"}
    tenant.register(table | {"functions/n.pssql": norm("")})
    tenant.execute("INSERT INTO t VALUES ('A'), ('B')")
    same = norm("").replace("lower($1)", "left($1, 0)")
    with pytest.raises(EngineError, match=r"rebuilding the index public\.i for public\.norm"):
        tenant.migrate(table | {"functions/n.pssql": same})
    assert tenant.rows("SELECT norm('A')") == [("a",)]


def test_stored_results_of_a_changed_function_are_named(tenant):
    table = {
        "tables/t.pssql": "CREATE TABLE t (a text DEFAULT norm('x'), g text GENERATED ALWAYS AS (norm(a)) STORED,"
        " CONSTRAINT c CHECK (norm(a) <> '')); CREATE TABLE p (a text) PARTITION BY LIST (norm(a));"
    }
    tenant.register(table | {"functions/n.pssql": norm("")})
    warnings = tenant.migrate(table | {"functions/n.pssql": norm("x")}).warnings
    for user in ("the generated column t.g", "constraint c on table t", "the partition key of p"):
        assert any(user in warning and "has changed" in warning for warning in warnings)
    assert len(warnings) == 3


ROWS = "CREATE TABLE t (a int);"
VIEWS = {
    "functions/a.pssql": "CREATE MATERIALIZED VIEW mv AS SELECT a FROM other",
    "functions/b.pssql": "CREATE MATERIALIZED VIEW other AS SELECT a FROM t",
}


def test_new_materialized_views_have_the_rows_of_seeders(tenant):
    schema = VIEWS | {"tables/t.pssql": ROWS, "seeders/t.pssql": "INSERT INTO t VALUES (7)"}
    tenant.register({"tables/u.pssql": "CREATE TABLE u (a int)"})
    tenant.register(schema, force=True)
    assert tenant.rows("SELECT a FROM mv") == [(7,)]
    tenant.execute("DELETE FROM t; REFRESH MATERIALIZED VIEW other; REFRESH MATERIALIZED VIEW mv")
    tenant.register(schema | {"seeders/t.pssql": "INSERT INTO t VALUES (8)"}, add_seeds=True)
    assert tenant.rows("SELECT a FROM t") == [(8,)]
    assert tenant.rows("SELECT a FROM mv") == []  # later refreshes are the application's


def test_a_materialized_view_that_fails_over_seeded_rows_is_named(tenant):
    view = {"functions/v.pssql": "CREATE MATERIALIZED VIEW mv AS SELECT 1 / a AS a FROM t"}
    unfilled = {"functions/w.pssql": "CREATE MATERIALIZED VIEW unfilled AS SELECT 1 / a FROM t WITH NO DATA"}
    report = tenant.register(view | unfilled | {"tables/t.pssql": ROWS, "seeders/t.pssql": "INSERT INTO t VALUES (0)"})
    assert [text.partition(", because")[0] for text in report.warnings] == [
        'the materialized view "public"."mv" is without the rows of seeders/'
    ]


def changed_function(name: str, result: str) -> str:
    return f"CREATE FUNCTION {name}(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + {result}';"


@pytest.mark.parametrize(
    "caller",
    ["AS 'SELECT public.inner_one($1)'", "RETURN inner_one($1)"],
    ids=["a body that is a string", "a body in SQL"],
)
def test_indexes_of_a_function_that_calls_a_changed_one_are_rebuilt(tenant, caller):
    files = {
        "tables/t.pssql": "CREATE TABLE t (a int); CREATE INDEX i ON t (outer_one(a));",
        "functions/o.pssql": f"CREATE FUNCTION outer_one(int) RETURNS int LANGUAGE sql IMMUTABLE {caller};",
    }
    tenant.register(files | {"functions/i.pssql": changed_function("inner_one", "0")})
    tenant.execute("INSERT INTO t VALUES (1)")
    assert tenant.migrate(files | {"functions/i.pssql": changed_function("inner_one", "1")}).warnings == ()
    assert found_by_index(tenant, "SELECT a FROM t WHERE outer_one(a) = 2") == [(1,)]


def test_indexes_of_an_operator_class_with_a_changed_function_are_rebuilt(tenant):
    files = {
        "tables/t.pssql": "CREATE FUNCTION same(int, int) RETURNS boolean LANGUAGE sql IMMUTABLE AS"
        " 'SELECT $1 = $2 + 0';"
        "CREATE OPERATOR === (FUNCTION = same, LEFTARG = int, RIGHTARG = int);"
        "CREATE TABLE t (a int, CONSTRAINT k CHECK (a === a)); CREATE INDEX i ON t (a) WHERE a === 1;"
    }
    tenant.register(files)
    tenant.execute("INSERT INTO t VALUES (1)")
    changed = {"tables/t.pssql": files["tables/t.pssql"].replace("$2 + 0", "$2 + $1 - $2")}
    (warning,) = tenant.migrate(changed).warnings
    assert warning.startswith("public.same(integer,integer) has changed, and constraint k on table t uses it")


SEARCHED = (
    "CREATE TABLE t (a text, v tsvector GENERATED ALWAYS AS (to_tsvector('c', a)) STORED);"
    "CREATE INDEX i ON t USING gin (to_tsvector('c', a));"
)
CONFIGURATION = "CREATE TEXT SEARCH CONFIGURATION c (COPY = {});"
DICTIONARY = (
    "CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = simple{}); CREATE TEXT SEARCH CONFIGURATION c (COPY = simple);"
    "ALTER TEXT SEARCH CONFIGURATION c ALTER MAPPING FOR asciiword WITH d;"
)


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        (CONFIGURATION.format("simple"), CONFIGURATION.format("english"), "text search configuration public.c"),
        (DICTIONARY.format(""), DICTIONARY.format(", STOPWORDS = english"), "text search dictionary public.d"),
    ],
    ids=["configuration", "dictionary"],
)
def test_results_of_a_changed_text_search_are_rebuilt_or_named(tenant, before: str, after: str, changed: str):
    tenant.register({"tables/t.pssql": before + SEARCHED})
    tenant.execute("INSERT INTO t VALUES ('the cat'), ('cat')")
    (warning,) = tenant.migrate({"tables/t.pssql": after + SEARCHED}).warnings
    assert warning.startswith(f"{changed} has changed, and the generated column t.v uses it")
    query = "SELECT count(*) FROM t WHERE to_tsvector('c', a) @@ 'the'::tsquery"
    assert found_by_index(tenant, query) == [(0,)]
    assert tenant.rows("SELECT v FROM t") == [("'cat':2 'the':1",), ("'cat':1",)]
    advised = {"tables/t.pssql": after + SEARCHED, "migrations/001.pssql": "UPDATE t SET a = a;"}
    assert tenant.migrate(advised).warnings == ()
    assert tenant.rows("SELECT v FROM t") == [("'cat':2",), ("'cat':1",)]


@pytest.mark.parametrize("name", ["v", '"V v"'])
def test_results_that_are_computed_after_the_change_are_not_named(tenant, name: str):
    table = (
        f"CREATE TABLE t (a varchar(20), {name} tsvector GENERATED ALWAYS AS (to_tsvector('c', a){{0}}) STORED,"
        "CONSTRAINT k CHECK (to_tsvector('c', a){0} @@ 'cat'::tsquery));"
    )
    tenant.register({"tables/t.pssql": DICTIONARY.format("") + table.format("")})
    tenant.execute("INSERT INTO t VALUES ('the cat')")
    changed = DICTIONARY.format(", STOPWORDS = english") + table.format(" || to_tsvector('c', 'the')")
    assert tenant.migrate({"tables/t.pssql": changed}).warnings == ()
    assert tenant.rows(f"SELECT {name} FROM t") == [("'cat':2",)]


def replaced(suffix: str) -> str:
    return norm(suffix).replace("CREATE", "CREATE OR REPLACE")


NORMED = "CREATE TABLE t (a text, g text GENERATED ALWAYS AS (norm(a)) STORED); CREATE INDEX i ON t (norm(a));"
NORMED_BY = {
    "a migration": ({"migrations/001.pssql": norm("") + NORMED}, "x"),
    "a file of functions that lags": ({"functions/n.pssql": norm(""), "tables/t.pssql": NORMED}, ""),
    "a file of tables that lags": ({"tables/t.pssql": norm("") + NORMED}, ""),
    "a file of types that lags": ({"types/n.pssql": norm(""), "tables/t.pssql": NORMED}, ""),
}


@pytest.mark.parametrize("maker", NORMED_BY)
def test_results_of_a_function_that_a_migration_replaces_are_rebuilt_or_named(tenant, maker: str):
    files, suffix = NORMED_BY[maker]
    tenant.register(files)
    tenant.execute("INSERT INTO t VALUES ('A')")
    replacing = replaced("x") + "INSERT INTO t VALUES ('B');"
    (warning,) = tenant.migrate(files | {"migrations/002.pssql": replacing}).warnings
    assert warning.startswith("public.norm(pg_catalog.text) has changed, and the generated column t.g uses it")
    assert found_by_index(tenant, f"SELECT a FROM t WHERE norm(a) IN ('a{suffix}', 'b{suffix}')") == [("A",), ("B",)]


def test_a_migration_that_replaces_a_function_of_an_index_is_checked_by_it(tenant):
    first = {"migrations/001.pssql": norm("") + NORMED.replace("INDEX", "UNIQUE INDEX")}
    tenant.register(first)
    tenant.execute("INSERT INTO t VALUES ('A'), ('B')")
    same = replaced("").replace("lower($1)", "left($1, 0)")
    with pytest.raises(EngineError, match=r"rebuilding the index public\.i for public\.norm"):
        tenant.migrate(first | {"migrations/002.pssql": same})
    assert tenant.rows("SELECT norm('A')") == [("a",)]


RENEWING = {
    "sets the columns": 'UPDATE t SET "a" = /* as it is */ "a";',
    "makes the column again": "ALTER TABLE t DROP g; ALTER TABLE t ADD g text GENERATED ALWAYS AS (norm(a)) STORED;",
}


@pytest.mark.parametrize("way", RENEWING)
def test_results_that_the_migration_computes_again_are_not_named(tenant, way: str):
    first = {"migrations/001.pssql": norm("") + NORMED}
    tenant.register(first)
    tenant.execute("INSERT INTO t VALUES ('A')")
    assert tenant.migrate(first | {"migrations/002.pssql": replaced("x") + RENEWING[way]}).warnings == ()
    assert tenant.rows("SELECT a, g FROM t") == [("A", "ax")]


def test_results_that_are_computed_before_the_change_are_named(tenant):
    first = {"migrations/001.pssql": norm("") + NORMED}
    tenant.register(first)
    tenant.execute("INSERT INTO t VALUES ('A')")
    assert tenant.migrate(first | {"migrations/002.pssql": "UPDATE t SET a = a;" + replaced("x")}).warnings


def test_indexes_of_a_new_database_follow_the_functions_of_its_migrations(tenant):
    files = {
        "tables/t.pssql": norm("") + NORMED,
        "migrations/001.pssql": replaced("x") + "INSERT INTO t VALUES ('A');",
        "migrations/002.pssql": replaced(""),
    }
    assert tenant.register(files).warnings == ()
    assert found_by_index(tenant, "SELECT a FROM t WHERE norm(a) = 'a'") == [("A",)]


@pytest.mark.parametrize("migrations", [1, 2], ids=["one migration", "two migrations"])
@pytest.mark.parametrize("rows_first", [True, False], ids=["an old database", "a new database"])
def test_results_of_a_function_that_its_own_deploy_replaces_are_rebuilt(tenant, migrations: int, rows_first: bool):
    table, rows = {"tables/t.pssql": "CREATE TABLE t (a text);"}, "INSERT INTO t VALUES ('A'), ('B');"
    using = "CREATE INDEX i ON t (norm(a)); COMMENT ON INDEX i IS 'c'; ALTER TABLE t ADD CHECK (norm(a) <> '');"
    texts = [norm("") + ("" if rows_first else rows) + using, replaced("x")]
    files = table | {f"migrations/00{n}.pssql": text for n, text in enumerate(texts[:migrations], 1)}
    files["migrations/001.pssql"] = "".join(texts) if migrations == 1 else texts[0]
    if rows_first:
        tenant.register(table)
        tenant.execute(rows)
    warnings = tenant.migrate(files).warnings
    assert [one for one in warnings if "constraint t_a_check on table t uses it" in one] if rows_first else not warnings
    assert found_by_index(tenant, "SELECT a FROM t WHERE norm(a) = 'ax'") == [("A",)]
    assert tenant.rows("SELECT obj_description('i'::regclass, 'pg_class')") == [("c",)]


def test_results_of_a_text_search_that_a_migration_changes_are_rebuilt_or_named(tenant):
    table = {"tables/t.pssql": DICTIONARY.format("") + SEARCHED}
    tenant.register(table)
    tenant.execute("INSERT INTO t VALUES ('the cat'), ('cat')")
    changing = "ALTER TEXT SEARCH DICTIONARY d (STOPWORDS = english);"
    warnings = tenant.migrate(table | {"migrations/001.pssql": changing}).warnings
    (warning,) = [one for one in warnings if "has changed" in one]
    assert warning.startswith("text search dictionary public.d has changed, and the generated column t.v uses it")
    query = "SELECT count(*) FROM t WHERE to_tsvector('c', a) @@ 'the'::tsquery"
    assert found_by_index(tenant, query) == [(1,)]  # it is as declared in the end


def found_by_index(tenant, query: str) -> list[tuple]:
    with psycopg.connect(tenant.conninfo) as connection:
        connection.execute("SET enable_seqscan = off")
        return connection.execute(query).fetchall()
