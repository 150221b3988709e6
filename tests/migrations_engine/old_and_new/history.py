"""A history of a database, and parts of schemas that several histories use."""

from __future__ import annotations

from dataclasses import dataclass

from tests.migrations_engine.conftest import files

T = "CREATE TABLE t (id int PRIMARY KEY, a int, b text);"
VIEW = "CREATE VIEW v AS SELECT a, b FROM t;"
TR = "CREATE OR REPLACE FUNCTION tr() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
GIVEN = "CREATE TRIGGER g BEFORE {} ON t FOR EACH ROW EXECUTE FUNCTION tr();"
MADE = "tables/t.pssql declares {}, migrations/001.pssql {}; new databases get {}"


@dataclass(frozen=True, kw_only=True)
class History:
    """Versions of a schema, and what the application wrote between the first and the second."""

    name: str
    versions: tuple[dict[str, str], ...]
    rows: str = ""
    warnings: tuple[str, ...] = ()  #: of the last deploy, a part of each
    dangers: tuple[str, ...] = ()  #: dataloss changes of the last deploy, with the rows and the file
    differs: bool = False  #: the last deploy names what differs from a new database


def tables(text: str, migrations: str = "", **more: str) -> dict[str, str]:
    """Return a schema with one file of tables, and migrations divided by ``--``."""
    return files(text, *(part for part in migrations.split("--") if part.strip()), **more)
