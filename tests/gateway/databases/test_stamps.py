"""Stamps: a stamp is read as it was written, and no other text is read as a stamp."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.databases.stamps import Stamp, answers_to, stamp_prefix
from gateway.naming import DatabaseOwner, schema_database, tenant_database

OWNERS = [
    tenant_database("shop"),
    tenant_database("shop", "clinic-001"),
    tenant_database("My Shop.2", "İ".encode().hex()),
    schema_database("shop", "tenant_db", "store_001"),
]


@pytest.mark.parametrize("owner", OWNERS)
def test_a_stamp_is_read_as_it_was_written(owner: DatabaseOwner) -> None:
    made = Stamp(owner=owner, created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    adopted = Stamp(owner=owner, adopted_at=datetime(2026, 1, 2, tzinfo=UTC), comment='a person\'s "words"')
    assert Stamp.from_text(made.to_text()) == made
    assert Stamp.from_text(adopted.to_text()) == adopted


@pytest.mark.parametrize("owner", OWNERS)
def test_a_stamp_has_the_prefix_of_its_platform(owner: DatabaseOwner) -> None:
    text = Stamp(owner=owner).to_text()
    assert text.startswith(stamp_prefix(owner.platform))
    assert text.startswith(stamp_prefix())
    assert not text.startswith(stamp_prefix(owner.platform[:-1]))


@pytest.mark.parametrize(
    "comment",
    [
        None, "", "the shop's own database", "{", "[]", "null", "17", '"x"', "{}",
        '{"stonescriptdb_gateway":2,"platform":"shop","tenant_id":null}',
        '{"stonescriptdb_gateway":1}',
        '{"stonescriptdb_gateway":1,"platform":"shop","created_at":"yesterday"}',
        '{"stonescriptdb_gateway":1,"platform":"shop","created_at":17}',
    ],
)  # fmt: skip
def test_anything_else_is_no_stamp(comment: str | None) -> None:
    assert Stamp.from_text(comment) is None


def test_a_v2_database_answers_to_the_tenant_id_made_of_its_names() -> None:
    stored = schema_database("shop", "tenant_db", "7")
    assert answers_to(stored, stored)
    assert answers_to(stored, tenant_database("shop", "tenant_db_7"))
    assert not answers_to(stored, tenant_database("shop", "tenant-db_7"))
    assert not answers_to(stored, tenant_database("shop_tenant", "db_7"))
    assert not answers_to(tenant_database("shop", "tenant_db_7"), stored)
