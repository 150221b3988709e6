"""Splits the text of a file into statements."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, wraps
from itertools import takewhile
from sys import intern
from typing import Final, TypeVar

from psycopg import sql

from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.model import DEFAULT_SCHEMA
from migrations_engine.schema import Homes
from migrations_engine.source.layout import printable
from migrations_engine.source.lexer import NAME_BYTES, line_breaks, line_of, pieces

_LEADING_TOKENS: Final = 8  #: enough for CREATE OR REPLACE CONSTRAINT TRIGGER and a name
_STATEMENTS_AT_MOST: Final = 500_000  #: of a schema; each takes about 300 bytes during the deploy
#: First words of a routine, which may have a body of statements.
_ROUTINES: Final = tuple(
    [*create, kind] for create in (["CREATE"], ["CREATE", "OR", "REPLACE"]) for kind in ("FUNCTION", "PROCEDURE")
)
_DIRECTIVE_AT_MOST: Final = 1000  #: characters of the line of a directive
_RESTRICT: Final = re.compile(r"\\(?:un)?restrict[ \t]+[A-Za-z0-9]+[ \t]*")
_DIRECTIVE: Final = re.compile(r"--[ \t]*([A-Za-z-]+)[ \t]*:[ \t]*(.*)")
_TRANSACTION_WORDS: Final = frozenset({"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE"})

#: In a search path, but not where applications have their objects.
_OTHER_SCHEMAS: Final = frozenset({"$user", "pg_catalog", "pg_temp", "information_schema"})

_REMEMBERED: Final = 2048  #: statements
_REMEMBERED_AT_MOST: Final = 200  #: characters of a statement

T = TypeVar("T")
_Place = tuple[int, int, tuple[str, ...]]  #: start and end of a statement, and its first words


@dataclass(frozen=True, slots=True)
class SearchPath:
    """The search path that a statement has set.

    :ivar homes: of objects of the application, as far as they are known
    """

    schemas: tuple[str, ...]
    homes: Homes

    @property
    def setting(self) -> str:
        """The statement that sets it for the transaction."""
        return f"set local search_path to {', '.join(sql.Identifier(schema).as_string() for schema in self.schemas)}"

    def schema_of(self, name: str) -> str | None:
        """Return the schema in which *name* is found or created; None for the default schema."""
        schemas = [schema for schema in self.schemas if schema not in _OTHER_SCHEMAS]
        schema = next((schema for schema in schemas if (schema, name) in self.homes), *schemas[:1])
        return schema if schema != DEFAULT_SCHEMA else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlStatement:
    """One SQL statement of a file."""

    text: str  #: from the first to the last token, with comments between them and without the semicolon
    start: int  #: offset of its first character in the file
    start_line: int  #: the line of that character, counted from 1
    words: tuple[str, ...]  #: its first unquoted words in upper case, at most eight: ``("CREATE", "TABLE", "USERS")``
    search_path: SearchPath | None = None  #: if an earlier statement of the file has set it

    @property
    def end(self) -> int:
        """Offset of the character after its last one."""
        return self.start + len(self.text)


def remembered(verb: str) -> Callable[[Callable[[SqlStatement], T]], Callable[[SqlStatement], T]]:
    """Cache the results of a function for short statements that begin with *verb*.

    A refused statement of a migration is compared with all that follow it, each time.
    """

    def decorate(read: Callable[[SqlStatement], T]) -> Callable[[SqlStatement], T]:
        known = lru_cache(maxsize=_REMEMBERED)(read)

        @wraps(read)
        def look_up(statement: SqlStatement) -> T:
            is_short = len(statement.text) <= _REMEMBERED_AT_MOST
            return known(statement) if is_short and statement.words[:1] == (verb,) else read(statement)

        return look_up

    return decorate


def split(text: str, *, file: str | None = None) -> tuple[SqlStatement, ...]:
    r"""Return the statements of *text*, split where PostgreSQL would.

    Semicolons inside parentheses (``CREATE RULE … DO (a; b)``) and inside ``BEGIN ATOMIC … END`` do not separate. Lines
    with ``\restrict`` or ``\unrestrict``, which pg_dump writes for psql, are taken out.

    :param file: the label of the file, for the error
    :raises SchemaExtractionFailed: a string, quoted name or comment is not closed, or the text contains a command of
        psql or a ``COPY``
    """
    found: list[_Place] = []
    commands: list[tuple[int, str]] = []
    try:
        for place in _places(text, commands):
            if place[2][:1] == ("COPY",):
                _refuse_copy(place[0], text)
            found.append(place)
            refuse_too_many(len(found), file)
    except SchemaExtractionFailed as error:
        if file is None or error.file is not None:
            raise
        raise SchemaExtractionFailed(f"{file}, {error.message}", file=file) from None
    return tuple(_numbered(_blanked(text, commands), found))


def refuse_too_many(statements: int, file: str | None) -> None:
    """Check the number of statements of one or more files.

    :raises SchemaExtractionFailed: there are more than a deploy should hold in memory
    """
    if statements > _STATEMENTS_AT_MOST:
        raise SchemaExtractionFailed(
            f"the schema has more than {_STATEMENTS_AT_MOST} statements; put many rows into one INSERT "
            "(pg_dump --rows-per-insert=1000 does)",
            file=file,
        )


def transaction_control(statement: SqlStatement) -> bool:
    """Return whether the statement begins or ends a transaction, or sets a savepoint, which a deploy does itself."""
    first, *others = statement.words or ("",)
    return first in _TRANSACTION_WORDS or (first == "PREPARE" and others[:1] == ["TRANSACTION"])


def directive(text: str, name: str) -> str | None:
    """Return the value of a line ``-- name: value`` in the comments at the top of a file, or None."""
    top = takewhile(lambda line: line.startswith("--") or not line, (line.strip() for line in _lines(text)))
    found = (match for line in top if (match := _DIRECTIVE.fullmatch(line)))
    return next((match[2] for match in found if match[1].lower() == name), None)


def _lines(text: str) -> Iterator[str]:
    """Yield the lines of *text*, each truncated after the maximum length of a directive."""
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield text[start : min(end, start + _DIRECTIVE_AT_MOST)]
        start = end + 1


@dataclass(slots=True)
class _Open:
    """The statement that is read, as far as it decides whether a semicolon ends it."""

    start: int = 0
    end: int = 0
    tokens: int = 0  # of its first tokens
    words: list[str] = field(default_factory=list)  # its first tokens up to the first that is no word
    parentheses: int = 0
    is_routine: bool = False
    blocks: int = 0  # the number of BEGIN ATOMIC and CASE without their END so far
    previous: str = ""

    def begin_with(self, kind: str, text: str, start: int) -> None:
        """Add one of the first tokens."""
        if not self.tokens:
            self.start = start
        if kind == "word" and len(self.words) == self.tokens:
            word = intern(text[: NAME_BYTES + 1].upper())
            self.words.append(word)
            self.is_routine = self.is_routine or self.words in _ROUTINES
        self.tokens += 1

    def follow(self, text: str) -> None:
        """Add a token of a routine that may open or close a block.

        ``CASE`` and ``END`` may also be names of columns. That does no harm: no CASE continues after a semicolon, and a
        body ends after one.
        """
        word = text[: NAME_BYTES + 1].upper()
        if self.blocks and word == ";" and self.parentheses <= 0:
            self.blocks = 1
        elif self.blocks and self.previous not in {"AS", "."}:  # after these words it is a name
            ends = word == "END" and (self.blocks > 1 or self.previous in {";", "ATOMIC"})
            self.blocks += (word == "CASE") - ends
        elif word == "ATOMIC" and self.previous == "BEGIN" and not self.parentheses:
            self.blocks = 1
        self.previous = word

    def place(self) -> _Place:
        return self.start, self.end, tuple(self.words)


def _blanked(text: str, commands: list[tuple[int, str]]) -> str:
    """Return *text* with spaces instead of the commands, so that offsets and line numbers stay the same."""
    pieces, position = [], 0
    for start, command in commands:
        pieces += [text[position:start], " " * len(command)]
        position = start + len(command)
    return "".join((*pieces, text[position:]))


def _places(text: str, commands: list[tuple[int, str]]) -> Iterator[_Place]:
    """Yield the places of statements, and add commands of psql that are ignored to *commands*."""
    statement = _Open()
    for kind, piece, start in pieces(text):
        if kind == "meta":
            commands.append(_harmless(start, piece, text))
            continue
        if kind == "mark":
            if piece == "(":
                statement.parentheses += 1
            elif piece == ")":
                statement.parentheses -= 1
            elif piece == ";" and statement.parentheses <= 0 and not statement.blocks:
                if statement.tokens:
                    yield statement.place()
                statement = _Open()
                continue
        if statement.tokens < _LEADING_TOKENS:
            statement.begin_with(kind, piece, start)
        if statement.is_routine:
            statement.follow(piece if kind in {"word", "symbol", "mark"} else "")
        statement.end = start + len(piece)
    if statement.tokens:
        yield statement.place()


def _numbered(text: str, found: list[_Place]) -> Iterator[SqlStatement]:
    line, counted = 1, 0
    for start, end, words in found:
        line += line_breaks(text, counted, start)
        counted = start
        yield SqlStatement(text=text[start:end], start=start, start_line=line, words=words)


def _harmless(start: int, command: str, text: str) -> tuple[int, str]:
    before = text[text.rfind("\n", 0, start) + 1 : start]
    if _RESTRICT.fullmatch(command) and not before.strip():
        return start, command
    raise SchemaExtractionFailed(
        f"line {line_of(text, start)}: {printable(command[:40])} is a command for psql and not SQL; take it out, "
        "only SQL reaches the server"
    )


def _refuse_copy(start: int, text: str) -> None:
    raise SchemaExtractionFailed(
        f"line {line_of(text, start)}: COPY is not accepted, because only SQL text is sent to the server; "
        "write the rows as INSERT (pg_dump --inserts does)"
    )
