"""Tables that migrations replace by others of the same name, where the declared table is still the earlier one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import psycopg

from migrations_engine.catalog import read_catalog
from migrations_engine.deploy.migrations.pending import PendingMigrations
from migrations_engine.deploy.migrations.renames import Rename, RenameStatement, rename_of, revert_renames
from migrations_engine.deploy.migrations.sequence_positions import nothing_kept
from migrations_engine.deploy.session import DeploySession
from migrations_engine.diff import diff_catalogs
from migrations_engine.model import Catalog
from migrations_engine.schema import SchemaFile
from migrations_engine.source.attribution import bare_name, mentions_name
from migrations_engine.source.names import created_name, dropped_names
from migrations_engine.source.script import is_setting, script_of
from migrations_engine.source.statements import SqlStatement

#: Changes that a declaration cannot make without a migration, if they are dangerous.
_OF_ANOTHER_TABLE: Final = frozenset(
    {"drop_column", "alter_column_type", "alter_column_generated", "alter_partitioning", "alter_kind"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Replacement:
    """Migrations that create a table, which gets or takes over the name of a declared one."""

    name: str
    names: frozenset[str]  #: of both tables
    first: int  #: number of the file that creates the table
    last: int  #: number of the file that gives it its name

    def mentioned_in(self, statement: SqlStatement) -> bool:
        """Return whether *statement* has a name of one of the tables."""
        return any(mentions_name(statement.text, name) for name in self.names)

    def renames(self, pending: PendingMigrations) -> Iterator[RenameStatement]:
        """Yield the renames of the tables and of what belongs to them."""
        files = pending.files[self.first : self.last + 1]
        for file, statement, renamed in pending.renames:
            if file in files and (renamed.is_of_declared_name or self.mentioned_in(statement)):
                yield file, statement, renamed


def note_replaced_tables_that_lag(session: DeploySession, pending: PendingMigrations, declared: Catalog) -> None:
    """Add the names of the declared tables to *pending* that its migrations replace, if they are the earlier ones.

    A declared table is the earlier one if the migrations work over it as they are written, and it differs from what
    they make of it by more than it could without a migration.
    """
    for found in _replacements(pending):
        renames = {(file, statement.start) for file, statement, _ in found.renames(pending)}
        made = _made_by(session, pending, found, renames)
        changes = diff_catalogs(actual=made, wanted=declared, former=made).changes if made is not None else ()
        if any(
            change.change_type in _OF_ANOTHER_TABLE and change.compatibility != "safe"
            for change in changes
            if bare_name(change.table) == found.name
        ):
            pending.lagging |= {found.name}
            pending.renames_of_lagging |= renames


def _replacements(pending: PendingMigrations) -> list[_Replacement]:
    created: dict[str, tuple[int, frozenset[str]]] = {}  # by the present name: the number of the file, earlier names
    free: dict[str, set[str]] = {}  # names that other tables have had before, with their later ones
    found: dict[str, _Replacement] = {}
    for number, file in enumerate(pending.files):
        for statement in script_of(file).statements:
            name = _given(statement, rename_of(statement), number, created, free)
            if name in free and name in created and name in pending.new_tables:
                first, names = created[name]
                names |= {name, *free[name]}
                found[name] = _Replacement(name=name, names=names, first=first, last=number)
    return list(found.values())


def _given(
    statement: SqlStatement,
    renamed: Rename | None,
    number: int,
    created: dict[str, tuple[int, frozenset[str]]],
    free: dict[str, set[str]],
) -> str | None:
    """Note what *statement* does with tables, and return the name that it gives to one."""
    for dropped in dropped_names(statement):
        if dropped.kind == "TABLE" and dropped.name is not None and created.pop(dropped.name, None) is None:
            free.setdefault(dropped.name, set())
    made = created_name(statement)
    if made is not None and made.kind == "TABLE" and made.name is not None:
        created[made.name] = (number, frozenset())
        return made.name
    if renamed is None or renamed.kind != "TABLE" or renamed.new_name is None:
        return None
    if (place := created.pop(renamed.old_name, None)) is None:
        free.setdefault(renamed.old_name, set()).add(renamed.new_name)
    else:
        created[renamed.new_name] = (place[0], place[1] | {renamed.old_name})
    return renamed.new_name


def _made_by(
    session: DeploySession, pending: PendingMigrations, found: _Replacement, renames: set[tuple[SchemaFile, int]]
) -> Catalog | None:
    """Return the catalog that the migrations make; None if PostgreSQL refuses what they do with the tables."""
    others = [one for one in pending.renames_to_revert if (one[0], one[1].start) not in renames]
    with nothing_kept(session):
        revert_renames(session, others)
        for number, file in enumerate(pending.files[found.first :], start=found.first):
            for statement in script_of(file).statements:
                if number > found.last and not (found.mentioned_in(statement) or is_setting(statement)):
                    continue
                try:
                    with session.savepoint():
                        session.query(_with_dependants(statement).encode())
                except psycopg.Error:
                    if session.connection.closed or found.mentioned_in(statement):
                        return None
            session.restore_settings(script_of(file).changes_settings)
        return read_catalog(session.connection)
    return None


def _with_dependants(statement: SqlStatement) -> str:
    """Return the text of *statement*; if it drops a table, together with what uses that."""
    if not any(dropped.kind == "TABLE" for dropped in dropped_names(statement)):
        return statement.text
    has_word = statement.text.upper().endswith(("CASCADE", "RESTRICT"))
    return statement.text if has_word else f"{statement.text} CASCADE"
