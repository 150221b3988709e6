"""Tables, columns, indexes, constraints and views that migrations rename or drop, and whose names are used again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from .history import Edit, Kind


@dataclass(frozen=True)
class Named:
    """The table that keeps the rows, its columns in order, an index, a constraint and a view."""

    table: str = "t"
    columns: tuple[tuple[str, str], ...] = (("a", "int"), ("b", "text"))
    index: str = "i"
    constraint: str = "k"
    view: str = "v"
    others: frozenset[str] = frozenset()

    def files(self) -> dict[str, str]:
        columns = ", ".join(f"{name} {type_}" for name, type_ in self.columns)
        used = self.columns[0][0]
        text = (
            f"CREATE TABLE {self.table} (id int PRIMARY KEY, {columns}, CONSTRAINT {self.constraint} CHECK (id > 0));"
        )
        text += f"CREATE INDEX {self.index} ON {self.table} ({used});"
        text += f"CREATE VIEW {self.view} AS SELECT id, {used} FROM {self.table};"
        text += "".join(f"CREATE TABLE {other} (x int PRIMARY KEY);" for other in sorted(self.others))
        function = (
            f"CREATE FUNCTION rows() RETURNS SETOF {self.table} LANGUAGE sql AS $$ SELECT * FROM {self.table} $$;"
        )
        return {"tables/t.pssql": text, "functions/rows.pssql": function}

    def edit(self, draw: st.DrawFn) -> Edit:
        edits = [self._table, self._column, self._column, self._drop_column, self._add_column, self._index]
        return draw(st.sampled_from([*edits, self._constraint, self._view, self._other]))(draw)

    def _table(self, draw: st.DrawFn) -> Edit:
        new = draw(st.sampled_from(sorted({"t", "s", "r", "q"} - {self.table} - self.others)))
        return Edit(replace(self, table=new), f"ALTER TABLE {self.table} RENAME TO {new};", only="both")

    def _column(self, draw: st.DrawFn) -> Edit:
        number = draw(st.integers(0, len(self.columns) - 1))
        old, type_ = self.columns[number]
        new = draw(st.sampled_from(sorted({"a", "b", "c", "d", "e"} - {name for name, _ in self.columns})))
        columns = (*self.columns[:number], (new, type_), *self.columns[number + 1 :])
        return Edit(replace(self, columns=columns), f"ALTER TABLE {self.table} RENAME {old} TO {new};", only="both")

    def _drop_column(self, draw: st.DrawFn) -> Edit:
        if len(self.columns) == 1:
            return self._add_column(draw)
        number = draw(st.integers(1, len(self.columns) - 1))
        columns = (*self.columns[:number], *self.columns[number + 1 :])
        sql = f"ALTER TABLE {self.table} DROP COLUMN {self.columns[number][0]};"
        return Edit(replace(self, columns=columns), sql, only="both")

    def _add_column(self, draw: st.DrawFn) -> Edit:
        if len(self.columns) == 4:
            return self._column(draw)
        name = draw(st.sampled_from(sorted({"a", "b", "c", "d", "e"} - {name for name, _ in self.columns})))
        type_ = draw(st.sampled_from(["int", "text", "numeric"]))
        sql = f"ALTER TABLE {self.table} ADD {name} {type_};"
        columns = (*self.columns, (name, type_))
        return Edit(replace(self, columns=columns), sql, only=draw(st.sampled_from(["declaration", "both"])))

    def _index(self, draw: st.DrawFn) -> Edit:
        new = draw(st.sampled_from(sorted({"i", "j", "l"} - {self.index})))
        return Edit(replace(self, index=new), f"ALTER INDEX {self.index} RENAME TO {new};", only=draw(_PLACES))

    def _constraint(self, draw: st.DrawFn) -> Edit:
        new = draw(st.sampled_from(sorted({"k", "m", "n"} - {self.constraint})))
        sql = f"ALTER TABLE {self.table} RENAME CONSTRAINT {self.constraint} TO {new};"
        return Edit(replace(self, constraint=new), sql, only=draw(_PLACES))

    def _view(self, draw: st.DrawFn) -> Edit:
        new = draw(st.sampled_from(sorted({"v", "w"} - {self.view})))
        return Edit(replace(self, view=new), f"ALTER VIEW {self.view} RENAME TO {new};", only=draw(_PLACES))

    def _other(self, draw: st.DrawFn) -> Edit:
        free = sorted({"t", "s", "r", "q"} - {self.table} - self.others)
        if free and draw(st.booleans()):
            sql = f"CREATE TABLE {free[0]} (x int PRIMARY KEY);"
            return Edit(replace(self, others=self.others | {free[0]}), sql, only=draw(_PLACES))
        if not self.others:
            return self._index(draw)
        gone = draw(st.sampled_from(sorted(self.others)))
        return Edit(replace(self, others=self.others - {gone}), f"DROP TABLE {gone};", only="both")


_PLACES = st.sampled_from(["declaration", "both"])
KINDS = (
    Kind(
        "renamed objects and names used again",
        Named(),
        "INSERT INTO t VALUES (1, 1, 'x'), (2, 2, NULL)",
        kept="SELECT id FROM rows() ORDER BY id",
    ),
)
