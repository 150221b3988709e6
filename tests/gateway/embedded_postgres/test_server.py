from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from gateway.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError, packaged_programs, programs_in

EXTENSIONS = [
    "citext",
    "pg_trgm",
    "btree_gist",
    "btree_gin",
    "hstore",
    "ltree",
    "tablefunc",
    "unaccent",
    "fuzzystrmatch",
    "intarray",
    "cube",
    "vector",
]

# In a process of its own: prints its URL, then waits for the end of its input.
RUN = """
import sys
from pathlib import Path
from gateway.embedded_postgres import EmbeddedPostgres
with EmbeddedPostgres(Path(sys.argv[1]), durable=False) as server:
    print(server.superuser_url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """A server with the default programs, independent of the version of the other tests."""
    with tempfile.TemporaryDirectory(prefix="pg-") as folder, EmbeddedPostgres(Path(folder), durable=False) as server:
        yield server


def connected_to_new_database(server: EmbeddedPostgres, name: str) -> psycopg.Connection:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return psycopg.connect(make_conninfo(server.url, dbname=name), autocommit=True)


def server_pid(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().split()[0])


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("version", [16, 17, 18])
def test_starts_in_a_new_folder_and_keeps_what_is_stored(public_path, version):
    folder = public_path / "not" / "yet" / "there"
    with (
        EmbeddedPostgres(folder, programs=packaged_programs(version)) as server,
        psycopg.connect(server.superuser_url) as connection,
    ):
        assert connection.info.server_version // 10000 == version
        connection.execute("CREATE TABLE kept AS SELECT 'Grüße' AS word")
    with (
        EmbeddedPostgres(folder, programs=packaged_programs(version)) as server,
        psycopg.connect(server.superuser_url) as connection,
    ):
        assert connection.execute("SELECT word FROM kept").fetchone() == ("Grüße",)
        assert int(connection.execute("SHOW max_connections").fetchone()[0]) > 200


@pytest.mark.parametrize("name", ["with space", "quo'te\"s", "comma,dollar$HOME", "a:b", "long" * 30, "é" * 40])
def test_any_folder_name_will_do(public_path, name):
    with (
        EmbeddedPostgres(public_path / name, durable=False) as server,
        connected_to_new_database(server, "made") as connection,
    ):
        connection.execute(
            "CREATE EXTENSION vector"
        )  # whose control file the server finds through a path in its settings


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
    with EmbeddedPostgres(public_path, durable=False):
        pass
    with pytest.raises(EmbeddedPostgresError, match=r"PostgreSQL 18, not 16; use PostgreSQL 18") as caught:
        EmbeddedPostgres(public_path, programs=packaged_programs(16)).start()
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


def test_a_broken_configuration_is_reported_with_postgresql_s_message(public_path):
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
    with EmbeddedPostgres(public_path, durable=False) as server, psycopg.connect(server.superuser_url) as connection:
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


def test_an_incomplete_folder_is_created_again(public_path):
    (public_path / "data.unfinished").mkdir()
    (public_path / "data.unfinished" / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(public_path, durable=False) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


class TestTheGatewaysRole:
    ROLE = """SELECT current_user, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls
        FROM pg_roles WHERE rolname = current_user"""

    def test_is_an_ordinary_one_that_may_make_databases(self, postgres_server: EmbeddedPostgres):
        with connected_to_new_database(postgres_server, "of_the_role") as connection:
            assert connection.execute(self.ROLE).fetchone() == ("gateway", False, True, False, False, False)
            for refused in (
                "ALTER SYSTEM SET work_mem = '1MB'",
                "CREATE ROLE another",
                "SELECT pg_read_file('/etc/passwd')",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(refused)

    @pytest.mark.parametrize("extension", EXTENSIONS)
    def test_may_install_the_extensions_that_schemas_use(self, postgres_server: EmbeddedPostgres, extension: str):
        with connected_to_new_database(postgres_server, f"with_{extension}") as connection:
            connection.execute(sql.SQL("CREATE EXTENSION {} CASCADE").format(sql.Identifier(extension)))

    def test_may_use_what_a_superuser_made_before_there_was_a_role(self, public_path):
        with EmbeddedPostgres(public_path, durable=False) as server:
            with psycopg.connect(server.superuser_url, autocommit=True) as superuser:
                superuser.execute("CREATE DATABASE old")
                superuser.execute("DROP ROLE gateway")
            with psycopg.connect(make_conninfo(server.superuser_url, dbname="old")) as superuser:
                superuser.execute("CREATE TABLE kept AS SELECT 1 AS a")
        with (
            EmbeddedPostgres(public_path, durable=False) as server,
            psycopg.connect(make_conninfo(server.url, dbname="old")) as connection,
        ):
            connection.execute("ALTER TABLE kept ADD b integer")
            assert connection.execute(self.ROLE).fetchone()[:2] == ("gateway", False)


def test_pgcrypto_is_in_the_package_of_17(public_path):
    with (
        EmbeddedPostgres(public_path, programs=packaged_programs(17), durable=False) as server,
        connected_to_new_database(server, "secrets") as connection,
    ):
        connection.execute("CREATE EXTENSION pgcrypto")
        assert connection.execute("SELECT length(crypt('a', gen_salt('bf')))").fetchone() == (60,)


def test_the_machines_own_programs_can_be_used(public_path):
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    programs = programs_in(found[-1] if found else packaged_programs(17).folder)
    with (
        EmbeddedPostgres(public_path, programs=programs, durable=False) as server,
        psycopg.connect(server.url) as connection,
    ):
        assert connection.info.server_version // 10000 == programs.version


def test_other_roles_need_their_passwords_and_the_gateway_s_may_make_them_where_it_should(public_path):
    with EmbeddedPostgres(public_path / "plain", durable=False) as server, psycopg.connect(server.url) as gateway:
        rights = gateway.execute("SELECT rolcreatedb, rolcreaterole, rolsuper FROM pg_roles WHERE rolname = user")
        assert rights.fetchone() == (True, False, False)
    with EmbeddedPostgres(public_path / "plain", durable=False, makes_roles=True) as server:
        with psycopg.connect(server.url, autocommit=True) as gateway:
            gateway.execute("CREATE ROLE platform LOGIN PASSWORD 'right'")
        with psycopg.connect(make_conninfo(server.url, user="platform", password="right")) as platform:
            assert platform.execute("SELECT session_user").fetchone() == ("platform",)
        for password in ("wrong", None):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(make_conninfo(server.url, user="platform", password=password))
