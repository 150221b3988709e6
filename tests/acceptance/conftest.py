"""A gateway with keys, networks and a trusted proxy, for the tests of what they guard."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.support.running_gateway import Gateway, running_gateway

PROXY = "127.0.0.1"
RUN = uuid.uuid4().hex[:8]
SHOP, CAFE = f"shop-{RUN}", f"cafe-{RUN}"  #: the platforms that have keys
OLD_SHOP_KEY, SHOP_KEY, CAFE_KEY, ADMIN_KEY = "shop-key-1", "shop-key-2", "cafe-key", "admin-key"
OFFICE, ADMINISTRATION = "10.1.0.1", "10.1.9.1"


@pytest.fixture(scope="session")
def keyed(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    settings = {
        "ALLOWED_NETWORKS": "10.1.0.0/16", "ALLOWED_ADMIN_NETWORKS": "10.1.9.0/24", "TRUSTED_PROXIES": PROXY,
        f"API_KEY_{SHOP}": f"{OLD_SHOP_KEY},{SHOP_KEY}", f"API_KEY_{CAFE}": CAFE_KEY, "ADMIN_TOKEN": ADMIN_KEY,
        "QUERY_WRITE_KEYS": CAFE, "SHARED_TEMPLATES": f"{CAFE.replace('-', '_')}_shared",
    }  # fmt: skip
    with running_gateway(postgres_url, tmp_path_factory.mktemp("keyed"), **settings) as gateway:
        yield gateway


def headers(key: str | None, address: str = OFFICE) -> dict[str, str]:
    """The headers of a client at *address*, as the proxy passes them on."""
    return {"X-Forwarded-For": address} | ({} if key is None else {"X-API-Key": key})


ADMIN = headers(ADMIN_KEY, ADMINISTRATION)
