"""Divides the files of ``functions/``: routines, and other objects such as triggers, views and casts.

The other objects are declared like those of ``types/`` and ``tables/``, and compared with the database like them.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Final, NamedTuple

from migrations_engine.schema import Schema, SchemaFile, checksum_of, once_per_file
from migrations_engine.source.lexer import GAP, folded_tokens, occurs
from migrations_engine.source.names import ROUTINE_KINDS, Cursor, created_name
from migrations_engine.source.script import files_of, is_setting, part_of, script_of
from migrations_engine.source.seeded_rows import changes_that_need_seeds
from migrations_engine.source.statements import SqlStatement

GRANT_WORDS: Final = frozenset({"GRANT", "REVOKE", "COMMENT"})
_ALTERED_ROUTINES: Final = ROUTINE_KINDS | {"ROUTINE"}
_ALTERED_WITH_ROUTINES: Final = _ALTERED_ROUTINES | {"EXTENSION"}
_ROUTINES: Final = frozenset({"function", "functions", "procedure", "procedures", "routine", "routines", "aggregate"})
#: In a DO block, which creates what is missing.
_CREATE: Final = re.compile(r"\bCREATE\b", re.IGNORECASE)
_CREATE_ROUTINE: Final = re.compile(
    rf"\bCREATE\b{GAP}(?:\bOR\b{GAP}\bREPLACE\b{GAP})?\b(?:FUNCTION|PROCEDURE|AGGREGATE)\b", re.IGNORECASE
)


class _Parts(NamedTuple):
    """The parts of a file, kept by the file itself. To avoid a cycle, a file of routines alone is *whole* instead."""

    whole: bool = False
    routines: SchemaFile | None = None
    others: tuple[SchemaFile, ...] = ()


def routine_files(schema: Schema) -> tuple[SchemaFile, ...]:
    """Return the files of ``functions/``, reduced to their statements about routines."""
    found = (file if _parts(file).whole else _parts(file).routines for file in schema.functions)
    return tuple(part for part in found if part is not None)


def other_object_files(schema: Schema) -> tuple[SchemaFile, ...]:
    """Return the other statements of ``functions/``, each as a file."""
    return tuple(part for file in schema.functions for part in _parts(file).others)


def structure_checksum(schema: Schema) -> str:
    """Return the SHA-256 over the files that define objects, without bodies of routines.

    The arguments of routines are included, because PostgreSQL prints calls with the casts that they need; seeders, if
    migrations may need their rows.
    """
    structure = (*schema.extensions, *schema.types, *schema.tables, *schema.migrations, *other_object_files(schema))
    seeders = schema.seeders if changes_that_need_seeds(schema) else ()
    return checksum_of((*structure, *(_signatures(file) for file in schema.functions), *seeders))


def is_about_routine(statement: SqlStatement) -> bool:
    """Return whether a GRANT, REVOKE or COMMENT is about functions, procedures or aggregates."""
    tokens = list(folded_tokens(statement.text))
    return "on" in tokens and bool(_ROUTINES & set(tokens[tokens.index("on") :][1:3]))


def altered_routine(statement: SqlStatement) -> str | None:
    """Return the name of the routine whose attributes an ALTER changes; None if it changes the name or schema only."""
    if statement.words[:1] != ("ALTER",) or not _ALTERED_ROUTINES & {*statement.words[1:2]}:
        return None
    cursor = Cursor.over(statement)
    cursor.take()
    cursor.take()
    name = cursor.name()
    cursor.skip_parentheses()
    is_moved = cursor.sees("rename") or cursor.sees("set", "schema")
    return name.name if name is not None and not is_moved else None


def creates_routines_in_block(file: SchemaFile) -> bool:
    """Return whether the file has a DO block that creates a function, procedure or aggregate."""
    return any(s.words[:1] == ("DO",) and occurs(_CREATE_ROUTINE, s.text) for s in script_of(file).statements)


def blocks_with_routines(schema: Schema) -> tuple[SchemaFile, ...]:
    """Return the files of ``functions/`` with a DO block that creates a routine; what else it makes is not known."""
    return tuple(file for file in schema.functions if creates_routines_in_block(file))


@once_per_file
def _signatures(file: SchemaFile) -> SchemaFile:
    """Return the names and arguments of the routines that a file creates."""
    heads = []
    for statement in script_of(file).statements:
        made = created_name(statement)
        if made is not None and made.kind in ROUTINE_KINDS:
            cursor = Cursor.over(statement)
            while cursor.peek() and not cursor.sees("("):
                cursor.take()
            cursor.skip_parentheses()
            heads.append(" ".join(islice(folded_tokens(statement.text), cursor.position)))
    return SchemaFile(folder=file.folder, path=file.path, content="\n".join(heads).encode())


@once_per_file
def _parts(file: SchemaFile) -> _Parts:
    others = files_of(file, _is_about_other_object)
    if not others:
        return _Parts(whole=True)
    routines = [statement for statement in script_of(file).statements if not _is_about_other_object(statement)]
    rest = None if all(map(is_setting, routines)) else part_of(file, routines)
    return _Parts(routines=rest, others=others)


def _is_about_other_object(statement: SqlStatement) -> bool:
    verb, *words = statement.words or ("",)
    if verb == "CREATE":
        made = created_name(statement)
        return (
            "TEMP" not in words
            and "TEMPORARY" not in words
            and (made is None or made.kind not in ROUTINE_KINDS | {"EXTENSION"})
        )
    if verb in {"ALTER", "DROP"}:
        return not _ALTERED_WITH_ROUTINES & set(words[:1])
    if verb == "DO":
        return occurs(_CREATE, statement.text) and not occurs(_CREATE_ROUTINE, statement.text)
    return verb in GRANT_WORDS and not is_about_routine(statement)
