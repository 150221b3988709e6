"""Decides which refused statements of migrations are satisfied: the declared tables have their effect already."""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import suppress
from typing import Final, TypeAlias

import psycopg
from psycopg import sql

from migrations_engine.deploy.file_runner import NAME_TAKEN, is_taken
from migrations_engine.deploy.migrations.refusal import Refusal
from migrations_engine.deploy.migrations.renames import MEMBER, Rename, rename_of
from migrations_engine.deploy.session import DeploySession
from migrations_engine.model import DEFAULT_SCHEMA
from migrations_engine.queries import load_queries
from migrations_engine.source.alter_table import (
    TypeChange,
    alter_table_actions,
    alter_type_actions,
    index_of_key,
    type_change,
)
from migrations_engine.source.lexer import occurs
from migrations_engine.source.names import (
    Cursor,
    NamedObject,
    ObjectName,
    TableAction,
    created_name,
    dropped_names,
    nameless_object,
)
from migrations_engine.source.statements import SqlStatement

_QUERIES: Final = load_queries(__package__)
#: SQLSTATEs for "already exists": also a column or schema, and a second primary key.
_EXISTS: Final = NAME_TAKEN | {"42701", "42P06", "42P16"}
#: SQLSTATEs for "does not exist": table, column, other object, function, schema.
_MISSING: Final = frozenset({"42P01", "42703", "42704", "42883", "3F000"})
_OTHER_KIND: Final = "42809"  #: the object to be dropped is of another kind
_NO_SUCH_LABEL: Final = "22023"
_ANOTHER_IS_ATTACHED: Final = "55000"  #: the partition has another index, which is part of the parent's
_INDEX_IN_USE: Final = "55000"  #: the index belongs to a constraint already
#: SQLSTATEs with which PostgreSQL refuses to change the kind of a column: identity, generated, with a default.
_ANOTHER_KIND: Final = frozenset({"55000", "42601"})
_OF_KIND: Final = ("add generated", "drop identity", "drop expression", "drop default")
#: SQLSTATEs for a NOT NULL that has another name, or is declared with or without NO INHERIT; since PostgreSQL 18.
_NOT_NULL_EXISTS: Final = frozenset({"55000", "0A000"})
#: SQLSTATEs with which PostgreSQL refuses another type for a column that a view, policy or generated column uses.
TYPE_IN_USE: Final = frozenset({"0A000", "42601"})
_ATTACHED: Final = frozenset({"42809", "42P07"})  #: it is already a partition or child, or of no type
_ADDING: Final = frozenset({"ADD COLUMN", "ADD CONSTRAINT", "ADD ATTRIBUTE"})
_DROPPING: Final = frozenset({"DROP COLUMN", "DROP CONSTRAINT", "DROP ATTRIBUTE"})
_ROUTINES: Final = ("function", "procedure", "routine", "aggregate")
_RENAMING: Final = frozenset({"RENAME COLUMN", "RENAME CONSTRAINT", "RENAME TO"})
#: The schema of an object, with the table or type if it is a member or index of that.
_Owner: TypeAlias = tuple[str, str | None]
#: What a statement creates: kind, owner and name.
_Made: TypeAlias = tuple[str, _Owner, str | None]
CASCADE: Final = re.compile(r"\bCASCADE\b", re.IGNORECASE)
_WITH_INDEX: Final = frozenset({"INDEX", "ADD CONSTRAINT"})
_OF_COLUMNS: Final = frozenset({"ADD COLUMN", "ADD ATTRIBUTE"})


class MadeByMigrations:
    """The objects that migrations of this deploy have created. To create one again is an error, not satisfied."""

    def __init__(self) -> None:
        self._names: set[_Made] = set()
        self._made: set[str | None] = set()

    def note(self, statement: SqlStatement, *, satisfied: bool = False) -> None:
        """Add the objects of a statement that has run or was satisfied; remove those that it drops."""
        makes = _makes(statement)
        self._names |= makes
        if not satisfied:
            self._made |= {name for _, _, name in makes}
        renamed = rename_of(statement)
        if renamed is not None and renamed.new_name is not None:
            self._rename(renamed)
        dropped = dropped_names(statement)
        for name in filter(None, (each.name for each in dropped)):
            self.forget(name)
        if dropped and occurs(CASCADE, statement.text):  # with dependants, which are not known
            self._names = {made for made in self._names if made[2] in self._made}

    def _rename(self, renamed: Rename) -> None:
        """Give the object of *renamed* its later name, so that migrations may create another one with the earlier."""
        is_member, schema = renamed.kind == MEMBER, renamed.schema or DEFAULT_SCHEMA

        def later(kind: str, owner: _Owner, name: str | None) -> _Made:
            is_its = owner == (schema, renamed.owner) if is_member else owner[0] == schema and kind not in _OF_COLUMNS
            is_owner = not is_member and owner == (schema, renamed.old_name)
            is_it = is_its and name == renamed.old_name
            return kind, (schema, renamed.new_name) if is_owner else owner, renamed.new_name if is_it else name

        self._names = {later(*made) for made in self._names}
        if not is_member and renamed.old_name in self._made:
            self._made = self._made - {renamed.old_name} | {renamed.new_name}

    def __contains__(self, name: str) -> bool:
        """Return whether a statement that was not satisfied has created an object of that name."""
        return name in self._made

    def forget(self, name: str) -> None:
        """Remove the objects of that name, because migrations may create them again."""
        self._names = {made for made in self._names if made[2] != name}
        self._made -= {name}

    def knows_index(self, name: str) -> bool:
        """Return whether a statement has created an index or key of that name, or was satisfied as there is one."""
        return any(kind in _WITH_INDEX and made == name for kind, _, made in self._names)

    def knows_constraints_of(self, statement: SqlStatement) -> bool:
        """Return whether *statement* validates constraints that statements have added or were satisfied to have."""
        altered = alter_table_actions(statement)
        return altered is not None and all(
            action.kind == "VALIDATE CONSTRAINT"
            and ("ADD CONSTRAINT", altered.table.address, action.name) in self._names
            for action in altered.actions
        )

    def includes_any_of(self, statement: SqlStatement) -> bool:
        """Return whether *statement* creates one of them; ``OR REPLACE`` may create again what was satisfied."""
        makes = _makes(statement)
        if "REPLACE" in statement.words:
            return any(name in self._made for _, _, name in makes)
        return bool(makes & self._names)


def is_satisfied(session: DeploySession, refusal: Refusal, made: MadeByMigrations, new_tables: Collection[str]) -> bool:
    """Return whether the effect of the refused statement exists already.

    True if it creates or adds an object that exists and that no migration of this deploy made, if it drops or renames
    one that does not exist, if it attaches an index where another one is attached, or if a column is of the wanted kind
    or type already.

    :param new_tables: names of tables that were created as they are declared
    """
    statement, sqlstate = refusal.statement, refusal.sqlstate
    if _is_column_as_wanted(session, refusal, new_tables):
        return True
    if (index := _attached_index(statement)) is not None:
        return sqlstate == _ANOTHER_IS_ATTACHED or (sqlstate in _MISSING and made.knows_index(index.name))
    if sqlstate in _EXISTS or is_taken(refusal.exc):
        return _is_made(session, statement, made)
    if sqlstate in _MISSING:
        return made.knows_constraints_of(statement) or _removes(session, statement)
    if sqlstate == _OTHER_KIND:
        return bool(dropped_names(statement))
    return sqlstate == _NO_SUCH_LABEL and _alters_type(statement, "rename", "value")


def _is_made(session: DeploySession, statement: SqlStatement, made: MadeByMigrations) -> bool:
    """Return whether no migration of this deploy has made what *statement* creates, or gave the name that it gives."""
    if _makes(statement) or _alters_type(statement, "add", "value"):
        return not made.includes_any_of(statement)
    return _is_routine_made_by_file(statement, made) or _is_renamed(session, statement)


def _index_of_key(statement: SqlStatement) -> ObjectName | None:
    """Return the index of an ``ALTER TABLE … ADD … USING INDEX``, else None."""
    altered = alter_table_actions(statement)
    index = index_of_key(altered.actions[0]) if altered is not None and len(altered.actions) == 1 else None
    return ObjectName(altered.table.schema, index) if altered is not None and index is not None else None


def _attached_index(statement: SqlStatement) -> ObjectName | None:
    """Return the index that *statement* attaches to one of a partitioned table, else None."""
    cursor = Cursor.over(statement)
    if not cursor.accept("alter", "index"):
        return None
    cursor.accept("if", "exists")
    cursor.name()
    return cursor.name() if cursor.accept("attach", "partition") else None


def _is_column_as_wanted(session: DeploySession, refusal: Refusal, new_tables: Collection[str]) -> bool:
    """Return whether a refused ALTER TABLE or TYPE would not change the column or attribute.

    Its USING may fit the earlier type only, which no column of a new table has had.
    """
    statement, sqlstate = refusal.statement, refusal.sqlstate
    altered = alter_table_actions(statement) or alter_type_actions(statement)
    if altered is None or len(altered.actions) != 1:
        return False
    (action,) = altered.actions
    index = _index_of_key(statement) if sqlstate == _INDEX_IN_USE else None
    if index is not None:
        name = action.name or index.name
        return _is_true(session, "column_or_constraint_exists", altered.table, member=name)
    if sqlstate in _NOT_NULL_EXISTS and action.begins_with("set not null", "not null"):
        return altered.table.name in new_tables
    if sqlstate in _ANOTHER_KIND:
        return action.begins_with(*_OF_KIND)
    if sqlstate in _ATTACHED:
        return action.begins_with("attach partition", "inherit", "not of")
    is_earlier_type = altered.table.name in new_tables and refusal.may_be_about_types
    change = type_change(action) if sqlstate in TYPE_IN_USE or is_earlier_type else None
    return change is not None and _has_type(session, altered.table, change)


def _has_type(session: DeploySession, table: ObjectName, change: TypeChange) -> bool:
    """Return whether the column is of the type. A temporary table shows how PostgreSQL reads the type."""
    with suppress(psycopg.ProgrammingError), session.undone():  # there may be no such type
        session.query(b"CREATE TEMPORARY TABLE _stonescriptdb_gateway_type (wanted " + change.type.encode() + b")")
        return _is_true(session, "column_has_type", table, column=change.column)
    return False


def drop_needless_index(session: DeploySession, statement: SqlStatement) -> None:
    """Drop the index that a satisfied *statement* would have made a key, or a part of that of the partitioned table.

    It does so if another index is that already.
    """
    key, part = _index_of_key(statement), _attached_index(statement)
    removal: sql.Composed | str
    if key is not None:
        removal = sql.SQL("DROP INDEX {}").format(sql.Identifier(*key.address))
    elif part is not None:
        schema, name = part.address
        row = session.query(_QUERIES["removal_of_index"], {"schema": schema, "name": name}).fetchone()
        if row is None:
            return
        removal = row[0]
    else:
        return
    try:
        with session.savepoint():
            session.run(removal, step="migrations")
    except (psycopg.ProgrammingError, psycopg.InternalError):
        return  # it does not exist, or is the index of the key


def separate_actions(statement: SqlStatement) -> list[str]:
    """Return an ALTER TABLE or TYPE of several actions as one statement each, since some may be satisfied."""
    altered = alter_table_actions(statement) or alter_type_actions(statement)
    if altered is None or len(altered.actions) < 2:
        return []
    return [f"{altered.head} {action.text}" for action in altered.actions]


def _makes(statement: SqlStatement) -> set[_Made]:
    made = created_name(statement)
    if made is not None:
        return {(_kind(made), made.table.address if made.table else (made.schema or DEFAULT_SCHEMA, None), made.name)}
    if (text := nameless_object(statement)) is not None:
        return {("OTHER", (DEFAULT_SCHEMA, None), text)}
    altered = alter_table_actions(statement) or alter_type_actions(statement)
    if altered is None or not all(action.kind in _ADDING for action in altered.actions):
        return set()
    owner = altered.table.address
    keys: set[_Made] = {("PRIMARY KEY", owner, None) for action in altered.actions if _is_primary_key(action)}
    # PostgreSQL chooses free names, so of constraints without a name only a second primary key exists already.
    return keys | {(action.kind, owner, action.name) for action in altered.actions if action.name is not None}


def _is_primary_key(action: TableAction) -> bool:
    cursor = Cursor(action.text)
    if cursor.accept("add", "constraint"):
        cursor.identifier()
        return cursor.sees("primary", "key")
    return cursor.sees("add", "primary", "key")


def _kind(made: NamedObject) -> str:
    return "RELATION" if made.kind in {"TABLE", "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE"} else made.kind


def _alters_type(statement: SqlStatement, *words: str) -> bool:
    cursor = Cursor.over(statement)
    return cursor.accept("alter", "type") and cursor.name() is not None and cursor.accept(*words)


def _removes(session: DeploySession, statement: SqlStatement) -> bool:
    if dropped_names(statement):
        return True
    altered = alter_type_actions(statement)
    if altered is not None and all(action.kind in _DROPPING for action in altered.actions):
        return _exists(session, altered.table)
    altered = alter_table_actions(statement)
    if altered is None:
        names = _names_of_routine(statement)
        is_routine_there = names is not None and _is_true(session, "routine_exists", names[1])
        return is_routine_there or _is_renamed(session, statement)
    return all(_is_gone(session, altered.table, action) for action in altered.actions)


def _is_gone(session: DeploySession, table: ObjectName, action: TableAction) -> bool:
    """Return whether the effect of a DROP or RENAME action exists: the old name is gone, the new one exists."""
    if action.kind in _DROPPING or action.begins_with("detach partition", "no inherit"):
        return _exists(session, table)
    if action.kind not in _RENAMING or action.new_name is None:
        return False
    if action.kind == "RENAME TO":
        return not _exists(session, table) and _exists(session, ObjectName(table.schema, action.new_name))
    return _is_true(session, "column_or_constraint_exists", table, member=action.new_name)


def _is_renamed(session: DeploySession, statement: SqlStatement) -> bool:
    """Return whether *statement* renames or moves an object or member of which only the later name exists."""
    renamed = rename_of(statement)
    if renamed is not None:
        with suppress(psycopg.ProgrammingError, psycopg.DataError), session.undone():
            session.query(renamed.inverse)
            return True
    return False


def _names_of_routine(statement: SqlStatement) -> tuple[ObjectName, ObjectName] | None:
    """Return the earlier and the new name of an ALTER FUNCTION that gives a name or schema, else None."""
    cursor = Cursor.over(statement)
    is_routine = cursor.accept("alter") and any(cursor.accept(kind) for kind in _ROUTINES)
    old = cursor.name() if is_routine else None
    if old is None:
        return None
    cursor.skip_parentheses()
    if cursor.accept("rename", "to"):
        schema, name = old.schema, cursor.identifier()
    elif cursor.accept("set", "schema"):
        schema, name = cursor.identifier(), old.name
    else:
        return None
    return (old, ObjectName(schema, name)) if name is not None else None


def _is_routine_made_by_file(statement: SqlStatement, made: MadeByMigrations) -> bool:
    """Return whether *statement* renames a function to one that exists, because an earlier statement has needed it."""
    names = _names_of_routine(statement)
    return names is not None and not any(name.name in made for name in names)


def _exists(session: DeploySession, table: ObjectName) -> bool:
    return _is_true(session, "relation_or_type_exists", table)


def _is_true(session: DeploySession, query: str, subject: ObjectName, **more: str) -> bool:
    schema, name = subject.address
    row = session.query(_QUERIES[query], {"schema": schema, "name": name, **more}).fetchone()
    return row is not None and bool(row[0])
