"""The running gateway while its workers are killed, reloaded and kept busy; the budget holds all the time."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException

import pytest

from tests.support.running_gateway import Gateway
from tests.support.waiting import PATIENCE_SECONDS, wait_until

LIMIT = 10
TENANTS = [f"t{number}" for number in range(16)]
SCHEMA = {
    "functions/whoami.pssql": """\
CREATE FUNCTION whoami(p_seconds double precision) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(p_seconds);
    RETURN current_database();
END
$$;
""",
}


@pytest.fixture
def gateway(start_gateway, own_server) -> Gateway:
    gateway = start_gateway(
        DATABASE_URL=own_server.url,
        WORKERS="3",
        THREADS="12",
        MAX_TOTAL_CONNECTIONS=str(LIMIT),
        MAX_CONNECTIONS_PER_POOL="4",
        POOL_WAIT_TIMEOUT_SECS=str(PATIENCE_SECONDS),  # nothing here may fail because the machine is slow
    )
    for tenant in TENANTS:
        answer = gateway.register("fire", SCHEMA, tenant_id=tenant)
        assert answer.status == 200, answer.body
    return gateway


class Clients:
    """Threads that call for one tenant after the other, and what came of it."""

    def __init__(self, gateway: Gateway, count: int) -> None:
        self._gateway = gateway
        self._stop = threading.Event()
        self.outcomes: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._call, args=(seed,)) for seed in range(count)]

    def _call(self, seed: int) -> None:
        choose = random.Random(seed)
        while not self._stop.is_set():
            tenant = choose.choice(TENANTS)
            try:
                answer = self._gateway.call("fire", "whoami", [choose.random() * 0.02], tenant_id=tenant)
            except (OSError, HTTPException):
                self.outcomes["cut"] += 1
                continue
            if answer.status != 200:
                self.outcomes[f"{answer.status} {answer.json['error']}"] += 1
            elif answer.json["rows"] == [{"whoami": f"fire_{tenant}"}]:
                self.outcomes["right"] += 1
            else:
                self.outcomes["wrong"] += 1

    def wait_for_more(self, count: int) -> None:
        """Wait until so many more calls than now have been answered rightly."""
        before = self.outcomes["right"]
        wait_until(lambda: self.outcomes["right"] >= before + count)

    @contextmanager
    def calling(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()


def test_workers_killed_under_load(gateway, sampler):
    clients = Clients(gateway, 12)
    kills = 4
    with clients.calling():
        for _ in range(kills):
            clients.wait_for_more(50)
            os.kill(random.choice(gateway.worker_pids()), signal.SIGKILL)
        clients.wait_for_more(200)
    assert sampler.most() <= LIMIT
    assert set(clients.outcomes) <= {"right", "cut"}
    assert clients.outcomes["cut"] <= kills * 12
    assert gateway.get("/health").json["total_connections"] <= LIMIT


def test_a_reload_under_load_fails_no_request(gateway, sampler):
    clients = Clients(gateway, 12)
    with clients.calling():
        for _ in range(2):
            clients.wait_for_more(50)
            before = set(gateway.worker_pids())
            os.kill(gateway.process.pid, signal.SIGHUP)
            wait_until(lambda old=before: old.isdisjoint(gateway.worker_pids()))
        clients.wait_for_more(50)
    assert sampler.most() <= LIMIT
    assert set(clients.outcomes) == {"right"}


def test_deploys_and_calls_at_once(gateway, sampler):
    clients = Clients(gateway, 8)
    with clients.calling():
        clients.wait_for_more(50)
        changed = {path: text.replace("RETURN current", "RETURN '' || current") for path, text in SCHEMA.items()}
        assert gateway.migrate("fire", changed).status == 200
        clients.wait_for_more(50)
    assert sampler.most() <= LIMIT
    assert set(clients.outcomes) == {"right"}


def test_one_flooding_tenant_and_the_others(gateway, sampler, own_server):
    """The flood has more requests in flight than its share of connections, and each takes long."""
    stop = threading.Event()
    flooded: Counter[int] = Counter()

    def flood() -> None:
        while not stop.is_set():
            flooded[gateway.call("fire", "whoami", [0.3], tenant_id=TENANTS[0]).status] += 1

    threads = [threading.Thread(target=flood) for _ in range(12)]
    for thread in threads:
        thread.start()
    with own_server.observe() as observer:
        busy = "SELECT count(*) = 4 FROM pg_stat_activity WHERE datname = %s AND wait_event = 'PgSleep'"
        wait_until(lambda: observer.execute(busy, [f"fire_{TENANTS[0]}"]).fetchone() == (True,))
    most_meanwhile = 0
    for tenant in TENANTS[1:] * 2:
        before = flooded.total()
        answer = gateway.call("fire", "whoami", [0], tenant_id=tenant)
        most_meanwhile = max(most_meanwhile, flooded.total() - before)
        assert (answer.status, answer.json["rows"]) == (200, [{"whoami": f"fire_{tenant}"}])
    stop.set()
    for thread in threads:
        thread.join()
    assert set(flooded) == {200}
    assert most_meanwhile <= 12  # no call waited until each of the flood's had had its turn, and then one more
    assert sampler.most() <= LIMIT
    assert sampler.most_per_database() <= 4
