"""Successful deploys, to be repeated in databases with the same starting point."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, Self

import psycopg

from migrations_engine.catalog import shape_statements
from migrations_engine.queries import Rows, query_all
from migrations_engine.report import DeployReport, RowNumbers
from migrations_engine.tracking import Recording, RowCounts

_MOST: Final = 16  #: starting points; a script has the size of the migrations and of two catalogs


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenDeploy:
    """A deploy to the first database of its starting point.

    :ivar counted: its statements before each group of row counts, and those
    :ivar script: its other statements
    :ivar changed: the names of the catalogs that it changed
    :ivar shape_statements: the queries that describe the contents of those catalogs
    :ivar shape: their results
    :ivar note: its note for the next deploy, with the mark of the first database
    :ivar report: returns the report for the numbers of rows in a database
    """

    counted: tuple[tuple[bytes, RowCounts], ...]
    script: bytes
    changed: frozenset[str]
    shape_statements: tuple[bytes, ...]
    shape: Sequence[Rows]
    note: Mapping[str, Any]
    report: Callable[[RowNumbers], DeployReport]

    @classmethod
    def of(
        cls,
        connection: psycopg.Connection[Any],
        recording: Recording,
        changed: frozenset[str],
        note: Mapping[str, Any],
        report: Callable[[RowNumbers], DeployReport],
    ) -> Self | None:
        """Return the deploy that has just run; None if the contents of what it changed cannot be described."""
        statements = shape_statements(changed)
        if statements is None:
            return None
        counted, script = recording.steps()
        return cls(
            counted=counted,
            script=script,
            changed=changed,
            shape_statements=statements,
            shape=query_all(connection, statements) if statements else [],
            note=note,
            report=report,
        )


class ProvenDeploys:
    """The proven deploys of one schema for one request, by starting point. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: OrderedDict[str, ProvenDeploy] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._known)

    def get(self, starting_point: str) -> ProvenDeploy | None:
        with self._lock:
            return self._known.get(starting_point)

    def put(self, starting_point: str, deploy: ProvenDeploy) -> None:
        """Add *deploy*. The oldest one is removed if there are too many."""
        with self._lock:
            self._known[starting_point] = deploy
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
