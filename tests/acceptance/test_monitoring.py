"""Rare events in /metrics, the alert rules and the dashboard."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.schemas import SHOP
from tests.support.running_gateway import Gateway, free_port, running_gateway
from tests.support.waiting import wait_until

MONITORING = Path(__file__).parents[2] / "monitoring"
FAILING = "CREATE FUNCTION fail() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$"
SLOW = "CREATE FUNCTION wait() RETURNS void LANGUAGE sql AS $$ SELECT pg_sleep(0.1) $$"
FILES = {**SHOP, "functions/fail.sql": FAILING, "functions/wait.sql": SLOW}
TENANTS = ("a", "b", "c", "d", "e", "f")
ALLOWED = 2 * len(TENANTS) + 5  #: requests, one less than are sent
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def platform() -> str:
    return f"p{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="module")
def busy(postgres_url: str, tmp_path_factory: pytest.TempPathFactory, platform: str) -> Iterator[Gateway]:
    """A gateway with few connections, in which everything that is counted has happened."""
    settings = {
        "SLOW_CALL_MS": "50", "MAX_TOTAL_CONNECTIONS": "6", "WORKERS": "1",
        f"RATE_LIMIT_{platform.upper()}": f"{ALLOWED}/hour",
    }  # fmt: skip
    with running_gateway(postgres_url, tmp_path_factory.mktemp("busy"), **settings) as gateway:
        for tenant in TENANTS:
            assert gateway.register(platform, FILES, tenant_id=tenant).status == 200
        assert gateway.register(platform, {**FILES, "functions/bad.sql": "CREATE"}, tenant_id="a").status == 409
        assert gateway.migrate(platform, {**FILES, "tables/t.sql": "CREATE TABLE t (id int)"}).status == 200
        assert gateway.call(platform, "fail", tenant_id="a").status == 400
        assert gateway.call(platform, "wait", tenant_id="a").status == 200
        for tenant in (*TENANTS, "a"):
            assert gateway.call(platform, "count_users", tenant_id=tenant).status == 200
        assert gateway.call(platform, "count_users", tenant_id="a").status == 429
        assert gateway.get("/no/such/route").status == 404
        yield gateway


@pytest.fixture(scope="module")
def samples(busy: Gateway) -> Samples:
    """Every value of /metrics by its name and all its labels."""
    families = text_string_to_metric_families(busy.get("/metrics").body.decode())
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def test_rare_events_are_counted_too(busy: Gateway, samples: Samples, platform: str) -> None:
    def value(name: str, **labels: str) -> float:
        return samples.get((f"db_gateway_{name}", frozenset(labels.items())), 0)

    assert value("failed_calls_total", platform=platform, function="fail", type="query_failed") == 1
    assert value("slow_calls_total", platform=platform, function="wait") == 1
    assert value("deploy_duration_seconds_count", purpose="register", result="done") >= 1  # the others are copies
    assert value("deploy_duration_seconds_count", purpose="register", result="function_deploy_failed") == 1
    assert value("migrated_databases_total", status="completed") == len(TENANTS)
    assert value("template_lookups_total", found="yes") >= 1
    assert value("template_lookups_total", found="no") >= 1
    assert value("rate_limited_total", platform=platform.upper()) == 1
    assert value("pool_wait_seconds_count", leased="yes") >= len(TENANTS)
    assert sum(count for (name, _), count in samples.items() if name == "db_gateway_pool_evictions_total") >= 1
    assert value("max_total_connections") == 6
    assert value("budget_waiting") == 0
    states = {
        dict(labels)["state"]: count for (name, labels), count in samples.items() if name == "db_gateway_connections"
    }
    assert set(states) == {"connecting", "busy", "idle", "closing", "lost"}
    assert value("total_connections") <= 6
    assert re.search(r"WARNING gateway\.api\.v1\.call slow call .*function=wait took_ms=\d+ request_id=\w+", busy.log)


def rules() -> dict[str, str]:
    (group,) = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    return {rule["alert"]: rule["expr"] for rule in group["rules"]}


def queries() -> list[tuple[str, str]]:
    """The title and the expression of every query of the dashboard, with values for its variables."""
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    values = {"$instance": ".*", "$__rate_interval": "1m"}
    found = []
    for panel in panels:
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in values.items():
                expression = expression.replace(name, value)
            found.append((panel["title"], expression))
    return found


def test_alerts_and_dashboard_name_existing_metrics(busy: Gateway) -> None:
    told = set(re.findall(r"^(\w+)[{ ]", busy.get("/metrics").body.decode(), re.MULTILINE))
    expressions = rules()
    assert set(expressions) >= {"DbGatewayHighLatency", "DbGatewayConnectionsHigh", "DbGatewayErrorRate"}
    assert expressions.pop("DbGatewayDown").startswith("up{")  # Prometheus's own
    for title, expression in (*expressions.items(), *queries()):
        assert "$" not in expression, title
        named = set(re.findall(r"db_gateway_\w+", expression))
        assert named, title
        assert named <= told, title


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed; Debian's package is prometheus"
)
def test_the_alert_rules_fire_when_they_should_and_not_otherwise() -> None:
    command = ["promtool", "test", "rules", "alerts_test.yml"]
    result = subprocess.run(command, cwd=MONITORING, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@contextmanager
def running_prometheus(folder: Path, gateway: Gateway) -> Iterator[str]:
    """Start a Prometheus that reads the numbers of *gateway*, with the alert rules, and give its address."""
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(MONITORING / "alerts.yml")],
        "scrape_configs": [{"job_name": "db_gateway", "static_configs": [{"targets": [f"127.0.0.1:{gateway.port}"]}]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    address = f"127.0.0.1:{free_port()}"
    arguments = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address={address}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["prometheus", *arguments], cwd=folder, stdout=log, stderr=log)
    try:
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait()


def ask(url: str) -> dict:
    try:
        with urlopen(url) as answer:
            return json.load(answer)
    except OSError:  # not there yet
        return {}


@pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="prometheus is not installed; Debian's package is prometheus"
)
def test_prometheus_answers_every_query_of_the_dashboard(busy: Gateway, tmp_path: Path) -> None:
    with running_prometheus(tmp_path, busy) as url:

        def result(expression: str) -> list:
            return ask(f"{url}/api/v1/query?query={quote(expression)}").get("data", {}).get("result", [])

        # Rates need two readings.
        wait_until(lambda: [one for one in result("count_over_time(up[1m])") if int(one["value"][1]) > 1])
        for title, expression in queries():
            assert result(expression), f"{title}: {expression}"
        loaded = ask(f"{url}/api/v1/rules")["data"]["groups"][0]["rules"]
        assert {rule["name"] for rule in loaded} == set(rules())
        wait_until(
            lambda: all(rule["health"] == "ok" for rule in ask(f"{url}/api/v1/rules")["data"]["groups"][0]["rules"])
        )
