"""What a schema file says, lexed once: its statements, what is sent of them, and its folded checksum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.schema import SchemaFile
from migrations_engine.source.checksum import folded_checksum
from migrations_engine.source.names import NamedObject, created_name
from migrations_engine.source.statements import SqlStatement, split, transaction_control

_REMEMBERED_FILES: Final = 4096  #: a fleet's deploy visits the same files for every database
_BEGIN_AND_END: Final = frozenset({"BEGIN", "START", "COMMIT", "END"})

_REPLACEABLE: Final = {("FUNCTION",), ("PROCEDURE",), ("AGGREGATE",), ("TRIGGER",), ("VIEW",), ("RULE",)}


@dataclass(frozen=True, kw_only=True)
class Script:
    """The lexed content of one schema file."""

    file: SchemaFile

    @cached_property
    def statements(self) -> tuple[SqlStatement, ...]:
        """The file's statements without ``BEGIN`` and ``COMMIT``: a deploy is one transaction already.

        :raises SchemaExtractionFailed: a statement would end or roll back the deploy's transaction
        """
        kept = []
        for statement in split(self.file.text, file=self.file.label):
            if not transaction_control(statement):
                kept.append(statement)
            elif statement.words[0] not in _BEGIN_AND_END or "PREPARED" in statement.words:
                raise SchemaExtractionFailed(
                    f"{self.file.label}, line {statement.start_line}: {' '.join(statement.words[:2])} cannot be used, "
                    "because a deploy is one transaction; remove the statement",
                    file=self.file.label,
                )
        return tuple(kept)

    @cached_property
    def body(self) -> bytes:
        """What is sent to the server when the file runs whole."""
        return b";\n".join(statement.text.encode() for statement in self.statements)

    @cached_property
    def replacing_body(self) -> bytes:
        """The same with ``OR REPLACE`` where it is allowed and missing."""
        return b";\n".join(_replacing(statement).encode() for statement in self.statements)

    @cached_property
    def checksum(self) -> str:
        return folded_checksum(self.file.text)

    @cached_property
    def changes_settings(self) -> bool:
        return any(s.words and s.words[0] in {"SET", "RESET", "DISCARD"} for s in self.statements) or (
            b"set_config" in self.file.content.lower()
        )

    @cached_property
    def created(self) -> tuple[NamedObject, ...]:
        """Every object that one of its CREATE statements names."""
        return tuple(made for statement in self.statements if (made := created_name(statement)) is not None)


def _replacing(statement: SqlStatement) -> str:
    if statement.words[:1] == ("CREATE",) and statement.words[1:2] in _REPLACEABLE:
        return "CREATE OR REPLACE" + statement.text[len("CREATE") :]
    return statement.text


@lru_cache(maxsize=_REMEMBERED_FILES)
def script_of(file: SchemaFile) -> Script:
    """Lex *file*, or give what was lexed before."""
    return Script(file=file)
