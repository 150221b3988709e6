"""Finds the names of objects that a statement creates, changes, drops or fills, in its tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from migrations_engine.model import DEFAULT_SCHEMA
from migrations_engine.source.lexer import content_of, folded_tokens, name_of
from migrations_engine.source.statements import SearchPath, SqlStatement, remembered

_READ_AHEAD: Final = 32  #: tokens; most statements need fewer, and an INSERT may have a million


class ObjectName(NamedTuple):
    """A name in a statement, folded as PostgreSQL folds it; *schema* is None if nothing says which it is."""

    schema: str | None
    name: str

    @property
    def address(self) -> tuple[str, str]:
        """The schema and the name; the default schema if nothing says which it is."""
        return (self.schema or DEFAULT_SCHEMA, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedObject:
    """An object that a ``CREATE`` creates or a ``DROP`` drops."""

    kind: str  #: as in the statement, in upper case: ``TABLE``, ``MATERIALIZED VIEW``, ``FUNCTION``
    schema: str | None = None
    name: str | None  #: None for an index or statistics object without a name
    table: ObjectName | None = None  #: of an index, trigger, policy or rule

    @property
    def address(self) -> tuple[str, str | None]:
        """The schema and the name; the default schema if nothing says which it is."""
        return (self.schema or DEFAULT_SCHEMA, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableAction:
    """One of the actions of an ``ALTER TABLE``."""

    kind: str  #: one of the keys of ``_ACTIONS``, ``ADD COLUMN``, ``ADD CONSTRAINT``, ``RENAME TO``, or ``OTHER``
    name: str | None = None  #: the column or constraint; None for a constraint without a name
    new_name: str | None = None  #: after a RENAME or SET SCHEMA
    text: str  #: exactly as in the statement

    def begins_with(self, *phrases: str) -> bool:
        """Return whether one of *phrases* in lower case comes first, or after the column or constraint of the action.

        ``set default`` is first in ``ALTER COLUMN a SET DEFAULT 1``, ``not null`` in ``ADD CONSTRAINT c NOT NULL b``.
        """
        cursor = Cursor(self.text)
        if self.kind in ("ALTER COLUMN", "ADD CONSTRAINT"):
            cursor.take()
            if cursor.accept(self.kind.rpartition(" ")[2].lower()) or self.kind == "ALTER COLUMN":
                cursor.identifier()
        return any(cursor.sees(*phrase.split()) for phrase in phrases)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableAlteration:
    """An ``ALTER TABLE`` with its actions."""

    table: ObjectName
    only: bool = False
    if_exists: bool = False
    head: str  #: the statement up to its first action, without comments
    actions: tuple[TableAction, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertTarget:
    """The table that an ``INSERT`` fills."""

    table: ObjectName
    columns: tuple[str, ...] | None = None  #: None if the statement lists none


class Cursor:
    """A position in the tokens of a statement, with keywords and unquoted names in lower case.

    :param search_path: for names that are not qualified
    """

    def __init__(self, text: str, search_path: SearchPath | None = None) -> None:
        self._search_path = search_path
        self._rest: Iterator[str] = folded_tokens(text)
        self._read: list[str] = []
        self.position = 0  #: number of tokens before it

    @classmethod
    def over(cls, statement: SqlStatement) -> Cursor:
        """Return the position before *statement*."""
        return cls(statement.text, statement.search_path)

    def peek(self, offset: int = 0) -> str:
        """Return the token *offset* places ahead; an empty string after the last."""
        place = self.position + offset
        while len(self._read) <= place:
            more = list(islice(self._rest, _READ_AHEAD))
            if not more:
                return ""
            self._read += more
        return self._read[place]

    def take(self) -> str:
        """Skip one token and return it; an empty string after the last."""
        token = self.peek()
        self.position += bool(token)
        return token

    def sees(self, *words: str) -> bool:
        """Return whether these keywords or symbols, in lower case, come next."""
        return all(self.peek(offset) == word for offset, word in enumerate(words))

    def accept(self, *words: str) -> bool:
        """Skip these keywords or symbols, in lower case, if they come next. Return whether they did."""
        if self.peek() != words[0] or not self.sees(*words):
            return False
        self.position += len(words)
        return True

    def identifier(self) -> str | None:
        """Skip a name and return it as PostgreSQL folds it; None if the next token is no name."""
        token = self.peek()
        if not token or name_of(token) is None:
            return None
        self.take()
        if token[0] in "uU" and token[-1] == '"' and self.accept("uescape"):
            return name_of(token, content_of(self.take() or " ") or "\\")
        return name_of(token)

    def name(self) -> ObjectName | None:
        """Skip a name with or without its schema (and database) and return it, with the schema if that is known."""
        parts = [self.identifier()]
        while parts[-1] is not None and self.accept("."):
            parts.append(self.identifier())
        if parts[-1] is None:
            return None
        if len(parts) > 1:
            return ObjectName(parts[-2], parts[-1])
        return ObjectName(self._search_path.schema_of(parts[-1]) if self._search_path else None, parts[-1])

    def skip_parentheses(self) -> None:
        """Skip the parenthesis that comes next, with all in it, if there is one."""
        depth = 0
        while self.sees("(") or (depth and self.peek()):
            piece = self.take()
            depth += (piece == "(") - (piece == ")")
            if not depth:
                return

    def skip_to(self, word: str) -> bool:
        """Skip everything up to and including the first *word* outside parentheses. Return False if there is none."""
        while self.peek():
            if self.accept(word):
                return True
            if self.sees("("):
                self.skip_parentheses()
            else:
                self.take()
        return False


#: The words between CREATE and the kind.
_MODIFIERS: Final = frozenset({"or", "replace", "global", "local", "temp", "temporary", "unlogged", "unique"}) | {
    *("recursive", "constraint", "trusted", "procedural", "default")
}
#: The kinds with a plain name, longer ones first.
_KIND_NAMES: Final = (
    "MATERIALIZED VIEW|FOREIGN TABLE|FOREIGN DATA WRAPPER|EVENT TRIGGER|TEXT SEARCH CONFIGURATION|"
    "TEXT SEARCH DICTIONARY|TEXT SEARCH PARSER|TEXT SEARCH TEMPLATE|ACCESS METHOD|OPERATOR CLASS|OPERATOR FAMILY|"
    "TABLE|INDEX|VIEW|TYPE|DOMAIN|SEQUENCE|TRIGGER|SCHEMA|EXTENSION|FUNCTION|PROCEDURE|ROUTINE|AGGREGATE|POLICY|"
    "RULE|COLLATION|STATISTICS|PUBLICATION|SUBSCRIPTION|SERVER|LANGUAGE|ROLE|DATABASE|CONVERSION|TABLESPACE"
)
_KINDS: Final = {kind: tuple(kind.lower().split()) for kind in _KIND_NAMES.split("|")}
_OUTSIDE_SCHEMAS: Final = frozenset(
    {
        *("SCHEMA", "EXTENSION", "FOREIGN DATA WRAPPER", "EVENT TRIGGER", "ACCESS METHOD", "PUBLICATION"),
        *("SUBSCRIPTION", "SERVER", "LANGUAGE", "ROLE", "DATABASE", "TABLESPACE"),
    }
)
_QUERY_STARTS: Final = (("select",), ("with",), ("values", "("), ("table",), ("(",))
_NAMELESS: Final = {"INDEX", "STATISTICS"}
#: The kinds of :func:`created_name` that can be called.
ROUTINE_KINDS: Final = frozenset({"FUNCTION", "PROCEDURE", "AGGREGATE"})
_ON_A_TABLE: Final = {"INDEX": "on", "TRIGGER": "on", "POLICY": "on", "RULE": "to"}


def created_name(statement: SqlStatement) -> NamedObject | None:
    """Return the object of a ``CREATE``; None for another statement, or a kind without a plain name (a cast)."""
    if statement.words[:1] != ("CREATE",):
        return None
    cursor = Cursor.over(statement)
    cursor.take()
    while cursor.peek() in _MODIFIERS:
        cursor.take()
    kind = _kind(cursor)
    if kind is None:
        return None
    if kind == "INDEX":
        cursor.accept("concurrently")
    cursor.accept("if", "not", "exists")
    if kind == "SCHEMA":
        cursor.accept("authorization")
    named = None if kind in _NAMELESS and cursor.sees("on") else cursor.name()
    if named is None and kind not in _NAMELESS:
        return None
    return _object(kind, named, _table_of(cursor, kind))


def nameless_object(statement: SqlStatement) -> str | None:
    """Return the folded text of a ``CREATE`` whose object has no plain name, such as a cast or operator; else None."""
    if statement.words[:1] != ("CREATE",) or created_name(statement) is not None:
        return None
    return " ".join(folded_tokens(statement.text))


@remembered("DROP")
def dropped_names(statement: SqlStatement) -> tuple[NamedObject, ...]:
    """Return the objects of a ``DROP``; empty for another statement."""
    if statement.words[:1] != ("DROP",):
        return ()
    cursor = Cursor.over(statement)
    cursor.take()
    kind = _kind(cursor)
    if kind is None:
        return ()
    cursor.accept("concurrently")
    cursor.accept("if", "exists")
    found = []
    while (named := cursor.name()) is not None:
        cursor.skip_parentheses()  # a function's argument types
        table = cursor.name() if kind in _ON_A_TABLE and cursor.accept("on") else None
        found.append(_object(kind, named, table))
        if not cursor.accept(","):
            break
    return tuple(found)


def insert_target(statement: SqlStatement) -> InsertTarget | None:
    """Return the table of an ``INSERT``, also if it starts with ``WITH``; None for another statement."""
    if statement.words[:1] not in {("INSERT",), ("WITH",)}:
        return None
    cursor = Cursor.over(statement)
    if cursor.accept("with") and not _skip_common_tables(cursor):
        return None
    if not cursor.accept("insert", "into"):
        return None
    table = cursor.name()
    if table is None:
        return None
    if cursor.accept("as"):
        cursor.identifier()
    return InsertTarget(table=table, columns=_column_list(cursor))


def _skip_common_tables(cursor: Cursor) -> bool:
    while cursor.peek() and not cursor.sees("insert", "into"):
        if cursor.sees("("):
            cursor.skip_parentheses()
        else:
            cursor.take()
    return bool(cursor.peek())


def _column_list(cursor: Cursor) -> tuple[str, ...] | None:
    """Return the columns in parentheses; None if none are listed, or the parentheses contain a query."""
    if not cursor.accept("(") or any(cursor.sees(*words) for words in _QUERY_STARTS):
        return None
    columns = []
    while (column := cursor.identifier()) is not None:
        columns.append(column)
        while not (cursor.sees(",") or cursor.sees(")")):  # a field or an element: location.x, tags[1]
            if not cursor.take():
                return None
        if not cursor.accept(","):
            break
    return tuple(columns)


def _kind(cursor: Cursor) -> str | None:
    first = cursor.peek()
    return next((kind for kind, words in _KINDS.items() if words[0] == first and cursor.accept(*words)), None)


def _object(kind: str, named: ObjectName | None, table: ObjectName | None) -> NamedObject:
    if named is None:
        return NamedObject(kind=kind, name=None, table=table)
    schema = named.schema if table is None and kind not in _OUTSIDE_SCHEMAS else None
    return NamedObject(kind=kind, schema=schema, name=named.name, table=table)


def _table_of(cursor: Cursor, kind: str) -> ObjectName | None:
    if kind not in _ON_A_TABLE or not cursor.skip_to(_ON_A_TABLE[kind]):
        return None
    cursor.accept("only")
    return cursor.name()
