"""Finds the file of a schema that creates or changes an object, from the text of the files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from migrations_engine.schema import SchemaFile
from migrations_engine.source.lexer import occurs
from migrations_engine.source.script import script_of

_DEFINING: Final = frozenset({"ALTER", "CREATE", "DROP", "DO"})
_REMEMBERED: Final = 1024  #: names, short patterns


def declaring_file(files: Sequence[SchemaFile], name: str) -> SchemaFile | None:
    """Return the file with a CREATE of that *name*, else the first that mentions it, else None."""
    for file in files:
        if any(made.name == name for made in script_of(file).created):
            return file
    return next((file for file in files if mentions_name(file.text, name)), None)


def changing_file(files: Sequence[SchemaFile], table: str, member: str | None = None) -> SchemaFile | None:
    """Return the last of *files* that changes *table*, or its column, constraint … *member*; None if none names it."""
    wanted = [name for name in (table, member) if name]
    attempts: list[tuple[list[str], bool]] = [(wanted, True)]
    attempts += [([member], True)] if member else []
    attempts += [(wanted, False), ([table], False)]
    for names, only_definitions in attempts:
        for file in reversed(files):
            texts = _definitions(file) if only_definitions else iter([file.text])
            if any(all(mentions_name(text, name) for name in names) for text in texts):
                return file
    return None


def mentions_name(text: str, name: str) -> bool:
    """Whether *name* stands as a word in *text*, in a string or comment too: code may be run from there."""
    return occurs(_pattern(name), text)


def _definitions(file: SchemaFile) -> Iterator[str]:
    return (statement.text for statement in script_of(file).statements if {*statement.words[:1]} <= _DEFINING)


@lru_cache(maxsize=_REMEMBERED)
def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w$]){re.escape(name)}(?![\w$])", re.IGNORECASE)
