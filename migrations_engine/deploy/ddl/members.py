"""DDL for the members of a relation: constraints, indexes, statistics, rules, triggers and policies."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Final

from psycopg import sql

from migrations_engine.deploy.ddl.steps import (
    Phase,
    Step,
    alter,
    define,
    found_of,
    join,
    named,
    relation_of,
    renamings,
    wanted_of,
)
from migrations_engine.diff import Difference, spellings
from migrations_engine.model import Attachment, Constraint, Relation

_BRIEFLY: Final = "locks the table briefly"
_WHILE_BUILT: Final = "keeps writers waiting while it is built"
_SWITCHES: Final = {"D": "DISABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}


def add_constraint(difference: Difference) -> Iterator[Step]:
    """Add a constraint."""
    yield from create_constraint(relation_of(difference), wanted_of(difference, Constraint))


def create_constraint(relation: Relation, wanted: Constraint) -> Iterator[Step]:
    """Add a constraint. The index of a key is created first if possible, because that does not block readers."""
    name, phase = sql.Identifier(wanted.name), Phase.KEYS if wanted.kind in ("p", "u") else Phase.CONSTRAINTS
    word, _, columns = wanted.definition.partition(" (")
    if relation.kind == "table" and word in ("PRIMARY KEY", "UNIQUE") and _is_plain(columns):
        index = join("CREATE UNIQUE INDEX", name, "ON", named(relation), f"({columns}")
        yield Step(phase, index, _WHILE_BUILT)
        yield alter(relation, phase, "ADD CONSTRAINT", name, word, "USING INDEX", name, effect=_BRIEFLY)
        return
    effect = "keeps writers of both tables waiting" if wanted.kind == "f" else "locks the table while it is checked"
    checked = "NOT VALID" if wanted.unvalidated else None
    yield alter(relation, phase, "ADD CONSTRAINT", name, define(wanted.definition), checked, effect=effect)


def drop_constraint(difference: Difference) -> Iterator[Step]:
    """Drop a constraint, without CASCADE."""
    constraint = found_of(difference, Constraint)
    phase = Phase.UNTIE if constraint.kind == "f" else Phase.DROP
    name = sql.Identifier(constraint.name)
    yield alter(relation_of(difference), phase, "DROP CONSTRAINT", name, effect=_BRIEFLY)


def alter_constraint(difference: Difference) -> Iterator[Step]:
    """Replace a constraint by another one."""
    yield from drop_constraint(difference)
    yield from add_constraint(difference)
    yield from _uses_of_index(difference)


def validate_constraint(difference: Difference) -> Iterator[Step]:
    """Validate a constraint that is NOT VALID."""
    name = sql.Identifier(found_of(difference, Constraint).name)
    effect = "lets readers and writers go on"
    yield alter(relation_of(difference), Phase.CONSTRAINTS, "VALIDATE CONSTRAINT", name, effect=effect)


def rename_constraint(difference: Difference, leaving: Collection[str]) -> Iterator[Step]:
    """Rename a constraint.

    :param leaving: names that other objects give up in the same deploy
    """
    old, new = found_of(difference, Constraint), wanted_of(difference, Constraint)
    yield from rename_constraint_of(relation_of(difference), old.name, new.name, leaving)


def rename_constraint_of(relation: Relation, old: str, new: str, leaving: Collection[str]) -> Iterator[Step]:
    """Rename a constraint of *relation*, by way of a temporary name if the new one is still taken."""
    for phase, before, after in renamings({*_names(relation), *leaving}, old, new):
        names = (sql.Identifier(before), "TO", sql.Identifier(after))
        yield alter(relation, phase, "RENAME CONSTRAINT", *names, effect=_BRIEFLY)


def rename_index(difference: Difference, leaving: Collection[str]) -> Iterator[Step]:
    """Rename an index, by way of a temporary name if the new one is among those *leaving* or of the same table."""
    relation, old, new = relation_of(difference), found_of(difference, Attachment), wanted_of(difference, Attachment)
    for phase, before, after in renamings({*_names(relation), *leaving}, old.name, new.name):
        index = sql.Identifier(relation.schema, before)
        yield Step(phase, join("ALTER INDEX", index, "RENAME TO", sql.Identifier(after)))


def _names(relation: Relation) -> Collection[str | None]:
    """Return the names in *relation* that a renamed member cannot have yet."""
    constraints = {item.name for item in relation.constraints} | {column.not_null_name for column in relation.columns}
    return constraints | {item.name for item in relation.attachments}


def add_attachment(difference: Difference) -> Iterator[Step]:
    """Create an index, statistics object, rule, trigger or policy."""
    yield from create_attachment(relation_of(difference), wanted_of(difference, Attachment))


def drop_attachment(difference: Difference) -> Iterator[Step]:
    """Drop an index, statistics object, rule, trigger or policy."""
    yield remove_attachment(relation_of(difference), found_of(difference, Attachment))


def alter_attachment(difference: Difference) -> Iterator[Step]:
    """Replace an index, statistics object, rule, trigger or policy by another one."""
    yield from drop_attachment(difference)
    yield from add_attachment(difference)
    yield from _uses_of_index(difference)


def alter_targets(difference: Difference) -> Iterator[Step]:
    """Set the statistics targets of an index or a statistics object."""
    found, wanted = found_of(difference, Attachment), wanted_of(difference, Attachment)
    columns = {target.partition("=")[0] for target in wanted.targets}
    reset = tuple(f"{column}=-1" for column in (t.partition("=")[0] for t in found.targets) if column not in columns)
    if wanted.kind == "statistics":
        reset = () if wanted.targets else ("-1",)
    yield from _set_targets(relation_of(difference), replace(wanted, targets=(*wanted.targets, *reset)))


def _set_targets(relation: Relation, attachment: Attachment) -> Iterator[Step]:
    name = sql.Identifier(attachment.schema or relation.schema, attachment.name)
    for item in attachment.targets:
        column, _, target = item.rpartition("=")
        at = f"ALTER COLUMN {column}" if column else None
        yield Step(Phase.BEHAVIOUR, join("ALTER", attachment.kind.upper(), name, at, "SET STATISTICS", target))


def _uses_of_index(difference: Difference) -> Iterator[Step]:
    """Restore the use of an index that was created again for CLUSTER or as replica identity."""
    relation, found, wanted = relation_of(difference), difference.found, difference.wanted
    if not isinstance(found, Attachment | Constraint) or not isinstance(wanted, Attachment | Constraint):
        return
    name = sql.Identifier(wanted.name)
    if relation.clustered_on == found.name:
        yield alter(relation, Phase.CONSTRAINTS, "CLUSTER ON", name)
    if relation.replica_identity in [f"USING INDEX {spelled}" for spelled in spellings(found.name)]:
        yield alter(relation, Phase.CONSTRAINTS, "REPLICA IDENTITY USING INDEX", name)


def create_attachment(relation: Relation, attachment: Attachment, phase: Phase | None = None) -> Iterator[Step]:
    """Create an index, statistics object, rule, trigger or policy of *relation*, and enable or disable it."""
    name = sql.Identifier(attachment.name)
    if attachment.kind == "index":
        unique = "UNIQUE" if attachment.unique else None
        statement = join("CREATE", unique, "INDEX", name, "ON", named(relation), define(attachment.definition))
        yield Step(phase or Phase.KEYS, statement, _WHILE_BUILT)
        yield from _set_targets(relation, attachment)
        return
    phase = phase or Phase.BEHAVIOUR
    yield Step(phase, define(attachment.definition.rstrip(";")), "keeps writers waiting")
    yield from _set_targets(relation, attachment)
    if attachment.enabled in _SWITCHES:
        yield alter(relation, phase, _SWITCHES[attachment.enabled], attachment.kind.upper(), name)


def remove_attachment(relation: Relation, attachment: Attachment) -> Step:
    """Drop an index, statistics object, rule, trigger or policy of *relation*."""
    word, name = attachment.kind.upper(), sql.Identifier(attachment.name)
    if attachment.kind in ("index", "statistics"):
        qualified = sql.Identifier(attachment.schema or relation.schema, attachment.name)
        return Step(Phase.DROP, join("DROP", word, "IF EXISTS", qualified), _BRIEFLY)
    return Step(Phase.CLEAR, join("DROP", word, "IF EXISTS", name, "ON", named(relation)), _BRIEFLY)


def _is_plain(columns: str) -> bool:
    """Return whether nothing follows the columns of a key, so that an index has the same definition."""
    further = (" INCLUDE (", " WITHOUT OVERLAPS", " WITH (")
    return columns.endswith(")") and not any(word in columns for word in further)
