"""The private methods of psycopg_pool that the pools use or override have not changed since they were reviewed."""

from __future__ import annotations

import ast
import inspect
from hashlib import blake2b
from pathlib import Path
from typing import Final

import pytest
from psycopg_pool import ConnectionPool
from psycopg_pool.pool import WaitingClient

from gateway.pools import pool, threadless_pool, waiter

RECORDED: Final[dict[str, str]] = {
    "ConnectionPool._check_open": "95268fde0018",
    "ConnectionPool._connect": "13e743f298dc",
    "ConnectionPool._open": "11d8d4d6206a",
    "ConnectionPool._reset_connection": "db6911280f50",
    "ConnectionPool._signal_stop_worker": "954248190dc8",
    "ConnectionPool.check": "6bb2ea0f9c1e",
    "ConnectionPool.drain": "d2321c9fbbfd",
    "ConnectionPool.getconn": "f55538e4e489",
    "ConnectionPool.putconn": "143c23b20881",
    "ConnectionPool.resize": "e852a14faf97",
    "ConnectionPool.run_task": "95d2d9fc44e0",
    "WaitingClient.fail": "b98ee4f81b28",
    "WaitingClient.set": "5fb70b71ed98",
}

KINDS: Final = (
    (ConnectionPool, threadless_pool, threadless_pool.ThreadlessPool),
    (ConnectionPool, pool, pool.TenantPool),
    (WaitingClient, waiter, waiter.Waiter),
)


def relied_on() -> dict[str, str]:
    """Return the overridden methods and the private ones that are called, each with a digest of its source."""
    found = {}
    for base, module, ours in KINDS:
        tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
        used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr.startswith("_")}
        for name in (used | set(vars(ours))) - {"__init__", "__doc__", "__module__", "__slots__"}:
            method = inspect.getattr_static(base, name, None)
            if inspect.isfunction(method):
                source = inspect.getsource(method)
                found[f"{base.__name__}.{name}"] = blake2b(source.encode(), digest_size=6).hexdigest()
    return found


def test_everything_relied_on_is_recorded_and_nothing_else():
    assert sorted(relied_on()) == sorted(RECORDED)


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_the_source_is_the_one_that_was_read(name):
    assert relied_on()[name] == RECORDED[name], (
        f"this psycopg_pool has another {name}: compare it with the last one, see that the pools do not depend on the "
        "difference, and record its digest here"
    )
