"""Names to database names: nothing is blanked, cut or guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.naming import check_tenant_id, schema_database, tenant_database


@pytest.mark.parametrize(
    ("platform", "tenant_id", "name"),
    [
        ("myapp", None, "myapp_main"),
        ("myapp", "tenant_001", "myapp_tenant_001"),
        ("institute-app", "Clinic 7.b", "institute_app_clinic_7_b"),
        ("7", "0", "7_0"),
        ("a", "550e8400-e29b-41d4-a716-446655440000", "a_550e8400_e29b_41d4_a716_446655440000"),
        ("A", "MAIN", "a_main"),
        ("a", "NULL", "a_null"),
    ],
)
def test_a_tenant_s_database_is_named_after_both(platform, tenant_id, name) -> None:
    owner = tenant_database(platform, tenant_id)
    assert owner.database_name == name
    assert (owner.platform, owner.tenant_id) == (platform, tenant_id)
    assert owner.kind == ("main" if tenant_id is None else "tenant")


@pytest.mark.parametrize("tenant_id", [None, "", "null", "main"])
def test_some_tenant_ids_mean_the_main_database(tenant_id) -> None:
    assert check_tenant_id(tenant_id) is None
    assert tenant_database("a", tenant_id) == tenant_database("a")


def test_a_v2_database_is_named_after_all_three() -> None:
    owner = schema_database("myapp", "tenant_db", "store-001")
    assert (owner.database_name, owner.kind) == ("myapp_tenant_db_store_001", "schema")
    assert schema_database("myapp", "tenant_db", "main").database_name == "myapp_tenant_db_main"


def test_different_owners_may_have_one_name_but_are_never_equal() -> None:
    alike = [tenant_database("a", "b_c"), tenant_database("a_b", "c"), tenant_database("a", "b-c")]
    alike.append(schema_database("a", "b", "c"))
    assert {owner.database_name for owner in alike} == {"a_b_c"}
    assert len(set(alike)) == 4


BAD = [
    "",
    " a",
    "_a",
    "-a",
    ".a",
    "a%",
    "%",
    "../x",
    "a/b",
    "İ",
    "a\u0000",
    "a\n",
    "é",
    "a;b",
    '"a"',
    "٣",
    7,
    True,
    [],
    {},
]


@pytest.mark.parametrize("name", [*BAD, None])
def test_a_bad_name_is_refused_and_the_field_named(name) -> None:
    for field, make in {
        "platform": lambda: tenant_database(name),
        "schema_name": lambda: schema_database("a", name, "b"),
        "database_id": lambda: schema_database("a", "b", name),
    }.items():
        with pytest.raises(InvalidRequest, match=f"^{field} .*letters, digits"):
            make()


@pytest.mark.parametrize("tenant_id", [bad for bad in BAD if bad != ""])
def test_a_bad_tenant_id_is_refused(tenant_id) -> None:
    with pytest.raises(InvalidRequest, match=r"^tenant_id "):
        tenant_database("a", tenant_id)


def test_a_name_that_postgresql_would_truncate_is_refused() -> None:
    assert len(tenant_database("a" * 58).database_name) == 63
    for make in (
        lambda: tenant_database("a" * 59),
        lambda: tenant_database("a", "b" * 62),
        lambda: schema_database("a" * 21, "b" * 21, "c" * 20),
    ):
        with pytest.raises(InvalidRequest, match="64 bytes"):
            make()


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_. \-]{0,18}", fullmatch=True)


@given(NAMES, NAMES)
def test_a_database_name_is_a_plain_identifier_of_the_same_length(platform, tenant) -> None:
    owner = tenant_database(platform, tenant)
    name = owner.database_name
    assert len(name) == len(platform) + 1 + len(owner.tenant_id or "main")
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")
    assert not name.startswith("_")
