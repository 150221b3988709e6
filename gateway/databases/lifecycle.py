"""Creating, adopting and dropping databases, so that each exists complete and stamped, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

import psycopg
from psycopg import sql

from gateway.databases.catalog import (
    Connections,
    comment_on_database,
    drop_database,
    read_named,
    refusals,
    rename_database,
    time_for_comment,
)
from gateway.databases.directory import owned
from gateway.databases.name_locks import NameLocks
from gateway.databases.roles import PlatformRoles
from gateway.databases.stamps import ManagedDatabase, Stamp
from gateway.databases.templates import TemplateDatabases, TemplateUse
from gateway.databases.unpublished import CLOSED, UnpublishedDatabases
from gateway.errors import (
    ConnectionFailed,
    DatabaseAlreadyExists,
    DatabaseNotFound,
    DatabaseNotMoved,
    DatabaseNotRecorded,
)
from gateway.events import Events, TemplateLookedUp
from gateway.naming import DatabaseOwner, owner_facts
from migrations_engine.queries import load_queries

_QUERIES: Final = load_queries(__package__)
Prepared = TypeVar("Prepared")
Prepare = Callable[[psycopg.Connection[Any]], Prepared]


class DatabaseLifecycle:
    """Creates, stamps and drops the databases of owners; no other class does."""

    def __init__(
        self,
        connections: Connections,
        *,
        maintenance_database: str,
        wait_seconds: float,
        most_templates: int = 0,
        new_database_template: str = "template0",
        roles: PlatformRoles | None = None,
        events: Events | None = None,
    ) -> None:
        """Create the object; opens no connection.

        :param wait_seconds: the wait limit for another request that creates a database of the same name
        :param most_templates: template databases to keep on the server
        :param new_database_template: what empty databases are copies of
        :param roles: which own the databases of their platforms; None without PLATFORM_ROLES
        :param events: where lookups of templates are emitted
        """
        self._roles = roles
        self._events = events or Events()
        self._templates = TemplateDatabases(most_templates)
        self._unpublished = UnpublishedDatabases(new_database_template, roles=roles)
        self._connections = connections
        self._maintenance_database = maintenance_database
        self._locks = NameLocks(connections, maintenance_database=maintenance_database, wait_seconds=wait_seconds)

    def create(
        self,
        owner: DatabaseOwner,
        prepare: Prepare[Prepared],
        *,
        publish: bool = True,
        template: TemplateUse[Prepared] | None = None,
    ) -> tuple[ManagedDatabase | None, Prepared]:
        """Create *owner*'s database; it is not visible before *prepare* has succeeded on it.

        It has a temporary name first, and is renamed and stamped in one transaction. If anything fails it is dropped.

        :param prepare: deploys to the new, empty database
        :param publish: False drops it after *prepare*, whose result is returned
        :param template: copied instead of preparing a new database if it exists; else created for the next ones
        :raises DatabaseAlreadyExists: the owner has it already, also if another request has just created it
        :raises DatabaseNameConflict: the name is another owner's
        :raises ConnectionFailed: the template database is in use
        """
        if self._roles is not None and template is not None:  # which owns the objects in its template
            role = self._roles.role_of(owner.platform)
            template = replace(template, content=f"{template.content}\0{role}")
        with self._locks.held(owner.database_name) as session:
            self._refuse_existing(session, owner)
            temporary, copied = self._create_unpublished(session, owner, template)
            published = None
            try:
                result = self._fill(session, temporary, owner, prepare=prepare, template=template, copied=copied)
                if publish:
                    published = self._publish(session, temporary, owner)
                return published, result
            finally:
                if published is None:
                    self._unpublished.drop(session, temporary)

    def _create_unpublished(
        self, session: psycopg.Connection[Any], owner: DatabaseOwner, template: TemplateUse[Any] | None
    ) -> tuple[str, Mapping[str, Any] | None]:
        """Create a database under a temporary name. Return it, and the note of the template that was copied, if any."""
        with refusals("create a database", **owner_facts(owner)):
            self._unpublished.remove_leftovers(session)
            temporary = self._unpublished.new_name(session)
            closed = self._unpublished.prepare_role(session, owner)
            copied = self._templates.copy(session, template, temporary, closed=closed) if template else None
            if template:
                self._events.emit(TemplateLookedUp(copied is not None))
            if copied is None:
                self._unpublished.create_empty(session, temporary, closed=closed)
            self._unpublished.set_owner(session, temporary, owner)
        return temporary, copied

    def _fill(
        self,
        session: psycopg.Connection[Any],
        temporary: str,
        owner: DatabaseOwner,
        *,
        prepare: Prepare[Prepared],
        template: TemplateUse[Prepared] | None,
        copied: Mapping[str, Any] | None,
    ) -> Prepared:
        """Prepare a new database and make a template of it, or record the owner of a copy of a template.

        :param copied: the note of the template that was copied, if any
        """
        note = None
        with self._connections.dedicated(temporary) as connection:
            with refusals("fill a new database", **owner_facts(owner)):
                connection.execute(_QUERIES["flush_with_publication"])
            if template and copied is not None:
                with refusals("record a copied database", **owner_facts(owner)):
                    return template.claim(connection, copied)
            result = prepare(connection)
            if template:
                with refusals("read a new database", **owner_facts(owner)):
                    note = template.note(connection, result)
        if template and note is not None:
            with refusals("create a template", **owner_facts(owner)):
                second = self._unpublished.new_name(session)
                self._templates.keep(session, template, note, source=temporary, temporary=second)
        return result

    def create_copy(self, owner: DatabaseOwner, source: str) -> ManagedDatabase:
        """Create *owner*'s database as a copy of the database *source*, with everything in it.

        :raises DatabaseAlreadyExists, DatabaseNameConflict: as for :meth:`create`
        :raises ConnectionFailed: a session is connected to *source*, which PostgreSQL cannot copy then
        """
        with self._locks.held(owner.database_name) as session:
            self._refuse_existing(session, owner)
            with refusals("copy a database", **owner_facts(owner)):
                self._unpublished.remove_leftovers(session)
                temporary = self._unpublished.new_name(session)
                copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*map(sql.Identifier, (temporary, source)))
                if self._unpublished.prepare_role(session, owner):
                    copy += CLOSED
                self._connections.forget(source)
                try:
                    session.execute(copy)
                except psycopg.errors.ObjectInUse as exc:
                    message = f"{source!r} cannot be copied while others are connected to it; try again"
                    raise ConnectionFailed(message, cause=exc.diag.message_detail, **owner_facts(owner)) from exc
            try:
                self._unpublished.set_owner(session, temporary, owner)
                return self._publish(session, temporary, owner)
            except BaseException:
                self._unpublished.drop(session, temporary)
                raise

    def adopt(self, owner: DatabaseOwner, prepare: Prepare[Prepared], *, publish: bool = True) -> Prepared:
        """Stamp the unstamped database of *owner*'s name once *prepare* has succeeded on it; a failure adopts nothing.

        :raises DatabaseAlreadyExists: the owner has been stamped meanwhile
        :raises DatabaseNotFound: there is no such database
        :raises DatabaseNameConflict: it is another owner's, or the gateway's maintenance database
        """
        name = owner.database_name
        with self._locks.held(name) as session:
            with refusals("look up a database", **owner_facts(owner)):
                row = read_named(session, name)
            try:
                owned(row, owner, roles=self._roles)
            except DatabaseNotRecorded:
                if name == self._maintenance_database:
                    raise
                if self._roles is not None:
                    raise DatabaseNotMoved(
                        f"the database {name!r} has no recorded owner. With PLATFORM_ROLES it is adopted by the "
                        "command adopt, and then moved by the command platform-roles",
                        **owner_facts(owner),
                    ) from None
            else:
                raise _already_exists(owner)
            with self._connections.dedicated(name) as connection:
                result = prepare(connection)
            if publish:
                stamp = Stamp(owner=owner, adopted_at=time_for_comment(), comment=row.comment if row else None)
                with refusals("stamp a database", **owner_facts(owner)):
                    comment_on_database(session, name, stamp.to_text())
            return result

    def release(self, database: ManagedDatabase) -> None:
        """Remove the stamp of *database*, and restore the comment that it had before it was adopted.

        :raises DatabaseNotFound: it has been dropped, renamed or stamped anew since it was looked up
        """
        name = database.name
        facts = owner_facts(database.owner)
        with self._locks.held(name) as session, refusals("remove the stamp of a database", **facts):
            row = read_named(session, name)
            if row is None or row.oid != database.oid or row.comment != database.stamp:
                raise DatabaseNotFound(f"the database {name!r} was changed meanwhile; try again", **facts)
            self._connections.forget(name)
            comment_on_database(session, name, row.stamp.comment if row.stamp else None)

    def drop(self, owner: DatabaseOwner) -> None:
        """Drop *owner*'s database and terminate the sessions in it.

        :raises DatabaseNotFound, DatabaseNameConflict: there is none, or it is not the owner's
        """
        name = owner.database_name
        with self._locks.held(name) as session, refusals("drop a database", **owner_facts(owner)):
            owned(read_named(session, name), owner, roles=self._roles)
            self._connections.forget(name)
            drop_database(session, name)

    def remove_unfinished(self) -> tuple[str, ...]:
        """Drop the databases that a killed process was creating, and return their names."""
        session_of = self._connections.dedicated(self._maintenance_database)
        with session_of as session, refusals("remove unfinished databases"):
            return self._unpublished.remove_leftovers(session)

    def _refuse_existing(self, session: psycopg.Connection[Any], owner: DatabaseOwner) -> None:
        with refusals("look up a database", **owner_facts(owner)):
            row = read_named(session, owner.database_name)
            if row is not None and row.is_half_dropped:
                drop_database(session, row.name)
                return
        try:
            owned(row, owner, roles=self._roles)
        except DatabaseNotFound:
            return
        raise _already_exists(owner)

    def _publish(self, session: psycopg.Connection[Any], temporary: str, owner: DatabaseOwner) -> ManagedDatabase:
        name = owner.database_name
        try:
            with refusals("publish a database", **owner_facts(owner)), session.transaction():
                try:
                    rename_database(session, temporary, name)
                except psycopg.errors.DuplicateDatabase:
                    # Made meanwhile by hand, or by a gateway with another maintenance database and so other locks.
                    raise _already_exists(owner) from None
                comment_on_database(session, name, Stamp(owner=owner, created_at=time_for_comment()).to_text())
        except DatabaseAlreadyExists:
            self._refuse_existing(session, owner)
            raise
        with refusals("look up a database", **owner_facts(owner)):
            published = owned(read_named(session, name), owner, roles=self._roles)
        if self._roles is not None:
            self._roles.forget(temporary)
            self._roles.remember(name, owner.platform)
        return published


def _already_exists(owner: DatabaseOwner) -> DatabaseAlreadyExists:
    return DatabaseAlreadyExists(
        f"the database {owner.database_name!r} exists already; use it, or choose another name", **owner_facts(owner)
    )
