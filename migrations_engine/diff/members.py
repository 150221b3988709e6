"""Comparing what belongs to a relation: constraints, indexes, triggers, rules, policies, statistics."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Final

from migrations_engine.diff.difference import Difference
from migrations_engine.diff.expression import canonical, without_casts
from migrations_engine.diff.sides import RelationSides, match_named
from migrations_engine.model import Attachment, Constraint, Relation
from migrations_engine.report import Compatibility

_NAMES: Final = {"p": "primary key", "u": "unique", "f": "foreign key", "c": "check", "x": "exclusion"}
ATTACHMENT_KINDS: Final = ("index", "statistics", "rule", "trigger", "policy")


def diff_constraints(sides: RelationSides, *, loose: bool) -> Iterator[Difference]:
    """Differences of the constraints that a table itself declares.

    :param loose: leave casts out of the comparison, because a column keeps a type that is not the wanted one
    """
    relation = sides.found
    has_key = any(constraint.kind == "p" for constraint in relation.constraints)
    matching = match_named(
        found=relation.constraints,
        declared=sides.declared.constraints,
        complete=sides.complete.constraints,
        former=sides.former.constraints if sides.former else (),
        shape=lambda constraint: (constraint.kind, _spelling(constraint.definition, loose=loose)),
    )
    for old in matching.dropped:
        replaced = old.kind == "p"
        yield _constraint(
            "drop_constraint", relation, old, None, "incompatible" if replaced else "safe",
            "a primary key is what rows are told apart by; use a migration" if replaced
            else "the table only allows more",
        )  # fmt: skip
    for old, new in matching.renamed:
        yield _constraint("rename_constraint", relation, old, new, "safe", f"only its name changes, to {new.name}")
    for old, new in matching.kept:
        if old.unvalidated and not new.unvalidated:
            yield _constraint(
                "validate_constraint", relation, old, new, "dataloss", "rows from before the constraint were never checked",
                decided=True,
            )  # fmt: skip
    for old, new in matching.changed:
        if "p" in (old.kind, new.kind):
            reason = "a primary key is what rows are told apart by; use a migration"
            yield _constraint("alter_constraint", relation, old, new, "incompatible", reason)
        else:
            yield _constraint(
                "alter_constraint",
                relation,
                old,
                new,
                "dataloss",
                f"the {_NAMES[new.kind]} constraint differs",
                decided=True,
            )
    for new in matching.missing:
        if new.kind == "p" and has_key:
            reason = "the table has another primary key; use a migration"
            yield _constraint("alter_constraint", relation, None, new, "incompatible", reason)
        else:
            reason = f"the {_NAMES[new.kind]} constraint is new to the table"
            yield _constraint("add_constraint", relation, None, new, "dataloss", reason, decided=True)


def diff_attachments(sides: RelationSides, *, loose: bool) -> Iterator[Difference]:
    """Differences of the indexes, statistics, rules, triggers and policies of a relation; *loose* as for constraints."""
    relation = sides.found

    def shape(item: Attachment) -> Hashable:
        return _spelling(item.definition, loose=loose), item.enabled, item.unique, item.invalid

    for kind in ATTACHMENT_KINDS:
        matching = match_named(
            found=_of_kind(relation, kind),
            declared=_of_kind(sides.declared, kind),
            complete=_of_kind(sides.complete, kind),
            former=_of_kind(sides.former, kind),
            shape=shape,
        )
        for old in matching.dropped:
            yield _attachment(f"drop_{kind}", relation, old, None, f"the {kind} is declared no more; it holds no rows")
        for old, new in matching.renamed:
            yield _attachment(f"rename_{kind}", relation, old, new, f"only its name changes, to {new.name}")
        for old, new in matching.changed:
            yield _attachment(f"alter_{kind}", relation, old, new, f"the {kind} differs")
        for new in matching.missing:
            yield _attachment(f"add_{kind}", relation, None, new, f"the {kind} is new to {relation.label}")


def _constraint(
    change_type: str,
    relation: Relation,
    found: Constraint | None,
    wanted: Constraint | None,
    compatibility: Compatibility,
    reason: str,
    *,
    decided: bool = False,
) -> Difference:
    subject = found or wanted
    assert subject is not None  # noqa: S101 - one of the two is always given
    return Difference(
        change_type=change_type, table=relation.label, name=subject.name, relation=relation, found=found, wanted=wanted,
        from_text=found.definition if found else None, to_text=wanted.definition if wanted else None,
        compatibility=compatibility, reason=reason, decided_by_rows=decided,
    )  # fmt: skip


def _attachment(
    change_type: str, relation: Relation, found: Attachment | None, wanted: Attachment | None, reason: str
) -> Difference:
    subject = found or wanted
    assert subject is not None  # noqa: S101 - one of the two is always given
    decided = wanted is not None and wanted.unique and not change_type.startswith("rename")
    return Difference(
        change_type=change_type, table=relation.label, name=subject.name, relation=relation, found=found, wanted=wanted,
        from_text=found.definition if found else None, to_text=wanted.definition if wanted else None,
        compatibility="dataloss" if decided else "safe", reason=reason, decided_by_rows=decided,
    )  # fmt: skip


def _of_kind(relation: Relation | None, kind: str) -> tuple[Attachment, ...]:
    return tuple(item for item in relation.attachments if item.kind == kind) if relation else ()


def _spelling(definition: str, *, loose: bool) -> str | None:
    return without_casts(definition) if loose else canonical(definition)
