"""The contents of a schema file, split once: its statements, the text that is sent, and its folded checksum."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.schema import SchemaFile, once_per_file
from migrations_engine.source.checksum import folded_checksum
from migrations_engine.source.lexer import occurs
from migrations_engine.source.names import NamedObject, created_name
from migrations_engine.source.statements import SqlStatement, split, transaction_control

_BEGIN_AND_END: Final = frozenset({"BEGIN", "START", "COMMIT", "END"})
_SETTING_FUNCTION: Final = re.compile("set_config", re.IGNORECASE)
_REPLACEABLE: Final = {("FUNCTION",), ("PROCEDURE",), ("AGGREGATE",), ("TRIGGER",), ("VIEW",), ("RULE",)}


@dataclass(frozen=True, kw_only=True)
class Script:
    """The statements of a schema file."""

    label: str
    text: str

    @cached_property
    def statements(self) -> tuple[SqlStatement, ...]:
        """The statements of the file without ``BEGIN`` and ``COMMIT``, as a deploy is one transaction.

        :raises SchemaExtractionFailed: a statement would end or roll back the deploy's transaction
        """
        kept = []
        for statement in split(self.text, file=self.label):
            if not transaction_control(statement):
                kept.append(statement)
            elif statement.words[0] not in _BEGIN_AND_END or "PREPARED" in statement.words:
                raise SchemaExtractionFailed(
                    f"{self.label}, line {statement.start_line}: {' '.join(statement.words[:2])} cannot be used, "
                    "because a deploy is one transaction; remove the statement",
                    file=self.label,
                )
        return tuple(kept)

    @cached_property
    def body(self) -> bytes:
        """The text that is sent to the server when the file runs whole."""
        return b";\n".join(statement.text.encode() for statement in self.statements)

    @cached_property
    def replacing_body(self) -> bytes:
        """The same text, with ``OR REPLACE`` added where it is allowed."""
        return b";\n".join(_replacing(statement).encode() for statement in self.statements)

    @cached_property
    def checksum(self) -> str:
        return folded_checksum(self.text)

    @cached_property
    def changes_settings(self) -> bool:
        sets = any(s.words and s.words[0] in {"SET", "RESET", "DISCARD"} for s in self.statements)
        return sets or occurs(_SETTING_FUNCTION, self.text)

    @cached_property
    def created(self) -> tuple[NamedObject, ...]:
        """The objects that its CREATE statements name."""
        return tuple(made for statement in self.statements if (made := created_name(statement)) is not None)


def _replacing(statement: SqlStatement) -> str:
    if statement.words[:1] == ("CREATE",) and statement.words[1:2] in _REPLACEABLE:
        return "CREATE OR REPLACE" + statement.text[len("CREATE") :]
    return statement.text


@once_per_file
def script_of(file: SchemaFile) -> Script:
    """Return the statements of *file*, which is split once."""
    return Script(label=file.label, text=file.text)
