"""Copies of databases: their space is limited over all gateways, and each is restored at most once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from gateway.databases import DatabaseDirectory, DatabaseLifecycle, KeptCopies, ManagedDatabase
from gateway.databases.catalog import time_for_comment
from gateway.errors import UndoRefused
from gateway.naming import schema_database
from tests.support.waiting import wait_until

COPIES = "_stonescriptdb_gateway_undo_"
RESERVED = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1397969236 AND objsubid = 2"
COPIED_BYTES = "SELECT coalesce(sum(pg_database_size(oid)), 0)::int8 FROM pg_database WHERE starts_with(datname, %s)"


@pytest.fixture
def make_copies(connections) -> Callable[..., KeptCopies]:
    """Return the copies as another gateway has them: ``make_copies(most_bytes=…)``."""

    def make(most_bytes: int = 2**40, keep_seconds: float = 60) -> KeptCopies:
        return KeptCopies(
            connections, maintenance_database="postgres", most_bytes=most_bytes, keep_seconds=keep_seconds, roles=None
        )

    return make


@pytest.fixture
def databases(connections, platform, superuser) -> Iterator[list[ManagedDatabase]]:
    lifecycle = DatabaseLifecycle(connections, maintenance_database="postgres", wait_seconds=30)
    made = [lifecycle.create(schema_database(platform, "s", one), lambda _: None)[0] for one in "ab"]
    yield made
    for database in made:
        left = superuser.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)",
                                 [f"{COPIES}{database.oid}_"]).fetchall()  # fmt: skip
        for (name,) in left:
            superuser.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


def test_a_copy_that_another_gateway_is_making_takes_space(make_copies, databases, admin, postgres_url) -> None:
    ((taken,),) = admin.execute(COPIED_BYTES, [COPIES]).fetchall()  # by other tests
    ((size,),) = admin.execute("SELECT pg_database_size(%s)", [databases[0].name]).fetchall()
    most = taken + size * 3 // 2
    one, other = (make_copies(most_bytes=most, keep_seconds=10**6) for _ in range(2))  # those of others stay
    first, second = databases
    with ThreadPoolExecutor() as threads:
        with psycopg.connect(make_conninfo(postgres_url, dbname=first.name)):  # for which its copying waits
            making = threads.submit(one.make, first, request_id="r")
            wait_until(lambda: admin.execute(RESERVED).fetchone() != (0,))
            with pytest.raises(UndoRefused, match="UNDO_COPIES_MAX_BYTES"):
                other.make(second, request_id="r")
        copy = making.result()
    with pytest.raises(UndoRefused, match="UNDO_COPIES_MAX_BYTES"):
        other.make(second, request_id="r")
    one.drop(copy)
    other.drop(other.make(second, request_id="r"))


def test_a_copy_is_restored_at_most_once(make_copies, databases, connections) -> None:
    copies, database = make_copies(), databases[0]
    copy = copies.make(database, request_id="r")
    copies.seal(copy, None)
    copies.put_back(copy, database)
    with pytest.raises(UndoRefused, match="dropped meanwhile, or the copy has been restored"):
        copies.put_back(copy, database)
    directory = DatabaseDirectory(connections, maintenance_database="postgres")
    assert directory.find(database.owner).stamp == database.stamp


def test_a_copy_expires(make_copies, databases) -> None:
    copies = make_copies(keep_seconds=60)
    copy = copies.make(databases[0], request_id="r")
    assert not copies.has_expired(copy)
    assert copies.has_expired(replace(copy, kept_at=time_for_comment() - timedelta(seconds=61)))
    copies.drop(copy)
