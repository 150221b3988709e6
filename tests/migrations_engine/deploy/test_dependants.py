"""Views, functions, policies, checks … that use what changes are dropped and made again, with their privileges."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from migrations_engine import EngineError
from tests.migrations_engine.conftest import Tenant
from tests.support.structure import structure_of

T = "CREATE TABLE t (id int PRIMARY KEY, a int, b text);"
F = "CREATE FUNCTION f(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';"
G = "CREATE FUNCTION f(y int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';"


def schema(tables: str, **functions: str) -> dict[str, str]:
    return {"tables/t.pssql": tables} | {f"functions/{name}.pssql": text for name, text in functions.items()}


#: A type with operators of its own; {} takes a further property of the first one.
OPERATORS = (
    "CREATE TYPE c AS (x int);"
    "CREATE FUNCTION ceq(c, c) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT ($1).x = ($2).x';"
    "CREATE FUNCTION ccmp(c, c) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT ($1).x - ($2).x';"
    "CREATE OPERATOR === (FUNCTION = ceq, LEFTARG = c, RIGHTARG = c, COMMUTATOR = ==={});"
)
USERS_OF_OPERATORS = (
    "CREATE TABLE o (a c, b c DEFAULT CASE WHEN ROW(1)::c === ROW(1)::c THEN ROW(2)::c END, CHECK (a === a));"
    "CREATE VIEW v AS SELECT a FROM o WHERE a === ROW(1)::c; CREATE POLICY p ON o USING (a === a);"
    "CREATE INDEX i ON o (a) WHERE a === ROW(1)::c; CREATE INDEX j ON o ((a === b));"
    "CREATE FUNCTION f(c) RETURNS boolean LANGUAGE sql BEGIN ATOMIC SELECT $1 === $1; END;"
)
#: For a superuser.
OPERATOR_CLASS = (
    "CREATE OPERATOR CLASS oc FOR TYPE c USING btree AS OPERATOR 3 ===, FUNCTION 1 ccmp(c, c);"
    "CREATE TABLE u (a c, EXCLUDE USING btree (a oc WITH ===)); CREATE INDEX k ON u (a oc);"
)
STATISTICS = "CREATE STATISTICS s ON f(a), a FROM t; COMMENT ON STATISTICS s IS 'x';"
CASES = {
    "a function that statistics use": (schema(T + STATISTICS, f=F), schema(T + STATISTICS, f=G)),
    "an operator under a view, a policy, a check, a default, indexes and a function": (
        schema(T + OPERATORS.format("") + USERS_OF_OPERATORS),
        schema(T + OPERATORS.format(", RESTRICT = eqsel") + USERS_OF_OPERATORS),
    ),
    "a view that reorders its columns, under a view, a function and a policy": (
        schema(
            T + "CREATE VIEW v AS SELECT a, b FROM t; CREATE VIEW w AS SELECT a FROM v; COMMENT ON VIEW w IS 'w';"
            "GRANT SELECT ON w TO pg_monitor; ALTER TABLE t ENABLE ROW LEVEL SECURITY;"
            "CREATE POLICY p ON t USING (a IN (SELECT a FROM v));",
            g="CREATE FUNCTION g() RETURNS SETOF v LANGUAGE sql BEGIN ATOMIC SELECT * FROM v; END;"
            "GRANT EXECUTE ON FUNCTION g() TO pg_monitor;",
            h="CREATE FUNCTION h(x v) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        ),
        schema(
            T + "CREATE VIEW v AS SELECT b, a FROM t; CREATE VIEW w AS SELECT a FROM v; COMMENT ON VIEW w IS 'w';"
            "GRANT SELECT ON w TO pg_monitor; ALTER TABLE t ENABLE ROW LEVEL SECURITY;"
            "CREATE POLICY p ON t USING (a IN (SELECT a FROM v));",
            g="CREATE FUNCTION g() RETURNS SETOF v LANGUAGE sql BEGIN ATOMIC SELECT * FROM v; END;"
            "GRANT EXECUTE ON FUNCTION g() TO pg_monitor;",
            h="CREATE FUNCTION h(x v) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        ),
    ),
    "a column that becomes wider under a BEGIN ATOMIC body": (
        schema(T, g="CREATE FUNCTION g() RETURNS SETOF t LANGUAGE sql BEGIN ATOMIC SELECT * FROM t; END;"),
        schema(
            T.replace("a int", "a bigint"),
            g="CREATE FUNCTION g() RETURNS SETOF t LANGUAGE sql BEGIN ATOMIC SELECT * FROM t; END;",
        ),
    ),
    "a function with another signature under a view, a policy, a check, a default, an index and a function": (
        schema(
            T + "CREATE VIEW v AS SELECT f(a) AS x FROM t; CREATE MATERIALIZED VIEW m AS SELECT x FROM v;"
            "CREATE UNIQUE INDEX m_x ON m (x); CREATE POLICY p ON t USING (f(a) > 0); CREATE INDEX t_f ON t (f(a));"
            "ALTER TABLE t ADD CONSTRAINT c CHECK (f(a) > 0); ALTER TABLE t ALTER id SET DEFAULT f(1);",
            f=F,
            g="CREATE FUNCTION g() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT f(x) FROM v; END;",
        ),
        schema(
            T + "CREATE VIEW v AS SELECT f(a) AS x FROM t; CREATE MATERIALIZED VIEW m AS SELECT x FROM v;"
            "CREATE UNIQUE INDEX m_x ON m (x); CREATE POLICY p ON t USING (f(a) > 0); CREATE INDEX t_f ON t (f(a));"
            "ALTER TABLE t ADD CONSTRAINT c CHECK (f(a) > 0); ALTER TABLE t ALTER id SET DEFAULT f(1);",
            f=G,
            g="CREATE FUNCTION g() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT f(x) FROM v; END;",
        ),
    ),
    "a trigger function that returns something else no more": (
        schema(
            T + "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tr();",
            tr="CREATE FUNCTION tr() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        ),
        schema(
            T + "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tr2();",
            tr2="CREATE FUNCTION tr2() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        ),
    ),
}


@pytest.mark.parametrize(("before", "after"), CASES.values(), ids=CASES)
def test_dependants_of_a_change_are_created_again(tenant: Tenant, make_database: Callable[[], str], before, after):
    tenant.register(before)
    tenant.execute("INSERT INTO t (id, a, b) VALUES (1, 1, 'kept')")
    tenant.migrate(after)
    fresh = Tenant(make_database())
    fresh.register(after)
    assert structure_of(tenant.conninfo) == structure_of(fresh.conninfo)
    assert tenant.rows("SELECT a, b FROM t") == [(1, "kept")]
    again = tenant.migrate(after | {"seeders/none.pssql": ""})
    assert again.schema_validation.is_empty
    assert (again.functions_updated, again.functions_dropped) == (0, 0)


def test_privileges_and_comments_added_by_hand_survive(tenant: Tenant):
    view = "CREATE VIEW v AS SELECT {} FROM t; CREATE VIEW w AS SELECT a FROM v;"
    tenant.register(schema(T + view.format("a, b")))
    tenant.execute("GRANT SELECT ON w TO pg_monitor; COMMENT ON VIEW w IS 'by hand'")
    tenant.migrate(schema(T + view.format("b, a")))
    assert tenant.rows("SELECT has_table_privilege('pg_monitor', 'w', 'SELECT'), obj_description('w'::regclass)") == [
        (True, "by hand")
    ]


def test_foreign_dependants_are_named_and_kept(tenant: Tenant):
    tenant.register(schema(T, f=F))
    tenant.execute("CREATE VIEW by_hand AS SELECT f(a) AS x FROM t; CREATE VIEW over_it AS TABLE by_hand")
    with pytest.raises(EngineError, match=r"view by_hand, view over_it|view over_it, view by_hand") as failure:
        tenant.migrate(schema(T, f=G))
    assert "drop or change that in a migration first" in failure.value.message
    assert tenant.rows("SELECT count(x) FROM over_it") == [(0,)]
    advised = schema(T, f=G) | {"migrations/001.pssql": "DROP VIEW over_it; DROP VIEW by_hand;"}
    assert tenant.migrate(advised).functions_updated == 1


def test_a_partition_key_keeps_its_function_and_the_advice_works(tenant: Tenant):
    tables = T + "CREATE TABLE p (a int) PARTITION BY RANGE (f(a)); CREATE TABLE p1 PARTITION OF p DEFAULT;"
    before, after = (text.replace("SELECT 1", "SELECT $1") for text in (F, G))
    tenant.register(schema(tables, f=before))
    with pytest.raises(EngineError, match=r"table p1?, table p1? depends on it") as failure:
        tenant.migrate(schema(tables, f=after))
    assert "leave that as it is, and give the changed one a new name" in failure.value.message
    assert tenant.migrate(schema(tables, f=before, g=after.replace("f(", "g("))).functions_updated == 1


def test_a_generated_column_is_computed_again_with_its_function(tenant: Tenant, make_database: Callable[[], str]):
    table = (
        "CREATE TABLE t (id int PRIMARY KEY, a int, g int GENERATED ALWAYS AS (f(a)) STORED UNIQUE CHECK (f(g) > 0));"
        "CREATE INDEX i ON t (g, a); COMMENT ON COLUMN t.g IS 'x'; CREATE VIEW v AS SELECT g FROM t;"
    )
    tenant.register(schema(table, f=F))
    tenant.execute("INSERT INTO t VALUES (1, 1)")
    after = schema(table, f=G)
    tenant.migrate(after)
    fresh = Tenant(make_database())
    fresh.register(after)
    assert structure_of(tenant.conninfo) == structure_of(fresh.conninfo)
    assert tenant.rows("SELECT id, a, g FROM t") == tenant.rows("SELECT id, a, f(a) FROM t") != []
    assert tenant.migrate(after | {"seeders/none.pssql": ""}).schema_validation.is_empty


@pytest.mark.parametrize("further", ["x int, y int DEFAULT 0", "x bigint"])
def test_what_uses_a_function_moves_to_the_one_with_other_arguments(
    tenant: Tenant, make_database: Callable[[], str], further: str
):
    table = T + (
        "CREATE VIEW v AS SELECT f(a) AS x FROM t; CREATE POLICY p ON t USING (f(a) > 0);"
        "CREATE INDEX i ON t (f(a)); ALTER TABLE t ADD CHECK (f(a) > 0); ALTER TABLE t ALTER a SET DEFAULT f(1);"
    )
    function = "CREATE FUNCTION f({}) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';"
    tenant.register(schema(table, f=function.format("x int")))
    after = schema(table, f=function.format(further))
    assert tenant.migrate(after).functions_dropped == 1
    fresh = Tenant(make_database())
    fresh.register(after)
    assert structure_of(tenant.conninfo) == structure_of(fresh.conninfo)
    assert tenant.migrate(after | {"seeders/none.pssql": ""}).schema_validation.is_empty


def test_a_column_grows_under_views_that_functions_return(tenant: Tenant, make_database: Callable[[], str]):
    table = "CREATE TABLE t (id {} PRIMARY KEY, a int); CREATE VIEW v AS SELECT id FROM t; CREATE VIEW w AS TABLE v;"
    function = "CREATE FUNCTION f() RETURNS SETOF v LANGUAGE sql AS 'SELECT * FROM w';"
    tenant.register(schema(table.format("int"), f=function))
    after = schema(table.format("bigint"), f=function)
    tenant.migrate(after)
    fresh = Tenant(make_database())
    fresh.register(after)
    assert structure_of(tenant.conninfo) == structure_of(fresh.conninfo)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (OPERATORS.format("") + OPERATOR_CLASS, OPERATORS.format(", RESTRICT = eqsel") + OPERATOR_CLASS),
        (
            OPERATORS.format("") + OPERATOR_CLASS,
            OPERATORS.format("") + OPERATOR_CLASS.replace("FOR TYPE", "DEFAULT FOR TYPE"),
        ),
    ],
    ids=["its operator", "the class itself"],
)
def test_an_operator_class_under_indexes_and_exclusion_constraints_changes(
    make_database: Callable[[], str], superuser_url: str, old: str, new: str
):
    names = [conninfo_to_dict(make_database())["dbname"] for _ in range(2)]
    tenant, fresh = (Tenant(make_conninfo(superuser_url, dbname=name)) for name in names)
    tenant.register(schema(old))
    tenant.execute("INSERT INTO u VALUES (ROW(1)), (ROW(2))")
    assert tenant.migrate(schema(new)).differences == ()
    fresh.register(schema(new))
    assert structure_of(tenant.conninfo) == structure_of(fresh.conninfo)
    assert tenant.rows("SELECT count(*) FROM u") == [(2,)]
