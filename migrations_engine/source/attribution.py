"""Finds the files of a schema that create, change or mention an object, from the text of the files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from typing import Final

from migrations_engine.model import DEFAULT_SCHEMA
from migrations_engine.schema import SchemaFile
from migrations_engine.source.lexer import GAP, occurs
from migrations_engine.source.script import script_of

_DEFINING: Final = frozenset({"ALTER", "CREATE", "DROP", "DO"})
_WORD: Final = re.compile(r"[\w$]+")
_PART: Final = re.compile(r'("(?:[^"]|"")*")|([^".]+)')  #: of a label
_INDEXED: Final = 1 << 18  #: characters of the largest file that is indexed; to cut a larger one holds the GIL for long
_REMEMBERED: Final = 1024  #: names, short patterns


class FileIndex:
    """Files by the words in them."""

    def __init__(self, files: Sequence[SchemaFile]) -> None:
        self._files = files

    def mentioning(self, *names: str) -> list[SchemaFile]:
        """Return the files in which all *names* are words. Strings and comments count: code may be run from there."""
        places = set.intersection(*(self._places(name) for name in names))
        return [self._files[place] for place in sorted(places)]

    def declaring(self, name: str, attached: str | None = None) -> SchemaFile | None:
        """Return the file with a CREATE of that *name*, else the first that mentions it, else None.

        :param attached: the name of an index, trigger … of it; then a file that creates that comes first
        """
        mentioning = self.mentioning(name)
        created = [(file, made) for file in mentioning for made in script_of(file).created]
        creating = [file for file, made in created if made.name == name]
        if attached is not None:
            of_it = [(file, made.name) for file, made in created if made.table is not None and made.table.name == name]
            creating = [file for file, made in of_it if made == attached] + creating
        return next(iter([*creating, *mentioning]), None)

    def changing(self, table: str, member: str | None = None) -> SchemaFile | None:
        """Return the last file that changes *table*, or its column, constraint … *member*; None if none names it."""
        of_table = self.mentioning(table)[::-1]
        if member is None:
            return _first_defining(of_table, table) or next(iter(of_table), None)
        of_both = self.mentioning(table, member)[::-1]
        defining = _first_defining(of_both, table, member) or _first_defining(self.mentioning(member)[::-1], member)
        return defining or next(iter([*of_both, *of_table]), None)

    def defining(self, *names: str) -> SchemaFile | None:
        """Return a file with a statement that defines something and mentions all *names*; None if there is none."""
        return _first_defining(self.mentioning(*names), *names)

    def _places(self, name: str) -> set[int]:
        """Return the places of the files in which *name* is a word."""
        if not _WORD.fullmatch(name):
            return {place for place, file in enumerate(self._files) if mentions_name(file.text, name)}
        words, large = self._index
        found = {place for place in large if mentions_name(self._files[place].text, name)}
        return found | words.get(name.lower(), set())

    @cached_property
    def _index(self) -> tuple[dict[str, set[int]], list[int]]:
        """The places of the files with each word in lower case, and the places of files that are too large."""
        words: dict[str, set[int]] = {}
        large: list[int] = []
        for place, file in enumerate(self._files):
            if len(file.text) > _INDEXED:
                large.append(place)
                continue
            for word in _WORD.findall(file.text.lower()):
                words.setdefault(word, set()).add(place)
        return words, large


def bare_name(label: str) -> str:
    """Return the name in a label, without its schema and quotes."""
    return _parts(label)[1]


def schema_in(label: str) -> str:
    """Return the schema in a label, without quotes."""
    return _parts(label)[0] or DEFAULT_SCHEMA


def _parts(label: str) -> tuple[str, str]:
    parts = [quoted[1:-1].replace('""', '"') or plain for quoted, plain in _PART.findall(label)]
    return "".join(parts[:-1]), "".join(parts[-1:])


def mentions_name(text: str, name: str) -> bool:
    """Return whether *name* is a word in *text*, also in a string or comment."""
    return occurs(_pattern(name), text)


def without_name(text: str, schema: str, name: str) -> str:
    """Return *text* without the qualified *name*, also in strings and comments."""
    schema, name = map(_spelled, (schema, name))
    return re.sub(rf'(?<![\w$])"?{schema}"?{GAP}\.{GAP}"?{name}(?![\w$])"?', "", text, flags=re.IGNORECASE)


def _first_defining(files: Iterable[SchemaFile], *names: str) -> SchemaFile | None:
    """Return the first of *files* with a statement that defines something and mentions all *names*."""
    for file in files:
        for statement in script_of(file).statements:
            defines = {*statement.words[:1]} <= _DEFINING
            if defines and all(mentions_name(statement.text, name) for name in names):
                return file
    return None


@lru_cache(maxsize=_REMEMBERED)
def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w$]){_spelled(name)}(?![\w$])", re.IGNORECASE)


def _spelled(name: str) -> str:
    """Return a pattern for *name*, whose quotes are doubled in a statement, but not in a message."""
    return re.escape(name).replace('"', '""?')
