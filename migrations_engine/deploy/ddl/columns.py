"""DDL for columns."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from psycopg import sql

from migrations_engine.deploy.ddl.members import rename_constraint_of
from migrations_engine.deploy.ddl.steps import (
    Part,
    Phase,
    Step,
    alter,
    collate,
    define,
    foreign_options,
    found_of,
    join,
    named,
    options,
    relation_of,
    renamings,
    wanted_of,
)
from migrations_engine.deploy.ddl.types import create_sequence, sequence_options
from migrations_engine.diff import Difference
from migrations_engine.model import Column, Relation, Sequence

#: The types of PostgreSQL with variable length whose default storage is MAIN, and not EXTENDED.
_KEPT_INLINE: Final = frozenset({"numeric", "inet", "cidr"})
REWRITES: Final = "rewrites the table, which cannot be used meanwhile"


def set_properties(relation: Relation, column: Column, phase: Phase) -> Iterator[Step]:
    """Set the storage properties of a new column."""
    name = sql.Identifier(column.name)
    if column.storage:
        yield alter(relation, phase, "ALTER COLUMN", name, "SET STORAGE", column.storage)
    if column.statistics is not None:
        yield alter(relation, phase, "ALTER COLUMN", name, "SET STATISTICS", str(column.statistics))
    if column.options:
        given = (
            foreign_options((), column.options) if relation.kind == "foreign table" else options("SET", column.options)
        )
        yield alter(relation, phase, "ALTER COLUMN", name, given)


def add_column(difference: Difference) -> Iterator[Step]:
    """Add a column with its properties and its sequence."""
    relation, column = relation_of(difference), wanted_of(difference, Column)
    effect = REWRITES if difference.verdict.rewrites else "rewrites the table only for a default that varies"
    yield alter(relation, Phase.COLUMNS, "ADD COLUMN", define_column(relation, column), effect=effect, together=True)
    yield from complete_column(relation, column)


def define_column(relation: Relation, column: Column) -> sql.Composable:
    """Return the definition of the column for CREATE TABLE or ADD COLUMN."""
    compression = f"COMPRESSION {column.compression}" if column.compression else None
    not_null = _not_null(relation, column) if column.not_null and not column.not_null_unvalidated else []
    collation = collate(column.collation)
    return join(sql.Identifier(column.name), column.type, collation, compression, *value_of(column), *not_null)


def complete_column(relation: Relation, column: Column) -> Iterator[Step]:
    """Return the other steps for a new column: the sequence of a serial column before it, its properties after it."""
    if column.is_serial and column.sequence is not None:
        yield Step(Phase.BASICS, create_sequence(column.sequence))
    if column.not_null_unvalidated:
        yield _require_from_now_on(relation, column)
    yield from set_properties(relation, column, Phase.KEYS)
    if column.is_serial and column.sequence is not None:
        yield own(relation, column, column.sequence)


def alter_type(difference: Difference) -> Iterator[Step]:
    """Change the type. The default is set again, because PostgreSQL would add a cast to it."""
    relation, found, wanted = relation_of(difference), found_of(difference, Column), wanted_of(difference, Column)
    name = sql.Identifier(found.name)
    effect = REWRITES if difference.verdict.rewrites else "does not rewrite the table"
    parts: list[Part] = ["ALTER COLUMN", name, "TYPE", wanted.type, collate(wanted.collation)]
    if found.default is not None and wanted.default is not None and not found.generated:
        parts += [sql.SQL(", ALTER COLUMN {} SET DEFAULT").format(name), wanted.default]
    yield alter(relation, Phase.COLUMNS, *parts, effect=effect, together=True)


def alter_generated(difference: Difference) -> Iterator[Step]:
    """Drop or change the expression of a generated column."""
    wanted = wanted_of(difference, Column)
    if wanted.generated is None:
        yield alter_column(difference, "DROP EXPRESSION")
    else:
        effect = REWRITES if difference.verdict.rewrites else ""
        yield alter_column(difference, "SET EXPRESSION AS (", define(wanted.default), ")", effect=effect)


def remake_generated(difference: Difference) -> Iterator[Step]:
    """Drop a generated column and add it again, before and after changes of the columns that it uses."""
    relation, wanted = relation_of(difference), wanted_of(difference, Column)
    name = sql.Identifier(wanted.name)
    yield alter(relation, Phase.COLUMNS, "DROP COLUMN IF EXISTS", name, effect=REWRITES, together=True)
    yield from add_column(difference)


def set_not_null(difference: Difference) -> Iterator[Step]:
    """Set NOT NULL. Where it has a name, it is NOT VALID at first, and validated if the rows allow it."""
    wanted = wanted_of(difference, Column)
    if wanted.not_null_name is None and not wanted.not_null_unvalidated:  # before PostgreSQL 18
        yield alter_column(difference, "SET NOT NULL")
    else:
        yield _require_from_now_on(relation_of(difference), wanted)


def validate_not_null(difference: Difference) -> Iterator[Step]:
    """Validate a NOT NULL constraint that is NOT VALID."""
    yield _alter_not_null(difference, "VALIDATE CONSTRAINT")


def alter_not_null(difference: Difference) -> Iterator[Step]:
    """Set whether child tables inherit the constraint."""
    inherited = "NO INHERIT" if wanted_of(difference, Column).not_null_no_inherit else "INHERIT"
    yield _alter_not_null(difference, "ALTER CONSTRAINT", inherited)


def rename_not_null(difference: Difference, leaving: Collection[str]) -> Iterator[Step]:
    """Rename the constraint."""
    relation, new = relation_of(difference), wanted_of(difference, Column).not_null_name or ""
    yield from rename_constraint_of(relation, difference.from_text or "", new, leaving)


def rename_sequence(difference: Difference, leaving: Collection[str]) -> Iterator[Step]:
    """Rename the sequence of a column, by way of a temporary name if the new one is among those *leaving*."""
    found, wanted = found_of(difference, Column).sequence, wanted_of(difference, Column).sequence
    if found is not None and wanted is not None:
        for phase, before, after in renamings(leaving, found.name, wanted.name):
            sequence = sql.Identifier(found.schema, before)
            yield Step(phase, join("ALTER SEQUENCE", sequence, "RENAME TO", sql.Identifier(after)))


def drop_not_null(difference: Difference) -> Iterator[Step]:
    """Drop NOT NULL."""
    yield alter_column(difference, "DROP NOT NULL")


def alter_storage(difference: Difference) -> Iterator[Step]:
    """Set the storage of long values."""
    yield alter_column(difference, "SET STORAGE", difference.to_text or _own_storage(found_of(difference, Column).type))


def alter_compression(difference: Difference) -> Iterator[Step]:
    """Set the compression of new long values."""
    yield alter_column(difference, "SET COMPRESSION", difference.to_text or "default")


def alter_statistics(difference: Difference) -> Iterator[Step]:
    """Set the statistics target."""
    yield alter_column(difference, "SET STATISTICS", difference.to_text or "-1")


def alter_options(difference: Difference) -> Iterator[Step]:
    """Set the wanted options, and reset the others."""
    found, wanted = found_of(difference, Column), wanted_of(difference, Column)
    if relation_of(difference).kind == "foreign table":
        yield alter_column(difference, foreign_options(found.options, wanted.options))
        return
    kept = {option.partition("=")[0] for option in wanted.options}
    gone = [name for name in (option.partition("=")[0] for option in found.options) if name not in kept]
    if gone:
        yield alter_column(difference, "RESET (", ", ".join(gone), ")")
    if wanted.options:
        yield alter_column(difference, options("SET", wanted.options))


def alter_column(difference: Difference, *parts: Part, effect: str = "") -> Step:
    """Return an ``ALTER TABLE`` with one action on the column."""
    relation, name = relation_of(difference), sql.Identifier(difference.name or "")
    phase = Phase.COLUMNS if relation.is_table else Phase.BEHAVIOUR  # the column of a view may be added just before
    return alter(relation, phase, "ALTER COLUMN", name, *parts, effect=effect)


def _own_storage(type_: str) -> str:
    """Return the default storage of a type, by name if it is known, because DEFAULT came with PostgreSQL 16."""
    base = type_.partition("(")[0]
    return "DEFAULT" if "." in base else "MAIN" if base in _KEPT_INLINE else "EXTENDED"


def _not_null(relation: Relation, column: Column) -> list[Part]:
    name = column.not_null_name
    by_itself = name in (None, f"{relation.name}_{column.name}_not_null")
    named_so: list[Part] = [] if name is None or by_itself else ["CONSTRAINT", sql.Identifier(name)]
    return [*named_so, "NOT NULL", "NO INHERIT" if column.not_null_no_inherit else None]


def _require_from_now_on(relation: Relation, column: Column) -> Step:
    name = sql.Identifier(column.not_null_name or f"{relation.name}_{column.name}_not_null")
    inherited = "NO INHERIT" if column.not_null_no_inherit else None
    parts: list[Part] = ["ADD CONSTRAINT", name, "NOT NULL", sql.Identifier(column.name), inherited, "NOT VALID"]
    return alter(relation, Phase.COLUMNS, *parts)


def _alter_not_null(difference: Difference, verb: str, change: str = "") -> Step:
    name = sql.Identifier(wanted_of(difference, Column).not_null_name or "")  # it was renamed in an earlier phase
    return alter(relation_of(difference), Phase.CONSTRAINTS, verb, name, change)


def value_of(column: Column) -> list[Part]:
    """Return the clause for the default, identity or expression of the column."""
    if column.generated:
        return ["GENERATED ALWAYS AS (", define(column.default), f") {column.generated}"]
    if column.sequence is not None and column.identity:
        name = named(column.sequence)
        start = f"GENERATED {column.identity} AS IDENTITY ( SEQUENCE NAME"
        return [start, name, sequence_options(column.sequence), ")"]
    if column.sequence is not None:
        sequence = sql.Literal(named(column.sequence).as_string(None))
        return ["DEFAULT", sql.SQL("nextval({}::regclass)").format(sequence)]
    return [f"DEFAULT {column.default}" if column.default is not None else None]


def own(relation: Relation, column: Column, sequence: Sequence) -> Step:
    """Return the statement that makes *column* the owner of *sequence*."""
    owner = sql.Identifier(relation.schema, relation.name, column.name)
    return Step(Phase.KEYS, join("ALTER SEQUENCE", named(sequence), "OWNED BY", owner))
