"""Checksums of SQL that change when its meaning may have changed, and stay when only its looks did."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.source.lexer import content_of, folded_tokens, name_of

_FOLDED_LANGUAGES: Final = {"sql", "plpgsql"}  #: languages whose bodies are made of PostgreSQL's own tokens


def folded_checksum(text: str) -> str:
    """Give the SHA-256, in hexadecimal, of the tokens of *text*.

    White space, comments and the case of keywords and unquoted names do not count. String literals and quoted names
    count exactly. The body of a function, procedure or ``DO`` block in ``sql`` or ``plpgsql`` is folded in the same
    way, in any other language it counts exactly; the quotes around a body do not count.

    :raises SchemaExtractionFailed: a string, quoted name or comment is not closed
    """
    found = list(folded_tokens(text))
    if "\\" in text:  # pg_dump writes another \restrict word each time
        found = [piece for piece in found if piece[0] != "\\"]
    spelled: list[str] = []
    start = 0
    for position, piece in enumerate(found, start=1):
        if piece == ";":
            spelled += _spelled(found[start:position])
            start = position
    spelled += _spelled(found[start:])
    # No token contains a NUL, so with one between them different tokens never make the same text.
    return hashlib.sha256("\0".join(spelled).encode()).hexdigest()


def _spelled(statement: list[str]) -> list[str]:
    """The statement with its body, if it has one, between two marks that are no tokens."""
    position, language = _body(statement)
    if position is None:
        return statement
    content = content_of(statement[position])
    body = [statement[position] if content is None else content]
    if content is not None and language in _FOLDED_LANGUAGES:
        with suppress(SchemaExtractionFailed):  # PostgreSQL will refuse such a body; here it counts as it stands
            body = list(folded_tokens(content))
    return [*statement[:position], "$body", *body, "$end", *statement[position + 1 :]]


def _body(statement: Sequence[str]) -> tuple[int | None, str]:
    """Say which token of the statement is a routine's body, if one is, and in which language it is written."""
    is_do = statement[:1] == ["do"]
    if not is_do and not (statement[:1] == ["create"] and {"function", "procedure"} & set(statement[1:4])):
        return None, ""
    body, language, depth = None, "plpgsql" if is_do else "sql", 0
    for position, piece in enumerate(statement[1:], start=1):
        before = statement[position - 1]
        is_string = content_of(piece) is not None or piece[-1] == "'"
        depth += (piece == "(") - (piece == ")")
        if before == "language" and not depth:
            language = name_of(piece) or content_of(piece) or language
        elif is_string and body == position - 1:
            return None, ""  # a string in several pieces counts as it stands
        elif is_string and (is_do or before == "as"):
            body = position
    return body, language
