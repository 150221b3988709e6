"""The rows of an answer, collected within a limit of size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from psycopg.pq.abc import PGresult

NULL: Final = b"null"  #: a record that is NULL


class CollectedRows:
    """Rows as JSON, each separated from the next by a comma. Those after the limit is exceeded are dropped.

    :ivar count: the number of rows
    :ivar max_bytes: of all rows together
    """

    __slots__ = ("_blocks", "_room", "count", "max_bytes")

    def __init__(self, max_bytes: int) -> None:
        """Collect up to *max_bytes*, including a comma for each row."""
        self.count = 0
        self.max_bytes = max_bytes
        self._room = max_bytes
        self._blocks: list[bytes] = []

    @property
    def too_large(self) -> bool:
        """Whether the rows exceed the limit."""
        return self._room < 0

    @property
    def json(self) -> bytes:
        """The JSON array of all rows."""
        return b"[%b]" % b",".join(self._blocks)

    def accept(self, result: PGresult) -> bool:
        """Add the first column of a result. Return whether the limit leaves room for more."""
        value_of = result.get_value
        self.add([value_of(number, 0) or NULL for number in range(result.ntuples)])
        return self._room >= 0

    def add(self, rows: Sequence[bytes]) -> None:
        """Add rows, each a JSON value."""
        if rows:
            self.add_joined(b",".join(rows), len(rows))

    def add_joined(self, rows: bytes, count: int) -> None:
        """Add *count* rows, at least one, that are separated by commas already."""
        room = self._room = self._room - len(rows) - 1
        self.count += count
        if room >= 0:
            self._blocks.append(rows)
