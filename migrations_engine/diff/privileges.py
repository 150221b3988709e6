"""Compares privileges, apart from those that roles have by default."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from migrations_engine.diff.difference import Difference, Subject, safe
from migrations_engine.model import Catalog, Privilege, Relation


def diff_privileges(
    actual: Catalog, wanted: Catalog, former: Catalog | None, others: Sequence[Difference]
) -> Iterator[Difference]:
    """Yield the differences of privileges. An undeclared one was granted by hand and stays.

    :param others: all other differences; privileges on views and columns that they drop are left out
    """
    all_found, all_wanted = set(actual.privileges), set(wanted.privileges)
    views = {item.table: item.wanted for item in others if item.change_type in ("alter_view", "drop_view")}
    for old in former.privileges if former else ():
        if old.kind == "TABLE" and old.label in views and not _stays(old, views[old.label]):
            continue
        if old in all_found and not all_wanted & {old, replace(old, grantable=True)}:
            yield _difference(old, given=old.revoked)
    for new in wanted.privileges:
        if new not in all_found and replace(new, grantable=True) not in all_found & all_wanted:
            yield _difference(new, given=not new.revoked)


def _stays(privilege: Privilege, view: Subject | None) -> bool:
    """Return whether *view*, as it will be, has what *privilege* is about."""
    if not isinstance(view, Relation):
        return False
    return privilege.column is None or view.column(privilege.column) is not None


def _difference(privilege: Privilege, *, given: bool) -> Difference:
    grantee = "the owner" if privilege.owner else privilege.grantee or "PUBLIC"
    effect = "more" if given else "less"
    if privilege.grantable and not given:
        effect = "less, and so may the roles that it has granted the privilege"
    text = f"{privilege.privilege} {privilege.kind} for {grantee}"
    return Difference(
        change_type="grant_privilege" if given else "revoke_privilege",
        table=privilege.label,
        name=privilege.column,
        wanted=privilege,
        from_text=None if given else text,
        to_text=text if given else None,
        verdict=safe(f"no row changes; the role may do {effect}"),
    )
