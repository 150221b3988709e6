"""Every pair of the corpus in both directions: what it is judged to be, and that the safe part makes itself away."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import pytest
from _pytest.mark import ParameterSet

from migrations_engine.catalog import count_rows_at_risk, read_catalog
from migrations_engine.deploy.ddl.alterations import alterations
from migrations_engine.diff import Difference, diff_catalogs

from .corpus import CASES, Case
from .object_corpus import OBJECT_CASES


class Direction(NamedTuple):
    """Going from one side of a case to the other."""

    case: Case
    old: str
    new: str
    rows: str
    expected: tuple[str, ...]


def directions(cases: Sequence[Case]) -> list[ParameterSet]:
    there = [(case, "there", Direction(case, case.one, case.other, case.rows, case.there)) for case in cases]
    back = [(case, "back", Direction(case, case.other, case.one, case.rows_back, case.back)) for case in cases]
    return [pytest.param(direction, id=f"{case.name}, {way}") for case, way, direction in (*there, *back)]


#: Safe differences that this room makes no statement for: types stay.
LEFT_ALONE = {"drop_type"}


@cache
def catalog_of(laboratory, text):
    return laboratory.catalog_of(text)


def told(difference: Difference) -> str:
    change = difference.as_change()
    subject = f"{change.table}.{change.column}" if change.column else change.table
    count = "" if change.rows_at_risk is None else f" {change.rows_at_risk}"
    return f"{change.compatibility} {change.change_type} {subject}{count}"


def test_there_are_enough_cases():
    cases = [*CASES, *OBJECT_CASES]
    assert len({case.name for case in cases}) == len(cases) >= 390


@pytest.mark.parametrize("direction", directions(CASES))
def test_going_from_one_schema_to_another(laboratory, direction: Direction):
    go(laboratory, direction)


@pytest.mark.parametrize("direction", directions(OBJECT_CASES))
def test_going_from_one_schema_of_objects_to_another(superuser_laboratory, direction: Direction):
    go(superuser_laboratory, direction)


def go(laboratory, direction: Direction):
    case, old, new, rows, expected = direction
    if laboratory.version < case.since:
        return
    found, wanted = catalog_of(laboratory, old), catalog_of(laboratory, new)
    with laboratory.loaded(old) as connection:
        connection.execute(rows.encode())
        diff = diff_catalogs(actual=found, declared=wanted, complete=wanted, formerly=found)
        diff = count_rows_at_risk(connection, diff, 5000)

        assert [told(difference) for difference in diff.changes] == list(expected)
        assert bool(diff.warnings) == case.named

        for alteration in alterations(diff):
            connection.execute(alteration.sql)
        left = diff_catalogs(actual=read_catalog(connection), declared=wanted, complete=wanted, formerly=found).changes
    remaining = [item for item in diff.changes if item.compatibility != "safe" or item.change_type in LEFT_ALONE]
    assert [(item.change_type, item.table, item.name) for item in left] == [
        (item.change_type, item.table, item.name) for item in remaining
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_schema_does_not_differ_from_itself(laboratory, case: Case):
    for text in (case.one, case.other):
        with laboratory.loaded(text) as connection:
            again = read_catalog(connection)
        first = catalog_of(laboratory, text)
        diff = diff_catalogs(actual=again, declared=first, complete=first, formerly=None)
        assert (diff.changes, diff.warnings) == ((), ())
