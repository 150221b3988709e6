"""Splits SQL into tokens as PostgreSQL's scanner does with ``standard_conforming_strings`` on, the default."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple

from migrations_engine.errors import SchemaExtractionFailed

#: A pattern for white space and short comments, for what is searched in the code of strings, too.
GAP: Final = r"(?>(?:\s|/\*[^*]{0,400}\*/|--[^\n]{0,400}\n){0,40})"
NAME_BYTES: Final = 63  #: PostgreSQL cuts longer names: NAMEDATALEN - 1


class Kind(Enum):
    """The kind of a token. The values are the names of the groups in the pattern below."""

    WORD = "word"  #: a keyword or an unquoted name
    QUOTED = "quoted"  #: ``"name"`` or ``U&"name"``
    STRING = "string"  #: ``'…'`` with any prefix
    DOLLAR = "dollar"  #: ``$tag$…$tag$``
    NUMBER = "number"
    PARAMETER = "parameter"  #: ``$1``
    SYMBOL = "symbol"  #: an operator or a piece of punctuation
    META = "meta"  #: a backslash and the rest of its line: a command for psql
    OTHER = "other"  #: a character that SQL does not allow


class Token(NamedTuple):
    """A token: its kind, its exact text, and the offset of its first character in the whole text."""

    kind: Kind
    text: str
    start: int

    @property
    def end(self) -> int:
        """Offset of the character after its last one."""
        return self.start + len(self.text)


_LETTER: Final = r"A-Za-z_\x80-\U0010ffff"
_NO_COMMENT: Final = r"(?!--|/\*)"
#: Characters in which one step searches for the end of a long token. A step is one call of C code that holds the GIL:
#: all its repetitions are bounded, and longer tokens are read in several steps.
_STEP: Final = 1 << 16
_OVERLAP: Final = 512  #: characters that two steps of a search share
# Repeated groups are (?>(?:…)*) and not (?:…)*+, which Python before 3.11.5 matches wrongly if a group backtracks.
# An operator of several characters ends in + or - only if it contains one of ~!@#%^&|`?. PostgreSQL refuses operators
# of more than 63 characters, and numbers of more than 147455 digits. The pattern matches at every offset, so that no
# time is spent on searching.
_PATTERN: Final = re.compile(
    rf"""
    [ \t\n\r\f\v]{{0,{_STEP}}}+ (?:
      (?P<word>      (?![eEbBxXnN]'|[uU]&['"]) [{_LETTER}][{_LETTER}0-9$]{{0,255}}+ (?![{_LETTER}0-9$]) )
    | (?P<mark>      [,();] )
    | (?P<string>    (?>(?:[bBxXnN]|[uU]&)?)' [^']{{0,4000}}+ (?>(?:''[^']{{0,400}}+){{0,100}}) '(?!') )
    | (?P<number>    0[xX][0-9A-Fa-f_]{{1,200000}}+ | 0[oO][0-7_]{{1,200000}}+ | 0[bB][01_]{{1,200000}}+
                   | (?:[0-9][0-9_]{{0,200000}}+(?>(?:\.(?!\.)[0-9_]{{0,200000}}+)?) | \.[0-9][0-9_]{{0,200000}}+)
                     (?>(?:[eE][-+]?[0-9][0-9_]{{0,99}}+)?) )
    | (?P<comment>   --[^\n\r]{{0,4000}}+(?![^\n\r]) | /\*(?>(?:[^*/]{{1,40}}+|\*(?!/)|/(?!\*)){{0,100}})\*/ )
    | (?P<symbol>    :: | := | \.\. | [.:\[\]] | {_NO_COMMENT}[-+](?=[-+]{{62}})
                   | (?>(?:{_NO_COMMENT}[-+*/<>=]){{0,62}}) [~!@#%^&|`?]
                     (?>(?:{_NO_COMMENT}[-+*/<>=~!@#%^&|`?]){{0,62}})
                   | (?:{_NO_COMMENT}[-+*/<>=]){{0,62}} (?!/\*)[*/<>=] | {_NO_COMMENT}[-+] )
    | (?P<quoted>    (?>(?:[uU]&)?)"[^"]{{0,4000}}+(?>(?:""[^"]{{0,400}}+){{0,100}})"(?!") )
    | (?P<dollar>    \$(?P<tag>(?>(?:[{_LETTER}][{_LETTER}0-9]{{0,61}}+)?))\$.{{0,4000}}?\$(?P=tag)\$ )
    | (?P<open>      (?>(?:[eEbBxXnN]|[uU]&)?)' | (?>(?:[uU]&)?)" | -- | /\* | \\ | [{_LETTER}]
                   | \$(?>(?:[{_LETTER}][{_LETTER}0-9]{{0,61}}+)?)\$ | \$(?=[{_LETTER}]) )
    | (?P<parameter> \$[0-9]{{1,64}}+ )
    | (?P<meta>      \\[^\n\r]{{0,4000}}+(?![^\n\r]) )
    | (?P<space>     [ \t\n\r\f\v] )
    | (?P<other>     . )
    | (?P<end>       \Z )
    )
    """,
    re.VERBOSE | re.DOTALL,
)
_KINDS: Final = {"mark": Kind.SYMBOL, **{kind.value: kind for kind in Kind}}
_PASSED_OVER: Final = frozenset({"comment", "space", "end"})
_NAME_START: Final = re.compile(f"[{_LETTER}]")
_OPENED: Final = {"'": "string", '"': "quoted", "$": "dollar", "-": "comment", "*": "comment", "\\": "meta"}
_UNTERMINATED: Final = {"'": "string", '"': "quoted name", "$": "dollar-quoted string", "*": "comment"}
_UNICODE_ESCAPE: Final = r"{0}(?:{0}|\+([0-9A-Fa-f]{{6}})|([0-9A-Fa-f]{{4}}))"

# The text after an opening, up to a bound; each may match nothing.
_REST_OF_WORD: Final = re.compile(f"[{_LETTER}0-9$]{{0,{_STEP}}}+")
_REST_OF_TAG: Final = re.compile(f"[{_LETTER}0-9]{{0,{_STEP}}}+")
_REST_OF_LINE: Final = re.compile(rf"[^\n\r]{{0,{_STEP}}}+")
_REST_OF_SPACE: Final = re.compile(rf"[ \t\n\r\f\v]{{0,{_STEP}}}+")
_REST_OF_ESCAPED: Final = re.compile(r"(?>(?:[^'\\]{1,64}+|\\.|''){0,1024})", re.DOTALL)
_REST_OF_QUOTES: Final = {
    "string": re.compile(r"(?>(?:[^']{1,64}+|''){0,1024})"),
    "quoted": re.compile(r'(?>(?:[^"]{1,64}+|""){0,1024})'),
}
_COMMENT_EDGE: Final = re.compile(r"/\*|\*/")


def tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of *text*, without white space and comments.

    :raises SchemaExtractionFailed: a string, quoted name or comment is not closed; the message names its line
    """
    for kind, piece, start in pieces(text):
        yield Token(_KINDS[kind], piece, start)


def pieces(text: str) -> Iterator[tuple[str, str, int]]:
    """Yield the tokens of *text* as tuples of the kind's name (``mark`` is one of ``, ( ) ;``), text and offset.

    It costs half of :func:`tokens`, and is meant for whole files.

    :raises SchemaExtractionFailed: as :func:`tokens`
    """
    position = 0
    while position < len(text):
        for match in _PATTERN.finditer(text, position):
            kind = match.lastgroup or ""
            if kind in _PASSED_OVER:
                continue
            start = match.start(kind)
            if kind == "open":  # it is long, has an end that no pattern can find, or has no end
                kind, position = _read_on(text, start, match[kind])
                if kind != "comment":
                    yield kind, text[start:position], start
                break
            yield kind, match[kind], start
        else:
            return


def folded_tokens(text: str) -> Iterator[str]:
    """Yield the texts of the tokens of *text*, keywords and unquoted names in lower case.

    :raises SchemaExtractionFailed: as :func:`tokens`
    """
    lower = str.lower if text.isascii() else fold
    return (lower(piece) if kind == "word" else piece for kind, piece, _ in pieces(text))


def line_of(text: str, offset: int) -> int:
    """Return the number of the line of *offset*, counted from 1."""
    return line_breaks(text, 0, offset) + 1


def occurs(pattern: re.Pattern[str], text: str) -> bool:
    """Return whether *pattern*, which matches few characters, matches anywhere in *text*. The search runs in steps."""
    return any(pattern.search(text, step, step + _STEP + _OVERLAP) is not None for step in range(0, len(text), _STEP))


def line_breaks(text: str, start: int, end: int) -> int:
    """Return the number of line breaks between the offsets *start* and *end*, counted in steps."""
    return sum(text.count("\n", step, min(step + _STEP, end)) for step in range(start, end, _STEP))


def fold(word: str) -> str:
    """Return *word* in lower case as PostgreSQL folds it in UTF-8: only the 26 letters of ASCII."""
    return word.lower() if word.isascii() else word.encode().lower().decode()


def name_of(text: str, escape: str = "\\") -> str | None:
    """Return the name of a token, folded and truncated as PostgreSQL does; None if it is no name.

    :param escape: the character that ``UESCAPE`` names, for ``U&"…"``
    """
    if text[-1] == '"':
        prefix, _, quoted = text.partition('"')
        name = quoted[:-1].replace('""', '"')
        if prefix:
            name = re.sub(_UNICODE_ESCAPE.format(re.escape(escape)), lambda found: _character(found, escape), name)
            name = name.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # pairs written as two escapes
    elif _NAME_START.match(text) and text[-1] != "'":
        name = fold(text)
    else:
        return None
    encoded = name.encode()
    return name if len(encoded) <= NAME_BYTES else encoded[:NAME_BYTES].decode(errors="ignore")


def content_of(text: str) -> str | None:
    """Return the content of a plain or dollar-quoted string; None for other tokens and strings with a prefix."""
    if text[0] == "'":
        return text[1:-1].replace("''", "'")
    if text[0] == "$" and text[-1] == "$" and len(text) > 1:
        tag = text.index("$", 1) + 1
        return text[tag:-tag]
    return None


def _character(found: re.Match[str], escape: str) -> str:
    code = found[1] or found[2]
    return chr(int(code, 16)) if code and int(code, 16) <= 0x10FFFF else escape


def _read_on(text: str, start: int, opening: str) -> tuple[str, int]:
    """Return the kind of the token that begins with *opening* at *start*, and the offset after its end.

    :raises SchemaExtractionFailed: it has no end
    """
    kind = _OPENED.get(opening[-1], "word")
    behind = start + len(opening)
    if opening == "$":  # the letters after it are a tag only if another $ follows
        tag = _through(_REST_OF_TAG, text, behind)
        if not text.startswith("$", tag):
            return "other", behind
        opening = text[start : tag + 1]
    if kind == "dollar":
        return kind, _end_of_dollar_quotes(text, start, opening)
    if opening == "/*":
        return kind, _end_of_comment(text, start)
    if opening in {"E'", "e'"}:
        return kind, _end_of_escapes(text, start, opening)
    if kind in _REST_OF_QUOTES:
        return kind, _end_of_quotes(_REST_OF_QUOTES[kind], text, start, opening)
    return kind, _through(_REST_OF_WORD if kind == "word" else _REST_OF_LINE, text, behind)


def _through(rest: re.Pattern[str], text: str, position: int) -> int:
    """Return the offset after all matches of *rest*, which matches a step at a time, from *position* on."""
    while (match := rest.match(text, position)) is not None and match.end() > position:
        position = match.end()
    return position


def _end_of_quotes(rest: re.Pattern[str], text: str, start: int, opening: str, behind: int | None = None) -> int:
    end = _through(rest, text, start + len(opening) if behind is None else behind)
    if text[end : end + 1] != opening[-1]:
        raise _unterminated(text, start, opening)
    return end + 1


def _end_of_escapes(text: str, start: int, opening: str) -> int:
    """Return the end of ``E'…'``, which may continue in another string after white space with a line break.

    This matters only for these strings, in which a backslash escapes a quote.
    """
    end = _end_of_quotes(_REST_OF_ESCAPED, text, start, opening)
    while True:
        behind = _through(_REST_OF_SPACE, text, end)
        while text.startswith("--", behind):
            behind = _through(_REST_OF_SPACE, text, _through(_REST_OF_LINE, text, behind))
        has_break = text.find("\n", end, behind) >= 0 or text.find("\r", end, behind) >= 0
        if not has_break or not text.startswith("'", behind):
            return end
        end = _end_of_quotes(_REST_OF_ESCAPED, text, start, opening, behind + 1)


def _end_of_dollar_quotes(text: str, start: int, opening: str) -> int:
    for step in range(start + len(opening), len(text), _STEP):
        found = text.find(opening, step, step + _STEP + len(opening) - 1)
        if found >= 0:
            return found + len(opening)
    raise _unterminated(text, start, opening)


def _end_of_comment(text: str, start: int) -> int:
    """Return the end of a comment. Comments may be nested, which no regular expression can match."""
    depth, position = 0, start
    while position < len(text):
        stop = position + _STEP
        for edge in _COMMENT_EDGE.finditer(text, position, stop):
            depth += 1 if edge[0] == "/*" else -1
            if not depth:
                return edge.end()
            position = edge.end()
        position = max(position, stop - 1)
    raise _unterminated(text, start, "/*")


def _unterminated(text: str, start: int, opening: str) -> SchemaExtractionFailed:
    what = _UNTERMINATED[opening[-1]]
    return SchemaExtractionFailed(
        f"line {line_of(text, start)}: the {what} that begins here with {opening} is never closed; close it with "
        f"{'*/' if what == 'comment' else opening.lstrip('eEbBxXnNuU&')}"
    )
