"""Compares objects that belong to no relation, such as operators, casts, publications and event triggers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from migrations_engine.diff.difference import Difference, Verdict, incompatible, safe
from migrations_engine.model import DEFAULT_SCHEMA, Catalog, DatabaseObject


def diff_objects(actual: Catalog, wanted: Catalog, former: Catalog | None) -> Iterator[Difference]:
    """Yield the differences of objects."""
    all_found, all_wanted, all_former = (
        {(item.kind, item.identity): item for item in side.objects} for side in (actual, wanted, former or Catalog())
    )
    for key, old in reversed(all_found.items()):
        if key in all_former and key not in all_wanted:
            yield _difference("drop", old, None, safe(f"the {old.kind} is no longer declared; it holds no rows"))
    for key, new in all_wanted.items():
        found = all_found.get(key)
        if found is None:
            yield _difference("add", None, new, safe(f"the {new.kind} is new"))
        elif found != new:
            yield _difference("alter", found, new, _changed(found, new))


def change_type(verb: str, kind: str) -> str:
    """Return the change type for an object: ``add_text_search_parser``."""
    return f"{verb}_{re.sub('[ -]', '_', kind)}"


def _changed(found: DatabaseObject, wanted: DatabaseObject) -> Verdict:
    if found.kind == "collation" and found.definition != wanted.definition:
        return incompatible("values would sort and compare differently")
    return safe(f"the {found.kind} differs; it holds no rows")


def _difference(verb: str, found: DatabaseObject | None, wanted: DatabaseObject | None, verdict: Verdict) -> Difference:
    subject = found or wanted
    assert subject is not None
    return Difference(
        change_type=change_type(verb, subject.kind),
        table=subject.identity.removeprefix(f"{DEFAULT_SCHEMA}."),
        found=found,
        wanted=wanted,
        from_text=_told(found),
        to_text=_told(wanted),
        verdict=verdict,
    )


def _told(item: DatabaseObject | None) -> str | None:
    return "; ".join([item.definition, *(said for said, _ in item.parts)]) if item is not None else None
