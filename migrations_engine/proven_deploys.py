"""Deploys that have succeeded, kept to be repeated in databases with the same starting point."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Final

from migrations_engine.report import DeployReport

_MOST: Final = 16  #: starting points remembered; a script has the size of the migrations and of two catalogs


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenDeploy:
    """What a deploy did to the first database of its starting point.

    :ivar script: every statement that it sent
    :ivar shape: of the catalogs afterwards, as ``read_shape`` returns it
    """

    script: bytes
    shape: str
    report: DeployReport


class ProvenDeploys:
    """The proven deploys of one schema for one request, by starting point. For several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: OrderedDict[str, ProvenDeploy] = OrderedDict()

    def get(self, starting_point: str) -> ProvenDeploy | None:
        with self._lock:
            return self._known.get(starting_point)

    def put(self, starting_point: str, deploy: ProvenDeploy) -> None:
        """Remember *deploy*; the oldest of too many is forgotten."""
        with self._lock:
            self._known[starting_point] = deploy
            while len(self._known) > _MOST:
                self._known.popitem(last=False)

    def forget(self, starting_point: str) -> None:
        with self._lock:
            self._known.pop(starting_point, None)
