"""One owner's database is never another's, however alike their names."""

from __future__ import annotations

import psycopg

from gateway.databases.catalog import drop_database
from tests.acceptance.schemas import SHOP
from tests.support.running_gateway import Gateway


def conflict(answer) -> dict:
    assert (answer.status, answer.json["error"]) == (409, "database_name_conflict"), answer.body
    return answer.json


def test_names_that_fold_into_one_are_kept_apart_on_every_route(gateway: Gateway, platform: str) -> None:
    assert gateway.register(platform, SHOP, tenant_id="b_c").status == 200
    other = f"{platform}_b"
    told = [
        conflict(gateway.register(other, SHOP, tenant_id="c")),
        conflict(gateway.migrate(other, SHOP, tenant_id="c")),
        conflict(gateway.call(other, "count_users", tenant_id="c")),
        conflict(gateway.call(platform, "count_users", tenant_id="b-c")),
        conflict(gateway.call(platform, "count_users", schema_name="b", database_id="c")),
        conflict(gateway.post_json("/admin/create-tenant", {"platform": other, "tenant_id": "c"})),
    ]
    assert all(one["database"] == f"{platform}_b_c" for one in told)
    assert gateway.call(platform, "count_users", tenant_id="b_c").json["rows"] == [{"count_users": 2}]
    assert gateway.get(f"/admin/databases?platform={other}").json["count"] == 0


def test_a_platform_named_like_another_s_main_database_is_separate(gateway: Gateway, platform: str) -> None:
    assert gateway.register(platform, SHOP).status == 200
    assert gateway.register(platform, SHOP, tenant_id="MAIN").json["error"] == "database_name_conflict"


def test_a_database_dropped_and_made_again_is_noticed_by_every_worker(
    gateway: Gateway, admin: psycopg.Connection, platform: str
) -> None:
    gateway.register(platform, SHOP, tenant_id="x-1")
    for _ in range(20):
        assert gateway.call(platform, "count_users", tenant_id="x-1").status == 200

    drop_database(admin, f"{platform}_x_1")
    for _ in range(20):
        answer = gateway.call(platform, "count_users", tenant_id="x-1")
        assert (answer.status, answer.json["error"]) == (404, "database_not_found"), answer.body

    gateway.register(platform, SHOP, tenant_id="x_1")
    for _ in range(20):
        conflict(gateway.call(platform, "count_users", tenant_id="x-1"))
        assert gateway.call(platform, "count_users", tenant_id="x_1").status == 200

    drop_database(admin, f"{platform}_x_1")
    gateway.register(
        platform, {**SHOP, "seeders/users.pssql": "INSERT INTO users (name) VALUES ('A')"}, tenant_id="x-1"
    )
    for _ in range(20):
        answer = gateway.call(platform, "count_users", tenant_id="x-1")
        assert (answer.status, answer.json.get("rows")) == (200, [{"count_users": 1}]), answer.body
