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
    """Whatever has a name within its relation."""

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
    """One relation that is there and declared, on all sides."""

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
    """Pair up what is found with what is wanted: by what it is first, and by its name second.

    A mere difference of name is none, because PostgreSQL made up most of the names; only where the last deploy declared
    the old name is it a renaming.
    """
    result: Matching[N] = Matching()
    free = list(found)
    for asked in declared:
        wanted = _like(asked, complete, shape)
        if wanted is None:
            continue
        names = (wanted.name, asked.name)
        accepted = {shape(asked), shape(wanted)}
        alike = [item for item in free if shape(item) in accepted]
        same_name = [item for item in free if item.name in names]
        if alike:
            item = next((item for item in alike if item.name in names), alike[0])
            renamed = any(old.name == item.name and shape(old) == shape(item) for old in former)
            deliberate = renamed and not any(other.name == wanted.name for other in found)
            (result.renamed if item.name not in names and deliberate else result.kept).append((item, wanted))
        elif same_name:
            item = same_name[0]
            result.changed.append((item, wanted))
        else:
            result.missing.append(wanted)
            continue
        free.remove(item)
    known = [*declared, *complete]
    result.dropped = [
        item for item in free if _like(item, known, shape) is None and _like(item, former, shape) is not None
    ]
    return result


def _like(item: N, pool: Iterable[N], shape: Callable[[N], Hashable]) -> N | None:
    alike = [other for other in pool if shape(other) == shape(item)]
    named = [other for other in pool if other.name == item.name]
    both = [other for other in alike if other.name == item.name]
    return next(iter([*both, *alike, *named]), None)
