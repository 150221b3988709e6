"""What PostgreSQL refused, as the driver reports it, and what that means for the one who called."""

from __future__ import annotations

import re
from typing import Final

from psycopg.pq import DiagnosticField
from psycopg.pq.abc import PGresult

from gateway.errors import QueryFailed

CHANGED: Final = "stonescriptdb_gateway.function_has_changed"  #: in the error of a call made with an old signature

_UNDEFINED_OBJECT: Final = "42704"
_VALUE_OF_PARAMETER: Final = re.compile(r"[^\n]*\$[0-9]+[^\n]*")  # in every language of lc_messages


class ServerRefused(Exception):
    """A statement ended with an error of the server's."""

    def __init__(self, result: PGresult) -> None:
        def part(field: DiagnosticField) -> str | None:
            text = result.error_field(field)
            return None if text is None else text.decode(errors="replace")

        self.sqlstate = part(DiagnosticField.SQLSTATE)
        self.cause = part(DiagnosticField.MESSAGE_PRIMARY) or result.get_error_message().strip()
        self.detail = part(DiagnosticField.MESSAGE_DETAIL)
        self.hint = part(DiagnosticField.MESSAGE_HINT)
        self._context = part(DiagnosticField.CONTEXT)
        super().__init__(self.cause)

    @property
    def before_execution(self) -> bool:
        """Whether the statement itself was refused, or one of its values, and not something inside a function."""
        return self._context is None or _VALUE_OF_PARAMETER.fullmatch(self._context) is not None

    @property
    def changed(self) -> bool:
        """Whether the function's name does not mean any more what it meant when the signature was read."""
        return self.sqlstate == _UNDEFINED_OBJECT and CHANGED in self.cause

    def as_query_failed(self, name: str) -> QueryFailed:
        """The answer to who called *name*, with PostgreSQL's own words."""
        return QueryFailed(
            f"{name} failed: {self.cause}",
            cause=self.cause,
            sqlstate=self.sqlstate,
            detail=self.detail,
            hint=self.hint,
        )


class ConnectionLost(Exception):
    """The connection ended, or cannot be used any more.

    :ivar sent: whether the call may have reached the server
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent
