"""Running and ended migrations, as seen by every worker and every gateway of DATA_DIR.

Each has a file, which is replaced while it runs, and a lock, which its process holds. One that has not ended and whose
lock is free was interrupted.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from glob import escape
from pathlib import Path
from threading import Lock
from typing import Any, Final, Literal

from gateway.platforms.storage import INCOMING, write_file

_log: Final = logging.getLogger(__name__)

_FOLDER: Final = ".deploys"
_KEPT: Final = 100  #: of those that have ended
_WRITTEN_EVERY_SECONDS: Final = 0.5
_LEFT_AFTER_SECONDS: Final = 3600.0  #: a file that is still being written then belongs to a killed process
_ID_TIME: Final = "%Y%m%dT%H%M%S%f"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedDeploy:
    """A migration of one or many databases.

    :ivar databases: the results so far, by name: ``completed``, ``failed``, ``skipped`` …
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

    @property
    def done(self) -> int:
        """The number of databases that were tried."""
        return sum(status != "skipped" for status in self.databases.values())


class DeployLog:
    """The log under *data_dir*. A failure to write is only logged: no migration fails because of its record."""

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
        """Return all known deploys, the newest first."""
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

    def new_id(self, request_id: str) -> str:
        """Return an id for a deploy. It sorts after all ids in the log, also if the clock has gone back."""
        time_of_id = datetime.now(UTC)
        with suppress(ValueError, OverflowError):  # there is none, or a file with another name
            latest = max(self._ids(), default="").partition("-")[0]
            time_of_id = max(time_of_id, datetime.strptime(f"{latest}Z", f"{_ID_TIME}%z") + timedelta(microseconds=1))
        return f"{time_of_id:{_ID_TIME}}-{request_id[:40]}"

    def _prune(self) -> None:
        """Remove the files of old deploys, also of those without a record, and what killed processes have left."""
        try:
            for deploy_id in sorted(self._ids(), reverse=True)[_KEPT:]:
                if not self._is_held(deploy_id):
                    for path in self._folder.glob(f"{escape(deploy_id)}.*"):
                        path.unlink(missing_ok=True)
            for path in self._folder.glob(f"{INCOMING}*"):
                if time.time() - path.stat().st_mtime > _LEFT_AFTER_SECONDS:
                    path.unlink(missing_ok=True)
        except OSError as exc:
            _log.warning("old records of migrations cannot be removed: %s", exc)

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("[!.]*.json"), reverse=True)

    def _ids(self) -> set[str]:
        return {path.name.rpartition(".")[0] for path in self._folder.glob("[!.]*.*")}

    def _reports_of(self, deploy_id: str) -> Path:
        return self._folder / f"{deploy_id}.reports"

    def _lock_of(self, deploy_id: str) -> Path:
        return self._folder / f"{deploy_id}.lock"


class Progress:
    """The record of a running migration. Used by several threads."""

    def __init__(self, deploy: LoggedDeploy, path: Path, reports: Path) -> None:
        self._deploy = deploy
        self._path = path
        self._reports = reports
        self._lock = Lock()
        self._written_at = 0.0

    def done(self, database: str, status: str, report: Mapping[str, Any]) -> None:
        """Record the result of a database, and its report."""
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
        """Record the end, unless it has been recorded.

        A migration with a failed database has failed. One without, that has skipped some, was interrupted: its client
        has disconnected.
        """
        with self._lock:
            if self._deploy.ended_at is None:
                results = self._deploy.databases.values()
                ended = "failed" if "failed" in results else "interrupted" if "skipped" in results else status
                self._deploy = replace(self._deploy, status=ended, ended_at=now_text())
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
