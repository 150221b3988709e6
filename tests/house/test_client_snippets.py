"""Every snippet of docs/clients.md works: it is run as printed, or as far as possible."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gateway.settings import Settings
from tests.support.running_gateway import Gateway

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/clients.md").read_text(encoding="utf-8")
SCHEMA = {
    "tables/notes.sql": "CREATE TABLE notes (id serial PRIMARY KEY, title text NOT NULL);",
    "functions/notes.sql": """
        CREATE FUNCTION add_note(p_title text) RETURNS int LANGUAGE sql
            AS 'INSERT INTO notes (title) VALUES (p_title) RETURNING id';
        CREATE FUNCTION list_notes() RETURNS SETOF notes LANGUAGE sql AS 'SELECT * FROM notes ORDER BY id';""",
}
#: What Laravel's HTTP client does of what the snippet uses, with the extension curl.
LARAVEL = """
namespace Illuminate\\Support\\Facades;
final class Http {
    private array $headers = []; private array $files = []; private array $answer = [];
    public static function withHeaders(array $headers): self {
        $made = new self; $made->headers = $headers; return $made;
    }
    public function timeout(int $seconds): self { return $this; }
    public function attach(string $name, string $content, string $file): self {
        $this->files[$name] = new \\CURLStringFile($content, $file); return $this;
    }
    public function post(string $url, array $body): self {
        $curl = curl_init($url);
        $headers = array_map(fn($name, $value) => "$name: $value", array_keys($this->headers), $this->headers);
        if (!$this->files) { $headers[] = 'Content-Type: application/json'; }
        curl_setopt_array($curl, [CURLOPT_RETURNTRANSFER => true, CURLOPT_HTTPHEADER => $headers,
            CURLOPT_POSTFIELDS => $this->files ? $body + $this->files : json_encode($body)]);
        $this->answer = json_decode(curl_exec($curl), true);
        return $this;
    }
    public function json(): array { return $this->answer; }
}
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def has_php_with_curl() -> bool:
    php = shutil.which("php")
    return php is not None and "curl" in subprocess.run([php, "-m"], capture_output=True, text=True, check=True).stdout


needs_php = pytest.mark.skipif(
    not has_php_with_curl(), reason="PHP with curl is not installed; Debian's packages are php-cli and php-curl"
)
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The repository of an application: its schema, and the scripts of the gateway."""
    for name, text in SCHEMA.items():
        path = tmp_path / "postgresql" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    return tmp_path


@pytest.fixture
def run(project: Path, gateway: Gateway, platform: str):
    def run(*command: str, text: str | None = None, **more: str) -> str:
        known = {
            "PATH": os.environ["PATH"],
            "DB_GATEWAY_URL": gateway.url,
            "PLATFORM_ID": platform,
            "DB_GATEWAY_KEY": "",
        }
        done = subprocess.run(
            command, input=text, cwd=project, env=known | more, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def notes(gateway: Gateway, platform: str) -> None:
    assert gateway.register(platform, SCHEMA, tenant_id="ada").status == 200
    assert gateway.call(platform, "add_note", ["Buy milk"], tenant_id="ada").status == 200


@needs_curl
def test_curl(run, gateway: Gateway, platform: str) -> None:
    (snippet,) = blocks("sh")
    answers = run("sh", "-e", text=snippet)
    assert '"status":"ready"' in answers
    assert '"rows":[{"add_note":1}]' in answers
    assert gateway.call(platform, "list_notes", tenant_id="ada").json["row_count"] == 1


@needs_php
def test_php(run, notes, project: Path, gateway: Gateway) -> None:
    plain = blocks("php")[0]
    (project / "notes.php").write_text(plain)
    assert run("php", "notes.php") == "Buy milk\n"
    more = """
        try { $gateway->call('nowhere'); } catch (GatewayException $e) { echo $e->status, $e->answer['error'], "\\n"; }
        exec('tar -czf schema.tar.gz -C postgresql .');
        echo $gateway->register('schema.tar.gz', 'grace')['database'], "\\n";
        echo $gateway->call('add_note', ['title' => 'Hello'], 'grace')[0]['add_note'], "\\n";
    """
    (project / "more.php").write_text(plain + more)
    _, refused, database, first = run("php", "more.php").splitlines()
    assert refused == "404database_not_found"
    assert database.endswith("_grace")
    assert first == "1"


@needs_php
def test_laravel(run, project: Path, platform: str) -> None:
    service = blocks("php")[1]
    (project / "laravel.php").write_text("<?php" + LARAVEL)
    script = """
        require 'laravel.php';
        exec('tar -czf schema.tar.gz -C postgresql .');
        $service = new GatewayService(getenv('DB_GATEWAY_URL'), getenv('PLATFORM_ID'));
        foreach ([$service->registerPlatform(), $service->uploadSchema('tenant_db', 'schema.tar.gz'),
                  $service->createDatabase('tenant_db', 'store_001'), $service->migrate('tenant_db'),
                  $service->migrate('tenant_db', 'store_001', true)] as $answer) { echo $answer['status'], "\\n"; }
    """
    (project / "service.php").write_text(service + script)
    said = run("php", "service.php").split()
    assert said == ["registered", "registered", "created", "completed", "completed"]


def test_python(run, notes) -> None:
    (snippet,) = blocks("python")
    assert run(sys.executable, "-c", snippet) == "['Buy milk']\n"


@needs_curl
def test_pipelines(run, notes, gateway: Gateway, platform: str) -> None:
    github, gitlab, _ = map(yaml.safe_load, blocks("yaml"))
    job = github["jobs"]["deploy"]
    steps = [step["run"] for step in job["steps"] if "run" in step]
    assert set(job["env"]) == {"DB_GATEWAY_URL", "DB_GATEWAY_KEY", "PLATFORM_ID", "POSTGRESQL_PATH"}
    jobs = [one for name, one in gitlab.items() if name not in ("stages", "variables")]
    assert [one["stage"] for one in jobs] == gitlab["stages"]
    steps += [line for one in jobs for line in one["script"]]
    assert len(steps) == 4
    for path in (job["env"]["POSTGRESQL_PATH"], gitlab["variables"]["POSTGRESQL_PATH"]):
        assert path == "postgresql"
    for step in steps:
        answer = run("sh", "-e", text=step, POSTGRESQL_PATH="postgresql")
        assert '"status":"completed' in answer
        assert f'"dry_run":{"true" if "DRY_RUN" in step else "false"}' in answer


def test_compose(gateway: Gateway) -> None:
    *_, text = blocks("yaml")
    services = yaml.safe_load(text)["services"]
    known = Settings.from_environment({}, None)
    settings = services["gateway"]["environment"]
    assert set(settings) <= set(Settings.variable_names())
    Settings.from_environment({name: value.replace("$", "x") for name, value in settings.items()}, None)
    assert int(settings["MAX_TOTAL_CONNECTIONS"]) <= 100 - 20  # of PostgreSQL's default
    assert int(services["gateway"]["stop_grace_period"][:-1]) > known.statement_timeout_ms / 1000
    kind, _, *check = services["gateway"]["healthcheck"]["test"]
    assert kind == "CMD"
    code = check[1].replace("http://127.0.0.1:9000", gateway.url)
    subprocess.run([sys.executable, check[0], code], check=True)
    failed = subprocess.run(
        [sys.executable, check[0], check[1].replace(":9000", ":1")], capture_output=True, check=False
    )
    assert failed.returncode != 0
    for service in services.values():
        assert all(services[name]["healthcheck"] for name in service.get("depends_on", {}))
