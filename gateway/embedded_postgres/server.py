"""A PostgreSQL server in a folder of its own, for the demo, development and tests."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from gateway.embedded_postgres.programs import (
    EmbeddedPostgresError,
    Programs,
    packaged_programs,
    trusted_vector_control,
)
from gateway.embedded_postgres.system_user import SystemUser

SUPERUSER: Final = "postgres"
ROLE: Final = "gateway"  #: the role of the gateway: an ordinary role with CREATEDB, as in production
START_TIMEOUT_SECONDS: Final = 60.0  #: long enough for crash recovery of a development database
STOP_TIMEOUT_SECONDS: Final = 60.0
MAX_SOCKET_PATH_BYTES: Final = 107  #: sun_path of a Unix socket address, without its final zero byte
_SOCKET_NAME: Final = ".s.PGSQL.5432"
_CONFIGURATION_FILE: Final = "stonescriptdb_gateway.conf"
_CONFIGURATION: Final = """\
# Written by stonescriptdb-gateway at every start.
listen_addresses = ''
port = 5432
unix_socket_directories = '{socket_directory}'
unix_socket_permissions = 0700
max_connections = 300  # the gateway's budget of 200, and some for other clients
fsync = {durable}
synchronous_commit = {durable}
full_page_writes = {durable}
timezone = 'UTC'
log_timezone = 'UTC'
"""

#: The rules for logins. Over the socket, which only this user can reach, the gateway's own role needs no password; the
#: roles of platforms have one each, so that PLATFORM_ROLES keeps them apart here, too.
_LOGINS: Final = f"""\
# Written by stonescriptdb-gateway at every start.
local all {SUPERUSER},{ROLE} trust
local all all scram-sha-256
"""


class EmbeddedPostgres:
    """A PostgreSQL server in *directory*, reached over a Unix socket, that runs from ``start`` to ``stop``.

    Only the process that started it stops it: a fork that leaves the ``with`` block does nothing.

    :param directory: for its data and log; created if missing
    :param programs: the server's programs; by default those of the default package
    :param durable: False trades crash safety for speed, for tests
    :param makes_roles: give the gateway's role CREATEROLE, which PLATFORM_ROLES needs
    :raises EmbeddedPostgresError: the default package is not installed
    """

    def __init__(
        self, directory: Path, *, programs: Programs | None = None, durable: bool = True, makes_roles: bool = False
    ) -> None:
        self._directory = directory.absolute()
        self._data = self._directory / "data"
        self._log = self._directory / "server.log"
        self._durable = durable
        self._makes_roles = makes_roles
        self._programs = programs or packaged_programs()
        self._user = SystemUser.for_server()
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._short_directory: Path | None = None
        self._owner_pid = 0

    @property
    def url(self) -> str:
        """The connection URL of the maintenance database ``postgres``, for an ordinary role with CREATEDB."""
        return self._url(ROLE)

    @property
    def superuser_url(self) -> str:
        """The same for the superuser."""
        return self._url(SUPERUSER)

    def _url(self, role: str) -> str:
        return f"postgresql://{role}@/postgres?host={quote(str(self._run_directory), safe='')}"

    def start(self) -> None:
        """Create the data directory if it is missing, and start the server.

        :raises EmbeddedPostgresError: the folder is in use or of another version, or the server does not come up
        """
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            self._check_version()
            self._owner_pid = os.getpid()
            self._user.allow_access(self._data, self._programs)
            if not self._data.exists():
                self._make_data()
            self._choose_run_directory()
            self._write_configuration()
            self._stop_leftover()
            self._launch()
            self._make_role()
        except (OSError, psycopg.Error) as exc:
            self.stop()
            raise EmbeddedPostgresError(f"the embedded PostgreSQL in {self._directory} cannot start: {exc}") from exc
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Terminate all sessions and stop the server. Does nothing if it is not running."""
        if self._owner_pid == os.getpid() and self._process is not None:
            self._process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
            try:
                self._process.wait(STOP_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)  # without a checkpoint; the next start recovers
                self._process.wait()
            self._process = None
        if self._owner_pid == os.getpid() and self._short_directory is not None:
            shutil.rmtree(self._short_directory)
            self._short_directory = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _run_directory(self) -> Path:
        return self._short_directory or self._data

    def _take_lock(self) -> None:
        """Take a record lock: the kernel releases it when this process ends, and a fork does not inherit it."""
        self._lock = (self._directory / "lock").open("a+", encoding="utf-8")
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.seek(0)
            holder = self._lock.read().strip() or "unknown"
            raise EmbeddedPostgresError(
                f"{self._directory} is in use by another gateway (process {holder}); stop it, or use another folder"
            ) from None
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()}\n")
        self._lock.flush()

    def _check_version(self) -> None:
        if (self._directory / "PG_VERSION").exists():
            raise EmbeddedPostgresError(
                f"{self._directory} is the data folder of another PostgreSQL; use an empty folder"
            )
        version_file = self._data / "PG_VERSION"
        if version_file.exists() and (found := version_file.read_text().strip()) != str(self._programs.version):
            raise EmbeddedPostgresError(
                f"{self._directory} holds a database of PostgreSQL {found}, not {self._programs.version}; "
                f"use PostgreSQL {found} (--postgres-version or --postgres-bin) or another folder"
            )

    def _make_data(self) -> None:
        """Create the data under another name first, so that a folder named ``data`` is always complete."""
        unfinished = self._directory / "data.unfinished"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir(mode=0o700)
        self._user.make_owner(unfinished)
        locale = ["--no-locale"]  # no locale of the operating system exists everywhere
        if self._programs.version >= 17:
            locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        result = subprocess.run(
            [
                self._programs.folder / "initdb",
                f"--pgdata={unfinished}",
                f"--username={SUPERUSER}",
                "--auth=trust",
                "--encoding=UTF8",
                *locale,
                *([] if self._durable else ["--no-sync"]),
            ],
            capture_output=True,
            text=True,
            check=False,
            **self._user.subprocess_arguments(),
        )
        if result.returncode != 0:
            raise EmbeddedPostgresError(f"initdb failed in {unfinished}: {_last_line(result.stderr)}")
        with (unfinished / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(f"include '{_CONFIGURATION_FILE}'\n")
        unfinished.rename(self._data)

    def _choose_run_directory(self) -> None:
        """Use a temporary directory for the socket if the name of the data directory is too long or unsuitable."""
        path = os.fsencode(self._data / _SOCKET_NAME)
        # libpq reads a comma as the end of a host, PostgreSQL a colon as the end of a path
        if len(path) > MAX_SOCKET_PATH_BYTES or b"," in path or b":" in path:
            self._short_directory = Path(tempfile.mkdtemp(prefix="stonescriptdb-pg-"))
            self._user.make_owner(self._short_directory)

    def _write_configuration(self) -> None:
        # A path is in double quotes inside the quoted list, so that it may contain spaces.
        directory = str(self._run_directory).replace("'", "''")
        quoted = directory.replace('"', '""')
        text = _CONFIGURATION.format(socket_directory=f'"{quoted}"', durable="on" if self._durable else "off")
        if (control := trusted_vector_control(self._programs)) is not None:
            (self._run_directory / "extension").mkdir(exist_ok=True)
            self._write(self._run_directory / "extension" / "vector.control", control)
            text += f"extension_control_path = '{directory}:$system'\n"
        self._write(self._data / _CONFIGURATION_FILE, text)
        self._write(self._data / "pg_hba.conf", _LOGINS)

    def _stop_leftover(self) -> None:
        """Stop a server whose gateway was killed: this process holds the folder's lock, so no other uses it."""
        if (self._data / "postmaster.pid").exists():
            subprocess.run(
                [self._programs.folder / "pg_ctl", "stop", "-w", "-m", "fast", "-D", self._data],
                capture_output=True,
                check=False,  # the file may be stale, and then there is nothing to stop
                **self._user.subprocess_arguments(),
            )

    def _launch(self) -> None:
        """Start the server in a session of its own, so that Ctrl-C in a terminal reaches the gateway only."""
        with self._log.open("ab") as log:
            start_of_log = log.tell()
            self._process = subprocess.Popen(
                [self._programs.folder / "postgres", "-D", self._data],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._user.subprocess_arguments(),
            )
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                with self._log.open("rb") as log:
                    log.seek(start_of_log)
                    reason = _last_line(log.read().decode("utf-8", "replace"), "FATAL")
                raise EmbeddedPostgresError(f"PostgreSQL did not start ({self._log} has more): {reason}")
            time.sleep(0.02)

    def _make_role(self) -> None:
        """Create the gateway's role if it is missing.

        Databases of older versions belong to the superuser; the role is then made a member of it.
        """
        role = sql.Identifier(ROLE)
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone() is None:
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB").format(role))
                if connection.execute("SELECT FROM pg_database WHERE oid >= 16384").fetchone() is not None:
                    connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(SUPERUSER), role))
            if self._makes_roles:
                connection.execute(sql.SQL("ALTER ROLE {} CREATEROLE").format(role))

    def _is_ready(self) -> bool:
        """Return whether the last line of the server's pid file says that it is ready."""
        with suppress(FileNotFoundError):
            return (self._data / "postmaster.pid").read_text(encoding="utf-8").rstrip().endswith("ready")
        return False

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")
        self._user.make_owner(path)


def _last_line(text: str, wanted: str = "") -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if wanted in line), lines[-1] if lines else "no message")
