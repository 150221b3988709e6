"""Comparing what roles may do, beyond what they may by default."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from migrations_engine.diff.difference import Difference, safe
from migrations_engine.model import Catalog, Privilege


def diff_privileges(
    actual: Catalog, declared: Catalog, complete: Catalog, formerly: Catalog | None
) -> Iterator[Difference]:
    """Return differences of privileges. An undeclared one was granted by hand and stays."""
    there, finished = set(actual.privileges), set(complete.privileges)
    known = {*declared.privileges, *finished}
    for former in formerly.privileges if formerly else ():
        stronger = replace(former, grantable=True)
        if former in there and former not in known and stronger not in known:
            yield _difference(former, given=former.revoked)
    for wanted in declared.privileges:
        stronger = replace(wanted, grantable=True)
        if wanted in finished and wanted not in there and not (stronger in there and stronger in known):
            yield _difference(wanted, given=not wanted.revoked)


def _difference(privilege: Privilege, *, given: bool) -> Difference:
    grantee = "the owner" if privilege.owner else privilege.grantee or "PUBLIC"
    return Difference(
        change_type="grant_privilege" if given else "revoke_privilege",
        table=privilege.label,
        name=privilege.column,
        wanted=privilege,
        to_text=f"{privilege.privilege} {privilege.kind} for {grantee}",
        verdict=safe(f"no row changes; the role may do {'more' if given else 'less'}"),
    )
