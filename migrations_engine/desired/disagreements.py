"""Finds declared objects that migrations make otherwise, with the files of both."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from migrations_engine.diff import diff_catalogs, labels_by_use
from migrations_engine.model import Catalog, Relation, Type
from migrations_engine.report import Change
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.source.alter_table import alter_table_actions, type_change
from migrations_engine.source.attribution import FileIndex, bare_name
from migrations_engine.source.functions_folder import other_object_files
from migrations_engine.source.names import dropped_names
from migrations_engine.source.script import statements_of

#: Missing objects of kinds that PostgreSQL wants dropped before it changes a column that they use.
_IN_THE_WAY: Final = frozenset({"add_view", "add_rule", "add_trigger", "add_policy"})
_NAMED_AT_MOST: Final = 5  #: differences in a sentence


def disagreements(schema: Schema, declared: Catalog, complete: Catalog, fresh: Catalog) -> Iterator[str]:
    """Yield a sentence for each declared object that a migration leaves other than declared, or absent.

    :param declared: what the files of types and tables make in an empty database
    :param complete: what they make there together with all migrations
    :param fresh: the final catalog of a new database
    """
    declarations = declaring_files(schema)
    migrations = _Migrations(schema.migrations, declared)
    lasting = {change.key for change in disagreeing(declared, fresh)}
    groups: dict[_Group, list[Change]] = {}
    changes = disagreeing(declared, complete)
    missing = [declared.relation_by_label[change.table] for change in changes if change.change_type == "add_view"]
    for change in changes:
        if any(_goes_with(change, view) for view in missing):
            continue
        migration, is_lasting = migrations.changing(change), change.key in lasting
        if is_lasting or not _drops_for_change(change, [migration] if migration else schema.migrations, declared):
            declaring = declarations.declaring(bare_name(change.table), change.column)
            place = declaring.label if declaring else "tables/"
            maker = migration.label if migration else "a migration"
            group = _Group(change.table, place, maker, bool(change.from_type), is_lasting)
            groups.setdefault(group, []).append(change)
    for group, changes in groups.items():
        yield " ".join(group.sentence(changes).split())  # definitions have several lines


class _Group(NamedTuple):
    """What the differences of one object have in common."""

    table: str
    declaring: str  #: label of the file
    migration: str
    is_there: bool  #: else the migration drops or renames it
    is_lasting: bool  #: else new databases have it as declared

    def sentence(self, changes: Sequence[Change]) -> str:
        """Return a sentence about *changes*, with the first of them."""
        named, more = changes[:_NAMED_AT_MOST], len(changes) - _NAMED_AT_MOST
        rest = f" and {more} more" if more > 0 else ""
        asked = ", ".join(f"{change.subject}{_as(change)}" for change in named)
        made, given = "drops or renames it", "none"
        if self.is_there and len(changes) == 1:
            made, given = f"makes it {changes[0].from_type}", f"{changes[0].from_type}"
        elif self.is_there:
            made = f"makes {', '.join(f'{change.subject} {change.from_type}' for change in named)}{rest}"
            given = f"what {self.migration} makes"
        elif len(changes) > 1:
            made = "drops or renames them"
        given = given if self.is_lasting else "what is declared"
        return f"{self.declaring} declares {asked}{rest}, {self.migration} {made}; new databases get {given}"


class _Migrations:
    """The migrations of a schema, and which of them seems to have made a difference."""

    def __init__(self, files: Sequence[SchemaFile], declared: Catalog) -> None:
        self._files = files
        self._index = FileIndex(files)
        self._declared = declared

    def changing(self, change: Change) -> SchemaFile | None:
        """Return the last migration that changes the object of *change*, or what the object follows; else None."""
        if len(self._files) == 1:
            return self._files[0]
        names = [(change.table, change.column), *((other, change.column) for other in self._followed(change.table))]
        enums = [enum for enum in self._declared.types if f"::{enum.label}" in (change.from_type or "")]
        has_others = any(_values_of(enum, change.from_type or "") - {*enum.values} for enum in enums)
        of_enums = [(enum.label, None) for enum in enums]
        names = [*of_enums, *names] if has_others else [*names, *of_enums]
        found = (self._index.changing(bare_name(table), member) for table, member in names)
        return next(filter(None, found), None)

    def _followed(self, label: str) -> Iterator[str]:
        """Yield the tables of which the table is a partition or child, or the relations that the view uses."""
        relation = self._declared.relation_by_label.get(label)
        for other in (*relation.parents, *relation.uses) if relation is not None else ():
            yield other
            yield from self._followed(other)


def _values_of(enum: Type, definition: str) -> set[str]:
    return {*re.findall(rf"'([^']*)'::{re.escape(enum.label)}", definition)}


def _goes_with(change: Change, view: Relation) -> bool:
    """Return whether *change* is a comment or privilege on *view*, which is missing, too."""
    if change.change_type == "alter_comment":
        return f"{change.table}.".startswith(f"{view.qualified}.")
    return change.change_type == "grant_privilege" and change.table == view.label


def _drops_for_change(change: Change, migrations: Iterable[SchemaFile], declared: Catalog) -> bool:
    """Return whether *migrations* drop an object only because they change a column, or replace a table, under it.

    PostgreSQL demands that. The object holds no rows, and is made again as declared.
    """
    if change.change_type not in _IN_THE_WAY:
        return False
    under = {change.table}
    for label in labels_by_use(declared.relation_by_label, attrgetter("uses"))[::-1]:
        under |= {*declared.relation_by_label[label].uses} if label in under else set()
    tables = {table.address for label in under if (table := declared.relation_by_label.get(label))}
    statements = [*statements_of(migrations)]
    if any(
        dropped.kind == "TABLE" and dropped.address in tables for one in statements for dropped in dropped_names(one)
    ):
        return True
    altered = map(alter_table_actions, statements)
    return any(
        alteration.table.address in tables and (action.kind == "DROP COLUMN" or type_change(action))
        for alteration in altered
        if alteration is not None
        for action in alteration.actions
    )


def declaring_files(schema: Schema) -> FileIndex:
    """Return the files of *schema* that declare objects."""
    return FileIndex((*schema.tables, *schema.types, *other_object_files(schema)))


def disagreeing(declared: Catalog, complete: Catalog) -> list[Change]:
    """Return the changes that would make *complete* as declared. Undeclared objects do not count."""
    if declared == complete:
        return []
    diff = diff_catalogs(actual=complete, wanted=declared, former=declared)
    return [difference.as_change() for difference in diff.changes]


def _as(change: Change) -> str:
    what = change.change_type.partition("_")[2].removeprefix("column_").replace("_", " ")
    if change.to_type is None:
        return f" without {what}" if change.from_type else ""
    is_whole = change.change_type.startswith("add_") or change.change_type == "alter_comment"
    return f" as {change.to_type}" if is_whole else f" with {what} {change.to_type}"
