"""A table, and objects that depend on its columns and change with every version."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from .history import Edit

TYPES = ("smallint", "integer", "bigint", "numeric")


@dataclass(frozen=True)
class Feature:
    """An object of the table ``t`` with several definitions; ``{a}`` is the present name of a column."""

    name: str
    variants: tuple[str, ...]  #: the first one is declared in the first version
    drop: str  #: drops every variant, if there is one; empty if migrations leave it alone
    alters: tuple[str, ...] = ()  #: what a migration may change
    folder: str = "tables"


@dataclass(frozen=True)
class Table:
    """The table ``t (id, a, b, note)`` with features, of which each has one variant at a time."""

    features: tuple[Feature, ...]
    chosen: tuple[int, ...] = ()
    column: str = "a"
    type: int = 0
    retypes: bool = True
    files_of_functions: tuple[tuple[str, str], ...] = ()

    def files(self) -> dict[str, str]:
        table = f"CREATE TABLE t (id int PRIMARY KEY, {self.column} {TYPES[self.type]}, b int, note text);"
        files = dict(self.files_of_functions)
        for feature, number in zip(self.features, self._chosen, strict=True):
            text = feature.variants[number].format(a=self.column)
            if feature.folder == "tables":
                table += text
            elif text:
                files[f"{feature.folder}/{feature.name}.pssql"] = text
        return files | {"tables/t.pssql": table}

    @property
    def _chosen(self) -> tuple[int, ...]:
        return self.chosen or (0,) * len(self.features)

    def edit(self, draw: st.DrawFn) -> Edit:
        number = draw(st.integers(-2 if self.retypes else -1, len(self.features) * 2 - 1))
        if number == -1:
            new = {"a": "c", "c": "a"}[self.column]
            return Edit(replace(self, column=new), f"ALTER TABLE t RENAME {self.column} TO {new};", only="both")
        if number == -2:
            width = draw(st.integers(self.type, 3))
            wider = TYPES[draw(st.integers(width, 3))]
            room = "".join(feature.drop for feature in reversed(self.features)).format(a=self.column)
            return Edit(replace(self, type=width), f"{room} ALTER TABLE t ALTER {self.column} TYPE {wider};")
        return self._edit_feature(draw, number // 2)

    def _edit_feature(self, draw: st.DrawFn, number: int) -> Edit:
        feature = self.features[number]
        variants = range(len(feature.variants))
        new = draw(st.sampled_from(variants))
        declares = replace(self, chosen=(*self._chosen[:number], new, *self._chosen[number + 1 :]))
        if not (feature.drop or feature.alters):
            return Edit(declares, only="declaration")
        if feature.alters and (not feature.drop or draw(st.booleans())):
            return Edit(declares, draw(st.sampled_from(feature.alters)).format(a=self.column))
        made = draw(st.sampled_from([new, *variants]))
        made_text = feature.variants[made].format(a=self.column)
        drop = feature.drop.format(a=self.column)
        return Edit(declares, f"{drop} {draw(st.sampled_from([made_text, made_text, '']))}")
