"""Compares privileges, apart from those that roles have by default."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from migrations_engine.diff.difference import Difference, safe
from migrations_engine.model import Catalog, Privilege


def diff_privileges(actual: Catalog, wanted: Catalog, former: Catalog | None) -> Iterator[Difference]:
    """Yield the differences of privileges. An undeclared one was granted by hand and stays."""
    there, asked = set(actual.privileges), set(wanted.privileges)
    for old in former.privileges if former else ():
        if old in there and not asked & {old, replace(old, grantable=True)}:
            yield _difference(old, given=old.revoked)
    for new in wanted.privileges:
        if new not in there and replace(new, grantable=True) not in there & asked:
            yield _difference(new, given=not new.revoked)


def _difference(privilege: Privilege, *, given: bool) -> Difference:
    grantee = "the owner" if privilege.owner else privilege.grantee or "PUBLIC"
    effect = "more" if given else "less"
    if privilege.grantable and not given:
        effect = "less, and so may the roles that it has granted the right"
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
