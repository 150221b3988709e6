"""ALTER TYPE … RENAME VALUE in a migration, beside declarations that name the value."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from migrations_engine import EngineError
from tests.support.structure import structure_of

from .conftest import Tenant, files

ENUM = "CREATE TYPE e AS ENUM ('{}', 'b'); CREATE TABLE t (id int, s e);"
RENAME = "ALTER TYPE e RENAME VALUE 'a' TO 'x';"
USERS = {
    "index": "CREATE INDEX i ON t (id) WHERE s = '{0}';",
    "check": "ALTER TABLE t ADD CHECK (s <> '{0}' OR id > 0);",
    "list": "ALTER TABLE t ADD CHECK (s IN ('{0}', 'b'));",
    "default": "ALTER TABLE t ALTER s SET DEFAULT '{0}';",
    "generated": "ALTER TABLE t ADD g boolean GENERATED ALWAYS AS (s = '{0}') STORED;",
    "policy": "CREATE POLICY p ON t USING (s = '{0}');",
    "view": "CREATE VIEW v AS SELECT id FROM t WHERE s = ANY ('{{b,{0}}}'::e[]);",
    "trigger": "CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW WHEN (new.s = '{0}')"
    " EXECUTE FUNCTION suppress_redundant_updates_trigger();",
}


@pytest.mark.parametrize("user", USERS.values(), ids=USERS.keys())
@pytest.mark.parametrize("declared", ["a", "x"], ids=["declared as before", "declared as renamed"])
def test_a_declared_object_follows_a_renamed_value(make_database: Callable[[], str], user: str, declared: str):
    old, new = Tenant(make_database()), Tenant(make_database())
    last = files(ENUM.format(declared) + user.format(declared), RENAME)
    new.register(last)
    old.register(files(ENUM.format("a") + user.format("a")))
    old.execute("INSERT INTO t VALUES (1, 'a')")
    report = old.migrate(last)
    assert (report.differences, report.schema_validation.incompatible_changes) == ((), ())
    assert structure_of(old.conninfo) == structure_of(new.conninfo)
    assert old.rows("SELECT s FROM t") == [("x",)]
    assert old.migrate(last | {"seeders/x.pssql": ""}).schema_validation.is_empty


def test_the_old_value_is_declared_anew(make_database: Callable[[], str]):
    old, new = Tenant(make_database()), Tenant(make_database())
    last = files(ENUM.format("x', 'a"), RENAME)
    new.register(last)
    old.register(files(ENUM.format("a")))
    old.execute("INSERT INTO t VALUES (1, 'a')")
    assert "add_enum_value" in {change.change_type for change in old.migrate(last).schema_validation.safe_changes}
    assert structure_of(old.conninfo) == structure_of(new.conninfo)
    assert old.rows("SELECT s FROM t") == [("x",)]


FUNCTION = "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM t WHERE s = '{}' $$;"
DECLARED = "CREATE TABLE t (id int, s e DEFAULT '{}');"
TWICE = f"{RENAME} ALTER TYPE e RENAME VALUE 'x' TO 'y';"


@pytest.mark.parametrize(
    ("wrong", "advice", "right"),
    [
        pytest.param(
            files(ENUM.format("x"), RENAME, functions=FUNCTION.format("a")),
            "renames 'a' to 'x', so write 'x' in functions/x.pssql",
            files(ENUM.format("x"), RENAME, functions=FUNCTION.format("x")),
            id="function",
        ),
        pytest.param(
            files(ENUM.format("y"), TWICE, functions=FUNCTION.format("a")),
            "renames 'x' to 'y', so write 'y' in functions/x.pssql",
            files(ENUM.format("y"), TWICE, functions=FUNCTION.format("y")),
            id="renamed twice",
        ),
        pytest.param(
            files(DECLARED.format("a"), RENAME, types="CREATE TYPE e AS ENUM ('x', 'b');"),
            "renames 'a' to 'x', so write 'x' in tables/t.pssql",
            files(DECLARED.format("x"), RENAME, types="CREATE TYPE e AS ENUM ('x', 'b');"),
            id="table that lags",
        ),
        pytest.param(
            files(DECLARED.format("x"), RENAME, types="CREATE TYPE e AS ENUM ('a', 'b');"),
            "renames 'a' to 'x', so write 'x' instead of 'a' in types/x.pssql",
            files(DECLARED.format("x"), RENAME, types="CREATE TYPE e AS ENUM ('x', 'b');"),
            id="type that lags",
        ),
        pytest.param(
            files(ENUM.format("x"), RENAME, seeders="INSERT INTO t VALUES (1, 'a');"),
            "renames 'a' to 'x', so write 'x' in seeders/x.pssql",
            files(ENUM.format("x"), RENAME, seeders="INSERT INTO t VALUES (1, 'x');"),
            id="seeder",
        ),
    ],
)
def test_a_file_with_the_other_name_gets_advice_that_works(
    tenant: Tenant, wrong: dict[str, str], advice: str, right: dict[str, str]
):
    with pytest.raises(EngineError) as refused:
        tenant.register(wrong)
    assert refused.value.message.endswith(advice)
    tenant.register(right)
