"""Writes the tracking tables and the changelog, in the transaction of the deploy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from migrations_engine.queries import load_queries
from migrations_engine.tracking.recording import Recording
from migrations_engine.tracking.state import AppliedMigration

_QUERIES: Final = load_queries(__package__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangelogEntry:
    """An object that a deploy has changed."""

    change_type: str  #: ``install_extension``, ``create_table``, ``apply_migration``, ``deploy_function`` …
    object_name: str
    detail: Mapping[str, Any] = field(default_factory=dict)


def claim_copy(connection: psycopg.Connection[Any], *, platform: str, request_id: str) -> None:
    """Set request and time in the tracking tables of a database that was copied from another."""
    connection.execute(_QUERIES["claim_copy"], {"platform": platform, "request_id": request_id})


def note_statement(connection: psycopg.Connection[Any], checksum: str, note: Mapping[str, Any]) -> bytes:
    """Return the statement of :meth:`Records.note`."""
    parameters = {"checksum": checksum, "note": Jsonb(note)}
    return psycopg.ClientCursor(connection).mogrify(_QUERIES["record_note"], parameters).encode()


class Records:
    """The tracking tables of the database behind *connection*.

    :param recording: records what is written
    """

    def __init__(self, connection: psycopg.Connection[Any], recording: Recording | None = None) -> None:
        self._connection = connection
        self._recording = recording

    def create_tables(self) -> None:
        self._connection.execute(_QUERIES["create_tables"])

    def migration(self, applied: AppliedMigration) -> None:
        """Record that a migration ran, whole or up to a statement."""
        self._write("record_migration", asdict(applied))

    def migrations_known_as(self, known: Mapping[str, AppliedMigration]) -> None:
        """Record the present path and checksums of migrations, by the paths under which they are recorded."""
        rows = [{"path": path, **asdict(applied)} for path, applied in known.items()]
        if rows:
            names = [*known, *(applied.file for applied in known.values())]
            self._write("free_migration_names", {"names": names})
            self._rows("rename_migrations", rows)

    def statements_done(self, path: str) -> int:
        """Return how many statements of a migration outside a transaction have run; 0 if it has not begun."""
        row = self._connection.execute(_QUERIES["statements_done"], {"file": path}).fetchone()
        return 0 if row is None else row[0] or 0

    def types(self, rows: Sequence[Mapping[str, str]]) -> None:
        self._rows("record_types", rows)

    def functions(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._rows("record_functions", rows)
        if self._recording is not None and rows:
            identities = {"identities": [row["identity"] for row in rows]}
            self._recording.add(self._connection, _QUERIES["renew_fingerprints"], identities)

    def forget_functions(self, identities: Iterable[str], files: Iterable[str]) -> None:
        parameters = {"identities": list(identities), "files": list(files)}
        self._write("forget_functions", parameters)

    def missing(self, extensions: Sequence[str]) -> list[tuple[str, str]]:
        """Return the missing ones of *extensions* and of the recorded routines, each as its kind and name."""
        return self._connection.execute(_QUERIES["missing"], {"extensions": list(extensions)}).fetchall()

    def tables(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Record the definitions of tables. A repetition of the deploy writes only those that have changed."""
        written = self._connection.execute(_QUERIES["record_tables"], {"rows": Jsonb(list(rows))}).fetchall()
        names = {name for (name,) in written}
        if self._recording is not None and names:
            changed = Jsonb([row for row in rows if row["name"] in names])
            self._recording.add(self._connection, _QUERIES["record_tables"], {"rows": changed})

    def note(self, checksum: str, note: Mapping[str, Any]) -> None:
        """Write the note for the next deploy. It is never repeated in another database, because it contains the mark.

        :param checksum: of the schema
        """
        self._connection.execute(note_statement(self._connection, checksum, note))

    def mark(self, mark: Mapping[str, str]) -> None:
        """Write the mark of the catalogs into the note of the last deploy."""
        self._connection.execute(_QUERIES["record_mark"], {"mark": Jsonb(mark)})

    def definitions(self, names: Sequence[str]) -> dict[str, str]:
        """Return definitions from the tracking table of tables, as JSON."""
        return dict(self._connection.execute(_QUERIES["definitions"], {"names": list(names)}).fetchall())

    def changes(self, entries: Sequence[ChangelogEntry], *, forced: bool, platform: str, request_id: str) -> None:
        rows = [{"change_type": e.change_type, "object_name": e.object_name, "detail": e.detail} for e in entries]
        self._rows("record_changes", rows, forced=forced, platform=platform, request_id=request_id)

    def _rows(self, query: str, rows: Sequence[Mapping[str, Any]], **parameters: object) -> None:
        if rows:
            self._write(query, {"rows": Jsonb(list(rows)), **parameters})

    def _write(self, query: str, parameters: Mapping[str, Any]) -> None:
        self._connection.execute(_QUERIES[query], parameters)
        if self._recording is not None:
            self._recording.add(self._connection, _QUERIES[query], parameters)
