"""The operator's page: its access, its contents, that it changes nothing unasked, and its display in browsers."""

from __future__ import annotations

import re
import shutil
import subprocess
import uuid
from base64 import b64encode
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.acceptance.schemas import SHOP
from tests.support.running_gateway import Answer, Gateway, free_port, running_gateway

KEY = "key-of-the-operator"
HOSTILE = "<script>alert(1)</script>"
FUNCTIONS = {
    "functions/echo.sql": "CREATE FUNCTION echo(value text) RETURNS text LANGUAGE sql AS 'SELECT value'",
    "functions/digits.sql": "CREATE FUNCTION digits() RETURNS numeric LANGUAGE sql AS 'SELECT 1.10000000000000000001'",
}


def basic(key: str, user: str = "operator") -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{key}".encode()).decode(), "Accept": "text/html,*/*;q=0.8"}


@pytest.fixture(scope="module")
def operated(postgres_url: str, tmp_path_factory: pytest.TempPathFactory):
    """A gateway with an admin key, and a platform that has two tenants, one of them changed by hand."""
    with running_gateway(postgres_url, tmp_path_factory.mktemp("operated"), API_KEY_ADMIN=KEY) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def shop(operated: Gateway) -> str:
    platform = f"shop{uuid.uuid4().hex[:8]}"
    for tenant in ("ada", "grace"):
        assert operated.register(platform, {**SHOP, **FUNCTIONS}, tenant_id=tenant).status == 200
    return platform


def page(gateway: Gateway, path: str) -> str:
    answer = gateway.get(path, basic(KEY))
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    return answer.body.decode()


def send(gateway: Gateway, headers: dict[str, str] | None = None, **fields: str) -> Answer:
    found = re.search(r'name="token" value="(\w+)"', page(gateway, "/admin/pages/call"))
    fields = {"token": found[1], **fields}
    form = {"Content-Type": "application/x-www-form-urlencoded", **basic(KEY), **(headers or {})}
    return gateway.request("POST", "/admin/pages/call", urlencode(fields).encode(), form)


def test_a_browser_is_asked_for_the_key_and_let_in_with_it(operated: Gateway) -> None:
    asked = operated.get("/admin/", {"Accept": "text/html"})
    assert asked.status == 401
    assert asked.headers["WWW-Authenticate"] == 'Basic realm="StoneScriptDB Gateway", charset="UTF-8"'
    assert b"unauthorized" in asked.body
    assert operated.get("/admin/", basic("wrong")).status == 401
    assert operated.get("/admin/", {"Authorization": "Basic ?"}).status == 401
    assert operated.get("/admin/").json["error"] == "unauthorized"
    assert operated.get("/admin/", basic(KEY, "")).status == 200
    assert operated.get("/admin/", {"X-API-Key": KEY}).status == 200


def test_the_password_of_a_browser_opens_nothing_else(operated: Gateway) -> None:
    for method, path in (
        ("GET", "/admin/databases?platform=a"),
        ("POST", "/admin/drop-database"),
        ("POST", "/register"),
    ):
        answer = operated.request(method, path, b"", basic(KEY))
        assert answer.status in (401, 415), path
        assert "WWW-Authenticate" not in answer.headers


def test_without_an_admin_key_or_with_the_setting_off_there_is_no_page(gateway: Gateway, start_gateway) -> None:
    refused = gateway.get("/admin/", basic(KEY))
    assert refused.status == 401
    assert "WWW-Authenticate" not in refused.headers  # no password would be right
    without = start_gateway(API_KEY_ADMIN=KEY, ADMIN_PAGE="off", WORKERS="1")
    assert without.get("/admin/", {"X-API-Key": KEY}).status == 404
    assert without.get("/admin/platforms", {"X-API-Key": KEY}).status == 200


def test_the_overview_shows_platforms_connections_and_functions(operated: Gateway, shop: str) -> None:
    assert operated.call(shop, "add_user", [None], tenant_id="ada").status == 400
    text = page(operated, "/admin/")
    assert f'<a href="/admin/pages/platform/{shop}">' in text
    assert f'<th scope="row">{shop}_ada</th>' in text
    assert re.search(rf"<code>add_user</code></th><td>{shop}</td><td>query_failed</td>", text)
    assert "No call took 1000 ms" in text


def test_the_overview_works_while_postgresql_is_unreachable(start_gateway) -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/postgres"
    gateway = start_gateway(DATABASE_URL=url, API_KEY_ADMIN=KEY, WORKERS="1", POOL_WAIT_TIMEOUT_SECS="1")
    text = page(gateway, "/admin/")
    assert '<span class="bad">does not answer</span>' in text
    assert "The databases cannot be listed" in text
    failed = gateway.get("/admin/pages/platform/a", basic(KEY))
    assert (failed.status, failed.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
    assert failed.headers["Retry-After"]


def test_a_platform_shows_its_databases_and_how_they_drifted(operated: Gateway, shop: str, postgres_url: str) -> None:
    with psycopg.connect(make_conninfo(postgres_url, dbname=f"{shop}_grace"), autocommit=True) as session:
        session.execute(f'ALTER TABLE users ADD COLUMN "{HOSTILE}" int')
    text = page(operated, f"/admin/pages/platform/{shop}")
    assert re.search(rf'{shop}_ada</th><td>ada</td><td>\s*<span class="good">current', text)
    assert re.search(rf'{shop}_grace</th><td>grace</td><td>\s*<span class="bad">drifted', text)
    assert HOSTILE not in text
    assert HOSTILE in unescape(text)
    assert operated.get("/admin/pages/platform/nobody", basic(KEY)).status == 404


def test_deploys_are_shown_with_their_reports_and_plans(operated: Gateway, shop: str) -> None:
    changed = {**SHOP, **FUNCTIONS, "tables/notes.sql": "CREATE TABLE notes (id int)"}
    assert operated.migrate(shop, changed, tenant_id="ada", dry_run="true").status == 200
    assert operated.migrate(shop, {**changed, "functions/bad.sql": "CREATE"}, tenant_id="ada").status == 409
    assert operated.register(shop, {**SHOP, **FUNCTIONS}, tenant_id="ada").status == 200  # nothing to do: not listed
    text = page(operated, "/admin/pages/deploys")
    failed, planned, *registered = re.findall(r'href="(/admin/pages/deploys/[^"]+)"', text)[:4]
    assert "function_deploy_failed" in page(operated, failed)
    plan = page(operated, planned)
    assert "Dry run" in plan
    assert "CREATE TABLE notes" in unescape(plan)
    assert len(registered) == 2
    assert "tables created: 2" in page(operated, registered[-1])
    assert operated.get("/admin/pages/deploys/nothing", basic(KEY)).status == 404


def test_the_form_calls_a_function_and_escapes_what_comes_back(operated: Gateway, shop: str) -> None:
    answer = send(operated, platform=shop, tenant_id="ada", function="echo", params=f'["{HOSTILE}"]')
    text = answer.body.decode()
    assert answer.status == 200
    assert HOSTILE not in text
    assert f'{{"echo":"{HOSTILE}"}}' in unescape(text)
    assert "1.10000000000000000001" in send(operated, platform=shop, tenant_id="ada", function="digits").body.decode()
    missing = send(operated, platform=shop, tenant_id="ada", function="nowhere")
    assert (missing.status, b"function_not_found" in missing.body) == (404, True)
    for params in ("{", "1", "[1"):
        assert send(operated, platform=shop, tenant_id="ada", function="echo", params=params).status == 400
    assert f"call from the page platform={shop} tenant_id=ada function=echo" in operated.log


def test_no_other_site_can_send_the_form(operated: Gateway, shop: str) -> None:
    fields = {"platform": shop, "tenant_id": "ada", "function": "add_user", "params": '["Mallory"]'}
    before = operated.call(shop, "count_users", tenant_id="ada").json["rows"]
    assert send(operated, **fields, token="").status == 403
    assert send(operated, **fields, token="0" * 64).status == 403
    assert send(operated, {"Sec-Fetch-Site": "cross-site"}, **fields).status == 403
    assert send(operated, {"Sec-Fetch-Site": "same-site"}, **fields).status == 403
    assert send(operated, {"Content-Type": "text/plain"}, **fields).status == 415
    assert send(operated, **fields, unknown="1").status == 400
    assert operated.call(shop, "count_users", tenant_id="ada").json["rows"] == before


def test_hostile_requests_are_refused_and_never_fail(operated: Gateway) -> None:
    for path in (
        "/admin/pages/platform/%00", "/admin/pages/platform/%ff", "/admin/pages/platform/" + "a" * 300,
        "/admin/pages/deploys/%00", "/admin/pages/deploys/%ff", "/admin/pages/deploys/" + "a" * 300, "/admin/?x=%ff",
        "/admin/pages/call?platform=%ff&function=%00", "/admin/pages/call?platform=a&platform=b",
    ):  # fmt: skip
        assert operated.get(path, basic(KEY)).status in (200, 400, 404), path
    token = re.search(r'name="token" value="(\w+)"', page(operated, "/admin/pages/call"))[1]
    form = {"Content-Type": "application/x-www-form-urlencoded", **basic(KEY)}
    for body in (
        b"", b"&", b"=", b"\xff=\xff", b"token=%ff", b"token=" + b"x" * 100_000, b"a=1&a=2", b"x&" * 100,
        f"token={token}".encode(), f"token={token}&platform=%00&function=f".encode(),
        f"token={token}&platform=a&function=f&params=".encode() + b"[" * 10_000,
        f"token={token}&platform=a&function=f&params=1e999999999".encode(),
    ):  # fmt: skip
        status = operated.request("POST", "/admin/pages/call", body, form).status
        assert status in (400, 403, 404), (status, body[:80])


def test_pages_load_run_and_frame_nothing(operated: Gateway, shop: str) -> None:
    for path in ("/admin/", f"/admin/pages/platform/{shop}", "/admin/pages/deploys", "/admin/pages/call"):
        answer = operated.get(path, basic(KEY))
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["Cache-Control"] == "no-store"
        text = answer.body.decode()
        assert not re.search(r"<script|\son\w+=|style=|https?://", text)
        assert text.count("<h1>") == 1
        assert '<html lang="en">' in text
        for field in re.findall(r'<(?:input|textarea) id="(\w+)"', text):
            assert f'<label for="{field}">' in text


BROWSER = shutil.which("chromium")


@pytest.mark.skipif(BROWSER is None, reason="chromium is not installed; Debian's package is chromium")
@pytest.mark.parametrize(("width", "path"), [(390, "/admin/pages/platform/{shop}"), (1280, "/admin/")])
def test_a_browser_logs_in_and_draws_the_page(
    operated: Gateway, shop: str, tmp_path: Path, width: int, path: str
) -> None:
    """The policy lets the browser apply the style, and the key in the URL is the password that it sends."""
    picture = tmp_path / "page.png"
    arguments = [
        BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
        f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},1200", f"--screenshot={picture}",
        operated.url.replace("http://", f"http://operator:{KEY}@") + path.format(shop=shop),
    ]  # fmt: skip
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=True)
    assert picture.stat().st_size > 10_000
    assert "Content Security Policy" not in done.stderr
