"""A table with an index, a check, a view and a comment; and a second table."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from .features import TYPES
from .history import Edit, Kind

VIEWS = (None, "SELECT a, b FROM t", "SELECT b, a FROM t", "SELECT a FROM t", "SELECT a, b, id FROM t")
ROOM = "DROP VIEW IF EXISTS v; "


@dataclass(frozen=True)
class PlainTable:
    a: int = 0  #: a type of TYPES
    b: int = 0
    default: int | None = None  #: of a
    required: bool = False  #: b is NOT NULL
    extra: frozenset[str] = frozenset()  #: columns
    index: int = 0  #: 0: none, else one of two definitions
    check: int | None = None
    view: int = 0
    comment: int = 0
    other: bool = False  #: a second table

    def files(self) -> dict[str, str]:
        parts = ["id int PRIMARY KEY", f"a {TYPES[self.a]}", f"b {TYPES[self.b]}"]
        parts[1] += f" DEFAULT {self.default}" if self.default is not None else ""
        parts[2] += " NOT NULL" if self.required else ""
        parts += [f"{name} text" for name in sorted(self.extra)]
        parts += [f"CONSTRAINT k CHECK (a > {self.check})"] if self.check is not None else []
        text = f"CREATE TABLE t ({', '.join(parts)});"
        text += ["", "CREATE INDEX i ON t (a);", "CREATE INDEX i ON t (a, b);"][self.index]
        text += f"CREATE VIEW v AS {VIEWS[self.view]};" if VIEWS[self.view] else ""
        text += f"COMMENT ON TABLE t IS '{self.comment}';" if self.comment else ""
        text += "CREATE TABLE u (x int); CREATE INDEX u_x ON u (x);" if self.other else ""
        return {"tables/t.pssql": text}

    def edit(self, draw: st.DrawFn) -> Edit:
        names = ("type", "default", "extra", "index", "check", "view", "comment", "other", "required")
        change, sql = getattr(self, f"_{draw(st.sampled_from(names))}")(draw)
        destroys = any(part in sql for part in ("DROP COLUMN", "DROP TABLE", "SET NOT NULL"))
        only = draw(st.sampled_from(["both", "migration"])) if destroys else ""
        return Edit(replace(self, **change), sql, only=only)

    def _type(self, draw: st.DrawFn) -> tuple[dict[str, object], str]:
        name = draw(st.sampled_from(["a", "b"]))
        width = draw(st.integers(getattr(self, name), 3))
        return {name: width}, f"{ROOM}ALTER TABLE t ALTER {name} TYPE {TYPES[draw(st.integers(width, 3))]};"

    def _default(self, draw: st.DrawFn) -> tuple[dict[str, object], str]:
        value = draw(st.sampled_from([None, 1, 2]))
        other = draw(st.sampled_from([value, 3]))
        return {
            "default": value
        }, f"ALTER TABLE t ALTER a {'DROP DEFAULT' if other is None else f'SET DEFAULT {other}'};"

    def _extra(self, draw: st.DrawFn) -> tuple[dict[str, object], str]:
        name = draw(st.sampled_from(["x", "y"]))
        if name in self.extra:
            return {"extra": self.extra - {name}}, f"{ROOM}ALTER TABLE t DROP COLUMN IF EXISTS {name};"
        return {"extra": self.extra | {name}}, f"ALTER TABLE t ADD COLUMN IF NOT EXISTS {name} text;"

    def _index(self, draw: st.DrawFn) -> tuple[dict[str, object], str]:
        sql = draw(st.sampled_from(["DROP INDEX IF EXISTS i;", "CREATE INDEX IF NOT EXISTS i ON t (b);"]))
        return {"index": draw(st.integers(0, 2))}, sql

    def _check(self, draw: st.DrawFn) -> tuple[dict[str, object], str]:
        made = draw(st.sampled_from(["", "ALTER TABLE t ADD CONSTRAINT k CHECK (a > -3);"]))
        return {"check": draw(st.sampled_from([None, -1, -2]))}, f"ALTER TABLE t DROP CONSTRAINT IF EXISTS k;{made}"

    def _view(self, draw: st.DrawFn) -> tuple[dict[str, object], str]:
        return {"view": draw(st.integers(0, 4))}, ROOM

    def _comment(self, draw: st.DrawFn) -> tuple[dict[str, object], str]:
        return {"comment": draw(st.integers(0, 2))}, "COMMENT ON TABLE t IS 'migrated';"

    def _other(self, draw: st.DrawFn) -> tuple[dict[str, object], str]:
        made = "DROP TABLE IF EXISTS u;" if self.other else "CREATE TABLE IF NOT EXISTS u (x int);"
        return {"other": not self.other}, made

    def _required(self, draw: st.DrawFn) -> tuple[dict[str, object], str]:
        if self.required:
            return {"required": False}, "ALTER TABLE t ALTER b DROP NOT NULL;"
        return {"required": True}, "UPDATE t SET b = 0 WHERE b IS NULL; ALTER TABLE t ALTER b SET NOT NULL;"


KINDS = (Kind("a plain table", PlainTable(), "INSERT INTO t VALUES (1, 1, NULL), (2, 2, 2)"),)
