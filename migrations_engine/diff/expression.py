"""Making two spellings of one expression alike, where PostgreSQL deparses what it has deparsed before differently."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, wraps
from itertools import pairwise
from typing import Final

_TOKEN: Final = re.compile(r"""E'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|[^'"]""", re.DOTALL)
_ELEMENT_CAST: Final = re.compile(r'\)::((?:"(?:[^"]|"")*"|[\w. ()])+?)\[\]')
_LITERAL: Final = r"""E'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'"""
_NOT_LITERAL: Final = re.compile(rf"({_LITERAL})|((?:(?!{_LITERAL}).)+)", re.DOTALL)
_TYPE: Final = r'(?:"(?:[^"]|"")*"|\w+)'
_CAST: Final = re.compile(
    rf"::{_TYPE}(?:\.{_TYPE})?(?: varying| precision)?(?:\(\d+(?:,\d+)?\))?(?: with(?:out)? time zone)?(?:\[\])*"
)
_VARCHAR: Final = r"'(?:[^']|'')*'::character varying"
_WHOLE_LIST: Final = re.compile(rf"\b(ANY|ALL) \(\((ARRAY\[{_VARCHAR}(?:, {_VARCHAR})*\])\)::text\[\]\)")
_PUBLIC: Final = re.compile(
    r"""(E'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*")|(?<![\w."$])public\.""", re.DOTALL
)
_REMEMBERED_AT_MOST: Final = 1000  #: characters of a text
_REGCLASS: Final = re.compile(r"'public\.([^']*)'::regclass")


def _remembered(function: Callable[[str | None], str | None]) -> Callable[[str | None], str | None]:
    """Remember what *function* makes of short texts; the definition of a view may have a megabyte."""
    known = lru_cache(maxsize=4096)(function)

    @wraps(function)
    def look_up(text: str | None) -> str | None:
        return known(text) if text is None or len(text) <= _REMEMBERED_AT_MOST else function(text)

    return look_up


@_remembered
def canonical(text: str | None) -> str | None:
    """Return the spelling under which expressions are compared.

    A list such as ``IN ('a', 'b')`` on a varchar column is printed as ``(ARRAY[...])::text[]`` when it comes from the
    user's text, and as ``ARRAY[(...)::text, ...]`` when it comes from a dump or from the engine.
    """
    if text is None:
        return None
    if "(ARRAY[" not in text:
        return text
    tokens = _TOKEN.findall(text)
    start = 0
    while (start := _find_array(tokens, start)) >= 0:
        tokens = _push_cast_inwards(tokens, start)
        start += 1
    return "".join(tokens)


def canonical_default(text: str | None, column_type: str) -> str | None:
    """As ``canonical``, for a column's default: a cast to the column's own type and a bare NULL say nothing."""
    spelled = canonical(text)
    if spelled is None:
        return None
    base = re.sub(r"\([^()]*\)", "", column_type)
    stripped = spelled.removesuffix(f"::{column_type}").removesuffix(f"::{base}")
    return None if _CAST.sub("", stripped) == "NULL" else stripped


@_remembered
def without_casts(text: str | None) -> str | None:
    """Reduce an expression to what does not change with the types of the columns in it: no casts, no parentheses."""
    if text is None:
        return None
    return _NOT_LITERAL.sub(lambda match: match[1] or re.sub(r"[()\s]", "", _CAST.sub("", match[2])), text)


def replayable(text: str) -> str:
    """Return the spelling that PostgreSQL parses and prints as *text* again.

    A list of varchar values is cast to text as a whole when the user writes ``IN``; read with that cast, every element
    would be cast by itself.
    """
    if "ARRAY[" not in text:
        return text
    return _WHOLE_LIST.sub(r"\1 (\2)", text)


def displayed(text: str | None) -> str | None:
    """Leave ``public.`` out of a deparsed text, except inside literals and quoted names, for people to read."""
    if text is None:
        return None
    text = _REGCLASS.sub(r"'\1'::regclass", text)
    return _PUBLIC.sub(lambda match: match[1] or "", text)


def _find_array(tokens: list[str], start: int) -> int:
    """Find the next ``(ARRAY[`` that is a parenthesis around an array and not a function's arguments."""
    for index in range(start, len(tokens) - 6):
        if tokens[index] == "(" and "".join(tokens[index + 1 : index + 7]) == "ARRAY[":
            called = index > 0 and (tokens[index - 1].isalnum() or tokens[index - 1][-1] in '_"')
            if not called:
                return index
    return -1


def _push_cast_inwards(tokens: list[str], start: int) -> list[str]:
    first = start + 7
    depth, separators, index = 1, [first - 1], first
    while index < len(tokens) and depth:
        if tokens[index] in "([":
            depth += 1
        elif tokens[index] in ")]":
            depth -= 1
        elif tokens[index] == "," and depth == 1:
            separators.append(index)
        index += 1
    cast = _ELEMENT_CAST.match("".join(tokens[index:]))
    if cast is None:
        return tokens
    separators.append(index - 1)
    elements = [f"({''.join(tokens[left + 1 : right]).strip()})::{cast[1]}" for left, right in pairwise(separators)]
    after = "".join(tokens[index:])[cast.end() :]
    return tokens[:start] + _TOKEN.findall(f"ARRAY[{', '.join(elements)}]") + _TOKEN.findall(after)
