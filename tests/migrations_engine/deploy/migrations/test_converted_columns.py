"""Migrations that convert a column under checks, indexes or a default, whose expressions PostgreSQL cannot convert."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from migrations_engine import MigrationFailed
from tests.migrations_engine.conftest import Tenant, files
from tests.support.structure import structure_of

ENUM = "CREATE TYPE mood AS ENUM ('sad', 'ok');"
OVER_THE_COLUMN = {
    "a check": ("t", ", CONSTRAINT c CHECK (m = 'ok' OR id > 0)", ""),
    "a check without a name": ("t", ", CHECK (m <> 'ok')", ""),
    "an exclusion constraint": ("t", ", CONSTRAINT e EXCLUDE USING btree (id WITH =) WHERE (m = 'ok')", ""),
    "a partial index": ("t", "", "CREATE INDEX i ON t (id) WHERE m = 'ok'; COMMENT ON INDEX i IS 'x';"),
    "an index with an expression": ("t", "", "CREATE UNIQUE INDEX i ON t ((m = 'sad'));"),
    "statistics": ("t", "", "CREATE STATISTICS s ON (m = 'ok'), id FROM t;"),
    "all of a table that is renamed then": (
        "u",
        ", CONSTRAINT c CHECK (m <> 'ok')",
        "CREATE INDEX i ON {0} (id) WHERE m = 'ok';",
    ),
}


@pytest.mark.parametrize("what", OVER_THE_COLUMN)
@pytest.mark.parametrize(("old_type", "new_type"), [("mood", "text"), ("text", "mood DEFAULT 'sad'")])
def test_expressions_over_a_column_that_a_migration_converts(
    make_database: Callable[[], str], what: str, old_type: str, new_type: str
):
    name, inside, beside = OVER_THE_COLUMN[what]
    old, new = (Tenant(make_database()) for _ in range(2))

    def schema(name: str, column: str, *migrations: str) -> dict[str, str]:
        table = f"CREATE TABLE {name} (id int, m {column}{inside}); " + beside.format(name)
        return files(table, *migrations, types=ENUM)

    old.register(schema("t", f"{old_type} DEFAULT 'sad'" if "DEFAULT" in new_type else old_type))
    old.execute("INSERT INTO t VALUES (1, 'sad')")
    type_ = new_type.split(maxsplit=1)[0]
    renaming = f"ALTER TABLE t RENAME TO {name};" if name != "t" else ""
    last = schema(name, new_type, f"ALTER TABLE t ALTER m TYPE {type_} USING m::text::{type_}; {renaming}")
    for report in (old.migrate(last), new.register(last)):
        assert (report.warnings, report.differences) == ((), ())
    assert structure_of(old.conninfo) == structure_of(new.conninfo)
    assert old.rows(f"SELECT * FROM {name}") == [(1, "sad")]


def test_expressions_that_nothing_declares_are_named(tenant: Tenant):
    table, index = "CREATE TABLE t (id int, m {});", "CREATE INDEX i ON t (id) WHERE m = 'ok';"
    tenant.register(files(table.format("mood"), types=ENUM))
    tenant.execute(index)
    migration = "ALTER TABLE t ALTER m TYPE text;"
    with pytest.raises(MigrationFailed, match=r"; drop index i before it in the migration, and create it again after"):
        tenant.migrate(files(table.format("text"), migration, types=ENUM))
    tenant.migrate(files(table.format("text"), f"DROP INDEX i; {migration} {index}", types=ENUM))
    assert tenant.rows("SELECT indexdef FROM pg_indexes WHERE indexname = 'i' AND indexdef LIKE '%text%'") != []
