"""Compares the members of a relation: constraints, indexes, triggers, rules, policies and statistics."""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Iterable, Iterator
from dataclasses import replace
from typing import Final

from migrations_engine.diff.difference import Difference, Verdict, incompatible, safe, unless_refused
from migrations_engine.diff.expression import canonical
from migrations_engine.diff.sides import Matching, RelationSides, match_named
from migrations_engine.model import Attachment, Catalog, Constraint, Relation

_NAMES: Final = {"p": "primary key", "u": "unique", "f": "foreign key", "c": "check", "x": "exclusion"}
_KEY: Final = incompatible("a primary key identifies rows")
#: When a trigger or rule fires, by ``tgenabled`` or ``ev_enabled``.
_ENABLED: Final = {"O": "enabled", "D": "disabled", "R": "enabled for replicas", "A": "always enabled"}
_STORAGE: Final = re.compile(r" WITH \([^()]*\)(?= WHERE |$)")  #: the storage parameters of an index
ATTACHMENT_KINDS: Final = ("index", "statistics", "rule", "trigger", "policy")


def diff_constraints(sides: RelationSides, actual: Catalog) -> Iterator[Difference]:
    """Yield the differences of the constraints that a table itself declares."""
    relation = sides.found
    matching = match_named(
        found=relation.constraints,
        wanted=sides.wanted.constraints,
        former=sides.former.constraints if sides.former else (),
        shape=lambda constraint: (constraint.kind, canonical(constraint.definition)),
    )
    for old in matching.dropped:
        yield _difference("drop_constraint", relation, old, None, _without(relation, old, actual))
    for old, new in matching.renamed:
        yield _difference("rename_constraint", relation, old, new, safe(f"only its name changes, to {new.name}"))
    for old, new in matching.kept:
        if old.unvalidated and not new.unvalidated:
            verdict = unless_refused("existing rows were never checked")
            yield _difference("validate_constraint", relation, old, new, verdict)
    yield from _changed_constraints(relation, matching, actual)


def _changed_constraints(relation: Relation, matching: Matching[Constraint], actual: Catalog) -> Iterator[Difference]:
    for old, new in matching.changed:
        verdict = _without(relation, old, actual)
        if verdict.compatibility == "safe":
            verdict = _KEY if new.kind == "p" else unless_refused(f"the {_NAMES[new.kind]} constraint differs")
        yield _difference("alter_constraint", relation, old, new, verdict)
    has_key = any(constraint.kind == "p" for constraint in relation.constraints)
    for new in matching.missing:
        if new.kind == "p" and has_key:
            yield _difference("alter_constraint", relation, None, new, _KEY)
        else:
            verdict = unless_refused(f"the {_NAMES[new.kind]} constraint is new to the table")
            yield _difference("add_constraint", relation, None, new, verdict)


def diff_attachments(sides: RelationSides) -> Iterator[Difference]:
    """Yield the differences of indexes, statistics, rules, triggers and policies."""
    relation = sides.found
    for kind in ATTACHMENT_KINDS:
        matching = match_named(
            found=_without_attached(_of_kind(relation, kind), relation, sides.wanted),
            wanted=_without_attached(_of_kind(sides.wanted, kind), sides.wanted, relation),
            former=_of_kind(sides.former, kind),
            shape=_shape,
        )
        for old in matching.dropped:
            verdict = safe(f"the {kind} is no longer declared; it holds no rows")
            yield _difference(f"drop_{kind}", relation, old, None, verdict)
        for old, new in matching.renamed:
            yield _difference(f"rename_{kind}", relation, old, new, safe(f"only its name changes, to {new.name}"))
        for old, new in matching.changed:
            yield _difference(f"alter_{kind}", relation, old, new, _making(relation, new, f"the {kind} differs"))
        for new in matching.missing:
            verdict = _making(relation, new, f"the {kind} is new to {relation.label}")
            yield _difference(f"add_{kind}", relation, None, new, verdict)
        yield from _targets(sides, [*matching.kept, *matching.renamed])
    yield from _inherited_indexes(sides)


def _inherited_indexes(sides: RelationSides) -> Iterator[Difference]:
    """Compare the names of inherited indexes of a partition. Their definitions follow from the parents' indexes."""
    found, wanted = (
        sorted((item for item in side.attachments if item.inherited), key=lambda item: (_columns(item), item.name))
        for side in (sides.found, sides.wanted)
    )
    accepted = {(_columns(item), item.name) for item in wanted}
    free = [item for item in found if (_columns(item), item.name) not in accepted]
    names = {item.name for item in found}
    for new in wanted:
        old = next((item for item in free if _columns(item) == _columns(new)), None)
        if old is not None and new.name not in names:
            free.remove(old)
            verdict = safe(f"only its name changes, to {new.name}")
            yield _difference("rename_index", sides.found, old, new, verdict)


def _columns(index: Attachment) -> str:
    """Return the definition of *index* without its storage parameters."""
    return _STORAGE.sub("", index.definition)


def _targets(sides: RelationSides, pairs: Iterable[tuple[Attachment, Attachment]]) -> Iterator[Difference]:
    """Compare statistics targets. An undeclared one was set by hand and stays."""
    former = {(item.kind, item.name): item.targets for item in sides.former.attachments} if sides.former else {}
    for old, new in pairs:
        if old.targets != new.targets and (new.targets or former.get((old.kind, old.name))):
            verdict = safe("only what ANALYZE collects changes")
            difference = _difference(f"alter_{old.kind}_targets", sides.found, old, new, verdict)
            yield replace(difference, from_text=", ".join(old.targets) or None, to_text=", ".join(new.targets) or None)


def _making(relation: Relation, attachment: Attachment, reason: str) -> Verdict:
    """Return the verdict for a new object. Rows may violate a unique index, except those of a materialized view."""
    return unless_refused(reason) if attachment.unique and relation.is_table else safe(reason)


def _without(relation: Relation, constraint: Constraint, actual: Catalog) -> Verdict:
    """Return the verdict for dropping a constraint. PostgreSQL refuses it for a key that foreign keys refer to."""
    if constraint.kind == "p":
        return _KEY
    if constraint.kind == "u" and (users := _referring(relation, constraint.columns, actual)):
        return incompatible(f"foreign keys of {', '.join(users)} refer to it")
    return safe("the table allows more rows")


def _referring(relation: Relation, columns: Collection[str], actual: Catalog) -> list[str]:
    return [
        other.label
        for other in actual.relations
        for key in other.constraints
        if (key.foreign_schema, key.foreign_table) == relation.address and set(key.foreign_columns) == set(columns)
    ]


def _difference(
    change_type: str,
    relation: Relation,
    found: Constraint | Attachment | None,
    wanted: Constraint | Attachment | None,
    verdict: Verdict,
) -> Difference:
    subject = found or wanted
    assert subject is not None
    texts = _told(found, wanted), _told(wanted, found)
    if found is not None and wanted is not None and change_type.startswith("rename_"):
        texts = found.name, wanted.name
    return Difference(
        change_type=change_type,
        table=relation.label,
        name=subject.name,
        relation=relation,
        found=found,
        wanted=wanted,
        from_text=texts[0],
        to_text=texts[1],
        verdict=verdict,
    )


def _told(item: Constraint | Attachment | None, other: Constraint | Attachment | None) -> str | None:
    """Return the definition, with when a trigger or rule fires, or NOT VALID, if *other* differs in that."""
    if isinstance(item, Constraint) and isinstance(other, Constraint) and item.unvalidated and not other.unvalidated:
        return f"{item.definition} NOT VALID"
    if isinstance(item, Attachment) and isinstance(other, Attachment) and item.enabled != other.enabled:
        return f"{item.definition} ({_ENABLED[item.enabled]})"
    return item.definition if item is not None else None


def _shape(item: Attachment) -> Hashable:
    return canonical(item.definition), item.enabled, item.unique, item.invalid


def _without_attached(items: Iterable[Attachment], relation: Relation, other: Relation) -> tuple[Attachment, ...]:
    """Return *items* of *relation* without indexes that are the same in *other*, as parts of an index of its parent.

    If a partition has a suitable index already, PostgreSQL attaches that to a new index of the parent.
    """
    own = {_shape(item) for item in relation.attachments if item.inherited}
    attached = {(item.name, _shape(item)) for item in other.attachments if item.inherited and _shape(item) not in own}
    return tuple(item for item in items if (item.name, _shape(item)) not in attached)


def _of_kind(relation: Relation | None, kind: str) -> tuple[Attachment, ...]:
    return tuple(item for item in relation.attachments if item.kind == kind and not item.inherited) if relation else ()
