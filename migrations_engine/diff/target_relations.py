"""The target of a table or view: its columns, constraints, attachments and attributes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from operator import attrgetter
from typing import Any, Final, TypeVar

from migrations_engine.diff.comments import spellings
from migrations_engine.diff.expression import canonical, canonical_default, naming
from migrations_engine.diff.sequences import of_type_of_column, with_target_options
from migrations_engine.diff.sides import like
from migrations_engine.diff.sources import Versions, together
from migrations_engine.model import Attachment, Column, Constraint, Relation

#: Attributes with which a table is created; the others concern the visibility and storage of rows.
_LASTING: Final = ("unlogged", "partition_key", "partition_bound", "parents", "of_type", "server", "access_method")
_SWITCHES: Final = ("row_security", "force_row_security", "replica_identity", "clustered_on")
#: Attributes of a column that only make sense together.
TYPE: Final = ("type", "collation")
VALUE: Final = ("default", "identity", "generated", "sequence")
_STORED: Final = ("storage", "compression", "statistics")
NOT_NULL: Final = ("not_null", "not_null_name", "not_null_no_inherit", "not_null_unvalidated")
_OTHERS: Final = tuple(field.name for field in fields(Column) if field.name not in ("name", *TYPE, *VALUE, *NOT_NULL))

D = TypeVar("D", Constraint, Attachment)


def target_table(versions: Versions[Relation]) -> Relation | None:
    """Return the target of the table; None if it should not exist."""
    if versions.declared is None:
        table = versions.undeclared()
        return table and replace(table, constraints=_own(table.constraints, versions.complete))
    is_new = versions.knows_before and versions.before is None
    if versions.complete is None:
        if not versions.declared.partition_bound and versions.decide(lambda _: True) is None:
            return None
        versions = replace(versions, complete=versions.declared)
    constraints = target_constraints(versions.within(attrgetter("constraints")), is_new=is_new)
    are_tables = all(side is None or side.is_table for side in (versions.complete, versions.actual))
    attributes = versions.decide_parts(map(together, ("kind", *_LASTING) if are_tables else _LASTING))
    return replace(
        _with_attachments(versions),
        **attributes,
        columns=tuple(_columns(versions)),
        constraints=_own(constraints, versions.complete),
    )


def _own(constraints: Iterable[Constraint], complete: Relation | None) -> tuple[Constraint, ...]:
    """Return *constraints* without keys of a partition that migrations have made parts of keys of its parent."""
    return tuple(constraint for constraint in constraints if not _is_of_parent(constraint, complete))


def _is_of_parent(constraint: Constraint, complete: Relation | None) -> bool:
    if complete is None or constraint.kind not in ("p", "u") or alike(constraint, complete.constraints) is not None:
        return False
    parts = (item for item in complete.attachments if item.inherited and item.unique)
    return any(_are_keys(item.keys, constraint.columns) for item in parts)


def _are_keys(keys: Sequence[str], columns: Sequence[str]) -> bool:
    """Return whether *keys*, as PostgreSQL prints them, are *columns*."""
    return len(keys) == len(columns) and all(key in spellings(name) for key, name in zip(keys, columns, strict=True))


def target_view(versions: Versions[Relation]) -> Relation | None:
    """Return the target of the view; None if it should not exist."""
    declared, actual = versions.declared, versions.actual
    if declared is None:
        return versions.undeclared()
    view = replace(_with_attachments(versions), columns=tuple(_view_columns(versions)))
    gone = [column.name for column in actual.columns if declared.column(column.name) is None] if actual else []
    if not gone:
        return view
    uses = users_of(gone)
    return replace(view, attachments=tuple(item for item in view.attachments if not uses(item)))


def _view_columns(versions: Versions[Relation]) -> Iterator[Column]:
    """Yield the columns of a declared view, with the storage properties that only migrations or people have set."""
    for column in versions.declared.columns if versions.declared is not None else ():
        sides = versions.within(lambda view, name=column.name: view.column(name))  # type: ignore[misc]
        kept: dict[str, Any] = {
            name: getattr(sides.actual, name, None)
            for name in _STORED
            if getattr(column, name) is None
            and (getattr(sides.complete, name, None) is not None or getattr(sides.former, name, None) is None)
        }
        yield replace(column, options=_options(sides), **kept)


def users_of(columns: Collection[str]) -> Callable[[Attachment], bool]:
    """Return a function that returns whether an attachment names one of *columns*."""
    used = naming(columns)
    return lambda attachment: used(attachment.definition)


def _columns(versions: Versions[Relation]) -> Iterator[Column]:
    assert versions.declared is not None
    for name in [column.name for column in versions.declared.columns]:
        column = versions.within(lambda relation, name=name: relation.column(name))  # type: ignore[misc]
        column = replace(column, redefines=partial(versions.redefines, name))
        if column.complete is not None:
            yield _column(column)
        elif column.decide(lambda _: True) is not None:
            yield _column(replace(column, complete=column.declared))
    for found in versions.actual.columns if versions.actual else ():
        if versions.declared.column(found.name) is None:
            by_migration = versions.complete is not None and versions.complete.column(found.name) is not None
            if by_migration or (versions.former is not None and versions.former.column(found.name) is None):
                yield found


def _column(versions: Versions[Column]) -> Column:
    """Return the column with the target of each of its attributes."""
    assert versions.declared is not None
    others = (together(name) for name in _OTHERS)
    parts = [together(*TYPE), (VALUE, column_value), together(*NOT_NULL), *others]
    column = replace(versions.declared, **versions.decide_parts(parts))
    if column.not_null and versions.actual is not None and versions.actual.not_null:
        latest = versions.latest(attrgetter("not_null", "not_null_unvalidated"))
        column = replace(column, not_null_unvalidated=latest is not None and latest.not_null_unvalidated)
    return of_type_of_column(with_target_options(_with_default_of_type(column, versions), versions), versions.actual)


def _with_default_of_type(column: Column, versions: Versions[Column]) -> Column:
    """Return *column* with its default as PostgreSQL prints it for a type that migrations have changed."""
    declared, complete = versions.declared, versions.complete
    if not (declared and complete) or declared.type == column.type or complete.type != column.type:
        return column
    same = column.default == declared.default and column_value(complete) == column_value(declared)
    return replace(column, default=complete.default) if same else column


def target_constraints(versions: Versions[tuple[Constraint, ...]], *, is_new: bool = False) -> Iterator[Constraint]:
    """Yield the constraints that a table or domain should have.

    :param is_new: this deploy has made it, so that none of them was made by hand
    """
    taken: list[Constraint] = []
    declared = versions.declared or ()
    known = {_seen(asked) for asked in declared}
    own = [_counterpart_of(asked, None, known, versions.complete or ()) for asked in declared]
    # Those that migrations add beside a declared one of their definition are not that one under another name.
    known |= {_seen(made) for made in versions.complete or () if made not in own}
    for asked, made in zip(declared, own, strict=True):
        constraint = versions.within(partial(_counterpart_of, asked, made, known))
        chosen = replace(constraint, declared=asked).decide(_shape)
        sides = (constraint.complete, constraint.actual, constraint.former)
        taken += [item for item in sides if item is not None]
        if chosen is not None:
            is_as_made = made is not None and _seen(made) == (asked.name, _shape(chosen))
            yield _with_latest_validity(replace(chosen, name=asked.name) if is_as_made else chosen, constraint)
    present = {found.name for found in versions.actual or ()}
    for found in versions.actual or ():
        if found not in taken:
            free = taken, present - {found.name}
            by_migration = _counterpart(found, versions.complete, *free) is not None
            by_hand = not is_new and _counterpart(found, versions.former, *free) is None
            if by_migration or by_hand:
                yield found


def _counterpart_of(
    asked: Constraint, made: Constraint | None, known: Collection[Hashable], side: Iterable[Constraint]
) -> Constraint | None:
    """Return the constraint of *side* that corresponds to *asked*, or else to what migrations have *made* of it.

    It is not one that others in *known* equal.
    """
    for form in filter(None, (asked, made)):
        found = alike(form, [item for item in side if _seen(item) == _seen(form) or _seen(item) not in known])
        if found is not None:
            return found
    return None


def _counterpart(
    found: Constraint, side: Iterable[Constraint] | None, taken: Collection[Constraint], others: Collection[str]
) -> Constraint | None:
    """Return the constraint of *side* that corresponds to *found*, not one of *taken* or with a name of *others*."""
    return alike(found, [item for item in side or () if item not in taken and item.name not in others])


def _with_latest_validity(chosen: Constraint, versions: Versions[Constraint]) -> Constraint:
    """Return *chosen* NOT VALID or validated as the latest change left it, if it is there already.

    Migrations often add a constraint NOT VALID that new databases have as declared, or validate one later.
    """
    if versions.actual is None or _shape(versions.actual) != _shape(chosen):
        return chosen
    latest = versions.latest(lambda constraint: (_shape(constraint), constraint.unvalidated))
    return chosen if latest is None else replace(chosen, unvalidated=latest.unvalidated)


def _with_attachments(versions: Versions[Relation]) -> Relation:
    """Return the declared relation with the additions by migrations and by hand."""
    declared, actual = versions.declared, versions.actual
    assert declared is not None
    complete, former = (side.attachments if side is not None else () for side in (versions.complete, versions.former))
    wanted = tuple(_attached(item, complete) for item in declared.attachments)
    if actual is None:
        return replace(declared, attachments=wanted)
    kept = [
        found
        for found in actual.attachments
        if alike(found, [item for item in declared.attachments if item.kind == found.kind]) is None
        and (alike(found, complete) is not None or alike(found, former) is None)
    ]
    migrated = versions.complete if versions.redefines() else None
    switches = {
        name: getattr(declared, name) or getattr(actual, name)
        for name in _SWITCHES
        if getattr(migrated, name, None) or not getattr(versions.former, name, None)
    }
    return replace(declared, attachments=(*wanted, *kept), options=_options(versions), **switches)


def _attached(item: Attachment, complete: Iterable[Attachment]) -> Attachment:
    """Return *item*, or the same index of a partition after migrations have made an index of the parent of it.

    Statistics targets that only migrations set are added to it.
    """
    same = (other for other in complete if other.name == item.name and _shape(other) == _shape(item))
    made = next(same, item)
    return made if made.inherited else replace(item, targets=item.targets or made.targets)


def _options(versions: Versions[Relation] | Versions[Column]) -> tuple[str, ...]:
    declared, complete, actual, former = (
        dict(option.partition("=")[::2] for option in side.options) if side is not None else {}
        for side in (versions.declared, versions.complete, versions.actual, versions.former)
    )
    kept = {n: v for n, v in actual.items() if n not in declared and (n in complete or n not in former)}
    return tuple(f"{name}={value}" for name, value in {**declared, **kept}.items())


def column_value(column: Column) -> Hashable:
    """Return the comparable parts of a column's default, identity or expression, without options of its sequence."""
    if column.generated:
        return "generated", column.generated, canonical(column.default)
    if column.identity:
        return "identity", column.identity
    return ("serial",) if column.is_serial else ("default", canonical_default(column.default, column.type))


def alike(item: D, pool: Iterable[D]) -> D | None:
    """Return the constraint or attachment of *pool* that corresponds to *item*, or None."""
    return like(item, pool, _shape)


def _shape(item: Constraint | Attachment) -> Hashable:
    return item.kind, canonical(item.definition)


def _seen(item: Constraint) -> Hashable:
    return item.name, _shape(item)
