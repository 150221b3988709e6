"""DDL for columns whose values are drawn from sequences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from psycopg import sql

from migrations_engine.deploy.ddl.columns import alter_column, own, value_of
from migrations_engine.deploy.ddl.steps import (
    Phase,
    Step,
    found_of,
    join,
    named,
    relation_of,
    temporary_name,
    wanted_of,
)
from migrations_engine.deploy.ddl.types import create_sequence
from migrations_engine.diff import Difference
from migrations_engine.model import Column, Relation, Sequence

_DRAWN: Final = re.compile(r"nextval\(('(?:[^']|'')+'::regclass)\)")  #: a default, with its sequence
#: Gives a new sequence the privileges and the comment of an earlier one.
_KEEP_PRIVILEGES: Final = """DO $$
DECLARE command text;
BEGIN
    FOR command IN
        SELECT format('GRANT %s ON SEQUENCE %s TO %s%s', acl.privilege_type, {new}::regclass,
                      CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE acl.grantee::regrole::text END,
                      CASE WHEN acl.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
          FROM pg_catalog.pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS acl
         WHERE c.oid = {earlier}::regclass AND acl.grantee <> c.relowner
        UNION ALL
        SELECT format('COMMENT ON SEQUENCE %s IS %L', {new}::regclass, comment)
          FROM obj_description({earlier}::regclass, 'pg_class') AS comment WHERE comment IS NOT NULL
    LOOP
        EXECUTE command;
    END LOOP;
END $$"""


def alter_default(difference: Difference) -> Iterator[Step]:
    """Set or drop the default. The sequence of a serial column continues after the existing numbers."""
    relation, wanted = relation_of(difference), wanted_of(difference, Column)
    if wanted.is_serial and wanted.sequence is not None:
        sequence = sql.Literal(named(wanted.sequence).as_string(None))
        yield Step(Phase.COLUMNS, create_sequence(wanted.sequence, even_if_there=True))
        yield own(relation, wanted, wanted.sequence)
        yield alter_column(difference, "SET DEFAULT", sql.SQL("nextval({}::regclass)").format(sequence))
        yield _move_on(relation, wanted, sequence)
    elif wanted.default is not None and not wanted.generated:
        yield alter_column(difference, "SET DEFAULT", wanted.default)
        if drawn := _DRAWN.fullmatch(wanted.default):
            yield _move_on(relation, wanted, sql.SQL(drawn[1]))
    else:
        yield alter_column(difference, "DROP DEFAULT")


def alter_identity(difference: Difference) -> Iterator[Step]:
    """Add, change or drop the identity of a column. The numbers of a sequence continue where they are."""
    relation, found, wanted = relation_of(difference), found_of(difference, Column), wanted_of(difference, Column)
    if wanted.identity is not None and found.identity is not None:
        yield alter_column(difference, "SET GENERATED", wanted.identity)
    elif found.sequence is not None and wanted.sequence is not None:
        yield from _replace_sequence(difference, found.sequence, wanted.sequence)
    elif wanted.identity is None:
        yield alter_column(difference, "DROP IDENTITY")
    else:
        if found.default is not None:
            yield alter_column(difference, "DROP DEFAULT")
        yield alter_column(difference, "ADD", *value_of(wanted))
        table, column = sql.Literal(named(relation).as_string(None)), sql.Literal(wanted.name)
        yield _move_on(relation, wanted, sql.SQL("pg_get_serial_sequence({}, {})").format(table, column))
        drawn = _DRAWN.fullmatch(found.default or "")
        if drawn and wanted.sequence is not None:
            yield _continue(wanted.sequence, sql.SQL(drawn[1]))


def _replace_sequence(difference: Difference, found: Sequence, wanted: Sequence) -> Iterator[Step]:
    """Make an identity column of a serial one, or the other way round, with a new sequence at the same position."""
    relation, column = relation_of(difference), wanted_of(difference, Column)
    earlier = sql.Identifier(found.schema, temporary_name(found.name))
    new = sql.Literal(named(wanted).as_string(None))
    continuing = sql.SQL("SELECT setval({}, last_value, is_called) FROM {}").format(new, earlier)
    keeping = sql.SQL(_KEEP_PRIVILEGES).format(earlier=sql.Literal(earlier.as_string(None)), new=new)
    renaming = join("ALTER SEQUENCE", named(found), "RENAME TO", sql.Identifier(temporary_name(found.name)))
    yield Step(Phase.COLUMNS, renaming)
    if column.identity is not None:
        yield alter_column(difference, "DROP DEFAULT")
        yield alter_column(difference, "ADD", *value_of(column))
        yield Step(Phase.COLUMNS, continuing)
        yield Step(Phase.COLUMNS, keeping)
        yield Step(Phase.COLUMNS, join("DROP SEQUENCE", earlier))
        return
    yield Step(Phase.COLUMNS, create_sequence(wanted))
    yield Step(Phase.COLUMNS, continuing)
    yield Step(Phase.COLUMNS, keeping)
    yield alter_column(difference, "DROP IDENTITY")
    yield alter_column(difference, "SET", *value_of(column))
    yield own(relation, column, wanted)


def _move_on(relation: Relation, column: Column, sequence: sql.Composable) -> Step:
    """Set a sequence that is new to a column to the highest number in it, unless it has drawn a higher one."""
    highest = sql.SQL("max({})").format(sql.Identifier(column.name))
    least = sql.Literal(column.sequence.minimum if column.sequence else 1)
    drawn = sql.SQL("coalesce(pg_sequence_last_value({}::regclass), {})").format(sequence, least)
    call = sql.SQL("SELECT setval({}, {}) FROM {} HAVING {} >= {}").format(
        sequence, highest, named(relation), highest, drawn
    )
    return Step(Phase.COLUMNS, call)


def _continue(sequence: Sequence, other: sql.Composable) -> Step:
    """Set a new *sequence* to the last number of an *other* one, if that is higher."""
    new, least = sql.Literal(named(sequence).as_string(None)), sql.Literal(sequence.minimum)
    call = sql.SQL(
        "SELECT setval({new}, last) FROM pg_sequence_last_value({other}) AS last"
        " WHERE last >= coalesce(pg_sequence_last_value({new}::regclass), {least})"
    ).format(new=new, other=other, least=least)
    return Step(Phase.COLUMNS, call)
