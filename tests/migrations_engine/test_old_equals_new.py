"""Histories after which an old database must equal a new one of the same schema."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.servers import require_vector

from .conftest import Tenant
from .histories.checks import structure
from .old_and_new import functions_and_views, members, search_paths, tables, types
from .old_and_new.history import History

HISTORIES = (
    *(*tables.HISTORIES, *members.HISTORIES, *types.HISTORIES, *functions_and_views.HISTORIES),
    *search_paths.HISTORIES,
)


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.name)
def test_an_old_database_is_what_a_new_one_is(tenant: Tenant, make_database: Callable[[], str], history: History):
    require_vector(tenant.conninfo, repr(history.versions))
    first, *later = history.versions
    tenant.register(first)
    if history.rows:
        tenant.execute(history.rows)
    for version in later:
        report = tenant.migrate(version)
    last = history.versions[-1]
    fresh = Tenant(make_database())
    new = fresh.register(last)
    for part in history.warnings:
        assert any(part in warning for warning in report.warnings), report.warnings
    assert bool(report.warnings) == bool(history.warnings), report.warnings
    dangers = (*report.schema_validation.dataloss_changes, *report.schema_validation.incompatible_changes)
    listed = [
        f"{c.table}{'.' + c.column if c.column else ''} {c.change_type} {c.rows_at_risk} {c.file}" for c in dangers
    ]
    assert tuple(sorted(listed)) == history.dangers
    if history.differs:
        assert report.differences
    else:
        assert structure(tenant) == structure(fresh)
        assert report.differences == ()
    assert new.differences == ()
    for again in (tenant, fresh):
        assert again.migrate(last).schema_validation.is_empty
        unrelated = again.migrate(last | {"seeders/none.pssql": ""})
        assert unrelated.schema_validation.is_empty
