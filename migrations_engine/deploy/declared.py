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
from migrations_engine.source.names import created_name
from migrations_engine.source.script import script_of
from migrations_engine.source.statements import SqlStatement

_DECLARED_KINDS: Final = frozenset({"TABLE", "FOREIGN TABLE", "TYPE", "DOMAIN"})


def run_files(session: DeploySession, files: Sequence[SchemaFile], functions: FunctionDeployer) -> None:
    """Run every file, in the given order as far as it works.

    :raises MigrationFailed: PostgreSQL refused a file, also after those it may have waited for
    """
    FileRunner(session, session.run_file, error_class=MigrationFailed).run_all(files, functions.deploy_early)


def run_missing(
    session: DeploySession,
    files: Sequence[SchemaFile],
    functions: FunctionDeployer,
    missing: Collection[tuple[str, str]],
) -> None:
    """Make the *missing* tables and types of *files*.

    A file that declares nothing else runs whole, over functions that were made early; of others, only the statements
    about the missing ones run.

    :raises MigrationFailed: as :func:`run_files`
    """

    def run(file: SchemaFile) -> None:
        declared = _declared(file)
        if declared and declared.issubset(missing):
            session.run_file(file, replacing=True)
            return
        script = script_of(file)
        for statement in script.statements:
            if _is_about(statement, missing):
                session.run(statement.text.encode(), step=file.folder, file=file.label)
        session.restore_settings(script.changes_settings)

    partly = [file for file in files if _declared(file) & set(missing)]
    FileRunner(session, run, error_class=MigrationFailed).run_all(partly, functions.deploy_early)


def _declared(file: SchemaFile) -> set[tuple[str, str]]:
    return {
        (made.schema or DEFAULT_SCHEMA, made.name)
        for statement in script_of(file).statements
        if (made := created_name(statement)) is not None and made.kind in _DECLARED_KINDS and made.name is not None
    }


def _is_about(statement: SqlStatement, missing: Collection[tuple[str, str]]) -> bool:
    """Whether the statement makes one of the *missing* objects, or something on such a table."""
    made = created_name(statement)
    altered = alter_table_actions(statement)
    if altered is not None:
        schema, name = altered.table
    elif made is not None and made.table is not None:
        schema, name = made.table
    elif made is not None and made.kind in _DECLARED_KINDS and made.name is not None:
        schema, name = made.schema, made.name
    else:
        return False
    return (schema or DEFAULT_SCHEMA, name) in missing
