"""Creates the declared objects of ``types/`` and ``tables/``: files run whole in a new database, else in part."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Final

import psycopg

from migrations_engine.deploy.file_runner import NAME_TAKEN, UNDEFINED, FileRunner
from migrations_engine.deploy.session import DeploySession
from migrations_engine.diff import CatalogDiff
from migrations_engine.errors import MigrationFailed
from migrations_engine.model import DEFAULT_SCHEMA, SchemaObject
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.source.alter_table import alter_table_actions
from migrations_engine.source.attribution import mentions_name
from migrations_engine.source.dependency_order import order_tables, order_types
from migrations_engine.source.functions_folder import GRANT_WORDS
from migrations_engine.source.names import ROUTINE_KINDS, created_name, insert_target
from migrations_engine.source.script import script_of
from migrations_engine.source.statements import SqlStatement

_NO_CAST: Final = "42846"
#: SQLSTATEs: what a file refers to is of another type or kind, or has no such key, and may have it later.
_NOT_YET: Final = frozenset({"42804", "42830", "42809", "42P16", "42P17", _NO_CAST})
_HARMLESS: Final = GRANT_WORDS | {"SET"}

NewNames = Collection[tuple[str, str]]  #: schema and name of each missing declared relation and type


def new_names(diff: CatalogDiff) -> NewNames:
    """Return the names of the relations and types that *diff* adds."""
    wanted = [item.wanted for item in diff.changes if item.change_type.startswith("add_")]
    return {item.address for item in wanted if isinstance(item, SchemaObject)}


def run_files(session: DeploySession, schema: Schema, help_out: Callable[[], bool]) -> None:
    """Run all files of ``types/`` and ``tables/``, each folder in the given order if possible.

    :param help_out: creates objects of ``functions/`` that the files may need, and returns whether it did
    :raises MigrationFailed: PostgreSQL refused a file, also after all others
    """
    runner = FileRunner(session, session.run_file, error_class=MigrationFailed, retried=UNDEFINED | {_NO_CAST})
    advice = partial(_advice_on_later_objects, migrations=schema.migrations)
    for files in (order_types(schema.types), order_tables(schema.tables)):
        runner.run_all(files, help_out, in_parts=True, advice=advice)


def _advice_on_later_objects(exc: psycopg.Error, *, migrations: Sequence[SchemaFile]) -> str:
    """Return what to do if one of *migrations* creates what a file lacks; else nothing."""
    if exc.sqlstate not in UNDEFINED:
        return ""
    for file in migrations:
        for made in map(created_name, script_of(file).statements):
            if made is not None and made.name is not None and mentions_name(str(exc.diag.message_primary), made.name):
                return (
                    f"; {file.label} creates {made.name}, but migrations run after types/ and tables/: declare "
                    f"{made.name} there, too, or put this statement into a later migration"
                )
    return ""


def run_new_files(session: DeploySession, files: Sequence[SchemaFile], new: NewNames) -> list[SchemaFile]:
    """Run the files that create only *new* objects, with OR REPLACE for routines, and return those that ran.

    Files that need other objects, keys or types, or names that other objects have, are left out; the next comparison
    finds what they create.

    :raises MigrationFailed: PostgreSQL refused a file for another reason
    """
    whole = [file for file in files if _is_about_new_objects(file, new)]
    run = partial(session.run_file, replacing=True)
    runner = FileRunner(session, run, error_class=MigrationFailed, retried=UNDEFINED | NAME_TAKEN | _NOT_YET)
    failed = [file for file, _ in runner.run_what_works(whole)]
    return [file for file in whole if file not in failed]


def install_extensions(session: DeploySession, files: Sequence[SchemaFile], installed: Collection[str]) -> None:
    """Run the CREATE EXTENSION statements of *files* for extensions that are not *installed*.

    :raises MigrationFailed: PostgreSQL refused one
    """
    for file in files:
        for statement in script_of(file).statements:
            made = created_name(statement)
            if made is not None and made.kind == "EXTENSION" and made.name not in installed:
                with session.failures_as(file=file):
                    session.run_statement(file, statement)


def fill_new_tables(session: DeploySession, files: Sequence[SchemaFile], new: NewNames) -> None:
    """Run the INSERT statements of *files* for *new* tables.

    :raises MigrationFailed: PostgreSQL refused one
    """
    for file in files:
        for statement in script_of(file).statements:
            target = insert_target(statement)
            if target is not None and target.table.address in new:
                with session.failures_as(file=file):
                    session.run_alone(file, statement)


def _is_about_new_objects(file: SchemaFile, new: NewNames) -> bool:
    about = [_is_about(statement, new) for statement in script_of(file).statements]
    return True in about and False not in about


def _is_about(statement: SqlStatement, new: NewNames) -> bool | None:
    """Return whether the statement creates or changes one of the *new* objects; None if it does no harm anyway."""
    made = created_name(statement)
    altered = alter_table_actions(statement)
    target = insert_target(statement)
    if {*statement.words[:1]} <= _HARMLESS or (made is not None and made.kind in ROUTINE_KINDS):
        return None
    if altered is not None:
        schema, name = altered.table
    elif target is not None:
        schema, name = target.table
    elif made is not None and made.table is not None:
        schema, name = made.table
    elif made is not None and made.name is not None:
        schema, name = made.schema, made.name
    else:
        return False
    return (schema or DEFAULT_SCHEMA, name) in new
