"""Where one statement of a file ends and the next begins, and what must not stand between them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final

from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.source.lexer import line_of, matches

_LEADING_TOKENS: Final = 8  #: enough for CREATE OR REPLACE CONSTRAINT TRIGGER and a name
_RESTRICT: Final = re.compile(r"\\(?:un)?restrict[ \t]+[A-Za-z0-9]+[ \t]*")
_DIRECTIVE: Final = re.compile(r"--[ \t]*([A-Za-z-]+)[ \t]*:[ \t]*(.*)")
_TRANSACTION_WORDS: Final = frozenset({"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlStatement:
    """One SQL statement of a file."""

    text: str  #: from its first token to its last, without the semicolon; comments between them included
    start: int  #: offset of its first character in the file's text
    start_line: int  #: the line of that character, counted from 1
    words: tuple[str, ...]  #: its leading unquoted words in upper case, at most eight: ``("CREATE", "TABLE", "USERS")``

    @property
    def end(self) -> int:
        """Offset of the character after its last one."""
        return self.start + len(self.text)


def split(text: str, *, file: str | None = None) -> tuple[SqlStatement, ...]:
    r"""Cut *text* into its statements, where PostgreSQL would.

    Semicolons inside parentheses (``CREATE RULE … DO (a; b)``) and inside ``BEGIN ATOMIC … END`` do not separate. Lines
    with ``\restrict`` or ``\unrestrict``, which pg_dump writes for psql, are taken out.

    :param file: the label of the file, for the error
    :raises SchemaExtractionFailed: a string, quoted name or comment is not closed, or the text contains what only psql
        understands, or a ``COPY``
    """
    found: list[_Open] = []
    commands: list[tuple[int, str]] = []
    try:
        for statement in _statements(text, commands):
            if statement.words()[:1] == ("COPY",):
                _refuse_copy(statement, text)
            found.append(statement)
    except SchemaExtractionFailed as error:
        raise SchemaExtractionFailed(error.message, file=file) from None
    return tuple(_numbered(_blanked(text, commands), found))


def transaction_control(statement: SqlStatement) -> bool:
    """Say whether the statement begins, ends or marks a transaction: the deploy's own one must not be touched."""
    first, *others = statement.words or ("",)
    return first in _TRANSACTION_WORDS or (first == "PREPARE" and others[:1] == ["TRANSACTION"])


def directive(text: str, name: str) -> str | None:
    """The value of a line ``-- name: value`` among the comment lines at the top of a file; None without one."""
    top = takewhile(lambda line: line.startswith("--") or not line, (line.strip() for line in text.split("\n")))
    found = (match for line in top if (match := _DIRECTIVE.fullmatch(line)))
    return next((match[2] for match in found if match[1].lower() == name), None)


@dataclass(slots=True)
class _Open:
    """The statement that is being read: enough of it to know whether a semicolon ends it."""

    head: list[tuple[str, str]] = field(default_factory=list)  # kind and text of its first tokens
    start: int = 0
    end: int = 0
    parentheses: int = 0
    is_routine: bool = False  # CREATE FUNCTION or PROCEDURE, which may have a body of statements
    blocks: int = 0  # BEGIN ATOMIC, and each CASE within it, waiting for their END
    previous: str = ""

    def begin_with(self, kind: str, text: str, start: int) -> None:
        """Take one of the first tokens."""
        if not self.head:
            self.start = start
        self.head.append((kind, text))
        self.is_routine = (
            len(self.head) > 1
            and self.head[0][1].upper() == "CREATE"
            and any(text.upper() in {"FUNCTION", "PROCEDURE"} for _, text in self.head[1:4])
        )

    def follow(self, text: str) -> None:
        """Take a token of a routine that may open or close a block."""
        word = text.upper()
        if self.blocks and self.previous not in {"AS", "."}:  # after these it is a name
            self.blocks += (word == "CASE") - (word == "END")
        elif word == "ATOMIC" and self.previous == "BEGIN" and not self.parentheses:
            self.blocks = 1
        self.previous = word

    def words(self) -> tuple[str, ...]:
        return tuple(text.upper() for _, text in takewhile(lambda token: token[0] == "word", self.head))


def _blanked(text: str, commands: list[tuple[int, str]]) -> str:
    """*text* with spaces where the commands stand, so that every offset and line number stays."""
    pieces, position = [], 0
    for start, command in commands:
        pieces += [text[position:start], " " * len(command)]
        position = start + len(command)
    return "".join((*pieces, text[position:]))


def _statements(text: str, commands: list[tuple[int, str]]) -> Iterator[_Open]:
    """Find the statements; psql's harmless commands are added to *commands*. The inner loop runs once per token."""
    statement = _Open()
    for match in matches(text):
        kind = match.lastgroup or ""
        piece = match[kind]
        if kind == "meta":
            commands.append(_harmless(match.start(kind), piece, text))
            continue
        if kind == "mark":
            if piece == "(":
                statement.parentheses += 1
            elif piece == ")":
                statement.parentheses -= 1
            elif piece == ";" and statement.parentheses <= 0 and not statement.blocks:
                if statement.head:
                    yield statement
                statement = _Open()
                continue
        if len(statement.head) < _LEADING_TOKENS:
            statement.begin_with(kind, piece, match.start(kind))
        if statement.is_routine:
            statement.follow(piece)
        statement.end = match.end()
    if statement.head:
        yield statement


def _numbered(text: str, found: list[_Open]) -> Iterator[SqlStatement]:
    line, counted = 1, 0
    for statement in found:
        start = statement.start
        line += text.count("\n", counted, start)
        counted = start
        yield SqlStatement(text=text[start : statement.end], start=start, start_line=line, words=statement.words())


def _harmless(start: int, command: str, text: str) -> tuple[int, str]:
    before = text[text.rfind("\n", 0, start) + 1 : start]
    if _RESTRICT.fullmatch(command) and not before.strip():
        return start, command
    raise SchemaExtractionFailed(
        f"line {line_of(text, start)}: {command[:40]} is a command for psql and not SQL; take it out, "
        "only SQL reaches the server"
    )


def _refuse_copy(copy: _Open, text: str) -> None:
    raise SchemaExtractionFailed(
        f"line {line_of(text, copy.start)}: COPY reads from a client or from the server's files, and a schema has "
        "neither; write the rows as INSERT (pg_dump --inserts does)"
    )
