"""Finds functions in PL/pgSQL that name a table, a column or the value of an enum which a deploy has removed.

PostgreSQL checks their bodies only when they run, and records no dependencies of them. So their text is searched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.model import Catalog, Type
from migrations_engine.schema import Schema
from migrations_engine.source.lexer import Kind, content_of, name_of, tokens

_WHY: Final = "PostgreSQL checks PL/pgSQL only when it runs"
_LANGUAGE: Final = "plpgsql"
#: The words before the name of a table, besides ``INSERT INTO``: an INTO alone is before variables.
_BEFORE_TABLES: Final = frozenset({"from", "join", "update", "only", "using"})


@dataclass(slots=True)
class _Body:
    """The names in a function's text."""

    words: set[str] = field(default_factory=set)  #: those that may be columns
    variables: set[str] = field(default_factory=set)  #: parameters, columns of the result, and declared variables
    tables: set[str] = field(default_factory=set)  #: those in the place of a table
    own: set[str] = field(default_factory=set)  #: tables that the function creates, and common table expressions
    texts: set[str] = field(default_factory=set)  #: string literals

    @property
    def names(self) -> set[str]:
        """All names but those of tables that it creates."""
        return self.words | self.variables | self.tables


def stale_names(schema: Schema, before: Catalog, after: Catalog) -> Iterator[str]:
    """Yield a sentence for each file of a function that names an object which exists *before* and not *after*.

    Names that other objects have now are left out, and so are columns in functions that do not name their table, and
    values in functions that name neither their type nor a column of it.
    """
    there = {relation.name for relation in after.relations}
    tables = {relation.name for relation in before.relations} - there
    left = {column.name for relation in after.relations for column in relation.columns}
    columns = {
        (relation.name, column.name)
        for relation in before.relations
        for column in relation.columns
        if relation.name in there and column.name not in left
    }
    values = _removed_values(before, after)
    for file in schema.functions if tables or columns or values else ():
        if _LANGUAGE not in file.text.lower():
            continue
        body = _Body()
        _read(file.text, body, inside=False)
        gone = sorted(body.tables & tables - body.own)
        gone += sorted(f"{table}.{name}" for table, name in columns if table in body.tables and name in body.words)
        if gone:
            yield f"{file.label} names {', '.join(gone)}, which is no longer there; {_WHY}"
        for enum, removed in values.items():
            stale = ", ".join(f"'{value}'" for value in sorted(removed & body.texts))
            if stale and _uses(body, enum, after):
                yield f"{file.label} has {stale}, which is no longer a value of {enum.label}; {_WHY}"


def _removed_values(before: Catalog, after: Catalog) -> dict[Type, frozenset[str]]:
    """Return the enums that have lost values, each with those that no enum has now."""
    enums = [type_ for type_ in after.types if type_.kind == "enum"]
    left = {value for enum in enums for value in enum.values}
    there = {type_.label: type_.values for type_ in before.types}
    removed = {enum: frozenset(there.get(enum.label, ())) - left for enum in enums}
    return {enum: values for enum, values in removed.items() if values}


def _uses(body: _Body, enum: Type, catalog: Catalog) -> bool:
    """Return whether *body* names *enum*, a column of it and its table, or such a column of the row of a trigger."""
    if enum.name in body.names:
        return True
    is_trigger = not body.names.isdisjoint({"new", "old"})
    return any(
        column.type.removesuffix("[]") == enum.qualified and column.name in body.names
        for relation in catalog.relations
        if is_trigger or relation.name in body.names
        for column in relation.columns
    )


def _read(text: str, body: _Body, *, inside: bool) -> None:
    """Collect the names in *text*, and in the bodies of functions in it.

    :param inside: *text* is such a body
    """
    declares = False  #: in the declarations of variables
    last = ("", "", "")  #: the tokens before, names as PostgreSQL folds them
    table = ""  #: the name in the place of a table, which may be its schema
    try:
        for token in tokens(text):
            name = name_of(token.text) if token.kind in (Kind.WORD, Kind.QUOTED) else None
            if token.kind in (Kind.DOLLAR, Kind.STRING) and last[-1] == "as":
                _read(content_of(token.text) or "", body, inside=True)
            elif token.kind is Kind.STRING and inside:
                body.texts.add(content_of(token.text) or "")
            elif token.text == "(" and last[-1] == "as":
                body.own.add(last[-2])
            elif name is not None:
                declares = name == "declare" or (declares and name != "begin")
                if not inside or (declares and last[-1] in {"declare", ";"}):
                    body.variables.add(name)
                elif last[-1] == "." or (last[-1] != "as" and name not in body.variables):
                    body.words.add(name)
                if last[-1] in _BEFORE_TABLES or last[-2:] == ("insert", "into") or last[-2:] == (table, "."):
                    table = name
                    body.tables.add(name)
                elif last[-1] == "table" or last == ("if", "not", "exists"):
                    body.own.add(name)
            last = (*last[1:], name or token.text)
    except SchemaExtractionFailed:  # a string that is not SQL
        return
