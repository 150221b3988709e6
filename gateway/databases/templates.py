"""Template databases: a schema deployed once, copied for every further database of it.

Invariants:

1. A template allows no connections (``ALLOW_CONNECTIONS false``), so no session blocks a copy. Copies of one
   template may run at the same time; PostgreSQL makes a drop wait for them.
2. A template becomes one by a rename, together with its comment; before that it has a temporary name, and is removed
   like every unfinished database if its process has ended.
3. A template is only an optimization: if it is missing, in use or being dropped, the database is created without it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, Generic, TypeVar

import psycopg
from psycopg import errors, sql

from gateway.databases.catalog import comment_on_database, drop_database, rename_database, time_for_comment
from gateway.databases.name_locks import lockable_prefix, try_lock, unlock
from gateway.naming import RESERVED_PREFIX
from migrations_engine.queries import load_queries

Prepared = TypeVar("Prepared")

_log: Final = logging.getLogger(__name__)
_QUERIES: Final = load_queries(__package__)
_PREFIX: Final = f"{RESERVED_PREFIX}template_"
_COMMENT_VERSION: Final = 1
_REFRESH_AFTER: Final = timedelta(minutes=10)  #: precision of the time of last use, by which templates are evicted
#: From this size on, copying the files costs less than writing every page to the WAL, in spite of its two checkpoints.
_COPY_FILES_FROM_BYTES: Final = 256 * 2**20
_CLONING_SINCE: Final = 180000  #: server version that can let the file system share the blocks of both copies
#: The template was dropped since the lookup, a session is in it after all, or this role may not copy it.
_NOT_NOW: Final = (errors.InvalidCatalogName, errors.ObjectInUse, errors.InsufficientPrivilege)


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateUse(Generic[Prepared]):
    """How a database can be created by copying instead of preparing it.

    :ivar content: a text that is equal for equal databases
    :ivar family: templates of one family replace each other; None for one that has no successors
    :ivar note: returns the note for the template about the preparation, or None if a copy would differ
    :ivar claim: records the owner in a copy; returns the result that preparing it would have
    """

    content: str
    family: str | None
    note: Callable[[psycopg.Connection[Any], Prepared], Mapping[str, Any] | None]
    claim: Callable[[psycopg.Connection[Any], Mapping[str, Any]], Prepared]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Template:
    name: str
    family: str | None
    used_at: datetime
    size_bytes: int
    note: Mapping[str, Any]

    def to_comment(self) -> str:
        record = {
            "stonescriptdb_gateway_template": _COMMENT_VERSION,
            "family": self.family,
            "used_at": self.used_at.isoformat(),
            "size_bytes": self.size_bytes,
            "note": self.note,
        }
        return json.dumps(record, separators=(",", ":"))

    @classmethod
    def from_row(cls, name: str, comment: str | None) -> _Template | None:
        with suppress(ValueError, TypeError, KeyError):
            record = json.loads(comment or "")
            if record["stonescriptdb_gateway_template"] == _COMMENT_VERSION:
                return cls(
                    name=name,
                    family=record["family"],
                    used_at=datetime.fromisoformat(record["used_at"]),
                    size_bytes=record["size_bytes"],
                    note=record["note"],
                )
        return None


class TemplateDatabases:
    """The templates of a server. Every session is one in the maintenance database, in autocommit."""

    def __init__(self, most: int) -> None:
        """Keep *most* of them; 0 for none."""
        self._most = most

    def copy(
        self, session: psycopg.Connection[Any], use: TemplateUse[Any], database: str, *, closed: bool
    ) -> Mapping[str, Any] | None:
        """Create *database* as a copy of the template, and return the template's note; None without a template.

        :param closed: it allows no connections yet
        """
        if not self._most:
            return None
        found = self._find(session, _name(session, use))
        if found is None:
            return None
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY {} ALLOW_CONNECTIONS {}").format(
            sql.Identifier(database),
            sql.Identifier(found.name),
            sql.SQL(_strategy(session, found.size_bytes)),
            sql.Literal(not closed),
        )
        try:
            session.execute(statement)
        except _NOT_NOW as exc:
            _log.info("the template %s could not be copied: %s", found.name, exc)
            return None
        self._refresh(session, found)
        return found.note

    def keep(
        self,
        session: psycopg.Connection[Any],
        use: TemplateUse[Any],
        note: Mapping[str, Any],
        *,
        source: str,
        temporary: str,
    ) -> None:
        """Create a template from *source*, which has no sessions, under the name *temporary* first.

        A failure is only logged: the template is not needed for the database itself.
        """
        name = _name(session, use)
        if not self._most or not try_lock(session, name):  # another request is making it
            return
        try:
            if self._find(session, name) is None:
                self._make(session, use, note, source=source, temporary=temporary, name=name)
                self._evict(session, use, name)
        except psycopg.Error as exc:
            _log.warning("no template could be created from %s: %s", source, exc)
        finally:
            with suppress(psycopg.OperationalError):  # the connection is lost, and the lock is released with it
                unlock(session, name)

    @staticmethod
    def _find(session: psycopg.Connection[Any], name: str) -> _Template | None:
        row = session.execute(_QUERIES["template_named"], {"name": name}).fetchone()
        return _Template.from_row(*row) if row else None

    @staticmethod
    def _make(
        session: psycopg.Connection[Any],
        use: TemplateUse[Any],
        note: Mapping[str, Any],
        *,
        source: str,
        temporary: str,
        name: str,
    ) -> None:
        row = session.execute(_QUERIES["size_of"], {"name": source}).fetchone()
        size = row[0] if row else 0
        made = _Template(name=name, family=use.family, used_at=time_for_comment(), size_bytes=size, note=note)
        drop_database(session, name)  # the database of this name is no template: its comment was changed by hand
        try:
            session.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY {} ALLOW_CONNECTIONS false").format(
                    sql.Identifier(temporary), sql.Identifier(source), sql.SQL(_strategy(session, size))
                )
            )
            with session.transaction():
                rename_database(session, temporary, name)
                comment_on_database(session, made.name, made.to_comment())
        except psycopg.Error:
            if not session.closed:
                drop_database(session, temporary)
            raise

    def _refresh(self, session: psycopg.Connection[Any], template: _Template) -> None:
        """Record the time of use, at intervals, one session at a time, because concurrent changes of a comment fail."""
        if time_for_comment() - template.used_at < _REFRESH_AFTER or not try_lock(session, template.name):
            return
        try:
            refreshed = replace(template, used_at=time_for_comment())
            comment_on_database(session, template.name, refreshed.to_comment())
        except errors.InvalidCatalogName:  # dropped meanwhile
            pass
        finally:
            unlock(session, template.name)

    def _evict(self, session: psycopg.Connection[Any], use: TemplateUse[Any], name: str) -> None:
        """Drop what *use*'s template, *name*, has replaced, and those unused for longest that are too many."""
        rows = session.execute(_QUERIES["templates"], {"prefix": lockable_prefix(session, _PREFIX)}).fetchall()
        templates = [found for row in rows if (found := _Template.from_row(*row)) is not None and found.name != name]
        replaced = [one for one in templates if use.family is not None and one.family == use.family]
        others = sorted((one for one in templates if one not in replaced), key=lambda one: one.used_at)
        too_many = len(others) + 1 - self._most
        for one in (*replaced, *others[: max(0, too_many)]):
            drop_database(session, one.name)


def differs_when_copied(
    connection: psycopg.Connection[Any],
    *,
    seeded: Sequence[str],
    filled: Iterable[tuple[str, str]],
    dated: Iterable[tuple[str, str]],
    random: str,
) -> bool:
    """Return whether a copy of the database of *connection* would differ from a newly prepared one.

    :param seeded: the tables with first rows, as SQL names them
    :param filled: schema and name of all tables that its files insert into, as far as they exist
    :param dated: those of them with strings that a column of dates would take for the current time
    :param random: a regular expression for defaults that differ for each row
    """
    parameters = {"seeded": list(seeded), "filled": _quoted(filled), "dated": _quoted(dated), "random": random}
    row = connection.execute(_QUERIES["differs_when_copied"], parameters).fetchone()
    return row is None or bool(row[0])


def _quoted(tables: Iterable[tuple[str, str]]) -> list[str]:
    return [sql.Identifier(*table).as_string() for table in tables]


def _name(session: psycopg.Connection[Any], use: TemplateUse[Any]) -> str:
    return f"{lockable_prefix(session, _PREFIX)}{sha256(use.content.encode()).hexdigest()[:20]}"


def _strategy(session: psycopg.Connection[Any], size_bytes: int) -> str:
    """Return the cheaper strategy to copy so many bytes on this server."""
    if size_bytes < _COPY_FILES_FROM_BYTES:
        return "WAL_LOG"
    if session.info.server_version >= _CLONING_SINCE:
        session.execute("SET file_copy_method = clone")
    return "FILE_COPY"
