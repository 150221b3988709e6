"""The sources of a target catalog, and the versions of an object in them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from operator import attrgetter
from typing import Any, Generic, TypeAlias, TypeVar

from migrations_engine.model import Catalog

T = TypeVar("T")
U = TypeVar("U")
#: Attributes that only make sense together, and what is compared of them.
Part: TypeAlias = tuple[tuple[str, ...], Callable[[Any], Hashable]]
#: Whether migrations of this deploy, and no earlier ones, define an object with these names, maybe as it was before.
Redefines: TypeAlias = Callable[..., bool]


def _never(*_: str) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The catalogs from which the target of a database is computed."""

    declared: Catalog  #: what ``types/`` and ``tables/`` make in an empty database
    complete: Catalog  #: what they make there together with every migration
    actual: Catalog  #: the database, after the migrations of this deploy
    before: Catalog | None = None  #: the database before them, with present names; None for a new database
    then: Catalog | None = None  #: the same with the names that it had
    former: Catalog | None = None  #: what the last deploy declared, with present names; None if that is unknown
    stated: Catalog | None = None  #: the same with the names that it declared
    earlier_labels: Mapping[str, str] = field(default_factory=dict)  #: of what this deploy has renamed, by present ones
    redefines: Redefines = _never  #: of a label, and of the name of a member


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions(Generic[T]):
    """An object as each source has it; None where it is absent."""

    declared: T | None
    complete: T | None
    actual: T | None
    before: T | None
    then: T | None
    former: T | None
    stated: T | None
    knows_before: bool  #: else *before* is None because what the object belongs to did not exist before this deploy
    knows_former: bool  #: else *former* is None because the last deploy did not declare what the object belongs to
    redefines: Redefines = _never  #: of the object without a name, and of the name of a member

    def undeclared(self) -> T | None:
        """Return the present version of an undeclared object; None if only the last deploy declared it."""
        return self.actual if self.complete is not None or self.former is None else None

    def within(self, part: Callable[[T], U | None]) -> Versions[U]:
        """Return the versions of a part of the object."""
        declared, complete, actual, before, then, former, stated = (
            None if version is None else part(version)
            for version in (self.declared, self.complete, self.actual, self.before, self.then, self.former, self.stated)
        )
        return Versions(
            declared=declared,
            complete=complete,
            actual=actual,
            before=before,
            then=then,
            former=former,
            stated=stated,
            knows_before=self.knows_before and self.before is not None and self.actual is not None,
            knows_former=self.knows_former and (self.former is not None or self.stated is not None),
        )

    def decide(self, key: Callable[[T], Hashable]) -> T | None:
        """Return the version that is the target by the rules of ``target``.

        :param key: returns what is compared of a version
        """

        def spelled(version: T | None) -> Hashable:
            return None if version is None else (key(version),)

        if spelled(self.declared) == spelled(self.complete):
            return self.declared
        # Renames are no changes of *before*; a migration that renames what is as declared is later than that, though.
        is_renamed = self.then is not None and (self.actual is None or spelled(self.then) == spelled(self.declared))
        if self.knows_before and spelled(self.actual) != spelled(self.then if is_renamed else self.before):
            return self.actual
        if self.knows_former and spelled(self.declared) not in (spelled(self.former), spelled(self.stated)):
            return self.declared
        return self.declared if spelled(self.actual) == spelled(self.declared) else self.complete

    def latest(self, key: Callable[[T], Hashable]) -> T | None:
        """Return what a migration of this deploy or a changed declaration has made, or else the present version.

        Unlike :meth:`decide`, it also finds a change by migrations that new databases do not have.
        """
        declared, actual, before, former, stated = (
            None if version is None else (key(version),)
            for version in (self.declared, self.actual, self.before, self.former, self.stated)
        )
        if self.knows_before and before != actual:
            return self.actual
        if self.knows_former:
            return self.actual if declared in (former, stated) else self.declared
        return self.complete

    def decide_parts(self, parts: Iterable[Part]) -> dict[str, Any]:
        """Return the values of the attributes of the target, each part from the version that is its target.

        What migrations of this deploy define stays beside the declaration of this deploy.
        """
        whole = self.within(lambda version: version)
        if whole.declared != whole.complete and self.redefines():
            whole = replace(whole, knows_former=False)
        chosen = [(names, whole.decide(key)) for names, key in parts]
        return {name: getattr(version, name) for names, version in chosen for name in names}


def together(*names: str) -> Part:
    """Return a part of these attributes, compared as they are."""
    return names, attrgetter(*names)


def versions_by_label(sources: Sources, items: Callable[[Catalog], dict[str, U]]) -> dict[str, Versions[U]]:
    """Return the versions of the objects that are declared, made by migrations or present, by label."""

    def earlier(label: str) -> str:
        return sources.earlier_labels.get(label, label)

    declared, complete, actual, before, then, former, stated = (
        items(source) if source is not None else {}
        for source in (
            sources.declared,
            sources.complete,
            sources.actual,
            sources.before,
            sources.then,
            sources.former,
            sources.stated,
        )
    )
    return {
        label: Versions(
            declared=declared.get(label),
            complete=complete.get(label),
            actual=actual.get(label),
            before=before.get(label),
            then=then.get(label) or then.get(earlier(label)),
            former=former.get(label),
            stated=stated.get(label) or stated.get(earlier(label)),
            knows_before=sources.before is not None,
            knows_former=sources.former is not None,
            redefines=partial(sources.redefines, label),
        )
        for label in {**declared, **complete, **actual}
    }
