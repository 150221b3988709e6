"""The contents of a schema file, split once: its statements, the text that is sent, and its folded checksum."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import psycopg

from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.schema import Homes, SchemaFile, once_per_file
from migrations_engine.source.checksum import folded_checksum
from migrations_engine.source.created_as import select_into_as_create
from migrations_engine.source.lexer import line_breaks, occurs
from migrations_engine.source.names import NamedObject, created_name
from migrations_engine.source.path_settings import with_search_paths
from migrations_engine.source.statements import SqlStatement, split, transaction_control

_BEGIN_AND_END: Final = frozenset({"BEGIN", "START", "COMMIT", "END"})
#: pg_dump 10 and older comment on it, which only its owner may do, a superuser; every server has that comment.
_ON_PLPGSQL: Final = ("COMMENT", "ON", "EXTENSION", "PLPGSQL")
_SEPARATOR: Final = ";\n"  #: between the statements of a file that runs whole
_PARTS_AT_MOST: Final = 2000
_REPEATED_AT_MOST: Final = 2**20  #: characters of settings, in all files that one is split into
_SETTINGS: Final = {("SET",), ("RESET",)}
_SETTING_FUNCTION: Final = re.compile("set_config", re.IGNORECASE)
_REPLACEABLE: Final = {("FUNCTION",), ("PROCEDURE",), ("AGGREGATE",), ("TRIGGER",), ("VIEW",), ("RULE",)}


@dataclass(frozen=True, kw_only=True)
class Script:
    """The statements of a schema file."""

    label: str
    text: str
    lines: tuple[int, ...] = ()  #: of its statements, if it is a part of a file
    homes: Homes = frozenset()

    @cached_property
    def statements(self) -> tuple[SqlStatement, ...]:
        """The statements of the file without ``BEGIN`` and ``COMMIT``, as a deploy is one transaction.

        The comment on the extension ``plpgsql`` is left out, too.

        :raises SchemaExtractionFailed: a statement would end or roll back the deploy's transaction
        """
        kept = []
        for statement in split(self.text, file=self.label):
            if statement.words[:4] == _ON_PLPGSQL:
                continue
            if not transaction_control(statement):
                kept.append(select_into_as_create(statement))
            elif statement.words[0] not in _BEGIN_AND_END or "PREPARED" in statement.words:
                raise SchemaExtractionFailed(
                    f"{self.label}, line {statement.start_line}: {' '.join(statement.words[:2])} cannot be used, "
                    "because a deploy is one transaction; remove the statement",
                    file=self.label,
                )
        if self.lines:
            kept = [replace(one, start_line=line) for one, line in zip(kept, self.lines, strict=True)]
        return tuple(with_search_paths(kept, self.homes))

    @cached_property
    def body(self) -> bytes:
        """The text that is sent to the server when the file runs whole."""
        return _body_of(self.statements)

    @cached_property
    def replacing_body(self) -> bytes:
        """The same text, with ``OR REPLACE`` added where it is allowed."""
        return _body_of(self.replacing_statements)

    @cached_property
    def replacing_statements(self) -> tuple[SqlStatement, ...]:
        """The statements of :attr:`replacing_body`."""
        return tuple(replace(statement, text=replacing_text(statement)) for statement in self.statements)

    @cached_property
    def checksum(self) -> str:
        return folded_checksum(self.text)

    @cached_property
    def changes_settings(self) -> bool:
        sets = any(s.words and s.words[0] in {"SET", "RESET", "DISCARD"} for s in self.statements)
        return sets or occurs(_SETTING_FUNCTION, self.text)

    @cached_property
    def created(self) -> tuple[NamedObject, ...]:
        """The objects that its CREATE statements name."""
        return tuple(made for statement in self.statements if (made := created_name(statement)) is not None)


def statement_files(file: SchemaFile) -> tuple[SchemaFile, ...]:
    """Return each statement of *file* as a file, with the settings before it. A very long file is returned whole."""
    if len(script_of(file).statements) > _PARTS_AT_MOST:
        return (file,)
    return files_of(file, lambda _: True)


def files_of(file: SchemaFile, is_wanted: Callable[[SqlStatement], bool]) -> tuple[SchemaFile, ...]:
    """Return each wanted statement of *file* as a file, with the settings before it.

    If there are too many settings to repeat them for each statement, return one file with all of these.
    """
    settings: list[SqlStatement] = []
    wanted: list[tuple[int, SqlStatement]] = []  # the number of settings before each statement
    for statement in script_of(file).statements:
        if is_setting(statement):
            settings.append(statement)
        elif is_wanted(statement):
            wanted.append((len(settings), statement))
    if sum(len(setting.text) for setting in settings) * len(wanted) > _REPEATED_AT_MOST:
        both = sorted([*settings, *(statement for _, statement in wanted)], key=lambda statement: statement.start)
        return (part_of(file, both),)
    return tuple(part_of(file, (*settings[:before], statement)) for before, statement in wanted)


def is_setting(statement: SqlStatement) -> bool:
    """Return whether the statement is SET or RESET."""
    return statement.words[:1] in _SETTINGS


def _body_of(statements: Iterable[SqlStatement]) -> bytes:
    """Return the text that is sent to the server for *statements*."""
    return _SEPARATOR.join(statement.text for statement in statements).encode()


def replacing_text(statement: SqlStatement) -> str:
    """Return the text of *statement*, with OR REPLACE if it creates what PostgreSQL can replace."""
    if statement.words[:1] == ("CREATE",) and statement.words[1:2] in _REPLACEABLE:
        return "CREATE OR REPLACE" + statement.text[len("CREATE") :]
    return statement.text


def line_in(statements: Iterable[SqlStatement], position: int) -> int | None:
    """Return the line of a character in the text that is sent for *statements*; None if it is not in them.

    :param position: counted from 1, as PostgreSQL does
    """
    offset = position - 1
    for statement in statements:
        if offset <= len(statement.text):
            return statement.start_line + line_breaks(statement.text, 0, offset)
        offset -= len(statement.text) + len(_SEPARATOR)
    return None


def line_in_body(statements: Iterable[SqlStatement], exc: psycopg.Error) -> int | None:
    """Return the line of *statements* that an error inside the body of a routine is about; None if it is not there."""
    body, position = exc.diag.internal_query, exc.diag.internal_position
    if not body or position is None:
        return None
    for statement in statements:
        if (start := statement.text.find(body)) >= 0:
            return statement.start_line + line_breaks(statement.text, 0, start + int(position) - 1)
    return None


def part_of(file: SchemaFile, statements: Iterable[SqlStatement]) -> SchemaFile:
    """Return *file* with these of its statements only."""
    kept = tuple(statements)
    lines = tuple(statement.start_line for statement in kept)
    return SchemaFile(folder=file.folder, path=file.path, content=_body_of(kept), lines=lines, homes=file.homes)


def statements_of(files: Iterable[SchemaFile]) -> Iterator[SqlStatement]:
    """Yield the statements of *files*, in their order."""
    for file in files:
        yield from script_of(file).statements


@once_per_file
def script_of(file: SchemaFile) -> Script:
    """Return the statements of *file*, which is split once."""
    return Script(label=file.label, text=file.text, lines=file.lines, homes=file.homes)
