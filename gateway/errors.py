"""The errors of the gateway, one class for each meaning. ``api/errors.py`` maps each to an HTTP status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

#: The message of the answer to every fault of the gateway itself.
INTERNAL_ERROR: Final = "the gateway failed; its log has the details under this request_id"


class GatewayError(Exception):
    """The base class of all errors with which a request can end.

    :param message: what went wrong and what to do about it, for the reader of the answer
    :param facts: further fields of the answer (``database``, ``platform``, ``cause``, ``sqlstate``, ``file`` …);
        those that are None are left out
    """

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, **facts: Any) -> None:  # noqa: ANN401 - facts are JSON values of many types
        super().__init__(message)
        self.message = message
        self.facts: dict[str, Any] = {}
        self.add_facts(**facts)

    def add_facts(self, **facts: Any) -> None:  # noqa: ANN401
        """Add those of *facts* that are not None and that the error does not have yet.

        The facts of the code closest to the failure win: it knows the database at fault, its callers only that of the
        request.
        """
        known = {name: value for name, value in facts.items() if value is not None}
        self.facts = {**known, **self.facts}

    @property
    def text(self) -> str:
        """The message with PostgreSQL's, for where there is a single field or line for all of it."""
        return with_cause(self.message, self.facts)


def with_cause(message: str, facts: Mapping[str, Any]) -> str:
    """Return *message*, followed by the ``cause``, ``detail`` and ``hint`` of *facts* that it does not contain."""
    text = message
    for name, separator in (("cause", ": "), ("detail", ". "), ("hint", ". ")):
        more = facts.get(name)
        if more and more not in text:
            text = f"{text.removesuffix('.')}{separator}{more}"
    return text


class InvalidRequest(GatewayError):
    """A field is missing, malformed or unknown; the message names it."""

    code = "invalid_request"

    @classmethod
    def of_field(cls, name: str, message: str) -> InvalidRequest:
        """Return the refusal of the one field *name*."""
        return cls(message, fields={name: message})


class Unauthorized(GatewayError):
    """The key or token is missing or wrong."""

    code = "unauthorized"


class AddressNotAllowed(GatewayError):
    """The client's address is outside the allowed networks."""

    code = "unauthorized"


class PlatformIsolationViolation(GatewayError):
    """One platform's key was used for another platform."""

    code = "platform_isolation_violation"


class RateLimited(GatewayError):
    """The platform exceeds its rate limit; a request after ``retry_after`` seconds is admitted."""

    code = "rate_limited"


class DatabaseNotFound(GatewayError):
    """The database of this platform and tenant does not exist."""

    code = "database_not_found"


class PlatformNotFound(GatewayError):
    """The platform is not registered."""

    code = "platform_not_found"


class PlatformAlreadyRegistered(InvalidRequest):
    """The platform is registered already."""


class SchemaNotFound(GatewayError):
    """The platform has no stored schema of this name."""

    code = "schema_not_found"


class FunctionNotFound(GatewayError):
    """The function does not exist in the database, or may not be called; clients cannot distinguish the two."""

    code = "function_not_found"


class DatabaseAlreadyExists(GatewayError):
    """The database to be created exists already."""

    code = "database_already_exists"


class DatabaseNameConflict(GatewayError):
    """The database of this name has another owner, or none that is recorded."""

    code = "database_name_conflict"


class DatabaseNotRecorded(DatabaseNameConflict):
    """The database of this name has no ownership stamp. The answer is the same as for another owner's database."""


class DatabaseNotMoved(DatabaseNameConflict):
    """The database has the stamp of its platform, but the platform's role does not own it yet."""


class SchemaDeployError(GatewayError):
    """The schema engine failed. The answer has the engine's code, message and facts."""

    def __init__(self, code: str, message: str, **facts: Any) -> None:  # noqa: ANN401 - as in GatewayError
        super().__init__(message, **facts)
        self.engine_code = code


class ConnectionFailed(GatewayError):
    """PostgreSQL cannot be reached, or refuses connections."""

    code = "connection_failed"


class ConnectionRefused(ConnectionFailed):
    """PostgreSQL refuses connections to one database, which exists. It may have been renamed at the same time."""


class UndoRefused(GatewayError):
    """A database cannot be restored, or no copy of it kept: rows would be lost, or there is no space."""

    code = "migration_failed"


class StorageFailed(GatewayError):
    """DATA_DIR cannot be read or written: the disk is full, read-only or broken, or a record is damaged."""

    code = "storage_failed"


class PoolExhausted(GatewayError):
    """No connection became free within the wait limit."""

    code = "pool_exhausted"


class QueryTimeout(GatewayError):
    """The statement timeout ended the query."""

    code = "query_timeout"


class ClientGone(GatewayError):
    """The client disconnected before the answer, and the query was cancelled. The answer cannot be sent."""

    code = "query_timeout"


class QueryFailed(GatewayError):
    """PostgreSQL raised an error in the called function or query; ``sqlstate`` identifies it."""

    code = "query_failed"


class ResponseTooLarge(GatewayError):
    """The answer exceeds MAX_RESPONSE_BYTES."""

    code = "query_failed"


def drop_tracebacks(error: BaseException) -> None:
    """Remove the tracebacks of *error* and of the errors that led to it.

    A frame often references the error that it raised, and so itself, with the body of the request: without this, many
    megabytes would stay in memory until the garbage collector runs.
    """
    left, seen = [error], set()
    while left:
        one = left.pop()
        if id(one) not in seen:
            seen.add(id(one))
            one.__traceback__ = None
            left += [before for before in (one.__cause__, one.__context__) if before is not None]
