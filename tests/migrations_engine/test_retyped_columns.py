"""Declared expressions over columns whose types migrations have changed, which PostgreSQL prints with other casts."""

from __future__ import annotations

import pytest

from .conftest import files
from .histories.checks import structure
from .test_any_evolution import make

__all__ = ["make"]

TABLE = "CREATE TABLE t (id int PRIMARY KEY, a smallint, b {}{});"
WIDER = "DROP VIEW IF EXISTS v; ALTER TABLE t ALTER a TYPE numeric;"
CHECK = ", CONSTRAINT k CHECK (a > -1)"
GENERATED = ", g numeric GENERATED ALWAYS AS (a * 2) STORED"


def assert_deploys(make, *versions: dict[str, str]):
    tenant = make()
    tenant.register(versions[0])
    tenant.execute("INSERT INTO t (id, a, b) VALUES (1, 1, 1)")
    for version in versions[1:]:
        tenant.migrate(version)
    again = tenant.migrate(versions[-1] | {"seeders/none.pssql": ""})
    assert again.schema_validation.is_empty
    assert tenant.rows("SELECT id, a, b FROM t") == [(1, 1, 1)]


@pytest.mark.parametrize(
    ("column", "item", "drop"),
    [
        (CHECK, "", "ALTER TABLE t DROP CONSTRAINT IF EXISTS k;"),
        (GENERATED, "", "ALTER TABLE t DROP COLUMN IF EXISTS g;"),
        ("", "CREATE INDEX i ON t (b) WHERE a > -1;", "DROP INDEX IF EXISTS i;"),
        ("", "CREATE INDEX i ON t ((a > -1));", "DROP INDEX IF EXISTS i;"),
        ("", "CREATE POLICY i ON t USING (a > -1);", "DROP POLICY IF EXISTS i ON t;"),
        ("", "CREATE STATISTICS i ON b, (a > -1) FROM t;", "DROP STATISTICS IF EXISTS i;"),
        ("", "CREATE VIEW v AS SELECT a > -1 AS x FROM t;", "DROP VIEW IF EXISTS v;"),
    ],
)
def test_an_expression_is_declared_after_migrations_retyped_its_column(make, column, item, drop):
    plain = TABLE.format("int", "")
    declared = TABLE.format("int", column) + item
    assert_deploys(make, files(plain), files(plain, drop, WIDER), files(declared, drop, WIDER))


def equal(tenant, fresh) -> bool:
    return structure(tenant) == structure(fresh)


VIEWS = TABLE.format("int", "") + "CREATE VIEW v AS SELECT {} AS x FROM t;"


@pytest.mark.parametrize(("one", "other"), [("(a + b) * id > 1", "a + (b * id) > 1"), ("a > b::bigint", "a > b")])
def test_a_view_changes_in_brackets_or_casts_alone_over_a_retyped_column(make, one, other):
    tenant, fresh = make(), make()
    versions = [files(VIEWS.format(one)), *(files(VIEWS.format(query), WIDER) for query in (one, other))]
    for version in versions:
        report = tenant.migrate(version)
        assert report.differences == ()
    assert fresh.register(versions[-1]).differences == ()
    assert equal(tenant, fresh)
    assert tenant.migrate(versions[-1] | {"seeders/none.pssql": ""}).schema_validation.is_empty


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CREATE VIEW v AS SELECT (a + b) * id AS x FROM t;", "CREATE VIEW v AS SELECT a + b * id AS x FROM t;"),
        ("CREATE VIEW v AS SELECT (a + b)::text AS x FROM t;", "CREATE VIEW v AS SELECT a + b AS x FROM t;"),
        ("CREATE VIEW v AS SELECT a::text AS x FROM t;", "CREATE VIEW v AS SELECT a AS x FROM t;"),
        ("CREATE INDEX i ON t (((a + b) * id));", "CREATE INDEX i ON t ((a + b * id));"),
        ("CREATE POLICY i ON t USING ((a + b) * id > 0);", "CREATE POLICY i ON t USING (a + b * id > 0);"),
        ("ALTER TABLE t ADD CHECK ((a + b) * id > 0);", "ALTER TABLE t ADD CHECK (a + b * id > 0);"),
    ],
)
@pytest.mark.parametrize("migrations", [(), ("ALTER TABLE t ADD COLUMN c int;",)])
def test_an_adopted_database_gets_the_declared_expression(make, one, other, migrations):
    table = TABLE.format("int", "")
    tenant, fresh = make(), make()
    tenant.execute(table + one)
    assert tenant.register(files(table + other, *migrations)).differences == ()
    fresh.register(files(table + other, *migrations))
    assert equal(tenant, fresh)


@pytest.mark.parametrize("later", ["", "ALTER TABLE t ADD COLUMN c int;"])
def test_a_declaration_retypes_a_column_under_expressions(make, later):
    states = "a IN ('x', 'y')"
    uses = f"CREATE INDEX i ON t (id) WHERE {states}; CREATE VIEW v AS SELECT id FROM t WHERE {states};"
    table = (
        f"CREATE TABLE t (id int PRIMARY KEY, a {{}} CHECK ({states}), CONSTRAINT k CHECK (NOT ({states} AND a = '')));"
    )
    tenant, fresh = make(), make()
    tenant.register(files(table.format("varchar(5)") + uses))
    tenant.execute("INSERT INTO t VALUES (1, 'x')")
    last = files(table.format("text") + uses, later)
    assert tenant.migrate(last).differences == ()
    fresh.register(last)
    assert equal(tenant, fresh)
    assert tenant.migrate(last | {"seeders/none.pssql": ""}).schema_validation.is_empty
    assert tenant.rows("SELECT a FROM t") == [("x",)]


@pytest.mark.parametrize(
    ("one", "other", "check"),
    [("varchar(5)[]", "text[]", "a <@ ARRAY['x', 'y']::{}"), ("numeric(4,2)[]", "numeric[]", "a && ARRAY[1]::{}")],
)
def test_rows_are_counted_over_the_declared_type(make, one, other, check):
    tables = [f"CREATE TABLE t (id int PRIMARY KEY, a {name} CHECK ({check.format(name)}));" for name in (one, other)]
    tenant, fresh = make(), make()
    tenant.register(files(tables[0]))
    tenant.execute("INSERT INTO t VALUES (1, NULL)")
    assert tenant.migrate(files(tables[1])).differences == ()
    fresh.register(files(tables[1]))
    assert equal(tenant, fresh)


def test_a_policy_reads_another_table_of_which_a_migration_retypes_a_column(make):
    table = "CREATE TABLE u (id int PRIMARY KEY);" + TABLE.format("int", "")
    policy = "CREATE POLICY p ON u USING (EXISTS (SELECT FROM t WHERE t.a > -1 AND t.id = u.id));"
    drop = "DROP POLICY IF EXISTS p ON u;"
    assert_deploys(make, files(table), files(table, drop, WIDER), files(table + policy, drop, WIDER))


def test_a_check_that_a_declaration_changed_stays_when_a_migration_retypes_its_column(make):
    plain, declared = TABLE.format("int", ""), TABLE.format("int", CHECK)
    other = "ALTER TABLE t DROP CONSTRAINT IF EXISTS k; ALTER TABLE t ADD CONSTRAINT k CHECK (a > -3);"
    last = files(declared, other, WIDER)
    tenant = make()
    for version in (files(plain), files(plain, other), files(declared, other)):
        tenant.migrate(version)
    (named,) = tenant.migrate(last).differences
    assert named.startswith("t.k (alter constraint): here CHECK ((a > ('-1'::integer)::numeric))")
    again = tenant.migrate(last | {"seeders/none.pssql": ""})
    assert again.schema_validation.is_empty
    assert again.differences == (named,)


def test_what_has_other_casts_over_a_column_that_was_forced_to_stay_is_named(make):
    """The types stay different, so a dump has other casts than one of a new database."""
    table = (
        "CREATE TABLE t (id int PRIMARY KEY, a {}, CONSTRAINT k CHECK (a IN ('x', 'y')));"
        "CREATE INDEX i ON t (id) WHERE a = 'x'; CREATE VIEW v AS SELECT a || 'z' AS b FROM t;"
        "CREATE VIEW w AS SELECT b FROM v; CREATE POLICY p ON t USING (a = 'x');"
        "CREATE TABLE other (id int); CREATE POLICY q ON other USING (EXISTS (SELECT FROM t WHERE a = 'x'));"
    )
    versions = [files(table.format(kind)) for kind in ("text", "varchar(400)")]
    tenant = make()
    tenant.register(versions[0])
    report = tenant.migrate(versions[1], force=True)
    why = ": here with other casts than in a new database; they follow from the types of columns"
    assert sorted(report.differences) == [
        "other.q" + why,
        "t.a (alter column type): here text, in a new database character varying(400); it was forced to stay as it is",
        "t.i" + why,
        "t.k" + why,
        "t.p" + why,
        "v" + why,
    ]
    assert tenant.migrate(versions[1] | {"seeders/none.pssql": ""}).differences == report.differences
