"""Makes views as declared before the end of the migrations, for one that uses them.

An earlier migration may have dropped a view, or the view may have other columns still. Views are as declared at the end
of every deploy. So a database that ran each migration with a deploy of its own had the declared view when the later
migration ran.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import psycopg

from migrations_engine.catalog import read_catalog
from migrations_engine.deploy.ddl import Alteration, alterations
from migrations_engine.deploy.session import DeploySession
from migrations_engine.diff import Difference, diff_catalogs
from migrations_engine.model import Catalog, Relation
from migrations_engine.source.attribution import mentions_name

_STEP: Final = "migrations"
_MAKING: Final = frozenset({"add_view", "alter_view"})


def restore_views(session: DeploySession, declared: Catalog, text: str) -> bool:
    """Make the views that *text* names as *declared*, and those they use. Return whether there were any to make."""
    views = (relation for relation in declared.relations if not relation.is_table)
    if not any(mentions_name(text, view.name) for view in views):
        return False
    diff = diff_catalogs(actual=read_catalog(session.connection), wanted=declared)
    other = {item.table: item for item in diff.changes if item.change_type in _MAKING}
    named = [label for label, item in other.items() if mentions_name(text, _view(item).name)]
    chosen = _with_used(named, other)
    waiting = list(alterations(replace(diff, changes=tuple(item for item in diff.changes if item in chosen))))
    total, number = len(waiting), len(waiting) + 1
    while len(waiting) < number:
        number = len(waiting)
        waiting = [alteration for alteration in waiting if not _runs(session, alteration)]
    return number < total


def _with_used(labels: list[str], other: Mapping[str, Difference]) -> list[Difference]:
    """Return the differences of the views of *labels*, and of those under them."""
    found: dict[str, Difference] = {}
    while labels:
        label = labels.pop()
        if label in other and label not in found:
            found[label] = other[label]
            labels += _view(other[label]).uses
    return [*found.values()]


def _view(difference: Difference) -> Relation:
    assert isinstance(difference.wanted, Relation)
    return difference.wanted


def _runs(session: DeploySession, alteration: Alteration) -> bool:
    try:
        with session.savepoint():
            session.run(alteration.sql, step=_STEP, effect=f"{alteration.table} is made as declared, for a migration")
    except psycopg.Error:
        return False
    return True
