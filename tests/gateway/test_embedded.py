from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from gateway.embedded import EmbeddedPostgres, EmbeddedPostgresError

# In a process of its own: says its URL, then waits to be told to end.
RUN = """
import sys
from pathlib import Path
from gateway.embedded import EmbeddedPostgres
with EmbeddedPostgres(Path(sys.argv[1]), durable=False) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


def server_pid(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().split()[0])


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("version", [16, 18])
def test_starts_in_a_new_folder_and_keeps_what_is_stored(public_path, version):
    folder = public_path / "not" / "yet" / "there"
    with EmbeddedPostgres(folder, version=version) as server, psycopg.connect(server.url) as connection:
        assert connection.info.server_version // 10000 == version
        connection.execute("CREATE TABLE kept AS SELECT 'Grüße' AS word")
    with EmbeddedPostgres(folder, version=version) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT word FROM kept").fetchone() == ("Grüße",)
        assert int(connection.execute("SHOW max_connections").fetchone()[0]) > 200


@pytest.mark.parametrize("name", ["with space", "quo'te\"s", "comma,dollar$HOME", "long" * 30, "é" * 40])
def test_any_folder_name_will_do(public_path, name):
    with EmbeddedPostgres(public_path / name, durable=False) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_stopping_can_be_repeated_and_leaves_nothing(public_path):
    server = EmbeddedPostgres(public_path / ("long" * 30), durable=False)
    server.start()
    pid = server_pid(public_path / ("long" * 30))
    socket_folder = Path(psycopg.conninfo.conninfo_to_dict(server.url)["host"])
    with psycopg.connect(server.url):  # a session that is open does not hold the stop up
        server.stop()
    server.stop()
    assert not is_running(pid)
    assert not socket_folder.exists()


def test_another_version_is_refused_in_one_line(public_path):
    with EmbeddedPostgres(public_path, version=18, durable=False):
        pass
    with pytest.raises(EmbeddedPostgresError, match=r"PostgreSQL 18, not 16.*--postgres-version 18") as caught:
        EmbeddedPostgres(public_path, version=16).start()
    assert "\n" not in str(caught.value)


def test_a_folder_of_another_postgresql_is_left_alone(public_path):
    (public_path / "PG_VERSION").write_text("15\n")
    with pytest.raises(EmbeddedPostgresError, match="another PostgreSQL"):
        EmbeddedPostgres(public_path).start()
    assert not (public_path / "data").exists()


def test_a_file_in_place_of_the_folder_is_an_error(public_path):
    (public_path / "file").touch()
    with pytest.raises(EmbeddedPostgresError, match="cannot start"):
        EmbeddedPostgres(public_path / "file").start()


def test_a_broken_configuration_is_told_with_postgresql_s_own_reason(public_path):
    with EmbeddedPostgres(public_path, durable=False):
        pass
    with (public_path / "data" / "postgresql.conf").open("a") as file:
        file.write("no_such_parameter = 1\n")
    with pytest.raises(EmbeddedPostgresError, match=r"did not start.*FATAL.*configuration file"):
        EmbeddedPostgres(public_path, durable=False).start()


def test_a_folder_in_use_is_refused_and_a_killed_gateway_frees_it(public_path):
    owner = subprocess.Popen(
        [sys.executable, "-c", RUN, public_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    url = owner.stdout.readline().strip()
    left_over = server_pid(public_path)
    with pytest.raises(EmbeddedPostgresError, match=f"in use by another gateway .process {owner.pid}"):
        EmbeddedPostgres(public_path, durable=False).start()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept ()")

    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    assert is_running(left_over)
    with EmbeddedPostgres(public_path, durable=False) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
        assert not is_running(left_over)


def test_ctrl_c_in_a_terminal_does_not_reach_the_server(public_path):
    with EmbeddedPostgres(public_path, durable=False):
        assert os.getsid(server_pid(public_path)) != os.getsid(0)


def test_a_fork_that_ends_does_not_stop_the_server(public_path):
    with EmbeddedPostgres(public_path, durable=False) as server:
        child = os.fork()
        if child == 0:
            server.stop()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        # The folder is still this process's own.
        other = subprocess.run([sys.executable, "-c", RUN, public_path], stderr=subprocess.PIPE, check=False)
        assert b"in use by another gateway" in other.stderr


def test_a_half_made_folder_is_made_anew(public_path):
    (public_path / "data.unfinished").mkdir()
    (public_path / "data.unfinished" / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(public_path, durable=False) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
