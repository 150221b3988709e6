"""PostgreSQL stopped, started again, and cut off: refused at once, back within seconds, and never too many."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from gateway.errors import ConnectionFailed
from gateway.pools import ConnectionRegistry, PoolOptions
from tests.support.server_proxy import ServerProxy
from tests.support.waiting import wait_until

LIMIT = 8


@pytest.fixture
def proxy(own_server) -> Iterator[ServerProxy]:
    proxy = ServerProxy(socket.create_server(("127.0.0.1", 0)), own_server.url)
    yield proxy
    proxy.close()


@pytest.fixture
def make_registry(budget) -> Iterator[Callable[..., ConnectionRegistry]]:
    made: list[ConnectionRegistry] = []

    def make(**changes) -> ConnectionRegistry:
        settings = budget.settings(limit=LIMIT, per_pool=4)
        options = settings | {"slots_path": Path(settings["slots_path"])} | changes
        made.append(ConnectionRegistry(PoolOptions(**options)))
        made[-1].open()
        return made[-1]

    yield make
    for registry in made:
        registry.close()


def ask(registry: ConnectionRegistry, database: str) -> bool:
    """Return whether a query succeeds; False if the connection failed on either side."""
    try:
        with registry.lease(database) as connection:
            return connection.execute("SELECT current_database()").fetchone() == (database,)
    except (ConnectionFailed, psycopg.OperationalError):
        return False


def attempts_to_connect(registry: ConnectionRegistry) -> int:
    return sum(pool.get_stats().get("connections_num", 0) for pool in registry.worker_pools._pools.values())


def test_a_stopped_server_is_refused_at_once_and_found_again(own_server, databases, make_registry):
    registry = make_registry()
    for name in databases[:LIMIT]:
        assert ask(registry, name)
    own_server.stop()
    try:
        wait_until(lambda: not ask(registry, databases[0]))
        wait_until(lambda: registry.statistics().total_connections == 0)  # and not when PostgreSQL is back
        assert registry.statistics().active_pools == 0
        began, before = time.monotonic(), attempts_to_connect(registry)
        for number in range(200):
            with pytest.raises(ConnectionFailed) as caught, registry.lease(databases[number % 40]):
                pass
            assert caught.value.facts["retry_after"] == 1
        assert attempts_to_connect(registry) - before <= attempts_within(time.monotonic() - began)
    finally:
        own_server.start()
    wait_until(lambda: ask(registry, databases[1]))
    assert all(ask(registry, name) for name in databases)


def attempts_within(seconds: float) -> int:
    """As many as there may be in an outage: each with its question, after pauses of 0.1, 0.2, … 1 second."""
    return 2 * (5 + int(seconds))


def test_an_outage_is_not_answered_with_a_storm_of_connections(own_server, databases, make_registry):
    registry = make_registry()
    stop = threading.Event()
    asked: Counter[str] = Counter()

    def hammer(name: str) -> None:
        while not stop.is_set():
            ask(registry, name)
            asked[name] += 1

    own_server.stop()
    try:
        began = time.monotonic()
        threads = [threading.Thread(target=hammer, args=(name,)) for name in databases[:8]]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(asked) == 8 and min(asked.values()) > 100 and attempts_to_connect(registry) >= 4)
        stop.set()
        for thread in threads:
            thread.join()
        # Each thread may have begun before the first knew.
        assert attempts_to_connect(registry) <= 2 * 8 + attempts_within(time.monotonic() - began)
    finally:
        stop.set()
        own_server.start()
    wait_until(lambda: ask(registry, databases[0]))


def test_a_restart_under_load(own_server, start_worker, budget):
    workers = [start_worker(), start_worker()]
    for worker in workers:
        worker.wait_for(more=30)
    own_server.stop()
    offset = own_server.log.stat().st_size
    for worker in workers:
        worker.wait_for(more=10, of="connection_failed")
    own_server.start()
    for worker in workers:
        worker.wait_for(more=30)
        assert "wrong" not in worker.stop()
    budget.use_up(24)
    assert 23 <= own_server.most_alive(offset)[0] <= 24


@pytest.mark.parametrize("notify_server", [True, False])
def test_connections_cut_on_the_way(own_server, databases, make_registry, proxy, notify_server):
    registry, offset = make_registry(conninfo=proxy.conninfo), own_server.log.stat().st_size
    for _ in range(5):
        for name in databases[: LIMIT - 2]:
            assert ask(registry, name)
        proxy.cut(notify_server=notify_server)
        wait_until(lambda: ask(registry, databases[0]))
        wait_until(lambda: registry.statistics().total_connections <= 2)
    assert own_server.most_alive(offset)[0] <= LIMIT


def test_a_full_budget_recovers_after_all_connections_were_cut(own_server, databases, make_registry, proxy):
    """The backends do not notice, so they hold all of the budget except the slot that is reserved for checking them."""
    registry, offset = make_registry(conninfo=proxy.conninfo), own_server.log.stat().st_size
    for name in databases[: LIMIT - 1]:
        assert ask(registry, name)
    proxy.cut(notify_server=False)
    wait_until(lambda: ask(registry, databases[LIMIT]))
    assert own_server.most_alive(offset, start="authorized")[0] == LIMIT
