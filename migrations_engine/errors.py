"""The errors of the engine: a class for each meaning, with the code that the gateway answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    import psycopg

    from migrations_engine.report import SchemaValidation, Verification

_LONGEST: Final = 100_000  #: characters of a text of the server; the message of RAISE may have megabytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerMessage:
    """The message of PostgreSQL about a statement that it refused. Very long texts are cut."""

    message: str
    sqlstate: str | None = None
    detail: str | None = None
    hint: str | None = None
    context: str | None = None

    @classmethod
    def of(cls, error: psycopg.Error) -> ServerMessage:
        """Read the diagnostic fields of *error*. Without them, as for a lost connection, its text is the message.

        libpq breaks that text into lines, which are joined.
        """
        diag = error.diag
        return cls(
            message=_cut(diag.message_primary) or _cut(" ".join(str(error).split())) or type(error).__name__,
            sqlstate=error.sqlstate,
            detail=_cut(diag.message_detail),
            hint=_cut(diag.message_hint),
            context=_cut(diag.context),
        )


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"


class EngineError(Exception):
    """A deploy, or the reading of a schema, failed. The database is unchanged.

    :param message: for people: what failed and what to do
    :param file: the schema file at fault, relative to the schema folder
    :param line: the line of that file at which PostgreSQL refused it
    :param server: PostgreSQL's own message, if PostgreSQL refused a statement
    """

    code: ClassVar[str] = "internal_error"

    def __init__(
        self, message: str, *, file: str | None = None, line: int | None = None, server: ServerMessage | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.line = line
        self.server = server

    @property
    def sqlstate(self) -> str:
        """The SQLSTATE with which PostgreSQL refused a statement; empty if it refused none."""
        return (self.server and self.server.sqlstate) or ""

    def add_to_message(self, text: str) -> None:
        """Add *text* to the end of the message."""
        self.message += text
        self.args = (self.message,)


class SchemaExtractionFailed(EngineError):
    """The archive or folder is not a schema: unreadable, unsafe, too large, not UTF-8, or with a cycle."""

    code = "schema_extraction_failed"


class ExtensionNotAvailable(EngineError):
    """The server does not have the extension, or not in the requested version."""

    code = "extension_not_available"


class ExtensionInstallFailed(EngineError):
    """The server has the extension but refused to install it."""

    code = "extension_install_failed"


class MigrationFailed(EngineError):
    """A table, type, migration, seeder or the verification failed, or a dangerous difference was not forced.

    :param validation: the differences between schema and database, if they were compared
    :param verification: the result of the verification, if it ran
    """

    code = "migration_failed"

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        server: ServerMessage | None = None,
        validation: SchemaValidation | None = None,
        verification: Verification | None = None,
    ) -> None:
        super().__init__(message, file=file, line=line, server=server)
        self.validation = validation
        self.verification = verification


class FunctionDeployFailed(EngineError):
    """PostgreSQL refused a file of ``functions/``, or objects depend on a function that has to be dropped."""

    code = "function_deploy_failed"


class DeployLockTimeout(MigrationFailed):
    """Another deploy of this database, or the application, held a lock for longer than the deploy may wait."""


class DeployInterrupted(EngineError):
    """The connection to PostgreSQL broke during the deploy; PostgreSQL has rolled it back."""

    code = "connection_failed"

    @classmethod
    def of(cls, server: ServerMessage) -> DeployInterrupted:
        """Return the error for a broken connection."""
        return cls(f"the connection to PostgreSQL was lost: {server.message}; repeat the request", server=server)


class ScratchUnavailable(EngineError):
    """The scratch database into which a schema is loaded could not be created or reached."""

    code = "connection_failed"
