"""What later statements do with the columns of tables, under the names that these have before them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from migrations_engine.source.alter_table import alter_table_actions, type_change
from migrations_engine.source.names import TableAction, TableAlteration
from migrations_engine.source.statements import SqlStatement

_Address = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnChange:
    """A column that a statement adds, drops or gives another type."""

    schema: str
    table: str
    column: str
    kind: str  #: ``ADD``, ``DROP`` or ``TYPE``


def column_changes(statements: Iterable[SqlStatement]) -> Iterator[ColumnChange]:
    """Yield what *statements* do with columns, in their order. Renames are followed back to the names before them."""
    names = _Names()
    for altered in filter(None, map(alter_table_actions, statements)):
        table = names.table(altered)
        for action in altered.actions:
            names.note(altered, action)
            kind = _kind(action)
            if kind is not None and action.name is not None:
                schema, name = table
                yield ColumnChange(schema=schema, table=name, column=names.column(table, action.name), kind=kind)


class _Names:
    """The names before some statements, by those after them."""

    def __init__(self) -> None:
        self._tables: dict[_Address, _Address] = {}
        self._columns: dict[tuple[_Address, str], str] = {}

    def table(self, altered: TableAlteration) -> _Address:
        return self._tables.get(altered.table.address, altered.table.address)

    def column(self, table: _Address, name: str) -> str:
        return self._columns.get((table, name), name)

    def note(self, altered: TableAlteration, action: TableAction) -> None:
        """Note the new name, if *action* gives one."""
        table, (schema, name) = self.table(altered), altered.table.address
        if action.new_name is None:
            return
        if action.kind == "RENAME TO":
            self._tables[schema, action.new_name] = table
        elif action.kind == "SET SCHEMA":
            self._tables[action.new_name, name] = table
        elif action.kind == "RENAME COLUMN" and action.name is not None:
            self._columns[table, action.new_name] = self.column(table, action.name)


def _kind(action: TableAction) -> str | None:
    if action.kind in {"ADD COLUMN", "DROP COLUMN"}:
        return action.kind.partition(" ")[0]
    return "TYPE" if type_change(action) is not None else None
