"""The sides of a comparison, and how the named members of a relation are paired.

*found* is an object as the database has it, *wanted* as it should be, and *former* as the last deploy declared it. The
catalogs of the three sides are *actual*, *wanted* and *former*. Objects that are found and not wanted were made by
hand, by an extension or by a deleted migration, unless they are in *former*.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from migrations_engine.model import Column, Relation


class Named(Protocol):
    """An object that has a name."""

    @property
    def name(self) -> str:
        """The name as PostgreSQL stores it."""


N = TypeVar("N", bound=Named)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationSides:
    """A relation that exists and is wanted."""

    found: Relation
    wanted: Relation
    former: Relation | None  #: None if it is unknown, or the last deploy did not declare the relation


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSides:
    """A column that exists and is wanted."""

    found: Column
    wanted: Column
    former: Column | None


@dataclass(slots=True, kw_only=True)
class Matching(Generic[N]):
    """The constraints or attachments of a relation, paired with the wanted ones."""

    missing: list[N] = field(default_factory=list)
    changed: list[tuple[N, N]] = field(default_factory=list)  #: (found, wanted)
    renamed: list[tuple[N, N]] = field(default_factory=list)
    kept: list[tuple[N, N]] = field(default_factory=list)
    dropped: list[N] = field(default_factory=list)  #: declared by the last deploy, and no longer wanted


def match_named(
    *, found: Sequence[N], wanted: Sequence[N], former: Sequence[N], shape: Callable[[N], Hashable]
) -> Matching[N]:
    """Pair found with wanted objects: equal ones, then those that differ by name alone, then those of equal name."""

    def seen(item: N) -> tuple[str, Hashable]:
        return item.name, shape(item)

    known = {seen(item) for item in wanted}
    free = list(found)
    kept, left = _pick(wanted, free, lambda item, other: seen(item) == seen(other))
    alike, left = _pick(left, free, lambda item, other: shape(item) == shape(other))
    changed, left = _pick(left, free, lambda item, other: item.name == other.name)
    names = {item.name for item in found}
    given_up = {seen(item) for item in former if seen(item) not in known}
    unnamed = {shape(item) for item in former if seen(item) in given_up and item.name not in names}
    dropped = [item for item in free if seen(item) in given_up or shape(item) in unnamed]
    moved = [item for item, _ in (*alike, *changed)]
    staying = {item.name for item in found if item not in dropped and item not in moved}
    return Matching(
        missing=left,
        changed=changed,
        renamed=[(item, other) for item, other in alike if other.name not in staying],
        kept=[*kept, *((item, other) for item, other in alike if other.name in staying)],
        dropped=dropped,
    )


def like(item: N, pool: Iterable[N], shape: Callable[[N], Hashable]) -> N | None:
    """Return the matching object of *pool*: by name and shape if possible, else by shape, else by name."""
    pool = [*pool]
    alike = [other for other in pool if shape(other) == shape(item)]
    both = [other for other in alike if other.name == item.name]
    named = [other for other in pool if other.name == item.name]
    return next(iter([*both, *alike, *named]), None)


def _pick(wanted: Iterable[N], free: list[N], fits: Callable[[N, N], bool]) -> tuple[list[tuple[N, N]], list[N]]:
    """Take the first item that fits from *free* for each wanted object. Return the pairs, and the objects left over."""
    picked: list[tuple[N, N]] = []
    left: list[N] = []
    for other in wanted:
        item = next((item for item in free if fits(item, other)), None)
        if item is None:
            left.append(other)
        else:
            free.remove(item)
            picked.append((item, other))
    return picked, left
