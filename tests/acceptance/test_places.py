"""Where calls are made: each database's in one process, whichever worker has accepted the client."""

from __future__ import annotations

import json
from collections import Counter
from http.client import HTTPConnection

import psycopg
import pytest

from tests.acceptance.schemas import SHOP
from tests.support.running_gateway import Gateway

TENANTS = [f"t{number}" for number in range(6)]


def connections(admin: psycopg.Connection, platform: str) -> Counter[str]:
    query = "SELECT datname FROM pg_stat_activity WHERE starts_with(datname, %s) AND application_name = %s"
    return Counter(name for (name,) in admin.execute(query, [platform, "stonescriptdb-gateway"]))


@pytest.mark.parametrize("workers", ["2", "4"])
def test_a_database_called_from_many_connections_in_turn_needs_one(
    start_gateway, admin: psycopg.Connection, platform: str, workers: str
) -> None:
    gateway: Gateway = start_gateway(WORKERS=workers)
    for tenant in TENANTS:
        assert gateway.register(platform, SHOP, tenant_id=tenant).status == 200
    clients = [HTTPConnection("127.0.0.1", gateway.port, timeout=120) for _ in range(6)]
    try:
        for _ in range(3):
            for client in clients:
                for tenant in TENANTS:
                    body = {"platform": platform, "tenant_id": tenant, "function": "count_users"}
                    client.request("POST", "/call", json.dumps(body), {"Content-Type": "application/json"})
                    response = client.getresponse()
                    assert (response.status, json.load(response)["rows"]) == (200, [{"count_users": 2}])
    finally:
        for client in clients:
            client.close()
    assert connections(admin, platform) == {f"{platform}_{tenant}": 1 for tenant in TENANTS}
