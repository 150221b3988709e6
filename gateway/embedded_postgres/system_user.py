"""The user of the operating system that runs the server: not root, because PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from gateway.embedded_postgres.programs import EmbeddedPostgresError, Programs

SYSTEM_USER: Final = "pgserver"  #: runs the server if the gateway runs as root


class SystemUser:
    """The user that runs the server: that of this process, or if it is root, an unprivileged one."""

    def __init__(self, entry: pwd.struct_passwd | None) -> None:
        """Use *entry*; None means the user of this process."""
        self._entry = entry

    @classmethod
    def for_server(cls) -> Self:
        """Return the user. The unprivileged one is created if missing.

        :raises EmbeddedPostgresError: it cannot be created
        """
        return cls(_unprivileged_user() if os.geteuid() == 0 else None)

    def allow_access(self, data: Path, programs: Programs) -> None:
        """Let an unprivileged user reach the *data* directory and run the *programs*."""
        if self._entry is not None:
            _let_others_through(data)
            _let_others_run(programs)

    def make_owner(self, path: Path) -> None:
        """Make the user the owner of *path*."""
        if self._entry is not None:
            os.chown(path, self._entry.pw_uid, self._entry.pw_gid)

    def subprocess_arguments(self) -> dict[str, Any]:
        """Return the keyword arguments of ``subprocess`` for a program that this user runs."""
        # Started in "/", because the unprivileged user may not be allowed in the folder the gateway was started in.
        common = {"cwd": "/", "env": {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}}
        if self._entry is None:
            return common
        return {**common, "user": self._entry.pw_uid, "group": self._entry.pw_gid, "extra_groups": []}


def _unprivileged_user() -> pwd.struct_passwd:
    with suppress(KeyError):
        return pwd.getpwnam(SYSTEM_USER)
    try:
        subprocess.run(
            ["useradd", "--system", "--shell", "/usr/sbin/nologin", SYSTEM_USER], capture_output=True, check=True
        )
        return pwd.getpwnam(SYSTEM_USER)
    except (OSError, subprocess.CalledProcessError, KeyError) as exc:
        raise EmbeddedPostgresError(
            f"PostgreSQL does not run as root, and the system user {SYSTEM_USER!r} cannot be created: {exc}; "
            "create it, or start the gateway as an ordinary user"
        ) from exc


def _let_others_run(programs: Programs) -> None:
    """Make packaged programs executable for all users, if they were installed with a strict umask."""
    if not programs.packaged:
        return
    _let_others_through(programs.folder)
    root = programs.folder.parent
    if (programs.folder / "postgres").stat().st_mode & stat.S_IROTH:
        return
    for path in (root, *root.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))


def _let_others_through(path: Path) -> None:
    """Make the parent directories of *path* accessible for every user."""
    for folder in path.resolve().parents:
        if not folder.stat().st_mode & stat.S_IXOTH:
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH)
