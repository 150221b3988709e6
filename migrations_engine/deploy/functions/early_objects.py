"""Objects of ``functions/`` that tables of a new database use: operators, casts, types and the like."""

from __future__ import annotations

from typing import Final

from migrations_engine.deploy.file_runner import FileRunner
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import FunctionDeployFailed
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.source.functions_folder import other_object_files
from migrations_engine.source.script import script_of

#: The words after CREATE of objects that need no table.
_KINDS: Final = frozenset(
    {"CAST", "COLLATION", "CONVERSION", "DOMAIN", "OPERATOR", "SCHEMA", "SEQUENCE", "TEXT", "TYPE"}
)


class EarlyObjects:
    """Creates objects of ``functions/`` before the other attachments, when a step needs them.

    :ivar made: the attachments that have run
    """

    def __init__(self, session: DeploySession, schema: Schema) -> None:
        self._session = session
        self._files = tuple(file for file in other_object_files(schema) if _creates_object(file))
        self.made: frozenset[SchemaFile] = frozenset()

    def make(self) -> bool:
        """Create what can be created now, and return whether there was anything.

        :raises FunctionDeployFailed: PostgreSQL refused a file, and not because an object is missing
        """
        waiting = [file for file in self._files if file not in self.made]
        runner = FileRunner(self._session, self._session.run_file, error_class=FunctionDeployFailed)
        failed = {file for file, _ in runner.run_what_works(waiting)}
        self.made |= {*waiting} - failed
        return len(failed) < len(waiting)


def _creates_object(file: SchemaFile) -> bool:
    return any(
        statement.words[:1] == ("CREATE",) and not _KINDS.isdisjoint(statement.words[1:2])
        for statement in script_of(file).statements
    )
