"""Normalizes expressions: PostgreSQL prints an expression that it has parsed from its own output differently."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache, wraps
from itertools import pairwise
from typing import Final

_TOKEN: Final = re.compile(r"""E'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|.""", re.DOTALL)
_ELEMENT_CAST: Final = re.compile(r'\)::((?:"(?:[^"]|"")*"|[\w. ()])+?)\[\]')
_LITERAL: Final = r"""E'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'"""
_TYPE: Final = r'(?:"(?:[^"]|"")*"|\w+)'
_CAST: Final = re.compile(
    rf"::{_TYPE}(?:\.{_TYPE})?(?: varying| precision)?(?:\(\d+(?:,\d+)?\))?(?: with(?:out)? time zone)?(?:\[\])*"
)
_PART: Final = re.compile(rf'{_LITERAL}|{_CAST.pattern}|"(?:[^"]|"")*"|[\w.$]+|[^\s\w]', re.DOTALL)
_NUMBER: Final = re.compile(r"'-?\d+(?:\.\d+)?'")
_QUERIES: Final = frozenset({"SELECT", "VALUES", "WITH"})
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


def pieces(text: str) -> list[str]:
    """Return the literals and quoted names in *text*, and all other characters one by one."""
    return _TOKEN.findall(text)


def naming(names: Collection[str]) -> Callable[[str], bool]:
    """Return a function that returns whether a printed definition has one of *names*, with quotes if it needs them."""
    if not names:
        return lambda _: False
    plain = "|".join(map(re.escape, names))
    quoted = "|".join(re.escape(name.replace('"', '""')) for name in names)
    named = re.compile(rf'(?<![\w"])(?:{plain})(?![\w"])|"(?:{quoted})"')
    return lambda text: named.search(text) is not None


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
    tokens = pieces(text)
    changed = list(tokens)
    for places, cast in _casts_of_arrays(tokens, text):
        _push_cast_inwards(tokens, changed, places, cast)
    return "".join(changed)


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
    """Return a printed expression without its casts, which depend on the types of the columns in it.

    PostgreSQL prints the operand of a cast in parentheses, and they are left out with the cast. All others stay: they
    say what an operator applies to. Of doubled ones, one pair stays.
    """
    if text is None:
        return None
    pieces: list[str] = []
    open_brackets: list[int] = []  # places in *pieces*
    operand: int | None = None  # the place of its bracket, if a cast may follow now
    for match in _PART.finditer(text):
        part = match[0]
        if part.startswith("::"):
            if operand is not None:
                pieces[operand] = ""
                pieces.pop()
            elif pieces and _NUMBER.fullmatch(pieces[-1]):
                pieces[-1] = pieces[-1].strip("'")
        elif part == "(":
            open_brackets.append(len(pieces))
            pieces.append("call(" if _is_called(text, match.start()) else part)
        else:
            pieces.append(part)
        operand = open_brackets.pop() if part == ")" and open_brackets else None
        if operand is not None and pieces[operand] != "(":
            operand = None
    return " ".join(_without_doubled_brackets([piece for piece in pieces if piece]))


def _is_called(text: str, bracket: int) -> bool:
    """Return whether the bracket at a place of *text* follows the name of a function."""
    return bracket > 0 and (text[bracket - 1].isalnum() or text[bracket - 1] in '_"')


def _without_doubled_brackets(pieces: Sequence[str]) -> Iterator[str]:
    """Yield *pieces* without brackets directly around others, except those around a subquery."""
    partners: dict[int, int] = {}
    open_brackets: list[int] = []
    for place, piece in enumerate(pieces):
        if piece in ("(", "call("):
            open_brackets.append(place)
        elif piece == ")" and open_brackets:
            partners[open_brackets.pop()] = place
    doubled: set[int] = set()
    for outer, end in partners.items():
        if pieces[outer + 1] == "(" and partners.get(outer + 1) == end - 1 and pieces[outer + 2] not in _QUERIES:
            doubled |= {outer + 1, end - 1}
    return (piece for place, piece in enumerate(pieces) if place not in doubled)


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
