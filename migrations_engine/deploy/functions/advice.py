"""Warnings about functions that a deploy leaves as they are."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from migrations_engine.deploy.functions.routines import MadeRoutine, OldRoutine
from migrations_engine.deploy.session import DeploySession
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.source.functions_folder import creates_routines_in_block
from migrations_engine.source.lexer import occurs
from migrations_engine.source.script import script_of

#: Privileges on all functions, or on all that will be created.
_ON_ALL_FUNCTIONS: Final = re.compile(r"\b(?:ON|ALL)\s+(?:FUNCTIONS|PROCEDURES|ROUTINES)\b", re.IGNORECASE)


def warn_of_blocks(session: DeploySession, schema: Schema) -> None:
    """Warn of routines that only new databases get."""
    for file in (*schema.types, *schema.tables):
        if creates_routines_in_block(file):
            session.warnings.append(
                f"{file.label} creates a function in a DO block, which runs only in new databases; write CREATE OR "
                "REPLACE FUNCTION as a statement of its own, and existing databases get it, too"
            )


def warn_of_left_behind(session: DeploySession, named: Iterable[OldRoutine], made: Iterable[MadeRoutine]) -> None:
    """Warn of routines with names of those that an earlier gateway deployed, if no file makes them.

    :param named: the routines of these names
    :param made: the routines that the files make
    """
    left = {routine.identity for routine in named} - {routine.identity for routine in made}
    if left:
        session.warnings.append(
            "functions with names of those that an earlier gateway deployed, which no file makes any more, were "
            f"left in place: {', '.join(sorted(left))}"
        )


def advice_on_default_privileges(schema: Schema, changes: Iterable[str]) -> Iterator[str]:
    """Yield a warning for each of *changes* of default privileges, which do not apply to existing functions.

    There is none if a file of ``functions/`` sets the privileges on all functions.
    """
    if not any(_is_about_all_functions(file, {"GRANT", "REVOKE"}) for file in schema.functions):
        for change in changes:
            yield (
                f"{change}, and functions that exist keep theirs, while in a new database all have the changed ones; "
                "set the privileges ON ALL ROUTINES IN SCHEMA in a file of functions/"
            )


def migrated_default_privileges(schema: Schema) -> Iterator[str]:
    """Yield the changes of default privileges on functions by migrations, for :func:`advice_on_default_privileges`."""
    for file in schema.migrations if schema.functions else ():
        if _is_about_all_functions(file, {"ALTER"}):
            yield f"{file.label} changes the default privileges on functions"


def _is_about_all_functions(file: SchemaFile, verbs: Collection[str]) -> bool:
    """Return whether a statement of *file* that starts with one of *verbs* is about all functions."""
    return any(
        not {*statement.words[:1]}.isdisjoint(verbs) and occurs(_ON_ALL_FUNCTIONS, statement.text)
        for statement in script_of(file).statements
    )
