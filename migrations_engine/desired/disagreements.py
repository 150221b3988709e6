"""Finds declared objects that migrations make otherwise, with the files of both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Final

from migrations_engine.deploy.functions import advice_on_default_rights, migrated_default_rights
from migrations_engine.diff import diff_catalogs, labels_by_use
from migrations_engine.model import Catalog
from migrations_engine.report import Change
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.source.alter_table import alter_table_actions, type_change
from migrations_engine.source.attribution import FileIndex, bare_name
from migrations_engine.source.functions_folder import other_object_files
from migrations_engine.source.script import script_of

#: Missing objects of kinds that PostgreSQL wants dropped before it changes a column that they use.
_IN_THE_WAY: Final = frozenset({"add_view", "add_rule", "add_trigger", "add_policy"})


def disagreements(schema: Schema, declared: Catalog, complete: Catalog, fresh: Catalog) -> Iterator[str]:
    """Yield a sentence for each declared object that the migrations leave other than declared, or absent.

    :param declared: what the files of types and tables make in an empty database
    :param complete: what they make there together with all migrations
    :param fresh: the final catalog of a new database
    """
    declarations = declaring_files(schema)
    migrations = FileIndex(schema.migrations)
    lasting = {change.key for change in disagreeing(declared, fresh)}
    for change in disagreeing(declared, complete):
        table = bare_name(change.table)
        declaring = declarations.declaring(table)
        only = schema.migrations[0] if len(schema.migrations) == 1 else None
        migration = only or migrations.changing(table, change.column)
        if change.key not in lasting and _drops_for_change(
            change, [migration] if migration else schema.migrations, declared
        ):
            continue
        made = f"makes it {change.from_type}" if change.from_type else "drops or renames it"
        given = (change.from_type or "none") if change.key in lasting else "what is declared"
        sentence = (
            f"{declaring.label if declaring else 'tables/'} declares {change.subject}{_as(change)}, "
            f"{migration.label if migration else 'a migration'} {made}; new databases get {given}"
        )
        yield " ".join(sentence.split())  # definitions have several lines
    yield from advice_on_default_rights(schema, migrated_default_rights(schema))


def _drops_for_change(change: Change, migrations: Iterable[SchemaFile], declared: Catalog) -> bool:
    """Return whether *migrations* drop an object only because they change a column under it.

    PostgreSQL demands that. The object holds no rows, and is made again as declared.
    """
    if change.change_type not in _IN_THE_WAY:
        return False
    under = {change.table}
    for label in labels_by_use(declared.relation_by_label, attrgetter("uses"))[::-1]:
        under |= {*declared.relation_by_label[label].uses} if label in under else set()
    tables = {(table.schema, table.name) for label in under if (table := declared.relation_by_label.get(label))}
    altered = (alter_table_actions(statement) for file in migrations for statement in script_of(file).statements)
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
