"""Tenants as copies of templates, and the end of databases."""

from __future__ import annotations

import psycopg
import pytest

from tests.acceptance.conftest import ADMIN, CAFE, SHOP, SHOP_KEY, headers
from tests.acceptance.schemas import SHOP as SCHEMA
from tests.support.running_gateway import Gateway, make_archive

DATABASE = SHOP.replace("-", "_")
SHARED = f"{CAFE.replace('-', '_')}_shared"


@pytest.fixture(scope="module")
def template(keyed: Gateway) -> str:
    """A database of the shop's with a schema and a row."""
    form = {"platform": SHOP, "tenant_id": "template", "schema": make_archive(SCHEMA)}
    assert keyed.post_form("/register", form, headers(SHOP_KEY)).status == 200
    assert call(keyed, "template", "add_user", ["Ada"]).status == 200
    return f"{DATABASE}_template"


def call(gateway: Gateway, tenant: str, function: str, params: list, key: str = SHOP_KEY):
    body = {"platform": SHOP, "tenant_id": tenant, "function": function, "params": params}
    return gateway.post_json("/call", body, headers(key))


def create(gateway: Gateway, tenant: str, platform: str = SHOP, **more: object):
    return gateway.post_json("/admin/create-tenant-db", {"platform": platform, "tenant_id": tenant, **more}, ADMIN)


def drop(gateway: Gateway, **body: object):
    return gateway.post_json("/admin/drop-database", {"platform": SHOP, **body}, ADMIN)


def test_a_tenant_is_a_copy_of_its_template_with_everything_in_it(keyed: Gateway, template: str) -> None:
    answer = create(keyed, "t-1", template=template)
    assert (answer.status, answer.json) == (201, {"database": f"{DATABASE}_t_1", "created": True})
    assert call(keyed, "t-1", "count_users", []).json["rows"] == [{"count_users": 3}]
    assert call(keyed, "t-1", "add_user", ["Grace"]).status == 200
    assert call(keyed, "template", "count_users", []).json["rows"] == [{"count_users": 3}]
    form = {"platform": SHOP, "tenant_id": "t-1", "schema": make_archive(SCHEMA)}
    again = keyed.post_form("/migrate", form, headers(SHOP_KEY)).json
    assert (again["migrations_applied"], again["functions_updated"], again["tables_created"]) == (0, 0, 0)


def test_without_a_template_it_is_empty(keyed: Gateway) -> None:
    assert create(keyed, "t-2").json == {"database": f"{DATABASE}_t_2", "created": True}
    assert create(keyed, "t-2").json["error"] == "database_already_exists"
    assert create(keyed, "t-2", template=None).status == 400
    assert call(keyed, "t-2", "count_users", []).json["error"] == "function_not_found"


def test_only_own_and_shared_templates_are_copied(keyed: Gateway, template: str) -> None:
    for tenant, platform, name in (("x", CAFE, template), ("x", SHOP, "postgres"), ("x", SHOP, "nothing")):
        answer = create(keyed, tenant, platform, template=name)
        assert (answer.status, answer.json["error"]) == (404, "database_not_found"), name
        assert "exist" not in answer.json["message"]
    assert create(keyed, "shared", CAFE).json["database"] == SHARED
    assert create(keyed, "t-3", template=SHARED).status == 201
    for wrong in ("", 7, "x" * 64):
        assert create(keyed, "t-4", template=wrong).json["fields"].keys() == {"template"}


def test_a_template_in_use_is_not_copied_and_nothing_is_left(keyed: Gateway, template: str, postgres_url: str) -> None:
    with psycopg.connect(postgres_url, dbname=template):
        answer = create(keyed, "t-5", template=template)
    assert (answer.status, answer.json["error"]) == (503, "connection_failed")
    assert answer.headers["Retry-After"]
    assert call(keyed, "t-5", "count_users", []).json["error"] == "database_not_found"
    with psycopg.connect(postgres_url) as connection:
        left = connection.execute(
            "SELECT count(*) FROM pg_database WHERE datname LIKE '\\_stonescriptdb\\_gateway\\_new%'"
        )
        assert left.fetchone() == (0,)


def test_a_database_is_dropped_only_when_its_name_is_repeated(keyed: Gateway, template: str) -> None:
    assert create(keyed, "t-6", template=template).status == 201
    assert call(keyed, "t-6", "count_users", []).status == 200
    for body in (
        {"tenant_id": "t-6"}, {"tenant_id": "t-6", "confirm": ""}, {"tenant_id": "t-6", "confirm": "t-6"},
        {"tenant_id": "t-6", "confirm": f"{DATABASE}_t-6"}, {"confirm": f"{DATABASE}_main"},
        {"tenant_id": "", "confirm": f"{DATABASE}_main"}, {"schema_name": "a", "confirm": f"{DATABASE}_t_6"},
        {"tenant_id": "t-6", "schema_name": "a", "database_id": "b", "confirm": f"{DATABASE}_t_6"},
    ):  # fmt: skip
        answer = drop(keyed, **body)
        assert (answer.status, answer.json["error"]) == (400, "invalid_request"), body
    answer = drop(keyed, tenant_id="t_6", confirm=f"{DATABASE}_t_6")
    assert (answer.status, answer.json["error"]) == (409, "database_name_conflict")
    assert call(keyed, "t-6", "count_users", []).status == 200
    answer = drop(keyed, tenant_id="t-6", confirm=f"{DATABASE}_t_6")
    assert (answer.status, answer.json) == (200, {"status": "dropped", "database": f"{DATABASE}_t_6"})
    assert call(keyed, "t-6", "count_users", []).json["error"] == "database_not_found"
    assert drop(keyed, tenant_id="t-6", confirm=f"{DATABASE}_t_6").status == 404
    assert "database dropped" in keyed.log


def test_without_an_admin_key_no_database_is_dropped(gateway: Gateway, platform: str) -> None:
    assert gateway.post_json("/admin/create-tenant-db", {"platform": platform, "tenant_id": "main"}).status == 201
    answer = gateway.post_json(
        "/admin/drop-database", {"platform": platform, "tenant_id": "main", "confirm": f"{platform}_main"}
    )
    assert (answer.status, answer.json["error"]) == (401, "unauthorized")
    assert gateway.get(f"/admin/databases?platform={platform}").json["count"] == 1
