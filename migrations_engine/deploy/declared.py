"""The declared objects of ``types/`` and ``tables/``: files run whole in a new database, and in part in an old one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from migrations_engine.deploy.file_runner import FileRunner
from migrations_engine.deploy.functions import FunctionDeployer
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import MigrationFailed
from migrations_engine.model import DEFAULT_SCHEMA
from migrations_engine.schema import SchemaFile
from migrations_engine.source.alter_table import alter_table_actions
from migrations_engine.source.names import created_name, insert_target
from migrations_engine.source.script import script_of
from migrations_engine.source.statements import SqlStatement

_HARMLESS: Final = frozenset({"COMMENT", "GRANT", "REVOKE", "SET"})
_ROUTINES: Final = frozenset({"FUNCTION", "PROCEDURE", "AGGREGATE"})

NewNames = Collection[tuple[str, str]]  #: schema and name of each relation and type that is declared and not there


def run_files(session: DeploySession, files: Sequence[SchemaFile], functions: FunctionDeployer) -> None:
    """Run every file, in the given order as far as it works.

    :raises MigrationFailed: PostgreSQL refused a file, also after those it may have waited for
    """
    FileRunner(session, session.run_file, error_class=MigrationFailed).run_all(files, functions.deploy_early)


def run_new_files(session: DeploySession, files: Sequence[SchemaFile], new: NewNames) -> list[SchemaFile]:
    """Run the files that are about nothing but *new* objects, over functions that were made early, and return them.

    What needs something that no such file makes is left out: the catalog says what is still missing then.

    :raises MigrationFailed: PostgreSQL refused a file, and not because something is missing
    """
    whole = [file for file in files if _is_about_new_objects(file, new)]
    runner = FileRunner(session, lambda file: session.run_file(file, replacing=True), error_class=MigrationFailed)
    failed = [file for file, _ in runner.run_what_works(whole)]
    return [file for file in whole if file not in failed]


def install_extensions(session: DeploySession, files: Sequence[SchemaFile], installed: Collection[str]) -> None:
    """Run the CREATE EXTENSION statements of *files* for what is not *installed*.

    :raises MigrationFailed: PostgreSQL refused one
    """
    for file in files:
        for statement in script_of(file).statements:
            made = created_name(statement)
            if made is not None and made.kind == "EXTENSION" and made.name not in installed:
                with session.failures_as(file=file):
                    session.run(statement.text.encode(), step=file.folder, file=file.label)


def fill_new_tables(session: DeploySession, files: Sequence[SchemaFile], new: NewNames) -> None:
    """Run those INSERT statements of *files* that fill one of the *new* tables.

    :raises MigrationFailed: PostgreSQL refused one
    """
    for file in files:
        for statement in script_of(file).statements:
            target = insert_target(statement)
            if target is not None and (target.table.schema or DEFAULT_SCHEMA, target.table.name) in new:
                with session.failures_as(file=file):
                    session.run(statement.text.encode(), step=file.folder, file=file.label)


def _is_about_new_objects(file: SchemaFile, new: NewNames) -> bool:
    about = [_is_about(statement, new) for statement in script_of(file).statements]
    return True in about and False not in about


def _is_about(statement: SqlStatement, new: NewNames) -> bool | None:
    """Whether the statement makes or changes one of the *new* objects; None where it does no harm in any case."""
    made = created_name(statement)
    altered = alter_table_actions(statement)
    target = insert_target(statement)
    if {*statement.words[:1]} <= _HARMLESS or (made is not None and made.kind in _ROUTINES):
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
