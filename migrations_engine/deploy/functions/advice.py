"""Warnings about functions that a deploy leaves as they are."""

from __future__ import annotations

from collections.abc import Iterable

from migrations_engine.deploy.functions.routines import MadeRoutine, OldRoutine
from migrations_engine.deploy.session import DeploySession
from migrations_engine.schema import Schema
from migrations_engine.source.functions_folder import creates_routines_in_block


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
