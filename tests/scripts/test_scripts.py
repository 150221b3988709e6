"""The shell scripts, against a server with prepared answers."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from werkzeug.formparser import parse_form_data

from tests.support.running_gateway import free_port

SCRIPTS = Path(__file__).parents[2] / "scripts"
REGISTER = SCRIPTS / "register-with-gateway.sh"
MIGRATE = SCRIPTS / "migrate-schema.sh"

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the scripts need curl")


class FakeGateway:
    """Answers each request with the next of *statuses* and keeps what it was sent."""

    def __init__(self) -> None:
        self.statuses = [200]
        self.requests: list[dict[str, Any]] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                environ = {
                    "REQUEST_METHOD": "POST",
                    "CONTENT_TYPE": self.headers["Content-Type"],
                    "CONTENT_LENGTH": str(len(body)),
                    "wsgi.input": io.BytesIO(body),
                }
                _, form, files = parse_form_data(environ)
                with tarfile.open(fileobj=io.BytesIO(files["schema"].read())) as tar:
                    names = {name.removeprefix("./") for name in tar.getnames()}
                key = self.headers["X-API-Key"]
                fake.requests.append({"path": self.path, "form": dict(form), "files": names, "key": key})
                status = fake.statuses.pop(0)
                if status == 0:
                    return self.connection.close()
                answer = b'{"answer": %d}' % len(fake.requests)
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
                return None

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def fake() -> Iterator[FakeGateway]:
    made = FakeGateway()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def run(fake, tmp_path):
    (tmp_path / "src/postgresql/tables").mkdir(parents=True)
    (tmp_path / "src/postgresql/tables/t.pssql").write_text("CREATE TABLE t ();")
    quick = tmp_path / "bin"  # a pause that takes no time
    quick.mkdir()
    (quick / "sleep").write_text('#!/bin/sh\necho "$1" >> sleeps\n')
    (quick / "sleep").chmod(0o755)

    def run(script: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        given = {
            "PATH": f"{quick}:{os.environ['PATH']}",
            "DB_GATEWAY_URL": fake.url,
            "PLATFORM_ID": "shop",
            **environment,
        }
        return subprocess.run([script], cwd=tmp_path, env=given, capture_output=True, text=True, check=False)

    return run


def test_register_sends_the_folder_and_prints_the_answer(run, fake):
    result = run(REGISTER, TENANT_ID="ada", DB_GATEWAY_URL=fake.url + "/")
    assert (result.returncode, result.stdout, result.stderr) == (0, '{"answer": 1}\n', "")
    (request,) = fake.requests
    assert request["path"] == "/register"
    assert request["form"] == {"platform": "shop", "tenant_id": "ada"}
    assert "tables/t.pssql" in request["files"]


def test_migrate_sends_force_and_dry_run(run, fake, tmp_path):
    (tmp_path / "src").rename(tmp_path / "other place")
    result = run(MIGRATE, POSTGRESQL_PATH="other place/postgresql", FORCE="true", DRY_RUN="true")
    assert result.returncode == 0, result.stderr
    (request,) = fake.requests
    assert request["path"] == "/migrate"
    assert request["form"] == {"platform": "shop", "force": "true", "dry_run": "true"}


def test_a_key_is_sent_where_there_is_one_and_is_no_argument_of_a_command(run, fake, tmp_path):
    curl = tmp_path / "bin/curl"
    curl.write_text(f'#!/bin/sh\necho "$@" >> arguments\nexec {shutil.which("curl")} "$@"\n')
    curl.chmod(0o755)
    fake.statuses = [429, 200, 200]
    secret = "a-key-'\"\\$(x)"
    assert run(REGISTER, DB_GATEWAY_KEY=secret).returncode == 0
    assert run(MIGRATE).returncode == 0
    assert [request["key"] for request in fake.requests] == [secret, secret, None]
    assert "a-key" not in (tmp_path / "arguments").read_text()


def test_values_are_sent_as_they_are(run, fake):
    assert run(REGISTER, PLATFORM_ID="@/etc/passwd", TENANT_ID="<x;type=y").returncode == 0
    assert fake.requests[0]["form"] == {"platform": "@/etc/passwd", "tenant_id": "<x;type=y"}


@pytest.mark.parametrize("status", [201, 302, 400, 409, 500])
def test_any_status_but_200_is_a_failure_reported_once(run, fake, status):
    fake.statuses = [status]
    result = run(REGISTER)
    assert (result.returncode, result.stdout) == (1, "")
    assert '{"answer": 1}' in result.stderr
    assert str(status) in result.stderr
    assert len(fake.requests) == 1


def test_an_unready_gateway_is_tried_again_with_longer_and_longer_pauses(run, fake, tmp_path):
    fake.statuses = [503, 0, 503, 200]
    result = run(REGISTER)
    assert (result.returncode, result.stdout) == (0, '{"answer": 4}\n')
    assert (tmp_path / "sleeps").read_text().split() == ["1", "2", "4"]


def test_an_unreachable_gateway_is_given_up(run, tmp_path):
    result = run(REGISTER, DB_GATEWAY_URL=f"http://127.0.0.1:{free_port()}", GATEWAY_ATTEMPTS="8")
    assert (result.returncode, result.stdout) == (3, "")
    assert (tmp_path / "sleeps").read_text().split() == ["1", "2", "4", "8", "16", "30", "30"]


@pytest.mark.parametrize(
    "wrong",
    [{"PLATFORM_ID": ""}, {"DB_GATEWAY_URL": ""}, {"POSTGRESQL_PATH": "nowhere"}, {"DB_GATEWAY_URL": "nonsense://x"}],
)
def test_a_wrong_call_is_reported(run, fake, wrong):
    result = run(REGISTER, **wrong)
    assert result.returncode == 2
    assert result.stderr.startswith("register: ") or "curl" in result.stderr
    assert fake.requests == []


@pytest.mark.parametrize("script", [REGISTER, MIGRATE], ids=lambda path: path.name)
def test_the_archive_does_not_stay_behind(run, tmp_path, script):
    folder = tmp_path / "temporary"
    folder.mkdir()
    assert run(script, TMPDIR=str(folder)).returncode == 0
    assert list(folder.iterdir()) == []
