"""Deploys that have succeeded, kept to be repeated in databases with the same starting point."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

from migrations_engine.report import DeployReport

_MOST: Final = 16  #: starting points remembered; a script has the size of the migrations and of two catalogs


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenDeploy:
    """What a deploy did to the first database of its starting point.

    :ivar script: every statement that it sent
    :ivar changed: the names of the catalogs that it changed
    :ivar shape_statement: the query that describes the contents of these
    :ivar shape: its result
    :ivar note: what it noted for the next deploy, with the mark of the first database
    """

    script: bytes
    changed: frozenset[str]
    shape_statement: bytes
    shape: Mapping[str, str]
    note: Mapping[str, Any]
    report: DeployReport


class ProvenDeploys:
    """The proven deploys of one schema for one request, by starting point. For several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: OrderedDict[str, ProvenDeploy] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._known)

    def get(self, starting_point: str) -> ProvenDeploy | None:
        with self._lock:
            return self._known.get(starting_point)

    def put(self, starting_point: str, deploy: ProvenDeploy) -> None:
        """Remember *deploy*; the oldest of too many is forgotten."""
        with self._lock:
            self._known[starting_point] = deploy
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
