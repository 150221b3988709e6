"""Every pair of the corpus in both directions: what it is judged to be, and that the safe part makes itself away."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from _pytest.mark import ParameterSet

from migrations_engine.diff import Difference, diff_catalogs

from .conftest import NUMBERS, Laboratory, spelled
from .corpus import CASES, Case
from .object_corpus import OBJECT_CASES

#: Safe differences that this room makes no statement for: types stay.
LEFT_ALONE = {"drop_type"}


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
    assert len(NUMBERS) == len([*CASES, *OBJECT_CASES]) >= 390


@pytest.mark.parametrize("direction", directions(CASES))
def test_going_from_one_schema_to_another(laboratory, direction: Direction):
    go(laboratory, direction)


@pytest.mark.parametrize("direction", directions(OBJECT_CASES))
def test_going_from_one_schema_of_objects_to_another(superuser_laboratory, direction: Direction):
    go(superuser_laboratory, direction)


def go(laboratory: Laboratory, direction: Direction):
    case, way, expected = direction
    if laboratory.version < case.since:
        return
    change = laboratory.change(case, way)
    diff, wanted = change.diff, change.wanted

    assert [summary(difference) for difference in diff.changes] == list(expected)
    assert bool(diff.warnings) == case.named

    left = diff_catalogs(actual=change.after, declared=wanted, complete=wanted, formerly=change.before).changes
    remaining = [item for item in diff.changes if item.compatibility != "safe" or item.change_type in LEFT_ALONE]
    assert [(item.change_type, item.table, item.name) for item in left] == [
        (item.change_type, item.table, item.name) for item in remaining
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_schema_does_not_differ_from_itself(laboratory: Laboratory, case: Case):
    for way, text in (("there", case.one), ("back", case.other)):
        if laboratory.version >= case.since:
            again, first = laboratory.change(case, way).before, laboratory.catalog_of(spelled(case, text))
            diff = diff_catalogs(actual=again, declared=first, complete=first, formerly=None)
            assert (diff.changes, diff.warnings) == ((), ())
