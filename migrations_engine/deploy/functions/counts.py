"""What a deploy did to the routines of a schema, in numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from migrations_engine.deploy.functions.routines import MadeRoutine
from migrations_engine.tracking import DeployedFunction


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCounts:
    """The number of routines of the schema, and of those that were skipped, updated and dropped."""

    deployed: int
    skipped: int
    updated: int
    dropped: int

    @classmethod
    def of(
        cls,
        made: Iterable[MadeRoutine],
        kept: Iterable[DeployedFunction],
        *,
        known: Iterable[DeployedFunction],
        dropped: int,
    ) -> Self:
        """Return the counts. A routine that was created again without a change is not updated.

        :param made: the routines of files that have run
        :param kept: those of unchanged files
        :param known: those of earlier deploys
        """
        before = {(function.identity, function.fingerprint) for function in known if function.intact}
        after = [(routine.identity, routine.fingerprint) for routine in made]
        updated = sum(1 for routine in after if routine not in before)
        deployed = len(after) + sum(1 for function in kept if function.identity)
        return cls(deployed=deployed, skipped=deployed - updated, updated=updated, dropped=dropped)
