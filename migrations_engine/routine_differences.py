"""The differences of functions from those in a new database, and of the privileges on them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from migrations_engine.model import RoutineState
from migrations_engine.report import BY_HAND
from migrations_engine.schema import Schema
from migrations_engine.source.lexer import occurs
from migrations_engine.source.script import script_of

_SETTING: Final = frozenset({"ALTER", "COMMENT", "DO", "GRANT", "REVOKE"})
_WORD: Final = re.compile(r"[\w$]+")
#: A statement about functions that it does not name.
_ABOUT_MANY: Final = re.compile(r"\bALL\s+(?:FUNCTIONS|PROCEDURES|ROUTINES)\b|\bDEFAULT\s+PRIVILEGES\b", re.IGNORECASE)


class _Settings:
    """The statements of a schema that may change privileges and comments of its functions, by the words in them.

    Of migrations, these are only the default privileges of functions that are created later.
    """

    def __init__(self, schema: Schema) -> None:
        self._words: list[frozenset[str]] = []  # of each statement
        self._places: dict[str, list[int]] = {}  # of the statements with a word
        self._about_many: list[int] = []  # places of those that may concern functions which they do not name
        for file in (*schema.types, *schema.tables, *schema.functions):
            for statement in script_of(file).statements:
                if _SETTING & {*statement.words[:1]}:
                    self._add(statement.text, is_block=statement.words[0] == "DO")
        for file in schema.migrations:
            for statement in script_of(file).statements:
                if statement.words[:3] == ("ALTER", "DEFAULT", "PRIVILEGES"):
                    self._add(statement.text, is_block=False)

    def _add(self, text: str, *, is_block: bool) -> None:
        words = frozenset(_WORD.findall(text.lower()))
        if is_block or occurs(_ABOUT_MANY, text):
            self._about_many.append(len(self._words))
        for word in words:
            self._places.setdefault(word, []).append(len(self._words))
        self._words.append(words)

    def about(self, name: str) -> list[frozenset[str]]:
        """Return the words of each statement that may concern the function of that *name*."""
        own = _WORD.findall(name.lower())
        found = min((self._places.get(word, []) for word in own), key=len, default=[])
        naming = [self._words[place] for place in found if self._words[place].issuperset(own)]
        return [*naming, *(self._words[place] for place in self._about_many)]


def routine_differences(
    here: Iterable[RoutineState],
    new: Iterable[RoutineState],
    owned: Collection[str],
    schema: Schema,
    left: Collection[str] = (),
) -> Iterator[str]:
    """Yield a sentence with the cause for each difference of the functions from those in a new database.

    :param here: the functions of the database
    :param new: the functions that types, tables and migrations make in an empty database
    :param owned: identities of functions that files define, which are as defined; compared are the privileges and
        comments that no statement of *schema* may have set
    :param left: identities of earlier functions that stay, because what was forced to stay uses them
    """
    settings: _Settings | None = None
    all_found, all_wanted = ({routine.identity: routine for routine in side} for side in (here, new))
    for identity in sorted({*all_found, *all_wanted, *left}):
        found, wanted = all_found.get(identity), all_wanted.get(identity)
        if identity in left:
            yield f"{identity}: here, not in a new database; it stays because what was forced to stay uses it"
        elif found is not None and identity in owned:
            if found.privileges or found.comment is not None:
                settings = settings or _Settings(schema)
                yield from _unexplained(found, settings)
        elif found is None:
            if identity not in owned:
                yield f"{identity}: not here, in a new database; it was dropped {BY_HAND}"
        elif wanted is None:
            yield f"{identity}: here, not in a new database; it was made {BY_HAND}"
        else:
            yield from _changed(found, wanted)


def _changed(found: RoutineState, wanted: RoutineState) -> Iterator[str]:
    if found.digest != wanted.digest:
        yield f"{found.identity}: here another definition than in a new database; it was changed {BY_HAND}"
    yield from _privileges_and_comment(found, wanted.privileges, wanted.comment)


def _unexplained(routine: RoutineState, settings: _Settings) -> Iterator[str]:
    """Yield the privileges and the comment of *routine* that none of *settings* may have set."""
    statements = settings.about(routine.identity.partition("(")[0].rpartition(".")[2])
    given = [one for one in routine.privileges if any(_may_grant(words, one) for words in statements)]
    yield from _privileges_and_comment(routine, given, routine.comment if statements else None)


def _may_grant(words: frozenset[str], privilege: str) -> bool:
    """Return whether a statement of *words* may have granted or revoked *privilege*: a grant names the role."""
    role = privilege.rpartition(" TO ")[2].lower()
    return privilege.startswith("REVOKE") or words.issuperset(_WORD.findall(role))


def _privileges_and_comment(found: RoutineState, privileges: Collection[str], comment: str | None) -> Iterator[str]:
    for privilege in found.privileges:
        if privilege not in privileges:
            yield f"{found.identity}: here {privilege}, not in a new database; it was done {BY_HAND}"
    for privilege in privileges:
        if privilege not in found.privileges:
            yield f"{found.identity}: in a new database {privilege}, not here; it was undone {BY_HAND}"
    if found.comment != comment:
        texts = (found.comment or "not there", comment or "not there")
        sentence = (
            f"{found.identity} (comment): here {texts[0]}, in a new database {texts[1]}; it was changed {BY_HAND}"
        )
        yield " ".join(sentence.split())
