"""Histories in other spellings: names with capitals and punctuation, keywords in capitals, comments between words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from migrations_engine import DeployReport
from tests.support.spelling import Spelling, spelled, spellings, words_of_server
from tests.support.structure import structure_without_names_of_not_null

from .conftest import Tenant
from .old_and_new.history import History
from .test_old_equals_new import HISTORIES

SPELLED: Final = {
    "a table moves to another schema and is altered there": ("capitals", "comments", "punctuated"),
    "a partition is detached, and declared as a table": ("comments", "mixed"),
    "a child leaves its parent, and is declared without it": ("comments",),
    "one file gains everything that a new table in it needs": ("capitals", "comments", "punctuated"),
    "keys of a partition are declared, and a migration makes them parts of keys of its parent": ("mixed",),
    "a migration drops a column and all that used it, which is declared still": ("punctuated",),
    "an exclusion constraint over a function and a predicate": ("punctuated",),
    "a migration renames a type that is declared by its new name": ("punctuated",),
    "a migration makes a materialized view with other columns, and an index on them": ("punctuated",),
    "an index that is the replica identity, and by which the table is clustered, is made again": ("mixed",),
    "a migration changes the type of a column under views, a policy and a function": ("long", "punctuated"),
    "a parameter with a default is added, and other functions, a view, a check, an index and a trigger call it": (
        "long",
    ),
}
NAMES_OF_NOT_NULL: Final = r'\w+_not_null|"(?:[^"]|"")+_not_null"'
CASES: Final = [(name, spelling) for name, chosen in SPELLED.items() for spelling in chosen]


@pytest.fixture(scope="module")
def by_name(superuser_url: str) -> dict[str, Spelling]:
    return spellings(words_of_server(superuser_url))


@pytest.mark.parametrize(("name", "spelling"), CASES)
def test_another_spelling_changes_nothing_but_names(
    tenant: Tenant, make_database: Callable[[], str], by_name: dict[str, Spelling], name: str, spelling: str
):
    history, other = next(one for one in HISTORIES if one.name == name), by_name[spelling]
    plain, fresh = Tenant(make_database()), Tenant(make_database())
    expected = _play(plain, history, lambda text: text)
    report = _play(tenant, history, other)
    fresh.register(spelled(history.versions[-1], other))
    ours, theirs = (structure_without_names_of_not_null(one.conninfo, NAMES_OF_NOT_NULL) for one in (tenant, fresh))
    assert ours == theirs
    assert _changes(report) == _changes(expected)
    assert len(report.warnings) == len(expected.warnings)
    assert report.differences == ()


def _play(tenant: Tenant, history: History, spelling: Spelling) -> DeployReport:
    first, *later = (spelled(version, spelling) for version in history.versions)
    report = tenant.register(first)
    if history.rows:
        tenant.execute(spelling(history.rows))
    for version in later:
        report = tenant.migrate(version)
    return report


def _changes(report: DeployReport) -> list[tuple[str, int]]:
    found = report.schema_validation
    changes = (*found.safe_changes, *found.dataloss_changes, *found.incompatible_changes)
    return sorted((change.change_type, change.rows_at_risk or 0) for change in changes)
