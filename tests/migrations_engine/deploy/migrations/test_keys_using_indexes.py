"""Keys that a migration adds, or makes of an index, which are declared with the same name, another one or none."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.migrations_engine.conftest import Tenant, files
from tests.support.structure import structure_of


@pytest.mark.parametrize(
    ("declared", "migrations"),
    [
        (
            "CONSTRAINT k UNIQUE (a)",
            ("CREATE UNIQUE INDEX k ON t (a); ALTER TABLE t ADD CONSTRAINT k UNIQUE USING INDEX k;",),
        ),
        ("UNIQUE (a)", ("CREATE UNIQUE INDEX t_a_key ON t (a); ALTER TABLE t ADD UNIQUE USING INDEX t_a_key;",)),
        (
            "CONSTRAINT k UNIQUE (a)",
            ("CREATE UNIQUE INDEX i ON t (a); ALTER TABLE t ADD CONSTRAINT k UNIQUE USING INDEX i;",),
        ),
        ("PRIMARY KEY (a)", ("CREATE UNIQUE INDEX i ON t (a); ALTER TABLE t ADD PRIMARY KEY USING INDEX i;",)),
        (
            "CONSTRAINT k UNIQUE (a)",
            (
                "-- gateway: no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY i ON t (a);",
                "ALTER TABLE t ADD CONSTRAINT k UNIQUE USING INDEX i;",
            ),
        ),
        ("UNIQUE (a)", ("CREATE UNIQUE INDEX i ON t (a); ALTER TABLE t ADD UNIQUE USING INDEX i;",)),
        ("UNIQUE (a)", ("CREATE UNIQUE INDEX i ON t (a); ALTER TABLE t ADD CONSTRAINT k UNIQUE USING INDEX i;",)),
        ("UNIQUE (a)", ("ALTER TABLE t ADD CONSTRAINT k UNIQUE (a);",)),
        ("CHECK (a > 0)", ("ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0);",)),
    ],
)
def test_the_key_is_declared(make_database: Callable[[], str], declared: str, migrations: tuple[str, ...]):
    old, new = (Tenant(make_database()) for _ in range(2))
    old.register(files("CREATE TABLE t (a int NOT NULL);"))
    old.execute("INSERT INTO t VALUES (1)")
    last = files(f"CREATE TABLE t (a int NOT NULL, {declared});", *migrations)
    for report in (old.migrate(last), new.register(last)):
        assert (report.warnings, report.differences) == ((), ())
    assert structure_of(old.conninfo) == structure_of(new.conninfo)


@pytest.mark.parametrize("added", ["CREATE INDEX ON {} (a);", "ALTER TABLE {} ADD UNIQUE (a);"])
@pytest.mark.parametrize(
    ("earlier", "later", "rename"),
    [("s.t", "s.u", "ALTER TABLE s.t RENAME TO u;"), ("s.t", "r.t", "ALTER SCHEMA s RENAME TO r;")],
)
def test_the_table_is_renamed_later(
    make_database: Callable[[], str], earlier: str, later: str, rename: str, added: str
):
    def declared(name: str) -> str:
        return f"CREATE SCHEMA {name.split('.', maxsplit=1)[0]}; CREATE TABLE {name} (a int);"

    old, new = (Tenant(make_database()) for _ in range(2))
    old.register(files(declared(earlier)))
    old.migrate(files(declared(earlier) + added.format(earlier), added.format(earlier)))
    last = files(declared(later) + added.format(later), added.format(earlier), rename)
    assert old.migrate(last).differences == new.register(last).differences == ()
    assert structure_of(old.conninfo) == structure_of(new.conninfo)
