"""What a statement says it makes, changes, removes or fills: names alone, read from its tokens, never looked up."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from migrations_engine.source.lexer import Kind, Token, content_of, name_of, tokens
from migrations_engine.source.statements import Statement


class QualifiedName(NamedTuple):
    """A name as a statement gives it, folded as PostgreSQL folds it; *schema* is None when it is not qualified."""

    schema: str | None
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedObject:
    """An object that a ``CREATE`` makes or a ``DROP`` removes."""

    kind: str  #: as the statement spells it, in upper case: ``TABLE``, ``MATERIALIZED VIEW``, ``FUNCTION``
    schema: str | None = None
    name: str | None  #: None for an index or statistics object that PostgreSQL shall name
    table: QualifiedName | None = None  #: of an index, trigger, policy or rule


@dataclass(frozen=True, slots=True, kw_only=True)
class TableAction:
    """One of the actions of an ``ALTER TABLE``."""

    kind: str  #: one of the keys of ``_ACTIONS``, ``ADD COLUMN``, ``ADD CONSTRAINT``, ``RENAME TO``, or ``OTHER``
    name: str | None = None  #: the column or constraint; None for a constraint that PostgreSQL shall name
    new_name: str | None = None  #: after a RENAME or SET SCHEMA
    text: str  #: exactly as the statement has it


@dataclass(frozen=True, slots=True, kw_only=True)
class TableAlteration:
    """An ``ALTER TABLE``, action by action."""

    table: QualifiedName
    only: bool = False
    if_exists: bool = False
    actions: tuple[TableAction, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertTarget:
    """The table an ``INSERT`` fills."""

    table: QualifiedName
    columns: tuple[str, ...] | None = None  #: None when the statement lists none


class Cursor:
    """A place in the tokens of a statement; reads no further ahead than it is asked to."""

    def __init__(self, text: str) -> None:
        self._rest: Iterator[Token] = tokens(text)
        self._ahead: deque[Token] = deque()

    def peek(self, offset: int = 0) -> Token | None:
        """The token *offset* places ahead; None after the last."""
        while len(self._ahead) <= offset:
            token = next(self._rest, None)
            if token is None:
                return None
            self._ahead.append(token)
        return self._ahead[offset]

    def take(self) -> Token | None:
        """Step over one token and give it."""
        token = self.peek()
        if token is not None:
            self._ahead.popleft()
        return token

    def sees(self, *words: str) -> bool:
        """Say whether exactly these keywords or symbols come next."""
        return all(self._is(self.peek(offset), word) for offset, word in enumerate(words))

    def accept(self, *words: str) -> bool:
        """Step over these keywords or symbols if they come next, and say whether they did."""
        if not self.sees(*words):
            return False
        for _ in words:
            self._ahead.popleft()
        return True

    def identifier(self) -> str | None:
        """Step over one name and give it as PostgreSQL folds it; None when something else comes next."""
        token = self.peek()
        if token is None or token.kind not in {Kind.WORD, Kind.QUOTED}:
            return None
        self.take()
        escape = "\\"
        if token.kind is Kind.QUOTED and token.text[0] != '"' and self.accept("UESCAPE"):
            following = self.take()
            escape = (following and content_of(following.text)) or escape
        return name_of(token.text, escape)

    def name(self) -> QualifiedName | None:
        """Step over a name with or without its schema (and database) and give it."""
        parts = [self.identifier()]
        while parts[-1] is not None and self.accept("."):
            parts.append(self.identifier())
        if parts[-1] is None:
            return None
        return QualifiedName(parts[-2] if len(parts) > 1 else None, parts[-1])

    def skip_parentheses(self) -> None:
        """Step over a parenthesis and all within it, if one comes next."""
        if not self.sees("("):
            return
        depth = 0
        while (token := self.take()) is not None:
            depth += (token.text == "(") - (token.text == ")")
            if not depth:
                return

    def skip_to(self, *words: str) -> bool:
        """Step over everything up to and including the first of these keywords outside parentheses."""
        while self.peek() is not None:
            if any(self.accept(word) for word in words):
                return True
            if self.sees("("):
                self.skip_parentheses()
            else:
                self.take()
        return False

    @staticmethod
    def _is(token: Token | None, word: str) -> bool:
        return token is not None and token.kind in {Kind.WORD, Kind.SYMBOL} and token.text.upper() == word


_MODIFIERS: Final = (
    ("OR", "REPLACE"),
    ("GLOBAL",),
    ("LOCAL",),
    ("TEMP",),
    ("TEMPORARY",),
    ("UNLOGGED",),
    ("UNIQUE",),
    ("RECURSIVE",),
    ("CONSTRAINT",),
    ("TRUSTED",),
    ("PROCEDURAL",),
    ("DEFAULT",),
)
#: The kinds with a plain name, the longer before the shorter.
_KIND_NAMES: Final = (
    "MATERIALIZED VIEW|FOREIGN TABLE|FOREIGN DATA WRAPPER|EVENT TRIGGER|TEXT SEARCH CONFIGURATION|"
    "TEXT SEARCH DICTIONARY|TEXT SEARCH PARSER|TEXT SEARCH TEMPLATE|ACCESS METHOD|OPERATOR CLASS|OPERATOR FAMILY|"
    "TABLE|INDEX|VIEW|TYPE|DOMAIN|SEQUENCE|TRIGGER|SCHEMA|EXTENSION|FUNCTION|PROCEDURE|ROUTINE|AGGREGATE|POLICY|"
    "RULE|COLLATION|STATISTICS|PUBLICATION|SUBSCRIPTION|SERVER|LANGUAGE|ROLE|DATABASE|CONVERSION|TABLESPACE"
)
_KINDS: Final = tuple(tuple(kind.split()) for kind in _KIND_NAMES.split("|"))
_QUERY_STARTS: Final = (("SELECT",), ("WITH",), ("VALUES", "("), ("TABLE",), ("(",))
_NAMELESS: Final = {"INDEX", "STATISTICS"}
_ON_A_TABLE: Final = {"INDEX": "ON", "TRIGGER": "ON", "POLICY": "ON", "RULE": "TO"}


def created_name(statement: Statement) -> NamedObject | None:
    """The object that a ``CREATE`` makes; None for another statement, or a kind without a plain name (a cast)."""
    cursor = Cursor(statement.text)
    if not cursor.accept("CREATE"):
        return None
    while any(cursor.accept(*modifier) for modifier in _MODIFIERS):
        pass
    kind = _kind(cursor)
    if kind is None:
        return None
    if kind == "INDEX":
        cursor.accept("CONCURRENTLY")
    cursor.accept("IF", "NOT", "EXISTS")
    if kind == "SCHEMA":
        cursor.accept("AUTHORIZATION")
    named = None if kind in _NAMELESS and cursor.sees("ON") else cursor.name()
    if named is None and kind not in _NAMELESS:
        return None
    return _object(kind, named, _table_of(cursor, kind))


def dropped_names(statement: Statement) -> tuple[NamedObject, ...]:
    """The objects that a ``DROP`` removes; empty for another statement."""
    cursor = Cursor(statement.text)
    if not cursor.accept("DROP"):
        return ()
    kind = _kind(cursor)
    if kind is None:
        return ()
    cursor.accept("CONCURRENTLY")
    cursor.accept("IF", "EXISTS")
    found = []
    while (named := cursor.name()) is not None:
        cursor.skip_parentheses()  # a function's argument types
        table = cursor.name() if kind in _ON_A_TABLE and cursor.accept("ON") else None
        found.append(_object(kind, named, table))
        if not cursor.accept(","):
            break
    return tuple(found)


def insert_target(statement: Statement) -> InsertTarget | None:
    """The table that an ``INSERT`` fills, also when it begins with ``WITH``; None for another statement."""
    cursor = Cursor(statement.text)
    if cursor.accept("WITH") and not _skip_common_tables(cursor):
        return None
    if not cursor.accept("INSERT", "INTO"):
        return None
    table = cursor.name()
    if table is None:
        return None
    if cursor.accept("AS"):
        cursor.identifier()
    return InsertTarget(table=table, columns=_column_list(cursor))


def _skip_common_tables(cursor: Cursor) -> bool:
    while cursor.peek() is not None and not cursor.sees("INSERT", "INTO"):
        if cursor.sees("("):
            cursor.skip_parentheses()
        else:
            cursor.take()
    return cursor.peek() is not None


def _column_list(cursor: Cursor) -> tuple[str, ...] | None:
    """The columns in parentheses; None when none are listed, or the parenthesis holds a query."""
    if not cursor.accept("(") or any(cursor.sees(*words) for words in _QUERY_STARTS):
        return None
    columns = []
    while (column := cursor.identifier()) is not None:
        columns.append(column)
        while not (cursor.sees(",") or cursor.sees(")")):  # a field or an element: location.x, tags[1]
            if cursor.take() is None:
                return None
        if not cursor.accept(","):
            break
    return tuple(columns)


def _kind(cursor: Cursor) -> str | None:
    return next((" ".join(words) for words in _KINDS if cursor.accept(*words)), None)


def _object(kind: str, named: QualifiedName | None, table: QualifiedName | None) -> NamedObject:
    if named is None:
        return NamedObject(kind=kind, name=None, table=table)
    return NamedObject(kind=kind, schema=named.schema, name=named.name, table=table)


def _table_of(cursor: Cursor, kind: str) -> QualifiedName | None:
    if kind not in _ON_A_TABLE or not cursor.skip_to(_ON_A_TABLE[kind]):
        return None
    cursor.accept("ONLY")
    return cursor.name()
