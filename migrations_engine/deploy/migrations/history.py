"""The migrations that have run in a database, identified by their contents: name and folder may change."""

from __future__ import annotations

from collections.abc import Sequence

from migrations_engine.errors import MigrationFailed
from migrations_engine.schema import SchemaFile
from migrations_engine.source.script import script_of
from migrations_engine.tracking import AppliedMigration, DeployState, Records


def applied_as(file: SchemaFile, statements_done: int | None = None) -> AppliedMigration:
    """Return the record of *file* after it has run."""
    folded = script_of(file).checksum
    return AppliedMigration(
        file=file.path, checksum=file.checksum, folded_checksum=folded, statements_done=statements_done
    )


def pending_migrations(
    files: Sequence[SchemaFile], state: DeployState, records: Records, *, force: bool, warnings: list[str]
) -> list[SchemaFile]:
    """Return the migrations that have not run to their end, and record the others under their present names.

    :raises MigrationFailed: the text of an applied one has changed in more than comments and white space, without force
    """
    applied = _matched(files, state)
    pending = []
    known_as = {}
    for file in files:
        row = applied.get(file)
        if row is None:
            pending.append(file)
            continue
        if not _is_same(file, row):
            _refuse_change(file, force=force, warnings=warnings)
        if row.statements_done is not None:
            pending.append(file)
        now = applied_as(file, row.statements_done)
        if row != now:
            known_as[row.file] = now
    records.migrations_known_as(known_as)
    return pending


def _matched(files: Sequence[SchemaFile], state: DeployState) -> dict[SchemaFile, AppliedMigration]:
    """Return the record of each file, found by name and content, else by content, else by name.

    Each record belongs to one file, so that two files of the same content are two migrations.
    """
    rows = dict(state.migrations)
    found: dict[SchemaFile, AppliedMigration] = {}
    for file in files:
        if file.path in rows and _is_same(file, rows[file.path]):
            found[file] = rows.pop(file.path)
    by_content: dict[str, list[AppliedMigration]] = {}
    for row in rows.values():
        for checksum in row.checksums:
            by_content.setdefault(checksum, []).append(row)
    for file in (file for file in files if by_content and file not in found):
        alike = by_content.get(file.checksum) or by_content.get(script_of(file).checksum, [])
        same = next((row for row in alike if row.file in rows), None)
        if same is not None:
            found[file] = rows.pop(same.file)
    for file in files:
        if file not in found and file.path in rows:
            found[file] = rows.pop(file.path)
    return found


def _is_same(file: SchemaFile, row: AppliedMigration) -> bool:
    """Return whether the file is the applied migration. Records of earlier gateways have only the exact checksum."""
    return file.checksum == row.checksum or script_of(file).checksum == row.folded_checksum


def _refuse_change(file: SchemaFile, *, force: bool, warnings: list[str]) -> None:
    changed = f"{file.label} has changed since it was applied"
    if not force:
        raise MigrationFailed(
            f"{changed}; an applied migration is history: restore its text and put the change into a new "
            "migration, or repeat the request with force to leave the database as it is",
            file=file.label,
        )
    warnings.append(f"{changed}; it was not run again")
