"""The differences of functions from those in a new database, and of the privileges on them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from migrations_engine.model import RoutineState
from migrations_engine.report import BY_HAND


def routine_differences(
    here: Iterable[RoutineState],
    new: Iterable[RoutineState],
    states: Mapping[str, RoutineState],
    *,
    created: Collection[str],
    left: Collection[str] = (),
) -> Iterator[str]:
    """Yield a sentence with the cause for each difference of the functions from those in a new database.

    :param here: the functions of the database
    :param new: the functions that types, tables and migrations make in an empty database
    :param states: all of these with the privileges and comments that they have in a new database
    :param created: identities of functions that files create, which are as defined
    :param left: identities of earlier functions that stay, because what was forced to stay uses them
    """
    all_found, all_wanted = ({routine.identity: routine for routine in side} for side in (here, new))
    for identity in sorted({*all_found, *all_wanted, *left}):
        found, wanted = all_found.get(identity), all_wanted.get(identity)
        if identity in left:
            yield f"{identity}: here, not in a new database; it stays because what was forced to stay uses it"
        elif found is None:
            yield f"{identity}: not here, in a new database; it was dropped {BY_HAND}"
        elif identity in created:
            yield from _privileges_and_comment(found, states[identity])
        elif wanted is None:
            yield f"{identity}: here, not in a new database; it was made {BY_HAND}"
        else:
            if found.digest != wanted.digest:
                yield f"{identity}: here another definition than in a new database; it was changed {BY_HAND}"
            yield from _privileges_and_comment(found, states[identity])


def _privileges_and_comment(found: RoutineState, wanted: RoutineState) -> Iterator[str]:
    for privilege in found.privileges:
        if privilege not in wanted.privileges:
            yield f"{found.identity}: here {privilege}, not in a new database; it was done {BY_HAND}"
    for privilege in wanted.privileges:
        if privilege not in found.privileges:
            yield f"{found.identity}: in a new database {privilege}, not here; it was undone {BY_HAND}"
    if found.comment != wanted.comment:
        texts = (found.comment or "not there", wanted.comment or "not there")
        sentence = (
            f"{found.identity} (comment): here {texts[0]}, in a new database {texts[1]}; it was changed {BY_HAND}"
        )
        yield " ".join(sentence.split())
