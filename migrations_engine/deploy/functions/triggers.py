"""Triggers of ``functions/``, also on tables that only migrations create, which the comparison knows nothing of."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import psycopg
from psycopg import sql

from migrations_engine.deploy.file_runner import UNDEFINED
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import FunctionDeployFailed
from migrations_engine.schema import Schema
from migrations_engine.source.names import NamedObject, created_name, dropped_names
from migrations_engine.source.script import statements_of
from migrations_engine.source.statements import SqlStatement


def trigger_drops(schema: Schema) -> frozenset[str]:
    """Return the statements that drop the triggers of ``functions/``, for the deploy that has some no more."""
    return frozenset(_remaining(statements_of(schema.functions)))


def drop_triggers(session: DeploySession, earlier: Collection[str], schema: Schema) -> None:
    """Run those of *earlier*, :func:`trigger_drops` of the last deploy's files, whose triggers are in no file any more.

    :raises FunctionDeployFailed: PostgreSQL refused one, and its table exists
    """
    kept = _remaining(statements_of((*schema.types, *schema.tables, *schema.migrations, *schema.functions)))
    for text in sorted({*earlier} - kept):
        try:
            with session.savepoint():
                session.run(text.encode(), step="functions", effect="drops what was removed from the files")
        except psycopg.Error as exc:
            if exc.sqlstate not in UNDEFINED:
                raise session.failure(exc, FunctionDeployFailed, what=text) from exc
        else:
            session.log("take_back", text)


def _remaining(statements: Iterable[SqlStatement]) -> set[str]:
    """Return the statements that drop the triggers which *statements* create, and do not drop later."""
    found: set[str] = set()
    for statement in statements:
        found.difference_update(_drop_of(dropped) for dropped in dropped_names(statement) if dropped.kind == "TRIGGER")
        made = created_name(statement)
        if made is not None and made.kind == "TRIGGER":
            found.add(_drop_of(made))
    return found


def _drop_of(trigger: NamedObject) -> str:
    assert trigger.name is not None
    table = sql.Identifier(*(part for part in trigger.table or () if part is not None))
    return sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(trigger.name), table).as_string(None)
