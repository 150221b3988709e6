"""PostgreSQL stopped, started again, and cut off: refused at once, back within seconds, and never too many."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gateway.errors import ConnectionFailed
from gateway.pools import ConnectionRegistry
from tests.support.waiting import wait_until

LIMIT = 8


class Proxy:
    """Forwards TCP connections to the server's Unix socket, until it cuts them."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._carried: list[tuple[socket.socket, socket.socket]] = []
        self._abandoned: list[socket.socket] = []  # sockets of the server whose backends do not know of the cut
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                self._carried.append((client, server))
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            if sink not in self._abandoned:
                sink.shutdown(socket.SHUT_WR)

    def cut(self, *, tell_server: bool) -> None:
        """End every connection at the client's side; without *tell_server* its backend is left waiting."""
        carried, self._carried = self._carried, []
        if not tell_server:
            self._abandoned += [server for _, server in carried]
        for client, server in carried:
            for end in (client, server) if tell_server else (client,):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.cut(tell_server=True)
        self._listener.close()
        for server in self._abandoned:
            server.close()


@pytest.fixture
def proxy(own_server) -> Iterator[Proxy]:
    given = conninfo_to_dict(own_server.url)
    proxy = Proxy(f"{given['host']}/.s.PGSQL.{given.get('port', 5432)}")
    yield proxy
    proxy.close()


@pytest.fixture
def make_registry(budget) -> Iterator[Callable[..., ConnectionRegistry]]:
    made: list[ConnectionRegistry] = []

    def make(**changes) -> ConnectionRegistry:
        settings = budget.settings(limit=LIMIT, per_pool=4)
        made.append(ConnectionRegistry(**settings | {"slots_path": Path(settings["slots_path"])} | changes))
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


@pytest.mark.parametrize("tell_server", [True, False])
def test_connections_cut_on_the_way(own_server, databases, make_registry, proxy, tell_server):
    conninfo = make_conninfo(own_server.url, host="127.0.0.1", port=proxy.port)
    registry, offset = make_registry(conninfo=conninfo), own_server.log.stat().st_size
    for _ in range(5):
        for name in databases[: LIMIT - 2]:
            assert ask(registry, name)
        proxy.cut(tell_server=tell_server)
        wait_until(lambda: ask(registry, databases[0]))
        wait_until(lambda: registry.statistics().total_connections <= 2)
    assert own_server.most_alive(offset)[0] <= LIMIT


def test_a_full_budget_recovers_after_all_connections_were_cut(own_server, databases, make_registry, proxy):
    """The backends do not notice, so they hold all of the budget except the slot that is reserved for checking them."""
    conninfo = make_conninfo(own_server.url, host="127.0.0.1", port=proxy.port)
    registry, offset = make_registry(conninfo=conninfo), own_server.log.stat().st_size
    for name in databases[: LIMIT - 1]:
        assert ask(registry, name)
    proxy.cut(tell_server=False)
    wait_until(lambda: ask(registry, databases[LIMIT]))
    assert own_server.most_alive(offset, start="authorized")[0] == LIMIT
