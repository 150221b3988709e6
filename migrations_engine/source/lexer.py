"""The tokens of SQL as PostgreSQL's own scanner sees them, with ``standard_conforming_strings`` on (the default)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple

from migrations_engine.errors import SchemaExtractionFailed

SPACE: Final = " \t\n\r\f\v"  #: what the scanner calls white space; Unicode's other spaces are letters to it
NAME_BYTES: Final = 63  #: PostgreSQL cuts longer names: NAMEDATALEN - 1


class Kind(Enum):
    """What a token is. The values are the group names of the pattern below."""

    WORD = "word"  #: a keyword or an unquoted name
    QUOTED = "quoted"  #: ``"name"`` or ``U&"name"``
    STRING = "string"  #: ``'…'`` with any prefix
    DOLLAR = "dollar"  #: ``$tag$…$tag$``
    NUMBER = "number"
    PARAMETER = "parameter"  #: ``$1``
    SYMBOL = "symbol"  #: an operator or a piece of punctuation
    META = "meta"  #: a backslash and the rest of its line: a command for psql
    OTHER = "other"  #: a character that no SQL contains


class Token(NamedTuple):
    """One token: its kind, its exact text, and the offset of its first character in the text that was read."""

    kind: Kind
    text: str
    start: int

    @property
    def end(self) -> int:
        """Offset of the character after its last one."""
        return self.start + len(self.text)


_LETTER: Final = r"A-Za-z_\x80-\U0010ffff"
_NO_COMMENT: Final = r"(?!--|/\*)"
# Two strings with nothing but white space and a line break between them are one, and what escapes mean in the first
# holds in the second. It matters for E'…' alone, where a backslash hides a quote.
_CONTINUED: Final = r"(?>(?:[ \t\f\v]|--[^\n\r]*)*)[\n\r](?>(?:[ \t\n\r\f\v]|--[^\n\r]*[\n\r])*)"
_ESCAPED: Final = r"'(?>(?:[^'\\]++|\\.|'')*)'"
# Repeated groups are (?>(?:…)*) and not (?:…)*+, which Python before 3.11.5 matches wrongly where a group backtracks.
# An operator of several characters ends in + or - only if it has one of ~!@#%^&|`? in it. The bound of 62 keeps a line
# of plus signs from costing the square of its length; PostgreSQL refuses operators of more than 63 characters.
_PATTERN: Final = re.compile(
    rf"""
    [ \t\n\r\f\v]*+ (?:
      (?P<word>      (?![eEbBxXnN]'|[uU]&['"]) [{_LETTER}][{_LETTER}0-9$]*+ )
    | (?P<mark>      [,();] )
    | (?P<string>    [eE]{_ESCAPED}(?>(?:{_CONTINUED}{_ESCAPED})*) | (?>(?:[bBxXnN]|[uU]&)?)'[^']*+(?>(?:''[^']*+)*)' )
    | (?P<number>    0[xX][0-9A-Fa-f_]++ | 0[oO][0-7_]++ | 0[bB][01_]++
                   | (?:[0-9][0-9_]*+(?>(?:\.(?!\.)[0-9_]*+)?) | \.[0-9][0-9_]*+)(?>(?:[eE][-+]?[0-9][0-9_]*+)?) )
    | (?P<comment>   --[^\n\r]*+ | /\*(?>(?:[^*/]++|\*(?!/)|/(?!\*))*)\*/ )
    | (?P<nested>    /\* )
    | (?P<symbol>    :: | := | \.\. | [.:\[\]]
                   | (?>(?:{_NO_COMMENT}[-+*/<>=]){{0,62}}) [~!@#%^&|`?]
                     (?>(?:{_NO_COMMENT}[-+*/<>=~!@#%^&|`?]){{0,62}})
                   | (?:{_NO_COMMENT}[-+*/<>=]){{0,62}} (?!/\*)[*/<>=] | [-+] )
    | (?P<quoted>    (?>(?:[uU]&)?)"[^"]*+(?>(?:""[^"]*+)*)" )
    | (?P<dollar>    \$(?P<tag>(?>(?:[{_LETTER}][{_LETTER}0-9]*+)?))\$.*?\$(?P=tag)\$ )
    | (?P<open>      (?>(?:[eEbBxXnN]|[uU]&)?)' | (?>(?:[uU]&)?)" | \$(?>(?:[{_LETTER}][{_LETTER}0-9]*+)?)\$ )
    | (?P<parameter> \$[0-9]++ )
    | (?P<meta>      \\[^\n\r]*+ )
    | (?P<other>     [^ \t\n\r\f\v] )
    )
    """,
    re.VERBOSE | re.DOTALL,
)
_KINDS: Final = {"mark": Kind.SYMBOL, **{kind.value: kind for kind in Kind}}
_NAME_START: Final = re.compile(f"[{_LETTER}]")
_UNTERMINATED: Final = {"'": "string", '"': "quoted name", "$": "dollar-quoted string", "*": "comment"}
_COMMENT_EDGE: Final = re.compile(r"/\*|\*/")
_UNICODE_ESCAPE: Final = r"{0}(?:{0}|\+([0-9A-Fa-f]{{6}})|([0-9A-Fa-f]{{4}}))"


def tokens(text: str) -> Iterator[Token]:
    """Read the tokens of *text* one after the other; white space and comments are left out.

    :raises SchemaExtractionFailed: a string, quoted name or comment is not closed; the message names its line
    """
    for match in matches(text):
        group = match.lastgroup or ""
        yield Token(_KINDS[group], match[group], match.start(group))


def matches(text: str) -> Iterator[re.Match[str]]:
    """Read the tokens of *text* as matches whose ``lastgroup`` names the kind (``mark`` is one of ``, ( ) ;``).

    This is what :func:`tokens` is made from, at half its cost: for whole files.

    :raises SchemaExtractionFailed: as :func:`tokens`
    """
    position = 0
    while True:
        for match in _PATTERN.finditer(text, position):
            group = match.lastgroup
            if group == "comment":
                continue
            if group == "nested":  # a comment with others inside, which no regular expression can follow to its end
                position = _end_of_comment(text, match.start(group))
                break
            if group == "open":
                raise _unterminated(text, match.start(group), match[group])
            yield match
        else:
            return


def folded_tokens(text: str) -> Iterator[str]:
    """The texts of the tokens of *text* one after the other, keywords and unquoted names in lower case.

    :raises SchemaExtractionFailed: as :func:`tokens`
    """
    lower = str.lower if text.isascii() else fold
    return (
        lower(match["word"]) if match.lastgroup == "word" else match[match.lastgroup or ""] for match in matches(text)
    )


def line_of(text: str, offset: int) -> int:
    """The number of the line on which *offset* lies, counted from 1."""
    return text.count("\n", 0, offset) + 1


def fold(word: str) -> str:
    """Lower the case as PostgreSQL does in UTF-8: the 26 letters of ASCII and no others."""
    return word.lower() if word.isascii() else word.encode().lower().decode()


def name_of(text: str, escape: str = "\\") -> str | None:
    """The name that a token stands for, folded and cut as PostgreSQL does; None when it is no name.

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
    """What a plain or dollar-quoted string contains; None for other tokens and for strings with a prefix."""
    if text[0] == "'":
        return text[1:-1].replace("''", "'")
    if text[0] == "$" and text[-1] == "$" and len(text) > 1:
        tag = text.index("$", 1) + 1
        return text[tag:-tag]
    return None


def _character(found: re.Match[str], escape: str) -> str:
    code = found[1] or found[2]
    return chr(int(code, 16)) if code and int(code, 16) <= 0x10FFFF else escape


def _end_of_comment(text: str, start: int) -> int:
    depth = 0
    for edge in _COMMENT_EDGE.finditer(text, start):
        depth += 1 if edge[0] == "/*" else -1
        if not depth:
            return edge.end()
    raise _unterminated(text, start, "/*")


def _unterminated(text: str, start: int, opening: str) -> SchemaExtractionFailed:
    what = _UNTERMINATED[opening[-1]]
    return SchemaExtractionFailed(
        f"line {line_of(text, start)}: the {what} that begins here with {opening} is never closed; close it with "
        f"{'*/' if what == 'comment' else opening.lstrip('eEbBxXnNuU&')}"
    )
