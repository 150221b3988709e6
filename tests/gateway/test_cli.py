from __future__ import annotations

import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.embedded_postgres import packaged_programs
from tests.support.running_gateway import free_port, running_gateway
from tests.support.waiting import wait_until

COMMAND = [sys.executable, "-m", "gateway.cli"]
TIMEOUT_SECONDS = 120


def environment(**settings: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **settings}


def run(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_version(public_path):
    result = run(public_path, "--version")
    assert result.returncode == 0
    assert re.search(r"version \d+\.\d+\.\d+", result.stdout)


def test_the_list_of_commands_has_a_whole_sentence_for_each(public_path):
    listed = run(public_path, "--help").stdout.partition("Commands:\n")[2].splitlines()
    assert len(listed) > 10
    assert [line for line in listed if not re.fullmatch(r"  [a-z-]+ +[A-Z].*[^.]\.", line)] == []


class TestCheckConfig:
    def test_says_what_the_settings_are_but_no_password(self, public_path):
        result = run(public_path, "check-config", DATABASE_URL="postgres://me:hunter2@db/x", WORKERS="3")
        assert result.returncode == 0, result.stderr
        assert "WORKERS=3\n" in result.stdout
        assert "GATEWAY_PORT=9000\n" in result.stdout
        assert "host=db dbname=x user=me" in result.stdout
        assert "hunter2" not in result.stdout + result.stderr

    def test_what_it_prints_are_the_settings_again(self, public_path):
        first = run(public_path, "check-config", POOL_WAIT_TIMEOUT_SECS="2.5", TRUSTED_PROXIES="10.0.0.1,10.0.0.2")
        (public_path / ".env").write_text("GATEWAY_HOST" + first.stdout.partition("\nGATEWAY_HOST")[2])
        assert "POOL_IDLE_TIMEOUT_SECS=1800\nPOOL_MAX_LIFETIME_SECS=3600\nPOOL_WAIT_TIMEOUT_SECS=2.5\n" in first.stdout
        assert run(public_path, "check-config").stdout == first.stdout

    def test_says_whose_keys_there_are_and_no_key(self, public_path):
        result = run(public_path, "check-config", API_KEY_SHOP="hunter2,hunter3", RATE_LIMIT_SHOP="5/second")
        assert "API keys: SHOP (2)\n" in result.stdout
        assert "RATE_LIMIT_SHOP=5/second\n" in result.stdout
        assert "set API_KEY_ADMIN" in result.stderr
        assert "hunter" not in result.stdout + result.stderr

    def test_names_every_wrong_setting_in_a_line(self, public_path):
        (public_path / ".env").write_text("WORKERS=many\n")
        result = run(public_path, "check-config", GATEWAY_PORT="x")
        assert result.returncode == 1
        lines = result.stderr.splitlines()
        assert [line.split()[:2] for line in lines] == [["Error:", "GATEWAY_PORT"], ["Error:", "WORKERS"]]

    def test_warns_of_a_misspelt_name(self, public_path):
        (public_path / ".env").write_text("WORKRES=3\n")
        result = run(public_path, "check-config")
        assert result.returncode == 0
        assert "WORKRES" in result.stderr

    def test_a_data_folder_that_cannot_be_made_is_reported(self, public_path):
        (public_path / "file").touch()
        result = run(public_path, "check-config", DATA_DIR="file/data")
        assert result.returncode == 1
        assert result.stderr.splitlines() == ["Error: DATA_DIR file/data cannot be used: Not a directory"]

    def test_a_data_folder_without_space_is_told(self, public_path):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        try:
            result = run(public_path, "check-config")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert result.returncode == 1
        assert result.stderr.splitlines() == ["Error: DATA_DIR data cannot be used: File too large"]


class TestServe:
    def test_wrong_settings_stop_the_start_with_a_line_each(self, public_path):
        result = run(public_path, "serve", WORKERS="0", THREADS="x")
        assert result.returncode == 1
        assert [line.split()[1] for line in result.stderr.splitlines()] == ["WORKERS", "THREADS"]

    @pytest.mark.parametrize("arguments", [["serve"], ["serve", "--embedded", "pg"], ["demo"]])
    def test_a_taken_port_is_reported_in_one_line_and_nothing_is_left(self, public_path, taken_port, arguments):
        result = run(public_path, *arguments, GATEWAY_PORT=str(taken_port))
        assert result.returncode == 1
        (line,) = result.stderr.splitlines()
        assert re.match(rf"Error: cannot listen on 127.0.0.1 port {taken_port}: Address already in use", line)
        assert not (public_path / "pg").exists()

    def test_an_address_of_another_machine_is_told_in_one_line(self, public_path):
        result = run(public_path, "serve", GATEWAY_HOST="192.0.2.1", GATEWAY_PORT=str(free_port()))
        assert result.returncode == 1
        assert len(result.stderr.splitlines()) == 1

    def test_starts_while_postgresql_is_away(self, public_path):
        with running_gateway(f"postgres://127.0.0.1:{free_port()}/postgres", public_path) as gateway:
            assert gateway.get("/health/live").status == 200
            assert gateway.get("/health/ready").status == 503

    def test_sigterm_ends_the_gateway_first_and_then_postgresql(self, public_path):
        with running_gateway("", public_path, ("--embedded", "pg")) as gateway:
            postmaster = int((public_path / "pg/data/postmaster.pid").read_text().split()[0])
            assert gateway.get("/health/ready").status == 200
            wait_until(lambda: len(children(gateway.process.pid)) == 3)
            started = [pid for pid in children(gateway.process.pid) if pid != postmaster]
        assert gateway.process.returncode == 0
        assert not any(is_running(pid) for pid in [postmaster, *started])
        # A later line of PostgreSQL's log about a client would mean that a worker has outlived the server.
        assert "terminating connection" not in (public_path / "pg/server.log").read_text()

    def test_ctrl_c_in_the_terminal_stops_everything(self, public_path):
        with running_gateway("", public_path, ("--embedded", "pg")) as gateway:
            postmaster = int((public_path / "pg/data/postmaster.pid").read_text().split()[0])
            os.killpg(gateway.process.pid, signal.SIGINT)  # as the terminal does: to the whole foreground group
            gateway.process.wait(TIMEOUT_SECONDS)
            assert not is_running(postmaster)
            assert "shutdown complete" not in gateway.log
            assert "Traceback" not in gateway.log
            assert "SIGKILL" not in gateway.log  # no worker had to be killed

    def test_the_embedded_server_has_the_version_asked_for(self, public_path):
        with running_gateway("", public_path, ("--embedded", "pg", "--postgres-version", "16")):
            assert (public_path / "pg/data/PG_VERSION").read_text().strip() == "16"

    def test_the_embedded_server_can_be_the_machine_s_own(self, public_path):
        folder = packaged_programs(16).folder
        with running_gateway("", public_path, ("--embedded", "pg", "--postgres-bin", str(folder))) as gateway:
            assert (public_path / "pg/data/PG_VERSION").read_text().strip() == "16"
            assert gateway.get("/health/ready").status == 200

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (["--embedded", "pg", "--postgres-bin", "/nowhere"], "Error: /nowhere has no program postgres"),
            (["--embedded", "pg", "--postgres-version", "17", "--postgres-bin", "/x"], "exclude each other"),
            (["--postgres-version", "17"], "--postgres-bin need --embedded"),
        ],
    )
    def test_programs_that_cannot_be_are_refused(self, public_path, arguments, reason):
        result = run(public_path, "serve", *arguments, GATEWAY_PORT=str(free_port()))
        assert result.returncode != 0
        assert reason in result.stderr.splitlines()[-1]
        assert not (public_path / "pg").exists()

    def test_a_second_gateway_on_the_same_folder_is_refused_in_one_line(self, public_path):
        with running_gateway("", public_path, ("--embedded", "pg")) as gateway:
            result = run(public_path, "serve", "--embedded", "pg", GATEWAY_PORT=str(free_port()), LOG_LEVEL="warning")
            assert result.returncode == 1
            assert result.stderr.splitlines() == [
                f"Error: {public_path}/pg is in use by another gateway (process {gateway.process.pid}); "
                "stop it, or use another folder"
            ]
            assert gateway.get("/health/ready").status == 200

    def test_a_killed_worker_is_replaced(self, postgres_url, public_path):
        with running_gateway(postgres_url, public_path) as gateway:
            wait_until(lambda: len(gateway.worker_pids()) == 2)
            victim = gateway.worker_pids()[0]
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: victim not in gateway.worker_pids() and len(gateway.worker_pids()) == 2)
            assert gateway.get("/health/ready").status == 200

    def test_a_worker_that_is_told_to_stop_as_soon_as_it_exists_does(self, postgres_url, public_path):
        with running_gateway(postgres_url, public_path, WORKERS="1") as gateway:
            for signal_number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT) * 3:
                (killed,) = gateway.worker_pids()
                os.kill(killed, signal.SIGKILL)
                (pid,) = wait_until(lambda old=killed: set(gateway.worker_pids()) - {old}, pause_seconds=0)
                os.kill(pid, signal_number)
                wait_until(lambda stopped=pid: stopped not in gateway.worker_pids())
                wait_until(lambda: len(gateway.worker_pids()) == 1)
            wait_until(lambda: gateway.get("/health/ready").status == 200)

    def test_a_reload_replaces_the_workers_without_a_failed_request(self, postgres_url, public_path):
        with running_gateway(postgres_url, public_path) as gateway:
            wait_until(lambda: len(gateway.worker_pids()) == 2)
            before = set(gateway.worker_pids())
            statuses: list[int] = []
            enough = threading.Event()

            def ask() -> None:
                while not enough.is_set():
                    statuses.append(gateway.get("/health/live").status)

            asking = threading.Thread(target=ask)
            asking.start()
            gateway.process.send_signal(signal.SIGHUP)
            try:
                wait_until(lambda: not before & set(gateway.worker_pids()) and len(gateway.worker_pids()) == 2)
            finally:
                enough.set()
                asking.join()
            assert set(statuses) == {200}


class TestGunicornsOwnErrors:
    @pytest.mark.parametrize(
        ("request_bytes", "status", "code"),
        [
            (b"rubbish\r\n\r\n", 400, "invalid_request"),
            (b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400, "invalid_request"),
            (b"POST /call HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: rubbish\r\n\r\n", 400, "invalid_request"),
            (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 413, "payload_too_large"),
            (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000 + b"\r\n\r\n", 413, "payload_too_large"),
        ],
    )
    def test_are_json(self, gateway, request_bytes, status, code):
        import http.client
        import json

        with socket.create_connection(("127.0.0.1", gateway.port), timeout=TIMEOUT_SECONDS) as connection:
            connection.sendall(request_bytes)
            response = http.client.HTTPResponse(connection)
            response.begin()
            answer = json.loads(response.read())
        assert response.status == status
        assert response.headers["Content-Type"] == "application/json"
        assert answer["error"] == code
        assert answer["request_id"] in gateway.log
        assert answer["message"]


class TestDemo:
    def test_shows_requests_that_can_be_pasted_and_runs_again(self, public_path):
        for _ in range(2):
            self.run_demo(public_path)

    def run_demo(self, folder: Path) -> None:
        demo = subprocess.Popen(
            [*COMMAND, "demo"],
            cwd=folder,
            env=environment(GATEWAY_PORT=str(free_port()), PYTHONUNBUFFERED="1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            self.check_demo(demo, folder)
        finally:
            demo.terminate()
            demo.communicate(timeout=TIMEOUT_SECONDS)

    def check_demo(self, demo: subprocess.Popen[str], folder: Path) -> None:
        shown: list[str] = []
        for line in demo.stdout:
            shown.append(line)
            if line.startswith("curl ") and "hillside" in line and "/call" in line:
                break
        text = "".join(shown)
        assert demo.poll() is None, text
        assert '"full_name": "Ada Lovelace"' in text
        requests = [line for line in shown if line.startswith("curl ")]
        assert len([line for line in requests if "/register" in line]) == 3
        assert len([line for line in requests if "/call" in line]) == 3
        for request in requests:
            pasted = subprocess.run(["sh", "-c", request], capture_output=True, text=True, check=True)
            assert pasted.stdout.startswith(('{"status":"ready"', '{"rows":')), pasted.stdout

        postmaster = int((folder / ".demo/postgres/data/postmaster.pid").read_text().split()[0])
        os.killpg(demo.pid, signal.SIGINT)
        rest = demo.stdout.read()
        demo.wait(TIMEOUT_SECONDS)
        assert demo.returncode == 0, rest
        assert "Both servers are stopped." in rest
        assert not is_running(postmaster)
