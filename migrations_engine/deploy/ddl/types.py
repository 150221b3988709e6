"""DDL for schemas, types and sequences."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from migrations_engine.deploy.ddl.steps import (
    Part,
    Phase,
    Step,
    collate,
    define,
    found_of,
    join,
    named,
    renamings,
    wanted_of,
)
from migrations_engine.diff import Difference
from migrations_engine.model import UNVALIDATED, Sequence, Type


def add_schema(difference: Difference) -> Iterator[Step]:
    """Create a schema."""
    yield Step(Phase.BASICS, join("CREATE SCHEMA", sql.Identifier(wanted_of(difference, str))))


def add_type(difference: Difference) -> Iterator[Step]:
    """Create an enum, composite, range or domain."""
    type_ = wanted_of(difference, Type)
    name = named(type_)
    comma = sql.SQL(", ")
    if type_.kind == "enum":
        values = comma.join(sql.Literal(value) for value in type_.values)
        yield Step(Phase.BASICS, join("CREATE TYPE", name, "AS ENUM (", values, ")"))
    elif type_.kind == "composite":
        attributes = comma.join(join(sql.Identifier(a.name), a.type, collate(a.collation)) for a in type_.attributes)
        yield Step(Phase.BASICS, join("CREATE TYPE", name, "AS (", attributes, ")"))
    elif type_.kind == "range":
        details = [f"SUBTYPE = {type_.base}", *(detail for detail in type_.details if detail)]
        yield Step(Phase.BASICS, join("CREATE TYPE", name, "AS RANGE (", ", ".join(details), ")"))
    else:
        parts: list[Part] = [type_.base, collate(type_.collation)]
        parts += [f"DEFAULT {type_.default}" if type_.default is not None else None]
        if type_.not_null_name:
            parts += ["CONSTRAINT", sql.Identifier(type_.not_null_name)]
        parts += ["NOT NULL" if type_.not_null else None]
        checks = [
            join("CONSTRAINT", sql.Identifier(check), define(definition))
            for check, definition in type_.checks
            if not definition.endswith(UNVALIDATED)
        ]
        yield Step(Phase.BASICS, join("CREATE DOMAIN", name, "AS", *parts, *checks))
        for check, definition in type_.checks:
            if definition.endswith(UNVALIDATED):
                added = join("ALTER DOMAIN", name, "ADD CONSTRAINT", sql.Identifier(check), define(definition))
                yield Step(Phase.BASICS, added)


def rename_constraint(difference: Difference) -> Iterator[Step]:
    """Rename a domain's constraint, by way of a temporary name if the new one is still taken."""
    domain = found_of(difference, Type)
    name = named(domain)
    taken = {check for check, _ in domain.checks} | {domain.not_null_name}
    for phase, old, new in renamings(taken, difference.from_text or "", difference.to_text or ""):
        renamed = join("RENAME CONSTRAINT", sql.Identifier(old), "TO", sql.Identifier(new))
        yield Step(phase, join("ALTER DOMAIN", name, renamed))


def alter_domain_default(difference: Difference) -> Iterator[Step]:
    """Set or drop the default of a domain."""
    default = wanted_of(difference, Type).default
    yield _alter_type(difference, "DROP DEFAULT" if default is None else f"SET DEFAULT {default}")


def set_domain_not_null(difference: Difference) -> Iterator[Step]:
    """Set NOT NULL of a domain."""
    name = wanted_of(difference, Type).not_null_name
    yield _alter_type(difference, *(["ADD CONSTRAINT", sql.Identifier(name), "NOT NULL"] if name else ["SET NOT NULL"]))


def drop_domain_not_null(difference: Difference) -> Iterator[Step]:
    """Drop NOT NULL of a domain."""
    yield _alter_type(difference, "DROP NOT NULL")


def add_domain_constraint(difference: Difference) -> Iterator[Step]:
    """Add a check to a domain. PostgreSQL checks all columns of the domain."""
    name, definition = sql.Identifier(difference.name or ""), define(difference.to_text)
    yield _alter_type(difference, "ADD CONSTRAINT", name, definition)


def drop_domain_constraint(difference: Difference) -> Iterator[Step]:
    """Drop a check of a domain."""
    yield _alter_type(difference, "DROP CONSTRAINT", sql.Identifier(difference.name or ""), phase=Phase.DROP)


def alter_domain_constraint(difference: Difference) -> Iterator[Step]:
    """Replace a check by another one."""
    yield from drop_domain_constraint(difference)
    yield from add_domain_constraint(difference)


def add_attribute(difference: Difference) -> Iterator[Step]:
    """Add an attribute after the others, and a column to the tables of the type."""
    yield _alter_type(difference, "ADD ATTRIBUTE", *_attribute(difference), "CASCADE")


def drop_attribute(difference: Difference) -> Iterator[Step]:
    """Drop an attribute of which no column has values."""
    yield _alter_type(difference, "DROP ATTRIBUTE", sql.Identifier(difference.name or ""), phase=Phase.DROP)


def alter_attribute_type(difference: Difference) -> Iterator[Step]:
    """Change the type of an attribute of which no column has values."""
    name, *type_ = _attribute(difference)
    yield _alter_type(difference, "ALTER ATTRIBUTE", name, "TYPE", *type_)


def _attribute(difference: Difference) -> list[Part]:
    attribute = next(item for item in wanted_of(difference, Type).attributes if item.name == difference.name)
    return [sql.Identifier(attribute.name), attribute.type, collate(attribute.collation)]


def _alter_type(difference: Difference, *parts: Part, phase: Phase = Phase.BASICS) -> Step:
    type_ = found_of(difference, Type)
    word = "ALTER DOMAIN" if type_.kind == "domain" else "ALTER TYPE"
    return Step(phase, join(word, named(type_), *parts))


def add_enum_value(difference: Difference) -> Iterator[Step]:
    """Add a value in its declared place, after those before it."""
    found, wanted = found_of(difference, Type), wanted_of(difference, Type)
    value = difference.name or ""
    place = wanted.values.index(value)
    position: list[Part] = []
    if place:
        position = ["AFTER", sql.Literal(wanted.values[place - 1])]
    elif found.values:
        position = ["BEFORE", sql.Literal(found.values[0])]
    name = named(found)
    statement = join("ALTER TYPE", name, "ADD VALUE IF NOT EXISTS", sql.Literal(value), *position)
    yield Step(Phase.BASICS, statement, "the value cannot be used before the transaction is over")


def add_sequence(difference: Difference) -> Iterator[Step]:
    """Create a sequence that belongs to no column."""
    sequence = wanted_of(difference, Sequence)
    yield Step(Phase.BASICS, create_sequence(sequence))
    if sequence.owned_by is not None:
        yield Step(Phase.KEYS, join("ALTER SEQUENCE", named(sequence), "OWNED BY", sequence.owned_by))


def alter_sequence(difference: Difference) -> Iterator[Step]:
    """Change the options of a sequence, also of one that belongs to a column."""
    phase = Phase.UNTIE  # while the sequence of a column still has its old name
    if isinstance(difference.found, Sequence):
        found, wanted, phase = difference.found, wanted_of(difference, Sequence), Phase.KEYS
        if found.owned_by != wanted.owned_by:
            yield Step(Phase.KEYS, join("ALTER SEQUENCE", named(found), "OWNED BY", wanted.owned_by or "NONE"))
    else:
        sequences = [getattr(side, "sequence", None) for side in (difference.found, difference.wanted)]
        assert isinstance(sequences[0], Sequence)
        assert isinstance(sequences[1], Sequence)
        found, wanted = sequences[0], sequences[1]
    if found.unlogged != wanted.unlogged and isinstance(difference.found, Sequence):
        logged = "UNLOGGED" if wanted.unlogged else "LOGGED"
        yield Step(Phase.KEYS, join("ALTER SEQUENCE", named(found), "SET", logged))
    if found.options != wanted.options:
        altering = join("ALTER SEQUENCE", named(found), "AS", wanted.type, sequence_options(wanted))
        yield Step(phase, _begin_anew(found, wanted, altering) if _may_begin_anew(found, wanted) else altering)


def _may_begin_anew(found: Sequence, wanted: Sequence) -> bool:
    """Return whether the first number changes, or may be outside the range."""
    return wanted.start != found.start or wanted.minimum > found.minimum or wanted.maximum < found.maximum


def _begin_anew(found: Sequence, wanted: Sequence, altering: sql.Composable) -> sql.Composable:
    """Return a statement for *altering* the options, which begins anew if no number was drawn from the sequence.

    Numbers that were set for the first draw stay if they are in the range.
    """
    condition = sql.SQL(
        "EXISTS (SELECT FROM {} WHERE NOT is_called AND (last_value = {} OR last_value NOT BETWEEN {} AND {}))"
    ).format(named(found), found.start, wanted.minimum, wanted.maximum)
    block = sql.SQL("BEGIN IF {} THEN {} RESTART; ELSE {}; END IF; END").format(condition, altering, altering)
    return sql.SQL("DO {}").format(sql.Literal(block.as_string(None)))


def create_sequence(sequence: Sequence, *, even_if_there: bool = False) -> sql.Composable:
    """Return the statement that creates a sequence; with *even_if_there*, an existing one is kept unchanged."""
    start = "CREATE UNLOGGED SEQUENCE" if sequence.unlogged else "CREATE SEQUENCE"
    return join(
        start,
        "IF NOT EXISTS" if even_if_there else None,
        named(sequence),
        "AS",
        sequence.type,
        sequence_options(sequence),
    )


def sequence_options(sequence: Sequence) -> str:
    """Return the options of a sequence, except its type."""
    return (
        f"INCREMENT BY {sequence.increment} MINVALUE {sequence.minimum} MAXVALUE {sequence.maximum} "
        f"START WITH {sequence.start} CACHE {sequence.cache} {'CYCLE' if sequence.cycle else 'NO CYCLE'}"
    )
