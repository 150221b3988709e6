"""Everything the gateway refuses or fails to do, by meaning. HTTP is not known here: ``api`` gives each a status."""

from __future__ import annotations

from typing import Any, ClassVar


class GatewayError(Exception):
    """A request that ends without success.

    :param message: what went wrong and what to do about it, for the person who reads the answer
    :param facts: further fields of the answer (``database``, ``platform``, ``cause``, ``sqlstate``, ``file`` …);
        those that are None are left out
    """

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, **facts: Any) -> None:  # noqa: ANN401 - facts are JSON values of many types
        super().__init__(message)
        self.message = message
        self.facts = {name: value for name, value in facts.items() if value is not None}


class InvalidRequest(GatewayError):
    """A field is missing, malformed or unknown; the message names it."""

    code = "invalid_request"


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
    """The platform sends more requests than it may; ``retry_after`` seconds later it may again."""

    code = "rate_limited"


class DatabaseNotFound(GatewayError):
    """The database of this platform and tenant does not exist."""

    code = "database_not_found"


class PlatformNotFound(GatewayError):
    """The platform is not registered."""

    code = "platform_not_found"


class PlatformAlreadyRegistered(InvalidRequest):
    """The platform to be registered is registered."""


class SchemaNotFound(GatewayError):
    """The platform has no stored schema of this name."""

    code = "schema_not_found"


class FunctionNotFound(GatewayError):
    """No function of this name may be called in the database, or there is none; the two look alike on purpose."""

    code = "function_not_found"


class DatabaseAlreadyExists(GatewayError):
    """The database to be made is there already."""

    code = "database_already_exists"


class DatabaseNameConflict(GatewayError):
    """The database of this name belongs to somebody else, or to nobody who was ever recorded."""

    code = "database_name_conflict"


class DatabaseNotRecorded(DatabaseNameConflict):
    """The database of this name has no owner's stamp. It looks like one that belongs to somebody else."""


class DatabaseNotMoved(DatabaseNameConflict):
    """The database has the stamp of its platform and is not owned by the platform's role yet."""


class SchemaDeployError(GatewayError):
    """The schema engine ended without success. Its own code, message and facts are the answer."""

    def __init__(self, code: str, message: str, **facts: Any) -> None:  # noqa: ANN401 - as in GatewayError
        super().__init__(message, **facts)
        self.engine_code = code


class ConnectionFailed(GatewayError):
    """PostgreSQL cannot be reached, or refuses connections."""

    code = "connection_failed"


class UndoRefused(GatewayError):
    """A database is not put back, or no copy of it kept: rows would be lost, or there is no space."""

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
    """The client closed its connection before the answer, and the query was cancelled. Nobody reads this."""

    code = "query_timeout"


class QueryFailed(GatewayError):
    """PostgreSQL raised an error inside the called function or query; ``sqlstate`` says which."""

    code = "query_failed"


class ResponseTooLarge(GatewayError):
    """The answer is larger than an answer may be."""

    code = "query_failed"
