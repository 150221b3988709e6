"""A statement of a migration that PostgreSQL has refused, for those that decide what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import psycopg

from migrations_engine.errors import EngineError
from migrations_engine.schema import SchemaFile
from migrations_engine.source.statements import SqlStatement

_OF_TYPES: Final = ("42", "22")  #: SQLSTATE classes: names, operators and types that do not fit, and values


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused statement with its file, and the error.

    :ivar explain: returns the error of the engine for it, with advice
    """

    file: SchemaFile
    statement: SqlStatement
    exc: psycopg.Error
    explain: Callable[[Refusal], EngineError]

    def failure(self) -> EngineError:
        """Return the error that ends the deploy, unless there is a remedy."""
        return self.explain(self)

    @property
    def place(self) -> str:
        """The label of the file and the line of the statement, for messages."""
        return f"{self.file.label}, line {self.statement.start_line}"

    @property
    def sqlstate(self) -> str:
        """The SQLSTATE of the error, empty if it has none."""
        return self.exc.sqlstate or ""

    @property
    def message(self) -> str:
        """The message of PostgreSQL, empty if it has sent none."""
        return self.exc.diag.message_primary or ""

    @property
    def text(self) -> str:
        """The text of the statement, and of the one that failed in a function that it called."""
        return "\n".join([self.statement.text, self.exc.diag.internal_query or "", self.exc.diag.context or ""])

    @property
    def may_be_about_types(self) -> bool:
        """Whether the columns may have other types than the statement expects."""
        return self.sqlstate.startswith(_OF_TYPES)
