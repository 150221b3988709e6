"""The pending migrations of a deploy: what follows a statement, what they rename, and what is new to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import dropwhile
from typing import Final

from migrations_engine.deploy.migrations.renamed_names import names_of
from migrations_engine.deploy.migrations.renames import MEMBER, Rename, RenameStatement, rename_of
from migrations_engine.model import Catalog
from migrations_engine.schema import SchemaFile
from migrations_engine.source.names import insert_target
from migrations_engine.source.script import script_of
from migrations_engine.source.statements import SqlStatement

_EMPTY: Final = Catalog()


class PendingMigrations:
    """The pending migrations of a deploy, which run over the latest declarations where those are new.

    :param files: the migrations in their order
    :param before: the database before them
    :ivar lagging: names of new declared types and tables that are those which the migrations replace
    :ivar renames_of_lagging: the file and offset of each rename of these tables
    :ivar new_names: the names of everything that is declared and was not there before
    :ivar new_enums: the enums of these
    """

    def __init__(self, files: Sequence[SchemaFile] = (), declared: Catalog = _EMPTY, before: Catalog = _EMPTY) -> None:
        self.files = files
        self.lagging: frozenset[str] = frozenset()
        self.renames_of_lagging: frozenset[tuple[SchemaFile, int]] = frozenset()
        self.new_names = names_of(declared) - names_of(before)
        self.new_enums = [type_ for type_ in declared.types if type_.name in self.new_names]
        #: Names of the tables that are declared and were not there before, also those that migrations rename to them.
        there = {table.name for table in before.relations}
        self.new_tables = {table.name for table in declared.relations} - there
        #: Columns that are new to their tables, each with the name of the table.
        columns = _columns(before)
        self._new_columns = _columns(declared) - columns
        for _, _, renamed in reversed(self.renames):
            if renamed.kind != MEMBER and renamed.later_name in self.new_tables:
                self.new_tables |= {renamed.old_name} - there
            elif (renamed.owner, renamed.later_name) in self._new_columns:
                self._new_columns |= {(renamed.owner, renamed.old_name)} - columns

    def is_last(self, file: SchemaFile) -> bool:
        """Return whether *file* is the last migration."""
        return file is self.files[-1]

    def alterations_after(self, file: SchemaFile, statement: SqlStatement) -> Iterator[SqlStatement]:
        """Yield the ``ALTER`` statements that follow *statement* of *file*."""
        place = self._place(file, statement)
        return (altering for where, altering in self._alterations if where > place)

    @cached_property
    def _alterations(self) -> list[tuple[tuple[int, int], SqlStatement]]:
        return [
            (self._place(file, statement), statement)
            for file in self.files
            for statement in script_of(file).statements
            if statement.words[:1] == ("ALTER",)
        ]

    @cached_property
    def _places(self) -> dict[SchemaFile, int]:
        return {file: place for place, file in enumerate(self.files)}

    def _place(self, file: SchemaFile, statement: SqlStatement) -> tuple[int, int]:
        return self._places[file], statement.start

    def may_have_had_other_keys(self, file: SchemaFile, statement: SqlStatement) -> bool:
        """Return whether *statement* fills a new table that may have had other keys when it was written."""
        target = insert_target(statement)
        if target is None or target.table.name not in self.new_tables:
            return False
        return not self.is_last(file) or any(self.alterations_after(file, statement))

    def after(self, file: SchemaFile, statement: SqlStatement) -> Iterator[SqlStatement]:
        """Yield the statements that follow *statement* of *file*."""
        for later in script_of(file).statements:
            is_rest = later.start == statement.start and later.text != statement.text
            if later.start > statement.start or is_rest:
                yield later
        for other in [*dropwhile(lambda other: other is not file, self.files)][1:]:
            yield from script_of(other).statements

    @cached_property
    def renames(self) -> list[RenameStatement]:
        """The statements that rename something, with their files."""
        found = ((file, one, rename_of(one)) for file in self.files for one in script_of(file).statements)
        return [(file, statement, renamed) for file, statement, renamed in found if renamed is not None]

    @property
    def renames_to_revert(self) -> list[RenameStatement]:
        """Those that a new database contains already, if anything has their later names."""
        return [
            (file, statement, renamed)
            for file, statement, renamed in self.renames
            if (renamed.kind == MEMBER or renamed.later_name not in self.lagging)
            and (file, statement.start) not in self.renames_of_lagging
        ]

    def is_name_given_again(self, file: SchemaFile, statement: SqlStatement, name: str | None) -> bool:
        """Return whether one of those that follow *statement* of *file* gives *name* to another object."""
        return any(
            renamed.kind != MEMBER and renamed.later_name == name
            for _, _, renamed in self.renames_from(file, statement)
        )

    def renames_from(self, file: SchemaFile, statement: SqlStatement) -> list[RenameStatement]:
        """Return those that are *statement* of *file* or follow it."""
        start = self._place(file, statement)
        return [found for found in self.renames if self._place(found[0], found[1]) >= start]

    def renames_of_new(self, file: SchemaFile, statement: SqlStatement) -> list[RenameStatement]:
        """Return those of new tables and columns that are *statement* of *file* or follow it."""
        return [found for found in self.renames_from(file, statement) if self._is_of_new(found[2])]

    def later_label(self, label: str) -> str:
        """Return the label that a table or view of the default schema has after all migrations."""
        for _, _, renamed in self.renames:
            if renamed.owner is None and label == renamed.old_name:
                label = renamed.later_name
        return label

    def is_new_column(self, table: str, column: str) -> bool:
        """Return whether a column is new, by its own name or by that of its table."""
        return table in self.new_tables or (table, column) in self._new_columns

    def _is_of_new(self, renamed: Rename) -> bool:
        if renamed.owner is None:
            return renamed.later_name in self.new_tables
        return self.is_new_column(renamed.owner, renamed.later_name)


def _columns(catalog: Catalog) -> set[tuple[str | None, str]]:
    return {(table.name, column.name) for table in catalog.relations for column in table.columns}
