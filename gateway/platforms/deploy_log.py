"""Running and ended migrations, as seen by every worker and every gateway of DATA_DIR.

Each has a file that is replaced while it goes on, and a lock that its process holds: one whose lock is free and that
has not ended was interrupted.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any, Final, Literal

from gateway.platforms.storage import write_file

_log = logging.getLogger(__name__)

_FOLDER: Final = ".deploys"
_KEPT: Final = 100  #: of those that have ended
_WRITTEN_EVERY_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedDeploy:
    """A migration of one or many databases.

    :ivar databases: the results so far, by name: ``completed``, ``failed`` …
    """

    id: str
    platform: str
    schema_name: str | None
    request_id: str
    dry_run: bool
    total: int
    started_at: str
    ended_at: str | None = None
    status: Literal["running", "completed", "failed", "interrupted"] = "running"
    databases: dict[str, str] = field(default_factory=dict)


class DeployLog:
    """The log under *data_dir*. What cannot be written is only logged: no migration fails for its record."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / _FOLDER

    @contextmanager
    def running(self, deploy: LoggedDeploy) -> Iterator[Progress]:
        """Keep a record of *deploy* for as long as the block runs."""
        descriptor = None
        try:
            self._folder.mkdir(exist_ok=True)
            descriptor = os.open(self._lock_of(deploy.id), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as exc:
            _log.warning("the migration's record cannot be kept: %s", exc)
        progress = Progress(deploy, self._folder / f"{deploy.id}.json", self._reports_of(deploy.id))
        try:
            progress.write()
            yield progress
        except BaseException:
            progress.end("failed")
            raise
        finally:
            progress.end("completed")
            if descriptor is not None:
                os.close(descriptor)
            self._prune()

    def add(self, deploy: LoggedDeploy, reports: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep the record of a deploy that has ended, with a report of each database."""
        with self.running(deploy) as progress:
            for database, report in reports.items():
                progress.done(database, str(report["status"]), report)

    def reports(self, deploy_id: str) -> tuple[dict[str, Any], ...]:
        """Return the reports of a deploy's databases, in the order in which they ended; none of an unknown deploy."""
        path = self._reports_of(deploy_id)
        if path.parent != self._folder:  # an id that is a path
            return ()
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
            return tuple(json.loads(line) for line in lines)
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as exc:
            _log.warning("the reports in %s cannot be read: %s", path, exc)
            return ()

    def deploys(self) -> tuple[LoggedDeploy, ...]:
        """All that are known, the newest first."""
        return tuple(found for path in self._files() if (found := self._read(path)) is not None)

    def _read(self, path: Path) -> LoggedDeploy | None:
        try:
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            found = LoggedDeploy(**record)
        except FileNotFoundError:  # removed meanwhile
            return None
        except (OSError, ValueError, TypeError) as exc:
            _log.warning("%s is not the record of a migration: %s", path, exc)
            return None
        if found.status == "running" and not self._is_held(found.id):
            return replace(found, status="interrupted")
        return found

    def _is_held(self, deploy_id: str) -> bool:
        try:
            with self._lock_of(deploy_id).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def _prune(self) -> None:
        try:
            for path in self._files()[_KEPT:]:
                found = self._read(path)
                if found is None or found.status != "running":
                    path.unlink(missing_ok=True)
                    self._lock_of(path.stem).unlink(missing_ok=True)
                    self._reports_of(path.stem).unlink(missing_ok=True)
        except OSError as exc:
            _log.warning("old records of migrations cannot be removed: %s", exc)

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("[!.]*.json"), reverse=True)

    def _reports_of(self, deploy_id: str) -> Path:
        return self._folder / f"{deploy_id}.reports"

    def _lock_of(self, deploy_id: str) -> Path:
        return self._folder / f"{deploy_id}.lock"


class Progress:
    """The record of a migration that goes on. Used by several threads."""

    def __init__(self, deploy: LoggedDeploy, path: Path, reports: Path) -> None:
        self._deploy = deploy
        self._path = path
        self._reports = reports
        self._lock = Lock()
        self._written_at = 0.0

    def done(self, database: str, status: str, report: Mapping[str, Any]) -> None:
        """Note what became of a database, and its report."""
        with self._lock:
            self._deploy = replace(self._deploy, databases={**self._deploy.databases, database: status})
            try:
                with self._reports.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({**report, "database": database}) + "\n")
            except OSError as exc:
                _log.warning("the report of a deploy cannot be written: %s", exc)
            if time.monotonic() >= self._written_at + _WRITTEN_EVERY_SECONDS:
                self.write()

    def end(self, status: Literal["completed", "failed"]) -> None:
        """Note the end; the first one counts. A migration with a failed database has failed."""
        with self._lock:
            if self._deploy.ended_at is None:
                failed = "failed" in self._deploy.databases.values()
                self._deploy = replace(self._deploy, status="failed" if failed else status, ended_at=now_text())
                self.write()

    def write(self) -> None:
        """Replace the record."""
        self._written_at = time.monotonic()
        try:
            write_file(self._path, json.dumps(asdict(self._deploy)), durable=False)
        except OSError as exc:
            _log.warning("the migration's record cannot be written: %s", exc)


def now_text() -> str:
    """Return the time in the format of records and answers."""
    return datetime.now(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def new_id(request_id: str) -> str:
    """Return an id for a migration; ids sort by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{request_id[:40]}"
