"""Parses ``INSERT``: its table, its columns, and the query for its rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from typing import Final

from migrations_engine.source.lexer import Kind, Token, tokens
from migrations_engine.source.names import ObjectName, insert_target
from migrations_engine.source.statements import SqlStatement

#: Functions that return times or UUIDs, or are immutable.
_STEADY: Final = frozenset({"NOW", "GEN_RANDOM_UUID", "UUID_GENERATE_V4", "UUIDV4", "UUIDV7", "CLOCK_TIMESTAMP"}) | {
    *("STATEMENT_TIMESTAMP", "TRANSACTION_TIMESTAMP", "CURRENT_TIMESTAMP", "LOCALTIMESTAMP"),
    *("NUMERIC", "LOWER", "UPPER", "ROW", "COALESCE"),
}
_WRITING: Final = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE"})
#: Words after the lists of VALUES.
_CLAUSES: Final = frozenset({"ORDER", "LIMIT", "OFFSET", "FETCH", "UNION", "INTERSECT", "EXCEPT"})
_CLOCK_WORDS: Final = frozenset({"CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP"})
_NO_FUNCTIONS: Final = frozenset({"VALUES", "IN"})
_END: Final = Token(Kind.OTHER, "", 0)  #: after the last token

_Pairs = Iterator[tuple[Token, Token]]  #: each token with the next one


@dataclass(frozen=True, slots=True, kw_only=True)
class Insert:
    """The parts of an INSERT statement that define its rows."""

    statement: SqlStatement
    target: ObjectName
    columns: tuple[str, ...] | None  #: its column list, folded; None if it has none
    before: str  #: the WITH clause before INSERT
    source: str  #: the query for the rows: ``VALUES …`` or ``SELECT …``, with NULL instead of DEFAULT
    filling: str  #: the statement up to the end of the query, without ON CONFLICT and RETURNING
    is_values: bool  #: the query is ``VALUES …`` alone
    has_defaults: bool  #: a value is ``DEFAULT``
    computes: bool  #: its values depend on functions or the time, and may differ from run to run
    varies: bool  #: some of them in more than times and UUIDs: ``random()``, ``crypt(…)``
    writes: bool  #: its WITH clause changes tables, so that its query cannot run alone


def insert_of(statement: SqlStatement) -> Insert | None:
    """Return the parts of an INSERT; None for other statements and for ``INSERT … DEFAULT VALUES``."""
    target = insert_target(statement)
    if target is None:
        return None
    pairs: _Pairs = pairwise(chain(tokens(statement.text), (_END,)))
    start, writes = _find_insert(pairs)
    first = _skip_target(pairs, has_columns=target.columns is not None)
    if _word(first) == "OVERRIDING":
        first = [following for _, (_, following) in zip(range(3), pairs, strict=False)][-1]
    if _word(first) in {"", "DEFAULT"}:
        return None
    query = _Query(statement.text, first)
    query.read(pairs)
    return Insert(
        statement=statement,
        target=target.table,
        columns=target.columns,
        before=statement.text[:start],
        source=query.source(),
        filling=query.text_before_end(),
        is_values=_word(first) == "VALUES" and not query.has_clauses,
        has_defaults=query.has_defaults,
        computes=query.computes,
        varies=query.varies,
        writes=writes,
    )


def single_rows(insert: Insert) -> Iterator[Insert]:
    """Return an INSERT of plain values as one statement for each row."""
    head = insert.filling
    depth, start, position = 0, 0, 0
    values = False
    for token in tokens(insert.filling):
        depth += _depth(token)
        if _word(token) == "VALUES" and not depth and not values:
            values, head = True, insert.filling[: token.end]
        elif values and token.text == "(" and depth == 1:
            start = token.start
        elif values and token.text == ")" and not depth:
            position = token.end
            statement = replace(insert.statement, text=f"{head} {insert.filling[start:position]}")
            row = insert_of(statement)
            if row is not None:
                yield row


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertWithoutColumns:
    """An ``INSERT … VALUES`` without a column list."""

    table: ObjectName
    count: int  #: of the values of its first row
    offset: int  #: of the place for a column list


def insert_without_columns(statement: SqlStatement) -> InsertWithoutColumns | None:
    """Return the table and the number of values of an ``INSERT … VALUES`` without a column list; None for others."""
    target = insert_target(statement)
    if target is None or target.columns is not None:
        return None
    pairs: _Pairs = pairwise(chain(tokens(statement.text), (_END,)))
    _find_insert(pairs)
    first = following = _skip_target(pairs, has_columns=False)
    if _word(first) == "OVERRIDING":
        following = [token for _, (_, token) in zip(range(3), pairs, strict=False)][-1]
    if _word(following) != "VALUES":
        return None
    depth, count = 0, 1
    for token, _ in pairs:
        depth += _depth(token)
        count += depth == 1 and token.text == ","
        if not depth and token.text == ")":
            break
    return InsertWithoutColumns(table=target.table, count=count, offset=first.start)


class _Query:
    """The query of an INSERT, read token by token, because a statement may have millions."""

    def __init__(self, text: str, first: Token) -> None:
        self._text = text
        self._first = first
        self._kept: list[str] = []  # the text so far, with NULL instead of DEFAULT, which only INSERT allows
        self._position = first.start
        self._end = first.end
        self.has_clauses = self.has_defaults = self.computes = self.varies = False

    def read(self, pairs: _Pairs) -> None:
        """Read to the end of the query, before ``RETURNING`` or ``ON CONFLICT``."""
        depth = 0
        for token, following in pairs:
            kind = token.kind
            if kind is Kind.SYMBOL:
                depth += _depth(token)
            elif kind is Kind.WORD or kind is Kind.QUOTED:
                word = _word(token)
                if not depth and (word == "RETURNING" or (word == "ON" and _word(following) == "CONFLICT")):
                    return
                self._note(token, word, following)
                if word in _CLAUSES and not depth and token is not self._first:
                    self.has_clauses = True
            self._end = token.end

    def _note(self, token: Token, word: str, following: Token) -> None:
        if word == "DEFAULT":
            self._kept += [self._text[self._position : token.start], "NULL"]
            self._position = token.end
            self.has_defaults = True
        elif word in _CLOCK_WORDS:
            self.computes = True
        if following.text == "(" and word not in _NO_FUNCTIONS:
            self.computes = True
            self.varies = self.varies or word not in _STEADY

    def source(self) -> str:
        return "".join([*self._kept, self._text[self._position : self._end]])

    def text_before_end(self) -> str:
        return self._text[: self._end]


def _find_insert(pairs: _Pairs) -> tuple[int, bool]:
    """Return the offset of INSERT, and whether the WITH clause before it writes to tables."""
    depth, writes = 0, False
    for token, _ in pairs:
        word = _word(token)
        if word == "INSERT" and not depth:
            return token.start, writes
        writes = writes or word in _WRITING
        depth += _depth(token)
    raise AssertionError


def _skip_target(pairs: _Pairs, *, has_columns: bool) -> Token:
    """Skip ``INTO name AS alias (columns)`` and return the next token."""
    next(pairs)
    _, following = next(pairs)
    while following.text == ".":
        next(pairs)
        _, following = next(pairs)
    if _word(following) == "AS":
        next(pairs)
        _, following = next(pairs)
    depth = 0
    for token, after in pairs if has_columns else ():
        depth += _depth(token)
        following = after
        if not depth:
            break
    return following


def _word(token: Token) -> str:
    return token.text.upper() if token.kind is Kind.WORD else ""


def _depth(token: Token) -> int:
    return (token.text in "([") - (token.text in ")]") if token.kind is Kind.SYMBOL else 0
