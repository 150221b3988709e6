"""Constraints that migrations add NOT VALID, because old rows violate them, and validate later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.support.servers import server_versions
from tests.support.structure import structure_of

from .conftest import Tenant, files
from .test_migrated_equals_fresh import make_tenant

__all__ = ["make_tenant"]

INDEX = "CREATE INDEX i ON t (a);"
REPAIR = "UPDATE t SET a = 1;"


@dataclass(frozen=True, kw_only=True)
class Case:
    before: dict[str, str]
    after: dict[str, str]  #: declares the constraint
    adding: str
    validating: str
    since: int = 16  #: the first version of PostgreSQL that has such constraints


PLAIN = "CREATE TABLE t (id int PRIMARY KEY, a int{});"
KEYS = "CREATE TABLE o (id int PRIMARY KEY); INSERT INTO o VALUES (1);"
OF_TABLE = "ALTER TABLE t ADD CONSTRAINT k {} NOT VALID;"
VALIDATING = "ALTER TABLE t VALIDATE CONSTRAINT k;"
CASES = {
    "a check": Case(
        before=files(PLAIN.format("")),
        after=files(PLAIN.format(" CONSTRAINT k CHECK (a > 0)")),
        adding=OF_TABLE.format("CHECK (a > 0)"),
        validating=VALIDATING,
    ),
    "a foreign key": Case(
        before=files(KEYS + PLAIN.format("")),
        after=files(KEYS + PLAIN.format(" CONSTRAINT k REFERENCES o (id)")),
        adding=OF_TABLE.format("FOREIGN KEY (a) REFERENCES o (id)"),
        validating=VALIDATING,
    ),
    "a check of a domain": Case(
        before=files("CREATE TABLE t (id int PRIMARY KEY, a d);", types="CREATE DOMAIN d AS int;"),
        after=files(
            "CREATE TABLE t (id int PRIMARY KEY, a d);", types="CREATE DOMAIN d AS int CONSTRAINT k CHECK (VALUE > 0);"
        ),
        adding="ALTER DOMAIN d ADD CONSTRAINT k CHECK (VALUE > 0) NOT VALID;",
        validating="ALTER DOMAIN d VALIDATE CONSTRAINT k;",
    ),
    "NOT NULL": Case(
        before=files(PLAIN.format("")),
        after=files(PLAIN.format(" CONSTRAINT k NOT NULL")),
        adding=OF_TABLE.format("NOT NULL a"),
        validating=VALIDATING,
        since=18,
    ),
}


def migrated(declared: dict[str, str], *migrations: str, more: str = "") -> dict[str, str]:
    numbered = {f"migrations/{number:03}.pssql": text for number, text in enumerate(migrations, 1)}
    return declared | numbered | {"tables/t.pssql": declared["tables/t.pssql"] + more}


ON_SERVERS = [(version, name) for version in server_versions(16, 18) for name in CASES if version >= CASES[name].since]
OF_TABLES = [(version, name) for version, name in ON_SERVERS if "types/x.pssql" not in CASES[name].after]


@pytest.mark.parametrize(("make_tenant", "name"), ON_SERVERS, indirect=["make_tenant"])
def test_a_declared_constraint_that_a_migration_adds_not_valid(make_tenant: Callable[[], Tenant], name: str):
    case, (each, jumping, new) = CASES[name], (make_tenant() for _ in range(3))
    added, last = [case.adding], [case.adding, REPAIR + case.validating]
    for tenant in (each, jumping):
        tenant.register(case.before)
        tenant.execute("INSERT INTO t VALUES (1, -1), (2, NULL)")
    for version in (migrated(case.after, *added), migrated(case.after, *added, more=INDEX)):
        (difference,) = each.migrate(version).differences
        assert "NOT VALID, in a new database" in difference
        assert difference.endswith("it was added NOT VALID, and VALIDATE CONSTRAINT was not run")
    for tenant in (each, jumping):
        assert tenant.migrate(migrated(case.after, *last, more=INDEX)).differences == ()
    new.register(migrated(case.after, *last, more=INDEX))
    assert structure_of(each.conninfo) == structure_of(jumping.conninfo) == structure_of(new.conninfo)


@pytest.mark.parametrize(("make_tenant", "name"), OF_TABLES, indirect=["make_tenant"])
def test_a_constraint_that_is_declared_not_valid_and_that_a_migration_validates(
    make_tenant: Callable[[], Tenant], name: str
):
    case, (old, new) = CASES[name], (make_tenant() for _ in range(2))
    declared = migrated(case.before, more=case.adding)
    last = migrated(declared, REPAIR + case.validating)
    old.register(declared)
    for tenant in (old, new):
        tenant.register(last)
    later = migrated(declared, REPAIR + case.validating, more=INDEX)
    assert old.migrate(later).differences == new.migrate(later).differences == ()
    assert structure_of(old.conninfo) == structure_of(new.conninfo)


@pytest.mark.parametrize("make_tenant", server_versions(16, 18), indirect=True)
def test_a_declared_not_null_whose_column_a_migration_fills(make_tenant: Callable[[], Tenant]):
    old, new = make_tenant(), make_tenant()
    old.register({"tables/t.pssql": "CREATE TABLE t (id int, a int);"})
    old.execute("INSERT INTO t VALUES (1)")
    last = {"tables/t.pssql": "CREATE TABLE t (id int, a int NOT NULL);", "migrations/001.pssql": "UPDATE t SET a = 0;"}
    assert old.migrate(last).differences == new.register(last).differences == ()
    assert structure_of(old.conninfo) == structure_of(new.conninfo)
