"""The files of a schema, taken apart as far as a change of a declaration needs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from migrations_engine import ArchiveLimits, Schema, read_archive, read_folder, split_statements
from migrations_engine.source.lexer import tokens
from migrations_engine.source.names import created_name

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*\Z")
_RESERVED = {"order", "user", "table", "group", "check", "from", "to", "select", "default", "end", "column"}
_NO_COLUMN = {"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "EXCLUDE", "LIKE"}
_CLAUSES = {"CONSTRAINT", "DEFAULT", "NOT", "NULL", "PRIMARY", "UNIQUE", "CHECK", "REFERENCES", "GENERATED", "COLLATE"}
_KEPT_WHOLE = ("extensions/", "migrations/", "seeders/")
SEEDERS_AT_MOST = 50_000  #: characters; larger ones are left out, and rows are inserted instead


def quoted(name: str) -> str:
    """Return *name* as it is written in SQL."""
    return name if _PLAIN.match(name) and name not in _RESERVED else '"' + name.replace('"', '""') + '"'


@dataclass
class Column:
    """A column of a CREATE TABLE: its type, and everything else as clauses."""

    name: str  #: as it is written
    type: str
    clauses: list[str]

    @classmethod
    def of(cls, text: str) -> Column | None:
        found = list(tokens(text))
        if len(found) < 2 or found[0].text.upper() in _NO_COLUMN:
            return None
        starts, depth = [], 0
        for number, token in enumerate(found):
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            before = found[number - 1].text.upper()
            joined = before in {"SET", "NOT", "BY", "DEFAULT", "IS"}
            named = found[number - 2].text.upper() == "CONSTRAINT"
            if number > 1 and not depth and token.text.upper() in _CLAUSES and not joined and not named:
                starts.append(token.start)
        ends = [*starts, len(text)]
        clauses = [text[start:end].strip() for start, end in zip(starts, ends[1:], strict=False)]
        return cls(found[0].text, text[found[1].start : ends[0]].strip(), clauses)

    def without(self, *words: str) -> None:
        self.clauses = [clause for clause in self.clauses if not clause.upper().startswith(words)]

    def __str__(self) -> str:
        return " ".join([self.name, self.type, *self.clauses])


@dataclass
class Table:
    """A CREATE TABLE with a list of columns."""

    head: str
    elements: list[str]
    tail: str

    @classmethod
    def of(cls, text: str) -> Table | None:
        depth, start, elements = 0, None, []
        for token in tokens(text):
            if start is None and token.text.upper() in {"PARTITION", "OF", "AS"}:
                return None
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            if token.text == "(" and depth == 1 and start is None:
                start, first = token.end, token.end
            elif start is not None and ((token.text == "," and depth == 1) or (token.text == ")" and depth == 0)):
                elements.append(text[start : token.start].strip())
                start = token.end
                if depth == 0:
                    return cls(text[:first], elements, text[token.start :])
        return None

    def column(self, name: str) -> tuple[int, Column] | None:
        for number, text in enumerate(self.elements):
            column = Column.of(text)
            if column is not None and column.name.strip('"') == name:
                return number, column
        return None

    def __str__(self) -> str:
        return self.head + "\n    " + ",\n    ".join(self.elements) + "\n" + self.tail


@lru_cache(10000)
def _created(text: str) -> tuple[str, str] | None:
    found = [created_name(statement) for statement in split_statements(text)]
    return (found[0].kind, found[0].name) if found and found[0] and found[0].name else None


@dataclass
class Declarations:
    """The statements of each file, by label; migrations, seeders and extensions are one text each."""

    files: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Declarations:
        schema = read_folder(path) if path.is_dir() else read_archive(path.read_bytes(), ArchiveLimits())
        return cls.of_schema(schema)

    @classmethod
    def of_schema(cls, schema: Schema) -> Declarations:
        parts = (schema.extensions, schema.types, schema.tables, schema.migrations, schema.functions, schema.seeders)
        files: dict[str, list[str]] = {}
        for file in (file for part in parts for file in part):
            whole = file.label.startswith(_KEPT_WHOLE)
            files[file.label] = [file.text] if whole else [one.text for one in split_statements(file.text)]
        if sum(len(text[0]) for label, text in files.items() if label.startswith("seeders/")) > SEEDERS_AT_MOST:
            files = {label: text for label, text in files.items() if not label.startswith("seeders/")}
        return cls(files)

    def copy(self) -> Declarations:
        return Declarations({label: list(found) for label, found in self.files.items()})

    def texts(self) -> dict[str, str]:
        """Return the files as a deploy takes them."""
        return {
            label: found[0] if label.startswith(_KEPT_WHOLE) else "".join(f"{one};\n\n" for one in found)
            for label, found in self.files.items()
            if found
        }

    def migrate(self, sql: str, label: str | None = None) -> str:
        """Add statements to the migration *label*, or a migration, and return its label."""
        number = sum(label.startswith("migrations/") for label in self.files) + 1
        label = label or f"migrations/{900 + number}_change.pssql"
        self.files[label] = ["".join(self.files.get(label, [])) + sql]
        return label

    def place(self, kind: str, name: str) -> tuple[str, int] | None:
        """Return the file and number of the statement that creates an object."""
        for label, found in self._declared():
            for number, text in enumerate(found):
                if _created(text) == (kind, name):
                    return label, number
        return None

    def table(self, name: str) -> Table | None:
        place = self.place("TABLE", name)
        return Table.of(self.files[place[0]][place[1]]) if place else None

    def put_table(self, name: str, table: Table) -> bool:
        place = self.place("TABLE", name)
        if place is not None:
            self.files[place[0]][place[1]] = str(table)
        return place is not None

    def edit_column(self, table: str, name: str, change: Callable[[Column], object]) -> bool:
        """Change a column in its CREATE TABLE."""
        if (found := self.table(table)) is None or (place := found.column(name)) is None:
            return False
        change(place[1])
        found.elements[place[0]] = str(place[1])
        return self.put_table(table, found)

    def add_element(self, table: str, text: str, *, at: int | None = None) -> bool:
        """Add a column or constraint to a CREATE TABLE, at its end or before the element *at*."""
        if (found := self.table(table)) is None:
            return False
        found.elements.insert(len(found.elements) if at is None else at, text)
        return self.put_table(table, found)

    def drop_column(self, table: str, name: str) -> bool:
        """Remove a column, with the statements about it."""
        if (found := self.table(table)) is None or (place := found.column(name)) is None:
            return False
        del found.elements[place[0]]
        if any(mentions(text, name) for text in found.elements):
            return False
        self.put_table(table, found)
        self.remove_mentions(name, of=table)
        return True

    def drop_table(self, name: str) -> bool:
        """Remove a table, with the statements about it; return False if a function or view uses it."""
        if self.table(name) is None:
            return False
        self.remove_mentions(name)
        return not self.mentioning(name)

    def add(self, label: str, *texts: str) -> bool:
        """Add statements to a file."""
        self.files.setdefault(label, []).extend(texts)
        return True

    def replace(self, old: str, new: list[str]) -> bool:
        """Replace a statement by its text."""
        for label, found in self._declared():
            if old in found:
                number = found.index(old)
                self.files[label] = [*found[:number], *new, *found[number + 1 :]]
                return True
        return False

    def rename(self, old: str, new: str) -> bool:
        """Replace a name wherever it stands as a word."""
        word = re.compile(rf"(?<![\w\"']){re.escape(old)}(?![\w\"'])")
        done = False
        for label, found in [*self._declared(), *((n, t) for n, t in self.files.items() if n.startswith("seeders/"))]:
            self.files[label] = [word.sub(new, text) for text in found]
            done = done or self.files[label] != found
        return done

    def remove_mentions(self, name: str, *, of: str = "") -> None:
        """Remove the statements in tables/ that mention a name, and *of* if it is given."""
        for label, found in self._declared("tables/", "seeders/"):
            self.files[label] = [
                text
                for text in found
                if not mentions(text, name) or (of and (text.startswith("CREATE TABLE") or not mentions(text, of)))
            ]

    def mentioning(self, name: str, *folders: str) -> list[str]:
        """Return the statements of *folders*, or of all, that have a name."""
        return [text for _, found in self._declared(*folders) for text in found if mentions(text, name)]

    def _declared(self, *folders: str) -> list[tuple[str, list[str]]]:
        folders = folders or ("types/", "tables/", "functions/")
        return [(label, found) for label, found in self.files.items() if label.startswith(folders)]


def mentions(text: str, name: str) -> bool:
    """Return whether a text has a name, as a word of any kind."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE) is not None
