"""Restore databases from the copies that a migration has kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gateway.databases import KeptCopy, ManagedDatabase, read_mark
from gateway.errors import DatabaseNotFound, GatewayError, UndoRefused
from gateway.naming import owner_facts
from gateway.operations.deploy import dedicated_to, deploy_turn
from gateway.operations.roll_out import in_parallel
from gateway.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoRequest:
    """A request to restore databases from their copies.

    :ivar only: the ids of some of them; None for all that have a copy
    :ivar force: also those in which rows have been written since, and from copies that have expired
    """

    platform: str
    schema_name: str
    only: tuple[str, ...] | None = None
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoneDatabase:
    """The result of one database.

    :ivar not_restored: properties of the database that could not be set on its copy
    """

    database: str
    status: Literal["restored", "failed"]
    kept_at: datetime
    not_restored: tuple[str, ...] = ()
    error: GatewayError | None = None

    @property
    def message(self) -> str | None:
        """The reason why it was not restored, or not completely; None if it was."""
        if self.error is not None:
            return self.error.text
        if self.not_restored:
            return f"restored without {', '.join(self.not_restored)}, which the gateway's role may not set"
        return None


def undo_migration(services: Services, wanted: UndoRequest) -> tuple[UndoneDatabase, ...]:
    """Restore databases of a stored schema from the copies of their last migration with ``undo``.

    Failures of databases are in the result and not raised.

    :raises DatabaseNotFound: one that was named has no copy, or none at all has one
    :raises PlatformNotFound, SchemaNotFound: there is no copy, and no such schema is stored
    """
    copies = {
        str(copy.stamp.owner.database_id): copy
        for copy in services.copies.all()
        if (copy.stamp.owner.platform, copy.stamp.owner.schema_name) == (wanted.platform, wanted.schema_name)
    }
    missing = [one for one in dict.fromkeys(wanted.only or ()) if one not in copies]
    if missing or not copies:
        services.platforms.schema(wanted.platform, wanted.schema_name)
        of_what = f"databases {', '.join(map(repr, missing))}" if missing else f"schema {wanted.schema_name!r}"
        raise DatabaseNotFound(
            f"no copy is kept of the {of_what}; a migration with undo=keep makes copies, which expire",
            platform=wanted.platform,
            schema_name=wanted.schema_name,
        )
    chosen = [copies[one] for one in dict.fromkeys(wanted.only or sorted(copies))]
    return tuple(in_parallel(services, lambda copy: _undo(services, copy, force=wanted.force), chosen))


def _undo(services: Services, copy: KeptCopy, *, force: bool) -> UndoneDatabase:
    owner = copy.stamp.owner
    try:
        with deploy_turn(services):
            database = services.directory.find(owner)
            if database.oid != copy.oid:
                raise UndoRefused(
                    "the database has been dropped and created again since the copy",
                    **owner_facts(owner),
                )
            if not force:
                _refuse_expired(services, copy)
                _refuse_written(services, copy, database)
            not_restored = services.copies.put_back(copy, database)
    except GatewayError as exc:
        return UndoneDatabase(database=owner.database_name, status="failed", kept_at=copy.kept_at, error=exc)
    services.directory.forget(owner)
    services.registry.changed(owner.database_name)
    return UndoneDatabase(
        database=owner.database_name, status="restored", kept_at=copy.kept_at, not_restored=not_restored
    )


def _refuse_expired(services: Services, copy: KeptCopy) -> None:
    if services.copies.has_expired(copy):
        raise UndoRefused(
            f"the copy of {copy.kept_at.isoformat()} has expired (UNDO_KEEP_SECS), and the next migration with undo or "
            "start of a gateway drops it; repeat the undo with force to restore it",
            **owner_facts(copy.stamp.owner),
        )


def _refuse_written(services: Services, copy: KeptCopy, database: ManagedDatabase) -> None:
    services.registry.forget(database.name)
    with dedicated_to(services, database) as connection:
        mark = read_mark(connection)
    if mark != copy.mark:
        why = "may have been written, as it is in use" if mark is None else "have been written"
        raise UndoRefused(
            f"rows of {database.name!r} {why} since the migration of {copy.kept_at.isoformat()}, or it has been "
            "deployed to again; an undo loses these changes; repeat it with force to accept that",
            **owner_facts(database.owner),
        )
