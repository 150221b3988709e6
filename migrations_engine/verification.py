"""The verification before the commit: the finished database, compared with the schema."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from migrations_engine.deploy.extensions import wanted_extension
from migrations_engine.diff import CatalogDiff
from migrations_engine.report import Change, SeederValidation, Verification
from migrations_engine.schema import Schema
from migrations_engine.tracking import Records


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The input of the verification."""

    remaining: CatalogDiff = field(default_factory=CatalogDiff)  #: the differences that remain
    accepted: Collection[tuple[str | None, ...]] = ()  #: the keys of forced differences
    seeder_validations: Sequence[SeederValidation]


def verify(schema: Schema, records: Records, finding: Finding) -> Verification:
    """Compare the database with *schema*. The ``error_log`` of the result has a sentence for each problem."""
    missing = records.missing([wanted_extension(file).name for file in schema.extensions])
    extensions = [f"extension {name} is not installed" for kind, name in missing if kind == "extension"]
    remaining = [d.as_change() for d in finding.remaining.changes]
    differences = [change for change in remaining if change.key not in finding.accepted]
    types = {type_.label for type_ in finding.remaining.wanted.types} | {
        t.label for t in finding.remaining.actual.types
    }
    type_errors = [_describe(change) for change in differences if change.table in types]
    table_errors = [_describe(change) for change in differences if change.table not in types]
    functions = [f"function {identity} is not there" for kind, identity in missing if kind == "function"]
    seeders = verify_seeders(finding.seeder_validations).error_log
    return Verification(
        extensions_verified=not extensions,
        types_verified=not type_errors,
        tables_verified=not table_errors,
        functions_verified=not functions,
        seeders_verified=not seeders,
        error_log=(*extensions, *type_errors, *table_errors, *functions, *seeders),
    )


def verify_seeders(validations: Sequence[SeederValidation]) -> Verification:
    """Check that all rows that seeders define exist."""
    errors = tuple(
        f"{v.expected - v.found} of {v.expected} rows that the seeders define for table {v.table} are missing: "
        f"{'; '.join(v.missing)}"
        for v in validations
        if v.found < v.expected
    )
    return Verification(seeders_verified=not errors, error_log=errors)


def _describe(change: Change) -> str:
    subject = f"{change.table}.{change.column}" if change.column else change.table
    return f"{subject}: {change.change_type.replace('_', ' ')} is still due ({change.reason})"
