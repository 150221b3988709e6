"""Compares comments, and finds those that are dropped with an object."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from migrations_engine.diff.difference import Difference, Subject, safe
from migrations_engine.model import (
    Attachment,
    Catalog,
    Column,
    Constraint,
    DatabaseObject,
    Relation,
    SchemaObject,
    Type,
)
from migrations_engine.model import Sequence as SequenceObject

#: An identity that needs no quotes: after a schema, any word may be a name.
_PLAIN: Final = re.compile(r"[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*")


def diff_comments(
    actual: Catalog, wanted: Catalog, former: Catalog | None, others: Sequence[Difference]
) -> Iterator[Difference]:
    """Yield the differences of comments. An undeclared one was made by hand and stays.

    :param others: all other differences; comments on objects that they drop are left out
    """
    renames = [difference for difference in others if difference.change_type.startswith("rename_")]
    all_found, all_wanted, all_former = (
        _after(renames, side, wanted) for side in (actual, wanted, former or Catalog())
    )
    gone = [part for difference in others for part in removed_parts(difference)]
    for kind, identity in sorted({**all_wanted, **all_former}):
        key = (kind, identity)
        old, new = all_found.get(key), all_wanted.get(key)
        if old == new or (new is None and old != all_former.get(key)):
            continue
        if new is None and any(is_on(identity, *part) for part in gone):
            continue
        yield Difference(
            change_type="alter_comment",
            table=identity,
            name=kind,
            wanted=new,
            from_text=old,
            to_text=new,
            verdict=safe("only the comment changes"),
        )


def _after(renames: Sequence[Difference], catalog: Catalog, wanted: Catalog) -> dict[tuple[str, str], str]:
    """Return the comments in *catalog* with the names that their objects have after *renames*."""
    commented = {identity for _, identity, _ in wanted.comments}
    names: dict[str, str] = {}
    for item in renames:
        if item.relation is not None and isinstance(item.found, Constraint | Attachment):
            assert isinstance(item.wanted, Constraint | Attachment)
            later = _identities(item.relation, item.wanted)
            spelled = [name for name in later if name in commented]
            spelled += [name for name in later if _PLAIN.fullmatch(name)] or [later[-1]]
            names |= dict.fromkeys(_identities(item.relation, item.found), spelled[0])
    comments = sorted(catalog.comments, key=lambda comment: comment[1] not in names)
    return {(kind, names.get(identity, identity)): text for kind, identity, text in comments}


def removed_parts(difference: Difference) -> Iterator[tuple[Subject | None, Relation | None]]:
    """Yield what *difference* drops, each with its relation, as :func:`is_on` takes them."""
    found, wanted = difference.found, difference.wanted
    if difference.change_type.startswith("drop_") and found:
        yield found, difference.relation
    elif difference.change_type == "alter_view" and isinstance(found, Relation) and isinstance(wanted, Relation):
        yield from ((part, found) for part in parts_without(found, wanted))


def parts_without(found: Relation, wanted: Relation) -> Iterator[Subject]:
    """Yield the parts of a view that it loses when it becomes *wanted*: all of it if it becomes one of another kind."""
    if found.kind != wanted.kind:
        yield found
    yield from (column for column in found.columns if wanted.column(column.name) is None)
    kept = {(item.kind, item.name) for item in wanted.attachments}
    yield from (item for item in found.attachments if (item.kind, item.name) not in kept)


def is_on(identity: str, found: Subject | None, relation: Relation | None) -> bool:
    """Return whether a comment is on an object, or on a part of it.

    :param identity: of the commented object, as ``pg_identify_object`` returns it
    :param found: the object
    :param relation: the relation of the object, if it has one
    """
    if isinstance(found, Relation):
        members = [name for item in found.attachments for name in _identities(found, item)]
        inside = identity.startswith(f"{found.qualified}.") or identity.endswith(f" on {found.qualified}")
        return inside or identity in (found.qualified, *members)
    if isinstance(found, Column) and relation is not None:
        return identity in [f"{relation.qualified}.{name}" for name in spellings(found.name)]
    if isinstance(found, Constraint | Attachment) and relation is not None:
        return identity in _identities(relation, found)
    if isinstance(found, Type | SequenceObject):
        return identity == found.qualified or identity.endswith(f" on {found.qualified}")
    if isinstance(found, DatabaseObject):
        return identity == found.identity
    return False


def _identities(relation: Relation, item: Constraint | Attachment) -> list[str]:
    if isinstance(item, Attachment):
        return identities_of_member(relation, item.kind, item.name, item.schema)
    return identities_of_member(relation, "constraint", item.name)


def identities_of_member(table: SchemaObject, kind: str, name: str, schema: str | None = None) -> list[str]:
    """Return the identities that the server may print for a member of *table*, with and without quotes.

    :param schema: of an index or statistics object, if it is not that of the table
    """
    if kind in ("index", "statistics"):
        return [f"{prefix}.{spelled}" for prefix in spellings(schema or table.schema) for spelled in spellings(name)]
    return [f"{spelled} on {table.qualified}" for spelled in spellings(name)]


def spellings(name: str) -> tuple[str, str]:
    """Return the spellings of *name* in an identity, without quotes and with them."""
    return name, '"' + name.replace('"', '""') + '"'
