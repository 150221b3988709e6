"""Reverts the renames of migrations where objects were created with their latest names.

A new database, or a new table, is made from ``tables/``, which has the latest names, and its migrations were written
for earlier ones. With the renames reverted, the latest first, each migration finds the names of its time, and
renames them again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, TypeVar

import psycopg
from psycopg import sql

from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import EngineError, MigrationFailed
from migrations_engine.model import DEFAULT_SCHEMA, Catalog
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.source.alter_table import alter_table_actions
from migrations_engine.source.attribution import FileIndex, mentions_name
from migrations_engine.source.lexer import content_of
from migrations_engine.source.names import Cursor, ObjectName, created_name
from migrations_engine.source.script import script_of, statements_of
from migrations_engine.source.statements import SqlStatement, remembered

E = TypeVar("E", bound=EngineError)
_INVALID_VALUE: Final = "22P02"
MEMBER: Final = "MEMBER"  #: the kind of a column, attribute, constraint, value, trigger or policy
#: Kinds after ALTER whose objects have a name of their own, the longer before the shorter.
_KINDS: Final = {
    words: sql.SQL(words)
    for words in (
        *("FOREIGN TABLE", "MATERIALIZED VIEW", "TABLE", "VIEW", "INDEX", "SEQUENCE", "TYPE", "DOMAIN", "STATISTICS"),
        *("COLLATION", "SCHEMA"),
    )
}
_NAMED_AS_DECLARED: Final = frozenset({"INDEX", "SEQUENCE"})
VIEWS: Final = frozenset({"VIEW", "MATERIALIZED VIEW"})
#: Kinds after ALTER whose objects are named within a table.
_ON_A_TABLE: Final = {words: sql.SQL(words) for words in ("TRIGGER", "POLICY", "RULE")}
#: Members after RENAME, and their keyword in the statement that reverts the rename.
_MEMBERS: Final = {"column": sql.SQL("COLUMN"), "constraint": sql.SQL("CONSTRAINT"), "attribute": sql.SQL("ATTRIBUTE")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    """What a statement renames or moves to another schema."""

    kind: str  #: of the object, or MEMBER for a column, attribute, constraint or value
    schema: str | None  #: of the object, or of the one that has the member, if it is written
    old_name: str
    new_name: str | None  #: None if it is moved
    inverse: sql.Composed  #: the statement that reverts it
    owner: str | None = None  #: name of the table or type that has the member
    is_value: bool = False  #: the member is a value of an enum
    is_constraint: bool = False  #: the member is a constraint
    new_schema: str | None = None  #: if it is moved

    @property
    def is_of_declared_name(self) -> bool:
        """Whether each deploy gives the object its declared name again."""
        return self.is_constraint or self.kind in _NAMED_AS_DECLARED

    @property
    def later_name(self) -> str:
        """The name after the statement."""
        return self.new_name or self.old_name

    @property
    def later_schema(self) -> str:
        """The schema after the statement of the object, or of the one that has the member."""
        return self.new_schema or self.schema or DEFAULT_SCHEMA


#: A rename, with its statement and the file of that.
RenameStatement: TypeAlias = tuple[SchemaFile, SqlStatement, Rename]


def revert_renames(session: DeploySession, renames: Iterable[RenameStatement]) -> set[tuple[SchemaFile, int]]:
    """Give what *renames* of migrations rename its earlier name, where only the later one exists.

    Return the file and offset of each statement whose effect is reverted.

    :raises MigrationFailed: the connection was lost
    """
    reverted = set()
    for file, statement, rename in reversed([*renames]):
        try:
            with session.savepoint():
                session.run(rename.inverse, step="migrations", file=file.label, effect="reverts a rename")
        except (psycopg.ProgrammingError, psycopg.DataError):
            continue  # the later name does not exist, or the earlier one does
        except psycopg.Error as exc:
            raise session.failure(exc, MigrationFailed, file=file) from exc
        reverted.add((file, statement.start))
    return reverted


@contextmanager
def renamed_again(session: DeploySession, renames: Sequence[RenameStatement]) -> Iterator[None]:
    """Give what *renames* rename its later name while the block runs, if nothing has that name.

    :raises MigrationFailed: the connection was lost
    """
    done = []
    for file, statement, rename in renames:
        try:
            with session.savepoint():
                session.run_alone(file, statement)
        except psycopg.ProgrammingError:
            continue  # something else has the later name until then
        done.append((file, statement, rename))
    yield
    revert_renames(session, done)


def rename_as_applied(session: DeploySession, applied: Sequence[SchemaFile], pending: Sequence[SchemaFile]) -> None:
    """Give constraints, indexes and sequences the names that *applied* migrations gave them and *pending* ones use.

    The comparison has given them their declared names since, and will again.
    """
    asked: set[str] = set()
    renames: list[tuple[SchemaFile, SqlStatement]] = []
    for file in reversed(applied):
        for statement in reversed(script_of(file).statements):
            renamed = rename_of(statement)
            if renamed is None or not renamed.is_of_declared_name:
                continue
            if renamed.later_name in asked or _expect(pending, renamed.later_name):
                asked.add(renamed.old_name)
                renames.append((file, statement))
    for file, statement in reversed(renames):
        with suppress(psycopg.ProgrammingError), session.savepoint():
            session.run_alone(file, statement)


def _expect(migrations: Iterable[SchemaFile], name: str) -> bool:
    """Return whether the first statement of *migrations* that mentions *name* expects that something has it."""
    for statement in statements_of(migrations):
        if mentions_name(statement.text, name):
            made, altered = created_name(statement), alter_table_actions(statement)
            actions = altered.actions if altered is not None else ()
            first = next((action for action in actions if mentions_name(action.text, name)), None)
            is_added = first is not None and first.kind == "ADD CONSTRAINT" and first.name == name
            return not is_added and (made is None or made.name != name)
    return False


def names_given_by(migrations: Sequence[SchemaFile]) -> frozenset[str]:
    """Return the names that *migrations* give to other objects, or leave to those that they move."""
    return frozenset(renamed.later_name for renamed in map(rename_of, statements_of(migrations)) if renamed is not None)


def with_earlier_values(declared: Catalog, actual: Catalog, migrations: Sequence[SchemaFile]) -> Catalog:
    """Return *declared* with the values of enums under the names that they have before *migrations* rename them.

    :param actual: the database, in which some of *migrations* may have run
    """
    types = {type_.address: type_ for type_ in declared.types if type_.kind == "enum"}
    there = {type_.address: type_.values for type_ in actual.types}
    for file in reversed(migrations) if types else ():
        for statement in reversed(script_of(file).statements):
            renamed = rename_of(statement)
            if renamed is None or not renamed.is_value or renamed.owner is None or renamed.new_name is None:
                continue
            address = (renamed.schema or DEFAULT_SCHEMA, renamed.owner)
            enum, values = types.get(address), there.get(address, ())
            is_done = renamed.new_name in values and renamed.old_name not in values
            if enum is not None and renamed.old_name not in enum.values and not is_done:
                earlier = tuple(renamed.old_name if value == renamed.new_name else value for value in enum.values)
                types[address] = replace(enum, values=earlier)
    changed = tuple(types.get(type_.address, type_) for type_ in declared.types)
    return declared if changed == declared.types else replace(declared, types=changed, text=None)


def with_renamed_values(error: E, schema: Schema) -> E:
    """Return *error*; if a file has a value of an enum that a migration renames, with the name that it should have."""
    if error.server is None or error.sqlstate != _INVALID_VALUE:
        return error
    refused, advice = error.server.message, ""
    for file in schema.migrations:
        for renamed in filter(None, map(rename_of, script_of(file).statements)):
            if not renamed.is_value or renamed.owner is None or not mentions_name(refused, renamed.owner):
                continue
            old, new = renamed.old_name, renamed.later_name
            if _ends_with(refused, old):
                refused = refused.replace(old, new)  # a later migration may rename it again
                advice = f"{file.label} renames '{old}' to '{new}', so write '{new}' in {error.file or 'the schema'}"
            elif _ends_with(refused, new) and not advice:
                declaring = FileIndex((*schema.types, *schema.tables)).declaring(renamed.owner)
                place = declaring.label if declaring else "the declaration"
                advice = f"{file.label} renames '{old}' to '{new}', so write '{new}' instead of '{old}' in {place}"
    if advice:
        error.add_to_message(f"; {advice}")
    return error


def _ends_with(message: str, value: str) -> bool:
    """Return whether *message* names *value* at its end, in quotes of any language."""
    return re.search(rf"(?<!\w){re.escape(value)}\W*$", message) is not None


@remembered("ALTER")
def rename_of(statement: SqlStatement) -> Rename | None:
    """Return what an ``ALTER … RENAME`` or ``SET SCHEMA`` does; None for another statement."""
    if statement.words[:1] != ("ALTER",):
        return None
    cursor = Cursor.over(statement)
    cursor.take()
    for words, keyword in _ON_A_TABLE.items():
        if cursor.accept(words.lower()):
            return _on_a_table(cursor, keyword)
    for words, keyword in _KINDS.items():
        if cursor.accept(*words.lower().split()):
            return _of_kind(cursor, keyword)
    return None


def _of_kind(cursor: Cursor, keyword: sql.SQL) -> Rename | None:
    cursor.accept("if", "exists")
    cursor.accept("only")
    subject = cursor.name()
    cursor.accept("*")
    if subject is not None and keyword == _KINDS["SCHEMA"]:
        subject = subject._replace(schema=None)
    if subject is None:
        return None
    if cursor.accept("set", "schema"):
        return _moved(keyword, subject, cursor.identifier())
    if not cursor.accept("rename"):
        return None
    if cursor.accept("to"):
        return _renamed(keyword, subject, cursor.identifier())
    if cursor.accept("value"):
        return _value(subject, content_of(cursor.take()), cursor)
    return _member(keyword, subject, cursor)


def _on_a_table(cursor: Cursor, keyword: sql.SQL) -> Rename | None:
    cursor.accept("if", "exists")
    old = cursor.identifier()
    table = cursor.name() if cursor.accept("on") else None
    new = cursor.identifier() if cursor.accept("rename", "to") else None
    if old is None or table is None or new is None:
        return None
    inverse = sql.SQL("ALTER {} {} ON {} RENAME TO {}").format(
        keyword, sql.Identifier(new), _spelled(table), sql.Identifier(old)
    )
    return _a_member(table, old, new, inverse)


def _moved(keyword: sql.SQL, subject: ObjectName, schema: str | None) -> Rename | None:
    if schema is None:
        return None
    inverse = sql.SQL("ALTER {} {} SET SCHEMA {}").format(
        keyword, sql.Identifier(schema, subject.name), sql.Identifier(subject.schema or DEFAULT_SCHEMA)
    )
    return Rename(
        kind=keyword.as_string(),
        schema=subject.schema,
        old_name=subject.name,
        new_name=None,
        inverse=inverse,
        new_schema=schema,
    )


def _renamed(keyword: sql.SQL, subject: ObjectName, new: str | None) -> Rename | None:
    if new is None:
        return None
    inverse = sql.SQL("ALTER {} {} RENAME TO {}").format(
        keyword, _spelled(ObjectName(subject.schema, new)), sql.Identifier(subject.name)
    )
    return Rename(kind=keyword.as_string(), schema=subject.schema, old_name=subject.name, new_name=new, inverse=inverse)


def _value(subject: ObjectName, old: str | None, cursor: Cursor) -> Rename | None:
    new = content_of(cursor.take()) if cursor.accept("to") else None
    if old is None or new is None:
        return None
    inverse = sql.SQL("ALTER TYPE {} RENAME VALUE {} TO {}").format(
        _spelled(subject), sql.Literal(new), sql.Literal(old)
    )
    return replace(_a_member(subject, old, new, inverse), is_value=True)


def _member(keyword: sql.SQL, subject: ObjectName, cursor: Cursor) -> Rename | None:
    member = next((spelled for word, spelled in _MEMBERS.items() if cursor.accept(word)), _MEMBERS["column"])
    old = cursor.identifier()
    new = cursor.identifier() if cursor.accept("to") else None
    if old is None or new is None:
        return None
    inverse = sql.SQL("ALTER {} {} RENAME {} {} TO {}").format(
        keyword, _spelled(subject), member, sql.Identifier(new), sql.Identifier(old)
    )
    return replace(_a_member(subject, old, new, inverse), is_constraint=member == _MEMBERS["constraint"])


def _a_member(owner: ObjectName, old: str, new: str, inverse: sql.Composed) -> Rename:
    return Rename(kind=MEMBER, schema=owner.schema, old_name=old, new_name=new, inverse=inverse, owner=owner.name)


def _spelled(name: ObjectName) -> sql.Identifier:
    return sql.Identifier(*filter(None, name))
