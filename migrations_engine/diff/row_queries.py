"""Queries that count the rows at risk of dangerous differences."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from psycopg import sql

from migrations_engine.diff.difference import Difference
from migrations_engine.diff.expression import pieces
from migrations_engine.diff.sequences import position_outside
from migrations_engine.diff.type_alterations import columns_of_type
from migrations_engine.diff.type_change import TypeName
from migrations_engine.diff.value_loss import loss_condition
from migrations_engine.model import Attachment, Catalog, Column, Constraint, Relation, Type
from migrations_engine.model import Sequence as SequenceObject

_EXCLUDED: Final = re.compile(
    r"EXCLUDE USING \w+ \((?P<elements>.* WITH (?:OPERATOR\([^)]*\)|[^\s)]+))\)(?: INCLUDE \([^)]*\))?"
    r"(?: WHERE \((?P<predicate>.*)\))?",
    re.DOTALL,
)
RowQuery: TypeAlias = sql.SQL | sql.Composed  #: a SELECT of one number
_IDENTIFIER: Final = r'(?:"(?:[^"]|"")*"|\w+)'
_NAME: Final = re.compile(rf"{_IDENTIFIER}(?:\.{_IDENTIFIER})*")
_COLLATION: Final = re.compile(rf" COLLATE {_IDENTIFIER}(?:\.{_IDENTIFIER})*")
_PERIOD: Final = re.compile(r"FOREIGN KEY \(.*, PERIOD ")
_NONE: Final = sql.SQL("SELECT 0")
#: Changes of a column that are dangerous only because of its sequence.
_OF_SEQUENCES: Final = frozenset({"alter_sequence", "alter_column_identity"})


@dataclass(frozen=True, slots=True)
class _Situation:
    """The database, the wanted catalog, and all changes between them."""

    changes: Sequence[Difference]
    actual: Catalog
    wanted: Catalog


def row_queries(
    changes: Sequence[Difference], actual: Catalog, wanted: Catalog
) -> tuple[tuple[int, RowQuery | None], ...]:
    """Return the query for each dangerous difference of a table, domain or sequence, with its index in *changes*.

    The query is None if none can count the rows. Differences that are safe or concern no rows are left out.
    """
    situation = _Situation(changes, actual, wanted)
    return tuple(
        (place, _row_query(difference, situation))
        for place, difference in enumerate(changes)
        if difference.compatibility != "safe"
        and (difference.relation.is_table if difference.relation is not None else difference.verdict.decided_by_rows)
    )


def _row_query(difference: Difference, situation: _Situation) -> RowQuery | None:
    relation, found, wanted = difference.relation, difference.found, difference.wanted
    if relation is None:
        return _other_query(difference, situation.actual)
    if difference.change_type in ("drop_table", "alter_kind", "add_column", "alter_persistence"):
        return _count(relation, sql.SQL("true"))
    if isinstance(found, Column):
        return _column_query(difference, relation, found, situation)
    if difference.verdict.decided_by_rows and isinstance(wanted, Constraint):
        return _constraint_query(_Rows(relation, situation), wanted)
    if difference.verdict.decided_by_rows and isinstance(wanted, Attachment):
        nulls_equal = "NULLS NOT DISTINCT" in wanted.definition
        return _duplicates(
            _Rows(relation, situation).only(), wanted.keys, nulls_equal=nulls_equal, predicate=wanted.predicate
        )
    return None


def _other_query(difference: Difference, actual: Catalog) -> RowQuery | None:
    """Return the query for a sequence or domain."""
    found, wanted = difference.found, difference.wanted
    if isinstance(found, SequenceObject) and isinstance(wanted, SequenceObject):
        return position_outside(found, wanted)
    return _domain_query(found, difference.to_text or "", actual) if isinstance(found, Type) else None


def _domain_query(domain: Type, check: str, actual: Catalog) -> RowQuery:
    """Return a query for the values of columns that a new constraint of their domain refuses."""
    broken = (
        sql.SQL("value IS NULL") if check == "NOT NULL" else sql.SQL("NOT ({})").format(_text(check[len("CHECK ") :]))
    )
    counts: list[sql.Composable] = [
        sql.SQL("(SELECT count(*) FROM (SELECT {}::{} AS value FROM ONLY {}) AS found WHERE {})").format(
            sql.Identifier(column.name), _text(domain.base), sql.Identifier(*relation.address), broken
        )
        for relation, column in columns_of_type(domain.label, actual)
    ]
    return sql.SQL("SELECT {}").format(sql.SQL(" + ").join(counts)) if counts else _NONE


def _column_query(difference: Difference, relation: Relation, column: Column, situation: _Situation) -> RowQuery | None:
    name = sql.Identifier(column.name)
    if difference.change_type in ("set_not_null", "validate_not_null", "alter_not_null"):
        return _count(relation, sql.SQL("{} IS NULL").format(name))
    if difference.change_type in ("drop_column", "alter_column_generated"):
        return _count(relation, sql.SQL("{} IS NOT NULL").format(name))
    if difference.change_type == "alter_column_type" and isinstance(difference.wanted, Column):
        types = {**situation.actual.type_by_label, **situation.wanted.type_by_label}
        condition = loss_condition(name, column.type, difference.wanted.type, types, situation.actual.server_version)
        if condition is not None:
            return _count(relation, sql.SQL("{} IS NOT NULL AND {}").format(name, condition))
    wanted = difference.wanted
    if difference.change_type in _OF_SEQUENCES and isinstance(wanted, Column) and column.sequence and wanted.sequence:
        return position_outside(column.sequence, wanted.sequence)
    return None


def _count(relation: Relation, condition: sql.Composable) -> RowQuery:
    table = sql.Identifier(*relation.address)
    return sql.SQL("SELECT count(*) FROM {} WHERE {}").format(table, condition)


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of a table, with the columns that other changes add, and the types to which they widen columns."""

    relation: Relation
    situation: _Situation
    without_children: bool = False

    def only(self) -> _Rows:
        return _Rows(self.relation, self.situation, without_children=True)

    def source(self) -> sql.Composable:
        """Return the FROM item. The table's own name is the alias, because deparsed conditions may use it."""
        alias = sql.Identifier(self.relation.name)
        table: sql.Composable = sql.Identifier(*self.relation.address)
        if self.without_children and self.relation.kind == "table":
            table = sql.SQL("ONLY {}").format(table)
        widened = {column.name: column for column in self._columns("alter_column_type")}
        if widened:
            there = (widened.get(column.name, column) for column in self.relation.columns)
            casts = [sql.SQL("{0}::{1} AS {0}").format(sql.Identifier(c.name), _text(c.type)) for c in there]
            table = sql.SQL("(SELECT {} FROM {} AS {})").format(sql.SQL(", ").join(casts), table, alias)
        added = self._columns("add_column")
        plain = [column for column in added if not column.generated]
        generated = [column for column in added if column.generated]
        for columns in (plain, generated):
            if columns:
                values = sql.SQL(", ").join(
                    sql.SQL("{} AS {}").format(self._value(c), sql.Identifier(c.name)) for c in columns
                )
                table = sql.SQL("(SELECT {alias}.*, {values} FROM {table} AS {alias})").format(
                    alias=alias, values=values, table=table
                )
        return sql.SQL("{} AS {}").format(table, alias)

    def _columns(self, change_type: str) -> list[Column]:
        """Return the columns as changes of that type make them, which are additions or safe."""
        return [
            difference.wanted
            for difference in self.situation.changes
            if difference.change_type == change_type
            and (change_type == "add_column" or difference.compatibility == "safe")
            and difference.table == self.relation.label
            and isinstance(difference.wanted, Column)
        ]

    def _value(self, column: Column) -> sql.Composable:
        base = TypeName.parse(column.type).label
        new_type = base in self.situation.wanted.type_by_label and base not in self.situation.actual.type_by_label
        if column.sequence is not None or (column.default or "").startswith("nextval("):
            value: sql.Composable = sql.SQL("row_number() OVER ()")
        else:
            value = sql.SQL("({})").format(_text(column.default)) if column.default is not None else sql.SQL("NULL")
        return value if new_type else sql.SQL("{}::{}").format(value, _text(column.type))


def _constraint_query(rows: _Rows, constraint: Constraint) -> RowQuery | None:
    if constraint.unvalidated or constraint.definition.endswith(" NOT ENFORCED"):
        return _NONE
    if " WITHOUT OVERLAPS)" in constraint.definition:
        return _overlapping(rows, constraint)
    ask = {"c": _broken_check, "f": _orphans, "x": _exclusion}.get(constraint.kind, _broken_key)
    return ask(rows, constraint)


def _broken_check(rows: _Rows, constraint: Constraint) -> RowQuery:
    expression = constraint.definition.removeprefix("CHECK ").removesuffix(" NO INHERIT")
    return sql.SQL("SELECT count(*) FROM {} WHERE NOT {}").format(rows.source(), _text(expression))


def _broken_key(rows: _Rows, constraint: Constraint) -> RowQuery:
    keys = tuple(sql.Identifier(column).as_string(None) for column in constraint.columns)
    nulls_equal = "NULLS NOT DISTINCT" in constraint.definition
    duplicates = _duplicates(rows.only(), keys, nulls_equal=nulls_equal, predicate=None)
    if constraint.kind == "u":
        return duplicates
    empty = sql.SQL(" OR ").join(sql.SQL("{} IS NULL").format(_text(key)) for key in keys)
    return sql.SQL("SELECT ({}) + (SELECT count(*) FROM {} WHERE {})").format(duplicates, rows.source(), empty)


def _duplicates(rows: _Rows, keys: Sequence[str], *, nulls_equal: bool, predicate: str | None) -> RowQuery:
    """Return a query for the rows with a key that another row has, except one for each key."""
    conditions: list[sql.Composable] = [_text(predicate)] if predicate else []
    if not nulls_equal:
        conditions += [sql.SQL("{} IS NOT NULL").format(_text(key)) for key in keys]
    where = sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true")
    groups = sql.SQL(", ").join(_text(key) for key in keys)
    return sql.SQL(
        "SELECT coalesce(sum(again), 0)::bigint FROM"
        " (SELECT count(*) - 1 AS again FROM {} WHERE {} GROUP BY {}) AS counted"
    ).format(rows.source(), where, groups)


def _orphans(rows: _Rows, constraint: Constraint) -> RowQuery:
    columns = [sql.Identifier(rows.relation.name, column) for column in constraint.columns]
    given = sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(column) for column in columns)
    target = _referenced(rows.situation, constraint)
    if target is None:  # the referenced table or column is new, and will be empty
        return sql.SQL("SELECT count(*) FROM {} WHERE {}").format(rows.only().source(), given)
    other = sql.Identifier("referenced row")
    pairs = list(zip(constraint.foreign_columns, columns, strict=True))
    template = "({given} AND NOT EXISTS (SELECT FROM {target} AS {other} WHERE {matches}))"
    period: sql.Composable = sql.SQL("true")
    if _PERIOD.match(constraint.definition):
        *pairs, (there, here) = pairs
        period = sql.SQL("range_agg({}.{}) @> {}").format(other, sql.Identifier(there), here)
        template = "({given} AND (SELECT {period} FROM {target} AS {other} WHERE {matches}) IS NOT TRUE)"
    matches = sql.SQL(" AND ").join(
        sql.SQL("{}.{} = {}").format(other, sql.Identifier(there), here) for there, here in pairs
    )
    orphan: sql.Composable = sql.SQL(template).format(
        given=given, target=sql.Identifier(*target.address), other=other, matches=matches, period=period
    )
    if " MATCH FULL" in constraint.definition:
        some = sql.SQL(" OR ").join(sql.SQL("{} IS NOT NULL").format(column) for column in columns)
        orphan = sql.SQL("({} OR (({}) AND NOT ({})))").format(orphan, some, given)
    return sql.SQL("SELECT count(*) FROM {} WHERE {}").format(rows.only().source(), orphan)


def _referenced(situation: _Situation, constraint: Constraint) -> Relation | None:
    for relation in situation.actual.relations:
        if relation.address == (constraint.foreign_schema, constraint.foreign_table):
            return relation if all(relation.column(name) for name in constraint.foreign_columns) else None
    return None


def _exclusion(rows: _Rows, constraint: Constraint) -> RowQuery | None:
    """Return a query for the rows that conflict with another one. It compares all pairs, so the time limit matters."""
    rows = rows.only()
    match = _EXCLUDED.match(constraint.definition)
    if match is None:
        return None
    parts = [element.rpartition(" WITH ")[::2] for element in _split(match["elements"])]
    elements = [(_without_operator_class(key), operator) for key, operator in parts]
    return _conflicts(rows, elements, match["predicate"] or "true")


def _overlapping(rows: _Rows, constraint: Constraint) -> RowQuery:
    """Return a query for rows whose key and period overlap with another row's, and for those without key or period."""
    *keys, period = (sql.Identifier(column).as_string(None) for column in constraint.columns)
    conflicts = _conflicts(rows.only(), [*((key, "=") for key in keys), (period, "&&")], "true")
    senseless = [f"isempty({period})"]
    if constraint.kind == "p":
        senseless += [f"{key} IS NULL" for key in (*keys, period)]
    where = _text(" OR ".join(senseless))
    return sql.SQL("SELECT ({}) + (SELECT count(*) FROM {} WHERE {})").format(conflicts, rows.only().source(), where)


def _conflicts(rows: _Rows, elements: Sequence[tuple[str, str]], predicate: str) -> RowQuery:
    """Return a query for the rows that *predicate* selects and of which all elements conflict with another row's."""
    keys = sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(_text(key), sql.Identifier(f"k{place}")) for place, (key, _) in enumerate(elements)
    )
    conflict = sql.SQL(" AND ").join(
        sql.SQL("a.{key} {operator} b.{key}").format(key=sql.Identifier(f"k{place}"), operator=_text(operator))
        for place, (_, operator) in enumerate(elements)
    )
    return sql.SQL(
        "WITH k AS MATERIALIZED (SELECT row_number() OVER () AS n, {} FROM {} WHERE {})"
        " SELECT count(*) FROM k AS a WHERE EXISTS (SELECT FROM k AS b WHERE b.n < a.n AND {})"
    ).format(keys, rows.source(), _text(predicate), conflict)


def _without_operator_class(key: str) -> str:
    """Return the column or expression of an element of an index with its collation, without the operator class."""
    name = _NAME.match(key)
    end = name.end() if name else 0
    depth = 0
    for piece in pieces(key[end:]):
        if not depth and piece != "(":
            break
        depth += (piece == "(") - (piece == ")")
        end += len(piece)
    collation = _COLLATION.match(key, end)
    return key[: collation.end() if collation else end]


def _split(elements: str) -> list[str]:
    """Split *elements* at commas outside parentheses, names and strings."""
    parts, depth = [""], 0
    for piece in pieces(elements):
        depth += (piece == "(") - (piece == ")")
        if piece == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += piece
    return [part.strip() for part in parts]


def _text(deparsed: str | None) -> sql.SQL:
    return sql.SQL(deparsed or "")  # the server's own text
