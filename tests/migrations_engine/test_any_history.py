"""Any history of declarations and migrations ends in the state of a new database, or reports the difference."""

from __future__ import annotations

import os
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from .conftest import Tenant
from .histories import access, constraints, dependants, names, partitions, plain_table, types, values
from .histories.checks import check_history
from .histories.history import histories
from .test_any_evolution import make

__all__ = ["make"]

#: How many histories; HISTORIES=100 draws as many others at random.
HISTORIES = int(os.environ.get("HISTORIES", "0"))
MODULES = (plain_table, access, dependants, constraints, types, partitions, names, values)
KINDS = tuple(kind for module in MODULES for kind in module.KINDS)


@settings(
    max_examples=HISTORIES or 8,
    derandomize=not HISTORIES,
    phases=[Phase.generate],  # each step of shrinking takes many deploys
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_any_history(make: Callable[[], Tenant], data: st.DataObject):
    kind = data.draw(st.sampled_from(KINDS))
    history = data.draw(histories(kind.first))
    check_history(make, [version.files() for version in history], rows=kind.rows, kept=kind.kept)
