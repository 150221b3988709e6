"""A migration is identified by its content: its name, folder and extension may change, its text may not."""

from __future__ import annotations

import pytest

from migrations_engine import MigrationFailed

TABLE = {"migrations/001.sql": "CREATE TABLE t (a int)"}
ROW = "INSERT INTO t VALUES (2)"


def rows(tenant):
    return sorted(a for (a,) in tenant.rows("SELECT a FROM t"))


@pytest.mark.parametrize("name", ["003.sql", "002.pssql", "2026/002.sql", "2026/february/insert two.pgsql"])
def test_a_renamed_or_moved_migration_is_the_same_one(tenant, name):
    tenant.register({**TABLE, "migrations/002.sql": ROW})

    renamed = {**TABLE, f"migrations/{name}": ROW}
    assert tenant.migrate(renamed).migrations_applied == 0
    assert tenant.migrate({**renamed, "migrations/9.sql": "INSERT INTO t VALUES (9)"}).migrations_applied == 1
    assert rows(tenant) == [2, 9]
    assert tenant.rows("SELECT migration_file FROM _stonescriptdb_gateway_migrations ORDER BY 1") == sorted(
        [("001.sql",), (name,), ("9.sql",)]
    )


@pytest.mark.parametrize("name", ["002.sql", "003.sql"])
def test_comments_white_space_and_case_do_not_change_a_migration(tenant, name):
    tenant.register({**TABLE, "migrations/002.sql": ROW})

    text = "-- two\n\ninsert  into t\n values(2) -- it is"
    assert tenant.migrate({**TABLE, f"migrations/{name}": text}).migrations_applied == 0
    assert rows(tenant) == [2]


def test_two_of_the_same_content_are_two_migrations(tenant):
    tenant.register({**TABLE, "migrations/002.sql": ROW})
    assert tenant.migrate({**TABLE, "migrations/002.sql": ROW, "migrations/003.sql": ROW}).migrations_applied == 1
    assert tenant.migrate({**TABLE, "migrations/004.sql": ROW, "migrations/005.sql": ROW}).migrations_applied == 0
    assert rows(tenant) == [2, 2]


def test_migrations_may_exchange_their_names_and_a_new_one_take_an_old_name(tenant):
    tenant.register({**TABLE, "migrations/2.sql": ROW, "migrations/3.sql": "INSERT INTO t VALUES (3)"})

    swapped = {**TABLE, "migrations/3.sql": ROW, "migrations/2.sql": "INSERT INTO t VALUES (3)"}
    assert tenant.migrate(swapped).migrations_applied == 0
    moved_on = {**TABLE, "migrations/3.sql": "INSERT INTO t VALUES (4)", "migrations/4.sql": ROW}
    assert tenant.migrate(moved_on).migrations_applied == 1
    assert rows(tenant) == [2, 3, 4]


def test_a_new_migration_may_take_the_name_of_a_deleted_one(tenant):
    tenant.register({**TABLE, "migrations/2.sql": ROW, "migrations/3.sql": "INSERT INTO t VALUES (3)"})

    assert tenant.migrate({**TABLE, "migrations/2.sql": "INSERT INTO t VALUES (3)"}).migrations_applied == 0
    again = {**TABLE, "migrations/2.sql": "INSERT INTO t VALUES (3)", "migrations/4.sql": ROW}
    assert tenant.migrate(again).migrations_applied == 0
    assert rows(tenant) == [2, 3]


def test_rows_of_an_earlier_version_have_only_the_exact_checksum(tenant):
    tenant.register({**TABLE, "migrations/002.sql": ROW})
    tenant.execute("ALTER TABLE _stonescriptdb_gateway_migrations DROP COLUMN folded_checksum")

    with pytest.raises(MigrationFailed, match=r"migrations/002\.sql has changed"):
        tenant.migrate({**TABLE, "migrations/002.sql": ROW + " -- two"})
    assert tenant.migrate({**TABLE, "migrations/003.sql": ROW}).migrations_applied == 0
    assert tenant.migrate({**TABLE, "migrations/002.sql": ROW + " -- two"}).migrations_applied == 0
    assert rows(tenant) == [2]


def test_one_outside_a_transaction_is_resumed_under_its_new_name(tenant):
    outside = "-- gateway: no-transaction\nINSERT INTO t VALUES (1);\nINSERT INTO u VALUES (2);"
    with pytest.raises(MigrationFailed):
        tenant.register({**TABLE, "migrations/002.sql": outside})
    tenant.execute("CREATE TABLE u (a int)")

    report = tenant.migrate({**TABLE, "migrations/renamed.sql": outside})
    assert (report.migrations_applied, rows(tenant)) == (1, [1])
    assert "migrations/renamed.sql had stopped after statement 1 and was resumed there" in report.warnings
