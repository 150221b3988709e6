"""Checksums of SQL that ignore white space, comments and the case of words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.source.lexer import content_of, folded_tokens, name_of

_FOLDED_LANGUAGES: Final = {"sql", "plpgsql"}  #: languages whose bodies have the tokens of SQL
_HEAD: Final = 4  #: tokens, enough for CREATE OR REPLACE FUNCTION, which may have a body
_BATCH: Final = 10_000  #: tokens of a statement that are collected at once and may contain a body


def folded_checksum(text: str) -> str:
    """Return the SHA-256, in hexadecimal, of the tokens of *text*.

    White space, comments and the case of keywords and unquoted names do not count. String literals and quoted names
    count exactly. The body of a function, procedure or ``DO`` block in ``sql`` or ``plpgsql`` is folded in the same
    way, in any other language it counts exactly; the quotes around a body do not count.

    :raises SchemaExtractionFailed: a string, quoted name or comment is not closed
    """
    digest = _Digest()
    statement: list[str] = []
    has_body = True  # the first tokens of the statement
    for piece in folded_tokens(text):
        if piece[0] == "\\":  # pg_dump writes a different word after \restrict each time
            continue
        statement.append(piece)
        if piece == ";":
            digest.add_statement(statement, has_body=has_body)
            statement, has_body = [], True
        elif len(statement) == _BATCH or (has_body and len(statement) == _HEAD and not _may_have_body(statement)):
            digest.add(statement)
            statement, has_body = [], False
    digest.add_statement(statement, has_body=has_body)
    return digest.hexdigest()


class _Digest:
    """A SHA-256 of tokens, separated by NUL, which no token contains."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._begun = False

    def add(self, pieces: Iterable[str]) -> None:
        rest = iter(pieces)
        while batch := list(islice(rest, _BATCH)):
            self._hash.update("\0".join(["", *batch] if self._begun else batch).encode())
            self._begun = True

    def add_statement(self, statement: Sequence[str], *, has_body: bool) -> None:
        """Add a statement; a body is added between two marks that are no tokens."""
        position, language = _body(statement) if has_body else (None, "")
        if position is None:
            self.add(statement)
            return
        self.add([*statement[:position], "$body"])
        content = content_of(statement[position])
        if content is None or language not in _FOLDED_LANGUAGES or not self._add_folded(content):
            self.add([statement[position] if content is None else content])
        self.add(["$end", *statement[position + 1 :]])

    def _add_folded(self, content: str) -> bool:
        """Add the tokens of a body. Return False if it cannot be split into tokens; then it counts exactly."""
        before = self._hash.copy()
        try:
            self.add(folded_tokens(content))
        except SchemaExtractionFailed:
            self._hash = before
            return False
        return True

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def _may_have_body(head: Sequence[str]) -> bool:
    return head[:1] == ["do"] or (head[:1] == ["create"] and bool({"function", "procedure"} & set(head[1:_HEAD])))


def _body(statement: Sequence[str]) -> tuple[int | None, str]:
    """Return the place of the token that is the body of a routine or block, or None, and its language."""
    is_do = statement[:1] == ["do"]
    if not _may_have_body(statement):
        return None, ""
    body, language, depth = None, "plpgsql" if is_do else "sql", 0
    for position, piece in enumerate(statement[1:], start=1):
        before = statement[position - 1]
        is_string = content_of(piece) is not None or piece[-1] == "'"
        depth += (piece == "(") - (piece == ")")
        if before == "language" and not depth:
            language = name_of(piece) or content_of(piece) or language
        elif is_string and body == position - 1:
            return None, ""  # a string in several pieces counts exactly
        elif is_string and (is_do or before == "as"):
            body = position
    return body, language
