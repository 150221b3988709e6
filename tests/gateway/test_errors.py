"""The facts of an error: the same precedence wherever they are added."""

from __future__ import annotations

import pytest

from gateway.api.requests import adding_facts
from gateway.errors import ConnectionFailed


def test_facts_of_the_code_closest_to_the_failure_win():
    error = ConnectionFailed("PostgreSQL cannot be reached", database="shop_main", cause=None)
    error.add_facts(database="shop_ada", platform="shop", tenant_id=None)
    assert error.facts == {"platform": "shop", "database": "shop_main"}


def test_a_view_adds_the_facts_of_its_request_by_the_same_rule():
    error = ConnectionFailed("PostgreSQL cannot be reached", database="shop_main")
    with pytest.raises(ConnectionFailed), adding_facts(database="shop_ada", platform="shop", tenant_id=None):
        raise error
    assert error.facts == {"platform": "shop", "database": "shop_main"}


def test_the_text_has_the_messages_of_postgresql_that_the_message_does_not_have():
    facts = {"cause": "could not create unique index", "detail": "Key (a)=(1) is duplicated.", "hint": "Try again."}
    error = ConnectionFailed("tables/t.sql failed: could not create unique index", **facts)
    assert error.text == f"{error.message}. Key (a)=(1) is duplicated. Try again."
    assert ConnectionFailed("refused", cause="why").text == "refused: why"
    assert ConnectionFailed("refused").text == "refused"
