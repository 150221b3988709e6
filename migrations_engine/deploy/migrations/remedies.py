"""Gives a refused statement of a migration what it lacks, or takes away what prevents it, until all have run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import psycopg

from migrations_engine.deploy.dependants import Dependants
from migrations_engine.deploy.file_runner import UNDEFINED
from migrations_engine.deploy.functions import REPLACEMENT_REFUSED, FunctionDeployer
from migrations_engine.deploy.migrations.declared_dependants import DeclaredDependants
from migrations_engine.deploy.migrations.domains_in_use import alter_domain_in_use
from migrations_engine.deploy.migrations.earlier_columns import EarlierColumns
from migrations_engine.deploy.migrations.missing_columns import add_missing_columns
from migrations_engine.deploy.migrations.missing_views import restore_views
from migrations_engine.deploy.migrations.outdated import IN_USE
from migrations_engine.deploy.migrations.pending import PendingMigrations
from migrations_engine.deploy.migrations.postponed import PostponedConstraints
from migrations_engine.deploy.migrations.refusal import Refusal
from migrations_engine.deploy.migrations.refused_rows import may_be_allowed
from migrations_engine.deploy.migrations.renames import VIEWS, renamed_again, revert_renames
from migrations_engine.deploy.migrations.satisfied import TYPE_IN_USE
from migrations_engine.deploy.numbers import move_sequences_of
from migrations_engine.deploy.session import DeploySession
from migrations_engine.model import Catalog
from migrations_engine.schema import SchemaFile
from migrations_engine.source.names import created_name, dropped_names, insert_target
from migrations_engine.source.statements import SqlStatement

#: SQLSTATEs: an expression over a column does not fit its new type, as a check or a default.
EXPRESSION_REFUSED: Final = frozenset({"42883", "42804"})
_FUNCTION_EXISTS: Final = "42723"
_UNIQUE_VIOLATION: Final = "23505"
#: SQLSTATEs: a column is no identity or generated column, or has no default; it may be declared with that by now.
_WITHOUT_VALUE: Final = frozenset({"55000", "23502"})


class Remedies:
    """The remedies for the refused statements of one deploy.

    :param declared: the catalog that the declarations make
    :param is_new: the database is new, so that renames are reverted first
    :param add_declared: creates functions and newly declared objects for a statement that was refused with an error,
        from that and the text of the statement; returns whether there were any
    """

    def __init__(
        self,
        session: DeploySession,
        functions: FunctionDeployer,
        pending: PendingMigrations,
        declared: Catalog,
        *,
        is_new: bool,
        add_declared: Callable[[psycopg.Error, str], bool],
    ) -> None:
        self._session = session
        self._functions = functions
        self._pending = pending
        self._declared = declared
        self._is_new = is_new
        self._add_declared = add_declared
        # No method of this object, which would keep itself, and the texts of files, until the garbage collector runs.
        self._dependants = Dependants(
            session,
            (declared,),
            owned_routines=functions.owned,
            invalidate=functions.invalidate,
            later_label=pending.later_label,
        )
        self._declared_dependants = DeclaredDependants(session, self._dependants)
        self._earlier_columns = EarlierColumns(session, pending.is_new_column, self._declared_dependants.drop)
        self._postponed = PostponedConstraints(session, pending.new_tables)
        self._tried_again: set[SqlStatement] = set()
        self._reverted = revert_renames(session, pending.renames_to_revert) if is_new else set()

    def give_what_lacks(self, refusal: Refusal) -> bool:
        """Create declared objects that the statement may need, or numbers for its rows. Return whether it may work."""
        target = insert_target(refusal.statement) if refusal.sqlstate == _UNIQUE_VIOLATION else None
        if target is not None:
            is_first = refusal.statement not in self._tried_again  # it may have drawn the last number in use
            self._tried_again.add(refusal.statement)
            if move_sequences_of(self._session, target.table) or is_first:
                return True
        if not self._is_new and may_be_allowed(refusal.exc) and self._add_declared(refusal.exc, refusal.text):
            return True
        lacks_value = not self._is_new and refusal.sqlstate in _WITHOUT_VALUE
        return (lacks_value or refusal.sqlstate in UNDEFINED) and self._create_what_lacks(refusal)

    def give_in_a_transaction(self, refusal: Refusal) -> bool:
        """Do :meth:`give_what_lacks` for a statement outside a transaction, in one of its own."""
        if self._session.connection.closed:
            return False
        with self._session.connection.transaction():
            self._session.restore_settings(True)
            return self.give_what_lacks(refusal)

    def make_earlier_columns(self, refusal: Refusal) -> bool:
        """Make columns of new tables as the statement may expect them, and return whether it may work now."""
        later = self._pending.alterations_after(refusal.file, refusal.statement)
        return self._earlier_columns.make(refusal, later)

    def may_replace(self, refusal: Refusal) -> bool:
        """Return whether the statement creates a function that is there, and that no file defines any more."""
        made = created_name(refusal.statement) if refusal.sqlstate == _FUNCTION_EXISTS else None
        return made is not None and made.name is not None and self._functions.has_removed(made.name)

    def remove_obstacle(self, refusal: Refusal) -> bool:
        """Drop what prevents the statement until the migrations have run, and return whether there was anything."""
        statement = refusal.statement
        if refusal.sqlstate in TYPE_IN_USE:
            return self._declared_dependants.drop_for_type(statement)
        if refusal.sqlstate in EXPRESSION_REFUSED and self._declared_dependants.drop_expressions(statement):
            return True
        if refusal.sqlstate == IN_USE:
            return self._drop_users(refusal)
        if refusal.sqlstate in REPLACEMENT_REFUSED:
            made = created_name(statement)
            return made is not None and made.name is not None and self._functions.make_room(made.name)
        return self._postponed.postpone(refusal)

    def will_add(self, refusal: Refusal) -> bool:
        """Return whether the constraint that the statement adds is added when all migrations have run."""
        return self._postponed.is_added_by(refusal)

    def alter_domain(self, refusal: Refusal) -> bool:
        """Change a domain in a new database, where columns without values have it inside their types."""
        if not self._is_new or refusal.sqlstate not in TYPE_IN_USE:
            return False
        run = partial(self._session.run_statement, refusal.file, refusal.statement)
        return alter_domain_in_use(self._session, self._dependants, refusal.statement, run)

    def expressions_over(self, statement: SqlStatement) -> list[str]:
        """Return what computes with the column whose type *statement* changes, as PostgreSQL describes it."""
        return self._declared_dependants.expressions(statement)

    def use_added_column(self, statement: SqlStatement) -> bool:
        """Return whether *statement* uses a column that was added for the migrations."""
        return self._earlier_columns.are_used_by(statement)

    def is_reverted(self, file: SchemaFile, statement: SqlStatement) -> bool:
        """Return whether *statement* is a rename that was reverted before."""
        return (file, statement.start) in self._reverted

    def end(self, seed: Callable[[], None] | None = None) -> None:
        """Restore what was changed until all migrations have run.

        :param seed: inserts rows to which foreign keys refer; without it, these keys wait for it
        :raises MigrationFailed: rows of the migrations do not allow it
        """
        self._earlier_columns.restore()
        self._postponed.restore(seed)

    def _drop_users(self, refusal: Refusal) -> bool:
        """Drop what uses that which the statement drops. Return whether there was anything."""
        is_replaced = partial(self._pending.is_name_given_again, refusal.file, refusal.statement)
        if self._declared_dependants.drop_for_drop(refusal.statement, is_replaced):
            return True
        gone = dropped_names(refusal.statement)
        tables = [one.address for one in gone if one.kind == "TABLE" and is_replaced(one.name)]
        return any(self._postponed.postpone_keys_to(address, refusal) for address in tables)

    def _create_what_lacks(self, refusal: Refusal) -> bool:
        """Create declared objects that the statement may need. Return whether there were any."""
        if self._add_declared(refusal.exc, refusal.text):
            if not self._is_new:
                of_new = self._pending.renames_of_new(refusal.file, refusal.statement)
                self._reverted |= revert_renames(self._session, of_new)
            return True
        later = self._pending.after(refusal.file, refusal.statement)
        if self._is_new and add_missing_columns(self._session, self._declared, refusal, later):
            return True
        return self._restore_views(refusal) or self._create_with_latest_names(refusal)

    def _restore_views(self, refusal: Refusal, later_names: Sequence[str] = ()) -> bool:
        text = "\n".join([refusal.text, str(refusal.exc), *later_names])
        return restore_views(self._session, self._declared, text)

    def _create_with_latest_names(self, refusal: Refusal) -> bool:
        """Create declared views and functions that use, or have, the latest names of what later migrations rename.

        Return whether there were any.
        """
        later = self._pending.renames_from(refusal.file, refusal.statement)
        reverted = [found for found in later if self.is_reverted(*found[:2])]
        views = [found for found in later if found not in reverted and found[2].kind in VIEWS]
        if not reverted and not views:
            return False
        with renamed_again(self._session, reverted):
            is_made = self._add_declared(refusal.exc, refusal.text)
            is_helped = is_made or self._restore_views(refusal, [renamed.later_name for _, _, renamed in views])
        if is_helped:
            self._reverted |= revert_renames(self._session, views)
        return is_helped
