"""Keys that migrations give to partitions under names of their own, before those are parts of a key of the parent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.structure import structure_of

from .conftest import Tenant, files

BOUNDS = "FOR VALUES FROM ('2022-01-01') TO ('2023-01-01')"
COLUMNS = "id int NOT NULL, d date NOT NULL"
PARTITIONED = f"CREATE TABLE m ({COLUMNS}{{}}) PARTITION BY RANGE (d);"
PLAIN = PARTITIONED.format("")
PARTITION = f"CREATE TABLE m1 PARTITION OF m {BOUNDS};"
OWN = "ALTER TABLE m1 ADD CONSTRAINT own {key};"
ADDED = "ALTER TABLE ONLY m ADD CONSTRAINT k {key};"
ATTACHED = "ALTER INDEX k ATTACH PARTITION own;"
ATTACHED_TABLE = f"CREATE TABLE m1 ({COLUMNS}); {OWN} ALTER TABLE m ATTACH PARTITION m1 {BOUNDS};"

#: Each release is what is declared, in which the parent may have its key, and its own migration.
HISTORIES = {
    "attached to the key": ((PARTITION, True, ADDED + OWN + ATTACHED),),
    "attached to the key in another migration": ((PARTITION, False, OWN), (PARTITION, True, ADDED + ATTACHED)),
    "attached before it is declared": ((PARTITION, False, ADDED + OWN + ATTACHED), (PARTITION, True, "")),
    "taken by the key": (
        (PARTITION, False, OWN),
        (PARTITION, False, "ALTER TABLE m ADD CONSTRAINT k {key};"),
        (PARTITION, True, ""),
    ),
    "taken by the declared key": ((PARTITION, False, OWN), (PARTITION, True, "")),
    "taken by the declared key at once": ((PARTITION, True, OWN),),
    "of a partition that no file declares": (("", True, ATTACHED_TABLE),),
}


@pytest.mark.parametrize("key", ["UNIQUE (id, d)", "PRIMARY KEY (id, d)"])
@pytest.mark.parametrize("name", HISTORIES)
def test_old_partitions_have_the_keys_of_new_ones(make_database: Callable[[], str], name: str, key: str):
    old, new = Tenant(make_database()), Tenant(make_database())
    releases, migrations = HISTORIES[name], list[str]()
    old.register(files(PLAIN + releases[0][0]))
    for declared, has_key, migration in releases:
        migrations += [migration.format(key=key)] * bool(migration)
        table = PARTITIONED.format(f", CONSTRAINT k {key}") if has_key else PLAIN
        last = files(table + declared, *migrations)
        report = old.migrate(last)
    assert (report.differences, new.register(last).differences) == ((), ())
    assert structure_of(old.conninfo) == structure_of(new.conninfo)
    assert old.migrate(last | {"seeders/none.sql": ""}).schema_validation.is_empty


def test_a_foreign_key_of_a_partition(make_database: Callable[[], str]):
    own = "ALTER TABLE m1 ADD CONSTRAINT own FOREIGN KEY (id) REFERENCES r;"
    key = "ALTER TABLE m ADD CONSTRAINT k FOREIGN KEY (id) REFERENCES r;"
    tables = "CREATE TABLE r (id int PRIMARY KEY);" + PLAIN + PARTITION
    old, new = Tenant(make_database()), Tenant(make_database())
    old.register(files(tables))
    last = files(tables + key, own + key)
    assert old.migrate(last).differences == new.register(last).differences == ()
    assert structure_of(old.conninfo) == structure_of(new.conninfo)


def test_an_index_of_a_partition_that_another_migration_attaches(make_database: Callable[[], str]):
    own, attached = "CREATE INDEX own ON m1 (id);", "CREATE INDEX k ON ONLY m (id);" + ATTACHED
    old, new = Tenant(make_database()), Tenant(make_database())
    old.register(files(PLAIN + PARTITION))
    old.migrate(files(PLAIN + PARTITION, own))
    last = files(PLAIN + PARTITION + "CREATE INDEX k ON m (id);", own, attached)
    assert old.migrate(last).differences == new.register(last).differences == ()
    assert structure_of(old.conninfo) == structure_of(new.conninfo)
