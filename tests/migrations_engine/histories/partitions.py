"""Partitions by range and by list, default partitions, and their indexes; attached and detached by migrations."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from .history import Edit, Kind

BOUNDS = {
    "RANGE": ("FROM (0) TO (10)", "FROM (10) TO (20)", "FROM (20) TO (30)", "DEFAULT"),
    "LIST": ("IN (1, 2)", "IN (3)", "IN (NULL, 4)", "DEFAULT"),
}
EXTRAS = (
    "",
    "CREATE INDEX i ON t (b);",
    "CREATE INDEX i ON t (b, k); COMMENT ON INDEX i IS 'x';",
    "ALTER TABLE t ADD CONSTRAINT c CHECK (b > -1);",
    "ALTER TABLE t ADD CONSTRAINT u UNIQUE (k, b);",
    "GRANT SELECT ON t TO pg_monitor;",
)
DROPPED = (
    "DROP INDEX IF EXISTS i; ALTER TABLE t DROP CONSTRAINT IF EXISTS c; ALTER TABLE t DROP CONSTRAINT IF EXISTS u;"
)


@dataclass(frozen=True)
class Partitioned:
    by: str
    parts: frozenset[int] = frozenset({0})
    attached: bool = False  #: the partitions are declared as pg_dump writes them
    extra: int = 0
    own: bool = False  #: the first partition has an index of its own
    width: int = 0

    def files(self) -> dict[str, str]:
        columns = f"id int, k int, b {('smallint', 'int', 'bigint')[self.width]}"
        text = f"CREATE TABLE t ({columns}) PARTITION BY {self.by} (k);"
        for part in sorted(self.parts):
            text += self._attach(part, columns) if self.attached else self._create(part)
        own = "CREATE INDEX t0_b ON t0 (b);" if self.own else ""
        return {"tables/t.pssql": text + EXTRAS[self.extra] + own}

    def _bound(self, part: int) -> str:
        bound = BOUNDS[self.by][part]
        return bound if bound == "DEFAULT" else f"FOR VALUES {bound}"

    def _create(self, part: int) -> str:
        return f"CREATE TABLE t{part} PARTITION OF t {self._bound(part)};"

    def _attach(self, part: int, columns: str = "id int, k int, b int") -> str:
        return f"CREATE TABLE t{part} ({columns}); ALTER TABLE ONLY t ATTACH PARTITION t{part} {self._bound(part)};"

    def edit(self, draw: st.DrawFn) -> Edit:
        what = draw(st.sampled_from(["add", "add", "remove", "extra", "own", "attached", "type"]))
        if what == "add" and len(self.parts) < 4:
            part = draw(st.sampled_from(sorted(set(range(4)) - self.parts)))
            columns = f"id int, k int, b {('smallint', 'int', 'bigint')[self.width]}"
            sql = draw(st.sampled_from([self._create(part), self._attach(part, columns)]))
            return Edit(
                replace(self, parts=self.parts | {part}), sql, only=draw(st.sampled_from(["declaration", "both"]))
            )
        if what == "remove" and len(self.parts) > 1:
            part = draw(st.sampled_from(sorted(self.parts - {0}) or [0]))
            detach = f"ALTER TABLE t DETACH PARTITION t{part};" if draw(st.booleans()) else ""
            return Edit(replace(self, parts=self.parts - {part}), f"{detach} DROP TABLE t{part};", only="both")
        if what == "own":
            sql = "DROP INDEX IF EXISTS t0_b;" if self.own else "CREATE INDEX IF NOT EXISTS t0_b ON t0 (b);"
            return Edit(replace(self, own=not self.own), sql)
        if what == "attached":
            return Edit(replace(self, attached=not self.attached), only="declaration")
        if what == "type":
            return Edit(replace(self, width=min(self.width + 1, 2)), "ALTER TABLE t ALTER b TYPE bigint;")
        new = draw(st.integers(0, len(EXTRAS) - 1))
        made = draw(st.sampled_from([EXTRAS[new], EXTRAS[1], ""]))
        return Edit(replace(self, extra=new), DROPPED + made)


ROWS = "INSERT INTO t VALUES (1, 1, 1), (2, 2, 2)"
KINDS = (
    Kind("partitions by range", Partitioned("RANGE"), ROWS),
    Kind("partitions by list", Partitioned("LIST"), ROWS),
)
