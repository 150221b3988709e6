"""Names the changes of migrations that a new database lacks, because its seeders run after them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, cast

import psycopg
from psycopg import sql

from migrations_engine.deploy.migrations.created_as import fill_created
from migrations_engine.deploy.migrations.sequence_positions import nothing_kept
from migrations_engine.deploy.session import DeploySession
from migrations_engine.queries import load_queries
from migrations_engine.source.created_as import table_created_as
from migrations_engine.source.seeded_rows import DataChange

_QUERIES: Final = load_queries(__package__)
_DIGEST: Final = sql.SQL(
    "SELECT md5(string_agg(digest, '' ORDER BY digest)) "
    "FROM (SELECT DISTINCT md5({row}::text) AS digest FROM {table}) AS rows"
)


def unseeded_changes(session: DeploySession, changes: Sequence[DataChange]) -> tuple[str, ...]:
    """Return a sentence for each table in which *changes* would have an effect if they ran after the seeders.

    Tables that differ each time that they run are left out, because the seeders may define the result already. Nothing
    is changed in the end.

    :param changes: of the migrations of a new database, which has its seeded rows
    """
    if not changes:
        return ()
    with nothing_kept(session):
        seeded = _contents(session, changes)
        _run(session, changes)
        changed = _contents(session, changes)
        _run(session, changes)
        repeated = _contents(session, changes)
    return tuple(
        _sentence(label, [change for change in changes if name in change.tables])
        for (name, label), content in sorted(changed.items())
        if (name, label) in seeded and content != seeded[name, label] and content == repeated[name, label]
    )


def _run(session: DeploySession, changes: Sequence[DataChange]) -> None:
    """Run the statements; those that PostgreSQL refuses were written for tables of earlier releases, or add nothing."""
    for change in changes:
        statement = change.statement
        with session.search_path_of(statement):
            created = table_created_as(statement)
            if created is not None and not fill_created(session, statement, created):
                continue  # the table is there already
            with suppress(psycopg.Error), session.savepoint():
                session.query(statement.text.encode())


def _contents(session: DeploySession, changes: Sequence[DataChange]) -> dict[tuple[str, str], str | None]:
    """Return a digest of the different rows of each changed table, by its name and its printed name.

    Columns with a computed default, such as numbers, are left out: they differ in rows that are otherwise the same.
    """
    names = sorted({name for change in changes for name in change.tables})
    tables = session.query(_QUERIES["columns_without_computed_default"], {"names": names}).fetchall()
    return {(name, label): _digest(session, label, columns) for name, label, columns in tables}


def _digest(session: DeploySession, label: str, columns: Sequence[str] | None) -> str | None:
    row = sql.SQL("ROW({})").format(sql.SQL(", ").join(map(sql.Identifier, columns or ())))
    [(digest,)] = session.query(_DIGEST.format(row=row, table=sql.SQL(label))).fetchall()
    return cast("str | None", digest)


def _sentence(table: str, changes: Sequence[DataChange]) -> str:
    places = list(dict.fromkeys(f"{change.file.label}, line {change.statement.start_line}," for change in changes))
    verb = "changes" if len(places) == 1 else "change"
    return (
        f"{' and '.join(places)} {verb} rows of {table} with the help of rows of seeders/, which a new database gets "
        "only after its migrations; new databases lack the result: define it in seeders/"
    )
