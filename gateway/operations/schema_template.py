"""Templates of schemas: whether a new database may be a copy of one, and how a copy gets its owner."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, Final

import psycopg

from gateway.databases import TemplateUse
from gateway.databases.templates import differs_when_copied
from gateway.naming import DatabaseOwner
from gateway.operations.deploy import DeployTerms
from migrations_engine import RANDOM_FUNCTION, DeployReport, Schema, SeederResult, claim_copy, first_rows

_COUNTS: Final = (
    "extensions_installed",
    "types_deployed",
    "tables_created",
    "migrations_applied",
    "functions_deployed",
    "functions_updated",
)
_TEXTS: Final = ("satisfied_statements", "warnings")


def schema_template(
    *, owner: DatabaseOwner, checksum: str, schema: Callable[[], Schema], terms: DeployTerms, family: str | None
) -> TemplateUse[DeployReport]:
    """Return how *owner*'s database can be made by copying.

    :param schema: reads the schema; called only if there is no template to copy
    :param family: the name that all versions of the schema have in common, if later ones replace it
    """

    def note(connection: psycopg.Connection[Any], report: DeployReport) -> Mapping[str, Any] | None:
        seeded = [result.table for result in report.seeders if result.inserted]
        rows = first_rows(schema())
        if rows.are_volatile or differs_when_copied(
            connection, seeded=seeded, filled=rows.tables, dated=rows.dated, random=RANDOM_FUNCTION
        ):
            return None
        known = asdict(report)
        return {name: known[name] for name in _COUNTS + _TEXTS + ("seeders",)}

    def claim(connection: psycopg.Connection[Any], kept: Mapping[str, Any]) -> DeployReport:
        claim_copy(connection, platform=owner.platform, request_id=terms.request_id)
        counts: dict[str, Any] = {name: kept[name] for name in _COUNTS}
        texts: dict[str, Any] = {name: tuple(kept[name]) for name in _TEXTS}
        return DeployReport(**counts, **texts, seeders=tuple(SeederResult(**seeder) for seeder in kept["seeders"]))

    return TemplateUse(
        content="\0".join((version("stonescriptdb-gateway"), owner.platform, checksum)),
        family=family,
        note=note,
        claim=claim,
    )
