"""Applies safe differences to the database, in an order that the server accepts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

import psycopg

from migrations_engine.deploy.ddl import Alteration, alterations
from migrations_engine.deploy.dependants import Dependants
from migrations_engine.deploy.file_runner import NAME_TAKEN, UNDEFINED
from migrations_engine.deploy.session import DeploySession
from migrations_engine.deploy.several_parents import REFUSED, advice_on_several_parents
from migrations_engine.deploy.stored_results import CHANGED_IN_PLACE, computed_by, renew_stored_results
from migrations_engine.diff import CatalogDiff, Difference
from migrations_engine.errors import MigrationFailed
from migrations_engine.model import DatabaseObject
from migrations_engine.report import Change
from migrations_engine.source.attribution import FileIndex, bare_name, mentions_name

_FREE_NAME: Final = "; drop or rename what has the name in a migration"
_KEPT_RESULT: Final = "; it is not declared, and uses what changes: drop it in a migration"
_OTHER_RESULT: Final = "42P16"  #: SQLSTATE: a view cannot be replaced by one with other columns
_DOES_NOT_FIT: Final = "42"  #: SQLSTATE class of statements whose objects are missing, or of other types
_SENSELESS: Final = (_DOES_NOT_FIT, "22")  #: SQLSTATE classes; the latter are unsuitable values
#: SQLSTATEs of a change that is refused because other objects depend on the changed one.
_IN_USE: Final = frozenset({"2BP01", "0A000"})
_OF_ATTRIBUTES: Final = frozenset({"alter_attribute_type", "drop_attribute"})
_TYPES: Final = frozenset({"add_type", "add_enum_value"})


class ChangeRunner:
    """Runs the statements for the safe differences of one deploy.

    :param dependants: drops dependants of changed objects, which are then missing and created again
    :param make_functions: creates functions early, and returns whether there is a new one
    :param declaring: the files that declare objects, for errors
    :param earlier: differences that earlier deploys have left, which may be refused again
    """

    def __init__(
        self,
        session: DeploySession,
        dependants: Dependants,
        make_functions: Callable[[], bool],
        declaring: FileIndex,
        earlier: Iterable[Change],
    ) -> None:
        self._session = session
        self._dependants = dependants
        self._make_functions = make_functions
        self._declaring = declaring
        self._earlier = {change.key for change in earlier}
        self._refused: list[tuple[Change, MigrationFailed]] = []  #: because of a forced difference; may be done since
        self.undone: tuple[Change, ...] = ()  #: changes that PostgreSQL refused because of a forced difference

    def run_what_works(self, diff: CatalogDiff) -> None:
        """Run the statements for *diff*, except those that need an object which does not exist yet.

        :raises MigrationFailed: PostgreSQL refused one for another reason
        """
        self._run_in_turn(diff)

    def run(self, diff: CatalogDiff, *, may_leave: bool = False) -> None:
        """Run the statements for *diff*, each after those that it needs.

        :param may_leave: forced differences stay, and changes that depend on them are left, too.
            A change of several statements, such as a view that is recreated, is applied whole or fails the deploy
        :raises MigrationFailed: PostgreSQL refused one
        """
        for alteration, exc in self._run_in_turn(diff):
            was_left = self._earlier.issuperset(change.key for change in alteration.changes)
            if not ((may_leave or was_left) and exc.sqlstate.startswith(_SENSELESS)):
                raise exc
            if len(alteration.changes) > 1:
                for difference in diff.changes:
                    if difference.as_change() in alteration.changes:
                        self.run(replace(diff, changes=(difference,)), may_leave=True)
            elif _takes_nothing_away(diff, alteration.change):
                self._refused.append((alteration.change, exc))
            else:
                raise exc

    def renew_stored_results(self, changes: Sequence[Difference]) -> None:
        """Renew the stored results of the objects that *changes* have changed in place, before columns and constraints.

        :raises MigrationFailed: a unique index would have a key twice
        """
        changed = [item.found for item in changes if item.wanted is not None]
        objects = [found for found in changed if isinstance(found, DatabaseObject) and found.kind in CHANGED_IN_PLACE]
        renew_stored_results(self._session, objects=objects, computed={*computed_by(changes)})

    @property
    def has_refused(self) -> bool:
        """Whether PostgreSQL has refused changes, which may be done since."""
        return bool(self._refused)

    def refusal_of(self, change: Change) -> str | None:
        """Return why PostgreSQL has refused *change*, maybe with the table or view to which it adds; None if not."""
        for refused, exc in reversed(self._refused):
            if refused.key == change.key:
                return exc.message
        is_part = change.column is not None and change.change_type.startswith("add_")
        found = [exc for one, exc in self._refused if is_part and (one.table, one.column) == (change.table, None)]
        naming = [exc for exc in found if mentions_name(exc.server.message if exc.server else "", change.column or "")]
        for exc in naming or found:
            return f"{described(change)} failed: {exc.server.message if exc.server else exc.message}"
        return None

    def leave_undone(self, change: Change, what: str) -> None:
        """Add *change* to those that are left, with a warning."""
        self.undone = (*self.undone, change)
        self._session.warnings.append(f"not done, as it needs what was left as it is: {what}")

    def _run_in_turn(self, diff: CatalogDiff) -> list[tuple[Alteration, MigrationFailed]]:
        """Run statements, and repeat those that fail until no other one succeeds. Return those that still fail."""
        waiting = list(alterations(diff))
        refused: list[tuple[Alteration, MigrationFailed]] = []
        while waiting:
            lacking: list[tuple[Alteration, MigrationFailed]] = []
            for alteration in waiting:
                exc = self._attempt(diff, alteration)
                if exc is not None:
                    (lacking if _may_lack(exc) else refused).append((alteration, exc))
            if len(lacking) == len(waiting) and not self._make_functions():
                refused += lacking
                break
            waiting = [alteration for alteration, _ in lacking]
        self.renew_stored_results(diff.changes)
        return refused

    def _attempt(self, diff: CatalogDiff, alteration: Alteration) -> MigrationFailed | None:
        """Run a statement, after dropping what uses its subject if need be, and return its failure if it is refused."""
        try:
            with self._session.savepoint():
                self._run_one(alteration)
        except MigrationFailed as exc:
            if exc.sqlstate in _IN_USE and self._drop_dependants(diff, alteration):
                return self._attempt(diff, alteration)
            exc.add_to_message(self._advice(diff, alteration) if exc.sqlstate == REFUSED else "")
            return exc
        return None

    def _advice(self, diff: CatalogDiff, alteration: Alteration) -> str:
        """Return advice on a new type of a column that tables inherit from several others."""
        relation = diff.actual.relation_by_label.get(alteration.table)
        for change in alteration.changes:
            if relation is not None and change.change_type == "alter_column_type" and change.column and change.to_type:
                return advice_on_several_parents(self._session, relation.address, change.column, change.to_type)
        return ""

    def _drop_dependants(self, diff: CatalogDiff, alteration: Alteration) -> bool:
        """Drop the dependants of the object of a statement, and return whether there were any."""
        for difference in diff.changes:
            if isinstance(difference.found, DatabaseObject) and difference.as_change() in alteration.changes:
                return self._dependants.drop_of_object(difference.found)
        type_ = diff.actual.type_by_label.get(alteration.table)
        if alteration.change.change_type in _OF_ATTRIBUTES and type_ is not None:
            return self._dependants.drop_of_relation(type_, column=alteration.change.column)
        relation = diff.actual.relation_by_label.get(alteration.table)
        if relation is None:
            return False
        if not relation.is_table:
            return self._dependants.drop_of_relation(relation)
        dropped = [
            self._dependants.drop_of_relation(
                relation,
                column=change.column if relation.column(change.column or "") else None,
                constraint=change.column if change.change_type.endswith("_constraint") else None,
            )
            for change in alteration.changes
            if not change.change_type.startswith("add_")
        ]
        return any(dropped)

    def _run_one(self, alteration: Alteration) -> None:
        step = "types" if alteration.change.change_type in _TYPES else "tables"
        try:
            self._session.run(alteration.sql, step=step, effect=alteration.effect)
        except psycopg.Error as exc:
            file = self._declaring.declaring(bare_name(alteration.table), alteration.change.column)
            what, advice = described(alteration.change), _FREE_NAME if exc.sqlstate in NAME_TAKEN else ""
            if file is None and exc.sqlstate == _OTHER_RESULT and alteration.change.change_type == "alter_view":
                advice = _KEPT_RESULT
            raise self._session.failure(exc, MigrationFailed, file=file, what=what, advice=advice) from exc
        for change in alteration.changes:
            self._session.log(change.change_type, change.table, column=change.column)


def described(change: Change) -> str:
    """Return the object of *change* and what changes, for messages."""
    return f"{change.subject}: {change.change_type.replace('_', ' ')}"


def without(changes: Iterable[Change], keys: Iterable[tuple[str | None, ...]]) -> tuple[Change, ...]:
    """Return *changes* without those that have one of *keys*."""
    left_out = set(keys)
    return tuple(change for change in changes if change.key not in left_out)


def _may_lack(exc: MigrationFailed) -> bool:
    """Return whether a statement may need an object that does not exist yet, or a function with its new result."""
    return exc.sqlstate in UNDEFINED or exc.sqlstate.startswith(_DOES_NOT_FIT)


def _takes_nothing_away(diff: CatalogDiff, change: Change) -> bool:
    """Return whether nothing is lost if a statement for *change* fails."""
    return change.change_type.startswith("add_") or sum(a.change == change for a in alterations(diff)) == 1
