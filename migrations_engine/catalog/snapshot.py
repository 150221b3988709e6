"""Reading a database's whole catalog in one statement."""

from __future__ import annotations

from typing import Final

import psycopg

from migrations_engine.model import Catalog
from migrations_engine.queries import load_queries

_CATALOG: Final = load_queries("migrations_engine.catalog")["catalog"]


def read_catalog(connection: psycopg.Connection) -> Catalog:
    """Read everything the application has in *connection*'s database, as this transaction sees it.

    One statement. It gives the same answer whatever the session's search_path, DateStyle and the like are, and leaves
    them as they were. Raises what the driver raises.
    """
    with connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        row = cursor.execute(_CATALOG).fetchone()
    assert row is not None
    return Catalog.from_json(row[0])
