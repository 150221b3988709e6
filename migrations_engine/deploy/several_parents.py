"""Advice on columns that a table inherits from several parents: PostgreSQL refuses to give them another type."""

from __future__ import annotations

from typing import Final

from migrations_engine.deploy.session import DeploySession
from migrations_engine.queries import load_queries

_QUERIES: Final = load_queries(__package__)
REFUSED: Final = "42P16"  #: SQLSTATE


def advice_on_several_parents(session: DeploySession, table: tuple[str, str], column: str, type_name: str) -> str:
    """Return the statements for a migration that gives a column another type, as the end of a message.

    Empty if no child of the table inherits the column from another parent, too.

    :param table: its schema and name
    """
    schema, name = table
    facts = {"schema": schema, "name": name, "column": column}
    found = session.query(_QUERIES["other_parents"], facts).fetchall()
    if not found:
        return ""
    own, spelled, *_ = found[0]
    tables = dict.fromkeys([own, *(parent for *_, parent in found)])
    statements = [
        *(f"ALTER TABLE {child} NO INHERIT {parent}" for *_, child, parent in found),
        *(f"ALTER TABLE {one} ALTER COLUMN {spelled} TYPE {type_name}" for one in tables),
        *(f"ALTER TABLE {child} INHERIT {parent}" for *_, child, parent in found),
    ]
    children = ", ".join(dict.fromkeys(child for *_, child, _ in found))
    return f", because {children} inherits it from several tables; use a migration: {'; '.join(statements)}"
