"""The names that migrations give to other objects, which are not missing before the migrations run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from migrations_engine.deploy.migrations.renames import MEMBER, Rename, rename_of
from migrations_engine.model import DEFAULT_SCHEMA, Catalog, Relation
from migrations_engine.schema import SchemaFile
from migrations_engine.source.alter_table import alter_table_actions
from migrations_engine.source.attribution import bare_name, schema_in
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
        self._parents = {table.label: table.parents for table in actual.relations}
        self._earlier: dict[str, str] = {}  #: names of tables, by the next name
        self._names = names_of(actual) | {*actual.schemas}
        self._objects: set[tuple[str, str]] = set()  # schemas and names
        self._renamed_members: set[tuple[str | None, str]] = set()  # with each name of the table or type so far
        self._left: set[tuple[str | None, str]] = set()  # by members that were renamed, likewise
        for statement in statements:
            self._note(statement)

    def seem_to_have(self, label: str, member: str | None) -> bool:
        """Return whether something seems to be renamed to the name of an object or of its schema, also in a block.

        :param label: of the object, or of the table or type that has the *member*
        """
        name = member or bare_name(label)
        schema = schema_in(label)
        if (schema, name) in self._objects or (DEFAULT_SCHEMA, schema) in self._objects:
            return True
        owners = (label, *self._parents.get(label, ())) if member else ()
        if any(self._renamed_members & {(one, name) for one in self._names_of(bare_name(owner))} for owner in owners):
            return True
        return self._is_in_a_block(_RENAMING, name)

    def _names_of(self, table: str | None) -> set[str | None]:
        """Return the name of a table or type with those that it had before renames."""
        names: set[str | None] = set()
        while table not in names:
            names.add(table)
            table = self._earlier.get(table or "", table)
        return names

    def _is_in_a_block(self, pattern: str, name: str) -> bool:
        found = re.compile(pattern.format(re.escape(name)), re.IGNORECASE | re.DOTALL)
        return any(occurs(found, text) for text in self._blocks)

    def _note(self, statement: SqlStatement) -> None:
        renamed = rename_of(statement)
        if renamed is None:
            self._note_created(statement)
            return
        if renamed.kind == MEMBER:
            self._left |= {(one, renamed.old_name) for one in self._names_of(renamed.owner)}
        if self._may_exist(renamed):
            if renamed.kind == MEMBER:
                self._renamed_members |= {(one, renamed.later_name) for one in self._names_of(renamed.owner)}
            else:
                self._objects.add((renamed.later_schema, renamed.later_name))
            if renamed.owner is None:
                self._names.add(renamed.later_name)
                self._earlier.setdefault(renamed.later_name, renamed.old_name)
                if renamed.old_name in self._members:
                    self._members[renamed.later_name] = self._members[renamed.old_name]
            elif renamed.owner in self._members:
                self._members[renamed.owner].add(renamed.later_name)

    def _note_created(self, statement: SqlStatement) -> None:
        created, altered = created_name(statement), alter_table_actions(statement)
        if created is not None and created.name is not None:
            self._names.add(created.name)
        if altered is None:
            return
        added = {action.name for action in altered.actions if action.kind.startswith("ADD ") and action.name}
        if altered.table.name in self._members:
            self._members[altered.table.name].update(added)
        again = {(one, name) for one in self._names_of(altered.table.name) for name in added}
        self._renamed_members |= again & self._left

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
