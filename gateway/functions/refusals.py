"""How a statement ends without a result: an error of the server, or a broken connection."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from psycopg.pq import DiagnosticField

from gateway.errors import QueryFailed, ResponseTooLarge

CHANGED: Final = "stonescriptdb_gateway.function_has_changed"  #: in the error of a call made with an old signature

_UNDEFINED_OBJECT: Final = "42704"
_DATATYPE_MISMATCH: Final = "42804"  #: of a polymorphic parameter; the only error of parsing without a position

# The context of an error in reading a value ends with ``unnamed portal parameter $1 = '...'``, or ``''`` for an empty
# value, in the language of lc_messages, and without the dollar in some. In every language, lines about functions have
# quotes or parentheses.
#
# The context may have megabytes, such as the text of a statement that the function runs. No part of the pattern can
# match what an earlier part can, so the search takes one pass.
_OF_PARAMETER: Final = re.compile(r"""(?:\A|\n)[^\n"'«»„“”(:0-9]*[0-9][^\n"'«»„“”(:]*(?:'(?:\.\.\.)?')?\Z""")


class ServerRefused(Exception):
    """The server ended a statement with an error."""

    def __init__(self, field: Callable[[DiagnosticField], bytes | None], message: str = "") -> None:
        """Read the fields of the error.

        :param field: returns a field; libpq and the protocol use the same keys
        :param message: of an error that libpq itself reports, without fields
        """

        def text_of(key: DiagnosticField) -> str | None:
            value = field(key)
            return None if value is None else value.decode(errors="replace")

        self.sqlstate = text_of(DiagnosticField.SQLSTATE)
        self.cause = text_of(DiagnosticField.MESSAGE_PRIMARY) or message
        self.detail = text_of(DiagnosticField.MESSAGE_DETAIL)
        self.hint = text_of(DiagnosticField.MESSAGE_HINT)
        self._context = text_of(DiagnosticField.CONTEXT)
        self._position = text_of(DiagnosticField.STATEMENT_POSITION)
        super().__init__(self.cause)

    @property
    def of_value(self) -> bool:
        """Whether a value could not be read as its parameter's type."""
        return self._context is not None and _OF_PARAMETER.search(self._context) is not None

    @property
    def of_statement(self) -> bool:
        """Whether the statement could not be parsed, as it is or with the types of its values."""
        return self._context is None and (self._position is not None or self.sqlstate == _DATATYPE_MISMATCH)

    @property
    def before_execution(self) -> bool:
        """Whether no part of the function has run, as far as the error shows."""
        return self._context is None or self.of_value

    @property
    def changed(self) -> bool:
        """Whether the function's name has another meaning than when its signature was read."""
        return self.sqlstate == _UNDEFINED_OBJECT and CHANGED in self.cause

    def as_query_failed(self, name: str) -> QueryFailed:
        """Return the error for the call of *name*, with PostgreSQL's own message."""
        return QueryFailed(
            f"{name} failed: {self.cause}",
            cause=self.cause,
            sqlstate=self.sqlstate,
            detail=self.detail,
            hint=self.hint,
        )


class ConnectionBroken(Exception):
    """The connection has ended, or cannot be used any more.

    :ivar sent: whether the call may have reached the server
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


def too_large(max_bytes: int) -> ResponseTooLarge:
    """Return the error for a row, an error or a notice that was not received to its end."""
    return ResponseTooLarge(
        f"the answer, or an error or warning in it, is larger than {max_bytes} bytes, and is not sent: "
        "let the function return less at a time, and shorter messages"
    )
