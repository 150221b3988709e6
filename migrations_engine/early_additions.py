"""Adds declared objects, and applies declared changes, before all migrations have run, for those that need them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from typing import Final

import psycopg

from migrations_engine.catalog import read_catalog
from migrations_engine.counted_rows import count_rows
from migrations_engine.deploy.change_runner import ChangeRunner
from migrations_engine.deploy.ddl import ADDED_FOR_OTHERS
from migrations_engine.deploy.declared import fill_new_tables, new_names, run_new_files
from migrations_engine.deploy.file_runner import UNDEFINED
from migrations_engine.deploy.functions import FunctionDeployer
from migrations_engine.deploy.migrations import RenamedNames, with_earlier_values
from migrations_engine.deploy.migrations.refused_rows import (
    failing_function,
    may_allow,
    may_be_allowed,
    needs_a_change,
)
from migrations_engine.deploy.partitions import advice_on_default_partitions
from migrations_engine.deploy.seeders import Seeders, reserve_numbers
from migrations_engine.deploy.session import DeploySession
from migrations_engine.deploy_record import table_labels
from migrations_engine.diff import (
    CatalogDiff,
    Difference,
    diff_catalogs,
    safe,
    was_dropped,
    with_additions,
    with_changes,
    with_new_tables,
)
from migrations_engine.errors import MigrationFailed
from migrations_engine.model import Catalog, Column
from migrations_engine.report import SeederResult
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.situation import Situation
from migrations_engine.source.attribution import FileIndex, bare_name, mentions_name
from migrations_engine.source.dependency_order import order_tables
from migrations_engine.source.effects_on_rows import may_write_to
from migrations_engine.source.script import statements_of

#: Additions that all others may need.
BASICS: Final = frozenset({"add_schema", "add_type", "add_sequence", "add_enum_value"}) | ADDED_FOR_OTHERS
#: Additions that a migration may need before the others are made.
_EARLY: Final = BASICS | {"add_table", "add_column", "add_constraint", "add_index", "add_view"}

_RENAMED: Final = frozenset({"rename_constraint", "rename_index"})


def create_new_tables(
    session: DeploySession, schema: Schema, diff: CatalogDiff
) -> tuple[list[SchemaFile], list[SchemaFile]]:
    """Create the new tables of *diff* by their files, if those contain nothing else.

    Return the files that ran, and the others; none if there are no new tables.

    :raises MigrationFailed: PostgreSQL refused a file
    """
    if not any(item.change_type == "add_table" for item in diff.changes):
        return [], []
    files = order_tables(schema.tables)
    with advice_on_default_partitions(session, diff):
        ran = run_new_files(session, files, new_names(diff))
    return ran, [file for file in files if file not in ran]


class EarlyAdditions:
    """The additions to one database before its migrations, and the changes before one whose rows need them.

    :ivar before: the database before the migrations, with what was added and changed for them
    :ivar seeded: the rows of new tables that were inserted before the migrations had run
    """

    def __init__(
        self, session: DeploySession, functions: FunctionDeployer, changes: ChangeRunner, situation: Situation
    ) -> None:
        self.before = situation.before
        self._session = session
        self._functions = functions
        self._changes = changes
        self._situation = situation
        self._declared = situation.declared_as_followed
        self._pending_files = FileIndex(situation.pending)
        self._tried: set[tuple[str | None, ...]] = set()
        self.seeded: tuple[SeederResult, ...] = ()

    def differences(
        self, is_asked: Callable[[Difference], bool], *, actual: Catalog | None = None, former: Catalog | None = None
    ) -> CatalogDiff:
        """Return differences to what is declared, without those in objects that a pending migration renames.

        :param former: what the last deploy declared; without it, nothing is known to be dropped by declaration
        """
        actual, pending = actual or read_catalog(self._session.connection), self._situation.pending
        declared = with_earlier_values(self._declared, actual, pending)
        diff, renamed = diff_catalogs(actual=actual, wanted=declared, former=former), RenamedNames(pending, actual)

        return replace(
            diff,
            changes=tuple(
                item for item in diff.changes if is_asked(item) and not renamed.seem_to_have(item.table, item.name)
            ),
        )

    def is_mentioned(self, difference: Difference) -> bool:
        """Return whether a pending migration names the object of *difference*, and so may change it."""
        names = [bare_name(difference.table), *([difference.name] if difference.name else [])]
        return bool(self._pending_files.mentioning(*names))

    def with_what_migrations_drop(self) -> Catalog | None:
        """Return the database before, with declared objects that it lacked and that the pending migrations drop.

        They drop them last, so these objects stay as the migrations leave them.
        """
        declared, complete = self._situation.desired.declared, self._situation.desired.complete
        if self.before is None or declared == complete:
            return self.before
        lacking = diff_catalogs(actual=complete, wanted=declared).changes
        dropped = [item for item in lacking if item.change_type.startswith("add_") and self.is_mentioned(item)]
        return with_additions(self.before, declared, dropped)

    def make_for(self, exc: psycopg.Error, text: str) -> bool:
        """Create functions, or add declared objects, for a statement of a migration that was refused with *exc*.

        First those that the message of PostgreSQL names, then those that *text* names, the statement with its context,
        then all: a block may look whether an object is there, and fill only one that it adds itself. Each is tried
        once. What is refused may be allowed by another change of a declaration. Return whether there were any.
        """
        if may_be_allowed(exc) and self._change_for(exc, text):
            return True
        if needs_a_change(exc):
            return self._functions.is_missing(failing_function(exc) or "") and self._functions.deploy_early()
        if self._functions.deploy_early() or self._rename_for(exc):
            return True
        possible = self._possible()
        for named_in in (exc.diag.message_primary or "", text, None):
            diff = _only_named(possible, named_in)
            keys = {item.as_change().key for item in diff.changes}
            if not keys <= self._tried:
                self._tried |= keys
                self._add(diff, named_in)
                self._note(diff)
                reserve_numbers(self._session, self._situation.schema.seeders, self._situation.pending)
                self.seed({item.table for item in diff.changes if item.change_type == "add_table"})
                return True
        return exc.sqlstate in UNDEFINED and self._change_for(exc, text)

    def seed(self, tables: Collection[str]) -> None:
        """Fill new tables by their seeders, for migrations and foreign keys that refer to their rows.

        A table whose rows a pending migration writes is left to the end of the deploy, as in a new database. So is one
        whose seeder PostgreSQL refuses yet.

        :param tables: their labels
        """
        pending = tuple(statements_of(self._situation.pending))
        self._seed({one for one in tables if not any(may_write_to(statement, bare_name(one)) for statement in pending)})

    def seed_after_migrations(self) -> None:
        """Fill the new tables that have not been filled, as far as their seeders are not refused yet."""
        before, declared = self._situation.before or Catalog(), self._situation.desired.declared
        self._seed(table_labels(declared) - table_labels(before) - {result.table for result in self.seeded})

    def _seed(self, tables: Collection[str]) -> None:
        if not tables:
            return
        seeders = Seeders(self._session, self._situation.schema.seeders)
        with suppress(psycopg.Error, MigrationFailed), self._session.savepoint():
            self.seeded += seeders.seed(first_deploy=False, made=tables, only_made=True)

    def _change_for(self, exc: psycopg.Error, text: str) -> bool:
        """Apply the safe changes of this release's declarations that may allow the statement *text*, or its rows.

        What an earlier migration has made other than declared stays, and so does a constraint that a pending one names.
        Each change is tried once. Return whether there were any.

        :param exc: with which PostgreSQL refused it
        """
        is_asked, actual = may_allow(exc, text), read_catalog(self._session.connection)
        former = self._former(actual)
        asked = {_subject(item) for item in self._declared_changes(former) if is_asked(item)}
        if not asked:
            return False

        def is_declared(item: Difference) -> bool:
            return _subject(item) in asked and self._is_free(item)

        diff = self.differences(is_declared, actual=actual, former=former)
        counted = count_rows(self._session, diff, expected=False)
        allowing = tuple(item for item in map(_without_refused, counted.changes) if item.compatibility == "safe")
        keys = {item.as_change().key for item in allowing}
        if keys <= self._tried:
            return False
        self._tried |= keys
        self._changes.run_what_works(replace(counted, changes=allowing))
        if self.before is not None:
            actual = read_catalog(self._session.connection)
            self.before = with_additions(with_changes(self.before, actual, allowing), actual, allowing)
        return True

    def _rename_for(self, exc: psycopg.Error) -> bool:
        """Give what *exc* misses its declared name, which PostgreSQL chose once, and return whether there was anything.

        The comparison of the release before has renamed it, because that declared an earlier name.
        """
        message = exc.diag.message_primary or ""
        diff = self.differences(
            lambda item: item.change_type in _RENAMED and mentions_name(message, getattr(item.wanted, "name", ""))
        )
        self._changes.run_what_works(diff)
        return bool(diff)

    def _is_free(self, item: Difference) -> bool:
        """Return whether no pending migration decides about what *item* changes. Their rows name the table anyway."""
        if item.name is None:
            return self._pending_files.defining(bare_name(item.table)) is None
        return isinstance(item.found, Column) or not self.is_mentioned(item)

    def _former(self, actual: Catalog) -> Catalog | None:
        """Return what the last deploy declared, with the tables that the migrations of this one have made."""
        former, declared = self._situation.former, self._situation.desired.declared
        return former and self.before and with_new_tables(former, self.before, actual, declared)

    def _declared_changes(self, former: Catalog | None) -> tuple[Difference, ...]:
        """Return the changes from *former* to this declaration; none if it is unknown."""
        if former is None:
            return ()
        return diff_catalogs(actual=former, wanted=self._situation.desired.declared, former=former).changes

    def _possible(self) -> CatalogDiff:
        """Return the declared objects that a migration may need and that can be added before all have run."""
        before, situation = self.before or Catalog(), self._situation

        def may_be_needed(item: Difference) -> bool:
            is_early = item.change_type in _EARLY or item.gives_value
            return is_early and not was_dropped(item, before, situation.desired.complete, situation.former)

        diff = count_rows(self._session, self.differences(may_be_needed), expected=False)
        possible = (item.to_be_filled() if self.is_mentioned(item) else item for item in diff.changes)
        return replace(diff, changes=tuple(item for item in possible if item.compatibility == "safe"))

    def _add(self, diff: CatalogDiff, named_in: str | None) -> None:
        ran, others = create_new_tables(self._session, self._situation.schema, diff)
        self._changes.run_what_works(_only_named(self._possible(), named_in) if ran else diff)
        fill_new_tables(self._session, others, new_names(diff))

    def _note(self, diff: CatalogDiff) -> None:
        """Add *diff* to the database before the migrations, which may alter or drop it."""
        if self.before is not None:
            self.before = with_additions(self.before, read_catalog(self._session.connection), diff.changes)


def _subject(item: Difference) -> tuple[str, str, str | None]:
    return item.change_type, item.table, item.name


def _without_refused(item: Difference) -> Difference:
    """Return the change of a constraint that rows refuse as its removal; it is added when the migrations have run."""
    if item.compatibility == "safe" or item.change_type != "alter_constraint" or not item.verdict.decided_by_rows:
        return item
    return replace(
        item, change_type="drop_constraint", wanted=None, to_text=None, verdict=safe("until the migrations have run")
    )


def _only_named(diff: CatalogDiff, text: str | None) -> CatalogDiff:
    """Return the part of *diff* that *text* names, and what others may need; all if it is None."""
    if text is None:
        return diff
    return replace(
        diff,
        changes=tuple(
            item
            for item in diff.changes
            if item.change_type in BASICS or mentions_name(text, item.name or bare_name(item.table))
        ),
    )
