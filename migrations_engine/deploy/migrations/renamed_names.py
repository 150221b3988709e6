"""The names that migrations give to other objects, which are not missing before the migrations run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from migrations_engine.deploy.migrations.renames import MEMBER, Rename, rename_of
from migrations_engine.model import Catalog, Relation
from migrations_engine.schema import SchemaFile
from migrations_engine.source.alter_table import alter_table_actions
from migrations_engine.source.lexer import occurs
from migrations_engine.source.names import created_name
from migrations_engine.source.script import statements_of
from migrations_engine.source.statements import SqlStatement

_RENAMING: Final = r'\bRENAME\b[^;]{{0,300}}\bTO\s{{1,100}}"?{}\b'
_MAKING: Final = r"\b(?:CREATE|ADD|RENAME)\b[^;]{{0,300}}\b{}\b"


class RenamedNames:
    """The names that migrations give to objects which exist, or which the migrations create.

    :param actual: the database, in which some of *migrations* may have run
    """

    def __init__(self, migrations: Sequence[SchemaFile], actual: Catalog) -> None:
        statements = [*statements_of(migrations)]
        self._blocks = [statement.text for statement in statements if statement.words[:1] == ("DO",)]
        self._members = {table.name: _members_of(table) for table in actual.relations}
        self._names = names_of(actual)
        self._objects: set[tuple[str, str]] = set()  # schemas and names
        self._renamed_members: set[str] = set()
        for statement in statements:
            self._note(statement)

    def seem_to_have(self, schema: str, name: str, *, is_member: bool) -> bool:
        """Return whether something in *schema* seems to be renamed to *name*, or moved there, also in a block.

        :param is_member: it may be a column, constraint or the like
        """
        if (schema, name) in self._objects or (is_member and name in self._renamed_members):
            return True
        return self._is_in_a_block(_RENAMING, name)

    def _is_in_a_block(self, pattern: str, name: str) -> bool:
        found = re.compile(pattern.format(re.escape(name)), re.IGNORECASE | re.DOTALL)
        return any(occurs(found, text) for text in self._blocks)

    def _note(self, statement: SqlStatement) -> None:
        renamed = rename_of(statement)
        if renamed is None:
            self._note_created(statement)
        elif self._may_exist(renamed):
            if renamed.kind == MEMBER:
                self._renamed_members.add(renamed.later_name)
            else:
                self._objects.add((renamed.later_schema, renamed.later_name))
            if renamed.owner is None:
                self._names.add(renamed.later_name)
                if renamed.old_name in self._members:
                    self._members[renamed.later_name] = self._members[renamed.old_name]
            elif renamed.owner in self._members:
                self._members[renamed.owner].add(renamed.later_name)

    def _note_created(self, statement: SqlStatement) -> None:
        created, altered = created_name(statement), alter_table_actions(statement)
        if created is not None and created.name is not None:
            self._names.add(created.name)
        if altered is not None and altered.table.name in self._members:
            added = (action.name for action in altered.actions if action.kind.startswith("ADD ") and action.name)
            self._members[altered.table.name].update(added)

    def _may_exist(self, renamed: Rename) -> bool:
        names = self._names if renamed.owner is None else self._members.get(renamed.owner)
        if names is None or renamed.is_value or renamed.new_name is None or renamed.old_name in names:
            return True
        return self._is_in_a_block(_MAKING, renamed.old_name)


def names_of(catalog: Catalog) -> set[str]:
    """Return the names of all tables, types, sequences and members of tables in *catalog*."""
    sequences = [*catalog.sequences]
    sequences += [column.sequence for table in catalog.relations for column in table.columns if column.sequence]
    names = {item.name for items in (catalog.relations, catalog.types, sequences) for item in items}
    return names.union(*map(_members_of, catalog.relations))


def _members_of(table: Relation) -> set[str]:
    return {item.name for items in (table.columns, table.constraints, table.attachments) for item in items}
