"""Every pair of the corpus in both directions.

How each change is judged, that the safe ones leave no difference, and pg_dump as the judge: the model distinguishes
what it distinguishes, and its dump of an altered database equals a new one's.

Most cases share a database per stage, so that one dump shows all of them: each is made in the schema ``public``, as an
application makes it, which then gets the name of the case.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import psycopg
import pytest
from _pytest.mark import ParameterSet
from psycopg import sql
from psycopg.conninfo import make_conninfo

from gateway.databases.catalog import drop_database
from migrations_engine.diff import Difference, diff_catalogs
from tests.support.servers import ServerUrls, has_vector
from tests.support.structure import structure_of

from .conftest import NUMBERS, VERSIONS, Change, Laboratory, comparable, spelled
from .corpus import CASES, OBJECT_CASES, Case

ALL = [*CASES, *OBJECT_CASES]
STAGES = ("one", "other", "there", "back")
_CASE = re.compile(r"case(\d+)")
_numbers = itertools.count()
#: Safe differences that this room makes no statement for: types stay.
LEFT_ALONE = {"drop_schema", "drop_type"}


class Direction(NamedTuple):
    """Going from one side of a case to the other."""

    case: Case
    way: str
    expected: tuple[str, ...]


def directions(cases: Sequence[Case]) -> list[ParameterSet]:
    there = [Direction(case, "there", case.there) for case in cases]
    back = [Direction(case, "back", case.back) for case in cases]
    return [pytest.param(item, id=f"{item.case.name}, {item.way}") for item in (*there, *back)]


def summary(difference: Difference) -> str:
    change = difference.as_change()
    subject = f"{change.table}.{change.column}" if change.column else change.table
    count = "" if change.rows_at_risk is None else f" {change.rows_at_risk}"
    return re.sub(r"_case\d+", "", f"{change.compatibility} {change.change_type} {subject}{count}")


def test_there_are_enough_cases():
    assert len(NUMBERS) == len([*CASES, *OBJECT_CASES]) >= 400


@pytest.mark.parametrize("direction", directions(CASES))
def test_going_from_one_schema_to_another(laboratory, direction: Direction):
    go(laboratory, direction)


@pytest.mark.parametrize("direction", directions(OBJECT_CASES))
def test_going_from_one_schema_of_objects_to_another(superuser_laboratory, direction: Direction):
    go(superuser_laboratory, direction)


def go(laboratory: Laboratory, direction: Direction):
    case, way, expected = direction
    if not laboratory.knows(case):
        return
    change = laboratory.change(case, way)
    diff, wanted = change.diff, change.wanted

    assert [summary(difference) for difference in diff.changes] == list(expected)
    assert bool(diff.warnings) == case.named

    left = diff_catalogs(actual=change.after, wanted=wanted, former=change.before).changes
    remaining = [item for item in diff.changes if item.compatibility != "safe" or item.change_type in LEFT_ALONE]
    assert [(item.change_type, item.table, item.name) for item in left] == [
        (item.change_type, item.table, item.name) for item in remaining
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_schema_does_not_differ_from_itself(laboratory: Laboratory, case: Case):
    for way, text in (("there", case.one), ("back", case.other)):
        if laboratory.knows(case):
            again, first = laboratory.change(case, way).before, laboratory.catalog_of(spelled(case, text))
            diff = diff_catalogs(actual=again, wanted=first)
            assert (diff.changes, diff.warnings) == ((), ())


class Judge:
    """Dumps of the cases at every stage on one server."""

    def __init__(self, laboratories: tuple[Laboratory, Laboratory], url: str) -> None:
        self._laboratories = laboratories
        self._url = url
        self._together: dict[str, dict[int, list[str]]] = {}

    def knows(self, case: Case) -> bool:
        return self._laboratories[0].knows(case)

    def change(self, case: Case, way: str) -> Change:
        """What is done in tables without rows."""
        laboratory = self._laboratories[case in OBJECT_CASES]
        change = laboratory.change(case, way)
        depends_on_rows = any(item.verdict.decided_by_rows for item in change.diff.changes)
        return laboratory.change(case, way, with_rows=False) if depends_on_rows else change

    def structure(self, case: Case, stage: str) -> list[str]:
        """The statements that a dump has for *case* at a stage."""
        if case.alone:
            with new_database(self._url) as conninfo:
                with psycopg.connect(conninfo) as connection:
                    self._make(connection, case, stage)
                return structure_of(conninfo)
        if stage not in self._together:
            self._together[stage] = self._dumped([case for case in ALL if self.knows(case) and not case.alone], stage)
        return self._together[stage].get(NUMBERS[case.name], [])

    def _dumped(self, cases: list[Case], stage: str) -> dict[int, list[str]]:
        with new_database(self._url) as conninfo:
            with psycopg.connect(conninfo, autocommit=True) as connection:
                connection.prepare_threshold = None
                connection.execute("DROP SCHEMA public; CREATE SCHEMA extensions")
                if has_vector(connection):
                    connection.execute("CREATE EXTENSION vector SCHEMA extensions")
                for case in cases:
                    with connection.transaction():
                        connection.execute("CREATE SCHEMA public; SET LOCAL search_path = public")
                        with extension_at_hand(connection, case):
                            self._make(connection, case, stage)
                        connection.execute(f"ALTER SCHEMA public RENAME TO case{NUMBERS[case.name]}")
            structure = structure_of(conninfo)
        found: dict[int, list[str]] = {}
        for text in structure:
            numbers = {int(number) for number in _CASE.findall(text)}
            assert len(numbers) <= 1, text
            for number in numbers:
                found.setdefault(number, []).append(text)
        return found

    def _make(self, connection: psycopg.Connection, case: Case, stage: str) -> None:
        """Bring a case to a stage."""
        connection.execute(spelled(case, case.one if stage in ("one", "there") else case.other).encode())
        if stage in ("there", "back"):
            connection.execute("SET LOCAL search_path = public")
            for statement in self.change(case, stage).statements:
                connection.execute(statement)


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda version: f"pg{version}")
def judge(
    request, laboratories: Callable[[int], tuple[Laboratory, Laboratory]], server_urls: Callable[[int], ServerUrls]
) -> Judge:
    return Judge(laboratories(request.param), server_urls(request.param).superuser)


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_the_model_distinguishes_what_pg_dump_distinguishes(judge: Judge, case: Case):
    if judge.knows(case):
        change = judge.change(case, "there")
        dumps_differ = judge.structure(case, "one") != judge.structure(case, "other")
        assert change.before != change.wanted or not dumps_differ
        assert change.diff.changes or change.diff.warnings or case.alike or not dumps_differ


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_an_altered_database_equals_a_new_one(judge: Judge, case: Case):
    for way, goal in (("there", "other"), ("back", "one")):
        stays = case.alike or (case.stays and way == "back")
        if judge.knows(case) and not stays and (change := judge.change(case, way)).is_done:
            assert judge.structure(case, way) == judge.structure(case, goal)
            assert comparable(change.after) == comparable(change.wanted)


@contextmanager
def extension_at_hand(connection: psycopg.Connection, case: Case) -> Iterator[None]:
    """Let a case that uses an extension find it in ``public``."""
    if "vector" not in case.one + case.other:
        yield
        return
    connection.execute("ALTER EXTENSION vector SET SCHEMA public")
    yield
    connection.execute("ALTER EXTENSION vector SET SCHEMA extensions")


@contextmanager
def new_database(url: str) -> Iterator[str]:
    name = f"test_dump_{os.getpid()}_{next(_numbers)}"
    conninfo = make_conninfo(url, dbname=name)
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        yield conninfo
        with psycopg.connect(conninfo, autocommit=True) as connection:
            for (subscription,) in connection.execute("SELECT subname FROM pg_subscription").fetchall():
                connection.execute(sql.SQL("DROP SUBSCRIPTION {}").format(sql.Identifier(subscription)))
        drop_database(admin, name)
