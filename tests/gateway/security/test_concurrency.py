"""The limit of running calls: for each database by itself."""

from __future__ import annotations

import pytest

from gateway.errors import PoolExhausted
from gateway.security.concurrency import ConcurrencyLimit


def test_each_database_has_its_own_limit():
    limit = ConcurrencyLimit(2)
    limit.enter("shop_main")
    limit.enter("shop_main")
    with pytest.raises(PoolExhausted):
        limit.enter("shop_main")
    limit.enter("clinic_main")
    limit.leave("shop_main")
    limit.enter("shop_main")
