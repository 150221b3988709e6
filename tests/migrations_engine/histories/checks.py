"""What holds after any history: no row is lost, and the end is that of a new database, or the difference is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from migrations_engine import DeployReport, MigrationFailed
from tests.migrations_engine.conftest import Tenant
from tests.support.structure import structure_without_names_of_not_null

Files = dict[str, str]


def check_history(
    make: Callable[[], Tenant], versions: Sequence[Files], *, rows: str, kept: str = "SELECT id FROM t ORDER BY id"
) -> None:
    """Deploy all *versions* to one tenant, the first and the last to another, and the last to a new one.

    :param rows: inserted after the first version
    :param kept: a query whose result no deploy may change
    """
    last = versions[-1]
    fresh = make()
    fresh.register(last)
    wanted = structure(fresh)
    for deployed in (versions, [versions[0], last]):
        tenant = make()
        tenant.register(deployed[0])
        tenant.execute(rows)
        there = tenant.rows(kept)
        if report := evolve(tenant, deployed[1:]):
            assert (structure(tenant) == wanted) == (not report.differences), report.differences
            again = tenant.migrate(last | {"seeders/none.pssql": ""})
            assert again.schema_validation.is_empty, again.schema_validation
            assert again.differences == report.differences
        assert tenant.rows(kept) == there


def evolve(tenant: Tenant, versions: Sequence[Files]) -> DeployReport | None:
    """Deploy *versions* and return the last report, or None if one is refused because rows could be lost."""
    report = None
    for version in versions:
        before = tenant.catalog()
        try:
            report = tenant.migrate(version, add_seeds=True)
        except MigrationFailed as failure:
            validation = failure.validation
            assert validation is not None, failure
            assert validation.dataloss_changes or validation.incompatible_changes, failure
            assert tenant.catalog() == before, "a refusal leaves no trace"
            return None
    return report


def structure(tenant: Tenant) -> list[str]:
    """Return the dump of the database, without the names of NOT NULL constraints."""
    return structure_without_names_of_not_null(tenant.conninfo)
