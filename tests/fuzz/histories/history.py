"""A random history of a schema: releases that are drawn while an old database gets each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import psycopg

from tests.fuzz.histories.declarations import Declarations, mentions, quoted
from tests.fuzz.histories.objects import KINDS, Declare, Object

#: How often a change is in the migration and the declarations, and how often otherwise.
PLACES = ("both",) * 9 + ("declaration",) * 4 + ("migration",) * 3 + ("lag",) * 2 + ("disagree",) * 2
_PLACES_OF_RENAMES = ("both", "both", "migration", "lag", "declaration")
COLUMNS = """
SELECT c.relname, n.nspname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef, a.attidentity,
       a.attgenerated, a.attnum = ANY (k.conkey), cardinality(k.conkey), c.relkind, c.relispartition, t.typtype
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p'
WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND n.nspname = 'public'
AND c.relname NOT LIKE '\\_stonescriptdb%' ORDER BY c.relname, a.attnum
"""
_NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double")


@dataclass(frozen=True)
class LiveColumn:
    """A column of the old database."""

    table: str
    schema: str
    name: str
    type: str
    required: bool
    has_default: bool
    identity: str
    generated: str
    in_key: bool | None
    key_length: int | None
    relkind: str
    is_partition: bool
    typtype: str

    @property
    def is_number(self) -> bool:
        return self.type.startswith(_NUMBERS) and self.typtype == "b"

    @property
    def is_text(self) -> bool:
        return self.type.startswith(("text", "character")) and not self.type.endswith("]")


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change that an application's developer makes."""

    kind: str
    sql: str = ""  #: of the migration; statements are separated by ";;"
    declare: Declare | None = None
    other: str = ""  #: a migration that disagrees with the declaration
    places: tuple[str, ...] = PLACES
    outside: bool = False  #: the migration runs outside a transaction
    then: Callable[[], None] = lambda: None  #: if the change is made
    later: tuple[Change, ...] = ()  #: in the next release


@dataclass
class History:
    """The state from which the next change is drawn."""

    random: Random
    files: Declarations
    connection: psycopg.Connection[Any] | None = (
        None  #: to the old database, in a transaction with this release's migrations
    )
    objects: list[Object] = field(default_factory=list)
    waiting: list[Declare] = field(default_factory=list)  #: declarations that lag
    planned: list[Change] = field(default_factory=list)  #: of the next release
    new_columns: set[str] = field(default_factory=set)
    number: int = 0
    migration: str | None = None  #: the label of this release's last migration, if others may be added to it

    def name(self, prefix: str) -> str:
        self.number += 1
        return f"{prefix}{self.number}"

    def pick(self, found: list[Any]) -> Any:
        """Return one of *found*; None if it is empty."""
        return self.random.choice(found) if found else None

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        assert self.connection is not None
        return self.connection.execute(query.encode()).fetchall()

    @property
    def has_named_not_null(self) -> bool:
        """Whether NOT NULL is a constraint with a name, as since PostgreSQL 18."""
        assert self.connection is not None
        return self.connection.info.server_version >= 180000

    def columns(self, *, partitions: bool = False) -> list[LiveColumn]:
        found = [LiveColumn(*row) for row in self.ask(COLUMNS)]
        return [one for one in found if partitions or not (one.is_partition or one.table.startswith("part"))]

    def column(self, wanted: Callable[[LiveColumn], bool] = lambda _: True) -> LiveColumn | None:
        return self.pick([one for one in self.columns() if wanted(one)])

    def unless_seeded(self, column: LiveColumn, *places: str) -> tuple[str, ...]:
        """Return *places* of a change that drops *column*; only "both" if a seeder names it, which runs last."""
        is_seeded = any(mentions(text, column.name) for text in self.files.mentioning(column.table, "seeders/"))
        return ("both",) if is_seeded else places

    def object_names(self, name: str) -> dict[str, str] | None:
        """Return what the texts of a new object may name: a table and columns of it."""
        columns = self.columns()
        keys = [one for one in columns if one.in_key and one.key_length == 1]
        if (key := self.pick(keys)) is None:
            return None
        of_table = [one for one in columns if one.table == key.table and one.name != key.name] or [key]
        number = self.pick([one for one in of_table if one.is_number]) or key
        text = self.pick([one for one in of_table if one.is_text]) or self.pick(of_table)
        column = self.pick([one for one in of_table if one.type not in {"bytea", "tsvector", "json"}]) or key
        return {
            "t": quoted(key.table),
            "k": quoted(key.name),
            "c": quoted(column.name),
            "x": quoted(number.name),
            "s": quoted(text.name),
            "y": column.type,
            "n": name,
        }

    def beside(self, table: str, name: str) -> str:
        """Return the label of the file for an object of a table."""
        place = self.files.place("TABLE", table.strip('"'))
        return place[0] if place and self.random.random() < 0.7 else f"tables/{name}.pssql"

    def add_object(self) -> Change | None:
        kind = self.random.choice(KINDS)
        name = self.name(
            {"schema": "area", "partitioned table": "part"}.get(kind.name, kind.name[:5].replace(" ", "_") + "_")
        )
        names = self.object_names(name)
        if names is None:
            return None
        one = Object(kind, names, self.beside(names["t"], name), self.random.randrange(len(kind.variants)))
        other = self.pick([v for v in range(len(kind.variants)) if v != one.variant])
        declared = self.files.table(names["t"].strip('"')) is not None
        return Change(
            kind=f"add {kind.name}",
            sql=one.sql(one.variant),
            declare=one.declare(one.variant, None) if declared else None,
            other=one.sql(other) if other is not None else "",
            places=PLACES if kind.drop else ("declaration",),
            then=lambda: self.objects.append(one),
        )

    def change_object(self) -> Change | None:
        if (one := self.pick(self.objects)) is None:
            return None
        kind, old = one.kind, one.variant
        what = self.random.choice(["variant", "variant", "variant", "alter", "rename", "drop"])
        if what == "alter" and kind.alters:
            return Change(
                kind=f"alter {kind.name}", sql=one.text(self.random.choice(kind.alters)), places=("migration",)
            )
        if what == "rename" and kind.rename:
            return self._rename_object(one)
        if what == "drop":
            return Change(
                kind=f"drop {kind.name}",
                sql=one.text(kind.drop),
                declare=one.declare(None, old),
                places=(*PLACES[:9], "lag", "migration") if kind.drop else ("declaration",),
                then=lambda: self.objects.remove(one),
            )
        new = self.pick([v for v in range(len(kind.variants)) if v != old])
        if new is None:
            return None

        def then() -> None:
            one.variant = new

        other = self.random.randrange(len(kind.variants))
        return Change(
            kind=f"change {kind.name}",
            sql=one.step(old, new),
            declare=one.declare(new, old),
            other=one.step(old, other),
            places=PLACES if kind.drop else ("declaration",),
            then=then,
        )

    def _rename_object(self, one: Object) -> Change:
        new = self.name(one.names["n"].rstrip("0123456789"))
        old = one.names["n"]

        def declare(files: Declarations) -> bool:
            return files.rename(old, new)

        def then() -> None:
            one.names = one.names | {"n": new}

        return Change(
            kind=f"rename {one.kind.name}",
            sql=one.text(one.kind.rename, m=new),
            declare=declare,
            places=("both",) * 3
            if one.kind.name in {"schema", "partitioned table", "enum", "domain"}
            else _PLACES_OF_RENAMES,
            then=then,
        )

    def renamed(self, old: str, new: str) -> None:
        """Keep the texts of objects up to date."""
        for one in self.objects:
            one.names = {key: new if value == old else value for key, value in one.names.items()}

    def gone(self, name: str) -> None:
        self.objects = [one for one in self.objects if name not in one.names.values()]
