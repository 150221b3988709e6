"""The effects of migrations on a database, and its differences from a new database of the same schema."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from migrations_engine.deploy.migrations import names_given_by, rename_of
from migrations_engine.desired import DesiredSchema
from migrations_engine.diff import CatalogDiff, Difference, Sources, as_printed, diff_catalogs, names_of_members, recast
from migrations_engine.model import Catalog, Relation
from migrations_engine.report import BY_HAND, Change, RowNumbers
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.source.alter_table import alter_table_actions
from migrations_engine.source.attribution import FileIndex, bare_name
from migrations_engine.source.functions_folder import blocks_with_routines
from migrations_engine.source.names import dropped_names
from migrations_engine.source.script import script_of
from migrations_engine.source.statements import SqlStatement

#: Changes that would take away what PostgreSQL leaves to a partition that is detached: keys, indexes, its bounds.
_KEPT_BY_PARTITIONS: Final = frozenset({"drop_constraint", "drop_index"})


def expected_effects(before: Catalog, complete: Catalog, pending: Sequence[SchemaFile]) -> CatalogDiff:
    """Return the dangerous changes that *pending* migrations seem to make, to count their rows before they run.

    :param complete: the catalog that the schema makes in an empty database together with every migration
    """
    diff = diff_catalogs(actual=before, wanted=complete, former=before)
    files = FileIndex(pending)
    touched = tuple(
        item
        for item in diff.changes
        if item.relation is not None
        and item.compatibility != "safe"
        and any(files.mentioning(name) for name in _names_of(item.relation))
    )
    return replace(diff, changes=touched)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A change that migrations have made, with the file that seems to have made it."""

    difference: Difference
    file: str | None

    def change(self, counts: RowNumbers) -> Change:
        """Return the change for a report.

        :param counts: the rows of the expected effects, counted before, see :func:`subject_of`
        """
        rows = counts.get(subject_of(self.difference))
        if rows is None and self.difference.verdict.decided_by_rows:
            rows = 0  # perhaps its column is new; PostgreSQL has checked the rows when the migration ran
        if self.difference.change_type == "drop_table":  # perhaps a view of the same name replaces it
            rows = counts.get((self.difference.table, "alter_kind", None), rows)
        return replace((self.difference if rows is None else self.difference.counted(rows)).as_change(), file=self.file)


def effects(before: Catalog, after: Catalog, pending: Sequence[SchemaFile]) -> Iterator[Effect]:
    """Yield the changes that *pending* migrations have made.

    :param before: the database before them, with the present names of its objects
    """
    files = FileIndex(pending)
    for difference in diff_catalogs(actual=before, wanted=after, former=before).changes:
        file = _file_of(difference, pending, files)
        yield Effect(difference=difference, file=file.label if file else None)


def subject_of(difference: Difference) -> Hashable:
    """Return the identity of an expected effect, without the types that migrations may give it on their way."""
    return (difference.table, difference.change_type, difference.name)


def _file_of(difference: Difference, pending: Sequence[SchemaFile], files: FileIndex) -> SchemaFile | None:
    """Return the migration that seems to have made a change; None if it was made for the migrations, as declared."""
    name = bare_name(difference.table)
    if difference.change_type.startswith("add_") and not files.mentioning(difference.name or name):
        return None
    return pending[0] if len(pending) == 1 else files.changing(name, difference.name)


def changes_to_new(actual: Catalog, desired: DesiredSchema) -> tuple[Change, ...]:
    """Return the changes that would make the database equal to a new one of the same schema."""
    if actual == desired.fresh:
        return ()
    fresh = as_printed(desired.fresh, Sources(declared=desired.declared, complete=desired.complete, actual=actual))
    diff = diff_catalogs(actual=actual, wanted=fresh, former=actual)
    return tuple(item.as_change() for item in diff.changes)


def differences_from_new(
    changes: Iterable[Change],
    actual: Catalog,
    desired: DesiredSchema,
    left: Collection[Change],
    schema: Schema,
    *,
    disputed: Collection[tuple[str, str | None]] = (),
) -> Iterator[str]:
    """Yield a sentence with the cause for each difference from a new database of the same schema.

    :param changes: as :func:`changes_to_new` returns them
    :param left: forced differences, and those that depend on them
    :param disputed: labels and members of which declarations lag behind migrations, besides those of *desired*
    """
    if actual == desired.fresh:
        return
    blocks = FileIndex(blocks_with_routines(schema))  # they may create undeclared objects in new databases
    causes = _Causes(actual, {*desired.disputed, *disputed}, left, schema)
    for change in changes:
        if change.change_type.startswith("drop_") and blocks.changing(bare_name(change.table)) is not None:
            continue
        here, there = change.from_type or "not there", change.to_type or "not there"
        what, cause = change.change_type.replace("_", " "), causes.of(change)
        yield " ".join(f"{change.subject} ({what}): here {here}, in a new database {there}; {cause}".split())
    for name in recast(actual, desired.fresh):
        yield f"{name}: here with other casts than in a new database; they follow from the types of columns"
    for line in sorted({*actual.uncovered} ^ {*desired.complete.uncovered}):  # a deploy changes none of them
        place = "here, not in a new database" if line in actual.uncovered else "not here, in a new database"
        yield f"{line}: {place}; it was made or dropped {BY_HAND}"
    yield from _validated(actual, desired.fresh)


class _Causes:
    """The causes of differences from a new database."""

    def __init__(
        self, actual: Catalog, disputed: Collection[tuple[str, str | None]], left: Collection[Change], schema: Schema
    ) -> None:
        self._actual = actual
        self._disputed = disputed
        self._forced = {change.key for change in left}
        self._detaching = FileIndex(
            [file for file in schema.migrations if any(map(_detaches, script_of(file).statements))]
        )
        self._given = names_given_by(schema.migrations)
        self._replacing = {
            name: file.label for file in schema.migrations for name in _tables_taken_away(script_of(file).statements)
        }
        self._taken = {name for _, name in names_of_members(actual.relations)}

    def of(self, change: Change) -> str:
        """Return the cause of *change*, as the end of a sentence."""
        if change.key in self._forced:
            return "it was forced to stay as it is"
        if change.from_type == f"{change.to_type} NOT VALID":
            return "it was added NOT VALID, and VALIDATE CONSTRAINT was not run"
        if (change.table, change.column) in self._disputed:
            return "a migration and a declaration differ, and here what happened last stays"
        changed = "made" if change.change_type.startswith("drop_") else "changed"
        return self._in_migrations(change) or f"it was {changed} {BY_HAND}"

    def _in_migrations(self, change: Change) -> str | None:
        """Return the cause of *change* if a migration is the cause, else None."""
        if change.change_type in _KEPT_BY_PARTITIONS:
            files = self._detaching.mentioning(bare_name(change.table))
            if files:
                return f"{files[-1].label} detaches the partition, which keeps it; declare it or drop it in a migration"
        if change.change_type.startswith("rename_") and change.to_type in self._taken:
            return f"{change.to_type} is the name of another object here"
        replacing = self._replacing.get(bare_name(change.table))
        if replacing is not None and not change.change_type.startswith("drop_"):
            return f"{replacing} replaces the table, without what it had; a new database has the declared one already"
        if self._is_renamed(change):
            return "a migration has renamed it, and no file declares it as it is here"
        return None

    def _is_renamed(self, change: Change) -> bool:
        """Return whether what differs, its table or the parent of that has a name that migrations give."""
        if change.change_type == "alter_comment":
            return False
        found = self._actual.relation_by_label.get(change.table)
        tables = (change.table, *(found.parents if found is not None else ()))
        return not {change.column, *map(bare_name, tables)}.isdisjoint(self._given)


def _detaches(statement: SqlStatement) -> bool:
    """Return whether *statement* makes a partition a table of its own."""
    altered = alter_table_actions(statement)
    return altered is not None and any(action.begins_with("detach partition") for action in altered.actions)


def _tables_taken_away(statements: Iterable[SqlStatement]) -> Iterator[str]:
    """Yield the names of the tables that *statements* drop or rename."""
    for statement in statements:
        renamed = rename_of(statement)
        if renamed is not None and renamed.kind == "TABLE":
            yield renamed.old_name
        yield from (dropped.name for dropped in dropped_names(statement) if dropped.kind == "TABLE" and dropped.name)


def _validated(actual: Catalog, fresh: Catalog) -> Iterator[str]:
    """Yield a sentence for each constraint that is declared NOT VALID and was validated, which is not undone."""
    for relation in fresh.relations:
        found = actual.relation_by_label.get(relation.label)
        validated = {(c.name, c.definition) for c in found.constraints if not c.unvalidated} if found else set()
        for constraint in relation.constraints:
            if constraint.unvalidated and (constraint.name, constraint.definition) in validated:
                subject = f"{relation.label}.{constraint.name}"
                yield f"{subject}: here validated, in a new database NOT VALID; VALIDATE CONSTRAINT was run"


def _names_of(relation: Relation) -> list[str]:
    """Return the names under which a migration may change a table: its own and those of its parents."""
    return [relation.name, *(bare_name(parent) for parent in relation.parents)]
