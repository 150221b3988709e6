"""Drops the dependants of an object that changes. They hold no rows, and are created again afterwards."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import sql
from psycopg.rows import class_row

from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import MigrationFailed
from migrations_engine.model import Catalog, Column, DatabaseObject, Relation, Type
from migrations_engine.queries import load_queries

_QUERIES: Final = load_queries(__package__)
_STEP: Final = "tables"
_ADVICE: Final = "drop or change that in a migration first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependant:
    """An object that uses another one."""

    #: ``view``, ``rule``, ``trigger``, ``policy``, ``index``, ``constraint``, ``domain check``, ``default``,
    #: ``generated column``, ``statistics``, ``routine``, ``object`` (one that belongs to no relation) or ``other``
    kind: str
    #: the label of a view; of a trigger, policy or column, its name; of other objects, their kind
    name: str
    holder: str | None  #: label of the relation or domain that it belongs to
    description: str  #: as PostgreSQL describes it
    statement: str | None  #: the statement that drops it; None if that would lose rows
    identity: str  #: as ``pg_identify_object`` returns it


class Dependants:
    """Drops the dependants of changed objects, if the schema creates them again.

    :param known: the catalogs that the schema makes
    :param owned_routines: returns the identities of routines that files of the schema create
    :param invalidate: makes the files of dropped routines run again
    :param later_label: returns the label that the schema has for a relation, if migrations have yet to rename it
    """

    def __init__(
        self,
        session: DeploySession,
        known: Sequence[Catalog],
        *,
        owned_routines: Callable[[Collection[str]], Collection[str]],
        invalidate: Callable[[Collection[str]], None],
        later_label: Callable[[str], str] = str,
    ) -> None:
        self._session = session
        self._known = known
        self._owned_routines = owned_routines
        self._invalidate = invalidate
        self._later_label = later_label

    def drop_of_relation(
        self, relation: Relation | Type, *, column: str | None = None, constraint: str | None = None
    ) -> bool:
        """Drop the dependants of a relation or composite type, or of its column or constraint.

        Return whether there were any.

        :raises MigrationFailed: a dependant holds rows, or the schema does not create it
        """
        what = ".".join(filter(None, (relation.label, column or constraint)))
        return self._drop(what, relation=relation.qualified, column=column, constraint=constraint)

    def drop_users(self, table: Relation | Type) -> bool:
        """Drop what uses *table*, which is dropped itself with its members. Return whether there was anything.

        :raises MigrationFailed: as :meth:`drop_of_relation`
        """
        columns = table.columns if isinstance(table, Relation) else ()
        sequences = {column.sequence.qualified for column in columns if column.sequence is not None}
        found = self._found("dependants_in_order", relation=table.qualified)
        return self._drop_all(
            table.label, [item for item in found if item.holder != table.label and item.identity not in sequences]
        )

    def drop_expressions(self, relation: Relation | Type, column: str | None) -> bool:
        """Drop what *relation* itself has that computes with *column*: checks, indexes, its default.

        Return whether there was any.

        :raises MigrationFailed: the schema does not create it
        """
        what = f"{relation.label}.{column}"
        return self._drop(what, query="expressions_over_column", relation=relation.qualified, column=column)

    def expressions_over(self, relation: Relation | Type, column: str | None) -> list[Dependant]:
        """Return what *relation* itself has that computes with *column*."""
        return self._found("expressions_over_column", relation=relation.qualified, column=column)

    def drop_of_type(self, item: Relation | Type) -> bool:
        """Drop the dependants of a type, or of the row type of a table. Return whether there were any.

        :raises MigrationFailed: as :meth:`drop_of_relation`
        """
        return self._drop(item.label, type=item.qualified)

    def drop_of_routine(self, oid: int, identity: str) -> bool:
        """Drop the dependants of a routine. Return whether there were any.

        :raises MigrationFailed: as :meth:`drop_of_relation`
        """
        return self._drop(identity, routine=oid)

    def drop_of_object(self, item: DatabaseObject) -> bool:
        """Drop the dependants of an object such as an operator. Return whether there were any.

        :raises MigrationFailed: as :meth:`drop_of_relation`
        """
        return self._drop(f"{item.kind} {item.identity}", object=item.identity, kind=item.kind)

    def _drop(self, what: str, query: str = "dependants_in_order", **given: str | int | None) -> bool:
        advice = _ADVICE
        found = self._found(query, **given)
        if given.get("routine") and any(item.description.startswith("table ") for item in found):
            advice = "a partition key keeps its function: leave that as it is, and give the changed one a new name"
        return self._drop_all(what, found, advice)

    def _drop_all(self, what: str, found: Sequence[Dependant], advice: str = _ADVICE) -> bool:
        obstacles = [item for item in found if not self._may_go(item)]
        if obstacles:
            raise MigrationFailed(
                f"{what} has to change, but {', '.join(item.description for item in obstacles)} depends on it, which "
                f"this schema does not make or which holds values; {advice}"
            )
        for item in found:
            assert item.statement is not None
            with self._session.failures_as(what=f"dropping {item.description}"):
                self._session.run(sql.SQL(item.statement), step=_STEP, effect=f"{item.description} is made again")
        self._invalidate([item.identity for item in found if item.kind == "routine"])
        return bool(found)

    def _found(self, query: str, **given: str | int | None) -> list[Dependant]:
        address = dict.fromkeys(("relation", "column", "constraint", "type", "routine", "object", "kind")) | given
        with self._session.connection.cursor(row_factory=class_row(Dependant)) as cursor:
            return cursor.execute(_QUERIES[query], address).fetchall()

    def _may_go(self, item: Dependant) -> bool:
        if item.statement is None:
            return False
        if item.kind == "routine":
            return bool(self._owned_routines([item.identity]))
        label = item.name if item.kind == "view" else item.holder or ""
        labels = {label, self._later_label(label)}
        return any(_has(catalog, item, label) for catalog in self._known for label in labels)


def _has(catalog: Catalog, item: Dependant, label: str) -> bool:
    """Return whether *catalog* has *item*, as a member of the relation or domain *label*, or as that view."""
    if item.kind == "domain check":
        domain = catalog.type_by_label.get(label)
        return domain is not None and item.name in dict(domain.checks)
    if item.kind == "object":
        return any((found.kind, found.identity) == (item.name, item.identity) for found in catalog.objects)
    relation = catalog.relation_by_label.get(label)
    if relation is None or item.kind == "view":
        return relation is not None
    if item.kind == "constraint":
        return any(constraint.name == item.name for constraint in relation.constraints)
    if item.kind in ("default", "generated column"):
        column: Column | None = relation.column(item.name)
        return column is not None and column.default is not None
    return any((found.kind, found.name) == (item.kind, item.name) for found in relation.attachments)
