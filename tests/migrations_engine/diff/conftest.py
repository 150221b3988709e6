"""An empty database per server version, used again for every case: each works in a transaction that is rolled back."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from migrations_engine.catalog import count_rows_at_risk, read_catalog
from migrations_engine.deploy.ddl.alterations import alterations
from migrations_engine.diff import CatalogDiff, diff_catalogs
from migrations_engine.model import Catalog
from tests.support.servers import ServerUrls, has_vector, server_versions

from .corpus import CASES, OBJECT_CASES, Case

VERSIONS = server_versions(16, 18)
NUMBERS = {case.name: number for number, case in enumerate([*CASES, *OBJECT_CASES])}
_numbers = count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One direction of a case: the catalogs before and as wanted, what they differ in, and what was done."""

    before: Catalog
    wanted: Catalog
    diff: CatalogDiff
    statements: tuple[bytes, ...]
    after: Catalog

    @property
    def is_done(self) -> bool:
        """Whether nothing was left to a file, a migration or people."""
        left = {"add_table", "drop_schema", "drop_type"}
        return not self.diff.warnings and all(
            item.compatibility == "safe" and item.change_type not in left for item in self.diff.changes
        )


def spelled(case: Case, text: str) -> str:
    """The SQL of one side of a case, with names that no other case uses for what belongs to no schema."""
    return text.replace("#", "" if case.alone else f"_case{NUMBERS[case.name]}")


def comparable(catalog: Catalog) -> object:
    """What a catalog says, less the order of columns and of what has none."""

    def ordered(value: object) -> object:
        if isinstance(value, dict):
            return {key: ordered(item) for key, item in value.items()}
        if isinstance(value, list):
            return sorted((ordered(item) for item in value), key=repr)
        return value

    return ordered(json.loads(catalog.to_json()))


class Laboratory:
    """A server where SQL is tried and rolled back. The result of every case is computed once."""

    def __init__(self, connection: psycopg.Connection, version: int) -> None:
        connection.prepare_threshold = None
        self.connection = connection
        self.has_vector = has_vector(connection)
        self.version = version
        self._catalogs: dict[str, Catalog] = {}
        self._changes: dict[tuple[str, str, bool], Change] = {}

    def knows(self, case: Case) -> bool:
        """Whether the server has all that *case* needs; pgvector is not part of every PostgreSQL."""
        return self.version >= case.since and (self.has_vector or "vector" not in case.one + case.other)

    def catalog_of(self, text: str) -> Catalog:
        if text not in self._catalogs:
            with self.loaded(text):
                self._catalogs[text] = self._read()
        return self._catalogs[text]

    def _read(self) -> Catalog:
        self.connection.execute("SET LOCAL search_path = public")  # another one makes the query be planned again
        return read_catalog(self.connection)

    @contextmanager
    def loaded(self, text: str) -> Iterator[psycopg.Connection]:
        with self.connection.transaction(force_rollback=True):
            self.connection.execute(text.encode())
            yield self.connection

    def change(self, case: Case, way: str, *, with_rows: bool = True) -> Change:
        """Go *there* or *back*, in tables that have the rows of the case or none."""
        rows = case.rows if way == "there" else case.rows_back
        key = (case.name, way, with_rows and bool(rows))
        if key not in self._changes:
            self._changes[key] = self._change(case, way, rows if with_rows else "")
        return self._changes[key]

    def _change(self, case: Case, way: str, rows: str) -> Change:
        old, new = (spelled(case, text) for text in (case.one, case.other)[:: 1 if way == "there" else -1])
        wanted = self.catalog_of(new)
        with self.loaded(old) as connection:
            before = self._read()
            if rows:
                connection.execute(rows.encode())
            diff = diff_catalogs(actual=before, wanted=wanted, former=before)
            diff = count_rows_at_risk(connection, diff, 5000)
            statements = tuple(alteration.sql for alteration in alterations(diff))
            for statement in statements:
                connection.execute(statement)
            after = self._read()
        return Change(before=before, wanted=wanted, diff=diff, statements=statements, after=after)


@pytest.fixture(scope="session")
def laboratories(server_urls: Callable[[int], ServerUrls]) -> Iterator[Callable[[int], tuple[Laboratory, Laboratory]]]:
    """Return the laboratories on a server of a version, of an ordinary role and of the superuser."""
    made: dict[int, tuple[Laboratory, Laboratory]] = {}
    with ExitStack() as stack:

        def of_version(version: int) -> tuple[Laboratory, Laboratory]:
            if version not in made:
                urls = server_urls(version)
                superuser = ServerUrls(ordinary=urls.superuser, superuser=urls.superuser)
                ordinary, privileged = (stack.enter_context(_laboratory(each, version)) for each in (urls, superuser))
                made[version] = ordinary, privileged
            return made[version]

        yield of_version


@pytest.fixture(scope="session", params=VERSIONS, ids=lambda version: f"pg{version}")
def laboratory(request, laboratories: Callable[[int], tuple[Laboratory, Laboratory]]) -> Laboratory:
    return laboratories(request.param)[0]


@pytest.fixture(scope="session", params=VERSIONS, ids=lambda version: f"pg{version}")
def superuser_laboratory(request, laboratories: Callable[[int], tuple[Laboratory, Laboratory]]) -> Laboratory:
    """For kinds that an ordinary role cannot make."""
    return laboratories(request.param)[1]


@contextmanager
def _laboratory(urls: ServerUrls, version: int) -> Iterator[Laboratory]:
    name = f"test_diff_{os.getpid()}_{next(_numbers)}"
    with ExitStack() as stack:
        with psycopg.connect(urls.ordinary, autocommit=True) as admin:
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        dropper = stack.enter_context(psycopg.connect(urls.superuser, autocommit=True))
        stack.callback(dropper.execute, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        with psycopg.connect(make_conninfo(urls.superuser, dbname=name)) as superuser:
            if has_vector(superuser):
                superuser.execute("CREATE EXTENSION vector")
        conninfo = make_conninfo(urls.ordinary, dbname=name)
        connection = stack.enter_context(psycopg.connect(conninfo, autocommit=True))
        yield Laboratory(connection, version)
