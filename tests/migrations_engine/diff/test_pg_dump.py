"""pg_dump as the judge: what it tells apart, the model tells apart; and what was altered, it does not tell from new.

Most cases share a database per stage, each in a schema of its own, so that one dump shows all of them.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from migrations_engine.catalog import count_rows_at_risk, read_catalog
from migrations_engine.deploy.ddl.alterations import alterations
from migrations_engine.diff import CatalogDiff, diff_catalogs
from migrations_engine.model import Catalog
from tests.support.servers import ServerUrls
from tests.support.structure import structure_of

from .conftest import VERSIONS, Laboratory
from .corpus import CASES, Case
from .object_corpus import OBJECT_CASES

ALL = dict(enumerate([*CASES, *OBJECT_CASES]))
STAGES = ("one", "other", "there", "back")
_CASE = re.compile(r"case(\d+)")
_numbers = itertools.count()


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
        left = {"add_table", "drop_type"}
        return not self.diff.warnings and all(
            item.compatibility == "safe" and item.change_type not in left for item in self.diff.changes
        )


@dataclass(frozen=True, slots=True)
class Judgements:
    """What became of every case on one server."""

    changes: dict[tuple[int, str], Change]
    structures: dict[tuple[int, str], list[str]]  #: by case and stage


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda version: f"pg{version}")
def judgements(request, server_urls: Callable[[int], ServerUrls]) -> Judgements:
    version, url = request.param, server_urls(request.param).superuser
    cases = {number: case for number, case in ALL.items() if case.since <= version}
    with new_database(url) as conninfo, psycopg.connect(conninfo, autocommit=True) as connection:
        laboratory = Laboratory(connection, version)
        changes = dict(itertools.chain.from_iterable(both_ways(laboratory, n, case) for n, case in cases.items()))
    structures: dict[tuple[int, str], list[str]] = {}
    for stage in STAGES:
        together = {number: case for number, case in cases.items() if not case.alone}
        for group in (together, *({number: case} for number, case in cases.items() if case.alone)):
            found = dumped(url, {number: scripts(number, case, stage, changes) for number, case in group.items()})
            structures |= {(number, stage): found.get(number, []) for number in group}
    return Judgements(changes, structures)


@pytest.mark.parametrize("number", ALL, ids=[case.name for case in ALL.values()])
def test_what_pg_dump_tells_apart_the_model_tells_apart(judgements: Judgements, number):
    if (number, "there") in judgements.changes:
        change = judgements.changes[number, "there"]
        dumps_differ = judgements.structures[number, "one"] != judgements.structures[number, "other"]
        assert change.before != change.wanted or not dumps_differ
        assert change.diff.changes or change.diff.warnings or ALL[number].alike or not dumps_differ


@pytest.mark.parametrize("number", ALL, ids=[case.name for case in ALL.values()])
def test_what_was_altered_is_what_would_have_been_made(judgements: Judgements, number):
    for way, goal in (("there", "other"), ("back", "one")):
        change = judgements.changes.get((number, way))
        stays = ALL[number].alike or (ALL[number].stays and way == "back")
        if change is not None and change.is_done and not stays:
            assert judgements.structures[number, way] == judgements.structures[number, goal]
            assert comparable(change.after) == comparable(change.wanted)


@contextmanager
def new_database(url: str) -> Iterator[str]:
    name = f"test_dump_{os.getpid()}_{next(_numbers)}"
    conninfo = make_conninfo(url, dbname=name)
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        with psycopg.connect(conninfo) as connection:
            connection.execute("CREATE EXTENSION vector")
        yield conninfo
        with psycopg.connect(conninfo, autocommit=True) as connection:
            for (subscription,) in connection.execute("SELECT subname FROM pg_subscription").fetchall():
                connection.execute(sql.SQL("DROP SUBSCRIPTION {}").format(sql.Identifier(subscription)))
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def placed(number: int, case: Case, text: str) -> str:
    """The SQL of one side of a case in a schema that only this case uses."""
    if case.alone:
        return text.replace("#", "")
    schema = f"case{number}"
    return f"CREATE SCHEMA {schema}; SET LOCAL search_path = {schema}, public; {text.replace('#', f'_{schema}')}"


def both_ways(laboratory: Laboratory, number: int, case: Case) -> Iterator[tuple[tuple[int, str], Change]]:
    one, other = (placed(number, case, text) for text in (case.one, case.other))
    catalogs = {text: laboratory.catalog_of(text) for text in (one, other)}
    for way, old, new in (("there", one, other), ("back", other, one)):
        before, wanted = catalogs[old], catalogs[new]
        with laboratory.loaded(old) as connection:
            diff = diff_catalogs(actual=before, declared=wanted, complete=wanted, formerly=before)
            diff = count_rows_at_risk(connection, diff, 5000)
            statements = tuple(alteration.sql for alteration in alterations(diff))
            connection.execute("SET LOCAL search_path = public")
            for statement in statements:
                connection.execute(statement)
            after = read_catalog(connection)
        change = Change(before=before, wanted=wanted, diff=diff, statements=statements, after=after)
        yield (number, way), change


def scripts(number: int, case: Case, stage: str, changes: dict[tuple[int, str], Change]) -> list[bytes]:
    """The statements that bring a case to a stage."""
    text = placed(number, case, case.one if stage in ("one", "there") else case.other)
    altered = changes[number, stage].statements if stage in ("there", "back") else ()
    return [text.encode(), b"SET LOCAL search_path = public", *altered]


def dumped(url: str, cases: dict[int, list[bytes]]) -> dict[int, list[str]]:
    """The structure of each case, when all of them were loaded into one database."""
    with new_database(url) as conninfo:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            for statements in cases.values():
                with connection.transaction():
                    for statement in statements:
                        connection.execute(statement)
        structure = structure_of(conninfo)
    if len(cases) == 1:
        return dict.fromkeys(cases, structure)
    found: dict[int, list[str]] = {}
    for text in structure:
        numbers = {int(number) for number in _CASE.findall(text)}
        assert len(numbers) <= 1, text
        for number in numbers:
            found.setdefault(number, []).append(text)
    return found


def comparable(catalog: Catalog) -> object:
    """What a catalog says, less the order of columns and of what has none."""

    def ordered(value: object) -> object:
        if isinstance(value, dict):
            return {key: ordered(item) for key, item in value.items()}
        if isinstance(value, list):
            return sorted((ordered(item) for item in value), key=repr)
        return value

    return ordered(json.loads(catalog.to_json()))
