"""The rule of networks as a client meets it."""

from __future__ import annotations

import pytest

from tests.support.running_gateway import Gateway

ROUTES = [
    ("POST", "/register"), ("POST", "/migrate"), ("POST", "/call"), ("GET", "/admin/databases"),
    ("POST", "/admin/create-tenant"), ("POST", "/database/create"), ("POST", "/v2/migrate"), ("GET", "/nowhere"),
    ("GET", "/call"), ("GET", "/metrics"),
]  # fmt: skip


@pytest.fixture(scope="module")
def closed(postgres_url: str, tmp_path_factory) -> Gateway:
    from tests.support.running_gateway import running_gateway

    # The database is not used: requests are refused before, so any conninfo does.
    with running_gateway(postgres_url, tmp_path_factory.mktemp("closed"), ALLOWED_NETWORKS="10.1.2.0/24") as gateway:
        yield gateway


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("headers", [{}, {"X-Forwarded-For": "10.1.2.3"}, {"Forwarded": "for=10.1.2.3"}])
def test_outside_the_allowed_networks_every_route_is_closed(closed: Gateway, method: str, path: str, headers) -> None:
    answer = closed.request(method, path, b"{}" if method == "POST" else None, headers)
    assert (answer.status, answer.json["error"]) == (403, "unauthorized")


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_health_is_open(closed: Gateway, path: str) -> None:
    assert closed.get(path).status == 200


def test_administration_can_be_closed_alone(start_gateway) -> None:
    gateway: Gateway = start_gateway(ALLOWED_ADMIN_NETWORKS="10.1.2.0/24", TRUSTED_PROXIES="127.0.0.1")
    assert gateway.get("/admin/databases?platform=a").status == 403
    assert gateway.get("/nowhere").status == 404
    for target in (
        "/admin",
        "//admin",
        "///admin",
        "/%2fadmin",
        "//%2Fadmin",
        "/%61dmin",
        "http://h/admin",
        "http://h//admin",
    ):
        for method, path in (
            ("POST", "/create-tenant"),
            ("GET", "/databases?platform=a"),
            ("PUT", "/databases"),
            ("GET", "/x"),
        ):
            answer = gateway.request(method, target + path, b"{}", {"Content-Type": "application/json"})
            assert (answer.status, answer.json["error"]) == (403, "unauthorized"), target + path
    behind_proxy = {"X-Forwarded-For": "127.0.0.1, 10.1.2.3"}
    assert gateway.get("/admin/databases?platform=a", behind_proxy).status == 403
    both = start_gateway(
        ALLOWED_NETWORKS="10.1.0.0/16", ALLOWED_ADMIN_NETWORKS="10.1.2.0/24", TRUSTED_PROXIES="127.0.0.1"
    )
    assert both.get("/admin/databases?platform=a", behind_proxy).status == 200
    assert both.get("/nowhere").status == 403
    assert both.get("/nowhere", {"X-Forwarded-For": "10.1.9.9"}).status == 404
    assert both.get("/admin/databases?platform=a", {"X-Forwarded-For": "10.1.9.9"}).status == 403
