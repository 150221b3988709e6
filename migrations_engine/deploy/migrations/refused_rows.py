"""What of a migration is refused because the database is not yet as the same release declares it: mostly rows."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import psycopg

from migrations_engine.deploy.file_runner import UNDEFINED
from migrations_engine.diff import Difference
from migrations_engine.model import Attachment, Constraint, Relation
from migrations_engine.source.attribution import bare_name, mentions_name

_NOT_NULL_VIOLATION: Final = "23502"
_CHECK_VIOLATION: Final = "23514"
#: SQLSTATEs: a foreign key, a unique key, a check or an exclusion constraint.
_OF_CONSTRAINTS: Final = frozenset({"23503", "23505", _CHECK_VIOLATION, "23P01"})
_KEY_CHANGES: Final = frozenset({"add_constraint", "alter_constraint", "add_index", "alter_index"})
_TRIGGER_CHANGES: Final = frozenset({"alter_trigger", "drop_trigger"})
#: By SQLSTATE, the changes of a table, view or column that may allow the row: the value is too long or out of range,
#: the column generates its values, there is no key for ON CONFLICT, a policy or the check option of a view refuses
#: the row, or a trigger in C names a column that is gone. The error does not name the column, or the trigger.
_ALLOWING: Final = dict.fromkeys(UNDEFINED, _TRIGGER_CHANGES) | {
    "22001": frozenset({"alter_column_type"}),
    "22003": frozenset({"alter_column_type"}),
    "428C9": frozenset({"alter_column_identity", "alter_column_generated"}),
    "42P10": _KEY_CHANGES,
    "42501": frozenset({"add_policy", "alter_policy", "drop_policy", "alter_row_security", "alter_force_row_security"}),
    "44000": frozenset({"alter_view", "alter_option"}),
}
#: Of the context of an error; one in the function of a trigger may have any SQLSTATE.
_FAILING: Final = re.compile(r"^PL/pgSQL function (?P<name>[^(\n]+)\(.*\) line \d+ at ", re.MULTILINE)
_IN_USE: Final = "2BP01"  #: foreign keys depend on the key that is dropped
_ABOUT_CHANGES: Final = _OF_CONSTRAINTS | {_NOT_NULL_VIOLATION, _IN_USE} | (_ALLOWING.keys() - UNDEFINED)


def may_be_allowed(exc: psycopg.Error) -> bool:
    """Return whether a declared change may allow what PostgreSQL or a trigger has refused with *exc*.

    That are rows, or that a key is dropped to which foreign keys refer.
    """
    is_refused = failing_function(exc) is not None and exc.sqlstate not in UNDEFINED
    return is_refused or exc.sqlstate in _ABOUT_CHANGES


def needs_a_change(exc: psycopg.Error) -> bool:
    """Return whether nothing that is newly declared can help: only a column without a value may get a default."""
    return exc.sqlstate != _NOT_NULL_VIOLATION and may_be_allowed(exc)


def failing_function(exc: psycopg.Error) -> str | None:
    """Return the name of the PL/pgSQL function in which *exc* was raised, as PostgreSQL prints it, or None."""
    failing = _FAILING.search(exc.diag.context or "")
    return failing["name"] if failing is not None else None


def may_allow(exc: psycopg.Error, text: str) -> Callable[[Difference], bool]:
    """Return the condition for changes that may allow the statement *text*, or its rows, refused with *exc*."""
    function, is_of_error = failing_function(exc), _changes_of_error(exc, text)
    if function is None:
        return is_of_error
    return lambda item: is_of_error(item) or (item.change_type in _TRIGGER_CHANGES and _calls(item.found, function))


def _changes_of_error(exc: psycopg.Error, text: str) -> Callable[[Difference], bool]:
    sqlstate, diag = exc.sqlstate or "", exc.diag
    if sqlstate == _IN_USE:
        return lambda item: _is_foreign_key(item) and mentions_name(diag.message_detail or "", item.name or "")
    if sqlstate in _ALLOWING:
        types = _ALLOWING[sqlstate]
        return lambda item: item.change_type in types and mentions_name(text, bare_name(item.table))
    if sqlstate == _NOT_NULL_VIOLATION:
        return lambda item: _is_of(item, diag.table_name, diag.column_name) and item.change_type == "drop_not_null"
    if sqlstate == _CHECK_VIOLATION and not diag.constraint_name:  # no partition is for the row
        return lambda item: _is_partition_of(item, diag.table_name)
    if sqlstate in _OF_CONSTRAINTS and diag.datatype_name:
        return lambda item: bare_name(item.table) == diag.datatype_name and item.change_type.startswith("alter_")
    return lambda item: sqlstate in _OF_CONSTRAINTS and _is_of(item, diag.table_name, diag.constraint_name)


def _calls(trigger: object, function: str) -> bool:
    return isinstance(trigger, Attachment) and mentions_name(trigger.definition, bare_name(function).strip('"'))


def _is_foreign_key(item: Difference) -> bool:
    """Return whether *item* drops a foreign key."""
    return item.change_type == "drop_constraint" and isinstance(item.found, Constraint) and item.found.kind == "f"


def _is_partition_of(item: Difference, table: str | None) -> bool:
    return isinstance(item.wanted, Relation) and table in [bare_name(parent) for parent in item.wanted.parents]


def _is_of(item: Difference, table: str | None, name: str | None) -> bool:
    return bare_name(item.table) == table and item.name == name
