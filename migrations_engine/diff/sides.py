"""The sides of a comparison, and the rules by which they say what is wanted.

*declared* is what ``tables/`` and ``types/`` alone make; *complete* is what they make together with every migration.
Where the two agree, that is wanted. Where a migration refines a declaration, either is right: the migration may not
have run yet. What only a migration made is not wanted by the comparison, because the migration makes it. What is found
and in neither was made by hand, by an extension or by a migration that is gone, unless the last deploy had declared it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from migrations_engine.model import Relation


class Named(Protocol):
    """An object with a name within its relation."""

    @property
    def name(self) -> str:
        """As PostgreSQL stores it."""


T = TypeVar("T")
N = TypeVar("N", bound=Named)


def is_settled(found: T, declared: T, complete: T, key: Callable[[T], Hashable]) -> bool:
    """Whether *found* is as declared, or as a migration refines the declaration."""
    return key(found) in (key(declared), key(complete))


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationSides:
    """One relation that exists and is declared, on all sides."""

    found: Relation
    declared: Relation
    complete: Relation
    former: Relation | None  #: as the last deploy declared it; None when that is not known, or it did not


@dataclass(slots=True, kw_only=True)
class Matching(Generic[N]):
    """What comparing the constraints or attachments of a relation comes to."""

    missing: list[N] = field(default_factory=list)
    changed: list[tuple[N, N]] = field(default_factory=list)  #: (found, wanted)
    renamed: list[tuple[N, N]] = field(default_factory=list)
    kept: list[tuple[N, N]] = field(default_factory=list)
    dropped: list[N] = field(default_factory=list)  #: declared at the last deploy, and now nowhere


def match_named(
    *,
    found: Sequence[N],
    declared: Sequence[N],
    complete: Sequence[N],
    former: Sequence[N],
    shape: Callable[[N], Hashable],
) -> Matching[N]:
    """Pair found with wanted objects: equal ones, then those that differ by name alone, then those of equal name."""

    def seen(item: N) -> tuple[str, Hashable]:
        return item.name, shape(item)

    left = [(asked, wanted) for asked in declared if (wanted := _like(asked, complete, shape)) is not None]
    known = {seen(item) for item in (*declared, *complete)}
    free = list(found)
    kept, left = _pick(left, free, lambda item, side: seen(item) == seen(side))
    others = [item for item in free if seen(item) not in known]  # the rest is a migration's own
    alike, left = _pick(left, others, lambda item, side: shape(item) == shape(side))
    changed, left = _pick(left, others, lambda item, side: item.name == side.name)
    names = {item.name for item in found}
    given_up = {seen(item) for item in former if seen(item) not in known}
    unnamed = {shape(item) for item in former if seen(item) in given_up and item.name not in names}
    dropped = [item for item in others if seen(item) in given_up or shape(item) in unnamed]
    moved = [item for item, _ in (*alike, *changed)]
    staying = {item.name for item in found if item not in dropped and item not in moved}
    return Matching(
        missing=[wanted for _, wanted in left],
        changed=changed,
        renamed=[(item, wanted) for item, wanted in alike if wanted.name not in staying],
        kept=[*kept, *((item, wanted) for item, wanted in alike if wanted.name in staying)],
        dropped=dropped,
    )


def _pick(
    pairs: Sequence[tuple[N, N]], free: list[N], fits: Callable[[N, N], bool]
) -> tuple[list[tuple[N, N]], list[tuple[N, N]]]:
    """Take from *free*, for each pair of asked and wanted, the first item that fits either; and the pairs left over."""
    picked: list[tuple[N, N]] = []
    left: list[tuple[N, N]] = []
    for asked, wanted in pairs:
        item = next((item for item in free if fits(item, wanted) or fits(item, asked)), None)
        if item is None:
            left.append((asked, wanted))
        else:
            free.remove(item)
            picked.append((item, wanted))
    return picked, left


def _like(item: N, pool: Iterable[N], shape: Callable[[N], Hashable]) -> N | None:
    alike = [other for other in pool if shape(other) == shape(item)]
    named = [other for other in pool if other.name == item.name]
    both = [other for other in alike if other.name == item.name]
    return next(iter([*both, *alike, *named]), None)
