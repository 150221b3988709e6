"""Adds declared columns to a table that migrations have created with the columns of its time.

A later release declared the column, and existing databases got it by comparison before a still later migration used it:
one, for instance, that creates the table anew under another name, moves the rows over, and gives it the name again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import psycopg

from migrations_engine.catalog import read_catalog
from migrations_engine.deploy.ddl import alterations
from migrations_engine.deploy.migrations.column_changes import column_changes
from migrations_engine.deploy.migrations.refusal import Refusal
from migrations_engine.deploy.session import DeploySession
from migrations_engine.diff import Difference, diff_catalogs
from migrations_engine.model import Catalog
from migrations_engine.source.attribution import bare_name, mentions_name
from migrations_engine.source.script import script_of
from migrations_engine.source.statements import SqlStatement

_NO_SUCH_COLUMN: Final = "42703"


def add_missing_columns(
    session: DeploySession, declared: Catalog, refusal: Refusal, later: Iterable[SqlStatement]
) -> bool:
    """Add the declared columns that the statement lacks, according to the error. Return whether there were any.

    One that its own file has dropped is missing by mistake. One that *later* statements drop is not the declared one.
    """
    if refusal.sqlstate != _NO_SUCH_COLUMN:
        return False
    earlier = (one for one in script_of(refusal.file).statements if one.start < refusal.statement.start)
    dropped = {(change.table, change.column) for change in column_changes((*earlier, *later)) if change.kind == "DROP"}

    def is_missing(item: Difference) -> bool:
        table, column = bare_name(item.table), item.name or ""
        is_named = mentions_name(refusal.message, column) and mentions_name(refusal.text, table)
        return item.change_type == "add_column" and is_named and (table, column) not in dropped

    diff = diff_catalogs(actual=read_catalog(session.connection), wanted=declared)
    missing = tuple(item.to_be_filled() for item in diff.changes if is_missing(item))
    try:
        with session.savepoint():
            for alteration in alterations(replace(diff, changes=missing)):
                session.run(alteration.sql, step="migrations", effect="added as declared, for a migration")
    except psycopg.Error:
        return False
    return bool(missing)
