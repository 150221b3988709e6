"""Normalizes expressions: PostgreSQL prints an expression that it has parsed from its own output differently."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, wraps
from itertools import pairwise
from typing import Final

_TOKEN: Final = re.compile(r"""E'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|.""", re.DOTALL)
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
    """Cache the results of *function* for short texts; the definition of a view may have a megabyte."""
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
    pieces = list(tokens)
    for places, cast in _casts_of_arrays(tokens, text):
        _push_cast_inwards(tokens, pieces, places, cast)
    return "".join(pieces)


def canonical_default(text: str | None, column_type: str) -> str | None:
    """As ``canonical``, for the default of a column. A cast to its own type is left out, and NULL is no default."""
    spelled = canonical(text)
    if spelled is None:
        return None
    base = re.sub(r"\([^()]*\)", "", column_type)
    stripped = spelled.removesuffix(f"::{column_type}").removesuffix(f"::{base}")
    return None if _CAST.sub("", stripped) == "NULL" else stripped


@_remembered
def without_casts(text: str | None) -> str | None:
    """Return an expression without casts and parentheses, which depend on the types of the columns in it."""
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
    """Return a printed expression for people: without ``public.``, except in literals and quoted names."""
    if text is None:
        return None
    text = _REGCLASS.sub(r"'\1'::regclass", text)
    return _PUBLIC.sub(lambda match: match[1] or "", text)


def _casts_of_arrays(tokens: Sequence[str], text: str) -> Iterator[tuple[list[int], re.Match[str]]]:
    """Yield each ``(ARRAY[…])::type[]``, inner ones first: the places of its brackets and commas, and its cast."""
    open_brackets: list[list[int]] = []  # for each one its place, and those of its commas so far
    end = 0  # of the token in the text
    for place, character in enumerate(tokens):
        end += len(character)
        if character in "([":
            open_brackets.append([place])
        elif character == "," and open_brackets:
            open_brackets[-1].append(place)
        elif character in ")]" and open_brackets:
            places = [*open_brackets.pop(), place]
            if _is_array(tokens, places[0]) and (cast := _ELEMENT_CAST.match(text, end)):
                yield places, cast


def _is_array(tokens: Sequence[str], bracket: int) -> bool:
    """Return whether *bracket* opens an array in parentheses that are not those of a function."""
    before = bracket - len("(ARRAY")
    if before < 0 or tokens[before] != "(" or "".join(tokens[before + 1 : bracket]) != "ARRAY":
        return False
    is_called = before > 0 and (tokens[before - 1].isalnum() or tokens[before - 1][-1] in '_"')
    return not is_called


def _push_cast_inwards(tokens: Sequence[str], pieces: list[str], places: Sequence[int], cast: re.Match[str]) -> None:
    """Move *cast* from an array to each of its elements, in *pieces*, which are *tokens* with earlier changes."""
    pieces[places[0] - len("(ARRAY")] = ""
    for left, right in pairwise(places):
        first, last = left + 1, right - 1
        while first < right and tokens[first].isspace():
            pieces[first] = ""
            first += 1
        while last > first and tokens[last].isspace():
            pieces[last] = ""
            last -= 1
        opening = "(" if left == places[0] else " ("
        if first == right:  # no element
            pieces[right] = f"{opening})::{cast[1]}{pieces[right]}"
        else:
            pieces[first] = f"{opening}{pieces[first]}"
            pieces[last] = f"{pieces[last]})::{cast[1]}"
    place, left_over = places[-1] + 1, len(cast[0])
    while left_over > 0:
        left_over -= len(tokens[place])
        pieces[place] = ""
        place += 1
